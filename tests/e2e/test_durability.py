# SPDX-License-Identifier: GPL-3.0-or-later
"""P1: on disk before the 250. kill -9 here; power cuts and dying disks are in tests/crash."""
import os
import shutil
import socket
import threading
import time

import pytest

from harness.client import Client, submit
from harness.engine import Engine, check_sum, run
from harness.message import message, sized, stuff, tag, without_received
from harness.sink import Close, Delay, Silence
from harness.wait import stays_false, wait_until


def silent(make):
    """A smarthost that never greets: nothing is ever delivered and no result is written."""
    return make.sink(script={"connect": lambda s, a: Silence()})


@pytest.mark.parametrize("content", [message("small"), sized(130 << 10), sized(3 << 20)], ids=["1K", "130K", "3M"])
def test_killed_right_after_the_250_it_is_delivered_after_the_restart(make, content):
    sink = make.sink(script={"mail": lambda s, a: "451 4.3.0 wait" if s.sink.hold else None})
    sink.hold = True
    engine = make.relay(sink=sink)
    with Client(engine.port) as c:
        c.ehlo()
        assert c.submit(content).code == 250
        engine.kill()
    sink.hold = False
    engine.start()
    assert without_received(sink.wait()[0].data) == content
    counters = engine.wait_empty()
    assert counters["delivered"] == 1 and len(sink.messages) == 1


def test_the_copy_of_the_directory_at_the_250_is_enough(make, tmp_path):
    """What the directory holds when the 250 is read, and nothing later, brings the message back."""
    engine = make.relay({"shutdown": {"deadline": "100ms"}}, sink=silent(make))
    copy = str(tmp_path / "copy")
    with Client(engine.port) as c:
        c.ehlo()
        assert c.submit(message("copied")).code == 250
        os.makedirs(copy)
        for name in os.listdir(engine.spool):
            path = os.path.join(engine.spool, name)
            if os.path.isfile(path):
                shutil.copy(path, copy)
    engine.kill()
    sink = make.sink()
    second = Engine(str(tmp_path / "second"), {"relay": {"host": sink.endpoint}, "spool": {"dir": copy}})
    make.engines.append(second)
    second.start()
    assert sink.wait()[0].subject == "copied"


def test_delivered_mail_is_not_delivered_again_after_a_kill(make):
    engine = make.relay()
    for _ in range(30):
        submit(engine.port)
    engine.sink.wait(30)
    engine.wait_empty()
    engine.wait_durable()
    engine.kill()
    engine.start()
    counters = engine.counters()
    assert counters["queued"] == 0
    assert stays_false(lambda: len(engine.sink.messages) > 30, 1)


def test_one_of_two_recipients_delivered_then_killed(make):
    sink = make.sink(script={"rcpt": lambda s, a: "451 4.2.0 later" if b"late@" in a and s.sink.hold else None})
    sink.hold = True
    engine = make.relay(sink=sink)
    submit(engine.port, message("half"), to=["now@example.test", "late@example.test"])
    sink.with_subject("half")
    engine.event("deferred")
    wait_until(lambda: engine.stats()["deferred"] == 1, 5)
    engine.wait_durable()
    engine.kill()
    sink.hold = False
    engine.start()
    got = sink.with_subject("half", 2)
    assert [m.rcpts for m in got] == [["now@example.test"], ["late@example.test"]]
    check_sum(engine.wait_empty())


def test_recovery_says_what_it_found(make):
    engine = make.relay({"shutdown": {"deadline": "100ms"}}, sink=silent(make))
    for _ in range(7):
        submit(engine.port, to=["a@example.test", "b@example.test"])
    engine.kill()
    engine.start()
    recovered = engine.event("recovered")
    assert recovered["messages"] == 7 and recovered["recipients"] == 14
    assert engine.counters()["queued"] == 14
    check_sum(engine.counters())


def test_recovery_is_idempotent(make):
    engine = make.relay({"shutdown": {"deadline": "100ms"}}, sink=silent(make))
    for _ in range(5):
        submit(engine.port)
    for _ in range(4):
        engine.kill()
        engine.start()
        assert engine.event("recovered")["messages"] == 5
    size = sum(os.path.getsize(os.path.join(engine.spool, f)) for f in os.listdir(engine.spool)
               if os.path.isfile(os.path.join(engine.spool, f)))
    assert size < 40 << 20


