"""Proves that whatever a client sends, it is refused clearly and closed, others lose nothing, and
the server goes on. Each test ends with a healthy client that still gets its messages."""

import contextlib
import random
import re
import socket

import pytest

from harness import names
from harness.client import Client, request
from harness.pgmq import Queue
from harness.server import stream_path
from harness.waiting import LIMIT_SECONDS, wait_until

CHAT = stream_path("chat")
GOOD = request(CHAT)
HEAD_LIMIT_BYTES = 48 * 1024
FIELD_LIMIT = 100


@pytest.fixture
def healthy(server, queue):
    """The server; when the test is over, a client from before and a new one get a message."""
    with server.subscribe("chat") as before:
        yield server
        with server.subscribe("chat") as after:
            queue.send("still here")
            for client in (before, after):
                client.expect(lambda block: block.data == "still here", "message as before")


def assert_refused(server, data, statuses=(400,)):
    """The answer to `data` is one of `statuses`, in plain text, and the connection ends."""
    with server.ask(data) as client:
        assert client.head.status in statuses, client.head.raw
        assert client.head["content-type"].startswith("text/plain")
        body = client.body()
        assert not re.search(rb"HTTP/1\.\d \d{3}", body), f"a second answer: {body!r}"


# Garbage


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET / http/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n: no name\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad name: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
        b"G\x00T / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
        bytes(range(256)) + b"\r\n\r\n",
    ],
)
def test_garbage_is_refused(healthy, data):
    assert_refused(healthy, data, statuses=(400, 505))


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes(healthy, seed):
    """They may or may not hold what ends a head: an answer, or an end when we are done."""
    data = random.Random(seed).randbytes(3000)
    with healthy.ask(data) as client:
        client.socket.shutdown(socket.SHUT_WR)
        client.read_to_end()
        assert client.stream.head is None or client.stream.head.status in (400, 505)


@pytest.mark.parametrize("seed", range(20))
def test_a_good_request_with_one_byte_changed(healthy, seed):
    chance = random.Random(seed)
    data = bytearray(GOOD)
    data[chance.randrange(len(data) - 4)] = chance.randrange(256)
    with healthy.ask(bytes(data)) as client:
        assert client.head.status in (200, 204, 400, 404, 505)


def test_http_2_preface(healthy):
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    assert_refused(healthy, preface, statuses=(400, 505))


def test_lower_case_method(healthy):
    assert_refused(healthy, request(CHAT, method="get"), statuses=(400, 404))


# Size


def field_of(length):
    return "X-Filler: " + "x" * (length - len("X-Filler: "))


def test_head_below_the_limit(healthy):
    with healthy.get(CHAT, field_of(HEAD_LIMIT_BYTES - len(GOOD) - 2)) as client:
        assert client.head.status == 200


def test_head_above_the_limit(healthy):
    assert_refused(healthy, request(CHAT, field_of(HEAD_LIMIT_BYTES)), statuses=(400, 431))


def test_target_above_the_limit(healthy):
    data = request("/pgbus/streams/" + "x" * HEAD_LIMIT_BYTES)
    assert_refused(healthy, data, statuses=(400, 414, 431))


