# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers that are compared, each as a relay on loopback with the sink as its next hop."""
import os
import shutil
import signal
import socket
import subprocess
import time

from load import Failed, Unavailable, stop
from meters import Group

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def greets(port):
    try:
        with socket.create_connection(('127.0.0.1', port), 2) as s:
            s.settimeout(10)
            greeting = s.recv(200)
            s.sendall(b'QUIT\r\n')
            s.recv(200)
            return greeting.startswith(b'220')
    except OSError:
        return False


def tail(path):
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            return ''.join(file.readlines()[-15:])
    except OSError:
        return ''


class Server:
    """A running server. Subclasses give name, command() and environment()."""

    name = ''

    def __init__(self, folder, sink_port, cores):
        self.folder = os.path.join(folder, self.name.lower())
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.sink_port, self.port, self.cores = sink_port, free_port(), cores
        self.group = Group(self.name.lower())
        self.output = os.path.join(self.folder, 'output')
        self.process = None
        self.patience_s = 20

    def _before_exec(self):
        self.group.enter()
        if self.cores:
            os.sched_setaffinity(0, self.cores)

    def start(self):
        with open(self.output, 'wb') as out:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                preexec_fn=self._before_exec, start_new_session=True)
        self.group.roots.append(self.process.pid)
        until = time.monotonic() + 30
        while not greets(self.port):
            if not self.alive() or time.monotonic() > until:
                text = tail(self.output) + self.more_output()
                self.stop()
                raise Failed(f'{self.name} does not answer on port {self.port}:\n{text}')
            time.sleep(0.05)
        return self

    def command(self):
        raise NotImplementedError

    def more_output(self):
        return ''

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        if self.process is None:
            self.group.remove()
            return
        mine = [pid for pid in self.group.pids() if pid != self.process.pid]
        stop(self.process, self.patience_s)
        for pid in mine:  # a master's children that did not follow it
            try:
                if pid in self.group.pids():
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.group.remove()
        self.process = None


class Ringpost(Server):
    name = 'Ringpost'

    def __init__(self, folder, sink_port, cores, binary, settings, routed=False):
        super().__init__(folder, sink_port, cores)
        self.binary = binary
        # routed: by MX, whose name server and port are in the settings.
        self.settings = [*settings] if routed else [f'relay.host=[127.0.0.1]:{sink_port}', *settings]

    def command(self):
        settings = [f'spool.dir={self.folder}/spool',
                    'listeners.0.address=127.0.0.1', f'listeners.0.port={self.port}',
                    'limits.connections=15000', 'limits.connections_per_ip=15000',
                    'log.level=info', *self.settings]
        return [self.binary, 'serve', *(word for s in settings for word in ('--set', s))]


