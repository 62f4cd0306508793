#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds many connections to a server that are idle, slow or stuck in a handshake, as one process.

    holder.py PORT KIND COUNT [EVERY_S]

KIND: idle (EHLO, then nothing), command (a command byte by byte), data (a message byte by byte), handshake (a TLS
handshake byte by byte). Of the slow kinds each connection sends a byte every EVERY_S seconds (5).
Prints a JSON line when all are open: {"held": N}; at SIGTERM another: how many the server has closed meanwhile.
Connections come from 127.0.1.1, 127.0.1.2 and so on, a thousand from each.
"""
import json
import resource
import selectors
import signal
import socket
import ssl
import sys
import time

PER_ADDRESS = 1000
OPENING = 200  # at a time: the backlog is not what is measured
BIND_NO_PORT = getattr(socket, 'IP_BIND_ADDRESS_NO_PORT', 24)
ENVELOPE = (b'EHLO slow.example.test\r\n', b'MAIL FROM:<slow@example.test>\r\n', b'RCPT TO:<slow@example.test>\r\n',
            b'DATA\r\n')
SAYS = {'idle': ENVELOPE[:1], 'command': ENVELOPE[:1], 'data': ENVELOPE, 'handshake': ()}


def client_hello():
    """What a client says first in TLS."""
    out = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    session = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname='relay.example.test')
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def trickle(kind):
    """The bytes of a slow client after its first ones; never the last of what it says."""
    return {'idle': b'', 'command': b'NOOP ' + b'x' * 400, 'data': b'x' * 70 + b'\r\n',
            'handshake': client_hello()[:-1] if kind == 'handshake' else b''}[kind]


class Holder:
    def __init__(self, port, kind, count, every):
        self.port, self.kind, self.count, self.every = port, kind, count, every
        self.bytes = trickle(kind)
        self.says = SAYS[kind]
        self.selector = selectors.EpollSelector()
        self.open, self.closed, self.failed = [], 0, 0
        self.ended = False

    def connect(self, number):
        s = socket.socket()
        s.setblocking(False)
        s.setsockopt(socket.IPPROTO_IP, BIND_NO_PORT, 1)
        s.bind((f'127.0.1.{1 + number // PER_ADDRESS}', 0))
        s.connect_ex(('127.0.0.1', self.port))
        # What was heard of the reply at hand; how many commands were said.
        self.selector.register(s, selectors.EVENT_READ if self.says else selectors.EVENT_WRITE, [b'', 0])

    def gone(self, s, state):
        self.selector.unregister(s)
        s.close()
        if state is None:
            self.closed += 1
        else:
            self.failed += 1

    def settled(self, s):
        self.selector.modify(s, selectors.EVENT_READ, None)
        self.open.append(s)

    def hear(self, s, state):
        try:
            data = s.recv(4096) if self.says or state is None else b'\n'
        except OSError:
            data = b''
        if not data:
            self.gone(s, state)
            return
        if state is None:
            return  # 421, a moment before the end
        state[0] += data
        last = state[0].rstrip(b'\r\n').rpartition(b'\n')[2]
        if not state[0].endswith(b'\n') or last[3:4] == b'-':
            return
        if self.says and last[:1] not in b'23':
            self.gone(s, state)
        elif state[1] == len(self.says):
            self.settled(s)
        else:
            s.send(self.says[state[1]])
            state[:] = [b'', state[1] + 1]

    def turn(self, seconds):
        for key, _ in self.selector.select(seconds):
            if key.data is not None and not self.says and key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.gone(key.fileobj, key.data)
            else:
                self.hear(key.fileobj, key.data)

    def fill(self):
        begun = 0
        while len(self.open) + self.failed < self.count and not self.ended:
            while begun < self.count and begun - len(self.open) - self.failed < OPENING:
                self.connect(begun)
                begun += 1
            self.turn(1)

    def hold(self):
        """Everybody's next byte, spread over the time."""
        began, sent = time.monotonic(), 0
        while not self.ended:
            due = int((time.monotonic() - began) / self.every * len(self.open)) if self.bytes else 0
            while sent < due and self.open:
                s, at = self.open[sent % len(self.open)], sent // len(self.open)
                sent += 1
                if s.fileno() < 0:
                    continue
                try:
                    s.send(self.bytes[at % len(self.bytes):][:1])
                except OSError:
                    pass  # heard of in turn()
            self.turn(0.05)

    def run(self):
        signal.signal(signal.SIGTERM, self.end)
        self.fill()
        print(json.dumps({'held': len(self.open) - self.closed}), flush=True)
        self.hold()
        print(json.dumps({'closed': self.closed}), flush=True)

    def end(self, _signal, _frame):
        self.ended = True


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    port, kind, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    Holder(port, kind, count, float(sys.argv[4]) if len(sys.argv) > 4 else 5.0).run()


if __name__ == '__main__':
    main()
