"""Options from a file: what goes before what, what is said of a file that is not in order, and reloading."""

import os
import re
import signal

import pytest

from harness.native import Publisher
from harness.names import SECRET, sign
from harness.ports import free_port
from harness.server import native_path, run
from harness.waiting import wait_until
from test_reload import path_by, refused, reload, statuses


@pytest.fixture
def config(tmp_path):
    """Writes the file of options."""
    path = tmp_path / "millstream.toml"

    def write(*lines):
        path.write_text("".join(f"{line}\n" for line in lines))
        return str(path)

    return write


def status(server, path):
    with server.get(path) as client:
        return client.head.status


def test_a_server_of_a_file_alone(serve, native_database, config, tmp_path):
    (tmp_path / "secrets").write_text(SECRET + "\n")
    path = config(
        "# All that it needs.", f'database = "{native_database}"', 'listen = ["127.0.0.1:0"]',
        'native-prefix = "/events"', f"secret-file = '{tmp_path}/secrets'", 'public = [', '  "a:*",',
        '  "b",', "]", "max-connections = 3", 'store = "native"', "reuse-port = true",
        'refuse-softly = "never"',
    )  # fmt: skip
    server = serve(None, "--config", path, listen=None)
    with server.subscribe("chat", path=f"/events/{sign('chat')}") as client:
        with Publisher(native_database, "chat") as publisher:
            publisher.send("hello")
        assert client.broadcast().data == "hello"
        with server.get("/events/a:1") as first, server.get("/events/b") as second:
            assert first.head.status == second.head.status == 200
            assert status(server, "/events/b") == 503
    assert status(server, native_path("chat")) == 404


def test_what_is_typed_goes_before_the_environment_and_that_before_the_file(serve, native_database, config):
    path = config(
        'native-prefix = "/file"', 'public = ["file"]', 'retry = "9s"', 'database = "host=/nonexistent"',
    )  # fmt: skip
    server = serve(
        native_database, "--native-prefix", "/typed", MILLSTREAM_CONFIG=path,
        MILLSTREAM_NATIVE_PREFIX="/environment", MILLSTREAM_PUBLIC="environment",
    )  # fmt: skip
    assert status(server, "/typed/environment") == 200
    for other in ("/environment/environment", "/file/environment", "/typed/file"):
        assert status(server, other) == 404, other
    with server.get("/typed/environment") as client:
        retry = re.search(rb"retry: (\d+)", client.next_block().raw)
        assert 4_500 <= int(retry[1]) <= 13_500


def test_a_typed_file_goes_before_that_of_the_environment(serve, native_database, config):
    path = config('public = ["typed"]')
    server = serve(native_database, "--config", path, MILLSTREAM_CONFIG="/nonexistent")
    assert status(server, "/streams/typed") == 200


def test_other_commands_take_what_they_have(native_database, config, tmp_path):
    (tmp_path / "secrets").write_text("from the file\n")
    path = config(
        f'database = "{native_database}"', f'secret-file = "{tmp_path}/secrets"', 'drain = "1s"',
        'store = "both"',
    )  # fmt: skip
    assert run("sign", "chat", "--config", path).stdout.decode() == sign("chat", "from the file") + "\n"
    for command in (["install"], ["publish", "chat", "hello"], ["doctor"]):
        done = run(*command, MILLSTREAM_CONFIG=path)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


@pytest.mark.parametrize(
    "lines, line, reason",
    [
        (['drain = "1s"', "max_connections = 1"], 2, "'max-connections' is meant"),
        (["", 'write-deadlin = "1s"'], 2, "'write-deadline' is meant"),
        (['listen = "127.0.0.1:0"'], 1, "listen is a list"),
        (["", "# x", 'retry = "soon"'], 3, "'soon' is invalid for '--retry"),
        (['drain = "1s"', "loops = 0"], 2, "--loops is from 1 to 256"),
        (['database = "geheim'], 1, "closing quote"),
    ],
)  # fmt: skip
def test_what_is_not_in_order_is_said_with_its_line(config, lines, line, reason):
    path = config(*lines)
    done = run("serve", "--config", path)
    said = done.stderr.decode()
    assert done.returncode == 64
    assert said.startswith(f"Error: {path}:{line}: ") and reason in said and "geheim" not in said, said
    assert len(said.splitlines()) == 1


def test_a_file_that_is_not_there(config):
    done = run("serve", "--config", "/nonexistent/file")
    assert done.returncode == 64
    assert "cannot read /nonexistent/file: No such file" in done.stderr.decode()


# SIGHUP


def test_a_reload_reads_it_again(serve, native_database, config, tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).write_text(name + "\n")
    path = config(f'secret-file = "{tmp_path}/first"', 'native-prefix = "/streams"')
    server = serve(native_database, "--config", path)
    with server.open("chat", path=path_by("first")) as connected:
        connected.connection_id()
        config(f'secret-file = "{tmp_path}/second"', 'native-prefix = "/streams"', 'log-level = "debug"')
        reload(server)
        assert statuses(server, path_by("second")) == {200}
        assert statuses(server, path_by("first")) == {404}
        server.wait_for_line(" debug ", "the new level")
        with Publisher(native_database, "chat") as publisher:
            publisher.send("still there")
        assert connected.broadcast().data == "still there"


