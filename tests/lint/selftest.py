"""The lint tests itself: each case plants files in a scratch tree and names what must be found.

SPDX-License-Identifier: GPL-3.0-or-later
"""
import os
import shutil
import tempfile

import lint

HEAD = "/* Purpose: a case for the lint's own test. */\n"
OPEN = "TO" + "DO"
ONE_MACHINE = "/ho" + "me/ann/mail"
REGISTRY = "deb.deb" + "ian.org"

# name, {path: text}, the findings expected as "path:line: rule"
CASES = [
    ("clean tree", {
        "core/base/a.h": HEAD + "#include <stddef.h>\nsize_t a(void);\n",
        "core/io/b.c": '#include "core/base/a.h"\n\nsize_t b(void);\n\nsize_t b(void)\n'
                       "{\n    return a();\n}\n",
        "core/io/uring.h": HEAD + "#include <liburing.h>\n",
        "core/policy/c.c": '#include "proto/smtp/reply.h"\n',
        "proto/mail/d.c": '#include "proto/smtp/reply.h"\n',
        "tests/unit/spool/test_x.c": '#include "core/app/engine.h"\n#include <liburing.h>\n',
    }, []),
    ("upward include", {"core/base/a.c": '\n#include "core/io/io.h"\n'},
     ["core/base/a.c:2: include"]),
    ("attacks that name no test", {
        "docs/ATTACKS.md": "| A1 | x | y | `e2e/test_a.py::test_one`, `unit/a.c::two`, `fuzz/b.c` |\n| A2 | x | y | none |\n"
                           "| A2 | x | y | `e2e/test_a.py::test_on`, `unit/a.c::one` |\n| A3 | x | y | `e2e/test_b.py` |\n",
        "tests/e2e/test_a.py": "def test_one(make):\n    pass\n", "tests/unit/a.c": "START_TEST(two)\n",
        "tests/fuzz/b.c": "int b;\n",
    }, ["docs/ATTACKS.md:2: attacks", "docs/ATTACKS.md:3: attacks", "docs/ATTACKS.md:3: attacks",
        "docs/ATTACKS.md:3: attacks", "docs/ATTACKS.md:4: attacks"]),
    ("sibling include", {"spool/a.c": '#include "dns/plan.h"\n', "dns/b.c": '#include "tls/c.h"\n'},
     ["dns/b.c:1: include", "spool/a.c:1: include"]),
    ("policy may not include the spool", {"core/policy/a.c": '#include "spool/append.h"\n'},
     ["core/policy/a.c:1: include"]),
    ("product includes bench", {"core/app/a.c": '#include "bench/load.h"\n'},
     ["core/app/a.c:1: include"]),
    ("include without a folder", {"core/base/a.c": '#include "slice.h"\n'},
     ["core/base/a.c:1: include"]),
    ("third-party header out of place", {
        "core/io/loop.c": "#include <liburing.h>\n",
        "core/relay/a.c": "#include <wolfssl/ssl.h>\n#include <ares.h>\n",
        "core/app/b.c": "#include <libfyaml.h>\n",
    }, ["core/app/b.c:1: include", "core/io/loop.c:1: include", "core/relay/a.c:1: include",
        "core/relay/a.c:2: include"]),
    ("banned calls", {
        "core/base/a.c": "void a(char *d)\n{\n    strcpy(d, \"x\");\n    (void)atoi(d);\n"
                         "    /* sprintf( in a comment */\n    say(\"gets(\");\n"
                         "    my_strcpy(d);\n    p->gets(d);\n}\n",
    }, ["core/base/a.c:3: banned", "core/base/a.c:4: banned"]),
    ("strlen in proto", {"proto/smtp/a.c": "int n = 0 + (int)strlen(x);\n",
                         "core/base/b.c": "void b(void)\n{\n    strlen(x);\n}\n"},
     ["proto/smtp/a.c:1: banned", "proto/smtp/a.c:1: global"]),
    ("mutable globals", {
        "spool/a.c": "static int count;\nstatic const int fixed = 1;\nconst char *name = \"x\";\n"
                     "const char *const ok[] = {\"x\", \"y\"};\nint f(int a, int b);\n"
                     "struct s {\n    int a;\n};\nenum e { A, B };\ntypedef int t;\n"
                     "static const struct s rows[] = {{1}, {2}};\nstatic struct s loose = {1};\n"
                     "int f(int a, int b)\n{\n    static int calls;\n    static const int k = 1;\n"
                     "    int local = a;\n    return local + b + k + calls++;\n}\n"
                     "static void (*hook)(void);\n_Thread_local int mine;\nextern int theirs;\n"
                     "int each(int fd, _Bool (*call)(void *ctx), void *ctx);\n",
    }, ["spool/a.c:12: global", "spool/a.c:15: global", "spool/a.c:1: global",
        "spool/a.c:20: global", "spool/a.c:21: global", "spool/a.c:3: global"]),
    ("allowed global", {
        "dns/a.c": "static int once;\n",
        "tests/lint/globals.allow": "# comment\ndns/a.c:once the library wants it\n",
    }, []),
    ("an allowance without a use", {"tests/lint/globals.allow": "dns/a.c:gone a reason\n"},
     ["tests/lint/globals.allow:1: global"]),
    ("control flow in a macro", {
        "core/base/a.c": "#define OK(x) ((x) + 1) /* return */\n#define TRY(x) \\\n"
                         "    do { if (x) \\\n        return x; } while (0)\n"
                         "#define OUT(x) goto x\n#define returned 1\n",
    }, ["core/base/a.c:4: macro", "core/base/a.c:5: macro"]),
    ("header without its comment", {"core/base/a.h": "int a(void);\n",
                                    "core/base/b.h": "/* about b */\nint b(void);\n"},
     ["core/base/a.h:1: header", "core/base/b.h:1: header"]),
    ("header that does not compile alone", {"core/base/a.h": HEAD + "\nsize_t a(void);\n"},
     ["core/base/a.h:3: alone"]),
    ("open work", {"docs/a.md": f"{OPEN}: later\n{OPEN} #12: fine\nmktemp a.XXXXXX\n"},
     ["docs/a.md:1: open-work"]),
    ("one machine's path", {"docs/a.md": f"see {ONE_MACHINE}\nor $HOME/mail or /var/mail/\n"},
     ["docs/a.md:1: place"]),
    ("a registry's name", {"dev": f"#!/bin/sh\necho {REGISTRY}\n"}, ["dev:2: place"]),
    ("a library nobody looked through", {
        "cmake/libraries.cmake": "ringpost_pkg(check check)\nringpost_pkg(pcre2 libpcre2-8)\nringpost_pkg(z zlib)\n",
        "SECURITY.md": "| Library | |\n|---|---|\n| json-c, PCRE2 | |\n"}, ["cmake/libraries.cmake:3: triage"]),
    ("shell that does not parse", {"dev": "#!/bin/sh\nif true; then\n"}, ["dev: shell"]),
]
if lint.formatter_major() == 14:
    CASES.append(("format", {"core/base/a.c": "int  a;\n"}, ["core/base/a.c:1: format",
                                                           "core/base/a.c:1: global"]))


def run_case(files, expected):
    with tempfile.TemporaryDirectory(prefix="ringpost-lint-") as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        if any("format" in e for e in expected):
            shutil.copy(os.path.join(lint.HERE, "..", "..", ".clang-format"), root)
        _, problems = lint.check_tree(root)
    found = [f"{path}:{line}: {name}" for path, line, name, _ in problems]
    # An expectation without a line (a shell's own numbering) matches any line, any number of times.
    loose = [e for e in expected if e.count(":") == 1]
    for expectation in loose:
        path, name = expectation.split(": ")
        hits = [f for f in found if f.startswith(path + ":") and f.endswith(": " + name)]
        found = [f for f in found if f not in hits] + ([expectation] if hits else [])
    return sorted(found)


def run():
    failed = 0
    for name, files, expected in CASES:
        found = run_case(files, expected)
        if found != sorted(expected):
            failed += 1
            print(f"lint self-test: {name}:\n  expected {sorted(expected)}\n  found    {found}")
    print(f"lint-selftest: {len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0
