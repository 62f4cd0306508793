# SPDX-License-Identifier: GPL-3.0-or-later
"""B4, B5: what looks like the end of a message, with commands behind it, goes in by DATA and by BDAT and comes out at
real servers: each message is one message there, with every byte. By the straight way, by the queue, a restart and a
fallback host, and inside a report.

The rows of Haraka are there where Haraka is (./dev deps test); conftest.py says so when it is not."""
import pytest

from harness.client import Client
from harness.message import message, stuff, tag
from harness.receivers import RECEIVERS
from harness.wait import wait_until

COMMANDS = (b"MAIL FROM:<evil@example.test>\r\nRCPT TO:<victim@example.test>\r\nDATA\r\n"
            b"From: <evil@example.test>\r\nSubject: smuggled\r\n\r\nboo\r\n.\r\n")
# What a listener takes: only CRLF ends lines in it. (What it refuses: test_attack_b_inbound.py.)
BODIES = {
    "end in the middle": b"before\r\n.\r\n" + COMMANDS,
    "end at the start": b".\r\n" + COMMANDS,
    "stuffed once": b"before\r\n..\r\n" + COMMANDS,
    "stuffed thrice": b"before\r\n....\r\n" + COMMANDS,
    "two ends": b"before\r\n.\r\n.\r\n" + COMMANDS,
    "end and QUIT": b"before\r\n.\r\nQUIT\r\n" + COMMANDS,
    "end and a chunk": b"before\r\n.\r\nRSET\r\nBDAT 86 LAST\r\n" + COMMANDS,
    "chunk of nothing": b"BDAT 0 LAST\r\nRSET\r\n" + COMMANDS,
    "dot and space": b"before\r\n. \r\n.\t\r\n" + COMMANDS,
    "dot at the end": b"before\r\n.\r\n",
    "dot and words": b".before\r\n.after\r\n",
    "8-bit around it": b"\xc3\xa9\r\n.\r\n\xff\xfe" + COMMANDS,
    # A period of three: CRLF.CRLF lies in every possible way across any border of buffers, fragments and segments.
    "dots for ever": b".\r\n" * 60000,
    "long before it": (b"y" * 76 + b"\r\n") * 1700 + b".\r\n" + COMMANDS,
}
WITHOUT_END = {"dot without end": b"before\r\n.", "only a dot": b".", "text without end": b"x"}  # BDAT alone can


def contents(way):
    """{name: message}; each with a Message-ID of its own. The last is harmless: when it is there, whatever was smuggled
    by the others is there, too."""
    bodies = {**BODIES, **(WITHOUT_END if way != "data" else {}), "harmless": b"Hello.\r\n"}
    return {name: message(f"outer {tag()}", body) for name, body in bodies.items()}


def give(port, contents, way):
    """Sends them all in one session. way: data, bdat, or cut: BDAT with a border in each place of each CRLF.CRLF."""
    with Client(port, timeout=60) as c:
        c.ehlo()
        for name, content in contents.items():
            c.envelope()
            if way == "data":
                assert c.cmd("DATA").code == 354
                c.send(stuff(content))
                reply = c.reply()
            elif way == "bdat":
                reply = c.bdat(content)
            else:
                reply = cut(c, content)
            assert reply.code == 250, (name, reply)


def cut(c, content):
    at = max(content.find(b"\r\n.\r\n", 200), 0)
    pieces = [content[:at], *(content[i:i + 1] for i in range(at, min(at + 7, len(content)))), content[at + 7:]]
    pieces = [piece for piece in pieces if piece]
    c.send(b"".join(b"BDAT %d%s\r\n" % (len(piece), b" LAST" if i == len(pieces) else b"") + piece
                    for i, piece in enumerate(pieces, 1)))
    return c.replies(len(pieces))[-1]


def lines(content):
    """As a Maildir has them. A text without end gets its end from us: DATA, and the spool, know only lines."""
    content = content.replace(b"\r\n", b"\n")
    return content if content.endswith(b"\n") else content + b"\n"


