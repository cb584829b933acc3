"""Closing from the server: by connection, member and stream, through `millstream.close` in the database, and
by nobody who may not call that."""

import json
import re

import psycopg
import pytest
from psycopg import errors

from harness.manystreams import Event, ManyStreams, Pattern
from harness.native import Publisher
from harness.pgmq import Queue
from harness.server import native_path, run, stream_path
from harness.tokens import SECRET, bearer
from harness.waiting import wait_until

CLOSED = "millstream:closed"


@pytest.fixture
def start(serve, full_database, tmp_path):
    """Starts servers that take tokens, with two loops."""
    secrets = tmp_path / "jwt-secrets"
    secrets.write_text(SECRET + "\n")

    def start(*flags, database=full_database):
        return serve(database, "--jwt-secret-file", str(secrets), "--loops", "2", *flags)

    return start


@pytest.fixture
def session(full_database):
    with psycopg.connect(full_database, autocommit=True) as session:
        yield session


@pytest.fixture
def close(session):
    """Calls `millstream.close` with named arguments."""

    def close(**options):
        named = ", ".join(f"{name} => %s" for name in options)
        session.execute(f"SELECT millstream.close({named})", list(options.values()))

    return close


@pytest.fixture
def publish(full_database):
    with Publisher(full_database, "chat") as publisher:

        def publish(stream, data):
            publisher.stream = stream
            publisher.send(data)

        yield publish


def subscribe(server, name="chat", member=None, path=native_path, last_id=None, **options):
    fields = [] if member is None else [bearer({"sub": member})]
    fields += [] if last_id is None else [f"Last-Event-ID: {last_id}"]
    client = server.get(path(name), *fields, **options)
    assert client.head.status == 200
    client.id = client.connection_id()
    return client


def reason_of(client):
    """What a client is told before its end."""
    last = [block for block in client.read_to_end() if not block.is_comment][-1]
    assert last.event == CLOSED, last.raw
    assert last.id is None
    return json.loads(last.data)["reason"]


def wait_until_heard(server, target, loops=2):
    """Every loop has closed what it had of it: nobody who comes from now on is meant."""
    line = re.compile(rf'the application closes connections loop=\d+ target="?{re.escape(target)}"?$')
    wait_until(lambda: sum(bool(line.search(said)) for said in list(server.log)) == loops, "all have heard it")


def assert_open(publish, *clients, stream="chat"):
    """They have what is published now, and nothing but broadcasts before."""
    publish(stream, "still there")
    for client in clients:
        assert client.broadcast().data == "still there"
        assert not any(block.event == CLOSED for block in client.stream.blocks)


# What is closed


def test_a_connection(start, close, publish):
    server = start()
    client, other = subscribe(server), subscribe(server)
    close(connection=client.id, reason='moved "on"\nto elsewhere')
    assert reason_of(client) == 'moved "on"\nto elsewhere'
    assert_open(publish, other)
    close(connection=other.id.upper())
    assert reason_of(other) == "closed"
    server.wait_for_line("the application closes connections", "what was asked for")


def test_a_member_in_all_tabs_of_all_loops_of_all_processes(start, close, publish):
    servers = [start(), start()]
    tabs = [subscribe(server, name, "7") for server in servers for name in ("chat", "other") * 4]
    others = [subscribe(server, "chat", member) for server in servers for member in ("70", None)]
    close(member="7", reason="signed out")
    assert {reason_of(tab) for tab in tabs} == {"signed out"}
    assert_open(publish, *others)


def test_a_stream_of_either_store_or_of_both(start, close, publish, full_database):
    server = start()
    with Queue(full_database, "chat") as queue:
        queue.create()

        def both():
            return subscribe(server), subscribe(server, path=stream_path)

        native, queued = both()
        other = subscribe(server, "chat2")
        close(stream="chat", store="pgmq")
        assert reason_of(queued) == "closed"
        assert_open(publish, native)
        close(stream="chat", store="native", reason="over")
        assert reason_of(native) == "over"
        wait_until_heard(server, "native stream chat")
        pair = both()
        close(stream="chat")
        assert [reason_of(client) for client in pair] == ["closed"] * 2
        assert_open(publish, other, stream="chat2")


