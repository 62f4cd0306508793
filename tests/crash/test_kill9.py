# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at random moments under load (issue, "Crash test"; faults 1 and 3).

The seed is printed; RINGPOST_CRASH_SEED repeats a run's choices, RINGPOST_CRASH_ROUNDS lengthens it."""
import os
import random
import time

import pytest

from harness.engine import run
from harness.wait import wait_until
from world import World

ROUNDS = int(os.environ.get("RINGPOST_CRASH_ROUNDS", "100"))
SEED = int(os.environ.get("RINGPOST_CRASH_SEED", "0")) or int(time.time())


@pytest.mark.timeout(60 + 4 * ROUNDS)
def test_killed_a_hundred_times(make, capsys):
    rng = random.Random(SEED)
    world = World(make, SEED, {"workers": 2})
    engine = world.start()
    wait_until(lambda: world.accepted() > 20, 30, "the first messages")
    for number in range(ROUNDS):
        before = world.accepted()
        time.sleep(rng.uniform(0.02, 0.35))
        if rng.random() < 0.7:  # otherwise also in the middle of the recovery of a busy queue
            wait_until(lambda: world.accepted() > before, 20, "a message in this round")
        world.crash()
        engine.spawn()
        if rng.random() < 0.15:  # fault 3: again while it recovers
            time.sleep(rng.uniform(0.0, 0.15))
            world.crash()
            engine.spawn()
        engine.wait_for_port()
        world.check_sum()
        if number % 25 == 24:
            assert run("spool", "verify", engine.spool).returncode in (0, 1)
    text, journal, checker = world.finish()
    with capsys.disabled():
        print(f"\nkill -9 x{len(world.crashes)}, seed {SEED}: {text}")
    assert journal.count("O") > 5 * ROUNDS
    # Every duplicate has its crash or its cut connection; a crash has no more than could be in the air:
    # 8 connections, two messages on each, 3 recipients.
    assert checker.crashed <= len(world.crashes) * 8 * 2 * 3
    assert not engine.events("spool_damage"), "a crash is no damage"


def test_what_is_queued_after_a_crash_is_exact(make):
    """Nothing can be delivered here: after every crash the queue holds exactly what was answered 250, and
    at most what had no answer besides."""
    from checker import Journal
    world = World(make, SEED + 1, {"workers": 2, "queue": {"schedule": ["1h"]}})
    world.sink.script["connect"] = lambda s, a: "421 4.3.2 not today"
    engine = world.start()
    rng = random.Random(SEED)
    for _ in range(8):
        before = world.accepted()
        wait_until(lambda: world.accepted() > before + 10, 20, "messages in this round")
        time.sleep(rng.uniform(0.0, 0.2))
        world.crash()
        engine.spawn()
        engine.wait_for_port()
        world.check_sum()
    world.stop_load()
    world.crash()
    engine.spawn()
    engine.wait_for_port()
    with open(world.journal_file, encoding="ascii") as f:
        journal = Journal.read(f.readlines())
    queued = engine.counters()["queued"]
    low = journal.recipients("O")
    assert low <= queued <= low + journal.recipients("U"), (low, queued, journal.recipients("U"))


def test_killed_at_each_step_of_a_drain(make):
    """K6: SIGTERM, then kill -9 at some point of the orderly end."""
    rng = random.Random(SEED + 2)
    world = World(make, SEED + 2, {"workers": 2})
    engine = world.start()
    for _ in range(10):
        before = world.accepted()
        wait_until(lambda: world.accepted() > before + 5, 20, "messages in this round")
        engine.terminate()
        time.sleep(rng.uniform(0.0, 0.1))
        world.crash()
        engine.spawn()
        engine.wait_for_port()
        world.check_sum()
    world.finish()


def test_orderly_restarts_under_load(make):
    """No crash: nothing lost, nothing refused twice, and a duplicate only where the sink cut a connection."""
    world = World(make, SEED + 3, {"workers": 2})
    engine = world.start()
    for _ in range(5):
        before = world.accepted()
        wait_until(lambda: world.accepted() > before + 20, 20, "messages in this round")
        engine.stop()
        engine.spawn().wait_for_port()
        world.check_sum()
    world.finish()
