# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS towards servers: what each policy makes of refused, stripped, broken and tampered STARTTLS (C2, C3, C5, C6, C9).
Certificates by themselves: test_tls_matrix.py; sessions and names: test_tls_sessions.py; mail under TLS:
test_tls_mail.py."""
import ssl

import pytest

from harness.message import message
from harness.client import submit
from harness.message import without_received
from harness.sink import Close, Reset, Silence
from harness.tls_peer import (CutHandshake, Drip, Garbage, TlsSession, peer_ca, policy_world, send, tls_world)
from harness.wait import wait_until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
QUICK = {"delivery": {"ehlo_timeout": "1s"}}
ONE_EACH = {"delivery": {"messages_per_connection": 1}}


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return peer_ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def tls(make, ca):
    """tls("encrypt", …): an engine, its smarthost mail.peer.test with a good certificate."""
    return lambda policy, context=None, conf=None, **more: policy_world(make, ca, policy, context, conf, **more)


def in_clear(sink):
    """Mail commands that came without TLS."""
    return [c for s in sink.sessions if not s.tls for c in s.commands if c.verb in ("MAIL", "AUTH", "DATA", "BDAT")]


def delivered_in_clear(engine, subject, connections=2):
    engine.sink.with_subject(subject)
    assert engine.event("delivered")["to"] == "bob@example.test"
    assert len(engine.sink.messages) == 1 and engine.sink.messages[0].session.tls is None
    assert engine.sink.connections == connections
    if connections > 1:    # RFC 3207: what STARTTLS has touched is used for nothing else
        assert not [c for s in engine.sink.sessions[:-1] for c in s.commands if c.verb in ("MAIL", "DATA", "RCPT")]


def deferred(engine, status, code=None, stage="starttls"):
    event = engine.event("deferred")
    assert (event["status"], event["stage"]) == (status, stage), event
    assert code is None or event["code"] == code, event
    assert in_clear(engine.sink) == [] and engine.sink.attempts == []
    assert engine.events("bounced") == []
    return event


# ---- the good case ----

@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
@pytest.mark.parametrize("policy", ["may", "encrypt", "verify"])
def test_a_message_under_tls(tls, ca, policy, version):
    e = tls(policy, ca.server(ca.good, minimum=version, maximum=version))
    content = message("transparent", b".\r\n..two\r\nlast line\r\n")
    submit(e.port, content)
    m = e.sink.with_subject("transparent")[0]
    assert without_received(m.data) == content
    facts = m.session.tls
    event = e.event("outbound_tls")
    assert (event["tls"], event["certificate"]) == (facts.version, "trusted")
    assert "GCM" in facts.cipher or "CHACHA" in facts.cipher
    assert "ECDHE" in facts.cipher or facts.version == "TLSv1.3"
    # EHLO again: what was said before counts for nothing.
    assert [c.verb for c in m.session.commands][:3] == ["EHLO", "STARTTLS", "EHLO"]
    assert not e.events("outbound_trouble")


def test_it_is_logged_without_debug(tls):
    """Untrusted is told at the level that people use."""
    e = tls("may", conf={"log": {"level": "info"}, "tls": {}}, hosts=("stranger.peer.test",))
    e.sink.with_subject(send(e))
    assert e.event("outbound_tls")["certificate"] == "wrong_name"


@pytest.mark.parametrize("host, context, verdict", [("mail.peer.test", "good", "trusted"), ("mail.peer.test", "bad", "self_signed"),
                                                    ("stranger.peer.test", "good", "wrong_name")])
def test_delivered_tells_of_tls(tls, ca, host, context, verdict):
    e = tls("may", ca.server(getattr(ca, context)), hosts=(host,))
    facts = e.sink.with_subject(send(e))[0].session.tls
    event = e.event("delivered")
    assert (event["tls"], event["certificate"]) == (facts.version, verdict), event
    assert event["cipher"] == e.event("outbound_tls")["cipher"]


def test_delivered_tells_of_plaintext(tls):
    e = tls("may", starttls=False)
    e.sink.with_subject(send(e))
    event = e.event("delivered")
    assert event["tls"] == "none" and "cipher" not in event and "certificate" not in event, event


class Patient(TlsSession):
    """Lets the client close first."""

    async def do_quit(self, arg):
        await self.stage("quit", arg, "221 2.0.0 bye")
        await self.fill()


def test_the_system_s_authorities_unless_others_are_named(make, ca):
    """No tls.ca_file: Debian's. Ours is none of them."""
    e = tls_world(make, ca.server(ca.good), {"relay": {"tls": "verify"}})
    send(e)
    assert "no trusted authority" in deferred(e, "4.7.5", 451)["reply"]


