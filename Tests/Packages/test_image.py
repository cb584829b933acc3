"""The image's last stage, without an engine: its packages are all that the program needs."""

import shutil

from harness.docker import Dockerfile
from harness.library import ROOT, header_version


def test_the_program_runs_with_the_packages_of_the_image(root):
    image = Dockerfile()
    root.install(*image.packages(stage=-1))
    for command in image.account_commands():
        root.output("sh", "-c", command)
    shutil.copy(ROOT / ".build/release/millstream", root.folder / "usr/bin/millstream")
    assert "not found" not in root.output("ldd", "/usr/bin/millstream")
    said = root.run(*image.entry_point, "--version", account=image.user)
    assert said.stdout.strip() == header_version(), said.stderr
    said = root.run(*image.health_check, account=image.user)
    assert said.returncode == 1 and "refused" in said.stderr, "nobody listens there"