@pytest.mark.parametrize("unit", [b"x", b"\r\n", b"X-Filler: x\r\n", b"\x00"])
def test_one_mebibyte_of_head(healthy, unit):
    """The server need not read it all, so our sending may end in a reset before its answer."""
    with healthy.connect() as client:
        with contextlib.suppress(ConnectionError):
            client.send(b"GET / HTTP/1.1\r\n" + unit * ((1 << 20) // len(unit)))
        client.read_to_end()
        assert client.stream.head is None or client.stream.head.status in (400, 414, 431)


def test_as_many_fields_as_may_be(healthy):
    """`Host` is one of them."""
    fields = [f"X-{n}: y" for n in range(FIELD_LIMIT - 1)]
    with healthy.get(CHAT, *fields) as client:
        assert client.head.status == 200
    assert_refused(healthy, request(CHAT, *fields, "X-Last: y"), statuses=(400, 431))


# Time


@pytest.mark.parametrize("size", [1, 3])
def test_head_in_pieces(healthy, size):
    with healthy.connect() as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(GOOD), size):
            client.send(GOOD[start : start + size])
        assert client.head.status == 200
        assert client.connection_id()


@pytest.mark.parametrize("sent", [b"", b"G", GOOD[:-2]])
def test_head_that_does_not_end_in_time(serve, pgmq_database, sent):
    server = serve(pgmq_database, "--head-timeout", "1s")
    with server.subscribe("chat") as other, server.ask(sent) as client:
        client.read_to_end()
        assert client.stream.head is None or client.stream.head.status in (400, 408)
        assert not other.stream.is_over


def test_head_that_comes_slowly_gets_no_more_time(serve, pgmq_database):
    """A byte now and then does not keep a connection that never asks."""
    server = serve(pgmq_database, "--head-timeout", "1s")
    with server.ask(b"GET / HTTP/1.1\r\n") as client:

        def closed():
            with contextlib.suppress(ConnectionError):
                client.send(b"x")
            return _is_at_end(client)

        wait_until(closed, "the end of a head that never ends", pause=0.1)


def _is_at_end(client):
    """Whether the server has closed, by what has come up to now."""
    client.socket.settimeout(0.05)
    with contextlib.suppress(TimeoutError):
        try:
            return client.socket.recv(4096) == b""
        except ConnectionError:
            return True
    return False


def test_a_stream_outlives_the_head_timeout(serve, pgmq_database):
    server = serve(pgmq_database, "--head-timeout", "1s", "--heartbeat", "500ms")
    with server.subscribe("chat") as client:
        for _ in range(5):
            assert client.next_block().is_heartbeat


# Clients that go


@pytest.mark.parametrize("leave", [Client.close, Client.reset])
def test_client_that_closes_in_its_head(healthy, leave):
    descriptors = healthy.descriptor_count()
    for sent in range(0, len(GOOD), 7):
        leave(healthy.ask(GOOD[:sent]))
    _wait_for_descriptors(healthy, descriptors)


@pytest.mark.parametrize("leave", [Client.close, Client.reset])
def test_client_that_closes_before_the_answer(healthy, leave):
    descriptors = healthy.descriptor_count()
    for _ in range(50):
        leave(healthy.ask(GOOD))
    _wait_for_descriptors(healthy, descriptors)


@pytest.mark.parametrize("leave", [Client.close, Client.reset])
def test_client_that_closes_in_the_stream(healthy, queue, leave):
    descriptors = healthy.descriptor_count()
    for _ in range(50):
        client = healthy.subscribe("chat")
        queue.notify('{"html": "on its way"}')
        leave(client)
    _wait_for_descriptors(healthy, descriptors)


def test_client_that_closes_in_its_replay(healthy, pgmq_database):
    with Queue(pgmq_database, "history") as history:
        history.create().send_many(["x" * 10_000] * 1000)
    descriptors = healthy.descriptor_count()
    for _ in range(20):
        client = healthy.open("history", since=0, receive_buffer_bytes=4096)
        assert client.head.status == 200
        client.reset()
    _wait_for_descriptors(healthy, descriptors)


def test_client_that_ends_its_own_half(healthy):
    """Half a close is a client's end too, or it is served on: never a descriptor for good."""
    descriptors = healthy.descriptor_count()
    client = healthy.subscribe("chat")
    client.socket.shutdown(socket.SHUT_WR)
    client.close()
    _wait_for_descriptors(healthy, descriptors)


def _wait_for_descriptors(server, count):
    wait_until(
        lambda: server.descriptor_count() <= count,
        f"descriptors back at {count}, from {server.descriptor_count()}",
    )


# Names

BAD_NAMES = [b"a\x00b", b"a\rb", b"a\nb", b"a\r\nb: c", b"\xff\xfe", b"a\xc3", b"\xed\xa0\x80"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_name_in_a_good_signature(healthy, name):
    """Raw inside the JSON, where only the signature is right."""
    signed = names.sign_bytes(b'"' + name + b'"')
    assert_refused(healthy, request(f"/pgbus/streams/{signed}"), statuses=(400, 404))


@pytest.mark.parametrize("name", ["a\x00b", "a\rb", "a\nb", "a\r\nid: 7"])
def test_bad_name_escaped_in_a_good_signature(healthy, name):
    """As an escape, the JSON is right too."""
    signed = names.sign_in_new_envelope(name)
    assert_refused(healthy, request(f"/pgbus/streams/{signed}"), statuses=(400, 404))
    assert_refused(healthy, request(stream_path(name)), statuses=(400, 404))


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_name_percent_coded_and_unsigned(healthy, name):
    coded = "".join(f"%{byte:02X}" for byte in name)
    for path in (f"/pgbus/streams/{coded}", f"/streams/{coded}"):
        assert_refused(healthy, request(path), statuses=(400, 404))


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_name_of_a_public_stream(serve, native_database, name):
    server = serve(native_database, "--public", "*")
    coded = "".join(f"%{byte:02X}" for byte in name)
    assert_refused(server, request(f"/streams/{coded}"), statuses=(400, 404))


@pytest.mark.parametrize("bytes_in_path", [b"\x00", b"\xff\xfe", b"\x7f", b"\t", b" "])
def test_raw_bytes_in_the_path(healthy, bytes_in_path):
    path = CHAT.encode() + bytes_in_path
    assert_refused(healthy, request(path), statuses=(400, 404))


@pytest.mark.parametrize("cursor", ["%00", "1%0A", "%FF", "1%0d%0aX:%20y"])
def test_bad_cursor_percent_coded(healthy, cursor):
    assert_refused(healthy, request(f"{CHAT}?since={cursor}"))


# Requests that are more than one GET


def test_pipelined_second_request(healthy):
    assert_refused(healthy, GOOD + GOOD)


def test_second_request_on_an_open_stream(healthy, queue):
    """The stream ends or goes on; it never answers twice."""
    with healthy.subscribe("chat") as client:
        queue.notify_until_heard(client)
        client.send(GOOD)
        queue.notify('{"html": "after it"}')
        with contextlib.suppress(AssertionError):
            client.expect(lambda block: block.data == "after it", limit=5)
        assert all(b"HTTP/1." not in block.raw for block in client.stream.blocks)
        assert b"HTTP/1." not in client.stream.rest


def test_megabytes_on_an_open_stream(healthy):
    """What a client sends on its stream is not kept for it."""
    resident = healthy.resident_bytes()
    with healthy.subscribe("chat") as client:
        client.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            for _ in range(64):
                client.socket.send(b"x" * (1 << 20))
        client.socket.settimeout(LIMIT_SECONDS)
    assert healthy.resident_bytes() < resident + (16 << 20)


@pytest.mark.parametrize(
    "fields, body",
    [
        (["Content-Length: 5"], b"hello"),
        (["Content-Length: 5", "Content-Length: 6"], b"hello"),
        (["Content-Length: x"], b""),
        (["Content-Length: -1"], b""),
        (["Transfer-Encoding: chunked"], b"0\r\n\r\n"),
        (["Transfer-Encoding: chunked", "Content-Length: 5"], b"0\r\n\r\n"),
        (["Content-Length: 99999999999999999999"], b""),
    ],
)
def test_body_on_a_get(healthy, fields, body):
    assert_refused(healthy, request(CHAT, *fields) + body)
