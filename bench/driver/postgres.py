"""A private Postgres with its own directory and port, gone at the end."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from .process import Process

START_SECONDS = 60
# Durability is not what is measured; commits that wait for a disk would hide what is.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "60",
    "autovacuum": "off",
}


class Postgres:
    """One cluster, running from the beginning to `remove`; `settings` beside or instead of ours."""

    def __init__(self, **settings):
        self._settings = SETTINGS | settings
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="millstream-bench-"))
        self.port = _free_port()
        self.process = None
        if os.geteuid() == 0:
            shutil.chown(self.directory, "postgres", "postgres")
        try:
            self._create()
            self._start()
        except BaseException:
            self.remove()
            raise

    @property
    def conninfo(self):
        """How a client connects."""
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"

    def remove(self):
        """Stops it and removes its files."""
        if self.process:
            self.process.stop(signal.SIGINT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def _create(self):
        initdb = [program("initdb"), "-D", str(self.directory / "data"), "-U", "postgres"]
        initdb += ["-A", "trust", "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync"]
        subprocess.run(
            _unprivileged() + initdb, cwd=self.directory, check=True, stdout=subprocess.DEVNULL
        )

    def _start(self):
        server = [program("postgres"), "-D", str(self.directory / "data"), "-p", str(self.port)]
        server += ["-k", str(self.directory), "-h", "127.0.0.1"]
        for name, value in self._settings.items():
            server += ["-c", f"{name}={value}"]
        self.process = Process("postgres", _unprivileged() + server, cwd=self.directory)
        self.process.lines.wait_for("ready to accept connections", START_SECONDS)


def run_sql(conninfo, *, sql=None, file=None):
    """What psql prints for a statement or a file, unaligned and without headings."""
    source = ["-f", str(file)] if file else ["-c", sql]
    arguments = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", conninfo, *source]
    return subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True).stdout


def wait_for_sessions(conninfo, count, limit_seconds=10):
    """Until so many sessions of the server are there; says whether they came."""
    sql = "select count(*) from pg_stat_activity where application_name like 'millstream%'"
    deadline = time.monotonic() + limit_seconds
    while time.monotonic() < deadline:
        if int(run_sql(conninfo, sql=sql)) >= count:
            return True
        time.sleep(0.1)
    return False


def _unprivileged():
    """Postgres refuses to run as root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]


def program(name):
    """The path of one of Postgres' programs, of the newest version if it is not in the PATH."""
    found = shutil.which(name)
    newest = sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not found and not newest:
        raise FileNotFoundError(f"{name}: install Debian's package postgresql")
    return str(found or newest[-1])


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
