# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS towards clients: what is negotiated, which certificate, what must never get through (reliability.md
2 C1, C3 to C7, C10), and memory. Missing and changing certificates: test_tls_reload.py."""
import re
import socket
import ssl
import subprocess
import time

import pytest

from harness.client import Client, Closed
from harness.engine import binary, measuring
from harness.message import message, sized, without_received
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
    """Nothing below TLS 1.2, no cipher without forward secrecy and authentication."""
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
    """The same bytes a moment later: the handshake has begun, so they are its ruin. Nothing runs them."""
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
    """Plaintext records after the handshake are an error, too."""
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
    """By ticket, and only where it was made: not at another listener, not under another name."""
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
    """There is no cache of sessions: without tickets there is no id to come back with, and an id that a client
    brings (here: the one openssl gives a ticket's session) is taken nowhere."""
    session = tmp_path / "session"
    text = s_client(served.ports[MAY], "-tls1_2", "-no_ticket", "-sess_out", session)
    assert negotiated(text)[0] == "TLSv1.2"
    assert re.search(r"Session-ID: *$", text, re.M) and not session.exists()
    s_client(served.ports[MAY], "-tls1_2", "-sess_out", session)
    for listener in (MAY, IMPLICIT, OTHER):
        assert not was_reused(s_client(served.ports[listener], "-tls1_2", "-no_ticket", "-sess_in", session,
                                       starttls=listener != IMPLICIT))


def test_clients_with_certificates_do_not_resume(served, certs, tmp_path):
    """Each session shows its certificate again."""
    words = ["-cert", certs.own.cert_file, "-key", certs.own.key_file, "-sess_out", tmp_path / "s"]
    for version in ("-tls1_2", "-tls1_3"):
        assert not was_reused(s_client(served.ports[CLIENTS], version, *words))
        if (tmp_path / "s").exists():
            assert not was_reused(s_client(served.ports[CLIENTS], version, "-sess_in", tmp_path / "s"))


# ---- client certificates (C10) ----

@pytest.fixture(scope="module", name="people")
def make_people(tmp_path_factory, certs):
    folder = tmp_path_factory.mktemp("people")
    other = Authority(folder, "Somebody else", 93)
    certs.ca.folder = str(folder)
    return {
        "good": certs.ca.issue("good", [], "ec", 20, "clientAuth", subject="/O=Ringpost/CN=app-1"),
        "any": certs.ca.issue("any", [], "ec", 21, None, subject="/CN=any-1"),
        "rsa": certs.ca.issue("rsa", [], "rsa", 1, "clientAuth", subject="/CN=rsa-1"),
        "stranger": other.issue("stranger", [], "ec", 20, "clientAuth"),
        "expired": certs.ca.issue("expired", [], "ec", 20, "clientAuth", days=-1),
        "server only": certs.ca.issue("server", ["relay.example.test"], "ec", 20, "serverAuth"),
        "none": None,
    }


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
@pytest.mark.parametrize("who, may", [("good", True), ("any", True), ("rsa", True), ("stranger", False),
                                      ("expired", False), ("server only", False), ("none", False)])
def test_client_certificate(served, people, who, may, version):
    """One of client_ca_file is as good as a login; any other client is as without."""
    tls = context(minimum=version, maximum=version, certificate=people[who])
    with SecureClient(served.ports[CLIENTS], tls=tls) as c:
        c.starttls()
        c.ehlo()
        c.ok("MAIL FROM:<alice@example.test>")
        reply = c.cmd("RCPT TO:<bob@elsewhere.test>")
        assert reply.status == ("250 2.1.5" if may else "554 5.7.1")
        if may:
            assert c.data(message("by certificate")).code == 250
    if who == "good":
        assert served.event("accepted", user="/O=Ringpost/CN=app-1")


def test_client_certificate_needs_its_key(served, people, tmp_path):
    """A certificate alone, signed for with another key, is no identity (s_client refuses to, so by hand)."""
    tls = context(maximum=V12)
    mixed = tmp_path / "mixed.pem"
    mixed.write_bytes(people["good"].cert)
    with pytest.raises(ssl.SSLError):
        tls.load_cert_chain(str(mixed), people["any"].key_file)
    # The certificate of a finished session does not outlive it: the next session has none.
    with SecureClient(served.ports[CLIENTS], tls=context(certificate=people["good"])) as c:
        c.starttls()
    with SecureClient(served.ports[CLIENTS], session=None) as c:
        c.starttls()
        c.ehlo()
        c.ok("MAIL FROM:<alice@example.test>")
        assert c.cmd("RCPT TO:<bob@elsewhere.test>").status == "554 5.7.1"


def test_before_starttls_no_identity(served):
    with Client(served.ports[CLIENTS]) as c:
        c.ehlo()
        c.ok("MAIL FROM:<alice@example.test>")
        assert c.cmd("RCPT TO:<bob@elsewhere.test>").status == "554 5.7.1"


# ---- time, segments, sizes ----

def test_handshake_deadline(make, certs):
    """C6: one deadline for all of it; a byte now and then does not move it."""
    e = tls_engine(make, [{"tls": "implicit"}, {"tls": "may"}],
                   {"tls": certs.own.files, "limits": {"command_timeout": "1s"}})
    bio_in, bio_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = context().wrap_bio(bio_in, bio_out, server_hostname="x.test")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    hello = bio_out.read()

    def one(port, starttls, drip):
        with Client(port, greeting=starttls, timeout=10) as c:
            if starttls:
                c.ehlo()
                assert c.cmd("STARTTLS").code == 220
            start = time.monotonic()
            c.socket.settimeout(0.1)
            for byte in hello[:-1]:
                if drip:
                    try:
                        c.socket.send(bytes([byte]))
                    except ConnectionError:
                        break
                try:
                    if not c.socket.recv(100):
                        break
                except TimeoutError:
                    if time.monotonic() - start > 8:
                        break
                except ConnectionError:
                    break
            took = time.monotonic() - start
            assert 0.7 < took < 6, took
    run_all([lambda a=a: one(*a) for a in ((e.port, False, False), (e.port, False, True), (e.ports[1], True, False),
                                           (e.ports[1], True, True))])
    e.event("inbound_trouble", reason="the client was silent for too long", count=4)
    wait_until(lambda: e.stats()["sessions"] == 0, 10, "no session")


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_one_byte_segments(served, version):
    """Handshake, commands and message, every byte of ciphertext in a segment of its own."""
    content = sized(600)
    tls = context(maximum=version)
    for listener, implicit in ((IMPLICIT, True), (MAY, False)):
        with SecureClient(served.ports[listener], implicit, tls, pieces=1) as c:
            if not implicit:
                c.starttls()
            c.ehlo()
            assert c.submit(content).code == 250
            assert c.quit().code == 221
    wait_until(lambda: sum(m.data.endswith(content) for m in served.sink.messages) == 2, 15, "both")


def test_slow_handshake(served):
    """Slow but within the deadline: taken, and nobody else waits meanwhile."""
    done = []

    def slow():
        with SecureClient(served.ports[IMPLICIT], True, pieces=7, pause=0.01) as c:
            c.pause, c.pieces = 0, 0
            c.ehlo()
            done.append(c.submit().code)

    def fast():
        for _ in range(5):
            with SecureClient(served.ports[IMPLICIT], True) as c:
                c.ehlo()
                done.append(c.submit().code)
    run_all([slow, fast])
    assert done == [250] * 6


def test_whole_session_in_one_record(served):
    """Pipelined to the limit: replies are the same as one by one; QUIT ends with close_notify."""
    text = b"EHLO x\r\n" + b"NOOP\r\n" * 20 + b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n"
    for pieces in (0, 700):
        with SecureClient(served.ports[IMPLICIT], True) as c:
            c.pieces = pieces
            c.send(text)
            assert [r.code for r in c.replies(24)] == [250] * 23 + [354]
            c.send(message() + b".\r\nNOOP\r\nQUIT\r\n")
            assert [r.code for r in c.replies(3)] == [250, 250, 221]
            assert c.said_goodbye()


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
@pytest.mark.parametrize("bdat", [False, True], ids=["data", "bdat"])
def test_big_message(served, bdat, version):
    content = sized(3 * 1024 * 1024)
    with SecureClient(served.ports[IMPLICIT], True, context(maximum=version)) as c:
        c.ehlo()
        c.envelope()
        if bdat:
            for at in range(0, len(content), 1000003):
                part = content[at:at + 1000003]
                assert c.bdat(part, at + len(part) == len(content)).code == 250
        else:
            assert c.data(content).code == 250
        c.quit()
    found = wait_until(lambda: [m for m in served.sink.messages if m.data.endswith(content[-2000:])], 15, "it")
    assert without_received(found[0].data) == content


def test_replies_nobody_reads(served):
    """A client that sends and does not read is held back, not buffered without end; the rest comes later."""
    with SecureClient(served.ports[IMPLICIT], True) as c:
        c.socket.settimeout(15)
        before = served.memory()
        sent = 0
        c.socket.setblocking(False)
        block = b"VRFY a\r\n" * 10
        try:
            while sent < 200:
                c.secure.write(block)
                c.socket.send(c.outgoing.read())
                sent += 1
        except BlockingIOError:
            pass
        assert served.memory() - before < 16 * 1024 * 1024
        c.socket.settimeout(15)
        codes = [c.reply().code for _ in range(100)]
        assert set(codes) <= {252}


def test_clients_that_vanish(served):
    """At each point of the handshake, by FIN and by RST: no session stays."""
    def hello():
        bio_in, bio_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        with pytest.raises(ssl.SSLWantReadError):
            context().wrap_bio(bio_in, bio_out, server_hostname="x.test").do_handshake()
        return bio_out.read()
    base = wait_until(lambda: served.stats()["sessions"] == 0 or None, 10, "an idle engine")
    assert base
    data = hello()
    for cut in (0, 1, 5, 40, len(data) - 1, len(data)):
        for reset in (False, True):
            c = Client(served.ports[IMPLICIT], greeting=False)
            c.send(data[:cut])
            if reset:
                c.reset()
            c.close()
    with SecureClient(served.ports[IMPLICIT], True) as c:
        c.ehlo()
        c.envelope()
        c.reset()
    wait_until(lambda: served.stats()["sessions"] == 0, 10, "no session")


def test_stop(make, certs):
    """SIGTERM: idle sessions hear 421 under TLS; those that shake hands are cut; it ends at once."""
    e = tls_engine(make, [{"tls": "implicit"}], {"tls": certs.own.files, "shutdown": {"deadline": "20s"}})
    with SecureClient(e.port, True) as idle, Client(e.port, greeting=False) as shaking:
        idle.ehlo()
        shaking.send(b"\x16\x03\x01")
        e.terminate()
        assert idle.reply().status == "421 4.3.2"
        assert idle.said_goodbye()
        assert shaking.closed()
        start = time.monotonic()
        assert e.wait() == 0 and time.monotonic() - start < 5


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
