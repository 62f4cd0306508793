# SPDX-License-Identifier: GPL-3.0-or-later
"""A restart, in order and by kill -9, in the middle of every state that mail can be in: nothing is lost, what was
waited for is still waited for, and a second copy comes only of what a server had whole and had not answered.

Here is what had no test yet; elsewhere: Send-At (test_priority), held and suspended (test_operators, crash/test_states), a
report that is due (test_dsn), a message half received (test_durability, test_signals), a flush under way (test_commit),
mailboxes (test_maildir)."""
import socket
import time

import pytest

from dnsserver import DnsServer
from harness.client import Client
from harness.engine import check_sum
from harness.message import message, sized, tag, without_received
from harness.sink import ALL, Delay
from harness.wait import stays_false, wait_until

NEVER = Delay(3600)  # the reply, or the reading, is still awaited when the engine goes
ONE = {"delivery": {"connections_per_site": 1}}
DATA = ["PIPELINING", "8BITMIME"]


class State:
    """Mail in a state. Subclasses say how it gets there and what may be said of it afterwards."""
    conf, features, script = ONE, ALL, {}
    size, count, workers = 0, 4, 2
    twice = 0          # messages that a server may have had whole, unanswered
    after = {}         # configuration after the restart

    def __init__(self, make):
        self.make = make
        self.sink = make.sink(list(self.features), script=dict(self.script))
        conf = {"workers": self.workers, "queue": {"schedule": ["1s"]}, "shutdown": {"deadline": "1s"}, **self.conf}
        self.engine = make.engine({**self.route(), **conf})
        self.contents = {}

    def route(self):
        return {"relay": {"host": self.sink.endpoint}}

    def give(self, headers=(), **kwargs):
        with Client(self.engine.port) as c:
            c.ehlo()
            for _ in range(self.count):
                content = sized(self.size) if self.size else message(tag(), headers=headers)
                self.contents[self.key(content)] = content
                assert c.submit(content, **kwargs).code == 250

    @staticmethod
    def key(content):
        return next(line for line in content.split(b"\r\n") if line.startswith(b"Message-ID"))

    def inflight(self):
        return self.engine.stats()["inflight"]

    def reached(self):
        """Waits until the mail is in that state."""
        raise NotImplementedError

    def release(self):
        self.sink.script.clear()

    def check(self):
        """All arrived, once, as they were."""
        wait_until(lambda: len(self.sink.messages) >= len(self.contents), 30, "all messages")
        self.engine.wait_empty(timeout=30)
        came = {}
        for m in self.sink.messages:
            came.setdefault(self.key(m.data), []).append(m)
        assert set(came) == set(self.contents)
        assert all(without_received(m.data) == self.contents[k] for k, copies in came.items() for m in copies)
        assert len(self.sink.messages) == len(self.contents), "answered ones are not sent again"
        assert len(self.sink.attempts) - len(self.contents) <= self.twice


