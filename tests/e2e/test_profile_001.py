# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile 001 on the running engine: the inventory's 001-01 to 001-20 and the traps that concern them. Starts that
must fail are in test_profile_start.py."""
import os
import re
import socket

import pytest

from harness.certs import Ca
from harness.client import Client, submit
from harness.login import login_plain
from harness.message import message, tag
from harness.pki import openssl
from harness.ports import free_port
from harness.profile import profile_engine, self_signed
from harness.profile_world import answering, direct, rsa_pem, send_from, setting, signature, verifies
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

def test_001_01_defaults(make):
    engine = profile_engine(make, {"RINGPOST_PROFILE": "001"}, start=False, keep_ports=True)
    assert setting(engine, "listeners[].port") == ["25", "25"]
    assert setting(engine, "listeners[].address") == ['"0.0.0.0"', '"::"']
    engine.env.update({"PORT": "2525", "BIND_IP": "127.0.0.1", "BIND_IP6": "::0"})
    assert setting(engine, "listeners[].port") == ["2525", "2525"]
    assert setting(engine, "listeners[].address") == ['"127.0.0.1"', '"::"']


def test_001_01_port_and_addresses(make, sink):
    port = free_port(("127.0.0.1", "::1"))
    engine = profile_engine(make, {**BASE, **smarthost(sink), "PORT": str(port), "BIND_IP": "127.0.0.1", "BIND_IP6": "::1"},
                            keep_ports=True)
    for host in ("127.0.0.1", "::1"):
        with Client(port, host=host) as c:
            c.ehlo()
            assert c.submit(message()).code == 250
    assert engine.running


@pytest.mark.parametrize("value", ["1", "no", "false"])
def test_001_01_disable_ipv6(make, value):
    """Trap 16: any value. No listener, no lookup, no delivery."""
    sink, settings = direct(make)
    zone = {"dual.test": {"mx": [[10, "mx.dual.test"]]}, "mx.dual.test": {"a": [sink.host], "aaaa": ["::1"]}}
    port = free_port(("127.0.0.1", "::1"))
    profile_engine(make, {**BASE, "PORT": str(port), "BIND_IP": "127.0.0.1", "BIND_IP6": "::1", "DISABLE_IPV6": value},
                   keep_ports=True, settings={**settings, **answering(make, zone)})
    assert open_port(port)
    with socket.socket(socket.AF_INET6) as s, pytest.raises(OSError):
        s.connect(("::1", port))
    subject = tag()
    submit(port, message(subject), to=["a@dual.test"])
    assert sink.with_subject(subject) and make.others[-1].count("mx.dual.test", "AAAA") == 0


def test_001_02_no_variables(make):
    """A server that delivers by MX; not to loopback and private addresses of strangers' MX records (001-18)."""
    sink, settings = direct(make)
    engine = profile_engine(make, {"RINGPOST_PROFILE": "001"}, listeners=2, settings=settings)
    subject = tag()
    submit(engine.port, message(subject), to=["a@dest.test"])
    assert sink.with_subject(subject)
    assert setting(profile_engine(make, {"RINGPOST_PROFILE": "001"}, start=False), "delivery.private_targets") == "deny"


def test_001_06_mailname(make, sink):
    engine = start(make, smarthost(sink))
    with Client(engine.port) as c:
        assert c.banner.code == 220 and c.banner.text.startswith(NAME + " ESMTP")
        assert c.ehlo().lines[0][4:].startswith(NAME)
        subject = tag()
        assert c.submit(message(subject)).code == 250
    (hit,) = sink.with_subject(subject)
    assert hit.session.commands[0].line == b"EHLO " + NAME.encode()
    assert b"by " + NAME.encode() + b" " in hit.data
    unset = profile_engine(make, {"RINGPOST_PROFILE": "001"}, start=False)
    assert setting(unset, "identity.hostname") in (f'"{socket.gethostname()}"', '"localhost"')


# ---- 001-03, 001-04: who may relay ----

def test_001_03_loopback_and_the_interface(make, sink):
    """Trap 11: both without being named."""
    engine = start(make, smarthost(sink))
    with Client(engine.port, source=STRANGER) as c:  # lo is 127.0.0.0/8
        c.ehlo()
        assert c.submit(message()).code == 250


@pytest.mark.parametrize("nets", [":192.0.2.0/24", ":198.51.100.0/24:192.0.2.0/24", "192.0.2.0/24", "<; 192.0.2.0/24",
                                  ":2001:db8::/32:192.0.2.77"])
