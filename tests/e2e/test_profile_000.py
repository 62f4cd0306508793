# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile 000 on the running engine: the inventory's 000-01 to 000-15, and the behaviour that the original's own
suite asks for (attachments, sending, integrity, logins), written independently."""
import email
import os
import smtplib
import ssl
import subprocess
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY

import pytest

from dnsserver import DnsServer
from harness.client import Client
from harness.login import login_plain
from harness.message import message, tag
from harness.peers import tool
from harness.profile import profile_engine, refuses, self_signed
from harness.tls_peer import TlsSink
from harness.tlsclient import SecureClient, open_port
from harness.wait import stays_false, wait_until

USER, PASSWORD, NAME = "testuser", "testpass", "mta-out-test.localhost"
CERT, KEY = "/etc/ssl/certs/ssl-cert-snakeoil.pem", "/etc/ssl/private/ssl-cert-snakeoil.key"
BASE = {"SMTP_USERNAME": USER, "SMTP_PASSWORD": PASSWORD, "MYHOSTNAME": NAME, "MESSAGE_SIZE_LIMIT": "10240000"}
# What the original's sink is: plain, no AUTH, no STARTTLS, no PIPELINING, no DSN.
PLAIN = ["SIZE 33554432", "8BITMIME"]


def certificates():
    cert, key = self_signed(NAME)
    return {CERT: cert, KEY: key}


def start(make, more=None, **kwargs):
    return profile_engine(make, {**BASE, **(more or {})}, files=kwargs.pop("files", None) or certificates(), **kwargs)


@pytest.fixture(scope="module", name="world")
def make_world(tmp_path_factory):
    """One engine with a plain sink behind it, as the original's compose file has it."""
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("profile000"))
    sink = makers.sink(features=PLAIN)
    engine = start(makers, {"RELAYHOST": sink.endpoint})
    engine.sink = sink
    yield engine
    assert engine.running, engine.trouble()
    makers.finish()


@pytest.fixture(name="mta")
def make_mta(world):
    with world.sink.lock:
        del world.sink.messages[:]
    return world


@pytest.fixture(name="smtp")
def make_smtp(mta):
    """smtplib as applications use it: connect, STARTTLS without verification, login."""
    client = smtplib.SMTP("127.0.0.1", mta.port, timeout=20)
    client.ehlo()
    client.starttls(context=unverified())
    client.ehlo()
    client.login(USER, PASSWORD)
    yield client
    client.quit()


def unverified():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def secured(mta, login=True):
    c = SecureClient(mta.port, name=NAME)
    c.starttls()
    c.ehlo()
    if login:
        assert login_plain(c, USER, PASSWORD).code == 235
    return c


def mail(subject=None, to="recipient@external-domain.com", **headers):
    m = EmailMessage()
    m["From"], m["To"], m["Subject"] = "sender@example.com", to, subject or tag()
    for name, value in headers.items():
        m[name] = value
    m.set_content("This is a test.\n")
    return m


def received(mta, m, timeout=10):
    """The one message at the sink, parsed, with the three headers that each test of the original compares."""
    (hit,) = mta.sink.with_subject(m["Subject"], timeout=timeout)
    got = email.message_from_bytes(hit.data, policy=SMTP_POLICY)
    for name in ("Subject", "From", "To"):
        assert got[name] == m[name]
    return got, hit


# ---- 2.0 of the inventory: attachments ----

def test_attachment_pdf(mta, smtp):
    m = mail()
    m.add_attachment(b"%PDF-1.4\n" + bytes(range(256)), maintype="application", subtype="pdf", filename="a.pdf")
    assert not smtp.send_message(m)
    got, _ = received(mta, m)
    assert next(got.iter_attachments()).get_content() == b"%PDF-1.4\n" + bytes(range(256))


def test_attachment_image(mta, smtp):
    m = mail()
    m.add_attachment(b"\x89PNG\r\n\x1a\n" + b"\0" * 60, maintype="image", subtype="png", filename="a.png")
    assert not smtp.send_message(m)
    received(mta, m)


