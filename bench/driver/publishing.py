"""Scenario `publishing`: how many messages a second writers get in, into Millstream's own store and
into PGMQ queues with the trigger that notifies; on one stream and on many. pgbench writes."""

import pathlib
import re
import subprocess
import tempfile

from .fanout import spread
from .many_streams import make_queues
from .postgres import program
from .servers import clean_environment, install

STORES = ("native", "pgmq")
DATA = "'x' || repeat('y', {payload})"
CALLS = {
    "native": "select millstream.publish('bench:' || :n, " + DATA + ");",
    "pgmq": "select pgmq.send('pgbus_bench_' || :n, jsonb_build_object('html', " + DATA + "));",
}
# Whether a commit waits for its disk: the writers of one stream wait for each other's commits.
DURABILITIES = {
    "not durable": {},
    "durable": {"fsync": "on", "synchronous_commit": "on"},
}


def publishing(bench):
    """Autocommit; the stores in turn."""
    results = [_durability(bench, name) for name in DURABILITIES]
    rows = [row for result in results for row in result["rows"]]
    return {"scenario": "publishing", "cases": results, "rows": rows}


def _durability(bench, name):
    rates = {(streams, store): [] for streams in (1, bench.publishing_streams) for store in STORES}
    with bench.postgres(max_locks_per_transaction="1024", **DURABILITIES[name]) as postgres:
        other = "pgmq" if bench.store == "native" else "native"
        install(bench.binaries["server"], postgres.conninfo, other, bench.pgmq_sql)
        make_queues(postgres.conninfo, bench.publishing_streams)
        for number in range(1 + bench.publishing_rounds):
            for (streams, store), kept in rates.items():
                kept.append(_rate(bench, postgres, store, streams))
                bench.say(f"publishing, {name}: {store}, {streams}: {kept[-1]:,.0f} a second")
    # The first fills caches and makes the streams.
    return _result(bench, name, {key: kept[1:] for key, kept in rates.items()})


def _rate(bench, postgres, store, streams):
    """Transactions a second of one run of pgbench."""
    script = f"\\set n random(0, {streams - 1})\n" + CALLS[store].format(payload=bench.payload - 1)
    with tempfile.TemporaryDirectory(prefix="millstream-pgbench-") as directory:
        path = pathlib.Path(directory) / "script"
        path.write_text(script + "\n")
        command = [program("pgbench"), "-n", "-f", path, "-M", "prepared", "-j", "2"]
        command += ["-c", str(bench.publishing_writers), "-T", str(round(bench.publishing_seconds))]
        done = subprocess.run(
            [*command, postgres.conninfo], check=True, capture_output=True, text=True,
            env=clean_environment(),
        )
    failed = re.search(r"number of failed transactions: (\d+)", done.stdout)
    if failed and int(failed[1]):
        raise RuntimeError(done.stdout)
    return float(re.search(r"tps = ([\d.]+)", done.stdout)[1])


def _result(bench, durability, rates):
    rows = []
    for streams in (1, bench.publishing_streams):
        where = f"{streams:,} stream{'s' if streams > 1 else ''}"
        name = f"publishing, {bench.publishing_writers} writers on {where}, {durability}"
        ours, theirs = (rates[streams, store] for store in STORES)
        ratios = [a / b for a, b in zip(ours, theirs)]
        rows.append((f"{name}: millstream.publish", spread(ours, "{:,.0f}") + " a second"))
        rows.append((f"{name}: pgmq.send with its trigger", spread(theirs, "{:,.0f}") + " a second"))
        rows.append((f"{name}: ratio", spread(ratios, "{:.2f}")))
    return {"durability": durability, "rates": [[*key, kept] for key, kept in rates.items()], "rows": rows}
