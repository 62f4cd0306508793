# SPDX-License-Identifier: GPL-3.0-or-later
"""What every row of ./dev bench uses: servers that are started and stopped, runs through them, medians of
interleaved rounds, tables. A line with a lost, doubled or refused message is not printed: it says why."""
import fcntl
import json
import os
import resource
import signal
import statistics
import subprocess
import tempfile
import time

from load import Failed, Sink, Source, Unavailable
from meters import Disk, PeakMemory
from rivals import Exim, Haraka, need
from servers import Postfix, Ringpost, ROOT

PATIENCE_S = 60
ORDER = ('Ringpost', 'Postfix', 'Exim', 'Haraka')
SUMMED = ('lost', 'dup', 'not_accepted')


def reachable(folder):
    """Other servers' own users must be able to enter every folder above."""
    while folder != '/':
        if not os.stat(folder).st_mode & 0o001:
            return False
        folder = os.path.dirname(folder)
    return True


def work_folder(wanted):
    folder = os.path.abspath(wanted or f'{ROOT}/var/bench')
    os.makedirs(folder, exist_ok=True)
    if not reachable(folder):
        if wanted:
            raise Failed(f'{folder}: other users must be able to reach it (Postfix runs as its own)')
        folder = tempfile.mkdtemp(prefix='ringpost-bench-', dir='/var/tmp')
        os.chmod(folder, 0o755)
    return folder


def fd_limit():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def median(cells):
    """One line from the rounds: numbers are medians, what must be 0 is the sum."""
    line = dict(cells[0])
    for key, value in line.items():
        values = [cell[key] for cell in cells]
        if key in SUMMED:
            line[key] = sum(values)
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and None not in values:
            line[key] = type(value)(statistics.median(values))
    line['rounds'] = len(cells)
    line['CPU us of rounds'] = [cell.get('CPU us') for cell in cells]
    return line


def text_of(value):
    if value is None:
        return '-'
    if isinstance(value, float):
        return f'{value:.{0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2}f}'
    return str(value)


def print_line(line, columns):
    cells = []
    for name, width in columns:
        text = text_of(line.get(name))
        cells.append(f'{text:<{width}}' if name in ('server', 'what') else f'{text:>{width}}')
    print(''.join(cells), flush=True)


def heading(columns):
    print_line({name: name for name, _ in columns}, columns)


