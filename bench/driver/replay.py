"""Scenario `replay`: many connections ask at once for all that a stream has kept."""

from .process import processor_seconds

STREAM = "bench:replay"
BURST = 1_000


def replay(bench):
    """Everything was published before anyone connects, and before this server started to listen
    to the stream: it has to come from the store."""
    with bench.server() as server:
        _fill(bench, server)
        before = processor_seconds(server.pid)
        flags = ("--since", "0", "--messages", str(bench.replay_messages), "--expect-consecutive")
        with bench.load(
            server.url(STREAM), bench.replay_connections, *flags, ready=bench.ready
        ) as load:
            report = load.report()
        seconds = processor_seconds(server.pid) - before
    del report["rounds_ns"]
    return _result(bench, report, seconds)


def _fill(bench, server):
    server.publisher.prepare(STREAM)
    for begin in range(0, bench.replay_messages, BURST):
        count = min(BURST, bench.replay_messages - begin)
        server.publisher.publish(STREAM, count, bench.payload)


def _result(bench, report, seconds):
    name = f"replay of {bench.replay_messages} messages to {bench.replay_connections}"
    wanted = bench.replay_messages * bench.replay_connections
    rate = report["messages"] / report["last_message_seconds"]
    text = f"{report['last_message_seconds']:.2f} s, {rate:,.0f} deliveries/s"
    if report["messages"] != wanted or not report["passed"]:
        text += f"; NOT COMPLETE: {report['messages']} of {wanted}"
    rows = [(f"{name}: connect to last message", text)]
    rows.append((f"{name}: processor time", f"{seconds:.2f} s"))
    return {"scenario": name, "processor_seconds": seconds, "load": report, "rows": rows}
