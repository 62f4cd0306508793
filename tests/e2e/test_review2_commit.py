# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that hangs: what can still be refused is refused in time, what cannot is answered late."""
import threading
import time

import pytest

from harness.client import Client
from harness.holdfs import HeldDisk
from harness.message import message, sized, stuff, tag
from harness.sink import Silence


@pytest.fixture
def disk(make):
    held = make.add(HeldDisk(str(make.folder)))
    yield held
    held.release()


def send_all(c, data):
    thread = threading.Thread(target=c.send, args=(data,), daemon=True)
    thread.start()
    return thread


def test_who_waits_for_room_too_long_hears_451(make, disk):
    sink = make.sink(script={"connect": lambda s, a: Silence()})
    engine = make.relay({"spool": {"dir": disk.path}, "admin": {"socket": str(make.folder / "admin.sock")},
                         "limits": {"data_timeout": "2s"}, "shutdown": {"deadline": "100ms"}}, sink=sink)
    committing, big, small = (Client(engine.port, timeout=30) for _ in range(3))
    for c in (committing, big, small):
        c.ehlo()
        c.envelope()
    for c in (committing, big):
        c.ok("DATA")
    disk.hold()
    committing.send(stuff(message(tag())))
    disk.wait_held()
    sender = send_all(big, stuff(sized(16_000_000)))  # more than all commit buffers
    assert big.reply().status == "451 4.3.0"
    sender.join(10)
    small.ok("DATA")
    began = time.monotonic()
    small.send(stuff(sized(130_000)))  # one record of the size that had no room
    assert small.reply().status == "451 4.3.0"
    assert 1 < time.monotonic() - began < 15
    assert small.cmd("NOOP").code == 250
    disk.release()
    assert committing.reply().code == 250  # was never refused: it is ours
    assert small.submit(message(tag())).code == 250
    for c in (committing, big, small):
        c.close()
    assert engine.counters()["queued"] == 2
