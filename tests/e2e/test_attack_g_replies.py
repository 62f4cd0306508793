# SPDX-License-Identifier: GPL-3.0-or-later
"""G8: servers whose replies no SMTP server gives. Several hundred of them at once, each at an address of its own, each
with one kind of nonsense at one stage, against one engine. What becomes of the mail is in the tables; whatever becomes
of it, nobody else's mail waits, memory stays bounded, and when the servers are good all that was deferred arrives."""
import asyncio
from collections import Counter

import pytest

from harness.client import Client, submit
from harness.engine import measuring
from harness.hostile import Case, Endless, Hostile, Pieces, Stall
from harness.message import message
from harness.sink import ALL, Close, Delay, Reset, Silence
from harness.tls_peer import TlsSession, TlsSink, peer_ca, policy_world
from harness.wait import run_all, wait_until

PATIENT, HASTY = "60s", "4s"  # deadlines of each stage
PIPELINED = ("PIPELINING", "8BITMIME")
STEPWISE = ("8BITMIME",)
CODE = {"connect": b"220", "ehlo": b"250", "mail": b"250", "rcpt": b"250", "data": b"354", "dot": b"250", 
        "rset": b"250", "quit": b"221"}
# stage -> (the stage of the script, EHLO keywords); "alone" is without PIPELINING, the last two with BDAT.
STAGES = {"connect": ("connect", PIPELINED), "ehlo": ("ehlo", PIPELINED), "mail": ("mail", PIPELINED),
          "rcpt": ("rcpt", PIPELINED), "rcpt alone": ("rcpt", STEPWISE), "data": ("data", PIPELINED),
          "data alone": ("data", STEPWISE), "dot": ("dot", PIPELINED), "quit": ("quit", PIPELINED),
          "rset": ("rset", ALL), "bdat": ("dot", ALL)}

