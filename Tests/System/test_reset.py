"""A stream whose ids begin anew: everybody is told, and gets all of the new stream once."""

import json

import psycopg

from harness.native import Publisher
from harness.pgmq import Queue
from harness.postgres import execute
from harness.server import native_path

RESET = "pgbus:gap-detected"


def _told_of_the_reset(client):
    gap = client.expect(lambda block: block.event == RESET, "gap frame")
    assert gap.id is None, "a gap moves no cursor"
    return json.loads(gap.data)


def test_queue_that_is_dropped_and_made_again(server, queue):
    with server.subscribe("chat") as client:
        last = queue.send_many(["a", "b", "c"])[-1]
        client.broadcasts(3)
        queue.session.execute("SELECT pgmq.drop_queue(%s)", [queue.name])
        queue.create()
        queue.send_many(["new 1", "new 2"])
        assert _told_of_the_reset(client) == {
            "lastSeenId": last,
            "archiveOldestId": 0,
            "reason": "reset",
        }
        assert [(block.number, block.data) for block in client.broadcasts(2)] == [
            (1, "new 1"),
            (2, "new 2"),
        ]


def test_queue_that_is_made_again_and_has_more_than_before(server, queue):
    """All at once: the wake-up finds ids that could follow those of the old queue."""
    with server.subscribe("chat") as client:
        queue.send_many(["a", "b"])
        client.broadcasts(2)
        with queue.session.transaction():
            queue.session.execute("SELECT pgmq.drop_queue(%s)", [queue.name])
            queue.create()
            queue.send_many(["1", "2", "3", "4"])
        block = client.expect(lambda block: not block.is_comment, "event")
        assert block.event == RESET, f"a message of the new queue as one of the old: {block.raw!r}"
        assert [block.data for block in client.broadcasts(4)] == ["1", "2", "3", "4"]


def test_queue_that_is_emptied_with_its_ids(server, queue):
    with server.subscribe("chat") as client:
        queue.send_many(["a", "b", "c"])
        client.broadcasts(3)
        queue.session.execute(f'TRUNCATE pgmq."{queue.table}" RESTART IDENTITY')
        queue.send("new")
        _told_of_the_reset(client)
        assert client.broadcast().data == "new"


def test_cursor_above_all_that_exists(server, queue):
    queue.send_many(["a", "b"])
    with server.subscribe("chat", since=1000) as client:
        assert _told_of_the_reset(client)["lastSeenId"] == 1000
        assert [block.data for block in client.broadcasts(2)] == ["a", "b"]
        queue.send("c")
        assert client.broadcast().data == "c"


def test_cursor_of_an_earlier_native_stream(native_server, publisher, native_database):
    publisher.send("a")
    with native_server.subscribe("chat", path=native_path("chat"), since="1-deadbeef") as client:
        assert _told_of_the_reset(client)["lastSeenId"] == 1
        assert client.broadcast().data == "a"


def test_native_stream_that_is_removed_and_made_again(native_server, native_database):
    with Publisher(native_database, "chat") as publisher:
        with native_server.subscribe("chat", path=native_path("chat")) as client:
            publisher.send("a")
            first = client.broadcast()
            execute(native_database, "DELETE FROM millstream.messages")
            execute(native_database, "DELETE FROM millstream.streams")
            publisher.send("b")
            _told_of_the_reset(client)
            second = client.broadcast()
            assert (second.number, second.data) == (1, "b")
            assert second.id != first.id, "the epoch tells them apart"


def test_queue_that_is_made_again_while_its_first_look_waits(serve, pgmq_database):
    """What the first look was told of the old queue says nothing of the new one."""
    with Queue(pgmq_database, "chat") as queue, psycopg.connect(pgmq_database) as session:
        queue.create(throttle_ms=None)
        for number in range(10):
            queue.send_to(session, {"html": f"old {number}"})
        server = serve(pgmq_database, "--safety-poll", "100ms")
        with server.open("chat") as client:
            assert not client.has_block(limit=0.3), "a look has to wait for the open transaction"
            session.execute("SELECT pgmq.drop_queue(%s)", [queue.name])
            session.execute("SELECT pgmq.create(%s)", [queue.name])
            session.commit()
            client.connection_id()
            queue.send("new")
            block = client.expect(lambda block: not block.is_comment, "event")
            assert (block.data, block.number) == ("new", 1), block.raw
