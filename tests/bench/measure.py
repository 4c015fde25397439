"""Measures Countersign against an actix-web hello world in the same interleaved rounds, and writes docs/PERFORMANCE.md.

A round measures every case once; hello world at the same connections and workers is measured before every few cases, and
a case's ratio is to the last one before it. The figures written are medians over the rounds. Servers are pinned to one core and the
generator to another. Nothing but 127.0.0.1 is a target, and every loop is bounded in count and time.
"""

import argparse
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent / "peers"), str(HERE)]

import gateway  # noqa: E402
import report  # noqa: E402
from browser import Browser  # noqa: E402
from conftest import rsa_pair  # noqa: E402
from dance import dance  # noqa: E402
from harness import Server, clean_environment, eventually, free_port  # noqa: E402

GENERATOR = os.environ.get("PEERS_BENCH", "countersign-bench")
WARMUP = 0.5
CONNECTIONS = (64, 256, 1024)
DELAY = 2000
# After so many cases hello world is measured again.
OFTEN = 3
# Guesses a second in the flood; a core checks about 50 passwords a second.
FLOOD = 200
# Longer than a server keeps the memory in which it checks passwords.
REST = 8
HMAC = "oauth1-hmac-sha1"


@dataclass
class Case:
    """One thing to measure. `base` names the hello world that it is compared with."""

    name: str
    target: str
    credential: str = "hello"
    connections: int = 256
    workers: int = 1
    expected_rate: float = 110_000
    flood: bool = False
    # Cases of one pair are held against each other, and their latency is measured at the same rate.
    pair: str = ""
    results: list = field(default_factory=list)
    ratios: list = field(default_factory=list)
    cpu_ratios: list = field(default_factory=list)
    tail: dict | None = None

    @property
    def base(self):
        return self.connections, self.workers


def cores():
    """The server's and the generator's cores: (for one worker, for two, the generator's)."""
    available = sorted(os.sched_getaffinity(0))
    first, last = available[0], available[-1]
    two = f"{first},{available[1]}" if len(available) > 2 else str(first)
    return str(first), two, str(last)


ONE, TWO, OTHER = cores()


def pinned(core):
    return ("taskset", "-c", core)


class Process:
    """A helper process, ended by its process id."""

    def __init__(self, command, ready, log, environment=None, stdin=None, **more):
        self.log = open(log, "ab")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            env=environment or clean_environment(),
            **more,
        )
        if stdin:
            self.process.stdin.write(stdin.encode())
            self.process.stdin.close()
        if not eventually(ready, 30) or self.process.poll() is not None:
            self.stop()
            raise RuntimeError(f"{command[:6]} did not start: {pathlib.Path(log).read_text()[-2000:]}")

    @property
    def pid(self):
        return self.process.pid

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


def answers(url, statuses=(200,)):
    """A question for `eventually`: does this URL answer with one of these statuses?"""

    def ask():
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status in statuses
        except urllib.error.HTTPError as refused:
            return refused.code in statuses
        except OSError:
            return False

    return ask


class Target:
    """A running server: where it is, whose CPU time counts, and what each credential sends."""

    def __init__(self, port, pids, credentials):
        self.port, self.pids, self.credentials = port, pids, credentials


def bearer_token(server, basic):
    request = urllib.request.Request(f"{server.base}/api/auth/jwt", method="POST", headers={"Authorization": basic})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["token"]


def credentials_of(server, rsa):
    """An account with every kind of credential on a Countersign server, as the generator wants them."""
    owner = server.account("owner@example.com", "an unlikely password", scopes=["account:read"])
    client = server.client(owner, rsa=rsa, scopes=["account:read"])
    key = server.key(owner)
    token = dance(server, client, Browser(owner))
    basic = lambda name, secret: "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()  # noqa: E731
    jwt = bearer_token(server, basic(key.public, key.private))
    oauth = {
        "kind": "oauth1",
        "consumer_key": client.key,
        "consumer_secret": client.secret,
        "token": token.token,
        "token_secret": token.secret,
    }
    fixed = lambda *headers: {"kind": "fixed", "headers": [list(pair) for pair in headers]}  # noqa: E731
    app = ("X-Client-Key", client.key)
    return {
        HMAC: oauth | {"method": "HMAC-SHA1"},
        "oauth1-hmac-sha256": oauth | {"method": "HMAC-SHA256"},
        "oauth1-rsa-sha1": oauth | {"method": "RSA-SHA1", "rsa_private_key": rsa.private.read_text()},
        "api-key": fixed(("Authorization", basic(key.public, key.private))),
        "password": fixed(("Authorization", basic(owner.username, owner.password)), app),
        "jwt": fixed(("Authorization", f"Bearer {jwt}")),
        "guesses": {"kind": "guesses", "headers": [list(app)]},
        "digest": {
            "kind": "digest",
            "username": owner.username,
            "password": owner.password,
            "algorithm": "SHA-256",
            "headers": [list(app)],
        },
    }


