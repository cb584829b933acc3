"""Several loops in one process: each client is served by one of them, and nobody can tell."""

import json
import os
import re
import subprocess

import pytest

from harness.crowd import Crowd
from harness.held_thread import held, threads
from harness.names import SECRET
from harness.pgmq import Queue
from harness.server import Server, binary, environment, native_path, stream_path
from harness.waiting import wait_until

LOOPS = 4
CLIENTS = 60
# Nothing but a wake-up makes a loop look.
NEVER = "1h"


def database_name(conninfo):
    return conninfo.rpartition("dbname=")[2]


def crowd_of(server, count=CLIENTS):
    return Crowd(server.open("chat", path=native_path("chat")) for _ in range(count))


def queue_crowd(server, name, count=CLIENTS):
    """As many on the stream of a PGMQ queue."""
    return Crowd(server.open(name, path=stream_path(name)) for _ in range(count)).connected()


def assert_all_have(crowd, expected, limit=30):
    """In this order and nothing else."""
    for blocks in crowd.broadcasts(len(expected), limit):
        assert [block.data for block in blocks] == expected


@pytest.fixture(params=["tcp", "unix"])
def looped(request, serve, native_database, tmp_path):
    """A server with several loops."""
    listen = "127.0.0.1:0" if request.param == "tcp" else f"unix:{tmp_path}/socket"
    return serve(native_database, "--loops", str(LOOPS), listen=listen)


def test_every_client_of_every_loop_has_every_message(looped, publisher):
    with crowd_of(looped) as crowd:
        crowd.connected()
        publisher.send_many(str(number) for number in range(100))
        assert_all_have(crowd, [str(number) for number in range(100)])


def test_lines_say_which_loop_it_was(serve, native_database, postgres):
    server = serve(native_database, "--loops", "3", "--log-level", "info")
    numbers = {"0", "1", "2"}

    def loops(line):
        return {found[1] for said in server.log if (found := re.search(f" {line}.* loop=(\\d)", said))}

    wait_until(lambda: loops("postgres session is ready") == numbers, "the sessions of all loops")
    # That all of them hear with is of none.
    (heard,) = [line for line in server.log if "session=listen" in line]
    assert "loop=" not in heard
    postgres.stop_hard()
    wait_until(lambda: loops("postgres is away") == numbers, "the ends of all sessions")
    postgres.start()
    alone = serve(native_database)
    alone.wait_for_line("session is ready .*session=read", "the session")
    assert "loop=" not in alone.log_text()


def test_whatever_a_notification_is_it_reaches_all_loops(serve, native_database, publisher):
    """With its data, without it because that is too long, and with data that is kept nowhere."""
    server = serve(native_database, "--loops", str(LOOPS), "--safety-poll", NEVER)
    long = "x" * 20_000
    with crowd_of(server) as crowd:
        crowd.connected()
        for publish, data in [
            (publisher.send, "short"),
            (publisher.send, long),
            (publisher.notify, "kept nowhere"),
            (publisher.send, "last"),
        ]:
            publish(data)
            assert_all_have(crowd, [data])


def test_clients_are_spread(serve, native_database):
    server = serve(native_database, "--loops", str(LOOPS), "--log-level", "debug")
    threads = os.listdir(f"/proc/{server.process.pid}/task")
    assert len(threads) >= LOOPS
    limit = LOOPS * 2
    limited = serve(native_database, "--loops", "2", "--max-connections", str(limit), "--refuse-softly", "never")
    with crowd_of(limited, 4 * limit) as crowd:
        crowd.wait(lambda client: client.stream.head is not None, "answers")
        statuses = [client.stream.head.status for client in crowd.clients]
    # Both loops are full: one alone has room for half.
    assert statuses.count(200) == limit, statuses
    assert statuses.count(503) == 3 * limit


def test_loops_share_a_listen_session(serve, native_database, postgres):
    serve(native_database, "--loops", str(LOOPS))
    name = database_name(native_database)
    wait_until(lambda: len(postgres.backends(name)) == 1 + LOOPS, "a session for each loop and one")
    assert len(postgres.backends(name, "millstream listen")) == 1
    assert len(postgres.backends(name, "millstream read")) == LOOPS


def test_what_comes_while_nobody_listens_is_found_by_all_loops(
    serve, native_database, publisher, postgres
):
    server = serve(native_database, "--loops", str(LOOPS), "--safety-poll", NEVER)
    name = database_name(native_database)
    with crowd_of(server) as crowd:
        crowd.connected()
        # The session that listens cannot come back yet; those that read stay.
        postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        assert postgres.terminate_backends(name, "millstream listen") == 1
        server.wait_for_line("session=listen", "a word about the session")
        publisher.send("meanwhile")
        assert not crowd.has(lambda client: any(b.is_broadcast for b in client.stream.blocks))
        postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert_all_have(crowd, ["meanwhile"])
        publisher.notify("afterwards")
        assert_all_have(crowd, ["afterwards"])


