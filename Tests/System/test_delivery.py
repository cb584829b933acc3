"""Proves that what is committed is delivered: once, in id order, to who is connected and to who
comes back with a cursor; and what is rolled back never. Both stores."""

import contextlib
import functools
import re
import threading

import psycopg
import pytest

from harness.crowd import Crowd
from harness.native import Publisher
from harness.pgmq import Queue
from harness.postgres import execute
from harness.server import native_path


def datas(blocks):
    """What the broadcasts say."""
    return [block.data for block in blocks]


def assert_in_order(blocks):
    """Ids only ever grow: nothing comes twice and nothing comes late."""
    numbers = [block.number for block in blocks]
    assert numbers == sorted(set(numbers)), f"out of order or doubled: {numbers[:50]}"


@contextlib.contextmanager
def meanwhile(work):
    """Runs `work` beside the body, and ends when both have ended."""
    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        worker.join()


def native(server, **options):
    """A client on the stream `chat` of the native store."""
    return server.subscribe("chat", path=native_path("chat"), **options)


def numbered(count):
    return [str(number) for number in range(count)]


# With the application's own transaction


def test_commit_delivers_and_rollback_never(server, queue, pgmq_database):
    execute(pgmq_database, "CREATE TABLE orders (id int)")
    with server.subscribe("chat") as client, psycopg.connect(pgmq_database) as session:
        session.execute("INSERT INTO orders VALUES (1)")
        queue.send_to(session, {"html": "rolled back"})
        session.rollback()
        session.execute("INSERT INTO orders VALUES (2)")
        queue.send_to(session, {"html": "committed"})
        session.commit()
        assert client.broadcast().data == "committed"
    assert execute(pgmq_database, "SELECT id FROM orders") == [(2,)]


def test_nothing_comes_before_the_commit(server, queue, pgmq_database):
    """The steps: one transaction takes id 1 and waits; a later one takes id 2 and commits."""
    queue.session.execute("SELECT pgmq.disable_notify_insert(%s)", [queue.name])
    with server.subscribe("chat") as client, psycopg.connect(pgmq_database) as session:
        first = queue.send_to(session, {"html": "first"})
        second = queue.send("second")
        session.commit()
        blocks = client.broadcasts(2)
    assert [block.number for block in blocks] == [first, second]
    assert datas(blocks) == ["first", "second"]


def test_two_thousand_in_one_transaction(server, queue):
    with server.subscribe("chat") as client:
        queue.send_many(numbered(2000))
        blocks = client.broadcasts(2000)
    assert datas(blocks) == numbered(2000)
    assert_in_order(blocks)


def test_two_thousand_on_connecting(server, queue):
    queue.send_many(numbered(2000))
    with server.subscribe("chat", since=0) as client:
        assert datas(client.broadcasts(2000)) == numbered(2000)


def test_many_small_transactions(server, queue):
    with server.subscribe("chat") as client:
        for data in numbered(300):
            queue.send(data)
        assert datas(client.broadcasts(300)) == numbered(300)


def test_connecting_while_messages_are_sent(server, queue):
    """Subscribe, catch up, go live: whatever the moment, nothing is missed and nothing doubled."""
    with meanwhile(lambda: [queue.send(data) for data in numbered(400)]):
        with Crowd(server.open("chat", since=0) for _ in range(40)) as crowd:
            for got in crowd.broadcasts(400):
                assert datas(got) == numbered(400)
                assert_in_order(got)


# Cursors


def test_cursor_by_query_and_by_header(server, queue):
    ids = queue.send_many(["a", "b", "c"])
    with server.subscribe("chat", since=ids[0]) as client:
        assert datas(client.broadcasts(2)) == ["b", "c"]
    with server.subscribe("chat", last_event_id=ids[1]) as client:
        assert client.broadcast().data == "c"


def test_the_header_wins(server, queue):
    ids = queue.send_many(["a", "b", "c"])
    with server.subscribe("chat", since=ids[0], last_event_id=ids[1]) as client:
        assert client.broadcast().data == "c"
    with server.subscribe("chat", since=ids[1], last_event_id=ids[0]) as client:
        assert client.broadcast().data == "b"


