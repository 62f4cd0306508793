# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd is told and gives: states, signs of life, sockets. A scripted manager; no systemd is needed."""
import os
import re
import shutil
import socket
import tempfile

import pytest

from harness.client import Client, submit
from harness.engine import is_listening
from harness.peers import nobody, require_root
from harness.ports import free_port
from harness.service import Frozen, Manager, giving, waiting_in_ring
from harness.wait import stays_false, wait_until


@pytest.fixture(name="manager")
def make_manager(make, tmp_path):
    def build(watchdog=None):
        return make.add(Manager(tmp_path, watchdog))
    return build


def test_states(make, manager):
    """READY when mail is taken, RELOADING with its time and READY again, STOPPING; a refused reload is no reload."""
    m = manager()
    e = make.relay(env=m.env, start=False)
    e.start()
    assert m.wait("READY=1") == "READY=1\nSTATUS=taking mail on 1 ports"
    e.hup()
    e.event("reloaded")
    again = m.wait("READY=1", 2)
    assert "refused" not in again
    e.write({"queue": {"jitter": 99}})
    e.hup()
    e.event("reload_refused")
    assert "the last reload was refused" in m.wait("READY=1", 3)
    times = [int(re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", text)[1]) for _, text in m.all("RELOADING=1")]
    assert len(times) == 2 and times[0] < times[1]
    e.stop()
    assert m.wait("STOPPING=1").startswith("STOPPING=1\nSTATUS=")
    order = [text.split("\n")[0] for _, text in m.told]
    assert order == ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


def test_ready_means_ready(make, manager):
    """Whoever waits for READY may send at once."""
    m = manager()
    e = make.relay(env=m.env, start=False)
    e.spawn()
    m.wait("READY=1", timeout=60)
    submit(e.port)


def test_a_start_that_fails_is_not_ready(make, manager):
    m = manager()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        e = make.engine({"listeners": [{"address": "127.0.0.1", "port": taken.getsockname()[1]}]}, start=False,
                        env=m.env)
        e.expected_exit = 1
        e.spawn()
        assert e.wait(60) == 1
    assert not m.told


# ---- the watchdog ----

def test_watchdog(make, manager):
    """A sign of life in each interval, with nothing to do and under load."""
    m = manager(watchdog=2)
    e = make.relay({"workers": 2}, env=m.env)
    m.wait("WATCHDOG=1", 3)
    for _ in range(20):
        submit(e.port)
    m.wait("WATCHDOG=1", len(m.all("WATCHDOG=1")) + 3)
    e.stop()
    signs = len(m.all("WATCHDOG=1"))
    assert m.told[-1][1].startswith("STOPPING=1") and signs >= 6


def test_watchdog_of_a_worker_that_hangs(make, manager):
    """K7: One worker stands still, the others and the control thread do not: no sign any more."""
    require_root()
    m = manager(watchdog=1)
    e = make.relay({"workers": 2}, env=m.env)
    m.wait("WATCHDOG=1", 2)
    worker = wait_until(lambda: waiting_in_ring(e.process.pid), 30, "a worker that waits")[0]
    with Frozen(worker):
        seen = len(m.all("WATCHDOG=1"))  # one may be on its way
        assert stays_false(lambda: len(m.all("WATCHDOG=1")) > seen + 1, 3)
        assert e.running
        e.hup()  # the control thread lives
        e.event("reloaded")
    m.wait("WATCHDOG=1", seen + 3)
    submit(e.port)
    e.sink.wait(1)


def test_no_watchdog_unless_asked(make, manager):
    m = manager()
    e = make.engine(env=m.env)
    assert stays_false(lambda: m.all("WATCHDOG=1"), 1)
    e.stop()


def test_watchdog_for_another_process(make, manager):
    m = manager(watchdog=0.5)
    e = make.engine(env={**m.env, "WATCHDOG_PID": "1"})
    assert stays_false(lambda: m.all("WATCHDOG=1"), 1)
    e.stop()


# ---- sockets ----

def listener(port, address="127.0.0.1"):
    return {"listeners": [{"address": address, "port": port}]}


def test_given_socket(make):
    """Shared by all workers; nothing is bound beside it."""
    port = free_port()
    e = make.relay({"workers": 2, **listener(port)}, prefix=giving(("127.0.0.1", port, "smtp")))
    assert "given by the service manager" in e.event("listening", port=port)["reason"]
    for _ in range(20):
        submit(port)
    e.sink.wait(20)
    clients = [Client(port) for _ in range(10)]
    for c in clients:
        c.ehlo()
        c.close()
    e.stop()
    wait_until(lambda: not is_listening(port), 10, "the port to be closed")


def test_given_by_name(make):
    """The socket is somewhere else; its name is the listener's port."""
    outside, inside = free_port(), free_port()
    e = make.relay(listener(inside), prefix=giving(("127.0.0.1", outside, inside)))
    submit(outside)
    e.sink.wait(1)
    assert not is_listening(inside)


def test_given_and_not_wanted(make):
    """Closed, with a warning: nobody would ever accept there. The configured port is opened as ever."""
    port, odd = free_port(), free_port()
    e = make.relay(listener(port), prefix=giving(("127.0.0.1", odd, "odd")))
    warning = e.event("config_warning")
    assert warning["listener"] == f"127.0.0.1:{odd}" and "no listener" in warning["reason"]
    wait_until(lambda: not is_listening(odd), 10, "the socket to be closed")
    submit(port)


def test_given_is_no_listener(make):
    e = make.engine(prefix=["/bin/sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3</dev/null', "sh"], start=False)
    e.expected_exit = 1
    e.spawn()
    assert e.wait(60) == 1
    assert "descriptor 3 of LISTEN_FDS" in e.stderr() and "ListenStream=" in e.stderr()


def test_port_25_without_a_privilege(make):
    """K3: The manager, root, opens the port; the engine is nobody."""
    require_root()
    uid, _ = nobody()
    folder = tempfile.mkdtemp(prefix="ringpost-nobody-", dir="/tmp")
    os.chown(folder, uid, -1)
    try:
        e = make.relay(listener(25, "127.0.0.93"), name=folder, prefix=giving(("127.0.0.93", 25, "smtp"), user=uid))
        with open(f"/proc/{e.process.pid}/status", encoding="ascii") as f:
            assert f"Uid:\t{uid}\t" in f.read()
        with Client(25, "127.0.0.93") as c:
            c.ehlo()
            assert c.submit().code == 250
        e.sink.wait(1)
        e.stop()
    finally:
        shutil.rmtree(folder)
