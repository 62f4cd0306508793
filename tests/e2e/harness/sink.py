# SPDX-License-Identifier: GPL-3.0-or-later
"""A scripted SMTP server that records exactly what came, and misbehaves on demand.

    with Sink(features=["PIPELINING"]) as sink:
        sink.script["rcpt"] = lambda s, arg: "550 5.1.1 nobody" if b"bad@" in arg else None
        sink.wait(1)
        sink.messages[0].data

A script entry belongs to a stage: connect ehlo helo mail rcpt data (the DATA command) body (the first
bytes after 354 are here) reading (a Delay: the message is not read until then) dot (the end of the message, by DATA or BDAT LAST) bdat rset noop quit, and
"line" (every command line, before its own stage). It is

    None                the normal reply
    str or bytes        this reply (str gets its CRLF; bytes go out as they are)
    an Action           below
    a list              one entry per occurrence, then the normal reply
    a function (session, argument bytes) -> any of these
"""
import asyncio
import socket
import struct
import threading
import time

from .ports import free_port
from .wait import wait_until

ALL = ("PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES", "SIZE 104857600")


class Action:
    pass


class Close(Action):
    """FIN, without (or after) a reply."""

    def __init__(self, reply=None, reset=False):
        self.reply, self.reset = reply, reset


class Reset(Close):
    def __init__(self, reply=None):
        super().__init__(reply, True)


class Delay(Action):
    """The reply comes later."""

    def __init__(self, seconds, reply=None):
        self.seconds, self.reply = seconds, reply


class Silence(Action):
    """No reply at all; the connection stays."""


class Received(object):
    """One transaction that reached the end of its message."""

    def __init__(self, session, sender, params, rcpts):
        self.session = session
        self.sender = sender    # bytes between <>
        self.params = params    # bytes behind it
        self.rcpts = rcpts      # addresses that were accepted, as str
        self.rcpt_params = {}   # address -> bytes behind it
        self.data = b""         # unstuffed
        self.raw = b""          # as it came, with the final dot (DATA only)
        self.chunks = []        # sizes of BDAT chunks; empty: DATA
        self.reply = b""        # what was answered; b"": nothing
        self.at = 0.0
        self.done_at = 0.0

    @property
    def accepted(self):
        return self.reply[:1] == b"2"

    @property
    def subject(self):
        for line in self.data.split(b"\r\n\r\n", 1)[0].split(b"\r\n"):
            if line.lower().startswith(b"subject: "):
                return line[9:].decode("ascii", "replace")
        return ""


class Command:
    def __init__(self, line, at, segment, early):
        self.line = line          # without CRLF
        self.verb = line.split(b" ")[0].split(b":")[0].upper().decode("ascii", "replace")
        self.at = at
        self.segment = segment    # number of the recv() that brought its end
        self.early = early        # was there before the previous reply had gone out

    def __repr__(self):
        return f"{self.line!r}{'(early)' if self.early else ''}"


class Hangup(Exception):
    pass


