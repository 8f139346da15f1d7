"""A PostgreSQL cluster of its own for a test: in a temporary directory, as user postgres when run by root."""
import glob
import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
import time

PASSWORD = "s:e/c@r%t"
ENCODED = "s%3Ae%2Fc%40r%25t"


def need(holds, *words):
    if not holds:
        raise AssertionError(" ".join(map(str, words)))


def wait_for(holds, what, seconds=30):
    by = time.monotonic() + seconds
    while not holds():
        need(time.monotonic() < by, "waited in vain for", what)
        time.sleep(0.02)


def free_port():
    for port in random.sample(range(19000, 20000), 1000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no port is free")


class Cluster:
    def __init__(self):
        directories = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        need(directories, "PostgreSQL is not installed: tools/install test")
        self.bin = directories[-1]
        self.directory = tempfile.mkdtemp(prefix="ringwheel-postgresql-")
        self.data = os.path.join(self.directory, "data")
        self.user = {}
        if os.getuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
            self.user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        self.port = free_port()
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        with open(os.path.join(self.data, "postgresql.conf"), "a") as settings:
            settings.write("port = %d\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '%s'\n"
                           "max_wal_size = 4GB\n" % (self.port, self.directory))
        with open(os.path.join(self.data, "pg_hba.conf"), "w") as rules:
            rules.write("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        self.start()
        self.sql("CREATE ROLE switch LOGIN PASSWORD '%s'" % PASSWORD, "postgres")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.stop("immediate")
        except AssertionError:
            pass
        shutil.rmtree(self.directory)

    def run(self, program, *words, check=True):
        done = subprocess.run([os.path.join(self.bin, program), *words], cwd="/", stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **self.user)
        need(not check or done.returncode == 0, program, done.stdout)
        return done.stdout

    def start(self):
        log = os.path.join(self.directory, "log")
        self.run("pg_ctl", "start", "-w", "-D", self.data, "-l", log, "-s")

    def stop(self, mode):
        self.run("pg_ctl", "stop", "-w", "-D", self.data, "-m", mode, "-s")

    def sql(self, statement, database):
        return self.run("psql", "-h", self.directory, "-p", str(self.port), "-U", "postgres", "-d", database, "-AtqX",
                        "-v", "ON_ERROR_STOP=1", "-c", statement).strip()

    def uri(self, database, password=ENCODED):
        return "postgresql://switch:%s@127.0.0.1:%d/%s" % (password, self.port, database)
