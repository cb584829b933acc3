"""What is measured: millstream, the ceiling, or a server that runs already. Each has a `pid`, a
`publisher` and `url(stream)`."""

import os
import re
import subprocess
import sys

from .postgres import run_sql, wait_for_sessions
from .process import Process
from .publisher import DatabasePublisher, PipePublisher

READY_SECONDS = 30
PREFIXES = {"native": "/streams", "pgmq": "/pgbus/streams"}


def clean_environment():
    """Ours, without what would configure a server behind the benchmark's back."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MILLSTREAM_", "PG")) and name != "DATABASE_URL"
    }
    return kept | {"MILLSTREAM_DRAIN": "0s"}


def serve_arguments(command, conninfo, store, flags):
    """How `command` is told to serve a database on a free port."""
    arguments = [*command, "serve", "--listen", "127.0.0.1:0", "--database", conninfo]
    # One loop unless something else is said: most figures are of one core. Whoever watches it asks Postgres,
    # too, and several run at a time.
    arguments += [] if "--loops" in flags else ["--loops", "1"]
    arguments += [] if "--admin" in flags else ["--admin", "none"]
    return [*arguments, *flags, "--public", "bench:*", "--store", store]


def ready_port(process, limit_seconds):
    """Waits for the line that says that it is ready; the port in it."""
    line = process.lines.wait_for(r" ready .*listen=", limit_seconds)
    return re.search(r"listen=127\.0\.0\.1:(\d+)", line)[1]


class Millstream:
    """`millstream serve` on a database that has its schema."""

    def __init__(self, command, conninfo, store, environment, flags):
        self.store, self.conninfo = store, conninfo
        arguments = serve_arguments(command, conninfo, store, flags)
        self.process = Process("millstream", arguments, env=clean_environment() | environment)
        self.port = ready_port(self.process, READY_SECONDS)
        self.pid = self.process.pid
        wait_for_sessions(conninfo, 2)
        self.publisher = DatabasePublisher(conninfo, store)

    def url(self, stream):
        """Where to read a stream."""
        return f"http://127.0.0.1:{self.port}{PREFIXES[self.store]}/{stream}"

    def stop(self):
        """Shuts it down."""
        self.publisher.close()
        self.process.stop()


class Embedded:
    """The C host that hands its clients over; it has what `Millstream` has."""

    def __init__(self, binary, conninfo, store):
        self.store, self.conninfo = store, conninfo
        self.process = Process("embedded", [binary, conninfo, store], env=clean_environment())
        self.port = ready_port(self.process, READY_SECONDS)
        self.pid = self.process.pid
        wait_for_sessions(conninfo, 2)
        self.publisher = DatabasePublisher(conninfo, store)

    url = Millstream.url
    stop = Millstream.stop


def install(binary, conninfo, store, pgmq_sql):
    """Makes the schema that the store reads."""
    if store == "native":
        subprocess.run(
            [binary, "install", "--database", conninfo],
            check=True, env=clean_environment(), stdout=sys.stderr,
        )
    else:
        run_sql(conninfo, file=pgmq_sql)


class Ceiling:
    """The C program that only does what the kernel must do."""

    def __init__(self, binary, *arguments):
        arguments = [binary, "0", *map(str, arguments)]
        self.process = Process("ceiling", arguments, stdin=subprocess.PIPE)
        line = self.process.lines.wait_for(r" ready .*listen=", READY_SECONDS)
        self.port = re.search(r"listen=127\.0\.0\.1:(\d+)", line)[1]
        self.pid = self.process.pid
        self.publisher = PipePublisher(self.process.child.stdin)

    def url(self, stream):
        """Any path will do."""
        return f"http://127.0.0.1:{self.port}/streams/{stream}"

    def stop(self):
        """Ends it."""
        self.process.stop()


class Given:
    """A server that somebody else started; all connections are on the one URL given."""

    def __init__(self, url, pid, conninfo, store):
        self._url, self.pid, self.conninfo = url, pid, conninfo
        self.publisher = DatabasePublisher(conninfo, store) if conninfo else None

    def url(self, _stream):
        """Always the one."""
        return self._url

    def stop(self):
        """It is not ours to stop."""
        if self.publisher:
            self.publisher.close()
