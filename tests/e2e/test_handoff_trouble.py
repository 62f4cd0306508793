# SPDX-License-Identifier: GPL-3.0-or-later
"""Several workers, one queue, and trouble: ends, kills, and peers that refuse, drop, reset and limit."""
import random
import re
import threading
import time

from harness.client import Client
from harness.load import Load, copies, once, subject_of, workers_that_connected
from harness.message import message, sized, tag
from harness.sink import ALL, Close, Delay, Reset
from harness.wait import stays_false, wait_until


# One message at a time on a connection: what stands behind another stands in a worker's lane.
ONE_BY_ONE = ("8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")


def slow(seconds):
    return {"dot": lambda s, a: Delay(seconds)}


def queue_id(received):
    return re.search(rb"\bid ([0-9A-Za-z]+)", received.data.split(b"\r\n\r\n", 1)[0]).group(1).decode()


def unknown(engine):
    return len([e for e in engine.events("deferred") if e.get("outcome_unknown")])


def test_sigterm_under_load_and_a_restart(make):
    """Three times: everything that was accepted comes, once. What the sink has answered with 250 is never sent
    again, and the end waits for what is under way."""
    sink = make.sink(script=slow(0.01))
    engine = make.relay({"workers": 4, "delivery": {"connections_per_site": 6}}, sink=sink)
    load = Load(engine.port)
    for _ in range(3):
        part = Load(engine.port).start(6)
        start = len(sink.messages)
        wait_until(lambda: len(sink.messages) > start + 40, 30, "mail under way")
        part.over.set()
        engine.stop()
        part.stop()
        load.sent.update(part.sent)
        assert not unknown(engine)
        engine.start()
    engine.wait_empty(60)
    once(load, sink)


def test_sigterm_while_every_worker_has_mail_of_another(make):
    """Parts are offered, in lanes, in transactions, their content on the home's disk: the end comes all the
    same, at once after the last transaction."""
    for delay in (0.0, 0.002, 0.3):
        sink = make.sink(script=slow(delay))
        engine = make.relay({"workers": 4, "delivery": {"connections_per_site": 4}}, sink=sink)
        load = Load(engine.port, lambda: sized(200_000)).start(3)
        wait_until(lambda: len(sink.attempts) > 8, 30, "mail under way")
        load.over.set()
        before = time.monotonic()
        engine.stop()
        assert time.monotonic() - before < 8
        load.stop()
        engine.start()
        engine.wait_empty(60)
        once(load, sink)
        engine.stop()


def test_kill_9_ten_times_under_load(make):
    """Nothing is lost. Twice comes only what was being answered when the engine died: a result that is half a
    second old is on the disk, and what it is of is never sent again."""
    sink = make.sink()
    engine = make.relay({"workers": 4, "delivery": {"connections_per_site": 6}}, sink=sink)
    load = Load(engine.port)
    rng = random.Random(5)
    killed = []
    for _ in range(10):
        part = Load(engine.port).start(4)
        start = len(sink.messages)
        enough = time.monotonic() + 1.2 + rng.random() / 4  # most of it is older than half a second then
        wait_until(lambda: len(sink.messages) > start + 60 and time.monotonic() > enough, 30, "mail under way")
        part.over.set()
        killed.append(time.monotonic())
        engine.kill()
        part.stop()
        load.sent.update(part.sent)
        engine.start()
    engine.wait_empty(60)
    with sink.lock:  # the content of what was not acknowledged may come, too
        known = {m.subject for m in sink.messages}
    missing = [s for s in load.sent if s not in known]
    assert not missing, missing[:5]
    arrivals = {}
    for m in sink.messages:
        arrivals.setdefault(m.subject, []).append(m.at)
    for subject, times in arrivals.items():
        for at in sorted(times)[:-1]:  # each copy but the last: its result was lost with a kill
            assert any(k - 0.5 <= at <= k + 0.5 for k in killed), (subject, times, killed)


def test_a_peer_that_takes_two_connections(make):
    """Over all workers: two work, the others do not come back for as long as the peer is believed. (What automation makes
    of the 421 besides is in test_overrides.py.)"""
    script = {"connect": lambda s, a: Close("421 4.7.0 too many connections") if s.sink.open_sessions > 2 else None,
              "dot": lambda s, a: Delay(0.02)}
    sink = make.sink(script=script)
    engine = make.relay({"workers": 4, "automation": {"builtin": False},
                         "delivery": {"connections_per_site": 12, "messages_per_connection": 10000}}, sink=sink)
    load = Load(engine.port).start(8, 40)
    wait_until(lambda: len(sink.messages) > 60, 30, "mail over the two")
    before = sink.connections
    wait_until(lambda: len(sink.messages) > 160, 30, "more mail over the two")
    assert sink.connections <= before + 2
    assert sum(s.open and s.messages > 0 for s in sink.sessions) == 2
    load.stop()
    engine.wait_empty(60)
    once(load, sink)
    assert not engine.events("bounced")


