"""Scenario `embedded`: a C host that hands each client over (bench/embedded), against `millstream serve`:
deliveries a second, in turn, and the memory of an idle connection, one after the other."""

import contextlib

from .fanout import in_turn, side_by_side, spread
from .line_fit import slope
from .memory import points_of, slope_text
from .servers import Embedded

TITLES = ("millstream serve", "C host")


def embedded(bench):
    """Each on a Postgres of its own."""
    with bench.server() as server, _host(bench) as host:
        measured = in_turn(bench, (server, host), "embedded")
    memory = {}
    with bench.server() as server:
        memory[TITLES[0]] = points_of(bench, server)
    with _host(bench) as host:
        memory[TITLES[1]] = points_of(bench, host)
    return {
        "scenario": "embedded", "measured": dict(zip(TITLES, measured)), "memory": memory,
        "rows": _rows(bench, *measured) + _memory_rows(memory),
    }


@contextlib.contextmanager
def _host(bench):
    with bench.postgres() as postgres:
        host = Embedded(bench.binaries["embedded"](), postgres.conninfo, bench.store)
        try:
            yield host
        finally:
            host.stop()


def _rows(bench, served, hosted):
    name = f"embedded, one message to {bench.connections}"
    ratios = side_by_side(hosted, served)
    processor = [ours / theirs for ours, theirs in zip(hosted["processor_us"], served["processor_us"])]
    return [
        (f"{name}: deliveries/s of {TITLES[0]}", spread(served["rates"], "{:,.0f}")),
        (f"{name}: deliveries/s of the {TITLES[1]}", spread(hosted["rates"], "{:,.0f}")),
        (f"{name}: ratio to {TITLES[0]}", spread(ratios, "{:.3f}")),
        (f"{name}: processor time, ratio to {TITLES[0]}", spread(processor, "{:.3f}")),
    ]


def _memory_rows(memory):
    return [
        (f"embedded, idle: RSS of {title}", slope_text(*slope(
            [(size, measured["rss"]) for size, measured in points])))
        for title, points in memory.items()
    ]
