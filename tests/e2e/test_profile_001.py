# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile 001 on the running engine: the inventory's 001-01 to 001-19."""
import re
import socket

import pytest

from dnsserver import DnsServer
from harness.certs import Ca
from harness.client import Client, submit
from harness.message import message, tag
from harness.pki import key_file
from harness.ports import free_port
from harness.profile import profile_engine, refuses, self_signed
from harness.tls_peer import TlsSink
from harness.tlsclient import SecureClient, open_port
from harness.wait import stays_false, wait_until

NAME = "smtp.example.test"
# The profile by name: "nothing at all" is a configuration of this image.
BASE = {"RINGPOST_PROFILE": "001", "MAILNAME": NAME, "NET_DEV": "lo"}
STRANGER = "127.0.0.9"


def start(make, more=None, **kwargs):
    kwargs.setdefault("listeners", 1)
    env = {**BASE, "DISABLE_IPV6": "1", **(more or {})}
    return profile_engine(make, env, **kwargs)


def smarthost(sink):
    return {"SMARTHOST_ADDRESS": "127.0.0.1", "SMARTHOST_PORT": str(sink.port)}


def stranger(make, more=None, **kwargs):
    """An engine for which 127.0.0.9 is not a client of its networks."""
    settings = kwargs.pop("settings", {})
    return start(make, more, settings={"access.networks": "127.0.0.1/32", **settings}, **kwargs)


# ---- 001-01, 001-02, 001-06 ----

def test_001_01_port_and_addresses(make, sink):
    port = free_port(("127.0.0.1", "::1"))
    engine = profile_engine(make, {**BASE, **smarthost(sink), "PORT": str(port), "BIND_IP": "127.0.0.1", "BIND_IP6": "::1"},
                            keep_ports=True)
    for host in ("127.0.0.1", "::1"):
        with Client(port, host=host) as c:
            c.ehlo()
            assert c.submit(message()).code == 250
    assert engine.running


def test_001_01_disable_ipv6(make, sink):
    port = free_port(("127.0.0.1", "::1"))
    profile_engine(make, {**BASE, **smarthost(sink), "PORT": str(port), "BIND_IP": "127.0.0.1", "BIND_IP6": "::1",
                          "DISABLE_IPV6": "no"}, keep_ports=True)
    assert open_port(port)
    with socket.socket(socket.AF_INET6) as s, pytest.raises(OSError):
        s.connect(("::1", port))


def test_001_02_no_variables(make):
    """A server that delivers by MX."""
    sink = make.sink(host="127.0.0.4")
    dns = make.add(DnsServer({"dest.test": {"mx": [[10, "mx.dest.test"]]}, "mx.dest.test": {"a": ["127.0.0.4"]}}).start())
    engine = profile_engine(make, {"RINGPOST_PROFILE": "001"}, listeners=2,
                            settings={"dns.servers": dns.endpoint, "delivery.mx_port": sink.port,
                                      "delivery.private_targets": "allow"})
    subject = tag()
    submit(engine.port, message(subject), to=["a@dest.test"])
    assert sink.with_subject(subject)


def test_001_06_mailname(make, sink):
    engine = start(make, smarthost(sink))
    with Client(engine.port) as c:
        assert c.banner.code == 220 and c.banner.text.startswith(NAME + " ESMTP")
        assert c.ehlo().lines[0][4:].startswith(NAME)
        subject = tag()
        assert c.submit(message(subject)).code == 250
    (hit,) = sink.with_subject(subject)
    assert hit.session.commands[0].line == b"EHLO " + NAME.encode()


# ---- 001-03, 001-04: who may relay ----

def test_001_03_loopback_and_the_interface(make, sink):
    engine = start(make, smarthost(sink))
    with Client(engine.port, source=STRANGER) as c:  # lo is 127.0.0.0/8
        c.ehlo()
        assert c.submit(message()).code == 250


@pytest.mark.parametrize("nets", [":192.0.2.0/24", ":198.51.100.0/24:192.0.2.0/24", "192.0.2.0/24", "<; 192.0.2.0/24",
                                  ":2001:db8::/32:192.0.2.77"])
def test_001_03_relay_networks(make, nets):
    engine = start(make, {"RELAY_NETWORKS": nets}, start=False)
    done = engine.ringpost("config")
    assert done.returncode == 0, done.stderr
    line = re.search(r"networks: \[(.*)\]", done.stdout).group(1)
    assert line.startswith('"127.0.0.0/8", "::1/128", "127.0.0.0/8"') and '"192.0.2.' in line
    assert ("does not begin with" in done.stderr) == (nets[0] not in ":<")