def test_a_port_that_is_just_closing_is_waited_for(make):
    """As after kill -9: the kernel closes the listeners a moment after the process has ended."""
    engine = make.relay()
    engine.stop()
    last = socket.create_server(("127.0.0.1", engine.port))
    closing = threading.Timer(0.5, last.close)
    closing.start()
    try:
        engine.start()
    finally:
        closing.join()
    assert engine.running
    submit(engine.port)
    engine.sink.wait()


def test_a_second_engine_on_the_same_spool_is_refused(make):
    """I3."""
    engine = make.relay()
    second = make.engine(start=False)
    second.conf["spool"]["dir"] = engine.spool
    second.spawn()
    assert second.wait(20) == 1
    assert "in use" in second.stderr() and engine.spool in second.stderr()
    second.process = None
    submit(engine.port)
    engine.sink.wait()


def test_the_spool_is_private(relay):
    """I3."""
    submit(relay.port)
    relay.sink.wait()
    assert os.stat(relay.spool).st_mode & 0o777 == 0o700
    for name in os.listdir(relay.spool):
        assert os.stat(os.path.join(relay.spool, name)).st_mode & 0o077 == 0, name


def test_segments_are_given_back(make):
    """100 MB through a spool of 1-MiB segments leaves a handful."""
    engine = make.relay()
    content = sized(1 << 20)
    with Client(engine.port, timeout=60) as c:
        c.ehlo()
        for _ in range(60):
            assert c.submit(content).code == 250
    engine.sink.wait(60, timeout=60)
    engine.wait_empty()
    wait_until(lambda: len(os.listdir(engine.spool)) < 12, 15, "segments given back")


def test_one_stuck_message_does_not_hold_all_segments(make):
    """Compaction: what is alive moves, the rest is given back."""
    sink = make.sink(script={"rcpt": lambda s, a: "451 4.2.0 later" if b"stuck@" in a and s.sink.hold else None})
    sink.hold = True
    engine = make.relay({"queue": {"schedule": ["1h"]}}, sink=sink)
    stuck = []
    content = sized(1 << 20)
    with Client(engine.port, timeout=60) as c:
        c.ehlo()
        for i in range(40):
            assert c.submit(content).code == 250
            if i % 5 == 0:
                stuck.append(tag())
                assert c.submit(message(stuck[-1]), to=["stuck@example.test"]).code == 250
    sink.wait(40, timeout=60)
    wait_until(lambda: len(os.listdir(engine.spool)) < 16, 20, "segments given back")
    engine.kill()
    engine.start()
    assert sorted(e["recipients"][0]["to"] for e in engine.queue("ls")) == ["stuck@example.test"] * len(stuck)
    assert run("spool", "verify", engine.spool).returncode == 0


def test_peer_took_it_but_we_died_before_the_answer(make):
    """P4: killed while the answer to the dot is due: one more copy may come, never none."""
    sink = make.sink(script={"dot": [Delay(3)]})
    engine = make.relay(sink=sink)
    submit(engine.port, message("window"))
    sink.wait_attempts(1)
    engine.kill()
    engine.start()
    sink.with_subject("window")
    engine.wait_empty()
    assert len(sink.attempts) == 2


def test_results_survive_a_kill_between_attempts(make):
    sink = make.sink(script={"connect": [Close(), Close()]})
    engine = make.relay(sink=sink)
    submit(engine.port)
    engine.event("deferred")
    engine.wait_durable()
    engine.kill()
    engine.start()
    sink.wait()
    assert engine.event("delivered")["attempt"] >= 2


def test_a_message_cut_by_the_kill_was_never_there(make):
    engine = make.relay({"shutdown": {"deadline": "100ms"}}, sink=silent(make))
    with Client(engine.port) as c:
        c.ehlo()
        c.envelope()
        c.ok("DATA")
        c.send(stuff(sized(2 << 20))[:-5])
        time.sleep(0.2)
        engine.kill()
    engine.start()
    assert engine.counters()["queued"] == 0
    assert run("spool", "verify", engine.spool).returncode == 0
