"""A running Countersign and the people and apps in it, for the tests of this folder.

The server is the built binary, started as an operator would start it: a free port on 127.0.0.1, a SQLite file in a
temporary folder (or a fresh database of the PostgreSQL that PEERS_POSTGRES names, see databases.py), seeded by the command
line. Nothing here reaches into the server; it knows the binary, HTTP and signals. A server is ended by its process id, and
a panic in its log fails the test that stops it.
"""

import itertools
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
START_SECONDS = 60
STOP_SECONDS = 30
COMMAND_SECONDS = 60
POSTGRES_VARIABLE = "PEERS_POSTGRES"


def binary():
    """The binary under test: PEERS_BINARY, else the dev build in the target folder."""
    named = os.environ.get("PEERS_BINARY")
    if named:
        return pathlib.Path(named).resolve()
    target = os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")
    return pathlib.Path(target) / "debug" / "countersign"


def clean_environment(**more):
    """The caller's environment without settings of ours, so that a developer's own never leak into a test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}
    return kept | more


def eventually(question, seconds=20.0):
    """Ask until the answer is true and return it; the last answer when the time is over.

    For what the contract allows to take a moment: a change by the command line, a server that starts.
    """
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer or time.monotonic() > end:
            return answer
        time.sleep(0.02)


def at_once(actions):
    """Run all actions in threads that start together; their results in the order of the actions."""
    start = threading.Barrier(len(actions))
    results = [None] * len(actions)

    def run(place, action):
        start.wait()
        results[place] = action()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# Bound and never listened on: whoever asks for a free port is refused these, and the server meant for it is not.
held_ports = []


def free_port(host="127.0.0.1"):
    """A port that nobody listens on, below the range that the system hands to outgoing connections.

    It is held until this process ends: no other test is given it, also while its server restarts. The server has to set
    SO_REUSEADDR, as all of them do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(200):
        port = random.SystemRandom().randrange(20000, 32000)
        held = socket.socket(family)
        try:
            held.bind((host, port))
        except OSError:
            held.close()
            continue
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held_ports.append(held)
        return port
    raise RuntimeError("no free port found")


@dataclass
class Account:
    id: str
    username: str
    password: str | None
    company: str | None = None


@dataclass
class Client:
    key: str
    secret: str
    owner: Account
    callback: str
    rsa_private_key: pathlib.Path | None = None


@dataclass
class Key:
    public: str
    private: str
    owner: Account


@dataclass
class Token:
    token: str
    secret: str
    client: Client
    fields: dict = field(default_factory=dict)


class CommandFailed(Exception):
    """A command ended with another code than 0; carries the code and what it said."""

    def __init__(self, arguments, code, said):
        super().__init__(f"countersign {' '.join(arguments)}: exit {code}: {said}")
        self.code = code
        self.said = said


