"""Charts as SVG. A chart is a dictionary, as the scenarios make it:

    {"file": "memory", "title": "…",
     "x": {"label": "connections"}, "y": {"label": "RSS [MB]", "log": True},
     "series": [{"name": "Millstream", "points": [[x, y], [x, y, low, high], …], "dashed": False}]}

An axis that is not logarithmic begins at 0. `low` and `high` are drawn as a bar (quartiles). A series of
more points than FEW is a line without marks. The background is the chart's own, and all colours change
with the reader's scheme, so that it is legible wherever it is shown.
"""

import html
import math
import pathlib

WIDTH, HEIGHT = 760, 430
LEFT, RIGHT, TOP, BOTTOM = 92, 28, 84, 62
FEW = 20
LEGEND_COLUMNS = 2
STYLE = """
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .ground { fill: #ffffff; } .grid { stroke: #d1d9e0; } .axis { stroke: #59636e; }
  .line { fill: none; stroke-width: 2; } .dashed { stroke-dasharray: 7 4; }
  .s0 { stroke: #0959c4; } .s1 { stroke: #b93a00; } .s2 { stroke: #12702f; } .s3 { stroke: #7c2fc0; }
  .mark { stroke-width: 2; } .full { fill: currentColor; }
  .c0 { color: #0959c4; } .c1 { color: #b93a00; } .c2 { color: #12702f; } .c3 { color: #7c2fc0; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .ground { fill: #0d1117; } .grid { stroke: #30363d; } .axis { stroke: #9198a1; }
    .s0 { stroke: #6cb0ff; } .s1 { stroke: #ff9c5b; } .s2 { stroke: #4fce68; } .s3 { stroke: #cf9fff; }
    .c0 { color: #6cb0ff; } .c1 { color: #ff9c5b; } .c2 { color: #4fce68; } .c3 { color: #cf9fff; }
  }
"""
COLOURS = 4


class Axis:
    """From values to places on the page, and the ticks between. `begin` and `end`: the places."""

    def __init__(self, about, values, begin, end):
        self.label, self._is_log = about["label"], about.get("log", False)
        self._begin, self._end = begin, end
        high = max(values) or 1
        if self._is_log:
            self._low, self._high = _decade_part(min(values), down=True), _decade_part(high)
            self.ticks = _log_ticks(self._low, self._high)
        else:
            self.ticks = _ticks(about.get("end", high))
            self._low, self._high = 0, self.ticks[-1]

    def place(self, value):
        """Where a value is on the page."""
        low, high = self._scaled(self._low), self._scaled(self._high)
        share = (self._scaled(value) - low) / (high - low)
        return self._begin + share * (self._end - self._begin)

    def _scaled(self, value):
        return math.log10(value) if self._is_log else value


def _ticks(high):
    """From 0 on, so that the last is at or above `high`: steps of 1, 2 or 5 times a power of ten."""
    rough = high / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(part * power for part in (1, 2, 5, 10) if part * power >= rough * 0.999)
    return [number * step for number in range(math.ceil(high / step - 1e-9) + 1)]


def _decade_part(value, down=False):
    """The nearest of 1, 2 and 5 times a power of ten that is not above, or not below."""
    power = 10 ** math.floor(math.log10(value))
    parts = [part * power for part in (1, 2, 5, 10)]
    if down:
        return max(part for part in parts if part <= value * 1.001)
    return min(part for part in parts if part >= value * 0.999)


def _log_ticks(low, high):
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [part * 10.0 ** power for power in powers for part in (1, 2, 5)]
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]


def number(value):
    """A tick's text."""
    if value >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def svg(chart):
    """The whole file."""
    points = [point for series in chart["series"] for point in series["points"]]
    x = Axis(chart["x"], [point[0] for point in points], LEFT, WIDTH - RIGHT)
    y = Axis(chart["y"], [high for point in points for high in point[1:]], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img">',
        f"<title>{html.escape(chart['title'])}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
        _text(LEFT, 26, chart["title"], "start", "title"),
        *_axes(x, y),
    ]
    for index, series in enumerate(chart["series"]):
        parts += _legend(index, series)
        parts += _line(index, series, x, y)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _text(x, y, text, anchor, kind="", more=""):
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} class="{kind}"{more}>{html.escape(text)}</text>'


def _stroke(x1, y1, x2, y2, kind):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _axes(x, y):
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for tick in y.ticks:
        place = y.place(tick)
        parts += [_stroke(LEFT, place, right, place, "grid")]
        parts += [_text(LEFT - 8, place + 4, number(tick), "end")]
    for tick in x.ticks:
        place = x.place(tick)
        parts += [_stroke(place, bottom, place, bottom + 5, "axis")]
        parts += [_text(place, bottom + 20, number(tick), "middle")]
    middle = (TOP + bottom) / 2
    turned = f' transform="rotate(-90 18 {middle:.1f})"'
    return [
        *parts,
        _stroke(LEFT, bottom, right, bottom, "axis"),
        _text((LEFT + right) / 2, HEIGHT - 16, x.label, "middle"),
        _text(18, middle, y.label, "middle", more=turned),
    ]


def _legend(index, series):
    x = LEFT + index % LEGEND_COLUMNS * (WIDTH - LEFT - RIGHT) / LEGEND_COLUMNS
    y = 46 + index // LEGEND_COLUMNS * 20
    marks = [_mark(index, x + 15, y)] if len(series["points"]) <= FEW else []
    return [
        _stroke(x, y, x + 30, y, _kind(index, series)), *marks,
        _text(x + 38, y + 4, series["name"], "start"),
    ]


def _kind(index, series):
    return f"line s{index % COLOURS}" + (" dashed" if series.get("dashed") else "")


def _line(index, series, x, y):
    places = [(x.place(point[0]), y.place(point[1])) for point in series["points"]]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    parts = [f'<polyline class="{_kind(index, series)}" points="{path}"/>']
    for point in series["points"]:
        if len(point) == 4:
            at, low, high = x.place(point[0]), y.place(point[2]), y.place(point[3])
            parts.append(_stroke(at, low, at, high, f"line s{index % COLOURS}"))
    if len(places) <= FEW:
        parts += [_mark(index, a, b) for a, b in places]
    return parts


def _mark(index, x, y):
    """A shape of its own for each series: colour is not all that tells them apart."""
    size = 4.5
    colour = index % COLOURS
    kind = f'class="mark s{colour} c{colour} full"'
    if colour == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" {kind}/>'
    corners = {
        1: [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        2: [(0, -1.2), (1.2, 1), (-1.2, 1)],
        3: [(0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)],
    }[colour]
    path = " ".join(f"{x + a * size:.1f},{y + b * size:.1f}" for a, b in corners)
    return f'<polygon points="{path}" {kind}/>'


def write(directory, results):
    """A file for each chart of the results; returns their names."""
    charts = [chart for result in results for chart in result.get("charts", [])]
    for chart in charts:
        (pathlib.Path(directory) / f"{chart['file']}.svg").write_text(svg(chart))
    return [f"{chart['file']}.svg" for chart in charts]
