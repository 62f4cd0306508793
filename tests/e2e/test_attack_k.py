# SPDX-License-Identifier: GPL-3.0-or-later
"""K7: what a probe sees while something else stands still."""
import threading

import pytest

from harness.client import Client, submit
from harness.holdfs import HeldDisk
from harness.message import message
from harness.service import Manager
from harness.wait import wait_until


@pytest.fixture
def disk(make, tmp_path):
    return make.add(HeldDisk(str(tmp_path)))


def test_a_disk_that_stands_still_is_no_reason_to_restart(make, disk, tmp_path):
    """K7: no flush returns, and no name server answers. The watchdog is told of life as ever, the loop answers clients
    and operators; nobody hears a 250; then the disk goes on, and so does the mail."""
    manager = make.add(Manager(tmp_path, watchdog=1))
    engine = make.relay({"spool": {"dir": disk.path + "/spool"}, "admin": {"socket": str(tmp_path / "admin.sock")}},
                        env=manager.env)
    submit(engine.port, message("before"))
    engine.sink.with_subject("before")
    disk.hold()
    replies = []
    waiting = threading.Thread(target=lambda: replies.append(submit(engine.port, message("held"))), daemon=True)
    waiting.start()
    try:
        seen = len(manager.all("WATCHDOG=1"))
        manager.wait("WATCHDOG=1", seen + 5)
        assert engine.running and not replies
        with Client(engine.port) as c:
            c.ehlo()
            assert c.cmd("NOOP").code == 250
        assert engine.stats()["queued"] == 0
    finally:
        disk.release()
    waiting.join(60)
    assert replies and replies[0].code == 250
    engine.sink.with_subject("held")
    wait_until(lambda: engine.counters()["queued"] == 0, 20, "an empty queue")
