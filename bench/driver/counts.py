"""Scenario `counts`: what a delivery costs in calls, which is the same on every machine: system calls
and allocations, for one message and for a burst; and in instructions, under callgrind."""

import contextlib
import mmap
import pathlib
import re
import struct
import subprocess
import tempfile

STREAM = "bench:0"
ROUND_SECONDS = 300
NAMES = ("send", "recv", "epoll_wait", "epoll_ctl", "read", "write", "allocations")
SYSTEM_CALLS = NAMES[:-1]


class Counters:
    """What the preloaded library (bench/count) has counted so far."""

    def __init__(self, directory):
        self.path = pathlib.Path(directory) / "counts"
        self.path.write_bytes(bytes(8 * len(NAMES)))
        with open(self.path, "r+b") as file:
            self._mapped = mmap.mmap(file.fileno(), 0)

    def read(self):
        """The counts by name."""
        return dict(zip(NAMES, struct.unpack(f"{len(NAMES)}Q", self._mapped[:])))


@contextlib.contextmanager
def counted(bench):
    """A server in which calls are counted, and its counters."""
    with tempfile.TemporaryDirectory(prefix="millstream-counts-") as directory:
        counters = Counters(directory)
        environment = {"LD_PRELOAD": bench.binaries["count"], "MILLSTREAM_COUNTS": str(counters.path)}
        with bench.server(environment=environment) as server:
            yield server, counters


def counts(bench):
    """Both kinds of rounds on one server, with all connections up to date in between."""
    rows, figures = [], {}
    with counted(bench) as (server, counters):
        for burst in (1, 100):
            figures[burst] = _rounds(bench, server, counters, burst)
            rows += _rows(bench, burst, figures[burst])
    figures["instructions"] = instructions(bench)
    rows.append((
        f"user-space instructions, one message to {bench.count_connections}",
        f"{figures['instructions']:.1f} each delivery",
    ))
    return {"scenario": "counts", "figures": figures, "rows": rows}


def _rounds(bench, server, counters, burst):
    """Counts of the rounds after one that warms up, for each delivery."""
    rounds = bench.count_rounds
    with _subscribed(bench, server, (1 + rounds) * burst) as load:
        for number in range(1, rounds + 2):
            if number == 2:
                before = counters.read()
            server.publisher.publish(STREAM, burst, bench.payload)
            load.wait_for_round(number * burst, ROUND_SECONDS)
        after = counters.read()
        load.report()
    deliveries = rounds * burst * bench.count_connections
    return {name: (after[name] - before[name]) / deliveries for name in NAMES}


def _subscribed(bench, server, messages):
    server.publisher.prepare(STREAM)
    return bench.load(
        server.url(STREAM), bench.count_connections, "--messages", str(messages),
        ready=bench.ready, timeout=2 * ROUND_SECONDS,
    ).connected()


def _rows(bench, burst, figures):
    kind = "one message" if burst == 1 else f"a burst of {burst}"
    name = f"{kind} to {bench.count_connections}"
    system_calls = sum(figures[call] for call in SYSTEM_CALLS)
    return [
        (f"system calls, {name}", f"{system_calls:.4f} each delivery ({figures['send']:.4f} send)"),
        (f"allocations, {name}", f"{figures['allocations']:.5f} each delivery"),
    ]


def instructions(bench):
    """Under callgrind: by how much more messages make the total grow."""
    few, many = 5, 5 + bench.count_rounds
    grown = _collected(bench, many) - _collected(bench, few)
    return grown / (bench.count_rounds * bench.count_connections)


def _collected(bench, messages):
    """All instructions of a server that sends so many messages, one after the other."""
    with tempfile.TemporaryDirectory(prefix="millstream-callgrind-") as directory:
        out = pathlib.Path(directory) / "out"
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
        with bench.server(command=[*valgrind, _stripped(bench, directory)]) as server:
            with _subscribed(bench, server, messages) as load:
                for number in range(1, messages + 1):
                    server.publisher.publish(STREAM, 1, bench.payload)
                    load.wait_for_round(number, ROUND_SECONDS)
                load.report()
        return int(re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.M)[1])


def _stripped(bench, directory):
    """A copy of the server without what is there for debuggers, which valgrind may be too old for."""
    copy = pathlib.Path(directory) / "millstream"
    subprocess.run(["strip", "-g", "-o", copy, bench.binaries["server"]], check=True)
    return str(copy)