class Server:
    """One server process with a folder of its own. `config` is TOML text, `environment` further variables.

    `database`: another URL than that of a SQLite file in the folder. `launcher`: words before the command, as `taskset`.
    `health`: where the probe is, if the configuration moves it.
    """

    def __init__(
        self, folder, config="", environment=None, host="127.0.0.1", public_url=None, database=None, launcher=(),
        health="/health/ready",
    ):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.host = host
        self.port = free_port(host)
        self.public_url = public_url
        self.config = self.folder / "countersign.toml"
        self.config.write_text(config)
        self.environment = dict(environment or {})
        self.database = database or self.own_database()
        self.launcher = list(launcher)
        self.health = health
        self.log = self.folder / "server.log"
        self.process = None
        self.numbers = itertools.count(1)

    def own_database(self):
        """A database that nobody else has, ready to be served."""
        place = os.environ.get(POSTGRES_VARIABLE)
        if not place:
            return f"sqlite://{self.folder}/x.db"
        import databases  # noqa: PLC0415 - it imports this file

        self.environment.setdefault("COUNTERSIGN_MASTER_KEY", databases.new_master_key())
        self.database = databases.new_database(place)
        self.command("migrate")
        return self.database

    # --- the process ---

    @property
    def authority(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def base(self):
        return f"http://{self.authority}"

    def start(self, stderr=None):
        """Start and wait until /health/ready says 200, as an operator's probe would. `stderr`: where both outputs go, if not into the log file."""
        command = [*self.launcher, str(binary()), "serve", "--listen", self.authority, "--config", str(self.config)]
        command += ["--database-url", self.database]
        if self.public_url:
            command += ["--public-url", self.public_url]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log if stderr is None else stderr,
                stderr=log if stderr is None else stderr,
                cwd=self.folder,
                env=clean_environment(RUST_BACKTRACE="1", **self.environment),
            )
        ready = eventually(lambda: self.process.poll() is not None or self.is_ready(), START_SECONDS)
        if not ready or self.process.poll() is not None:
            self.kill()
            raise RuntimeError(f"the server did not start:\n{self.log_text()[-4000:]}")
        return self

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"{self.base}{self.health}", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def terminate(self):
        """SIGTERM, and wait for the end."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def kill(self):
        """SIGKILL, and wait for the end."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)

    def at_rest(self):
        """All that the database keeps, as bytes: the files of SQLite, or what a dump of PostgreSQL says."""
        if self.database.startswith("sqlite:"):
            return [path.read_bytes() for path in self.folder.glob("x.db*")]
        import databases  # noqa: PLC0415 - it imports this file

        return databases.dump(self.database)

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def stop(self):
        """End the server and refuse to pass over a panic in its log."""
        self.terminate()
        assert "panicked" not in self.log_text(), f"the server panicked:\n{self.log_text()[-4000:]}"

    # --- the command line ---

    def command(self, *arguments, stdin=None):
        """Run a command on this server's database; its standard output, or CommandFailed."""
        line = [*arguments, "--config", str(self.config), "--database-url", self.database]
        done = subprocess.run(
            [str(binary()), *line],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=clean_environment(**self.environment),
            timeout=COMMAND_SECONDS,
        )
        if done.returncode != 0:
            raise CommandFailed(line, done.returncode, done.stderr)
        return done.stdout

    def json(self, *arguments, stdin=None):
        return json.loads(self.command(*arguments, "--format", "json", stdin=stdin))

    def account(self, username=None, password=None, company=None, scopes=(), api_only=False, role=None):
        """A new account. Without a username it gets a fresh one; without a password a good one."""
        number = next(self.numbers)
        username = username or f"person{number}@example.com"
        line = ["account", "create", "--username", username]
        if api_only:
            password = None
            line.append("--api-only")
        else:
            password = password or f"correct horse {number}"
            line.append("--password-stdin")
        if company:
            line += ["--company", company]
        if role:
            line += ["--role", role]
        for scope in scopes:
            line += ["--scope", scope]
        made = self.json(*line, stdin=password)
        return Account(made["id"], username, password, company)

    def client(self, owner, callback=None, scopes=(), rsa=None, methods=(), more=()):
        """A new client. `rsa` is a pair of paths: the public key to register, the private key to sign with.

        A client whose callback is `oob` is registered without one, which is what the contract asks for.
        """
        callback = callback or "http://127.0.0.1/callback"
        line = ["client", "create", "--owner", owner.username, "--name", f"App {next(self.numbers)}"]
        if callback != "oob":
            line += ["--callback", callback]
        for scope in scopes:
            line += ["--scope", scope]
        for method in methods:
            line += ["--signature-method", method]
        if rsa:
            line += ["--rsa-public-key", str(rsa.public)]
        made = self.json(*line, *more)
        return Client(
            made["client_key"], made["client_secret"], owner, callback, rsa.private if rsa else None
        )

    def key(self, owner, scopes=(), more=()):
        line = ["key", "create", "--account", owner.username, "--name", f"Key {next(self.numbers)}"]
        for scope in scopes:
            line += ["--scope", scope]
        made = self.json(*line, *more)
        return Key(made["public_key"], made["private_key"], owner)
