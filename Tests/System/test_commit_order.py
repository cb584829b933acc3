"""PGMQ takes ids before the commit: what becomes visible late is delivered all the same, in order."""

import contextlib
import json
import threading
import time

import psycopg
import pytest

from harness.crowd import Crowd
from harness.pgmq import Queue

# Wake-ups are switched off where two transactions are open at once: PGMQ's trigger would make the
# second wait for the first.
NO_TRIGGER = {"throttle_ms": None}
# The default of --hole-wait.
HOLE_WAIT_SECONDS = 10


@pytest.fixture
def quiet(pgmq_database):
    """The queue of `chat` without a trigger; its messages are found by the safety look."""
    with Queue(pgmq_database, "chat") as queue:
        yield queue.create(**NO_TRIGGER)


@pytest.fixture
def session(pgmq_database):
    """A session that is in a transaction from its first statement on."""
    with psycopg.connect(pgmq_database) as session:
        yield session


def looking(serve, database, *flags):
    """A server that looks often."""
    return serve(database, "--safety-poll", "100ms", *flags)


def datas(blocks):
    return [block.data for block in blocks]


def assert_no_broadcast(client, limit):
    """No message comes within `limit` seconds (heartbeats may)."""
    deadline = time.monotonic() + limit
    while client.has_block(max(0.0, deadline - time.monotonic())):
        block = client.next_block()
        assert not block.is_broadcast, block.raw


# Open transactions


def test_what_lies_above_an_open_transaction_waits_for_it(serve, quiet, session, pgmq_database):
    server = looking(serve, pgmq_database)
    with server.subscribe("chat") as client:
        first = quiet.send_to(session, {"html": "first"})
        second = quiet.send("second")
        assert_no_broadcast(client, 1)
        session.commit()
        blocks = client.broadcasts(2)
    assert [(block.number, block.data) for block in blocks] == [
        (first, "first"),
        (second, "second"),
    ]


def test_rolled_back_ids_are_not_waited_for(serve, quiet, session, pgmq_database):
    server = looking(serve, pgmq_database)
    with server.subscribe("chat") as client:
        quiet.send_to(session, {"html": "never"})
        session.rollback()
        started = time.monotonic()
        quiet.send("second")
        assert client.broadcast().data == "second"
        assert time.monotonic() - started < HOLE_WAIT_SECONDS / 2


def test_rollback_frees_what_waits_for_it(serve, quiet, session, pgmq_database):
    server = looking(serve, pgmq_database)
    with server.subscribe("chat") as client:
        quiet.send_to(session, {"html": "never"})
        quiet.send("second")
        assert_no_broadcast(client, 0.5)
        session.rollback()
        assert client.broadcast().data == "second"


def test_large_batch_beside_single_sends(serve, quiet, session, pgmq_database):
    server = looking(serve, pgmq_database)
    with server.subscribe("chat") as client:
        ids = session.execute(
            "SELECT pgmq.send_batch(%s, array_agg(jsonb_build_object('html', n::text)))"
            " FROM generate_series(1, 5000) AS n",
            [quiet.name],
        ).fetchall()
        singles = [quiet.send(f"single {n}") for n in range(20)]
        session.commit()
        blocks = client.broadcasts(5020)
    assert [block.number for block in blocks] == [id for (id,) in ids] + singles


def test_archiving_reading_and_deleting_hold_nothing_up(serve, quiet, session, pgmq_database):
    old = quiet.send_many(["a", "b", "c"])
    server = looking(serve, pgmq_database)
    with server.subscribe("chat") as client:
        session.execute("SELECT pgmq.archive(%s, %s::bigint)", [quiet.name, old[0]])
        session.execute("SELECT pgmq.delete(%s, %s::bigint)", [quiet.name, old[1]])
        session.execute("SELECT * FROM pgmq.read(%s, 30, 1)", [quiet.name])
        with psycopg.connect(pgmq_database) as other:
            quiet.send_to(other, {"html": "never"})
            other.rollback()
        started = time.monotonic()
        quiet.send("new")
        assert client.broadcast().data == "new"
        assert time.monotonic() - started < HOLE_WAIT_SECONDS / 2


def test_idle_transaction_elsewhere_delays_nothing(serve, quiet, session, pgmq_database):
    with Queue(pgmq_database, "other") as other:
        other.create(**NO_TRIGGER)
        other.send_to(session, {"html": "open"})
    server = looking(serve, pgmq_database)
    with server.subscribe("chat") as client, psycopg.connect(pgmq_database) as gone:
        quiet.send_to(gone, {"html": "never"})
        gone.rollback()
        started = time.monotonic()
        quiet.send("new")
        assert client.broadcast().data == "new"
        assert time.monotonic() - started < HOLE_WAIT_SECONDS / 2


# Longer than --hole-wait


def test_transaction_that_is_open_for_too_long(serve, quiet, session, pgmq_database):
    server = looking(serve, pgmq_database, "--hole-wait", "3s")
    with server.subscribe("chat") as client:
        late = quiet.send_to(session, {"html": "late"})
        quiet.send("second")
        assert client.broadcast(limit=15).data == "second"
        # Whoever was waited for in vain once holds nobody up again.
        quiet.send_to(session, {"html": "late too"})
        started = time.monotonic()
        quiet.send("fourth")
        assert client.broadcast().data == "fourth"
        assert time.monotonic() - started < 2.5
        session.commit()
        blocks = client.broadcasts(2, limit=10)
        assert datas(blocks) == ["late", "late too"]
        assert [block.id for block in blocks] == [None, None]
        quiet.send("fifth")
        assert client.broadcast().data == "fifth"
    lines = [line for line in server.log if "open for too long" in line]
    assert len(lines) == 1 and f"ids={late}-{late}" in lines[0], lines


