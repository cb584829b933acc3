"""Scenario `storm`: everyone comes back at once after a restart of the server, each so many messages
behind; on one stream, and spread over many. The ceiling answers as many with as many bytes, in turn."""

import re
import socket
import statistics
import time

from .fanout import spread
from .postgres import run_sql
from .process import processor_seconds
from .publisher import DatabasePublisher
from .statements import SETTINGS, Statements

# How many more messages a stream has than anyone is behind, so that the cursors are not zero.
BEFORE = 10
LIMIT_SECONDS = 120
RETRY_SAMPLE = 200


def storm(bench):
    """Rounds: server and ceiling in turn. Then a tenth of the clients: what that does to the queries."""
    results = [_case(bench, streams) for streams in (1, bench.storm_streams)]
    rows = [row for result in results for row in result["rows"]]
    return {"scenario": "storm", "cases": results, "rows": rows}


class Storm:
    """A Postgres that is full, and what came of the storms on it."""

    def __init__(self, bench, postgres, streams):
        self.bench, self.postgres, self.streams = bench, postgres, streams
        self.statements = Statements(postgres.conninfo)
        self.stream = "bench:0" if streams == 1 else "bench:%d"

    def fill(self, publisher):
        """All streams in as few statements as the store allows."""
        for number in range(self.streams):
            publisher.prepare(f"bench:{number}")
            publisher.publish(
                f"bench:{number}", BEFORE + self.bench.storm_behind, self.bench.payload
            )

    def come_back(self, url, clients):
        """So many clients at once, each with its cursor; what the load client reports."""
        flags = ["--streams", str(self.streams), "--last-event-id", str(BEFORE)]
        flags += ["--messages", str(self.bench.storm_behind), "--expect-consecutive"]
        flags += ["--in-flight", str(self.bench.storm_at_once)]
        with self.bench.load(
            url, clients, *flags, ready=self.bench.ready, timeout=LIMIT_SECONDS
        ) as load:
            report = load.report()
        if report["messages"] != clients * self.bench.storm_behind:
            raise RuntimeError(f"{report['messages']} messages came")
        return report

    def after_restart(self, clients):
        """One storm on a server that has just started."""
        with self.bench.millstream(self.postgres, self.statements.role) as server:
            self.statements.begin()
            before = processor_seconds(server.pid)
            report = self.come_back(server.url(self.stream), clients)
            seconds = processor_seconds(server.pid) - before
            queries = self.statements.count()
        return {
            "seconds": report["last_message_seconds"], "processor_seconds": seconds,
            "own_seconds": report["own_user_seconds"] + report["own_system_seconds"],
            "queries": queries,
        }

    def at_ceiling(self, clients):
        """The same from the program that has the answer ready."""
        numbers = (BEFORE + 1, self.bench.storm_behind, self.bench.payload)
        with self.bench.ceiling(*numbers) as ceiling:
            before = processor_seconds(ceiling.pid)
            report = self.come_back(ceiling.url(self.stream), clients)
            seconds = processor_seconds(ceiling.pid) - before
        return {"seconds": report["last_message_seconds"], "processor_seconds": seconds}

    def cut(self, clients):
        """Clients that stay while the server's sessions are cut off; then the server's end."""
        with self.bench.millstream(self.postgres, self.statements.role) as server:
            flags = ("--streams", str(self.streams), "--hold")
            url = server.url(self.stream)
            with self.bench.load(url, clients, *flags, ready=self.bench.ready) as load:
                load.connected()
                retries = sample_retries(url.replace("%d", "0"))
                outage, queries = self._cut_sessions(load)
                begun = time.monotonic()
                server.process.stop()
                seconds = time.monotonic() - begun
                report = load.report(must_pass=False)
        return {
            "outage_seconds": outage, "queries": queries, "shutdown_seconds": seconds,
            "goodbyes": report["goodbyes"], "retries_ms": retries,
        }

    def _cut_sessions(self, load):
        """Publishes to each stream right after the cut; over when everyone has it."""
        self.statements.begin()
        run_sql(
            self.postgres.conninfo,
            sql="select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name like 'millstream%'",
        )
        begun = time.monotonic()
        # Not the server's own publisher: what that one asks is counted as the server's.
        publisher = DatabasePublisher(self.postgres.conninfo, self.bench.store)
        for number in range(self.streams):
            publisher.publish(f"bench:{number}", 1, self.bench.payload)
        load.wait_for_round(1, LIMIT_SECONDS)
        seconds = time.monotonic() - begun
        publisher.close()
        return seconds, self.statements.count()


def sample_retries(url):
    """What `retry:` says to some clients, in milliseconds."""
    host, port, path = re.fullmatch(r"http://([\d.]+):(\d+)(/.*)", url).groups()
    retries = []
    for _ in range(RETRY_SAMPLE):
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            text = b""
            while not (found := re.search(rb"^retry: (\d+)\n", text, re.MULTILINE)):
                text += client.recv(4096)
            retries.append(int(found[1]))
    return retries


def _case(bench, streams):
    clients = bench.storm_connections
    with bench.postgres(**SETTINGS) as postgres:
        storm = Storm(bench, postgres, streams)
        with bench.millstream(postgres) as server:
            storm.fill(server.publisher)
        ours, theirs = [], []
        for number in range(bench.storm_rounds):
            ours.append(storm.after_restart(clients))
            theirs.append(storm.at_ceiling(clients))
            bench.say(
                f"storm: {clients} on {streams}: {ours[-1]['seconds']:.2f} s, ceiling"
                f" {theirs[-1]['seconds']:.2f} s, queries {ours[-1]['queries']}"
            )
        fewer = [storm.after_restart(max(clients // 10, streams)) for _ in range(bench.storm_rounds)]
        cut = storm.cut(clients)
    return _result(bench, streams, ours, theirs, fewer, cut)


def _result(bench, streams, ours, theirs, fewer, cut):
    clients = bench.storm_connections
    name = f"storm, {clients} on {streams} stream{'s' if streams > 1 else ''}"
    ratios = [our["seconds"] / their["seconds"] for our, their in zip(ours, theirs)]
    processor = [
        our["processor_seconds"] / their["processor_seconds"] for our, their in zip(ours, theirs)
    ]
    retries = cut["retries_ms"]
    few = max(clients // 10, streams)
    rows = [
        ("until the last has caught up", spread([r["seconds"] for r in ours], "{:.2f}") + " s"),
        ("the ceiling", spread([r["seconds"] for r in theirs], "{:.2f}") + " s"),
        ("ratio to the ceiling", spread(ratios, "{:.2f}")),
        ("ratio to the ceiling, processor time of the server", spread(processor, "{:.2f}")),
        ("queries", _queries(ours)),
        (f"queries with {few} clients", _queries(fewer)),
        (
            "sessions cut: until all have a message from meanwhile",
            f"{cut['outage_seconds']:.2f} s, queries {_queries([cut])}",
        ),
        (
            "shutdown",
            f"{cut['shutdown_seconds']:.2f} s, {cut['goodbyes']} goodbyes; retry"
            f" {min(retries)}–{max(retries)} ms, standard deviation"
            f" {statistics.pstdev(retries):.0f}",
        ),
    ]
    rows = [(f"{name}: {what}", figure) for what, figure in rows]
    return {
        "case": name, "server": ours, "ceiling": theirs, "fewer": fewer, "cut": cut,
        "ratios": ratios, "rows": rows,
    }


def _queries(rounds):
    def text(kind):
        return spread([r["queries"][kind] for r in rounds], "{:.0f}")

    return f"{text('questions')}: {text('looks')} looks, {text('reads')} reads"