def test_blank_counts_as_absent(server, queue):
    ids = queue.send_many(["a", "b", "c"])
    with server.subscribe("chat", since=ids[1], last_event_id="") as client:
        assert client.broadcast().data == "c"


def test_since_zero_is_all_that_is_there(server, queue):
    queue.send_many(["a", "b"])
    with server.subscribe("chat", since=0) as client:
        queue.send("c")
        assert datas(client.broadcasts(3)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "cursor",
    [{}, {"since": ""}, {"last_event_id": ""}, {"since": -1}, {"last_event_id": -1248}],
    ids=["none", "blank query", "blank header", "negative query", "negative header"],
)
def test_no_cursor_is_from_now_on(server, queue, cursor):
    queue.send_many(["a", "b"])
    with server.subscribe("chat", **cursor) as client:
        queue.send("c")
        assert client.broadcast().data == "c"


def test_cursor_above_the_last_id(server, queue):
    queue.send("below")
    with server.subscribe("chat", since=1000) as client:
        queue.continue_ids_at(1001)
        queue.send("above")
        assert client.expect(lambda block: block.number == 1001, "message 1001").data == "above"


@pytest.mark.parametrize("cursor", [2**62, 2**63 - 1])
def test_huge_cursor_harms_nobody(server, queue, cursor):
    with server.subscribe("chat", since=cursor), server.subscribe("chat") as other:
        queue.send("x")
        assert other.broadcast().data == "x"


def test_each_cursor_gets_its_own_rest(server, queue):
    ids = queue.send_many(numbered(30))
    clients = [server.open("chat", since=id) for id in [0, *ids[:-1]]]
    with Crowd(clients) as crowd:
        crowd.wait(lambda client: any(b.number == ids[-1] for b in client.stream.blocks), "the end")
        for skipped, client in enumerate(crowd.clients):
            assert datas(crowd.take(client)) == numbered(30)[skipped:]


# Queues of every kind


def test_queue_that_is_created_later(server, pgmq_database):
    with Queue(pgmq_database, "later") as queue:
        with server.subscribe("later") as live, server.subscribe("later", since=0) as replaying:
            queue.create()
            queue.send_many(["a", "b"])
            assert datas(live.broadcasts(2)) == ["a", "b"]
            assert datas(replaying.broadcasts(2)) == ["a", "b"]


def test_queue_that_is_created_and_filled_in_one_transaction(server, pgmq_database):
    with server.subscribe("later") as client, psycopg.connect(pgmq_database) as session:
        session.execute("SELECT pgmq.create('pgbus_later')")
        session.execute("SELECT pgmq.enable_notify_insert('pgbus_later', 0)")
        session.execute("""SELECT pgmq.send('pgbus_later', '{"html": "x"}')""")
        session.commit()
        assert client.broadcast().data == "x"


def test_queue_with_capital_letters(server, pgmq_database):
    with Queue(pgmq_database, "ChatRoom") as queue:
        queue.create().send("before")
        with server.subscribe("ChatRoom", since=0) as client:
            assert client.broadcast().data == "before"
            queue.send("after")
            assert client.broadcast().data == "after"


def test_queue_with_the_default_throttle(server, pgmq_database):
    """A burst has at most a first notification, and none at its end."""
    with Queue(pgmq_database, "chat") as queue, server.subscribe("chat") as client:
        queue.create(throttle_ms=250)
        for data in numbered(30):
            queue.send(data)
        assert datas(client.broadcasts(30, limit=10)) == numbered(30)


def test_queue_that_never_notifies(server, pgmq_database):
    """A wake-up is a hint: a stream with subscribers is looked at now and then anyway."""
    with Queue(pgmq_database, "chat") as queue, server.subscribe("chat") as client:
        queue.create(throttle_ms=None).send("x")
        assert client.broadcast().data == "x"


def test_queue_whose_throttle_row_is_lost(server, queue):
    queue.session.execute("TRUNCATE pgmq.notify_insert_throttle")
    with server.subscribe("chat") as client:
        queue.send("x")
        assert client.broadcast().data == "x"


