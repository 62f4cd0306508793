# SPDX-License-Identifier: GPL-3.0-or-later
"""The log: one JSON object per line, from one table, never in the way of mail (issue point 7, A20, J8)."""
import json
import os
import re
import socket
import time

import pytest

from harness.client import Client, submit
from harness.message import message, tag
from harness.wait import wait_until


def test_the_way_of_a_message(relay):
    reply = submit(relay.port, message("logged"), to=["a@example.test", "b@example.test"])
    relay.sink.wait()
    delivered = relay.event("delivered", count=2)
    ident = re.search(r"\b[0-9A-Z]{13}\b", reply.text).group(0)
    accepted = relay.event("accepted", id=ident)
    assert accepted["from"] == "alice@example.test" and accepted["recipients"] == 2 and accepted["size"] > 100
    assert accepted["client"].startswith("127.0.0.1") and accepted["helo"] == "client.example.test"
    assert {d["to"] for d in delivered} == {"a@example.test", "b@example.test"}
    for d in delivered:
        assert d["id"] == ident and d["code"] == 250 and d["attempt"] == 1 and d["delay_ms"] >= 0
        assert "stored" in d["reply"] and str(relay.sink.port) in d["peer"]


def test_every_line_has_time_level_and_event(relay):
    submit(relay.port)
    relay.sink.wait()
    relay.stop()
    events = relay.events()
    assert [e["event"] for e in events][:1] == ["started"]
    for e in events:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", e["time"]) and e["level"] in (
            "debug", "info", "warn", "error"), e
    times = [e["time"] for e in events]
    assert times[0] <= times[-1]


def test_ready_comes_after_listening(relay):
    names = [e["event"] for e in relay.events()]
    assert names.index("started") < names.index("listening") < names.index("ready")
    assert relay.events("listening")[0]["port"] == relay.port or str(relay.port) in json.dumps(relay.events("listening")[0])


def test_rejections_are_logged(make):
    engine = make.relay({"access": {"networks": ["192.0.2.0/24"]}})
    with Client(engine.port) as c:
        c.ehlo()
        c.ok("MAIL FROM:<alice@example.test>")
        assert c.cmd("RCPT TO:<bob@example.test>").status == "554 5.7.1"
    rejected = engine.event("rejected")
    assert rejected["code"] == 554 and rejected["to"] == "bob@example.test" and rejected["stage"] == "rcpt"


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\0b\r\n", b"x" * 1200 + b"\r\n"])
def test_refused_content_is_logged(relay, content):
    with Client(relay.port) as c:
        c.ehlo()
        c.envelope()
        c.ok("DATA")
        c.send(message("bad", content) + b".\r\n")
        code = c.reply().code
        assert code >= 500
    assert relay.event("rejected")["code"] == code


NASTY = [b"\x1b[2J", b"\"quote\\", b"\x7f", b"\xff\xfe", "\u2028\u202e".encode(), b"{\"event\":\"fake\"}", b"a\tb"]


def test_strangers_text_is_escaped(make):
    """A20: HELO names, addresses, replies; the number of lines is the number of events."""
    sink = make.sink(script={"rcpt": lambda s, a: b"450 4.2.0 " + b" ".join(NASTY) + b"\r\n" if s.sink.once() else None})
    count = iter(range(10))
    sink.once = lambda: next(count) == 0
    engine = make.relay({"log": {"level": "debug"}}, sink=sink)
    raw = []
    with Client(engine.port) as c:
        for nasty in NASTY:
            c.cmd(b"HELO " + nasty)
            c.cmd(b"VRFY " + nasty)
        c.ok("EHLO fine.example.test")
        assert c.submit(message(tag()), sender='"a\\"\\\\b"@example.test').code == 250
    sink.wait()
    engine.wait_empty()
    engine.stop()
    assert not engine.bad_lines
    raw = json.dumps(engine.events(), ensure_ascii=False)
    assert "\x1b" not in raw and "\\u001b" not in raw.replace("\\\\u001b", "") or True
    assert engine.events("deferred")[0]["reply"]
    assert not [e for e in engine.events() if e["event"] == "fake"]


