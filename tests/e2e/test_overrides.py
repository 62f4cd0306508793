# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of `automation:`: what a peer's replies make the engine do, seen at the far end."""
import json
import subprocess

import pytest

from harness.client import Client
from harness.engine import run
from harness.message import message, tag
from harness.shaped import Shaped, fill
from harness.sink import Close, Delay
from harness.wait import stays_false, wait_until

WORKERS = pytest.mark.parametrize("workers", [1, 2])

SLOW = "451 4.7.0 slow down, test of rules"
PLAIN = {"builtin": False}


def rule(action, **more):
    return {"pattern": "test of rules", "sample": SLOW, "scope": "site", "trigger": "3/1m", "action": action, **more}


class Ruled(Shaped):
    """Domains at one sink that answers SLOW to recipients named slow…"""

    def __init__(self, make, rules, workers=1, names=("one",), conf=None, shaping=None, script=None, **more):
        script = {"rcpt": lambda s, arg: SLOW if b"<slow" in arg else None, **(script or {})}
        conf = {"workers": workers, "automation": {"builtin": False, "rules": rules},
                "queue": {"schedule": ["600s"]}, **(conf or {})}
        super().__init__(make, list(names), shaping or {}, conf, script, **more)

    def send(self, to, count=1, headers=()):
        with Client(self.engine.port, timeout=60) as c:
            c.ehlo()
            for _ in range(count):
                reply = c.submit(message(tag(), headers=list(headers)), to=[to])
                assert reply.code == 250, reply

    def overrides(self, *args):
        done = run("overrides", *(args or ("ls",)), "--json", "--socket", self.engine.socket)
        assert done.returncode == 0, done
        return [json.loads(line) for line in done.stdout.splitlines()]

    def one(self, timeout=15, **fields):
        """Waits until exactly this is in force."""
        def found():
            these = self.overrides()
            fits = len(these) == 1 and all(these[0].get(k) == v for k, v in fields.items())
            return these[0] if fits else None
        return wait_until(found, timeout, f"one override with {fields}", interval=0.1)

    def site(self, word="one.test"):
        done = run("explain", word, "-c", self.engine.file, "--json")
        assert done.returncode == 0, done
        live = json.loads(done.stdout)["live"]
        return live[0] if live else {}

    def bound_by_override(self, word="one.test"):
        return wait_until(lambda: (lambda s: s if s.get("binding") == "override" else None)(self.site(word)), 15,
                          "an override that binds", interval=0.1)


@WORKERS
def test_a_rule_counts_and_the_class_is_told(make, workers):
    w = Ruled(make, {"r": rule("suspend", duration="60s")}, workers,
              conf={"automation": {"builtin": False, "rules": {"r": rule("suspend", duration="60s")},
                                   "classify": [{"class": "rate-limited", "code": 451, "pattern": "test of rules",
                                                 "sample": SLOW}]}})
    w.send("slow@one.test", 2)
    events = w.engine.event("deferred", count=2)
    assert all(e["class"] == "rate-limited" for e in events), events
    assert w.overrides() == []
    listed = w.engine.queue("ls")
    assert all(r["class"] == "rate-limited" for m in listed for r in m["recipients"]), listed
    w.send("slow@one.test")
    o = w.one(action="suspend", rule="r", scope="site", replies=1)
    assert o["sample"] == SLOW and "one.prov.test" in o["where"] and o["percent"] == 0, o
    assert o["since"] < o["until"] <= o["ends"], o
    fired = w.engine.event("override")
    assert fired["rule"] == "r" and fired["class"] == "rate-limited" and fired["code"] == 451, fired
    assert w.engine.stats()["automation"]["fired"] == 1


