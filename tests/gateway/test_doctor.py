"""`countersign doctor`: finds nothing in a sound deployment, and names what is wrong in a broken one."""

import contextlib
import http.server
import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading

import pytest
from harness import CommandFailed, Server, binary, clean_environment, free_port
from proxies import DEPLOY

CONFIG = """
[server]
trusted_proxies = ["127.0.0.1"]
[gateway]
request_id_header = "X-Request-Id"
[[route]]
path = "/**"
scopes = { "*" = ["thing:read"] }
"""


# In nginx.conf and nginx-njs.conf, where Countersign's own paths are handed on.
OWN_PATHS = """proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            # What clients say"""

# In nginx-njs.conf, where it asks about forms.
FORM_ADDRESS = "proxy_set_header X-Forwarded-For $remote_addr;\n            proxy_set_header X-Original-Body"
FORM_HOST = "proxy_set_header X-Forwarded-Host $http_host;\n            proxy_set_header X-Forwarded-Uri"
FORM_ID = "proxy_set_header X-Original-Content-Length $form_length;\n            proxy_set_header X-Request-Id $request_id;"
FORM_SCHEME = "proxy_set_header X-Forwarded-Proto $scheme;\n            proxy_set_header X-Forwarded-Host $http_host;\n            proxy_set_header X-Forwarded-Uri"
PAGES_ADDRESS = "proxy_set_header X-Forwarded-For $remote_addr;\n            # What clients say"

# A host that clients choose.
CLAIMED_HOST = 'map $http_x_forwarded_host $claimed_host { "" $http_host; default $http_x_forwarded_host; }\n'

# What remains in the query where the proxy has no script for it: used up, and no secret without PLAINTEXT.
PARAMETERS = "no credential stays in the query or in a form"

# HAProxy 2.6 has it among what it calls experimental.
NORMALIZE = "global\n    expose-experimental-directives\nfrontend https\n    http-request normalize-uri "


@pytest.fixture(scope="module")
def server(new_server):
    return new_server(CONFIG, "patient")


