# SPDX-License-Identifier: GPL-3.0-or-later
"""Round trips: how many messages a connection carries in one, what servers get wrong then, and that it is
remembered; limits that servers tell or show."""
import itertools
import os
import subprocess
import time

import pytest

from harness.client import Client, submit
from harness.message import message, tag
from harness.sink import ALL, Close, Delay, Reset, Session, Silence
from harness.wait import wait_until

BENCH = os.environ.get('RINGPOST_BENCH_BIN', os.path.join(os.path.dirname(__file__), '../../build/ringpost-bench'))
CHUNKS = ["CHUNKING", "PIPELINING", "8BITMIME"]
ONE = {"delivery": {"connections_per_site": 1}}


def queue_up(engine, count, **kwargs):
    """All are queued before the first is sent: the server greets late."""
    engine.sink.script["connect"] = [Delay(1)]
    subjects = [tag() for _ in range(count)]
    with Client(engine.port) as c:
        c.ehlo()
        for s in subjects:
            assert c.submit(message(s), **kwargs).code == 250
    return subjects


def exactly_once(sink, subjects):
    """All arrived, none twice."""
    for s in subjects:
        sink.with_subject(s, timeout=30)
    assert sorted(m.subject for m in sink.messages) == sorted(subjects)


def no_attempt_wasted(engine):
    assert not engine.events("deferred") and not engine.events("bounced")


# ---- round trips ----

class FarSink:
    """ringpost-bench sink behind a long wire, with a journal of what came."""

    def __init__(self, folder, rtt_ms, *options):
        self.journal = os.path.join(str(folder), 'journal')
        end, child_end = os.pipe()
        self.process = subprocess.Popen(
            [BENCH, 'sink', '--ready-fd', str(child_end), '--delay', str(rtt_ms), '--journal', self.journal,
             *options], stdout=subprocess.DEVNULL, pass_fds=[child_end])
        os.close(child_end)
        with os.fdopen(end) as ready:
            self.port = int(ready.readline())

    def came(self):
        with open(self.journal, 'rb') as f:
            return f.read().count(b'\n')

    def moment(self, count):
        wait_until(lambda: self.came() >= count, 60, f'{count} messages', interval=0.005)
        return time.monotonic(), self.came()

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.mark.parametrize("options,window,count", [(["--no-chunking"], 1, 24), ([], 4, 80), ([], 8, 120)],
                         ids=["DATA", "4 by BDAT", "8 by BDAT"])
def test_one_round_trip_per_message_and_window(make, tmp_path, options, window, count):
    """0.9 of what the round trip allows, on one connection."""
    rtt = 0.25
    far = make.add(FarSink(tmp_path, int(rtt * 1000), '--connections-max', '1', *options))
    engine = make.engine({"relay": {"host": f"[127.0.0.1]:{far.port}"},
                          "delivery": {"connections_per_site": 1, "chunking_window": window}})
    subprocess.run([BENCH, 'source', '--to', f'127.0.0.1:{engine.port}', '--messages', str(count), '--size', '1K'],
                   check=True, stdout=subprocess.DEVNULL, timeout=60)
    began, first = far.moment(2 * window + 2)
    ended, last = far.moment(count)
    assert (last - first) / (ended - began) >= 0.9 * window / rtt
    assert engine.wait_empty(timeout=20)["delivered"] == count


def test_a_message_that_comes_while_a_reply_is_awaited_does_not_wait_for_it(make, tmp_path):
    """One connection, its only message unanswered: the next goes out at once."""
    far = make.add(FarSink(tmp_path, 1500, '--connections-max', '1'))
    engine = make.engine({"relay": {"host": f"[127.0.0.1]:{far.port}"}, **ONE})

    def send(count):
        subprocess.run([BENCH, 'source', '--to', f'127.0.0.1:{engine.port}', '--messages', str(count)], check=True,
                       stdout=subprocess.DEVNULL, timeout=60)
    send(4)  # the server shows that it bears this
    assert engine.wait_empty(timeout=30)["delivered"] == 4
    send(1)
    began, _ = far.moment(5)
    send(1)
    ended, _ = far.moment(6)
    assert ended - began < 1.2


# ---- what servers get wrong ----

