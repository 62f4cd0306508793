# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may send, from where, in whose name, to whom (reliability.md 2 E, seeds.md 6 traps 3, 12 to 14)."""
import signal

import pytest

from harness.client import Client
from harness.login import login_plain
from harness.message import message
from harness.mxworld import mx
from harness.sink import Close
from harness.tlsclient import tls_engine
from harness.wait import wait_until

USERS = [{"name": "ann", "password": "x", "allowed_from": ["ann@own.test", "@team.test"]},
         {"name": "ben", "password": "x"}]
LOGINS = {"auth": {"require_tls": False}, "users": USERS, "limits": {"errors": 10000}}
INSIDE, OUTSIDE = "127.0.0.1", "127.0.0.9"


def connect(port, source=INSIDE, user=None):
    c = Client(port, source=source)
    c.ehlo()
    if user:
        assert login_plain(c, user, "x").code == 235
    return c


# ---- the table ----

RULES = {  # rule: (network, login) -> may
    "network": lambda network, login: network,
    "auth": lambda network, login: login,
    "auth_and_network": lambda network, login: network and login,
    "auth_or_network": lambda network, login: network or login,
}


@pytest.fixture(scope="module", name="table")
def make_table(tmp_path_factory):
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("table"))
    e = tls_engine(makers, [{"access": rule, "reject_at": at} for rule in RULES for at in ("rcpt", "mail")],
                   {**LOGINS, "access": {"networks": ["127.0.0.1/32", "::1"], "local_domains": ["local.test"]}})
    yield e
    assert e.running, e.trouble()
    makers.finish()


@pytest.mark.parametrize("number, rule", enumerate(RULES))
@pytest.mark.parametrize("source", [INSIDE, OUTSIDE])
@pytest.mark.parametrize("user", [None, "ben"])
def test_rules(table, number, rule, source, user):
    """At RCPT always 554 5.7.1 (trap 3); at MAIL 530 where a login would help."""
    network, login = source == INSIDE, user is not None
    may = RULES[rule](network, login)
    helps = not login and RULES[rule](network, True)
    with connect(table.ports[2 * number], source, user) as c:
        c.ok("MAIL FROM:<a@b.test>")
        assert c.cmd("RCPT TO:<c@far.test>").status == ("250 2.1.5" if may else "554 5.7.1")
        if not may:
            assert c.cmd("RCPT TO:<c@local.test>").status == "550 5.1.1"
            assert c.cmd("DATA").code in (503, 554)
    with connect(table.ports[2 * number + 1], source, user) as c:
        wanted = "250 2.1.0" if may else "530 5.7.0" if helps else "554 5.7.1"
        assert c.cmd("MAIL FROM:<a@b.test>").status == wanted
        assert may or c.cmd("RCPT TO:<c@far.test>").status == "503 5.5.1"


def test_local_domains(table):
    """Never relayed, for nobody; whatever the spelling."""
    with connect(table.ports[0]) as c:
        c.ok("MAIL FROM:<a@b.test>")
        for rcpt in ("x@local.test", "x@LOCAL.Test", '"x"@local.test'):
            assert c.cmd(f"RCPT TO:<{rcpt}>").status == "550 5.1.1", rcpt
        c.ok("RCPT TO:<x@sub.local.test>")
        c.ok("RCPT TO:<x@notlocal.test>")


# ---- open relay (E1) ----

US, EXT, IP = "us.test", "victim.test", "[127.0.0.1]"
RECIPIENTS = [
    f"u@{EXT}", f'"u@{EXT}"', f'"u%{EXT}"', f"u%{EXT}@{US}", f'"u%{EXT}"@{US}', f"u@{EXT}@{US}", f'"u@{EXT}"@{US}',
    f"u@{EXT}@{IP}", f"u%{EXT}@{IP}", f'"u@{EXT}"@{IP}', f"@{US}:u@{EXT}", f"@{IP}:u@{EXT}", f"{EXT}!u",
    f"{EXT}!u@{US}", f"{EXT}!u@{IP}", f"u@{IP}", f"u%{EXT}", f"u@{US}@{EXT}", f"u@{EXT}.",
]
SENDERS = ["", f"a@{US}", "a@localhost", "a", f"a@{IP}", f"a@{EXT}"]
assert len(RECIPIENTS) == 19 and len(SENDERS) == 6

