# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources that begin slowly: how much of the mail a new one gets, counted at the far end, over kills and restarts."""
import json
import time
from collections import Counter

import pytest

from harness.client import Client
from harness.engine import run
from harness.message import message, tag
from harness.mxworld import World, mx
from harness.sink import Delay
from harness.wait import stays_false, wait_until

NEW, OLD = "127.0.0.31", "127.0.0.32"
WORKERS = pytest.mark.parametrize("workers", [1, 2])
WEEK = "7d"  # a day that does not end while a test runs


def conf(days, pool=None, day=WEEK, more=None, **plan):
    """The source "new" warms up; pool: shares of "new" and "old"."""
    return {"sources": [{"name": "new", "addresses": [NEW], "warmup": "std"}, {"name": "old", "addresses": [OLD]}],
            "source_pools": [{"name": "pool", "sources": pool}] if pool else [],
            "source_rules": [{"pool": "pool" if pool else "new"}],
            "warmup_plans": [{"name": "std", "days": days, "day": day, **plan}],
            "shaping": {"builtin": False, "default": {"connections": 4}}, **(more or {})}


def submit(engine, count, to="bob@example.test"):
    with Client(engine.port, timeout=60) as c:
        c.ehlo()
        for _ in range(count):
            reply = c.submit(message(tag()), to=[to])
            assert reply.code == 250, reply
        c.quit()


def by_source(sink, address):
    """Transactions that came from there as far as the end of their message, answered or not."""
    with sink.lock:
        return sum(m.session.peer[0] == address for m in sink.attempts)


def listing(engine, provider=""):
    result = run("warmup", "ls", "--json", "--socket", engine.socket)
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    rows = [r for r in rows if r["source"] == "new" and r["provider"] == provider]
    return rows[0] if rows else None


# ---- the allowance ----


@WORKERS
def test_allowance_is_exact(make, workers):
    """It is used up and never exceeded; what is over waits, and explain says why."""
    engine = make.relay(conf([23, 50], more={"workers": workers}))
    submit(engine, 60)
    wait_until(lambda: by_source(engine.sink, NEW) == 23, 30, "the allowance")
    assert stays_false(lambda: by_source(engine.sink, NEW) > 23, 1.5)
    assert engine.counters()["queued"] == 37 and not engine.events("deferred")
    row = listing(engine)
    assert (row["day"], row["days"], row["sent"], row["allowance"]) == (1, 2, 23, 23)
    assert (row["answered"], row["deferred"], row["state"]) == (23, 0, "used up")
    text = run("explain", "-c", engine.file, "example.test").stdout
    assert "held up by   warm-up day 1: 23 of 23, for " in text, text
    table = run("warmup", "ls", "--socket", engine.socket).stdout.splitlines()
    assert table[1].split() == ["new", "other", "1", "of", "2", "23", "of", "23", "0.0", "used", "up"]


@WORKERS
def test_overflow_to_the_warm_source(make, workers):
    """Nothing waits as long as another source of the pool may send it."""
    engine = make.relay(conf([31, 50], pool={"new": 1000, "old": 1}, more={"workers": workers}))
    submit(engine, 120)
    assert engine.wait_empty(40)
    assert by_source(engine.sink, NEW) == 31 and by_source(engine.sink, OLD) == 89
    submit(engine, 20)
    assert engine.wait_empty(20)
    assert by_source(engine.sink, NEW) == 31 and by_source(engine.sink, OLD) == 109


def test_nobody_has_room(make):
    """Two new sources: both are used up, the rest waits, nothing spins."""
    c = conf([10], pool={"new": 1, "old": 1})
    c["sources"][1]["warmup"] = "std"
    engine = make.relay(c)
    submit(engine, 50)
    wait_until(lambda: len(engine.sink.attempts) == 20, 30, "both allowances")
    assert stays_false(lambda: len(engine.sink.attempts) > 20, 1)
    assert engine.counters()["queued"] == 30
    before = engine.cpu_seconds()
    stays_false(lambda: False, 2)
    assert engine.cpu_seconds() - before < 1


