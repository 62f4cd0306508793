# SPDX-License-Identifier: GPL-3.0-or-later
"""Shaping at the far end: no limit is ever exceeded, each is fully used, whoever shares it.

All sites of these tests are names for one address, so one sink counts for all of them at one clock."""
import time

import pytest

from harness.client import Client
from harness.message import message, sized, tag
from harness.shaped import Shaped, exact, fill, mail_times, used
from harness.sink import Delay
from harness.wait import wait_until

WORKERS = pytest.mark.parametrize("workers", [2, 4])


@pytest.fixture
def shaped(make):
    return lambda *args, **kwargs: Shaped(make, *args, **kwargs)


# ---- connections ----


@WORKERS
def test_five_connections_for_all_sites_of_a_provider(shaped, workers):
    w = shaped(["one", "two", "three"], {"providers": {"p": {
        "match": {"mx_suffix": "prov.test"}, "connections": {"limit": 5, "shared": True},
        "messages_per_connection": 20}}}, {"workers": workers}, script={"dot": lambda s, a: Delay(0.03)})
    fill(w.engine, ["one", "two", "three"], 200)
    seen = []
    while len(w.sink.messages) < 500:
        seen.append(w.sink.open_sessions)
        time.sleep(0.01)
    assert sum(seen) >= 0.9 * 5 * len(seen), sum(seen) / len(seen)
    assert w.engine.wait_empty(30)["delivered"] == 600
    assert w.sink.peak == 5 and len(w.sink.messages) == 600
    assert all(len(w.of(name)) == 200 for name in ("one", "two", "three"))


@WORKERS
def test_each_site_has_its_own_connections(shaped, workers):
    w = shaped(["one", "two"], {"default": {"connections": 3}}, {"workers": workers},
               script={"dot": lambda s, a: Delay(0.05)})
    fill(w.engine, ["one", "two"], 60)
    wait_until(lambda: w.sink.open_sessions == 6, 20, "three connections each")
    w.engine.wait_empty(60)
    assert w.sink.peak == 6
    assert w.peak_of("one") == 3 and w.peak_of("two") == 3


def test_a_busy_site_does_not_keep_all_connections_of_a_provider(shaped):
    """One site's connections never run out of work, and could go on for ever."""
    w = shaped(["busy", "late"], {"providers": {"p": {
        "match": {"mx_suffix": "prov.test"}, "connections": {"limit": 2, "shared": True},
        "messages_per_connection": 100000}}}, {"workers": 2}, script={"dot": lambda s, a: Delay(0.02)})
    fill(w.engine, ["busy"], 400)
    assert w.sink.open_sessions == 2
    began = time.monotonic()
    fill(w.engine, ["late"], 3)
    wait_until(lambda: len(w.of("late")) == 3, 10, "mail of the late one")
    assert len(w.of("busy")) < 400
    assert w.of("late")[0].at - began < 2 and w.sink.peak == 2
    w.engine.wait_empty(60)


@WORKERS
def test_an_idle_connection_gives_its_place_to_another_site(shaped, workers):
    w = shaped(["one", "two"], {"providers": {"p": {
        "match": {"mx_suffix": "prov.test"}, "connections": {"limit": 1, "shared": True}, "idle_timeout": "60s"}}},
        {"workers": workers})
    for name in ("one", "two", "one", "two"):
        began, before = time.monotonic(), len(w.of(name))
        fill(w.engine, [name], 1)
        wait_until(lambda: len(w.of(name)) == before + 1, 10, "its mail")
        assert time.monotonic() - began < 1.5
    assert w.sink.peak == 1


def test_connections_of_a_new_site_come_step_by_step(shaped):
    w = shaped(["one"], {"default": {"connections": 10, "ramp_up": {"first": 1, "step": 1, "interval": "1s"}}},
               {"workers": 2}, script={"dot": lambda s, a: Delay(0.1)})
    fill(w.engine, ["one"], 120)
    wait_until(lambda: w.sink.open_sessions == 4, 20, "four connections")
    opened = sorted(s.opened_at for s in w.sink.sessions)
    for i in range(1, 4):
        assert opened[i] - opened[0] >= i - 0.05, [t - opened[0] for t in opened]
        assert opened[i] - opened[0] < i + 0.5, [t - opened[0] for t in opened]
    w.engine.wait_empty(60)


def test_new_connections_are_spaced(shaped):
    w = shaped(["one"], {"default": {"connection_rate": {"limit": "5/s", "burst": 1}, "messages_per_connection": 1}},
               {"workers": 2})
    fill(w.engine, ["one"], 15)
    w.sink.wait(15, timeout=20)
    opened = sorted(s.opened_at for s in w.sink.sessions)
    exact(opened, 5, 1)
    used(opened, 5, 1)
    assert all(s.messages == 1 for s in w.sink.sessions)


