"""Debian's packages, unpacked into a directory of ours and not installed: so no service starts."""

import os
import pathlib
import shutil
import subprocess
import sys


def unpacked(directory, packages):
    """The root of a tree that holds `packages`; quick when they are there already."""
    root = pathlib.Path(directory) / "root"
    mark = pathlib.Path(directory) / "packages"
    if mark.exists() and mark.read_text().split() == list(packages):
        return root
    shutil.rmtree(directory, ignore_errors=True)
    root.mkdir(parents=True)
    _download(directory, packages)
    for file in pathlib.Path(directory).glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(file), str(root)], check=True)
        file.unlink()
    # Written last: a download that was cut off is none.
    mark.write_text("\n".join(packages) + "\n")
    return root


def _download(directory, packages):
    """Packages alone; the libraries that they need are looked for when the program starts."""
    print(f"peers: {' '.join(packages)}, unpacked in {directory}", file=sys.stderr, flush=True)
    command = ["apt-get", "download", "-qq", *packages]
    if subprocess.run(command, cwd=directory, stdout=sys.stderr).returncode == 0:
        return
    # The machine may have no lists of packages yet.
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    subprocess.run([*as_root, "apt-get", "update", "-qq"], check=True, stdout=sys.stderr)
    subprocess.run(command, cwd=directory, check=True, stdout=sys.stderr)