def test_whoever_comes_back_reads_on_and_is_not_closed_again(start, close, publish):
    server = start()
    client, other = subscribe(server, member="7"), subscribe(server, member="8")
    publish("chat", "seen")
    seen = client.broadcast()
    close(member="7")
    assert reason_of(client) == "closed"
    publish("chat", "missed")
    wait_until_heard(server, "member 7")
    # It says where it was: its loop may not have heard of what was missed yet.
    again = subscribe(server, member="7", last_id=seen.id)
    assert again.broadcast().data == "missed"
    late = server.subscribe("chat", path=native_path("chat"), last_event_id=seen.id)
    assert late.broadcast().data == "missed"
    close(member="8")
    assert reason_of(other) == "closed"
    assert_open(publish, again)


def test_one_stream_of_many_on_a_connection(start, close, publish):
    server = start()
    with ManyStreams(server, "a", "b", "c") as many:
        for name in "abc":
            publish(name, "first")
        many.events(3)
        close(stream="b", reason="over")
        end = many.event()
        assert (end.stream, end.event, end.id) == ("b", CLOSED, None)
        assert json.loads(end.data) == {"reason": "over"}
        for name in "bac":
            publish(name, "second")
        assert [(event.stream, event.data) for event in many.events(2)] == [
            ("a", "second"), ("c", "second")]
        last = many.last_event_id
    for store in ("native", "pgmq"):
        wait_until_heard(server, f"{store} stream b")
    # Its place is kept for when it is let in again.
    with ManyStreams(server, "a", "b", "c", last_event_id=last) as many:
        event = many.event()
        assert (event.stream, event.data) == ("b", "second")


def test_the_place_of_a_stream_that_was_closed_alone_is_free(start, close):
    server = start("--max-per-stream", "1", "--refuse-softly", "never")

    def status(name):
        with server.get(native_path(name)) as client:
            return client.head.status

    with ManyStreams(server, "a", "b") as many:
        assert status("b") == 503
        close(stream="b")
        assert many.event().event == CLOSED
        wait_until_heard(server, "native stream b")
        wait_until(lambda: status("b") == 200, "its place")
        assert status("a") == 503
    wait_until(lambda: status("a") == 200, "the other place")
    assert status("b") == 200


def test_the_others_go_on_whatever_the_closed_one_was_in_the_middle_of(start, close, session):
    """A frame that was sent in part, and a page of which the others wait for their turn."""
    server = start("--write-deadline", "60s", "--minimum-rate", "0")
    fill = "SELECT millstream.publish(%s, repeat('x', %s)) FROM generate_series(1, %s)"
    session.execute(fill, ["a", 200_000, 40])
    session.execute(fill, ["b", 200_000, 40])
    slow = {"receive_buffer_bytes": 4096}
    events = []

    def count(stream):
        return [event.stream for event in events].count(stream)

    with ManyStreams(server, ("a", 0), ("b", 0), options=slow) as many:
        while count("a") == 0:
            events.append(many.event())
        close(stream="a")
        server.wait_for_line("the application closes connections", "it was heard")
        while count("b") < 40 or not any(event.event == CLOSED for event in events):
            events.append(many.event())
    of_a = [event for event in events if event.stream == "a"]
    assert of_a[-1].event == CLOSED and 1 < len(of_a) < 40
    numbers = [event.number for event in of_a[:-1]]
    assert numbers == list(range(1, len(of_a)))
    assert all(len(event.data) == 200_000 for event in of_a[:-1])
    of_b = [event.number for event in events if event.stream == "b"]
    assert of_b == list(range(1, 41))


def test_the_last_stream_takes_its_connection_along(start, close):
    server = start()
    with ManyStreams(server, "a", "b") as many:
        close(stream="a")
        assert many.event().stream == "a"
        close(stream="b")
        *_, end = many.client.read_to_end()
        assert (Event(end).stream, end.event) == ("b", CLOSED)