class Laboratory:
    """Starts what the cases need when they first need it, and ends all of it."""

    def __init__(self, folder, stack):
        self.folder, self.stack = folder, stack
        self.rsa = rsa_pair(folder)
        self.targets, self.failures = {}, {}
        self.started_mib = None
        self.body = None

    def target(self, name):
        if name in self.failures:
            raise self.failures[name]
        if name not in self.targets:
            print(f"  starting {name}", flush=True)
            try:
                self.targets[name] = self.start(name)
            except Exception as error:
                self.failures[name] = error
                raise
        return self.targets[name]

    def start(self, name):
        kind, _, detail = name.partition(":")
        if kind == "hello":
            return self.hello(int(detail))
        if kind == "countersign":
            return self.countersign(detail)
        if kind == "front":
            return self.in_front(detail)
        if kind == "gunicorn":
            return self.gunicorn(detail)
        return getattr(self, kind)()

    def keep(self, process):
        self.stack.callback(process.stop)
        return process

    def place(self, name):
        folder = self.folder / name
        folder.mkdir()
        return folder

    def hello(self, workers):
        port = free_port()
        command = [*pinned(ONE if workers == 1 else TWO), GENERATOR, "hello", f"127.0.0.1:{port}", str(workers)]
        log = self.folder / f"hello{workers}.log"
        process = self.keep(Process(command, answers(f"http://127.0.0.1:{port}/v2/me"), log, stdin=self.answer()))
        return Target(port, [process.pid], {"hello": {"kind": "fixed", "headers": []}})

    def answer(self):
        """The JSON that Countersign answers here, so that hello world sends as much."""
        if self.body is None:
            target = self.target("countersign:sqlite-power")  # its failure is the whole run's
            headers = dict(target.credentials["api-key"]["headers"])
            request = urllib.request.Request(f"http://127.0.0.1:{target.port}/v2/me", headers=headers)
            with urllib.request.urlopen(request, timeout=30) as answer:
                self.body = answer.read().decode()
        return self.body

    def countersign(self, detail):
        """`detail`: the store, then what differs from the default, joined by `+`."""
        store, *more = detail.split("+")
        workers = 2 if "2-workers" in more else 1
        environment, pids, database = {}, [], None
        config = f"[server]\nworkers = {workers}\n[throttle]\nfailures = 100000\n"
        if store == "sqlite-process":
            environment["COUNTERSIGN_REPLAY__DURABILITY"] = "process"
        if "delay" in more:
            environment["COUNTERSIGN_REPLAY__COMMIT_DELAY_MICROSECONDS"] = str(DELAY)
        if store == "postgres":
            port, process = self.postgres()
            database = f"postgres://postgres@127.0.0.1:{port}/postgres"
            environment["COUNTERSIGN_MASTER_KEY"] = base64.b64encode(bytes(range(32))).decode()
            pids.append(process.pid)
        if store == "redis":
            port, process = self.redis()
            environment["COUNTERSIGN_REDIS_URL"] = f"redis://127.0.0.1:{port}"
            pids.append(process.pid)
        place = self.place(f"countersign-{detail}")
        core = ONE if workers == 1 else TWO
        server = Server(place, config, environment, database=database, launcher=pinned(core))
        if store == "postgres":
            server.command("migrate")
        server.start()
        self.stack.callback(server.stop)
        self.started_mib = self.started_mib or resident(server.process.pid)
        credentials = credentials_of(server, self.rsa)
        return Target(server.port, [server.process.pid, *pids], credentials)

    def postgres(self):
        """PostgreSQL as Debian ships it, with its own defaults, which are durable; on the server's core."""
        programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if not programs:
            raise RuntimeError("PostgreSQL is not installed")
        folder, port = self.place("postgres"), free_port()
        account = []
        if os.getuid() == 0:
            account = ["runuser", "-u", "postgres", "--"]
            for parent in (folder, *folder.parents):
                if parent.owner() == "root" and parent.is_relative_to(self.folder):
                    parent.chmod(0o755)
            shutil.chown(folder, "postgres")
        programs = programs[-1].parent
        subprocess.run(
            [*account, programs / "initdb", "-D", folder / "data", "-U", "postgres", "--auth=trust"],
            check=True,
            capture_output=True,
            cwd="/",
        )
        settings = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": folder, "max_connections": 50}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [*pinned(ONE), *account, programs / "postgres", "-D", folder / "data", *options]
        ready = lambda: subprocess.run(  # noqa: E731
            [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        ).returncode == 0
        return port, self.keep(Process(command, ready, self.folder / "postgres.log", cwd="/"))

    def redis(self):
        """Redis with its append-only file synced every second; on the server's core."""
        program, port, folder = shutil.which("redis-server"), free_port(), self.place("redis")
        if not program:
            raise RuntimeError("Redis is not installed")
        command = [*pinned(ONE), program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
        command += ["--appendonly", "yes", "--save", ""]
        ready = lambda: subprocess.run(  # noqa: E731
            ["redis-cli", "-p", str(port), "ping"], capture_output=True
        ).stdout.strip() == b"PONG"
        return port, self.keep(Process(command, ready, self.folder / "redis.log"))

    def gunicorn(self, detail):
        """`detail`: the provider's library, and `durable` behind a `+` for nonces in SQLite."""
        library, *more = detail.split("+")
        module, port, place = f"{library}_provider", free_port(), self.place(f"gunicorn-{detail}")
        known = {"consumer_key": "benchclient", "consumer_secret": "s", "token": "benchtoken", "token_secret": "t"}
        environment = clean_environment(
            BENCH_CREDENTIALS=json.dumps(known), BENCH_ANSWER=self.answer(), PYTHONPATH=str(HERE / "peers")
        )
        if "durable" in more:
            environment["BENCH_NONCES"] = str(place / "nonces.db")
        command = [*pinned(ONE), sys.executable, "-m", "gunicorn", f"{module}:app", "--bind", f"127.0.0.1:{port}"]
        command += ["--worker-class", "gthread", "--workers", "1", "--threads", "8", "--keep-alive", "75"]
        command += ["--backlog", "2048", "--worker-connections", "2000", "--no-control-socket"]
        ready = answers(f"http://127.0.0.1:{port}/v2/me", (400, 401))
        process = self.keep(Process(command, ready, place / "log", environment))
        credential = {"kind": "oauth1", "method": "HMAC-SHA1"} | known
        return Target(port, [process.pid], {HMAC: credential})

    def in_front(self, detail):
        """What stands in front of hello world: `bare`, `nginx` or `proxy`, and `assertion` or `no-ids` behind a `+`."""
        kind, *more = detail.split("+")
        upstream, place = self.target("hello:1"), self.place(f"in-front-{detail}")
        pids, server = list(upstream.pids), None
        if kind != "bare":
            make = gateway.adviser if kind == "nginx" else lambda *words: gateway.proxy(*words[:2], upstream.port, words[2])
            server = make(place / "countersign", pinned(ONE), more)
            self.stack.callback(server.stop)
            pids.append(server.process.pid)
        if kind == "proxy":
            port = server.port
        else:
            self.folder.chmod(0o755)
            asked, endpoint = (server.authority, "/authz/nginx") if server else (f"127.0.0.1:{upstream.port}", "/bare")
            command, port = gateway.nginx(place, asked, upstream.port, endpoint)
            ready = answers(f"http://127.0.0.1:{port}{gateway.PATH}", (200, 401))
            pids.append(self.keep(Process([*pinned(ONE), *command], ready, place / "log")).pid)
        known = {"hello": {"kind": "fixed", "headers": []}}
        if server:
            # The dance goes to Countersign itself, as it would by the proxy's paths for its pages.
            known = {HMAC: credentials_of(server, self.rsa)[HMAC]}
        return Target(port, pids, {name: credential | {"path": gateway.PATH} for name, credential in known.items()})

    def nginx(self):
        """auth_basic with the default hash of htpasswd, auth_basic with SHA-1, auth_request to a 204 of its own."""
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
        if not program:
            raise RuntimeError("nginx is not installed")
        folder, port, verifier = self.place("nginx"), free_port(), free_port()
        self.folder.chmod(0o755)
        (folder / "me.json").write_text(self.answer())
        slow = subprocess.run(["openssl", "passwd", "-apr1", "secret"], capture_output=True, text=True, check=True)
        (folder / "slow").write_text(f"user:{slow.stdout.strip()}\n")
        fast = base64.b64encode(hashlib.sha1(b"secret").digest()).decode()
        (folder / "fast").write_text(f"user:{{SHA}}{fast}\n")
        user = "user root;" if os.getuid() == 0 else ""
        (folder / "nginx.conf").write_text(f"""
daemon off; pid {folder}/nginx.pid; worker_processes 1; {user} error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000; default_type application/json;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream verifier {{ server 127.0.0.1:{verifier}; keepalive 64; }}
  server {{ listen 127.0.0.1:{verifier}; keepalive_requests 1000000; location / {{ return 204; }} }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {folder};
    location /basic {{ auth_basic x; auth_basic_user_file {folder}/slow; try_files /me.json =404; }}
    location /basic-sha1 {{ auth_basic x; auth_basic_user_file {folder}/fast; try_files /me.json =404; }}
    location /request {{ auth_request /verify; try_files /me.json =404; }}
    location = /verify {{
      internal; proxy_pass http://verifier; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_pass_request_body off; proxy_set_header Content-Length "";
    }}
  }}
}}
""")
        command = [*pinned(ONE), program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
        ready = answers(f"http://127.0.0.1:{port}/request")
        process = self.keep(Process(command, ready, self.folder / "nginx.log"))
        header = ["Authorization", "Basic " + base64.b64encode(b"user:secret").decode()]
        fixed = {"kind": "fixed", "headers": [header]}
        paths = {"auth_basic": "/basic", "auth_basic-sha1": "/basic-sha1", "auth_request": "/request"}
        return Target(port, [process.pid], {name: fixed | {"path": path} for name, path in paths.items()})


def job_for(target, case, seconds, rate=None):
    """What the generator is told on its standard input."""
    if case.credential not in target.credentials:
        raise RuntimeError(f"this server gave no {case.credential}")
    credential = dict(target.credentials[case.credential])
    return {
        "address": f"127.0.0.1:{target.port}",
        "path": credential.pop("path", "/v2/me"),
        "credential": credential,
        "connections": case.connections,
        "seconds": seconds,
        "warmup": WARMUP,
        "rate": rate,
        "expected_rate": case.expected_rate,
        "expect": 200,
        "pids": target.pids,
    }


def password_hashes(target):
    with urllib.request.urlopen(f"http://127.0.0.1:{target.port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("countersign_password_hashes_total"))


@contextlib.contextmanager
def guessing(target, seconds):
    """Wrong passwords, each for another name, beside whatever is measured meanwhile; their answers don't matter."""
    case = Case("guesses", "", "guesses", connections=32)
    checked = password_hashes(target)
    flood = subprocess.Popen(
        [*pinned(OTHER), GENERATOR, "load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    flood.stdin.write(json.dumps(job_for(target, case, seconds, rate=FLOOD)).encode())
    flood.stdin.close()
    try:
        yield
    finally:
        flood.terminate()
        flood.wait()
    if password_hashes(target) - checked < 5:
        raise RuntimeError("there was no flood: hardly a password was checked")


def load(target, case, seconds, rate=None):
    """One run of the generator; its report."""
    job = job_for(target, case, seconds, rate)
    beside = guessing(target, min(seconds + 10, 50)) if case.flood else contextlib.nullcontext()
    with beside:
        done = subprocess.run(
            [*pinned(OTHER), GENERATOR, "load"],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=300,
        )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    result = json.loads(done.stdout)
    if result["unexpected"] or result["broken"]:
        raise RuntimeError(f"{case.name}: not every answer was a 200: {result['unexpected']}, broken {result['broken']}")
    if not result["requests"]:
        raise RuntimeError(f"{case.name}: no answer within {seconds} s")
    return result


def hello(connections, workers=1):
    return Case(f"hello world, {connections} connections, {workers} worker(s)", f"hello:{workers}", connections=connections, workers=workers)


def cases(quick):
    """Everything that is measured, in groups that begin with their hello world."""
    sqlite = "countersign:sqlite-power"
    made = [hello(256)]
    for credential in (HMAC, "oauth1-hmac-sha256", "oauth1-rsa-sha1", "api-key", "password", "digest", "jwt"):
        rate = 20_000 if "rsa" in credential else 110_000
        made.append(Case(f"{credential}, 256", sqlite, credential, expected_rate=rate))
        if credential == HMAC:  # one after the other, since they are held against each other
            made.append(Case(f"{HMAC} during a flood of guesses, 256", sqlite, HMAC, flood=True))
    made += [
        Case(f"{HMAC}, durability process, 256", "countersign:sqlite-process", HMAC),
        Case(f"{HMAC}, PostgreSQL, 256", "countersign:postgres", HMAC),
        Case(f"{HMAC}, Redis, 256", "countersign:redis", HMAC),
        Case(f"{HMAC}, 2 ms a commit, 256", "countersign:sqlite-power+delay", HMAC),
        hello(64),
        Case(f"{HMAC}, 64", sqlite, HMAC, 64),
        Case(f"{HMAC}, durability process, 64", "countersign:sqlite-process", HMAC, 64),
        Case(f"{HMAC}, PostgreSQL, 64", "countersign:postgres", HMAC, 64),
        Case(f"{HMAC}, Redis, 64", "countersign:redis", HMAC, 64),
        Case(f"{HMAC}, 2 ms a commit, 64", "countersign:sqlite-power+delay", HMAC, 64),
        Case("oauthlib's provider, nonces in SQLite, 64", "gunicorn:oauthlib+durable", HMAC, 64, expected_rate=5_000),
        Case("Authlib's provider, nonces in SQLite, 64", "gunicorn:authlib+durable", HMAC, 64, expected_rate=5_000),
        Case("oauthlib's provider, nonces in memory, 64", "gunicorn:oauthlib", HMAC, 64, expected_rate=5_000),
        Case("Authlib's provider, nonces in memory, 64", "gunicorn:authlib", HMAC, 64, expected_rate=5_000),
        Case("nginx auth_basic (apr1), 64", "nginx", "auth_basic", 64),
        Case("nginx auth_basic (SHA-1), 64", "nginx", "auth_basic-sha1", 64),
        Case("nginx auth_request to a 204, 64", "nginx", "auth_request", 64),
        Case("nginx asking a bare 204, 64", "front:bare", "hello", 64, pair="in front"),
        Case("nginx asking Countersign, 64", "front:nginx", HMAC, 64, expected_rate=30_000, pair="in front"),
        Case("nginx asking Countersign, no request ids, 64", "front:nginx+no-ids", HMAC, 64, expected_rate=30_000),
        Case("Countersign as the proxy, 64", "front:proxy", HMAC, 64, expected_rate=30_000, pair="in front"),
        Case("nginx asking Countersign, assertions, 64", "front:nginx+assertion", HMAC, 64, expected_rate=30_000),
        Case("Countersign as the proxy, assertions, 64", "front:proxy+assertion", HMAC, 64, expected_rate=30_000),
        hello(1024),
        Case(f"{HMAC}, 1024", sqlite, HMAC, 1024),
        Case(f"{HMAC}, 2 ms a commit, 1024", "countersign:sqlite-power+delay", HMAC, 1024),
        Case("api-key, 1024", "countersign:sqlite-power+fresh", "api-key", 1024),
        hello(256, 2),
        Case(f"{HMAC}, 2 workers, 256", "countersign:sqlite-power+2-workers", HMAC, 256, 2),
        Case("api-key, 2 workers, 256", "countersign:sqlite-power+2-workers", "api-key", 256, 2),
    ]
    if quick:
        wanted = {"hello:1", sqlite}
        made = [case for case in made if case.target in wanted and case.connections != 1024]
    return made


def measured(laboratory, case, seconds, bases):
    target = laboratory.target(case.target)
    result = load(target, case, seconds)
    case.results.append(result)
    # Sign only as much as was needed, and a fifth more.
    case.expected_rate = max(result["requests_per_second"] * 1.2, 1_000)
    if case.target.startswith("hello"):
        bases[case.base] = result
    base = bases.get(case.base)
    if base:
        case.ratios.append(result["requests_per_second"] / base["requests_per_second"])
        case.cpu_ratios.append(result["cpu_us_per_request"] / max(base["cpu_us_per_request"], 1e-9))
    ratio = f"{case.ratios[-1]:.3f}" if base else "-"
    print(
        f"  {case.name:44} {result['requests_per_second']:>9.0f}/s  × {ratio:>5}  cpu {result['cpu_us_per_request']:6.1f} µs"
        f"  p50 {result['p50_ms']:7.2f} ms  p99 {result['p99_ms']:7.2f} ms{'  (used up)' if result['used_up'] else ''}",
        flush=True,
    )


def tails(laboratory, made, tries, seconds):
    """p99 at 70 % of each case's own maximum: the best of several tries, since a neighbour's noise only makes it worse."""
    for case in made:
        if (case.connections != 256 and not case.pair) or case.workers != 1 or case.flood or not case.results:
            continue
        alike = [other for other in made if other is case or (case.pair and other.pair == case.pair and other.results)]
        maximum = min(statistics.median(result["requests_per_second"] for result in other.results) for other in alike)
        target = laboratory.target(case.target)
        results = []
        for _ in range(tries):
            with contextlib.suppress(RuntimeError):
                results.append(load(target, case, seconds, 0.7 * maximum))
        if results:
            case.tail = min(results, key=lambda result: result["p99_ms"])
            print(f"  {case.name:44} p99 at {0.7 * maximum:8.0f}/s: {case.tail['p99_ms']:.2f} ms", flush=True)


def resident(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def rested(pid):
    """Resident MiB when nothing has happened for some seconds."""
    time.sleep(REST)
    return resident(pid)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of the most important cases, writes nothing")
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="only cases whose name has this word")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--seconds", type=float, default=None, help="measured time of each case in each round")
    parser.add_argument("--write", type=pathlib.Path, default=None, help="where the report goes (docs/PERFORMANCE.md)")
    parser.add_argument("--scale", action="store_true", help="also millions of clients, tokens and nonces: see scale.py")
    if "--scale" in sys.argv:
        import scale  # it imports this file

        scale.options(parser)
    chosen = parser.parse_args()
    rounds = min(chosen.rounds or (1 if chosen.quick else 5), 20)
    seconds = min(chosen.seconds or (1.5 if chosen.quick else 2.5), 20)

    made = cases(chosen.quick)
    if chosen.only:
        wanted = [case for case in made if any(word.lower() in case.name.lower() for word in chosen.only)]
        bases = {case.base for case in wanted}
        made = [case for case in made if case in wanted or (case.target.startswith("hello") and case.base in bases)]
    partial = chosen.quick or bool(chosen.only)

    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="countersign-bench-")))
        laboratory = Laboratory(folder, stack)
        idle = None
        lost = {}
        started = time.monotonic()
        for number in range(1, rounds + 1):
            print(f"round {number} of {rounds}", flush=True)
            bases, since = {}, 0
            for case in made:
                if case.name in lost:
                    continue
                try:
                    since = 0 if case.target.startswith("hello") else since + 1
                    if since > OFTEN:  # the machine's mood changes, so a case's hello world is never long ago
                        base = next(other for other in made if other.target.startswith("hello") and other.base == case.base)
                        measured(laboratory, base, seconds, bases)
                        since = 1
                    measured(laboratory, case, seconds, bases)
                    if case.target.endswith("+fresh") and idle is None:
                        idle = rested(laboratory.target(case.target).pids[0])
                except Exception as error:
                    lost[case.name] = str(error)
                    print(f"  {case.name:44} not measured: {error}", flush=True)
        print("latency at 70 % load", flush=True)
        tails(laboratory, [case for case in made if case.name not in lost], 1 if chosen.quick else 4, seconds)
        large = []
        if chosen.scale:
            chosen.rounds, chosen.seconds = rounds, seconds
            # What the cases above showed of memory stands in their own rows.
            large = scale.rows(laboratory, chosen, ("population", "nonces"))
        print(f"took {time.monotonic() - started:.0f} s", flush=True)

    facts = {
        "scale": large,
        "cpu": report.processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release().split("-")[0],
        "rounds": rounds,
        "seconds": seconds,
        "server_core": ONE,
        "generator_core": OTHER,
        "started_mib": laboratory.started_mib,
        "idle_mib": idle,
        "shared_core": TWO == ONE,
    }
    print(report.bars_text(made, facts))
    if chosen.write or not partial:
        path = chosen.write or ROOT / "docs" / "PERFORMANCE.md"
        report.write(path, made, lost, facts)
        print(f"wrote {path}")
    if lost:
        sys.exit(1)


if __name__ == "__main__":
    main()
