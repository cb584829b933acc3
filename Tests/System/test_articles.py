"""Does what the articles for operators and for applications show, as they show it."""

import json
import os
import re
import socket
import subprocess
import sys

import psycopg
import pytest

from harness.article import blocks, text_of
from harness.names import sign
from harness.native import Publisher
from harness.ports import free_port
from harness.pgmq import Queue
from harness.postgres import execute
from harness.server import native_path, run
from harness.waiting import wait_until

AUTHORIZE = "Authorize"
PUBLISH = "Publish"


@pytest.fixture
def application(tmp_path):
    """The application of the article, on a port of its own; gives its URL."""
    port = free_port()
    (source,) = [block for block in blocks(AUTHORIZE, "python") if "MayListen" in block]
    assert source.count("9300") == 1
    (tmp_path / "application.py").write_text(source.replace("9300", str(port)))
    process = subprocess.Popen([sys.executable, tmp_path / "application.py"], stderr=subprocess.DEVNULL)
    wait_until(lambda: is_listening(port), "the application listens")
    yield f"http://127.0.0.1:{port}/may-listen"
    process.kill()
    process.wait()


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def status(server, path, *fields):
    with server.get(path, *fields) as client:
        return client.head.status


def test_the_application_lets_in_whom_its_article_says(serve, native_database, application):
    server = serve(native_database, "--public", "*", "--authorize-url", application)
    session = "Cookie: session=abc"
    assert status(server, "/streams/room:1", session) == 200
    assert status(server, "/streams/room:3", session) == 403
    assert status(server, "/streams/room:1") == 403
    with server.get("/streams/room:1", session) as staff, Publisher(native_database, "room:1") as room:
        staff.connection_id()
        room.send("for the staff", visible_to="staff")
        assert staff.broadcast().data == "for the staff"


def test_names_are_signed_as_the_article_signs_them():
    (source,) = [block for block in blocks(AUTHORIZE, "python") if "def sign" in block]
    shown = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == sign("room:1", secret="a-long-random-secret")
    assert run("sign", "room:1", MILLSTREAM_SECRET="a-long-random-secret").stdout == shown.stdout.encode()
    assert shown.stdout[:20] in text_of(AUTHORIZE)


@pytest.fixture
def roles(postgres, full_database):
    """Two roles that stand in for `app` and `millstream` of the article, without any grant."""
    names = {"app": f"app_{os.getpid()}", "millstream": f"millstream_{os.getpid()}"}
    for name in names.values():
        postgres.execute(f"CREATE ROLE {name} LOGIN")
    yield names
    for name in names.values():
        execute(full_database, f"DROP OWNED BY {name} CASCADE")
        postgres.execute(f"DROP ROLE {name}")


def grants(roles, schema):
    """What the article grants of a schema, to these roles."""
    (found,) = [block for block in blocks(PUBLISH, "sql") if f"USAGE ON SCHEMA {schema} " in block]
    return re.sub(
        r"(ROLE |TO )((?:app|millstream)(?:, millstream)?)\b",
        lambda match: match[1] + ", ".join(roles[name] for name in match[2].split(", ")), found)


def test_the_grants_are_enough(serve, full_database, roles):
    """A role that publishes and one that serves, with nothing but what the article gives them."""
    execute(full_database, grants(roles, "millstream"))
    as_server = as_role(full_database, roles["millstream"])
    server = serve(as_server, "--store", "native")
    with server.subscribe("orders:1041", path=native_path("orders:1041")) as client:
        execute(
            as_role(full_database, roles["app"]), "select millstream.publish('orders:1041', 'Paid')"
        )
        assert client.broadcast().data == "Paid"
    doctor = run("doctor", "--database", as_server, "--store", "native", "--admin", "127.0.0.1:0")
    assert doctor.returncode == 0, doctor.stdout.decode() + doctor.stderr.decode()
    assert "store native: this role may read, and not publish" in doctor.stdout.decode()
    assert "GRANT" not in doctor.stdout.decode()
    server.stop()


