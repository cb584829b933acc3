"""The articles of the documentation: their code as it is shown, and an installation to try it with."""

import os
import pathlib
import re
import signal
import subprocess

from .library import ROOT, call
from .server import environment
from .waiting import LIMIT_SECONDS

CATALOGUE = ROOT / "Sources/Millstream/Millstream.docc"


def text_of(article):
    """The whole of an article."""
    return (CATALOGUE / f"{article}.md").read_text()


def blocks(article, language):
    """The code blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(article), re.DOTALL | re.MULTILINE)


def programs(article):
    """The complete C programs, by the name of the file that their first line gives."""
    named = ((re.match(r"/\* ([\w.]+):", block), block) for block in blocks(article, "c"))
    return {name[1]: block for name, block in named if name}


def fragments(article):
    """The other C blocks."""
    return [block for block in blocks(article, "c") if block not in programs(article).values()]


def command(article, beginning):
    """The one command of the article that begins so, as one types it."""
    lines = "".join(blocks(article, "console")).splitlines()
    (found,) = [line.removeprefix("$ ") for line in lines if line.startswith(f"$ {beginning}")]
    return found


class Installation:
    """What `make install` has installed below a prefix; given by MILLSTREAM_PREFIX, it is not built."""

    def __init__(self, folder):
        given = os.environ.get("MILLSTREAM_PREFIX")
        self.prefix = pathlib.Path(given) if given else folder
        if not given:
            call("make", "build", "library")
            call("make", "install", f"PREFIX={folder}")

    @property
    def variables(self):
        """What the article says to set where the prefix is none of the system's."""
        return {
            "PKG_CONFIG_PATH": f"{self.prefix}/lib/pkgconfig",
            "LD_LIBRARY_PATH": f"{self.prefix}/lib",
        }

    def type(self, line, folder):
        """Runs a line that the article shows."""
        return call("sh", "-c", line, folder=folder, **self.variables)

    def flags(self):
        """Where the header is."""
        return call("pkg-config", "--cflags", "millstream", **self.variables).split()


class Program:
    """A program of an article, running; it says where it listens."""

    LISTENING = re.compile(r"listening on http://([^:/]+):(\d+)(\S*)")

    def __init__(self, *command, **variables):
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command], env=environment(**variables),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        line = self.process.stdout.readline().decode()
        found = self.LISTENING.search(line)
        assert found, f"it printed {line!r}"
        self.address = found[1], int(found[2])
        self.path = found[3]

    def type(self, line):
        """A line on its standard input."""
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def interrupt(self):
        """Ctrl-C; it must end, and with 0."""
        self.process.send_signal(signal.SIGINT)
        self.assert_ends()

    def assert_ends(self):
        """It must end, and with 0."""
        assert self.process.wait(timeout=LIMIT_SECONDS) == 0

    def remove(self):
        """Whatever has become of it."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
