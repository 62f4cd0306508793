# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Postfix and Exim as TLS destinations and as smarthosts with logins: what they say of us in their logs."""
import base64
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading

import pytest

from harness.certs import Ca
from harness.client import Client, submit
from harness.message import message, sized, tag
from harness.peers import Exim, Postfix
from harness.ports import free_port, is_listening
from harness.wait import wait_until

USER, SECRET = "alice", "s3cret of alice"


class DovecotAuth:
    """As much of Dovecot's auth service as Postfix's smtpd asks for: PLAIN and LOGIN on a UNIX socket."""

    def __init__(self, users, mechanisms=("PLAIN", "LOGIN")):
        self.users, self.mechanisms = users, mechanisms
        self.folder = tempfile.mkdtemp(prefix="ringpost-sasl-")
        os.chmod(self.folder, 0o755)
        self.path = os.path.join(self.folder, "auth")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.socket.listen(64)
        self.asked = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        hello = ["VERSION\t1\t2"] + [f"MECH\t{m}\tplaintext" for m in self.mechanisms] + \
            ["SPID\t1", "CUID\t1", "COOKIE\t00112233445566778899aabbccddeeff", "DONE"]
        with client, client.makefile("rwb") as lines:
            lines.write("".join(line + "\n" for line in hello).encode())
            lines.flush()
            users = {}
            for line in lines:
                words = line.decode().rstrip("\n").split("\t")
                answer = getattr(self, "do_" + words[0].lower(), lambda *_: "")(words, users)
                lines.write(answer.encode())
                lines.flush()

    def do_auth(self, words, users):
        number, mechanism = words[1], words[2]
        given = next((base64.b64decode(w[5:]) for w in words if w.startswith("resp=")), None)
        if mechanism == "LOGIN":
            users[number] = given
            return f"CONT\t{number}\t{base64.b64encode(b'Password:' if given else b'Username:').decode()}\n"
        if given is None:
            users[number] = b"\0"
            return f"CONT\t{number}\t\n"
        _, user, secret = given.split(b"\0")
        return self.verdict(number, mechanism, user, secret)

    def do_cont(self, words, users):
        number, given = words[1], base64.b64decode(words[2])
        if users[number] == b"\0":
            _, user, secret = given.split(b"\0")
            return self.verdict(number, "PLAIN", user, secret)
        if users[number] is None:
            users[number] = given
            return f"CONT\t{number}\t{base64.b64encode(b'Password:').decode()}\n"
        return self.verdict(number, "LOGIN", users[number], given)

    def verdict(self, number, mechanism, user, secret):
        user, secret = user.decode(), secret.decode()
        self.asked.append((mechanism, user))
        good = self.users.get(user) == secret
        return f"OK\t{number}\tuser={user}\n" if good else f"FAIL\t{number}\tuser={user}\n"

    def close(self):
        self.socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    made = Ca(tmp_path_factory.mktemp("ca"))
    made.good = made.leaf(names=[], addresses=["127.0.0.1"])
    return made


def server_files(ca, folder):
    """(certificate, key) where a server without root may read them."""
    cert, key = ca.files(ca.good)
    for name, path in (("cert.pem", cert), ("key.pem", key)):
        target = os.path.join(folder, name)
        shutil.copy(path, target)
        os.chmod(target, 0o644)
    return os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")


@pytest.fixture
def shown(make, ca):
    folder = tempfile.mkdtemp(prefix="ringpost-shown-")
    os.chmod(folder, 0o755)
    make.add(Removal(folder))
    return server_files(ca, folder)


class Removal:
    def __init__(self, folder):
        self.folder = folder

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def postfix(make, shown, *more, **how):
    cert, key = shown
    return make.add(Postfix(f"smtpd_tls_cert_file={cert}", f"smtpd_tls_key_file={key}", "smtpd_tls_security_level=may",
                            "smtpd_tls_loglevel=1", "smtpd_tls_received_header=yes", *more, **how))


def exim(make, shown, *more, **how):
    cert, key = shown
    return make.add(Exim("tls_advertise_hosts = *", f"tls_certificate = {cert}", f"tls_privatekey = {key}",
                         "log_selector = +tls_cipher +tls_peerdn +tls_sni +received_recipients", *more, **how))


EXIM_LOGINS = f"""auth_advertise_hosts = ${{if def:tls_in_cipher{{*}}{{}}}}
acl_smtp_mail = ${{if def:authenticated_id{{accept hosts = *}}{{deny message = 5.7.0 who are you}}}}
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{USER}}}}}{{eq{{$auth3}}{{{SECRET}}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = <| Username: | Password:
  server_condition = ${{if and{{{{eq{{$auth1}}{{{USER}}}}}{{eq{{$auth2}}{{{SECRET}}}}}}}}}
  server_set_id = $auth1
"""
EXIM_CRAM = f"""acl_smtp_mail = ${{if def:authenticated_id{{accept hosts = *}}{{deny message = 5.7.0 who are you}}}}
begin authenticators
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{{USER}}}{{{SECRET}}}fail}}
  server_set_id = $auth1
"""


