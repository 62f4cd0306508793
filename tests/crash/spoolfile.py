# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies where in a segment (spool/format.h), as a reader sees it who trusts everything: for tests that damage it and
must know whom that hits."""
import os
import struct
from collections import namedtuple

BLOCK = 4096
HEADER_BYTES = 48
MESSAGE, FRAGMENT, RESULT, SEAL, STATE = 1, 2, 3, 4, 5
FRAME = struct.Struct("<4sIIIQQIIHHI")
ROW = struct.Struct("<HHI")

# begin, end: bytes of the segment. group: where the write began that made it durable. rows: (type, id).
Frame = namedtuple("Frame", "path begin end group rows")


def frames_of(path):
    """All frames of one segment, in their order."""
    with open(path, "rb") as f:
        data = f.read()
    number = int(os.path.basename(path)[4:20], 16)
    found, at = [], BLOCK
    while at + HEADER_BYTES <= len(data) - BLOCK:
        magic, _, _, size, epoch, _, offset, group, _, _, _ = FRAME.unpack_from(data, at)
        if magic != b"RPF1" or epoch != number or offset != at:
            at = at + 8 if any(data[at:at + 8]) else (at | BLOCK - 1) + 1
            continue
        end = at + (HEADER_BYTES + size + 7) // 8 * 8
        found.append(Frame(path, at, end, group, rows_of(data[at + HEADER_BYTES:at + HEADER_BYTES + size])))
        at = end
    return found


def rows_of(payload):
    rows, at = [], 0
    while at + ROW.size <= len(payload):
        kind, _, size = ROW.unpack_from(payload, at)
        ident = struct.unpack_from("<Q", payload, at + ROW.size)[0] if size >= 8 else 0
        rows.append((kind, ident))
        at += ROW.size + size
    return rows


def segments(folder):
    return sorted(os.path.join(folder, n) for n in os.listdir(folder) if n.startswith("seg-"))


def all_frames(folder):
    return [frame for path in segments(folder) for frame in frames_of(path)]
