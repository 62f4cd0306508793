# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of all kinds under each policy towards servers (C8): what is delivered how, and what the log calls it.
Four engines, one per policy, send to the same hosts; a host shows the certificate of the name it is asked for."""
import ssl

import pytest

from conftest import Makers
from dnsserver import DnsServer
from harness.certs import Ca
from harness.client import Client
from harness.message import message
from harness.ports import free_port
from harness.tls_peer import TlsSink
from harness.wait import run_all, wait_until

POLICIES = ("none", "may", "encrypt", "verify")
HOSTS = [f"127.0.0.{i}" for i in range(2, 6)]
NAMED = HOSTS[0]

# The certificate; what the log calls it; then what becomes of a message under none, may, encrypt and verify:
# plain, tls, or the code it is deferred with. (d: the domain, h: the host mx.d that is its MX.)
TABLE = """
good                    trusted             plain  tls    tls    tls
good-by-intermediate    trusted             plain  tls    tls    tls
good-with-root          trusted             plain  tls    tls    tls
good-second-name        trusted             plain  tls    tls    tls
good-wildcard           trusted             plain  tls    tls    tls
good-constraint         trusted             plain  tls    tls    tls
good-rsa                trusted             plain  tls    tls    tls
good-no-usage           trusted             plain  tls    tls    tls
serial-zero             trusted             plain  tls    tls    tls
serial-zero-issuer      trusted             plain  tls    tls    tls
serial-negative         trusted             plain  tls    tls    tls
xn--bcher-kva           trusted             plain  tls    tls    tls
expired                 expired             plain  tls    tls    4.7.5
not-yet-valid           not_yet_valid       plain  tls    tls    4.7.5
wrong-name              wrong_name          plain  tls    tls    4.7.5
domain-not-host         wrong_name          plain  tls    tls    4.7.5
cn-only                 name_in_cn_only     plain  tls    tls    4.7.5
wildcard-too-deep       wildcard_depth      plain  tls    tls    4.7.5
wildcard-of-all         wrong_name          plain  tls    tls    4.7.5
wildcard-part           wrong_name          plain  tls    tls    4.7.5
client-usage            wrong_usage         plain  tls    tls    4.7.5
code-usage              wrong_usage         plain  tls    tls    4.7.5
encipher-only           wrong_usage         plain  tls    tls    4.7.5
self-signed             self_signed         plain  tls    tls    4.7.5
self-signed-expired     self_signed         plain  tls    tls    4.7.5
unknown-ca              unknown_ca          plain  tls    tls    4.7.5
no-intermediate         unknown_ca          plain  tls    tls    4.7.5
forged-issuer           unknown_ca          plain  tls    tls    4.7.5
impostor                bad_signature       plain  tls    tls    4.7.5
old-intermediate        ca_date             plain  tls    tls    4.7.5
old-root                ca_date             plain  tls    tls    4.7.5
not-a-ca                not_a_ca            plain  tls    tls    4.7.5
path-too-long           path_too_long       plain  tls    tls    4.7.5
name-constraint         name_constraint     plain  tls    tls    4.7.5
critical-extension      critical_extension  plain  tls    tls    4.7.5
weak-key                weak_key            plain  tls    tls    4.7.5
weak-intermediate       weak_key            plain  tls    tls    4.7.5
weak-signature          weak_signature      plain  tls    tls    4.7.5
useless-key             weak_key            plain  plain  4.7.5  4.7.5
[127.0.0.3]             trusted             plain  tls    tls    tls
[127.0.0.4]             wrong_name          plain  tls    tls    4.7.5
[127.0.0.5]             wrong_name          plain  tls    tls    4.7.5
"""
ROWS = {words[0]: words[1:] for words in (line.split() for line in TABLE.strip().splitlines())}


def certificates(ca):
    """name: (the server's own, the others it shows) as in TABLE, made for the host mx.<name>.test."""
    middle = ca.authority("Middle", ca.root)
    old = ca.authority("Old", ca.root, days=(-20, -10))
    old_root = ca.authority("Old root", days=(-20, -10))
    other = ca.authority("Other root")
    false_middle = ca.authority("Middle")
    ordinary = ca.leaf(subject="Ordinary", key=("ec", 40))
    none_below = ca.authority("None below", ca.root, path_length=0)
    below = ca.authority("Below", none_below)
    only_good = ca.authority("Only good", ca.root, constraints="permitted;DNS:good-constraint.test")
    zero = ca.authority("Zero", ca.root, serial=0)
    weak = ca.authority("Weak", ca.root, key=("rsa1024", 1))
    ca.trusted = ca.bundle(ca.root, old_root)

    def leaf(name, issuer="root", names=None, **more):
        return ca.leaf(issuer, names=[f"mx.{name}.test"] if names is None else names, **more)

    return {
        "good": (leaf("good"),),
        "good-by-intermediate": (leaf("good-by-intermediate", middle), middle),
        "good-with-root": (leaf("good-with-root", middle), middle, ca.root),
        "good-second-name": (leaf("", names=["www.peer.test", "mx.good-second-name.test"]),),
        "good-wildcard": (leaf("", names=["*.good-wildcard.test"]),),
        "good-constraint": (leaf("good-constraint", only_good), only_good),
        "good-rsa": (leaf("good-rsa", key=("rsa", 0)),),
        "good-no-usage": (leaf("good-no-usage", usage=None),),
        # RFC 5280 4.1.2.2: no sound authority gives these; who uses certificates is to be gracious.
        "serial-zero": (leaf("serial-zero", serial=0),),
        "serial-zero-issuer": (leaf("serial-zero-issuer", zero), zero),
        "serial-negative": (leaf("serial-negative", serial=-5),),
        "xn--bcher-kva": (leaf("xn--bcher-kva"),),
        "expired": (leaf("expired", days=(-20, -1)),),
        "not-yet-valid": (leaf("not-yet-valid", days=(1, 20)),),
        "wrong-name": (leaf("good"),),
        "domain-not-host": (leaf("", names=["domain-not-host.test"]),),
        "cn-only": (leaf("", names=[], subject="mx.cn-only.test"),),
        "wildcard-too-deep": (leaf("", names=["*.mx.wildcard-too-deep.test"]),),
        "wildcard-of-all": (leaf("", names=["*.test"]),),
        "wildcard-part": (leaf("", names=["m*.wildcard-part.test"]),),
        "client-usage": (leaf("client-usage", usage="clientAuth"),),
        "code-usage": (leaf("code-usage", usage="codeSigning"),),
        "encipher-only": (leaf("encipher-only", key_usage="critical,keyEncipherment"),),
        "self-signed": (leaf("self-signed", None),),
        "self-signed-expired": (leaf("self-signed-expired", None, days=(-20, -1)),),
        "unknown-ca": (leaf("unknown-ca", other), other),
        "no-intermediate": (leaf("no-intermediate", middle),),
        "forged-issuer": (leaf("forged-issuer", false_middle), false_middle),
        "impostor": (leaf("impostor", false_middle), middle),
        "old-intermediate": (leaf("old-intermediate", old), old),
        "old-root": (leaf("old-root", old_root),),
        "not-a-ca": (leaf("not-a-ca", ordinary), ordinary),
        "path-too-long": (leaf("path-too-long", below), below, none_below),
        "name-constraint": (leaf("name-constraint", only_good), only_good),
        "critical-extension": (leaf("critical-extension", more={"1.2.3.4.5": "critical,DER:0500"}),),
        "weak-key": (leaf("weak-key", key=("rsa1024", 0)),),
        "weak-intermediate": (leaf("weak-intermediate", weak), weak),
        "weak-signature": (leaf("weak-signature", digest="sha1"),),
        "useless-key": (leaf("useless-key", key=("rsa512", 0)),),
        "[127.0.0.3]": (leaf("", names=[], addresses=["127.0.0.3"]),),
        "[127.0.0.4]": (leaf("", names=["mx.good.test"], addresses=["127.0.0.1"]),),
        "[127.0.0.5]": (leaf("", names=["127.0.0.5"], subject="127.0.0.5"),),
    }


def host_of(name):
    return name if name.startswith("[") else f"mx.{name}.test"


def address_of(name):
    return "bob@" + (name if name.startswith("[") else f"{name}.test")


class Matrix:
    def __init__(self, make, folder):
        ca = Ca(folder)
        shown = certificates(ca)
        assert set(shown) == set(ROWS)
        contexts = {name: ca.server(*chain, maximum=ssl.TLSVersion.TLSv1_2 if name == "useless-key" else None)
                    for name, chain in shown.items()}
        port = free_port(tuple(HOSTS))
        by_name = {host_of(n): c for n, c in contexts.items() if not n.startswith("[")}
        self.sinks = {NAMED: make.add(TlsSink(contexts["self-signed"], by_name=by_name, host=NAMED, port=port).start())}
        zone = {}
        for name in ROWS:
            if name.startswith("["):
                address = name.strip("[]")
                self.sinks[address] = make.add(TlsSink(contexts[name], host=address, port=port).start())
            else:
                zone[f"{name}.test"] = {"mx": [[10, host_of(name)]]}
                zone[host_of(name)] = {"a": [NAMED]}
        dns = make.add(DnsServer(zone).start())
        self.engines = {}
        for policy in POLICIES:
            conf = {"delivery": {"tls": policy, "mx_port": port, "private_targets": "allow"},
                    "tls": {"ca_file": ca.trusted}, "log": {"level": "debug"}, "queue": {"schedule": ["1h"]},
                    "dns": {"servers": [dns.endpoint], "timeout": "3s", "tries": 2}}
            self.engines[policy] = make.engine(conf, start=False, name=policy).spawn()
        for engine in self.engines.values():
            engine.event("ready", timeout=30)
        run_all([lambda p=p: self.submit(p) for p in POLICIES])

    def submit(self, policy):
        with Client(self.engines[policy].port) as c:
            c.ehlo()
            for name in ROWS:
                assert c.submit(message(f"{policy} {name}"), to=[address_of(name)]).code == 250
            c.quit()

    def result(self, policy, name):
        """The event that says what became of it."""
        engine = self.engines[policy]

        def decided():
            hits = [e for kind in ("delivered", "deferred", "bounced") for e in engine.events(kind, to=address_of(name))]
            return hits
        hits = wait_until(decided, 20, f"{policy} {name}")
        assert len(hits) == 1, hits
        return hits[0]

    def received(self, policy, name):
        """(message, session) at the hosts."""
        return [(m, m.session) for s in self.sinks.values() for m in list(s.messages) if m.subject == f"{policy} {name}"]


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matrix")
    makers = Makers(folder)
    yield Matrix(makers, folder)
    makers.finish()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", ROWS)
def test_what_a_certificate_is_worth(matrix, name, policy):
    """C8."""
    verdict, *columns = ROWS[name]
    expected = columns[POLICIES.index(policy)]
    result = matrix.result(policy, name)
    events = matrix.engines[policy].events("outbound_tls", peer_name=host_of(name))
    received = matrix.received(policy, name)
    if expected == "plain":
        assert result["event"] == "delivered", result
        assert [s.tls for _, s in received] == [None] and events == []
        assert policy != "none" or "STARTTLS" not in [c.verb for c in received[0][1].commands]
    elif expected == "tls":
        assert result["event"] == "delivered", result
        assert len(received) == 1 and received[0][1].tls
        assert [(e["certificate"], e["tls"]) for e in events] == [(verdict, received[0][1].tls.version)]
    else:
        assert (result["event"], result["status"], result["stage"]) == ("deferred", expected, "starttls"), result
        assert "certificate" in result["reply"] or name == "useless-key", result
        assert received == [] and events == []


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_bad_is_ever_called_trusted(matrix, policy):
    """C8."""
    bad = {host_of(name) for name, row in ROWS.items() if row[0] != "trusted"}
    for name in ROWS:
        matrix.result(policy, name)
    called = {e["peer_name"] for e in matrix.engines[policy].events("outbound_tls", certificate="trusted")}
    assert called.isdisjoint(bad)
    assert called or policy == "none"


def test_the_reason_is_told(matrix):
    """Deferred mail says what is wrong with the certificate, in words for people."""
    words = {"expired": "has expired", "self-signed": "signed by itself", "wrong-name": "another name",
             "cn-only": "common name", "weak-key": "too short", "unknown-ca": "no trusted authority"}
    for name, text in words.items():
        assert text in matrix.result("verify", name)["reply"], name
