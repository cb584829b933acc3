"""Proves the commands beside `serve`: sign, publish, tail, install, doctor."""

import contextlib
import os
import pty
import re
import signal
import subprocess

import pytest

from harness.admin import Admin
from harness.interposer import Interposer
from harness.names import SECRET, sign
from harness.native import Publisher
from harness.pgmq import Queue
from harness.ports import free_port
from harness.postgres import execute
from harness.server import binary, environment, native_path, run, stream_path
from harness.waiting import wait_until


def output(done):
    """The standard output of a command that must have gone well."""
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr.decode()}"
    return done.stdout.decode()


def complaint(done):
    """What a command that must have failed said on standard error."""
    assert done.returncode != 0, f"it went well: {done.stdout.decode()}"
    assert "Fatal error" not in done.stderr.decode() and done.returncode > 0, done.stderr.decode()
    return done.stderr.decode()


# sign


@pytest.mark.parametrize(
    "name, secret", [("chat", "s3cret"), ("board:1", "testsecret123"), ("größe:€ 🚰", "ü")]
)
def test_sign(name, secret):
    assert output(run("sign", name, MILLSTREAM_SECRET=secret)) == sign(name, secret) + "\n"


def test_sign_without_a_secret():
    assert "secret" in complaint(run("sign", "chat", MILLSTREAM_SECRET="")).lower()


@pytest.mark.parametrize("name", ["", "a\nb", "a\rb"])
def test_sign_of_a_bad_name(name):
    complaint(run("sign", name))


# publish


@pytest.fixture
def chat(full_database):
    """The queue `chat` in a database with both stores."""
    with Queue(full_database, "chat") as queue:
        yield queue.create()


def publish(database, *arguments, store="native", **options):
    return run("publish", "--store", store, "--database", database, *arguments, **options)


@pytest.fixture
def client_of(serve, full_database):
    """Makes a client on the stream `chat` of either store."""
    server = serve(full_database)
    paths = {"native": native_path("chat"), "pgmq": stream_path("chat")}
    return lambda store: server.subscribe("chat", path=paths[store])


@pytest.mark.parametrize("store", ["native", "pgmq"])
def test_publish(chat, client_of, full_database, store):
    with client_of(store) as client:
        output(publish(full_database, "chat", "<p>größe</p>", store=store))
        output(publish(full_database, "chat", "a\nb", "--event", "tick", store=store))
        output(publish(full_database, "chat", "from input\n", store=store))
        blocks = client.broadcasts(3)
    assert [block.data for block in blocks] == ["<p>größe</p>", "a\nb", "from input\n"]
    assert blocks[1].event == "tick"
    assert all(block.id for block in blocks)


@pytest.mark.parametrize("store", ["native", "pgmq"])
def test_publish_from_standard_input(chat, client_of, full_database, store):
    with client_of(store) as client:
        output(publish(full_database, "chat", "-", input="a\nb: größe", store=store))
        assert client.broadcast().data == "a\nb: größe"


def test_publish_much_from_standard_input(client_of, full_database):
    with client_of("native") as client:
        output(publish(full_database, "chat", "-", input="0123456789" * 50_000))
        assert client.broadcast().data == "0123456789" * 50_000


@pytest.mark.parametrize("store", ["native", "pgmq"])
def test_publish_ephemeral(chat, client_of, full_database, store):
    with client_of(store) as client:
        output(publish(full_database, "chat", "x", "--ephemeral", store=store))
        block = client.broadcast()
    assert (block.data, block.id) == ("x", None)


@pytest.mark.parametrize("store", ["native", "pgmq"])
def test_publish_to_some(chat, client_of, full_database, store):
    with client_of(store) as client:
        output(publish(full_database, "chat", "a", "--visible-to", "admins", store=store))
        output(publish(full_database, "chat", "b", "--exclude", client.id, store=store))
        output(publish(full_database, "chat", "c", store=store))
        assert client.broadcast().data == "c"


