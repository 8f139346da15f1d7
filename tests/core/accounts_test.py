#!/usr/bin/env python3
"""Accounts and rates with a real switch, as an operator has them in hand (spec 10).

    tests/core/accounts_test.py RINGWHEEL RWCTL [NAME...]

Each test has a switch of its own on loopback; a line for each, exit status 1 if any failed."""

import csv
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

from operator_test import free_port, need

RINGWHEEL, RWCTL = sys.argv[1:3]
CONFIGURATION = """workers = 2
max_calls = 1000
steering = "mailbox"
listen "main" { address = "127.0.0.1" port = %d }
mapping_gateway "customer" { address = "127.0.0.0/8" account = "acme" }
routing_gateway "vendor" { address = "127.0.0.1:9" prefix = "99" account = "telco" }
"""
HEAD = ["prefix", "name", "rate_per_minute", "connect_fee", "first_increment_s", "next_increment_s", "grace_s",
        "effective_from", "effective_to"]
TESTS = []


def test(function):
    TESTS.append(function)
    return function


class Switch:
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="ringwheel-accounts-")
        with open(self.path("ringwheel.conf"), "w") as out:
            out.write(CONFIGURATION % free_port())
        self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.directory)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def start(self):
        with open(self.path("log"), "a") as log:
            self.process = subprocess.Popen([RINGWHEEL, "-c", self.path("ringwheel.conf")], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        deadline = time.monotonic() + 15
        while subprocess.run(self.command("info"), capture_output=True).returncode != 0:
            need(self.process.poll() is None and time.monotonic() < deadline, "it did not start: " + self.log())
            time.sleep(0.05)
        return self

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()

    def restart(self):
        self.process.send_signal(signal.SIGTERM)
        need(self.process.wait(20) == 0, "it did not stop in order: " + self.log())
        self.start()

    def log(self):
        with open(self.path("log"), errors="replace") as text:
            return text.read()

    def command(self, *words):
        return [RWCTL, "-s", self.path("data", "ringwheel.sock"), *words]

    def rwctl(self, *words):
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=120)
        need(done.returncode == 0, "rwctl %s: %s" % (" ".join(words), done.stderr))
        return done.stdout

    def refused(self, *words):
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=120)
        need(done.returncode == 1, "rwctl %s was not refused: %s" % (" ".join(words), done.stdout))
        return done.stderr

    def json(self, *words):
        return json.loads(self.rwctl("--json", *words))

    def lookup(self, number, *more):
        return self.json("rates", "lookup", *more, number)

    def write(self, name, rows, head=None):
        with open(self.path(name), "w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(head or HEAD)
            writer.writerows(rows)
        return self.path(name)


def rate_of(i):
    return "0.%04d" % (1 + i % 9999)


@test
def a_hundred_thousand_rates_come_in_go_out_and_come_in_again(s):
    rows = [[str(100000 + i), "Dest, %d" % i, rate_of(i), "", 60, 6, "", "2020-01-01", ""] for i in range(100000)]
    answer = s.json("rates", "import", "retail", s.write("in.csv", rows))
    need(answer["rates"] == 100000 and answer["was"] == 0, "imported: %s" % answer)
    s.rwctl("account", "add", "acme", "--currency", "EUR", "--rate-table", "retail")
    for i in (0, 777, 99999):
        found = s.lookup("+%d123" % (100000 + i), "--account", "acme")
        need(found["rate_per_minute"].rstrip("0") == rate_of(i).rstrip("0"), "%d: %s" % (i, found))
        need(found["name"] == "Dest, %d" % i and found["first_increment_s"] == 60, "%d: %s" % (i, found))
    s.rwctl("rates", "export", "retail", s.path("out.csv"))
    with open(s.path("out.csv"), newline="") as text:
        out = list(csv.reader(text))
    need(len(out) == 100001 and out[0] == HEAD, "exported %d rows" % len(out))
    need(sorted(row[0] for row in out[1:]) == sorted(row[0] for row in rows), "other prefixes came out")
    s.rwctl("rates", "import", "again", s.path("out.csv"))
    s.rwctl("rates", "export", "again", s.path("again.csv"))
    with open(s.path("out.csv"), "rb") as one, open(s.path("again.csv"), "rb") as two:
        need(one.read() == two.read(), "what went out and in is another table")
    need(os.stat(s.path("out.csv")).st_mode & 0o777 == 0o640, "the file's mode")


@test
def a_bad_file_keeps_the_old_rates_and_names_every_bad_line(s):
    s.rwctl("rates", "import", "t", s.write("good.csv", [["44", "UK", "0.01", "", "", "", "", "", ""]]))
    rows = [[str(i), "", "1", "", "", "", "", "", ""] for i in range(1, 1001)]
    for i in range(0, 1000, 30):
        rows[i][2] = "free"
    said = s.refused("rates", "import", "t", s.write("bad.csv", rows))
    need("34 bad rows, nothing was imported" in said and "and 14 more" in said, said)
    need(all("line %d: rate_per_minute: 'free'" % (2 + 30 * i) in said for i in range(20)), said)
    need(s.lookup("4420", "t")["rate_per_minute"] == "0.01", "the old rates are gone")
    need("no rate" in s.refused("rates", "lookup", "t", "999"), "a rate of the bad file")
    need("No such file" in s.refused("rates", "import", "t", s.path("none.csv")), "a file that is not there")


@test
def accounts_are_topped_up_locked_and_kept_over_a_restart(s):
    s.rwctl("account", "add", "acme", "--currency", "EUR", "--overdraft", "5")
    s.rwctl("account", "topup", "acme", "100", "--reason", "bank transfer 4711")
    s.rwctl("account", "topup", "--", "acme", "-0.00000001")
    s.rwctl("account", "lock", "acme")
    for _ in range(2):
        row, = s.json("account", "list")
        need(row == {"name": "acme", "currency": "EUR", "balance": "99.99999999", "overdraft": "5.00",
                     "rate_table": "", "locked": True, "bill_until": "teardown"}, str(row))
        newest, first = s.json("account", "ledger", "acme")
        need(first["reason"] == "bank transfer 4711" and first["who"] and first["amount"] == "100.00", str(first))
        need(newest["balance"] == "99.99999999", str(newest))
        s.restart()
    s.rwctl("account", "unlock", "acme")
    need(not s.json("account", "list")[0]["locked"], "it is locked still")


@test
def gateways_whose_accounts_are_not_there_are_warned_of(s):
    need('mapping_gateway "customer": there is no account "acme"' in s.log(), s.log())
    need('routing_gateway "vendor": there is no account "telco"' in s.rwctl("reload"), "the reload did not warn")
    s.rwctl("account", "add", "telco")
    s.rwctl("account", "add", "acme")
    need("no account" not in s.rwctl("reload"), "it warns still")


@test
def a_change_is_in_force_when_it_is_answered(s):
    before = s.json("reload")["generation"]
    added = s.json("account", "add", "acme")["generation"]
    need(added == before + 1, "%d after %d" % (added, before))
    topped_up = s.json("account", "topup", "acme", "1")
    need(topped_up["balance"] == "1.00", str(topped_up))
    need(s.json("account", "lock", "acme")["generation"] == added + 1, "a top-up is no other configuration")
    need(s.json("reload")["generation"] == added + 2, "a reload after it")


@test
def the_fee_of_a_call_is_corrected_twice(s):
    s.rwctl("account", "add", "acme")
    cdr_id = "0" * 31 + "1"
    with sqlite3.connect(s.path("data", "ringwheel.db"), timeout=10) as db:
        db.execute("INSERT INTO ledger (when_us, account, kind, amount_e8, cdr_id, who, reason)"
                   " VALUES (1, (SELECT id FROM accounts), 'charge', -500000000, ?, '', '')", (cdr_id,))
        db.execute("UPDATE accounts SET balance_e8 = -500000000")
    first = s.json("cdr", "adjust", cdr_id, "--fee", "2", "--reason", "wrong rate")
    need((first["original_fee"], first["was"], first["moved"], first["balance"]) ==
         ("5.00", "5.00", "3.00", "-2.00"), str(first))
    second = s.json("cdr", "adjust", cdr_id, "--fee", "2.5")
    need((second["original_fee"], second["was"], second["moved"], second["balance"]) ==
         ("5.00", "2.00", "-0.50", "-2.50"), str(second))
    kinds = [row["kind"] for row in s.json("account", "ledger", "acme")]
    need(kinds == ["adjust", "adjust", "charge"], str(kinds))


@test
def a_switch_that_is_killed_in_the_middle_of_an_import_has_the_old_rates(s):
    s.rwctl("rates", "import", "t", s.write("good.csv", [["44", "UK", "0.01", "", "", "", "", "", ""]]))
    rows = [[str(100000 + i), "", "1", "", "", "", "", "", ""] for i in range(100000)]
    large = s.write("large.csv", rows)
    whole = 0
    for i in range(6):
        client = subprocess.Popen(s.command("rates", "import", "t", large), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        time.sleep(0.05 + 0.12 * i)
        s.kill()
        client.wait()
        s.start()
        count = s.json("rates", "list")[0]["rates"]
        with sqlite3.connect(s.path("data", "ringwheel.db")) as db:
            stored = db.execute("SELECT count(*) FROM rates").fetchone()[0]
        need(count == stored and count in (1, 100000), "%d rates, %d in the table" % (stored, count))
        whole += count == 100000
        s.rwctl("rates", "import", "t", s.path("good.csv"))
    print("  %d of 6 imports were over before the kill" % whole)


@test
def the_control_socket_answers_while_rates_come_in(s):
    rows = [[str(1000000 + i), "", "1", "", "", "", "", "", ""] for i in range(300000)]
    client = subprocess.Popen(s.command("rates", "import", "t", s.write("large.csv", rows)), stdout=subprocess.DEVNULL)
    slowest = 0
    while client.poll() is None:
        begin = time.monotonic()
        s.rwctl("info")
        s.rwctl("account", "list")
        slowest = max(slowest, time.monotonic() - begin)
    need(client.wait() == 0, "the import failed: " + s.log())
    need(slowest < 3, "an answer took %.1f s" % slowest)


def main():
    failed = 0
    for function in TESTS:
        if len(sys.argv) > 3 and function.__name__ not in sys.argv[3:]:
            continue
        switch = Switch()
        try:
            with switch:
                function(switch)
            print("ok   " + function.__name__)
        except (AssertionError, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            print("FAIL %s: %s" % (function.__name__, error))
            failed += 1
    return failed > 0


sys.exit(main())
