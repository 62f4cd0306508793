# SPDX-License-Identifier: GPL-3.0-or-later
"""The scenario of test_sources.test_pause_and_return, run in a network namespace by `unshare`: a source whose address
goes is paused by itself, its mail leaves by the others of its pool or waits, and when the address is back so is it.

    source_pause.py FOLDER
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from conftest import Makers  # noqa: E402
from harness.client import Client  # noqa: E402
from harness.engine import run  # noqa: E402
from harness.message import message, tag  # noqa: E402
from harness.sink import Sink  # noqa: E402
from harness.wait import stays_false, wait_until  # noqa: E402

FIRST, SECOND, SINK = "10.9.8.1", "10.9.8.2", "10.9.8.100"


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def address(verb, which):
    ip("address", verb, f"{which}/32", "dev", "lo")


def send(engine, count, headers=()):
    subjects = [tag() for _ in range(count)]
    with Client(engine.port) as c:
        c.ehlo()
        for subject in subjects:
            assert c.submit(message(subject, headers=headers), to=["bob@example.test"]).code == 250
        c.quit()
    return subjects


def came_from(sink, subjects):
    def all_there():
        with sink.lock:
            by = {m.subject: m.session.peer[0] for m in sink.messages}
        return [by[s] for s in subjects] if all(s in by for s in subjects) else None
    return wait_until(all_there, 30, "all messages")


def scenario(make):
    sink = make.add(Sink(host=SINK).start())
    engine = make.engine({
        "workers": 2, "relay": {"host": sink.endpoint}, "queue": {"schedule": ["1h"]},
        "sources": [{"name": "ip1", "addresses": FIRST}, {"name": "ip2", "addresses": SECOND}],
        "source_pools": [{"name": "pair", "sources": {"ip1": 1, "ip2": 1}}],
        "source_rules": [{"tenant": "alone", "pool": "ip1"}, {"pool": "pair"}]})
    assert set(came_from(sink, send(engine, 30))) == {FIRST, SECOND}

    address("del", FIRST)
    event = engine.event("source_paused", timeout=30)
    assert (event["source"], event["address"]) == ("ip1", FIRST), event
    assert set(came_from(sink, send(engine, 30))) == {SECOND}
    waiting = send(engine, 5, ["X-Ringpost-Tenant: alone"])
    assert stays_false(lambda: engine.events("deferred"), 1)
    assert engine.counters()["queued"] == 5
    assert engine.stats()["sources"] == {"count": 2, "paused": 1, "pauses": 1}
    shown = run("explain", "-c", engine.file, "example.test").stdout
    assert "source       ip1 (paused: its address is not on this machine)" in shown, shown
    assert "source       ip2\n" in shown, shown
    engine.restart()
    engine.event("source_paused", timeout=30)
    wait_until(lambda: engine.counters()["queued"] == 5, 10, "they wait after a restart, too")

    address("add", FIRST)
    assert engine.event("source_resumed", timeout=30)["source"] == "ip1"
    assert set(came_from(sink, waiting)) == {FIRST}
    assert set(came_from(sink, send(engine, 30))) == {FIRST, SECOND}
    assert not engine.events("deferred") and len(engine.events("source_paused")) <= 2
    assert engine.wait_empty(20)


def main(folder):
    ip("link", "set", "lo", "up")
    for which in (FIRST, SECOND, SINK):
        address("add", which)
    make = Makers(folder)
    failed = True
    try:
        scenario(make)
        failed = False
    finally:
        make.finish(failed)


if __name__ == "__main__":
    main(sys.argv[1])
