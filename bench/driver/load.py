"""The load client as a process."""

import json
import signal
import subprocess

from .process import Process

CONNECT_SECONDS = 120


class Load:
    """`millstream-load` with so many connections; `connected` waits until all are subscribed."""

    def __init__(self, binary, url, connections, *flags, ready="connected", timeout=600):
        arguments = [binary, "--url", url, "--connections", str(connections), "--json"]
        arguments += ["--ready", ready, "--timeout", str(timeout), "--announce-rounds", *flags]
        self.connections = connections
        self.process = Process("millstream-load", arguments, stdout=subprocess.PIPE)

    def connected(self):
        """Returns when every connection is subscribed; an error if some are not."""
        line = self.process.lines.wait_for(r"^connected ", CONNECT_SECONDS)
        if int(line.split()[1]) != self.connections:
            raise RuntimeError(f"not all of {self.connections} connections came about: {line}")
        return self

    def wait_for_round(self, number, limit_seconds=60):
        """Returns when every connection has had `number` messages."""
        self.process.lines.wait_for(rf"^round {number}$", limit_seconds)

    def report(self, limit_seconds=30, must_pass=True):
        """What it reports at its own end, which its own --timeout brings at the latest."""
        # Not communicate(): that would also read stderr, which `lines` reads.
        out = self.process.child.stdout.read()
        self.process.child.wait(limit_seconds)
        report = json.loads(out)
        if must_pass and not report["passed"]:
            raise RuntimeError(f"not everything came, once and in order: {out}")
        return report

    def end(self):
        """Ends one that holds its connections; what it reports."""
        self.process.child.send_signal(signal.SIGTERM)
        return self.report()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()
