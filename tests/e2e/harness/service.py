# SPDX-License-Identifier: GPL-3.0-or-later
"""A service manager for tests: the notify socket, sockets given to the engine, one thread stopped."""
import ctypes
import os
import socket
import sys
import threading
import time

from .wait import wait_until

# Opens the sockets ("ADDRESS PORT NAME"), becomes the user (a number; 0: stays) and then the engine. As systemd does it.
GIVE = """
import os, socket, sys
words = sys.argv[1:]
user, count = int(words[0]), int(words[1])
rows, command = [w.split() for w in words[2:2 + count]], words[2 + count:]
sockets = []
for address, port, name in rows:
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, int(port)))
    s.listen(100)
    sockets.append(os.dup2(s.fileno(), 100 + len(sockets)))
for i, fd in enumerate(sockets):
    os.dup2(fd, 3 + i, inheritable=True)
    os.close(fd)
if user:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(rows)), LISTEN_FDNAMES=":".join(r[2] for r in rows))
os.execvp(command[0], command)
"""


def giving(*rows, user=0):
    """prefix of an engine that finds these listening sockets: (address, port, name)."""
    return [sys.executable, "-c", GIVE, str(user), str(len(rows)), *(" ".join(map(str, r)) for r in rows)]


class Manager:
    """The socket of NOTIFY_SOCKET; what came, with its time."""

    def __init__(self, folder, watchdog=None):
        self.path = os.path.join(str(folder), "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.watchdog = watchdog
        self.told = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    @property
    def env(self):
        env = {"NOTIFY_SOCKET": self.path}
        if self.watchdog:
            env["WATCHDOG_USEC"] = str(int(self.watchdog * 1e6))
        return env

    def _read(self):
        while True:
            data = self.socket.recv(4096)
            if data == b"":
                return
            self.told.append((time.monotonic(), data.decode()))

    def all(self, word):
        return [(at, text) for at, text in list(self.told) if word in text.split("\n")[0]]

    def wait(self, word, count=1, timeout=20):
        """The newest message that begins with word, once there are so many."""
        wait_until(lambda: len(self.all(word)) >= count, timeout, f"{count} times {word}, told: {self.told[-5:]}")
        return self.all(word)[-1][1]

    def close(self):
        end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        end.sendto(b"", self.path)
        end.close()
        self.thread.join(10)
        self.socket.close()


class Frozen:
    """One thread of a process is stopped, as a debugger does it; the others go on. Needs root."""

    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17

    def __init__(self, thread):
        self.thread = thread
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.libc.ptrace.restype = ctypes.c_long

    def _ptrace(self, request):
        if self.libc.ptrace(request, self.thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def __enter__(self):
        self._ptrace(self.SEIZE)
        self._ptrace(self.INTERRUPT)
        os.waitpid(self.thread, 0x40000000)  # __WALL: a thread
        return self

    def __exit__(self, *_):
        self._ptrace(self.DETACH)


def waiting_in_ring(pid):
    """The threads that sleep in io_uring_enter or epoll_wait, but for the first: workers."""
    found = []
    for thread in map(int, os.listdir(f"/proc/{pid}/task")):
        try:
            with open(f"/proc/{pid}/task/{thread}/wchan", encoding="ascii") as f:
                name = f.read()
        except FileNotFoundError:
            continue
        if thread != pid and ("io_cqring_wait" in name or "ep_poll" in name or "epoll" in name):
            found.append(thread)
    return found
