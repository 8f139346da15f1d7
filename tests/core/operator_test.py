#!/usr/bin/env python3
"""The switch as a process, in the hands of a careless operator: signals, limits, closed descriptors, a locked store.

    tests/core/operator_test.py RINGWHEEL RWCTL [NAME...]

Each test has a switch of its own on loopback; a line for each, exit status 1 if any failed."""

import contextlib
import csv
import itertools
import json
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

RINGWHEEL, RWCTL = sys.argv[1:3]
CONFIGURATION = """workers = %(workers)d
max_calls = %(max_calls)d
steering = "mailbox"
listen "main" { address = "127.0.0.1" port = %(port)d }
mapping_gateway "customer" { address = "127.0.0.0/8" }
routing_gateway "vendor" { address = "127.0.0.1:9" prefix = "99" }
"""
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def need(condition, text):
    if not condition:
        raise AssertionError(text)


def wait_for(condition, what, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition():
        need(time.monotonic() < deadline, "never came: " + what)
        time.sleep(0.02)


def unless_gone(_, __, fault):
    """SQLite removes a file of its own when the last reader goes."""
    if not issubclass(fault[0], FileNotFoundError):
        raise fault[1]


CLAIMS = "127.255.0.1"
first = os.getpid() * 61 % 2000
ports = itertools.cycle([*range(63000 + first, 65000), *range(63000, 63000 + first)])
claims = []


def free_port():
    """A port of UDP that nobody has, and none that the kernel gives out, nor of tests/interop, nor of listen_somewhere().
    Whoever looks for one binds it at CLAIMS first, until he ends: no other looks at it, even for a moment."""
    for port in ports:
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind((CLAIMS, port))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        claims.append(claim)
        return port


class Switch:
    def __init__(self, workers=1, max_calls=1000, extra=""):
        self.directory = tempfile.mkdtemp(prefix="ringwheel-operator-")
        self.port = free_port()
        self.config = self.path("ringwheel.conf")
        with open(self.config, "w") as out:
            out.write(CONFIGURATION % {"workers": workers, "max_calls": max_calls, "port": self.port} + extra)
        self.log_path = self.path("log")
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, onerror=unless_gone)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def start(self, wait=True, **more):
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen([RINGWHEEL, "-c", self.config],
                                            **{"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, **more})
        if wait:
            wait_for(lambda: self.process.poll() is not None or self.answers(), "an answer")
            need(self.process.poll() is None, "it ended: " + self.log())
        return self

    def log(self):
        with open(self.log_path, errors="replace") as text:
            return text.read()

    def ask(self, method, **params):
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(self.path("data", "ringwheel.sock"))
            control.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() +
                            b"\n")
            return json.loads(control.makefile().readline())["result"]

    def answers(self):
        try:
            return self.ask("node.info") is not None
        except OSError:
            return False

    def stop(self, timeout=20):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def call(self, count, padding=0):
        """Calls that nobody can take: a record each, larger by `padding`.  They wait for their final response only."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.bind(("127.0.0.1", 0))
            caller.settimeout(5)
            for begin in range(0, count, 10):  # no more at a time than the socket surely holds
                waiting = {os.urandom(8).hex() for _ in range(min(10, count - begin))}
                for name in waiting:
                    caller.sendto(self.invite(name, padding, caller.getsockname()[1]), ("127.0.0.1", self.port))
                while waiting:  # a final response may come again: there is no ACK
                    response = caller.recv(65536).decode()
                    if int(response.split()[1]) >= 200:
                        waiting.discard(response.split("Call-ID: ")[1][:16])

    def invite(self, name, padding, port):
        lines = ["INVITE sip:123@127.0.0.1:%d SIP/2.0" % self.port,
                 "Via: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK%s" % (port, name),
                 "From: <sip:1@127.0.0.1>;tag=1", "To: <sip:123@127.0.0.1>",
                 "Call-ID: %s%s" % (name, "x" * padding), "CSeq: 1 INVITE",
                 "Contact: <sip:1@127.0.0.1:%d>" % port, "Max-Forwards: 70", "Content-Length: 0", "", ""]
        return "\r\n".join(lines).encode()

    def rows(self):
        with contextlib.closing(sqlite3.connect(self.path("data", "cdr.db"))) as store:
            return store.execute("SELECT count(*) FROM cdr").fetchone()[0]


def hold(path):
    store = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    store.execute("BEGIN EXCLUSIVE")
    return store


@test
def stop_waits_for_a_store_that_is_held_a_while():
    with Switch().start() as switch:
        store = hold(switch.path("data", "cdr.db"))
        switch.call(5)
        switch.process.send_signal(signal.SIGTERM)
        time.sleep(2)
        switch.process.send_signal(signal.SIGTERM)  # no more patience with calls is none with their records
        time.sleep(2)
        need(switch.process.poll() is None, "it gave up: " + switch.log())
        store.rollback()
        store.close()
        need(switch.process.wait(10) == 0, "exit status: " + switch.log())
        need(switch.rows() == 5, "%d records" % switch.rows())
        need(not os.path.exists(switch.path("data", "queue.0")), "a queue was left")


@test
def two_signals_at_once_are_one_wish():
    """Ctrl-C in a terminal reaches the switch, and the script that started it passes it on."""
    with Switch(workers=2).start() as switch:
        for number in signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT:
            switch.process.send_signal(number)
        need(switch.process.wait(10) == 0, "exit status: " + switch.log())
        need("stop_not_awaited" not in switch.log(), "it did not wait: " + switch.log())


@test
def what_a_stop_cannot_store_is_stored_by_the_next_start():
    with Switch().start() as switch:
        store = hold(switch.path("data", "cdr.db"))
        switch.call(5)
        begun = time.monotonic()
        need(switch.stop() == 1, "exit status: " + switch.log())
        need(time.monotonic() - begun > 8, "it hardly tried")
        need("event=cdrs_left store=sqlite count=5" in switch.log(), switch.log())
        store.rollback()
        store.close()
        need(switch.rows() == 0, "there are records")
        switch.start()
        wait_for(lambda: switch.rows() == 5, "the records of the journal")
        need(switch.stop() == 0, "exit status: " + switch.log())
        need(switch.rows() == 5, "%d records" % switch.rows())


@test
def a_limit_of_the_file_size_is_told():
    with Switch() as switch:
        switch.start(wait=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
        need(switch.process.wait(15) == 1, "exit status %s: %s" % (switch.process.returncode, switch.log()))
        need("ringwheel: " in switch.log(), "nothing was said: " + switch.log())


@test
def a_signal_at_any_moment_of_the_start_is_a_stop():
    with Switch() as switch:
        for pause in (0.002, 0.004, 0.008, 0.016, 0.032, 0.064):
            switch.start(wait=False)
            time.sleep(pause)
            # Before the program's first instruction the system has its own answer.
            if b"ringwheel" not in open("/proc/%d/comm" % switch.process.pid, "rb").read():
                time.sleep(0.02)
            wait_for(lambda: blocks_sigterm(switch.process.pid), "the first line of main")
            status = switch.stop()
            need(status == 0, "exit status %d after %g s: %s" % (status, pause, switch.log()))


def blocks_sigterm(pid):
    with open("/proc/%d/status" % pid) as status:
        for line in status:
            if line.startswith("SigBlk:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


@test
def closed_standard_streams_are_not_taken_by_files():
    with Switch() as switch:
        switch.start(stdin=None, stdout=None, stderr=None, preexec_fn=lambda: os.closerange(0, 3))
        for fd in range(3):
            target = os.readlink("/proc/%d/fd/%d" % (switch.process.pid, fd))
            need(target == "/dev/null", "descriptor %d is %s" % (fd, target))
        switch.call(1)
        need(switch.stop() == 0, "exit status")
        need(switch.rows() == 1, "%d records" % switch.rows())


@test
def a_stderr_that_nobody_reads_stops_nobody():
    with Switch() as switch:
        reader, writer = os.pipe()
        switch.start(stderr=writer)
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b"x" * 4096)
        except BlockingIOError:
            pass
        os.set_blocking(writer, True)
        for _ in range(50):  # each is logged
            switch.process.send_signal(signal.SIGHUP)
            switch.ask("node.info")
        switch.call(1)
        need(switch.stop() == 0, "exit status")
        os.close(reader)
        os.close(writer)


@test
def what_cannot_be_printed_is_no_success():
    for arguments in (["-V"], ["--help"], ["-t"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([RINGWHEEL] + arguments, stdout=full, stderr=subprocess.PIPE, text=True)
        need(done.returncode == 1, "%s: exit status %d" % (arguments, done.returncode))


@test
def wrong_usage_is_one_line_without_control_characters():
    for arguments in (["-x"], ["--wrong\033[2J"], ["-c"], ["extra\033[2J"], ["-\033"]):
        done = subprocess.run([RINGWHEEL] + arguments, stderr=subprocess.PIPE, text=True)
        need(done.returncode == 2, "%s: exit status %d" % (arguments, done.returncode))
        need(done.stderr.count("\n") == 1 and "\033" not in done.stderr, "%s: %r" % (arguments, done.stderr))


@test
def what_is_hardly_meant_is_warned_of_by_the_check_and_when_it_is_set():
    with Switch() as switch:
        done = subprocess.run([RINGWHEEL, "-c", switch.config, "-t"], capture_output=True, text=True)
        need(done.returncode == 0 and "RW_SIP_MIN_SE" not in done.stderr, "%r" % done)
        switch.start()
        need(switch.ask("parameters.set", name="RW_SIP_MIN_SE", value=60)["value"] is not None, "not set")
        wait_for(lambda: "RW_SIP_MIN_SE is 60" in switch.log(), "a warning in the log")
        with open(switch.config, "a") as out:
            out.write("parameters { RW_SIP_MIN_SE = 30 }\n")
        done = subprocess.run([RINGWHEEL, "-c", switch.config, "-t"], capture_output=True, text=True)
        need(done.returncode == 0 and "warning: RW_SIP_MIN_SE is 30" in done.stderr, "%r" % done)


@test
def stuck_records_are_seen_in_the_statistics():
    with Switch().start() as switch:
        store = hold(switch.path("data", "cdr.db"))
        switch.call(3)
        wait_for(lambda: switch.ask("stats")["cdr_store_failing"] == 1, "cdr_store_failing")
        stats = switch.ask("stats")
        need(stats["cdr_waiting"] == 3 and stats["cdr_queued"] == 3 and stats["cdr_written"] == 0, str(stats))
        need(stats["cdr_store_failures"] > 0, "no failures")
        shown = subprocess.run([RWCTL, "-s", switch.path("data", "ringwheel.sock"), "stats"], stdout=subprocess.PIPE,
                               text=True).stdout
        need("cdr_store_failing" in shown, shown)
        store.rollback()
        store.close()
        wait_for(lambda: switch.ask("stats")["cdr_waiting"] == 0, "cdr_waiting")
        need(switch.ask("stats")["cdr_store_failing"] == 0, "it is failing still")
        need(switch.stop() == 0, "exit status: " + switch.log())


@test
def spec_11_new_calls_are_refused_while_the_journal_cannot_grow():
    """A process that may open no more files cannot reserve another segment."""
    with Switch(max_calls=50000, extra="journal_segment_mb = 4\n").start() as switch:
        limit = resource.prlimit(switch.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(switch.process.pid, resource.RLIMIT_NOFILE, (3, limit[1]))
        calls = 0
        while "event=new_calls_refused" not in switch.log():
            need(calls < 60000, "none was refused")
            switch.call(500, padding=900)
            calls += 500
        switch.call(100)
        need(switch.log().count("event=new_calls_refused") == 1, switch.log())
        need("event=journal_full" in switch.log(), switch.log())
        resource.prlimit(switch.process.pid, resource.RLIMIT_NOFILE, limit)
        wait_for(lambda: "event=new_calls_taken_again shard=0" in switch.log(), "the end of it")
        need("event=journal_has_room" in switch.log(), switch.log())
        stats = switch.ask("stats")
        need(stats["invites_rejected_overload"] >= 100, "not refused")
        need(stats["journal_taking"] == 1 and stats["journal_failed"] == 0, str(stats))
        need(switch.stop() == 0, "exit status")
        need(switch.rows() == stats["cdr_queued"], "%d records of %d" % (switch.rows(), stats["cdr_queued"]))


@test
def records_of_a_process_that_was_killed_are_in_the_journal_of_the_next():
    """Killed over and over, right after it has answered: what lay in its queues is not lost (design, rule 7)."""
    with Switch(workers=2) as switch:
        for round in range(1, 9):
            switch.start()
            switch.call(7)
            switch.process.kill()
            switch.process.wait()
        switch.start()
        wait_for(lambda: switch.rows() == 8 * 7, "all records")
        need(switch.stop() == 0, "exit status: " + switch.log())
        need(switch.rows() == 8 * 7, "%d records" % switch.rows())


@test
def records_of_a_start_whose_number_was_lost_or_is_an_old_one_count_all_the_same():
    """Its serials begin at 0 again: under a number that the journal has they would be those of the former start."""
    with Switch(extra="journal_sync_ms = 1000\n") as switch:
        switch.start()
        switch.call(9)
        need(switch.stop() == 0, "exit status: " + switch.log())
        for round in 1, 2:
            os.remove(switch.path("data", "boot"))
            if round == 2:
                with open(switch.path("data", "boot"), "w") as out:
                    out.write("1\n")
            switch.start()
            need("event=boot_number_used number=%d taken=%d " % (round, 2 * round) in switch.log(), switch.log())
            need(switch.ask("node.info")["boot"] == 2 * round, str(switch.ask("node.info")))
            switch.call(5)
            switch.process.kill()
            switch.process.wait()
            switch.start()
            need("event=boot_number_used" not in switch.log(), switch.log())
            wait_for(lambda: switch.rows() == 9 + 6 * round - 1, "the records of its queue")
            switch.call(1)
            switch.process.kill()
            switch.process.wait()


@test
def a_start_whose_control_socket_another_node_answers_touches_no_books():
    with Switch().start() as switch, Switch(extra='control = "%s"\n' % switch.path("data", "ringwheel.sock")) as second:
        second.start(wait=False)
        need(second.process.wait(15) == 1, "exit status: " + second.log())
        need("another process answers on it" in second.log(), second.log())
        need(not os.path.exists(second.path("data", "journal")), "it has opened its books")
        need(switch.answers(), "the other one is disturbed: " + switch.log())


@test
def more_or_fewer_workers_take_what_the_former_ones_have_left():
    with Switch() as switch:
        for workers in 4, 1, 3, 2:
            with open(switch.config) as text:
                configuration = text.read()
            with open(switch.config, "w") as out:
                out.write("workers = %d\n%s" % (workers, configuration.split("\n", 1)[1]))
            switch.start()
            switch.call(20)
            switch.process.kill()
            switch.process.wait()
        switch.start()
        wait_for(lambda: switch.rows() == 80, "all records")
        need(switch.stop() == 0, "exit status: " + switch.log())
        need([name for name in os.listdir(switch.path("data")) if name.startswith("queue")] == [], "queues are left")


class Peers:
    """A caller and the vendor that answers it, one call at a time, as plainly as can be."""

    def __init__(self, switch):
        self.switch = switch
        self.caller, self.vendor = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for end in self.caller, self.vendor:
            end.bind(("127.0.0.1", 0))
            end.settimeout(5)
        self.port = self.caller.getsockname()[1]
        self.name = os.urandom(8).hex()

    def configuration(self):
        return 'routing_gateway "live" { address = "127.0.0.1:%d" prefix = "5" }\n' % self.vendor.getsockname()[1]

    def request(self, method, cseq, to="<sip:5@127.0.0.1>", target=None, extra=()):
        lines = ["%s %s SIP/2.0" % (method, target or "sip:5@127.0.0.1:%d" % self.switch.port),
                 "Via: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK%s%d" % (self.port, self.name, cseq),
                 "From: <sip:1@127.0.0.1>;tag=a" + self.name, "To: " + to, "Call-ID: " + self.name,
                 "CSeq: %d %s" % (cseq, method), "Contact: <sip:1@127.0.0.1:%d>" % self.port,
                 "Max-Forwards: 70", *extra, "Content-Length: 0", "", ""]
        self.caller.sendto("\r\n".join(lines).encode(), ("127.0.0.1", self.switch.port))

    @staticmethod
    def field(message, name):
        return [line.split(": ", 1)[1] for line in message.split("\r\n") if line.lower().startswith(name.lower() + ":")]

    def answer(self, end, request, source):
        lines = ["SIP/2.0 200 OK", *["Via: " + via for via in self.field(request, "Via")],
                 "From: " + self.field(request, "From")[0],
                 "To: " + self.field(request, "To")[0] + (";tag=b" if "tag=" not in self.field(request, "To")[0] else ""),
                 "Call-ID: " + self.field(request, "Call-ID")[0], "CSeq: " + self.field(request, "CSeq")[0],
                 "Contact: <sip:5@127.0.0.1:%d>" % end.getsockname()[1], "Content-Length: 0", "", ""]
        end.sendto("\r\n".join(lines).encode(), source)

    def expect(self, end, beginning):
        """The next message that begins like this; others are let go by."""
        while True:
            try:
                message, source = end.recvfrom(65536)
            except socket.timeout:
                raise AssertionError("no %s; waiting for the caller: %s; %s" % (
                    beginning, self.waiting(self.caller), self.switch.log())) from None
            if message.decode().startswith(beginning):
                return message.decode(), source

    @staticmethod
    def waiting(end):
        """The first lines of what has come to an end and was not read."""
        lines = []
        end.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                lines.append(end.recv(65536).decode().split("\r\n")[0])
        return lines

    def call(self):
        self.request("INVITE", 1)
        self.answer(self.vendor, *self.expect(self.vendor, "INVITE"))
        self.answered, _ = self.expect(self.caller, "SIP/2.0 200")
        self.in_dialog("ACK", 1)
        self.expect(self.vendor, "ACK")

    def in_dialog(self, method, cseq):
        target = self.field(self.answered, "Contact")[0].strip("<>").split(">")[0]
        self.request(method, cseq, to=self.field(self.answered, "To")[0], target=target)

    def bye(self):
        self.in_dialog("BYE", 2)
        self.answer(self.vendor, *self.expect(self.vendor, "BYE"))
        self.expect(self.caller, "SIP/2.0 200")


@test
def a_journal_and_a_ledger_that_are_gone_are_told():
    with Switch().start() as switch:
        need("begun_anew" not in switch.log(), switch.log())
        need(switch.stop() == 0, "exit status: " + switch.log())
        switch.start()
        need("begun_anew" not in switch.log(), switch.log())
        need(switch.stop() == 0, "exit status: " + switch.log())
        shutil.rmtree(switch.path("data", "journal"))
        os.unlink(switch.path("data", "ringwheel.db"))
        switch.start()
        need("event=journal_begun_anew" in switch.log(), switch.log())
        need("event=ledger_begun_anew" in switch.log(), switch.log())


@test
def a_ledger_that_was_moved_away_is_not_replaced_by_an_empty_one():
    with Switch().start() as switch:
        def rwctl(*arguments):
            return subprocess.run([RWCTL, "-s", switch.path("data", "ringwheel.sock"), *arguments],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

        need(rwctl("account", "add", "acme").returncode == 0, "no account")
        os.rename(switch.path("data", "ringwheel.db"), switch.path("data", "elsewhere"))
        for arguments in ("account", "topup", "acme", "5"), ("account", "add", "other"), ("reload",):
            done = rwctl(*arguments)
            need(done.returncode == 1 and "put it back" in done.stdout, "%s: %s" % (arguments, done.stdout))
            need(not os.path.exists(switch.path("data", "ringwheel.db")), "there is a new one")
        os.rename(switch.path("data", "elsewhere"), switch.path("data", "ringwheel.db"))
        done = rwctl("account", "topup", "acme", "5")
        need(done.returncode == 0, done.stdout)
        need(rwctl("reload").returncode == 0, "no reload")
        need(switch.stop() == 0, "exit status: " + switch.log())


@test
def starts_that_fail_do_not_fill_the_disk():
    """As under a supervisor that starts it again and again."""
    with Switch().start() as switch:
        switch.call(3)
        switch.process.kill()
        switch.process.wait()
        store = hold(switch.path("data", "ringwheel.db"))
        for _ in range(6):
            switch.start(wait=False)
            need(switch.process.wait(15) == 1, "it started")
        segments = os.listdir(switch.path("data", "journal"))
        # The killed one's, what the first start found in its queues, and of the last start one and two spare.
        need(len(segments) <= 5, str(segments))
        store.rollback()
        store.close()
        switch.start()
        wait_for(lambda: switch.rows() == 3, "the records")
        need(switch.stop() == 0, "exit status: " + switch.log())


def row_of(switch):
    with contextlib.closing(sqlite3.connect(switch.path("data", "cdr.db"))) as store:
        return store.execute("SELECT end_reason, end_side, recovered, hold_ms FROM cdr").fetchone()


def call_over_a_restart(end, workers, extra=""):
    """A call is set up; `end` ends the process; the next one, with `workers`, is started."""
    switch = Switch(extra=extra)
    peers = Peers(switch)
    with open(switch.config, "a") as out:
        out.write(peers.configuration())
    switch.start()
    peers.call()
    end(switch)
    with open(switch.config) as text:
        configuration = text.read()
    with open(switch.config, "w") as out:
        out.write("workers = %d\n%s" % (workers, configuration.split("\n", 1)[1]))
    switch.start()
    return switch, peers


def kill(switch):
    switch.process.kill()
    switch.process.wait()


def keep_calls(switch):
    begun = time.monotonic()
    switch.ask("node.stop", keep_calls=True)
    need(switch.process.wait(5) == 0, "exit status: " + switch.log())
    need(time.monotonic() - begun < 4, "it took its time")


@test
def a_call_that_was_up_when_the_process_was_killed_ends_with_its_bye():
    for workers in 1, 3:
        switch, peers = call_over_a_restart(kill, workers)
        with switch:
            need("event=recovered calls=1 closing=0" in switch.log(), switch.log())
            need(switch.ask("stats")["calls_active"] == 1, "it is not up")
            peers.bye()
            need(switch.stop() == 0, "exit status: " + switch.log())
            need(switch.rows() == 1, "%d records" % switch.rows())
            need(row_of(switch)[:3] == ("normal", "caller", 1), str(row_of(switch)))


@test
def a_stop_that_keeps_calls_drops_none():
    switch, peers = call_over_a_restart(keep_calls, 2)
    with switch:
        need("event=recovered calls=1 closing=0" in switch.log(), switch.log())
        peers.bye()
        need(switch.stop() == 0, "exit status: " + switch.log())
        need(switch.rows() == 1, "%d records" % switch.rows())
        need(row_of(switch)[:2] == ("normal", "caller"), str(row_of(switch)))


@test
def on_restart_close_ends_what_was_up():
    switch, peers = call_over_a_restart(kill, 1, extra='on_restart = "close"\n')
    with switch:
        for end in peers.caller, peers.vendor:
            peers.answer(end, *peers.expect(end, "BYE"))
        wait_for(lambda: switch.rows() == 1, "its record")
        need(row_of(switch)[:3] == ("node_crash", "switch", 1), str(row_of(switch)))
        need(switch.stop() == 0, "exit status: " + switch.log())


@test
def calls_of_a_node_that_got_another_name_are_ended():
    """Nobody can say anything in their dialogs any more: they would be up, and charged, until a timer ends them."""
    def rename(switch):
        keep_calls(switch)
        with open(switch.config) as text:
            configuration = text.read()
        with open(switch.config, "w") as out:
            out.write(configuration.replace('steering =', 'node = "other"\nsteering =', 1))

    switch, peers = call_over_a_restart(rename, 1)
    with switch:
        for end in peers.caller, peers.vendor:
            peers.answer(end, *peers.expect(end, "BYE"))
        wait_for(lambda: switch.rows() == 1, "its record")
        need(row_of(switch)[:3] == ("node_crash", "switch", 1), str(row_of(switch)))
        need(switch.stop() == 0, "exit status: " + switch.log())


@test
def answer_after_sync_answers_when_the_disk_has_the_call():
    with Switch(extra="answer_after_sync = on\njournal_sync_ms = 2\n") as switch:
        peers = Peers(switch)
        with open(switch.config, "a") as out:
            out.write(peers.configuration())
        switch.start()
        synced = switch.ask("stats")["journal_records"]
        peers.call()
        need(switch.ask("stats")["journal_records"] > synced, "nothing is on the disk")
        peers.bye()
        need(switch.stop() == 0, "exit status: " + switch.log())


@test
def records_are_in_text_files_too():
    with Switch(extra="cdr_files = on\n").start() as switch:
        switch.call(5)
        need(switch.stop() == 0, "exit status: " + switch.log())
        switch.start()
        switch.call(3)
        need(switch.stop() == 0, "exit status: " + switch.log())
        lines = []
        for name in sorted(os.listdir(switch.path("data", "cdr"))):
            if name.endswith(".csv"):
                with open(switch.path("data", "cdr", name), newline="") as rows:
                    lines += list(csv.DictReader(rows))
        need(len(lines) == 8 and len({line["cdr_id"] for line in lines}) == 8, "%d lines" % len(lines))
        need(all(line["end_reason"] == "no_route" for line in lines), str(lines[0]))


@test
def a_damaged_queue_is_kept_aside_and_told():
    with Switch() as switch:
        switch.start()
        switch.process.kill()
        switch.process.wait()
        with open(switch.path("data", "queue.0"), "r+b") as queue:
            queue.write(b"\xff" * 64)
        switch.start()
        need("event=queues_damaged count=1" in switch.log(), switch.log())
        need(os.path.exists(switch.path("data", "queue.0.refused")), "it was thrown away")
        need(switch.stop() == 0, "exit status: " + switch.log())
        os.mkdir(switch.path("data", "queue.0"))
        switch.start()
        need(os.path.isfile(switch.path("data", "queue.0.refused")), "the first one was lost")
        need(os.path.isdir(switch.path("data", "queue.0.refused.2")), "it was thrown away")
        need(switch.stop() == 0, "exit status: " + switch.log())


@test
def max_calls_are_held_exactly_and_compared_with_the_memory():
    with Switch(workers=3, max_calls=1001).start() as switch:
        need(switch.ask("stats")["pool_call_size"] == 1001, str(switch.ask("stats")["pool_call_size"]))
        need("max_calls_exceed_memory" not in switch.log(), switch.log())
        switch.stop()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")
    calls = memory // 1536 + 1000000
    if calls <= 100000000:
        with Switch(max_calls=calls) as switch:
            switch.start(wait=False)
            wait_for(lambda: switch.process.poll() is not None or "event=started" in switch.log(), "the start")
            need(switch.process.poll() is not None or "event=max_calls_exceed_memory max_calls=%d" % calls in
                 switch.log(), switch.log())


def main():
    failed = 0
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