@WORKERS
def test_several_recipients_are_one_message(make, workers):
    engine = make.relay(conf([5], more={"workers": workers}))
    with Client(engine.port) as c:
        c.ehlo()
        for _ in range(5):
            assert c.submit(message(tag()), to=["a@example.test", "b@example.test"]).code == 250
    assert engine.wait_empty(20)
    assert by_source(engine.sink, NEW) == 5


@WORKERS
def test_providers(make, workers):
    """Sites of a provider count together, by its own days; what belongs to none is one more."""
    zone = {**mx("one.test"), **mx("two.test"), **mx("three.test"), **mx("four.test")}
    c = conf([9], providers={"prov": [6, 50]}, more={"workers": workers})
    c["shaping"]["providers"] = {"prov": {"match": {"domain": ["one.test", "two.test"]}}}
    w = World(make, zone, c)
    sink = w.sink("127.0.0.2")
    engine = w.start()
    for name in ("one", "two", "three", "four"):
        submit(engine, 10, f"bob@{name}.test")

    def counts():
        with sink.lock:
            return Counter(m.rcpts[0].split("@")[1] in ("one.test", "two.test") for m in sink.messages)

    wait_until(lambda: counts() == {True: 6, False: 9}, 30, "both allowances")
    assert stays_false(lambda: sum(counts().values()) > 15, 1)
    assert listing(engine, "prov")["allowance"] == 6 and listing(engine)["sent"] == 9


# ---- ends ----


@WORKERS
def test_orderly_restart_counts_on(make, workers):
    """Nothing of the allowance is lost, nothing is there twice."""
    engine = make.relay(conf([40], more={"workers": workers}))
    submit(engine, 17)
    assert engine.wait_empty(20)
    engine.restart()
    assert listing(engine)["sent"] == 17 if listing(engine) else True
    submit(engine, 60)
    wait_until(lambda: by_source(engine.sink, NEW) == 40, 30, "the allowance")
    assert stays_false(lambda: by_source(engine.sink, NEW) > 40, 1)


@WORKERS
def test_kills_never_exceed(make, workers):
    """kill -9 in the middle, again and again: never more than the allowance, and hardly less."""
    allowance, kills = 100, 3
    sink = make.sink(script={"dot": lambda s, a: Delay(0.02)})
    engine = make.relay(conf([allowance, 1000], more={"workers": workers}), sink=sink)
    submit(engine, 150)
    for i in range(kills):
        wait_until(lambda n=20 * (i + 1): by_source(sink, NEW) >= n, 40, "some of the mail")
        engine.kill()
        engine.start()
    # What a kill costs: at most two chunks of 2 %, and what was under way.
    least = allowance - kills * (4 + 4 * 4)
    wait_until(lambda: by_source(sink, NEW) >= least, 40, "the rest of the allowance")
    wait_until(lambda: (listing(engine) or {}).get("sent") == allowance, 40, "the end of the day's mail")
    assert stays_false(lambda: by_source(sink, NEW) > allowance, 1.5)


# ---- days ----


def next_day(engine, before):
    """Once another day has begun."""
    return wait_until(lambda: (r := listing(engine)) and r["until"] != before["until"] and r, 30, "the next day")


