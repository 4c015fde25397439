"""Digest over several nodes that share PostgreSQL or Redis: any of them takes the nonce of any, and each count once among all."""

import contextlib
import hashlib
import itertools
import socket
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import databases
import pytest
import requests
import wire
from conftest import PATIENT
from harness import Server, eventually
from programs import SECONDS, needs, not_run, run
from requests.auth import HTTPDigestAuth
from ways import Digest, challenges, client_key


class RoundRobin:
    """A balancer that hands every connection to the next node, as one without affinity does."""

    def __init__(self, nodes):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.nodes = itertools.cycle(nodes)
        self.base = "http://127.0.0.1:{}".format(self.listener.getsockname()[1])
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return  # closed
            node = next(self.nodes)
            behind = socket.create_connection((node.host, node.port))
            for source, target in ((connection, behind), (behind, connection)):
                threading.Thread(target=self.pump, args=(source, target), daemon=True).start()

    @staticmethod
    def pump(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one of the two hung up

    def close(self):
        self.listener.close()


def started(stack, kind):
    """A server of this kind until the end of the stack; the test is not run where it is not installed."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="countersign-", ignore_cleanup_errors=True))
    try:
        server = kind(folder)
    except databases.NotInstalled as reason:
        not_run(str(reason))
    stack.callback(server.crash)
    return server


@pytest.fixture(scope="module", params=["postgres", "redis"])
def nodes(request, new_server, tmp_path_factory):
    """Two nodes of one database; with `redis` the nonces are there, else in PostgreSQL too."""
    with contextlib.ExitStack() as stack:
        database = started(stack, databases.Postgres).new_database()
        environment = {"COUNTERSIGN_MASTER_KEY": databases.new_master_key()}
        if request.param == "redis":
            environment["COUNTERSIGN_REDIS_URL"] = started(stack, databases.Redis).url
        Server(tmp_path_factory.mktemp("migrate"), PATIENT, environment, database=database).command("migrate")
        first = new_server(PATIENT, "node", environment=environment, database=database)
        second = new_server(PATIENT, "node", environment=environment, database=database)
        yield first, second
        first.stop()
        second.stop()


@pytest.fixture(scope="module")
def person(nodes):
    account = nodes[0].account()
    own = nodes[0].client(account)
    known = lambda node: Digest(node, account.username, account.password, headers=[client_key(own)]).send().status == 200  # noqa: E731
    assert all(eventually(lambda node=node: known(node)) for node in nodes)
    return account, [client_key(own)]


@pytest.fixture
def digest(nodes, person):
    account, headers = person
    return Digest(nodes[0], account.username, account.password, headers=headers)


def test_a_nonce_of_one_node_is_good_at_the_other_and_each_count_once_among_both(nodes, digest):
    first, second = nodes
    for count, node in ((1, second), (3, first), (2, second), (9, first)):
        digest.server = node
        assert digest.send(count=count).status == 200, count
    for count, node in ((1, first), (3, second), (2, first), (9, second), (9, first)):
        digest.server = node
        answer = digest.send(count=count)
        assert answer.status == 401, count
        assert "stale=true" not in "".join(answer.all("WWW-Authenticate"))


def test_of_one_header_sent_to_both_nodes_at_once_one_alone_is_taken(nodes, digest):
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            value = ("Authorization", digest.header("GET", "/v2/me"))
            sent = [pool.submit(wire.send, node, "GET", "/v2/me", [value, *digest.headers]) for node in (*nodes, *nodes)]
            statuses = sorted(answer.result().status for answer in sent)
            assert statuses == [200, 401, 401, 401]


def test_a_header_is_not_taken_again_with_the_name_hashed(nodes, digest):
    header = digest.header("GET", "/v2/me")
    statuses = []
    for name in ("", "sha256", "md5"):
        again = header
        if name:
            hashed = hashlib.new(name, f"{digest.username}:{digest.challenge['realm']}".encode()).hexdigest()
            again = header.replace(f'username="{digest.username}"', f'username="{hashed}", userhash=true')
        statuses += [wire.send(node, "GET", "/v2/me", [("Authorization", again), *digest.headers]).status for node in nodes]
    assert statuses == [200, 401, 401, 401, 401, 401]


def test_a_forged_nonce_is_refused_by_both(nodes, digest):
    good = digest.challenge["nonce"]
    forged = good[:20] + ("A" if good[20] != "A" else "B") + good[21:]
    for digest.server in nodes:
        assert digest.send(nonce=forged).status == 401


def test_unmodified_clients_get_in_through_a_balancer_without_affinity(nodes, person):
    account, headers = person
    balancer = RoundRobin(nodes)
    session = requests.Session()
    session.trust_env = False
    session.auth = HTTPDigestAuth(account.username, account.password)
    session.headers.update(dict(headers) | {"Connection": "close"})
    for _ in range(7):
        assert session.get(f"{balancer.base}/v2/me", timeout=SECONDS).status_code == 200
    command = [needs("curl", "curl"), "-sS", "-w", "%{http_code} ", "--digest", "-H", "Connection: close"]
    command += ["-u", f"{account.username}:{account.password}", "-H", ": ".join(headers[0])]
    for n in range(5):
        command += ["-o", "/dev/null", f"{balancer.base}/v2/me?n={n}"]
    assert run(command).split() == ["200"] * 5
    balancer.close()


def test_a_nonce_outlives_the_node_that_made_it_and_its_counts_stay_used(nodes, digest):
    assert digest.send(count=1).status == 200
    nodes[0].kill()
    nodes[0].start()
    answer = digest.send(count=1)
    assert answer.status == 401
    assert digest.send(count=2).status == 200
    assert challenges(answer)["SHA-256"]["nonce"] != digest.challenge["nonce"]
