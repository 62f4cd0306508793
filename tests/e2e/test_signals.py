# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGTERM, a second one, SIGHUP, SIGPIPE, SIGSTOP: an orderly end and no other (K5, faults 25, 29)."""
import signal
import subprocess
import time

import pytest

from harness.client import Client, Closed, submit
from harness.engine import run
from harness.message import message, stuff, tag
from harness.sink import Delay, Silence


def test_sigterm_ends_an_idle_engine_at_once(make):
    engine = make.relay({"shutdown": {"deadline": "60s"}})
    start = time.monotonic()
    engine.stop()
    assert time.monotonic() - start < 15


def test_sigint_is_the_same(relay):
    relay.process.send_signal(signal.SIGINT)
    assert relay.wait() == 0
    relay.process = None


def test_events_of_the_end(relay):
    relay.terminate()
    assert relay.wait() == 0
    names = [e["event"] for e in relay.events()]
    assert "stopping" in names and names[-1] == "stopped"


def test_idle_sessions_get_421(relay):
    """K5."""
    with Client(relay.port) as c:
        c.ehlo()
        relay.terminate()
        assert c.reply().status == "421 4.3.2"
        assert c.closed()
    relay.stop()


@pytest.mark.parametrize("way", ["DATA", "BDAT"])
def test_a_message_on_its_way_is_finished(make, way):
    """K5: In DATA when SIGTERM comes: it gets its 250, is stored, and is delivered by the next engine."""
    engine = make.relay({"shutdown": {"deadline": "10s"}})
    content = message("in data", b"x" * 500 + b"\r\n")
    with Client(engine.port) as c:
        c.ehlo()
        c.envelope()
        if way == "DATA":
            c.ok("DATA")
            c.send(stuff(content)[:100])
        else:
            c.send(b"BDAT %d LAST\r\n" % len(content) + content[:100])
        time.sleep(0.1)
        engine.terminate()
        engine.event("stopping")
        time.sleep(0.2)
        c.send(stuff(content)[100:] if way == "DATA" else content[100:])
        assert c.reply().code == 250
        assert [r.status for r in c.rest()] in ([], ["421 4.3.2"])
    assert engine.wait() == 0
    engine.process = None
    engine.start()
    engine.sink.with_subject("in data")


def test_an_open_transaction_gets_421_not_a_hang(make):
    """Between RCPT and DATA it may still finish its message, until the deadline."""
    engine = make.relay({"shutdown": {"deadline": "2s"}})
    with Client(engine.port) as c:
        c.ehlo()
        c.envelope()
        engine.terminate()
        replies = []
        try:
            replies.append(c.reply())
        except Closed:
            pass
        assert [r.code for r in replies] in ([421], [])
    start = time.monotonic()
    engine.stop()
    assert time.monotonic() - start < 15


def test_no_new_clients_while_stopping(make):
    """Early 421, or no connection at all."""
    engine = make.relay({"shutdown": {"deadline": "60s"}})
    with Client(engine.port) as held:
        held.ehlo()
        held.envelope()
        held.ok("DATA")
        engine.terminate()
        engine.event("stopping")
        try:
            with Client(engine.port, greeting=False) as c:
                assert c.reply().code == 421
        except (ConnectionError, Closed):
            pass
        held.send(".\r\n")
        assert held.reply().code == 250
    engine.stop()


def test_the_deadline_ends_what_does_not_end(make):
    """A client that never finishes its DATA does not keep the engine alive; nothing of it is stored."""
    engine = make.relay({"shutdown": {"deadline": "1s"}})
    with Client(engine.port) as c:
        c.ehlo()
        c.envelope()
        c.ok("DATA")
        c.send("Subject: never\r\n")
        start = time.monotonic()
        engine.terminate()
        assert engine.wait() == 0
        assert 0.8 < time.monotonic() - start < 15
    engine.process = None
    engine.start()
    assert engine.counters()["accepted"] == 0


def test_a_second_sigterm_ends_at_once(make):
    """In DATA, with an hour to go: what was accepted is kept, what was not is not there."""
    sink = make.sink(script={"mail": lambda s, a: "451 4.3.0 wait" if s.sink.hold else None})
    sink.hold = True
    engine = make.relay({"shutdown": {"deadline": "1h"}}, sink=sink)
    submit(engine.port, message("kept"))
    with Client(engine.port) as c:
        c.ehlo()
        c.envelope()
        c.ok("DATA")
        c.send("Subject: cut\r\n")
        engine.terminate()
        engine.event("stopping")
        assert engine.process.poll() is None
        start = time.monotonic()
        engine.terminate()
        engine.wait(15)
        assert time.monotonic() - start < 15
        assert c.closed()
    engine.check_reports()
    sink.hold = False
    engine.start()
    sink.with_subject("kept")
    assert engine.wait_empty()["delivered"] == 1
    assert [m.subject for m in sink.messages] == ["kept"]