def test_the_grants_are_enough_for_queues_to_come(serve, full_database, roles):
    """Also in what the doctor says, which is the same as the article."""
    app, server_role = roles["app"], as_role(full_database, roles["millstream"])
    execute(full_database, f"GRANT ALL ON SCHEMA pgmq TO {app}")
    execute(full_database, f"GRANT ALL ON ALL TABLES IN SCHEMA pgmq TO {app}")
    with Queue(as_role(full_database, app), "old") as old:
        old.create()
    said = [run("doctor", "--database", server_role, "--store", "pgmq").stdout.decode()]
    given = grants(roles, "pgmq")
    execute(full_database, "; ".join(given.split(";")[:3]))
    said.append(run("doctor", "--database", server_role, "--store", "pgmq").stdout.decode())
    assert all(line in "".join(said) for line in given.splitlines()), (given, said)
    execute(full_database, given)
    said = run("doctor", "--database", server_role, "--store", "pgmq").stdout.decode()
    assert "DEFAULT PRIVILEGES" not in said and "1 of 1 queues" in said
    server = serve(server_role, "--store", "pgmq")
    with Queue(as_role(full_database, app), "new") as new:
        new.create()
        with server.subscribe("new") as client:
            new.send("<p>new</p>")
            assert client.broadcast().data == "<p>new</p>"
    server.stop()
    execute(full_database, f"REVOKE SELECT ON ALL SEQUENCES IN SCHEMA pgmq FROM {roles['millstream']}")
    said = run("doctor", "--database", server_role, "--store", "pgmq").stdout.decode()
    assert "warn store pgmq: this role may not read the sequences of 2 queues" in said


def test_what_the_sequences_are_needed_for(serve, full_database, roles):
    """Messages come without, but ids that begin anew are taken for those that there were."""
    rights = grants(roles, "pgmq")
    execute(full_database, "".join(re.findall(r".*\n", rights)[:2]))
    with Queue(full_database, "chat") as queue:
        queue.create()
        execute(full_database, f"GRANT SELECT ON ALL TABLES IN SCHEMA pgmq TO {roles['millstream']}")
        server = serve(as_role(full_database, roles["millstream"]), "--store", "pgmq", "--safety-poll", "200ms")
        with server.subscribe("chat") as client:
            queue.send_many(["a", "b", "c"])
            assert [block.data for block in client.broadcasts(3)] == ["a", "b", "c"]
            queue.session.execute(f'TRUNCATE pgmq."{queue.table}" RESTART IDENTITY')
            queue.send("new")
            with pytest.raises(AssertionError, match="no broadcast"):
                client.broadcast(limit=1)
            execute(full_database, rights)
            assert client.broadcast().data == "new"
        server.stop()


def test_what_a_role_without_grants_can_do(serve, full_database, roles):
    """Forge for those who are connected, and read; not store."""
    with Queue(full_database, "chat") as queue:
        queue.create()
        server = serve(full_database)
        with (
            psycopg.connect(as_role(full_database, roles["app"]), autocommit=True) as stranger,
            server.subscribe("room", path=native_path("room")) as native,
            server.subscribe("chat") as pgmq,
            Publisher(full_database, "room") as room,
        ):
            stranger.execute("LISTEN millstream")
            room.send("first")
            assert native.broadcast().data == "first"
            room.send("for the staff", visible_to="staff")
            heard = [json.loads(note.payload) for note in stranger.notifies(timeout=5, stop_after=2)]
            assert [(note["d"], note.get("v")) for note in heard] == [
                ("first", None), ("for the staff", "staff")]
            forged = {"s": "room", "e": heard[0]["e"], "i": 3, "d": "forged"}
            stranger.execute("SELECT pg_notify('millstream', %s)", [json.dumps(forged)])
            assert native.broadcast().data == "forged"
            room.send("third")
            room.send("fourth")
            assert native.broadcast().data == "fourth"
            # Its copy in memory is what the server was told; what is stored is as it was published.
            assert replayed(server) == ["first", "forged", "fourth"]
            stranger.execute(
                "SELECT pg_notify(%s, %s)", [f"pgmq.{queue.table}.INSERT", '{"html": "forged"}'])
            assert pgmq.broadcast().data == "forged"
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                stranger.execute("SELECT millstream.publish('room', 'x')")
        name = full_database.rpartition("dbname=")[2]
        execute(full_database, f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(as_role(full_database, roles["app"]))
        server.stop()
    assert replayed(serve(full_database)) == ["first", "third", "fourth"]


def replayed(server):
    """All of the stream `room` that a stranger sees."""
    with server.get(native_path("room") + "?since=0") as client:
        return [client.broadcast().data for _ in range(3)]


def as_role(conninfo, role):
    """The same database for another role."""
    return f"{conninfo} user={role}"
