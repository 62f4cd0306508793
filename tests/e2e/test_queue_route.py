# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringpost queue route`: queued mail goes by another host, and stays on that way over a restart."""
import re
import threading

import pytest

from harness.client import submit
from harness.engine import check_sum, run
from harness.ports import free_port
from harness.sink import Sink
from harness.tls_peer import TlsSink, login_world, peer_ca
from harness.wait import wait_until

WORKERS = [1, 2]
HOUR = {"queue": {"schedule": ["1h"]}}
ALL = ["1@one.test", "2@one.test", "3@two.test"]


def order(engine, *args, check=True):
    lines = engine.queue(*args, check=check)
    assert len(lines) == 1, lines
    return lines[0]


def delivered(sink):
    return sorted(r for m in sink.messages for r in m.rcpts)


def listed(engine):
    return {r["to"]: r for m in engine.queue("ls", "--limit", "100000") for r in m["recipients"]}


@pytest.fixture(params=WORKERS)
def rig(request, make):
    """Three recipients, deferred for an hour by the smarthost; another host that takes everything."""
    shut = make.sink(script={"rcpt": lambda s, a: "451 4.7.1 greylisted"})
    engine = make.relay({**HOUR, "workers": request.param}, sink=shut)
    engine.other = make.sink()
    engine.ids = []
    for to in ALL:
        reply = submit(engine.port, to=[to], sender="ann@a.test")
        engine.ids.append(re.search(r"\b([0-9A-Z]{13})\b", reply.text).group(1))
    engine.event("deferred", count=3)
    return engine


def test_the_selected_go_there_now(rig):
    dry = order(rig, "route", "--domain", "one.test", "--to", rig.other.endpoint, "--dry-run")
    assert dry["dry_run"] is True and dry["recipients"] == 2 and rig.other.messages == []
    done = order(rig, "route", "--domain", "one.test", "--to", rig.other.endpoint)
    assert (done["verb"], done["recipients"], done["messages"]) == ("queue route", 2, 2)
    rig.other.wait(2)
    assert delivered(rig.other) == ALL[:2]
    wait_until(lambda: rig.counters()["delivered"] == 2, 10, "their results")
    assert rig.counters()["queued"] == 1
    check_sum(rig.counters())
    event = rig.event("order")
    assert event["to"] == f"127.0.0.1:{rig.other.port}" and event["recipients"] == 2


SELECTORS = [
    (lambda e: ["--id", e.ids[0]], ALL[:1]),
    (lambda e: ["--recipient", ALL[1]], ALL[1:2]),
    (lambda e: ["--domain", "two.test"], ALL[2:]),
    (lambda e: ["--sender", "ann@a.test"], ALL),
    (lambda e: ["--site", "127.0.0.1"], ALL),
    (lambda e: ["--last-reply", "greylisted"], ALL),
    (lambda e: ["--older-than", "1h"], []),
    (lambda e: ["--tenant", "nobody"], []),
    (lambda e: ["--campaign", "nothing"], []),
    (lambda e: ["--all"], ALL),
]


@pytest.mark.parametrize("number", range(len(SELECTORS)))
def test_every_selection(make, number):
    shut = make.sink(script={"rcpt": lambda s, a: "451 4.7.1 greylisted"})
    engine = make.relay({**HOUR, "workers": 2}, sink=shut)
    other = make.sink()
    engine.ids = []
    for to in ALL:
        reply = submit(engine.port, to=[to], sender="ann@a.test")
        engine.ids.append(re.search(r"\b([0-9A-Z]{13})\b", reply.text).group(1))
    engine.event("deferred", count=3)
    args, want = SELECTORS[number]
    args = args(engine)
    assert order(engine, "route", *args, "--to", other.endpoint, "--dry-run")["recipients"] == len(want)
    assert order(engine, "route", *args, "--to", other.endpoint)["recipients"] == len(want)
    wait_until(lambda: engine.counters()["delivered"] == len(want), 10, "those that are meant")
    assert delivered(other) == want


@pytest.mark.parametrize("kill", [False, True])
def test_a_route_survives_a_restart(rig, kill):
    """Nobody listens there yet; the route is in the spool, with every recipient that has it."""
    port = free_port()
    target = f"127.0.0.1:{port}"
    assert order(rig, "route", "--recipient", ALL[0], "--to", target)["recipients"] == 1
    rig.event("deferred", count=4)
    for _ in range(2):
        if kill:
            rig.kill()
        else:
            rig.stop()
        rig.start()
        wait_until(lambda: listed(rig).get(ALL[0], {}).get("route") == target, 10, "the route is known")
        assert "route" not in listed(rig)[ALL[1]]
    with Sink(port=port) as sink:
        order(rig, "retry", "--recipient", ALL[0])
        sink.wait(1)
        assert delivered(sink) == [ALL[0]]
        wait_until(lambda: rig.counters()["queued"] == 2, 10, "its result")


