# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes out is what came in, and the headers we say we add (P5)."""
import email.utils
import re

import pytest

from harness.client import Client, submit
from harness.message import message, sized, split_received, tag, without_received

HEAD = b"From: <a@example.test>\r\nSubject: %s\r\n\r\n"

BODIES = {
    "small": b"Hello.\r\n",
    "empty body": b"",
    "dots": b".\r\n..\r\n...\r\n.x\r\n. \r\n\t.\r\nx.\r\n",
    "only a dot": b".\r\n",
    "blank lines": b"\r\n\r\n\r\n\r\n",
    "trailing blank lines": b"text\r\n\r\n\r\n",
    "white space": b"  leading\r\ntrailing  \r\n\t\r\n \r\n",
    "998 bytes": b"x" * 998 + b"\r\n" + b"." + b"y" * 997 + b"\r\n",
    "8 bit": bytes(range(0x80, 0x100)) + b"\r\n" + "Grüße, 世界\r\n".encode(),
    "controls": bytes(c for c in range(1, 32) if c not in (10, 13)) + b"\x7f\r\n",
    "From line": b"From here\r\n>From there\r\n",
    "smtp commands": b"QUIT\r\nRSET\r\nMAIL FROM:<x@example.test>\r\nDATA\r\n",
    "mime": b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n",
}


@pytest.fixture(scope="module", params=["DATA", "BDAT"])
def out_by(request, tmp_path_factory):
    """An engine whose sink offers (or not) CHUNKING; no header is added."""
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("identical"))
    features = ["PIPELINING", "8BITMIME", "SMTPUTF8", "DSN"] + ["CHUNKING"] * (request.param == "BDAT")
    engine = makers.relay({"headers": {"received": "none"}}, sink=makers.sink(features))
    yield engine
    makers.finish()


@pytest.mark.parametrize("way_in", ["DATA", "BDAT", "BDAT in pieces"])
@pytest.mark.parametrize("name", BODIES)
def test_without_received_every_byte_is_the_same(out_by, name, way_in):
    subject = tag()
    content = HEAD % subject.encode() + BODIES[name]
    send(out_by.port, content, way_in)
    got = out_by.sink.with_subject(subject)[0]
    assert got.data == content


def send(port, content, way_in):
    with Client(port) as c:
        c.ehlo()
        c.envelope(params="BODY=8BITMIME")
        if way_in == "DATA":
            reply = c.data(content)
        elif way_in == "BDAT":
            reply = c.bdat(content)
        else:
            for at in range(0, len(content), 7):
                assert c.bdat(content[at:at + 7], last=False).code == 250
            reply = c.bdat(b"")
        assert reply.code == 250, reply
        c.quit()


@pytest.mark.parametrize("size", [4096, 65535, 65536, 65537, 131071, 131072, 131073, 262144, 1 << 20,
                                  5 * (1 << 20) + 1])
def test_sizes_around_the_fragment_border(out_by, size):
    content = sized(size)
    submit(out_by.port, content)
    subject = re.search(rb"Subject: (\S+)", content).group(1).decode()
    assert out_by.sink.with_subject(subject, timeout=30)[0].data == content


@pytest.mark.parametrize("content", [
    b"", b"\r\n", b"no header at all\r\n", b"\r\nonly a body\r\n", b"Subject: no end\r\n",
    b".\r\n", b"Subject: x\r\n folded\r\n\tagain\r\n\r\nbody\r\n", b" starts with a space\r\n\r\nx\r\n",
    b"From alice Fri Nov 21 10:00:00 2025\r\nSubject: mbox\r\n\r\nx\r\n",
], ids=["empty", "empty line", "no header", "no header, empty line", "header only", "dot", "folded",
        "leading space", "From_"])
def test_odd_messages_pass_unchanged(out_by, content):
    before = len(out_by.sink.messages)
    submit(out_by.port, content)
    assert out_by.sink.wait(before + 1)[before].data == content


def test_received_is_all_that_is_added(shared):
    subject = tag()
    content = message(subject, BODIES["dots"])
    submit(shared.port, content)
    got = shared.sink.with_subject(subject)[0]
    assert without_received(got.data) == content
    assert got.sender == b"alice@example.test"
    assert got.rcpts == ["bob@example.test"]


def received_of(engine, hello="EHLO client.example.test", params="", to=("bob@example.test",)):
    subject = tag()
    with Client(engine.port) as c:
        c.ok(hello)
        reply = c.submit(message(subject), to=to, params=params)
        assert reply.code == 250, reply
    got = engine.sink.with_subject(subject)[0]
    return re.sub(rb"\r\n[ \t]", b" ", split_received(got.data)[0]).decode().strip(), reply


