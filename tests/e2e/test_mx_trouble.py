# SPDX-License-Identifier: GPL-3.0-or-later
"""Name servers in trouble: mail waits and never bounces (reliability F7, fault 22; every kind of trouble at once is in
test_attack_f_dns.py). A failed question is not asked again for five seconds (RFC 9520), so these take their time."""
import time

from dnsserver import DnsServer
from harness.mxworld import World, mx, send


def test_address_lookup_trouble_defers(world):
    """F7."""
    zone = mx()
    zone["mx0.dest.test"]["behave"] = "servfail"
    w = world(zone)
    subject = send(w)
    assert w.engine.event("deferred")["status"] == "4.4.3"
    w.dns.zone["mx0.dest.test"]["behave"] = "ok"
    w.sinks["127.0.0.2"].with_subject(subject, timeout=20)


def test_a_name_server_that_is_down_for_a_while(make):
    """Fault 22 in short: nothing is lost, no busy loop, delivery resumes."""
    w = World(make, mx())
    w.sink("127.0.0.2")
    port = w.dns.port
    w.start()
    w.dns.close()
    subjects = [send(w) for _ in range(10)]
    w.engine.event("deferred")
    before, at = w.engine.cpu_seconds(), time.monotonic()
    time.sleep(2)
    assert (w.engine.cpu_seconds() - before) / (time.monotonic() - at) < 0.5
    w.dns = make.add(DnsServer(mx(), port=port).start())
    for s in subjects:
        w.sinks["127.0.0.2"].with_subject(s, timeout=30)
