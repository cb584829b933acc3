"""Who is on a stream: joins, leaves and lists, counted by member across connections, loops and processes; in
pgbus's table, and in the native schema's."""

import contextlib
import json
import re
import shlex
import subprocess
import time

import psycopg
import pytest

from harness.admin import Admin, promtool
from harness.application import Application
from harness.article import blocks, command, text_of
from harness.manystreams import ManyStreams
from harness.pgmq import Queue
from harness.postgres import execute
from harness.presence import PGBUS_TABLE, TABLES, Visitor, claims, names, next_of, rows
from harness.server import run
from harness.tokens import SECRET, bearer
from harness.waiting import wait_until

GRACE = 0.6


@pytest.fixture(params=["pgmq", "native"])
def store(request):
    return request.param


@pytest.fixture
def presence_database(full_database):
    execute(full_database, PGBUS_TABLE)
    # Whatever its owner set: Rails' times are in UTC.
    execute(full_database, "ALTER ROLE postgres SET TimeZone = 'Asia/Tokyo'")
    yield full_database
    execute(full_database, "ALTER ROLE postgres RESET TimeZone")


@pytest.fixture
def present(serve, presence_database, tmp_path):
    """Starts servers that tell who is there."""
    secret = tmp_path / "jwt-secrets"
    secret.write_text(SECRET + "\n")

    def start(*flags, **options):
        return serve(
            presence_database, "--presence", "room:*", "--presence-grace", "600ms",
            "--jwt-secret-file", str(secret), *flags, **options)

    return start


# Joins and leaves


def test_who_comes_and_who_goes_is_told(present, presence_database, store):
    server = present()
    with Visitor(server, "ann", store=store) as ann:
        first = ann.arrived()
        assert (names(first), first["present"]) == (["ann"], 1)
        bob = Visitor(server, "bob", store=store, metadata={"name": 'B "o" b\n', "é": [1]})
        joined = ann.expect("join", "bob")
        assert joined == {
            "type": "join", "member": "bob", "metadata": {"name": 'B "o" b\n', "é": [1]},
            "present": 2}
        members = bob.arrived()
        assert members["members"] == [
            {"member": "ann", "metadata": {}},
            {"member": "bob", "metadata": {"name": 'B "o" b\n', "é": [1]}}]
        assert rows(presence_database, store) == ["ann", "bob"]
        began = time.monotonic()
        bob.close()
        left = ann.expect("leave", "bob")
        assert time.monotonic() - began >= GRACE
        assert left == {
            "type": "leave", "member": "bob", "metadata": {"name": 'B "o" b\n', "é": [1]},
            "present": 1}
        assert rows(presence_database, store) == ["ann"]
    wait_until(lambda: rows(presence_database, store) == [], "the last one to be gone")


def test_several_tabs_are_one_member(present, store):
    server = present()
    with Visitor(server, "ann", store=store) as ann:
        ann.arrived()
        tabs = [Visitor(server, "bob", store=store) for _ in range(3)]
        ann.expect("join", "bob")
        for tab in tabs[:2]:
            tab.close()
        assert ann.is_told_nothing(GRACE + 0.5)
        tabs[2].close()
        assert ann.event()["type"] == "leave"


def test_a_reload_is_no_leave(present, store):
    server = present("--presence-grace", "5s")
    with Visitor(server, "ann", store=store) as ann:
        ann.arrived()
        with Visitor(server, "bob", store=store, metadata={"mood": "old"}):
            ann.expect("join", "bob")
        with Visitor(server, "bob", store=store, metadata={"mood": "new"}) as bob:
            # What it says of itself now is what others are shown.
            wait_until(
                lambda: {"member": "bob", "metadata": {"mood": "new"}}
                in once_listed(server, store)["members"], "the new metadata")
            assert bob.arrived()
            assert ann.is_told_nothing()


def once_listed(server, store):
    """The list as one sees it who comes now and is nobody."""
    with Visitor(server, None, store=store) as nobody:
        return nobody.arrived()


def test_who_names_no_member_sees_and_is_not_seen(present, store):
    server = present()
    with Visitor(server, None, store=store) as nobody:
        assert nobody.arrived()["members"] == []
        with Visitor(server, "ann", store=store) as ann:
            assert nobody.expect("join", "ann")["present"] == 1
            assert names(ann.arrived()) == ["ann"]


