"""Fixtures: Countersign in front of a small API, by itself and behind real proxies that run the configurations of docs/deploy.

The harness of tests/peers starts the server; the proxies run as an operator would run them, on free ports, in temporary
folders, and are ended by their process id. A proxy that is not installed skips its tests by name.
"""

import proxies
import pytest
from api import Api
from browser import Browser
from dance import dance
from fixtures import built_binary, new_server  # noqa: F401
from harness import free_port

BEHIND = """
[server]
trusted_proxies = ["127.0.0.1"]
[gateway]
request_id_header = "X-Request-Id"
[throttle]
failures = 100000
[[route]]
path = "/strict/**"
methods = ["oauth1", "basic"]
scopes = { GET = ["thing:read"], "*" = ["thing:write"] }
[[route]]
path = "/Upper/**"
methods = ["oauth1"]
scopes = { "*" = ["thing:write"] }
[[route]]
path = "/page/**"
methods = ["session"]
[[route]]
path = "/cors/**"
methods = ["oauth1"]
cors_origins = ["https://app.example.com"]
[[route]]
path = "/raw/**"
raw_paths = true
client_key = "optional"
[[route]]
path = "/hashed/**"
methods = ["oauth1"]
body_hash = "required"
[[route]]
path = "/**"
methods = ["oauth1", "oauth1_two_legged", "basic", "api_key", "digest", "jwt"]
"""


@pytest.fixture(scope="session")
def api():
    """The operator's API: says what it received."""
    started = Api()
    yield started
    started.stop()


class World:
    """A server with people in it: an account, its client, an access token, an API key."""

    def __init__(self, server):
        self.server = server
        self.owner = server.account("owner@example.com", company="acme")
        self.client = server.client(self.owner, scopes=["thing:read"])
        self.reader = server.client(self.owner, scopes=["thing:read"])
        self.token = dance(server, self.client, Browser(self.owner))
        self.key = server.key(self.owner)


@pytest.fixture(scope="session")
def behind(new_server):
    """Countersign as a proxy's adviser."""
    world = World(new_server(BEHIND, "behind"))
    yield world
    world.server.stop()


@pytest.fixture(scope="session")
def inline(new_server, api):
    """Countersign as the proxy itself."""
    config = BEHIND + f'[upstream]\nurl = "{api.url}"\ntimeout_seconds = 2\n'
    world = World(new_server(config, "inline"))
    yield world
    world.server.stop()


@pytest.fixture(scope="session")
def new_proxy(tmp_path_factory):
    running = []

    def start(kind, countersign, api, **more):
        if not proxies.program(kind):
            pytest.skip(f"{kind} is not installed")
        proxy = proxies.Proxy(kind, tmp_path_factory.mktemp(kind), free_port(), countersign, api, **more)
        running.append(proxy)
        return proxy.start()

    yield start
    for proxy in running:
        proxy.stop()


ADVISED = ["nginx", "nginx-njs", "caddy", "caddy-2.6", "traefik", "envoy"]


@pytest.fixture(scope="session")
def advised_by(new_proxy, behind, api):
    """A proxy that asks Countersign, with the configuration of docs/deploy; each is started once."""
    started = {}

    def get(kind):
        if kind not in started:
            started[kind] = new_proxy(kind, behind.server.authority, api.authority)
        return started[kind]

    return get


@pytest.fixture(params=ADVISED)
def advised(request, advised_by):
    """Each of them."""
    return advised_by(request.param)


@pytest.fixture(params=[kind for kind in ADVISED if kind not in ("nginx", "caddy-2.6")])
def sending_forms(request, advised_by):
    """Those that send a form's body along."""
    return advised_by(request.param)


@pytest.fixture(params=["nginx", "caddy-2.6"])
def without_bodies(request, advised_by):
    """Those that can't."""
    return advised_by(request.param)


@pytest.fixture
def njs(advised_by):
    return advised_by("nginx-njs")


@pytest.fixture
def nginx(advised_by):
    return advised_by("nginx")


@pytest.fixture(scope="session")
def haproxy(new_proxy, inline, api):
    """TLS in front of Countersign, which is the proxy itself."""
    return new_proxy("haproxy", inline.server.authority, api.authority)
