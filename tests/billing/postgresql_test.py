#!/usr/bin/env python3
"""CDRs in PostgreSQL: nothing lost, nothing doubled, whatever becomes of the server.

Starts a cluster of its own (in a temporary directory, as user postgres when run by root) and feeds it through the sink by
postgresql_feed, whose records follow from their numbers."""
import decimal
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

from postgresql_cluster import ENCODED, PASSWORD, Cluster, need, wait_for

FEED = sys.argv[1]
DAYS = ("20231114", "20231115", "20231116")


class Database:
    """An empty one."""
    count = 0

    def __init__(self, cluster, options=""):
        Database.count += 1
        self.name = "cdr%d" % Database.count
        self.cluster = cluster
        cluster.sql("CREATE DATABASE %s OWNER switch %s" % (self.name, options), "postgres")
        self.uri = cluster.uri(self.name)

    def sql(self, statement):
        return self.cluster.sql(statement, self.name)

    def number(self, statement):
        return int(self.sql(statement))

    def start(self, command, *words):
        return subprocess.Popen([FEED, command, self.uri, *map(str, words)], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)

    def feed(self, command, *words, status=0):
        done = subprocess.run([FEED, command, self.uri, *map(str, words)], stdout=subprocess.PIPE, text=True,
                              timeout=200)
        need(done.returncode == status, command, words, done.returncode, done.stdout)
        return done.stdout

    def expect(self, first, count):
        """Exactly the records of these numbers."""
        shown = self.sql("SELECT count(*), count(DISTINCT cdr_id), sum(fee::numeric) FROM cdr")
        fees = sum(range(first, first + count)) + decimal.Decimal(count) / 10**8
        need(shown == "%d|%d|%s" % (count, count, format(fees, ".8f")), shown, "instead of", count, fees)


def spec_9_every_column_is_stored_as_it_was(cluster):
    db = Database(cluster)
    db.feed("feed", "node1", 0, 3000, 1000)
    db.expect(0, 3000)
    need(db.sql("SELECT * FROM cdr ORDER BY start_us LIMIT 1 OFFSET 1") ==
         "060a24181e4003-0000-000-00000003|node1|3|customer-a|vendor-b|customer-a|vendor-b-account|+8801711000001|"
         "+4930123456|8801711000001|4930123456|192.0.2.7:5060|[2001:db8::9]:5080|a84b4c76e66710@gw.customer-a.example|"
         "0001f3a2-000000007d-00000001|1700000000000003|1700000001500000|1700000004500000|1700000064500000|1500|60000|"
         "60|callee|normal|200|16|[{\"gateway\":\"vendor-a\",\"code\":503,\"ms\":120},{\"gateway\":\"vendor-b\","
         "\"code\":200,\"ms\":4321}]|a+b|2|1|1700000034500000|49|0.0150|3.00000001|0.0120|0",
         db.sql("SELECT * FROM cdr ORDER BY start_us LIMIT 1 OFFSET 1"))
    need(db.sql("SELECT relname, count(*) FROM cdr JOIN pg_class c ON c.oid = cdr.tableoid GROUP BY 1 ORDER BY 1") ==
         "\n".join("cdr_%s|1000" % day for day in DAYS), "partitions")
    need(db.sql("SELECT node, journal, position FROM cdr_position") == "node1|18364758544493064720|3000", "position")


def a_record_that_comes_again_is_stored_once(cluster):
    db = Database(cluster)
    db.feed("feed", "node1", 0, 1000, 300)
    need(db.feed("feed", "node1", 0, 1000, 300) == "", "the position says that all is there")
    db.sql("DELETE FROM cdr_position")
    db.feed("feed", "node1", 0, 1500, 400)
    db.expect(0, 1500)


def a_server_killed_in_mid_batch_loses_and_doubles_nothing(cluster):
    db = Database(cluster)
    feeder = db.start("feed", "node1", 0, 40000, 500)
    for _ in range(5):
        time.sleep(random.uniform(0.05, 0.4))
        cluster.stop("immediate")
        cluster.start()
    out, _ = feeder.communicate(timeout=120)
    need(feeder.returncode == 0, out[-2000:])
    need("failed PostgreSQL: " in out, "no kill came in the middle of anything")
    need(PASSWORD not in out and ENCODED not in out, "the password is in a sentence")
    db.expect(0, 40000)


