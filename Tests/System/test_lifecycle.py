"""Proves how the server begins and ends, what it takes from its surroundings, and that it keeps
nothing of clients that are gone nor suffers from those that do not read."""

import base64
import contextlib
import json
import re
import signal
import socket
import time

import pytest

from harness.client import Closed
from harness.crowd import Crowd
from harness.names import SECRET, sign, turbo_key
from harness.server import is_sanitized, run
from harness.waiting import wait_until

MEBIBYTE = 1 << 20
GOODBYES = 200


# It begins


def test_ready_line(server):
    line = server.ready_line
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ info ready ", line), line
    assert f" listen=127.0.0.1:{server.address[1]}" in line and server.address[1] != 0
    assert " stores=pgmq,native" in line


@pytest.mark.parametrize("store", ["pgmq", "native"])
def test_ready_line_says_which_store(serve, full_database, store):
    assert re.search(rf" stores={store}( |$)", serve(full_database, "--store", store).ready_line)


def test_json_log(serve, pgmq_database):
    server = serve(pgmq_database, "--log-format", "json")
    server.subscribe("chat").close()
    server.stop()
    lines = [json.loads(line) for line in server.log]
    assert lines and all(isinstance(line, dict) for line in lines)
    assert any("ready" in line.values() for line in lines), lines[0]


def test_log_level(serve, pgmq_database):
    """Connections come and go at debug level."""
    quiet = serve(pgmq_database, "--log-level", "info")
    loud = serve(pgmq_database, "--log-level", "trace")
    for server in (quiet, loud):
        server.subscribe("chat").close()
        server.stop()
    assert not [line for line in quiet.log if re.search(r"Z (debug|trace) ", line)]
    assert [line for line in loud.log if re.search(r"Z (debug|trace) ", line)]


def test_port_that_is_taken_is_said(serve, pgmq_database):
    _, port = serve(pgmq_database).address
    second = run("serve", "--database", pgmq_database, "--listen", f"127.0.0.1:{port}")
    assert second.returncode not in (0, 64)
    assert str(port) in second.stderr.decode(), second.stderr


ADDRESSES_THAT_CANNOT_BE_HAD = {
    "taken": ["--listen", "127.0.0.1:{port}", "--admin", "none"],
    "of another machine": ["--listen", "192.0.2.1:80", "--admin", "none"],
    "admin": ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:{port}"],
}


