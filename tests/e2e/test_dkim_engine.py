# SPDX-License-Identifier: GPL-3.0-or-later
"""DKIM in the engine: what arrives at the far end verifies, whatever its size and the changes on its way; what has
no key arrives as it was. (The algorithms themselves: test_dkim_sign.py.)"""
import os
import re
import signal
import subprocess

import dkim
import pytest

import dkim_corpus
from harness.client import Client
from harness.dkim_rig import CANONS, EVERYTHING, REFUSED_BY_SMTP, Key, signatures, tags, through, verify
from harness.engine import binary, sanitizer_environment
from harness.message import sized, split_received, tag
from harness.pki import openssl
from harness.tlsclient import open_port
from harness.wait import wait_until

NO_RECEIVED = {"headers": {"received": "none"}}


@pytest.fixture(scope="module", name="keys")
def make_keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: Key(folder, name, kind) for name, kind in (("rsa", "rsa2048"), ("ed", "ed25519"), ("other", "ed25519"))}


@pytest.fixture(scope="module", name="served")
def make_served(tmp_path_factory, keys):
    """Two keys for example.org and what is below it, none for others."""
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("served"))
    e = makers.relay({"domains": [keys["rsa"].listed(), keys["ed"].listed()], "dkim": {"subdomains": True}, **EVERYTHING})
    yield e
    assert e.running, e.trouble()
    makers.finish()


def from_(author, subject=None, body=b"hello\r\n", more=b""):
    return (b"From: " + author.encode() + b"\r\nTo: ben@far.test\r\nSubject: " + (subject or tag()).encode() +
            b"\r\nDate: Fri, 21 Nov 2025 10:00:00 +0000\r\n" + more + b"\r\n" + body)


# ---- it verifies ----

def test_signed_by_both(served, keys):
    """G2: each name once more than there are fields of it."""
    got = through(served, from_("Joe <joe@example.org>"))[0]
    verify(got, [keys["rsa"], keys["ed"]])
    assert got.startswith(b"DKIM-Signature: ")
    assert {tags(f)[b"a"] for f in signatures(got)} == {b"rsa-sha256", b"ed25519-sha256"}
    for field in signatures(got):
        names = tags(field)[b"h"].lower().replace(b" ", b"").split(b":")
        for once in (b"from", b"to", b"subject", b"date"):
            assert names.count(once) == 2  # one more than there are
        for absent in (b"cc", b"reply-to", b"content-type"):
            assert names.count(absent) == 1
        assert b"received" not in names


@pytest.mark.parametrize("bdat", [0, 100000, 1 << 20], ids=["data", "bdat 100 kB", "bdat 1 MiB"])
def test_sizes(served, keys, bdat):
    """Around what is kept in memory and cut into fragments (128 KiB), and well above."""
    base = 128 * 1024
    sizes = [400, 5000, base - 2000, *(base + d for d in (-700, -600, -500, -400, -1, 0, 1)), 2 * base, 2 * base + 1,
             1000003]
    contents = []
    for size in sizes:
        head = from_("joe@example.org", body=b"")
        contents.append(head + sized(size)[-(size - len(head)):])
    for content, got in zip(contents, through(served, *contents, bdat=bdat)):
        verify(got, [keys["rsa"], keys["ed"]])
        assert got.endswith(content)


def test_big(served, keys):
    content = from_("joe@example.org", body=b"The quick brown fox  jumps \t over\r\n" * 60000)
    got = through(served, content, bdat=1 << 20)[0]
    verify(got, [keys["rsa"], keys["ed"]])
    assert got.endswith(content)


@pytest.mark.parametrize("canon", CANONS)
def test_every_trap(make, keys, canon):
    """G3: the corpus through SMTP. What SMTP refuses (NUL, bare CR) is not there."""
    e = make.relay({"domains": [keys["ed"].listed(dkim_canonicalization=canon)], **EVERYTHING})
    names, contents = zip(*[m for m in dkim_corpus.messages() if m[0] not in REFUSED_BY_SMTP])
    failed = []
    for name, content, got in zip(names, contents, through(e, *contents)):
        own = name == "header: signed already"
        try:
            verify(got, [keys["ed"]], count=2 if own else 1)
        except (AssertionError, dkim.DKIMException) as error:
            failed.append((name, str(error)[:300]))
        assert got.rstrip(b"\r\n").endswith(content.rstrip(b"\r\n")), name
        assert tags(signatures(got)[0])[b"c"] == canon.encode()
    assert not failed


