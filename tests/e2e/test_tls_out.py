# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS towards servers: what each policy makes of refused, stripped, broken and tampered STARTTLS (C2, C5, C6, C9),
sessions to resume, SNI, client certificates, and mail that is lost, doubled or unknown under TLS (P1, P4).
Certificates by themselves: test_tls_matrix.py."""
import asyncio
import ssl

import pytest

from harness import pki
from harness.certs import Ca
from harness.client import Client, submit
from harness.message import message, sized, tag, without_received
from harness.sink import ALL, Close, Delay, Reset, Silence
from harness.tls_peer import CutHandshake, Drip, Garbage, Goodbye, Renegotiate, TlsSession, send, tls_world
from harness.wait import run_all, stays_false, wait_until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
QUICK = {"delivery": {"ehlo_timeout": "1s"}}
ONE_EACH = {"delivery": {"messages_per_connection": 1}}


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    made = Ca(tmp_path_factory.mktemp("ca"))
    made.good = made.leaf(names=["mail.peer.test", "other.peer.test"])
    made.bad = made.leaf(issuer=None)
    return made


@pytest.fixture
def tls(make, ca):
    """tls("encrypt", …): an engine, its smarthost mail.peer.test with a good certificate."""
    def build(policy, context=None, conf=None, **more):
        conf = {**(conf or {}), "relay": {"tls": policy, **(conf or {}).get("relay", {})}}
        return tls_world(make, context or ca.server(ca.good), conf, trusted=ca.bundle(), **more)
    return build


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


class Patient(TlsSession):
    """Lets the client close first."""

    async def do_quit(self, arg):
        await self.stage("quit", arg, "221 2.0.0 bye")
        await self.fill()


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
    e = tls(policy, starttls=False)
    subject = send(e)
    if policy == "may":
        delivered_in_clear(e, subject, connections=1)
    else:
        deferred(e, "4.7.4", 451)


@pytest.mark.parametrize("policy", ["may", "encrypt"])
def test_a_server_that_knows_no_ehlo(tls, policy):
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
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"])
def test_nothing_below_1_2(tls, ca, policy, version):
    e = tls(policy, ca.server(ca.good, minimum=version, maximum=version))
    subject = send(e)
    if policy == "may":
        delivered_in_clear(e, subject)
    else:
        deferred(e, "4.7.5", 451)
    assert all(not s.tls for s in e.sink.sessions) and e.sink.failed


@pytest.mark.parametrize("ciphers", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "AES256-SHA256", "aNULL"])
def test_no_weak_cipher(tls, ca, ciphers):
    """Key exchange without forward secrecy, CBC, no authentication."""
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
    e = tls("encrypt")
    e.sink.script["handshake"] = lambda s, a: Garbage(b"250-sink\r\n250 AUTH PLAIN\r\n")
    send(e)
    deferred(e, "4.7.5", 451)


def test_a_reply_ahead_of_starttls(tls):
    """The 220 came with the answer to EHLO, before STARTTLS was said."""
    e = tls("encrypt")
    e.sink.script["ehlo"] = lambda s, a: b"250-sink\r\n250 STARTTLS\r\n220 go\r\n"
    send(e)
    event = e.event("deferred")
    assert event["code"] == 451 and in_clear(e.sink) == [] and e.sink.secured == []


# ---- under TLS ----

@pytest.mark.parametrize("stage", ["mail", "rcpt", "dot"])
def test_no_renegotiation(tls, ca, stage):
    e = tls("encrypt", ca.server(ca.good, maximum=V12), conf={"queue": {"schedule": ["1s"]}}, features=["PIPELINING"])
    e.sink.script[stage] = [Renegotiate()]
    subject = send(e)
    e.sink.with_subject(subject)
    assert e.wait_empty()["delivered"] == 1
    assert e.sink.connections == 2
    assert e.sink.sessions[0].machine.version() == "TLSv1.2"


@pytest.mark.parametrize("how", [Close, Reset, Goodbye])
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "body"])
def test_the_peer_ends_in_the_middle(tls, stage, how):
    """Cut, reset or closed in order: tried again, delivered once, and the attempt was no unknown one."""
    e = tls("encrypt", conf={"queue": {"schedule": ["1s"]}}, features=["PIPELINING", "8BITMIME"])
    e.sink.script[stage] = [how()]
    submit(e.port, sized(300000))
    e.sink.wait()
    assert e.wait_empty()["delivered"] == 1
    assert len(e.sink.messages) == 1
    assert not [d for d in e.events("deferred") if d.get("outcome_unknown")]


@pytest.mark.parametrize("how", [Close, Reset, Goodbye])
@pytest.mark.parametrize("features", [["PIPELINING"], ALL], ids=["DATA", "BDAT"])
def test_lost_behind_the_final_dot_is_unknown(tls, features, how):
    """P4 under TLS: at most one more copy, and the log says so."""
    e = tls("encrypt", conf={"queue": {"schedule": ["1s"]}}, features=features)
    e.sink.script["dot"] = [how()]
    subject = send(e)
    e.sink.with_subject(subject)
    e.wait_empty()
    events = e.events("deferred")
    assert len(events) == 1 and events[0]["outcome_unknown"] is True, events
    assert len(e.sink.attempts) == 2


def test_the_answer_and_then_the_cut(tls):
    """250, then no close_notify: the answer counts."""
    e = tls("encrypt")
    e.sink.script["dot"] = lambda s, a: Close("250 2.0.0 stored")
    subject = send(e)
    assert e.wait_empty()["delivered"] == 1
    assert [m.subject for m in e.sink.attempts] == [subject]


def test_half_an_answer_and_then_the_cut(tls):
    """A truncation attack must not turn "250-…" or "25" into success."""
    e = tls("encrypt", conf={"queue": {"schedule": ["1s"]}})
    e.sink.script["dot"] = [Half(b"250-2.0.0 stored\r\n"), Half(b"250"), Half(b"250 2.0.0 stored\r")]
    subject = send(e)
    e.sink.with_subject(subject)
    assert e.wait_empty()["delivered"] == 1
    events = e.events("deferred")
    assert len(events) == 3 and all(d["outcome_unknown"] for d in events), events


class Half(Close):
    """These bytes as they are, then the end."""

    def __init__(self, data):
        super().__init__(data)


def test_421_and_close_notify(tls):
    e = tls("encrypt", conf={"queue": {"schedule": ["1s"]}}, features=["PIPELINING"])
    e.sink.script["mail"] = [Goodbye("421 4.3.2 going down")]
    e.sink.with_subject(send(e))
    assert e.wait_empty()["delivered"] == 1


# ---- sessions ----

@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_the_second_connection_is_resumed(tls, ca, version):
    e = tls("verify", ca.server(ca.good, minimum=version, maximum=version, tickets=version == V13), conf=ONE_EACH)
    for i in range(3):
        e.sink.with_subject(send(e))
        e.event("outbound_close", count=i + 1)
    assert [s.tls.resumed for s in e.sink.sessions] == [False, True, True]
    assert [x["certificate"] for x in e.events("outbound_tls")] == ["trusted"] * 3


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_not_across_hosts(make, ca, version):
    """Two names of one server, which would resume either: each host has a session of its own."""
    context = ca.server(ca.good, minimum=version, maximum=version, tickets=version == V13)
    e = tls_world(make, context, {"delivery": {"tls": "verify", "messages_per_connection": 1}}, trusted=ca.bundle(),
                  mx={"one.test": "mail.peer.test", "two.test": "other.peer.test"})
    for i, domain in enumerate(("one", "two", "one", "two")):
        e.sink.with_subject(send(e, to=[f"bob@{domain}.test"]))
        e.event("outbound_close", count=i + 1)
    assert [s.tls.sni for s in e.sink.sessions] == ["mail.peer.test", "other.peer.test"] * 2
    assert [s.tls.resumed for s in e.sink.sessions] == [False, False, True, True]


def test_the_server_has_forgotten(tls, ca):
    """New ticket keys: a full handshake, and the certificate of now counts."""
    e = tls("verify", conf=ONE_EACH)
    e.sink.with_subject(send(e))
    e.event("outbound_close")
    e.sink.default = ca.server(ca.bad)
    send(e)
    assert "signed by itself" in e.event("deferred")["reply"]
    e.sink.default = ca.server(ca.good)
    assert not e.sink.secured[-1].tls.resumed


class Stubborn(TlsSession):
    """Breaks whoever wants to resume."""

    async def handshake(self):
        while len(self.buffer) < 5 or len(self.buffer) < 5 + int.from_bytes(self.buffer[3:5], "big"):
            await self.fill()
        if 41 in extensions(bytes(self.buffer)):    # pre_shared_key
            self.asked_to_resume = True
            await self.hang_up()
        await super().handshake()

    asked_to_resume = False


def extensions(hello):
    """The extensions' numbers of a ClientHello record."""
    at = 5 + 4 + 2 + 32
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at:at + 2], "big")
    at += 1 + hello[at]
    at, found = at + 2, []
    while at < len(hello):
        found.append(int.from_bytes(hello[at:at + 2], "big"))
        at += 4 + int.from_bytes(hello[at + 2:at + 4], "big")
    return found


