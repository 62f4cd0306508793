# SPDX-License-Identifier: GPL-3.0-or-later
"""J1, J2, J4: crowds. The same with ten thousand, and in figures: ./dev bench crowd overload."""
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from harness.client import Client, Closed
from harness.dkim_rig import Key, verify
from harness.engine import binary, measuring
from harness.message import message, sized, stuff, tag, without_received
from harness.wait import run_all, wait_until
from test_bench_tools import Sink

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WIDE = {"limits": {"connections": 5000, "connections_per_ip": 5000}}


class Held:
    """Connections that stay (bench/holder.py), from a thousand per address."""

    def __init__(self, port, kind, count):
        self.process = subprocess.Popen([sys.executable, "-B", f"{ROOT}/bench/holder.py", str(port), kind, str(count), "1"],
                                        stdout=subprocess.PIPE, text=True)

    def held(self):
        return json.loads(self.process.stdout.readline())["held"]

    def close(self):
        """How many the server has closed in the meantime."""
        self.process.terminate()
        closed = json.loads(self.process.stdout.readline())["closed"]
        self.process.wait(20)
        return closed


def serve(port, number):
    """Seconds from connecting to the 250 of a message, of a new client with an address of its own."""
    began = time.monotonic()
    with Client(port, source=f"127.0.4.{number}", timeout=60) as c:
        c.ehlo()
        assert c.submit(message(tag())).code == 250
    return time.monotonic() - began


def latency(port):
    return statistics.median(serve(port, n + 1) for n in range(15))


def per_connection_max():
    with open(binary(), "rb") as f:
        return 40 << 10 if b"__asan_init" in f.read() else 8 << 10


def test_a_thousand_idle_and_a_thousand_slow(make):
    """J1: half of the slow ones within a command, half within a message, a byte a second. A new client is served as
    before (as far as a busy machine can tell), and a connection costs little."""
    engine = make.relay(WIDE, env=measuring(), prefix=["prlimit", "--nofile=8192:8192"])
    before, memory = latency(engine.port), engine.memory()
    crowd = [Held(engine.port, "idle", 1000), Held(engine.port, "command", 500), Held(engine.port, "data", 500)]
    try:
        assert [c.held() for c in crowd] == [1000, 500, 500]
        each = (engine.memory() - memory) / 2000
        among = latency(engine.port)
    finally:
        cut = sum(c.close() for c in crowd)
    assert cut == 0
    assert among < 5 * max(before, 0.1), (before, among)
    assert each < per_connection_max()
    engine.sink.wait(30, timeout=60)


class BenchSink(Sink):
    close = Sink.kill


class Knocking:
    """Clients that send one message per connection and come again at once, 20 ms after a refusal."""

    def __init__(self, port, clients):
        self.process = subprocess.Popen(
            [binary("RINGPOST_BENCH_BIN"), "source", "--to", f"127.0.0.1:{port}", "--messages", "1000000000", "--sessions",
             str(clients), "--per-connection", "1", "--keep-going", "--pipelining"], stdout=subprocess.PIPE, text=True)

    def look(self):
        self.process.send_signal(signal.SIGUSR1)
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.terminate()
        report = json.loads(self.process.stdout.readline())
        self.process.wait(30)
        return report


def cost(engine, clients):
    """Processor seconds of the engine per accepted message, and refusals per second, with so many clients."""
    before = engine.stats()["accepted"]
    knocking = Knocking(engine.port, clients)
    try:  # the first look must find a process that knows the signal
        wait_until(lambda: engine.stats()["accepted"] - before >= 50, 60, "messages", interval=0.1)
        first, cpu, began = knocking.look(), engine.cpu_seconds(), time.monotonic()
        time.sleep(2)
        last, used, took = knocking.look(), engine.cpu_seconds() - cpu, time.monotonic() - began
    finally:
        report = knocking.end()
    assert report["refused_4xx"] == report["refused_5xx"] == report["unknown"] == 0, report
    assert last["accepted"] > first["accepted"]
    return (used / (last["accepted"] - first["accepted"]), (last["connect_errors"] - first["connect_errors"]) / took,
            report["accepted"])


def test_ten_times_as_many_clients_as_places(make):
    """J2, overload: what those cost who are not let in must not be what mail needs. In processor time per message, so
    that the machine's load is no matter. Without the bound on refusals: 1.7 times as much, and 8,000 of them a second."""
    sink = make.add(BenchSink())
    engine = make.engine({"relay": {"host": f"[127.0.0.1]:{sink.port}"},
                          "limits": {"connections": 20, "connections_per_ip": 1000}})
    alone, _, sent = cost(engine, 20)
    crowded, refusals, more = cost(engine, 200)
    assert crowded < 1.4 * alone, (alone, crowded)
    assert refusals < 1000  # 400 a second and worker
    assert engine.wait_empty(60)["delivered"] == sent + more
    seen = sink.report()
    assert seen["messages"] == sent + more and not any(run["duplicates"] for run in seen["runs"])


