"""Fixtures: a PostgreSQL and a Redis for the session, and clusters of three nodes with people in them.

What is not installed skips its tests by name.
"""

import shutil
import subprocess
import tempfile

import databases
import pytest
from cluster import Alone, Cluster, World
from fixtures import built_binary  # noqa: F401
from harness import Server


@pytest.fixture(scope="session")
def new_postgres():
    """Start PostgreSQL servers of one's own: new_postgres(settings) → Postgres."""
    servers, folders = [], []

    def start(**more):
        # Not in pytest's folder, which every new session of pytest closes to the user that PostgreSQL runs as.
        folders.append(tempfile.TemporaryDirectory(prefix="countersign-postgres-", ignore_cleanup_errors=True))
        try:
            servers.append(databases.Postgres(folders[-1].name, **more))
        except databases.NotInstalled as reason:
            pytest.skip(str(reason))
        return servers[-1]

    yield start
    for server in servers:
        server.crash()
    for folder in folders:
        folder.cleanup()


@pytest.fixture(scope="session")
def postgres(new_postgres):
    """The server that tests share which do not end it. Their nodes stay to the end, with eight connections each."""
    return new_postgres(settings={"max_connections": 400})


@pytest.fixture(scope="session")
def new_redis(tmp_path_factory):
    servers = []

    def start():
        try:
            servers.append(databases.Redis(tmp_path_factory.mktemp("redis")))
        except databases.NotInstalled as reason:
            pytest.skip(str(reason))
        return servers[-1]

    yield start
    for server in servers:
        server.crash()


@pytest.fixture(scope="session")
def new_world(tmp_path_factory, postgres, new_redis):
    """Start clusters: new_world("postgres", "redis" or "sqlite") → World."""
    clusters = []

    def start(store):
        if store == "sqlite":
            clusters.append(Alone(tmp_path_factory.mktemp(store)))
            return World(clusters[-1].start())
        if not shutil.which("haproxy", path="/usr/sbin:/usr/bin"):
            pytest.skip("haproxy is not installed")
        redis = new_redis() if store == "redis" else None
        clusters.append(Cluster(tmp_path_factory.mktemp(store), postgres, redis))
        return World(clusters[-1].start())

    yield start
    for cluster in clusters:
        cluster.kill()


@pytest.fixture(scope="module", params=["postgres", "redis"])
def world(request, new_world):
    """Three nodes, with each of the stores that many can share."""
    made = new_world(request.param)
    yield made
    made.cluster.stop()


@pytest.fixture(scope="session")
def new_node(tmp_path_factory):
    """One node that a test starts itself: new_node(database, …) → Server."""
    nodes = []

    def make(database, **more):
        environment = {"COUNTERSIGN_MASTER_KEY": databases.MASTER_KEY} | more.pop("environment", {})
        nodes.append(Server(tmp_path_factory.mktemp("node"), environment=environment, database=database, **more))
        return nodes[-1]

    yield make
    for node in nodes:
        node.kill()


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Makes an authority's certificate and certificates of its: authority(name) → (authority, chain, key) for 127.0.0.1."""

    def make(name):
        folder = tmp_path_factory.mktemp(name)
        new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        root = ["-subj", f"/CN={name}", "-keyout", "root.key", "-out", "root.crt"]
        leaf = ["-subj", "/CN=database", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"]
        leaf += ["-CA", "root.crt", "-CAkey", "root.key", "-keyout", "leaf.key", "-out", "leaf.crt"]
        for arguments in (root, leaf):
            subprocess.run([*new, *arguments], check=True, capture_output=True, cwd=folder)
        return folder / "root.crt", folder / "leaf.crt", folder / "leaf.key"

    return make
