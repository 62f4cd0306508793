# SPDX-License-Identifier: GPL-3.0-or-later
"""Egress sources: from which address, with which name, and how much of it, as the far end sees it."""
import math
import os
import subprocess
import sys
from collections import Counter

import pytest

from harness.client import Client
from harness.engine import run
from harness.message import message, tag
from harness.mxworld import World, mx
from harness.shaped import Shaped, exact, fill, used
from harness.sink import Delay
from harness.wait import wait_until

SOURCES = [{"name": "ip1", "addresses": ["127.0.0.11"], "ehlo": "mta1.example.com"},
           {"name": "ip2", "addresses": "127.0.0.12", "ehlo": "mta2.example.com"},
           {"name": "ip3", "addresses": ["127.0.0.13"]}]
POOLS = [{"name": "bulk", "sources": {"ip1": 3, "ip2": 1}}, {"name": "pair", "sources": {"ip1": 1, "ip2": 1}}]
ADDRESS = {"127.0.0.11": "ip1", "127.0.0.12": "ip2", "127.0.0.13": "ip3", "127.0.0.1": None}
WORKERS = pytest.mark.parametrize("workers", [1, 2])


def sources(rules, more=None):
    return {"sources": SOURCES, "source_pools": POOLS, "source_rules": rules, **(more or {})}


def source_of(m):
    """Of a message at the sink, by the address that it came from."""
    return ADDRESS[m.session.peer[0]]


def send(engine, headers=(), sender="alice@back.test", to="bob@example.test", expect=250):
    subject = tag()
    with Client(engine.port) as c:
        c.ehlo()
        reply = c.submit(message(subject, headers=headers), sender=sender, to=(to,))
        assert reply.code == expect, reply
        c.quit()
    return subject if expect == 250 else reply


def sent_by(engine, **kwargs):
    subject = send(engine, **kwargs)
    return source_of(engine.sink.with_subject(subject, timeout=20)[0])


def submit_many(engine, count, headers=(), to="bob@example.test"):
    with Client(engine.port, timeout=60) as c:
        c.ehlo()
        for _ in range(count):
            reply = c.submit(message(tag(), headers=headers), to=(to,))
            assert reply.code == 250, reply
        c.quit()


# ---- which source ----


def test_address_and_name(make):
    """Far end, log and explain agree."""
    engine = make.relay(sources([{"tenant": "news", "pool": "ip1"}, {"pool": "ip3"}]))
    subject = send(engine, headers=["X-Ringpost-Tenant: news"])
    m = engine.sink.with_subject(subject, timeout=20)[0]
    assert m.session.peer[0] == "127.0.0.11"
    assert m.session.commands[0].line == b"EHLO mta1.example.com"
    assert engine.event("delivered")["source"] == "ip1"
    subject = send(engine)
    m = engine.sink.with_subject(subject, timeout=20)[0]
    assert m.session.peer[0] == "127.0.0.13"
    assert m.session.commands[0].line == b"EHLO relay.example.test"
    lines = run("explain", "-c", engine.file, "example.test").stdout
    assert "source       ip1\n" in lines and "source       ip3\n" in lines
    assert "@ip1 (worker" in lines and lines.count("now, at site") == 2


def test_rules(make):
    """The first that matches; all that it names; none: no source."""
    engine = make.relay(sources([
        {"tenant": "news", "campaign": "spring", "pool": "ip2"}, {"tenant": "news", "pool": "ip1"},
        {"campaign": "spring", "pool": "ip3"}, {"sender_domain": "Example.ORG", "pool": "ip2"}]))
    rows = [(["X-Ringpost-Tenant: news"], "alice@back.test", "ip1"),
            (["X-Ringpost-Tenant: news", "X-Ringpost-Campaign: spring"], "alice@back.test", "ip2"),
            (["X-Ringpost-Campaign: spring"], "alice@example.org", "ip3"),
            ([], "alice@example.org", "ip2"), ([], "alice@EXAMPLE.org", "ip2"),
            ([], "alice@sub.example.org", None), ([], "", None),
            (["X-Ringpost-Source: ip3", "X-Ringpost-Tenant: news"], "alice@example.org", "ip3")]
    for headers, sender, want in rows:
        assert sent_by(engine, headers=headers, sender=sender) == want, (headers, sender)


