"""A private Postgres: its own data directory, socket directory and port, gone at the end.

It is a child of the test run and dies with it. `trust` and no fsync: nothing here outlives the
run, and a hard stop of the server alone loses nothing that was committed.

In memory where there is room: a new database is 300 files, and beside anything else that writes
the kernel makes whoever writes files wait for the disk, a second and more for each database.
"""

import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import psycopg

from .ports import free_port
from .waiting import wait_until

MEMORY = pathlib.Path("/dev/shm")
# A run takes some 200 MB; a container's usual 64 MB of shared memory are too little.
ROOM_BYTES = 2 << 30

SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "log_min_messages": "warning",
    "autovacuum_naptime": "10min",
}


class Postgres:
    """One cluster. `create` and `start` it, `remove` it at the end."""

    def __init__(self, **settings):
        self.settings = SETTINGS | settings
        self.directory = pathlib.Path(
            tempfile.mkdtemp(prefix="millstream-postgres-", dir=fastest_place())
        )
        self.port = free_port()
        self.process = None
        self._numbers = itertools.count(1)
        if os.geteuid() == 0:
            shutil.chown(self.directory, "postgres", "postgres")

    # The cluster

    def create(self):
        """initdb; no server runs yet."""
        data = str(self.directory / "data")
        initdb = [program("initdb"), "--pgdata", data, "--username", "postgres"]
        initdb += ["--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]
        made = subprocess.run(
            unprivileged() + initdb, cwd=self.directory, capture_output=True, text=True
        )
        assert made.returncode == 0, f"initdb failed:\n{made.stdout}{made.stderr}"

    def start(self):
        """Returns when it takes connections."""
        assert self.process is None, "Postgres runs already"
        server = [program("postgres"), "-D", str(self.directory / "data")]
        server += ["-p", str(self.port), "-k", str(self.directory), "-h", "127.0.0.1"]
        for name, value in self.settings.items():
            server += ["-c", f"{name}={value}"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                unprivileged() + server, cwd=self.directory, stdout=log, stderr=log
            )
        wait_until(self._takes_connections, f"Postgres takes connections, see {self.log}")

    def stop(self):
        """Ends every session and shuts down (a fast shutdown)."""
        self._stop_by(signal.SIGINT)

    def stop_hard(self):
        """Drops everything where it is (an immediate shutdown): recovery follows at the start."""
        self._stop_by(signal.SIGQUIT)

    def restart(self):
        """A fast shutdown and a start."""
        self.stop()
        self.start()

    def remove(self):
        """Stops it, and removes all its files."""
        if self.process:
            self.stop_hard()
        shutil.rmtree(self.directory)

    @property
    def log(self):
        """The file that it logs to."""
        return self.directory / "postgres.log"

    def _stop_by(self, number):
        self.process.send_signal(number)
        self.process.wait(timeout=60)
        self.process = None

    def _takes_connections(self):
        assert self.process.poll() is None, f"Postgres ended:\n{self.log.read_text()}"
        try:
            psycopg.connect(self.conninfo("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    # Databases

    def conninfo(self, database):
        """How a client connects to `database`."""
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"

    def execute(self, statement, *parameters):
        """One statement outside a transaction, in the maintenance database; all its rows."""
        return execute(self.conninfo("postgres"), statement, *parameters)

    def fresh_database(self, template="template0"):
        """The name of a new database, a copy of `template`."""
        name = f"test_{next(self._numbers)}"
        # By copying files: half the time of writing it all to the log, for databases that small.
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def drop_database(self, name):
        """Whoever is still connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def make_template(self, name, fill):
        """A database that `fill(conninfo)` has filled, to be copied by `fresh_database`."""
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        fill(self.conninfo(name))

    def backends(self, database, application_name="millstream"):
        """Process ids of the sessions whose application name begins so, oldest first."""
        rows = self.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s"
            " AND starts_with(application_name, %s) ORDER BY backend_start",
            database,
            application_name,
        )
        return [pid for (pid,) in rows]

    def terminate_backends(self, database, application_name="millstream"):
        """Cuts those sessions off; returns how many there were."""
        pids = self.backends(database, application_name)
        for pid in pids:
            self.execute("SELECT pg_terminate_backend(%s)", pid)
        return len(pids)


def execute(conninfo, statement, *parameters):
    """One statement in a session of its own, outside a transaction; all its rows."""
    with psycopg.connect(conninfo, autocommit=True) as session:
        cursor = session.execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else []


def fastest_place():
    """The directory for clusters' files: one in memory, or None for the usual temporary one."""
    try:
        has_room = shutil.disk_usage(MEMORY).free >= ROOM_BYTES
    except OSError:
        return None
    return MEMORY if has_room and os.access(MEMORY, os.W_OK) else None


def program(name):
    """Debian keeps Postgres' own programs out of the PATH; the newest version there is."""
    found = sorted(
        pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"),
        key=lambda path: int(path.parts[-3]),
    )
    path = found[-1] if found else shutil.which(name)
    assert path, f"{name} is not installed: run Tests/setup.sh"
    return str(path)


def unprivileged():
    """Postgres refuses to run as root; and it shall not outlive us, whatever ends us."""
    prefix = ["setpriv", "--pdeathsig", "INT"]
    if os.geteuid() == 0:
        prefix += ["--reuid", "postgres", "--regid", "postgres", "--init-groups"]
    return prefix
