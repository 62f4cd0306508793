# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile 003: what it reads below /etc/smarthost (the inventory's 003-07, 003-12, 003-13, 003-16 to 003-18)."""
import json
import os
import ssl

import pytest

from harness.client import Client, submit
from harness.login import login_plain
from harness.pki import openssl
from harness.profile import profile_engine, self_signed
from harness.profile_smarthost import FOLDER, YAML, rcpt, start, with_yaml
from harness.profile_world import certificate_of, rsa_pem, send_from, setting, signature, verifies
from harness.wait import wait_until


def der(cert):
    return ssl.PEM_cert_to_DER_cert(cert.decode())


# ---- 003-07: the certificate ----

def test_003_07_default_files(make, sink):
    """Trap 15: mounted, and SH_TLS_CRT not set."""
    cert, key = self_signed("mounted.example")
    files = {FOLDER + "/postfix.tls/tls.crt": cert, FOLDER + "/postfix.tls/tls.key": key}
    for engine in (start(make, sink, {"SH_TLS_LEVEL": "may"}, files=files),
                   with_yaml(make, sink, {"config": {"tls": {"level": "may"}}}, files=files)):
        assert certificate_of(engine.port) == der(cert)


def test_003_07_own_files(make, sink):
    """Relative to /etc/smarthost, or whole."""
    cert, key = self_signed("own.example")
    files = {FOLDER + "/x/a.crt": cert, FOLDER + "/x/a.key": key}
    for folder in ("x", FOLDER + "/x"):
        engine = start(make, sink, {"SH_TLS_LEVEL": "may", "SH_TLS_CRT": folder + "/a.crt", "SH_TLS_KEY": folder + "/a.key"},
                       files=files)
        assert certificate_of(engine.port) == der(cert)


def test_003_07_inline(make, sink):
    """A file wins over text in place, and that over the default files."""
    (cert, key), (other, other_key) = self_signed("inline.example"), self_signed("file.example")
    files = {FOLDER + "/postfix.tls/tls.crt": other, FOLDER + "/postfix.tls/tls.key": other_key}
    tls = {"level": "may", "crt": cert.decode(), "key": key.decode()}
    assert certificate_of(with_yaml(make, sink, {"config": {"tls": tls}}, files=files).port) == der(cert)
    tls.update(crt_file="postfix.tls/tls.crt", key_file="postfix.tls/tls.key")
    assert certificate_of(with_yaml(make, sink, {"config": {"tls": tls}}, files=files).port) == der(other)


@pytest.mark.parametrize("env", [{}, {"SH_TLS_CRT": "none.crt", "SH_TLS_KEY": "none.key"}], ids=["no files", "absent"])
def test_003_07_self_signed(make, sink, env):
    """One for both ports; reloads keep it while the host name stays."""
    engine = start(make, sink, {"SH_TLS_LEVEL": "may", "SH_HOSTNAME": "relay.mydomain.com", **env},
                   settings={"listeners.1.proxy_protocol": "off"})
    made = certificate_of(engine.port)
    text = openssl("x509", "-inform", "DER", "-noout", "-text", stdin=made).decode()
    for name in ("DNS:relay.mydomain.com", "DNS:localhost", "IP Address:127.0.0.1"):
        assert name in text
    assert certificate_of(engine.ports[1]) == made
    engine.hup()
    engine.event("reloaded")
    assert certificate_of(engine.port) == certificate_of(engine.ports[1]) == made


def test_003_07_mounted_as_kubernetes_does(make, sink):
    """..data is swapped; nothing is restarted."""
    old, new = self_signed("old.example"), self_signed("new.example")
    folder = FOLDER + "/postfix.tls"
    files = {}
    for name, pair in (("..1", old), ("..2", new)):
        files.update({f"{folder}/{name}/tls.crt": pair[0], f"{folder}/{name}/tls.key": pair[1]})
    engine = start(make, sink, {"SH_TLS_LEVEL": "may"}, files=files, start=False)
    root = engine.path(folder)
    os.symlink("..1", root + "/..data")
    for name in ("tls.crt", "tls.key"):
        os.symlink("..data/" + name, f"{root}/{name}")
    engine.start()
    assert certificate_of(engine.port) == der(old[0])
    os.symlink("..2", root + "/..new")
    os.rename(root + "/..new", root + "/..data")
    wait_until(lambda: certificate_of(engine.port) == der(new[0]), 20, "the new certificate")


# ---- 003-12, 003-13: folders, YAML ----

def test_003_12_files_choose_the_profile(make, sink):
    engine = profile_engine(make, {}, listeners=2,
                            files={YAML: json.dumps({"config": {"hostname": "filed.example",
                                                                "relay": {"host": sink.endpoint}}})})
    with Client(engine.port) as c:
        assert c.banner.text.startswith("filed.example ")
    submit(engine.port)
    sink.wait()