def test_001_03_relay_networks(make, nets):
    """Trap 11: with and without the `:` in front."""
    engine = start(make, {"RELAY_NETWORKS": nets}, start=False)
    done = engine.ringpost("config")
    assert done.returncode == 0, done.stderr
    line = re.search(r"networks: \[(.*)\]", done.stdout).group(1)
    assert line.startswith('"127.0.0.0/8", "::1/128", "127.0.0.0/8"') and '"192.0.2.' in line
    assert ("does not begin with" in done.stderr) == (nets[0] not in ":<")


def test_001_03_several_addresses(make):
    """All IPv4 networks of the interface; an interface that is not there adds none, with a warning."""
    engine = start(make, start=False)
    own = setting(engine, "access.networks")
    engine.env["NET_DEV"] = "nope0"
    done = engine.ringpost("config")
    assert "warning: NET_DEV: there is no such interface" in done.stderr
    assert setting(engine, "access.networks") == '["127.0.0.0/8", "::1/128"]' and own.startswith('["127.0.0.0/8", "::1/128", ')


def test_001_04_stranger(make, sink):
    """No AUTH is offered; refused at RCPT."""
    engine = stranger(make, smarthost(sink))
    with Client(engine.port, source=STRANGER) as c:
        assert "AUTH" not in c.keywords()
        assert c.cmd("MAIL FROM:<a@b.example>").code == 250
        reply = c.cmd("RCPT TO:<x@external.example>")
        assert reply.status == "550 5.7.1" and "relay not permitted" in reply.text.lower()
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
        assert c.cmd("STARTTLS").code == 502
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


def test_001_07_mailboxes(make, sink):
    """With local.maildir they are there."""
    folder = os.path.join(str(make.folder), "mail")
    engine = start(make, {**smarthost(sink), "OTHER_HOSTNAMES": "mine.example"},
                   settings={"local.maildir": folder + "/{domain}/{local}", "local.create": "true"})
    submit(engine.port, message(), to=["ann@mine.example"])
    engine.wait_empty()
    (name,) = os.listdir(folder + "/mine.example/ann/new")
    assert name and not sink.messages


def test_001_08_relay_domains(make):
    """Taken from anybody, sent to the MX hosts that are nearer than this one (trap 26)."""
    near = make.sink(host="127.0.0.4")
    far = make.sink(host="127.0.0.5", port=near.port)
    zone = {"d2.example": {"mx": [[10, "near.example"], [20, NAME], [30, "far.example"]]},
            "near.example": {"a": ["127.0.0.4"]}, NAME: {"a": ["127.0.0.6"]}, "far.example": {"a": ["127.0.0.5"]}}
    engine = stranger(make, {"RELAY_DOMAINS": "d1.example : d2.example"},
                      settings={**answering(make, zone), "delivery.mx_port": near.port,
                                "delivery.private_targets": "allow"})
    with Client(engine.port, source=STRANGER) as c:
        c.ehlo()
        subject = tag()
        c.ok("MAIL FROM:<a@b.example>")
        assert c.cmd("RCPT TO:<x@d3.example>").status == "550 5.7.1"
        assert c.cmd("RCPT TO:<x@sub.d2.example>").status == "550 5.7.1"
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
    sink, settings = direct(make)
    del settings["delivery.mx_port"]
    engine = start(make, {"SMTPPORTOUT": str(sink.port)}, settings=settings)
    subject = tag()
    submit(engine.port, message(subject), to=["a@dest.test"])
    assert sink.with_subject(subject)
    other = start(make, {"SMTPPORTOUT": "1", **smarthost(sink), "SMARTHOST_ADDRESS": "127.0.0.4"})
    subject = tag()
    submit(other.port, message(subject))
    assert sink.with_subject(subject)
    assert setting(start(make, start=False), "delivery.mx_port") == "25"


# ---- 001-10 … 001-14: smarthosts ----

LOGIN = {"SMARTHOST_USER": "myuser", "SMARTHOST_PASSWORD": "se;cret:#", "SMARTHOST_ALIASES": "*.mysmtp.test"}


def named_smarthost(make, sink, more, host="mail.mysmtp.test", files=None):
    return start(make, {"SMARTHOST_ADDRESS": host, "SMARTHOST_PORT": str(sink.port), **more}, files=files,
                 settings=answering(make, {host: {"a": [sink.host]}}))


@pytest.mark.parametrize("aliases", ["*.mysmtp.test", "mail.mysmtp.test", "*.other.test; *.mysmtp.test;", "*"])
def test_001_12_login_under_tls(make, aliases):
    """Trap 29: the password holds what separates other things."""
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


