"""One client on a raw socket: it sends what it is told byte for byte and reads what comes."""

import json
import select
import socket
import struct
import time

from .sse import Stream
from .waiting import LIMIT_SECONDS


class Closed(AssertionError):
    """The server closed while something was awaited from it."""


def request(path, *fields, method="GET", version="HTTP/1.1"):
    """A request head as bytes; `path` may be bytes, to hold what no text can."""
    target = path if isinstance(path, bytes) else path.encode()
    lines = [b"%s %s %s" % (method.encode(), target, version.encode()), b"Host: localhost"]
    lines += [field.encode() for field in fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


class Client:
    """A connection to `address`: a (host, port) pair, or the path of a Unix socket; `source`: the address
    that it is from."""

    def __init__(self, address, receive_buffer_bytes=None, source=None):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(LIMIT_SECONDS)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(address)
        self.stream = Stream()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        """All of `data`, whatever it is."""
        self.socket.sendall(data)

    def close(self):
        """An orderly end."""
        self.socket.close()

    def reset(self):
        """An end by RST, as when a client's machine goes."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # Reading

    @property
    def head(self):
        """The head of the response, waited for."""
        self._read_until(lambda: self.stream.head, "the head of a response")
        return self.stream.head

    def body(self):
        """What comes behind a head that is no stream's, up to the end of the connection."""
        assert self.head
        self.read_to_end()
        return self.stream.rest

    def read_to_end(self, limit=LIMIT_SECONDS):
        """Reads until the server closes; the blocks are in `stream.blocks`."""
        self._read_until(lambda: self.stream.is_over, "the end of the connection", limit)
        return self.stream.blocks

    def next_block(self, limit=LIMIT_SECONDS):
        """The next block, whatever it is."""
        self._read_until(lambda: self.stream.blocks, "a block", limit)
        return self.stream.blocks.pop(0)

    def has_block(self, limit):
        """Whether a block has come or comes within `limit` seconds; it is not taken out."""
        deadline = time.monotonic() + limit
        while not self.stream.blocks and not self.stream.is_over:
            if not select.select([self.socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return False
            self.stream.feed(receive(self.socket))
        return bool(self.stream.blocks)

    def expect(self, predicate, what="a block that fits", limit=LIMIT_SECONDS):
        """The next block for which `predicate` holds; those before it are dropped."""
        deadline = time.monotonic() + limit
        passed = []
        while True:
            try:
                block = self.next_block(max(0.0, deadline - time.monotonic()))
            except AssertionError as failure:
                raise type(failure)(f"no {what}, but {passed[-5:]}: {failure}") from None
            if predicate(block):
                return block
            passed.append(block.raw)

    def broadcast(self, limit=LIMIT_SECONDS):
        """The next message of the stream."""
        return self.expect(lambda block: block.is_broadcast, "broadcast", limit)

    def broadcasts(self, count, limit=LIMIT_SECONDS):
        """The next `count` messages of the stream."""
        return [self.broadcast(limit) for _ in range(count)]

    def connection_id(self):
        """Reads up to the frame that says that the server has us, and returns our name there."""
        frame = self.expect(lambda block: block.event == "pgbus:connected", "connected frame")
        return json.loads(frame.data)["connectionId"]

    def _read_until(self, condition, what, limit=LIMIT_SECONDS):
        deadline = time.monotonic() + limit
        while not condition():
            if self.stream.is_over:
                raise Closed(f"the server closed instead of sending {what}")
            self._read_once(deadline, what, limit)

    def _read_once(self, deadline, what, limit):
        left = max(0.0, deadline - time.monotonic())
        if not select.select([self.socket], [], [], left)[0]:
            raise AssertionError(f"not within {limit:g} s: {what}; came: {self.stream.rest!r}")
        self.stream.feed(receive(self.socket))


def receive(connection):
    """What has come; nothing when the connection is over, however it ended."""
    try:
        return connection.recv(1 << 18)
    except ConnectionError:
        return b""
