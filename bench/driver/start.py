"""Scenario `start`: from the start of the process until it is ready, and until it has answered."""

import socket
import time

from .fanout import spread
from .process import Process
from .servers import PREFIXES, READY_SECONDS, clean_environment, ready_port, serve_arguments

STREAM = "bench:0"


def start(bench):
    """Again and again, on one Postgres that has its schema."""
    ready, answered = [], []
    with bench.postgres() as postgres:
        command = serve_arguments([bench.binaries["server"]], postgres.conninfo, bench.store, ())
        for number in range(1 + bench.start_rounds):
            begun = time.monotonic()
            with Process("millstream", command, env=clean_environment()) as process:
                port = ready_port(process, READY_SECONDS)
                ready.append(1e3 * (time.monotonic() - begun))
                _subscribe(bench, port)
                answered.append(1e3 * (time.monotonic() - begun))
    # The first brings the program's file into memory.
    return _result(bench, ready[1:], answered[1:])


def _subscribe(bench, port):
    path = f"{PREFIXES[bench.store]}/{STREAM}"
    with socket.create_connection(("127.0.0.1", int(port)), timeout=READY_SECONDS) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        answer = client.recv(4096)
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"the first answer was {answer[:40]!r}")


def _result(bench, ready, answered):
    name = f"start, median of {bench.start_rounds}"
    rows = [
        (f"{name}: until ready", spread(ready, "{:.0f}") + " ms"),
        (f"{name}: until the first subscriber is answered", spread(answered, "{:.0f}") + " ms"),
    ]
    return {"scenario": "start", "ready_ms": ready, "answered_ms": answered, "rows": rows}
