"""What one client sees of its stream, over all the connections that it makes."""

import array
import re

from ledger import now_us, payload

# The marks in `Life.events`, which are pairs of integers. A message has its id, which is above 0,
# and its number; one without id: LATE and its number. All others have a time, in microseconds.
LATE, EPHEMERAL, REQUEST, CONNECTED, RESET, GAP, ENDED, CORRUPT, CLOCK = range(0, -9, -1)
CLOCK_US = 100_000

_FRAME = re.compile(
    rb"(?:id: ((\d+)(?:-[0-9a-f]+)?)\n)?event: turbo-stream\ndata: ([me])(\d+)(.*)\Z", re.DOTALL
)


class Life:
    """From a first connection on, as long as its cursor is carried from one to the next."""

    def __init__(self, stream, starts_at_zero):
        self.stream = stream
        self.starts_at_zero = starts_at_zero
        self.started_us = now_us()
        # As a browser keeps it: the text behind the last `id:`.
        self.cursor = None
        # The number of the last message with an id; 0: none.
        self.last = 0
        self.events = array.array("q")
        self.connections = 0
        # It was given up for a new one: nobody has looked for what came after.
        self.is_abandoned = False
        self._clock_us = 0

    def note(self, mark, value=None):
        """Something happened."""
        self.events.extend((mark, now_us() if value is None else value))

    def take(self, raw):
        """A block of the stream, without its blank line."""
        at_us = now_us()
        if at_us - self._clock_us > CLOCK_US:
            self._clock_us = at_us
            self.note(CLOCK, at_us)
        frame = _FRAME.match(raw)
        if frame:
            self._take_message(frame)
        elif b"event: pgbus:connected\n" in raw:
            self.note(CONNECTED)
        elif b"event: pgbus:gap-detected\n" in raw:
            self.note(RESET if b'"reason":"reset"' in raw else GAP)
        elif not raw.startswith((b":", b"retry: ", b"event: pgbus:shutdown\n")):
            self.note(CORRUPT)
            print(f"corrupt: {raw[:300]!r}", flush=True)

    def _take_message(self, frame):
        cursor, id, kind, number, rest = frame.groups()
        number = int(number)
        if kind == b"e":
            return self.note(EPHEMERAL, number)
        if rest.replace(b"\ndata: ", b"\n") != payload(number)[1 + len(str(number)) :].encode():
            self.note(CORRUPT)
            print(f"corrupt: m{number} {rest[:300]!r}", flush=True)
        if cursor is None:
            return self.note(LATE, number)
        self.cursor = cursor.decode()
        self.last = number
        self.note(int(id), number)
