# SPDX-License-Identifier: GPL-3.0-or-later
"""Load, sink and engine of a crash test, and the check at its end."""
import asyncio
import email
import hashlib
import json
import os
import random
import select
import socket
import subprocess
import sys
import time

from checker import Checker, Copy, Journal, check_counters, summary
from harness.sink import Close, Delay, Reset, Sink
from harness.wait import wait_until

CONF = {"headers": {"received": "none"},
        "limits": {"connections_per_ip": 10000},
        "delivery": {"connections_per_site": 8},
        "queue": {"schedule": ["1s"], "jitter": 20},
        "log": {"level": "warn"},
        "shutdown": {"deadline": "10s"}}


class RecordingSink(Sink):
    """Refuses "perm", defers "temp" once, hangs up after the dot of some "cut" messages, and keeps hashes
    instead of bodies."""

    def __init__(self, seed, **kwargs):
        super().__init__(keep=self.record, **kwargs)
        self.rng = random.Random(seed)
        self.records = []   # [transaction, sha, at, report of]
        self.deferred = set()
        self.cut = set()
        self.died = {}      # session: when its client's process was killed
        self.script.update(rcpt=self.on_rcpt, dot=self.on_dot, connect=self.on_connect)

    def on_connect(self, session, arg):
        return Close("421 4.3.2 busy") if self.rng.random() < 0.02 else None

    def on_rcpt(self, session, arg):
        local = arg.split(b"<")[1].split(b".")[0]
        if local.startswith(b"perm"):
            return "550 5.1.1 nobody"
        if local.startswith(b"temp") and arg not in self.deferred:
            self.deferred.add(arg)
            return "451 4.2.0 later"
        return None

    def on_dot(self, session, data):
        ident = subject_of(data)
        if any(r.startswith("cut") for r in self.current.rcpts) and ident not in self.cut:
            self.cut.add(ident)
            return self.rng.choice([Close(), Reset(), Delay(0.2), "451 4.3.0 again"])
        return None

    def record(self, tx):
        self.current = tx
        report = None
        if not tx.sender:
            report = report_of(tx.data)
        self.records.append((tx, hashlib.sha256(tx.data).hexdigest(), time.monotonic(), report, subject_of(tx.data)))
        tx.raw = b""

    def open_now(self):
        with self.lock:
            return {s for s in self.sessions if s.open}, len(self.sessions)

    def client_died(self, at, before):
        """The only client was killed at that time (before: open_now() then) and is gone: what was open, came
        since or waits to be accepted was its. A busy sink still reads what it had sent before."""
        asyncio.run_coroutine_threadsafe(self._client_died(at, *before), self.loop).result(30)

    async def _client_died(self, at, opened, count):
        while select.select([self.listener], [], [], 0)[0]:
            await asyncio.sleep(0)
        for _ in range(5):  # what was accepted a moment ago becomes a session
            await asyncio.sleep(0)
        for session in opened.union(self.sessions[count:]):
            self.died.setdefault(session, at)

    def copies(self):
        """A body that was answered 4xx or 5xx does not count: the sink did not take it."""
        out = []
        for tx, sha, at, report, subject in list(self.records):
            if tx.reply[:1] in (b"4", b"5"):
                continue
            # To a dead client nothing is answered, whatever the socket took.
            answered = tx.accepted and tx.done_at < self.died.get(tx.session, float("inf"))
            if report is None:
                out += [Copy(subject, rcpt, sha, at, answered) for rcpt in tx.rcpts]
            else:
                out += [Copy(report[0], rcpt, "", at, answered, True) for rcpt in report[1]]
        return out


def subject_of(data):
    head = data.split(b"\r\n\r\n", 1)[0]
    for line in head.split(b"\r\n"):
        if line.startswith(b"Subject: "):
            return line[9:].decode()
    return ""


def report_of(data):
    """(id of the original, its failed recipients)."""
    m = email.message_from_bytes(data)
    status = m.get_payload()[1].get_payload()
    rcpts = [g["Final-Recipient"].split(";")[1].strip() for g in status[1:]]
    return rcpts[0].split("@")[0].split(".", 1)[1], rcpts


