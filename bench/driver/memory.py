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
        return _result("memory, idle", points_of(bench, server))


def points_of(bench, server, url=None, share=1):
    """What a server holds with each of the sizes' connections, or a share of them; to a URL of its own."""
    if server.publisher:
        server.publisher.prepare(STREAM)
    points, loads = [], []
    try:
        for size in bench.sizes:
            count = size // share
            added = count - sum(load.connections for load in loads)
            loads.append(_hold(bench, server, added, url).connected())
            points.append((count, _measure(server)))
            bench.say(f"memory: {count} connections, RSS {points[-1][1]['rss'] / 1e6:.2f} MB")
    finally:
        for load in loads:
            load.process.stop()
    return points


def after_messages(bench):
    """A fresh server for each size, so that each point has the same history: the log of what was
    published is then the same at every size and not in the slope."""
    before, points = [], []
    for size in bench.sizes:
        with bench.server() as server:
            server.publisher.prepare(STREAM)
            with _hold(bench, server, size).connected() as load:
                before.append((size, _measure(server)))
                _publish(bench, server, load)
                points.append((size, _measure(server)))
        rss = points[-1][1]["rss"] / 1e6
        bench.say(f"memory: {size} after {bench.after_messages} messages, RSS {rss:.2f} MB")
    result = _result(f"memory, idle after {bench.after_messages} messages", points)
    return _compared(result, before, points)


def _compared(result, before, after):
    """With the same servers' connections before anything was published."""
    slopes = [slope([(size, each["rss"]) for size, each in points])[0] for points in (before, after)]
    row = (f"{result['scenario']}: RSS, against the same servers' before", f"{slopes[1] / slopes[0]:.3f}")
    series = [
        {"name": "before", "points": in_megabytes(before)},
        {"name": result["scenario"].removeprefix("memory, "), "points": in_megabytes(after)},
    ]
    return result | {
        "before": before, "rows": [*result["rows"], row],
        "charts": [chart("memory-after", "Memory of fresh servers, before and after messages", series)],
    }


def in_megabytes(points):
    """RSS, for a chart."""
    return [[size, measured["rss"] / 1e6] for size, measured in points]


def chart(file, title, series):
    """Memory against connections."""
    axes = {"x": {"label": "idle connections"}, "y": {"label": "RSS of the server [MB]"}}
    return {"file": file, "title": title, **axes, "series": series}


def _hold(bench, server, count, url=None):
    ready = getattr(server, "ready", bench.ready)
    return bench.load(url or server.url(STREAM), count, "--hold", ready=ready)


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
    line = {"name": "Millstream, one loop", "points": in_megabytes(points)}
    return {
        "scenario": name, "slopes": slopes, "points": points, "rows": _rows(name, slopes),
        "charts": [chart("memory", "Memory of idle connections", [line])],
    }


def _rows(name, slopes):
    rows = []
    for figure, label in LABELS.items():
        if figure in slopes:
            text = slope_text(slopes[figure]["bytes"], slopes[figure]["error"])
            rows.append((f"{name}: {label}", text))
    return rows


def slope_text(value, error):
    """With two sizes there is no error to tell (nan, or None)."""
    known = error is not None and not math.isnan(error)
    return f"{value:,.0f}" + (f" ± {error:,.0f}" if known else "") + " bytes/connection"


LABELS = {
    "rss": "RSS",
    "pss": "PSS",
    "private": "private",
    "anon": "anonymous",
    "socket_slabs": "kernel's socket caches, both ends and both epolls",
    "socket_buffers": "kernel's socket buffers, both ends",
}
