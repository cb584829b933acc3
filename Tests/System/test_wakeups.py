"""Wake-ups that never come: whatever swallows them, a committed message arrives within the safety
look, or within the throttle where that is the cause; and `doctor` names each cause."""

import contextlib
import re
import time

import psycopg
import pytest

from harness.crowd import Crowd
from harness.native import Publisher
from harness.pgbouncer import PgBouncer
from harness.pgmq import Queue, pgmq_sql
from harness.postgres import execute
from harness.server import native_path, run
from harness.waiting import wait_until

pytestmark = pytest.mark.alone
SAFETY_POLL_SECONDS = 1
# What a message may take on a busy machine beside the wait that is asserted.
GRACE_SECONDS = 6
# A look that no test waits for.
NEVER = "1h"


@pytest.fixture
def poller(serve, full_database):
    """A server that looks after streams every second."""
    return serve(full_database, "--safety-poll", f"{SAFETY_POLL_SECONDS}s")


@pytest.fixture
def chat(full_database):
    """The queue of the stream `chat`."""
    with Queue(full_database, "chat") as queue:
        yield queue.create()


def doctor(database, *arguments):
    """What `doctor` says, and its exit status."""
    done = run("doctor", "--database", database, "--timeout", "2s", *arguments)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def assert_named(database, *words, fails=True, arguments=()):
    """One line of the doctor's, or the remedy below it, has all of these words."""
    status, said = doctor(database, *arguments)
    assert status == (1 if fails else 0), said
    lines = re.split(r"\n(?! )", said)
    found = [line for line in lines if all(word in line for word in words)]
    assert found, f"no {words} in:\n{said}"
    assert found[0].startswith("FAIL" if fails else "warn"), found[0]


def assert_in_time(client, send, seconds=SAFETY_POLL_SECONDS):
    """What `send` commits is there within `seconds`, several times in a row."""
    for number in range(3):
        began = time.monotonic()
        send(f"{number}")
        assert client.broadcast(limit=seconds + GRACE_SECONDS).data == f"{number}"
        assert time.monotonic() - began < seconds + GRACE_SECONDS


# Each cause, and the safety look


def test_trigger_that_was_dropped(poller, chat, full_database):
    chat.session.execute("SELECT pgmq.disable_notify_insert(%s)", [chat.name])
    with poller.subscribe("chat") as client:
        assert_in_time(client, chat.send)
    assert_named(full_database, chat.name, "trigger", "missing or disabled")


def test_trigger_that_is_disabled(poller, chat, full_database):
    chat.session.execute(f'ALTER TABLE pgmq."{chat.table}" DISABLE TRIGGER USER')
    with poller.subscribe("chat") as client:
        assert_in_time(client, chat.send)
    assert_named(full_database, chat.name, "trigger", "missing or disabled")


def test_throttle_row_that_a_crash_takes(postgres, serve, chat, full_database):
    """The table of the throttles is unlogged: a real crash empties it."""
    server = serve(full_database, "--safety-poll", f"{SAFETY_POLL_SECONDS}s")
    with server.subscribe("chat") as client:
        # An unlogged table that was checkpointed is emptied all the same.
        postgres.execute("CHECKPOINT")
        postgres.stop_hard()
        postgres.start()
        with Queue(full_database, "chat") as queue:
            lost = queue.session.execute("SELECT FROM pgmq.notify_insert_throttle").fetchall()
            assert not lost, "the crash has taken nothing"
            queue.send("after the crash")
            assert client.broadcast(limit=60).data == "after the crash"
            assert_in_time(client, queue.send)
    assert_named(full_database, chat.name, "notify_insert_throttle", "lost in a crash")


def test_capital_letter(poller, full_database):
    with Queue(full_database, "ChatRoom") as queue:
        queue.create()
        with poller.subscribe("ChatRoom") as client:
            assert_in_time(client, queue.send)
        assert_named(full_database, queue.name, "capital letters", fails=False)


def test_trigger_that_only_replication_fires(poller, chat, full_database):
    """An application that sends with session_replication_role = replica fires no trigger."""
    chat.session.execute("SET session_replication_role = replica")
    with poller.subscribe("chat") as client:
        assert_in_time(client, chat.send)


