"""What the program says of its own commands and options."""

import functools
import json

from .server import run

# Of every command.
COMMON = {"help", "version"}


@functools.cache
def commands():
    """For each command its options, by their names, as the argument parser describes them."""
    described = run("--experimental-dump-help")
    assert described.returncode == 0, described.stderr.decode()
    tree = json.loads(described.stdout)["command"]
    return {
        command["commandName"]: {
            argument["preferredName"]["name"]: argument
            for argument in command["arguments"]
            if "preferredName" in argument and argument["preferredName"]["name"] not in COMMON
        }
        for command in tree["subcommands"]
        if command["commandName"] != "help"
    }
