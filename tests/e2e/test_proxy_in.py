# SPDX-License-Identifier: GPL-3.0-or-later
"""The PROXY header in front of a session (reliability.md 2 E2, seeds.md 6 trap 12), and HAProxy itself."""
import socket
import struct
import time

import pytest

from harness.client import Client
from harness.haproxy import Haproxy
from harness.login import login_plain
from harness.message import message, split_received, tag
from harness.pki import Authority
from harness.tlsclient import SecureClient, tls_engine
from harness.wait import run_all, wait_until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LISTED, STRANGER = "192.0.2.1", "203.0.113.7"  # in access.networks, and not
NETWORK, AUTH, IMPLICIT, MAY, OFF, EITHER = range(6)
USERS = {"auth": {"require_tls": False}, "users": [{"name": "ann", "password": "x"}]}


def v1(source=LISTED, target="198.51.100.2", family="TCP4", ports="40000 25"):
    return f"PROXY {family} {source} {target} {ports}\r\n".encode()


def v2(body=b"", command=0x21, family=0x11, length=None):
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(body) if length is None else length) + body


def inet(source=LISTED, port=40000):
    return socket.inet_aton(source) + socket.inet_aton("198.51.100.2") + struct.pack("!HH", port, 25)


def inet6(source, port=40000):
    return (socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, "2001:db8::2") +
            struct.pack("!HH", port, 25))


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


LONG = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
# (header, whose address counts: an address; "local": the connection's own; "unknown"; None: refused)
GRID = {
    "v1 tcp4 listed": (v1(), LISTED),
    "v1 tcp4 stranger": (v1(STRANGER), STRANGER),
    "v1 tcp6": (v1("2001:db8::1", "2001:db8::2", "TCP6"), "2001:db8::1"),
    "v1 tcp6 stranger": (v1("2001:db9::1", "2001:db8::2", "TCP6"), "2001:db9::1"),
    "v1 mapped": (v1("::ffff:192.0.2.1", "::ffff:198.51.100.2", "TCP6"), LISTED),
    "v1 longest": (v1(LONG, LONG, "TCP6", "65535 65535"), LONG),
    "v1 port 0": (v1(ports="0 0"), LISTED),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", "unknown"),
    "v1 unknown with addresses": (b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n", "unknown"),
    "v1 unknown 107": (b"PROXY UNKNOWN " + b"a" * 91 + b"\r\n", "unknown"),
    "v1 unknown 108": (b"PROXY UNKNOWN " + b"a" * 92 + b"\r\n", None),
    "v1 endless": (b"PROXY TCP4 " + b"1" * 300, None),
    "v1 lower case": (v1().lower(), None),
    "v1 udp": (v1(family="UDP4"), None),
    "v1 two spaces": (v1().replace(b" ", b"  ", 1), None),
    "v1 tab": (v1().replace(b" ", b"\t"), None),
    "v1 space behind": (v1().replace(b"\r", b" \r"), None),
    "v1 more words": (v1().replace(b"\r", b" 1\r"), None),
    "v1 fewer words": (b"PROXY TCP4 192.0.2.1 198.51.100.2 40000\r\n", None),
    "v1 no addresses": (b"PROXY TCP4\r\n", None),
    "v1 port too high": (v1(ports="65536 25"), None),
    "v1 port negative": (v1(ports="-1 25"), None),
    "v1 port huge": (v1(ports="18446744073709551617 25"), None),
    "v1 port 025": (v1(ports="40000 025"), None),
    "v1 tcp4 of v6": (v1("2001:db8::1", "2001:db8::2"), None),
    "v1 tcp6 of v4": (v1(family="TCP6"), None),
    "v1 short address": (v1("192.2"), None),
    "v1 octal": (v1("0192.0.2.1"), None),
    "v1 scope": (v1("fe80::1%lo", "::1", "TCP6"), None),
    "v1 lf": (v1().replace(b"\r", b""), None),
    "v1 cr": (v1().replace(b" ", b"\r", 3), None),
    "v1 crcrlf": (v1().replace(b"\r", b"\r\r"), None),
    "v1 nul": (v1().replace(b"1 ", b"1\0 "), None),
    "v2 inet": (v2(inet()), LISTED),
    "v2 stranger": (v2(inet(STRANGER)), STRANGER),
    "v2 inet6": (v2(inet6("2001:db8::1"), family=0x21), "2001:db8::1"),
    "v2 mapped": (v2(inet6("::ffff:192.0.2.1"), family=0x21), LISTED),
    "v2 local": (v2(command=0x20, family=0), "local"),
    "v2 local with addresses": (v2(inet(), command=0x20), "local"),
    "v2 local with garbage": (v2(b"\xff" * 7, command=0x20, family=0xff), "local"),
    "v2 unspecified": (v2(family=0), "unknown"),
    "v2 unix": (v2(bytes(216), family=0x31), "unknown"),
    "v2 unix short": (v2(bytes(215), family=0x31), None),
    "v2 udp": (v2(inet(), family=0x12), None),
    "v2 udp6": (v2(inet6("2001:db8::1"), family=0x22), None),
    "v2 family 4": (v2(inet(), family=0x41), None),
    "v2 command 2": (v2(inet(), command=0x22), None),
    "v2 version 1": (v2(inet(), command=0x11), None),
    "v2 version 3": (v2(inet(), command=0x31), None),
    "v2 too short": (v2(inet(), length=11), None),
    "v2 no body": (v2(b"", family=0x11), None),
    "v2 inet6 of inet": (v2(inet(), family=0x21), None),
    "v2 tlvs": (v2(inet() + tlv(1, b"h2") + tlv(4, b"") + tlv(0xe0, b"x" * 300)), LISTED),
    "v2 big tlv": (v2(inet() + tlv(4, bytes(60000))), LISTED),
    "v2 half a tlv": (v2(inet() + b"\1\0"), None),
    "v2 tlv too long": (v2(inet() + b"\4\0\2a"), None),
    "v2 wrong checksum": (v2(inet() + tlv(3, b"abcd")), None),
    "v2 signature cut": (SIGNATURE[:11] + b"X", None),
    "nothing: ehlo": (b"EHLO client.test\r\n", None),
    "nothing: quit": (b"QUIT\r\n", None),
    "nothing: tls": (b"\x16\x03\x01\x02\x00\x01\x00", None),
    "nothing: http": (b"GET / HTTP/1.1\r\n\r\n", None),
    "space first": (b" " + v1(), None),
}
assert len(GRID) >= 60


@pytest.fixture(scope="module", name="served")
def make_served(tmp_path_factory):
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("served"))
    pair = Authority(tmp_path_factory.mktemp("certs")).issue("relay.example.test")
    e = tls_engine(makers, [{"proxy_protocol": "required"}, {"proxy_protocol": "required", "access": "auth"},
                            {"proxy_protocol": "required", "tls": "implicit"},
                            {"proxy_protocol": "required", "tls": "may"}, {},
                            {"proxy_protocol": "required", "access": "auth_or_network"}],
                   {**USERS, "tls": pair.files, "proxy": {"networks": ["127.0.0.1/32"], "timeout": "10s"},
                    "log": {"level": "debug"},
                    "access": {"networks": ["192.0.2.0/24", "2001:db8::/32", "127.0.0.9/32"]}})
    yield e
    assert e.running, e.trouble()
    makers.finish()


