"""Members on streams: tables as pgbus makes them, and clients that name who they are."""

import json
import time

from .client import Client, request
from .manystreams import Event
from .postgres import execute
from .tokens import bearer
from .waiting import LIMIT_SECONDS

# As pgbus's migrations make them; Rails keeps times without a zone.
PGBUS_TABLE = """
CREATE TABLE pgbus_presence_members (
  id bigserial PRIMARY KEY, stream_name varchar NOT NULL, member_id varchar NOT NULL,
  metadata jsonb NOT NULL DEFAULT '{}', joined_at timestamp(6) NOT NULL,
  last_seen_at timestamp(6) NOT NULL, UNIQUE (stream_name, member_id))
"""
TABLES = {"pgmq": "pgbus_presence_members", "native": "millstream.presence_members"}
PREFIXES = {"pgmq": "/pgbus/streams", "native": "/streams"}


def claims(member, metadata=None, streams=("*",)):
    """What a member's token says."""
    said = {"streams": list(streams)}
    if member is not None:
        said["sub"] = member
    if metadata is not None:
        said["metadata"] = metadata
    return said


class Visitor:
    """A connection of a member to one stream, that has been opened."""

    def __init__(self, server, member, stream="room:1", store="native", metadata=None):
        self.client = Client(server.address)
        path = f"{PREFIXES[store]}/{stream}"
        self.client.send(request(path, bearer(claims(member, metadata))))
        assert self.client.head.status == 200, self.client.head.raw
        self.id = self.client.connection_id()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.client.close()

    def event(self, limit=LIMIT_SECONDS):
        """What it is told next about members."""
        block = self.client.expect(lambda block: block.event == "presence", "presence", limit)
        assert block.id is None
        return json.loads(block.data)

    def expect(self, type, member=None, limit=LIMIT_SECONDS):
        """The next event of this type, about this member."""
        while True:
            event = self.event(limit)
            if event["type"] == type and member in (None, event.get("member")):
                return event

    def arrived(self):
        """Reads until it knows of itself, and returns the list."""
        members = self.expect("list")
        return members

    def knows(self, *members):
        """Reads until, by all that it was told, these are there, and nobody else."""
        known = set()
        while known != set(members):
            event = self.event()
            if event["type"] == "list":
                known = set(names(event))
            elif event["type"] == "join":
                known.add(event["member"])
            else:
                known.discard(event["member"])
        return True

    def is_told_nothing(self, limit=0.5):
        """Whether no event about members comes for so long."""
        deadline = time.monotonic() + limit
        while (left := deadline - time.monotonic()) > 0:
            if self.client.has_block(left) and self.client.next_block().event == "presence":
                return False
        return True


def names(members):
    """The members of a list."""
    return [entry["member"] for entry in members["members"]]


def rows(database, store, stream="room:1"):
    """The members in the table."""
    found = execute(
        database,
        f"SELECT member_id FROM {TABLES[store]} WHERE stream_name = %s ORDER BY 1", stream)
    return [member for (member,) in found]


def next_of(many, **wanted):
    """What a connection to many streams is told next that holds this: the stream, and what."""

    def fits(block):
        return block.event == "presence" and wanted.items() <= json.loads(block.data).items()

    event = Event(many.client.expect(fits, "presence"))
    assert event.id is None
    return event.stream, json.loads(event.data)
