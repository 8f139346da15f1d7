"""One running switch: its configuration file, its process, its control socket and its CDRs.  Spec 2, 3, 9."""

import itertools
import json
import os
import signal
import socket
import sqlite3
import subprocess
import time

from ua import Agent, Unmet, bracketed

START_S = 15.0
SWITCH_HOST = "127.0.0.1"
SWITCH_PORT = "SWITCH_PORT"  # stands in a gateway's address for the port that the switch will have


class CannotStart(Exception):
    """The switch ended before it answered; the text is what it said."""


_first = os.getpid() * 61 % 12000
_ports = itertools.cycle([*range(20000 + _first, 32000), *range(20000, 20000 + _first)])


def free_port(host, kind=socket.SOCK_DGRAM):
    """A port that nobody has, of UDP unless said.  Not the same one soon again and none that the kernel gives out: a second
    switch could share it unnoticed (SO_REUSEPORT), and each would get half of the datagrams."""
    while True:
        port = next(_ports)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
            try:
                probe.bind((host, port))
                return port
            except OSError:
                continue


def has_ipv6():
    """Whether lo has ::1."""
    try:
        with open("/proc/net/if_inet6") as table:
            return any(line.split()[5] == "lo" for line in table)
    except OSError:
        return False


class Switch:
    """gateways: text of mapping_gateway and routing_gateway sections; parameters: name to value."""

    def __init__(self, binary, directory, steering, workers, parameters=None, gateways="", max_calls=50000,
                 with_ipv6=False, with_tcp=False, keys=None):
        self.binary = binary
        self.directory = directory
        self.steering = steering
        self.workers = workers
        self.parameters = parameters or {}
        self.gateways = gateways
        self.max_calls = max_calls
        self.host, self.port = SWITCH_HOST, free_port(SWITCH_HOST)
        self.address = (self.host, self.port)
        self.port6 = free_port("::1") if with_ipv6 else None
        self.tcp_port = free_port(SWITCH_HOST, socket.SOCK_STREAM) if with_tcp else None
        self.tcp_address = (self.host, self.tcp_port)
        self.keys = keys or {}  # of the node: name to value
        self.process = None
        self.config = os.path.join(directory, "ringwheel.conf")
        self.data = os.path.join(directory, "data")
        self.socket_path = os.path.join(self.data, "ringwheel.sock")
        self.log_path = os.path.join(directory, "ringwheel.log")

    def configuration(self):
        lines = ['node = "interop"', 'data_dir = "data"', "workers = %d" % self.workers,
                 "max_calls = %d" % self.max_calls, 'steering = "%s"' % self.steering,
                 'control = "data/ringwheel.sock"']
        lines += ["%s = %s" % item for item in sorted(self.keys.items())]
        lines += ['listen "main" {\n\ttransport = "udp"\n\taddress = "%s"\n\tport = %d\n}' % self.address]
        if self.port6:
            lines.append('listen "six" {\n\ttransport = "udp"\n\taddress = "::1"\n\tport = %d\n}' % self.port6)
        if self.tcp_port:
            lines.append('listen "stream" {\n\ttransport = "tcp"\n\taddress = "%s"\n\tport = %d\n}' % self.tcp_address)
        lines.append("parameters {")
        lines += ["\t%s = %s" % item for item in sorted(self.parameters.items())]
        lines += ["}", self.gateways.replace(SWITCH_PORT, str(self.port))]
        return "\n".join(lines) + "\n"

    def write_configuration(self):
        with open(self.config, "w") as out:
            out.write(self.configuration())

    def start(self):
        os.makedirs(self.data, exist_ok=True)
        self.write_configuration()
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen([self.binary, "-c", self.config], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.directory)
        deadline = time.monotonic() + START_S
        while True:
            if self.process.poll() is not None:
                raise CannotStart("exit status %d: %s" % (self.process.returncode, self.log_tail(3)))
            try:
                self.call("node.info")
                break
            except (OSError, ValueError):
                if time.monotonic() > deadline:
                    self.stop()
                    raise CannotStart("no answer on %s within %d s" % (self.socket_path, START_S))
                time.sleep(0.05)
        return self

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def terminate(self, timeout=15):
        """SIGTERM; returns the exit status, or None if it had to be killed."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None

    def stop(self):
        return self.terminate()

    def wait_exit(self, timeout):
        """The exit status of a switch that is to end by itself; None if it goes on."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def wait_log(self, text, timeout=8.0, count=1):
        """Waits until this many lines of the log have the text; the latest of them."""
        deadline = time.monotonic() + timeout
        while True:
            with open(self.log_path, errors="replace") as log:
                found = [line.rstrip("\n") for line in log if text in line]
            if len(found) >= count:
                return found[-1]
            if time.monotonic() > deadline:
                raise Unmet("the log has %d lines with %s, not %d: %s" % (len(found), text, count, self.log_tail(5)))
            time.sleep(0.05)

    def log_tail(self, lines=20):
        try:
            with open(self.log_path, errors="replace") as log:
                return "\n".join(log.read().splitlines()[-lines:])
        except OSError:
            return ""

    # Control socket: JSON-RPC 2.0, one object a line

    def call(self, method, **params):
        return self.ask(method, params, 10)

    def ask(self, method, params, patience_s):
        """The same for what takes long on a busy machine."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            control.settimeout(patience_s)
            control.connect(self.socket_path)
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            control.sendall(json.dumps(request).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                piece = control.recv(1 << 20)
                if not piece:
                    raise OSError("control socket closed")
                answer += piece
        reply = json.loads(answer)
        if "error" in reply:
            raise Unmet("%s: %s" % (method, reply["error"]))
        return reply["result"]

    def stats(self):
        return self.call("stats")

    def calls(self, **filters):
        """Rows of calls.list."""
        return self.call("calls.list", limit=1000, **filters)

    def wait_stats(self, names, timeout):
        """Waits until these gauges are 0; returns those that are not."""
        deadline = time.monotonic() + timeout
        while True:
            stats = self.stats()
            wrong = {n: stats[n] for n in (names(stats) if callable(names) else names) if stats[n] != 0}
            if not wrong or time.monotonic() > deadline:
                return wrong
            time.sleep(0.2)

    # CDRs

    def rows(self, where="1", arguments=()):
        """Rows of the cdr table, in the order of their INVITEs."""
        path = os.path.join(self.data, "cdr.db")
        if not os.path.exists(path):
            return []
        database = sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=10)
        try:
            database.row_factory = sqlite3.Row
            query = "SELECT * FROM cdr WHERE %s ORDER BY start_us, cdr_id" % where
            return [dict(row) for row in database.execute(query, arguments)]
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            database.close()

    def wait_rows(self, count, where="1", arguments=(), timeout=6.0):
        """Waits for at least this many rows; returns what there is."""
        deadline = time.monotonic() + timeout
        while True:
            rows = self.rows(where, arguments)
            if len(rows) >= count or time.monotonic() > deadline:
                return rows
            time.sleep(0.1)

    # The wire

    def answers_options(self, host, timeout=2.0):
        """Whether an OPTIONS from this address gets a response."""
        agent = Agent(host, name="ping")
        try:
            agent.send(agent.request("OPTIONS", self.address), self.address)
            agent.expect("200 OPTIONS", "403 OPTIONS", timeout=timeout)
            return True
        except Unmet:
            return False
        finally:
            agent.close()


def mapping_gateway(name, addresses, **options):
    listed = ", ".join('"%s"' % a for a in addresses)
    return 'mapping_gateway "%s" {\n\taddress = {%s}\n%s}\n' % (name, listed, _options(options))


def routing_gateway(name, host, port, prefixes, **options):
    """port: one, or a list of them for a gateway with several addresses."""
    ports = port if isinstance(port, list) else [port]
    addresses = ["%s:%s" % (bracketed(host), p) for p in ports]
    return 'routing_gateway "%s" {\n\taddress = %s\n\tprefix = %s\n%s}\n' % (
        name, _value(addresses if len(addresses) > 1 else addresses[0]), _value(list(prefixes)), _options(options))


def _options(options):
    return "".join("\t%s = %s\n" % (key, _value(value)) for key, value in sorted(options.items()))


def _value(value):
    """As the configuration file has it: 5, "text", {"a", "b"}."""
    if isinstance(value, (list, tuple)):
        return "{%s}" % ", ".join(map(_value, value))
    return '"%s"' % value.replace("\\", "\\\\") if isinstance(value, str) else str(value)


def drained_gauges(stats):
    """What must be 0 when nothing is left of any call: every pool and every timer."""
    return [n for n in stats if n.startswith("pool_") and n.endswith("_used")] + ["timers_armed", "calls_active",
                                                                                  "calls_setup"]
