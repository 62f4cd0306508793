# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a condition: no test sleeps and hopes."""
import threading
import time


def wait_until(condition, timeout=10.0, what="the condition", interval=0.01):
    """The first true value of condition(); AssertionError after timeout."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(interval)


def stays_false(condition, seconds, interval=0.02):
    """True when condition() never held during that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return False
        time.sleep(interval)
    return True


def run_all(functions):
    """Runs them in threads; the first exception is raised."""
    errors = []

    def guarded(f):
        try:
            f()
        except BaseException as error:  # pylint: disable=broad-except
            errors.append(error)
    threads = [threading.Thread(target=guarded, args=(f,)) for f in functions]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]
