"""The most processor time that a process took without going to sleep in between. That others had the
processor meanwhile is not in it, so it is the loop's own doing and not the machine's."""

import re
import threading


class LongestRun:
    """Looks every millisecond; `seconds` is the longest. While a thread runs, the kernel brings its time
    up to date only with its timer tick, so the figure is exact when the thread was asleep at both looks."""

    def __init__(self, pid, pause_seconds=0.001):
        self._schedule, self._status = f"/proc/{pid}/schedstat", f"/proc/{pid}/status"
        self._pause = pause_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.seconds = 0.0

    def _watch(self):
        begun, sleeps = self._look()
        while not self._over.wait(self._pause):
            ran, now_sleeps = self._look()
            self.seconds = max(self.seconds, (ran - begun) / max(1, now_sleeps - sleeps))
            if now_sleeps != sleeps:
                begun, sleeps = ran, now_sleeps

    def _look(self):
        """What it has run, and how often it went to sleep of its own accord."""
        with open(self._schedule) as file:
            ran = int(file.read().split()[0]) / 1e9
        with open(self._status) as file:
            sleeps = int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M)[1])
        return ran, sleeps

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
