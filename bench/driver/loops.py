"""Scenario `loops`: two loops against one, each server with as many connections on one stream, in turn.

The load clients stand still while a server sends: the kernel takes what comes and notes when, and the
clients read it afterwards. So the processors are the server's alone."""

import contextlib
import os
import signal
import time

from .fanout import ROUND_SECONDS, spread
from .postgres import run_sql
from .process import processor_seconds
from .publisher import DatabasePublisher
from .statements import SETTINGS, Statements

STREAM = "bench:0"
# Nothing else wakes the server while it is watched.
FLAGS = ("--heartbeat", "12h")
QUIET_SECONDS = 0.05
SESSIONS_SQL = "select count(*) from pg_stat_activity where usename = 'millstream_server'"


class Side:
    """A server with so many loops on a Postgres of its own, and its connections."""

    def __init__(self, bench, stack, loops):
        self.bench, self.loops, self.sent, self.seconds = bench, loops, 0, []
        self.postgres = stack.enter_context(bench.postgres(**SETTINGS))
        self.statements = Statements(self.postgres.conninfo)
        flags = (*FLAGS, "--loops", str(loops))
        self.server = stack.enter_context(
            bench.millstream(self.postgres, self.statements.role, flags=flags)
        )
        # The server's own role is counted, so another one publishes.
        self.publisher = DatabasePublisher(self.postgres.conninfo, bench.store)
        stack.callback(self.publisher.close)
        self.publisher.prepare(STREAM)
        total = bench.loop_warm_up + bench.loop_rounds
        self.load = stack.enter_context(bench.load(
            self.server.url(STREAM), bench.loop_connections, "--messages", str(total),
            "--expect-consecutive", ready=bench.ready,
        )).connected()
        self.sessions = int(run_sql(self.postgres.conninfo, sql=SESSIONS_SQL))

    def round(self):
        """One message, sent while nobody reads."""
        if self.sent == self.bench.loop_warm_up:
            self.statements.begin()
        before = processor_seconds(self.server.pid)
        os.kill(self.load.process.pid, signal.SIGSTOP)
        try:
            self.publisher.publish(STREAM, 1, self.bench.payload)
            self.sent += 1
            used = self._wait_until_quiet(before) - before
        finally:
            os.kill(self.load.process.pid, signal.SIGCONT)
        self.load.wait_for_round(self.sent, ROUND_SECONDS)
        self.seconds.append(used)

    def _wait_until_quiet(self, before):
        """Until the server has begun and then sleeps; what it has run by then."""
        ran, deadline = before, time.monotonic() + ROUND_SECONDS
        while time.monotonic() < deadline:
            time.sleep(QUIET_SECONDS)
            now = processor_seconds(self.server.pid)
            if now - ran < 1e-3 and now - before > 1e-6 * self.bench.loop_connections:
                return now
            ran = now
        raise TimeoutError("the server has not come to rest")

    def result(self):
        """Figures of the rounds after the warm-up."""
        queries = self.statements.count()
        report = self.load.report()
        rounds = report["rounds_ns"][self.bench.loop_warm_up:]
        count = self.bench.loop_connections
        return {
            "loops": self.loops, "sessions": self.sessions, "queries": queries,
            "rates": [(count - 1) * 1e9 / max(last - first, 1) for first, last in rounds],
            "processor_us": [1e6 * s / count for s in self.seconds[self.bench.loop_warm_up:]],
        }


def loops(bench):
    """Rounds alternate, and which side is first does too."""
    with contextlib.ExitStack() as stack:
        sides = [Side(bench, stack, number) for number in (1, bench.loops)]
        for number in range(bench.loop_warm_up + bench.loop_rounds):
            for side in sides if number % 2 == 0 else reversed(sides):
                side.round()
            if number % 10 == 9:
                bench.say(f"loops: {number + 1} rounds")
        return _result(bench, [side.result() for side in sides])


def _result(bench, sides):
    name = f"one message to {bench.loop_connections}"
    rows = []
    for side in sides:
        what = f"{name}, {side['loops']} loop{'s' if side['loops'] > 1 else ''}"
        queries = side["queries"]["questions"] / bench.loop_rounds
        rows += [
            (f"{what}: deliveries/s, load client asleep", spread(side["rates"], "{:,.0f}")),
            (f"{what}: processor time", spread(side["processor_us"], "{:.2f}") + " µs/delivery"),
            (f"{what}: Postgres", f"{side['sessions']} sessions, {queries:.2f} queries a message"),
        ]
    for figure, label in (("rates", "deliveries/s"), ("processor_us", "processor time")):
        ratios = [b / a for a, b in zip(sides[0][figure], sides[1][figure])]
        rows.append((f"{name}: {bench.loops} loops to 1, {label}", spread(ratios, "{:.2f}")))
    return {"scenario": "loops", "sides": sides, "rows": rows}
