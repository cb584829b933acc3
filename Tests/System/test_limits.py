"""Who is let in when there are limits, who a client is behind proxies, and how the others are refused: so that
a real browser comes back by itself. Request ids, as they go through."""

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.admin import Admin
from harness.application import Application
from harness.client import Client, request
from harness.manystreams import ManyStreams, Pattern, path_of
from harness.names import sign
from harness.native import Publisher
from harness.nginx import PlainNginx
from harness.server import binary, environment, native_path, run, stream_path
from harness.tokens import SECRET, bearer
from harness.waiting import wait_until

PATH = native_path("chat")
HARD = ("--refuse-softly", "never")


@pytest.fixture
def limited(serve, native_database):
    """Starts a server that refuses with statuses, if nothing else is said."""

    def start(*flags, **options):
        return serve(native_database, *HARD, *flags, **options)

    return start


@pytest.fixture
def clients():
    """Makes clients that are closed at the end."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context


def status(server, path=PATH, *fields, **options):
    with server.get(path, *fields, **options) as client:
        return client.head.status


def subscribe(clients, server, path=PATH, *fields, **options):
    """A client that has been let in."""
    client = clients(server.get(path, *fields, **options))
    assert client.head.status == 200, client.head.raw
    client.id = client.connection_id()
    return client


def wait_for_place(server, path=PATH, *fields, **options):
    def gets_in():
        with server.get(path, *fields, **options) as client:
            return client.head.status == 200

    wait_until(gets_in, "the place of one that has left")


def fields_of(line):
    return dict(re.findall(r"(\w+)=(\S+)", line))


# Each limit


def test_connections_of_an_address(limited, clients):
    server = limited("--max-per-address", "2")
    first = subscribe(clients, server)
    subscribe(clients, server, native_path("other"))
    with server.get(PATH) as third:
        assert third.head.status == 429 and third.head["retry-after"] == "2"
        assert "of this address" in third.body().decode()
    subscribe(clients, server, source="127.0.0.2")
    assert status(server, PATH, "X-Forwarded-For: 192.0.2.1") == 429, "nobody is believed"
    first.close()
    wait_for_place(server)


def test_connections_of_a_member(limited, clients, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(SECRET + "\n")
    server = limited("--max-per-member", "1", "--jwt-secret-file", str(keys))
    ann, bob = (bearer({"streams": ["*"], "sub": name}) for name in ("ann", "bob"))
    first = subscribe(clients, server, "/streams/a", ann)
    assert status(server, "/streams/b", ann) == 429
    assert status(server, path_of("a", "b", signed=False), ann) == 429
    subscribe(clients, server, "/streams/a", bob)
    subscribe(clients, server)
    subscribe(clients, server)
    first.close()
    wait_for_place(server, path_of("a", "b", signed=False), ann)


def test_connections_to_a_stream(limited, clients):
    server = limited("--max-per-stream", "2")
    first = subscribe(clients, server)
    subscribe(clients, server)
    with server.get(PATH) as third:
        assert third.head.status == 503 and third.head["retry-after"] == "2"
    assert status(server, native_path("other")) == 200
    first.close()
    wait_for_place(server)


def test_places_of_those_who_are_not_let_in_come_back(limited, clients):
    """Where the application says no, or nothing, or the client does not wait for it."""
    with Application(lambda path, headers: (int(headers["cookie"]), b"")) as application:
        server = limited(
            "--authorize-url", application.url, "--max-per-address", "1", "--max-per-stream", "1"
        )
        for answer, expected in [(403, 403), (500, 503), (403, 403), (204, 200)]:
            assert status(server, PATH, f"Cookie: {answer}") == expected
        server.wait_for_line("connection ended", "the end of the one that was let in")
        application.answer = lambda path, headers: application.hold() or (204, b"")
        with server.get(PATH, "Cookie: 204"):
            application.wait_for_requests(5)
            assert status(server, PATH, "Cookie: 204") == 429
        application.release()
        wait_for_place(server, PATH, "Cookie: 204")


def test_no_more_get_in_than_there_is_room_for_when_answers_come(limited, clients):
    with Application() as application:
        application.answer = lambda path, headers: application.hold() or (204, b"")
        server = limited("--authorize-url", application.url, "--max-connections", "1")
        waiting = [clients(server.get(PATH)) for _ in range(3)]
        application.wait_for_requests(3)
        application.release()
        assert sorted(client.head.status for client in waiting) == [200, 503, 503]


def test_an_application_that_is_too_slow_is_a_refusal_for_now(limited):
    """Also where the client's time is over before the question's."""
    with Application() as application:
        application.answer = lambda path, headers: application.hold() or (204, b"")
        server = limited(
            "--authorize-url", application.url, "--authorize-timeout", "1m", "--head-timeout", "500ms"
        )
        with server.get(PATH) as client:
            assert client.head.status == 503 and client.head["retry-after"]
        application.release()


def test_what_the_application_has_not_said_is_no_refusal_for_good(limited):
    with Application(lambda path, headers: (500, b"")) as application:
        server = limited("--authorize-url", application.url)
        for query in ["s=unsigned&s={}", "s={}&s=unsigned"]:
            assert status(server, f"/streams?{query.format(sign('chat'))}") == 503


def test_a_page_sees_that_the_application_refuses_it(limited):
    with Application(lambda path, headers: (403, b"")) as application:
        server = limited("--authorize-url", application.url, "--allow-origin", "*")
        for path in [PATH, path_of("a", "b")]:
            with server.get(path, "Origin: http://example.com") as client:
                assert client.head.status == 403
                assert client.head["access-control-allow-origin"] == "*"


def test_a_full_descriptor_table_is_said_once(limited, clients):
    server = limited("--heartbeat", "200ms")
    first = subscribe(clients, server)
    pid, files = server.process.pid, resource.RLIMIT_NOFILE
    _, most = resource.prlimit(pid, files)
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    resource.prlimit(pid, files, (max(taken) + 1, most))
    for _ in range(max(taken) + 1 - len(taken) + 1):
        clients(server.get(PATH))
    server.wait_for_line("no descriptor for another connection", "the warning")
    # It tries again at least as often as that.
    first.stream.blocks.clear()
    for _ in range(4):
        assert first.next_block().is_comment
    resource.prlimit(pid, files, (most, most))
    assert status(server) == 200
    assert server.log_text().count("no descriptor for another connection") == 1


def test_more_connections_than_descriptors_are_warned_of(limited, tmp_path):
    launcher = ("bash", "-c", 'ulimit -n 1024; exec "$@"', "bash")
    line = "warning there are fewer descriptors than --max-connections needs"
    assert line not in limited("--max-connections", "960", launcher=launcher).log_text()
    assert line not in limited(launcher=launcher).log_text()
    (tmp_path / "millstream.toml").write_text("max-connections = 961")
    server = limited("--config", str(tmp_path / "millstream.toml"), launcher=launcher)
    said = fields_of(server.wait_for_line(line, "the warning"))
    assert said["max_connections"] == "961" and said["possible"] == "960" and said["descriptors"] == "1024"
    (tmp_path / "millstream.toml").write_text("max-connections = 962")
    server.send_signal(signal.SIGHUP)
    server.wait_for_line(f"{line} .*max_connections=962", "the warning of the reload")


def test_lanes_count_for_their_streams(limited, clients, native_database):
    server = limited("--max-per-stream", "1", "--max-per-address", "3")
    first = subscribe(clients, server, native_path("a"))
    many = clients(ManyStreams(server, "a", "b"))
    assert many.streams == [{"status": 503}, {"name": "b"}]
    assert status(server, native_path("b")) == 503
    assert status(server, path_of("a", "b")) == 503, "nothing is left of it"
    with Publisher(native_database, "b") as publisher:
        publisher.send("hello")
        assert many.event().data == "hello"
        # One that follows a pattern gets all that fits, and counts.
        pattern = clients(ManyStreams(server, Pattern("b*")))
        assert pattern.streams == [{"pattern": "b*"}]
        assert status(server, native_path("c")) == 429, "it is the third of its address"
        many.client.close()
        first.close()
        wait_for_place(server, native_path("a"))
        assert status(server, native_path("b")) == 503
        pattern.client.close()
        wait_for_place(server, native_path("b"))


def test_rate(limited, clients):
    server = limited("--accept-rate", "3", "--loops", "2")
    assert [status(server, "/nothing") for _ in range(5)] == [404] * 5
    answers = [status(server) for _ in range(30)]
    assert answers[:3] == [200] * 3
    assert 503 in answers
    wait_for_place(server)


def test_limits_are_those_of_all_loops(limited, clients):
    server = limited("--loops", "4", "--max-per-address", "3", "--max-per-stream", "5")
    # The kernel shares connections out among the loops by their ports.
    taken = [subscribe(clients, server) for _ in range(3)]
    assert {status(server) for _ in range(20)} == {429}
    taken += [subscribe(clients, server, source="127.0.0.2") for _ in range(2)]
    assert {status(server, source="127.0.0.3") for _ in range(20)} == {503}
    for client in taken:
        client.close()
    for _ in range(3):
        wait_until(lambda: status(server) == 200, "all places are free")


def test_those_who_come_and_go_at_all_loops_at_once_are_counted(limited, clients):
    """Four threads want the same lock; no place is lost by that, and none is given twice."""
    server = limited("--loops", "4", "--max-per-address", "100")

    def come_and_go():
        for _ in range(40):
            with contextlib.ExitStack() as stack:
                some = [stack.enter_context(server.get(PATH)) for _ in range(16)]
                assert {each.head.status for each in some} <= {200, 429}

    with ThreadPoolExecutor(max_workers=8) as pool:
        for done in [pool.submit(come_and_go) for _ in range(8)]:
            done.result()
    taken = []

    def are_taken():
        client = clients(server.get(PATH))
        taken.extend([client] if client.head.status == 200 else [])
        return len(taken) == 100

    wait_until(are_taken, "all places are free", pause=0)
    assert {status(server) for _ in range(20)} == {429}


# Behind proxies


def through(nginx, *fields, path=PATH, **options):
    client = Client(nginx.address, **options)
    client.send(request(path, *fields))
    return client


def test_behind_nginx_clients_are_told_apart(limited, clients):
    with Application() as application:
        server = limited(
            "--max-per-address", "1", "--trusted-proxy", "127.0.0.1",
            "--authorize-url", application.url,
        )  # fmt: skip
        nginx = clients(PlainNginx(server.address))
        with through(nginx, source="127.0.0.2") as first:
            first.connection_id()
            with through(nginx, "X-Forwarded-For: 192.0.2.9", source="127.0.0.2") as spoofer:
                assert spoofer.head.status == 429
            # nginx says its own, which the client does not.
            told = application.requests[0][1]
            assert told["x-forwarded-for"] == "127.0.0.2"
            assert re.fullmatch("[0-9a-f]{32}", told["x-request-id"])
            assert first.head["x-request-id"] == told["x-request-id"]
            with through(nginx, source="127.0.0.3") as other:
                other.connection_id()
        line = server.wait_for_line("connection ended .*address=127.0.0.2 ", "the end")
        assert fields_of(line)["request"] == told["x-request-id"]
        line = server.wait_for_line("request refused .*address=127.0.0.2 ", "the refusal")
        assert fields_of(line)["reason"] == "address" and fields_of(line)["status"] == "429"
        wait_until(lambda: len(application.requests) == 2, "only those were asked about")


def test_behind_nginx_on_a_unix_socket(limited, clients, tmp_path):
    server = limited(
        "--max-per-address", "1", "--trusted-proxy", "unix", listen=f"unix:{tmp_path}/socket"
    )
    nginx = clients(PlainNginx(server.address))
    clients(through(nginx, source="127.0.0.2")).connection_id()
    with through(nginx, source="127.0.0.2") as second:
        assert second.head.status == 429
    clients(through(nginx, source="127.0.0.3")).connection_id()
    server.stop()
    server.wait_for_line("connection ended .*address=127.0.0.3 ", "the end")


def test_a_soft_refusal_goes_through_nginx(serve, native_database, clients):
    server = serve(native_database, "--max-per-stream", "1")
    nginx = clients(PlainNginx(server.address))
    subscribe(clients, server)
    with through(nginx) as client:
        assert client.head.status == 200
        # nginx would keep the connection: the length says that it is over.
        assert client.next_block().raw.startswith(b"retry: ") and client.next_block().is_comment
        assert int(client.head["content-length"]) > 0


def test_a_list_of_proxies_is_followed(limited, clients):
    server = limited(
        "--max-per-address", "1", "--trusted-proxy", "127.0.0.0/8", "--trusted-proxy", "fd00::/8"
    )

    def forwarded(text):
        return f"X-Forwarded-For: {text}"

    subscribe(clients, server, PATH, forwarded("2001:db8:0:1::7, fd00::1"))
    for same in [
        "2001:db8:0:1:ffff::9", "192.0.2.1, 2001:db8:0:1::8, 127.0.0.9", "[2001:db8:0:1::1]:80",
    ]:  # fmt: skip
        assert status(server, PATH, forwarded(same)) == 429
    assert status(server, PATH, forwarded("192.0.2.1, 2001:db8:0:1::8"), forwarded("fd00::2")) == 429
    for another in ["2001:db8:0:2::7", "2001:db8:0:1::7, 192.0.2.1", "unknown", ""]:
        wait_for_place(server, PATH, forwarded(another))


def test_without_an_address_there_is_no_limit_of_it(limited, clients, tmp_path):
    server = limited("--max-per-address", "1", listen=f"unix:{tmp_path}/socket")
    for _ in range(3):
        subscribe(clients, server, PATH, "X-Forwarded-For: 192.0.2.1")


# Soft and hard


@pytest.mark.parametrize(
    "flag, soft_native, soft_pgmq",
    [(None, True, False), ("always", True, True), ("native", True, False), ("never", False, False)],
)
def test_where_refusals_are_soft(serve, full_database, clients, flag, soft_native, soft_pgmq):
    flags = ["--refuse-softly", flag] if flag else []
    server = serve(full_database, "--max-connections", "1", "--allow-origin", "*", *flags)
    subscribe(clients, server)
    for path, is_soft in [(PATH, soft_native), (stream_path("chat"), soft_pgmq)]:
        with server.get(path, "Origin: http://example.com") as client:
            assert client.head["access-control-allow-origin"] == "*"
            if is_soft:
                assert_soft(client, 2000)
            else:
                assert client.head.status == 503 and client.head["retry-after"] == "2"


def assert_soft(client, retry_ms):
    assert client.head.status == 200
    assert client.head["content-type"] == "text/event-stream"
    assert 1 <= int(client.head["retry-after"]) <= retry_ms * 1.5 / 1000
    retry, why = client.read_to_end()
    milliseconds = int(re.fullmatch(rb"retry: (\d+)\n\n", retry.raw)[1])
    assert retry_ms / 2 <= milliseconds <= retry_ms * 1.5
    assert why.is_comment


def test_what_is_for_good_is_not_soft(serve, native_database, clients):
    server = serve(native_database, "--max-per-stream", "1", "--refuse-softly", "always")
    subscribe(clients, server)
    assert status(server, "/streams/unsigned") == 404
    assert status(server, PATH + "?since=x") == 400


def test_head_takes_no_place_and_hears_that_there_is_none(serve, native_database, clients):
    server = serve(native_database, "--max-per-stream", "1", "--refuse-softly", "always")

    def retry_after():
        with server.ask(request(PATH, method="HEAD")) as client:
            assert client.head.status == 200 and client.read_to_end() == []
            return client.head["retry-after"]

    assert [retry_after() for _ in range(3)] == [None] * 3
    subscribe(clients, server)
    assert int(retry_after()) > 0


def test_a_server_that_drains_refuses_softly(serve, native_database, clients):
    server = serve(native_database, "--drain", "10m", "--retry", "4s")
    for _ in range(3):
        subscribe(clients, server)
    server.send_signal(signal.SIGTERM)
    server.wait_for_line(" draining ", "the begin of the drain")

    def refusal():
        with server.get(PATH) as late:
            return late.head["connection"] == "close" and late.read_to_end()

    wait_until(lambda: refusal(), "the first refusal")
    with server.get(PATH) as late:
        assert_soft(late, 4000)
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0


SOURCE = """
    window.connected = 0; window.messages = [];
    window.source = new EventSource(URL);
    source.addEventListener('pgbus:connected', () => connected += 1);
    source.addEventListener('turbo-stream', (event) => messages.push(event.data));
