"""The highest resident memory of a process over a time."""

import os
import threading

PAGE_BYTES = os.sysconf("SC_PAGESIZE")


def resident_bytes(pid):
    """What it has now."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * PAGE_BYTES


class Peak:
    """Looks every few milliseconds; `bytes` is the most that was seen."""

    def __init__(self, pid, pause_seconds=0.005):
        self._pid, self._pause = pid, pause_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.bytes = resident_bytes(pid)

    def _watch(self):
        while not self._over.wait(self._pause):
            self.bytes = max(self.bytes, resident_bytes(self._pid))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