def test_commit_long_after_a_throttled_insert(serve, chat, full_database):
    """The trigger decides when the row is inserted; nothing tells of a commit that comes later."""
    chat.create(throttle_ms=300)
    look = f"{SAFETY_POLL_SECONDS}s"
    server = serve(full_database, "--safety-poll", look, "--heartbeat", "1h")
    with server.subscribe("chat") as client, psycopg.connect(full_database) as slow:
        chat.send("wakes")
        chat.send_to(slow, {"html": "silent"})
        assert client.broadcast().data == "wakes"
        assert not client.has_block(limit=0.9)
        slow.commit()
        assert client.broadcast(limit=SAFETY_POLL_SECONDS + GRACE_SECONDS).data == "silent"


def test_commit_after_several_looks(serve, chat, full_database):
    """The id is taken, the looks find nothing, and nothing tells of the commit."""
    chat.session.execute("SELECT pgmq.disable_notify_insert(%s)", [chat.name])
    server = serve(full_database, "--safety-poll", "500ms", "--heartbeat", "1h")
    with server.subscribe("chat") as client, psycopg.connect(full_database) as slow:
        chat.send("before")
        assert client.broadcast().data == "before"
        chat.send_to(slow, {"html": "slow"})
        assert not client.has_block(limit=3)
        slow.commit()
        block = client.broadcast(limit=0.5 + GRACE_SECONDS)
        assert (block.number, block.data) == (2, "slow")


# The throttle, with a look that never comes


@pytest.mark.parametrize("throttle_ms", [250, 1000])
def test_throttled_queue(serve, full_database, throttle_ms):
    server = serve(full_database, "--safety-poll", NEVER)
    with Queue(full_database, "chat") as queue:
        queue.create(throttle_ms=throttle_ms)
        with server.subscribe("chat") as client:
            for round in range(3):
                texts = [f"{round}.{number}" for number in range(5)]
                for text in texts:
                    queue.send(text)
                seconds = throttle_ms / 1000 + GRACE_SECONDS
                assert [block.data for block in client.broadcasts(5, limit=seconds)] == texts
    assert_named(full_database, queue.name, "throttled", f"{throttle_ms} ms", fails=False)


def test_burst_of_several_throttles(serve, full_database):
    """Each wake-up begins a throttle; the last one's counts, wherever in it the burst ends."""
    server = serve(full_database, "--safety-poll", NEVER)
    with Queue(full_database, "chat") as queue, server.subscribe("chat") as client:
        queue.create(throttle_ms=200)
        for milliseconds in range(220, 420, 20):
            deadline = time.monotonic() + milliseconds / 1000
            texts = []
            while time.monotonic() < deadline:
                texts.append(f"{milliseconds}.{len(texts)}")
                queue.send(texts[-1])
            got = client.broadcasts(len(texts), limit=0.2 + GRACE_SECONDS)
            assert [block.data for block in got] == texts


def test_throttle_that_began_before_the_client_came(serve, full_database):
    """Nobody heard the wake-up that began it; the next message falls into it, and sends none."""
    server = serve(full_database, "--safety-poll", NEVER, "--heartbeat", "1h")
    with Queue(full_database, "chat") as queue, server.subscribe("other"):
        queue.create(throttle_ms=3000).send("begins the throttle")
        with server.subscribe("chat") as client:
            # All looks that its coming causes are over.
            assert not client.has_block(limit=0.5)
            queue.send("falls into it")
            assert client.broadcast(limit=3 + GRACE_SECONDS).data == "falls into it"


def test_throttle_where_pgmq_is_installed_later(serve, database):
    """The session began where there was no table of throttles."""
    server = serve(database, "--safety-poll", NEVER)
    with server.subscribe("chat") as client:
        execute(database, pgmq_sql())
        with Queue(database, "chat") as queue:
            queue.create(throttle_ms=1000).send("first")
            assert client.broadcast().data == "first"
            queue.send("second")
            assert client.broadcast(limit=1 + GRACE_SECONDS).data == "second"


def test_throttle_of_a_queue_that_is_made_later(serve, full_database):
    """The wake-up that shows the queue comes before its throttle is known."""
    server = serve(full_database, "--safety-poll", NEVER)
    with server.subscribe("chat") as client, Queue(full_database, "chat") as queue:
        queue.create(throttle_ms=1000)
        queue.send("first")
        assert client.broadcast().data == "first"
        queue.send("second")
        assert client.broadcast(limit=1 + GRACE_SECONDS).data == "second"


