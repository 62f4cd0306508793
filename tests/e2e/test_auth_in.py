# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins of clients: every form of the exchange, where users come from, throttling, and that a password is seen
nowhere (reliability.md 2 D, seeds.md 6 traps 4, 5, 17)."""
import glob
import hashlib
import json
import os
import shutil
import signal
import smtplib
import subprocess
import tempfile
import time
import warnings

import pytest

from harness.client import Client
from harness.engine import binary, clean_environment, run
from harness.login import WAYS, b64, login_cram, login_login, login_plain, plain
from harness.message import message
from harness.peers import nobody, require_root
from harness.pki import openssl
from harness.tlsclient import SecureClient, open_port, tls_engine
from harness.wait import run_all, wait_until

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import crypt

PASSWORD = "correct horse"
USERS = [{"name": "ann", "password": PASSWORD}, {"name": "Ben@example.test", "password": "pässwörd:#; x"},
         {"name": "nobody", "password": ""}, {"name": "carl", "password": "y"}]
OPEN = {"auth": {"require_tls": False, "cram_md5": True}, "users": USERS, "limits": {"errors": 1000}}


@pytest.fixture(scope="module", name="served")
def make_served(tmp_path_factory):
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("served"))
    e = tls_engine(makers, [{"access": "auth"}], OPEN)
    yield e
    assert e.running, e.trouble()
    makers.finish()


@pytest.fixture(name="c")
def make_client(served):
    with Client(served.port) as client:
        client.ehlo()
        yield client


# ---- the exchange ----

@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("user", [0, 1])
def test_right(served, c, way, user):
    name, password = USERS[user]["name"], USERS[user]["password"]
    assert WAYS[way](c, name, password).status == "235 2.7.0"
    assert "AUTH" not in c.keywords()
    assert c.submit(message(), params="").code == 250
    assert served.event("login", user=name)
    assert served.event("accepted", user=name)["protocol"].endswith("ESMTPA")
    assert c.cmd("AUTH PLAIN " + plain(name, password)).status == "503 5.5.1"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name, password", [("ann", "wrong"), ("ann", ""), ("ann", PASSWORD + " "), ("ANN", PASSWORD),
                                            ("who", PASSWORD), ("nobody", ""), ("nobody", "x"), ("", ""), ("", "x"),
                                            ("ann", PASSWORD[:-1]), ("ann", "x" * 5000)])
def test_wrong_keeps_the_session(c, way, name, password):
    """D4, trap 4: always the same words; the session goes on, and the right password is still right."""
    if not name and way == "login initial":
        way = "login"  # "AUTH LOGIN " has no initial response
    reply = WAYS[way](c, name, password)
    assert repr(reply) == "535 5.7.8 Authentication credentials invalid"
    c.ok("NOOP")
    assert login_plain(c, "ann", PASSWORD).code == 235


SYNTAX = [
    # (what is sent, line by line; the last reply)
    (["AUTH"], "501 5.5.4"),
    (["AUTH PLAIN !!!!"], "501 5.5.2"),
    (["AUTH PLAIN AAA"], "501 5.5.2"),                                # not padded
    (["AUTH PLAIN " + b64("\0ann\0x") + " more"], "501 5.5.2"),
    (["AUTH PLAIN ="], "501 5.5.2"),                                  # empty: no NUL in it
    (["AUTH PLAIN AAA="], "535 5.7.8"),                               # smtplib with an empty user and password
    (["AUTH PLAIN " + b64("ann")], "501 5.5.2"),
    (["AUTH PLAIN " + b64("ann\0x")], "501 5.5.2"),
    (["AUTH PLAIN " + b64("\0ann\0x\0y")], "501 5.5.2"),
    (["AUTH PLAIN", ""], "501 5.5.2"),
    (["AUTH PLAIN", "*"], "501 5.7.0"),
    (["AUTH PLAIN", "="], "501 5.5.2"),                               # "=" is only an initial response
    (["AUTH PLAIN", "RSET"], "501 5.5.2"),
    (["AUTH PLAIN " + plain("ann", PASSWORD, "ben")], "535 5.7.8"),   # for somebody else
    (["AUTH PLAIN " + plain("ann", PASSWORD, "ann")], "235 2.7.0"),
    (["auth plain " + plain("ann", PASSWORD)], "235 2.7.0"),
    (["AUTH  PLAIN  " + plain("ann", PASSWORD) + "  "], "235 2.7.0"),
    (["AUTH LOGIN", "*"], "501 5.7.0"),
    (["AUTH LOGIN", b64("ann"), "*"], "501 5.7.0"),
    (["AUTH LOGIN " + b64("ann"), "*"], "501 5.7.0"),
    (["AUTH LOGIN", "", ""], "535 5.7.8"),
    (["AUTH LOGIN =", b64("x")], "535 5.7.8"),
    (["AUTH LOGIN ", "", b64("x")], "535 5.7.8"),                     # smtplib with an empty user
    (["AUTH LOGIN", "ann"], "501 5.5.2"),
    (["AUTH LOGIN", b64("a\0nn")], "501 5.5.2"),
    (["AUTH LOGIN", b64("ann"), "%%%"], "501 5.5.2"),
    (["AUTH login", b64("ann"), b64(PASSWORD)], "235 2.7.0"),
    (["AUTH CRAM-MD5 " + b64("ann")], "501 5.7.0"),
    (["AUTH CRAM-MD5", "*"], "501 5.7.0"),
    (["AUTH CRAM-MD5", ""], "501 5.5.2"),
    (["AUTH CRAM-MD5", b64("ann")], "501 5.5.2"),
    (["AUTH CRAM-MD5", b64("ann " + "g" * 32)], "501 5.5.2"),
    (["AUTH CRAM-MD5", b64("ann " + "0" * 31)], "501 5.5.2"),
    (["AUTH CRAM-MD5", b64("ann " + "0" * 32)], "535 5.7.8"),
    (["AUTH DIGEST-MD5"], "504 5.5.4"), (["AUTH GSSAPI " + b64("x")], "504 5.5.4"),
    (["AUTH XOAUTH2 " + b64("user=ann\1auth=Bearer x\1\1")], "504 5.5.4"), (["AUTH PLAINX"], "504 5.5.4"),
    (["AUTH ANONYMOUS"], "504 5.5.4"), (["AUTH EXTERNAL ="], "504 5.5.4"),
    (["AUTH PLAIN " + "A" * 12300], "500 5.5.6"),
    (["AUTH PLAIN", "A" * 12300], "500 5.5.6"),
    (["AUTH PLAIN " + "A" * 12000], "501 5.5.2"),                     # within the limit, but nothing but NULs
]


@pytest.mark.parametrize("lines, last", SYNTAX, ids=[repr(s[0])[:40] for s in SYNTAX])
def test_syntax(c, lines, last):
    """D2; afterwards the session is in step."""
    for line in lines[:-1]:
        assert c.cmd(line).code == 334, line
    assert c.cmd(lines[-1]).status == last
    c.ok("NOOP")
    if last[:3] != "235":
        assert login_plain(c, "ann", PASSWORD).code == 235


def test_states(c):
    """D5: before EHLO, inside a transaction, twice."""
    c.ok("MAIL FROM:<ann@example.test>")
    assert c.cmd("AUTH PLAIN " + plain("ann", PASSWORD)).status == "503 5.5.1"
    c.ok("RSET")
    assert login_plain(c, "ann", PASSWORD).code == 235
    c.ok("RSET")
    c.ehlo("other")  # RFC 4954 does not end a login by EHLO
    c.ok("MAIL FROM:<ann@example.test>")
    c.ok("RCPT TO:<bob@elsewhere.test>")


def test_before_ehlo(served):
    with Client(served.port) as c:
        assert c.cmd("AUTH PLAIN " + plain("ann", PASSWORD)).status == "503 5.5.1"


def test_pipelined(served):
    """Lines sent ahead of their challenges, in one segment and byte by byte: the same replies."""
    text = (f"EHLO x\r\nAUTH LOGIN\r\n{b64('ann')}\r\n{b64('wrong')}\r\nAUTH PLAIN {plain('ann', PASSWORD)}\r\n"
            "MAIL FROM:<ann@example.test>\r\nRCPT TO:<b@elsewhere.test>\r\nQUIT\r\n").encode()
    for size in (len(text), 1, 7):
        with Client(served.port) as c:
            c.send_pieces(text, size)
            assert [r.code for r in c.rest()] == [250, 334, 334, 535, 235, 250, 250, 221]


def test_names_in_the_log(served):
    """A20: what a client calls itself is one field of one line, whatever the bytes."""
    names = [b'x"\\\n{', b"\x1b[2J\x07", b"\xff\xfe\xc3", "a\u2028\u202eb".encode(), b"n" * 3000, b"\r\n250 ok"]
    before = len(served.events("login_failed"))
    for name in names:
        with Client(served.port) as c:
            c.ehlo()
            assert c.cmd(b"AUTH PLAIN " + b64(b"\0" + name + b"\0x").encode()).code == 535
    found = served.event("login_failed", count=before + len(names))[before:]
    assert not served.bad_lines and all(len(f["user"]) <= 1100 for f in found)


def test_challenges_differ(served):
    """A CRAM-MD5 answer of one session is worth nothing in another."""
    seen = set()
    for _ in range(5):
        with Client(served.port) as c:
            c.ehlo()
            seen.add(c.cmd("AUTH CRAM-MD5").text)
    assert len(seen) == 5


def test_client_leaves_while_it_is_checked(served):
    """A slow hash runs on another thread; its session may be gone by then."""
    for _ in range(20):
        c = Client(served.port)
        c.ehlo()
        c.send("AUTH PLAIN " + plain("ann", "wrong") + "\r\n")
        c.reset()
    wait_until(lambda: served.stats()["sessions"] == 0, 10, "no session")


# ---- what is offered, and when ----

def test_not_before_tls(make):
    """D1."""
    e = tls_engine(make, [{"tls": "may", "access": "auth"}], {"tls": {"on_missing": "self_signed"}, "users": USERS})
    with SecureClient(e.port) as c:
        assert "AUTH" not in c.keywords()
        assert c.cmd("AUTH PLAIN " + plain("ann", PASSWORD)).status == "538 5.7.11"
        assert c.cmd("AUTH LOGIN").status == "538 5.7.11"
        c.starttls()
        assert c.keywords()["AUTH"] == "PLAIN LOGIN"
        assert login_plain(c, "ann", PASSWORD).code == 235
    with Client(e.port) as c:  # what the other session knows is not ours
        c.ehlo()
        c.ok("MAIL FROM:<ann@example.test>")
        assert c.cmd("RCPT TO:<b@elsewhere.test>").status == "554 5.7.1"


def test_words(make):
    def words(conf):
        with Client(make.relay(conf).port) as c:
            return [line[4:] for line in c.ehlo().lines if line[4:8] == "AUTH"]
    off = {"auth": {"require_tls": False}}
    assert words(off) == []
    assert words({**off, "users": USERS}) == ["AUTH PLAIN LOGIN"]
    assert words({**OPEN, "smtp": {"auth_equals": True}}) == ["AUTH PLAIN LOGIN CRAM-MD5", "AUTH=PLAIN LOGIN CRAM-MD5"]


def test_off(make):
    """D5."""
    with Client(make.relay().port) as c:
        c.ehlo()
        assert c.cmd("AUTH PLAIN " + plain("ann", PASSWORD)).status == "503 5.5.1"
    e = make.relay({"auth": {"require_tls": False}, "users": USERS})
    with Client(e.port) as c:
        c.ehlo()
        assert c.cmd("AUTH CRAM-MD5").status == "504 5.5.4"


@pytest.mark.parametrize("kind", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_smtplib(served, kind):
    """Its own choice of forms for each mechanism."""
    with smtplib.SMTP("127.0.0.1", served.port, timeout=20) as s:
        s.ehlo()
        s.user, s.password = "ann", PASSWORD
        assert s.auth(kind, getattr(s, "auth_" + kind.lower().replace("-", "_")))[0] == 235
        s.sendmail("ann@example.test", ["b@elsewhere.test"], message())


@pytest.mark.parametrize("user, password", [("", ""), ("", "x"), ("ann", ""), ("ann", "wrong")])
def test_smtplib_wrong(served, user, password):
    """login() goes through every mechanism and must end with 535; the connection can still be used."""
    with smtplib.SMTP("127.0.0.1", served.port, timeout=20) as s:
        with pytest.raises(smtplib.SMTPAuthenticationError) as error:
            s.login(user, password)
        assert error.value.smtp_code == 535
        assert s.login("ann", PASSWORD)[0] == 235


# ---- how often ----

def test_too_many_errors(make):
    """Where logins are not counted (`0`), limits.errors ends a session of nothing but wrong passwords."""
    e = make.relay({**OPEN, "auth": {**OPEN["auth"], "session_failures_max": 0}, "limits": {"errors": 5}})
    with Client(e.port) as c:
        c.ehlo()
        codes = [login_plain(c, "ann", "wrong").code for _ in range(5)]
        assert codes == [535] * 5
        assert c.cmd("AUTH PLAIN " + plain("ann", PASSWORD)).status == "421 4.7.0"
        assert c.closed()


def test_too_many_failed_logins(make):
    """D3: three failed logins are answered by 535 and the session stays; the next one is not looked at, though it
    were right: 421. Who tries all mechanisms for one login has failed once."""
    e = make.relay(OPEN)
    for way in WAYS.values():
        with Client(e.port) as c:
            c.ehlo()
            for _ in range(3):
                assert repr(way(c, "ann", "wrong")) == "535 5.7.8 Authentication credentials invalid"
                c.ok("NOOP")
            reply = way(c, "ann", PASSWORD)
            assert repr(reply) == "421 4.7.0 Too many failed logins, closing"
            assert c.closed()
    with Client(e.port) as c:  # each user is a login of its own, known or not
        c.ehlo()
        for user in ("ann", "who", "carl"):
            assert login_plain(c, user, "wrong").code == 535
        assert login_plain(c, "ann", PASSWORD).status == "421 4.7.0"
    with Client(e.port) as c:
        c.ehlo()
        for _ in range(3):
            for way in (login_cram, login_plain, login_login):
                assert way(c, "ann", "wrong").code == 535
        assert login_cram(c, "ann", "wrong").status == "421 4.7.0" and c.closed()
    with Client(e.port) as c:  # what is no login at all counts as an error, not as a guess
        c.ehlo()
        for _ in range(5):
            assert c.cmd("AUTH PLAIN !!").code == 501 and c.cmd("AUTH GSSAPI").code == 504
        assert login_plain(c, "ann", PASSWORD).code == 235


def test_smtplib_fails_three_times_in_a_session(make):
    """Trap 17: three logins of smtplib, each by three mechanisms: 535 to the end; the fourth is one too many."""
    e = make.relay(OPEN)
    with smtplib.SMTP("127.0.0.1", e.port, timeout=20) as s:
        for _ in range(3):
            with pytest.raises(smtplib.SMTPAuthenticationError) as error:
                s.login("ann", "wrong")
            assert error.value.smtp_code == 535
        with pytest.raises(smtplib.SMTPException):
            s.login("ann", PASSWORD)
    assert e.event("login_failed", count=9)


def smtplib_login(port, user, password, source="127.0.0.1"):
    """True, or the code of the refusal. A 421 closes the connection: smtplib then has no server for the next mechanism."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20, source_address=(source, 0)) as s:
        try:
            return s.login(user, password)[0] == 235
        except smtplib.SMTPAuthenticationError as error:
            return error.smtp_code
        except smtplib.SMTPServerDisconnected:
            return 421


