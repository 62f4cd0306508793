# SPDX-License-Identifier: GPL-3.0-or-later
"""Message text: only CRLF.CRLF ends it, what is refused is read to its end, and the cut of the
segments never changes the meaning (A2, A3, A17, A21, B1, B2)."""
import random

import pytest

from harness.client import Client, submit
from harness.engine import measuring
from harness.message import message, stuff, tag, without_received
from harness.wait import stays_false

FAKE_ENDS = {
    "LF.LF": b"\n.\n", "CR.CR": b"\r.\r", "CR.LF": b"\r.\n", "LF.CR": b"\n.\r", "LF.CRLF": b"\n.\r\n",
    "CRLF.LF": b"\r\n.\n", "CR.CRLF": b"\r.\r\n", "CRLF.CR": b"\r\n.\rx", "CRLF NUL.CRLF": b"\r\n\0.\r\n",
    "CRLF.NUL CRLF": b"\r\n.\0\r\n", "CRLF.CRCRLF": b"\r\n.\r\r\n",
}
SMUGGLED = b"MAIL FROM:<evil@example.test>\r\nRCPT TO:<victim@example.test>\r\nDATA\r\n" \
           b"Subject: smuggled\r\n\r\nboo\r\n.\r\n"


def fake(name, where):
    head = b"From: <a@example.test>\r\nSubject: outer\r\n\r\n"
    body = {"start": FAKE_ENDS[name] + SMUGGLED[:-3] + b"after\r\n",
            "middle": b"before" + FAKE_ENDS[name] + SMUGGLED[:-3] + b"after\r\n",
            "after CRLF": b"before\r\n" + FAKE_ENDS[name] + SMUGGLED[:-3] + b"after\r\n"}[where]
    return head + body


@pytest.mark.parametrize("split", ["one segment", "across", "bytes"])
@pytest.mark.parametrize("where", ["start", "middle", "after CRLF"])
@pytest.mark.parametrize("name", FAKE_ENDS)
def test_fake_ends_end_nothing(shared, name, where, split):
    """B1, B2: one reply at the true end, and nothing of it is ever sent."""
    text = fake(name, where)
    before = len(shared.sink.attempts)
    with Client(shared.port) as c:
        c.ehlo()
        c.envelope()
        assert c.cmd("DATA").code == 354
        wire = text + b".\r\n"
        if split == "one segment":
            c.send(wire)
        elif split == "across":
            at = wire.index(FAKE_ENDS[name]) + len(FAKE_ENDS[name]) // 2
            c.send_pieces(wire[:at], len(wire))
            c.send_pieces(wire[at:], len(wire), 0.002)
        else:
            c.send_pieces(wire)
        c.send("NOOP\r\n")
        reply = c.reply()
        expected = {"554 5.6.0", "550 5.5.2"} if "NUL" in name else {"550 5.5.2"}
        assert reply.status in expected, reply
        assert c.reply().status == "250 2.0.0"
        # The session is usable: a good message follows at once.
        good = tag()
        assert c.submit(message(good)).code == 250
    shared.sink.with_subject(good)
    assert [m.subject for m in shared.sink.attempts[before:]] == [good]


@pytest.mark.parametrize("byte,status", [(b"\r", "550 5.5.2"), (b"\n", "550 5.5.2"), (b"\0", "554 5.6.0")])
@pytest.mark.parametrize("where", ["header", "body", "first byte", "last byte"])
def test_single_bad_bytes(shared, byte, status, where):
    """A3, B1."""
    content = message(tag(), b"some text\r\n")
    at = {"header": 10, "body": len(content) - 5, "first byte": 0, "last byte": len(content) - 2}[where]
    with Client(shared.port) as c:
        c.ehlo()
        c.envelope()
        assert c.cmd("DATA").code == 354
        c.send(content[:at] + byte + content[at:] + b".\r\n")
        assert c.reply().status == status
        assert c.cmd("NOOP").code == 250


def test_normalizing_listener_turns_lf_into_crlf_before_storing(make):
    """B3."""
    engine = make.relay({"headers": {"received": "none"}}, start=False)
    engine.write({"listeners": [{"address": "127.0.0.1", "port": engine.port, "normalize_bare_lf": True}]})
    engine.start()
    with Client(engine.port) as c:
        c.ehlo()
        c.envelope()
        assert c.cmd("DATA").code == 354
        c.send(b"Subject: lf\n\none\n.\ntwo\n..\nthree\r\n.\r\n")
        assert c.reply().code == 250
        assert c.cmd("NOOP").code == 250
        c.envelope()
        assert c.cmd("DATA").code == 354
        c.send(b"Subject: cr\r\n\r\none\rtwo\r\n.\r\n")
        assert c.reply().status == "550 5.5.2"  # a bare CR is never normal
    got = engine.sink.wait()
    assert len(got) == 1
    data = got[0].data
    assert b"\n" not in data.replace(b"\r\n", b"") and b"\r" not in data.replace(b"\r\n", b"")
    assert data.startswith(b"Subject: lf\r\n\r\none\r\n") and data.endswith(b"three\r\n")


