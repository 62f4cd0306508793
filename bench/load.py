# SPDX-License-Identifier: GPL-3.0-or-later
"""The two ends of a measured server: ringpost-bench source and sink as processes."""
import json
import os
import signal
import subprocess
import time


class Failed(Exception):
    """Something that ends the comparison, with a text for the user."""


class Unavailable(Failed):
    """Something that is not to be had here: its rows are left out, and say so."""


def stop(process, seconds=20):
    """SIGTERM, then SIGKILL, to a process that we started."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def pinned(cores):
    return (lambda: os.sched_setaffinity(0, cores)) if cores else None


class Sink:
    """One sink for many runs: its ledger keeps them apart."""

    def __init__(self, bench, cores, *options):
        end, child_end = os.pipe()
        # Its own session: Ctrl-C reaches only us.
        self.process = subprocess.Popen(
            [bench, 'sink', '--ready-fd', str(child_end), *options], stdout=subprocess.PIPE, text=True,
            pass_fds=[child_end], preexec_fn=pinned(cores), start_new_session=True)
        os.close(child_end)
        with os.fdopen(end) as ready:
            line = ready.readline().strip()
        if not line:
            raise Failed('the sink did not start')
        self.port = int(line)

    def totals(self):
        """What came so far, of all runs."""
        self.process.send_signal(signal.SIGUSR1)
        line = self.process.stdout.readline()
        if not line:
            raise Failed('the sink ended')
        return json.loads(line)

    def run(self, run):
        """What came of this run so far."""
        for entry in self.totals()['runs']:
            if entry['run'] == run:
                return entry
        return {'unique': 0, 'duplicates': 0, 'last_us': 0, 'end_to_end_us': {'p50': 0, 'p99': 0}}

    def wait(self, run, copies, patience_s, alive):
        """Until all copies came, or nothing has come for patience_s."""
        seen, moved = -1, time.monotonic()
        while True:
            entry = self.run(run)
            if entry['unique'] >= copies:
                return entry
            if entry['unique'] != seen:
                seen, moved = entry['unique'], time.monotonic()
            if time.monotonic() - moved > patience_s or not alive():
                return entry
            time.sleep(0.02)

    def close(self):
        stop(self.process)
        self.process.stdout.close()


class Source:
    """One run of the load generator."""

    def __init__(self, bench, port, cores, *options):
        self.process = subprocess.Popen(
            [bench, 'source', '--to', f'127.0.0.1:{port}', *map(str, options)],
            stdout=subprocess.PIPE, text=True, preexec_fn=pinned(cores), start_new_session=True)

    def report(self):
        """The next JSON line: at the end of the run, or with --hold when all sessions are open."""
        line = self.process.stdout.readline()
        if not line:
            raise Failed('the load source ended without a report')
        return json.loads(line)

    def close(self):
        stop(self.process)
        self.process.stdout.close()
