"""A straight line through measured points, by least squares."""

import math


def slope(points):
    """The slope of (x, y) points and its standard error (nan with two points)."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    rise = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    if count < 3:
        return rise, math.nan
    left = sum((y - mean_y - rise * (x - mean_x)) ** 2 for x, y in points)
    return rise, math.sqrt(left / (count - 2) / spread)
