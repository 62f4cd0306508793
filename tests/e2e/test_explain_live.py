# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringpost explain` against a running engine: what holds a destination up."""
import json
import time

import pytest

from harness.client import Client
from harness.engine import run
from harness.message import message, tag
from harness.shaped import Shaped, fill
from harness.sink import Delay
from harness.wait import wait_until


def explain(w, word, *more):
    done = run("explain", word, *more, "-c", w.engine.file, "--json")
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def site(w, word="one.test"):
    live = explain(w, word)["live"]
    assert len(live) == 1, live
    return live[0]


def binds(w, what, word="one.test"):
    return wait_until(lambda: (lambda s: s if s["binding"] == what else None)(site(w, word)), 10, what)


@pytest.mark.parametrize("workers", [1, 4])
def test_rates_and_the_time_they_need(make, workers):
    w = Shaped(make, ["one"], {"default": {"message_rate": {"limit": "30/min", "burst": 1}}}, {"workers": workers})
    fill(w.engine, ["one"], 21)
    w.sink.wait(1)
    s = binds(w, "message rate")
    waiting = sum(s["ready"].values())
    assert 15 <= waiting <= 20 and 0 < s["binding_for_ms"] <= 2000
    assert s["drain_s"] == 2 * waiting
    assert s["connections"]["limit"] and "one.prov.test" in s["site"]
    assert any(r["code"] == 250 and "stored" in r["text"] for r in s["replies"]), s
    text = run("explain", "one.test", "-c", w.engine.file).stdout
    assert "held up by   message rate" in text and "drained in" in text, text


def test_each_word_finds_the_site(make):
    w = Shaped(make, ["one"], {}, {"workers": 4})
    assert explain(w, "one.test")["live"] == []
    fill(w.engine, ["one"], 1)
    w.engine.wait_empty()
    by_domain = site(w)
    assert by_domain["binding"] == "nothing ready" and by_domain["drain_s"] == 0
    assert site(w, "mx.one.prov.test")["site"] == by_domain["site"]
    done = run("explain", by_domain["site"], "-c", w.engine.file, "--json")
    assert json.loads(done.stdout)["live"][0]["site"] == by_domain["site"], done
    w.engine.stop()
    assert explain(w, "one.test")["live"] is None
    assert "now: not known" in run("explain", "one.test", "-c", w.engine.file).stdout


def test_connections_and_round_trips(make):
    w = Shaped(make, ["one"], {"default": {"connections": 2, "messages_per_connection": 1000}}, {"workers": 2},
               script={"dot": lambda s, a: Delay(0.2)})
    fill(w.engine, ["one"], 80)
    s = binds(w, "connections cap")
    assert s["connections"]["granted"] == 2
    assert s["drain_s"] is None or s["drain_s"] > 0
    s = wait_until(lambda: (lambda s: s if s["sent_per_s"] > 5 and s["drain_s"] else None)(site(w)), 8, "a measure")
    assert s["drain_s"] <= 10


def test_a_provider_a_tenant_a_back_off(make):
    w = Shaped(make, ["one", "two", "down", "late"], {
        "providers": {"p": {"match": {"mx_suffix": "one.prov.test"}, "message_rate": {"limit": "1/h", "shared": True}}},
        "tenants": {"slow": {"message_rate": {"limit": "1/h"}}},
        "domains": {"one.test": {"message_rate": None}, "down.test": {"back_off": {"failures": 1, "first": "30s", "max": "30s"}},
                    "late.test": {"connection_rate": "1/h", "messages_per_connection": 1}}},
        {"queue": {"schedule": ["60s"]}}, hosts={"down": "127.0.0.9"})
    fill(w.engine, ["one", "down", "late"], 3)
    with Client(w.engine.port) as c:
        c.ehlo()
        for _ in range(3):
            c.submit(message(tag(), headers=["X-Ringpost-Tenant: slow"]), to=["bob@two.test"])
    assert binds(w, "provider budget")["drain_s"] is None
    assert binds(w, "tenant limit", "two.test")["ready"]["held"] == 2
    assert binds(w, "connection rate", "late.test")
    w.engine.event("deferred")
    # What a site that is down refuses waits for its next attempt; how long that goes on is not known.
    down = binds(w, "back-off", "down.test")
    assert 0 < down["binding_for_ms"] <= 30000 and down["because"] == "connection refused" and down["drain_s"] is None


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("what", ["connections cap", "message rate", "one round trip each"])
def test_the_predicted_time_is_right_within_a_factor_of_two(make, workers, what):
    conf, count = {
        "connections cap": ({"connections": 2, "messages_per_connection": 1000, "chunking_window": 1}, 60),
        "message rate": ({"message_rate": {"limit": "20/s", "burst": 1}}, 120),
        "one round trip each": ({"connections": 10, "messages_per_connection": 1000}, 300)}[what]
    w = Shaped(make, ["one"], {"default": conf}, {"workers": workers},
               script={} if what == "message rate" else {"dot": lambda s, a: Delay(0.2)})
    fill(w.engine, ["one"], count)
    said = []
    while len(w.sink.messages) < count:
        drain = site(w)["drain_s"]
        said.append((time.monotonic(), drain))
        time.sleep(0.1)
    ended = time.monotonic()
    # Whole seconds, and what is in transactions is not counted: below two there is nothing to compare.
    judged = [(drain, ended - at) for at, drain in said if drain is not None and ended - at >= 2]
    assert len(judged) >= 3, said
    assert all(left / 2 - 1 <= drain <= left * 2 + 1 for drain, left in judged), judged


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("scope", ["one.test", "all", "site:mx.one.prov.test"])
def test_what_is_suspended_says_so(make, workers, scope):
    """Also a destination that nothing has gone to yet."""
    w = Shaped(make, ["one", "two"], {}, {"workers": workers})
    assert run("suspend", scope, "--reason", "a test", "--socket", w.engine.socket).returncode == 0
    word = "mx.one.prov.test" if scope.startswith("site:") else "one.test"
    key = scope if ":" in scope or scope == "all" else f"domain:{scope}"
    assert explain(w, word)["live"] == [{"suspension": key, "reason": "a test"}]
    assert run("resume", scope, "--socket", w.engine.socket).returncode == 0
    fill(w.engine, ["one", "two"], 3)
    w.engine.wait_empty()
    assert site(w)["binding"] == "nothing ready"
    assert run("suspend", scope, "--socket", w.engine.socket).returncode == 0
    fill(w.engine, ["one"], 3)
    s = next(s for s in explain(w, "one.test")["live"] if "binding" in s)
    assert s["binding"] == "suspended" and s["drain_s"] is None
    assert "held up by   suspended\n  drained in   unknown" in run("explain", "one.test", "-c", w.engine.file).stdout
    two = next(s for s in explain(w, "two.test")["live"] if "binding" in s)
    assert two["binding"] == ("suspended" if scope == "all" else "nothing ready")


def test_a_refusal(make):
    w = Shaped(make, ["one"], {})
    fill(w.engine, ["none"], 1)
    w.engine.event("bounced", timeout=10)
    live = explain(w, "none.test", "mx.none.test")["live"]
    assert live == [] or "refusal" in live[0], live
