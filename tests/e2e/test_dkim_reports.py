# SPDX-License-Identifier: GPL-3.0-or-later
"""Delivery reports are our own mail: signed when there is a key for their From domain, like a client's (DMARC)."""
import pytest

from harness.client import Client
from harness.dkim_rig import Key, signatures, tags, verify
from harness.message import message, sized
from harness.sink import Delay
from harness.wait import wait_until


@pytest.fixture(scope="module", name="keys")
def make_keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: Key(folder, name, kind) for name, kind in (("rsa", "rsa2048"), ("ed", "ed25519"))}


def refuse(code="550 5.1.1 no such user"):
    return {"rcpt": lambda s, a: code if b"bob" in a else None}


def send(e, content=None, sender="alice@far.test", to=("bob@far.test",)):
    with Client(e.port) as c:
        c.ehlo()
        c.envelope(sender=sender, to=to)
        assert c.data(content or message("original")).code == 250


def reports(e, count=1):
    return wait_until(lambda: got if len(got := [m.data for m in e.sink.messages if m.sender == b""]) >= count else None,
                      20, f"{count} reports")


DOMAIN = "relay.example.test"


def test_signed_with_every_key_of_the_domain(make, keys):
    e = make.relay({"domains": [keys["rsa"].listed(DOMAIN), keys["ed"].listed(DOMAIN)]}, sink=make.sink(script=refuse()))
    send(e)
    got = reports(e)[0]
    assert got.startswith(b"DKIM-Signature: ") and b"\r\nFrom: " in got
    verify(got, [keys["rsa"], keys["ed"]], DOMAIN.encode())
    for field in signatures(got):
        names = tags(field)[b"h"].lower().replace(b" ", b"").split(b":")
        assert names.count(b"from") == names.count(b"to") == names.count(b"subject") == 2


def test_dsn_from_decides(make, keys):
    """dsn.from names the author; the sub-domain rule and the default key are as for all mail."""
    e = make.relay({"domains": [keys["ed"].listed("example.org")], "dkim": {"subdomains": True},
                    "dsn": {"from": "postmaster@bounces.example.org"}}, sink=make.sink(script=refuse()))
    send(e)
    verify(reports(e)[0], [keys["ed"]], b"example.org")


def test_default_key(make, keys):
    e = make.relay({"dkim": {"key_file": keys["ed"].path, "selector": "ed"}}, sink=make.sink(script=refuse()))
    send(e)
    verify(reports(e)[0], [keys["ed"]], DOMAIN.encode())


def test_unsigned_without_a_key(make, keys):
    e = make.relay({"domains": [keys["ed"].listed("other.test")]}, sink=make.sink(script=refuse()))
    send(e)
    assert not signatures(reports(e)[0].split(b"Content-Type: message", 1)[0])


@pytest.mark.parametrize("size", [300, 40000, 700000])
def test_reports_of_any_size(make, keys, size):
    """The original, whole or its header, from memory or from disk (after a deferral)."""
    codes = iter(["451 4.2.0 later", "550 5.1.1 no"])
    sink = make.sink(script={"rcpt": lambda s, a: next(codes, "550 5.1.1 no") if b"bob" in a else None})
    e = make.relay({"domains": [keys["rsa"].listed(DOMAIN)], "dsn": {"original_size_max": "1MiB"}}, sink=sink)
    send(e, sized(size))
    verify(reports(e)[0], [keys["rsa"]], DOMAIN.encode())


def test_many_reports(make, keys):
    """More than the offload's threads; each has its own signature, none is lost or doubled."""
    e = make.relay({"domains": [keys["rsa"].listed(DOMAIN)]}, sink=make.sink(script=refuse()))
    with Client(e.port) as c:
        c.ehlo()
        for i in range(60):
            c.envelope(sender=f"a{i}@far.test", to=["bob@far.test"])
            assert c.data(message(f"original {i}")).code == 250
    got = reports(e, 60)
    assert len(got) == len(set(got)) == 60
    for one in got:
        verify(one, [keys["rsa"]], DOMAIN.encode())
    assert e.wait_empty()["delivered"] == 60


def test_signed_after_a_restart(make, keys):
    """A report that waits in the spool has its signature there: it needs no key any more."""
    held = [True]
    sink = make.sink(script={"rcpt": lambda s, a: "550 5.1.1 no" if b"bob" in a else "451 4.2.0 later" if held else None})
    e = make.relay({"domains": [keys["rsa"].listed(DOMAIN)]}, sink=sink)
    send(e)
    e.event("dsn")
    e.event("deferred", to="alice@far.test")
    e.wait_durable()
    e.stop()
    held.clear()
    e.conf["domains"] = []
    e.start()
    verify(reports(e)[0], [keys["rsa"]], DOMAIN.encode())


def test_reports_at_the_end(make, keys):
    """SIGTERM while outcomes arrive: what is reported is signed, whether before the end or after the next start."""
    sink = make.sink(script={"rcpt": lambda s, a: Delay(0.05, "550 5.1.1 no") if b"bob" in a else None})
    e = make.relay({"domains": [keys["rsa"].listed(DOMAIN)]}, sink=sink)
    with Client(e.port) as c:
        c.ehlo()
        for i in range(30):
            c.envelope(sender=f"a{i}@far.test", to=["bob@far.test"])
            assert c.data(message(f"original {i}")).code == 250
    e.event("bounced")
    e.stop()
    e.start()
    for one in reports(e, 30):
        verify(one, [keys["rsa"]], DOMAIN.encode())
    e.wait_empty()
    assert len(reports(e)) == 30
