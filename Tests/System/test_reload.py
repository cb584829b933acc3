"""SIGHUP: the files are read again; who is connected stays, and what is not in order changes nothing."""

import signal

import pytest

from harness.admin import Admin
from harness.native import Publisher
from harness.names import sign
from harness.server import native_path
from harness.tokens import bearer

LOOPS = "3"
# Enough that each loop gets some.
REQUESTS = 12


@pytest.fixture
def secrets(tmp_path):
    path = tmp_path / "secrets"
    path.write_text("first\n")
    return path


@pytest.fixture
def reloadable(serve, native_database, secrets):
    return serve(native_database, "--secret-file", str(secrets), "--loops", LOOPS)


def path_by(secret):
    return f"/streams/{sign('chat', secret)}"


def statuses(server, path, *fields):
    """What clients of any loop are answered."""
    found = set()
    for _ in range(REQUESTS):
        with server.get(path, *fields) as client:
            found.add(client.head.status)
    return found


def reload(server):
    """Returns when all loops go on with what is new."""
    server.log[:] = [line for line in server.log if " info reloaded" not in line]
    server.send_signal(signal.SIGHUP)
    server.wait_for_line(" info reloaded", "the reload")


def refused(server, *reasons):
    """Reloads, in vain."""
    server.send_signal(signal.SIGHUP)
    line = server.wait_for_line(" error cannot reload", "the reason")
    assert all(reason in line for reason in reasons), line
    server.log.remove(line)


def test_secrets_are_exchanged(reloadable, secrets, native_database):
    server = reloadable
    with server.open("chat", path=path_by("first")) as connected:
        connected.connection_id()
        assert statuses(server, path_by("second")) == {404}
        secrets.write_text("second\n")
        reload(server)
        assert statuses(server, path_by("second")) == {200}
        assert statuses(server, path_by("first")) == {404}
        with Publisher(native_database, "chat") as publisher:
            publisher.send("still there")
        assert connected.broadcast().data == "still there"


@pytest.mark.parametrize("contents", ["", "hex:zz\n", None], ids=["empty", "faulty", "missing"])
def test_what_is_not_in_order_changes_nothing(reloadable, secrets, contents):
    server = reloadable
    if contents is None:
        secrets.unlink()
    else:
        secrets.write_text(contents)
    refused(server, str(secrets))
    assert statuses(server, path_by("first")) == {200}
    secrets.write_text("second\n")
    reload(server)
    assert statuses(server, path_by("second")) == {200}


def test_whether_it_went_well_is_in_the_metrics(serve, native_database, secrets):
    server = serve(native_database, "--secret-file", str(secrets), "--loops", LOOPS, admin="127.0.0.1:0")

    def is_successful():
        return Admin(server).metrics()["millstream_last_reload_successful"]

    assert is_successful() == 1
    secrets.write_text("hex:zz\n")
    refused(server)
    assert is_successful() == 0
    secrets.write_text("second\n")
    reload(server)
    assert is_successful() == 1


def test_keys_of_tokens_are_exchanged(serve, native_database, tmp_path):
    keys = tmp_path / "jwt"
    keys.write_text("a" * 32 + "\n")
    server = serve(native_database, "--jwt-secret-file", str(keys), "--loops", LOOPS)
    old = bearer({"streams": ["room:*"]}, "a" * 32)
    new = bearer({"streams": ["room:*"]}, "b" * 32)
    assert statuses(server, "/streams/room:1", old) == {200}
    assert statuses(server, "/streams/room:1", new) == {401}
    keys.write_text("b" * 32 + "\n")
    reload(server)
    assert statuses(server, "/streams/room:1", old) == {401}
    assert statuses(server, "/streams/room:1", new) == {200}
    keys.write_text("")
    refused(server, "--jwt-secret-file", "no secret")
    assert statuses(server, "/streams/room:1", new) == {200}


def test_the_operators_token_is_exchanged(serve, native_database, tmp_path):
    path = tmp_path / "token"
    path.write_text("the-first-token-of-all\n")
    server = serve(native_database, "--admin-token-file", str(path), admin="127.0.0.1:0")
    admin = Admin(server)

    def close_with(token):
        fields = {"Authorization": f"Bearer {token}"}
        return admin.ask("/close?member=nobody", method="POST", **fields)[0]

    path.write_text("the-second-token-now\n")
    assert close_with("the-first-token-of-all") == 200
    reload(server)
    assert close_with("the-first-token-of-all") == 401
    assert close_with("the-second-token-now") == 200
    path.write_text("short\n")
    refused(server, "--admin-token-file")
    assert close_with("the-second-token-now") == 200


def test_many_reloads_at_once_are_no_end(reloadable, secrets):
    """They come faster than files are read; the last one counts."""
    for number in range(50):
        secrets.write_text(f"secret{number}\n")
        reloadable.send_signal(signal.SIGHUP)
    secrets.write_text("last\n")
    reload(reloadable)
    # The line may have been of an earlier one that was under way.
    reload(reloadable)
    assert statuses(reloadable, path_by("last")) == {200}


def test_without_files_there_is_nothing_to_reload(serve, native_database):
    server = serve(native_database, "--loops", LOOPS)
    reload(server)
    assert statuses(server, native_path("chat")) == {200}