def test_a_session_that_breaks_the_handshake_is_forgotten(tls):
    e = tls("encrypt", conf=ONE_EACH)
    e.sink.session_type = Stubborn
    for _ in range(2):
        e.sink.with_subject(send(e))
        wait_until(lambda: not e.sink.open_sessions, 5, "the end of the session")
    assert [s.asked_to_resume for s in e.sink.sessions] == [False, True, False]


def test_a_session_of_a_laxer_policy_is_not_used(tls, ca):
    """may takes any certificate; when verify is configured, nothing of that is left."""
    e = tls("may", ca.server(ca.bad), conf=ONE_EACH)
    e.sink.with_subject(send(e))
    e.event("outbound_close")
    e.write({"relay": {"tls": "verify"}})
    e.hup()
    e.event("reloaded")
    e.stats()    # every worker has it
    send(e)
    assert "signed by itself" in e.event("deferred")["reply"]
    assert len(e.sink.messages) == 1


@pytest.mark.parametrize("before, after", [("none", "encrypt"), ("may", "none"), ("encrypt", "verify")])
def test_a_kept_connection_is_not_used_under_another_policy(tls, before, after):
    """A connection opened before a reload ends with what it has begun."""
    e = tls(before, conf={"delivery": {"idle_timeout": "1m"}})
    e.sink.with_subject(send(e))
    e.write({"relay": {"tls": after}})
    e.hup()
    e.event("reloaded")
    e.stats()    # every worker has it
    m = e.sink.with_subject(send(e))[0]
    assert m.session is e.sink.sessions[1] and bool(m.session.tls) == (after != "none")


