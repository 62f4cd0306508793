# SPDX-License-Identifier: GPL-3.0-or-later
"""Name servers that lie, break and are impersonated (F2, F6–F10). Whatever comes, nobody connects to where the lie
points, nothing bounces for want of an answer, and the mail goes out when the answers are good. (The rest of F is in
test_mx.py.)"""
import random
import socket
import struct

import pytest

from harness import dnswire
from harness.client import Client
from harness.dnswire import WireServer, mx, question_of, record, reply
from harness.engine import measuring
from harness.message import message
from harness.mxworld import World, send
from harness.wait import wait_until

GOOD, EVIL = "127.0.0.2", "127.0.0.66"
HOST = dnswire.name("evil.test")


def plain(data):
    """What is changed below: an MX that would lead to the wrong place."""
    return reply(data, mx("evil.test"))


def at_end(data, *more):
    """The name behind 12 bytes of record and preference is `more`, which may use its own offset."""
    offset = 12 + len(question_of(data)[2]) + 12 + 2
    parts = [p(offset) if callable(p) else p for p in more]
    return reply(data, mx(b"".join(parts)))


def pointer(offset):
    return struct.pack("!H", 0xC000 | offset)


def zone_of(troubled):
    zone = {"evil.test": {"a": [EVIL]}, "back.test": {"a": [GOOD]}}
    for domain in troubled:
        zone[domain] = {"mx": [[10, f"mx.{domain}"]], "a": [EVIL]}  # no fallback to the A either
        zone[f"mx.{domain}"] = {"a": [GOOD]}
    return zone


# F7: answers that say nothing about the domain. A behaviour of dnsserver.py for the MX question.
SILENT = ["servfail", "refused", "notimp", "drop", "garbage", "short", "lame", "empty", "wrong-id", "wrong-question",
          "truncate-always", ["truncate", "tcp-drop"], ["truncate", "tcp-close"], "loop-pointer", "lying-count"]

# F9: packets that are no answers, to the MX question.
MALFORMED = {
    "pointer to itself": lambda d: at_end(d, pointer),
    "two pointers in a circle": lambda d: at_end(d, lambda o: b"\1a" + pointer(o + 4), lambda o: b"\1b" + pointer(o)),
    "pointer past the end": lambda d: at_end(d, b"\xff\xff"),
    "pointer ahead": lambda d: at_end(d, lambda o: pointer(o + 2) + HOST),
    "half a pointer": lambda d: at_end(d, b"\xc0"),
    "owner points into the header": lambda d: reply(d, mx("evil.test", owner=b"\xc0\0")),
    "label of type 01": lambda d: at_end(d, b"\x44abcd\0"),
    "label of type 10": lambda d: at_end(d, b"\x84abcd\0"),
    "label past the end": lambda d: at_end(d, b"\x3fevil"),
    "no root label": lambda d: at_end(d, b"\4evil\4test"),
    "rdata of 0": lambda d: reply(d, record("MX", b"")),
    "rdata of 1": lambda d: reply(d, record("MX", b"\0")),
    "rdata of 2": lambda d: reply(d, record("MX", b"\0\x0a")),
    "rdata shorter than its name": lambda d: reply(d, mx("evil.test", length=7)),
    "rdata longer than the packet": lambda d: reply(d, mx("evil.test", length=4000)),
    "65,535 answers announced": lambda d: reply(d, mx("evil.test"), counts=(1, 65535, 0, 0)),
    "65,535 of each announced": lambda d: reply(d, mx("evil.test"), counts=(1, 65535, 65535, 65535)),
    "10,000 MX announced, 100 there": lambda d: reply(d, mx("evil.test") * 100, counts=(1, 10000, 0, 0)),
    "65,535 questions announced": lambda d: reply(d, mx("evil.test"), counts=(65535, 1, 0, 0)),
    "no question": lambda d: reply(d, mx("evil.test", owner=HOST), counts=(0, 1, 0, 0), question=b""),
    "header alone": lambda d: plain(d)[:12],
    "11 bytes": lambda d: plain(d)[:11],
    "1 byte": lambda d: plain(d)[:1],
    "cut in the ttl": lambda d: plain(d)[:len(plain(d)) - len(HOST) - 6],
    "a question, no response": lambda d: reply(d, mx("evil.test"), flags=0x0100),
    "our own question": lambda d: d,
    "answer to another opcode": lambda d: reply(d, mx("evil.test"), flags=dnswire.PLAIN | 0x2800),
    "zeros": lambda d: d[:2] + bytes(1200),
    "ones": lambda d: d[:2] + b"\xff" * 1200,
    "noise": lambda d: d[:2] + b"\x81\x80" + random.Random(9).randbytes(1200),
}
# The same for the address of a good MX host.
MALFORMED_A = {
    "A of 3 bytes": lambda d: reply(d, record("A", b"\x7f\0\0")),
    "A of 0 bytes": lambda d: reply(d, record("A", b"")),
    "A cut short": lambda d: reply(d, record("A", b"\x7f\0\0\x42"))[:-2],
    "A announced 500 times": lambda d: reply(d, record("A", b"\x7f\0\0\x42"), counts=(1, 500, 0, 0)),
}
# What a server may put into names that are no host names: the mail cannot be delivered, and says so.
NO_HOST = {"line feed in the name": b"\6ev\r\nil\4test\0", "nul in the name": b"\5ev\0il\4test\0",
           "space in the name": b"\6ev  il\4test\0", "8-bit name": b"\4\xff\xfe\x80\xc0\4test\0",
           "name of 320 bytes": (b"\x3f" + b"e" * 63) * 5 + b"\0", "a dot in a label": b"\x09evil.test\0",
           "an address as a name": b"\x03127\x010\x010\x0266\0"}


