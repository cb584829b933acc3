"""Rows for pgbus's dashboard: what is written of PGMQ streams, in how many statements, and what if it cannot be."""

import contextlib

import pytest

from harness.native import Publisher
from harness.pgmq import Queue
from harness.postgres import execute
from harness.server import native_path
from harness.waiting import wait_until

# As pgbus's migration makes it; Rails keeps times without a zone.
TABLE = """
CREATE TABLE pgbus_stream_stats (
  id bigserial PRIMARY KEY, stream_name varchar NOT NULL, event_type varchar NOT NULL,
  duration_ms integer NOT NULL DEFAULT 0, fanout integer, created_at timestamp(6) NOT NULL)
"""


def rows(database, event):
    return execute(
        database,
        "SELECT stream_name, duration_ms, fanout FROM pgbus_stream_stats WHERE event_type = %s"
        " ORDER BY id", event)


@pytest.fixture
def chat(full_database):
    with Queue(full_database, "chat") as queue:
        yield queue.create()


def test_what_happens_is_written(serve, full_database, chat):
    execute(full_database, TABLE)
    execute(full_database, "CREATE TABLE statements (at timestamptz DEFAULT clock_timestamp())")
    execute(
        full_database,
        "CREATE FUNCTION count_statement() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN INSERT INTO statements DEFAULT VALUES; RETURN NULL; END $$")
    execute(
        full_database,
        "CREATE TRIGGER counted AFTER INSERT ON pgbus_stream_stats EXECUTE FUNCTION count_statement()")
    server = serve(full_database, "--statistics")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.subscribe("chat")) for _ in range(3)]
        native = stack.enter_context(server.subscribe("n", path=native_path("n")))
        publisher = stack.enter_context(Publisher(full_database, "n"))
        for number in range(20):
            chat.send(str(number))
            clients[0].broadcast()
        publisher.send("not pgbus's")
        native.broadcast()
        wait_until(lambda: len(rows(full_database, "broadcast")) == 20, "the broadcasts")
    # The last words are said before it has ended.
    server.stop()
    assert rows(full_database, "connect") == [("chat", 0, None)] * 3
    assert {row[2] for row in rows(full_database, "broadcast")} == {3}
    assert [row[0] for row in rows(full_database, "disconnect")] == ["chat"] * 3
    statements = execute(full_database, "SELECT count(*) FROM statements")[0][0]
    assert statements < 10
    recent = "SELECT bool_and(created_at > now() AT TIME ZONE 'UTC' - interval '1 minute') FROM pgbus_stream_stats"
    assert execute(full_database, recent) == [(True,)]


def test_without_the_table_there_is_one_warning(serve, full_database, chat):
    server = serve(full_database, "--statistics")
    with server.subscribe("chat") as client:
        line = server.wait_for_line("statistics are off", "a warning")
        assert "pgbus_stream_stats" in line
        chat.send("still delivered")
        assert client.broadcast().data == "still delivered"
    server.stop()
    assert server.log_text().count("statistics are off") == 1


def test_nothing_is_written_unless_asked_for(serve, full_database, chat, postgres):
    execute(full_database, TABLE)
    server = serve(full_database)
    with server.subscribe("chat") as client:
        chat.send("one")
        client.broadcast()
        assert postgres.backends(full_database.rpartition("dbname=")[2], "millstream write") == []
    server.stop()
    assert rows(full_database, "connect") == []
