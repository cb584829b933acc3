"""Compiles each example host, and proves that it does what its first lines say: a stream opens, what is
published arrives, what was missed comes again, every client is told of the end, and nothing is left."""

import json
import signal
import socket
import subprocess

import pytest

from harness.client import Client
from harness.host import EXAMPLES, ROOT, Host, compile_host, library, run_quietly, under_valgrind
from harness.names import SECRET, percent_coded, sign
from harness.native import Publisher
from harness.pgmq import Queue
from harness.waiting import wait_until

FEED = "/streams/demo:feed"
# Valgrind is some thirty times as slow.
PATIENCE_SECONDS = 120


def _c_example(name, *flags):
    return compile_host(name, EXAMPLES / f"{name}.c", flags=flags)


def _glib():
    printed = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "glib-2.0"], capture_output=True, check=True
    )
    return printed.stdout.decode().split()


@pytest.fixture(scope="session")
def swift_host():
    """A package of its own, as it would be in somebody else's repository."""
    scratch = ROOT / ".build-examples"
    package = EXAMPLES / "SwiftHost"
    run_quietly("swift", "build", "--package-path", package, "--scratch-path", scratch)
    return scratch / "debug/SwiftHost"


@pytest.fixture
def start(make_database):
    """Starts hosts; those that still run after the test are stopped in order."""
    hosts = []

    def start(*command, **options):
        hosts.append(Host(*command, **options))
        return hosts[-1]

    yield start
    for host in hosts:
        if host.is_running:
            host.stop(limit=PATIENCE_SECONDS)


@pytest.fixture
def feed(native_database):
    """Publishes to the stream of the native store that the examples show."""
    with Publisher(native_database, "demo:feed") as publisher:
        yield publisher


# What every host does


def check_opening(host, path):
    """The head and the first frames, as the command would send them."""
    with host.get(path) as client:
        assert client.head.status == 200
        assert client.head["content-type"] == "text/event-stream"
        assert client.next_block().raw.startswith(b"retry: ")
        assert client.next_block().is_comment
        assert json.loads(client.next_block().data)["connectionId"]


def published(client):
    """The next message that was published to it: some hosts tell the time in between."""
    return client.expect(lambda block: block.is_broadcast and block.event != "clock", "message")


def check_resume(host, path, publish):
    """Two messages, the second of which is missed, and a third that is waited for."""
    with host.subscribe(path) as client:
        publish("first")
        first = published(client)
        assert first.data == "first"
    publish("second")
    with host.subscribe(path, f"Last-Event-ID: {first.id}") as client:
        assert published(client).data == "second"
        publish("third")
        assert published(client).data == "third"


def check_end(host, path, number=signal.SIGTERM):
    """Goodbye to everyone; the host exits with 0."""
    with host.subscribe(path) as one, host.subscribe(path) as other, Client(host.address):
        host.stop(number)
        for client in (one, other):
            assert client.read_to_end()[-1].is_goodbye


def check_crowd(host, path):
    """Clients of every kind, who go in every way."""
    for _ in range(5):
        clients = [host.subscribe(path) for _ in range(5)]
        clients += [host.get("/nowhere"), Client(host.address)]
        clients[0].reset()
        for client in clients[1:]:
            client.close()


def check_all(host, path, publish, number=signal.SIGTERM):
    with host.subscribe(path):
        # Nobody has gone before this, whose descriptor would still be counted; the host may have one of its own
        # for this client for a moment.
        before = host.descriptor_count()
        check_opening(host, path)
        check_resume(host, path, publish)
        check_crowd(host, path)
        wait_until(lambda: host.descriptor_count() <= before, f"{before} descriptors again")
    check_end(host, path, number)


# The hosts in C


LOOPS = ["libev-host", "epoll-host", "glib-host"]


def _loop_example(name):
    return _c_example(name, *(_glib() if name == "glib-host" else []))


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_loop_host(start, native_database, feed, name, number):
    check_all(start(_loop_example(name), native_database), FEED, feed.send, number)


def test_libev_host_serves_its_own_page_and_timer(start, native_database):
    host = start(_c_example("libev-host"), native_database)
    with host.get("/") as client:
        assert client.head.status == 200 and client.head["content-type"] == "text/html"
        assert b"EventSource" in client.body()
    with host.subscribe(FEED) as client:
        clock = client.expect(lambda block: block.event == "clock", "the host's clock")
        assert clock.data.isdigit() and clock.id is None


