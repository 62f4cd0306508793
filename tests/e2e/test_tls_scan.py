# SPDX-License-Identifier: GPL-3.0-or-later
"""What testssl.sh says of a listener with STARTTLS and of an implicit one: every finding good or neutral. What it
does not look at: injection behind STARTTLS and sessions across listeners (test_tls_in.py). Its checks of
certificates take minutes and are left out: whether these are believed is the clients' affair."""
import json
import os
import subprocess

import pytest

from harness.peers import tool
from harness.pki import Authority
from harness.tlsclient import tls_engine

# -p protocols, -s categories of ciphers, -P what the server chooses, -U vulnerabilities.
COMMAND = ["--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none", "-p", "-s", "-P", "-U"]
SCAN_SECONDS = 300    # some 20 where nothing else runs
FACES = {"starttls": ["--starttls", "smtp"], "implicit": []}

# Every suite that is taken: ephemeral keys and authenticated encryption, nothing else.
CIPHERS = {
    "cipherorder_TLSv1_2": {
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"},
    "cipherorder_TLSv1_3": {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"},
}
HARMLESS = ("OK", "INFO", "DEBUG")    # the rest: LOW to CRITICAL, WARN, FATAL
# Finding: its text, or the beginning of it.
WANTED = {
    "SSLv2": "not offered", "SSLv3": "not offered", "TLS1": "not offered", "TLS1_1": "not offered",
    "TLS1_2": "offered", "TLS1_3": "offered with final",
    "cipherlist_NULL": "not offered", "cipherlist_aNULL": "not offered", "cipherlist_EXPORT": "not offered",
    "cipherlist_LOW": "not offered", "cipherlist_3DES_IDEA": "not offered", "cipherlist_AVERAGE": "not offered",
    "cipherlist_STRONG": "offered", "cipher_order": "server",
    "secure_renego": "supported", "fallback_SCSV": "no protocol below TLS 1.2 offered",
    **{name: "not vulnerable" for name in (
        "heartbleed", "CCS", "ROBOT", "secure_client_renego", "CRIME_TLS", "POODLE_SSL", "SWEET32", "FREAK", "DROWN",
        "LOGJAM", "BEAST", "LUCKY13", "RC4")},
}


def scan(port, face, report):
    """testssl.sh at work; it makes folders where it is told to keep temporary files."""
    command = [tool("testssl"), *COMMAND, *FACES[face], "--jsonfile", report, f"127.0.0.1:{port}"]
    with open(report + ".txt", "wb") as said:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
                                env={**os.environ, "TERM": "dumb", "TMPDIR": os.path.dirname(report)})


@pytest.fixture(scope="module", name="findings")
def make_findings(tmp_path_factory):
    """Both faces at once: testssl.sh waits more than it works."""
    from conftest import Makers
    folder = tmp_path_factory.mktemp("scan")
    ca = Authority(folder)
    certs = [ca.issue(kind, ["relay.example.test"], kind) for kind in ("rsa", "ec")]
    makers = Makers(folder)
    e = tls_engine(makers, [{"tls": "may"}, {"tls": "implicit"}],
                   {"tls": {"cert_file": [c.cert_file for c in certs], "key_file": [c.key_file for c in certs]}})
    reports = {face: str(folder / face) for face in FACES}
    scans = [scan(port, face, reports[face]) for port, face in zip(e.ports, FACES)]
    try:
        for running in scans:
            running.wait(SCAN_SECONDS)
    finally:
        for running in scans:
            if running.poll() is None:
                running.kill()
                running.wait()
    yield {face: read(report) for face, report in reports.items()}
    assert e.running, e.trouble()
    makers.finish()


def read(report):
    with open(report, encoding="utf-8") as f:
        return {found["id"]: (found["severity"], found["finding"]) for found in json.load(f)}


@pytest.mark.timeout(SCAN_SECONDS * 2)
@pytest.mark.parametrize("face", FACES)
def test_scan(findings, face):
    """C5: The scan went to its end, knows of nothing weak, and what is taken is exactly what is meant to be."""
    found = findings[face]
    # About the openssl that scans.
    found.pop("engine_problem", None)
    assert {name: f for name, f in found.items() if f[0] not in HARMLESS} == {}
    assert {name: f[1] for name, f in found.items() if name in WANTED and not f[1].startswith(WANTED[name])} == {}
    assert set(WANTED) - set(found) == set()
    for version, ciphers in CIPHERS.items():
        assert set(found[version][1].split()) == ciphers
    assert {name for name in found if name.startswith("cipherorder_")} == set(CIPHERS)
