# SPDX-License-Identifier: GPL-3.0-or-later
"""(i) more clients than there are places: what comes of it for the mail."""
import os
import signal
import time

from load import Failed, Source

PLACES = 50      # limits.connections
TIMES = (1, 2, 5, 10)
GOOD_PERCENT = 80
PERIOD_US, QUOTA_US = 10000, 2500


class Quota:
    """A quarter of a core for the server, whatever else runs: then the rest of this machine can ask for more
    than the server can do. Without a control group for it the server has what it gets."""

    V1, V2 = '/sys/fs/cgroup/cpu', '/sys/fs/cgroup'

    def __init__(self):
        self.folder = None
        v1 = os.path.exists(f'{self.V1}/cpu.shares')
        folder = f'{self.V1 if v1 else self.V2}/ringpost-bench-{os.getpid()}-quota'
        settings = {'cpu.cfs_period_us': PERIOD_US, 'cpu.cfs_quota_us': QUOTA_US, 'cpu.shares': 1 << 18} if v1 else {
            'cpu.max': f'{QUOTA_US} {PERIOD_US}'}
        try:
            os.mkdir(folder)
            self.folder = folder
            for name, value in settings.items():
                self._write(name, value)
        except OSError:
            self.close()

    def _write(self, name, value):
        with open(f'{self.folder}/{name}', 'w', encoding='ascii') as file:
            file.write(str(value))

    def take(self, server):
        if self.folder:
            for pid in server.group.pids():
                self._write('cgroup.procs', pid)

    def close(self):
        if self.folder:
            try:
                os.rmdir(self.folder)
            except OSError:
                pass
        self.folder = None


def difference(before, after, key):
    return after[key] - before[key]


class Overload:
    """(i) as many clients as there are places (50), and 2, 5, 10 times as many. Each sends one message per connection
    and comes again at once, 20 ms after a refusal. of peak: messages delivered, per second, beside the best line."""

    name = group = 'overload'
    about = '1, 2, 5 and 10 times as many clients as there are places: the messages that get through'
    columns = (('server', 9), ('clients', 8), ('msgs', 7), ('in/s', 8), ('end/s', 8), ('of peak', 8), ('421/s', 8),
               ('250 p50', 8), ('250 p99', 8), ('peak MB', 8), ('lost', 5), ('dup', 4))
    key = 'end/s'

    def __init__(self, places=PLACES, times=TIMES):
        self.places, self.times = places, times

    def _window(self, bench, source, seconds):
        """Two looks at a source and the sink, so far apart."""
        looks = []
        for wait in (min(1.0, seconds), seconds):
            time.sleep(wait)
            source.process.send_signal(signal.SIGUSR1)
            sent = source.report()
            looks.append((sent, bench.sink.run(sent['run']), time.monotonic()))
        return looks

    def once(self, bench, server, clients):
        from meters import PeakMemory
        peak = PeakMemory(server.group)
        source = Source(bench.bench, server.port, bench.load_cores, '--sessions', clients, '--messages', 10**9,
                        '--per-connection', 1, '--keep-going', *bench.o.load)
        try:
            before, after = self._window(bench, source, bench.o.seconds)
            source.process.terminate()
            sent = source.report()
        finally:
            source.close()
        bench.sink.wait(sent['run'], sent['accepted_recipients'], 60, server.alive)
        time.sleep(0.1)
        seen, took = bench.sink.run(sent['run']), after[2] - before[2]
        return {'clients': clients, 'msgs': sent['accepted'], 'in/s': difference(before[0], after[0], 'accepted') / took,
                'end/s': difference(before[1], after[1], 'unique') / took,
                '421/s': difference(before[0], after[0], 'connect_errors') / took,
                '250 p50': sent['dot_to_250_us']['p50'] / 1000, '250 p99': sent['dot_to_250_us']['p99'] / 1000,
                'peak MB': peak.stop() / 2**20, 'lost': sent['accepted_recipients'] - seen['unique'],
                'dup': seen['duplicates'],
                # Whoever was inside must be served; and none may be left without an answer.
                'not_accepted': sent['refused_4xx'] + sent['refused_5xx'] + sent['unknown'], 'codes': sent['codes']}

    def measure(self, bench, quota, times):
        settings = (f'limits.connections={self.places}', f'limits.connections_per_ip={self.places}0')

        def work(server):
            quota.take(server)
            return {'server': f'{times} x', **self.once(bench, server, self.places * times)}
        return bench.with_server(lambda: bench.make('Ringpost', bench.sink, settings), work)

    def lines(self, bench):
        quota = Quota()
        try:
            if not quota.folder:
                print('without a limit on the server\'s CPU: no control group can be made')
            lines = bench.rounds(self.times, lambda times: self.measure(bench, quota, times))
        finally:
            quota.close()
        best = max(line['end/s'] for line in lines)
        if not best:
            raise Failed('nothing was delivered')
        for line in lines:
            line['of peak'] = 100 * line['end/s'] / best
        return lines

    def run(self, bench):
        lines = self.lines(bench)
        good = bench.show(lines, self.columns)
        crowd = lines[-1]
        print(f'    {crowd["server"]}: {crowd["of peak"]:.0f} % of the peak; the aim, {GOOD_PERCENT} %, is '
              f'{"met" if crowd["of peak"] >= GOOD_PERCENT else "MISSED"}')
        return good