# What is no reply at all. {} is the code that would be right.
BROKEN = {
    "000": b"000 ok\r\n", "999": b"999 ok\r\n", "199": b"199 ok\r\n", "600": b"600 ok\r\n", "100": b"100-continue\r\n",
    "2": b"2\r\n", "25": b"25\r\n", "no code": b"hello\r\n", "empty line": b"\r\n", "letters": b"2x0 ok\r\n",
    "four digits": b"2500 ok\r\n", "leading zero": b"0250 ok\r\n", "leading space": b" {} ok\r\n",
    "negative": b"-{} ok\r\n", "hex": b"0xfa ok\r\n", "exponent": b"2e2 ok\r\n",
    "wide digits": "\uff12\uff15\uff10 ok\r\n".encode(), "no space": b"{}ok\r\n", "tab": b"{}\tok\r\n",
    "colon": b"{}: ok\r\n", "8-bit": bytes(range(128, 160)) + b"\r\n", "nul first": b"\0{} ok\r\n",
    "nul in the code": b"2\x0050 ok\r\n", "nul behind the code": b"{}\0ok\r\n", "bare cr": b"\r{} ok\r\n",
    "empty line first": b"\r\n{} ok\r\n", "mixed codes": b"{}-a\r\n550 b\r\n",
    "mixed codes, good last": b"550-a\r\n{} b\r\n",
    "mixed within 2xx": b"250-a\r\n251 b\r\n", "continued by text": b"{}-a\r\nhello\r\n",
    "line of 5 kB": b"{} " + b"x" * 5000 + b"\r\n", "line of 1 MB": b"{} " + b"x" * (1 << 20) + b"\r\n",
    "65 lines": b"{}-x\r\n" * 64 + b"{} x\r\n", "5,000 lines": b"{}-x\r\n" * 5000 + b"{} x\r\n",
    "40 kB": (b"{}-" + b"x" * 1000 + b"\r\n") * 40 + b"{} x\r\n", "http": b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.9\r\n", "tls alert": b"\x15\x03\x01\x00\x02\x02\x28\r\n", "imap": b"* OK ready\r\n",
    "endless lines": Endless(b"{}-x\r\n"), "endless line": Endless(b"x", b"{} "), "endless nuls": Endless(b"\0"),
}
# It ends before a whole reply has come.
LOST = {
    "close": Close(), "reset": Reset(), "close in a code": Close(b"25"), "close in a line": Close(b"{} o"),
    "close before the lf": Close(b"{} ok\r"), "close between lines": Close(b"{}-first\r\n"),
    "reset in a line": Reset(b"{}-first\r\n25"),
}
# It stays away. A byte now and then buys no time.
LATE = {
    "silence": Stall(b""), "stalls in a code": Stall(b"2"), "stalls before the lf": Stall(b"{} ok\r"),
    "stalls between lines": Stall(b"{}-first\r\n"), "slow drip": Endless(b"x", b"{} ", 0.4),
    "slow lines": Endless(b"{}-x\r\n", b"", 0.4),
}
# Odd, but a reply: the engine takes it for what its code says.
FINE = {
    "code alone": b"{}\r\n", "code and space": b"{} \r\n", "bare lf": b"{} ok\n", "bare lf in lines": b"{}-a\n{} b\r\n",
    "nul in the text": b"{} a\0b\r\n", "8-bit text": b"{} \xff\xfe\x80\r\n", "cr in the text": b"{} a\rb\r\n",
    "cr cr lf": b"{} ok\r\r\n", "escape": b"{} \x1b[2J\x07\r\n", "64 lines": b"{}-x\r\n" * 63 + b"{} x\r\n",
    "line of 4096": b"{} " + b"x" * 4090 + b"\r\n", "30 kB": (b"{}-" + b"x" * 1000 + b"\r\n") * 29 + b"{} x\r\n",
    "enhanced of another class": b"{} 5.1.1 no such user\r\n", "enhanced that is none": b"{} 2.999999.1 x\r\n",
    "format string": b"{} %s%n%p\r\n",
    "each byte alone": lambda reply: Pieces([reply[i:i + 1] for i in range(len(reply))]),
    "late": lambda reply: Delay(1, reply),
}
# Definite refusals, however they look.
REFUSED = {
    "5xx": b"550 no\r\n", "5xx code alone": b"550\r\n", "5xx of 64 lines": b"550-x\r\n" * 63 + b"550 x\r\n",
    "5xx with a good enhanced code": b"550 2.1.5 fine\r\n", "5xx with nul": b"550 a\0\xff\r\n",
    "5xx with 4.x.x": b"554 4.7.1 later\r\n", "599": b"599 x\r\n",
}
BUSY = {
    "4xx": b"451 later\r\n", "421": b"421 closing\r\n", "421 and close": Close(b"421 4.3.2 closing\r\n"),
    "4xx with 5.x.x": b"450 5.1.1 no\r\n", "499": b"499 x\r\n", "421 of 64 lines": b"421-x\r\n" * 63 + b"421 x\r\n",
}
# A reply, but to something else.
MISFIT = {"354": b"354 go on\r\n", "334": b"334 \r\n", "300": b"300 x\r\n", "2xx to data": b"250 ok\r\n"}
# {} and one that answers nothing.
EXTRA = {"twice": b"{} ok\r\n{} ok\r\n", "and 354": b"{} ok\r\n354 go\r\n", "five times": b"{} ok\r\n" * 5,
         "and nonsense": b"{} ok\r\nhello\r\n", "and 421": b"{} ok\r\n421 bye\r\n"}
# No reply to this one, but to those behind it: they shift, and a refusal may hit the wrong command.
SKIPPED = {"left out": Silence()}
KINDS = {"broken": BROKEN, "lost": LOST, "fine": FINE, "refused": REFUSED, "busy": BUSY, "misfit": MISFIT,
         "extra": EXTRA, "late": LATE, "skipped": SKIPPED}


def expected(stage, kind, name):
    """(event, status; None: any)."""
    fits = kind == "misfit" and (name == "2xx to data") != (stage == "data") and name in ("2xx to data", "354")
    fits = fits and not (name == "354" and stage != "data")
    if stage == "quit" or kind == "fine" or fits:
        return {"delivered"}, None
    if kind in ("broken", "misfit", "lost", "late"):
        return {"deferred"}, "4.5.0" if kind in ("broken", "misfit") else "4.4.2"
    if kind == "refused":
        # Who does not greet is another host's turn, or later; who knows no EHLO may know HELO; RSET was ours.
        return {"connect": {"deferred"}, "ehlo": {"delivered"}, "rset": {"delivered"}}.get(stage, {"bounced"}), None
    if kind == "busy":
        return {"delivered"} if stage == "rset" and not name.startswith("421") else {"deferred"}, None
    if kind == "extra":
        # Behind the answer to the message nothing can go wrong any more. Who says 250 to RSET as often as there are
        # commands behind it says that it has taken the message.
        return {"dot": {"delivered"}, "rset": {"delivered", "deferred"}}.get(stage, {"deferred"}), None
    return {"deferred", "bounced"}, None


