# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that applications send with, as their authors wrote them: smtplib, swaks, curl, msmtp, nodemailer
with its pool, PHPMailer. Each by STARTTLS and by implicit TLS, logged in, verifying the certificate."""
import email.message
import json
import os
import smtplib
import subprocess

import pytest

from harness.login import plain
from harness.message import message, tag
from harness.peers import peer, tool
from harness.pki import Authority
from harness.tlsclient import context, tls_engine
from harness.wait import wait_until

USER, PASSWORD = "app@example.test", "pass: wörd#1"
ASCII = "app2", "pass;word 2"
SUBMISSION, SMTPS = 0, 1


@pytest.fixture(scope="module", name="served")
def make_served(tmp_path_factory):
    """What a team would run: 587 with STARTTLS needed, 465, logins only."""
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("served"))
    ca = Authority(tmp_path_factory.mktemp("certs"))
    pair, rsa = ca.issue("relay.example.test"), ca.issue("rsa", ["relay.example.test"], "rsa")
    e = tls_engine(makers, [{"tls": "encrypt", "access": "auth", "mode": "submission"},
                            {"tls": "implicit", "access": "auth", "mode": "submission"}],
                   {"tls": {"cert_file": [pair.cert_file, rsa.cert_file], "key_file": [pair.key_file, rsa.key_file]},
                    "users": [{"name": USER, "password": PASSWORD}, {"name": ASCII[0], "password": ASCII[1]}],
                    "auth": {"cram_md5": True}})
    e.ca = ca.file
    yield e
    assert e.running, e.trouble()
    makers.finish()


def arrived(e, subject, user, count=1):
    """The messages at the far end; the log says whose they were."""
    wait_until(lambda: len([m for m in e.sink.messages if m.subject == subject]) >= count, 15, subject)
    found = [m for m in e.sink.messages if m.subject == subject]
    assert len(found) == count
    assert e.event("accepted", user=user)["protocol"].endswith("ESMTPSA")
    return found


def unpacked(path):
    """A file or folder of an unpacked package."""
    path = os.path.join(os.environ.get("RINGPOST_PEERS", "/nonexistent"), path)
    if not os.path.exists(path):
        raise RuntimeError(f"{path} is not there: run ./dev deps test")
    return path


def run(*words, stdin="", env=None, cwd=None):
    done = subprocess.run([str(w) for w in words], input=stdin, capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, **(env or {})}, cwd=cwd)
    return done


def succeed(*words, **kwargs):
    done = run(*words, **kwargs)
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])
    return done


# ---- Python ----

@pytest.mark.parametrize("listener", [SUBMISSION, SMTPS], ids=["starttls", "smtps"])
@pytest.mark.parametrize("user, password", [ASCII, (USER, PASSWORD)], ids=["ascii", "utf-8"])
def test_smtplib(served, listener, user, password):
    """login() by its own choice: CRAM-MD5 first. (With a password that is not ASCII it can only do PLAIN.)"""
    tls = context(served.ca)
    tls.check_hostname = False  # it connects to 127.0.0.1
    port = served.ports[listener]
    with (smtplib.SMTP_SSL("127.0.0.1", port, context=tls, timeout=20) if listener == SMTPS else
          smtplib.SMTP("127.0.0.1", port, timeout=20)) as s:
        if listener == SUBMISSION:
            with pytest.raises(smtplib.SMTPNotSupportedError):
                s.login(user, password)
            assert s.starttls(context=tls)[0] == 220
        if password.isascii():
            s.login(user, password)
        else:
            s.ehlo()
            assert s.docmd("AUTH", "PLAIN " + plain(user, password))[0] == 235
        subject = tag()
        m = email.message.EmailMessage()
        m["From"], m["To"], m["Subject"] = "Ann <ann@example.test>", "ben@far.test, carl@far.test", subject
        m.set_content("Hällo\n.\n..\nend\n")
        assert s.send_message(m) == {}
    got = arrived(served, subject, user)[0]
    assert sorted(got.rcpts) == ["ben@far.test", "carl@far.test"]
    assert email.message_from_bytes(got.data).get_payload(decode=True).decode().replace("\r", "") == \
        "Hällo\n.\n..\nend\n"


# ---- swaks ----

@pytest.mark.parametrize("how", ["--tls", "--tls-on-connect"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_swaks(served, how, mechanism):
    subject = tag()
    done = succeed(tool("swaks"), "--server", "127.0.0.1", "--port", served.ports[how != "--tls"], how,
                   "--tls-ca-path", served.ca, "--auth", mechanism, "--auth-user", ASCII[0], "--auth-password", ASCII[1],
                   "--from", "a@example.test", "--to", "b@far.test", "--header", "Subject: " + subject, "--helo", "x.test")
    assert "235 2.7.0" in done.stdout
    arrived(served, subject, ASCII[0])


def test_swaks_wrong_password(served):
    done = run(tool("swaks"), "--server", "127.0.0.1", "--port", served.ports[SMTPS], "--tls-on-connect", "--auth",
               "--auth-user", ASCII[0], "--auth-password", "x", "--from", "a@example.test", "--to", "b@far.test")
    assert done.returncode == 28 and "535 5.7.8" in done.stdout, done.stdout[-2000:]


# ---- curl ----

@pytest.mark.parametrize("listener", [SUBMISSION, SMTPS], ids=["starttls", "smtps"])
@pytest.mark.parametrize("options", [[], ["--login-options", "AUTH=PLAIN"], ["--login-options", "AUTH=LOGIN"],
                                     ["--sasl-ir"], ["--tls-max", "1.2", "--ciphers", "ECDHE-RSA-AES256-GCM-SHA384"]],
                         ids=["default", "plain", "login", "initial", "rsa"])
def test_curl(served, listener, options, tmp_path):
    subject = tag()
    file = tmp_path / "mail"
    file.write_bytes(message(subject, b"one\r\n.two\r\n..\r\n"))
    name, port = "relay.example.test", served.ports[listener]
    way = ["--ssl-reqd", f"smtp://{name}:{port}/x.test"] if listener == SUBMISSION else [f"smtps://{name}:{port}/x.test"]
    succeed(tool("curl"), "-sS", *way, "--resolve", f"{name}:{port}:127.0.0.1", "--cacert", served.ca, "--user",
            ":".join(ASCII), "--mail-from", "a@example.test", "--mail-rcpt", "b@far.test", "--upload-file", file, *options)
    assert arrived(served, subject, ASCII[0])[0].data.endswith(b"\r\n\r\none\r\n.two\r\n..\r\n")


def test_curl_wrong(served, tmp_path):
    """67: login denied; 55: refused at MAIL or RCPT without login; 60: the certificate is for another name."""
    file = tmp_path / "mail"
    file.write_bytes(message())
    port = served.ports[SMTPS]

    def status(name, *more):
        return run(tool("curl"), "-sS", f"smtps://{name}:{port}/x.test", "--resolve", f"{name}:{port}:127.0.0.1",
                   "--cacert", served.ca, "--mail-from", "a@example.test", "--mail-rcpt", "b@far.test", "--upload-file",
                   file, *more).returncode
    assert status("relay.example.test", "--user", "app2:wrong") == 67
    assert status("relay.example.test") == 55
    assert status("other.example.test", "--user", ":".join(ASCII)) == 60


# ---- msmtp ----

@pytest.mark.parametrize("starttls", ["on", "off"])
@pytest.mark.parametrize("mechanism", ["on", "plain", "login", "cram-md5"])
def test_msmtp(served, starttls, mechanism, tmp_path):
    subject = tag()
    conf = tmp_path / "msmtprc"
    conf.write_text(f"""account default
