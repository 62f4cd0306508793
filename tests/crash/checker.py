# SPDX-License-Identifier: GPL-3.0-or-later
"""The history checker: what clients were promised against what the far end got (P2–P5).

The journal is written by the clients, one line per step, before it is taken or after it is known:

    T id sha256 rcpt[,rcpt...]    a message is about to be sent
    O id                          its end was answered 250
    F id code                     a definite 4xx or 5xx
    U id                          the connection ended without an answer (as does a lone T)

What the sink got is a list of Copy; crashes are times of the same clock. Recipients whose local part
begins with "perm" are refused by the sink with 5xx: they end in a report to the sender instead.
"""
import bisect
from collections import Counter, defaultdict, namedtuple

# One copy of one message for one recipient. at: when its end was there. answered: our 250 was sent
# completely. report: it is a delivery report about (id, rcpt), not the message.
Copy = namedtuple("Copy", "id rcpt sha at answered report", defaults=(False,))
Promise = namedtuple("Promise", "sha rcpts outcome code")


class Journal:
    def __init__(self):
        self.messages = {}

    @classmethod
    def read(cls, lines):
        journal = cls()
        for line in lines:
            words = line.split()
            if len(words) >= 2 and line.endswith("\n"):  # a torn last line says nothing
                journal.add(words)
        return journal

    def add(self, words):
        kind, ident = words[0], words[1]
        if kind == "T":
            if ident in self.messages:
                raise ValueError(f"{ident} is tried twice")
            self.messages[ident] = Promise(words[2], words[3].split(","), "U", None)
            return
        known = self.messages[ident]
        if known.outcome != "U":
            raise ValueError(f"{ident} has two outcomes")
        self.messages[ident] = known._replace(outcome=kind, code=int(words[2]) if kind == "F" else None)

    def count(self, outcome):
        return sum(p.outcome == outcome for p in self.messages.values())

    def recipients(self, outcome):
        return sum(len(p.rcpts) for p in self.messages.values() if p.outcome == outcome)


class Checker:
    """window: a copy answered this shortly before a crash may be sent again, because the result may not
    have been on disk, or, on a busy machine, not even read.
    damaged: ids of which a record was damaged on the disk (P6). Such a message may be missing, may be reported as failed
    and, its result being what was damaged, may come again; what comes is what was sent, and to whom. That the damage
    itself was reported is check_damage's."""

    def __init__(self, journal, copies, crashes=(), window=1.0, damaged=()):
        self.journal = journal
        self.copies = copies
        self.crashes = sorted(crashes)
        self.window = window
        self.damaged = set(damaged)
        self.violations = []
        self.duplicates = 0
        self.crashed = 0    # of them: the first was answered, and a crash came before that was surely on disk

    def say(self, text):
        self.violations.append(text)

    def run(self):
        """All violations, as text; an empty list when every promise was kept."""
        by_id = defaultdict(list)
        for copy in self.copies:
            by_id[copy.id].append(copy)
        for ident, copies in by_id.items():
            if ident not in self.journal.messages:
                self.say(f"{ident}: nobody sent it, {len(copies)} copies arrived")
        for ident, promise in self.journal.messages.items():
            self.check_message(ident, promise, by_id.get(ident, []))
        return self.violations

    def check_message(self, ident, promise, copies):
        for c in copies:
            if c.rcpt not in promise.rcpts:
                self.say(f"{ident}: arrived for {c.rcpt}, who was never named")
            if not c.report and c.sha != promise.sha:
                self.say(f"{ident}: the content for {c.rcpt} is not the one that was sent")
        if promise.outcome == "F" and copies:
            self.say(f"{ident}: refused with {promise.code}, {len(copies)} copies or reports arrived")
            return
        for rcpt in promise.rcpts:
            mine = [c for c in copies if c.rcpt == rcpt and not c.report]
            reports = [c for c in copies if c.rcpt == rcpt and c.report]
            self.check_recipient(ident, promise, rcpt, mine, reports)

    def check_recipient(self, ident, promise, rcpt, copies, reports):
        refused = rcpt.startswith("perm")
        if refused and copies:
            self.say(f"{ident}: {rcpt} was refused by the far end and got {len(copies)} copies")
        if ident in self.damaged:
            return
        if not refused and reports:
            self.say(f"{ident}: a report says that {rcpt} failed, nobody refused it")
        if promise.outcome == "O" and not (reports if refused else copies):
            self.say(f"{ident}: lost for {rcpt} after its 250")
        self.check_duplicates(ident, rcpt, "copies", copies)
        self.check_duplicates(ident, rcpt, "reports", reports)

    def check_duplicates(self, ident, rcpt, what, copies):
        copies = sorted(copies, key=lambda c: c.at)
        for first, second in zip(copies, copies[1:]):
            self.duplicates += 1
            if not first.answered:
                continue
            if self.crashed_soon_after(first.at):
                self.crashed += 1
            else:
                self.say(f"{ident}: {rcpt} got two {what}, at {first.at:.3f} and {second.at:.3f}, "
                         "though the first was answered and no crash came near")

    def crashed_soon_after(self, at):
        i = bisect.bisect_left(self.crashes, at)
        return i < len(self.crashes) and self.crashes[i] <= at + self.window


# What was damaged, or what was said to be: bytes of one segment.
Damage = namedtuple("Damage", "segment begin end")


def check_damage(done, said):
    """P6: every damaged record is reported, and nothing else. Lists of Damage."""
    def touch(a, b):
        return a.segment == b.segment and a.begin < b.end and b.begin < a.end
    found = [f"{d}: damaged in silence" for d in done if not any(touch(d, s) for s in said)]
    return found + [f"{s}: reported, but nobody damaged it" for s in said if not any(touch(d, s) for d in done)]


def check_counters(counters):
    """P2; a list of violations."""
    ended = sum(counters[k] for k in ("delivered", "bounced", "expired", "cancelled"))
    if counters["accepted"] != ended + counters["queued"]:
        return [f"accepted {counters['accepted']} is not ended {ended} + queued {counters['queued']}"]
    return []


def summary(journal, copies, checker):
    kinds = Counter(p.outcome for p in journal.messages.values())
    return (f"{kinds['O']} accepted, {kinds['F']} refused, {kinds['U']} unknown; "
            f"{sum(not c.report for c in copies)} copies, {sum(c.report for c in copies)} reports, "
            f"{checker.duplicates} duplicates ({checker.crashed} answered just before a crash), "
            f"{len(checker.crashes)} crashes, "
            f"{len(checker.violations)} violations")
