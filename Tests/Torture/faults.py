"""What goes wrong, at random: sessions, Postgres, the network, writers, the server itself."""

import collections
import random
import re
import signal
import time

from harness.ports import free_port
from harness.server import Server
from ledger import now_us
from proxy import Proxy


class TimedServer(Server):
    """A server of whose lines it is known when they came: who reads them may be late."""

    def __init__(self, *arguments, **options):
        self.times = []
        super().__init__(*arguments, **options)

    def _collect_log(self):
        for line in self.process.stderr:
            self.times.append(now_us())
            self.log.append(line.decode(errors="replace").rstrip("\n"))


class Serving:
    """The server, its proxies to Postgres, and when it was cut off from there."""

    def __init__(self, postgres, database, flags):
        self.proxies = {"read": Proxy(postgres.port), "listen": Proxy(postgres.port)}
        conninfo = f"host=127.0.0.1 user=postgres dbname={database} port="
        self._arguments = (
            f"{conninfo}{self.proxies['read'].port}",
            "--listen-database", f"{conninfo}{self.proxies['listen'].port}", *flags,
        )  # fmt: skip
        self.address = ("127.0.0.1", free_port())
        self.log = []
        self._storms = []
        self._away = {}
        self.start()

    def start(self):
        """Starts it, at the same address as ever."""
        listen = f"{self.address[0]}:{self.address[1]}"
        self.server = TimedServer(*self._arguments, listen=listen)
        self._lines = 0
        self._away = dict.fromkeys(("read", "listen"), now_us())

    def restart(self, number):
        """Ends it by a signal, and starts it."""
        begun_us = now_us()
        if number == signal.SIGTERM:
            self.server.stop()
        else:
            self.server.kill()
        self.follow_log()
        self.start()
        self._storms.append((begun_us, now_us()))

    def assert_well(self):
        """It has not ended by itself, and nothing in its log is a complaint."""
        status = self.server.process.poll()
        assert status is None, f"the server ended with {status}:\n{self.server.log_text()[-8000:]}"
        self.server.assert_no_report()

    def follow_log(self):
        """Takes note of what it has said: when a session was away."""
        lines = self.server.log[self._lines :]
        times = self.server.times[self._lines :]
        self._lines += len(lines)
        for at_us, line in zip(times, lines):
            self.log.append(f"{at_us / 1e6:.3f} {line}")
            session = re.search(r"session=(\w+)", line)
            if not session:
                continue
            if "is ready" in line and session[1] in self._away:
                self._storms.append((self._away.pop(session[1]), at_us))
            elif "is away" in line:
                self._away.setdefault(session[1], at_us)

    def storm(self, begun_us):
        """Until now it may not have known where streams are."""
        self._storms.append((begun_us, now_us()))

    def was_calm(self, since_us, until_us):
        """Whether it could ask Postgres at any time between, and somewhat before and after."""
        storms = self._storms + [(since, now_us()) for since in self._away.values()]
        margin_us = 500_000
        return not any(
            begun <= until_us + margin_us and since_us - margin_us <= over
            for begun, over in storms
        )


class Faults:
    """One fault after the other; after each of them everything is whole again.

    On the main thread: Postgres and the server are ended by the kernel with the thread that started
    them.
    """

    def __init__(self, seed, every_seconds, postgres, database, serving, only=None):
        self.random = random.Random(f"{seed} faults")
        self.every_seconds = every_seconds
        self.postgres = postgres
        self.database = database
        self.serving = serving
        self.counts = collections.Counter()
        self.history = []
        self._due = self._next_due()
        self._kinds = {
            "read session terminated": (4, lambda: self._terminate("millstream read")),
            "listen session terminated": (4, lambda: self._terminate("millstream listen")),
            "both sessions terminated": (3, lambda: self._terminate("millstream")),
            "writer terminated": (8, self._terminate_writer),
            "postgres restarted": (2, lambda: self._restart_postgres(self.postgres.stop)),
            "postgres crashed": (2, lambda: self._restart_postgres(self.postgres.stop_hard)),
            "network dead, then back": (4, lambda: self._dead_network(self._revive)),
            "network dead, then cut": (3, lambda: self._dead_network(self._cut_and_revive)),
            "network cut": (3, lambda: self._some_proxies(Proxy.cut)),
            "server restarted": (2, lambda: self.serving.restart(signal.SIGTERM)),
            "server killed": (2, lambda: self.serving.restart(signal.SIGKILL)),
        }
        if only is not None:
            self._kinds = {kind: what for kind, what in self._kinds.items() if kind in only}

    def step(self):
        """A fault, if it is time for one."""
        self.serving.follow_log()
        if self._kinds and time.monotonic() >= self._due:
            self._commit_one()
            self._due = self._next_due()

    def _next_due(self):
        return time.monotonic() + self.random.expovariate(1 / self.every_seconds)

    def _commit_one(self):
        kinds = list(self._kinds)
        weights = [self._kinds[kind][0] for kind in kinds]
        kind = self.random.choices(kinds, weights)[0]
        begun_us = now_us()
        self._kinds[kind][1]()
        self.counts[kind] += 1
        self.history.append((begun_us, now_us(), kind))

    def _terminate(self, application_name):
        self.postgres.terminate_backends(self.database, application_name)

    def _terminate_writer(self):
        """One that is in the middle of a transaction, if there is one."""
        self.postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'torture writer' AND state <> 'idle'"
            " ORDER BY random() LIMIT 1"
        )

    def _restart_postgres(self, stop):
        begun_us = now_us()
        stop()
        time.sleep(self.random.choice((0, 0, 0.5, 2)))
        self.postgres.start()
        self.serving.storm(begun_us)

    def _some_proxies(self, action):
        both = list(self.serving.proxies.values())
        for proxy in self.random.choice((both, both[:1], both[1:])):
            action(proxy)

    def _dead_network(self, end):
        begun_us = now_us()
        both = list(self.serving.proxies.values())
        chosen = self.random.choice((both, both[:1], both[1:]))
        for proxy in chosen:
            proxy.die()
        time.sleep(self.random.choice((0.3, 1, 3, 8)))
        for proxy in chosen:
            end(proxy)
        self.serving.storm(begun_us)

    @staticmethod
    def _revive(proxy):
        proxy.revive()

    @staticmethod
    def _cut_and_revive(proxy):
        proxy.cut()
        proxy.revive()
