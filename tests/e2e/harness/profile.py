# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that is configured as one of the replaced images is: by variables and files below --root. Only
what a test cannot do without is set over it: ports, the spool, the name server, the pace of retries."""
import os
import socket
import subprocess

from .engine import Engine, binary, clean_environment
from .pki import openssl

# Whatever the machine's own environment holds must not choose a profile.
FOREIGN = ("SMTP_", "SH_", "MTA_", "RELAY", "GMAIL_", "SES_", "SMARTHOST_", "POSTFIX_", "TLS_", "DKIM_")


def own_environment(more):
    return {k: v for k, v in clean_environment(more).items() if k in more or not k.startswith(FOREIGN)}


class ProfileEngine(Engine):
    """env: the image's variables. files: {absolute path: text or bytes} below the root. settings: RINGPOST_* by
    path ("queue.schedule"), over the profile."""

    def __init__(self, folder, env, files=None, listeners=1, settings=None, keep_ports=False):
        super().__init__(folder, listeners=listeners)
        self.root = os.path.join(self.folder, "root")
        os.makedirs(self.root, exist_ok=True)
        for path, content in (files or {}).items():
            self.put(path, content)
        self.image_env = dict(env)
        over = {"workers": 1, "spool.dir": self.spool, "spool.segment_size": "1MiB", "spool.min_free": 0,
                "dns.servers": "127.0.0.1:9", "dns.timeout": "300ms", "dns.tries": 1, "dns.ttl_min": "1s",
                "queue.schedule": "1s", "shutdown.deadline": "5s"}
        if not keep_ports:
            for i, port in enumerate(self.ports):
                over[f"listeners.{i}.address"] = "127.0.0.1"
                over[f"listeners.{i}.port"] = port
        over.update(settings or {})
        self.env = {**self.image_env, **{variable(k): str(v) for k, v in over.items()}}

    def path(self, path):
        return self.root + path

    def put(self, path, content):
        whole = self.path(path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(whole, 0o600)
        return whole

    def spawn(self):
        self.generation += 1
        self.terminated = self.killed = False
        self.errors = os.path.join(self.folder, f"stderr.{self.generation}")
        with open(self.errors, "wb") as err:
            self.process = subprocess.Popen([binary(), "serve", "--root", self.root], stdin=subprocess.DEVNULL,
                                            stderr=err, stdout=subprocess.PIPE, env=own_environment(self.env),
                                            cwd=self.folder)
        self.follow()
        return self

    def ringpost(self, *args, env=None):
        """The command line under the same variables and root: CompletedProcess."""
        return subprocess.run([binary(), *args, "--root", self.root], capture_output=True, text=True, timeout=60,
                              env=own_environment({**self.env, **(env or {})}), cwd=self.folder, check=False)


def variable(path):
    return "RINGPOST_" + path.upper().replace(".", "_")


def profile_engine(make, env, start=True, **kwargs):
    folder = os.path.join(str(make.folder), f"engine{len(make.engines)}")
    engine = ProfileEngine(folder, env, **kwargs)
    make.engines.append(engine)
    return engine.start() if start else engine


def refuses(make, env, **kwargs):
    """A start that must fail: (exit status, standard error). No port is opened before: somebody has it, and nothing
    is said about that."""
    engine = profile_engine(make, env, start=False, **kwargs)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", engine.port))
        taken.listen()
        done = engine.ringpost("serve")
    make.engines.remove(engine)
    assert "in use" not in done.stderr and done.stdout == "", (done.stdout, done.stderr)
    assert not os.path.exists(engine.spool), "a failed start made a spool"
    return done.returncode, done.stderr


def self_signed(name="mta.example.test"):
    """(certificate, key) as PEM text."""
    key = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    cert = openssl("req", "-x509", "-key", "/dev/stdin", "-subj", f"/CN={name}", "-days", "2",
                   "-addext", f"subjectAltName=DNS:{name}", stdin=key)
    return cert, key
