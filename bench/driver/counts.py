"""Scenario `counts`: what a delivery costs in calls, which is the same on every machine: system calls
and allocations, for one message and for a burst; and in instructions, under callgrind."""

import contextlib
import mmap
import pathlib
import re
import struct
import subprocess
import tempfile
import time

STREAM = "bench:0"
ROUND_SECONDS = 300
NAMES = ("send", "recv", "epoll_wait", "epoll_ctl", "read", "write", "allocations")
SYSTEM_CALLS = NAMES[:-1]
# Messages that are sent before anything is counted.
WARM_UP = 5
# What comes with time and not with messages.
WITHOUT_TIMERS = ("--heartbeat", "12h", "--safety-poll", "12h", "--health-check", "12h")


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
        with bench.server(environment=environment, flags=WITHOUT_TIMERS) as server:
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
    with _subscribed(bench, server, "--messages", str((1 + rounds) * burst)) as load:
        for number in range(1, rounds + 2):
            if number == 2:
                before = counters.read()
            server.publisher.publish(STREAM, burst, bench.payload)
            load.wait_for_round(number * burst, ROUND_SECONDS)
        after = counters.read()
        load.report()
    deliveries = rounds * burst * bench.count_connections
    return {name: (after[name] - before[name]) / deliveries for name in NAMES}


def _subscribed(bench, server, *until):
    server.publisher.prepare(STREAM)
    return bench.load(
        server.url(STREAM), bench.count_connections, *until, ready=bench.ready,
        timeout=2 * ROUND_SECONDS,
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
    """Under callgrind: what so many messages take, less what a server takes that has nothing to do for as
    long, which under callgrind is long."""
    rounds = bench.count_rounds
    with tempfile.TemporaryDirectory(prefix="millstream-callgrind-") as directory:
        out = pathlib.Path(directory) / "out"
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
        command = [*valgrind, _stripped(bench, directory)]
        with bench.server(command=command, flags=WITHOUT_TIMERS) as server:
            # They stay when they have everything: going costs instructions, too.
            with _subscribed(bench, server, "--hold") as load:
                _messages(bench, server, load, range(1, WARM_UP + 1))
                _collected(server, out, 1)
                begun = time.monotonic()
                _messages(bench, server, load, range(WARM_UP + 1, WARM_UP + rounds + 1))
                busy, seconds = _collected(server, out, 2), time.monotonic() - begun
                time.sleep(seconds)
                idle = _collected(server, out, 3)
    bench.say(f"counts: {busy} instructions in {seconds:.1f} s, idle {idle}")
    return (busy - idle) / (rounds * bench.count_connections)


def _messages(bench, server, load, numbers):
    for number in numbers:
        server.publisher.publish(STREAM, 1, bench.payload)
        load.wait_for_round(number, ROUND_SECONDS)


def _collected(server, out, number):
    """All instructions since the last time; callgrind numbers the files that it writes."""
    dump = ["callgrind_control", "--dump", str(server.pid)]
    subprocess.run(dump, check=True, stdout=subprocess.DEVNULL, timeout=ROUND_SECONDS)
    text = pathlib.Path(f"{out}.{number}").read_text()
    return int(re.search(r"^(?:totals|summary): (\d+)", text, re.M)[1])


def _stripped(bench, directory):
    """A copy of the server without what is there for debuggers, which valgrind may be too old for."""
    copy = pathlib.Path(directory) / "millstream"
    subprocess.run(["strip", "-g", "-o", copy, bench.binaries["server"]], check=True)
    return str(copy)
