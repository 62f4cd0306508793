# SPDX-License-Identifier: GPL-3.0-or-later
"""Every failure that the replaced images have at their start, and those that are ours: the message on standard error,
the originals' exit status, no port. (The images' words are kept where they have some.)"""
import json
import re
import socket

import pytest

from harness.ports import free_port
from harness.profile import profile_engine, refuses, self_signed
from harness.profile_mta import CERT, KEY, REQUIRED, certificates
from harness.tlsclient import open_port
from harness.wait import wait_until

P001, P003, BOKYSAN = {"RINGPOST_PROFILE": "001"}, {"RINGPOST_PROFILE": "003"}, {"ALLOWED_SENDER_DOMAINS": "a.example"}
YAML = "/etc/smarthost/yaml.d/config.yaml"
SIGNING, KEYS = "/etc/smarthost/opendkim/signingtable", "/etc/smarthost/opendkim/keytable"


def without(name, how):
    env = {k: v for k, v in REQUIRED.items() if k != name}
    return env if how == "absent" else {**env, name: ""}


# ---- 000 ----

@pytest.mark.parametrize("missing", ["SMTP_USERNAME", "SMTP_PASSWORD"])
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_000_04_required(make, missing, how):
    """Trap 24: set to nothing is not set."""
    status, err = refuses(make, without(missing, how), files=certificates())
    assert status == 1 and err == f"Error: {missing} must be set\n"


def test_000_04_both_required(make):
    """The image's name is not in the environment: MTA_PROFILE is."""
    status, err = refuses(make, {"MTA_PROFILE": "000"}, files=certificates())
    assert status == 1 and err == "Error: SMTP_USERNAME must be set\nError: SMTP_PASSWORD must be set\n"


@pytest.mark.parametrize("left", [[], [CERT], [KEY]], ids=["none", "certificate", "key"])
def test_000_10_no_certificate(make, left):
    files = {k: v for k, v in certificates().items() if k in left}
    status, err = refuses(make, REQUIRED, files=files)
    assert status == 1
    assert re.search(rf"(?m)^Error: TLS certificate/key files not found: \S*{re.escape(CERT)}, \S*{re.escape(KEY)}$", err)


@pytest.mark.parametrize("name", ["TLS_CERT_PATH", "TLS_KEY_PATH"])
def test_000_10_no_certificate_at_the_given_path(make, name):
    status, err = refuses(make, {**REQUIRED, name: "/tls/none.pem"}, files=certificates())
    assert status == 1 and "Error: TLS certificate/key files not found: " in err and "/tls/none.pem" in err


@pytest.mark.parametrize("name", ["MESSAGE_SIZE_LIMIT", "MAX_OUTGOING_EMAIL_SIZE"])
@pytest.mark.parametrize("value", ["10MB", "abc", "-1", "1e6", "1 000", "0x10"])
def test_000_11_not_a_number(make, name, value):
    status, err = refuses(make, {**REQUIRED, name: value}, files=certificates())
    assert status == 1 and err.startswith(f"{name}: ")


# ---- 001 ----

@pytest.mark.parametrize("name", ["GMAIL_USER", "GMAIL_PASSWORD", "SES_USER", "SES_PASSWORD", "SMARTHOST_USER",
                                  "SMARTHOST_PASSWORD"])
def test_001_17_both(make, name):
    """Trap 28."""
    status, err = refuses(make, {**P001, name: "a", name + "_FILE": "/run/secrets/x"}, files={"/run/secrets/x": "b\n"})
    assert status == 1
    assert f"error: both {name} and {name}_FILE are set (but are mutually exclusive)\n" in err


# ---- all: a table of (name, variables, files, how standard error begins) ----

