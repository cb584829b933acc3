#!/usr/bin/env python3
"""Writers, subscribers and faults at random, for a given time; then nothing may be missing.

    Tests/Torture/torture.py --seconds 600 --seed 1 --writers 12 --subscribers 240

Needs what `Tests/setup.sh all` brings, and a built `millstream` (`MILLSTREAM_BIN`, or the debug
build). Exits 1 when a message was lost, came twice or out of order, with the seed. A seed gives the
same plan, not the same run: the schedule of two machines is never the same.
"""

import argparse
import collections
import pathlib
import random
import resource
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "System")]

import psycopg  # noqa: E402
from audience import Audience  # noqa: E402
from faults import Faults, Serving  # noqa: E402
from harness.pgmq import pgmq_sql  # noqa: E402
from harness.postgres import Postgres, execute  # noqa: E402
from harness.server import run as run_command  # noqa: E402
from harness.waiting import wait_until  # noqa: E402
from jobs import Archiver, Consumer, Deleter, Keeper, Renewer, make_queue  # noqa: E402
from ledger import COMMITTED, OPEN, ROLLED_BACK, Ledger, now_us  # noqa: E402
from streams import QUEUES, STREAMS  # noqa: E402
from verdict import Truth, Walk, describe  # noqa: E402
from writers import EphemeralSender, Writer, make_turns, send  # noqa: E402

# What a run may not have any of.
WRONG = (
    "lost", "doubled", "out of order", "phantom", "wrong", "corrupt", "no reset", "deaf", "late",
)  # fmt: skip
# Not wrong, and worth to be known.
NOTED = (
    "calm starts from now on", "resets", "other gaps", "passed cursors", "ephemeral",
    "late, not seen", "deleted before", "unknown, not seen",
)  # fmt: skip
SETTLE_SECONDS = 120


