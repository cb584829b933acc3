"""Publishing at a steady rate."""

import threading
import time


def publish_evenly(publishers, seconds, rate, payload):
    """`rate` messages a second to each of the `(publisher, stream)`, in turn; returns how many each."""
    count = max(1, round(seconds * rate))
    begun = time.monotonic()
    for number in range(count * len(publishers)):
        due = begun + number / rate / len(publishers)
        time.sleep(max(0.0, due - time.monotonic()))
        publisher, stream = publishers[number % len(publishers)]
        publisher.publish(stream, 1, payload)
    return count


class Background:
    """Calls `work(over)` in a thread until it returns; `over` is set at the end of the block."""

    def __init__(self, work):
        self._over = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)

    def _run(self, work):
        try:
            work(self._over)
        except Exception as failure:  # It is raised again where the block ends.
            self._failure = failure

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, *_):
        self._over.set()
        self._thread.join()
        if self._failure and kind is None:
            raise self._failure
