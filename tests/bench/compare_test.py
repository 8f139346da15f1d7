#!/usr/bin/env python3
"""bench/compare with a real switch, and with a generator that only says what it was told: what it starts it stops, what
fails it says, and medians are of the rounds; once with the real generator too.  The first argument is bench/compare, the second the build directory."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import unittest

COMPARE, BUILD = sys.argv[1], sys.argv[2]

# Costs 10 and 30 us in two rounds; of the calls at 2,000 a second one in ten fails.  Notes the switch's process id.
GENERATOR = """#!/usr/bin/env python3
import json, os, sys, time
measurement, options, name = sys.argv[1], {}, None
for word in sys.argv[2:]:
    if word.startswith("--"):
        name = word
        options[name] = True
    else:
        options[name] = word
here = os.path.dirname(os.path.abspath(__file__))
delay = {"p50_us": 7, "p99_us": 9}
if "--pid" in options:
    os.kill(int(options["--pid"]), 0)
    with open(here + "/pids", "a") as file:
        file.write(options["--pid"] + "\\n")
if measurement == "cps" and "--floor" in options:
    again = os.path.exists(here + "/again")
    print(json.dumps({"result": {"switch": {"us_per_call": 30 if again else 10}}}))
elif measurement == "cps":
    rate = int(options["--rate"])
    print(json.dumps({"result": {"counts": {"attempted": rate, "failed": rate // 10 if rate == 2000 else 0}}}))
elif measurement == "pdd" and "--floor" in options:
    open(here + "/again", "w").close()
    print(json.dumps({"floor": {"delay": delay}}))
elif measurement == "hold":
    time.sleep(0.5)
    print(json.dumps({"calls_wanted": int(options["--calls"]), "failed": 0}))
else:
    print(json.dumps({"switch_result": {"delay": delay}}))
"""


def free_ports():
    """The first of four neighbours: of the server, the callee, the caller and the forwarder."""
    for port in range(20000, 30000, 4):
        ends = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
        try:
            for i, end in enumerate(ends):
                end.bind(("127.0.0.1", port + i))
            return port
        except OSError:
            pass
        finally:
            for end in ends:
                end.close()
    raise AssertionError("no ports")


class Compare(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        os.symlink(os.path.join(BUILD, "ringwheel"), os.path.join(self.place.name, "ringwheel"))
        path = os.path.join(self.place.name, "rwbench")
        with open(path, "w") as file:
            file.write(GENERATOR)
        os.chmod(path, 0o755)

    def run_compare(self, *options):
        core = str(min(os.sched_getaffinity(0)))
        return subprocess.run([sys.executable, COMPARE, "--build", self.place.name, "--seconds", "1", "--rates",
                               "100,2000", "--live", "10", "--core", core, "--generator-core", core, "--port",
                               str(free_ports())] + list(options), capture_output=True, text=True, timeout=100)

    def test_medians_and_failures(self):
        done = self.run_compare("--servers", "floor,ringwheel", "--rounds", "2", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        got = json.loads(done.stdout)
        figures = got["figures"]
        self.assertEqual(figures["floor"]["cpu_us_at_100"], {"median": 20, "samples": [10, 30]})
        self.assertEqual(len(figures["ringwheel"]["cpu_us_at_100"]["samples"]), 2)
        self.assertEqual(figures["ringwheel"]["delay_p99_us"]["median"], 9)
        self.assertNotIn("cpu_us_at_2000", figures["ringwheel"])
        self.assertEqual([note["text"] for note in got["notes"]], ["10.0 % of the calls failed"])

    def test_every_server_is_stopped(self):
        self.run_compare("--servers", "ringwheel", "--rounds", "2")
        with open(os.path.join(self.place.name, "pids")) as file:
            pids = set(file.read().split())
        self.assertEqual(len(pids), 4)  # anew for the calls and for the memory of each round
        for pid in pids:
            self.assertFalse(os.path.exists("/proc/" + pid))

    def test_a_server_that_does_not_start(self):
        os.unlink(os.path.join(self.place.name, "ringwheel"))
        os.symlink("/bin/false", os.path.join(self.place.name, "ringwheel"))
        done = self.run_compare("--servers", "ringwheel", "--rounds", "1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("ringwheel has ended", done.stdout)

    def test_table(self):
        done = self.run_compare("--servers", "floor,ringwheel", "--rounds", "1")
        self.assertIn("| CPU, us a call, at 100 calls/s | 10.0 | ", done.stdout)
        self.assertIn("10.0 % of the calls failed |", done.stdout)


class Real(unittest.TestCase):
    def test_smoke(self):
        cores = sorted(os.sched_getaffinity(0))
        done = subprocess.run([sys.executable, COMPARE, "--build", BUILD, "--smoke", "--servers", "floor,ringwheel",
                               "--core", str(cores[0]), "--generator-core", str(cores[-1]), "--port",
                               str(free_ports()), "--json"], capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 0, done.stderr)
        got = json.loads(done.stdout)
        self.assertEqual(got["notes"], [])
        for figure in "cpu_us_at_100", "delay_p50_us", "delay_p99_us":
            for name in "floor", "ringwheel":
                self.assertGreater(got["figures"][name][figure]["median"], 0)
        self.assertGreater(got["figures"]["ringwheel"]["live_bytes"]["median"], 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
