# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile 003 on the running engine: the inventory's 003-01 to 003-21."""
import base64
import json
import re
import smtplib
import ssl
import subprocess

import pytest

from dnsserver import DnsServer
from harness.certs import Ca
from harness.client import Client, submit
from harness.login import login_cram, login_login, login_plain
from harness.message import message, tag
from harness.peers import tool
from harness.pki import key_file, openssl
from harness.profile import profile_engine, refuses, self_signed
from harness.tls_peer import TlsSink
from harness.tlsclient import SecureClient, open_port
from harness.wait import stays_false

BASE = {"RINGPOST_PROFILE": "003"}
YAML = "/etc/smarthost/yaml.d/config.yaml"
STRANGER = "127.0.0.9"
USER, PASSWORD = "user", "pass:word #1; x"


def start(make, sink, more=None, **kwargs):
    """The relay is set, so that mail comes to the sink."""
    kwargs.setdefault("listeners", 2)
    env = {**BASE, **({"SH_RELAY_HOST": sink.endpoint} if sink else {}), **(more or {})}
    return profile_engine(make, env, **kwargs)


def with_yaml(make, sink, conf, more=None, files=None, **kwargs):
    """JSON is YAML."""
    return start(make, sink, more, files={YAML: json.dumps(conf), **(files or {})}, **kwargs)


def proxied(engine, address, source=None):
    c = Client(engine.ports[1], greeting=False, source=source)
    c.send(f"PROXY TCP4 {address} 127.0.0.1 40000 586\r\n")
    c.banner = c.reply()
    c.ehlo()
    return c


def rcpt(c, to="x@external.example", sender="a@b.example"):
    """The answer to RCPT; MAIL must be taken."""
    c.ok(f"MAIL FROM:<{sender}>")
    reply = c.cmd(f"RCPT TO:<{to}>")
    c.ok("RSET")
    return reply


# ---- 003-01: ports ----

def test_003_01_ports(make, sink):
    engine = start(make, sink, start=False, keep_ports=True)
    done = engine.ringpost("config")
    assert re.findall(r"    port: (\d+)", done.stdout) == ["587", "586"]
    assert re.findall(r"    proxy_protocol: (\w+)", done.stdout) == ["off", "required"]


def test_003_01_proxy_takes_the_clients_address(make, sink):
    """It decides about the networks, and stands in Received."""
    engine = start(make, sink, {"SH_ALLOWED_NETWORKS": "198.51.100.0/24"})
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
        rest = c.rest()
        assert not rest or rest[0].code == 421
    assert open_port(engine.port)


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
    sink = make.sink(host="127.0.0.4")
    dns = make.add(DnsServer({"dest.test": {"mx": [[10, "mx.dest.test"]]}, "mx.dest.test": {"a": ["127.0.0.4"]}}).start())
    engine = start(make, None, settings={"dns.servers": dns.endpoint, "delivery.mx_port": sink.port,
                                         "delivery.private_targets": "allow"})
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


def test_003_03_hostname(make, sink):
    engine = start(make, sink, {"SH_HOSTNAME": "relay.mydomain.com"})
    with Client(engine.port) as c:
        assert c.banner.text.startswith("relay.mydomain.com ")
        c.ehlo()
        subject = tag()
        assert c.submit(message(subject)).code == 250
    (hit,) = sink.with_subject(subject)
    assert b"by relay.mydomain.com " in hit.data and hit.session.commands[0].line == b"EHLO relay.mydomain.com"


def test_003_04_networks(make, sink):
    engine = start(make, sink, {"SH_ALLOWED_NETWORKS": "10.0.0.0/8, 127.0.0.1"})
    submit(engine.port)
    with Client(engine.port, source=STRANGER) as c:
        c.ehlo()
        assert rcpt(c).status == "554 5.7.1"


# ---- 003-05, 003-16: logins ----