# ---- messages and bytes ----


@WORKERS
def test_messages_of_a_site_are_spaced(shaped, workers):
    w = shaped(["one"], {"default": {"message_rate": {"limit": "5/s", "burst": 1}}}, {"workers": workers})
    fill(w.engine, ["one"], 30)
    w.sink.wait(30, timeout=20)
    exact(mail_times(w.sink), 5, 1)
    used(mail_times(w.sink), 5, 1)


@WORKERS
def test_a_high_rate_is_exact_and_used(shaped, workers):
    w = shaped(["one"], {"default": {"message_rate": {"limit": "100/s", "burst": 20}}}, {"workers": workers})
    fill(w.engine, ["one"], 400)
    w.sink.wait(400, timeout=20)
    exact(mail_times(w.sink), 100, 20)
    used(mail_times(w.sink)[20:], 100, 1)


@WORKERS
def test_five_connections_and_a_hundred_messages_a_minute(shaped, workers):
    """Servers answer so late that four connections are not enough for the rate."""
    w = shaped(["one"], {"domains": {"one.test": {
        "message_rate": {"limit": "100/min", "burst": 1}, "connections": 5, "messages_per_connection": 3}}},
        {"workers": workers}, script={"dot": lambda s, a: Delay(2.7)})
    fill(w.engine, ["one"], 60)
    w.sink.wait(25, timeout=60)
    times = mail_times(w.sink)
    exact(times, 100 / 60, 1)
    used(times, 100 / 60, 1)
    assert w.sink.peak == 5
    w.sink.script.clear()
    w.engine.terminate()  # it rests: stopping does not wait for it
    began = time.monotonic()
    assert w.engine.wait() == 0 and time.monotonic() - began < 5


@WORKERS
def test_a_rate_that_sites_of_a_provider_share(shaped, workers):
    """It is exact for all of them together, and each has its part of it."""
    w = shaped(["one", "two"], {"providers": {"p": {
        "match": {"mx_suffix": "prov.test"}, "message_rate": {"limit": "4/s", "burst": 1, "shared": True}}}},
        {"workers": workers})
    fill(w.engine, ["one", "two"], 30)
    w.sink.wait(24, timeout=20)
    times = mail_times(w.sink)
    exact(times, 4, 1)
    used(times[:24], 4, 1)
    first = [m.rcpts[0] for m in w.sink.wait(24)[:24]]
    assert 8 <= sum("one" in r for r in first) <= 16, first


def test_a_shared_rate_is_shared_evenly_within_one_worker(shaped):
    w = shaped(["one", "two", "three"], {"providers": {"p": {
        "match": {"mx_suffix": "prov.test"}, "message_rate": {"limit": "30/s", "burst": 1, "shared": True}}}})
    fill(w.engine, ["one", "two", "three"], 60)
    first = w.sink.wait(90, timeout=20)[10:90]
    for name in ("one", "two", "three"):
        assert 15 <= sum(f"@{name}.test" in m.rcpts[0] for m in first) <= 40, (name, [m.rcpts for m in first])


def test_bytes_are_spaced(shaped):
    w = shaped(["one"], {"default": {"byte_rate": {"limit": "100KB/s", "burst": "20KB"}}}, {"workers": 2})
    fill(w.engine, ["one"], 40, make=lambda: sized(10_000))
    w.sink.wait(40, timeout=20)
    times = mail_times(w.sink)
    each = len(w.sink.messages[0].data)
    exact(times, 102400 / each, 2)
    used(times, 102400 / each, 2)


def test_a_small_urgent_message_passes_one_that_waits_for_many_bytes(shaped):
    """The site rests until the large one may go; the small one may go long before."""
    w = shaped(["one"], {"default": {"byte_rate": {"limit": "200KB/10s", "burst": "200KB"}}})
    fill(w.engine, ["one"], 2, make=lambda: sized(200_000))
    w.sink.wait(1)
    began = time.monotonic()
    fill(w.engine, ["one"], 1, make=lambda: b"X-Ringpost-Priority: urgent\r\n" + message("now"))
    w.sink.with_subject("now", timeout=5)
    assert time.monotonic() - began < 2 and len(w.sink.messages) == 2


def test_transactions_are_no_larger_than_the_rule_says(shaped):
    w = shaped(["one", "two"], {"domains": {"one.test": {"recipients_per_transaction": 3}}}, {"workers": 2})
    with Client(w.engine.port) as c:
        c.ehlo()
        c.submit(message(tag()), to=[f"r{i}@one.test" for i in range(10)])
        c.submit(message(tag()), to=[f"r{i}@two.test" for i in range(10)])
    w.sink.wait(5)
    sizes = sorted(len(m.rcpts) for m in w.sink.messages)
    assert sizes == [1, 3, 3, 3, 10]


