# SPDX-License-Identifier: GPL-3.0-or-later
"""Order and fairness: who is next on a busy connection, and messages with times of their own."""
import email
import email.policy
import threading
import time

import pytest

from harness.client import Client
from harness.login import login_plain
from harness.message import message, tag
from harness.sink import ALL
from harness.wait import stays_false, wait_until

ONE = {"delivery": {"connections_per_site": 1, "messages_per_connection": 1000000}}
AHEAD = 2 * 4 + 1   # what a connection may have taken before somebody more urgent came


class Gate:
    """The sink answers no MAIL until it is open."""

    def __init__(self, sink):
        self.event = threading.Event()
        sink.script["mail"] = lambda s, a: self.event.wait(60) and None

    def open(self):
        self.event.set()


def queue_up(port, count, prefix, headers=(), to="bob@example.test"):
    with Client(port) as c:
        c.ehlo()
        for i in range(count):
            reply = c.submit(message(f"{prefix}{i}", headers=headers), to=(to,))
            assert reply.code == 250, reply
        c.quit()


def send(port, headers=(), params="", to="bob@example.test", expect=250):
    subject = tag()
    with Client(port) as c:
        c.ehlo()
        reply = c.submit(message(subject, headers=headers), to=(to,), params=params)
        assert reply.code == expect, reply
        c.quit()
    return subject if expect == 250 else reply


def received(sink, subject):
    return sink.with_subject(subject, timeout=30)[0]


def order(sink, count, timeout=60):
    """The prefixes (letters) of the subjects, as they came."""
    sink.wait(count, timeout)
    return [m.subject.rstrip("0123456789") for m in sink.messages]


def priority(word):
    return [f"X-Ringpost-Priority: {word}"]


def busy(make, workers):
    sink = make.sink()
    engine = make.relay({**ONE, "workers": workers}, sink=sink)
    return sink, engine, Gate(sink)


# ---- classes ----

@pytest.mark.parametrize("workers", [1, 2])
def test_urgent_overtakes_bulk(make, workers):
    sink, engine, gate = busy(make, workers)
    queue_up(engine.port, 300, "bulk", priority("bulk"))
    queue_up(engine.port, 1, "urgent", priority("URGENT"))
    gate.open()
    came = order(sink, 301)
    assert came.index("urgent") < AHEAD, came[:30]
    assert sorted(m.subject for m in sink.messages if m.subject.startswith("bulk")) == \
        sorted(f"bulk{i}" for i in range(300))


@pytest.mark.parametrize("workers", [1, 2])
def test_normal_comes_before_bulk(make, workers):
    sink, engine, gate = busy(make, workers)
    queue_up(engine.port, 60, "bulk", priority("bulk"))
    queue_up(engine.port, 60, "normal")
    gate.open()
    came = order(sink, 120)
    assert came[:AHEAD + 60].count("normal") == 60, came


# ---- fairness ----

def flow(tenant=None, campaign=None):
    return ([f"X-Ringpost-Tenant: {tenant}"] if tenant else []) + \
        ([f"X-Ringpost-Campaign: {campaign}"] if campaign else [])


@pytest.mark.parametrize("first, second", [(flow("acme"), flow("other")),
                                           (flow("acme"), []),
                                           (flow("acme", "spring"), flow("acme", "autumn"))],
                         ids=["tenants", "tenant and nobody", "campaigns"])
def test_equals_take_turns(make, first, second):
    sink, engine, gate = busy(make, 1)
    queue_up(engine.port, 120, "a", first)
    queue_up(engine.port, 30, "b", second)
    gate.open()
    came = order(sink, 150)
    assert came[:AHEAD + 64].count("b") == 30, came
    assert came[AHEAD:AHEAD + 50].count("b") >= 20, came


