# SPDX-License-Identifier: GPL-3.0-or-later
"""P1 at its source: which flush a 250 waited for, and how many messages one flush serves.

Two proofs: the back end's own count of completed durable writes (io.durable_writes: each is one
fdatasync that ended well) and a disk below the engine whose flushes are held back."""
import time

import pytest

from harness.client import Client, submit
from harness.holdfs import HeldDisk
from harness.message import message, sized, stuff, tag
from harness.sink import Silence
from harness.wait import run_all, wait_until


def silent(make):
    """A smarthost that never greets: nothing is ever delivered and no result is written."""
    return make.sink(script={"connect": lambda s, a: Silence()})


def quiet(make, conf=None):
    return make.relay({"shutdown": {"deadline": "100ms"}, **(conf or {})}, sink=silent(make))


def counts(engine):
    """(completed durable writes of the ring, commits of the spool)"""
    stats = engine.stats()
    return stats["io"]["durable_writes"], stats["spool"]["commits"]


def at_rest(engine):
    """The same, when start-up's writes are done."""
    return wait_until(lambda: (a := counts(engine)) == counts(engine) and a, 10, "an idle disk")


@pytest.mark.parametrize("way", ["DATA", "BDAT"])
def test_every_250_has_a_flush_of_its_own_before_it(make, way):
    """One client, so no 250 can share; nothing else is written."""
    engine = quiet(make)
    with Client(engine.port) as c:
        c.ehlo()
        before = at_rest(engine)
        for i in range(20):
            c.envelope()
            assert counts(engine) == before, "the envelope alone writes nothing"
            reply = c.data(message(tag())) if way == "DATA" else c.bdat(message(tag()))
            after = counts(engine)
            assert reply.code == 250
            assert after[0] >= before[0] + 1 and after[1] >= before[1] + 1, (i, before, after)
            before = after


def test_a_message_of_many_fragments_is_durable_to_its_last(make):
    """It lies in four segments of 1 MiB at least, so in four files: a flush of each before the 250."""
    engine = quiet(make)
    with Client(engine.port) as c:
        c.ehlo()
        before = at_rest(engine)
        assert c.submit(sized(3 << 20)).code == 250
        after = counts(engine)
    assert after[0] - before[0] >= 4 and after[1] - before[1] >= 4


def test_refused_mail_needs_no_flush(make):
    engine = quiet(make, {"limits": {"message_size": "64KiB"}})
    before = at_rest(engine)
    with Client(engine.port) as c:
        c.ehlo()
        assert c.submit(message(tag(), b"bare\nlf\r\n")).status == "550 5.5.2"
        c.ok("MAIL FROM:<alice@example.test>")
        c.ok("RSET")
    with Client(engine.port) as c:
        c.ehlo()
        c.envelope()
    time.sleep(0.3)
    assert counts(engine) == before


def one_by_one(c, count):
    for _ in range(count):
        assert c.submit(message(tag())).code == 250


def in_one_write(c, count):
    """All transactions at once, by BDAT (RFC 3030 allows what RFC 2920 allows)."""
    text = [message(tag()) for _ in range(count)]
    c.send(b"".join(b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nBDAT %d LAST\r\n%s" % (len(t), t)
                    for t in text))
    assert [r.code for r in c.replies(3 * count)] == [250] * 3 * count


@pytest.mark.parametrize("talk", [one_by_one, in_one_write])
def test_group_commit_serves_many_with_few_flushes(make, talk):
    """20 clients at a time need fewer flushes than messages, and none goes without."""
    engine = quiet(make)
    before = at_rest(engine)
    each, clients = 20, 20

    def client():
        with Client(engine.port, timeout=60) as c:
            c.ehlo()
            talk(c, each)
    run_all([client] * clients)
    after = at_rest(engine)
    assert each <= after[1] - before[1] < each * clients, "each client waits for each of its own"
    assert after[0] - before[0] < each * clients
    assert engine.counters()["queued"] == each * clients


# ---- the disk's side ----

