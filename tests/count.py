#!/usr/bin/env python3
"""Counts the tests of one `meson test` run: tests/count.py LOG, its meson-logs/testlog.json, prints "PASSED FAILED SKIPPED".

A Criterion program holds many tests and says how many in its last line; any other program is one test."""
import json
import re
import sys

SYNTHESIS = re.compile(r"Synthesis: Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+) \| Crashing: (\d+)")


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def count(record):
    output = plain(record.get("stdout", "") + record.get("stderr", ""))
    found = SYNTHESIS.findall(output)
    skipped = output.count("[SKIP]")
    bad = record["result"] not in ("OK", "SKIP", "EXPECTEDFAIL")
    if not found:
        return (0, 0, 1) if record["result"] == "SKIP" else (0, 1, 0) if bad else (1, 0, 0)
    tested, passing, failing, crashing = (int(n) for n in found[-1])
    failed = failing + crashing
    # A program that failed although each of its tests passed has failed all the same.
    return passing, failed if failed or not bad else 1, skipped


def main():
    totals = [0, 0, 0]
    with open(sys.argv[1], encoding="utf-8", errors="replace") as log:
        for line in log:
            totals = [a + b for a, b in zip(totals, count(json.loads(line)))]
    print(*totals)


if __name__ == "__main__":
    main()
