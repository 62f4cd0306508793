# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at random moments under load (issue, "Crash test"; faults 1 and 3).

The seed is printed at the end; RINGPOST_CRASH_SEED repeats a run's choices, RINGPOST_CRASH_ROUNDS lengthens it, and
RINGPOST_CRASH_LANES says how many engines are killed side by side: while one starts, the others work."""
import os
import random
import time

import pytest

from checker import Journal
from harness.engine import run
from harness.wait import run_all, wait_until
from world import World

ROUNDS = int(os.environ.get("RINGPOST_CRASH_ROUNDS", "300"))
LANES = int(os.environ.get("RINGPOST_CRASH_LANES", "3"))
SEED = int(os.environ.get("RINGPOST_CRASH_SEED", "0")) or int(time.time())
HISTORY = 300  # kills that are judged together: a long run has its verdicts on the way
BLOCKS = [min(HISTORY, ROUNDS - done) for done in range(0, ROUNDS, HISTORY)]


def kill_again_and_again(world, rounds, rng):
    engine = world.start()
    wait_until(lambda: world.accepted() > 20, 60, "the first messages")
    for number in range(rounds):
        before = world.accepted()
        time.sleep(rng.uniform(0.05, 0.3))
        if rng.random() < 0.7:  # otherwise also in the middle of the recovery of a busy queue
            wait_until(lambda: world.accepted() > before, 60, "a message in this round")
        world.crash()
        engine.spawn()
        while rng.random() < 0.2:  # fault 3: again while it recovers, and again
            time.sleep(rng.uniform(0.0, 0.15))
            world.crash()
            engine.spawn()
        engine.wait_for_port(60)
        world.check_sum()
        if number % 100 == 99:
            assert run("spool", "verify", engine.spool).returncode in (0, 1)
    assert not engine.events("spool_damage"), "a crash is no damage"


@pytest.mark.timeout(120 + 4 * HISTORY)
@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_killed_three_hundred_times(make, record_property, block):
    """20 clients in all. Each lane's history is judged for itself, and all of it for the figures."""
    seed = SEED * 10 + block * 1000
    worlds = [World(make, seed + lane, {"workers": 2}, clients=20 // LANES + (lane < 20 % LANES))
              for lane in range(LANES)]
    rounds = [BLOCKS[block] // LANES + (lane < BLOCKS[block] % LANES) for lane in range(LANES)]
    run_all([lambda w=w, n=n: kill_again_and_again(w, n, random.Random(w.seed)) for w, n in zip(worlds, rounds)])
    for world in worlds:
        world.stop_load()
    ended = [world.finish() for world in worlds]
    accepted = sum(journal.count("O") for _, journal, _ in ended)
    crashes = sum(len(world.crashes) for world in worlds)
    for world, (text, _, _) in zip(worlds, ended):
        record_property("figures", f"kill -9, lane {world.seed - seed}: {text}")
    record_property("figures", f"kill -9 x{crashes}: {accepted} accepted, 0 lost, "
                    f"{sum(checker.duplicates for _, _, checker in ended)} duplicates, each with its reason")
    assert accepted > 5 * BLOCKS[block]
    # Every duplicate has its crash or its cut connection; a crash has no more than could be in the air:
    # 8 connections, two messages on each, 3 recipients.
    for world, (_, _, checker) in zip(worlds, ended):
        assert checker.crashed <= len(world.crashes) * 8 * 2 * 3


def test_killed_while_it_recovers(make):
    """Fault 3: a spool with some thousand messages, and nobody gets to its end before the next kill. Recovery has no
    effect that could add up: at last all are there, once, and the folder is as big as it was."""
    rng = random.Random(SEED + 4)
    world = World(make, SEED + 4, {"workers": 2, "queue": {"schedule": ["1h"]}})
    world.sink.script["connect"] = lambda s, a: "421 4.3.2 not today"
    engine = world.start()
    wait_until(lambda: world.accepted() > 800, 60, "a queue")
    world.stop_load()
    world.crash()
    with open(world.journal_file, encoding="ascii") as f:
        journal = Journal.read(f.readlines())
    began = time.monotonic()
    engine.spawn().wait_for_port(60)
    took = time.monotonic() - began
    queued = world.stats()["queued"]
    low = journal.recipients("O")
    assert low <= queued <= low + journal.recipients("U")
    files = len(os.listdir(engine.spool))
    for number in range(30):
        world.crash()
        engine.spawn()
        # A third in the first milliseconds, before the spool is even read; the others anywhere on the way.
        time.sleep(rng.uniform(0, 0.02) if number % 3 == 0 else rng.uniform(0, took))
    world.crash()
    engine.spawn().wait_for_port(60)
    assert world.stats()["queued"] == queued
    # Each start may leave a segment it had just made; the next one finds it empty and uses it again.
    assert len(os.listdir(engine.spool)) <= files + 8, os.listdir(engine.spool)
    assert not engine.events("spool_damage")


def test_what_is_queued_after_a_crash_is_exact(make):
    """Nothing can be delivered here: after every crash the queue holds exactly what was answered 250, and
    at most what had no answer besides."""
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
    queued = world.stats()["queued"]
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
