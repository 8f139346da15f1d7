#!/usr/bin/env python3
"""Spec 10: the golden table of rating.  rating_golden_rates.csv are rate tables, rating_golden.csv calls and what they cost.
What stands there is computed anew with decimal arithmetic, from the text of the specification, and asked of the C functions
(rating_golden.c): all three have to agree, so none can drift.

    rating_golden_test.py RATING_GOLDEN            checks
    rating_golden_test.py --write                  fills the columns of the results in, after calls have been added
"""
import csv
import decimal
import pathlib
import subprocess
import sys
from decimal import Decimal

HERE = pathlib.Path(__file__).parent
RATES = HERE / "rating_golden_rates.csv"
CALLS = HERE / "rating_golden.csv"
RESULTS = ["rate_prefix", "rate", "billed_s", "fee"]
LEAST = 300

decimal.getcontext().prec = 80
FEE_MAX = Decimal(2**63 - 1) / 10**8  # what does not fit


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# ---- the specification, once more ----


def in_effect(rate, at_us):
    begun = not rate["effective_from_us"] or int(rate["effective_from_us"]) <= at_us
    return begun and not (rate["effective_to_us"] and int(rate["effective_to_us"]) <= at_us)


def rate_of(rates, call):
    """Longest prefix, then the newest effective date."""
    fitting = [r for r in rates if r["table"] == call["table"] and call["number"].startswith(r["prefix"])
               and in_effect(r, int(call["at_us"]))]
    return max(fitting, key=lambda r: (len(r["prefix"]), int(r["effective_from_us"] or -2**63)), default=None)


def billed_s(rate, call):
    hold = Decimal(call["hold_ms"]) / 1000
    s = hold.to_integral_value(decimal.ROUND_FLOOR)
    rest_ms = (hold - s) * 1000
    if rest_ms > 0 and rest_ms >= int(call["hold_precision_ms"]):
        s += 1
    if s <= int(rate["grace_s"]):
        return Decimal(0)
    s -= int(call["free_s"])
    if s <= 0:
        return Decimal(0)
    first, following = int(rate["first_increment_s"]) or 1, int(rate["next_increment_s"]) or 1
    return first + (max(Decimal(0), s - first) / following).to_integral_value(decimal.ROUND_CEILING) * following


def fee(rate, call, seconds):
    exact = Decimal(rate["connect_fee"]) + seconds * Decimal(rate["rate_per_minute"]) / 60 if seconds else Decimal(0)
    last = Decimal(1).scaleb(-int(call["fee_precision"]))
    # An endless quotient is cut after 80 digits, far behind the last one that could decide.
    return min(exact.quantize(last, decimal.ROUND_HALF_UP), FEE_MAX).quantize(last, decimal.ROUND_HALF_UP)


def plain(number):
    text = format(Decimal(number), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def results(rates, call):
    rate = rate_of(rates, call)
    if not rate:
        return {name: "none" if name == "rate_prefix" else "" for name in RESULTS}
    seconds = billed_s(rate, call)
    return {"rate_prefix": rate["prefix"], "rate": plain(rate["rate_per_minute"]), "billed_s": format(seconds, "f"),
            "fee": format(fee(rate, call, seconds), "f")}


# ---- the C functions ----


def ask(program, rates, calls):
    lines = [" ".join(["rate", r["table"], r["prefix"] or "-", r["rate_per_minute"], r["connect_fee"], r["first_increment_s"],
                       r["next_increment_s"], r["grace_s"], r["effective_from_us"] or str(-2**63),
                       r["effective_to_us"] or str(2**63 - 1)]) for r in rates]
    lines += [" ".join(["call", c["table"], c["number"], c["at_us"], c["hold_ms"], c["hold_precision_ms"], c["free_s"],
                        c["fee_precision"]]) for c in calls]
    run = subprocess.run([program], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    for line in run.stdout.splitlines():
        words = line.split()
        if words == ["none"]:
            words = ["none", "", "", ""]
        yield dict(zip(RESULTS, ["" if words[0] == "-" else words[0]] + words[1:]))


def main():
    rates, calls = read(RATES), read(CALLS)
    expected = [results(rates, call) for call in calls]
    if sys.argv[1:] == ["--write"]:
        with open(CALLS, "w", newline="") as file:
            table = csv.DictWriter(file, calls[0].keys(), lineterminator="\n")
            table.writeheader()
            table.writerows(call | result for call, result in zip(calls, expected))
        return 0
    said = list(ask(sys.argv[1], rates, calls))
    wrong = 0
    for line, (call, oracle, c) in enumerate(zip(calls, expected, said, strict=True), 2):
        written = {name: call[name] for name in RESULTS}
        if not written == oracle == c:
            wrong += 1
            print(f"{CALLS.name}:{line}: {call['story']}\n  written {written}\n  decimal {oracle}\n  C       {c}")
    print(f"{len(calls)} calls, {wrong} wrong")
    if len(calls) < LEAST:
        print(f"fewer than {LEAST}")
    return wrong > 0 or len(calls) < LEAST


sys.exit(main())
