# SPDX-License-Identifier: GPL-3.0-or-later
"""Many handshakes at once hold up nobody (issue point 1: "bounded per loop turn"). The engine is stopped while they
arrive, so that all of them are there in one turn of its loop, whatever the machine is busy with."""
import asyncio
import select
import signal
import ssl
import time

import pytest

from harness.client import Client, submit
from harness.message import message, tag
from harness.pki import Authority
from harness.tls_peer import TlsSession, peer_ca, policy_world
from harness.tlsclient import SecureClient, context, tls_engine
from harness.wait import wait_until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
CROWD = 300


class Crowd:
    """Connections that are open and have said nothing; then each sends its ClientHello."""

    def __init__(self, port, count, version):
        tls = context(minimum=version, maximum=version)
        self.members = []
        for _ in range(count):
            c = Client(port, greeting=False)
            c.incoming, c.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            c.secure = tls.wrap_bio(c.incoming, c.outgoing, server_hostname="relay.example.test")
            self.step(c)
            c.hello = c.outgoing.read()
            self.members.append(c)

    @staticmethod
    def step(c):
        try:
            c.secure.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False

    def say_hello(self):
        for c in self.members:
            c.socket.sendall(c.hello)

    def unanswered(self):
        """Those whose server flight has not come; the poll object tells without waiting."""
        poll = select.poll()
        waiting = {c.socket.fileno(): c for c in self.members}
        for fd in waiting:
            poll.register(fd, select.POLLIN)

        def left():
            for fd, _ in poll.poll(0):
                poll.unregister(fd)
                del waiting[fd]
            return len(waiting)
        return left

    def finish(self):
        """Everybody's handshake, to the end; the greeting under TLS."""
        for c in self.members:
            while not self.step(c):
                c.socket.sendall(c.outgoing.read())
                data = c.socket.recv(65536)
                assert data
                c.incoming.write(data)
            c.socket.sendall(c.outgoing.read())
        for c in self.members:
            while True:
                try:
                    assert c.secure.read(4) == b"220 "
                    break
                except ssl.SSLWantReadError:
                    data = c.socket.recv(65536)
                    assert data
                    c.incoming.write(data)

    def close(self):
        for c in self.members:
            c.close()


def paused(e, action):
    """Does it while the engine stands still."""
    e.process.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: state(e) == "T", 5, "a stopped engine")
        action()
    finally:
        e.process.send_signal(signal.SIGCONT)


def state(e):
    with open(f"/proc/{e.process.pid}/stat", encoding="ascii") as f:
        return f.read().rsplit(")", 1)[1].split()[0]


@pytest.fixture(scope="module", name="rsa")
def make_rsa(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("rsa")).issue("rsa", ["relay.example.test"], "rsa")


def listeners(make, rsa, conf=None):
    return tls_engine(make, [{"tls": "implicit"}, {"tls": "may"}], {"tls": rsa.files, **(conf or {})})


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_a_crowd_holds_up_nobody(make, rsa, version):
    """C6: While it is being served, a plain and a TLS session have their commands answered again and again: each trip
    is one turn of the loop, and a turn does a handful of handshakes. Without turns all would be done in two or three."""
    e = listeners(make, rsa)
    with Client(e.ports[1]) as plain, SecureClient(e.port, True) as secure:
        crowd = Crowd(e.port, CROWD, version)
        wait_until(lambda: e.stats()["sessions"] == CROWD + 2, 10, "the crowd")
        before = e.stats()
        left = crowd.unanswered()
        paused(e, crowd.say_hello)
        trips = 0
        while left():
            assert (secure if trips % 2 else plain).cmd("NOOP").code == 250
            trips += 1
        stats = e.stats()
        crowd.finish()
        crowd.close()
    assert trips >= 20, trips
    assert stats["tls_flights_waited"] - before["tls_flights_waited"] >= CROWD // 2, stats
    assert stats["tls_flights"] - before["tls_flights"] >= CROWD
    last = wait_until(lambda: (e.stats()["sessions"] == 0 and e.stats()) or None, 10, "nobody")
    assert last["tls_waiting"] == 0 and last["tls_in"] == CROWD + 1 and last["tls_in_failed"] == 0