def test_other_streams_are_left_alone(present, presence_database):
    server = present()
    with Visitor(server, "ann", "hall:1") as ann:
        assert ann.is_told_nothing()
    assert rows(presence_database, "native", "hall:1") == []


def test_what_the_application_says_of_a_member(serve, presence_database):
    answer = {"member": "ann", "metadata": {"name": "Ann"}}
    with Application(lambda path, headers: (200, answer)) as application:
        server = serve(
            presence_database, "--presence", "*", "--public", "*", "--authorize-url", application.url)
        with Visitor(server, None) as ann:
            assert ann.arrived()["members"] == [answer]


def test_metadata_that_is_not_in_order_is_refused(present):
    server = present()
    for metadata in ["text", [1], {"big": "x" * 2048}, {"zero": "a\0"}]:
        with server.get("/streams/room:1", bearer(claims("ann", metadata))) as client:
            assert client.head.status == 401, metadata


def test_what_postgres_cannot_keep_harms_nobody_else(serve, latin_database):
    """A letter that the database's encoding does not have, in the same statement as others. A number that would be
    very long when it is written out is refused before."""
    metadata = {"ann": '{"n":"\u516c"}', "bob": '{"n":1}', "long": '{"n":1e131000}'}

    def answer(path, headers):
        member = headers["cookie"]
        answer = f'{{"member":"{member}","metadata":{metadata[member]}}}'
        return 200, answer.encode(), "application/json"

    with Application(answer) as application:
        server = serve(
            latin_database, "--store", "native", "--presence", "*", "--public", "*", "--authorize-url", application.url,
            "--refuse-softly", "never")
        with server.get("/streams/room:1", "Cookie: ann"), server.get("/streams/room:1", "Cookie: bob"):
            assert wait_until(lambda: rows(latin_database, "native") == ["ann", "bob"], "both")
            kept = execute(
                latin_database, "SELECT member_id, metadata FROM millstream.presence_members ORDER BY member_id")
            assert kept == [("ann", {}), ("bob", {"n": 1})]
            with server.get("/streams/room:1", "Cookie: long") as long:
                assert long.head.status == 503


# Loops and processes


def test_two_processes_tell_a_join_once(present, presence_database, store):
    one, other = present("--loops", "2"), present("--loops", "2")
    with Visitor(one, "ann", store=store) as ann:
        ann.arrived()
        tabs = [Visitor(server, "bob", store=store) for server in (one, other) for _ in range(4)]
        assert ann.expect("join", "bob")["present"] == 2
        for tab in tabs[:7]:
            tab.close()
        assert ann.is_told_nothing(GRACE + 1)
        assert rows(presence_database, store) == ["ann", "bob"]
        tabs[7].close()
        assert ann.event()["type"] == "leave"


def test_members_of_a_killed_process_are_swept(present, presence_database, store):
    stays = present("--heartbeat", "300ms")
    with Visitor(stays, "ann", store=store) as ann:
        ann.arrived()
        killed = present("--heartbeat", "300ms")
        with Visitor(killed, "bob", store=store), Visitor(killed, "ann", store=store):
            ann.expect("join", "bob")
            killed.kill()
            began = time.monotonic()
            assert ann.expect("leave")["member"] == "bob"
            assert time.monotonic() - began > 1
        assert rows(presence_database, store) == ["ann"]
        assert ann.is_told_nothing()


def test_an_end_in_order_says_who_has_left(present, presence_database, store):
    stays, goes = present(), present("--presence-grace", "1m")
    with Visitor(stays, "ann", store=store) as ann:
        ann.arrived()
        with Visitor(goes, "bob", store=store), Visitor(goes, "ann", store=store):
            ann.expect("join", "bob")
            goes.stop()
            assert ann.expect("leave")["member"] == "bob"
        assert rows(presence_database, store) == ["ann"]
        assert ann.is_told_nothing()


# Many


def test_metrics_say_how_many(present):
    server = present(admin="127.0.0.1:0")
    admin = Admin(server)
    with Visitor(server, "ann") as ann:
        ann.arrived()
        Visitor(server, None).close()
        with Visitor(server, "bob"):
            ann.expect("join", "bob")
            assert admin.sum("millstream_present_members") == 2
            assert admin.sum("millstream_presence_joins_total") == 2
            assert admin.ask("/readyz")[0] == 200
        ann.expect("leave", "bob")
        wait_until(lambda: admin.sum("millstream_presence_leaves_total") == 1, "the leave")
        assert admin.sum("millstream_present_members") == 1
        assert admin.sum("millstream_presence_swept_total") == 0
        promtool("check", "metrics", input=admin.text())