class WaitingForDns(State):
    """A name server that says nothing."""

    def __init__(self, make):
        self.silent = make.add(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.silent.bind(("127.0.0.1", 0))
        self.silent.settimeout(20)
        self.conf = {"dns": {"servers": [f"127.0.0.1:{self.silent.getsockname()[1]}"], "timeout": "30s"}}
        super().__init__(make)

    def route(self):
        return {"delivery": {"private_targets": "allow", "mx_port": self.sink.port}}

    def give(self, **_):
        super().give(to=["bob@dest.test"])

    def reached(self):
        assert b"dest" in self.silent.recv(512).lower()

    def release(self):
        dns = self.make.add(DnsServer({"dest.test": {"mx": [[10, "mx.dest.test"]]},
                                       "mx.dest.test": {"a": [self.sink.host]}}).start())
        self.after = {"dns": {"servers": [dns.endpoint]}}


class BehindACap(State):
    script = {"mail": NEVER}
    count = 12

    def reached(self):
        wait_until(lambda: self.sink.commands("MAIL"), 15, "a transaction")


class BehindARate(State):
    conf = {"shaping": {"default": {"message_rate": {"limit": "1/h", "burst": 1}}}}
    after = {"shaping": {"default": {"message_rate": {"limit": "1000/s", "burst": 100}}}}

    def reached(self):
        self.sink.wait(1)
        self.engine.wait_durable()


class AtMail(State):
    script, features = {"mail": NEVER}, DATA

    def reached(self):
        wait_until(lambda: self.sink.commands("MAIL"), 15, "MAIL")


class AtRcpt(State):
    script, features = {"rcpt": NEVER}, DATA

    def reached(self):
        wait_until(lambda: self.sink.commands("RCPT"), 15, "RCPT")


class AtData(State):
    script, features = {"data": NEVER}, DATA

    def reached(self):
        wait_until(lambda: self.sink.commands("DATA"), 15, "DATA")


class InTheBody(State):
    """More than the buffers between us take, and nobody reads it. In fragments here."""
    script, features = {"reading": NEVER}, DATA
    size, count = 12_000_000, 1

    def reached(self):
        wait_until(lambda: self.sink.commands("DATA"), 15, "DATA")
        wait_until(lambda: self.inflight() == 1, 15, "a transaction")


class DotSent(State):
    script, features, twice = {"dot": NEVER}, DATA, 1

    def reached(self):
        self.sink.wait_attempts(1)


class Overlapped(State):
    """Two are taken, so several follow each other; then nothing is answered."""
    features, count, twice = ["CHUNKING", "PIPELINING", "8BITMIME"], 12, 4

    def __init__(self, make):
        self.script = {"connect": [Delay(1)], "dot": lambda s, a: NEVER if s.messages >= 4 else None}
        super().__init__(make)

    def reached(self):
        self.sink.wait(4)
        wait_until(lambda: self.inflight() >= 3, 15, "several under way")


class InOthersLanes(State):
    """All connections of all workers are in a transaction; parts stand ahead of them."""
    conf = {"delivery": {"connections_per_site": 6}}
    script, workers, count = {"mail": NEVER}, 4, 80

    def reached(self):
        wait_until(lambda: len(self.sink.commands("MAIL")) >= 6, 20, "all connections in use")


class ContentOnLoan(State):
    """One home, whose content other workers read for their connections."""
    conf = {"delivery": {"connections_per_site": 4}}
    script, features, workers = {"reading": NEVER}, DATA, 4
    size, count = 6_000_000, 4

    def reached(self):
        wait_until(lambda: len(self.sink.commands("DATA")) >= 2, 20, "several bodies on their way")


class Deferred(State):
    """The time of the next attempt is kept; it is not made earlier."""
    conf = {"queue": {"schedule": ["1h"]}}
    script = {"rcpt": lambda s, a: "451 4.7.1 later"}

    def listed(self):
        rows = self.engine.queue("ls")
        return {m["id"]: (r["state"], r["attempts"], r["next_attempt"]) for m in rows for r in m["recipients"]}

    def reached(self):
        self.engine.event("deferred", count=self.count)
        self.engine.wait_durable()
        self.before = self.listed()
        assert {row[:2] for row in self.before.values()} == {("deferred", 1)}

    def check(self):
        assert self.listed() == self.before
        assert stays_false(lambda: self.sink.messages, 0.5)
        self.engine.queue("retry", "--all")
        super().check()


class Compacted(Deferred):
    """They wait in segments that are otherwise dead, and are moved meanwhile."""
    conf = {"queue": {"schedule": ["1h"]}, "spool": {"segment_size": "1MiB"}}
    script = {"rcpt": lambda s, a: "451 4.7.1 later" if b"bob@" in a else None}

    def reached(self):
        super().reached()
        with Client(self.engine.port) as c:
            c.ehlo()
            for _ in range(60):
                assert c.submit(sized(90_000), to=["others@example.test"]).code == 250
        self.sink.wait(60, timeout=60)
        wait_until(lambda: self.engine.counters()["queued"] == self.count, 20, "the others are through")
        self.sink.messages.clear()
        self.sink.attempts.clear()


class Expiring(State):
    """The time goes on while the engine is away: one report, and nothing is delivered."""
    conf = {"queue": {"schedule": ["1s", "1h"]}}
    script = {"rcpt": lambda s, a: "451 4.7.1 later" if b"bob@" in a else None}
    count = 3

    def give(self, **_):
        super().give(headers=["X-Ringpost-Expire: +5"])

    def reached(self):
        self.engine.event("deferred", count=self.count)
        self.engine.wait_durable()

    def release(self):
        """They would be taken, but for the report's sake are not."""

    def check(self):
        wait_until(lambda: len(self.sink.messages) >= self.count, 30, "the reports")
        self.engine.wait_empty(timeout=30)
        assert [m.sender for m in self.sink.messages] == [b""] * self.count


class ReportQueued(State):
    """The mail has bounced, its report waits."""
    conf = {"queue": {"schedule": ["1h"]}}
    script = {"mail": lambda s, a: "451 4.7.1 later" if b"<>" in a else None,
              "rcpt": lambda s, a: "550 5.1.1 nobody" if b"bob@" in a else None}

    def reached(self):
        self.engine.event("bounced", count=self.count)
        self.engine.event("deferred", count=self.count)
        self.engine.wait_durable()

    def release(self):
        self.sink.script["mail"] = None

    def check(self):
        assert self.engine.counters()["queued"] == self.count
        self.engine.queue("retry", "--all")
        wait_until(lambda: len(self.sink.messages) >= self.count, 30, "the reports")
        self.engine.wait_empty(timeout=30)
        assert [m.sender for m in self.sink.messages] == [b""] * self.count
        assert all(sum(self.key(content) in m.data for m in self.sink.messages) == 1
                   for content in self.contents.values())


STATES = [WaitingForDns, BehindACap, BehindARate, AtMail, AtRcpt, AtData, InTheBody, DotSent, Overlapped, InOthersLanes,
          ContentOnLoan, Deferred, Compacted, Expiring, ReportQueued]


@pytest.mark.parametrize("way", ["SIGTERM", "kill"])
@pytest.mark.parametrize("state", STATES, ids=lambda s: s.__name__)
def test_restart(make, state, way):
    s = state(make)
    engine = s.engine
    s.give()
    s.reached()
    check_sum(engine.counters())
    began = time.monotonic()
    if way == "kill":
        engine.kill()
    else:
        engine.stop()
        assert time.monotonic() - began < 15, "shutdown.deadline is a second"
    s.release()
    engine.write(s.after)
    engine.start()
    check_sum(engine.counters())
    s.check()
