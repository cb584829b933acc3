"""What a figure is to reach (bench/goals.json), and whether it did. A goal names a row of the table; what
is compared is the number with which the row's figure begins. Reported, never asserted: a machine that is
busy with something else is no failure of the program."""

import json
import pathlib
import re

FILE = pathlib.Path(__file__).resolve().parent.parent / "goals.json"


def of(scenarios):
    """The goals of these scenarios by the name of their row."""
    scenarios = set(scenarios)
    goals = json.loads(FILE.read_text())
    return {goal["figure"]: goal for goal in goals if goal["scenario"] in scenarios}


def text(goal):
    """The goal alone."""
    return f"{goal['direction']} {goal['bound']:g}"


def judged(goal, figure):
    """What stands in the table; nothing where there is no goal."""
    if goal is None:
        return ""
    verdict = "met" if is_met(goal, leading_number(figure)) else "**not met**"
    return f"{text(goal)}: {verdict}"


def is_met(goal, value):
    """Whether the number is on the right side of the bound."""
    bound = goal["bound"]
    return {
        "at most": value <= bound, "at least": value >= bound,
        "more than": value > bound, "less than": value < bound,
    }[goal["direction"]]


def leading_number(figure):
    """The number with which a figure's text begins."""
    found = re.match(r"-?\d[\d,]*(\.\d+)?", figure)
    if not found:
        raise ValueError(f"'{figure}' begins with no number, so that no goal can be about it")
    return float(found[0].replace(",", ""))