CLOSED = {
    "network": {"access": {"networks": ["192.0.2.0/24"]}},
    "nobody": {"access": {"networks": []}},
    "relay domain": {"access": {"networks": ["192.0.2.0/24"], "relay_domains": [US, "other.test"]}},
    "local domain": {"access": {"networks": ["192.0.2.0/24"], "local_domains": [US]}},
    "restrict email": {"access": {"networks": ["192.0.2.0/24"], "relay_domains": [US]},
                       "sender": {"restrict": "email"}},
    "own name": {"access": {"networks": ["192.0.2.0/24"]}, "identity": {"hostname": US}},
}


@pytest.mark.parametrize("rule", ["network", "auth", "auth_or_network", "auth_and_network"])
@pytest.mark.parametrize("how", CLOSED)
def test_open_relay(make, how, rule):
    """E1: 19 forms of recipients by 6 of senders, on a relay and a submission port: none is taken, and nothing comes out
    at the far end."""
    e = tls_engine(make, [{"access": rule}, {"access": rule, "mode": "submission"},
                          {"access": rule, "mode": "submission", "reject_at": "rcpt"}], {**LOGINS, **CLOSED[how]})
    taken, asked = [], 0
    for port in e.ports:
        with Client(port) as c:
            c.ehlo(US)
            for sender in SENDERS:
                c.cmd("RSET")
                c.cmd(f"MAIL FROM:<{sender}>")
                for rcpt in RECIPIENTS:
                    reply = c.cmd(f"RCPT TO:<{rcpt}>")
                    asked += 1
                    if reply.code < 500:
                        taken.append((sender, rcpt, reply))
                assert c.cmd("DATA").code in (503, 554)
    assert not taken and asked == 3 * 114
    assert e.counters()["accepted"] == 0 and not e.sink.messages