def test_003_05_auth_and_network(make, sink):
    """Trap 12: both, in clear when there is no TLS level; every mechanism; both forms of the name."""
    engine = start(make, sink, {"SH_AUTH": f"{USER}:{PASSWORD}", "SH_ALLOWED_NETWORKS": "127.0.0.1"})
    for way in (login_plain, login_login, login_cram):
        for name in (USER, USER + "@smarthost"):
            with Client(engine.port) as c:
                assert {"PLAIN", "LOGIN", "CRAM-MD5"} <= set(c.keywords()["AUTH"].split())
                assert way(c, name, PASSWORD).code == 235
                assert c.submit(message()).code == 250
    with Client(engine.port) as c:
        c.ehlo()
        assert rcpt(c).status in ("554 5.7.1", "530 5.7.0")
    with Client(engine.port, source=STRANGER) as c:
        c.ehlo()
        assert login_plain(c, USER, PASSWORD).code == 235
        assert rcpt(c).status == "554 5.7.1"
    with Client(engine.port) as c:
        c.ehlo()
        assert login_plain(c, USER, "pass").code == 535


def test_003_05_behind_the_proxy(make, sink):
    engine = start(make, sink, {"SH_AUTH": "u:p", "SH_ALLOWED_NETWORKS": "198.51.100.0/24"})
    with proxied(engine, "198.51.100.7") as c:
        assert rcpt(c).code in (530, 554)
        assert login_plain(c, "u", "p").code == 235
        assert rcpt(c).code == 250
    with proxied(engine, "203.0.113.7") as c:
        assert login_plain(c, "u", "p").code == 235
        assert rcpt(c).code == 554


def test_003_16_users(make, sink):
    engine = with_yaml(make, sink, {"config": {"auth": True}, "users": [{"name": "y", "password": "py"}]},
                       {"SH_AUTH": "e:pe"},
                       files={"/etc/smarthost/users.d/a.conf": "# name password\nf   pf\ny overridden\n$x $6$notahash\n"})
    for name, password in (("y", "py"), ("e", "pe"), ("f", "pf"), ("f@smarthost", "pf"), ("$x", "$6$notahash")):
        with Client(engine.port) as c:
            c.ehlo()
            assert login_plain(c, name, password).code == 235, name
    with Client(engine.port) as c:
        c.ehlo()
        assert login_plain(c, "y", "overridden").code == 535


# ---- 003-06, 003-07: TLS ----

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
    for port in engine.ports[:1]:
        with Client(port) as c:
            c.ehlo()
            assert c.cmd("MAIL FROM:<a@b.example>").status == "530 5.7.0"
    with SecureClient(engine.port) as c:
        c.starttls()
        c.ehlo()
        assert c.submit(message()).code == 250
    with proxied(engine, "10.0.0.1") as c:
        assert c.cmd("MAIL FROM:<a@b.example>").status == "530 5.7.0"


@pytest.mark.parametrize("level", ["verify", "yes", "dane"])
def test_003_06_other_levels(make, level):
    status, err = refuses(make, {**BASE, "SH_TLS_LEVEL": level})
    assert status == 1 and err.startswith("SH_TLS_LEVEL: ")


def certificate_of(port):
    with SecureClient(port) as c:
        c.starttls()
        return c.certificate()


def test_003_07_default_files(make, sink):
    """Trap 15: mounted, and SH_TLS_CRT not set."""
    cert, key = self_signed("mounted.example")
    engine = start(make, sink, {"SH_TLS_LEVEL": "may"}, files={"/etc/smarthost/postfix.tls/tls.crt": cert,
                                                              "/etc/smarthost/postfix.tls/tls.key": key})
    assert certificate_of(engine.port) == ssl.PEM_cert_to_DER_cert(cert.decode())


def test_003_07_own_files(make, sink):
    cert, key = self_signed("own.example")
    engine = start(make, sink, {"SH_TLS_LEVEL": "may", "SH_TLS_CRT": "x/a.crt", "SH_TLS_KEY": "x/a.key"},
                   files={"/etc/smarthost/x/a.crt": cert, "/etc/smarthost/x/a.key": key})
    assert certificate_of(engine.port) == ssl.PEM_cert_to_DER_cert(cert.decode())


def test_003_07_inline(make, sink):
    cert, key = self_signed("inline.example")
    engine = with_yaml(make, sink, {"config": {"tls": {"level": "may", "crt": cert.decode(), "key": key.decode()}}})
    assert certificate_of(engine.port) == ssl.PEM_cert_to_DER_cert(cert.decode())


def test_003_07_self_signed(make, sink):
    engine = start(make, sink, {"SH_TLS_LEVEL": "may", "SH_HOSTNAME": "relay.mydomain.com"})
    der = certificate_of(engine.port)
    text = openssl("x509", "-inform", "DER", "-noout", "-text", stdin=der).decode()
    for name in ("DNS:relay.mydomain.com", "DNS:localhost", "IP Address:127.0.0.1"):
        assert name in text


