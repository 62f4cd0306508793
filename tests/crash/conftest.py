# SPDX-License-Identifier: GPL-3.0-or-later
"""The crash tests use the end-to-end tests' harness and fixtures."""
import importlib.util
import os
import sys
import time

E2E = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e")
sys.path.insert(0, E2E)
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

_spec = importlib.util.spec_from_file_location("e2e_conftest", os.path.join(E2E, "conftest.py"))
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

# One seed for all processes of a run: this one is first, the others have its environment.
os.environ.setdefault("RINGPOST_CRASH_SEED", str(int(time.time())))


def pytest_terminal_summary(terminalreporter):
    """What tests have recorded as figures, and how to have the same choices again."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, text in getattr(report, "user_properties", []):
                if name == "figures" and report.when == "call":
                    terminalreporter.write_line(text)
    terminalreporter.write_line(f"RINGPOST_CRASH_SEED={os.environ['RINGPOST_CRASH_SEED']}")


Makers = _module.Makers
make = _module.make
