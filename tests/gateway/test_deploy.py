"""The files of docs/deploy: Countersign takes its own as they are, and all say the same of its paths, headers and limits."""

import itertools
import re

import pytest
import ways
import wire
from harness import REPOSITORY, Server, free_port
from proxies import DEPLOY

IDENTITY = ["Account", "External-Id", "Company", "Client", "Scopes", "Credential", "Impersonated-By", "Assertion"]
NAMES = [f"X-Auth-{name}" for name in IDENTITY]


def text(name):
    return (DEPLOY / name).read_text()


def test_countersign_starts_with_the_configuration_for_an_adviser(tmp_path):
    server = Server(tmp_path / "server", text("countersign.toml")).start()
    server.account("o@example.com")
    metadata = [("X-Original-Method", "GET"), ("X-Original-URL", "https://api.example.com/things")]
    answer = wire.send(server, "GET", "/authz/nginx", metadata)
    server.stop()
    assert (answer.status, answer.one("X-Auth-Error")) == (401, "credentials_required")


def test_countersign_starts_with_the_configuration_for_the_proxy_itself(tmp_path, api):
    config = text("countersign-proxy.toml")
    assert "http://127.0.0.1:3000" in config
    server = Server(tmp_path / "server", config.replace("http://127.0.0.1:3000", api.url)).start()
    key = server.key(server.account("o@example.com"))
    answer = wire.send(server, "GET", "/things", [ways.basic(key.public, key.private)])
    server.stop()
    assert (answer.status, answer.json["target"]) == (200, "/things")


@pytest.mark.parametrize("name", ["countersign.toml", "countersign-proxy.toml"])
def test_the_configurations_listen_where_the_proxies_look_for_them(name):
    assert 'listen = "127.0.0.1:8080"' in text(name)
    for proxy in ("nginx.conf", "nginx-njs.conf", "Caddyfile", "Caddyfile-2.6", "haproxy.cfg", "traefik-dynamic.yaml", "envoy.yaml"):
        assert "127.0.0.1:8080" in text(proxy) or "address: 127.0.0.1, port_value: 8080" in text(proxy)


@pytest.mark.parametrize("name", ["nginx.conf", "nginx-njs.conf", "Caddyfile", "Caddyfile-2.6", "traefik-dynamic.yaml", "envoy.yaml"])
def test_every_page_of_countersign_is_on_the_list_of_its_paths(name):
    pages = set(re.findall(r'at\("/([a-z]+)', (REPOSITORY / "src" / "web.rs").read_text()))
    assert {"login", "account", "admin"} <= pages
    listed = re.search(r"/\(([a-z|]+\|\\+\.well-known)\)", text(name)).group(1).split("|")
    assert pages <= set(listed)


@pytest.mark.parametrize("name", ["nginx.conf", "nginx-njs.conf", "Caddyfile", "Caddyfile-2.6", "traefik-dynamic.yaml"])
def test_every_identity_header_is_taken_from_the_answer(name):
    for header in NAMES:
        assert re.search(rf"{header}\b", text(name)), header


def test_traefik_drops_each_identity_header_in_every_spelling():
    removed = set(re.findall(r'^ {10}([\w-]+): ""$', text("traefik-dynamic.yaml"), re.MULTILINE))
    for header in NAMES:
        words = header.split("-")
        for signs in itertools.product("-_", repeat=len(words) - 1):
            spelled = words[0] + "".join(sign + word for sign, word in zip(signs, words[1:]))
            assert spelled in removed or spelled in NAMES, spelled
    assert {"X-Original-Url", "X-Original-Uri", "X-Rewrite-Url"} <= removed
    assert {"X-Request-Id", "X-Original-Body", "Authorization", "X-Client-Key", "X-App-Key"} <= removed


def test_the_limits_for_bodies_agree(tmp_path):
    """Countersign's default, nginx's buffer, Traefik's and Envoy's limit."""
    assert "client_body_buffer_size 1m;" in text("nginx-njs.conf")
    assert "maxBodySize: 1048576" in text("traefik-dynamic.yaml") and "max_request_bytes: 1048576" in text("envoy.yaml")
    server = Server(tmp_path / "server", f'[server]\nlisten = "127.0.0.1:{free_port()}"\n').start()
    form = ("Content-Type", "application/x-www-form-urlencoded")
    assert wire.send(server, "POST", "/v2/me", [form], b"a" * (1 << 20)).status == 401
    assert wire.send(server, "POST", "/v2/me", [form], b"a" * ((1 << 20) + 1)).status == 413
    server.stop()


def test_both_configurations_of_haproxy_keep_the_same_from_clients():
    def guards(name):
        lines = [line.strip() for line in (DEPLOY / name).read_text().splitlines()]
        return [line for line in lines if line.startswith(("http-request del-header", "http-request deny"))]

    assert guards("haproxy.cfg") == guards("haproxy-nodes.cfg") and len(guards("haproxy.cfg")) == 5

