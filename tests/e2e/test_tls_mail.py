# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail under TLS: nothing is lost, nothing doubled, and what is not known is called unknown (P1, P4), however the
connection ends; big messages and many."""
import ssl

import pytest

from harness.client import Client, submit
from harness.message import message, sized, tag, without_received
from harness.sink import ALL, Close, Delay, Reset, Silence
from harness.tls_peer import Goodbye, Renegotiate, TlsSession, peer_ca, policy_world, send
from harness.wait import run_all, wait_until

V12 = ssl.TLSVersion.TLSv1_2


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return peer_ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def tls(make, ca):
    """tls("encrypt", …): an engine, its smarthost mail.peer.test with a good certificate."""
    return lambda policy, context=None, conf=None, **more: policy_world(make, ca, policy, context, conf, **more)


# ---- under TLS ----

@pytest.mark.parametrize("stage", ["mail", "rcpt", "dot"])
def test_no_renegotiation(tls, ca, stage):
    e = tls("encrypt", ca.server(ca.good, maximum=V12), conf={"queue": {"schedule": ["1s"]}}, features=["PIPELINING"])
    e.sink.script[stage] = [Renegotiate()]
    subject = send(e)
    e.sink.with_subject(subject)
    assert e.wait_empty()["delivered"] == 1
    assert e.sink.connections == 2
    assert e.sink.sessions[0].machine.version() == "TLSv1.2"


@pytest.mark.parametrize("how", [Close, Reset, Goodbye])
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "body"])
def test_the_peer_ends_in_the_middle(tls, stage, how):
    """Cut, reset or closed in order: tried again, delivered once, and the attempt was no unknown one."""
    e = tls("encrypt", conf={"queue": {"schedule": ["1s"]}}, features=["PIPELINING", "8BITMIME"])
    e.sink.script[stage] = [how()]
    # More than sockets hold: the final dot cannot be on its way already when the peer ends in the body.
    submit(e.port, sized(8_000_000 if stage == "body" else 300_000))
    e.sink.wait()
    assert e.wait_empty()["delivered"] == 1
    assert len(e.sink.messages) == 1
    assert not [d for d in e.events("deferred") if d.get("outcome_unknown")]


@pytest.mark.parametrize("how", [Close, Reset, Goodbye])
@pytest.mark.parametrize("features", [["PIPELINING"], ALL], ids=["DATA", "BDAT"])
def test_lost_behind_the_final_dot_is_unknown(tls, features, how):
    """P4 under TLS: at most one more copy, and the log says so."""
    e = tls("encrypt", conf={"queue": {"schedule": ["1s"]}}, features=features)
    e.sink.script["dot"] = [how()]
    subject = send(e)
    e.sink.with_subject(subject)
    e.wait_empty()
    events = e.events("deferred")
    assert len(events) == 1 and events[0]["outcome_unknown"] is True, events
    assert len(e.sink.attempts) == 2


def test_the_answer_and_then_the_cut(tls):
    """250, then no close_notify: the answer counts."""
    e = tls("encrypt")
    e.sink.script["dot"] = lambda s, a: Close("250 2.0.0 stored")
    subject = send(e)
    assert e.wait_empty()["delivered"] == 1
    assert [m.subject for m in e.sink.attempts] == [subject]


def test_half_an_answer_and_then_the_cut(tls):
    """A truncation attack must not turn "250-…" or "25" into success."""
    e = tls("encrypt", conf={"queue": {"schedule": ["1s"]}})
    e.sink.script["dot"] = [Half(b"250-2.0.0 stored\r\n"), Half(b"250"), Half(b"250 2.0.0 stored\r")]
    subject = send(e)
    e.sink.with_subject(subject)
    assert e.wait_empty()["delivered"] == 1
    events = e.events("deferred")
    assert len(events) == 3 and all(d["outcome_unknown"] for d in events), events


class Half(Close):
    """These bytes as they are, then the end."""

    def __init__(self, data):
        super().__init__(data)


@pytest.mark.parametrize("features", [["PIPELINING"], ALL], ids=["DATA", "BDAT"])
def test_refused_in_the_middle_of_the_body(tls, features):
    """A definite answer before the end: reported, and not tried again (P3)."""
    e = tls("encrypt", features=features)
    e.sink.script["body"] = ["552 5.3.4 too much"]
    e.sink.session_type = Impatient
    submit(e.port, sized(4000000))
    report = e.sink.wait()[0]
    assert report.sender == b"" and b"too much" in report.data
    assert e.wait_empty()["bounced"] == 1


class Impatient(TlsSession):
    """Refuses a BDAT before its bytes have come, and takes them for nothing."""

    async def do_bdat(self, arg):
        entry = self.scripted("body", arg)
        if entry is None:
            await super().do_bdat(arg)
            return
        await self.answer(entry, None)
        size = int(arg.split()[1])
        while len(self.buffer) < size:
            await self.fill()
        del self.buffer[:size]
        self.tx = None


def test_a_slow_reader(tls):
    """The socket is full for a while; the ciphertext waits in the kernel's turn, and goes on in order."""
    e = tls("encrypt", features=["PIPELINING"])
    e.sink.script["reading"] = lambda s, a: Delay(1)
    content = sized(8000000)
    submit(e.port, content)
    assert without_received(e.sink.wait(timeout=20)[0].data) == content


