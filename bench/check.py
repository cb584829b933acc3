#!/usr/bin/env python3
"""Checks what is the same on every machine against bench/thresholds.json: memory of a connection, system
calls, allocations and instructions of a delivery, queries of a storm. Exit status 1 beyond a bound.

    bench/check.py                     builds in release, then measures for about a minute
    bench/check.py counts              one scenario alone

Further arguments are those of bench/run.py.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import run  # noqa: E402
from driver.bench import Bench  # noqa: E402

THRESHOLDS = pathlib.Path(__file__).resolve().parent / "thresholds.json"
# So small that it is over soon; the bounds hold for these.
SIZES = [
    "--count-connections", "2000", "--sizes", "2000,6000,10000",
    "--storm-connections", "1000", "--storm-streams", "20", "--storm-rounds", "1",
]


def of_memory(result):
    """Bytes."""
    return {"memory of an idle connection, bytes": result["slopes"]["anon"]["bytes"]}


def of_counts(result):
    """Each delivery."""
    figures = result["figures"]
    measured = {"instructions of a delivery": figures["instructions"]}
    for burst, kind in ((1, "a delivery"), (100, "a delivery of a burst")):
        calls = sum(figures[burst][name] for name in run.counts.SYSTEM_CALLS)
        measured[f"system calls of {kind}"] = calls
        measured[f"allocations of {kind}"] = figures[burst]["allocations"]
    return measured


def of_storm(result):
    """Each storm, and each cut of the sessions."""
    measured = {}
    for case in result["cases"]:
        name = case["case"]
        measured[f"{name}: queries"] = max(r["queries"]["questions"] for r in case["server"])
        measured[f"{name}: queries when cut off"] = case["cut"]["queries"]["questions"]
    return measured


FIGURES = {"memory": of_memory, "counts": of_counts, "storm": of_storm}


def measured(options, names):
    """All figures by name."""
    bench = Bench(options, run.built(options))
    figures = {}
    for name in names:
        bench.say(f"{name}: begins")
        figures |= FIGURES[name](run.SCENARIOS[name](bench))
    return figures


def beyond(figures, bounds):
    """Prints a table; returns how many are beyond their bounds. One that has no bound is beyond it."""
    print("| what | measured | at most | |\n|---|---|---|---|")
    count = 0
    for name, figure in figures.items():
        is_beyond = not figure <= bounds.get(name, -1)
        count += is_beyond
        print(f"| {name} | {figure:.5g} | {bounds.get(name)} | {'BEYOND' if is_beyond else ''} |")
    return count


def main():
    """The chosen scenarios, or all that have bounds."""
    options = run.parsed([*SIZES, *sys.argv[1:]])
    run.raise_descriptor_limit()
    names = options.scenarios or list(FIGURES)
    figures = measured(options, names)
    sys.exit(1 if beyond(figures, json.loads(THRESHOLDS.read_text())) else 0)


if __name__ == "__main__":
    main()
