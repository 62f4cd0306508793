# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail for this machine's own domains, in Maildirs."""
import email
import os
import re
import stat

import pytest

from harness.client import Client, submit
from harness.engine import run
from harness.message import message, sized, tag
from harness.wait import wait_until

OURS = "local.test"


def local(make, pattern="{domain}/{local}", conf=None, **kwargs):
    """An engine with mailboxes below `engine.mail`, and a sink as its smarthost."""
    mail = os.path.join(str(make.folder), f"mail{len(make.engines)}")
    os.mkdir(mail)
    base = {"access": {"local_domains": [OURS]}, "local": {"maildir": os.path.join(mail, pattern)}}
    for key, value in (conf or {}).items():
        base[key] = {**base.get(key, {}), **value}
    engine = make.relay(base, **kwargs)
    engine.mail = mail
    return engine


def mailbox(engine, *names):
    path = os.path.join(engine.mail, *names)
    os.makedirs(path)
    return path


def user(engine, name):
    return mailbox(engine, OURS, name)


def files(path, part="new"):
    folder = os.path.join(path, part)
    return sorted(os.path.join(folder, n) for n in os.listdir(folder)) if os.path.isdir(folder) else []


def read(path):
    with open(path, "rb") as f:
        return f.read()


def arrived(engine, path, count=1, timeout=15):
    """The files in new/, once nothing is queued any more."""
    engine.wait_empty(timeout)
    found = files(path)
    assert len(found) == count, (path, found)
    assert files(path, "tmp") == []
    return found


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def statuses(port, *rcpts, sender="a@far.test"):
    with Client(port) as c:
        c.ehlo()
        c.ok(f"MAIL FROM:<{sender}> SMTPUTF8")
        return [c.cmd(f"RCPT TO:<{r}>".encode()).status for r in rcpts]


# ---- delivery ----

def test_delivery(make):
    engine = local(make)
    bob = user(engine, "bob")
    content = message("hello", b"first\r\n.dot\r\n\r\nlast\r\n")
    reply = submit(engine.port, content, sender="alice@far.test", to=["bob@local.test"])
    path, = arrived(engine, bob)
    data = read(path)
    assert b"\r" not in data
    head = b"Return-Path: <alice@far.test>\nDelivered-To: bob@local.test\nReceived: from "
    assert data.startswith(head) and data.endswith(content.replace(b"\r\n", b"\n"))
    # The name: time, the id of the 250, the recipient, our host; no sign of the mail reader's flags.
    ident = re.search(r"queued as (\w+)", reply.text).group(1)
    assert re.fullmatch(rf"\d+\.{ident}R0\.relay\.example\.test", os.path.basename(path))
    assert mode(path) == 0o600
    assert all(mode(os.path.join(bob, part)) == 0o700 for part in ("new", "cur", "tmp"))
    event = engine.event("delivered", to="bob@local.test")
    assert event["stage"] == "mailbox" and event["status"] == "2.0.0" and "peer" not in event
    assert engine.counters()["delivered"] == 1 and not engine.sink.messages


def test_which_mailbox(make):
    """Letters of either case, quotes and tags: the same person."""
    engine = local(make)
    bob = user(engine, "bob.b")
    spelled = ["bob.b@local.test", "Bob.B@LOCAL.Test", "bob.b+news@local.test", '"bob.b"@local.test']
    for rcpt in spelled:
        submit(engine.port, to=[rcpt])
    found = arrived(engine, bob, len(spelled))
    told = {email.message_from_bytes(read(f))["Delivered-To"] for f in found}
    assert told == set(spelled)
    assert os.listdir(os.path.join(engine.mail, OURS)) == ["bob.b"]


def test_unknown_recipients_are_refused_at_rcpt(make):
    engine = local(make)
    bob = user(engine, "bob")
    assert statuses(engine.port, "eve@local.test", "bob@local.test", "eve+bob@local.test", "x@other.test") == \
        ["550 5.1.1", "250 2.1.5", "550 5.1.1", "250 2.1.5"]
    assert engine.event("rejected", to="eve@local.test")["code"] == 550
    with Client(engine.port) as c:  # the others of the same envelope are served, also pipelined
        c.ehlo()
        c.send(b"MAIL FROM:<a@far.test>\r\nRCPT TO:<eve@local.test>\r\nRCPT TO:<bob@local.test>\r\n"
               b"RCPT TO:<mallory@local.test>\r\nDATA\r\n")
        assert [r.code for r in c.replies(5)] == [250, 550, 250, 550, 354]
        c.send(message() + b".\r\n")
        assert c.reply().code == 250
    arrived(engine, bob)