def test_throttle(make):
    """D3: Trap 17: smtplib tries CRAM-MD5, PLAIN and LOGIN with one password: that is one failure. A lockout is of
    one user at one address, whatever the password (421), and ends."""
    e = make.relay({**OPEN, "auth": {**OPEN["auth"], "failures_max": 3, "lockout": "2s"}})

    def tries(count, user="ann", password="wrong", source="127.0.0.1"):
        return [smtplib_login(e.port, user, password, source) for _ in range(count)]
    assert tries(2) == [535] * 2
    e.event("login_failed", count=6)
    assert tries(1, password=PASSWORD) == [True]     # two are not three; and it clears the count
    assert tries(3) == [535] * 3
    start = time.monotonic()
    assert tries(1, password=PASSWORD) == [421]
    assert tries(1, "ann@relay.example.test", PASSWORD) == [421]  # the same user by another spelling
    assert tries(1, password=PASSWORD, source="127.0.0.9") == [True]
    assert tries(1, "carl", "y") == [True]
    assert e.event("login_failed", reason="locked out after too many failures")["user"] == "ann"
    wait_until(lambda: tries(1, password=PASSWORD) == [True], 10, "the end of the lockout", interval=0.2)
    assert time.monotonic() - start > 1


def test_throttle_within_a_session(make):
    """D3: One session is no place to guess without end: a mechanism that comes again counts again."""
    e = make.relay({**OPEN, "auth": {**OPEN["auth"], "failures_max": 3, "lockout": "1h", "session_failures_max": 0}})
    with Client(e.port) as c:
        c.ehlo()
        for _ in range(2):
            assert login_plain(c, "ann", "wrong").code == 535
            assert login_login(c, "ann", "wrong").code == 535
        assert login_plain(c, "ann", "wrong").code == 535
        assert repr(login_plain(c, "ann", PASSWORD)) == "421 4.7.0 Too many failed logins, try again later"
        assert c.closed()
    with Client(e.port) as c:
        c.ehlo()
        assert login_plain(c, USERS[1]["name"], USERS[1]["password"]).code == 235
        assert c.submit().code == 250
    with Client(e.port) as c:
        c.ehlo()
        assert login_cram(c, "ann", PASSWORD).status == "421 4.7.0"
    with Client(e.port) as c:  # who there is and who is not looks the same
        c.ehlo()
        for _ in range(3):
            assert login_plain(c, "who", "wrong").code == 535
        assert login_plain(c, "who", "wrong").status == "421 4.7.0"


