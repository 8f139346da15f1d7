"""What a running program takes: CPU time and memory of a process and all that it started, from /proc."""

import os
import signal
import subprocess
import time


def family(pid):
    """A process and its descendants.  Those that end meanwhile are left out."""
    found, new = [], [pid]
    while new:
        found += new
        children = []
        for parent in new:
            try:
                for task in os.listdir("/proc/%d/task" % parent):
                    with open("/proc/%d/task/%s/children" % (parent, task)) as file:
                        children += [int(child) for child in file.read().split()]
            except OSError:
                pass
        new = children
    return found


def cpu_seconds(pid):
    """User and system time of all threads of all of them so far: the kernel's own threads for io_uring count, what it
    does in interrupts does not.  A thread that has ended is not counted any more."""
    total = 0
    for member in family(pid):
        try:
            for task in os.listdir("/proc/%d/task" % member):
                with open("/proc/%d/task/%s/schedstat" % (member, task)) as file:
                    total += int(file.read().split()[0])
        except OSError:
            pass
    return total / 1e9


def pss_bytes(pid):
    """Memory of all of them; a page that n processes share counts 1/n in each."""
    total = 0
    for member in family(pid):
        try:
            with open("/proc/%d/smaps_rollup" % member) as file:
                for line in file:
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
        except OSError:
            pass
    return total


def start(command, core, log, directory=None):
    """On one core; output goes to the open file `log`.  Ends with this program, however it ends."""
    return subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(core)] + command,
                            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=directory,
                            start_new_session=True)


def stop(process, seconds=20):
    """Asks it to end, and insists after a while: of its own session, so that nothing it started is left."""
    members = family(process.pid)
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    until = time.monotonic() + seconds
    while any(os.path.exists("/proc/%d" % member) for member in members) and time.monotonic() < until:
        time.sleep(0.05)


def machine():
    """One line: without it no figure says anything."""
    model = "unknown processor"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2 ** 30
    return "%s, %d cores, %.1f GiB; %s %s; load %.2f %.2f %.2f" % (
        (model, os.cpu_count(), memory, os.uname().sysname, os.uname().release) + os.getloadavg())