def test_003_12_order(make):
    """postfix.d, then yaml.d, then variables; in a folder by number, not by letter."""
    files = {FOLDER + "/postfix.d/9-a.conf": "-e myhostname=nine.example -e message_size_limit=100000\n",
             FOLDER + "/postfix.d/10-b_conf": "-e myhostname=ten.example -e mynetworks=10.9.0.0/16",
             FOLDER + "/postfix.d/11-c.txt": "-e myhostname=ignored.example\n"}
    engine = start(make, None, files=files, start=False)
    assert setting(engine, "identity.hostname") == '"ten.example"'
    engine.put(YAML, "config: {hostname: yaml.example, allowed_networks: [10.8.0.0/16]}\n")
    assert setting(engine, "identity.hostname") == '"yaml.example"'
    assert setting(engine, "access.networks") == '["10.8.0.0/16"]'
    engine.env["SH_HOSTNAME"] = "env.example"
    assert setting(engine, "identity.hostname") == '"env.example"'
    engine.env["RINGPOST_IDENTITY_HOSTNAME"] = "ours.example"
    assert setting(engine, "identity.hostname") == '"ours.example"'
    assert setting(engine, "limits.message_size") == "100KB"


def test_003_13_unknown_name_is_not_fatal(make, sink):
    engine = with_yaml(make, sink, {"config": {"nonsense": 1, "auth": "yes"}})
    assert "Unknown config name nonsense" in engine.stderr()
    submit(engine.port)  # auth: yes is not true


def test_003_13_several_files(make, sink):
    """`config` is merged key by key, arrays replaced; `users` and `domains` are all there."""
    files = {FOLDER + "/yaml.d/1.yaml": "config:\n  hostname: 'one.example'\n  auth: true\n  tls: {level: may}\n"
                                        "  allowed_networks: ['10.0.0.0/8', '127.0.0.1']\n  sender_restrictions: domain\n"
                                        "users:\n  - {name: a, password: 'pa: #\"1'}\ndomains:\n  - name: d1.example\n",
             FOLDER + "/yaml.d/2_yaml": "config:\n  hostname: \"two.example\"\n  tls: {crt_file: }\n"
                                        "  allowed_networks:\n  - 127.0.0.0/8\n"
                                        "users:\n- name: b\n  password: |-\n    pb\ndomains: [{name: d2.example}]\n",
             FOLDER + "/yaml.d/3.yaml": "# nothing\n", FOLDER + "/yaml.d/4.yml": "config: {hostname: ignored.example}\n"}
    engine = start(make, sink, files=files)
    assert setting(engine, "identity.hostname") == '"two.example"'
    assert setting(engine, "access.networks") == '["127.0.0.0/8"]'
    assert setting(engine, "listeners[].tls") == ["may", "may"]
    for name, password in (("a", 'pa: #"1'), ("b", "pb")):  # trap 29
        with Client(engine.port) as c:
            c.ehlo()
            assert login_plain(c, name, password).code == 235, name
            for sender in ("x@d1.example", "x@d2.example"):
                assert rcpt(c, sender=sender).code == 250
            assert rcpt(c, sender="x@d3.example").status == "554 5.7.1"


def test_003_13_postconf(make, sink):
    engine = with_yaml(make, sink, {"config": {"postconf": ["-e message_size_limit=200000", "-e smtpd_recipient_limit=7"]}},
                       start=False)
    assert setting(engine, "limits.message_size") == "200KB" and setting(engine, "limits.recipients") == "7"


# ---- 003-16: users ----

def test_003_16_users(make, sink):
    """Lines and YAML and SH_AUTH together; of two passwords the later one. Trap 29: nothing in them is a hash."""
    engine = with_yaml(make, sink, {"config": {"auth": True}, "users": [{"name": "y", "password": "py"}]},
                       {"SH_AUTH": "e:pe"},
                       files={FOLDER + "/users.d/a.conf": "# name password\nf   pf\ny overridden\n$x $6$notahash\n",
                              FOLDER + "/users.d/b_conf": "g\tp:g#1\r\nf pf2"})
    for name, password in (("y", "py"), ("e", "pe"), ("f", "pf2"), ("f@smarthost", "pf2"), ("$x", "$6$notahash"),
                           ("g", "p:g#1")):
        with Client(engine.port) as c:
            c.ehlo()
            assert login_plain(c, name, password).code == 235, name
    for name, password in (("y", "overridden"), ("f", "pf"), ("#", "name")):
        with Client(engine.port) as c:
            c.ehlo()
            assert login_plain(c, name, password).status == "535 5.7.8", name


# ---- 003-17: DKIM ----

