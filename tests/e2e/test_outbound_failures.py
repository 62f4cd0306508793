# SPDX-License-Identifier: GPL-3.0-or-later
"""What peers refuse, break and cut short: per recipient and per connection (faults 14–17); hostile replies are in
test_outbound_hostile.py."""
import asyncio
import socket

import pytest

from harness.client import Client, submit
from harness.message import message, sized, tag, without_received
from harness.sink import ALL, Close, Delay, Reset, Silence
from harness.wait import stays_false, wait_until

STAGES = ["connect", "ehlo", "mail", "rcpt", "data", "dot"]


def once(reply):
    """This reply to the first occurrence only."""
    return [reply]


def features(stage):
    return ["PIPELINING", "8BITMIME"] if stage == "data" else ALL


@pytest.mark.parametrize("code", ["421 4.3.2", "450 4.2.0", "451 4.3.0", "452 4.3.1"])
@pytest.mark.parametrize("stage", STAGES)
def test_temporary_refusal_is_retried_and_delivered_once(make, stage, code):
    sink = make.sink(features(stage), script={stage: once(f"{code} not now")})
    if stage in ("connect", "ehlo") and not code.startswith("421"):
        code = "421 4.3.2"
    engine = make.relay(sink=sink)
    subject = tag()
    submit(engine.port, message(subject))
    sink.with_subject(subject)
    assert engine.wait_empty()["delivered"] == 1
    if stage not in ("connect", "ehlo"):
        deferred = engine.events("deferred")
        assert deferred and deferred[0]["code"] == int(code[:3]), deferred
        assert deferred[0]["status"] == code[4:] and "not now" in deferred[0]["reply"]
    assert len([m for m in sink.messages if m.subject == subject]) == 1


@pytest.mark.parametrize("code", ["550 5.1.1", "552 5.2.2", "553 5.1.3", "554 5.7.1", "500 5.5.2", "521 5.3.2"])
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
def test_permanent_refusal_is_reported_and_never_tried_again(make, stage, code):
    """P3. Only the stage of the message is refused, not the report."""
    def refuse(s, a):
        if stage == "mail":
            return f"{code} never" if b"alice@" in a else None
        if stage == "rcpt":
            return f"{code} never" if b"bob@" in a else None
        if stage == "data":
            return f"{code} never" if s.tx.sender else None
        return f"{code} never" if b"Subject: refuse-me" in a.split(b"\r\n\r\n")[0] else None
    sink = make.sink(features(stage), script={stage: refuse})
    engine = make.relay(sink=sink)
    submit(engine.port, message("refuse-me"))
    report = sink.wait()[0]
    assert report.sender == b"" and report.rcpts == ["alice@example.test"]
    assert b"never" in report.data and code[4:].encode() in report.data
    counters = engine.wait_empty()
    assert (counters["bounced"], counters["delivered"]) == (1, 1)
    bounced = engine.event("bounced")
    assert bounced["code"] == int(code[:3]) and bounced["to"] == "bob@example.test"
    # One code of each stage waits for what must not come; the schedule says a second.
    assert stays_false(lambda: len(sink.messages) > 1, 1.2 if code == "550 5.1.1" else 0)
    assert sum(b"alice@" in c.line for c in sink.commands("MAIL")) == 1


def test_one_bad_recipient_of_many(make):
    """Fault 17: only it bounces; the others get the message at once."""
    sink = make.sink(script={"rcpt": lambda s, a: "550 5.1.1 nobody" if b"u50@" in a else None})
    engine = make.relay(sink=sink)
    to = [f"u{i}@example.test" for i in range(100)]
    submit(engine.port, message("many"), to=to)
    got = sink.with_subject("many")
    report = next(m for m in sink.wait(2) if m.sender == b"")
    assert sorted(r for m in got for r in m.rcpts) == sorted(set(to) - {"u50@example.test"})
    assert b"u50@example.test" in report.data and b"u51@example.test" not in report.data
    counters = engine.wait_empty()
    assert counters["delivered"] == 100 and counters["bounced"] == 1  # 99 and the report


