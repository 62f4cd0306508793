# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers as destinations, with pipelining and chunking on and off: every message arrives once, as it was.

OpenSMTPD has neither PIPELINING nor CHUNKING and no switch for them: it stands for both being off, and has no other
row. Which of the three ways was gone is seen in what the server offers, so that is asked first."""
import email
import hashlib
import os

import pytest

from harness.client import Client
from harness.message import sized, tag
from harness.peers import Exim, Opensmtpd, Postfix
from harness.wait import wait_until

ON, OFF = True, False


def postfix(pipelining, chunking):
    hidden = [word for word, on in (("pipelining", pipelining), ("chunking", chunking)) if not on]
    return Postfix(f"smtpd_discard_ehlo_keywords={' '.join(['silent-discard', *hidden])}", "message_size_limit=2000000")


def exim(pipelining, chunking):
    hosts = {ON: "*", OFF: ""}
    return Exim(f"pipelining_advertise_hosts = {hosts[pipelining]}", f"chunking_advertise_hosts = {hosts[chunking]}")


def opensmtpd(*_):
    return Opensmtpd()


SERVERS = [(make, pipelining, chunking) for make in (postfix, exim) for pipelining in (ON, OFF) for chunking in (ON, OFF)]
SERVERS.append((opensmtpd, OFF, OFF))


def name(row):
    words = [word for word, on in zip(("pipelining", "chunking"), row[1:]) if on]
    return f"{row[0].__name__}: {' and '.join(words) or 'neither'}"


@pytest.fixture(scope="module", params=SERVERS, ids=name)
def receiver(request, tmp_path_factory):
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("receiver"))
    make, *wants = request.param
    server = makers.add(make(*wants))
    with Client(server.port) as c:
        offers = c.ehlo().lines
    offers = {line[4:].split()[0].upper() for line in offers}
    assert [word in offers for word in ("PIPELINING", "CHUNKING")] == wants
    # Few connections that end in between: some messages are the first, some the last of one.
    engine = makers.engine({"relay": {"host": server.endpoint}, "workers": 2,
                            "delivery": {"connections_per_site": 2, "messages_per_connection": 6},
                            "queue": {"schedule": ["1h"]}})
    engine.server = server
    engine.chunking = wants[1]
    yield engine
    makers.finish()


def knows_bdat(server):
    """Whether its log tells of messages that came by BDAT: Exim's letter K, Postfix's count of commands."""
    for log in ("log/mainlog", "log"):
        path = os.path.join(server.folder, log)
        if os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as f:
                return any((" <= " in line and " K " in line) or " bdat=" in line for line in f)
    return False  # OpenSMTPD's is what it prints, and it has no BDAT


def body_hash(content):
    """Of what stands behind the header: servers add fields, and a Maildir has bare LF."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1]).hexdigest()


def fields_of(content):
    """The fields that were sent: name and value, unfolded."""
    head = email.message_from_bytes(content)
    return [(key, " ".join(str(value).split())) for key, value in head.items()
            if key in ("From", "To", "Subject", "Date", "Message-ID")]


def arrived(server, seen):
    """{Message-ID: [content]} of the files that are not in `seen`."""
    found = {}
    for path in set(server.files()) - seen:
        with open(path, "rb") as f:
            content = f.read()
        found.setdefault(str(email.message_from_bytes(content)["Message-ID"]), []).append(content)
    return found


@pytest.mark.parametrize("size,count", [(1500, 30), (300_000, 30)], ids=["small", "300 KB"])
@pytest.mark.parametrize("rcpts", [1, 4])
def test_everything_arrives_once_and_unchanged(receiver, size, count, rcpts):
    engine, server = receiver, receiver.server
    seen = set(server.files())
    delivered = engine.counters()["delivered"]
    sent = {}
    with Client(engine.port) as c:
        c.ehlo()
        for i in range(count):
            content = sized(size)
            if i % 3 == 0:  # dots where they matter
                content = content[:-40] + b"\r\n.\r\n..two\r\n.end" + b"x" * 20 + b"\r\n"
            sent[str(email.message_from_bytes(content)["Message-ID"])] = content
            to = [f"{tag()}@d{i % 3}.test" for _ in range(rcpts)]
            assert c.submit(content, to=to).code == 250
    assert engine.wait_empty(timeout=60)["delivered"] == delivered + count * rcpts
    assert not engine.events("deferred") and not engine.events("outbound_learned")
    # One copy for each recipient, as these servers store them.
    server.wait(len(seen) + count * rcpts, timeout=60)
    got = arrived(server, seen)
    assert {key: len(copies) for key, copies in got.items()} == dict.fromkeys(sent, rcpts)
    for key, copies in got.items():
        assert {body_hash(content) for content in copies} == {body_hash(sent[key])}
        assert all(fields_of(content) == fields_of(sent[key]) for content in copies)


def test_the_way_that_was_meant_was_gone(receiver):
    """Behind the others, in the order of this file."""
    engine = receiver
    with Client(engine.port) as c:
        c.ehlo()
        assert c.submit(sized(1500)).code == 250
    engine.wait_empty()
    engine.stop()  # its connections end, then the servers log what they were used for
    if engine.chunking:
        wait_until(lambda: knows_bdat(engine.server), 20, "a word of BDAT in the log")
    else:
        assert not knows_bdat(engine.server)
