"""Other servers. Each file here but this one is an adapter: a class `Peer`, of which bench/README.md says
what it must have ("Add your own server")."""

import importlib
import pathlib


def names():
    """Of all adapters."""
    files = pathlib.Path(__file__).parent.glob("*.py")
    return sorted(file.stem for file in files if not file.stem.startswith("_"))


def started(name, tools):
    """The server `name`, running; what it needs from elsewhere goes below the directory `tools`."""
    return importlib.import_module(f"{__name__}.{name}").Peer(tools / name)
