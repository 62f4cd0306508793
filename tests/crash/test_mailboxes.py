# SPDX-License-Identifier: GPL-3.0-or-later
"""Mailboxes on a disk in trouble: full, read-only, not ours. Mail waits, nothing half stays in a mailbox, and
when the disk is well again each message is there once."""
import os
import shutil
import tempfile

import pytest

from conftest import Makers
from disk import LoopDisk, as_nobody
from harness.client import Client, submit
from harness.holdfs import HeldDisk
from harness.message import message, sized
from harness.peers import nobody
from harness.wait import stays_false, wait_until

MIB = 1 << 20


@pytest.fixture
def make():
    """Folders that nobody may enter, unlike the runner's own."""
    folder = tempfile.mkdtemp(prefix="ringpost-maildir-")
    os.chmod(folder, 0o755)
    makers = Makers(folder)
    yield makers
    try:
        makers.finish()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Case:
    """An engine without privileges; its spool is on the machine's disk, its mailboxes on one of 16 MiB."""

    def __init__(self, make):
        self.disk = make.add(LoopDisk(make.folder, 16))
        spool = os.path.join(make.folder, "spool")
        os.mkdir(spool)
        os.chown(spool, *nobody())
        self.box = os.path.join(self.disk.path, "bob")
        os.mkdir(self.box)
        os.chown(self.box, *nobody())
        self.engine = make.engine({"spool": {"dir": spool}, "access": {"local_domains": ["local.test"]},
                                   "local": {"maildir": self.disk.path + "/{local}"}}, prefix=as_nobody(make.folder))
        self.sent = []

    def send(self, count, size=200_000):
        for _ in range(count):
            self.sent.append(sized(size))
            submit(self.engine.port, self.sent[-1], to=["bob@local.test"])

    def files(self, part="new"):
        folder = os.path.join(self.box, part)
        return [os.path.join(folder, n) for n in os.listdir(folder)] if os.path.isdir(folder) else []

    def exactly_once(self):
        self.engine.wait_empty(40)
        bodies = []
        for path in self.files():
            with open(path, "rb") as f:
                bodies.append(f.read().replace(b"\n", b"\r\n").split(b"\r\n\r\n", 1)[1])
        assert sorted(bodies) == sorted(m.split(b"\r\n\r\n", 1)[1] for m in self.sent)
        assert self.files("tmp") == []


@pytest.fixture
def case(make):
    return Case(make)


def test_a_full_disk(case):
    case.send(2)
    case.exactly_once()
    case.disk.ballast(case.disk.free - MIB)
    case.send(10)
    event = case.engine.event("deferred", to="bob@local.test", status="4.3.1")
    assert event["reply"] == "the mailbox cannot be written: No space left on device" and event["code"] == 452
    assert case.engine.stats()["spool"]["ready"] is True  # new mail is taken: the spool has room
    case.engine.event("deferred", count=12)
    case.engine.restart()
    case.disk.lighten()
    case.exactly_once()


def test_a_disk_that_fails(case):
    case.send(1)
    case.exactly_once()
    case.disk.break_down()
    case.send(3)
    wait_until(lambda: {"Read-only file system", "Input/output error", "Structure needs cleaning"} &
               {e["reply"].split(": ", 1)[1] for e in case.engine.events("deferred")}, 15, "what the disk says")
    assert not case.engine.events("bounced")
    case.engine.stop()
    case.disk.repair()
    case.engine.start()
    case.exactly_once()


def test_a_mailbox_that_is_not_ours(case):
    os.chown(case.box, 0, 0)
    os.chmod(case.box, 0o700)
    case.send(1)
    event = case.engine.event("deferred", to="bob@local.test")
    assert event["status"] == "4.3.0" and event["reply"].endswith(": Permission denied")
    assert stays_false(lambda: case.engine.events("bounced"), 1.5)
    os.chown(case.box, *nobody())
    case.exactly_once()


def test_a_file_system_that_hangs(make):
    """It holds up mailboxes, and who asks for one hears 451 in time; all other mail goes on."""
    disk = make.add(HeldDisk(make.folder))
    for name in ("ann", "bob"):
        os.mkdir(os.path.join(disk.path, name))
    engine = make.relay({"access": {"local_domains": ["local.test"]}, "local": {"maildir": disk.path + "/{local}"},
                         "limits": {"data_timeout": "1s"}})
    submit(engine.port, to=["ann@local.test"])
    engine.wait_empty()
    disk.hold()
    try:
        with Client(engine.port) as c:
            c.ehlo()
            for taken in range(100):
                c.ok("MAIL FROM:<a@far.test>")
                status = c.cmd("RCPT TO:<bob@local.test>").status
                if status == "451 4.3.0":
                    break
                assert status == "250 2.1.5"
                assert c.data(message()).code == 250
            assert status == "451 4.3.0"
            c.ok("RCPT TO:<x@far.test>")
            assert c.data(message()).code == 250
        wait_until(lambda: engine.sink.messages, 10, "remote mail")
        wait_until(lambda: engine.stats()["queued"] == taken, 10, "the mailboxes' mail alone in the queue")
    finally:
        disk.release()
    engine.wait_empty(40)
    found = [n for name in ("ann", "bob") for n in os.listdir(os.path.join(disk.path, name, "new"))]
    assert len(found) == 1 + taken
