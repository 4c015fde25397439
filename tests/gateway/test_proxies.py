"""Real proxies that ask Countersign, with the configurations of docs/deploy: real clients through each of them."""

import json
import socket
import subprocess

import proxies
import pytest
import signer
import wire
from browser import logged_in
from requests_oauthlib import OAuth1Session

ODD_TARGETS = [
    "/things/a%20b?x=1&x=0&y=",
    "/things/%C3%A4?q=%2F%3F&e=%20+",
    "/things/a;b=c/d.e?=&==",
    "/things/AbC~?a=b?c/d",
    "/things?",
]

# What proxies that normalize write in another way.
UNUSUAL_TARGET = "/things/AbC%2d/%c3%a4"

FORM = ("Content-Type", "application/x-www-form-urlencoded")


def sign(proxy, world, verb, target, **more):
    value = signer.authorization(verb, f"{proxy.base}{target}", world.client, world.token, **more)
    return [("Authorization", value)]


def seen(answer):
    """What the API received; the answer must be good."""
    assert answer.status == 200, f"{answer.status} {answer.headers} {answer.body[:300]!r}"
    received = answer.json
    received["headers"] = dict(received["headers"])
    return received


def session(world, **more):
    made = OAuth1Session(world.client.key, world.client.secret, world.token.token, world.token.secret, **more)
    made.trust_env = False
    return made


