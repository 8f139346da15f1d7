"""Rounds: run, die, run again."""

import random
import time

from generator import Generator
from node import Node, show_stats
from switch import drained_gauges
from truth import Checks, Comparison
import journal

SETTLE_S = 90.0  # until the last call has ended
EMPTY_S = 60.0  # and nothing is left of it: 64*T1, and some


class Rounds:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.node = Node(options)
        self.notes = []  # what went wrong on the way
        self.forgiven = set()  # Call-IDs
        self.damages = []  # places that a start had to report and did not
        self.torn = self.damaged = 0
        self.recoveries_cut = 0

    def live(self):
        """The switch lives for a while: sometimes so short that it is still recovering."""
        if self.random.random() < 0.25:
            self.recoveries_cut += 1
            time.sleep(self.random.random() * 0.3)
            return
        if not self.node.wait_serving():
            self.notes.append("does not serve: %s" % self.node.log_tail(2))
        time.sleep(0.3 + self.random.random() * 4)

    def die(self):
        if self.options.keep_calls:
            if not self.node.wait_serving():
                self.notes.append("does not serve: %s" % self.node.log_tail(2))
            elif not self.node.stop_keeping_calls():
                self.notes.append("rwctl stop --keep-calls: it did not end with status 0")
        elif not self.node.kill():
            self.notes.append("ended by itself, status %s: %s" % (self.node.process.returncode, self.node.log_tail(2)))

    def spoil(self):
        """What becomes of the files while the switch is down; the places that the next start must report."""
        reported = []
        # The tail first: a size that was changed would hide where it begins.
        if (self.options.tear or self.options.machine) and self.random.random() < 0.7:
            self.torn += journal.tear(self.node.data, self.node.queue_paths(), self.random)
        if self.options.damage and self.random.random() < 0.5:
            damage = journal.flip(self.node.data, self.random)
            if damage:
                self.damaged += 1
                self.forgiven |= damage.calls
                reported.append(damage)
        if self.options.machine:
            self.node.lose_queues()
        return reported

    def start(self, reported):
        self.node.launch()
        if not reported:
            return
        if not self.node.wait_serving():
            self.notes.append("does not serve after damage: %s" % self.node.log_tail(2))
            return
        lines = [line for line in self.node.logs() if "damage" in line]
        for damage in reported:
            if not damage.reported(lines):
                self.damages.append("%s; the log says: %s" % (damage, lines[:2] or "nothing"))

    def one(self):
        self.live()
        self.die()
        self.start(self.spoil())


def settle(generator, timeout):
    """Waits until every call is over for both peers."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        placed, settled, _ = generator.count()
        if placed == settled:
            return
        time.sleep(0.2)


def clear_forgiven(node, forgiven):
    """A call whose end was in a record that was destroyed is up again: without session timers it waits for its cap of two
    hours.  An operator clears it.  The cdr_ids."""
    up = [row["cdr_id"] for row in node.calls() if row["call_id_a"] in forgiven]
    for cdr_id in up:
        node.call("calls.hangup", call_id=cdr_id)
    return up


def wind_up(node, generator, checks, timeout=SETTLE_S, forgiven=()):
    """After the last death: all calls end, nothing is left, the switch stops.  The truth and the CDRs."""
    checks.check("the switch serves", [] if node.wait_serving() else [node.log_tail(3)])
    generator.tell("quiet")
    settle(generator, timeout)
    if node.alive():
        left = node.wait_stats(drained_gauges, EMPTY_S)
        if left and forgiven:
            cleared = clear_forgiven(node, forgiven)
            print("up again since the record of their end was destroyed, and cleared: %d" % len(cleared))
            left = node.wait_stats(drained_gauges, EMPTY_S)
        up = ["up: " + row["call_id_a"] for row in node.calls()] if left else []
        checks.check("nothing is left of any call", ["%s is %s" % item for item in sorted(left.items())] + up)
        stats = node.stats()
        print("statistics: " + show_stats(stats, ["calls_attempted", "calls_answered", "cdr_queued", "cdr_written"]))
    status = node.terminate(30)
    checks.check("it stops when asked", [] if status == 0 else ["exit status %s: %s" % (status, node.log_tail(3))])
    return generator.finish(), node.rows()


def run(options):
    checks = Checks()
    rounds = Rounds(options)
    node, generator = rounds.node, None
    began = time.monotonic()
    node.launch()
    try:
        generator = Generator(options, node)
        if not node.wait_serving():
            checks.check("the switch starts", [node.log_tail(3)])
            return checks
        time.sleep(options.calm)
        for _ in range(options.rounds):
            rounds.one()
        truth, rows = wind_up(node, generator, checks, forgiven=rounds.forgiven)
    finally:
        node.stop()
        if generator:
            generator.discard()
    checks.check("each death was ours, each start came up", rounds.notes, options.rounds)
    if options.damage:
        checks.check("damage is reported with its place", rounds.damages, rounds.damaged)
    comparison = Comparison(truth, rows, node, rounds.forgiven, options.close)
    comparison.run(checks)
    print("%d rounds, seed %d, %.0f calls/s, %d workers, %.0f s; killed within 0.3 s of the start: %d; torn: %d; damaged: %d"
          % (options.rounds, options.seed, options.rate, options.workers, time.monotonic() - began,
             rounds.recoveries_cut, rounds.torn, rounds.damaged))
    for line in comparison.summary():
        print(line)
    return checks
