"""Server-sent events, read as bytes: a response head, then blocks that each end in a blank line.

This does no I/O: `Stream.feed` takes what a socket gave. The server ends lines with LF alone, so
a block is everything up to and with "\\n\\n"; a test that wants exact bytes has them.
"""

import dataclasses
import functools


@dataclasses.dataclass(frozen=True)
class Head:
    """The status line and the fields of a response."""

    raw: bytes
    status: int
    fields: tuple

    @classmethod
    def parse(cls, raw):
        """Reads a head that ends in a blank line."""
        lines = raw.decode("latin-1").split("\r\n")[:-2]
        version, status = lines[0].split(" ")[:2]
        assert version in ("HTTP/1.1", "HTTP/1.0"), f"not a response: {raw[:200]!r}"
        fields = (line.partition(":") for line in lines[1:])
        return cls(raw, int(status), tuple((n.lower(), v.strip()) for n, _, v in fields))

    def __getitem__(self, name):
        """The value of a field, by its lower-case name; None when it is not there."""
        return next((value for found, value in self.fields if found == name), None)


@dataclasses.dataclass(frozen=True)
class Block:
    """One event or one comment, with its exact bytes."""

    raw: bytes

    @property
    def is_comment(self):
        return self.raw.startswith(b":")

    @property
    def comment(self):
        """The text behind the colon; None for an event."""
        return self.raw[1:].decode().strip() if self.is_comment else None

    @property
    def is_heartbeat(self):
        return self.raw.startswith(b": heartbeat ")

    @functools.cached_property
    def is_broadcast(self):
        """A message of the stream, stored or ephemeral; nothing that the server says itself. Who waits for many
        asks each of them again and again."""
        return not self.is_comment and b"\ndata: " in b"\n" + self.raw and not (
            self.event or ""
        ).startswith(("pgbus:", "millstream:"))

    @property
    def is_goodbye(self):
        return self.event == "pgbus:shutdown"

    @property
    def id(self):
        """The id as text, as a browser would send it back; None when the block has none."""
        return self._value("id")

    @property
    def number(self):
        """The id as a number, without the epoch that the native store puts behind it."""
        return None if self.id is None else int(self.id.partition("-")[0])

    @property
    def event(self):
        return self._value("event")

    @property
    def data(self):
        """The payload as a browser puts it together."""
        return "\n".join(self._values("data"))

    def _value(self, name):
        return next(iter(self._values(name)), None)

    def _values(self, name):
        prefix = f"{name}: "
        lines = self.raw.decode().split("\n")
        return [line[len(prefix) :] for line in lines if line.startswith(prefix)]


class Stream:
    """What has come on one connection: its head, then its blocks, taken out in order."""

    def __init__(self):
        self.head = None
        self.is_over = False
        self.blocks = []
        self.rest = b""

    def feed(self, received):
        """Takes what a socket gave; nothing means that the server closed."""
        if not received:
            self.is_over = True
            return
        self.rest += received
        if self.head is None:
            self._take_head()
        if self.head is not None and self.head.status == 200:
            self._take_blocks()

    def _take_head(self):
        if b"\r\n\r\n" in self.rest:
            raw, _, self.rest = self.rest.partition(b"\r\n\r\n")
            self.head = Head.parse(raw + b"\r\n\r\n")

    def _take_blocks(self):
        *raws, self.rest = self.rest.split(b"\n\n")
        self.blocks += [Block(raw + b"\n\n") for raw in raws]