def curl(*arguments):
    line = ["curl", "-sS", "--max-time", "60", "-w", "\n%{http_code}", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


@pytest.mark.parametrize("target", ODD_TARGETS)
def test_a_signed_target_arrives_byte_for_byte(advised, behind, target):
    assert seen(advised.send("GET", target, sign(advised, behind, "GET", target)))["target"] == target


@pytest.mark.parametrize("kind", ["nginx", "nginx-njs", "caddy", "caddy-2.6", "envoy"])
def test_a_target_in_unusual_spelling_arrives_as_it_was_signed(advised_by, behind, kind):
    proxy = advised_by(kind)
    assert seen(proxy.send("GET", UNUSUAL_TARGET, sign(proxy, behind, "GET", UNUSUAL_TARGET)))["target"] == UNUSUAL_TARGET


def test_traefik_spells_a_target_anew_and_its_signature_is_refused(advised_by, behind):
    """Should this fail one day, Traefik can be told to leave paths alone, and docs/deploy may say so."""
    traefik = advised_by("traefik")
    answer = traefik.send("GET", UNUSUAL_TARGET, sign(traefik, behind, "GET", UNUSUAL_TARGET))
    assert (answer.status, answer.one("X-Auth-Error")) == (401, "signature_invalid")
    usual = "/things/AbC-/%C3%A4"
    assert seen(traefik.send("GET", UNUSUAL_TARGET, sign(traefik, behind, "GET", usual)))["target"] == usual


def test_the_api_hears_who_is_calling_and_no_credential(advised, behind):
    headers = seen(advised.send("GET", "/things", sign(advised, behind, "GET", "/things")))["headers"]
    assert headers["x-auth-account"] == behind.owner.username
    assert headers["x-auth-company"] == "acme"
    assert headers["x-auth-client"] == behind.client.key
    assert headers["x-auth-credential"] == "oauth1"
    assert headers["x-auth-scopes"] == "thing:read"
    assert not headers.get("x-auth-impersonated-by") and not headers.get("x-auth-assertion")
    assert "authorization" not in headers


@pytest.mark.parametrize("name", [
    "X-Auth-Account", "X_Auth_Account", "x-auth_account", "X-AUTH-COMPANY", "X-Auth-Impersonated-By", "X_AUTH_SCOPES",
    "X.Auth.Account", "X-Auth.Scopes", "x.auth_account", "X-Auth-External.Id", "X-Auth-Impersonated~By", "X-Auth-Impersonated_By",
])
def test_identity_headers_of_the_client_do_not_arrive(advised, behind, name):
    headers = sign(advised, behind, "GET", "/things")
    answer = advised.send("GET", "/things", [*headers, (name, "forged")])
    if set(name) & set(".~_") and answer.status == 403:
        assert answer.one("X-Auth-Error") == "forged_identity", "a proxy that knows no patterns can't drop it"
    else:
        assert "forged" not in seen(answer)["headers"].values()


def test_a_client_can_not_take_identity_headers_away(advised, behind):
    taken = ("Connection", "X-Auth-Account, X-Auth-Scopes, X-Auth-Credential")
    headers = seen(advised.send("GET", "/things", [*sign(advised, behind, "GET", "/things"), taken]))["headers"]
    assert headers["x-auth-account"] == behind.owner.username
    assert (headers["x-auth-scopes"], headers["x-auth-credential"]) == ("thing:read", "oauth1")


@pytest.mark.parametrize("name", ["Forwarded", "X-Real-IP", "X-Forwarded-Port", "X-Forwarded-Scheme", "X-Forwarded-Prefix", "X-Forwarded-User"])
def test_what_a_client_says_of_the_way_does_not_arrive(advised, behind, name):
    headers = sign(advised, behind, "GET", "/things")
    sent = seen(advised.send("GET", "/things", [*headers, (name, "6666")]))["headers"]
    assert "6666" not in sent.values()


@pytest.mark.parametrize("path", ["/account", "/apps", "/developer/clients", "/admin/accounts"])
def test_the_pages_are_reached_through_the_proxy(advised, path):
    answer = advised.send("GET", path)
    assert answer.status == 303 and "/login?next=" in answer.one("Location"), answer


@pytest.mark.parametrize("claimed", [("X-Forwarded-Port", "6666"), ("X-Forwarded-Scheme", "ftp"), ("X-Forwarded-Host", "h.example")])
def test_what_a_client_says_of_the_origin_is_not_signed_for(advised, behind, claimed):
    url = f"{advised.base}/oauth/request_token"
    signed = signer.authorization("POST", url, behind.client, oauth_callback=behind.client.callback)
    answer = advised.send("POST", "/oauth/request_token", [("Authorization", signed), claimed])
    assert answer.status == 200, answer


@pytest.mark.parametrize("name", ["X-Original-URL", "X-Original-URI", "X-Rewrite-URL", "X_Original_URL", "X-Original.URL", "X-Rewrite_URL"])
def test_no_header_tells_the_api_another_path(advised, behind, name):
    headers = sign(advised, behind, "GET", "/things")
    answer = advised.send("GET", "/things", [*headers, (name, "/strict/x")])
    if set(name) & set("._") and answer.status == 403:
        assert answer.one("X-Auth-Error") == "forged_identity"
    else:
        assert "/strict/x" not in seen(answer)["headers"].values()


def test_a_browser_without_a_session_is_sent_to_the_login(advised):
    answer = advised.send("GET", "/page/x?auth=session")
    login = f"{advised.base}/login?next=%2Fpage%2Fx%3Fauth%3Dsession"
    assert (answer.status, answer.one("Location")) == (302, login)


def test_without_a_credential_it_is_401_with_a_challenge(advised):
    answer = advised.send("GET", "/things")
    assert answer.status == 401
    assert answer.all("WWW-Authenticate")[0].startswith("Digest ")


def test_a_wrong_signature_is_401_and_a_used_nonce_too(advised, behind):
    headers = sign(advised, behind, "GET", "/things")
    assert advised.send("GET", "/things?added=1", headers).status == 401
    assert advised.send("GET", "/things", headers).status == 200
    assert advised.send("GET", "/things", headers).status == 401


def test_a_missing_scope_is_403(advised, behind):
    assert advised.send("DELETE", "/strict/x", sign(advised, behind, "DELETE", "/strict/x")).status == 403
    assert advised.send("GET", "/strict/x", sign(advised, behind, "GET", "/strict/x")).status == 200


@pytest.mark.parametrize("target", ["/strict/../things", "/things//x", "/things/%2e%2e/x", "/a%2fb", "/Strict/x", "/strict;a/x"])
def test_a_path_that_readers_read_differently_does_not_pass(advised, behind, target):
    answer = advised.send("GET", target, sign(advised, behind, "GET", target))
    assert answer.status in (400, 403), f"{answer.status} {answer.body[:200]!r}"


def test_requests_oauthlib_gets_through(advised, behind):
    with session(behind) as made:
        assert made.get(f"{advised.base}/things/ä?q=a b&r=ü").status_code == 200
        assert made.post(f"{advised.base}/things", json={"a": 1}).json()["body"] == '{"a": 1}'
        assert made.delete(f"{advised.base}/things/1").status_code == 200
    with session(behind, signature_type="query") as made:
        assert made.get(f"{advised.base}/things?x=1").status_code == 200


def test_curl_gets_through_by_basic_digest_and_key(advised, behind):
    owner = f"{behind.owner.username}:{behind.owner.password}"
    url, client = f"{advised.base}/things?a=1", ["-H", f"X-Client-Key: {behind.client.key}"]
    status, body = curl("--basic", "-u", owner, *client, url)
    assert status == 200 and "x-client-key" not in body
    assert curl("--digest", "-u", owner, *client, url)[0] == 200
    assert curl("-u", f"{behind.key.public}:{behind.key.private}", url)[0] == 200
    assert curl("-u", f"{behind.key.public}:wrong", url)[0] == 401
    status, body = curl("-u", owner, *client, "-X", "PUT", "-H", "Content-Type: application/json", "-d", '{"a":1}', url)
    assert status == 200 and json.loads(body)["body"] == '{"a":1}'


def test_a_form_without_its_body_is_refused_by_name(behind, without_bodies):
    body = "a=1&b=x+y"
    headers = [*sign(without_bodies, behind, "POST", "/things", form=body), FORM]
    answer = without_bodies.send("POST", "/things", headers, body)
    assert (answer.status, answer.one("X-Auth-Error")) == (403, "body_unavailable")


def test_an_empty_form_gets_through(advised, behind):
    headers = [*sign(advised, behind, "POST", "/things"), ("Content-Type", "application/x-www-form-urlencoded")]
    assert seen(advised.send("POST", "/things", headers, b""))["size"] == 0


def test_a_signed_form_gets_through(behind, sending_forms):
    body = "a=1&b=x+y&c=%C3%A4"
    headers = [*sign(sending_forms, behind, "POST", "/things?q=1", form=body), FORM]
    received = seen(sending_forms.send("POST", "/things?q=1", headers, body))
    assert (received["method"], received["target"], received["body"]) == ("POST", "/things?q=1", body)
    assert received["headers"]["x-auth-account"] == behind.owner.username
    refused = sending_forms.send("POST", "/things?q=1", headers, body + "&d=1")
    assert refused.status == 401 and refused.all("WWW-Authenticate")
    with session(behind) as made:
        assert made.post(f"{sending_forms.base}/things", data={"a": "1", "ü": "x y"}).status_code == 200
    with session(behind, signature_type="body") as made:
        answer = made.post(f"{sending_forms.base}/things", data={"a": "1"}, headers=dict([FORM]))
        assert answer.status_code == 200


@pytest.mark.parametrize("verb", ["POST", "DELETE", "GET", "PROPFIND"])
@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "\tAPPLICATION/X-WWW-FORM-URLENCODED;charset=UTF-8"])
def test_a_chunked_form_is_read_to_judge_it(behind, sending_forms, verb, content_type):
    def answer(body):
        name, value = sign(sending_forms, behind, verb, "/things", form="a=1")[0]
        lines = [f"{verb} /things HTTP/1.1", f"Host: {sending_forms.authority}", "Connection: close", f"{name}: {value}"]
        lines += [f"Content-Type: {content_type}", "Transfer-Encoding: chunked"]
        chunks = f"{len(body):x}\r\n{body}\r\n0\r\n\r\n"
        return sending_forms.exchange(("\r\n".join(lines) + "\r\n\r\n" + chunks).encode(), verb)

    assert answer("a=2").status == 401
    assert seen(answer("a=1"))["body"] == "a=1"


