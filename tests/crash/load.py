#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients for the crash tests, in a process of their own: they outlive every engine.

    load.py PORT JOURNAL CLIENTS SEED

Each client sends messages of random size to random recipients until "stop" comes on stdin, connects again
when the engine is gone, and writes the journal (see checker.py). It ends when all are finished; the
journal's lines are written with one write each and are whole."""
import hashlib
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

from harness.client import Client, Closed  # noqa: E402
from harness.message import stuff  # noqa: E402

# Between messages: bursts, and rest for the two cores that engine, sink and clients share.
PAUSES = [0, 0, 0.05, 0.1, 0.2]
KINDS = ["ok", "ok", "ok", "ok", "ok", "ok", "temp", "temp", "perm", "cut"]


def content_of(ident, rng):
    size = rng.choice([0, 300, 300, 1000, 1000, 4000, 30000, 200000])
    line = f"{ident} {rng.random()} ".encode() * 2
    body = (line[:70] + b"\r\n") * (size // 72 + 1)
    dot = b"." * rng.randrange(3) + b"\r\n"
    return b"From: <s@example.test>\r\nSubject: %s\r\n\r\n" % ident.encode() + dot + body


class Load:
    def __init__(self, port, journal, clients, seed):
        self.port = port
        self.journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.stop = threading.Event()
        self.seed = seed
        self.threads = [threading.Thread(target=self.client, args=(i,)) for i in range(clients)]

    def note(self, *words):
        os.write(self.journal, (" ".join(words) + "\n").encode())

    def client(self, number):
        rng = random.Random(self.seed * 1000 + number)
        count = 0
        while not self.stop.is_set():
            try:
                # The kernel may forget a connection that a dying listener had not accepted yet, without a
                # word to us: seen now and then, with nobody at its other end. So the greeting is not waited
                # for as long as answers are.
                with Client(self.port, timeout=5) as c:
                    c.socket.settimeout(30)
                    c.ehlo()
                    for _ in range(rng.choice([1, 5, 50])):
                        if self.stop.is_set():
                            break
                        time.sleep(rng.choice(PAUSES))
                        count += 1
                        self.message(c, rng, f"s{self.seed}c{number}n{count}")
            except (Closed, OSError, AssertionError, ValueError):
                time.sleep(0.01)

    def message(self, c, rng, ident):
        kinds = [rng.choice(KINDS) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
        rcpts = [f"{kind}{i}.{ident}@example.test" for i, kind in enumerate(kinds)]
        content = content_of(ident, rng)
        self.note("T", ident, hashlib.sha256(content).hexdigest(), ",".join(rcpts))
        try:
            reply = self.transaction(c, rng, rcpts, content, f"s.{ident}@example.test")
        except (Closed, OSError):
            self.note("U", ident)
            raise
        if reply.code < 300:
            self.note("O", ident)
        else:
            self.note("F", ident, str(reply.code))

    @staticmethod
    def transaction(c, rng, rcpts, content, sender):
        way = rng.choice(["data", "pipelined", "bdat"])
        if way == "data":
            for line in [f"MAIL FROM:<{sender}>", *[f"RCPT TO:<{r}>" for r in rcpts], "DATA"]:
                reply = c.cmd(line)
                if reply.code >= 400:
                    c.cmd("RSET")
                    return reply
            c.send(stuff(content))
            return c.reply()
        head = "".join(f"{line}\r\n" for line in [f"MAIL FROM:<{sender}>", *[f"RCPT TO:<{r}>" for r in rcpts]]).encode()
        if way == "bdat":
            c.send(head + b"BDAT %d LAST\r\n" % len(content) + content)
            return c.replies(len(rcpts) + 2)[-1]
        c.send(head + b"DATA\r\n")
        reply = c.replies(len(rcpts) + 2)[-1]
        if reply.code != 354:
            c.cmd("RSET")
            return reply
        c.send(stuff(content))
        return c.reply()


def main():
    port, journal, clients, seed = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    load = Load(port, journal, clients, seed)
    for t in load.threads:
        t.start()
    sys.stdin.readline()
    load.stop.set()
    for t in load.threads:
        t.join()


if __name__ == "__main__":
    main()
