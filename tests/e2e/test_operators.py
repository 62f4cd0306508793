# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator does with queued mail: retry, hold, release, bounce, delete, suspend, resume."""
import re
import threading
import time
from email import message_from_bytes

import pytest

from harness.client import Client, submit
from harness.engine import check_sum, run
from harness.message import message, tag
from harness.wait import wait_until

WORKERS = [1, 2]
HOUR = {"queue": {"schedule": ["1h"]}}


class Gate:
    """A sink that refuses everything for now while `shut`, and counts by recipient."""

    def __init__(self, make, text="451 4.7.1 greylisted"):
        self.shut = True
        self.text = text
        self.sink = make.sink(script={"rcpt": lambda s, a: self.text if self.shut else None})

    def delivered(self):
        return sorted(r for m in self.sink.messages for r in m.rcpts)


@pytest.fixture(params=WORKERS)
def rig(request, make):
    """Deferred for an hour: three messages, five recipients at three domains."""
    gate = Gate(make)
    engine = make.relay({**HOUR, "workers": request.param}, sink=gate.sink)
    engine.gate = gate
    engine.ids = []
    for sender, to in (("ann@a.test", ["1@one.test", "1@two.test"]),
                       ("bob@b.test", ["2@one.test"]),
                       ("ann@a.test", ["3@two.test", "3@three.test"])):
        reply = submit(engine.port, sender=sender, to=to)
        engine.ids.append(re.search(r"\b([0-9A-Z]{13})\b", reply.text).group(1))
    engine.event("deferred", count=5)
    return engine


def order(engine, *args, check=True):
    """The one line of an order's answer."""
    lines = engine.queue(*args, check=check)
    assert len(lines) == 1, lines
    return lines[0]


def suspend(engine, *args):
    done = run(*args, "--json", "--socket", engine.socket)
    return done


def states(engine):

    return {r["to"]: r["state"] for m in engine.queue("ls", "--limit", "100000") for r in m["recipients"]}


def restart(engine, kill=False):
    if kill:
        engine.kill()
    else:
        engine.stop()
    engine.start()


SELECTORS = [
    (lambda e: ["--id", e.ids[0]], {"1@one.test", "1@two.test"}),
    (lambda e: ["--recipient", "2@ONE.test"], {"2@one.test"}),
    (lambda e: ["--domain", "Two.test"], {"1@two.test", "3@two.test"}),
    (lambda e: ["--sender", "ann@a.test"], {"1@one.test", "1@two.test", "3@two.test", "3@three.test"}),
    (lambda e: ["--last-reply", "GREYlisted"],
     {"1@one.test", "1@two.test", "2@one.test", "3@two.test", "3@three.test"}),
    (lambda e: ["--sender", "ann@a.test", "--domain", "one.test"], {"1@one.test"}),
    (lambda e: ["--older-than", "1h"], set()),
    (lambda e: ["--last-reply", "mailbox full"], set()),
    (lambda e: ["--sender", "<>"], set()),
    (lambda e: ["--site", "127.0.0.1"], {"1@one.test", "1@two.test", "2@one.test", "3@two.test", "3@three.test"}),
    (lambda e: ["--all"], {"1@one.test", "1@two.test", "2@one.test", "3@two.test", "3@three.test"}),
]


