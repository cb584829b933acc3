"""A stream whose ids begin anew: everybody is told, and gets all of the new stream once."""

import json

from harness.native import Publisher
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