def test_trust_by_words(make):
    """E3: names in HELO, and verbs that would change the client's address."""
    e = tls_engine(make, [{}], {"access": {"networks": ["192.0.2.0/24"]}})
    for helo in ("localhost", "relay.example.test", "[127.0.0.1]", "[192.0.2.1]"):
        with Client(e.port) as c:
            c.ehlo(helo)
            for verb in ("XCLIENT ADDR=192.0.2.1", "XFORWARD ADDR=192.0.2.1", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2"):
                assert c.cmd(verb).code in (500, 554), verb
            c.ok("MAIL FROM:<a@localhost>")
            assert c.cmd("RCPT TO:<u@far.test>").status == "554 5.7.1"


def test_percent_is_a_name_for_those_who_may(make):
    """E1: forms with % and ! are never interpreted: who may relay sends them on as they are."""
    e = make.relay()
    forms = ["u%x.test@far.test", "x.test!u@far.test", '"u@x.test"@far.test']
    with connect(e.port) as c:
        assert c.submit(to=forms).code == 250
        assert c.submit(to=["@a.test,@b.test:u@far.test"]).code == 250  # RFC 5321 3.6.1: the route is dropped
    assert sorted(r for m in e.sink.wait(2) for r in m.rcpts) == sorted([*forms, "u@far.test"])


# ---- backup MX ----

def stranger_sends(port, to, sender="x@stranger.test"):
    with Client(port, source=OUTSIDE) as c:
        c.ehlo()
        c.ok(f"MAIL FROM:<{sender}>")
        reply = c.cmd(f"RCPT TO:<{to}>")
        if reply.code == 250:
            assert c.data(message()).code == 250
        return reply.status


def test_backup_mx(world):
    """001-08: taken from anybody, for that domain alone; sent to MX hosts nearer than ourselves and to no other."""
    zone = {"back.test": {"mx": [[10, "mx0.back.test"], [20, "relay.example.test"], [30, "mx2.back.test"]]},
            "mx0.back.test": {"a": ["127.0.0.2"]}, "relay.example.test": {"a": ["127.0.0.3"]},
            "mx2.back.test": {"a": ["127.0.0.4"]}}
    w = world(zone, {"access": {"networks": ["127.0.0.1/32"], "relay_domains": ["back.test"]},
                     "queue": {"schedule": ["1s"], "jitter": 0}}, sinks=("127.0.0.2", "127.0.0.3", "127.0.0.4"))
    near, self_, far = (w.sinks[a] for a in ("127.0.0.2", "127.0.0.3", "127.0.0.4"))
    assert stranger_sends(w.engine.port, "u@back.test") == "250 2.1.5"
    assert stranger_sends(w.engine.port, "u@BACK.test", "") == "250 2.1.5"
    near.wait(2)
    for to in ("u@sub.back.test", "u@notback.test", "u@far.test", "postmaster"):
        assert stranger_sends(w.engine.port, to) == "554 5.7.1", to
    near.script["connect"] = near.script["mail"] = lambda s, a: Close("421 4.3.2 closed")
    assert stranger_sends(w.engine.port, "v@back.test") == "250 2.1.5"
    w.engine.event("deferred", count=2)
    assert not self_.sessions and not far.sessions
    near.script.clear()
    near.wait(3)


def test_relay_domain_is_not_everything(world):
    """Of several recipients only those of the relay domain."""
    w = world(mx("back.test"), {"access": {"networks": [], "relay_domains": ["back.test"]}})
    with Client(w.engine.port) as c:
        c.ehlo()
        c.ok("MAIL FROM:<x@stranger.test>")
        codes = [c.cmd(f"RCPT TO:<{r}>").code for r in ("a@back.test", "b@far.test", "c@back.test", "d@[127.0.0.2]")]
        assert codes == [250, 554, 250, 554]
        assert c.data(message()).code == 250
    assert w.sinks["127.0.0.2"].wait(1)[0].rcpts == ["a@back.test", "c@back.test"]


# ---- in whose name ----

def sender_status(c, sender):
    c.cmd("RSET")
    reply = c.cmd(f"MAIL FROM:<{sender}>")
    return reply.status if reply.code != 250 else c.cmd("RCPT TO:<u@far.test>").status


def test_restrict_domain(make):
    """D6: 003-14, traps 13 and 14: listed domains and those below; the null sender is refused."""
    e = make.relay({**LOGINS, "sender": {"restrict": "domain"}, "domains": [{"name": "own.test"}, {"name": "b.test"}]})
    with connect(e.port) as c:
        for sender in ("a@own.test", "a@OWN.Test", "a@x.y.own.test", "a@b.test", '"own.test"@b.test'):
            assert sender_status(c, sender) == "250 2.1.5", sender
        for sender in ("", "a@far.test", "a@notown.test", "a@own.test.evil.test", "own.test@far.test", "a@test",
                       '"a@own.test"@far.test'):
            c.cmd("RSET")
            c.ok(f"MAIL FROM:<{sender}>")
            reply = c.cmd("RCPT TO:<u@far.test>")
            assert repr(reply) == f"554 5.7.1 <{sender}>: Sender address rejected: Access denied"
    none = make.relay({**LOGINS, "sender": {"restrict": "domain"}})
    with connect(none.port) as c:
        assert sender_status(c, "a@own.test") == "554 5.7.1"


def test_restrict_email(make):
    """D6, 003-15: a user sends as what is its own; @domain without what is below; the null sender passes."""
    e = make.relay({**LOGINS, "sender": {"restrict": "email"}})
    with connect(e.port, user="ann") as c:
        for sender in ("ann@own.test", "ANN@own.TEST", "x@team.test", "x@TEAM.test", ""):
            assert sender_status(c, sender) == "250 2.1.5", sender
        for sender in ("ben@own.test", "x@sub.team.test", "x@far.test", '"ann@own.test"@far.test', "ann@own.test.far.test"):
            assert sender_status(c, sender) == "553 5.7.1", sender
        assert "not owned by user ann" in c.cmd("RCPT TO:<u@far.test>").text
    with connect(e.port, user="ben") as c:  # no list: any sender
        assert sender_status(c, "x@far.test") == "250 2.1.5"
    with connect(e.port) as c:  # not logged in, in a trusted network: what belongs to nobody
        assert sender_status(c, "x@far.test") == "250 2.1.5"
        assert sender_status(c, "ann@own.test") == "553 5.7.1"
        assert "not logged in" in c.cmd("RCPT TO:<u@far.test>").text
        assert sender_status(c, "") == "250 2.1.5"


def test_restrict_does_not_open(make):
    """A sender of ours makes nobody trusted; strangers to a relay domain may not use a user's address."""
    e = tls_engine(make, [{}], {**LOGINS, "sender": {"restrict": "email"},
                                "access": {"networks": [], "relay_domains": ["back.test"]}})
    with connect(e.port) as c:
        assert sender_status(c, "ann@own.test") == "554 5.7.1"
        c.cmd("RSET")
        c.ok("MAIL FROM:<ann@own.test>")
        assert c.cmd("RCPT TO:<u@back.test>").status == "553 5.7.1"
        c.cmd("RSET")
        c.ok("MAIL FROM:<x@stranger.test>")
        assert c.cmd("RCPT TO:<u@back.test>").status == "250 2.1.5"
    d = tls_engine(make, [{}], {**LOGINS, "sender": {"restrict": "domain"}, "domains": [{"name": "own.test"}],
                                "access": {"networks": [], "relay_domains": ["back.test"]}})
    with connect(d.port) as c:
        assert sender_status(c, "a@own.test") == "554 5.7.1"
        c.cmd("RSET")
        c.ok("MAIL FROM:<x@stranger.test>")
        assert c.cmd("RCPT TO:<u@back.test>").status == "250 2.1.5"


def test_reports_are_not_restricted(make):
    """Trap 13: our own reports have the null sender and go out under every rule."""
    e = make.relay({**LOGINS, "sender": {"restrict": "domain"}, "domains": [{"name": "own.test"}]})
    e.sink.script["rcpt"] = lambda s, a: "550 5.1.1 no" if b"bad@" in a else None
    with connect(e.port) as c:
        c.ok("MAIL FROM:<a@own.test>")
        c.ok("RCPT TO:<bad@far.test>")
        assert c.data(message()).code == 250
    report = e.sink.wait(1)[0]
    assert report.sender == b"" and report.rcpts == ["a@own.test"]


# ---- in whose name: the header ----

CHECKED = {**LOGINS, "sender": {"restrict": "email", "check_header": True}}


def written(*fields, body=b"Hello.\r\n"):
    return message(body=body).replace(b"From: <alice@example.test>\r\n", "".join(f + "\r\n" for f in fields).encode(), 1)


FORGED = [
    ["From: ceo@far.test"], ["From: ann@own.test, ceo@far.test"], ["From: ann@own.test", "From: ceo@far.test"],
    ["From: ceo@far.test", "From: ann@own.test"], ["FROM : ceo@far.test"], ["From:", " ceo@far.test"],
    ["From: ann@own.test", "Sender: ceo@far.test"], ["From: T: ann@own.test, ceo@far.test;"],
    ["From: (ann@own.test) ceo@far.test"], ['From: "ann@own.test" <ceo@far.test>'], ["From: ceo@far.test <ann@own.test>"],
    ["From: =?utf-8?q?ann=40own.test?= <ceo@far.test>"], ["From: =?utf-8?q?ann?=@own.test"],
    ["From: <ann@own.test> <ceo@far.test>"], ["From: <@own.test:ceo@far.test>"], ["From: ann@own.test <>"],
    ["From: ann@own.test@far.test"], ["From: undisclosed-recipients:;"], ["From: "], ["From: ann"], [],
    ["From: <ann@own.test"], ["From: ann@own.test", "Sender: "], ["From: ann@own.test.far.test"],
]
HONEST = [
    ["From: ann@own.test"], ["From: =?utf-8?q?=40nn?= <ANN@OWN.test>"], ["From:", '\t"ceo@far.test"', " (c) <ann@own.test>"],
    ["From: T: ann@own.test, x@team.test;"], ["From: ann@own.test <ann@own.test>", "Sender: x@team.test"],
    ["From: ann@own.test", "Reply-To: ceo@far.test", "X-From: ceo@far.test", "Resent-From: ceo@far.test"],
]


@pytest.fixture(scope="module", name="checked")
def make_checked(tmp_path_factory):
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("checked"))
    e = tls_engine(makers, [{}], CHECKED)
    yield e
    assert e.running, e.trouble()
    makers.finish()


