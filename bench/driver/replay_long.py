"""Scenario `replay-long`: one client asks for all of a long stream, at full speed and slowly, while
others wait for what is new."""

import re
import socket
import tempfile
import time

from .fanout import spread
from .pace import Background, publish_evenly
from .peak import Peak, resident_bytes

LONG, OTHER = "bench:long", "bench:other"
BURST = 1_000
LIMIT_SECONDS = 120
# The slow client reads so often; its receive buffer is small, so that the kernel does not read for it.
SLOW_READS_A_SECOND = 50
SLOW_BUFFER_BYTES = 64 * 1024
SETTLE_SECONDS = 6


def replay_long(bench):
    """Four parts, one after the other, on one server: nobody replays, one does, one does slowly, and
    many do, each from a place of its own, so that none shares a page with another at first."""
    with bench.server() as server:
        _fill(bench, server)
        before = resident_bytes(server.pid)
        parts = {
            "without a replay": _part(bench, server, lambda over: None),
            "beside replays": _part(bench, server, lambda over: _replay(bench, server, over)),
            "beside a slow one": _part(bench, server, lambda over: _replay_slowly(bench, server, over)),
            "beside many": _part(bench, server, lambda over: _replay_to_many(bench, server, over)),
        }
        time.sleep(SETTLE_SECONDS)
        after = resident_bytes(server.pid)
    return _result(bench, parts, before, after)


def _fill(bench, server):
    for stream in (LONG, OTHER):
        server.publisher.prepare(stream)
    for begin in range(0, bench.long_messages, BURST):
        count = min(BURST, bench.long_messages - begin)
        server.publisher.publish(LONG, count, bench.long_payload)
    server.publisher.publish(OTHER, 1, bench.payload)


def _part(bench, server, work):
    """Latencies of what is new on both streams while `work` goes on; and the most memory."""
    work_done = []
    count = max(1, round(bench.long_seconds * bench.long_rate))
    flags = ("--messages", str(count), "--expect-consecutive")
    with bench.load(server.url(LONG), 1, *flags, ready=bench.ready) as same:
        with bench.load(server.url(OTHER), 1, *flags, ready=bench.ready) as other:
            same.connected()
            other.connected()
            with Peak(server.pid) as peak:
                with Background(lambda over: work_done.append(work(over))):
                    publish_evenly(
                        [(server.publisher, LONG), (server.publisher, OTHER)],
                        bench.long_seconds, bench.long_rate, bench.payload,
                    )
                    reports = {"same": same.report(), "other": other.report()}
    for report in reports.values():
        del report["rounds_ns"]
    bench.say(f"replay-long: {peak.bytes / 1e6:.1f} MB, {_text(reports['same'])}")
    return {"peak": peak.bytes, "work": work_done[0], **reports}


def _replay(bench, server, over):
    """One replay after the other; how long each took."""
    seconds = []
    flags = ("--since", "0", "--messages", str(bench.long_messages), "--expect-consecutive")
    while not over.is_set():
        with bench.load(
            server.url(LONG), 1, *flags, ready=bench.ready, timeout=LIMIT_SECONDS
        ) as load:
            seconds.append(load.report(LIMIT_SECONDS)["last_message_seconds"])
    return seconds


def _replay_slowly(bench, server, over):
    """Reads at a limited rate until the part is over; how many bytes a second it was."""
    host, port, path = re.fullmatch(r"http://([\d.]+):(\d+)(/.*)", server.url(LONG)).groups()
    share = max(1, int(bench.long_slow_rate / SLOW_READS_A_SECOND))
    begun, total = time.monotonic(), 0
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER_BYTES)
        client.connect((host, int(port)))
        client.sendall(f"GET {path}?since=0 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        while not over.wait(1 / SLOW_READS_A_SECOND):
            count = len(client.recv(share))
            if count == 0:
                raise RuntimeError("the slow client was dropped")
            total += count
    return total / (time.monotonic() - begun)


def _replay_to_many(bench, server, over):
    """Again and again; how many came to the end."""
    ended = 0
    step = max(1, bench.long_messages // bench.long_many)
    with tempfile.NamedTemporaryFile("w", suffix=".paths") as paths:
        path = re.sub(r"^http://[^/]+", "", server.url(LONG))
        cursors = range(1, bench.long_messages, step)
        paths.writelines(f"{path}?since={cursor}\n" for cursor in cursors)
        paths.flush()
        flags = ("--paths", paths.name, "--expect-consecutive")
        while not over.is_set():
            # All have the last `step` messages at least; who has them is let go.
            with bench.load(
                server.url(LONG), len(cursors), *flags, "--messages", str(step - 1),
                ready=bench.ready, timeout=LIMIT_SECONDS,
            ) as load:
                load.report(LIMIT_SECONDS)
            ended += len(cursors)
    return ended


def _text(report):
    return f"p50 {report['arrival_p50_us'] / 1e3:.2f}, p99 {report['arrival_p99_us'] / 1e3:.2f} ms"


def _result(bench, parts, before, after):
    name = f"replay of {bench.long_messages:,}"
    fast, slow = parts["beside replays"]["work"], parts["beside a slow one"]["work"]
    rows = [
        ("connect to last message", spread(fast, "{:.2f}") + f" s, {len(fast)} times"),
        ("the slow one reads", f"{slow / 1e6:.2f} MB/s"),
        (
            "RSS before, at most in each part, after",
            " / ".join(
                f"{count / 1e6:.1f}"
                for count in (before, *(part["peak"] for part in parts.values()), after)
            ) + " MB",
        ),
    ]
    for stream in ("same", "other"):
        for title, part in parts.items():
            rows.append((f"new messages, {stream} stream, {title}", _text(part[stream])))
    rows = [(f"{name}: {what}", figure) for what, figure in rows]
    return {"scenario": name, "parts": parts, "before": before, "after": after, "rows": rows}