def test_many_at_once(make):
    """A crowd with dear hashes: all are answered, and others are served meanwhile."""
    e = make.relay({**OPEN, "users": [{"name": "ann", "password": hashes()["yescrypt"]}]})
    slowest = []

    def login(password, code):
        with Client(e.port, timeout=60) as c:
            c.ehlo()
            assert login_plain(c, "ann", password).code == code

    def other():
        for _ in range(20):
            start = time.monotonic()
            with Client(e.port, timeout=60) as c:
                c.ehlo()
            slowest.append(time.monotonic() - start)
    run_all([lambda: login(PASSWORD, 235)] * 8 + [lambda: login("wrong", 535)] * 8 + [other])
    assert sorted(slowest)[len(slowest) // 2] < 1


@pytest.mark.parametrize("way", [login_plain, login_login], ids=["plain", "login"])
def test_equal_work_for_unknown_users(make, way):
    """D4: a wrong password costs the same processor time for a user with the dear hash, one with a clear password, one
    with a cheap hash, one that may not log in, and for nobody at all; measured as work, so the machine's load is no
    matter."""
    dear = crypt.crypt(PASSWORD, "$2b$10$abcdefghijklmnopqrstuu")
    cheap = "{SHA256}" + hashlib.sha256(PASSWORD.encode()).hexdigest()
    e = make.relay({**OPEN, "users": [{"name": "dear", "password": dear}, {"name": "clear", "password": PASSWORD},
                                      {"name": "cheap", "password": cheap}, {"name": "none", "password": ""}]})

    def work(user):
        before = e.cpu_seconds()
        for _ in range(4):
            with Client(e.port) as c:
                c.ehlo()
                for _ in range(3):
                    assert repr(way(c, user, "wrong")) == "535 5.7.8 Authentication credentials invalid"
        return e.cpu_seconds() - before
    spent = {user: work(user) for user in ("dear", "clear", "cheap", "none", "who")}
    assert min(spent.values()) > 0.1, spent
    assert max(spent.values()) < 1.5 * min(spent.values()), spent
    before = e.cpu_seconds()
    for _ in range(12):
        with Client(e.port) as c:
            c.ehlo()
            assert way(c, "clear", PASSWORD).code == 235
    assert e.cpu_seconds() - before < min(spent.values()) / 2  # who is right does not pay for it


RISKS = [
    ({"listeners": [{"port": 2525, "access": "auth"}]}, "listeners[0].access: who may send must log in"),
    ({"listeners": [{"port": 2525, "mode": "submission"}]}, "listeners[0].access: who may send must log in"),
    ({"listeners": [{"address": "0.0.0.0", "port": 2525}], "auth": {"require_tls": False}, "users": USERS},
     "auth.require_tls: false: passwords may come in clear to listeners[0] (0.0.0.0:2525)"),
    ({"relay": {"host": "smtp.example.test", "username": "u", "password": "p"}}, "relay.tls: may: the password is not sent in clear"),
    ({"relay": {"host": "smtp.example.test", "username": "u", "password": "p", "auth_without_tls": True}},
     "relay.auth_without_tls: true: with relay.tls: may the password may go out in clear"),
]


@pytest.mark.parametrize("conf, words", RISKS, ids=range(len(RISKS)))
def test_risks_are_named(tmp_path, conf, words):
    """One line by `check`, which is fine with it."""
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps({"identity": {"hostname": "relay.example.test"}, **conf}))
    done = run("check", "-c", file)
    assert done.returncode == 0
    assert [line.startswith("warning: " + words) for line in done.stderr.splitlines()] == [True], done.stderr