HOSTILE = ['".."', '"../bob"', '"../../x"', '".ssh"', '"."', "a/b", "/etc/passwd", '"a/b"', '"\\.\\."', '""', '"a\\/b"']


def test_hostile_names(make):
    """What a stranger writes is one name, or no mailbox."""
    engine = local(make, conf={"local": {"create": True}})
    before = sorted(os.listdir(str(make.folder)))
    with Client(engine.port) as c:
        c.ehlo()
        for name in HOSTILE:
            c.ok("MAIL FROM:<a@far.test>")
            assert c.cmd(f"RCPT TO:<{name}@local.test>").code in (550, 553, 501), name
            c.ok("RSET")
    for name in ("-rf", "~root", "$HOME", "{local}", '"a b"', '"a..b"'):
        submit(engine.port, to=[f"{name}@local.test"])
    engine.wait_empty()
    assert sorted(os.listdir(os.path.join(engine.mail, OURS))) == sorted(
        ["-rf", "~root", "$home", "{local}", "a b", "a..b"])
    assert sorted(os.listdir(str(make.folder))) == before


def test_links_are_not_followed(make):
    engine = local(make)
    elsewhere = os.path.join(str(make.folder), "elsewhere")
    os.mkdir(elsewhere)
    os.mkdir(os.path.join(engine.mail, OURS))
    os.symlink(elsewhere, os.path.join(engine.mail, OURS, "bob"))
    assert statuses(engine.port, "bob@local.test") == ["451 4.3.0"]
    bob = user(engine, "carl")
    os.symlink(elsewhere, os.path.join(bob, "new"))
    submit(engine.port, to=["carl@local.test"])
    assert "Not a directory" in engine.event("deferred", to="carl@local.test")["reply"]
    assert os.listdir(elsewhere) == []


def test_made_on_demand(make):
    engine = local(make, conf={"local": {"create": True}})
    submit(engine.port, to=["new@local.test"])
    engine.wait_empty()
    new = os.path.join(engine.mail, OURS, "new")
    arrived(engine, new)
    assert mode(new) == 0o700 and mode(os.path.join(engine.mail, OURS)) == 0o700


def test_one_mailbox_for_all(make):
    engine = local(make, "all/")
    submit(engine.port, to=["a@local.test", "b@local.test"])
    submit(engine.port, to=["c@local.test"])
    found = arrived(engine, os.path.join(engine.mail, "all"), 3)
    assert {email.message_from_bytes(read(f))["Delivered-To"] for f in found} == \
        {"a@local.test", "b@local.test", "c@local.test"}
    assert mode(os.path.join(engine.mail, "all")) == 0o700


def test_many_recipients(make):
    """More than a transaction's, to as many mailboxes: each has it once."""
    engine = local(make, conf={"local": {"create": True}})
    names = [f"u{i}" for i in range(250)]
    content = sized(20_000)
    submit(engine.port, content, to=[f"{n}@local.test" for n in names])
    engine.wait_empty(60)
    for name in names:
        path, = files(os.path.join(engine.mail, OURS, name))
        assert read(path).endswith(content.replace(b"\r\n", b"\n"))
    assert engine.counters()["delivered"] == len(names)


@pytest.mark.parametrize("size", [100_000, 3_000_000])
def test_big_messages(make, size):
    """From memory and in pieces from the spool; the content's lines are cut anywhere."""
    engine = local(make)
    boxes = [user(engine, name) for name in ("ann", "bob")]
    content = sized(size, line=67)
    submit(engine.port, content, to=["ann@local.test", "bob@local.test"])
    for box in boxes:
        path, = arrived(engine, box, timeout=30)
        data = read(path)
        assert data.split(b"\nFrom: ", 1)[1] == content.replace(b"\r\n", b"\n").split(b"From: ", 1)[1]
    assert engine.stats()["damaged"] == 0


