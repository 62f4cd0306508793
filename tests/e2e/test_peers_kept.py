# SPDX-License-Identifier: GPL-3.0-or-later
"""What was learned of servers is known to every worker, outlives the engine, and can be seen and forgotten."""
import json

import pytest

from harness.client import Client, submit
from harness.engine import run
from harness.message import message, tag
from harness.sink import Session
from harness.wait import wait_until

CHUNKS = ["CHUNKING", "PIPELINING", "8BITMIME"]
# Connections end soon: each message makes a new one.
SHORT = {"delivery": {"connections_per_site": 1, "idle_timeout": "1s"}, "queue": {"schedule": ["1h"]}}


class KnowsNoBdat(Session):
    """Offers CHUNKING; BDAT is an unknown command, and so is each line of the message."""

    async def do_bdat(self, arg):
        await self.send(b"500 5.5.1 command unrecognized: BDAT\r\n")


def confused(make, workers):
    sink = make.sink(CHUNKS)
    sink.session_type = KnowsNoBdat
    return make.relay({"workers": workers, **SHORT}, sink=sink)


def send_one(engine, to="bob@example.test"):
    """From accepted to the end of the connection that has carried it."""
    subject = tag()
    submit(engine.port, message(subject), to=[to])
    engine.sink.with_subject(subject)
    wait_until(lambda: engine.sink.open_sessions == 0, 20, "the connection has ended")
    return subject


def peers(engine):
    done = run("peers", "ls", "--json", "--socket", engine.socket)
    assert done.returncode == 0, done
    return [json.loads(line) for line in done.stdout.splitlines()]


def forget(engine, *words):
    return run("peers", "forget", *words, "--socket", engine.socket)


@pytest.mark.parametrize("workers", [1, 3])
def test_what_a_server_got_wrong_is_not_tried_again_after_a_kill(make, workers):
    engine = confused(make, workers)
    sink = engine.sink
    subjects = [send_one(engine)]
    assert len(sink.commands("BDAT")) == 1
    before = wait_until(lambda: peers(engine), 10, "something learned")
    assert [(p["peer"], p["topic"], p["learned"], p["reason"]) for p in before] == [
        (f"{sink.host}:{sink.port}", "level", "pipelined", "BDAT offered and not known")]
    assert before[0]["address"] == sink.host
    assert before[0]["reply"] == "500 5.5.1 command unrecognized: BDAT"
    assert before[0]["since"] < before[0]["until"]
    engine.wait_durable()
    engine.kill()
    engine.write({"workers": 4 - workers})
    engine.start()
    assert peers(engine) == before
    # More messages than workers, each on a connection of its own.
    subjects += [send_one(engine) for _ in range(2 * workers)]
    assert len(sink.commands("BDAT")) == 1 and len(sink.sessions) >= len(subjects)
    assert sorted(m.subject for m in sink.messages) == sorted(subjects)
    assert engine.wait_empty()["delivered"] == len(subjects) - 1
    assert not engine.events("outbound_learned")


def test_what_one_worker_has_learned_all_know(make):
    engine = confused(make, 4)
    subjects = [send_one(engine) for _ in range(10)]
    assert len(engine.sink.commands("BDAT")) == 1
    assert len(engine.events("outbound_learned")) == 1 and len(peers(engine)) == 1
    assert sorted(m.subject for m in engine.sink.messages) == sorted(subjects)


def test_how_many_messages_a_server_takes_is_known_after_a_kill(make):
    sink = make.sink(CHUNKS, script={"mail": lambda s, a: "452 4.3.2 too many messages on this connection"
                                     if s.messages >= 3 else None})
    engine = make.relay({"workers": 2, **SHORT}, sink=sink)
    with Client(engine.port) as c:
        c.ehlo()
        first = [tag() for _ in range(10)]
        for s in first:
            assert c.submit(message(s)).code == 250
    for s in first:
        sink.with_subject(s)
    engine.wait_empty()
    wait_until(lambda: sink.open_sessions == 0, 20, "all connections have ended")
    learned = peers(engine)
    assert [(p["topic"], p["learned"]) for p in learned] == [("messages_per_connection", 3)]
    assert "too many messages" in learned[0]["reply"]
    engine.wait_durable()
    engine.kill()
    engine.start()
    refused, sessions = len(sink.commands("MAIL")) - len(sink.messages), len(sink.sessions)
    with Client(engine.port) as c:
        c.ehlo()
        for _ in range(9):
            assert c.submit(message(tag())).code == 250
    engine.wait_empty()
    assert len(sink.messages) == 19
    assert len(sink.commands("MAIL")) - len(sink.messages) == refused
    assert all(s.messages <= 3 for s in sink.sessions[sessions:])


def test_forgotten_is_forgotten_everywhere_and_for_ever(make):
    engine = confused(make, 3)
    sink = engine.sink
    send_one(engine)
    key = peers(engine)[0]["peer"]
    assert forget(engine, "other.example.test").returncode == 1
    assert "nothing was learned" in forget(engine, "other.example.test").stderr
    assert forget(engine).returncode == 64 and forget(engine, key, "--all").returncode == 64
    done = forget(engine, key)
    assert done.returncode == 0 and "1 server" in done.stdout, done
    assert peers(engine) == []
    engine.kill()
    engine.start()
    assert peers(engine) == []
    send_one(engine)  # tried again
    assert len(sink.commands("BDAT")) == 2 and len(peers(engine)) == 1
    assert forget(engine, sink.host).returncode == 0  # without its port
    assert forget(engine, "--all").returncode == 1
    send_one(engine)
    done = run("peers", "forget", "--all", "--json", "--socket", engine.socket)
    assert json.loads(done.stdout) == {"verb": "peers forget", "peers": 1}
    engine.restart()
    assert peers(engine) == []


def test_as_text(make):
    engine = confused(make, 1)
    assert "nothing has been learned" in run("peers", "ls", "--socket", engine.socket).stdout
    send_one(engine)
    head, line = run("peers", "ls", "--socket", engine.socket).stdout.splitlines()
    assert head.split() == ["PEER", "ADDRESS", "LEARNED", "SINCE", "LEFT", "BY"]
    assert line.startswith(engine.sink.host) and " pipelined " in line
    assert line.endswith("BDAT offered and not known: 500 5.5.1 command unrecognized: BDAT")
    assert run("peers", "ls", "--socket", engine.socket + ".not").returncode == 69