class KnowsNoBdat(Session):
    """Offers CHUNKING; BDAT is an unknown command, and so is each line of the message."""

    async def do_bdat(self, arg):
        await self.send(b"500 5.5.1 command unrecognized: BDAT\r\n")


def test_a_server_that_offers_chunking_and_does_not_know_bdat(make):
    sink = make.sink(CHUNKS)
    sink.session_type = KnowsNoBdat
    engine = make.relay(ONE, sink=sink)
    subjects = queue_up(engine, 5)
    exactly_once(sink, subjects)
    assert engine.wait_empty()["delivered"] == 5
    no_attempt_wasted(engine)
    assert "BDAT" in engine.event("outbound_learned")["reason"]
    assert len(sink.commands("BDAT")) == 1  # and never again
    # It is remembered for the connections to come.
    submit(engine.port, message("later"))
    sink.with_subject("later")
    assert len(sink.commands("BDAT")) == 1


@pytest.mark.parametrize("code", ["503 5.5.0", "550 5.5.0", "421 4.7.0"])
@pytest.mark.parametrize("offered", [["PIPELINING"], CHUNKS], ids=["DATA", "BDAT"])
def test_a_server_that_complains_of_pipelining(make, offered, code):
    def line(s, arg):
        early = len(s.commands) > 1 and s.commands[-1].early
        return Close(f"{code} improper use of SMTP command pipelining") if early else None
    sink = make.sink(offered, script={"line": line})
    engine = make.relay(ONE, sink=sink)
    subjects = queue_up(engine, 5)
    exactly_once(sink, subjects)
    assert engine.wait_empty()["delivered"] == 5
    no_attempt_wasted(engine)
    assert not any(c.early for c in sink.sessions[-1].commands)


def test_a_server_that_is_confused_by_overlapped_messages(make):
    """It forgets the replies to what lies behind a message. The ladder: overlapped, pipelined; what nobody knows
    about was logged so."""
    class Forgets(Session):
        async def finish(self):
            await super().finish()
            if self.tx is None and b"BDAT" in bytes(self.buffer):
                self.buffer.clear()
    sink = make.sink(CHUNKS)
    sink.session_type = Forgets
    engine = make.relay({"delivery": {"connections_per_site": 1, "data_done_timeout": "1s", "mail_timeout": "1s",
                                      "rcpt_timeout": "1s"}, "queue": {"schedule": ["1s"]}}, sink=sink)
    subjects = queue_up(engine, 12)
    for s in subjects:
        sink.with_subject(s, timeout=30)
    assert engine.wait_empty()["delivered"] == 12
    unknown = [e for e in engine.events("deferred") if e.get("outcome_unknown")]
    assert len(sink.messages) <= 12 + len(unknown)
    assert engine.event("outbound_learned")["reason"] == "a reply did not come"
    assert sink.commands("DATA")


CUTS = {"close": Close(), "reset": Reset(), "garbage": b"\xff\x00 what?\r\n", "silence": Silence(),
        "421": Close("421 4.3.2 going down")}


@pytest.mark.parametrize("action", CUTS)
@pytest.mark.parametrize("stage", ["rset", "mail", "rcpt", "dot"])
def test_cut_while_messages_overlap(make, stage, action):
    """Whatever ends the connection at the seventh: nothing is lost, and what came twice was logged as unknown."""
    count = itertools.count(1)
    sink = make.sink(CHUNKS, script={stage: lambda s, a: CUTS[action] if next(count) == 7 else None})
    timeouts = {f"{name}_timeout": "1s" for name in ("mail", "rcpt", "data_done", "ehlo")}
    engine = make.relay({"delivery": {"connections_per_site": 1, **timeouts}, "queue": {"schedule": ["1s"]}},
                        sink=sink)
    subjects = queue_up(engine, 20)
    for s in subjects:
        sink.with_subject(s, timeout=30)
    assert engine.wait_empty(timeout=30)["delivered"] == 20
    unknown = sum(bool(e.get("outcome_unknown")) for e in engine.events("deferred"))
    assert len(sink.messages) <= 20 + unknown and len(sink.attempts) <= 20 + len(engine.events("deferred"))
    assert unknown <= 4
    assert next(count) > 7 and any(c.early for c in sink.commands("BDAT")), "it has happened"