def made(entry, stage):
    """The table's entry with the right code in it."""
    def fill(text):
        return text.replace(b"{}", CODE[stage])
    if callable(entry):
        return entry(CODE[stage] + b" as it should be\r\n")
    if isinstance(entry, bytes):
        return fill(entry)
    if isinstance(entry, Close):
        return type(entry)(fill(entry.reply)) if entry.reply else entry
    if isinstance(entry, Stall):
        return Stall(fill(entry.part))
    if isinstance(entry, Endless):
        return Endless(fill(entry.unit), fill(entry.first), entry.pause)
    return entry


def all_cases():
    """({address: Case}, {address: (what it is called in STAGES, stage, kind, name)})."""
    cases, names = {}, {}
    for where, (stage, features) in STAGES.items():
        for kind, entries in KINDS.items():
            if (where.endswith("alone") or where == "quit") and kind in ("broken", "fine"):
                entries = dict(list(entries.items())[::4])
            for name, entry in entries.items():
                address = f"127.77.{len(cases) >> 8}.{len(cases) & 255}"
                cases[address] = Case(stage, made(entry, stage), features)
                names[address] = (where, stage, kind, name)
    return cases, names


def address_of(rcpt):
    return rcpt.partition("@")[2].strip("[]")


class Field:
    """All the servers, the engine, and what the log says about each."""

    def __init__(self, make):
        cases, self.names = all_cases()
        self.sink = make.add(Hostile(cases).start())
        self.engine = make.engine({"delivery": {"mx_port": self.sink.port, "private_targets": "allow",
                                                "idle_timeout": "1s", **self.deadlines(PATIENT)},
                                   "queue": {"schedule": ["1h"], "jitter": 0}}, env=measuring())

    @staticmethod
    def deadlines(time):
        return {f"{s}_timeout": time for s in ("greeting", "ehlo", "mail", "rcpt", "data", "body", "data_done")}

    def be_hasty(self):
        self.engine.write({"delivery": self.deadlines(HASTY)})
        self.engine.hup()
        self.engine.event("reloaded")

    def submit(self, addresses):
        """Each message has a sender of its own, to whom its report goes."""
        with Client(self.engine.port, timeout=60) as c:
            c.ehlo()
            for a in addresses:
                sender = f"of-{a.replace('.', '-')}@[127.78.0.1]"
                assert c.submit(message(a), sender=sender, to=[f"x@[{a}]"]).code == 250

    def events(self):
        """{address: its events}."""
        found = {}
        for e in self.engine.events():
            if e.get("event") in ("delivered", "deferred", "bounced") and e["to"].startswith("x@"):
                found.setdefault(address_of(e["to"]), []).append(e)
        return found

    def wait(self, addresses):
        """Until each has an outcome."""
        wait_until(lambda: len(self.events()) >= len(addresses), 100, "an outcome of each", interval=0.2)
        return self.events()


def test_hostile_replies(make):
    """G8: every kind at every stage."""
    field = Field(make)
    addresses, engine, sink = list(field.names), field.engine, field.sink
    assert len(addresses) >= 300
    before = engine.memory()
    slow = [a for a in addresses if field.names[a][2] in ("late", "skipped")]
    quick = [a for a in addresses if a not in slow]
    run_all([lambda part=quick[i::4]: field.submit(part) for i in range(4)])
    field.wait(quick)
    field.be_hasty()
    field.submit(slow)
    field.submit(["127.78.0.2"])  # somebody else's mail, to a good server
    found = field.wait(addresses + ["127.78.0.2"])

    wrong = {}
    for address, (where, stage, kind, name) in field.names.items():
        allowed, status = expected(stage, kind, name)
        first = found[address][0]
        if first["event"] not in allowed or (status and first["status"] != status):
            wrong[where, kind, name] = (first["event"], first["status"], first["reply"][:60])
    assert not wrong
    assert [e["event"] for e in found["127.78.0.2"]] == ["delivered"]
    assert engine.memory("VmHWM") - before < 48 << 20
    bounced = {a for a, events in found.items() if events[-1]["event"] == "bounced"}

    # They are good servers now: everything that waits is delivered, nothing else.
    before_good = len(sink.attempts)
    sink.good = True
    wait_until(lambda: engine.queue("retry", "--all") and engine.counters()["queued"] == 0, 60,
               "an empty queue", interval=1)
    counters = engine.counters()
    assert counters["bounced"] == len(bounced)
    assert counters["delivered"] == len(addresses) + 1 - len(bounced) + len(bounced)  # and the reports
    judge_copies(field, before_good, bounced)


