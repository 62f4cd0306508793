# SPDX-License-Identifier: GPL-3.0-or-later
"""Rates and weights of tenants and campaigns, over all destinations."""
import threading
import time

import pytest

from harness.client import Client
from harness.message import message
from harness.shaped import Shaped, exact, used
from harness.wait import stays_false

WORKERS = pytest.mark.parametrize("workers", [1, 2, 4])
TENANT, CAMPAIGN = "X-Ringpost-Tenant", "X-Ringpost-Campaign"


def send(engine, rows):
    """rows: (subject, header, name, domain)"""
    with Client(engine.port, timeout=60) as c:
        c.ehlo()
        for subject, header, name, domain in rows:
            reply = c.submit(message(subject, headers=[f"{header}: {name}"]), to=[f"bob@{domain}.test"])
            assert reply.code == 250, reply


def several(prefix, header, count, domains=("one",)):
    return [(f"{prefix}{i}", header, prefix, domains[i % len(domains)]) for i in range(count)]


def times(sink, prefix):
    with sink.lock:
        return sorted(m.at for m in sink.messages if m.subject.startswith(prefix))


@WORKERS
@pytest.mark.parametrize("scope, header", [("tenants", TENANT), ("campaigns", CAMPAIGN)])
def test_a_limited_sender_does_not_hold_up_another(make, workers, scope, header):
    w = Shaped(make, ["one"], {scope: {"slow": {"message_rate": {"limit": "2/s", "burst": 1}}}}, {"workers": workers})
    began = time.monotonic()
    send(w.engine, several("slow", header, 20))
    send(w.engine, several("fast", header, 100))
    w.sink.wait(100, timeout=20)
    for _ in range(3):
        w.sink.wait(len(w.sink.messages) + 1)
    fast, slow = times(w.sink, "fast"), times(w.sink, "slow")
    assert len(fast) == 100 and fast[-1] - began < 4, (len(fast), fast[-1] - began)
    exact(slow, 2, 1)
    used(slow, 2, 1)


@WORKERS
def test_a_tenants_rate_is_one_for_all_sites(make, workers):
    w = Shaped(make, ["one", "two", "three"], {"tenants": {"mill": {"message_rate": {"limit": "4/s", "burst": 1}}}},
               {"workers": workers})
    send(w.engine, several("mill", TENANT, 60, ("one", "two", "three")))
    w.sink.wait(24, timeout=20)
    exact(times(w.sink, "mill"), 4, 1)
    used(times(w.sink, "mill"), 4, 1)
    assert min(len(w.of(name)) for name in ("one", "two", "three")) >= 4


def test_bytes_of_a_tenant(make):
    w = Shaped(make, ["one"], {"tenants": {"big": {"byte_rate": {"limit": "20KB/s", "burst": "10KB"}}}}, {"workers": 2})
    body = "x" * 76 + "\r\n"
    with Client(w.engine.port) as c:
        c.ehlo()
        for i in range(15):
            content = message(f"big{i}", headers=[f"{TENANT}: big"]) + (body * 128).encode()
            assert c.submit(content, to=["bob@one.test"]).code == 250
    w.sink.wait(15, timeout=20)
    rate = 20480 / len(w.sink.messages[0].data)
    exact(times(w.sink, "big"), rate, 1)
    used(times(w.sink, "big"), rate, 1)


@pytest.mark.parametrize("scope, header", [("tenants", TENANT), ("campaigns", CAMPAIGN)])
def test_shares_by_weight(make, scope, header):
    gate = threading.Event()
    w = Shaped(make, ["one"], {"default": {"connections": 1, "messages_per_connection": 100000},
                               scope: {"light": {"weight": 1}, "heavy": {"weight": 3}}}, {},
               script={"mail": lambda s, a: gate.wait(60) and None})
    send(w.engine, several("light", header, 300) + several("heavy", header, 300))
    gate.set()
    first = w.sink.wait(220, timeout=30)[20:220]  # what was on its way before all were there does not count
    heavy = sum(m.subject.startswith("heavy") for m in first)
    assert 135 <= heavy <= 165, heavy


def test_a_new_configuration_changes_a_tenants_rate(make):
    rule = lambda limit: {"tenants": {"mill": {"message_rate": {"limit": limit, "burst": 1}}}}
    w = Shaped(make, ["one"], rule("1/day"), {"workers": 2})
    send(w.engine, several("mill", TENANT, 20))
    w.sink.wait(1)
    before = w.engine.stats()["spool"]["bytes_committed"]
    assert stays_false(lambda: len(w.sink.messages) > 1, 1)
    assert w.engine.stats()["spool"]["bytes_committed"] - before < 500  # at most the first one's result
    w.engine.write({"shaping": rule("50/s")})
    w.engine.hup()
    w.sink.wait(20, timeout=10)