def test_local_and_remote(make):
    """One message for both: the smarthost gets its recipients and no others."""
    engine = local(make)
    bob = user(engine, "bob")
    content = message("both")
    submit(engine.port, content, to=["x@far.test", "bob@local.test", "y@far.test"])
    arrived(engine, bob)
    got, = engine.sink.messages
    assert sorted(got.rcpts) == ["x@far.test", "y@far.test"]
    assert read(files(bob)[0]).endswith(content.replace(b"\r\n", b"\n"))


def test_strangers_may_send_here_and_nowhere_else(make):
    engine = local(make, conf={"access": {"local_domains": [OURS], "networks": ["192.0.2.0/24"]}})
    bob = user(engine, "bob")
    assert statuses(engine.port, "bob@local.test", "x@far.test", "x%far.test@local.test", "eve@local.test") == \
        ["250 2.1.5", "554 5.7.1", "550 5.1.1", "550 5.1.1"]
    submit(engine.port, sender="", to=["bob@local.test"])
    assert read(arrived(engine, bob)[0]).startswith(b"Return-Path: <>\n")


def test_without_mailboxes_local_domains_are_refused(make):
    engine = make.relay({"access": {"local_domains": [OURS]}})
    assert statuses(engine.port, "bob@local.test") == ["550 5.1.1"]


# ---- trouble ----

def test_trouble_is_a_deferral(make):
    """What the system said is in the log and in the queue; it is tried again."""
    engine = local(make)
    bob = user(engine, "bob")
    with open(os.path.join(bob, "new"), "w", encoding="ascii"):
        pass
    submit(engine.port, to=["bob@local.test"])
    event = engine.event("deferred", to="bob@local.test")
    assert event["status"] == "4.3.0" and event["code"] == 451 and event["stage"] == "mailbox"
    assert event["reply"] == "the mailbox cannot be written: Not a directory"
    queued, = engine.queue("ls")
    assert "bob@local.test" in str(queued["recipients"])
    assert "Not a directory" in str(engine.queue("show", queued["id"]))
    os.unlink(os.path.join(bob, "new"))
    arrived(engine, bob)


def test_the_base_is_missing(make):
    """A disk that is not mounted must not look like a user who does not exist."""
    engine = local(make)
    user(engine, "bob")
    with Client(engine.port) as c:
        c.ehlo()
        c.ok("MAIL FROM:<a@far.test>")
        c.ok("RCPT TO:<bob@local.test>")
        os.rename(engine.mail, engine.mail + ".away")
        assert c.cmd("RCPT TO:<bob@local.test>").status == "451 4.3.0"
        assert c.data(message()).code == 250
    event = engine.event("deferred", to="bob@local.test")
    assert event["reply"] == "the folder of the mailboxes is missing"
    os.rename(engine.mail + ".away", engine.mail)
    arrived(engine, os.path.join(engine.mail, OURS, "bob"))


def vanishes(engine, sender, params="", rcpt=""):
    """A mailbox that goes away between RCPT and the delivery."""
    box = user(engine, "bob")
    with Client(engine.port) as c:
        c.ehlo()
        c.ok(f"MAIL FROM:<{sender}> {params}".strip())
        c.ok(f"RCPT TO:<bob@local.test> {rcpt}".strip())
        os.rmdir(box)
        assert c.data(message("gone")).code == 250


def reports(sink, timeout=15):
    return wait_until(lambda: [m for m in sink.messages if m.sender == b""], timeout, "a report")


def test_a_report_of_failure(make):
    engine = local(make)
    vanishes(engine, "alice@far.test")
    report, = reports(engine.sink)
    assert report.rcpts == ["alice@far.test"]
    assert b"Action: failed\r\nStatus: 5.1.1\r\n" in report.data and b"no such mailbox here" in report.data
    assert b"Remote-MTA" not in report.data and engine.mail.encode() not in report.data
    assert engine.wait_empty()["bounced"] == 1


def test_a_report_into_a_mailbox(make):
    """The sender is one of ours: the report never leaves the machine."""
    engine = local(make)
    alice = user(engine, "alice")
    vanishes(engine, "alice@local.test")
    path, = arrived(engine, alice)
    data = read(path)
    assert data.startswith(b"Return-Path: <>\n") and b"Status: 5.1.1" in data and not engine.sink.messages