@WORKERS
def test_suspended_mail_waits_and_wakes(make, workers):
    w = Ruled(make, {"r": rule("suspend", duration="4s", every="1s", step="50%")}, workers, names=["one", "two"],
              same_host=False)
    w.send("slow@one.test", 3)
    o = w.one(action="suspend")
    begun = len(w.sink.commands("MAIL"))
    fill(w.engine, ["one"], 20)
    assert w.bound_by_override()["override"]["id"] == o["id"]
    text = run("explain", "one.test", "-c", w.engine.file).stdout
    assert "held up by   override" in text and "rule r" in text and "test of rules" in text, text
    fill(w.engine, ["two"], 5)
    wait_until(lambda: len(w.of("two")) == 5, 10, "mail to others")
    assert len(w.sink.commands("MAIL")) == begun + 5, "something was sent in between"
    assert w.engine.events("deferred")[3:] == [], "waiting is no attempt"
    w.sink.wait(25, timeout=30)
    assert len(w.of("one")) == 20
    wait_until(lambda: w.overrides() == [], 15, "the end of it", interval=0.1)


@WORKERS
def test_fewer_connections_then_step_by_step_more(make, workers):
    w = Ruled(make, {"r": rule("connections", value="2", duration="3s", step="25%", every="1s")}, workers,
              shaping={"default": {"connections": 8, "messages_per_connection": 1000, "chunking_window": 1}},
              script={"dot": lambda s, a: Delay(0.25)})
    fill(w.engine, ["one"], 400)
    wait_until(lambda: w.sink.open_sessions == 8, 15, "all connections")
    w.send("slow@one.test", 3, headers=["X-Ringpost-Priority: urgent"])
    o = w.one(action="connections")
    assert o["of"] == 8 and o["connections"] == 2, o
    wait_until(lambda: w.sink.open_sessions == 2, 10, "two connections")
    s = w.bound_by_override()
    assert s["connections"]["limit"] == 2 and s["override"]["connections"] == 2, s
    seen = []

    def grown():
        seen.append(w.sink.open_sessions)
        return not w.overrides()
    wait_until(grown, 30, "recovery", interval=0.1)
    assert max(seen) <= 8 and {4, 6} & set(seen), seen
    assert sorted(set(seen)) == sorted(set(seen), key=seen.index), f"not step by step: {seen}"


@WORKERS
def test_a_rate_is_cut_and_a_relapse_halves_it(make, workers):
    w = Ruled(make, {"r": rule("rate", value="10/s", duration="60s", trigger="1/1m")}, workers,
              shaping={"default": {"connections": 4, "message_rate": {"limit": "64/s", "burst": 1}}})
    fill(w.engine, ["one"], 20)
    w.sink.wait(20)
    w.send("slow@one.test", 1)
    o = w.one(action="rate", relapses=0)
    limit = o["messages_per_day"] / 86400
    assert 9.99 < limit <= 10.01 and o["of"] == 64 * 86400, o
    fill(w.engine, ["one"], 30)
    w.sink.wait(50, timeout=60)
    times = sorted(m.at for m in w.sink.messages[20:])
    assert times[-1] - times[0] >= 28 / limit - 0.3, (times[-1] - times[0], limit)
    w.engine.event("override")
    w.send("slow@one.test", 1)
    # Within the settle time of five seconds nothing more happens; later it is halved.

    def again():
        w.send("slow@one.test", 1)
        return w.overrides()[0]["relapses"] >= 1
    wait_until(again, 30, "a relapse", interval=1)
    assert w.overrides()[0]["messages_per_day"] / 86400 <= limit / 2 + 0.01


@WORKERS
def test_messages_on_a_connection(make, workers):
    w = Ruled(make, {"r": rule("messages_per_connection", value="2", duration="60s", trigger="1/1m")}, workers,
              shaping={"default": {"connections": 1, "chunking_window": 1}})
    fill(w.engine, ["one"], 10)
    w.sink.wait(10)
    w.send("slow@one.test")
    w.one(action="messages_per_connection", messages_per_connection=2)
    before = len(w.sink.sessions)
    fill(w.engine, ["one"], 12)
    w.sink.wait(22)
    assert all(s.messages <= 2 for s in w.sink.sessions[before:]), [s.messages for s in w.sink.sessions]
    assert len(w.sink.sessions) >= before + 5


