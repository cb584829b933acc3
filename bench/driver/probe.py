"""A small request on a connection of its own: how soon a loop comes round to it, seen from outside."""

import socket
import time

REQUEST = b"GET /no-such-page HTTP/1.1\r\nHost: probe\r\n\r\n"
LIMIT_SECONDS = 30


class Probe:
    """Asks a server on loopback for what it does not have."""

    def __init__(self, port):
        self._address = ("127.0.0.1", int(port))

    def ask(self):
        """Seconds from the connect to the first bytes of the 404."""
        begun = time.monotonic()
        with socket.create_connection(self._address, timeout=LIMIT_SECONDS) as client:
            client.sendall(REQUEST)
            answer = client.recv(4096)
        seconds = time.monotonic() - begun
        if not answer.startswith(b"HTTP/1.1 404 "):
            raise RuntimeError(f"the probe got {answer[:40]!r}")
        return seconds