def text_of(*path):
    file = os.path.join(*path)
    if not os.path.exists(file):
        return ""
    with open(file, encoding="utf-8", errors="replace") as f:
        return f.read()


def engine_to(make, ca, server, policy="verify", **relay):
    return make.engine({"relay": {"host": server.endpoint, "tls": policy, **relay}, "tls": {"ca_file": ca.bundle()},
                        "log": {"level": "debug"}, "delivery": {"messages_per_connection": 50}})


SERVERS = pytest.mark.parametrize("server", [postfix, exim], ids=["postfix", "exim"])


@SERVERS
def test_destination(make, ca, shown, server):
    """300 messages under TLS: all there, none twice, nobody complains of a cut connection."""
    s = server(make, shown)
    e = engine_to(make, ca, s)
    with Client(e.port) as c:
        c.ehlo()
        subjects = [tag() for _ in range(300)]
        for subject in subjects:
            assert c.submit(message(subject)).code == 250
        assert c.submit(sized(3000000)).code == 250
    got = s.wait(301, timeout=40)
    assert e.wait_empty()["delivered"] == 301
    assert {m["Subject"] for m in got} >= set(subjects) and len(got) == 301
    assert {x["certificate"] for x in e.events("outbound_tls")} == {"trusted"}
    # The servers' own trace: with what the message came.
    assert all(re.search(r"\bE?SMTPS\b|using TLS|esmtps", str(m["Received"])) for m in got[:20]), got[0]["Received"]
    e.stop()
    log = text_of(s.folder, "log") if server is postfix else text_of(s.folder, "log", "mainlog")
    assert not re.search(r"SSL_accept error|lost connection after (?!CONNECT)|TLS error|closed unexpectedly|fatal:", log), log[-3000:]


@SERVERS
@pytest.mark.parametrize("policy", ["may", "encrypt"])
def test_a_stranger_s_certificate(make, ca, shown, server, policy):
    s = server(make, shown)
    e = make.engine({"relay": {"host": s.endpoint, "tls": policy}, "log": {"level": "debug"}})
    submit(e.port)
    s.wait(1)
    assert e.event("outbound_tls")["certificate"] == "unknown_ca"


@SERVERS
def test_resumed(make, ca, shown, server):
    """Postfix gives a ticket in a full handshake only: it serves for all connections to come. None fails."""
    s = server(make, shown, *(["smtpd_tls_loglevel=2"] if server is postfix else []))
    e = make.engine({"relay": {"host": s.endpoint, "tls": "verify"}, "tls": {"ca_file": ca.bundle()},
                     "delivery": {"messages_per_connection": 1, "connections_per_site": 1}})
    for i in range(4):
        submit(e.port)
        s.wait(i + 1)
    assert len(e.events("outbound_tls")) == 4 and not e.events("outbound_trouble")
    if server is postfix:
        assert text_of(s.folder, "log").count("Reusing old session") == 3


@pytest.mark.parametrize("mechanisms", [("PLAIN", "LOGIN"), ("LOGIN",)], ids=["PLAIN", "LOGIN"])
def test_postfix_as_smarthost(make, ca, shown, mechanisms):
    auth = make.add(DovecotAuth({USER: SECRET}, mechanisms))
    s = postfix(make, shown, "smtpd_sasl_auth_enable=yes", "smtpd_sasl_type=dovecot", f"smtpd_sasl_path={auth.path}",
                "smtpd_tls_auth_only=yes", "mynetworks=192.0.2.1/32",
                "smtpd_relay_restrictions=permit_sasl_authenticated,reject")
    e = engine_to(make, ca, s, username=USER, password=SECRET)
    submit(e.port)
    s.wait(1)
    assert auth.asked == [(mechanisms[0], USER)]
    assert f"sasl_username={USER}" in text_of(s.folder, "log")


@pytest.mark.parametrize("lines, mechanism", [(EXIM_LOGINS, "plain"), (EXIM_LOGINS.replace("public_name = PLAIN",
                                               "public_name = X-PLAIN"), "login"), (EXIM_CRAM, "cram")],
                         ids=["PLAIN", "LOGIN", "CRAM-MD5"])
def test_exim_as_smarthost(make, ca, shown, lines, mechanism):
    s = exim(make, shown, lines)
    e = engine_to(make, ca, s, username=USER, password=SECRET)
    submit(e.port)
    s.wait(1)
    assert f"A={mechanism}:{USER}" in text_of(s.folder, "log", "mainlog")


