# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxies that mail leaves by: real ones, and one that says what a test wants."""
import os
import socket
import subprocess
import threading

from .engine import is_listening
from .peers import peer
from .ports import free_port
from .wait import wait_until


class Program:
    def __init__(self, port, command, folder):
        self.port = port
        self.endpoint = f"127.0.0.1:{port}"
        self.command = command
        self.log = os.path.join(folder, os.path.basename(command[0]) + ".out")
        self.start()

    def start(self):
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        wait_until(lambda: is_listening(self.port), 15, f"{self.command[0]} at its port")

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Microsocks(Program):
    """bind: the address that it connects from."""

    def __init__(self, folder, bind=None, login=None):
        port = free_port()
        command = [peer("microsocks"), "-i", "127.0.0.1", "-p", str(port)]
        command += ["-b", bind] if bind else []
        command += ["-u", login[0], "-P", login[1]] if login else []
        super().__init__(port, command, str(folder))


class HaproxyOut(Program):
    """Takes a PROXY v2 header, lets through only what it says comes from `source`, and connects to where it says."""

    def __init__(self, folder, source):
        port = free_port()
        config = os.path.join(str(folder), "haproxy-out.cfg")
        lines = ["global", "    maxconn 200", "defaults", "    mode tcp", "    timeout connect 5s",
                 "    timeout client 20s", "    timeout server 20s", "listen out",
                 f"    bind 127.0.0.1:{port} accept-proxy",
                 f"    tcp-request session reject if !{{ src {source} }}", "    server there 0.0.0.0:0"]
        with open(config, "w", encoding="ascii") as f:
            f.write("\n".join(lines) + "\n")
        super().__init__(port, [peer("haproxy"), "-db", "-f", config], str(folder))


class Scripted:
    """Each connection gets `answers` in turn: bytes, one piece for each read of ours; then `end`: "close", "hold", or
    an address to be connected with: the last answer goes out together with what is first said there."""

    def __init__(self, answers, end="close", early=False):
        self.answers, self.end, self.early = answers, end, early
        self.heard, self.connections, self.glued = b"", 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.held = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(s,), daemon=True).start()

    def _talk(self, s):
        try:
            for i, answer in enumerate(self.answers):
                if not self.early:
                    data = s.recv(4096)
                    if not data:
                        return
                    self.heard += data
                if isinstance(self.end, tuple) and i + 1 == len(self.answers):
                    there = socket.create_connection(self.end)
                    s.sendall(answer + there.recv(4096))
                    self.glued += 1
                    self._join(s, there)
                    return
                s.sendall(answer)
            if self.end == "close":
                s.close()
            else:
                self.held.append(s)
        except OSError:
            s.close()

    @staticmethod
    def _join(a, b):
        def pump(x, y):
            try:
                while data := x.recv(65536):
                    y.sendall(data)
                y.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        threading.Thread(target=pump, args=(a, b), daemon=True).start()
        pump(b, a)

    def close(self):
        self.listener.close()
        for s in self.held:
            s.close()
