"""Proves that what many do at once has a bound: coming back after a restart costs reads by streams and
not by clients, a long replay holds nobody up, and streams that are gone leave nothing behind."""

import psycopg
import pytest

from harness.crowd import Crowd
from harness.native import Publisher
from harness.postgres import execute
from harness.server import native_path, stream_path
from harness.waiting import wait_until

STREAMS = 20
CLIENTS = 500
KEPT = 110
BEHIND = 100
LONG = 20_000
MEGABYTE = 1024 * 1024


class StatementLog:
    """What sessions that begin from now on ask of `database`, as Postgres' log tells it."""

    def __init__(self, postgres, database):
        self._log = postgres.log
        name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
        for setting, value in [("log_statement", "all"), ("log_min_duration_statement", "-1")]:
            execute(database, f"ALTER DATABASE {name} SET {setting} = '{value}'")
        self._start = self._log.stat().st_size

    def begin(self):
        """Nothing has been asked yet."""
        self._start = self._log.stat().st_size

    def text(self):
        """What was logged since the beginning."""
        with open(self._log, "rb") as log:
            log.seek(self._start)
            return log.read().decode()

    def count(self, text):
        """How many statements with `text` in them were asked since the beginning."""
        return self.text().count(text)


def fill(database, streams, count):
    """`count` messages in each stream."""
    with psycopg.connect(database, autocommit=True) as session:
        for stream in streams:
            session.execute(
                "SELECT millstream.publish(%s, n::text) FROM generate_series(1, %s) AS n",
                [stream, count],
            )


def rooms(server, count, **options):
    """So many clients, spread over the streams."""
    names = [f"room:{number % STREAMS}" for number in range(count)]
    return Crowd(server.open(name, path=native_path(name), **options) for name in names)


def retries(crowd):
    """What each client was told to wait, in milliseconds."""
    return [
        int(block.raw.removeprefix(b"retry: "))
        for client in crowd.clients
        for block in client.stream.blocks
        if block.raw.startswith(b"retry: ")
    ]


# Everyone comes back


@pytest.fixture
def statements(postgres, native_database):
    return StatementLog(postgres, native_database)


def test_coming_back_costs_reads_by_streams_and_not_by_clients(
    serve, native_database, statements
):
    fill(native_database, [f"room:{number}" for number in range(STREAMS)], KEPT)
    # Looks that nothing asks for would be in the count.
    server = serve(native_database, "--safety-poll", "10m")
    wait_until(lambda: "session=read" in server.log_text(), "the reading session")
    statements.begin()
    expected = [str(number) for number in range(KEPT - BEHIND + 1, KEPT + 1)]
    with rooms(server, CLIENTS, last_event_id=KEPT - BEHIND) as crowd:
        for got in crowd.broadcasts(BEHIND):
            assert [block.data for block in got] == expected
    # A page for each stream, and one more where somebody came while the first look was under way.
    assert STREAMS <= statements.count("SELECT id, data, event") <= 2 * STREAMS
    assert statements.count("select n.ordinal, s.epoch, s.last_id") <= STREAMS + 1


def test_the_goodbye_comes_to_each_and_returns_are_spread(serve, native_database):
    server = serve(native_database, "--retry", "2s")
    with rooms(server, 200) as crowd:
        crowd.connected()
        waits = retries(crowd)
        server.stop()
        crowd.wait(lambda client: client.stream.is_over, "the end of the connection")
        for client in crowd.clients:
            assert client.stream.blocks[-1].event == "pgbus:shutdown"
    assert len(waits) == 200
    assert min(waits) >= 1000 and max(waits) <= 3000
    # Two hundred draws from 2,000 values: each half has its share, and few are the same.
    assert 50 < sum(wait < 2000 for wait in waits) < 150
    assert len(set(waits)) > 150


# One is far behind


def test_a_long_replay_holds_nobody_up_and_is_bounded(serve, native_database):
    fill(native_database, ["chat"], LONG)
    server = serve(native_database)
    with server.subscribe("chat", path=native_path("chat")) as live:
        before = server.resident_bytes()
        with server.open("chat", since=0, path=native_path("chat")) as behind:
            with Publisher(native_database, "chat") as publisher:
                publisher.send("new")
                # The one behind has read nothing yet: the kernel's buffers hold part of it at most.
                assert live.broadcast().data == "new"
            got = [behind.broadcast() for _ in range(LONG + 1)]
    assert [block.number for block in got] == list(range(1, LONG + 2))
    # The whole stream is some megabytes of frames; a page at a time is a fraction of one.
    assert server.resident_bytes() - before < 4 * MEGABYTE


# Streams come and go


def churn(server, prefix, path_of, count, at_once=50):
    """Subscribes to `count` new streams, each for a moment."""
    for begin in range(0, count, at_once):
        names = [f"{prefix}:{number}" for number in range(begin, begin + at_once)]
        with Crowd(server.open(name, path=path_of(name)) for name in names) as crowd:
            crowd.connected()


@pytest.mark.parametrize("store", ["pgmq", "native"])
def test_streams_that_are_gone_leave_nothing_behind(
    serve, postgres, full_database, store
):
    path_of = stream_path if store == "pgmq" else native_path
    statements = StatementLog(postgres, full_database)
    server = serve(full_database)
    statements.begin()
    churn(server, "warm", path_of, 500)
    descriptors, resident = server.descriptor_count(), server.resident_bytes()
    churn(server, "gone", path_of, 2000)
    if store == "pgmq":
        # The log has "UNLISTEN" too where it has "LISTEN".
        wait_until(
            lambda: statements.count(": UNLISTEN") == 2500, "the last channel to be given up"
        )
        assert statements.count(": LISTEN \"pgmq.q_pgbus_gone") == 2000
    wait_until(lambda: server.descriptor_count() <= descriptors, "descriptors to be closed")
    assert server.resident_bytes() - resident < 4 * MEGABYTE
