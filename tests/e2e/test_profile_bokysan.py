# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile bokysan (boky/postfix) on the running engine. Starts that must fail are in test_profile_start.py."""
import pytest

from harness.certs import Ca
from harness.client import Client, submit
from harness.login import login_plain
from harness.message import message, tag
from harness.profile import profile_engine, self_signed
from harness.profile_world import rsa_pem, setting, signature, verifies
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


def test_old_names_win(make):
    """As in the original's script; the others are named."""
    engine = start(make, None, {"MYNETWORKS": "10.1.0.0/16", "POSTFIX_mynetworks": "10.2.0.0/16",
                                "MESSAGE_SIZE_LIMIT": "100000", "POSTFIX_message_size_limit": "200000",
                                "RELAYHOST_TLS_LEVEL": "encrypt", "POSTFIX_smtp_tls_security_level": "none"}, start=False)
    assert setting(engine, "access.networks") == '["10.1.0.0/16"]' and setting(engine, "limits.message_size") == "100KB"
    assert setting(engine, "relay.tls") == setting(engine, "delivery.tls") == "encrypt"
    err = engine.ringpost("check").stderr
    assert err.count("has no effect: the older variable of this meaning is set too\n") == 3


def test_defaults(make):
    engine = start(make, None, start=False, keep_ports=True)
    want = {"listeners[].port": ["587"], "access.networks": '["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]',
            "limits.message_size": "1GiB", "relay.tls": "may", "delivery.tls": "may", "sender.restrict": "domain",
            "domains[].name": ['"example.com"', '"example.org"'], "log.level": "info"}
    assert {name: setting(engine, name) for name in want} == want


def test_xoauth2_token_file(make):
    """Read as relay.token_file; the login is the relay user's."""
    sink = make.add(TlsSink(Ca(make.folder).server(), auth=["XOAUTH2"], users={"hello": "tok3n"}).start())
    engine = start(make, sink, {"RELAYHOST_USERNAME": "hello", "XOAUTH2_INITIAL_ACCESS_TOKEN_FILE": "/run/token"},
                   files={"/run/token": "tok3n\n"})
    assert sink.with_subject(send(engine)) and sink.logins[0].mechanism == "XOAUTH2"


def test_relay_tls(make, sink):
    secure = make.add(TlsSink(Ca(make.folder).server()).start())
    engine = start(make, secure, {"POSTFIX_smtp_tls_security_level": "encrypt"})
    assert secure.with_subject(send(engine)) and secure.secured
    other = start(make, sink, {"RELAYHOST_TLS_LEVEL": "encrypt"})
    send(other)
    assert stays_false(lambda: sink.messages, 1)


def test_relay_wrapper_mode(make):
    """Port 465: TLS from the first byte."""
    secure = make.add(TlsSink(Ca(make.folder).server(), implicit=True).start())
    engine = start(make, secure, {"POSTFIX_smtp_tls_wrappermode": "yes", "POSTFIX_smtp_tls_security_level": "encrypt"})
    assert secure.with_subject(send(engine)) and secure.secured


@pytest.mark.parametrize("selector, want", [(None, b"mail"), ("postfix", b"postfix"), ("foo,example.com=blah", b"blah")])
def test_dkim(make, sink, selector, want):
    pem = rsa_pem()
    engine = start(make, sink, {"DKIM_SELECTOR": selector} if selector else {},
                   files={"/etc/opendkim/keys/example.com.private": pem})
    (hit,) = sink.with_subject(send(engine))
    tags = signature(hit.data)
    assert (tags["d"], tags["s"], tags["c"]) == (b"example.com", want, b"relaxed/relaxed")
    assert verifies(hit.data, pem, want.decode() + "._domainkey.example.com")
    (hit,) = sink.with_subject(send(engine, sender="a@example.org"))
    assert not signature(hit.data)


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


