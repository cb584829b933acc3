"""Where retention has removed what a cursor asks for, the client is told before it gets the rest."""

import json

import pytest

from harness.postgres import execute
from harness.server import native_path
from harness.waiting import wait_until

GAP = "pgbus:gap-detected"


def gap_of(client):
    """The gap frame, which is the next that is no comment."""
    frame = client.expect(lambda block: not block.is_comment, "frame")
    assert frame.event == GAP, frame.raw
    assert frame.id is None, "a gap moves no cursor"
    return json.loads(frame.data)


def expire(queue, through):
    """Retention, as pgbus does it: rows go from the front of the queue and of the archive."""
    for table in (queue.table, queue.table.replace("q_", "a_", 1)):
        queue.session.execute(f'DELETE FROM pgmq."{table}" WHERE msg_id <= %s', [through])


def numbers(blocks):
    return [block.number for block in blocks]


def test_cursor_that_retention_has_overtaken(server, queue):
    ids = queue.send_many(["a", "b", "c", "d"])
    queue.archive(*ids)
    expire(queue, ids[2])
    with server.subscribe("chat", last_event_id=ids[0]) as client:
        assert gap_of(client) == {"lastSeenId": ids[0], "archiveOldestId": ids[3]}
        assert numbers(client.broadcasts(1)) == [ids[3]]
        last = queue.send("e")
        assert numbers(client.broadcasts(1)) == [last]


def test_cursor_just_below_what_is_left(server, queue):
    ids = queue.send_many(["a", "b", "c"])
    expire(queue, ids[1])
    with server.subscribe("chat", last_event_id=ids[1]) as client:
        assert client.expect(lambda block: not block.is_comment).number == ids[2]


def test_everything_that_is_kept_has_no_gap(server, queue):
    ids = queue.send_many(["a", "b", "c"])
    expire(queue, ids[1])
    with server.subscribe("chat", since=0) as client:
        assert client.expect(lambda block: not block.is_comment).number == ids[2]


def test_holes_that_rollbacks_left_are_no_gap(server, queue):
    first = queue.send("a")
    queue.continue_ids_at(first + 100)
    second = queue.send("b")
    with server.subscribe("chat", last_event_id=first) as client:
        assert client.expect(lambda block: not block.is_comment).number == second


def test_purge_leaves_nothing(server, queue):
    ids = queue.send_many(["a", "b", "c"])
    queue.purge()
    with server.subscribe("chat", last_event_id=ids[0]) as client:
        assert gap_of(client) == {"lastSeenId": ids[0], "archiveOldestId": ids[2] + 1}
        last = queue.send("d")
        assert numbers(client.broadcasts(1)) == [last]


def test_what_came_and_went_while_postgres_was_away(serve, postgres, queue, pgmq_database):
    server = serve(pgmq_database)
    with server.subscribe("chat") as client:
        seen = queue.send("a")
        client.broadcasts(1)
        server.send_signal(19)  # SIGSTOP: it sees nothing of what follows
        database = pgmq_database.rpartition("dbname=")[2]
        postgres.terminate_backends(database)
        wait_until(lambda: not postgres.backends(database), "the end of what was being asked")
        lost = queue.send_many(["b", "c"])
        expire(queue, lost[-1])
        last = queue.send("d")
        server.send_signal(18)  # SIGCONT
        assert gap_of(client) == {"lastSeenId": seen, "archiveOldestId": last}
        assert numbers(client.broadcasts(1)) == [last]


@pytest.mark.parametrize("rest", [0, 1])
def test_native_retention(native_server, publisher, native_database, rest):
    publisher.send_many(["a", "b", "c", "d"])
    execute(native_database, "DELETE FROM millstream.messages WHERE id <= %s", 4 - rest)
    with native_server.subscribe(
        "chat", path=native_path("chat"), last_event_id=1
    ) as client:
        assert gap_of(client) == {"lastSeenId": 1, "archiveOldestId": 5 - rest}
        publisher.send("e")
        assert numbers(client.broadcasts(1 + rest)) == [4, 5][1 - rest :]