def test_resuming_below_what_came_late(serve, quiet, session, pgmq_database):
    """It was out of order for those who were connected; for others it is where it belongs."""
    before = quiet.send("before")
    server = looking(serve, pgmq_database, "--hole-wait", "300ms")
    with server.subscribe("chat") as client:
        late = quiet.send_to(session, {"html": "late"})
        after = quiet.send("after")
        assert client.broadcast().data == "after"
        session.commit()
        assert client.broadcast().data == "late"
        with server.subscribe("chat", since=before) as resumed:
            assert [block.number for block in resumed.broadcasts(2)] == [late, after]
            quiet.send("last")
            assert client.broadcast().data == resumed.broadcast().data == "last"


def test_no_wait_at_all(serve, quiet, session, pgmq_database):
    server = looking(serve, pgmq_database, "--hole-wait", "0s")
    with server.subscribe("chat") as client:
        quiet.send_to(session, {"html": "late"})
        quiet.send("second")
        assert client.broadcast().data == "second"
        session.commit()
        assert client.broadcast().data == "late"


# Those who come meanwhile


def test_from_now_on_begins_below_the_lowest_open_hole(serve, quiet, session, pgmq_database):
    quiet.send("before")
    quiet.send_to(session, {"html": "open"})
    quiet.send("above")
    server = looking(serve, pgmq_database)
    with server.subscribe("chat") as client:
        session.commit()
        assert datas(client.broadcasts(2)) == ["open", "above"]


def test_from_now_on_is_now_where_holes_are_of_old(serve, quiet, session, pgmq_database):
    quiet.send("before")
    with psycopg.connect(pgmq_database) as gone:
        quiet.send_to(gone, {"html": "never"})
        gone.rollback()
    quiet.send("before, too")
    server = looking(serve, pgmq_database)
    with server.subscribe("chat") as client:
        quiet.send("new")
        assert client.broadcast().data == "new"


def test_who_comes_while_messages_are_held_back(serve, quiet, session, pgmq_database):
    before = quiet.send("before")
    server = looking(serve, pgmq_database)
    with server.subscribe("chat") as first:
        quiet.send_to(session, {"html": "open"})
        quiet.send("above")
        assert_no_broadcast(first, 0.5)
        with server.subscribe("chat") as now, server.subscribe("chat", since=before) as resumed:
            session.commit()
            for client in (first, now, resumed):
                assert datas(client.broadcasts(2)) == ["open", "above"]


def test_resuming_reads_nothing_past_an_open_hole(serve, quiet, session, pgmq_database):
    quiet.send_many(str(n) for n in range(600))
    quiet.send_to(session, {"html": "open"})
    quiet.send("above")
    server = looking(serve, pgmq_database)
    with server.subscribe("chat", since=0) as client:
        assert len(client.broadcasts(600)) == 600
        assert_no_broadcast(client, 0.5)
        session.commit()
        assert datas(client.broadcasts(2)) == ["open", "above"]


# Many at once


def send_flat_out(database, texts, failures, deferred):
    """One transaction for each text, as fast as it goes; PGMQ's trigger fires at once or at the end."""
    try:
        with Queue(database, "chat") as queue:
            for text in texts:
                with queue.session.transaction():
                    if deferred:
                        queue.session.execute("SET CONSTRAINTS ALL DEFERRED")
                    queue.send(text)
    except Exception as failure:
        failures.append(failure)


@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize("throttle_ms", [0, 250])
def test_sixteen_senders_flat_out(serve, pgmq_database, throttle_ms, deferred):
    with Queue(pgmq_database, "chat") as queue:
        queue.create(throttle_ms=throttle_ms)
    server = serve(pgmq_database)
    senders, each = 16, 60
    failures = []
    with Crowd(server.subscribe("chat") for _ in range(4)) as crowd, contextlib.ExitStack() as stack:
        for sender in range(senders):
            texts = [f"{sender}.{number}" for number in range(each)]
            arguments = (pgmq_database, texts, failures, deferred)
            thread = threading.Thread(target=send_flat_out, args=arguments)
            thread.start()
            stack.callback(thread.join)
        received = crowd.broadcasts(senders * each, limit=60)
    assert not failures
    for blocks in received:
        ids = [block.number for block in blocks]
        assert ids == sorted(ids) and len(set(datas(blocks))) == senders * each


# Broadcasts that are not stored


def test_ephemeral_broadcasts_overtake_nothing(server, queue):
    """A later stored one may overtake them: a read finds it before its wake-up is heard."""
    with server.subscribe("chat") as client:
        queue.notify_until_heard(client)
        for number in range(200):
            queue.send(f"stored {number}")
            queue.notify(json.dumps({"html": f"ephemeral {number}"}))
        blocks = client.broadcasts(400)
    ephemerals = [block.data for block in blocks if block.id is None]
    assert ephemerals == [f"ephemeral {number}" for number in range(200)]
    for number in range(200):
        assert datas(blocks).index(f"stored {number}") < datas(blocks).index(f"ephemeral {number}")