def test_days_go_on(make):
    """10, then 20, then no limit: what waited goes on the next day, by itself."""
    engine = make.relay(conf([10, 20], day="4s"))
    submit(engine, 60)
    assert engine.wait_empty(60)
    row = listing(engine)
    assert row["state"] == "warm" and row["allowance"] is None
    offset = time.time() - time.monotonic()
    days = Counter(int((m.at + offset) // 4) for m in engine.sink.attempts)
    counts = [days[d] for d in sorted(days)]
    # A day with less than half of its allowance is not counted and comes again: 10 may be there twice.
    assert sum(counts) == 60 and all(c <= 20 for c in counts[:-1]) and counts[0] <= 10, counts


@pytest.mark.parametrize("refused,day,state", [(0, 3, "warming up"), (2, 2, "held"), (6, 1, "stepped back")])
def test_deferrals_judge_the_day(make, refused, day, state):
    """20 messages on day 2; hold_at 8 %, step_back_at 25 %."""
    answers = ["451 4.7.0 slow down"] * refused
    sink = make.sink(script={"dot": lambda s, a: answers.pop() if answers else None})
    engine = make.relay(conf([10, 20, 30], day="6s", hold_at=8, step_back_at=25,
                             more={"queue": {"schedule": ["1h"]}}), sink=sink)
    engine.conf["sources"][0]["warmup_start_day"] = 2
    engine.write()
    engine.restart()
    begin_of_day(6)
    submit(engine, 20)
    row = wait_until(lambda: (r := listing(engine)) and r["answered"] == 20 and r, 20, "all answers")
    assert row["deferred"] == refused and row["day"] == 2
    after = next_day(engine, row)
    assert (after["day"], after["state"], after["sent"]) == (day, state, 0), after


def begin_of_day(seconds):
    """Early enough in a day that a few messages fit into it."""
    wait_until(lambda: time.time() % seconds < 1, 2 * seconds, "the beginning of a day", interval=0.05)


# ---- an operator's word, and the configuration ----


@WORKERS
def test_set(make, workers):
    """warmup set takes effect at once and survives a kill."""
    engine = make.relay(conf([5, 8, 100], more={"workers": workers}))
    submit(engine, 30)
    wait_until(lambda: by_source(engine.sink, NEW) == 5, 20, "the first day's allowance")
    result = run("warmup", "set", "new", "nobody", "2", "--socket", engine.socket)
    assert result.returncode != 0 and "does not warm up at that provider" in result.stderr
    assert run("warmup", "set", "new", "other", "0", "--socket", engine.socket).returncode == 64
    result = run("warmup", "set", "new", "other", "2", "--socket", engine.socket)
    assert result.returncode == 0, result.stderr
    wait_until(lambda: by_source(engine.sink, NEW) == 8, 20, "what the second day has more")
    engine.kill()
    engine.start()
    assert stays_false(lambda: by_source(engine.sink, NEW) > 8, 1)
    assert listing(engine)["day"] == 2


def test_reload_without_the_plan(make):
    """What waited for the next day goes at once."""
    engine = make.relay(conf([5]))
    submit(engine, 20)
    wait_until(lambda: by_source(engine.sink, NEW) == 5, 20, "the allowance")
    del engine.conf["sources"][0]["warmup"]
    engine.write()
    engine.hup()
    assert engine.wait_empty(20)
    assert by_source(engine.sink, NEW) == 20 and listing(engine) is None


@pytest.mark.parametrize("plan,text", [
    ({"days": []}, "warmup_plans[0].days: must be given"),
    ({"days": [0]}, '0 is out of range (1–1000000000)'),
    ({"hold_at": 20, "step_back_at": 10}, "10% is less than hold_at (20%)"),
    ({"providers": {"gogle": [1]}}, "gogle is no provider"),
    ({"providers": {"google": [1, "x"]}}, 'google: "1 x" is not a list of 1–366 numbers of messages'),
    ({"providers": {"google": []}}, "is not a list of 1–366 numbers of messages"),
    ({"name": "other"}, "sources[0].warmup: std is no plan"),
    ({"day": "100ms"}, "100ms is out of range"),
])
def test_check(make, plan, text):
    c = conf([5])
    c["warmup_plans"][0].update(plan)
    c["shaping"] = {}
    engine = make.relay(c, start=False)
    engine.write()
    result = run("check", "-c", engine.file)
    assert result.returncode == 78 and text in result.stderr, result.stderr
    assert engine.file in result.stderr


def test_check_accepts(make):
    c = conf([5], hold_at=5, step_back_at=10, providers={"google": [20, 50, 100], "yahoo": [10]})
    c["shaping"] = {}
    engine = make.relay(c, start=False)
    engine.write()
    result = run("check", "-c", engine.file)
    assert result.returncode == 0, result.stderr
    assert 'providers: ["google:20 50 100", "yahoo:10"]' in run("config", "-c", engine.file).stdout
