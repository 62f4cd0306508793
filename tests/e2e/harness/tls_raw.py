# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS 1.3 records made by hand: what no library sends. The handshake is Python's; from then on the records of the client
are ours (RFC 8446 5 and 7), Python still reads what the server says."""
import ctypes
import hashlib
import hmac
import os
import ssl
import struct

from .client import Closed
from .pki import openssl
from .tlsclient import SecureClient, context

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
CLIENT_HELLO, CERTIFICATE, CERTIFICATE_VERIFY, FINISHED, KEY_UPDATE = 1, 11, 15, 20, 24
CLOSE_NOTIFY, USER_CANCELED = 0, 90

_CIPHERS = {"TLS_AES_128_GCM_SHA256": (b"EVP_aes_128_gcm", 16, "sha256"),
            "TLS_AES_256_GCM_SHA384": (b"EVP_aes_256_gcm", 32, "sha384"),
            "TLS_CHACHA20_POLY1305_SHA256": (b"EVP_chacha20_poly1305", 32, "sha256")}


def _crypto():
    library = ctypes.CDLL("libcrypto.so.3")
    for name in ("EVP_CIPHER_CTX_new", *(c[0].decode() for c in _CIPHERS.values())):
        getattr(library, name).restype = ctypes.c_void_p
    return library


def seal_aead(cipher, key, nonce, head, text):
    """AEAD with a tag of 16 bytes behind the ciphertext."""
    library = _crypto()
    ctx = ctypes.c_void_p(library.EVP_CIPHER_CTX_new())
    kind = ctypes.c_void_p(getattr(library, cipher.decode())())
    out, tag, n = ctypes.create_string_buffer(len(text) + 16), ctypes.create_string_buffer(16), ctypes.c_int()
    assert library.EVP_EncryptInit_ex(ctx, kind, None, key, nonce) == 1
    assert library.EVP_EncryptUpdate(ctx, None, ctypes.byref(n), head, len(head)) == 1
    assert library.EVP_EncryptUpdate(ctx, out, ctypes.byref(n), text, len(text)) == 1
    assert library.EVP_EncryptFinal_ex(ctx, tag, ctypes.byref(n)) == 1
    assert library.EVP_CIPHER_CTX_ctrl(ctx, 0x10, 16, tag) == 1  # EVP_CTRL_AEAD_GET_TAG
    library.EVP_CIPHER_CTX_free(ctx)
    return out.raw[:len(text)] + tag.raw


def expand_label(digest, secret, label, length):
    """RFC 8446 7.1, with an empty context; never more than one block."""
    label = b"tls13 " + label
    info = struct.pack(">HB", length, len(label)) + label + b"\0\1"
    return hmac.new(secret, info, digest).digest()[:length]


class RawClient(SecureClient):
    """Implicit TLS 1.3; seal() makes a record, put() sends it."""

    def __init__(self, port, folder, **kwargs):
        tls = context(minimum=ssl.TLSVersion.TLSv1_3)
        log = os.path.join(str(folder), "keys")
        if os.path.exists(log):
            os.unlink(log)
        tls.keylog_filename = log
        super().__init__(port, True, tls, **kwargs)
        self.cipher, self.key_bytes, self.digest = _CIPHERS[self.secure.cipher()[0]]
        with open(log, encoding="ascii") as f:
            lines = [line.split() for line in f if line.startswith("CLIENT_TRAFFIC_SECRET_0")]
        self._use(bytes.fromhex(lines[-1][2]))

    def _use(self, secret):
        self.secret, self.sequence = secret, 0
        self.key = expand_label(self.digest, secret, b"key", self.key_bytes)
        self.iv = expand_label(self.digest, secret, b"iv", 12)

    def seal(self, content, kind=DATA, padding=0, typed=True):
        """typed False: zeros only, no content type in it."""
        inner = content + (bytes([kind]) if typed else b"") + bytes(padding)
        head = struct.pack(">BHH", DATA, 0x0303, len(inner) + 16)
        nonce = (int.from_bytes(self.iv, "big") ^ self.sequence).to_bytes(12, "big")
        self.sequence += 1
        return head + seal_aead(self.cipher, self.key, nonce, head, inner)

    def key_update(self, wants_one=True):
        """A KeyUpdate; what is sealed afterwards has the next key."""
        record = self.seal(struct.pack(">I", KEY_UPDATE << 24 | 1) + bytes([wants_one]), HANDSHAKE)
        self._use(expand_label(self.digest, self.secret, b"traffic upd", hashlib.new(self.digest).digest_size))
        return record

    def put(self, *records):
        self.socket.sendall(b"".join(records))

    def send(self, data):
        """What the client's commands use, once the handshake is over."""
        if not hasattr(self, "key"):
            super().send(data)
            return
        data = data if isinstance(data, bytes) else data.encode()
        for at in range(0, len(data), 16384):
            self.put(self.seal(data[at:at + 16384]))

    def ends(self, timeout=10):
        """How the server ended it: the alert's name, "close_notify", or "cut"; what it said before stays in buffer."""
        self.socket.settimeout(timeout)
        while True:
            try:
                self._fill()
            except Closed as error:
                return "close_notify" if str(error) == "close_notify" else "cut"
            except ssl.SSLError as error:
                return (error.reason or str(error)).lower()


