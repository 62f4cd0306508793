# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a program under a seccomp filter that refuses system calls of io_uring, as container runtimes do:

    python3 refuse.py io_uring_setup=EPERM PROGRAM ARGS...
    python3 refuse.py io_uring_register/22=EINVAL PROGRAM ARGS...     only where its second argument is 22

`./dev test --io eperm` (enosys, eacces, enomem) runs all tests so; ring_refusal() is for those that must know.
"""
import ctypes
import errno
import os
import struct
import sys

CALLS = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}  # the same everywhere
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER_AT, SECOND_ARGUMENT_AT = 0, 24  # in struct seccomp_data; its low half on a little-endian machine
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, MODE_FILTER = 22, 38, 2


def rule(text):
    """The program for one refusal."""
    call, error = text.split("=")
    call, _, argument = call.partition("/")
    steps = [(LOAD, 0, 0, NUMBER_AT), (JUMP_EQUAL, 0, 3 if argument else 1, CALLS[call])]
    if argument:
        steps += [(LOAD, 0, 0, SECOND_ARGUMENT_AT), (JUMP_EQUAL, 0, 1, int(argument))]
    return steps + [(RETURN, 0, 0, ERRNO | getattr(errno, error)), (RETURN, 0, 0, ALLOW)]


def ring_refusal():
    """What io_uring_setup says in this process: 0 where it is allowed, else an errno. Makes no ring."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(CALLS["io_uring_setup"], 0, None)
    error = ctypes.get_errno()
    return 0 if error in (errno.EINVAL, errno.EFAULT) else error


def install(steps):
    class Program(ctypes.Structure):
        _fields_ = [("count", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

    libc = ctypes.CDLL(None, use_errno=True)
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    program = Program(len(steps), code)
    if libc.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(program), 0, 0) == 0:
        return  # root: programs may still gain privileges, as in a container
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or \
            libc.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    install(rule(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
