"""What hostile hosts do (Tests/Embedding): each gets the documented result, and crashes and leaks
nothing."""

import subprocess

import pytest

from harness.host import COMPLAINT, ROOT, compile_host, under_valgrind
from harness.server import environment

SOURCES = sorted((ROOT / "Tests/Embedding").glob("*.c"))
CYCLES = 10_000
CYCLES_UNDER_VALGRIND = 330
CYCLES_WITH_DATABASE = 330

CASES = """
null sizes values extremes
bad-descriptors blocking-descriptor descriptor-twice duplicate-descriptor descriptor-closed-behind
number-used-again full clients-vanish context-released
metadata expires refusals
calls-from-callbacks shutdown-from-callbacks destroy-in-stopped close-in-each close-tells
destroy-in-host-timer
store-answered-twice store-never-answered store-answered-after-shutdown store-answered-after-destroy
store-disorder
authorize-twice authorize-never authorize-after-client authorize-after-shutdown
authorize-after-destroy
drain drain-of-nobody drain-twice drain-cut-short
before-start after-shutdown shutdown-twice loop-destroyed-first fork wrong-thread two-on-one-loop
ten-threads ten-loops
""".split()


@pytest.fixture(scope="session")
def hostile():
    return compile_host("hostile", *SOURCES, standard="c11")


def _run(*command, limit=120):
    done = subprocess.run(
        command, env=environment(), capture_output=True, timeout=limit, stdin=subprocess.DEVNULL
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode != COMPLAINT, said
    assert done.returncode == 0, f"status {done.returncode}: {said}"
    return said


def test_no_case_is_forgotten(hostile):
    assert _run(hostile, "list").split() == CASES


@pytest.mark.parametrize("case", CASES)
def test_case(hostile, case):
    _run(hostile, case)


@pytest.mark.parametrize("case", CASES)
def test_case_under_valgrind(hostile, case):
    # What only another thread's stack held is lost in a child, and that is no leak.
    leak_check = "no" if case == "fork" else "full"
    _run(*under_valgrind(hostile, case, leak_check=leak_check), limit=600)


def test_cycles(hostile):
    print(_run(hostile, "cycles", str(CYCLES), limit=600))


def test_cycles_under_valgrind(hostile):
    _run(*under_valgrind(hostile, "cycles", str(CYCLES_UNDER_VALGRIND)), limit=600)


def test_cycles_with_a_database(hostile, full_database):
    _run(hostile, "cycles", str(CYCLES_WITH_DATABASE), full_database, limit=300)


def test_cycles_without_the_database_that_is_named(hostile):
    """Its sessions are connecting, refused or backing off whenever the end comes."""
    nowhere = "host=127.0.0.1 port=1 connect_timeout=2"
    _run(hostile, "cycles", str(CYCLES_WITH_DATABASE), nowhere, limit=300)