def test_mixed_results_per_recipient(make):
    first = set()

    def rcpt(s, a):
        if b"perm@" in a:
            return "550 5.1.1 no"
        if b"temp@" in a and "temp" not in first:
            first.add("temp")
            return "450 4.2.1 later"
        return None
    sink = make.sink(script={"rcpt": rcpt})
    engine = make.relay(sink=sink)
    submit(engine.port, message("mixed"), to=["good@example.test", "perm@example.test", "temp@example.test"])
    got = sink.with_subject("mixed", 2)
    assert [m.rcpts for m in got] == [["good@example.test"], ["temp@example.test"]]
    counters = engine.wait_empty()
    assert counters["bounced"] == 1 and counters["delivered"] == 3


def test_no_valid_recipient_and_354_all_the_same(make):
    """RFC 2920 3.1: the peer that says 354 gets a lone dot, and nobody gets a message."""
    sink = make.sink(["PIPELINING"], script={
        "rcpt": lambda s, a: "550 5.1.1 no" if b"bob@" in a else None,
        "data": lambda s, a: "354 go ahead anyway" if s.tx and not s.tx.rcpts else None})
    engine = make.relay(sink=sink)
    submit(engine.port, message("lone"))
    report = next(m for m in sink_reports(sink))
    assert b"bob@example.test" in report.data
    lone = [m for m in sink.attempts if not m.rcpts]
    assert all(m.data == b"" for m in lone)


def sink_reports(sink):
    return wait_until(lambda: [m for m in sink.messages if m.sender == b"" and m.rcpts], 15, "a report")


def test_dot_refusal_covers_all_its_recipients(make):
    sink = make.sink(script={"dot": lambda s, a: "554 5.7.1 spam" if b"Subject: spam" in a.split(b"\r\n\r\n")[0] else None})
    engine = make.relay(sink=sink)
    submit(engine.port, message("spam"), to=["a@example.test", "b@example.test"])
    report = sink.wait()[0]
    assert b"a@example.test" in report.data and b"b@example.test" in report.data
    assert engine.wait_empty()["bounced"] == 2


# ---- the connection breaks ----

@pytest.mark.parametrize("action", [Close(), Reset()], ids=["close", "reset"])
@pytest.mark.parametrize("stage", ["connect", "ehlo", "mail", "rcpt", "data", "body"])
@pytest.mark.parametrize("offered", [["PIPELINING", "8BITMIME"], ALL], ids=["DATA", "BDAT"])
def test_peer_vanishes_before_the_final_dot(make, offered, stage, action):
    """Fault 15: it is tried again and arrives exactly once."""
    if offered is ALL and stage in ("data", "body"):
        stage = "mail"  # with CHUNKING there is no such stage
    sink = make.sink(offered, script={stage: once(action)})
    engine = make.relay(sink=sink)
    submit(engine.port, message("again", b"x" * 900 + b"\r\n"))
    sink.with_subject("again")
    engine.wait_empty()
    assert stays_false(lambda: len(sink.messages) > 1, 0.3)
    # A small BDAT is in one segment with its envelope: then the end was sent, whatever the peer read.
    if stage != "body" and (offered is not ALL or stage in ("connect", "ehlo")):
        assert not [e for e in engine.events("deferred") if e.get("outcome_unknown")]


@pytest.mark.parametrize("features_", [["PIPELINING"], ["CHUNKING", "PIPELINING"]], ids=["DATA", "BDAT"])
@pytest.mark.parametrize("action", [Close(), Reset()], ids=["close", "reset"])
def test_peer_vanishes_after_the_final_dot(make, features_, action):
    """Fault 15, P4: at most one more copy, and the log says that the outcome was unknown."""
    sink = make.sink(features_, script={"dot": once(action)})
    engine = make.relay(sink=sink)
    submit(engine.port, message("unknown"))
    sink.with_subject("unknown")
    engine.wait_empty()
    assert len(sink.attempts) == 2
    deferred = engine.events("deferred")
    assert len(deferred) == 1 and deferred[0]["outcome_unknown"] is True


