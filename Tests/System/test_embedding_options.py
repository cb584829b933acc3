"""What a host in C can have of Millstream beside streams, and what it says of its clients: presence, ends,
statistics, and how long anybody is waited for."""

import contextlib
import json
import time
import urllib.parse

import psycopg
import pytest

from harness.host import Host, compile_host, under_valgrind
from harness.library import SOURCES
from harness.native import Publisher
from harness.pgmq import Queue
from harness.postgres import execute
from harness.presence import PGBUS_TABLE, PREFIXES, names, rows
from harness.waiting import wait_until

GRACE = 0.6
EXPIRED = 8
TOO_SLOW = 6
# Valgrind is some thirty times as slow.
PATIENCE_SECONDS = 120
STATISTICS_TABLE = """
CREATE TABLE pgbus_stream_stats (
  id bigserial PRIMARY KEY, stream_name varchar NOT NULL, event_type varchar NOT NULL,
  duration_ms integer NOT NULL DEFAULT 0, fanout integer, created_at timestamp(6) NOT NULL)
"""


@pytest.fixture(scope="session")
def members():
    return compile_host("members", SOURCES / "members.c")


@pytest.fixture
def start(members):
    """Starts hosts, which are stopped in order."""
    with contextlib.ExitStack() as stack:

        def start(database, *wrapper, **options):
            given = [f"{name}={value}" for name, value in options.items()]
            host = Host(*wrapper, members, database, *given, limit=PATIENCE_SECONDS)
            stack.callback(lambda: host.is_running and host.stop(limit=PATIENCE_SECONDS))
            return host

        yield start


@pytest.fixture
def presence_database(full_database):
    execute(full_database, PGBUS_TABLE)
    return full_database


def path_of(stream, store="native", **said):
    """Where a client listens that says so much of itself."""
    said = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in said.items()}
    return f"{PREFIXES[store]}/{stream}?{urllib.parse.urlencode(said)}"


def told(client, kind, member=None):
    """The next event about members of this kind, about this one."""
    while True:
        event = json.loads(client.expect(lambda block: block.event == "presence", "presence").data)
        if event["type"] == kind and member in (None, event.get("member")):
            return event


def gone(host, reason):
    """Waits until a connection has ended for this reason."""
    wait_until(lambda: f"gone {reason}" in host.output, f"reason {reason}")


# Presence


@pytest.mark.parametrize("store", ["pgmq", "native"])
def test_members_and_their_metadata_are_told(start, presence_database, store):
    host = start(presence_database, presence="room:*", presence_grace_ms=int(GRACE * 1000))
    said = {"name": 'B "o" b', "é": [1]}
    with host.subscribe(path_of("room:1", store, member="ann")) as ann:
        assert names(told(ann, "list")) == ["ann"]
        with host.subscribe(path_of("room:1", store, member="bob", metadata=said)) as bob:
            assert told(ann, "join", "bob") == {
                "type": "join", "member": "bob", "metadata": said, "present": 2}
            assert told(bob, "list")["members"] == [
                {"member": "ann", "metadata": {}}, {"member": "bob", "metadata": said}]
            assert rows(presence_database, store) == ["ann", "bob"]
        began = time.monotonic()
        assert told(ann, "leave")["member"] == "bob"
        assert time.monotonic() - began >= GRACE
        host.stop()
    assert rows(presence_database, store) == []


def test_presence_is_for_the_streams_that_fit(start, presence_database):
    host = start(presence_database, presence="room:*")
    with (
        host.subscribe(path_of("hall:1", member="ann")) as ann,
        host.subscribe(path_of("room:1", member="bob")) as bob,
        Publisher(presence_database, "hall:1") as hall,
    ):
        assert names(told(bob, "list")) == ["bob"]
        hall.send("hello")
        said = ann.expect(lambda block: block.is_broadcast or block.event == "presence")
        assert (said.event, said.data) == ("turbo-stream", "hello")
    assert execute(presence_database, "SELECT DISTINCT stream_name FROM millstream.presence_members") == [
        ("room:1",)]


def test_without_a_grace_who_goes_has_left(start, presence_database):
    host = start(presence_database, presence="*", presence_grace_ms=-1)
    with host.subscribe(path_of("room:1", member="ann")) as ann:
        with host.subscribe(path_of("room:1", member="bob")):
            told(ann, "join", "bob")
        began = time.monotonic()
        assert told(ann, "leave")["member"] == "bob"
        # The default would be five seconds.
        assert time.monotonic() - began < 4


