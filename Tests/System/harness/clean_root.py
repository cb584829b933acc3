"""A machine without Swift: a folder that is the whole file system to what runs in it."""

import os
import pathlib
import re
import shutil
import subprocess

from .library import call

LOADER_PATH = "/usr/local/lib"


class NotPermitted(Exception):
    """The kernel does not let us change the root; the text says what it said."""


class CleanRoot:
    """Has in it what was installed there, programs, and the system's libraries that those need."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self._check_permission()

    def _check_permission(self):
        tried = self.run("/nothing")
        if b"No such file" not in tried.stderr:
            raise NotPermitted(tried.stderr.decode().strip())

    def add(self, program):
        """Takes in a program, and whatever the loader would load for it; where it is there."""
        inside = self.folder / program.name
        if program != inside:
            shutil.copy(program, inside)
        for library in self._libraries(inside):
            self._copy(library)
        return f"/{program.name}"

    def _libraries(self, program):
        """The paths that the loader finds; not those that are in here already."""
        listed = call("ldd", program, LD_LIBRARY_PATH=f"{self.folder}{LOADER_PATH}")
        assert "not found" not in listed, listed
        paths = re.findall(r"(/\S+) \(0x", listed)
        return [path for path in paths if not path.startswith(str(self.folder))]

    def _copy(self, path):
        copy = self.folder / path.removeprefix("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists():
            shutil.copy(path, copy)

    def run(self, *command):
        """Runs a program that is in here, with an environment of nothing else."""
        enter = ["chroot"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--root"]
        return subprocess.run(
            [*enter, str(self.folder), *command], env={"LD_LIBRARY_PATH": LOADER_PATH,
            "PATH": os.environ["PATH"]}, capture_output=True, timeout=60,
        )

    def output(self, *command):
        """What a program that must go well prints."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command} exited {done.returncode}: {done.stderr.decode()}"
        return done.stdout.decode()

    def paths(self):
        """All that is in it, files and links."""
        return {
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*") if path.is_symlink() or path.is_file()
        }