def a_server_that_was_away_gets_the_backlog(cluster):
    db = Database(cluster)
    db.feed("feed", "node1", 0, 500, 100)
    cluster.stop("fast")
    feeder = db.start("feed", "node1", 500, 20000, 1000)
    time.sleep(2)
    need(feeder.poll() is None, "it has ended")
    cluster.start()
    out, _ = feeder.communicate(timeout=60)
    need(feeder.returncode == 0 and "retry PostgreSQL: connection to server" in out, out[:2000])
    db.expect(0, 20500)


def nodes_that_start_at_once_share_tables_and_days(cluster):
    db = Database(cluster)
    feeders = [db.start("feed", "node%d" % i, 10000 * i, 10000, 1000) for i in range(4)]
    for feeder in feeders:
        out, _ = feeder.communicate(timeout=60)
        need(feeder.returncode == 0, out)
        need("failed" not in out and "retry" not in out, "one was in another's way:", out)
    db.expect(0, 40000)
    need(db.number("SELECT count(*) FROM cdr_position") == 4, "positions")
    need(db.number("SELECT count(*) FROM pg_inherits WHERE inhparent = 'cdr'::regclass") == 3, "days")


def nodes_with_the_same_cdr_ids_have_a_row_each(cluster):
    """As two have that were rolled out together, for calls that came in one microsecond."""
    db = Database(cluster)
    for _ in range(2):
        for node in "node1", "node2":
            db.feed("feed", node, 0, 300, 100)
        need(db.sql("SELECT count(*), count(DISTINCT (cdr_id, node)), count(DISTINCT cdr_id) FROM cdr") ==
             "600|600|300", "swallowed, or doubled")
        db.sql("DELETE FROM cdr_position")
    newest = db.sql("SELECT max(cdr_id) FROM cdr")
    need([row.split("|")[:2] for row in db.feed("list", "rows", "cdr_id=" + newest).splitlines()] ==
         [[newest, "node2"], [newest, "node1"]], "both are listed")


def a_database_of_version_1_is_migrated_with_its_days(cluster):
    db = Database(cluster)
    db.feed("feed", "node1", 0, 900, 300)
    days = ["CREATE TABLE cdr_%s (LIKE cdr INCLUDING ALL);"
            "ALTER TABLE cdr ATTACH PARTITION cdr_%s FOR VALUES FROM (%d) TO (%d);" %
            (day, day, start * 86400000000, (start + 1) * 86400000000) for start, day in enumerate(DAYS, 19675)]
    db.sql("SET ROLE switch; CREATE TABLE kept AS SELECT * FROM cdr; DROP TABLE cdr_%s, cdr_%s, cdr_%s;" % DAYS +
           "ALTER TABLE cdr DROP CONSTRAINT cdr_pkey; ALTER TABLE cdr ADD PRIMARY KEY (start_us, cdr_id);"
           "UPDATE cdr_schema SET version = 1;" + "".join(days) + "INSERT INTO cdr SELECT * FROM kept; DROP TABLE kept;"
           "ALTER TABLE cdr DETACH PARTITION cdr_%s" % DAYS[0])
    # Its records of another node are new; the day that was detached has its rows, and comes back for them.
    db.feed("feed", "node2", 0, 900, 300)
    need(db.number("SELECT version FROM cdr_schema") == 2, "version")
    need(db.sql("SELECT node, count(*), count(DISTINCT cdr_id) FROM cdr GROUP BY 1 ORDER BY 1") ==
         "node1|900|900\nnode2|900|900", "rows")
    keys = db.sql("SELECT conrelid::regclass, pg_get_constraintdef(oid), conindid IN (SELECT inhrelid FROM pg_inherits)"
                  " FROM pg_constraint WHERE contype = 'p' AND conrelid::regclass::text ~ '^cdr(_2.*)?$'"
                  " ORDER BY conrelid::regclass::text")
    need(keys == "\n".join("%s|PRIMARY KEY (start_us, cdr_id, node)|%s" % key for key in
                           [("cdr", "f")] + [("cdr_" + day, "t") for day in DAYS]), keys)
    db.sql("DELETE FROM cdr_position")
    for node in "node1", "node2":
        db.feed("feed", node, 0, 900, 300)
    need(db.number("SELECT count(*) FROM cdr") == 1800, "doubled")


