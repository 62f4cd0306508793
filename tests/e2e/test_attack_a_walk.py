# SPDX-License-Identifier: GPL-3.0-or-later
"""A14, A17: a long random walk over the verbs, pipelined and cut into random segments. A model of a few lines says
beforehand what each answer is and which messages come out; a state that is confused once cannot stay hidden, as what
follows BDAT and DATA looks like commands.

RINGPOST_WALK_STEPS=1000000 walks further (30,000 otherwise)."""
import collections
import os
import random

import pytest

from harness.client import Client, Closed
from harness.message import stuff
from harness.wait import wait_until

STEPS = int(os.environ.get("RINGPOST_WALK_STEPS", "30000"))
SESSION, BATCH = 1500, 60
FREE = {"limits": {"errors": 10000, "junk": 1000000}, "headers": {"received": "none"}}
PAYLOADS = [b"X: y\r\n", b"RSET\r\nQUIT\r\n", b"BDAT 4 LAST\r\n", b".\r\n", b"\r\n", b"DATA\r\n..\r\n"]
SPOILT = b"QUIT\nQUIT\r\n"  # a bare LF
# (what is sent, status, changes nothing): the answer is the same everywhere
ALWAYS = [("NOOP", "250 2.0.0"), ("VRFY a", "252 2.0.0"), ("HELP", "214 2.0.0"), ("EXPN a", "502 5.5.1"),
          ("BOGUS", "500 5.5.2"), ("RSET now", "501 5.5.4"), ("STARTTLS", "502 5.5.1"), ("EHLO", "501 5.5.4")]


class Model:
    """One session. state: start, ready, mail, rcpt, chunks, or spoilt (chunks of which one was wrong)."""

    def __init__(self, rng):
        self.rng = rng
        self.state = "start"
        self.greeted = False
        self.spoilt = ""      # what every further chunk is answered
        self.content = b""
        self.rcpts = 0
        self.sent = bytearray()
        self.answers = []
        self.committed = []   # (content, recipients)

    def say(self, data, answer):
        self.sent += data if isinstance(data, bytes) else data.encode() + b"\r\n"
        self.answers.append(answer)

    def end(self):
        self.state, self.content, self.rcpts = "ready" if self.greeted else "start", b"", 0

    def commit(self, content):
        self.committed.append((content, self.rcpts))
        self.end()

    # ---- verbs ----

    def hello(self):
        self.greeted = True
        self.end()
        self.say(self.rng.choice(["EHLO x.test", "HELO x.test", "ehlo x.test"]), "250")

    def mail(self):
        good = self.rng.random() < 0.9
        bad_code = "503 5.5.1" if self.state != "ready" else "501 5.1.7"
        self.say("MAIL FROM:<a@example.test>" if good else "MAIL FROM:<a b>",
                 "250 2.1.0" if good and self.state == "ready" else bad_code)
        self.state = "mail" if good and self.state == "ready" else self.state

    def rcpt(self):
        good, open_ = self.rng.random() < 0.9, self.state in ("mail", "rcpt")
        self.say("RCPT TO:<b@example.test>" if good else "RCPT TO:<>",
                 "503 5.5.1" if not open_ else "250 2.1.5" if good else "501 5.1.3")
        if good and open_:
            self.state = "rcpt"
            self.rcpts += 1

    def data(self):
        if self.state != "rcpt":
            self.say("DATA", "503 5.5.1")
            return
        self.say("DATA", "354")
        content = b"S: x\r\n" + b"".join(self.rng.choices(PAYLOADS, k=self.rng.randrange(4)))
        if self.rng.random() < 0.2:
            self.say(stuff(content + SPOILT), "550 5.5.2")
            self.end()
        else:
            self.say(stuff(content), "250 2.0.0")
            self.commit(content)

    def bdat(self):
        last = self.rng.random() < 0.4
        chunk = SPOILT if self.rng.random() < 0.1 else self.rng.choice(PAYLOADS)
        if not self.content and self.state == "rcpt" and chunk is not SPOILT:
            chunk = b"S: x\r\n" + chunk
        line = b"BDAT %d%s\r\n" % (len(chunk), b" LAST" if last else b"") + chunk
        if self.state in ("start", "ready"):
            self.say(line, "503 5.5.1")
            return
        if self.state == "mail":
            self.state, self.spoilt = "spoilt", "503 5.5.1"
        elif self.state in ("rcpt", "chunks"):
            self.state = "chunks"
            if chunk is SPOILT:
                self.state, self.spoilt = "spoilt", "550 5.5.2"
        self.say(line, self.spoilt if self.state == "spoilt" else "250 2.0.0")
        self.content += chunk
        if last and self.state == "chunks":
            self.commit(self.content)
        elif last:
            self.end()

    def rset(self):
        self.end()
        self.say("RSET", "250 2.0.0")

    def always(self):
        line, answer = self.rng.choice(ALWAYS)
        self.say(line, answer)

    def step(self):
        likely = {"start": [self.hello] * 3, "ready": [self.mail] * 4, "mail": [self.rcpt] * 4,
                  "rcpt": [self.data, self.data, self.bdat, self.bdat, self.rcpt], "chunks": [self.bdat] * 4,
                  "spoilt": [self.bdat] * 2}[self.state]
        self.rng.choice(likely + [self.hello, self.mail, self.rcpt, self.data, self.bdat, self.rset, self.always,
                                  self.always])()

    def take(self):
        """What was said since the last time, and the answers to it."""
        out = bytes(self.sent), self.answers
        self.sent, self.answers = bytearray(), []
        return out


def send_cut(c, rng, data):
    """In segments of random sizes, once in a while all of single bytes."""
    size = rng.choice([1, 3, 50, 400, 4000, 100000])
    if size == 1:
        data, rest = data[:300], data[300:]
        c.send_pieces(data)
        data, size = rest, 4000
    at = 0
    while at < len(data):
        n = rng.randrange(1, size + 1)
        c.send(data[at:at + n])
        at += n


def answers(c, count):
    """So many, or those before the end."""
    got = []
    try:
        while len(got) < count:
            got.append(c.reply().status)
    except Closed:
        pass
    return got


@pytest.mark.parametrize("seed", [20261121, 20261122])
def test_a_random_walk_over_the_verbs(make, seed):
    """A14, A17."""
    engine = make.relay(FREE)
    rng, committed, steps = random.Random(seed), [], 0
    while steps < STEPS // 2:
        model = Model(rng)
        with Client(engine.port, timeout=60) as c:
            for _ in range(SESSION // BATCH):
                for _ in range(BATCH):
                    model.step()
                data, wanted = model.take()
                send_cut(c, rng, data)
                got = answers(c, len(wanted))
                assert got == wanted, (seed, steps, [p for p in enumerate(zip(got, wanted)) if p[1][0] != p[1][1]][:3], data)
                steps += BATCH
            c.send("QUIT\r\n")
            assert [r.code for r in c.rest()] == [221]
        committed += model.committed
    assert engine.wait_empty(60)["accepted"] == sum(rcpts for _, rcpts in committed) > STEPS // 200
    wait_until(lambda: len(engine.sink.messages) >= len(committed), 20, "all of them")
    assert collections.Counter(m.data for m in engine.sink.messages) == collections.Counter(c for c, _ in committed)