@pytest.mark.parametrize("store", ["native", "pgmq"])
@pytest.mark.parametrize(
    "data, reason", [(b"a\xffb", r"UTF-8"), (b"a\xc3", r"UTF-8"), (b"a\x00b", r"(?i)NUL\b|zero")]
)
def test_publish_of_invalid_data_says_what_is_wrong(chat, full_database, store, data, reason):
    said = complaint(publish(full_database, "chat", "-", input=data, store=store))
    assert re.search(reason, said), said


@pytest.mark.parametrize("store", ["native", "pgmq"])
def test_publish_of_too_much_for_an_ephemeral(chat, full_database, store):
    data = "x" * 9000
    said = complaint(publish(full_database, "chat", "-", "--ephemeral", input=data, store=store))
    assert re.search(r"(?i)8,?000|too (long|large)|bytes", said), said


def test_publish_to_a_name_that_is_no_queues(full_database):
    said = complaint(publish(full_database, "x" * 80, "data", store="pgmq"))
    assert re.search(r"(?i)long|47", said), said


def test_publish_without_a_database():
    database = f"host=127.0.0.1 port={free_port()} dbname=nowhere"
    assert "connect" in complaint(publish(database, "chat", "x")).lower()


def test_publish_without_the_schema(database):
    assert "install" in complaint(publish(database, "chat", "x"))


# tail


class Tail:
    """A running `millstream tail`, and what it has printed."""

    def __init__(self, *arguments, directory):
        self.path = directory / "printed"
        with open(self.path, "wb") as printed:
            self.process = subprocess.Popen(
                [binary(), "tail", *arguments],
                env=environment(MILLSTREAM_SECRET=SECRET),
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.DEVNULL,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)

    def printed(self):
        return self.path.read_text()

    def wait_for(self, text):
        """Returns when `text` has been printed; it must have been flushed at once."""
        wait_until(lambda: text in self.printed(), f"{text!r} in {self.printed()!r}")


def url(server, path):
    host, port = server.address
    return f"http://{host}:{port}{path}"


def test_tail_prints_events_as_they_come(serve, full_database, chat, tmp_path):
    server = serve(full_database)
    chat.send("before")
    with Tail(url(server, stream_path("chat")), "--since", "0", directory=tmp_path) as tail:
        tail.wait_for("before")
        chat.send("<p>after</p>")
        tail.wait_for("<p>after</p>")


def test_tail_reconnects_with_its_cursor(serve, full_database, chat, tmp_path):
    listen = f"127.0.0.1:{free_port()}"
    first = serve(full_database, "--retry", "200ms", listen=listen)
    with Tail(url(first, stream_path("chat")), "--since", "0", directory=tmp_path) as tail:
        chat.send("one.")
        tail.wait_for("one.")
        first.stop()
        chat.send("two.")
        serve(full_database, "--retry", "200ms", listen=listen)
        chat.send("three.")
        tail.wait_for("three.")
        assert re.findall(r"one\.|two\.|three\.", tail.printed()) == ["one.", "two.", "three."]


def test_tail_of_several_streams_and_a_pattern(serve, native_database, tmp_path):
    server = serve(native_database)
    arguments = ["a", "room:*", "--server", url(server, ""), "--since", "0"]
    with Publisher(native_database, "a") as publisher:
        publisher.send("one")
        with Tail(*arguments, directory=tmp_path) as tail:
            tail.wait_for("one")
            publisher.stream = "room:1"
            publisher.send("two\nlines")
            publisher.notify("three")
            tail.wait_for("three")
    assert re.fullmatch(
        r"a 1-[0-9a-f]+ turbo-stream one\nroom:1 1-[0-9a-f]+ turbo-stream two\n  lines\n"
        r"room:1 - turbo-stream three\n", tail.printed())


