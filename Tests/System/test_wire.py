"""Proves the bytes of everything that stands on a stream: opening, broadcasts, ephemeral frames,
heartbeats and the goodbye, and whom a broadcast is kept from."""

import json
import re
import time

import pytest

from harness.pgmq import Queue
from harness.server import native_path

OPENING = re.compile(
    rb"retry: (\d+)\n\n"
    rb": pgbus stream open since_id=(-?\d+) stream=([^\n]*)\n\n"
    rb'event: pgbus:connected\ndata: {"connectionId":"([0-9a-f]{16})"}\n\n'
)
GOODBYE = b'event: pgbus:shutdown\ndata: {"reason":"worker_restart"}\n\n'


def opening(server, name, **options):
    """The three blocks that begin a stream, taken apart."""
    with server.open(name, **options) as client:
        raw = b"".join(client.next_block().raw for _ in range(3))
        parts = OPENING.fullmatch(raw)
        assert parts, raw
        retry, since, stream, connection = parts.groups()
        return int(retry), int(since), stream.decode(), connection.decode()


def frame(payload, event=b"turbo-stream", id=None):
    """The bytes of a broadcast: one `data:` line for each of `payload`."""
    head = b"" if id is None else b"id: %d\n" % id
    lines = b"".join(b"data: " + line + b"\n" for line in payload)
    return head + b"event: " + event + b"\n" + lines + b"\n"


# The opening


@pytest.mark.parametrize("name", ["chat", "board:1", "größe:€", "gid://app/Room/1 2"])
def test_opening(server, name):
    _, since, stream, _ = opening(server, name)
    assert (since, stream) == (0, name)


def test_opening_says_the_cursor(server):
    assert opening(server, "chat", since=5)[1] == 5
    assert opening(server, "chat", since=5, last_event_id=7)[1] == 7


def test_retry_is_spread_around_its_setting(serve, pgmq_database):
    server = serve(pgmq_database, "--retry", "4s")
    retries = {opening(server, "chat")[0] for _ in range(30)}
    assert all(2000 <= retry <= 6000 for retry in retries), retries
    assert len(retries) > 5, f"hardly spread: {retries}"


def test_connection_ids_are_unique(server):
    ids = [opening(server, "chat")[3] for _ in range(30)]
    assert len(set(ids)) == len(ids)


# Broadcasts


@pytest.mark.parametrize(
    "html, lines",
    [
        ("<p>one line</p>", [b"<p>one line</p>"]),
        ("", [b""]),
        ("one\r\ntwo\rthree\nfour", [b"one", b"two", b"three", b"four"]),
        ("a\n\nb", [b"a", b"", b"b"]),
        ("a\n\r\r\nb", [b"a", b"", b"", b"b"]),
        ("größe € 🚰 \u2028 \u0085", ["größe € 🚰 \u2028 \u0085".encode()]),
        ('" \\ / \t \b', [b'" \\ / \t \b']),
        (" id: 7", [b" id: 7"]),
        (": no comment", [b": no comment"]),
    ],
)
def test_broadcast(server, queue, html, lines):
    with server.subscribe("chat") as client:
        id = queue.send(html)
        assert client.next_block().raw == frame(lines, id=id)


def test_large_payload(server, queue):
    html = "0123456789abcdef" * 65_536
    with server.subscribe("chat") as client:
        id = queue.send(html)
        assert client.next_block().raw == frame([html.encode()], id=id)


@pytest.mark.parametrize(
    "event, written",
    [
        ("presence", b"presence"),
        ("a b:c", b"a b:c"),
        ("", b"turbo-stream"),
        ("  \t", b"turbo-stream"),
        ("a\nid: 7", b"turbo-stream"),
        ("a\rb", b"turbo-stream"),
        (None, b"turbo-stream"),
    ],
)
def test_typed_broadcast(server, queue, event, written):
    with server.subscribe("chat") as client:
        id = queue.send("x", event=event)
        assert client.next_block().raw == frame([b"x"], event=written, id=id)


@pytest.mark.parametrize(
    "message",
    [{"a": 1, "b": [True, None]}, {"html": 5}, {"html": None}, {}, [1, 2], "text", 17, None],
)
def test_message_without_html_is_its_json_text(server, queue, message):
    with server.subscribe("chat") as client:
        id = queue.send_message(message)
        block = client.next_block()
        assert (block.number, block.event) == (id, "turbo-stream")
        assert json.loads(block.data) == message


def test_nothing_stands_between_broadcasts(server, queue):
    with server.subscribe("chat") as client:
        ids = queue.send_many(["a", "b", "c"])
        raw = b"".join(client.next_block().raw for _ in ids)
        assert raw == b"".join(frame([x], id=id) for x, id in zip([b"a", b"b", b"c"], ids))


def test_native_ids_carry_the_epoch(native_server, publisher):
    with native_server.subscribe("chat", path=native_path("chat")) as client:
        publisher.send("a")
        publisher.send("b", event="tick")
        first, second = client.next_block().raw, client.next_block().raw
    shape = rb"id: %d-([0-9a-f]+)\nevent: %s\ndata: %s\n\n"
    one = re.fullmatch(shape % (1, b"[^\n]+", b"a"), first)
    two = re.fullmatch(shape % (2, b"tick", b"b"), second)
    assert one and two, (first, second)
    assert one.group(1) == two.group(1), "two epochs in one stream"


# Heartbeat and goodbye


