"""SIGTERM: the goodbyes are spread over a while, in which everything goes on for those who are still there."""

import signal
import time

import pytest

from harness.admin import Admin
from harness.client import Closed
from harness.crowd import Crowd
from harness.native import Publisher
from harness.server import native_path, run
from harness.waiting import wait_until

CLIENTS = 60
# Long enough to be told from "at once" on a slow machine, and from the length of a tick.
DRAIN_SECONDS = 3
# In milliseconds: the clocks of two processes, and the loop's tick.
TOLERANCE_SECONDS = 0.1


@pytest.fixture
def chat(native_database):
    with Publisher(native_database, "chat") as publisher:
        yield publisher


@pytest.fixture
def start(serve, native_database):
    """Starts a server that drains for so long."""

    def start(drain, *flags, **options):
        return serve(native_database, "--drain", drain, *flags, **options)

    return start


def crowd_of(server, count=CLIENTS):
    crowd = Crowd(server.open("chat", path=native_path("chat")) for _ in range(count))
    return crowd.connected()


def is_told(client):
    return any(block.is_goodbye for block in client.stream.blocks)


def times_of_goodbyes(crowd, began):
    """When each was told and closed, in order, after SIGTERM."""
    times = {}

    def is_over(client):
        if client.stream.is_over:
            times.setdefault(client, time.monotonic() - began)
        return client.stream.is_over

    crowd.wait(is_over, "the goodbye")
    assert all(is_told(client) for client in crowd.clients)
    return sorted(times.values())


def drain_begun(server):
    server.send_signal(signal.SIGTERM)
    server.wait_for_line(" draining ", "the begin of the drain")


@pytest.mark.parametrize("loops", ["1", "3"])
def test_goodbyes_are_spread_evenly(start, loops):
    server = start(f"{DRAIN_SECONDS}s", "--loops", loops)
    with crowd_of(server) as crowd:
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        times = times_of_goodbyes(crowd, began)
    assert server.wait() == 0
    # Of each loop one is told at once; nobody is told before it is due.
    early = int(loops)
    for number, told in enumerate(times):
        due = max(number - early, 0) / len(times) * DRAIN_SECONDS
        assert told >= due - TOLERANCE_SECONDS, f"number {number} was told after {told:.2f} s: {times}"
    assert times[0] < DRAIN_SECONDS / 2, "the first has nobody to wait for"
    assert " shutdown=60" in server.log_text(), server.log_text()


def test_who_is_still_there_gets_everything(start, chat):
    server = start(f"{DRAIN_SECONDS}s")
    with crowd_of(server) as crowd:
        drain_begun(server)
        crowd.wait(lambda client: is_told(crowd.clients[0]), "the first goodbye")
        chat.send("meanwhile")
        crowd.wait(lambda client: client.stream.is_over, "the end")
        kinds = [[b for b in c.stream.blocks if b.is_broadcast] for c in crowd.clients]
        having = [blocks for blocks in kinds if blocks]
        assert len(having) > CLIENTS / 2, "most were still there"
        assert {block.data for blocks in having for block in blocks} == {"meanwhile"}
        assert all(client.stream.blocks[-1].is_goodbye for client in crowd.clients)
    assert server.wait() == 0


def test_new_clients_are_sent_elsewhere(start):
    server = start("10m", "--refuse-softly", "never", admin="127.0.0.1:0")
    admin = Admin(server)
    wait_until(lambda: not admin.causes(), "readiness")
    with crowd_of(server, 5) as crowd:
        drain_begun(server)
        assert admin.causes() == ["draining"]
        assert admin.status()["snapshot"]["stage"] == "draining"
        assert b"DRAINING" in run("top", "--once", "--admin", admin.url).stdout
        assert admin.ask("/healthz")[0] == 200
        assert admin.sum("millstream_connections") == 4, "the first was told at once"
        with server.get(native_path("chat")) as late:
            assert late.head.status == 503
            assert late.head["retry-after"] == "2"
            assert "about to end" in late.body().decode()
        with server.get("/nothing") as other:
            assert other.head.status == 404
        assert crowd.has(lambda client: client is crowd.clients[0] or not is_told(client))
        # Whoever does not want to wait ends the drain, not the goodbyes.
        server.send_signal(signal.SIGTERM)
        crowd.wait(lambda client: client.stream.is_over, "the end")
        assert all(is_told(client) for client in crowd.clients)
    assert server.wait() == 0


def test_interrupt_does_not_drain(start):
    server = start("10m")
    with crowd_of(server, 5) as crowd:
        server.send_signal(signal.SIGINT)
        crowd.wait(lambda client: client.stream.is_over, "the end")
        assert all(is_told(client) for client in crowd.clients)
    assert server.wait() == 0
    assert " draining " not in server.log_text()


@pytest.mark.parametrize("loops", ["1", "3"])
def test_nobody_waits_for_the_end_of_an_empty_server(start, loops):
    server = start("10m", "--loops", loops)
    server.stop()


def test_who_reads_nothing_holds_the_drain_up_by_the_write_deadline_alone(start, chat):
    server = start("1s", "--write-deadline", "1s", admin="127.0.0.1:0")
    chat.send_many(["x" * 65_536] * 200)
    path = native_path("chat")
    with server.open("chat", since=0, path=path, receive_buffer_bytes=4096), crowd_of(server, 5):
        blocked = "millstream_blocked_connections"
        wait_until(lambda: Admin(server).sum(blocked) == 1, "a full socket")
        server.stop()
    assert " writeDeadline=1" in server.log_text(), server.log_text()


def test_clients_may_go_by_themselves_meanwhile(start):
    server = start(f"{DRAIN_SECONDS}s")
    with crowd_of(server) as crowd:
        drain_begun(server)
    assert crowd
    assert server.wait() == 0


def test_the_end_waits_for_a_request_that_was_accepted(start):
    """There is nobody to say goodbye to; what is half here is answered, but not waited for for ever."""
    server = start("10m")
    with server.ask(b"GET / HT") as slow, server.connect() as silent:
        with server.get("/nothing") as later:
            assert later.head.status == 404, "those before it were accepted"
        drain_begun(server)
        slow.send(b"TP/1.1\r\nHost: x\r\n\r\n")
        assert slow.head.status == 404
        silent.read_to_end()
    assert server.wait() == 0


def test_request_on_its_way_is_answered(start):
    """It has been accepted before the drain began, and is complete only afterwards."""
    server = start("10m")
    with server.ask(b"GET / HT") as slow, crowd_of(server, 2):
        drain_begun(server)
        slow.send(b"TP/1.1\r\nHost: x\r\n\r\n")
        assert slow.head.status == 404
        server.send_signal(signal.SIGINT)
        with pytest.raises(Closed):
            slow.next_block()
    assert server.wait() == 0
