"""Some hundred clients on one thread: they read, stop reading, go away at random, and come back."""

import contextlib
import heapq
import itertools
import random
import select
import socket
import struct
import threading
import time
import traceback

from harness.client import request
from life import CONNECTED, ENDED, REQUEST, Life
from streams import STREAMS


class Subscriber:
    """One place in the audience: a life, and the socket of its present connection, if any."""

    def __init__(self, stream, path):
        self.stream = stream
        self.path = path
        self.life = None
        self.socket = None
        self.rest = b""
        self.has_head = False
        # It goes away when it has read so many more bytes; None: not for that reason.
        self.bytes_left = None
        self.is_paused = False
        # Counts connections, so that what was planned for an earlier one is not done.
        self.turn = 0


class Audience(threading.Thread):
    """All subscribers. `settle()` ends the disorder: everybody comes back, stays, and reads."""

    def __init__(self, seed, address, count, ledger):
        super().__init__(name="audience", daemon=True)
        self.random = random.Random(f"{seed} audience")
        self.address = address
        self.ledger = ledger
        self.lives = []
        self.connections = 0
        self.refusals = 0
        self.pauses = 0
        self.stopping = threading.Event()
        self.fault = None
        self._is_settled = False
        self._plans = []
        self._orders = itertools.count()
        self._epoll = select.epoll()
        self._by_fd = {}
        self.subscribers = []
        for number in range(count):
            stream = STREAMS[number % len(STREAMS)]
            self.subscribers.append(Subscriber(stream, self.random.choice(stream.paths)))

    def settle(self):
        """No more cuts and pauses: who is away comes back, and reads on."""
        self._is_settled = True

    def had_by_all(self, stream):
        """The incarnation and the id up to which everybody on `stream` has everything."""
        lives = [one.life for one in self.subscribers if one.stream == stream]
        lasts = [self.ledger.messages.get(life.last) if life else None for life in lives]
        incarnations = {sent.incarnation if sent else None for sent in lasts}
        if len(incarnations) != 1 or None in incarnations:
            return None, 0
        return lasts[0].incarnation, min(sent.id for sent in lasts)

    def run(self):
        try:
            for subscriber in self.subscribers:
                self._plan(subscriber, self.random.uniform(0, 2), self._connect)
            while not self.stopping.is_set():
                self._run_plans()
                for fd, _ in self._epoll.poll(0.02):
                    if fd in self._by_fd:
                        self._read(self._by_fd[fd])
        except BaseException:
            self.fault = traceback.format_exc()

    # Plans

    def _plan(self, subscriber, seconds, what):
        entry = (time.monotonic() + seconds, next(self._orders), subscriber, subscriber.turn, what)
        heapq.heappush(self._plans, entry)

    def _run_plans(self):
        while self._plans and self._plans[0][0] <= time.monotonic():
            _, _, subscriber, turn, what = heapq.heappop(self._plans)
            if turn == subscriber.turn:
                what(subscriber)

    # Coming

    def _connect(self, subscriber):
        subscriber.turn += 1
        life = self._life_of(subscriber)
        path = subscriber.path
        fields = []
        if life.cursor is not None:
            fields.append(f"Last-Event-ID: {life.cursor}")
        if life.starts_at_zero:
            path += "?since=0"
        life.note(REQUEST)
        try:
            subscriber.socket = self._open(request(path, *fields))
        except OSError:
            self.refusals += 1
            return self._plan(subscriber, self.random.uniform(0.1, 0.4), self._connect)
        self.connections += 1
        life.connections += 1
        subscriber.rest = b""
        subscriber.has_head = False
        self._by_fd[subscriber.socket.fileno()] = subscriber
        self._epoll.register(subscriber.socket.fileno(), select.EPOLLIN)
        self._plan_disorder(subscriber)

    def _open(self, data):
        connection = socket.socket()
        try:
            if self.random.random() < 0.3:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(2)
            connection.connect(self.address)
            connection.sendall(data)
            connection.setblocking(False)
        except OSError:
            connection.close()
            raise
        return connection

    def _life_of(self, subscriber):
        """The one that goes on, if it has a cursor to go on from; else a new one."""
        life = subscriber.life
        has_no_cursor = life is not None and life.cursor is None and not life.starts_at_zero
        is_tired = not self._is_settled and self.random.random() < 0.1
        if life is None or has_no_cursor or is_tired:
            if life is not None:
                life.is_abandoned = True
            subscriber.life = Life(subscriber.stream, self.random.random() < 0.4)
            self.lives.append(subscriber.life)
        return subscriber.life

    def _plan_disorder(self, subscriber):
        subscriber.bytes_left = None
        subscriber.is_paused = False
        way = self.random.random()
        if way < 0.25:
            subscriber.bytes_left = int(self.random.expovariate(1 / 3000))
        elif way < 0.75:
            self._plan(subscriber, self.random.expovariate(1 / 8), self._go)
        if way < 0.5:
            self._plan(subscriber, self.random.expovariate(1 / 3), self._stop_reading)

    # Being there

    def _read(self, subscriber):
        try:
            data = subscriber.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if subscriber.bytes_left is not None and not self._is_settled:
            data = data[: subscriber.bytes_left + 1]
            subscriber.bytes_left -= len(data)
        if not data:
            return self._end(subscriber)
        self._take(subscriber, data)
        if subscriber.bytes_left is not None and subscriber.bytes_left < 0:
            self._go(subscriber)

    def _take(self, subscriber, data):
        subscriber.rest += data
        if not subscriber.has_head:
            head, found, rest = subscriber.rest.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 200 "):
                self.refusals += 1
                return
            subscriber.has_head = True
            subscriber.rest = rest
        *blocks, subscriber.rest = subscriber.rest.split(b"\n\n")
        for block in blocks:
            subscriber.life.take(block)

    def _stop_reading(self, subscriber):
        if self._is_settled or subscriber.socket is None:
            return
        self.pauses += 1
        self._epoll.unregister(subscriber.socket.fileno())
        self._plan(subscriber, self.random.uniform(0.2, 3.5), self._go_on_reading)

    def _go_on_reading(self, subscriber):
        self._epoll.register(subscriber.socket.fileno(), select.EPOLLIN)

    # Going

    def _go(self, subscriber):
        """Away, unless all is settled: in order or by RST, perhaps in the middle of a frame."""
        if self._is_settled or subscriber.socket is None:
            return
        if self.random.random() < 0.5:
            linger = struct.pack("ii", 1, 0)
            subscriber.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._end(subscriber)

    def _end(self, subscriber):
        subscriber.life.note(ENDED)
        fd = subscriber.socket.fileno()
        with contextlib.suppress(OSError):
            self._epoll.unregister(fd)
        del self._by_fd[fd]
        subscriber.socket.close()
        subscriber.socket = None
        subscriber.turn += 1
        self._plan(subscriber, self.random.expovariate(1 / 0.7), self._connect)

    # How far they are

    def is_connected(self):
        """Whether everybody is there, and was told so."""
        return all(_is_open(subscriber) for subscriber in self.subscribers)

    def waiting_for(self, sentinels):
        """Who does not have the sentinel of its stream."""
        return [one for one in self.subscribers if one.life.last != sentinels[one.stream].number]


def _is_open(subscriber):
    events = subscriber.life.events if subscriber.life else ()
    for index in range(len(events) - 2, -1, -2):
        if events[index] == CONNECTED:
            return True
        if events[index] in (REQUEST, ENDED):
            return False
    return False
