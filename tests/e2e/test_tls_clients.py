# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of clients: who is let in by one, in whose name it may send, and that nothing but a finished handshake
makes anybody somebody (reliability.md 2 C7, C10)."""
import ssl

import pytest

from harness.client import Client
from harness.message import message
from harness.pki import Authority
from harness.tls_raw import RawHandshake
from harness.tlsclient import SecureClient, context, s_client, tls_engine, was_reused

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class Certificates:
    def __init__(self, folder):
        self.ca = Authority(folder)
        self.own = self.ca.issue("own", ["relay.example.test"], "ec", 3)


@pytest.fixture(scope="module", name="certs")
def make_certs(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="module", name="served")
def make_served(tmp_path_factory, certs):
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("served"))
    e = tls_engine(makers, [{"tls": "may", "client_ca_file": certs.ca.file, "access": "auth"}],
                   {"tls": certs.own.files, "log": {"level": "debug"}})
    yield e
    assert e.running, e.trouble()
    makers.finish()


# ---- who is let in ----

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
    with SecureClient(served.port, tls=tls) as c:
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
    """C10: A certificate alone, signed for with another key, is no identity (s_client refuses to, so by hand)."""
    tls = context(maximum=V12)
    mixed = tmp_path / "mixed.pem"
    mixed.write_bytes(people["good"].cert)
    with pytest.raises(ssl.SSLError):
        tls.load_cert_chain(str(mixed), people["any"].key_file)
    # The certificate of a finished session does not outlive it: the next session has none.
    with SecureClient(served.port, tls=context(certificate=people["good"])) as c:
        c.starttls()
    with SecureClient(served.port, session=None) as c:
        c.starttls()
        c.ehlo()
        c.ok("MAIL FROM:<alice@example.test>")
        assert c.cmd("RCPT TO:<bob@elsewhere.test>").status == "554 5.7.1"


def test_before_starttls_no_identity(served):
    with Client(served.port) as c:
        c.ehlo()
        c.ok("MAIL FROM:<alice@example.test>")
        assert c.cmd("RCPT TO:<bob@elsewhere.test>").status == "554 5.7.1"


def test_clients_with_certificates_do_not_resume(served, certs, tmp_path):
    """C7: Each session shows its certificate again."""
    words = ["-cert", certs.own.cert_file, "-key", certs.own.key_file, "-sess_out", tmp_path / "s"]
    for version in ("-tls1_2", "-tls1_3"):
        assert not was_reused(s_client(served.port, version, *words))
        if (tmp_path / "s").exists():
            assert not was_reused(s_client(served.port, version, "-sess_in", tmp_path / "s"))


# ---- handshakes that are not what they should be ----

def flight(how, c, good, other):
    """What the client says; good: who it wants to be, other: whose key it has."""
    if how == "in order":
        c.say(c.certificate(good.der))
        c.say(c.certificate_verify(good.key_file))
    elif how in ("without a certificate", "Finished twice"):
        c.say(c.certificate(None))
    elif how == "no CertificateVerify":
        c.say(c.certificate(good.der))
    elif how == "signed with another key":
        c.say(c.certificate(good.der))
        c.say(c.certificate_verify(other.key_file))
    elif how == "another handshake signed":
        c.say(c.certificate(good.der))
        c.say(c.certificate_verify(good.key_file, bytes(48)))
    elif how == "CertificateVerify first":
        c.say(c.certificate_verify(good.key_file))
        c.say(c.certificate(good.der))
    elif how == "no Certificate":
        c.say(c.certificate_verify(other.key_file))
    elif how == "another certificate afterwards":
        c.say(c.certificate(other.der))
        c.say(c.certificate_verify(other.key_file))
        c.say(c.certificate(good.der))
    elif how == "a wrong Finished":
        c.say(c.certificate(good.der))
        c.say(c.certificate_verify(good.key_file))
        c.transcript += b"x"
    if how != "no Finished":
        c.say(c.finished())
    if how == "Finished twice":
        c.say(c.finished())


BAD_FLIGHTS = ["no CertificateVerify", "signed with another key", "another handshake signed", "CertificateVerify first",
               "no Certificate", "another certificate afterwards", "a wrong Finished", "only Finished", "Finished twice",
               "no Finished"]


@pytest.mark.parametrize("how", ["in order", "without a certificate", *BAD_FLIGHTS])
def test_flights(served, people, tmp_path, how):
    """C10: an identity, and any session, only from a handshake that is finished and verified (the class of wolfSSL's
    CVE-2026-2645 and of 2025's bypasses). The first two show that the flights are right where they should be."""
    before = served.stats()
    with RawHandshake(served.port, tmp_path) as c:
        try:
            flight(how, c, people["good"], people["any"])
            c.go_on()
            c.send(b"EHLO x\r\nMAIL FROM:<a@example.test>\r\nRCPT TO:<b@elsewhere.test>\r\n")
            if how in BAD_FLIGHTS:
                assert c.ends() != "close_notify" and not c.buffer
                return
        except ConnectionError:
            assert how in BAD_FLIGHTS
            return
        codes = [r.code for r in c.replies(3)]
        assert codes == ([250, 250, 250] if how == "in order" else [250, 250, 554])
    assert served.stats()["tls_in"] == before["tls_in"] + 1


# ---- in whose name ----

SUBJECTS = {
    "/O=Ringpost/CN=app-1": "/O=Ringpost/CN=app-1",
    "/O=Ringpost/CN=app-1@": "/O=Ringpost/CN=app-1@",
    "/O=Ringpost\\/CN=app-1": "/O=Ringpost\\2FCN=app-1",      # one attribute, not two
    "/CN=app-1/O=Ringpost": "/CN=app-1/O=Ringpost",          # another order is another name
    "/CN=caf\u00e9": "/CN=caf\\C3\\A9",
    "/CN=" + "x" * 60 + "".join(f"/OU={i}" + "y" * 50 for i in range(4)): None,  # too long for a name
}


def sender(c, address):
    c.cmd("RSET")
    c.ok(f"MAIL FROM:<{address}>")
    return c.cmd("RCPT TO:<bob@elsewhere.test>").status


def test_certificates_and_senders(make, certs, tmp_path):
    """users[].allowed_from holds for the certificate whose subject is the user's name, and for no other; a certificate
    that is no user has nobody's address (sender.restrict: email)."""
    e = tls_engine(make, [{"tls": "may", "client_ca_file": certs.ca.file, "access": "auth"}],
                   {"tls": certs.own.files, "sender": {"restrict": "email"},
                    "users": [{"name": "/O=Ringpost/CN=app-1", "allowed_from": ["app@own.test"]},
                              {"name": "ann", "password": "pw", "allowed_from": ["ann@own.test"]}]})
    folder, certs.ca.folder = certs.ca.folder, str(tmp_path)
    for i, (subject, name) in enumerate(SUBJECTS.items()):
        shown = certs.ca.issue(f"client{i}", [], "ec", 20, "clientAuth", subject=subject, words=["-utf8"])
        with SecureClient(e.port, tls=context(certificate=shown)) as c:
            c.starttls()
            c.ehlo()
            mine = name == "/O=Ringpost/CN=app-1"
            assert sender(c, "app@own.test") == ("250 2.1.5" if mine else "553 5.7.1"), subject
            assert sender(c, "ann@own.test") == "553 5.7.1", subject
            assert sender(c, "x@elsewhere.test") == ("553 5.7.1" if mine else "250 2.1.5"), subject
            c.cmd("RSET")
            assert c.submit(sender="app@own.test" if mine else "x@elsewhere.test").code == 250
            user = e.event("accepted", count=i + 1)
            user = (user[-1] if isinstance(user, list) else user)["user"]
            assert user == name or (name is None and user.startswith("sha256:") and len(user) == 71), (subject, user)
    certs.ca.folder = folder
    # A login in such a session is the one that counts from then on.
    with SecureClient(e.port, tls=context(certificate=shown)) as c:
        c.starttls()
        c.ehlo()
        assert c.cmd("AUTH PLAIN AGFubgBwdw==").code == 235
        assert sender(c, "ann@own.test") == "250 2.1.5"
        assert sender(c, "x@elsewhere.test") == "553 5.7.1"


def test_a_name_of_a_certificate_is_no_login(make, certs):
    """The user without a password cannot log in, whatever is sent."""
    e = tls_engine(make, [{"tls": "may", "client_ca_file": certs.ca.file, "access": "auth"}],
                   {"tls": certs.own.files, "users": [{"name": "/CN=x", "allowed_from": ["x@own.test"]}]})
    with SecureClient(e.port) as c:
        c.starttls()
        c.ehlo()
        for words in ("AC9DTj14AA==", "AC9DTj14AC9DTj14"):
            assert c.cmd("AUTH PLAIN " + words).code in (535, 501, 502)
        assert sender(c, "x@own.test") == "554 5.7.1"
