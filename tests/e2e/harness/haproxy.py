# SPDX-License-Identifier: GPL-3.0-or-later
"""A real load balancer in front of an engine."""
import csv
import io
import os
import socket
import subprocess

from .peers import peer
from .ports import free_port
from .wait import wait_until


class Haproxy:
    """ways: {"name": (server line's options, port of the engine's listener)}. port(name) is where clients go."""

    def __init__(self, folder, ways):
        self.socket = os.path.join(folder, "haproxy.sock")
        self.ports = {name: free_port() for name in ways}
        lines = ["global", "    maxconn 200", f"    stats socket {self.socket} level admin", "defaults", "    mode tcp",
                 "    timeout connect 5s", "    timeout client 20s", "    timeout server 20s", "    timeout check 5s"]
        for name, (options, port) in ways.items():
            options += " check-send-proxy" if options else ""
            lines += [f"listen {name}", f"    bind 127.0.0.1:{self.ports[name]}", "    option smtpchk EHLO check.test",
                      f"    server engine 127.0.0.1:{port} {options} check inter 100ms rise 2 fall 1"]
        self.file = os.path.join(folder, "haproxy.cfg")
        with open(self.file, "w", encoding="ascii") as f:
            f.write("\n".join(lines) + "\n")
        self.log = os.path.join(folder, "haproxy.out")
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen([peer("haproxy"), "-db", "-f", self.file], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out)

    def _ask(self, command):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(self.socket)
            s.sendall(command.encode() + b"\n")
            data = b""
            while part := s.recv(65536):
                data += part
            return data.decode()

    def states(self):
        """{"name": (state, last check's words)}; empty while it starts."""
        try:
            rows = csv.DictReader(io.StringIO(self._ask("show stat").lstrip("# ")))
        except OSError:
            assert self.process.poll() is None, open(self.log, encoding="utf-8").read()
            return {}
        return {r["pxname"]: (r["status"], r["check_status"], r["last_chk"]) for r in rows if r["svname"] == "engine"}

    def wait(self, state, timeout=15):
        """Until the checks have brought every server into that state."""
        def reached():
            found = self.states()
            # Before its first check a server counts as UP.
            return found and all(s[0] == state and (state != "UP" or s[1][:2] == "L7") for s in found.values())
        wait_until(reached, timeout, f"haproxy's {state}", interval=0.05)

    def port(self, name):
        return self.ports[name]

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
