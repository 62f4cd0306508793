# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that are honest about the keys and about nothing else: odd records, floods of what brings nothing, messages
at the wrong time, hellos of every size and cut, and ends at every moment (reliability.md 2 C)."""
import ctypes
import socket
import ssl
import struct
import subprocess

import pytest

from harness.client import Client, Closed
from harness.message import message, sized, stuff, tag, without_received
from harness.pki import Authority
from harness.tls_raw import (ALERT, CERTIFICATE, CHANGE_CIPHER_SPEC, CLIENT_HELLO, CLOSE_NOTIFY, DATA, FINISHED, HANDSHAKE,
                             USER_CANCELED, RawClient, record, refragment)
from harness.tlsclient import SecureClient, context, tls_engine
from harness.wait import wait_until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
IMPLICIT, MAY, PLAIN = range(3)


@pytest.fixture(scope="module", name="served")
def make_served(tmp_path_factory):
    from conftest import Makers
    folder = tmp_path_factory.mktemp("served")
    pair = Authority(folder).issue("ec", ["relay.example.test"])
    makers = Makers(folder / "engines")
    e = tls_engine(makers, [{"tls": "implicit"}, {"tls": "may"}, {}], {"tls": pair.files, "log": {"level": "debug"}})
    yield e
    assert e.running, e.trouble()
    wait_until(lambda: e.stats()["sessions"] == 0, 15, "no session")
    makers.finish()


@pytest.fixture(name="raw")
def make_raw(served, tmp_path):
    with RawClient(served.ports[IMPLICIT], tmp_path) as c:
        c.ehlo()
        yield c


def troubles(served, kind):
    return len(served.events("inbound_trouble", tls=kind))


# ---- records ----

def test_empty_records(served, raw):
    """C6: RFC 8446 5.1: application data may be empty. Some are nothing; thousands are a flood."""
    raw.put(*(raw.seal(b"") for _ in range(200)))
    raw.ok("NOOP")
    raw.put(*(raw.seal(b"") for _ in range(100)), raw.seal(b"NO"), raw.seal(b""), raw.seal(b"OP\r\n"))
    assert raw.reply().code == 250
    before = troubles(served, "flood")
    try:
        for _ in range(100):
            raw.put(*(raw.seal(b"") for _ in range(100)))
    except ConnectionError:
        pass
    assert raw.ends() != "close_notify"
    wait_until(lambda: troubles(served, "flood") == before + 1, 10, "called a flood")


def test_padding(served, raw):
    """As much as fits, around one byte each: taken; nothing but padding: a flood in the end, but in its bounds."""
    subject = tag()
    for byte in b"NOOP\r\n":
        raw.put(raw.seal(bytes([byte]), padding=16383))
    assert raw.reply().code == 250
    raw.envelope()
    assert raw.cmd("DATA").code == 354
    for at in range(0, len(text := stuff(message(subject))), 40):
        raw.put(raw.seal(text[at:at + 40], padding=at % 500))
    assert raw.reply().code == 250
    served.sink.with_subject(subject)


def test_a_record_of_padding_only(served, raw):
    """RFC 8446 5.4: without a content type it is an unexpected message."""
    before = served.stats()["tls_in_failed"]
    raw.put(raw.seal(b"", typed=False, padding=100))
    assert raw.ends() != "close_notify"
    assert served.stats()["tls_in_failed"] == before + 1


def test_the_largest_records(served, raw):
    content = sized(16384 * 8)
    raw.envelope()
    assert raw.cmd("DATA").code == 354
    text = stuff(content)
    for at in range(0, len(text), 16384):
        raw.put(raw.seal(text[at:at + 16384]))
    assert raw.reply().code == 250
    found = wait_until(lambda: [m for m in served.sink.messages if m.data.endswith(content[-2000:])], 15, "it")
    assert without_received(found[0].data) == content


@pytest.mark.parametrize("size", [16385, 16384 + 255, 16384 + 300, 40000])
def test_a_record_that_is_too_large(served, raw, size):
    """RFC 8446 5.2: record_overflow; nothing of it is executed."""
    before = served.stats()["tls_in_failed"]
    raw.put(raw.seal(b"NOOP\r\n" * (size // 6) + b" " * (size % 6)))
    how = raw.ends()
    assert how not in ("close_notify",) and not raw.buffer, (how, raw.buffer[:100])
    assert served.stats()["tls_in_failed"] == before + 1


@pytest.mark.parametrize("kind", [0, CHANGE_CIPHER_SPEC, 24, 99, 255])
def test_other_content_types(raw, kind):
    """Inside the encryption only data, alerts and handshake messages have a place."""
    raw.put(raw.seal(b"\1", kind))
    assert raw.ends() != "close_notify"


def test_plain_records_behind_the_handshake(served, tmp_path):
    for kind, fragment in ((DATA, b"NOOP\r\n"), (ALERT, bytes([1, CLOSE_NOTIFY])), (HANDSHAKE, bytes(40))):
        with RawClient(served.ports[IMPLICIT], tmp_path) as c:
            c.ehlo()
            c.put(record(kind, fragment))
            assert c.ends() != "close_notify" and not c.buffer


def test_a_record_twice(served, raw):
    """A replay has the wrong number: bad_record_mac, and the command runs once."""
    subject = tag()
    raw.envelope()
    assert raw.cmd("DATA").code == 354
    end = raw.seal(stuff(message(subject)))
    raw.put(end, end)
    raw.ends()
    assert raw.buffer.count(b"250 ") <= 1
    served.wait_empty()
    assert len([m for m in served.sink.messages if m.subject == subject]) <= 1


# ---- messages at the wrong time ----

@pytest.mark.parametrize("kind", [CLIENT_HELLO, CERTIFICATE, FINISHED, 0, 4, 5, 8, 13, 15, 99])
def test_handshake_messages_afterwards(raw, kind):
    """C10: Also the certificate of a client that nobody asked for (RFC 8446 4.6.2)."""
    raw.put(raw.seal(struct.pack(">I", kind << 24 | 32) + bytes(32), HANDSHAKE))
    assert raw.ends() != "close_notify"
    assert not raw.buffer


def test_a_handshake_message_without_an_end(served, raw):
    """C6: Announced with 16 MB, and begun: bounded, whatever it is."""
    before = served.memory()
    raw.put(raw.seal(struct.pack(">I", CERTIFICATE << 24 | 0xFFFFFF) + bytes(10000), HANDSHAKE))
    try:
        for _ in range(40):
            raw.put(raw.seal(bytes(16000), HANDSHAKE))
    except ConnectionError:
        pass
    assert raw.ends() != "close_notify"
    assert served.memory() - before < 4 * 1024 * 1024


def test_key_updates(served, raw):
    """C6: A few are honest, and mail goes on under the new keys; each that wants an answer gets one. Many are a
    flood."""
    for i in range(8):
        raw.put(raw.key_update(wants_one=i % 2 == 0))
        raw.ok("NOOP")
    raw.put(*(raw.key_update(wants_one=False) for _ in range(50)))
    subject = tag()
    assert raw.submit(message(subject)).code == 250
    served.sink.with_subject(subject)
    before = troubles(served, "flood")
    try:
        for _ in range(20):
            raw.put(*(raw.key_update() for _ in range(50)))
    except ConnectionError:
        pass
    assert raw.ends() != "close_notify"
    wait_until(lambda: troubles(served, "flood") == before + 1, 10, "called a flood")


def test_warnings(served, raw):
    """C6: TLS 1.3 has two alerts that are no errors (RFC 8446 6.1); a flood of them ends in bounds, too."""
    raw.put(raw.seal(bytes([1, USER_CANCELED]), ALERT))
    try:
        for _ in range(100):
            raw.put(*(raw.seal(bytes([1, USER_CANCELED]), ALERT) for _ in range(100)))
    except ConnectionError:
        pass
    raw.ends()
    wait_until(lambda: served.stats()["sessions"] == 0, 10, "the end")


def renegotiate(machine):
    """SSL_renegotiate: the SSL * stands behind two pointers of Python's object (harness/tls_peer.py)."""
    inner = machine._sslobj  # pylint: disable=protected-access
    library = ctypes.CDLL("libssl.so.3")
    handle = ctypes.c_void_p.from_address(id(inner) + 3 * ctypes.sizeof(ctypes.c_void_p))
    library.SSL_get_version.restype = ctypes.c_char_p
    assert library.SSL_get_version(handle) == b"TLSv1.2"
    return library.SSL_renegotiate(handle)


