# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of ./dev bench: what each one measures. A new row is a class here or in a module of its own, and a
line in ROWS."""
import os
import time

from backends import BackEnds
from compare import fd_limit, heading
from crowd import Crowd
from destinations import Destinations
from latency import Latency
from load import Failed
from overload import Overload
from secure import Secure
from urgent import Urgent


class Row:
    """name: on the command line. group: the table it belongs to; columns: of that table."""

    name = group = about = ''
    columns = ()
    key = 'CPU us'  # what the picture shows

    def run(self, bench):
        """Prints its lines; returns those that may be shown."""
        raise NotImplementedError


class Relay(Row):
    """(a) source -> server -> sink over persistent connections."""

    group = 'relay'
    columns = (('server', 9), ('size', 6), ('sess', 5), ('msgs', 7), ('in/s', 8), ('end/s', 8), ('CPU us', 8),
               ('KB disk', 8), ('peak MB', 8), ('250 p50', 8), ('250 p99', 8), ('e2e p50', 8), ('lost', 5), ('dup', 4))

    def __init__(self, size, sessions, word='', *load):
        self.size, self.sessions, self.load = size, sessions, load
        self.name = f'relay-{size.lower()}-{sessions}{word}'
        self.about = (f'{size} messages over {sessions} inbound connection{"s" if sessions > 1 else ""}'
                      f'{" with " if load else ""}{" ".join(load)}')

    def run(self, bench):
        lines = bench.rounds(bench.names(), lambda name: bench.with_server(
            lambda: bench.make(name, bench.sink), lambda server: bench.cell(server, self.size, self.sessions,
                                                                               load=self.load)))
        good = bench.show(lines, self.columns)
        bench.ratio(good)
        return good


class Fanout(Row):
    """(c) one message, many recipients of many domains, one next hop."""

    name = group = 'fanout'
    about = '1 message x 1,000 recipients in 100 domains to one next hop'
    columns = (('server', 9), ('msgs', 6), ('in/s', 7), ('end/s', 7), ('CPU us', 9), ('CPU us/rcpt', 12),
               ('peak MB', 8), ('250 p50', 8), ('e2e p50', 9), ('e2e p99', 9), ('lost', 5), ('dup', 4))
    key = 'CPU us/rcpt'
    LOAD = ('--recipients', '1000', '--domains', '100')

    def run(self, bench):
        lines = bench.rounds(bench.names(), lambda name: bench.with_server(
            lambda: bench.make(name, bench.sink),
            lambda server: bench.cell(server, '1K', 1, load=self.LOAD, least=5)))
        good = bench.show(lines, self.columns)
        bench.ratio(good, self.key)
        return good


class Idle(Row):
    """What open sessions cost that say nothing."""

    name = group = 'idle'
    about = 'idle sessions: memory and CPU'
    columns = (('server', 9), ('sessions', 9), ('KB each', 9), ('us to open', 11), ('idle ms in 2s', 14))
    key = 'KB each'
    # Postfix and Exim have a process per session.
    COUNTS = {'Ringpost': 10000, 'Postfix': 100}

    def run(self, bench):
        lines = []
        for name in bench.names(tuple(self.COUNTS)):
            count = min(self.COUNTS[name], fd_limit() - 200)
            lines.append(bench.with_server(lambda: bench.make(name, bench.sink),
                                           lambda server: bench.hold(server, count)))
        return bench.show(lines, self.columns)


SIZES, SESSIONS = ('1K', '10K', '100K'), (1, 20, 100)
ROWS = [
    *(Relay(size, sessions) for size in SIZES for sessions in SESSIONS),
    # One connection that is kept full, where the server offers CHUNKING.
    Relay('1K', 1, '-bdat', '--bdat', '--in-flight', '16'),
    *(Latency(rtt_ms, chunking) for rtt_ms in (50, 200) for chunking in (False, True)),
    Fanout(),
    # Rates that each of them bears here.
    Destinations(100, ('Exim', 'Haraka')), Destinations(200, ('Ringpost', 'Postfix')),
    Destinations(3000, ('Ringpost',)),
    Urgent(), Secure(), Idle(), BackEnds('1K', 20), Overload(), Crowd(),
]


def choose(words):
    """By name, or by the beginning of it; all of them without words."""
    chosen = []
    for word in words or ['']:
        found = [row for row in ROWS if row.name == word] or [row for row in ROWS if row.name.startswith(word)]
        if not found:
            raise Failed(f'there is no row {word}: see --list')
        chosen += [row for row in found if row not in chosen]
    return chosen


def measure(bench, row, previous):
    """One row with what was around it."""

    if previous is None or previous.group != row.group:
        print(f'\n{row.group}: {type(row).__doc__.strip()}')
        heading(row.columns)
    load, started = os.getloadavg()[0], time.time()
    lines = row.run(bench)
    return {'name': row.name, 'group': row.group, 'about': row.about, 'columns': [c for c, _ in row.columns],
            'key': row.key, 'lines': lines, 'load': [round(load, 1), round(os.getloadavg()[0], 1)],
            'when': time.strftime('%Y-%m-%d %H:%M', time.gmtime(started)), 'took_s': round(time.time() - started)}
