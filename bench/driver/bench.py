"""A run of the benchmark: its sizes, and how its processes are started."""

import argparse
import contextlib
import sys

from .load import Load
from .postgres import Postgres
from .servers import Ceiling, Given, Millstream, install


class Bench:
    """The options as attributes, and a fresh server, ceiling or load client on demand."""

    def __init__(self, options, binaries):
        self._options = options
        self.binaries = binaries

    def __getattr__(self, name):
        return getattr(self._options, name)

    def but(self, **options):
        """The same with other sizes."""
        return Bench(argparse.Namespace(**vars(self._options) | options), self.binaries)

    @contextlib.contextmanager
    def server(self, **started):
        """A fresh server on a fresh Postgres: what ran before is in no figure. `started`: as `millstream`
        takes it."""
        if self.url:
            server = Given(self.url, self.pid, self.database, self.store)
            try:
                yield server
            finally:
                server.stop()
            return
        with self.postgres() as postgres:
            with self.millstream(postgres, **started) as server:
                yield server

    @contextlib.contextmanager
    def postgres(self, **settings):
        """A fresh Postgres that has what the store reads."""
        with Postgres(**settings) as postgres:
            install(self.binaries["server"], postgres.conninfo, self.store, self.pgmq_sql)
            yield postgres

    @contextlib.contextmanager
    def millstream(self, postgres, role="postgres", command=None, environment=None, flags=()):
        """A fresh server on a Postgres that may have seen others; `command` runs it (a profiler), in an
        `environment` of its own, with more `flags`."""
        server = Millstream(
            command or [self.binaries["server"]], f"{postgres.conninfo} user={role}", self.store,
            environment or {}, flags,
        )
        try:
            yield server
        finally:
            server.stop()

    @contextlib.contextmanager
    def ceiling(self, *arguments):
        """A ceiling of its own."""
        ceiling = Ceiling(self.binaries["ceiling"], *arguments)
        try:
            yield ceiling
        finally:
            ceiling.stop()

    def load(self, url, connections, *flags, ready, timeout=600):
        """A load client that has begun to connect."""
        return Load(
            self.binaries["load"], url, connections, *flags, ready=ready, timeout=timeout
        )

    @staticmethod
    def say(text):
        """Progress."""
        print(text, file=sys.stderr, flush=True)