# ---- limits ----

@pytest.mark.parametrize("reply", ["452 4.3.2 too many messages on this connection",
                                   Close("421 4.7.0 too many messages in this connection")], ids=["452", "421"])
@pytest.mark.parametrize("offered", [["PIPELINING"], CHUNKS, []], ids=["DATA", "BDAT", "stepwise"])
def test_too_many_messages_on_a_connection(make, offered, reply):
    """It is held against no message, and learned: later connections end before it is said."""
    sink = make.sink(offered, script={"mail": lambda s, a: reply if s.messages >= 3 else None})
    engine = make.relay({**ONE, "queue": {"schedule": ["1h"]}}, sink=sink)
    subjects = queue_up(engine, 20)
    exactly_once(sink, subjects)
    assert engine.wait_empty()["delivered"] == 20
    no_attempt_wasted(engine)
    assert engine.event("outbound_learned")["count"] == 3
    # The first connection has found out; the others end in order.
    assert len([s for s in sink.sessions if s.messages == 3 and s.commands[-1].verb == "QUIT"]) >= 5
    assert len(sink.commands("MAIL")) <= 20 + 4


def test_mailmax(make):
    sink = make.sink(CHUNKS + ["LIMITS MAILMAX=3"])
    engine = make.relay(ONE, sink=sink)
    exactly_once(sink, queue_up(engine, 10))
    assert engine.wait_empty()["delivered"] == 10
    assert max(len([c for c in s.commands if c.verb == "MAIL"]) for s in sink.sessions) == 3
    no_attempt_wasted(engine)


@pytest.mark.parametrize("workers", [1, 2])
def test_rcptdomainmax(make, workers):
    """RFC 9422 4.3: domains of a session. Nobody is put off for it."""
    sink = make.sink(CHUNKS + ["LIMITS RCPTDOMAINMAX=2 RCPTMAX=3"])
    engine = make.relay({"workers": workers, "queue": {"schedule": ["1h"]}}, sink=sink)
    to = [f"u{i}@{d}.test" for d in ("one", "two", "three", "four", "five") for i in range(4)]
    submit(engine.port, message("limits"), to=to)
    wait_until(lambda: sorted(r for m in sink.messages for r in m.rcpts) == sorted(to), 15, "all, once")
    assert engine.wait_empty()["delivered"] == 20
    no_attempt_wasted(engine)
    for s in sink.sessions:
        told = {c.line.split(b"@")[1] for c in s.commands if c.verb == "RCPT"}
        assert len(told) <= 2
    assert max(len(m.rcpts) for m in sink.messages) <= 3


def test_connections_are_closed_before_the_server_does(make):
    """A server that closes after 800 ms of rest; twice seen, it is believed."""
    import asyncio

    class Impatient(Session):
        async def line(self):
            return await asyncio.wait_for(super().line(), 0.8)

        async def run(self):
            try:
                await super().run()
            except asyncio.TimeoutError:
                pass
    sink = make.sink(["PIPELINING"])
    sink.session_type = Impatient
    engine = make.relay(sink=sink)
    for i in range(2):
        submit(engine.port, message(f"first {i}"))
        sink.with_subject(f"first {i}")
        wait_until(lambda: sink.open_sessions == 0, 10, "the server has closed")
    assert engine.event("outbound_learned")["count"] >= 800
    submit(engine.port, message("then"))
    sink.with_subject("then")
    wait_until(lambda: sink.open_sessions == 0, 10, "somebody has closed")
    verbs = [[c.verb for c in s.commands][-1] for s in sink.sessions]
    assert verbs[-1] == "QUIT" and "QUIT" not in verbs[:-1]


def test_a_lost_connection_is_no_reason_to_distrust_a_proven_server(make):
    """Once: networks do that. It still overlaps afterwards."""
    count = itertools.count(1)
    sink = make.sink(ALL, script={"rset": lambda s, a: Reset() if next(count) == 10 else None})
    engine = make.relay({**ONE, "queue": {"schedule": ["1s"]}}, sink=sink)
    for s in queue_up(engine, 30):
        sink.with_subject(s, timeout=30)
    engine.wait_empty()
    assert not engine.events("outbound_learned") and not sink.commands("DATA")