def refused(c):
    """A word that is no greeting at most, then the end."""
    got = b""
    c.socket.settimeout(10)
    try:
        while data := c.socket.recv(4096):
            got += data
    except ConnectionError:
        pass
    return got == b"" or (got.startswith(b"421 4.3.2 ") and got.count(b"\r\n") == 1)


def may_send(c):
    c.ehlo()
    c.ok("MAIL FROM:<a@b.test>")
    return c.cmd("RCPT TO:<c@far.test>").status == "250 2.1.5"


@pytest.mark.parametrize("name", GRID)
def test_grid(served, name):
    """E2: whole and in single bytes (the first alone may already be wrong): whose address decides."""
    header, address = GRID[name]
    for size in (len(header), 1 if len(header) < 1000 else 7000):
        with Client(served.ports[NETWORK], greeting=False) as c:
            try:
                c.send_pieces(header, size)
            except ConnectionError:
                assert address is None
            if address in (None, "unknown"):
                assert refused(c)
                continue
            assert c.reply().code == 220
            assert may_send(c) == (address in (LISTED, "2001:db8::1"))
    if address not in (None, "unknown", "local"):
        shown = f"[{address}]:" if ":" in address else address + ":"
        wait_until(lambda: [x for x in served.events("inbound_open") if x["client"].startswith(shown)], 5, shown)


@pytest.mark.parametrize("name", [n for n in GRID if GRID[n][1] is not None])
def test_grid_with_login(served, name):
    """Where a login decides, nobody's address matters: UNKNOWN is let in, and so is LOCAL."""
    with Client(served.ports[AUTH], greeting=False) as c:
        c.send(GRID[name][0])
        assert c.reply().code == 220
        assert not may_send(c)
        c.ok("RSET")
        assert login_plain(c, "ann", "x").code == 235
        assert may_send(c)