@pytest.mark.parametrize("where", ["idle", "in DATA"])
def test_renegotiation(served, where):
    """C6: TLS 1.2 (CVE-2009-3555, and as a flood): ends the session; nothing that came before it is delivered."""
    before = troubles(served, "renegotiation")
    subject = tag()
    with SecureClient(served.ports[IMPLICIT], True, context(maximum=V12)) as c:
        c.ehlo()
        if where != "idle":
            c.envelope()
            assert c.cmd("DATA").code == 354
            c.send(b"Subject: %s\r\n\r\nbegun\r\n" % subject.encode())
        assert renegotiate(c.secure) == 1
        with pytest.raises((Closed, ssl.SSLError)):
            c.send(b".\r\nNOOP\r\n")
            while True:
                c.reply()
    with SecureClient(served.ports[IMPLICIT], True, context(maximum=V12)) as c:
        c.ehlo()
        assert c.submit().code == 250
    wait_until(lambda: troubles(served, "renegotiation") == before + 1, 10, "called by its name")
    assert not [m for m in served.sink.messages if m.subject == subject]


def test_renegotiation_by_openssl(served):
    """"R" in s_client."""
    before = troubles(served, "renegotiation")
    done = subprocess.run(["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{served.ports[IMPLICIT]}"],
                          input=b"R\nNOOP\r\n", capture_output=True, timeout=20, check=False)
    text = (done.stdout + done.stderr).decode(errors="replace")
    assert "RENEGOTIATING" in text
    assert "250" not in text.split("RENEGOTIATING")[1]
    wait_until(lambda: troubles(served, "renegotiation") == before + 1, 10, "called by its name")


