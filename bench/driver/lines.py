"""What a process says on stderr, line by line, for whoever waits for a certain line."""

import re
import threading
import time


class Lines:
    """Collects the lines of a pipe in the background, so that its writer never waits."""

    def __init__(self, pipe, name):
        self._pipe, self._name = pipe, name
        self._lines, self._ended = [], False
        self._changed = threading.Condition()
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self):
        for line in self._pipe:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, pattern, limit_seconds):
        """The first line, from the beginning, that matches; an error at the end or the limit."""
        deadline = time.monotonic() + limit_seconds
        looked_at = 0
        with self._changed:
            while True:
                for line in self._lines[looked_at:]:
                    if re.search(pattern, line):
                        return line
                looked_at = len(self._lines)
                rest = deadline - time.monotonic()
                if self._ended or rest <= 0:
                    raise TimeoutError(self._complaint(pattern))
                self._changed.wait(rest)

    def _complaint(self, pattern):
        why = "ended without" if self._ended else "has not said in time"
        return f"{self._name} {why} '{pattern}'; its last lines:\n" + "\n".join(self._lines[-10:])
