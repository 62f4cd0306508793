# SPDX-License-Identifier: GPL-3.0-or-later
"""P6: what the disk gives back is not what was written, or nothing. Damage costs the message it hit and no other, it is
reported, and what is damaged is never delivered (I1, I4; fault 9).

RINGPOST_CRASH_SEED repeats a run's choices, RINGPOST_DAMAGE_SPOOLS damages more copies of the spool."""
import hashlib
import os
import random
import shutil
import time

import pytest

from checker import Checker, Damage, Journal, check_damage
from harness.client import Client
from harness.engine import run
from harness.holdfs import HeldDisk
from harness.wait import wait_until
from load import content_of
from spoolfile import BLOCK, FRAGMENT, HEADER_BYTES, MESSAGE, RESULT, all_frames, frames_of, segments
from world import CONF, RecordingSink, ask

SPOOLS = int(os.environ.get("RINGPOST_DAMAGE_SPOOLS", "6"))
SEED = int(os.environ.get("RINGPOST_CRASH_SEED", "0")) or int(time.time())
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
FRAMES_EACH = 50


def number_of(ident):
    """13 digits of Crockford's base 32 (core/base/id.h)."""
    n = 0
    for digit in ident:
        n = n * 32 + CROCKFORD.index(digit)
    return n


class Case:
    """An engine whose far end is shut until it is told; everything that was promised, and by which number."""

    def __init__(self, make, disk=None):
        self.rng = random.Random(SEED)
        self.sink = make.add(RecordingSink(SEED).start())
        self.sink.script.update(connect=None, rcpt=self.on_rcpt, dot=None)
        self.open = False
        place = {"spool": {"dir": os.path.join(disk.path, "spool")},
                 "admin": {"socket": os.path.join(str(make.folder), "admin.sock")}} if disk else {}
        # Nothing happens by itself: attempts are ordered, so that the spool is at rest when it is looked at.
        self.engine = make.engine({**CONF, "log": {"level": "info"}, "workers": 2, "queue": {"schedule": ["1h"]},
                                   "relay": {"host": self.sink.endpoint}, **place})
        self.lines = []
        self.numbers = {}   # of the spool: id of ours

    def on_rcpt(self, session, arg):
        return None if self.open else "451 4.2.0 later"

    def take(self, count, content=None):
        with Client(self.engine.port) as c:
            c.ehlo()
            for _ in range(count):
                ident = f"m{len(self.numbers)}"
                body = content(ident) if content else content_of(ident, self.rng)
                rcpts = [f"ok{i}.{ident}@example.test" for i in range(self.rng.choice([1, 1, 2, 3]))]
                reply = c.submit(body, to=rcpts)
                assert reply.code == 250
                self.numbers[number_of(reply.text.split()[-1])] = ident
                self.lines += [f"T {ident} {hashlib.sha256(body).hexdigest()} {','.join(rcpts)}\n", f"O {ident}\n"]

    def stats(self):
        return ask(self.engine.socket, "queue stats")

    def arrived(self):
        return {c.id for c in self.sink.copies() if not c.report}

    def wait_deferred(self):
        wait_until(lambda: (s := self.stats())["deferred"] == s["queued"] > 0, 60, "an attempt at each", interval=0.1)
        self.engine.wait_durable()

    def wait_ended(self, timeout=60):
        self.open = True

        def ended():
            s = self.stats()
            if s["queued"] and s["deferred"] == s["queued"]:
                ask(self.engine.socket, "queue retry all=1")
            return s["queued"] == 0 and s["messages"] == 0
        wait_until(ended, timeout, "an empty queue", interval=0.2)

    def judge(self, damaged=()):
        checker = Checker(Journal.read(self.lines), self.sink.copies(), damaged=damaged)
        assert checker.run() == [], checker.violations[:10]

    def said(self, event="spool_damage"):
        """What recovery complained of; segments by name."""
        return [Damage(e["path"], e["count"], e["count"] + e["size"]) for e in self.engine.events(event) if "path" in e]

    def hit(self, frames):
        """Our ids of the messages that have a record in them."""
        return {self.numbers[n] for f in frames for kind, n in f.rows
                if kind in (MESSAGE, FRAGMENT, RESULT) and n in self.numbers}


