# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins at smarthosts: which mechanism, when none, and what a refused one means for mail. (For whom:
test_auth_hosts.py.)"""
import pytest

from harness.logins_out import SECRET, USER, auth, ca, not_sent
from harness.sink import Close, Reset, Silence
from harness.tls_peer import no_secrets, send, tls_world
from harness.wait import stays_false

# ---- the choice ----

CHOICE = [
    # what is offered, under TLS (with auth_without_tls or not), in clear, in clear with auth_without_tls
    (["PLAIN", "LOGIN", "CRAM-MD5"], "PLAIN", "CRAM-MD5", "CRAM-MD5"),
    (["CRAM-MD5", "LOGIN", "PLAIN"], "PLAIN", "CRAM-MD5", "CRAM-MD5"),
    (["LOGIN", "CRAM-MD5"], "LOGIN", "CRAM-MD5", "CRAM-MD5"),
    (["PLAIN", "LOGIN"], "PLAIN", None, "PLAIN"),
    (["LOGIN"], "LOGIN", None, "LOGIN"),
    (["CRAM-MD5"], "CRAM-MD5", "CRAM-MD5", "CRAM-MD5"),
    (["login", "Plain"], "PLAIN", None, "PLAIN"),
    (["GSSAPI", "NTLM", "SCRAM-SHA-256", "PLAIN-CLIENTTOKEN"], None, None, None),
    (["XOAUTH2"], None, None, None),    # without a token
]


@pytest.mark.parametrize("line", ["TLS", "clear", "clear, allowed"])
@pytest.mark.parametrize("offer, under_tls, clear, allowed", CHOICE, ids=[" ".join(row[0]) for row in CHOICE])
def test_the_mechanism(auth, offer, under_tls, clear, allowed, line):
    expected = {"TLS": under_tls, "clear": clear, "clear, allowed": allowed}[line]
    e = auth(offer, tls="encrypt" if line == "TLS" else "none", relay={"auth_without_tls": line == "clear, allowed"})
    subject = send(e)
    if expected is None:
        event = not_sent(e, 451, "4.7.0")
        assert "no AUTH mechanism" in event["reply"] and e.sink.commands("AUTH") == []
        return
    m = e.sink.with_subject(subject)[0]
    assert m.session.user == USER
    assert [(x.mechanism, x.encrypted) for x in e.sink.logins] == [(expected, line == "TLS")]
    assert e.sink.logins[0].initial == (expected == "PLAIN")
    no_secrets(e, SECRET)


def test_a_host_that_offers_no_login_gets_no_mail(auth):
    """It may be another host than the one that is meant."""
    e = auth([])
    send(e)
    assert "does not offer AUTH" in not_sent(e, 451, "4.7.0")["reply"]


def test_the_offer_before_tls_counts_for_nothing(auth):
    """C3: PLAIN stands in the clear EHLO, CRAM-MD5 in the one under TLS."""
    e = auth(["CRAM-MD5"], auth_in_clear=["PLAIN"])
    e.sink.with_subject(send(e))
    assert [x.mechanism for x in e.sink.logins] == ["CRAM-MD5"]


def test_the_old_way_to_offer(auth):
    """AUTH=LOGIN, as servers before RFC 2554 said it."""
    e = auth()
    e.sink.script["ehlo"] = lambda s, a: b"250-sink\r\n250-STARTTLS\r\n250 AUTH=LOGIN PLAIN\r\n"
    e.sink.with_subject(send(e))
    assert [x.mechanism for x in e.sink.logins] == ["PLAIN"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("user, secret", [
    ("alice@example.test", "with space"), ("a", "pässwörd ☃"), ("u" * 255, "p" * 4096), ("=", "="), ("a", "\\n%s$(x)"),
], ids=["space", "utf8", "long", "equals", "shell"])
def test_any_password(auth, mechanism, user, secret):
    """Also those whose AUTH PLAIN line would be longer than 512 bytes: it then has no initial response."""
    e = auth([mechanism], relay={"username": user, "password": secret}, users={user: secret})
    e.sink.with_subject(send(e))
    login = e.sink.logins[0]
    assert login.user == user and (mechanism == "CRAM-MD5" or login.secret == secret)
    assert all(len(c.line) <= 510 for c in e.sink.commands("AUTH"))
    no_secrets(e, SECRET, secret) if len(secret) > 2 else None


def test_one_login_for_many_messages(auth):
    e = auth(conf={"delivery": {"connections_per_site": 1}})
    for _ in range(5):
        e.sink.with_subject(send(e))
    assert len(e.sink.logins) == 1


# ---- not in clear ----

@pytest.mark.parametrize("reply", ["454 4.7.0 not now", "502 5.5.1 what?"])
def test_no_plaintext_login_when_starttls_is_refused(auth, reply):
    """may falls back to plaintext; the password does not, and neither does mail without it."""
    e = auth(["PLAIN", "LOGIN"], tls="may", auth_in_clear=["PLAIN", "LOGIN"])
    e.sink.script["starttls"] = lambda s, a: reply
    send(e)
    not_sent(e, 451, "4.7.0")
    assert e.sink.commands("AUTH") == [] and e.sink.logins == []


def test_no_plaintext_login_when_starttls_is_stripped(auth):
    e = auth(["PLAIN", "LOGIN"], tls="may", auth_in_clear=["PLAIN", "LOGIN"], starttls=False)
    send(e)
    not_sent(e, 451, "4.7.0")
    assert e.sink.logins == []


def test_allowed_when_starttls_is_refused(auth):
    """C7, trap 9: the key says so."""
    e = auth(["PLAIN"], tls="may", auth_in_clear=["PLAIN"], relay={"auth_without_tls": True})
    e.sink.script["starttls"] = lambda s, a: "454 4.7.0 not now"
    m = e.sink.with_subject(send(e))[0]
    assert m.session.tls is None and [x.encrypted for x in e.sink.logins] == [False]


@pytest.mark.parametrize("policy", ["may", "encrypt"])
def test_tls_first_where_there_is_tls(auth, policy):
    e = auth(["PLAIN"], tls=policy, auth_in_clear=["PLAIN"], relay={"auth_without_tls": True})
    e.sink.with_subject(send(e))
    assert e.sink.secrets_in_clear == []


def test_verify_keeps_the_password_from_strangers(auth, ca):
    e = auth(["PLAIN"], tls="verify")
    e.sink.default = ca.server(ca.leaf(issuer=None))
    send(e)
    assert e.event("deferred")["status"] == "4.7.5"
    assert e.sink.logins == [] and e.sink.attempts == []


# ---- refused ----

@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_a_wrong_password_defers(auth, mechanism):
    """Ours is wrong, not the recipient: the message waits until somebody has put it right."""
    e = auth([mechanism], users={USER: "another"})
    send(e)
    event = not_sent(e, 535)
    assert "no such user or password" in event["reply"]
    assert event["remote"] is True if "remote" in event else True
    assert e.counters()["queued"] == 1
    # One try, and one more in case it was a hiccup: a lock-out is not provoked.
    assert len(e.sink.logins) <= 2
    assert stays_false(lambda: len(e.sink.logins) > 2, 1)


def test_put_right_by_a_reload(auth):
    e = auth(users={USER: "new one"}, conf={"queue": {"schedule": ["1s"]}})
    subject = send(e)
    not_sent(e, 535)
    e.write({"relay": {"password": "new one"}})
    e.hup()
    e.event("reloaded")
    e.sink.with_subject(subject)
    assert e.wait_empty()["delivered"] == 1
    no_secrets(e, SECRET, "new one")


@pytest.mark.parametrize("reply", ["454 4.7.0 try later", "421 4.3.2 bye", "530 5.7.0 no", "535 5.7.8 no", "500 5.5.2 what?",
                                   "550 5.7.1 blocked", "432 4.7.12 change your password"])
def test_refusals_never_bounce(auth, reply):
    e = auth()
    e.sink.script["auth"] = lambda s, a: reply
    send(e)
    event = not_sent(e, int(reply[:3]))
    assert event["status"].startswith("4.") and reply.split(" ", 2)[2] in event["reply"], event


# ---- wanted, and not given ----

def ours(engine, code, stage, hint, status="4.7.0"):
    """Deferred by something that is wrong with our configuration; nothing bounces."""
    event = engine.event("deferred")
    assert (event["code"], event["stage"], event["status"]) == (code, stage, status), event
    assert hint in event["hint"], event
    assert engine.events("bounced") == [] and engine.counters()["queued"] >= 1
    return event


WANTED = ["530 5.7.0 who are you?", "530 5.7.57 Client not authenticated to send mail", "534 5.7.9 too weak",
          "535 5.7.8 log in", "538 5.7.11 encrypt first"]


@pytest.mark.parametrize("reply", WANTED)
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
@pytest.mark.parametrize("features", [(), ("PIPELINING",)], ids=["stepwise", "pipelined"])
def test_a_smarthost_that_wants_a_login_defers(make, ca, reply, stage, features):
    e = tls_world(make, ca.server(ca.good), {"relay": {"tls": "encrypt"}}, trusted=ca.bundle(), features=features)
    e.sink.script[stage] = lambda s, a: reply
    send(e)
    event = ours(e, int(reply[:3]), stage, "set relay.username and relay.password", "4" + reply.split()[1][1:])
    assert event["reply"] == reply.split(" ", 2)[2]


def test_it_is_delivered_when_the_login_is_there(make, ca):
    e = tls_world(make, ca.server(ca.good), {"relay": {"tls": "encrypt"}, "queue": {"schedule": ["1s"]}}, trusted=ca.bundle(),
                  auth=["PLAIN"], users={USER: SECRET})
    subject = send(e)
    ours(e, 530, "mail", "set relay.username and relay.password")
    e.write({"relay": {"username": USER, "password": SECRET}})
    e.hup()
    e.event("reloaded")
    assert e.sink.with_subject(subject)[0].session.user == USER
    assert e.wait_empty()["delivered"] == 1


def test_a_login_that_is_not_for_this_host(make, ca):
    """relay.auth_hosts keeps the password from it: the hint names that key."""
    e = tls_world(make, ca.server(ca.good), {"relay": {"tls": "encrypt", "username": USER, "password": SECRET,
                                                       "auth_hosts": ["other.peer.test"]}},
                  trusted=ca.bundle(), auth=["PLAIN"], users={USER: SECRET})
    send(e)
    ours(e, 530, "mail", "relay.auth_hosts")
    assert e.sink.logins == []


def test_one_recipient_that_needs_a_login(make, ca):
    """Some hosts take mail for their own domains from anybody: those get theirs."""
    e = tls_world(make, ca.server(ca.good), {"relay": {"tls": "encrypt"}}, trusted=ca.bundle())
    e.sink.script["rcpt"] = lambda s, a: "530 5.7.1 log in to relay" if b"far.test" in a else None
    subject = send(e, to=("bob@far.test", "eve@near.test"))
    assert e.sink.with_subject(subject)[0].rcpts == ["eve@near.test"]
    assert ours(e, 530, "rcpt", "set relay.username", "4.7.1")["to"] == "bob@far.test"
    assert e.event("delivered")["to"] == "eve@near.test"


@pytest.mark.parametrize("mx", [False, True], ids=["smarthost", "mx"])
def test_a_host_that_wants_tls_defers(make, ca, mx):
    """relay.tls or delivery.tls: none, and the host takes nothing without."""
    world = {"mx": {"example.test": "mx.example.test"}} if mx else {}
    e = tls_world(make, ca.server(ca.good), {"relay": {"tls": "none"}, "delivery": {"tls": "none"}}, **world)
    e.sink.script["mail"] = lambda s, a: "530 5.7.0 Must issue a STARTTLS command first"
    send(e)
    ours(e, 530, "mail", "set delivery.tls" if mx else "set relay.tls")


def test_an_mx_that_wants_a_login_bounces(make, ca):
    """Nobody has a login there: that will not change."""
    e = tls_world(make, ca.server(ca.good), {"delivery": {"tls": "may"}}, mx={"example.test": "mx.example.test"})
    e.sink.script["mail"] = lambda s, a: "530 5.7.0 who are you?"
    send(e)
    assert e.event("bounced")["code"] == 530


def test_a_refused_login_says_what_to_check(auth):
    e = auth(users={USER: "another"})
    send(e)
    assert "relay.password" in not_sent(e, 535)["hint"]
    assert "relay.password" in e.event("outbound_trouble")["hint"]


@pytest.mark.parametrize("code", ["504 5.5.4", "534 5.7.9", "538 5.7.11"])
def test_the_next_mechanism(auth, code):
    """Offered, and then not taken: another one may do."""
    e = auth(["PLAIN", "LOGIN", "CRAM-MD5"])
    e.sink.script["auth"] = lambda s, a: f"{code} not this one" if b"PLAIN" in a else None
    e.sink.with_subject(send(e))
    assert [x.mechanism for x in e.sink.logins] == ["LOGIN"]
    assert len(e.sink.sessions) == 1


def test_each_mechanism_once(auth):
    e = auth(["PLAIN", "LOGIN", "CRAM-MD5"], conf={"queue": {"schedule": ["1h"]}})
    e.sink.script["auth"] = lambda s, a: "504 5.5.4 not this one"
    send(e)
    not_sent(e, 504)
    said = [c.line.split()[1] for c in e.sink.sessions[0].commands if c.verb == "AUTH"]
    assert said == [b"PLAIN", b"LOGIN", b"CRAM-MD5"]


def test_a_535_is_not_tried_with_the_next_mechanism(auth):
    """Three wrong guesses at once look like an attack."""
    e = auth(["PLAIN", "LOGIN", "CRAM-MD5"], users={})
    e.sink.users = {USER: "another"}
    send(e)
    not_sent(e, 535)
    assert all([c.verb for c in s.commands].count("AUTH") == 1 for s in e.sink.sessions)


HOSTILE = {
    "354": "354 go", "garbage": b"\x00\xff\r\n", "closed": Close(), "reset": Reset(),
    "silence": Silence(), "two answers": b"334 \r\n334 \r\n", "endless challenges": b"334 QUJD\r\n" * 50,
    "huge challenge": b"334 " + b"QUJD" * 30000 + b"\r\n", "multi-line challenge": b"334-QUJD\r\n334 QUJD\r\n",
    "not base64": b"334 ???\r\n", "empty challenge": b"334 \r\n",
}


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answers(auth, name, mechanism):
    """No answer makes the engine end, bounce, or tell more than the mechanism says."""
    e = auth([mechanism], users={USER: "another"})
    e.sink.script["auth"] = lambda s, a: HOSTILE[name]
    send(e)
    event = e.event("deferred")
    assert event["code"] in (451, 454, 500, 535) or event["stage"] == "auth", event
    assert e.sink.attempts == [] and e.events("bounced") == [] and e.running
    no_secrets(e, SECRET)
