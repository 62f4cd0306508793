# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that change while the engine runs, where they are named inside OpenDKIM's KeyTable: every file that was read
is watched, however it was named. (A key of the configuration: test_dkim_engine.py.)"""
import os

import dkim
import pytest

from harness.dkim_rig import Key, signatures, tags, through
from harness.wait import wait_until


@pytest.fixture(scope="module", name="keys")
def make_keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: Key(folder, name, kind) for name, kind in (("rsa", "rsa2048"), ("ed", "ed25519"))}


def text(key):
    with open(key.path, "rb") as f:
        return f.read()


def put(path, content):
    """As it is done: beside it, then renamed."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    os.rename(new, path)


class Tables:
    """An engine with the two tables in one folder and the keys in another, one below it per domain."""

    def __init__(self, make, tmp_path, keys):
        self.tables = tmp_path / "tables"
        self.private = tmp_path / "private"
        for folder in (self.tables, self.private / "one.test", self.private / "two.test"):
            folder.mkdir(parents=True)
        self.key = self.private / "one.test" / "sel.private"
        put(self.key, text(keys["ed"]))
        self.write(["one.test"])
        self.engine = make.relay({"dkim": {"signing_table": str(self.tables / "signing"),
                                           "key_table": str(self.tables / "keys")}})

    def write(self, domains, late=None):
        """The SigningTable last: until then nobody uses the new rows of the KeyTable. late: file of the last key."""
        files = [f"{self.private}/{d}/sel.private" for d in domains]
        files[-1] = late or files[-1]
        put(self.tables / "keys", "".join(
            f"sel._domainkey.{d} {d}:sel:{f}\n" for d, f in zip(domains, files)).encode())
        put(self.tables / "signing", "".join(f"*@{d} sel._domainkey.{d}\n" for d in domains).encode())

    def algorithm(self, domain="one.test", key=None):
        """Of the signature, which is good when key is given; None: there is none."""
        got = through(self.engine, f"From: joe@{domain}\r\nSubject: x\r\n\r\nhello\r\n".encode())[0]
        fields = signatures(got)
        if not fields:
            return None
        if key and not self.good(got, key):
            return "bad"
        return tags(fields[0])[b"a"].decode()

    @staticmethod
    def good(got, key):
        try:
            return dkim.DKIM(got).verify(dnsfunc=lambda name, timeout=5: key.record)
        except (dkim.DKIMException, ValueError):  # ValueError: a key of the other type
            return False


def test_a_key_of_the_key_table_is_replaced(make, tmp_path, keys):
    t = Tables(make, tmp_path, keys)
    assert t.algorithm(key=keys["ed"]) == "ed25519-sha256"
    put(t.key, text(keys["rsa"]))
    t.engine.event("reloaded")
    wait_until(lambda: t.algorithm(key=keys["rsa"]) == "rsa-sha256", 10, "the new key")


def test_a_broken_key_changes_nothing(make, tmp_path, keys):
    t = Tables(make, tmp_path, keys)
    put(t.key, text(keys["rsa"])[:200])
    reason = t.engine.event("reload_refused")["reason"]
    assert "sel.private" in reason and "signing:1 " in reason
    assert t.algorithm(key=keys["ed"]) == "ed25519-sha256"
    put(t.key, text(keys["rsa"]))
    t.engine.event("reloaded")
    wait_until(lambda: t.algorithm(key=keys["rsa"]) == "rsa-sha256", 10, "the new key")


def test_a_domain_is_added_key_first(make, tmp_path, keys):
    t = Tables(make, tmp_path, keys)
    assert t.algorithm("two.test") is None
    put(t.private / "two.test" / "sel.private", text(keys["rsa"]))
    t.write(["one.test", "two.test"])
    t.engine.event("reloaded")
    wait_until(lambda: t.algorithm("two.test", keys["rsa"]) == "rsa-sha256", 10, "a signature")
    put(t.private / "two.test" / "sel.private", text(keys["ed"]))  # it is watched from now on
    wait_until(lambda: t.algorithm("two.test", keys["ed"]) == "ed25519-sha256", 10, "the other key")


def test_a_key_that_arrives_after_its_table(make, tmp_path, keys):
    """Refused at first, then tried again: the key's folder is one of those that are watched."""
    t = Tables(make, tmp_path, keys)
    late = t.private / "one.test" / "late.private"
    t.write(["one.test", "two.test"], late)
    assert "late.private" in t.engine.event("reload_refused")["reason"]
    assert t.algorithm() == "ed25519-sha256"
    put(late, text(keys["rsa"]))
    t.engine.event("reloaded")
    wait_until(lambda: t.algorithm("two.test", keys["rsa"]) == "rsa-sha256", 10, "a signature")


@pytest.mark.timeout(240)
def test_a_key_that_arrives_where_nobody_watches(make, tmp_path, keys):
    """The table names it before it is there, in a folder without any other key: tried again once a minute."""
    t = Tables(make, tmp_path, keys)
    t.write(["one.test", "two.test"])
    t.engine.event("reload_refused")
    put(t.private / "two.test" / "sel.private", text(keys["rsa"]))
    t.engine.event("reloaded", timeout=120)
    wait_until(lambda: t.algorithm("two.test", keys["rsa"]) == "rsa-sha256", 10, "a signature")
    assert t.algorithm(key=keys["ed"]) == "ed25519-sha256"
