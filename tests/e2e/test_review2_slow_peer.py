# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that reads slowly but does read (RFC 5321 4.5.3.2.5)."""
import socket
import threading
import time

from harness.client import submit
from harness.message import sized
from harness.ports import free_port

STEP = 16 * 1024


class SlowReader(threading.Thread):
    """One connection; small buffers; takes `rate` bytes of a message per second, after `until` s all."""

    def __init__(self, rate, until):
        super().__init__(daemon=True)
        self.rate, self.until = rate, until
        self.taken, self.took = 0, 0.0
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STEP)
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        self.port = free_port()
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(1)

    def run(self):
        s, _ = self.listener.accept()
        with s:
            f = s.makefile("rb", buffering=0)
            s.sendall(b"220 slow\r\n")
            for reply in (b"250-slow\r\n250 SIZE\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
                f.readline()
                s.sendall(reply)
            began, tail = time.monotonic(), b""
            while not tail.endswith(b"\r\n.\r\n"):
                piece = s.recv(STEP)
                if not piece:
                    return
                self.taken += len(piece)
                tail = (tail + piece)[-5:]
                spent = time.monotonic() - began
                time.sleep(max(0.0, self.taken / self.rate - spent) if spent < self.until else 0)
            self.took = time.monotonic() - began
            s.sendall(b"250 ok\r\n")
            f.readline()

    def close(self):
        self.listener.close()


def test_a_body_that_is_taken_slowly_is_not_given_up(make):
    """delivery.body_timeout counts from the last byte that was taken, not from the last time the socket had
    room again (a third of its buffer)."""
    peer = make.add(SlowReader(rate=50_000, until=4))
    peer.start()
    engine = make.engine({"relay": {"host": f"[127.0.0.1]:{peer.port}"}, "queue": {"schedule": ["1h"]},
                          "delivery": {"body_timeout": "1s"}})
    submit(engine.port, sized(10_000_000))
    engine.wait_empty(timeout=40)
    assert engine.counters()["delivered"] == 1 and not engine.events("deferred")
    assert peer.took > 4