def test_001_04_stranger(make, sink):
    """No AUTH is offered; refused at RCPT."""
    engine = stranger(make, smarthost(sink))
    with Client(engine.port, source=STRANGER) as c:
        assert "AUTH" not in c.keywords()
        assert c.cmd("MAIL FROM:<a@b.example>").code == 250
        reply = c.cmd("RCPT TO:<x@external.example>")
        assert 550 <= reply.code <= 554, reply
        assert c.cmd("DATA").code >= 500
    submit(engine.port)  # and from its own network


# ---- 001-05: TLS ----

def test_001_05_tls(make, sink):
    cert, key = self_signed(NAME)
    engine = start(make, {**smarthost(sink), "KEY_PATH": "/keys/k.pem", "CERTIFICATE_PATH": "/keys/c.pem"},
                   files={"/keys/k.pem": key, "/keys/c.pem": cert})
    with SecureClient(engine.port, name=NAME) as c:
        c.starttls()
        c.ehlo()
        assert c.submit(message()).code == 250
    submit(engine.port)  # optional


@pytest.mark.parametrize("have", ["nothing", "key only", "empty"])
def test_001_05_no_tls(make, sink, have):
    cert, key = self_signed(NAME)
    files = {"nothing": {}, "key only": {"/k.pem": key}, "empty": {"/k.pem": key, "/c.pem": b""}}[have]
    engine = start(make, {**smarthost(sink), "KEY_PATH": "/k.pem", "CERTIFICATE_PATH": "/c.pem"}, files=files)
    assert cert
    with Client(engine.port) as c:
        assert "STARTTLS" not in c.keywords()
        assert c.cmd("STARTTLS").code >= 500
        assert c.submit(message()).code == 250


# ---- 001-07, 001-08: own domains, domains for which we are the backup ----

@pytest.mark.parametrize("rcpt", ["a@localhost", f"a@{NAME}", "a@mine.example", "a@MINE.example"])
def test_001_07_own_domains(make, sink, rcpt):
    """There are no mailboxes: never relayed, not from the own network and not for strangers."""
    engine = stranger(make, {**smarthost(sink), "OTHER_HOSTNAMES": "other.example : mine.example"})
    for source in ("127.0.0.1", STRANGER):
        with Client(engine.port, source=source) as c:
            c.ehlo()
            c.ok("MAIL FROM:<a@b.example>")
            assert c.cmd(f"RCPT TO:<{rcpt}>").status == "550 5.1.1"


def test_001_08_relay_domains(make):
    """Taken from anybody, sent to the MX hosts that are nearer than this one (trap 26)."""
    near = make.sink(host="127.0.0.4")
    far = make.sink(host="127.0.0.5", port=near.port)
    zone = {"d2.example": {"mx": [[10, "near.example"], [20, NAME], [30, "far.example"]]},
            "near.example": {"a": ["127.0.0.4"]}, NAME: {"a": ["127.0.0.6"]}, "far.example": {"a": ["127.0.0.5"]}}
    dns = make.add(DnsServer(zone).start())
    engine = stranger(make, {"RELAY_DOMAINS": "d1.example : d2.example"},
                      settings={"dns.servers": dns.endpoint, "delivery.mx_port": near.port,
                                "delivery.private_targets": "allow"})
    with Client(engine.port, source=STRANGER) as c:
        c.ehlo()
        subject = tag()
        c.ok("MAIL FROM:<a@b.example>")
        assert c.cmd("RCPT TO:<x@d3.example>").code >= 550
        assert c.cmd("RCPT TO:<x@sub.d2.example>").code >= 550
        c.ok("RCPT TO:<x@d2.example>")
        assert c.data(message(subject)).code == 250
    assert near.with_subject(subject)
    near.close()
    with Client(engine.port, source=STRANGER) as c:
        c.ehlo()
        assert c.submit(message(), to=["x@d2.example"]).code == 250
    assert stays_false(lambda: far.messages, 2)


def test_001_09_port_out(make):
    """Of MX hosts only, not of the smarthost."""
    sink = make.sink(host="127.0.0.4")
    dns = make.add(DnsServer({"dest.test": {"mx": [[10, "mx.dest.test"]]}, "mx.dest.test": {"a": ["127.0.0.4"]}}).start())
    engine = start(make, {"SMTPPORTOUT": str(sink.port)},
                   settings={"dns.servers": dns.endpoint, "delivery.private_targets": "allow"})
    subject = tag()
    submit(engine.port, message(subject), to=["a@dest.test"])
    assert sink.with_subject(subject)
    other = start(make, {"SMTPPORTOUT": "1", **smarthost(sink), "SMARTHOST_ADDRESS": "127.0.0.4"})
    subject = tag()
    submit(other.port, message(subject))
    assert sink.with_subject(subject)


