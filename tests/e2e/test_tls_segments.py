# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS and time: slow clients, any segments, big messages, clients that do not read or vanish, and the end of the engine
(reliability.md 2 C6). Odd records: test_tls_records.py; many at once: test_tls_flood.py."""
import ssl
import time

import pytest

from harness.client import Client
from harness.message import message, sized, without_received
from harness.pki import Authority
from harness.tlsclient import SecureClient, context, tls_engine
from harness.wait import run_all, wait_until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
MAY, IMPLICIT = range(2)


class Certificates:
    def __init__(self, folder):
        self.own = Authority(folder).issue("own", ["relay.example.test"], "ec", 3)


@pytest.fixture(scope="module", name="certs")
def make_certs(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="module", name="served")
def make_served(tmp_path_factory, certs):
    """For tests that leave it as it was."""
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("served"))
    e = tls_engine(makers, [{"tls": "may"}, {"tls": "implicit"}], {"tls": certs.own.files, "log": {"level": "debug"}})
    yield e
    assert e.running, e.trouble()
    makers.finish()


def test_handshake_deadline(make, certs):
    """C6: one deadline for all of it; a byte now and then does not move it."""
    e = tls_engine(make, [{"tls": "implicit"}, {"tls": "may"}],
                   {"tls": certs.own.files, "limits": {"command_timeout": "1s"}})
    bio_in, bio_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = context().wrap_bio(bio_in, bio_out, server_hostname="x.test")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    hello = bio_out.read()

    def one(port, starttls, drip):
        with Client(port, greeting=starttls, timeout=10) as c:
            if starttls:
                c.ehlo()
                assert c.cmd("STARTTLS").code == 220
            start = time.monotonic()
            c.socket.settimeout(0.1)
            for byte in hello[:-1]:
                if drip:
                    try:
                        c.socket.send(bytes([byte]))
                    except ConnectionError:
                        break
                try:
                    if not c.socket.recv(100):
                        break
                except TimeoutError:
                    if time.monotonic() - start > 8:
                        break
                except ConnectionError:
                    break
            took = time.monotonic() - start
            assert 0.7 < took < 6, took
    run_all([lambda a=a: one(*a) for a in ((e.port, False, False), (e.port, False, True), (e.ports[1], True, False),
                                           (e.ports[1], True, True))])
    e.event("inbound_trouble", reason="the client was silent for too long", count=4)
    wait_until(lambda: e.stats()["sessions"] == 0, 10, "no session")


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_one_byte_segments(served, version):
    """Handshake, commands and message, every byte of ciphertext in a segment of its own."""
    content = sized(600)
    tls = context(maximum=version)
    for listener, implicit in ((IMPLICIT, True), (MAY, False)):
        with SecureClient(served.ports[listener], implicit, tls, pieces=1) as c:
            if not implicit:
                c.starttls()
            c.ehlo()
            assert c.submit(content).code == 250
            assert c.quit().code == 221
    wait_until(lambda: sum(m.data.endswith(content) for m in served.sink.messages) == 2, 15, "both")


def test_slow_handshake(served):
    """Slow but within the deadline: taken, and nobody else waits meanwhile."""
    done = []

    def slow():
        with SecureClient(served.ports[IMPLICIT], True, pieces=7, pause=0.01) as c:
            c.pause, c.pieces = 0, 0
            c.ehlo()
            done.append(c.submit().code)

    def fast():
        for _ in range(5):
            with SecureClient(served.ports[IMPLICIT], True) as c:
                c.ehlo()
                done.append(c.submit().code)
    run_all([slow, fast])
    assert done == [250] * 6


def test_whole_session_in_one_record(served):
    """Pipelined to the limit: replies are the same as one by one; QUIT ends with close_notify."""
    text = b"EHLO x\r\n" + b"NOOP\r\n" * 20 + b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n"
    for pieces in (0, 700):
        with SecureClient(served.ports[IMPLICIT], True) as c:
            c.pieces = pieces
            c.send(text)
            assert [r.code for r in c.replies(24)] == [250] * 23 + [354]
            c.send(message() + b".\r\nNOOP\r\nQUIT\r\n")
            assert [r.code for r in c.replies(3)] == [250, 250, 221]
            assert c.said_goodbye()


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
@pytest.mark.parametrize("bdat", [False, True], ids=["data", "bdat"])
def test_big_message(served, bdat, version):
    content = sized(3 * 1024 * 1024)
    with SecureClient(served.ports[IMPLICIT], True, context(maximum=version)) as c:
        c.ehlo()
        c.envelope()
        if bdat:
            for at in range(0, len(content), 1000003):
                part = content[at:at + 1000003]
                assert c.bdat(part, at + len(part) == len(content)).code == 250
        else:
            assert c.data(content).code == 250
        c.quit()
    found = wait_until(lambda: [m for m in served.sink.messages if m.data.endswith(content[-2000:])], 15, "it")
    assert without_received(found[0].data) == content


def test_replies_nobody_reads(served):
    """A client that sends and does not read is held back, not buffered without end; the rest comes later."""
    with SecureClient(served.ports[IMPLICIT], True) as c:
        c.socket.settimeout(15)
        before = served.memory()
        sent = 0
        c.socket.setblocking(False)
        block = b"VRFY a\r\n" * 10
        try:
            while sent < 200:
                c.secure.write(block)
                c.socket.send(c.outgoing.read())
                sent += 1
        except BlockingIOError:
            pass
        assert served.memory() - before < 16 * 1024 * 1024
        c.socket.settimeout(15)
        codes = [c.reply().code for _ in range(100)]
        assert set(codes) <= {252}


def test_clients_that_vanish(served):
    """At each point of the handshake, by FIN and by RST: no session stays."""
    def hello():
        bio_in, bio_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        with pytest.raises(ssl.SSLWantReadError):
            context().wrap_bio(bio_in, bio_out, server_hostname="x.test").do_handshake()
        return bio_out.read()
    base = wait_until(lambda: served.stats()["sessions"] == 0 or None, 10, "an idle engine")
    assert base
    data = hello()
    for cut in (0, 1, 5, 40, len(data) - 1, len(data)):
        for reset in (False, True):
            c = Client(served.ports[IMPLICIT], greeting=False)
            c.send(data[:cut])
            if reset:
                c.reset()
            c.close()
    with SecureClient(served.ports[IMPLICIT], True) as c:
        c.ehlo()
        c.envelope()
        c.reset()
    wait_until(lambda: served.stats()["sessions"] == 0, 10, "no session")


def test_stop(make, certs):
    """SIGTERM: idle sessions hear 421 under TLS; those that shake hands are cut; it ends at once."""
    e = tls_engine(make, [{"tls": "implicit"}], {"tls": certs.own.files, "shutdown": {"deadline": "20s"}})
    with SecureClient(e.port, True) as idle, Client(e.port, greeting=False) as shaking:
        idle.ehlo()
        shaking.send(b"\x16\x03\x01")
        e.terminate()
        assert idle.reply().status == "421 4.3.2"
        assert idle.said_goodbye()
        assert shaking.closed()
        start = time.monotonic()
        assert e.wait() == 0 and time.monotonic() - start < 5