@pytest.mark.parametrize("stage", ["handshake", "mail", "dot"])
def test_shutdown_while_the_peer_is_silent(tls, stage):
    """SIGTERM: it ends in time, and the message is still there afterwards."""
    e = tls("encrypt", conf={"shutdown": {"deadline": "1s"}, "queue": {"schedule": ["1s"]}}, features=[])
    e.sink.script[stage] = [Silence()]
    subject = send(e)
    verb = {"handshake": "STARTTLS", "mail": "MAIL", "dot": "DATA"}[stage]
    wait_until(lambda: e.sink.commands(verb), 5, verb)
    e.stop(timeout=5)
    e.start()
    e.sink.with_subject(subject)
    assert e.wait_empty()["delivered"] == 1


def test_421_and_close_notify(tls):
    e = tls("encrypt", conf={"queue": {"schedule": ["1s"]}}, features=["PIPELINING"])
    e.sink.script["mail"] = [Goodbye("421 4.3.2 going down")]
    e.sink.with_subject(send(e))
    assert e.wait_empty()["delivered"] == 1


# ---- much mail ----

def test_a_big_message(tls):
    e = tls("encrypt", conf={"limits": {"message_size": "30MiB"}, "spool": {"segment_size": "64MiB"}})
    content = sized(20 * 1000 * 1000)
    submit(e.port, content)
    m = e.sink.wait(timeout=40)[0]
    assert m.session.tls and without_received(m.data) == content


@pytest.mark.parametrize("features", [["PIPELINING"], []], ids=["pipelining", "plain"])
def test_a_big_message_with_dots_by_data(tls, features):
    e = tls("encrypt", features=features)
    content = message(tag(), b".\r\n..\r\nx\r\n" * 60000)
    submit(e.port, content)
    m = e.sink.wait(timeout=20)[0]
    assert not m.chunks and without_received(m.data) == content


@pytest.mark.parametrize("connections, workers", [(1, 1), (20, 1), (20, 2)])
@pytest.mark.parametrize("features", [["PIPELINING"], ALL], ids=["DATA", "BDAT"])
def test_five_hundred_messages(tls, connections, workers, features):
    """None lost, none twice."""
    e = tls("encrypt", conf={"workers": workers, "delivery": {"connections_per_site": connections, "messages_per_connection": 40},
                             "log": {"level": "info"}}, features=features)
    subjects = [tag() for _ in range(500)]

    def client(part):
        with Client(e.port) as c:
            c.ehlo()
            for subject in part:
                assert c.submit(message(subject)).code == 250
            c.quit()
    run_all([lambda k=k: client(subjects[k::5]) for k in range(5)])
    e.sink.wait(500, timeout=30)
    assert e.wait_empty()["delivered"] == 500
    assert sorted(m.subject for m in e.sink.messages) == sorted(subjects)
    assert all(m.session.tls for m in e.sink.messages)
    assert e.sink.peak <= connections + 1
    assert sum(s.tls.resumed for s in e.sink.secured) > 0 or connections > 1


def test_messages_while_connections_break(tls):
    """Every tenth session ends in the middle: each message arrives, only unknown ones twice."""
    count = [0]

    def sometimes(session, _):
        count[0] += 1
        return [Close, Reset, Goodbye][count[0] % 3]() if count[0] % 10 == 0 else None
    e = tls("encrypt", conf={"queue": {"schedule": ["1s"]}, "delivery": {"connections_per_site": 4}})
    e.sink.script["rcpt"] = sometimes
    e.sink.script["dot"] = sometimes
    subjects = [tag() for _ in range(60)]
    with Client(e.port) as c:
        c.ehlo()
        for subject in subjects:
            assert c.submit(message(subject)).code == 250
    assert e.wait_empty(30)["delivered"] == 60
    assert sorted({m.subject for m in e.sink.messages}) == sorted(subjects)
    unknown = [d for d in e.events("deferred") if d.get("outcome_unknown")]
    # A reset may overtake the end of a message: unknown here, and never whole there.
    assert 60 <= len(e.sink.attempts) <= 60 + len(unknown)
