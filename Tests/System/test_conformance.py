"""Proves that clients that others have written get everything once, in order, and as it was
published: two SSE libraries, and a browser's own EventSource, over connections that are cut in the
middle of a frame and a server that goes and comes back."""

import contextlib
import json
import re
import threading

import httpx
import httpx_sse
import pytest
import sseclient

from harness.cutter import Cutter
from harness.ports import free_port
from harness.server import native_path
from harness.waiting import wait_until

ODD = [
    "plain", "", " ", "  two spaces before, two behind  ", "\ttab",
    "two\nlines", "two\r\nlines", "two\rlines", "\n", "\r", "\r\n", "\n\n\n", "\r\r\n\n",
    "ends with LF\n", "ends with CR\r", "\nbegins with LF", "a\n\nb", "a\n\r\nb",
    "id: 99", "data: x", "event: message\ndata: y\n\n", ": comment", ":", "retry: 1", "a\nid: 7\nb",
    'quotes " and \\ and \\n', "<p>html &amp; entities</p>", '{"json": [1, null, "x"]}',
    "\u00fcml\u00e4ut \u65e5\u672c\u8a9e \u05e2\u05d1\u05e8\u05d9\u05ea", "\U0001f600\U0001f469\u200d\U0001f680",
    "\ufeffa mark at its beginning", "next line \u0085 and \u2028 and \u2029",
    "control \x01\x07\x08\x0b\x0c\x1b\x1c\x1d\x1e\x1f\x7f", "\ufffd\uffff\U0010ffff",
    "x" * 100_000, "line\n" * 2_000,
]
CUTS = [400, 700, 1_500, 3_000, 60_000, 110_000]
EVENTS = ["turbo-stream", "presence", "\u00e9v\u00e9nement"]


def as_a_browser_has_it(data):
    """The standard's own loss: whichever way a line ended, it comes back ending in LF."""
    return re.sub("\r\n?", "\n", data)


class Journey:
    """Publishes everything in three parts: the second while the server is away."""

    def __init__(self, serve, database, publisher):
        self._start = lambda: serve(
            database, "--retry", "50ms", listen=f"127.0.0.1:{self._port}")
        self._port = free_port()
        self._publisher = publisher
        self.server = self._start()
        self.expected = []

    def publish(self):
        for number, data in enumerate(ODD):
            event = EVENTS[number % 3]
            self._publisher.send(data, event=event)
            self.expected.append((len(self.expected) + 1, event, as_a_browser_has_it(data)))

    def run(self, received, cutter):
        """`received` gives the numbers, events and data that the client has by now."""
        self.publish()
        self._wait_for_all(received)
        assert cutter.cuts == []
        self.server.stop()
        self.publish()
        self.server = self._start()
        self._wait_for_all(received)
        self.publish()
        self._wait_for_all(received)
        assert cutter.connection_count > len(CUTS) + 1
        assert received() == self.expected

    def _wait_for_all(self, received):
        wait_until(
            lambda: len(received()) >= len(self.expected), f"{len(self.expected)} messages", 60)
        assert received() == self.expected


@pytest.fixture
def journey(serve, native_database, publisher):
    return Journey(serve, native_database, publisher)


# Libraries: each reads one response, and says what it makes of it


def with_httpx_sse(response):
    for event in httpx_sse.EventSource(response).iter_sse():
        # It takes the blank line behind a comment for an event without a name.
        if event.event in EVENTS:
            yield event


def with_sseclient(response):
    """It takes what is left at the end for an event, even if it is half of one: so it is told of a
    cut connection by an error, as of one that was reset."""

    def chunks():
        yield from response.iter_raw()
        raise httpx.ReadError("the response has ended")

    for event in sseclient.SSEClient(chunks()).events():
        if event.event in EVENTS:
            yield event


@pytest.mark.parametrize("library", [with_httpx_sse, with_sseclient])
def test_library(journey, library):
    with Cutter(journey.server.address, CUTS) as cutter, Reader(cutter.url, library) as reader:
        journey.run(lambda: list(reader.received), cutter)


class Reader:
    """Reads the stream `chat` from its beginning, and comes back with its cursor when it is cut."""

    def __init__(self, url, library):
        self.received = []
        self._url = url + native_path("chat")
        self._library = library
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_closed.set()

    def _read(self):
        cursor = "0"
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not self._is_closed.wait(0.02):
                fields = {"Accept": "text/event-stream", "Last-Event-ID": cursor}
                with contextlib.suppress(httpx.TransportError):
                    with client.stream("GET", self._url, headers=fields) as response:
                        for event in self._library(response):
                            cursor = event.id
                            number = int(event.id.partition("-")[0])
                            self.received.append((number, event.event, event.data))


# A browser


def test_event_source_of_a_browser(journey, browser):
    with Cutter(journey.server.address, CUTS) as cutter:
        page = browser.open(cutter.url + "/")
        page.evaluate(f"""{{
            window.received = [];
            window.states = [];
            const source = new EventSource({json.dumps(native_path("chat") + "?since=0")});
            for (const name of {json.dumps(EVENTS)})
              source.addEventListener(name, (event) => received.push(
                [parseInt(event.lastEventId), event.type, event.data]));
            source.onerror = () => states.push(source.readyState);
        }}""")

        def received():
            # All of it is large: it is fetched once it is all there.
            if page.evaluate("received.length") < len(journey.expected):
                return []
            return [tuple(one) for one in page.evaluate("received")]

        journey.run(received, cutter)
        assert page.errors == []
        # 2 is closed: a browser never comes back from there.
        assert set(page.evaluate("states")) == {0}
        page.evaluate("location = 'about:blank'")
