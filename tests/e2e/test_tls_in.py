# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS towards clients: what is negotiated, which certificate, what must never get through (reliability.md
2 C1, C3 to C5, C7), and memory. Missing and changing certificates: test_tls_reload.py; time: test_tls_segments.py;
certificates of clients: test_tls_clients.py."""
import re
import socket
import ssl
import subprocess
import time

import pytest

from harness.client import Client, Closed
from harness.engine import binary, measuring
from harness.message import message
from harness.pki import Authority
from harness.tlsclient import SecureClient, context, mapped, negotiated, s_client, tls_engine, was_reused
from harness.wait import run_all, wait_until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
MAY, IMPLICIT, ENCRYPT, OTHER, CLIENTS = range(5)


class Certificates:
    def __init__(self, folder):
        self.ca = Authority(folder)
        self.rsa = self.ca.issue("rsa", ["relay.example.test"], "rsa")
        self.ec = self.ca.issue("ec", ["relay.example.test"], "ec", 0)
        self.mail = self.ca.issue("mail", ["mail.example.test", "smtp.example.test"], "ec", 1)
        self.wild = self.ca.issue("wild", ["*.pool.example.test"], "ec", 2)
        self.own = self.ca.issue("own", ["own.example.test"], "ec", 3)

    def listed(self, *names):
        chosen = [getattr(self, n) for n in names]
        return {"cert_file": [c.cert_file for c in chosen], "key_file": [c.key_file for c in chosen]}


@pytest.fixture(scope="module", name="certs")
def make_certs(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="module", name="served")
def make_served(tmp_path_factory, certs):
    """One engine with a listener of each kind, for tests that leave it as it was."""
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("served"))
    e = tls_engine(makers, [{"tls": "may"}, {"tls": "implicit"}, {"tls": "encrypt"},
                            {"tls": "may", **certs.own.files},
                            {"tls": "may", "client_ca_file": certs.ca.file, "access": "auth"}],
                   {"tls": certs.listed("rsa", "ec", "mail", "wild"), "log": {"level": "debug"}})
    yield e
    assert e.running, e.trouble()
    makers.finish()


# ---- versions and ciphers (C5) ----

BAD = [["-tls1", "-cipher", "ALL:@SECLEVEL=0"], ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
       *(["-tls1_2", "-cipher", c + ":@SECLEVEL=0"] for c in (
           "AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA256", "ECDHE-RSA-AES128-SHA",
           "ECDHE-RSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256",
           "DHE-RSA-CHACHA20-POLY1305", "aNULL", "eNULL", "3DES", "CAMELLIA", "ARIA", "PSK", "kRSA", "SHA1")),
       ["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"], ["-tls1_3", "-groups", "ffdhe2048"]]
GOOD = [*(["-tls1_2", "-cipher", c] for c in (
            "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305",
            "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305")),
        *(["-tls1_3", "-ciphersuites", c] for c in (
            "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")),
        *(["-groups", g] for g in ("X25519", "P-256", "P-384"))]


@pytest.mark.parametrize("listener, starttls", [(MAY, True), (IMPLICIT, False)], ids=["starttls", "implicit"])
@pytest.mark.parametrize("half", [0, 1])
def test_weak_is_refused(served, listener, starttls, half):
    """C5: Nothing below TLS 1.2, no cipher without forward secrecy and authentication."""
    taken = []

    def one(words):
        found = negotiated(s_client(served.ports[listener], *words, starttls=starttls))
        if found != (None, None):
            taken.append((words, found))
    run_all([lambda w=w: one(w) for w in BAD[half::2]])
    assert not taken


@pytest.mark.parametrize("listener, starttls", [(MAY, True), (IMPLICIT, False)], ids=["starttls", "implicit"])
def test_good_is_taken(served, listener, starttls):
    refused = []

    def one(words):
        found = negotiated(s_client(served.ports[listener], *words, starttls=starttls))
        version = "TLSv1.2" if words[0] == "-tls1_2" else "TLSv1.3"
        if found[0] != version or (len(words) > 2 and found[1] != words[2]):
            refused.append((words, found))
    run_all([lambda w=w: one(w) for w in GOOD])
    assert not refused


def test_no_early_data_no_compression(served, tmp_path):
    """C5."""
    session = tmp_path / "session"
    text = s_client(served.ports[IMPLICIT], "-tls1_3", "-sess_out", session, starttls=False)
    assert negotiated(text)[0] == "TLSv1.3" and "Compression: NONE" in text
    facts = subprocess.run(["openssl", "sess_id", "-in", str(session), "-noout", "-text"], capture_output=True,
                           text=True, check=True).stdout
    assert "Max Early Data: 0" in facts
    text = s_client(served.ports[IMPLICIT], "-tls1_2", starttls=False)
    assert "Compression: NONE" in text


def test_what_is_no_tls(served):
    """Another protocol on a TLS port, and TLS on a port for SMTP: an end, and nothing of the input comes back."""
    for hello in (b"EHLO x\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x80\x2e\x01\x00\x02" + bytes(60),
                  b"\x16\x03\x01\xff\xff" + b"\1" * 300, b"\x16\x03\x01\0\0" * 40, bytes(5)):
        with Client(served.ports[IMPLICIT], greeting=False) as c:
            c.send(hello)
            c.socket.shutdown(socket.SHUT_WR)
            c.socket.settimeout(10)
            got = b""
            try:
                while data := c.socket.recv(4096):
                    got += data
            except ConnectionError:
                pass
            assert got == b"" or (got[0] == 21 and len(got) == 7), (hello, got)
    with Client(served.ports[MAY]) as c:
        c.send(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(100) + b"\n")
        assert [r.status for r in c.rest()] == ["554 5.5.2"]
    assert served.event("inbound_trouble", tls="not_tls")["reason"] == "TLS failed"


# ---- which certificate ----

EC_ONLY = "ECDHE-ECDSA-AES128-GCM-SHA256"
RSA_ONLY = "ECDHE-RSA-AES128-GCM-SHA256"


@pytest.mark.parametrize("name, maximum, ciphers, wanted", [
    ("relay.example.test", V13, None, "ec"),
    ("relay.example.test", V12, None, "ec"),
    ("RELAY.example.TEST", V12, RSA_ONLY, "rsa"),
    ("relay.example.test", V12, EC_ONLY, "ec"),
    ("mail.example.test", V13, None, "mail"),
    ("smtp.example.test", V12, None, "mail"),
    ("a.pool.example.test", V13, None, "wild"),
    ("a.b.pool.example.test", V13, None, "ec"),   # a wildcard is one label: the default's name
    ("unknown.test", V13, None, "ec"),
    ("unknown.test", V12, RSA_ONLY, "rsa"),
    (None, V13, None, "ec"),
    ("mail.example.test", V12, RSA_ONLY, "rsa"),  # no certificate of that name for this client: better than none
])
def test_sni(served, certs, name, maximum, ciphers, wanted):
    tls = context(maximum=maximum, ciphers=ciphers)
    for listener, implicit in ((MAY, False), (IMPLICIT, True)):
        with SecureClient(served.ports[listener], implicit, tls, name) as c:
            if not implicit:
                c.starttls()
            assert c.certificate() == getattr(certs, wanted).der


def test_own_certificate(served, certs):
    """A listener's own files replace the common ones, whatever name is asked for; and it verifies."""
    with SecureClient(served.ports[OTHER], tls=context(certs.ca.file), name="own.example.test") as c:
        assert c.starttls().certificate() == certs.own.der
        c.ehlo()
        assert c.submit().code == 250
    with SecureClient(served.ports[OTHER], name="mail.example.test") as c:
        assert c.starttls().certificate() == certs.own.der