def test_throttle_that_began_while_postgres_was_away(serve, postgres, full_database):
    """The session is cut off, and what began the throttle was sent before it is back."""
    server = serve(full_database, "--safety-poll", NEVER)
    with Queue(full_database, "chat") as queue:
        queue.create(throttle_ms=5000)
        with server.subscribe("chat") as client:
            name = full_database.rpartition("dbname=")[2]
            wait_until(lambda: len(postgres.backends(name)) >= 2, "both sessions")
            postgres.terminate_backends(name)
            queue.send("begins the throttle")
            assert client.broadcast().data == "begins the throttle"
            queue.send("falls into it")
            assert client.broadcast(limit=5 + GRACE_SECONDS).data == "falls into it"


def test_throttle_of_clients_that_came_before_postgres(serve, postgres, full_database):
    """The first look after the log-in has to know of the throttle, too."""
    with Queue(full_database, "chat") as queue:
        queue.create(throttle_ms=1000)
    postgres.stop()
    server = serve(full_database, "--safety-poll", NEVER)
    with server.subscribe("chat", since=0) as client:
        postgres.start()
        with Queue(full_database, "chat") as queue:
            queue.create(throttle_ms=1000).send("first")
            assert client.broadcast(limit=60).data == "first"
            queue.send("second")
            assert client.broadcast(limit=1 + GRACE_SECONDS).data == "second"


# Poolers


@pytest.fixture
def pooler(postgres):
    """PgBouncer with transaction pooling."""
    with PgBouncer(postgres.port) as pooler:
        yield pooler


def test_pooler_for_both_sessions(serve, pooler, chat, full_database):
    pooled = pooler.conninfo(full_database.rpartition("dbname=")[2])
    server = serve(pooled, "--safety-poll", f"{SAFETY_POLL_SECONDS}s")
    with Publisher(full_database, "chat") as publisher, contextlib.ExitStack() as clients:
        pgmq = clients.enter_context(server.subscribe("chat"))
        native = clients.enter_context(server.subscribe("chat", path=native_path("chat")))
        assert_in_time(pgmq, chat.send)
        assert_in_time(native, publisher.send)
    assert_named(pooled, "LISTEN", "pooler", "swallows", "--listen-database")


def test_pooler_for_the_reading_session_only(serve, pooler, chat, full_database):
    pooled = pooler.conninfo(full_database.rpartition("dbname=")[2])
    server = serve(pooled, "--listen-database", full_database, "--safety-poll", NEVER)
    with Publisher(full_database, "chat") as publisher, contextlib.ExitStack() as clients:
        pgmq = clients.enter_context(server.subscribe("chat"))
        native = clients.enter_context(server.subscribe("chat", path=native_path("chat")))
        assert_in_time(pgmq, chat.send, seconds=0)
        assert_in_time(native, publisher.send, seconds=0)
    status, said = doctor(pooled, "--listen-database", full_database)
    assert status == 0, said
    assert "ok   LISTEN" in said, said


def test_pooler_of_sessions_is_only_warned_of(postgres, chat, full_database):
    with PgBouncer(postgres.port, pool_mode="session") as pooler:
        pooled = pooler.conninfo(full_database.rpartition("dbname=")[2])
        assert_named(pooled, "LISTEN", "pooler stands in the way", fails=False)


# The notification queue
#
# Up to Postgres 16 it holds 8 GB and nothing makes it smaller, so no test fills it. What `doctor`
# asks of it is answered by functions of the same names, found before those of pg_catalog.


def _with_stand_in(database, *functions):
    execute(database, "CREATE SCHEMA stand_in")
    for function in functions:
        execute(database, f"CREATE FUNCTION stand_in.{function}")
    return f"{database} options='-c search_path=stand_in,pg_catalog,public'"


USAGE = "pg_notification_queue_usage() RETURNS float8 LANGUAGE sql AS 'SELECT {}::float8'"
REFUSAL = """pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  RAISE 'too many notifications in the NOTIFY queue' USING ERRCODE = '54000'; END $$"""


def test_notification_queue_that_fills(chat, full_database):
    asked = _with_stand_in(full_database, USAGE.format("0.73"))
    assert_named(asked, "notification queue", "73 % full", "pg_stat_activity", fails=False)


def test_notification_queue_that_is_full(chat, full_database):
    asked = _with_stand_in(full_database, USAGE.format("1"), REFUSAL)
    assert_named(asked, "notification queue", "100 % full", "pg_stat_activity")


def test_listener_that_holds_the_queue_is_named(postgres, chat, full_database):
    """A session that listens and stays in its transaction: nothing behind it is freed."""
    asked = _with_stand_in(full_database, USAGE.format("0.6"))
    with psycopg.connect(full_database, autocommit=True) as held:
        held.execute("LISTEN held")
        held.execute("BEGIN")
        held.execute("SELECT 1")
        assert_named(asked, "notification queue", f"pid {held.info.backend_pid}", fails=False)