def test_a_new_client_among_them(make, rsa):
    """C6: Also who comes later is served soon: in clear at once, and mail goes through."""
    e = listeners(make, rsa)
    crowd = Crowd(e.port, CROWD, V13)
    wait_until(lambda: e.stats()["sessions"] == CROWD, 10, "the crowd")
    left = crowd.unanswered()
    paused(e, crowd.say_hello)
    submit(e.ports[1], message(tag()))
    assert left() > 0, "accepted, said, committed and ended before the crowd was through"
    crowd.finish()
    crowd.close()
    e.sink.wait(1)


def test_who_waits_may_leave(make, rsa):
    """Half of the crowd goes away while it waits (by FIN and by RST), the other half is served."""
    e = listeners(make, rsa)
    crowd = Crowd(e.port, CROWD, V13)
    wait_until(lambda: e.stats()["sessions"] == CROWD, 10, "the crowd")

    def say_and_leave():
        crowd.say_hello()
        for i, c in enumerate(crowd.members[::2]):
            if i % 2:
                c.reset()
            c.close()
    paused(e, say_and_leave)
    del crowd.members[::2]
    crowd.finish()
    crowd.close()
    wait_until(lambda: e.stats()["sessions"] == 0, 15, "nobody")
    assert e.stats()["tls_waiting"] == 0


def test_deadline_of_those_who_wait(make, rsa):
    """The handshake's deadline runs while they wait: it was over while nothing ran here, and the queue is empty."""
    e = listeners(make, rsa, {"limits": {"command_timeout": "1s"}})
    crowd = Crowd(e.port, CROWD, V13)
    wait_until(lambda: e.stats()["sessions"] == CROWD, 10, "the crowd")

    def say_and_wait():
        crowd.say_hello()
        time.sleep(1.2)
    paused(e, say_and_wait)
    wait_until(lambda: e.stats()["sessions"] == 0, 15, "nobody")
    assert e.stats()["tls_waiting"] == 0
    crowd.close()
    with SecureClient(e.port, True) as c:
        c.ehlo()
        assert c.submit().code == 250


@pytest.mark.parametrize("cut", [False, True], ids=["in order", "at once"])
def test_the_end_while_they_wait(make, rsa, cut):
    """SIGTERM with a queue of handshakes: cut, and the process ends with 0."""
    e = listeners(make, rsa, {"shutdown": {"deadline": "100ms" if cut else "20s"}})
    crowd = Crowd(e.port, CROWD, V13)
    wait_until(lambda: e.stats()["sessions"] == CROWD, 10, "the crowd")

    def say_and_end():
        crowd.say_hello()
        e.terminate()
    paused(e, say_and_end)
    e.stop()
    crowd.close()


class Gated(TlsSession):
    """Answers STARTTLS, and the ClientHello, when the test says so."""

    async def gate(self, number):
        self.sink.arrived[number] += 1
        while not self.sink.opened[number]:
            await asyncio.sleep(0.01)

    async def do_starttls(self, arg):
        await self.gate(0)
        await super().do_starttls(arg)

    async def handshake(self):
        while not self.buffer:
            await self.fill()
        await self.gate(1)
        await super().handshake()


@pytest.fixture(scope="module", name="ca")
def make_ca(tmp_path_factory):
    return peer_ca(tmp_path_factory.mktemp("ca"))


def test_out_in_turns_too(make, ca):
    """Sixty servers say 220 to STARTTLS at once, and then all of them show their certificates: not one turn's work
    either. The mail arrives, under TLS."""
    count = 60
    e = policy_world(make, ca, "verify", conf={"delivery": {"connections_per_site": count,
                                                            "messages_per_connection": 1}}, start=False)
    e.sink.session_type, e.sink.arrived, e.sink.opened = Gated, [0, 0], [False, False]
    e.start()
    subjects = [tag() for _ in range(count)]
    with Client(e.port) as c:
        c.ehlo()
        for subject in subjects:
            assert c.submit(message(subject)).code == 250

    def open_gate(number):
        e.sink.opened[number] = True
        time.sleep(0.5)  # until the answers are in the engine's sockets
    for number in (0, 1):
        wait_until(lambda n=number: e.sink.arrived[n] == count, 20, "all at the gate")
        paused(e, lambda n=number: open_gate(n))
    e.sink.wait(count, timeout=30)
    stats = e.wait_empty() and e.stats()
    assert sorted(m.subject for m in e.sink.messages) == sorted(subjects)
    assert all(m.session.tls for m in e.sink.messages)
    assert stats["tls_out"] == count and stats["tls_out_failed"] == 0
    assert stats["tls_flights"] >= 2 * count
    assert stats["tls_flights_waited"] >= count // 2, stats
