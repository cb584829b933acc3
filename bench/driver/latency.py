"""Scenario `latency`: from just before the commit to the arrival, at a slow and steady rate."""

import time

from .listening import ListeningCeiling

STREAM = "bench:0"
ROUND_SECONDS = 30
# What Postgres plans and caches at the first calls is not what is measured.
WARM_UP = 3
TITLES = ("commit to arrival", "ceiling behind LISTEN, commit to arrival", "ceiling, pipe to arrival")
LINES = ("Millstream", "ceiling behind a bare LISTEN", "ceiling fed by a pipe")


def latency(bench):
    """The server; a ceiling that a bare LISTEN feeds, which is the kernel's and Postgres' share; and one
    fed from a pipe, which is the fan-out's share alone. They take turns, a third of a period apart."""
    count = max(1, round(bench.seconds * bench.rate))
    with bench.server() as server, bench.ceiling() as ceiling, _listening(bench, server) as listening:
        sides = (server, listening, ceiling)
        loads = [_connected(bench, side, count) for side in sides]
        try:
            _publish(bench, sides, count)
            for load in loads:
                load.wait_for_round(count, ROUND_SECONDS)
            reports = [load.report() for load in loads]
        finally:
            for load in loads:
                load.process.stop()
    return _result(bench, reports)


def _listening(bench, server):
    return ListeningCeiling(bench.binaries, server.conninfo)


def _connected(bench, side, count):
    side.publisher.prepare(STREAM)
    for _ in range(WARM_UP):
        side.publisher.publish(STREAM, 1, bench.payload)
    flags = ("--messages", str(count), "--expect-consecutive")
    load = bench.load(side.url(STREAM), bench.latency_connections, *flags, ready=bench.ready)
    return load.connected()


def _publish(bench, sides, count):
    begun = time.monotonic()
    for number in range(count * len(sides)):
        due = begun + number / bench.rate / len(sides)
        time.sleep(max(0.0, due - time.monotonic()))
        sides[number % len(sides)].publisher.publish(STREAM, 1, bench.payload)


def _result(bench, reports):
    for report in reports:
        del report["rounds_ns"]
    name = f"latency, {bench.latency_connections} connections"
    rows = [row for title, report in zip(TITLES, reports) for row in _rows(title, report)]
    for label in ("p50", "p99"):
        rows.append((f"{label}, ratio to the ceiling behind LISTEN", _ratio(label, reports)))
    rows = [(f"{name}: {what}", figure) for what, figure in rows]
    return {
        "scenario": name, **dict(zip(("server", "listening", "ceiling"), reports)),
        "rows": rows, "charts": [_chart(name, reports)],
    }


def _ratio(label, reports):
    ours, listening, _ = (report[f"arrival_{label}_us"] for report in reports)
    return f"{ours / listening:.3f}"


def _chart(name, reports):
    """The share of the deliveries that had arrived within a time. The last thousandth is in the table: it
    would press all others together."""
    series = [
        {"name": name, "dashed": index > 0, "points": [
            [us / 1e3, 100 * share] for share, us in report["arrival_quantiles"] if share <= 0.999
        ]}
        for index, (name, report) in enumerate(zip(LINES, reports))
    ]
    return {
        "file": "latency", "title": name.capitalize() + ": how many had it, and when",
        "x": {"label": "time since the publishing [ms]"},
        "y": {"label": "share of the deliveries [%]", "end": 100}, "series": series,
    }


def _rows(title, report):
    def text(kind):
        percentiles = (report[f"{kind}_{label}_us"] / 1e3 for label in ("p50", "p99", "max"))
        return "p50 {:.2f}, p99 {:.2f}, max {:.2f} ms".format(*percentiles)

    return [(title, text("arrival")), (f"{title}, and read by the client", text("receipt"))]
