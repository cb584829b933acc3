"""What is shipped for systemd, looked at by systemd's own tools, and the protocols that a service speaks
with it: sd_listen_fds(3), sd_notify(3), the watchdog."""

import os
import pathlib
import re
import signal
import subprocess

import pytest

from harness.admin import Admin
from harness.ports import free_port
from harness.server import Server, binary, native_path
from harness.service_manager import ServiceManager
from harness.thread_stop import stopped
from harness.waiting import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNITS = ROOT / "packaging/systemd"
# 0 is nothing that a service could do, 10 is everything.
HIGHEST_EXPOSURE = 2.0
WATCHDOG_SECONDS = 2


def call(*arguments, **options):
    """The output of a program that has no complaint."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, f"{arguments}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture
def units(tmp_path):
    """The units, with a program that is there."""
    for unit in UNITS.glob("millstream.s*"):
        text = unit.read_text().replace("/usr/bin/millstream", binary())
        (tmp_path / unit.name).write_text(text)
    return tmp_path


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    name = tmp_path / "notify" if request.param == "path" else f"@millstream-{os.getpid()}"
    with ServiceManager(name) as manager:
        yield manager


# The units


def test_verify_has_no_complaint(units):
    names = [units / "millstream.service", units / "millstream.socket"]
    assert call("systemd-analyze", "verify", "--man=no", *names) == ""


def test_exposure_is_low():
    unit = UNITS / "millstream.service"
    said = call("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    exposure = float(re.search(r"exposure level for millstream.service: ([\d.]+)", said)[1])
    print(f"\nexposure: {exposure}")
    assert exposure < HIGHEST_EXPOSURE, said


# The words


def test_it_says_how_it_is(serve, native_database, manager, tmp_path):
    secrets = tmp_path / "secrets"
    secrets.write_text("first\n")
    flags = ["--secret-file", str(secrets), "--drain", "10m", "--loops", "2"]
    server = manager.start(serve, native_database, *flags, listen="127.0.0.1:0")
    assert manager.wait_for("READY")["STATUS"] == f"serving at 127.0.0.1:{server.address[1]}"
    for contents in ("second\n", ""):
        secrets.write_text(contents)
        server.send_signal(signal.SIGHUP)
        reloading = manager.wait_for("RELOADING")
        assert int(reloading["MONOTONIC_USEC"]) > 0
        assert manager.wait_for("READY")["STATUS"].startswith("serving at ")
    secrets.write_text("second\n")
    with server.open("chat", path=native_path("chat")) as first, server.connect():
        assert first.head.status == 404
        server.send_signal(signal.SIGTERM)
        stopping = manager.wait_for("STOPPING")
    assert stopping["STATUS"] == "draining"
    assert int(stopping["EXTEND_TIMEOUT_USEC"]) >= 600_000_000, "longer than the drain"
    assert server.wait() == 0


def test_without_a_manager_nobody_is_told(serve, native_database):
    """An address that nobody is at, and one that is none, change nothing."""
    for address in ("/nowhere/at/all", "@nobody", "relative", "/" + "x" * 200):
        serve(native_database, NOTIFY_SOCKET=address).stop()


# The watchdog


def test_watchdog_hears_of_each_loop(serve, native_database, tmp_path):
    """A loop that hangs stops the word, though the one that gives it runs on."""
    with ServiceManager(tmp_path / "notify") as manager:
        server = manager.start(
            serve, native_database, "--loops", "2", listen="127.0.0.1:0",
            WATCHDOG_USEC=str(WATCHDOG_SECONDS * 1_000_000), admin="127.0.0.1:0",
        )
        manager.wait_for("READY")
        manager.wait_for("WATCHDOG")
        tasks = os.listdir(f"/proc/{server.process.pid}/task")
        (other,) = {int(name) for name in tasks} - {server.process.pid}
        with stopped(other):
            # A word comes four times a watchdog's time: twice that time without one is silence.
            wait_until(lambda: manager.is_silent("WATCHDOG", 2 * WATCHDOG_SECONDS), "silence")
            assert Admin(server).sum("millstream_loop_up", loop=0) == 1
        manager.wait_for("WATCHDOG")


def test_watchdog_of_another_process_is_none_of_ours(serve, native_database, tmp_path):
    with ServiceManager(tmp_path / "notify") as manager:
        server = manager.start(
            serve, native_database, listen="127.0.0.1:0", WATCHDOG_USEC="20000", WATCHDOG_PID="1"
        )
        manager.wait_for("READY")
        server.stop()
        assert manager.is_silent("WATCHDOG", 0)


# The sockets


def test_sockets_take_the_place_of_listen(serve, native_database, tmp_path):
    taken = free_port()
    with ServiceManager(tmp_path / "notify") as manager:
        first = manager.listen("http")
        admin = manager.listen("admin")
        unix = manager.listen("nginx", str(tmp_path / "socket"))
        flags = ["--listen", f"127.0.0.1:{taken}", "--loops", "3"]
        server = manager.start(serve, native_database, *flags)
        assert f" listen=127.0.0.1:{first[1]},unix:{unix} " in server.ready_line
        assert f" admin=127.0.0.1:{admin[1]} " in server.ready_line
        for address in (first, unix):
            server.address = address
            with server.subscribe("chat", path=native_path("chat")):
                pass
        assert Admin(server).ask("/healthz")[0] == 200
        environment = pathlib.Path(f"/proc/{server.process.pid}/environ").read_bytes()
        assert b"LISTEN_FDS=3" in environment, "they were passed"
        server.stop()
        assert (tmp_path / "socket").exists(), "it is not ours"


def test_sockets_for_another_process_are_none_of_ours(serve, native_database):
    server = serve(native_database, LISTEN_PID="1", LISTEN_FDS="1")
    assert re.search(r" listen=127.0.0.1:\d+ ", server.ready_line)


def test_descriptor_that_is_no_socket_is_said(serve, native_database, tmp_path):
    with open(tmp_path / "file", "w", encoding="utf-8") as file:
        launcher = ("bash", "-c", f'export LISTEN_PID=$$; exec "$@" 3<&{file.fileno()}', "bash")
        with pytest.raises(AssertionError, match="descriptor 3 is no listening stream socket"):
            serve(
                native_database, listen=None, launcher=launcher, descriptors=[file.fileno()],
                LISTEN_FDS="1",
            )


def test_first_client_starts_it(serve, native_database):
    """systemd's own program listens, and becomes the server when somebody comes."""
    port = free_port()
    activate = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}"]
    for name in ("PATH", "MILLSTREAM_SECRET", "MILLSTREAM_DRAIN"):
        activate += ["-E", name]
    started = []

    class Activated(Server):
        """It is ready only after the first client has come."""

        def wait_for_line(self, pattern, what, **options):
            if "ready" in pattern and not started:
                super().wait_for_line("Listening on", "systemd's word")
                self.address = ("127.0.0.1", port)
                started.append(self.get(native_path("chat")))
            return super().wait_for_line(pattern, what, **options)

    server = Activated(native_database, listen=None, launcher=activate)
    try:
        with started[0] as client:
            assert client.head.status == 200
            assert client.connection_id()
    finally:
        server.stop()