def test_a_token_needs_a_user(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps({"relay": {"host": "smtp.example.test", "token_file": "/run/token"}}))
    done = run("check", "-c", file)
    assert done.returncode == 78 and "relay.token_file: needs relay.username too" in done.stderr


# ---- where users come from ----

_hashes = {}


def hashes():
    """PASSWORD, as each kind of hash has it; weak parameters, for the sanitised build's sake."""
    if not _hashes:
        _hashes.update({
            "yescrypt": crypt.crypt(PASSWORD, "$y$j75$F5Jx5fExrKuPp53xLKQ..1"),
            "bcrypt": crypt.crypt(PASSWORD, "$2b$04$abcdefghijklmnopqrstuu"),
            "bcrypt 2y": crypt.crypt(PASSWORD, "$2y$04$abcdefghijklmnopqrstuu"),
            "sha512": openssl("passwd", "-6", PASSWORD).decode().strip(),
            "sha256": openssl("passwd", "-5", PASSWORD).decode().strip(),
            "md5": openssl("passwd", "-1", PASSWORD).decode().strip(),
            "hex": "{SHA256}" + hashlib.sha256(PASSWORD.encode()).hexdigest(),
            "upper": "{sha256}" + hashlib.sha256(PASSWORD.encode()).hexdigest().upper(),
            "clear": PASSWORD,
            "tagged": "{PLAIN}" + PASSWORD,
        })
        assert all(_hashes.values()), _hashes
    return _hashes