@pytest.mark.parametrize(("kind", "status", "why"), [
    ("nginx-njs", 413, None), ("caddy", 403, "body_unavailable"), ("traefik", 401, None), ("envoy", 403, "body_unavailable"),
])
def test_a_form_too_large_to_be_judged_does_not_pass(behind, advised_by, kind, status, why):
    proxy, body = advised_by(kind), "a=" + "x" * 1_500_000
    answer = proxy.send("POST", "/things", [*sign(proxy, behind, "POST", "/things", form=body), FORM], body)
    assert (answer.status, next(iter(answer.all("X-Auth-Error")), None)) == (status, why)


@pytest.mark.parametrize("kind", ["nginx", "nginx-njs", "caddy", "traefik", "envoy"])
def test_where_hashes_of_bodies_are_asked_for_a_request_without_a_body_passes(behind, advised_by, kind):
    proxy = advised_by(kind)
    headers = sign(proxy, behind, "GET", "/hashed/x", oauth_body_hash=signer.body_hash(b""))
    assert seen(proxy.send("GET", "/hashed/x", headers))["size"] == 0


def test_envoy_sends_bodies_whose_hash_is_asked_for(behind, advised_by):
    envoy = advised_by("envoy")

    def status(sent):
        headers = sign(envoy, behind, "PUT", "/hashed/x", oauth_body_hash=signer.body_hash(b"{}"))
        return envoy.send("PUT", "/hashed/x", [*headers, ("Content-Type", "application/json")], sent).status

    assert (status("{}"), status("[]")) == (200, 401)