def test_header_changes_come_first(make, keys):
    """headers.strip, headers.add_missing and our Received: what is signed is what leaves."""
    e = make.relay({"domains": [keys["rsa"].listed(dkim_canonicalization="simple/simple")],
                    "headers": {"strip": ["X-Secret", "Received", "Reply-To"], "add_missing": True}})
    more = b"Received: from a\r\n by b; now\r\nReply-To: x@y.test\r\nX-Secret: 1\r\n"
    body = b"X-Secret: stays in the body\r\n"
    plain, no_date, big = through(
        e, from_("joe@example.org", more=more, body=body),
        b"Reply-To: q@y.test\r\nFrom: joe@example.org\r\nX-Secret: 2\r\n\r\n" + body,
        from_("joe@example.org", more=more, body=body * 20000))
    for got in (plain, no_date, big):
        verify(got, [keys["rsa"]])
        header, rest = got.split(b"\r\n\r\n", 1)
        assert b"\r\nX-Secret" not in header and b"\r\nReply-To" not in header and rest.startswith(body)
        assert header.count(b"\r\nReceived: ") == 1
        names = tags(signatures(got)[0])[b"h"].lower().replace(b" ", b"").split(b":")
        assert names.count(b"date") == 2 and names.count(b"message-id") >= 1
    assert re.search(rb"\r\nDate: .*\r\n", no_date) and re.search(rb"\r\nMessage-ID: <", no_date, re.I)


def test_changed_on_the_way_fails(served, keys):
    """The check of this file's own checks."""
    got = through(served, from_("joe@example.org"))[0]
    for old, new in ((b"hello", b"hallo"), (b"\r\n\r\n", b"\r\nCc: eve@x.test\r\n\r\n"), (b"ben@", b"eve@")):
        changed = got.replace(old, new, 1)
        assert changed != got
        with pytest.raises((AssertionError, dkim.DKIMException)):
            verify(changed, [keys["rsa"], keys["ed"]])


def test_all_copies_are_one(served, keys):
    """Signed once per content: every recipient's copy has the same signature."""
    subject = tag()
    with Client(served.port) as c:
        c.ehlo()
        c.envelope(to=[f"u{i}@far{i % 3}.test" for i in range(12)])
        assert c.data(from_("joe@example.org", subject)).code == 250
    wait_until(lambda: sum(len(m.rcpts) for m in served.sink.messages if m.subject == subject) == 12, 15, "all")
    copies = {m.data for m in served.sink.messages if m.subject == subject}
    assert len(copies) == 1
    verify(copies.pop(), [keys["rsa"], keys["ed"]])


def test_retries_are_the_same(make, keys):
    """Signed once: what is sent seconds later has the time of the first copy in it."""
    e = make.relay({"domains": [keys["rsa"].listed()], "queue": {"schedule": ["2s"], "jitter": 0}})
    e.sink.script["rcpt"] = [None, "451 4.2.1 later"]
    with Client(e.port) as c:
        c.ehlo()
        c.envelope(to=["a@far.test", "b@far.test"])
        assert c.data(from_("joe@example.org")).code == 250
    first, later = e.sink.wait(2, timeout=20)
    assert later.at - first.at > 1 and first.data == later.data
    verify(later.data, [keys["rsa"]])


def test_signed_before(served, keys):
    """Somebody else's signature stays, and stays good."""
    with open(keys["other"].path, "rb") as f:
        pem = f.read()
    seed = openssl("pkey", "-outform", "DER", stdin=pem)[-32:]
    import base64
    content = from_("joe@example.org", more=b"X-Number: inside\r\n")
    mine = dkim.sign(content, b"other", b"list.test", base64.b64encode(seed), signature_algorithm=b"ed25519-sha256",
                     include_headers=[b"from", b"subject"])
    got = through(served, mine + content)[0]
    verify(got, [keys["rsa"], keys["ed"]], count=3)
    d = dkim.DKIM(got)
    assert d.verify(idx=2, dnsfunc=lambda name, timeout=5: keys["other"].record)
    assert d.signature_fields[b"d"] == b"list.test"


def test_smtputf8(served, keys):
    content = "From: Jö <jö@example.org>\r\nSubject: ü\r\n\r\nä\r\n".encode()
    subject = tag()
    with Client(served.port) as c:
        c.ehlo()
        c.envelope("jö@example.org", "bén@far.test", "SMTPUTF8")
        assert c.data(b"X-Number: " + subject.encode() + b"\r\n" + content).code == 250
    found = wait_until(lambda: [m for m in served.sink.messages if subject.encode() in m.data], 15, "it")
    verify(found[0].data, [keys["rsa"], keys["ed"]])


