"""Proves that clients outlive Postgres: it may be away at the start, stop hard, come back, or cut
a session off; who is connected stays so, and gets what is published after, once and in order."""

import contextlib

import pytest

from harness.crowd import Crowd
from harness.native import Publisher
from harness.pgmq import Queue, pgmq_sql
from harness.postgres import execute
from harness.server import native_path, run
from harness.waiting import wait_until

PGMQ_SUBSCRIBERS = NATIVE_SUBSCRIBERS = 25
# Reconnecting backs off, so it may take a while on a busy machine.
RECOVERY_SECONDS = 90


def subscribers(server, **cursor):
    """Fifty clients: half on a stream of each store."""
    clients = [server.open("chat", **cursor) for _ in range(PGMQ_SUBSCRIBERS)]
    path = native_path("chat")
    clients += [server.open("chat", path=path, **cursor) for _ in range(NATIVE_SUBSCRIBERS)]
    return Crowd(clients).connected()


def publish(database, datas):
    """The same messages to both stores."""
    with Queue(database, "chat") as queue, Publisher(database, "chat") as publisher:
        for data in datas:
            queue.send(data)
            publisher.send(data)


def publish_until_seen(database, crowd):
    """For clients whose "from now on" begins when the database is there, which nothing shows."""

    def seen():
        publish(database, ["from now on"])
        return crowd.has(lambda client: any(b.is_broadcast for b in client.stream.blocks))

    wait_until(seen, "messages at every client", RECOVERY_SECONDS, pause=0.2)


def assert_all_got(crowd, datas):
    """Every client has these messages and no others, in ids that grow."""
    for got in crowd.broadcasts(len(datas), limit=RECOVERY_SECONDS):
        assert [block.data for block in got] == datas
        numbers = [block.number for block in got]
        assert numbers == sorted(set(numbers))


def wait_for_heartbeats(crowd, count):
    """`count` more heartbeats at every client, all still connected."""
    for client in crowd.clients:
        client.beats_before = _beats(client)
    crowd.wait(
        lambda client: client.stream.is_over or _beats(client) >= client.beats_before + count,
        f"{count} heartbeats",
    )
    over = [client for client in crowd.clients if client.stream.is_over]
    assert not over, f"{len(over)} clients were closed"


def _beats(client):
    return sum(block.is_heartbeat for block in client.stream.blocks)


@pytest.fixture
def busy(serve, full_database):
    """A server with fast heartbeats on a database with both stores, and a queue there."""
    with Queue(full_database, "chat") as queue:
        queue.create()
    return serve(full_database, "--heartbeat", "500ms")


def test_hard_stop_and_start(postgres, busy, full_database):
    before, after = [f"before {n}" for n in range(10)], [f"after {n}" for n in range(10)]
    with subscribers(busy) as crowd:
        publish(full_database, before)
        assert_all_got(crowd, before)
        postgres.stop_hard()
        wait_for_heartbeats(crowd, 2)
        postgres.start()
        publish(full_database, after)
        assert_all_got(crowd, after)
        publish(full_database, ["live again"])
        assert_all_got(crowd, ["live again"])


def test_several_restarts(postgres, busy, full_database):
    with subscribers(busy) as crowd:
        for round in ("first", "second", "third"):
            postgres.restart()
            publish(full_database, [f"{round} {n}" for n in range(5)])
            assert_all_got(crowd, [f"{round} {n}" for n in range(5)])


def test_connecting_while_postgres_is_away(postgres, busy, full_database):
    publish(full_database, ["before"])
    postgres.stop_hard()
    with subscribers(busy) as crowd, subscribers(busy, since=0) as replaying:
        postgres.start()
        publish(full_database, ["after"])
        assert_all_got(replaying, ["before", "after"])
        publish_until_seen(full_database, crowd)


def test_either_session_is_cut_off(postgres, busy, full_database):
    database = full_database.rpartition("dbname=")[2]
    with subscribers(busy) as crowd:
        sessions = wait_until(lambda: postgres.backends(database), "the server's sessions")
        for round, pid in enumerate(sessions):
            postgres.execute("SELECT pg_terminate_backend(%s)", pid)
            publish(full_database, [f"{round} {n}" for n in range(5)])
            assert_all_got(crowd, [f"{round} {n}" for n in range(5)])


def test_all_sessions_are_cut_off_at_once(postgres, busy, full_database):
    """What is published while nobody listens is found by the look after reconnecting."""
    database = full_database.rpartition("dbname=")[2]
    with subscribers(busy) as crowd:
        for round in range(3):
            wait_until(lambda: len(postgres.backends(database)) >= 2, "both sessions")
            assert postgres.terminate_backends(database) >= 2
            publish(full_database, [str(round)])
            assert_all_got(crowd, [str(round)])


# Away at the start


def test_started_without_postgres(postgres, serve, full_database):
    with Queue(full_database, "chat") as queue:
        queue.create()
    postgres.stop_hard()
    server = serve(full_database, "--heartbeat", "500ms")
    with subscribers(server) as crowd, subscribers(server, since=0) as replaying:
        wait_for_heartbeats(crowd, 2)
        postgres.start()
        publish(full_database, ["it came up"])
        assert_all_got(replaying, ["it came up"])
        publish_until_seen(full_database, crowd)


def test_database_that_is_created_later(postgres, serve, pgmq_template):
    name = "created_later"
    conninfo = postgres.conninfo(name)
    server = serve(conninfo, "--heartbeat", "500ms")
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(postgres.drop_database, name)
        with server.subscribe("chat", since=0) as client:
            postgres.execute(f"CREATE DATABASE {name} TEMPLATE {pgmq_template}")
            with Queue(conninfo, "chat") as queue:
                queue.create().send("x")
            assert client.broadcast(RECOVERY_SECONDS).data == "x"


def test_stores_that_are_installed_later(serve, database):
    """A schema that is not there yet is a store without streams."""
    server = serve(database)
    with server.subscribe("chat", since=0) as of_pgmq:
        with server.subscribe("chat", since=0, path=native_path("chat")) as of_native:
            execute(database, pgmq_sql())
            assert run("install", "--database", database).returncode == 0
            with Queue(database, "chat") as queue:
                queue.create()
            publish(database, ["x"])
            assert of_pgmq.broadcast(RECOVERY_SECONDS).data == "x"
            assert of_native.broadcast(RECOVERY_SECONDS).data == "x"
