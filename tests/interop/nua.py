"""A user agent that is not ours: Sofia-SIP's nua (nua_agent.c), one process and one call."""

import os
import subprocess
import time

from ua import bracketed, need


class Nua:
    """role: "caller" or "callee"; refreshes: who refreshes the session of `interval` seconds, and by what."""

    def __init__(self, t, role, host, port, seconds, interval, refreshes=("you", "UPDATE"), more=()):
        program = os.path.join(os.path.dirname(t.configuration.options.ringwheel), "tests", "interop", "nua_agent")
        need(os.path.exists(program), "%s is not built", program)
        self.role = role
        self.log = os.path.join(t.directory, "nua-" + role)
        command = [program, role, "--bind", "sip:%s:%d" % (bracketed(host), port), "--interval", str(interval), "--refresher",
                   refreshes[0], "--by", refreshes[1].lower(), "--seconds", str(seconds)] + list(more)
        with open(self.log, "w") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def said(self):
        """What it has printed so far, line by line."""
        with open(self.log) as text:
            return text.read().splitlines()

    def wait_ready(self):
        deadline = time.monotonic() + 10
        while "ready" not in self.said():
            need(time.monotonic() < deadline and self.process.poll() is None, "%s: %s", self.role, self.said())
            time.sleep(0.02)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
