"""What all suites from outside begin with: import these into a conftest.py."""

import pytest
from harness import Server, binary


@pytest.fixture(scope="session", autouse=True)
def built_binary():
    if not binary().exists():
        pytest.exit(f"there is no binary at {binary()}: cargo build --locked", returncode=1)


@pytest.fixture(scope="session")
def new_server(tmp_path_factory):
    """Start servers of one's own: new_server(config) → Server. They are ended with the session."""
    servers = []

    def start(config="", name="server", **more):
        server = Server(tmp_path_factory.mktemp(name), config, **more)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.kill()
