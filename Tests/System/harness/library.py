"""The libraries for C, as `make library` builds them, and C programs that are linked with them."""

import functools
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]
HEADER = ROOT / "Sources/CMillstream/millstream.h"
SOURCES = ROOT / "Tests/System/library"
LANGUAGES = {
    "C99": ["cc", "-std=c99"],
    "C++11": ["c++", "-x", "c++", "-std=c++11"],
}
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def call(*command, folder=ROOT, **variables):
    """Runs a command that must go well; what it printed."""
    # The variables of a make that runs these tests are not for a make that a test runs.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=kept | variables, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=1200,
    )
    assert done.returncode == 0, f"{command} exited {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


@functools.cache
def library_folder():
    """Where libmillstream.so and libmillstream.a are; built when first asked for."""
    call("make", "library")
    return ROOT / ".build/library"


def install(root):
    """Installs everything below `root`, as `make install` does without a word about where."""
    library_folder()
    call("make", "build")
    call("make", "install", f"DESTDIR={root}")


def package_flags(root, *options):
    """What pkg-config says of what is installed below `root`, and knowing nothing else."""
    return call(
        "pkg-config", *options, "millstream", PKG_CONFIG_SYSROOT_DIR=str(root),
        PKG_CONFIG_LIBDIR=f"{root}/usr/local/lib/pkgconfig",
    ).split()


def compile_host(source, output, flags, language="C99"):
    """Compiles a program of one file; `flags` say where the header is and what it is linked with."""
    call(*LANGUAGES[language], *WARNINGS, source, "-o", output, "-x", "none", *flags)
    return output


def declared_functions():
    """The names of all functions of millstream.h."""
    return set(re.findall(r"^[a-z][\w *]*?\b(millstream_\w+)\(", HEADER.read_text(), re.MULTILINE))


def header_version():
    """MAJOR.MINOR.PATCH as the header has it."""
    return ".".join(re.findall(r"#define MILLSTREAM_VERSION_\w+ (\d+)", HEADER.read_text()))
