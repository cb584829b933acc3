"""Scenario `many-streams`: very many streams with one subscriber each, beside a few. Messages go to
random streams at a steady rate; the two sides take turns."""

import contextlib
import random
import time

from .fanout import spread
from .postgres import run_sql
from .process import processor_seconds

FEW = 10
# For what is still under way when the last message is committed.
REST_SECONDS = 1
# What Postgres plans and caches at the first calls is not what is measured, and neither is the first
# message of a stream, for which the server asks.
WARM_UP = 100


class Side:
    """A server of its own, on a Postgres of its own, with one subscriber for each stream."""

    def __init__(self, bench, stack, streams):
        self.bench, self.streams, self.sent = bench, streams, 0
        # A transaction that makes queues holds a lock for each table of them.
        self.postgres = stack.enter_context(bench.postgres(max_locks_per_transaction="1024"))
        if bench.store == "pgmq":
            make_queues(self.postgres.conninfo, streams)
        self.server = stack.enter_context(bench.millstream(self.postgres))
        self.random = random.Random(streams)
        for number in range(streams):
            self.server.publisher.publish(f"bench:{number}", 1, bench.payload)
        for _ in range(WARM_UP):
            self._publish()
        self.statement_ms = []

    def _publish(self):
        stream = f"bench:{self.random.randrange(self.streams)}"
        self.server.publisher.publish(stream, 1, self.bench.payload)

    def part(self):
        """Connects; the load client of one part."""
        flags = ("--streams", str(self.streams), "--hold")
        load = self.bench.load(
            self.server.url("bench:%d"), self.streams, *flags, ready=self.bench.ready
        ).connected()
        self.sent = 0
        return load

    def publish(self):
        """To one of them, at random."""
        begun = time.monotonic()
        self._publish()
        self.statement_ms.append(1e3 * (time.monotonic() - begun))
        self.sent += 1


def make_queues(conninfo, count):
    """A queue for each stream, as pgbus makes them."""
    for begin in range(0, count, 100):
        run_sql(
            conninfo,
            sql="set client_min_messages = warning; select count(pgmq.create(name)),"
            " count(pgmq.enable_notify_insert(name, 0)) from"
            f" (select 'pgbus_bench_' || n as name from generate_series({begin},"
            f" {min(begin + 100, count) - 1}) as n offset 0) as named",
        )


def many_streams(bench):
    """Rounds, so that there is a spread to be seen; the subscribers of a round are fresh."""
    rounds = []
    with contextlib.ExitStack() as stack:
        sides = [Side(bench, stack, streams) for streams in (FEW, bench.many_streams)]
        for number in range(bench.many_rounds):
            rounds.append(_round(bench, sides))
            bench.say("many-streams: " + "; ".join(_text(each) for each in rounds[-1]))
    return _result(bench, sides, rounds)


def _round(bench, sides):
    loads = [side.part() for side in sides]
    try:
        before = [processor_seconds(side.server.pid) for side in sides]
        begun = time.monotonic()
        for number in range(round(bench.many_seconds * bench.many_rate) * len(sides)):
            due = begun + number / bench.many_rate / len(sides)
            time.sleep(max(0.0, due - time.monotonic()))
            sides[number % len(sides)].publish()
        seconds = time.monotonic() - begun
        time.sleep(REST_SECONDS)
        used = [processor_seconds(side.server.pid) - b for side, b in zip(sides, before)]
        reports = [_report(load, side) for load, side in zip(loads, sides)]
    finally:
        for load in loads:
            load.process.stop()
    for report, each in zip(reports, used):
        report["processor_share"] = each / (seconds + REST_SECONDS)
    return reports


def _report(load, side):
    report = load.end()
    del report["rounds_ns"]
    if report["messages"] != side.sent:
        raise RuntimeError(f"{report['messages']} of {side.sent} messages came")
    return report


def _text(report):
    return (
        f"{report['streams']}: p50 {report['arrival_p50_us'] / 1e3:.2f}, p99"
        f" {report['arrival_p99_us'] / 1e3:.2f} ms"
    )


def _result(bench, sides, rounds):
    name = f"many streams, {bench.many_streams:,} {bench.store} with a subscriber each"
    rows = []
    for label in ("p50", "p99"):
        few, many = ([r[side][f"arrival_{label}_us"] / 1e3 for r in rounds] for side in (0, 1))
        ratios = [b / a for a, b in zip(few, many)]
        rows.append((f"{name}: commit to arrival, {label}", spread(many, "{:.2f}") + " ms"))
        rows.append((f"{name}: {label} with {FEW} streams", spread(few, "{:.2f}") + " ms"))
        rows.append((f"{name}: {label}, ratio", spread(ratios, "{:.2f}")))
    for index, streams in enumerate((FEW, bench.many_streams)):
        shares = [100 * r[index]["processor_share"] for r in rounds]
        rows.append((f"{name}: the server's processor, {streams:,} streams",
                     spread(shares, "{:.1f}") + " % of a core"))
        rows.append((f"{name}: the statement that publishes, {streams:,} streams",
                     spread(sides[index].statement_ms, "{:.2f}") + " ms"))
    return {"scenario": name, "rounds": rounds, "rows": rows}