def test_libev_host_hands_over_what_it_has_read(start, native_database, feed):
    """The request comes in pieces, so that the host has read some of it, and Millstream the rest."""
    host = start(_c_example("libev-host"), native_database)
    for split in (1, 5, 6, 20):
        whole = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % FEED.encode()
        with Client(host.address) as client:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.send(whole[:split])
            wait_until(lambda: _has_taken_all(client), "the host to read")
            client.send(whole[split:])
            assert client.connection_id()


def _has_taken_all(client):
    """Whether the other side's receive queue is empty, as far as the kernel tells."""
    local = "%08X:%04X" % (0x0100007F, client.socket.getsockname()[1])
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table]
    return all(row[4].endswith(":00000000") for row in rows if row[2] == local)


def _parsed_path(name, **fields):
    query = "".join(f"&{name}={value}" for name, value in fields.items())
    return f"/events?name={percent_coded(sign(name))}{query}"


@pytest.fixture
def parsed_host(start, native_database):
    return start(_c_example("parsed-host"), native_database, MILLSTREAM_SECRET=SECRET)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_parsed_host(parsed_host, feed, number):
    check_all(parsed_host, _parsed_path("demo:feed"), feed.send, number)


def test_parsed_host_sends_the_head_itself(parsed_host, feed):
    path = _parsed_path("demo:feed", head="host")
    with parsed_host.subscribe(path) as client:
        assert client.head["x-served-by"] == "parsed-host"
        feed.send("hello")
        assert client.broadcast().data == "hello"
    check_resume(parsed_host, path, feed.send)


def test_parsed_host_passes_labels(parsed_host, feed):
    with (
        parsed_host.subscribe(_parsed_path("demo:feed", user="ann")) as ann,
        parsed_host.subscribe(_parsed_path("demo:feed", user="bob")) as bob,
        parsed_host.subscribe(_parsed_path("demo:feed")) as nobody,
    ):
        feed.send("for the staff", visible_to="staff")
        feed.send("for ann's browser alone", exclude=bob.id)
        feed.send("for all")
        assert [block.data for block in ann.broadcasts(3)][0] == "for the staff"
        assert bob.broadcast().data == "for all"
        assert [block.data for block in nobody.broadcasts(2)][0] == "for ann's browser alone"


def test_parsed_host_tells_users_of_each_other(parsed_host, native_database):
    ann_alone = {
        "type": "list", "members": [{"member": "ann", "metadata": {"name": "Ann"}}], "present": 1}
    bob_too = {"type": "join", "member": "bob", "metadata": {"name": "Bob"}, "present": 2}

    def is_told(client, what):
        client.expect(lambda block: block.event == "presence" and json.loads(block.data) == what, what)

    with parsed_host.subscribe(_parsed_path("room:1", user="ann")) as ann:
        is_told(ann, ann_alone)
        with parsed_host.subscribe(_parsed_path("room:1", user="bob")):
            is_told(ann, bob_too)


@pytest.mark.parametrize(
    "path, status",
    [
        ("/events?name=demo:feed", 404),
        ("/events?since=1", 404),
        ("/", 404),
        (_parsed_path("demo:feed", since="soon"), 400),
    ],
)
def test_parsed_host_refuses(parsed_host, path, status):
    with parsed_host.get(path) as client:
        assert client.head.status == status
        client.read_to_end()


def _post(host, path, data):
    body = data.encode()
    with Client(host.address) as client:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        client.send(head.encode() + body)
        return client.head.status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_store_host(start, number):
    host = start(_c_example("store-host"))
    check_all(host, "/host/news", lambda data: _post(host, "/host/news", data), number)


def test_store_host_keeps_streams_apart_and_in_order(start):
    """More than one page of each, so that some questions are answered at once, and some later."""
    host = start(_c_example("store-host"))
    for number in range(900):
        assert _post(host, f"/host/{'even' if number % 2 == 0 else 'odd'}", str(number)) == 200
    for name, rest in (("even", 0), ("odd", 1)):
        for since in (0, 1, 449):
            with host.subscribe(f"/host/{name}?since={since}") as client:
                blocks = client.broadcasts(450 - since)
                assert [block.data for block in blocks] == [
                    str(number) for number in range(rest + 2 * since, 900, 2)
                ]


