"""Runs a pair of SIPp scenarios, caller and callee, and judges them by their exit status.

scenarios/NAME.caller.xml and NAME.callee.xml show the steps of a flow; each step is an <include> of a part from
scenarios/parts/, so that the flow can be read at a glance.  expand() makes what SIPp reads:

    <include part="P" KEY="value" body="B" TYPE="t"/>   parts/P.xml with {{KEY}} and {{KEY|default}} replaced;
                                                        {{CONTENT}} becomes the body parts/B.txt with its headers
"""

import html
import os
import re
import socket
import struct
import subprocess
import time

from ua import Unmet, bracketed

SCENARIOS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scenarios")
INCLUDE = re.compile(r'^[ \t]*<include part="([\w-]+)"((?:\s+\w+="[^"]*")*)\s*/>', re.MULTILINE)
VARIABLES = ("seen", "via", "remote", "local", "cseq", "rseq")
FINISHED_S = 10  # how long the callee may take to see its last message once the caller is through


def read(*path):
    with open(os.path.join(SCENARIOS, *path)) as text:
        return text.read()


def content(body, content_type):
    if body is None:
        return "Content-Length: 0\n\n"
    lines = read("parts", body + ".txt").rstrip("\n").replace("\n", "\n      ")
    return "Content-Type: %s\n      Content-Length: [len]\n\n      %s\n" % (content_type, lines)


def expand(name, values):
    """The text of one scenario file with its parts."""
    def replace(text, known):
        return re.sub(r"\{\{([A-Z]+)(?:\|(.*?))?\}\}",
                      lambda m: known[m.group(1)] if m.group(1) in known else (m.group(2) or ""), text)

    def include(match):
        known = {k: html.unescape(v) for k, v in re.findall(r'(\w+)="([^"]*)"', match.group(2))}
        body = known.pop("body", None)
        known["CONTENT"] = content(body, known.pop("TYPE", "application/sdp"))
        if known.get("RETRANS"):
            known["RETRANS"] = ' retrans="%s"' % known["RETRANS"]
        text = replace(read("parts", match.group(1) + ".xml"), known)
        # A header that was not asked for leaves no line.
        return re.sub(r"^ *\n(?= *Content-)", "", text, flags=re.MULTILINE).rstrip("\n")

    text = INCLUDE.sub(include, replace(read(name + ".xml"), values))
    used = [v for v in VARIABLES if 'assign_to="%s"' % v in text]
    if used:
        text = text.replace("</scenario>", '  <Reference variables="%s"/>\n</scenario>' % ",".join(used))
    return '<?xml version="1.0" encoding="UTF-8" ?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n' + text


class Sipp:
    """One SIPp process.  name: of its files, where a scenario is played more than once."""

    def __init__(self, directory, scenario, arguments, values=None, name=None):
        self.directory = directory
        self.name = name or scenario
        path = os.path.join(directory, self.name + ".xml")
        with open(path, "w") as out:
            out.write(expand(scenario, values or {}))
        self.errors = os.path.join(directory, self.name + ".errors")
        self.messages = os.path.join(directory, self.name + ".messages")
        command = ["sipp", "-sf", path, "-nostdin", "-trace_err", "-error_file", self.errors,
                   "-error_overwrite", "true"] + arguments
        self.log = os.path.join(directory, self.name + ".log")
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=dict(os.environ, TERM="dumb"))

    def wait(self, timeout):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return -1

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def report(self):
        """What SIPp said, for the output of a failed test."""
        lines = []
        for path in (self.errors, self.messages):
            if os.path.exists(path):
                with open(path, errors="replace") as text:
                    lines += [line for line in text.read().splitlines() if line.strip()][:80]
        return ["%s: %s" % (self.name, line) for line in lines]


def bound(host, port, protocol="udp"):
    """Whether some process holds this port.  /proc/net/udp and tcp: address, in words of the machine's order, and port in
    hexadecimal."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    words = struct.unpack("=%dI" % (4 if ":" in host else 1), socket.inet_pton(family, host))
    wanted = "%s:%04X" % ("".join("%08X" % word for word in words), port)
    with open("/proc/net/" + protocol + ("6" if ":" in host else "")) as table:
        return any(line.split()[1] == wanted for line in table.read().splitlines()[1:])


def run_pair(test, flow, calls=3, rate=10, timeout=25, callee_host=None, values=None, callee=True, port=None,
             more=(), trace=True):
    """Runs NAME.caller.xml against NAME.callee.xml through test.to; raises Unmet unless both end with status 0."""
    callees = [Callee(flow, callee_host or test.callee_host, port=port or test.callee_port, values=values)]
    run_flow(test, flow, callees if callee else [], calls, rate, timeout, values, more, trace)


class Callee:
    """What a routing gateway plays; `calls` of its own where not every call comes to it."""

    def __init__(self, flow, host, calls=None, port=5060, values=None, transport="u1"):
        self.flow, self.host, self.calls, self.port, self.values = flow, host, calls, port, values
        self.transport = transport  # as SIPp's option -t names it

    @property
    def protocol(self):
        return "tcp" if self.transport.startswith("t") else "udp"


def run_flow(test, flow, callees, calls=3, rate=10, timeout=25, values=None, more=(), trace=True):
    """Runs NAME.caller.xml against these callees through test.to; raises Unmet unless all end with status 0."""
    def arguments(name, count):
        tracing = ["-trace_msg", "-message_file", os.path.join(test.directory, name + ".messages"),
                   "-message_overwrite", "true"]
        return ["-m", str(count), "-timeout", "%ds" % timeout, "-timeout_error"] + (tracing if trace else [])

    os.makedirs(test.directory, exist_ok=True)
    agents = []
    try:
        for number, callee in enumerate(callees):
            name = "%s.callee%s" % (callee.flow, number + 1 if number else "")
            transport = ["-t", callee.transport, "-max_socket", "100"]  # its own default is above the limit of files
            uas = Sipp(test.directory, callee.flow + ".callee", ["-i", bracketed(callee.host), "-p", str(callee.port)] +
                       transport + arguments(name, callee.calls or calls), callee.values, name)
            agents.append(uas)
            deadline = time.monotonic() + 10
            while (not bound(callee.host, callee.port, callee.protocol) and uas.process.poll() is None and
                   time.monotonic() < deadline):
                time.sleep(0.02)
        uac = Sipp(test.directory, flow + ".caller", ["-i", bracketed(test.caller_host), "-p",
                   str(test.caller_port or 5070), "-s", test.number, "-r", str(rate)] + list(more) +
                   arguments(flow + ".caller", calls) + ["%s:%d" % (bracketed(test.to[0]), test.to[1])], values)
        agents.insert(0, uac)
        statuses = [uac.wait(timeout + 10)] + [uas.wait(FINISHED_S) for uas in agents[1:]]
        if any(statuses):
            for agent in agents:
                test.output += agent.report()
            raise Unmet("SIPp exit status: caller %d, callees %s" % (statuses[0], statuses[1:]))
    finally:
        for agent in agents:
            agent.kill()