def test_what_is_not_for_all_does_not_come_with_the_list(present, presence_database):
    """An application may publish by that name, too, and to some only. While the list is on its way, what is heard of
    members waits behind it."""
    server = present()
    with psycopg.connect(presence_database, autocommit=True) as publishing:
        with psycopg.connect(presence_database) as holding:
            holding.execute("LOCK TABLE millstream.presence_members IN ACCESS EXCLUSIVE MODE")
            visitor = Visitor(server, None)
            waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'millstream.presence_members'::regclass"
            wait_until(lambda: publishing.execute(waiting).fetchall(), "the question for the list")
            for data, visible_to, exclude in [
                    ('"for staff"', "staff", None), ('"for others"', None, visitor.id), ('"for all"', None, None)]:
                publishing.execute(
                    "SELECT millstream.publish_ephemeral('room:1', %s, event => 'presence',"
                    " visible_to => %s, exclude => %s)", [data, visible_to, exclude])
            assert visitor.event() == "for all"
        with visitor:
            # What came while the list was on its way comes once more behind it.
            assert visitor.arrived()["members"] == []
            assert visitor.event() == "for all"
            assert visitor.is_told_nothing()


def test_many_members_are_one_statement(present, presence_database, store, postgres):
    server = present()
    execute(presence_database, STATEMENT_COUNTER.format(table=TABLES[store]))
    count = 200
    with Visitor(server, None, store=store) as nobody, contextlib.ExitStack() as stack:
        nobody.arrived()
        # However slowly they come: the first write waits until all are there.
        with psycopg.connect(presence_database) as holding:
            holding.execute(f"LOCK TABLE {TABLES[store]} IN SHARE MODE")
            for number in range(count):
                stack.enter_context(Visitor(server, f"member {number}", store=store))
        joined = [nobody.expect("join") for _ in range(count)]
        assert {event["member"] for event in joined} == {f"member {n}" for n in range(count)}
        assert max(event["present"] for event in joined) == count
        statements = execute(presence_database, "SELECT count(*) FROM statements")[0][0]
        assert 1 <= statements < count / 4
        assert once_listed(server, store)["present"] == count


# A trigger sees every statement, whatever Postgres logs.
STATEMENT_COUNTER = """
CREATE TABLE statements (at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION count_statement() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN INSERT INTO statements DEFAULT VALUES; RETURN NULL; END $$;
CREATE TRIGGER count_statement AFTER INSERT ON {table} EXECUTE FUNCTION count_statement();
"""


def test_a_list_has_an_end(present, presence_database, store):
    execute(
        presence_database,
        f"INSERT INTO {TABLES[store]} (stream_name, member_id, metadata, joined_at, last_seen_at)"
        " SELECT 'room:1', 'm' || n, '{}', clock_timestamp(), clock_timestamp() + '1 hour'"
        " FROM generate_series(1, 1500) n")
    members = once_listed(present(), store)
    assert (members["present"], len(members["members"]), members["truncated"]) == (1500, 1000, True)


# What goes wrong


def test_members_are_there_again_after_the_database_was_lost(present, presence_database, postgres):
    server = present()
    with Visitor(server, "ann") as ann:
        ann.arrived()
        postgres.stop_hard()
        with Visitor(server, "bob") as bob:
            postgres.start()
            # The native table is empty after a crash, and what was said while nobody listened is lost.
            assert bob.knows("ann", "bob") and ann.knows("ann", "bob")
            wait_until(
                lambda: rows(presence_database, "native") == ["ann", "bob"], "both rows")


def test_a_session_that_is_cut_off_changes_nothing(present, presence_database, postgres, store):
    server = present()
    with Visitor(server, "ann", store=store) as ann:
        ann.arrived()
        name = presence_database.rpartition("dbname=")[2]
        assert postgres.terminate_backends(name, "millstream write") == 1
        with Visitor(server, "bob", store=store):
            assert ann.expect("join", "bob")["present"] == 2
            assert rows(presence_database, store) == ["ann", "bob"]


