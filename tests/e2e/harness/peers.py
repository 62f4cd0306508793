# SPDX-License-Identifier: GPL-3.0-or-later
"""Other people's mail programs, from what ./dev deps test has unpacked or installed."""
import email
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile

from .ports import free_port, is_listening
from .wait import wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def peer(name):
    """The path of an unpacked peer's program."""
    folder = os.environ.get("RINGPOST_PEERS")
    path = os.path.join(folder or "/nonexistent", "bin", name)
    if not os.access(path, os.X_OK):
        raise RuntimeError(f"{name} is not there ({path}): run ./dev deps test")
    return path


def tool(name):
    """The path of an installed program."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise RuntimeError(f"{name} is not installed: run ./dev deps test")
    return path


def nobody():
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def require_root():
    if os.geteuid() != 0:
        raise RuntimeError("this test needs root: run ./dev test as root or through sudo")


class Process:
    """A program in the foreground that listens on self.port; ended by its id. No greeting: none is waited for."""

    def __init__(self, command, port, log, env=None, greeting=b"220", patience=30):
        self.port, self.log = port, log
        with open(log, "wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                                            start_new_session=True)
        try:
            wait_until(lambda: self._answers(greeting), patience, f"{command[0]} on port {port}")
        except BaseException:
            self.close()
            raise

    def _answers(self, greeting):
        if self.process.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as f:
                raise RuntimeError(f"ended with {self.process.returncode}: {f.read()[-2000:]}")
        if not greeting:
            return is_listening(self.port)
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                return s.recv(len(greeting)) == greeting
        except OSError:
            return False

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        # Its children are in its own session and process group.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class Maildrop:
    """A real server as destination: all mail for any domain lands in one Maildir. In words @PORT@ is its port."""

    def __init__(self, script, *words, greeting=b"220"):
        require_root()
        # Its users must be able to enter: not below pytest's private folder.
        self.folder = tempfile.mkdtemp(prefix="ringpost-peer-")
        os.chmod(self.folder, 0o755)
        self.port = free_port()
        try:
            words = [word.replace("@PORT@", str(self.port)) for word in words]
            self.process = Process([os.path.join(ROOT, "tests", script), self.folder, str(self.port), *words],
                                   self.port, os.path.join(self.folder, "out"), greeting=greeting)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    @property
    def endpoint(self):
        return f"[127.0.0.1]:{self.port}"

    def files(self):
        new = os.path.join(self.folder, "mail", "all", "new")
        return sorted(os.path.join(new, f) for f in os.listdir(new)) if os.path.isdir(new) else []

    def messages(self):
        out = []
        for path in self.files():
            with open(path, "rb") as f:
                out.append(email.message_from_bytes(f.read()))
        return out

    def wait(self, count, timeout=20):
        wait_until(lambda: len(self.files()) >= count, timeout, f"{count} messages in the Maildir", interval=0.05)
        return self.messages()

    def close(self):
        self.process.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Postfix(Maildrop):
    """words: main.cf settings, NAME=VALUE."""

    def __init__(self, *words, **more):
        super().__init__("run_postfix.sh", *words, **more)


class Exim(Maildrop):
    """words: lines of the configuration's main section; further sections may follow."""

    def __init__(self, *words, **more):
        super().__init__("run_exim.sh", *words, **more)


class Opensmtpd(Maildrop):
    """words: lines at the top of smtpd.conf."""

    def __init__(self, *words, **more):
        super().__init__("run_opensmtpd.sh", *words, **more)


class Knot:
    """knotd with zones: {"dest.test": ["mx 300 A 127.0.0.2", ...]}."""

    def __init__(self, folder, zones):
        self.port = free_port()
        os.makedirs(folder, exist_ok=True)
        config = [f"server:\n    rundir: {folder}\n    listen: 127.0.0.1@{self.port}\n",
                  f"database:\n    storage: {folder}\n",
                  "log:\n  - target: stderr\n    any: warning\n", "zone:\n"]
        for zone, records in zones.items():
            path = os.path.join(folder, zone + ".zone")
            with open(path, "w", encoding="ascii") as f:
                f.write(f"$ORIGIN {zone}.\n@ 60 SOA ns root 1 3600 600 86400 60\n@ 300 NS ns\n"
                        "ns 300 A 127.0.0.1\n" + "\n".join(records) + "\n")
            config.append(f"  - domain: {zone}\n    file: {path}\n")
        file = os.path.join(folder, "knot.conf")
        with open(file, "w", encoding="ascii") as f:
            f.write("".join(config))
        self.log = os.path.join(folder, "out")
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen([peer("knotd"), "-c", file], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out)
        try:
            wait_until(self._answers, 15, "knotd")
        except BaseException:
            self.close()
            raise

    @property
    def endpoint(self):
        return f"127.0.0.1:{self.port}"

    def _answers(self):
        if self.process.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as f:
                raise RuntimeError(f"knotd ended: {f.read()[-2000:]}")
        question = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\x04dest\x04test\0\0\x06\0\1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.3)
            try:
                s.sendto(question, ("127.0.0.1", self.port))
                return len(s.recv(512)) > 12
            except OSError:
                return False

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
