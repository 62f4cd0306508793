# SPDX-License-Identifier: GPL-3.0-or-later
"""(h) the two back ends of core/io beside each other: what a container that blocks io_uring costs."""


class BackEnds:
    """(h) Ringpost over persistent connections: io.backend uring beside epoll"""

    group = 'backends'
    columns = (('server', 9), ('size', 6), ('sess', 5), ('msgs', 7), ('in/s', 8), ('end/s', 8), ('CPU us', 8),
               ('KB disk', 8), ('peak MB', 8), ('250 p50', 8), ('250 p99', 8), ('e2e p50', 8), ('lost', 5), ('dup', 4))
    key = 'CPU us'
    NAMES = ('uring', 'epoll')

    def __init__(self, size, sessions):
        self.size, self.sessions = size, sessions
        self.name = f'backends-{size.lower()}-{sessions}'
        self.about = f'{size} messages over {sessions} inbound connections on io_uring and on epoll'

    def cell(self, bench, name):
        """The line is named by its back end; the engine would not start if it were another."""
        line = bench.with_server(
            lambda: bench.make('Ringpost', bench.sink, (f'io.backend={name}',)),
            lambda server: bench.cell(server, self.size, self.sessions))
        return {**line, 'server': name}

    def run(self, bench):
        good = bench.show(bench.rounds(self.NAMES, lambda name: self.cell(bench, name)), self.columns)
        cpu = {line['server']: line['CPU us'] for line in good}
        if len(cpu) == len(self.NAMES) and cpu['uring'] > 0:
            print(' ' * 4 + f'CPU of uring, times: epoll {cpu["epoll"] / cpu["uring"]:.2f}')
        return good
