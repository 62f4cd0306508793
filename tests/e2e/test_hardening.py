# SPDX-License-Identifier: GPL-3.0-or-later
"""What the compiler and the linker put into the program against those who find a hole in it (cmake/flags.cmake)."""
import platform
import re
import subprocess

import pytest

from harness.engine import binary


def readelf(*options):
    return subprocess.run(["readelf", "-W", *options, binary()], check=True, capture_output=True, text=True).stdout


def test_where_things_lie():
    """L2: the program lies at a random address, its stack cannot be executed, and what the linker filled in at the start
    is read-only from then on."""
    assert re.search(r"Type:\s+DYN \(Position-Independent", readelf("-h"))
    segments = readelf("-l")
    assert re.search(r"GNU_STACK.* RW ", segments), segments
    assert "GNU_RELRO" in segments
    assert not re.search(r"LOAD.* (RWE|WE) ", segments), "memory that can be written and executed"
    dynamic = readelf("-d")
    assert re.search(r"FLAGS_1.*\bNOW\b", dynamic) and "TEXTREL" not in dynamic
    assert not re.search(r"RPATH|RUNPATH", dynamic), "libraries from a folder of the build"


def test_checks_at_run_time():
    """L2: a buffer on the stack that was overrun ends the program, and so does a copy that the library knows to be too
    long."""
    symbols = readelf("-s")
    assert "__stack_chk_fail" in symbols
    sanitized = re.search(r"__[at]san_init", symbols)
    counted = "__gcov_exit" in symbols
    if not sanitized and not counted:  # FORTIFY needs optimisation, and the sanitizers look closer
        assert len(set(re.findall(r"__(\w+)_chk@", symbols))) >= 5, "_FORTIFY_SOURCE is off"


@pytest.mark.parametrize("function", ["spool_commit", "engine_on_query"])
def test_places_to_jump_to(function):
    """L2: each function begins with a landing pad for indirect jumps (CET, BTI)."""
    pad = {"x86_64": "endbr64", "aarch64": r"(bti|paciasp)"}[platform.machine()]
    text = subprocess.run(["objdump", "-d", f"--disassemble={function}", binary()], check=True, capture_output=True,
                          text=True).stdout
    assert re.search(rf"<{function}>:\n\s+\S+:\t[0-9a-f ]+\t{pad}", text), text[:600] or "no such function"
