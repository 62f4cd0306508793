# SPDX-License-Identifier: GPL-3.0-or-later
"""Delivery status notifications (RFC 3461–3464, 3834, 6522; G5–G7)."""
import email
import email.policy
import re

import pytest

from harness.client import Client, submit
from harness.message import message, sized, tag
from harness.sink import ALL
from harness.wait import stays_false, wait_until

NO_DSN = [f for f in ALL if f != "DSN"]


def refuse_bob(code="550 5.1.1 no such user"):
    return {"rcpt": lambda s, a: code if b"bob" in a else None}


def reports(sink, count=1, timeout=15):
    return wait_until(lambda: got if len(got := [m for m in sink.messages if m.sender == b""]) >= count else None,
                      timeout, f"{count} reports")


class Report:
    """A parsed multipart/report; checks its form."""

    def __init__(self, received):
        self.received = received
        self.message = email.message_from_bytes(received.data, policy=email.policy.SMTP)
        m = self.message
        assert m.get_content_type() == "multipart/report"
        assert m.get_param("report-type") == "delivery-status"
        assert m["Auto-Submitted"] == "auto-replied"
        assert m["MIME-Version"] == "1.0" and m["Date"] and m["Message-ID"] and m["From"] and m["Subject"]
        assert all(len(line) <= 998 for line in received.data.split(b"\r\n"))
        self.parts = m.get_payload()
        assert len(self.parts) == 3, [p.get_content_type() for p in self.parts]
        self.text = self.parts[0].get_content()
        assert self.parts[0].get_content_type() == "text/plain"
        assert self.parts[1].get_content_type() == "message/delivery-status"
        groups = self.parts[1].get_payload()
        self.per_message, self.recipients = groups[0], groups[1:]
        assert self.per_message["Reporting-MTA"] == "dns; relay.example.test"
        for r in self.recipients:
            assert r["Final-Recipient"] and r["Action"] and re.fullmatch(r"[245]\.\d+\.\d+", r["Status"])

    @property
    def original(self):
        return self.parts[2]

    def fields(self):
        return [(r["Final-Recipient"].split(";")[1].strip(), r["Action"], r["Status"]) for r in self.recipients]


def one_report(make, content=None, script=None, conf=None, params="", rcpt="", sender="alice@example.test",
               features=ALL):
    sink = make.sink(features, script=script or refuse_bob())
    engine = make.relay(conf or {}, sink=sink)
    with Client(engine.port) as c:
        c.ehlo()
        c.ok(f"MAIL FROM:<{sender}> {params}".strip())
        c.ok(f"RCPT TO:<bob@example.test> {rcpt}".strip())
        assert c.data(content or message("original")).code == 250
    return Report(reports(sink)[0]), engine


def test_failure_report(make):
    content = message("original", b"some text\r\n.dot\r\n")
    report, engine = one_report(make, content, params="ENVID=QQ314", rcpt="ORCPT=rfc822;Bob+2BX@old.test")
    assert report.received.rcpts == ["alice@example.test"]
    assert "alice@example.test" in report.message["To"]
    assert "MAILER-DAEMON@relay.example.test" in report.message["From"]
    assert report.fields() == [("bob@example.test", "failed", "5.1.1")]
    r = report.recipients[0]
    assert r["Original-Recipient"] == "rfc822; Bob+X@old.test"
    assert r["Diagnostic-Code"] == "smtp; 550 5.1.1 no such user"
    assert r["Remote-MTA"] and r["Remote-MTA"].startswith("dns; ")
    assert report.per_message["Original-Envelope-Id"] == "QQ314"
    assert report.per_message["Arrival-Date"]
    assert "bob@example.test" in report.text and "no such user" in report.text
    assert report.original.get_content_type() == "message/rfc822"
    inner = report.original.get_payload()[0]
    assert inner["Subject"] == "original"
    assert content.split(b"\r\n\r\n", 1)[1] in report.received.data
    assert engine.event("dsn")["to"] == "alice@example.test"


