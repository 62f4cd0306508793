# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection caps, slow clients, floods: what one client may take (J1–J3, issue point 3)."""
import resource
import time

import pytest

from harness.client import Client, submit
from harness.engine import measuring
from harness.message import message, tag
from harness.wait import wait_until


def test_cap_per_address(make):
    """J2."""
    engine = make.relay({"limits": {"connections_per_ip": 3}})
    held = [Client(engine.port) for _ in range(3)]
    with Client(engine.port, greeting=False) as c:
        assert c.reply().status == "421 4.7.0"
        assert c.closed()
    with Client(engine.port, source="127.0.0.9") as other:
        assert other.banner.code == 220
    assert engine.event("inbound_refused")
    held.pop().quit()
    wait_until(lambda: accepted(engine.port), 5, "a free place")
    for c in held:
        assert c.cmd("NOOP").code == 250
        c.close()


def accepted(port):
    with Client(port, greeting=False) as c:
        return c.reply().code == 220


def test_cap_of_all(make):
    """J2."""
    engine = make.relay({"limits": {"connections": 5}})
    held = [Client(engine.port, source=f"127.0.0.{10 + i}") for i in range(5)]
    with Client(engine.port, greeting=False, source="127.0.0.20") as c:
        assert c.reply().status == "421 4.3.2"
        assert c.closed()
    held.pop().close()
    wait_until(lambda: accepted(engine.port), 5, "a free place")
    for c in held:
        c.close()


def test_the_caps_hold_across_workers(make):
    """J2."""
    engine = make.relay({"workers": 2, "limits": {"connections_per_ip": 10}})
    clients = [Client(engine.port, greeting=False) for _ in range(40)]
    codes = [c.reply().code for c in clients]
    assert codes.count(220) == 10 and codes.count(421) == 30
    for c in clients:
        c.close()


def test_silence_meets_the_command_timeout(make):
    """J1."""
    engine = make.relay({"limits": {"command_timeout": "1s"}})
    start = time.monotonic()
    with Client(engine.port) as c:
        c.ehlo()
        assert c.reply().status == "421 4.4.2"
        assert c.closed()
    assert 0.8 < time.monotonic() - start < 15


def test_a_command_of_single_bytes_meets_the_same_deadline(make):
    """J1: each byte does not buy another wait."""
    engine = make.relay({"limits": {"command_timeout": "1s"}})
    start = time.monotonic()
    with Client(engine.port) as c:
        got = None
        try:
            for _ in range(300):
                c.send(b"N")
                time.sleep(0.1)
        except OSError:
            got = True
        assert got or c.rest()[-1].code == 421
    assert time.monotonic() - start < 15


def test_silence_in_data_meets_its_timeout(make):
    """J1."""
    engine = make.relay({"limits": {"data_timeout": "1s"}})
    start = time.monotonic()
    with Client(engine.port) as c:
        c.ehlo()
        c.envelope()
        assert c.cmd("DATA").code == 354
        c.send("Subject: never ends\r\n")
        assert c.reply().status == "421 4.4.2"
        assert c.closed()
    assert 0.8 < time.monotonic() - start < 15
    assert engine.counters()["accepted"] == 0


def test_silence_in_a_chunk_meets_the_data_timeout(make):
    engine = make.relay({"limits": {"data_timeout": "1s"}})
    with Client(engine.port) as c:
        c.ehlo()
        c.envelope()
        c.send("BDAT 1000 LAST\r\nSubject: never ends\r\n")
        assert c.reply().status == "421 4.4.2"


def test_a_trickle_below_the_minimum_rate_is_cut_off(make):
    """J1: alive, but too slow."""
    engine = make.relay({"limits": {"data_rate_min": 1000, "data_rate_grace": "1s", "data_timeout": "30s"}})
    start = time.monotonic()
    with Client(engine.port) as c:
        c.ehlo()
        c.envelope()
        assert c.cmd("DATA").code == 354
        try:
            for _ in range(600):
                c.send(b"x\r\n")
                time.sleep(0.05)
        except OSError:
            pass
        assert [r.code for r in c.rest()] in ([421], [])
    assert 0.8 < time.monotonic() - start < 15


def test_a_slow_but_fast_enough_client_is_served(make):
    engine = make.relay({"limits": {"data_rate_min": 100, "data_rate_grace": "1s", "data_timeout": "1s"}})
    with Client(engine.port) as c:
        c.ehlo()
        c.envelope()
        assert c.cmd("DATA").code == 354
        for _ in range(25):
            c.send(b"x" * 60 + b"\r\n")
            time.sleep(0.1)
        c.send(".\r\n")
        assert c.reply().code == 250
    engine.sink.wait()


