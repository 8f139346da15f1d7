#!/usr/bin/env python3
"""Limits of gateways in the real switch: two workers, datagrams that arrive at either, thousands of short calls.

    tests/core/limits_test.py RINGWHEEL RWCTL [NAME...]

The far ends count: of calls that are answered and not ended there are never more than a gateway's capacity, of calls
that begin never more than its rate limit, and when all is over each line can be had again."""

import collections
import heapq
import os
import random
import select
import socket
import sys
import time

sys.dont_write_bytecode = True
from operator_test import Switch, need, wait_for

CAPACITY = {"customer-small": 6, "customer-large": 60, "vendor-small": 5, "vendor-large": 80}
RATE = 150  # of customer-fast
ANSWER_S = 0.05  # a callee answers after this: its BYEs on the way have long come by then
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def gateways(ports):
    return "".join(
        'mapping_gateway "%s" { address = "127.0.9.%d" %s }\n' % (name, i, limit)
        for i, (name, limit) in enumerate((("customer-small", "capacity = 6"), ("customer-large", "capacity = 60"),
                                           ("customer-fast", "rate_limit = %d" % RATE)), 1)) + "".join(
        'routing_gateway "%s" { address = "127.0.9.%d:%d" prefix = "88" priority = %d capacity = %d }\n' %
        (name, host, ports[name], host, CAPACITY[name]) for name, host in (("vendor-small", 11), ("vendor-large", 12)))


class Message:
    def __init__(self, data):
        head, _, self.body = data.decode().partition("\r\n\r\n")
        self.start, *lines = head.split("\r\n")
        self.lines = [line.partition(": ")[::2] for line in lines]
        self.status = int(self.start.split()[1]) if self.start.startswith("SIP/2.0") else 0
        self.method = self.get("CSeq").split()[1]

    def get(self, name):
        return next((value for key, value in self.lines if key.lower() == name.lower()), "")

    def response(self, status, tag, contact=""):
        copied = ["%s: %s" % (key, value + (";tag=" + tag if key == "To" and ";tag=" not in value else ""))
                  for key, value in self.lines if key in ("Via", "From", "To", "Call-ID", "CSeq", "Record-Route")]
        more = ["Contact: <sip:b@%s>" % contact] if contact else []
        return "\r\n".join(["SIP/2.0 %d X" % status] + copied + more + ["Content-Length: 0", "", ""]).encode()


class Call:
    """What the caller's side knows."""

    def __init__(self, gateway, hold_s):
        self.gateway, self.hold_s, self.final, self.invite, self.retry_after = gateway, hold_s, 0, None, ""
        self.target = self.remote = ""


