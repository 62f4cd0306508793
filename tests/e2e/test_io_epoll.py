# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine where io_uring is refused, and where epoll is asked for. That everything else holds on epoll too is
shown by `./dev test --io epoll`, and `--io eperm` and its like. K1."""
import os
import subprocess
import sys
import time

import pytest

from harness.client import Client, submit
from harness.engine import binary, clean_environment, run
from harness.load import Load, once
from harness.message import message, sized, tag, without_received
from harness.refuse import ring_refusal
from harness.wait import run_all, wait_until

REFUSE = os.path.join(os.path.dirname(__file__), "harness", "refuse.py")
EPOLL = {"io": {"backend": "epoll"}}
AUTO = {"RINGPOST_IO_BACKEND": "auto"}  # stands above what `./dev test --io epoll` says
URING = {"RINGPOST_IO_BACKEND": "uring"}

# What is refused, what the engine says of it, and a word of the doctor's cure.
REFUSALS = [
    ("io_uring_setup=EPERM", "set-up: Operation not permitted", "seccomp"),
    ("io_uring_setup=ENOSYS", "set-up: Function not implemented", "seccomp"),
    ("io_uring_setup=EACCES", "set-up: Permission denied", "seccomp"),
    ("io_uring_setup=ENOMEM", "set-up: Cannot allocate memory", "LimitMEMLOCK="),
]
if not ring_refusal():  # else these are never asked for
    REFUSALS += [
        ("io_uring_enter=EPERM", "set-up: Operation not permitted", "seccomp"),
        ("io_uring_register/22=EINVAL", "set-up: Invalid argument", "Linux 6.1"),  # no ring of buffers
    ]
refusals = pytest.mark.parametrize("rule,why,cure", REFUSALS, ids=[r[0] for r in REFUSALS])


def under(rule):
    return [sys.executable, REFUSE, rule]


def doctor(rule, *settings):
    sets = [word for s in settings for word in ("--set", s)]
    done = subprocess.run([*under(rule), binary(), "doctor", *sets], capture_output=True, text=True, timeout=60,
                          check=False, env=clean_environment())
    return next(line for line in done.stdout.splitlines() if "io_uring:" in line)


@refusals
def test_refused_io_uring_is_replaced_and_named_once(make, rule, why, cure):
    """K1."""
    engine = make.relay(env=AUTO, prefix=under(rule))
    assert engine.event("started")["io_backend"] == "epoll"
    said, = engine.events("io_fallback")
    assert said["level"] == "warn" and said["io_backend"] == "epoll"
    assert said["reason"].startswith(f"io_uring: {why}; ") and "ringpost doctor" in said["reason"]
    io = engine.stats()["io"]
    assert (io["backend"], io["fallback"]) == ("epoll", True)
    contents = [sized(n) for n in (600, 20_000, 300_000)]
    for content in contents:
        with Client(engine.port) as c:
            c.ehlo()
            assert c.submit(content).code == 250
    engine.sink.wait(len(contents))
    assert {without_received(m.data) for m in engine.sink.messages} == set(contents)


@refusals
def test_doctor_names_cause_and_cure(tmp_path, rule, why, cure):
    """K1."""
    line = doctor(rule, f"spool.dir={tmp_path}/spool", "io.backend=auto")
    assert line.startswith("warn") and why in line and "a seccomp filter is active" in line
    assert "epoll and threads for the disk do its work" in line and cure in line.split(" — ")[1]
    forced = doctor(rule, f"spool.dir={tmp_path}/spool", "io.backend=uring")
    assert forced.startswith("fail") and why in forced and cure in forced
    unwanted = doctor(rule, f"spool.dir={tmp_path}/spool", "io.backend=epoll")
    assert unwanted.startswith("ok") and "not wanted" in unwanted


@pytest.mark.parametrize("rule", ["io_uring_setup=EPERM", "io_uring_setup=ENOSYS"])
def test_uring_and_nothing_else_is_a_start_that_fails(make, rule):
    engine = make.engine(env=URING, start=False, prefix=under(rule))
    engine.spawn()
    assert engine.wait(20) == 1
    said = engine.stderr()
    assert "io_uring: set-up: " in said and "auto would use epoll" in said and "ringpost doctor" in said
    engine.process = None


def test_epoll_by_configuration_environment_or_option(make):
    unset = {"RINGPOST_IO_BACKEND": None}
    for how in ({"conf": EPOLL, "env": unset}, {"env": {"RINGPOST_IO_BACKEND": "epoll"}}, {"args": ["--set", "io.backend=epoll"]}):
        engine = make.relay(how.get("conf"), env=how.get("env"), args=how.get("args", ()))
        assert engine.event("started")["io_backend"] == "epoll"
        assert not engine.events("io_fallback")  # nothing fell: it was wished for
        io = engine.stats()["io"]
        assert (io["backend"], io["fallback"]) == ("epoll", False)
        engine.stop()


def test_a_back_end_that_is_none(tmp_path):
    done = run("check", "--set", "io.backend=kqueue", "--set", f"spool.dir={tmp_path}/spool")
    assert done.returncode == 78 and "auto, uring, epoll" in done.stderr


def test_hundreds_of_messages_over_two_workers_arrive_once_and_whole(make):
    engine = make.relay({"workers": 2, "delivery": {"connections_per_site": 6}, **EPOLL})
    load = Load(engine.port, lambda: sized(400 + 211 * (hash(tag()) % 97))).run(12, 40)
    engine.sink.wait(480, timeout=60)
    assert engine.wait_empty(30)["delivered"] == 480
    once(load, engine.sink)
    io = engine.stats()["io"]
    # The flush of a group releases many; and each group had one.
    assert 0 < io["durable_writes"] and io["stale"] == 0


def test_large_bodies(make):
    """Short sends, and bodies that threads write and read in pieces."""
    engine = make.relay({"delivery": {"connections_per_site": 2}, **EPOLL})
    contents = [sized(3 << 20) for _ in range(4)]

    def client(content):
        with Client(engine.port, timeout=60) as c:
            c.ehlo()
            assert c.submit(content).code == 250
    run_all([lambda content=content: client(content) for content in contents])
    engine.sink.wait(4, timeout=60)
    assert sorted(without_received(m.data) for m in engine.sink.messages) == sorted(contents)


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_under_load_nothing_acknowledged_is_lost(make, workers):
    sink = make.sink(script={"mail": lambda s, a: "451 4.3.0 wait" if s.sink.hold else None})
    sink.hold = True
    engine = make.relay({"workers": workers, **EPOLL}, sink=sink)
    load = Load(engine.port).start(8)
    wait_until(lambda: len(load.sent) >= 150, 60, "messages to lose")
    load.over.set()  # what breaks from now on is the kill's doing
    engine.kill()
    load.stop()
    acknowledged = set(load.sent)
    sink.hold = False
    engine.start()
    for subject in acknowledged:
        sink.with_subject(subject, timeout=60)
    engine.wait_empty(60)
    with sink.lock:
        subjects = [m.subject for m in sink.messages]
    assert len(subjects) == len(set(subjects))


def test_an_idle_engine_uses_no_cpu(make):
    """Also with connections kept open on both sides, and with one that waits for a busy peer."""
    engine = make.relay({"workers": 2, **EPOLL})
    with Client(engine.port) as idle:
        idle.ehlo()
        Load(engine.port).run(4, 20)
        engine.sink.wait(80, timeout=30)
        engine.wait_empty(30)
        before = engine.cpu_seconds()
        time.sleep(3)
        assert engine.cpu_seconds() - before <= 0.05


def test_descriptors_and_threads_stay_as_many(make):
    engine = make.relay({"workers": 2, "delivery": {"idle_timeout": "1s"}, **EPOLL})
    for _ in range(30):
        submit(engine.port, message(tag()))
    engine.wait_empty(30)

    def held():
        return engine.descriptors(), len(os.listdir(f"/proc/{engine.process.pid}/task"))
    first = held()
    for _ in range(150):
        submit(engine.port, message(tag()))
    engine.wait_empty(30)
    after = held()
    # Some connections to the sink may be open at one moment and not at the other.
    assert abs(after[0] - first[0]) <= 20 and after[1] == first[1]
