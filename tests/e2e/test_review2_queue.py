# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports: who gets one, and how many."""
import glob
import os

from harness.client import submit
from harness.message import message, sized
from harness.mxworld import mx
from harness.wait import stays_false, wait_until


def reports(sink):
    return [m for m in sink.messages if m.sender == b""]


def test_delay_is_told_of_every_recipient_once(world):
    """RFC 3461 4.1: two sites of one message put it off; the sender hears of both, once of each."""
    zone = {**mx("a.test", [(10, "127.0.0.2")]), **mx("b.test", [(10, "127.0.0.3")]),
            **mx("back.test", [(10, "127.0.0.4")])}
    w = world(zone, {"dsn": {"delay_after": "1s"}}, sinks=["127.0.0.2", "127.0.0.3", "127.0.0.4"])
    for address in ("127.0.0.2", "127.0.0.3"):
        w.sinks[address].script["rcpt"] = lambda s, a: "451 4.3.0 busy"
    back = w.sinks["127.0.0.4"]
    rcpts = ["x@a.test", "y@b.test", "z@b.test"]
    submit(w.engine.port, message(), sender="alice@back.test", to=rcpts)

    def told():
        return [r for r in rcpts for m in reports(back) if b"; " + r.encode() in m.data]
    wait_until(lambda: sorted(set(told())) == rcpts, 15, "a report about each")
    before = len(w.engine.events("deferred"))
    w.engine.event("deferred", count=before + 6)
    w.engine.restart()
    w.engine.event("deferred", count=3)
    assert sorted(told()) == rcpts
    assert all(b"Action: delayed" in m.data for m in reports(back))
    assert len(reports(back)) == 2


def test_several_refused_domains_make_one_report(world):
    zone = {f"null{i}.test": {"mx": [[0, "."]]} for i in range(5)}
    w = world({**zone, **mx("back.test")})
    rcpts = [f"x@null{i}.test" for i in range(5)] + ["x@nowhere.test"]
    submit(w.engine.port, message(), sender="alice@back.test", to=rcpts)
    wait_until(lambda: w.engine.counters()["bounced"] == 6, 15, "bounces")
    w.engine.wait_empty()
    before = len(w.sinks["127.0.0.2"].messages)
    submit(w.engine.port, message(), sender="alice@back.test", to=rcpts)  # all refusals are known
    wait_until(lambda: w.engine.counters()["bounced"] == 12, 15, "bounces")
    w.engine.wait_empty()
    assert len(w.sinks["127.0.0.2"].messages) == before + 1
    data = w.sinks["127.0.0.2"].messages[-1].data
    assert all(rcpt.encode() in data for rcpt in rcpts)


def test_a_message_found_incomplete_bounces_at_once(make):
    """Part of its content is gone with a segment: no connection is made for it, the sender hears once."""
    engine = make.relay({"queue": {"schedule": ["1h"]}})
    sink = engine.sink
    sink.script["mail"] = lambda s, a: "451 4.3.0 not now" if b"<>" not in a else None
    submit(engine.port, sized(3_000_000))
    engine.event("deferred")
    engine.wait_durable()
    engine.stop()
    os.unlink(sorted(glob.glob(os.path.join(engine.spool, "seg-*.log")))[0])
    tried = sink.connections
    engine.start()
    assert engine.event("bounced")["status"] == "5.3.0"
    wait_until(lambda: reports(sink), 15, "the report")
    engine.wait_empty()
    assert b"damaged" in reports(sink)[0].data
    assert sink.connections == tried + 1 and not engine.events("deferred")
    assert stays_false(lambda: len(reports(sink)) > 1, 0.5)