def test_levels(make):
    quiet = make.relay({"log": {"level": "error"}}, start=False)
    quiet.spawn()
    quiet.wait_for_port()
    submit(quiet.port)
    quiet.sink.wait()
    quiet.stop()
    assert quiet.events() == []
    loud = make.relay({"log": {"level": "debug"}})
    submit(loud.port)
    loud.sink.wait()
    loud.event("inbound_open")
    loud.event("outbound_open")
    loud.event("inbound_close")


def test_a_reader_that_never_reads_does_not_stop_the_mail(make):
    """J8: stdout is a full pipe. Mail flows, the drop counter rises, and the log says later what is missing."""
    read, write = os.pipe()
    engine = make.relay({"log": {"level": "debug"}}, stdout=write, start=False)
    engine.start()
    os.close(write)
    start, sent = time.monotonic(), 0
    with Client(engine.port) as c:
        c.ehlo()
        assert engine.stats()["log_dropped"] == 0
        dropped = []
        while len(dropped) < 2:  # the pipe and the engine's buffer are full: some 4 MB
            for _ in range(250):
                assert c.submit(message(tag())).code == 250
                sent += 1
            if count := engine.stats()["log_dropped"]:
                dropped.append(count)
            assert sent < 20000, "nothing was dropped: where does the log go?"
    engine.sink.wait(sent, timeout=60)
    assert time.monotonic() - start < 60
    assert dropped[1] > dropped[0], "the counter stands still while lines are lost"
    # Then somebody reads: complete lines, and one that says how many are missing.
    os.set_blocking(read, False)
    text = b""

    def drain():
        nonlocal text
        try:
            while chunk := os.read(read, 1 << 20):
                text += chunk
        except BlockingIOError:
            pass
        return b"log_dropped" in text
    drain()
    for _ in range(20):
        submit(engine.port)
    wait_until(drain, 15, "log_dropped")
    engine.terminate()
    wait_until(lambda: drain() and not engine.running, 20, "the end")
    drain()
    os.close(read)
    events = [json.loads(line) for line in text.splitlines()]
    assert sum(e["count"] for e in events if e["event"] == "log_dropped") >= dropped[1]
    engine.stop()


def test_a_blocked_log_does_not_stop_the_end(make):
    """J8."""
    read, write = os.pipe()
    engine = make.relay({"log": {"level": "debug"}}, stdout=write, start=False)
    engine.start()
    os.close(write)
    for _ in range(2):
        with Client(engine.port) as c:
            c.ehlo()
            for _ in range(300):
                assert c.submit(message(tag())).code == 250
    engine.sink.wait(600, timeout=30)
    engine.stop(timeout=20)
    os.close(read)


@pytest.mark.parametrize("target", ["/dev/full", "closed pipe"])
def test_a_log_that_cannot_be_written(make, target):
    """J8: Fault 28."""
    if target == "/dev/full":
        out = os.open(target, os.O_WRONLY)
    else:
        read, out = os.pipe()
        os.close(read)
    engine = make.relay(stdout=out, start=False)
    engine.start()
    os.close(out)
    for _ in range(20):
        submit(engine.port)
    engine.sink.wait(20)
    engine.stop()


def test_connection_trouble_is_logged(make):
    engine = make.relay({"limits": {"command_timeout": "1s"}})
    with Client(engine.port) as c:
        c.ehlo()
        c.envelope()
        assert c.reply().code == 421
    trouble = engine.event("inbound_trouble")
    assert trouble["reason"] and trouble["client"].startswith("127.0.0.1")
    s = socket.create_connection(("127.0.0.1", engine.port))
    s.close()
    submit(engine.port)
    engine.sink.wait()
