"""The switch that is killed, and what happened to it when."""

import glob
import json
import os
import signal
import subprocess
import threading
import time

import lateness
from switch import Switch, free_port, mapping_gateway, routing_gateway

HOST = "127.0.0.1"


def now_us():
    return time.monotonic_ns() // 1000


class Death:
    """One end of the process: times by CLOCK_MONOTONIC, microseconds."""

    def __init__(self, at_us):
        self.at_us = at_us  # just before the signal
        self.machine = False  # the queues were lost as well


class Starvation(threading.Thread):
    """When the switch had work and no core: on a machine that is busy otherwise nobody keeps time."""

    EVERY_S = 0.02
    LEAST_S = 0.005

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node = node
        self.intervals = []  # of microseconds, CLOCK_MONOTONIC
        self.ended = threading.Event()

    def run(self):
        known, before_us = {}, now_us()
        while not self.ended.wait(self.EVERY_S):
            waited = lateness.waited_s(self.node.process)
            at_us = now_us()
            if any(s - known.get(task, 0) > self.LEAST_S for task, s in waited.items()):
                self.intervals.append((before_us, at_us))
            known, before_us = waited, at_us

    def touches(self, from_us, to_us):
        return any(begin <= to_us and end >= from_us for begin, end in self.intervals)


class Node(Switch):
    def __init__(self, options):
        self.options = options
        ports = [options.port + i if options.port else free_port(HOST) for i in range(3)]
        self.peers = ["%s:%d" % (HOST, port) for port in ports[1:]]
        gateways = mapping_gateway("callers", [self.peers[0]], timer="on")
        gateways += routing_gateway("callees", HOST, ports[2], [""], timer="on")
        parameters = {"SS_SIP_SESSION_TTL": options.expires, "RW_SIP_MIN_SE": min(options.expires, 4),
                      "RW_SIP_T1": options.t1}
        if options.machine:  # calls whose end was forgotten with the machine would wait for their cap of two hours
            parameters["RW_NO_TIMER_PROBE_INTERVAL"] = 10
        calls_max = max(50000, 2 * options.live)
        super().__init__(options.ringwheel, options.directory, "auto", options.workers, parameters, gateways, calls_max)
        self.port = ports[0]
        self.address = (HOST, self.port)
        self.deaths = []
        self.starts = []  # time of exec
        self.outages = []  # from a death to when the next process serves, or is known to
        self.starvation = Starvation(self)
        self.starvation.start()

    def configuration(self):
        keys = ""
        if self.options.close:
            keys += 'on_restart = "close"\n'
        if self.options.answer_after_sync:
            keys += "answer_after_sync = on\n"
        return keys + super().configuration()

    def launch(self):
        """Starts it and does not wait until it serves."""
        os.makedirs(self.data, exist_ok=True)
        self.write_configuration()
        self.log_path = os.path.join(self.directory, "ringwheel.%d.log" % len(self.starts))
        with open(self.log_path, "w") as log:
            self.starts.append(now_us())
            self.process = subprocess.Popen([self.binary, "-c", self.config], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.directory)

    def wait_serving(self, timeout=15.0):
        """Whether it answers on its control socket in time."""
        deadline = time.monotonic() + timeout
        while self.alive() and time.monotonic() < deadline:
            try:
                self.call("node.info")
                self._serves()
                return True
            except (OSError, ValueError):
                time.sleep(0.02)
        return False

    def _serves(self):
        if self.deaths and (not self.outages or self.outages[-1][1] < self.deaths[-1].at_us):
            begin = next((d for d in self.deaths if not self.outages or d.at_us > self.outages[-1][1]))
            self.outages.append((begin.at_us, now_us()))

    def kill(self):
        """SIGKILL.  False: it was dead already, which it should not be."""
        if not self.alive():
            return False
        self.deaths.append(Death(now_us()))
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return True

    def stop_keeping_calls(self):
        """rwctl stop --keep-calls.  False: it did not end well."""
        self.deaths.append(Death(now_us()))
        asked = subprocess.run([self.options.rwctl, "-s", self.socket_path, "stop", "--keep-calls"],
                               capture_output=True, text=True, timeout=30)
        if asked.returncode:
            print("rwctl stop --keep-calls: %s" % asked.stderr.strip())
            return False
        return self.wait_exit(15) == 0

    def queue_paths(self):
        return sorted(glob.glob(os.path.join(self.data, "queue.*")))

    def lose_queues(self):
        for path in self.queue_paths():
            os.unlink(path)
        self.deaths[-1].machine = True

    def logs(self):
        """Lines of the latest start."""
        with open(self.log_path, errors="replace") as log:
            return log.read().splitlines()


def show_stats(stats, names):
    return json.dumps({name: stats.get(name) for name in names})