@pytest.fixture(name="wired")
def make_wired(make):
    """A world with a name server of bytes."""
    def build(zone, conf=None):
        w = World(make, {}, conf)
        w.dns.close()
        w.dns = make.add(WireServer(zone).start())
        w.conf["dns"]["servers"] = [w.dns.endpoint]
        w.sink(GOOD)
        w.sink(EVIL)
        return w
    return build


def submit_all(w, domains, sender="alice@back.test"):
    with Client(w.engine.port) as c:
        c.ehlo()
        for domain in domains:
            assert c.submit(message(domain), sender=sender, to=[f"bob@{domain}"]).code == 250


def outcomes(w, domains):
    """{domain: its first event} when there is one of each."""
    def seen():
        first = {}
        for e in w.engine.events():
            if e.get("event") in ("delivered", "deferred", "bounced"):
                first.setdefault(e["to"].rpartition("@")[2], e)
        return first if all(d in first for d in domains) else None
    return wait_until(seen, 60, "an outcome for each domain")


def test_no_answer_is_no_verdict(make, wired):
    """F7, F9: all of them at once: each waits with 4.4.3, none bounces, none goes to the A of its domain or to where
    half of a packet points; other mail goes on; when the answers are good everything arrives."""
    troubles = {}
    for i, b in enumerate(SILENT):
        troubles[f"s{i}.test"] = ("behave", b)
    for i, f in enumerate(MALFORMED.values()):
        troubles[f"m{i}.test"] = ("MX", f)
    for i, f in enumerate(MALFORMED_A.values()):
        troubles[f"a{i}.test"] = ("A", f)
    names = dict(zip(troubles, [str(b) for b in SILENT] + list(MALFORMED) + list(MALFORMED_A)))
    w = wired(zone_of([*troubles, "fine.test"]))
    for domain, (kind, what) in troubles.items():
        if kind == "behave":
            w.dns.zone[domain]["behave"] = {"MX": what}
        else:
            w.dns.wire[(domain if kind == "MX" else f"mx.{domain}", kind)] = \
                lambda data, transport, peer, f=what: f(data)
    w.engine = make.engine(w.conf, env=measuring())
    before = w.engine.memory()
    submit_all(w, [*troubles, "fine.test"])
    w.sinks[GOOD].with_subject("fine.test")
    found = outcomes(w, troubles)
    wrong = {names[d]: (e["event"], e["status"]) for d, e in found.items()
             if d in names and (e["event"], e["status"]) != ("deferred", "4.4.3")}
    assert not wrong
    assert w.engine.memory("VmHWM") - before < 32 << 20
    w.dns.wire.clear()
    for domain in troubles:
        w.dns.zone[domain].pop("behave", None)
    counters = w.engine.wait_empty(60)
    assert counters["bounced"] == 0 and counters["delivered"] == len(troubles) + 1
    assert sorted(m.subject for m in w.sinks[GOOD].messages) == sorted([*troubles, "fine.test"])
    assert w.sinks[EVIL].connections == 0