@contextlib.contextmanager
def answering(status, headers=()):
    """Something at an address that answers everything with this."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def handle_one_request(self):
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in [*headers, ("Content-Length", "0")]:
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_):
            pass

    standing = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=standing.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{standing.server_port}"
    finally:
        standing.shutdown()
        standing.server_close()


def examine(server, proxy, echo=None, **environment):
    """The findings by check, whatever the exit code; what is bad must make it 1."""
    base = proxy if isinstance(proxy, str) else proxy.base
    line = ["doctor", "--proxy", base, "--format", "json", *(["--echo", echo] if echo else [])]
    done = subprocess.run(
        [str(binary()), *line, "--config", str(server.config), "--database-url", server.database],
        capture_output=True, text=True, env=clean_environment(**environment), timeout=120,
    )
    assert done.stdout, done.stderr
    findings = json.loads(done.stdout)
    bad = {finding["check"]: finding for finding in findings if finding["result"] == "bad"}
    assert done.returncode == (1 if bad else 0), done.stderr
    return findings, bad


def examine_broken(server, new_proxy, monkeypatch, folder, kind, name, line, wrong, **environment):
    """What the doctor finds wrong where one line of a configuration was changed."""
    for file in DEPLOY.iterdir():
        shutil.copy(file, folder)
    text = (folder / name).read_text()
    assert line in text, f"{name} has no {line!r}"
    text = text.replace(line, wrong)
    if "$claimed_host" in text:
        text = text.replace("http {\n", "http {\n    " + CLAIMED_HOST, 1)
    (folder / name).write_text(text)
    monkeypatch.setattr("proxies.DEPLOY", folder)
    echo = f"127.0.0.1:{free_port()}"
    proxy = new_proxy(kind, server.authority, echo)
    try:
        return examine(server, proxy, echo, **environment)[1]
    finally:
        proxy.stop()


def examine_sound(server, new_proxy, kind):
    """What the doctor finds, and what of it is wrong, behind a configuration of docs/deploy as it stands."""
    echo = f"127.0.0.1:{free_port()}"
    proxy = new_proxy(kind, server.authority, echo)
    try:
        findings, bad = examine(server, proxy, echo)
    finally:
        proxy.stop()
    return {finding["check"]: finding for finding in findings}, bad


def unknown(findings):
    return {check for check, finding in findings.items() if finding["result"] == "unknown"}


def assert_found(bad, check, seen, change=""):
    found = [finding for name, finding in bad.items() if check in name]
    assert found, bad
    assert seen in found[0]["seen"] and change in found[0]["change"] and found[0]["change"], found


@pytest.mark.parametrize(("kind", "wrong", "untold"), [
    ("nginx", {"the body of a form comes along"}, {PARAMETERS}),
    ("nginx-njs", set(), set()),
    ("caddy", set(), {PARAMETERS}),
    ("caddy-2.6", {"the body of a form comes along"}, {PARAMETERS}),
    # What no setting of Traefik changes, and docs/deploy says.
    ("traefik", {"the path arrives byte for byte"}, {PARAMETERS}),
    ("envoy", set(), set()),
])
def test_a_sound_deployment_is_found_sound(server, new_proxy, kind, wrong, untold):
    findings, bad = examine_sound(server, new_proxy, kind)
    assert set(bad) == wrong, bad
    assert unknown(findings) == untold
    assert server.json("account", "list") == [], "the doctor leaves nothing behind"


@pytest.mark.parametrize(("line", "wrong", "check", "seen"), [
    ("$scheme://$http_host$request_uri", "https://$http_host$request_uri", "scheme and host", "https://"),
    ("$scheme://$http_host$request_uri", "$scheme://$host$request_uri", "scheme and host", "without its port"),
    ("$scheme://$http_host$request_uri", "$scheme://$http_host$uri$is_args$args", "scheme and host", "no signature is accepted"),
    ("proxy_pass http://api;", "proxy_pass http://api$uri;", "the path arrives", "on the way to the API"),
    ('proxy_set_header Authorization "";', "", "no credential", "Authorization arrives"),
    ("proxy_set_header X-Auth-Impersonated-By $auth_impersonated_by;", "", "nobody can forge it", "x-auth-impersonated-by"),
    ("auth_request /_countersign_authz;", "", "without a credential", "instead of 401"),
    ('proxy_set_header X-Original-URL "";', "", "another path", "forged headers arrive: x-original-url"),
    ('proxy_set_header X-Original-URI "";', "", "another path", "forged headers arrive: x-original-uri"),
    ('proxy_set_header X-Rewrite-URL "";', "", "another path", "forged headers arrive: x-rewrite-url"),
    ("auth_request /_countersign_authz;", "if ($request_method = OPTIONS) { return 204; }\n            auth_request /_countersign_authz;", "without a credential", "OPTIONS passes"),
    (r"^/(oauth|", r"^/(authz|oauth|", "nobody outside", "is answered"),
    ("proxy_set_header X-Original-Method $request_method;", "", "without a credential", "403 instead of 401 (metadata_missing)"),
    ("proxy_pass http://countersign/authz/nginx;", "proxy_pass http://127.0.0.1:1/authz/nginx;", "without a credential", "500 instead of 401"),
    ('proxy_set_header X-Client-Key "";', "", "no credential", "X-Client-Key arrives"),
    ('proxy_set_header X-App-Key "";', "", "no credential", "X-App-Key arrives"),
    ("proxy_set_header Cookie $api_cookies;", "", "no credential", "the login's cookie arrives"),
    ("proxy_set_header X-Request-Id $request_id;", "", "good for once", "the client chose its X-Request-Id"),
    ("proxy_set_header X-Forwarded-For $remote_addr;", "", "choose their address", "203.0.113.77 is believed"),
    ("proxy_set_header X-Original-Content-Length $told_length;", "", "in the proxy's name", "says that it is empty"),
    ("proxy_set_header X-Original-Method $request_method;", "proxy_set_header X-Original-Method GET;", "its own method", "401 for a signed PUT"),
    ("proxy_pass http://api;", "proxy_method GET;\n            proxy_pass http://api;", "its own method", "PUT became GET"),
    (OWN_PATHS, OWN_PATHS.replace("proxy_set_header X-Forwarded-Host $http_host;", ""), "in the proxy's name", "countersign-doctor.invalid/oauth/request_token is accepted"),
    (OWN_PATHS, OWN_PATHS.replace("proxy_set_header X-Forwarded-Proto $scheme;", ""), "in the proxy's name", "/oauth/request_token is accepted"),
    ("$scheme://$http_host$request_uri", "$http_x_forwarded_proto://$http_x_forwarded_host$request_uri", "in the proxy's name", "says that it came there"),
])
def test_a_mistake_in_nginx_is_found_and_named(server, new_proxy, monkeypatch, tmp_path, line, wrong, check, seen):
    assert_found(examine_broken(server, new_proxy, monkeypatch, tmp_path, "nginx", "nginx.conf", line, wrong), check, seen)


@pytest.mark.parametrize(("name", "line", "wrong", "check", "seen"), [
    ("countersign.js", "body = r.requestText || ''", "body = ''", "body of a form", "as if it were empty"),
    ("nginx-njs.conf", "js_content countersign.form;", "proxy_pass http://api;", "without a credential", "POST with a form passes"),
    ("countersign.js", "kept.join('&')", "kept.reverse().join('&')", "the query arrives", "on the way to the API"),
    ("nginx-njs.conf", "auth_request /_countersign_authz;", "if ($request_method = OPTIONS) { return 204; }\n            auth_request /_countersign_authz;", "without a credential", "OPTIONS passes"),
    ("nginx-njs.conf", "proxy_set_header X-Original-Method $request_method;", "proxy_set_header X-Original-Method GET;", "its own method", "401 for a signed PUT"),
    ("nginx-njs.conf", "proxy_set_header X-Forwarded-Method $request_method;", "proxy_set_header X-Forwarded-Method POST;", "its own method", "401 for a signed DELETE with a form"),
    ("nginx-njs.conf", FORM_ID, FORM_ID.replace("proxy_set_header X-Request-Id $request_id;", ""), "good for once", "the same request with a form passes again"),
    ("nginx-njs.conf", FORM_ADDRESS, "proxy_set_header X-Original-Body", "choose their address", "a client with a form that says that it is 203.0.113.77 is believed"),
    ("nginx-njs.conf", PAGES_ADDRESS, "# What clients say", "choose their address", "is believed at the login page"),
    ("nginx-njs.conf", FORM_HOST, FORM_HOST.replace("$http_host", "$claimed_host"), "in the proxy's name", "countersign-doctor.invalid/countersign-doctor with a form is accepted"),
    ("countersign.js", "'X-Auth-Scopes', ", "", "nobody can forge it", "x-auth-scopes is missing or another's with a form"),
    ("nginx-njs.conf", "proxy_pass http://api$api_target;", "proxy_pass http://api$uri$is_args$args;", "the path arrives", "on the way to the API"),
])
def test_a_mistake_in_njs_is_found_and_named(server, new_proxy, monkeypatch, tmp_path, name, line, wrong, check, seen):
    assert_found(examine_broken(server, new_proxy, monkeypatch, tmp_path, "nginx-njs", name, line, wrong), check, seen)


@pytest.mark.parametrize(("line", "wrong", "name"), [
    (FORM_HOST, "proxy_set_header X-Forwarded-Uri", "X-Forwarded-Host"),
    (FORM_SCHEME, FORM_HOST, "X-Forwarded-Proto"),
])
def test_what_a_question_about_a_form_lacks_is_named(server, new_proxy, monkeypatch, tmp_path, line, wrong, name):
    bad = examine_broken(server, new_proxy, monkeypatch, tmp_path, "nginx-njs", "nginx-njs.conf", line, wrong)
    assert set(bad) == {"the body of a form comes along"}
    assert_found(bad, "body of a form", f"the question about it has no {name}", f"proxy_set_header {name} $")


def test_a_client_key_goes_by_the_names_of_the_configuration(new_server, new_proxy):
    server = new_server(CONFIG + '[http_auth]\nclient_key_headers = ["X-My-Key"]\nclient_key_query = ["my_key"]\n', "renamed")
    findings, bad = examine_sound(server, new_proxy, "nginx-njs")
    assert set(bad) == {"no credential reaches the API"}
    assert_found(bad, "no credential reaches", "X-My-Key arrives", "http_auth.client_key_headers")
    assert "in the query the API gets my_key:" in findings[PARAMETERS]["seen"]
    assert findings["clients do not choose their address"]["result"] == "good", "the guesses have the key beside them"


def test_parameters_that_stay_in_the_query_are_named(server, new_proxy, monkeypatch, tmp_path):
    monkeypatch.setattr("proxies.DEPLOY", tmp_path)
    for file in DEPLOY.iterdir():
        shutil.copy(file, tmp_path)
    script = tmp_path / "countersign.js"
    assert "!isCredential(pair)" in script.read_text()
    script.write_text(script.read_text().replace("!isCredential(pair)", "true"))
    findings, bad = examine_sound(server, new_proxy, "nginx-njs")
    assert not bad
    assert findings[PARAMETERS]["result"] == "unknown"
    assert re.search("in the query the API gets client_key, oauth_.*oauth_signature", findings[PARAMETERS]["seen"])


@pytest.mark.parametrize(("kind", "place"), [("nginx", "the query"), ("nginx-njs", "a form")])
def test_parameters_that_stay_are_wrong_where_they_may_be_secrets(new_server, new_proxy, kind, place):
    server = new_server(CONFIG + '[oauth]\nplaintext = "always"\n', "plain")
    _, bad = examine_sound(server, new_proxy, kind)
    assert_found(bad, PARAMETERS, f"in {place} the API gets", 'oauth.plaintext = "never"')


@pytest.mark.parametrize("status", [400, 401, 403, 500])
def test_a_refusal_of_the_api_is_not_taken_for_one_of_the_gateway(server, new_proxy, status):
    with answering(status) as api:
        proxy = new_proxy("nginx-njs", server.authority, api)
        findings, bad = examine(server, proxy)
        proxy.stop()
    assert [finding["result"] for finding in findings] == ["good", "bad"]
    assert_found(bad, "an admitted request is answered", f"the API answered {status}: choose another --path", "--path")


@pytest.mark.parametrize("status", [200, 404, 429, 501])
def test_what_else_the_api_answers_does_not_matter(server, new_proxy, status):
    with answering(status) as api:
        proxy = new_proxy("nginx-njs", server.authority, api)
        findings, bad = examine(server, proxy)
        proxy.stop()
    assert not bad
    assert all("only the API can tell" in finding["seen"] for finding in findings if finding["result"] == "unknown")


def test_an_api_that_nobody_guards_is_not_taken_for_the_gateway(server):
    with answering(401, [("WWW-Authenticate", 'Basic realm="its own"')]) as api:
        _, bad = examine(server, f"http://{api}")
    assert_found(bad, "without a credential", "401 that is not Countersign's", "auth_request")


@pytest.mark.parametrize("methods", ['["basic", "api_key"]', '["session"]'])
def test_a_route_without_signatures_is_said_and_nothing_is_blamed(new_server, new_proxy, methods):
    findings, bad = examine_sound(new_server(f"{CONFIG}methods = {methods}\n", "unsigned"), new_proxy, "nginx-njs")
    assert not bad
    assert "does not admit oauth1" in findings["scheme and host are those that clients use"]["seen"]
    guessed = findings["clients do not choose their address"]
    assert guessed["result"] == ("good" if "basic" in methods else "unknown")


def test_a_route_that_wants_hashes_of_bodies_gets_them(new_server, new_proxy):
    findings, bad = examine_sound(new_server(f'{CONFIG}body_hash = "required"\n', "hashed"), new_proxy, "nginx")
    assert set(bad) == {"the body of a form comes along"}, bad
    assert unknown(findings) == {PARAMETERS}


def test_where_clients_are_sent_to_tls_the_url_is_what_is_wrong(server):
    with answering(301, [("Location", "https://api.example.com/")]) as proxy:
        findings, bad = examine(server, f"http://{proxy}")
    assert len(findings) == 1
    assert_found(bad, "without a credential", "301 to https://api.example.com/", "use the https URL")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_examination_that_is_ended_leaves_nothing_behind(server, number):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        line = [str(binary()), "doctor", "--proxy", f"http://127.0.0.1:{silent.getsockname()[1]}"]
        line += ["--config", str(server.config), "--database-url", server.database]
        doctor = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment())
        # It asks with the token that it has made, and hears nothing.
        silent.settimeout(30)
        connection, _ = silent.accept()
        tokens = server.json("token", "list")
        doctor.send_signal(number)
        _, said = doctor.communicate(timeout=20)
        connection.close()
    assert doctor.returncode == 1 and b"ended before the examination was" in said
    assert server.json("account", "list") == []
    assert tokens and all(token["expires_at"] for token in tokens), "and if it could not, they would end by themselves"


@pytest.mark.parametrize(("line", "wrong", "check", "seen"), [
    (" X-Auth-Client X-", " X-", "nobody can forge it", "x-auth-client is missing"),
    (" X-Auth-External-Id X-", " X-", "nobody can forge it", "x-auth-external-id is missing"),
    (" X-Auth-Scopes X-", " X-", "nobody can forge it", "x-auth-scopes is missing"),
    ("header_up X-Auth-Account {http.request.header.X-Auth-Account}", "", "nobody can forge it", "x-auth-account is lost"),
    ("header_up X-Auth-Scopes {http.request.header.X-Auth-Scopes}", "", "nobody can forge it", "x-auth-scopes is lost"),
    ("request_header -X-Rewrite*", "", "another path", "x-rewrite-url"),
    ("request_header -X-Original*", "", "another path", "x-original-url"),
    ("header_up -Authorization", "", "no credential", "Authorization arrives"),
    ("header_up X-Request-Id {http.request.uuid}", "", "good for once", "the client chose its X-Request-Id"),
    ("header_up X-Original-Body {http.request.body_base64}", "", "the body of a form", "body_unavailable"),
    ("reverse_proxy 127.0.0.1:3000 {", "reverse_proxy 127.0.0.1:3000 {\n\t\t\t\tmethod GET", "its own method", "PUT became GET"),
    ("uri /authz/forward", "uri /authz/forward?x\n\t\t\t\theader_up X-Forwarded-Method GET", "its own method", "401 for a signed PUT"),
    ("uri /authz/forward", "uri /authz/forward?x\n\t\t\t\theader_up X-Forwarded-Uri {http.request.uri.path}", "the query arrives", "not accepted"),
    ("request_header @upgrade -Upgrade", "", "no other protocol", "switch to h2c"),
    ("^/(oauth|", "^/(authz|oauth|", "nobody outside", "is answered"),
])
def test_a_mistake_in_caddy_is_found_and_named(server, new_proxy, monkeypatch, tmp_path, line, wrong, check, seen):
    assert_found(examine_broken(server, new_proxy, monkeypatch, tmp_path, "caddy", "Caddyfile", line, wrong), check, seen)


@pytest.mark.parametrize(("line", "wrong", "check", "seen"), [
    ("          - X-Auth-Scopes\n", "", "nobody can forge it", "x-auth-scopes"),
    ("forwardBody: true", "forwardBody: false", "the body of a form", "judged as if it were empty"),
    ("[no-forged-identity, countersign, no-credentials]", "[no-forged-identity, no-credentials]", "without a credential", "passes"),
    ("Authorization: \"\"", "X-Other: \"\"", "no credential reaches", "Authorization arrives"),
    ("          - Cookie\n", "", "no credential reaches", "the login's cookie arrives"),
    ("X-Rewrite-Url: \"\"", "X-Other: \"\"", "another path", "x-rewrite-url"),
    ("          Upgrade: \"\"", "          X-Other: \"\"", "no other protocol", "offered to switch"),
    ("^/(oauth|", "^/(authz|oauth|", "nobody outside", "is answered"),
])
def test_a_mistake_in_traefik_is_found_and_named(server, new_proxy, monkeypatch, tmp_path, line, wrong, check, seen):
    assert_found(examine_broken(server, new_proxy, monkeypatch, tmp_path, "traefik", "traefik-dynamic.yaml", line, wrong), check, seen)


@pytest.mark.parametrize(("line", "wrong", "check", "seen"), [
    ("normalize_path: false", "normalize_path: true", "read in two ways", "became another path"),
    ("merge_slashes: false", "merge_slashes: true", "read in two ways", "became another path"),
    ("with_request_body: { max_request_bytes: 1048576, allow_partial_message: true }", "", "the body of a form", "judged as if it were empty"),
    ("{ prefix: x-auth-, ignore_case: true }", "{ prefix: x-auth-a, ignore_case: true }", "nobody can forge it", "x-auth-external-id is missing"),
    ("request_headers_to_remove: [authorization, ", "request_headers_to_remove: [", "no credential reaches", "Authorization arrives"),
    ("name:sub(1, 12) == \"countersign_\"", "name == \"other\"", "no credential reaches", "cookie arrives"),
    ("|x[^a-z0-9]rewrite[^a-z0-9]url", "", "another path", "x-rewrite-url"),
    ("(auth|forwarded|original)", "(auth|forwarded)", "another path", "x-original-url"),
    ("- { safe_regex: { regex: \"x[^a-z0-9](http[^a-z0-9])?method([^a-z0-9]override)?\" } }", "", "its own method", "the API hears x-http-method-override"),
    ("/(oauth|", "/(authz|oauth|", "nobody outside", "is answered"),
])
def test_a_mistake_in_envoy_is_found_and_named(server, new_proxy, monkeypatch, tmp_path, line, wrong, check, seen):
    assert_found(examine_broken(server, new_proxy, monkeypatch, tmp_path, "envoy", "envoy.yaml", line, wrong), check, seen)


@pytest.mark.parametrize(("line", "wrong", "check", "seen"), [
    (None, None, None, None),
    ("http-request set-header X-Forwarded-Proto https\n", "", "scheme and host", "the other scheme"),
    ("http-request set-header X-Forwarded-Host %[req.hdr(host)]\n", "http-request set-header X-Forwarded-Host internal\n", "scheme and host", "no signature is accepted"),
    ("frontend https\n", NORMALIZE + "percent-to-uppercase\n", "the path arrives", "%c3%a4 is not accepted"),
    ("frontend https\n", NORMALIZE + "path-merge-slashes\n", "read in two ways", "//countersign-doctor became another path"),
    ("frontend https\n", NORMALIZE + "path-strip-dot\n", "read in two ways", "/./countersign-doctor became another path"),
    ("frontend https\n", NORMALIZE + "path-strip-dotdot\n", "read in two ways", "/../countersign-doctor became another path"),
    ("default_backend countersign", "http-request set-path %[path,url_dec]\n    default_backend countersign", "the path arrives", "not accepted"),
    ("http-request deny deny_status 404 if { path,url_dec -m reg ^/authz(/|$) }", "", "nobody outside", "is answered"),
])
def test_haproxy_before_the_built_in_proxy_is_examined_too(new_server, new_proxy, monkeypatch, tmp_path, line, wrong, check, seen):
    echo = f"127.0.0.1:{free_port()}"
    server = new_server(CONFIG + f'[upstream]\nurl = "http://{echo}"\n', "inline-patient")
    for file in DEPLOY.iterdir():
        shutil.copy(file, tmp_path)
    if line:
        text = (tmp_path / "haproxy.cfg").read_text()
        assert line in text
        (tmp_path / "haproxy.cfg").write_text(text.replace(line, wrong))
    monkeypatch.setattr("proxies.DEPLOY", tmp_path)
    proxy = new_proxy("haproxy", server.authority, echo)
    findings, bad = examine(server, proxy, echo, SSL_CERT_FILE=str(proxy.certificate))
    proxy.stop()
    server.kill()
    if check:
        assert_found(bad, check, seen)
    else:
        assert not bad and all(finding["result"] == "good" for finding in findings)


def test_a_proxy_that_is_not_trusted_is_named(new_server, new_proxy):
    untrusting = new_server("", "untrusting-patient")
    echo = f"127.0.0.1:{free_port()}"
    proxy = new_proxy("nginx", untrusting.authority, echo)
    _, bad = examine(untrusting, proxy, echo)
    assert_found(bad, "without a credential", "untrusted_proxy", "server.trusted_proxies")


def test_countersign_itself_is_sound_without_a_proxy_in_front(new_server):
    echo = f"127.0.0.1:{free_port()}"
    server = new_server(f'[upstream]\nurl = "http://{echo}"\n[[route]]\npath = "/**"\nscopes = {{ "*" = ["thing:read"] }}\n', "alone")
    findings, bad = examine(server, server.base, echo)
    assert not bad and all(finding["result"] == "good" for finding in findings)


def test_a_server_that_is_known_by_another_address_is_named(new_server):
    echo = f"127.0.0.1:{free_port()}"
    server = new_server(f'[server]\npublic_url = "https://api.example.com"\n[upstream]\nurl = "http://{echo}"\n', "known")
    _, bad = examine(server, server.base, echo)
    assert_found(bad, "scheme and host", "known by https://api.example.com (server.public_url)", "server.public_url")


def test_an_api_that_is_down_is_said_and_nothing_else_is_blamed(server, new_proxy):
    proxy = new_proxy("nginx", server.authority, f"127.0.0.1:{free_port()}")
    findings, bad = examine(server, proxy)
    assert [finding["result"] for finding in findings] == ["good", "bad"]
    assert_found(bad, "an admitted request is answered", "502: the API behind does not answer", "--echo")


def test_a_route_for_another_host_than_the_public_one_is_named(new_proxy, tmp_path):
    server = Server(tmp_path / "public")
    echo = f"127.0.0.1:{free_port()}"
    proxy = new_proxy("nginx-njs", server.authority, echo)
    route = '[[route]]\npath = "/inner/**"\nhosts = ["*.internal"]\n[[route]]\npath = "/outer/**"\nhosts = ["127.*"]\n'
    public = CONFIG.replace("[server]", f'[server]\npublic_url = "{proxy.base}"')
    server.config.write_text(public.replace("[[route]]", f"{route}[[route]]"))
    server.start()
    try:
        _, bad = examine(server, proxy, echo)
    finally:
        server.kill()
    assert set(bad) == {"routes can match"}
    assert_found(bad, "routes can match", "no request reaches /inner/**: its hosts are others than 127.0.0.1", "public_url")


def test_another_database_is_said(server, new_proxy, tmp_path):
    other = Server(tmp_path / "other", CONFIG)
    proxy = new_proxy("nginx", server.authority, "127.0.0.1:1")
    with pytest.raises(CommandFailed) as failed:
        other.command("doctor", "--proxy", proxy.base)
    assert re.search("another database", failed.value.said)


def test_an_examination_that_can_not_begin_leaves_no_account_behind(tmp_path):
    server = Server(tmp_path / "unwilling", CONFIG, database=f"sqlite://{tmp_path}/x.db")
    server.json("account", "list")
    with sqlite3.connect(server.database.removeprefix("sqlite://")) as database:
        database.execute("CREATE TRIGGER unwilling BEFORE INSERT ON clients BEGIN SELECT RAISE(ABORT, 'no more'); END")
    with pytest.raises(CommandFailed) as failed:
        server.command("doctor", "--proxy", "http://127.0.0.1:1")
    assert "no more" in failed.value.said
    assert server.json("account", "list") == []


@pytest.mark.parametrize(("line", "wrong", "found"), [
    ("$scheme://$http_host$request_uri", "https://$http_host$request_uri", {"scheme and host are those that clients use"}),
    ("proxy_pass http://countersign/authz/nginx;", "proxy_pass http://countersign/authz/forward;", {"a request without a credential is refused", "scheme and host are those that clients use", "what clients say in the proxy's name is not believed"}),
    ("auth_request /_countersign_authz;", "", {"a request without a credential is refused"}),
])
def test_what_a_mistake_makes_unknowable_is_not_blamed(server, new_proxy, monkeypatch, tmp_path, line, wrong, found):
    bad = examine_broken(server, new_proxy, monkeypatch, tmp_path, "nginx", "nginx.conf", line, wrong)
    assert set(bad) == found, bad
