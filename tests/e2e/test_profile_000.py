# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile 000 on the running engine: the inventory's 000-01 to 000-15 and the traps that concern them. What goes out
(000-07, 000-08, 000-13, 000-14) is in test_profile_000_out.py, starts that must fail in test_profile_start.py, the
original's own suite in test_profile_000_suite.py."""
import os
import re
import smtplib
import socket
import ssl
import subprocess
import time

import pytest

from harness.client import Client
from harness.login import b64, login_plain
from harness.message import message, tag
from harness.profile import profile_engine, self_signed
from harness.profile_mta import (CERT, KEY, NAME, PASSWORD, USER, bare, certificates, mail,  # noqa: F401  (fixtures)
                                 make_mta, make_smtp, make_world, received, secured, start)
from harness.profile_world import certificate_of, rsa_pem, setting, verifies
from harness.tlsclient import SecureClient, context, open_port
from harness.wait import wait_until


# ---- 000-01 … 000-03: the listener ----

def test_000_01_one_listener_on_587(make):
    """The port itself needs root, so only what is asked for is looked at; a second listener is looked for below."""
    engine = bare(make, keep_ports=True)
    assert setting(engine, "listeners[].port") == ["587"]
    assert setting(engine, "listeners[].address") == ['"0.0.0.0"']
    assert setting(engine, "listeners[].mode") == ["relay"] and setting(engine, "listeners[].tls") == ["encrypt"]
    assert setting(engine, "access.local_domains") == setting(engine, "access.relay_domains") == "[]"


def test_000_01_nothing_on_other_ports(make):
    engine = start(make)
    with open(f"/proc/{engine.process.pid}/net/tcp", encoding="ascii") as f:
        inodes = {line.split()[9] for line in f if line.split()[3] == "0A"}
    with open(f"/proc/{engine.process.pid}/net/tcp6", encoding="ascii") as f:
        inodes |= {line.split()[9] for line in f if line.split()[3] == "0A"}
    mine = set()
    for fd in os.listdir(f"/proc/{engine.process.pid}/fd"):
        try:
            mine.add(os.readlink(f"/proc/{engine.process.pid}/fd/{fd}").removeprefix("socket:[").rstrip("]"))
        except OSError:
            pass
    assert len(inodes & mine) == 1


@pytest.mark.parametrize("command", ["MAIL FROM:<a@b.example>", "AUTH PLAIN AHgAeA==", "RSET", "VRFY a", "DATA",
                                     "RCPT TO:<a@b.example>", "BDAT 0 LAST"])
def test_000_02_nothing_before_starttls(mta, command):
    with Client(mta.port) as c:
        words = c.keywords()
        assert "STARTTLS" in words and not any(w.startswith("AUTH") for w in words)
        reply = c.cmd(command)
        assert reply.status == "530 5.7.0" and "STARTTLS" in reply.text
        for allowed in ("NOOP", "HELP", "EHLO x.example", "HELO x.example"):
            assert c.cmd(allowed).code in (250, 214)
        assert c.cmd("QUIT").code == 221


def test_000_02_starttls_twice_and_with_argument(mta):
    with Client(mta.port) as c:
        c.ehlo()
        assert c.cmd("STARTTLS now").status == "501 5.5.4"
        assert c.cmd("STARTTLS").code == 220
    with secured(mta, login=False) as c:
        reply = c.cmd("STARTTLS")
        assert reply.status == "554 5.5.1" and "TLS already active" in reply.text
        assert c.cmd("NOOP").code == 250


def test_000_02_nothing_is_taken_over_into_tls(mta):
    """Trap 20: what came in clear behind STARTTLS ends the session; EHLO has to be said anew."""
    with Client(mta.port) as c:
        c.ehlo()
        c.send("STARTTLS\r\nEHLO evil.example\r\nMAIL FROM:<a@b.example>\r\n")
        replies = c.rest()
        assert replies[-1].status == "554 5.5.0" and len(replies) == 1
    with SecureClient(mta.port, name=NAME) as c:
        c.starttls()
        assert c.cmd("MAIL FROM:<a@b.example>").status == "503 5.5.1"
        assert c.cmd("AUTH PLAIN AHgAeA==").code == 503


