# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that logs in at its smarthost: what test_auth_out.py and test_auth_hosts.py begin with. (Their
fixtures come with the import.)"""
import pytest

from .tls_peer import login_world, no_secrets, peer_ca

USER, SECRET = "alice", "c4n4ry:# secret;\"'\\pass"
GOOD = {USER: SECRET}


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return peer_ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def auth(make, ca):
    """auth(offer, tls=…, relay={…}): an engine that logs in as USER at mail.peer.test."""
    return lambda *args, **more: login_world(make, ca, USER, SECRET, *args, **more)


def not_sent(engine, code=None, status=None):
    event = engine.event("deferred")
    assert event["stage"] == "auth" and engine.sink.attempts == [], event
    assert code is None or event["code"] == code, event
    assert status is None or event["status"] == status, event
    assert engine.sink.commands("MAIL") == [] and engine.events("bounced") == []
    no_secrets(engine, SECRET)
    return event