def send_as_ann(c, content, chunked=False):
    c.envelope("ann@own.test", ["u@far.test"])
    return c.bdat(content) if chunked else c.data(content)


@pytest.mark.parametrize("chunked", [False, True], ids=["data", "bdat"])
@pytest.mark.parametrize("fields", FORGED, ids=range(len(FORGED)))
def test_forged_from(checked, fields, chunked):
    """D6: the envelope is ann's own, the header is not: 550 behind the dot, nothing is stored, the session goes on."""
    before = checked.counters()["accepted"], len(checked.sink.messages)
    with connect(checked.port, user="ann") as c:
        for content in (written(*fields), written(*fields, body=b""), written(*fields).split(b"\r\n\r\n")[0] + b"\r\n",
                        written(*fields, body=(b"x" * 76 + b"\r\n") * 4000)):
            reply = send_as_ann(c, content, chunked)
            assert reply.status == "550 5.7.1", reply
        assert checked.counters()["accepted"] == before[0]
        assert send_as_ann(c, written("From: ann@own.test"), chunked).code == 250
    assert checked.event("rejected", **{"from": "ann@own.test", "code": 550})
    checked.sink.wait(before[1] + 1)


@pytest.mark.parametrize("fields", HONEST, ids=range(len(HONEST)))
def test_honest_from(checked, fields):
    before = len(checked.sink.messages)
    with connect(checked.port, user="ann") as c:
        assert send_as_ann(c, written(*fields)).code == 250
        assert send_as_ann(c, written(*fields), True).code == 250
        c.send_pieces(b"MAIL FROM:<ann@own.test>\r\nRCPT TO:<u@far.test>\r\nDATA\r\n" + written(*fields) + b".\r\n", 1)
        assert [r.code for r in c.replies(4)] == [250, 250, 354, 250]
    for m in checked.sink.wait(before + 3)[before:]:
        assert all(f.encode() in m.data for f in fields)