def test_a_report_of_success(make):
    """We are the last: "delivered", not "relayed"."""
    engine = local(make)
    bob = user(engine, "bob")
    with Client(engine.port) as c:
        c.ehlo()
        c.ok("MAIL FROM:<alice@far.test> ENVID=e1")
        c.ok("RCPT TO:<bob@local.test> NOTIFY=SUCCESS")
        assert c.data(message()).code == 250
    report, = reports(engine.sink)
    assert b"Action: delivered\r\nStatus: 2.0.0\r\n" in report.data and b"Original-Envelope-Id: e1" in report.data
    arrived(engine, bob)


# ---- the engine's life ----

def test_a_domain_becomes_local(make):
    """Mail that waits for the smarthost goes to the mailbox after a reload; and the other way round."""
    engine = local(make, conf={"access": {"local_domains": ["other.test"]}})
    engine.sink.script["rcpt"] = lambda s, a: "451 4.2.0 later"
    bob = user(engine, "bob")
    submit(engine.port, to=["bob@local.test"])
    engine.event("deferred", to="bob@local.test")
    engine.write({"access": {"local_domains": [OURS]}})
    engine.hup()
    arrived(engine, bob)
    with open(os.path.join(user(engine, "carl"), "new"), "w", encoding="ascii"):
        pass
    submit(engine.port, to=["carl@local.test"])
    engine.event("deferred", to="carl@local.test")
    engine.sink.script.clear()
    engine.write({"access": {"local_domains": ["other.test"]}})
    engine.hup()
    engine.wait_empty()
    assert engine.sink.messages[-1].rcpts == ["carl@local.test"]


def test_another_place_needs_a_restart(make):
    engine = local(make)
    engine.write({"local": {"maildir": engine.mail + "/x/{local}"}})
    engine.hup()
    assert "local.maildir" in str(engine.event("reload_refused"))


def test_stop_in_the_middle(make):
    """SIGTERM during a long delivery: who is left has it after the next start, and nobody twice."""
    engine = local(make, conf={"local": {"create": True}, "delivery": {"recipients_per_transaction": 100}})
    names = [f"u{i}" for i in range(200)]
    subject = tag()
    with Client(engine.port) as c:
        c.ehlo()
        assert c.submit(message(subject), to=[f"{n}@local.test" for n in names]).code == 250
        box = os.path.join(engine.mail, OURS)
        wait_until(lambda: os.path.isdir(box) and len(os.listdir(box)) > 3, 15, "the first mailboxes")
    engine.restart()
    engine.wait_empty(60)
    for name in names:
        assert len(files(os.path.join(box, name))) == 1, name


def test_kill_in_the_middle(make):
    """kill -9, again and again: nothing is lost; what was in new/ already is not written again."""
    engine = local(make, conf={"local": {"create": True}})
    content = sized(300_000)
    names = [f"u{i}" for i in range(60)]
    box = os.path.join(engine.mail, OURS)
    for _ in range(5):
        submit(engine.port, content, to=[f"{n}@local.test" for n in names])
        wait_until(lambda: any(files(os.path.join(box, n)) for n in names), 15, "a delivery")
        engine.kill()
        engine.start()
    engine.wait_empty(120)
    for name in names:
        found = files(os.path.join(box, name))
        assert len(found) == 5, (name, found)
        assert files(os.path.join(box, name), "tmp") == []
        assert all(read(f).endswith(content.replace(b"\r\n", b"\n")[-1000:]) for f in found)


def test_a_client_that_leaves(make):
    """While its recipient is looked for."""
    engine = local(make)
    user(engine, "bob")
    for _ in range(20):
        c = Client(engine.port)
        c.ehlo()
        c.ok("MAIL FROM:<a@far.test>")
        c.send(b"RCPT TO:<bob@local.test>\r\n" * 50)
        c.reset()
    wait_until(lambda: engine.stats()["sessions"] == 0, 15, "sessions that end")
    assert statuses(engine.port, "bob@local.test") == ["250 2.1.5"]


@pytest.mark.parametrize("value, why", [("mail/{local}", "must begin with `/`"), ("/{local}", "needs a folder"),
                                        ("/var/mail/{user}", "{domain} and {local}"), ("/var/../x", "`..`")])
def test_configuration(tmp_path, value, why):
    file = tmp_path / "ringpost.yaml"
    file.write_text(f"local:\n  maildir: \"{value}\"\n")
    done = run("check", "-c", file)
    assert done.returncode == 78 and why in done.stderr and "ringpost.yaml:2:" in done.stderr, done
