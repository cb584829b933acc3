"""Scenario `scale`: deliveries a second with few and with many connections, of one message and of a
burst; the server and the ceiling in turn."""

from .fanout import in_turn, quartiles, side_by_side, spread

# A burst is that many messages; it needs fewer rounds, as each is a hundred times as long.
BURST = 100
BURST_SHARE = 4


def scale(bench):
    """One server and one ceiling; fresh connections for each size."""
    with bench.server() as server, bench.ceiling() as ceiling:
        sides = {"Millstream": server, "ceiling": ceiling}
        measured = rates_at_sizes(bench, "scale", sides)
    return {
        "scenario": "scale", "measured": measured, "rows": _rows(measured),
        "charts": [chart("deliveries", "Deliveries against connections", measured)],
    }


def rates_at_sizes(bench, name, sides):
    """A list of the figures of each server (a dictionary by its title), size and kind of round."""
    measured = []
    for size in bench.scale_sizes:
        for burst in (1, BURST):
            rounds = bench.scale_rounds if burst == 1 else max(3, bench.scale_rounds // BURST_SHARE)
            warm_up = 2 if burst == 1 else 1
            part = bench.but(connections=size, burst=burst, rounds=rounds, warm_up=warm_up)
            bench.say(f"{name}: {size} connections, {kind(burst)}")
            results = in_turn(part, sides.values(), name)
            measured.append({"size": size, "burst": burst, "sides": dict(zip(sides, results))})
    return measured


def kind(burst):
    """What a round publishes."""
    return "one message" if burst == 1 else f"a burst of {burst}"


def _rows(measured):
    rows = []
    for part in measured:
        name = f"scale, {kind(part['burst'])} to {part['size']}"
        for title, side in part["sides"].items():
            rows.append((f"{name}: deliveries/s of {title}", spread(side["rates"], "{:,.0f}")))
        ratios = side_by_side(*part["sides"].values())
        rows.append((f"{name}: ratio to the ceiling", spread(ratios, "{:.3f}")))
    return rows


def chart(file, title, measured):
    """Medians, with the quartiles as bars; the ceiling's lines are dashed."""
    lines = {}
    for part in measured:
        for side, figures in part["sides"].items():
            low, middle, high = quartiles(figures["rates"])
            name = f"{side}, {kind(part['burst'])}"
            line = lines.setdefault(name, {"name": name, "points": [], "dashed": side == "ceiling"})
            line["points"].append([part["size"], middle, low, high])
    return {
        "file": file, "title": title, "series": list(lines.values()),
        "x": {"label": "connections", "log": True}, "y": {"label": "deliveries a second", "log": True},
    }
