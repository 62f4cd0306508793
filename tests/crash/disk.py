# SPDX-License-Identifier: GPL-3.0-or-later
"""A small real file system to fill up and to break, and an engine without privileges on it."""
import ctypes
import os
import shutil
import subprocess

from harness.engine import binary
from harness.peers import nobody, require_root, tool

CLONE_NEWNS = 0x00020000


def private_mounts():
    """From now on mounts are seen by this thread and its children only, and go with them, however they
    end (the runner's time limit ends the process without another word)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise RuntimeError(f"this test mounts file systems: {os.strerror(ctypes.get_errno())} (it needs "
                           "CAP_SYS_ADMIN: run ./dev test as root of a machine, or in a privileged container)")
    try:
        call("mount", "--make-rprivate", "/")
    except RuntimeError as error:
        raise RuntimeError(f"{error} (in a chroot / must be a mount: bind its folder onto itself, then enter)") from None


def call(name, *args):
    done = subprocess.run([tool(name), *args], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} {' '.join(args)}: {done.stderr.strip()}")
    return done.stdout


class LoopDisk:
    """ext4 without a reserve for root, on a loop device; its root belongs to nobody."""

    def __init__(self, folder, mib):
        require_root()
        private_mounts()
        self.image = os.path.join(folder, "image")
        self.path = os.path.join(folder, "disk")
        self.mounted = False
        os.mkdir(self.path)
        with open(self.image, "wb") as f:
            f.truncate(mib << 20)
        call("mkfs.ext4", "-q", "-m", "0", "-F", self.image)
        self.mount()
        os.chown(self.path, *nobody())

    def mount(self):
        try:
            call("mount", "-o", "loop,errors=remount-ro", self.image, self.path)
        except RuntimeError as error:
            raise RuntimeError(f"{error}: this test needs loop devices (/dev/loop-control, /dev/loop*); "
                               "a container must be given them") from None
        self.mounted = True

    def unmount(self):
        if self.mounted:
            call("umount", self.path)
            self.mounted = False

    def close(self):
        if self.mounted:
            subprocess.run([tool("umount"), "-l", self.path], check=False, capture_output=True)
            self.mounted = False

    @property
    def free(self):
        st = os.statvfs(self.path)
        return st.f_bavail * st.f_frsize

    def ballast(self, size, name="ballast"):
        """A file of that size in the way."""
        with open(os.path.join(self.path, name), "wb") as f:
            os.posix_fallocate(f.fileno(), 0, size)

    def lighten(self, name="ballast"):
        os.unlink(os.path.join(self.path, name))

    def break_down(self):
        """As after an error in its metadata: read-only for everybody, also on files that are open."""
        device = os.path.basename(call("findmnt", "-n", "-o", "SOURCE", self.path).strip())
        with open(f"/sys/fs/ext4/{device}/trigger_fs_error", "w", encoding="ascii") as f:
            f.write("1")

    def repair(self):
        """With everything closed."""
        self.unmount()
        done = subprocess.run([tool("e2fsck"), "-f", "-y", self.image], capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stdout
        self.mount()


def as_nobody(folder):
    """A command prefix: the program named next runs without privileges, from a copy that nobody may read."""
    copy = os.path.join(folder, "ringpost")
    shutil.copy(binary(), copy)
    os.chmod(copy, 0o755)
    uid, gid = nobody()
    return ["sh", "-c", f'shift; exec setpriv --reuid={uid} --regid={gid} --clear-groups -- "$0" "$@"', copy]