@pytest.mark.parametrize("number", range(len(SELECTORS)))
def test_a_selection_means_the_same_to_every_verb(rig, number):
    """Counting first, then the real thing: hold, release, delete; the others are as they were."""
    args, want = SELECTORS[number]
    args = args(rig)
    before = states(rig)
    for verb in ("retry", "hold", "bounce", "delete"):
        dry = order(rig, verb, *args, "--dry-run")
        assert dry["dry_run"] is True and dry["recipients"] == len(want), (verb, dry)
    assert order(rig, "release", *args, "--dry-run")["recipients"] == 0
    if args != ["--all"]:
        assert order(rig, "stats", *args)["recipients"] == len(want)
        assert {r["to"] for m in rig.queue("ls", *args) for r in m["recipients"]} >= want
    assert states(rig) == before
    assert order(rig, "hold", *args)["recipients"] == len(want)
    assert states(rig) == {to: "held" if to in want else "deferred" for to in before}
    assert order(rig, "release", *args, "--dry-run")["recipients"] == len(want)
    assert order(rig, "delete", *args)["recipients"] == len(want)
    left = states(rig)
    assert {to: s for to, s in left.items() if s != "cancelled"} == {
        to: "deferred" for to in before if to not in want}
    counters = rig.counters()
    check_sum(counters)
    assert counters["cancelled"] == len(want) and counters["queued"] == 5 - len(want)
    assert len(rig.events("cancelled")) == len(want)


def test_an_order_has_to_say_what_it_means(rig):
    for verb in ("retry", "hold", "release", "bounce", "delete"):
        done = run("queue", verb, "--socket", rig.socket)
        assert done.returncode == 64 and "--all" in done.stderr, done
    assert run("queue", "delete", "--id", "nonsense!", "--socket", rig.socket).returncode == 64
    assert run("queue", "ls", "--dry-run", "--socket", rig.socket).returncode == 64


def test_retry(rig):
    rig.gate.shut = False
    assert order(rig, "retry", "--domain", "one.test")["recipients"] == 2
    wait_until(lambda: rig.gate.delivered() == ["1@one.test", "2@one.test"], 10, "the two")
    assert order(rig, "retry", "--all")["recipients"] == 3
    assert rig.wait_empty()["delivered"] == 5


def test_a_retry_survives_a_crash(rig):
    """It is recorded: what was to be attempted now is not put off for the rest of the hour."""
    order(rig, "retry", "--all")  # deferred again, for another hour
    rig.event("deferred", count=10)
    order(rig, "hold", "--all")
    rig.gate.shut = False
    order(rig, "release", "--recipient", "3@three.test")
    wait_until(lambda: rig.gate.delivered() == ["3@three.test"], 10, "the released one")
    restart(rig, kill=True)
    assert set(states(rig).values()) == {"held", "delivered"} or set(states(rig).values()) == {"held"}


@pytest.mark.parametrize("kill", [False, True])
def test_held_mail_stays_held_over_a_restart(rig, kill):
    assert order(rig, "hold", "--sender", "ann@a.test")["recipients"] == 4
    rig.gate.shut = False
    restart(rig, kill)
    held = {to for to, s in states(rig).items() if s == "held"}
    assert held == {"1@one.test", "1@two.test", "3@two.test", "3@three.test"}
    order(rig, "retry", "--all")
    wait_until(lambda: rig.gate.delivered() == ["2@one.test"], 10, "what is not held")
    assert order(rig, "retry", "--all")["recipients"] == 0  # that is what release is for
    assert order(rig, "release", "--all")["recipients"] == 4
    assert rig.wait_empty()["queued"] == 0
    check_sum(rig.counters())
    assert len(rig.gate.delivered()) == 5


def test_new_mail_is_not_held(rig):
    order(rig, "hold", "--domain", "one.test")
    rig.gate.shut = False
    submit(rig.port, to=["new@one.test"])
    wait_until(lambda: rig.gate.delivered() == ["new@one.test"], 10, "the new one")


def test_bounce_tells_the_senders(rig):
    rig.gate.shut = False
    answer = order(rig, "bounce", "--domain", "two.test")
    assert (answer["messages"], answer["recipients"]) == (2, 2)
    counters = rig.counters()
    check_sum(counters)
    assert counters["bounced"] == 2
    wait_until(lambda: len(rig.gate.sink.messages) == 2, 10, "two reports")
    for m in rig.gate.sink.messages:
        assert not m.sender and m.rcpts == ["ann@a.test"]
        status = message_from_bytes(m.data).get_payload()[1].as_string()
        assert "Status: 5.7.1" in status and "by the administrator" in m.data.decode()
    assert {e["status"] for e in rig.events("bounced")} == {"5.7.1"}


