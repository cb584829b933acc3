"""Does what the articles for operators and for applications show, as they show it."""

import os
import socket
import subprocess
import sys

import pytest

from harness.article import blocks, text_of
from harness.names import sign
from harness.native import Publisher
from harness.ports import free_port
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


def test_the_grants_are_enough(serve, native_database):
    """A role that publishes and one that serves, with nothing but what the article gives them."""
    (grants,) = [block for block in blocks(PUBLISH, "sql") if "GRANT" in block]
    publisher, reader = f"app_{os.getpid()}", f"millstream_{os.getpid()}"
    grants = grants.replace("TO app", f"TO {publisher}").replace(", millstream;", f", {reader};")
    grants = grants.replace("TO millstream;", f"TO {reader};")
    execute(native_database, f"create role {publisher} login; create role {reader} login; {grants}")
    as_reader = as_role(native_database, reader)
    try:
        server = serve(as_reader)
        with server.subscribe("orders:1041", path=native_path("orders:1041")) as client:
            execute(
                as_role(native_database, publisher), "select millstream.publish('orders:1041', 'Paid')"
            )
            assert client.broadcast().data == "Paid"
        doctor = run("doctor", "--database", as_reader)
        assert doctor.returncode == 0, doctor.stdout.decode() + doctor.stderr.decode()
        server.stop()
    finally:
        execute(native_database, f"drop owned by {publisher}, {reader}; drop role {publisher}, {reader}")


def as_role(conninfo, role):
    """The same database for another role."""
    return f"{conninfo} user={role}"
