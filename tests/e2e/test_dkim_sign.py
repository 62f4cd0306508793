# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures of `ringpost dkim sign` before dkimpy: every trap x every canonicalisation x kinds of keys, and
random messages. (The engine signs with the same code; tests of that are in test_dkim.py.)"""
import os
import re
import subprocess
import time

import dkim
import pytest

import dkim_corpus
from harness.engine import binary, sanitizer_environment

CANONS = ["relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"]
SECONDS = float(os.environ.get("DKIM_TEST_SECONDS", "5"))


def run(*words, stdin=b""):
    return subprocess.run([binary(), "dkim", *words], input=stdin, capture_output=True, timeout=60, check=False,
                          env={**os.environ, **sanitizer_environment()})


class Key:
    def __init__(self, folder, selector, kind):
        self.selector = selector
        self.path = str(folder / f"{selector}.pem")
        done = run("keygen", "example.org", selector, "--type", kind, "--out", self.path)
        assert done.returncode == 0, done
        self.name = f"{selector}._domainkey.example.org."
        zone = done.stdout.decode().splitlines()[-1]
        assert zone.startswith(self.name + " IN TXT ( ")
        self.record = "".join(re.findall('"([^"]*)"', zone)).encode()


@pytest.fixture(scope="module", name="keys")
def make_keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {kind: Key(folder, "sel-" + kind, kind) for kind in ("rsa2048", "rsa3072", "rsa4096", "ed25519")}


def sign(message, keys, canon):
    words = [w for k in keys for w in (k.selector, k.path)]
    done = run("sign", "example.org", *words, "--canon", canon, stdin=message)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(message)
    return done.stdout


def as_received(signed):
    """What SMTP makes of a last line without end."""
    return signed if signed.endswith(b"\r\n") else signed + b"\r\n"


def verify(signed, keys):
    records = {k.name.encode(): k.record for k in keys}
    for i in range(len(keys)):
        d = dkim.DKIM(as_received(signed))
        assert d.verify(idx=i, dnsfunc=lambda name, timeout=5: records[name])
        tags = d.signature_fields
        assert b"l" not in tags and tags[b"d"] == b"example.org"
        assert tags[b"h"].lower().replace(b"\r\n ", b"").split(b":").count(b"from") == 2


def fields(signed):
    """The DKIM-Signature fields on top, unfolded."""
    head = signed.split(b"\r\n\r\n", 1)[0]
    return re.findall(rb"DKIM-Signature:.*?\r\n(?![ \t])", head + b"\r\n", re.S)


@pytest.mark.parametrize("canon", CANONS)
def test_every_trap(keys, canon):
    """G3."""
    pair = [keys["rsa2048"], keys["ed25519"]]
    failed = []
    for name, message in dkim_corpus.messages():
        try:
            verify(sign(message, pair, canon), pair)
        except (AssertionError, dkim.DKIMException) as e:
            failed.append((name, str(e)))
    assert not failed


@pytest.mark.parametrize("kind", ["rsa2048", "rsa3072", "rsa4096", "ed25519"])
@pytest.mark.parametrize("canon", CANONS)
def test_every_key(keys, kind, canon):
    """G1: SHA-256, and no l= (verify)."""
    message = dkim_corpus.HEAD + b"\r\nhello \r\n\r\n"
    signed = sign(message, [keys[kind]], canon)
    verify(signed, [keys[kind]])
    text = fields(signed)[0]
    assert b"c=" + canon.encode() in text
    assert (b"a=ed25519-sha256" if kind == "ed25519" else b"a=rsa-sha256") in text
    assert max(len(line) for line in text.split(b"\r\n")) <= 78


@pytest.mark.parametrize("change", [
    (b"hello", b"hellp"), (b"Subject: trap", b"Subject: tr4p"), (b"joe@", b"jim@"),
    (b"To: ann", b"To: bob@example.org\r\nTo: ann"),              # a second To on top
    (b"\r\n\r\nhello", b"\r\nCc: eve@example.org\r\n\r\nhello"),  # a field that was not there
    (b"\r\n\r\nhello", b"\r\nReply-To: eve@example.org\r\n\r\nhello"),
    (b"\r\n\r\nhello", b"\r\nContent-Type: text/html\r\n\r\nhello"),
    (b"\r\n\r\nhello", b"\r\nSubject: other\r\n\r\nhello"),
    (b"\r\n\r\nhello", b"\r\nDate: other\r\n\r\nhello"),
    (b"hello\r\n", b"hello\r\nappended\r\n"),                     # there is no l=
], ids=lambda c: c[1].split(b"\r\n")[-1].decode() or c[1].decode(errors="replace").strip())
def test_changes_break_it(keys, change):
    """G2: also a further field of each name that is signed, and of those that are not there."""
    pair = [keys["rsa2048"], keys["ed25519"]]
    signed = sign(dkim_corpus.HEAD + b"\r\nhello\r\n", pair, "relaxed/relaxed")
    verify(signed, pair)
    changed = signed.replace(*change)
    assert changed != signed
    for i in range(2):
        d = dkim.DKIM(changed)
        try:
            assert not d.verify(idx=i, dnsfunc=lambda name, timeout=5: next(
                k.record for k in pair if k.name.encode() == name))
        except dkim.DKIMException:
            pass


def test_canonicalisation_is_dkimpys(keys):
    """G3: bh= and verification of random messages, for some seconds."""
    end = time.monotonic() + SECONDS
    seed = int.from_bytes(os.urandom(4), "big")
    count = 0
    for name, message in dkim_corpus.random_messages(seed, 1000000):
        canon = CANONS[count % len(CANONS)]
        key = keys["ed25519"]
        try:
            verify(sign(message, [key], canon), [key])
        except (AssertionError, dkim.DKIMException) as e:
            pytest.fail(f"{name}: {canon}: {e}: {message!r}")
        count += 1
        if time.monotonic() > end:
            break
    assert count > 20


@pytest.mark.parametrize("message, reason", [
    (b"To: a@b\r\n\r\nx\r\n", "no_from"),
    (b"From: a@example.org\r\nFrom: a@example.org\r\n\r\nx\r\n", "several_from_fields"),
    (b"From: a@example.org, b@example.com\r\n\r\nx\r\n", "several_author_domains"),
    (b"From: nobody\r\n\r\nx\r\n", "from_syntax"),
    (b"From: a@example.com\r\n\r\nx\r\n", "no_key"),
    (b"From: a@[192.0.2.1]\r\n\r\nx\r\n", "no_key"),
    (b"From: a@example.org\r\nno header\r\n\r\nx\r\n", "header_syntax"),
    (b"", "no_from"),
    (b"\r\nFrom: a@example.org\r\n", "no_from"),
], ids=lambda v: v if isinstance(v, str) else "")
def test_not_signed(keys, message, reason):
    key = keys["ed25519"]
    done = run("sign", "example.org", key.selector, key.path, stdin=message)
    assert done.returncode == 1 and done.stdout == message
    assert done.stderr.decode() == f"ringpost: not signed: {reason}\n"


@pytest.mark.parametrize("author, signs", [
    ("joe@sub.example.org", True), ("joe@a.b.example.org", True), ("joe@EXAMPLE.org", True),
    ("joe@notexample.org", False), ("joe@example.org.evil.example", False)])
def test_domains(keys, author, signs):
    key = keys["ed25519"]
    message = f"From: {author}\r\n\r\nx\r\n".encode()
    done = run("sign", "example.org", key.selector, key.path, stdin=message)
    assert (done.returncode == 0) == signs
    if signs:
        verify(done.stdout, [key])


def test_lf_becomes_crlf(keys):
    key = keys["ed25519"]
    done = run("sign", "example.org", key.selector, key.path, stdin=b"From: a@example.org\n\nx\ny\r\n")
    assert done.returncode == 0 and done.stdout.endswith(b"From: a@example.org\r\n\r\nx\r\ny\r\n")
    verify(done.stdout, [key])


def test_configuration(keys, tmp_path):
    """RSA and Ed25519 for one domain, a default key, OpenDKIM's files; nothing for nobody."""
    rsa, ed = keys["rsa2048"], keys["ed25519"]
    (tmp_path / "signingtable").write_text("*@table.example sel._domainkey.table.example\n")
    (tmp_path / "keytable").write_text(f"sel._domainkey.table.example table.example:{ed.selector}:{ed.path}\n")
    conf = tmp_path / "ringpost.yaml"
    domains = "".join(f"  - name: example.org\n    dkim_selector: {k.selector}\n    dkim_key_file: {k.path}\n"
                      "    dkim_canonicalization: relaxed/simple\n" for k in (rsa, ed))
    tables = f"dkim:\n  signing_table: {tmp_path}/signingtable\n  key_table: {tmp_path}/keytable\n"
    conf.write_text(f"domains:\n{domains}{tables}")
    done = run("sign", "-c", str(conf), stdin=dkim_corpus.HEAD + b"\r\nhello\r\n")
    assert done.returncode == 0 and done.stdout.count(b"c=relaxed/simple; d=example.org;") == 2
    verify(done.stdout, [rsa, ed])

    message = b"From: x@table.example\r\n\r\nhello\r\n"
    done = run("sign", "-c", str(conf), stdin=message)
    assert b"d=table.example;" in done.stdout
    record = {f"{ed.selector}._domainkey.table.example.".encode(): ed.record}
    assert dkim.verify(done.stdout, dnsfunc=lambda name, timeout=5: record[name])

    message = b"From: x@other.example\r\n\r\nhello\r\n"
    done = run("sign", "-c", str(conf), stdin=message)
    assert done.returncode == 1 and done.stdout == message and b"no_key" in done.stderr
    conf.write_text(f"domains:\n{domains}{tables}  selector: {ed.selector}\n  key_file: {ed.path}\n"
                    "  canonicalization: simple/simple\n")
    done = run("sign", "-c", str(conf), stdin=message)
    assert done.returncode == 0 and b"c=simple/simple; d=other.example;" in done.stdout
    record = {f"{ed.selector}._domainkey.other.example.".encode(): ed.record}
    assert dkim.verify(done.stdout, dnsfunc=lambda name, timeout=5: record[name])
