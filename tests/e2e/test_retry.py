# SPDX-License-Identifier: GPL-3.0-or-later
"""The retry schedule, giving up, and smarthosts that come and go (issue point 5, faults 17–18)."""
import time

import pytest

from harness.client import Client, submit
from harness.message import message, tag
from harness.ports import free_port
from harness.sink import Close, Delay, Sink
from harness.wait import stays_false, wait_until


def refuse(count, code="451 4.3.0 later"):
    """The first `count` RCPTs are refused."""
    return {"rcpt": [code] * count}


def test_first_attempt_is_at_once(make):
    engine = make.relay({"queue": {"schedule": ["1h"]}})
    start = time.monotonic()
    submit(engine.port)
    engine.sink.wait(timeout=15)
    assert time.monotonic() - start < 15


def test_attempts_follow_the_schedule_and_the_last_wait_repeats(make):
    sink = make.sink(script=refuse(4))
    engine = make.relay({"queue": {"schedule": ["1s", "3s", "1s"], "jitter": 0}}, sink=sink)
    submit(engine.port)
    sink.wait(timeout=30)
    at = [c.at for c in sink.commands("RCPT")]
    waits = [b - a for a, b in zip(at, at[1:])]
    assert len(waits) == 4
    for wait, expected in zip(waits, [1, 3, 1, 1]):
        assert expected - 0.15 < wait < expected + 1.8, waits
    attempts = [e["attempt"] for e in engine.events("deferred")]
    assert attempts == [1, 2, 3, 4]
    assert engine.event("delivered")["attempt"] == 5