# ---- hellos ----

def hello(tls=None, name="relay.example.test"):
    machine_in, machine_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    machine = (tls or context()).wrap_bio(machine_in, machine_out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        machine.do_handshake()
    return machine, machine_in, machine_out, machine_out.read()


class Cut(SecureClient):
    """Its handshake messages go out in records of so many bytes."""

    def __init__(self, *args, size=1, **kwargs):
        self.size = size
        super().__init__(*args, **kwargs)

    def _push(self):
        data = self.outgoing.read()
        if data and not getattr(self, "hello_sent", False):
            self.hello_sent = True
            data = refragment(data, self.size)
        self.socket.sendall(data)


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
@pytest.mark.parametrize("size", [1, 10, 100])
def test_a_hello_in_many_records(served, version, size):
    """C6: RFC 8446 5.1 allows it; more than 64 are a trick."""
    if size == 1:
        with pytest.raises(ssl.SSLError, match="DECODE_ERROR"):
            Cut(served.ports[IMPLICIT], True, context(maximum=version), size=size)
        return
    with Cut(served.ports[IMPLICIT], True, context(maximum=version), size=size) as c:
        c.ehlo()
        assert c.submit().code == 250


def test_a_hello_in_pieces_is_not_lost_in_another_record(served):
    """Between its pieces stands a record of another kind: the end."""
    _, _, _, data = hello()
    pieces = refragment(data, 100)
    for other in (record(DATA, b"x"), record(ALERT, bytes([1, 0])), record(HANDSHAKE, b"")):
        with Client(served.ports[IMPLICIT], greeting=False) as c:
            c.send(pieces[:105] + other + pieces[105:])
            got = b""
            c.socket.settimeout(10)
            try:
                while piece := c.socket.recv(4096):
                    got += piece
            except ConnectionError:
                pass
            assert got[:1] in (b"", b"\x15"), (other, got[:20])


@pytest.mark.parametrize("names, good", [([b"smtp"], True), ([b"h2", b"http/1.1", b"\0\xff"], True),
                                         ([b"x" * 255] * 40, True), ([b"x" * 255] * 120, False),
                                         ([b"x" * 255] * 255, False)])
def test_alpn_and_large_hellos(served, names, good):
    """We speak no ALPN: what is in it makes no difference, also garbage. A ClientHello of 10 KB is taken, one of 30 or
    of 64 KB is refused in order, with an alert."""
    tls = context()
    tls._set_alpn_protocols(b"".join(bytes([len(n)]) + n for n in names))  # pylint: disable=protected-access
    if good:
        with SecureClient(served.ports[IMPLICIT], True, tls) as c:
            assert c.secure.selected_alpn_protocol() is None
            c.ehlo()
            assert c.submit().code == 250
        return
    with pytest.raises((ssl.SSLError, Closed, ConnectionError)):
        SecureClient(served.ports[IMPLICIT], True, tls)
    served.event("inbound_trouble", tls="protocol")


# ---- ends ----

def test_close_notify_in_data(served, raw):
    """An end in order, but not of the message: nothing is accepted."""
    subject = tag()
    raw.envelope()
    assert raw.cmd("DATA").code == 354
    raw.put(raw.seal(b"Subject: %s\r\n\r\nbody\r\n" % subject.encode()),
            raw.seal(bytes([1, CLOSE_NOTIFY]), ALERT), raw.seal(b".\r\n"))
    raw.ends()
    assert not raw.buffer
    served.wait_empty()
    assert not [m for m in served.sink.messages if m.subject == subject]


def test_close_notify_behind_the_dot(served, raw):
    """The message is whole: it counts, and the reply comes (TLS 1.3: close_notify ends one direction only)."""
    subject = tag()
    raw.envelope()
    assert raw.cmd("DATA").code == 354
    raw.put(raw.seal(stuff(message(subject))), raw.seal(bytes([1, CLOSE_NOTIFY]), ALERT))
    assert raw.reply().code == 250
    served.sink.with_subject(subject)


def test_close_notify_behind_quit(served, raw):
    raw.put(raw.seal(b"QUIT\r\n"), raw.seal(bytes([1, CLOSE_NOTIFY]), ALERT), raw.seal(b"NOOP\r\n"))
    assert raw.reply().code == 221
    assert raw.ends() in ("close_notify", "cut") and not raw.buffer


def test_commands_behind_close_notify(raw):
    """RFC 8446 6.1: what comes after it is ignored."""
    raw.put(raw.seal(b"NOOP\r\n"), raw.seal(bytes([1, CLOSE_NOTIFY]), ALERT), raw.seal(b"NOOP\r\n" * 5))
    assert raw.reply().code == 250
    raw.ends()
    assert not raw.buffer


@pytest.mark.parametrize("listener", [IMPLICIT, PLAIN])
def test_half_closed(served, listener):
    """Everything said, then the client shuts its writing side: all replies come, the mail too. Also under TLS, where the
    end without close_notify is none in order."""
    subject = tag()
    text = b"EHLO x\r\nMAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n"
    with SecureClient(served.ports[listener], listener == IMPLICIT) as c:
        c.send(text)
        assert [r.code for r in c.replies(4)] == [250, 250, 250, 354]
        c.send(stuff(message(subject)) + b"QUIT\r\n")
        c.socket.shutdown(socket.SHUT_WR)
        assert [r.code for r in c.replies(2)] == [250, 221]
    served.sink.with_subject(subject)


@pytest.mark.parametrize("listener", [IMPLICIT, PLAIN])
def test_half_closed_in_the_middle(served, listener):
    """In DATA: not accepted; in the handshake: ended."""
    subject = tag()
    with SecureClient(served.ports[listener], listener == IMPLICIT) as c:
        c.ehlo()
        c.envelope()
        assert c.cmd("DATA").code == 354
        c.send(b"Subject: %s\r\n\r\nbody\r\n" % subject.encode())
        c.socket.shutdown(socket.SHUT_WR)
        with pytest.raises((Closed, ssl.SSLError)):
            c.reply()
    _, _, _, data = hello()
    for cut in (1, 50, len(data) - 1):
        with Client(served.ports[IMPLICIT], greeting=False) as c:
            c.send(data[:cut])
            c.socket.shutdown(socket.SHUT_WR)
            assert c.closed(10)
    served.wait_empty()
    assert not [m for m in served.sink.messages if m.subject == subject]
