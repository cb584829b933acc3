"""Scenario `latency`: from just before the commit to the arrival, at a slow and steady rate."""

import time

STREAM = "bench:0"
ROUND_SECONDS = 30


def latency(bench):
    """The server from Postgres; the ceiling from its stdin, which is the fan-out's share alone."""
    with bench.server() as server, bench.ceiling() as ceiling:
        reports = [_run(bench, side) for side in (server, ceiling)]
    name = f"latency, {bench.latency_connections} connections"
    rows = [
        row
        for title, report in zip(("commit to arrival", "ceiling, pipe to arrival"), reports)
        for row in _rows(f"{name}: {title}", report)
    ]
    return {"scenario": name, "server": reports[0], "ceiling": reports[1], "rows": rows}


def _run(bench, server):
    count = max(1, round(bench.seconds * bench.rate))
    server.publisher.prepare(STREAM)
    flags = ("--messages", str(count), "--expect-consecutive")
    with bench.load(
        server.url(STREAM), bench.latency_connections, *flags, ready=bench.ready
    ) as load:
        load.connected()
        begun = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, begun + number / bench.rate - time.monotonic()))
            server.publisher.publish(STREAM, 1, bench.payload)
        load.wait_for_round(count, ROUND_SECONDS)
        report = load.report()
    del report["rounds_ns"]
    bench.say(f"latency: p50 {report['arrival_p50_us'] / 1e3:.2f} ms")
    return report


def _rows(name, report):
    def text(kind):
        percentiles = (report[f"{kind}_{label}_us"] / 1e3 for label in ("p50", "p99", "max"))
        return "p50 {:.2f}, p99 {:.2f}, max {:.2f} ms".format(*percentiles)

    return [(name, text("arrival")), (f"{name}, and read by the client", text("receipt"))]
