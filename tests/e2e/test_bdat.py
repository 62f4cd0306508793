# SPDX-License-Identifier: GPL-3.0-or-later
"""BDAT (RFC 3030): exact octets, arithmetic that survives 2^64, no confusion of states (A12–A15)."""
import random
import time

import pytest

from harness.client import Client, Closed
from harness.engine import measuring
from harness.message import message, tag, without_received


@pytest.fixture
def c(shared):
    with Client(shared.port) as client:
        client.ehlo()
        yield client


STATES = {"connected": [], "greeted": ["EHLO a.test"], "mail": ["EHLO a.test", "MAIL FROM:<a@example.test>"],
          "rcpt": ["EHLO a.test", "MAIL FROM:<a@example.test>", "RCPT TO:<b@example.test>"],
          "chunks": ["EHLO a.test", "MAIL FROM:<a@example.test>", "RCPT TO:<b@example.test>", "BDAT 2\r\nS:"],
          "spoilt": ["EHLO a.test", "MAIL FROM:<a@example.test>", "RCPT TO:<b@example.test>", "BDAT 2\r\n\n\n"]}


@pytest.mark.parametrize("argument", [
    "", "x", "-1", "+1", "0x10", "1.5", "1e3", "9223372036854775808x", "18446744073709551616",
    "99999999999999999999999", "1 LASST", "1 LAST x", "1 FIRST", "LAST", "LAST 1", "1 1", ",", "\0"])
def test_malformed_lengths_end_the_session(shared, argument):
    """A12: in every state; the next bytes are payload and must never be taken for commands."""
    for state, lines in STATES.items():
        with Client(shared.port) as c:
            for line in lines:
                c.send(line + ("" if line.startswith("BDAT") else "\r\n"))
                c.reply()
            c.send(b"BDAT " + argument.encode() + b"\r\nMAIL FROM:<payload@example.test>\r\nQUIT\r\n")
            assert [r.status for r in c.rest()] == ["501 5.5.4"], state