# ---- names ----

def test_sni_is_the_host(tls):
    e = tls("encrypt", hosts=("Mail.Peer.TEST",))
    assert e.sink.with_subject(send(e))[0].session.tls.sni == "mail.peer.test"


@pytest.mark.parametrize("policy", ["encrypt", "verify"])
def test_no_sni_for_an_address(make, ca, policy):
    context = ca.server(ca.leaf(names=[], addresses=["127.0.0.1"]))
    e = tls_world(make, context, {"relay": {"tls": policy}}, trusted=ca.bundle(), hosts=("[127.0.0.1]",))
    session = e.sink.with_subject(send(e))[0].session
    assert session.tls.sni is None
    assert e.event("outbound_tls")["certificate"] == "trusted"


def test_no_sni_for_an_ipv6_address(make, ca):
    context = ca.server(ca.leaf(names=[], addresses=["::1"]))
    e = tls_world(make, context, {}, hosts=("unused.test",), host="::1")
    e.stop()
    e = make.engine({"relay": {"host": f"[::1]:{e.sink.port}", "tls": "verify"}, "tls": {"ca_file": ca.bundle()}})
    subject = tag()
    submit(e.port, message(subject))
    sink = make.others[0]
    assert sink.with_subject(subject)[0].session.tls.sni is None


def test_an_mx_is_named_by_its_own_name(make, ca):
    """Not by the recipient's domain (RFC 7817 is about clients of submission; MX: RFC 8461 4.1, as everybody does)."""
    e = tls_world(make, ca.server(ca.good), {"delivery": {"tls": "verify"}}, trusted=ca.bundle(),
                  mx={"xn--bcher-kva.test": "mail.peer.test"})
    subject = send(e, to=["bob@xn--bcher-kva.test"])
    assert e.sink.with_subject(subject)[0].session.tls.sni == "mail.peer.test"


def test_the_next_host_when_one_is_not_to_be_trusted(make, ca):
    """verify: two smarthosts, the first shows a bad certificate."""
    e = tls_world(make, None, {"relay": {"tls": "verify"}}, trusted=ca.bundle(), hosts=("first.peer.test", "mail.peer.test"),
                  by_name={"first.peer.test": ca.server(ca.bad), "mail.peer.test": ca.server(ca.good)})
    subject = send(e)
    assert e.sink.with_subject(subject)[0].session.tls.sni == "mail.peer.test"
    assert e.event("outbound_trouble")["peer_name"] == "first.peer.test"
    assert not e.events("deferred")


# ---- our certificate ----

@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
@pytest.mark.parametrize("key", [("ec", 7), ("rsa", 1)], ids=["EC", "RSA"])
def test_our_certificate_is_shown_when_asked_for(tls, ca, version, key):
    own = ca.leaf(names=["relay.example.test"], usage="clientAuth", key=key)
    cert, key_file = ca.files(own, name="own")
    e = tls("encrypt", ca.server(ca.good, minimum=version, maximum=version, client_ca=ca.root),
            conf={"tls": {"ca_file": ca.bundle(), "client_cert_file": cert, "client_key_file": key_file}})
    session = e.sink.with_subject(send(e))[0].session
    assert session.tls.certificate == ssl.PEM_cert_to_DER_cert(own.cert)


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_without_one_a_server_that_wants_it_gets_no_mail(tls, ca, version):
    """In TLS 1.3 it refuses after what looks like a finished handshake here: no reason for plaintext."""
    e = tls("encrypt", ca.server(ca.good, minimum=version, maximum=version, client_ca=ca.root))
    send(e)
    event = e.event("deferred")
    assert event["code"] == 451 and in_clear(e.sink) == [] and not e.sink.attempts


