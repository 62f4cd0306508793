# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins at smarthosts: which mechanism, when not, and what a refused one means for mail. Secrets go to the hosts they
are for and nowhere else: not in clear, not to another host, not into a log."""
import base64
import os

import pytest

from harness.certs import Ca
from harness.client import submit
from harness.engine import run
from harness.message import message, tag
from harness.sink import Close, Delay, Reset, Silence
from harness.tls_peer import TlsSink, send, tls_world
from harness.wait import stays_false, wait_until

USER, SECRET = "alice", "c4n4ry:# secret;\"'\\pass"
GOOD = {USER: SECRET}
EVERY = ["PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2"]


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    made = Ca(tmp_path_factory.mktemp("ca"))
    made.good = made.leaf(names=["mail.peer.test", "*.example.org", "other.peer.test"])
    return made


@pytest.fixture
def auth(make, ca):
    """auth(offer, tls=…, relay={…}): an engine that logs in as USER at mail.peer.test."""
    def build(offer=("PLAIN",), tls="encrypt", relay=None, conf=None, users=None, **more):
        offers = {"auth_in_clear" if tls == "none" else "auth": offer}
        merged = {"relay": {"tls": tls, "username": USER, "password": SECRET, **(relay or {})},
                  "delivery": {"ehlo_timeout": "2s"}, **(conf or {})}
        e = tls_world(make, ca.server(ca.good), merged, trusted=ca.bundle(), users=GOOD if users is None else users,
                      **{**offers, **more})
        return e
    return build


def no_secrets(engine, *more):
    """Neither raw nor as it stands on the wire."""
    with engine.lock:
        log = repr(engine.log)
    text = log + engine.stderr()
    for secret in (SECRET, *more):
        plain = base64.b64encode(f"\0{USER}\0{secret}".encode()).decode()
        for form in (secret, repr(secret)[1:-1], base64.b64encode(secret.encode()).decode(), plain):
            assert form not in text


def not_sent(engine, code=None, status=None):
    event = engine.event("deferred")
    assert event["stage"] == "auth" and engine.sink.attempts == [], event
    assert code is None or event["code"] == code, event
    assert status is None or event["status"] == status, event
    assert engine.sink.commands("MAIL") == [] and engine.events("bounced") == []
    no_secrets(engine)
    return event


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
    no_secrets(e)


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
    no_secrets(e, secret) if len(secret) > 2 else None


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
    no_secrets(e, "new one")


@pytest.mark.parametrize("reply", ["454 4.7.0 try later", "421 4.3.2 bye", "530 5.7.0 no", "535 5.7.8 no", "500 5.5.2 what?",
                                   "550 5.7.1 blocked", "432 4.7.12 change your password"])
def test_refusals_never_bounce(auth, reply):
    e = auth()
    e.sink.script["auth"] = lambda s, a: reply
    send(e)
    event = not_sent(e, int(reply[:3]))
    assert event["status"].startswith("4.") and reply.split(" ", 2)[2] in event["reply"], event


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
    no_secrets(e)


# ---- for whom ----

HOSTS = ("a.example.org", "b.example.org", "mail.peer.test", "other.peer.test")


@pytest.mark.parametrize("patterns, host, expected", [
    ([], "mail.peer.test", True),
    (["mail.peer.test"], "mail.peer.test", True),
    (["MAIL.peer.TEST"], "mail.peer.test", True),
    (["*.peer.test"], "mail.peer.test", True),
    (["x.test", "*.example.org"], "a.example.org", True),
    (["peer.test"], "mail.peer.test", False),
    (["*.example.org"], "mail.peer.test", False),
    (["*.mail.peer.test"], "mail.peer.test", False),
    (["mail.peer.tes"], "mail.peer.test", False),
    (["ail.peer.test"], "mail.peer.test", False),
    (["*.eer.test"], "mail.peer.test", False),
])
def test_only_at_these_hosts(auth, patterns, host, expected):
    """001-12. Where the pattern does not fit, mail goes without a login (the relay may know our address)."""
    e = auth(hosts=(host,), relay={"auth_hosts": patterns}, auth_required=False)
    e.sink.with_subject(send(e))
    assert len(e.sink.logins) == expected
    assert len(e.sink.commands("AUTH")) == expected


def test_not_at_the_other_smarthost(make, auth, ca):
    """Two smarthosts, the login is for the first; it is down, the second gets mail and no password."""
    e = auth(hosts=("a.example.org", "other.peer.test"), relay={"auth_hosts": ["*.example.org"]}, auth_required=False)
    e.sink.script["ehlo"] = lambda s, a: Close("421 4.3.2 down") if s.tls and s.tls.sni == "a.example.org" else None
    m = e.sink.with_subject(send(e))[0]
    assert m.session.tls.sni == "other.peer.test"
    assert e.sink.logins == [] and e.sink.commands("AUTH") == []


def test_the_pattern_may_name_the_configured_host_or_its_mx(make, ca):
    """001-12 [R]: relay.lookup mx gives the host another name; either one counts."""
    for pattern in ("relay.example.org", "mail.peer.test"):
        sink = make.add(TlsSink(ca.server(ca.good), auth=["PLAIN"], users=GOOD).start())
        e = tls_world(make, None, {"relay": {"host": f"relay.example.org:{sink.port}", "lookup": "mx", "tls": "verify",
                                             "username": USER, "password": SECRET, "auth_hosts": [pattern]}},
                      trusted=ca.bundle(), starttls=False)
        e.dns.zone.update({"relay.example.org": {"mx": [[10, "mail.peer.test"]]}, "mail.peer.test": {"a": ["127.0.0.1"]}})
        sink.with_subject(send(e))
        assert len(sink.logins) == 1


def test_never_at_an_mx(make, ca):
    """A user is configured, a relay is not."""
    e = tls_world(make, ca.server(ca.good), {"relay": {"username": USER, "password": SECRET, "auth_without_tls": True}},
                  mx={"one.test": "mail.peer.test"}, auth=EVERY, auth_in_clear=EVERY, users=GOOD, auth_required=False)
    e.sink.with_subject(send(e, to=["bob@one.test"]))
    assert e.sink.commands("AUTH") == []


def changed_while_mail_waits(make, ca, e, end, to):
    """A message is at MAIL, three wait for its connection: then the smarthost becomes another one. end: of the first
    connection. Returns the new smarthost."""
    e.sink.script["mail"] = [Delay(1, end)]
    subjects = [send(e, to=to)]
    wait_until(lambda: e.sink.commands("MAIL"), 5, "MAIL")
    subjects += [send(e, to=to) for _ in range(3)]
    other = make.add(TlsSink(ca.server(ca.good), auth=EVERY, users=GOOD).start())
    e.write({"relay": {"host": f"[127.0.0.1]:{other.port}", "tls": "encrypt", "username": USER, "password": SECRET}})
    e.hup()
    e.event("reloaded")
    wait_until(lambda: {m.subject for m in e.sink.messages + other.messages} >= set(subjects), 10, "all mail")
    assert e.wait_empty()["delivered"] == 4 and len(e.sink.messages + other.messages) == 4
    assert {m.subject for m in other.messages} >= set(subjects[1:])    # routed anew
    assert {x.user for x in other.logins} == {USER}
    return other


ONE = {"delivery": {"connections_per_site": 1, "tls": "encrypt", "idle_timeout": "1m"}, "queue": {"schedule": ["1s"]}}
ENDS = pytest.mark.parametrize("end", [None, Close()], ids=["kept", "lost"])


@ENDS
def test_not_at_the_hosts_of_before(make, ca, end):
    """Mail waits for an MX host when a smarthost is configured: the host does not get the smarthost's password, and
    no more mail."""
    e = tls_world(make, ca.server(ca.good), ONE, mx={"one.test": "mail.peer.test"}, auth=EVERY, users=GOOD,
                  auth_required=False)
    changed_while_mail_waits(make, ca, e, end, ["bob@one.test"])
    assert e.sink.commands("AUTH") == [] and e.sink.logins == []


@ENDS
def test_not_at_the_smarthost_of_before(make, ca, end):
    """The smarthost and its password are replaced while mail waits for the old one."""
    e = tls_world(make, ca.server(ca.good), {"relay": {"tls": "encrypt", "username": "old", "password": "old one"}, **ONE},
                  auth=EVERY, users={"old": "old one", **GOOD})
    changed_while_mail_waits(make, ca, e, end, ["bob@one.test"])
    assert {x.user for x in e.sink.logins} == {"old"}


# ---- tokens ----

def replace(path, text):
    """As token helpers do it."""
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write(text)
    os.rename(path + ".new", path)


@pytest.fixture
def token(auth, tmp_path):
    path = str(tmp_path / "token")
    replace(path, "ya29.first-token\n")

    def build(offer=("XOAUTH2",), **more):
        relay = {"password": "", "token_file": path, **more.pop("relay", {})}
        e = auth(offer, relay=relay, users={USER: "ya29.first-token"}, **more)
        e.token_file = path
        return e
    return build


def test_a_token(token):
    e = token(["PLAIN", "LOGIN", "XOAUTH2"])
    e.sink.with_subject(send(e))
    login = e.sink.logins[0]
    assert (login.mechanism, login.user, login.secret, login.initial) == ("XOAUTH2", USER, "ya29.first-token", True)
    no_secrets(e, "ya29.first-token")


def test_a_new_token_is_read(token):
    """The file is replaced; no signal, no restart."""
    e = token(conf={"delivery": {"messages_per_connection": 1}})
    e.sink.with_subject(send(e))
    e.sink.users[USER] = "ya29.second-token"
    replace(e.token_file, "ya29.second-token")
    e.event("reloaded")
    e.stats()    # every worker has it
    e.sink.with_subject(send(e))
    assert [x.secret for x in e.sink.logins] == ["ya29.first-token", "ya29.second-token"]
    no_secrets(e, "ya29.second-token")


def test_an_old_token(token):
    """The server tells its reason in a challenge, takes an empty answer, then says 535."""
    e = token()
    e.sink.users[USER] = "ya29.of-tomorrow"
    send(e)
    not_sent(e, 535)
    no_secrets(e, "ya29.first-token")


def test_a_token_is_never_sent_in_clear(token):
    e = token(tls="none")
    send(e)
    not_sent(e, 451, "4.7.0")
    assert e.sink.commands("AUTH") == []


def test_a_long_token(token):
    """No initial response beyond 512 bytes."""
    e = token()
    long = "t" * 3000
    e.sink.users[USER] = long
    replace(e.token_file, long + "\n")
    e.event("reloaded")
    e.stats()
    e.sink.with_subject(send(e))
    assert [(x.secret, x.initial) for x in e.sink.logins] == [(long, False)]


def test_a_token_file_that_is_not_there(make, tmp_path):
    e = make.engine({"relay": {"host": "[127.0.0.1]:9", "username": USER, "token_file": str(tmp_path / "none")}},
                    start=False).spawn()
    e.expected_exit = e.wait()
    assert e.expected_exit != 0 and "token" in e.stderr()


def test_an_emptied_token_file_keeps_the_old_token(token):
    """Half-written: an error in the log, and the token of before goes on."""
    e = token(conf={"delivery": {"messages_per_connection": 1}})
    replace(e.token_file, "")
    e.event("reload_refused")
    e.sink.with_subject(send(e))
    assert [x.secret for x in e.sink.logins] == ["ya29.first-token"]


# ---- configuration ----

@pytest.mark.parametrize("relay, word", [({"username": USER}, "relay.password"), ({"password": SECRET}, "relay.username")])
def test_half_a_login_is_an_error(make, relay, word):
    e = make.engine({"relay": {"host": "[127.0.0.1]:9", **relay}}, start=False).spawn()
    e.expected_exit = e.wait()
    assert e.expected_exit != 0 and word in e.stderr() and SECRET not in e.stderr()


def test_the_configuration_shows_no_password(auth):
    e = auth()
    done = run("config", "show", "-c", e.file) if run("config", "show", "-c", e.file).returncode == 0 else \
        run("config", "-c", e.file)
    assert done.returncode == 0, done
    assert "c4n4ry" not in done.stdout + done.stderr


def test_no_secret_in_the_process_listing(auth):
    e = auth()
    e.sink.with_subject(send(e))
    for name in ("cmdline", "environ", "comm"):
        with open(f"/proc/{e.process.pid}/{name}", "rb") as f:
            assert b"c4n4ry" not in f.read()