# What the looks cost


def _statements(postgres, database):
    """How many statements a server's reading session has run, by what they begin with."""
    rows = execute(
        postgres.conninfo("postgres"),
        "SELECT s.query, s.calls FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid"
        " WHERE d.datname = %s",
        database,
    )
    return {
        "looks": sum(calls for query, calls in rows if "WITH ORDINALITY" in query),
        "reads": sum(calls for query, calls in rows if 'message FROM pgmq."q_' in query),
    }


@pytest.fixture
def counted(postgres):
    """The cluster, which counts statements."""
    postgres.stop()
    postgres.settings["shared_preload_libraries"] = "pg_stat_statements"
    postgres.start()
    postgres.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    yield postgres
    postgres.stop()
    del postgres.settings["shared_preload_libraries"]
    postgres.start()


def _looks_of(serve, counted, database, names, intervals=3):
    """The looks and reads of `intervals` safety intervals, with a subscriber on each stream; the
    looks of each interval, the reads of all.

    A stream that somebody has come to is read once and looked at soon after: that is over when a
    whole interval has read nothing.
    """
    server = serve(database, "--store", "pgmq", "--safety-poll", "1s", "--health-check", "1h")
    name = database.rpartition("dbname=")[2]

    def interval():
        # What is counted goes by the clock, so here it is time that is waited for.
        before, since = _statements(counted, name), time.monotonic()
        wait_until(lambda: time.monotonic() >= since + 1, "the interval", limit=10)
        after, seconds = _statements(counted, name), time.monotonic() - since
        return {
            "looks": (after["looks"] - before["looks"]) / seconds,
            "reads": after["reads"] - before["reads"],
        }

    with Crowd(server.open(stream) for stream in names) as crowd:
        crowd.connected()
        wait_until(lambda: interval()["reads"] == 0, "an interval without a read", limit=30)
        counts = [interval() for _ in range(intervals)]
    server.stop()
    return {
        "looks": max(count["looks"] for count in counts),
        "reads": sum(count["reads"] for count in counts),
    }


def test_looks_do_not_grow_with_the_streams(serve, counted, pgmq_database):
    names = [f"room{number}" for number in range(1000)]
    execute(
        pgmq_database, "SELECT pgmq.create('pgbus_room' || n) FROM generate_series(0, 99) AS n"
    )
    few = _looks_of(serve, counted, pgmq_database, names[:20])
    many = _looks_of(serve, counted, pgmq_database, names)
    print(f"looks of 20 streams: {few}, of 1,000: {many}")
    # A tick is 50 ms: no more than 20 looks in a second, each for many streams.
    assert 0 < many["looks"] <= 20 + 5
    assert many["reads"] <= few["reads"] + 5, "a look that finds nothing new reads nothing"


def test_looks_at_queues_whose_sequence_is_ahead(serve, counted, pgmq_database):
    """After a rollback, a crash or a promotion no message has the highest id, perhaps for long."""
    execute(
        pgmq_database,
        "SELECT pgmq.create(q), pgmq.send(q, '{}'), nextval('pgmq.q_' || q || '_msg_id_seq')"
        " FROM (SELECT 'pgbus_room' || n AS q FROM generate_series(0, 99) AS n) AS queues",
    )
    names = [f"room{number}" for number in range(100)]
    counts = _looks_of(serve, counted, pgmq_database, names)
    print(f"looks of 100 queues whose sequence is ahead: {counts}")
    assert counts["reads"] <= len(names) + 20, "the first look at each may read, no later one"


def test_no_look_at_streams_without_subscribers(serve, counted, pgmq_database):
    name = pgmq_database.rpartition("dbname=")[2]
    server = serve(pgmq_database, "--store", "pgmq", "--safety-poll", "200ms")
    with server.subscribe("chat"):
        wait_until(lambda: _statements(counted, name)["looks"] > 3, "looks at the stream")
    # A stream lingers without being looked at; one that was under way may still count.
    before = wait_until(lambda: _quiet_for_a_second(counted, name), "an end of the looks")
    assert before


def _quiet_for_a_second(counted, name):
    before = _statements(counted, name)["looks"]
    deadline = time.monotonic() + 1
    wait_until(lambda: time.monotonic() >= deadline, "a second")
    return _statements(counted, name)["looks"] == before