def test_tail_says_why_it_was_refused(serve, full_database):
    server = serve(full_database)
    said = complaint(run("tail", url(server, "/pgbus/streams/unsigned")))
    assert "404" in said, said


# What an application, or whoever writes to it, has put into a message: a title, a screen without text.
HOSTILE = "\x1b]0;t\x07\x9b2J\x7fend"


def in_terminal(*arguments):
    """What a command shows on a terminal, both of its outputs."""
    terminal, child = pty.openpty()
    with os.fdopen(terminal, "rb", buffering=0) as shown:
        process = subprocess.Popen(
            [binary(), *arguments], env=environment(MILLSTREAM_SECRET=SECRET),
            stdin=subprocess.DEVNULL, stdout=child, stderr=child)
        os.close(child)
        process.wait(30)
        text = b""
        with contextlib.suppress(OSError):  # The other side is closed.
            while data := shown.read(1 << 16):
                text += data
    return text.decode().replace("\r\n", "\n")


def test_tail_tells_a_terminal_nothing(serve, native_database):
    server = serve(native_database)
    with Publisher(native_database, "chat") as publisher:
        publisher.send(HOSTILE)
    arguments = ["tail", url(server, native_path("chat")), "--since", "0", "--count", "1"]
    assert HOSTILE in output(run(*arguments)), "a program gets it as it is"
    shown = in_terminal(*arguments)
    assert "\ufffd]0;t\ufffd\ufffd2J\ufffdend" in shown
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)


class Refusal(Interposer):
    """A server that speaks to the terminal of whoever it refuses."""

    def answer(self, client, head):
        client.sendall(b"HTTP/1.1 404 " + HOSTILE.encode() + b"\r\n\r\n")


@pytest.mark.parametrize("command", ["tail", "top"])
def test_a_refusal_tells_a_terminal_nothing(command):
    with Refusal() as refusal:
        arguments = [refusal.url] if command == "tail" else ["--admin", refusal.url, "--once"]
        shown = in_terminal(command, *arguments)
    assert "404" in shown and not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)


# install


def test_install_twice_is_once(database):
    output(run("install", "--database", database))
    before = _schema(database)
    with Publisher(database, "chat") as publisher:
        publisher.send("kept")
    output(run("install", "--database", database))
    assert _schema(database) == before
    counts = execute(database, "SELECT count(*) FROM pg_namespace WHERE nspname = 'millstream'")
    assert counts == [(1,)]


def _schema(database):
    return execute(
        database,
        "SELECT relname, relkind::text FROM pg_class"
        " WHERE relnamespace = 'millstream'::regnamespace ORDER BY 1",
    )


def test_printed_sql_is_what_install_does(database, make_database, native_sql):
    execute(database, native_sql)
    installed = make_database()
    output(run("install", "--database", installed))
    assert _schema(database) == _schema(installed)


def test_install_needs_no_superuser(make_database, postgres):
    database = make_database()
    name = database.rpartition("dbname=")[2]
    postgres.execute("DROP ROLE IF EXISTS plain")
    postgres.execute("CREATE ROLE plain LOGIN")
    postgres.execute(f"ALTER DATABASE {name} OWNER TO plain")
    output(run("install", "--database", database.replace("user=postgres", "user=plain")))
    with Publisher(database.replace("user=postgres", "user=plain"), "chat") as publisher:
        publisher.send("x")
    postgres.drop_database(name)
    postgres.execute("DROP ROLE plain")


# doctor


def doctor(database, *arguments):
    return run("doctor", "--database", database, *arguments)


def test_doctor_finds_nothing_wrong(full_database, chat):
    assert output(doctor(full_database)).strip()


def test_doctor_finds_no_database():
    done = doctor(f"host=127.0.0.1 port={free_port()} dbname=nowhere connect_timeout=5")
    assert done.returncode == 1, done.stderr.decode()
    assert "connect" in _said(done).lower()