def test_000_03_ehlo(mta):
    with SecureClient(mta.port, name=NAME) as c:
        assert c.banner.code == 220 and c.banner.text.startswith(NAME + " ESMTP")
        c.starttls()
        reply = c.cmd("MAIL FROM:<a@b.example>")
        assert reply.status == "503 5.5.1" and "EHLO" in reply.text
        lines = c.ehlo().lines
        words = {line[4:].split(" ")[0] for line in lines[1:]}
        assert lines[0][4:] == NAME
        assert {"PIPELINING", "SIZE", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING", "AUTH"} <= words
        (auth,) = [line[4:] for line in lines if line[4:].startswith("AUTH ")]
        assert set(auth.split()[1:]) == {"PLAIN", "LOGIN", "CRAM-MD5"}
        assert any(line[4:] == auth.replace("AUTH ", "AUTH=", 1) for line in lines)
        assert "STARTTLS" not in words and "VRFY" not in words
        assert c.cmd("VRFY a@b.example").status == "502 5.5.1"


# ---- 000-05, 000-06: who may send (000-04: test_profile_start.py) ----

@pytest.mark.parametrize("name, password", [("user name", "pa:ss#word; \"x\"' \\$"), ("u@d.example", "p"),
                                            ("$6$x", "$6$not$ahash"), ("u", "ö")])
def test_000_04_any_name_and_password(make, name, password):
    """Trap 29: nothing in them is special."""
    engine = start(make, {"SMTP_USERNAME": name, "SMTP_PASSWORD": password})
    with secured(engine, login=False) as c:
        assert login_plain(c, name, password + "x").code == 535
        assert login_plain(c, name, password).code == 235


def test_000_04_from_files(make):
    """Trap 28: one line end is left out, no more."""
    engine = profile_engine(make, {"SMTP_USERNAME_FILE": "/run/secrets/u", "SMTP_PASSWORD_FILE": "/run/secrets/p"},
                            files={**certificates(), "/run/secrets/u": USER + "\n", "/run/secrets/p": "p \n\n"})
    with secured(engine, login=False) as c:
        assert login_plain(c, USER, "p ").code == 535
        assert login_plain(c, USER, "p \n").code == 235


def test_000_05_ways_to_log_in(mta):
    """Every mechanism that is offered works, with both forms of the name."""
    for login in (USER, f"{USER}@{NAME}"):
        for way in ("auth_plain", "auth_login", "auth_cram_md5"):
            client = smtplib.SMTP("127.0.0.1", mta.port, timeout=20)
            client.starttls(context=context())
            client.ehlo()
            client.user, client.password = login, PASSWORD
            mechanism = way[5:].upper().replace("_", "-")
            assert client.auth(mechanism, getattr(client, way))[0] == 235, (login, way)
            client.quit()
    with secured(mta, login=False) as c:
        assert login_plain(c, f"{USER}@elsewhere.example", PASSWORD).status == "535 5.7.8"


def test_000_05_failure_keeps_the_session(mta):
    """Trap 4, and trap 17: nobody is locked out."""
    with secured(mta, login=False) as c:
        for _ in range(4):
            assert login_plain(c, USER, "wrong").status == "535 5.7.8"
    for _ in range(4):
        with secured(mta, login=False) as c:
            assert login_plain(c, "nobody", PASSWORD).status == "535 5.7.8"
            assert login_plain(c, USER, "wrong").status == "535 5.7.8"
            assert login_plain(c, USER, PASSWORD).status == "235 2.7.0"


def test_000_05_again_and_inside_a_transaction(mta):
    with secured(mta) as c:
        assert c.cmd("AUTH PLAIN AHgAeA==").status == "503 5.5.1"
        assert c.submit(message()).code == 250
    with secured(mta, login=False) as c:
        c.ok("MAIL FROM:<a@example.com>")
        reply = c.cmd("AUTH PLAIN AHgAeA==")
        assert reply.status == "503 5.5.1" and "transaction" in reply.text.lower()


def test_000_05_what_smtplib_writes(mta):
    """Trap 5: small letters, an initial response of AUTH LOGIN, an empty one, an empty user."""
    with SecureClient(mta.port, name=NAME) as c:
        c.starttls()
        c.ok("ehlo [127.0.0.1]")
        assert [r.status for r in (c.cmd("AUTH LOGIN "), c.cmd(""), c.cmd(""))] == ["334", "334", "535 5.7.8"]
        assert c.cmd("auth login " + b64(USER)).code == 334
        assert c.cmd(b64(PASSWORD)).code == 235
        c.ok(f"mail FROM:<a@example.com> size={len(message())}")
        c.ok("rcpt TO:<b@example.org>")
        c.ok("data")
        c.send(message() + b".\r\n")
        assert c.reply().code == 250


def test_000_06_any_client_any_recipient(mta):
    """Who logged in may send to anybody, from any address; nobody else may, from none (trap 3)."""
    for source in ("127.0.0.1", "127.0.0.9"):
        with SecureClient(mta.port, name=NAME, source=source) as c:
            c.starttls()
            c.ehlo()
            c.ok("MAIL FROM:<a@b.example>")
            for rcpt in ("x@external.example", "x@localhost", f"x@{NAME}"):
                assert c.cmd(f"RCPT TO:<{rcpt}>").status == "554 5.7.1"
            assert c.cmd("DATA").status == "554 5.5.1"
            c.ok("RSET")
            assert login_plain(c, USER, PASSWORD).code == 235
            c.ok("MAIL FROM:<a@b.example>")
            for rcpt in ("x@external.example", "x@localhost", f"x@{NAME}", "x@[192.0.2.1]"):
                c.ok(f"RCPT TO:<{rcpt}>")


# ---- 000-09, 000-11: name and size (000-10: below, and test_profile_start.py) ----

def test_000_09_name(mta, smtp):
    m = mail()
    smtp.send_message(m)
    _, hit = received(mta, m)
    assert [c.line for c in hit.session.commands][0] == b"EHLO " + NAME.encode()


def test_000_09_default(make):
    """`localhost`, or what reverse DNS calls a public address of this machine; never long."""
    begun = time.monotonic()
    name = setting(bare(make), "identity.hostname").strip('"')
    assert time.monotonic() - begun < 15
    words = subprocess.run(["ip", "-o", "-4", "addr", "show", "scope", "global"], capture_output=True, text=True,
                           check=True).stdout
    addresses = re.findall(r"inet ([\d.]+)/", words)
    private = re.compile(r"10\.|127\.|169\.254\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.")
    public = [a for a in addresses if not private.match(a)]
    if name != "localhost":
        assert public and name in {socket.getfqdn(a) for a in public}


def test_000_10_own_certificate(make):
    cert, key = self_signed("own.example.test")
    engine = start(make, {"TLS_CERT_PATH": "/tls/tls.crt", "TLS_KEY_PATH": "/tls/tls.key"},
                   files={"/tls/tls.crt": cert, "/tls/tls.key": key})
    assert certificate_of(engine.port) == ssl.PEM_cert_to_DER_cert(cert.decode())


def test_000_10_default_paths(make):
    files = certificates()
    engine = start(make, files=files)
    assert certificate_of(engine.port) == ssl.PEM_cert_to_DER_cert(files[CERT].decode())


def test_000_11_default(make):
    engine = bare(make, start_it=True)
    with secured(engine) as c:
        assert c.keywords()["SIZE"] == "10240000"
        assert c.cmd("MAIL FROM:<a@b.example> SIZE=10240001").status == "552 5.3.4"
        assert c.cmd("MAIL FROM:<a@b.example> SIZE=10240000").code == 250


@pytest.mark.parametrize("env, want", [({"MESSAGE_SIZE_LIMIT": "20480000"}, "20480000"),
                                       ({"MESSAGE_SIZE_LIMIT": "0"}, str(1 << 30)),
                                       ({"MESSAGE_SIZE_LIMIT": "99999999999"}, str(1 << 30)),
                                       ({"MAX_OUTGOING_EMAIL_SIZE": "30000000"}, "30000000"),
                                       ({"MAX_OUTGOING_EMAIL_SIZE": "30000000", "MESSAGE_SIZE_LIMIT": "20480000"},
                                        "30000000")])
def test_000_11_values(make, env, want):
    with secured(start(make, env)) as c:
        assert c.keywords()["SIZE"] == want


def test_000_11_size(make, sink):
    """Trap 19: too large without SIZE is read to its end, by DATA and by BDAT, and nothing of it is a command."""
    engine = start(make, {"RELAYHOST": sink.endpoint, "MESSAGE_SIZE_LIMIT": "100000"})
    inner = b"\r\n.\nQUIT\r\nMAIL FROM:<evil@b.example>\r\nRCPT TO:<x@y.example>\r\nDATA\r\n"
    large = message(body=b"x" * 70 + b"\r\n" + inner + b"y" * 70 * 1500 + b"\r\n")
    with secured(engine) as c:
        assert c.cmd("MAIL FROM:<a@b.example> SIZE=100001").status == "552 5.3.4"
        c.envelope()
        assert c.data(large).status in ("552 5.3.4", "550 5.5.2")
        assert c.submit(message()).code == 250  # still in step
        c.envelope()
        assert c.bdat(b"z" * 60000, last=False).code == 250
        assert c.bdat(b"z" * 60000, last=False).status == "552 5.3.4"
        assert c.bdat(b"z" * 10).code in (503, 552)
        c.ok("RSET")
        subject = tag()
        assert c.submit(message(subject)).code == 250
    sink.with_subject(subject)
    assert len(sink.messages) == 2 and all(m.sender == b"alice@example.test" for m in sink.messages)


# ---- 000-12: transparency ----

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
    """Trap 6; also C19: lines up to 2048 bytes leave as they came."""
    head = b"From: <a@example.com>\r\nSubject: " + tag().encode() + b"\r\n\r\n"
    smtp.sendmail("a@example.com", ["b@example.org"], head + body, mail_options=["BODY=8BITMIME"])
    (hit,) = wait_until(lambda: list(mta.sink.messages), 15)
    want = head + body
    assert hit.data == (want if want.endswith(b"\r\n") else want + b"\r\n")


@pytest.mark.parametrize("canon", [b"simple", b"relaxed"])
def test_000_12_signed_mail_stays_valid(mta, smtp, canon):
    """Trap 7: what the backend signed is not signed again and not touched."""
    import dkim
    pem = rsa_pem()
    text = message(tag(), body=b"  spaces \r\n\r\n.dot\r\nend")
    signed = dkim.sign(text + b"\r\n", b"s", b"example.test", pem, canonicalize=(canon, canon)) + text + b"\r\n"
    smtp.sendmail("a@example.com", ["b@example.org"], signed)
    (hit,) = wait_until(lambda: list(mta.sink.messages), 15)
    assert hit.data == signed and verifies(hit.data, pem)


def test_000_12_only_what_the_next_hop_offers(mta):
    """Trap 8: no parameter and no pipelining that the sink has not offered."""
    with secured(mta) as c:
        c.ok("MAIL FROM:<a@b.example> RET=HDRS ENVID=x1 BODY=8BITMIME")
        c.ok("RCPT TO:<b@c.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;b@c.example")
        c.ok("RCPT TO:<d@c.example>")
        assert c.data(message(body="ü\r\n".encode())).code == 250
    (hit,) = wait_until(lambda: list(mta.sink.messages), 15)
    assert re.fullmatch(rb"(SIZE=\d+|BODY=8BITMIME| )*", hit.params.strip()) and not any(hit.rcpt_params.values())
    assert not any(command.early for command in hit.session.commands)


# ---- 000-15: what no document names ----

@pytest.mark.parametrize("head", [b"PROXY TCP4 198.51.100.7 127.0.0.1 40000 587\r\n",
                                  b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([198, 51, 100, 7, 127, 0, 0, 1, 0x9c,
                                                                             0x40, 2, 0x4b])], ids=["v1", "v2"])
def test_000_15_proxy_required(make, sink, head):
    """The header comes first; without one nothing is served."""
    engine = start(make, {"RELAYHOST": sink.endpoint, "ENABLE_PROXY_PROTOCOL": "haproxy"})
    with Client(engine.port, greeting=False) as c:
        c.send(head)
        assert c.reply().code == 220
        c.ehlo()
        assert c.cmd("STARTTLS").code == 220
    with Client(engine.port, greeting=False) as c:
        c.send("EHLO x.example\r\n")
        assert [r.status for r in c.rest()] == ["421 4.3.2"]
    assert open_port(engine.port)


@pytest.mark.parametrize("value", ["false", "true", "0"])
def test_000_15_proxy_only_by_its_word(make, value):
    engine = start(make, {"ENABLE_PROXY_PROTOCOL": value})
    assert "ENABLE_PROXY_PROTOCOL: only \"haproxy\" switches this on; taken as off" in engine.stderr()
    with Client(engine.port) as c:
        assert c.banner.code == 220


def test_000_15_debug(make):
    assert setting(bare(make, {"POSTFIX_DEBUG": "1"}), "log.level") == "debug"
    assert setting(bare(make), "log.level") == "info"


@pytest.mark.parametrize("name", ["EXEC_CMD", "EXEC_CMD_ONLY"])
def test_000_15_no_other_program(make, name):
    assert f"warning: {name}: has no effect: Ringpost starts no other program" in start(make, {name: "true"}).stderr()


# ---- beside the rows ----

def test_a_password_is_seen_nowhere(make, sink):
    engine = start(make, {"RELAYHOST": sink.endpoint, "SMTP_PASSWORD": "canary-4711", "SMTP_RELAY_USERNAME": "u",
                          "SMTP_RELAY_PASSWORD": "canary-4712"})
    for done in (engine.ringpost("config"), engine.ringpost("check"), engine.ringpost("doctor")):
        assert "canary" not in done.stdout + done.stderr
    assert "canary" not in engine.stderr() and "canary" not in str(engine.events())


def test_kubernetes_service_links_are_ignored(make, sink):
    """Trap 18."""
    links = {"MTA_SERVICE_HOST": "10.0.0.1", "MTA_PORT": "tcp://10.0.0.1:587", "SMTP_PORT": "tcp://10.0.0.1:587",
             "SMTP_SERVICE_PORT": "587", "SMTP_PORT_587_TCP_ADDR": "10.0.0.1", "SMARTHOST_PORT": "tcp://10.0.0.1:587",
             "SH_SERVICE_HOST": "10.0.0.1", "PORT": "tcp://10.0.0.1:587", "RINGPOST_PORT": "tcp://10.0.0.1:587"}
    engine = start(make, {"RELAYHOST": sink.endpoint, **links})
    assert "warning" not in engine.stderr()


def test_a_reload_keeps_the_profile(make, sink):
    engine = start(make, {"RELAYHOST": sink.endpoint})
    cert, key = self_signed("renewed.example.test")
    engine.put(CERT, cert)
    engine.put(KEY, key)
    engine.hup()
    wait_until(lambda: certificate_of(engine.port) == ssl.PEM_cert_to_DER_cert(cert.decode()), 15, "the new certificate")
    with secured(engine) as c:
        assert c.submit(message()).code == 250