def test_campaigns_share_their_tenants_turns(make):
    """Ten campaigns of one tenant do not outweigh another tenant."""
    sink, engine, gate = busy(make, 1)
    for n in range(10):
        queue_up(engine.port, 10, "a", flow("acme", f"c{n}"))
    queue_up(engine.port, 40, "b", flow("small"))
    gate.open()
    came = order(sink, 140)
    assert came[:AHEAD + 84].count("b") == 40, came


# ---- whose word counts ----

USERS = [{"name": "urgent", "password": "u", "priority": "urgent", "tenant": "house"},
         {"name": "plain", "password": "p"}]


@pytest.mark.parametrize("user, headers, want", [
    (None, [], {"priority": "bulk", "tenant": "port"}),
    ("plain", [], {"priority": "bulk", "tenant": "port"}),
    ("urgent", [], {"priority": "urgent", "tenant": "house"}),
    ("urgent", priority("bulk") + flow("mine", "spring"),
     {"priority": "bulk", "tenant": "mine", "campaign": "spring"}),
    ("urgent", priority("normal"), {"tenant": "house"}),
], ids=["listener", "user without", "user", "header", "header says normal"])
def test_header_before_user_before_listener(make, user, headers, want):
    sink = make.sink()
    engine = make.relay({"users": USERS, "auth": {"require_tls": False},
                         "listeners": [{"address": "127.0.0.1", "priority": "bulk", "tenant": "port"}]},
                        sink=sink, start=False)
    engine.conf["listeners"][0]["port"] = engine.port
    engine.start()
    with Client(engine.port) as c:
        c.ehlo()
        if user:
            assert login_plain(c, user, user[0]).code == 235
        subject = tag()
        assert c.submit(message(subject, headers=headers)).code == 250
    sink.with_subject(subject)
    event = engine.event("accepted")
    assert {k: event[k] for k in ("priority", "tenant", "campaign") if k in event} == want
    done = engine.event("delivered")
    assert {k: done[k] for k in ("tenant", "campaign") if k in done} == \
        {k: v for k, v in want.items() if k != "priority"}


ALL_FIELDS = ["X-Ringpost-Priority: urgent", "x-ringpost-TENANT : acme", "X-Ringpost-Campaign:\r\n spring",
              "X-Ringpost-Send-At: 2001-01-01T00:00:00Z", "X-Ringpost-Expire: +1h"]


def test_the_fields_do_not_leave(make):
    sink = make.sink()
    engine = make.relay(sink=sink)
    subject = send(engine.port, ALL_FIELDS)
    got = received(sink, subject)
    assert b"ringpost-" not in got.data.lower() and b"acme" not in got.data and b"spring" not in got.data
    event = engine.event("accepted")
    assert (event["priority"], event["tenant"], event["campaign"]) == ("urgent", "acme", "spring")
    assert "send_at" not in event and event["expires"]


@pytest.mark.parametrize("conf", [
    {"access": {"networks": ["192.0.2.0/24"], "relay_domains": ["example.test"]}},
    {"listeners": [{"address": "127.0.0.1", "attributes": "nobody"}]},
    {"listeners": [{"address": "127.0.0.1", "attributes": "authenticated"}]},
], ids=["stranger", "nobody's counts", "not logged in"])
def test_fields_of_others_mean_nothing(make, conf):
    sink = make.sink()
    engine = make.relay(conf, sink=sink, start=False)
    engine.conf["listeners"][0]["port"] = engine.port
    engine.start()
    subject = send(engine.port, ["X-Ringpost-Send-At: +1h", "X-Ringpost-Priority: nonsense"] + flow("acme"))
    got = received(sink, subject)
    assert b"ringpost-" not in got.data.lower()
    assert "tenant" not in engine.event("accepted") and "tenant" not in engine.event("delivered")


def test_other_names_for_the_fields(make):
    sink = make.sink()
    engine = make.relay({"headers": {"priority": "X-Class", "tenant": "", "strip": ["X-Mailer"]}}, sink=sink)
    subject = send(engine.port, ["X-Class: urgent", "X-Ringpost-Priority: bulk", "X-Mailer: y"] + flow("acme"))
    got = received(sink, subject)
    assert b"X-Class" not in got.data and b"X-Mailer" not in got.data
    assert b"X-Ringpost-Priority: bulk" in got.data and b"X-Ringpost-Tenant: acme" in got.data
    event = engine.event("accepted")
    assert event["priority"] == "urgent" and "tenant" not in event


