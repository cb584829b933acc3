"""A rolling restart under load: a new process takes over from an old one while clients come without pause
and somebody publishes. Nobody is refused, and every subscriber gets everything once."""

import asyncio
import collections
import os
import signal
import threading

import psycopg
import pytest

from harness.ports import free_port
from harness.service_manager import ServiceManager
from harness.sse import Stream
from harness.waiting import wait_until

SUBSCRIBERS = 40
# How many clients come at a time, each as soon as the one before it was answered.
VISITORS = 8
RESTARTS = int(os.environ.get("MILLSTREAM_RESTARTS", "3"))
FLAGS = ["--drain", "1s", "--retry", "100ms", "--public", "*", "--loops", "2"]
END = "end"


class Load:
    """Clients on a loop and a thread of their own."""

    def __init__(self, address, database):
        self.address = address
        self.database = database
        self.answers = collections.Counter()
        self.received = [[] for _ in range(SUBSCRIBERS)]
        self.connects = [0] * SUBSCRIBERS
        self.published = 0
        self.failures = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self):
        self._thread.start()
        wait_until(lambda: min(self.connects) > 0 and self.published > 10, "the load")
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Publishes a last message and waits until every subscriber has it."""
        self._ending.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "not every subscriber has come to the end"

    async def _run(self):
        visitors = [asyncio.create_task(self._visit()) for _ in range(VISITORS)]
        subscribers = [asyncio.create_task(self._subscribe(n)) for n in range(SUBSCRIBERS)]
        await self._publish()
        await asyncio.gather(*visitors)
        await asyncio.gather(*subscribers)

    async def _publish(self):
        session = await psycopg.AsyncConnection.connect(self.database, autocommit=True)
        async with session:
            while not self._ending.is_set():
                await session.execute("SELECT millstream.publish('chat', %s)", [str(self.published)])
                self.published += 1
                await asyncio.sleep(0.005)
            await session.execute("SELECT millstream.publish('chat', %s)", [END])

    async def _visit(self):
        """Comes, is answered, goes, and comes again."""
        while not self._ending.is_set():
            self.answers[await self._answer()] += 1

    async def _answer(self):
        try:
            reader, writer = await self._connect()
        except OSError as error:
            return type(error).__name__
        try:
            self._ask(writer, "/streams/visited")
            line = await reader.readline()
            return line.split(b" ")[1].decode() if line else "closed without an answer"
        except OSError as error:
            return type(error).__name__
        finally:
            writer.transport.abort()

    async def _connect(self):
        if isinstance(self.address, str):
            return await asyncio.open_unix_connection(self.address)
        return await asyncio.open_connection(*self.address)

    @staticmethod
    def _ask(writer, path, *fields):
        lines = [f"GET {path} HTTP/1.1", "Host: x", *fields]
        writer.write("\r\n".join([*lines, "", ""]).encode())

    async def _subscribe(self, number):
        """As a browser: it comes back with the last id that it has seen, until it has seen the end."""
        last_id = None
        while self.received[number][-1:] != [END]:
            try:
                last_id = await self._listen(number, last_id)
            except OSError as error:
                self.failures.append(error)
            await asyncio.sleep(0.05)

    async def _listen(self, number, last_id):
        reader, writer = await self._connect()
        fields = [f"Last-Event-ID: {last_id}"] if last_id else []
        self._ask(writer, "/streams/chat?since=0", *fields)
        stream = Stream()
        try:
            while not stream.is_over and self.received[number][-1:] != [END]:
                stream.feed(await reader.read(1 << 16))
                for block in stream.blocks:
                    last_id = block.id or last_id
                    if block.is_broadcast:
                        self.received[number].append(block.data)
                stream.blocks.clear()
                self.connects[number] = max(self.connects[number], 1)
            self.connects[number] += 1
            return last_id
        finally:
            writer.transport.abort()

    def assert_all_have_everything(self):
        """Each subscriber, once and in order, whichever processes it was connected to."""
        expected = [str(number) for number in range(self.published)] + [END]
        for number, received in enumerate(self.received):
            assert received == expected, f"subscriber {number}"
        assert not self.failures, self.failures[:3]

    def figure(self, way):
        """Says how it went; returns what was no answer."""
        wrong = {answer: count for answer, count in self.answers.items() if answer != "200"}
        print(
            f"\n{way}: {RESTARTS} restarts, {self.answers['200']} clients were answered,"
            f" other outcomes: {wrong or 'none'}; {SUBSCRIBERS} subscribers came back"
            f" {sum(self.connects) - 2 * SUBSCRIBERS} times and got {self.published} messages each"
        )
        return wrong


@pytest.fixture
def manager(tmp_path):
    with ServiceManager(tmp_path / "notify") as manager:
        yield manager


def end(old):
    """It drains and ends in order."""
    old.send_signal(signal.SIGTERM)
    assert old.wait() == 0, old.log_text()
    old.assert_no_report()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_nobody_is_refused_with_inherited_sockets(serve, native_database, manager, tmp_path, kind):
    """The new process has the very same sockets before the old one ends."""
    address = manager.listen(address=str(tmp_path / "s") if kind == "unix" else ("127.0.0.1", 0))
    server = manager.start(serve, native_database, *FLAGS)
    manager.wait_for("READY")
    with Load(address, native_database) as load:
        for _ in range(RESTARTS):
            old, server = server, manager.start(serve, native_database, *FLAGS)
            manager.wait_for("READY")
            end(old)
    wrong = load.figure(f"inherited sockets ({kind})")
    load.assert_all_have_everything()
    assert sum(load.connects) >= SUBSCRIBERS * (RESTARTS + 1), "each was told to go each time"
    assert not wrong


def test_nobody_is_refused_while_nobody_is_there(serve, native_database, manager):
    """As `systemctl restart` does it: the old process ends, then the new one begins."""
    address = manager.listen()
    server = manager.start(serve, native_database, *FLAGS)
    manager.wait_for("READY")
    with Load(address, native_database) as load:
        for _ in range(RESTARTS):
            end(server)
            server = manager.start(serve, native_database, *FLAGS)
            manager.wait_for("READY")
    wrong = load.figure("one after the other, with inherited sockets")
    load.assert_all_have_everything()
    assert not wrong


def test_nobody_is_refused_with_a_shared_port(serve, native_database):
    """Without anybody who keeps the sockets. What the kernel gives to a socket in the moment in which it is
    closed is reset: that cannot be had away, and is rare."""
    address = ("127.0.0.1", free_port())
    flags = [*FLAGS, "--reuse-port"]
    listen = f"{address[0]}:{address[1]}"
    server = serve(native_database, *flags, listen=listen)
    with Load(address, native_database) as load:
        for _ in range(RESTARTS):
            old, server = server, serve(native_database, *flags, listen=listen)
            end(old)
    wrong = load.figure("shared port")
    load.assert_all_have_everything()
    assert "ConnectionRefusedError" not in wrong
    assert sum(wrong.values()) <= load.answers["200"] / 1000


def test_a_port_is_shared_with_those_alone_that_say_so(serve, native_database):
    listen = f"127.0.0.1:{free_port()}"
    serve(native_database, listen=listen)
    with pytest.raises(AssertionError, match="Address already in use"):
        serve(native_database, "--reuse-port", listen=listen)