def test_a_stream_of_a_pattern_stays_away(start, close, publish):
    server = start()
    with ManyStreams(server, Pattern("room:*")) as many:
        publish("room:1", "first")
        many.event()
        close(stream="room:1")
        assert many.event().event == CLOSED
        publish("room:1", "not for it")
        publish("room:2", "new")
        assert (many.event().stream, many.client.stream.blocks) == ("room:2", [])


@pytest.mark.parametrize("what", ["connection", "member"])
def test_a_connection_of_many_streams_as_a_whole(start, close, what):
    server = start()
    with ManyStreams(server, "a", "b", fields=[bearer({"sub": "7"})]) as many:
        close(**{what: many.id if what == "connection" else "7"})
        assert reason_of(many.client) == "closed"


# Who may


@pytest.fixture
def role(session):
    """A role that may use the schema, and publish."""
    session.execute("CREATE ROLE close_test LOGIN")
    session.execute("GRANT USAGE ON SCHEMA millstream TO close_test")
    session.execute("GRANT EXECUTE ON FUNCTION millstream.publish TO close_test")
    yield "close_test"
    session.execute("DROP OWNED BY close_test")
    session.execute("DROP ROLE close_test")


def as_role(database, role):
    return database.replace("user=postgres", f"user={role}")


def test_it_needs_a_grant(start, close, publish, session, full_database, role):
    client = subscribe(start(), member="7")
    with psycopg.connect(as_role(full_database, role), autocommit=True) as other:
        for statement in (
            "SELECT millstream.close(member => '7')",
            "INSERT INTO millstream.controls (member) VALUES ('7')",
            "SELECT * FROM millstream.controls",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                other.execute(statement)
        for payload in ("", "1", '{"member":"7"}'):
            other.execute("SELECT pg_notify('millstream_control', %s)", [payload])
        other.execute("SELECT pg_notify('millstream', %s)", ['{"member":"7"}'])
        assert_open(publish, client)
        done = run("close", "--member", "7", "--database", as_role(full_database, role))
        assert done.returncode == 1 and b"GRANT EXECUTE ON FUNCTION millstream.close" in done.stderr
        session.execute(f"GRANT EXECUTE ON FUNCTION millstream.close TO {role}")
        other.execute("SELECT millstream.close(member => '7', reason => 'granted')")
    assert reason_of(client) == "granted"


@pytest.mark.parametrize("arguments", [
    "", "member => '7', stream => 'chat'", "connection => 'xyz'", "member => ''", "stream => repeat('x', 513)",
    "stream => 'chat', store => 'other'", "member => '7', store => 'pgmq'",
    "member => '7', reason => repeat('x', 513)",
])
def test_what_it_does_not_take(session, arguments):
    with pytest.raises(errors.InvalidParameterValue, match="^millstream: "):
        session.execute(f"SELECT millstream.close({arguments})")


def test_a_server_that_may_not_read_it_says_so(start, session, close, publish, full_database, role):
    session.execute(f"GRANT SELECT ON millstream.streams, millstream.messages TO {role}")
    server = start("--store", "native", database=as_role(full_database, role))
    client = subscribe(server, member="7")
    server.wait_for_line("may not read millstream.controls", "what is missing")
    close(member="7")
    assert_open(publish, client)
    done = run("doctor", "--database", as_role(full_database, role))
    assert b"GRANT SELECT ON millstream.controls" in done.stdout
    session.execute(f"GRANT SELECT ON millstream.controls TO {role}")
    close(member="7", reason="now")
    assert reason_of(client) in ("closed", "now")


# When it is heard


def test_the_order_of_commits_does_not_matter(start, close, session, full_database, publish):
    server = start()
    first, second, third = (subscribe(server, member=member) for member in "123")
    with psycopg.connect(full_database) as slow:
        slow.execute("SELECT millstream.close(member => '1')")
        close(member="2")
        assert reason_of(second) == "closed"
        with session.transaction(force_rollback=True):
            session.execute("SELECT millstream.close(member => '3')")
        wait_until_heard(server, "member 2")
        second = subscribe(server, member="2")
        assert_open(publish, first, second, third)
        slow.commit()
        assert reason_of(first) == "closed"
        assert_open(publish, second, third)


def test_what_was_asked_for_while_a_server_was_cut_off(postgres, start, close, session, full_database):
    name = full_database.rpartition("dbname=")[2]
    server = start()
    clients = [subscribe(server, member="7") for _ in range(4)]
    postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        assert postgres.terminate_backends(name) >= 2
        wait_until(lambda: not postgres.backends(name), "it is cut off")
        close(member="7", reason="meanwhile")
    finally:
        postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert {reason_of(client) for client in clients} == {"meanwhile"}


def test_what_was_asked_for_before_a_server_was_there(start, close, publish):
    close(member="7")
    client = subscribe(start(), member="7")
    assert_open(publish, client)


def test_many_at_once_from_one_statement(start, session, publish):
    server = start()
    clients = [subscribe(server, member=str(number)) for number in range(0, 2400, 100)]
    other = subscribe(server)
    session.execute("SELECT millstream.close(member => n::text) FROM generate_series(0, 2500) AS n")
    assert {reason_of(client) for client in clients} == {"closed"}
    assert_open(publish, other)


def test_old_ones_are_removed(session, close):
    close(member="old")
    session.execute("UPDATE millstream.controls SET created_at = created_at - interval '11 minutes'")
    close(member="new")
    assert session.execute("SELECT member FROM millstream.controls").fetchall() == [("new",)]


def test_a_client_that_takes_nothing(start, close, publish):
    """It has seconds, and not the write deadline."""
    server = start("--write-deadline", "10m", "--minimum-rate", "0")
    slow = subscribe(server, receive_buffer_bytes=4096)
    for _ in range(40):
        publish("chat", "x" * 200_000)
    descriptors = server.descriptor_count()
    close(stream="chat")
    wait_until(lambda: server.descriptor_count() < descriptors, "it is gone", 20)
    slow.close()


# Installing, and the command


def as_version_1(session):
    session.execute(
        "DROP FUNCTION millstream.close; DROP TABLE millstream.controls; DROP SEQUENCE millstream.control_ids;"
        "UPDATE millstream.schema_version SET version = 1")


def test_an_older_schema_is_brought_up_to_date(start, close, session, publish, full_database):
    as_version_1(session)
    client = subscribe(start(), member="7")
    assert b"run 'millstream install'" in run("doctor", "--database", full_database).stdout
    assert b"millstream install" in run("close", "--member", "7", "--database", full_database).stderr
    session.execute("SELECT pg_notify('millstream_control', '')")
    assert_open(publish, client)
    done = run("install", "--database", full_database)
    assert b"from version 1 to version 2" in done.stdout
    assert run("doctor", "--database", full_database).returncode == 0
    close(member="7")
    assert reason_of(client) == "closed"


def test_without_the_schema_there_is_none(serve, pgmq_database):
    server = serve(pgmq_database, "--store", "pgmq")
    server.subscribe("chat", path=stream_path("chat")).close()
    assert b"there is no millstream.close()" in run("doctor", "--database", pgmq_database).stdout
    assert not any("millstream.controls" in line for line in server.log)


def test_the_command(start, full_database):
    server = start()
    clients = [subscribe(server, member="7") for _ in range(3)]
    targets = ["--connection", clients[0].id], ["--member", "7"], ["--stream", "chat"]
    for client, target in zip([clients[0], clients[1], subscribe(server)], targets):
        done = run("close", *target, "--reason", target[0][2:], "--database", full_database)
        assert (done.returncode, done.stdout) == (0, b""), done.stderr
        assert reason_of(client) == target[0][2:]
    assert reason_of(clients[2]) == "member"
    for wrong in ([], ["--member", "a", "--stream", "b"], ["--connection", "x"], ["--stream", ""]):
        assert run("close", *wrong, "--database", full_database).returncode == 64, wrong