def test_doctor_finds_a_missing_trigger(full_database, chat):
    chat.session.execute("SELECT pgmq.disable_notify_insert(%s)", [chat.name])
    _assert_wrong(doctor(full_database), chat.name, "enable_notify_insert")


def test_doctor_finds_a_lost_throttle_row(full_database, chat):
    """The trigger is there, and sends nothing."""
    chat.session.execute("TRUNCATE pgmq.notify_insert_throttle")
    _assert_wrong(doctor(full_database), chat.name, "enable_notify_insert")


def test_doctor_finds_no_schema(database):
    _assert_wrong(doctor(database, "--store", "native"), "millstream install")


def _assert_wrong(done, *words):
    assert done.returncode == 1, f"exit {done.returncode}: {_said(done)}"
    for word in words:
        assert word in _said(done), f"no {word!r} in: {_said(done)}"


def _said(done):
    return (done.stdout + done.stderr).decode()


# What is said when something is wrong


def test_a_time_without_a_unit(tmp_path):
    said = complaint(run("serve", "--write-deadline", "5"))
    assert "'--write-deadline <time>': a time with a unit is wanted, as 250ms, 5s or 1h\n" in said
    for number, value in enumerate(("5", '"5"'), start=1):
        (tmp_path / "m.toml").write_text("\n" * number + f"write-deadline = {value}\n")
        said = complaint(run("serve", "--config", str(tmp_path / "m.toml")))
        assert f"m.toml:{number + 1}: " in said and "a time with a unit" in said, said


@pytest.mark.parametrize("option", ["--secret-file", "--jwt-secret-file"])
def test_a_bad_file_of_secrets_is_named(tmp_path, option):
    path = tmp_path / "secrets"
    path.write_text("good\nhex:geheim\n")
    said = complaint(run("serve", "--database", "host=/nonexistent", option, str(path)))
    assert f"{path}: secrets: line 2: " in said and "geheim" not in said


def test_a_bad_secret_in_the_environment():
    said = complaint(run("sign", "chat", MILLSTREAM_SECRET="hex:geheim"))
    assert "MILLSTREAM_SECRET: secrets: line 1: " in said and "geheim" not in said


@pytest.mark.parametrize("arguments", [
    ["serve", "--secret-file", "/nonexistent/secrets"], ["serve", "--database", "hst=a"],
    ["sign", "chat", "--secret-file", "/nonexistent/secrets"],
])
def test_the_usage_is_that_of_the_command(arguments):
    done = run(*arguments, "--admin", "none") if arguments[0] == "serve" else run(*arguments)
    assert done.returncode == 64
    assert f"Usage: millstream {arguments[0]} " in complaint(done)
    assert f"See 'millstream {arguments[0]} --help'" in complaint(done)


def test_help_for_a_command_that_there_is_not():
    done = run("help", "foo")
    assert done.returncode == 64 and "there is no command 'foo'" in complaint(done)
    assert output(run("help", "serve")) == output(run("serve", "--help"))
    assert output(run("help")) == output(run("--help"))


def test_addresses_that_are_mixed_up(serve, native_database):
    server = serve(native_database, admin="127.0.0.1:0")
    stream, admin = server.address, Admin(server).address
    said = complaint(run("top", "--once", "--admin", "{}:{}".format(*stream)))
    assert "this is not the admin address" in said and "stream" not in said
    said = complaint(run("tail", "chat", "--server", "http://{}:{}".format(*admin)))
    assert "this is the admin address" in said and "no such stream" not in said
    assert "no such stream" in complaint(run("tail", "http://{}:{}/nothing".format(*stream)))


def test_top_without_an_admin_address(tmp_path):
    (tmp_path / "m.toml").write_text('admin = "none"\n')
    for arguments, variables in (
        (["--admin", "none"], {}), (["--config", str(tmp_path / "m.toml")], {}), ([], {"MILLSTREAM_ADMIN": "none"}),
    ):
        assert "--admin is none" in complaint(run("top", "--once", *arguments, **variables))
