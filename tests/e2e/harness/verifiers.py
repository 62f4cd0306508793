# SPDX-License-Identifier: GPL-3.0-or-later
"""Those who judge DKIM signatures at the far end: OpenDKIM as a milter, rspamd over HTTP. Both ask a name server
of ours for the keys. check(message) says for each signature, in any order, (domain, selector, "pass" or why not)."""
import http.client
import json
import os
import re
import shutil
import socket
import struct
import tempfile

from .peers import Process, peer
from .ports import free_port

KEEP_LEADING_SPACE = 0x00100000  # SMFIP_HDR_LEADSPC: what stands behind the colon is not to be guessed
CHUNK = 65535


def split_message(message):
    """[(name, rest of the field with its folds)], body; as an MTA takes a message apart for a milter."""
    header, found, body = (b"\r\n" + message).partition(b"\r\n\r\n")
    if not found:
        header, body = header.removesuffix(b"\r\n"), b""
    fields = [tuple(f.split(b":", 1)) for f in re.split(rb"\r\n(?![ \t])", header)[1:]]
    return fields, body


class Milter:
    """The MTA's side of one milter session."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.file = self.socket.makefile("rb")
        self.send(b"O", struct.pack("!III", 6, 0x1FF, KEEP_LEADING_SPACE))
        kind, data = self.receive()
        assert kind == b"O" and struct.unpack("!I", data[8:12])[0] == KEEP_LEADING_SPACE, (kind, data)
        # Not from this machine: mail of its own a verifier may pass unseen.
        self.ask(b"C", b"client.example\0" + b"4" + struct.pack("!H", 25) + b"192.0.2.1\0")
        self.ask(b"H", b"client.example\0")

    def send(self, kind, data=b""):
        self.socket.sendall(struct.pack("!I", 1 + len(data)) + kind + data)

    def receive(self):
        length, = struct.unpack("!I", self.file.read(4))
        data = self.file.read(length)
        return data[:1], data[1:]

    def ask(self, kind, data=b""):
        self.send(kind, data)
        answer = self.receive()
        assert answer == (b"c", b""), (kind, data[:100], answer)

    def message(self, message):
        """The values of the Authentication-Results fields that it puts on top."""
        fields, body = split_message(message)
        self.send(b"D", b"Mi\0queueid\0")
        self.ask(b"M", b"<joe@example.org>\0")
        self.ask(b"R", b"<ann@example.net>\0")
        self.ask(b"T")
        for name, value in fields:
            self.ask(b"L", name + b"\0" + value.replace(b"\r\n", b"\n") + b"\0")
        self.ask(b"N")
        for at in range(0, len(body), CHUNK):
            self.ask(b"B", body[at:at + CHUNK])
        self.send(b"E")
        results = []
        while True:
            kind, data = self.receive()
            if kind == b"i":
                name, value = data[4:].split(b"\0")[:2]
                results.append((name.decode(), value.decode()))
            elif kind in b"ac":
                return [value for name, value in results if name == "Authentication-Results"]
            else:
                assert kind == b"p", (kind, data)

    def close(self):
        self.send(b"Q")
        self.file.close()
        self.socket.close()


class Verifier:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="ringpost-verifier-")
        self.port = free_port()

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        return path

    def run(self, command):
        try:
            # Who listens answers; neither speaks first.
            self.process = Process(command, self.port, os.path.join(self.folder, "out"), greeting=b"")
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def close(self):
        self.process.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class OpenDkim(Verifier):
    def __init__(self, dns):
        super().__init__()
        unbound = self.write("unbound.conf", f"""
server:
    do-not-query-localhost: no
    module-config: "iterator"
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@{dns.port}
""")
        conf = self.write("opendkim.conf", f"""
Mode v
Socket inet:{self.port}@127.0.0.1
PidFile {self.folder}/pid
TemporaryDirectory {self.folder}
ResolverConfiguration {unbound}
AuthservID test
AlwaysAddARHeader yes
MaximumHeaders 0
On-Default accept
""")
        self.run([peer("opendkim"), "-f", "-x", conf])

    def check(self, message):
        session = Milter(self.port)
        try:
            lines = session.message(message)
        finally:
            session.close()
        found = []
        for result, rest in re.findall(r"\bdkim=(\w+)(.*?)(?=\bdkim=|$)", "\n".join(lines), re.S):
            tags = dict(re.findall(r"header\.(\w)=([^\s;]+)", rest))
            found.append((tags.get("d"), tags.get("s"), result))
        return found


class Rspamd(Verifier):
    def __init__(self, dns):
        super().__init__()
        share = os.path.join(os.environ["RINGPOST_PEERS"], "rspamd", "usr", "share", "rspamd")
        self.write("tld", "org\nnet\nexample\n")
        conf = self.write("rspamd.conf", f"""
options {{
    filters = "dkim";
    dns {{ nameserver = ["127.0.0.1:{dns.port}"]; timeout = 10s; retransmits = 2; }}
    tempdir = "{self.folder}";
    hs_cache_dir = "{self.folder}";
    cache_file = "{self.folder}/symbols";
    stats_file = "{self.folder}/stats";
    url_tld = "{self.folder}/tld";
    task_timeout = 60s;
    max_message = 100M;
}}
logging {{ type = "console"; level = "info"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{self.port}"; count = 1; mime = true; }}
dkim {{ trusted_only = false; skip_multi = false; max_sigs = 10; dkim_cache_size = 0; }}
""")
        words = [f"--var={name}={self.folder}" for name in ("CONFDIR", "LOCAL_CONFDIR", "DBDIR", "RUNDIR", "LOGDIR")]
        words += [f"--var={name}={share}/{folder}" for name, folder in (
            ("SHAREDIR", ""), ("LUALIBDIR", "lualib"), ("PLUGINSDIR", "plugins"), ("RULESDIR", "rules"))]
        self.run([peer("rspamd"), "-f", "-i", *words, "-c", conf])

    def check(self, message):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            # Not from this machine, for the same reason.
            connection.request("POST", "/checkv2", message, {"IP": "192.0.2.1", "From": "joe@example.org"})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        found = []
        for name, symbol in answer["symbols"].items():
            if name.startswith("R_DKIM_") and name != "R_DKIM_NA":
                for option in symbol.get("options", [":s="]):
                    domain, _, selector = option.partition(":s=")
                    found.append((domain, selector, "pass" if name == "R_DKIM_ALLOW" else name))
        return found
