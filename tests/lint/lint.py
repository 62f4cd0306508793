#!/usr/bin/python3
"""Style that can be a test: ./dev lint runs this.

Each rule is one function that yields (path, line, message); RULES below lists them. The standard
library only; under ten seconds, most of it spent in the compiler and in clang-format.

  lint.py              check the tree
  lint.py --fix        let clang-format rewrite what it would complain about, then check
  lint.py --self-test  plant one violation of every rule in a scratch tree and see it caught

SPDX-License-Identifier: GPL-3.0-or-later
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys

from attacks import rule_attacks

HERE = os.path.dirname(os.path.abspath(__file__))
JOBS = os.cpu_count() or 2
PRODUCT = ("core", "proto", "tls", "spool", "dns")  # what ends up in build/ringpost
CODE = PRODUCT + ("bench", "tests")

# ---- the include matrix: a folder may include itself and the folders named here ------------------

BASE = {"core/base"}
IO = BASE | {"core/io"}
MIDDLE = IO | {"core/obs", "core/conf"}
MAY_INCLUDE = {
    "core/base": BASE,
    "core/io": IO,
    "core/obs": IO,
    "core/conf": IO,
    "proto": MIDDLE,
    "spool": MIDDLE,
    "dns": MIDDLE,
    "tls": MIDDLE,
    "core/policy": MIDDLE | {"proto"},
    "core/queue": MIDDLE | {"core/policy", "spool", "dns", "tls", "proto"},
}
BELOW_TOP = MAY_INCLUDE["core/queue"] | {"core/queue"}
MAY_INCLUDE["core/relay"] = BELOW_TOP
MAY_INCLUDE["core/admin"] = BELOW_TOP
ALL_PRODUCT = BELOW_TOP | {"core/relay", "core/admin", "core/app"}
MAY_INCLUDE["core/app"] = ALL_PRODUCT
MAY_INCLUDE["bench"] = ALL_PRODUCT
MAY_INCLUDE["tests"] = ALL_PRODUCT | {"bench", "tests"}

# Third-party header (prefix) -> the only place that may include it (beside tests).
ONLY_IN = {
    "liburing": "core/io/uring.h",
    "wolfssl/": ("tls/", "bench/handshake.c"),  # the bare library, measured beside tls/
    "ares": "dns/",
    "libfyaml": "core/conf/",
    "pcre2": "core/policy/pattern.c",
    "seccomp.h": "core/app/sandbox_calls.c",
    "xxhash": "core/base/",
}

BANNED = {
    "strcpy": "use a slice",
    "strcat": "use a buf",
    "sprintf": "use snprintf or a buf",
    "vsprintf": "use vsnprintf or a buf",
    "strtok": "use slice_cut",
    "atoi": "use slice_to_u64",
    "atol": "use slice_to_u64",
    "atoll": "use slice_to_u64",
    "gets": "use a slice",
    "strncpy": "use a slice",
    "strncat": "use a buf",
    "alloca": "size it at start, or use a pool",
    # Not for threads (POSIX.1-2017 2.9.1).
    "gmtime": "use rfc3339_* or gmtime_r",
    "localtime": "use localtime_r",
    "ctime": "use rfc3339_*",
    "asctime": "use rfc3339_*",
    "rand": "use rng_*",
    "srand": "use rng_*",
    "crypt": "use crypt_rn",
    "getpwnam": "use getpwnam_r",
    "getpwuid": "use getpwuid_r",
    "getgrnam": "use getgrnam_r",
    "gethostbyname": "use dns_*",
    "inet_ntoa": "use ip_text",
    "strsignal": "say the number",
    "tmpnam": "use mkdtemp",
}
NO_STRLEN = ("proto/", "spool/")  # everything there is a slice


class Tree:
    """The files under root, read once."""

    def __init__(self, root):
        self.root = root
        self.files = self._list()
        self._text = {}
        self._code = {}

    def _list(self):
        try:
            out = subprocess.run(
                ["git", "-C", self.root, "ls-files", "-z", "-c", "-o", "--exclude-standard"],
                check=True, capture_output=True).stdout.decode()
            names = [n for n in out.split("\0") if n]
        except (OSError, subprocess.CalledProcessError):  # no git here: a plain copy of the tree
            names = []
            for folder, dirs, files in os.walk(self.root):
                dirs[:] = [d for d in dirs if d not in (".git", "var", "__pycache__")
                           and not d.startswith("build")]
                names += [os.path.relpath(os.path.join(folder, f), self.root) for f in files]
        return sorted(n for n in set(names) if os.path.isfile(os.path.join(self.root, n)))

    def text(self, path):
        if path not in self._text:
            with open(os.path.join(self.root, path), "rb") as file:
                self._text[path] = file.read().decode("utf-8", "replace")
        return self._text[path]

    def code(self, path):
        """The text with comments, strings and characters blanked; every offset and line stays."""
        if path not in self._code:
            self._code[path] = blank(self.text(path))
        return self._code[path]

    def c_files(self, folders, suffixes=(".c", ".h")):
        return [f for f in self.files if f.endswith(suffixes) and f.split("/")[0] in folders]


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(text):
    def wipe(match):
        word = match.group(0)
        if word[0] == "/":
            return re.sub(r"[^\n]", " ", word)
        return word[0] + re.sub(r"[^\n]", "_", word[1:-1]) + word[-1]
    return TOKEN.sub(wipe, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def module_of(path):
    parts = path.split("/")
    if parts[0] == "core" and len(parts) > 2:
        return "core/" + parts[1]
    return parts[0]


# ---- rules ---------------------------------------------------------------------------------------

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+([<"])([^>"]+)[>"]', re.M)


def rule_include(tree):
    """Layering by the matrix of DESIGN 3; third-party headers only where they belong."""
    for path in tree.c_files(CODE):
        here = module_of(path)
        for match in INCLUDE.finditer(tree.text(path)):
            kind, name = match.groups()
            line = line_of(tree.text(path), match.start())
            for prefix, home in ONLY_IN.items():
                homes = (home,) if isinstance(home, str) else home
                inside = any(path == h or (h.endswith("/") and path.startswith(h)) for h in homes)
                if kind == "<" and name.startswith(prefix) and not inside and here != "tests":
                    yield path, line, f"<{name}> may be included only in {', '.join(homes)}"
            if kind == "<" or name == "ringpost_version.h":
                continue
            if "/" not in name or name.startswith("."):
                yield path, line, f'"{name}": write the path from the root of the tree'
                continue
            there = module_of(name)
            if here == "tests" and there not in MAY_INCLUDE:
                continue
            if here in MAY_INCLUDE and there != here and there not in MAY_INCLUDE[here]:
                yield path, line, f"{here} must not include {there} (the include matrix)"


CALL = re.compile(r"(?<![\w.>])(\w+)[ \t]*\(")


def rule_banned(tree):
    """Calls that trust a terminator or have no bound."""
    for path in tree.c_files(PRODUCT + ("bench",)):
        code = tree.code(path)
        for match in CALL.finditer(code):
            name = match.group(1)
            if name in BANNED:
                yield path, line_of(code, match.start()), f"{name}() is banned: {BANNED[name]}"
            elif name == "strlen" and path.startswith(NO_STRLEN):
                yield path, line_of(code, match.start()), "strlen() is banned here: use a slice"


def without_directives(code):
    """Preprocessor lines blanked, with their continuations."""
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)),
                  code, flags=re.M)


def is_mutable(declaration):
    """The name of the variable that a declaration without const makes, or None."""
    text = declaration.split("=")[0]
    text = re.sub(r"__attribute__\s*\(\(.*?\)\)", " ", text, flags=re.S)
    # Only as the first parenthesis: later ones are parameters of a prototype.
    pointer_to_function = re.match(
        r"[^(]*\(\s*\*\s*(const\s+)?(\w+)\s*(?:\[[^\]]*\])?\s*\)\s*\(", text)
    if pointer_to_function:
        return None if pointer_to_function.group(1) else pointer_to_function.group(2)
    if "(" in text:  # a prototype or a macro call
        return None
    text = re.sub(r"\[[^\]]*\]", " ", text)
    words = re.findall(r"\w+|\*", text.replace("{}", " "))
    if not words or words[0] in ("typedef", "extern", "_Static_assert", "static_assert"):
        return None
    words = [w for w in words if w not in ("static", "inline")]
    if words and words[0] in ("struct", "union", "enum") and (len(words) < 3):
        return None  # only a type
    if len(words) < 2:
        return None
    relevant = words[len(words) - words[::-1].index("*"):] if "*" in words else words
    if "const" in relevant:
        return None
    return words[-1]


def declarations(code):
    """Yields (offset, text) of what may declare a variable with static lifetime: every statement at
    file scope (bodies in braces shown as {}) and every static one in a function."""
    depth, start, text = 0, None, ""
    for match in re.finditer(r"[{};]|[^{};\s]+|\s+", code):
        word = match.group(0)
        if word == "{":
            if depth == 0:
                text += "{}"
            depth += 1
        elif word == "}":
            depth = max(0, depth - 1)
            # A function's body ends its statement without a semicolon.
            if depth == 0 and "=" not in text and re.search(r"\)[^()]*\{\}$", text):
                start, text = None, ""
        elif depth == 0:
            if word == ";":
                if start is not None:
                    yield start, text
                start, text = None, ""
            else:
                if start is None and not word.isspace():
                    start = match.start()
                text += word
    for match in re.finditer(r"(?<=[;{}])\s+(static\s[^;{}=]*)", code):
        before = code[:match.start(1)]
        if before.count("{") > before.count("}"):
            yield match.start(1), match.group(1)


def read_allowed(tree):
    allowed = {}
    name = "tests/lint/globals.allow"
    if name in tree.files:
        for line in tree.text(name).splitlines():
            words = line.split(None, 1)
            if words and not line.startswith("#"):
                allowed[words[0]] = words[1].strip() if len(words) > 1 else ""
    return allowed


def rule_global(tree):
    """No mutable globals; exceptions with their reason in globals.allow."""
    allowed = read_allowed(tree)
    used = set()
    for path in tree.c_files(PRODUCT):
        code = without_directives(tree.code(path))
        for offset, text in declarations(code):
            name = is_mutable(text)
            if name is None:
                continue
            key = f"{path}:{name}"
            if allowed.get(key):
                used.add(key)
                continue
            yield path, line_of(code, offset), \
                f"mutable global '{name}': put it into struct engine or struct worker, or name " \
                f"the reason in tests/lint/globals.allow"
    for key in sorted(set(allowed) - used):
        yield "tests/lint/globals.allow", 1, f"'{key}' allows nothing any more (or has no reason)"


def rule_macro(tree):
    """No macro returns or jumps."""
    define = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)((?:[^\n]*\\\n)*[^\n]*)", re.M)
    for path in tree.c_files(CODE):
        code = tree.code(path)
        for match in define.finditer(code):
            jump = re.search(r"\b(return|goto)\b", match.group(2))
            if jump:
                yield path, line_of(code, match.start(2) + jump.start()), \
                    f"macro {match.group(1)} hides a {jump.group(1)}"


def rule_header(tree):
    """A header is a contract: it begins with a comment that has a Purpose section."""
    for path in tree.c_files(PRODUCT + ("bench",), (".h",)):
        text = tree.text(path)
        comments = re.match(r"\s*((?:/\*.*?\*/\s*)+)", text, re.S)
        if not comments:
            yield path, 1, "a header starts with a comment (purpose, owner, thread, units, errors)"
        elif not re.search(r"\bpurpose\b", comments.group(1), re.I):
            yield path, 1, "the comment at the top has no 'Purpose:' section"


def include_flags(tree):
    """Where the statically built libraries have their headers."""
    flags = ["-I" + tree.root]
    dev = os.path.join(tree.root, "dev")
    for library in ("c-ares", "wolfssl"):
        if os.path.exists(dev):
            done = subprocess.run(["sh", dev, "prefix", library], capture_output=True, check=False)
            prefix = done.stdout.decode().strip()
            if prefix:
                flags += ["-isystem", prefix + "/include"]
    return flags


def rule_alone(tree):
    """Every header compiles alone."""
    headers = tree.c_files(PRODUCT + ("bench",), (".h",))
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler or not headers:
        return
    command = [compiler, "-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only",
               "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"] + include_flags(tree)

    def check(path):
        # Included, not compiled as the main file: no warning about static functions or pragmas.
        done = subprocess.run(command + ["-x", "c", "-"], input=f'#include "{path}"\nint unused;\n',
                              capture_output=True, text=True, cwd=tree.root, check=False)
        first = next((l for l in done.stderr.splitlines() if "error" in l), "")
        return path, done.returncode, first

    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for path, status, message in pool.map(check, headers):
            if status:
                at = re.match(r"[^:]*:(\d+)", message)
                yield path, int(at.group(1)) if at and message.startswith(path) else 1, \
                    "does not compile alone: " + message.split("error: ")[-1]


def is_text(tree, path):
    return "/corpus/" not in path and "\0" not in tree.text(path)[:4096]


# Put together so that this file does not match itself.
OPEN_WORK = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b")
PLACES = re.compile(r"(?<![\w.$}])/(?:work|root|home/\w[\w.-]*)/\w|/tmp/tmp\.\w")
HOSTS = re.compile(r"\b(?:(?:deb|security|snapshot|ftp\.\w+)\.debian\.org"
                   r"|registry\.npmjs\.org|pypi\.org|proxy\.golang\.org)\b")


def rule_open_work(tree):
    """Open work has an issue number."""
    for path in tree.files:
        if not is_text(tree, path) or path == "LICENSE":
            continue
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            found = OPEN_WORK.search(line)
            if found and not re.search(r"#\d+", line):
                yield path, number, f"{found.group(1)} without an issue number (#N)"


def rule_place(tree):
    """Nothing that is true only on one machine."""
    for path in tree.files:
        if not is_text(tree, path) or path.startswith("tests/lint/") or path == "LICENSE":
            continue
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            for pattern, what in ((PLACES, "a path of one machine"), (HOSTS, "a registry's name")):
                found = pattern.search(line)
                if found:
                    yield path, number, f"{what}: {found.group(0)}"


def run_formatter(tree, files, *options):
    def one(chunk):
        return subprocess.run(["clang-format", "--style=file", *options, *chunk], cwd=tree.root,
                              capture_output=True, text=True, check=False)
    chunks = [files[i::JOBS] for i in range(JOBS) if files[i::JOBS]]
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        return list(pool.map(one, chunks))


def formatter_major():
    if not shutil.which("clang-format"):
        return None
    out = subprocess.run(["clang-format", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\d+)", out.stdout)
    return int(found.group(1)) if found else None


def rule_format(tree):
    """clang-format 14 agrees. (Other versions differ in details and are not asked.)"""
    if formatter_major() != 14 or ".clang-format" not in tree.files:
        return
    for done in run_formatter(tree, tree.c_files(CODE), "--dry-run"):
        last = None
        for found in re.finditer(r"^([^:\n]+):(\d+):\d+: (?:warning|error): ", done.stderr, re.M):
            # One message per file: ./dev lint --fix mends it anyway.
            if found.group(1) != last:
                last = found.group(1)
                yield last, int(found.group(2)), "not formatted: ./dev lint --fix"


def rule_shell(tree):
    """Shell scripts parse, are plain POSIX where they say so, and pass shellcheck if it is here."""
    scripts = [f for f in tree.files
               if f.endswith(".sh") or re.match(r"#!\s*/bin/(ba)?sh\b", tree.text(f)[:40])]
    for path in scripts:
        shell = "bash" if "bash" in tree.text(path).split("\n", 1)[0] else "sh"
        done = subprocess.run([shell, "-n", path], cwd=tree.root, capture_output=True, text=True,
                              check=False)
        if done.returncode:
            number = re.search(r"(?:line |: )(\d+):", done.stderr)
            yield path, int(number.group(1)) if number else 1, done.stderr.strip().split(": ")[-1]
    if not scripts or not shutil.which("shellcheck"):
        return
    # Where the script was started is no matter of its text: sourced files are not followed.
    done = subprocess.run(["shellcheck", "-f", "gcc", "-S", "warning", "-e", "SC1091"] + scripts,
                          cwd=tree.root, capture_output=True, text=True, check=False)
    for found in re.finditer(r"^([^:\n]+):(\d+):\d+: (.*)$", done.stdout, re.M):
        yield found.group(1), int(found.group(2)), found.group(3)


# ---- libraries: each one that is linked has a row in the table of known holes ----------------------

TRIAGE = "SECURITY.md"
LINKED = "cmake/libraries.cmake"
OTHER_NAMES = {"libpcre2-8": "PCRE2", "libcrypt": "libxcrypt", "wolfssl": "wolfSSL"}
ONLY_TESTS = {"check"}


def rule_triage(tree):
    if LINKED not in tree.files:
        return
    rows = [line.split("|")[1] for line in tree.text(TRIAGE).splitlines() if line.startswith("| ")] \
        if TRIAGE in tree.files else []
    listed = {word.strip(",") for row in rows for word in row.split()}
    for hit in re.finditer(r"ringpost_(?:pkg|static)\(\w+ ([\w-]+)", tree.text(LINKED)):
        name = OTHER_NAMES.get(hit[1], hit[1])
        if hit[1] not in ONLY_TESTS and name not in listed:
            yield (LINKED, line_of(tree.text(LINKED), hit.start()),
                   f"{name} has no row in the table of {TRIAGE}: look through what is known of it")


RULES = [rule_include, rule_banned, rule_global, rule_macro, rule_header, rule_alone,
         rule_open_work, rule_place, rule_format, rule_shell, rule_triage, rule_attacks]


def check_tree(root):
    tree = Tree(root)
    problems = []
    for rule in RULES:
        name = rule.__name__[len("rule_"):].replace("_", "-")
        problems += [(path, line, name, message) for path, line, message in rule(tree)]
    return tree, sorted(problems)


def main():
    root = os.path.dirname(os.path.dirname(HERE))
    if "--self-test" in sys.argv[1:]:
        sys.path.insert(0, HERE)
        import selftest
        return selftest.run()
    if "--fix" in sys.argv[1:]:
        if formatter_major() is None:
            print("clang-format is not here: ./dev deps test", file=sys.stderr)
            return 69
        tree = Tree(root)
        run_formatter(tree, tree.c_files(CODE), "-i")
    tree, problems = check_tree(root)
    for path, line, name, message in problems:
        print(f"{path}:{line}: {name}: {message}")
    print(f"lint: {len(tree.files)} files, {len(RULES)} rules, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
