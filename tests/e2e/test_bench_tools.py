# SPDX-License-Identifier: GPL-3.0-or-later
"""The load tools against each other and against foreign SMTP software: what they count must be true
before anything measured with them means something."""
import asyncio
import glob
import json
import os
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

from harness.ports import free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCH = os.environ.get('RINGPOST_BENCH_BIN', f'{ROOT}/build/ringpost-bench')


class Sink:
    def __init__(self, *options):
        end, child_end = os.pipe()
        self.process = subprocess.Popen([BENCH, 'sink', '--ready-fd', str(child_end), *map(str, options)],
                                        stdout=subprocess.PIPE, text=True, pass_fds=[child_end])
        os.close(child_end)
        with os.fdopen(end) as ready:
            self.port = int(ready.readline())

    def report(self):
        """Ends it."""
        self.process.terminate()
        out, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0
        return json.loads(out.splitlines()[-1])

    def kill(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def sinks():
    made = []

    def make(*options):
        made.append(Sink(*options))
        return made[-1]
    yield make
    for sink in made:
        if sink.process.poll() is None:
            sink.kill()


def source(port, *options, code=0):
    done = subprocess.run([BENCH, 'source', '--to', f'127.0.0.1:{port}', '--timeout', '20',
                           *map(str, options)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def journal(path):
    """event -> ids"""
    events = {}
    with open(path, encoding='ascii') as file:
        for line in file:
            event, name, *rest = line.split()
            events.setdefault(event, []).append((name, *rest))
    return events


PATTERNS = {
    'step by step': [],
    'pipelined': ['--pipelining'],
    'overlapped': ['--overlap', '--in-flight', 3],
    'bdat': ['--bdat', '--in-flight', 8],
    'connection per message': ['--pipelining', '--per-connection', 1],
    'some per connection': ['--overlap', '--per-connection', 7],
    'threads': ['--pipelining', '--threads', 2],
}


@pytest.mark.parametrize('pattern', PATTERNS)
@pytest.mark.parametrize('offers', [[], ['--no-pipelining'], ['--no-chunking', '--threads', 2]])
def test_every_pattern_delivers_each_copy_once(sinks, pattern, offers):
    sink = sinks(*offers)
    sent = source(sink.port, '--messages', 400, '--sessions', 10, '--size', '400-9000',
                  '--recipients', 4, '--vary', *PATTERNS[pattern])
    got = sink.report()
    run, = got['runs']
    assert sent['accepted'] == sent['tried'] == run['messages'] == got['messages'] == 400
    assert sent['accepted_recipients'] == run['unique'] == got['recipients']
    assert sent['bytes'] == got['bytes']
    assert (run['duplicates'], run['strange'], got['protocol_errors'], got['strangers']) == (0, 0, 0, 0)
    assert sent['dot_to_250_us']['count'] == 400
    assert run['end_to_end_us']['count'] == run['unique']


@pytest.mark.parametrize('pattern', ['step by step', 'pipelined', 'bdat'])
def test_faults_are_told_apart_and_the_journals_agree(sinks, tmp_path, pattern):
    sink = sinks('--fail', 'mail=451:10', '--fail', 'rcpt=550:10', '--fail', 'dot=452:5',
                 '--fail', 'dot=554:5', '--fail', 'dot=lostreply:3', '--fail', 'dot=drop:3',
                 '--journal', tmp_path / 'sink')
    sent = source(sink.port, '--messages', 1500, '--sessions', 8, '--recipients', 3, '--keep-going',
                  '--journal', tmp_path / 'source', *PATTERNS[pattern], '--in-flight', 1, code=1)
    got = sink.report()
    run, = got['runs']
    tried = journal(tmp_path / 'source')
    delivered = {(name, k) for name, k in journal(tmp_path / 'sink')['D']}
    refused = {(name, k) for name, k, _ in tried['R']}
    promised = {(name, str(k)) for name, in tried['O'] for k in range(3)} - refused
    unknown = {name for name, in tried['U']}

    assert len(tried['T']) == sent['tried'] == 1500
    assert len(tried['O']) == sent['accepted'] and len(promised) == sent['accepted_recipients']
    assert len(unknown) == sent['unknown'] and len(tried['F']) == (
        sent['refused_4xx'] + sent['refused_5xx'] + sent['not_sent'])
    assert sent['tried'] == len(tried['O']) + len(tried['F']) + len(unknown)
    # 3 % of 1500 twice: enough of each to be seen.
    assert sent['unknown'] > 20 and sent['refused_4xx'] > 50 and sent['refused_5xx'] > 20
    assert promised <= delivered, 'a promised copy did not come'
    extra = {name for name, _ in delivered - promised}
    assert extra and extra <= unknown, 'only an unknown outcome may have come without a promise'
    assert run['duplicates'] == 0


def test_latency_per_reply_does_not_hold_other_sessions(sinks):
    sink = sinks('--latency', 'dot=100')
    began = time.monotonic()
    sent = source(sink.port, '--messages', 200, '--sessions', 100, '--pipelining')
    took = time.monotonic() - began
    assert 0.2 <= took < 10  # one after the other: 20
    # The sink counts whole milliseconds: its 100 begin somewhere in the first.
    assert 99_000 <= sent['dot_to_250_us']['min'] and sent['dot_to_250_us']['p50'] < 400_000
    assert sink.report()['messages'] == 200


def test_rate_is_kept(sinks):
    sink = sinks()
    sent = source(sink.port, '--messages', 300, '--sessions', 5, '--rate', 200, '--pipelining')
    assert 150 < sent['per_second'] < 230


def test_count_ends_the_sink_and_usr1_reports(sinks):
    sink = sinks('--count', 50)
    source(sink.port, '--messages', 20)
    sink.process.send_signal(signal.SIGUSR1)
    assert json.loads(sink.process.stdout.readline())['messages'] == 20
    source(sink.port, '--messages', 30)
    assert sink.process.wait(10) == 0
    assert sum(run['unique'] for run in json.loads(sink.process.stdout.readline())['runs']) == 50


def test_source_survives_a_server_that_dies(sinks, tmp_path):
    first = sinks('--journal', tmp_path / 'sink')
    port = first.port
    load = subprocess.Popen([BENCH, 'source', '--to', f'127.0.0.1:{port}', '--sessions', '10', '--messages',
                             '2000', '--rate', '1000', '--pipelining', '--keep-going', '--journal',
                             str(tmp_path / 'source')], stdout=subprocess.PIPE, text=True)
    time.sleep(0.7)
    first.kill()
    time.sleep(0.3)
    second = sinks('--listen', f'127.0.0.1:{port}', '--journal', tmp_path / 'sink')
    out, _ = load.communicate(timeout=60)
    sent = json.loads(out)
    assert sent['tried'] == 2000 and sent['accepted'] > 1000 and sent['connect_errors'] > 0
    assert sent['accepted'] + sent['unknown'] + sent['not_sent'] == 2000
    assert second.report()['messages'] > 0
    # The killed sink may not have written its last journal lines: it promises nothing.
    assert len(journal(tmp_path / 'source')['O']) == sent['accepted']


def test_without_keep_going_a_dead_server_ends_the_run():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    sent = source(port, '--messages', 10, '--sessions', 3, code=1)
    assert sent['accepted'] == 0 and sent['connect_errors'] == 3


def test_hold_keeps_sessions_open(sinks):
    sink = sinks()
    held = subprocess.Popen([BENCH, 'source', '--to', f'127.0.0.1:{sink.port}', '--hold', '--sessions', '500'],
                            stdout=subprocess.PIPE, text=True)
    assert json.loads(held.stdout.readline())['held'] == 500
    held.terminate()
    assert held.wait(10) == 0
    assert sink.report()['connections'] == 500


# ---- TLS and logins ----

@pytest.mark.parametrize('pattern', PATTERNS)
def test_starttls_delivers_each_copy_once(sinks, pattern):
    sink = sinks('--starttls', '--threads', 2)
    sent = source(sink.port, '--starttls', '--messages', 150, '--sessions', 10, '--size', '400-90000',
                  '--recipients', 4, '--vary', *PATTERNS[pattern])
    got = sink.report()
    run, = got['runs']
    assert sent['accepted'] == run['messages'] == got['secured'] == 150
    assert sent['accepted_recipients'] == run['unique'] and run['duplicates'] == 0
    assert sent['secured'] == sent['connections'] and sent['tls'].startswith('TLSv1.3 TLS_')
    assert got['protocol_errors'] == 0


def test_starttls_that_is_not_offered_ends_the_connection(sinks):
    sink = sinks()
    sent = source(sink.port, '--starttls', '--messages', 5, code=1)
    assert (sent['accepted'], sent['tried'], sent['connect_errors']) == (0, 0, 1)
    assert sink.report()['messages'] == 0


def test_sink_offers_starttls_to_foreign_clients(sinks, tmp_path):
    sink = sinks('--starttls', '--capture', tmp_path / 'got')
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP('127.0.0.1', sink.port) as client:
        client.starttls(context=trusting)
        assert client.sock.version() == 'TLSv1.3'
        client.ehlo()
        assert client.has_extn('pipelining') and not client.has_extn('starttls')
        assert client.docmd('STARTTLS')[0] == 503
        client.sendmail('a@b.test', ['c@d.test'], b'DKIM-Signature: v=1\r\n\r\n' + b'x' * 500 + b'\r\n')
    with smtplib.SMTP('127.0.0.1', sink.port) as client:
        client.sendmail('a@b.test', ['c@d.test'], b'Subject: in clear\r\n\r\n')
    got = sink.report()
    assert (got['messages'], got['secured'], got['signed'], got['protocol_errors']) == (2, 1, 1, 1)


def test_what_follows_starttls_in_clear_is_refused(sinks):
    sink = sinks('--starttls')
    with socket.create_connection(('127.0.0.1', sink.port)) as s:
        s.recv(100)
        s.sendall(b'STARTTLS\r\nMAIL FROM:<a@b.test>\r\n')
        assert s.recv(100).startswith(b'554 ') and s.recv(100) == b''
    assert sink.report()['protocol_errors'] == 1


def serve_one(replies):
    """A server that says one thing after each line; the port, and the lines that it got."""
    listener = socket.create_server(('127.0.0.1', 0))
    got = []

    def run():
        connection, _ = listener.accept()
        with connection, listener, connection.makefile('rb') as lines:
            for reply in replies:
                connection.sendall(reply)
                got.append(lines.readline())
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return listener.getsockname()[1], got, thread


def test_source_takes_no_reply_that_was_injected_before_the_handshake():
    port, got, thread = serve_one([b'220 x\r\n', b'250 STARTTLS\r\n', b'220 go\r\n250 injected\r\n'])
    sent = source(port, '--starttls', '--messages', 1, code=1)
    thread.join(10)
    assert sent['connect_errors'] == 1 and got == [b'EHLO source.example.test\r\n', b'STARTTLS\r\n', b'']


def test_source_logs_in(monkeypatch):
    monkeypatch.setenv('RINGPOST_BENCH_PASSWORD', 'p w')
    port, got, thread = serve_one([b'220 x\r\n', b'250 AUTH PLAIN\r\n', b'535 no\r\n'])
    sent = source(port, '--auth', 'user', '--messages', 1, code=1)
    thread.join(10)
    assert got[1] == b'AUTH PLAIN AHVzZXIAcCB3\r\n' and sent['connect_errors'] == 1
    port, got, thread = serve_one([b'220 x\r\n', b'250 AUTH PLAIN\r\n', b'235 yes\r\n'])
    source(port, '--auth', 'user', '--messages', 1, code=1)
    thread.join(10)
    assert got[2].startswith(b'MAIL FROM:')


@pytest.mark.parametrize('options', [['--starttls', '--tls'], ['--auth', 'user']])
def test_source_says_what_does_not_go_together(monkeypatch, options):
    monkeypatch.delenv('RINGPOST_BENCH_PASSWORD', raising=False)
    done = subprocess.run([BENCH, 'source', '--to', '127.0.0.1:9', *options], capture_output=True, text=True,
                          timeout=30, check=False)
    assert done.returncode == 64 and options[0] in done.stderr


def test_tls_from_the_first_byte_with_a_made_certificate(tmp_path):
    """Against Python's OpenSSL; the certificate is one for any server that is measured."""
    assert subprocess.run([BENCH, 'certificate', '--dir', tmp_path], check=False).returncode == 0
    assert os.stat(tmp_path / 'key.pem').st_mode & 0o777 == 0o600
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / 'cert.pem', tmp_path / 'key.pem')
    listener = socket.create_server(('127.0.0.1', 0))
    got = []

    def run():
        connection, _ = listener.accept()
        with server.wrap_socket(connection, server_side=True) as c, c.makefile('rb') as lines:
            c.sendall(b'220 x\r\n')
            got.append(lines.readline())
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    source(listener.getsockname()[1], '--tls', '--messages', 1, code=1)
    thread.join(10)
    listener.close()
    assert got == [b'EHLO source.example.test\r\n']


def test_handshake_tells_what_the_streams_cost():
    rates = json.loads(subprocess.check_output([BENCH, 'handshake', '--count', '3'], timeout=120))
    assert set(rates) == {'ECDSA P-256', 'RSA-2048'}
    assert all(r['library'] > 0 and r['streams'] > 0 for r in rates.values())


AWKWARD = [b'', b'.\r\n', b'..\r\n.\r\n', b'.a\r\nb.\r\n', b'a\r\n\r\n.\r\n...\r\n', b'x' * 200_000 + b'\r\n']


@pytest.mark.parametrize('segment', [1, 3, 65536])
def test_capture_is_byte_identical_whatever_the_segmentation(sinks, tmp_path, segment):
    sink = sinks('--capture', tmp_path / 'got')
    texts = [text for text in AWKWARD if segment > 3 or len(text) < 100]
    dialog = b'EHLO x\r\n'
    for text in texts:
        stuffed = b''.join(b'.' + line if line.startswith(b'.') else line for line in text.splitlines(True))
        dialog += b'MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n' + stuffed + b'.\r\n'
        half = len(text) // 2
        dialog += b'MAIL FROM:<>\r\nRCPT TO:<c@d.test>\r\nBDAT %d\r\n%sBDAT %d LAST\r\n%s' % (
            half, text[:half], len(text) - half, text[half:])
    dialog += b'QUIT\r\n'
    with socket.create_connection(('127.0.0.1', sink.port)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(dialog), segment):
            s.sendall(dialog[at:at + segment])
        replies = b''
        while piece := s.recv(65536):
            replies += piece
    assert replies.endswith(b'221 2.0.0 bye\r\n') and replies.count(b'250 2.0.0 taken') == 2 * len(texts)
    files = sorted(glob.glob(f'{tmp_path}/got/new/*.eml'))
    got = []
    for name in files:
        with open(name, 'rb') as file:
            got.append(file.read())
    assert got == [text for text in texts for _ in range(2)]
    with open(files[0].replace('.eml', '.env'), encoding='ascii') as file:
        assert file.read() == 'MAIL FROM:<a@b.test>\nRCPT TO:<c@d.test>\n'
    assert sink.report()['protocol_errors'] == 0


def test_sink_refuses_what_is_out_of_order(sinks):
    sink = sinks('--recipients-max', 2, '--size-max', 1000, '--without', 'DSN')
    with smtplib.SMTP('127.0.0.1', sink.port) as client:
        client.ehlo()
        assert client.has_extn('pipelining') and not client.has_extn('dsn')
        assert client.docmd('RCPT', 'TO:<a@b.test>')[0] == 503
        assert client.docmd('DATA')[0] == 503
        assert client.docmd('NONSENSE')[0] == 500
        client.mail('a@b.test')
        assert [client.rcpt(f'r{k}@b.test')[0] for k in range(3)] == [250, 250, 452]
        assert client.data('x' * 2000)[0] == 552
        assert client.noop()[0] == 250


def test_source_against_aiosmtpd():
    """A foreign server understands what the source sends."""
    from aiosmtpd.controller import Controller  # of ./dev deps test

    class Handler:
        def __init__(self):
            self.seen = []

        async def handle_DATA(self, _server, _session, envelope):
            self.seen.append((envelope.mail_from, tuple(envelope.rcpt_tos), len(envelope.content)))
            return '250 ok'

    handler = Handler()
    controller = Controller(handler, hostname='127.0.0.1', port=0)
    # Controller checks its port by connecting; take the loop part only.
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(controller.factory, '127.0.0.1', 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        port = server.sockets[0].getsockname()[1]
        sent = source(port, '--messages', 40, '--sessions', 4, '--size', '2000', '--recipients', 2,
                      '--domains', 3)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        server.close()
        loop.close()
    assert sent['accepted'] == len(handler.seen) == 40
    assert all(len(to) == 2 and size == 2000 for _, to, size in handler.seen)


FAKE_ENGINE = '''#!{python}
"""Stands in for the engine: passes every connection on to relay.host."""
import asyncio, sys
sets = dict(word.split('=', 1) for word in sys.argv if '=' in word)
if 'fake.die' in sets:
    sys.exit('no spool: disk is made of cheese')
upstream = int(sets['relay.host'].rpartition(':')[2])
lose = int(sets.get('fake.lose', '0'))
count = 0

async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()

async def swallow(reader, writer):
    """Promises everything, delivers nothing."""
    writer.write(b'220 liar\\r\\n')
    text = False
    while line := await reader.readline():
        verb = line[:4].upper()
        if text:
            if line == b'.\\r\\n':
                text = False
                writer.write(b'250 ok\\r\\n')
        elif verb == b'DATA':
            text = True
            writer.write(b'354 go\\r\\n')
        else:
            writer.write(b'250 ok\\r\\n')
    writer.close()

async def serve(reader, writer):
    global count
    count += 1
    if lose and count > 1:
        return await swallow(reader, writer)
    up_reader, up_writer = await asyncio.open_connection('127.0.0.1', upstream)
    await asyncio.gather(pipe(reader, up_writer), pipe(up_reader, writer))

async def main():
    server = await asyncio.start_server(serve, '127.0.0.1', int(sets['listeners.0.port']))
    print('{{"event":"started"}}', flush=True)
    await server.serve_forever()

asyncio.run(main())
'''


@pytest.fixture
def fake_engine(tmp_path):
    path = tmp_path / 'engine'
    path.write_text(FAKE_ENGINE.format(python=sys.executable))
    path.chmod(0o755)
    return path


def demo(tmp_path, engine, *options):
    return subprocess.run([BENCH, 'demo', '--engine', engine, '--dir', tmp_path / 'var', '--messages', '200',
                           '--wait', '2', *options], capture_output=True, text=True, timeout=60, check=False)


def test_demo_tells_lost_from_delivered(tmp_path, fake_engine):
    done = demo(tmp_path, fake_engine, '--once')
    assert done.returncode == 0, done.stdout + done.stderr
    assert '200 of 200 accepted' in done.stdout and 'lost         0' in done.stdout
    assert (tmp_path / 'var' / 'ringpost.log').read_text() == '{"event":"started"}\n'
    done = demo(tmp_path, fake_engine, '--once', '--set', 'fake.lose=1')
    assert done.returncode == 1
    assert '200 of 200 accepted' in done.stdout and 'lost         0' not in done.stdout


def test_demo_shows_why_the_engine_died(tmp_path, fake_engine):
    done = demo(tmp_path, fake_engine, '--once', '--set', 'fake.die=1')
    assert done.returncode == 1 and 'disk is made of cheese' in done.stderr and 'status 1' in done.stderr
    done = demo(tmp_path, tmp_path / 'none', '--once')
    assert done.returncode == 1 and './dev build' in done.stderr


def test_demo_takes_the_next_port_and_ends_on_sigint(tmp_path, fake_engine):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', free_port()))
        taken.listen()
        port = taken.getsockname()[1]
        run = subprocess.Popen([BENCH, 'demo', '--engine', fake_engine, '--dir', tmp_path / 'var', '--port',
                                str(port), '--messages', '50'], stdout=subprocess.PIPE, text=True)
        lines = []
        for line in run.stdout:
            lines.append(line)
            if 'Ctrl-C' in line:
                break
        used = int(next(line for line in lines if 'is taken' in line).split()[-1].rstrip('.'))
        assert used > port
        with smtplib.SMTP('127.0.0.1', used) as client:
            client.sendmail('you@example.test', ['me@example.test'], 'Subject: by hand\r\n\r\nhello\r\n')
        assert 'captured' in run.stdout.readline()
        run.send_signal(signal.SIGINT)
        assert run.wait(20) == 0
        run.stdout.close()
    name, = glob.glob(f'{tmp_path}/var/captured/new/*.eml')
    with open(name, encoding='ascii') as file:
        assert file.read() == 'Subject: by hand\n\nhello\n'