def test_metadata_that_is_none_is_refused(start, presence_database):
    host = start(presence_database, presence="*")
    for metadata in ("[]", "{", '{"a":"\\u0000"}'):
        with host.get(path_of("room:1", member="ann", metadata=metadata)) as client:
            assert client.head.status == 500


def test_presence_leaks_nothing(start, presence_database):
    host = start(presence_database, *under_valgrind(), presence="room:*", statistics=1)
    said = {"name": "Ann"}
    with host.subscribe(path_of("room:1", member="ann", metadata=said)) as ann:
        assert told(ann, "list")["members"] == [{"member": "ann", "metadata": said}]
        host.stop(limit=PATIENCE_SECONDS)
        assert ann.read_to_end()[-1].is_goodbye


# Ends


def test_a_connection_ends_when_the_host_has_said(start, native_database):
    host = start(native_database)
    end = int(time.time()) + 2
    with (
        host.subscribe(path_of("room:1", expires_at=end)) as brief,
        host.subscribe(path_of("room:1", expires_at=end + 3600)) as lasting,
    ):
        last = brief.read_to_end()[-1]
        assert (last.event, json.loads(last.data)) == ("millstream:expired", {"reason": "expired"})
        assert time.time() >= end
        gone(host, EXPIRED)
        with Publisher(native_database, "room:1") as room:
            room.send("hello")
            assert lasting.broadcast().data == "hello"


def test_nobody_is_let_in_whose_end_has_passed(start, native_database):
    host = start(native_database)
    for end in (1, -1, int(time.time())):
        with host.get(path_of("room:1", expires_at=end)) as client:
            assert client.head.status == 403
    assert "gone" not in host.text()


# Statistics


def test_rows_for_the_dashboard(start, full_database):
    execute(full_database, STATISTICS_TABLE)
    host = start(full_database, statistics=1)
    with Queue(full_database, "chat") as chat:
        chat.create()
        with host.subscribe(path_of("chat", "pgmq")) as client:
            chat.send("hello")
            client.broadcast()
    host.stop()
    written = execute(full_database, "SELECT stream_name, event_type FROM pgbus_stream_stats ORDER BY id")
    assert sorted(written) == [("chat", "broadcast"), ("chat", "connect"), ("chat", "disconnect")]


def test_nothing_is_written_unless_asked_for(start, full_database):
    execute(full_database, STATISTICS_TABLE)
    host = start(full_database)
    with host.subscribe(path_of("chat", "pgmq")):
        pass
    host.stop()
    assert execute(full_database, "SELECT count(*) FROM pgbus_stream_stats") == [(0,)]


# How long anybody is waited for


@pytest.mark.parametrize("wait_ms, limit", [(700, 5), (-1, 1)])
def test_how_long_an_open_transaction_is_waited_for(start, pgmq_database, wait_ms, limit):
    host = start(pgmq_database, hole_wait_ms=wait_ms, safety_poll_ms=100)
    with (
        Queue(pgmq_database, "chat") as chat, psycopg.connect(pgmq_database) as session,
        host.subscribe(path_of("chat", "pgmq")) as client,
    ):
        # A trigger would make the second wait for the first.
        chat.create(throttle_ms=None)
        chat.send("before")
        assert client.broadcast().data == "before"
        chat.send_to(session, {"html": "late"})
        began = time.monotonic()
        chat.send("second")
        assert client.broadcast().data == "second"
        # The default would be ten seconds.
        assert max(wait_ms, 0) / 1000 <= time.monotonic() - began < limit
        session.commit()
        assert client.broadcast().data == "late"


def slow_for(host, seconds):
    """Whether a client that takes 40 KB a second is still there after so long."""
    with host.get(path_of("chat", since=0), receive_buffer_bytes=4096) as client:
        assert client.connection_id()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and "gone" not in host.text():
            time.sleep(0.1)
            with contextlib.suppress(ConnectionError):
                client.socket.recv(4096)
        return "gone" not in host.text()


@pytest.mark.parametrize("rate, stays", [(200_000, False), (-1, True)])
def test_how_much_a_client_has_to_take(start, native_database, rate, stays):
    host = start(native_database, write_deadline_ms=1_000, minimum_rate=rate)
    with Publisher(native_database, "chat") as publisher:
        publisher.send_many(["x" * 65_536] * 100)
        assert slow_for(host, 5 if stays else 20) == stays
        if not stays:
            gone(host, TOO_SLOW)
