"""The admin address: what is measured, whether it is alive, whether clients can be sent to it."""

import contextlib
import re
import signal
import socket

import pytest

from harness.admin import Admin, promtool
from harness.client import Client, request
from harness.crowd import Crowd
from harness.native import Publisher
from harness.pgmq import Queue
from harness.ports import free_port
from harness.server import native_path, run
from harness.thread_stop import last_thread, stopped
from harness.waiting import wait_until

LOOPS = 3
USUAL = ("127.0.0.1", 9464)
CLIENTS = 30


@pytest.fixture
def observed(serve, full_database):
    """Starts a server with an admin address; gives both."""

    def start(*flags, database=full_database, **options):
        server = serve(database, *flags, admin="127.0.0.1:0", **options)
        return server, Admin(server)

    return start


@pytest.fixture
def chat(full_database):
    """Publishes to the stream `chat` of the native store."""
    with Publisher(full_database, "chat") as publisher:
        yield publisher


def crowd_of(server, count=CLIENTS):
    return Crowd(server.open("chat", path=native_path("chat")) for _ in range(count))


def ready(admin):
    wait_until(lambda: not admin.causes(), "readiness")


# What is measured


def test_promtool_has_no_complaint(observed, chat):
    server, admin = observed("--loops", str(LOOPS))
    with crowd_of(server) as crowd:
        crowd.connected()
        chat.send("hello")
        crowd.broadcasts(1)
        wait_until(
            lambda: "millstream_notification_queue_usage_ratio" in admin.text(), "the queue's usage"
        )
        promtool("check", "metrics", input=admin.text())


def test_connections_and_deliveries_of_all_loops(observed, chat):
    server, admin = observed("--loops", str(LOOPS))
    with crowd_of(server) as crowd:
        crowd.connected()
        wait_until(
            lambda: admin.sum("millstream_connections", state="live") == CLIENTS, "all are live"
        )
        assert admin.sum("millstream_connections") == CLIENTS
        assert admin.sum("millstream_loop_up") == LOOPS
        assert admin.sum("millstream_connections_opened_total") == CLIENTS
        before = admin.sum("millstream_deliveries_total")
        chat.send("stored")
        chat.notify("ephemeral")
        crowd.broadcasts(2)
        served = len({s for s, v in admin.metrics().items() if "messages_total" in s and v > 0}) / 2
        assert 1 <= served <= LOOPS
        for kind in ("stored", "ephemeral"):
            assert admin.sum("millstream_messages_total", kind=kind) == served
        assert admin.sum("millstream_messages_total", kind="late") == 0
        deliveries = admin.sum("millstream_deliveries_total") - before
        assert CLIENTS <= deliveries <= 2 * CLIENTS
        assert admin.sum("millstream_sent_bytes_total") > 2 * CLIENTS * 40
        passes = admin.sum("millstream_broadcast_to_socket_seconds_count")
        assert served <= passes <= 2 * served, "one observation for each pass, not for each delivery"
    wait_until(
        lambda: admin.sum("millstream_connections_closed_total", reason="client_gone") == CLIENTS,
        "the ends of all",
    )
    assert admin.sum("millstream_connections") == 0


def test_loops_tell_how_late_they_are(observed):
    _, admin = observed("--loops", "2")
    for loop in (0, 1):
        wait_until(
            lambda: admin.sum("millstream_loop_lag_seconds_count", loop=loop) > 3, "some ticks"
        )


def test_log_memory(observed, chat):
    server, admin = observed()
    with server.subscribe("chat", path=native_path("chat")) as client:
        chat.send("x" * 100_000)
        client.broadcast()
        wait_until(lambda: admin.sum("millstream_log_memory_bytes") > 100_000, "the log's memory")


def test_commit_to_socket(observed, chat):
    """One message a second is asked for; the clocks of the machines do not matter."""
    server, admin = observed()
    ready(admin)
    with server.subscribe("chat", path=native_path("chat")) as client:

        def measured():
            chat.send("hello")
            client.broadcast()
            return admin.sum("millstream_commit_to_socket_seconds_sum")

        # One that took no more than the clocks may be apart counts as none.
        wait_until(measured, "a measured message that took some time")
        assert measured() < 10
        assert admin.sum("millstream_commit_to_socket_seconds_count") > 0


def test_states_of_a_stuck_client(observed, chat):
    """It is blocked, then it is gone, and the reason is counted."""
    server, admin = observed("--write-deadline", "1s")
    stuck = server.open("chat", path=native_path("chat"), receive_buffer_bytes=4096)
    with stuck:
        wait_until(lambda: admin.sum("millstream_connections", state="live") == 1, "the client")
        chat.send_many(["x" * 65_536] * 200)
        wait_until(lambda: admin.sum("millstream_blocked_connections") == 1, "a full socket")
        wait_until(
            lambda: admin.sum("millstream_connections_closed_total", reason="write_deadline")
            + admin.sum("millstream_connections_closed_total", reason="too_slow")
            == 1,
            "its end",
        )
    assert admin.sum("millstream_blocked_connections") == 0
    assert admin.sum("millstream_connections") == 0


