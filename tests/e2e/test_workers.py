# SPDX-License-Identifier: GPL-3.0-or-later
"""Several workers: one engine to the outside."""
import os
import threading

import pytest

from harness.client import Client, submit
from harness.message import message, sized, tag, without_received
from harness.wait import run_all


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_load_from_many_clients_arrives_once_and_whole(make, workers):
    engine = make.relay({"workers": workers})
    sent = {}
    lock = threading.Lock()

    def client():
        with Client(engine.port) as c:
            c.ehlo()
            for i in range(25):
                content = sized(600 + 97 * i)
                subject = content.split(b"Subject: ")[1].split(b"\r\n")[0].decode()
                with lock:
                    sent[subject] = content
                assert c.submit(content).code == 250
    run_all([client] * 16)
    engine.sink.wait(400, timeout=60)
    assert engine.wait_empty()["delivered"] == 400
    assert len(engine.sink.messages) == 400
    for m in engine.sink.messages:
        assert without_received(m.data) == sent.pop(m.subject)
    assert not sent


def test_both_workers_take_clients(make):
    engine = make.relay({"workers": 2, "log": {"level": "debug"}})
    for _ in range(40):
        submit(engine.port)
    engine.sink.wait(40)
    with open(f"/proc/{engine.process.pid}/task/{engine.process.pid}/comm", encoding="ascii"):
        pass
    busy = 0
    for task in os.listdir(f"/proc/{engine.process.pid}/task"):
        with open(f"/proc/{engine.process.pid}/task/{task}/status", encoding="ascii") as f:
            switches = next(int(line.split()[1]) for line in f if line.startswith("voluntary"))
        busy += switches > 20
    assert busy >= 2


@pytest.mark.parametrize("before,after", [(1, 4), (4, 1), (2, 3)])
def test_the_number_of_workers_may_change_between_runs(make, before, after):
    """Whoever wrote it, somebody answers for it."""
    sink = make.sink(script={"mail": lambda s, a: "451 4.3.0 wait" if s.sink.hold else None})
    sink.hold = True
    engine = make.relay({"workers": before}, sink=sink)
    subjects = [tag() for _ in range(40)]
    for s in subjects:
        submit(engine.port, message(s))
    engine.stop()
    sink.hold = False
    engine.write({"workers": after})
    engine.start()
    for s in subjects:
        sink.with_subject(s, timeout=20)
    assert engine.wait_empty()["queued"] == 0
    assert len(sink.messages) == 40


def test_default_is_one_worker_per_core(make):
    engine = make.relay({"workers": 0})
    assert engine.stats()["workers"] == len(os.sched_getaffinity(0))
    submit(engine.port)
    engine.sink.wait()


def test_connections_per_site_hold_for_the_whole_engine(make):
    from harness.sink import Delay
    sink = make.sink(script={"dot": lambda s, a: Delay(0.05)})
    engine = make.relay({"workers": 2, "delivery": {"connections_per_site": 4}}, sink=sink)

    def client():
        with Client(engine.port) as c:
            c.ehlo()
            for _ in range(10):
                assert c.submit(message(tag())).code == 250
    run_all([client] * 8)
    sink.wait(80, timeout=30)
    assert sink.peak <= 4