def test_received_says_who_where_how_and_when(shared):
    field, reply = received_of(shared)
    match = re.fullmatch(r"Received: from client\.example\.test \(\S+ \[127\.0\.0\.1\]\) "
                         r"by relay\.example\.test .*with ESMTP id (\S+) for <bob@example\.test>; (.*)", field)
    assert match, field
    assert match.group(1) in reply.text  # the id that the client was told
    assert shared.event("accepted", id=match.group(1))
    assert email.utils.parsedate_to_datetime(match.group(2)).tzinfo is not None


@pytest.mark.parametrize("hello,params,word", [
    ("HELO client.example.test", "", "SMTP"), ("EHLO client.example.test", "", "ESMTP"),
    ("EHLO client.example.test", "SMTPUTF8", "UTF8SMTP")])
def test_received_with_follows_rfc_3848(shared, hello, params, word):
    assert f" with {word} id " in received_of(shared, hello, params)[0]


def test_received_names_no_recipient_of_several(shared):
    field, _ = received_of(shared, to=["bob@example.test", "carol@example.test"])
    assert " for " not in field and "bob" not in field and "carol" not in field


def test_no_return_path_is_added(shared):
    subject = tag()
    submit(shared.port, message(subject))
    assert b"return-path" not in shared.sink.with_subject(subject)[0].data.lower()


def test_stripped_headers_are_gone_and_nothing_else(make):
    engine = make.relay({"headers": {"received": "none", "strip": ["Received", "X-Secret"]}})
    lines = [b"Received: from a\r\n\tby b;\r\n date\r\n", b"From: <a@example.test>\r\n",
             b"x-SECRET: one\r\n two\r\n", b"Subject: s\r\n", b"X-Secretary: stays\r\n",
             b"X-Secret : obsolete syntax\r\n", b"Received-SPF: stays\r\n"]
    body = b"\r\nX-Secret: in the body stays\r\nReceived: so does this\r\n"
    submit(engine.port, b"".join(lines) + body)
    got = engine.sink.wait()[0].data
    assert got == lines[1] + lines[3] + lines[4] + lines[6] + body


def test_strip_received_and_add_ours(make):
    engine = make.relay({"headers": {"strip": ["Received"]}})
    submit(engine.port, b"Received: from old\r\n\tby old; x\r\nSubject: s\r\n\r\nx\r\n")
    assert without_received(engine.sink.wait()[0].data) == b"Subject: s\r\n\r\nx\r\n"


def test_missing_headers_are_added_and_present_ones_kept(make):
    engine = make.relay({"headers": {"received": "none", "add_missing": True}})
    submit(engine.port, b"Subject: bare\r\n\r\nbody\r\n")
    whole = message(tag())
    submit(engine.port, whole)
    bare, full = (m.data for m in engine.sink.wait(2))
    assert full == whole
    head, body = bare.split(b"\r\n\r\n", 1)
    fields = [line.split(b":")[0] for line in head.split(b"\r\n")]
    assert sorted(fields) == [b"Date", b"From", b"Message-ID", b"Subject"]
    assert body == b"body\r\n"
    assert b"From: alice@example.test" in head or b"From: <alice@example.test>" in head
    assert re.search(rb"Message-ID: <\S+@relay\.example\.test>", head)
    assert email.utils.parsedate_to_datetime(re.search(rb"Date: (.*)", head).group(1).decode().strip())


def test_missing_headers_of_a_message_without_header(make):
    engine = make.relay({"headers": {"received": "none", "add_missing": True}})
    submit(engine.port, b"just text\r\nsecond line\r\n")
    got = engine.sink.wait()[0].data
    head, body = got.split(b"\r\n\r\n", 1)
    assert body == b"just text\r\nsecond line\r\n"
    assert len(head.split(b"\r\n")) == 3


def test_without_configuration_missing_headers_stay_missing(shared):
    before = len(shared.sink.messages)
    submit(shared.port, b"just text\r\n")
    got = shared.sink.wait(before + 1)[before].data
    assert got.endswith(b"just text\r\n")
    assert b"Message-ID" not in got and b"\nDate:" not in got


def test_too_many_hops_is_a_loop(make):
    """G6."""
    engine = make.relay({"limits": {"hops": 30}})
    hop = b"Received: from a by b; Fri, 21 Nov 2025 10:00:00 +0000\r\n"
    assert submit(engine.port, hop * 31 + b"Subject: s\r\n\r\nx\r\n", expect=554).enhanced == "5.4.6"
    assert submit(engine.port, hop * 29 + b"Subject: s\r\n\r\nx\r\n").code == 250
    assert len(engine.sink.wait()) == 1