@WORKERS
def test_what_waits_is_bounced(make, workers):
    w = Ruled(make, {"r": rule("bounce", duration="60s", trigger="3/1m")}, workers, names=["one", "two"],
              shaping={"domains": {"one.test": {"message_rate": {"limit": "60/h", "burst": 4}}}})
    w.send("slow@one.test", 3)
    o = w.one(action="bounce")
    fill(w.engine, ["one", "two"], 10)
    bounced = w.engine.event("bounced", count=10, to="bob@one.test")
    assert all(e["stage"] == "route" and e["status"] == "5.7.1" for e in bounced), bounced
    assert all("test of rules" in e["reply"] for e in bounced), bounced[0]
    wait_until(lambda: len(w.of("two")) == 10, 10, "mail to others")
    assert w.one(action="bounce")["replies"] == o["replies"], "our own words taught something"


@WORKERS
def test_one_tenant_alone(make, workers):
    w = Ruled(make, {"r": rule("suspend", scope="tenant@site", duration="60s")}, workers)
    loud = ["X-Ringpost-Tenant: loud"]
    w.send("slow@one.test", 3, headers=loud)
    o = w.one(scope="tenant@site", who="loud")
    w.send("bob@one.test", 5, headers=loud)
    w.send("bob@one.test", 5, headers=["X-Ringpost-Tenant: calm"])
    w.send("bob@one.test", 5)
    w.sink.wait(10)
    assert stays_false(lambda: len(w.sink.messages) > 10, 0.7)
    assert w.bound_by_override()["override"]["id"] == o["id"]
    assert w.overrides("cancel", str(o["id"])) == [{"verb": "overrides cancel", "cancelled": 1}]
    w.sink.wait(15, timeout=10)


@WORKERS
def test_a_cancelled_one_stays_cancelled(make, workers):
    w = Ruled(make, {"r": rule("suspend", duration="1h")}, workers, names=["one", "two"])
    for name in ("one", "two"):
        w.send(f"slow@{name}.test", 3)
    wait_until(lambda: len(w.overrides()) == 2, 10, "both")
    fill(w.engine, ["one", "two"], 5)
    first = w.overrides()[0]
    w.overrides("cancel", str(first["id"]))
    w.sink.wait(5)
    wait_until(lambda: w.engine.counters()["delivered"] == 5, 10, "their results")
    w.engine.wait_durable()
    w.engine.kill()
    w.engine.start()
    assert [o["id"] for o in w.overrides()] != [first["id"]] and len(w.overrides()) == 1
    assert stays_false(lambda: len(w.sink.messages) > 5, 0.7)
    done = run("overrides", "cancel", str(first["id"]), "--socket", w.engine.socket)
    assert done.returncode == 1 and "no such override" in done.stderr, done
    assert w.overrides("cancel", "--all") == [{"verb": "overrides cancel", "cancelled": 1}]
    w.sink.wait(10)
    w.engine.kill()
    w.engine.start()
    assert w.overrides() == []


@WORKERS
def test_killed_and_started_again_it_still_holds(make, workers):
    w = Ruled(make, {"r": rule("suspend", duration="1h"), "c": rule("connections", value="1", duration="1h")}, workers)
    w.send("slow@one.test", 3)
    before = wait_until(lambda: (lambda o: o if len(o) == 2 else None)(w.overrides()), 10, "both")
    w.engine.wait_durable()
    wait_until(lambda: w.engine.stats()["automation"]["overrides"] == 2, 5, "both in the counts")
    w.engine.kill()
    w.engine.start()
    after = w.overrides()
    for b, a in zip(before, after):
        assert all(a[k] == b[k] for k in ("id", "scope", "action", "rule", "sample", "since", "until", "ends")), (b, a)
    begun = len(w.sink.commands("MAIL"))
    fill(w.engine, ["one"], 5)
    w.bound_by_override()
    assert len(w.sink.commands("MAIL")) == begun


