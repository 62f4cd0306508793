# SPDX-License-Identifier: GPL-3.0-or-later
"""Message bytes as they stand on the wire of a transparent hop: CRLF lines, no dot-stuffing."""
import itertools
import os
import re

_number = itertools.count(1)


def tag():
    """Unique in this run."""
    return f"t{os.getpid()}x{next(_number)}"


def message(subject=None, body=b"Hello.\r\n", headers=()):
    """A small message. headers: further lines without CRLF."""
    lines = [b"From: <alice@example.test>", b"To: <bob@example.test>",
             b"Subject: " + (subject or tag()).encode(),
             b"Date: Fri, 21 Nov 2025 10:00:00 +0000",
             b"Message-ID: <" + tag().encode() + b"@example.test>"]
    lines += [h if isinstance(h, bytes) else h.encode() for h in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def sized(size, line=76):
    """A message of exactly `size` bytes (above some 300) whose content differs from any other."""
    head = message()
    fill = size - len(head)
    assert fill >= 2
    unit = (tag().encode() + b"-0123456789abcdefghijklmnopqrstuvwxyz" * 3)[:line - 2] + b"\r\n"
    body = (unit * (fill // len(unit) + 1))[:fill - 2]
    # A cut in the middle of a CRLF would leave a bare CR.
    body = body[:-1] + b"x" if body.endswith(b"\r") else body
    return head + body + b"\r\n"


def stuff(data):
    """RFC 5321 4.5.2, with the end of the data."""
    out = re.sub(rb"(?m)^\.", b"..", data)
    if out and not out.endswith(b"\r\n"):
        out += b"\r\n"
    return out + b".\r\n"


def unstuff(data):
    return re.sub(rb"(?m)^\.", b"", data)


def split_received(data):
    """(the first field with its continuation lines, the rest)."""
    match = re.match(rb"[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", data)
    return (match.group(0), data[match.end():]) if match else (b"", data)


def without_received(data):
    """The message without our Received field; AssertionError when it does not begin with one."""
    first, rest = split_received(data)
    assert first.startswith(b"Received: from "), data[:200]
    return rest