def lines(size):
    return (b"y" * 70 + b"\r\n") * (size // 72)


def of_size(size):
    return lambda ident: b"From: <s@example.test>\r\nSubject: " + ident.encode() + b"\r\n\r\n" + lines(size)


def flip(path, at, bit):
    with open(path, "r+b") as f:
        f.seek(at)
        was = f.read(1)[0]
        f.seek(at)
        f.write(bytes([was ^ 1 << bit]))


def damages(frames):
    return [Damage(os.path.basename(f.path), f.begin, f.end) for f in frames]


def once_durable(frames):
    """Without the last group of each segment: broken, it is the torn end of a crash, as far as anybody can tell."""
    last = {f.path: f.group for f in frames}
    return [f for f in frames if f.group < last[f.path]]


@pytest.mark.timeout(120 + 20 * SPOOLS)
def test_flipped_bits(make, record_property):
    """I1: one bit in each of some fifty records, anywhere in header and content, and one in one of the two copies of a
    segment's header; again and again, in copies of one spool."""
    case = Case(make)
    engine = case.engine
    case.open = True
    case.take(40)
    case.wait_ended()
    case.open = False
    case.take(120)
    case.take(4, of_size(400_000))
    case.wait_deferred()
    engine.kill()
    whole = os.path.join(str(make.folder), "whole")
    shutil.copytree(engine.spool, whole, ignore=shutil.ignore_patterns("*.sock"))
    before = list(case.sink.records)
    flips = reports = 0
    for _ in range(SPOOLS):
        shutil.rmtree(engine.spool)
        shutil.copytree(whole, engine.spool)
        case.sink.records[:] = before
        frames = all_frames(engine.spool)
        chosen = case.rng.sample(once_durable(frames), FRAMES_EACH)
        for f in chosen:
            at = case.rng.choice([case.rng.randrange(HEADER_BYTES - 4), case.rng.randrange(f.end - f.begin - 8)])
            flip(f.path, f.begin + at, case.rng.randrange(8))
        for path in segments(engine.spool):
            size = os.path.getsize(path)
            flip(path, case.rng.choice([0, size - BLOCK]) + case.rng.randrange(BLOCK), case.rng.randrange(8))
        engine.start()
        case.wait_ended()
        case.judge(case.hit(chosen))
        assert check_damage(damages(chosen), case.said()) == []
        flips, reports = flips + len(chosen), reports + len(case.said())
        engine.kill()
    record_property("figures", f"{flips} bits flipped: {reports} reports, no other message touched")


def test_the_disk_cannot_read_while_mail_is_delivered(make):
    """Who cannot be read waits, and it is said; all others are delivered; then the disk reads again."""
    disk = make.add(HeldDisk(str(make.folder)))
    case = Case(make, disk=disk)
    case.take(20, of_size(20_000))
    case.take(4, of_size(300_000))
    case.wait_deferred()
    frames = [f for f in all_frames(case.engine.spool) if any(kind in (MESSAGE, FRAGMENT) for kind, _ in f.rows)]
    chosen = [case.rng.choice([f for f in frames if any(kind == FRAGMENT for kind, _ in f.rows)]),
              *case.rng.sample([f for f in frames if f.end - f.begin > 10_000], 4)]
    hit = case.hit(break_blocks(disk, frames, chosen))
    case.open = True
    ask(case.engine.socket, "queue retry all=1")
    everybody = set(case.numbers.values())
    wait_until(lambda: case.arrived() >= everybody - hit, 60, "all others")
    assert not case.arrived() & hit
    event = case.engine.event("spool_damage")
    assert event["reason"].startswith("the disk cannot read")
    case.engine.event("deferred", status="4.3.0", reply="the stored message cannot be read at present")
    disk.heal()
    case.wait_ended()
    case.judge()


def break_blocks(disk, frames, chosen):
    """Reading fails for the blocks of the chosen ones: returns all that have a part there."""
    bad = {}
    for f in chosen:
        bad.setdefault(f.path, []).append((f.begin // BLOCK * BLOCK, -(-f.end // BLOCK) * BLOCK))
    for path, ranges in bad.items():
        disk.unreadable(path, ranges)
    return [f for f in frames if any(begin < f.end and f.begin < end for begin, end in bad.get(f.path, []))]


def test_the_disk_cannot_read_while_the_spool_is_recovered(make):
    """Some blocks cannot be read: those messages are missing and it is said; all others are delivered."""
    disk = make.add(HeldDisk(str(make.folder)))
    case = Case(make, disk=disk)
    case.take(40, of_size(9_000))
    case.wait_deferred()
    case.engine.kill()
    frames = all_frames(case.engine.spool)
    chosen = case.rng.sample(once_durable(frames), 5)
    hit = break_blocks(disk, frames, chosen)
    case.engine.start()
    case.wait_ended()
    case.judge(case.hit(hit))
    assert {d.segment for d in case.said()} == {os.path.basename(f.path) for f in chosen}
    assert case.stats()["damaged"] >= len({f.path for f in chosen})


def test_a_segment_that_cannot_be_read_at_all(make):
    """It is set aside under another name, the others' mail flows; when the disk reads again, a person may give it back
    its name, and what was in it is delivered."""
    disk = make.add(HeldDisk(str(make.folder)))
    case = Case(make, disk=disk)
    while len(segments(case.engine.spool)) < 6:
        case.take(20, of_size(9_000))
    case.wait_deferred()
    case.engine.kill()
    frames = all_frames(case.engine.spool)
    # The oldest: results in it are about messages in it.
    path = next(p for p in segments(case.engine.spool) if frames_of(p))
    hit = case.hit([f for f in frames if f.path == path])
    assert hit and hit < set(case.numbers.values())
    disk.unreadable(path, [(0, os.path.getsize(path))])
    case.engine.start()
    case.wait_ended()
    case.judge(hit)
    assert any(d.segment == os.path.basename(path) for d in case.said())
    case.engine.stop()
    disk.heal()
    aside = path.replace("seg-", "bad-")
    assert os.path.getsize(aside) == 1 << 20 and not os.path.exists(path)
    os.rename(aside, path)
    case.engine.start()
    case.wait_ended()
    case.judge(hit)
    assert case.arrived() == set(case.numbers.values())


def test_a_segment_is_cut_short_while_the_engine_runs(make):
    """I4: no SIGBUS, no wrong byte; what is cut off is reported to its senders, all others are delivered."""
    case = Case(make)
    case.take(30, of_size(20_000))
    case.take(3, of_size(300_000))
    case.wait_deferred()
    frames = all_frames(case.engine.spool)
    path = max({f.path for f in frames}, key=lambda p: sum(f.path == p for f in frames))
    mine = [f for f in frames if f.path == path]
    cut = mine[len(mine) // 2].begin + 100
    hit = case.hit([f for f in mine if f.end > cut])
    os.truncate(path, cut)
    case.wait_ended()
    case.judge(hit)
    assert case.engine.events("spool_damage"), "in silence"
    assert set(case.numbers.values()) - case.arrived() <= hit
    case.engine.stop()


def test_a_segment_was_cut_short_while_the_engine_was_down(make):
    case = Case(make)
    case.take(60, of_size(15_000))
    case.wait_deferred()
    case.engine.kill()
    frames = all_frames(case.engine.spool)
    path = max({f.path for f in frames}, key=lambda p: sum(f.path == p for f in frames))
    mine = [f for f in frames if f.path == path]
    cut = mine[len(mine) // 2].begin + 100
    lost = [f for f in mine if f.end > cut]
    os.truncate(path, cut)
    assert run("spool", "verify", case.engine.spool).returncode == 1
    case.engine.start()
    case.wait_ended()
    case.judge(case.hit(lost))
    assert check_damage(damages(lost), case.said()) == []
    assert set(case.numbers.values()) - case.arrived() <= case.hit(lost)
