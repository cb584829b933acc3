"""A running `millstream demo`, with the Postgres that it starts itself."""

import re
import signal
import subprocess

import pytest

from harness.ports import free_port
from harness.server import binary, environment
from harness.waiting import LIMIT_SECONDS


class Demo:
    """One demo, always on the same port; every start has a new Postgres."""

    def __init__(self):
        self.listen = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.listen}"
        self.process = None
        self.welcome = ""

    def start(self):
        """Returns when it answers: it prints its text only then."""
        assert self.process is None, "the demo runs already"
        self.process = subprocess.Popen(
            [binary(), "demo", "--listen", self.listen],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.welcome = ""
        # The Postgres that it makes takes a while; when it fails, the text ends.
        while "Ctrl-C" not in self.welcome:
            line = self.process.stdout.readline()
            assert line, f"the demo ended with status {self.process.wait()}"
            self.welcome += line

    def stop(self):
        """An orderly shutdown; the port is closed, and the database gone, when it returns."""
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            process.stdout.close()
        assert status == 0, f"exit status {status}"

    @property
    def psql_line(self):
        """The command that it says publishes."""
        return re.search(r"^ *(psql .*)$", self.welcome, re.MULTILINE).group(1)


@pytest.fixture(scope="module")
def demo_server():
    """The demo behind `demo_url`."""
    demo = Demo()
    demo.start()
    try:
        yield demo
    finally:
        if demo.process is not None:
            demo.stop()


@pytest.fixture(scope="module")
def demo_url(demo_server):
    """The address of the demo's page."""
    return demo_server.url
