#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scripted DNS server for tests: UDP and TCP on one loopback port, every kind of trouble on demand.

As a library (pytest; run with /usr/bin/python3, python3-dnslib):

    with DnsServer({"example.test": {"mx": [[10, "mx1.example.test"]]},
                    "mx1.example.test": {"a": ["127.0.0.2"]}}) as dns:
        ...  f"127.0.0.1:{dns.port}" ...
        dns.zone["down.test"] = {"behave": "servfail"}     # may change while it runs
        assert dns.count("example.test", "MX") == 1

As a program (prints "PORT" and a newline when it is ready, and the counts as JSON when it ends):

    dnsserver.py [--port N] [--address 127.0.0.1] [--upper] ZONE.json

Zone: name -> node. Names are compared without case and final dot; "*.rest" matches what has no node of
its own. A name without node is NXDOMAIN; a node without the asked type is NODATA. Node keys:

    a, aaaa     list of addresses; {"many": N} makes N of them
    mx          list of [preference, target] ("." is null MX); {"many": N} makes N targets
                mx<i>.<name> that have 127.0.0.<1 + i % 250> as address
    cname       target; followed inside the zone unless "chase" is false
    txt, ptr    list of strings; name
    ttl         of its records (default 300); soa: minimum of the negative answers' SOA
                (default 60, null: no SOA)
    behave      one behaviour or a list; {"MX": …, "A": …} per question type; {"seq": [b1, b2, …]}
                takes one per question, the last one for ever
    ad          true: set the AD bit

