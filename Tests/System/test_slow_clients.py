"""Proves that a client that is slow, or gone without a word, costs little and goes in time, and that
the others do not feel it."""

import contextlib
import pathlib
import re
import select
import time

import pytest

from harness.client import request
from harness.crowd import Crowd
from harness.namespace import HERE, Namespace, NotPermitted
from harness.server import is_sanitized, native_path
from harness.waiting import wait_until

SMALL_BUFFER = 4096


def endings(server):
    """Stops the server, and returns how many connections ended for which reason."""
    server.stop()
    line = server.wait_for_line(r" stopped ", "the last line")
    return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", line)}


def stalled(server, count=1, **options):
    """Clients that ask for the stream and then read nothing."""
    return [
        server.open("chat", path=native_path("chat"), receive_buffer_bytes=SMALL_BUFFER, **options)
        for _ in range(count)
    ]


@contextlib.contextmanager
def closing(clients):
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


def wait_until_gone(server, descriptors, limit):
    """Waits until it has no more than so many descriptors; returns how long that took."""
    began = time.monotonic()
    wait_until(lambda: server.descriptor_count() <= descriptors, "the slow clients dropped", limit)
    return time.monotonic() - began


def test_reads_nothing(serve, native_database, publisher):
    server = serve(native_database, "--write-deadline", "1s")
    publisher.send_many(["x" * 65_536] * 20)
    descriptors = server.descriptor_count()
    with closing(stalled(server, 5, since=0)):
        wait_until(lambda: server.descriptor_count() >= descriptors + 5, "five clients")
        assert 0.5 < wait_until_gone(server, descriptors, limit=10) < 4
    assert endings(server) == {"opened": 5, "writeDeadline": 5}


def test_a_byte_a_second(serve, native_database, publisher):
    """TCP tells of room for more in steps: what the server sees of it is nothing, for long."""
    server = serve(native_database, "--write-deadline", "2s")
    publisher.send_many(["x" * 65_536] * 20)
    descriptors = server.descriptor_count()
    with closing(stalled(server, since=0)) as [client]:
        assert client.connection_id()
        taken = read_at(client, server, descriptors, bytes_at_once=1, pause=1.0, limit=15)
        assert taken < 10
        counts = endings(server)
    assert counts.get("tooSlow", 0) + counts.get("writeDeadline", 0) == 1, counts


def test_below_the_minimum_rate(serve, native_database, publisher):
    """It makes progress within every deadline, and is too slow all the same."""
    server = serve(native_database, "--write-deadline", "1s", "--minimum-rate", "200000")
    publisher.send_many(["x" * 65_536] * 100)
    descriptors = server.descriptor_count()
    with closing(stalled(server, since=0)) as [client]:
        assert client.connection_id()
        taken = read_at(client, server, descriptors, bytes_at_once=4096, pause=0.1, limit=20)
    assert taken < 3_000_000
    assert endings(server) == {"opened": 1, "tooSlow": 1}


def test_slow_and_steady_gets_everything(serve, native_database, publisher):
    """At its pace the kernel's buffer has room again only after several deadlines."""
    count = 4
    server = serve(native_database, "--write-deadline", "1s")
    publisher.send_many([f"{number} " + "x" * 65_536 for number in range(count)])
    with closing(stalled(server, since=0)) as [client]:
        while len(taken := [b for b in client.stream.blocks if b.is_broadcast]) < count:
            time.sleep(0.1)
            read_once(client, 4_096)
            assert not client.stream.is_over, f"dropped after {len(taken)} messages"
    assert [block.number for block in taken] == list(range(1, count + 1))
    assert [block.data.split(" ")[0] for block in taken] == [str(n) for n in range(count)]
    assert {len(block.data.split(" ")[1]) for block in taken} == {65_536}
    counts = endings(server)
    assert counts.keys() <= {"opened", "clientGone", "shutdown"}, counts


def read_once(client, byte_count):
    if select.select([client.socket], [], [], 5)[0]:
        try:
            client.stream.feed(client.socket.recv(byte_count))
        except ConnectionError:
            client.stream.is_over = True


def read_at(client, server, descriptors, bytes_at_once, pause, limit):
    """Reads at a steady pace until the server has had enough of it, which the client would see only
    behind all that it has not read; returns the bytes read."""
    deadline = time.monotonic() + limit
    taken = 0
    while server.descriptor_count() > descriptors:
        assert time.monotonic() < deadline, f"connected after {limit:g} s and {taken} bytes"
        time.sleep(pause)
        with contextlib.suppress(ConnectionError):
            taken += len(client.socket.recv(bytes_at_once))
    return taken


