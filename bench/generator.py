"""rwbench as bench/compare uses it: the same calls for every switch, from another core."""

import json
import subprocess
import threading

import process


class Failed(Exception):
    """rwbench could not do it; the text says why."""


class Generator:
    """Runs rwbench on a core.  Both ends of all calls are its own: the callee's address is what the switch is given."""

    def __init__(self, binary, core, host, callee_port):
        self.binary, self.core = binary, core
        self.callee = "%s:%d" % (host, callee_port)
        self.host = host

    def run(self, measurement, options, seconds_max):
        """One measurement's JSON object.  None of its exit statuses but wrong usage is a reason not to read it: that
        calls failed is a result."""
        command = ["taskset", "-c", str(self.core), self.binary, measurement, "--json"] + [str(o) for o in options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds_max)
        except subprocess.TimeoutExpired:
            raise Failed("rwbench %s did not end within %d s" % (measurement, seconds_max))
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise Failed("rwbench %s: %s" % (measurement, (done.stderr.strip() or "no output").splitlines()[-1]))

    def between(self, server):
        return ["--target", "%s:%d" % (self.host, server.port), "--callee", self.callee, "--pid", server.process.pid]

    def cps(self, server, rate, seconds, hold_ms):
        """Calls at a steady rate."""
        return self.run("cps", self.between(server) + ["--rate", rate, "--time", seconds, "--hold", hold_ms],
                        seconds + 60)

    def pdd(self, server, rate, seconds):
        """Delay from INVITE in to INVITE out."""
        return self.run("pdd", self.between(server) + ["--rate", rate, "--time", seconds], seconds + 60)

    def limit(self, rate, seconds):
        """The floor: its forwarder is its own, on the server's core."""
        return self.run("limit", ["--rate", rate, "--time", seconds], seconds + 60)

    def hold(self, server, calls, rate, seconds):
        """Brings calls up and keeps them; looks at the memory of the switch all the while.  Its object, and the largest
        memory seen."""
        peak, over = [0], threading.Event()

        def watch():
            while not over.wait(0.25):
                peak[0] = max(peak[0], process.pss_bytes(server.process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            result = self.run("hold", self.between(server) + ["--calls", calls, "--rate", rate, "--time", seconds],
                              seconds + calls / rate + 120)
        finally:
            over.set()
            watcher.join()
        return result, peak[0]
