"""Proves that the application decides who may listen: what it is asked, what its answers do, and what
becomes of clients while it is slow, down, or talks nonsense. The application is a real HTTP server."""

import contextlib
import re
import select
import signal
import time

import pytest

from harness.admin import Admin
from harness.application import Application
from harness.client import request
from harness.native import Publisher
from harness.manystreams import path_of
from harness.names import sign
from harness.pgmq import Queue
from harness.ports import free_port
from harness.postgres import execute
from harness.server import native_path, run
from harness.tokens import SECRET, bearer, jwks, pem, private_key, token
from harness.waiting import wait_until

NATIVE = "/streams/"
QUEUES = "/pgbus/streams/"


@pytest.fixture
def application():
    with Application() as application:
        yield application


@pytest.fixture
def asking(serve, native_database, application):
    """Starts a server that asks the application."""

    def start(*flags, **options):
        return serve(
            native_database, "--authorize-url", application.url, "--public", "*",
            "--refuse-softly", "never", *flags, **options
        )

    return start


def status(server, path, *fields):
    with server.get(path, *fields) as client:
        return client.head.status


def ending(server):
    """Stops the server, and returns what it has counted."""
    server.stop()
    line = server.wait_for_line(r" stopped ", "the last line")
    return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", line)}


# What it is asked


def test_what_the_application_is_told(asking, application):
    server = asking("--authorize-header", "X-Tenant", "--authorize-header", "Origin")
    fields = [
        "Cookie: session=abc", "Cookie: theme=dark", "Authorization: Basic eDp5", "x-tenant: 7",
        "X-Other: secret", "X-Forwarded-For: 192.0.2.1",
    ]  # fmt: skip
    assert status(server, NATIVE + "room:%C3%A9%2525", *fields) == 200
    ((path, headers),) = application.requests
    assert path == "/may-listen"
    assert headers["x-millstream-stream"] == "room:%c3%a9%2525"
    assert headers["x-millstream-store"] == "native"
    assert headers["cookie"] == "session=abc; theme=dark"
    assert headers["authorization"] == "Basic eDp5"
    assert headers["x-tenant"] == "7"
    assert headers["x-forwarded-for"] == "127.0.0.1", "what the client says of itself is not sent"
    assert headers["x-other"] is None and headers["origin"] is None


def test_connections_to_it_are_kept(asking, application):
    server = asking()
    for number in range(20):
        assert status(server, NATIVE + f"room:{number}") == 200
    assert len(application.requests) == 20
    assert application.connection_count == 1


def test_names_that_are_not_in_order_are_not_asked_about(serve, native_database, application):
    server = serve(native_database, "--authorize-url", application.url)
    assert status(server, NATIVE + "room") == 404
    assert status(server, native_path("room") + "?since=x") == 400
    assert status(server, native_path("room")) == 200
    assert len(application.requests) == 1


def test_a_browser_comes_back_when_the_application_could_not_say(serve, native_database, application):
    application.answer = lambda path, headers: (500, b"oops")
    server = serve(native_database, "--authorize-url", application.url, "--public", "*")
    for path in (NATIVE + "room", NATIVE.rstrip("/") + "?s=room&s=hall"):
        with server.get(path) as client:
            assert (client.head.status, client.head["retry-after"] is None) == (200, False)
            retry, why = client.read_to_end()
            assert retry.raw.startswith(b"retry: ")
            assert why.is_comment and b"it cannot be said now who may listen" in why.raw
    with server.get(QUEUES + "room") as client:
        assert client.head.status == 503, "pgbus knows that one"


# What its answers do


@pytest.mark.parametrize(
    "answer, expected",
    [
        ((200, b"ok"), 200),
        ((204, b""), 200),
        ((200, b"", "application/json"), 200),
        ((200, {}), 200),
        ((200, {"member": None, "more": [1]}), 200),
        ((401, b"no"), 403),
        ((403, {"member": "x"}), 403),
        ((200, {"expires_at": 1000}), 403),
        ((302, b""), 503),
        ((404, b""), 503),
        ((500, b"oops"), 503),
        ((503, b""), 503),
        ((200, b"{nonsense", "application/json"), 503),
        ((200, []), 503),
        ((200, {"labels": "admins"}), 503),
        ((200, {"labels": ["x"] * 65}), 503),
        ((200, {"expires_at": "soon"}), 503),
        ((200, b"x" * 100_000), 200),
        ((403, b"x" * 100_000), 403),
        ((200, b"x" * 100_000, "application/json"), 503),
        (b"this is no HTTP\r\n\r\n", 503),
        (None, 503),
    ],
)
def test_answers(asking, application, answer, expected):
    application.answer = lambda path, headers: answer
    server = asking()
    with server.get(NATIVE + "room") as client:
        assert client.head.status == expected
        assert client.head["retry-after"] == ("2" if expected == 503 else None)
    counted = ending(server).get("failedAuthorizations", 0)
    assert counted == (1 if expected == 503 else 0)


