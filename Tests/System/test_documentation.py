"""Does what the articles say, as a reader would: compiles what they show, runs it, and builds the whole."""

import json
import re

import pytest

from harness.article import (
    CATALOGUE, Installation, Program, blocks, command, fragments, programs, text_of,
)
from harness.client import Client, request
from harness.library import HEADER, ROOT, WARNINGS, call
from harness.native import Publisher
from harness.ports import free_port

C = "EmbedInC"
SWIFT = "EmbedInSwift"
# What a fragment takes for granted: that the reader has it already.
PRELUDE = """\
#include <millstream.h>
#include <stdio.h>
#include <unistd.h>
extern millstream *streamer;
void respond(int client, int status);
"""
FUNCTION = "void fragment(void);\nvoid fragment(void) "


@pytest.fixture(scope="session")
def installation(tmp_path_factory):
    """What the articles install first."""
    return Installation(tmp_path_factory.mktemp("prefix"))


@pytest.fixture(scope="session")
def compiled(installation, tmp_path_factory):
    """The folder in which a reader has saved the C programs, and compiled them as the article says."""
    folder = tmp_path_factory.mktemp("programs")
    for name, text in programs(C).items():
        (folder / name).write_text(text)
        line = command(C, f"cc -Wall {name}")
        installation.type(f"{line} {' '.join(WARNINGS)}", folder)
    return folder


@pytest.fixture
def start(make_database, installation):
    """Runs programs, and removes what is left of them."""
    running = []

    def start(*command):
        running.append(Program(*command, **installation.variables))
        return running[-1]

    yield start
    for program in running:
        program.remove()


def subscribe(program, path=None):
    """A client whose stream is open."""
    client = Client(program.address)
    client.send(request(path or program.path))
    assert client.head.status == 200
    client.id = client.connection_id()
    return client


# The article for C


def test_there_is_a_program_for_each_way():
    assert list(programs(C)) == ["host.c", "store.c", "epoll.c", "thread.c"]
    assert len(fragments(C)) >= 6


@pytest.mark.parametrize("fragment", fragments(C), ids=lambda text: text.splitlines()[0][:40])
def test_a_fragment_compiles(installation, tmp_path, fragment):
    source = tmp_path / "fragment.c"
    source.write_text(PRELUDE + (fragment if is_definition(fragment) else f"{FUNCTION}{{\n{fragment}}}\n"))
    call("cc", "-std=c99", *WARNINGS, "-Wno-unused-function", "-c", source, "-o", tmp_path / "fragment.o",
         *installation.flags())


def is_definition(fragment):
    """Whether it is a function, and not what stands in one."""
    return re.match(r"(/\*.*\n)?static \w+ \w+\(", fragment)


@pytest.mark.parametrize("name", ["host", "epoll"])
def test_a_host_serves_what_is_in_postgres(compiled, start, native_database, name):
    where = str(free_port()) if name == "host" else "127.0.0.1:0"
    program = start(compiled / name, native_database, where)
    with subscribe(program) as client, Publisher(native_database, "demo:hello") as publisher:
        publisher.send("<p>hello</p>")
        assert client.broadcast().data == "<p>hello</p>"
        program.interrupt()
        assert client.read_to_end()[-1].is_goodbye


def test_a_thread_publishes_to_the_instance_of_another(compiled, start, native_database):
    program = start(compiled / "thread", native_database, "127.0.0.1:0")
    with subscribe(program) as client:
        first, second = client.broadcasts(2)
        assert first.event == second.event == "clock"
        assert int(second.data) == int(first.data) + 1
        program.interrupt()
        assert client.read_to_end()[-1].is_goodbye


def test_a_store_of_the_host_is_served(compiled, start):
    program = start(compiled / "store", "127.0.0.1:0")
    program.type("before")
    with subscribe(program) as client:
        assert client.broadcast().data == "before"
        program.type("while it listens")
        last = client.broadcast()
        assert last.data == "while it listens"
    program.type("after")
    with subscribe(program, f"/host/lines?since={last.id}") as client:
        assert client.broadcast().data == "after"
    program.process.stdin.close()
    program.assert_ends()


