"""A proxy that cuts connections in the middle of a frame, as a bad network does."""

import select
import socket

from .interposer import Interposer
from .waiting import LIMIT_SECONDS


class Cutter(Interposer):
    """Stands in front of the server at `address`. The first connections are cut when so many bytes
    of their responses have gone through, one for each of `cuts`; those after them are left alone.

    At `/` it has a page without content, so that a browser's page has the same origin as the streams.
    """

    def __init__(self, address, cuts):
        self.upstream = address
        self.cuts = list(cuts)
        self.connection_count = 0
        self._is_closed = False
        super().__init__()

    def __exit__(self, *what):
        self._is_closed = True
        super().__exit__(*what)

    def answer(self, client, head):
        if head.split(b" ")[1] in (b"/", b"/favicon.ico"):
            client.sendall(PAGE)
            return
        self.connection_count += 1
        with socket.create_connection(self.upstream, LIMIT_SECONDS) as server:
            server.sendall(head)
            self._forward(client, server, self.cuts[0] if self.cuts else None)

    def _forward(self, client, server, left):
        while not self._is_closed:
            ready, _, _ = select.select([client, server], [], [], 0.2)
            if client in ready and not client.recv(4096):
                return
            if server not in ready:
                continue
            got = server.recv(1 << 16)
            if not got:
                return
            if left is not None and len(got) > left:
                # A frame that has all its bytes is no cut frame.
                part = got[:left]
                client.sendall(part[:-1] if part.endswith(b"\n\n") else part)
                self.cuts.pop(0)
                return
            if left is not None:
                left -= len(got)
            client.sendall(got)


PAGE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n"
    b"Content-Length: 15\r\n\r\n<!doctype html>"
)