@pytest.mark.parametrize("path", ["room", "?s=room&s=hall"])
def test_head_hears_what_get_would(asking, application, path):
    server = asking("--authorize-cache", "0s")
    for answer, expected in [(200, 200), (403, 403), (500, 503)]:
        application.answer = lambda path, headers: (answer, b"")
        with server.ask(request(NATIVE + path, method="HEAD")) as client:
            assert client.head.status == expected
            assert client.read_to_end() == [] and client.stream.rest == b""


def test_labels_decide_what_is_seen_in_both_stores(serve, full_database, application):
    def answer(path, headers):
        return 200, {"member": headers["cookie"], "labels": [headers["cookie"]]}

    application.answer = answer
    server = serve(full_database, "--authorize-url", application.url)
    with Queue(full_database, "chat") as queue, Publisher(full_database, "chat") as publisher:
        queue.create()
        for prefix, send in [(NATIVE, publisher.send), (QUEUES, queue.send)]:
            path = prefix + sign("chat") + "?since=0"
            with (
                server.get(path, "Cookie: admins") as admin,
                server.get(path, "Cookie: guests") as guest,
            ):
                admin.connection_id()
                guest.connection_id()
                send("secret", visible_to="admins")
                send("open")
                assert [block.data for block in admin.broadcasts(2)] == ["secret", "open"]
                assert guest.broadcast().data == "open"
            with server.get(path, "Cookie: guests") as guest:
                assert guest.broadcast().data == "open"


def test_the_end_that_it_sets_closes_the_connection(asking, application):
    end = int(time.time()) + 3
    application.answer = lambda path, headers: (200, {"expires_at": end})
    server = asking()
    with server.get(NATIVE + "room") as client:
        client.connection_id()
        last = client.read_to_end()[-1]
        assert end <= time.time() < end + 10
        assert (last.event, last.data) == ("millstream:expired", '{"reason":"expired"}')
    assert ending(server)["expired"] == 1


# While it is slow or down


def test_who_is_closed_while_the_application_says_yes_is_asked_about_again(asking, application, native_database):
    """The steps: it reads that the member may, the right is withdrawn, the member is closed, its answer arrives."""
    may_listen = [True]

    def answer(path, headers):
        allowed = may_listen[0]
        application.hold()
        return (200, {"member": "7"}) if allowed else (403, b"")

    application.answer = answer
    server = asking("--authorize-cache", "1h")
    with server.get(NATIVE + "room") as client:
        application.wait_for_requests(1)
        may_listen[0] = False
        execute(native_database, "SELECT millstream.close(member => '7')")
        server.wait_for_line(" the application closes connections ", "the close")
        application.release()
        assert client.head.status == 403
    assert len(application.requests) == 2


def test_a_slow_application_is_given_up(asking, application):
    application.answer = lambda path, headers: application.hold()
    server = asking("--authorize-timeout", "300ms")
    begin = time.monotonic()
    assert status(server, NATIVE + "room") == 503
    assert 0.25 < time.monotonic() - begin < 5
    # Others are served meanwhile; the loop does not wait.
    application.release()
    application.answer = lambda path, headers: (200, b"")
    assert status(server, NATIVE + "room") == 200
    assert ending(server)["failedAuthorizations"] == 1


def test_a_slow_application_holds_nobody_up(asking, application):
    server = asking("--authorize-timeout", "60s", "--head-timeout", "60s")
    with server.subscribe("room", path=NATIVE + "room") as live:
        application.answer = lambda path, headers: (application.hold(), (200, b""))[1]
        with server.get(NATIVE + "other") as waiting:
            application.wait_for_requests(2)
            assert not waiting.has_block(limit=0)
            with server.get("/elsewhere") as other:
                assert other.head.status == 404
            application.release()
            assert waiting.head.status == 200
        assert live.stream.is_over is False


def test_an_application_that_is_down(serve, native_database):
    url = f"http://127.0.0.1:{free_port()}/"
    server = serve(
        native_database, "--authorize-url", url, "--public", "*", "--refuse-softly", "never"
    )
    assert status(server, NATIVE + "room") == 503
    server.wait_for_line("does not say who may listen", "why")


