# SPDX-License-Identifier: GPL-3.0-or-later
"""(e) a few urgent messages behind a backlog of bulk ones to the same site."""
import time

from load import Failed, Sink, Source

RTT_MS = 50
URGENT, RATE = 100, 20
# A backlog that lasts longer than the urgent messages take, at 4/RTT and at 1/(3 RTT) per connection.
BULK = {'Ringpost': 4000, 'Postfix': 500}
CONNECTIONS = 5


class Urgent:
    """(e) 100 urgent messages at 20/s while bulk ones wait for the same site: 5 connections, a round trip of 50 ms.
    End-to-end in ms, and as round trips. Only Ringpost knows classes; the others show what their order does."""

    name = group = 'urgent'
    about = 'urgent messages behind a backlog of bulk ones'
    columns = (('server', 9), ('bulk left', 10), ('urgent', 7), ('p50', 8), ('p99', 8), ('p99 RTT', 8),
               ('bulk p50', 9), ('lost', 5), ('dup', 4))
    key = 'p99'
    FIELD = 'X-Ringpost-Priority: '

    def _source(self, bench, server, messages, word, *load):
        return Source(bench.bench, server.port, bench.load_cores, '--messages', messages, '--header',
                      self.FIELD + word, *bench.o.load, *load)

    def _settings(self, name):
        return [f'delivery.connections_per_site={CONNECTIONS}'] if name == 'Ringpost' else [
            f'smtp_destination_concurrency_limit={CONNECTIONS}', f'initial_destination_concurrency={CONNECTIONS}']

    def once(self, bench, sink, server):
        backlog = BULK[server.name]
        bulk = self._source(bench, server, backlog, 'bulk', '--sessions', '20')
        try:
            pushed = bulk.report()
        finally:
            bulk.close()
        left = pushed['accepted'] - sink.run(pushed['run'])['unique']
        urgent = self._source(bench, server, URGENT, 'urgent', '--sessions', '2', '--rate', str(RATE))
        try:
            sent = urgent.report()
        finally:
            urgent.close()
        waited = pushed['accepted'] - sink.run(pushed['run'])['unique']
        seen = sink.wait(sent['run'], sent['accepted'], 60, server.alive)
        if waited == 0 and seen['unique'] == sent['accepted']:
            raise Failed('the backlog was gone before the urgent messages were: the line would say nothing')
        rest = sink.wait(pushed['run'], pushed['accepted'], 60, server.alive)
        time.sleep(0.1)
        seen, rest = sink.run(sent['run']), sink.run(pushed['run'])
        delay, slow = seen['end_to_end_us'], rest['end_to_end_us']
        return {'server': server.name, 'bulk left': left, 'urgent': sent['accepted'], 'p50': delay['p50'] / 1000,
                'p99': delay['p99'] / 1000, 'p99 RTT': delay['p99'] / 1000 / RTT_MS, 'bulk p50': slow['p50'] / 1000,
                'lost': sent['accepted'] + pushed['accepted'] - seen['unique'] - rest['unique'],
                'dup': seen['duplicates'] + rest['duplicates'],
                'not_accepted': URGENT + backlog - sent['accepted'] - pushed['accepted']}

    def run(self, bench):
        sink = Sink(bench.bench, bench.load_cores, '--delay', str(RTT_MS))
        try:
            lines = bench.rounds(bench.names(('Ringpost', 'Postfix')), lambda name: bench.with_server(
                lambda: bench.make(name, sink, settings=self._settings(name)),
                lambda server: self.once(bench, sink, server)))
        finally:
            sink.close()
        return bench.show(lines, self.columns)
