# SPDX-License-Identifier: GPL-3.0-or-later
"""A2–A5, A11, A20–A22: what is inside lines, headers and bodies. The others of group A: docs/ATTACKS.md."""
import json
import os

import pytest

from harness.client import Client
from harness.dkim_rig import Key, verify
from harness.login import login_plain
from harness.message import message, sized, tag, without_received
from harness.tlsclient import tls_engine
from harness.wait import wait_until

MAIL, RCPT = b"MAIL FROM:<alice@example.test>", b"RCPT TO:<bob@example.test>"
MANY = {"limits": {"errors": 10000, "junk": 1000000}}


@pytest.fixture(scope="module", name="patient")
def make_patient(tmp_path_factory):
    """An engine that endures any number of errors."""
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("patient"))
    engine = makers.relay(MANY)
    yield engine
    assert engine.running, engine.trouble()
    makers.finish()


@pytest.mark.parametrize("byte", [b"\0", b"\r", b"\n"], ids=["NUL", "CR", "LF"])
@pytest.mark.parametrize("line", [MAIL, RCPT, b"EHLO client.example.test", b"BDAT 10 LAST"],
                         ids=lambda line: line[:4].decode())
def test_bad_bytes_at_each_place_of_a_command(patient, line, byte):
    """A3: each is one refusal, and the commands behind it are read as they are; a BDAT that cannot be read ends all."""
    for at in range(byte == b"\n", len(line)):
        with Client(patient.port) as c:
            c.ehlo()
            if line is RCPT:
                c.ok(MAIL)
            c.send(line[:at] + byte + line[at:] + b"\r\nNOOP last\r\nQUIT\r\n")
            statuses = [r.status for r in c.rest()]
        if line.startswith(b"BDAT") and at >= 4:
            assert statuses == ["501 5.5.4"], (at, statuses)
        elif byte == b"\n" and b":" in line[at:].split()[0][1:]:
            assert statuses == ["500 5.5.2", "554 5.5.2"], (at, statuses)  # looks like a header field
        else:
            assert statuses[-2:] == ["250 2.0.0", "221 2.0.0"], (at, statuses)
            # A bare LF makes two lines of it, and each is refused.
            assert statuses[:-2] and {int(s[:3]) // 100 for s in statuses[:-2]} == {5}, (at, statuses)
            assert len(statuses) == (4 if byte == b"\n" else 3), (at, statuses)


def test_composed_and_decomposed_are_two_names(patient):
    """A4: NFC and NFD are passed on as they are, neither is made into the other."""
    names = ["j\u00f6rg@example.test", "jo\u0308rg@example.test", "x@b\u00fccher.test", "x@bu\u0308cher.test"]
    subject = tag()
    with Client(patient.port) as c:
        c.ehlo()
        assert c.submit(message(subject), to=names[:2], params="SMTPUTF8").code == 250
    got = sorted(r for m in patient.sink.with_subject(subject) for r in m.rcpts)
    assert got == sorted(names[:2])
    with Client(patient.port) as c:
        c.ehlo()
        c.ok(MAIL + b" SMTPUTF8")
        assert {c.cmd(f"RCPT TO:<{name}>").code for name in names[2:]} <= {250, 501}


@pytest.mark.parametrize("mode", ["relay", "submission"])
def test_raw_8_bit_in_a_header(make, mode):
    """A5: taken as it is and passed on as it is, by SMTPUTF8 or not, on every port: what Postfix does that many replace
    by us. (Nothing of it becomes a parameter or a reply.)"""
    engine = tls_engine(make, [{"mode": mode, "access": "network"}], {"headers": {"received": "none"}})
    sent = []
    with Client(engine.port) as c:
        c.ehlo()
        for text in (b"gr\xc3\xbc\xc3\x9fe", b"\xff\xfe", b"\xe2\x80\xae\xc2\x9b2J", b"\x80"):
            for params in ("", "BODY=8BITMIME", "SMTPUTF8"):
                sent.append(message(tag(), headers=[b"X-Raw: " + text, b"Comments: " + text], body=text + b"\r\n"))
                assert c.submit(sent[-1], params=params).code == 250
    engine.sink.wait(len(sent))
    assert sorted(m.data for m in engine.sink.messages) == sorted(sent)


def test_the_longest_line_stays_signed(make, tmp_path):
    """A2: a line of 998 is neither cut nor folded on its way, so its signature holds; one of 999 is refused."""
    key = Key(tmp_path, "s1", "ed25519")
    engine = make.relay({"domains": [key.listed("example.test")], "headers": {"received": "none"}})
    with Client(engine.port) as c:
        c.ehlo()
        for length in (997, 998, 999):
            content = message(tag(), b"." + b"y" * (length - 1) + b"\r\n", headers=["X-Long: " + "z" * (length - 8)])
            assert c.submit(content).status.startswith("250" if length < 999 else "554 5.6.0")
    for m in engine.sink.wait(2):
        verify(m.data, [key], b"example.test")
    assert len(engine.sink.attempts) == 2


ENDS = {  # what ends a transaction: (bytes, status of its last answer)
    "bare LF": (b"DATA\r\nSubject: x\r\n\r\na\nb\r\n.\r\n", "550 5.5.2"),
    "NUL": (b"DATA\r\n\0\r\n.\r\n", "554 5.6.0"),
    "long line": (b"DATA\r\n" + b"x" * 2000 + b"\r\n.\r\n", "554 5.6.0"),
    "fields": (b"DATA\r\n" + b"X: y\r\n" * 1001 + b"\r\n.\r\n", "554 5.6.0"),
    "hops": (b"DATA\r\n" + b"Received: x\r\n" * 100 + b"\r\n.\r\n", "554 5.4.6"),
    "chunk": (b"BDAT 3 LAST\r\na\nb", "550 5.5.2"),
    "chunks": (b"BDAT 3\r\na\nbBDAT 0 LAST\r\n", "550 5.5.2"),
    "chunk too big": (b"BDAT 30000000\r\n" + b"x" * 30000000 + b"BDAT 0 LAST\r\n", "552 5.3.4"),
    "a message": (b"DATA\r\nS: x\r\n\r\n.\r\n", "250 2.0.0"),
    "RSET": (b"RSET\r\n", "250 2.0.0"), "EHLO": (b"EHLO b.test\r\n", "250"), "HELO": (b"HELO b.test\r\n", "250"),
}


@pytest.mark.parametrize("end", ENDS)
def test_nothing_of_a_transaction_is_left(patient, end):
    """A11: behind every end, good or bad, RCPT, DATA and BDAT find no transaction, and a new one is a new one."""
    data, status = ENDS[end]
    with Client(patient.port) as c:
        c.ehlo()
        c.envelope("old@example.test", ["old@example.test"])
        c.send(data + RCPT + b"\r\nDATA\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP last\r\n")
        while (reply := c.reply()).code == 354 or reply.status != status or reply.text.endswith("octets received"):
            assert reply.code in (250, 354, 550, 552), reply
        if end.startswith("chunk") and end != "chunk":
            assert c.reply().status == status
        assert [r.status for r in c.replies(4)] == ["503 5.5.1"] * 3 + ["250 2.0.0"]
        subject = tag()
        assert c.submit(message(subject)).code == 250
    (m,) = patient.sink.with_subject(subject)
    assert (m.sender, m.rcpts) == (b"alice@example.test", ["bob@example.test"])


HOSTILE = "\x1b[2J\x07\r\n{\"event\":\"accepted\"}\u009b31m\u2028\u202e\x7f"


def test_the_log_is_one_line_of_text_for_each_event(make, tmp_path):
    """A20: what strangers choose - names, addresses, answers - never commands the terminal that shows the log, nor
    makes a second line of one."""
    path = tmp_path / "log"
    answer = ("550 5.1.1 " + HOSTILE.replace("\r\n", "\r") + "\r\n").encode()
    sink = make.sink(script={"rcpt": lambda s, arg: answer if b"bad" in arg else None})
    with open(path, "wb") as out:
        engine = make.relay({"log": {"level": "debug"}, "queue": {"schedule": ["1h"]}}, sink=sink, stdout=out)
        with Client(engine.port) as c:
            for line in ("EHLO a\x1b[2J", "EHLO x\u009b31m", "VRFY " + HOSTILE, HOSTILE, "HELO \u2028"):
                c.send((line.replace("\r\n", "\r") + "\r\n").encode())
                assert all(32 <= ord(ch) < 127 for ch in repr(c.reply()))
            c.ehlo("[IPv6:::1]")
            local = "".join(ch for ch in HOSTILE if ord(ch) > 127)
            c.ok(f"MAIL FROM:<{local}@example.test> SMTPUTF8")
            for rcpt in ("bad" + local, local, '"\\"{}\\\\"'):
                c.ok(f"RCPT TO:<{rcpt}@example.test>")
            assert c.data(message(tag(), headers=["X-A: \x1b[2J"])).code == 250
        wait_until(lambda: engine.counters()["bounced"] == 1, 15, "the bounce")
        engine.stop()
    raw = path.read_bytes()
    lines = raw.decode().split("\n")
    assert lines.pop() == "" and len(lines) > 8
    events = [json.loads(line) for line in lines]
    assert all("event" in event for event in events)
    assert not [ch for ch in raw.decode() if ch != "\n" and (ch < " " or "\x7f" <= ch < "\xa0" or ch in "\u2028\u202e")]
    # The values are whole.
    (bounced,) = [e for e in events if e["event"] == "bounced" and "bad" in e["to"]]
    assert bounced["to"] == f"bad{local}@example.test"
    assert sum(e["event"] == "accepted" for e in events) <= 2  # the message, and its report


ODD_HEADERS = {  # what is header, and what is not although no blank line stands before it
    "no colon": (b"From: a@example.test\r\n", b"this is no field\r\nSubject: x\r\n\r\nbody\r\n"),
    "no colon at first": (b"", b"this is no field\r\nFrom: a@example.test\r\n\r\nbody\r\n"),
    "leading space": (b"", b" From: a@example.test\r\nSubject: x\r\n\r\nbody\r\n"),
    "leading tab": (b"", b"\tbody\r\n\r\n"),
    "From_": (b"", b"From alice@example.test Fri Nov 21 10:00:00 2025\r\nFrom: a@example.test\r\n\r\nbody\r\n"),
    "quoted From_": (b"", b">From alice\r\nFrom: a@example.test\r\n\r\nbody\r\n"),
    "no name": (b"", b": x\r\nFrom: a@example.test\r\n\r\nbody\r\n"),
    "8-bit name": (b"", b"Fr\xc3\xb6m: x\r\n\r\nbody\r\n"),
    "only a name": (b"", b"body\r\n"),
    "dots": (b"", b".\r\n..body\r\n"),
    "blank before colon": (b"From : a@example.test\r\nSubject\t : x\r\n\r\nbody\r\n", b""),
    "only a header": (b"From: a@example.test\r\nSubject: body\r\n", b""),
    "folded into nothing": (b"From:\r\n \r\n \r\n a@example.test\r\n\r\nbody\r\n", b""),
    "name of 990": (b"X" * 990 + b": y\r\n\r\nbody\r\n", b""),
    "a thousand fields": (b"X: y\r\n" * 1000 + b"\r\nbody\r\n", b""),
    "only blank lines": (b"\r\n\r\n\r\nbody\r\n", b""),
    "nothing": (b"", b""),
}


@pytest.mark.parametrize("way", ["data", "bdat"])
@pytest.mark.parametrize("received", ["add", "none"])
def test_odd_headers_pass_as_they_are(make, received, way):
    """A21: whatever is no field ends the header, and no octet of it changes. Where we add a field the blank line that
    was missing comes with it: no line of a stranger is folded into ours."""
    engine = make.relay({**MANY, "headers": {"received": received}})
    with Client(engine.port) as c:
        c.ehlo()
        for name, (head, rest) in ODD_HEADERS.items():
            c.envelope()
            assert (c.data if way == "data" else c.bdat)(head + rest).code == 250, name
    got = [m.data for m in engine.sink.wait(len(ODD_HEADERS))]
    if received == "add":
        got = [without_received(data) for data in got]
    blank = b"\r\n" if received == "add" else b""
    assert sorted(got) == sorted(head + (blank if rest else b"") + rest for head, rest in ODD_HEADERS.values())


EVERYTHING = {"users": [{"name": "ann", "password": "x", "allowed_from": ["ann@example.test"]}],
              "auth": {"require_tls": False}, "sender": {"restrict": "email", "check_header": True},
              "headers": {"strip": ["X-Secret", "Reply-To", "Sender"], "add_missing": True}, **MANY}
FROM = b"From: ann@example.test\r\n"
# n: about so many kilobytes. Each is one thing over and over.
BOMBS = {
    "fields": lambda n: FROM + b"".join(b"X%d: y\r\n" % i for i in range(100 * n)) + b"\r\n",
    "fields to strip": lambda n: FROM + b"".join(b"X-Secret: %090d\r\n" % i for i in range(min(950, 10 * n))) + b"\r\n",
    "folds": lambda n: FROM + b"X: y\r\n" + b" z\r\n" * (250 * n) + b"\r\n",
    "comments": lambda n: b"From: " + b"(\r\n " * (200 * min(n, 90)) + b" ann@example.test\r\n\r\n",
    "authors": lambda n: b"From: " + b"ann@example.test,\r\n " * (45 * min(n, 90)) + b"ann@example.test\r\n\r\n",
    "groups": lambda n: b"From: " + b"g:a@example.test;,\r\n " * (45 * min(n, 90)) + b"ann@example.test\r\n\r\n",
    "words": lambda n: b"From: " + b'"a" =?utf-8?q?b?=\r\n ' * (45 * min(n, 90)) + b"<ann@example.test>\r\n\r\n",
    "nested parts": lambda n: FROM + b"\r\n" + b"".join(
        b"--%d\r\nContent-Type: multipart/mixed; boundary=%d\r\n\r\n" % (i, i + 1) for i in range(20 * n)),
    "many parts": lambda n: FROM + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * (125 * n),
    "boundaries": lambda n: FROM + b'Content-Type: multipart/mixed; boundary="' + b"-" * 70 + b'"\r\n\r\n' +
                  b"".join(b"-" * (i % 75) + b"\r\n" for i in range(25 * n)),
    "nested messages": lambda n: FROM + b"Content-Type: message/rfc822\r\n\r\n" * (32 * n),
    "blank lines": lambda n: FROM + b"\r\n" + b"\r\n" * (500 * n),
    "spaces": lambda n: FROM + b"\r\n" + (b" " * 996 + b"\r\n") * n,
}


@pytest.fixture(scope="module", name="everything")
def make_everything(tmp_path_factory):
    """With all that looks into messages: signatures, authors, fields to remove and to add."""
    from conftest import Makers
    folder = tmp_path_factory.mktemp("everything")
    makers = Makers(folder)
    key = Key(folder, "s1", "ed25519")
    engine = tls_engine(makers, [{"mode": "submission"}], {**EVERYTHING, "domains": [key.listed("example.test")]})
    yield engine
    assert engine.running, engine.trouble()
    makers.finish()


def cost(engine, content, times):
    """Processor time per megabyte; also of what came out."""
    before, counted = engine.cpu_seconds(), engine.counters()["accepted"]
    with Client(engine.port, timeout=60) as c:
        c.ehlo()
        assert login_plain(c, "ann", "x").code == 235
        codes = set()
        for _ in range(times):
            c.envelope("ann@example.test")
            codes.add(c.data(content).code)
    assert len(codes) == 1 and codes <= {250, 550, 552, 554}
    engine.wait_empty(30)
    assert engine.counters()["accepted"] - counted == (times if codes == {250} else 0)
    return (engine.cpu_seconds() - before) / (times * len(content) / 1e6)


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_cost_what_their_bytes_cost(everything, name):
    """A21, A22: time is linear in the bytes, whatever they are; no text nests. The bound is that of a sanitised build,
    some ten times slower than 10 ms for a megabyte, with the handing on."""
    small, big = BOMBS[name](50), BOMBS[name](1000)
    cost(everything, sized(50000), 1)
    assert cost(everything, small, 20) < 0.5
    assert cost(everything, big, 1) < 0.5


def test_no_thread_needs_its_stack(everything):
    """A22: the stack is as it was after all of that (behind them, in the order of this file)."""
    sizes = []
    for thread in os.listdir(f"/proc/{everything.process.pid}/task"):
        with open(f"/proc/{everything.process.pid}/task/{thread}/status", encoding="ascii") as file:
            sizes += [int(line.split()[1]) for line in file if line.startswith("VmStk:")]
    assert sizes and max(sizes) <= 512  # KiB; the main thread's, which is the only one that grows
