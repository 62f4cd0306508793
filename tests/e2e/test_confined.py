# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an engine may find itself: among other processes of its user, without a privilege, in a network of its own.
The sandbox that it puts around itself is in test_sandbox.py, systemd in test_systemd.py."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

from harness.client import submit
from harness.netns import inside, run_beside
from harness.peers import nobody, require_root, tool
from harness.wait import wait_until


@pytest.fixture(name="home")
def make_home():
    """A folder of nobody's."""
    folder = tempfile.mkdtemp(prefix="ringpost-nobody-", dir="/tmp")
    os.chown(folder, *nobody())
    yield folder
    shutil.rmtree(folder)


def as_nobody():
    uid, gid = nobody()
    return [tool("setpriv"), "--reuid", str(uid), "--regid", str(gid), "--clear-groups", "--inh-caps=-all"]


# ---- other processes of the same user ----

# What a process of the same user may do to one that does not hide: each line that it prints was possible.
PEEP = r"""
import ctypes, os, sys
pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
for name in ("mem", "environ", "maps", "auxv", "io"):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as f:
            if name != "mem":
                f.read(1)
            print(name)
    except PermissionError:
        pass
try:
    os.listdir(f"/proc/{pid}/fd")
    os.readlink(f"/proc/{pid}/exe")
    print("fd")
except PermissionError:
    pass
local, remote = ctypes.create_string_buffer(8), (ctypes.c_void_p * 2)(0, 8)
vector = (ctypes.c_void_p * 2)(ctypes.addressof(local), 8)
libc.process_vm_readv(pid, vector, 1, remote, 1, 0)
if ctypes.get_errno() != 1:
    print("process_vm_readv")
handle = os.pidfd_open(pid)
if libc.syscall(438, handle, 0, 0) >= 0:
    print("pidfd_getfd")
if libc.ptrace(0x4206, pid, None, None) == 0:
    print("ptrace")
"""
POSSIBLE = {"mem", "environ", "maps", "auxv", "io", "fd", "process_vm_readv", "pidfd_getfd", "ptrace"}


def peep(pid):
    done = subprocess.run([*as_nobody(), sys.executable, "-c", PEEP, str(pid)], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done
    return set(done.stdout.split())


def test_k4_the_same_user_sees_nothing(home, make):
    """Neither memory nor descriptors, names of files or secrets in variables; the control shows all of it."""
    require_root()
    e = make.engine(name=os.path.join(home, "e"), prefix=as_nobody(), start=False)
    os.chown(e.folder, *nobody())
    e.start()
    open_process = subprocess.Popen([*as_nobody(), tool("sleep"), "60"])
    try:
        wait_until(lambda: os.readlink(f"/proc/{open_process.pid}/exe").endswith("/sleep"), 10, "the control")
        assert peep(open_process.pid) == POSSIBLE
    finally:
        open_process.kill()
        open_process.wait()
    assert peep(e.process.pid) == set()
    submit(e.port)


def test_k4_no_core_file_of_a_crash(make):
    """Also where its parent allowed one: memory has passwords and mail."""
    e = make.engine(prefix=["sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh"])
    pid = e.process.pid
    control = subprocess.Popen(["sh", "-c", "ulimit -c unlimited; kill -ABRT $$"], cwd=e.folder)
    assert os.waitid(os.P_PID, control.pid, os.WEXITED | os.WNOWAIT).si_code == os.CLD_DUMPED
    control.wait()
    os.kill(pid, signal.SIGABRT)
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert (ended.si_code, ended.si_status) == (os.CLD_KILLED, signal.SIGABRT)
    e.wait()
    e.process = None


# ---- ports below 1024 ----

def test_k3_port_25_by_sysctl(home, make):
    """K3: ip_unprivileged_port_start, as Kubernetes has it (a safe sysctl). Nobody, without a capability."""
    require_root()

    def engine(first_port):
        e = make.engine({"listeners": [{"address": "127.0.0.1", "port": 25}]}, start=False,
                        name=os.path.join(home, f"from{first_port}"), prefix=inside(first_port=first_port, user=nobody()))
        os.chown(e.folder, *nobody())
        return e
    refused = engine(1024)
    refused.expected_exit = 1
    refused.spawn()
    assert refused.wait(60) == 1
    assert "127.0.0.1:25: Permission denied" in refused.stderr(), refused.stderr()
    e = engine(25).start()
    said = run_beside(e, """
import smtplib
with smtplib.SMTP("127.0.0.1", 25, timeout=30) as s:
    s.sendmail("a@example.com", ["b@example.net"], "Subject: x\\r\\n\\r\\nx\\r\\n")
    print(s.noop()[0])
""")
    assert said == "250\n" and e.counters()["accepted"] == 1


# ---- what the machine is called ----

GREETING = """
import socket
with socket.create_connection(("127.0.0.1", int(__import__("sys").argv[1])), 30) as s:
    print(s.makefile().readline().split()[1])
"""


def test_a_reload_keeps_the_name_of_the_machine(make, tmp_path):
    """Profile 000 is called what reverse DNS calls a public address. A running engine cannot ask again (its sandbox has
    no new threads): the name stays, where it once became the host name by the first reload."""
    require_root()
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n8.8.8.200 mail.public.example\n")
    e = make.engine(env={"RINGPOST_PROFILE": "000", "SMTP_USERNAME": "me", "SMTP_PASSWORD": "x"}, start=False,
                    prefix=inside("8.8.8.200/32", hosts=hosts))
    del e.conf["identity"]
    e.start()
    assert run_beside(e, GREETING, e.port) == "mail.public.example\n"
    for count in (1, 2):
        e.hup()
        e.event("reloaded", count=count)
        assert run_beside(e, GREETING, e.port) == "mail.public.example\n"