@pytest.mark.parametrize("field", ["X-Ringpost-Priority: high", "X-Ringpost-Tenant: a b",
                                   "X-Ringpost-Send-At: tomorrow", "X-Ringpost-Send-At: 2026-02-30T00:00:00Z",
                                   "X-Ringpost-Send-At: 2190-01-01T00:00:00Z",
                                   "X-Ringpost-Expire: 2001-01-01T00:00:00Z", "X-Ringpost-Campaign:"])
def test_a_field_that_cannot_be_understood_is_refused(make, field):
    sink = make.sink()
    engine = make.relay(sink=sink)
    reply = send(engine.port, [field], expect=550)
    assert reply.status == "550 5.6.0" and field.split(":")[0] in reply.text
    assert engine.counters()["accepted"] == 0
    assert engine.event("rejected")["status"] == "5.6.0"


def test_a_field_twice_is_refused(make):
    engine = make.relay(sink=make.sink())
    reply = send(engine.port, priority("bulk") + priority("urgent"), expect=550)
    assert "twice" in reply.text


# ---- times ----

@pytest.mark.parametrize("way", ["restart", "kill", "run on"])
def test_sent_at_its_time(make, way):
    sink = make.sink()
    engine = make.relay(sink=sink)
    due = time.time() + 4
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(int(due))) + "Z"
    subject = send(engine.port, [f"X-Ringpost-Send-At: {stamp}"] + flow("acme", "spring") + priority("bulk"))
    other = send(engine.port)
    sink.with_subject(other)

    def listed():
        (m,) = engine.queue("ls")
        assert m["recipients"][0]["state"] == "scheduled"
        assert m["recipients"][0]["next_attempt"].startswith(stamp[:-1])
        assert m["send_at"].startswith(stamp[:-1])
        assert (m["priority"], m["tenant"], m["campaign"]) == ("bulk", "acme", "spring")
    listed()
    if way != "run on":
        engine.wait_durable()
        engine.stop() if way == "restart" else engine.kill()
        engine.start()
        listed()
    received(sink, subject)
    assert time.time() >= int(due)
    assert engine.event("delivered", tenant="acme")["campaign"] == "spring"
    engine.wait_empty()


def test_class_survives_a_restart(make):
    sink = make.sink()
    engine = make.relay(ONE, sink=sink)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 6))
    at = [f"X-Ringpost-Send-At: {stamp}"]
    queue_up(engine.port, 60, "bulk", at + priority("bulk"))
    queue_up(engine.port, 10, "urgent", at + priority("urgent"))
    engine.restart()
    came = order(sink, 70)
    assert came[:10 + AHEAD].count("urgent") == 10, came


def status_report(sink):
    (m,) = [m for m in sink.messages if m.sender == b""]
    parts = email.message_from_bytes(m.data, policy=email.policy.SMTP).get_payload()
    return parts[1].get_payload()[1], m


def test_expires_instead_of_being_tried_again(make):
    sink = make.sink(script={"rcpt": lambda s, a: "450 4.2.1 busy" if b"bob" in a else None})
    engine = make.relay({"queue": {"schedule": ["1s", "1h"], "jitter": 0}}, sink=sink)
    send(engine.port, ["X-Ringpost-Expire: +3"])
    event = engine.event("expired", timeout=20)
    assert event["status"] == "5.4.7" and event["attempt"] == 2
    wait_until(lambda: any(m.sender == b"" for m in sink.messages), 15, "the report")
    fields, report = status_report(sink)
    assert (fields["Action"], fields["Status"]) == ("failed", "5.4.7")
    assert "450 4.2.1 busy" in fields["Diagnostic-Code"] or b"450 4.2.1 busy" in report.data
    assert "tenant" not in engine.event("dsn")
    engine.wait_empty()


