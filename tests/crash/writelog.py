# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that remembers every write and every flush in order, so that each state a power cut can leave behind can be
made again: a file of a FUSE file system that a loop device shows as a disk to ext4 or xfs.

Run as a program it is the file system's process: writelog.py IMAGE LOG MOUNT."""
import errno
import os
import stat
import struct
import subprocess
import sys
import threading

from disk import call, private_mounts
from harness.peers import require_root, tool
from harness.wait import wait_until

ENTRY = struct.Struct("<QQ")  # offset, length; data behind it
BLOCK = 4096
FLUSH = (1 << 64) - 1         # as the offset: a flush, no data
MAKE = {"ext4": ["mkfs.ext4", "-q", "-m", "0", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", "-F"],
        "xfs": ["mkfs.xfs", "-q", "-K", "-f"]}


class LoggedDisk:
    """A mounted file system on such a disk."""

    def __init__(self, folder, kind, mib):
        require_root()
        if not os.path.exists("/dev/fuse"):
            raise RuntimeError("this test needs /dev/fuse; a container must be given it")
        private_mounts()
        self.folder = folder
        self.kind = kind
        self.image, self.log = os.path.join(folder, "image"), os.path.join(folder, "log")
        self.shown, self.path = os.path.join(folder, "shown"), os.path.join(folder, "disk")
        os.mkdir(self.shown)
        os.mkdir(self.path)
        with open(self.image, "wb") as f:
            f.truncate(mib << 20)
        call(*MAKE[kind], self.image)
        self.first = os.path.join(folder, "first")  # the disk before anything is logged
        copy(self.image, self.first)
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-B", os.path.abspath(__file__), self.image, self.log, self.shown],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, stdin=subprocess.DEVNULL)
        self.mounted = False
        try:
            wait_until(lambda: os.path.ismount(self.shown), 15, "the logging disk")
            self.mount()
        except BaseException:
            self.close()
            raise

    def mount(self):
        call("mount", "-o", "loop", os.path.join(self.shown, "disk"), self.path)
        self.mounted = True

    def remount(self):
        self.unmount()
        self.mount()

    def position(self):
        """Of the log, now: what has been answered is in front of it."""
        return os.path.getsize(self.log)

    def unmount(self):
        """The files of a killed engine are closed a moment after its end, with its rings."""
        def done():
            return subprocess.run([tool("umount"), self.path], check=False, capture_output=True).returncode == 0
        if self.mounted:
            wait_until(done, 20, f"the files below {self.path} to be closed", interval=0.05)
            self.mounted = False

    def close(self):
        if self.mounted:
            subprocess.run([tool("umount"), "-l", self.path], check=False, capture_output=True)
            self.mounted = False
        subprocess.run([tool("fusermount3"), "-u", "-z", self.shown], check=False, capture_output=True)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def copy(source, target):
    call("cp", "--sparse=always", source, target)


class Replay:
    """The disk as it was at some moment, which only goes forward."""

    def __init__(self, disk):
        self.disk = disk
        self.image = os.path.join(disk.folder, "replayed")
        self.cut = os.path.join(disk.folder, "cut")
        self.path = os.path.join(disk.folder, "found")
        os.mkdir(self.path)
        copy(disk.first, self.image)
        self.file = os.open(self.image, os.O_RDWR)
        self.log = open(disk.log, "rb")
        self.at = 0
        self.mounted = False

    @staticmethod
    def flushes(disk):
        """Positions of the log right behind each flush."""
        found = []
        with open(disk.log, "rb") as log:
            while head := log.read(ENTRY.size):
                offset, length = ENTRY.unpack(head)
                if offset == FLUSH:
                    found.append(log.tell())
                else:
                    log.seek(length, os.SEEK_CUR)
        return found

    def entries(self, end):
        while self.log.tell() < end:
            offset, length = ENTRY.unpack(self.log.read(ENTRY.size))
            if offset != FLUSH:
                yield offset, self.log.read(length)

    def advance(self, position):
        for offset, data in self.entries(position):
            os.pwrite(self.file, data, offset)
        self.at = position

    def mount_cut(self, rng, until):
        """The power went between here and `until`: of the blocks of 4 KiB written since, the disk has kept any. (File
        systems count on a block's being written as a whole or not; the simulator tears sectors.)"""
        copy(self.image, self.cut)
        with open(self.cut, "r+b") as f:
            for offset, data in self.entries(until):
                at = 0
                while at < len(data):
                    end = min(len(data), at + BLOCK - (offset + at) % BLOCK)
                    if rng.random() < 0.5:
                        f.seek(offset + at)
                        f.write(data[at:end])
                    at = end
        self.log.seek(self.at)
        options = ["-o", "loop"] if self.disk.kind == "ext4" else ["-o", "loop,nouuid"]
        call("mount", *options, self.cut, self.path)
        self.mounted = True

    def unmount(self):
        if self.mounted:
            call("umount", self.path)
            self.mounted = False

    def close(self):
        if self.mounted:
            subprocess.run([tool("umount"), "-l", self.path], check=False, capture_output=True)
        os.close(self.file)
        self.log.close()


def main(image, log, mount):
    import fusepy

    class LogFs(fusepy.Operations):
        """One file, "disk"."""

        def __init__(self):
            self.file = os.open(image, os.O_RDWR)
            self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            self.guard = threading.Lock()

        def getattr(self, path, fh=None):
            if path == "/":
                return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
            if path != "/disk":
                raise fusepy.FuseOSError(errno.ENOENT)
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": os.fstat(self.file).st_size}

        def readdir(self, path, fh):
            return [".", "..", "disk"]

        def open(self, path, flags):
            return self.file

        def read(self, path, size, offset, fh):
            return os.pread(self.file, size, offset)

        def write(self, path, data, offset, fh):
            with self.guard:
                os.pwrite(self.file, data, offset)
                os.writev(self.log, [ENTRY.pack(offset, len(data)), data])
            return len(data)

        def fsync(self, path, datasync, fh):
            with self.guard:
                os.write(self.log, ENTRY.pack(FLUSH, 0))
            return 0

    fusepy.FUSE(LogFs(), mount, foreground=True, nothreads=False, big_writes=True, max_write=131072)


if __name__ == "__main__":
    main(*sys.argv[1:])