@pytest.fixture
def disk(make):
    held = make.add(HeldDisk(str(make.folder)))
    yield held
    held.release()  # before the engine is told to end
    held.heal()


def on_disk(make, disk, conf=None):
    return quiet(make, {"spool": {"dir": disk.path}, "admin": {"socket": str(make.folder / "admin.sock")}, **(conf or {})})


def answered(c, seconds):
    """Is there a reply within that time?"""
    c.socket.settimeout(seconds)
    try:
        return c.reply()
    except TimeoutError:
        return None
    finally:
        c.socket.settimeout(20)


@pytest.mark.parametrize("way", ["DATA", "BDAT"])
def test_no_250_while_the_flush_is_held(make, disk, way):
    engine = on_disk(make, disk)
    content = message("held")
    with Client(engine.port) as c, Client(engine.port) as other:
        c.ehlo()
        other.ehlo()
        before = at_rest(engine)
        c.envelope()
        disk.hold()
        if way == "DATA":
            c.ok("DATA")
            c.send(stuff(content))
        else:
            c.send(b"BDAT %d LAST\r\n" % len(content) + content)
        disk.wait_held()
        assert answered(c, 0.5) is None, "a 250 before the flush"
        assert counts(engine) == before
        assert other.cmd("NOOP").code == 250, "the flush of one holds up nobody else"
        disk.release()
        assert c.reply().code == 250
        assert counts(engine)[0] > before[0]


def test_what_arrives_during_a_flush_shares_the_next_one(make, disk):
    """Group commit without a timer: while one flush is held 19 messages come; one more serves them all."""
    engine = on_disk(make, disk)
    clients = [Client(engine.port) for _ in range(20)]
    for c in clients:
        c.ehlo()
        c.envelope()
        c.ok("DATA")
    before = at_rest(engine)
    disk.hold()
    clients[0].send(stuff(message(tag())))
    disk.wait_held()
    for c in clients[1:]:
        c.send(stuff(message(tag())))
    assert not [c for c in clients if answered(c, 0.02)]
    disk.release()
    assert [c.reply().code for c in clients] == [250] * 20
    after = at_rest(engine)
    assert (after[0] - before[0], after[1] - before[1]) == (2, 2)
    for c in clients:
        c.close()
    assert engine.counters()["queued"] == 20


def test_killed_while_the_flush_is_held_nothing_was_promised(make, disk):
    """The client has no 250: whether the message survives is open, but it survives whole or not at all."""
    engine = on_disk(make, disk)
    with Client(engine.port) as c:
        c.ehlo()
        assert c.submit(message("promised")).code == 250
        c.envelope()
        c.ok("DATA")
        disk.hold()
        c.send(stuff(message("open")))
        disk.wait_held()
        engine.process.kill()
        disk.release()  # a process that waits in the kernel ends only then
        engine.kill()
        assert c.closed(), "a 250 from the dead"
    sink = make.sink()
    engine.write({"relay": {"host": sink.endpoint}})
    engine.start()
    sink.with_subject("promised")
    engine.wait_empty()
    assert {m.subject for m in sink.messages} in ({"promised"}, {"promised", "open"})


def outcome(port):
    """The status of the step that ended the transaction."""
    with Client(port) as c:
        c.ehlo()
        for line in ("MAIL FROM:<alice@example.test>", "RCPT TO:<bob@example.test>", "DATA"):
            reply = c.cmd(line)
            if reply.code >= 400:
                return reply.status
        c.send(stuff(message(tag())))
        return c.reply().status


def test_a_flush_that_fails_is_451_and_mail_flows_again_when_the_disk_does(make, disk):
    """Never a 250, never a second flush of the same segment (a retry would succeed and lie); no restart."""
    engine = on_disk(make, disk)
    submit(engine.port)
    disk.fail()
    answers = [outcome(engine.port) for _ in range(3)]
    assert set(answers) <= {"451 4.3.0", "452 4.3.1"}, answers
    disk.heal()
    wait_until(lambda: outcome(engine.port).startswith("250 "), 30, "a 250 after the disk is well again", interval=0.2)
    assert engine.counters()["queued"] == 2
