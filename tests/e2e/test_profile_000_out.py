# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile 000: the relay, the queue and delivery (the inventory's 000-07, 000-08, 000-13, 000-14)."""
import re

import pytest

from harness.certs import Ca
from harness.message import message, tag
from harness.profile_mta import (bare, mail, make_mta, make_smtp, make_world,  # noqa: F401  (fixtures)
                                 received, secured, start)
from harness.profile_world import answering, direct, setting
from harness.tls_peer import TlsSink
from harness.wait import wait_until


# ---- 000-07, 000-08: the relay ----

def test_000_07_bracketless_is_an_mx_lookup(make):
    """Trap 10: `host:port` means the MX of host first, `[host]:port` and `[host:port]` its address. A name without
    dots is one, as containers have."""
    target = make.sink(host="127.0.0.3")
    other = make.sink(host="127.0.0.2", port=target.port)
    port = target.port
    zone = {"relay.test": {"mx": [[10, "mx.relay.test"]], "a": ["127.0.0.2"]}, "mx.relay.test": {"a": ["127.0.0.3"]},
            "plain.test": {"a": ["127.0.0.2"]}, "mailhog": {"a": ["127.0.0.2"]}}
    settings = answering(make, zone)
    for host, sink in ((f"relay.test:{port}", target), (f"[relay.test]:{port}", other), (f"plain.test:{port}", other),
                       (f"[relay.test:{port}]", other), (f"[mailhog:{port}]", other), (f"[127.0.0.3]:{port}", target)):
        engine = start(make, {"RELAYHOST": host}, settings=settings)
        with secured(engine) as c:
            subject = tag()
            assert c.submit(message(subject)).code == 250
        assert sink.with_subject(subject), host
        engine.stop()


def test_000_07_direct(make):
    """Unset, or empty (trap 24): MX of the recipient's domain."""
    sink, settings = direct(make)
    engine = start(make, {"RELAYHOST": "", "SMTP_RELAY_HOST": ""}, settings=settings)
    with secured(engine) as c:
        subject = tag()
        assert c.submit(message(subject), to=["a@dest.test"]).code == 250
    assert sink.with_subject(subject)


def test_000_07_several_in_order(make, sink):
    """The later name of the variable wins."""
    engine = start(make, {"SMTP_RELAY_HOST": f"[127.0.0.1]:9, {sink.endpoint}", "RELAYHOST": "[127.0.0.1]:9"})
    with secured(engine) as c:
        subject = tag()
        assert c.submit(message(subject)).code == 250
    assert sink.with_subject(subject)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_000_08_relay_login(make, mechanism):
    """Trap 9: in clear too, as the original: the sink offers no TLS."""
    sink = make.add(TlsSink(auth_in_clear=[mechanism], users={"relayuser": "relaypass"}).start())
    engine = start(make, {"RELAYHOST": sink.endpoint, "SMTP_RELAY_USERNAME": "relayuser",
                          "SMTP_RELAY_PASSWORD": "relaypass"})
    (warning,) = [line for line in engine.stderr().splitlines() if "TLS" in line]
    assert warning.startswith("warning: SMTP_RELAY_PASSWORD: may be sent without TLS, as the original does; ")
    with secured(engine) as c:
        subject = tag()
        assert c.submit(message(subject)).code == 250
    assert sink.with_subject(subject)
    assert [login.mechanism for login in sink.logins] == [mechanism]


def test_000_08_wrong_relay_login(make):
    """It waits: nothing is sent without the login, and nothing is lost."""
    sink = make.add(TlsSink(auth_in_clear=["PLAIN"], users={"relayuser": "other"}).start())
    engine = start(make, {"RELAYHOST": sink.endpoint, "SMTP_RELAY_USERNAME": "relayuser",
                          "SMTP_RELAY_PASSWORD": "relaypass"})
    with secured(engine) as c:
        assert c.submit(message()).code == 250
    wait_until(lambda: sink.logins, 15, "a login at the sink")
    assert engine.event("deferred")["stage"] == "auth" and not sink.messages
    sink.users["relayuser"] = "relaypass"
    sink.wait(1)