def test_peers_that_drop_reset_and_say_421(make):
    """P3, P4: whatever had no answer is sent again; a copy too many only where the outcome was unknown."""
    rng = random.Random(7)
    lock = threading.Lock()

    def sometimes(*actions):
        def pick(session, arg):
            with lock:
                at = rng.random()
            return actions[int(at * 100)]() if int(at * 100) < len(actions) else None
        return pick
    sink = make.sink(script={
        "mail": sometimes(lambda: Close("421 4.3.2 going down"), Close, Reset),
        "rcpt": sometimes(Reset, lambda: "451 4.2.0 later"),
        "data": sometimes(Close, lambda: Close("421 4.3.2 enough")),
        "dot": sometimes(Close, Reset, lambda: Close("421 4.3.0 not now"), lambda: "452 4.3.1 full")})
    engine = make.relay({"workers": 4, "delivery": {"connections_per_site": 8}}, sink=sink)
    load = Load(engine.port).run(8, 40)
    counters = engine.wait_empty(90)
    assert counters["delivered"] == 320 and counters["bounced"] == 0
    # What was cut off had no 2xx here; but a reset also takes answers with it that were on their way.
    counts = copies(load, sink)
    assert set(counts) == set(load.sent)
    in_doubt = {e["id"] for e in engine.events("deferred", outcome_unknown=True)}
    for m in sink.messages:
        assert counts[m.subject] == 1 or queue_id(m) in in_doubt, m.subject
    dropped = sum(1 for tx in sink.attempts if not tx.reply)
    assert dropped > 0 and unknown(engine) >= dropped * 0.9


def test_a_dropped_connection_does_not_lower_the_limit_of_the_others(make):
    """Messages that kill their connection once, whoever has it: the others go on with as many as before."""
    seen = set()

    def dot(session, data):
        subject = subject_of(data)
        if subject.startswith("poison") and subject not in seen:
            seen.add(subject)
            return Reset()
        return Delay(0.02)
    sink = make.sink(features=ONE_BY_ONE, script={"dot": dot})
    engine = make.relay({"workers": 4, "delivery": {"connections_per_site": 4, "messages_per_connection": 10000}},
                        sink=sink)
    load = Load(engine.port).start(8, 60)
    wait_until(lambda: sink.open_sessions == 4, 20, "four connections")
    poison = Load(engine.port, lambda: message("poison" + tag())).run(1, 3)
    wait_until(lambda: len(seen) == 3, 20, "the poison's work")
    wait_until(lambda: sink.open_sessions == 4, 10, "four connections again")
    assert stays_false(lambda: sink.open_sessions < 4, 1)
    load.stop()
    load.sent.update(poison.sent)
    engine.wait_empty(60)
    once(load, sink)
    assert sink.peak == 4


def test_fewer_recipients_than_a_part_has_through_other_workers(make):
    """LIMITS RCPTMAX (RFC 9422): the others go in further transactions, each once."""
    sink = make.sink(features=ALL + ("LIMITS RCPTMAX=3",), script=slow(0.002))
    engine = make.relay({"workers": 4, "delivery": {"connections_per_site": 4}, "log": {"level": "debug"}}, sink=sink)
    to = [f"r{i}@example.test" for i in range(40)]
    with Client(engine.port) as c:
        c.ehlo()
        for _ in range(10):
            assert c.submit(message(tag()), to=to).code == 250
    assert engine.wait_empty(60)["delivered"] == 400
    got = {}
    for m in sink.messages:
        assert len(m.rcpts) <= 3
        got.setdefault(m.subject, []).extend(m.rcpts)
    assert len(got) == 10 and all(sorted(r) == sorted(to) for r in got.values())
    assert len(workers_that_connected(engine, 4)) == 4


def test_mail_behind_a_slow_answer_goes_over_another_connection(make):
    """A peer that takes a minute for one message keeps nothing waiting that others could send."""
    sink = make.sink(features=ONE_BY_ONE, script={"dot": lambda s, a: Delay(60) if b"Subject: slow" in a else None})
    engine = make.relay({"workers": 4, "shutdown": {"deadline": "1s"}, "delivery": {"connections_per_site": 4}}, sink=sink)
    load = Load(engine.port).start(4, 200)
    wait_until(lambda: sink.open_sessions == 4, 20, "four connections")
    with Client(engine.port) as c:
        c.ehlo()
        for i in range(3):
            assert c.submit(message(f"slow{i}")).code == 250
    time.sleep(0.5)
    load.stop()
    wait_until(lambda: engine.counters()["queued"] == 3, 15, "all but the slow ones")
    once(load, sink)
