# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators' verbs take on a queue of many messages that wait (./dev bench queue --verbs).

Of each verb the whole command is timed: the process, the engine's walk, and for what changes something until the
last record is durable. `stop`: everything is due and is being delivered; how long after the command's beginning
the last message arrives at the sink.
"""
import json
import subprocess
import threading
import time

from load import Failed, Sink

DOMAINS = 1000   # the messages are spread evenly over so many
ORDERS = [       # (name, arguments); one domain is a thousandth of the queue
    ('count, one domain', ['hold', '--domain', 'host7.example', '--dry-run']),
    ('hold, one domain', ['hold', '--domain', 'host7.example']),
    ('release, one domain', ['release', '--domain', 'host7.example']),
    ('route, one domain', ['route', '--domain', 'host8.example', '--to', '127.0.0.1:9']),
    ('bounce, one domain', ['bounce', '--domain', 'host9.example', '--no-report']),
    ('delete, one domain', ['delete', '--domain', 'host10.example']),
    ('delete, one sender', ['delete', '--sender', 'bounce-0000012@list.example.org']),
    ('delete, one recipient', ['delete', '--recipient', 'reader0000013@host13.example']),
    ('delete, no such tenant', ['delete', '--tenant', 'nobody']),
]
LAST = [         # of everything
    ('count, all', ['hold', '--all', '--dry-run']),
    ('hold, all', ['hold', '--all']),
    ('delete, all', ['delete', '--all']),
]


class Verbs:
    def __init__(self, binary, socket):
        self.binary, self.socket = binary, socket

    def run(self, *words):
        began = time.monotonic()
        done = subprocess.run([self.binary, *words, '--json', '--socket', self.socket], capture_output=True,
                              text=True, check=False)
        took = time.monotonic() - began
        if done.returncode:
            raise Failed(f'{" ".join(words)}: {done.stderr}')
        return took, [json.loads(line) for line in done.stdout.splitlines()]

    def order(self, name, words):
        took, lines = self.run('queue', *words)
        return {'verb': name, 's': took, 'recipients': lines[-1]['recipients']}

    def some_id(self):
        _, lines = self.run('queue', 'ls', '--limit', '1')
        return lines[0]['id']

    def all(self):
        rows = [self.order('delete, one id', ['delete', '--id', self.some_id()])]
        rows += [self.order(name, words) for name, words in ORDERS]
        took, lines = self.run('suspend', 'host11.example')
        rows.append({'verb': 'suspend, one domain', 's': took, 'recipients': lines[-1]['recipients']})
        return rows + [self.order(name, words) for name, words in LAST]


class Arrivals(threading.Thread):
    """When the sink had how many."""

    def __init__(self, sink):
        super().__init__(daemon=True)
        self.sink, self.going, self.seen, self.changed = sink, True, 0, 0.0

    def run(self):
        while self.going:
            count = self.sink.totals()['messages']
            if count != self.seen:
                self.seen, self.changed = count, time.monotonic()
            time.sleep(0.01)


def stops(bench, start, words):
    """start(port): an engine with everything due. Returns the row of one verb."""
    sink = Sink(bench, None)
    arrivals, engine = Arrivals(sink), None
    try:
        engine = start(sink.port)
        arrivals.start()
        until = time.monotonic() + 120
        while arrivals.seen < 1000:
            if time.monotonic() > until:
                raise Failed('nothing is delivered')
            time.sleep(0.01)
        verbs = Verbs(engine.binary, engine.socket)
        began = time.monotonic()
        took, lines = verbs.run(*words)
        time.sleep(1)
        return {'verb': 'stop: ' + ' '.join(words), 's': max(0.0, arrivals.changed - began), 'all_s': took,
                'recipients': lines[-1]['recipients']}
    finally:
        arrivals.going = False
        if arrivals.is_alive():
            arrivals.join()
        if engine:
            engine.stop()
        sink.close()


def show(rows):
    print(f'{"verb":<28} {"s":>7} {"recipients":>10}  {"whole s":>7}')
    for row in rows:
        whole = f'{row["all_s"]:>7.2f}' if 'all_s' in row else ''
        print(f'{row["verb"]:<28} {row["s"]:>7.3f} {row["recipients"]:>10}  {whole}', flush=True)