class Bench:
    def __init__(self, o):
        self.o = o
        self.bench = os.environ.get('RINGPOST_BENCH_BIN', f'{ROOT}/build/ringpost-bench')
        self.engine = os.environ.get('RINGPOST_BIN', f'{ROOT}/build/ringpost')
        for program in (self.bench, self.engine):
            if not os.access(program, os.X_OK):
                raise Failed(f'no {program}: run ./dev build')
        self.server_cores, self.load_cores = ({0}, {1}) if o.pin else (None, None)
        self.folder = work_folder(o.dir)
        self.lock = open(f'{self.folder}/lock', 'w', encoding='ascii')  # until the process ends
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Failed(f'another ./dev bench is at work in {self.folder}: use --dir') from None
        self.refused = []  # what was not printed, and why
        self.absent = {}   # server -> why
        self.sink = None
        # The engine and the holder of 10,000 sessions need the hard limit.
        resource.setrlimit(resource.RLIMIT_NOFILE, (fd_limit(), fd_limit()))

    def open(self):
        self.sink = Sink(self.bench, self.load_cores)

    def close(self):
        if self.sink:
            self.sink.close()

    # ---- servers ----

    def make(self, name, sink, settings=(), routes=()):
        """A server whose next hop is the sink, or for each (domain, address) of routes that."""
        if name == 'Ringpost':
            return Ringpost(self.folder, sink.port, self.server_cores, self.engine,
                            [*self.o.set, *settings], routed=bool(routes))
        kind = {'Postfix': Postfix, 'Exim': Exim, 'Haraka': Haraka}[name]
        need(kind)
        if name == 'Postfix':
            return Postfix(self.folder, sink.port, self.server_cores, settings=settings, routes=routes)
        return kind(self.folder, sink.port, self.server_cores, routes=routes)

    def names(self, wanted=ORDER):
        """Those of `wanted` that were asked for and can run here."""
        found = []
        for name in wanted:
            kind = {'Postfix': Postfix, 'Exim': Exim, 'Haraka': Haraka}.get(name)
            if name not in self.o.servers:
                continue
            why = kind.missing() if kind else None
            if why:
                if name not in self.absent:
                    print(f'without {name}: {why}')
                self.absent[name] = why
            else:
                found.append(name)
        return found

    @staticmethod
    def with_server(make, work):
        server = make()
        try:
            return work(server.start())
        finally:
            server.stop()

    # ---- runs ----

    def send(self, server, sink, messages, *load):
        """One run; the source's report and what the sink saw of it."""
        source = Source(self.bench, server.port, self.load_cores, '--messages', messages, '--timeout', PATIENCE_S,
                        *self.o.load, *load)
        try:
            sent = source.report()
        finally:
            source.close()
        seen = sink.wait(sent['run'], sent['accepted_recipients'], PATIENCE_S, server.alive)
        return sent, seen

    def send_some(self, server, sink, messages, domains, *load):
        """The same where only recipients of the first `domains` of --domains ever come to the sink: also how many
        those are."""
        source = Source(self.bench, server.port, self.load_cores, '--messages', messages, '--timeout', PATIENCE_S,
                        *self.o.load, *load)
        try:
            sent = source.report()
        finally:
            source.close()
        spread = int(load[load.index('--domains') + 1])
        expected = sum(1 for n in range(messages) if n % spread < domains)
        sink.wait(sent['run'], expected, PATIENCE_S, server.alive)
        return sent, sink.run(sent['run']), expected

    @staticmethod
    def settle(server, patience_s=5):
        """Until it rests: what a start costs (segments made ahead, processes, compiling) is no message's."""
        until = time.monotonic() + patience_s
        cpu = server.group.cpu_us()
        while time.monotonic() < until:
            time.sleep(0.3)
            now = server.group.cpu_us()
            if now - cpu < 3000:  # of 300,000 us
                return
            cpu = now

    def cell(self, server, size, sessions, sink=None, load=(), least=200):
        """A warm-up, then as many messages as fit the time."""
        load = ('--size', size, '--sessions', sessions, *load)
        sink = sink or self.sink
        warm, came = self.send(server, sink, max(least // 2, 2 * sessions if sessions > 1 else 1),
                               *load)
        rate = warm['accepted'] * 1e6 / max(1000, came['last_us'] - warm['start_us'])
        messages = int(min(400000, max(least, 5 * sessions if sessions > 1 else 1, rate * self.o.seconds)))
        self.settle(server)
        disk, peak = Disk(self.folder), PeakMemory(server.group)
        wrote, cpu = disk.written(), server.group.cpu_us()
        sent, seen = self.send(server, sink, messages, *load)
        cpu = server.group.cpu_us() - cpu
        wrote = None if wrote is None else disk.written() - wrote
        seen = sink.run(sent['run'])  # once more: a duplicate may come last
        n = max(1, sent['accepted'])
        return {
            'server': server.name, 'size': size, 'sess': sessions, 'msgs': sent['accepted'],
            'in/s': sent['per_second'],
            'end/s': seen['unique'] * 1e6 / max(1, seen['last_us'] - sent['start_us']),
            'CPU us': cpu / n, 'CPU us/rcpt': cpu / max(1, seen['unique']),
            'KB disk': None if wrote is None else wrote / n / 1024, 'peak MB': peak.stop() / 2**20,
            '250 p50': sent['dot_to_250_us']['p50'] / 1000, '250 p99': sent['dot_to_250_us']['p99'] / 1000,
            'e2e p50': seen['end_to_end_us']['p50'] / 1000, 'e2e p99': seen['end_to_end_us']['p99'] / 1000,
            'lost': sent['accepted_recipients'] - seen['unique'], 'dup': seen['duplicates'],
            'not_accepted': messages - sent['accepted'] + sent['refused_recipients'], 'codes': sent['codes'],
            'connections': sent['connections'], 'secured': sent['secured'], 'protocol': sent.get('tls'),
        }

    def rounds(self, names, measure, count=None):
        """measure(name) -> a cell, once per server and round, in turn and in alternating order. The medians;
        a server that cannot be measured is left out and says why."""
        cells = {name: [] for name in names}
        for turn in range(count or self.o.rounds):
            for name in list(cells) if turn % 2 == 0 else list(reversed(cells)):
                try:
                    cells[name].append(measure(name))
                except Failed as why:
                    if name == 'Ringpost':
                        raise
                    self.refuse(name, f'not measured: {why}')
                    del cells[name]
        return [median(cells[name]) for name in cells]

    # ---- lines ----

    def refuse(self, what, why):
        self.refused.append(f'{what}: {why}')
        print(f'  NO FIGURES for {what}: {why}', flush=True)

    def sound(self, line):
        """Whether the line may be printed."""
        wrong = {key: line[key] for key in SUMMED if line.get(key)}
        if wrong:
            what = ' '.join(str(line[k]) for k in ('server', 'what', 'size', 'sess') if k in line)
            codes = json.dumps(line['codes']) if line.get('codes') else ''
            self.refuse(what, ', '.join(f'{key} {value}' for key, value in wrong.items()) + ' ' + codes)
        return not wrong

    def show(self, lines, columns):
        """Prints the sound ones and returns them."""
        good = [line for line in lines if self.sound(line)]
        for line in good:
            print_line(line, columns)
        return good

    def ratio(self, lines, key='CPU us'):
        """How often the CPU of Ringpost the others need, as text."""
        own = [line[key] for line in lines if line['server'] == 'Ringpost']
        if own and own[0] > 0 and len(lines) > 1:
            print(' ' * 4 + 'CPU of Ringpost, times: ' + ', '.join(
                f'{line["server"]} {line[key] / own[0]:.1f}' for line in lines if line['server'] != 'Ringpost'))

    def call(self, *words):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f'{" ".join(words)}: {done.stderr}')
        return done.stdout

    def hold(self, server, count, *load):
        """Idle sessions: KB each, us to open one, ms CPU in 2 s."""
        before, cpu_before = server.group.pss_bytes(), server.group.cpu_us()
        source = Source(self.bench, server.port, self.load_cores, '--hold', '--sessions', count,
                        '--keep-going', *load)
        try:
            signal.alarm(120)
            held = source.report()['held']
            signal.alarm(0)
            time.sleep(1)
            each = (server.group.pss_bytes() - before) / held / 1024
            opening = (server.group.cpu_us() - cpu_before) / held
            cpu = server.group.cpu_us()
            time.sleep(2)
            used = (server.group.cpu_us() - cpu) / 1000
        finally:
            signal.alarm(0)
            source.close()
        return {'server': server.name, 'sessions': held, 'KB each': each, 'us to open': opening,
                'idle ms in 2s': used, 'lost': 0, 'dup': 0, 'not_accepted': count - held}


__all__ = ['Bench', 'Failed', 'Unavailable', 'heading', 'print_line', 'text_of', 'fd_limit', 'ORDER']
