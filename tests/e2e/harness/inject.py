# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody could do who runs code inside a process: system calls made by it, put there with ptrace. Needs root."""
import ctypes
import os
import platform
import signal

SEIZE, INTERRUPT, DETACH, SINGLESTEP, GETREGS, SETREGS = 0x4206, 0x4207, 17, 9, 12, 13
WALL = 0x40000000

# struct user_regs_struct of x86-64, in its order.
NAMES = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es "
         "fs gs").split()
Registers = ctypes.c_ulong * len(NAMES)
ARGUMENTS = ("rdi", "rsi", "rdx", "r10", "r8", "r9")

NUMBERS = {"open": 2, "mmap": 9, "socket": 41, "kill": 62, "execve": 59, "setuid": 105, "chroot": 161, "openat": 257,
           "unlinkat": 263, "process_vm_readv": 310, "memfd_create": 319, "bpf": 321, "io_uring_setup": 425}


class Died(Exception):
    """The process was ended by a signal."""


class Inside:
    """with Inside(pid) as p: p.call("socket", 1, 1, 0) → what the kernel answers (negative: an errno)."""

    def __init__(self, pid):
        if platform.machine() != "x86_64":
            raise RuntimeError("the registers of this machine are not known here: add them")
        self.pid = pid
        self.dead = False
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.libc.ptrace.restype = ctypes.c_long

    def _ptrace(self, request, data=None):
        if self.libc.ptrace(request, self.pid, None, data) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def _registers(self, values=None):
        if values is not None:
            block = Registers(*(values[name] & (1 << 64) - 1 for name in NAMES))
            self._ptrace(SETREGS, ctypes.cast(block, ctypes.c_void_p))
            return values
        block = Registers()
        self._ptrace(GETREGS, ctypes.cast(block, ctypes.c_void_p))
        return dict(zip(NAMES, block))

    def __enter__(self):
        self._ptrace(SEIZE)
        self._ptrace(INTERRUPT)
        os.waitpid(self.pid, WALL)
        self.saved = self._registers()
        return self

    def __exit__(self, *_):
        if not self.dead:
            self._registers(self.saved)
            self._ptrace(DETACH)

    def text(self, value):
        """The address of a string that the call may name, in the stack below what is in use."""
        at = self.saved["rsp"] - 65536
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(at)
            memory.write(value.encode() + b"\0")
        return at

    def call(self, name, *arguments):
        """Made where the thread waits: in a system call, so its instruction is right before rip."""
        now = dict(self.saved)
        now["rip"] -= 2
        now["rax"], now["orig_rax"] = NUMBERS[name], -1
        now.update(zip(ARGUMENTS, arguments))
        self._registers(now)
        self._ptrace(SINGLESTEP)
        _, status = os.waitpid(self.pid, WALL)
        if os.WIFSIGNALED(status):
            self.dead = True
            raise Died(signal.Signals(os.WTERMSIG(status)).name)
        return ctypes.c_long(self._registers()["rax"]).value