def records_of(data):
    """Cuts ciphertext into its records: (type, version, fragment)."""
    out = []
    while data:
        kind, version, length = struct.unpack(">BHH", data[:5])
        out.append((kind, version, data[5:5 + length]))
        data = data[5 + length:]
    return out


def record(kind, fragment, version=0x0303):
    return struct.pack(">BHH", kind, version, len(fragment)) + fragment


def refragment(flight, size):
    """The same handshake messages in records of so many bytes; other records as they were."""
    out = b""
    for kind, version, fragment in records_of(flight):
        step = size if kind == HANDSHAKE else len(fragment)
        out += b"".join(record(kind, fragment[at:at + step], version) for at in range(0, len(fragment), step))
    return out


class RawHandshake(RawClient):
    """The client's last flight by hand: Python says hello and reads the server's flight; its own answer stays here.
    messages(): from what the test names; send_flight(), then commands as usual."""

    def __init__(self, port, folder):
        self.folder = str(folder)
        tls = context(minimum=ssl.TLSVersion.TLSv1_3)
        tls.keylog_filename = os.path.join(self.folder, f"keys{port}-{id(self)}")
        SecureClient.__init__(self, port, False, tls)
        self.ehlo()
        assert self.cmd("STARTTLS").code == 220
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.machine = tls.wrap_bio(self.incoming, self.outgoing, server_hostname="relay.example.test")
        flight = b""
        while not self._shaken():
            self.socket.sendall(hello := self.outgoing.read())
            flight += (data := self.socket.recv(65536))
            assert data
            self.transcript = hello[5:] if hello else self.transcript
            self.incoming.write(data)
        self.outgoing.read()  # what Python would have said
        self.cipher, self.key_bytes, self.digest = _CIPHERS[self.machine.cipher()[0]]
        with open(tls.keylog_filename, encoding="ascii") as f:
            self.secrets = {w[0]: bytes.fromhex(w[2]) for w in map(str.split, f) if not w[0].startswith("#")}
        self._read_flight(flight)
        self._use(self.secrets["CLIENT_HANDSHAKE_TRAFFIC_SECRET"])

    def _shaken(self):
        try:
            self.machine.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False

    def _read_flight(self, flight):
        self._use(self.secrets["SERVER_HANDSHAKE_TRAFFIC_SECRET"])
        for kind, _, fragment in records_of(flight):
            if kind == HANDSHAKE:
                self.transcript += fragment
            elif kind == DATA:
                nonce = (int.from_bytes(self.iv, "big") ^ self.sequence).to_bytes(12, "big")
                self.sequence += 1
                inner = open_ctr(self.cipher, self.key, nonce, fragment[:-16]).rstrip(b"\0")
                assert inner[-1] == HANDSHAKE
                self.transcript += inner[:-1]

    def _hash(self):
        return hashlib.new(self.digest, self.transcript).digest()

    # ---- messages ----

    @staticmethod
    def message(kind, body):
        return struct.pack(">I", kind << 24 | len(body)) + body

    def certificate(self, der):
        """der None: the empty one, of a client that has none."""
        entry = len(der).to_bytes(3, "big") + der + b"\0\0" if der else b""
        return self.message(CERTIFICATE, b"\0" + len(entry).to_bytes(3, "big") + entry)

    def certificate_verify(self, key_file, transcript=None):
        """ECDSA P-256; signs the transcript so far."""
        content = b" " * 64 + b"TLS 1.3, client CertificateVerify\0" + (transcript or self._hash())
        signature = openssl("dgst", "-sha256", "-sign", key_file, stdin=content)
        return self.message(CERTIFICATE_VERIFY, struct.pack(">HH", 0x0403, len(signature)) + signature)

    def finished(self):
        length = hashlib.new(self.digest).digest_size
        key = expand_label(self.digest, self.secrets["CLIENT_HANDSHAKE_TRAFFIC_SECRET"], b"finished", length)
        return self.message(FINISHED, hmac.new(key, self._hash(), self.digest).digest())

    def say(self, handshake_message):
        """Sends it, and it counts for what comes."""
        self.transcript += handshake_message
        self.put(self.seal(handshake_message, HANDSHAKE))

    def go_on(self):
        """From now on under the keys of a finished handshake, whether it is or not."""
        self.secure = self.machine
        self._use(self.secrets["CLIENT_TRAFFIC_SECRET_0"])


def open_ctr(cipher, key, nonce, text):
    """The plaintext of a GCM record; its tag has been checked by Python's machine. AEAD is a stream: sealing the ciphertext
    brings the text back."""
    return seal_aead(cipher, key, nonce, b"", text)[:-16]
