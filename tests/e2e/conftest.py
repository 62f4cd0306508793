# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the end-to-end tests. Everything listens on loopback, lives below tmp_path and is ended
by its process id; an absent tool is an error that names ./dev deps test."""
import os
import shutil
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from harness.engine import Engine  # noqa: E402
from harness.mxworld import World  # noqa: E402
from harness.receivers import HARAKA_IS_HERE  # noqa: E402
from harness.sink import Sink  # noqa: E402

# A shell that starts the tests in the background ignores it, and so would all that is started here.
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def pytest_terminal_summary(terminalreporter):
    if not HARAKA_IS_HERE:
        terminalreporter.write_line("Not tested against Haraka, which is not here: ./dev deps test gets it from npm where "
                                    "npm and Node.js 20 are.")


class Makers:
    """Makes engines, sinks and others, and ends them in the reverse order."""

    def __init__(self, folder):
        self.folder = folder
        self.engines = []
        self.others = []

    def engine(self, conf=None, start=True, name=None, **kwargs):
        folder = os.path.join(str(self.folder), name or f"engine{len(self.engines)}")
        engine = Engine(folder, conf, **kwargs)
        self.engines.append(engine)
        return engine.start() if start else engine

    def sink(self, *args, **kwargs):
        return self.add(Sink(*args, **kwargs).start())

    def add(self, thing):
        """Anything with close()."""
        self.others.append(thing)
        return thing

    def relay(self, conf=None, sink=None, **kwargs):
        """An engine with a sink as its smarthost."""
        sink = sink or self.sink()
        engine = self.engine({**{"relay": {"host": sink.endpoint}}, **(conf or {})}, **kwargs)
        engine.sink = sink
        return engine

    def finish(self, failed=False):
        problems = []
        for engine in reversed(self.engines):
            try:
                if failed:
                    engine.abandon()
                engine.stop()
            except AssertionError as error:
                problems.append(str(error))
            finally:
                engine.abandon()
        for other in reversed(self.others):
            other.close()
        assert not problems, "\n".join(problems)
        shutil.rmtree(self.folder, ignore_errors=True)  # spools are big


@pytest.fixture
def make(tmp_path):
    makers = Makers(tmp_path)
    yield makers
    makers.finish()


@pytest.fixture
def engine(make):
    return make.engine


@pytest.fixture
def sink(make):
    return make.sink()


@pytest.fixture
def relay(make, sink):
    """An engine whose smarthost is `sink`."""
    return make.relay(sink=sink)


@pytest.fixture
def world(make):
    def build(zone, conf=None, sinks=("127.0.0.2",), **kwargs):
        w = World(make, zone, conf, **kwargs)
        for address in sinks:
            w.sink(address)
        w.start()
        return w
    return build


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One engine with a sink for a module of tests that leave it as it was."""
    makers = Makers(tmp_path_factory.mktemp("shared"))
    engine = makers.relay()
    yield engine
    assert engine.running, engine.trouble()
    makers.finish()
