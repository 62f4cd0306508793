# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringpost top`: where the mail waits, and why, as JSON, as text and on a terminal."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import threading
import time

import pytest

from harness.client import submit
from harness.engine import binary, clean_environment, run
from harness.wait import wait_until

ESCAPE = "\x1b]0;owned\x07\x1b[31m"


def top(engine, *args):
    done = run("top", "--socket", engine.socket, *args)
    assert done.returncode == 0, done
    return done.stdout


def as_json(engine, *args):
    lines = [json.loads(line) for line in top(engine, "--json", "-n", "1", *args).splitlines()]
    return lines[0]["totals"], lines[1:]


@pytest.fixture
def busy(make):
    """Two destinations: one lets one message through at a time and holds it, the other is idle by now."""
    go = threading.Event()

    def dot(session, data):
        go.wait(60)
    sink = make.sink(script={"dot": dot}, features=["8BITMIME"])
    engine = make.relay({"workers": 2, "delivery": {"connections_per_site": 1}}, sink=sink)
    for i in range(12):
        submit(engine.port, to=[f"u{i}@slow.test"])
    wait_until(lambda: engine.stats()["inflight"] >= 1, 10, "a transaction")
    engine.go = go
    yield engine
    go.set()
    engine.wait_empty()


def test_what_waits_and_why(busy):
    def settled():
        totals, sites = as_json(busy)
        return (totals, sites) if sites and sites[0]["waiting"] + sites[0]["in_flight"] == 12 else None
    totals, sites = wait_until(settled, 10, "twelve parts in one place")
    assert totals["queued"] == 12 and totals["accepted"] == 12 and totals["delivered"] == 0
    assert totals["memory_bytes"] > 1 << 20 and totals["connections"] == 1
    site = sites[0]
    assert site["connections"] == 1 and site["in_flight"] >= 1 and site["waiting"] >= 1
    assert site["binding"] == "connections cap" and site["in_per_s"] > 0
    assert len(sites) == 1 and {"delivered_per_s", "deferred_per_s", "site_id", "worker"} <= set(site)


def test_as_text(busy):
    text = top(busy, "--once")
    assert "\x1b" not in text and text.startswith("recipients:")
    head, columns = text.splitlines()[0], text.splitlines()[3]
    assert re.search(r"accepted \d+\.\d/s  delivered \d+\.\d/s  deferred \d+\.\d/s  queue 12", head), head
    assert columns.split()[:3] == ["WAITING", "FLIGHT", "CONN"]
    assert "connections cap" in text.splitlines()[4]
    assert top(busy, "-n", "2").count("recipients:") == 2


def test_the_busiest_come_first_and_few_are_told(make):
    """Twenty domains with as many hosts: the answer has those with the most, in order, and no more than asked."""
    shut = {"rcpt": "451 4.7.1 greylisted\x1b[2J" + ESCAPE}
    sink = make.sink(script={"rcpt": lambda s, a: shut["rcpt"]})
    engine = make.relay({"workers": 2, "queue": {"schedule": ["1h"]}}, sink=sink)
    submit(engine.port, to=["a@one.test"])
    engine.event("deferred")
    wait_until(lambda: any("last" in s for s in as_json(engine)[1]), 10, "the last reply")
    _, sites = as_json(engine, "--limit", "1")
    assert len(sites) == 1 and "greylisted" in sites[0]["last"]["text"] and sites[0]["last"]["code"] == 451
    text = top(engine, "--once")
    assert "greylisted" in text and "\x1b" not in text and "\x07" not in text
    for limit in ("0", "101", "x"):
        assert run("top", "--once", "--limit", limit, "--socket", engine.socket).returncode == 64


def on_terminal(engine, *args):
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(binary(), [binary(), "top", "--socket", engine.socket, *args], clean_environment())
    return pid, fd


def read_some(fd, seconds):
    end, data = time.monotonic() + seconds, b""
    while time.monotonic() < end:
        ready, _, _ = select.select([fd], [], [], 0.1)
        if ready:
            try:
                part = os.read(fd, 65536)
            except OSError:
                break
            if not part:
                break
            data += part
    return data


def read_until(fd, what, seconds=15):
    data, end = b"", time.monotonic() + seconds
    while what not in data and time.monotonic() < end:
        data += read_some(fd, 0.1)
    assert what in data, data
    return data


@pytest.mark.parametrize("how", ["q", "signal"])
def test_on_a_terminal(busy, how):
    pid, fd = on_terminal(busy)
    data = read_until(fd, b"connections cap")
    assert b"\x1b[?1049h" in data and b"\x1b[H" in data
    if how == "q":
        os.write(fd, b"q")
    else:
        os.kill(pid, signal.SIGTERM)
    data = read_until(fd, b"\x1b[?1049l")
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status
    os.close(fd)


def test_without_an_engine(make, tmp_path):
    done = run("top", "--once", "--socket", str(tmp_path / "nobody.sock"))
    assert done.returncode == 69 and "no such socket" in done.stderr
    done = subprocess.run([binary(), "top", "--help"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0 and "--once" in done.stdout