def test_default_takes_a_route_back(rig):
    order(rig, "hold", "--all")
    assert order(rig, "route", "--all", "--to", rig.other.endpoint)["recipients"] == 3
    assert {r["state"] for r in listed(rig).values()} == {"held"}  # a hold stays
    assert order(rig, "route", "--all", "--to", rig.other.endpoint)["recipients"] == 0  # they are
    assert order(rig, "route", "--domain", "two.test", "--to", "default")["recipients"] == 1
    assert order(rig, "route", "--domain", "two.test", "--to", "default")["recipients"] == 0
    assert order(rig, "release", "--all")["recipients"] == 3
    rig.other.wait(2)
    rig.event("deferred", count=4)
    assert delivered(rig.other) == ALL[:2] and "route" not in listed(rig)[ALL[2]]


@pytest.mark.parametrize("workers", WORKERS)
def test_what_stands_in_line_goes_the_other_way(make, workers):
    """One slow connection with forty behind it: all but those in transactions go elsewhere."""
    go = threading.Event()

    def dot(session, data):
        go.wait(30)
    slow = make.sink(script={"dot": dot}, features=["8BITMIME"])
    engine = make.relay({"workers": workers, "delivery": {"connections_per_site": 1}}, sink=slow)
    other = make.sink()
    try:
        for i in range(40):
            submit(engine.port, to=[f"u{i}@slow.test"])
        wait_until(lambda: engine.stats()["inflight"] >= 1, 10, "a transaction")
        done = order(engine, "route", "--all", "--to", other.endpoint)
        assert done["recipients"] == 40 and 1 <= done["sending"] <= 4, done
        other.wait(40 - done["sending"])
    finally:
        go.set()
    counters = engine.wait_empty()
    check_sum(counters)
    assert counters["delivered"] == 40


def test_the_mx_of_another_domain(world):
    w = world({"gone.test": {"mx": [[10, "mx.gone.test"]]}, "mx.gone.test": {"a": ["127.0.0.3"]},
               "there.test": {"mx": [[10, "mx.there.test"]]}, "mx.there.test": {"a": ["127.0.0.2"]}},
              {**HOUR, "queue": {"schedule": ["1h"]}})
    submit(w.engine.port, to=["bob@gone.test"])
    w.engine.event("deferred")
    order(w.engine, "route", "--site", "mx.gone.test", "--to", "mx:There.test")
    w.sinks["127.0.0.2"].wait(1)
    assert delivered(w.sinks["127.0.0.2"]) == ["bob@gone.test"]
    assert w.engine.wait_empty()["delivered"] == 1


def test_a_host_that_does_not_exist_puts_off(world):
    w = world({"dest.test": {"mx": [[10, "mx.dest.test"]]}, "mx.dest.test": {"a": ["127.0.0.3"]}},
              {"queue": {"schedule": ["1h"]}})
    submit(w.engine.port, to=["bob@dest.test"])
    w.engine.event("deferred")
    order(w.engine, "route", "--all", "--to", "nowhere.test:25")
    event = w.engine.event("deferred", count=2)[-1]
    assert event["stage"] == "route" and not w.engine.events("bounced")
    assert listed(w.engine)["bob@dest.test"]["route"] == "nowhere.test:25"


def test_our_login_is_for_the_configured_host_only(make, tmp_path_factory):
    """Another host offers AUTH, in clear and under TLS; it never hears of the smarthost's password. Routed to the
    smarthost by name and port, mail is as its own."""
    secret = "c4n4ry-route"
    ca = peer_ca(tmp_path_factory.mktemp("ca"))
    engine = login_world(make, ca, "alice", secret, ["PLAIN"], conf={"queue": {"schedule": ["1h"]}})
    shut = [True]
    engine.sink.script["rcpt"] = lambda s, a: "451 4.7.1 later" if shut[0] else None
    other = make.add(TlsSink(ca.server(ca.good), auth=["PLAIN"], auth_in_clear=["PLAIN"], auth_required=False,
                             users={"alice": secret}).start())
    submit(engine.port, to=["a@one.test"])
    submit(engine.port, to=["b@one.test"])
    engine.event("deferred", count=2)
    assert engine.sink.commands("AUTH") and any(s.user for s in engine.sink.sessions)
    order(engine, "route", "--recipient", "a@one.test", "--to", other.endpoint)
    other.wait(1)
    assert other.commands("AUTH") == [] and delivered(other) == ["a@one.test"]
    shut[0] = False
    order(engine, "route", "--recipient", "b@one.test", "--to", f"Mail.peer.test:{engine.sink.port}")
    engine.sink.wait(1)
    assert delivered(engine.sink) == ["b@one.test"]
    assert all(s.user for s in engine.sink.sessions)
    engine.wait_empty()


@pytest.mark.parametrize("target", ["", "bad host", "host:0", "host:70000", "mx:", "mx:a b", "[::1", "x y:25", "a@b"])
def test_what_is_no_target_is_refused(relay, target):
    done = run("queue", "route", "--all", "--to", target, "--socket", relay.socket)
    assert done.returncode == 64, done


def test_a_route_needs_a_target_and_a_selection(relay):
    done = run("queue", "route", "--all", "--socket", relay.socket)
    assert done.returncode == 64 and "to=" in done.stderr
    done = run("queue", "route", "--to", "h.test:25", "--socket", relay.socket)
    assert done.returncode == 64 and "--all" in done.stderr