def try_users(e, expected):
    """expected: {user: password that works, or None}"""
    with Client(e.port) as c:
        c.ehlo()
    for user, password in expected.items():
        with Client(e.port) as c:
            c.ehlo()
            assert login_plain(c, user, password or PASSWORD).code == (235 if password else 535), user
            if password:
                c.close()
                continue
        with Client(e.port) as c:
            c.ehlo()
            assert login_plain(c, user, "").code == 535, user


def test_every_hash(make):
    users = [{"name": kind, "password": text} for kind, text in hashes().items()]
    e = make.relay({**OPEN, "users": users})
    try_users(e, {kind: PASSWORD for kind in hashes()})
    try_users(e, {kind: PASSWORD for kind in hashes()})  # again: from the cache of what passed
    for kind, text in hashes().items():
        with Client(e.port) as c:
            c.ehlo()
            assert login_plain(c, kind, text).code == (235 if text == PASSWORD else 535)  # no hash is a password
        with Client(e.port) as c:  # CRAM-MD5 wants the password in clear
            c.ehlo()
            assert login_cram(c, kind, PASSWORD).code == (235 if kind in ("clear", "tagged") else 535)


def test_lines(make, tmp_path):
    """name password, name:password, comments, CR LF; the later of two wins, the configuration over files."""
    h = hashes()
    first, second = tmp_path / "users.conf", tmp_path / "htpasswd"
    first.write_text("# ours\n\nann  " + PASSWORD + "  \nben\tx:#;y\r\ncarl:p:q r#s\n  dora:" + h["bcrypt 2y"] + "\n"
                     "twice first\nconf lost\ntab\t\t" + PASSWORD + "\n")
    second.write_text(f"eve:{h['sha512']}\nfred:{h['yescrypt']}\ntwice:second\n")
    e = make.relay({**OPEN, "auth": {**OPEN["auth"], "users_file": [str(first), str(second)]},
                    "users": [{"name": "conf", "password": "wins"}]})
    try_users(e, {"ann": PASSWORD, "ben": "x:#;y", "carl": "p:q r#s", "dora": PASSWORD, "eve": PASSWORD,
                  "fred": PASSWORD, "twice": "second", "conf": "wins", "tab": PASSWORD, "#": None})