@pytest.mark.parametrize("macros", ["", "# disable TLS verification\nREMOTE_SMTP_SMARTHOST_TLS_VERIFY_HOSTS = :\n"],
                         ids=["plain", "workaround"])
def test_001_14_untrusted_certificate(make, macros):
    """What the workaround file asks for holds anyway: encrypted, whatever the certificate."""
    sink = make.add(TlsSink(Ca(make.folder).server(), auth=["PLAIN"], users={"myuser": "se;cret:#"}).start())
    engine = named_smarthost(make, sink, LOGIN, files={"/etc/exim4/_docker_additional_macros": macros})
    subject = tag()
    submit(engine.port, message(subject))
    assert sink.with_subject(subject) and sink.secured and sink.logins[0].encrypted


def test_001_14_macros(make):
    """Those with a counterpart; others by name, and Exim's expansions too."""
    engine = start(make, start=False, files={"/etc/exim4/_docker_additional_macros":
                                             "MESSAGE_SIZE_LIMIT = 20M\nREMOTE_SMTP_HELO_DATA=helo.example.test\n"
                                             "NO_SUCH_MACRO = 1\nDKIM_SELECTOR = ${domain}\n"})
    err = engine.ringpost("config").stderr
    assert setting(engine, "limits.message_size") == "20MiB" and setting(engine, "delivery.helo_name") == '"helo.example.test"'
    assert re.search(r"_docker_additional_macros:3:1: NO_SUCH_MACRO has no effect", err)
    assert re.search(r"_docker_additional_macros:4:1: DKIM_SELECTOR has no effect", err)


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


def test_001_13_relay_domains_beside_a_smarthost(make, sink):
    """Still taken from strangers; everything goes to the smarthost."""
    engine = stranger(make, {**smarthost(sink), "RELAY_DOMAINS": "d1.example"})
    with Client(engine.port, source=STRANGER) as c:
        c.ehlo()
        subject = tag()
        assert c.submit(message(subject), to=["x@d1.example"]).code == 250
        c.ok("MAIL FROM:<a@b.example>")
        assert c.cmd("RCPT TO:<x@d2.example>").status == "550 5.7.1"
    assert sink.with_subject(subject)


# ---- 001-16: DKIM ----

KEY = "/etc/exim4/dkim.key.temp"


@pytest.mark.parametrize("env, selector", [({}, b"dkim"), ({"DKIM_SELECTOR": "mine2"}, b"mine2")])
def test_001_16_dkim(make, sink, env, selector):
    """One key for every From domain, simple/simple; also towards a smarthost."""
    pem = rsa_pem()
    engine = start(make, {**smarthost(sink), "DKIM_KEY_PATH": KEY, **env}, files={KEY: pem})
    for domain in ("one.example", "Two.Example"):
        (hit,) = sink.with_subject(send_from(engine.port, domain))
        tags = signature(hit.data)
        assert (tags["d"], tags["s"], tags["c"]) == (domain.lower().encode(), selector, b"simple/simple")
        assert verifies(hit.data, pem, f"{selector.decode()}._domainkey.{domain.lower()}")


def test_001_16_the_readmes_key(make):
    """It makes 1024 bits: taken, with one warning of each command."""
    pem = openssl("genrsa", "1024")
    engine = start(make, {"DKIM_KEY_PATH": KEY}, files={KEY: pem}, start=False)
    for command in (("check",), ("dkim", "check")):
        err = engine.ringpost(*command).stderr
        assert [line for line in err.splitlines() if line.startswith("warning: ")] == \
            ["warning: dkim.key_file: the key has only 1024 bits; RFC 8301 asks for 2048"]


def test_001_16_direct_delivery(make):
    pem = rsa_pem()
    sink, settings = direct(make)
    engine = start(make, {"DKIM_KEY_PATH": KEY}, files={KEY: pem}, settings=settings)
    (hit,) = sink.with_subject(send_from(engine.port, "one.example", to=["a@dest.test"]))
    assert verifies(hit.data, pem, "dkim._domainkey.one.example")


@pytest.mark.parametrize("files", [{}, {KEY: b""}], ids=["missing", "empty"])
def test_001_16_no_key(make, sink, files):
    engine = start(make, {**smarthost(sink), "DKIM_KEY_PATH": KEY}, files=files)
    subject = tag()
    submit(engine.port, message(subject))
    (hit,) = sink.with_subject(subject)
    assert not signature(hit.data) and "not signed" in engine.stderr()


