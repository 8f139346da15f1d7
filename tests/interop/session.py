"""Runs scenarios in each configuration and counts.

Scenarios of a profile share one switch and run side by side; when they are through, the switch must have nothing left:
no call, no timer, no pool entry, and exactly the CDRs that the scenarios expect.  Scenarios without a profile start
switches of their own.

Scenarios live by the clock, those with SIPp, nua and Kamailio by that of programs that wait for a core as long as the
machine lets them.  A few that failed among twenty others go again, each with nothing beside it and a switch of its own,
and pass if they pass AGAIN times in a row; what failed first is printed all the same.  Many are a failure at once.
"""

import concurrent.futures
import importlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time

import lateness
import sanitizers
from harness import Network, SCENARIOS, Test, gateways_text
from profiles import PROFILES
from switch import CannotStart, Switch, drained_gauges, has_ipv6
from ua import Agent

# Each registers its scenarios.
for subject in (
    "sipp", "setup", "dialog", "ending", "refusal", "reliable", "routing", "timeout", "failover",
    "failover_sipp", "choice", "timers", "timers_nua", "timers_refresh", "timers_refused", "node", "live",
    "routing_live", "malformed", "billing", "tcp", "proxy", "ipv6", "kamailio",
):
    importlib.import_module("flows_" + subject)


AGAIN = 2
AGAIN_MAX = 8  # scenarios of a configuration
OF_SWITCH = re.compile(r"^exit status (-?\d+|None):|the switch has died|stands twice")  # no clock is to blame


class Tally:
    def __init__(self):
        self.lock = threading.Lock()
        self.counts = {"ok": 0, "FAIL": 0, "skip": 0, "again": 0}

    def line(self, verdict, name, why="", output=(), seconds=None):
        with self.lock:
            self.counts[verdict] += 1
            took = "" if seconds is None else " (%.1f s)" % seconds
            print("%s %s%s%s" % (verdict, name, took, ": " + why if why else ""), flush=True)
            for line in output:
                print("    # " + line, flush=True)

    def summary(self):
        return "%d passed, %d failed, %d skipped" % (self.counts["ok"], self.counts["FAIL"], self.counts["skip"])


class Outcome:
    """Of one run of a scenario."""

    def __init__(self, scenario, verdict, why, output, seconds):
        self.scenario = scenario
        self.verdict = verdict
        self.why = why
        self.output = output
        self.seconds = seconds