@pytest.mark.parametrize("given", ["SMTP_RELAY_USERNAME", "SMTP_RELAY_PASSWORD"])
def test_000_08_one_of_two(make, given):
    sink = make.add(TlsSink(auth_in_clear=["PLAIN"], users={"x": "x"}, auth_required=False).start())
    engine = start(make, {"RELAYHOST": sink.endpoint, given: "x"})
    assert re.search(r"(?m)^warning: SMTP_RELAY_USERNAME or SMTP_RELAY_PASSWORD provided without the other\. "
                     r"Relay authentication disabled\.$", engine.stderr())
    with secured(engine) as c:
        subject = tag()
        assert c.submit(message(subject)).code == 250
    assert sink.with_subject(subject) and not sink.logins


def test_000_08_without_a_relay_host(make):
    """Not used for MX hosts."""
    engine = bare(make, {"SMTP_RELAY_USERNAME": "u", "SMTP_RELAY_PASSWORD": "p"})
    assert setting(engine, "relay.username") == setting(engine, "relay.password") == '""'


# ---- 000-13, 000-14: queue and delivery ----

def test_000_13_bounce_to_the_sender(make):
    sink = make.sink(script={"rcpt": lambda s, arg: "550 5.1.1 nobody" if b"bad@" in arg else None})
    engine = start(make, {"RELAYHOST": sink.endpoint})
    with secured(engine) as c:
        assert c.submit(message(), sender="me@example.com", to=["bad@example.org"]).code == 250
    hit = wait_until(lambda: [m for m in sink.messages if m.sender == b""], 15, "a bounce")[0]
    assert hit.rcpts == ["me@example.com"]


def test_000_13_first_attempt_at_once(mta, smtp):
    """Trap 2."""
    m = mail()
    smtp.send_message(m)
    assert received(mta, m, timeout=3)


def test_000_13_pace(make):
    """300 s to 4000 s, 5 days."""
    engine = bare(make)
    del engine.env["RINGPOST_QUEUE_SCHEDULE"]
    assert setting(engine, "queue.schedule") == "[5m, 5m, 10m, 20m, 40m, 1h6m40s]"
    assert setting(engine, "queue.max_age") == "5d" and setting(engine, "queue.jitter") == "0"


def test_000_13_fifty_recipients_per_transaction(make, sink):
    engine = start(make, {"RELAYHOST": sink.endpoint})
    with secured(engine) as c:
        assert c.submit(message(), to=[f"r{i}@example.org" for i in range(60)]).code == 250
    wait_until(lambda: sum(len(m.rcpts) for m in sink.messages) == 60, 15, "all recipients")
    assert sorted(len(m.rcpts) for m in sink.messages) == [10, 50]


def test_000_13_survives_a_crash(make, sink):
    """Trap 27: what was answered with 250 is there after kill -9."""
    engine = start(make, {"RELAYHOST": "[127.0.0.1]:9"})
    with secured(engine) as c:
        subject = tag()
        assert c.submit(message(subject)).code == 250
    engine.kill()
    engine.env["RELAYHOST"] = sink.endpoint
    engine.spawn()
    assert sink.with_subject(subject)


def test_000_14_opportunistic_tls_out(make):
    """Not verified."""
    ca = Ca(make.folder)
    sink = make.add(TlsSink(ca.server()).start())
    engine = start(make, {"RELAYHOST": sink.endpoint})
    with secured(engine) as c:
        subject = tag()
        assert c.submit(message(subject)).code == 250
    assert sink.with_subject(subject) and sink.secured  # nobody trusts that authority


def test_000_14_direct_by_ipv4(make):
    """MX hosts, without any the domain's own address; never AAAA."""
    sink, settings = direct(make)
    zone = {"dual.test": {"mx": [[10, "mx.dual.test"]]}, "mx.dual.test": {"a": [sink.host], "aaaa": ["::1"]},
            "nomx.test": {"a": [sink.host], "aaaa": ["::1"]}}
    engine = start(make, settings={**settings, **answering(make, zone)})
    dns = make.others[-1]
    for domain in ("dual.test", "nomx.test"):
        with secured(engine) as c:
            subject = tag()
            assert c.submit(message(subject), to=[f"a@{domain}"]).code == 250
        assert sink.with_subject(subject), domain
    assert dns.count("mx.dual.test", "AAAA") == dns.count("nomx.test", "AAAA") == 0
    assert setting(engine, "delivery.tls") == "may"
