"""Queues that somebody has locked, maimed or filled oddly: their own stream waits, no other does."""

import psycopg
import pytest

from harness.pgmq import Queue


@pytest.fixture
def other(pgmq_database):
    """A healthy queue beside the odd one."""
    with Queue(pgmq_database, "other") as queue:
        yield queue.create()


def _still_delivers(client, queue, text="healthy"):
    queue.send(text)
    assert client.broadcast().data == text


def test_locked_queue(server, queue, other, pgmq_database):
    with server.subscribe("chat") as chat, server.subscribe("other") as healthy:
        _still_delivers(chat, queue, "before")
        with psycopg.connect(pgmq_database) as vacuum:
            vacuum.execute(f'LOCK TABLE pgmq."{queue.table}" IN ACCESS EXCLUSIVE MODE')
            queue.session.execute("SELECT pg_notify(%s, '')", [f"pgmq.{queue.table}.INSERT"])
            for number in range(3):
                _still_delivers(healthy, other, str(number))
            vacuum.rollback()
        _still_delivers(chat, queue, "after")


def test_archive_that_is_missing(server, queue, other):
    with server.subscribe("chat") as chat, server.subscribe("other") as healthy:
        _still_delivers(chat, queue, "before")
        queue.session.execute(f'DROP TABLE pgmq."a_{queue.name}"')
        queue.send("unreadable for the moment")
        _still_delivers(healthy, other)
        queue.session.execute(f'CREATE TABLE pgmq."a_{queue.name}" (LIKE pgmq."{queue.table}")')
        assert chat.broadcast().data == "unreadable for the moment"


def test_page_of_a_queue_that_is_gone(server, queue, other):
    queue.send_many(["a", "b"])
    with server.subscribe("chat"), server.subscribe("other") as healthy:
        queue.session.execute("SELECT pgmq.drop_queue(%s)", [queue.name])
        with server.subscribe("chat", since=0) as late:
            _still_delivers(healthy, other)
            queue.create()
            queue.send("new")
            assert late.broadcast().data == "new"


@pytest.mark.parametrize("name", ["chat_msg_id_seq", "chat_vt_idx", "chat_pkey"])
def test_name_of_something_that_is_no_table(server, queue, name):
    with server.subscribe(name), server.subscribe("chat") as client:
        _still_delivers(client, queue)


def test_rows_without_a_message(server, queue):
    with server.subscribe("chat") as client:
        queue.session.execute(
            f'INSERT INTO pgmq."{queue.table}" (vt, message) '
            "SELECT now(), NULL FROM generate_series(1, 600)"
        )
        queue.send("behind them")
        assert [block.data for block in client.broadcasts(601)] == [""] * 600 + ["behind them"]


def test_ids_above_the_sequence(server, queue):
    """Ids that somebody else gives out are delivered, and not taken for a stream that went back."""
    with server.subscribe("chat") as client:
        _still_delivers(client, queue, "1")
        queue.session.execute(
            f'INSERT INTO pgmq."{queue.table}" (msg_id, vt, message) '
            "OVERRIDING SYSTEM VALUE SELECT 1000, now(), '{\"html\": \"foreign\"}'"
        )
        assert client.broadcast().data == "foreign"
