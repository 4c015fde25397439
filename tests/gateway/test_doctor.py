"""`countersign doctor`: finds nothing in a sound deployment, and names what is wrong in a broken one."""

import json
import re

import pytest
from harness import CommandFailed, Server, free_port
from proxies import DEPLOY

CONFIG = '[server]\ntrusted_proxies = ["127.0.0.1"]\n[[route]]\npath = "/**"\nscopes = { "*" = ["thing:read"] }\n'


@pytest.fixture(scope="module")
def server(new_server):
    return new_server(CONFIG, "patient")


def examine(server, proxy, echo=None):
    """The findings by check, whatever the exit code; what is bad must make it 1."""
    line = ["doctor", "--proxy", proxy.base, "--format", "json", *(["--echo", echo] if echo else [])]
    import subprocess

    from harness import binary, clean_environment

    done = subprocess.run(
        [str(binary()), *line, "--config", str(server.config), "--database-url", server.database],
        capture_output=True, text=True, env=clean_environment(), timeout=120,
    )
    assert done.stdout, done.stderr
    findings = json.loads(done.stdout)
    bad = {finding["check"]: finding for finding in findings if finding["result"] == "bad"}
    assert done.returncode == (1 if bad else 0), done.stderr
    return findings, bad


@pytest.mark.parametrize(("kind", "expected"), [("nginx", {"the body of a form comes along"}), ("nginx-njs", set())])
def test_a_sound_deployment_is_found_sound(server, new_proxy, kind, expected):
    echo = f"127.0.0.1:{free_port()}"
    proxy = new_proxy(kind, server.authority, echo)
    findings, bad = examine(server, proxy, echo)
    assert set(bad) == expected, bad
    assert all(finding["result"] != "unknown" for finding in findings)
    assert server.json("account", "list") == [], "the doctor leaves nothing behind"


@pytest.mark.parametrize(("line", "wrong", "check", "seen"), [
    ("$scheme://$http_host$request_uri", "https://$http_host$request_uri", "scheme and host", "https://"),
    ("$scheme://$http_host$request_uri", "$scheme://$host$request_uri", "scheme and host", "without its port"),
    ("$scheme://$http_host$request_uri", "$scheme://$http_host$uri$is_args$args", "the path arrives", "not accepted"),
    ("proxy_pass http://api;", "proxy_pass http://api$uri;", "the path arrives", "on the way to the API"),
    ('proxy_set_header Authorization "";', "", "no credential", "Authorization arrives"),
    ("proxy_set_header X-Auth-Impersonated-By $auth_impersonated_by;", "", "nobody can forge it", "x-auth-impersonated-by"),
    ("underscores_in_headers off;", "underscores_in_headers on;", "nobody can forge it", "x_auth_account"),
    ("auth_request /_countersign_authz;", "", "without a credential", "instead of 401"),
    (r"^/(oauth|", r"^/(authz|oauth|", "nobody outside", "is answered"),
])
def test_a_mistake_is_found_and_named(server, new_proxy, monkeypatch, tmp_path, line, wrong, check, seen):
    text = (DEPLOY / "nginx.conf").read_text()
    assert line in text
    (tmp_path / "nginx.conf").write_text(text.replace(line, wrong))
    monkeypatch.setattr("proxies.DEPLOY", tmp_path)
    echo = f"127.0.0.1:{free_port()}"
    proxy = new_proxy("nginx", server.authority, echo)
    _, bad = examine(server, proxy, echo)
    proxy.stop()
    found = [finding for name, finding in bad.items() if check in name]
    assert found, bad
    assert seen in found[0]["seen"] and found[0]["change"], found


def test_another_database_is_said(server, new_proxy, tmp_path):
    other = Server(tmp_path / "other", CONFIG)
    proxy = new_proxy("nginx", server.authority, "127.0.0.1:1")
    with pytest.raises(CommandFailed) as failed:
        other.command("doctor", "--proxy", proxy.base)
    assert re.search("another database", failed.value.said)
