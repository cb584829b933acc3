"""A second machine: a network namespace, joined to ours by a cable that can be cut."""

import contextlib
import ctypes
import itertools
import os
import subprocess

from .client import Client

CLONE_NEWNET = 0x40000000
HERE, THERE = "10.231.77.1", "10.231.77.2"


class NotPermitted(Exception):
    """The kernel does not let us make one; the text says what it said."""


class Namespace:
    """Clients in it have the address THERE and reach us at HERE."""

    _numbers = itertools.count()

    def __init__(self):
        # The names of links are 15 bytes at most.
        self.name = f"ms{os.getpid()}n{next(self._numbers)}"
        self.near, self.far = f"{self.name}a", f"{self.name}b"
        try:
            _ip("netns", "add", self.name)
        except (OSError, subprocess.CalledProcessError) as failure:
            said = getattr(failure, "stderr", None) or str(failure)
            raise NotPermitted(said.strip()) from None
        try:
            self._connect()
        except subprocess.CalledProcessError as failure:
            self.close()
            raise NotPermitted(failure.stderr.strip()) from None

    def _connect(self):
        near, far = self.near, self.far
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self.name)
        _ip("addr", "add", f"{HERE}/30", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", self.name, "addr", "add", f"{THERE}/30", "dev", far)
        _ip("-n", self.name, "link", "set", far, "up")

    def client(self, address, **options):
        """A client that lives there."""
        with self._inside():
            return Client(address, **options)

    @contextlib.contextmanager
    def _inside(self):
        """A socket belongs to the namespace in which it was made, wherever it is used."""
        ours = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        theirs = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            _enter(theirs)
            yield
        finally:
            _enter(ours)
            os.close(ours)
            os.close(theirs)

    def cut(self):
        """From here on nothing arrives, in either direction, and nobody is told."""
        _ip("-n", self.name, "link", "set", self.far, "down")

    def close(self):
        """The cable goes first: it would go with the namespace, but some time after that."""
        subprocess.run(["ip", "link", "del", self.near], capture_output=True)
        _ip("netns", "del", self.name)


def _enter(namespace):
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
