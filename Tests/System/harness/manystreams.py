"""A client of many streams on one connection: who each event is of, and where the client stands."""

import json
import urllib.parse

from .names import sign, sign_in_new_envelope
from .waiting import LIMIT_SECONDS


class Pattern(str):
    """A wish that is signed as a pattern."""


def path_of(*wishes, prefix="/streams", signed=True, cursor=None):
    """The request's target. A wish is a name, or a name and its `since`, or a pattern."""
    pairs = []
    for wish in wishes:
        name, since = wish if isinstance(wish, tuple) else (wish, None)
        pairs.append(("s", _signed(name) if signed else name))
        if since is not None:
            pairs.append(("since", since))
    if cursor is not None:
        pairs.append(("cursor", cursor))
    return f"{prefix}?{urllib.parse.urlencode(pairs, quote_via=urllib.parse.quote)}"


def _signed(name):
    if isinstance(name, Pattern):
        return sign_in_new_envelope(name, purpose="pattern")
    return sign(name)


class Event:
    """One event: `stream` and the stream's own `id` (None: stored nowhere), and `last_event_id` as a
    browser would send it back."""

    def __init__(self, block):
        self.block = block
        self.last_event_id = block.id
        cursor, name, *rest = block.id.split(" ")
        assert cursor and len(rest) <= 1, block.raw
        self.stream = urllib.parse.unquote(name)
        self.id = rest[0] if rest else None
        self.event, self.data = block.event, block.data

    @property
    def number(self):
        return int(self.id.partition("-")[0])


class ManyStreams:
    """A connection of `server` to many streams, whose opening has been read."""

    def __init__(self, server, *wishes, last_event_id=None, fields=(), options=None, **target):
        if last_event_id is not None:
            fields = [*fields, f"Last-Event-ID: {last_event_id}"]
        self.client = server.get(path_of(*wishes, **target), *fields, **(options or {}))
        assert self.client.head.status == 200, (self.client.head.raw, self.client.stream.rest)
        self.opening = self.client.expect(lambda block: block.event == "pgbus:connected", "opening")
        said = json.loads(self.opening.data)
        self.id = said["connectionId"]
        # Where each begins, apart: of a stream made by the test nobody knows the epoch.
        self.positions = [entry.pop("id", None) for entry in said["streams"]]
        self.streams = said["streams"]
        self.last_event_id = self.opening.id

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def event(self, limit=LIMIT_SECONDS):
        """The next event, of whatever stream."""
        block = self.client.expect(lambda block: block.id is not None, "an event", limit)
        event = Event(block)
        self.last_event_id = event.last_event_id
        return event

    def events(self, count, limit=LIMIT_SECONDS):
        return [self.event(limit) for _ in range(count)]
