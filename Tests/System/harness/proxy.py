"""A small TCP proxy: one port, "the same name", in front of a server that can be changed, and that
can be made to hold everything back while its connections stay open."""

import contextlib
import selectors
import socket
import threading


class Proxy:
    """Passes bytes between clients of `port` and the server at `target` (a port of ours)."""

    def __init__(self, target):
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.accepted = 0
        self._peers = {}
        self._servers = set()
        self._is_dead = False
        self._frozen = set()
        self._budget = None
        self._loop = selectors.DefaultSelector()
        self._loop.register(self._listener, selectors.EVENT_READ)
        self._wake, self._woken = socket.socketpair()
        self._loop.register(self._woken, selectors.EVENT_READ)
        self._orders = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._order(None)
        self._thread.join()
        # Not by the thread: it may take the order before it was woken for it.
        self._wake.close()
        self._woken.close()

    # What a test tells it; each returns when it is done.

    def go_dead(self):
        """Everything stays open, nothing is passed on, and new connections hear nothing."""

        def dead():
            self._freeze()
            self._is_dead = True

        self._order(dead)

    def freeze(self):
        """What is open stays open and is dead from now on; new connections are well."""
        self._order(self._freeze)

    def freeze_after(self, count):
        """The same, once the server has sent `count` bytes more."""
        self._order(lambda: setattr(self, "_budget", count))

    @property
    def frozen_count(self):
        """How many connections are open and dead."""
        return len(self._frozen) // 2

    def resume(self):
        """All is well again: what was held back flows on."""

        def resumed():
            self._is_dead = False
            self._watch(*self._frozen)
            self._frozen = set()

        self._order(resumed)

    def come_alive(self):
        """New connections are well again; those that were dead are cut, as by a firewall."""

        def alive():
            self._is_dead = False
            self._close_all()

        self._order(alive)

    def switch(self, target):
        """New connections go to another server; those that are there are cut."""

        def switched():
            self.target = target
            self._close_all()

        self._order(switched)

    @property
    def open_count(self):
        """How many connections of clients there are."""
        return len(self._peers) // 2

    # Its thread

    def _order(self, work):
        done = threading.Event()
        self._orders.append((work, done))
        self._wake.send(b".")
        assert done.wait(30), "the proxy hangs"

    def _run(self):
        while True:
            for key, _ in self._loop.select():
                if key.fileobj is self._woken:
                    self._woken.recv(100)
                elif key.fileobj is self._listener:
                    self._accept()
                else:
                    self._pass_on(key.fileobj)
            while self._orders:
                work, done = self._orders.pop(0)
                if work:
                    work()
                else:
                    self._end()
                done.set()
                if not work:
                    return

    def _accept(self):
        client, _ = self._listener.accept()
        self.accepted += 1
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        self._peers |= {client: server, server: client}
        self._servers.add(server)
        self._watch(client, server)
        if self._is_dead:
            self._freeze()

    def _watch(self, *ends):
        for end in ends:
            self._loop.register(end, selectors.EVENT_READ)

    def _pass_on(self, end):
        peer = self._peers.get(end)
        if peer is None or end in self._frozen:
            return
        try:
            received = end.recv(1 << 16)
            if received:
                peer.sendall(received)
                return self._spend(len(received) if end in self._servers else 0)
        except OSError:
            pass
        self._close(end)

    def _close(self, end):
        for one in (end, self._peers.pop(end)):
            self._peers.pop(one, None)
            self._servers.discard(one)
            self._frozen.discard(one)
            with contextlib.suppress(KeyError, ValueError):
                self._loop.unregister(one)
            one.close()

    def _close_all(self):
        while self._peers:
            self._close(next(iter(self._peers)))

    def _freeze(self):
        for end in self._peers.keys() - self._frozen:
            self._loop.unregister(end)
            self._frozen.add(end)

    def _spend(self, count):
        if self._budget is None:
            return
        self._budget -= count
        if self._budget <= 0:
            self._budget = None
            self._freeze()

    def _end(self):
        self._close_all()
        self._listener.close()
        self._loop.close()
