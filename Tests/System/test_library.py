"""Proves what is built and installed for C: libraries that stand alone, pkg-config, manual pages."""

import re
import signal
import subprocess
import sys

import pytest

from harness.clean_root import CleanRoot, NotPermitted
from harness.client import Client, request
from harness.library import (
    LANGUAGES, ROOT, SOURCES, call, compile_host, declared_functions, header_version,
    install, library_folder, package_flags,
)
from harness.native import Publisher
from harness.server import environment

MANUAL = ROOT / "packaging/man"
# What a machine without Swift has, or gets from its packages.
SYSTEM_LIBRARIES = {
    "libev.so.4", "libpq.so.5", "libcrypto.so.3", "libstdc++.so.6", "libgcc_s.so.1", "libm.so.6",
    "libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1",
}
FINDINGS = """\
cast 9.0 0.5
no cast false
key green
unit Int String
by name Square
fields ["side=4"]
cases [Probe.Colour.red, Probe.Colour.green] red
unicode true GRÖSSE 🚰
key path 5
caught none
alive 0
"""


@pytest.fixture(scope="session")
def libraries():
    """The folder of the libraries."""
    return library_folder()


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """A machine on which Millstream was installed, and Swift was not."""
    try:
        root = CleanRoot(tmp_path_factory.mktemp("root"))
    except NotPermitted as reason:
        pytest.skip(f"this needs to change the root: {reason}")
    install(root.folder)
    return root


def link_flags(root, kind):
    """What a program is linked with, of what is installed in `root`."""
    if kind == "shared":
        return package_flags(root, "--cflags", "--libs")
    flags = package_flags(root, "--static", "--cflags", "--libs")
    more = {"static, sections collected": ["-Wl,--gc-sections"], "static, fixed": ["-no-pie"]}
    return [flag.replace("-lmillstream", "-l:libmillstream.a") for flag in flags] + more.get(kind, [])


# What can be seen of them


def symbols(*options):
    """The names that nm lists, without those of versions."""
    lines = [line.split() for line in call("nm", *options).splitlines()]
    return {line[-1].partition("@")[0] for line in lines if len(line) > 1 and line[-2] != "A"}


def test_the_shared_library_exports_what_is_declared_and_nothing_else(libraries):
    exported = symbols("--dynamic", "--defined-only", libraries / "libmillstream.so")
    assert exported == declared_functions()


def test_the_archive_shows_what_is_declared_and_nothing_else(libraries):
    shown = symbols("--extern-only", "--defined-only", libraries / "libmillstream.a")
    assert shown == declared_functions()


@pytest.mark.parametrize("name", ["libmillstream.so", "libmillstream.a"])
def test_nothing_of_swift_is_missing(libraries, name):
    missing = symbols("--undefined-only", *(["-D"] if name.endswith("so") else []), libraries / name)
    # The linker itself makes what begins with __start_ and __stop_.
    swift = {each for each in missing if re.match(r"\$s|_?swift_|_\$s", each)}
    assert "malloc" in missing and not swift


def test_the_shared_library_needs_the_system_alone(libraries):
    entries = call("readelf", "--dynamic", "--wide", libraries / "libmillstream.so")
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", entries))
    assert {"libev.so.4", "libc.so.6"} <= needed <= SYSTEM_LIBRARIES
    assert re.findall(r"\(SONAME\).*\[(.*)\]", entries) == ["libmillstream.so.0"]
    assert not re.search(r"\((RPATH|RUNPATH|TEXTREL)\)", entries)
    assert is_protected(libraries / "libmillstream.so")


def is_protected(program):
    """Whether the loader makes read-only what it has relocated."""
    return "GNU_RELRO" in call("readelf", "--program-headers", program)


# What is installed


def test_what_is_installed(root):
    version = header_version()
    expected = {"bin/millstream", "include/millstream.h", "lib/libmillstream.a",
                "lib/libmillstream.so", "lib/libmillstream.so.0", f"lib/libmillstream.so.{version}",
                "lib/pkgconfig/millstream.pc", "share/man/man1/millstream.1",
                "share/man/man3/libmillstream.3", "share/doc/millstream/examples/millstream.toml",
                "share/bash-completion/completions/millstream",
                "share/zsh/site-functions/_millstream",
                "share/fish/vendor_completions.d/millstream.fish",
                "share/millstream/millstream.js", "share/millstream/millstream.d.ts"}
    ours = {path for path in root.paths() if path.startswith("usr/local/")}
    assert ours == {f"usr/local/{path}" for path in expected}
    assert package_flags(root.folder, "--modversion") == [version]


def test_all_of_it_is_removed_again(tmp_path):
    units = "SYSTEMD_UNIT_DIR=/lib/systemd/system"
    library_folder()
    for target in ("install", "uninstall"):
        call("make", target, f"DESTDIR={tmp_path}", units)
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []


def test_the_folders_can_be_chosen(tmp_path):
    library_folder()
    call("make", "install", f"DESTDIR={tmp_path}", "PREFIX=/usr", "LIBDIR=/usr/lib/multi",
         "BINDIR=/opt/bin", "SYSTEMD_UNIT_DIR=/lib/systemd/system")
    described = (tmp_path / "usr/lib/multi/pkgconfig/millstream.pc").read_text()
    assert "prefix=/usr\nlibdir=${prefix}/lib/multi\nincludedir=${prefix}/include\n" in described
    assert (tmp_path / "usr/lib/multi/libmillstream.so").resolve().is_file()
    units = tmp_path / "lib/systemd/system"
    assert "ExecStart=/opt/bin/millstream serve\n" in (units / "millstream.service").read_text()
    assert (units / "millstream.socket").is_file()


