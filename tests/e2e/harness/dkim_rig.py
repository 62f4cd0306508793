# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys, messages through an engine, and their signatures."""
import os
import re
import subprocess

import dkim

from .client import Client
from .engine import binary, sanitizer_environment
from .message import tag
from .wait import wait_until

CANONS = ["relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"]
# SMTP carries everything else of dkim_corpus.messages().
REFUSED_BY_SMTP = ("body: nul", "body: bare cr", "body: bare cr last")
EVERYTHING = {"limits": {"line_length_action": "pass"}}


class Key:
    def __init__(self, folder, name, kind):
        self.selector = name
        self.path = str(folder / f"{name}.pem")
        done = subprocess.run([binary(), "dkim", "keygen", "example.org", name, "--type", kind, "--out", self.path],
                              capture_output=True, check=True, env={**os.environ, **sanitizer_environment()})
        self.strings = re.findall('"([^"]*)"', done.stdout.decode().splitlines()[-1])
        self.record = "".join(self.strings).encode()

    def listed(self, domain="example.org", **more):
        return {"name": domain, "dkim_selector": self.selector, "dkim_key_file": self.path, **more}


def through(e, *contents, bdat=0):
    """Sends them in one session; returns what arrived, in the same order. bdat: size of chunks."""
    numbers = []
    with Client(e.port) as c:
        c.ehlo()
        for content in contents:
            numbers.append(tag())
            content = b"X-Number: " + numbers[-1].encode() + b"\r\n" + content
            c.envelope()
            if bdat:
                for at in range(0, len(content), bdat):
                    reply = c.bdat(content[at:at + bdat], at + bdat >= len(content))
            else:
                reply = c.data(content)
            assert reply.code == 250, (reply, content[:100])

    def find(number):
        line = b"X-Number: " + number.encode() + b"\r\n"
        return [m.data for m in e.sink.messages if line in m.data[:20000]]
    wait_until(lambda: all(find(n) for n in numbers), 20, "all of them")
    found = [find(n) for n in numbers]
    assert all(len(f) == 1 for f in found)
    return [f[0] for f in found]


def signatures(data):
    """The fields of the header, unfolded."""
    head = re.sub(rb"\r\n[ \t]+", b" ", data.split(b"\r\n\r\n", 1)[0])
    return [line for line in head.split(b"\r\n") if line.lower().startswith(b"dkim-signature:")]


def tags(field):
    return dict(part.strip().split(b"=", 1) for part in field.split(b":", 1)[1].split(b";") if part.strip())


def verify(data, keys, domain=b"example.org", count=None):
    """All signatures in front are good, and by these keys."""
    fields = signatures(data)
    assert len(fields) == (count or len(keys)), fields
    records = {k.selector.encode() + b"._domainkey." + domain + b".": k.record for k in keys}
    seen = set()
    for i in range(len(keys)):
        d = dkim.DKIM(data)
        assert d.verify(idx=i, dnsfunc=lambda name, timeout=5: records[name]), (i, data[:2000])
        assert d.signature_fields[b"d"] == domain and b"l" not in d.signature_fields
        seen.add(d.signature_fields[b"s"].decode())
    assert seen == {k.selector for k in keys}
