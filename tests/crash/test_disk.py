# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk in trouble: full, failing, read-only, or no room left by the configuration.

Each time: new mail gets 452 4.3.1 or 451 4.3.0, nothing crashes, what is queued goes on being delivered,
`queue stats` says so, the engine recovers by itself, and after a restart nothing is lost or sent again."""
import os
import shutil
import tempfile
from collections import Counter

import pytest

from conftest import Makers
from disk import LoopDisk, as_nobody
from harness.client import Client
from harness.holdfs import HeldDisk
from harness.message import message, tag
from harness.wait import stays_false, wait_until

FULL, FAILED = "452 4.3.1", "451 4.3.0"
MIB = 1 << 20


@pytest.fixture
def make():
    """Folders that nobody may enter, unlike the runner's own."""
    folder = tempfile.mkdtemp(prefix="ringpost-disk-")
    os.chmod(folder, 0o755)
    makers = Makers(folder)
    yield makers
    try:
        makers.finish()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Gate:
    """A destination that puts everybody off until it is open."""

    def __init__(self):
        self.is_open = False
        self.refused = 0

    def __call__(self, session, arg):
        if self.is_open:
            return None
        self.refused += 1
        return "451 4.2.0 later"


class Case:
    """An engine, its gated destination, and what was promised to clients."""

    def __init__(self, make, spool_dir, conf=None, socket=None, **kwargs):
        self.gate = Gate()
        self.sink = make.sink(script={"rcpt": self.gate})
        self.engine = make.engine({"spool": {"dir": spool_dir, **(conf or {})},
                                   **({"admin": {"socket": socket}} if socket else {}),  # not every disk has sockets
                                   "relay": {"host": self.sink.endpoint}, "queue": {"schedule": ["1s"]}}, **kwargs)
        self.accepted = []
        self.refused = []

    def try_one(self, client, size=1000):
        """A message; its first refusal or the 250: (status, the command it answered)."""
        subject = tag()
        for line in ("MAIL FROM:<a@example.test>", "RCPT TO:<b@example.test>", "DATA"):
            reply = client.cmd(line)
            if reply.code >= 400:
                self.refused.append(subject)
                client.cmd("RSET")
                return reply.status, line[:4]
        client.send(message(subject, b"x" * 70 + b"\r\n" + b"y" * 70 + b"\r\n" * (size // 2)) + b".\r\n")
        reply = client.reply()
        (self.accepted if reply.code == 250 else self.refused).append(subject)
        return reply.status, "dot"

    def one(self, size=1000):
        with Client(self.engine.port) as c:
            c.ehlo()
            return self.try_one(c, size)

    def fill(self, status, size=100000, limit=600):
        """Until MAIL itself is refused; every refusal on the way has this status."""
        with Client(self.engine.port) as c:
            c.ehlo()
            for _ in range(limit):
                found, where = self.try_one(c, size)
                assert found in (status, "250 2.0.0"), (found, where)
                if where == "MAIL":
                    return
        raise AssertionError(f"after {limit} messages mail is still taken: {self.engine.stats()}")

    def state(self):
        spool = self.engine.stats()["spool"]
        assert spool["ready"] == (spool["state"] == "ready"), spool
        return spool["state"]

    def wait_state(self, state, timeout=20):
        wait_until(lambda: self.state() == state, timeout, f"the state {state}", interval=0.05)

    def copies(self):
        return Counter(m.subject for m in list(self.sink.messages))

    def delivered(self, timeout=40):
        """Everything promised is there; nothing that was refused."""
        wait_until(lambda: all(s in self.copies() for s in self.accepted), timeout,
                   "everything that was accepted", interval=0.05)
        assert not set(self.refused) & set(self.copies()), "a copy after a refusal"

    def exactly_once(self):
        self.delivered()
        self.engine.wait_empty()
        assert all(n == 1 for n in self.copies().values()), self.copies()

    def restart_is_clean(self):
        """Nothing comes again, and mail flows."""
        self.engine.wait_empty()
        self.engine.wait_durable()
        self.engine.restart()
        assert self.one() == ("250 2.0.0", "dot")
        self.exactly_once()

    def said(self, text):
        return sum(text in e.get("reason", "") for e in self.engine.events("spool_state"))

    def wait_said(self, text, times=1):
        """So often and not more: the log comes a moment later than the state."""
        wait_until(lambda: self.said(text) >= times, 5, f"the log to say '{text}'")
        assert self.said(text) == times


def is_unprivileged(engine):
    with open(f"/proc/{engine.process.pid}/status", encoding="ascii") as f:
        fields = dict(line.split(":", 1) for line in f)
    return "0" not in fields["Uid"].split() and int(fields["CapEff"], 16) == 0


@pytest.fixture
def full(make):
    """A case on 24 MiB that are full, with 4 MiB more that can be given back."""
    disk = make.add(LoopDisk(make.folder, 24))
    disk.ballast(4 * MIB)
    case = Case(make, os.path.join(disk.path, "spool"), prefix=as_nobody(make.folder))
    case.disk = disk
    assert is_unprivileged(case.engine)
    case.fill(FULL)
    assert len(case.accepted) > 50
    assert case.state() == "full"
    assert case.engine.stats()["spool"]["full"] is True
    case.wait_said("a new segment could not be made")  # once, not at each attempt
    return case


def test_a_full_file_system_drains_and_takes_mail_again(full):
    """J5: Some rounds of deferrals come first: they must leave the last bytes to the results that end mail."""
    rounds = full.gate.refused + 6 * len(full.accepted)
    wait_until(lambda: full.gate.refused > rounds, 30, "six rounds of attempts")
    full.gate.is_open = True
    full.delivered()
    full.wait_state("ready")
    assert full.one() == ("250 2.0.0", "dot")
    full.exactly_once()
    full.restart_is_clean()


def test_room_that_comes_from_elsewhere_is_found(full):
    """Nothing is delivered: somebody else deletes a file."""
    before = len(full.accepted)
    full.disk.lighten()
    full.wait_state("ready")
    full.fill(FULL)
    assert len(full.accepted) > before
    full.gate.is_open = True
    full.exactly_once()
    full.restart_is_clean()


def test_a_start_on_a_full_disk_sends_nothing_it_could_not_remember(full):
    """No segment can be made: each start would send all of it again."""
    full.engine.kill()
    full.engine.spawn().wait_for_port()
    full.wait_state("full")  # until the first try to make a segment has failed, it is the dot that is refused
    assert full.one() == (FULL, "MAIL")
    full.gate.is_open = True
    assert stays_false(lambda: full.sink.attempts, 3)
    full.disk.lighten()
    full.wait_state("ready")
    full.exactly_once()
    full.restart_is_clean()


def test_spool_min_free(make):
    """J5."""
    disk = make.add(LoopDisk(make.folder, 64))
    case = Case(make, os.path.join(disk.path, "spool"), {"min_free": "20MiB"}, prefix=as_nobody(make.folder))
    for _ in range(5):
        assert case.one() == ("250 2.0.0", "dot")
    with Client(case.engine.port) as early:
        early.ehlo()
        early.envelope()
        disk.ballast(disk.free - 15 * MIB)
        case.wait_state("min_free")
        assert case.engine.stats()["spool"]["free_bytes"] < 20 * MIB
        assert case.one() == (FULL, "MAIL")
        assert early.data(message(tag())).code == 250, "who was let in may finish"
    case.gate.is_open = True
    case.delivered()
    assert case.state() == "min_free", "nothing changed by itself"
    case.wait_said("less than spool.min_free")
    # Half a segment more than the limit is not enough to come back, a segment and a half is.
    disk.lighten()
    disk.ballast(disk.free - 20 * MIB - MIB // 2)
    assert stays_false(lambda: case.state() == "ready", 2.5)
    disk.lighten()
    disk.ballast(disk.free - 21 * MIB - MIB // 2)
    case.wait_state("ready")
    case.wait_said("there is room again")
    assert case.one() == ("250 2.0.0", "dot")
    # A reload counts at once.
    case.engine.write({"spool": {"min_free": "1GiB"}})
    case.engine.hup()
    case.engine.event("reloaded")
    case.wait_state("min_free", 2)
    case.engine.write({"spool": {"min_free": 0}})
    case.engine.hup()
    case.engine.event("reloaded", count=2)
    case.wait_state("ready", 2)
    case.wait_said("less than spool.min_free", 2)
    case.wait_said("there is room again", 2)
    case.delivered()


def test_spool_max_size(make):
    """J5."""
    spool = os.path.join(make.folder, "spool")
    case = Case(make, spool, {"max_size": "16MiB"}, name="limited")
    case.fill(FULL, size=200000)
    assert case.state() == "max_size"
    size = sum(os.path.getsize(os.path.join(spool, n)) for n in os.listdir(spool) if n.startswith("seg-"))
    assert 16 * MIB < size <= 18 * MIB
    case.wait_said("larger than spool.max_size")
    case.gate.is_open = True
    case.delivered()
    case.wait_state("ready")
    case.wait_said("there is room again")
    assert case.one() == ("250 2.0.0", "dot")
    case.exactly_once()
    case.restart_is_clean()


@pytest.mark.parametrize("trouble", ["fail", "read_only"])
def test_a_disk_that_refuses_to_write(make, trouble):
    """EIO from each fdatasync, EROFS from each change, also of open files; then it is well again."""
    disk = make.add(HeldDisk(make.folder))
    case = Case(make, os.path.join(disk.path, "spool"), socket=os.path.join(make.folder, "admin.sock"))
    for _ in range(10):
        assert case.one(20000) == ("250 2.0.0", "dot")
    getattr(disk, trouble)()
    assert case.one() == (FAILED, "dot"), "the one that met the failure"
    case.wait_state("read-only")
    assert case.one() == (FAILED, "MAIL")
    assert case.engine.stats()["spool"]["failures"] > 0
    case.wait_said("nothing can be written; new mail is refused")
    case.gate.is_open = True
    case.delivered()
    assert case.state() == "read-only"
    disk.heal()
    case.wait_state("ready")
    case.wait_said("writing works again")
    assert case.one() == ("250 2.0.0", "dot")
    case.exactly_once()
    case.restart_is_clean()


def test_a_failure_that_passes_costs_only_who_met_it(make):
    """One failed flush: that segment has ended, the next one takes over, nobody needs to do anything. What
    the failed flush may have written all the same does not count, now or after a restart."""
    disk = make.add(HeldDisk(make.folder))
    case = Case(make, os.path.join(disk.path, "spool"), socket=os.path.join(make.folder, "admin.sock"))
    case.gate.is_open = True
    assert case.one(400000) == ("250 2.0.0", "dot")
    case.engine.wait_empty()
    wait_until(lambda: case.engine.stats()["spool"]["segments"] == 2, 10, "the segment made ahead")
    case.engine.wait_durable()
    disk.fail_once()
    assert case.one() == (FAILED, "dot")
    assert case.one() == ("250 2.0.0", "dot")
    assert case.state() == "ready" and case.engine.stats()["spool"]["failures"] == 1
    case.exactly_once()
    case.engine.kill()
    case.engine.start()
    assert case.one() == ("250 2.0.0", "dot")
    case.exactly_once()


def test_a_file_system_that_has_turned_read_only(make):
    """ext4 after an error: nothing can be written any more until it is repaired, which needs a restart.
    What was delivered meanwhile could not be recorded: it may come twice."""
    disk = make.add(LoopDisk(make.folder, 64))
    case = Case(make, os.path.join(disk.path, "spool"), prefix=as_nobody(make.folder))
    for _ in range(10):
        assert case.one(20000) == ("250 2.0.0", "dot")
    disk.break_down()
    assert case.one()[0] == FAILED
    case.wait_state("read-only")
    assert case.one() == (FAILED, "MAIL")
    case.gate.is_open = True
    case.delivered()
    case.engine.stop()
    disk.repair()
    case.engine.start()
    assert case.one() == ("250 2.0.0", "dot")
    case.delivered()
    case.engine.wait_empty()
    assert all(n <= 2 for n in case.copies().values()), case.copies()
