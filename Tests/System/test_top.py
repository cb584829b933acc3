"""`millstream top`: the status page's figures in a terminal, once and all the time."""

import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios

import pytest

from harness.admin import Admin
from harness.crowd import Crowd
from harness.native import Publisher
from harness.ports import free_port
from harness.server import binary, environment, native_path, run
from harness.waiting import wait_until

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


@pytest.fixture
def observed(serve, full_database):
    """A server with an admin address; gives both."""
    server = serve(full_database, admin="127.0.0.1:0")
    return server, Admin(server)


@pytest.fixture
def chat(full_database):
    with Publisher(full_database, "chat") as publisher:
        yield publisher


def crowd_of(server, count):
    return Crowd(server.open("chat", path=native_path("chat")) for _ in range(count))


def address(admin):
    return "{}:{}".format(*admin.address)


class Terminal:
    """`millstream top` in a terminal of its own."""

    def __init__(self, *arguments, columns=100, rows=30, **variables):
        self.text = ""
        parent, child = pty.openpty()
        self.descriptor = parent
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            [binary(), "top", *arguments], stdin=child, stdout=child, stderr=child,
            env=environment(**{"TERM": "xterm"} | variables), start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(child)

    def resize(self, columns, rows):
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        """All that has been written."""
        while select.select([self.descriptor], [], [], 0)[0]:
            try:
                data = os.read(self.descriptor, 1 << 16)
            except OSError:  # The other side is closed.
                break
            if not data:
                break
            self.text += data.decode(errors="replace")
        return self.text

    def screen(self):
        """The lines of the last whole screen, without styles."""
        parts = self.read().split("\x1b[H")
        whole = [part for part in parts[1:] if "\x1b[J" in part]
        plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", whole[-1].split("\x1b[J")[0]) if whole else ""
        # The terminal puts a carriage return of its own before each line feed.
        return [line.rstrip("\r") for line in plain.split("\n")]

    def wait_for(self, part):
        wait_until(lambda: any(part in line for line in self.screen()), f"{part!r} on the screen")

    def end(self, number):
        self.process.send_signal(number)
        status = self.process.wait(30)
        self.read()
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.descriptor)


@pytest.fixture
def terminal():
    """Opens terminals, and closes them after the test."""
    opened = []

    def start(*arguments, **options):
        opened.append(Terminal(*arguments, **options))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_once(observed, chat):
    server, admin = observed
    with crowd_of(server, 5):
        wait_until(lambda: admin.sum("millstream_connections", state="live") == 5, "five")
        done = run("top", "--once", "--admin", address(admin))
        text = done.stdout.decode()
        assert done.returncode == 0, done.stderr.decode()
        assert "connections  5 of " in text and "\x1b" not in text
        assert re.search(r"^chat +native +5 +0$", text, re.MULTILINE), text
        assert re.search(r"^Postgres +listen 0 ready +read 0 ready$", text, re.MULTILINE), text


def test_no_terminal_is_once(observed):
    _, admin = observed
    done = run("top", "--admin", f"http://{address(admin)}/", limit=30)
    assert done.returncode == 0 and b"connections  0 of " in done.stdout


def test_the_environment_says_where(observed):
    _, admin = observed
    assert run("top", "--once", MILLSTREAM_ADMIN=address(admin)).returncode == 0


def test_nobody_there():
    done = run("top", "--once", "--admin", f"127.0.0.1:{free_port()}")
    assert done.returncode == 1 and b"cannot connect" in done.stderr and not done.stdout


def test_wrong_address():
    for text in ("unix:/tmp/x", "127.0.0.1:http", ""):
        assert run("top", "--once", "--admin", text).returncode == 64, text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_gives_the_screen_back(observed, terminal, number):
    _, admin = observed
    top = terminal("--admin", address(admin))
    top.wait_for("connections")
    assert top.text.startswith(ENTER) and LEAVE not in top.text
    assert top.end(number) == 0
    assert top.text.endswith(LEAVE)


def test_follows_what_happens(observed, terminal, chat):
    server, admin = observed
    top = terminal("--admin", address(admin))
    top.wait_for("connections  0 of")
    with crowd_of(server, 3):
        top.wait_for("connections  3 of")
        top.wait_for("chat")
    top.wait_for("connections  0 of")


@pytest.mark.parametrize("columns", [30, 60, 140])
def test_fits_and_follows_the_terminal(observed, terminal, columns):
    _, admin = observed
    top = terminal("--admin", address(admin), columns=100, rows=30)
    top.wait_for("STORE")
    top.resize(columns, 8)
    wait_until(lambda: len(top.screen()) <= 8, "fewer lines")
    top.read()
    assert all(len(line) <= columns for line in top.screen())


def test_names_of_wide_characters_take_no_further_line(observed, terminal):
    """Each takes two places, so the terminal has to cut what goes beyond its edge, and only for so long."""
    _, admin = observed
    top = terminal("--admin", address(admin))
    top.wait_for("connections")
    assert top.text.count("\x1b[?7l") == 1 and "\x1b[?7h" not in top.text
    top.end(signal.SIGTERM)
    assert "\x1b[?7h" in top.text


def test_a_terminal_that_understands_no_commands(observed, terminal):
    _, admin = observed
    top = terminal("--admin", address(admin), TERM="dumb")
    assert top.process.wait(30) == 0
    assert "connections  0 of " in top.read() and "\x1b" not in top.text


def test_colors(observed, terminal):
    _, admin = observed
    top = terminal("--admin", address(admin))
    top.wait_for("connections")
    assert "\x1b[1m" in top.text
    plain = terminal("--admin", address(admin), NO_COLOR="1")
    plain.wait_for("connections")
    assert not re.search(r"\x1b\[[\d;]*m", plain.text)


def test_says_that_the_server_has_gone_and_goes_on(serve, full_database, terminal):
    where = f"127.0.0.1:{free_port()}"
    server = serve(full_database, admin=where)
    top = terminal("--admin", where)
    top.wait_for("connections")
    server.stop()
    top.wait_for("trying again")
    serve(full_database, admin=where)
    wait_until(lambda: not any("trying again" in line for line in top.screen()), "it is back")


def test_a_name_commands_no_terminal(serve, full_database, terminal):
    """Names are the application's: what they hold of escapes is shown, not obeyed."""
    server = serve(full_database, "--public", "*", admin="127.0.0.1:0")
    with socket.create_connection(server.address) as client:
        client.sendall(b"GET /streams/evil%C2%9B2J%E2%80%AE HTTP/1.1\r\nHost: localhost\r\n\r\n")
        top = terminal("--admin", address(Admin(server)))
        top.wait_for("evil")
        assert "\x9b" not in top.text and "\u202e" not in top.text