"""


@pytest.fixture
def page(browser):
    """A page of another origin than the server's."""
    with Application(lambda path, headers: (200, b"<title>x</title>", "text/html")) as site:
        page = browser.open(site.url)
        yield page
        page.command("Page.close")
        page.close()


def listen(page, server, path):
    page.evaluate(SOURCE.replace("URL", json.dumps("http://{}:{}".format(*server.address) + path)))


def test_a_browser_comes_back_by_itself(serve, native_database, clients, page, publisher):
    flags = ["--max-per-stream", "1", "--allow-origin", "*", "--retry", "100ms"]
    server = serve(native_database, *flags, admin="127.0.0.1:0")
    admin = Admin(server)
    first = subscribe(clients, server)
    listen(page, server, PATH)
    wait_until(
        lambda: admin.sum("millstream_refusals_total") >= 2, "the browser came, and came back"
    )
    assert page.evaluate("connected") == 0
    first.close()
    page.wait_for("connected === 1", "the browser is let in")
    publisher.send("at last")
    page.wait_for("messages.length === 1 && messages[0] === 'at last'")


def test_a_browser_takes_a_hard_one_for_final(limited, clients, page):
    server = limited("--max-per-stream", "1", "--allow-origin", "*")
    subscribe(clients, server)
    listen(page, server, PATH)
    page.wait_for("source.readyState === 2", "the browser gives up")


