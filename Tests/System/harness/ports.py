"""Free loopback ports for servers that are started again on the same one."""

import random
import socket


def free_port():
    """A port below the ephemeral range: no outgoing connection takes it while its owner is down."""
    for port in random.sample(range(20_000, 32_000), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port between 20000 and 32000")