# On a machine without Swift


def expected_of_host():
    version = header_version()
    major, minor, patch = map(int, version.split("."))
    return (f"header {version}\nlibrary {version}\nnumber {major * 1_000_000 + minor * 1_000 + patch}\n"
            "result the instance belongs to the parent process\nhandled signals 0\n")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "kind", ["shared", "static", "static, sections collected", "static, fixed"])
def test_a_host_runs_without_swift(root, tmp_path, language, kind):
    flags = link_flags(root.folder, kind)
    host = compile_host(SOURCES / "host.c", tmp_path / "host", flags, language)
    assert is_protected(host)
    program = root.add(host)
    assert [path for path in root.paths() if "swift" in path.lower()] == []
    assert root.output(program) == expected_of_host()


def test_the_command_runs_without_swift(root):
    command = root.add(root.folder / "usr/local/bin/millstream")
    assert [path for path in root.paths() if "swift" in path.lower()] == []
    # Swift reads the arguments in /proc, which is not here: without any, the command explains itself.
    assert "server-sent events" in root.output(command)


@pytest.fixture(scope="session")
def probed(root, tmp_path_factory):
    """The libraries once more, with the probe linked in."""
    folder = tmp_path_factory.mktemp("probed")
    call("swiftc", "-O", "-static-stdlib", "-parse-as-library", "-module-name", "Probe",
         "-emit-object", SOURCES / "probe.swift", "-o", folder / "probe.o")
    archive = ROOT / ".build/release/libMillstreamC.a"
    call("packaging/link-library.sh", folder, archive, folder / "probe.o")
    return folder


@pytest.mark.parametrize("name", ["libmillstream.so", "libmillstream.a"])
def test_swift_finds_its_types_at_run_time(probed, tmp_path, name):
    flags = [probed / name, f"-Wl,-rpath,{probed}", "-lev", "-lpq", "-lcrypto", "-lstdc++", "-lm"]
    probe = compile_host(SOURCES / "probe.c", tmp_path / "probe", flags)
    assert call(probe) == FINDINGS


def test_a_time_is_negative_only_where_that_means_something(root, libraries, tmp_path):
    flags = [*package_flags(root.folder, "--cflags"), libraries / "libmillstream.so",
             f"-Wl,-rpath,{libraries}"]
    program = compile_host(SOURCES / "times.c", tmp_path / "times", flags)
    refused = [f"{name}_ms: 1 a time is negative" for name in
               ("heartbeat", "write_deadline", "head_timeout", "retry")]
    taken = [f"{name}_ms: 0 " for name in ("idle_timeout", "safety_poll", "presence_grace", "hole_wait")]
    assert call(program).splitlines() == refused + taken


# Loaded by another language


def test_it_can_be_loaded_dropped_and_loaded_again(libraries):
    text = call(sys.executable, "-c", f"""
import ctypes, _ctypes
for time in range(3):
    library = ctypes.CDLL({str(libraries / "libmillstream.so")!r})
    library.millstream_version.restype = ctypes.c_char_p
    print(library.millstream_version().decode())
    _ctypes.dlclose(library._handle)
status = open("/proc/self/status").read()
print(status.split("Threads:")[1].split()[0])
""")
    assert text.split() == [header_version()] * 3 + ["1"]


# The manual


@pytest.mark.parametrize("page", ["millstream.1", "libmillstream.3"])
def test_a_manual_page_is_in_order(page):
    assert call("mandoc", "-T", "lint", "-W", "warning", MANUAL / page) == ""


def test_the_manual_names_every_function():
    named = re.findall(r"^\.Fn (millstream_\w+)", (MANUAL / "libmillstream.3").read_text(), re.MULTILINE)
    assert set(named) == declared_functions()


def test_the_manual_names_every_command():
    named = re.findall(r"^\.It Cm (\w+)", (MANUAL / "millstream.1").read_text(), re.MULTILINE)
    sources = (ROOT / "Sources/millstream/Millstream.swift").read_text()
    assert named == re.findall(r"(\w+)\.self", sources.lower())


def manual_example(**replaced):
    """The program in the manual, for another database and address."""
    page = (MANUAL / "libmillstream.3").read_text()
    texts = re.findall(r"\.Bd.*?\n(.*?)\.Ed", page, re.DOTALL)
    example = next(text for text in texts if "int main" in text).replace("\\e", "\\")
    for old, new in {"postgresql://localhost/app": replaced["database"], ":8080": ":0"}.items():
        assert example.count(old) == 1
        example = example.replace(old, new)
    return example


@pytest.fixture
def manual_host(root, tmp_path, native_database):
    """That program, compiled against what is installed, running; the line that it prints."""
    (tmp_path / "host.c").write_text(manual_example(database=native_database))
    flags = [*link_flags(root.folder, "static"), "-lev"]
    host = compile_host(tmp_path / "host.c", tmp_path / "host", flags)
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", "stdbuf", "-oL", host], text=True, env=environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    yield process.stdout.readline()
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM


def test_the_example_of_the_manual_works(manual_host, native_database):
    host, port, path = re.fullmatch(r"curl -N http://(.*):(\d+)(/.*)\n", manual_host).groups()
    with Client((host, int(port))) as client, Publisher(native_database, "demo:clock") as publisher:
        client.send(request(path))
        client.connection_id()
        publisher.send("tick")
        assert client.broadcast().data == "tick"