class Load:
    """Every caller and callee, in one thread."""

    def __init__(self, switch, seed):
        self.switch, self.random, self.due, self.serial = switch, random.Random(seed), [], 0
        self.sockets, self.names, self.calls, self.answered_at_callee = {}, {}, {}, {}
        self.up, self.most = collections.Counter(), collections.Counter()
        self.codes, self.begun = collections.Counter(), collections.defaultdict(list)
        hosts = {"customer-small": 1, "customer-large": 2, "customer-fast": 3, "vendor-small": 11, "vendor-large": 12}
        for name, host in hosts.items():
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            s.bind(("127.0.9.%d" % host, 0))
            s.setblocking(False)
            self.sockets[name], self.names[s] = s, name

    def ports(self):
        return {name: s.getsockname()[1] for name, s in self.sockets.items()}

    def close(self):
        for s in self.sockets.values():
            s.close()

    # ---- time ----

    def later(self, after_s, function, *arguments):
        self.serial += 1
        heapq.heappush(self.due, (time.monotonic() + after_s, self.serial, function, arguments))

    def run(self, seconds, until=lambda: False):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            now = time.monotonic()
            while self.due and self.due[0][0] <= now:
                _, _, function, arguments = heapq.heappop(self.due)
                function(*arguments)
            wait = min([end] + [entry[0] for entry in self.due[:1]]) - time.monotonic()
            for s in select.select(list(self.names), [], [], max(0, wait))[0]:
                for _ in range(64):
                    try:
                        data = s.recv(65536)
                    except BlockingIOError:
                        break
                    self.take(self.names[s], Message(data))

    # ---- counting ----

    def count(self, name, by):
        self.up[name] += by
        self.most[name] = max(self.most[name], self.up[name])

    # ---- messages ----

    def send(self, name, data):
        self.sockets[name].sendto(data, ("127.0.0.1", self.switch.port))

    def address(self, name):
        return "%s:%d" % self.sockets[name].getsockname()

    def request(self, name, method, call_id, cseq, to, branch=None, target=None):
        call = self.calls[call_id]
        lines = ["%s %s SIP/2.0" % (method, target or "sip:8812@127.0.0.1:%d" % self.switch.port),
                 "Via: SIP/2.0/UDP %s;branch=%s" % (self.address(name), branch or "z9hG4bK" + os.urandom(8).hex()),
                 "From: <sip:1@127.0.0.1>;tag=%s" % call_id, "To: " + to, "Call-ID: " + call_id,
                 "CSeq: %d %s" % (cseq, method), "Contact: <sip:a@%s>" % self.address(name), "Max-Forwards: 70",
                 "Content-Length: 0", "", ""]
        if method == "INVITE":
            call.branch = lines[1].split("branch=")[1]
        return "\r\n".join(lines).encode()

    def place(self, gateway, hold_s=None, cancel_s=None):
        call_id = os.urandom(10).hex()
        call = self.calls[call_id] = Call(gateway, hold_s if hold_s is not None else self.random.uniform(0.1, 1.4))
        call.invite = self.request(gateway, "INVITE", call_id, 1, "<sip:8812@127.0.0.1>")
        self.send(gateway, call.invite)
        if cancel_s is not None:
            self.later(cancel_s, self.cancel, call_id)
        return call

    def cancel(self, call_id):
        call = self.calls[call_id]
        if not call.final:
            self.send(call.gateway, self.request(call.gateway, "CANCEL", call_id, 1, "<sip:8812@127.0.0.1>",
                                                 branch=call.branch))

    def hang_up(self, call_id):
        call = self.calls[call_id]
        if call.final == 200:
            call.final = 299  # ended
            self.count(call.gateway, -1)
            self.send(call.gateway, self.request(call.gateway, "BYE", call_id, 2, call.remote, target=call.target))

    def take(self, name, message):
        if name.startswith("customer"):
            self.take_caller(name, message)
        else:
            self.take_callee(name, message)

    def take_caller(self, name, m):
        call_id = m.get("Call-ID")
        call = self.calls[call_id]
        if m.status and m.method == "INVITE" and m.status >= 200:
            target = m.get("Contact").strip("<>") or None
            self.send(name, self.request(name, "ACK", call_id, 1, m.get("To"), target=target,
                                         branch=None if m.status < 300 else call.branch))
            if call.final:
                return  # again
            call.final, call.remote, call.target, call.retry_after = m.status, m.get("To"), target, m.get("Retry-After")
            self.codes[name, m.status] += 1
            if m.status == 200:
                self.count(name, 1)
                self.later(call.hold_s, self.hang_up, call_id)
        elif not m.status and m.method == "BYE":
            if call.final == 200:
                call.final = 299
                self.count(name, -1)
            self.send(name, m.response(200, call_id))

    def take_callee(self, name, m):
        call_id = m.get("Call-ID")
        if m.status or m.method == "ACK":
            return
        if m.method == "INVITE" and call_id not in self.answered_at_callee:
            self.answered_at_callee[call_id] = "early"
            self.begun[name].append(time.monotonic())
            self.send(name, m.response(180, call_id, self.address(name)))
            self.later(ANSWER_S, self.answer, name, call_id, m)
        elif m.method == "CANCEL":
            self.send(name, m.response(200, call_id))
            if self.answered_at_callee.get(call_id) == "early":
                self.answered_at_callee[call_id] = "cancelled"
        elif m.method == "BYE":
            if self.answered_at_callee.get(call_id) == "up":
                self.answered_at_callee[call_id] = "over"
                self.count(name, -1)
            self.send(name, m.response(200, call_id))

    def answer(self, name, call_id, invite):
        if self.answered_at_callee[call_id] == "cancelled":
            self.send(name, invite.response(487, call_id))
        elif self.random.random() < 0.1:
            self.answered_at_callee[call_id] = "refused"
            self.send(name, invite.response(self.random.choice((404, 486, 503)), call_id))
        else:
            self.answered_at_callee[call_id] = "up"
            self.count(name, 1)
            self.send(name, invite.response(200, call_id, self.address(name)))


