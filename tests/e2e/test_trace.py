# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringpost trace`: both directions, in clear and above TLS; never a password or a body; bounded, and no reader
slows the engine down."""
import base64
import json
import os
import signal
import socket
import subprocess
import threading

import pytest

from harness.client import Client, submit
from harness.engine import binary, check_sum, clean_environment, run
from harness.login import WAYS
from harness.message import message, tag
from harness.tls_peer import login_world, peer_ca
from harness.tlsclient import SecureClient, tls_engine
from harness.wait import wait_until

WORKERS = [1, 2]
SECRET = "c4n4ry-pass word"
CANARY = [SECRET, base64.b64encode(SECRET.encode()).decode(), "c4n4ry"]
BODY = "c4n4ry-body"


def heeds_interrupts():
    """As on a terminal: who starts the tests in the background makes all that is below ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Trace:
    """`ringpost trace` in the background; lines as they come."""

    def __init__(self, engine, target, *args):
        self.process = subprocess.Popen([binary(), "trace", target, "--json", "--socket", engine.socket, *args],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(),
                                        preexec_fn=heeds_interrupts)
        self.lines = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        wait_until(lambda: any("tracing" in line for line in self.lines) or self.process.poll() is not None, 15,
                   "the engine listens")

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def said(self, side=None):
        return [line["text"] for line in list(self.lines) if line.get("side") and side in (None, line["side"])]

    def wait(self, text, side=None, timeout=15):
        wait_until(lambda: any(text in t for t in self.said(side)), timeout, f"{text!r} in {self.said()}")

    @property
    def text(self):
        return json.dumps(self.lines)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(10)
        self.thread.join(10)
        return self.process.stderr.read().decode()


@pytest.fixture
def trace(make):
    def start(engine, target, *args):
        return make.add(Trace(engine, target, *args))
    return start


def nothing_secret(text):
    for canary in CANARY + [BODY]:
        assert canary not in text, canary


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("target", ["127.0.0.1", "127.0.0.0/8", "one.test"])
def test_a_destination(make, trace, workers, target):
    engine = make.relay({"workers": workers})
    submit(engine.port, to=["before@one.test"])  # the domain's route is known, its connection idle
    engine.sink.wait(1)
    t = trace(engine, target)
    for i in range(4):
        submit(engine.port, message(tag(), body=f"{BODY}{i}\r\n".encode()), to=[f"u{i}@one.test"])
    engine.sink.wait(5)
    t.wait("RCPT TO:<u3@one.test>", "C")
    t.wait(" bytes)", "C")
    assert any(x.startswith("250 ") for x in t.said("S")), t.said()
    assert any("127.0.0.1" in x for x in t.said("*"))
    nothing_secret(t.text)
    t.close()
    assert engine.wait_empty()["delivered"] == 5


@pytest.mark.parametrize("workers", WORKERS)
def test_a_client(make, trace, workers):
    engine = make.relay({"workers": workers})
    t = trace(engine, "127.0.0.0/8")
    with Client(engine.port) as c:
        c.ehlo()
        assert c.submit(message(tag(), body=f"{BODY}\r\nMAIL FROM:<{BODY}>\r\n.\r\n".encode()), to=["a@one.test"]).code == 250
        c.cmd("QUIT")
    t.wait("QUIT", "C")
    engine.sink.wait(1)
    said = t.said()
    assert any(x.startswith("connected from 127.0.0.1") for x in said), said
    assert any(x.startswith("EHLO") for x in t.said("C")) and any(x.startswith("220 ") for x in t.said("S"))
    assert any(x.endswith("bytes)") for x in t.said("C"))
    nothing_secret(t.text)


def test_bdat_is_content_too(make, trace):
    """A chunk that looks like commands; the next chunk follows at once."""
    engine = make.relay({"workers": 1})
    t = trace(engine, "127.0.0.1")
    chunk = f"Subject: x\r\n\r\nRCPT TO:<{BODY}>\r\n".encode()
    with Client(engine.port) as c:
        c.ehlo()
        c.cmd("MAIL FROM:<a@a.test>")
        c.cmd("RCPT TO:<b@one.test>")
        c.send(b"BDAT %d\r\n" % len(chunk) + chunk + b"BDAT %d LAST\r\n" % len(chunk) + chunk)
        assert c.reply().code == 250 and c.reply().code == 250
        c.cmd("QUIT")
    t.wait("QUIT", "C")
    engine.sink.wait(1)
    assert f"BDAT {len(chunk)}" in t.said("C") and f"BDAT {len(chunk)} LAST" in t.said("C")
    nothing_secret(t.text)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("secure", [False, True])
def test_a_clients_password_is_not_shown(make, trace, way, secure):
    engine = tls_engine(make, [{"access": "auth", "tls": "may"}], {"auth": {"require_tls": False, "cram_md5": True},
                                                     "tls": {"on_missing": "self_signed"},
                                                     "users": [{"name": "ann", "password": SECRET}]})
    t = trace(engine, "127.0.0.1")
    with (SecureClient if secure else Client)(engine.port) as c:
        if secure:
            c.starttls()
        c.ehlo()
        assert WAYS[way](c, "ann", "no " + SECRET).code == 535
        assert WAYS[way](c, "ann", SECRET).code == 235
        c.cmd("NOOP c4n4n")
        c.cmd("QUIT")
    t.wait("QUIT", "C")
    assert any(x.startswith("AUTH ") for x in t.said("C")) and "235 (hidden)" in t.said("S")
    assert "NOOP c4n4n" in t.said("C")  # shown again behind it
    nothing_secret(t.text)