def test_where_either_will_do(served):
    """auth_or_network: the address could decide, so UNKNOWN is refused; a login makes up for a strange address."""
    with Client(served.ports[EITHER], greeting=False) as c:
        c.send(b"PROXY UNKNOWN\r\n")
        assert refused(c)
    with Client(served.ports[EITHER], greeting=False) as c:
        c.send(v1(STRANGER))
        assert c.reply().code == 220
        assert not may_send(c)
        c.ok("RSET")
        assert login_plain(c, "ann", "x").code == 235
        assert may_send(c)


def test_local_is_the_peer(make):
    """E2: LOCAL is the balancer speaking for itself: its own address decides, and is in the message; the addresses
    that come along do not count."""
    e = tls_engine(make, [{"proxy_protocol": "required"}], {"access": {"networks": ["127.0.0.1/32"]}})
    for header in (v2(command=0x20, family=0), v2(inet(STRANGER), command=0x20)):
        with Client(e.port, greeting=False) as c:
            c.send(header)
            assert c.reply().code == 220
            c.ehlo()
            assert c.submit().code == 250
    assert all(b"[127.0.0.1]" in split_received(m.data)[0] for m in e.sink.wait(2))
    with Client(e.port, greeting=False) as c:
        c.send(v2(inet(STRANGER)))
        assert c.reply().code == 220
        assert not may_send(c)


def test_what_comes_behind_is_kept(served):
    """Header and commands in one segment, and a session in one segment."""
    subject = tag()
    text = (b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@far.test>\r\nDATA\r\n" + message(subject) +
            b".\r\nQUIT\r\n")
    for header in (v1(), v2(inet()), v2(inet() + tlv(4, bytes(200)))):
        with Client(served.ports[NETWORK], greeting=False) as c:
            c.send(header + text)
            assert [r.code for r in c.rest()] == [220, 250, 250, 250, 354, 250, 221]
    got = wait_until(lambda: [m for m in served.sink.messages if m.subject == subject][2:] and
                     [m for m in served.sink.messages if m.subject == subject], 10, "three")
    assert all(b"[192.0.2.1]" in split_received(m.data)[0] for m in got), got[0].data[:300]


def test_no_second_header(served):
    """E2: what follows is SMTP: another header is an unknown command, and changes nothing."""
    with Client(served.ports[NETWORK], greeting=False) as c:
        c.send(v1(STRANGER) + v1(LISTED))
        assert c.reply().code == 220
        assert c.reply().code == 500
        assert not may_send(c)
    with Client(served.ports[NETWORK], greeting=False) as c:
        c.send(v1(STRANGER))
        assert c.reply().code == 220
        c.send(v2(inet()) + b"\r\nNOOP\r\n")
        while (code := c.reply().code) != 250:
            assert code == 500
        assert not may_send(c)


def test_off_means_off(served):
    """A listener that asks for none parses none."""
    with Client(served.ports[OFF]) as c:
        assert c.cmd(v1()[:-2]).code == 500
        assert not may_send(c)


@pytest.mark.parametrize("header", [v1(), v2(inet()), v2(command=0x20, family=0), b""], ids=["v1", "v2", "local", "none"])
def test_untrusted_peers(served, header):
    """E2: 127.0.0.9 may send mail by access.networks, but is no load balancer."""
    with Client(served.ports[NETWORK], source="127.0.0.9", greeting=False) as c:
        try:
            c.send(header + b"EHLO x\r\n")
        except ConnectionError:
            pass
        assert refused(c)
    assert served.event("inbound_refused", reason="not one of proxy.networks")


def test_time(make):
    """E2: a header has its own deadline, however its bytes come; then the session has the usual one."""
    e = tls_engine(make, [{"proxy_protocol": "required"}], {"proxy": {"timeout": "1s"}})

    def one(drip):
        with Client(e.port, greeting=False) as c:
            start = time.monotonic()
            c.socket.settimeout(0.2)
            for byte in v1()[:-1]:
                if drip:
                    try:
                        c.socket.send(bytes([byte]))
                    except ConnectionError:
                        break
                try:
                    if c.socket.recv(1) == b"":
                        break
                except TimeoutError:
                    pass
                except ConnectionError:
                    break
            assert 0.7 < time.monotonic() - start < 6
    run_all([lambda: one(False), lambda: one(True)])
    with Client(e.port, greeting=False) as c:
        c.send(v1("127.0.0.1"))
        assert c.reply().code == 220
        time.sleep(1.3)
        c.ok("NOOP")