def test_limits_come_and_go(serve, native_database, config):
    ours = ['public = ["*"]', 'refuse-softly = "never"']
    path = config("max-connections = 1", *ours)
    server = serve(native_database, "--config", path)
    with server.subscribe("a", path="/streams/a"):
        assert status(server, "/streams/b") == 503
        config("max-connections = 2", *ours)
        reload(server)
        assert status(server, "/streams/b") == 200


@pytest.mark.parametrize(
    "lines, reason",
    [(["x = 1"], ":2: there is no option 'x'"), (["", 'retry = "x"'], ":3: The value 'x'"), (None, "cannot read")],
    ids=["unknown", "value", "missing"],
)
def test_a_bad_file_changes_nothing(serve, native_database, config, tmp_path, lines, reason):
    path = config('public = ["a"]')
    server = serve(native_database, "--config", path)
    (tmp_path / "millstream.toml").unlink() if lines is None else config('public = ["b"]', *lines)
    refused(server, reason)
    assert statuses(server, "/streams/a") == {200}
    assert statuses(server, "/streams/b") == {404}
    config('public = ["b"]')
    reload(server)
    assert statuses(server, "/streams/b") == {200}


def test_what_needs_a_restart_is_named(serve, native_database, config):
    path = config('heartbeat = "15s"', 'public = ["a"]')
    server = serve(native_database, "--config", path)
    config('heartbeat = "20s"', 'public = ["b"]', f'listen = ["127.0.0.1:{free_port()}"]')
    server.send_signal(signal.SIGHUP)
    line = server.wait_for_line("options have changed that need a restart", "the warning")
    assert "options=--heartbeat" in line, line


def test_what_is_no_file_of_options_is_refused_in_time(serve, native_database, config, tmp_path):
    path = config('public = ["a"]')
    server = serve(native_database, "--config", path)
    spoiled = tmp_path / "millstream.toml"

    def binary(contents):
        return lambda: spoiled.write_bytes(contents)

    def device():
        spoiled.symlink_to("/dev/zero")

    for spoil, reason in [
        (lambda: os.mkfifo(spoiled), "nothing comes from it"),
        (spoiled.mkdir, "Is a directory"),
        (device, "more than 65536 bytes"),
        (binary(b"#" * 65_537), "more than 65536 bytes"),
        (binary(b'public = ["b"]\n\xef\xbb\xbf'), ":2: "),
        (binary(b'\xef\xbb\xbfpublic = ["b"]\n'), ":1: there is a byte order mark"),
        (binary(b'public = ["b"]\n#\0\n'), ":2: there is a control character"),
        (binary(b'public = ["b"]\rdrain = "1s"\n'), ":1: there is a control character"),
    ]:
        spoiled.rmdir() if spoiled.is_dir() else spoiled.unlink()
        spoil()
        refused(server, reason)
        assert statuses(server, "/streams/a") == {200}, reason
    spoiled.write_bytes(b'public = [\r\n  "b",\r\n]\r\n')
    reload(server)
    assert statuses(server, "/streams/b") == {200}


def test_options_that_appear_vanish_and_repeat(serve, native_database, config):
    path = config('public = ["a"]')
    server = serve(native_database, "--config", path)
    config('public = ["b"]', 'refuse-softly = "never"', "max-per-stream = 1")
    reload(server)
    with server.subscribe("b", path="/streams/b"):
        assert status(server, "/streams/b") == 503
        config('public = ["b"]', 'public = ["a"]')
        refused(server, "is set in line 1 already")
        assert status(server, "/streams/b") == 503, "what was in force stays"
        config('public = ["b"]')
        reload(server)
        assert status(server, "/streams/b") == 200
    config()
    reload(server)
    assert statuses(server, "/streams/a") | statuses(server, "/streams/b") == {404}


def test_a_limit_of_addresses_changes_and_its_counts_stay(serve, native_database, config):
    ours = ['public = ["*"]', 'refuse-softly = "never"', "loops = 2"]
    path = config("max-per-address = 2", *ours)
    server = serve(native_database, "--config", path)
    with server.subscribe("a", path="/streams/a"):
        with server.subscribe("b", path="/streams/b"):
            assert status(server, "/streams/c") == 429
            config("max-per-address = 3", *ours)
            reload(server)
            with server.subscribe("c", path="/streams/c"):
                assert status(server, "/streams/d") == 429
                config("max-per-address = 1", *ours)
                reload(server)
                assert status(server, "/streams/d") == 429
        wait_until(lambda: server.log_text().count("connection ended") == 2, "two have gone")
        assert status(server, "/streams/d") == 429, "the first is counted still"
    wait_until(lambda: status(server, "/streams/d") == 200, "the last place")


def test_a_file_that_is_empty_by_mistake_is_said_to_let_nobody_in(serve, native_database, config, tmp_path):
    """It is in order, and takes all secrets away."""
    (tmp_path / "secrets").write_text("first\n")
    path = config(f'secret-file = "{tmp_path}/secrets"')
    server = serve(native_database, "--config", path, MILLSTREAM_SECRET="")
    assert statuses(server, path_by("first")) == {200}
    assert "nobody may listen" not in server.log_text()
    config()
    reload(server)
    assert statuses(server, path_by("first")) == {404}
    server.wait_for_line(" warning nobody may listen", "a warning")