def test_a_loop_of_two_engines_ends_with_one_report(make):
    reports = make.sink()
    a = make.engine({"limits": {"hops": 10}}, start=False)
    b = make.engine({"limits": {"hops": 10}, "relay": {"host": f"[127.0.0.1]:{a.port}"}})
    a.write({"relay": {"host": f"[127.0.0.1]:{b.port}"}})
    a.start()
    submit(a.port, message(tag()))
    from harness.wait import wait_until
    wait_until(lambda: a.events("dsn") + b.events("dsn"), 20, "a report about the loop")
    # The report loops too and ends: it has no sender that could get another.
    wait_until(lambda: a.events("bounced", **{"from": ""}) + b.events("bounced", **{"from": ""}), 20, "the report's end")
    a.wait_empty()
    b.wait_empty()
    assert len(a.events("dsn") + b.events("dsn")) == 1
    assert reports.connections == 0


def test_many_recipients_in_one_transaction(shared):
    subject = tag()
    to = [f"user{i}@example.test" for i in range(60)]
    submit(shared.port, message(subject), to=to)
    got = shared.sink.with_subject(subject)
    assert len(got) == 1 and sorted(got[0].rcpts) == sorted(to)


def test_the_same_recipient_twice_gets_it_at_least_once(shared):
    subject = tag()
    submit(shared.port, message(subject), to=["bob@example.test"] * 2)
    got = shared.sink.with_subject(subject)
    assert {r for m in got for r in m.rcpts} == {"bob@example.test"}
    assert sum(len(m.rcpts) for m in got) <= 2


@pytest.mark.parametrize("rcpt", [
    "a%b@example.test", "a!b@example.test", "a+b=c@example.test", '"$(id)"@example.test',
    "`id`@example.test", '";id;"@example.test', "${run{/bin/true}}@example.test", "'@example.test",
    '"a b"@example.test', '"a\\"b"@example.test', '"@"@example.test', '"<x>"@example.test',
    "A.B@Example.TEST", "x@[127.0.0.1]", "#*/?^{|}~-@example.test", "|cmd@example.test"])
def test_local_parts_are_data(shared, rcpt):
    """E1, A9: nothing is interpreted, nothing is changed."""
    subject = tag()
    submit(shared.port, message(subject), to=[rcpt], sender=rcpt.replace("[127.0.0.1]", "example.test"))
    got = shared.sink.with_subject(subject)[0]
    assert got.rcpts[0].lower() == rcpt.lower()
    assert got.rcpts[0].rsplit("@", 1)[0] == rcpt.rsplit("@", 1)[0]
    assert got.sender.decode().rsplit("@", 1)[0] == rcpt.rsplit("@", 1)[0]


def test_source_routes_are_dropped(shared):
    subject = tag()
    submit(shared.port, message(subject), to=["@a.test,@b.test:bob@example.test"],
           sender="@a.test:alice@example.test")
    got = shared.sink.with_subject(subject)[0]
    assert got.rcpts == ["bob@example.test"] and got.sender == b"alice@example.test"


def test_smtputf8_passes_through(shared):
    subject = tag()
    with Client(shared.port) as c:
        c.ehlo()
        c.ok("MAIL FROM:<jörg@例え.test> SMTPUTF8 BODY=8BITMIME".encode())
        c.ok("RCPT TO:<用户@example.test>".encode())
        content = message(subject, headers=["X-Name: Jörg".encode()])
        assert c.data(content).code == 250
    got = shared.sink.with_subject(subject)[0]
    assert got.sender.decode().startswith("jörg@")
    assert got.rcpts == ["用户@example.test"]
    assert b"SMTPUTF8" in got.params
    assert without_received(got.data) == content


def test_messages_of_one_session_stay_apart(shared):
    subjects = [tag() for _ in range(30)]
    with Client(shared.port) as c:
        c.ehlo()
        for i, s in enumerate(subjects):
            assert c.submit(message(s, b"%d\r\n" % i), f"s{i}@example.test", [f"r{i}@example.test"]).code == 250
    for i, s in enumerate(subjects):
        got = shared.sink.with_subject(s)[0]
        assert got.data.endswith(b"\r\n\r\n%d\r\n" % i)
        assert (got.sender, got.rcpts) == (b"s%d@example.test" % i, [f"r{i}@example.test"])
