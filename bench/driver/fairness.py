"""Scenario `fairness`: what a stream with very many connections costs one with a single subscriber.

Idle and busy parts in turn: the connections are there all the time, and only in the busy parts is
anything published to them."""

from .fanout import spread
from .pace import Background, publish_evenly
from .publisher import DatabasePublisher

LARGE, SMALL = "bench:large", "bench:small"
WARM_UP = 3
ROUND_SECONDS = 30


def fairness(bench):
    """Latencies of the small stream, from just before the commit to the kernel's arrival."""
    idle, busy, counts = [], [], []
    with bench.postgres() as postgres, bench.millstream(postgres) as server:
        large = DatabasePublisher(postgres.conninfo, bench.store)
        for stream in (LARGE, SMALL):
            large.prepare(stream)
            for _ in range(WARM_UP):
                large.publish(stream, 1, bench.payload)
        with bench.load(
            server.url(LARGE), bench.fair_connections, "--hold", ready=bench.ready
        ) as crowd:
            crowd.connected()
            for number in range(bench.fair_rounds):
                idle.append(_part(bench, server))
                busy.append(_busy_part(bench, server, large, crowd, counts))
                bench.say(f"fairness: idle {_text(idle[-1])}; busy {_text(busy[-1])}")
        large.close()
    return _result(bench, idle, busy, sum(counts))


def _busy_part(bench, server, large, crowd, counts):
    sent = 0

    def publish(over):
        nonlocal sent
        while not over.wait(bench.fair_interval):
            large.publish(LARGE, 1, bench.payload)
            sent += 1

    with Background(publish):
        report = _part(bench, server)
    counts.append(sent)
    crowd.wait_for_round(sum(counts), ROUND_SECONDS)
    return report


def _part(bench, server):
    """One subscriber of the small stream, for one part."""
    count = max(1, round(bench.fair_seconds * bench.fair_rate))
    flags = ("--messages", str(count), "--expect-consecutive")
    with bench.load(server.url(SMALL), 1, *flags, ready=bench.ready) as load:
        load.connected()
        publish_evenly(
            [(server.publisher, SMALL)], bench.fair_seconds, bench.fair_rate, bench.payload
        )
        report = load.report()
    del report["rounds_ns"]
    return report


def _text(report):
    return f"p50 {report['arrival_p50_us'] / 1e3:.2f}, p99 {report['arrival_p99_us'] / 1e3:.2f} ms"


def _result(bench, idle, busy, sent):
    name = f"fairness, one subscriber beside {bench.fair_connections}"

    def figures(reports, label):
        return [report[f"arrival_{label}_us"] / 1e3 for report in reports]

    rows = []
    for label in ("p50", "p99"):
        quiet, loud = figures(idle, label), figures(busy, label)
        more = [b - a for a, b in zip(quiet, loud)]
        rows.append((f"{name}: {label}, idle", spread(quiet, "{:.2f}") + " ms"))
        rows.append(
            (f"{name}: {label}, a message every {bench.fair_interval} s to the others",
             spread(loud, "{:.2f}") + " ms"))
        rows.append((f"{name}: {label}, difference", spread(more, "{:.2f}") + " ms"))
    return {"scenario": name, "idle": idle, "busy": busy, "published": sent, "rows": rows}
