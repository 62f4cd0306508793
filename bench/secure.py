# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of ./dev bench that measures TLS and DKIM: the same relay with one thing more per row, so
that the column +us says what that thing costs per message."""
import json
import os
import subprocess

from load import Failed, Sink, Unavailable
from servers import OpenDkim, Postfix, PostfixOpenDkim, Ringpost

SIZE, SESSIONS = '1K', 20
IDLE_SESSIONS = {'Ringpost': 1000, 'Postfix': 100}
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
    """bench: the whole comparison, whose cells, rows and settings are used."""

    def __init__(self, bench, names):
        self.bench, self.names = bench, names
        self.keys = os.path.join(bench.folder, 'keys')
        self.trouble = []

    # ---- keys and servers ----

    def _call(self, *words):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f'{" ".join(words)}: {done.stderr}')
        return done.stdout

    def _dkim_key(self, kind):
        path = f'{self.keys}/{kind}.pem'
        if not os.path.exists(path):
            self._call(self.bench.engine, 'dkim', 'keygen', DOMAIN, SELECTOR, '--type', kind, '-o', path)
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

    # ---- rows ----

    def _row(self, name, row, sinks):
        what, reference, kind, load = row
        sink = sinks[kind == 'tls out']
        make = self._ringpost if name == 'Ringpost' else self._postfix

        def work(server):
            before = sink.totals()
            cell = self.bench.cell(server, SIZE, SESSIONS, sink=sink, load=load)
            cell['what'] = what
            base = [r['CPU us'] for r in self.bench.rows
                    if (r.get('what'), r['server'].split('+')[0]) == (reference, name)]
            cell['+us'] = cell['CPU us'] - base[0] if base else None
            self.bench.show(cell, COLUMNS)
            self._check(cell, kind, before, sink.totals())
        try:
            self.bench.with_server(lambda: make(kind, sink), work)
        except Unavailable as why:
            print(f'{what:<27}Postfix+OpenDKIM: not measured: {why}')

    def _check(self, cell, kind, before, after):
        """What a row is named after must have happened to every message of it."""
        came = after['messages'] - before['messages']
        happened = {'tls in': ('connections in under TLS', cell['secured'], cell['connections']),
                    'tls out': ('messages out under TLS', after['secured'] - before['secured'], came)}
        if kind in ALGORITHMS:
            happened[kind] = ('messages signed', after['signed'] - before['signed'], came)
        if kind in happened:
            what, seen, wanted = happened[kind]
            if seen != wanted:
                self.trouble.append(f'{cell["server"]}, {cell["what"]}: {what}: {seen} of {wanted}')
                print(f'  WRONG: {self.trouble[-1]}')
            elif kind == 'tls in':
                cell['tls'] = cell['protocol']

    def _handshakes(self):
        rates = json.loads(self._call(self.bench.bench, 'handshake'))
        self.bench.extra.append({'server': 'tls/', 'what': 'handshakes', 'value': rates})
        for key, r in rates.items():
            print(f'  {key}: {r["streams"]} full TLS 1.3 handshakes a second on one core (both ends), the bare '
                  f'library {r["library"]}: ratio {r["ratio"]:.2f}')

    def _protocols(self):
        used = {r['server']: r['tls'] for r in self.bench.rows if r.get('tls')}
        if used:
            print('  negotiated: ' + ', '.join(f'{name} {tls}' for name, tls in used.items())
                  + '; certificate ECDSA P-256, no resumption')

    def measure(self):
        """False when something was not as its row says."""
        os.makedirs(self.keys, exist_ok=True)
        os.chmod(self.keys, 0o755)
        self._call(self.bench.bench, 'certificate', '--dir', self.keys)
        print(f'\nTLS and DKIM, {SIZE}, {SESSIONS} sessions. +us: CPU above the plain row with as many '
              'connections. CPU of\nPostfix+OpenDKIM: with the milter. "each": a new connection for each '
              'message, full handshakes.\n')
        self.bench.heading(COLUMNS)
        sinks = {False: self.bench.sink, True: Sink(self.bench.bench, self.bench.load_cores, '--starttls')}
        try:
            for row in ROWS:
                for name in self.names:
                    self._row(name, row, sinks)
        finally:
            sinks[True].close()
        print()
        self._protocols()
        for name in self.names:
            count = min(IDLE_SESSIONS[name], self.bench.o.idle)
            make = self._ringpost if name == 'Ringpost' else self._postfix
            if count > 0:
                self.bench.with_server(lambda: make('tls in', self.bench.sink), lambda server:
                                       self.bench.idle_sessions(server, count, '--starttls'))
        self._handshakes()
        return not self.trouble
