"""In front of an API: nginx that asks Countersign, nginx that asks a bare actix handler, and Countersign as the proxy itself.

All have the same upstream, hello world, and nginx runs docs/deploy/nginx.conf word for word but for addresses and the
number of requests on a connection. Everything shares the server's core.
"""

import pathlib
import sys

# At the end: that folder has a conftest of its own.
sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "gateway"))

from harness import REPOSITORY, Server, free_port  # noqa: E402
from proxies import Proxy, replaced  # noqa: E402

# What the API behind answers.
PATH = "/things"
KEPT = "keepalive_requests 10000000;"


def adviser(place, launcher, changes):
    """Countersign with docs/deploy/countersign.toml, for nginx to ask. `changes`: `assertion`, `no-ids`."""
    text = (REPOSITORY / "docs" / "deploy" / "countersign.toml").read_text()
    if "no-ids" in changes:
        text = replaced(text, 'request_id_header = "X-Request-Id"\n', "")
    return server(place, launcher, text, changes)


def proxy(place, launcher, upstream, changes):
    """Countersign with docs/deploy/countersign-proxy.toml, as the proxy itself."""
    text = (REPOSITORY / "docs" / "deploy" / "countersign-proxy.toml").read_text()
    return server(place, launcher, replaced(text, "http://127.0.0.1:3000", f"http://127.0.0.1:{upstream}"), changes)


def server(place, launcher, text, changes):
    environment = {"COUNTERSIGN_SERVER__WORKERS": "1", "COUNTERSIGN_THROTTLE__FAILURES": "100000"}
    if "assertion" in changes:
        environment["COUNTERSIGN_GATEWAY__ASSERTION"] = "true"
    return Server(place, text, environment, launcher=launcher).start()


def nginx(folder, asked, upstream, endpoint="/authz/nginx"):
    """The command of an nginx, and its port. `asked`: the authority that it asks; `upstream`: the port of the API."""
    made = Proxy("nginx", folder, free_port(), asked, f"127.0.0.1:{upstream}")
    command = made.nginx()
    configuration = folder / "nginx.conf"
    text = configuration.read_text()
    text = replaced(text, "http://countersign/authz/nginx", f"http://countersign{endpoint}")
    text = replaced(text, "keepalive 512;", f"keepalive 512; {KEPT}")
    text = replaced(text, "http {\n", f"http {{\n    {KEPT}\n")
    configuration.write_text(text)
    return command, made.port
