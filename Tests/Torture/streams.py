"""The streams that are tortured, each with the names that it is reached by."""

import dataclasses

from harness.pgmq import queue_name
from harness.server import native_path, stream_path


@dataclasses.dataclass(frozen=True)
class TorturedStream:
    """A PGMQ queue (`queue` is its name) or a native stream (`queue` is None)."""

    name: str
    paths: tuple
    queue: str | None = None
    throttle_ms: int = 0
    # Whether it is dropped and made again now and then.
    is_renewed: bool = False

    def __str__(self):
        return f"{'pgmq' if self.queue else 'native'}:{self.name}"

    @property
    def table(self):
        """Of the queue's messages."""
        return f"pgmq.q_{self.queue}"


def _queue(name, aliases=(), **options):
    paths = tuple(stream_path(alias) for alias in (name, *aliases))
    return TorturedStream(name, paths, queue_name(name), **options)


def _native(name):
    return TorturedStream(name, (native_path(name),))


STREAMS = [
    _queue("busy"),
    _queue("three:names", aliases=("three-names", "three_names")),
    _queue("throttled", throttle_ms=250),
    _queue("renewed", is_renewed=True),
    _queue("renewed_throttled", throttle_ms=250, is_renewed=True),
    _native("busy"),
    _native("with space"),
    _native("third"),
]
QUEUES = [stream for stream in STREAMS if stream.queue]
RENEWED = [stream for stream in QUEUES if stream.is_renewed]
