# SPDX-License-Identifier: GPL-3.0-or-later
"""(b) a next hop that is far away and takes five connections: messages per second and connection against what the
round trip allows."""
import time

from load import Failed, Sink, Source
from rivals import need
from servers import Postfix

CONNECTIONS, WINDOW = 5, 4
SECONDS, EACH = 6, 60  # of round trips on each connection, at least
PATIENCE_S = 120


class Latency:
    """(b) five connections to a sink with a round trip: of 1/RTT (DATA), of window/RTT (BDAT)"""

    group = 'latency'
    columns = (('server', 10), ('RTT ms', 7), ('by', 6), ('msgs', 6), ('conns', 6), ('msg/s', 8), ('per conn', 9),
               ('of 1/RTT', 9), ('of 4/RTT', 9), ('lost', 5), ('dup', 4))
    key = 'per conn'

    def __init__(self, rtt_ms, chunking):
        self.rtt_ms, self.chunking = rtt_ms, chunking
        self.by = 'BDAT' if chunking else 'DATA'
        self.name = f'latency-{rtt_ms}-{self.by.lower()}'
        self.about = f'{rtt_ms} ms per reply, {CONNECTIONS} connections, {self.by}'

    def make(self, bench, name, sink):
        if name == 'Ringpost':
            return bench.make(name, sink, (f'delivery.connections_per_site={CONNECTIONS}',
                                           f'delivery.chunking_window={WINDOW}',
                                           'delivery.messages_per_connection=100000'))
        need(Postfix)
        return Postfix(bench.folder, sink.port, bench.server_cores,
                       (f'smtp_destination_concurrency_limit={CONNECTIONS}',
                        f'initial_destination_concurrency={CONNECTIONS}'))

    def drained(self, bench, server, sink, messages):
        """Sends them at once and watches them leave: the rate of the last three quarters, when all connections
        are up."""
        source = Source(bench.bench, server.port, bench.load_cores, '--messages', messages, '--sessions', 10,
                        '--timeout', PATIENCE_S, '--size', '1K', *bench.o.load)
        try:
            sent = source.report()
        finally:
            source.close()
        quarter, moved, seen = None, time.monotonic(), None
        while time.monotonic() - moved < PATIENCE_S and server.alive():
            now, entry = time.monotonic(), sink.run(sent['run'])
            if seen is None or entry['unique'] != seen['unique']:
                moved = now
            seen = entry
            if quarter is None and seen['unique'] >= messages / 4:
                quarter = (now, seen['unique'])
            if seen['unique'] >= sent['accepted_recipients']:
                break
            time.sleep(0.005)
        if quarter is None:
            raise Failed('nothing arrives')
        return sent, seen, (seen['unique'] - quarter[1]) / max(0.001, now - quarter[0])

    def cell(self, bench, name):
        offers = () if self.chunking else ('--no-chunking',)
        sink = Sink(bench.bench, bench.load_cores, '--delay', str(self.rtt_ms), '--connections-max',
                    str(CONNECTIONS), *offers)
        window = WINDOW if self.chunking and name == 'Ringpost' else 1
        messages = int(CONNECTIONS * window * max(EACH, 1000 / self.rtt_ms * SECONDS))
        try:
            sent, seen, rate = bench.with_server(lambda: self.make(bench, name, sink), lambda server: self.drained(
                bench, server, sink, messages))
            connections = sink.totals()['connections']
        finally:
            sink.close()
        alone = 1000 / self.rtt_ms
        return {'server': name, 'RTT ms': self.rtt_ms, 'by': self.by, 'what': self.by, 'msgs': sent['accepted'],
                'conns': connections, 'msg/s': rate, 'per conn': rate / CONNECTIONS,
                'of 1/RTT': rate / CONNECTIONS / alone,
                'of 4/RTT': rate / CONNECTIONS / alone / WINDOW, 'lost': sent['accepted_recipients'] - seen['unique'],
                'dup': seen['duplicates'], 'not_accepted': messages - sent['accepted'], 'codes': sent['codes']}

    def run(self, bench):
        # Postfix speaks no BDAT: where it is offered it does the same as where it is not.
        names = bench.names(('Ringpost',) if self.chunking else ('Ringpost', 'Postfix'))
        return bench.show(bench.rounds(names, lambda name: self.cell(bench, name)), self.columns)