def test_chain_is_sent(make, certs, tmp_path):
    """Everything in the file goes out, not only its first certificate."""
    path = tmp_path / "chain.pem"
    with open(certs.ca.file, "rb") as f:
        path.write_bytes(certs.own.cert + f.read())
    e = tls_engine(make, [{"tls": "implicit", "cert_file": str(path), "key_file": certs.own.key_file}])
    text = s_client(e.port, "-showcerts", starttls=False)
    assert text.split("Server certificate")[0].count("-----BEGIN CERTIFICATE-----") == 2


# ---- STARTTLS ----

def test_starttls_then_everything_is_new(served):
    """C3: what was said before the handshake is forgotten."""
    with SecureClient(served.ports[MAY]) as c:
        words = c.keywords()
        assert "STARTTLS" in words
        c.ok("NOOP")
        c.cmd("STARTTLS")
        c.handshake()
        assert c.cmd("MAIL FROM:<a@example.test>").status == "503 5.5.1"
        words = c.keywords()
        assert "STARTTLS" not in words and "PIPELINING" in words
        assert c.cmd("STARTTLS").status == "554 5.5.1"
        assert c.submit(message("secret-way")).code == 250
        assert c.quit().code == 221
    received = served.sink.with_subject("secret-way")[0].data.split(b"\r\n\r\n")[0]
    assert re.match(rb"Received: from client\.example\.test .*with ESMTPS", received, re.S), received