def test_names_that_are_no_hosts(make, wired):
    """F9: records that exist and name no host: 5.4.4 to the sender, no look-up of what they say."""
    domains = [f"n{i}.test" for i in range(len(NO_HOST))]
    w = wired(zone_of(domains))
    w.dns.zone["ev"] = w.dns.zone["il.test"] = {"a": [EVIL]}
    for domain, raw in zip(domains, NO_HOST.values()):
        w.dns.wire[domain, "MX"] = lambda data, transport, peer, raw=raw: reply(data, mx(raw))
    w.engine = make.engine(w.conf)
    submit_all(w, domains, sender="")
    found = outcomes(w, domains)
    assert {(e["event"], e["status"]) for e in found.values()} == {("bounced", "5.4.4")}, found
    assert w.sinks[EVIL].connections == 0
    assert {name for name, kind, *_ in w.dns.asked if kind != "MX"} == set()


def test_64_kb_of_mx(make, wired):
    """F6: as many as fit an answer: 100 hosts count, the rest is not even looked up."""
    w = wired({"back.test": {"a": [GOOD]}})
    count = 3100  # 65 kB

    def hosts(data, transport, peer):
        if transport == "udp":
            return reply(data, counts=(1, 0, 0, 0), flags=PLAIN_TRUNCATED)
        rows = (mx(b"%c%s\xc0\x0c" % (4, b"%04d" % i), preference=i) for i in range(count))
        made = reply(data, b"".join(rows), counts=(1, count, 0, 0))
        assert 60000 < len(made) < 65536
        return made
    w.dns.wire["many.test", "MX"] = hosts
    w.dns.zone["*.many.test"] = {"a": ["127.0.0.9"]}  # nobody listens
    w.engine = make.engine(w.conf, env=measuring())
    before = w.engine.memory()
    submit_all(w, ["many.test"])
    assert w.engine.event("deferred")["status"][:1] == "4"
    asked = {n for n, kind, *_ in w.dns.asked if kind in ("A", "AAAA")}
    assert asked == {f"{i:04d}.many.test" for i in range(100)}
    assert w.engine.memory("VmHWM") - before < 32 << 20


PLAIN_TRUNCATED = dnswire.PLAIN | 0x0200


class Forger:
    """For WireServer.wire: a lie, by whoever guesses all but one thing, ahead of the truth."""

    def __init__(self, server, how):
        self.how = how
        self.elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.elsewhere.bind(("127.0.0.77", server.port) if how == "another host" else ("127.0.0.1", 0))

    def close(self):
        self.elsewhere.close()

    def __call__(self, data, transport, peer):
        asked, _, question = question_of(data)
        lie = reply(data, mx("evil.test", preference=1))
        ident = struct.unpack("!H", data[:2])[0]
        lies = []
        if transport == "tcp":
            pass  # nobody else can
        elif self.how in ("another port", "another host"):
            self.elsewhere.sendto(lie, peer)
        elif self.how == "65,535 wrong ids":
            lies = [struct.pack("!H", (ident + 1 + i) & 0xFFFF) + lie[2:] for i in range(0xFFFF)]
        elif self.how == "another question":
            lies = [reply(data, mx("evil.test", owner=HOST), question=HOST + b"\0\x0f\0\1")]
        elif self.how == "another type":
            lies = [reply(data, mx("evil.test"), question=question[:-4] + b"\0\x01\0\1")]
        elif self.how == "another case":
            lies = [reply(data, mx("evil.test"), question=question[:-4].swapcase() + question[-4:])]
        return [*lies, reply(data, mx(f"mx.{asked.lower()}"))]