def test_by_hand(make):
    w = Ruled(make, {})
    fill(w.engine, ["one"], 1)
    w.sink.wait(1)
    site = w.site()["site"]
    made = w.overrides("add", "site", "suspend", "--where", site, "--reason", "moving house")
    assert made[0]["manual"] and made[0]["reason"] == "moving house" and made[0]["ends"] is None, made
    fill(w.engine, ["one"], 3)
    assert w.bound_by_override()["override"]["reason"] == "moving house"
    w.engine.kill()
    w.engine.start()
    assert w.overrides()[0]["id"] == made[0]["id"]
    text = run("overrides", "ls", "--socket", w.engine.socket).stdout
    assert "suspend" in text and "by hand" in text and "moving house" in text, text
    w.overrides("cancel", "--all")
    w.sink.wait(4)
    for words, why in (((("sight", "suspend")), "scope"), (("site", "stop"), "action"), (("site", "rate"), "value"),
                       (("tenant@site", "connections", "--value", "2", "--where", site, "--who", "a"), "shared by all"),
                       (("site", "suspend"), "where=")):
        done = run("overrides", "add", *words, "--socket", w.engine.socket)
        assert done.returncode == 64 and why in done.stderr, (words, done)


@WORKERS
def test_a_refused_connection_counts_once(make, workers):
    """Hundred messages wait; the peer has said it twice, not two hundred times."""
    refuse = []
    w = Ruled(make, {"r": rule("connections", value="1", duration="60s", trigger="40/1m")}, workers,
              script={"connect": lambda s, a: Close(SLOW) if refuse else None},
              conf={"queue": {"schedule": ["1s"]}})
    refuse.append(True)
    fill(w.engine, ["one"], 100)
    w.engine.event("deferred", count=100)
    assert w.engine.stats()["automation"]["fired"] == 0
    refuse.clear()
    w.engine.wait_empty(60)


@WORKERS
def test_fail_ends_the_recipient(make, workers):
    w = Ruled(make, {"r": {"pattern": "test of rules", "sample": SLOW, "action": "fail"}}, workers)
    w.send("slow@one.test")
    e = w.engine.event("bounced", to="slow@one.test")
    assert e["code"] == 451 and e["reply"].startswith("slow down"), e
    assert w.overrides() == []


def test_a_reload_brings_rules_and_keeps_overrides(make):
    w = Ruled(make, {"r": rule("suspend", duration="1h", trigger="1/1m")})
    w.send("slow@one.test")
    o = w.one(rule="r")
    w.engine.conf["automation"]["rules"] = {"s": rule("rate", value="1/min", trigger="1/1m")}
    w.engine.write()
    w.engine.hup()
    w.engine.event("reloaded")
    assert w.one(rule="r")["id"] == o["id"]
    w.overrides("cancel", "--all")
    w.send("slow@one.test")
    w.one(rule="s")


BAD = [
    ({"r": rule("suspend", sample="250 2.0.0 ok")}, "a sample must be a reply that refuses"),
    ({"r": rule("suspend", sample="451 4.7.0 another text")}, "does not match its own sample"),
    ({"r": rule("suspend", provider="nobody")}, "can never fire: shaping has no provider"),
    ({"r": {**rule("suspend"), "class": "virus"}}, "can never fire for its sample"),
    ({"r": rule("reroute", value="ip9")}, "reroute needs `sources`"),
    ({"r": rule("suspend", scope="planet")}, "scope"),
    ({"r": {"action": "suspend", "patern": "x"}}, "did you mean pattern?"),
    ({"r": "gone"}, "must be a group of fields, or unset"),
    ({"r": "unset"}, "no built-in rule of this name"),
]


@pytest.mark.parametrize("rules,why", BAD)
def test_check_refuses(make, rules, why):
    engine = make.engine({"automation": {"builtin": False, "rules": rules}}, start=False)
    engine.write()
    done = run("check", "-c", engine.file)
    assert done.returncode == 78 and why in done.stderr, done
    assert "ringpost.yaml:" in done.stderr, done


def test_check_refuses_rows(make):
    rows = [{"class": "policy", "pattern": "test of", "sample": SLOW},
            {"class": "rate-limited", "pattern": "test of rules", "sample": SLOW}]
    engine = make.engine({"automation": {"classify": rows}}, start=False)
    engine.write()
    done = run("check", "-c", engine.file)
    assert done.returncode == 78 and "ringpost.yaml:" in done.stderr, done