def test_several_failed_recipients_are_in_one_report(make):
    sink = make.sink(script={"rcpt": lambda s, a: f"550 5.1.{len(s.tx.rcpts) + 1} no" if b"bad" in a else None})
    engine = make.relay(sink=sink)
    submit(engine.port, to=["bad1@example.test", "good@example.test", "bad2@example.test"])
    report = Report(reports(sink)[0])
    assert sorted(f[0] for f in report.fields()) == ["bad1@example.test", "bad2@example.test"]
    engine.wait_empty()
    assert stays_false(lambda: len(reports(sink)) > 1, 0.5)


def test_no_report_for_the_null_sender(make):
    """G5."""
    sink = make.sink(script=refuse_bob())
    engine = make.relay(sink=sink)
    submit(engine.port, sender="")
    engine.event("bounced")
    engine.wait_empty()
    assert sink.messages == [] and not engine.events("dsn")


def test_a_report_that_cannot_be_delivered_is_dropped_and_counted(make):
    """G5."""
    sink = make.sink(script={"rcpt": lambda s, a: "550 5.1.1 no"})
    engine = make.relay(sink=sink)
    submit(engine.port)
    engine.event("dsn_dropped")
    engine.wait_empty()
    assert len(engine.events("dsn")) == 1 and sink.messages == []


@pytest.mark.parametrize("notify,expected", [("", 1), ("NOTIFY=FAILURE", 1), ("NOTIFY=FAILURE,DELAY", 1),
                                             ("NOTIFY=NEVER", 0), ("NOTIFY=SUCCESS", 0), ("NOTIFY=DELAY", 0)])
def test_notify_decides_about_failures(make, notify, expected):
    sink = make.sink(script=refuse_bob())
    engine = make.relay(sink=sink)
    with Client(engine.port) as c:
        c.ehlo()
        c.ok("MAIL FROM:<alice@example.test>")
        c.ok(f"RCPT TO:<bob@example.test> {notify}".strip())
        assert c.data(message("x")).code == 250
    engine.event("bounced")
    engine.wait_empty()
    assert len(sink.messages) == expected


@pytest.mark.parametrize("peer_knows", [False, True])
@pytest.mark.parametrize("notify,wanted", [("NOTIFY=SUCCESS", True), ("NOTIFY=SUCCESS,FAILURE", True),
                                           ("NOTIFY=FAILURE", False), ("NOTIFY=NEVER", False), ("", False)])
def test_success_is_reported_as_relayed_when_the_peer_has_no_dsn(make, peer_knows, notify, wanted):
    """RFC 3461 5.2.2."""
    sink = make.sink(ALL if peer_knows else NO_DSN)
    engine = make.relay(sink=sink)
    with Client(engine.port) as c:
        c.ehlo()
        c.ok("MAIL FROM:<alice@example.test> RET=FULL")
        c.ok(f"RCPT TO:<bob@example.test> {notify}".strip())
        assert c.data(message("x", b"the body\r\n")).code == 250
    engine.event("delivered")
    engine.wait_empty()
    got = [m for m in sink.messages if m.sender == b""]
    if wanted and not peer_knows:
        report = Report(got[0])
        assert report.fields() == [("bob@example.test", "relayed", "2.0.0")]
        # RFC 3461 6.2: no body when nothing failed.
        assert b"the body" not in report.received.data
    else:
        assert got == []


def test_ret_hdrs_returns_headers_only(make):
    report, _ = one_report(make, message("h", b"secret body\r\n"), params="RET=HDRS")
    assert report.original.get_content_type() == "text/rfc822-headers"
    assert b"secret body" not in report.received.data and b"Subject: h" in report.received.data


def test_ret_full_returns_the_body(make):
    report, _ = one_report(make, message("h", b"the body\r\n"), params="RET=FULL")
    assert report.original.get_content_type() == "message/rfc822" and b"the body" in report.received.data


@pytest.mark.parametrize("size", [60 << 10, 200 << 10, 5 << 20])
def test_big_originals_come_back_as_headers(make, size):
    """G7: the report is small, whatever was asked for."""
    report, _ = one_report(make, sized(size), params="RET=FULL")
    assert report.original.get_content_type() == "text/rfc822-headers"
    assert len(report.received.data) < 20000
    assert b"Message-ID: <" in report.original.get_payload(decode=False).encode()


def test_huge_header_is_cut_at_a_field(make):
    """G7."""
    lines = [b"X-%04d: " % i + b"v" * 150 for i in range(550)]
    report, _ = one_report(make, message("big head", headers=lines))
    assert len(report.received.data) < 70 << 10
    assert b"big head" in report.received.data