BROKEN = {CERT: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}
ROWS = [
    # Postfix' own check of main.cf; what it only finds later is found at the start as well.
    ("000_09 name", {**REQUIRED, "MYHOSTNAME": "not a name"}, "tls", "MYHOSTNAME: "),
    ("000_07 port", {**REQUIRED, "RELAYHOST": "[a.example]:smtp:x"}, "tls", "RELAYHOST: "),
    ("000_07 no host", {**REQUIRED, "SMTP_RELAY_HOST": ":25"}, "tls", "SMTP_RELAY_HOST: "),
    ("000_10 broken", REQUIRED, {**BROKEN, KEY: b""}, ".*ssl-cert-snakeoil"),
    ("000_10 other key", REQUIRED, "mixed", ".*is the key of another certificate"),
    ("000_04 file", {"SMTP_USERNAME": "u", "SMTP_PASSWORD_FILE": "/run/none"}, "tls",
     r"SMTP_PASSWORD_FILE: /run/none: cannot be read: No such file or directory\n"),
    ("000_04 both", {**REQUIRED, "SMTP_PASSWORD_FILE": "/run/x"}, "tls",
     r"error: both SMTP_PASSWORD and SMTP_PASSWORD_FILE are set \(but are mutually exclusive\)\n"),
    # Exim refuses a configuration like these.
    ("001_01 port", {**P001, "PORT": "smtp2"}, {}, "PORT: "),
    ("001_01 address", {**P001, "BIND_IP": "10.0.0"}, {}, "BIND_IP: "),
    ("001_01 address6", {**P001, "BIND_IP6": "fe80::x"}, {}, "BIND_IP6: "),
    ("001_03 networks", {**P001, "RELAY_NETWORKS": ":10.0.0.0/33"}, {}, "RELAY_NETWORKS: "),
    ("001_08 domains", {**P001, "RELAY_DOMAINS": "d1.example : a b"}, {}, "RELAY_DOMAINS: "),
    ("001_09 port", {**P001, "SMTPPORTOUT": "0"}, {}, "SMTPPORTOUT: "),
    ("001_11 port", {**P001, "SES_USER": "u", "SES_PASSWORD": "p", "SES_PORT": "x"}, {}, "SES_USER: "),
    ("001_12 port", {**P001, "SMARTHOST_ADDRESS": "a.example", "SMARTHOST_PORT": "65536"}, {}, "SMARTHOST_ADDRESS: "),
    ("001_16 key", {**P001, "DKIM_KEY_PATH": "/k"}, {"/k": "no key\n"}, r"dkim.key_file: key \S*/k: "),
    ("001_05 pair", {**P001, "KEY_PATH": "/k", "CERTIFICATE_PATH": "/c"}, {"/k": "x\n", "/c": "y\n"}, r"\S*/c: "),
    ("001_17 file", {**P001, "GMAIL_USER_FILE": "/run/none", "GMAIL_PASSWORD": "p"}, {},
     r"GMAIL_USER_FILE: /run/none: cannot be read"),
    # 003: Postfix would not take mail, OpenDKIM would make all of it wait.
    ("003_06 verify", {**P003, "SH_TLS_LEVEL": "verify"}, {}, "SH_TLS_LEVEL: "),
    ("003_06 yes", {**P003, "SH_TLS_LEVEL": "yes"}, {}, "SH_TLS_LEVEL: "),
    ("003_06 yaml", {}, {YAML: "config:\n  tls:\n    level: dane\n"}, r"\S*config.yaml:3:12: "),
    ("003_04 networks", {**P003, "SH_ALLOWED_NETWORKS": "10.0.0.0/8, everybody"}, {}, "SH_ALLOWED_NETWORKS: "),
    ("003_05 auth", {**P003, "SH_AUTH": "user"}, {}, "SH_AUTH: is not of the form user:password"),
    ("003_05 file", {**P003, "SH_AUTH_FILE": "/run/none"}, {}, r"SH_AUTH_FILE: /run/none: cannot be read"),
    ("003_08 host", {**P003, "SH_RELAY_HOST": "host:99999"}, {}, "SH_RELAY_HOST: "),
    ("003_07 broken", {**P003, "SH_TLS_LEVEL": "may"}, {"/etc/smarthost/postfix.tls/tls.crt": "x",
                                                       "/etc/smarthost/postfix.tls/tls.key": "x"}, r"\S*tls.crt: "),
    ("003_13 yaml", {}, {YAML: "config:\n  hostname: [\n"}, r"\S*config.yaml:\d+:\d+: "),
    ("003_13 users", {}, {YAML: "users:\n  name: x\nconfig:\n  auth: true\n"}, r"\S*config.yaml:\d+:\d+: users: must be a list"),
    ("003_14 word", {}, {YAML: "config:\n  sender_restrictions: everybody\n"}, r"\S*config.yaml:2:24: "),
    ("003_16 user", {}, {YAML: "config:\n  auth: true\nusers:\n  - name: x\n"},
     r"\S*config.yaml:4:5: users: a user needs a name and a password"),
    ("003_16 line", {**P003, "SH_AUTH": "a:b"}, {"/etc/smarthost/users.d/a.conf": "# x\nalone\n"}, r"\S*a.conf:2:1: is not of the"),
    ("003_17 no key", {}, {YAML: json.dumps({"domains": [{"name": "a.example", "dkim": {"selector": "s"}}]})},
     r"\S*config.yaml:1:\d+: domains\[\].dkim: needs a selector, and key_file or key"),
    ("003_17 no file", {}, {YAML: json.dumps({"domains": [{"name": "a.example", "dkim": {"selector": "s",
                                                                                         "key_file": "k"}}]})},
     r".*/etc/smarthost/k"),
    ("003_17 no such key", {}, {SIGNING: "a.example s._domainkey.a.example\n", KEYS: "other a.example:s:/k\n"},
     r"\S*signingtable:1"),
    ("003_18 number", {}, {"/etc/smarthost/postfix.d/a.conf": "-e message_size_limit=big\n"}, r"\S*a.conf:1:1: message_size_limit: "),
    ("bokysan domains", {"RINGPOST_PROFILE": "bokysan"}, {},
     "You need to specify ALLOWED_SENDER_DOMAINS or ALLOW_EMPTY_SENDER_DOMAINS"),
    ("bokysan both", {**BOKYSAN, "RELAYHOST_PASSWORD": "a", "RELAYHOST_PASSWORD_FILE": "/x"}, {},
     r"error: both RELAYHOST_PASSWORD and RELAYHOST_PASSWORD_FILE are set \(but are mutually exclusive\)"),
    ("bokysan token", {**BOKYSAN, "XOAUTH2_CLIENT_ID": "x", "RELAYHOST": "a.example"}, {},
     "You need to specify RELAYHOST and RELAYHOST_USERNAME"),
    ("bokysan tokens", {**BOKYSAN, "RELAYHOST": "a.example", "RELAYHOST_USERNAME": "u", "XOAUTH2_INITIAL_ACCESS_TOKEN": "t",
                        "XOAUTH2_INITIAL_ACCESS_TOKEN_FILE": "/t"}, {"/t": "t"},
     "error: both XOAUTH2_INITIAL_ACCESS_TOKEN and XOAUTH2_INITIAL_ACCESS_TOKEN_FILE are set"),
]


