"""A proxy that is not ours: Kamailio, on both sides of the switch, recording its route with each request.

One process: it listens where the caller sends to and where the routing gateway is, and knows by the sender which way an
initial request goes; inside a dialog it goes by Route alone, and refuses what has none."""

import os
import shutil
import signal
import subprocess
import time

from harness import RG_PORT, SIX, Skip
from sipp import bound
from ua import bracketed, need

CONFIGURATION = """#!KAMAILIO
debug=1
log_stderror=yes
fork=yes
children=1
disable_tcp=yes
auto_aliases=no
dns=no
rev_dns=no
%(listens)s
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "corex.so"
modparam("rr", "enable_double_rr", 1)
modparam("rr", "enable_full_lr", %(full_lr)d)

request_route {
	if (!mf_process_maxfwd_header("10")) {
		sl_send_reply("483", "Too Many Hops");
		exit;
	}
	if (is_method("CANCEL") && !has_totag()) {
		if (t_check_trans())
			t_relay();
		exit;
	}
	if (has_totag()) {
		if (loose_route()) {
			if (is_method("INVITE|UPDATE"))
				record_route();
			t_relay();
		} else if (is_method("ACK")) {
			if (t_check_trans())
				t_relay();
		} else {
			sl_send_reply("404", "Not Here");
		}
		exit;
	}
	t_check_trans();
	record_route();
	if ($si == "%(switch_host)s" && $sp == %(switch_port)d) {
		$fs = "udp:%(callee_side)s";
		$ru = "sip:" + $rU + "@%(callee)s";
		%(fork)s
	} else {
		$fs = "udp:%(caller_side)s";
		$du = "sip:%(switch_host)s:%(switch_port)d";
	}
	t_relay();
}
"""


def host_port(host, port):
    return "%s:%d" % (bracketed(host), port)


class Kamailio:
    """callee: where the callee's agent is; fork: another one that each call rings at, too; six: it is at ::1."""

    def __init__(self, t, callee, fork=None, full_lr=False, six=False):
        program = shutil.which("kamailio") or "/usr/sbin/kamailio"
        if not os.path.exists(program):
            raise Skip("kamailio is not installed")
        self.address = (t.network.proxy(t.index), RG_PORT)
        gateway = (t.callee_host, RG_PORT)
        sides = [self.address, gateway] + ([(SIX, t.network.port6(t.index, "kamailio"))] if six else [])
        values = {
            "listens": "\n".join("listen=udp:%s" % host_port(*side) for side in sides), "full_lr": full_lr,
            "switch_host": t.switch.host, "switch_port": t.switch.port, "caller_side": host_port(*self.address),
            "callee_side": host_port(*sides[-1]), "callee": host_port(*callee),
            "fork": 'append_branch("sip:%s@%s");' % (t.number, host_port(*fork)) if fork else "",
        }
        path = os.path.join(t.directory, "kamailio.cfg")
        with open(path, "w") as out:
            out.write(CONFIGURATION % values)
        self.log = os.path.join(t.directory, "kamailio.log")
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [program, "-f", path, "-DD", "-E", "-m", "32", "-M", "4", "-w", t.directory, "-Y", t.directory],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=t.directory, start_new_session=True)
        deadline = time.monotonic() + 15
        while not all(bound(*side) for side in sides):
            need(self.process.poll() is None and time.monotonic() < deadline, "kamailio does not start: %s",
                 self.said())
            time.sleep(0.05)

    def said(self):
        with open(self.log, errors="replace") as log:
            return log.read()[-2000:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)  # its own group: nothing else is in it
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