def test_goodbye_is_said(tls):
    """QUIT, 221, close_notify: nothing looks cut at the server."""
    e = tls("encrypt", conf=ONE_EACH)
    e.sink.session_type = Patient
    session = e.sink.with_subject(send(e))[0].session
    wait_until(lambda: not session.open, 5, "the end of the session")
    assert session.goodbye and session.error is None, session.error


def test_what_tls_offers_is_used_not_what_was_offered_before(tls):
    """SIZE before TLS, no SIZE after it, and the reverse (C3)."""
    e = tls("encrypt")
    offers = [b"250-sink\r\n250-STARTTLS\r\n250-SIZE 10\r\n250-CHUNKING\r\n250 PIPELINING\r\n", b"250-sink\r\n250 DSN\r\n"]
    e.sink.script["ehlo"] = offers
    m = e.sink.with_subject(send(e))[0]
    assert m.chunks == [] and b"SIZE" not in m.params
    assert not [c for c in m.session.commands if c.early]


# ---- STARTTLS refused, stripped ----

REFUSALS = ["454 4.7.0 not now", "502 5.5.1 what?", "500 5.5.2 what?", "554 5.7.3 no", "421 4.3.2 later", "250 2.0.0 fine",
            "334 what?"]


@pytest.mark.parametrize("policy", ["may", "encrypt", "verify"])
@pytest.mark.parametrize("reply", REFUSALS)
def test_refused_starttls(tls, policy, reply):
    """C9."""
    e = tls(policy)
    e.sink.script["starttls"] = lambda s, a: reply
    subject = send(e)
    if policy == "may":
        delivered_in_clear(e, subject)
        return
    odd = reply[0] in "23"
    event = deferred(e, "4.5.0" if odd else "4" + reply[5:9].strip() if reply[0] == "5" else reply[4:9], None)
    assert odd or (event["code"] == int(reply[:3]) and reply[10:] in event["reply"]), event


@pytest.mark.parametrize("policy", ["may", "encrypt", "verify"])
def test_stripped_starttls(tls, policy):
    """C9."""
    e = tls(policy, starttls=False)
    subject = send(e)
    if policy == "may":
        delivered_in_clear(e, subject, connections=1)
    else:
        deferred(e, "4.7.4", 451)


@pytest.mark.parametrize("policy", ["may", "encrypt"])
def test_a_server_that_knows_no_ehlo(tls, policy):
    """C9."""
    e = tls(policy)
    e.sink.script["ehlo"] = lambda s, a: "502 5.5.2 what?"
    subject = send(e)
    if policy == "may":
        delivered_in_clear(e, subject, connections=1)
    else:
        deferred(e, "4.7.4", 451)


def test_none_never_begins_tls(tls):
    e = tls("none")
    delivered_in_clear(e, send(e), connections=1)
    assert e.sink.commands("STARTTLS") == []


def test_the_offer_may_come_back(tls):
    """A host that has failed once is asked for TLS again at the next connection."""
    e = tls("may", conf=ONE_EACH)
    e.sink.script["starttls"] = ["454 4.7.0 not now"]
    delivered_in_clear(e, send(e))
    assert e.sink.with_subject(send(e))[0].session.tls


# ---- broken handshakes ----

SERVER_HELLO_10 = bytes.fromhex("160301002a020000260301") + bytes(range(32)) + bytes.fromhex("00002f00")
BREAKS = {
    "text": lambda: Garbage(b"500 5.5.2 what is this\r\n"),
    "noise": lambda: Garbage(bytes((i * 7 + 3) % 256 for i in range(3000))),
    "alert": lambda: Garbage(bytes.fromhex("15030100020228")),
    "warning, then nothing": lambda: Garbage(bytes.fromhex("1503010002015a"), stay=False),
    "hello of tls 1.0": lambda: Garbage(SERVER_HELLO_10),
    "half a record": lambda: Garbage(bytes.fromhex("160303400002"), stay=False),
    "huge record": lambda: Garbage(bytes.fromhex("160303ffff") + bytes(70000)),
    "flood": lambda: Garbage(bytes.fromhex("140303000101") * 40000),
    "data": lambda: Garbage(bytes.fromhex("1703030010") + bytes(16)),
    "closed": Close,
    "reset": Reset,
    "cut": CutHandshake,
    "silence": Silence,
    "drip": Drip,
}


@pytest.mark.parametrize("policy", ["may", "encrypt"])
@pytest.mark.parametrize("name", BREAKS)
def test_broken_handshake(tls, name, policy):
    e = tls(policy, conf=QUICK)
    e.sink.script["handshake"] = lambda s, a: BREAKS[name]()
    subject = send(e)
    if policy == "may":
        delivered_in_clear(e, subject)
        trouble = e.events("outbound_trouble")
        assert len(trouble) == 1 and trouble[0]["stage"] == "starttls" and trouble[0]["reply"], trouble
    else:
        # A reset may overtake the 220 before it.
        deferred(e, e.event("deferred")["status"] if name == "reset" else "4.7.5", 451)
    assert e.events("outbound_tls") == []