class Session:
    def __init__(self, sink, sock, peer):
        self.sink, self.socket, self.peer = sink, sock, peer
        self.buffer = bytearray()
        self.commands = []
        self.segments = 0
        self.replied = False     # nothing was received since the last reply
        self.counts = {}         # stage -> occurrences
        self.open = True
        self.messages = 0
        self.opened_at = time.monotonic()
        self.tx = None

    # ---- transport ----

    async def fill(self):
        data = await self.sink.loop.sock_recv(self.socket, 262144)
        if not data:
            raise Hangup
        self.segments += 1
        self.replied = False
        self.buffer += data

    async def line(self):
        early = bool(self.buffer) and self.replied
        while True:
            at = self.buffer.find(b"\r\n")
            if at >= 0:
                break
            await self.fill()
        line = bytes(self.buffer[:at])
        del self.buffer[:at + 2]
        command = Command(line, time.monotonic(), self.segments, early)
        self.commands.append(command)
        return command

    async def send(self, data):
        await self.sink.loop.sock_sendall(self.socket, data)
        self.replied = True

    async def hang_up(self, reset=False):
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Hangup

    # ---- script ----

    def scripted(self, stage, arg):
        count = self.counts[stage] = self.counts.get(stage, 0) + 1
        entry = self.sink.script.get(stage)
        if isinstance(entry, list):
            with self.sink.lock:
                entry = entry.pop(0) if entry else None
        if callable(entry):
            entry = entry(self, arg)
        del count
        return entry

    async def answer(self, entry, normal):
        """Sends what the script says; returns the reply's bytes (b"" for none)."""
        if isinstance(entry, Delay):
            await asyncio.sleep(entry.seconds)
            entry = entry.reply
        if isinstance(entry, Silence):
            return b""
        if isinstance(entry, Close):
            if entry.reply:
                await self.send(encode(entry.reply))
            await self.hang_up(entry.reset)
        reply = encode(normal if entry is None else entry)
        await self.send(reply)
        return reply

    async def stage(self, stage, arg, normal):
        return await self.answer(self.scripted(stage, arg), normal)

    # ---- protocol ----

    async def run(self):
        try:
            await self.stage("connect", b"", "220 sink.example.test ESMTP")
            while True:
                command = await self.line()
                before = self.scripted("line", command.line)
                if before is not None:
                    await self.answer(before, None)
                    continue
                if not await self.command(command):
                    return
        except (Hangup, ConnectionError, asyncio.CancelledError):
            pass

    async def command(self, command):
        verb, arg = command.verb, command.line
        handler = getattr(self, "do_" + verb.lower(), None)
        if handler is None:
            await self.send(b"500 5.5.2 what?\r\n")
            return True
        return await handler(arg) is not False

    async def do_ehlo(self, arg):
        self.tx = None
        lines = ["sink.example.test"] + list(self.sink.features)
        normal = "\r\n".join(f"250{'-' if i + 1 < len(lines) else ' '}{line}"
                             for i, line in enumerate(lines))
        await self.stage("ehlo", arg, normal)

    async def do_helo(self, arg):
        self.tx = None
        await self.stage("helo", arg, "250 sink.example.test")

    async def do_mail(self, arg):
        reply = await self.stage("mail", arg, "250 2.1.0 ok")
        if reply[:1] == b"2":
            sender, params = path_of(arg)
            self.tx = Received(self, sender, params, [])

    async def do_rcpt(self, arg):
        if self.tx is None:
            await self.send(b"503 5.5.1 MAIL first\r\n")
            return
        reply = await self.stage("rcpt", arg, "250 2.1.5 ok")
        if reply[:1] == b"2":
            rcpt, params = path_of(arg)
            rcpt = rcpt.decode("utf-8", "backslashreplace")
            self.tx.rcpts.append(rcpt)
            self.tx.rcpt_params[rcpt] = params

    async def do_data(self, arg):
        if self.tx is None or not self.tx.rcpts:
            entry = self.scripted("data", arg)
            await self.answer(entry, "554 5.5.1 no valid recipients")
            if not isinstance(entry, str) or not entry.startswith("354"):
                return
            self.tx = self.tx or Received(self, b"", b"", [])
        else:
            reply = await self.stage("data", arg, "354 go")
            if reply[:1] != b"3":
                return
        await self.body()

    async def body(self):
        tx = self.tx
        first = True
        pause = self.scripted("reading", b"")
        if isinstance(pause, Delay):
            await asyncio.sleep(pause.seconds)
        while True:
            if bytes(self.buffer[:3]) == b".\r\n":
                end = 3
                break
            at = self.buffer.find(b"\r\n.\r\n")
            if at >= 0:
                end = at + 5
                break
            await self.fill()
            if first and self.buffer:
                first = False
                entry = self.scripted("body", b"")
                if entry is not None:
                    await self.answer(entry, None)
        tx.raw = bytes(self.buffer[:end])
        del self.buffer[:end]
        text = tx.raw[:-3]
        tx.data = (text[1:] if text[:1] == b"." else text).replace(b"\r\n.", b"\r\n")
        await self.finish()

    async def do_bdat(self, arg):
        words = arg.split()
        size, last = int(words[1]), len(words) > 2
        while len(self.buffer) < size:
            await self.fill()
        chunk = bytes(self.buffer[:size])
        del self.buffer[:size]
        if self.tx is None or not self.tx.rcpts:
            await self.send(b"503 5.5.1 no transaction\r\n")
            return
        self.tx.data += chunk
        self.tx.chunks.append(size)
        if last:
            await self.finish()
        else:
            await self.stage("bdat", arg, "250 2.0.0 ok")

    async def finish(self):
        tx, self.tx = self.tx, None
        tx.at = time.monotonic()
        if self.sink.keep is not None:
            self.sink.keep(tx)
        with self.sink.lock:
            self.sink.attempts.append(tx)
        entry = self.scripted("dot", tx.data)
        tx.reply = await self.answer(entry, "250 2.0.0 stored")
        tx.done_at = time.monotonic()
        self.messages += 1
        self.sink.note_finished(tx)

    async def do_rset(self, arg):
        self.tx = None
        await self.stage("rset", arg, "250 2.0.0 ok")

    async def do_noop(self, arg):
        await self.stage("noop", arg, "250 2.0.0 ok")

    async def do_quit(self, arg):
        await self.stage("quit", arg, "221 2.0.0 bye")
        return False