@pytest.mark.parametrize("flags", ADDRESSES_THAT_CANNOT_BE_HAD.values(), ids=ADDRESSES_THAT_CANNOT_BE_HAD)
@pytest.mark.parametrize("asked", ["--authorize-url", "--jwks-url"])
@pytest.mark.parametrize("loops", ["1", "3"])
def test_what_cannot_start_ends_with_a_reason(flags, asked, loops):
    """What was made by then goes in order, such as what would ask the application, and has not yet."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        flags = [flag.format(port=taken.getsockname()[1]) for flag in flags]
        done = run("serve", "--database", "dbname=nowhere", "--store", "native", "--loops", loops,
                   asked, "http://127.0.0.1:9/x", *flags)
    said = done.stderr.decode()
    assert done.returncode == 1, said
    assert len(said.splitlines()) == 1 and " error cannot start reason=" in said


def test_ready_means_that_nothing_is_missed(serve, queue, pgmq_database):
    """The steps: a client connects while the sessions are still connecting, is told that it is
    connected, and something is published. "From now on" began with its connected frame."""
    for number in range(10):
        server = serve(pgmq_database)
        with server.subscribe("chat") as client:
            queue.send(str(number))
            assert client.broadcast(limit=10).data == str(number)
        server.stop()


# It ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_shutdown_says_goodbye_to_everyone(server, number):
    with Crowd(server.open("chat") for _ in range(GOODBYES)) as crowd:
        crowd.connected()
        server.stop(number)
        crowd.wait(lambda client: client.stream.is_over, "the end of the connection")
        for client in crowd.clients:
            assert client.stream.blocks[-1].is_goodbye, client.stream.blocks[-1]
            assert client.stream.rest == b""


def test_shutdown_closes_who_has_not_asked_yet(server):
    with server.connect() as silent, server.ask(b"GET / HT") as slow:
        server.stop()
        for client in (silent, slow):
            client.read_to_end()


def test_shutdown_without_a_database(serve, postgres, pgmq_database):
    server = serve(pgmq_database)
    postgres.stop_hard()
    server.stop()


def test_shutdown_takes_no_longer_than_the_write_deadline(serve, queue, pgmq_database):
    server = serve(pgmq_database, "--write-deadline", "1s")
    with _never_reading(server, queue):
        server.stop()


def test_second_signal_exits_at_once(serve, queue, pgmq_database):
    """One client does not read, so the goodbye to it would take the whole write deadline."""
    server = serve(pgmq_database, "--write-deadline", "10m")
    with server.subscribe("chat", since=0) as reading, _never_reading(server, queue):
        server.send_signal(signal.SIGTERM)
        reading.expect(lambda block: block.is_goodbye, "goodbye")
        server.send_signal(signal.SIGTERM)
        server.wait(limit=10)
        server.assert_no_report()


def _never_reading(server, queue):
    """A client that has more due to it than its sockets hold, and takes none of it."""
    queue.send_many(["x" * 65_536] * 200)
    return server.open("chat", since=0, receive_buffer_bytes=4096)


# Flags and environment

BAD_FLAGS = [
    ["--no-such-flag"],
    ["--heartbeat", "soon"],
    ["--heartbeat", "-1s"],
    ["--heartbeat", "0s"],
    ["--write-deadline", "5"],
    ["--minimum-rate", "-1"],
    ["--minimum-rate", "64B"],
    ["--listen", "nowhere"],
    ["--listen", "127.0.0.1:70000"],
    ["--listen", "127.0.0.1:http"],
    ["--listen", "unix:"],
    ["--store", "redis"],
    ["--max-connections", "none"],
    ["--max-connections", "-1"],
    ["--log-level", "shout"],
    ["--log-format", "xml"],
    ["--secret-file", "/nowhere/at/all"],
    ["--pgmq-prefix", "no-slash"],
    ["--script-path", "no-slash"],
    ["--allow-origin", "https://x/"],
    ["--allow-origin", "x.com"],
    ["--script-path", "/a?b"],
    ["--pgmq-prefix", "/same", "--native-prefix", "/same"],
    ["superfluous"],
]


@pytest.mark.parametrize("flags", BAD_FLAGS, ids=" ".join)
def test_bad_flags_exit_64_with_the_reason(flags):
    done = run("serve", "--database", "dbname=nowhere", *flags)
    assert done.returncode == 64, done.stderr.decode()
    reason = done.stderr.decode()
    assert flags[0].lstrip("-") in reason or flags[-1] in reason, reason


def test_bad_environment_exits_64_with_the_reason():
    done = run("serve", "--database", "dbname=nowhere", MILLSTREAM_HEARTBEAT="soon")
    assert done.returncode == 64, done.stderr.decode()
    assert done.stderr.decode().startswith("Error: MILLSTREAM_HEARTBEAT: The value 'soon' is invalid")


@pytest.mark.parametrize("text", ["maybe", "2", "tru"])
def test_a_variable_that_is_neither_true_nor_false_is_no_option(text):
    done = run("serve", "--database", "dbname=nowhere", MILLSTREAM_REUSE_PORT=text)
    assert done.returncode == 64
    assert done.stderr.decode().startswith("Error: MILLSTREAM_REUSE_PORT is true, 1, yes or on, or else")
    assert run("serve", "--help", MILLSTREAM_REUSE_PORT=text).returncode == 0


@pytest.mark.parametrize(
    "text, is_set", [("on", True), ("TRUE", True), ("1", True), ("off", False), ("False", False), ("", False)]
)
def test_variables_of_flags(serve, native_database, text, is_set):
    """Whether another server may have the port, too."""
    port = serve(native_database, MILLSTREAM_REUSE_PORT=text).address[1]
    with contextlib.closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        assert _can_bind(other, port) == is_set


def _can_bind(socket_, port):
    try:
        socket_.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def test_variables_that_are_no_options_are_said(serve, native_database):
    server = serve(
        native_database, MILLSTREAM_WRITE_DEADLIN="hidden", MILLSTREAM_LIBRARY="/x", MILLSTREAM_PORT="tcp://x",
        MILLSTREAM_SERVICE_HOST="x", MILLSTREAM_EVENT="of publish", XMILLSTREAM_DRAIN="x",
    )  # fmt: skip
    lines = [line.partition(" warning ")[2] for line in server.log if " warning " in line]
    assert lines == [
        "a variable of the environment is no option variable=MILLSTREAM_LIBRARY",
        "a variable of the environment is no option meant=MILLSTREAM_WRITE_DEADLINE"
        " variable=MILLSTREAM_WRITE_DEADLIN",
    ]
    assert "hidden" not in server.log_text()


def _retry(server):
    with server.open("chat") as client:
        return int(client.next_block().raw.removeprefix(b"retry: "))


def test_environment_variables_are_flags(serve, pgmq_database):
    server = serve(
        None,
        listen=None,
        MILLSTREAM_DATABASE=pgmq_database,
        MILLSTREAM_LISTEN="127.0.0.1:0",
        MILLSTREAM_RETRY="60s",
        MILLSTREAM_PGMQ_PREFIX="/pgbus/streams",
    )
    assert 30_000 <= _retry(server) <= 90_000


def test_flags_win_over_the_environment(serve, pgmq_database):
    server = serve(pgmq_database, "--retry", "2s", MILLSTREAM_RETRY="60s")
    assert 1000 <= _retry(server) <= 3000


def test_database_url(serve, queue, pgmq_database):
    """The plainest way to say it, and libpq's URL form."""
    parts = dict(part.split("=") for part in pgmq_database.split())
    url = "postgres://{user}@{host}:{port}/{dbname}".format(**parts)
    server = serve(None, DATABASE_URL=url)
    with server.subscribe("chat") as client:
        queue.send("x")
        assert client.broadcast().data == "x"


