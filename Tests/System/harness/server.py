"""The real `millstream serve`, started with given flags, watched, and stopped by its pid."""

import functools
import mmap
import os
import pathlib
import re
import signal
import subprocess
import threading

from .client import Client, request
from .names import SECRET, sign
from .waiting import LIMIT_SECONDS, wait_until

REPORTS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:", "Fatal error")


def binary():
    """The program under test."""
    root = pathlib.Path(__file__).resolve().parents[3]
    return os.environ.get("MILLSTREAM_BIN", str(root / ".build/debug/millstream"))


@functools.cache
def is_sanitized():
    """Whether the program was built with AddressSanitizer, which keeps what is freed."""
    with open(binary(), "rb") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as contents:
            return contents.find(b"__asan_init") >= 0


def environment(**variables):
    """Ours, without what would configure the program behind a test's back."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MILLSTREAM_", "PG")) and name != "DATABASE_URL"
    }
    # What the sanitizers' runs put into the program; whatever starts it, like setpriv, has no use for it.
    if preload := os.environ.get("MILLSTREAM_PRELOAD"):
        kept["LD_PRELOAD"] = preload
    # A server that is to end shall not take its time over it, if that is not what is tested.
    return kept | {"MILLSTREAM_DRAIN": "0s"} | variables


def run(*arguments, input=None, limit=60, **variables):
    """Another of the program's commands, to its end; output as text."""
    return subprocess.run(
        [binary(), *arguments],
        env=environment(**{"MILLSTREAM_SECRET": SECRET} | variables),
        input=input.encode() if isinstance(input, str) else (input or b""),
        capture_output=True,
        timeout=limit,
    )


class Server:
    """One running server; made by the fixture `serve`, which also stops it."""

    def __init__(
        self,
        database,
        *flags,
        listen="127.0.0.1:0",
        admin="none",
        launcher=(),
        descriptors=(),
        **variables,
    ):
        arguments = [binary(), "serve"]
        if database:
            arguments += ["--database", database]
        if listen:
            arguments += ["--listen", listen]
        # One loop, so that what a test counts does not depend on the machine.
        if "--loops" not in flags:
            arguments += ["--loops", "1"]
        # The usual admin address is one for the whole machine.
        if admin:
            arguments += ["--admin", admin]
        self.log = []
        self.process = subprocess.Popen(
            # It shall not outlive the test run, whatever ends that.
            ["setpriv", "--pdeathsig", "TERM", *launcher, *arguments, *flags],
            pass_fds=descriptors,
            env=environment(**{"MILLSTREAM_SECRET": SECRET} | variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._collect_log, daemon=True)
        self._reader.start()
        self.ready_line = self.wait_for_line(r" info ready |\"ready\"", "the ready line")
        self.address = self._address()

    # Its log

    def _collect_log(self):
        for line in self.process.stderr:
            self.log.append(line.decode(errors="replace").rstrip("\n"))

    def wait_for_line(self, pattern, what, limit=LIMIT_SECONDS):
        """The first line of the log in which `pattern` is found."""

        def found():
            line = next((line for line in list(self.log) if re.search(pattern, line)), None)
            assert line or self._reader.is_alive(), f"no {what}, it ended:\n{self.log_text()}"
            return line

        return wait_until(found, f"{what} in the log", limit)

    def log_text(self):
        """All that it has said."""
        return "\n".join(self.log)

    # Its clients

    def _address(self):
        listen = re.search(r"listen\"?[=:]\"?([^ ,\"]+)", self.ready_line).group(1)
        if listen.startswith("unix:"):
            return listen.removeprefix("unix:")
        host, _, port = listen.rpartition(":")
        return host, int(port)

    def connect(self, **options):
        """A client that has sent nothing yet."""
        return Client(self.address, **options)

    def ask(self, data, **options):
        """A client that has sent `data`; its answer may not have come yet."""
        client = self.connect(**options)
        client.send(data)
        return client

    def get(self, path, *fields, **options):
        """A client that has sent a GET."""
        return self.ask(request(path, *fields), **options)

    def subscribe(self, name, since=None, last_event_id=None, path=None, **options):
        """A client whose stream is open and live: its connected frame has been read."""
        client = self.open(name, since, last_event_id, path, **options)
        assert client.head.status == 200, f"{client.head.raw!r} {client.stream.rest!r}"
        client.id = client.connection_id()
        return client

    def open(self, name, since=None, last_event_id=None, path=None, **options):
        """A client that has asked for stream `name`; nothing has been read yet."""
        path = path or stream_path(name)
        if since is not None:
            path += f"?since={since}"
        fields = [] if last_event_id is None else [f"Last-Event-ID: {last_event_id}"]
        return self.get(path, *fields, **options)

    # Its process

    def descriptor_count(self):
        """How many file descriptors it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident_bytes(self):
        """Its resident memory."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024

    def send_signal(self, number):
        """Sends it a signal."""
        self.process.send_signal(number)

    def wait(self, limit=LIMIT_SECONDS):
        """Its exit status, once it has ended and all its log is here."""
        status = self.process.wait(timeout=limit)
        self._reader.join(timeout=limit)
        return status

    def stop(self, number=signal.SIGTERM):
        """Shuts it down in order: it must exit 0, and no sanitizer must have a complaint."""
        self.send_signal(number)
        try:
            status = self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not stop:\n{self.log_text()}") from None
        assert status == 0, f"exit status {status}:\n{self.log_text()}"
        self.assert_no_report()

    def assert_no_report(self):
        """Nothing in the log is a sanitizer's or the runtime's complaint."""
        found = [report for report in REPORTS if report in self.log_text()]
        assert not found, f"{found}:\n{self.log_text()}"

    def kill(self):
        """Ends it at once, whatever it does."""
        self.process.kill()
        self.wait()

    @property
    def is_running(self):
        return self.process.poll() is None


def stream_path(name):
    """Where the stream of a PGMQ queue is found, signed."""
    return f"/pgbus/streams/{sign(name)}"


def native_path(name):
    """Where a stream of the native store is found, signed."""
    return f"/streams/{sign(name)}"
