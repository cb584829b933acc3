"""Scenario `memory`: what an idle connection costs, as the slope over several numbers of them."""

import math
import time

from .line_fit import slope
from .memory_use import kernel_memory, process_memory

STREAM = "bench:0"
SETTLE_SECONDS = 2
BURST = 100
MESSAGE_SECONDS = 120


def idle(bench):
    """Connections are added step by step to one server; nothing is ever published."""
    with bench.server() as server:
        if server.publisher:
            server.publisher.prepare(STREAM)
        points, loads = [], []
        try:
            for size in bench.sizes:
                added = size - sum(load.connections for load in loads)
                loads.append(_hold(bench, server, added).connected())
                points.append((size, _measure(server)))
                bench.say(f"memory: {size} connections, RSS {points[-1][1]['rss'] / 1e6:.2f} MB")
        finally:
            for load in loads:
                load.process.stop()
    return _result("memory, idle", points)


def after_messages(bench):
    """A fresh server for each size, so that each point has the same history: the log of what was
    published is then the same at every size and not in the slope."""
    points = []
    for size in bench.sizes:
        with bench.server() as server:
            server.publisher.prepare(STREAM)
            with _hold(bench, server, size).connected() as load:
                _publish(bench, server, load)
                points.append((size, _measure(server)))
        rss = points[-1][1]["rss"] / 1e6
        bench.say(f"memory: {size} after {bench.after_messages} messages, RSS {rss:.2f} MB")
    return _result(f"memory, idle after {bench.after_messages} messages", points)


def _hold(bench, server, count):
    return bench.load(server.url(STREAM), count, "--hold", ready=bench.ready)


def _publish(bench, server, load):
    sent = 0
    while sent < bench.after_messages:
        count = min(BURST, bench.after_messages - sent)
        server.publisher.publish(STREAM, count, bench.payload)
        sent += count
        load.wait_for_round(sent, MESSAGE_SECONDS)


def _measure(server):
    time.sleep(SETTLE_SECONDS)
    return process_memory(server.pid) | kernel_memory()


def _result(name, points):
    slopes = {}
    for figure in points[0][1]:
        value, error = slope([(size, measured[figure]) for size, measured in points])
        slopes[figure] = {"bytes": value, "error": None if math.isnan(error) else error}
    return {"scenario": name, "slopes": slopes, "points": points, "rows": _rows(name, slopes)}


def _rows(name, slopes):
    rows = []
    for figure, label in LABELS.items():
        if figure in slopes:
            error = slopes[figure]["error"]
            text = f"{slopes[figure]['bytes']:.0f}" + (f" ± {error:.0f}" if error else "")
            rows.append((f"{name}: {label}", f"{text} bytes/connection"))
    return rows


LABELS = {
    "rss": "RSS",
    "pss": "PSS",
    "private": "private",
    "anon": "anonymous",
    "socket_slabs": "kernel's socket caches, both ends and both epolls",
    "socket_buffers": "kernel's socket buffers, both ends",
}