def test_attachment_inline_image(mta, smtp):
    m = mail()
    m.set_content("plain\n")
    m.add_alternative("<p><img src='cid:one'></p>", subtype="html")
    m.get_payload()[1].add_related(b"\x89PNG\r\n\x1a\n" + b"\0" * 60, "image", "png", cid="<one>")
    assert not smtp.send_message(m)
    got, _ = received(mta, m)
    assert any(p.get("Content-ID") == "<one>" for p in got.walk())


def test_attachment_large(mta, smtp):
    m = mail()
    m.add_attachment(b"\0" * (1 << 20), maintype="application", subtype="octet-stream", filename="zeros")
    assert not smtp.send_message(m)
    got, _ = received(mta, m)
    assert next(got.iter_attachments()).get_content() == b"\0" * (1 << 20)


# ---- sending ----

def test_sending_simple_text(mta, smtp):
    m = mail()
    assert not mta.sink.messages
    assert not smtp.send_message(m)
    _, hit = received(mta, m, 5)
    assert smtp.noop()[0] == 250
    assert hit.rcpts == ["recipient@external-domain.com"] and len(mta.sink.messages) == 1


def test_sending_simple_localhost(mta, smtp):
    """000-06: nothing is local."""
    m = mail(to="recipient@localhost")
    assert not smtp.send_message(m)
    _, hit = received(mta, m, 5)
    assert hit.rcpts == ["recipient@localhost"] and smtp.noop()[0] == 250


def test_sending_html(mta, smtp):
    m = mail()
    m.add_alternative("<p>Hello <b>you</b></p>", subtype="html")
    assert not smtp.send_message(m)
    got, _ = received(mta, m)
    assert got.get_content_type() == "multipart/alternative"


def test_sending_multiple_recipients(mta, smtp):
    """Trap 1: two domains, one smarthost: one transaction, and no late second copy."""
    m = mail(to="a@one-domain.com, b@other-domain.com")
    assert not smtp.send_message(m)
    _, hit = received(mta, m)
    assert sorted(hit.rcpts) == ["a@one-domain.com", "b@other-domain.com"]
    assert stays_false(lambda: len(mta.sink.messages) > 1, 0.5)


def test_sending_cc_and_bcc(mta, smtp):
    m = mail(Cc="cc@external-domain.com", Bcc="bcc@external-domain.com")
    assert not smtp.send_message(m)
    got, hit = received(mta, m)
    assert got["Cc"] == "cc@external-domain.com" and got["Bcc"] is None and len(hit.rcpts) == 3


# ---- integrity ----

def test_integrity_unmodified(mta, smtp):
    """000-12: no header missing, changed or extra; byte by byte."""
    m = mail("Schöne Grüße 日本語 " + tag())
    m["X-Custom-Header"] = "Custom Value"
    assert "Date" not in m and "Message-ID" not in m
    sent = m.as_bytes(policy=SMTP_POLICY)
    smtp.sendmail("sender@example.com", ["recipient@external-domain.com"], sent)
    (hit,) = wait_until(lambda: list(mta.sink.messages), 15)
    assert hit.data == sent
    assert stays_false(lambda: len(mta.sink.messages) > 1, 0.5)


def test_000_12_received_is_stripped_at_the_top_only(mta, smtp):
    """Trap 6: what an attached message holds stays."""
    inner = b"Received: from inner.example by other.example; Fri, 21 Nov 2025 10:00:00 +0000\r\nSubject: in\r\n\r\nx\r\n"
    head = b"From: <a@example.com>\r\nSubject: " + tag().encode() + b"\r\nContent-Type: message/rfc822\r\n"
    trace = b"Received: from x.example (x.example [192.0.2.1])\r\n\tby y.example; Fri, 21 Nov 2025 10:00:00 +0000\r\n"
    smtp.sendmail("a@example.com", ["b@example.org"], trace + head + trace + b"\r\n" + inner)
    (hit,) = wait_until(lambda: list(mta.sink.messages), 15)
    assert hit.data == head + b"\r\n" + inner


@pytest.mark.parametrize("body", [b"", b"no line end", b".\r\n..\r\n.x\r\n", b"\r\n\r\n", b"x" * 998 + b"\r\n",
                                  b"y" * 2048 + b"\r\n", "ü\r\n".encode()],
                         ids=["empty", "no-line-end", "dots", "blank", "998", "2048", "8bit"])