def test_starttls_states(served):
    """C4."""
    with Client(served.ports[MAY]) as c:
        assert c.cmd("STARTTLS now").status == "501 5.5.4"
        c.ehlo()
        c.ok("MAIL FROM:<a@example.test>")
        assert c.cmd("STARTTLS").status == "503 5.5.1"
        c.ok("RCPT TO:<b@example.test>")
        assert c.cmd("STARTTLS").status == "503 5.5.1"
        c.ok("RSET")
        assert c.cmd("starttls").status == "220 2.0.0"


def test_starttls_not_there(make):
    """C4."""
    with Client(make.relay().port) as c:
        assert "STARTTLS" not in c.keywords()
        assert c.cmd("STARTTLS").status == "502 5.5.1"
        assert c.submit().code == 250


def test_encrypt_is_needed(served):
    with SecureClient(served.ports[ENCRYPT]) as c:
        c.ehlo()
        for line in ("MAIL FROM:<a@example.test>", "RSET", "RCPT TO:<b@example.test>", "VRFY x", "AUTH PLAIN AAA=",
                     "DATA"):
            assert c.cmd(line).status == "530 5.7.0", line
        c.ok("NOOP")
        c.ok("HELO x")
        c.starttls()
        c.ehlo()
        assert c.submit().code == 250


@pytest.mark.parametrize("text", [
    b"EHLO x\r\n|STARTTLS\r\nRSET\r\n",
    b"STARTTLS\r\nEHLO y\r\n",
    b"EHLO x\r\nSTARTTLS\r\nMAIL FROM:<evil@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n",
    b"EHLO x\r\nNOOP\r\nSTARTTLS\r\n\r\n",
    b"EHLO x\r\nSTARTTLS\r\n\x16\x03\x01",
    b"EHLO x\r\nSTARTTLS\r\n\0",
])
def test_injection(served, text):
    """C1 (CVE-2011-0411): whatever stands behind STARTTLS in the same segment ends the session."""
    with Client(served.ports[MAY]) as c:
        for part in text.split(b"|"):
            c.send(part)
            time.sleep(0.05 if b"|" in text else 0)
        replies = c.rest()
        assert replies[-1].status == "554 5.5.0", replies
        assert all(r.code == 250 for r in replies[:-1])