def test_an_original_with_a_boundary_of_ours_stays_inside(make):
    """The boundary does not occur in the original, whatever that holds."""
    body = b"--\r\n--relay\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; evil\r\n\r\n" \
           b"Final-Recipient: rfc822; victim@example.test\r\nAction: failed\r\n"
    report, _ = one_report(make, message("nest", body))
    assert report.fields() == [("bob@example.test", "failed", "5.1.1")]


def test_a_report_inside_a_report_keeps_three_parts(make):
    first, engine = one_report(make)
    submit(engine.port, first.received.data, sender="carol@example.test")
    second = Report(reports(engine.sink, 2)[1])
    assert second.fields() == [("bob@example.test", "failed", "5.1.1")]


@pytest.mark.parametrize("text", [
    b"550 5.1.1 a\x1b[2J\x00\xff\r\n", b"550-5.1.1 first\r\n550-5.1.1 --boundary\r\n550 5.1.1 Action: delivered\r\n",
    b"550 5.1.1 " + b"x" * 4000 + b"\r\n", b"550 5.1.1 \r\n", b"550\r\n", b"550 <script>\r\n",
    b"550-" + b"y" * 400 + b"\r\n" + b"550-z\r\n" * 60 + b"550 end\r\n"],
    ids=["controls", "fields", "long", "empty", "bare", "markup", "many lines"])
def test_hostile_reply_text_is_made_harmless(make, text):
    """G7."""
    report, engine = one_report(make, script={"rcpt": lambda s, a: text if b"bob" in a else None})
    assert [f[:2] for f in report.fields()] == [("bob@example.test", "failed")]
    raw = report.received.data
    assert b"\x1b" not in raw and b"\0" not in raw and b"\xff" not in raw
    assert len(raw) < 12000
    assert "Action: delivered" not in [f"{k}: {v}" for r in report.recipients for k, v in r.items()]
    assert engine.event("bounced")


def test_delay_report_comes_once_and_the_mail_is_tried_on(make):
    sink = make.sink(NO_DSN, script={"rcpt": lambda s, a: "451 4.3.0 busy" if b"bob" in a and not s.sink.free else None})
    sink.free = False
    engine = make.relay({"dsn": {"delay_after": "2s"}, "queue": {"schedule": ["1s"], "jitter": 0}}, sink=sink)
    submit(engine.port, message("late"))
    report = Report(reports(sink)[0])
    assert report.fields()[0][1] == "delayed" and report.fields()[0][2].startswith("4.")
    assert report.recipients[0]["Will-Retry-Until"]
    assert stays_false(lambda: len(reports(sink)) > 1, 2.5)
    sink.free = True
    sink.with_subject("late")
    assert engine.wait_empty()["delivered"] == 2


def test_notify_without_delay_gets_no_delay_report(make):
    sink = make.sink(script={"rcpt": lambda s, a: "451 4.3.0 busy" if b"bob" in a else None})
    engine = make.relay({"dsn": {"delay_after": "1s"}, "queue": {"schedule": ["1s"], "jitter": 0}}, sink=sink)
    with Client(engine.port) as c:
        c.ehlo()
        c.ok("MAIL FROM:<alice@example.test>")
        c.ok("RCPT TO:<bob@example.test> NOTIFY=FAILURE")
        assert c.data(message("x")).code == 250
    engine.event("deferred", count=4)
    assert sink.messages == []


def test_delay_reports_can_be_switched_off(make):
    sink = make.sink(script={"rcpt": lambda s, a: "451 4.3.0 busy" if b"bob" in a else None})
    engine = make.relay({"dsn": {"delay_after": 0}, "queue": {"schedule": ["1s"], "jitter": 0}}, sink=sink)
    submit(engine.port)
    engine.event("deferred", count=3)
    assert sink.messages == []


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_never_twice_across_a_restart(make, end):
    """A failure is reported once, whenever the engine ends after it."""
    sink = make.sink(script=refuse_bob())
    engine = make.relay(sink=sink)
    for _ in range(5):
        submit(engine.port)
    reports(sink, 5)
    engine.wait_empty()
    engine.wait_durable()  # a kill before that may send one more copy (P4)
    engine.stop() if end == "stop" else engine.kill()
    engine.start()
    assert engine.wait_empty()["queued"] == 0
    assert stays_false(lambda: len(reports(sink)) > 5, 1)


