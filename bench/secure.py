# SPDX-License-Identifier: GPL-3.0-or-later
"""(f) (g) The part of ./dev bench that measures TLS and DKIM: the same relay with one thing more per line, so
that the column +us says what that thing costs per message."""
import json
import os

from load import Sink
from servers import OpenDkim, Postfix, PostfixOpenDkim, Ringpost

SIZE, SESSIONS = '1K', 20
IDLE_SESSIONS = {'Ringpost': 1000, 'Postfix': 100}  # Postfix has a process per session
COLUMNS = (('what', 27), ('server', 17), ('msgs', 7), ('in/s', 8), ('end/s', 8), ('CPU us', 8), ('+us', 8),
           ('250 p50', 8), ('250 p99', 8), ('e2e p50', 8), ('lost', 5), ('dup', 4))
SELECTOR, DOMAIN = 'bench', 'example.test'  # the source's From

# what, the row that +us refers to, what the servers do, the source's options
ROWS = (
    ('plain', None, 'plain', ()),
    ('STARTTLS in', 'plain', 'tls in', ('--starttls',)),
    ('plain, connection each', None, 'plain', ('--per-connection', '1')),
    ('STARTTLS in, each', 'plain, connection each', 'tls in', ('--starttls', '--per-connection', '1')),
    ('TLS out', 'plain', 'tls out', ()),
    ('DKIM RSA-2048', 'plain', 'rsa2048', ()),
    ('DKIM Ed25519', 'plain', 'ed25519', ()),
)
ALGORITHMS = {'rsa2048': 'rsa-sha256', 'ed25519': 'ed25519-sha256'}


class Secure:
    """(f) (g) TLS and DKIM, 1K, 20 sessions. +us: CPU above the plain line with as many connections. "each": a new
    connection for each message, full handshakes. CPU of Postfix for DKIM: with OpenDKIM."""

    name = group = 'secure'
    about = 'TLS in, TLS out with reuse, DKIM: Ringpost and Postfix (with OpenDKIM)'
    columns = COLUMNS
    key = 'CPU us'

    def __init__(self):
        self.bench = self.keys = None

    # ---- keys and servers ----

    def _dkim_key(self, kind):
        path = f'{self.keys}/{kind}.pem'
        if not os.path.exists(path):
            self.bench.call(self.bench.engine, 'dkim', 'keygen', DOMAIN, SELECTOR, '--type', kind, '-o', path)
        return path

    def _ringpost(self, kind, sink):
        settings = {
            'plain': lambda: [],
            'tls in': lambda: ['listeners.0.tls=may', f'tls.cert_file={self.keys}/cert.pem',
                               f'tls.key_file={self.keys}/key.pem'],
            'tls out': lambda: ['relay.tls=encrypt'],
        }.get(kind, lambda: [f'dkim.selector={SELECTOR}', f'dkim.key_file={self._dkim_key(kind)}'])()
        b = self.bench
        return Ringpost(b.folder, sink.port, b.server_cores, b.engine, [*b.o.set, *settings])

    def _postfix(self, kind, sink):
        b = self.bench
        if kind in ALGORITHMS:
            milter = OpenDkim(self._dkim_key(kind), DOMAIN, SELECTOR, ALGORITHMS[kind])
            return PostfixOpenDkim(b.folder, sink.port, b.server_cores, milter)
        settings = {
            'plain': [],
            'tls in': ['smtpd_tls_security_level=may',
                       f'smtpd_tls_chain_files={self.keys}/key.pem, {self.keys}/cert.pem'],
            # TLS_README "Client-side TLS connection reuse": without it each message has its own
            # handshake.
            'tls out': ['smtp_tls_security_level=encrypt', 'smtp_tls_connection_reuse=yes'],
        }[kind]
        return Postfix(b.folder, sink.port, b.server_cores, settings)

    def _make(self, name, kind, sink):
        return (self._ringpost if name == 'Ringpost' else self._postfix)(kind, sink)

    # ---- lines ----

    def _cell(self, name, kind, sink, load):
        def work(server):
            before = sink.totals()
            cell = self.bench.cell(server, SIZE, SESSIONS, sink=sink, load=load)
            cell['wrong'] = self._wrong(cell, kind, before, sink.totals())
            return cell
        return self.bench.with_server(lambda: self._make(name, kind, sink), work)

    @staticmethod
    def _wrong(cell, kind, before, after):
        """What a line is named after must have happened to every message of it; else what did not."""
        came = after['messages'] - before['messages']
        happened = {'tls in': ('connections in under TLS', cell['secured'], cell['connections']),
                    'tls out': ('messages out under TLS', after['secured'] - before['secured'], came)}
        if kind in ALGORITHMS:
            happened[kind] = ('messages signed', after['signed'] - before['signed'], came)
        what, seen, wanted = happened.get(kind, ('', 0, 0))
        return None if seen == wanted else f'{what}: {seen} of {wanted}'

    def _line(self, row, sinks, done):
        what, reference, kind, load = row
        lines = self.bench.rounds(self.bench.names(('Ringpost', 'Postfix')), lambda name: self._cell(
            name, kind, sinks[kind == 'tls out'], load))
        good = []
        for line in lines:
            line['what'] = what
            base = [r['CPU us'] for r in done
                    if (r['what'], r['server'].split('+')[0]) == (reference, line['server'].split('+')[0])]
            line['+us'] = line['CPU us'] - base[0] if base else None
            if line['wrong']:
                self.bench.refuse(f'{line["server"]} {what}', line['wrong'])
            else:
                good.append(line)
        return self.bench.show(good, COLUMNS)

    def _idle(self, sink):
        for name in self.bench.names(('Ringpost', 'Postfix')):
            held = self.bench.with_server(lambda: self._make(name, 'tls in', sink), lambda server: self.bench.hold(
                server, IDLE_SESSIONS[name], '--starttls'))
            print(f'  {name:9} {held["sessions"]} idle TLS sessions: {held["KB each"]:.2f} KB each (PSS, without '
                  f'kernel sockets), {held["us to open"]:.0f} us CPU to open one')

    def _handshakes(self):
        rates = json.loads(self.bench.call(self.bench.bench, 'handshake'))
        for key, r in rates.items():
            print(f'  {key}: {r["streams"]} full TLS 1.3 handshakes a second on one core (both ends), the bare '
                  f'library {r["library"]}: ratio {r["ratio"]:.2f}')

    def run(self, bench):
        self.bench, self.keys = bench, os.path.join(bench.folder, 'keys')
        os.makedirs(self.keys, exist_ok=True)
        os.chmod(self.keys, 0o755)
        bench.call(bench.bench, 'certificate', '--dir', self.keys)
        sinks = {False: bench.sink, True: Sink(bench.bench, bench.load_cores, '--starttls')}
        done = []
        try:
            for row in ROWS:
                done += self._line(row, sinks, done)
            used = {line['server']: line['protocol'] for line in done if line['protocol']}
            print('  negotiated: ' + ', '.join(f'{name} {tls}' for name, tls in used.items())
                  + '; certificate ECDSA P-256, no resumption')
            self._idle(sinks[False])
        finally:
            sinks[True].close()
        self._handshakes()
        return done