def test_json(make, tmp_path):
    """Both forms of users.json (seeds.md 002-09, 004-09)."""
    digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
    old, new = tmp_path / "002.json", tmp_path / "004.json"
    old.write_text(json.dumps({
        "a@b.test": {"password_hash": digest, "enabled": True, "rate_limit": 5, "admin": False},
        "upper@b.test": {"password_hash": digest.upper()},
        "off@b.test": {"password_hash": digest, "enabled": False}}))
    new.write_text(json.dumps({"users": [
        {"username": "ü", "password": PASSWORD, "type": "plaintext"},
        {"username": "hash", "password": hashes()["bcrypt"]},
        {"username": "off", "password": PASSWORD, "enabled": False}]}))
    e = make.relay({**OPEN, "auth": {**OPEN["auth"], "users_file": [str(old), str(new)]}, "users": []})
    try_users(e, {"a@b.test": PASSWORD, "upper@b.test": PASSWORD, "off@b.test": None, "ü": PASSWORD,
                  "hash": PASSWORD, "off": None})


def test_domain_of_the_name(make):
    """000-05: `user` and `user@hostname` are one; another domain is another user."""
    e = make.relay({**OPEN, "users": [*USERS, {"name": "full@relay.example.test", "password": "x"}]})
    try_users(e, {"ann": PASSWORD, "ann@relay.example.test": PASSWORD, "ann@RELAY.example.test": PASSWORD,
                  "ann@example.test": None, "ben": None, "full": None, "full@relay.example.test": "x"})


SECRET = "zq7canary9Password"


@pytest.mark.parametrize("text, words", [
    (f"ann\n{SECRET}:\n", "users:1: must be"),
    ("ann:$apr1$" + SECRET[:8] + "$abcdefghijklmnopqrstuv\n", "begins with $ but is no hash"),
    ("ann:{SSHA}" + SECRET + "\n", "this kind of hash is not known"),
    ("ann:{SHA256}" + SECRET + "\n", "64 hex digits"),
    ('{"ann": "' + SECRET + '"}', "each user must be an object"),
    ('{"ann": {"password": "' + SECRET + '"}', "is not JSON of users"),
    ("ann:" + SECRET + "x" * 600 + "\n", "more than 512 bytes"),
    (None, "No such file"),
], ids=range(8))
def test_bad_users_file(make, tmp_path, text, words):
    """It does not start, says where, and does not quote what may be a password."""
    path = tmp_path / "users"
    if text is not None:
        path.write_text(text)
    e = make.relay({**OPEN, "auth": {**OPEN["auth"], "users_file": str(path)}}, start=False)
    e.spawn()
    assert e.wait() == 78 and not open_port(e.port)
    assert words in e.stderr() and str(path) in e.stderr(), e.stderr()
    assert SECRET[:8] not in e.stderr()
    e.process = None


