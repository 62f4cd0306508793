# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that are missing, broken, or change while the engine runs (reliability.md 2 C11, issue point 1)."""
import os
import re
import signal
import ssl
import subprocess
import threading
import time

import pytest

from harness.client import Client
from harness.message import message
from harness.pki import Authority
from harness.tlsclient import SecureClient, context, open_port, s_client, tls_engine
from harness.wait import run_all, stays_false, wait_until


class Certificates:
    """Three for one name, and their authority."""

    def __init__(self, folder):
        self.ca = Authority(folder)
        self.own, self.mail, self.third = (self.ca.issue(n, ["relay.example.test"], "ec", i)
                                           for i, n in enumerate(("own", "mail", "third")))


@pytest.fixture(scope="module", name="certs")
def make_certs(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certs"))


# ---- tls.on_missing ----

def refused_start(make, listener, conf, words):
    e = tls_engine(make, [listener, {}], conf, start=False)
    e.spawn()
    assert e.wait() == 78
    assert words in e.stderr(), e.stderr()
    assert not any(open_port(p) for p in e.ports)
    e.process = None


def test_missing_fails(make, tmp_path):
    files = {"cert_file": str(tmp_path / "no.crt"), "key_file": str(tmp_path / "no.key")}
    refused_start(make, {"tls": "may"}, {"tls": files},
                  f"Error: TLS certificate/key files not found: {tmp_path}/no.crt, {tmp_path}/no.key")
    refused_start(make, {"tls": "implicit"}, {}, "needs tls.cert_file and tls.key_file")
    refused_start(make, {"tls": "encrypt"}, {"tls": {"on_missing": "disable"}}, "cannot do without a certificate")


def test_missing_is_not_broken(make, certs, tmp_path):
    """A pair that is there and is not good stops the start under every rule."""
    half = tmp_path / "half.crt"
    half.write_bytes(certs.own.cert[:200])
    for rule in ("fail", "disable", "self_signed"):
        refused_start(make, {"tls": "may", "cert_file": str(half), "key_file": certs.own.key_file},
                      {"tls": {"on_missing": rule}}, "half.crt")
        refused_start(make, {"tls": "may", "cert_file": certs.own.cert_file, "key_file": certs.mail.key_file},
                      {"tls": {"on_missing": rule}}, "is the key of another certificate")


def test_missing_disables(make, tmp_path):
    files = {"cert_file": str(tmp_path / "no.crt"), "key_file": str(tmp_path / "no.key")}
    e = tls_engine(make, [{"tls": "may"}], {"tls": {**files, "on_missing": "disable"}})
    with Client(e.port) as c:
        assert "STARTTLS" not in c.keywords()
        assert c.submit().code == 250


def test_missing_self_signed(make):
    e = tls_engine(make, [{"tls": "may"}, {"tls": "implicit"}], {"tls": {"on_missing": "self_signed"}})
    text = s_client(e.port, "-servername", "relay.example.test", "-showcerts")
    pem = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.S).group(0)
    facts = subprocess.run(["openssl", "x509", "-noout", "-text"], input=pem, capture_output=True, text=True,
                           check=True).stdout
    assert "DNS:relay.example.test" in facts.split("Subject Alternative Name:")[1].splitlines()[1]
    assert "CA:TRUE" not in facts
    tls = context()
    tls.load_verify_locations(cadata=pem)
    tls.verify_mode, tls.check_hostname = ssl.CERT_REQUIRED, True
    with SecureClient(e.port, tls=tls) as c:  # who is given the certificate can verify it
        c.starttls()
        c.ehlo()
        assert c.submit().code == 250


# ---- changes while it runs ----

def put(path, content, way="rename"):
    if way == "rename":
        with open(path + ".new", "wb") as f:
            f.write(content)
        os.rename(path + ".new", path)
    else:
        with open(path, "wb") as f:
            f.write(content)