FORGERIES = ["another port", "another host", "65,535 wrong ids", "another question", "another type", "another case"]


def test_forged_answers_are_dropped(make, wired):
    """F8: who does not see the question has to guess its source port, its id and the case of its letters; forged
    answers that get one of them wrong change nothing, however many come first."""
    domains = [f"f{i}.test" for i in range(len(FORGERIES))]
    w = wired(zone_of(domains))
    for domain, how in zip(domains, FORGERIES):
        w.dns.wire[domain, "MX"] = make.add(Forger(w.dns, how))
    w.engine = make.engine(w.conf)
    submit_all(w, domains)
    assert w.engine.wait_empty(60)["delivered"] == len(domains)
    assert w.sinks[EVIL].connections == 0 and len(w.sinks[GOOD].messages) == len(domains)


def test_questions_cannot_be_guessed(make, wired):
    """F8: a source port per question, ids and letter case at random."""
    domains = [f"guess-the-letters-{i:02d}.test" for i in range(40)]
    w = wired(zone_of(domains))
    cased = []

    def note(data, transport, peer):
        cased.append(question_of(data)[0])
        return reply(data, mx("mx." + question_of(data)[0]))
    for domain in domains:
        w.dns.wire[domain, "MX"] = note
    w.engine = make.engine(w.conf)
    submit_all(w, domains)
    assert w.engine.wait_empty(60)["delivered"] == len(domains)
    udp = w.dns.count(transport="udp")
    ids = [i for *_, i, _ in w.dns.asked]
    assert len(w.dns.ports) > udp * 0.9  # 120 of 28,000: a few may meet
    assert len(set(ids)) > len(ids) * 0.95
    steps = {(struct.unpack("!H", b)[0] - struct.unpack("!H", a)[0]) & 0xFFFF for a, b in zip(ids, ids[1:])}
    assert len(steps) > len(ids) * 0.9  # neither counted up nor by a fixed step
    patterns = {"".join("x" if c.isupper() else "-" for c in name[:18]) for name in cased}
    assert len(patterns) > 35


def test_formerr_switches_nothing_off_for_others(make, wired):
    """F10: one FORMERR costs EDNS for that question only."""
    w = wired(zone_of(["old.test", "new.test"]))
    w.dns.zone["old.test"]["behave"] = "noedns"
    w.engine = make.engine(w.conf)
    w.sinks[GOOD].with_subject(send(w, "bob@old.test"))
    w.sinks[GOOD].with_subject(send(w, "bob@new.test"))
    edns = {}
    for name, kind, _, with_edns in w.dns.asked:
        edns.setdefault((name, kind), []).append(with_edns)
    assert edns["old.test", "MX"] == [True, False]
    assert all(all(e) for (name, _), e in edns.items() if name != "old.test"), edns


def test_an_answer_that_changes_its_mind(make, wired):
    """F2: a public address while it is checked, ours when it is used. What is connected to is what was checked, each
    time anew. (From 127.0.0.1 no packet leaves this machine: the kernel refuses.)"""
    w = wired(zone_of(["flip.test"]), {"delivery": {"private_targets": "deny", "source_address4": "127.0.0.1"},
                                       "dns": {"ttl_min": 0}})
    for domain in ("flip.test", "mx.flip.test"):
        w.dns.zone[domain]["ttl"] = 0
    w.dns.zone["mx.flip.test"]["a"] = ["11.0.0.1"]
    w.engine = make.engine(w.conf)
    submit_all(w, ["flip.test"], sender="")
    w.engine.event("deferred")
    w.dns.zone["mx.flip.test"]["a"] = [GOOD]
    assert w.engine.event("bounced")["status"] == "5.4.4"
    assert w.sinks[GOOD].connections == 0