def test_injection_in_other_segments(served):
    """C1: The same bytes a moment later: the handshake has begun, so they are its ruin. Nothing runs them."""
    def one(pause):
        with Client(served.ports[MAY]) as c:
            c.ehlo()
            c.send(b"STARTTLS\r\n")
            time.sleep(pause)
            c.send(b"EHLO injected.example\r\nQUIT\r\n")
            got = b""
            c.socket.settimeout(10)
            try:
                while data := c.socket.recv(4096):
                    got += data
            except ConnectionError:
                pass
            assert b"250" not in got and b"221" not in got, got
            assert re.fullmatch(rb"(554 5\.5\.0 [^\r]*\r\n|220 [^\r]*\r\n(\x15\x03.{5})?)", got, re.S), got
    run_all([lambda p=p: one(p) for p in (0, 0.0003, 0.001, 0.003, 0.01, 0.05)])


def test_injection_behind_finished(served):
    """C1: Plaintext records after the handshake are an error, too."""
    with SecureClient(served.ports[MAY]) as c:
        c.starttls()
        c.ehlo()
        c.socket.sendall(b"RSET\r\n")
        with pytest.raises((Closed, ssl.SSLError)):
            c.reply()


# ---- resumption (C7) ----

KINDS = {"1.2 ticket": "-tls1_2", "1.3 psk": "-tls1_3"}


@pytest.mark.parametrize("kind", KINDS)
def test_resumption(served, kind, tmp_path):
    """C7: By ticket, and only where it was made: not at another listener, not under another name."""
    words = [KINDS[kind], "-servername", "relay.example.test"]
    session = tmp_path / "session"

    def again(listener, *more):
        return was_reused(s_client(served.ports[listener], *words, *more, "-sess_in", session,
                                   starttls=listener != IMPLICIT))
    for made in (MAY, IMPLICIT):
        text = s_client(served.ports[made], *words, "-sess_out", session, starttls=made != IMPLICIT)
        assert not was_reused(text)
        assert again(made)
        for other in (MAY, IMPLICIT, ENCRYPT, OTHER, CLIENTS):
            assert other == made or not again(other), other
    words[-1] = "mail.example.test"
    assert not again(IMPLICIT)


def test_session_ids(served, tmp_path):
    """C7: There is no cache of sessions: without tickets there is no id to come back with, and an id that a client
    brings (here: the one openssl gives a ticket's session) is taken nowhere."""
    session = tmp_path / "session"
    text = s_client(served.ports[MAY], "-tls1_2", "-no_ticket", "-sess_out", session)
    assert negotiated(text)[0] == "TLSv1.2"
    assert re.search(r"Session-ID: *$", text, re.M) and not session.exists()
    s_client(served.ports[MAY], "-tls1_2", "-sess_out", session)
    for listener in (MAY, IMPLICIT, OTHER):
        assert not was_reused(s_client(served.ports[listener], "-tls1_2", "-no_ticket", "-sess_in", session,
                                       starttls=listener != IMPLICIT))


# ---- the process ----

def test_memory_of_idle_sessions(make, certs):
    """At most 20 KiB each (the sanitised build needs more; its bound is 40)."""
    count = 500
    e = tls_engine(make, [{"tls": "implicit"}], {"tls": certs.own.files}, env=measuring())
    tls = context(minimum=V13)

    def open_some(n):
        out = []
        for _ in range(n):
            c = SecureClient(e.port, True, tls)
            c.ehlo()
            out.append(c)
        return out
    clients = open_some(20)  # what is allocated once
    before = e.memory()
    clients += open_some(count)
    each = (e.memory() - before) / count
    with open(binary(), "rb") as f:
        sanitized = b"__asan_init" in f.read()
    assert each <= (40 if sanitized else 20) * 1024, each
    for c in clients:
        c.close()
    wait_until(lambda: e.stats()["sessions"] == 0, 15, "no session")


def test_no_openssl_in_the_process(served):
    """Neither linked nor loaded later."""
    linked = subprocess.run(["ldd", binary()], capture_output=True, text=True, check=True).stdout
    assert not re.search("libssl|libcrypto|libgnutls|libnss3", linked), linked
    names = mapped(served.process.pid)
    assert names and not [n for n in names if re.match("lib(ssl|crypto|gnutls|nss3)", n)], names
