"""Holds what every client saw against what was committed."""

import collections

import life as marks
from harness.postgres import execute
from ledger import COMMITTED, ROLLED_BACK, UNKNOWN
from streams import STREAMS


NEVER = 1 << 62


class Truth:
    """What there is: for each stream its incarnations in order, each with its messages by id."""

    def __init__(self, ledger, database):
        self.ledger = ledger
        self.violations = []
        self.unknown = 0
        self._settle(_stored(database))
        self._arrange()

    def _settle(self, stored):
        """What the tables hold was committed; what they do not hold was not, or is gone."""
        for number, (stream, incarnation, id) in stored.items():
            sent = self.ledger.messages.get(number)
            if sent is None or sent.stream != stream or sent.state == ROLLED_BACK:
                self.violations.append(f"in the tables, but not sent: {number} {sent}")
                continue
            if sent.id is not None and (sent.id, sent.incarnation) != (id, incarnation):
                self.violations.append(f"another id in the tables, {id}: {sent}")
            sent.id, sent.incarnation, sent.state = id, incarnation, COMMITTED
        present = {stream: inc for stream, inc, _ in stored.values()}
        for sent in self.ledger.messages.values():
            if sent.number not in stored:
                self._settle_absent(sent, present)

    def _settle_absent(self, sent, present):
        is_present = sent.incarnation == present.get(sent.stream) or sent.stream.queue is None
        if sent.state == UNKNOWN:
            if is_present:
                sent.state = ROLLED_BACK
            else:
                self.unknown += 1
        elif sent.state == COMMITTED and is_present and sent.deleted_us is None:
            self.violations.append(f"committed, but not in the tables: {sent}")

    def _arrange(self):
        self.incarnations = {stream: {} for stream in STREAMS}
        for sent in sorted(self.ledger.messages.values(), key=lambda sent: sent.began_us):
            if sent.state in (COMMITTED, UNKNOWN) and sent.id is not None:
                self.incarnations[sent.stream].setdefault(sent.incarnation, []).append(sent)
        for incarnations in self.incarnations.values():
            for messages in incarnations.values():
                messages.sort(key=lambda sent: sent.id)

    def order(self, stream, incarnation):
        """The place of an incarnation among those of its stream."""
        return list(self.incarnations[stream]).index(incarnation)


def _stored(database):
    """number → (stream, incarnation, id) of all that the tables hold in the end."""
    stored = {}
    for stream in STREAMS:
        if stream.queue:
            rows = execute(
                database,
                "SELECT %s::regclass::oid::bigint, msg_id, message->>'html' FROM ("
                f" SELECT msg_id, message FROM {stream.table} UNION ALL"
                f" SELECT msg_id, message FROM pgmq.a_{stream.queue}) AS messages",
                stream.table,
            )
        else:
            rows = execute(
                database,
                "SELECT 0, id, data FROM millstream.messages JOIN millstream.streams"
                " USING (stream_id) WHERE name = %s",
                stream.name,
            )
        for incarnation, id, text in rows:
            stored[int(text.split()[0][1:])] = (stream, incarnation, id)
    return stored


class Range:
    """What a life has seen of one incarnation, which begins above `start` (None: not known)."""

    def __init__(self, incarnation, start, first):
        self.incarnation = incarnation
        self.start = first - 1 if start is None else start
        self.last = first


