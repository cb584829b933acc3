"""What systemd does for a service with a socket: it opens the sockets and keeps them, hands them to each
process that it starts, and hears from the processes how they are."""

import contextlib
import select
import socket
import time

from .waiting import LIMIT_SECONDS, wait_until

BACKLOG = 4096


class ServiceManager:
    """`address`: where it is told (NOTIFY_SOCKET): a path, or an abstract name behind an `@`."""

    def __init__(self, address):
        self.address = str(address)
        self.sockets = {}
        self.told = []
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(self.address.replace("@", "\0", 1))
        self._notify.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for opened in (self._notify, *self.sockets.values()):
            opened.close()

    def listen(self, name="millstream", address=("127.0.0.1", 0)):
        """Opens one more socket for the service; returns where it listens."""
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_STREAM)
        if family == socket.AF_INET:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(BACKLOG)
        self.sockets[name] = opened
        return opened.getsockname()

    def start(self, serve, database, *flags, **options):
        """Starts a server as a service, with all the sockets."""
        return serve(database, *flags, **({"listen": None} | self.options() | options))

    def options(self):
        """What makes a server one that this manager has started."""
        # The shell knows the number of the process that it becomes, and gives the sockets their places.
        places = " ".join(
            f"{3 + number}<&{opened.fileno()}" for number, opened in enumerate(self.sockets.values())
        )
        script = f'export LISTEN_PID=$$; exec "$@" {places}'
        descriptors = [opened.fileno() for opened in self.sockets.values()]
        assert all(fd > 2 + len(descriptors) for fd in descriptors), "one would take another's place"
        return {
            "launcher": ("bash", "-c", script, "bash") if self.sockets else (),
            "descriptors": descriptors,
            "LISTEN_FDS": str(len(self.sockets)),
            "LISTEN_FDNAMES": ":".join(self.sockets),
            "NOTIFY_SOCKET": self.address,
        }

    def hear(self):
        """Takes in what it has been told since."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.told.append(_fields(self._notify.recv(4096)))

    def wait_for(self, name, value="1", limit=LIMIT_SECONDS):
        """The next message that says so; those up to it are dropped."""

        def found():
            self.hear()
            return next((i for i, m in enumerate(self.told) if m.get(name) == value), None) is not None

        wait_until(found, f"{name}={value}, but {self.told}", limit)
        index = next(i for i, m in enumerate(self.told) if m.get(name) == value)
        message = self.told[index]
        del self.told[: index + 1]
        return message

    def is_silent(self, name, seconds):
        """Whether nothing of the kind was said, and nothing is said for so long; returns when it is."""
        deadline = time.monotonic() + seconds
        while True:
            self.hear()
            if any(name in message for message in self.told):
                self.told.clear()
                return False
            left = deadline - time.monotonic()
            if left <= 0:
                return True
            select.select([self._notify], [], [], left)


def _fields(datagram):
    return dict(line.split("=", 1) for line in datagram.decode().splitlines())
