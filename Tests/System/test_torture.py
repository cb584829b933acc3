"""A short run of the torture test with a new seed each time; `make torture` runs it for long."""

import pathlib
import subprocess
import sys

import pytest

from harness.server import binary, environment

pytestmark = pytest.mark.alone
SECONDS = 30
SETTLE_SECONDS = 300
TORTURE = pathlib.Path(__file__).resolve().parents[1] / "Torture/torture.py"


def test_nothing_is_lost_whatever_happens():
    run = subprocess.run(
        [sys.executable, TORTURE, "--seconds", str(SECONDS)],
        env=environment(MILLSTREAM_BIN=binary()),
        capture_output=True,
        text=True,
        timeout=SECONDS + SETTLE_SECONDS,
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
