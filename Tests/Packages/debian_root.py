"""A minimal Debian in a folder: what a machine is like before anything was installed on it."""

import hashlib
import os
import pathlib
import platform
import shutil
import subprocess

from harness.library import ROOT

# What has programs of its own that write there, and no package's file in it.
VOLATILE = ("proc", "dev", "sys", "run", "tmp", "var/cache", "var/lib/apt", "var/lib/dpkg", "var/log")
# Of the release that we run on: what is built here depends on its libraries.
RELEASE = platform.freedesktop_os_release()["VERSION_CODENAME"]
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8",
    "HOME": "/root",
}
APT_GET = ("apt-get", "-qq", "-o", "Dpkg::Use-Pty=0")


def archive():
    """The root as mmdebstrap makes it, packed; kept for the next time."""
    architecture = subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
    kept = ROOT / f".build-tools/root-{RELEASE}-{architecture}.tar"
    if not kept.exists():
        unfinished = kept.with_suffix(".unfinished.tar")
        subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", RELEASE, unfinished], check=True)
        unfinished.rename(kept)
    return kept


class DebianRoot:
    """The root, unpacked into `folder`. The network is that of the machine."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        subprocess.run(["tar", "-x", "-f", archive(), "-C", self.folder, "--numeric-owner"], check=True)
        shutil.copy("/etc/resolv.conf", self.folder / "etc/resolv.conf")
        self.output(*APT_GET, "update")

    def enter(self, account="root"):
        """What has to stand before a command that is to run in here; it becomes that command."""
        change = f"exec chroot --userspec={account} {self.folder} \"$@\""
        return ["unshare", "--mount", "sh", "-c", f"mount -t proc proc {self.folder}/proc && {change}", "sh"]

    def run(self, *command, account="root"):
        """What a command in here prints, and its exit status."""
        return subprocess.run(
            [*self.enter(account), *command], env=ENVIRONMENT | proxies(), capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=300, check=False,
        )

    def output(self, *command):
        """What a command that must go well prints."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command} exited {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def install(self, *names):
        """Packages of the distribution."""
        self.output(*APT_GET, "install", "--no-install-recommends", "--yes", *names)

    def satisfy(self, *dependencies):
        """What a package's list of dependencies asks for, and nothing else."""
        self.output(*APT_GET, "satisfy", "--no-install-recommends", "--yes", *dependencies)

    def take_in(self, package):
        """Installs a package file by dpkg alone: what it depends on has to be there."""
        shutil.copy(package, self.folder / "tmp")
        self.output("dpkg", "--install", f"/tmp/{package.name}")

    def contents(self):
        """Every path of a system at rest, with what is in it and who may do what."""
        found = {}
        for parent, folders, files in os.walk(self.folder):
            inside = pathlib.Path(parent).relative_to(self.folder)
            folders[:] = [name for name in folders if str(inside / name) not in VOLATILE]
            found |= {str(inside / name): self._describe(inside / name) for name in [*folders, *files]}
        return found

    def _describe(self, path):
        path = self.folder / path
        state = path.lstat()
        rights = state.st_mode, state.st_uid, state.st_gid
        if path.is_symlink():
            return *rights, os.readlink(path)
        return *rights, hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def proxies():
    """What apt needs to get out of here."""
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
