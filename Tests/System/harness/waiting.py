"""Waiting for a condition, never for a time: the limit only matters on failure."""

import time

# Far above what anything here takes, so that a slow machine fails no test.
LIMIT_SECONDS = 30.0


def wait_until(condition, what, limit=LIMIT_SECONDS, pause=0.02):
    """Returns the first true value of `condition`, or fails saying `what` did not come."""
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit:g} s: {what}")
        time.sleep(pause)
