# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of every kind, good and bad, made with `openssl ca`: dates, constraints, usages, wrong issuers.
(pki.py makes the good ones of a listener; keys are shared with it.)"""
import os
import ssl
import time

from .pki import key_file, openssl

DAY = 86400
HOST = "mail.peer.test"

_CONFIG = """
[ca]
default_ca = here
[here]
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
unique_subject = no
copy_extensions = none
policy = any
default_md = sha256
email_in_dn = no
[any]
commonName = optional
[req]
distinguished_name = dn
prompt = no
[dn]
"""


def _stamp(seconds):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))


class Cert:
    """One certificate with its key: cert is PEM text, key a path."""

    def __init__(self, cert, key, subject):
        self.cert, self.key, self.subject = cert, key, subject


class Ca:
    """Issues certificates; whose signature one bears, and what it may do, is the caller's word."""

    def __init__(self, folder):
        self.folder = os.path.join(str(folder), "ca")
        os.makedirs(self.folder)
        self.config = self._write("config", _CONFIG.format(folder=self.folder))
        self._write("index", "")
        self._write("index.attr", "unique_subject = no\n")
        self.count = 0
        self.root = self.authority("Root")

    def _write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        return path

    def make(self, subject, extensions, issuer=None, key=("ec", 0), days=(-1, 30), digest="sha256", serial=None):
        """issuer None: signs itself. days: from and to, relative to now. serial: such as no sound authority gives
        (and days then begin now)."""
        self.count += 1
        at = os.path.join(self.folder, str(self.count))
        own = key_file(*key)
        openssl("req", "-new", "-config", self.config, "-key", own, "-subj", f"/CN={subject}", "-out", at + ".csr")
        lines = "[ext]\n" + "".join(f"{name} = {value}\n" for name, value in extensions.items())
        if serial is not None:
            signer = ["-CA", self._write(f"{self.count}.issuer", issuer.cert), "-CAkey", issuer.key] if issuer else ["-signkey", own]
            openssl("x509", "-req", "-in", at + ".csr", "-out", at + ".pem", "-extfile", self._write(f"{self.count}.ext", lines),
                    "-extensions", "ext", f"-{digest}", "-days", str(days[1]), "-set_serial", str(serial), *signer)
            return self._made(at, own, subject)
        words = ["ca", "-batch", "-notext", "-config", self.config, "-in", at + ".csr", "-out", at + ".pem", "-extfile",
                 self._write(f"{self.count}.ext", lines), "-extensions", "ext", "-md", digest,
                 "-startdate", _stamp(days[0] * DAY), "-enddate", _stamp(days[1] * DAY)]
        if issuer is None:
            words += ["-selfsign", "-keyfile", own]
        else:
            words += ["-keyfile", issuer.key, "-cert", self._write(f"{self.count}.issuer", issuer.cert)]
        openssl(*words)
        return self._made(at, own, subject)

    @staticmethod
    def _made(at, own, subject):
        with open(at + ".pem", encoding="ascii") as f:
            return Cert(f.read(), own, subject)

    def authority(self, subject, issuer=None, key=None, path_length=None, constraints=None, **more):
        extensions = {"basicConstraints": "critical,CA:TRUE" + (f",pathlen:{path_length}" if path_length is not None
                                                                 else ""),
                      "keyUsage": "critical,keyCertSign,cRLSign"}
        if constraints:
            extensions["nameConstraints"] = "critical," + constraints
        # A key of its own, or a path could be built over the wrong certificate.
        key = key or ("ec", 50 + self.count)
        return self.make(subject, extensions, issuer, key, **more)

    def leaf(self, issuer="root", names=(HOST,), addresses=(), subject="a server", usage="serverAuth",
             key_usage="critical,digitalSignature", more=None, **words):
        """issuer: "root", None (itself) or a Cert."""
        extensions = {"basicConstraints": "critical,CA:FALSE", "keyUsage": key_usage}
        alternatives = [f"DNS:{n}" for n in names] + [f"IP:{a}" for a in addresses]
        if alternatives:
            extensions["subjectAltName"] = ",".join(alternatives)
        if usage:
            extensions["extendedKeyUsage"] = usage
        extensions.update(more or {})
        return self.make(subject, extensions, self.root if issuer == "root" else issuer, **words)

    def bundle(self, *certs, name="trusted.pem"):
        """A file of authorities; without certs: this one's."""
        return self._write(name, "".join(c.cert for c in certs or (self.root,)))

    def files(self, leaf, *chain, name="shown"):
        """(certificate chain, key) as files."""
        self.count += 1
        return self._write(f"{name}{self.count}.pem", leaf.cert + "".join(c.cert for c in chain)), leaf.key

    def server(self, leaf=None, *chain, minimum=ssl.TLSVersion.TLSv1_2, maximum=None, tickets=True, client_ca=None,
               ciphers="DEFAULT:@SECLEVEL=0"):
        """A server's context. Weak keys and signatures are let through: the client is to judge them. client_ca: a
        certificate is asked for, and one of this authority is required."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers(ciphers)
        context.minimum_version = minimum
        if maximum:
            context.maximum_version = maximum
        if not tickets:
            context.options |= ssl.OP_NO_TICKET
        if client_ca:
            context.load_verify_locations(self.bundle(client_ca, name="clients.pem"))
            context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(*self.files(leaf or self.leaf(), *chain))
        return context