def files_of(files):
    if files == "tls":
        return certificates()
    if files == "mixed":
        return {CERT: self_signed()[0], KEY: self_signed()[1]}
    return files


@pytest.mark.parametrize("env, files, words", [row[1:] for row in ROWS], ids=[row[0].replace(" ", "-") for row in ROWS])
def test_start_fails(make, env, files, words):
    status, err = refuses(make, env, files=files_of(files))
    assert status == 1
    lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert any(re.match(words, line + "\n") for line in lines), err
    assert len(set(lines)) == len(lines), err  # once


@pytest.mark.parametrize("env, words", [({**REQUIRED, "SH_HOSTNAME": "x.example"}, "settings of several systems at once"),
                                        ({"RINGPOST_PROFILE": "002"}, "is not one of: native, 000"),
                                        ({"RINGPOST_PROFILE": "000", "MTA_PROFILE": "001"}, "name different profiles")])
def test_no_clear_profile(make, env, words):
    """Nobody's status but ours."""
    status, err = refuses(make, env, files=certificates())
    assert status == 78 and words in err


def test_every_command_has_the_status(make):
    """Also of doctor, which looks at the profile's configuration."""
    engine = profile_engine(make, {"SMTP_USERNAME": "u"}, start=False)
    make.engines.remove(engine)
    for command in ("check", "config", "doctor", "serve"):
        done = engine.ringpost(command)
        assert (done.returncode, done.stderr) == (1, "Error: SMTP_PASSWORD must be set\n"), command


def test_doctor(make):
    engine = profile_engine(make, REQUIRED, files=certificates(), start=False)
    make.engines.remove(engine)
    done = engine.ringpost("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok    settings: certificates, keys and users can be used\n" in done.stdout
    assert f"ok    listener: 127.0.0.1:{engine.port} can be bound\n" in done.stdout
    engine.env["TLS_KEY_PATH"] = "/none"
    done = engine.ringpost("doctor")
    assert done.returncode == 1 and "fail  settings: Error: TLS certificate/key files not found: " in done.stdout


def test_readiness_comes_after_the_ports(make):
    """Trap 27: who waits for the line `ready` can send."""
    port = free_port()
    engine = profile_engine(make, REQUIRED, files=certificates(), start=False)
    engine.env["RINGPOST_LISTENERS_0_PORT"] = str(port)
    engine.ports[0] = port
    assert not open_port(port)
    engine.start()
    with socket.create_connection(("127.0.0.1", port), 5) as s:
        s.settimeout(10)
        assert s.recv(4) == b"220 "
    engine.terminate()
    wait_until(lambda: not open_port(port), 10, "the port's end")