NO_COUNTERPART = {
    "SASL_RELAYHOST": "x", "DKIM_AUTOGENERATE": "1", "DKIM_BACKEND": "rspamd", "OPENDKIM_RequireSafeKeys": "yes",
    "RSPAMD_dkim_signing__use_esld": "false", "XOAUTH2_CLIENT_ID": "x", "XOAUTH2_SECRET": "x", "XOAUTH2_SECRET_FILE": "/x",
    "XOAUTH2_INITIAL_ACCESS_TOKEN": "x", "XOAUTH2_INITIAL_REFRESH_TOKEN": "x", "XOAUTH2_INITIAL_REFRESH_TOKEN_FILE": "/x",
    "XOAUTH2_TOKEN_ENDPOINT": "x", "MASQUERADED_DOMAINS": "example.com", "SMTP_HEADER_CHECKS": "1",
    "AUTOSET_HOSTNAME_SERVICES": "x", "ANONYMIZE_EMAILS": "smart", "LOG_FORMAT": "plain", "TZ": "Europe/Zurich",
    "FORCE_COLOR": "1", "SKIP_ROOT_SPOOL_CHOWN": "1", "POSTFIX_allow_mail_to_commands": "alias",
    "POSTFIX_smtpd_milters": "inet:x:1",
}


def test_what_has_no_counterpart_is_named(make, sink):
    """Each once, with a reason; and mail goes on."""
    engine = start(make, sink, {**NO_COUNTERPART, "RELAYHOST_USERNAME": "u"})
    lines = engine.stderr().splitlines()
    for name in NO_COUNTERPART:
        found = [line for line in lines if line.startswith(f"warning: {name}: ")]
        assert len(found) == 1 and "has no effect" in found[0], (name, lines)
    assert sink.with_subject(send(engine))


def test_what_has_a_counterpart_is_not_warned_about(make):
    """TLS, networks, the relay, limits and times."""
    more = {"POSTFIX_myhostname": "mail.example.com", "POSTFIX_smtp_helo_name": "helo.example.com",
            "POSTFIX_mynetworks": "10.0.0.0/8 127.0.0.0/8", "POSTFIX_message_size_limit": "26214400",
            "POSTFIX_smtp_tls_security_level": "verify", "POSTFIX_smtpd_tls_security_level": "may",
            "POSTFIX_maximal_queue_lifetime": "1h", "POSTFIX_smtpd_recipient_limit": "20", "POSTFIX_hopcount_limit": "20",
            "POSTFIX_smtp_destination_concurrency_limit": "3", "POSTFIX_always_add_missing_headers": "yes",
            "POSTFIX_smtputf8_enable": "no", "POSTFIX_relayhost": "[b.example]:25", "AUTOSET_HOSTNAME": "0",
            "INBOUND_DEBUGGING": "1", "SMTPD_SASL_USERS": "u:p", "DKIM_SELECTOR": "mail", "POSTFIX_empty": ""}
    engine = start(make, None, {**more, "RELAYHOST": "[a.example]:25"}, start=False)
    done = engine.ringpost("check")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    want = {"identity.hostname": '"mail.example.com"', "delivery.helo_name": '"helo.example.com"', "relay.tls": "verify",
            "access.networks": '["10.0.0.0/8", "127.0.0.0/8"]', "limits.message_size": "25MiB", "queue.max_age": "1h",
            "limits.recipients": "20", "limits.hops": "20", "delivery.connections_per_site": "3",
            "headers.add_missing": "true", "smtp.smtputf8": "false", "relay.host": '["[b.example]:25"]',
            "log.level": "debug", "users[].name": ['"u"']}
    assert {name: setting(engine, name) for name in want} == want


def test_long_lines(make, sink):
    """What Postfix folds passes as it is."""
    text = message(tag(), body=b"x" * 5000 + b"\r\n")
    submit(start(make, sink).port, text, sender="a@example.com")
    assert sink.wait()[0].data.endswith(text)