# ---- 001-10 … 001-14: smarthosts ----

LOGIN = {"SMARTHOST_USER": "myuser", "SMARTHOST_PASSWORD": "se;cret:#", "SMARTHOST_ALIASES": "*.mysmtp.test"}


def named_smarthost(make, sink, more, host="mail.mysmtp.test", zone=None):
    dns = make.add(DnsServer(zone or {host: {"a": [sink.host]}}).start())
    return start(make, {"SMARTHOST_ADDRESS": host, "SMARTHOST_PORT": str(sink.port), **more},
                 settings={"dns.servers": dns.endpoint})


@pytest.mark.parametrize("aliases", ["*.mysmtp.test", "mail.mysmtp.test", "*.other.test; *.mysmtp.test;", "*"])
def test_001_12_login_under_tls(make, aliases):
    sink = make.add(TlsSink(Ca(make.folder).server(), auth=["PLAIN"], users={"myuser": "se;cret:#"}).start())
    engine = named_smarthost(make, sink, {**LOGIN, "SMARTHOST_ALIASES": aliases})
    subject = tag()
    submit(engine.port, message(subject))
    assert sink.with_subject(subject)
    assert sink.logins[0].encrypted and not sink.secrets_in_clear


def test_001_12_other_names_get_no_login(make):
    sink = make.add(TlsSink(Ca(make.folder).server(), auth=["PLAIN"], users={"myuser": "x"}, auth_required=False).start())
    engine = named_smarthost(make, sink, {**LOGIN, "SMARTHOST_ALIASES": "*.elsewhere.test;mysmtp.test"})
    subject = tag()
    submit(engine.port, message(subject))
    assert sink.with_subject(subject) and not sink.logins


def test_001_12_address_without_login(make, sink):
    """IP-authorised smarthosts."""
    engine = start(make, {**smarthost(sink), "SMARTHOST_USER": "u", "SMARTHOST_PASSWORD": "p"})
    subject = tag()
    submit(engine.port, message(subject))
    assert sink.with_subject(subject)


def test_001_14_no_login_in_clear(make):
    """Trap 9."""
    sink = make.add(TlsSink(auth_in_clear=["PLAIN", "LOGIN"], users={"myuser": "se;cret:#"}, auth_required=False).start())
    engine = named_smarthost(make, sink, LOGIN)
    submit(engine.port)
    wait_until(lambda: sink.sessions, 15, "a connection")
    assert stays_false(lambda: sink.logins, 0.5)


def test_001_14_untrusted_certificate(make):
    """What the workaround file asks for holds anyway: encrypted, whatever the certificate."""
    sink = make.add(TlsSink(Ca(make.folder).server(), auth=["PLAIN"], users={"myuser": "se;cret:#"}).start())
    dns = make.add(DnsServer({"mail.mysmtp.test": {"a": [sink.host]}}).start())
    engine = start(make, {"SMARTHOST_ADDRESS": "mail.mysmtp.test", "SMARTHOST_PORT": str(sink.port), **LOGIN},
                   settings={"dns.servers": dns.endpoint},
                   files={"/etc/exim4/_docker_additional_macros":
                          "# disable TLS verification\nREMOTE_SMTP_SMARTHOST_TLS_VERIFY_HOSTS = :\n"})
    subject = tag()
    submit(engine.port, message(subject))
    assert sink.with_subject(subject) and sink.secured


@pytest.mark.parametrize("more, host, user, pattern", [
    ({"GMAIL_USER": "u@gmail.com", "GMAIL_PASSWORD": "p"}, "[smtp.gmail.com]:587", "u@gmail.com", "*.gmail.com"),
    ({"SES_USER": "s", "SES_PASSWORD": "p", "SES_REGION": "eu-west-1", "SES_PORT": "2587"},
     "[email-smtp.eu-west-1.amazonaws.com]:2587", "s", "*.amazonaws.com"),
    ({"GMAIL_USER": "g", "GMAIL_PASSWORD": "p", "SES_USER": "s", "SES_PASSWORD": "p", "SMARTHOST_ADDRESS": "x.example"},
     "[smtp.gmail.com]:587", "g", "*.gmail.com"),
    ({"SES_USER": "s", "SES_PASSWORD": "p", "SMARTHOST_ADDRESS": "x.example"},
     "[email-smtp.us-east-1.amazonaws.com]:587", "s", "*.amazonaws.com"),
    ({"GMAIL_USER": "g", "SES_USER": "s", "SMARTHOST_ADDRESS": "x.example"}, "[x.example]:25", "", ""),
], ids=["001_10_gmail", "001_11_ses", "001_13_gmail_first", "001_13_ses_second", "001_13_halves_do_not_count"])
def test_001_10_001_11_001_13_precedence(make, more, host, user, pattern):
    done = start(make, more, start=False).ringpost("config")
    relay = done.stdout[done.stdout.index("\nrelay:"):]
    assert f'host: ["{host}"]' in relay and f'username: "{user}"' in relay
    assert (f'auth_hosts: ["{pattern}"]' if pattern else "auth_hosts: []") in relay