@pytest.mark.parametrize("kind", ["nginx-njs", "envoy"])
def test_proxies_with_a_script_take_credentials_out_of_the_query(behind, advised_by, kind):
    proxy = advised_by(kind)
    parameters = signer.sign("GET", f"{proxy.base}/things?a=%2F&client_key={behind.client.key}&b", behind.client, behind.token)
    target = f"/things?a=%2F&client_key={behind.client.key}&{signer.form_encoded(parameters)}&b"
    assert seen(proxy.send("GET", target))["target"] == "/things?a=%2F&b"
    alone = signer.sign("GET", f"{proxy.base}/things", behind.client, behind.token)
    assert seen(proxy.send("GET", f"/things?{signer.form_encoded(alone).replace('oauth_', '%6fauth_')}"))["target"] == "/things"


@pytest.mark.parametrize(("sent", "arrives"), [
    ("a=1; countersign_session=s; b=2", "a=1; b=2"),
    ("a=1; countersign_session=s; countersign_visitor=v", "a=1"),
    ("countersign_session=s; a=1", "a=1"),
    ("a=1; countersign_visitor=v; b=2; countersign_session=s; c=3", "a=1; b=2; c=3"),
    ("countersign_visitor=v; countersign_session=s", ""),
    ("companyName=acme; memberId=m; memberHash=h; a=1", "companyName=acme; memberId=m; a=1"),
    ("memberHash=h; countersign_session=s; a=1", "a=1"),
    ("a=1", "a=1"),
    # Of others, whose names end or begin like ours.
    ("__Host-countersign_session=s; a=1", "__Host-countersign_session=s; a=1"),
    ("xcountersign_session=1; a=2", "xcountersign_session=1; a=2"),
    ("a=1; my-countersign_visitor=keep", "a=1; my-countersign_visitor=keep"),
])
def test_the_login_s_cookies_stay_behind(advised, behind, sent, arrives):
    headers = [*sign(advised, behind, "GET", "/things"), ("Cookie", sent)]
    assert seen(advised.send("GET", "/things", headers))["headers"].get("cookie", "").strip("; ") == arrives


