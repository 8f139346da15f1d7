#!/usr/bin/env python3
"""The switch on a machine that fails it: a full disk, signals at any moment, no descriptors, no way out, no time.

    tests/core/environment_test.py RINGWHEEL RWCTL [NAME...]

As operator_test.py: each test has a switch of its own, a line for each, exit status 1 if any failed.  Those that need a
file system or a network of their own run in namespaces; where these are not permitted they say so."""

import contextlib
import itertools
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from operator_test import Peers, Switch, blocks_sigterm, need, wait_for  # noqa: E402

INSIDE = "RINGWHEEL_TEST_INSIDE"
NAMESPACES = ["--mount", "--net", "--propagation", "private"]
TESTS = []


class Skipped(Exception):
    pass


def test(function):
    TESTS.append(function)
    return function


def with_own_namespaces(function):
    """Runs a test in a process that may mount and has a loopback device only."""
    def run():
        if os.environ.get(INSIDE):
            function()
            return
        for more in ([], ["--map-root-user"]):
            unshare = ["unshare", *more, *NAMESPACES]
            if subprocess.run([*unshare, "ip", "link", "set", "lo", "up"], stderr=subprocess.DEVNULL).returncode == 0:
                break
        else:
            raise Skipped("no namespaces are permitted here")
        done = subprocess.run([*unshare, sys.executable, os.path.abspath(__file__), *sys.argv[1:3], function.__name__],
                              env={**os.environ, INSIDE: "1"}, stdout=subprocess.PIPE, text=True)
        need(done.returncode == 0, done.stdout.strip())
    run.__name__ = function.__name__
    return run


def fill(path):
    """Takes what the file system has; the file's removal gives it back."""
    with open(path, "wb", buffering=0) as out:
        for size in 1 << 20, 4096, 1:
            try:
                while True:
                    out.write(b"x" * size)
            except OSError:
                pass


@test
@with_own_namespaces
def spec_11_a_full_disk_refuses_new_calls_and_loses_no_record():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with Switch(max_calls=2000, extra="journal_segment_mb = 4\n") as switch, on_small_disk(switch.path("data"), 96):
        peers = Peers(switch)
        with open(switch.config, "a") as out:
            out.write(peers.configuration())
        switch.start()
        peers.call()
        fill(switch.path("data", "filler"))
        calls = 1
        while "event=new_calls_refused" not in switch.log():
            need(calls < 60000, "none was refused")
            switch.call(200, padding=900)
            calls += 200
        stats = switch.ask("stats")
        need(stats["journal_taking"] == 0 and stats["journal_failed"] == 0, str(stats))
        need(stats["cdr_waiting"] > 0, "the store on a full disk takes records: " + str(stats))
        refused = stats["invites_rejected_overload"]
        switch.call(20)
        need(switch.ask("stats")["invites_rejected_overload"] >= refused + 20, "calls are taken")
        peers.bye()  # the one that is up goes on, and ends as ever
        need(switch.log().count("event=new_calls_refused") == 1, switch.log())
        os.remove(switch.path("data", "filler"))
        wait_for(lambda: "event=new_calls_taken_again" in switch.log(), "the end of it", 30)
        before = switch.ask("stats")["calls_attempted"]
        switch.call(10)
        stats = switch.ask("stats")
        need(stats["calls_attempted"] == before + 10, str(stats))
        need(stats["cdr_queued"] == stats["calls_attempted"], str(stats))
        need(switch.stop() == 0, "exit status: " + switch.log())
        need(switch.rows() == stats["cdr_queued"], "%d records of %d" % (switch.rows(), stats["cdr_queued"]))


def on_small_disk(directory, megabytes):
    """A file system of its own there, until the end of the block."""
    @contextlib.contextmanager
    def mounted():
        os.mkdir(directory)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm" % megabytes, "none", directory], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", "--lazy", directory], check=True)
    return mounted()


@test
@with_own_namespaces
def a_gateway_that_cannot_be_sent_to_is_counted_told_once_and_passed_over():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with Switch(extra='routing_gateway "nowhere" { address = "192.0.2.1:5060" prefix = "5" priority = 0 }\n') as switch:
        peers = Peers(switch)
        with open(switch.config, "a") as out:
            out.write(peers.configuration())
        switch.start()
        begun = time.monotonic()
        peers.call()
        need(time.monotonic() - begun < 2, "it waited for a deadline")
        peers.bye()
        for _ in range(20):
            peers = next_call(switch, peers)
        wait_for(lambda: switch.ask("stats")["sends_refused"] >= 21, "sends_refused")
        stats = switch.ask("stats")
        need(stats["datagrams_lost"] == stats["sends_refused"] + stats["sends_busy"], str(stats))
        wait_for(lambda: "event=sends_failed" in switch.log(), "a word about it")
        need(switch.log().count("event=sends_failed") == 1, switch.log())
        need("Network is unreachable" in switch.log(), switch.log())
        need(switch.stop() == 0, "exit status: " + switch.log())
        need(switch.rows() == 21, "%d records" % switch.rows())


def next_call(switch, peers):
    peers.name = os.urandom(8).hex()
    peers.call()
    peers.bye()
    return peers


class Storm(threading.Thread):
    """Signals that change nothing, at random moments, until the process has ended or it is told to stop."""

    def __init__(self, process, seed):
        super().__init__()
        self.process, self.random, self.sent, self.over = process, random.Random(seed), 0, False

    def run(self):
        while not self.over and self.process.poll() is None:
            self.process.send_signal(self.random.choice((signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE)))
            self.sent += 1
            time.sleep(self.random.expovariate(200))