def files_and_domains(way, pem):
    files = {FOLDER + "/opendkim.keys/a.key": pem}
    if way == "tables":
        files[FOLDER + "/opendkim/signingtable"] = "# domain name\nmydomain.com myrelay._domainkey.mydomain.com\n"
        files[FOLDER + "/opendkim/keytable"] = ("myrelay._domainkey.mydomain.com mydomain.com:myrelay:"
                                                "/etc/smarthost/opendkim.keys/a.key\n\n")
        return files, []
    value = "opendkim.keys/a.key" if way == "key_file" else pem.decode()
    return files, [{"name": "mydomain.com", "dkim": {"selector": "myrelay", way: value}}]


@pytest.mark.parametrize("way", ["key_file", "key", "tables"])
def test_003_17_dkim(make, sink, way):
    pem = rsa_pem()
    files, domains = files_and_domains(way, pem)
    engine = with_yaml(make, sink, {"domains": domains}, files=files)
    (hit,) = sink.with_subject(send_from(engine.port, "mydomain.com"))
    tags = signature(hit.data)
    assert (tags["d"], tags["s"], tags["c"]) == (b"mydomain.com", b"myrelay", b"relaxed/simple")
    assert verifies(hit.data, pem, "myrelay._domainkey.mydomain.com")
    for unsigned in ("other.example", "sub.mydomain.com"):
        (hit,) = sink.with_subject(send_from(engine.port, unsigned))
        assert not signature(hit.data)


def test_003_17_half_of_the_tables(make, sink):
    engine = start(make, sink, files={FOLDER + "/opendkim/signingtable": "a.example s._domainkey.a.example\n"})
    assert "signingtable and keytable are needed together" in engine.stderr()


# ---- 003-18: postfix.d ----

def test_003_18_postfix_d(make, sink):
    engine = start(make, sink, files={FOLDER + "/postfix.d/a.conf":
                                      "# limits\n-e message_size_limit=100000 -e smtpd_recipient_limit=\"2\"\n"
                                      "-e myhostname='low.example' -e virtual_alias_maps=hash:/x\n"
                                      "-# relayhost\n-e smtpd_banner=$(touch /tmp/x)\n"})
    err = engine.stderr()
    assert "a.conf:3:1: virtual_alias_maps has no effect" in err and "a.conf:4:1: -# has no effect" in err
    assert "a.conf:5:1: the rest of the line has no effect: commands are not run" in err
    with Client(engine.port) as c:
        assert c.keywords()["SIZE"] == "100000" and c.banner.text.startswith("low.example ")
        c.ok("MAIL FROM:<a@b.example>")
        replies = [c.cmd(f"RCPT TO:<{x}@b.example>").code for x in "abc"]
        assert replies == [250, 250, 452]


def test_003_18_what_the_readme_shows(make):
    """And what a person would add to it."""
    cert, key = self_signed("relay.mydomain.com")
    text = """# Verbose
-M -e submission/inet="submission inet n - n - - smtpd -v"

# Hostname
-e myhostname="relay.mydomain.com"
-e smtp_helo_name="helo.mydomain.com"

# STARTTLS
-e smtpd_tls_security_level="may"
-e smtpd_tls_cert_file="$APP_CONF/mine/tls.crt"
-e smtpd_tls_key_file="/etc/smarthost/mine/tls.key"

-e smtpd_sasl_auth_enable="yes"
-e smtpd_client_restrictions="permit_sasl_authenticated, reject"
-e mynetworks="127.0.0.0/8, 10.0.0.0/8"
-e relayhost="[smtp.example]:587" -e smtp_sasl_auth_enable=yes -e smtp_sasl_password_maps="static:me:pass word:1"
-e smtp_tls_security_level=encrypt
-e maximal_queue_lifetime=2d -e minimal_backoff_time=60s -e maximal_backoff_time=10m
"""
    engine = start(make, None, files={FOLDER + "/postfix.d/a.conf": text, FOLDER + "/mine/tls.crt": cert,
                                      FOLDER + "/mine/tls.key": key, FOLDER + "/users.d/u.conf": "u p\n"}, start=False)
    del engine.env["RINGPOST_QUEUE_SCHEDULE"]
    done = engine.ringpost("check")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    want = {"log.level": "debug", "identity.hostname": '"relay.mydomain.com"', "delivery.helo_name": '"helo.mydomain.com"',
            "listeners[].tls": ["may", "may"], "tls.cert_file": f'["{engine.root}/etc/smarthost/mine/tls.crt"]',
            "listeners[].access": ["auth_and_network"] * 2, "access.networks": '["127.0.0.0/8", "10.0.0.0/8"]',
            "relay.host": '["[smtp.example]:587"]', "relay.username": '"me"', "relay.password": '"(redacted)"',
            "relay.tls": "encrypt", "delivery.tls": "encrypt", "queue.max_age": "2d",
            "queue.schedule": "[1m, 1m, 2m, 4m, 8m, 10m]", "users[].name": ['"u"', '"u@smarthost"']}
    assert {name: setting(engine, name) for name in want} == want