def test_pipeline_of_many(served, keys):
    """Signatures are made on other threads; sessions side by side do not mix theirs."""
    from harness.wait import run_all
    out = []

    def one(n):
        out.extend(through(served, *[from_(f"joe{n}@example.org", body=b"%d-%d\r\n" % (n, i)) for i in range(8)]))
    run_all([lambda n=n: one(n) for n in range(6)])
    assert len(out) == 48
    for got in out:
        verify(got, [keys["rsa"], keys["ed"]])


def test_after_a_crash(make, keys):
    """Acknowledged, not delivered, kill -9: what is delivered later is signed the same."""
    e = make.relay({"domains": [keys["ed"].listed()], "queue": {"schedule": ["1s"], "jitter": 0}})
    e.sink.script["mail"] = lambda s, a: "451 4.3.0 later"
    small, big = from_("joe@example.org"), from_("joe@example.org", body=b"word \r\n" * 60000)
    with Client(e.port) as c:
        c.ehlo()
        for content in (small, big):
            assert c.submit(content).code == 250
    e.kill()
    e.sink.script.clear()
    e.start()
    e.wait_empty()
    for content in (small, big):
        found = [m.data for m in e.sink.messages if m.data.endswith(content)]
        assert len(found) == 1
        verify(found[0], [keys["ed"]])


# ---- whose mail is signed ----

@pytest.mark.parametrize("author", ["joe@example.org", "JOE@EXAMPLE.ORG", "joe@sub.example.org", "joe@a.b.example.org",
                                    '"joe@evil.test" <joe@example.org>', "Group: joe@example.org;",
                                    "a@example.org, b@EXAMPLE.org"])
def test_ours(served, keys, author):
    verify(through(served, from_(author))[0], [keys["rsa"], keys["ed"]])


NOT_OURS = [from_("joe@notexample.org"), from_("joe@example.org.evil.test"), from_("joe@example.com"),
            from_("joe@example.org, eve@evil.test"), from_("joe@example.org") .replace(b"To: ", b"From: eve@evil.test\r\nTo: "),
            b"To: ben@far.test\r\n\r\nno author\r\n", from_("joe"), from_('"joe@example.org" <eve@evil.test>'),
            from_("eve@evil.test (joe@example.org)"), from_("joe@[192.0.2.1]"), b"", b"\r\n", b"\r\nbody alone\r\n",
            from_("undisclosed:;"), from_("joe@notexample.org", body=b"x" * 70 + b"\r\n") + b"y" * 500 + b"\r\n",
            from_("joe@notexample.org", body=b"word\r\n" * 50000)]


@pytest.mark.parametrize("number", range(len(NOT_OURS)))
def test_not_ours_is_untouched(make, keys, number):
    """G4: no key of ours for the author: byte-identical, also when in fragments; by DATA and by BDAT."""
    e = make.relay({"domains": [keys["rsa"].listed()], **NO_RECEIVED})
    content = NOT_OURS[number]
    for bdat in (0, 40000):
        with Client(e.port) as c:
            c.ehlo()
            c.envelope()
            if bdat:
                for at in range(0, max(1, len(content)), bdat):
                    reply = c.bdat(content[at:at + bdat], at + bdat >= len(content))
            else:
                reply = c.data(content)
            assert reply.code == 250
    assert [m.data for m in e.sink.wait(2)] == [content, content]


def test_no_keys_at_all(make):
    content = from_("joe@example.org", body=b"word \r\n" * 60000)
    e = make.relay(NO_RECEIVED)
    with Client(e.port) as c:
        c.ehlo()
        assert c.submit(content).code == 250
    assert e.sink.wait(1)[0].data == content


def test_subdomains_off(make, keys):
    e = make.relay({"domains": [keys["ed"].listed()]})
    ours, below = through(e, from_("joe@example.org"), from_("joe@sub.example.org"))
    verify(ours, [keys["ed"]])
    assert not signatures(below)


def test_nearest_domain(make, keys):
    """A domain's own key goes before the one of the domain above."""
    e = make.relay({"domains": [keys["ed"].listed(), keys["rsa"].listed("sub.example.org")], "dkim": {"subdomains": True}})
    above, own, below = through(e, from_("a@x.example.org"), from_("a@sub.example.org"), from_("a@y.sub.example.org"))
    verify(above, [keys["ed"]])
    verify(own, [keys["rsa"]], b"sub.example.org")
    verify(below, [keys["rsa"]], b"sub.example.org")