def test_caps_are_the_clients(make):
    """Connections are counted for the client behind the balancer, not for the balancer."""
    e = tls_engine(make, [{"proxy_protocol": "required"}], {"limits": {"connections_per_ip": 2}})
    held = []

    def come(source):
        c = Client(e.port, greeting=False)
        held.append(c)
        c.send(v1(source))
        return c.reply().status
    assert [come("192.0.2.1") for _ in range(3)] == ["220", "220", "421 4.7.0"]
    assert [come(f"192.0.2.{i}") for i in range(10, 16)] == ["220"] * 6
    held[0].close()
    wait_until(lambda: come("192.0.2.1") == "220", 5, "a free place", interval=0.05)
    for c in held:
        c.close()


def test_throttle_is_the_clients(make):
    """One client's wrong passwords lock nobody else out behind the same balancer."""
    e = tls_engine(make, [{"proxy_protocol": "required"}],
                   {**USERS, "auth": {"require_tls": False, "failures_max": 2, "lockout": "1h"}})

    def login(source, password):
        with Client(e.port, greeting=False) as c:
            c.send(v1(source))
            c.reply()
            c.ehlo()
            return login_plain(c, "ann", password).code
    assert [login("192.0.2.1", p) for p in ("no", "no", "x")] == [535, 535, 421]
    assert login("192.0.2.2", "x") == 235


# ---- together with TLS ----

class Behind(SecureClient):
    """Sends a PROXY header before anything else; together: in one segment with the ClientHello."""

    def __init__(self, port, header, together=False, **kwargs):
        self.header, self.together = header, together
        super().__init__(port, implicit=True, **kwargs)

    def handshake(self):
        if self.together:
            push = self._push
            self._push = lambda: self._with_header(push)
        else:
            self.send_pieces(self.header, self.pieces or len(self.header))
        super().handshake()

    def _with_header(self, push):
        self._push = push
        self.socket.sendall(self.header + self.outgoing.read())


@pytest.mark.parametrize("together", [False, True], ids=["apart", "together"])
@pytest.mark.parametrize("pieces", [0, 1])
@pytest.mark.parametrize("header", [v1(), v2(inet6("2001:db8::1") + tlv(4, bytes(500)), family=0x21)], ids=["v1", "v2"])
def test_implicit_tls(served, header, together, pieces):
    with Behind(served.ports[IMPLICIT], header, together, pieces=pieces) as c:
        assert may_send(c)
    with Behind(served.ports[IMPLICIT], v1(STRANGER), together, pieces=pieces) as c:
        assert not may_send(c)


def test_starttls(served):
    class Starting(SecureClient):
        def reply(self):
            if not self.secure and not self.buffer and not hasattr(self, "banner"):
                self.send(v1())
            return super().reply()
    with Starting(served.ports[MAY]) as c:
        c.starttls()
        assert may_send(c)


def test_tls_without_header(served):
    with Client(served.ports[IMPLICIT], greeting=False) as c:
        c.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100))
        assert refused(c)


# ---- HAProxy ----

def test_haproxy(make, served, tmp_path):
    """send-proxy and send-proxy-v2 with its SMTP checks (which come as v1 with the balancer's own address, and as
    v2 LOCAL); the client's address decides, and is in the message."""
    e = tls_engine(make, [{"proxy_protocol": "required"}, {"proxy_protocol": "required", "access": "auth"}],
                   {**USERS, "access": {"networks": ["127.0.0.9/32"]}, "proxy": {"networks": ["127.0.0.1/32"]}})
    h = make.add(Haproxy(str(tmp_path), {
        "one": ("send-proxy", e.port), "two": ("send-proxy-v2", e.port),
        "three": ("send-proxy-v2 proxy-v2-options crc32c,unique-id", e.port), "four": ("send-proxy", e.ports[1])}))
    h.wait("UP")
    for name in ("one", "two", "three"):
        subject = tag()
        with Client(h.port(name), source="127.0.0.9") as c:
            c.ehlo()
            assert c.submit(message(subject)).code == 250
        got = e.sink.with_subject(subject)[0]
        assert b"[127.0.0.9]" in split_received(got.data)[0]
        with Client(h.port(name), source="127.0.0.8") as c:
            assert not may_send(c)
        with Client(h.port(name)) as c:  # the balancer's address is no network of ours
            assert not may_send(c)
    with Client(h.port("four"), source="127.0.0.8") as c:
        c.ehlo()
        assert login_plain(c, "ann", "x").code == 235
        assert c.submit().code == 250
    e.stop()
    h.wait("DOWN")
    e.start()
    h.wait("UP")
    assert not e.events("inbound_refused")


def test_haproxy_without_proxy_protocol(make, tmp_path):
    """A balancer that sends no header to a listener that wants one: nobody gets in, and the check says so."""
    e = tls_engine(make, [{"proxy_protocol": "required"}], {"proxy": {"timeout": "300ms"}})
    h = make.add(Haproxy(str(tmp_path), {"bad": ("", e.port)}))
    h.wait("DOWN")
