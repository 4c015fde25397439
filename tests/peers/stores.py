"""PostgreSQL and Redis for tests of several nodes: on free ports of 127.0.0.1, in folders of their own, ended by their pid."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile

from harness import STOP_SECONDS, eventually, free_port
from programs import needs, not_run


@contextlib.contextmanager
def postgres():
    """The URL of an empty database; the test is not run where PostgreSQL is not installed."""
    programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        not_run("there is no PostgreSQL (Debian's package postgresql)")
    with tempfile.TemporaryDirectory(prefix="countersign-postgres-") as folder:
        # It refuses to run as root, so it gets a folder that somebody else may enter.
        account = []
        if os.getuid() == 0:
            account = ["runuser", "-u", "postgres", "--"]
            shutil.chown(folder, "postgres")
        data, port = f"{folder}/data", free_port()
        initdb = [*account, programs[-1] / "initdb", "--no-sync", "-D", data, "-U", "countersign", "--auth=trust"]
        subprocess.run(initdb, check=True, capture_output=True, cwd="/")
        options = ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        probe = [programs[-1] / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        with running([*account, programs[-1] / "postgres", "-D", data, *options], probe):
            yield f"postgres://countersign@127.0.0.1:{port}/postgres"


@contextlib.contextmanager
def redis():
    """The URL of an empty Redis; the test is not run where it is not installed."""
    program, port = needs("redis-server", "redis-server"), free_port()
    with tempfile.TemporaryDirectory(prefix="countersign-redis-") as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "yes"]
        with running(command, ["redis-cli", "-p", str(port), "ping"]):
            yield f"redis://127.0.0.1:{port}"


@contextlib.contextmanager
def running(command, probe):
    """A program until the end of the block; it is there when the probe succeeds."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
    try:
        is_up = lambda: subprocess.run(probe, capture_output=True).returncode == 0  # noqa: E731
        assert eventually(lambda: process.poll() is not None or is_up(), 60), f"{command[0]} does not start"
        assert process.poll() is None, f"{command[0]} ended at once"
        yield
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
