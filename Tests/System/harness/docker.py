"""The shipped Dockerfile, read without an engine."""

import fnmatch
import json
import re
import shlex

import dockerfile_parse

from .library import ROOT

PATH = ROOT / "packaging/docker/Dockerfile"
IGNORED = PATH.with_name("Dockerfile.dockerignore")


class Dockerfile:
    """Its instructions, stage by stage: what is behind each FROM."""

    def __init__(self):
        self.stages = []
        with PATH.open("rb") as file:
            parsed = dockerfile_parse.DockerfileParser(fileobj=file).structure
        for each in parsed:
            if each["instruction"] == "FROM":
                self.stages.append([])
            if self.stages and each["instruction"] != "COMMENT":
                self.stages[-1].append((each["instruction"], each["value"]))

    def values(self, instruction, stage):
        """What is behind all instructions of a kind, in one stage."""
        return [value for found, value in self.stages[stage] if found == instruction]

    def commands(self, stage):
        """What all RUNs of a stage do, command by command."""
        return [command.strip() for run in self.values("RUN", stage) for command in run.split("&&")]

    def packages(self, stage):
        """What a stage installs."""
        (install,) = [each for each in self.commands(stage) if each.startswith("apt-get install")]
        return [word for word in shlex.split(install)[2:] if not word.startswith("-")]

    def account_commands(self):
        """How the last stage makes the account that it runs as."""
        return [each for each in self.commands(-1) if each.startswith("useradd")]

    def copied(self, stage):
        """What a stage takes out of the repository: patterns."""
        copies = [value.split()[:-1] for value in self.values("COPY", stage) if "--from" not in value]
        return [source for sources in copies for source in sources]

    @property
    def user(self):
        (value,) = self.values("USER", -1)
        return value

    @property
    def entry_point(self):
        (value,) = self.values("ENTRYPOINT", -1)
        return json.loads(value)

    @property
    def command(self):
        (value,) = self.values("CMD", -1)
        return json.loads(value)

    @property
    def health_check(self):
        (value,) = self.values("HEALTHCHECK", -1)
        return json.loads(re.search(r"CMD (\[.*\])$", value)[1])

    @property
    def environment(self):
        return dict(value.split("=", 1) for value in self.values("ENV", -1))


def is_sent(path):
    """Whether the builder gets a path: the last line of the .dockerignore that fits decides."""
    sent = True
    for line in IGNORED.read_text().splitlines():
        if line and not line.startswith("#") and _fits(path, line.removeprefix("!")):
            sent = line.startswith("!")
    return sent


def _fits(path, pattern):
    pattern = pattern.removeprefix("**/")
    parts = path.split("/")
    return any(fnmatch.fnmatch("/".join(parts[: count + 1]), pattern) for count in range(len(parts)))
