# SPDX-License-Identifier: GPL-3.0-or-later
"""Peers that answer before they have read, or close at the worst moment."""
import socket
import threading
import time
from datetime import datetime

import pytest

from harness.client import Client, submit
from harness.message import sized
from harness.ports import free_port
from harness.sink import Close, Delay, Sink
from harness.wait import wait_until

FRAGMENT = 128 * 1024


class Peer:
    """One thread per connection; `talk(self, reader)` is the script."""

    def __init__(self, talk):
        self.talk = talk
        self.port = free_port()
        self.endpoint = f"[127.0.0.1]:{self.port}"
        self.connections = 0
        self.errors = []
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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


def at_rest(port):
    """What the kernel takes when the peer reads nothing."""
    seen = [None, 0]

    def still():
        now = in_kernel(port)
        seen[:] = [now, seen[1] + 1 if now == seen[0] else 0]
        return seen[1] >= 3
    wait_until(still, 20, "full socket buffers", interval=0.1)
    return seen[0]


def test_a_peer_answers_the_next_message_before_it_has_read_this_one(make):
    """Two bodies from disk: the last piece of one is stuck in the kernel, the other is being read, and then
    the connection ends."""
    # How much the kernel takes differs a little from connection to connection.
    assert any(answered_early(make) for _ in range(5)), "the last piece was never the one that is stuck"


def answered_early(make):
    """False: the kernel took more, or less, than it did a moment ago; nothing was tried."""
    room, go, hit, missed = [], threading.Event(), threading.Event(), threading.Event()

    def talk(sock, reader, number):
        hello(sock, reader, b"PIPELINING")
        if number > 2:
            sock.sendall(b"421 4.3.2 enough\r\n")
            return
        expect(reader, b"MAIL", b"RCPT", b"DATA")
        if number == 2:
            go.wait(20)
        sock.sendall(b"250 ok\r\n250 ok\r\n354 go\r\n")
        if number == 1:
            room.append(at_rest(peer.port))
            return
        if not room[1] - FRAGMENT < at_rest(peer.port) < room[1]:
            missed.set()
            hit.set()
            return
        sock.sendall(b"250 stored\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        wait_until(lambda: engine.counters()["delivered"], 10, "the first is delivered")
        sock.shutdown(socket.SHUT_WR)
        hit.set()
        time.sleep(1)

    peer = make.add(Peer(talk))
    engine = make.engine({"relay": {"host": peer.endpoint}, "headers": {"received": "none"},
                          "delivery": {"connections_per_site": 1},
                          "queue": {"schedule": ["1h"], "jitter": 0}})
    submit(engine.port, sized(8_000_000))
    wait_until(lambda: room, 20, "the size of the kernel's buffers")
    engine.event("deferred")
    # The last piece is the one that does not fit.
    room.append((room[0] // FRAGMENT + 1) * FRAGMENT)
    submit(engine.port, sized(room[1]))
    submit(engine.port, sized(room[1]))
    wait_until(lambda: engine.counters()["queued"] == 3, 10, "both queued")
    go.set()
    assert hit.wait(30), peer.errors
    if missed.is_set():
        return False
    engine.event("deferred", count=2)
    assert engine.counters()["delivered"] == 1
    return True


def test_connections_that_are_refused_together_are_one_failure(make):
    """A relay that is being restarted: there is a second try, a moment later, before anything waits for the
    retry schedule."""
    engine = make.engine({"relay": {"host": f"[127.0.0.1]:{free_port()}"},
                          "queue": {"schedule": ["1h"], "jitter": 0},
                          "delivery": {"recipients_per_transaction": 1}})
    submit(engine.port, sized(1000), to=[f"u{i}@example.test" for i in range(5)])
    deferred = engine.event("deferred", count=5)
    refused = engine.events("outbound_trouble")
    first, last = (datetime.fromisoformat(e["time"].rstrip("Z")) for e in (refused[0], deferred[0]))
    assert (last - first).total_seconds() > 0.2, (len(refused), first, last)


def test_refused_connections_leave_no_limit_behind(make):
    """When the relay is back it gets as many connections as before."""
    port = free_port()
    engine = make.engine({"relay": {"host": f"[127.0.0.1]:{port}"},
                          "delivery": {"recipients_per_transaction": 1}})
    submit(engine.port, sized(1000), to=[f"u{i}@example.test" for i in range(12)])
    engine.event("deferred", count=12)
    sink = make.add(Sink(port=port, script={"dot": lambda s, a: Delay(1)}).start())
    assert engine.wait_empty()["delivered"] == 12
    assert sink.peak >= 4, sink.peak


@pytest.mark.parametrize("end", [Close(), Close("421 4.7.0 too much from you")], ids=["silent", "421"])
def test_a_peer_that_drops_every_message_is_not_stormed(make, end):
    """It greets and then ends each connection at MAIL: a queue is no reason for as many connections."""
    sink = make.sink(script={"mail": lambda s, a: end})
    engine = make.relay({"queue": {"schedule": ["1h"], "jitter": 0}}, sink=sink)
    with Client(engine.port) as c:
        c.ehlo()
        for _ in range(200):
            assert c.submit().code == 250
    engine.event("deferred", count=200)
    assert sink.connections <= 30, sink.connections


def test_a_message_that_kills_connections_does_not_hold_up_the_others(make):
    """The peer dies on one sender; all others are delivered without a deferral."""
    sink = make.sink(["PIPELINING"], script={"mail": lambda s, a: Close() if b"poison@" in a else None})
    engine = make.relay({"queue": {"schedule": ["1h"], "jitter": 0}, "delivery": {"connections_per_site": 1}},
                        sink=sink)
    with Client(engine.port) as c:
        c.ehlo()
        assert c.submit(sender="poison@example.test").code == 250
        for _ in range(20):
            assert c.submit().code == 250
    wait_until(lambda: engine.counters()["delivered"] == 20, 15, "the others")
    assert all(e["from"] == "poison@example.test" for e in engine.events("deferred"))