def test_three_names_on_one_queue(server, pgmq_database):
    with Queue(pgmq_database, "a:b") as queue:
        assert queue.create().name == "pgbus_a_b"
        with Crowd(server.subscribe(name) for name in ("a:b", "a-b", "a_b")) as crowd:
            queue.send("x")
            assert [datas(got) for got in crowd.broadcasts(1)] == [["x"]] * 3


def test_another_queue_prefix(serve, pgmq_database):
    server = serve(pgmq_database, "--queue-prefix", "app")
    execute(pgmq_database, "SELECT pgmq.create('app_chat')")
    with server.subscribe("chat") as client:
        execute(pgmq_database, """SELECT pgmq.send('app_chat', '{"html": "x"}')""")
        assert client.broadcast().data == "x"


def test_streams_are_kept_apart(server, queue, pgmq_database):
    with Queue(pgmq_database, "other") as other, server.subscribe("chat") as client:
        other.create().send("other")
        queue.send("ours")
        assert client.broadcast().data == "ours"


# The archive


def test_archived_messages_are_replayed_in_their_places(server, queue):
    ids = queue.send_many(numbered(20))
    queue.archive(*ids[3:9], *ids[12::2])
    with server.subscribe("chat", since=0) as client:
        blocks = client.broadcasts(20)
    assert datas(blocks) == numbered(20)
    assert_in_order(blocks)


def test_a_queue_that_is_archived_altogether(server, queue):
    queue.archive(*queue.send_many(numbered(5)))
    with server.subscribe("chat", since=0) as client:
        queue.send("5")
        assert datas(client.broadcasts(6)) == numbered(6)


def test_archiving_while_messages_are_read(server, queue, pgmq_database):
    """Two queries could miss a row that moves between them; and nothing may come twice."""

    def send_and_archive():
        for data in numbered(200):
            queue.archive(queue.send(data))

    with meanwhile(send_and_archive):
        with Crowd(server.open("chat", since=0) for _ in range(10)) as crowd:
            for got in crowd.broadcasts(200):
                assert datas(got) == numbered(200)


def test_purging_keeps_the_ids_going(server, queue):
    with server.subscribe("chat") as client:
        last = queue.send_many(["a", "b"])[-1]
        client.broadcasts(2)
        queue.purge()
        queue.send("c")
        after = client.broadcast()
        assert (after.data, after.number) == ("c", last + 1)
        # Whoever comes now may get what is still in memory, but gets what is in the queue once.
        with server.subscribe("chat", since=last) as other:
            assert other.broadcast().data == "c"


def test_rows_are_read_and_nothing_else(server, queue, pgmq_database):
    """The streamer is a spectator: no row is claimed, changed or removed."""
    queue.send_many(numbered(10))
    before = execute(pgmq_database, f"SELECT q.*, q.xmin FROM pgmq.{queue.table} q ORDER BY 1")
    with server.subscribe("chat", since=0) as client:
        client.broadcasts(10)
    after = execute(pgmq_database, f"SELECT q.*, q.xmin FROM pgmq.{queue.table} q ORDER BY 1")
    assert after == before


# The native store


def test_native_commit_delivers_and_rollback_never(native_server, native_database):
    with native(native_server) as client, psycopg.connect(native_database) as session:
        session.execute("SELECT millstream.publish('chat', 'rolled back')")
        session.rollback()
        session.execute("SELECT millstream.publish('chat', 'committed')")
        session.commit()
        block = client.broadcast()
    assert (block.data, block.number) == ("committed", 1), "ids are without holes"


def test_native_ids_are_given_out_at_the_commit(native_server, publisher, native_database):
    """The steps: one transaction publishes and waits; a later one publishes and commits first."""
    with native(native_server) as client, psycopg.connect(native_database) as session:
        session.execute("SELECT millstream.publish('chat', 'published first')")
        publisher.send("committed first")
        session.commit()
        blocks = client.broadcasts(2)
    assert datas(blocks) == ["committed first", "published first"]
    assert [block.number for block in blocks] == [1, 2]


def test_native_two_thousand_in_one_transaction(native_server, publisher):
    with native(native_server) as client, native(native_server, since=0) as replaying:
        publisher.send_many(numbered(2000))
        for reader in (client, replaying):
            blocks = reader.broadcasts(2000)
            assert datas(blocks) == numbered(2000)
            assert [block.number for block in blocks] == list(range(1, 2001))


