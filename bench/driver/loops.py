"""Scenario `loops`: several loops against one, each server with as many connections on one stream; and
as many ceilings, which share nothing, against one, for what the machine gives. All take turns."""

import contextlib

from .fanout import spread
from .postgres import run_sql
from .publisher import DatabasePublisher
from .standing_load import StandingLoad
from .statements import SETTINGS, Statements

STREAM = "bench:0"
# Nothing else wakes the server while it is watched.
FLAGS = ("--heartbeat", "12h")
SESSIONS_SQL = (
    "select count(*) from pg_stat_activity where usename = 'millstream_server'"
    " and application_name like 'millstream%'"
)

FIGURES = {
    "rates": "deliveries/s",
    "undisturbed": "deliveries/s by the processor time of the busiest thread",
    "processor_us": "processor time a delivery",
}


class Loops:
    """A server with so many loops on a Postgres of its own."""

    def __init__(self, bench, stack, loops):
        self.bench, self.what = bench, f"{loops} loop{'s' if loops > 1 else ''}"
        self.postgres = stack.enter_context(bench.postgres(**SETTINGS))
        self.statements = Statements(self.postgres.conninfo)
        flags = (*FLAGS, "--loops", str(loops))
        self.servers = [stack.enter_context(
            bench.millstream(self.postgres, self.statements.role, flags=flags)
        )]
        # What the server's own role asks is counted, so another one publishes.
        self.publisher = DatabasePublisher(self.postgres.conninfo, bench.store)
        stack.callback(self.publisher.close)
        self.publisher.prepare(STREAM)

    def publish(self):
        """One message."""
        self.publisher.publish(STREAM, 1, self.bench.payload)

    def begin(self):
        """The warm-up is over."""
        self.statements.begin()

    def cost(self):
        """What it has asked of Postgres since."""
        sessions = int(run_sql(self.postgres.conninfo, sql=SESSIONS_SQL))
        return {"sessions": sessions, "queries": self.statements.count()}


class Ceilings:
    """So many ceilings, which are given the same at the same time."""

    def __init__(self, bench, stack, count):
        self.bench, self.what = bench, f"{count} ceiling{'s' if count > 1 else ''}"
        self.servers = [stack.enter_context(bench.ceiling()) for _ in range(count)]

    def publish(self):
        """One message to each."""
        for server in self.servers:
            server.publisher.publish(STREAM, 1, self.bench.payload)

    def begin(self):
        """There is nothing to be counted."""

    def cost(self):
        """It asks nobody."""
        return {}


def loops(bench):
    """Rounds alternate, forwards and backwards."""
    kinds = [(kind, count) for kind in (Loops, Ceilings) for count in (1, bench.loops)]
    total = bench.loop_warm_up + bench.loop_rounds
    with contextlib.ExitStack() as stack:
        sides = [kind(bench, stack, count) for kind, count in kinds]
        loads = [
            StandingLoad(bench, stack, side.servers, STREAM, bench.loop_connections, total)
            for side in sides
        ]
        pairs = list(zip(sides, loads))
        for number in range(1, total + 1):
            for side, load in pairs if number % 2 == 0 else reversed(pairs):
                load.round(number, side.publish)
                if number == bench.loop_warm_up:
                    side.begin()
            if number % 10 == 0:
                bench.say(f"loops: {number} rounds")
        return _result(bench, [_figures(bench, *pair) for pair in pairs])


def _figures(bench, side, load):
    rounds = slice(bench.loop_warm_up, None)
    cost, rates = side.cost(), load.rates()[rounds]
    processor_us = [1e6 * seconds / bench.loop_connections for seconds in load.seconds[rounds]]
    undisturbed = [bench.loop_connections / seconds for seconds in load.busiest_seconds[rounds]]
    figures = {"rates": rates, "undisturbed": undisturbed, "processor_us": processor_us}
    return {"what": side.what} | figures | cost


def _result(bench, sides):
    name = f"one message to {bench.loop_connections}"
    rows = [row for side in sides for row in _rows(bench, f"{name}, {side['what']}", side)]
    for one, several in (sides[:2], sides[2:]):
        for figure, label in FIGURES.items():
            ratios = [b / a for a, b in zip(one[figure], several[figure])]
            rows.append((f"{name}: {several['what']} to 1, {label}", spread(ratios, "{:.2f}")))
    return {"scenario": "loops", "sides": sides, "rows": rows}


def _rows(bench, what, side):
    rows = [
        (f"{what}: {FIGURES['rates']}", spread(side["rates"], "{:,.0f}")),
        (f"{what}: {FIGURES['undisturbed']}", spread(side["undisturbed"], "{:,.0f}")),
        (f"{what}: processor time", spread(side["processor_us"], "{:.2f}") + " µs/delivery"),
    ]
    if "queries" in side:
        queries = side["queries"]["questions"] / bench.loop_rounds
        rows.append((f"{what}: Postgres", f"{side['sessions']} sessions, {queries:.2f} queries a message"))
    return rows
