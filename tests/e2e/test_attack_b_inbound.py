# SPDX-License-Identifier: GPL-3.0-or-later
"""B1, B2, B3 on the ports of submission, and from real servers that relay to us. On a plain port, in every segmentation:
test_smtp_body.py; in chunks: test_bdat.py."""
import os
import re

import pytest

from harness.client import Client
from harness.dkim_rig import Key, verify
from harness.login import login_plain
from harness.message import message, tag
from harness.peers import Exim, Postfix
from harness.pki import Authority
from harness.tlsclient import SecureClient, tls_engine
from harness.wait import wait_until
from test_smtp_body import FAKE_ENDS, fake

USERS = {"users": [{"name": "ann", "password": "x"}]}
STARTTLS, IMPLICIT = 0, 1
PORTS = {"587": STARTTLS, "465": IMPLICIT}
PLACES = ["start", "middle", "after CRLF"]


@pytest.fixture(scope="module", name="served")
def make_served(tmp_path_factory):
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("served"))
    pair = Authority(tmp_path_factory.mktemp("certs")).issue("relay.example.test")
    row = {"mode": "submission", "access": "auth"}
    e = tls_engine(makers, [{**row, "tls": "encrypt"}, {**row, "tls": "implicit"}], {**USERS, "tls": pair.files})
    yield e
    assert e.running, e.trouble()
    makers.finish()


def submitter(engine, port):
    c = SecureClient(engine.ports[PORTS[port]], port == "465")
    if port == "587":
        c.starttls()
    c.ehlo()
    assert login_plain(c, "ann", "x").code == 235
    return c


def cuts(name, wire):
    """(how, the parts in which it is sent): each part is a TLS record of its own."""
    at = wire.index(FAKE_ENDS[name]) + len(FAKE_ENDS[name]) // 2
    end = wire.index(FAKE_ENDS[name]) + len(FAKE_ENDS[name])
    return {"one record": [wire], "across": [wire[:at], wire[at:]], "behind": [wire[:end], wire[end:]],
            "around": [wire[:at - 1], *(wire[i:i + 1] for i in range(at - 1, end + 1)), wire[end + 1:]]}.items()


@pytest.mark.parametrize("name", FAKE_ENDS)
@pytest.mark.parametrize("port", PORTS)
def test_fake_ends_on_submission(served, port, name):
    """B1, B2: one refusal at the true end, whatever the place and the records; nothing of it is ever sent."""
    before = len(served.sink.attempts)
    wanted = {"554 5.6.0", "550 5.5.2"} if "NUL" in name else {"550 5.5.2"}
    good = []
    with submitter(served, port) as c:
        for place in PLACES:
            wire = fake(name, place) + b".\r\n"
            for how, parts in cuts(name, wire):
                c.envelope()
                assert c.cmd("DATA").code == 354
                c.pieces = 1 if how == "around" and place == "start" else 0
                for part in parts:
                    c.send(part)
                c.pieces = 0
                reply = c.reply()
                assert reply.status in wanted, (place, how, reply)
            # All of it at once, with what would run if the fake end were one.
            c.send(b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n" + wire + b"NOOP\r\n")
            codes = [r.status for r in c.replies(5)]
            assert codes[:3] == ["250 2.1.0", "250 2.1.5", "354"] and codes[3] in wanted and codes[4] == "250 2.0.0"
            good.append(tag())
            assert c.submit(message(good[-1])).code == 250
    for subject in good:
        served.sink.with_subject(subject)
    # Other tests of this module run before or after this one, not beside it.
    assert [m.subject for m in served.sink.attempts[before:]] == good


@pytest.mark.parametrize("port", PORTS)
def test_normalised_text_is_signed_as_it_leaves(make, tmp_path, port):
    """B3: where the listener wants it LF becomes CRLF before the signature is made; LF.LF and its like end nothing, a
    bare CR is refused there, too."""
    pair = Authority(tmp_path).issue("relay.example.test")
    key = Key(tmp_path, "s1", "ed25519")
    row = {"mode": "submission", "access": "auth", "normalize_bare_lf": True}
    e = tls_engine(make, [{**row, "tls": "encrypt"}, {**row, "tls": "implicit"}],
                   {**USERS, "tls": pair.files, "headers": {"received": "none"}, "domains": [key.listed("example.test")]})
    lf_only = [name for name, text in FAKE_ENDS.items() if b"\r" not in text.replace(b"\r\n", b"") and b"\0" not in text]
    assert lf_only == ["LF.LF", "LF.CRLF", "CRLF.LF"]
    sent = []
    with submitter(e, port) as c:
        for name in FAKE_ENDS:
            subject = tag()
            text = message(subject, b"one" + FAKE_ENDS[name] + b"MAIL FROM:<evil@example.test>\nDATA\n.\n..two\nend\r\n")
            c.envelope()
            assert c.cmd("DATA").code == 354
            c.send(text + b".\r\n")
            reply = c.reply()
            if name in lf_only:
                assert reply.code == 250, (name, reply)
                sent.append((subject, text))
            else:
                assert reply.code in (550, 554), (name, reply)
            assert c.cmd("NOOP").code == 250
    for subject, text in sent:
        (m,) = e.sink.with_subject(subject)
        assert b"\n" not in m.data.replace(b"\r\n", b"") and b"\r" not in m.data.replace(b"\r\n", b"")
        unstuffed = re.sub(rb"(?m)^\.", b"", text.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1]).replace(b"\n", b"\r\n")
        assert m.data.endswith(b"\r\n\r\n" + unstuffed), (m.data, unstuffed)
        verify(m.data, [key], b"example.test")
    assert len(e.sink.attempts) == len(sent)


# ---- real servers in front of us ----

def postfix(relay):
    server = Postfix(f"relay=127.0.0.1:{relay}")
    return server, os.path.join(server.folder, "log"), rb" to=<bob@example.test>.* status=(sent|bounced|deferred)"


def exim(relay):
    server = Exim(f"relay=127.0.0.1:{relay}")
    return server, os.path.join(server.folder, "log", "mainlog"), rb" (=>|\*\*|==) bob@example.test"


def decided(log, pattern):
    if not os.path.isfile(log):
        return []
    with open(log, "rb") as file:
        return re.findall(pattern, file.read())


@pytest.mark.parametrize("front", [postfix, exim])
def test_a_real_server_and_we_see_the_same_messages(make, front):
    """B1: what that server takes for one message (it splits some itself) is one message here, or refused as a whole."""
    engine = make.relay()
    server, log, pattern = front(engine.port)
    make.add(server)
    taken = 0
    for name in FAKE_ENDS:
        with Client(server.port, timeout=60) as c:
            c.ehlo()
            c.ok("MAIL FROM:<>")
            c.ok("RCPT TO:<bob@example.test>")
            assert c.cmd("DATA").code == 354
            text = fake(name, "middle").replace(b"evil@example.test", b"").replace(b"victim@", b"bob@")
            c.send(text + b".\r\nQUIT\r\n")
            taken += [r.code for r in c.rest() if "queued" in r.text or "OK id=" in r.text].count(250)
    done = wait_until(lambda: d if len(d := decided(log, pattern)) >= taken else None, 60, "all of them done", interval=0.1)
    sent = sum(word in (b"sent", b"=>") for word in done)
    assert taken >= 3 and len(done) == taken, (taken, done)
    assert engine.wait_empty(30)["accepted"] == sent
    assert len(engine.sink.attempts) == sent