class Postfix(Server):
    """Debian's Postfix as a private instance (tests/run_postfix.sh), tuned after its own
    TUNING_README, QSHAPE_README and CONNECTION_CACHE_README. Every message is fsynced as always."""

    name = 'Postfix'
    TUNING = (
        'default_process_limit=300',                     # TUNING_README: more SMTP server processes
        'in_flow_delay=0',                               # no artificial delay of the input
        'smtpd_peername_lookup=no',                      # no DNS per client
        'smtpd_client_event_limit_exceptions=static:all',  # no anvil round trip per event
        'smtpd_client_connection_count_limit=0',
        'smtpd_client_connection_rate_limit=0',
        'smtp_connection_cache_destinations=127.0.0.1',  # CONNECTION_CACHE_README: permanently on
        'smtp_connection_reuse_time_limit=3600s',
        'smtp_destination_concurrency_limit=100',
        'smtp_destination_recipient_limit=100',          # as the others: 100 recipients a transaction
        'initial_destination_concurrency=20',
        'smtp_destination_concurrency_failed_cohort_limit=1000',
        'qmgr_message_active_limit=100000',              # QSHAPE_README: no bottleneck here
        'qmgr_message_recipient_limit=100000',
        'qmgr_message_recipient_minimum=100',
        'max_use=1000',                                  # fewer new processes
        'message_size_limit=104857600',
        'smtp_tls_security_level=none',
        'smtpd_tls_security_level=none',
    )

    @staticmethod
    def missing():
        """Why it cannot run here, or None."""
        peers = os.environ.get('RINGPOST_PEERS', '')
        if os.geteuid() != 0:
            return 'Postfix needs root (its processes change their user)'
        if not peers:
            return 'RINGPOST_PEERS is not set (start me as: ./dev bench)'
        if not os.path.exists(f'{peers}/postfix/.complete'):
            return f'no Postfix in {peers} (run: ./dev deps bench)'
        return None

    def __init__(self, folder, sink_port, cores, settings=(), routes=()):
        super().__init__(folder, sink_port, cores)
        self.settings = list(settings)
        if routes:
            with open(f'{self.folder}/transport', 'w', encoding='ascii') as file:
                for domain, address in routes:
                    host, _, port = address.rpartition(':')
                    file.write(f'{domain} smtp:[{host}]:{port}\n')
            self.settings.append(f'transport_maps=texthash:{self.folder}/transport')

    def command(self):
        return ['sh', f'{ROOT}/tests/run_postfix.sh', self.folder, str(self.port),
                f'relay=127.0.0.1:{self.sink_port}', *self.TUNING, *self.settings]

    def more_output(self):
        return tail(os.path.join(self.folder, 'log'))


class OpenDkim:
    """Debian's OpenDKIM, unpacked beside Postfix, signing with one key as Ringpost does by default."""

    def __init__(self, key, domain, selector, algorithm):
        self.settings = {
            'Domain': domain, 'Selector': selector, 'KeyFile': key, 'SignatureAlgorithm': algorithm, 'Mode': 's',
            'Canonicalization': 'relaxed/relaxed', 'InternalHosts': '127.0.0.0/8', 'UMask': '000',
            'RequireSafeKeys': 'no',  # asks for folders that only root can write
            'OversignHeaders': 'From,To,Subject,Date,Reply-To,Cc,Content-Type', 'Syslog': 'no',
            'Background': 'no'}
        self.process = self.output = self.socket = None

    @staticmethod
    def binary():
        return f"{os.environ.get('RINGPOST_PEERS', '')}/opendkim/usr/sbin/opendkim"

    def start(self, folder, before_exec):
        if not os.access(self.binary(), os.X_OK):
            raise Unavailable('OpenDKIM is not unpacked (run: ./dev deps bench)')
        self.socket, self.output = f'{folder}/opendkim.sock', f'{folder}/opendkim.output'
        with open(f'{folder}/opendkim.conf', 'w', encoding='ascii') as file:
            for name, value in {**self.settings, 'Socket': f'local:{self.socket}'}.items():
                file.write(f'{name} {value}\n')
        with open(self.output, 'wb') as out:
            self.process = subprocess.Popen(
                [self.binary(), '-f', '-x', file.name], stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, preexec_fn=before_exec, start_new_session=True)
        until = time.monotonic() + 30
        while not os.path.exists(self.socket):
            if self.process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise Unavailable(f'OpenDKIM does not start: {tail(self.output)}')
            time.sleep(0.05)
        return self.process.pid

    def stop(self):
        if self.process is not None:
            stop(self.process)
            self.process = None


class PostfixOpenDkim(Postfix):
    """The two together: one group of processes. Without its milter Postfix refuses, so nothing passes
    unsigned."""

    name = 'Postfix+OpenDKIM'

    def __init__(self, folder, sink_port, cores, milter):
        super().__init__(folder, sink_port, cores)
        self.milter = milter
        self.settings = [f'smtpd_milters=unix:{self.folder}/opendkim.sock', 'milter_default_action=tempfail']

    def start(self):
        self.group.roots.append(self.milter.start(self.folder, self._before_exec))
        return super().start()

    def stop(self):
        # Before the group is removed, which must be empty by then.
        self.milter.stop()
        super().stop()