def test_the_article_names_what_there_is():
    header = set(re.findall(r"\b(?:millstream|MILLSTREAM)_\w+", HEADER.read_text()))
    initializers = {f"{name}_init" for name in re.findall(r"INITIALIZER\((\w+)\)", HEADER.read_text())}
    named = set(re.findall(r"\b(?:millstream|MILLSTREAM)_\w+", text_of(C)))
    assert named <= header | initializers


def test_the_article_says_what_each_result_means():
    declared = HEADER.read_text().split("} millstream_result;")[0]
    results = re.findall(r"^  MILLSTREAM_(\w+) = \d+,?$", declared, re.MULTILINE)
    table = text_of(C).split("## What a result means")[1].split("\n## ")[0]
    rows = " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    assert "OK" in results
    assert set(re.findall(r"`(\w+)`", rows)) == set(results) - {"OK"}


# The article for Swift


@pytest.fixture(scope="session")
def swift_server(tmp_path_factory):
    """A package of its own, as the article shows it, beside a copy of Millstream."""
    folder = tmp_path_factory.mktemp("swift")
    (folder / "millstream").symlink_to(ROOT)
    manifest, source = blocks(SWIFT, "swift")
    (folder / "notes/Sources/notes").mkdir(parents=True)
    (folder / "notes/Package.swift").write_text(manifest)
    (folder / "notes/Sources/notes/Notes.swift").write_text(source)
    # Millstream is compiled once for all runs of the tests.
    scratch = ROOT / ".build-documentation"
    call("swift", "build", "--scratch-path", scratch, folder=folder / "notes")
    return scratch / "debug/notes"


def post(program, text):
    """Adds a note."""
    with Client(program.address) as client:
        client.send(request(f"/notes?text={text}", method="POST"))
        assert client.head.status == 201


def test_the_swift_server_does_what_its_comments_say(swift_server, start):
    program = start(swift_server, "127.0.0.1:0")
    post(program, "hello")
    with Client(program.address) as stranger:
        stranger.send(request(program.path))
        assert stranger.head.status == 403
    with subscribe(program, f"{program.path}?user=ann&since=0") as ann:
        assert ann.broadcast().data == "hello"
        with subscribe(program, f"{program.path}?user=bob"):
            assert (joined := ann.broadcast()).event == "joined" and joined.data == "bob"
        post(program, "draft")
        post(program, "done")
        assert ann.broadcast().data == "done"
        program.interrupt()
        assert ann.read_to_end()[-1].is_goodbye


# The documentation as a whole


@pytest.fixture(scope="session")
def archive():
    """What `make docs` builds, which fails on any warning."""
    call("make", "docs")
    return ROOT / ".build/documentation"


def test_all_that_is_public_is_in_the_list(archive):
    graph = json.loads((archive / "symbols/Millstream.symbols.json").read_text())
    top = {symbol["pathComponents"][0] for symbol in graph["symbols"]}
    topics = (CATALOGUE / "Millstream.md").read_text().split("## Topics")[1]
    assert top == set(re.findall(r"^- ``(\w+)``$", topics, re.MULTILINE))


def test_all_that_is_public_is_documented(archive):
    graph = json.loads((archive / "symbols/Millstream.symbols.json").read_text())
    silent = {
        ".".join(symbol["pathComponents"]) for symbol in graph["symbols"] if "docComment" not in symbol
    }
    # The compiler's own.
    assert {name for name in silent if not name.endswith(".init(rawValue:)")} == set()


def test_the_articles_are_in_the_archive(archive):
    pages = {path.stem for path in (archive / "Millstream.doccarchive/data").rglob("*.json")}
    assert {"embedinc", "embedinswift", "instance"} <= pages