def test_peer_vanishes_in_a_pipeline_and_only_unanswered_mail_is_sent_again(make):
    """The fifth message is cut after its dot: the four before it are not sent again."""
    count = iter(range(100))
    sink = make.sink(["PIPELINING"], script={"dot": lambda s, a: Reset() if next(count) == 4 else None})
    engine = make.relay({"delivery": {"connections_per_site": 1}}, sink=sink)
    subjects = [tag() for _ in range(10)]
    with Client(engine.port) as c:
        c.ehlo()
        for s in subjects:
            assert c.submit(message(s)).code == 250
    for s in subjects:
        sink.with_subject(s)
    engine.wait_empty()
    assert sorted(m.subject for m in sink.messages) == sorted(subjects)
    assert len(sink.attempts) == 11


@pytest.mark.parametrize("stage,setting", [
    ("connect", "greeting_timeout"), ("ehlo", "ehlo_timeout"), ("mail", "mail_timeout"),
    ("rcpt", "rcpt_timeout"), ("data", "data_timeout"), ("dot", "data_done_timeout")])
def test_a_silent_peer_meets_the_deadline_of_the_stage(make, stage, setting):
    sink = make.sink(["8BITMIME"], script={stage: once(Silence())})
    engine = make.relay({"delivery": {setting: "500ms"}}, sink=sink)
    submit(engine.port, message("silent"))
    sink.with_subject("silent", timeout=15)
    engine.wait_empty()
    assert len([m for m in sink.messages if m.subject == "silent"]) == 1


def test_a_peer_that_takes_no_bytes_meets_the_body_timeout(make):
    sink = make.sink(["8BITMIME"], script={"reading": once(Delay(10))})
    engine = make.relay({"delivery": {"body_timeout": "1s", "connections_per_site": 1}}, sink=sink)
    content = sized(16 << 20)
    submit(engine.port, content)
    engine.event("deferred", timeout=8)
    got = sink.wait(1, timeout=30)
    assert without_received(got[0].data) == content


def test_unsolicited_421_on_an_idle_connection(make):
    """The peer says 421 and closes between two messages: no harm."""
    sink = make.sink()
    engine = make.relay(sink=sink)
    submit(engine.port, message("one"))
    sink.with_subject("one")
    session = sink.sessions[0]

    async def shut():
        await session.send(b"421 4.4.2 idle too long\r\n")
        session.socket.shutdown(socket.SHUT_RDWR)
    asyncio.run_coroutine_threadsafe(shut(), sink.loop).result(5)
    submit(engine.port, message("two"))
    sink.with_subject("two", timeout=10)
    assert engine.wait_empty()["delivered"] == 2


def test_421_in_the_middle_is_for_the_connection_not_the_recipient(make):
    """RCPT answered 421: the recipient is retried, on another connection."""
    sink = make.sink(script={"rcpt": [None, Close("421 4.3.2 shutting down")]})
    engine = make.relay(sink=sink)
    submit(engine.port, message("cut"), to=["a@example.test", "b@example.test", "c@example.test"])
    wait_until(lambda: {r for m in sink.messages for r in m.rcpts} >= {f"{x}@example.test" for x in "abc"}, 15,
               "all three recipients")
    assert engine.wait_empty()["delivered"] == 3
    assert sorted(r for m in sink.messages for r in m.rcpts) == [f"{x}@example.test" for x in "abc"]


def test_bdat_refused_then_the_session_goes_on(make):
    """RFC 3030 4.2: after a failed BDAT comes RSET."""
    sink = make.sink(["CHUNKING", "PIPELINING"], script={"dot": once("451 4.3.0 later")})
    engine = make.relay({"delivery": {"connections_per_site": 1}}, sink=sink)
    submit(engine.port, message("one"))
    submit(engine.port, message("two"))
    sink.with_subject("one")
    sink.with_subject("two")
    assert engine.wait_empty()["delivered"] == 2


def test_a_peer_that_accepts_and_says_nothing_for_two_of_hundred_sessions(make):
    """J6: a tarpit for some connections does not stop the others."""
    count = iter(range(1000))
    sink = make.sink(script={"connect": lambda s, a: Silence() if next(count) in (0, 1) else None})
    engine = make.relay({"delivery": {"greeting_timeout": "3s"}}, sink=sink)
    subjects = [tag() for _ in range(20)]
    with Client(engine.port) as c:
        c.ehlo()
        for s in subjects:
            assert c.submit(message(s)).code == 250
    for s in subjects:
        sink.with_subject(s, timeout=15)
    assert engine.wait_empty()["delivered"] == 20