def test_users_change(make, tmp_path):
    """The file is read again when it changes; a broken one changes nothing; sessions go on."""
    path = tmp_path / "users"
    path.write_text("ann one\nben one\n")
    e = make.relay({**OPEN, "auth": {**OPEN["auth"], "users_file": str(path)}, "users": []})
    with Client(e.port) as old:
        old.ehlo()
        assert login_plain(old, "ben", "one").code == 235
        (tmp_path / "new").write_text("ann two\ncarl one\n")
        os.rename(tmp_path / "new", path)
        e.event("reloaded")
        try_users(e, {"ann": "two", "ben": None, "carl": "one"})
        assert old.submit().code == 250
        path.write_text("ann three\nbroken\n")
        refused = e.event("reload_refused")
        assert "users:2" in refused["reason"] and "three" not in refused["reason"]
        try_users(e, {"ann": "two"})
        path.write_text("ann four\n")
        e.event("reloaded", count=2)
        try_users(e, {"ann": "four", "carl": None})


def test_cache_forgets_with_the_password(make, tmp_path):
    """What passed lately is remembered for dear hashes: not beyond a change of the hash."""
    path = tmp_path / "users"
    other = crypt.crypt("other", "$2b$04$abcdefghijklmnopqrstuu")
    path.write_text(f"ann:{hashes()['bcrypt']}\n")
    e = make.relay({**OPEN, "auth": {**OPEN["auth"], "users_file": str(path)}, "users": []})
    try_users(e, {"ann": PASSWORD})
    try_users(e, {"ann": PASSWORD})
    path.write_text(f"ann:{other}\n")
    e.event("reloaded")
    try_users(e, {"ann": "other"})
    try_users(e, {"ann": None})


# ---- the password is nowhere (D8) ----

def shown_by_the_kernel(pid):
    """{name: content} of all that /proc shows of a process and its threads, but for memory itself and what only
    links to other files."""
    shown = {}
    for folder in [f"/proc/{pid}", *glob.glob(f"/proc/{pid}/task/*")]:
        for entry in os.scandir(folder):
            if entry.is_file(follow_symlinks=False) and entry.name not in ("mem", "pagemap", "clear_refs"):
                try:
                    with open(entry.path, "rb") as f:
                        shown[entry.path] = f.read().decode("latin-1")
                except OSError:  # some are for writing only, or need an option of the kernel
                    continue
    assert {os.path.basename(name) for name in shown} >= {"environ", "cmdline", "maps", "smaps", "status", "auxv"}
    return shown


class Listening(Client):
    """Remembers all that the server says."""
    said = ""

    def reply(self):
        reply = super().reply()
        Listening.said += "".join(line + "\n" for line in reply.lines)
        return reply