@pytest.fixture
def queues(pgmq_database, postgres):
    """Two queues, in a database that logs what it is asked."""
    postgres.execute(f"ALTER DATABASE {database_name(pgmq_database)} SET log_statement = 'all'")
    with Queue(pgmq_database, "shared") as shared, Queue(pgmq_database, "other") as other:
        yield shared.create(), other.create()


def listens(postgres, queue):
    """What was asked of the queue's channel, in order."""
    pattern = rf"execute <unnamed>: (LISTEN|UNLISTEN) \"pgmq\.{queue.table}\.INSERT\""
    return re.findall(pattern, postgres.log.read_text())


def test_channel_is_listened_to_while_any_loop_wants_it(serve, pgmq_database, queues, postgres):
    shared, other = queues
    server = serve(pgmq_database, "--loops", str(LOOPS), "--safety-poll", NEVER)
    with queue_crowd(server, "shared", 1) as one:
        with queue_crowd(server, "shared") as crowd, queue_crowd(server, "other"):
            shared.notify(json.dumps({"html": "all"}))
            assert_all_have(crowd, ["all"])
            assert_all_have(one, ["all"])
        # All loops give up the other queue, and before it this one, but for the loop of the one.
        wait_until(lambda: listens(postgres, other) == ["LISTEN", "UNLISTEN"], "UNLISTEN")
        assert listens(postgres, shared) == ["LISTEN"]
        shared.notify(json.dumps({"html": "one"}))
        shared.send("stored")
        assert_all_have(one, ["one", "stored"])
        with queue_crowd(server, "shared") as crowd:
            shared.notify(json.dumps({"html": "again"}))
            assert_all_have(crowd, ["again"])
        assert listens(postgres, shared) == ["LISTEN"]


def test_loop_that_was_held_up_finds_what_it_missed(serve, native_database, publisher):
    """More than what may wait for it comes meanwhile, and the other has it without delay."""
    server = serve(
        native_database, "--loops", "2", "--max-connections", "2", "--refuse-softly", "never",
        "--safety-poll", NEVER,
    )  # fmt: skip
    with full_crowd(server, 2) as crowd:
        with held(threads(server.process.pid)[-1]):
            # All of it is dropped with the flood: only a look finds it.
            publisher.send("one")
            publisher.send("two")
            for batch in range(50):
                flood(publisher, batch)
                # A client that is behind could have what comes next from the store.
                wait_until(lambda: count_of_flooded(batch, crowd) == 1, "the flood at one loop")
            expected = ["one", "two"]
            wait_until(lambda: count_of_those_with(expected, crowd) == 1, "both at one loop")
            assert count_of_those_with([], crowd) == 1
        server.wait_for_line("was held up", "a word about the loop")
        crowd.wait(lambda client: stored(client) == expected, "both at all")
        publisher.notify("afterwards")
        expected = [*expected, "afterwards"]
        crowd.wait(lambda client: stored(client) == expected, "what came afterwards")


def flood(publisher, batch):
    """190 kB that are kept nowhere, so that whoever misses them has nothing to read."""
    publisher.session.execute(
        "SELECT millstream.publish_ephemeral('chat', data) FROM unnest(%s::text[]) AS data",
        [[f"flood {batch}.{number} " + "x" * 7_500 for number in range(25)]],
    )


def count_of_flooded(batch, crowd):
    """How many clients have all of the flood up to this batch by now."""
    crowd.has(lambda client: True)
    last = f"flood {batch}.24 "
    # A heartbeat may be the very last.
    return sum(
        any(block.is_broadcast and block.data.startswith(last) for block in client.stream.blocks[-2:])
        for client in crowd.clients
    )


def stored(client):
    """What `client` has been sent that is no flood."""
    sent = [block.data for block in client.stream.blocks if block.is_broadcast]
    return [data for data in sent if not data.startswith("flood")]


def count_of_those_with(expected, crowd):
    """How many clients have been sent exactly this by now."""
    crowd.has(lambda client: True)
    return sum(stored(client) == expected for client in crowd.clients)


def full_crowd(server, count):
    """As many clients as there is room for, so that each loop has its share."""
    clients = []
    while len(clients) < count:
        client = server.open("chat", path=native_path("chat"))
        if client.head.status == 200:
            clients.append(client)
        else:
            client.close()
    return Crowd(clients).connected()


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
            ready = next(line for line in server.stderr if " info ready " in line)
        finally:
            server.terminate()
            server.communicate()
    assert f" loops={len(os.sched_getaffinity(0))} " in ready