def encode(reply):
    return reply if isinstance(reply, bytes) else reply.encode() + b"\r\n"


def path_of(line):
    start, end = line.index(b"<"), line.rindex(b">")
    return line[start + 1:end], line[end + 1:].strip()


class Sink:
    session_type = Session

    def __init__(self, features=ALL, script=None, host="127.0.0.1", port=0, keep=None):
        self.features = list(features)
        self.script = dict(script or {})
        self.host = host
        self.port = port or free_port((host,))
        self.keep = keep             # called with each transaction at the end of its message
        self.lock = threading.RLock()
        self.messages = []           # answered 2xx
        self.attempts = []           # every message that came to its end
        self.sessions = []
        self.peak = 0                # most connections at a time
        self.loop = None
        self.listener = None
        self.thread = None
        self.tasks = set()

    # ---- life ----

    def start(self):
        ready = threading.Event()
        self.listener = self.bind()
        self.thread = threading.Thread(target=self._main, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait(10)
        return self

    def bind(self):
        listener = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, self.port))
        listener.listen(1024)
        listener.setblocking(False)
        return listener

    def _main(self, ready):
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.loop.call_soon(ready.set)
        try:
            self.loop.run_until_complete(self._accept())
        finally:
            self.loop.close()

    async def _accept(self):
        self.stopped = asyncio.Event()
        accepting = asyncio.ensure_future(self._accept_loop())
        await self.stopped.wait()
        for task in [accepting] + list(self.tasks):
            task.cancel()
        await asyncio.gather(accepting, *self.tasks, return_exceptions=True)

    async def _accept_loop(self):
        while True:
            try:
                sock, peer = await self.loop.sock_accept(self.listener)
            except OSError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = self.session_type(self, sock, peer)
            with self.lock:
                self.sessions.append(session)
                self.peak = max(self.peak, self.open_sessions)
            task = asyncio.ensure_future(self._session(session))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _session(self, session):
        try:
            await session.run()
        finally:
            session.open = False
            session.socket.close()

    def close(self):
        if self.thread is None:
            return
        self.loop.call_soon_threadsafe(self.stopped.set)
        self.thread.join(10)
        self.listener.close()
        self.thread = None

    __enter__ = start

    def __exit__(self, *_):
        self.close()

    # ---- what tests ask ----

    @property
    def endpoint(self):
        return f"[{self.host}]:{self.port}"

    @property
    def open_sessions(self):
        return sum(s.open for s in self.sessions)

    @property
    def connections(self):
        return len(self.sessions)

    def note_finished(self, tx):
        if tx.accepted:
            with self.lock:
                self.messages.append(tx)

    def wait(self, count=1, timeout=15):
        """Waits for that many accepted messages; returns all."""
        wait_until(lambda: len(self.messages) >= count, timeout,
                   f"{count} messages at the sink (there are {len(self.messages)})")
        return list(self.messages)

    def wait_attempts(self, count=1, timeout=15):
        wait_until(lambda: len(self.attempts) >= count, timeout, f"{count} attempts at the sink")
        return list(self.attempts)

    def with_subject(self, subject, count=1, timeout=15):
        """Waits for accepted messages with this subject."""
        def found():
            with self.lock:
                hits = [m for m in self.messages if m.subject == subject]
            return hits if len(hits) >= count else None
        return wait_until(found, timeout, f"{count} × {subject} at the sink")

    def commands(self, verb=None):
        return [c for s in self.sessions for c in s.commands if verb is None or c.verb == verb]

    def verbs(self, session=0):
        return [c.verb for c in self.sessions[session].commands]
