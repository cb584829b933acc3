#!/usr/bin/env python3
"""Measures Millstream and prints a table. See bench/README.md for what each figure means.

    bench/run.py                        all scenarios, at their usual sizes
    bench/run.py fanout --rounds 10     one alone
    bench/run.py memory --url http://127.0.0.1:8080/some/path --pid 4711 --ready head

Needs Python's standard library, psql and Postgres' programs, a C compiler, and Swift unless the
programs are given. Everything that it starts ends with it.
"""

import argparse
import functools
import pathlib
import resource
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from driver import (  # noqa: E402
    churn, compare, counts, embedded, fairness, fanout, idle_cpu, lanes, latency, loops, many_streams, memory,
    publishing, replay, replay_long, scale, start, storm, table,
)
from driver.bench import Bench  # noqa: E402
from peers import names as peer_names  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
PUBLISHED = ROOT / "bench/published"
SCENARIOS = {
    "memory": memory.idle,
    "memory-after": memory.after_messages,
    "fanout": fanout.fanout,
    "latency": latency.latency,
    "replay": replay.replay,
    "replay-long": replay_long.replay_long,
    "storm": storm.storm,
    "fairness": fairness.fairness,
    "churn": churn.churn,
    "counts": counts.counts,
    "idle-cpu": idle_cpu.idle_cpu,
    "many-streams": many_streams.many_streams,
    "publishing": publishing.publishing,
    "start": start.start,
    "loops": loops.loops,
    "scale": scale.scale,
    "peers": compare.compare,
    "embedded": embedded.embedded,
    "lanes": lanes.lanes,
}
WITHOUT_DATABASE = ("memory",)


