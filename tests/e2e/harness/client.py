# SPDX-License-Identifier: GPL-3.0-or-later
"""A raw SMTP client: what is sent is exactly what the test says."""
import re
import socket
import time

from .message import message, stuff

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3}) ")


class Closed(Exception):
    """The server closed before a whole reply came."""


class Reply:
    def __init__(self, lines):
        self.lines = lines
        self.code = int(lines[0][:3])
        self.text = "\n".join(line[4:] for line in lines)
        match = _ENHANCED.match(lines[0][4:])
        self.enhanced = match.group(1) if match else ""
        assert all(line[:3] == lines[0][:3] for line in lines), lines

    @property
    def status(self):
        """"550 5.5.2", or the bare code where no enhanced one belongs."""
        return f"{self.code} {self.enhanced}".strip()

    def __repr__(self):
        return "\\n".join(self.lines)


class Client:
    def __init__(self, port, host="127.0.0.1", timeout=20, source=None, greeting=True):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        if source:
            self.socket.bind((source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect((host, port))
        self.buffer = b""
        self.banner = self.reply() if greeting else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    # ---- bytes ----

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def send_pieces(self, data, size=1, pause=0.0):
        """In segments of `size` bytes (TCP_NODELAY is on: each write is a segment)."""
        for at in range(0, len(data), size):
            self.socket.sendall(data[at:at + size])
            if pause:
                time.sleep(pause)

    def _fill(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionError as error:
            raise Closed(str(error)) from error
        if not data:
            raise Closed(f"closed; left over: {self.buffer!r}")
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self._fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("utf-8", "backslashreplace")

    def reply(self):
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return Reply(lines)

    def replies(self, count):
        return [self.reply() for _ in range(count)]

    def rest(self):
        """All replies until the server closes."""
        out = []
        try:
            while True:
                out.append(self.reply())
        except Closed:
            assert not self.buffer, self.buffer
            return out

    def closed(self, timeout=5):
        """True when the server closes without another byte."""
        self.socket.settimeout(timeout)
        try:
            data = self.buffer or self.socket.recv(1)
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return not data

    # ---- commands ----

    def cmd(self, line):
        self.send((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        return self.reply()

    def ok(self, line):
        """The same; the reply must be 2xx or 3xx."""
        reply = self.cmd(line)
        assert reply.code < 400, (line, reply)
        return reply

    def ehlo(self, name="client.example.test"):
        return self.ok(f"EHLO {name}")

    def keywords(self):
        """EHLO keywords with their parameters."""
        words = {}
        for line in self.ehlo().lines[1:]:
            name, _, rest = line[4:].partition(" ")
            words[name] = rest
        return words

    def envelope(self, sender="alice@example.test", to=("bob@example.test",), params=""):
        self.ok(f"MAIL FROM:<{sender}>{' ' + params if params else ''}")
        for rcpt in [to] if isinstance(to, str) else to:
            self.ok(f"RCPT TO:<{rcpt}>")

    def data(self, content):
        """DATA with the stuffed content; the reply to its end."""
        assert self.cmd("DATA").code == 354
        self.send(stuff(content))
        return self.reply()

    def bdat(self, content, last=True):
        self.send(b"BDAT %d%s\r\n" % (len(content), b" LAST" if last else b"") + content)
        return self.reply()

    def submit(self, content=None, sender="alice@example.test", to=("bob@example.test",), params=""):
        """A whole transaction; the reply to its end."""
        self.envelope(sender, to, params)
        return self.data(message() if content is None else content)

    def quit(self):
        reply = self.cmd("QUIT")
        self.close()
        return reply


def submit(port, content=None, sender="alice@example.test", to=("bob@example.test",), params="",
           expect=250):
    """One message in one session. Returns the reply to its end."""
    with Client(port) as c:
        c.ehlo()
        reply = c.submit(content, sender, to, params)
        assert reply.code == expect, reply
        c.quit()
        return reply
