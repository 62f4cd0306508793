# SPDX-License-Identifier: GPL-3.0-or-later
"""G8: servers whose replies no SMTP server gives. Several hundred of them at once, each at an address of its own, each
with one kind of nonsense at one stage, against one engine. What becomes of the mail is in the tables; whatever becomes
of it, nobody else's mail waits, memory stays bounded, and when the servers are good all that was deferred arrives."""
from collections import Counter

import pytest

from harness.client import Client
from harness.engine import measuring
from harness.hostile import Case, Endless, Hostile, Pieces, Stall
from harness.message import message
from harness.sink import ALL, Close, Delay, Reset, Silence
from harness.wait import run_all, wait_until

DEADLINE = 5  # s: of each stage
PIPELINED = ("PIPELINING", "8BITMIME")
STEPWISE = ("8BITMIME",)
CODE = {"connect": b"220", "ehlo": b"250", "mail": b"250", "rcpt": b"250", "data": b"354", "dot": b"250", "rset": b"250",
        "quit": b"221"}
# stage -> (the stage of the script, EHLO keywords); "alone" is without PIPELINING, the last two with BDAT.
STAGES = {"connect": ("connect", PIPELINED), "ehlo": ("ehlo", PIPELINED), "mail": ("mail", PIPELINED),
          "rcpt": ("rcpt", PIPELINED), "rcpt alone": ("rcpt", STEPWISE), "data": ("data", PIPELINED),
          "data alone": ("data", STEPWISE), "dot": ("dot", PIPELINED), "quit": ("quit", PIPELINED),
          "rset": ("rset", ALL), "bdat": ("dot", ALL)}

# What is no reply at all. {} is the code that would be right.
BROKEN = {
    "000": b"000 ok\r\n", "999": b"999 ok\r\n", "199": b"199 ok\r\n", "600": b"600 ok\r\n", "100": b"100-continue\r\n",
    "2": b"2\r\n", "25": b"25\r\n", "no code": b"hello\r\n", "empty line": b"\r\n", "letters": b"2x0 ok\r\n",
    "four digits": b"2500 ok\r\n", "leading zero": b"0250 ok\r\n", "leading space": b" {} ok\r\n",
    "negative": b"-{} ok\r\n", "hex": b"0xfa ok\r\n", "exponent": b"2e2 ok\r\n",
    "wide digits": "\uff12\uff15\uff10 ok\r\n".encode(), "no space": b"{}ok\r\n", "tab": b"{}\tok\r\n",
    "colon": b"{}: ok\r\n", "8-bit": bytes(range(128, 160)) + b"\r\n", "nul first": b"\0{} ok\r\n",
    "nul in the code": b"2\x0050 ok\r\n", "nul behind the code": b"{}\0ok\r\n", "bare cr": b"\r{} ok\r\n",
    "empty line first": b"\r\n{} ok\r\n", "mixed codes": b"{}-a\r\n550 b\r\n", "mixed codes, good last": b"550-a\r\n{} b\r\n",
    "mixed within 2xx": b"250-a\r\n251 b\r\n", "continued by text": b"{}-a\r\nhello\r\n",
    "line of 5 kB": b"{} " + b"x" * 5000 + b"\r\n", "line of 1 MB": b"{} " + b"x" * (1 << 20) + b"\r\n",
    "65 lines": b"{}-x\r\n" * 64 + b"{} x\r\n", "5,000 lines": b"{}-x\r\n" * 5000 + b"{} x\r\n",
    "40 kB": (b"{}-" + b"x" * 1000 + b"\r\n") * 40 + b"{} x\r\n", "http": b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.9\r\n", "tls alert": b"\x15\x03\x01\x00\x02\x02\x28\r\n", "imap": b"* OK ready\r\n",
    "endless lines": Endless(b"{}-x\r\n"), "endless line": Endless(b"x", b"{} "), "endless nuls": Endless(b"\0"),
}
# It ends, or stays away, before a whole reply has come.
LOST = {
    "close": Close(), "reset": Reset(), "close in a code": Close(b"25"), "close in a line": Close(b"{} o"),
    "close before the lf": Close(b"{} ok\r"), "close between lines": Close(b"{}-first\r\n"),
    "reset in a line": Reset(b"{}-first\r\n25"),
    "silence": Silence(), "stalls in a code": Stall(b"2"), "stalls before the lf": Stall(b"{} ok\r"),
    "stalls between lines": Stall(b"{}-first\r\n"), "slow drip": Endless(b"x", b"{} ", 0.4),
    "slow lines": Endless(b"{}-x\r\n", b"", 0.4),
}
# Odd, but a reply: the engine takes it for what its code says.
FINE = {
    "code alone": b"{}\r\n", "code and space": b"{} \r\n", "bare lf": b"{} ok\n", "bare lf in lines": b"{}-a\n{} b\r\n",
    "nul in the text": b"{} a\0b\r\n", "8-bit text": b"{} \xff\xfe\x80\r\n", "cr in the text": b"{} a\rb\r\n",
    "cr cr lf": b"{} ok\r\r\n", "escape": b"{} \x1b[2J\x07\r\n", "64 lines": b"{}-x\r\n" * 63 + b"{} x\r\n",
    "line of 4096": b"{} " + b"x" * 4090 + b"\r\n", "30 kB": (b"{}-" + b"x" * 1000 + b"\r\n") * 29 + b"{} x\r\n",
    "enhanced of another class": b"{} 5.1.1 no such user\r\n", "enhanced that is none": b"{} 2.999999.1 x\r\n",
    "format string": b"{} %s%n%p\r\n", "each byte alone": lambda reply: Pieces([reply[i:i + 1] for i in range(len(reply))]),
    "late": lambda reply: Delay(1, reply),
}
# Definite refusals, however they look.
REFUSED = {
    "5xx": b"550 no\r\n", "5xx code alone": b"550\r\n", "5xx of 64 lines": b"550-x\r\n" * 63 + b"550 x\r\n",
    "5xx with a good enhanced code": b"550 2.1.5 fine\r\n", "5xx with nul": b"550 a\0\xff\r\n",
    "5xx with 4.x.x": b"554 4.7.1 later\r\n", "599": b"599 x\r\n",
}
BUSY = {
    "4xx": b"451 later\r\n", "421": b"421 closing\r\n", "421 and close": Close(b"421 4.3.2 closing\r\n"),
    "4xx with 5.x.x": b"450 5.1.1 no\r\n", "499": b"499 x\r\n", "421 of 64 lines": b"421-x\r\n" * 63 + b"421 x\r\n",
}
# A reply, but to something else.
MISFIT = {"354": b"354 go on\r\n", "334": b"334 \r\n", "300": b"300 x\r\n", "2xx to data": b"250 ok\r\n"}
# {} and one that answers nothing.
EXTRA = {"twice": b"{} ok\r\n{} ok\r\n", "and 354": b"{} ok\r\n354 go\r\n", "five times": b"{} ok\r\n" * 5,
         "and nonsense": b"{} ok\r\nhello\r\n", "and 421": b"{} ok\r\n421 bye\r\n"}
KINDS = {"broken": BROKEN, "lost": LOST, "fine": FINE, "refused": REFUSED, "busy": BUSY, "misfit": MISFIT,
         "extra": EXTRA}