def test_of_two_login_cookies_none_arrives(advised, behind):
    headers = [*sign(advised, behind, "GET", "/things"), ("Cookie", "countersign_session=s1; countersign_session=s2; a=1")]
    assert "countersign" not in seen(advised.send("GET", "/things", headers))["headers"].get("cookie", "")


def test_the_whole_dance_runs_through_the_proxy(advised, behind):
    made = OAuth1Session(behind.client.key, behind.client.secret, callback_uri=behind.client.callback)
    made.trust_env = False
    with made:
        assert made.fetch_request_token(f"{advised.base}/oauth/request_token")["oauth_callback_confirmed"] == "true"


def test_nginx_may_ask_twice_about_one_request(behind, api, new_proxy, monkeypatch, tmp_path):
    """try_files leads to another location, whose auth_request asks again about the same request."""
    text = (proxies.DEPLOY / "nginx.conf").read_text()
    twice = """
        location /twice {
            auth_request /_countersign_authz;
            try_files /none /again;
        }
        location = /again {
            auth_request /_countersign_authz;
            proxy_pass http://api;
        }
        location / {
"""
    (tmp_path / "nginx.conf").write_text(proxies.replaced(text, "        location / {\n", twice))
    monkeypatch.setattr(proxies, "DEPLOY", tmp_path)
    proxy = new_proxy("nginx", behind.server.authority, api.authority)
    for _ in range(3):
        assert proxy.send("GET", "/twice", sign(proxy, behind, "GET", "/twice")).status == 200
    once = sign(proxy, behind, "GET", "/twice")
    assert [proxy.send("GET", "/twice", once).status for _ in range(2)] == [200, 401]


