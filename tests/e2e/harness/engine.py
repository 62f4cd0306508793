# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine under test as a process: its configuration, its log, its end."""
import json
import os
import re
import signal
import subprocess
import threading
import time

from .ports import free_port
from .wait import wait_until

REPORTS = re.compile(r"(ERROR|WARNING): \w+Sanitizer|runtime error:|LeakSanitizer|SUMMARY: |must\(|must failed")


def binary(variable="RINGPOST_BIN"):
    path = os.environ.get(variable)
    if not path or not os.access(path, os.X_OK):
        raise RuntimeError(f"{variable} does not name a program: run ./dev test")
    return path


def sanitizer_environment():
    """Any report is an error exit that no test can overlook."""
    asan = os.environ.get("ASAN_OPTIONS", "")
    ubsan = os.environ.get("UBSAN_OPTIONS", "")
    return {"ASAN_OPTIONS": ":".join(filter(None, [asan, "exitcode=99", "abort_on_error=0"])),
            "UBSAN_OPTIONS": ":".join(filter(None, [ubsan, "print_stacktrace=1", "halt_on_error=1",
                                                    "exitcode=98"]))}


def measuring():
    """For tests that bound memory: what was freed does not wait in ASan's quarantine."""
    options = sanitizer_environment()["ASAN_OPTIONS"]
    return {"ASAN_OPTIONS": options + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"}


def is_listening(port):
    """Whether a socket of whichever process listens on this port of loopback."""
    with open("/proc/net/tcp") as table:
        return any(line.split()[1:4:2] == [f"0100007F:{port:04X}", "0A"] for line in table)


def run(*args, env=None, timeout=30, stdin=None):
    """The command line: CompletedProcess with text."""
    return subprocess.run([binary(), *map(str, args)], capture_output=True, text=True, timeout=timeout,
                          env=clean_environment(env), input=stdin, check=False)


def clean_environment(more=None):
    env = {k: v for k, v in os.environ.items()
           if not k.startswith("RINGPOST_") or k == "RINGPOST_IO_BACKEND"}  # ./dev test --io
    env.update(sanitizer_environment())
    env.update(more or {})
    return {k: v for k, v in env.items() if v is not None}  # None: not set at all


def merge(base, more):
    out = dict(base)
    for key, value in more.items():
        out[key] = merge(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) \
            else value
    return out


class Engine:
    """conf: nested dict; written as JSON, which is YAML. port: the first listener's."""

    def __init__(self, folder, conf=None, env=None, args=(), prefix=(), stdout=None, text=None,
                 listeners=1):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.port = free_port()
        self.ports = [self.port] + [free_port() for _ in range(listeners - 1)]
        base = {
            "identity": {"hostname": "relay.example.test"},
            "workers": 1,
            "spool": {"dir": os.path.join(self.folder, "spool"), "segment_size": "1MiB",
                      "min_free": 0},
            "listeners": [{"address": "127.0.0.1", "port": p} for p in self.ports],
            # Nothing on this machine answers here: a test that needs names brings its own server.
            "dns": {"servers": ["127.0.0.1:9"], "timeout": "300ms", "tries": 1, "ttl_min": "1s"},
            "queue": {"schedule": ["1s"], "jitter": 0},
            "shutdown": {"deadline": "5s"},
        }
        if os.environ.get("COVERAGE_BUILD"):  # ./dev test --coverage: counters are written at the end
            base["sandbox"] = {"mode": "off"}
        self.conf = merge(base, conf or {})
        self.text = text
        self.env = env
        self.args = list(args)
        self.prefix = list(prefix)
        self.stdout = stdout
        self.process = None
        self.generation = 0
        self.log = []
        self.bad_lines = []
        self.lock = threading.Lock()
        self.reader = None
        self.expected_exit = 0
        self.terminated = False
        self.killed = False

    # ---- files ----

    @property
    def file(self):
        return os.path.join(self.folder, "ringpost.yaml")

    @property
    def spool(self):
        return self.conf["spool"]["dir"]

    @property
    def socket(self):
        return self.conf.get("admin", {}).get("socket") or os.path.join(self.spool, "admin.sock")

    def write(self, conf=None):
        if conf is not None:
            self.conf = merge(self.conf, conf)
        with open(self.file, "w", encoding="utf-8") as f:
            f.write(self.text if self.text is not None else json.dumps(self.conf, indent=1))

    # ---- life ----

    def spawn(self):
        """Starts without waiting."""
        self.write()
        self.generation += 1
        self.terminated = False
        self.killed = False
        self.errors = os.path.join(self.folder, f"stderr.{self.generation}")
        command = [*self.prefix, binary(), "serve", "-c", self.file, *self.args]
        with open(self.errors, "wb") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=err,
                                            stdout=self.stdout or subprocess.PIPE,
                                            env=clean_environment(self.env), cwd=self.folder)
        self.follow()
        return self

    def follow(self):
        """Reads the log of the process that was just started."""
        with self.lock:
            self.log = []
        if self.stdout is None:
            self.reader = threading.Thread(target=self._read, args=(self.process.stdout, self.log),
                                           daemon=True)
            self.reader.start()

    def start(self, timeout=30):
        self.spawn()
        if self.stdout is None:
            self.event("ready", timeout=timeout)
        else:
            self.wait_for_port(timeout)
        return self

    def wait_for_port(self, timeout=30):
        import socket

        def answers():
            assert self.process.poll() is None, self.trouble()
            try:
                with socket.create_connection(("127.0.0.1", self.port), 2) as s:
                    return s.recv(3) == b"220"
            except OSError:
                return False
        wait_until(answers, timeout, "the engine's greeting")

    def _read(self, pipe, log):
        for line in pipe:
            at = time.monotonic()
            try:
                event = json.loads(line)
            except ValueError:
                if not (self.killed and not line.endswith(b"\n")):  # torn by kill -9
                    with self.lock:
                        self.bad_lines.append(line)
                continue
            event["_at"] = at
            with self.lock:
                log.append(event)
        pipe.close()

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def stderr(self):
        with open(self.errors, encoding="utf-8", errors="replace") as f:
            return f.read()

    def trouble(self):
        with self.lock:
            tail = self.log[-5:]
        status = self.process.poll() if self.process else None
        return f"exit status {status}; stderr: {self.stderr()[-4000:]}; log: {tail}"

    def check_reports(self):
        text = self.stderr()
        assert not REPORTS.search(text), text[-6000:]
        assert not self.bad_lines, f"log lines that are not JSON: {self.bad_lines[:3]}"

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        self.terminated = True

    def wait(self, timeout=20):
        """The exit status; the log is complete afterwards."""
        status = self.process.wait(timeout)
        if self.reader:
            self.reader.join(10)
        return status

    def stop(self, timeout=20):
        """SIGTERM; it must end with 0 and without a report."""
        if self.process is None:
            return
        if self.running and not self.terminated:
            self.terminate()  # a second one would end it at once
        try:
            status = self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
            raise AssertionError(f"does not end on SIGTERM: {self.trouble()}") from None
        trouble = self.trouble()
        self.process = None
        self.check_reports()
        assert status == self.expected_exit, trouble

    def kill(self):
        """kill -9. The kernel takes the ring apart, and closes its listeners, a moment after the process has ended."""
        self.killed = True
        self.process.kill()
        self.wait()
        wait_until(lambda: not any(is_listening(port) for port in self.ports), 30, "the ports to be free again")
        self.check_reports()
        self.process = None

    def abandon(self):
        """For teardown: whatever state it is in."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None

    def hup(self):
        self.process.send_signal(signal.SIGHUP)

    def restart(self):
        self.stop()
        return self.start()

    # ---- log ----

    def events(self, name=None, **fields):
        with self.lock:
            log = list(self.log)
        return [e for e in log if (name is None or e.get("event") == name)
                and all(e.get(k) == v for k, v in fields.items())]

    def event(self, name, timeout=15, count=1, **fields):
        """Waits for the event; the latest that fits (the list of all when count > 1)."""
        def found():
            hits = self.events(name, **fields)
            if len(hits) < count:
                assert self.running, f"waiting for {name}: {self.trouble()}"
            return hits if len(hits) >= count else None
        hits = wait_until(found, timeout, f"log event {name} {fields}")
        return hits if count > 1 else hits[-1]

    # ---- command line against the running engine ----

    def queue(self, *args, check=True):
        """`ringpost queue … --json`: the list of its lines."""
        done = run("queue", *args, "--json", "--socket", self.socket)
        assert not check or done.returncode == 0, done
        return [json.loads(line) for line in done.stdout.splitlines()]

    def stats(self):
        return self.queue("stats")[0]

    def counters(self):
        """The counters of P2, and `queued`."""
        stats = self.stats()
        names = ("accepted", "delivered", "bounced", "expired", "cancelled", "queued")
        found = stats.get("recipients", stats)
        return {name: found[name] for name in names}

    def wait_empty(self, timeout=15):
        """Until nothing is queued; the sum of P2 is checked each time it is read."""
        def empty():
            c = self.counters()
            check_sum(c)
            return c if c["queued"] == 0 else None
        return wait_until(empty, timeout, "an empty queue", interval=0.1)

    def wait_durable(self, timeout=10):
        """Until what has been decided is on disk: results may wait some milliseconds for company."""
        seen = [None, time.monotonic()]

        def still():
            commits = self.stats()["spool"]["commits"]
            if commits != seen[0]:
                seen[:] = [commits, time.monotonic()]
            return time.monotonic() - seen[1] > 0.2
        wait_until(still, timeout, "commits at rest", interval=0.05)

    def memory(self, field="VmRSS"):
        """Bytes, of /proc/PID/status."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            for line in f:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
        raise KeyError(field)

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def check_sum(c):
    """P2."""
    ended = c["delivered"] + c["bounced"] + c["expired"] + c["cancelled"]
    assert c["accepted"] == ended + c["queued"], c