def test_what_fails_is_seen_while_it_does(serve, native_database, application):
    """Not only in the last line of the log."""
    application.answer = lambda path, headers: (500, b"oops")
    server = serve(
        native_database, "--authorize-url", application.url, "--jwks-url", application.url,
        "--public", "*", admin="127.0.0.1:0",
    )  # fmt: skip
    status(server, NATIVE + "room")
    status(server, NATIVE + "room", "Authorization: Bearer nonsense")
    admin = Admin(server)
    assert admin.sum("millstream_authorization_failures_total") == 1
    assert admin.sum("millstream_token_refusals_total") == 1
    wait_until(lambda: admin.sum("millstream_token_key_failures_total") >= 1, "a failure of the keys")


def test_an_application_that_comes_back(asking, application):
    server = asking()
    assert status(server, NATIVE + "room") == 200
    port = application.port
    application.stop()
    wait_until(lambda: status(server, NATIVE + "room") == 503, "a refusal")
    application.start(port)
    wait_until(lambda: status(server, NATIVE + "room") == 200, "an answer")


def test_so_many_questions_at_once(asking, application):
    application.answer = lambda path, headers: (application.hold(), (200, b""))[1]
    server = asking(
        "--authorize-concurrency", "3", "--authorize-timeout", "60s", "--head-timeout", "60s"
    )
    clients = [server.get(NATIVE + f"room:{number}") for number in range(12)]
    gone = [server.get(NATIVE + f"gone:{number}") for number in range(5)]
    application.wait_for_requests(3)
    for client in gone:
        client.close()
    before = server.descriptor_count()
    wait_until(lambda: server.descriptor_count() <= before, "the end of those who left")
    application.release()
    assert all(client.head.status == 200 for client in clients)
    assert application.most_at_once == 3
    for client in clients:
        client.close()
    # Who had left before its turn came was not asked about.
    assert len(application.requests) <= 12 + len(gone)


def test_too_many_questions(asking, application):
    application.answer = lambda path, headers: (application.hold(), (200, b""))[1]
    server = asking(
        "--authorize-concurrency", "1", "--authorize-timeout", "60s", "--head-timeout", "60s"
    )
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(server.get(NATIVE + f"room:{number}")) for number in range(1_100)
        ]
        # The harness's `select` ends at descriptor 1,024.
        poll = select.epoll()
        for client in clients:
            poll.register(client.socket, select.EPOLLIN)
        wait_until(lambda: len(poll.poll(0, 2_000)) >= 75, "refusals")
        poll.close()
        application.release()
        answers = [client.socket.recv(12)[-3:] for client in clients]
    assert {answer: answers.count(answer) for answer in answers} == {b"200": 1_025, b"503": 75}
    assert len([line for line in server.log if "does not say" in line]) == 1


def test_clients_of_many_streams_leave_room_for_others(asking, application):
    """Five of them would ask more than may wait, and so would turn everybody else away."""
    application.answer = lambda path, headers: (application.hold(), (200, b""))[1]
    server = asking("--authorize-concurrency", "1", "--authorize-timeout", "60s", "--head-timeout", "60s")
    path = path_of(*map(str, range(256)), signed=False)
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(server.get(path)) for _ in range(8)]
        application.wait_for_requests(1)
        other = stack.enter_context(server.get(NATIVE + "room"))
        application.release()
        assert other.head.status == 200
        assert [client.head.status for client in many] == [200] * 8
    assert "does not say" not in server.log_text()
    assert len(application.requests) == 8 * 256 + 1


# What is kept


def test_answers_are_kept_for_a_short_time(asking, application):
    application.answer = lambda path, headers: (200 if headers["cookie"] == "a" else 403, b"")
    server = asking("--authorize-cache", "500ms")
    for _ in range(5):
        assert status(server, NATIVE + "room", "Cookie: a") == 200
        assert status(server, NATIVE + "room", "Cookie: b") == 403
    assert len(application.requests) == 2
    assert status(server, NATIVE + "other", "Cookie: a") == 200
    assert len(application.requests) == 3
    application.answer = lambda path, headers: (403, b"")
    wait_until(lambda: status(server, NATIVE + "room", "Cookie: a") == 403, "another answer")


