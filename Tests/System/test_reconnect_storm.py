"""Many servers on one Postgres: when it cuts them off, they do not all come back at once."""

import collections
import re

import pytest

from harness.crowd import Crowd
from harness.native import Publisher
from harness.server import native_path
from harness.waiting import wait_until

SERVERS = 20
SESSIONS = 2 * SERVERS
BUCKET_MS = 100
RECEIVED = re.compile(r"^\d+-\d+-\d+ (\d+):(\d+):(\d+)\.(\d+) .*connection received", re.M)


@pytest.fixture
def logging(postgres):
    """The cluster, which logs when a connection comes."""
    postgres.stop()
    postgres.settings |= {"log_connections": "on", "max_connections": "100"}
    postgres.start()
    yield postgres
    postgres.stop()
    postgres.settings |= {"max_connections": "60"}
    del postgres.settings["log_connections"]
    postgres.start()


@pytest.fixture
def servers(serve, logging, native_database):
    """Twenty servers, each with both sessions there."""
    servers = [serve(native_database, "--heartbeat", "500ms") for _ in range(SERVERS)]
    name = native_database.rpartition("dbname=")[2]
    wait_until(lambda: len(logging.backends(name)) == SESSIONS, "all sessions")
    return servers


def attempts(postgres, offset):
    """How many connections came in each tenth of a second since the first of them."""
    with open(postgres.log) as log:
        log.seek(offset)
        times = [
            ((int(h) * 60 + int(m)) * 60 + int(s)) * 1000 + int(ms)
            for h, m, s, ms in RECEIVED.findall(log.read())
        ]
    counts = collections.Counter((time - times[0]) // BUCKET_MS for time in times)
    return [counts[bucket] for bucket in range(max(counts) + 1)]


def size(postgres):
    """How long the log is by now."""
    return postgres.log.stat().st_size


def assert_all_get(crowd, database, text):
    """A message gets to a client of each server."""
    with Publisher(database, "chat") as publisher:
        publisher.send(text)
    for got in crowd.broadcasts(1, limit=60):
        assert [block.data for block in got] == [text]


def assert_spread(counts, most):
    """No tenth of a second has more than `most` of the attempts."""
    print(f"connections in each {BUCKET_MS} ms: {counts}")
    assert sum(counts) >= SESSIONS
    assert max(counts) <= most, counts


@pytest.fixture
def crowd(servers):
    """A client of each server."""
    clients = [server.open("chat", path=native_path("chat")) for server in servers]
    with Crowd(clients) as crowd:
        yield crowd.connected()


def test_all_cut_off_at_once(logging, crowd, native_database):
    """The worst case: the server is well, and would take all of them in the same millisecond."""
    offset = size(logging)
    name = native_database.rpartition("dbname=")[2]
    logging.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = %s AND starts_with(application_name, 'millstream')",
        name,
    )
    assert_all_get(crowd, native_database, "after the cut")
    wait_until(lambda: sum(attempts(logging, offset)) >= SESSIONS, "all attempts")
    assert_spread(attempts(logging, offset), most=SESSIONS // 2)


def test_restart(logging, crowd, native_database):
    offset = size(logging)
    logging.restart()
    assert_all_get(crowd, native_database, "after the restart")
    name = native_database.rpartition("dbname=")[2]
    wait_until(lambda: len(logging.backends(name)) == SESSIONS, "all sessions")
    # Some come twice: a server that is going, or coming, turns them away.
    assert_spread(attempts(logging, offset), most=24)


def test_away_for_long(logging, crowd, native_database):
    """The attempts are some seconds apart by then, and spread over them."""
    logging.stop()
    crowd.wait(
        lambda client: sum(block.is_heartbeat for block in client.stream.blocks) >= 16,
        "heartbeats of eight seconds",
    )
    offset = size(logging)
    for client in crowd.clients:
        client.stream.blocks.clear()
    logging.start()
    assert_all_get(crowd, native_database, "after a long time")
    name = native_database.rpartition("dbname=")[2]
    wait_until(lambda: len(logging.backends(name)) == SESSIONS, "all sessions")
    assert_spread(attempts(logging, offset), most=SESSIONS // 4)