@pytest.mark.parametrize("length,status", [(997, "250"), (998, "250"), (999, "554 5.6.0"), (65535, "554 5.6.0"),
                                           (10 << 20, "554 5.6.0")])
def test_line_length(shared, length, status):
    """A2."""
    subject = tag()
    content = message(subject, b"x" * length + b"\r\n")
    with Client(shared.port) as c:
        c.ehlo()
        c.envelope()
        reply = c.data(content)
        assert reply.status.startswith(status), reply
        assert c.cmd("NOOP").code == 250
    if status == "250":
        assert without_received(shared.sink.with_subject(subject)[0].data) == content


def test_long_lines_pass_when_configured(make):
    """A2."""
    engine = make.relay({"limits": {"line_length_action": "pass"}, "headers": {"received": "none"}})
    content = message(tag(), b"y" * 300000 + b"\r\n." + b"z" * 5000 + b"\r\n")
    submit(engine.port, content)
    assert engine.sink.wait()[0].data == content


def test_a_hundred_megabytes_without_line_end_cost_no_memory(make):
    """A1 and A2: as command and as text."""
    engine = make.relay({"limits": {"message_size": "200MiB"}}, env=measuring())
    block = b"A" * (1 << 20)
    with Client(engine.port, timeout=60) as c:
        c.ehlo()
        c.send(b"NOOP " + block)
        for _ in range(20):  # the ring's receive buffers, which all share, are touched in turn
            c.send(block)
        low = engine.memory("VmHWM")
        for _ in range(80):
            c.send(block)
        c.send("\r\n")
        assert c.reply().status == "500 5.5.2"
        assert engine.memory("VmHWM") - low < 1 << 20
        assert c.cmd("NOOP").code == 250
        c.envelope()
        assert c.cmd("DATA").code == 354
        for _ in range(4):
            c.send(block)
        low = engine.memory("VmHWM")
        for _ in range(96):
            c.send(block)
        c.send("\r\n.\r\n")
        assert c.reply().status == "554 5.6.0"
        assert engine.memory("VmHWM") - low < 4 << 20
        assert c.submit(message("after")).code == 250
    assert [m.subject for m in engine.sink.wait()] == ["after"]


@pytest.mark.parametrize("way", ["DATA", "BDAT"])
def test_oversize_is_read_to_its_end(make, way):
    """A13: 552, the session in sync, no copy; a lie in SIZE does not help."""
    engine = make.relay({"limits": {"message_size": "64KiB"}})
    line = b"x" * 98 + b"\r\n"
    with Client(engine.port) as c:
        assert c.keywords()["SIZE"] == "65536"
        c.envelope(params="SIZE=1000")
        content = message("big", line * 1000)
        if way == "DATA":
            reply = c.data(content)
        else:
            reply = c.bdat(content)
        assert reply.status == "552 5.3.4"
        assert c.cmd("NOOP").code == 250
        assert c.submit(message("small")).code == 250
        assert c.submit(message("fits", line * 640)).code == 250
    engine.sink.wait(2)
    assert sorted(m.subject for m in engine.sink.attempts) == ["fits", "small"]