class Place:
    """Where an engine has its pair: two files in a folder."""

    def __init__(self, folder, pair):
        os.makedirs(folder, exist_ok=True)
        self.cert_file, self.key_file = os.path.join(folder, "tls.crt"), os.path.join(folder, "tls.key")
        self.put(pair)

    def put(self, pair, way="rename"):
        put(self.cert_file, pair.cert, way)
        put(self.key_file, pair.key, way)

    @property
    def files(self):
        return {"cert_file": self.cert_file, "key_file": self.key_file}


def served_by(port, implicit=True):
    with SecureClient(port, implicit) as c:
        if not implicit:
            c.starttls()
        return c.certificate()


def becomes(e, pair, timeout=10):
    wait_until(lambda: served_by(e.port) == pair.der, timeout, "the other certificate", interval=0.05)


@pytest.fixture(name="place")
def make_place(tmp_path, certs):
    return Place(str(tmp_path / "tls"), certs.own)


@pytest.mark.parametrize("way", ["rename", "write"])
def test_replaced(make, certs, place, way):
    """New sessions have the new one; one that is open goes on, and mail with it."""
    e = tls_engine(make, [{"tls": "implicit"}], {"tls": place.files})
    with SecureClient(e.port, True) as old:
        old.ehlo()
        old.envelope()
        place.put(certs.mail, way)
        e.event("reloaded")
        becomes(e, certs.mail)
        assert old.certificate() == certs.own.der
        assert old.data(message()).code == 250
    e.sink.wait(1)


class Mount:
    """A mounted Secret: tls.crt -> ..data/tls.crt, ..data -> a folder per version, turned by a rename; the old folder
    is removed afterwards."""

    def __init__(self, folder, pair):
        self.folder = folder
        folder.mkdir()
        self.version("..2025_01", pair.cert, pair.key)
        for name in ("tls.crt", "tls.key"):
            (folder / name).symlink_to("..data/" + name)
        self.files = {"cert_file": str(folder / "tls.crt"), "key_file": str(folder / "tls.key")}

    def version(self, name, cert, key):
        (self.folder / name).mkdir()
        (self.folder / name / "tls.crt").write_bytes(cert)
        (self.folder / name / "tls.key").write_bytes(key)
        (self.folder / "..data_tmp").symlink_to(name)
        os.rename(self.folder / "..data_tmp", self.folder / "..data")

    def remove(self, name):
        for file in (self.folder / name).iterdir():
            file.unlink()
        (self.folder / name).rmdir()


def test_kubernetes(make, certs, tmp_path):
    mount = Mount(tmp_path / "mount", certs.own)
    e = tls_engine(make, [{"tls": "implicit"}], {"tls": mount.files})
    assert served_by(e.port) == certs.own.der
    names = ["..2025_01", "..2025_02", "..2025_03", "..2025_04"]
    for old, new, pair in zip(names, names[1:], (certs.mail, certs.third, certs.own)):
        mount.version(new, pair.cert, pair.key)
        mount.remove(old)
        becomes(e, pair)
    assert not e.events("reload_refused")


def test_kubernetes_with_a_secret_that_is_wrong(make, certs, tmp_path):
    """C11: A version whose halves do not belong together: the old pair stays, though its files are gone; the next
    version is taken."""
    mount = Mount(tmp_path / "mount", certs.own)
    e = tls_engine(make, [{"tls": "implicit"}], {"tls": mount.files})
    mount.version("..2025_02", certs.mail.cert, certs.third.key)
    mount.remove("..2025_01")
    assert "is the key of another certificate" in e.event("reload_refused")["reason"]
    assert served_by(e.port) == certs.own.der
    mount.version("..2025_03", certs.mail.cert, certs.mail.key)
    mount.remove("..2025_02")
    becomes(e, certs.mail)