def test_what_is_no_header_is_not_judged(checked):
    """A second From behind the header's end is body, and an empty line stands before it: for others, too."""
    before = len(checked.sink.messages)
    with connect(checked.port, user="ann") as c:
        assert send_as_ann(c, b"From: ann@own.test\r\nno field\r\nFrom: ceo@far.test\r\n\r\nx\r\n").code == 250
        assert send_as_ann(c, b"no field\r\nFrom: ann@own.test\r\n\r\nx\r\n").status == "550 5.7.1"
    assert b"From: ann@own.test\r\n\r\nno field\r\n" in checked.sink.wait(before + 1)[before].data


def test_header_check_is_of_those_who_may_relay(make):
    """Others have no list or are strangers; `domain` and `none`; a From field that we add is the envelope's sender."""
    forged = written("From: ceo@far.test")
    e = tls_engine(make, [{}], {**CHECKED, "access": {"networks": ["127.0.0.1/32"], "relay_domains": ["back.test"]}})
    with connect(e.port, user="ben") as c:
        assert c.submit(forged).code == 250
    with connect(e.port) as c:
        assert c.submit(forged).code == 250  # belongs to nobody
        assert c.submit(written("From: ann@own.test")).status == "550 5.7.1"
    with connect(e.port, OUTSIDE) as c:  # a list may pass on what ann wrote
        assert c.submit(written("From: ann@own.test"), "list@lists.test", ["u@back.test"]).code == 250
    d = make.relay({**LOGINS, "sender": {"restrict": "domain", "check_header": True}, "domains": [{"name": "own.test"}]})
    with connect(d.port) as c:
        assert c.submit(written("From: a@x.own.test"), "a@own.test").code == 250
        assert c.submit(forged, "a@own.test").status == "550 5.7.1"
    n = make.relay({**LOGINS, "sender": {"restrict": "none", "check_header": True}})
    with connect(n.port, user="ann") as c:
        assert c.submit(forged).code == 250
    a = make.relay({**CHECKED, "headers": {"add_missing": True}})
    with connect(a.port, user="ann") as c:
        assert send_as_ann(c, written()).code == 250
        assert b"\r\nFrom: ann@own.test\r\n" in a.sink.wait(1)[0].data
        assert send_as_ann(c, written("Sender: ann@own.test")).code == 250
    off = make.relay({**LOGINS, "sender": {"restrict": "email"}})
    with connect(off.port, user="ann") as c:
        assert send_as_ann(c, forged).code == 250


# ---- a submission port ----

