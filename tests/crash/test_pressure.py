# SPDX-License-Identifier: GPL-3.0-or-later
"""Short of something while mail flows: descriptors, memory, a reader of the log, peace from signals. What was promised is
kept, what cannot be done is put off, and it ends with the shortage (faults 13, 25, 28; J3, J4, J8)."""
import os
import random
import resource
import signal
import threading
import time

import pytest

from checker import Journal
from harness.engine import measuring
from harness.peers import require_root
from harness.wait import wait_until
from world import World

SEED = int(os.environ.get("RINGPOST_CRASH_SEED", "0")) or int(time.time())
SECONDS = float(os.environ.get("RINGPOST_PRESSURE_SECONDS", "1.5"))
GROUPS = "/sys/fs/cgroup"
MIB = 1 << 20


def accepted_more(world, count, what):
    before = world.accepted()
    wait_until(lambda: world.accepted() >= before + count, 60, what)


def test_descriptors_run_out_under_load(make):
    """J3: from one moment to the next there is none to be had: for clients, for connections to the far end, for new
    segments. Those that are open go on."""
    world = World(make, SEED, {"workers": 2})
    engine = world.start()
    accepted_more(world, 50, "messages")
    pid = engine.process.pid
    plenty = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    for spare in (0, 6):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (engine.descriptors() + spare, plenty[1]))
        spent = engine.cpu_seconds()
        time.sleep(SECONDS)
        assert engine.running
        resource.prlimit(pid, resource.RLIMIT_NOFILE, plenty)
        assert engine.cpu_seconds() - spent < 0.9 * 3 * SECONDS, "a loop that spins"
        accepted_more(world, 30, "messages when there are descriptors again")
        world.check_sum()
    world.finish()
    engine.stop()


def test_fewer_descriptors_than_segments_at_the_start(make):
    """Mail that is there must not be left behind because a file could not be opened: it does not start, and says why."""
    world = World(make, SEED + 1, {"workers": 2, "queue": {"schedule": ["1h"]}})
    world.sink.script["connect"] = lambda s, a: "421 4.3.2 not today"
    engine = world.start()
    wait_until(lambda: sum(n.startswith("seg-") for n in os.listdir(engine.spool)) > 30, 60, "segments")
    world.stop_load()
    world.crash()
    engine.prefix = ["prlimit", "--nofile=24:24"]
    engine.spawn()
    assert engine.process.wait(30) == 1
    assert "cannot be opened: Too many open files" in engine.stderr(), engine.stderr()
    engine.prefix = []
    engine.spawn().wait_for_port()
    with open(world.journal_file, encoding="ascii") as f:
        journal = Journal.read(f.readlines())
    queued = world.stats()["queued"]
    low = journal.recipients("O")
    assert low <= queued <= low + journal.recipients("U"), (low, queued)
    assert not engine.events("spool_damage")


class MemoryGroup:
    """A cgroup of memory, of version 1 or 2."""

    def __init__(self, name):
        require_root()
        old = os.path.isdir(os.path.join(GROUPS, "memory"))
        self.path = os.path.join(GROUPS, "memory" if old else "", name)
        self.names = (("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control") if old else
                      ("memory.max", "memory.current", "memory.events"))
        try:
            os.mkdir(self.path)
            self.limit(1 << 40)
        except OSError as error:
            raise RuntimeError(f"{self.path}: {error}: this test needs a memory cgroup it may write to") from None

    def file(self, name):
        return os.path.join(self.path, name)

    def add(self, pid):
        with open(self.file("cgroup.procs"), "w", encoding="ascii") as f:
            f.write(str(pid))

    def limit(self, size):
        with open(self.file(self.names[0]), "w", encoding="ascii") as f:
            f.write(str(size))

    def squeeze(self):
        """As little as it has now. Where something of that is just being written the kernel says "busy": another time."""
        with open(self.file(self.names[1]), encoding="ascii") as f:
            used = int(f.read())
        try:
            self.limit(used + 64 * 1024)
        except OSError:
            pass

    @property
    def kills(self):
        with open(self.file(self.names[2]), encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("oom_kill "))

    def close(self):
        wait_until(lambda: not open(self.file("cgroup.procs"), encoding="ascii").read(), 20, "an empty cgroup")
        os.rmdir(self.path)