Behaviours: ok · servfail · nxdomain · refused · notimp · formerr · drop (no answer) · delay:MS ·
truncate (UDP: TC, TCP: the answer) · truncate-always · tcp-drop · tcp-close (close without answer) ·
noedns (FORMERR while the question has EDNS) · wrong-id · wrong-question · wrong-case · garbage ·
short (cut in the middle) · loop-pointer (compression pointer to itself) · lying-count · empty (no
bytes) · lame (a referral) · poison (extra records of other names) · flood:N (N forged answers with
wrong ids before the right one) · twice (the answer two times)
"""
import argparse
import copy
import json
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter

from dnslib import (A, AAAA, CNAME, MX, NS, PTR, QTYPE, RCODE, RR, SOA, TXT, DNSRecord, EDNS0)

RCODES = {"servfail": RCODE.SERVFAIL, "nxdomain": RCODE.NXDOMAIN, "refused": RCODE.REFUSED,
          "notimp": RCODE.NOTIMP, "formerr": RCODE.FORMERR}


def key(name):
    return str(name).rstrip(".").lower()


def many(value, make):
    """A list, or {"many": N}: N made ones."""
    if isinstance(value, dict):
        return [make(i) for i in range(value["many"])]
    return value


class DnsServer:
    def __init__(self, zone=None, address="127.0.0.1", port=0, upper=False):
        self.zone = {key(k): v for k, v in (zone or {}).items()}
        self.upper = upper  # answer with the question in upper case (a resolver without 0x20)
        self.lock = threading.Lock()
        self.log = []       # (time, "udp"|"tcp", name, type)
        self.ports = set()  # source ports of UDP questions
        self.sequences = Counter()
        self.address = address
        self.stop = threading.Event()
        self._bind(address, port)

    # ---- life ----

    def _bind(self, address, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for _ in range(50):  # a port that is free for both
            self.udp = socket.socket(family, socket.SOCK_DGRAM)
            self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            self.udp.bind((address, port))
            self.port = self.udp.getsockname()[1]
            self.tcp = socket.socket(family, socket.SOCK_STREAM)
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self.tcp.bind((address, self.port))
                break
            except OSError:
                self.udp.close()
                self.tcp.close()
                if port:
                    raise
        self.tcp.listen(128)

    def start(self):
        for target in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=target, daemon=True).start()
        return self

    def close(self):
        if self.stop.is_set():
            return
        self.stop.set()
        for s in (self.udp, self.tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    __enter__ = start

    def __exit__(self, *_):
        self.close()

    # ---- what tests ask ----

    @property
    def endpoint(self):
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def count(self, name=None, qtype=None, transport=None):
        with self.lock:
            return sum(1 for _, t, n, q in self.log
                       if (name is None or n == key(name)) and (qtype is None or q == qtype)
                       and (transport is None or t == transport))

    def counts(self):
        with self.lock:
            return dict(Counter(f"{n} {q} {t}" for _, t, n, q in self.log))

    def reset(self):
        with self.lock:
            self.log.clear()
            self.sequences.clear()

    # ---- the zone ----

    def node(self, name):
        name = key(name)
        if name in self.zone:
            return self.zone[name]
        if name.startswith("mx"):  # targets of {"many": N}
            head, _, rest = name.partition(".")
            parent = self.zone.get(rest)
            if parent and isinstance(parent.get("mx"), dict) and head[2:].isdigit():
                return {"a": [f"127.0.0.{1 + int(head[2:]) % 250}"]}
        labels = name.split(".")
        for i in range(1, len(labels)):
            wild = self.zone.get(".".join(["*"] + labels[i:]))
            if wild is not None:
                return wild
        return None

    def behaviours(self, name, qtype):
        b = (self.node(name) or {}).get("behave", [])
        if isinstance(b, dict) and "seq" not in b:
            b = b.get(qtype, [])
        if isinstance(b, dict):
            with self.lock:
                at = self.sequences[key(name), qtype]
                self.sequences[key(name), qtype] += 1
            b = b["seq"][min(at, len(b["seq"]) - 1)]
        return [b] if isinstance(b, str) else list(b)

    @staticmethod
    def rdata(name, node, qtype):
        if qtype == "A":
            return [A(x) for x in many(node.get("a", []), lambda i: f"127.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}")]
        if qtype == "AAAA":
            return [AAAA(x) for x in many(node.get("aaaa", []), lambda i: f"2001:db8::{i:x}")]
        if qtype == "MX":
            return [MX(t, p) for p, t in many(node.get("mx", []), lambda i: [10 + i // 4, f"mx{i}.{name}"])]
        if qtype == "TXT":
            return [TXT(x) for x in node.get("txt", [])]
        if qtype == "PTR" and "ptr" in node:
            return [PTR(node["ptr"])]
        return []

    def fill(self, reply, name, qtype):
        """The honest answer."""
        owner = str(name)
        for _ in range(20):
            node = self.node(owner)
            if node is None:
                reply.header.rcode = RCODE.NXDOMAIN
                self.add_soa(reply, {})
                return
            ttl = node.get("ttl", 300)
            if "cname" in node and qtype != "CNAME":
                reply.add_answer(RR(owner, QTYPE.CNAME, rdata=CNAME(node["cname"]), ttl=ttl))
                if not node.get("chase", True):
                    return
                owner = node["cname"]
                continue
            records = self.rdata(key(owner), node, qtype)
            for r in records:
                reply.add_answer(RR(owner, getattr(QTYPE, qtype), rdata=r, ttl=ttl))
            if not records:
                self.add_soa(reply, node)
            return

    @staticmethod
    def add_soa(reply, node):
        minimum = node.get("soa", 60)
        if minimum is not None:
            times = (1, 3600, 600, 86400, minimum)
            reply.add_auth(RR("test", QTYPE.SOA, rdata=SOA("ns.test", "root.test", times), ttl=minimum))

    # ---- answers ----

    def answers(self, data, transport, peer):
        """Yields (delay in s, bytes); None as bytes: close the TCP connection."""
        try:
            question = DNSRecord.parse(data)
            qname, qtype = question.q.qname, QTYPE[question.q.qtype]
        except Exception:  # pylint: disable=broad-except
            return
        with self.lock:
            self.log.append((time.monotonic(), transport, key(qname), qtype))
            if transport == "udp":
                self.ports.add(peer[1])
        yield from self.behave(question, qname, qtype, transport)

    def behave(self, question, qname, qtype, transport):
        behaviours = self.behaviours(qname, qtype)
        reply = question.reply(ra=1, aa=0)
        delay, flood, twice, wire_edit = 0.0, 0, False, None
        edns = [r for r in question.ar if r.rtype == QTYPE.OPT]
        if edns:
            reply.add_ar(EDNS0(udp_len=1232))
        reply.header.ad = 1 if (self.node(qname) or {}).get("ad") else 0
        rcode = None
        for b in behaviours:
            what, _, arg = b.partition(":")
            if what == "drop" or (what == "tcp-drop" and transport == "tcp"):
                return
            if what == "tcp-close" and transport == "tcp":
                yield 0, None
                return
            if what == "delay":
                delay = float(arg) / 1000
            elif what == "flood":
                flood = int(arg)
            elif what == "twice":
                twice = True
            elif what in RCODES:
                rcode = RCODES[what]
            elif what == "noedns" and edns:
                reply = question.reply(ra=1, aa=0)
                reply.ar = []
                rcode = RCODE.FORMERR
            elif what in ("truncate", "truncate-always"):
                if transport == "udp" or what == "truncate-always":
                    reply.header.tc = 1
                    rcode = RCODE.NOERROR
            elif what not in ("ok", "noedns", "tcp-drop", "tcp-close"):
                wire_edit = what
        if rcode is not None:
            reply.header.rcode = rcode
            if rcode == RCODE.NXDOMAIN:
                self.add_soa(reply, self.node(qname) or {})
        else:
            self.fill(reply, qname, qtype)
        wire = self.edit(reply, wire_edit)
        if transport == "udp" and len(wire) > 1232:
            short = question.reply(ra=1, aa=0)
            short.header.tc = 1
            wire = bytes(short.pack())
        if self.upper:
            wire = self.other_case(wire, upper=True)
        for i in range(flood):
            yield 0, struct.pack("!H", (question.header.id + 1 + i) & 0xFFFF) + wire[2:]
        yield delay, wire
        if twice:
            yield 0, wire

    @staticmethod
    def other_case(wire, upper=False):
        """The question's letters in the other (or upper) case."""
        out, at = bytearray(wire), 12
        while at < len(out) and out[at]:
            for i in range(at + 1, at + 1 + out[at]):
                if i < len(out):
                    c = bytes(out[i:i + 1])  # bytes: ASCII letters only
                    out[i:i + 1] = c.upper() if upper else c.swapcase()
            at += out[at] + 1
        return bytes(out)

    def edit(self, reply, what):
        if what == "lame":
            reply.rr = []
            reply.auth = [RR("test", QTYPE.NS, rdata=NS("ns.elsewhere.test"), ttl=60)]
            reply.header.ra = reply.header.aa = 0
            reply.header.rcode = RCODE.NOERROR
        elif what == "poison":
            extra = [RR("bank.test", QTYPE.A, rdata=A("192.0.2.66"), ttl=86400),
                     RR("bank.test", QTYPE.MX, rdata=MX("evil.test", 0), ttl=86400)]
            reply.rr = extra + reply.rr
        wire = bytes(reply.pack())
        if what == "wrong-id":
            return struct.pack("!H", reply.header.id ^ 0x5555) + wire[2:]
        if what == "wrong-question":
            other = copy.deepcopy(reply)
            other.questions[0].qname = "other.test"
            return bytes(other.pack())
        if what == "wrong-case":
            return self.other_case(wire)
        if what == "garbage":
            return wire[:2] + bytes((i * 37 + 11) & 0xFF for i in range(200))
        if what == "short":
            return wire[:max(13, len(wire) // 2)]
        if what == "empty":
            return b""
        if what == "lying-count":
            return wire[:6] + b"\xff\xff" + wire[8:]
        if what == "loop-pointer":
            at = len(wire)
            return wire[:6] + b"\x00\x01" + wire[8:12] + self._question(wire) + struct.pack(
                "!HHHIH", 0xC000 | (12 + len(self._question(wire))), 1, 1, 300, 4) + b"\x7f\0\0\1" + b"\0" * (at % 3)
        return wire

    @staticmethod
    def _question(wire):
        at = 12
        while wire[at]:
            at += wire[at] + 1
        return wire[12:at + 5]

    # ---- sockets ----

    def _send_udp(self, wire, peer):
        try:
            self.udp.sendto(wire, peer)
        except OSError:
            pass

    def _serve_udp(self):
        while not self.stop.is_set():
            try:
                data, peer = self.udp.recvfrom(65535)
            except OSError:
                return
            for delay, wire in self.answers(data, "udp", peer):
                if delay:
                    threading.Timer(delay, self._send_udp, (wire, peer)).start()
                else:
                    self._send_udp(wire, peer)

    def _serve_tcp(self):
        while not self.stop.is_set():
            try:
                conn, peer = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._tcp_connection, args=(conn, peer), daemon=True).start()

    def _tcp_connection(self, conn, peer):
        with conn, conn.makefile("rb") as reader:
            try:
                while True:
                    head = reader.read(2)
                    if len(head) < 2:
                        return
                    data = reader.read(struct.unpack("!H", head)[0])
                    for delay, wire in self.answers(data, "tcp", peer):
                        if wire is None:
                            return
                        time.sleep(delay)
                        framed = struct.pack("!H", len(wire)) + wire
                        # In pieces: a reader that expects a whole answer at once must fail a test.
                        for i in range(0, len(framed), max(1, len(framed) // 3)):
                            conn.sendall(framed[i:i + max(1, len(framed) // 3)])
            except OSError:
                return


def main():
    parser = argparse.ArgumentParser(description="scripted DNS server")
    parser.add_argument("zone", help="JSON file, - for stdin")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--upper", action="store_true", help="do not keep the case of questions")
    args = parser.parse_args()
    with (sys.stdin if args.zone == "-" else open(args.zone, encoding="utf-8")) as f:
        zone = json.load(f)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with DnsServer(zone, args.address, args.port, args.upper) as server:
        print(server.port, flush=True)
        try:
            threading.Event().wait()
        except (KeyboardInterrupt, SystemExit):
            pass
        print(json.dumps(server.counts()), flush=True)


if __name__ == "__main__":
    main()
