# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenDKIM and rspamd on what the engine signed: the corpus of traps in every canonicalisation, every kind of key,
changes on the way. Both get the keys from DNS, in several strings as they must be for RSA. (dkimpy's turn:
test_dkim_engine.py, test_dkim_sign.py.)

Where a verifier does not follow RFC 6376 the exception is listed, is exact, and is shown to be the verifier's own:
it does not accept dkimpy's signature of that message either, and the others accept ours."""
import base64
import random

import dkim
import pytest

import dkim_corpus
from dnsserver import DnsServer
from harness.dkim_rig import CANONS, EVERYTHING, REFUSED_BY_SMTP, Key, through, verify
from harness.pki import openssl
from harness.verifiers import OpenDkim, Rspamd

KINDS = ("rsa2048", "rsa3072", "rsa4096", "ed25519")
BOTH = ("rsa2048", "ed25519")

# Domains whose key in DNS is not the one that signs.
BAD_RECORDS = ("another.example.org", "revoked.example.org", "missing.example.org")

# rspamd takes a body of nothing but white space for one empty line where 3.4.4 makes it nothing, loses a space where
# its buffer of 1 KiB ends, and takes VT and FF for white space. "artificially break DKIM check", its log says of
# fields that RFC 5322 3.6 wants once.
RSPAMD_BODIES = {"body: only wsp", "body: only wsp lines", "body: line of 70000", "body: stage edges", "body: formfeed"}
RSPAMD_UNIQUE = {"header: duplicate subjects", "header: duplicates with case", "header: many recipients fields"}


def refused_by(verifier, canon):
    if isinstance(verifier, OpenDkim):
        return set()
    return RSPAMD_UNIQUE | (RSPAMD_BODIES if canon.endswith("/relaxed") else set())


def domain_of(canon):
    return canon.replace("/", "-") + ".example.org"


class Setup:
    """One engine that signs for a domain per canonicalisation, with RSA-2048 and Ed25519, and for KIND.domain with a
    key of that kind alone; a name server with all the keys."""

    def __init__(self, makers, folder):
        self.keys = {kind: Key(folder, kind, kind) for kind in KINDS}
        domains, zone = [], {}
        for canon in CANONS:
            for domain, kinds in [(domain_of(canon), BOTH)] + [(f"{k}.{domain_of(canon)}", [k]) for k in KINDS]:
                for kind in kinds:
                    key = self.keys[kind]
                    domains.append(key.listed(domain, dkim_canonicalization=canon))
                    zone[f"{kind}._domainkey.{domain}"] = {"txt": [key.strings]}
        for domain in BAD_RECORDS:
            domains.append(self.keys["rsa2048"].listed(domain))
        zone["rsa2048._domainkey.another.example.org"] = {"txt": [self.keys["rsa3072"].strings]}
        zone["rsa2048._domainkey.revoked.example.org"] = {"txt": ["v=DKIM1; k=rsa; p="]}
        self.dns = makers.add(DnsServer(zone).start())
        self.engine = makers.relay({"domains": domains, "dkim": {"subdomains": True}, **EVERYTHING})
        self.arrived = {}

    def corpus(self, canon):
        """[(name, what arrived)]; sent once."""
        if canon not in self.arrived:
            names, contents = zip(*[(n, c) for n, c in dkim_corpus.messages() if n not in REFUSED_BY_SMTP])
            author = b"joe@" + domain_of(canon).encode()
            contents = [c.replace(b"joe@example.org", author) for c in contents]
            self.arrived[canon] = list(zip(names, through(self.engine, *contents)))
        return self.arrived[canon]

    def send(self, domain, body=b"hello  world\r\n\r\n"):
        return through(self.engine, dkim_corpus.HEAD.replace(b"example.org", domain.encode()) + b"\r\n" + body)[0]


@pytest.fixture(scope="module", name="setup")
def make_setup(tmp_path_factory):
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("verifiers"))
    yield Setup(makers, tmp_path_factory.mktemp("keys"))
    makers.finish()


@pytest.fixture(scope="module", name="verifier", params=[OpenDkim, Rspamd], ids=["opendkim", "rspamd"])
def make_verifier(request, setup):
    verifier = request.param(setup.dns)
    yield verifier
    verifier.close()


def passes(domain, kinds=BOTH):
    return sorted((domain, kind, "pass") for kind in kinds)


def judged(verifier, message, ours):
    """Its results for our signatures, without those of others."""
    return sorted(r for r in verifier.check(message) if r[0] == ours)


# ---- it verifies ----

@pytest.mark.parametrize("canon", CANONS)
def test_every_trap(setup, verifier, canon):
    """G3."""
    domain = domain_of(canon)
    wrong = {}
    for name, got in setup.corpus(canon):
        results = judged(verifier, got, domain)
        if results != passes(domain):
            wrong[name] = results
    assert wrong.keys() == refused_by(verifier, canon), wrong


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("canon", CANONS)
def test_every_key(setup, verifier, kind, canon):
    domain = f"{kind}.{domain_of(canon)}"
    assert verifier.check(setup.send(domain)) == passes(domain, [kind])