@pytest.mark.parametrize("relative", [False, True])
def test_link_to_elsewhere(make, certs, tmp_path, relative):
    """As certbot has it: the configured names are links to links in other folders; any of them may change."""
    live = Place(str(tmp_path / "archive"), certs.own)
    for folder, below in (("live", "archive"), ("ours", "live")):
        (tmp_path / folder).mkdir()
        for name in ("tls.crt", "tls.key"):
            target = f"../{below}/{name}" if relative else str(tmp_path / below / name)
            (tmp_path / folder / name).symlink_to(target)
    ours = tmp_path / "ours"
    e = tls_engine(make, [{"tls": "implicit"}],
                   {"tls": {"cert_file": str(ours / "tls.crt"), "key_file": str(ours / "tls.key")}})
    live.put(certs.mail)
    becomes(e, certs.mail)
    live.put(certs.third, "write")
    becomes(e, certs.third)
    Place(str(tmp_path / "archive2"), certs.own)
    for name in ("tls.crt", "tls.key"):
        (tmp_path / "new").symlink_to(tmp_path / "archive2" / name)
        os.rename(tmp_path / "new", tmp_path / "live" / name)
    becomes(e, certs.own)


def test_sighup(make, certs, place):
    """Without waiting for inotify; listeners' own files, too."""
    e = tls_engine(make, [{"tls": "implicit", **place.files}, {"tls": "may"}], {"tls": certs.third.files})
    place.put(certs.mail)
    e.process.send_signal(signal.SIGHUP)
    e.event("reloaded")
    becomes(e, certs.mail)
    assert served_by(e.ports[1], False) == certs.third.der


def test_sighup_with_a_broken_pair(make, certs, place):
    """Refused at each signal, whatever was refused before; counted, and the old one goes on."""
    e = tls_engine(make, [{"tls": "implicit"}], {"tls": place.files})
    put(place.key_file, certs.third.key)
    e.event("reload_refused")
    for _ in range(2):
        count = len(e.events("reload_refused"))
        e.hup()
        e.event("reload_refused", count=count + 1)
        assert served_by(e.port) == certs.own.der
    wait_until(lambda: e.stats()["reloads_refused"] == len(e.events("reload_refused")) >= 3, 5, "each is counted")
    assert e.stats()["reloads"] == 0


BROKEN = {
    "half a certificate": (lambda c: c.mail.cert[:300], lambda c: c.mail.key),
    "half a key": (lambda c: c.mail.cert, lambda c: c.mail.key[:80]),
    "empty": (lambda c: b"", lambda c: b""),
    "another's key": (lambda c: c.mail.cert, lambda c: c.third.key),
    "no PEM": (lambda c: b"\0" * 5000, lambda c: c.mail.key),
    "swapped": (lambda c: c.mail.key, lambda c: c.mail.cert),
    "gone": None,
}


@pytest.mark.parametrize("how", BROKEN)
def test_broken_pair_keeps_the_old(make, certs, place, how):
    """C11: Said in the log without a word of the key, and counted; when the pair is whole again it is taken."""
    e = tls_engine(make, [{"tls": "implicit"}], {"tls": {**place.files, "on_missing": "self_signed"}})
    if how == "gone":
        os.unlink(place.cert_file)
    else:
        put(place.cert_file, BROKEN[how][0](certs))
        put(place.key_file, BROKEN[how][1](certs))
    refused = e.event("reload_refused")
    assert "tls.crt" in refused["reason"] or "tls.key" in refused["reason"]
    wait_until(lambda: e.stats()["reloads_refused"] == len(e.events("reload_refused")), 5, "each is counted")
    assert e.stats()["reloads"] == 0
    secret = certs.mail.key.split(b"\n")[1].decode()
    assert secret[:20] not in str(e.log)
    assert served_by(e.port) == certs.own.der
    with SecureClient(e.port, True) as c:
        c.ehlo()
        assert c.submit().code == 250
    place.put(certs.third)
    becomes(e, certs.third)
    wait_until(lambda: e.stats()["reloads"] == len(e.events("reloaded")) > 0, 5, "each is counted")