class Walk:
    """Goes through one life in the order of its events."""

    def __init__(self, life, truth, hole_wait_seconds):
        self.life = life
        self.truth = truth
        # A hole is seen some time after the id was taken, and given up at some look after the wait.
        self.late_after_seconds = 0.8 * hole_wait_seconds
        self.counts = collections.Counter()
        self.violations = []
        self._seen = set()
        self._ephemerals = set()
        self._ranges = []
        self._was_reset = False
        # No message has come on this connection yet.
        self._is_fresh = True
        # The opening of the first connection that was opened.
        self._requested_us = self._connected_us = None

    def run(self, was_calm):
        """All of it; `was_calm(since_us, until_us)`: whether a "from now on" that was asked for and
        answered then is to be relied on."""
        events = self.life.events
        for self._index in range(0, len(events), 2):
            self._take(events[self._index], events[self._index + 1])
        self._check_completeness(was_calm)

    def _take(self, mark, value):
        if mark > 0:
            self._message(mark, value)
        elif mark == marks.REQUEST:
            self._is_fresh, self._was_reset = True, False
            if not self._connected_us:
                self._requested_us = value
        elif mark == marks.CONNECTED:
            self._connected_us = self._connected_us or value
        elif mark == marks.RESET:
            self._was_reset = True
            self.counts["resets"] += 1
        elif mark == marks.GAP:
            self.counts["other gaps"] += 1
        elif mark == marks.CORRUPT:
            self._violation("corrupt", "a frame that was not sent so")
        elif mark == marks.LATE:
            self._late(value)
        elif mark == marks.EPHEMERAL:
            self.counts["ephemeral"] += 1
            if value in self._ephemerals:
                self._violation("doubled", f"e{value}")
            self._ephemerals.add(value)

    # Messages

    def _message(self, id, number):
        self.counts["delivered"] += 1
        sent = self.truth.ledger.messages.get(number)
        if not self._is_real(sent, number):
            return
        if sent.id is not None and sent.id != id:
            return self._violation("wrong", f"came with id {id}: {sent}")
        if sent.id is None:
            # Nobody knows which table it went to: it can be held against nothing.
            return self._seen.add(number)
        if number in self._seen:
            self._violation("doubled", sent)
        elif self._ranges and self._ranges[-1].incarnation == sent.incarnation:
            if id <= self._ranges[-1].last:
                self._violation("out of order", f"after id {self._ranges[-1].last}: {sent}")
            self._ranges[-1].last = max(id, self._ranges[-1].last)
        else:
            self._enter(sent)
        self._seen.add(number)
        self._is_fresh = self._was_reset = False

    def _is_real(self, sent, number):
        if sent is not None and sent.stream == self.life.stream and sent.state != ROLLED_BACK:
            return True
        self._violation("phantom", f"m{number}: {sent}")
        return False

    def _enter(self, sent):
        """The first message of another incarnation."""
        if not self._ranges:
            self._ranges.append(
                Range(sent.incarnation, 0 if self.life.starts_at_zero else None, sent.id)
            )
            return
        before = self._ranges[-1]
        order = self.truth.order
        if order(sent.stream, sent.incarnation) < order(sent.stream, before.incarnation):
            self._violation("out of order", f"of an earlier incarnation: {sent}")
        if self._was_reset:
            start = 0
        elif self._is_fresh and sent.id > before.last:
            # The ids had passed its cursor when it came back: PGMQ cannot tell, and nor can we.
            self.counts["passed cursors"] += 1
            start = before.last
        else:
            self._violation("no reset", f"before {sent}")
            start = 0
        self._ranges.append(Range(sent.incarnation, start, sent.id))

    def _late(self, number):
        self.counts["late"] += 1
        sent = self.truth.ledger.messages.get(number)
        if not self._is_real(sent, number):
            return
        if number in self._seen:
            self._violation("doubled", f"and late: {sent}")
        if sent.open_seconds < self.late_after_seconds:
            self._violation("late", f"for no reason: {sent}")
        self._seen.add(number)

    # What did not come

    def _check_completeness(self, was_calm):
        incarnations = self.truth.incarnations[self.life.stream]
        final = list(incarnations)[-1]
        if not self.life.is_abandoned and (
            not self._ranges or self._ranges[-1].incarnation != final
        ):
            self._violation("deaf", f"nothing of the last incarnation of {self.life.stream} came")
        now_us = NEVER
        opened = self._requested_us, self._connected_us
        if not self.life.starts_at_zero and self._connected_us and was_calm(*opened):
            now_us = self._connected_us
            self.counts["calm starts from now on"] += 1
        for seen in self._ranges:
            end = seen.last
            if not self.life.is_abandoned and seen.incarnation == final:
                end = NEVER
            for sent in incarnations[seen.incarnation]:
                is_due = sent.id > seen.start or sent.commit_us > now_us
                if is_due and sent.id <= end and sent.number not in self._seen:
                    self._missing(sent, seen)
            now_us = NEVER

    def _missing(self, sent, seen):
        if sent.state == UNKNOWN:
            self.counts["unknown, not seen"] += 1
        elif sent.deleted_us is not None and sent.deleted_us <= self.life.started_us:
            self.counts["deleted before"] += 1
        elif sent.open_seconds >= self.late_after_seconds:
            self.counts["late, not seen"] += 1
        else:
            self._index = self._index_above(sent, seen)
            self._violation("lost", f"{sent}, of those above {seen.start}")

    def _index_above(self, sent, seen):
        """The event after which it was missed: the first with a higher id in its incarnation."""
        events = self.life.events
        for index in range(0, len(events), 2):
            if events[index] > sent.id:
                other = self.truth.ledger.messages.get(events[index + 1])
                if other and other.incarnation == seen.incarnation:
                    return index
        return len(events)

    def _violation(self, kind, what):
        self.counts[kind] += 1
        at = self._index
        self.violations.append((kind, f"{kind}: {what}", self.life, at))


def describe(life, at, before=24, after=8):
    """The events around `at`, in words; runs of messages are one word."""
    names = {
        getattr(marks, name): name.lower()
        for name in ("REQUEST", "CONNECTED", "RESET", "GAP", "ENDED", "CORRUPT", "CLOCK")
    }
    words = []
    events = life.events
    for index in range(max(0, at - 2 * before), min(len(events), at + 2 * after), 2):
        mark, value = events[index], events[index + 1]
        if mark > 0:
            words.append(f"{mark}:m{value}")
        elif mark in names:
            words.append(f"{names[mark]}@{value / 1e6:.3f}")
        else:
            words.append(f"{'late m' if mark == marks.LATE else 'e'}{value}")
    start = "0" if life.starts_at_zero else "now"
    return f"  {life.stream} from {start}, {life.connections} connections: {' '.join(words)}"
