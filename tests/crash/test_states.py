# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 between an operator's orders and whatever comes of them: what was answered is so after the restart,
what was not may be so or not. RINGPOST_CRASH_SEED repeats a run's choices."""
import os
import random
import subprocess
import time

import pytest

from harness.client import Client
from harness.engine import binary, check_sum, clean_environment, run
from harness.message import message, tag

ROUNDS = max(25, int(os.environ.get("RINGPOST_CRASH_ROUNDS", "300")) // 12)
SEED = int(os.environ.get("RINGPOST_CRASH_SEED", "0")) or int(time.time())
SCOPES = ["all", "domain:one.test", "site:127.0.0.1", "tenant:news", "campaign:spring"]


def suspended(engine):
    done = run("suspend", "ls", "--json", "--socket", engine.socket)
    assert done.returncode == 0, done
    return {line.split('"')[3] for line in done.stdout.splitlines()}


def states(engine):
    return {r["to"]: r["state"] for m in engine.queue("ls", "--limit", "100000") for r in m["recipients"]
            if r["state"] not in ("cancelled", "delivered")}


def start(engine, *args):
    """An order whose end is not waited for."""
    return subprocess.Popen([binary(), *args, "--json", "--socket", engine.socket], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, env=clean_environment())


@pytest.mark.timeout(60 + 8 * ROUNDS)
def test_suspensions_survive_kills(make, record_property):
    rng = random.Random(SEED)
    engine = make.relay({"workers": 2})
    known = set()
    for _ in range(ROUNDS):
        for _ in range(rng.randrange(4)):
            scope = rng.choice(SCOPES)
            verb = "resume" if scope in known else "suspend"
            assert run(verb, scope, "--socket", engine.socket).returncode == 0
            known ^= {scope}
        scope = rng.choice(SCOPES)
        last = start(engine, "resume" if scope in known else "suspend", scope)
        time.sleep(rng.uniform(0, 0.03))
        engine.kill()
        answered = b'"done"' in last.communicate(timeout=30)[0] or last.returncode == 0
        engine.start()
        found = suspended(engine)
        assert found == known ^ {scope} or (not answered and found == known), (found, known, scope, answered)
        known = found
    record_property("figures", f"suspensions over {ROUNDS} kills")


@pytest.mark.timeout(60 + 8 * ROUNDS)
def test_orders_survive_kills(make):
    rng = random.Random(SEED + 1)
    sink = make.sink(script={"rcpt": lambda s, a: "451 4.7.1 later"})
    engine = make.relay({"workers": 2, "queue": {"schedule": ["1h"]}}, sink=sink)
    domains = [f"d{n}.test" for n in range(6)]
    want = {}
    with Client(engine.port) as c:
        c.ehlo()
        for i in range(60):
            to = [f"u{i}@{d}" for d in rng.sample(domains, 3)]
            assert c.submit(message(tag()), to=to).code == 250
            want.update(dict.fromkeys(to, "deferred"))
    engine.event("deferred", count=len(want), timeout=30)
    effects = {"hold": "held", "release": None, "delete": "gone"}
    for number in range(ROUNDS):
        domain = rng.choice(domains)
        verb = rng.choice(["hold", "release", "hold", "release", "delete"] if number > ROUNDS // 2 else ["hold", "release"])
        process = start(engine, "queue", verb, "--domain", domain)
        if rng.random() < 0.5:
            process.wait(30)
        else:
            time.sleep(rng.uniform(0, 0.03))
        engine.kill()
        process.communicate(timeout=30)
        answered = process.returncode == 0
        engine.start()
        found = states(engine)
        check_sum(engine.counters())
        for to in set(want) | set(found):
            before, now = want.get(to), found.get(to, "gone")
            if not to.endswith("@" + domain):
                assert now == before, (verb, to, before, now)
            elif verb == "release":
                assert now != "gone" and (not answered or now != "held"), (verb, to, before, now)
            elif answered:
                assert now == effects[verb], (verb, to, before, now)
            else:
                assert now in (before, effects[verb]), (verb, to, before, now)
        engine.event("ready")
        want = {to: s if s == "held" else "deferred" for to, s in found.items()}
        for to, s in found.items():
            if s not in ("held", "deferred"):  # released a moment ago: it is being attempted
                want[to] = "deferred"
        wait_deferred(engine)


def wait_deferred(engine):
    end = time.monotonic() + 20
    while not set(states(engine).values()) <= {"held", "deferred"}:
        assert time.monotonic() < end, states(engine)
        time.sleep(0.05)
