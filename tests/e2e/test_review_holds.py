# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a segment on disk without being a message that could move: compaction must see it and leave it."""
import time

from harness.client import Client
from harness.message import message, sized, stuff, without_received
from harness.sink import Delay
from harness.wait import wait_until

MIB = 1024 * 1024


def fill_segments(engine, megabytes):
    """Mail that comes and goes: segments full of what nobody needs any more."""
    with Client(engine.port) as c:
        c.ehlo()
        for _ in range(megabytes * 10):
            assert c.submit(sized(100_000)).code == 250
        c.quit()


def test_a_slow_upload_in_an_old_segment(make):
    """Fragments of a message that is still arriving are alone in a segment that is otherwise dead."""
    engine = make.relay({"limits": {"data_rate_min": 0}})
    content = sized(300_000)
    wire = stuff(content)
    with Client(engine.port) as slow:
        slow.ehlo()
        slow.envelope()
        assert slow.cmd("DATA").code == 354
        slow.send(wire[:200_000])
        wait_until(lambda: engine.stats()["spool"]["bytes_live"] > 0, 10, "the first fragment")
        fill_segments(engine, 6)
        wait_until(lambda: engine.counters()["queued"] == 0, 20, "the others to go")
        time.sleep(0)  # nothing to wait for: compaction is looked for in every turn of the loop
        fill_segments(engine, 1)
        slow.send(wire[200_000:])
        assert slow.reply().code == 250
    got = wait_until(lambda: [m for m in engine.sink.messages if len(m.data) > 250_000], 15, "the slow one")
    assert without_received(got[0].data) == content
    engine.wait_empty()