def test_the_listening_session_has_its_own_address(serve, queue, pgmq_database, postgres):
    own = f"{pgmq_database} host={postgres.directory}"
    server = serve(pgmq_database, "--listen-database", own)
    with server.subscribe("chat") as client:
        queue.send("x")
        assert client.broadcast().data == "x"
        addresses = postgres.execute(
            "SELECT DISTINCT client_addr IS NULL FROM pg_stat_activity"
            " WHERE datname = %s AND starts_with(application_name, 'millstream')",
            pgmq_database.rpartition("dbname=")[2],
        )
    assert sorted(addresses) == [(False,), (True,)], "one by TCP and one by the Unix socket"


def test_secrets_are_rotated(serve, pgmq_database, tmp_path):
    """Every line verifies, the first one signs."""
    secrets = tmp_path / "secrets"
    secrets.write_text("newer\nolder\n")
    server = serve(pgmq_database, "--secret-file", str(secrets))
    from_command = run("sign", "chat", "--secret-file", str(secrets)).stdout.decode().strip()
    assert from_command == sign("chat", "newer")
    for secret, status in (("newer", 200), ("older", 200), (SECRET, 404)):
        with server.get(f"/pgbus/streams/{sign('chat', secret)}") as client:
            assert client.head.status == status, secret


@pytest.mark.parametrize("form", ["hex:{}", "base64:{}"])
def test_key_that_rails_derives(serve, pgmq_database, tmp_path, form):
    """64 raw bytes, handed over as text; the second vector of the wire reference."""
    key = turbo_key("testsecret123")
    text = key.hex() if form.startswith("hex") else base64.b64encode(key).decode()
    secrets = tmp_path / "secrets"
    secrets.write_text(form.format(text) + "\n")
    signed = "ImJvYXJkOjEi--7eadb36517dd962e290a5c55daad0a9a3ae0aa9a26ae0e72b7f78ae7eb0d5a3d"
    assert run("sign", "board:1", "--secret-file", str(secrets)).stdout.decode().strip() == signed
    server = serve(pgmq_database, "--secret-file", str(secrets))
    with server.subscribe("board:1", path=f"/pgbus/streams/{signed}") as client:
        assert client.id


