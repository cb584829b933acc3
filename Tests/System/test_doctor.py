"""What `doctor` finds of the options, files, addresses and servers that `serve` depends on."""

import os
import re
import socket

import pytest

from harness.application import Application
from harness.postgres import execute
from harness.server import run
from harness.tokens import jwks, private_key

# Nothing of these checks needs a database: all fail the same way without.
NOWHERE = "host=/nonexistent"


def doctor(*arguments, database=NOWHERE, **variables):
    """What it says, by the subject of each line: (ok, warn or FAIL, the rest, what to do)."""
    done = run("doctor", "--database", database, "--admin", "127.0.0.1:0", *arguments, **variables)
    assert done.returncode == (1 if database == NOWHERE else 0), done.stdout + done.stderr
    found = {}
    for verdict, subject, text, remedy in re.findall(
        r"(?m)^(ok|warn|FAIL) +([^:\n]+): (.*)(?:\n {7}(.*))?$", done.stdout.decode()
    ):
        assert bool(remedy) == (verdict != "ok"), f"{subject}: {remedy!r}"
        found.setdefault(subject, []).append((verdict, text, remedy))
    return found


def the_one(found, subject):
    (line,) = found[subject]
    return line


@pytest.fixture
def file(tmp_path):
    """Writes a file with these permissions."""

    def write(name, text, mode=0o640):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write


def test_it_takes_what_serve_takes(native_database, file):
    path = file("m.toml", f'retry = "1s"\nlisten = ["127.0.0.1:0"]\ndatabase = "{native_database}"\n')
    found = doctor("--config", path, "--heartbeat", "5s", database=native_database, MILLSTREAM_LOOPS="3")
    assert the_one(found, "options") == ("ok", f"3 of them in {path}", "")
    verdict, text, _ = the_one(found, "server sessions")
    assert verdict == "ok" and text.endswith("one server takes 4")


def test_options_that_serve_refuses_are_refused(file):
    path = file("m.toml", 'retry = "soon"\n')
    done = run("doctor", "--config", path)
    assert done.returncode == 64 and f"{path}:1: " in done.stderr.decode()


def test_a_password_for_all_to_read(file):
    text = 'database = "host=/nonexistent password=geheim"\n'
    for mode, verdict in ((0o644, "warn"), (0o640, "ok")):
        done = run("doctor", "--config", file("m.toml", text, mode), "--admin", "none")
        assert re.search(f"(?m)^{verdict} +options: ", done.stdout.decode())
        assert "geheim" not in (done.stdout + done.stderr).decode()


def test_more_connections_than_descriptors():
    verdict, text, remedy = the_one(doctor("--max-connections", "100000000"), "descriptors")
    assert verdict == "FAIL" and "--max-connections is 100000000" in text and "LimitNOFILE=" in remedy
    assert the_one(doctor("--max-connections", "10"), "descriptors")[0] == "ok"


def test_the_queue_of_listening_sockets():
    limit = int(open("/proc/sys/net/core/somaxconn").read())
    verdict, text, _ = the_one(doctor(), "queue of listening sockets")
    assert verdict == ("ok" if limit >= 4096 else "warn") and str(limit) in text


@pytest.mark.parametrize(
    "option, subject",
    [("--secret-file", "secrets"), ("--jwt-secret-file", "tokens"), ("--admin-token-file", "admin token")],
)
def test_files_of_secrets(file, option, subject):
    path = file("secrets", "0123456789abcdef0123456789abcdef\n")
    assert {line[0] for line in doctor(option, path)[subject]} == {"ok"}
    os.chmod(path, 0o644)
    lines = doctor(option, path)[subject]
    assert [line[0] for line in lines] == ["ok", "warn"] and "can be read by all" in lines[1][1]
    os.unlink(path)
    verdict, text, _ = the_one(doctor(option, path), subject)
    assert verdict == "FAIL" and "No such file" in text


def test_an_admin_token_that_is_none(file):
    verdict, text, _ = the_one(doctor("--admin-token-file", file("token", "short\n")), "admin token")
    assert verdict == "FAIL" and "16 or more" in text and "short" not in text.replace("shorter", "")


def test_addresses(tmp_path):
    found = doctor("--listen", "127.0.0.1:0", "--listen", f"unix:{tmp_path}/socket", "--listen", "unix:/no/x")
    assert [line[0] for line in found["listen"]] == ["ok", "ok", "FAIL"]
    assert not (tmp_path / "socket").exists()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        verdict, text, _ = the_one(doctor("--listen", taken), "listen")
        assert verdict == "warn" and taken in text and "in use" in text
        verdict, _, remedy = the_one(doctor("--admin", taken), "admin address")
        assert verdict == "warn" and remedy.endswith("it does not start")


