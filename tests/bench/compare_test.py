#!/usr/bin/env python3
"""bench/compare with a real switch and a generator that only says what it was told: what it starts it stops, what fails
it says, and medians are of the rounds.  The first argument is bench/compare, the second the build directory."""

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
measurement = sys.argv[1]
options = dict(zip(sys.argv[3::2], sys.argv[4::2]))
here = os.path.dirname(os.path.abspath(__file__))
delay = {"p50_us": 7, "p99_us": 9}
if "--pid" in options:
    os.kill(int(options["--pid"]), 0)
    with open(here + "/pids", "a") as file:
        file.write(options["--pid"] + "\\n")
if measurement == "limit":
    again = os.path.exists(here + "/again")
    if options["--rate"] == "50":
        open(here + "/again", "w").close()
    print(json.dumps({"cpu_us_per_call": 30 if again else 10, "delay": delay}))
elif measurement == "cps":
    rate = int(options["--rate"])
    print(json.dumps({"calls": rate, "failed": rate // 10 if rate == 2000 else 0}))
elif measurement == "hold":
    time.sleep(0.5)
    print(json.dumps({"calls": int(options["--calls"]), "failed": 0}))
else:
    print(json.dumps({"delay": delay}))
"""


def free_ports():
    """The first of two neighbours."""
    for port in range(20000, 30000, 2):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as a, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as b:
            try:
                a.bind(("127.0.0.1", port))
                b.bind(("127.0.0.1", port + 1))
                return port
            except OSError:
                pass
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


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