@WORKERS
def test_weights(make, workers):
    engine = make.relay(sources([{"pool": "bulk"}], {"workers": workers}))
    submit_many(engine, 400)
    engine.sink.wait(400, 60)
    counts = Counter(source_of(m) for m in engine.sink.messages)
    assert set(counts) == {"ip1", "ip2"}
    # Five standard deviations of the binomial distribution: once in two million.
    assert abs(counts["ip1"] - 300) <= 5 * math.sqrt(400 * 0.75 * 0.25), counts


def test_header(make):
    """A pool or a source; stripped; what is not known here is refused."""
    engine = make.relay(sources([], {"headers": {"source": "X-Vmta"}}))
    subject = send(engine, headers=["X-Vmta: ip2"])
    m = engine.sink.with_subject(subject, timeout=20)[0]
    assert source_of(m) == "ip2" and b"x-vmta" not in m.data.lower()
    assert sent_by(engine, headers=["x-vmta:  pair "]) in ("ip1", "ip2")
    reply = send(engine, headers=["X-Vmta: nobody"], expect=550)
    assert "X-Vmta is not the name of a source or a pool here" in reply.text
    send(engine, headers=["X-Vmta: ip1", "X-Vmta: ip2"], expect=550)


def test_header_of_strangers(make):
    """Whose word on attributes does not count cannot choose; it hears no error and the field stays out."""
    engine = make.relay(sources([{"pool": "ip1"}], {"listeners": [{"address": "127.0.0.1", "attributes": "nobody"}]}),
                        start=False)
    engine.conf["listeners"][0]["port"] = engine.port
    engine.start()
    subject = send(engine, headers=["X-Ringpost-Source: ip2"])
    m = engine.sink.with_subject(subject, timeout=20)[0]
    assert source_of(m) == "ip1" and b"x-ringpost-source" not in m.data.lower()
    send(engine, headers=["X-Ringpost-Source: nobody"])


@WORKERS
def test_restart_keeps_the_header(make, workers):
    sink = make.sink(script={"mail": "451 4.3.0 later"})
    engine = make.relay(sources([{"pool": "ip1"}], {"workers": workers, "queue": {"schedule": ["1s"]}}), sink=sink)
    subject = send(engine, headers=["X-Ringpost-Source: ip2"])
    engine.event("deferred")
    engine.stop()
    sink.script.clear()
    engine.start()
    assert source_of(sink.with_subject(subject, timeout=20)[0]) == "ip2"


# ---- families ----


def test_families(make):
    zone = mx("dual.test", [(10, "127.0.0.2")])
    zone["mx0.dual.test"]["aaaa"] = ["::1"]
    zone.update(mx("four.test", [(10, "127.0.0.2")]))
    w = World(make, zone, {"sources": [{"name": "v4", "addresses": "127.0.0.11"},
                                       {"name": "v6", "addresses": "::1"},
                                       {"name": "both", "addresses": ["127.0.0.12", "::1"]}],
                           "source_pools": [{"name": "mixed", "sources": {"v6": 1000, "v4": 1}}],
                           "queue": {"schedule": ["1h"]}})
    four, six = w.sink("127.0.0.2"), w.sink("::1")
    engine = w.start()

    def came(name, domain):
        subject = send(engine, headers=[f"X-Ringpost-Source: {name}"], to=f"bob@{domain}")
        return wait_until(lambda: [(s, m.session.peer[0]) for s in (four, six) for m in s.messages
                                   if m.subject == subject], 20, "the message")[0]

    assert came("v4", "dual.test") == (four, "127.0.0.11")
    assert came("v6", "dual.test") == (six, "::1")
    assert came("both", "four.test") == (four, "127.0.0.12")
    assert came("mixed", "four.test") == (four, "127.0.0.11")  # nobody else of the pool can
    send(engine, headers=["X-Ringpost-Source: v6"], to="bob@four.test")
    event = engine.event("deferred")
    assert event["status"] == "4.4.4" and "family" in event["reply"]


