# SPDX-License-Identifier: GPL-3.0-or-later
"""Peers that answer before they have read, or close at the worst moment."""
import socket
import threading
import time

import pytest

from harness.client import submit
from harness.message import sized
from harness.ports import free_port
from harness.wait import wait_until

FRAGMENT = 128 * 1024


class Peer:
    """One thread per connection; `talk(self, reader)` is the script."""

    def __init__(self, talk, small_window=False):
        self.talk = talk
        self.port = free_port()
        self.endpoint = f"[127.0.0.1]:{self.port}"
        self.connections = 0
        self.errors = []
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if small_window:
            # A small segment keeps the engine's send buffer small too.
            self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._run, args=(sock, self.connections), daemon=True).start()

    def _run(self, sock, number):
        try:
            self.talk(sock, sock.makefile("rb"), number)
        except (OSError, AssertionError) as error:
            self.errors.append(repr(error))
        finally:
            sock.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def hello(sock, reader, *features):
    sock.sendall(b"220 peer.example.test ESMTP\r\n")
    assert reader.readline().upper().startswith(b"EHLO")
    lines = [b"peer.example.test", *features]
    sock.sendall(b"".join(b"250%s%s\r\n" % (b"-" if i + 1 < len(lines) else b" ", line)
                          for i, line in enumerate(lines)))


def in_kernel(port):
    """Bytes between the engine's sendmsg and the peer's read: /proc/net/tcp of both ends."""
    total = 0
    with open("/proc/net/tcp", encoding="ascii") as f:
        for line in list(f)[1:]:
            fields = line.split()
            local, remote = (int(fields[i].split(":")[1], 16) for i in (1, 2))
            if fields[3] == "01" and port in (local, remote):
                sent, received = (int(n, 16) for n in fields[4].split(":"))
                total += sent if remote == port else received
    return total


def expect(reader, *verbs):
    for verb in verbs:
        line = reader.readline()
        assert line.upper().startswith(verb), (line, verb)


def test_a_peer_answers_the_next_message_before_it_has_read_this_one(make):
    """Two bodies from disk: one in the kernel, one being read, and the connection ends."""
    rest = 130_000
    size = 64 * FRAGMENT + rest
    go, hit = threading.Event(), threading.Event()

    def talk(sock, reader, number):
        hello(sock, reader, b"PIPELINING")
        if number > 1:
            sock.sendall(b"421 4.3.2 enough\r\n")
            return
        expect(reader, b"MAIL", b"RCPT", b"DATA")
        go.wait(20)
        sock.sendall(b"250 ok\r\n250 ok\r\n354 go\r\n")
        got = 0
        while got + in_kernel(peer.port) < size - rest + 10_000:
            got += len(sock.recv(2048))
            if got > size - 6_000_000:
                time.sleep(0.0005)  # the kernel's buffers come to rest
        assert got + in_kernel(peer.port) < size, "all of it is in the kernel"
        sock.sendall(b"250 stored\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        time.sleep(0.5)
        sock.shutdown(socket.SHUT_WR)
        hit.set()
        time.sleep(1)

    peer = make.add(Peer(talk, small_window=True))
    engine = make.engine({"relay": {"host": peer.endpoint}, "headers": {"received": "none"},
                          "delivery": {"connections_per_site": 1},
                          "queue": {"schedule": ["1h"], "jitter": 0}})
    submit(engine.port, sized(size))
    submit(engine.port, sized(size))
    wait_until(lambda: engine.counters()["queued"] == 2, 10, "both queued")
    go.set()
    assert hit.wait(30), peer.errors
    wait_until(lambda: engine.counters()["queued"] < 2, 15, f"the first is delivered {peer.errors}")
    engine.event("deferred")
    assert engine.running
    engine.counters()