def test_exim_with_cram_md5_in_clear(make, ca):
    """001-14: CRAM-MD5 does not show the password, so it needs no TLS."""
    s = make.add(Exim(EXIM_CRAM))
    e = engine_to(make, ca, s, policy="none", username=USER, password=SECRET)
    submit(e.port)
    s.wait(1)
    assert f"A=cram:{USER}" in text_of(s.folder, "log", "mainlog")


@SERVERS
def test_a_wrong_password(make, ca, shown, server):
    """Deferred with the server's own words; nothing bounces, and the password is in no log."""
    if server is postfix:
        auth = make.add(DovecotAuth({USER: SECRET}))
        s = postfix(make, shown, "smtpd_sasl_auth_enable=yes", "smtpd_sasl_type=dovecot", f"smtpd_sasl_path={auth.path}",
                    "smtpd_relay_restrictions=permit_sasl_authenticated,reject", "mynetworks=192.0.2.1/32")
    else:
        s = exim(make, shown, EXIM_LOGINS)
    e = engine_to(make, ca, s, username=USER, password="wr0ng one")
    submit(e.port)
    event = e.event("deferred")
    assert (event["code"], event["stage"]) == (535, "auth") and "uthentication" in event["reply"]
    assert e.counters()["queued"] == 1 and s.files() == []
    assert "wr0ng" not in repr(e.events())


@SERVERS
def test_a_server_that_asks_for_our_certificate(make, ca, shown, server, tmp_path):
    own = ca.leaf(names=["relay.example.test"], usage="clientAuth", key=("ec", 7), subject="relay.example.test")
    cert, key = ca.files(own, name="own")
    roots = os.path.join(os.path.dirname(shown[0]), "roots.pem")
    shutil.copy(ca.bundle(), roots)
    os.chmod(roots, 0o644)
    if server is postfix:
        s = postfix(make, shown, "smtpd_tls_ask_ccert=yes", f"smtpd_tls_CAfile={roots}")
    else:
        s = exim(make, shown, "tls_verify_hosts = *", f"tls_verify_certificates = {roots}")
    e = make.engine({"relay": {"host": s.endpoint, "tls": "encrypt"},
                     "tls": {"ca_file": ca.bundle(), "client_cert_file": cert, "client_key_file": key}})
    submit(e.port)
    s.wait(1)
    log = text_of(s.folder, "log") if server is postfix else text_of(s.folder, "log", "mainlog")
    assert re.search("Trusted TLS connection established" if server is postfix else r"CV=yes .*CN=relay\.example\.test",
                     log), log[-2000:]


# ---- TLS from the first byte ----

IMPLICIT = {postfix: "smtpd_tls_wrappermode=yes", exim: "tls_on_connect_ports = @PORT@"}


@SERVERS
@pytest.mark.parametrize("policy", ["may", "encrypt", "verify"])
def test_implicit_tls(make, ca, shown, server, policy):
    s = server(make, shown, IMPLICIT[server], greeting=b"")
    e = engine_to(make, ca, s, policy, implicit_tls=True)
    with Client(e.port) as c:
        c.ehlo()
        for _ in range(20):
            assert c.submit(message(tag())).code == 250
    s.wait(20)
    assert e.wait_empty()["delivered"] == 20
    assert {x["certificate"] for x in e.events("outbound_tls")} == {"trusted"}
    e.stop()
    log = text_of(s.folder, "log") if server is postfix else text_of(s.folder, "log", "mainlog")
    assert not re.search(r"SSL_accept error|lost connection|TLS error|closed unexpectedly|fatal:", log), log[-3000:]


def test_implicit_tls_and_a_login_at_postfix(make, ca, shown):
    """The usual provider: port 465 and a login."""
    auth = make.add(DovecotAuth({USER: SECRET}))
    s = postfix(make, shown, IMPLICIT[postfix], "smtpd_sasl_auth_enable=yes", "smtpd_sasl_type=dovecot",
                f"smtpd_sasl_path={auth.path}", "smtpd_tls_auth_only=yes", "mynetworks=192.0.2.1/32",
                "smtpd_relay_restrictions=permit_sasl_authenticated,reject", greeting=b"")
    e = engine_to(make, ca, s, implicit_tls=True, username=USER, password=SECRET)
    submit(e.port)
    s.wait(1)
    assert auth.asked == [("PLAIN", USER)]


