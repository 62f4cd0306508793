# SPDX-License-Identifier: GPL-3.0-or-later
"""(j) thousands of connections that are slow or idle: what they cost, and whether a new client notices."""
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time

from load import Failed, Source, stop
from servers import ROOT

IDLE = SLOW = 10000
EVERY_S = 10          # a slow connection's bytes
SPARE = 150           # descriptors of a server beside its clients'
FRESH = 200           # new clients that are measured
KB_MAX = {'plain': 8, 'TLS': 40}
MS_MAX = 50


def raise_descriptors(wanted):
    """The limit of this process and of what it starts; what there is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
        except (OSError, ValueError):
            return hard
    return hard


class Held:
    """holder.py as a process: connections that stay."""

    def __init__(self, port, kind, count, every=EVERY_S):
        self.kind, self.count = kind, count
        self.process = subprocess.Popen(
            [sys.executable, '-B', f'{ROOT}/bench/holder.py', str(port), kind, str(count), str(every)],
            stdout=subprocess.PIPE, text=True, start_new_session=True)

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f'the holder of {self.kind} connections ended')
        return json.loads(line)

    def wait(self):
        return self.line()['held']

    def end(self):
        """How many connections the server has closed in the meantime."""
        self.process.terminate()
        return self.line()['closed']

    def close(self):
        stop(self.process)
        self.process.stdout.close()


def fresh(port, number):
    """A new client from an address of its own: seconds to the greeting, and to the 250 of a small message."""
    began = time.perf_counter()
    with socket.socket() as s:
        s.bind((f'127.0.3.{1 + number % 250}', 0))
        s.settimeout(30)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.connect(('127.0.0.1', port))
        stream = s.makefile('rb')

        def answer(code):
            line = stream.readline()
            while line[3:4] == b'-':
                line = stream.readline()
            if not line.startswith(code):
                raise Failed(f'a new client hears {line!r}, not {code.decode()}')
        answer(b'220')
        greeted = time.perf_counter() - began
        for say, code in ((b'EHLO fresh.example.test\r\n', b'250'), (b'MAIL FROM:<a@example.test>\r\n', b'250'),
                          (b'RCPT TO:<b@example.test>\r\n', b'250'), (b'DATA\r\n', b'354'),
                          (b'Subject: fresh\r\n\r\nfresh\r\n.\r\n', b'250')):
            s.sendall(say)
            answer(code)
        return greeted, time.perf_counter() - began


def latency(port, count=FRESH):
    """Milliseconds: p50 and p99 to the greeting, then to the 250."""
    times = [fresh(port, i) for i in range(count)]
    out = []
    for values in zip(*times):
        cuts = statistics.quantiles(values, n=100)
        out += [cuts[49] * 1000, cuts[98] * 1000]
    return out


class Crowd:
    """(j) 10,000 idle connections and 10,000 slow ones (a byte in 10 s: half within a command, half within a message;
    under TLS: within the handshake). KB each: PSS, without kernel sockets. New clients, in ms: to the greeting, to the
    250 of a message, before and among them."""

    name = group = 'crowd'
    about = '10,000 idle and 10,000 slow connections: memory, and what a new client feels'
    columns = (('server', 9), ('idle', 7), ('slow', 7), ('KB each', 9), ('CPU %', 7), ('220 before', 11), ('220 p50', 9),
               ('220 p99', 9), ('250 before', 11), ('250 p50', 9), ('250 p99', 9), ('cut', 5))
    key = 'KB each'

    def __init__(self, idle=IDLE, slow=SLOW):
        self.idle, self.slow = idle, slow

    def _counts(self):
        limit = raise_descriptors(self.idle + self.slow + 4 * SPARE)
        share = min(1.0, (limit - SPARE) / (self.idle + self.slow))
        return int(self.idle * share), int(self.slow * share)

    def _settings(self, bench, what):
        settings = ['limits.connections=30000', 'limits.connections_per_ip=30000']
        if what == 'TLS':
            # What stalls within the handshake is cut after 30 s (and a byte in 10 s never gets far).
            settings += ['listeners.0.tls=may', f'tls.cert_file={bench.folder}/crowd-cert.pem',
                         f'tls.key_file={bench.folder}/crowd-key.pem', 'listeners.1.address=127.0.0.1',
                         f'listeners.1.port={self.secure_port}', 'listeners.1.tls=implicit']
            bench.call('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
                       '-nodes', '-days', '2', '-subj', '/CN=relay.example.test', '-keyout',
                       f'{bench.folder}/crowd-key.pem', '-out', f'{bench.folder}/crowd-cert.pem')
        return settings

    def _fill(self, bench, server, what, idle, slow):
        """Starts the holders; they and how many connections they hold."""
        if what == 'TLS':
            source = Source(bench.bench, server.port, bench.load_cores, '--hold', '--sessions', idle, '--keep-going',
                            '--starttls')
            held = source.report()['held']
            holders = [Held(self.secure_port, 'handshake', slow)]
        else:
            source, held = None, 0
            holders = [Held(server.port, 'idle', idle), Held(server.port, 'command', slow // 2),
                       Held(server.port, 'data', slow - slow // 2)]
        return source, holders, [held, *(h.wait() for h in holders)]

    def once(self, bench, server, what):
        idle, slow = self._counts()
        before = latency(server.port)
        memory = server.group.pss_bytes()
        source, holders = None, []
        signal.alarm(180)
        try:
            source, holders, held = self._fill(bench, server, what, idle, slow)
            signal.alarm(0)
            each = (server.group.pss_bytes() - memory) / max(1, sum(held)) / 1024
            cpu, began = server.group.cpu_us(), time.monotonic()
            during = latency(server.port)
            time.sleep(max(0.0, 3 - (time.monotonic() - began)))
            used = (server.group.cpu_us() - cpu) / (time.monotonic() - began) / 1e4
            cut = sum(h.end() for h in holders)
        finally:
            signal.alarm(0)
            for holder in [*holders, *([source] if source else [])]:
                holder.close()
        return {'server': what, 'idle': idle, 'slow': slow, 'KB each': each, 'CPU %': used, '220 before': before[1],
                '220 p50': during[0], '220 p99': during[1], '250 before': before[3], '250 p50': during[2],
                '250 p99': during[3], 'cut': cut, 'lost': 0, 'dup': 0, 'not_accepted': idle + slow - sum(held)}

    def measure(self, bench, what):
        from servers import free_port
        self.secure_port = free_port()
        return bench.with_server(lambda: bench.make('Ringpost', bench.sink, self._settings(bench, what)),
                                 lambda server: self.once(bench, server, what))

    def run(self, bench):
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            good = bench.show(bench.rounds(tuple(KB_MAX), lambda what: self.measure(bench, what), count=1), self.columns)
        finally:
            if os.geteuid() == 0:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for line in good:
            met = line['KB each'] <= KB_MAX[line['server']] and line['220 p99'] < MS_MAX
            print(f'    {line["server"]}: the aim, at most {KB_MAX[line["server"]]} KB each and a greeting within '
                  f'{MS_MAX} ms (p99), is {"met" if met else "MISSED"}')
        return good
