"""The packages in a clean Debian: what they install runs, and a purge leaves nothing behind.

The tests are steps, in this order.
"""

import re
import shutil
import subprocess

import pytest

from harness.library import ROOT, call, compile_host, header_version
from harness.native import Publisher
from harness.names import SECRET
from harness.server import Server, native_path

SETTINGS = "etc/default/millstream"
SECRETS = "etc/millstream/secrets"
SCRIPT = ROOT / "Tests/Packages/lifecycle.sh"
BOOT = ROOT / "Tests/System/harness/boot_systemd.sh"
UNSHARE = ["unshare", "-m", "-p", "-i", "-u", "-n", "-C", "-f", "--kill-child"]
BOOT_FILES = {
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "etc/systemd/system/guest.target": "[Unit]\nWants=guest.service\n",
    "etc/systemd/system/guest.service": """
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/bash /out/script.sh
StandardOutput=file:/out/said
StandardError=file:/out/said
ExecStopPost=/bin/bash -c 'kill -RTMIN+14 1'
""",
}
EXPECTED = [
    "* installed: disabled disabled, inactive inactive, refused",
    "* started: active active, 404, as millstream",
    "* upgraded: new process, same socket, 404",
    "* refused meanwhile: 0",
    "* removed: inactive inactive, refused",
    "* purged: no links, no account",
]
UNIT = r"millstream\.(service|socket)"


def field(package, name):
    """A field of a package's control file."""
    return subprocess.check_output(["dpkg-deb", "--field", package, name], text=True).strip()


@pytest.fixture(scope="module")
def before(root, packages):
    """All that is there before the package is: what it depends on, and what the tests call."""
    root.install("curl", "iproute2")
    root.satisfy(field(packages["millstream"], "Depends"))
    return root.contents()


def test_lintian_has_no_complaint(packages):
    (changes,) = packages["millstream"].parent.glob("*.changes")
    assert call("lintian", "--fail-on", "error,warning", "--allow-root", changes) == ""


def test_a_running_systemd_is_told_at_each_step(root, packages, before, tmp_path):
    """Nothing starts by itself; an upgrade restarts, and refuses nobody; what is removed has ended."""
    for name, text in BOOT_FILES.items():
        (tmp_path / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / name).write_text(text)
    for name in ("overlay", "out"):
        (tmp_path / name).mkdir()
    shutil.copy(packages["millstream"], tmp_path / "out/millstream.deb")
    shutil.copy(SCRIPT, tmp_path / "out/script.sh")
    done = subprocess.run(
        ["timeout", "--signal=KILL", "120", *UNSHARE, BOOT, tmp_path, root.folder],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
    )
    said = tmp_path / "out/said"
    assert said.exists(), done.stderr
    lines = [line for line in said.read_text().splitlines() if line.startswith("* ")]
    assert lines == EXPECTED, said.read_text()


@pytest.fixture(scope="module")
def installed(root, packages, before):
    """The root with the package in it."""
    root.take_in(packages["millstream"])
    return root


def test_it_is_as_the_package_says(installed):
    assert installed.output("dpkg", "--verify", "millstream") == ""
    assert installed.output("millstream", "--version").strip() == header_version()
    assert "not found" not in installed.output("ldd", "/usr/bin/millstream")
    conffiles = installed.output("dpkg-query", "-W", "-f", "${Conffiles}", "millstream").split()
    assert f"/{SETTINGS}" in conffiles
    assert all(name.startswith("/etc/") for name in conffiles[::2])


def test_nothing_is_enabled_and_nothing_but_an_account_was_made(installed, before):
    account = installed.output("getent", "passwd", "millstream").strip().split(":")
    assert account[5:] == ["/nonexistent", "/usr/sbin/nologin"]
    listed = installed.output("dpkg", "--listfiles", "millstream").split()
    owned = {str((installed.folder / path[1:]).resolve().relative_to(installed.folder)) for path in listed}
    made = {path for path in installed.contents() if path not in before and path not in owned}
    # What systemctl would make if somebody did enable them, for the purge.
    noted = f"var/lib/systemd/deb-systemd-helper-enabled/{UNIT}.dsh-also"
    assert {path for path in made if not is_backup(path) and not re.fullmatch(noted, path)} == set()
    for unit in ("millstream.service", "millstream.socket"):
        assert installed.run("systemctl", "is-enabled", unit).stdout.strip() == "disabled"


