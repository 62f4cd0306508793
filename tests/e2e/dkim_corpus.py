# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages with every trap of DKIM's canonicalisation, and a generator of random ones.

messages() yields (name, content): content is as SMTP carries it (CRLF; only the last line may lack it).
Every message has one From field at example.org. obsolete() yields those that dkimpy cannot parse at all
or reads otherwise than RFC 6376 says; they are for other verifiers.
"""
import random

FROM = b"From: Joe Doe <joe@example.org>\r\n"
HEAD = FROM + b"To: ann@example.net\r\nSubject: trap\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"


def bodies():
    yield "no blank line", None
    yield "empty", b""
    yield "one crlf", b"\r\n"
    yield "three crlf", b"\r\n\r\n\r\n"
    yield "plain", b"hello\r\n"
    yield "no final crlf", b"hello\r\nworld"
    yield "trailing blank lines", b"hello\r\n\r\n\r\n\r\n"
    yield "inner blank lines", b"a\r\n\r\n\r\n\r\nb\r\n"
    yield "many inner blank lines", b"a" + b"\r\n" * 1000 + b"b" + b"\r\n" * 1000
    yield "leading blank lines", b"\r\n\r\na\r\n"
    yield "trailing wsp", b"hello  \r\nworld\t\r\n \t \r\n"
    yield "blank lines of wsp at the end", b"hello\r\n \r\n\t\t\r\n  \t\r\n"
    yield "only wsp", b" \t \r\n"
    yield "only wsp lines", b" \r\n\t\r\n"
    yield "wsp runs", b"a  b\t\tc \t d\r\n  lead\r\n\tlead\r\n"
    yield "wsp around crlf", b"a \r\n b\t\r\n\tc \t\r\n\t \td\r\n"
    yield "dots", b".\r\n..\r\n.a\r\n"
    yield "8-bit", "blåbærgrød – “quote”\r\n".encode() + bytes(range(128, 256)) + b"\r\n"
    yield "nbsp is no wsp", b"a\xc2\xa0 \xa0\r\n\xa0\r\n"
    yield "line of 998", b"x" * 998 + b"\r\n"
    yield "line of 70000", b"y z  " * 14000 + b"\r\n"
    yield "stage edges", b"".join(b"w" * n + b"  " for n in (510, 511, 512, 513, 1, 1023)) + b"\r\n"
    yield "big", b"The quick brown fox  jumps over \t the lazy dog \r\n" * 20000
    yield "formfeed", b"a\x0b\x0cb\x0c\r\n\x0c\r\n"
    yield "nul", b"a\0b\0\r\n\0\r\n"
    yield "bare cr", b"a\rb \r c\r\r\nend\r\r\n"
    yield "bare cr last", b"a\r\n\r"
    yield "mime", (b"--b\r\nContent-Type: text/plain\r\n\r\nDKIM-Signature: v=1; b=x\r\n--b--\r\n\r\n")


def headers():
    yield "folded subject", FROM + b"Subject: a\r\n b\r\n\tc\r\n  \t d\r\n"
    yield "fold before the first word", FROM + b"Subject:\r\n late\r\n"
    yield "folds of wsp only", FROM + b"Subject: a\r\n \r\n\t\r\n b\r\n \t \r\n"
    yield "no space after the colon", b"From:joe@example.org\r\nSubject:x\r\nTo:a@b.example\r\n"
    yield "many spaces after the colon", b"From: \t  joe@example.org\r\nSubject:    x\r\n"
    yield "trailing wsp", b"From: joe@example.org \t \r\nSubject: x \t\r\n"
    yield "inner wsp runs", b"From: Joe  \t Doe   <joe@example.org>\r\nSubject: a  b\t\tc\r\n"
    yield "empty values", FROM + b"Subject:\r\nTo: \r\nCc:\t\r\n"
    yield "case of names", b"FROM: joe@example.org\r\nsUbJeCt: X\r\ncontent-TYPE: text/plain\r\n"
    yield "colons and semicolons", FROM + b"Subject: a:b;c=d:: ;b=xyz; bh=1\r\n"
    yield "duplicate subjects", FROM + b"Subject: first\r\nTo: a@b\r\nSubject: second\r\nSubject: third\r\n"
    yield "duplicates with case", FROM + b"to: 1@b\r\nTO: 2@b\r\nTo: 3@b\r\nCc: 4@b\r\ncc: 5@b\r\n"
    yield "received and trace", b"Received: x\r\nReceived: y\r\nReturn-Path: <z>\r\n" + HEAD
    yield "signed already", (b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=other.example;\r\n"
                             b" s=x; t=1; h=From; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n" + HEAD)
    yield "8-bit header", FROM + "Subject: Grüße – ok\r\n".encode() + b"To: \xff\xfe@b\r\n"
    yield "very long line", FROM + b"Subject: " + b"x" * 900 + b"\r\n"
    yield "line of 60000", FROM + b"Subject: " + b"word  " * 10000 + b"\r\n"
    yield "long references", HEAD + b"References: " + b"\r\n ".join(b"<%d@example.org>" % i for i in range(500)) + b"\r\n"
    yield "many recipients fields", FROM + b"".join(b"To: user%d@example.net\r\n" % i for i in range(300))
    yield "from folded", b"From: \"Doe,\r\n Joe\" (a\r\n\tcomment)\r\n <joe@example.org>\r\nSubject: x\r\n"
    yield "from is last", b"Subject: x\r\nTo: a@b\r\nFrom: joe@example.org\r\n"
    yield "list headers", HEAD + b"List-Unsubscribe: <https://example.org/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    yield "resent", HEAD + b"Resent-From: r@example.org\r\nResent-Date: x\r\nResent-To: q@b\r\n"
    yield "all signed", HEAD + b"".join(
        n + b":  some  value \r\n" for n in (
            b"Cc", b"Reply-To", b"Content-Type", b"Message-ID", b"In-Reply-To", b"References", b"Sender",
            b"MIME-Version", b"Content-Transfer-Encoding", b"Content-ID", b"Content-Description", b"List-Id",
            b"Feedback-ID", b"CFBL-Address"))


def messages():
    for name, body in bodies():
        yield "body: " + name, HEAD + (b"" if body is None else b"\r\n" + body)
    for name, header in headers():
        yield "header: " + name, header + b"\r\nbody  \r\n"


def obsolete():
    yield "wsp before the colon", b"From : joe@example.org\r\nSubject\t: x\r\nTo \t : a@b\r\n\r\nbody\r\n"
    yield "formfeed at the edge of a value", FROM + b"Subject: \x0cx\x0b\r\n\r\nbody\r\n"


def generate(rng):
    """A random message, mostly of what the algorithms treat specially."""
    words = [b" ", b"\t", b"  ", b"a", b"b=", b":", b";", b"\xc3\xa9", b"word", b"x" * 40]

    def text(n):
        return b"".join(rng.choice(words) for _ in range(rng.randrange(n)))

    def field(name):
        folds = b"".join(b"\r\n" + rng.choice([b" ", b"\t"]) + text(5) for _ in range(rng.randrange(3)))
        return name + b":" + text(6) + folds + b"\r\n"
    fields = [b"From:" + rng.choice([b"", b" ", b"\t "]) + b"joe@example.org" + rng.choice([b"", b" ", b"\t"]) + b"\r\n"]
    for _ in range(rng.randrange(8)):
        fields.append(field(rng.choice([b"To", b"to", b"Subject", b"CC", b"Date", b"X-Other", b"Received", b"Message-Id",
                                        b"List-Unsubscribe", b"Content-Type"])))
    rng.shuffle(fields)
    lines = [text(6) + rng.choice([b"\r\n", b"\r\n\r\n", b" \r\n"]) for _ in range(rng.randrange(8))]
    end = rng.choice([b"", b"", b"tail", b"tail ", b" ", b"\r\n\r\n"])
    return b"".join(fields) + b"\r\n" + b"".join(lines) + end


def random_messages(seed, count):
    rng = random.Random(seed)
    for i in range(count):
        yield f"random {seed}/{i}", generate(rng)
