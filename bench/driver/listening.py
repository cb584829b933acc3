"""The ceiling behind a bare LISTEN (bench/listen): what a commit must cost with Postgres and kernel."""

from .process import Process
from .publisher import DatabasePublisher
from .servers import Ceiling

START_SECONDS = 10


class ListeningCeiling:
    """A ceiling whose lines come from another program; each payload of a notification is one."""

    def __init__(self, binaries, conninfo):
        self._ceiling = Ceiling(binaries["ceiling"])
        pipe = self._ceiling.process.child.stdin
        self._listen = Process("listen", [binaries["listen"], conninfo], stdout=pipe)
        # Its other end is the program's alone: the ceiling ends with that.
        pipe.close()
        self._listen.lines.wait_for("listening", START_SECONDS)
        self.pid, self.url = self._ceiling.pid, self._ceiling.url
        self.publisher = Notifier(conninfo)

    def stop(self):
        """Ends both."""
        self.publisher.close()
        self._listen.stop()
        self._ceiling.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Notifier(DatabasePublisher):
    """Publishes with a notification alone. The ceiling has one stream."""

    def _call(self, _stream, data):
        return f"pg_notify('ceiling', {data})"

    def prepare(self, _stream):
        """Nothing to do."""
