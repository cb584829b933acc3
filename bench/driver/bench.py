"""A run of the benchmark: its sizes, and how its processes are started."""

import contextlib
import sys

from .load import Load
from .postgres import Postgres
from .servers import Ceiling, Given, Millstream, install


class Bench:
    """The options as attributes, and a fresh server, ceiling or load client on demand."""

    def __init__(self, options, binaries):
        self.__dict__.update(vars(options))
        self.binaries = binaries

    @contextlib.contextmanager
    def server(self):
        """A fresh server on a fresh Postgres: what ran before is in no figure."""
        if self.url:
            server = Given(self.url, self.pid, self.database, self.store)
            try:
                yield server
            finally:
                server.stop()
            return
        with Postgres() as postgres:
            install(self.binaries["server"], postgres.conninfo, self.store, self.pgmq_sql)
            server = Millstream(self.binaries["server"], postgres.conninfo, self.store)
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

    def load(self, url, connections, *flags, ready):
        """A load client that has begun to connect."""
        return Load(self.binaries["load"], url, connections, *flags, ready=ready)

    @staticmethod
    def say(text):
        """Progress."""
        print(text, file=sys.stderr, flush=True)