def two_nodes_of_one_name_are_told(cluster):
    db = Database(cluster)
    first = db.start("hurry", "node1")
    need(first.stdout.readline() == "ready\n", "it is connected")
    need("a second node of the same name" in db.feed("open", "node1"), "told")
    need(db.feed("open", "node2").startswith("open\n"), "another name")
    first.kill()
    first.communicate()
    wait_for(lambda: db.feed("open", "node1").startswith("open\n"), "the end of a killed one's connection")


def a_partition_that_was_dropped_is_made_again(cluster):
    db = Database(cluster)
    feeder = db.start("feed", "node1", 0, 30000, 300)
    for _ in range(3):
        feeder.stdout.readline()
    db.sql("DROP TABLE cdr_%s" % DAYS[0])
    out, _ = feeder.communicate(timeout=60)
    need(feeder.returncode == 0, out)
    need("failed PostgreSQL: no partition of relation" in out, out[:500])
    need(db.number("SELECT count(*) FROM cdr WHERE fee::numeric > 29000") == 1000, "the last ones")
    # Detached for an archive, and then an old record comes: it is attached again, nothing is stored twice.
    before = db.number("SELECT count(*) FROM cdr")
    db.sql("ALTER TABLE cdr DETACH PARTITION cdr_%s; DELETE FROM cdr_position" % DAYS[1])
    db.feed("feed", "node1", 29000, 1000, 300)
    need(db.number("SELECT count(*) FROM cdr") == before, "doubled")