def test_bounce_without_reports(rig):
    rig.gate.shut = False
    assert order(rig, "bounce", "--all", "--no-report")["recipients"] == 5
    assert rig.wait_empty()["bounced"] == 5
    assert rig.gate.sink.messages == [] and rig.stats()["dsn"] == 0


def test_what_was_ordered_is_durable_when_it_is_answered(rig):
    """kill -9 right behind the answer."""
    order(rig, "delete", "--domain", "one.test")
    rig.kill()
    rig.start()
    order(rig, "bounce", "--recipient", "3@three.test", "--no-report")
    rig.kill()
    rig.start()
    assert {to for to, s in states(rig).items() if s == "deferred"} == {"1@two.test", "3@two.test"}
    check_sum(rig.counters())


def test_ls_goes_on_behind_an_id(rig):
    for i in range(30):
        submit(rig.port, to=[f"x{i}@one.test"])
    rig.event("deferred", count=35)
    ids = [m["id"] for m in rig.queue("ls")]
    assert len(ids) == 33 and ids == sorted(ids) and ids[:3] == rig.ids
    seen, after = [], []
    while page := rig.queue("ls", "--limit", "7", *after):
        assert len(page) <= 7
        seen += [m["id"] for m in page]
        after = ["--after", seen[-1]]
    assert seen == ids
    paged = [m["id"] for m in rig.queue("ls", "--limit", "5", "--after", ids[4], "--domain", "two.test")]
    assert paged == []


@pytest.mark.parametrize("workers", WORKERS)
def test_tenants_and_campaigns(make, workers):
    """Selected, suspended and resumed by name, in whatever case."""
    gate = Gate(make)
    engine = make.relay({**HOUR, "workers": workers}, sink=gate.sink)
    for n, (tenant, campaign) in enumerate((("acme", "spring"), ("acme", "fall"), ("other", "spring"))):
        submit(engine.port, message(tag(), headers=[f"X-Ringpost-Tenant: {tenant}",
                                                    f"X-Ringpost-Campaign: {campaign}"]), to=[f"{n}@x.test"])
    engine.event("deferred", count=3)
    assert order(engine, "hold", "--tenant", "Acme", "--dry-run")["recipients"] == 2
    assert order(engine, "hold", "--campaign", "spring", "--dry-run")["recipients"] == 2
    assert order(engine, "delete", "--tenant", "acme", "--campaign", "fall")["recipients"] == 1
    gate.shut = False
    for scope in ("tenant:ACME", "campaign:spring"):
        assert suspend(engine, "suspend", scope).returncode == 0
    restart(engine)
    order(engine, "retry", "--all")
    wait_until(lambda: {s for t, s in states(engine).items() if t != "1@x.test"} == {"suspended"}, 10, "both suspended")
    suspend(engine, "resume", "campaign:Spring")
    wait_until(lambda: gate.delivered() == ["2@x.test"], 10, "the other tenant's")
    assert states(engine) == {"0@x.test": "suspended"}
    suspend(engine, "resume", "tenant:acme")
    assert engine.wait_empty()["delivered"] == 2


# ---- what is under way ----

@pytest.mark.parametrize("workers", WORKERS)
def test_what_stands_in_a_line_is_taken_back(make, workers):
    """A destination that answers slowly over one connection: what waits for it is deleted, the one in
    transaction is delivered."""
    go = threading.Event()

    def dot(session, data):
        go.wait(30)
    sink = make.sink(script={"dot": dot}, features=["8BITMIME"])
    engine = make.relay({"workers": workers, "delivery": {"connections_per_site": 1}}, sink=sink)
    try:
        with Client(engine.port) as c:
            c.ehlo()
            for i in range(40):
                assert c.submit(message(tag()), to=[f"u{i}@slow.test"]).code == 250
        wait_until(lambda: engine.stats()["inflight"] >= 1, 10, "a transaction")
        answer = order(engine, "delete", "--domain", "slow.test")
        assert answer["recipients"] == 40 and 1 <= answer["sending"] <= 4, answer
        counters = engine.counters()
        check_sum(counters)
        assert counters["cancelled"] == 40 - answer["sending"]
    finally:
        go.set()
    counters = engine.wait_empty()
    check_sum(counters)
    assert counters["delivered"] + counters["cancelled"] == 40 and counters["delivered"] <= 4