def parsed(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scenarios", nargs="*", help=f"of {', '.join(SCENARIOS)}; none: all")
    add_server_flags(parser.add_argument_group("what is measured"))
    add_size_flags(parser.add_argument_group("sizes"))
    options = parser.parse_args(arguments)
    for name in options.scenarios:
        if name not in SCENARIOS:
            parser.error(f"there is no scenario '{name}'")
    if options.url and not options.pid:
        parser.error("--url needs --pid, the server's process")
    return options


def add_server_flags(group):
    """Which programs, or which server."""
    group.add_argument("--server", help="millstream; built in release if not given")
    group.add_argument("--load-client", help="millstream-load; built in release if not given")
    group.add_argument("--store", choices=("native", "pgmq"), default="native")
    group.add_argument("--pgmq-sql", default=str(ROOT / ".build-tools/pgmq.sql"))
    group.add_argument("--url", help="measure this instead: a server that runs already")
    group.add_argument("--pid", type=int, help="process of the server at --url")
    group.add_argument("--database", help="where to publish for the server at --url")
    group.add_argument("--ready", choices=("connected", "head"), default="connected",
                       help="what tells that the server at --url has subscribed a connection")
    group.add_argument("--peers", type=peers_among, default=",".join(peer_names()),
                       help=f"peers: other servers, of {', '.join(peer_names())} (all)")
    group.add_argument("--publish", action="store_true",
                       help="leave the table and the charts in bench/published, too")
    group.add_argument("--results", default=str(ROOT / "bench/results"), help="directory")


def add_size_flags(group):
    """How much of it."""
    group.add_argument("--sizes", type=sizes, default="2000,6000,10000,14000,18000",
                       help="memory: connections, ascending (2000,6000,10000,14000,18000)")
    group.add_argument("--after-messages", type=int, default=1000)
    group.add_argument("--connections", type=int, default=10000, help="fanout (10000)")
    group.add_argument("--rounds", type=int, default=40, help="fanout (40)")
    group.add_argument("--warm-up", type=int, default=5, help="rounds before those (5)")
    group.add_argument("--burst", type=int, default=1, help="fanout: messages a transaction (1)")
    group.add_argument("--payload", type=int, default=64, help="bytes of a message (64)")
    group.add_argument("--latency-connections", type=int, default=1000)
    group.add_argument("--rate", type=float, default=1.0, help="latency: messages a second (1)")
    group.add_argument("--seconds", type=float, default=30.0, help="latency: how long (30)")
    group.add_argument("--count-connections", type=int, default=10000, help="counts (10000)")
    group.add_argument("--count-rounds", type=int, default=10, help="counts (10)")
    group.add_argument("--replay-connections", type=int, default=1000)
    group.add_argument("--replay-messages", type=int, default=1000)
    group.add_argument("--storm-connections", type=int, default=10000)
    group.add_argument("--storm-streams", type=int, default=1000,
                       help="storm: the second case; the first is one stream (1000)")
    group.add_argument("--storm-behind", type=int, default=100,
                       help="storm: how many messages each is behind (100)")
    group.add_argument("--storm-rounds", type=int, default=5)
    group.add_argument("--storm-at-once", type=int, default=2000,
                       help="storm: connects under way at a time (2000)")
    group.add_argument("--long-messages", type=int, default=100_000)
    group.add_argument("--long-payload", type=int, default=300)
    group.add_argument("--long-seconds", type=float, default=10.0,
                       help="replay-long: how long each part is (10)")
    group.add_argument("--long-rate", type=float, default=50.0,
                       help="replay-long: new messages a second on each stream (50)")
    group.add_argument("--long-many", type=int, default=200,
                       help="replay-long: clients at places of their own (200)")
    group.add_argument("--long-slow-rate", type=float, default=1e6,
                       help="replay-long: bytes a second that the slow client reads (1e6)")
    group.add_argument("--fair-connections", type=int, default=15_000)
    group.add_argument("--fair-interval", type=float, default=0.5,
                       help="fairness: seconds between messages on the large stream (0.5)")
    group.add_argument("--fair-rate", type=float, default=20.0,
                       help="fairness: messages a second on the small stream (20)")
    group.add_argument("--fair-seconds", type=float, default=10.0,
                       help="fairness: how long each part is; idle and busy in turn (10)")
    group.add_argument("--fair-rounds", type=int, default=3)
    group.add_argument("--churn-streams", type=int, default=1_000_000)
    group.add_argument("--churn-seconds", type=float, default=60.0,
                       help="churn: at most (60)")
    group.add_argument("--churn-clients", type=int, default=256)
    group.add_argument("--churn-hold-ms", type=int, default=0,
                       help="churn: how long each subscription is held (0)")
    add_more_size_flags(group)
    add_comparison_flags(group)


def add_more_size_flags(group):
    """Those of what has to do with time and the number of streams and loops."""
    group.add_argument("--idle-connections", type=int, default=18_000)
    group.add_argument("--idle-seconds", type=float, default=15.0,
                       help="idle-cpu: how long each part is; a heartbeat's interval, best (15)")
    group.add_argument("--idle-rounds", type=int, default=3)
    group.add_argument("--idle-probe-ms", type=float, default=2.0,
                       help="idle-cpu: between two small requests (2)")
    group.add_argument("--many-streams", type=int, default=10_000)
    group.add_argument("--many-rate", type=float, default=50.0,
                       help="many-streams: messages a second on each side (50)")
    group.add_argument("--many-seconds", type=float, default=10.0,
                       help="many-streams: how long each round is (10)")
    group.add_argument("--many-rounds", type=int, default=3)
    group.add_argument("--publishing-writers", type=int, default=8)
    group.add_argument("--publishing-streams", type=int, default=100,
                       help="publishing: the second case; the first is one stream (100)")
    group.add_argument("--publishing-seconds", type=float, default=3.0)
    group.add_argument("--publishing-rounds", type=int, default=5)
    group.add_argument("--start-rounds", type=int, default=20)
    group.add_argument("--loops", type=int, default=2, help="loops: as many against one (2)")
    group.add_argument("--loop-connections", type=int, default=9_000,
                       help="loops: on each of the two servers (9000)")
    group.add_argument("--loop-rounds", type=int, default=20)
    group.add_argument("--loop-warm-up", type=int, default=3)
    group.add_argument("--loop-pin", action="store_true",
                       help="loops: keep each thread on a core of its own")
    group.add_argument("--loop-clients", type=int, default=4,
                       help="loops: load clients of each server; of several loops a multiple (4)")


def add_comparison_flags(group):
    """Those of what is compared at several numbers of connections."""
    group.add_argument("--scale-sizes", type=sizes, default="500,2000,10000",
                       help="scale, peers: connections, ascending (500,2000,10000)")
    group.add_argument("--scale-rounds", type=int, default=20,
                       help="scale, peers: of one message; of a burst a quarter of it (20)")
    group.add_argument("--peer-memory-sizes", type=sizes, default="2000,6000,10000",
                       help="peers: idle connections, ascending (2000,6000,10000)")


def sizes(text):
    """Numbers with commas between them."""
    numbers = [int(part) for part in text.split(",")]
    if len(numbers) < 2 or numbers != sorted(set(numbers)):
        raise argparse.ArgumentTypeError("at least two numbers, ascending")
    return numbers


def peers_among(text):
    """Names with commas between them."""
    chosen = [name for name in text.split(",") if name]
    for name in chosen:
        if name not in peer_names():
            raise argparse.ArgumentTypeError(f"bench/peers has no '{name}'")
    return chosen


def built(options):
    """Paths of the programs."""
    return {
        "server": options.server or (None if options.url else built_swift("millstream")),
        "load": options.load_client or built_swift("millstream-load"),
        "ceiling": built_c("ceiling"),
        "listen": built_c("listen", libraries=pq_flags()),
        "churn": built_c("churn"),
        "count": built_c("count", "-shared", "-fPIC"),
        # Linked with a library that takes minutes to build: only if it is asked for.
        "embedded": functools.cache(built_host),
    }


def built_swift(product):
    """Built in release, with the flags of `make build`, so that there is nothing to build anew."""
    build = ["swift", "build", "-c", "release", "--static-swift-stdlib", "--product", product]
    subprocess.run(build, cwd=ROOT, check=True, stdout=sys.stderr)
    return str(ROOT / ".build/release" / product)


def built_host():
    """A C program that is linked with libmillstream.a."""
    subprocess.run(["make", "library"], cwd=ROOT, check=True, stdout=sys.stderr)
    library = str(ROOT / ".build/library/libmillstream.a")
    needed = ["-lev", "-lpq", "-lcrypto", "-lstdc++", "-lm", "-lpthread"]
    header = f"-I{ROOT / 'Sources/CMillstream'}"
    return built_c("embedded", header, libraries=[library, *needed])


def pq_flags():
    """Where Postgres' client library is."""
    command = ["pkg-config", "--cflags", "--libs", "libpq"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def built_c(name, *flags, libraries=()):
    """Built anew: that takes no time."""
    program = ROOT / ".build/bench" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", *flags]
    source = str(ROOT / f"bench/{name}/{name}.c")
    subprocess.run(["cc", *flags, "-o", str(program), source, *libraries], check=True)
    return str(program)


def raise_descriptor_limit():
    """The children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def chosen(options):
    """The scenarios asked for, or all that can be run."""
    if options.scenarios:
        return options.scenarios
    return WITHOUT_DATABASE if options.url and not options.database else tuple(SCENARIOS)


def main():
    """Runs the scenarios, prints the table, and leaves it in the results directory."""
    options = parsed(sys.argv[1:])
    # So that what was started is also ended when the benchmark itself is asked to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    raise_descriptor_limit()
    about = table.conditions(ROOT, options.store, options.url or options.server)
    bench = Bench(options, built(options))
    results = []
    try:
        run(bench, about, results)
    finally:
        # Of an hour's run that ends in an error, too: what it has is no less true.
        print(table.markdown(about, results), end="")
    if options.publish:
        table.publish(PUBLISHED, about, results)


def run(bench, about, results):
    """Appends the results of one scenario after the other, and writes what there is each time."""
    begun, names = time.monotonic(), chosen(bench)
    for number, name in enumerate(names):
        minutes = (time.monotonic() - begun) / 60
        bench.say(f"[{number + 1} of {len(names)}, {minutes:.0f} min gone] {name}: begins")
        results.append(SCENARIOS[name](bench) | {"name": name})
        table.write(bench.results, about, results)


if __name__ == "__main__":
    main()
