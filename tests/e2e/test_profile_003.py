# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile 003 on the running engine: the inventory's 003-01 to 003-11, 003-14, 003-15, 003-19 to 003-21 and the traps
that concern them. Its files (003-07, 003-12, 003-13, 003-16 to 003-18) are in test_profile_003_files.py, starts that
must fail in test_profile_start.py."""
import re
import smtplib

import pytest

from harness.certs import Ca
from harness.client import Client, submit
from harness.login import login_cram, login_login, login_plain
from harness.message import message, tag
from harness.ports import free_port
from harness.profile import profile_engine
from harness.profile_smarthost import STRANGER, rcpt, start, with_yaml
from harness.profile_world import answering, direct, setting, swaks
from harness.tls_peer import TlsSink
from harness.tlsclient import SecureClient, open_port
from harness.wait import stays_false

USER, PASSWORD = "user", "pass:word #1; x"


def proxied(engine, address, source=None):
    c = Client(engine.ports[1], greeting=False, source=source)
    c.send(f"PROXY TCP{6 if ':' in address else 4} {address} {'::1' if ':' in address else '127.0.0.1'} 40000 586\r\n")
    c.banner = c.reply()
    c.ehlo()
    return c


# ---- 003-01: ports ----

def test_003_01_ports(make, sink):
    engine = start(make, sink, start=False, keep_ports=True)
    assert setting(engine, "listeners[].port") == ["587", "586"]
    assert setting(engine, "listeners[].address") == ['"0.0.0.0"', '"0.0.0.0"']
    assert setting(engine, "listeners[].proxy_protocol") == ["off", "required"]
    assert setting(engine, "listeners[].mode") == ["relay", "relay"]
    assert setting(engine, "proxy.timeout") == "5s"


def test_003_01_proxy_takes_the_clients_address(make, sink):
    """It decides about the networks, and stands in Received."""
    engine = start(make, sink, {"SH_ALLOWED_NETWORKS": "198.51.100.0/24 2001:db8::/32"})
    with proxied(engine, "2001:db8::7") as c:
        assert rcpt(c).code == 250
    with proxied(engine, "2001:db9::7") as c:
        assert rcpt(c).status == "554 5.7.1"
    with proxied(engine, "198.51.100.7") as c:
        subject = tag()
        assert c.submit(message(subject)).code == 250
    (hit,) = sink.with_subject(subject)
    assert b"[198.51.100.7]" in hit.data.split(b"\r\n\r\n")[0]
    with proxied(engine, "203.0.113.7") as c:
        assert rcpt(c).status == "554 5.7.1"
    with Client(engine.port) as c:  # 587 sees 127.0.0.1
        c.ehlo()
        assert rcpt(c).status == "554 5.7.1"


def test_003_01_version_2(make, sink):
    engine = start(make, sink, {"SH_ALLOWED_NETWORKS": "198.51.100.0/24"})
    head = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([198, 51, 100, 7, 127, 0, 0, 1, 0x9c, 0x40, 2, 0x4a])
    with Client(engine.ports[1], greeting=False) as c:
        c.send(head)
        assert c.reply().code == 220
        c.ehlo()
        assert rcpt(c).code == 250


@pytest.mark.parametrize("head", [b"EHLO x\r\n", b"PROXY UNKNOWN\r\n", b"PROXY TCP4 x y 1 2\r\n", b"GET / HTTP/1.0\r\n"])
def test_003_01_no_or_bad_header(make, sink, head):
    """Trap 12: UNKNOWN would walk around the networks."""
    engine = start(make, sink)
    with Client(engine.ports[1], greeting=False) as c:
        c.send(head)
        assert [r.status for r in c.rest()] == ["421 4.3.2"]
    assert open_port(engine.port)


def test_003_01_ipv6_by_our_keys(make, sink):
    """The original's ports are IPv4 here; what PROFILES.md says adds one."""
    port = free_port(("::1",))
    engine = start(make, sink, {"SH_ALLOWED_NETWORKS": "[::1]/128"},
                   settings={"listeners.2.address": "::1", "listeners.2.port": port})
    with Client(port, host="::1") as c:
        c.ehlo()
        assert c.submit(message()).code == 250
    with Client(engine.port) as c:
        c.ehlo()
        assert rcpt(c).status == "554 5.7.1"


def test_003_01_silence(make, sink):
    """A header that does not come is not waited for for ever."""
    engine = start(make, sink, settings={"proxy.timeout": "1s"})
    with Client(engine.ports[1], greeting=False) as c:
        c.send(b"PROXY TCP4 198.51")
        assert [r.status for r in c.rest()] == ["421 4.3.2"]


