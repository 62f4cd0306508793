# SPDX-License-Identifier: GPL-3.0-or-later
"""Every row of the inventory of the replaced images, and every trap that concerns them, has a test that names it: in its
name (test_003_15_…) or in the first words about it (003-15, trap 12). A row that nobody tests is found here, not by its
users."""
import ast
import glob
import os
import re

import pytest

ROWS = {"000": 15, "001": 20, "003": 21}  # the last number of each
# 21 to 23 and 25 are about images that are not among the profiles.
TRAPS = [n for n in range(1, 30) if n not in (21, 22, 23, 25)]
IDS = [f"{image}-{n:02}" for image, last in ROWS.items() for n in range(1, last + 1)] + [f"trap {n}" for n in TRAPS]


def numbers(text):
    """Trap 3; traps 13, 14; trap 9 and trap 12: {3}, {13, 14}, {9, 12}."""
    lists = re.findall(r"\b[Tt]raps? (\d+(?:(?:, | and )\d+)*)", text)
    return {int(n) for found in lists for n in re.findall(r"\d+", found)}


def named_by(name, words):
    """The ids that a test's name and docstring stand for."""
    rows = set(re.findall(r"(?<!\d)(00[013])[_-](\d\d)(?!\d)", name + " " + words))
    return {f"{image}-{n}" for image, n in rows} | {f"trap {n}" for n in numbers(words)}


def ids_of_tests():
    found = {}
    for path in glob.glob(os.path.join(os.path.dirname(__file__), "test_*.py")):
        with open(path, encoding="utf-8") as f:
            tree = ast.parse(f.read())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and \
                    any(isinstance(part, (ast.Assert, ast.With)) for part in ast.walk(node)):
                for what in named_by(node.name, ast.get_docstring(node) or ""):
                    found.setdefault(what, []).append(f"{os.path.basename(path)}::{node.name}")
    return found


TESTS = ids_of_tests()


@pytest.mark.parametrize("what", IDS, ids=[i.replace(" ", "-") for i in IDS])
def test_has_a_test(what):
    assert TESTS.get(what), f"nothing tests {what}"


def test_names_no_other_id():
    """A wrong number would hide that a row has no test."""
    assert set(TESTS) <= set(IDS), sorted(set(TESTS) - set(IDS))


def test_the_reader_reads():
    assert named_by("test_003_15_email", "Traps 13, 14, and trap 7: x (000-06)") == {"003-15", "000-06", "trap 13", "trap 14",
                                                                               "trap 7"}
    assert named_by("test_swaks", "") == set()