def a_reader_does_not_keep_a_new_day_from_being_made(cluster):
    db = Database(cluster)
    db.feed("feed", "node1", 0, 1, 1)
    reader = subprocess.Popen([os.path.join(cluster.bin, "psql"), "-h", cluster.directory, "-p", str(cluster.port), "-U",
                               "postgres", "-d", db.name, "-AtqX"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True)
    reader.stdin.write("BEGIN; SELECT count(*) FROM cdr;\n")
    reader.stdin.flush()
    need(reader.stdout.readline() == "1\n", "it reads")
    db.feed("feed", "node1", 1, 2, 2)
    reader.communicate("COMMIT;\n")
    db.expect(0, 3)


def texts_from_the_wire_are_cleaned(cluster):
    db = Database(cluster)
    need(db.feed("odd", "node1") == "stored\n", "stored")
    expected = "a?b??(???" + "????" + "\t\n\\N\""
    shown = db.sql("SELECT caller_in = account AND account = call_id_a, caller_in FROM cdr"
                   " WHERE start_us = 1700000000000000")
    need(shown == "t|" + expected, repr(shown))
    need(db.sql("SELECT attempts -> 0 ->> 'gateway' = E've?n\\x01?\"\\\\' FROM cdr WHERE start_us = 1700000000000000") ==
         "t", "the gateway's name")
    need(db.sql("SELECT string_agg(tableoid::regclass::text, ' ' ORDER BY start_us) FROM cdr") ==
         "cdr_before_1970 cdr_20231114 cdr_after_9999", "times that no clock should say")


def what_cannot_work_is_said(cluster):
    db = Database(cluster, "ENCODING 'SQL_ASCII' TEMPLATE template0")
    need("create it with ENCODING 'UTF8'" in db.feed("open", "node1"), "encoding")
    db = Database(cluster)
    db.feed("open", "node1")
    db.sql("UPDATE cdr_schema SET version = 99")
    need("a newer ringwheel has made it" in db.feed("open", "node1"), "version")
    db.uri = cluster.uri("nowhere")
    need("database \"nowhere\" does not exist" in db.feed("open", "node1"), "database")
    db.uri = cluster.uri(db.name, "wr0ng-secret")
    shown = db.feed("open", "node1")
    need("password authentication failed" in shown and "secret" not in shown, shown)
    for uri in ("postgresql://u:wr0ng@secret@127.0.0.1/x", "postgresql://u:wr0ng%zz@127.0.0.1/x",
                "host=127.0.0.1 password=wr0ng", "postgresql://u@127.0.0.1/x?password=wr0ng&nothing=1"):
        db.uri = uri
        shown = db.feed("open", "node1", status=1)
        need("wr0ng" not in shown and "secret" not in shown and len(shown) > 10, uri, shown)


def who_may_only_write_rows_needs_tables_made_before(cluster):
    db = Database(cluster)
    db.feed("open", "node1")
    db.sql("DROP TABLE cdr_position, cdr_schema, cdr; REVOKE CREATE ON SCHEMA public FROM PUBLIC;"
           "ALTER SCHEMA public OWNER TO postgres")
    need("permission denied for schema public" in db.feed("open", "node1"), "permission")


def a_silent_server_is_given_up(cluster):
    db = Database(cluster)
    feeder = db.start("hurry", "node1")
    need(feeder.stdout.readline() == "ready\n", "it is connected")
    backend = db.number("SELECT pid FROM pg_stat_activity WHERE application_name = 'ringwheel' AND datname = '%s'" %
                        db.name)
    os.kill(backend, signal.SIGSTOP)
    try:
        out, _ = feeder.communicate("go\n", timeout=30)
    finally:
        os.kill(backend, signal.SIGCONT)
    lines = out.splitlines()
    need(int(lines[0]) < 0 and "did not answer in time" in lines[1] and float(lines[2]) < 1, out)
    # What the server had not finished ends with the connection, or is committed whole with its position.
    wait_for(lambda: db.number("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ringwheel'") == 0,
             "the end of the connection")
    db.feed("feed", "node1", 0, 300, 100)
    db.expect(0, 300)


def a_server_that_accepts_and_says_nothing_costs_three_seconds(cluster):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        db = Database(cluster)
        db.uri = "postgresql://switch@127.0.0.1:%d/x" % silent.getsockname()[1]
        out = db.feed("open", "node1").splitlines()
    need("timeout expired" in out[0] and float(out[2]) < 5, out)


def spec_3_listing_and_sums(cluster):
    db = Database(cluster)
    need("no table cdr yet" in db.feed("list", "rows", status=1), "nothing is there")
    db.feed("feed", "node1", 0, 1000, 500)

    def numbers(*filters):
        return [round(decimal.Decimal(line.split("|")[33])) for line in db.feed("list", "rows", *filters).splitlines()]

    newest = sorted(range(1000), key=lambda number: (number % 3, number), reverse=True)
    need(numbers() == newest, "newest first")
    need(numbers("limit=2") == newest[:2], "limit")
    third = 1700000000000000 + 2 * 86400000000
    need(numbers("since=%d" % third) == [n for n in newest if n % 3 == 2], "since")
    need(numbers("until=%d" % third) == [n for n in newest if n % 3 < 2], "until")
    need(numbers("answered=n") == [n for n in newest if n % 4 == 0], "answered")
    need(numbers("answered=y", "min_hold=60000") == [n for n in newest if n % 4], "answered")
    need(numbers("min_hold=60001") == [], "min_hold")
    for same in ("number=880171", "number=+4930", "account=customer-a", "gateway=customer-a", "gateway=vendor-b",
                 "reason=normal"):
        need(numbers(same) == newest, same)
    for none in ("number=7", "account=customer", "gateway=vendor-a", "reason=rejected", "account=' OR 1=1 --"):
        need(numbers(none) == [], none)
    rows = db.feed("list", "rows").splitlines()
    ids = [row.split("|")[0] for row in rows]
    need(numbers("cdr_id=" + ids[7]) == [newest[7]], "cdr_id")
    need(numbers("before=" + ids[499]) == newest[500:], "the next page")
    need(numbers("cdr_id=none") == [], "no cdr_id")

    def sums(group):
        return db.feed("sums", group).splitlines()

    fees, cost = sum(range(1000)) + decimal.Decimal(1000) / 10**8, "12.00"
    need(sums("all") == ["all|1000|750|750|1125000|45000000|45000|%s|%s" % (fees.normalize(), cost)], sums("all"))
    need(sums("account") == ["customer-a" + sums("all")[0][3:]], sums("account"))
    need(sums("gateway") == ["customer-a" + sums("all")[0][3:]], sums("gateway"))
    need(sums("prefix") == ["49" + sums("all")[0][3:]], sums("prefix"))
    need(sums("reason") == ["normal" + sums("all")[0][3:]], sums("reason"))
    need(sums("vendor") == ["vendor-a|1000|0|0|0|0|0|0.00|0.00", "vendor-b" + sums("all")[0][3:]], sums("vendor"))
    need([line.split("|")[:3] for line in sums("day")] ==
         [["2023-11-14", "334", "250"], ["2023-11-15", "333", "250"], ["2023-11-16", "333", "250"]], sums("day"))
    need([line.split("|")[0] for line in sums("hour")] ==
         ["2023-11-14 22:00", "2023-11-15 22:00", "2023-11-16 22:00"], sums("hour"))


def corrected_fees_are_what_is_added(cluster):
    db = Database(cluster)
    db.feed("feed", "node1", 0, 12, 12)
    ids = db.sql("SELECT cdr_id FROM cdr ORDER BY fee::numeric").splitlines()
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "ringwheel.db")
        with sqlite3.connect(path) as ledger:
            # What fees.c reads of it, under the version that ledger.c has.
            ledger.executescript("CREATE TABLE corrections (cdr_id TEXT NOT NULL PRIMARY KEY, fee_e8 INTEGER NOT NULL);"
                                 "PRAGMA user_version = 1")
            ledger.execute("INSERT INTO corrections VALUES (?, 5), (?, 9000000000000000001), ('none', 7)",
                           (ids[1], ids[11]))
        ledger.close()
        shown = db.feed("sums", "all", path).strip().split("|")
        need(shown[1] == "12" and shown[7] == "90000000054.00000016", shown)
        need([line.split("|")[0] for line in db.feed("sums", "vendor", path).splitlines()] == ["vendor-a", "vendor-b"],
             "by vendor")


