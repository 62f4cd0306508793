# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports as a weapon, and mail that goes in circles (G5–G7; more of reports in test_dsn.py)."""
import email
import email.policy
import json

from dnsserver import DnsServer
from harness.client import Client, submit
from harness.message import message, tag
from harness.mxworld import HOSTS, mx
from harness.ports import free_port
from harness.sink import Sink
from harness.wait import stays_false, wait_until


def reports(sink):
    return [m for m in sink.messages if m.sender == b""]


def test_a_thousand_bad_recipients_are_few_reports(make):
    """G5: what one message with a forged sender can make of itself at the victim: reports of what ended together are
    one, so at most one per transaction, and with the headers only smaller than what was sent."""
    sink = make.sink(script={"rcpt": lambda s, a: "550 5.1.1 nobody" if b"bad" in a else None})
    engine = make.relay(sink=sink)
    content = message("spam", b"buy this\r\n" * 20000)
    with Client(engine.port) as c:
        c.ehlo()
        c.envelope("victim@example.test", [f"bad{i}@d{i % 10}.test" for i in range(1000)])
        assert c.data(content).code == 250

    def named():
        return [line for m in reports(sink) for line in m.data.split(b"\r\n") if line.startswith(b"Final-Recipient:")]
    wait_until(lambda: len(named()) >= 1000, 30, "a word on each")  # a report is queued after what it reports
    counters = engine.wait_empty(30)
    assert counters["bounced"] == len(set(named())) == len(named()) == 1000
    assert len(reports(sink)) <= 10 and counters["delivered"] == len(reports(sink))
    assert all(m.rcpts == ["victim@example.test"] for m in reports(sink))
    assert sum(len(m.data) for m in reports(sink)) < len(content) * 2


def test_no_report_answers_a_report(make):
    """G5, G6: neither to the null sender nor to what cannot be delivered: it ends, and is counted."""
    sink = make.sink(script={"rcpt": "550 5.1.1 nobody"})
    engine = make.relay(sink=sink)
    for sender in ("", "forged@example.test"):
        submit(engine.port, message(tag()), sender=sender)
    dropped = engine.event("dsn_dropped")
    wait_until(lambda: engine.counters()["bounced"] == 3, 15, "the end of the report")
    counters = engine.wait_empty()
    assert counters["bounced"] == counters["accepted"] == 3 and counters["delivered"] == 0
    assert dropped and not sink.messages
    assert stays_false(lambda: len(sink.commands("MAIL")) > 3, 0.5)


def test_two_engines_that_point_at_each_other(make):
    """G6: each takes the other for the way to loop.test. It ends at the hundredth Received field, with one report that
    nobody answers, and which says that no person wrote it."""
    port = free_port(tuple(HOSTS))
    sink = make.add(Sink(host="127.0.0.9", port=port).start())
    engines = []
    for i, other in enumerate(("127.0.0.3", "127.0.0.2")):
        zone = {**mx("loop.test", [(10, other)]), **mx("back.test", [(10, "127.0.0.9")])}
        dns = make.add(DnsServer(zone).start())
        engines.append(make.engine({
            "identity": {"hostname": f"node{i}.example.test"},
            "listeners": [{"address": "127.0.0.1", "port": free_port()}, {"address": f"127.0.0.{2 + i}", "port": port}],
            "dns": {"servers": [dns.endpoint]},
            "delivery": {"mx_port": port, "private_targets": "allow"}}, start=False))
    for engine in engines:
        engine.port = engine.conf["listeners"][0]["port"]
        engine.start()
    submit(engines[0].port, message("round and round"), sender="alice@back.test", to=["bob@loop.test"])
    report = wait_until(lambda: reports(sink), 60, "the report")[0]
    assert report.rcpts == ["alice@back.test"] and b"5.4.6" in report.data
    parsed = email.message_from_bytes(report.data, policy=email.policy.SMTP)
    assert parsed["Auto-Submitted"].startswith("auto-")
    totals = [engine.wait_empty() for engine in engines]
    assert sum(t["bounced"] for t in totals) == 1 and len(sink.messages) == 1
    assert 98 <= sum(t["accepted"] for t in totals) <= 103
    hops = [e for engine in engines for e in engine.events("bounced")]
    assert len(hops) == 1 and hops[0]["status"] == "5.4.6"
    assert stays_false(lambda: len(sink.messages) > 1, 0.5)


INJECTED = {
    "lf and rcpt": b"450-4.2.0 x\nrcpt: eve@example.test\nRCPT TO:<eve@example.test>\r\n450 4.2.0 y\r\n",
    "continued by an envelope": b"450-4.2.0 a\r\n450-\nM:/bin/sh\nR:<eve@example.test>\n\r\n450 4.2.0 b\r\n",
    "nul and lf": b"450 4.2.0 a\0\nto=eve@example.test\0\r\n",
    "json": b'450 4.2.0 "},{"to":"eve@example.test","state":"waiting"}\r\n',
    "crlf and commands": b"450 4.2.0 a\r\nMAIL FROM:<eve@example.test>\r\nRCPT TO:<eve@example.test>\r\n",
    "10 MB of lines": b"450-4.2.0 eve@example.test\r\n" * 380000 + b"450 end\r\n",
}


def test_what_a_server_says_never_becomes_an_envelope(make):
    """G7 (as CVE-2020-8794): replies with line feeds, fields and commands in them are stored, survive kill -9, and come
    back as text: nobody else gets mail, the queue's listing is what it was, and a report has them on one line."""
    texts = dict(zip((f"r{i}" for i in range(len(INJECTED))), INJECTED.values()))
    sink = make.sink(["8BITMIME"])
    sink.script["rcpt"] = lambda s, a: texts.get(a.split(b"<")[1].split(b"@")[0].decode())
    engine = make.relay({"queue": {"schedule": ["1h"], "jitter": 0}}, sink=sink)
    with Client(engine.port) as c:
        c.ehlo()
        for user in texts:
            assert c.submit(message(user), to=[f"{user}@example.test"]).code == 250
    engine.event("deferred", count=len(texts), timeout=60)
    engine.wait_durable()
    engine.kill()
    sink.script["rcpt"] = lambda s, a: "550 5.1.1 gone" if b"<r" in a else None
    engine.start()
    listed = [r["to"] for m in engine.queue("ls") for r in m["recipients"]]
    assert sorted(listed) == sorted(f"{user}@example.test" for user in texts)
    assert all("\n" not in json.loads(json.dumps(m)).get("reply", "") for m in engine.queue("ls"))
    engine.queue("retry", "--all")
    wait_until(lambda: len(sink.messages) == len(texts), 30, "the reports")  # the queue may be empty before one is made
    counters = engine.wait_empty(30)
    assert counters["bounced"] == counters["delivered"] == len(texts)
    assert {r for m in sink.attempts for r in m.rcpts} == {"alice@example.test"}
    assert not any(b"eve@" in c.line for c in sink.commands("RCPT") + sink.commands("MAIL"))
