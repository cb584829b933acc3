"""Load clients that stand still while a server sends: the kernel takes what comes and notes when, and
the clients read it afterwards. So the processors are the servers' alone."""

import os
import signal
import time

from .fanout import ROUND_SECONDS
from .process import thread_seconds

QUIET_SECONDS = 0.05


class StandingLoad:
    """Clients on one or several servers, which have `connections` altogether."""

    def __init__(self, bench, stack, servers, stream, connections, messages):
        self.servers, self.connections = servers, connections
        self.seconds, self.busiest_seconds = [], []
        if bench.loop_pin:
            self._pin()
        urls = [servers[n % len(servers)].url(stream) for n in range(bench.loop_clients)]
        self.loads = [
            stack.enter_context(bench.load(
                url, connections // bench.loop_clients, "--messages", str(messages),
                "--expect-consecutive", ready=bench.ready,
            ))
            for url in urls
        ]
        for load in self.loads:
            load.connected()

    def round(self, number, publish):
        """`publish()` gives the servers their `number`-th message; notes what they run until they rest."""
        before = self._ran()
        self._signal(signal.SIGSTOP)
        try:
            publish()
            after = self._wait_until_quiet(before)
        finally:
            self._signal(signal.SIGCONT)
        for load in self.loads:
            load.wait_for_round(number, ROUND_SECONDS)
        used = [after[thread] - seconds for thread, seconds in before.items()]
        self.seconds.append(sum(used))
        self.busiest_seconds.append(max(used))

    def rates(self):
        """Deliveries a second of each round, from the first arrival anywhere to the last."""
        rounds = zip(*(load.report()["rounds_ns"] for load in self.loads))
        spans = [max(last for _, last in each) - min(first for first, _ in each) for each in rounds]
        return [(self.connections - 1) * 1e9 / max(span, 1) for span in spans]

    def _signal(self, number):
        for load in self.loads:
            os.kill(load.process.pid, number)

    def _ran(self):
        """Of each thread of the servers."""
        return {
            thread: seconds for server in self.servers
            for thread, seconds in thread_seconds(server.pid).items()
        }

    def _pin(self):
        """Each thread to a core of its own, as far as there are some."""
        for number, thread in enumerate(sorted(self._ran())):
            os.sched_setaffinity(thread, {number % os.cpu_count()})

    def _wait_until_quiet(self, before):
        """Until the servers have begun and then sleep; what they have run by then."""
        begin = sum(before.values())
        ran, deadline = begin, time.monotonic() + ROUND_SECONDS
        while time.monotonic() < deadline:
            time.sleep(QUIET_SECONDS)
            after = self._ran()
            now = sum(after.values())
            if now - ran < 1e-3 and now - begin > 1e-6 * self.connections:
                return after
            ran = now
        raise TimeoutError("the server has not come to rest")