def test_subdomains(setup, verifier):
    """d= is the domain that has the key."""
    domain = domain_of("relaxed/relaxed")
    assert sorted(verifier.check(setup.send("a.b." + domain))) == passes(domain)


def test_random_messages(setup, verifier):
    """G3. What rspamd breaks on purpose or by mistake random messages would meet all the time: nothing with it."""
    seed = random.SystemRandom().getrandbits(32)
    for canon in CANONS:
        domain = domain_of(canon)
        contents = [c.replace(b"joe@example.org", b"joe@" + domain.encode())
                    for _, c in dkim_corpus.random_messages(f"{seed}/{canon}", 40)]
        for content, got in zip(contents, through(setup.engine, *contents)):
            results = verifier.check(got)
            if isinstance(verifier, OpenDkim):
                assert sorted(results) == passes(domain), (seed, canon, content)
                verify(got, [setup.keys[kind] for kind in BOTH], domain.encode())  # dkimpy on the same bytes
            else:
                assert sorted(r[:2] for r in results) == [r[:2] for r in passes(domain)], (seed, canon, content)


# ---- it does not ----

@pytest.mark.parametrize("old, new", [
    (b"hello", b"hellp"), (b"Subject: trap", b"Subject: tr4p"), (b"joe@", b"jim@"), (b"ann@", b"eve@"),
    (b"hello  world", b"hello  world\r\nappended"),
    (b"\r\n\r\nhello", b"\r\nCc: eve@example.org\r\n\r\nhello"),
    (b"\r\n\r\nhello", b"\r\nReply-To: eve@example.org\r\n\r\nhello"),
    (b"\r\n\r\nhello", b"\r\nContent-Type: text/html\r\n\r\nhello"),
    (b"\r\n\r\nhello", b"\r\nDate: other\r\n\r\nhello"),
    (b"From: ", b"From: eve@example.org\r\nFrom: "),
], ids=["body", "subject", "from", "to", "appended", "cc", "reply-to", "content-type", "second date", "second from"])
@pytest.mark.parametrize("canon", ["relaxed/relaxed", "simple/simple"])
def test_changed_on_the_way(setup, verifier, canon, old, new):
    """G2. Also the proof that these verifiers can say no."""
    domain = domain_of(canon)
    got = setup.send(domain)
    assert sorted(verifier.check(got)) == passes(domain)
    changed = got.replace(old, new, 1)
    assert changed != got
    results = verifier.check(changed)
    assert not any(r[2] == "pass" for r in results), results


def test_white_space_only(setup, verifier):
    """Relaxed lets it change, simple does not."""
    for canon, good in (("relaxed/relaxed", True), ("simple/simple", False)):
        domain = domain_of(canon)
        changed = setup.send(domain).replace(b"hello  world", b"hello world \t").replace(b"Subject: trap", b"subject:\r\n trap ")
        assert (sorted(verifier.check(changed)) == passes(domain)) == good


@pytest.mark.parametrize("domain", BAD_RECORDS)
def test_bad_records(setup, verifier, domain):
    """The signature is sound, but what DNS has for it is not."""
    results = verifier.check(setup.send(domain))
    assert [r[:2] for r in results] == [(domain, "rsa2048")] and results[0][2] != "pass", results


def test_not_signed(setup, verifier):
    assert not [r for r in verifier.check(setup.send("nobody.example")) if r[2] == "pass"]


@pytest.mark.parametrize("canon", CANONS)
def test_obsolete(setup, verifier, canon):
    """What nobody agrees upon: a space before the colon is no header to them; in relaxed headers they (and dkimpy)
    take VT and FF for the WSP of 3.4.2, which is SP and HTAB. Where nothing is stripped, all agree."""
    domain = domain_of(canon)
    corpus = dict(dkim_corpus.obsolete())
    names = ["wsp before the colon", "formfeed at the edge of a value"]
    contents = [corpus[n].replace(b"joe@example.org", b"joe@" + domain.encode()) for n in names]
    colon, formfeed = (sorted(verifier.check(got)) for got in through(setup.engine, *contents))
    assert not any(r[2] == "pass" for r in colon), colon
    assert (formfeed == passes(domain)) == canon.startswith("simple/"), formfeed


# ---- the exceptions are theirs ----

@pytest.mark.parametrize("canon", CANONS)
def test_refuses_dkimpys_too(setup, verifier, canon):
    """What a verifier refuses of ours it refuses of dkimpy's, for the same message and key."""
    with open(setup.keys["ed25519"].path, "rb") as f:
        seed = base64.b64encode(openssl("pkey", "-outform", "DER", stdin=f.read())[-32:])
    domain = domain_of(canon)
    corpus = dict(dkim_corpus.messages())
    for name in ["body: plain", *refused_by(verifier, canon)]:
        message = corpus[name].replace(b"joe@example.org", b"joe@" + domain.encode())
        field = dkim.sign(message, b"ed25519", domain.encode(), seed, signature_algorithm=b"ed25519-sha256",
                          canonicalize=tuple(canon.encode().split(b"/")))
        results = verifier.check(field + message)
        assert (results == passes(domain, ["ed25519"])) == (name == "body: plain"), (name, results)
