#!/usr/bin/env python3
"""conformance_test.py ROOT: every test that docs/conformance.md names exists.

In a table whose third column is headed "covered by", each name in `backticks` there must be a unit test (suite/name, or
one of the two alone), a scenario (interop/name, with * or ... for what differs), a check of the simulation (sim/name), a
test of the build (core/call/relay), a program of tests/ or bench/ with its options, or a file."""
import fnmatch
import glob
import os
import re
import subprocess
import sys


def unit_tests(root):
    names = set()
    for path in glob.glob(os.path.join(root, "tests", "**", "*.c"), recursive=True):
        with open(path, encoding="utf-8", errors="replace") as file:
            for suite, name in re.findall(r"^(?:Theory\(\(.*\), |Test\()(\w+),\s*(\w+)", file.read(), re.MULTILINE):
                names |= {suite, name, suite + "/" + name}
    return names


def checks(root):
    """What the simulation calls its checks."""
    names = set()
    for path in glob.glob(os.path.join(root, "tests", "sim", "*.c")):
        with open(path, encoding="utf-8", errors="replace") as file:
            names |= set(re.findall(r'"([a-z0-9]+(?:[-.][a-z0-9]+)+)"', file.read()))
    return names | {"sim/" + name for name in names}


def scenarios(root):
    listing = subprocess.run([sys.executable, os.path.join(root, "tests", "interop", "run"), "--list"], check=True,
                             capture_output=True, text=True).stdout
    names = {line.split()[0] for line in listing.splitlines() if line.strip()}
    return names | {"interop/" + name for name in names}


def build_tests(root):
    """Tests of the build are named after their sources, or in a line that makes them."""
    names = set()
    for path in glob.glob(os.path.join(root, "tests", "**", "*.*"), recursive=True):
        relative = os.path.relpath(path, os.path.join(root, "tests"))
        if path.endswith((".c", ".py")):
            base = relative.rsplit(".", 1)[0]
            names |= {base, re.sub("_test$", "", base), os.path.basename(base)}
        elif path.endswith("meson.build"):
            with open(path, encoding="utf-8") as file:
                names |= set(re.findall(r"'([a-z0-9_/]+)'", file.read()))
    for path in glob.glob(os.path.join(root, "bench", "*.c")):
        names.add("rwbench " + os.path.basename(path)[:-2])
        names.add("bench/" + os.path.basename(path)[:-2])
    return names


def is_known(name, known, root):
    if name in known or os.path.exists(os.path.join(root, name)) or name.split(" ")[0] in known:
        return True
    pattern = name.replace("...", "*")
    return "*" in pattern and bool(fnmatch.filter(known, pattern))


def rows(path):
    """(line number, third column) of every row of such a table."""
    inside = False
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if not line.startswith("|"):
                inside = False
            elif len(cells) > 2 and cells[2].lower().startswith("covered by"):
                inside = True
            elif inside and len(cells) > 2 and not set(line) <= set("|-: \n"):
                yield number, cells[2]


def main():
    root = sys.argv[1]
    known = unit_tests(root) | checks(root) | scenarios(root) | build_tests(root)
    wrong, named, lines = [], 0, 0
    path = os.path.join(root, "docs", "conformance.md")
    for number, cell in rows(path):
        lines += 1
        for name in re.findall(r"`([^`]+)`", cell):
            named += 1
            if not is_known(name, known, root):
                wrong.append("%s:%d: there is no %s" % (os.path.relpath(path, root), number, name))
    print("\n".join(wrong + ["%d rows name %d tests, %d of which are none" % (lines, named, len(wrong))]))
    return 1 if wrong or not named else 0


if __name__ == "__main__":
    sys.exit(main())