def test_000_12_bytes(mta, smtp, body):
    """Also C19: lines up to 2048 bytes leave as they came."""
    head = b"From: <a@example.com>\r\nSubject: " + tag().encode() + b"\r\n\r\n"
    smtp.sendmail("a@example.com", ["b@example.org"], head + body, mail_options=["BODY=8BITMIME"])
    (hit,) = wait_until(lambda: list(mta.sink.messages), 15)
    want = head + body
    assert hit.data == (want if want.endswith(b"\r\n") else want + b"\r\n")


# ---- logins ----

def test_auth_success(smtp):
    assert smtp.noop()[0] == 250


@pytest.mark.parametrize("user, password", [(USER, "wrong_password"), ("wrong_username", PASSWORD), ("", "")])
def test_auth_failure(mta, user, password):
    """Trap 4: 535 in the end, never 503, and the connection stays."""
    client = smtplib.SMTP("127.0.0.1", mta.port, timeout=20)
    client.starttls(context=unverified())
    with pytest.raises(smtplib.SMTPAuthenticationError) as error:
        client.login(user, password)
    assert error.value.smtp_code == 535
    assert client.noop()[0] == 250
    client.quit()


def test_auth_unauthenticated_relay(mta):
    """000-06, trap 3: MAIL is taken, RCPT refused."""
    client = smtplib.SMTP("127.0.0.1", mta.port, timeout=20)
    client.starttls(context=unverified())
    with pytest.raises(smtplib.SMTPRecipientsRefused) as error:
        client.sendmail("sender@example.com", ["recipient@external-domain.com"], mail().as_bytes())
    assert error.value.recipients["recipient@external-domain.com"][0] == 554
    client.quit()
    assert stays_false(lambda: mta.sink.messages, 0.3)


def test_000_06_any_client_any_recipient(mta):
    """Who logged in may send to anybody, from any address; nobody else may, from none."""
    with SecureClient(mta.port, name=NAME, source="127.0.0.9") as c:
        c.starttls()
        c.ehlo()
        c.ok("MAIL FROM:<a@b.example>")
        assert c.cmd("RCPT TO:<x@external.example>").code == 554
        assert c.cmd("DATA").code in (503, 554)
        c.ok("RSET")
        assert login_plain(c, USER, PASSWORD).code == 235
        c.ok("MAIL FROM:<a@b.example>")
        for rcpt in ("x@external.example", "x@localhost", f"x@{NAME}", "x@[192.0.2.1]"):
            c.ok(f"RCPT TO:<{rcpt}>")


def test_000_05_ways_to_log_in(mta):
    """Every mechanism that is offered works, with both forms of the name."""
    for login in (USER, f"{USER}@{NAME}"):
        for way in ("auth_plain", "auth_login", "auth_cram_md5"):
            client = smtplib.SMTP("127.0.0.1", mta.port, timeout=20)
            client.starttls(context=unverified())
            client.ehlo()
            client.user, client.password = login, PASSWORD
            mechanism = way[5:].upper().replace("_", "-")
            assert client.auth(mechanism, getattr(client, way))[0] == 235, (login, way)
            client.quit()


def test_000_05_again_and_inside_a_transaction(mta):
    with secured(mta) as c:
        assert c.cmd("AUTH PLAIN AHgAeA==").status == "503 5.5.1"
    with secured(mta, login=False) as c:
        c.ok("MAIL FROM:<a@example.com>")
        assert c.cmd("AUTH PLAIN AHgAeA==").code == 503


# ---- 000-01 … 000-03 ----

def test_000_01_one_listener_on_587(make):
    """The port itself: the whole of 127.0.0.1:587 needs root, so only what is asked for is looked at."""
    engine = start(make, start=False, keep_ports=True)
    done = engine.ringpost("config")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("    port: ") == 1 and "    port: 587\n" in done.stdout
    assert 'address: "0.0.0.0"' in done.stdout


@pytest.mark.parametrize("command", ["MAIL FROM:<a@b.example>", "AUTH PLAIN AHgAeA==", "RSET", "VRFY a", "DATA",
                                     "RCPT TO:<a@b.example>"])