def test_killed_for_its_memory(make):
    """Fault 13: the kernel's OOM kill is a kill -9, whoever allocates at that moment."""
    group = make.add(MemoryGroup(f"ringpost-test-{os.getpid()}"))
    world = World(make, SEED + 2, {"workers": 2})
    engine = world.start()
    for number in range(3):
        accepted_more(world, 20, "messages")
        group.limit(1 << 40)
        group.add(engine.process.pid)
        before = world.sink.open_now()
        wait_until(lambda: group.squeeze() or engine.process.poll() is not None, 60, "the end")
        at = time.monotonic()
        assert engine.process.returncode == -signal.SIGKILL and group.kills == number + 1
        world.crashed(at, before)
        engine.spawn().wait_for_port(60)
        world.check_sum()
    world.finish()
    engine.stop()


@pytest.mark.timeout(420 + 20 * SECONDS)
def test_a_limit_on_memory_is_not_reached(make):
    """J4: with limits.memory at 16 MiB and a far end that takes nothing, the queue grows on the disk, not in memory: the
    kernel has nothing to kill at 40 MiB more than the engine has at rest, though nearly as much mail lies there."""
    group = make.add(MemoryGroup(f"ringpost-test-{os.getpid()}"))
    world = World(make, SEED + 3, {"workers": 2, "limits": {"memory": "16MiB"}, "queue": {"schedule": ["1h"]}})
    take = world.sink.on_rcpt
    world.sink.script.update(rcpt=lambda s, a: take(s, a) if world.open else "451 4.2.0 later", connect=None)
    world.open = False
    engine = world.engine
    engine.env = measuring()
    world.start()
    group.add(engine.process.pid)
    group.limit(40 * MIB)
    wait_until(lambda: world.stats()["spool"]["bytes_live"] > max(30, SECONDS * 10) * MIB, 120 + 10 * SECONDS,
               "mail in the spool", interval=0.2)
    world.check_sum()
    assert group.kills == 0 and engine.running
    world.stop_load()
    world.open = True
    world.finish(timeout=120 + 10 * SECONDS, retry=True)
    assert group.kills == 0
    engine.stop()


def test_a_storm_of_signals_and_nobody_reads_the_log(make):
    """Faults 25 and 28, J8: reloads one upon another, signals that mean nothing, a log whose pipe is full; at last
    SIGTERM again and again. No message is lost, none is sent twice but what the second SIGTERM cut off."""
    read, write = os.pipe()
    world = World(make, SEED + 4, {"workers": 2, "log": {"level": "debug"}})
    engine = world.engine
    engine.stdout = write
    world.start()
    os.close(write)
    over = threading.Event()
    rng = random.Random(SEED)
    harmless = [signal.SIGHUP, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH, signal.SIGCONT,
                signal.SIGURG]

    def storm():
        while not over.wait(0.002):
            engine.process.send_signal(rng.choice(harmless))
    thread = threading.Thread(target=storm)
    thread.start()
    try:
        accepted_more(world, 200, "messages in the storm")
        wait_until(lambda: world.stats()["log_dropped"] > 0, 60, "a log that is full", interval=0.1)
        accepted_more(world, 100, "messages though nobody reads the log")
        stats = world.stats()
        assert stats["reloads"] > 0 and stats["reloads_refused"] == 0
    finally:
        over.set()
        thread.join()
    before = world.sink.open_now()
    at = time.monotonic()
    for _ in range(20):
        engine.process.send_signal(signal.SIGTERM)
    assert engine.process.wait(30) in (0, 1)
    world.crashed(at, before)
    os.close(read)
    engine.stdout = None
    engine.spawn().wait_for_port(60)
    world.finish()
    engine.stop()
