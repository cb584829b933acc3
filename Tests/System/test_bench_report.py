"""What the benchmark makes of its figures: charts and the verdict about goals. Needs no server."""

import pathlib
import re
import sys
import xml.etree.ElementTree

import pytest

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))
from driver import goals, plot, table  # noqa: E402

ABOUT = {
    "store": "native", "given": None, "time": "now", "commit": "abc", "changed": False,
    "kernel": "6", "cores": 2, "load_average": 1.0,
}


def chart(points, **axes):
    return {
        "file": "chart", "title": "A & B", "series": [{"name": "one <1>", "points": points}],
        "x": {"label": "connections", **axes}, "y": {"label": "MB", **axes},
    }


@pytest.mark.parametrize("axes", [{}, {"log": True}])
@pytest.mark.parametrize("points", [
    [[500, 85_150], [2000, 91_000.5], [10_000, 7_209_284]],
    [[500, 3, 2, 4], [2000, 30, 20, 44]],
    [[number, number ** 2] for number in range(1, 60)],
    [[7, 0.25]],
])
def test_all_points_are_within_the_axes(points, axes):
    root = xml.etree.ElementTree.fromstring(plot.svg(chart(points, **axes)))
    line = next(each for each in root if each.tag.endswith("polyline"))
    places = [tuple(map(float, place.split(","))) for place in line.get("points").split()]
    assert len(places) == len(points)
    for x, y in places:
        assert plot.LEFT <= x <= plot.WIDTH - plot.RIGHT
        assert plot.TOP <= y <= plot.HEIGHT - plot.BOTTOM
    heights = [-y for _, y in places]
    assert heights == sorted(heights)
    marks = [each for each in root if "mark" in each.get("class", "")]
    assert len(marks) == (len(points) + 1 if len(points) <= plot.FEW else 0)


def test_ticks_hold_the_highest_value():
    assert plot.Axis({"label": ""}, [0, 7_209_284], 0, 1).ticks[-1] == 8_000_000
    assert plot.Axis({"label": "", "end": 100}, [0, 99.9], 0, 1).ticks[-1] == 100
    assert plot.Axis({"label": "", "log": True}, [480, 10_000], 0, 1).ticks == [
        200, 500, 1000, 2000, 5000, 10_000
    ]


@pytest.mark.parametrize("figure, direction, bound, verdict", [
    ("159 ± 8 bytes/connection", "at most", 256, "at most 256: met"),
    ("1,159 ± 8 bytes/connection", "at most", 256, "at most 256: **not met**"),
    ("0.97 (0.93–1.06)", "at least", 0.95, "at least 0.95: met"),
    ("0.94 (0.93–1.06)", "at least", 0.95, "at least 0.95: **not met**"),
    ("-0.30 (-1.00–1.06) ms", "at most", 10, "at most 10: met"),
    ("1.00 (1.00–1.06)", "more than", 1, "more than 1: **not met**"),
    ("1.00 (1.00–1.06)", "less than", 1, "less than 1: **not met**"),
])
def test_a_goal_is_about_the_first_number(figure, direction, bound, verdict):
    assert goals.judged({"direction": direction, "bound": bound}, figure) == verdict


def test_a_goal_without_a_row_is_not_left_out():
    rows = [("memory, idle: RSS", "300 ± 8 bytes/connection"), ("memory, idle: other", "p50 1 ms")]
    text = table.markdown(ABOUT, [{"name": "memory", "rows": rows}])
    assert "| memory, idle: RSS | 300 ± 8 bytes/connection | at most 256: **not met** |" in text
    assert "| memory, idle: other | p50 1 ms |  |" in text
    assert "| memory, idle: PSS | not in this run | at most 256 |" in text
    assert "fan-out" not in text


def test_every_goal_names_a_scenario():
    run = (BENCH / "run.py").read_text()
    scenarios = re.findall(r'^    "([\w-]+)": \w+\.\w+,$', run, re.MULTILINE)
    wanted = goals.of(scenarios)
    assert len(wanted) == goals.FILE.read_text().count('"figure"')
    for goal in wanted.values():
        goals.judged(goal, "1")
