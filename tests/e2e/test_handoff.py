# SPDX-License-Identifier: GPL-3.0-or-later
"""Several workers, one queue: whoever took a message in, any of them may send it, and the limits of its
destination hold over all of them (core/queue/sched.h, far.h)."""
import time

import pytest

from harness.client import Client, submit
from harness.load import Load, once, subject_of, workers_that_connected
from harness.message import message, sized, tag
from harness.mxworld import mx
from harness.sink import Delay, Silence
from harness.wait import stays_false, wait_until

DEBUG = {"log": {"level": "debug"}}


def slow(seconds):
    return {"dot": lambda s, a: Delay(seconds)}


def test_mail_of_one_connection_is_delivered_by_all_workers(make):
    engine = make.relay({"workers": 4, "delivery": {"connections_per_site": 8}, **DEBUG},
                        sink=make.sink(script=slow(0.03)))
    load = Load(engine.port).run(1, 200)
    assert engine.wait_empty(60)["delivered"] == 200
    once(load, engine.sink)
    assert workers_that_connected(engine, 4) == {0, 1, 2, 3}
    assert 4 <= engine.sink.peak <= 8
    busy = [s for s in engine.sink.sessions if s.messages]
    assert len(busy) >= 4


@pytest.mark.parametrize("workers", [2, 4])
def test_the_limit_is_exact_and_fully_used(make, workers):
    sink = make.sink(script=slow(0.05))
    engine = make.relay({"workers": workers, "delivery": {"connections_per_site": 5, "messages_per_connection": 10000}},
                        sink=sink)
    load = Load(engine.port).start(20, 20)
    wait_until(lambda: sink.open_sessions == 5, 20, "five connections")
    busy = [s.messages for s in sink.sessions]
    assert stays_false(lambda: sink.open_sessions != 5, 2)
    assert all(s.messages > before + 10 for s, before in zip(sink.sessions, busy))
    load.stop()
    assert engine.wait_empty(60)["delivered"] == len(load.sent)
    assert sink.peak == 5
    once(load, sink)
    assert sink.connections == 5


def test_one_connection_for_four_workers(make):
    """Whoever has it sends everybody's mail; also when it has had enough and another takes its place."""
    sink = make.sink(script=slow(0.002))
    engine = make.relay({"workers": 4, "delivery": {"connections_per_site": 1, "messages_per_connection": 7}}, sink=sink)
    load = Load(engine.port).run(12, 10)
    assert engine.wait_empty(60)["delivered"] == 120
    once(load, sink)
    assert sink.peak == 1 and sink.connections >= 120 // 7


def test_the_last_messages_do_not_wait_for_others(make):
    """Connections that end after a few messages: what was on its way to a worker without one goes elsewhere."""
    engine = make.relay({"workers": 4, "delivery": {"connections_per_site": 6, "messages_per_connection": 2}})
    for _ in range(20):
        load = Load(engine.port).run(3, 9)
        engine.wait_empty(20)
        once(load, engine.sink)
        engine.sink.messages.clear()


def test_big_messages_and_retries_from_another_workers_disk(make):
    """The first attempts fail, so the second ones read the content from where it is stored."""
    first = set()

    def dot(session, data):
        subject = subject_of(data)
        if subject in first:
            return Delay(0.02)
        first.add(subject)
        return Delay(0.02, "451 4.3.0 once more")
    sink = make.sink(script={"dot": dot})
    engine = make.relay({"workers": 4, "delivery": {"connections_per_site": 6}, **DEBUG}, sink=sink)
    load = Load(engine.port, lambda: sized(300_000)).run(1, 40)
    assert engine.wait_empty(90)["delivered"] == 40
    once(load, sink)
    assert len(workers_that_connected(engine, 4)) >= 2  # and one of them at most is the home
    assert len(engine.events("deferred")) == 40


def test_sighup_switches_the_smarthost_under_load(make):
    other = make.sink(script=slow(0.005))
    engine = make.relay({"workers": 4}, sink=make.sink(script=slow(0.005)))
    load = Load(engine.port).start(8)
    wait_until(lambda: len(engine.sink.messages) > 100, 30, "mail at the first")
    for to in (other, engine.sink, other):
        before = len(to.messages)
        engine.write({"relay": {"host": to.endpoint}})
        seen = len(engine.events("reloaded"))
        engine.hup()
        engine.event("reloaded", count=seen + 1)
        wait_until(lambda: len(to.messages) > before + 100, 30, "mail at the next")
    load.stop()
    counters = engine.wait_empty(60)
    assert counters["delivered"] == len(load.sent)
    once(load, engine.sink, other)
    at = len(engine.sink.messages)
    submit(engine.port, message(tag()))
    engine.wait_empty()
    assert len(engine.sink.messages) == at


def test_a_dead_site_does_not_hold_up_another(world):
    """127.0.0.3 refuses, 127.0.0.4 takes connections and never greets."""
    zone = {**mx("good.test"), **mx("dead.test", [(10, "127.0.0.3")]), **mx("mute.test", [(10, "127.0.0.4")])}
    w = world(zone, conf={"workers": 4, "queue": {"schedule": ["1h"]}, "delivery": {"greeting_timeout": "10s"}})
    w.sink("127.0.0.4", script={"connect": lambda s, a: Silence()})
    sink = w.sinks["127.0.0.2"]
    with Client(w.engine.port, timeout=60) as c:
        c.ehlo()
        for _ in range(100):
            for domain in ("dead", "mute", "good"):
                assert c.submit(message(tag()), to=[f"x@{domain}.test"]).code == 250
    sink.wait(100, timeout=10)
    wait_until(lambda: len(w.engine.events("deferred")) >= 100, 20, "dead mail put off")
    assert w.engine.counters()["delivered"] == 100


def test_a_worker_without_places_leaves_the_work_to_the_others(make, world):
    """One place per worker. Those of the domain's owner are taken for long; its mail goes through others'."""
    zone = {**mx("held.test", [(10, "127.0.0.3")]), **mx("free.test")}
    w = world(zone, conf={"workers": 4, "delivery": {"connections_total": 4, "connections_per_site": 2}})
    held = w.sink("127.0.0.3", script={"dot": lambda s, a: Delay(20)})
    with Client(w.engine.port, timeout=60) as c:
        c.ehlo()
        for i in range(40):
            assert c.submit(message(tag()), to=["x@held.test"]).code == 250
        wait_until(lambda: held.open_sessions == 2, 10, "the held ones")
        for i in range(20):
            assert c.submit(message(tag()), to=["x@free.test"]).code == 250
    w.sinks["127.0.0.2"].wait(20, timeout=10)


def test_an_idle_engine_of_four_workers_uses_no_cpu(make):
    """Also with connections kept open everywhere, and with mail that waits for one that is busy."""
    sink = make.sink(script=slow(0.03))
    engine = make.relay({"workers": 4, "delivery": {"connections_per_site": 4}, **DEBUG}, sink=sink)
    Load(engine.port).run(1, 100)
    engine.wait_empty(30)
    assert len(workers_that_connected(engine, 4)) == 4
    before = engine.cpu_seconds()
    time.sleep(3)
    assert engine.cpu_seconds() - before <= 0.05
    sink.script["dot"] = lambda s, a: Delay(6)
    Load(engine.port).run(1, 60)
    wait_until(lambda: engine.stats()["inflight"] >= 4, 10, "busy connections")
    before = engine.cpu_seconds()
    time.sleep(3)
    assert engine.cpu_seconds() - before <= 0.05
    sink.script.clear()
    engine.wait_empty(60)