def test_replay_is_counted(observed, chat):
    server, admin = observed()
    chat.send_many(str(number) for number in range(10))
    with server.subscribe("chat", since=0, path=native_path("chat")) as client:
        client.broadcasts(10)
    assert admin.sum("millstream_replay_pages_total") == 1


def test_looks_that_found_something(observed, full_database):
    """A queue without a trigger: nothing wakes, and what is found is counted. Where a notification came,
    nothing is."""
    server, admin = observed("--safety-poll", "1s")
    with Queue(full_database, "mute") as mute, Queue(full_database, "loud") as loud:
        mute.create(throttle_ms=None), loud.create()
        with server.subscribe("mute") as client, server.subscribe("loud") as other:
            for number in range(3):
                loud.send("heard")
                other.broadcast()
            looked = admin.sum("millstream_safety_looks_total")
            wait_until(
                lambda: admin.sum("millstream_safety_looks_total") >= looked + 4, "two looks at each"
            )
            assert admin.sum("millstream_safety_finds_total") == 0
            assert admin.sum("millstream_wake_ups_total") == 3
            mute.send("unheard")
            client.broadcast()
            assert admin.sum("millstream_safety_finds_total") == 1


def test_process(observed):
    server, admin = observed()
    ready(admin)
    metrics = admin.metrics()
    resident = server.resident_bytes()
    assert resident / 2 < metrics["millstream_resident_memory_bytes"] < resident * 2
    # It has one more while it answers.
    assert abs(metrics["millstream_open_descriptors"] - server.descriptor_count()) <= 2
    assert metrics["millstream_max_descriptors"] >= metrics["millstream_max_connections"]
    version = run("--version").stdout.decode().strip()
    assert metrics[f'millstream_build_info{{version="{version}"}}'] == 1


def test_loop_that_hangs(observed, chat):
    """The other loops answer for themselves, and for what was last known of it."""
    server, admin = observed("--loops", "2")
    with crowd_of(server) as crowd:
        crowd.connected()
        wait_until(
            lambda: admin.sum("millstream_connections", state="live") == CLIENTS, "all are live"
        )
        with stopped(last_thread(server.process)):
            assert admin.sum("millstream_loop_up", loop=0) == 1
            assert admin.sum("millstream_loop_up", loop=1) == 0
            assert admin.sum("millstream_connections") == CLIENTS
            assert any("loop 1 does not answer" in cause for cause in admin.causes())
            wait_until(lambda: admin.ask("/healthz")[0] == 503, "the hanging loop")
            assert re.fullmatch(r"loop 1 has not turned for \d+ s\n", admin.ask("/healthz")[2])
        wait_until(lambda: admin.ask("/healthz")[::2] == (200, "ok\n"), "all loops")


# Whether it is ready


def test_not_ready_without_postgres(observed, postgres):
    server, admin = observed("--loops", "2")
    ready(admin)
    postgres.stop()
    causes = wait_until(admin.causes, "causes")
    sessions = ((0, "read"), (0, "listen"), (1, "read"))
    wait_until(lambda: len(admin.causes()) == len(sessions), "one that listens, two that read")
    for loop, session in sessions:
        begin = f"loop {loop}: the {session} session with Postgres is not ready: "
        assert any(cause.startswith(begin) for cause in admin.causes()), causes
    assert admin.ask("/healthz")[0] == 200
    assert admin.sum("millstream_postgres_session_ready") == 0
    assert admin.sum("millstream_postgres_failures_total") >= 3
    assert admin.sum("millstream_postgres_reconnects_total") == 0
    promtool("check", "metrics", input=admin.text())
    postgres.start()
    ready(admin)
    assert admin.sum("millstream_postgres_reconnects_total") == 3


def test_not_ready_before_postgres(observed):
    nowhere = f"host=127.0.0.1 port={free_port()} dbname=none"
    _, admin = observed(database=nowhere)
    wait_until(lambda: any("refused" in cause for cause in admin.causes()), "the reason")


def test_not_ready_while_it_shuts_down(observed, chat):
    """Who does not read keeps it from ending; the load balancer shall know at once."""
    server, admin = observed("--write-deadline", "10m")
    with server.open("chat", path=native_path("chat"), receive_buffer_bytes=4096):
        wait_until(lambda: admin.sum("millstream_connections", state="live") == 1, "the client")
        chat.send_many(["x" * 65_536] * 200)
        wait_until(lambda: admin.sum("millstream_blocked_connections") == 1, "a full socket")
        server.send_signal(signal.SIGTERM)
        wait_until(admin.causes, "the reason")
        assert admin.causes() == ["shutting down"]
        assert admin.ask("/healthz")[0] == 200
        server.send_signal(signal.SIGTERM)
        server.wait()