class Configuration:
    """One steering and number of workers, with all the switches that the chosen scenarios need."""

    def __init__(self, options, steering, workers, directory):
        self.options = options
        self.steering = steering
        self.workers = workers
        self.directory = directory
        self.network = Network(os.getpid())
        self.label = "%s/%d" % (steering, workers)
        self.failures = []  # Outcomes among others

    def switch(self, name, parameters=None, gateways="", **more):
        """A switch of this configuration, not started."""
        directory = os.path.join(self.directory, name)
        os.makedirs(directory, exist_ok=True)
        return Switch(self.options.ringwheel, directory, self.steering, self.workers, parameters, gateways, **more)

    def run(self, scenarios, tally):
        try:
            self.side_by_side(scenarios, tally)
            for scenario in scenarios:
                if scenario.alone:
                    self.among(scenario, None, tally)
            for failure in self.failures:
                if len(self.failures) <= AGAIN_MAX:
                    self.again(failure, tally)
                else:
                    self.tell(failure, tally)
        except CannotStart as reason:
            tally.line("FAIL", "%s start" % self.label, str(reason))
        finally:
            self.discard(self.directory)

    def profile_switch(self, profile, scenarios):
        settings = PROFILES[profile]
        return self.switch(profile, settings["parameters"], gateways_text(scenarios, self.network), with_ipv6=has_ipv6(),
                           **settings.get("more", {}))

    def side_by_side(self, scenarios, tally):
        switches = {}
        try:
            for profile in PROFILES:
                mine = [s for s in scenarios if s.profile == profile]
                if mine:
                    switches[profile] = self.profile_switch(profile, mine).start()
            with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool, \
                    concurrent.futures.ThreadPoolExecutor(len(PROFILES)) as drains:
                order = sorted((s for s in scenarios if not s.alone), key=lambda s: -s.seconds - drain_s(s.profile))
                running = [(s.profile, pool.submit(self.among, s, switches.get(s.profile), tally)) for s in order]
                # A switch whose scenarios are through is looked at while those of others go on.
                looking = [drains.submit(self.drained, p, s, [f for name, f in running if name == p], scenarios, tally)
                           for p, s in switches.items()]
                for future in [f for _, f in running] + looking:
                    future.result()
        finally:
            for switch in switches.values():
                switch.stop()

    def one(self, scenario, switch):
        test = Test(scenario, switch, self.network, self.directory, configuration=self)
        started = time.monotonic()
        verdict, why = test.run()
        if verdict == "FAIL" and switch is not None and not switch.alive():
            why += " (the switch has died: %s)" % switch.log_tail(3)
        scenario.cdr_count = len(test.expected) if verdict == "ok" else None
        self.discard(test.directory)  # some hundred switches, each with 200 MB of segments reserved, fill a disk
        return Outcome(scenario, verdict, why or test.note, test.output if verdict == "FAIL" else (),
                       time.monotonic() - started)

    def among(self, scenario, switch, tally):
        outcome = self.one(scenario, switch)
        if outcome.verdict == "FAIL" and not OF_SWITCH.search(outcome.why):
            self.failures.append(outcome)
        else:
            self.tell(outcome, tally)

    def tell(self, outcome, tally, verdict=None):
        tally.line(verdict or outcome.verdict, "%s %s" % (self.label, outcome.scenario.name), outcome.why, outcome.output,
                   outcome.seconds)

    def again(self, failure, tally):
        self.tell(failure, tally, "again")
        for number in range(AGAIN):
            directory = "%s-again-%d-%d" % (self.directory, self.failures.index(failure), number)
            own = Configuration(self.options, self.steering, self.workers, directory)
            outcome = own.by_itself(failure.scenario)
            self.discard(directory)
            if outcome.verdict == "FAIL":
                break
        self.tell(outcome, tally)

    def by_itself(self, scenario):
        if scenario.profile is None:
            return self.one(scenario, None)
        switch = self.profile_switch(scenario.profile, [scenario])
        try:
            outcome = self.one(scenario, switch.start())
            left = outcome.verdict == "ok" and switch.wait_stats(["calls_active", "calls_setup"], 5)
            if left:
                outcome.verdict, outcome.why = "FAIL", "calls left: %s" % left
        except CannotStart as reason:
            return Outcome(scenario, "FAIL", str(reason), (), None)
        finally:
            status = switch.terminate()
        if status != 0 and outcome.verdict == "ok":
            outcome.verdict, outcome.why = "FAIL", "exit status %s: %s" % (status, switch.log_tail(5))
        return outcome

    def discard(self, directory):
        if not self.options.keep:
            shutil.rmtree(directory, ignore_errors=True)

    def drained(self, profile, switch, futures, scenarios, tally):
        concurrent.futures.wait(futures)
        self.leftovers(profile, switch, scenarios, tally)

    def leftovers(self, profile, switch, scenarios, tally):
        """When all scenarios of a switch are through: nothing may be left, and nothing may have been added."""
        name = "%s nothing_left_%s" % (self.label, profile)
        started = time.monotonic()
        problems = []
        try:
            failed = {s.name for s in scenarios if s.profile == profile and s.cdr_count is None}
            for row in switch.calls():
                if row["mapping_gateway"] in failed:  # what a failed scenario left is not this one's failure
                    switch.call("calls.hangup", call_id=row["cdr_id"])
            wrong = switch.wait_stats(["calls_active", "calls_setup"], 5)
            if wrong:
                problems.append("calls left: %s" % wrong)
                problems += ["  %s" % row for row in switch.calls()[:20]]
            wrong = switch.wait_stats(drained_gauges, PROFILES[profile]["drained_s"])
            if wrong:
                problems.append("gauges not back to 0: %s" % wrong)
            for s in scenarios:
                if s.profile == profile and s.cdr_count is not None:
                    rows = switch.rows("mapping_gateway = ?", (s.name,))
                    if len(rows) != s.cdr_count:
                        problems.append("%s: %d CDRs instead of %d" % (s.name, len(rows), s.cdr_count))
            identities = [row["cdr_id"] for row in switch.rows()]
            if len(set(identities)) != len(identities):
                problems.append("a cdr_id stands twice")
            status = switch.terminate()
            if status != 0:
                problems.append("exit status %s: %s" % (status, switch.log_tail(5)))
        except Exception as error:
            problems.append("%r; log: %s" % (error, switch.log_tail(5)))
        if problems:
            tally.line("FAIL", name, problems[0], problems[1:] + switch.log_tail(20).splitlines())
        else:
            tally.line("ok", name, seconds=time.monotonic() - started)
        self.discard(switch.directory)


