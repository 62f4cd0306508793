# SPDX-License-Identifier: GPL-3.0-or-later
"""Delivery by MX in small: loopback addresses as hosts, a scripted name server, an engine that asks it."""
from dnsserver import DnsServer

from .client import submit
from .engine import merge
from .message import message, tag
from .ports import free_port
from .sink import Sink

HOSTS = [f"127.0.0.{i}" for i in range(2, 10)]


class World:
    """Loopback addresses with or without a sink, names for them, and an engine that asks for them."""

    def __init__(self, make, zone, conf=None, upper=False):
        self.make = make
        self.port = free_port(tuple(HOSTS))
        self.dns = make.add(DnsServer(zone, upper=upper).start())
        base = {"dns": {"servers": [self.dns.endpoint], "timeout": "500ms", "tries": 2, "ttl_min": "1s"},
                "delivery": {"mx_port": self.port, "private_targets": "allow", "connect_timeout": "2s"}}
        self.conf = merge(base, conf or {})
        self.sinks = {}

    def sink(self, address, **kwargs):
        self.sinks[address] = self.make.add(Sink(host=address, port=self.port, **kwargs).start())
        return self.sinks[address]

    def start(self):
        self.engine = self.make.engine(self.conf)
        return self.engine


def mx(name="dest.test", hosts=None):
    """hosts: [(preference, address)]; each address gets a name of its own."""
    hosts = hosts or [(10, "127.0.0.2")]
    zone = {name: {"mx": [[p, f"mx{i}.{name}"] for i, (p, _) in enumerate(hosts)]}}
    for i, (_, address) in enumerate(hosts):
        zone[f"mx{i}.{name}"] = {"a": [address]}
    return zone


def send(w, to="bob@dest.test", subject=None, sender="alice@back.test"):
    subject = subject or tag()
    submit(w.engine.port, message(subject), sender=sender, to=[to])
    return subject