@pytest.mark.parametrize("size", [26214401, 2**31, 2**32, 2**32 + 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_sizes_above_the_limit(c, size):
    """A13: 552 5.3.4 behind the octets, or the end of the session when they are too many."""
    c.envelope()
    c.send(b"BDAT %d LAST\r\n" % size)
    if size > 64 << 20:
        c.send(b"RSET\r\nQUIT\r\n")
        replies = c.rest()
        assert [r.status for r in replies] == ["552 5.3.4"]
        return
    c.send(b"x" * size)
    assert c.reply().status == "552 5.3.4"
    assert c.cmd("NOOP").code == 250
    assert c.submit(message(tag())).code == 250


def test_the_sum_of_chunks_is_limited_and_stays_in_sync(make):
    """A13."""
    engine = make.relay({"limits": {"message_size": "64KiB"}})
    with Client(engine.port) as c:
        c.ehlo()
        c.envelope()
        assert c.bdat(b"x\r\n" * 20000, last=False).code == 250
        assert c.bdat(b"QUIT\r\n" * 2000, last=False).status == "552 5.3.4"
        assert c.bdat(b"QUIT\r\n" * 10, last=False).status == "552 5.3.4"
        assert c.bdat(b"QUIT\r\n", last=True).status == "552 5.3.4"
        assert c.submit(message("after")).code == 250
    assert [m.subject for m in engine.sink.wait()] == ["after"]


def test_chunks_are_joined_exactly(shared, c):
    subject = tag()
    content = message(subject, b".\r\n..\r\n.\r\nQUIT\r\n" * 50)
    c.envelope(params="BODY=8BITMIME")
    rng = random.Random(7)
    at = 0
    while at < len(content):
        n = rng.choice([0, 1, 2, 3, 100])
        if n == 0 and at == 0:
            n = 1
        reply = c.bdat(content[at:at + n], last=False)
        assert reply.status == "250 2.0.0" and str(len(content[at:at + n])) in reply.text
        at += n
    assert c.bdat(b"").code == 250
    assert without_received(shared.sink.with_subject(subject)[0].data) == content


def test_pipelined_chunks(shared, c):
    subject = tag()
    content = message(subject)
    c.send(b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nBDAT 9\r\n" + content[:9] +
           b"BDAT %d LAST\r\n" % (len(content) - 9) + content[9:] + b"NOOP\r\n")
    assert [r.code for r in c.replies(5)] == [250] * 5
    assert without_received(shared.sink.with_subject(subject)[0].data) == content


@pytest.mark.parametrize("between,status", [
    ("DATA", "503 5.5.1"), ("MAIL FROM:<x@example.test>", "503 5.5.1"), ("RCPT TO:<x@example.test>", "503 5.5.1"),
    ("NOOP", "250 2.0.0"), ("RSET", "250 2.0.0"), ("BOGUS", "500 5.5.2")])
def test_commands_between_chunks(shared, c, between, status):
    """A14."""
    subject = tag()
    content = message(subject)
    c.envelope()
    assert c.bdat(content[:10], last=False).code == 250
    assert c.cmd(between).status == status
    reply = c.bdat(content[10:])
    if between == "RSET":
        assert reply.status == "503 5.5.1"
    else:
        assert reply.code == 250
        assert without_received(shared.sink.with_subject(subject)[0].data) == content


def test_bdat_without_transaction_swallows_its_octets(c):
    for command in (None, "MAIL FROM:<a@example.test>"):
        if command:
            c.ok(command)
        c.send(b"BDAT 6 LAST\r\nQUIT\r\n")
        assert c.reply().status in ("503 5.5.1", "554 5.5.1")
        assert c.cmd("NOOP").code == 250
    with_last = c.bdat(b"QUIT\r\n", last=True)
    assert with_last.code == 503


def test_bdat_after_last_needs_a_new_transaction(c):
    c.envelope()
    assert c.bdat(message(tag())).code == 250
    assert c.bdat(b"QUIT\r\n").status == "503 5.5.1"
    assert c.submit(message(tag())).code == 250


def test_bare_lf_and_fake_ends_in_chunks_are_refused(c):
    """B1 through the other door."""
    for body in (b"a\nb\r\n", b"a\rb\r\n", b"\n.\n", b"\r\n.\n", b"\n.\r\n"):
        c.envelope()
        assert c.bdat(message(tag(), body)).status == "550 5.5.2"
    c.envelope()
    # A CRLF cut by the chunk's end is whole.
    content = message(tag(), b"x\r\n")
    assert c.bdat(content[:-1], last=False).code == 250
    assert c.bdat(content[-1:]).code == 250


def test_nul_in_a_chunk(c):
    """A3."""
    c.envelope()
    assert c.bdat(message(tag(), b"a\0b\r\n")).status == "554 5.6.0"
    assert c.cmd("NOOP").code == 250


def test_crlf_dot_crlf_in_a_chunk_is_stuffed_on_the_way_out(make):
    """B4: to a peer without CHUNKING it is one message with the dot inside."""
    sink = make.sink(["PIPELINING", "8BITMIME"])
    engine = make.relay({"headers": {"received": "none"}}, sink=sink)
    content = message("dots", b"one\r\n.\r\nMAIL FROM:<evil@example.test>\r\n.\r\n.\r\n")
    with Client(engine.port) as c:
        c.ehlo()
        c.envelope()
        assert c.bdat(content).code == 250
    got = sink.wait()
    assert [m.data for m in got] == [content]
    assert b"\r\n..\r\n" in got[0].raw


def test_last_line_without_end_gets_one(make):
    """A CHUNKING body need not end in CRLF; by DATA it must."""
    sink = make.sink(["8BITMIME"])
    engine = make.relay({"headers": {"received": "none"}}, sink=sink)
    with Client(engine.port) as c:
        c.ehlo()
        c.envelope()
        assert c.bdat(b"Subject: x\r\n\r\nno end").code == 250
    assert sink.wait()[0].data == b"Subject: x\r\n\r\nno end\r\n"


def test_a_hundred_thousand_tiny_chunks_cost_no_memory(make):
    """A15."""
    engine = make.relay({"headers": {"received": "none"}}, env=measuring())
    head = b"Subject: tiny\r\n\r\n"
    with Client(engine.port, timeout=60) as c:
        c.ehlo()
        c.envelope()
        assert c.bdat(head, last=False).code == 250
        batch = b"".join(b"BDAT 1\r\n" + ch for ch in [b"x"] * 70 + [b"\r", b"\n"])
        c.send(batch * 10)
        c.replies(720)
        low = engine.memory("VmHWM")
        start = time.monotonic()
        for _ in range(140):
            c.send(batch * 10)
            assert {r.code for r in c.replies(720)} == {250}
        took = time.monotonic() - start
        assert engine.memory("VmHWM") - low < 2 << 20
        assert c.bdat(b"").code == 250
    assert took < 40
    assert engine.sink.wait()[0].data == head + (b"x" * 70 + b"\r\n") * 1410


def test_empty_chunks_count_as_junk(c):
    """A15: BDAT 0 for ever ends the session."""
    c.envelope()
    replies = []
    try:
        for _ in range(300):
            replies.append(c.cmd("BDAT 0"))
    except Closed:
        pass
    assert len(replies) < 130 and replies[-1].status == "421 4.7.0", replies[-1]


def test_random_walk_over_the_verbs_stays_in_sync(shared):
    """A14: a model of the session predicts every reply."""
    rng = random.Random(20261121)
    for _ in range(12):
        walk(shared, rng, 120)


def walk(shared, rng, steps):
    state = "ready"  # ready, mail, rcpt, bdat
    with Client(shared.port) as c:
        c.ehlo()
        for step in range(steps):
            verb = rng.choice(["MAIL", "MAIL", "RCPT", "RCPT", "DATA", "BDAT", "BDAT", "LAST", "RSET", "NOOP"])
            if verb == "MAIL":
                expected, nxt = (250, "mail") if state == "ready" else (503, state)
                code = c.cmd("MAIL FROM:<a@example.test>").code
            elif verb == "RCPT":
                expected, nxt = (250, "rcpt") if state in ("mail", "rcpt") else (503, state)
                code = c.cmd("RCPT TO:<b@example.test>").code
            elif verb == "DATA":
                expected, nxt = (354, "ready") if state == "rcpt" else (503, state)
                code = c.cmd("DATA").code
                if code == 354:
                    c.send(message(tag()) + b".\r\n")
                    assert c.reply().code == 250
            elif verb in ("BDAT", "LAST"):
                last = verb == "LAST"
                code = c.bdat(b"X: y\r\nQUIT\r\n", last).code
                if state in ("rcpt", "bdat"):
                    expected, nxt = 250, "ready" if last else "bdat"
                elif state == "ready":
                    expected, nxt = 503, "ready"
                else:
                    # A chunk without recipients: the transaction is lost at LAST, or waits for it.
                    expected, nxt = 503, "ready" if last else "lost"
            elif verb == "RSET":
                expected, nxt = 250, "ready"
                code = c.cmd("RSET").code
            else:
                expected, nxt = 250, state
                code = c.cmd("NOOP").code
            assert code == expected, (step, verb, state, code)
            state = nxt
            if state == "lost":
                c.ok("RSET")
                state = "ready"
            if step % 12 == 11 and state == "ready":  # keep away from the error limit
                assert c.submit(message(tag())).code == 250


def test_the_walk_leaves_a_sound_engine(shared):
    shared.wait_empty(30)