@test
def signals_at_any_moment_change_nothing():
    """Through starts, calls, reloads and stops; the last signal is SIGTERM, once or twice."""
    seed = int(os.environ.get("SEED", "0")) or random.randrange(1 << 30)
    sent, calls = 0, 0
    until = time.monotonic() + 60  # a busy machine gives the storm fewer moments
    dice = random.Random(seed)
    with Switch(workers=2) as switch:
        peers = Peers(switch)
        with open(switch.config, "a") as out:
            out.write(peers.configuration())
        for round in itertools.count():
            if round >= 8 and (sent >= 200 or time.monotonic() > until):
                break
            switch.start(wait=False)
            while b"ringwheel" not in open("/proc/%d/comm" % switch.process.pid, "rb").read():
                time.sleep(0.001)
            wait_for(lambda: blocks_sigterm(switch.process.pid), "the first line of main")
            storm = Storm(switch.process, dice.random())
            storm.start()
            try:
                wait_for(switch.answers, "an answer (seed %d): %s" % (seed, switch.log()))
                for _ in range(3):
                    peers.name = os.urandom(8).hex()
                    peers.call()
                    peers.bye()
                    calls += 1
                peers.name = os.urandom(8).hex()
                peers.call()  # one is up
                calls += 1
                time.sleep(dice.random() / 5)
                for _ in range(dice.randrange(1, 3)):
                    switch.process.send_signal(signal.SIGTERM)
                    time.sleep(dice.random() / 50)
                status = switch.process.wait(20)
            finally:
                storm.over = True
                storm.join()
            sent += storm.sent
            need(status == 0, "exit status %d (seed %d): %s" % (status, seed, switch.log()))
            need(switch.rows() == calls, "%d records of %d (seed %d)" % (switch.rows(), calls, seed))
        need(sent >= 200, "only %d signals" % sent)


@test
def descriptors_that_run_out_during_the_start_are_told():
    started = 0
    with Switch(workers=2) as switch:
        for limit in [*range(3, 40, 2), 60, 200]:
            switch.start(wait=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
            wait_for(lambda: switch.process.poll() is not None or "event=started" in switch.log(), "an end or a start")
            if switch.process.poll() is None:
                started += 1
                need(switch.stop() == 0, "limit %d: exit status: %s" % (limit, switch.log()))
                continue
            # The loader of the system may itself find no descriptor for a library.
            need(switch.process.returncode in (1, 127), "limit %d: exit status %d" % (limit, switch.process.returncode))
            need("ringwheel: " in switch.log() or switch.process.returncode == 127,
                 "limit %d: nothing was said: %s" % (limit, switch.log()))
    need(started > 0, "it never started")


@test
def readers_of_the_control_socket_that_do_not_read_delay_nobody():
    with Switch().start() as switch:
        lazy = []
        for _ in range(30):
            end = socket.socket(socket.AF_UNIX)
            end.connect(switch.path("data", "ringwheel.sock"))
            end.setblocking(False)
            try:
                for _ in range(100):
                    end.send(b'{"jsonrpc":"2.0","id":1,"method":"stats"}\n')
            except BlockingIOError:
                pass
            lazy.append(end)
        for _ in range(20):
            begun = time.monotonic()
            need(switch.ask("node.info") is not None, "no answer")
            need(time.monotonic() - begun < 5, "it took %g s" % (time.monotonic() - begun))
            lazy.pop().close()  # and some vanish with answers on their way to them
        switch.call(5)
        need(switch.stop() == 0, "exit status: " + switch.log())
        for end in lazy:
            end.close()
        need(switch.rows() == 5, "%d records" % switch.rows())


OPTIONS = ("OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK%d;rport\r\nMax-Forwards: 70\r\n"
           "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: %d\r\nCSeq: 1 OPTIONS\r\nX: " + 1200 * "x" +
           "\r\nContent-Length: 0\r\n\r\n")


@test
def what_comes_while_the_process_stands_still_is_answered_or_counted():
    """More datagrams than the socket holds, also one of 32 MiB."""
    count = 120000
    with Switch().start() as switch, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gateway:
        gateway.bind(("127.0.0.1", 0))
        gateway.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_RCVBUFFORCE", 33), 16 << 20)
        gateway.settimeout(2)
        switch.process.send_signal(signal.SIGSTOP)
        for n in range(count):
            gateway.sendto((OPTIONS % (gateway.getsockname()[1], n, n)).encode(), ("127.0.0.1", switch.port))
        switch.process.send_signal(signal.SIGCONT)
        answered = set()
        try:
            while len(answered) < count:
                answered.add(gateway.recv(4096).decode().split("Call-ID: ")[1].split("\r")[0])
        except socket.timeout:
            pass
        time.sleep(0.3)  # the kernel's count is looked at ten times a second
        stats = switch.ask("stats")
        need(stats["queue_drops"] > 0, "the socket held them all: " + str(stats))
        need(stats["datagrams_in"] + stats["queue_drops"] == count, str(stats))
        need(len(answered) == stats["datagrams_in"] - stats["datagrams_lost"], "%d answers: %s" % (len(answered), stats))
        switch.call(1)
        need(switch.stop() == 0, "exit status: " + switch.log())


def main():
    failed = 0
    for function in TESTS:
        if sys.argv[3:] and function.__name__ not in sys.argv[3:]:
            continue
        try:
            function()
            print("ok", function.__name__, flush=True)
        except Skipped as reason:
            print("skipped %s: %s" % (function.__name__, reason), flush=True)
        except Exception as fault:  # whatever goes wrong, the others are run
            failed += 1
            print("FAILED %s: %s: %s" % (function.__name__, type(fault).__name__, fault), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