def ask(path, request, timeout=30):
    """The reply's first line from the admin socket (core/admin/request.h). No program is started for it: this happens
    after each of thousands of kills."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(timeout)
        s.connect(path)
        s.sendall(request.encode() + b"\n")
        answer = b""
        while more := s.recv(65536):
            answer += more
    lines = [json.loads(line) for line in answer.splitlines()]
    assert lines and lines[-1].get("done"), answer
    return lines[0]


class World:
    def __init__(self, make, seed, conf=None, clients=20, engine=None):
        self.make = make
        self.seed = seed
        self.sink = make.add(RecordingSink(seed).start())
        merged = {**CONF, **(conf or {}), "relay": {"host": self.sink.endpoint}}
        self.engine = engine(merged) if engine else make.engine(merged, start=False)
        self.journal_file = os.path.join(str(make.folder), f"journal-{seed}")
        self.clients = clients
        self.journal_read = 0
        self.journal_accepted = 0
        self.crashes = []
        self.load = None

    def start(self):
        """Engine and load. The port, not the log, says that the engine is there: at this level it is quiet."""
        self.engine.spawn().wait_for_port()
        self.start_load()
        return self.engine

    def start_load(self):
        here = os.path.dirname(os.path.abspath(__file__))
        self.load = subprocess.Popen([sys.executable, os.path.join(here, "load.py"), str(self.engine.port),
                                      self.journal_file, str(self.clients), str(self.seed)], stdin=subprocess.PIPE)
        self.make.add(self)

    def stop_load(self):
        if self.load and self.load.poll() is None:
            self.load.communicate(b"stop\n", timeout=60)
            assert self.load.returncode == 0

    def close(self):
        """For teardown."""
        if self.load and self.load.poll() is None:
            self.load.kill()
            self.load.wait()

    def accepted(self):
        """Messages that were answered 250 so far."""
        try:
            with open(self.journal_file, "rb") as f:
                f.seek(self.journal_read)
                new = f.read()
        except FileNotFoundError:
            return 0
        whole = new[:new.rfind(b"\n") + 1]
        self.journal_read += len(whole)
        self.journal_accepted += sum(line.startswith(b"O") for line in whole.splitlines())
        return self.journal_accepted

    def crash(self):
        before = self.sink.open_now()
        at = time.monotonic()
        self.crashes.append(at)
        self.engine.kill()
        assert not self.engine.events("spool_damage"), "a crash is no damage"
        self.sink.client_died(at, before)

    def crashed(self, at, before):
        """It has died at that time by another hand (before: sink.open_now() then)."""
        self.crashes.append(at)
        self.engine.kill()  # there is nothing left to kill, but ports to wait for
        self.sink.client_died(at, before)

    def stats(self):
        return ask(self.engine.socket, "queue stats")

    def check_sum(self):
        """P2 as it stands right now."""
        found = check_counters(self.stats())
        assert not found, found

    def finish(self, timeout=90, retry=False):
        """Lets everything come to its end, then checks the history. Returns the summary.
        retry: attempts are ordered, they would not come by themselves."""
        self.stop_load()
        if not self.engine.running:
            self.engine.spawn().wait_for_port()

        def empty():
            stats = self.stats()
            assert not check_counters(stats), stats
            if retry and stats["queued"] and stats["queued"] == stats["deferred"]:
                ask(self.engine.socket, "queue retry all=1")
            # A report is counted when its bounce is durable: until then only the message is still there.
            return stats["queued"] == 0 and stats["messages"] == 0
        try:
            wait_until(empty, timeout, "an empty queue", interval=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.engine.stats()} {self.engine.queue('ls', '--limit', '3')}") from None
        with open(self.journal_file, encoding="ascii") as f:
            journal = Journal.read(f.readlines())
        copies = self.sink.copies()
        checker = Checker(journal, copies, self.crashes, window=2.0)
        violations = checker.run()
        text = summary(journal, copies, checker)
        assert not violations, text + "\n" + "\n".join(violations[:20])
        return text, journal, checker