def test_what_is_in_a_transaction_is_held_when_it_fails(make):
    answers = threading.Event()

    def rcpt(session, arg):
        answers.wait(30)
        return "451 4.2.0 later"
    sink = make.sink(script={"rcpt": rcpt})
    engine = make.relay({"queue": {"schedule": ["1s"]}}, sink=sink)
    try:
        submit(engine.port, to=["a@one.test"])
        wait_until(lambda: engine.stats()["inflight"] == 1, 10, "a transaction")
        assert order(engine, "hold", "--all")["sending"] == 1
    finally:
        answers.set()
    wait_until(lambda: states(engine) == {"a@one.test": "held"}, 10, "held")
    restart(engine, kill=True)
    assert states(engine) == {"a@one.test": "held"}


# ---- suspensions ----

@pytest.mark.parametrize("workers", WORKERS)
def test_a_suspended_domain_waits_and_others_flow(make, workers):
    engine = make.relay({"workers": workers})
    assert suspend(engine, "suspend", "quiet.test", "--reason", "their wish").returncode == 0
    for i in range(10):
        submit(engine.port, to=[f"u{i}@Quiet.test", f"u{i}@other.test"])
    engine.sink.wait(10)
    listed = [r for m in engine.queue("ls") for r in m["recipients"]]
    assert {r["state"] for r in listed if r["to"].lower().endswith("@quiet.test")} == {"suspended"}
    assert order(engine, "stats", "--domain", "quiet.test")["suspended"] == 10
    check_sum(engine.counters())
    assert engine.counters()["delivered"] == 10 and not engine.events("deferred")
    shown = suspend(engine, "suspend", "ls")
    assert '"domain:quiet.test"' in shown.stdout and '"their wish"' in shown.stdout
    assert "their wish" in run("suspend", "ls", "--socket", engine.socket).stdout
    began = time.monotonic()
    assert suspend(engine, "resume", "quiet.test").returncode == 0
    engine.sink.wait(20)
    assert time.monotonic() - began < 3
    assert engine.wait_empty()["delivered"] == 20
    assert "nothing is suspended" in run("suspend", "ls", "--socket", engine.socket).stdout
    assert suspend(engine, "resume", "quiet.test").returncode == 1


def test_waiting_for_a_suspension_writes_nothing(make):
    engine = make.relay()
    suspend(engine, "suspend", "all")
    for _ in range(5):
        submit(engine.port)
    frames = engine.stats()["spool"]["frames"]
    cpu = engine.cpu_seconds()
    time.sleep(1)
    assert engine.stats()["spool"]["frames"] == frames
    assert engine.cpu_seconds() - cpu < 0.3
    assert engine.counters()["queued"] == 5 and not engine.sink.connections


@pytest.mark.parametrize("scope", ["all", "one.test", "domain:ONE.test", "site:127.0.0.1"])
@pytest.mark.parametrize("kill", [False, True])
def test_a_suspension_survives_a_restart_and_so_does_its_end(make, scope, kill):
    engine = make.relay()
    assert suspend(engine, "suspend", scope).returncode == 0
    submit(engine.port, to=["a@one.test"])
    restart(engine, kill)
    submit(engine.port, to=["b@one.test"])
    wait_until(lambda: set(states(engine).values()) == {"suspended"}, 10, "both suspended")
    assert not engine.sink.messages
    assert suspend(engine, "resume", scope).returncode == 0
    assert engine.wait_empty()["queued"] == 0
    restart(engine, kill)
    assert "nothing is suspended" in run("suspend", "ls", "--socket", engine.socket).stdout
    submit(engine.port, to=["c@one.test"])
    engine.sink.wait(3)