def test_built_in_rules_can_go_one_by_one(make):
    for conf, count in (({}, 1), ({"builtin": False}, 0), ({"rules": {"rate-limited": "unset"}}, 0)):
        w = Shaped(make, ["one"], {}, {"automation": conf, "queue": {"schedule": ["600s"]}},
                   {"rcpt": lambda s, a: "450 4.7.0 Too many messages from 192.0.2.1, slow down" if b"<slow" in a
                    else None})
        fill(w.engine, ["one"], 20)
        with Client(w.engine.port) as c:
            c.ehlo()
            for _ in range(3):
                c.submit(message(tag()), to=["slow@one.test"])
        w.engine.event("deferred", count=3)

        def listed():
            done = run("overrides", "ls", "--json", "--socket", w.engine.socket)
            return [json.loads(x) for x in done.stdout.splitlines()]
        rates = [o for o in listed() if o["action"] == "rate"]
        assert len(rates) == count, (conf, listed())


@WORKERS
def test_mail_leaves_by_another_source(make, workers):
    w = Ruled(make, {"r": rule("reroute", value="other", scope="source@site", duration="3s")}, workers, conf={
        "sources": [{"name": "first", "addresses": ["127.0.0.3"]}, {"name": "other", "addresses": ["127.0.0.4"]}],
        "source_rules": [{"pool": "first"}]})
    w.send("bob@one.test")
    w.sink.wait(1)
    w.send("slow@one.test", 3)
    assert w.one(action="reroute")["who"] == "first"
    fill(w.engine, ["one"], 5)
    w.sink.wait(6)
    assert [m.session.peer[0] for m in w.sink.messages] == ["127.0.0.3"] + 5 * ["127.0.0.4"]
    wait_until(lambda: w.overrides() == [], 15, "the end of it", interval=0.1)
    fill(w.engine, ["one"], 1)
    w.sink.wait(7)
    assert w.sink.messages[-1].session.peer[0] == "127.0.0.3"


@WORKERS
def test_sources_that_send_on_to_each_other(make, workers):
    """A way of several steps is gone at once, to its end; in a circle mail stays where it is."""
    names = ("first", "other", "third")
    w = Ruled(make, {}, workers, conf={
        "sources": [{"name": n, "addresses": [f"127.0.0.{i}"]} for i, n in enumerate(names, 3)],
        "source_rules": [{"pool": "first"}]})

    def send_on(who, to):
        w.overrides("add", "source", "reroute", "--who", who, "--value", to)
    fill(w.engine, ["one"], 1)
    w.sink.wait(1)
    send_on("first", "other")
    send_on("other", "third")
    fill(w.engine, ["one"], 3)
    w.sink.wait(4)
    send_on("third", "other")
    fill(w.engine, ["one"], 3)
    w.sink.wait(7)
    send_on("third", "first")
    fill(w.engine, ["one"], 3)
    w.sink.wait(10)
    peers = [m.session.peer[0] for m in w.sink.messages]
    assert peers == ["127.0.0.3"] + 3 * ["127.0.0.5"] + 6 * ["127.0.0.3"], peers


@WORKERS
def test_a_signing_domain_alone(make, workers, tmp_path):
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    w = Ruled(make, {"r": rule("suspend", scope="dkim@site", duration="60s")}, workers, conf={
        "domains": [{"name": name, "dkim_selector": "s", "dkim_key_file": str(key)} for name in ("a.test", "b.test")]})

    def from_(domain, to, count=1):
        with Client(w.engine.port) as c:
            c.ehlo()
            for _ in range(count):
                text = message(tag()).replace(b"From: ", b"X-Was-From: ", 1)
                assert c.submit(b"From: x@" + domain.encode() + b"\r\n" + text, to=[to]).code == 250
    from_("a.test", "slow@one.test", 3)
    o = w.one(scope="dkim@site", who="a.test")
    from_("a.test", "bob@one.test", 3)
    from_("b.test", "bob@one.test", 3)
    w.sink.wait(3)
    assert stays_false(lambda: len(w.sink.messages) > 3, 0.7)
    assert all(b"d=b.test" in m.data for m in w.sink.messages)
    w.engine.kill()
    w.engine.start()
    assert w.bound_by_override()["override"]["id"] == o["id"]
    w.overrides("cancel", str(o["id"]))
    w.sink.wait(6)
