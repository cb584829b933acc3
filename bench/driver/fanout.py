"""Scenario `fanout`: one message (or a burst) to many connections, again and again; the server and
the ceiling in turn, so that what disturbs one disturbs the other as well."""

import statistics
import time

from .process import processor_seconds, user_and_system_seconds

STREAM = "bench:0"
# No figure, but what is too long even for a server that needs a second for 50,000 deliveries.
ROUND_SECONDS = 300
LOAD_SECONDS = 7200


class Side:
    """One of the two: the server or the ceiling, and its connections."""

    def __init__(self, bench, server):
        self.bench, self.server = bench, server
        self.seconds, self.user, self.system = [], 0.0, 0.0
        self.begun_ns = []
        server.publisher.prepare(STREAM)
        self.total = (bench.warm_up + bench.rounds) * bench.burst
        self.load = bench.load(
            server.url(STREAM), bench.connections, "--messages", str(self.total),
            "--expect-consecutive", ready=bench.ready, timeout=LOAD_SECONDS,
        ).connected()
        self.sent = 0

    def round(self):
        """Publishes, waits until all have it, and notes what the server's processor did."""
        before = processor_seconds(self.server.pid), user_and_system_seconds(self.server.pid)
        self.begun_ns.append(time.time_ns())
        self.server.publisher.publish(STREAM, self.bench.burst, self.bench.payload)
        self.sent += self.bench.burst
        self.load.wait_for_round(self.sent, ROUND_SECONDS)
        after = processor_seconds(self.server.pid), user_and_system_seconds(self.server.pid)
        self.seconds.append(after[0] - before[0])
        self.user += after[1][0] - before[1][0]
        self.system += after[1][1] - before[1][1]

    def result(self):
        """Figures of the rounds after the warm-up, and the load client's own report."""
        report = self.load.report()
        deliveries = self.bench.connections * self.bench.burst
        share = self.user / max(self.user + self.system, 1e-9)
        processor_us = [1e6 * s / deliveries for s in self.seconds[self.bench.warm_up:]]
        return {
            "rates": self._rates(report["rounds_ns"]),
            "whole_rates": self._whole_rates(report["rounds_ns"]),
            "processor_us": processor_us,
            "user_share": share,
            "load": {name: value for name, value in report.items() if name != "rounds_ns"},
        }

    def _rates(self, rounds_ns):
        burst = self.bench.burst
        rates = []
        for first in range(self.bench.warm_up * burst, self.total, burst):
            begin, end = rounds_ns[first][0], rounds_ns[first + burst - 1][1]
            rates.append((self.bench.connections * burst - 1) * 1e9 / max(end - begin, 1))
        return rates

    def _whole_rates(self, rounds_ns):
        """Deliveries a second from the publishing, not from the first arrival, to the last arrival."""
        burst = self.bench.burst
        ends = [end for _, end in rounds_ns[burst - 1:self.total:burst]]
        seconds = [(end - begun) / 1e9 for begun, end in zip(self.begun_ns, ends)]
        return [self.bench.connections * burst / each for each in seconds[self.bench.warm_up:]]


def fanout(bench):
    """Both sides hold their connections all the time; rounds alternate."""
    with bench.server() as server, bench.ceiling() as ceiling:
        return _result(bench, *in_turn(bench, (server, ceiling)))


def in_turn(bench, servers, name="fanout"):
    """The figures of each server; rounds alternate."""
    sides = []
    try:
        for server in servers:
            # Another server may tell in another way that it has subscribed a connection.
            ready = getattr(server, "ready", bench.ready)
            sides.append(Side(bench.but(ready=ready), server))
        for number in range(bench.warm_up + bench.rounds):
            # Which one is first alternates too.
            for side in sides if number % 2 == 0 else reversed(sides):
                side.round()
            if number % 10 == 9 or bench.burst > 1:
                bench.say(f"{name}: {number + 1} of {bench.warm_up + bench.rounds} rounds")
        return [side.result() for side in sides]
    finally:
        for side in sides:
            side.load.process.stop()


def _result(bench, server, ceiling):
    ratios = side_by_side(server, ceiling)
    kind = "one message" if bench.burst == 1 else f"a burst of {bench.burst}"
    name = f"fan-out, {kind} to {bench.connections}"
    rows = [
        (f"{name}: deliveries/s", spread(server["rates"], "{:,.0f}")),
        (f"{name}: deliveries/s of the ceiling", spread(ceiling["rates"], "{:,.0f}")),
        (f"{name}: ratio to the ceiling", spread(ratios, "{:.3f}")),
        (f"{name}: processor time", _processor(server)),
        (f"{name}: processor time of the ceiling", _processor(ceiling)),
        (f"{name}: the load client's own", _own(bench, server["load"])),
    ]
    return {"scenario": name, "server": server, "ceiling": ceiling, "ratios": ratios, "rows": rows}


def side_by_side(ours, theirs, figure="rates"):
    """The ratio of each two rounds that were next to each other."""
    return [our / their for our, their in zip(ours[figure], theirs[figure])]


def spread(values, form):
    """The median, and the quartiles beside it."""
    low, middle, high = quartiles(values)
    return f"{form.format(middle)} ({form.format(low)}–{form.format(high)})"


def quartiles(values):
    """First quartile, median, third; of one value that value."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def _processor(side):
    return (
        spread(side["processor_us"], "{:.2f}")
        + f" µs/delivery, {100 * side['user_share']:.0f} % of it in user space"
    )


def _own(bench, report):
    deliveries = max(1, bench.connections * report["rounds_complete"])
    own = 1e6 * report["own_seconds_since_subscribed"] / deliveries
    return f"{own:.2f} µs/delivery, late by {report['own_lag_p50_us'] / 1e3:.1f} ms (median)"
