"""Scenario `peers`: Millstream and other servers (bench/peers) in one run: deliveries a second of a
message and of a burst, rounds in turn, and the memory of an idle connection."""

import contextlib
import pathlib

import peers

from .fanout import side_by_side, spread
from .line_fit import slope
from .memory import chart as memory_chart
from .memory import in_megabytes, points_of, slope_text
from .scale import chart, kind, rates_at_sizes

OURS = "Millstream"
TOOLS = pathlib.Path(__file__).resolve().parent.parent.parent / ".build-tools/peers"


def compare(bench):
    """Two parts: what is sent, and what is held."""
    with contextlib.ExitStack() as stack:
        sides = {OURS: stack.enter_context(bench.server())}
        for name in bench.peers:
            peer = stack.enter_context(_peer(name))
            sides[peer.title] = peer
        measured = rates_at_sizes(bench, "peers", sides)
    memory = _memory(bench)
    rows = [row for part in measured for row in _rows(part)] + _memory_rows(memory)
    lines = [{"name": title, "points": in_megabytes(points)} for title, points in memory.items()]
    return {
        "scenario": "peers", "measured": measured, "memory": memory, "rows": rows,
        "charts": [
            chart("peers-deliveries", "Deliveries against connections, one core each", measured),
            memory_chart("peers-memory", "Memory of idle connections", lines),
        ],
    }


@contextlib.contextmanager
def _peer(name):
    peer = peers.started(name, TOOLS)
    try:
        yield peer
    finally:
        peer.stop()


def _memory(bench):
    """One server at a time, so that none takes another's descriptors or ports."""
    part = bench.but(sizes=bench.peer_memory_sizes)
    with bench.server() as server:
        memory = {OURS: points_of(part, server)}
    for name in bench.peers:
        with _peer(name) as peer:
            memory[peer.title] = points_of(part, peer)
    return memory


def _rows(part):
    """Of one size and kind of round. The second ratio has in it what is before the first arrival, too."""
    name = f"peers, {kind(part['burst'])} to {part['size']}"
    ours = part["sides"][OURS]
    rows = []
    for title, side in part["sides"].items():
        processor = spread(side["processor_us"], "{:.2f}") + " µs/delivery"
        rows.append((f"{name}: deliveries/s of {title}", spread(side["rates"], "{:,.0f}")))
        rows.append((f"{name}: processor time of {title}", processor))
    for title, side in part["sides"].items():
        if title != OURS:
            ratio = f"{name}: ratio to {title}"
            rows.append((ratio, spread(side_by_side(ours, side), "{:.2f}")))
            whole = side_by_side(ours, side, "whole_rates")
            rows.append((f"{ratio}, from the publishing on", spread(whole, "{:.2f}")))
    return rows


def _memory_rows(memory):
    rows = []
    for title, points in memory.items():
        for figure, label in (("rss", "RSS"), ("anon", "anonymous")):
            value, error = slope([(size, measured[figure]) for size, measured in points])
            rows.append((f"peers, idle: {label} of {title}", slope_text(value, error)))
    return rows
