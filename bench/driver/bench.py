"""A run of the benchmark: its sizes, and how its processes are started."""

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

    @contextlib.contextmanager
    def server(self, wrapper=(), environment=None, binary=None):
        """A fresh server on a fresh Postgres: what ran before is in no figure. `wrapper`: a program and
        its arguments that runs it."""
        if self.url:
            server = Given(self.url, self.pid, self.database, self.store)
            try:
                yield server
            finally:
                server.stop()
            return
        with Postgres() as postgres:
            install(self.binaries["server"], postgres.conninfo, self.store, self.pgmq_sql)
            server = Millstream(
                [*wrapper, binary or self.binaries["server"]], postgres.conninfo, self.store, environment or {}
            )
            try:
                yield server
            finally:
                server.stop()

    @contextlib.contextmanager
    def ceiling(self):
        """A ceiling of its own."""
        ceiling = Ceiling(self.binaries["ceiling"])
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