def test_connections_end_as_the_rule_says(shaped):
    w = shaped(["one", "two"], {"domains": {
        "one.test": {"connections": 1, "messages_per_connection": 4, "idle_timeout": "1s"}, "two.test": {"idle_timeout": "3s"}}})
    fill(w.engine, ["one", "two"], 20)
    w.sink.wait(40)
    one = [s for s in w.sink.sessions if w.name_of(s) == "one"]
    two = [s for s in w.sink.sessions if w.name_of(s) == "two"]
    assert max(s.messages for s in one) == 4 and len(one) == 5
    began = time.monotonic()
    fill(w.engine, ["one", "two"], 1)
    w.sink.wait(42)
    wait_until(lambda: not any(s.open for s in w.sink.sessions if w.name_of(s) == "one"), 3, "the end of one's")
    assert 0.8 < time.monotonic() - began < 2 and any(s.open for s in two)
    wait_until(lambda: w.sink.open_sessions == 0, 5, "the end of two's")
    assert 2.8 < time.monotonic() - began < 4.5


def test_timeouts_are_those_of_the_rule(shaped):
    w = shaped(["one", "two"], {"domains": {"one.test": {"timeouts": {"mail": "1s"}}}},
               {"queue": {"schedule": ["1h"]}}, script={"mail": lambda s, a: Delay(2.5)})
    began = time.monotonic()
    fill(w.engine, ["one", "two"], 1)
    w.engine.event("deferred", timeout=10)
    assert 0.9 < time.monotonic() - began < 2.4
    assert len(w.sink.wait(1, timeout=10)) == 1 and w.of("two")


def test_a_site_that_is_down_pauses_by_its_own_rule(shaped):
    """one: pauses after the first failure, for long; two: after three."""
    w = shaped(["one", "two"], {"domains": {
        "one.test": {"back_off": {"failures": 1, "first": "20s", "max": "20s"}},
        "two.test": {"back_off": {"failures": 3, "first": "100ms", "max": "100ms"}}}},
        {"queue": {"schedule": ["60s"]}}, hosts={"one": "127.0.0.9", "two": "127.0.0.9"})
    fill(w.engine, ["one", "two"], 1)
    w.engine.event("deferred", timeout=10, count=2)
    tries = [e["site"] for e in w.engine.events("outbound_trouble")]
    assert sum("one" in t for t in tries) == 1 and sum("two" in t for t in tries) == 3, tries
    fill(w.engine, ["one"], 1)
    w.engine.event("deferred", timeout=10, count=3)
    assert sum("one" in e["site"] for e in w.engine.events("outbound_trouble")) == 1


def test_waiting_for_a_rate_writes_nothing(shaped):
    w = shaped(["one"], {"default": {"message_rate": {"limit": "1/h"}}}, {"workers": 2})
    fill(w.engine, ["one"], 50)
    w.sink.wait(1)
    w.engine.wait_durable()
    before, cpu = w.engine.stats()["spool"]["bytes_committed"], w.engine.cpu_seconds()
    time.sleep(2.5)
    assert w.engine.stats()["spool"]["bytes_committed"] == before
    assert w.engine.cpu_seconds() - cpu < 0.1
    assert len(w.sink.messages) == 1 and w.engine.counters()["queued"] == 49


@pytest.mark.parametrize("rule", [{"connection_rate": {"limit": "1/h"}, "messages_per_connection": 1},
                                  {"connections": {"limit": 1, "shared": True}, "match": {"mx_suffix": "prov.test"}}])
def test_waiting_for_a_connection_uses_no_cpu(shaped, rule):
    shaping = {"providers": {"p": rule}} if "match" in rule else {"default": rule}
    w = shaped(["one", "two"], shaping, {"workers": 2}, script={"dot": [None, Delay(10)]})
    fill(w.engine, ["one"], 2)
    w.sink.wait(1)
    fill(w.engine, ["one", "two"], 10)
    cpu = w.engine.cpu_seconds()
    time.sleep(2.5)
    assert w.engine.cpu_seconds() - cpu < 0.25


# ---- TLS ----


def test_tls_of_one_domain_is_not_that_of_another_at_the_same_hosts(make):
    """They are sites of their own, with their own connections."""
    w = Shaped(make, ["one", "two"], {"domains": {"one.test": {"tls": "encrypt"}, "two.test": {"tls": "none"}}},
               {"queue": {"schedule": ["1h"]}}, same_host=True)
    fill(w.engine, ["one", "two"], 3)
    wait_until(lambda: len(w.of("two")) == 3, 10, "mail without TLS")
    w.engine.event("deferred", timeout=10, count=3)
    assert not w.of("one"), "sent in plain text"