def test_size_limit_is_exact(make):
    engine = make.relay({"limits": {"message_size": "64KiB"}, "headers": {"received": "none"}})
    head = b"Subject: exact\r\n\r\n"
    fits = head + b"\r\n" * ((65536 - len(head)) // 2)
    assert len(fits) == 65536
    submit(engine.port, fits)
    submit(engine.port, b"a" + fits, expect=552)
    assert engine.sink.wait()[0].data == fits


@pytest.mark.parametrize("name,status", [("many fields", "554 5.6.0"), ("big header", "552 5.3.4"),
                                         ("one big field", "552 5.3.4")])
def test_header_bombs(shared, name, status):
    """A21."""
    header = {"many fields": b"".join(b"X-%d: y\r\n" % i for i in range(1001)),
              "big header": b"".join(b"X-%d: " % i + b"y" * 900 + b"\r\n" for i in range(130)),
              "one big field": b"X: y\r\n" + (b" " + b"z" * 900 + b"\r\n") * 130}[name]
    with Client(shared.port) as c:
        c.ehlo()
        c.envelope()
        assert c.data(header + b"\r\nbody\r\n").status == status
        assert c.cmd("NOOP").code == 250


def test_header_bombs_cost_little_time(make):
    """A21, A22: linear, a few ms per megabyte (the sanitised build is some ten times slower)."""
    engine = make.relay()
    before = engine.cpu_seconds()
    nested = b"".join(b"--%d\r\nContent-Type: multipart/mixed; boundary=%d\r\n\r\n" % (i, i + 1) for i in range(100000))
    fields = b"".join(b"X%d: y\r\n" % i for i in range(200000))
    with Client(engine.port) as c:
        c.ehlo()
        assert c.submit(message(tag(), nested)).code == 250
        c.envelope()
        assert c.data(fields + b"\r\nx\r\n").code >= 500
    megabytes = (len(nested) + len(fields)) / 1e6
    engine.sink.wait()
    assert engine.cpu_seconds() - before < 0.2 * megabytes


def conversation(bad=True):
    """Commands, a message, a refused one, BDAT, errors: everything in one stream, and its replies."""
    good = stuff(message("seg-1", b".dot\r\n..two\r\nplain\r\n"))
    broken = message("never", b"bare\nlf\r\n") + b".\r\n"
    chunk = message("seg-2", b"\n.\r\n"[1:] + b"MAIL FROM:<x@y.test>\r\n")
    stream = b"EHLO client.example.test\r\nNOOP\r\nBOGUS\r\n" \
             b"MAIL FROM:<a@example.test> SIZE=1000\r\nRCPT TO:<b@example.test>\r\nRCPT TO:<bad>>\r\nDATA\r\n" + good
    replies = ["220", "250", "250 2.0.0", "500 5.5.2", "250 2.1.0", "250 2.1.5", "501 5.1.3", "354", "250 2.0.0"]
    if bad:
        stream += b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n" + broken
        replies += ["250 2.1.0", "250 2.1.5", "354", "550 5.5.2"]
    stream += b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nBDAT 10\r\n" + chunk[:10] + \
              b"BDAT %d LAST\r\n" % (len(chunk) - 10) + chunk[10:] + b"RSET\r\nQUIT\r\n"
    replies += ["250 2.1.0", "250 2.1.5", "250 2.0.0", "250 2.0.0", "250 2.0.0", "221 2.0.0"]
    return stream, replies


@pytest.mark.parametrize("cut", ["one segment", "bytes", "64 KiB", "lines"] + [f"random {i}" for i in range(8)])
def test_the_cut_of_the_segments_changes_nothing(make, cut):
    """A16, A17: the whole session pipelined in one segment, in bytes, at random places."""
    engine = shared_engine(make)
    stream, expected = conversation()
    with Client(engine.port, greeting=False) as c:
        replies = [c.reply()]
        if cut == "bytes":
            c.send_pieces(stream)
        elif cut == "lines":
            for line in stream.splitlines(keepends=True):
                c.send(line)
        elif cut.startswith("random"):
            rng = random.Random(cut)
            at = 0
            while at < len(stream):
                n = rng.choice([1, 2, 3, 5, 50, 400])
                c.send(stream[at:at + n])
                at += n
        else:
            c.send_pieces(stream, 65536)
        replies += c.rest()
    assert [r.status for r in replies] == expected
    got = {m.subject: without_received(m.data) for m in engine.sink.wait(2)}
    assert set(got) == {"seg-1", "seg-2"}
    assert got["seg-1"] == message_of("seg-1", got["seg-1"], b".dot\r\n..two\r\nplain\r\n")


def message_of(subject, data, body):
    head = data.split(b"\r\n\r\n", 1)[0]
    assert b"Subject: " + subject.encode() in head
    return head + b"\r\n\r\n" + body


def shared_engine(make):
    return make.relay()


def test_commands_behind_the_final_dot_are_answered_in_order(shared):
    """A16."""
    first, second = tag(), tag()
    envelope = b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n"
    with Client(shared.port) as c:
        c.ehlo()
        c.send(envelope)
        assert [r.code for r in c.replies(3)] == [250, 250, 354]
        c.send(stuff(message(first)) + envelope)
        assert [r.code for r in c.replies(4)] == [250, 250, 250, 354]
        c.send(stuff(message(second)) + b"QUIT\r\n")
        assert [r.code for r in c.replies(2)] == [250, 221]
    shared.sink.with_subject(first)
    shared.sink.with_subject(second)


@pytest.mark.parametrize("how", ["close", "reset", "half close"])
@pytest.mark.parametrize("stage", ["command", "envelope", "data", "before dot", "in dot", "chunk"])
def test_a_client_that_leaves_before_the_end_leaves_nothing(shared, how, stage):
    """Fault 14: before the final dot nothing is stored."""
    subject = tag()
    before = len(shared.sink.attempts)
    c = Client(shared.port)
    c.ehlo()
    if stage == "command":
        c.send("MAIL FR")
    else:
        c.envelope()
        text = message(subject)
        if stage == "chunk":
            c.send(b"BDAT %d LAST\r\n" % len(text) + text[:-1])
        elif stage != "envelope":
            assert c.cmd("DATA").code == 354
            c.send({"data": text[:20], "before dot": text, "in dot": text + b".\r"}[stage])
    if how == "reset":
        c.reset()
    elif how == "close":
        c.close()
    else:
        import socket
        c.socket.shutdown(socket.SHUT_WR)
        assert c.closed()
        c.close()
    follow = tag()
    submit(shared.port, message(follow))
    shared.sink.with_subject(follow)
    assert stays_false(lambda: any(m.subject == subject for m in shared.sink.attempts[before:]), 0.1)


def test_client_that_leaves_after_the_dot_has_its_mail_delivered_if_it_was_stored(shared):
    """Fault 14: after the commit it is delivered even if nobody heard the 250."""
    subject = tag()
    c = Client(shared.port)
    c.ehlo()
    c.envelope()
    assert c.cmd("DATA").code == 354
    c.send(stuff(message(subject)))
    shared.sink.with_subject(subject)
    c.reset()
    assert shared.running