def test_who_reaches_the_admin_address():
    assert [line[0] for line in doctor("--admin", "0.0.0.0:0")["admin address"]] == ["ok", "warn"]
    assert the_one(doctor("--admin", "none"), "admin address")[0] == "warn"
    assert the_one(doctor(), "admin address")[0] == "ok"


def test_all_streams_for_everybody():
    assert the_one(doctor("--public", "*"), "public")[0] == "warn"
    assert "public" not in doctor("--public", "demo:*")


@pytest.mark.parametrize(
    "answer, verdict, part",
    [
        ((403, b""), "ok", "refuses a stranger with 403"),
        ((204, b""), "warn", "lets a stranger"),
        ((500, b""), "FAIL", "status 500"),
        ((200, {"labels": 1}), "FAIL", "'labels' in its JSON"),
        (None, "FAIL", "Server returned nothing"),
    ],
)
def test_the_application(answer, verdict, part):
    with Application(lambda path, headers: answer) as application:
        url = application.url.replace("//", "//user:geheim@")
        found = doctor("--authorize-url", url)
        assert the_one(found, "authorize URL")[0] == verdict and part in found["authorize URL"][0][1]
        assert "geheim" not in str(found)
        ((_, headers),) = application.requests
        assert headers["x-millstream-stream"].startswith("millstream-doctor:")


def test_an_application_that_is_not_there():
    with Application() as application:
        url = application.url
    verdict, text, remedy = the_one(doctor("--authorize-url", url), "authorize URL")
    assert verdict == "FAIL" and "connect" in text and "503" not in remedy


def test_keys_from_a_url():
    key_set = jwks(a=private_key("ES256"), b=private_key("EdDSA")).encode()
    for answer, verdict in (((200, key_set), "ok"), ((200, b"{}"), "FAIL"), ((404, b""), "FAIL")):
        with Application(lambda path, headers: answer) as application:
            line = the_one(doctor("--jwks-url", application.url), "JWKS URL")
            assert line[0] == verdict and (verdict == "FAIL" or line[1] == "2 keys")


def test_too_few_sessions(native_database):
    found = doctor("--listen", "127.0.0.1:0", "--loops", "256", database=native_database)
    verdict, text, _ = the_one(found, "server sessions")
    assert verdict == "warn" and text.endswith("one server takes 257")


# Databases


def test_a_text_that_is_no_connection_string():
    done = run("doctor", "--database", "hst=geheim", "--admin", "127.0.0.1:0")
    said = done.stdout.decode()
    assert done.returncode == 1 and "geheim" not in said
    verdict, text, remedy = re.search(r"(?m)^(FAIL) session: (.*)\n {7}(.*)$", said).groups()
    assert "is not valid" in text and remedy == "mend the text of --database"


def test_what_a_role_lacks_can_be_copied(full_database, postgres):
    """Statements, each on its line, with the role's name as SQL needs it; and then nothing is missing."""
    role = f"Odd-{os.getpid()}"
    postgres.execute(f'CREATE ROLE "{role}" LOGIN')
    as_role = full_database.replace("user=postgres", f"user={role}")
    try:
        said = statements(as_role)
        assert said[0] == f'GRANT USAGE ON SCHEMA pgmq TO "{role}";'
        for _ in range(3):  # What is behind the schema is looked at when the schema can be used.
            for statement in statements(as_role):
                execute(full_database, statement)
        assert statements(as_role) == []
        assert run("doctor", "--database", as_role, "--admin", "127.0.0.1:0").returncode == 0
    finally:
        execute(full_database, f'DROP OWNED BY "{role}"')
        postgres.execute(f'DROP ROLE "{role}"')


def statements(database):
    """What it says to run."""
    said = run("doctor", "--database", database, "--admin", "127.0.0.1:0").stdout.decode()
    assert "this role;" not in said and "TO this role" not in said
    return re.findall(r"(?m)^ {7}((?:GRANT|ALTER DEFAULT PRIVILEGES) .*;)$", said)


def test_only_what_is_missing_is_named(full_database, postgres):
    role = f"half_{os.getpid()}"
    postgres.execute(f"CREATE ROLE {role} LOGIN")
    try:
        execute(full_database, f"GRANT USAGE ON SCHEMA millstream TO {role}")
        execute(full_database, f"GRANT SELECT ON millstream.streams, millstream.schema_version TO {role}")
        as_role = full_database.replace("user=postgres", f"user={role}")
        said = run("doctor", "--database", as_role, "--store", "native").stdout.decode()
        assert re.findall(r"GRANT (.*) TO", said) == [
            "SELECT ON millstream.messages", "EXECUTE ON FUNCTION millstream.maintain",
            "SELECT ON millstream.controls"]
    finally:
        execute(full_database, f"DROP OWNED BY {role}")
        postgres.execute(f"DROP ROLE {role}")