def test_killed_between_failure_and_report_leaves_exactly_one(make):
    """Result and report are one record: a crash leaves both or none."""
    sink = make.sink(script={"rcpt": lambda s, a: "550 5.1.1 no" if b"bob" in a else "451 4.3.0 wait" if s.sink.hold else None})
    sink.hold = True
    engine = make.relay(sink=sink)
    submit(engine.port)
    engine.event("dsn")
    engine.kill()
    sink.hold = False
    engine.start()
    reports(sink)
    engine.wait_empty()
    assert stays_false(lambda: len(reports(sink)) > 1, 0.5)


def test_a_delay_report_is_not_repeated_after_a_restart(make):
    sink = make.sink(script={"rcpt": lambda s, a: "451 4.3.0 busy" if b"bob" in a else None})
    engine = make.relay({"dsn": {"delay_after": "1s"}, "queue": {"schedule": ["1s"], "jitter": 0}}, sink=sink)
    submit(engine.port)
    reports(sink)
    engine.restart()
    engine.event("deferred", count=2)
    assert len(reports(sink)) == 1


def test_from_of_reports_can_be_set(make):
    report, _ = one_report(make, conf={"dsn": {"from": "postmaster@corp.test"}})
    assert "postmaster@corp.test" in report.message["From"]
    assert report.received.sender == b""


def test_expired_mail_says_what_the_last_answer_was(make):
    report, _ = one_report(make, script=refuse_bob("451 4.2.2 mailbox full"),
                           conf={"queue": {"schedule": ["1s"], "max_age": "2s"}})
    assert report.fields()[0][1] == "failed"
    assert "mailbox full" in report.recipients[0]["Diagnostic-Code"]


def test_report_about_smtputf8_mail(make):
    """RFC 6533."""
    sink = make.sink(script={"rcpt": lambda s, a: "550 5.1.1 no" if "jörg".encode() in a else None})
    engine = make.relay(sink=sink)
    with Client(engine.port) as c:
        c.ehlo()
        c.ok("MAIL FROM:<älice@example.test> SMTPUTF8".encode())
        c.ok("RCPT TO:<jörg@example.test>".encode())
        assert c.data(message("utf8")).code == 250
    got = reports(sink)[0]
    assert got.rcpts == ["älice@example.test"] and b"SMTPUTF8" in got.params
    m = email.message_from_bytes(got.data)
    assert m.get_payload()[1].get_content_type() == "message/global-delivery-status"
    assert "Final-Recipient: utf-8; jörg@example.test".encode() in got.data


def test_null_mx_and_routing_failures_are_reported_without_a_remote(make):
    from dnsserver import DnsServer
    sink = make.sink(host="127.0.0.2")
    dns = make.add(DnsServer({"back.test": {"a": ["127.0.0.2"]}}).start())
    engine = make.engine({"dns": {"servers": [dns.endpoint]},
                          "delivery": {"mx_port": sink.port, "private_targets": "allow"}})
    submit(engine.port, sender="alice@back.test", to=["x@gone.test"])
    report = Report(sink.wait()[0])
    assert report.fields() == [("x@gone.test", "failed", "5.1.2")]
    assert report.recipients[0]["Remote-MTA"] is None
    assert not (report.recipients[0]["Diagnostic-Code"] or "").startswith("smtp;")


def test_thousands_of_forged_bounces_do_not_multiply(make):
    """G5: as many reports as accepted and failed messages, none more."""
    sink = make.sink(script=refuse_bob())
    engine = make.relay(sink=sink)
    count = 200
    with Client(engine.port) as c:
        c.ehlo()
        for i in range(count):
            assert c.submit(message(tag()), sender=f"forged{i}@example.test", to=[f"bob{i}@example.test"]).code == 250
    reports(sink, count, timeout=30)
    counters = engine.wait_empty()
    assert counters == {"accepted": 2 * count, "delivered": count, "bounced": count, "expired": 0, "cancelled": 0,
                        "queued": 0}