def test_what_has_ended_is_not_kept(asking, application):
    """Who was let in until then is asked about anew, and not let in to be closed at once."""
    end = int(time.time()) + 4
    application.answer = lambda path, headers: (200, {"expires_at": end})
    server = asking("--authorize-cache", "1h")
    for _ in range(3):
        assert status(server, NATIVE + "room") == 200
    assert len(application.requests) == 1
    wait_until(lambda: time.time() >= end, "the end")
    assert status(server, NATIVE + "room") == 403
    assert len(application.requests) == 2


def test_failures_are_not_kept(asking, application):
    application.answer = lambda path, headers: (500, b"")
    server = asking("--authorize-cache", "1h")
    assert status(server, NATIVE + "room") == 503
    application.answer = lambda path, headers: (200, b"")
    assert status(server, NATIVE + "room") == 200


# With tokens


def test_a_token_and_the_application(serve, native_database, application, tmp_path):
    """Both have to agree; the application says who it is, if it says anything."""
    (tmp_path / "secrets").write_text(SECRET)
    server = serve(
        native_database, "--authorize-url", application.url,
        "--jwt-secret-file", str(tmp_path / "secrets"),
    )  # fmt: skip
    field = bearer({"streams": ["room"], "labels": ["token"]})
    assert status(server, NATIVE + "other", field) == 403
    assert status(server, NATIVE + "room") == 401
    assert application.requests == []
    with Publisher(native_database, "room") as publisher:
        for answer, seen in [((204, b""), "token"), ((200, {"labels": ["app"]}), "app")]:
            application.answer = lambda path, headers: answer
            with server.get(NATIVE + "room", field) as client:
                client.connection_id()
                for label in ["token", "app"]:
                    publisher.send(label, visible_to=label)
                assert client.broadcast().data == seen
    application.answer = lambda path, headers: (403, b"")
    assert status(server, NATIVE + "room", field) == 403


def test_keys_from_a_url(serve, native_database, application):
    first, second = private_key("ES256"), private_key("EdDSA")
    keys = {"first": first}
    application.answer = lambda path, headers: (200, jwks(**keys).encode())
    server = serve(native_database, "--jwks-url", application.url, "--jwks-refresh", "200ms")
    old = bearer({"streams": ["room"]}, first, "ES256", kid="first")
    new = bearer({"streams": ["room"]}, second, "EdDSA", kid="second")
    assert status(server, NATIVE + "room", old) == 200
    assert status(server, NATIVE + "room", new) == 401
    keys["second"] = second
    wait_until(lambda: status(server, NATIVE + "room", new) == 200, "the new key")
    # While the URL is down the old ones stay.
    application.answer = lambda path, headers: (500, b"")
    count = len(application.requests)
    application.wait_for_requests(count + 1)
    assert status(server, NATIVE + "room", old) == 200
    application.answer = lambda path, headers: (200, jwks(second=second).encode())
    wait_until(lambda: status(server, NATIVE + "room", old) == 401, "the end of the old key")


def test_a_key_that_is_new_at_the_url_is_fetched_whatever_is_in_files(serve, native_database, application, tmp_path):
    """Keys of a PEM file have no name, so that any token might be signed with one of them."""
    first, second = private_key("RS256"), private_key("RS256")
    (tmp_path / "keys.pem").write_bytes(pem(private_key("RS256")))
    keys = {"first": first}
    application.answer = lambda path, headers: (200, jwks(**keys).encode())
    server = serve(
        native_database, "--jwt-key-file", str(tmp_path / "keys.pem"), "--jwks-url", application.url,
    )  # fmt: skip
    claims = {"streams": ["room"]}
    assert status(server, NATIVE + "room", bearer(claims, first, "RS256", kid="first")) == 200
    keys["second"] = second
    new = bearer(claims, second, "RS256", kid="second")
    wait_until(lambda: status(server, NATIVE + "room", new) == 200, "the new key")


def test_a_token_waits_for_the_first_keys(serve, native_database, application):
    key = private_key("RS256")

    def answer(path, headers):
        application.hold()
        return 200, jwks(a=key).encode()

    application.answer = answer
    server = serve(native_database, "--jwks-url", application.url)
    field = bearer({"streams": ["room"]}, key, "RS256", kid="a")
    with server.get(NATIVE + "room", field) as client:
        application.wait_for_requests(1)
        application.release()
        assert client.head.status == 200