class Stand:
    def __init__(self, seed=1):
        self.switch = Switch(workers=2)
        self.load = Load(self.switch, seed)
        with open(self.switch.config, "a") as out:
            out.write(gateways(self.load.ports()))

    def __enter__(self):
        self.switch.__enter__().start()
        return self

    def __exit__(self, *reason):
        self.load.close()
        self.switch.__exit__(*reason)

    def stats(self):
        return self.switch.ask("stats")

    def settle(self):
        """All calls end, on both sides and in the switch."""
        self.load.run(20, lambda: not +self.load.up and not self.load.due)
        wait_for(lambda: self.stats()["calls_active"] + self.stats()["calls_setup"] == 0, "the end of all calls")


def no_more_than_allowed(load):
    for name, capacity in CAPACITY.items():
        need(load.most[name] <= capacity, "%s had %d calls at once" % (name, load.most[name]))


def lines_can_be_had_again(load):
    """Each vendor is filled to its last line: callees that refuse are made up for by more calls."""
    for _ in range(6):
        for _ in range(40):
            load.place("customer-fast", 5)
        load.run(0.5)
    for name in ("vendor-small", "vendor-large"):
        need(load.up[name] == CAPACITY[name], "%s has only %d lines left" % (name, load.up[name]))


@test
def capacity_is_never_exceeded_and_every_line_comes_back():
    with Stand() as stand:
        load = stand.load
        for i in range(4000):
            gateway = ("customer-small", "customer-large", "customer-fast", "customer-large")[i % 4]
            load.later(i / 250, load.place, gateway, None, 0.02 if i % 13 == 0 else None)
        load.run(16.5)
        stand.settle()
        no_more_than_allowed(load)
        for name, capacity in CAPACITY.items():
            need(load.most[name] >= capacity * 0.8, "%s was never full: %d" % (name, load.most[name]))
        stats = stand.stats()
        need(stats["refused_capacity"] > 100 and stats["skipped_capacity"] > 100, "hardly anybody was refused")
        need(stats["limit_asks"] > 0 and stats["limit_silences"] == 0, "asked %d" % stats["limit_asks"])
        need(stats["datagrams_handed_over"] > 0, "no datagram went to the other worker")
        lines_can_be_had_again(load)
        stand.settle()
        no_more_than_allowed(load)
        print("   # %d of 4000 answered, asks %d, recalls %d" %
              (sum(n for (_, code), n in load.codes.items() if code == 200), stats["limit_asks"],
               stats["limit_recalls"]))


@test
def rate_limit_is_never_exceeded():
    with Stand() as stand:
        load = stand.load
        for i in range(2000):
            load.later(i / 400, load.place, "customer-fast", 0.01)
        load.run(6)
        stand.settle()
        begun = sorted(load.begun["vendor-small"] + load.begun["vendor-large"])
        refused = [call for call in load.calls.values() if call.final == 503 and call.retry_after == "1"]
        stats = stand.stats()
        need(stats["refused_rate"] == len(refused) > 500, "%d refused, %d with Retry-After" %
             (stats["refused_rate"], len(refused)))
        passed = 2000 - len(refused)
        need(5 * RATE <= passed <= 6 * RATE, "%d passed in 5 s" % passed)
        need(len(begun) == passed, "%d reached the vendors" % len(begun))
        print("   # %d passed, %d refused, %d INVITEs at the vendors" % (passed, len(refused), len(begun)))


def main():
    wanted = sys.argv[3:]
    failed = False
    for function in TESTS:
        if wanted and function.__name__ not in wanted:
            continue
        try:
            function()
            print("ok   " + function.__name__)
        except (AssertionError, OSError, KeyError) as reason:
            failed = True
            print("FAIL %s: %r" % (function.__name__, reason))
    sys.exit(failed)


if __name__ == "__main__":
    main()