class Run:
    """One run, from an empty cluster to the verdict."""

    def __init__(self, options):
        self.options = options
        self.ledger = Ledger()
        self.postgres = Postgres()
        self.random = random.Random(f"{options.seed} run")
        self.actors = []
        self.serving = self.audience = None

    def __enter__(self):
        self.postgres.create()
        self.postgres.start()
        return self

    def __exit__(self, *_):
        for thread in self.actors + ([self.audience] if self.audience else []):
            thread.stopping.set()
        if self.serving and self.serving.server.is_running:
            self.serving.server.kill()
        self.postgres.remove()

    def prepare(self):
        """A database with both stores, the queues, and the server."""
        name = self.postgres.fresh_database()
        self.database = self.postgres.conninfo(name)
        execute(self.database, pgmq_sql())
        installed = run_command("install", "--database", self.database)
        assert installed.returncode == 0, installed.stderr.decode()
        with psycopg.connect(self.database, autocommit=True) as session:
            for stream in QUEUES:
                make_queue(session, stream)
        flags = [
            "--heartbeat", "2s", "--write-deadline", "8s", "--retry", "100ms",
            "--health-check", self.random.choice(("1s", "2s")),
            "--safety-poll", self.random.choice(("1s", "5s")), *self.options.serve_flags.split(),
        ]  # fmt: skip
        self.serving = Serving(self.postgres, name, flags)
        self._make_actors(name)

    def _make_actors(self, name):
        options, seed = self.options, self.options.seed
        self.audience = Audience(seed, self.serving.address, options.subscribers, self.ledger)
        self.faults = Faults(
            seed, options.fault_seconds, self.postgres, name, self.serving, options.only_faults
        )
        turns = make_turns() if options.serial_pgmq else {}
        self.actors = [
            Writer(number, seed, self.database, self.ledger, turns, options.pause)
            for number in range(options.writers)
        ]
        self.ephemerals = EphemeralSender(seed, self.database)
        self.renewer = Renewer(seed, self.database)
        self.deleter = Deleter(seed, self.database, self.ledger, self.audience)
        self.actors += [
            self.ephemerals, self.renewer, self.deleter, Archiver(seed, self.database, self.ledger),
            Consumer(seed, self.database), Keeper(seed, self.database),
        ]  # fmt: skip
        if options.no_renewals:
            self.actors.remove(self.renewer)

    def torture(self):
        """The disorder, for as long as was asked."""
        for thread in (*self.actors, self.audience):
            thread.start()
        deadline = time.monotonic() + self.options.seconds
        next_word = time.monotonic() + 30
        while time.monotonic() < deadline:
            time.sleep(0.02)
            self.faults.step()
            self._check_threads()
            if time.monotonic() > next_word:
                next_word += 30
                print(f"… {len(self.ledger.messages)} messages", file=sys.stderr, flush=True)

    def _check_threads(self):
        for thread in (*self.actors, self.audience):
            assert not thread.fault, f"{thread.name}:\n{thread.fault}"
        self.serving.assert_well()

    def settle(self):
        """Everything is whole again, and everybody gets a last message."""
        for actor in self.actors:
            actor.stopping.set()
        for actor in self.actors:
            actor.join()
        self._check_threads()
        self.audience.settle()
        with psycopg.connect(self.database, autocommit=True) as session:
            for stream in QUEUES:
                make_queue(session, stream)
            wait_until(self.audience.is_connected, "everybody is connected", SETTLE_SECONDS)
            self.sentinels = {stream: self._send_sentinel(session, stream) for stream in STREAMS}
        self.waiting = []
        try:
            wait_until(self._has_arrived, "the last message at everybody", SETTLE_SECONDS)
        except AssertionError:
            self.waiting = self.audience.waiting_for(self.sentinels)
        self.audience.stopping.set()
        self.audience.join()
        self._check_threads()
        self.serving.follow_log()
        self.serving.server.stop()

    def _has_arrived(self):
        assert self.audience.is_alive(), self.audience.fault
        return not self.audience.waiting_for(self.sentinels)

    def _send_sentinel(self, session, stream):
        sent = self.ledger.draw(stream)
        sent.commit_us = now_us()
        send(session, stream, [sent])
        self.ledger.settle([sent], COMMITTED)
        return sent

    # The end

    def judge(self):
        """The numbers, and what is wrong."""
        # A writer that was stopped between two statements has not committed.
        opens = [sent for sent in self.ledger.messages.values() if sent.state == OPEN]
        self.ledger.settle(opens, ROLLED_BACK)
        truth = Truth(self.ledger, self.database)
        counts = collections.Counter()
        violations = [("wrong", text, None, 0) for text in truth.violations]
        counts["wrong"] += len(violations)
        for life in self.audience.lives:
            walk = Walk(life, truth, self.options.hole_wait)
            walk.run(self.serving.was_calm)
            counts += walk.counts
            violations += walk.violations
        for subscriber in self.waiting:
            counts["deaf"] += 1
            life = subscriber.life
            text = f"deaf: without {self.sentinels[subscriber.stream]}"
            violations.append(("deaf", text, life, len(life.events)))
        self._print_table(truth, counts)
        self._print_violations(violations)
        return not violations

    def _print_table(self, truth, counts):
        rows = [
            ("seed", self.options.seed),
            ("seconds", f"{self.options.seconds:g}"),
            ("messages committed", self.ledger.count(COMMITTED)),
            ("messages rolled back", self.ledger.count(ROLLED_BACK)),
            ("outcome never known", truth.unknown),
            ("messages deleted", self.deleter.count),
            ("queues made anew", self.renewer.count),
            ("ephemeral broadcasts sent", self.ephemerals.count),
            ("subscribers", len(self.audience.subscribers)),
            ("lives", len(self.audience.lives)),
            ("connections", self.audience.connections),
            ("refused or not reached", self.audience.refusals),
            ("stops of reading", self.audience.pauses),
            *sorted(self.faults.counts.items()),
            ("delivered", counts["delivered"]),
            *((kind, counts[kind]) for kind in NOTED),
            *((kind.upper(), counts[kind]) for kind in WRONG),
        ]
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            print(f"{name:<{width}}  {value:>10}")

    def _print_violations(self, violations):
        if not violations:
            return
        shown = collections.Counter()
        for kind, text, life, at in violations:
            shown[kind] += 1
            if shown[kind] <= self.options.show:
                print(text)
                if life is not None:
                    print(describe(life, at))
                    self._dump(life, f"{kind} {shown[kind]}")
        for begun_us, over_us, kind in self.faults.history:
            print(f"fault {begun_us / 1e6:.3f} to {over_us / 1e6:.3f}: {kind}")
        if self.options.keep:
            (self.options.keep / "server.log").write_text("\n".join(self.serving.log) + "\n")
        print(f"FAILED with --seed {self.options.seed}")

    def _dump(self, life, name):
        if self.options.keep:
            self.options.keep.mkdir(parents=True, exist_ok=True)
            everything = describe(life, 0, after=len(life.events))
            (self.options.keep / f"{name}.txt").write_text(everything.replace(" ", "\n") + "\n")


def parse(arguments):
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--seconds", type=float, default=60)
    add("--seed", type=int, default=None, help="a random one if not given; it is printed")
    add("--writers", type=int, default=12)
    add("--subscribers", type=int, default=240)
    add("--fault-seconds", type=float, default=4, help="a fault that often, on average")
    add("--only-faults", nargs="*", default=None, help="none, or these kinds alone")
    add("--no-renewals", action="store_true", help="queues stay the same")
    add("--pause", type=float, default=0.15, help="of a writer between two transactions, seconds")
    add("--serial-pgmq", action="store_true", help="one sender at a time on each queue")
    add("--hole-wait", type=float, default=10, help="as the server has it, seconds")
    add("--serve-flags", default="", help="more flags for the server")
    add("--keep", type=pathlib.Path, help="where to put the server's log, and what clients saw that"
        " something is wrong with")
    add("--show", type=int, default=3, help="how many violations of each kind to print")
    options = parser.parse_args(arguments)
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    return options


def main(arguments):
    """Exit status 0 when nothing is wrong."""
    options = parse(arguments)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"torture: seed {options.seed}, {options.seconds:g} s", flush=True)
    with Run(options) as run:
        run.prepare()
        run.torture()
        run.settle()
        return 0 if run.judge() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