def test_outgoing_mail_in_the_air_is_finished_or_kept(make):
    """SIGTERM while the peer is thinking about our dot: its answer counts when it comes in time."""
    sink = make.sink(script={"dot": [Delay(1)]})
    engine = make.relay({"shutdown": {"deadline": "10s"}}, sink=sink)
    submit(engine.port, message("air"))
    sink.wait_attempts(1)
    engine.stop()
    assert len(sink.messages) == 1
    engine.start()
    assert engine.counters()["queued"] == 0
    assert len(sink.messages) == 1


def test_a_silent_peer_does_not_keep_the_engine(make):
    sink = make.sink(script={"dot": lambda s, a: Silence()})
    engine = make.relay({"shutdown": {"deadline": "1s"}}, sink=sink)
    submit(engine.port)
    sink.wait_attempts(1)
    start = time.monotonic()
    engine.stop()
    assert time.monotonic() - start < 15  # the peer's own timeout is ten minutes


def test_stop_under_load_loses_nothing_and_doubles_nothing(make):
    """K5."""
    engine = make.relay({"workers": 2})
    accepted = []
    for _ in range(3):
        with Client(engine.port) as c:
            try:
                c.ehlo()
                for i in range(100):
                    subject = tag()
                    reply = c.submit(message(subject))
                    if reply.code == 250:
                        accepted.append(subject)
                    if i == 60:
                        engine.terminate()
            except (Closed, AssertionError, OSError):
                pass
        assert engine.wait() == 0
        engine.process = None
        engine.start()
    engine.wait_empty()
    got = [m.subject for m in engine.sink.messages]
    assert set(accepted) <= set(got)
    assert len(got) == len(set(got))


def test_signals_that_must_not_matter(relay):
    for number in (signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGWINCH, signal.SIGCHLD):
        if number in (signal.SIGUSR1, signal.SIGUSR2):
            continue  # free for later: their default is to end the process
        for _ in range(5):
            relay.process.send_signal(number)
    submit(relay.port)
    relay.sink.wait()


def test_stopped_and_continued(relay):
    """Fault 29: no clock panic, no second copy."""
    with Client(relay.port) as c:
        c.ehlo()
        relay.process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        relay.process.send_signal(signal.SIGCONT)
        assert c.submit(message("after")).code == 250
    relay.sink.with_subject("after")
    assert len(relay.sink.messages) == 1


def test_quick_restarts(make):
    engine = make.relay()
    for i in range(5):
        submit(engine.port)
        engine.sink.wait(i + 1)
        engine.restart()
    assert len(engine.sink.messages) == 5


def test_sigterm_during_start(make):
    engine = make.relay(start=False)
    for delay in (0.0, 0.02, 0.05, 0.1, 0.2):
        engine.spawn()
        time.sleep(delay)
        engine.terminate()
        status = engine.wait(20)
        # Before its handlers stand the signal ends it the kernel's way.
        assert status in (0, -signal.SIGTERM), engine.trouble()
        engine.check_reports()
    engine.start()
    assert run("spool", "verify", engine.spool).returncode == 0


def test_the_engine_starts_no_other_program(make):
    """A9: an execve would be seen by strace."""
    from harness.peers import tool
    engine = make.relay(start=False)
    trace = engine.folder + "/trace"
    engine.prefix = [tool("strace"), "-f", "-qq", "-e", "trace=execve,execveat,fork,vfork", "-o", trace,
                     "-E", "ASAN_OPTIONS=detect_leaks=0"]
    engine.start(timeout=60)
    with Client(engine.port) as c:
        c.ehlo()
        for address in ('";id;"@x.test', "${run{/bin/true}}@x.test", "`id`@x.test", "|/bin/true@x.test"):
            assert c.submit(message(tag()), sender=address, to=[address]).code == 250
    engine.sink.wait(4)
    children = subprocess.run(["pgrep", "-P", str(engine.process.pid)], capture_output=True, text=True, check=True)
    subprocess.run(["kill", "-TERM", *children.stdout.split()], check=True)
    assert engine.wait() == 0
    engine.process = None
    with open(trace, encoding="utf-8", errors="replace") as f:
        calls = [line for line in f if "exec" in line or "fork" in line]
    assert len(calls) == 1, calls  # the engine's own start
