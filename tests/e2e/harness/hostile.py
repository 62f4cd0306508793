# SPDX-License-Identifier: GPL-3.0-or-later
"""A server at many loopback addresses, each of which misbehaves in its own way at one stage (harness/sink.py), until
`good` is set: then all of them are good servers."""
import asyncio
import socket

from .ports import free_port
from .sink import Action, Session, Sink


class Pieces(Action):
    """The bytes in segments of their own, with pauses between."""

    def __init__(self, pieces, pause=0.01):
        self.pieces, self.pause = list(pieces), pause


class Endless(Action):
    """`unit` again and again until the other side has closed; pause: slowly."""

    def __init__(self, unit, first=b"", pause=0.0):
        self.unit, self.first, self.pause = unit, first, pause


class Stall(Action):
    """A part of a reply, and then nothing more, whatever comes."""

    def __init__(self, part):
        self.part = part


class Case:
    """stage, entry: as in a sink's script; features: what EHLO offers."""

    def __init__(self, stage, entry, features=()):
        self.stage, self.entry, self.features = stage, entry, features


class HostileSession(Session):
    def __init__(self, sink, sock, peer):
        super().__init__(sink, sock, peer)
        self.address = sock.getsockname()[0]
        self.case = sink.cases.get(self.address)

    def scripted(self, stage, arg):
        if self.sink.good or self.case is None or self.case.stage != stage:
            return None
        return self.case.entry

    async def do_ehlo(self, arg):
        self.tx = None
        lines = ["hostile.example.test", *(self.case.features if self.case else self.sink.features)]
        normal = "\r\n".join(f"250{'-' if i + 1 < len(lines) else ' '}{line}" for i, line in enumerate(lines))
        await self.stage("ehlo", arg, normal)

    async def answer(self, entry, normal):
        if isinstance(entry, Pieces):
            for piece in entry.pieces:
                await self.send(piece)
                await asyncio.sleep(entry.pause)
            return b"".join(entry.pieces)
        if isinstance(entry, Stall):
            await self.send(entry.part)
            while True:  # until the connection is gone
                await self.fill()
        if isinstance(entry, Endless):
            await self.send(entry.first)
            unit = entry.unit if entry.pause else entry.unit * (65536 // len(entry.unit))
            while True:  # until the connection is gone
                await self.send(unit)
                await asyncio.sleep(entry.pause)
        return await super().answer(entry, normal)


class Hostile(Sink):
    """cases: {address: Case}; any other address of 127/8 is a good server. One socket for all of them, which the
    loopback interface alone reaches."""
    session_type = HostileSession

    def __init__(self, cases, features=("PIPELINING", "8BITMIME")):
        super().__init__(features, host="0.0.0.0", port=free_port(("127.0.0.1", "0.0.0.0")))
        self.cases = cases
        self.good = False

    def bind(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        listener.bind(("0.0.0.0", self.port))
        listener.listen(4096)
        listener.setblocking(False)
        return listener
