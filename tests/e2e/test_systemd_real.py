# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/systemd under a real systemd, as they are but for a shorter watchdog: states, reload, sockets, secrets, the
watchdog, a configuration that is refused. What needs no systemd is in test_systemd.py."""
import os
import re
import subprocess
import sys

import pytest

from harness.peers import ROOT, require_root, tool
from harness.systemd import Systemd
from harness.wait import wait_until

CONF = """
identity: {hostname: relay.example.test}
spool: {dir: /var/lib/ringpost/spool, segment_size: 1MiB, min_free: 0}
sandbox: {mode: enforce}
workers: 1
listeners:
  - {address: 0.0.0.0, port: 25}
  - {address: 0.0.0.0, port: 587}
relay: {host: "[127.0.0.1]:9", username: me, tls: none}
dns: {servers: ["127.0.0.1:9"], timeout: 300ms}
"""
DROP_IN = """
[Service]
WatchdogSec=5
LoadCredential=relay-password:/etc/ringpost/secrets/relay-password
Environment=RINGPOST_RELAY_PASSWORD_FILE=%d/relay-password
"""
SEND = """
import smtplib
with smtplib.SMTP("127.0.0.1", 25, timeout=60) as s:
    s.sendmail("a@example.com", ["b@example.net"], "Subject: x\\r\\n\\r\\nx\\r\\n")
"""


@pytest.fixture(scope="module", name="systemd")
def boot(tmp_path_factory):
    require_root()
    s = Systemd(tmp_path_factory.mktemp("systemd"), {
        "etc/ringpost/ringpost.yaml": CONF, "etc/ringpost/secrets/relay-password": "geheim\n",
        "etc/systemd/system/ringpost.service.d/more.conf": DROP_IN})
    yield s
    s.close()


def queued(systemd):
    done = systemd.run("/usr/local/bin/ringpost", "queue", "stats", "--json", "--socket",
                       "/var/lib/ringpost/spool/admin.sock")
    return int(re.search(r'"queued":(\d+)', done.stdout)[1])


def test_a_unit_in_all_its_states(systemd):
    """One after the other: each step begins where the one before ended."""
    # The ports are open, nobody listens behind them yet: the first client starts the engine and is served.
    systemd.run("systemctl", "start", "ringpost.socket")
    assert systemd.show("ringpost", "ActiveState") == ["inactive"]
    systemd.run(sys.executable, "-c", SEND)
    assert queued(systemd) == 1
    active = ["active", "running", "taking mail on 2 ports", "0"]
    look = ("ActiveState", "SubState", "StatusText", "NRestarts")
    assert systemd.show("ringpost", *look) == active, systemd.units_log()

    # No privilege, and secrets that only it can read.
    main = systemd.show("ringpost", "MainPID")[0]
    status = systemd.run("cat", f"/proc/{main}/status").stdout
    assert re.search(r"(?m)^Uid:\t64123\t64123\t64123\t64123$", status)
    assert re.search(r"(?m)^CapBnd:\t0+$", status) and re.search(r"(?m)^NoNewPrivs:\t1$", status)
    secret = "/run/credentials/ringpost.service/relay-password"
    assert systemd.run("stat", "-c", "%u %a", secret).stdout == "64123 400\n"

    # systemctl reload comes back when the new configuration is in force.
    systemd.run("systemctl", "reload", "ringpost")
    wait_until(lambda: '"reloaded"' in systemd.units_log(), 30, "the reload")
    assert systemd.show("ringpost", *look) == active

    # It hangs: ended and started again, the mail is there.
    systemd.run("sh", "-c", f"kill -STOP {main}")
    wait_until(lambda: systemd.show("ringpost", "NRestarts", "SubState") == ["1", "running"], 60, "the watchdog")
    assert systemd.show("ringpost", "MainPID") != [main] and queued(systemd) == 1
    systemd.run("systemctl", "stop", "ringpost")
    assert systemd.show("ringpost", "ActiveState", "Result", "ExecMainStatus") == ["inactive", "success", "0"]

    # A configuration that is refused: status 78, and not again and again.
    systemd.run("sh", "-c", "echo 'nope: 1' >>/etc/ringpost/ringpost.yaml")
    assert systemd.run("systemctl", "start", "ringpost.service", check=False).returncode == 1
    assert systemd.show("ringpost", "ActiveState", "ExecMainStatus", "NRestarts") == ["failed", "78", "0"]
    assert "nope: unknown key" in systemd.units_log()


# ---- the files ----

UNITS = os.path.join(ROOT, "docs", "systemd")


def test_the_units_are_understood(tmp_path):
    """systemd-analyze verify: no word that it does not know. (It looks for the program and the user, too.)"""
    done = subprocess.run([tool("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no",
                           *(os.path.join(UNITS, name) for name in sorted(os.listdir(UNITS)))],
                          capture_output=True, text=True, timeout=60, check=False)
    said = [line for line in done.stderr.splitlines() if "/usr/local/bin/ringpost" not in line]
    assert not said, done


def test_the_score_is_the_documented_one():
    done = subprocess.run([tool("systemd-analyze"), "security", "--offline=true", "--no-pager",
                           os.path.join(UNITS, "ringpost.service")],
                          capture_output=True, text=True, timeout=60, check=False)
    score = re.search(r"exposure level for ringpost.service: ([\d.]+) OK", done.stdout)[1]
    assert float(score) <= 1.1
    with open(os.path.join(ROOT, "docs", "OPERATIONS.md"), encoding="utf-8") as f:
        assert f"exposure level for ringpost.service: {score} OK" in f.read()
