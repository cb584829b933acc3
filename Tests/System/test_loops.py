"""Several loops in one process: each client is served by one of them, and nobody can tell."""

import os
import subprocess

import pytest

from harness.crowd import Crowd
from harness.names import SECRET
from harness.server import Server, binary, environment, native_path
from harness.waiting import wait_until

LOOPS = 4
CLIENTS = 60


def database_name(conninfo):
    return conninfo.rpartition("dbname=")[2]


def crowd_of(server, count=CLIENTS):
    return Crowd(server.open("chat", path=native_path("chat")) for _ in range(count))


@pytest.fixture(params=["tcp", "unix"])
def looped(request, serve, native_database, tmp_path):
    """A server with several loops."""
    listen = "127.0.0.1:0" if request.param == "tcp" else f"unix:{tmp_path}/socket"
    return serve(native_database, "--loops", str(LOOPS), listen=listen)


def test_every_client_of_every_loop_has_every_message(looped, publisher):
    with crowd_of(looped) as crowd:
        crowd.connected()
        publisher.send_many(str(number) for number in range(100))
        for blocks in crowd.broadcasts(100):
            assert [block.data for block in blocks] == [str(number) for number in range(100)]


def test_clients_are_spread(serve, native_database):
    server = serve(native_database, "--loops", str(LOOPS), "--log-level", "debug")
    threads = os.listdir(f"/proc/{server.process.pid}/task")
    assert len(threads) >= LOOPS
    limit = LOOPS * 2
    limited = serve(native_database, "--loops", "2", "--max-connections", str(limit))
    with crowd_of(limited, 4 * limit) as crowd:
        crowd.wait(lambda client: client.stream.head is not None, "answers")
        statuses = [client.stream.head.status for client in crowd.clients]
    # Both loops are full: one alone has room for half.
    assert statuses.count(200) == limit, statuses
    assert statuses.count(503) == 3 * limit


def test_each_loop_has_two_sessions(serve, native_database, postgres):
    serve(native_database, "--loops", str(LOOPS))
    name = database_name(native_database)
    wait_until(lambda: len(postgres.backends(name)) == 2 * LOOPS, "two sessions for each loop")


def test_all_loops_say_goodbye(looped):
    with crowd_of(looped) as crowd:
        crowd.connected()
        looped.stop()
        crowd.wait(lambda client: client.stream.is_over, "the end")
        assert all(client.stream.blocks[-1].is_goodbye for client in crowd.clients)


def test_address_that_another_server_has(serve, native_database):
    """The kernel would let both have it, and share the clients out between two configurations."""
    first = serve(native_database, "--loops", "2")
    host, port = first.address
    with pytest.raises(AssertionError, match="Address already in use"):
        Server(native_database, "--loops", "2", listen=f"{host}:{port}")


def test_as_many_loops_as_processors(native_database):
    with subprocess.Popen(
        [binary(), "serve", "--database", native_database, "--listen", "127.0.0.1:0"],
        env=environment(MILLSTREAM_SECRET=SECRET),
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            ready = next(line for line in server.stderr if " ready " in line)
        finally:
            server.terminate()
            server.communicate()
    assert f" loops={len(os.sched_getaffinity(0))} " in ready
