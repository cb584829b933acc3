"""Those who send: single messages, batches, transactions that wait, are undone, or are cut off."""

import contextlib
import json
import threading

import psycopg

from actor import Actor
from ledger import COMMITTED, ROLLED_BACK, UNKNOWN, now_us, payload
from streams import QUEUES, STREAMS

# A transaction makes no further pause once it has lasted so long.
OPEN_SECONDS = 2.0


class Writer(Actor):
    """Sends to every stream, in every way. `turns`: a lock for each queue that has to have only one
    sender at a time; none for the others."""

    application_name = "torture writer"

    def __init__(self, number, seed, conninfo, ledger, turns, pause_seconds):
        super().__init__(f"writer {number}", seed, conninfo)
        self.ledger = ledger
        self.turns = turns
        self.pause_seconds = pause_seconds

    def act(self):
        way = self.random.choices(
            (self.single, self.batch, self.transaction), weights=(60, 15, 25)
        )[0]
        way()
        self.pause(self.random.expovariate(1 / self.pause_seconds))

    # The ways to send

    def single(self):
        """One message, in a transaction of its own."""
        stream = self.random.choice(STREAMS)
        with self._turn([stream]):
            self._at_once(stream, self.ledger.draw(stream))

    def batch(self):
        """Several in one statement, which is the transaction."""
        stream = self.random.choice(STREAMS)
        count = self.random.choice((2, 5, 20, 20, 70, 600 if self.random.random() < 0.05 else 10))
        with self._turn([stream]):
            self._at_once(stream, *(self.ledger.draw(stream) for _ in range(count)))

    def transaction(self):
        """Several statements on up to three streams, with pauses, savepoints, and an end."""
        streams = self.random.sample(STREAMS, self.random.choice((1, 1, 2, 3)))
        with self._turn(streams):
            sent = []
            try:
                self.session.execute("BEGIN")
                self._fill(streams, sent)
            except psycopg.Error:
                # No COMMIT was sent: whatever broke, nothing of it is there.
                self.ledger.settle(sent, ROLLED_BACK)
                raise
            self._end(sent)

    def _fill(self, streams, sent):
        if self.random.random() < 0.3:
            when = self.random.choice(("DEFERRED", "DEFERRED", "IMMEDIATE"))
            self.session.execute(f"SET CONSTRAINTS ALL {when}")
        deadline_us = now_us() + OPEN_SECONDS * 1e6
        for _ in range(self.random.randint(1, 6)):
            if now_us() > deadline_us:
                return
            stream = self.random.choice(streams)
            if self.random.random() < 0.15:
                self._undone_part(stream, sent)
            else:
                self._send_in(sent, stream, self.random.choice((1, 1, 1, 3, 10)))
            left = (deadline_us - now_us()) / 1e6
            self.pause(max(0.0, min(left, self._pause_inside())))

    def _pause_inside(self):
        if self.random.random() < 0.05:
            return self.random.uniform(0, OPEN_SECONDS)
        return self.random.expovariate(1 / 0.03)

    def _undone_part(self, stream, sent):
        self.session.execute("SAVEPOINT part")
        sent_before = len(sent)
        self._send_in(sent, stream, self.random.choice((1, 2)))
        self.session.execute("ROLLBACK TO SAVEPOINT part")
        part = sent[sent_before:]
        del sent[sent_before:]
        self.ledger.settle(part, ROLLED_BACK)

    def _end(self, sent):
        if self.random.random() < 0.2:
            self.ledger.settle(sent, ROLLED_BACK)
            self.session.execute("ROLLBACK")
            return
        self._commit(sent, lambda: self.session.execute("COMMIT"))

    # What all of them do

    def _turn(self, streams):
        stack = contextlib.ExitStack()
        for stream in sorted(streams, key=str):
            if stream in self.turns:
                stack.enter_context(self.turns[stream])
        return stack

    def _at_once(self, stream, *sent):
        self._commit(sent, lambda: self._send(stream, sent))

    def _send_in(self, sent, stream, count):
        drawn = [self.ledger.draw(stream) for _ in range(count)]
        sent += drawn
        self._send(stream, drawn)

    def _commit(self, sent, statement):
        commit_us = now_us()
        for one in sent:
            one.commit_us = commit_us
        try:
            statement()
        except psycopg.Error as error:
            self.ledger.settle(sent, ROLLED_BACK if _is_refusal(error) else UNKNOWN)
            raise
        self.ledger.settle(sent, COMMITTED)

    def _send(self, stream, sent):
        send(self.session, stream, sent)


def send(session, stream, sent):
    """The statement that sends `sent` to `stream`; ids of a queue are told at once."""
    if stream.queue is None:
        session.execute(
            "SELECT millstream.publish(%s, data) FROM unnest(%s::text[]) AS data",
            [stream.name, [payload(one.number) for one in sent]],
        )
        return
    messages = [json.dumps({"html": payload(one.number)}) for one in sent]
    if len(sent) == 1:
        call, given = "pgmq.send(%s, %s::jsonb)", messages[0]
    else:
        call, given = "pgmq.send_batch(%s, %s::jsonb[])", messages
    rows = session.execute(
        f"SELECT id, to_regclass(%s)::oid::bigint FROM {call} AS id",
        [stream.table, stream.queue, given],
    ).fetchall()
    for one, (id, incarnation) in zip(sent, rows, strict=True):
        one.id, one.incarnation = id, incarnation


def _is_refusal(error):
    """Whether Postgres has said that it did not do it. Of a session that ended, nobody knows."""
    return bool(error.sqlstate) and error.sqlstate[:2] not in ("08", "57", "58", "XX")


class EphemeralSender(Actor):
    """Broadcasts that are not stored, beside those that are."""

    def __init__(self, seed, conninfo):
        super().__init__("ephemeral sender", seed, conninfo)
        self.count = 0

    def act(self):
        self.count += 1
        stream = self.random.choice(STREAMS)
        text = f"e{self.count}"
        if stream.queue:
            channel = f"pgmq.q_{stream.queue}.INSERT"
            self.session.execute("SELECT pg_notify(%s, %s)", [channel, json.dumps({"html": text})])
        else:
            self.session.execute(
                "SELECT millstream.publish_ephemeral(%s, %s)", [stream.name, text]
            )
        self.pause(self.random.expovariate(1 / 0.1))


def make_turns():
    """One sender at a time for each queue."""
    return {stream: threading.Lock() for stream in QUEUES}
