# SPDX-License-Identifier: GPL-3.0-or-later
"""Free loopback ports, below the ephemeral range so that no outgoing connection can take one between
its choice and its use. Each process draws from a block of its own, held by a lock as long as it lives:
neither pytest-xdist's workers nor another run on this machine takes a port that we let go for a while."""
import fcntl
import os
import socket
import tempfile

_FIRST, _END, _BLOCK = 10000, 32000, 1000


class _Block:
    def __init__(self):
        self.lock = None  # an open file; closed by the end of the process
        folder = os.path.join(tempfile.gettempdir(), f"ringpost-ports-{os.geteuid()}")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        starts = range(_FIRST, _END, _BLOCK)
        first = os.getpid() % len(starts)  # do not begin where the run before us ended (TIME_WAIT)
        for i in range(len(starts)):
            self.start = starts[(first + i) % len(starts)]
            if self._take(os.path.join(folder, str(self.start))):
                break
        self.next = 0

    def _take(self, path):
        lock = open(path, "wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return False
        self.lock = lock
        return True

    def draw(self):
        self.next += 1
        return self.start + self.next % _BLOCK


_blocks = []  # of this process, made when the first port is wanted


def free_port(addresses=("127.0.0.1",)):
    """A port that is free for TCP and UDP on all of the addresses."""
    if not _blocks:
        _blocks.append(_Block())
    for _ in range(3 * _BLOCK):
        port = _blocks[0].draw()
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


def is_listening(port):
    """Whether somebody listens there, from the kernel's table: a connection would be noticed."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)