def test_suspending_takes_back_what_stands_in_line(make):
    go = threading.Event()
    sink = make.sink(script={"dot": lambda s, d: go.wait(30) and None}, features=["8BITMIME"])
    engine = make.relay({"workers": 2, "delivery": {"connections_per_site": 1}}, sink=sink)
    try:
        for i in range(20):
            submit(engine.port, to=[f"u{i}@one.test"])
        wait_until(lambda: engine.stats()["inflight"] >= 1, 10, "a transaction")
        assert suspend(engine, "suspend", "one.test").returncode == 0
        count = order(engine, "stats", "--domain", "one.test")
        assert count["suspended"] >= 16 and count["ready"] == 0, count
    finally:
        go.set()
    wait_until(lambda: engine.stats()["inflight"] == 0, 10, "the end of what was begun")
    assert engine.counters()["queued"] >= 16
    suspend(engine, "resume", "one.test")
    assert engine.wait_empty()["delivered"] == 20


@pytest.mark.parametrize("workers", WORKERS)
def test_a_suspension_ends_by_itself(make, workers):
    engine = make.relay({"workers": workers})
    assert suspend(engine, "suspend", "one.test", "--for", "2s").returncode == 0
    submit(engine.port, to=["a@one.test"])
    began = time.monotonic()
    assert states(engine) == {"a@one.test": "suspended"}
    engine.sink.wait()
    assert time.monotonic() - began > 0.5
    wait_until(lambda: "nothing" in run("suspend", "ls", "--socket", engine.socket).stdout, 5, "its end")
    restart(engine)
    assert "nothing" in run("suspend", "ls", "--socket", engine.socket).stdout


def test_what_cannot_be_suspended(relay):
    for word in ("site:", "tenant:", "nobody:x", "a b", "domain:" + "x" * 300):
        assert suspend(relay, "suspend", word).returncode == 64, word
    assert suspend(relay, "suspend").returncode == 64
    assert suspend(relay, "suspend", "x.test", "--for", "soon").returncode == 64


# ---- large queues ----

@pytest.mark.parametrize("workers", WORKERS)
def test_twenty_thousand(make, workers):
    """A tenth is deleted, for the time of a walk; the rest is bounced without reports in one order."""
    gate = Gate(make)
    engine = make.relay({**HOUR, "workers": workers, "log": {"level": "warn"}}, sink=gate.sink, start=False)
    engine.spawn().wait_for_port()
    suspend(engine, "suspend", "all")

    def client(k):
        with Client(engine.port, timeout=60) as c:
            c.ehlo()
            for i in range(200):
                to = [f"u{k}.{i}.{n}@d{n}.test" for n in range(10)]
                assert c.submit(message(tag()), to=to).code == 250
    threads = [threading.Thread(target=client, args=(k,)) for k in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert engine.counters()["queued"] == 20000
    began = time.monotonic()
    assert order(engine, "hold", "--domain", "nowhere.test")["recipients"] == 0
    walk = time.monotonic() - began
    began = time.monotonic()
    answer = order(engine, "delete", "--domain", "d3.test")
    took = time.monotonic() - began
    assert (answer["messages"], answer["recipients"]) == (2000, 2000)
    assert took < 5 + 20 * walk, (took, walk)
    commits = engine.stats()["spool"]["commits"]
    assert order(engine, "bounce", "--all", "--no-report")["recipients"] == 18000
    assert engine.stats()["spool"]["commits"] - commits < 500  # not one for each message
    counters = engine.wait_empty()
    check_sum(counters)
    assert (counters["cancelled"], counters["bounced"]) == (2000, 18000)