def test_jitter_spreads_the_attempts(make):
    sink = make.sink(script={"rcpt": lambda s, a: "451 4.3.0 later" if s.sink.first(a) else None})
    seen = set()
    sink.first = lambda a: a not in seen and not seen.add(a)
    engine = make.relay({"queue": {"schedule": ["2s"], "jitter": 50}, "delivery": {"connections_per_site": 1}},
                        sink=sink)
    to = [f"u{i}@example.test" for i in range(30)]
    with Client(engine.port) as c:
        c.ehlo()
        for rcpt in to:
            assert c.submit(message(tag()), to=[rcpt]).code == 250
    sink.wait(30, timeout=20)
    first, second = {}, {}
    for c in sink.commands("RCPT"):
        (second if c.line in first else first).setdefault(c.line, c.at)
    waits = sorted(second[line] - first[line] for line in second)
    # 1 s … 3 s; a busy machine adds to all of them, it does not spread them like this.
    assert 0.9 < waits[0] and waits[-1] - waits[0] > 0.5 and waits[len(waits) // 2] < 6, waits


def test_only_the_deferred_recipients_are_tried_again(make):
    sink = make.sink(script={"rcpt": lambda s, a: "450 4.2.0 later" if b"late@" in a and s.sink.once() else None})
    count = iter(range(10))
    sink.once = lambda: next(count) == 0
    engine = make.relay(sink=sink)
    submit(engine.port, message("two"), to=["now@example.test", "late@example.test"])
    got = sink.with_subject("two", 2)
    assert [m.rcpts for m in got] == [["now@example.test"], ["late@example.test"]]


def test_max_age_gives_up_with_one_report(make):
    sink = make.sink(script={"rcpt": lambda s, a: "451 4.3.0 mailbox busy" if b"bob@" in a else None})
    engine = make.relay({"queue": {"schedule": ["1s"], "max_age": "3s", "jitter": 0}}, sink=sink)
    start = time.monotonic()
    submit(engine.port, message("old"))
    report = sink.wait(timeout=15)[0]
    took = time.monotonic() - start
    assert 2.5 < took < 15
    assert report.sender == b"" and b"mailbox busy" in report.data and b"Action: failed" in report.data
    counters = engine.wait_empty()
    assert counters["expired"] == 1 and counters["delivered"] == 1 and counters["bounced"] == 0
    assert engine.event("expired")["to"] == "bob@example.test"
    assert stays_false(lambda: len(sink.messages) > 1, 1.5)


def test_max_attempts_gives_up(make):
    sink = make.sink(script={"rcpt": lambda s, a: "451 4.3.0 no" if b"bob@" in a else None})
    engine = make.relay({"queue": {"schedule": ["1s"], "max_attempts": 2}}, sink=sink)
    submit(engine.port)
    sink.wait(timeout=15)
    assert sum(b"bob@" in c.line for c in sink.commands("RCPT")) == 2
    assert engine.wait_empty()["expired"] == 1


def test_age_counts_over_a_restart(make):
    sink = make.sink(script={"rcpt": lambda s, a: "451 4.3.0 no" if b"bob@" in a else None})
    engine = make.relay({"queue": {"schedule": ["3s"], "max_age": "3s", "jitter": 0}}, sink=sink)
    submit(engine.port)
    engine.event("deferred")
    engine.kill()
    time.sleep(3.1)
    engine.start()
    report = sink.wait(timeout=15)[0]
    assert report.sender == b"" and not engine.events("deferred"), "deferred once more though its time was over"
    assert engine.wait_empty()["expired"] == 1


def test_a_deferral_keeps_its_time_over_a_restart(make):
    """A restart is no reason to try everything at once."""
    sink = make.sink(script=refuse(1))
    engine = make.relay({"queue": {"schedule": ["3s"], "jitter": 0}}, sink=sink)
    submit(engine.port)
    engine.event("deferred")
    first = sink.commands("RCPT")[0].at
    engine.restart()
    sink.wait(timeout=15)
    assert sink.commands("RCPT")[-1].at - first > 2.6
    assert engine.event("delivered")["attempt"] == 2


# ---- smarthosts ----

def test_smarthosts_are_tried_in_order(make):
    first, second = make.sink(), make.sink()
    engine = make.engine({"relay": {"host": [first.endpoint, second.endpoint]}})
    for _ in range(10):
        submit(engine.port)
    first.wait(10)
    assert second.connections == 0


@pytest.mark.parametrize("trouble", ["refused", "421", "closes", "554"])
def test_the_next_smarthost_takes_over(make, trouble):
    second = make.sink()
    if trouble == "refused":
        dead = f"[127.0.0.1]:{free_port()}"
    else:
        reply = {"421": Close("421 4.3.2 busy"), "closes": Close(), "554": Close("554 5.3.2 not me")}[trouble]
        dead = make.sink(script={"connect": lambda s, a: reply}).endpoint
    engine = make.engine({"relay": {"host": [dead, second.endpoint]}, "queue": {"schedule": ["1m"]}})
    submit(engine.port, message("over"))
    second.with_subject("over", timeout=10)
    assert engine.wait_empty()["bounced"] == 0


def test_a_dead_smarthost_defers_and_recovers(make):
    port = free_port()
    engine = make.engine({"relay": {"host": f"[127.0.0.1]:{port}"}})
    subjects = [tag() for _ in range(20)]
    with Client(engine.port) as c:
        c.ehlo()
        for s in subjects:
            assert c.submit(message(s)).code == 250
    wait_until(lambda: len(engine.events("deferred")) >= 20, 15, "deferrals")
    assert engine.counters()["queued"] == 20
    deferred = engine.events("deferred")[0]
    assert deferred["stage"] == "connect" and deferred["status"].startswith("4.")
    sink = make.add(Sink(port=port).start())
    for s in subjects:
        sink.with_subject(s, timeout=40)
    assert engine.wait_empty()["delivered"] == 20
    assert len(sink.messages) == 20


def test_a_dead_smarthost_is_not_stormed(make):
    """Fault 18, 20: many messages, few connections: each retry of the schedule may try the site's limit."""
    sink = make.sink(script={"connect": lambda s, a: Close("421 4.3.2 go away")})
    engine = make.relay({"delivery": {"connections_per_site": 10}}, sink=sink)
    start = time.monotonic()
    with Client(engine.port) as c:
        c.ehlo()
        for _ in range(200):
            assert c.submit(message(tag())).code == 250
    time.sleep(3)
    assert sink.connections <= 10 * (time.monotonic() - start + 2)
    assert engine.cpu_seconds() < 10
    sink.script.clear()
    sink.wait(200, timeout=60)
    assert engine.wait_empty(30)["delivered"] == 200


@pytest.mark.parametrize("form", ["[127.0.0.1]:{p}", "127.0.0.1:{p}", "[relay.test]:{p}", "relay.test:{p}", "relay.test"])
def test_forms_of_a_smarthost(make, form):
    from dnsserver import DnsServer
    sink = make.sink()
    dns = make.add(DnsServer({"relay.test": {"a": ["127.0.0.1"], "mx": [[1, "wrong.test"]]},
                              "wrong.test": {"a": ["127.0.0.66"]}}).start())
    engine = make.engine({"relay": {"host": form.format(p=sink.port), "port": sink.port},
                          "dns": {"servers": [dns.endpoint]}})
    submit(engine.port)
    sink.wait()


def test_smarthost_with_mx_lookup(make):
    from dnsserver import DnsServer
    sink = make.sink()
    dns = make.add(DnsServer({"relay.test": {"a": ["127.0.0.66"], "mx": [[1, "right.test"]]},
                              "right.test": {"a": ["127.0.0.1"]}}).start())
    engine = make.engine({"relay": {"host": f"relay.test:{sink.port}", "lookup": "mx"},
                          "dns": {"servers": [dns.endpoint]}})
    submit(engine.port)
    sink.wait()
    assert dns.count("relay.test", "MX")


def test_smarthost_name_that_cannot_be_resolved_defers(make):
    """Even NXDOMAIN: a smarthost is the operator's setting, its mail is not bounced for a typing error."""
    from dnsserver import DnsServer
    dns = make.add(DnsServer({"gone.test": {"behave": "servfail"}}).start())
    engine = make.engine({"relay": {"host": "gone.test:25"}, "dns": {"servers": [dns.endpoint]}})
    submit(engine.port)
    assert engine.event("deferred")["status"] == "4.4.3"
    assert engine.counters()["queued"] == 1
    sink = make.sink()
    dns.zone["gone.test"] = {"a": ["127.0.0.1"]}
    engine.write({"relay": {"host": f"gone.test:{sink.port}"}})
    engine.hup()
    engine.event("reloaded")
    sink.wait(timeout=30)


def test_smarthost_with_several_addresses(make):
    from dnsserver import DnsServer
    sink = make.sink(host="127.0.0.3")
    dns = make.add(DnsServer({"relay.test": {"a": ["127.0.0.2", "127.0.0.3"]}}).start())
    engine = make.engine({"relay": {"host": f"relay.test:{sink.port}"}, "dns": {"servers": [dns.endpoint]},
                          "queue": {"schedule": ["1m"]}})
    submit(engine.port)
    sink.wait()


def test_one_dead_destination_does_not_hold_up_others(make):
    """J6: by MX, one blackhole domain with many messages, one good."""
    from dnsserver import DnsServer
    port = free_port(("127.0.0.2", "127.0.0.3"))
    tarpit = make.sink(host="127.0.0.2", port=port, script={"connect": lambda s, a: Delay(60)})
    good = make.sink(host="127.0.0.3", port=port)
    dns = make.add(DnsServer({"tar.test": {"mx": [[1, "mx.tar.test"]]}, "mx.tar.test": {"a": ["127.0.0.2"]},
                              "good.test": {"mx": [[1, "mx.good.test"]]}, "mx.good.test": {"a": ["127.0.0.3"]}}).start())
    engine = make.engine({"dns": {"servers": [dns.endpoint]},
                          "delivery": {"mx_port": port, "private_targets": "allow"}, "shutdown": {"deadline": "1s"}})
    with Client(engine.port) as c:
        c.ehlo()
        for _ in range(100):
            assert c.submit(message(tag()), to=["x@tar.test"]).code == 250
        start = time.monotonic()
        assert c.submit(message("good"), to=["x@good.test"]).code == 250
    good.with_subject("good", timeout=15)
    assert time.monotonic() - start < 15
    assert tarpit.peak <= 20
