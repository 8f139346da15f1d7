#!/usr/bin/env python3
"""Counts the tests of one `meson test` run: tests/count.py LOG, its meson-logs/testlog.json, prints "PASSED FAILED SKIPPED"
and, a line each, the names of those that failed.

A Criterion program holds many tests and says how many in its last line; any other program is one test."""
import json
import re
import sys

FAILED = re.compile(r"\[FAIL\] (\S+::\S+): ")
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


def names(record):
    output = plain(record.get("stdout", "") + record.get("stderr", ""))
    tests = sorted(set(FAILED.findall(output)))
    return "%s %s: %s" % (record["name"], record["result"], " ".join(tests)) if tests else \
        "%s %s" % (record["name"], record["result"])


def main():
    totals, failed = [0, 0, 0], []
    with open(sys.argv[1], encoding="utf-8", errors="replace") as log:
        for line in log:
            record = json.loads(line)
            counts = count(record)
            totals = [a + b for a, b in zip(totals, counts)]
            if counts[1]:
                failed.append(names(record))
    if not any(totals):
        raise SystemExit("%s has no test" % sys.argv[1])
    print(*totals)
    for name in failed:
        print(name)


if __name__ == "__main__":
    main()
