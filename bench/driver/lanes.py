"""Scenario `lanes`: what a connection costs that carries 20 streams, beside 20 connections."""

from .line_fit import slope
from .memory import points_of

STREAMS = 20


def lanes(bench):
    """As many subscriptions in both cases, and the same history of both servers: none."""
    with bench.server() as server:
        single = _bytes(points_of(bench, server))
    with bench.server() as server:
        names = "&".join(f"s=bench:{number}" for number in range(STREAMS))
        base = server.url("").rstrip("/")
        many = _bytes(points_of(bench, server, url=f"{base}?{names}", share=STREAMS))
    ratio = (many["rss"] + many["kernel"]) / (single["rss"] + single["kernel"]) / STREAMS
    name = f"lanes, {STREAMS} streams on a connection"
    rows = [
        (f"{name}: RSS", f"{many['rss']:,.0f} bytes/connection, {many['rss'] / STREAMS:,.0f} a stream"),
        (f"{name}: with the kernel's part, ratio to {STREAMS} connections", f"{ratio:.3f}"),
    ]
    return {"scenario": name, "single": single, "many": many, "rows": rows}


def _bytes(points):
    """Of one connection: the process's, and the kernel's for both ends."""
    def of(figure):
        return slope([(size, measured[figure]) for size, measured in points])[0]

    return {"rss": of("rss"), "kernel": sum(of(f) for f in ("socket_slabs", "socket_buffers"))}
