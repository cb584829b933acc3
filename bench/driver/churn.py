"""Scenario `churn`: subscriptions on ever new streams, opened and closed as fast as it goes, and what
is left of them when all streams have been forgotten."""

import os
import re
import signal
import time

from .memory_use import process_memory
from .postgres import run_sql
from .process import Process, processor_seconds

# Streams are forgotten five seconds after their last subscriber; then the next tick comes.
LINGER_SECONDS = 5
SETTLE_SECONDS = LINGER_SECONDS + 2
# What allocators and tables take once, whatever comes: it is in the first reading, not in the rest.
WARM_UP = 100_000
LISTENER_SQL = "select pid from pg_stat_activity where application_name like 'millstream listen%'"


def churn(bench):
    """A warm-up, then so many streams as there are or as the time allows; memory after each part."""
    with bench.postgres() as postgres, bench.millstream(postgres) as server:
        begin = _reading(postgres, server)
        readings, opened, seconds = [], 0, 0.0
        parts = [min(WARM_UP, max(bench.churn_streams // 4, 1))]
        while sum(parts) < bench.churn_streams:
            parts.append(min(bench.churn_streams - sum(parts), max(bench.churn_streams // 4, 1)))
        before = processor_seconds(server.pid)
        for number, part in enumerate(parts):
            left = bench.churn_seconds - seconds
            if left <= 0:
                break
            done, took = _part(bench, server, number, part, left)
            opened, seconds = opened + done, seconds + took
            time.sleep(SETTLE_SECONDS)
            readings.append({"opened": opened, "seconds": took, **_reading(postgres, server)})
            bench.say(f"churn: {opened} streams, {readings[-1]}")
        used = processor_seconds(server.pid) - before
    return _result(bench, begin, readings, seconds, used)


def _part(bench, server, number, count, limit_seconds):
    path = re.sub(r"^http://[^/]+", "", server.url(f"bench:churn-{number}-%d"))
    arguments = [bench.binaries["churn"], server.port, path, str(count)]
    arguments += [str(bench.churn_clients), str(bench.churn_hold_ms)]
    with Process("churn", arguments) as churner:
        try:
            line = churner.lines.wait_for("^ended ", limit_seconds)
        except TimeoutError:
            churner.child.send_signal(signal.SIGTERM)
            line = churner.lines.wait_for("^ended ", 10)
    ended, seconds, failed = re.match(r"ended (\d+) in ([\d.]+) s, (\d+) failed", line).groups()
    if int(failed):
        raise RuntimeError(f"churn: {line}")
    return int(ended), float(seconds)


def _reading(postgres, server):
    """What there is when nobody is connected; the session that LISTENs keeps its list of channels."""
    listener = int(run_sql(postgres.conninfo, sql=LISTENER_SQL))
    return {
        "rss": process_memory(server.pid)["rss"],
        "descriptors": len(os.listdir(f"/proc/{server.pid}/fd")),
        "listener_private": process_memory(listener)["private"],
    }


def _result(bench, begin, readings, seconds, used):
    first, last = readings[0], readings[-1]
    streams = last["opened"]
    name = f"churn of {streams:,} {bench.store} streams"
    added = last["opened"] - first["opened"]
    grown = (last["rss"] - first["rss"]) / added if added else 0.0
    rows = [
        (f"{name}: streams a second", f"{streams / seconds:,.0f}"),
        (f"{name}: processor time", f"{1e6 * used / streams:.0f} µs a stream"),
        (
            f"{name}: RSS before, after the first {first['opened']:,}, after all",
            " / ".join(f"{r['rss'] / 1e6:.2f}" for r in (begin, first, last))
            + f" MB: {grown:.2f} bytes a further stream",
        ),
        (f"{name}: descriptors before and after", f"{begin['descriptors']} / {last['descriptors']}"),
        (
            f"{name}: private memory of Postgres' LISTEN session before and after",
            f"{begin['listener_private'] / 1e6:.2f} / {last['listener_private'] / 1e6:.2f} MB",
        ),
    ]
    return {
        "scenario": name, "begin": begin, "readings": readings, "seconds": seconds,
        "processor_seconds": used, "rows": rows,
    }