def test_what_is_installed_serves(installed, database, monkeypatch):
    """As the unit starts it: by its account, with the settings in its file."""
    write_settings(installed, database)
    installed.output("millstream", "install", "--database", database)
    monkeypatch.setenv("MILLSTREAM_BIN", "/usr/bin/millstream")
    settings = (installed.folder / SETTINGS).read_text().splitlines()
    variables = dict(line.split("=", 1) for line in settings if not line.startswith("#"))
    server = Server(None, launcher=installed.enter("millstream"), admin=None, **variables)
    try:
        assert accounts_of(server.process.pid) == {installed.output("id", "-u", "millstream").strip()}
        with server.subscribe("chat", path=native_path("chat")) as client:
            with Publisher(database, "chat") as publisher:
                publisher.send("hello")
            assert client.broadcast().data == "hello"
    finally:
        server.stop()


def write_settings(root, database):
    """What an operator does first."""
    with open(root.folder / SETTINGS, "a", encoding="utf-8") as settings:
        settings.write(f"MILLSTREAM_DATABASE={database}\nMILLSTREAM_SECRET_FILE=/{SECRETS}\n")
        settings.write("MILLSTREAM_ADMIN=none\n")
    (root.folder / SECRETS).write_text(f"{SECRET}\n")
    root.output("chown", "root:millstream", f"/{SECRETS}")
    root.output("chmod", "640", f"/{SECRETS}")


def accounts_of(pid):
    """As whom a process runs."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return set(re.search(r"^Uid:\s(.*)$", status.read(), re.MULTILINE)[1].split())


def test_another_installation_keeps_what_an_operator_has_written(installed, packages):
    written = (installed.folder / SETTINGS).read_text()
    installed.take_in(packages["millstream"])
    assert (installed.folder / SETTINGS).read_text() == written
    installed.output("dpkg", "--remove", "millstream")
    assert (installed.folder / SETTINGS).read_text() == written
    assert not (installed.folder / "usr/bin/millstream").exists()
    installed.take_in(packages["millstream"])
    assert (installed.folder / SETTINGS).read_text() == written


def test_a_purge_leaves_what_is_the_operator_s_and_then_nothing(installed, packages, before):
    """Files in /etc/millstream, and with them the account that may read them; the second time, nothing."""
    installed.output("systemctl", "--quiet", "enable", "millstream.service")
    wants = installed.folder / "etc/systemd/system/multi-user.target.wants/millstream.service"
    assert wants.is_symlink()
    installed.output("dpkg", "--purge", "millstream")
    assert not wants.is_symlink()
    assert not (installed.folder / SETTINGS).exists()
    assert (installed.folder / SECRETS).exists()
    assert installed.output("getent", "passwd", "millstream")
    (installed.folder / SECRETS).unlink()
    installed.take_in(packages["millstream"])
    installed.output("dpkg", "--purge", "millstream")
    left = installed.contents()
    changed = {path for path in left.keys() | before.keys() if left.get(path) != before.get(path)}
    assert {path for path in changed if not is_backup(path)} == set()


def is_backup(path):
    """What is kept of the files of accounts before they were last changed."""
    return re.fullmatch(r"etc/\.?(passwd|shadow|group|gshadow)-", path)


def test_a_program_runs_with_the_library(root, packages, tmp_path):
    """Compiled with the one package, run with the other."""
    for name in ("libmillstream0", "libmillstream-dev"):
        call("dpkg-deb", "--extract", packages[name], tmp_path)
    (folder,) = tmp_path.glob("usr/lib/*/pkgconfig")
    flags = call(
        "pkg-config", "--cflags", "--libs", "millstream", PKG_CONFIG_SYSROOT_DIR=str(tmp_path),
        PKG_CONFIG_LIBDIR=str(folder),
    ).split()
    source = tmp_path / "version.c"
    source.write_text(
        "#include <millstream.h>\n#include <stdio.h>\n"
        "int main(void) { return puts(millstream_version()) < 0; }\n"
    )
    compile_host(source, root.folder / "tmp/version", flags)
    root.satisfy(field(packages["libmillstream0"], "Depends"))
    root.take_in(packages["libmillstream0"])
    assert root.output("/tmp/version").strip() == header_version()
