"""Several nodes behind a real HAProxy, with the configuration of docs/deploy, on one real PostgreSQL, with or without Redis."""

import http.client
import pathlib
import re
import signal
import threading
import tomllib
import urllib.error
import urllib.request

import databases
import signer
import wire
from browser import Browser
from dance import dance
from harness import REPOSITORY, Server, free_port

DEPLOY = REPOSITORY / "docs" / "deploy"
NODES = 3
# Wrong requests come by the dozen from one address; what throttling does is not what these tests ask.
PATIENT = "[throttle]\nfailures = 100000\n"
# What the configuration for several nodes says, so that it is tested too.
DRAIN = tomllib.loads((DEPLOY / "countersign-nodes.toml").read_text())["server"]["drain_seconds"]
DRAINING = f"[server]\ndrain_seconds = {DRAIN}\n"
# What the contract allows is a second; a machine that does much else at once may need more. The net under it is a minute.
SOON = 5.0


def replaced(text, old, new):
    """`text` with `old` replaced; a configuration that lost the line must not pass unchanged."""
    # Port 8081 is not the beginning of another port.
    text, places = re.subn(re.escape(old) + r"(?!\d)", lambda _: new, text)
    assert places, f"the configuration has no {old!r}"
    return text


class HAProxy(databases.Process):
    """HAProxy with docs/deploy/haproxy-nodes.cfg, word for word but for the addresses. To a client it is the server."""

    host = "127.0.0.1"

    def __init__(self, folder, nodes):
        super().__init__(folder)
        self.port = free_port()
        text = (DEPLOY / "haproxy-nodes.cfg").read_text()
        text = replaced(text, "bind :8000", f"bind {self.authority}")
        for node, port in zip(nodes, (8081, 8082, 8083), strict=True):
            text = replaced(text, f"127.0.0.1:{port}", node.authority)
        # Only so that tests can ask what it knows of the nodes.
        self.counters = free_port()
        text += f"\nfrontend counters\n    bind 127.0.0.1:{self.counters}\n    stats enable\n    stats uri /\n"
        self.configuration = self.folder / "haproxy.cfg"
        self.configuration.write_text(text)

    def start(self):
        self.run(["haproxy", "-db", "-f", str(self.configuration)], lambda: self.up() == NODES)
        return self

    def up(self):
        """How many nodes HAProxy gives requests to."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.counters}/;csv", timeout=5) as answer:
                lines = answer.read().decode().lstrip("# ").splitlines()
        except (urllib.error.URLError, OSError):
            return 0
        names = lines[0].split(",")
        rows = [dict(zip(names, line.split(","), strict=False)) for line in lines[1:]]
        return sum(row["pxname"] == "countersign" and row["status"].startswith("UP") for row in rows if row["svname"] != "BACKEND")

    @property
    def authority(self):
        return f"{self.host}:{self.port}"

    @property
    def base(self):
        return f"http://{self.authority}"

    def stop(self):
        self.end(signal.SIGTERM)


class Cluster:
    """Three nodes on one database, and HAProxy in front. `redis`: nonces are remembered there."""

    def __init__(self, folder, postgres, redis=None):
        self.folder = pathlib.Path(folder)
        self.postgres, self.redis = postgres, redis
        database = postgres.new_database()
        environment = {"COUNTERSIGN_MASTER_KEY": databases.MASTER_KEY}
        if redis:
            environment["COUNTERSIGN_REDIS_URL"] = redis.url
        self.nodes = [
            Server(self.folder / f"node{number}", PATIENT + DRAINING, environment, database=database)
            for number in range(1, NODES + 1)
        ]
        place = self.folder / "haproxy"
        place.mkdir()
        self.proxy = HAProxy(place, self.nodes)
        for node in self.nodes:
            node.public_url = self.proxy.base

    def start(self):
        self.nodes[0].command("migrate")
        for node in self.nodes:
            node.start()
        self.proxy.start()
        return self

    def stop(self):
        self.proxy.stop()
        for node in self.nodes:
            # The second signal of two ends the wait for a proxy.
            node.process.send_signal(signal.SIGTERM)
            node.stop()

    def kill(self):
        self.proxy.end(signal.SIGKILL)
        for node in self.nodes:
            node.kill()


class Alone:
    """One node with SQLite: no proxy, no other node, but the command line beside it."""

    def __init__(self, folder):
        self.proxy = Server(folder, PATIENT, database=f"sqlite://{folder}/x.db")
        self.nodes = [self.proxy]

    def start(self):
        self.proxy.start()
        return self

    def stop(self):
        self.proxy.stop()

    def kill(self):
        self.proxy.kill()


class World:
    """A cluster with an account that owns a client, and an access token of it."""

    def __init__(self, cluster):
        self.cluster, self.nodes, self.proxy = cluster, cluster.nodes, cluster.proxy
        self.operator = cluster.nodes[0]
        self.owner = self.operator.account(scopes=["thing:read"])
        self.client = self.operator.client(self.owner, scopes=["thing:read"])
        self.token = self.dance()

    def dance(self):
        """Through the proxy, so that steps are different nodes'."""
        return dance(self.proxy, self.client, Browser(self.owner))

    def ask(self, headers, node=None):
        """A request to one node, or to the proxy, whose name clients use in any case."""
        return wire.send(node or self.proxy, "GET", "/v2/me", headers, host=self.proxy.authority)

    def signed(self, node=None, token=None, client=None):
        value = signer.authorization("GET", f"{self.proxy.base}/v2/me", client or self.client, token or self.token)
        return self.ask([("Authorization", value)], node)


def outcome(answer):
    return answer.status, answer.problem


class Load:
    """Threads that send signed requests, each with a nonce of its own, on connections that stay open.

    `accepted`: the Authorization headers that were answered with 200; `failed`: what else came. A thread goes on after a
    failure as a client would, with a new signature. `more`: parameters of the protocol besides the usual ones.
    """

    def __init__(self, server, client, token, threads=12, verb="GET", path="/v2/me", **more):
        self.server, self.client, self.token = server, client, token
        self.verb, self.path, self.more = verb, path, more
        self.accepted, self.failed = [], []
        self.ended = threading.Event()
        self.lock = threading.Condition()
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def run(self):
        connection = None
        while not self.ended.is_set():
            url = f"{self.server.base}{self.path}"
            value = signer.authorization(self.verb, url, self.client, self.token, **self.more)
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=30)
                connection.request(self.verb, self.path, None if self.verb == "GET" else b"", {"Authorization": value})
                answer = connection.getresponse()
                body = answer.read()
                outcome = answer.status
            except (OSError, http.client.HTTPException) as error:
                connection, outcome, body = None, type(error).__name__, b""
            with self.lock:
                if outcome == 200:
                    self.accepted.append(value)
                else:
                    self.failed.append((outcome, body))
                self.lock.notify_all()

    def wait_for_more(self, number, seconds=60):
        """Until so many more requests were accepted."""
        with self.lock:
            wanted = len(self.accepted) + number
            assert self.lock.wait_for(lambda: len(self.accepted) >= wanted, seconds), self.failed[-3:]