def test_a_flood_from_one_address(make):
    """J2: it comes and goes as fast as it can, above its cap; others are served, and nothing is left of it."""
    engine = make.relay({"limits": {"connections_per_ip": 4}})
    serve(engine.port, 1)
    descriptors, over = engine.descriptors(), threading.Event()
    knocks = [0]

    def knock():
        while not over.is_set():
            try:
                with Client(engine.port, greeting=False, timeout=5) as c:
                    c.line()
            except (Closed, OSError):
                pass
            knocks[0] += 1
    held = [Client(engine.port) for _ in range(4)]
    threads = [threading.Thread(target=knock, daemon=True) for _ in range(4)]
    for t in threads:
        t.start()
    for n in range(10):
        serve(engine.port, n + 2)
    wait_until(lambda: knocks[0] > 400, 60, "a flood")
    over.set()
    for t in threads:
        t.join(20)
    for c in held:
        assert c.cmd("NOOP").code == 250
        c.close()
    wait_until(lambda: engine.descriptors() <= descriptors, 20, "descriptors given back")


def test_more_bodies_than_memory(make):
    """J4: 1,000 clients send 120 KB each at the same time, and limits.memory is 16 MiB. What is beyond goes to the disk
    while it comes, or hears 452; memory stays near the limit; everybody who was promised something gets it."""
    engine = make.relay({**WIDE, "limits": {**WIDE["limits"], "memory": "16MiB"}}, env=measuring(),
                        prefix=["prlimit", "--nofile=8192:8192"])
    serve(engine.port, 1)
    content = sized(120 << 10)
    body = stuff(content)
    clients = [Client(engine.port, timeout=60) for _ in range(1000)]
    for c in clients:
        c.ehlo()
        c.envelope()
    before, codes = engine.memory(), Counter()

    def send(some):
        """All that may begin, begin; then the bodies."""
        begun = [c for c in some if may_go_on(c.cmd("DATA"), codes)]
        for c in begun:
            c.send(body[:-5])
        for c in begun:
            c.send(body[-5:])
        for c in begun:
            codes[c.reply().code] += 1
    run_all([lambda i=i: send(clients[i::8]) for i in range(8)])
    for c in clients:
        c.close()
    assert sum(codes.values()) == 1000 and set(codes) <= {250, 452} and codes[250] > 50, codes
    assert engine.memory("VmHWM") - before < 60 << 20, (before, engine.memory("VmHWM"), codes)
    engine.sink.wait(1 + codes[250], timeout=60)
    assert engine.wait_empty(30)["delivered"] == 1 + codes[250]
    whole = [m for m in engine.sink.messages if without_received(m.data) == content]
    assert len(whole) == codes[250]


def may_go_on(reply, codes):
    """Whether DATA may go on."""
    if reply.code != 354:
        codes[reply.code] += 1
    return reply.code == 354


@pytest.mark.parametrize("bdat", [0, 50000], ids=["data", "bdat"])
def test_signed_mail_while_memory_is_short(make, tmp_path, bdat):
    """J4: 150 clients stand still within 120 KB. What others had begun before goes to the disk in small pieces: each message
    is whole, and its signature, for which a place was kept, verifies."""
    key = Key(tmp_path, "short", "ed25519")
    engine = make.relay({**WIDE, "limits": {**WIDE["limits"], "memory": "16MiB"}, "domains": [key.listed()]})
    head = b"From: joe@example.org\r\nTo: bob@example.test\r\nSubject: short\r\nMessage-ID: <%d@example.org>\r\n\r\n"
    contents = [head % n + b"0123456789abcdef\r\n" * (n // 18) for n in (20000, 100000, 300000, 2000000)]
    early = [Client(engine.port, timeout=60) for _ in contents]
    stuck = [Client(engine.port, timeout=60) for _ in range(150)]
    for c in early + stuck:
        c.ehlo()
        c.envelope()
    for c, content in zip(early, contents):
        if bdat:
            assert c.bdat(content[:1000], last=False).code == 250
        else:
            assert c.cmd("DATA").code == 354
            c.send(content[:1000])
    fill = stuff(sized(120 << 10))[:-5]
    for c in stuck:
        if c.cmd("DATA").code == 354:
            c.send(fill)

    def is_short():
        with Client(engine.port) as c:
            c.ehlo()
            c.envelope()
            return c.cmd("DATA").status == "452 4.3.1"
    wait_until(is_short, 60, "memory to be short", interval=0.1)
    for c, content in zip(early, contents):
        for at in range(1000, len(content), bdat or len(content)):
            piece = content[at:at + (bdat or len(content))]
            if bdat:
                assert c.bdat(piece, last=at + bdat >= len(content)).code == 250
            else:
                c.send(piece + b".\r\n")
                assert c.reply().code == 250
    for content in contents:
        sent = [m.data for m in engine.sink.wait(len(contents), timeout=60) if m.data.endswith(content)]
        assert len(sent) == 1
        verify(sent[0], [key])
    for c in early + stuck:
        c.close()