def test_key_comes_later(make, certs, place):
    """The certificate first, its key seconds after: refused between, taken in the end."""
    e = tls_engine(make, [{"tls": "implicit"}], {"tls": place.files})
    put(place.cert_file, certs.mail.cert)
    e.event("reload_refused")
    assert served_by(e.port) == certs.own.der
    put(place.key_file, certs.mail.key)
    e.event("reloaded")
    assert served_by(e.port) == certs.mail.der


def test_other_files_of_the_folder(make, certs, place):
    """What is not in the configuration changes nothing, and is not told."""
    e = tls_engine(make, [{"tls": "implicit"}], {"tls": place.files})
    for i in range(20):
        put(os.path.join(os.path.dirname(place.cert_file), f"other{i}"), b"x")
    assert stays_false(lambda: e.events("reloaded") or e.events("reload_refused"), 1)
    assert served_by(e.port) == certs.own.der


def test_rotation_under_load(make, certs, place):
    """C11: Many turns, also through broken files, while clients come and go: no session is dropped, none sees a pair
    that does not fit."""
    e = tls_engine(make, [{"tls": "implicit"}], {"tls": place.files})
    pairs = (certs.own, certs.mail, certs.third)
    good = {p.der for p in pairs}
    stop = threading.Event()
    taken = []

    def client():
        tls = context(certs.ca.file)
        while not stop.is_set():
            with SecureClient(e.port, True, tls) as c:
                assert c.certificate() in good
                c.ehlo()
                assert c.submit().code == 250
                taken.append(1)

    def rotate():
        try:
            for i in range(24):
                if i % 4 == 3:
                    put(place.cert_file, pairs[i % 3].cert[:400])
                else:
                    place.put(pairs[i % 3], "rename" if i % 2 else "write")
                if i % 3 == 0:
                    e.process.send_signal(signal.SIGHUP)
                time.sleep(0.08)
            place.put(certs.third)
            becomes(e, certs.third)
        finally:
            stop.set()
    run_all([client, client, rotate])
    e.wait_empty()
    assert len(e.sink.messages) == len(taken) > 10
    assert e.events("reloaded")


def test_tickets_across_a_reload(make, certs, place, tmp_path):
    """Keys of tickets stay, but a ticket is for one certificate: same certificate, resumed; another, not."""
    from harness.tlsclient import was_reused
    e = tls_engine(make, [{"tls": "implicit"}], {"tls": place.files})
    for version in ("-tls1_2", "-tls1_3"):
        place.put(certs.own)
        becomes(e, certs.own)
        session = tmp_path / version
        s_client(e.port, version, "-sess_out", session, starttls=False)
        count = len(e.events("reloaded"))
        e.process.send_signal(signal.SIGHUP)
        e.event("reloaded", count=count + 1)
        assert was_reused(s_client(e.port, version, "-sess_in", session, starttls=False))
        place.put(certs.mail)
        becomes(e, certs.mail)
        assert not was_reused(s_client(e.port, version, "-sess_in", session, starttls=False))


def test_client_authority_changes(make, certs, tmp_path):
    """client_ca_file is read again as well."""
    people = tmp_path / "people"
    people.mkdir()
    first, second = Authority(people, "First", 94), Authority(people, "Second", 95)
    ann = context(certificate=first.issue("ann", [], "ec", 4, "clientAuth"))
    ben = context(certificate=second.issue("ben", [], "ec", 5, "clientAuth"))
    path = str(tmp_path / "ca.pem")
    with open(first.file, "rb") as f:
        put(path, f.read())
    e = tls_engine(make, [{"tls": "implicit", "client_ca_file": path, "access": "auth"}], {"tls": certs.own.files})

    def may(tls):
        with SecureClient(e.port, True, tls) as c:
            c.ehlo()
            c.ok("MAIL FROM:<a@example.test>")
            return c.cmd("RCPT TO:<b@example.test>").code == 250
    assert may(ann) and not may(ben)
    with open(second.file, "rb") as f:
        put(path, f.read())
    e.event("reloaded")
    wait_until(lambda: may(ben), 10, "the other authority", interval=0.05)
    assert not may(ann)