# ---- 001-16: DKIM ----

def test_001_16_dkim(make, sink):
    """One key for every From domain, simple/simple; also towards a smarthost."""
    import dkim
    with open(key_file("rsa"), "rb") as f:
        pem = f.read()
    engine = start(make, {**smarthost(sink), "DKIM_KEY_PATH": "/etc/exim4/dkim.key.temp"},
                   files={"/etc/exim4/dkim.key.temp": pem})
    for domain in ("one.example", "Two.Example"):
        subject = tag()
        text = message(subject).replace(b"alice@example.test", b"alice@" + domain.encode())
        submit(engine.port, text)
        (hit,) = sink.with_subject(subject)
        field = re.search(rb"DKIM-Signature:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*", hit.data).group(0)
        flat = re.sub(rb"\s", b"", field)
        assert b"d=" + domain.lower().encode() + b";" in flat and b"s=dkim;" in flat and b"c=simple/simple;" in flat
        assert dkim.verify(hit.data, dnsfunc=record_of(pem))


def record_of(pem):
    """A name server that has this key's record everywhere."""
    import base64

    from harness.pki import openssl
    der = openssl("pkey", "-pubout", "-outform", "DER", stdin=pem)
    text = b"v=DKIM1; k=rsa; p=" + base64.b64encode(der)
    return lambda name, timeout=5: text


def test_001_16_no_key(make, sink):
    engine = start(make, {**smarthost(sink), "DKIM_KEY_PATH": "/etc/exim4/none"})
    subject = tag()
    submit(engine.port, message(subject))
    (hit,) = sink.with_subject(subject)
    assert b"DKIM-Signature" not in hit.data and "not signed" in engine.stderr()


# ---- 001-15, 001-17 … 001-19 ----

def test_001_15_split_config(make, sink):
    engine = start(make, {**smarthost(sink), "USE_SPLIT_CONFIG": "true"})
    assert "USE_SPLIT_CONFIG: has no effect" in engine.stderr()


@pytest.mark.parametrize("name", ["GMAIL_USER", "GMAIL_PASSWORD", "SES_USER", "SES_PASSWORD", "SMARTHOST_USER",
                                  "SMARTHOST_PASSWORD"])
def test_001_17_both(make, name):
    status, err = refuses(make, {**BASE, name: "a", name + "_FILE": "/run/secrets/x"}, files={"/run/secrets/x": "b\n"})
    assert status == 1
    assert f"error: both {name} and {name}_FILE are set (but are mutually exclusive)\n" in err


def test_001_17_from_files(make):
    sink = make.add(TlsSink(Ca(make.folder).server(), auth=["PLAIN"], users={"fileuser": "file pass "}).start())
    dns = make.add(DnsServer({"mail.mysmtp.test": {"a": [sink.host]}}).start())
    engine = start(make, {"SMARTHOST_ADDRESS": "mail.mysmtp.test", "SMARTHOST_PORT": str(sink.port),
                          "SMARTHOST_USER_FILE": "/run/u", "SMARTHOST_PASSWORD_FILE": "/run/p",
                          "SMARTHOST_ALIASES": "*.mysmtp.test"},
                   files={"/run/u": "fileuser\n", "/run/p": "file pass \n"}, settings={"dns.servers": dns.endpoint})
    subject = tag()
    submit(engine.port, message(subject))
    assert sink.with_subject(subject)


def test_001_18_limits(make, sink):
    engine = start(make, smarthost(sink))
    with Client(engine.port) as c:
        assert c.keywords()["SIZE"] == "52428800"
        assert c.cmd("MAIL FROM:<a@b.example> SIZE=52428801").status == "552 5.3.4"
        c.envelope()
        reply = c.data(message(body=b"x" * 999 + b"\r\n"))
        assert 550 <= reply.code <= 554
        c.envelope()
        reply = c.data(message(headers=["Received: from a by b; Fri, 21 Nov 2025 10:00:00 +0000"] * 31))
        assert reply.code == 554


def test_001_19_ehlo(make, sink):
    engine = start(make, smarthost(sink))
    with Client(engine.port) as c:
        assert {"SIZE", "8BITMIME", "PIPELINING", "CHUNKING", "HELP"} <= set(c.keywords())