def test_a_client_certificate_needs_its_key(make, ca):
    cert, _ = ca.files(ca.leaf(usage="clientAuth", key=("ec", 8)), name="half")
    e = make.engine({"tls": {"client_cert_file": cert, "client_key_file": pki.key_file("ec", 7)}}, start=False).spawn()
    e.expected_exit = e.wait()
    assert e.expected_exit != 0 and "is the key of another certificate" in e.stderr()


# ---- authorities ----

def test_verify_without_authorities_does_not_start(make, tmp_path):
    e = make.engine({"relay": {"host": "[127.0.0.1]:9", "tls": "verify"}, "tls": {"ca_file": str(tmp_path / "none.pem")}},
                    start=False).spawn()
    e.expected_exit = e.wait()
    assert e.expected_exit != 0 and "tls.ca_file" in e.stderr()


def test_may_without_authorities_goes_on(make, ca, tmp_path):
    e = tls_world(make, ca.server(ca.good), {"relay": {"tls": "may"}}, trusted=str(tmp_path / "none.pem"))
    assert e.sink.with_subject(send(e))[0].session.tls
    assert e.event("outbound_tls")["certificate"] != "trusted"


# ---- much mail ----

def test_a_big_message(tls):
    e = tls("encrypt", conf={"limits": {"message_size": "30MiB"}, "spool": {"segment_size": "64MiB"}})
    content = sized(20 * 1000 * 1000)
    submit(e.port, content)
    m = e.sink.wait(timeout=40)[0]
    assert m.session.tls and without_received(m.data) == content


@pytest.mark.parametrize("features", [["PIPELINING"], []], ids=["pipelining", "plain"])
def test_a_big_message_with_dots_by_data(tls, features):
    e = tls("encrypt", features=features)
    content = message(tag(), b".\r\n..\r\nx\r\n" * 60000)
    submit(e.port, content)
    m = e.sink.wait(timeout=20)[0]
    assert not m.chunks and without_received(m.data) == content


@pytest.mark.parametrize("connections", [1, 20])
@pytest.mark.parametrize("features", [["PIPELINING"], ALL], ids=["DATA", "BDAT"])
def test_five_hundred_messages(tls, connections, features):
    """None lost, none twice."""
    e = tls("encrypt", conf={"delivery": {"connections_per_site": connections, "messages_per_connection": 40},
                             "log": {"level": "info"}}, features=features)
    subjects = [tag() for _ in range(500)]

    def client(part):
        with Client(e.port) as c:
            c.ehlo()
            for subject in part:
                assert c.submit(message(subject)).code == 250
            c.quit()
    run_all([lambda k=k: client(subjects[k::5]) for k in range(5)])
    e.sink.wait(500, timeout=30)
    assert e.wait_empty()["delivered"] == 500
    assert sorted(m.subject for m in e.sink.messages) == sorted(subjects)
    assert all(m.session.tls for m in e.sink.messages)
    assert e.sink.peak <= connections + 1
    assert sum(s.tls.resumed for s in e.sink.secured) > 0 or connections > 1


def test_messages_while_connections_break(tls):
    """Every tenth session ends in the middle: each message arrives, only unknown ones twice."""
    count = [0]

    def sometimes(session, _):
        count[0] += 1
        return [Close, Reset, Goodbye][count[0] % 3]() if count[0] % 10 == 0 else None
    e = tls("encrypt", conf={"queue": {"schedule": ["1s"]}, "delivery": {"connections_per_site": 4}})
    e.sink.script["rcpt"] = sometimes
    e.sink.script["dot"] = sometimes
    subjects = [tag() for _ in range(60)]
    with Client(e.port) as c:
        c.ehlo()
        for subject in subjects:
            assert c.submit(message(subject)).code == 250
    assert e.wait_empty(30)["delivered"] == 60
    assert sorted({m.subject for m in e.sink.messages}) == sorted(subjects)
    unknown = [d for d in e.events("deferred") if d.get("outcome_unknown")]
    assert len(e.sink.attempts) == 60 + len(unknown)


# ---- the process ----

def test_no_other_tls_library_is_loaded(tls):
    """C5: only wolfSSL, linked in; libssl and libcrypto are not in the process, also after a session."""
    e = tls("verify")
    e.sink.with_subject(send(e))
    with open(f"/proc/{e.process.pid}/maps", encoding="utf-8") as f:
        maps = f.read()
    assert "libssl" not in maps and "libcrypto" not in maps and "libgnutls" not in maps
