# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox around a running engine: that it is there, that everything still works inside, and what it says to files
outside. What it refuses is tried out in tests/unit/core/app/test_sandbox_*.c and tests/unit/core/io/test_uring_restrict.c;
all other tests here run inside it, too."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from harness.client import submit
from harness.engine import run
from harness.inject import Died, Inside
from harness.message import message
from harness.peers import nobody, require_root
from harness.pki import Authority
from harness.tlsclient import SecureClient
from harness.wait import wait_until


def status(pid, thread=None):
    """/proc/PID/status as a dict."""
    path = f"/proc/{pid}/task/{thread}/status" if thread else f"/proc/{pid}/status"
    with open(path, encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def threads(engine):
    return [status(engine.process.pid, t) for t in os.listdir(f"/proc/{engine.process.pid}/task")]


def is_confined(engine, expected):
    """Beside what the tests themselves may run under (./dev test --io eperm)."""
    own = status("self")
    for thread in threads(engine):
        assert int(thread["Seccomp_filters"]) == int(own["Seccomp_filters"]) + expected, thread
        assert thread["Seccomp"] == ("2" if expected else own["Seccomp"]), thread
        assert thread["NoNewPrivs"] == ("1" if expected else own["NoNewPrivs"]), thread


@pytest.mark.parametrize("mode", ["auto", "enforce"])
def test_in_force(make, mode):
    """K4: In every thread, those included that were there before; and the log says so."""
    e = make.engine({"workers": 2, "sandbox": {"mode": mode}})
    is_confined(e, True)
    told = e.event("sandbox")
    assert told["landlock"] >= 1 and told["paths"] >= 5 and 40 <= told["syscalls"] <= 90, told
    assert told["rings_restricted"] is (e.event("started")["io_backend"] == "uring") and "reason" not in told


def test_before_the_first_client(make):
    """Nothing of a client is processed outside."""
    e = make.engine()
    order = [line["event"] for line in e.events()]
    assert order.index("listening") < order.index("sandbox") < order.index("ready"), order


def test_off(make):
    e = make.engine({"sandbox": {"mode": "off"}})
    is_confined(e, False)
    told = e.event("sandbox")
    assert told["reason"] == "sandbox.mode is off" and told["landlock"] == told["syscalls"] == 0
    submit(e.port)


def test_nobody_may_look_inside(make):
    """Another process of the same user sees neither memory nor descriptors; no core file."""
    e = make.engine()
    with open(f"/proc/{e.process.pid}/limits", encoding="ascii") as f:
        core = next(line for line in f if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    assert os.stat(f"/proc/{e.process.pid}/environ").st_uid == 0  # not dumpable: root's, whoever runs it


# ---- somebody runs code inside ----

EPERM, EACCES = -1, -13
AT_FDCWD, CREATE = -100, os.O_WRONLY | os.O_CREAT

REFUSED = [
    ("socket", (socket.AF_UNIX, socket.SOCK_STREAM, 0), EPERM),
    ("socket", (socket.AF_PACKET, socket.SOCK_RAW, 0), EPERM),
    ("mmap", (0, 4096, 7, 0x22, -1, 0), EPERM),  # to write and to run
    ("kill", (os.getpid(), 0), EPERM),
]
FILES_REFUSED = ["/etc/shadow", "/etc/passwd", "/root/.bashrc", "/proc/1/environ"]
KILLED = ["execve", "io_uring_setup", "process_vm_readv", "memfd_create", "setuid", "chroot", "bpf"]


def test_calls_from_inside(make, tmp_path):
    """K4: The running engine itself makes them. It goes on."""
    require_root()
    (tmp_path / "secret").write_text("x")
    e = make.relay()
    with Inside(e.process.pid) as p:
        conf = p.call("openat", AT_FDCWD, p.text(e.file), os.O_RDONLY, 0)
        made = p.call("openat", AT_FDCWD, p.text(os.path.join(e.spool, "made")), CREATE, 0o600)
        assert conf > 2 and made > 2  # so calls do arrive
        for name, arguments, expected in REFUSED:
            assert p.call(name, *arguments) == expected, (name, arguments)
        for path in [*FILES_REFUSED, str(tmp_path / "secret")]:
            assert p.call("openat", AT_FDCWD, p.text(path), os.O_RDONLY, 0) == EACCES, path
        assert p.call("openat", AT_FDCWD, p.text(e.file), os.O_WRONLY, 0) == EACCES
        assert p.call("openat", AT_FDCWD, p.text(str(tmp_path / "new")), CREATE, 0o600) == EACCES
        assert p.call("unlinkat", AT_FDCWD, p.text(str(tmp_path / "secret")), 0) == EACCES
    submit(e.port)
    e.sink.wait(1)


@pytest.mark.parametrize("name", KILLED)
def test_killed_from_inside(make, name):
    """K4: The process ends at once, as by kill -9: after the next start all mail is there."""
    require_root()
    e = make.engine({"relay": {"host": "[127.0.0.1]:9"}})
    submit(e.port)
    with pytest.raises(Died, match="SIGSYS"), Inside(e.process.pid) as p:
        p.call(name, p.text("/bin/true"), 0, 0, 0, 0, 0)
    e.process.returncode = -signal.SIGSYS
    e.kill()
    e.start()
    assert e.counters()["queued"] == 1


# ---- life goes on inside ----

def test_a_day_inside(make, tmp_path):
    """Mail out and into a mailbox, TLS, a new certificate, a reload, orders, a restart of the log's reader."""
    (tmp_path / "pki").mkdir()
    authority = Authority(tmp_path / "pki")
    first, second = (authority.issue(name, ["mail.example.test"], "ec", i) for i, name in enumerate("ab"))
    place = tmp_path / "tls"
    place.mkdir()

    def put(pair):
        for name, text in (("tls.crt", pair.cert), ("tls.key", pair.key)):
            (place / (name + ".new")).write_bytes(text)
            os.chmod(place / (name + ".new"), 0o600)
            os.rename(place / (name + ".new"), place / name)
    put(first)
    mail = tmp_path / "mail"
    mail.mkdir()
    e = make.relay({"listeners": None, "tls": {"cert_file": str(place / "tls.crt"),
                                               "key_file": str(place / "tls.key")},
                    "access": {"local_domains": ["local.test"]},
                    "local": {"maildir": str(mail / "{domain}/{local}"), "create": True}}, start=False)
    e.conf["listeners"] = [{"address": "127.0.0.1", "port": e.port, "tls": "may"}]
    e.start()
    is_confined(e, True)
    before = {t["Pid"] for t in threads(e)}
    submit(e.port)
    submit(e.port, to=("carl@local.test",))
    e.sink.wait(1)
    e.wait_empty()
    assert len(os.listdir(mail / "local.test" / "carl" / "new")) == 1
    put(second)

    def served():
        with SecureClient(e.port) as c:
            c.starttls()
            return c.certificate()
    wait_until(lambda: served() == second.der, 15, "the new certificate", interval=0.1)
    e.write({"headers": {"received": "none"}})
    e.hup()
    wait_until(lambda: len(e.events("reloaded")) >= 2, 15, "the reload")
    submit(e.port, message("after"))
    e.sink.with_subject("after")
    assert not e.events("reload_refused")
    assert e.counters()["delivered"] == 3
    assert {t["Pid"] for t in threads(e)} == before  # none was made later, not by the allocator either
    assert e.stderr() == ""


def test_a_file_elsewhere(make, tmp_path):
    """A reload that names a file that the start did not know: refused with the reason and the remedy, nothing changes;
    after a restart it is read."""
    far = tmp_path / "far" / "away"
    far.mkdir(parents=True)
    (far / "users").write_text("joe:{PLAIN}secret\n")
    e = make.relay()
    e.write({"auth": {"users_file": [str(far / "users")]}})
    e.hup()
    refused = e.event("reload_refused")["reason"]
    assert "auth.users_file" in refused and "sandbox" in refused and "restart it" in refused, refused
    submit(e.port)
    e.sink.wait(1)
    e.restart()
    submit(e.port)
    e.sink.wait(2)
    e.hup()
    e.event("reloaded")


def test_a_folder_that_is_mounted_over(make, tmp_path):
    """Landlock knows the folder that was there at the start, not the one that a later mount lays over it: a reload is
    refused with the remedy, as for a file elsewhere; a mount further down is read."""
    require_root()
    for name in ("over", "below"):
        (tmp_path / name / "in").mkdir(parents=True)
        (tmp_path / name / "in" / "users").write_text(f"{name}:{{PLAIN}}secret\n")
    e = make.engine({"auth": {"users_file": [str(tmp_path / name / "in" / "users") for name in ("over", "below")]}},
                    prefix=["unshare", "--mount", "--propagation", "private"])

    def mount(folder, inside):
        script = 'mount -t tmpfs tmpfs "$1" && mkdir -p "$1/$2" && echo "new:{PLAIN}secret" >"$1/$2/users"'
        subprocess.run(["nsenter", "-t", str(e.process.pid), "-m", "sh", "-c", script, "sh", folder, inside],
                       check=True)
    mount(str(tmp_path / "below" / "in"), ".")  # the folder above it has a rule, too
    e.hup()
    e.event("reloaded")
    mount(str(tmp_path / "over"), "in")  # the highest folder with a rule
    e.hup()
    refused = e.event("reload_refused")["reason"]
    assert str(tmp_path / "over") in refused and "restart it" in refused, refused


def test_a_file_elsewhere_without_a_sandbox(make, tmp_path):
    far = tmp_path / "far" / "away"
    far.mkdir(parents=True)
    (far / "users").write_text("joe:{PLAIN}secret\n")
    e = make.relay({"sandbox": {"mode": "off"}})
    e.write({"auth": {"users_file": [str(far / "users")]}})
    e.hup()
    e.event("reloaded")


def test_mode_needs_a_restart(make):
    e = make.engine()
    e.write({"sandbox": {"mode": "off"}})
    e.hup()
    assert "sandbox.mode" in e.event("reload_refused")["reason"]
    is_confined(e, True)


# ---- as in a container: no root, no capabilities, a root that cannot be written ----

LAUNCHER = """
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro /
shift
exec setpriv --reuid nobody --regid nogroup --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""


@pytest.fixture(name="open_folder")
def make_open_folder():
    """Where others than root may go."""
    folder = tempfile.mkdtemp(prefix="ringpost-nobody-", dir="/tmp")
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder)


def test_without_any_privilege(open_folder, make):
    """K2."""
    require_root()
    uid, gid = nobody()
    home = os.path.join(open_folder, "engine")
    os.mkdir(home)
    os.chown(home, uid, gid)
    e = make.relay({"sandbox": {"mode": "enforce"}}, name=home, start=False,
                   prefix=["unshare", "--mount", "--propagation", "private", "sh", "-c", LAUNCHER, "sh", home])
    e.start()
    s = status(e.process.pid)
    assert set(s["Uid"].split()) == {str(uid)}
    assert all(int(s[name], 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
    with open(f"/proc/{e.process.pid}/mounts", encoding="utf-8") as f:
        root = [line.split() for line in f if line.split()[1] == "/"][-1]
    assert "ro" in root[3].split(",")
    is_confined(e, True)
    submit(e.port)
    e.sink.wait(1)
    e.hup()
    e.event("reloaded")
    e.wait_empty()


# ---- the list ----

def test_the_list_is_published():
    done = run("config", "--syscalls")
    assert done.returncode == 0 and "| `io_uring_enter` |" in done.stdout and "`execve`" in done.stdout


def test_doctor():
    done = run("doctor", "--json", "--set", "spool.dir=/tmp/ringpost-doctor-none", timeout=120)
    row = next(r for r in map(json.loads, done.stdout.splitlines()) if r["check"] == "sandbox")
    assert row["status"] == "ok" and "Landlock" in row["found"], row