def judge_copies(field, before_good, bounced):
    """Nobody got another's mail; one copy each, and one more for each outcome that nobody could know; a report for
    each that bounced and for no other."""
    copies, reports = Counter(), Counter()
    for i, m in enumerate(field.sink.attempts):
        if m.session.address == "127.78.0.1":
            assert m.sender == b""
            reports[m.rcpts[0]] += 1
            continue
        assert m.rcpts == [f"x@[{m.session.address}]"] and m.subject == m.session.address
        _, stage, kind, _ = field.names.get(m.session.address, ("", "", "", ""))
        definite = i < before_good and stage == "dot" and kind in ("refused", "busy")
        copies[m.session.address] += not definite
    assert reports == {f"of-{a.replace('.', '-')}@[127.78.0.1]": 1 for a in bounced}
    for address, events in field.events().items():
        where = field.names.get(address)
        unknown = sum(bool(e.get("outcome_unknown")) for e in events)
        final = events[-1]["event"]
        assert final in ("delivered", "bounced"), (where, events)
        if where and where[1:3] == ("rset", "extra"):
            continue  # what it says more is taken for its answers to MAIL and to the message
        assert copies[address] <= 1 + unknown, (where, events)
        assert final == "bounced" or copies[address], (where, events)


@pytest.mark.parametrize("where", ["connect", "ehlo", "rcpt", "dot"])
def test_each_byte_may_be_the_last_of_its_segment(make, where):
    """G8: a reply cut at any byte is the same reply."""
    reply = {"connect": b"220-a\r\n220 b\r\n", "ehlo": b"250-x\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
             "rcpt": b"250-2.1.5 a\r\n250 2.1.5 b\r\n", "dot": b"250-2.0.0 a\r\n250 2.0.0 b\r\n"}[where]
    cuts = range(1, len(reply))
    cases = {f"127.77.0.{at}": Case(where, Pieces([reply[:at], reply[at:]]), PIPELINED) for at in cuts}
    sink = make.add(Hostile(cases).start())
    engine = make.engine({"delivery": {"mx_port": sink.port, "private_targets": "allow"}})
    with Client(engine.port) as c:
        c.ehlo()
        assert c.submit(message("cut"), to=[f"x@[{a}]" for a in cases]).code == 250
    assert engine.wait_empty(30)["delivered"] == len(cases)
    assert not engine.events("deferred") and len(sink.messages) == len(cases)


class Dripping(TlsSession):
    """The record with the answer to MAIL comes byte by byte."""

    async def flush(self):
        if self.commands and self.commands[-1].verb == "MAIL":
            data = self.outgoing.read()
            for i in range(len(data)):
                await self.sink.loop.sock_sendall(self.socket, data[i:i + 1])
                await asyncio.sleep(0.5)
        await super().flush()


def test_a_tls_record_in_drips_buys_no_time(make, tmp_path, monkeypatch):
    """G8: the deadline is for the whole reply under TLS, too."""
    monkeypatch.setattr(TlsSink, "session_type", Dripping)
    e = policy_world(make, peer_ca(tmp_path), "encrypt", conf={"delivery": {"mail_timeout": "2s"}}, features=STEPWISE)
    submit(e.port, message("drip"))
    event = e.event("deferred", timeout=30)
    assert (event["status"], event["stage"], event["reply"]) == ("4.4.2", "mail", "peer did not answer in time")
    assert not e.events("delivered") and event["delay_ms"] < 20000  # the record alone takes longer
