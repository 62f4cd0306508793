# SPDX-License-Identifier: GPL-3.0-or-later
"""The outbound MTA of profile 000 with a plain sink behind it, as the original's compose file has it. (The
fixtures come with the import.)"""
import email
import smtplib
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY

import pytest

from .login import login_plain
from .message import tag
from .profile import profile_engine, self_signed
from .tlsclient import SecureClient, context

USER, PASSWORD, NAME = "testuser", "testpass", "mta-out-test.localhost"
CERT, KEY = "/etc/ssl/certs/ssl-cert-snakeoil.pem", "/etc/ssl/private/ssl-cert-snakeoil.key"
REQUIRED = {"SMTP_USERNAME": USER, "SMTP_PASSWORD": PASSWORD}
BASE = {**REQUIRED, "MYHOSTNAME": NAME}
# What the original's sink is: plain, no AUTH, no STARTTLS, no PIPELINING, no DSN.
PLAIN = ["SIZE 33554432", "8BITMIME"]


def certificates():
    cert, key = self_signed(NAME)
    return {CERT: cert, KEY: key}


def start(make, more=None, **kwargs):
    return profile_engine(make, {**BASE, **(more or {})}, files=kwargs.pop("files", None) or certificates(), **kwargs)


def bare(make, more=None, start_it=False, **kwargs):
    """Only what the original demands: every default shows."""
    return profile_engine(make, {**REQUIRED, **(more or {})}, start=start_it, files=certificates(), **kwargs)


@pytest.fixture(scope="module", name="world")
def make_world(tmp_path_factory):
    from conftest import Makers
    makers = Makers(tmp_path_factory.mktemp("profile000"))
    sink = makers.sink(features=PLAIN)
    engine = start(makers, {"RELAYHOST": sink.endpoint})
    engine.sink = sink
    yield engine
    assert engine.running, engine.trouble()
    makers.finish()


@pytest.fixture(name="mta")
def make_mta(world):
    with world.sink.lock:
        del world.sink.messages[:]
    return world


@pytest.fixture(name="smtp")
def make_smtp(mta):
    """smtplib as applications use it: connect, STARTTLS without verification, login."""
    client = smtplib.SMTP("127.0.0.1", mta.port, timeout=20)
    client.ehlo()
    client.starttls(context=context())
    client.ehlo()
    client.login(USER, PASSWORD)
    yield client
    client.quit()


def secured(mta, login=True):
    c = SecureClient(mta.port, name=NAME)
    c.starttls()
    c.ehlo()
    if login:
        assert login_plain(c, USER, PASSWORD).code == 235
    return c


def mail(subject=None, to="recipient@external-domain.com", **headers):
    m = EmailMessage()
    m["From"], m["To"], m["Subject"] = "sender@example.com", to, subject or tag()
    for name, value in headers.items():
        m[name] = value
    m.set_content("This is a test.\n")
    return m


def received(mta, m, timeout=10):
    """The one message at the sink, parsed, with the three headers that each test of the original compares."""
    (hit,) = mta.sink.with_subject(m["Subject"], timeout=timeout)
    got = email.message_from_bytes(hit.data, policy=SMTP_POLICY)
    for name in ("Subject", "From", "To"):
        assert got[name] == m[name]
    return got, hit
