#!/usr/bin/env python3
"""docs/configuration.md is what the tables in the code say, and its examples together are a good configuration.

    tests/core/reference_test.py GENERATED COMMITTED RINGWHEEL"""

import difflib
import os
import re
import subprocess
import sys
import tempfile

GENERATED, COMMITTED, RINGWHEEL = sys.argv[1:4]


def compare(generated, committed):
    if generated == committed:
        return True
    sys.stdout.writelines(difflib.unified_diff(committed.splitlines(True), generated.splitlines(True),
                                               "docs/configuration.md", "what the tables say"))
    print("\ndocs/configuration.md is out of date; this renews it:\n\n    cp %s %s\n" % (os.path.abspath(GENERATED), COMMITTED))
    return False


def check_examples(text):
    examples = "".join(re.findall(r"^```\n(.*?)^```$", text, re.M | re.S))
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(examples)
        file.flush()
        run = subprocess.run([RINGWHEEL, "-c", file.name, "-t"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True)
    sections = set(re.findall(r"^(\w+)(?: \"[^\"]*\")? \{", examples, re.M))
    if run.returncode != 0:
        print("the examples are refused:", run.stdout)
    if sections != {"listen", "parameters", "mapping_gateway", "routing_gateway"}:
        print("not an example of each section:", sections)
        return False
    return run.returncode == 0


def main():
    with open(GENERATED) as file:
        generated = file.read()
    committed = ""
    if os.path.exists(COMMITTED):
        with open(COMMITTED) as file:
            committed = file.read()
    good = compare(generated, committed)
    good = check_examples(generated) and good
    sys.exit(0 if good else 1)


main()
