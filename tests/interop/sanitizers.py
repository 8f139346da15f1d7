"""Runs under the sanitizers: which build, with which options, and what they have reported.

A report ends the process that it is about, so most make a scenario fail as well; here they are counted by themselves,
also those of rwctl and of switches whose end nobody looks at.  Nothing is suppressed: there is no known false positive.
"""

import glob
import os
import subprocess

BUILDS = {"address": ("build-asan", "address,undefined"), "thread": ("build-tsan", "thread")}
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
    "LSAN_OPTIONS": "",
}
LINES = 60  # of a report


def build(root, name):
    """The build directory of this sanitizer, up to date."""
    directory, option = BUILDS[name]
    path = os.path.join(root, directory)
    if not os.path.exists(os.path.join(path, "build.ninja")):
        subprocess.run(["meson", "setup", path, "-Db_sanitize=" + option], cwd=root, check=True,
                       env=dict(os.environ, CC="gcc"), stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", path, "ringwheel", "rwctl", "tests/interop/nua_agent"], check=True,
                   stdout=subprocess.DEVNULL)
    return path


def report_to(directory):
    """Reports of all processes that are started from now on go into files there.  What the environment says stands."""
    for name, value in OPTIONS.items():
        parts = [value, os.environ.get(name, ""), "log_path=" + os.path.join(directory, "sanitizer")]
        os.environ[name] = ":".join(p for p in parts if p)


def reports(directory):
    """[(title, lines)]"""
    found = []
    for path in sorted(glob.glob(os.path.join(directory, "sanitizer.*"))):
        with open(path, errors="replace") as text:
            lines = text.read().splitlines()
        title = next((line for line in lines if "ERROR" in line or "WARNING" in line or "runtime error" in line), path)
        found.append((title, lines[:LINES]))
    return found
