"""The units with a systemd that runs: one of its own, in namespaces, with the whole hardening in force."""

import os
import pathlib
import re
import subprocess

import pytest

from harness.server import binary

ROOT = pathlib.Path(__file__).resolve().parents[2]
BOOT = ROOT / "Tests/System/harness/boot_systemd.sh"
UNSHARE = ["unshare", "-m", "-p", "-i", "-u", "-n", "-C", "-f", "--kill-child"]
LIMIT_SECONDS = 120

FILES = {
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "etc/millstream/secrets": "first\n",
    # Postgres is away, which is no reason not to be there for clients.
    "etc/default/millstream": """
MILLSTREAM_DATABASE=host=127.0.0.1 port=1 dbname=none
MILLSTREAM_SECRET_FILE=/etc/millstream/secrets
MILLSTREAM_LOOPS=2
MILLSTREAM_PUBLIC=open:*
""",
    "etc/systemd/system/guest.target": "[Unit]\nWants=guest.service millstream.socket\n",
    "etc/systemd/system/guest.service": """
[Unit]
DefaultDependencies=no
After=millstream.socket
[Service]
Type=oneshot
ExecStart=/bin/bash /out/script.sh
StandardOutput=file:/out/said
StandardError=file:/out/said
ExecStopPost=/bin/kill -RTMIN+14 1
""",
}

SCRIPT = r"""
unit=millstream.service
ip link set lo up
is() { systemctl show -p "$1" --value $unit; }
answer() { curl -s -m 20 -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/nothing; }
say() { echo "$1: $2"; }
settled() { until [ "$(is ActiveState)" = active ]; do sleep 0.01; done; }

say "before the first client" "$(is ActiveState)"
say "first client" "$(answer)"
say "after the first client" "$(is ActiveState)"
say "status" "$(is StatusText)"
say "locked in" "$(grep -hE '^(NoNewPrivs|Seccomp|CapBnd):' /proc/$(is MainPID)/status | tr -d '\t\n')"
say "account" "$(stat -c %U /proc/$(is MainPID))"

echo second >/etc/millstream/secrets
systemctl reload $unit
say "reload" $?
settled
: >/etc/millstream/secrets
systemctl reload $unit
say "reload of a faulty file" $?
settled
say "status after it" "$(is StatusText)"

echo 0 >/tmp/answered
touch /tmp/load
{
  answered=0 others=0
  while [ -e /tmp/load ]; do
    if [ "$(answer)" = 404 ]; then answered=$((answered + 1)); else others=$((others + 1)); fi
    # At once, or a reader could find it empty.
    echo $answered >/tmp/answered.new
    mv /tmp/answered.new /tmp/answered
  done
  echo "others under load: $others"
} &
for _ in 1 2 3 4; do
  while [ -e /tmp/load ]; do curl -sN http://127.0.0.1:8080/streams/open:1; done >/dev/null &
done
echo second >/etc/millstream/secrets
for _ in 1 2 3; do
  wanted=$(($(cat /tmp/answered) + 10))
  until [ "$(cat /tmp/answered)" -ge $wanted ]; do sleep 0.01; done
  before=$(is MainPID)
  systemctl restart $unit
  say "restart" "$? $([ "$(is MainPID)" != "$before" ] && echo new)"
done
[ "$(cat /tmp/answered)" -ge 30 ] && echo "answered under load: enough"
rm /tmp/load
systemctl stop --quiet $unit
wait

mkdir -p /run/systemd/system/$unit.d
printf '[Service]\nWatchdogSec=1s\nTimeoutAbortSec=1s\n' >/run/systemd/system/$unit.d/short.conf
systemctl daemon-reload
systemctl start $unit
before=$(is MainPID)
kill -STOP "$before"
for _ in $(seq 300); do
  if [ "$(is NRestarts)" = 1 ] && [ "$(is ActiveState)" = active ]; then break; fi
  sleep 0.1
done
say "after it has hung" "$(is NRestarts) $(is ActiveState)"

systemctl stop millstream.socket $unit
say "stopped" "$(is Result) $(is ExecMainStatus)"
"""

EXPECTED = [
    "before the first client: inactive",
    "first client: 404",
    "after the first client: active",
    "status: serving at 127.0.0.1:8080",
    "locked in: CapBnd:0000000000000000NoNewPrivs:1Seccomp:2",
    "reload: 0",
    "reload of a faulty file: 0",
    "status after it: serving at 127.0.0.1:8080",
    *["restart: 0 new"] * 3,
    "answered under load: enough",
    "others under load: 0",
    "after it has hung: 1 active",
    "stopped: success 0",
]


def reason_not_to():
    """Why there can be none here; none: there can."""
    if os.geteuid() != 0:
        return "only root can make the namespaces"
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode != 0:
        return "there are no namespaces to be had"
    needed = subprocess.run(["ldd", binary()], capture_output=True, text=True, check=False).stdout
    if re.search(r"=> /(home|root)/", needed):
        return "the unit hides home directories, where the libraries of this build are"
    return None


def test_the_service_with_a_running_systemd(tmp_path):
    """Socket activation, reload, restarts under load, the watchdog, and the end."""
    if reason := reason_not_to():
        pytest.skip(reason)
    for name in ("overlay", "out", "files/usr/bin", "files/etc/systemd/system"):
        (tmp_path / name).mkdir(parents=True)
    for name, text in FILES.items():
        (tmp_path / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / name).write_text(text.lstrip())
    for unit in (ROOT / "packaging/systemd").glob("millstream.s*"):
        if unit.suffix in (".service", ".socket"):
            (tmp_path / "files/etc/systemd/system" / unit.name).write_text(unit.read_text())
    program = tmp_path / "files/usr/bin/millstream"
    program.write_bytes(pathlib.Path(binary()).read_bytes())
    program.chmod(0o755)
    (tmp_path / "out/script.sh").write_text(SCRIPT)
    done = subprocess.run(
        ["timeout", "--signal=KILL", str(LIMIT_SECONDS), *UNSHARE, BOOT, tmp_path],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
    )
    said = tmp_path / "out/said"
    lines = said.read_text().splitlines() if said.exists() else []
    assert [line for line in lines if not line.startswith("account: ")] == EXPECTED, done.stderr
    (account,) = [line for line in lines if line.startswith("account: ")]
    assert account != "account: root"
