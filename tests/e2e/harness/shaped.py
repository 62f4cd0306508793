# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites of one provider, all at one address: a sink that counts for all of them."""
from dnsserver import DnsServer

from .client import Client
from .engine import merge
from .message import message, tag
from .ports import free_port
from .sink import Sink

ADDRESS = "127.0.0.2"
JITTER = 0.15  # from the engine's clock to the sink's, on a busy machine


def mx_of(name):
    return f"mx.{name}.prov.test"


class Shaped:
    """Domains NAME.test, each with a host mx.NAME.prov.test (or one for all), at one sink."""

    def __init__(self, make, names, shaping, conf=None, script=None, hosts=None, same_host=False):
        zone = {}
        for name in names:
            host = "mx.prov.test" if same_host else mx_of(name)
            zone[f"{name}.test"] = {"mx": [[10, host]]}
            zone[host] = {"a": [(hosts or {}).get(name, ADDRESS)]}
        self.port = free_port((ADDRESS, "127.0.0.9"))
        self.dns = make.add(DnsServer(zone).start())
        self.sink = make.add(Sink(host=ADDRESS, port=self.port, script=script).start())
        base = {"dns": {"servers": [self.dns.endpoint], "timeout": "500ms", "tries": 2},
                "delivery": {"mx_port": self.port, "private_targets": "allow", "connect_timeout": "2s"},
                "shaping": {"builtin": False, **shaping}}
        self.engine = make.engine(merge(base, conf or {}))

    def of(self, name):
        with self.sink.lock:
            return [m for m in self.sink.messages if m.rcpts[0].endswith(f"@{name}.test")]

    @staticmethod
    def name_of(session):
        """Of the first RCPT that came."""
        for c in session.commands:
            if c.verb == "RCPT":
                return c.line.split(b"@")[1].split(b".test")[0].decode()
        return None

    def peak_of(self, name):
        """Most sessions of this name that had messages at the same time."""
        with self.sink.lock:
            spans = [(m.at, m.session) for m in self.sink.messages]
        lives = {}
        for at, session in spans:
            if self.name_of(session) == name:
                first, last = lives.get(session, (at, at))
                lives[session] = (min(first, at), max(last, at))
        return max(sum(a <= at <= b for a, b in lives.values()) for at, _ in lives.values())

    @staticmethod
    def exact_with_changes(times, changes):
        """changes: (when, rate); burst 1. No window holds more than the rates of its moments allow."""
        def allowed(a, b):
            total, edges = 0.0, changes + [(float("inf"), 0)]
            for (start, rate), (end, _) in zip(edges, edges[1:]):
                total += rate * max(0.0, min(b, end) - max(a, start))
            return total
        for i, a in enumerate(times):
            for j in range(i + 1, len(times)):
                assert j - i <= allowed(a - JITTER, times[j]) + 0.01, (i, j, times[j] - a, allowed(a, times[j]))


def fill(engine, names, count, make=None):
    """count messages to each, in turn, in one session."""
    with Client(engine.port, timeout=60) as c:
        c.ehlo()
        for _ in range(count):
            for name in names:
                reply = c.submit(make() if make else message(tag()), to=[f"bob@{name}.test"])
                assert reply.code == 250, reply


def mail_times(sink):
    return sorted(c.at for c in sink.commands("MAIL"))


def exact(times, rate, burst):
    """In no window more than burst + rate * its length."""
    for i, a in enumerate(times):
        for j in range(i + burst, len(times)):
            assert j - i + 1 <= burst + rate * (times[j] - a + JITTER), (i, j, times[j] - a)


def used(times, rate, burst):
    """At least 90 % of what it lets through."""
    assert len(times) - burst >= 0.9 * rate * (times[-1] - times[0]), (len(times), times[-1] - times[0])