def drain_s(profile):
    """How long what was answered is remembered after the last scenario of a profile: 64*T1."""
    return PROFILES[profile]["parameters"]["RW_SIP_T1"] * 64 / 1000 if profile else 0


def chosen(options):
    wanted = [w for w in options.only.split(",") if w]
    result = []
    for s in SCENARIOS:
        named = any(s.name == w or (w.endswith("*") and s.name.startswith(w[:-1])) for w in wanted)
        if (named or not wanted) and (not s.on_request or named or options.load):
            result.append(s)
    unknown = [w for w in wanted if not w.endswith("*") and w not in [s.name for s in SCENARIOS]]
    if unknown:
        raise SystemExit("no such scenario: %s" % ", ".join(unknown))
    return result


def run_direct(options, directory, tally):
    network = Network(os.getpid())
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        def one(scenario):
            test = Test(scenario, None, network, directory, direct=True)
            verdict, why = test.run()
            tally.line(verdict, "direct " + scenario.name, why, test.output if verdict == "FAIL" else ())
        list(pool.map(one, [s for s in chosen(options) if s.direct]))


def bpf_allowed(options, directory):
    """Whether a switch that must steer by BPF starts here; the reason if not."""
    probe = Configuration(options, "bpf", 2, directory).switch("probe")
    try:
        probe.start()
        return None
    except CannotStart as reason:
        return str(reason)
    finally:
        probe.stop()


def main(options):
    if options.list:
        for s in SCENARIOS:
            print("%-34s %s%s" % (s.name, s.what, "  [--load]" if s.on_request else ""))
        return 0
    tally = Tally()
    directory = tempfile.mkdtemp(prefix="ringwheel-interop-")
    sanitizers.report_to(directory)
    if lateness.set_for(options.ringwheel):
        Agent.PATIENCE_S *= 3
    watching = lateness.watch(directory)
    try:
        if options.direct:
            run_direct(options, directory, tally)
        else:
            run_configurations(options, directory, tally)
        for title, lines in sanitizers.reports(directory):
            tally.line("FAIL", "sanitizer", title, lines)
    finally:
        lateness.end(watching)
        if options.keep:
            print("kept: " + directory)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    print(tally.summary())
    return 1 if tally.counts["FAIL"] or not tally.counts["ok"] else 0


def run_configurations(options, directory, tally):
    if subprocess.call(["sipp", "-v"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) not in (0, 99):
        raise SystemExit("sipp (package sip-tester) is not installed")
    scenarios = chosen(options)
    if not scenarios:
        raise SystemExit("no scenario chosen")
    first = True
    for steering in [options.steering] if options.steering else ["bpf", "mailbox"]:
        if steering == "bpf" and os.geteuid() != 0:
            reason = bpf_allowed(options, os.path.join(directory, "probe"))
            if reason:
                tally.line("skip", "bpf", "this user may not load the steering program: " + reason)
                continue
        for workers in [options.workers] if options.workers else [1, 2]:
            here = os.path.join(directory, "%s-%d" % (steering, workers))
            # What takes long and does not depend on the configuration runs in the first one only.
            mine = [s for s in scenarios if first or not s.once]
            Configuration(options, steering, workers, here).run(mine, tally)
            first = False
