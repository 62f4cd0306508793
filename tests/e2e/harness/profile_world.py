# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of several profiles put around an engine, and ask of it."""
import base64
import re
import subprocess

from dnsserver import DnsServer

from .client import submit
from .message import message, tag
from .peers import tool
from .pki import key_file, openssl
from .tlsclient import SecureClient

DEST = "dest.test"  # whose mail host direct() makes


def answering(make, zone):
    """The settings of an engine that asks a name server with this zone."""
    return {"dns.servers": make.add(DnsServer(zone).start()).endpoint}


def direct(make, host="127.0.0.4", **more):
    """(a sink that is the MX host of DEST, the settings of an engine that delivers there)."""
    sink = make.sink(host=host, **more)
    zone = {DEST: {"mx": [[10, "mx." + DEST]]}, "mx." + DEST: {"a": [host]}}
    return sink, {**answering(make, zone), "delivery.mx_port": sink.port, "delivery.private_targets": "allow"}


def setting(engine, path):
    """A value as `ringpost config` prints it: setting(engine, "queue.max_age") == "5d"; of every item of a list
    with "listeners[].port"."""
    done = engine.ringpost("config")
    assert done.returncode == 0, done.stderr
    group, key = path.split(".")
    text = re.search(rf"(?m)^{re.escape(group.removesuffix('[]'))}:\n((?:[ -].*\n)*)", done.stdout).group(1)
    values = re.findall(rf"(?m)^  (?:  |- )?{re.escape(key)}: (.*)$", text)
    return values if group.endswith("[]") else values[0]


def certificate_of(port):
    """DER."""
    with SecureClient(port) as c:
        c.starttls()
        return c.certificate()


# ---- mail ----

def send_from(port, domain, **kwargs):
    """One message whose From is in this domain; its subject."""
    subject = tag()
    submit(port, message(subject).replace(b"alice@example.test", b"alice@" + domain.encode()), **kwargs)
    return subject


def swaks(port, *words):
    done = subprocess.run([tool("swaks"), "--server", f"127.0.0.1:{port}", "--from", "sender@example.com",
                           "--to", "recipient@external-domain.com", *words],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- DKIM ----

def rsa_pem():
    with open(key_file("rsa"), "rb") as f:
        return f.read()


def signature(data):
    """The tags of the signature on top, as {"d": b"example.org"}; {}: there is none."""
    found = re.search(rb"(?i)^DKIM-Signature:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", data.split(b"\r\n\r\n")[0], re.M)
    items = re.sub(rb"\s", b"", found.group(1)).strip(b";").split(b";") if found else []
    return {name.decode(): value for name, _, value in (item.partition(b"=") for item in items)}


def verifies(data, pem, name=None):
    """By dkimpy, with this key's record at `name` (None: everywhere)."""
    import dkim
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(openssl("pkey", "-pubout", "-outform", "DER", stdin=pem))
    return dkim.verify(data, dnsfunc=lambda asked, timeout=5:
                       record if name is None or asked.rstrip(b".") == name.encode() else None)
