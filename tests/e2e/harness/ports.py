# SPDX-License-Identifier: GPL-3.0-or-later
"""Free loopback ports, below the ephemeral range so that no outgoing connection can take one between
its choice and its use, and disjoint between the processes of pytest-xdist."""
import itertools
import os
import socket

_FIRST, _PER_WORKER = 20000, 1500


def _sequence():
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    index = int(worker[2:]) if worker[2:].isdigit() else 0
    start = _FIRST + index * _PER_WORKER
    # Successive runs on one machine do not begin at the same place (TIME_WAIT, a run beside us).
    offset = os.getpid() * 37 % _PER_WORKER
    return (start + (offset + i) % _PER_WORKER for i in itertools.count())


_ports = _sequence()


def free_port(addresses=("127.0.0.1",)):
    """A port that is free for TCP and UDP on all of the addresses."""
    for port in itertools.islice(_ports, 3 * _PER_WORKER):
        if all(_is_free(address, port) for address in addresses):
            return port
    raise RuntimeError("no free port")


def _is_free(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as s:
            try:
                s.bind((address, port))
            except OSError:
                return False
    return True
