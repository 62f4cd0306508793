# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets go to the hosts they are for and nowhere else: not to another host, not to the hosts of an older
configuration, not into a log. Tokens, and what the configuration says."""
import os

import pytest

from harness.engine import run
from harness.logins_out import GOOD, SECRET, USER, auth, ca, not_sent
from harness.sink import Close, Delay
from harness.tls_peer import TlsSink, no_secrets, send, tls_world
from harness.wait import wait_until

EVERY = ["PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2"]


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
    no_secrets(e, SECRET, "ya29.first-token")


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
    no_secrets(e, SECRET, "ya29.second-token")


def test_an_old_token(token):
    """The server tells its reason in a challenge, takes an empty answer, then says 535."""
    e = token()
    e.sink.users[USER] = "ya29.of-tomorrow"
    send(e)
    not_sent(e, 535)
    no_secrets(e, SECRET, "ya29.first-token")


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