def test_default_key(make, keys):
    """001-16: one key for every From domain, d= in lower case; a domain's own key goes first."""
    e = make.relay({"dkim": {"key_file": keys["rsa"].path, "selector": "rsa", "canonicalization": "simple/simple"},
                    "domains": [keys["ed"].listed()]})
    own, other, deep = through(e, from_("joe@example.org"), from_("Eve@EVIL.test"), from_("a@b.c.d.test"))
    verify(own, [keys["ed"]])
    verify(other, [keys["rsa"]], b"evil.test")
    verify(deep, [keys["rsa"]], b"b.c.d.test")
    assert tags(signatures(other)[0])[b"c"] == b"simple/simple"


def test_opendkim_tables(make, keys, tmp_path):
    """003-17, by file."""
    (tmp_path / "signingtable").write_text("# ours\nexample.org ed._domainkey.example.org\n")
    (tmp_path / "keytable").write_text(f"ed._domainkey.example.org example.org:ed:{keys['ed'].path}\n")
    e = make.relay({"dkim": {"signing_table": str(tmp_path / "signingtable"), "key_table": str(tmp_path / "keytable")}})
    ours, other = through(e, from_("joe@example.org"), from_("joe@example.com"))
    verify(ours, [keys["ed"]])
    assert not signatures(other)


def test_inline_key(make, keys):
    with open(keys["ed"].path, encoding="ascii") as f:
        pem = f.read()
    e = make.relay({"domains": [{"name": "example.org", "dkim_selector": "ed", "dkim_key_pem": pem}]})
    verify(through(e, from_("joe@example.org"))[0], [keys["ed"]])
    done = subprocess.run([binary(), "config", "-c", e.file], capture_output=True, text=True, check=True,
                          env={**os.environ, **sanitizer_environment()})
    assert pem.splitlines()[1] not in done.stdout


# ---- keys at start and later ----

def test_bad_keys_stop_the_start(make, keys, tmp_path):
    def refused(conf, words):
        e = make.relay(conf, start=False)
        e.spawn()
        assert e.wait() == 78 and not open_port(e.port)
        assert words in e.stderr(), e.stderr()
        e.process = None
    weak = tmp_path / "weak.pem"
    weak.write_bytes(openssl("genrsa", "-traditional", "768"))
    ec = tmp_path / "ec.pem"
    ec.write_bytes(openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"))
    listed = {"name": "example.org", "dkim_selector": "s"}
    refused({"domains": [{**listed, "dkim_key_file": str(weak)}]}, "1024")
    refused({"domains": [{**listed, "dkim_key_file": str(ec)}]}, "ec.pem")
    refused({"domains": [{**listed, "dkim_key_file": str(tmp_path / "no.pem")}]}, "no.pem")
    refused({"domains": [listed]}, "domains[0].dkim_selector")
    refused({"dkim": {"key_pem": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}}, "dkim.key_pem")


def test_weak_key_warns(make, tmp_path):
    """Below 2048 bits it signs all the same, and says so; also when the configuration is read again."""
    path = tmp_path / "weak.pem"
    path.write_bytes(openssl("genrsa", "1024"))
    e = make.relay({"domains": [{"name": "example.org", "dkim_selector": "s", "dkim_key_file": str(path)}]})
    assert "only 1024 bits" in e.stderr() + str(e.log)
    e.process.send_signal(signal.SIGHUP)
    e.event("reloaded")
    assert "only 1024 bits" in e.event("config_warning")["reason"]
    assert len(signatures(through(e, from_("joe@example.org"))[0])) == 1


def test_key_changes(make, keys, tmp_path):
    """A key file that is replaced is used at once; a broken one changes nothing."""
    path = tmp_path / "key.pem"

    def put(content):
        (tmp_path / "new").write_bytes(content)
        os.rename(tmp_path / "new", path)

    def text(name):
        with open(keys[name].path, "rb") as f:
            return f.read()
    put(text("ed"))
    e = make.relay({"domains": [{"name": "example.org", "dkim_selector": "sel", "dkim_key_file": str(path)}]})

    def signed_by(name):
        record = {b"sel._domainkey.example.org.": keys[name].record}
        got = through(e, from_("joe@example.org"))[0]
        try:
            return dkim.DKIM(got).verify(dnsfunc=lambda n, timeout=5: record[n])
        except dkim.DKIMException:
            return False
    assert signed_by("ed")
    put(text("ed")[:60])
    assert "key.pem" in e.event("reload_refused")["reason"]
    assert signed_by("ed")
    put(text("rsa"))
    e.event("reloaded")
    wait_until(lambda: signed_by("rsa"), 5, "the other key")


def test_received_is_not_signed_away(served):
    """Our own Received field is below the signature and not in it: the next server's look is unchanged."""
    got = through(served, from_("joe@example.org"))[0]
    field, rest = split_received(got)
    assert field.startswith(b"DKIM-Signature") and b"Received: from client.example.test" in rest[:3000]