@SERVERS
@pytest.mark.parametrize("policy", ["may", "encrypt"])
def test_implicit_tls_at_a_port_for_starttls(make, ca, shown, server, policy):
    s = server(make, shown)
    e = engine_to(make, ca, s, policy, implicit_tls=True)
    submit(e.port)
    event = e.event("deferred")
    assert event["status"] == "4.7.5" and "does not speak TLS" in event["reply"] and s.files() == []


class OpensslServer:
    """openssl s_server with a few SMTP replies by hand: the library's own idea of TLS from the first byte."""

    def __init__(self, shown, *more):
        self.port = free_port()
        self.said = []
        cert, key = shown
        self.process = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{self.port}", "-cert", cert, "-key", key,
                                         "-quiet", "-naccept", "1", *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        wait_until(lambda: is_listening(self.port), 10, "openssl s_server")
        self.thread = threading.Thread(target=self._talk, daemon=True)
        self.thread.start()

    def _say(self, text):
        try:
            self.process.stdin.write(text)
            self.process.stdin.flush()
        except OSError:
            pass    # it has ended

    def _talk(self):
        self._say(b"220 openssl.example.test\r\n")
        content = False
        for line in self.process.stdout:
            self.said.append(line)
            word = line[:4].upper()
            if content:
                if line == b".\r\n":
                    content = False
                    self._say(b"250 2.0.0 taken\r\n")
            elif word == b"DATA":
                content = True
                self._say(b"354 go on\r\n")
            else:
                self._say(b"221 2.0.0 bye\r\n" if word == b"QUIT" else b"250 2.0.0 fine\r\n")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.thread.join(5)
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_implicit_tls_to_openssl(make, ca, shown, version):
    s = make.add(OpensslServer(shown, version))
    e = make.engine({"relay": {"host": f"[127.0.0.1]:{s.port}", "tls": "verify", "implicit_tls": True},
                     "tls": {"ca_file": ca.bundle()}, "delivery": {"messages_per_connection": 1}})
    subject = tag()
    submit(e.port, message(subject))
    event = e.event("delivered")
    assert event["tls"] == "TLSv1." + version[-1] and event["certificate"] == "trusted"
    wait_until(lambda: any(line.startswith(b"QUIT") for line in s.said), 10, "QUIT")
    assert s.said[0].startswith(b"EHLO") and any(subject.encode() in line for line in s.said)


# ---- a login or TLS that is wanted and not configured ----

@SERVERS
def test_a_smarthost_that_wants_a_login(make, ca, shown, server):
    """530 is what they are told to say: Postfix at RCPT, Exim at MAIL."""
    if server is postfix:
        s = postfix(make, shown, "smtpd_client_restrictions=reject", "reject_code=530")
    else:
        s = exim(make, shown, "acl_smtp_mail = ${if def:authenticated_id{accept hosts = *}{deny message = 530 5.7.0 log in}}")
    e = engine_to(make, ca, s, "encrypt")
    submit(e.port)
    event = e.event("deferred")
    assert event["code"] == 530 and "relay.username" in event["hint"] and s.files() == [], event


@SERVERS
def test_a_smarthost_that_wants_tls(make, ca, shown, server):
    if server is postfix:
        s = postfix(make, shown, "smtpd_tls_security_level=encrypt")
    else:
        s = exim(make, shown, "acl_smtp_mail = ${if def:tls_in_cipher{accept hosts = *}"
                              "{deny message = 530 5.7.0 Must issue a STARTTLS command first}}")
    e = engine_to(make, ca, s, "none")
    submit(e.port)
    event = e.event("deferred")
    assert event["code"] == 530 and event["hint"] == "set relay.tls" and s.files() == [], event


@SERVERS
@pytest.mark.parametrize("policy", ["may", "encrypt"])
def test_a_server_that_insists_on_our_certificate(make, ca, shown, server, policy):
    """Exim refuses the handshake: under `may` the message goes in clear. Postfix finishes it, and says so in a reply."""
    roots = os.path.join(os.path.dirname(shown[0]), "insists.pem")
    shutil.copy(ca.bundle(), roots)
    os.chmod(roots, 0o644)
    if server is postfix:
        s = postfix(make, shown, "smtpd_tls_security_level=encrypt", "smtpd_tls_req_ccert=yes", f"smtpd_tls_CAfile={roots}")
    else:
        s = exim(make, shown, "tls_verify_hosts = *", f"tls_verify_certificates = {roots}")
    e = engine_to(make, ca, s, policy)
    submit(e.port)
    if server is exim and policy == "may":
        s.wait(1)
        assert e.event("delivered")["tls"] == "none"
        return
    event = e.event("deferred")
    code, stage, text = (421, "ehlo", "client certificate") if server is postfix else (451, "starttls", "tls.client_cert_file")
    assert (event["code"], event["stage"]) == (code, stage) and text in event["reply"] and s.files() == [], event["reply"]
