"""What the tests are given: packages as `make deb` has built them, and a Debian that is clean."""

import os
import subprocess
import tempfile

import pytest

from debian_root import DebianRoot
from harness.library import ROOT, header_version
from harness.postgres import Postgres

OUTPUT = ROOT / ".build/deb"


def pytest_configure():
    """Half a test would say nothing."""
    if os.geteuid() != 0:
        pytest.exit("only root can make a root and change to it", returncode=2)


@pytest.fixture(scope="session")
def packages():
    """The files, by the names of the packages."""
    architecture = subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
    names = ("millstream", "libmillstream0", "libmillstream-dev")
    files = {name: OUTPUT / f"{name}_{header_version()}_{architecture}.deb" for name in names}
    missing = [str(file) for file in files.values() if not file.exists()]
    assert not missing, f"{missing} not there: run `make deb`"
    return files


@pytest.fixture(scope="module")
def root():
    """One for all tests of a file, in their order; too large to be kept."""
    with tempfile.TemporaryDirectory(prefix="millstream-root-") as folder:
        yield DebianRoot(folder)


@pytest.fixture(scope="session")
def database():
    """The connection string of an empty database, of a Postgres outside of the root."""
    postgres = Postgres()
    try:
        postgres.create()
        postgres.start()
        yield postgres.conninfo(postgres.fresh_database())
    finally:
        postgres.remove()