# The address


def test_usual_address_that_is_taken(serve, full_database):
    """By us, or by whoever else has it on this machine."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            held.enter_context(socket.create_server(USUAL))
        server = serve(full_database, admin=None)
    assert "admin=" not in server.ready_line
    assert any(" notice " in line and "9464" in line for line in server.log), server.log_text()


def test_address_that_was_asked_for_and_is_taken(observed, full_database):
    _, admin = observed()
    host, port = admin.address
    flags = ["--listen", "127.0.0.1:0", "--admin", f"{host}:{port}"]
    done = run("serve", "--database", full_database, *flags)
    assert done.returncode == 1
    assert str(port) in done.stderr.decode()


def test_none(serve, full_database):
    assert "admin=" not in serve(full_database, admin="none").ready_line


@pytest.mark.parametrize("address", ["nowhere", "", "127.0.0.1:http", "unix:"])
def test_address_that_is_none(full_database, address):
    done = run("serve", "--database", full_database, "--admin", address)
    assert done.returncode == 64 and "--admin" in done.stderr.decode()


def test_other_paths_and_methods(observed):
    _, admin = observed()
    assert admin.ask("/metrics/")[0] == 404
    assert admin.ask("/metrics", method="POST")[0] == 405
    status, _, body = admin.ask("/healthz", method="HEAD")
    assert (status, body) == (200, "")


def test_streams_are_not_there(observed, chat):
    _, admin = observed()
    assert admin.ask(native_path("chat"))[0] == 404


def test_clients_that_say_nothing_cost_no_answers(observed):
    """More than may be under way. A probe that is not answered has the process, and all of its clients, started
    anew."""
    _, admin = observed()
    with contextlib.ExitStack() as silent:
        for _ in range(200):
            silent.enter_context(Client(admin.address))
        for _ in range(5):
            assert admin.ask("/healthz")[0] == 200


def test_clients_that_have_their_answer_and_stay_cost_none(observed):
    _, admin = observed()
    with contextlib.ExitStack() as staying:
        for _ in range(64):
            client = staying.enter_context(Client(admin.address))
            client.send(request("/healthz"))
            assert client.head.status == 200
        asking = staying.enter_context(Client(admin.address))
        for _ in range(5):
            assert admin.ask("/healthz")[0] == 200
        # Nobody had to go who has no answer yet.
        asking.send(request("/healthz"))
        assert asking.head.status == 200


# How connections have ended


def ends(server):
    return [line for line in server.log if " connection ended " in line]


def test_line_for_each_end(observed, chat):
    server, _ = observed()
    with server.open("chat", path=native_path("chat")) as client:
        blocks = [client.next_block() for _ in range(3)]
        chat.send("hello")
        blocks.append(client.next_block())
        assert blocks[-1].is_broadcast
        received = len(client.head.raw) + sum(len(block.raw) for block in blocks)
        address = "{}:{}".format(*client.socket.getsockname())
    line = server.wait_for_line(" connection ended ", "the end")
    fields = dict(re.findall(r"(\w+)=(\S+)", line))
    assert " info " in line
    assert fields["reason"] == "clientGone" and fields["stream"] == "chat"
    assert fields["last_id"] == "1" and fields["address"] == address
    assert fields["connection"] in blocks[2].data
    assert fields["connection"].startswith(fields["request"])
    assert client.head["x-request-id"] == fields["request"]
    assert int(fields["seconds"]) <= 30
    assert int(fields["bytes"]) == received
    assert "--" not in line, "a signed name"


def test_storm_of_ends_is_sampled(observed, chat):
    server, admin = observed()
    with crowd_of(server, 300) as crowd:
        crowd.connected()
    wait_until(
        lambda: admin.sum("millstream_connections_closed_total") == 300, "the ends of all"
    )
    left_out = lambda: sum(  # noqa: E731
        int(found[1]) for line in server.log if (found := re.search(r"left_out=(\d+)", line))
    )
    wait_until(lambda: len(ends(server)) + left_out() == 300, "lines, or their number")
    assert 50 <= len(ends(server)) <= 200


def test_sampled_at_the_end_too(observed, chat):
    server, _ = observed()
    with crowd_of(server, 200) as crowd:
        crowd.connected()
        server.stop()
        crowd.wait(lambda client: client.stream.is_over, "the end")
    told = [re.search(r"left_out=(\d+)", line) for line in server.log]
    assert len(ends(server)) + sum(int(found[1]) for found in told if found) == 200
    assert any("reason=shutdown" in line for line in ends(server))
