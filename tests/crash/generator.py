"""The load generator: a process that is told what to do a line at a time (load.c)."""

import csv
import os
import subprocess


class Generator:
    def __init__(self, options, node, **more):
        self.truth_path = os.path.join(options.directory, "truth.tsv")
        arguments = {"node": "%s:%d" % node.address, "callers": node.peers[0], "callees": node.peers[1],
                     "truth": self.truth_path, "rate": options.rate, "hold": options.hold, "t1": options.t1,
                     "expires": options.expires, "seed": options.seed}
        arguments.update(more)
        command = [options.generator]
        for name, value in arguments.items():
            command += ["--" + name] if value is True else ["--" + name, str(value)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("the load generator did not start: %s" % " ".join(command))

    def tell(self, line):
        """The words of its answer, without the first."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if not answer:
            raise RuntimeError("the load generator has ended: exit status %s" % self.process.wait())
        return answer[1:]

    def count(self):
        """Calls placed, over for both peers, up."""
        return tuple(map(int, self.tell("count")))

    def finish(self):
        """Ends it; its truth, a dict for each call by Call-ID."""
        self.process.stdin.write("end\n")
        self.process.stdin.flush()
        if self.process.wait(60):
            raise RuntimeError("the load generator failed")
        with open(self.truth_path) as lines:
            return {row["call_id"]: _typed(row) for row in csv.DictReader(lines, delimiter="\t")}

    def discard(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _typed(row):
    for name, value in row.items():
        if name.endswith("_byes"):
            # Each: not sent yet at, sent by.
            row[name] = [tuple(map(int, times.split(":"))) for times in value.split(",") if times]
        elif name.endswith("_flags"):
            row[name] = value.split()
        elif name != "call_id":
            row[name] = int(value)
    return row
