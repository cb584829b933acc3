"""What stands in front of a server, as a browser meets it: pages of the same origin, connections that are
cut, refusals, and a server that is gone or is another one."""

import contextlib
import select
import socket

from .interposer import Interposer
from .waiting import LIMIT_SECONDS

HTML = "text/html; charset=utf-8"


class Front(Interposer):
    """Passes what is not a page of its own on to the server at `upstream` (host and port)."""

    def __init__(self, upstream):
        self.upstream = upstream
        # Statuses that the next requests for streams get, instead of the server's answer.
        self.refusals = []
        # The targets of requests for streams.
        self.requests = []
        self._pages = {}
        self._open = set()
        super().__init__()

    def __exit__(self, *what):
        super().__exit__(*what)
        self.cut()

    def add(self, path, text, content_type=HTML):
        """Has a page of its own there, whose address is returned."""
        body = text.encode()
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._pages[path] = head.encode() + body
        return self.url + path

    def cut(self):
        """Resets every stream that is open."""
        for client in list(self._open):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    @property
    def open_count(self):
        """How many streams are open through it."""
        return len(self._open)

    def answer(self, client, head):
        target = head.split(b" ")[1].decode()
        page = self._pages.get(target.partition("?")[0])
        if page:
            return client.sendall(page)
        if "/streams" in target:
            self.requests.append(target)
            if self.refusals:
                return client.sendall(refusal(self.refusals.pop(0)))
        self._pass_on(client, head)

    def _pass_on(self, client, head):
        with socket.create_connection(self.upstream, LIMIT_SECONDS) as server:
            server.sendall(head)
            self._open.add(client)
            try:
                while True:
                    ready, _, _ = select.select([client, server], [], [])
                    if client in ready and not client.recv(1 << 16):
                        return
                    if server in ready:
                        got = server.recv(1 << 16)
                        if not got:
                            return
                        client.sendall(got)
            finally:
                self._open.discard(client)


def refusal(status):
    """An answer of that status."""
    return (f"HTTP/1.1 {status} Refused\r\nContent-Type: text/plain\r\nConnection: close\r\n"
            "Content-Length: 3\r\n\r\nno\n").encode()
