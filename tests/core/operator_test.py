#!/usr/bin/env python3
"""The switch as a process, in the hands of a careless operator: signals, limits, closed descriptors, a locked store.

    tests/core/operator_test.py RINGWHEEL RWCTL [NAME...]

Each test has a switch of its own on loopback; a line for each, exit status 1 if any failed."""

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


class Switch:
    def __init__(self, workers=1, max_calls=1000, extra=""):
        self.directory = tempfile.mkdtemp(prefix="ringwheel-operator-")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
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
        shutil.rmtree(self.directory)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def start(self, wait=True, **more):
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen([RINGWHEEL, "-c", self.config], stdin=subprocess.DEVNULL,
                                            **{"stdout": log, "stderr": log, **more})
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

    def call(self, count):
        """Calls that nobody can take: a record each.  They wait for their final response only."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.bind(("127.0.0.1", 0))
            caller.settimeout(5)
            for _ in range(count):
                call_id, port = os.urandom(8).hex(), caller.getsockname()[1]
                invite = ("INVITE sip:123@127.0.0.1:%d SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK%s\r\n"
                          "From: <sip:1@127.0.0.1>;tag=1\r\nTo: <sip:123@127.0.0.1>\r\nCall-ID: %s\r\nCSeq: 1 INVITE\r\n"
                          "Contact: <sip:1@127.0.0.1:%d>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n")
                caller.sendto((invite % (self.port, port, call_id, call_id, port)).encode(),
                              ("127.0.0.1", self.port))
                while int(caller.recv(65536).split()[1]) < 200:
                    pass

    def rows(self):
        with sqlite3.connect(self.path("data", "cdr.db")) as store:
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
        need(not os.path.exists(switch.path("data", "cdr.left")), "a file was left")


@test
def what_a_stop_cannot_store_is_stored_by_the_next_start():
    with Switch().start() as switch:
        store = hold(switch.path("data", "cdr.db"))
        switch.call(5)
        begun = time.monotonic()
        need(switch.stop() == 1, "exit status: " + switch.log())
        need(time.monotonic() - begun > 8, "it hardly tried")
        need("event=cdrs_left count=5 file=\"%s\"" % switch.path("data", "cdr.left") in switch.log(), switch.log())
        store.rollback()
        store.close()
        need(switch.rows() == 0, "there are records")
        switch.start()
        need("event=cdrs_left_imported count=5" in switch.log(), switch.log())
        need(switch.rows() == 5, "%d records" % switch.rows())
        need(switch.stop() == 0, "exit status: " + switch.log())
        need(switch.rows() == 5, "%d records" % switch.rows())


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