# ---- limits ----


@WORKERS
def test_connections_per_source_and_site(make, workers):
    """connections: 2 of a site are 2 for each source."""
    sink = make.sink(script={"dot": lambda s, a: Delay(0.05)})
    engine = make.relay(sources([{"pool": "pair"}],
                                {"workers": workers, "shaping": {"default": {"connections": 2}}}), sink=sink)
    submit_many(engine, 120)
    engine.wait_empty(60)
    assert peak(sink, "ip1") == 2 and peak(sink, "ip2") == 2 and sink.peak == 4


def peak(sink, source):
    """Most sessions of a source that had messages at the same time."""
    lives = {}
    for m in sink.messages:
        if source_of(m) == source:
            first, _ = lives.get(m.session, (m.at, m.at))
            lives[m.session] = (first, m.done_at)
    return max(sum(a <= at <= b for a, b in lives.values()) for at, _ in lives.values())


@pytest.mark.parametrize("workers", [2, 4])
def test_rate_of_a_source_over_all_destinations(make, workers):
    """shaping.sources: one budget for all sites; another source is not held up by it."""
    w = Shaped(make, ["one", "two", "three"], {"sources": {"ip1": {"message_rate": {"limit": "10/s", "burst": 1}}}},
               sources([{"tenant": "fast", "pool": "ip2"}, {"pool": "ip1"}], {"workers": workers}))
    fill(w.engine, ["one", "two", "three"], 14)
    fill(w.engine, ["one"], 20, lambda: message(tag(), headers=["X-Ringpost-Tenant: fast"]))
    w.engine.wait_empty(60)
    assert Counter(source_of(m) for m in w.sink.messages) == {"ip1": 42, "ip2": 20}
    times = sorted(c.at for s in w.sink.sessions if ADDRESS[s.peer[0]] == "ip1" for c in s.commands
                   if c.verb == "MAIL")
    exact(times, 10, 1)
    used(times[:36], 10, 1)  # towards the end the turn may be of a site that has nothing left
    assert max(m.at for m in w.sink.messages if source_of(m) == "ip2") < times[30]


@pytest.mark.parametrize("workers", [2, 4])
def test_connections_of_a_source_over_all_destinations(make, workers):
    w = Shaped(make, ["one", "two", "three"], {"sources": {"ip1": {"connections": 4}}},
               sources([{"tenant": "fast", "pool": "ip2"}, {"pool": "ip1"}], {"workers": workers}),
               script={"dot": lambda s, a: Delay(0.03)})
    fill(w.engine, ["one", "two", "three"], 80)
    w.engine.wait_empty(60)
    assert w.sink.peak == 4 and peak(w.sink, "ip1") == 4
    assert all(len(w.of(name)) == 80 for name in ("one", "two", "three"))


def test_what_sites_of_a_provider_share_is_shared_per_source(make):
    w = Shaped(make, ["one", "two"], {"providers": {"p": {
        "match": {"mx_suffix": "prov.test"}, "connections": {"limit": 2, "shared": True}}}},
        sources([{"pool": "pair"}], {"workers": 2}), script={"dot": lambda s, a: Delay(0.03)})
    fill(w.engine, ["one", "two"], 60)
    w.engine.wait_empty(60)
    assert peak(w.sink, "ip1") == 2 and peak(w.sink, "ip2") == 2 and w.sink.peak == 4


def test_rules_of_a_site_for_one_source(make):
    """domains.NAME.sources: only that pair is limited."""
    w = Shaped(make, ["one", "two"],
               {"domains": {"one.test": {"sources": {"ip1": {"message_rate": {"limit": "20/s", "burst": 1}}}}}},
               sources([{"tenant": "other", "pool": "ip2"}, {"pool": "ip1"}]))
    fill(w.engine, ["one", "two"], 30)
    fill(w.engine, ["one"], 30, lambda: message(tag(), headers=["X-Ringpost-Tenant: other"]))
    w.engine.wait_empty(60)
    spans = {}
    for m in w.sink.messages:
        key = (source_of(m), m.rcpts[0].split("@")[1])
        first, last = spans.get(key, (m.at, m.at))
        spans[key] = (min(first, m.at), max(last, m.at))
    span = {k: b - a for k, (a, b) in spans.items()}
    assert span["ip1", "one.test"] >= 29 / 20 - 0.2
    assert span["ip2", "one.test"] < span["ip1", "one.test"] and span["ip1", "two.test"] < span["ip1", "one.test"]


