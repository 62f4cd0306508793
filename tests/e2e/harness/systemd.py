# SPDX-License-Identifier: GPL-3.0-or-later
"""A real systemd as process 1 of namespaces of its own, over this machine's files (what it writes is gone with it).
It starts nothing but what a test asks for. Needs root."""
import os
import shutil
import subprocess

from .engine import binary, sanitizer_environment
from .peers import ROOT, tool
from .wait import wait_until

MANAGER = "/lib/systemd/systemd"
UNITS = os.path.join(ROOT, "docs", "systemd")

# Words: an empty folder, the engine. /proc, /sys, /run, /dev are new; the rest lies over this machine's.
BOOT = """
set -e
top=$1 engine=$2
mount -t tmpfs tmpfs "$top"
mkdir "$top/upper" "$top/work" "$top/root"
mount -t overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" overlay "$top/root"
root=$top/root
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero full random urandom tty; do
    touch "$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/shm" "$root/dev/pts" "$root/dev/mqueue" "$root/dev/hugepages" "$root/etc/ringpost"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
cp -r "$3"/. "$root"
install -m 755 "$engine" "$root/usr/local/bin/ringpost"
sed -i /^ringpost:/d "$root/etc/passwd" "$root/etc/group"
echo 'ringpost:x:64123:64123::/nonexistent:/usr/sbin/nologin' >>"$root/etc/passwd"
echo 'ringpost:x:64123:' >>"$root/etc/group"
ip link set lo up
cd "$root"
mkdir old-root
pivot_root . old-root
umount -l /old-root
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=only-asked-for.target \\
    --show-status=no
"""

TARGET = "[Unit]\nDescription=Nothing but what is asked for\nDefaultDependencies=no\nAllowIsolate=yes\n"


def unified():
    """Where this machine has its cgroup2."""
    with open("/proc/self/mounts", encoding="utf-8") as f:
        return next(line.split()[1] for line in f if line.split()[2] == "cgroup2")


class Systemd:
    """files: {path: text} beside the units of docs/systemd."""

    def __init__(self, folder, files):
        if not os.access(MANAGER, os.X_OK):
            raise RuntimeError(f"{MANAGER} is not there: run ./dev deps test")
        self.folder = str(folder)
        self.put("etc/systemd/system/only-asked-for.target", TARGET)
        for name in os.listdir(UNITS):
            with open(os.path.join(UNITS, name), encoding="utf-8") as f:
                self.put(f"etc/systemd/system/{name}", f.read())
        options = "\n".join(f"Environment={k}={v}" for k, v in {
            **sanitizer_environment(), "LSAN_OPTIONS": "detect_leaks=0"}.items())  # it would need ptrace
        self.put("etc/systemd/system/ringpost.service.d/tests.conf",
                 f"[Service]\nStandardOutput=append:/run/units.log\nStandardError=append:/run/units.log\n{options}\n")
        for path, text in files.items():
            self.put(path, text)
        self.group = os.path.join(unified(), f"ringpost-test-{os.getpid()}")
        os.makedirs(self.group, exist_ok=True)
        os.makedirs(self.path("top"))
        with open(self.path("boot.log"), "wb") as log:
            self.process = subprocess.Popen(
                [tool("sh"), "-c", 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"', "sh", self.group, tool("unshare"),
                 "--cgroup", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--net", "--propagation",
                 "private", "sh", "-c", BOOT, "sh", self.path("top"), binary(), self.path("files")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]})
        try:
            wait_until(self._is_up, 60, "systemd")
        except BaseException:
            self.close()
            raise

    def path(self, name):
        return os.path.join(self.folder, name)

    def put(self, path, text):
        whole = os.path.join(self.folder, "files", path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "w", encoding="utf-8") as f:
            f.write(text)

    def log(self):
        with open(self.path("boot.log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def _is_up(self):
        assert self.process.poll() is None, self.log()
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as f:
            children = f.read().split()
        if not children:
            return False
        self.pid = int(children[0])
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def run(self, *command, check=True, timeout=90):
        """A command in there, as root."""
        done = subprocess.run([tool("nsenter"), "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w",
                               *map(str, command)], capture_output=True, text=True, timeout=timeout, check=False)
        assert not check or done.returncode == 0, (command, done, self.units_log() if check else "")
        return done

    def units_log(self):
        return self.run("cat", "/run/units.log", check=False).stdout[-4000:]

    def show(self, unit, *names):
        """Properties, as a list in the order of names."""
        text = self.run("systemctl", "show", unit, *(word for n in names for word in ("-p", n))).stdout
        found = dict(line.split("=", 1) for line in text.splitlines())
        return [found[n] for n in names]

    def close(self):
        self.process.kill()  # and with it process 1, and with that all
        self.process.wait(30)
        wait_until(self._group_is_gone, 30, "the end of all processes")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _group_is_gone(self):
        for folder, _, _ in os.walk(self.group, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                return False
        return True
