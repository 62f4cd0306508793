# SPDX-License-Identifier: GPL-3.0-or-later
"""A new configuration changes limits under load: neither the old nor the new ones are exceeded."""
import time

import pytest

from harness.shaped import Shaped, exact, fill, mail_times
from harness.sink import Delay
from harness.wait import stays_false, wait_until

WORKERS = pytest.mark.parametrize("workers", [2, 4])


@pytest.fixture
def shaped(make):
    return lambda *args, **kwargs: Shaped(make, *args, **kwargs)


def reload(engine, shaping):
    engine.write({"shaping": shaping})
    seen = len(engine.events("reloaded"))
    engine.hup()
    engine.event("reloaded", count=seen + 1)


def with_rate(limit):
    return {"default": {"message_rate": {"limit": limit, "burst": 1}}}


@WORKERS
def test_a_rate_changes_under_load(shaped, workers):
    w = shaped(["one"], with_rate("40/s"), {"workers": workers})
    fill(w.engine, ["one"], 200)
    changes = [(0.0, 40)]
    for rate in (10, 40, 10):
        time.sleep(1.2)
        asked = time.monotonic()
        reload(w.engine, with_rate(f"{rate}/s"))
        changes.append((asked if rate > changes[-1][1] else time.monotonic() + 0.1, rate))
    time.sleep(1.2)
    w.exact_with_changes(mail_times(w.sink), changes)
    reload(w.engine, with_rate("200/s"))
    w.engine.wait_empty(20)


def test_a_rate_of_one_a_day_is_lifted(shaped):
    """What rests until tomorrow by the old rule goes on by the new one."""
    w = shaped(["one"], with_rate("1/day"), {"workers": 2})
    fill(w.engine, ["one"], 20)
    w.sink.wait(1)
    assert stays_false(lambda: len(w.sink.messages) > 1, 1)
    reload(w.engine, with_rate("100/s"))
    w.sink.wait(20, timeout=10)


def test_many_reloads_let_nothing_more_pass(shaped):
    w = shaped(["one"], with_rate("10/s"), {"workers": 4})
    fill(w.engine, ["one"], 100)
    for i in range(12):
        reload(w.engine, with_rate(f"{10 + i % 2}/s"))
        time.sleep(0.1)
    exact(mail_times(w.sink), 11, 1)
    reload(w.engine, with_rate("500/s"))
    w.engine.wait_empty(20)


@WORKERS
def test_a_limit_of_connections_changes_under_load(shaped, workers):
    rule = lambda n: {"providers": {"p": {"match": {"mx_suffix": "prov.test"},
                                          "connections": {"limit": n, "shared": True}}}}
    w = shaped(["one", "two"], rule(3), {"workers": workers}, script={"dot": lambda s, a: Delay(0.03)})
    fill(w.engine, ["one", "two"], 250)
    for n in (3, 5, 2):
        reload(w.engine, rule(n))
        wait_until(lambda n=n: w.sink.open_sessions == n, 10, f"{n} connections")
        with w.sink.lock:
            w.sink.peak = 0
        assert stays_false(lambda n=n: w.sink.open_sessions > n, 1)
        assert w.sink.peak <= n
    w.engine.wait_empty(30)
    assert len(w.sink.messages) == 500
