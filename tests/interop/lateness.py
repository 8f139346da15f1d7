"""How late the switch may be where a scenario looks at the clock: on 2 shared cores a thread waits its turn, and
instrumented by a sanitizer each turn takes several times as long.

A whole machine may stand still, too, or one of its cores, whose worker is late then however it is written.  So a process
on each core goes to sleep over and over, and notes when it was woken late:

    lateness.py CPU FILE        until its parent has gone; a line each, of two moments (time.time())

And with twenty scenarios at a time a thread of the switch may be the last of many to have its core: the kernel counts
for each how long it waited."""

import collections
import glob
import os
import subprocess
import sys
import threading
import time

allowed_s = 0.05
instrumented = False

INSTRUMENTED_S = 0.25
MARKS = (b"__asan_init", b"__tsan_init")
TICK_S = 0.005

here = threading.local()  # .test: what this thread runs

_files = []


def set_for(binary):
    """Whether it is instrumented."""
    global allowed_s, instrumented
    with open(binary, "rb") as file:
        text = file.read()
    instrumented = any(mark in text for mark in MARKS)
    if instrumented:
        allowed_s = INSTRUMENTED_S
    return instrumented


def watch(directory):
    """Begins to watch the cores; the processes, for the caller to end."""
    processes = []
    for cpu in os.sched_getaffinity(0):
        _files.append(os.path.join(directory, "core-%d" % cpu))
        processes.append(subprocess.Popen([sys.executable, os.path.abspath(__file__), str(cpu), _files[-1]]))
    return processes


def end(processes):
    for process in processes:
        process.terminate()
        process.wait()


def of_machine_s(from_s, to_s):
    """The longest that one of its cores stood still between these moments of time.time()."""
    longest = 0.0
    for name in _files:
        try:
            with open(name) as file:
                intervals = [line.split() for line in file if line.endswith("\n")]
        except FileNotFoundError:
            continue
        longest = max([longest, *(float(woken) - float(wanted) for wanted, woken in intervals
                                  if float(wanted) <= to_s and float(woken) >= from_s)])
    return longest


def waited_s(process):
    """What Linux counts for each thread: how long it waited in the run queue."""
    waited = {}
    for path in glob.glob("/proc/%d/task/*/schedstat" % process.pid) if process else ():
        try:
            with open(path) as file:
                waited[path] = int(file.read().split()[1]) / 1e9
        except (OSError, IndexError):
            pass  # it has just ended
    return waited


def _of_this_test():
    switch = getattr(getattr(here, "test", None), "switch", None)
    return waited_s(switch.process if switch else None)


class Waits:
    """How long the threads of this test's switch have waited for a core lately."""

    EVERY_S, KEPT = 0.1, 4

    def __init__(self):
        self.samples = collections.deque(maxlen=self.KEPT)
        self.next_s = 0.0

    def look(self):
        """Often, in a loop."""
        if time.monotonic() >= self.next_s:
            self.samples.append(_of_this_test())
            self.next_s = time.monotonic() + self.EVERY_S

    def longest_s(self):
        """By any of them in the last 0.3 s or so."""
        now, before = _of_this_test(), self.samples[0] if self.samples else {}
        return max((s - before.get(task, 0.0) for task, s in now.items()), default=0.0)


def allowed(from_s, to_s):
    """How late what was due at the one may be at the other."""
    return allowed_s if to_s - from_s <= allowed_s else allowed_s + of_machine_s(from_s, to_s)


def main(cpu, name):
    parent = os.getppid()
    os.sched_setaffinity(0, [cpu])
    with open(name, "w", buffering=1) as out:
        while os.getppid() == parent:
            wanted = time.time() + TICK_S
            time.sleep(TICK_S)
            woken = time.time()
            if woken - wanted > TICK_S:
                out.write("%.6f %.6f\n" % (wanted, woken))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