def rows_a_second(cluster):
    db = Database(cluster)
    count = 100000
    print("rows a second, one node: %s" % db.feed("rate", "node1", count).strip())
    started = time.monotonic()
    db.feed("sums", "account")
    print("sums by account of %d rows: %.2f s" % (count, time.monotonic() - started))
    started = time.monotonic()
    db.feed("list", "rows", "limit=100")
    print("newest 100 rows: %.3f s" % (time.monotonic() - started))


TESTS = [spec_9_every_column_is_stored_as_it_was, a_record_that_comes_again_is_stored_once,
         a_server_killed_in_mid_batch_loses_and_doubles_nothing, a_server_that_was_away_gets_the_backlog,
         nodes_that_start_at_once_share_tables_and_days, nodes_with_the_same_cdr_ids_have_a_row_each,
         a_database_of_version_1_is_migrated_with_its_days, two_nodes_of_one_name_are_told,
         a_partition_that_was_dropped_is_made_again, a_reader_does_not_keep_a_new_day_from_being_made,
         texts_from_the_wire_are_cleaned, what_cannot_work_is_said, who_may_only_write_rows_needs_tables_made_before,
         a_silent_server_is_given_up, a_server_that_accepts_and_says_nothing_costs_three_seconds,
         spec_3_listing_and_sums, corrected_fees_are_what_is_added, rows_a_second]


def main():
    wanted = sys.argv[2:]
    failed = 0
    with Cluster() as cluster:
        for test in TESTS:
            if wanted and test.__name__ not in wanted:
                continue
            started = time.monotonic()
            try:
                test(cluster)
                print("passed: %s (%.1f s)" % (test.__name__, time.monotonic() - started), flush=True)
            except Exception as reason:  # the others are still worth running
                failed += 1
                print("FAILED: %s: %r" % (test.__name__, reason), flush=True)
    return 1 if failed else 0


sys.exit(main())