# ---- 001-15, 001-17 … 001-20 ----

def test_001_15_split_config(make, sink):
    engine = start(make, {**smarthost(sink), "USE_SPLIT_CONFIG": "true"})
    assert "warning: USE_SPLIT_CONFIG: has no effect: Exim's own configuration files cannot be read" in engine.stderr()


def test_001_17_from_files(make):
    """Trap 28: one line end is left out, no more."""
    sink = make.add(TlsSink(Ca(make.folder).server(), auth=["PLAIN"], users={"fileuser": "file pass "}).start())
    engine = named_smarthost(make, sink, {"SMARTHOST_USER_FILE": "/run/u", "SMARTHOST_PASSWORD_FILE": "/run/p",
                                          "SMARTHOST_ALIASES": "*.mysmtp.test"},
                             files={"/run/u": "fileuser\n", "/run/p": "file pass \n"})
    subject = tag()
    submit(engine.port, message(subject))
    assert sink.with_subject(subject)


@pytest.mark.parametrize("pair, host", [("GMAIL", "[smtp.gmail.com]:587"),
                                        ("SES", "[email-smtp.us-east-1.amazonaws.com]:587")])
def test_001_17_files_of_the_others(make, pair, host):
    engine = start(make, {pair + "_USER_FILE": "/run/u", pair + "_PASSWORD_FILE": "/run/p"},
                   files={"/run/u": "me\n", "/run/p": "secret\n"}, start=False)
    assert setting(engine, "relay.host") == f'["{host}"]' and setting(engine, "relay.username") == '"me"'
    assert setting(engine, "relay.password") == '"(redacted)"'


@pytest.mark.parametrize("value, level", [("true", "debug"), ("1", "info"), ("false", "info")])
def test_001_17_verbose(make, value, level):
    """Trap 16: only "true"."""
    assert setting(start(make, {"VERBOSE": value}, start=False), "log.level") == level


def test_001_18_limits(make, sink):
    engine = start(make, smarthost(sink))
    with Client(engine.port) as c:
        assert c.keywords()["SIZE"] == "52428800"
        assert c.cmd("MAIL FROM:<a@b.example> SIZE=52428801").status == "552 5.3.4"
        c.envelope()
        assert c.data(message(body=b"x" * 998 + b"\r\n")).code == 250
        c.envelope()
        assert c.data(message(body=b"x" * 999 + b"\r\n")).code in (550, 554)
        for hops, code in ((29, 250), (30, 554)):  # ours would be the 31st
            c.envelope()
            lines = ["Received: from a by b; Fri, 21 Nov 2025 10:00:00 +0000"] * hops
            assert c.data(message(headers=lines)).code == code


def test_001_18_pace(make):
    """F,2h,15m; G,16h,1h,1.5; F,4d,6h."""
    engine = start(make, start=False)
    del engine.env["RINGPOST_QUEUE_SCHEDULE"]
    assert setting(engine, "queue.schedule") == "[" + "15m, " * 8 + "1h, 1h30m, 2h15m, 3h22m30s, 5h3m45s, 6h]"
    assert setting(engine, "queue.max_age") == "4d" and setting(engine, "queue.jitter") == "0"


def test_001_19_ehlo(make, sink):
    engine = start(make, smarthost(sink))
    with Client(engine.port) as c:
        words = c.keywords()
        assert {"SIZE", "8BITMIME", "PIPELINING", "CHUNKING", "HELP"} <= set(words)
        assert not {"AUTH", "STARTTLS"} & set(words)


def test_001_20_logins_for_clients(make, sink):
    """What users of the original ask for: AUTH beside the networks."""
    engine = stranger(make, smarthost(sink), settings={"users.0.name": "u", "users.0.password": "p",
                                                       "auth.require_tls": "false",
                                                       "listeners.0.access": "auth_or_network"})
    with Client(engine.port, source=STRANGER) as c:
        assert "AUTH" in c.keywords()
        assert login_plain(c, "u", "p").code == 235
        assert c.submit(message()).code == 250


def test_001_20_a_smarthost_that_is_not_found(make):
    """Mail waits, and is not bounced by a name server in trouble."""
    engine = start(make, {"SMARTHOST_ADDRESS": "mail.mysmtp.test"},
                   settings=answering(make, {"mail.mysmtp.test": {"behave": "servfail"}}))
    submit(engine.port)
    assert engine.event("deferred") and not engine.events("bounced")
