# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile bokysan (boky/postfix) on the running engine."""
import re

import pytest

from harness.certs import Ca
from harness.client import Client, submit
from harness.login import login_plain
from harness.message import message, tag
from harness.pki import key_file
from harness.profile import profile_engine, refuses, self_signed
from harness.tls_peer import TlsSink
from harness.tlsclient import SecureClient
from harness.wait import stays_false

DOMAINS = {"ALLOWED_SENDER_DOMAINS": "example.com example.org"}


def start(make, sink, more=None, **kwargs):
    env = {**DOMAINS, **({"RELAYHOST": sink.endpoint} if sink else {}), **(more or {})}
    return profile_engine(make, env, **kwargs)


def send(engine, sender="alice@example.com", **kwargs):
    subject = tag()
    text = message(subject).replace(b"alice@example.test", sender.encode())
    submit(engine.port, text, sender=sender, **kwargs)
    return subject


def test_basic_relay(make, sink):
    engine = start(make, sink, {"POSTFIX_myhostname": "postfix-docker"})
    (hit,) = sink.with_subject(send(engine))
    assert hit.session.commands[0].line == b"EHLO postfix-docker" and b"Received: " in hit.data


@pytest.mark.parametrize("env", [{}, {"ALLOWED_SENDER_DOMAINS": ""}, {"ALLOW_EMPTY_SENDER_DOMAINS": ""}])
def test_no_sender_domains(make, env):
    status, err = refuses(make, {"RINGPOST_PROFILE": "bokysan", **env})
    assert status == 1 and "You need to specify ALLOWED_SENDER_DOMAINS or ALLOW_EMPTY_SENDER_DOMAINS" in err


def test_allow_empty(make, sink):
    engine = profile_engine(make, {"ALLOW_EMPTY_SENDER_DOMAINS": "true", "RELAYHOST": sink.endpoint})
    assert sink.with_subject(send(engine, sender="any@where.example"))


@pytest.mark.parametrize("sender, code", [("a@example.com", 250), ("a@example.org", 250), ("a@sub.example.com", 250),
                                          ("a@example.net", 554), ("a@notexample.com", 554), ("", 554)])
def test_sender_domains(make, sink, sender, code):
    engine = start(make, sink)
    with Client(engine.port) as c:
        c.ehlo()
        c.ok(f"MAIL FROM:<{sender}>")
        assert c.cmd("RCPT TO:<x@external.example>").code == code


@pytest.mark.parametrize("name", ["POSTFIX_mynetworks", "MYNETWORKS"])
def test_non_allowed_network(make, sink, name):
    engine = start(make, sink, {name: "10.1.2.0/24,127.0.0.1/32"})
    assert sink.with_subject(send(engine))
    with Client(engine.port, source="127.0.0.9") as c:
        c.ehlo()
        c.ok("MAIL FROM:<a@example.com>")
        assert c.cmd("RCPT TO:<x@external.example>").status == "554 5.7.1"


@pytest.mark.parametrize("way", ["variable", "file"])
def test_relay_password(make, way):
    sink = make.add(TlsSink(auth_in_clear=["PLAIN", "LOGIN"], users={"hello": "world"}).start())
    more = {"RELAYHOST_USERNAME": "hello"}
    more.update({"RELAYHOST_PASSWORD": "world"} if way == "variable" else {"RELAYHOST_PASSWORD_FILE": "/run/secrets/p"})
    engine = start(make, sink, more, files={"/run/secrets/p": "world\n"})
    assert sink.with_subject(send(engine)) and sink.logins


def test_both_forms_of_a_password(make):
    status, err = refuses(make, {**DOMAINS, "RELAYHOST_PASSWORD": "a", "RELAYHOST_PASSWORD_FILE": "/x"})
    assert status == 1 and "(but are mutually exclusive)" in err


def test_relay_tls(make, sink):
    secure = make.add(TlsSink(Ca(make.folder).server()).start())
    engine = start(make, secure, {"POSTFIX_smtp_tls_security_level": "encrypt"})
    assert secure.with_subject(send(engine)) and secure.secured
    other = start(make, sink, {"RELAYHOST_TLS_LEVEL": "encrypt"})
    send(other)
    assert stays_false(lambda: sink.messages, 1)


@pytest.mark.parametrize("selector, want", [(None, b"mail"), ("postfix", b"postfix"), ("foo,example.com=blah", b"blah")])
def test_dkim(make, sink, selector, want):
    with open(key_file("rsa"), "rb") as f:
        pem = f.read()
    engine = start(make, sink, {"DKIM_SELECTOR": selector} if selector else {},
                   files={"/etc/opendkim/keys/example.com.private": pem})
    (hit,) = sink.with_subject(send(engine))
    flat = re.sub(rb"\s", b"", hit.data.split(b"\r\n\r\n")[0])
    assert b"d=example.com;" in flat and b"s=" + want + b";" in flat and b"c=relaxed/relaxed;" in flat
    (hit,) = sink.with_subject(send(engine, sender="a@example.org"))
    assert b"DKIM-Signature" not in hit.data


def test_users(make, sink):
    engine = start(make, sink, {"SMTPD_SASL_USERS": "user1:pass1,user2@d.example:pass:2",
                                "POSTFIX_myhostname": "mail.example.com"})
    for name, password in (("user1", "pass1"), ("user1@mail.example.com", "pass1"), ("user2@d.example", "pass:2")):
        with Client(engine.port) as c:
            c.ehlo()
            assert login_plain(c, name, password).code == 235
            assert c.submit(message(), sender="a@example.com").code == 250


def test_tls_in(make, sink):
    with Client(start(make, sink).port) as c:
        assert "STARTTLS" not in c.keywords()  # there is no certificate
    cert, key = self_signed()
    engine = start(make, sink, {"POSTFIX_smtpd_tls_cert_file": "/certs/tls.crt",
                                "POSTFIX_smtpd_tls_key_file": "/certs/tls.key"},
                   files={"/certs/tls.crt": cert, "/certs/tls.key": key})
    with SecureClient(engine.port) as c:
        c.starttls()
        c.ehlo()
        assert c.submit(message(), sender="a@example.com").code == 250


def test_size(make, sink):
    with Client(start(make, sink).port) as c:
        assert c.keywords()["SIZE"] == str(1 << 30)
    with Client(start(make, sink, {"POSTFIX_message_size_limit": "26214400"}).port) as c:
        assert c.keywords()["SIZE"] == "26214400"


def test_what_has_no_counterpart_is_named(make, sink):
    names = {"POSTFIX_allow_mail_to_commands": "alias", "OPENDKIM_RequireSafeKeys": "yes", "DKIM_AUTOGENERATE": "1",
             "RSPAMD_dkim_signing__use_esld": "false", "MASQUERADED_DOMAINS": "example.com", "SMTP_HEADER_CHECKS": "1",
             "ANONYMIZE_EMAILS": "smart", "XOAUTH2_CLIENT_ID": "x"}
    engine = start(make, sink, names)
    for name in names:
        assert f"warning: {name}: " in engine.stderr(), name
    assert sink.with_subject(send(engine))