def test_our_password_is_not_shown(make, trace, tmp_path_factory):
    """Above TLS, towards the smarthost; a server that repeats what it was told is not believed either."""
    ca = peer_ca(tmp_path_factory.mktemp("ca"))
    engine = login_world(make, ca, "alice", SECRET, ["PLAIN", "LOGIN"])
    t = trace(engine, "mail.peer.test")
    submit(engine.port, message(tag(), body=BODY.encode() + b"\r\n"), to=["a@one.test"])
    t.wait("RCPT TO", "C")
    t.wait(" bytes)", "C")
    said = t.said()
    assert any(x.startswith("AUTH ") for x in said) and "STARTTLS" in said and any(x.startswith("TLS") for x in said)
    nothing_secret(t.text)


def test_what_stands_behind_starttls_is_refused_all_the_same(make, trace):
    """A session that is listened to gets its lines one at a time: the injection must not get through by that."""
    engine = tls_engine(make, [{"access": "auth", "tls": "may"}], {"tls": {"on_missing": "self_signed"},
                                                     "users": [{"name": "ann", "password": SECRET}]})
    trace(engine, "127.0.0.1")
    with Client(engine.port) as c:
        c.ehlo()
        c.send(b"STARTTLS\r\nNOOP\r\n")
        assert c.reply().code == 554


def test_bounds(make, trace):
    """Four at a time; at most 500 lines a second and 16 sessions of each; what is more is counted."""
    engine = make.relay({"workers": 2, "limits": {"errors": 10000}})
    traces = [trace(engine, "127.0.0.1") for _ in range(4)]
    done = run("trace", "127.0.0.1", "--socket", engine.socket)
    assert done.returncode == 1 and "busy" in done.stderr, done
    clients = [Client(engine.port) for _ in range(20)]
    try:
        for c in clients:
            c.ehlo()
        wait_until(lambda: all(any(x.get("sessions_missed", 0) >= 4 for x in t.lines) for t in traces), 15,
                   "sessions that were not listened to")
        for c in clients[:4]:
            c.send(b"NOOP\r\n" * 3000)
        for c in clients[:4]:
            for _ in range(3000):
                assert c.reply().code == 250
        for t in traces:
            wait_until(lambda t=t: sum(x.get("lost", 0) for x in t.lines) > 1000, 15, "lines that were lost")
            sessions = {x["session"] for x in t.lines if "session" in x}
            assert len(sessions) <= 16
            by_second = {}
            for x in t.lines:
                if "at" in x:
                    by_second[x["at"][:19]] = by_second.get(x["at"][:19], 0) + 1
            assert max(by_second.values()) <= 1000, by_second  # two windows may lie in one second of the wall
    finally:
        for c in clients:
            c.close()
    for t in traces:
        t.close()
    assert trace(engine, "127.0.0.1").process.poll() is None  # there is room again


def test_a_reader_that_stops_reading_stops_nobody(make):
    """The admin socket is full: the engine delivers, answers others, and tells how many lines were lost."""
    engine = make.relay({"workers": 2})
    s = socket.socket(socket.AF_UNIX)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(engine.socket)
    s.sendall(b"trace target=127.0.0.1\n")
    assert b"tracing" in s.recv(100)
    for round in range(12):
        with Client(engine.port) as c:
            c.ehlo()
            for i in range(60):
                assert c.submit(message(tag()), to=[f"u{round}-{i}@{'x' * 60}.one.test"]).code == 250
    counters = engine.wait_empty(60)
    check_sum(counters)
    assert counters["delivered"] == 720
    assert run("top", "--json", "-n", "1", "--socket", engine.socket).returncode == 0
    s.close()
    wait_until(lambda: Trace(engine, "127.0.0.1").close() == "", 10, "its place is free")


@pytest.mark.parametrize("workers", WORKERS)
def test_it_ends_with_its_reader_and_with_the_engine(make, trace, workers):
    engine = make.relay({"workers": workers})
    for _ in range(10):  # more than there may be at a time
        t = trace(engine, "127.0.0.1")
        t.close()
    t = trace(engine, "127.0.0.1")
    submit(engine.port, to=["a@one.test"])
    engine.sink.wait(1)
    engine.stop()
    t.process.wait(10)
    assert t.process.returncode == 1 and b"shutting down" in t.process.stderr.read()


def test_as_text_nothing_moves_the_cursor(make):
    sink = make.sink(script={"rcpt": lambda s, a: b"451 4.7.1 \x1b]0;owned\x07\x1b[2J later\r\n"})
    engine = make.relay({"queue": {"schedule": ["1h"]}}, sink=sink)
    process = subprocess.Popen([binary(), "trace", "127.0.0.1", "--socket", engine.socket], stdout=subprocess.PIPE,
                               env=clean_environment())
    os.set_blocking(process.stdout.fileno(), False)
    data = b""

    def more():
        nonlocal data
        data += process.stdout.read() or b""
        return data
    try:
        wait_until(lambda: b"listening for 127.0.0.1" in more(), 10, "it listens")
        submit(engine.port, to=["a@one.test"])
        wait_until(lambda: b"S: 451 4.7.1" in more(), 10, "the reply")
        assert b"\x1b" not in data and b"\x07" not in data and b"C: RCPT TO:<a@one.test>" in data
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("target", ["", "a b", "a\"b", "x" * 300])
def test_what_is_no_target(relay, target):
    assert run("trace", target, "--socket", relay.socket).returncode == 64
