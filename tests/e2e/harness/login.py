# SPDX-License-Identifier: GPL-3.0-or-later
"""AUTH from the client's side, byte by byte."""
import base64
import hashlib
import hmac


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def plain(user, password, authzid=""):
    return b64(f"{authzid}\0{user}\0{password}")


def login_plain(c, user, password, initial=True):
    if initial:
        return c.cmd("AUTH PLAIN " + plain(user, password))
    reply = c.cmd("AUTH PLAIN")
    assert (reply.code, reply.text) == (334, ""), reply
    return c.cmd(plain(user, password))


def login_login(c, user, password, initial=False):
    reply = c.cmd("AUTH LOGIN" + (" " + b64(user) if initial else ""))
    if not initial:
        assert (reply.code, reply.text) == (334, b64("Username:")), reply
        reply = c.cmd(b64(user))
    assert (reply.code, reply.text) == (334, b64("Password:")), reply
    return c.cmd(b64(password))


def login_cram(c, user, password):
    reply = c.cmd("AUTH CRAM-MD5")
    assert reply.code == 334, reply
    challenge = base64.b64decode(reply.text)
    assert challenge.startswith(b"<") and challenge.endswith(b">") and b"@" in challenge
    digest = hmac.new(password.encode(), challenge, hashlib.md5).hexdigest()
    return c.cmd(b64(f"{user} {digest}"))


WAYS = {
    "plain": login_plain,
    "plain later": lambda c, u, p: login_plain(c, u, p, False),
    "login": login_login,
    "login initial": lambda c, u, p: login_login(c, u, p, True),
    "cram-md5": login_cram,
}
