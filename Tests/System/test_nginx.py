"""nginx in front, as packaging/nginx/millstream.conf has it: TLS and HTTP/2 for who comes."""

import contextlib
import json
import signal
import ssl

import httpx
import pytest

from harness.admin import Admin
from harness.application import Application
from harness.manystreams import path_of
from harness.native import Publisher
from harness.nginx import NAME, ShippedNginx
from harness.server import native_path
from harness.sse import Stream
from harness.waiting import LIMIT_SECONDS, wait_until

PATH = native_path("chat")

# Another address than nginx has.
CLIENT = "127.0.0.2"


class Browser:
    """Listens over HTTP/2 and believes in the certificate of one nginx alone."""

    def __init__(self, nginx):
        context = ssl.create_default_context(cafile=nginx.certificate)
        self.client = httpx.Client(
            transport=httpx.HTTPTransport(http2=True, verify=context, local_address=CLIENT),
            timeout=LIMIT_SECONDS, base_url=f"https://127.0.0.1:{nginx.address[1]}", headers={"Host": NAME},
        )

    @contextlib.contextmanager
    def listen(self, last_event_id=None, path=PATH):
        """The broadcasts of a stream, each as soon as it is here."""
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        request = self.client.stream(
            "GET", path, headers=headers, extensions={"sni_hostname": NAME}
        )
        with request as response:
            assert (response.status_code, response.http_version) == (200, "HTTP/2")
            yield Listening(response)


class Listening:
    """One open stream."""

    def __init__(self, response):
        self.response = response
        self._blocks = blocks(response.iter_raw())
        connected = next(block for block in self._blocks if block.event == "pgbus:connected")
        self.id = json.loads(connected.data)["connectionId"]
        self.connection = response.extensions["network_stream"].get_extra_info("client_addr")

    def broadcast(self):
        """The next message."""
        return next(block for block in self._blocks if block.is_broadcast)


def blocks(chunks):
    """The blocks of a body that comes in chunks; what is parsed begins with a head."""
    stream = Stream()
    stream.feed(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
    for chunk in chunks:
        stream.feed(chunk)
        while stream.blocks:
            yield stream.blocks.pop(0)


@pytest.fixture
def browser_of():
    with contextlib.ExitStack() as stack:

        def make(nginx):
            browser = Browser(nginx)
            stack.callback(browser.client.close)
            return browser

        yield make


def test_events_come_one_by_one_and_a_client_resumes(native_server, publisher, browser_of):
    with ShippedNginx(native_server) as nginx:
        browser = browser_of(nginx)
        with browser.listen() as first:
            for text in ("one", "two"):
                publisher.send(text)
                last = first.broadcast()
                assert last.data == text, "nothing is held back until there is more"
        publisher.send_many(["three", "four"])
        with browser.listen(last_event_id=last.id) as again:
            assert [again.broadcast().data for _ in range(2)] == ["three", "four"]
            publisher.send("five")
            assert again.broadcast().data == "five"


def test_streams_share_a_connection_and_their_end_is_seen(serve, native_database, publisher, browser_of):
    server = serve(native_database, admin="127.0.0.1:0")
    with ShippedNginx(server) as nginx:
        browser = browser_of(nginx)
        with browser.listen() as first, browser.listen() as second:
            assert first.id != second.id
            assert first.connection == second.connection
            assert Admin(server).sum("millstream_connections", state="live") == 2
            publisher.send("to both")
            assert first.broadcast().data == second.broadcast().data == "to both"
            browser.client.close()
            wait_until(lambda: Admin(server).sum("millstream_connections") == 0, "clients are gone")


def test_a_page_with_as_many_streams_as_there_may_be(native_server, native_database, browser_of):
    """The server takes a head of 48 KiB; nginx takes 8 by itself."""
    names = [f"{number:03}:a-stream-with-a-name-of-fifty-bytes-in-all-so-so" for number in range(256)]
    path = path_of(*((name, f"{number}-5f3a9c01") for number, name in enumerate(names)))
    assert 40_000 < len(path) < 47_000
    with ShippedNginx(native_server) as nginx, browser_of(nginx).listen(path=path) as page:
        with Publisher(native_database, names[-1]) as publisher:
            publisher.send("heard")
            assert page.broadcast().data == "heard"


def test_the_rest_is_the_application_s(native_server, browser_of):
    with ShippedNginx(native_server) as nginx:
        answer = browser_of(nginx).client.get("/elsewhere", extensions={"sni_hostname": NAME})
        assert (answer.status_code, answer.headers["server"][:5]) == (404, "nginx")


def test_one_that_drains_sends_clients_to_the_other(serve, native_database, publisher, browser_of):
    """The goodbye ends the stream; who comes back, or comes anew, is taken by the other server."""
    drains = serve(native_database, "--drain", "10m", "--refuse-softly", "never")
    with drains.subscribe("chat", path=PATH) as held, drains.subscribe("chat", path=PATH):
        with ShippedNginx(drains) as nginx, browser_of(nginx).listen() as client:
            publisher.send("before")
            last = client.broadcast()
            drains.send_signal(signal.SIGTERM)
            drains.wait_for_line("drain", "the drain")
            other = serve(native_database)
            with ShippedNginx(drains, other) as both:
                browser = browser_of(both)
                publisher.send("meanwhile")
                # As many as servers: the one that drains is asked first by one of them at least.
                for _ in range(2):
                    with browser.listen(last_event_id=last.id) as again:
                        assert again.broadcast().data == "meanwhile"
        drains.send_signal(signal.SIGTERM)
        assert held.read_to_end()[-1].is_goodbye
    assert drains.wait() == 0


def test_the_application_hears_of_the_client_address(serve, native_database, browser_of):
    with Application() as application:
        server = serve(native_database, "--authorize-url", application.url, "--trusted-proxy", "127.0.0.1")
        with ShippedNginx(server) as nginx, browser_of(nginx).listen():
            (_, headers), = application.wait_for_requests(1)
            assert headers["X-Forwarded-For"] == CLIENT
