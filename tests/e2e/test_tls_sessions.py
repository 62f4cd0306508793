# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS towards servers: sessions to resume, the name that is asked for and checked, our own certificate, authorities."""
import ssl

import pytest

from harness import pki
from harness.client import submit
from harness.message import message, tag
from harness.tls_peer import TlsSession, peer_ca, policy_world, send, tls_world
from harness.wait import wait_until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
ONE_EACH = {"delivery": {"messages_per_connection": 1}}


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return peer_ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def tls(make, ca):
    """tls("encrypt", …): an engine, its smarthost mail.peer.test with a good certificate."""
    return lambda policy, context=None, conf=None, **more: policy_world(make, ca, policy, context, conf, **more)


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
    assert event["code"] == 451 and not e.sink.attempts and not e.sink.commands("DATA")


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


def test_authorities_are_read_again(make, ca, tmp_path):
    """The bundle is replaced: no signal, no restart."""
    path = tmp_path / "trusted.pem"
    path.write_text(ca.bad.cert)
    e = tls_world(make, ca.server(ca.good), {"relay": {"tls": "verify"}, "queue": {"schedule": ["1s"]}}, trusted=str(path))
    subject = send(e)
    assert "no trusted authority" in e.event("deferred")["reply"]
    fresh = tmp_path / "fresh.pem"
    fresh.write_text(ca.root.cert)
    fresh.rename(path)
    e.sink.with_subject(subject)
    assert e.event("outbound_tls")["certificate"] == "trusted"


def test_may_without_authorities_goes_on(make, ca, tmp_path):
    e = tls_world(make, ca.server(ca.good), {"relay": {"tls": "may"}}, trusted=str(tmp_path / "none.pem"))
    assert e.sink.with_subject(send(e))[0].session.tls
    assert e.event("outbound_tls")["certificate"] != "trusted"


# ---- the process ----

def test_no_other_tls_library_is_loaded(tls):
    """C5: only wolfSSL, linked in; libssl and libcrypto are not in the process, also after a session."""
    e = tls("verify")
    e.sink.with_subject(send(e))
    with open(f"/proc/{e.process.pid}/maps", encoding="utf-8") as f:
        maps = f.read()
    assert "libssl" not in maps and "libcrypto" not in maps and "libgnutls" not in maps
