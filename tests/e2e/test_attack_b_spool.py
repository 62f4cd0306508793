# SPDX-License-Identifier: GPL-3.0-or-later
"""B6: an envelope that somebody wrote into the spool, with right checksums, does not become commands."""
import glob
import os
import struct

from harness.client import Client
from harness.message import message, tag

TABLE = []
for value in range(256):
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    TABLE.append(value)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def rewrite(spool, old, new):
    """Puts `new` where `old` is in a frame (spool/format.h), and makes the checksums right again."""
    assert len(old) == len(new)
    for path in glob.glob(os.path.join(spool, "**", "seg-*.log"), recursive=True):
        with open(path, "rb") as file:
            data = bytearray(file.read())
        at, salt, done = data.find(b"RPF1", 4096), bytes(data[40:48]), 0
        while at >= 0:
            size, = struct.unpack_from("<I", data, at + 12)
            payload = bytes(data[at + 48:at + 48 + size])
            if at % 8 == 0 and old in payload:
                assert struct.unpack_from("<I", data, at + 8)[0] == crc32c(salt + payload)
                payload = payload.replace(old, new, 1)  # the envelope is before the content
                data[at + 48:at + 48 + size] = payload
                struct.pack_into("<I", data, at + 8, crc32c(salt + payload))
                struct.pack_into("<I", data, at + 4, crc32c(salt + bytes(data[at + 8:at + 48])))
                done += 1
            at = data.find(b"RPF1", at + 4)
        if done:
            with open(path, "r+b") as file:
                file.write(data)
            return
    raise AssertionError(f"{old} is nowhere")


POISON = {  # text of a message's envelope: what is put in its place
    b"poison-recipient@example.test": b"b@x>\r\nDATA\r\n.\r\nMAIL FROM:<v@y",
    b"poison-sender@example.tst": b"a@x>\r\nRCPT TO:<victim@y.t",
    b"poison-orcpt@example.test": b"x\r\nRCPT TO:<victim@y.tst>",
    b"poison-envid-123456789012": b"x\r\nRCPT TO:<victim@y.tst>",
    b"poison-nul@example.test": b"poison\0nul@example\0test",
}


def test_a_spool_with_commands_in_its_envelopes(make):
    """B6: the last check before a command is written stops them: these messages fail, nothing of them is said to a
    server, and the others go out."""
    sink = make.sink(["PIPELINING", "DSN", "CHUNKING"], script={"connect": lambda s, a: "421 4.3.2 later"})
    engine = make.engine({"relay": {"host": sink.endpoint, "tls": "none"}, "queue": {"schedule": ["1h"]}})
    good = tag()
    with Client(engine.port) as c:
        c.ehlo()
        for text in POISON:
            kind = text.decode().split("-")[1].split("@")[0]
            c.ok("MAIL FROM:<{}>{}".format(text.decode() if kind == "sender" else "a@example.test",
                                           f" ENVID={text.decode()}" if kind == "envid" else ""))
            c.ok("RCPT TO:<{}>{}".format(text.decode() if kind in ("recipient", "nul") else "b@example.test",
                                         f" ORCPT=rfc822;{text.decode()}" if kind == "orcpt" else ""))
            assert c.data(message("poisoned")).code == 250
        assert c.submit(message(good)).code == 250
    engine.event("deferred", count=1 + len(POISON))
    engine.kill()
    for text, instead in POISON.items():
        rewrite(engine.spool, text, instead)
    sink.script.clear()
    engine.start()
    engine.queue("retry", "--all")
    sink.with_subject(good)
    counters = engine.wait_empty(30)
    assert counters["bounced"] >= len(POISON)
    spoken = [c.line for c in sink.commands()]
    assert not [line for line in spoken if b"victim" in line or b"poison" in line or b"<v@" in line], spoken
    assert {line.split(b" ")[0].split(b":")[0] for line in spoken} <= {b"EHLO", b"MAIL", b"RCPT", b"BDAT", b"RSET", b"QUIT"}
    # Reports about them, if any, quote nothing that runs.
    assert [m.subject for m in sink.messages if m.sender] == [good]
    for m in sink.messages:
        assert b"\n" not in m.data.replace(b"\r\n", b"") and b"\0" not in m.data
