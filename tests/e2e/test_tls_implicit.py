# SPDX-License-Identifier: GPL-3.0-or-later
"""relay.implicit_tls: TLS from the first byte to smarthosts (port 465, RFC 8314), and what each policy makes of it.
With real servers: test_tls_servers.py."""
import json
import ssl

import pytest

from harness.engine import run
from harness.logins_out import SECRET, USER
from harness.message import tag
from harness.sink import Close, Reset, Silence
from harness.tls_peer import Garbage, peer_ca, policy_world, send
from harness.wait import wait_until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
POLICIES = ["may", "encrypt", "verify"]


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return peer_ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def tls(make, ca):
    """tls("verify", …): an engine whose smarthost speaks TLS from the first byte."""
    def world(policy, context=None, conf=None, implicit=True, **more):
        conf = {"delivery": {"ehlo_timeout": "1s", "greeting_timeout": "1s"}, **(conf or {})}
        conf["relay"] = {"implicit_tls": True, **conf.get("relay", {})}
        return policy_world(make, ca, policy, context, conf, implicit=implicit, **more)
    return world


def deferred(engine, *status):
    event = engine.event("deferred")
    assert (event["code"], event["stage"]) == (451, "starttls") and event["status"] in (status or ("4.7.5",)), event
    assert engine.sink.attempts == [] and engine.events("bounced") == []
    # Nothing was ever said in clear.
    assert [s for s in engine.sink.sessions if s.commands and not s.tls] == []
    return event


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_message(tls, ca, policy, version):
    e = tls(policy, ca.server(ca.good, minimum=version, maximum=version))
    m = e.sink.with_subject(send(e))[0]
    assert m.session.tls.version and [c.verb for c in m.session.commands if c.verb != "RSET"][:2] == ["EHLO", "MAIL"]
    assert m.session.sni == "mail.peer.test" and e.sink.connections == 1
    event = e.event("delivered")
    assert (event["tls"], event["certificate"]) == (m.session.tls.version, "trusted")


@pytest.mark.parametrize("policy", POLICIES)
def test_an_untrusted_certificate(tls, ca, policy):
    e = tls(policy, ca.server(ca.bad))
    subject = send(e)
    if policy == "verify":
        deferred(e)
    else:
        assert e.sink.with_subject(subject)[0].session.tls
        assert e.event("delivered")["certificate"] == "self_signed"


BREAKS = {"text": lambda: Garbage(b"500 5.5.2 what is this\r\n"), "closed": Close, "reset": Reset, "silence": Silence}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_handshake_defers(tls, policy, name):
    """Under `may` too: on such a port there is nothing to fall back to."""
    e = tls(policy)
    e.sink.script["handshake"] = lambda s, a: BREAKS[name]()
    send(e)
    # A reset may come before our hello is out: a lost connection, not a failed handshake.
    deferred(e, "4.7.5", "4.4.2" if name == "reset" else "4.7.5")


@pytest.mark.parametrize("policy", ["may", "encrypt"])
def test_a_server_that_greets_in_clear_gets_nothing(tls, policy):
    """A port for STARTTLS: its greeting is no TLS."""
    e = tls(policy, implicit=False)
    send(e)
    assert "does not speak TLS" in deferred(e)["reply"]


def test_an_offer_of_starttls_is_not_taken_up(tls):
    e = tls("encrypt")
    e.sink.script["ehlo"] = lambda s, a: "250-sink\r\n250 STARTTLS"
    e.sink.with_subject(send(e))
    assert e.sink.commands("STARTTLS") == []


@pytest.mark.parametrize("policy", POLICIES)
def test_a_server_that_insists_on_our_certificate(tls, ca, policy):
    e = tls(policy, ca.server(ca.good, minimum=V13, client_ca=ca.root))
    send(e)
    assert "tls.client_cert_file" in deferred(e)["reply"]


def test_a_login(tls):
    e = tls("verify", conf={"relay": {"username": USER, "password": SECRET}}, auth=["PLAIN"], users={USER: SECRET})
    assert e.sink.with_subject(send(e))[0].session.user == USER
    assert e.sink.secrets_in_clear == []


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_resumed(tls, ca, version):
    e = tls("verify", ca.server(ca.good, minimum=version, maximum=version), conf={"delivery": {"messages_per_connection": 1}})
    e.sink.with_subject(send(e))
    wait_until(lambda: not e.sink.sessions[0].open, 5, "the end of the first session")
    assert e.sink.with_subject(send(e))[0].session.tls.resumed


def test_many_messages_over_few_connections(tls):
    e = tls("verify", conf={"delivery": {"connections_per_site": 2}})
    subjects = [send(e, tag()) for _ in range(50)]
    assert e.wait_empty()["delivered"] == 50
    assert {m.subject for m in e.sink.messages} == set(subjects) and e.sink.connections <= 2


def test_an_mx_host_is_not_asked_for_it(make, ca):
    """The key is for relay hosts: mail by MX begins in clear and goes on with STARTTLS."""
    e = policy_world(make, ca, "verify", conf={"relay": {"implicit_tls": True}, "delivery": {"tls": "encrypt"}},
                     mx={"example.test": "mail.peer.test"})
    session = e.sink.with_subject(send(e))[0].session
    assert [c.verb for c in session.commands][:2] == ["EHLO", "STARTTLS"]


def test_switched_on_by_a_reload(tls):
    e = tls("may", conf={"relay": {"implicit_tls": False}, "queue": {"schedule": ["1s"]}})
    subject = send(e)
    e.event("deferred")    # two wait for each other's first word
    e.write({"relay": {"implicit_tls": True}})
    e.hup()
    e.event("reloaded")
    assert e.sink.with_subject(subject)[0].session.tls


# ---- configuration ----

def test_none_is_an_error(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps({"relay": {"host": "192.0.2.1:465", "tls": "none", "implicit_tls": True}}))
    done = run("check", "-c", path)
    assert done.returncode == 78 and "relay.implicit_tls: true, and relay.tls is none" in done.stderr


@pytest.mark.parametrize("relay, told", [({"host": "192.0.2.1:465"}, True), ({"host": "192.0.2.1", "port": 465}, True),
                                         ({"host": "192.0.2.1:465", "implicit_tls": True}, False),
                                         ({"host": "192.0.2.1:587"}, False), ({"port": 465}, False)],
                         ids=["host", "port", "set", "587", "no host"])
def test_port_465_without_it_is_worth_a_warning(tmp_path, relay, told):
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps({"relay": relay}))
    done = run("check", "-c", path)
    assert done.returncode == 0, done.stderr
    assert ("port 465 usually needs relay.implicit_tls: true" in done.stdout + done.stderr) == told