@pytest.mark.parametrize("policy", ["may", "encrypt"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"])
def test_nothing_below_1_2(tls, ca, policy, version):
    """C5."""
    e = tls(policy, ca.server(ca.good, minimum=version, maximum=version))
    subject = send(e)
    if policy == "may":
        delivered_in_clear(e, subject)
    else:
        deferred(e, "4.7.5", 451)
    assert all(not s.tls for s in e.sink.sessions) and e.sink.failed


@pytest.mark.parametrize("ciphers", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "AES256-SHA256", "aNULL"])
def test_no_weak_cipher(tls, ca, ciphers):
    """C5: Key exchange without forward secrecy, CBC, no authentication."""
    leaf = ca.leaf(key=("rsa", 0)) if ciphers.startswith("AES") else ca.good
    e = tls("encrypt", ca.server(leaf, maximum=V12, ciphers=ciphers + ":@SECLEVEL=0"))
    send(e)
    deferred(e, "4.7.5", 451)


def test_the_server_is_told_why(tls, ca):
    """An alert, not a cut connection."""
    e = tls("verify", ca.server(ca.bad, maximum=V12))
    send(e)
    deferred(e, "4.7.5", 451)
    wait_until(lambda: e.sink.failed and all(e.sink.failed), 5, "the end of the handshakes")
    assert all("ALERT" in reason for reason in e.sink.failed), e.sink.failed


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
@pytest.mark.parametrize("policy", ["may", "encrypt", "verify"])
def test_a_server_that_insists_on_our_certificate(tls, ca, policy, version):
    """In TLS 1.3 its alert comes when our handshake is over: it is a failed handshake all the same."""
    e = tls(policy, ca.server(ca.good, minimum=version, maximum=version, client_ca=ca.root))
    subject = send(e)
    if policy == "may":
        delivered_in_clear(e, subject)
    else:
        event = deferred(e, "4.7.5", 451)
        # In 1.2 the alert is one for everything.
        assert version == V12 or "certificate_required" in event["reply"] and "tls.client_cert_file" in event["reply"], event
    trouble = e.events("outbound_trouble")
    assert trouble and all(t["stage"] == "starttls" for t in trouble), trouble
    assert e.stats()["tls_out_failed"] == len(trouble)


def test_lost_behind_the_handshake_is_no_reason_for_plaintext(tls):
    """The connection ends with no word about TLS: a cut line is not a judgement."""
    e = tls("may")
    e.sink.script["ehlo"] = lambda s, a: Close() if s.tls else None
    send(e)
    event = e.event("deferred")
    assert event["stage"] == "ehlo" and in_clear(e.sink) == [] and e.sink.attempts == []


def test_a_stalled_handshake_holds_nobody_else(tls):
    """One host stalls in the handshake; mail for another goes on."""
    e = tls("may", conf={"delivery": {"connections_per_site": 1, "ehlo_timeout": "2s"}})
    e.sink.script["handshake"] = [Silence()]
    first = send(e)
    wait_until(lambda: e.sink.commands("STARTTLS"), 5, "STARTTLS")
    assert e.counters()["queued"] == 1
    e.sink.with_subject(first)


# ---- injection ----

@pytest.mark.parametrize("policy", ["may", "encrypt", "verify"])
@pytest.mark.parametrize("extra", [b"250-sink\r\n250-AUTH PLAIN\r\n250 CHUNKING\r\n", b"2", b"\r\n", b"\0"])
def test_bytes_behind_the_220_end_it(tls, policy, extra):
    """C2: whoever adds replies before the handshake is not talked to, with or without TLS."""
    e = tls(policy)
    e.sink.script["starttls"] = lambda s, a: b"220 2.0.0 go\r\n" + extra
    send(e)
    event = deferred(e, "4.7.0", 451)
    assert "before the TLS handshake" in event["reply"]
    assert all(c.verb in ("EHLO", "STARTTLS") for c in e.sink.commands())


def test_bytes_in_a_segment_of_their_own_end_it(tls):
    """C2."""
    e = tls("encrypt")
    e.sink.script["handshake"] = lambda s, a: Garbage(b"250-sink\r\n250 AUTH PLAIN\r\n")
    send(e)
    deferred(e, "4.7.5", 451)


def test_a_reply_ahead_of_starttls(tls):
    """C2: the 220 came with the answer to EHLO, before STARTTLS was said."""
    e = tls("encrypt")
    e.sink.script["ehlo"] = lambda s, a: b"250-sink\r\n250 STARTTLS\r\n220 go\r\n"
    send(e)
    event = e.event("deferred")
    assert event["code"] == 451 and in_clear(e.sink) == [] and e.sink.secured == []