def test_003_01_local_does_not_bypass(make, sink):
    """A health check's LOCAL keeps the load balancer's own address."""
    engine = start(make, sink, {"SH_ALLOWED_NETWORKS": "198.51.100.0/24"})
    with Client(engine.ports[1], greeting=False) as c:
        c.send(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")
        assert c.reply().code == 220
        c.ehlo()
        assert rcpt(c).status == "554 5.7.1"


# ---- 003-02 … 003-04: defaults ----

def test_003_02_defaults(make):
    sink, settings = direct(make)
    engine = start(make, None, settings=settings)
    with Client(engine.port) as c:
        words = c.keywords()
        assert "AUTH" not in words and "STARTTLS" not in words and words["SIZE"] == "10240000"
        assert c.cmd("STARTTLS").code == 502
        assert c.cmd("AUTH PLAIN AHgAeA==").code in (502, 503)
        subject = tag()
        assert c.submit(message(subject), sender="any@where.example", to=["a@dest.test"]).code == 250
    (hit,) = sink.with_subject(subject)
    assert b"DKIM-Signature" not in hit.data and b"by localhost.localdomain " in hit.data
    assert hit.session.commands[0].line == b"EHLO localhost.localdomain"
    assert setting(engine, "access.networks") == '["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]'


def test_003_03_hostname(make, sink):
    engine = start(make, sink, {"SH_HOSTNAME": "relay.mydomain.com"})
    with Client(engine.port) as c:
        assert c.banner.text.startswith("relay.mydomain.com ")
        c.ehlo()
        subject = tag()
        assert c.submit(message(subject)).code == 250
    (hit,) = sink.with_subject(subject)
    assert b"by relay.mydomain.com " in hit.data and hit.session.commands[0].line == b"EHLO relay.mydomain.com"


@pytest.mark.parametrize("given", ["10.0.0.0/8, 127.0.0.1", "10.0.0.0/8 127.0.0.1", ["10.0.0.0/8", "127.0.0.1"],
                                   "127.0.0.1,\t10.1.2.3/8"])
def test_003_04_networks(make, sink, given):
    """Commas or spaces, or an array in YAML; an address is a network; host bits do not matter, as to Postfix."""
    engine = start(make, sink, {"SH_ALLOWED_NETWORKS": given}) if isinstance(given, str) else \
        with_yaml(make, sink, {"config": {"allowed_networks": given}})
    submit(engine.port)
    with Client(engine.port, source=STRANGER) as c:
        c.ehlo()
        assert rcpt(c).status == "554 5.7.1"


# ---- 003-05: logins ----

def test_003_05_auth_and_network(make, sink):
    """Trap 12: both, in clear when there is no TLS level; every mechanism; both forms of the name. Trap 29: the
    password holds everything that separates other things."""
    engine = start(make, sink, {"SH_AUTH": f"{USER}:{PASSWORD}", "SH_ALLOWED_NETWORKS": "127.0.0.1"})
    for way in (login_plain, login_login, login_cram):
        for name in (USER, USER + "@smarthost"):
            with Client(engine.port) as c:
                assert {"PLAIN", "LOGIN", "CRAM-MD5"} <= set(c.keywords()["AUTH"].split())
                assert way(c, name, PASSWORD).code == 235
                assert c.submit(message()).code == 250
    with Client(engine.port) as c:
        c.ehlo()
        assert rcpt(c).status == "554 5.7.1"
    with Client(engine.port, source=STRANGER) as c:
        c.ehlo()
        assert login_plain(c, USER, PASSWORD).code == 235
        assert rcpt(c).status == "554 5.7.1"
    with Client(engine.port) as c:
        c.ehlo()
        assert login_plain(c, USER, "pass").status == "535 5.7.8"
        assert login_plain(c, USER + "@elsewhere", PASSWORD).status == "535 5.7.8"
        assert login_plain(c, USER, PASSWORD).code == 235  # trap 4: the session is still there


def test_003_05_behind_the_proxy(make, sink):
    engine = start(make, sink, {"SH_AUTH": "u:p", "SH_ALLOWED_NETWORKS": "198.51.100.0/24"})
    with proxied(engine, "198.51.100.7") as c:
        assert rcpt(c).status == "554 5.7.1"
        assert login_plain(c, "u", "p").code == 235
        assert rcpt(c).code == 250
    with proxied(engine, "203.0.113.7") as c:
        assert login_plain(c, "u", "p").code == 235
        assert rcpt(c).status == "554 5.7.1"


# ---- 003-06: TLS ----

def test_003_06_may(make, sink):
    engine = start(make, sink, {"SH_TLS_LEVEL": "may", "SH_AUTH": "u:p"})
    with Client(engine.port) as c:
        words = c.keywords()
        assert "STARTTLS" in words and "AUTH" in words
        assert login_plain(c, "u", "p").code == 235  # AUTH in clear is allowed
    with SecureClient(engine.port) as c:
        c.starttls()
        c.ehlo()
        assert login_plain(c, "u", "p").code == 235


def test_003_06_encrypt(make, sink):
    engine = start(make, sink, {"SH_TLS_LEVEL": "encrypt"})
    with Client(engine.port) as c:
        assert "AUTH" not in c.keywords()
        assert c.cmd("MAIL FROM:<a@b.example>").status == "530 5.7.0"
    with SecureClient(engine.port) as c:
        c.starttls()
        c.ehlo()
        assert c.submit(message()).code == 250
    with proxied(engine, "10.0.0.1") as c:
        assert c.cmd("MAIL FROM:<a@b.example>").status == "530 5.7.0"


# ---- 003-08 … 003-11: the relay ----

def test_003_08_mx_first(make):
    """Trap 10."""
    target = make.sink(host="127.0.0.3")
    zone = {"relay.test": {"mx": [[10, "mx.relay.test"]], "a": ["127.0.0.2"]}, "mx.relay.test": {"a": ["127.0.0.3"]}}
    other = make.sink(host="127.0.0.2", port=target.port)
    settings = answering(make, zone)
    for host, hit in ((f"relay.test:{target.port}", target), (f"[relay.test]:{target.port}", other)):
        engine = start(make, None, {"SH_RELAY_HOST": host}, settings=settings)
        subject = tag()
        submit(engine.port, message(subject))
        assert hit.with_subject(subject)


def test_003_09_relay_login_in_clear(make):
    """Trap 9."""
    sink = make.add(TlsSink(auth_in_clear=["LOGIN", "PLAIN"], users={"u": "p:q"}).start())
    engine = start(make, sink, {"SH_RELAY_USERNAME": "u", "SH_RELAY_PASSWORD": "p:q"})
    (warning,) = [line for line in engine.stderr().splitlines() if "TLS" in line]
    assert warning.startswith("warning: SH_RELAY_PASSWORD: may be sent without TLS, as the original does; ")
    subject = tag()
    submit(engine.port, message(subject))
    assert sink.with_subject(subject) and sink.logins


@pytest.mark.parametrize("how", ["env", "yaml"])
def test_003_10_relay_tls(make, sink, how):
    """Mandatory, whatever the certificate; and never in clear."""
    secure = make.add(TlsSink(Ca(make.folder).server()).start())
    for target in (secure, sink):
        engine = start(make, target, {"SH_RELAY_TLS": "true"}) if how == "env" else \
            with_yaml(make, target, {"config": {"relay": {"tls": True}}})
        subject = tag()
        submit(engine.port, message(subject))
        if target is secure:
            assert secure.with_subject(subject) and secure.secured
        else:
            assert stays_false(lambda: sink.messages, 1)
        engine.stop()


def test_003_10_every_mx_too(make):
    sink, settings = direct(make)
    engine = start(make, None, {"SH_RELAY_TLS": "1"}, settings=settings)
    submit(engine.port, to=["a@dest.test"])
    assert engine.event("deferred")["stage"] in ("starttls", "ehlo") and not sink.messages


@pytest.mark.parametrize("value", ["false", "no", "0"])
def test_003_10_false(make, sink, value):
    """Trap 16: the deliberate deviation; in YAML only `true` is true."""
    engine = start(make, sink, {"SH_RELAY_TLS": value, "SH_VERBOSE": value})
    for name in ("SH_RELAY_TLS", "SH_VERBOSE"):
        assert f"warning: {name}: taken as false; the original takes any text as true" in engine.stderr()
    submit(engine.port)
    sink.wait()


def test_003_10_yaml_has_one_word(make, sink):
    engine = with_yaml(make, sink, {"config": {"relay": {"tls": "yes"}, "verbose": 1, "auth": "True"}})
    for name in ("relay.tls", "verbose", "auth"):
        assert f"config.{name}: only \"true\" switches this on; taken as false" in engine.stderr()
    submit(engine.port)
    sink.wait()


def test_003_11_verbose(make, sink):
    assert setting(start(make, sink, start=False), "log.level") == "info"
    assert setting(start(make, sink, {"SH_VERBOSE": "1"}, start=False), "log.level") == "debug"
    assert setting(with_yaml(make, sink, {"config": {"verbose": True}}, start=False), "log.level") == "debug"


# ---- 003-14, 003-15: senders ----

DOMAINS = {"config": {"sender_restrictions": "domain"}, "domains": [{"name": "mydomain.com"}, {"name": "other.example"}]}


def test_003_14_domain(make, sink):
    """Traps 13, 14: sub-domains pass, the null sender does not."""
    engine = with_yaml(make, sink, DOMAINS)
    with Client(engine.port) as c:
        c.ehlo()
        for sender in ("a@mydomain.com", "a@MyDomain.com", "a@sub.mydomain.com", "a@other.example"):
            assert rcpt(c, sender=sender).code == 250, sender
        for sender in ("a@mydomain.org", "a@xmydomain.com", "a@com", ""):
            reply = rcpt(c, sender=sender)
            assert reply.status == "554 5.7.1", sender
            assert reply.text == f"5.7.1 <{sender}>: Sender address rejected: Access denied"


def test_003_14_no_domains(make, sink):
    engine = with_yaml(make, sink, {"config": {"sender_restrictions": "domain"}})
    with Client(engine.port) as c:
        c.ehlo()
        assert rcpt(c, sender="a@mydomain.com").status == "554 5.7.1"


EMAILS = {"config": {"auth": True, "sender_restrictions": "email"},
          "users": [{"name": "one", "password": "p", "allowed_from": ["noreply@d.example", "@e.example"]},
                    {"name": "two", "password": "p", "allowed_from": ["boss@d.example"]},
                    {"name": "free", "password": "p"}, {"name": "empty", "password": "p", "allowed_from": []}]}


def test_003_15_email(make, sink):
    """Traps 13, 14: the null sender passes, a sub-domain does not."""
    engine = with_yaml(make, sink, EMAILS)
    for login in ("one", "one@smarthost"):
        with Client(engine.port) as c:
            c.ehlo()
            assert login_plain(c, login, "p").code == 235
            for sender in ("noreply@d.example", "NOREPLY@D.example", "any@e.example", ""):
                assert rcpt(c, sender=sender).code == 250, sender
            for sender in ("other@d.example", "a@sub.e.example", "boss@d.example"):
                reply = rcpt(c, sender=sender)
                assert reply.status == "553 5.7.1", sender
                assert reply.text.startswith(f"5.7.1 <{sender}>: Sender address rejected: not owned by user one")
    for name in ("free", "empty"):
        with Client(engine.port) as c:
            c.ehlo()
            assert login_plain(c, name, "p").code == 235
            for sender in ("who@ever.example", ""):
                assert rcpt(c, sender=sender).code == 250, (name, sender)


def test_003_15_unauthenticated(make, sink):
    """Who has not logged in is refused for that first; where logins are optional, for an owned address."""
    engine = with_yaml(make, sink, EMAILS)
    with Client(engine.port) as c:
        c.ehlo()
        assert rcpt(c, sender="noreply@d.example").status == "554 5.7.1"
    optional = {**EMAILS, "config": {"sender_restrictions": "email"}}
    engine = with_yaml(make, sink, optional, files={"/etc/smarthost/postfix.d/a.conf": "-e smtpd_sasl_auth_enable=yes\n"})
    with Client(engine.port) as c:
        c.ehlo()
        reply = rcpt(c, sender="noreply@d.example")
        assert reply.status == "553 5.7.1" and "not logged in" in reply.text
        assert rcpt(c, sender="nobodys@else.example").code == 250
        assert rcpt(c, sender="").code == 250


def test_003_15_without_auth(make, sink):
    """The rule is ignored, with a warning."""
    engine = with_yaml(make, sink, {"config": {"sender_restrictions": "email"}, "users": EMAILS["users"]})
    assert "config.sender_restrictions: \"email\" has no effect: nobody logs in" in engine.stderr()
    submit(engine.port, sender="noreply@d.example")


# ---- 003-19 … 003-21 ----

def test_003_19_missing_headers(make, sink):
    engine = start(make, sink, {"SH_HOSTNAME": "relay.mydomain.com"})
    subject = tag()
    submit(engine.port, b"Subject: " + subject.encode() + b"\r\n\r\nx\r\n")
    (hit,) = sink.with_subject(subject)
    head = hit.data.split(b"\r\n\r\n")[0]
    for name in (b"Received", b"Date", b"Message-ID", b"From"):
        assert len(re.findall(rb"(?mi)^" + name + rb": ", head)) == 1, name
    assert not re.search(rb"(?mi)^To: ", head)
    text = message(tag())
    submit(engine.port, text)
    assert sink.wait(2)[-1].data.endswith(b"\r\n" + text)  # nothing is added to what is complete


def test_003_19_long_lines(make, sink):
    """What Postfix folds passes as it is."""
    engine = start(make, sink)
    text = message(tag(), body=b"<p>" + b"x" * 5000 + b"</p>\r\n")
    submit(engine.port, text)
    sink.wait()
    assert sink.messages[0].data.endswith(text)


def test_003_20_limits(make, sink):
    engine = start(make, sink)
    with Client(engine.port) as c:
        assert c.keywords()["SIZE"] == "10240000"
        c.ok("MAIL FROM:<a@b.example>")
        c.send(b"".join(b"RCPT TO:<r%d@b.example>\r\n" % i for i in range(1001)))
        replies = [r.code for r in c.replies(1001)]
        assert replies[:1000] == [250] * 1000 and replies[1000] == 452
    with Client(engine.port) as c:
        c.ehlo()
        for _ in range(40):
            reply = c.cmd("NONSENSE")
            if reply.code == 421:
                break
        assert reply.status == "421 4.7.0" and c.closed()
    assert setting(engine, "limits.command_timeout") == "5m" and setting(engine, "queue.max_age") == "5d"
    del engine.env["RINGPOST_QUEUE_SCHEDULE"]
    assert setting(engine, "queue.schedule") == "[5m, 5m, 10m, 20m, 40m, 1h6m40s]"


def test_003_20_persistence(make, sink):
    """The queue is where the image's volume is mounted, and outlives kill -9 (trap 27)."""
    engine = start(make, None, {"SH_RELAY_HOST": "[127.0.0.1]:9"}, start=False)
    del engine.env["RINGPOST_SPOOL_DIR"]
    assert setting(engine, "spool.dir") == f'"{engine.root}/var/spool/postfix/ringpost"'
    engine.put("/var/spool/postfix/pid/master.pid", "")  # what Postfix left there
    engine.start()
    subject = tag()
    submit(engine.port, message(subject))
    engine.kill()
    engine.env["SH_RELAY_HOST"] = sink.endpoint
    engine.spawn()
    assert sink.with_subject(subject)


def test_003_21_no_command_line_of_the_image(make):
    """`test …` behind the command is refused by name, not taken for something else."""
    engine = start(make, None, start=False)
    done = engine.ringpost("serve", "test", "root@example.org")
    assert done.returncode == 64 and "unexpected argument 'test'" in done.stderr


# ---- beside the rows ----

@pytest.mark.parametrize("level", ["", "may"])
def test_swaks(make, sink, level):
    engine = start(make, sink, {"SH_AUTH": "test:test", "SH_TLS_LEVEL": level})
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        swaks(engine.port, *(["--tls"] if level else []), "--auth", mechanism, "--auth-user", "test", "--auth-password", "test")
    sink.wait(3)


def test_smtplib_on_the_proxy_port_needs_the_proxy(make, sink):
    engine = start(make, sink)
    with pytest.raises((smtplib.SMTPException, OSError)):
        smtplib.SMTP("127.0.0.1", engine.ports[1], timeout=20).ehlo_or_helo_if_needed()


def test_kubernetes_service_links_are_ignored(make, sink):
    """Trap 18: of a Service that is called sh or smarthost."""
    links = {"SH_SERVICE_HOST": "10.0.0.1", "SH_PORT": "tcp://10.0.0.1:587", "SH_PORT_587_TCP_ADDR": "10.0.0.1",
             "SMARTHOST_PORT": "tcp://10.0.0.1:587", "SMARTHOST_SERVICE_PORT": "587", "SMARTHOST_PORT_587_TCP_PROTO": "tcp"}
    assert "warning" not in start(make, sink, links).stderr()


def test_unknown_names_are_warned_about(make, sink):
    assert "warning: SH_TLS_LEVL: profile 003 has no variable of this name" in start(make, sink, {"SH_TLS_LEVL": "may"}).stderr()


def test_a_variable_alone_chooses_the_profile(make, sink):
    engine = profile_engine(make, {"SH_RELAY_HOST": sink.endpoint}, listeners=2)
    assert engine.ringpost("config").stdout.startswith("# profile: 003\n")
    submit(engine.port)
    sink.wait()