# ---- 003-08 … 003-11: the relay ----

def test_003_08_mx_first(make):
    target = make.sink(host="127.0.0.3")
    zone = {"relay.test": {"mx": [[10, "mx.relay.test"]], "a": ["127.0.0.2"]}, "mx.relay.test": {"a": ["127.0.0.3"]}}
    dns = make.add(DnsServer(zone).start())
    engine = start(make, None, {"SH_RELAY_HOST": f"relay.test:{target.port}"}, settings={"dns.servers": dns.endpoint})
    subject = tag()
    submit(engine.port, message(subject))
    assert target.with_subject(subject)


def test_003_09_relay_login_in_clear(make):
    sink = make.add(TlsSink(auth_in_clear=["LOGIN", "PLAIN"], users={"u": "p:q"}).start())
    engine = start(make, sink, {"SH_RELAY_USERNAME": "u", "SH_RELAY_PASSWORD": "p:q"})
    assert "may be sent without TLS" in engine.stderr()
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


def test_003_10_false(make, sink):
    """The deliberate deviation."""
    engine = start(make, sink, {"SH_RELAY_TLS": "false"})
    assert "SH_RELAY_TLS: taken as false" in engine.stderr()
    submit(engine.port)
    sink.wait()


def test_003_11_verbose(make, sink):
    assert "level: debug" in start(make, sink, {"SH_VERBOSE": "1"}).ringpost("config").stdout


# ---- 003-12, 003-13, 003-18: files ----

def test_003_12_files_choose_the_profile(make, sink):
    engine = profile_engine(make, {}, listeners=2,
                            files={YAML: json.dumps({"config": {"hostname": "filed.example",
                                                                "relay": {"host": sink.endpoint}}})})
    with Client(engine.port) as c:
        assert c.banner.text.startswith("filed.example ")
    submit(engine.port)
    sink.wait()


def test_003_13_unknown_name_is_not_fatal(make, sink):
    engine = with_yaml(make, sink, {"config": {"nonsense": 1, "auth": "yes"}})
    assert "Unknown config name nonsense" in engine.stderr()
    submit(engine.port)  # auth: yes is not true


def test_003_18_postfix_d(make, sink):
    engine = start(make, sink, files={"/etc/smarthost/postfix.d/a.conf":
                                      "# limits\n-e message_size_limit=100000 -e smtpd_recipient_limit=\"2\"\n"
                                      "-e myhostname='low.example' -e virtual_alias_maps=hash:/x\n"})
    assert "virtual_alias_maps has no effect" in engine.stderr()
    with Client(engine.port) as c:
        assert c.keywords()["SIZE"] == "100000" and c.banner.text.startswith("low.example ")
        c.ok("MAIL FROM:<a@b.example>")
        replies = [c.cmd(f"RCPT TO:<{x}@b.example>").code for x in "abc"]
        assert replies == [250, 250, 452]


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
            assert rcpt(c, sender=sender).status == "554 5.7.1", sender


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
    engine = with_yaml(make, sink, EMAILS)
    for login in ("one", "one@smarthost"):
        with Client(engine.port) as c:
            c.ehlo()
            assert login_plain(c, login, "p").code == 235
            for sender in ("noreply@d.example", "NOREPLY@D.example", "any@e.example", ""):
                assert rcpt(c, sender=sender).code == 250, sender
            for sender in ("other@d.example", "a@sub.e.example", "boss@d.example"):
                assert rcpt(c, sender=sender).status == "553 5.7.1", sender
    for name in ("free", "empty"):
        with Client(engine.port) as c:
            c.ehlo()
            assert login_plain(c, name, "p").code == 235
            for sender in ("who@ever.example", ""):
                assert rcpt(c, sender=sender).code == 250, (name, sender)


def test_003_15_unauthenticated(make, sink):
    engine = with_yaml(make, sink, EMAILS)
    with Client(engine.port) as c:
        c.ehlo()
        assert 500 <= rcpt(c, sender="noreply@d.example").code < 600


# ---- 003-17: DKIM ----

def public_key(pem):
    der = openssl("pkey", "-pubout", "-outform", "DER", stdin=pem)
    return b"v=DKIM1; k=rsa; p=" + base64.b64encode(der)


