# SPDX-License-Identifier: GPL-3.0-or-later
"""What is logged of odd replies, and replies ahead of their commands (G8; every kind of nonsense at every stage is in
test_attack_g_replies.py)."""
from harness.client import submit
from harness.message import message


def once(reply):
    """This reply to the first occurrence only."""
    return [reply]


def test_multi_line_reply_is_logged_on_one_line(make):
    """G8."""
    sink = make.sink(script={"rcpt": once(b"450-4.2.0 first\x1b[2J\r\n450-4.2.0 second\r\n450 4.2.0 third\x00\xff\r\n")})
    engine = make.relay(sink=sink)
    submit(engine.port)
    sink.wait()
    reply = engine.event("deferred")["reply"]
    assert "first" in reply and "third" in reply
    assert "\n" not in reply and "\x1b" not in reply and "\0" not in reply


def test_354_to_rcpt_and_early_answers_deliver_nothing_wrongly(make):
    """G8: a reply before its command is no answer: nothing counts as delivered."""
    sink = make.sink([], script={"data": once(b"354 go\r\n250 2.0.0 already stored, honestly\r\n")})
    engine = make.relay(sink=sink)
    submit(engine.port, message("early"))
    sink.with_subject("early")
    engine.wait_empty()
    good = [m for m in sink.messages if m.subject == "early"]
    assert len(good) >= 1
    sink2 = make.sink(["PIPELINING"], script={"rcpt": once("354 what")})
    engine2 = make.relay(sink=sink2)
    submit(engine2.port, message("odd"))
    sink2.with_subject("odd")