# Cut off without a word


@pytest.fixture
def namespace():
    try:
        namespace = Namespace()
    except NotPermitted as refusal:
        pytest.skip(f"no network namespace can be made here (needs root and iproute2): {refusal}")
    yield namespace
    namespace.close()


def test_cut_off_without_a_word(serve, native_database, publisher, namespace):
    """Nothing is published: the heartbeat is what finds out."""
    server = serve(
        native_database, "--write-deadline", "1s", "--heartbeat", "500ms", listen=f"{HERE}:0")
    descriptors = server.descriptor_count()
    client = open_there(namespace, server)
    namespace.cut()
    took = wait_until_gone(server, descriptors, limit=15)
    print(f"\nfound out {took:.1f} s after the cable was cut, with a deadline of 1 s")
    client.close()
    assert took > 0.5, "it cannot have been the cable"
    assert endings(server) == {"opened": 1, "timedOut": 1}


def test_cut_off_while_much_is_due(serve, native_database, publisher, namespace):
    """The socket fills, and the deadline is the first to come."""
    server = serve(native_database, "--write-deadline", "1s", listen=f"{HERE}:0")
    descriptors = server.descriptor_count()
    client = open_there(namespace, server)
    namespace.cut()
    publisher.send_many(["x" * 65_536] * 60)
    took = wait_until_gone(server, descriptors, limit=15)
    print(f"\nfound out {took:.1f} s after the messages")
    client.close()
    assert endings(server) == {"opened": 1, "writeDeadline": 1}


def open_there(namespace, server):
    client = namespace.client(server.address)
    client.send(request(native_path("chat")))
    assert client.connection_id()
    return client


# What it costs, and whom


@pytest.mark.skipif(is_sanitized(), reason="AddressSanitizer keeps what is freed")
def test_memory_is_bounded(serve, native_database, publisher):
    """Two hundred clients that read nothing while fifty megabytes go by."""
    server = serve(native_database, "--write-deadline", "10m", "--minimum-rate", "0")
    reader = server.subscribe("chat", path=native_path("chat"))
    with closing(stalled(server, 200)) as clients, closing([reader]):
        for client in clients:
            assert client.connection_id()
        publisher.send("warm")
        reader.broadcast()
        before, kernel_before = server.resident_bytes(), kernel_bytes()
        for _ in range(50):
            publisher.send_many(["x" * 65_536] * 16)
            for block in reader.broadcasts(16):
                assert len(block.data) == 65_536
        after, kernel_after = server.resident_bytes(), kernel_bytes()
        print(
            f"\nserver {before >> 10} KiB before, {after >> 10} KiB after;"
            f" kernel {kernel_before >> 10} and {kernel_after >> 10} KiB"
        )
        assert after - before < 64 * 1024 * 1024
        assert kernel_after - kernel_before < 200 * 512 * 1024


def kernel_bytes():
    """What all TCP sockets of this machine hold in the kernel's buffers."""
    line = re.search(r"^TCP: .* mem (\d+)", pathlib.Path("/proc/net/sockstat").read_text(), re.M)
    return int(line.group(1)) * 4096


def test_latency_of_the_others(serve, native_database, publisher):
    server = serve(native_database, "--write-deadline", "10m", "--minimum-rate", "0")
    with Crowd(_open(server) for _ in range(10)) as healthy:
        healthy.connected()
        latencies(healthy, publisher, 20)
        alone = percentile(latencies(healthy, publisher, 200), 99)
        with closing(stalled(server, 200)) as clients:
            for client in clients:
                assert client.connection_id()
            # Enough for all of them to be behind the log, each with a full socket.
            for _ in range(8):
                publisher.send_many(["x" * 65_536] * 8)
                healthy.broadcasts(8)
            beside = percentile(latencies(healthy, publisher, 200), 99)
    print(
        f"\np99 from publishing to receipt: {alone * 1e3:.1f} ms alone,"
        f" {beside * 1e3:.1f} ms beside 200 that read nothing: {beside / alone:.2f} times"
    )
    assert beside < 3 * alone + 0.020


def _open(server):
    return server.open("chat", path=native_path("chat"))


def latencies(crowd, publisher, count):
    """How long each of `count` messages takes until every client has it, in seconds."""
    taken = []
    for number in range(count):
        began = time.monotonic()
        publisher.send(f"message {number}")
        crowd.broadcasts(1)
        taken.append(time.monotonic() - began)
    return taken


def percentile(values, percent):
    return sorted(values)[min(len(values) * percent // 100, len(values) - 1)]
