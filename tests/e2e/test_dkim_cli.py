# SPDX-License-Identifier: GPL-3.0-or-later
"""ringpost dkim keygen, print, check: files, records, and what DNS may say."""
import os
import re
import stat
import subprocess

import pytest

from dnsserver import DnsServer
from harness.engine import binary, sanitizer_environment

NAME = "s1._domainkey.example.org"


def run(*words, cwd=None):
    return subprocess.run([binary(), "dkim", *words], capture_output=True, text=True, timeout=60, check=False, cwd=cwd,
                          env={**os.environ, **sanitizer_environment()})


def strings(zone_line):
    return re.findall('"([^"]*)"', zone_line)


@pytest.fixture(scope="module", name="keys")
def make_keys(tmp_path_factory):
    """kind -> (file, record)"""
    folder = tmp_path_factory.mktemp("keys")
    keys = {}
    for kind in ("rsa2048", "ed25519"):
        done = run("keygen", "example.org", "s1", "--type", kind, "-o", str(folder / kind))
        assert done.returncode == 0, done
        keys[kind] = (str(folder / kind), "".join(strings(done.stdout)))
    return keys


# ---- keygen, print ----

def test_keygen_default(tmp_path):
    done = run("keygen", "Example.ORG.", "sel", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    path = tmp_path / "sel.example.org.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("-----BEGIN PRIVATE KEY-----\n")
    lines = done.stdout.splitlines()
    assert lines[0] == "; private key: sel.example.org.pem"
    assert lines[1].startswith('sel._domainkey.example.org. IN TXT ( "v=DKIM1; k=rsa; p=MIIBIjANBgkqh')
    parts = strings(lines[1])
    assert [len(p) for p in parts] == [255, len("".join(parts)) - 255]
    assert "PRIVATE" not in done.stdout


def test_keygen_never_overwrites(tmp_path):
    path = tmp_path / "k"
    path.write_text("mine")
    done = run("keygen", "a.test", "s", "--type", "ed25519", "--out", str(path))
    assert done.returncode == 1 and "File exists" in done.stderr and done.stdout == ""
    assert path.read_text() == "mine"
    done = run("keygen", "a.test", "s", "--type", "ed25519", "--out", "/nonexistent/k")
    assert done.returncode == 1 and "/nonexistent/k: No such file" in done.stderr


@pytest.mark.parametrize("words, message", [
    (["keygen", "a.test"], "DOMAIN SELECTOR is missing"),
    (["keygen", "a b", "s"], "'a b' is no domain name"),
    (["keygen", "a.test", "s/../x"], "'s/../x' is no selector"),
    (["keygen", "a.test", "s", "--type", "rsa1024"], "--type is rsa2048, rsa3072, rsa4096 or ed25519, not 'rsa1024'"),
    (["print", "a.test", "s"], "is missing"),
    (["check", "a.test", "s"], "belong together"),
    (["sign", "a.test"], "belong together"),
    (["print", "a.test", "s", "k", "--json"], "does not belong"),
    (["nothing"], "unknown command 'dkim nothing'"),
])
def test_usage(words, message, tmp_path):
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 64 and message in done.stderr
    assert os.listdir(tmp_path) == []


def test_print(keys):
    for kind, (path, record) in keys.items():
        done = run("print", "example.org", "s1", path)
        assert done.returncode == 0 and "".join(strings(done.stdout)) == record
        assert f"k={kind[:3] if kind[0] == 'r' else kind};" in record


def test_print_reads_what_openssl_made(tmp_path):
    for words in (["genrsa", "-traditional", "2048"], ["genrsa", "3072"], ["genpkey", "-algorithm", "ed25519"]):
        path = tmp_path / "k"
        with open(path, "wb") as f:
            subprocess.run(["openssl", *words], check=True, stdout=f, stderr=subprocess.DEVNULL)
        done = run("print", "example.org", "s1", str(path))
        public = subprocess.run(["openssl", "pkey", "-in", str(path), "-pubout"], check=True, capture_output=True,
                                text=True).stdout.splitlines()
        record = "".join(strings(done.stdout))
        if "ed25519" not in words:
            assert record == "v=DKIM1; k=rsa; p=" + "".join(public[1:-1])
        assert done.returncode == 0 and done.stderr == ""


def test_bad_keys(tmp_path):
    path = tmp_path / "k"
    path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for words in (["print", "a.test", "s", str(path)], ["check", "a.test", "s", str(path)],
                  ["sign", "a.test", "s", str(path)]):
        done = run(*words)
        assert done.returncode == 78 and "CERTIFICATE" in done.stderr and str(path) in done.stderr
    done = run("print", "a.test", "s", "/nonexistent")
    assert done.returncode == 78 and "No such file" in done.stderr


@pytest.mark.parametrize("bits, strings_max", [(1023, 0), (1024, 1), (2047, 2), (2048, 2), (4096, 3)])
def test_bits(tmp_path, bits, strings_max):
    """G1: below 1024 refused, below 2048 warned of; the record in strings of at most 255 bytes."""
    path = tmp_path / "k"
    with open(path, "wb") as f:
        subprocess.run(["openssl", "genrsa", str(bits)], check=True, stdout=f, stderr=subprocess.DEVNULL)
    done = run("print", "a.test", "s", str(path))
    signed = subprocess.run([binary(), "dkim", "sign", "a.test", "s", str(path)], input=b"From: x@a.test\r\n\r\nx\r\n",
                            capture_output=True, timeout=60, check=False, env={**os.environ, **sanitizer_environment()})
    if bits < 1024:
        assert done.returncode == 78 and f"it has {bits} bits, at least 1024 are needed" in done.stderr
        assert signed.returncode == 78 and b"DKIM-Signature" not in signed.stdout
        return
    assert done.returncode == 0 and signed.returncode == 0 and signed.stdout.startswith(b"DKIM-Signature: ")
    assert (f"only {bits} bits" in done.stderr) == (bits < 2048)
    assert (f"only {bits} bits".encode() in signed.stderr) == (bits < 2048)
    parts = strings(done.stdout)
    assert len(parts) == strings_max and all(len(p) == 255 for p in parts[:-1]) and 0 < len(parts[-1]) <= 255


# ---- check ----

def check(dns, path, *more):
    return run("check", "example.org", "s1", path, "--set", f"dns.servers=127.0.0.1:{dns.port}",
               "--set", "dns.timeout=1s", "--set", "dns.tries=1", *more)


def split(record):
    return [record[i:i + 255] for i in range(0, len(record), 255)]


@pytest.mark.parametrize("kind", ["rsa2048", "ed25519"])
def test_check_matches(keys, kind):
    path, record = keys[kind]
    for node in ({"txt": [split(record)]}, {"txt": [split(record)], "behave": "truncate"},
                 {"cname": "keys.provider.test"}):
        with DnsServer({NAME: node, "keys.provider.test": {"txt": [split(record)]}}) as dns:
            done = check(dns, path)
            assert (done.returncode, done.stdout, done.stderr) == (0, f"ok    {NAME}: matches\n", "")
            assert dns.count(NAME, "TXT") >= 1


def test_check_says_what_is_wrong(keys):
    path, record = keys["ed25519"]
    other = keys["rsa2048"][1]
    for texts, status, message in (
            ([record.replace("p=", "p=A", 1)[:-1]], 1, "p= is another key"),
            ([split(other)], 1, "it is for a key of type 'rsa', ours is ed25519"),
            (["v=DKIM1; k=ed25519; p="], 1, "the key is revoked"),
            ([record.replace("k=", "t=y; k=")], 0, "warn"),
            (["v=spf1 -all"], 1, "v= must stand first"),
            ([record, record], 1, "2 TXT records, there must be one"),
            ([record, "v=spf1 -all"], 1, "2 TXT records"),
            (["\x1b[31m evil"], 1, "not a list of tag=value")):
        with DnsServer({NAME: {"txt": texts}}) as dns:
            done = check(dns, path)
            assert done.returncode == status and message in done.stdout and "\x1b" not in done.stdout, (texts, done)


@pytest.mark.parametrize("zone, message", [
    ({}, "the name does not exist (NXDOMAIN)"),
    ({NAME: {"a": ["127.0.0.1"]}}, "no TXT record"),
])
def test_check_prints_what_is_missing(keys, zone, message):
    path, record = keys["ed25519"]
    with DnsServer(zone) as dns:
        done = check(dns, path)
        assert done.returncode == 1
        assert done.stdout == f'FAIL  {NAME}: {message}\nto be published:\n{NAME}. IN TXT ( "{record}" )\n'


@pytest.mark.parametrize("behave", ["servfail", "drop", "refused", "garbage"])
def test_check_without_answer(keys, behave):
    with DnsServer({NAME: {"behave": behave}}) as dns:
        done = check(dns, keys["ed25519"][0])
        assert done.returncode == 1 and done.stdout.startswith(f"FAIL  {NAME}: ")
        assert "to be published" not in done.stdout


def test_check_configuration(keys, tmp_path):
    rsa, ed = keys["rsa2048"], keys["ed25519"]
    conf = tmp_path / "ringpost.yaml"
    conf.write_text(f"""
domains:
  - name: one.test
    dkim_selector: a
    dkim_key_file: {rsa[0]}
  - name: two.test
    dkim_selector: b
    dkim_key_file: {ed[0]}
dkim:
  selector: def
  key_file: {ed[0]}
""")
    zone = {"a._domainkey.one.test": {"txt": [split(rsa[1])]}, "b._domainkey.two.test": {"txt": [ed[1]]}}
    with DnsServer(zone) as dns:
        words = ["check", "-c", str(conf), "--set", f"dns.servers=127.0.0.1:{dns.port}"]
        done = run(*words)
        assert done.returncode == 0 and done.stderr == ""
        lines = done.stdout.splitlines()
        assert "ok    a._domainkey.one.test: matches" in lines and "ok    b._domainkey.two.test: matches" in lines
        assert any("selector def signs for the author's own domain" in line for line in lines)
        dns.zone["b._domainkey.two.test"] = {"txt": [split(rsa[1])]}
        done = run(*words)
        assert done.returncode == 1 and "FAIL  b._domainkey.two.test" in done.stdout
    conf.write_text("dkim:\n  key_file: /nonexistent\n")
    done = run("check", "-c", str(conf))
    assert done.returncode == 78 and "dkim.key_file: key /nonexistent: cannot be read" in done.stderr
    done = run("check")
    assert done.returncode == 0 and "no key is configured" in done.stdout
