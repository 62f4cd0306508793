# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk whose flushes can be held or fail: io_uring operations can be seen neither by LD_PRELOAD nor
by strace, so the proof that a reply waits for the flush comes from below, through FUSE.

Run as a program it is the file system's process: holdfs.py BACKING MOUNT CONTROL."""
import errno
import os
import subprocess
import sys
import time

from .wait import wait_until


class HeldDisk:
    """An empty directory on such a disk. hold(): no flush returns until release(). fail(): EIO
    from each flush, fail_once(): from the next only.
    read_only(): EROFS for whatever would change something, also on files that are open; unreadable(): EIO from reading;
    heal(): well again."""

    def __init__(self, folder):
        from .peers import require_root, tool
        require_root()
        if not os.path.exists("/dev/fuse"):
            raise RuntimeError("this test needs /dev/fuse; a container must be given it")
        self.unmount = tool("fusermount3")
        self.path = os.path.join(folder, "disk")
        self.control = os.path.join(folder, "control")
        backing = os.path.join(folder, "backing")
        for path in (self.path, backing, self.control):
            os.makedirs(path)
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-B", "-m", "harness.holdfs", backing, self.path, self.control],
            cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))), stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE)
        try:
            wait_until(self._mounted, 15, "the held disk")
        except BaseException:
            self.close()
            raise

    def _mounted(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the held disk's process ended: {self.process.stderr.read()[-2000:]}")
        return os.path.ismount(self.path)

    def _flag(self, name):
        return os.path.join(self.control, name)

    def _set(self, name):
        with open(self._flag(name), "wb"):
            pass

    def _clear(self, name):
        if os.path.exists(self._flag(name)):
            os.unlink(self._flag(name))

    def hold(self):
        self._set("hold")

    def release(self):
        self._clear("hold")

    def fail(self):
        self._set("fail")

    def fail_once(self):
        self._set("failonce")

    def read_only(self):
        self._set("readonly")

    def unreadable(self, path, ranges):
        """EIO whenever bytes of these ranges (begin, end) of the file are read."""
        name = "unreadable." + os.path.relpath(path, self.path).replace("/", ".")
        with open(path, "rb") as f:  # what the kernel has kept it would go on giving
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with open(self._flag(name + ".new"), "w", encoding="ascii") as f:
            f.writelines(f"{begin} {end}\n" for begin, end in ranges)
        os.rename(self._flag(name + ".new"), self._flag(name))

    def heal(self):
        self._clear("fail")
        self._clear("readonly")
        for name in os.listdir(self.control):
            if name.startswith("unreadable."):
                self._clear(name)

    @property
    def held(self):
        """Flushes that wait now."""
        return len([n for n in os.listdir(self.control) if n.startswith("waiting.")])

    def wait_held(self, timeout=15):
        wait_until(lambda: self.held, timeout, "a flush that waits")

    def close(self):
        self.release()
        if os.path.ismount(self.path):
            subprocess.run([self.unmount, "-u", "-z", self.path], check=False, capture_output=True)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()


def main(backing, mount, control):
    import threading

    import fusepy

    class HoldFs(fusepy.Operations):
        """What a spool needs; paths become paths below `backing`."""

        def __init__(self):
            self.numbers = iter(range(1 << 60))
            self.lock = threading.Lock()

        @staticmethod
        def real(path):
            return backing + path

        @staticmethod
        def writable():
            if os.path.exists(os.path.join(control, "readonly")):
                raise fusepy.FuseOSError(errno.EROFS)

        def getattr(self, path, fh=None):
            st = os.fstat(fh) if fh is not None else os.lstat(self.real(path))
            return {k: getattr(st, k) for k in ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size",
                                                "st_atime", "st_mtime", "st_ctime", "st_blocks", "st_ino")}

        def readdir(self, path, fh):
            return [".", ".."] + os.listdir(self.real(path))

        def statfs(self, path):
            st = os.statvfs(self.real(path))
            return {k: getattr(st, k) for k in ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail",
                                                "f_files", "f_ffree", "f_favail", "f_flag", "f_namemax")}

        def open(self, path, flags):
            return os.open(self.real(path), flags & ~(os.O_DIRECT | os.O_CREAT | os.O_EXCL | os.O_TRUNC))

        def create(self, path, mode, fi=None):
            self.writable()
            return os.open(self.real(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

        def release(self, path, fh):
            os.close(fh)

        def read(self, path, size, offset, fh):
            try:
                with open(os.path.join(control, "unreadable" + path.replace("/", ".")), encoding="ascii") as f:
                    ranges = [tuple(map(int, line.split())) for line in f]
            except FileNotFoundError:
                ranges = []
            if any(begin < offset + size and offset < end for begin, end in ranges):
                raise fusepy.FuseOSError(errno.EIO)
            return os.pread(fh, size, offset)

        def write(self, path, data, offset, fh):
            self.writable()
            return os.pwrite(fh, data, offset)

        def truncate(self, path, length, fh=None):
            self.writable()
            os.truncate(self.real(path) if fh is None else fh, length)

        def unlink(self, path):
            self.writable()
            os.unlink(self.real(path))

        def rename(self, old, new):
            self.writable()
            os.rename(self.real(old), self.real(new))

        def mkdir(self, path, mode):
            self.writable()
            os.mkdir(self.real(path), mode)

        def chmod(self, path, mode):
            os.chmod(self.real(path), mode)

        def flush(self, path, fh):
            return 0

        def fsync(self, path, datasync, fh):
            self.writable()
            if os.path.exists(os.path.join(control, "fail")):
                raise fusepy.FuseOSError(errno.EIO)
            try:
                os.unlink(os.path.join(control, "failonce"))
                raise fusepy.FuseOSError(errno.EIO)
            except FileNotFoundError:
                pass
            hold = os.path.join(control, "hold")
            if os.path.exists(hold):
                with self.lock:
                    mark = os.path.join(control, f"waiting.{next(self.numbers)}")
                with open(mark, "wb"):
                    pass
                while os.path.exists(hold):
                    time.sleep(0.005)
                os.unlink(mark)
            os.fsync(fh)
            return 0

        def fsyncdir(self, path, datasync, fh):
            self.writable()
            return 0

    fusepy.FUSE(HoldFs(), mount, foreground=True, nothreads=False, allow_other=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