def test_without_the_table_there_is_one_warning(serve, full_database, tmp_path):
    secret = tmp_path / "jwt-secrets"
    secret.write_text(SECRET + "\n")
    server = serve(full_database, "--presence", "*", "--jwt-secret-file", str(secret))
    with Visitor(server, "ann", store="pgmq"), Visitor(server, "ann") as native:
        line = server.wait_for_line("presence is off", "a warning")
        assert "store=pgmq" in line and "pgbus_presence_members" in line
        assert names(native.arrived()) == ["ann"]
        with Visitor(server, "bob", store="pgmq") as bob, Queue(full_database, "room:1") as queue:
            queue.create().send("still delivered")
            assert bob.client.broadcast().data == "still delivered"
    assert server.log_text().count("presence is off") == 1


# Many streams on one connection


def test_lanes_are_told_with_their_streams_name(present, presence_database):
    server = present()
    field = bearer(claims("ann"))
    with ManyStreams(server, "room:1", "room:2", "hall", fields=[field], signed=False) as ann:
        lists = [next_of(ann, type="list") for _ in range(2)]
        assert {name: names(members) for name, members in lists} == {
            "room:1": ["ann"], "room:2": ["ann"]}
        with Visitor(server, "bob", "room:2"):
            stream, joined = next_of(ann, member="bob")
            assert (stream, joined["type"], joined["present"]) == ("room:2", "join", 2)
        assert rows(presence_database, "native", "hall") == []
    for stream in ("room:1", "room:2"):
        wait_until(lambda: rows(presence_database, "native", stream) == [], "nobody there")


# The article


def test_what_the_article_shows(serve, native_database, tmp_path):
    said = command("Presence", "printf")
    subprocess.run(said, shell=True, cwd=tmp_path, check=True)
    (tmp_path / "member.py").write_text(blocks("Presence", "python")[0])
    flags = shlex.split(command("Presence", "millstream serve").removeprefix("millstream serve"))
    server = serve(native_database, *flags[:-1], str(tmp_path / flags[-1]))
    port = server.address[1]
    curl = "exec " + command("Presence", "curl").replace("8080", str(port))
    ann = subprocess.Popen(curl, shell=True, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    told = (line.removeprefix("data: ") for line in ann.stdout if '"present"' in line)
    shown = re.findall(r"^\| `(\{.*?\})` \|", text_of("Presence"), re.MULTILINE)
    assert json.loads(next(line for line in told if '"list"' in line)) == json.loads(shown[0])
    bob = subprocess.Popen(
        curl.replace("ann", "bob"), shell=True, cwd=tmp_path, stdout=subprocess.DEVNULL)
    assert json.loads(next(line for line in told if '"bob"' in line)) == json.loads(shown[1])
    bob.terminate()
    assert json.loads(next(line for line in told if '"leave"' in line)) == json.loads(shown[2])
    ann.terminate()
    ann.wait(), bob.wait()


def test_doctor_says_what_is_missing(full_database, presence_role):
    def doctor(*flags):
        return run("doctor", "--database", full_database, *flags).stdout.decode()

    assert "presence" not in doctor()
    said = doctor("--presence", "*", "--statistics")
    assert "warn presence pgmq: there is no table pgbus_presence_members" in said
    assert "ok   presence native" in said
    assert "FAIL statistics: there is no table pgbus_stream_stats" in said
    execute(full_database, PGBUS_TABLE)
    assert "ok   presence pgmq" in doctor("--presence", "*")
    said = run(
        "doctor", "--database", full_database.replace("user=postgres", f"user={presence_role}"),
        "--presence", "*").stdout.decode()
    assert "lacks SELECT, INSERT, UPDATE, DELETE on pgbus_presence_members" in said


@pytest.fixture
def presence_role(full_database):
    execute(full_database, "CREATE ROLE presence_role LOGIN")
    for schema in ("pgmq", "millstream"):
        execute(full_database, f"GRANT USAGE ON SCHEMA {schema} TO presence_role")
        execute(full_database, f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO presence_role")
        execute(full_database, f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO presence_role")
    yield "presence_role"
    execute(full_database, "DROP OWNED BY presence_role")
    execute(full_database, "DROP ROLE presence_role")