def test_every_command_helps():
    for command in ("serve", "demo", "sign", "publish", "tail", "install", "doctor"):
        done = run(command, "--help")
        assert done.returncode == 0, done.stderr.decode()
        assert "USAGE" in done.stdout.decode()


# Clients that are gone, or do not read


def test_ten_thousand_connects_leave_nothing_behind(server, queue):
    _come_and_go(server, 2_000)
    descriptors, resident = server.descriptor_count(), server.resident_bytes()
    _come_and_go(server, 10_000)
    wait_until(lambda: server.descriptor_count() <= descriptors, "descriptors as before")
    grown = server.resident_bytes() - resident
    # AddressSanitizer keeps what is freed for a while; LeakSanitizer looks at the end instead.
    assert is_sanitized() or grown <= 2 * MEBIBYTE, f"{grown / MEBIBYTE:.1f} MiB more"
    with server.subscribe("chat") as client:
        queue.send("x")
        assert client.broadcast().data == "x"


def _come_and_go(server, count, at_once=100):
    """So many clients over so many streams, a hundred at a time; half of them go by reset."""
    for start in range(0, count, at_once):
        clients = [server.open(f"room:{n % 50}") for n in range(start, start + at_once)]
        for number, client in enumerate(clients):
            assert client.connection_id()
            client.reset() if number % 2 else client.close()


def test_client_that_never_reads_is_dropped(serve, queue, pgmq_database):
    server = serve(pgmq_database, "--write-deadline", "1s")
    with Crowd(server.open("chat") for _ in range(3)) as healthy:
        healthy.connected()
        descriptors = server.descriptor_count()
        slow = _never_reading(server, queue)
        # Thirteen megabytes of JSON, which a debug build reads byte by byte.
        for got in healthy.broadcasts(200, limit=240):
            assert {len(block.data) for block in got} == {65_536}
        wait_until(lambda: server.descriptor_count() <= descriptors, "the slow client dropped")
        slow.read_to_end()
        assert len(slow.stream.blocks) < 200, "it can hardly have been slow"
        queue.send("after")
        assert [got[-1].data for got in healthy.broadcasts(1)] == ["after"] * 3


def test_dropped_client_resumes(serve, queue, pgmq_database):
    """What was cut off in the middle of a frame is no frame: the cursor is that of the last one."""
    server = serve(pgmq_database, "--write-deadline", "1s")
    descriptors = server.descriptor_count()
    slow = _never_reading(server, queue)
    # It reads nothing until it has been dropped, so that only what its sockets held is there.
    wait_until(lambda: server.descriptor_count() > descriptors, "the slow client connected")
    wait_until(lambda: server.descriptor_count() <= descriptors, "the slow client dropped")
    slow.read_to_end()
    got = Crowd.take(slow)
    with server.subscribe("chat", last_event_id=got[-1].id) as client:
        rest = client.broadcasts(200 - len(got))
    numbers = [block.number for block in got + rest]
    assert numbers == list(range(1, 201))


def test_idle_connection_is_closed(serve, pgmq_database):
    """A heartbeat is no activity."""
    server = serve(pgmq_database, "--idle-timeout", "2s", "--heartbeat", "500ms")
    began = time.monotonic()
    with server.subscribe("chat") as client:
        blocks = client.read_to_end()
    assert time.monotonic() - began >= 2, "closed too early"
    assert sum(block.is_heartbeat for block in blocks) >= 2


def test_broadcasts_keep_a_connection_from_being_idle(serve, queue, pgmq_database):
    server = serve(pgmq_database, "--idle-timeout", "2s", "--heartbeat", "500ms")
    with server.subscribe("chat") as idle_later:
        for _ in range(10):
            queue.send("x")
            idle_later.expect(lambda block: block.is_heartbeat, "heartbeat")
        with pytest.raises(Closed):
            while True:
                idle_later.next_block()
