"""Real PostgreSQL and Redis servers for the tests: on free ports of 127.0.0.1, in temporary folders, ended by their process id.

Nothing that is installed as a service is used. As a program this file runs another one beside a PostgreSQL of its own:

    python tests/peers/databases.py COMMAND [ARGUMENT …]

COMMAND finds the server in PEERS_POSTGRES, and every Server of the harness then gets a fresh database on it. For
conformance/against-countersign one empty database is named in CONFORMANCE_DATABASE_URL, with a master key beside it.
"""

import base64
import contextlib
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from urllib.parse import quote

from harness import POSTGRES_VARIABLE, clean_environment, eventually, free_port

START_SECONDS = 60
# The role that Countersign uses: it owns its databases and may nothing else.
ROLE, PASSWORD = "countersign", "a password: with/signs@"
MASTER_KEY = base64.b64encode(bytes(range(32))).decode()


def new_master_key():
    """One that no other server of the tests has."""
    return base64.b64encode(os.urandom(32)).decode()


class NotInstalled(Exception):
    """The program is not on this machine."""


class Process:
    """A server process with a log, ended by its process id."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.log = self.folder / "log"
        self.process = None

    def run(self, command, ready, **more):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, **more
            )
        if not eventually(lambda: self.process.poll() is not None or ready(), START_SECONDS) or self.has_ended():
            self.end(signal.SIGKILL)
            raise RuntimeError(f"{command[0]} did not start:\n{self.log.read_text()[-3000:]}")

    def has_ended(self):
        return self.process is None or self.process.poll() is not None

    def send(self, what):
        self.process.send_signal(what)

    def end(self, how):
        """Send a signal and wait for the end."""
        if not self.has_ended():
            self.process.send_signal(how)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Postgres(Process):
    """A PostgreSQL cluster: its superuser `postgres` is trusted, the role that Countersign uses gives a password.

    `certificate`: a pair of PEM files (chain, key); then connections without TLS are refused. `settings`: of postgresql.conf.
    """

    def __init__(self, folder, certificate=None, settings=None):
        super().__init__(folder)
        self.programs = program("postgres").parent
        self.port = free_port()
        self.settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            # Tests end the server, never the machine.
            "fsync": "off",
            "shared_buffers": "32MB",
        } | (settings or {})
        self.account = []
        if os.getuid() == 0:
            # It refuses to run as root; `setpriv` becomes the program, so the pid is the program's.
            self.account = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            for parent in (self.folder, *self.folder.parents):
                if parent != pathlib.Path(parent.anchor) and parent.stat().st_uid == 0:
                    parent.chmod(parent.stat().st_mode | 0o711)
            shutil.chown(self.folder, "postgres")
        initdb = [self.programs / "initdb", "--no-sync", "-D", self.data, "-U", "postgres", "--auth=trust"]
        self.carry_out([*initdb, "--encoding=UTF8", "--locale=C"])
        kind = "host"
        if certificate:
            kind = "hostssl"
            names = ("server.crt", "server.key")
            for name, file in zip(names, certificate, strict=True):
                shutil.copy(file, self.data / name)
                (self.data / name).chmod(0o600)
                if self.account:
                    shutil.chown(self.data / name, "postgres")
            self.settings["ssl"] = "on"
        lines = ["host all postgres 127.0.0.1/32 trust", f"{kind} all {ROLE} 127.0.0.1/32 scram-sha-256"]
        (self.data / "pg_hba.conf").write_text("\n".join(lines) + "\n")
        self.start()
        self.sql(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")

    @property
    def data(self):
        return self.folder / "data"

    def carry_out(self, command, **more):
        done = subprocess.run(
            [*self.account, *command], capture_output=True, text=True, cwd=self.folder,
            env=clean_environment(LC_ALL="C"), **more,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stderr}")
        return done.stdout

    def start(self):
        options = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        isready = [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "1"]
        self.run(
            [*self.account, self.programs / "postgres", "-D", self.data, *options],
            lambda: subprocess.run(isready).returncode == 0,
        )

    def stop(self):
        """As `pg_ctl stop -m fast`."""
        self.end(signal.SIGINT)

    def crash(self):
        """At once, without a checkpoint: recovery at the next start."""
        self.end(signal.SIGQUIT)

    def sql(self, text, database="postgres"):
        """Run SQL as the superuser; the rows as text, without decoration."""
        url = f"postgres://postgres@127.0.0.1:{self.port}/{database}"
        return self.carry_out([self.programs / "psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", url], input=text)

    @property
    def place(self):
        """Where it is, for `new_database` in other processes."""
        return f"127.0.0.1:{self.port}"

    def new_database(self):
        return new_database(self.place)


def program(name):
    """The newest of PostgreSQL's programs with this name."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not found:
        raise NotInstalled("PostgreSQL is not installed")
    return found[-1]


def dump(url):
    """What a database holds: as it is dumped, and its binary columns as they are."""
    text = subprocess.run([program("pg_dump"), "--data-only", url], check=True, capture_output=True).stdout
    return [text, *(bytes.fromhex(found.decode()) for found in re.findall(rb"\\\\x((?:[0-9a-f]{2})+)", text))]


def new_database(place):
    """An empty database on the server at `place` (host:port), owned by the role; its URL."""
    name = f"test_{random.SystemRandom().randrange(16**10):010x}"
    maintenance = f"postgres://postgres@{place}/postgres"
    subprocess.run(
        [program("psql"), "-qX", "-d", maintenance, "-c", f"CREATE DATABASE {name} OWNER {ROLE}"], check=True, capture_output=True
    )
    return database_url(place, name)


def database_url(place, name, password=PASSWORD, options=""):
    return f"postgres://{ROLE}:{quote(password, safe='')}@{place}/{name}{options}"


class Redis(Process):
    """Redis with its append-only file synced every second."""

    def __init__(self, folder):
        super().__init__(folder)
        if not shutil.which("redis-server"):
            raise NotInstalled("Redis is not installed")
        self.port = free_port()
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        self.run([*command, "--appendonly", "yes", "--save", ""], lambda: self.answers() == b"+PONG\r\n")

    def answers(self, command=b"PING\r\n"):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(command)
                return connection.recv(4096)
        except OSError:
            return b""

    def stop(self):
        self.end(signal.SIGTERM)

    def crash(self):
        self.end(signal.SIGKILL)


def main():
    if len(sys.argv) < 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="countersign-postgres-", ignore_cleanup_errors=True))
        postgres = Postgres(folder, settings={"max_connections": 400})
        stack.callback(postgres.stop)
        more = {
            POSTGRES_VARIABLE: postgres.place,
            "CONFORMANCE_DATABASE_URL": postgres.new_database(),
            "COUNTERSIGN_MASTER_KEY": MASTER_KEY,
        }
        return subprocess.run(sys.argv[1:], env=os.environ | more).returncode


if __name__ == "__main__":
    sys.exit(main())
