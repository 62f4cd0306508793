# SPDX-License-Identifier: GPL-3.0-or-later
"""The raw SMTP client under TLS, openssl's command line, and engines that offer TLS."""
import os
import re
import socket
import ssl
import subprocess
import time

from .client import Client, Closed


def context(ca=None, minimum=None, maximum=None, certificate=None, ciphers=None):
    """A client's. ca: its file; None: anything is believed."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca:
        c.load_verify_locations(ca)
    else:
        c.check_hostname = False
        c.verify_mode = ssl.CERT_NONE
    if minimum:
        c.minimum_version = minimum
    if maximum:
        c.maximum_version = maximum
    if certificate:
        c.load_cert_chain(certificate.cert_file, certificate.key_file)
    if ciphers:
        c.set_ciphers(ciphers)
    return c


class SecureClient(Client):
    """implicit: TLS from the first byte; otherwise starttls() when the test says so. pieces: ciphertext goes
    out in segments of so many bytes, with a pause between."""

    def __init__(self, port, implicit=False, tls=None, name="relay.example.test", session=None, pieces=0, pause=0.0,
                 **kwargs):
        self.context = tls or context()
        self.name, self.session = name, session
        self.pieces, self.pause = pieces, pause
        self.secure = None
        super().__init__(port, greeting=not implicit, **kwargs)
        if implicit:
            self.handshake()
            self.banner = self.reply()

    def starttls(self):
        self.ehlo()
        assert self.cmd("STARTTLS").status == "220 2.0.0"
        assert not self.buffer, self.buffer
        self.handshake()
        return self

    # ---- the TLS machine: memory on both sides, so that a test decides about segments ----

    def handshake(self):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.secure = self.context.wrap_bio(self.incoming, self.outgoing, server_hostname=self.name,
                                            session=self.session)
        self._repeat(self.secure.do_handshake)

    def _push(self):
        data = self.outgoing.read()
        step = self.pieces or len(data) or 1
        for at in range(0, len(data), step):
            self.socket.sendall(data[at:at + step])
            if self.pause:
                time.sleep(self.pause)

    def _repeat(self, function, *args):
        while True:
            try:
                value = function(*args)
                self._push()
                return value
            except ssl.SSLWantReadError:
                self._push()
                try:
                    data = self.socket.recv(65536)
                except ConnectionError as error:
                    raise Closed(str(error)) from error
                if not data:
                    raise Closed("closed inside TLS") from None
                self.incoming.write(data)

    def send(self, data):
        data = data if isinstance(data, bytes) else data.encode()
        if not self.secure:
            super().send(data)
            return
        for at in range(0, len(data), 1 << 20):
            self._repeat(self.secure.write, data[at:at + (1 << 20)])

    def _fill(self):
        if not self.secure:
            super()._fill()
            return
        try:
            data = self._repeat(self.secure.read, 65536)
        except ssl.SSLZeroReturnError as error:
            raise Closed("close_notify") from error
        if not data:
            raise Closed("close_notify")
        self.buffer += data

    def said_goodbye(self):
        """The server ends with close_notify, not with a cut."""
        try:
            self._fill()
        except Closed as error:
            return str(error) == "close_notify"
        return False

    def certificate(self):
        return self.secure.getpeercert(binary_form=True)

    @property
    def resumed(self):
        return self.secure.session_reused


def s_client(port, *words, starttls=True, stdin=b"QUIT\r\n", host="127.0.0.1", timeout=20):
    """openssl s_client's own words, as text. -quiet is not set: the session's facts are in it."""
    command = ["openssl", "s_client", "-connect", f"{host}:{port}", "-ign_eof", *map(str, words)]
    if starttls:
        command += ["-starttls", "smtp"]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=timeout, check=False)
    text = (done.stdout + done.stderr).decode(errors="replace")
    return text


def negotiated(text):
    """(version, cipher) of an s_client's words; (None, None) when there was no session."""
    match = re.search(r"^(?:New|Reused), (\S+), Cipher is (\S+)", text, re.M)
    if not match or match.group(2) == "(NONE)":
        return None, None
    return match.group(1), match.group(2)


def was_reused(text):
    match = re.search(r"^(New|Reused), \S+, Cipher is (?!\(NONE\))", text, re.M)
    assert match, text[-3000:]
    return match.group(1) == "Reused"


def tls_engine(make, listeners, conf=None, start=True, sink=None, **kwargs):
    """An engine with a sink behind it, and one listener per dict of `listeners`."""
    e = make.relay(conf, sink=sink, start=False, listeners=len(listeners), **kwargs)
    for given, more in zip(e.conf["listeners"], listeners):
        given.update(more)
    return e.start() if start else e


def open_port(port):
    """Does anybody listen there?"""
    try:
        with socket.create_connection(("127.0.0.1", port), 2):
            return True
    except OSError:
        return False


def mapped(pid):
    """Names of the files mapped into a process."""
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as f:
        return {os.path.basename(line.split()[5]) for line in f if len(line.split()) > 5}