def test_a_reload_is_no_answer_to_who_waits_for_a_key(serve, native_database, application):
    first, second = private_key("ES256"), private_key("ES256")
    application.answer = lambda path, headers: (200, jwks(first=first).encode())
    server = serve(native_database, "--jwks-url", application.url, "--jwks-refresh", "500ms")
    claims = {"streams": ["room"]}
    assert status(server, NATIVE + "room", bearer(claims, first, "ES256", kid="first")) == 200

    def answer(path, headers):
        application.hold()
        return 200, jwks(first=first, second=second).encode()

    application.answer = answer
    application.wait_for_requests(len(application.requests) + 1)
    with server.get(NATIVE + "room", bearer(claims, second, "ES256", kid="second")) as client:
        with server.get(NATIVE + "room", bearer(claims, first, "ES256", kid="first")) as other:
            assert other.head.status == 200
        server.send_signal(signal.SIGHUP)
        server.wait_for_line(" info reloaded", "the reload")
        application.release()
        assert client.head.status == 200


def test_without_any_keys(serve, native_database):
    """401 is the last word for a browser, which would never come back after a restart while the URL is down."""
    url = f"http://127.0.0.1:{free_port()}/"
    server = serve(native_database, "--jwks-url", url, "--refuse-softly", "never")
    field = bearer({"streams": ["room"]}, private_key("RS256"), "RS256", kid="a")
    server.wait_for_line("cannot fetch the keys", "a warning")
    for _ in range(3):
        assert status(server, NATIVE + "room", field) == 503
    assert status(server, native_path("room")) == 200


def test_a_key_that_is_not_known_while_the_url_is_down(serve, native_database, application):
    first, second = private_key("ES256"), private_key("ES256")
    application.answer = lambda path, headers: (200, jwks(first=first).encode())
    server = serve(
        native_database, "--jwks-url", application.url, "--jwks-refresh", "200ms", "--refuse-softly", "never",
    )  # fmt: skip
    new = bearer({"streams": ["room"]}, second, "ES256", kid="second")
    assert status(server, NATIVE + "room", new) == 401
    application.answer = lambda path, headers: (500, b"")
    server.wait_for_line("cannot fetch the keys", "a warning")
    for _ in range(3):
        assert status(server, NATIVE + "room", new) == 503


def test_an_issuer_that_withdraws_all_keys(serve, native_database, application):
    """A set that is empty is one, unlike an answer that is none: what it had does not open anything any more."""
    key = private_key("ES256")
    application.answer = lambda path, headers: (200, jwks(first=key).encode())
    server = serve(
        native_database, "--jwks-url", application.url, "--jwks-refresh", "200ms", "--refuse-softly", "never",
    )  # fmt: skip
    bearing = bearer({"streams": ["room"]}, key, "ES256", kid="first")
    wait_until(lambda: status(server, NATIVE + "room", bearing) == 200, "the keys")
    application.answer = lambda path, headers: (200, b'{"keys":[]}')
    server.wait_for_line("all that it had are withdrawn", "a warning")
    assert status(server, NATIVE + "room", bearing) == 503


def test_secrets_from_a_url_are_not_taken(serve, native_database, application):
    set = b'{"keys":[{"kty":"oct","k":"%s"}]}' % token({})[:40].encode().replace(b".", b"")
    application.answer = lambda path, headers: (200, set)
    server = serve(native_database, "--jwks-url", application.url)
    server.wait_for_line("cannot fetch the keys", "a warning")


@pytest.mark.parametrize(
    "flags, reason",
    [
        (["--authorize-url", "ftp://host/"], "http:// or https://"),
        (["--authorize-url", "http:///x"], "name a host"),
        (["--jwks-url", "file:///etc/passwd"], "http:// or https://"),
        (["--authorize-header", "a b"], "no name of a header field"),
        (["--authorize-header", "a: b"], "no name of a header field"),
        (["--authorize-header", "X-Forwarded-For"], "cannot be sent on"),
        (["--authorize-header", "x-millstream-stream"], "cannot be sent on"),
        (["--authorize-header", "Content-Length"], "cannot be sent on"),
        (["--authorize-concurrency", "0"], "from 1"),
        (["--authorize-timeout", "0s"], "above 0"),
    ],
)
def test_configurations_that_are_refused(flags, reason):
    refused = run("serve", *flags)
    assert refused.returncode == 64
    assert reason in refused.stderr.decode()


def test_several_loops_ask_on_their_own(serve, native_database, application):
    server = serve(
        native_database, "--authorize-url", application.url, "--public", "*", "--loops", "3"
    )
    clients = [server.get(NATIVE + "room") for _ in range(60)]
    assert all(client.head.status == 200 for client in clients)
    for client in clients:
        client.close()
    assert 1 < application.connection_count