def test_a_client_that_reads_nothing_is_not_fed_for_ever(make):
    """Replies pile up in the socket; the engine holds a bounded part and goes on serving others."""
    engine = make.relay({"limits": {"command_timeout": "2s", "junk": 1000000}}, env=measuring())
    with Client(engine.port) as deaf:
        deaf.socket.settimeout(0.5)
        low = engine.memory("VmHWM")
        try:
            while True:
                deaf.send(b"NOOP\r\n" * 10000)
        except (TimeoutError, OSError):
            pass
        submit(engine.port, message("others"))
        engine.sink.wait()
        assert engine.memory("VmHWM") - low < 4 << 20
        wait_until(lambda: engine.descriptors() and not connected(engine, deaf), 10, "the deaf client's end")


def connected(engine, client):
    client.socket.settimeout(0.01)
    try:
        while client.socket.recv(1 << 20):
            pass
        return False
    except TimeoutError:
        return True
    except OSError:
        return False


def test_slow_clients_do_not_slow_down_others(make):
    """J1 in small: 300 idle sessions that sent half a command, and one that works."""
    engine = make.relay({"limits": {"connections_per_ip": 2000}})
    slow = [Client(engine.port) for _ in range(300)]
    for c in slow:
        c.send("MAIL FR")
    with Client(engine.port) as c:
        c.ehlo()
        worst = 0.0
        for _ in range(20):
            start = time.monotonic()
            assert c.submit(message(tag())).code == 250
            worst = max(worst, time.monotonic() - start)
    assert worst < 5.0
    for c in slow:
        c.close()
    engine.sink.wait(20)


def test_idle_sessions_cost_little_memory(make):
    """Issue point 8: at most 8 KB each (the sanitised build needs more; its bound is 40 KB)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        engine = make.relay({"limits": {"connections_per_ip": 10000}}, env=measuring())
        first = [Client(engine.port) for _ in range(100)]
        low = engine.memory()
        more = [Client(engine.port) for _ in range(1500)]
        for c in more[::100]:
            c.ehlo()
        per_session = (engine.memory() - low) / len(more)
        for c in first + more:
            c.close()
        assert per_session < (8 << 10 if is_plain() else 40 << 10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def is_plain():
    from harness.engine import binary
    with open(binary(), "rb") as f:
        return b"__asan_init" not in f.read()


def test_descriptors_running_out_is_survived(make):
    """J3: accept pauses, answers 421 or nothing, recovers, and does not spin."""
    engine = make.relay({"limits": {"connections_per_ip": 10000}}, start=False,
                        prefix=["prlimit", "--nofile=64:64"])
    engine.start()
    clients = []
    for _ in range(100):
        clients.append(Client(engine.port, greeting=False, timeout=2))
    served = sum(greeted(c) for c in clients)
    assert 5 <= served < 64
    # The flood is over, its clients still hold every descriptor: an accept that is asked again
    # and again would use a whole core of these seconds.
    before, at = engine.cpu_seconds(), time.monotonic()
    time.sleep(2)
    used = (engine.cpu_seconds() - before) / (time.monotonic() - at)
    assert used < 0.5
    for c in clients:
        c.close()
    wait_until(lambda: submits(engine.port), 15, "mail after the flood")
    engine.sink.wait()


def greeted(client):
    try:
        return client.reply().code == 220
    except Exception:  # closed, 421, nothing
        return False


def submits(port):
    try:
        with Client(port, timeout=5) as c:
            c.ehlo()
            return c.submit(message(tag())).code == 250
    except Exception:  # still recovering
        return False


def test_an_idle_engine_uses_no_cpu(make):
    engine = make.relay()
    submit(engine.port)
    engine.sink.wait()
    engine.wait_empty()
    held = Client(engine.port)
    before = engine.cpu_seconds()
    time.sleep(3)
    assert engine.cpu_seconds() - before <= 0.05
    held.close()


def test_connections_that_come_and_go_leave_no_descriptor(make):
    engine = make.relay()
    submit(engine.port)
    engine.sink.wait()
    before = engine.descriptors()
    for i in range(300):
        c = Client(engine.port, greeting=i % 2 == 0)
        if i % 3:
            c.send("EHLO x.test\r\nMAIL FROM:<a@b.test>\r\n")
        if i % 5:
            c.close()
        else:
            c.reset()
    wait_until(lambda: engine.descriptors() <= before + 1, 10, "descriptors given back")


@pytest.mark.parametrize("address", ["::1"])
def test_ipv6_listener(make, address):
    engine = make.relay(start=False)
    engine.write({"listeners": [{"address": address, "port": engine.port}]})
    engine.start()
    with Client(engine.port, host=address) as c:
        c.ehlo()
        assert c.submit(message(tag())).code == 250
    assert b"[IPv6:::1]" in engine.sink.wait()[0].data


def test_several_listeners(make):
    engine = make.relay(listeners=3)
    for port in engine.ports:
        submit(port)
    engine.sink.wait(3)
