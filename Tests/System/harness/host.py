"""C programs around libmillstream: compiled against the header and the library alone, run, watched."""

import functools
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading

from .client import Client, request
from .library import ROOT, WARNINGS, library_folder
from .server import environment
from .waiting import LIMIT_SECONDS, wait_until

HEADERS = ROOT / "Sources/CMillstream"
EXAMPLES = ROOT / "Sources/Examples"
SUPPRESSIONS = ROOT / "Tests/valgrind.supp"
# Valgrind's way to say that it has found something.
COMPLAINT = 99


@functools.cache
def library():
    """The directory of libmillstream.so: that of `make library`, or a given one."""
    return pathlib.Path(os.environ.get("MILLSTREAM_LIBRARY_PATH") or library_folder())


@functools.cache
def _scratch_directory():
    return tempfile.TemporaryDirectory(prefix="millstream-hosts-")


def _scratch():
    """Lives as long as the test run."""
    return pathlib.Path(_scratch_directory().name)


def run_quietly(*command, **options):
    """Runs a build step, whose output only matters if it fails."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900, **options
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")


@functools.cache
def compile_host(name, *sources, standard="c99", flags=()):
    """Compiles `sources` without a warning, and returns the program."""
    program = _scratch() / name
    run_quietly(
        *["cc", f"-std={standard}", "-g", *WARNINGS, "-I", HEADERS, *sources, "-o", program],
        *["-L", library(), f"-Wl,-rpath,{library()}", "-lmillstream", "-lev", "-lpthread", *flags],
    )
    return program


def under_valgrind(*command, leak_check="full"):
    """The command that runs `command` and exits with COMPLAINT if memory was misused or lost."""
    return [
        *["valgrind", "--quiet", f"--leak-check={leak_check}"],
        *["--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"],
        *[f"--error-exitcode={COMPLAINT}", f"--suppressions={SUPPRESSIONS}", "--num-callers=40"],
        *command,
    ]


class Host:
    """A running example: it prints where it listens, and ends in order when it is told to."""

    READY = re.compile(r"[Ll]istening on (?:http|tcp)://([^:/]+):(\d+)")

    def __init__(self, *command, limit=LIMIT_SECONDS, **variables):
        self.output = []
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()
        host, port = wait_until(self._ready, "the line that says where it listens", limit).groups()
        self.address = host, int(port)

    def _collect(self):
        for line in self.process.stdout:
            self.output.append(line.decode(errors="replace").rstrip("\n"))

    def _ready(self):
        found = next(filter(None, map(self.READY.search, list(self.output))), None)
        assert found or self._reader.is_alive(), f"it ended:\n{self.text()}"
        return found

    def text(self):
        """All that it has printed."""
        return "\n".join(self.output)

    def get(self, path, *fields, **options):
        """A client that has sent a GET."""
        client = Client(self.address, **options)
        client.send(request(path, *fields))
        return client

    def subscribe(self, path, *fields, **options):
        """A client whose stream is open: its connected frame has been read."""
        client = self.get(path, *fields, **options)
        assert client.head.status == 200, f"{client.head.raw!r} {client.stream.rest!r}"
        client.id = client.connection_id()
        return client

    def descriptor_count(self):
        """How many file descriptors it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self, number=signal.SIGTERM, limit=LIMIT_SECONDS):
        """It must end with 0."""
        self.process.send_signal(number)
        try:
            status = self.process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not stop:\n{self.text()}") from None
        self._reader.join(timeout=limit)
        assert status == 0, f"exit status {status}:\n{self.text()}"

    def kill(self):
        """Ends it at once."""
        self.process.kill()
        self.process.wait()

    @property
    def is_running(self):
        return self.process.poll() is None