# ---- a new configuration ----


@WORKERS
def test_reload(make, workers):
    """Mail that waits at a source that is taken away goes by another; a new one is used at once."""
    sink = make.sink(script={"mail": "451 4.3.0 later"})
    engine = make.relay(sources([{"pool": "ip1"}], {"workers": workers, "queue": {"schedule": ["1s"]}}), sink=sink)
    subjects = [send(engine) for _ in range(4)] + [send(engine, headers=["X-Ringpost-Source: ip1"])]
    engine.event("deferred", count=5)
    engine.conf.update(sources=[SOURCES[1], {"name": "ip4", "addresses": "127.0.0.14", "ehlo": "mta4.example.com"}],
                       source_pools=[], source_rules=[{"tenant": "news", "pool": "ip4"}, {"pool": "ip2"}])
    engine.write()
    engine.hup()
    engine.event("reloaded")
    sink.script.clear()
    for subject in subjects:
        assert sink.with_subject(subject, timeout=20)[0].session.peer[0] == "127.0.0.12"
    m = sink.with_subject(send(engine, headers=["X-Ringpost-Tenant: news"]), timeout=20)[0]
    assert m.session.peer[0] == "127.0.0.14" and m.session.commands[0].line == b"EHLO mta4.example.com"


def test_reload_changes_an_address(make):
    engine = make.relay(sources([{"pool": "ip1"}]))
    assert sent_by(engine) == "ip1"
    engine.conf["sources"] = [{"name": "ip1", "addresses": "127.0.0.13"}, SOURCES[1]]
    engine.write()
    engine.hup()
    engine.event("reloaded")
    assert sent_by(engine) == "ip3"


def test_check_warns_of_addresses_of_others(make):
    engine = make.relay({"sources": [{"name": "ip1", "addresses": "192.0.2.77"}]}, start=False)
    engine.write()
    result = run("check", "-c", engine.file)
    assert result.returncode == 0
    assert "warning: sources[0].addresses: 192.0.2.77 is not on this machine: ip1 pauses until it is" in result.stderr


# ---- what operators see ----


@WORKERS
def test_queue_by_source(make, workers):
    sink = make.sink(script={"mail": "451 4.3.0 later"})
    engine = make.relay(sources([], {"workers": workers, "queue": {"schedule": ["1h"]}}), sink=sink)
    for name in ("ip1", "ip2", "ip2"):
        send(engine, headers=[f"X-Ringpost-Source: {name}"])
    send(engine)
    engine.event("deferred", count=4)

    def count(*selection):
        return engine.queue("stats", *selection)[0]["recipients"]

    assert [count("--source", n) for n in ("ip1", "ip2", "ip3")] == [1, 2, 0]
    assert count("--domain", "example.test") == 4
    engine.queue("bounce", "--source", "ip2")
    engine.event("bounced", count=2)
    assert count("--domain", "example.test") == 2 and count("--source", "ip1") == 1
    stats = engine.stats()["sources"]
    assert stats == {"count": 3, "paused": 0, "pauses": 0}
    listed = engine.queue("ls", "--source", "ip1")
    assert listed[0]["recipients"][0]["source"] == "ip1", listed


# ---- addresses that go and come back ----


def test_pause_and_return(tmp_path):
    """In a network of its own, because addresses are taken away: harness/source_pause.py."""
    script = os.path.join(os.path.dirname(__file__), "harness", "source_pause.py")
    result = subprocess.run(["unshare", "--user", "--map-root-user", "--net", sys.executable, script, str(tmp_path)],
                            capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
