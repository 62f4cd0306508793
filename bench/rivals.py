# SPDX-License-Identifier: GPL-3.0-or-later
"""Other people's servers beside Postfix, set up as relays in bulk; docs/bench/README.md says why so.

Each keeps what it accepted on disk before its 250: Exim and Haraka call fsync for each message. (OpenSMTPD
6.8 calls none at all, so it is not here.)
"""
import json
import os
import shutil

from load import Unavailable
from servers import ROOT, Server, tail


def peers():
    return os.environ.get('RINGPOST_PEERS', '')


class Exim(Server):
    """Debian's Exim as a private instance (tests/run_exim.sh): every message is delivered at once by a process
    of its own, the way Exim works unless told to queue."""

    name = 'Exim'
    TUNING = (
        'smtp_accept_max = 400',                   # default 20
        'smtp_connect_backlog = 500',              # default 20: connections beyond it hang
        'smtp_accept_max_per_connection = 0',      # default 1000, then 421
        'smtp_accept_queue_per_connection = 0',    # default 10: the 11th message waits for a queue run
        'split_spool_directory = true',            # spec 3.3: directories with many files
    )

    @staticmethod
    def missing():
        if os.geteuid() != 0:
            return 'Exim needs root'
        if not os.path.exists(f'{peers()}/exim4-daemon-light/.complete'):
            return 'no Exim unpacked (run: ./dev deps bench)'
        return None

    def __init__(self, folder, sink_port, cores, routes=()):
        super().__init__(folder, sink_port, cores)
        self.routes = f'{self.folder}/routes' if routes else None
        if routes:
            with open(self.routes, 'w', encoding='ascii') as file:
                file.writelines(f'{domain}: {address}\n' for domain, address in routes)

    def command(self):
        where = f'routes={self.routes}' if self.routes else f'relay=127.0.0.1:{self.sink_port}'
        return ['sh', f'{ROOT}/tests/run_exim.sh', self.folder, str(self.port), where, *self.TUNING]

    def more_output(self):
        return tail(f'{self.folder}/log/mainlog') + tail(f'{self.folder}/log/paniclog')


class Haraka(Server):
    """Haraka from npm: one process per core (its wiki, "Performance Tuning"), the shipped configuration, and a
    plugin of three hooks that lets loopback relay and names the next hop."""

    name = 'Haraka'
    CONFIG = {
        'outbound.ini': 'concurrency_max=1000\nenable_tls=false\ninet_prefer=v4\n',  # per process
        'plugins': 'bench\n', 'loglevel': 'LOGWARN\n', 'me': 'haraka.example.test\n',
    }
    PLUGIN = """'use strict'
const routes = %s
exports.hook_lookup_rdns = (next) => next(OK, 'localhost')
exports.hook_connect = (next, connection) => { connection.relaying = true; next() }
exports.hook_get_mx = (next, hmail, domain) => {
    const [exchange, port] = (routes[domain] || routes['']).split(':')
    next(OK, { priority: 0, exchange, port: Number(port) })
}
"""

    @staticmethod
    def package():
        return f'{peers()}/haraka/node_modules/Haraka'

    @staticmethod
    def missing():
        if not os.path.exists(f'{peers()}/haraka/.complete') or not shutil.which('node'):
            return 'no Haraka (./dev deps bench gets it from npm where node is 20 or newer and npm has all of it)'
        return None

    def __init__(self, folder, sink_port, cores, routes=()):
        super().__init__(folder, sink_port, cores)
        for name in ('config', 'plugins', 'queue'):
            os.makedirs(f'{self.folder}/{name}')
        for name in ('connection.ini',):  # without it no session is greeted
            shutil.copy(f'{self.package()}/config/{name}', f'{self.folder}/config/{name}')
        nodes = len(cores) if cores else os.cpu_count()
        files = {f'config/{name}': text for name, text in self.CONFIG.items()}
        files['config/smtp.ini'] = f'listen=127.0.0.1:{self.port}\nnodes={nodes}\n'
        files['plugins/bench.js'] = self.PLUGIN % json.dumps({'': f'127.0.0.1:{sink_port}', **dict(routes)})
        for name, text in files.items():
            with open(f'{self.folder}/{name}', 'w', encoding='ascii') as file:
                file.write(text)

    def command(self):
        return [shutil.which('node'), f'{self.package()}/bin/haraka', '-c', self.folder]


def version_of(name):
    """As the package says it, or None."""
    try:
        if name == 'Haraka':
            with open(f'{Haraka.package()}/package.json', encoding='utf-8') as file:
                return json.load(file)['version']
        package = {'Exim': 'exim4-daemon-light', 'Postfix': 'postfix', 'OpenDKIM': 'opendkim'}[name]
        with open(f'{peers()}/{package}/.complete', encoding='ascii') as file:
            return file.read().strip()
    except (OSError, KeyError, ValueError):
        return None


def need(kind):
    why = kind.missing()
    if why:
        raise Unavailable(why)
