# SPDX-License-Identifier: GPL-3.0-or-later
"""(d) 100 destinations, one a tarpit and one that says 4xx: what the other 98 feel of them."""
import sys

from load import Sink
from servers import ROOT, free_port

DOMAINS, SICK = 100, 2
SECONDS = 6


def address(i):
    return f'127.0.1.{1 + i}'


class World:
    """A sink on 98 addresses, a tarpit, a server that defers, and a name server that knows them."""

    def __init__(self, bench):
        self.port = free_port()
        well = ('--listen', f'{address(0)}:{self.port}', '--addresses', str(DOMAINS - SICK))
        tarpit, defers = (f'{address(i)}:{self.port}' for i in (DOMAINS - 2, DOMAINS - 1))
        self.parts = []
        try:
            self.sink = self._add(Sink(bench.bench, bench.load_cores, *well))
            self._add(Sink(bench.bench, bench.load_cores, '--listen', tarpit, *(
                word for stage in ('connect', 'ehlo', 'mail', 'rcpt', 'data', 'dot')
                for word in ('--latency', f'{stage}=20000'))))
            self._add(Sink(bench.bench, bench.load_cores, '--listen', defers, '--fail', 'rcpt=451:100'))
            sys.path.insert(0, f'{ROOT}/tests/e2e')
            from dnsserver import DnsServer
            zone = {}
            for i in range(DOMAINS):
                zone[f'example{i}.test'] = {'mx': [[10, f'mx.example{i}.test']]}
                zone[f'mx.example{i}.test'] = {'a': [address(i)]}
            self.dns = DnsServer(zone).start()
        except BaseException:
            self.close()
            raise
        self.settings = [f'dns.servers={self.dns.endpoint}', f'delivery.mx_port={self.port}',
                         'delivery.private_targets=allow']
        self.routes = [(f'example{i}.test', f'{address(i)}:{self.port}') for i in range(DOMAINS)]

    def _add(self, part):
        self.parts.append(part)
        return part

    def close(self):
        for part in self.parts:
            part.close()
        if hasattr(self, 'dns'):
            self.dns.close()


class Destinations:
    """(d) 100 destinations at a fixed rate, one a tarpit, one 4xx-ing: end-to-end p99 of the other 98 in ms, beside
    a run without the two."""

    group = 'destinations'
    columns = (('server', 9), ('per s', 6), ('msgs', 7), ('p50 without', 12), ('p50 with', 10), ('p99 without', 12),
               ('p99 with', 10), ('p99 ratio', 10), ('CPU us', 8), ('lost', 5), ('dup', 4))
    key = 'p99 ratio'

    def __init__(self, rate, names):
        self.rate, self.names, self.turn = rate, names, 0
        self.name = f'destinations-{rate}'
        self.about = f'{rate} messages/s to 98 destinations, a tarpit and one that defers ({", ".join(names)})'

    @staticmethod
    def once(bench, world, server, rate, domains):
        """A run; expected are those of the well 98."""
        server.patience_s = 1  # the tarpit would have the last word
        count = rate * SECONDS * domains // DOMAINS // domains * domains  # whole turns of the domains
        load = ('--size', '1K', '--sessions', '4', '--domains', domains)
        # Names, connections and processes are there before.
        bench.send_some(server, world.sink, domains * 2, DOMAINS - SICK, *load)
        cpu = server.group.cpu_us()
        sent, seen, expected = bench.send_some(server, world.sink, count, DOMAINS - SICK, *load, '--rate',
                                               max(1, rate * domains // DOMAINS))
        cpu = server.group.cpu_us() - cpu
        return {'sent': sent, 'seen': seen, 'lost': expected - seen['unique'], 'dup': seen['duplicates'],
                'not_accepted': count - sent['accepted'], 'cpu': cpu / max(1, sent['accepted'])}

    def cell(self, bench, world, name):
        runs = {}
        self.turn += 1
        for domains in (DOMAINS - SICK, DOMAINS)[::1 if self.turn % 2 else -1]:
            runs[domains] = bench.with_server(
                lambda: bench.make(name, world.sink, settings=world.settings if name == 'Ringpost' else (),
                                   routes=world.routes),
                lambda server, d=domains: self.once(bench, world, server, self.rate, d))
        without, beside = (runs[n]['seen']['end_to_end_us'] for n in (DOMAINS - SICK, DOMAINS))
        return {'server': name, 'per s': self.rate, 'msgs': runs[DOMAINS]['seen']['unique'],
                'p50 without': without['p50'] / 1000, 'p50 with': beside['p50'] / 1000,
                'p99 without': without['p99'] / 1000, 'p99 with': beside['p99'] / 1000,
                'p99 ratio': beside['p99'] / max(1, without['p99']), 'CPU us': runs[DOMAINS]['cpu'],
                **{key: sum(run[key] for run in runs.values()) for key in ('lost', 'dup', 'not_accepted')}}

    def run(self, bench):
        world = World(bench)
        try:
            lines = bench.rounds(bench.names(self.names), lambda name: self.cell(bench, world, name))
        finally:
            world.close()
        for line in lines:
            # Of the medians, not the median of ratios.
            line['p99 ratio'] = line['p99 with'] / max(0.001, line['p99 without'])
        return bench.show(lines, self.columns)