def test_heartbeat(serve, pgmq_database):
    server = serve(pgmq_database, "--heartbeat", "1s")
    with server.subscribe("chat") as client:
        for _ in range(3):
            raw = client.next_block().raw
            beat = re.fullmatch(rb": heartbeat (\d+)\n\n", raw)
            assert beat, raw
            assert abs(int(beat.group(1)) - time.time()) < 30


def test_goodbye_has_no_id_and_is_the_last(server, queue):
    with server.subscribe("chat") as client:
        queue.send("x")
        client.broadcast()
        server.stop()
        client.read_to_end()
        assert client.stream.rest == b""
        assert b"".join(block.raw for block in client.stream.blocks) == GOODBYE


# Ephemeral broadcasts


@pytest.mark.parametrize(
    "message, expected",
    [
        ({"html": "x"}, frame([b"x"])),
        ({"html": "a\nb", "event": "typing"}, frame([b"a", b"b"], event=b"typing")),
        ({"html": ""}, frame([b""])),
        ({"html": "é🚰"}, frame(["é🚰".encode()])),
    ],
)
def test_ephemeral_frame_has_no_id(server, queue, message, expected):
    with server.subscribe("chat") as client:
        queue.notify_until_heard(client)
        queue.notify(json.dumps(message))
        assert client.next_block().raw == expected


@pytest.mark.parametrize("payload", ["not JSON", '{"html": "x"', "[1, 2]", "42", "\\u0000", "{"])
def test_payload_that_is_no_message_is_dropped(server, queue, payload):
    with server.subscribe("chat") as client:
        queue.notify_until_heard(client)
        queue.notify(payload)
        queue.notify('{"html": "after"}')
        assert client.next_block().raw == frame([b"after"])


def test_ephemeral_is_not_stored(server, queue):
    with server.subscribe("chat") as client:
        queue.notify_until_heard(client)
        queue.notify('{"html": "gone"}')
        client.broadcast()
    queue.send("kept")
    with server.subscribe("chat", since=0) as client:
        assert client.broadcast().data == "kept"


def test_ephemeral_of_a_queue_that_does_not_exist(server, pgmq_database):
    with Queue(pgmq_database, "nowhere") as queue, server.subscribe("nowhere") as client:
        queue.notify_until_heard(client)
        queue.notify('{"html": "x"}')
        assert client.next_block().raw == frame([b"x"])


def test_both_spellings_of_a_channel_with_capitals(server, pgmq_database):
    """The channel has the table's name, in lower case; pgbus itself uses the name as given."""
    with Queue(pgmq_database, "ChatRoom") as queue, server.subscribe("ChatRoom") as client:
        queue.notify_until_heard(client)
        queue.notify('{"html": "given"}', channel="pgmq.q_pgbus_ChatRoom.INSERT")
        assert client.next_block().raw == frame([b"given"])
        queue.notify('{"html": "folded"}', channel="pgmq.q_pgbus_chatroom.INSERT")
        assert client.next_block().raw == frame([b"folded"])


def test_native_ephemeral_frame_has_no_id(native_server, publisher):
    with native_server.subscribe("chat", path=native_path("chat")) as client:
        publisher.notify("a\nb", event="typing")
        assert client.next_block().raw == frame([b"a", b"b"], event=b"typing")


# Whom a broadcast is kept from


def test_exclude_keeps_it_from_one_connection(server, queue):
    with server.subscribe("chat") as sender, server.subscribe("chat") as other:
        queue.send("mine", exclude=sender.id)
        queue.send("everyone's")
        assert [b.data for b in other.broadcasts(2)] == ["mine", "everyone's"]
        assert sender.next_block().data == "everyone's"


def test_ephemeral_exclude(server, queue):
    with server.subscribe("chat") as sender, server.subscribe("chat") as other:
        queue.notify_until_heard(other)
        queue.notify(json.dumps({"html": "mine", "exclude": sender.id}))
        queue.notify('{"html": "everyone\'s"}')
        assert [b.data for b in other.broadcasts(2)] == ["mine", "everyone's"]
        after = sender.expect(lambda block: not block.data.startswith("probe"))
        assert after.data == "everyone's"


def test_exclude_that_names_no_one(server, queue):
    with server.subscribe("chat") as client:
        queue.send("x", exclude="0123456789abcdef")
        queue.send("y", exclude="nobody")
        assert [b.data for b in client.broadcasts(2)] == ["x", "y"]


def test_visible_to_is_closed_by_default(server, queue):
    """No connection of the command has a context, so a label lets nobody in: live or replayed."""
    with server.subscribe("chat") as client:
        queue.notify_until_heard(client)
        queue.send("secret", visible_to="admins")
        queue.notify('{"html": "secret", "visible_to": "admins"}')
        queue.send("open")
        assert client.next_block().data == "open"
    with server.subscribe("chat", since=0) as client:
        assert client.next_block().data == "open"


def test_native_audience(native_server, publisher):
    with native_server.subscribe("chat", path=native_path("chat")) as client:
        publisher.send("secret", visible_to="admins")
        publisher.send("mine", exclude=client.id)
        publisher.notify("mine too", exclude=client.id)
        publisher.send("open")
        assert client.next_block().data == "open"


def test_opening_of_the_native_store(native_server):
    _, since, stream, _ = opening(native_server, "chat", path=native_path("chat"))
    assert (since, stream) == (0, "chat")