host 127.0.0.1
port {served.ports[starttls == "off"]}
tls on
tls_starttls {starttls}
tls_trust_file {served.ca}
tls_host_override relay.example.test
auth {mechanism}
user {USER}
password {PASSWORD}
from a@example.test
domain x.test
logfile {tmp_path}/log
""", encoding="utf-8")
    conf.chmod(0o600)
    succeed(peer("msmtp"), "-C", conf, "b@far.test", "c@far.test",
            stdin=message(subject).decode().replace("\r\n", "\n"))
    assert "smtpstatus=250" in (tmp_path / "log").read_text()
    assert sorted(arrived(served, subject, USER)[0].rcpts) == ["b@far.test", "c@far.test"]


# ---- nodemailer ----

NODE = """
const nodemailer = require('nodemailer'), fs = require('fs');
const o = JSON.parse(fs.readFileSync(0));
const t = nodemailer.createTransport(o.transport);
(async () => {
  await t.verify();
  const sent = await Promise.all(Array.from({length: o.count}, (_, i) => t.sendMail({
    from: 'Änn <ann@example.test>', to: ['ben@far.test', 'carl@far.test'], bcc: 'dora@far.test',
    subject: o.subject, text: 'number ' + i + '\\n.\\nü', html: '<b>x</b>',
    attachments: [{filename: 'ä.bin', content: Buffer.alloc(o.bytes, i)}]})));
  console.log(JSON.stringify(sent.map(s => [s.accepted.length, s.response])));
  t.close();
})().catch(e => { console.error(e.responseCode, e.code, e.message); process.exit(3); });
"""


def node(served, listener, subject, count=30, **options):
    module = unpacked("node-nodemailer/usr/share/nodejs")
    with open(served.ca, encoding="ascii") as f:
        ca = f.read()
    transport = {"host": "127.0.0.1", "port": served.ports[listener], "secure": listener == SMTPS, "requireTLS": True,
                 "auth": {"user": USER, "pass": PASSWORD}, "tls": {"ca": ca, "servername": "relay.example.test"},
                 "pool": True, "maxConnections": 3, "maxMessages": 7, **options}
    return run(tool("node"), "-e", NODE, env={"NODE_PATH": module},
               stdin=json.dumps({"transport": transport, "subject": subject, "count": count, "bytes": 20000}))


@pytest.mark.parametrize("listener", [SUBMISSION, SMTPS], ids=["starttls", "smtps"])
def test_nodemailer_pool(served, listener):
    """30 messages at once over 3 connections of 7 messages each; sessions are resumed."""
    subject = tag()
    done = node(served, listener, subject)
    assert done.returncode == 0, done.stderr
    sent = json.loads(done.stdout)
    assert len(sent) == 30 and all(n == 3 and r.startswith("250 2.0.0 queued as ") for n, r in sent)
    arrived(served, subject, USER, 30)


@pytest.mark.parametrize("method", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_nodemailer_mechanisms(served, method):
    subject = tag()
    done = node(served, SMTPS, subject, 1, authMethod=method)
    assert done.returncode == 0, done.stderr
    arrived(served, subject, USER)


def test_nodemailer_wrong(served):
    done = node(served, SMTPS, "x", 1, auth={"user": USER, "pass": "wrong"})
    assert done.returncode == 3 and "535 EAUTH" in done.stderr, done.stderr


# ---- PHPMailer ----

PHP = r"""<?php
$o = json_decode(file_get_contents('php://stdin'), true);
foreach (['Exception', 'PHPMailer', 'SMTP'] as $f) require $o['folder'] . "/$f.php";
$m = new PHPMailer\PHPMailer\PHPMailer(true);
try {
    $m->isSMTP();
    $m->Host = '127.0.0.1';
    $m->Port = $o['port'];
    $m->SMTPSecure = $o['secure'];
    $m->SMTPAuth = true;
    $m->AuthType = $o['type'];
    $m->Username = $o['user'];
    $m->Password = $o['password'];
    $m->SMTPOptions = ['ssl' => ['cafile' => $o['ca'], 'peer_name' => 'relay.example.test']];
    $m->SMTPKeepAlive = true;
    $m->CharSet = 'UTF-8';
    $m->setFrom('ann@example.test', 'Änn');
    $m->addAddress('ben@far.test');
    $m->addCC('carl@far.test');
    $m->Subject = $o['subject'];
    $m->Body = "Grüße\n.\nend";
    for ($i = 0; $i < 3; $i++) $m->send();
    $m->smtpClose();
    echo 'sent';
} catch (Exception $e) { fwrite(STDERR, $m->ErrorInfo); exit(3); }
"""


def php(served, secure, kind, subject, password=PASSWORD):
    folder = unpacked("libphp-phpmailer/usr/share/php/libphp-phpmailer/src")
    options = {"folder": folder, "port": served.ports[secure == "ssl"], "secure": secure, "type": kind, "user": USER,
               "password": password, "ca": served.ca, "subject": subject}
    file = os.path.join(served.folder, f"{subject}.php")
    with open(file, "w", encoding="utf-8") as f:
        f.write(PHP)
    return run(tool("php"), file, stdin=json.dumps(options))


@pytest.mark.parametrize("secure", ["tls", "ssl"])
@pytest.mark.parametrize("kind", ["", "PLAIN", "LOGIN", "CRAM-MD5"])
def test_phpmailer(served, secure, kind):
    subject = tag()
    done = php(served, secure, kind, subject)
    assert (done.returncode, done.stdout) == (0, "sent"), (done.stdout, done.stderr)
    assert sorted(arrived(served, subject, USER, 3)[0].rcpts) == ["ben@far.test", "carl@far.test"]


def test_phpmailer_wrong(served):
    done = php(served, "ssl", "", tag(), "wrong")
    assert done.returncode == 3 and "Could not authenticate" in done.stderr, (done.stdout, done.stderr)