def test_a_web_socket_gets_through(advised, behind):
    lines = ["GET /ws HTTP/1.1", f"Host: {advised.authority}", "Connection: Upgrade", "Upgrade: websocket"]
    name, value = sign(advised, behind, "GET", "/ws")[0]

    def upgrade(*more):
        connection = socket.create_connection((advised.host, advised.port), timeout=30)
        connection.sendall("\r\n".join([*lines, *more]).encode() + b"\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1) or pytest.fail("closed")
        return connection, head.decode()

    connection, head = upgrade()
    connection.close()
    assert head.startswith("HTTP/1.1 401")
    connection, head = upgrade(f"{name}: {value}")
    assert head.startswith("HTTP/1.1 101")
    with connection:
        connection.sendall(b"\x81\x05hello")
        assert connection.makefile("rb").read(7) == b"\x81\x05hello"


@pytest.mark.parametrize("upgrades", [["h2c"], ["foo"], ["TLS/1.0"], ["websocket", "h2c"], ["h2c", "websocket"], ["wetsocket"]])
def test_no_other_upgrade_reaches_the_api(advised, behind, upgrades):
    """Whatever follows it would not be asked about."""
    headers = [*sign(advised, behind, "GET", "/things"), ("Connection", "Upgrade, HTTP2-Settings")]
    headers += [("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA"), *(("Upgrade", name) for name in upgrades)]
    lines = ["GET /things HTTP/1.1", f"Host: {advised.authority}", *(": ".join(header) for header in headers)]
    with socket.create_connection((advised.host, advised.port), timeout=30) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        answer = wire.read_answer(connection, "GET")
    if answer.status == 200:
        assert set(upgrades) & {value for name, value in answer.json["headers"] if name == "upgrade"} <= {"websocket"}
    else:
        assert answer.status in (101, 400, 403, 426), answer


def test_a_large_upload_gets_through(advised, behind):
    headers = [*sign(advised, behind, "PUT", "/things"), ("Content-Type", "application/octet-stream")]
    assert seen(advised.send("PUT", "/things", headers, b"x" * 3_000_000))["size"] == 3_000_000


def test_nginx_lets_an_empty_form_through_that_says_nothing_of_its_length(behind, nginx, njs):
    for proxy in (nginx, njs):
        name, value = sign(proxy, behind, "POST", "/things")[0]
        lines = ["POST /things HTTP/1.1", f"Host: {proxy.authority}", f"{name}: {value}", ": ".join(FORM)]
        assert seen(proxy.exchange("\r\n".join(lines).encode() + b"\r\n\r\n", "POST"))["size"] == 0


@pytest.mark.parametrize("verb", ["POST", "DELETE", "GET"])
def test_nginx_does_not_take_a_chunked_form_for_an_empty_one(behind, nginx, verb):
    name, value = sign(nginx, behind, verb, "/things")[0]
    lines = [f"{verb} /things HTTP/1.1", f"Host: {nginx.authority}", f"{name}: {value}", ": ".join(FORM), "Transfer-Encoding: chunked"]
    made = "\r\n".join(lines).encode() + b"\r\n\r\n3\r\na=1\r\n0\r\n\r\n"
    answer = nginx.exchange(made, verb)
    assert (answer.status, answer.one("X-Auth-Error")) == (403, "body_unavailable")


def test_a_form_of_a_delete_without_its_body_is_refused_by_name(behind, without_bodies):
    headers = [*sign(without_bodies, behind, "DELETE", "/things", form="a=1"), FORM]
    answer = without_bodies.send("DELETE", "/things", headers, "a=1")
    assert (answer.status, answer.one("X-Auth-Error")) == (403, "body_unavailable")


@pytest.mark.parametrize("verb", ["GET", "DELETE"])
def test_a_request_without_a_body_that_says_form_gets_through(advised, behind, verb):
    headers = [*sign(advised, behind, verb, "/things"), FORM]
    assert seen(advised.send(verb, "/things", headers))["size"] == 0


def test_a_form_without_a_session_is_sent_to_the_login_too(njs):
    answer = njs.send("POST", "/page/x?auth=session", [FORM], "a=1")
    login = f"{njs.base}/login?next=%2Fpage%2Fx%3Fauth%3Dsession"
    assert (answer.status, answer.all("Location")) == (302, [login])


@pytest.mark.parametrize("path", ["/API/x", "/Apps/list", "/Admin/users"])
def test_the_apis_own_paths_in_another_case_are_the_apis(advised, behind, path):
    assert seen(advised.send("GET", path, sign(advised, behind, "GET", path)))["target"] == path


def test_nobody_waits_for_the_body_of_a_question(behind, advised_by):
    """Caddy 2.11 itself reads a short body before it refuses, whatever its configuration says."""
    caddy = advised_by("caddy-2.6")
    name, value = sign(caddy, behind, "PUT", "/other")[0]
    lines = ["PUT /things HTTP/1.1", f"Host: {caddy.authority}", f"{name}: {value}", "Content-Length: 3", "Expect: 100-continue"]
    answer = caddy.exchange("\r\n".join(lines).encode() + b"\r\n\r\n", "PUT")
    assert answer.status == 401


def test_another_site_s_page_opens_no_web_socket_by_a_login(advised, behind):
    login = logged_in(behind.server, behind.owner)
    lines = [
        "GET /page/ws?auth=session HTTP/1.1", f"Host: {advised.authority}", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", ": ".join(login.cookies),
    ]

    def status(origin):
        with socket.create_connection((advised.host, advised.port), timeout=30) as connection:
            connection.sendall("\r\n".join([*lines, f"Origin: {origin}"]).encode() + b"\r\n\r\n")
            return int(connection.recv(12)[9:])

    assert (status(advised.base), status("https://evil.example")) == (101, 403)


def test_njs_refuses_a_form_that_is_too_large_before_it_comes(njs):
    head = f"POST /things HTTP/1.1\r\nHost: {njs.authority}\r\n{': '.join(FORM)}\r\nContent-Length: 629145600\r\n\r\n"
    with socket.create_connection((njs.host, njs.port), timeout=30) as connection:
        connection.sendall(head.encode())
        assert connection.recv(12) == b"HTTP/1.1 413"
