"""The switches that bench/compare measures: how each is started, and when it is ready."""

import os
import shutil
import socket
import subprocess
import time

import process

HERE = os.path.dirname(os.path.abspath(__file__))
HOST = "127.0.0.1"
READY_SECONDS = 20


class Unavailable(Exception):
    """It cannot be measured here; the text says why."""


class Server:
    """A running switch in a directory of its own.  Use it in a `with`: it is stopped at the end."""

    name = ""

    def __init__(self, port, callee_port, core, directory, live):
        self.port, self.callee_port, self.core, self.live = port, callee_port, core, live
        self.directory = directory
        self.process = None

    def command(self):
        raise NotImplementedError

    def __enter__(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        command = self.command()
        with open(os.path.join(self.directory, "log"), "w") as log:
            self.process = process.start(command, self.core, log)
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error):
        self.stop()

    def stop(self):
        process.stop(self.process)

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def last_line(self):
        with open(os.path.join(self.directory, "log"), errors="replace") as file:
            lines = file.read().strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def wait_ready(self):
        """Until it answers an OPTIONS, whatever it answers."""
        options = ("OPTIONS sip:%s:%d SIP/2.0\r\nVia: SIP/2.0/UDP %s:%d;branch=z9hG4bK%x;rport\r\nMax-Forwards: 70\r\n"
                   "From: <sip:bench@%s>;tag=1\r\nTo: <sip:bench@%s>\r\nCall-ID: %x\r\nCSeq: 1 OPTIONS\r\n"
                   "Content-Length: 0\r\n\r\n")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.bind((HOST, 0))
            end.settimeout(0.2)
            mine = end.getsockname()[1]
            until = time.monotonic() + READY_SECONDS
            while time.monotonic() < until:
                if self.process.poll() is not None:
                    raise Unavailable("%s has ended: %s" % (self.name, self.last_line()))
                moment = time.monotonic_ns()
                end.sendto((options % (HOST, self.port, HOST, mine, moment, HOST, HOST, moment)).encode(),
                           (HOST, self.port))
                try:
                    end.recv(4096)
                    return
                except (socket.timeout, ConnectionRefusedError):
                    pass
        raise Unavailable("%s does not answer: %s" % (self.name, self.last_line()))

    def cpu_seconds(self):
        return process.cpu_seconds(self.process.pid)

    def pss_bytes(self):
        return process.pss_bytes(self.process.pid)


class Ringwheel(Server):
    """One worker; CDRs into SQLite, default parameters: session timers of 600 s on both legs."""

    name = "ringwheel"
    binary = ""

    def command(self):
        config = self.write("ringwheel.conf", """node = "bench"
data_dir = "data"
workers = 1
max_calls = %d
listen "main" { address = "%s" port = %d }
mapping_gateway "caller" { address = {"127.0.0.0/8"} }
routing_gateway "callee" { address = "%s:%d" }
""" % (max(self.live + self.live // 10, 100000), HOST, self.port, HOST, self.callee_port))
        return [self.binary, "-c", config]


class Kamailio(Server):
    """bench/kamailio/kamailio.cfg: a stateful proxy with dialog, sst and acc, one UDP process, allocator fm."""

    name = "kamailio"

    def command(self):
        binary = shutil.which("kamailio") or "/usr/sbin/kamailio"
        if not os.path.exists(binary):
            raise Unavailable("kamailio is not installed: tools/install bench")
        with open(os.path.join(HERE, "kamailio", "kamailio.cfg")) as file:
            text = file.read()
        config = self.write("kamailio.cfg", text.replace("@PORT@", str(self.port)).replace(
            "@CALLEE@", "%s:%d" % (HOST, self.callee_port)))
        shared_mib = max(512, self.live * 32 // 1024)  # touched as it is needed
        return [binary, "-x", "fm", "-DD", "-E", "-m", str(shared_mib), "-M", "64", "-f", config, "-Y", self.directory,
                "-P", os.path.join(self.directory, "pid")]


def version(name):
    """For the report; "" if it cannot be told."""
    commands = {"ringwheel": [Ringwheel.binary, "-V"], "kamailio": [shutil.which("kamailio") or "/usr/sbin/kamailio", "-v"]}
    try:
        return subprocess.run(commands[name], capture_output=True, text=True).stdout.splitlines()[0].strip()
    except (KeyError, OSError, IndexError):
        return ""
