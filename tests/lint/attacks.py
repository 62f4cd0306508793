"""A rule of lint.py: every row of docs/ATTACKS.md names a test, and every test it names is there.

SPDX-License-Identifier: GPL-3.0-or-later
"""
import re

TABLE = "docs/ATTACKS.md"
ROW = re.compile(r"\| ([A-Z]\d+) \|")
NAME = re.compile(r"`((?:e2e|crash|unit|fuzz|sim|lint)/[\w./-]+\.(?:py|c|h))(?:::(\w+))?`")


def is_in(name, path, text):
    if path.endswith(".py"):
        return re.search(rf"^\s*(?:async )?def {name}\(|^class {name}\b", text, re.M)
    return re.search(rf"\bSTART_TEST\({name}\)", text)


def rule_attacks(tree):
    if TABLE not in tree.files:
        return
    seen = set()
    for number, line in enumerate(tree.text(TABLE).split("\n"), 1):
        row = ROW.match(line)
        if row and row.group(1) in seen:
            yield TABLE, number, f"a second row {row.group(1)}"
        if row and not NAME.search(line):
            yield TABLE, number, f"row {row.group(1)} names no test"
        seen.add(row and row.group(1))
        for file, name in NAME.findall(line) if line.startswith("| ") else ():
            path = f"tests/{file}"
            if path not in tree.files:
                yield TABLE, number, f"there is no {path}"
            elif name and not is_in(name, path, tree.text(path)):
                yield TABLE, number, f"{path} has no test {name}"
