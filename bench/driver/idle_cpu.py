"""Scenario `idle-cpu`: what connections cost that only get heartbeats, in processor time, and how long
the loop is away from those who ask meanwhile. On one stream, and with one stream each."""

import contextlib
import time

from .fanout import spread
from .longest_run import LongestRun
from .probe import Probe
from .process import processor_seconds

# Connecting is over, and what it left to be tidied up.
SETTLE_SECONDS = 3
LIMIT_MS = 5


def idle_cpu(bench):
    """A server with the connections and one without, each on a Postgres of its own."""
    results = [_case(bench, streams) for streams in (1, bench.idle_connections)]
    rows = [row for result in results for row in result["rows"]]
    return {"scenario": "idle-cpu", "cases": results, "rows": rows}


def _case(bench, streams):
    stream = "bench:0" if streams == 1 else "bench:%d"
    with bench.server() as server, bench.server() as empty:
        flags = ("--hold", "--streams", str(streams))
        with bench.load(
            server.url(stream), bench.idle_connections, *flags, ready=bench.ready
        ) as load:
            load.connected()
            time.sleep(SETTLE_SECONDS)
            shares = _shares(bench, server, empty)
            longest_ms = _longest_runs(bench, server, empty)
            probes = _probes(bench, server, empty)
            comments = load.end()["comments"]
    return _result(bench, streams, shares, longest_ms, probes, comments)


def _shares(bench, *servers):
    """Per cent of a core, of each server, over as many equal parts as there are rounds."""
    parts = []
    for _ in range(bench.idle_rounds):
        begun = time.monotonic()
        before = [processor_seconds(server.pid) for server in servers]
        time.sleep(bench.idle_seconds)
        seconds = time.monotonic() - begun
        used = [processor_seconds(server.pid) - b for server, b in zip(servers, before)]
        parts.append([100 * each / seconds for each in used])
        bench.say(f"idle-cpu: {parts[-1][0]:.2f} % of a core; without connections {parts[-1][1]:.2f}")
    return [list(each) for each in zip(*parts)]


def _longest_runs(bench, *servers):
    """Milliseconds of processor time at most that each loop took without going to sleep."""
    with contextlib.ExitStack() as stack:
        watched = [stack.enter_context(LongestRun(server.pid)) for server in servers]
        time.sleep(bench.idle_seconds)
    return [1e3 * longest.seconds for longest in watched]


def _probes(bench, *servers):
    """Milliseconds until a small request is answered; the servers in turn."""
    probes = [Probe(server.port) for server in servers]
    answers = [[] for _ in servers]
    end = time.monotonic() + bench.idle_seconds
    while time.monotonic() < end:
        for probe, taken in zip(probes, answers):
            taken.append(1e3 * probe.ask())
            time.sleep(bench.idle_probe_ms / 1e3)
    return answers


def _result(bench, streams, shares, longest_ms, probes, comments):
    where = f"on {streams:,} stream{'s' if streams > 1 else ''}"
    name = f"idle, {bench.idle_connections:,} connections {where}"
    rows = [
        (f"{name}: processor time", spread(shares[0], "{:.2f}") + " % of a core"),
        (f"{name}: the same server without connections", spread(shares[1], "{:.2f}") + " % of a core"),
        (f"{name}: longest stretch of processor time", 
         f"{longest_ms[0]:.2f} ms; without connections {longest_ms[1]:.2f} ms"),
        (f"{name}: a request's answer", _answers(probes[0])),
        (f"{name}: from the server without connections, in turn", _answers(probes[1])),
    ]
    return {
        "case": name, "shares": shares, "longest_ms": longest_ms, "probes": probes,
        "comments": comments, "rows": rows,
    }


def _answers(taken):
    taken = sorted(taken)
    over = sum(each > LIMIT_MS for each in taken)
    return (
        f"p50 {taken[len(taken) // 2]:.2f}, p99 {taken[len(taken) * 99 // 100]:.2f}, max"
        f" {taken[-1]:.2f} ms; {over} of {len(taken)} over {LIMIT_MS} ms"
    )
