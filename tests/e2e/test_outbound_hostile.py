# SPDX-License-Identifier: GPL-3.0-or-later
"""Replies that no SMTP server gives: they end the connection, never the engine or the mail (G8)."""
import pytest

from harness.client import submit
from harness.message import message


def once(reply):
    """This reply to the first occurrence only."""
    return [reply]


HOSTILE = {
    "no code": b"hello\r\n", "two digits": b"25 ok\r\n", "code 000": b"000 ok\r\n", "code 999": b"999 ok\r\n",
    "code 199": b"199 ok\r\n", "letters": b"2x0 ok\r\n", "empty line": b"\r\n", "binary": bytes(range(128, 160)) + b"\r\n",
    "mixed codes": b"250-a\r\n550 b\r\n", "huge line": b"250 " + b"x" * 200000 + b"\r\n",
    "many lines": b"250-x\r\n" * 5000 + b"250 x\r\n", "nul": b"250 a\0b\r\n",
}
# What a tolerant client may also take as the code it shows.
TOLERATED = {"nul"}


@pytest.mark.parametrize("stage", ["connect", "ehlo", "mail", "rcpt", "dot"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_replies_end_the_connection_not_the_engine(make, name, stage):
    """The first connection gets the nonsense; the message is delivered afterwards, exactly once where
    the nonsense came before the dot."""
    raw = HOSTILE[name].replace(b"250", b"220") if stage == "connect" else HOSTILE[name]
    sink = make.sink(["PIPELINING", "8BITMIME"], script={stage: once(raw)})
    engine = make.relay({"delivery": {"greeting_timeout": "2s", "ehlo_timeout": "2s", "mail_timeout": "2s",
                                      "rcpt_timeout": "2s", "data_done_timeout": "2s"}}, sink=sink)
    submit(engine.port, message("hostile"))
    sink.with_subject("hostile") if not (stage == "dot" and name in TOLERATED) else sink.wait_attempts(1)
    counters = engine.wait_empty()
    assert counters["delivered"] == 1 and counters["bounced"] == 0
    copies = len([m for m in sink.attempts if m.subject == "hostile"])
    assert copies == 1 if stage != "dot" else copies <= 2


def test_multi_line_reply_is_logged_on_one_line(make):
    sink = make.sink(script={"rcpt": once(b"450-4.2.0 first\x1b[2J\r\n450-4.2.0 second\r\n450 4.2.0 third\x00\xff\r\n")})
    engine = make.relay(sink=sink)
    submit(engine.port)
    sink.wait()
    reply = engine.event("deferred")["reply"]
    assert "first" in reply and "third" in reply
    assert "\n" not in reply and "\x1b" not in reply and "\0" not in reply


def test_354_to_rcpt_and_early_answers_deliver_nothing_wrongly(make):
    """A reply before its command is no answer: nothing counts as delivered."""
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
