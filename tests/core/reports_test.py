#!/usr/bin/env python3
"""Reading CDRs as an operator does, and a store on another machine that comes and goes.

    tests/core/reports_test.py RINGWHEEL RWCTL [NAME...]

Real switches on loopback; a line for each test, exit status 1 if any failed."""
import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "billing")]

from operator_test import RWCTL, Switch, need, wait_for  # noqa: E402
from postgresql_cluster import ENCODED, PASSWORD, Cluster  # noqa: E402

TESTS = []
CLUSTER = None


def test(function):
    TESTS.append(function)
    return function


def rwctl(switch, *words, status=0):
    done = subprocess.run([RWCTL, "-s", switch.path("data", "ringwheel.sock"), *words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60)
    need(done.returncode == status, "rwctl %s: %d\n%s%s" % (words, done.returncode, done.stdout, done.stderr))
    return done.stdout if status == 0 else done.stderr


def written(switch, count):
    wait_for(lambda: switch.ask("stats")["cdr_written"] == count, "%d records in the store" % count)


@test
def records_and_sums_as_table_csv_and_json():
    with Switch().start() as switch:
        switch.call(12)
        written(switch, 12)
        table = rwctl(switch, "cdr", "--since", "today", "--number", "123", "--unanswered").splitlines()
        need(len(table) == 13 and "REASON" in table[0] and "no_route" in table[1], "\n".join(table))
        need(rwctl(switch, "cdr", "--answered").count("\n") == 1, "none was answered")
        need(rwctl(switch, "cdr", "--until", "-1h").count("\n") == 1, "none is so old")
        table = rwctl(switch, "cdr", "--sums", "reason").splitlines()
        need(table[0].startswith("REASON    ATTEMPTS  ANSWERED  ASR %"), table[0])
        need(table[1].split()[:4] == ["no_route", "12", "0", "0.0"], table[1])
        need(table[2].split()[:2] == ["TOTAL", "12"], table[2])
        rows = list(csv.DictReader(io.StringIO(rwctl(switch, "cdr", "--sums", "gateway", "--csv"), newline="")))
        need(len(rows) == 1 and rows[0]["gateway"] == "customer" and rows[0]["fee"] == "0.00", str(rows))
        sums = json.loads(rwctl(switch, "--json", "cdr", "--sums", "day"))
        need(sums["rows"][0]["day"] == time.strftime("%Y-%m-%d") and sums["total"]["attempts"] == 12, str(sums))
        need("there are: normal" in rwctl(switch, "cdr", "--reason", "bad", status=1), "no such reason")
        need(switch.stop() == 0, "exit status: " + switch.log())


class Database:
    count = 0

    def __init__(self):
        Database.count += 1
        self.name = "reports%d" % Database.count
        CLUSTER.sql("CREATE DATABASE %s OWNER switch" % self.name, "postgres")
        self.key = "cdr_store = \"%s\"\n" % CLUSTER.uri(self.name)

    def rows(self):
        return int(CLUSTER.sql("SELECT count(*) FROM cdr", self.name))


@test
def records_go_to_postgresql_and_are_read_from_there():
    database = Database()
    with Switch(workers=2, extra=database.key).start() as switch:
        switch.call(20)
        written(switch, 20)
        need(database.rows() == 20, "%d records" % database.rows())
        need(not os.path.exists(switch.path("data", "cdr.db")), "there is a second store")
        need(rwctl(switch, "cdr", "--limit", "5").count("\n") == 6, "rows")
        need("TOTAL           20" in rwctl(switch, "cdr", "--sums", "reason"), rwctl(switch, "cdr", "--sums", "reason"))
        shown = json.dumps(switch.ask("config.show"))
        need("postgresql://switch:***@127.0.0.1" in shown, shown)
        need(switch.stop() == 0, "exit status: " + switch.log())
        for secret in PASSWORD, ENCODED:
            need(secret not in shown + switch.log(), "the password is shown")


# How long the server is away; calls come all the while.  AWAY_S=60 for a whole minute.
AWAY_S = float(os.environ.get("AWAY_S", "0"))


@test
def a_server_that_is_away_keeps_no_call_from_being_made():
    database = Database()
    total = 5
    with Switch(extra=database.key).start() as switch:
        switch.call(total)
        written(switch, total)
        CLUSTER.stop("immediate")
        until = time.monotonic() + AWAY_S
        try:
            switch.call(10)
            total += 10
            while time.monotonic() < until:
                switch.call(200)
                total += 200
                time.sleep(0.25)
            if AWAY_S:  # of so many some are refused, for overload, or come again: those have no record
                time.sleep(2)
                total = switch.ask("stats")["cdr_queued"]
            wait_for(lambda: switch.ask("stats")["cdr_queued"] == total, "records of all calls")
            wait_for(lambda: switch.ask("stats")["cdr_store_failing"] == 1, "cdr_store_failing")
            reason = rwctl(switch, "cdr", status=1)
            need("The CDRs cannot be read: PostgreSQL: " in reason and "refused" in reason, reason)
            begun = time.monotonic()
            need(switch.stop(20) == 1, "exit status: " + switch.log())
            need(time.monotonic() - begun < 15, "the stop took %.1f s" % (time.monotonic() - begun))
            switch.start()  # without the server
            switch.call(3)
            total += 3
            time.sleep(1)
        finally:
            CLUSTER.start()
        wait_for(lambda: database.rows() == total, "the backlog", 15 + AWAY_S)
        need(switch.stop() == 0, "exit status: " + switch.log())
        need(database.rows() == total, "%d records of %d" % (database.rows(), total))


@test
def a_silent_server_delays_neither_the_control_socket_nor_the_stop():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        key = "cdr_store = \"postgresql://switch@127.0.0.1:%d/x\"\n" % silent.getsockname()[1]
        with Switch(extra=key).start() as switch:
            switch.call(3)
            asking = [subprocess.Popen([RWCTL, "-s", switch.path("data", "ringwheel.sock"), "cdr", "--sums", "day"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
            time.sleep(0.3)
            begun = time.monotonic()
            switch.ask("node.info")
            need(time.monotonic() - begun < 2, "the control socket waited")
            need(asking[0].poll() is None, "there was an answer")
            need("timeout expired" in asking[0].communicate(timeout=10)[1], "the reason")
            for other in asking[1:]:
                other.kill()
                other.communicate()
            begun = time.monotonic()
            switch.process.send_signal(signal.SIGTERM)
            need(switch.process.wait(20) == 1, "exit status: " + switch.log())
            need(time.monotonic() - begun < 15, "the stop took %.1f s" % (time.monotonic() - begun))


@test
def reports_whose_clients_have_gone_make_room_for_others():
    database = Database()
    with Switch(extra=database.key).start() as switch:
        switch.call(3)
        written(switch, 3)
        asking = []

        def is_refused():
            asking.append(subprocess.Popen([RWCTL, "-s", switch.path("data", "ringwheel.sock"), "cdr"],
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
            try:
                return "Too many lists" in asking[-1].communicate(timeout=0.3)[1]
            except subprocess.TimeoutExpired:
                return False

        def go():
            for client in asking:
                client.kill()
                client.communicate()

        locking = threading.Thread(target=CLUSTER.sql, args=(
            "BEGIN; LOCK TABLE cdr IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(8)", database.name))
        locking.start()
        wait_for(lambda: CLUSTER.sql("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted",
                                     database.name) != "0", "the lock")
        wait_for(is_refused, "the most reports at a time")
        go()
        wait_for(lambda: not is_refused(), "room for another", 3)
        go()
        locking.join()
        need(switch.stop() == 0, "exit status: " + switch.log())


def main():
    global CLUSTER
    failed = 0
    with Cluster() as CLUSTER:
        for function in TESTS:
            if sys.argv[3:] and function.__name__ not in sys.argv[3:]:
                continue
            try:
                function()
                print("ok", function.__name__, flush=True)
            except Exception as fault:  # whatever goes wrong, the others are run
                failed += 1
                print("FAILED %s: %s: %s" % (function.__name__, type(fault).__name__, fault), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