def test_canary(make, tmp_path):
    """D8: Right and wrong ones, in every mechanism, at log level debug: in no log, no reply, no output, no file but its
    own, and nothing that the kernel tells of the process, though some came by the environment and the command line."""
    wrong, filed, hashed = "zq8wrongCanary", "zq9filedCanary", "zq6hashedCanary"
    users = tmp_path / "users"
    users.write_text(f"filed {filed}\n")
    conf = {**OPEN, "users": [{"name": "ann", "password": SECRET},
                              {"name": "env", "password": "replaced by the environment"},
                              {"name": "hash", "password": crypt.crypt(hashed, "$2b$04$abcdefghijklmnopqrstuu")}],
            "auth": {**OPEN["auth"], "users_file": str(users)}, "log": {"level": "debug"},
            "relay": {"username": "us", "password": "zq5relayCanary"}}
    e = make.relay(conf, env={"RINGPOST_USERS_1_PASSWORD": "zq4environmentCanary"}, start=False,
                   args=["--set", "users[3].name=set", "--set", "users[3].password=zq3commandCanary"])
    e.conf["relay"]["host"] = e.sink.endpoint
    e.start()
    for way in WAYS.values():
        for user, password in (("ann", SECRET), ("ann", wrong), ("filed", filed), ("filed", wrong), ("hash", hashed),
                               ("env", "zq4environmentCanary"), ("set", "zq3commandCanary"), (wrong[3:], wrong)):
            with Listening(e.port) as c:
                c.ehlo()
                assert way(c, user, password).code == (235 if password != wrong and way_fits(way, user) else 535), user
                c.submit()
    for line in (SECRET, "AUTH PLAIN " + plain("ann", SECRET) + "x", "AUTH LOGIN " + b64("ann") + " " + b64(SECRET)):
        with Listening(e.port) as c:
            c.ehlo()
            c.cmd(line)
    users.write_text(f"filed {filed}\n{wrong}\n")
    e.event("reload_refused")
    users.write_text(f"filed {filed}\n")
    os.kill(e.process.pid, signal.SIGHUP)  # the copies of environment and arguments are still there
    e.event("reloaded")
    try_users(e, {"env": "zq4environmentCanary", "set": "zq3commandCanary"})
    needles = [s for p in (SECRET, wrong, filed, hashed, "zq5relayCanary", "zq4environmentCanary", "zq3commandCanary")
               for s in (p, b64(p), b64(p)[4:-4], hashlib.sha256(p.encode()).hexdigest())]
    needles += [plain("ann", SECRET), "$2b$04$"]

    def clean(text, where):
        found = [n for n in needles if n in text]
        assert not found, (where, found)
    environment = clean_environment(e.env)
    for command in (["config", "-c", e.file], ["check", "-c", e.file], ["config", "-c", e.file, "--json"],
                    ["config", "--defaults"], ["doctor", "-c", e.file], ["queue", "stats", "--socket", e.socket],
                    ["config", "-c", e.file, "--set", "users[0].password=" + SECRET + "2"]):
        done = subprocess.run([binary(), *command], capture_output=True, text=True, env=environment, timeout=30,
                              check=False)
        clean(done.stdout + done.stderr, command)
    clean(Listening.said, "replies")
    assert "535 5.7.8" in Listening.said and "235 2.7.0" in Listening.said
    for name, text in shown_by_the_kernel(e.process.pid).items():
        clean(text, name)
    with open(f"/proc/{e.process.pid}/cmdline", encoding="utf-8") as f:
        assert "users[3].password=****************\0" in f.read()
    with open(f"/proc/{e.process.pid}/environ", encoding="utf-8") as f:
        assert "RINGPOST_USERS_1_PASSWORD=\0" in f.read()
    with open(f"/proc/{e.process.pid}/limits", encoding="ascii") as f:
        assert [line.split()[4:6] for line in f if line.startswith("Max core file size")] == [["0", "0"]]
    for child in glob.glob(f"/proc/{e.process.pid}/task/*/children"):
        with open(child, encoding="ascii") as f:
            assert f.read() == ""  # nobody inherits the environment
    e.stop()
    with e.lock:
        clean(json.dumps(e.log), "log")
    clean(e.stderr(), "stderr")
    for folder, _, names in os.walk(e.spool):
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                clean(f.read().decode("latin-1"), name)


def way_fits(way, user):
    """CRAM-MD5 wants the password in clear."""
    return way is not login_cram or user != "hash"


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGQUIT, signal.SIGTRAP])
def test_no_core_file(make, number):
    """D8: However it dies, and whatever core files it is allowed when it starts."""
    unlimited = ["prlimit", "--core=unlimited:unlimited"]
    e = make.relay({"users": [{"name": "ann", "password": SECRET}]}, prefix=unlimited)
    before = set(os.listdir(e.folder))
    control = subprocess.run([*unlimited, "sh", "-c", f"kill -{number.value} $$"], cwd=e.folder, check=False)
    assert control.returncode == -number
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as f:
        if f.read().split("%")[0].split(".")[0].strip() == "core":
            left = set(os.listdir(e.folder)) - before
            assert left, "without such limits a core file can be seen"
            for name in left:
                os.remove(os.path.join(e.folder, name))
    e.process.send_signal(number)
    assert e.process.wait(20) != 0
    for folder, _, names in os.walk(e.folder):
        assert not [n for n in names if n.startswith("core")], (folder, names)
    e.process = None


class Folder:
    def __init__(self, path):
        self.path = path

    def close(self):
        shutil.rmtree(self.path, ignore_errors=True)


def test_others_cannot_look_in(make, monkeypatch):
    """D8: Another process of the same user reads neither memory nor environment of the engine."""
    require_root()
    uid, gid = nobody()
    folder = tempfile.mkdtemp(prefix="ringpost-nobody-")  # not below pytest's private folder
    os.chmod(folder, 0o755)
    monkeypatch.setenv("RINGPOST_BIN", shutil.copy(binary(), folder))
    os.mkdir(folder + "/spool")
    os.chown(folder + "/spool", uid, gid)
    as_nobody = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    e = make.relay(OPEN, name=folder, prefix=as_nobody, env={"RINGPOST_USERS_0_PASSWORD": SECRET})
    make.add(Folder(folder))
    for name in ("environ", "mem", "maps", "auxv"):
        done = subprocess.run([*as_nobody, "cat", f"/proc/{e.process.pid}/{name}"], capture_output=True, check=False)
        assert done.returncode != 0 and SECRET.encode() not in done.stdout, name
    try_users(e, {"ann": SECRET})


def test_config_shows_no_password(tmp_path):
    """D8."""
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps({"users": [{"name": "ann", "password": SECRET}]}))
    done = run("config", "-c", file)
    assert done.returncode == 0 and SECRET not in done.stdout and "ann" in done.stdout
