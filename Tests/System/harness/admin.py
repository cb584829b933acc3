"""What is at a server's admin address, and what promtool says of it."""

import http.client
import json
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROMTOOL = ROOT / ".build-tools/promtool"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Admin:
    """The admin address of `server`, as its ready line says."""

    def __init__(self, server):
        found = re.search(r" admin=(\S+):(\d+)", server.ready_line)
        assert found, f"no admin address: {server.ready_line}"
        self.address = found[1], int(found[2])

    def ask(self, path, method="GET", **fields):
        """Status, content type and body."""
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            connection.request(method, path, headers=fields)
            response = connection.getresponse()
            return response.status, response.getheader("content-type"), response.read().decode()
        finally:
            connection.close()

    def text(self):
        """All metrics as they are written."""
        status, content_type, body = self.ask("/metrics")
        assert (status, content_type) == (200, CONTENT_TYPE), (status, content_type)
        return body

    def metrics(self):
        """Values by name and labels, as they are written."""
        return dict(_sample(line) for line in self.text().splitlines() if line[:1] != "#")

    @property
    def url(self):
        """Where the status page is."""
        return "http://{}:{}/".format(*self.address)

    def status(self):
        """What the status page shows, once."""
        status, content_type, body = self.ask("/status.json")
        assert (status, content_type) == (200, "application/json"), (status, body)
        return json.loads(body)

    def sum(self, name, **labels):
        """All samples of that name that have these labels, added up."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(
            value
            for sample, value in self.metrics().items()
            if sample.partition("{")[0] == name and all(label in sample for label in wanted)
        )

    def causes(self):
        """Why it is not ready: none if it is."""
        status, _, body = self.ask("/readyz")
        assert (status == 200) == (body == "ok\n"), (status, body)
        return [] if status == 200 else body.splitlines()


def _sample(line):
    name, _, value = line.rpartition(" ")
    return name, float(value)


def promtool(*arguments, input=None):
    """Runs promtool, which must have no complaint."""
    assert PROMTOOL.exists(), f"{PROMTOOL} is missing: run Tests/setup.sh"
    done = subprocess.run(
        [PROMTOOL, *arguments], input=input, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
