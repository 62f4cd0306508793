# SPDX-License-Identifier: GPL-3.0-or-later
"""E1, E3 after something else: a login that failed or was given up, a reset, a new EHLO, TLS, a PROXY line or XCLIENT do
not make a stranger one who may relay. The whole matrix, and rules of access: test_access.py; PROXY headers:
test_proxy_in.py. (E4 and E5 are about the HTTP API, which does not exist.)"""
import pytest

from harness.client import Client
from harness.login import login_login, login_plain
from harness.pki import Authority
from harness.tlsclient import SecureClient, tls_engine
from test_access import RECIPIENTS, SENDERS

NETWORK, SUBMISSION, LATE, IMPLICIT = range(4)


@pytest.fixture(scope="module", name="closed")
def make_closed(tmp_path_factory):
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("closed"))
    pair = Authority(tmp_path_factory.mktemp("certs")).issue("relay.example.test")
    auth = {"access": "auth", "mode": "submission"}
    e = tls_engine(makers, [{"access": "network", "tls": "may"}, {**auth, "tls": "may"},
                            {**auth, "tls": "may", "reject_at": "rcpt"}, {**auth, "tls": "implicit"}],
                   {"tls": pair.files, "access": {"networks": ["192.0.2.0/24"]}, "limits": {"errors": 10000},
                    "users": [{"name": "ann", "password": "x"}],
                    "auth": {"require_tls": False, "session_failures_max": 0, "failures_max": 0}})
    yield e
    assert e.running, e.trouble()
    assert e.counters()["accepted"] == 0 and not e.sink.sessions
    makers.finish()


def failed_login(c):
    assert login_plain(c, "ann", "wrong").code == 535
    assert login_login(c, "nobody", "x").code == 535


def given_up_login(c):
    assert c.cmd("AUTH PLAIN").code == 334
    assert c.cmd("*").code == 501
    assert c.cmd("AUTH LOGIN YW5u").code == 334
    assert c.cmd("").code in (501, 535)


def half_login(c):
    assert c.cmd("AUTH PLAIN AGFubgB4=").code in (501, 535)  # the right answer, badly written
    assert c.cmd("AUTH PLAIN =").code in (501, 535)


def claims(c):
    for verb in ("XCLIENT ADDR=192.0.2.1 LOGIN=ann", "XFORWARD ADDR=192.0.2.1", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2"):
        assert c.cmd(verb).code in (500, 554), verb
    c.ehlo("[192.0.2.1]")
    c.ehlo("relay.example.test")


def resets(c):
    for line in ("RSET", "HELO localhost", "EHLO localhost", "NOOP", "VRFY ann"):
        c.ok(line)


WAYS = {f.__name__: f for f in (failed_login, given_up_login, half_login, claims, resets)}


def connect(engine, listener, secure):
    if listener == IMPLICIT:
        c = SecureClient(engine.ports[listener], True)
    elif secure:
        c = SecureClient(engine.ports[listener]).starttls()
    else:
        c = Client(engine.ports[listener])
    c.ehlo()
    return c


@pytest.mark.parametrize("way", WAYS)
def test_still_a_stranger(closed, way):
    """E1, E3: 19 forms by 6 senders behind it, on four listeners, in clear and under TLS: none is taken."""
    taken = []
    for listener, secure in ((NETWORK, False), (NETWORK, True), (SUBMISSION, True), (LATE, False), (LATE, True),
                             (IMPLICIT, True)):
        with connect(closed, listener, secure) as c:
            if listener != NETWORK or "login" not in way:
                WAYS[way](c)
            lines = [line for sender in SENDERS
                     for line in ["RSET", f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{rcpt}>" for rcpt in RECIPIENTS)]]
            c.send("".join(line + "\r\n" for line in lines))
            replies = c.replies(len(lines))
            taken += [(listener, line, r) for line, r in zip(lines, replies) if line.startswith("RCPT") and r.code < 500]
            refused = {r.status for line, r in zip(lines, replies) if line.startswith("RCPT")}
            assert refused <= {"501 5.1.3", "503 5.5.1", "554 5.7.1"}, refused
            if listener in (SUBMISSION, IMPLICIT):
                # <a> is no address for anybody.
                assert {r.status for line, r in zip(lines, replies) if line.startswith("MAIL")} == {"501 5.1.7", "530 5.7.0"}
            assert c.cmd("DATA").code in (503, 554)
    assert not taken


def test_a_login_is_forgotten_with_its_session(closed):
    """E1: what ann may do, the next client of the same address may not; nor she herself when TLS begins anew."""
    with connect(closed, SUBMISSION, True) as c:
        assert login_plain(c, "ann", "x").code == 235
        c.ok("MAIL FROM:<a@b.test>")
        c.ok("RCPT TO:<u@victim.test>")
        with connect(closed, SUBMISSION, True) as other:
            assert other.cmd("MAIL FROM:<a@b.test>").status == "530 5.7.0"
    c = SecureClient(closed.ports[SUBMISSION])
    with c:
        c.ehlo()
        assert login_plain(c, "ann", "x").code == 235
        c.starttls()
        c.ehlo()
        assert c.cmd("MAIL FROM:<a@b.test>").status == "530 5.7.0"