def test_store_host_tells_of_a_gap(start):
    """It keeps the last thousand."""
    host = start(_c_example("store-host"))
    for number in range(1, 1102):
        _post(host, "/host/news", str(number))
    with host.get("/host/news?since=50") as client:
        gap = client.expect(lambda block: block.event == "pgbus:gap-detected", "gap")
        assert json.loads(gap.data) == {"lastSeenId": 50, "archiveOldestId": 102}
        assert client.broadcast().data == "102"


# Under valgrind, a short life of each


def _check_short_life(host, path, publish):
    with host.subscribe(path) as client, host.get("/nowhere") as lost, Client(host.address):
        publish("hello")
        assert published(client).data == "hello"
        lost.read_to_end()
        host.stop(limit=PATIENCE_SECONDS)
        assert client.read_to_end()[-1].is_goodbye


@pytest.mark.parametrize("name", LOOPS)
def test_loop_host_leaks_nothing(start, native_database, feed, name):
    command = under_valgrind(_loop_example(name), native_database)
    _check_short_life(start(*command, limit=PATIENCE_SECONDS), FEED, feed.send)


def test_parsed_host_leaks_nothing(start, native_database, feed):
    command = under_valgrind(_c_example("parsed-host"), native_database)
    host = start(*command, limit=PATIENCE_SECONDS, MILLSTREAM_SECRET=SECRET)
    _check_short_life(host, _parsed_path("demo:feed", user="ann"), feed.send)


def test_store_host_leaks_nothing(start):
    host = start(*under_valgrind(_c_example("store-host")), limit=PATIENCE_SECONDS)
    _check_short_life(host, "/host/news", lambda data: _post(host, "/host/news", data))


# Ruby, and Swift


@pytest.fixture
def ruby_host(start, pgmq_database):
    folder = EXAMPLES / "ruby"
    return start(
        *["puma", "--config", folder / "puma.rb", folder / "config.ru"],
        BIND="tcp://127.0.0.1:0",
        DATABASE_URL=pgmq_database,
        MILLSTREAM_SECRET=SECRET,
        MILLSTREAM_LIBRARY=str(library() / "libmillstream.so"),
    )


def _pgmq_path(name):
    return f"/pgbus/streams/{sign(name)}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ruby_host(ruby_host, queue, number):
    check_all(ruby_host, _pgmq_path("chat"), queue.send, number)


def test_ruby_host_answers_for_itself(ruby_host):
    with ruby_host.get("/", "Connection: close") as client:
        assert client.head.status == 200 and b"a page of the application" in client.body()
    for path, status in [("chat", 404), (f"{sign('chat')}?since=soon", 400)]:
        with ruby_host.get(f"/pgbus/streams/{path}") as client:
            assert client.head.status == status
            client.read_to_end()


def test_ruby_host_survives_its_garbage_collector(ruby_host, queue):
    """The steps: hijacked sockets are handed over, Ruby's objects for them are collected, the numbers of
    their descriptors would be closed under Millstream, and its clients would hear nothing more."""
    clients = [ruby_host.subscribe(_pgmq_path("chat")) for _ in range(20)]
    for _ in range(300):
        with ruby_host.get("/", "Connection: close") as client:
            client.read_to_end()
    with ruby_host.get("/collect", "Connection: close") as client:
        client.read_to_end()
    queue.send("hello")
    for client in clients:
        assert client.broadcast().data == "hello"
        client.close()


def test_ruby_host_is_not_held_up_by_those_who_say_nothing(ruby_host):
    """Puma waits for requests of whoever it has only just let in; Millstream's clients hear of the end
    after that."""
    with ruby_host.subscribe(_pgmq_path("chat")) as client:
        silent = [Client(ruby_host.address) for _ in range(50)]
        ruby_host.stop(limit=25)
        assert client.read_to_end()[-1].is_goodbye
    for one in silent:
        one.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_swift_host(start, swift_host, native_database, feed, number):
    check_all(start(swift_host, native_database), FEED, feed.send, number)
