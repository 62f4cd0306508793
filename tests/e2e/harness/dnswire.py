# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers no name server should give, byte by byte (dnsserver.py makes those that dnslib can make)."""
import struct

from dnsserver import DnsServer, key

TYPES = {"A": 1, "CNAME": 5, "MX": 15, "AAAA": 28}
PLAIN = 0x8180  # a response, recursion desired and available


def question_end(data):
    at = 12
    while data[at]:
        at += data[at] + 1
    return at + 5


def question_of(data):
    """(name as text, type, the question section)."""
    labels, at = [], 12
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]])
        at += data[at] + 1
    return b".".join(labels).decode("ascii", "replace"), struct.unpack("!H", data[at + 1:at + 3])[0], data[12:at + 5]


def name(text):
    return b"".join(bytes([len(x)]) + x for x in text.encode().split(b".") if x) + b"\0"


def record(kind, rdata, owner=b"\xc0\x0c", length=None, ttl=300, klass=1):
    return owner + struct.pack("!HHIH", TYPES.get(kind, kind), klass, ttl, len(rdata) if length is None else length) + rdata


def mx(target, preference=10, **kwargs):
    """target: a name, or the bytes of one."""
    target = name(target) if isinstance(target, str) else target
    return record("MX", struct.pack("!H", preference) + target, **kwargs)


def reply(data, records=b"", counts=(1, 1, 0, 0), flags=PLAIN, question=None, ident=None):
    """counts: of questions, answers, authorities, additional records, as they are announced."""
    head = (data[:2] if ident is None else struct.pack("!H", ident & 0xFFFF)) + struct.pack("!5H", flags, *counts)
    return head + (question_of(data)[2] if question is None else question) + records


class WireServer(DnsServer):
    """`wire`: {(name, "MX"): function (question bytes, transport, peer) -> its answer, or several}; they go before
    the zone. What was asked is in `asked`: (name, type, id, with EDNS?)."""

    def __init__(self, zone=None, **kwargs):
        super().__init__(zone, **kwargs)
        self.wire = {}
        self.asked = []

    def answers(self, data, transport, peer):
        if len(data) < 17:
            return  # the end: the socket was shut down
        asked, code, _ = question_of(data)
        kind = {v: k for k, v in TYPES.items()}.get(code, str(code))
        with self.lock:
            self.asked.append((key(asked), kind, data[:2], struct.unpack("!H", data[10:12])[0] > 0))
        make = self.wire.get((key(asked), kind))
        if make is None:
            yield from super().answers(data, transport, peer)
            return
        with self.lock:
            self.log.append((0, transport, key(asked), kind))
            if transport == "udp":
                self.ports.add(peer[1])
        made = make(data, transport, peer)
        for one in [made] if isinstance(made, bytes) else made:
            yield 0, one