def arrived(far, count):
    """All that is there, once there are so many."""
    wait_until(lambda: far.count() >= count, 30, f"{count} messages at the far end", interval=0.05)
    return [lines(content) for content in far.stored()]


def by_id(stored):
    """{Message-ID: [content]}"""
    found = {}
    for content in stored:
        head = content.split(b"\n\n", 1)[0]
        ids = [line for line in head.split(b"\n") if line.lower().startswith(b"message-id:")]
        found.setdefault(ids[0] if ids else None, []).append(content)
    return found


def check(far, sent, before):
    """Each one once, its body as it was, and nothing that was never sent."""
    stored = arrived(far, before + len(sent))
    got = by_id(stored)
    for name, content in sent.items():
        (key, copies), = by_id([lines(content)]).items()
        assert len(got.get(key, [])) == 1, (name, len(got.get(key, [])))
        want = lines(content).split(b"\n\n", 1)[1]
        assert got[key][0].split(b"\n\n", 1)[1] == want, (name, got[key][0][:2000])
    assert len(stored) == before + len(sent)
    assert not [c for c in stored if b"Subject: smuggled" in c.split(b"\n\n", 1)[0]]


@pytest.fixture(scope="module", params=RECEIVERS)
def far(request, tmp_path_factory):
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("far"))
    server = makers.add(RECEIVERS[request.param]())
    server.makers, server.engines = makers, {}
    yield server
    makers.finish()


def relay_to(far, chunking):
    """An engine in front of it, made when it is first wanted."""
    if chunking not in far.engines:
        far.engines[chunking] = far.makers.engine({
            "relay": {"host": far.endpoint, "tls": "none"}, "delivery": {"chunking": chunking},
            "queue": {"schedule": ["1h"]}})
    return far.engines[chunking]


@pytest.mark.parametrize("chunking", [False, True], ids=["out by DATA", "out by BDAT if offered"])
@pytest.mark.parametrize("way", ["data", "bdat", "cut"])
def test_one_message_stays_one(far, way, chunking):
    """B4."""
    engine = relay_to(far, chunking)
    before, sent = far.count(), contents(way)
    give(engine.port, sent, way)
    engine.wait_empty(60)
    check(far, sent, before)
    assert not engine.events("deferred") and not engine.events("bounced")


def deferred_at_a_sink(make, far):
    """An engine whose first host puts everything off behind the final dot and then goes away; `far` is the second. What
    the first was told is looked at, too."""
    sink = make.sink(script={"dot": lambda s, data: "451 4.3.0 later"}, features=["PIPELINING", "8BITMIME"])
    engine = make.engine({"relay": {"host": [sink.endpoint, far.endpoint], "tls": "none"},
                          "queue": {"schedule": ["1h"]}, "dsn": {"original_size_max": "1MiB"}})
    sent = contents("bdat")
    give(engine.port, sent, "bdat")
    engine.event("deferred", count=len(sent), timeout=30)
    tried = [lines(m.data) for m in sink.attempts]
    assert {key: len(copies) for key, copies in by_id(tried).items()} == {
        key: 1 for key in by_id([lines(content) for content in sent.values()])}
    sink.close()
    return engine, sent


def test_queue_restart_and_fallback_host(make, far):
    """B5: the same bytes, read from the disk by another process, to the second host."""
    before = far.count()
    engine, sent = deferred_at_a_sink(make, far)
    engine.kill()
    engine.start()
    engine.queue("retry", "--all")
    engine.wait_empty(60)
    check(far, sent, before)


def test_inside_a_report(make, far):
    """B5: the original comes back whole in a report, and the report is one message."""
    before = far.count()
    engine, sent = deferred_at_a_sink(make, far)
    engine.queue("bounce", "--all")
    engine.wait_empty(60)
    stored = arrived(far, before + len(sent))
    assert len(stored) == before + len(sent)
    for name, content in sent.items():
        whole = len(content) < 128 << 10  # of more, a report has the header
        inside = [r for r in stored if (lines(content) if whole else lines(content).split(b"\n\n", 1)[0]) in r]
        assert len(inside) == 1, name
        assert b"report-type=delivery-status" in inside[0].split(b"\n\n", 1)[0]
