"""What was sent, and what became of it: the truth that deliveries are held against."""

import itertools
import time

# Outcomes. UNKNOWN: the connection broke while the commit was under way; the tables tell later, or
# nobody ever does (the queue is gone), and then the message may come or not.
OPEN, COMMITTED, ROLLED_BACK, UNKNOWN = "open", "committed", "rolled back", "unknown"


def now_us():
    """Microseconds of the monotonic clock: one for all threads."""
    return time.monotonic_ns() // 1000


def payload(number, kind="m"):
    """The text of message `number`: it tells the number, and now and then is long or has lines."""
    text = f"{kind}{number}"
    if number % 31 == 0:
        text += " " + "0123456789abcdef" * 1500
    elif number % 13 == 0:
        text += "\n\nand lines " * (number % 7)
    elif number % 17 == 0:
        text += " " + "z" * 900
    return text


class Sent:
    """One message that a writer has tried to send."""

    __slots__ = (
        "number", "stream", "incarnation", "id", "state", "began_us", "commit_us", "settled_us",
        "deleted_us",
    )  # fmt: skip

    def __init__(self, number, stream):
        self.number = number
        self.stream = stream
        # Of PGMQ: which table of the name; None as long as it is not known.
        self.incarnation = None
        self.id = None
        self.state = OPEN
        # Before its id was taken, before its commit was asked for, and when the answer was there.
        self.began_us = now_us()
        self.commit_us = self.settled_us = 0
        # Since when it may be gone because somebody has deleted it.
        self.deleted_us = None

    @property
    def open_seconds(self):
        """How long its transaction may have been open with the id taken."""
        return (self.settled_us - self.began_us) / 1e6

    def __repr__(self):
        return (
            f"m{self.number} (id {self.id} of {self.stream}/{self.incarnation}, {self.state},"
            f" began {self.began_us / 1e6:.3f}, commit {self.commit_us / 1e6:.3f}"
            f" to {self.settled_us / 1e6:.3f}, deleted {self.deleted_us})"
        )


class Ledger:
    """All messages, by number."""

    def __init__(self):
        self.messages = {}
        self._numbers = itertools.count(1)

    def draw(self, stream):
        """A new message for `stream`."""
        sent = Sent(next(self._numbers), stream)
        self.messages[sent.number] = sent
        return sent

    @staticmethod
    def settle(messages, state):
        """The transaction of `messages` is over."""
        settled_us = now_us()
        for sent in messages:
            sent.state = state
            sent.settled_us = settled_us

    def count(self, state):
        """How many ended so."""
        return sum(sent.state == state for sent in self.messages.values())