def test_000_02_nothing_before_starttls(mta, command):
    with Client(mta.port) as c:
        words = c.keywords()
        assert "STARTTLS" in words and "AUTH" not in words
        assert c.cmd(command).status == "530 5.7.0"
        for allowed in ("NOOP", "HELP", "EHLO x.example", "HELO x.example"):
            assert c.cmd(allowed).code in (250, 214)
        assert c.cmd("QUIT").code == 221


def test_000_02_starttls_twice_and_with_argument(mta):
    with Client(mta.port) as c:
        c.ehlo()
        assert c.cmd("STARTTLS now").code == 501
    with secured(mta, login=False) as c:
        assert c.cmd("STARTTLS").code in (503, 554)


def test_000_03_ehlo(mta):
    with Client(mta.port) as c:
        assert c.cmd("MAIL FROM:<a@b.example>").code in (503, 530)
    with secured(mta, login=False) as c:
        lines = c.ehlo().lines
        words = {line[4:].split(" ")[0] for line in lines[1:]}
        assert lines[0][4:] == NAME
        assert {"PIPELINING", "SIZE", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING", "AUTH"} <= words
        assert "250-SIZE 10240000" in lines or "250 SIZE 10240000" in lines
        assert any(w.startswith("AUTH=") for w in words)
        assert "STARTTLS" not in words and "VRFY" not in words
        assert c.cmd("VRFY a@b.example").status == "502 5.5.1"
        assert c.banner.text.startswith(NAME + " ")


# ---- 000-04, 000-10, 000-11: a start that fails ----

@pytest.mark.parametrize("missing", ["SMTP_USERNAME", "SMTP_PASSWORD"])
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_000_04_required(make, missing, how):
    env = {k: v for k, v in BASE.items() if k != missing}
    if how == "empty":
        env[missing] = ""
    status, err = refuses(make, env, files=certificates())
    assert status == 1 and f"Error: {missing} must be set\n" in err


@pytest.mark.parametrize("left", [[], [CERT], [KEY]])
def test_000_10_no_certificate(make, left):
    files = {k: v for k, v in certificates().items() if k in left}
    status, err = refuses(make, BASE, files=files)
    assert status == 1 and "Error: TLS certificate/key files not found: " in err
    assert CERT in err and KEY in err


def test_000_10_own_certificate(make):
    cert, key = self_signed("own.example.test")
    engine = start(make, {"TLS_CERT_PATH": "/tls/tls.crt", "TLS_KEY_PATH": "/tls/tls.key"},
                   files={"/tls/tls.crt": cert, "/tls/tls.key": key})
    with SecureClient(engine.port) as c:
        c.starttls()
        assert c.certificate() == ssl.PEM_cert_to_DER_cert(cert.decode())


@pytest.mark.parametrize("value", ["10MB", "abc", "-1", "1e6"])
def test_000_11_not_a_number(make, value):
    status, err = refuses(make, {**BASE, "MESSAGE_SIZE_LIMIT": value}, files=certificates())
    assert status == 1 and err.startswith("MESSAGE_SIZE_LIMIT: ")


def test_000_11_size(make, sink):
    engine = start(make, {"RELAYHOST": sink.endpoint, "MESSAGE_SIZE_LIMIT": "100000"})
    with secured(engine) as c:
        assert c.cmd("MAIL FROM:<a@b.example> SIZE=100001").status == "552 5.3.4"
        c.envelope()
        assert c.data(message(body=b"x" * 70 + b"\r\n" + b"y" * 70 * 1500 + b"\r\n")).status == "552 5.3.4"
        assert c.submit(message()).code == 250  # still in step


# ---- 000-07, 000-08: the relay ----

def test_000_07_bracketless_is_an_mx_lookup(make):
    """Trap 10: `host:port` means the MX of host first, `[host]:port` its address."""
    target = make.sink(host="127.0.0.3")
    other = make.sink(host="127.0.0.2", port=target.port)
    port = target.port
    zone = {"relay.test": {"mx": [[10, "mx.relay.test"]], "a": ["127.0.0.2"]}, "mx.relay.test": {"a": ["127.0.0.3"]},
            "plain.test": {"a": ["127.0.0.2"]}}
    dns = make.add(DnsServer(zone).start())
    for host, sink in ((f"relay.test:{port}", target), (f"[relay.test]:{port}", other), (f"plain.test:{port}", other)):
        engine = start(make, {"RELAYHOST": host}, settings={"dns.servers": dns.endpoint})
        with secured(engine) as c:
            subject = tag()
            assert c.submit(message(subject)).code == 250
        sink.with_subject(subject)
        engine.stop()


def test_000_07_direct(make):
    """Unset: MX of the recipient's domain."""
    sink = make.sink(host="127.0.0.4")
    dns = make.add(DnsServer({"dest.test": {"mx": [[10, "mx.dest.test"]]}, "mx.dest.test": {"a": ["127.0.0.4"]}}).start())
    engine = start(make, settings={"dns.servers": dns.endpoint, "delivery.mx_port": sink.port,
                                   "delivery.private_targets": "allow"})
    with secured(engine) as c:
        subject = tag()
        assert c.submit(message(subject), to=["a@dest.test"]).code == 250
    assert sink.with_subject(subject)


def test_000_07_several_in_order(make, sink):
    engine = start(make, {"SMTP_RELAY_HOST": f"[127.0.0.1]:9, {sink.endpoint}"})
    with secured(engine) as c:
        subject = tag()
        assert c.submit(message(subject)).code == 250
    assert sink.with_subject(subject)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_000_08_relay_login(make, mechanism):
    """In clear too, as the original: the sink offers no TLS."""
    sink = make.add(TlsSink(auth_in_clear=[mechanism], users={"relayuser": "relaypass"}).start())
    engine = start(make, {"RELAYHOST": sink.endpoint, "SMTP_RELAY_USERNAME": "relayuser",
                          "SMTP_RELAY_PASSWORD": "relaypass"})
    assert "may be sent without TLS" in engine.stderr()
    with secured(engine) as c:
        subject = tag()
        assert c.submit(message(subject)).code == 250
    assert sink.with_subject(subject)
    assert [login.mechanism for login in sink.logins] == [mechanism]


def test_000_08_wrong_relay_login(make):
    sink = make.add(TlsSink(auth_in_clear=["PLAIN"], users={"relayuser": "other"}).start())
    engine = start(make, {"RELAYHOST": sink.endpoint, "SMTP_RELAY_USERNAME": "relayuser",
                          "SMTP_RELAY_PASSWORD": "relaypass"})
    with secured(engine) as c:
        assert c.submit(message()).code == 250
    wait_until(lambda: sink.logins, 15, "a login at the sink")
    assert not sink.messages


@pytest.mark.parametrize("given", ["SMTP_RELAY_USERNAME", "SMTP_RELAY_PASSWORD"])
def test_000_08_one_of_two(make, given):
    sink = make.add(TlsSink(auth_in_clear=["PLAIN"], users={"x": "x"}, auth_required=False).start())
    engine = start(make, {"RELAYHOST": sink.endpoint, given: "x"})
    assert "Relay authentication disabled." in engine.stderr()
    with secured(engine) as c:
        subject = tag()
        assert c.submit(message(subject)).code == 250
    assert sink.with_subject(subject) and not sink.logins


# ---- 000-09, 000-13 … 000-15 ----

def test_000_09_name(mta, smtp):
    m = mail()
    smtp.send_message(m)
    _, hit = received(mta, m)
    assert [c.line for c in hit.session.commands][0] == b"EHLO " + NAME.encode()


def test_000_13_bounce_to_the_sender(make):
    sink = make.sink(script={"rcpt": lambda s, arg: "550 5.1.1 nobody" if b"bad@" in arg else None})
    engine = start(make, {"RELAYHOST": sink.endpoint})
    with secured(engine) as c:
        assert c.submit(message(), sender="me@example.com", to=["bad@example.org"]).code == 250
    hit = wait_until(lambda: [m for m in sink.messages if m.sender == b""], 15, "a bounce")[0]
    assert hit.rcpts == ["me@example.com"]


def test_000_13_trap_2_first_attempt_at_once(mta, smtp):
    m = mail()
    smtp.send_message(m)
    assert received(mta, m, timeout=3)


def test_000_14_opportunistic_tls_out(make):
    from harness.certs import Ca
    ca = Ca(make.folder)
    sink = make.add(TlsSink(ca.server()).start())
    engine = start(make, {"RELAYHOST": sink.endpoint})
    with secured(engine) as c:
        subject = tag()
        assert c.submit(message(subject)).code == 250
    assert sink.with_subject(subject) and sink.secured  # nobody trusts that authority


def test_000_15_proxy_required(make, sink):
    """The header comes first; without one nothing is served."""
    engine = start(make, {"RELAYHOST": sink.endpoint, "ENABLE_PROXY_PROTOCOL": "haproxy"})
    c = Client(engine.port, greeting=False)
    c.send("PROXY TCP4 198.51.100.7 127.0.0.1 40000 587\r\n")
    assert c.reply().code == 220
    c.ehlo()
    assert c.cmd("STARTTLS").code == 220
    c.close()
    with Client(engine.port, greeting=False) as c:
        c.send("EHLO x.example\r\n")
        rest = c.rest()
        assert not rest or rest[0].code == 421
    assert open_port(engine.port)


def test_000_15_debug(make, sink):
    engine = start(make, {"RELAYHOST": sink.endpoint, "POSTFIX_DEBUG": "1"})
    with secured(engine) as c:
        c.ehlo()
    assert engine.ringpost("config").stdout.count("level: debug") == 1


def test_a_password_is_seen_nowhere(make, sink):
    engine = start(make, {"RELAYHOST": sink.endpoint, "SMTP_PASSWORD": "canary-4711", "SMTP_RELAY_USERNAME": "u",
                          "SMTP_RELAY_PASSWORD": "canary-4712"})
    for done in (engine.ringpost("config"), engine.ringpost("check")):
        assert done.returncode == 0 and "canary" not in done.stdout + done.stderr
    assert "canary" not in engine.stderr() and "canary" not in str(engine.events())


def test_kubernetes_service_links_are_ignored(make, sink):
    """Trap 18."""
    links = {"MTA_SERVICE_HOST": "10.0.0.1", "MTA_PORT": "tcp://10.0.0.1:587", "SMTP_PORT": "tcp://10.0.0.1:587",
             "SMTP_SERVICE_PORT": "587", "SMTP_PORT_587_TCP_ADDR": "10.0.0.1"}
    engine = start(make, {"RELAYHOST": sink.endpoint, **links})
    assert "warning" not in engine.stderr()


def test_a_reload_keeps_the_profile(make, sink):
    engine = start(make, {"RELAYHOST": sink.endpoint})
    cert, key = self_signed("renewed.example.test")
    engine.put(CERT, cert)
    engine.put(KEY, key)
    engine.hup()

    def renewed():
        with SecureClient(engine.port) as c:
            c.starttls()
            return c.certificate() == ssl.PEM_cert_to_DER_cert(cert.decode())
    wait_until(renewed, 15, "the new certificate")
    with secured(engine) as c:
        assert c.submit(message()).code == 250


def test_no_stranger_socket(make):
    """000-01: nothing on 25 and 465 because of this profile."""
    engine = start(make)
    with open(f"/proc/{engine.process.pid}/net/tcp", encoding="ascii") as f:
        inodes = {line.split()[9] for line in f if line.split()[3] == "0A"}
    mine = set()
    for fd in os.listdir(f"/proc/{engine.process.pid}/fd"):
        try:
            mine.add(os.readlink(f"/proc/{engine.process.pid}/fd/{fd}").removeprefix("socket:[").rstrip("]"))
        except OSError:
            pass
    assert len(inodes & mine) == 1


def test_curl(mta):
    """A client that does its own quoting of everything."""
    m = mail()
    path = os.path.join(mta.folder, "mail.eml")
    with open(path, "wb") as f:
        f.write(m.as_bytes(policy=SMTP_POLICY))
    done = subprocess.run([tool("curl"), "-sS", "--ssl-reqd", "-k", f"smtp://127.0.0.1:{mta.port}", "--user",
                           f"{USER}:{PASSWORD}", "--mail-from", "sender@example.com", "--mail-rcpt",
                           "recipient@external-domain.com", "--upload-file", path],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    received(mta, m)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_swaks(mta, mechanism):
    done = subprocess.run([tool("swaks"), "--server", f"127.0.0.1:{mta.port}", "--tls", "--auth", mechanism,
                           "--auth-user", USER, "--auth-password", PASSWORD, "--from", "sender@example.com",
                           "--to", "recipient@external-domain.com"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    mta.sink.wait(1)