def test_native_replay(native_server, publisher):
    publisher.send_many(["a", "b", "c"])
    with native(native_server, since=0) as client:
        blocks = client.broadcasts(3)
    assert datas(blocks) == ["a", "b", "c"]
    assert all(re.fullmatch(r"\d+-[0-9a-f]+", block.id) for block in blocks), blocks
    for cursor in (blocks[0].id, blocks[0].number):
        with native(native_server, last_event_id=cursor) as client:
            assert datas(client.broadcasts(2)) == ["b", "c"]
        with native(native_server, since=cursor) as client:
            assert datas(client.broadcasts(2)) == ["b", "c"]


def test_native_no_cursor_is_from_now_on(native_server, publisher):
    publisher.send("before")
    with native(native_server) as client:
        publisher.send("after")
        assert client.broadcast().data == "after"


@pytest.mark.parametrize("length", [7_900, 8_000, 100_000, 1_000_000])
def test_native_data_too_large_for_a_notification(native_server, publisher, length):
    data = ("0123456789" * (length // 10 + 1))[:length]
    with native(native_server) as client:
        publisher.send(data)
        # The next one makes the log drop a frame that alone fills it, while the client is in the middle of it.
        publisher.send("after")
        assert datas(client.broadcasts(2)) == [data, "after"]


def test_native_small_and_large_in_one_transaction(native_server, publisher):
    """Some ride in their notification and some have to be read: the order is kept all the same."""
    expected = [str(n) if n % 3 else str(n) * 5000 for n in range(60)]
    with native(native_server) as client:
        publisher.send_many(expected)
        assert datas(client.broadcasts(60)) == expected


def test_native_ephemeral_is_not_stored(native_server, publisher):
    with native(native_server) as client:
        publisher.notify("gone")
        publisher.send("kept")
        assert datas(client.broadcasts(2)) == ["gone", "kept"]
    with native(native_server, since=0) as client:
        assert client.broadcast().data == "kept"


def test_native_streams_are_kept_apart(native_server, publisher, native_database):
    with Publisher(native_database, "other") as other, native(native_server) as client:
        other.send("other")
        publisher.send("ours")
        block = client.broadcast()
    assert (block.data, block.number) == ("ours", 1)


def test_public_streams_need_no_signature(serve, native_database):
    server = serve(native_database, "--public", "demo:*", "--public", "news")
    for name in ("demo:feed", "demo:", "news"):
        with Publisher(native_database, name) as publisher:
            with server.subscribe(name, path=f"/streams/{name}") as client:
                publisher.send("x")
                assert client.broadcast().data == "x"
    for name in ("chat", "news2", "xdemo:feed", "demo"):
        with server.open(name, path=f"/streams/{name}") as client:
            assert client.head.status == 404, name


def test_publishers_in_opposite_order_do_not_deadlock(native_server, native_database):
    orders = (["chat", "room"], ["room", "chat"])
    with native(native_server) as client:
        failures = []
        with contextlib.ExitStack() as publishers:
            for order in orders:
                work = functools.partial(_publish_often, native_database, order, failures)
                publishers.enter_context(meanwhile(work))
        assert not failures, failures
        blocks = client.broadcasts(200)
    assert [block.number for block in blocks] == list(range(1, 201))


def _publish_often(database, streams, failures):
    """A hundred transactions that each publish to `streams` in this order."""
    try:
        with psycopg.connect(database) as session:
            for _ in range(100):
                for stream in streams:
                    session.execute("SELECT millstream.publish(%s, 'x')", [stream])
                session.commit()
    except psycopg.Error as failure:
        failures.append(repr(failure))


def test_both_stores_at_once(serve, full_database):
    server = serve(full_database)
    assert "stores=pgmq,native" in server.ready_line
    with Queue(full_database, "chat") as queue, Publisher(full_database, "chat") as publisher:
        queue.create()
        with server.subscribe("chat") as of_pgmq, native(server) as of_native:
            queue.send("from pgmq")
            publisher.send("from native")
            assert of_pgmq.broadcast().data == "from pgmq"
            assert of_native.broadcast().data == "from native"
