# SPDX-License-Identifier: GPL-3.0-or-later
"""A power cut: what had its 250 is in the spool in every state that the disk can be in afterwards. On ext4 and xfs, whose
synchronous writes are trusted (core/io/disk.h: disk_knows_dsync), every one of them is asked for a flush here.

The seed is printed; RINGPOST_CRASH_SEED repeats a run's choices, RINGPOST_POWER_STATES looks at more states."""
import bisect
import fcntl
import hashlib
import json
import os
import random
import struct
import subprocess
import threading
import time

import pytest

from harness.client import Client
from harness.engine import binary, clean_environment, run
from harness.message import message, sized, tag
from harness.wait import wait_until
from world import World
from writelog import LoggedDisk, Replay

STATES = int(os.environ.get("RINGPOST_POWER_STATES", "24"))
SEED = int(os.environ.get("RINGPOST_CRASH_SEED", "0")) or int(time.time())
SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN
NO_LOG_FLUSH = 2
MIB = {"ext4": 320, "xfs": 400}


class Promises:
    """Messages with their 250, and where the disk's log was then."""

    def __init__(self, engine, disk):
        self.engine = engine
        self.disk = disk
        self.lock = threading.Lock()
        self.kept = {}  # id: (position, sha256)

    def client(self, number, count):
        rng = random.Random(SEED * 100 + number)
        with Client(self.engine.port, timeout=60) as c:
            c.ehlo()
            for _ in range(count):
                content = sized(200 << 10) if rng.random() < 0.1 else message(tag())
                reply = c.submit(content)
                position = self.disk.position()
                assert reply.code == 250, reply
                ident = reply.text.split()[-1]
                with self.lock:
                    self.kept[ident] = (position, hashlib.sha256(content).hexdigest())

    def take(self, clients, each):
        threads = [threading.Thread(target=self.client, args=(i, each)) for i in range(clients)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(self.kept) == clients * each


def found_in(path):
    done = run("spool", "ls", path, "--json")
    assert done.returncode == 0, done
    return {m["id"] for m in json.loads(done.stdout)}


def check_state(replay, promises, flushes, index):
    """What was answered when no later flush than this one had begun must be there; and whole, some of it."""
    spool = os.path.join(replay.path, "spool")
    must = {i: sha for i, (position, sha) in promises.kept.items()
            if bisect.bisect_right(flushes, position) <= index + 1}
    have = found_in(spool) if os.path.isdir(spool) else set()
    assert not set(must) - have, f"flush {index}: {len(set(must) - have)} of {len(must)} are lost"
    for ident in random.Random(index).sample(sorted(must), min(3, len(must))):
        content = subprocess.run([binary(), "spool", "cat", spool, ident], capture_output=True, timeout=60, check=True,
                                 env=clean_environment()).stdout
        assert hashlib.sha256(content).hexdigest() == must[ident], ident
    return len(must)


@pytest.mark.timeout(350 + 2 * STATES)
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_what_was_answered_is_in_every_state_of_the_disk(make, record_property, kind):
    disk = make.add(LoggedDisk(str(make.folder), kind, MIB[kind]))
    silent = make.sink(script={"connect": lambda s, a: "421 4.3.2 not today"})
    engine = make.engine({"spool": {"dir": os.path.join(disk.path, "spool")}, "headers": {"received": "none"},
                          "workers": 2, "relay": {"host": silent.endpoint}, "queue": {"schedule": ["1h"]}})
    promises = Promises(engine, disk)
    promises.take(clients=6, each=50)
    engine.kill()
    disk.unmount()
    rng = random.Random(SEED)
    flushes = Replay.flushes(disk)
    assert len(flushes) > 50, "the disk was hardly ever asked for a flush"
    # Many of what was promised at the end; a few on the way.
    chosen = sorted({len(flushes) - 2, *rng.sample(range(len(flushes) - 1), min(STATES, len(flushes) - 1))})
    replay = make.add(Replay(disk))
    looked_for = 0
    for index in chosen:
        replay.advance(flushes[index])
        replay.mount_cut(rng, flushes[index + 1])
        looked_for += check_state(replay, promises, flushes, index)
        replay.unmount()
    record_property("figures", f"power cuts on {kind}: {len(chosen)} of {len(flushes)} flushes, "
                    f"{looked_for} promises looked for, 0 lost")
    assert looked_for > len(promises.kept)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_the_file_system_goes_down_under_load(make, kind):
    """With the process, and everything it had not written is gone, as after a reset; the history must show it
    nowhere. (In this order: a 451 of an engine that cannot even write a seal is excused, spool/commit.c point 4.)"""
    disk = make.add(LoggedDisk(str(make.folder), kind, MIB[kind]))
    world = World(make, SEED, {"workers": 2, "spool": {"dir": os.path.join(disk.path, "spool")}}, clients=8)
    engine = world.start()
    for _ in range(3):
        before = world.accepted()
        wait_until(lambda: world.accepted() > before + 20, 60, "messages in this round")
        world.crash()
        folder = os.open(disk.path, os.O_RDONLY)
        fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        os.close(folder)
        disk.remount()
        engine.spawn()
        engine.wait_for_port()
        world.check_sum()
    world.finish()
