# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines of profile 003: by variables, by files below /etc/smarthost."""
import json

from .profile import profile_engine

BASE = {"RINGPOST_PROFILE": "003"}
FOLDER = "/etc/smarthost"
YAML = FOLDER + "/yaml.d/config.yaml"
STRANGER = "127.0.0.9"


def start(make, sink, more=None, **kwargs):
    """The relay is set, so that mail comes to the sink; None: it is not."""
    kwargs.setdefault("listeners", 2)
    env = {**BASE, **({"SH_RELAY_HOST": sink.endpoint} if sink else {}), **(more or {})}
    return profile_engine(make, env, **kwargs)


def with_yaml(make, sink, conf, more=None, files=None, **kwargs):
    """JSON is YAML."""
    return start(make, sink, more, files={YAML: json.dumps(conf), **(files or {})}, **kwargs)


def rcpt(c, to="x@external.example", sender="a@b.example"):
    """The answer to RCPT; MAIL must be taken."""
    c.ok(f"MAIL FROM:<{sender}>")
    reply = c.cmd(f"RCPT TO:<{to}>")
    c.ok("RSET")
    return reply