@pytest.mark.parametrize("flags, said", [([], "has no room for now"), (HARD, "says 429")])
def test_tail_comes_back_too(serve, native_database, clients, publisher, flags, said):
    server = serve(native_database, "--max-per-address", "1", "--public", "*", *flags)
    first = subscribe(clients, server)
    url = "http://{}:{}/streams/chat".format(*server.address)
    tail = subprocess.Popen(
        [binary(), "tail", "--since", "0", "--count", "1", url], text=True, env=environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert said in tail.stderr.readline()
        first.close()
        publisher.send("at last")
        assert "at last" in tail.communicate(timeout=30)[0]
    finally:
        tail.kill()
        tail.wait()


# Accounts


def test_refusals_are_counted_by_reason(serve, native_database, clients):
    server = serve(
        native_database, "--max-connections", "3", "--max-per-address", "1",
        "--max-per-stream", "2", admin="127.0.0.1:0",
    )  # fmt: skip
    admin = Admin(server)

    def refusals():
        reasons = ["full", "draining", "address", "member", "stream", "rate"]
        counted = {r: admin.sum("millstream_refusals_total", reason=r) for r in reasons}
        return {reason: count for reason, count in counted.items() if count}

    assert refusals() == {}
    subscribe(clients, server)
    status(server)
    subscribe(clients, server, source="127.0.0.2")
    status(server, source="127.0.0.3")
    clients(ManyStreams(server, "chat", "other", options={"source": "127.0.0.4"}))
    status(server, source="127.0.0.5")
    assert refusals() == {"address": 1, "stream": 2, "full": 1}


def test_what_is_refused_for_good_is_counted_by_status(serve, native_database, clients):
    server = serve(native_database, admin="127.0.0.1:0")
    admin = Admin(server)

    def rejections():
        samples = {s: v for s, v in admin.metrics().items() if s.startswith("millstream_rejections_total")}
        return {re.search('status="(.*?)"', sample)[1]: value for sample, value in samples.items() if value}

    assert rejections() == {}
    foreign = f"/streams/{sign('chat', 'another secret')}"
    assert status(server, foreign) == 404
    assert status(server, PATH + "?since=soon") == 400
    assert status(server, path_of("chat") + f"&s={sign('chat', 'another secret')}") == 200
    assert rejections() == {"404": 2, "400": 1}
    assert admin.sum("millstream_refusals_total") == 0


def test_whoever_cannot_be_asked_about_is_counted_and_said(serve, native_database, clients):
    with Application(lambda path, headers: (500, b"")) as site:
        server = serve(native_database, "--authorize-url", site.url, admin="127.0.0.1:0")
        assert_soft(clients(server.get(PATH)), 2000)
        line = server.wait_for_line("request refused", "the refusal")
        assert 'detail="it cannot be said now who may listen" reason=unavailable' in line
        assert " stream=chat" in line
        admin = Admin(server)
        assert admin.sum("millstream_refusals_total", reason="unavailable") == 1
        assert admin.sum("millstream_refusals_total") == 1
        site.answer = lambda path, headers: ({"chat": 200, "no": 403}.get(headers["x-millstream-stream"], 500), b"")
        with ManyStreams(server, "chat", "no", "odd"):
            assert admin.sum("millstream_refusals_total", reason="unavailable") == 2
            assert admin.sum("millstream_rejections_total", status="403") == 1
        line = server.wait_for_line("streams of a request refused .*status=503", "the refusal")
        assert "reason=unavailable" in line and "stream=odd" in line


def test_a_reload_keeps_the_counts(limited, clients):
    server = limited("--max-per-stream", "1", "--loops", "2")
    first = subscribe(clients, server)
    server.send_signal(signal.SIGHUP)
    server.wait_for_line(" info reloaded", "the reload")
    assert status(server) == 503
    first.close()
    wait_for_place(server)


@pytest.mark.parametrize(
    "flags, complaint",
    [
        (["--max-per-address=-1"], "--max-per-address is from 0"),
        (["--accept-rate=-5"], "--accept-rate is from 0"),
        (["--trusted-proxy", "10.0.0.0/33"], "--trusted-proxy: '10.0.0.0/33'"),
        (["--trusted-proxy", "localhost"], "--trusted-proxy: 'localhost'"),
        (["--refuse-softly", "sometimes"], "--refuse-softly"),
    ],
)
def test_what_cannot_be_is_said(flags, complaint):
    done = run("serve", *flags)
    assert done.returncode == 64 and complaint in done.stderr.decode()


# Request ids


def test_a_request_has_an_id_everywhere(limited, clients):
    with Application() as application:
        server = limited("--authorize-url", application.url, "--authorize-cache", "1m")
        for given, expected in [
            ("req-4711/a:b", "req-4711/a:b"),
            (None, "[0-9a-f]{10}"),
            ("two words", "[0-9a-f]{10}"),
            ("x" * 65, "[0-9a-f]{10}"),
        ]:
            fields = ["Cookie: a=b"] + ([f"X-Request-Id: {given}"] if given else [])
            application.requests.clear()
            # The address of a new one is cached for what was asked, not for the id.
            with server.get(native_path("chat"), *fields) as client:
                name = client.connection_id()
                said = client.head["x-request-id"]
            assert re.fullmatch(expected, said)
            assert all(headers["x-request-id"] == said for _, headers in application.requests)
            line = server.wait_for_line(f"connection ended .*connection={name} ", "the end")
            assert fields_of(line)["request"] == said
            if said != given:
                assert name.startswith(said)
        application.requests.clear()
        application.answer = lambda path, headers: (403, b"")
        assert status(server, native_path("other"), "X-Request-Id: mine") == 403
        assert [headers["x-request-id"] for _, headers in application.requests] == ["mine"]
        line = server.wait_for_line("request refused", "the refusal")
        assert fields_of(line) | {"request": "mine", "status": "403"} == fields_of(line)


def refusal_of(server, path, *fields, line="request refused"):
    """What the log says of it: values with blanks are in quotes."""
    server.log[:] = [said for said in server.log if " refused " not in said]
    with server.get(path, *fields) as client:
        assert client.head.status
        found = server.wait_for_line(f" {line} ", "the refusal")
    return {name: value.strip('"') for name, value in re.findall(r'(\w+)=("[^"]*"|\S+)', found)}


def test_a_refusal_says_why_and_which_stream(limited, clients, tmp_path):
    (tmp_path / "jwt").write_text(SECRET + "\n")
    server = limited("--max-per-stream", "1", "--jwt-secret-file", str(tmp_path / "jwt"), "--jwt-audience", "app")
    subscribe(clients, server)
    full = {"reason": "stream", "detail": "too many connections to this stream", "stream": "chat"}
    assert refusal_of(server, PATH).items() >= full.items()
    assert refusal_of(server, path_of("chat")).items() >= full.items()
    for claims, detail in (
        ({"aud": "other"}, "the token is for another audience"),
        ({"aud": "app", "exp": 1}, "the token has expired"),
    ):
        said = refusal_of(server, "/streams/room", bearer({"streams": ["*"]} | claims))
        assert said["detail"] == detail and said["reason"] == "Unauthorized" and "stream" not in said
    said = refusal_of(server, native_path("other") + "?since=soon")
    assert said["detail"] == "the cursor is not a whole number"
    soft = limited("--refuse-softly", "always", "--max-per-address", "1")
    subscribe(clients, soft)
    assert refusal_of(soft, native_path("other"))["detail"] == "too many connections of this address"


def test_streams_that_are_refused_among_several_are_said(limited, clients):
    def answer(path, headers):
        return (403 if headers["x-millstream-stream"].startswith("secret") else 204, b"")

    with Application(answer) as application:
        server = limited("--max-per-stream", "1", "--authorize-url", application.url)
        subscribe(clients, server)
        path = path_of("chat", "other", "secret:1", *(f"secret:{number}" for number in range(2, 20)))
        path += f"&s={sign('others', 'another secret')}"
        said = refusal_of(server, path, "X-Request-Id: mine", line="streams of a request refused")
        lines = wait_until(
            lambda: len(found := [line for line in server.log if "streams of a request" in line]) == 3 and found,
            "a line for each status",
        )
    assert said["request"] == "mine" and said["address"] == "127.0.0.1"
    (full,) = [line for line in lines if "status=503" in line]
    assert "count=1 " in full and "reason=stream" in full and "stream=chat" in full
    (forbidden,) = [line for line in lines if "status=403" in line]
    assert "count=19 " in forbidden and '"secret:1, secret:2, ' in forbidden and '…"' in forbidden
    (unknown,) = [line for line in lines if "status=404" in line]
    assert "count=1 " in unknown and "stream=" not in unknown and "--" not in unknown


def test_a_refusal_names_no_stream(limited):
    server = limited()
    assert status(server, native_path("chat") + "x", "X-Request-Id: q") == 404
    with server.ask(b"nonsense\r\n\r\n") as client:
        assert client.head.status == 400 and re.fullmatch("[0-9a-f]{10}", client.head["x-request-id"])
    line = server.wait_for_line("request refused .*status=400", "the refusal")
    assert "chat" not in server.log_text() and "--" not in line
    line = server.wait_for_line("request refused .*status=404", "the refusal")
    assert fields_of(line)["request"] == "q" and fields_of(line)["address"] == "127.0.0.1"


# Those who ask for nothing


def test_clients_that_say_nothing_keep_nobody_out(limited, clients):
    """More than may be on their way in: a second is as long as they are waited for then, and not `--head-timeout`."""
    server = limited("--head-timeout", "5m")
    # The harness's `select` ends at descriptor 1,024: these are given back to a client that comes last.
    kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(8)]
    for _ in range(4_200):
        clients(contextlib.closing(server.connect()))
    for descriptor in kept:
        os.close(descriptor)
    with server.get(PATH) as client:
        assert client.head.status == 200