def dkim_check(hit, domain, selector, pem):
    import dkim
    flat = re.sub(rb"\s", b"", re.search(rb"DKIM-Signature:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*", hit.data).group(0))
    assert b"d=%s;" % domain in flat and b"s=%s;" % selector in flat and b"c=relaxed/simple;" in flat
    assert dkim.verify(hit.data, dnsfunc=lambda name, timeout=5: public_key(pem)
                       if name.rstrip(b".") == selector + b"._domainkey." + domain else None)


def send_from(engine, domain):
    subject = tag()
    submit(engine.port, message(subject).replace(b"alice@example.test", b"alice@" + domain.encode()))
    return subject


@pytest.mark.parametrize("way", ["key_file", "key", "tables"])
def test_003_17_dkim(make, sink, way):
    with open(key_file("rsa"), "rb") as f:
        pem = f.read()
    files, domains = {"/etc/smarthost/opendkim.keys/a.key": pem}, []
    if way == "tables":
        files["/etc/smarthost/opendkim/signingtable"] = "# domain name\nmydomain.com myrelay._domainkey.mydomain.com\n"
        files["/etc/smarthost/opendkim/keytable"] = ("myrelay._domainkey.mydomain.com mydomain.com:myrelay:"
                                                     "/etc/smarthost/opendkim.keys/a.key\n")
    else:
        value = "opendkim.keys/a.key" if way == "key_file" else pem.decode()
        domains = [{"name": "mydomain.com", "dkim": {"selector": "myrelay", way: value}}]
    engine = with_yaml(make, sink, {"domains": domains}, files=files)
    (hit,) = sink.with_subject(send_from(engine, "mydomain.com"))
    dkim_check(hit, b"mydomain.com", b"myrelay", pem)
    for unsigned in ("other.example", "sub.mydomain.com"):
        (hit,) = sink.with_subject(send_from(engine, unsigned))
        assert b"DKIM-Signature" not in hit.data


def test_003_17_selector_without_key(make):
    status, err = refuses(make, BASE, files={YAML: json.dumps(
        {"domains": [{"name": "a.example", "dkim": {"selector": "s"}}]})})
    assert status == 1 and "needs a selector, and key_file or key" in err


# ---- 003-19 … 003-21 ----

def test_003_19_missing_headers(make, sink):
    engine = start(make, sink, {"SH_HOSTNAME": "relay.mydomain.com"})
    subject = tag()
    submit(engine.port, b"Subject: " + subject.encode() + b"\r\n\r\nx\r\n")
    (hit,) = sink.with_subject(subject)
    head = hit.data.split(b"\r\n\r\n")[0]
    for name in (b"Received", b"Date", b"Message-ID", b"From"):
        assert re.search(rb"(?mi)^" + name + rb": ", head), name
    assert not re.search(rb"(?mi)^To: ", head)


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


def test_003_20_persistence(make, sink):
    """The queue is where the image's volume is mounted."""
    engine = start(make, sink, start=False)
    done = engine.ringpost("config", env={"RINGPOST_SPOOL_DIR": ""})
    assert done.returncode == 1 and "RINGPOST_SPOOL_DIR: is empty" in done.stderr
    del engine.env["RINGPOST_SPOOL_DIR"]
    assert f'dir: "{engine.root}/var/spool/postfix/ringpost"' in engine.ringpost("config").stdout


def test_003_21_no_command_line_of_the_image(make):
    """`test …` behind the command is refused by name, not taken for something else."""
    engine = start(make, None, start=False)
    done = engine.ringpost("serve", "test", "root@example.org")
    assert done.returncode == 64 and "unexpected argument 'test'" in done.stderr


# ---- the clients of 2.3 and of everyday ----

def test_swaks(make, sink):
    engine = start(make, sink, {"SH_AUTH": "test:test", "SH_TLS_LEVEL": "may"})
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        done = subprocess.run([tool("swaks"), "--server", f"127.0.0.1:{engine.port}", "--tls", "--auth", mechanism,
                               "--auth-user", "test", "--auth-password", "test", "--from", "a@b.example",
                               "--to", "c@d.example"], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    sink.wait(3)


def test_smtplib_on_the_proxy_port_needs_the_proxy(make, sink):
    engine = start(make, sink)
    with pytest.raises((smtplib.SMTPException, OSError)):
        smtplib.SMTP("127.0.0.1", engine.ports[1], timeout=20).ehlo_or_helo_if_needed()