@pytest.mark.parametrize("workers", [1, 2])
def test_expires_while_it_waits_for_a_connection(make, workers):
    sink, engine, gate = busy(make, workers)
    queue_up(engine.port, 30, "before")
    late = send(engine.port, ["X-Ringpost-Expire: +2"])
    in_time = send(engine.port, ["X-Ringpost-Expire: +1h"])
    assert stays_false(lambda: engine.events("expired"), 2.5)
    gate.open()
    engine.event("expired", timeout=20)
    sink.with_subject(in_time)
    engine.wait_empty()
    assert late not in [m.subject for m in sink.messages if m.sender]


# ---- FUTURERELEASE ----

def submission(make, sink, smtp, **more):
    engine = make.relay({"smtp": smtp, "listeners": [{"address": "127.0.0.1", "mode": "submission",
                                                      "access": "network", **more}]},
                        sink=sink, start=False)
    engine.conf["listeners"][0]["port"] = engine.port
    return engine.start()


def test_future_release_is_offered_where_it_belongs(make):
    sink = make.sink()
    engine = submission(make, sink, {"future_release": "1h"})
    with Client(engine.port) as c:
        seconds, date = c.keywords()["FUTURERELEASE"].split()
        assert seconds == "3600"
        until = time.mktime(time.strptime(date, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        assert abs(until - time.time() - 3600) < 60
    relay = make.relay({"smtp": {"future_release": "1h"}}, sink=sink)
    with Client(relay.port) as c:
        assert "FUTURERELEASE" not in c.keywords()
        assert c.cmd("MAIL FROM:<a@example.test> HOLDFOR=3").status == "555 5.5.4"


def stamp_in(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def test_held_for_and_until(make):
    sink = make.sink()
    engine = submission(make, sink, {"future_release": "1h"})
    began = time.time()
    first = send(engine.port, params="HOLDFOR=3")
    second = send(engine.port, params=f"HOLDUNTIL={stamp_in(4)}")
    gone = send(engine.port, params=f"HOLDUNTIL={stamp_in(-60)}")
    sink.with_subject(gone)
    assert time.time() < began + 3
    received(sink, first)
    assert time.time() >= began + 3
    received(sink, second)
    assert time.time() >= began + 3


@pytest.mark.parametrize("params, status", [
    ("HOLDFOR=3601", "501 5.5.4"), ("HOLDFOR=0", "501 5.5.4"), ("HOLDFOR=", "501 5.5.4"),
    ("HOLDFOR=9999999999", "501 5.5.4"), ("HOLDUNTIL=2190-01-01T00:00:00Z", "501 5.5.4"),
    ("HOLDUNTIL=soon", "501 5.5.4"), ("HOLDFOR=3 HOLDUNTIL=2020-01-01T00:00:00Z", "501 5.5.4"),
    ("HOLDFOR=60 BY=30;R", "501 5.5.4"), ("BY=0;R", "501 5.5.4"), ("BY=-1;R", "501 5.5.4"),
    ("BY=30", "501 5.5.4"), ("BY=30;X", "501 5.5.4"), ("BY=5;R", "555 5.5.4"),
    ("HOLDFOR=60 BY=120;R", "250 2.1.0"), ("BY=-5;N", "250 2.1.0"), ("BY=+30;rt", "250 2.1.0"),
])
def test_times_beside_mail(make, params, status):
    engine = submission(make, make.sink(), {"future_release": "1h", "deliver_by": "10s"})
    with Client(engine.port) as c:
        c.ehlo()
        assert c.cmd(f"MAIL FROM:<a@example.test> {params}").status == status


def test_times_are_not_for_everybody(make):
    engine = submission(make, make.sink(), {"future_release": "1h", "deliver_by": "1s"}, attributes="nobody")
    with Client(engine.port) as c:
        c.ehlo()
        assert c.cmd("MAIL FROM:<a@example.test> HOLDFOR=3").status == "550 5.7.1"
        assert c.cmd("MAIL FROM:<a@example.test> BY=60;N").status == "550 5.7.1"
        assert c.cmd("MAIL FROM:<a@example.test>").code == 250


# ---- DELIVERBY ----

def test_deliver_by_returns(make):
    sink = make.sink([*ALL, "DELIVERBY 1"], script={"rcpt": lambda s, a: "450 4.2.1 busy" if b"bob" in a else None})
    engine = submission(make, sink, {"deliver_by": "1s"})
    with Client(engine.port) as c:
        assert c.keywords()["DELIVERBY"] == "1"
    send(engine.port, params="BY=2;R")
    assert engine.event("expired", timeout=20)["status"] in ("5.4.7", "4.2.1")
    wait_until(lambda: any(m.sender == b"" for m in sink.messages), 15, "the report")
    fields, _ = status_report(sink)
    assert fields["Action"] == "failed" and fields["Status"].endswith(".4.7")


def test_deliver_by_notifies(make):
    busy_until = time.time() + 5
    sink = make.sink(script={"rcpt": lambda s, a: "450 4.2.1 busy"
                             if b"bob" in a and time.time() < busy_until else None})
    engine = submission(make, sink, {"deliver_by": "1s"})
    subject = send(engine.port, params="BY=2;N")
    wait_until(lambda: any(m.sender == b"" for m in sink.messages), 15, "the report")
    fields, _ = status_report(sink)
    assert fields["Action"] == "delayed"
    received(sink, subject)
    engine.wait_empty()
    assert len([m for m in sink.messages if m.sender == b""]) == 1


@pytest.mark.parametrize("params, form", [("BY=120;R", b";R"), ("BY=120;NT", b";NT"), ("", None)])
def test_deliver_by_is_passed_on(make, params, form):
    sink = make.sink([*ALL, "DELIVERBY 1"])
    engine = submission(make, sink, {"deliver_by": "1s"})
    got = received(sink, send(engine.port, params=params))
    if form is None:
        assert b"BY=" not in got.params
        return
    (word,) = [w for w in got.params.split() if w.startswith(b"BY=")]
    assert word.endswith(form) and 100 < int(word[3:].split(b";")[0]) <= 120


@pytest.mark.parametrize("offered", [[], ["DELIVERBY 600"]], ids=["not known", "longer times only"])
def test_deliver_by_return_comes_back_from_who_cannot_keep_it(make, offered):
    sink = make.sink([*ALL, *offered])
    engine = submission(make, sink, {"deliver_by": "1s"})
    send(engine.port, params="BY=120;R")
    assert engine.event("bounced")["status"] == "5.4.7"
    wait_until(lambda: any(m.sender == b"" for m in sink.messages), 15, "the report")
    fields, _ = status_report(sink)
    assert (fields["Action"], fields["Status"]) == ("failed", "5.4.7")
    assert len(sink.messages) == 1


@pytest.mark.parametrize("notify, reports", [("", 1), ("NOTIFY=NEVER", 0)])
def test_deliver_by_notify_says_that_it_was_relayed_to_who_does_not_know_it(make, notify, reports):
    sink = make.sink()
    engine = submission(make, sink, {"deliver_by": "1s"})
    with Client(engine.port) as c:
        c.ehlo()
        assert c.cmd("MAIL FROM:<alice@example.test> BY=120;N").code == 250
        assert c.cmd(f"RCPT TO:<bob@example.test> {notify}".strip()).code == 250
        assert c.cmd("DATA").code == 354
        c.send(message("relayed") + b".\r\n")
        assert c.reply().code == 250
    assert b"BY=" not in received(sink, "relayed").params
    engine.wait_empty()
    assert len([m for m in sink.messages if m.sender == b""]) == reports
    if reports:
        fields, _ = status_report(sink)
        assert fields["Action"] == "relayed"