def test_submission_mode(make):
    """RFC 6409: a login is asked for at MAIL (4.3), domains are full (4.2), Date and Message-ID are added (8); a relay
    port beside it takes mail as it is."""
    e = tls_engine(make, [{}, {"mode": "submission"}], LOGINS)
    relay, submission = e.ports
    bare = b"From: a@b.test\r\nSubject: x\r\n\r\nHello.\r\n"
    with connect(submission) as c:
        assert repr(c.cmd("MAIL FROM:<a@b.test>")) == "530 5.7.0 Authentication required"
        assert c.cmd("MAIL FROM:<a@localhost>").status == "530 5.7.0"
    with connect(submission, user="ben") as c:
        for sender in ("a@localhost", '"a@b.test"@host'):
            assert repr(c.cmd(f"MAIL FROM:<{sender}>")) == "554 5.1.8 Sender address needs a full domain"
        c.ok("MAIL FROM:<>")
        c.ok("RSET")
        c.ok("MAIL FROM:<a@b.test>")
        assert repr(c.cmd("RCPT TO:<c@host>")) == "554 5.1.2 Recipient address needs a full domain"
        c.ok("RCPT TO:<c@far.test>")
        c.ok("RCPT TO:<c@[127.0.0.1]>")
        assert c.data(bare).code == 250
        for content in (message(), message(headers=["Message-ID:", "Date: whenever"]), b"\r\nno header\r\n", b"body only\r\n"):
            assert c.submit(content).code == 250
    with connect(relay) as c:
        assert c.submit(bare, "a@localhost", ["c@host"]).code == 250
    got = [m.data for m in e.sink.wait(6)]
    added = [d for d in got if b"\r\nSubject: x\r\n" in d and b"\r\nDate: " in d]
    assert len(added) == 1 and added[0].count(b"\r\nMessage-ID: <") == 1 and b"with ESMTPA" in added[0]
    assert added[0].endswith(b"\r\n\r\nHello.\r\n") and added[0].count(b"From: ") == 1
    untouched = [d for d in got if b"From: <alice@example.test>" in d and b"whenever" not in d]
    assert len(untouched) == 1 and untouched[0].count(b"Message-ID: ") == untouched[0].count(b"Date: ") == 1
    for text in (b"\r\n\r\nno header\r\n", b"\r\n\r\nbody only\r\n"):
        d = next(d for d in got if d.endswith(text))
        head = d[:-len(text)]
        assert b"\r\nMessage-ID: <" in head and b"\r\nDate: " in head and b"\r\nFrom: " not in head
    as_it_is = [d for d in got if b"\r\nSubject: x\r\n" in d and b"\r\nDate: " not in d]
    assert len(as_it_is) == 1 and b"Message-ID" not in as_it_is[0]


def test_submission_mode_with_other_rules(make):
    """What is said in access and reject_at goes before the mode."""
    e = tls_engine(make, [{"mode": "submission", "access": "network"}, {"mode": "submission", "reject_at": "rcpt"}], LOGINS)
    with connect(e.ports[0]) as c:
        assert c.submit().code == 250
        assert c.cmd("MAIL FROM:<a@localhost>").status == "554 5.1.8"
    with connect(e.ports[1]) as c:
        c.ok("MAIL FROM:<a@b.test>")
        assert c.cmd("RCPT TO:<c@far.test>").status == "554 5.7.1"


# ---- networks ----

@pytest.mark.parametrize("networks, may4, may6", [
    (["127.0.0.0/8"], True, False), (["::1"], False, True), (["::ffff:127.0.0.0/104"], True, False),
    (["0.0.0.0/0"], True, False), (["::/0"], None, True), (["127.0.0.1", "::1/128"], True, True),
    (["10.0.0.0/8", "fc00::/7"], False, False), ([], False, False)])
def test_both_families(make, networks, may4, may6):
    """A client by IPv4 is one by IPv4, also on a socket of both families."""
    e = tls_engine(make, [{"address": "::"}], {"access": {"networks": networks}})
    for host, may in (("127.0.0.1", may4), ("::1", may6)):
        try:
            c = Client(e.port, host)
        except ConnectionRefusedError:
            assert host == "127.0.0.1"  # `::` is IPv6 alone on this listener
            continue
        with c:
            c.ehlo()
            c.ok("MAIL FROM:<a@b.test>")
            assert may is None or (c.cmd("RCPT TO:<u@far.test>").code == 250) == may, (host, networks)


def test_reload(make):
    """SIGHUP takes other networks; a session that is open keeps what it began with."""
    e = tls_engine(make, [{}], {"access": {"networks": ["127.0.0.0/8"]}})
    with connect(e.port) as old:
        e.write({"access": {"networks": ["192.0.2.0/24"]}})
        e.process.send_signal(signal.SIGHUP)
        e.event("reloaded")

        def refused():
            with connect(e.port) as c:
                c.ok("MAIL FROM:<a@b.test>")
                return c.cmd("RCPT TO:<u@far.test>").status == "554 5.7.1"
        wait_until(refused, 5, "the new rule")
        assert old.submit().code == 250


def test_refusals_are_logged(table):
    """One recipient refused, the other taken; who, what and why is in the log."""
    with connect(table.ports[0]) as c:
        c.ok("MAIL FROM:<a@b.test>")
        assert c.cmd("RCPT TO:<logged@local.test>").status == "550 5.1.1"
        c.ok("RCPT TO:<ok@far.test>")
        assert c.data(message()).code == 250
    logged = table.event("rejected", to="logged@local.test", code=550)
    assert logged["from"] == "a@b.test" and logged["stage"] == "rcpt"
