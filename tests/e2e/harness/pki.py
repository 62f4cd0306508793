# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates, made with openssl: an authority and what it issues. Key pairs cost time, so each is made
once per process and signed as often as a test likes."""
import os
import shutil
import subprocess
import tempfile

_folder = []


def scratch():
    """A folder of this process, for keys that tests share."""
    if not _folder:
        import atexit
        _folder.append(tempfile.mkdtemp(prefix="ringpost-pki-"))
        atexit.register(shutil.rmtree, _folder[0], True)
    return _folder[0]


def openssl(*words, stdin=None):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, input=stdin, timeout=60, check=False)
    assert done.returncode == 0, (words, done.stderr.decode(errors="replace"))
    return done.stdout


_keys = {}


def key_file(kind, number=0):
    """kind: ec, rsa, rsa1024, rsa512, ed25519. The path of the number-th key of that kind."""
    if (kind, number) not in _keys:
        path = os.path.join(scratch(), f"{kind}-{number}.key")
        words = {"ec": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
                 "rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
                 "rsa1024": ["RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
                 "rsa512": ["RSA", "-pkeyopt", "rsa_keygen_bits:512"],
                 "ed25519": ["ed25519"]}[kind]
        openssl("genpkey", "-algorithm", *words, "-out", path)
        os.chmod(path, 0o600)
        _keys[kind, number] = path
    return _keys[kind, number]


class Certificate:
    """Two files, and their content."""

    def __init__(self, folder, name, cert, key):
        self.cert_file = os.path.join(str(folder), name + ".crt")
        self.key_file = os.path.join(str(folder), name + ".key")
        self.cert, self.key = cert, key
        for path, text in ((self.cert_file, cert), (self.key_file, key)):
            with open(path, "wb") as f:
                f.write(text)
            os.chmod(path, 0o600)
        der = openssl("x509", "-outform", "DER", stdin=cert)
        self.der = der

    @property
    def files(self):
        """For a listener, or for `tls`."""
        return {"cert_file": self.cert_file, "key_file": self.key_file}


class Authority:
    def __init__(self, folder, name="Test authority", number=90):
        self.folder = str(folder)
        self.name = name
        self.key = key_file("ec", number)
        self.file = os.path.join(self.folder, f"ca-{number}.pem")
        openssl("req", "-x509", "-key", self.key, "-subj", f"/CN={name}", "-days", "30", "-out", self.file,
                "-addext", "keyUsage=critical,keyCertSign")

    def issue(self, name, names=None, kind="ec", number=0, usage="serverAuth", days=10, subject=None, words=()):
        """name: of the files; names: DNS names (default: the name itself). words: more for `openssl req`."""
        key = key_file(kind, number)
        san = ",".join(f"DNS:{n}" for n in (names if names is not None else [name]))
        extensions = ["basicConstraints=critical,CA:FALSE"]
        extensions += ["subjectAltName=" + san] if san else []
        extensions += ["extendedKeyUsage=" + usage] if usage else []
        subject = ["-subj", subject or f"/CN={name}"]
        if days > 0:
            cert = openssl("req", "-x509", "-CA", self.file, "-CAkey", self.key, "-key", key, "-days", days, *subject, *words,
                           *(w for e in extensions for w in ("-addext", e)))
        else:
            cert = self._expired(openssl("req", "-new", "-key", key, *subject), extensions)
        with open(key, "rb") as f:
            return Certificate(self.folder, name, cert, f.read())

    def _expired(self, request, extensions):
        """`openssl req` makes none; `openssl ca` wants some files around it."""
        with tempfile.TemporaryDirectory(dir=scratch()) as folder:
            def write(name, text):
                path = os.path.join(folder, name)
                with open(path, "w", encoding="ascii") as f:
                    f.write(text)
                return path
            conf = write("conf", "[ca]\ndefault_ca=x\n[x]\nnew_certs_dir=%s\npolicy=p\nrand_serial=yes\n"
                         "database=%s\n[p]\ncommonName=optional\n" % (folder, write("index", "")))
            with open(os.path.join(folder, "request"), "wb") as f:
                f.write(request)
            return openssl("ca", "-config", conf, "-batch", "-notext", "-md", "sha256", "-cert", self.file, "-keyfile",
                           self.key, "-in", f.name, "-extfile", write("extensions", "\n".join(extensions) + "\n"),
                           "-startdate", "20200101000000Z", "-enddate", "20210101000000Z")
