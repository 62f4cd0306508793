# SPDX-License-Identifier: GPL-3.0-or-later
"""Smuggling counted where it would hurt: at real servers behind the engine (B1, B2, B4, B5)."""
import pytest

from harness.client import Client, Closed, submit
from harness.message import message, tag
from harness.peers import Exim, Postfix
from harness.wait import stays_false
from test_smtp_body import FAKE_ENDS, fake

SERVERS = {"postfix": Postfix, "exim": Exim}


@pytest.fixture(scope="module", params=SERVERS)
def behind(request, tmp_path_factory):
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("far"))
    server = makers.add(SERVERS[request.param]())
    engine = makers.engine({"relay": {"host": server.endpoint}})
    engine.server = server
    yield engine
    makers.finish()


def subjects(server):
    return [m["Subject"] for m in server.messages()]


def test_ordinary_mail_arrives(behind):
    subject = tag()
    content = message(subject, b".leading\r\n..two\r\nend\r\n")
    submit(behind.port, content)
    got = next(m for m in behind.server.wait(1) if m["Subject"] == subject)
    assert got.get_payload().replace("\r\n", "\n") == ".leading\n..two\nend\n"
    assert "relay.example.test" in str(got.get_all("Received"))


def test_fake_ends_put_no_message_into_the_mailbox(behind):
    """Every sequence at every place by DATA and BDAT, then one marker: it alone arrives."""
    before = len(behind.server.files())
    marker = tag()
    tried = 0
    for name in FAKE_ENDS:
        for where in ("start", "middle", "after CRLF"):
            for way in ("DATA", "BDAT"):
                with Client(behind.port) as c:
                    c.ehlo()
                    c.envelope()
                    text = fake(name, where)
                    if way == "DATA":
                        c.ok("DATA")
                        c.send(text + b".\r\n")
                    else:
                        c.send(b"BDAT %d LAST\r\n" % len(text) + text)
                    assert c.reply().code >= 500
                    tried += 1
                    if not c.cmd("NOOP").code == 250:
                        raise AssertionError("out of sync")
    submit(behind.port, message(marker))
    behind.server.wait(before + 1)
    assert tried == 66
    assert stays_false(lambda: len(behind.server.files()) > before + 1, 0.3)
    assert marker in subjects(behind.server)
    assert "smuggled" not in subjects(behind.server)


def test_chunks_with_dots_and_commands_are_one_message(behind):
    """B4: CRLF.CRLF inside BDAT is text."""
    before = len(behind.server.files())
    subject = tag()
    inner = b"one\r\n.\r\nMAIL FROM:<evil@example.test>\r\nRCPT TO:<v@example.test>\r\nDATA\r\n" \
            b"Subject: smuggled\r\n\r\nboo\r\n.\r\n.\r\n..\r\nQUIT\r\n"
    with Client(behind.port) as c:
        c.ehlo()
        c.envelope()
        assert c.bdat(message(subject, inner)).code == 250
    behind.server.wait(before + 1)
    assert stays_false(lambda: len(behind.server.files()) > before + 1, 0.3)
    got = next(m for m in behind.server.messages() if m["Subject"] == subject)
    assert got.get_payload().replace("\r\n", "\n").encode() == inner.replace(b"\r\n", b"\n")


def test_normalised_fake_ends_are_one_message(behind, make):
    """B3, B5: the listener that turns LF into CRLF opens no second path."""
    before = len(behind.server.files())
    engine = make.engine({"relay": {"host": behind.server.endpoint}}, start=False)
    engine.write({"listeners": [{"address": "127.0.0.1", "port": engine.port, "normalize_bare_lf": True}]})
    engine.start()
    accepted = 0
    for name, end in FAKE_ENDS.items():
        with Client(engine.port) as c:
            try:
                c.ehlo()
                c.envelope()
                c.ok("DATA")
                c.send(b"Subject: outer-%s\r\n\r\nx" % name.replace(" ", "").encode() + end +
                       b"MAIL FROM:<evil@example.test>\r\nSubject: smuggled\r\n\r\n.x\r\n.\r\n")
                accepted += c.reply().code == 250
                assert c.cmd("NOOP").code == 250
            except Closed:
                raise AssertionError(f"{name}: the session was lost") from None
    behind.server.wait(before + accepted)
    engine.wait_empty()
    assert accepted >= 2
    assert stays_false(lambda: len(behind.server.files()) > before + accepted, 0.3)
    assert "smuggled" not in subjects(behind.server)


def test_report_with_a_hostile_original_is_one_message(behind, make):
    """B5: the original inside a DSN goes through the same writer."""
    before = len(behind.server.files())
    refusing = make.sink(script={"rcpt": lambda s, a: "550 5.1.1 no" if b"bob@" in a else None},
                         features=["PIPELINING"])
    reports = make.engine({"relay": {"host": behind.server.endpoint}})
    engine = make.engine({"relay": {"host": refusing.endpoint}}, start=False)
    engine.start()
    with Client(engine.port) as c:
        c.ehlo()
        c.envelope(sender="alice@example.test")
        assert c.bdat(message("hostile", b"a\r\n.\r\nMAIL FROM:<e@example.test>\r\n.\r\n")).code == 250
    report = refusing.wait(1)[0]
    assert report.sender == b"" and report.rcpts == ["alice@example.test"]
    submit(reports.port, report.data, sender="", to=["alice@example.test"])
    behind.server.wait(before + 1)
    assert stays_false(lambda: len(behind.server.files()) > before + 1, 0.3)


def test_a_thousand_dots(behind):
    subject = tag()
    body = b"".join(b"." * (i % 5) + b"\r\n" for i in range(1000))
    submit(behind.port, message(subject, body))
    before = behind.server.wait(1)
    from harness.wait import wait_until
    wait_until(lambda: subject in subjects(behind.server), 20)
    got = next(m for m in behind.server.messages() if m["Subject"] == subject)
    assert got.get_payload().replace("\r\n", "\n").encode().rstrip(b"\n") == body.replace(b"\r\n", b"\n").rstrip(b"\n")
    assert before
