# SPDX-License-Identifier: GPL-3.0-or-later
"""Many messages at a time, and who has delivered them."""
import threading
from collections import Counter

from .client import Client, Closed
from .message import message, tag, without_received
from .wait import run_all


class Load:
    """Sessions that submit until they are through or told to end; what was answered 250 is in `sent`."""

    def __init__(self, port, make_content=None, to="bob@example.test"):
        self.port, self.to = port, to
        self.make_content = make_content or (lambda: message(tag()))
        self.sent = {}          # subject -> content
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.threads = []

    def _session(self, count):
        try:
            with Client(self.port, timeout=60) as c:
                c.ehlo()
                done = 0
                while not self.over.is_set() and (count is None or done < count):
                    content = self.make_content()
                    reply = c.submit(content, to=[self.to])
                    if reply.code != 250:
                        assert count is None, reply
                        return
                    done += 1
                    with self.lock:
                        self.sent[subject_of(content)] = content
        except (Closed, OSError, AssertionError):
            if count is not None or not self.over.is_set():
                raise

    def run(self, sessions, count):
        """Each session submits that many; all must be accepted."""
        run_all([lambda: self._session(count)] * sessions)
        return self

    def start(self, sessions, count=None):
        """In the background, until stop(), or until each has submitted that many."""
        self.threads = [threading.Thread(target=self._session, args=(count,), daemon=True) for _ in range(sessions)]
        for t in self.threads:
            t.start()
        return self

    def stop(self):
        self.over.set()
        for t in self.threads:
            t.join(60)


def subject_of(content):
    return content.split(b"Subject: ", 1)[1].split(b"\r\n", 1)[0].decode()


def copies(load, *sinks):
    """How often each message that was accepted has come; nothing else has, and all are whole."""
    counts = Counter()
    for sink in sinks:
        with sink.lock:
            messages = list(sink.messages)
        for m in messages:
            assert without_received(m.data) == load.sent[m.subject], m.subject
            counts[m.subject] += 1
    return counts


def once(load, *sinks):
    counts = copies(load, *sinks)
    missing = [s for s in load.sent if counts[s] == 0]
    twice = [s for s in load.sent if counts[s] > 1]
    assert not missing and not twice, (len(load.sent), missing[:5], twice[:5])


def workers_that_connected(engine, count):
    """The number of a session is that of its worker, modulo `count` workers. Needs the log's debug level."""
    return {e["session"] % count for e in engine.events("outbound_open")}
