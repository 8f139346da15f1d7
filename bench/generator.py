"""rwbench as bench/compare uses it: the same calls for every switch, from another core."""

import json
import subprocess
import threading

import process


class Failed(Exception):
    """rwbench could not do it; the text says why."""


class Generator:
    """Runs rwbench on a core.  Both ends of all calls are its own: the callee's address is what the switch is given, the
    caller's is the port after it.  The forwarder, which stands for the floor, has the core of the servers."""

    def __init__(self, binary, core, server_core, host, callee_port):
        self.binary = binary
        self.cores = ["--cpu", core, "--switch-cpu", server_core]
        self.ends = ["--callee", "%s:%d" % (host, callee_port), "--local", "%s:%d" % (host, callee_port + 1)]
        self.host = host

    def run(self, measurement, options, seconds_max):
        """One measurement's JSON object.  None of its exit statuses but wrong usage is a reason not to read it: that
        calls failed is a result."""
        command = [self.binary, measurement, "--json"] + [str(o) for o in self.cores + self.ends + options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds_max)
        except subprocess.TimeoutExpired:
            raise Failed("rwbench %s did not end within %d s" % (measurement, seconds_max))
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise Failed("rwbench %s: %s" % (measurement, (done.stderr.strip() or "no output").splitlines()[-1]))

    def at(self, port):
        return ["--target", "%s:%d" % (self.host, port)]

    def cps(self, server, rate, seconds, hold_ms):
        """Calls at a steady rate, with session timers: how many were started, and how many failed."""
        got = self.run("cps", self.at(server.port) + ["--pid", server.process.pid, "--timer", "--rate", rate, "--time",
                                                      seconds, "--hold", hold_ms], seconds + 120)
        counts = got["result"]["counts"]
        return {"calls": counts["attempted"], "failed": counts["failed"]}

    def pdd(self, server, rate, seconds):
        """Delay from INVITE in to INVITE out."""
        got = self.run("pdd", self.at(server.port) + ["--pid", server.process.pid, "--timer", "--rate", rate, "--time",
                                                      seconds, "--rounds", 1], 2 * seconds + 120)
        return got["switch_result"]["delay"]

    def floor_cost(self, port, rate, seconds, hold_ms):
        """Microseconds of CPU time a call that the forwarder takes."""
        got = self.run("cps", self.at(port) + ["--floor", "--timer", "--rate", rate, "--time", seconds, "--hold",
                                               hold_ms], seconds + 120)
        return got["result"]["switch"]["us_per_call"]

    def floor_delay(self, port, rate, seconds):
        got = self.run("pdd", self.at(port) + ["--floor", "--timer", "--rate", rate, "--time", seconds, "--rounds", 1],
                       seconds + 120)
        return got["floor"]["delay"]

    def hold(self, server, calls, rate, seconds):
        """Brings calls up and keeps them; looks at the memory of the switch all the while.  How many failed or were
        lost, and the largest memory seen."""
        peak, over = [0], threading.Event()

        def watch():
            while not over.wait(0.25):
                peak[0] = max(peak[0], process.pss_bytes(server.process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            got = self.run("hold", self.at(server.port) + ["--pid", server.process.pid, "--calls", calls, "--rate",
                                                           rate, "--time", seconds], seconds + calls / rate + 120)
        finally:
            over.set()
            watcher.join()
        return {"calls": got["calls_wanted"], "failed": got["failed"]}, peak[0]
