"""The three endpoints that proxies ask, by hand: what Traefik, Envoy and nginx send, and what must not be believed."""

import base64
import concurrent.futures
import json
import re

import jwt
import pytest
import signer
import wire
from browser import Browser, Page

HOST = "api.example.com"
IDENTITY = [
    "X-Auth-Account", "X-Auth-External-Id", "X-Auth-Company", "X-Auth-Client", "X-Auth-Scopes", "X-Auth-Credential",
    "X-Auth-Impersonated-By", "X-Auth-Assertion",
]
FORM = ("Content-Type", "application/x-www-form-urlencoded")
FAMILIES = ["forward", "nginx", "envoy"]


def question(family, verb, target, headers=(), scheme="https", host=HOST, body=None):
    """A request as that family's proxy writes it: (verb, target, headers, body)."""
    headers = list(headers)
    if family == "forward":
        # Traefik: pkg/middlewares/auth/forward.go writes these and copies the client's headers.
        headers += [("X-Forwarded-Method", verb), ("X-Forwarded-Proto", scheme), ("X-Forwarded-Host", host)]
        headers += [("X-Forwarded-Uri", target), ("X-Forwarded-Port", "443"), ("X-Forwarded-For", "203.0.113.7")]
        return "GET", "/authz/forward", headers, body, None
    if family == "nginx":
        headers += [("X-Original-Method", verb), ("X-Original-URL", f"{scheme}://{host}{target}")]
        return "GET", "/authz/nginx", headers, None, None
    # Envoy: the HTTP client of ext_authz keeps method, Host and path, with path_prefix in front, and counts the body.
    headers += [("X-Forwarded-Proto", scheme), ("x-envoy-auth-partial-body", "false")]
    return verb, f"/authz/envoy{target}", headers, body or b"", host


def ask(world, family, verb, target, headers=(), **more):
    verb, line, headers, body, host = question(family, verb, target, headers, **more)
    return wire.send(world.server, verb, line, headers, body, host)


def signed(world, verb, target, scheme="https", host=HOST, **more):
    return [("Authorization", signer.authorization(verb, f"{scheme}://{host}{target}", world.client, world.token, **more))]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("target", ["/things", "/a%20b;c/d%2d?x=%2F&x=0&&y", "/%C3%A4?", "/things?a=http://x/?b"])
def test_a_good_request_is_200_with_all_identity_headers_and_no_body(behind, family, target):
    answer = ask(behind, family, "GET", target, signed(behind, "GET", target))
    assert (answer.status, answer.body) == (200, b"")
    identity = {name: answer.one(name) for name in IDENTITY}
    assert identity == {
        "X-Auth-Account": "owner@example.com", "X-Auth-External-Id": "", "X-Auth-Company": "acme",
        "X-Auth-Client": behind.client.key, "X-Auth-Scopes": "thing:read", "X-Auth-Credential": "oauth1",
        "X-Auth-Impersonated-By": "", "X-Auth-Assertion": "",
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_every_refusal_has_an_empty_body_and_its_reason_in_a_header(behind, family):
    basic = base64.b64encode(b"nobody:wrong").decode()
    cases = [
        ([], 401, "credentials_required"),
        ([("Authorization", "Basic " + basic)], 403, "client_key_required"),
        ([("Authorization", "Basic " + basic), ("X-Client-Key", behind.client.key)], 401, "bad_credentials"),
        ([("Authorization", "Bearer x")], 401, "bad_token"),
        (signed(behind, "GET", "/other"), 401, "signature_invalid"),
        ([("Authorization", "OAuth oauth_version=\"2\"")], 403, None),
        ([*signed(behind, "GET", "/things"), ("Authorization", "Basic " + basic)], 403, "several_credentials"),
    ]
    for headers, status, reason in cases:
        answer = ask(behind, family, "GET", "/things", headers)
        assert (answer.status, answer.body) == (status, b""), f"{reason}: {answer}"
        assert answer.one("X-Auth-Error") == (reason or answer.one("X-Auth-Error"))
        assert not answer.all("X-Auth-Account")


@pytest.mark.parametrize("family", FAMILIES)
def test_challenges_come_in_the_order_of_the_contract(behind, family):
    challenges = ask(behind, family, "GET", "/things").all("WWW-Authenticate")
    starts = [re.match(r"\w+(?:.*algorithm=([\w-]+))?", challenge) for challenge in challenges]
    assert [start.group(1) or start.group().split()[0] for start in starts] == ["SHA-256", "MD5", "Basic", "OAuth", "Bearer"]
    assert 'charset="UTF-8"' in challenges[2]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_path_or_route_that_is_refused_is_403(behind, family):
    for target in ["/a/../b", "/a//b", "/a%2fb", "/a/%2e%2e/b"]:
        answer = ask(behind, family, "GET", target, signed(behind, "GET", target))
        assert (answer.status, answer.one("X-Auth-Error")) == (403, "bad_request"), target
    answer = ask(behind, family, "DELETE", "/strict/x", signed(behind, "DELETE", "/strict/x"))
    assert (answer.status, answer.one("X-Auth-Error")) == (403, "additional_authorization_required")


def test_raw_paths_pass_where_the_route_says_so(behind):
    target = "/raw/a%2Fb"
    assert ask(behind, "forward", "GET", target, signed(behind, "GET", target)).status == 200


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["X_Auth_Account", "x-auth_account", "X.Auth.Account", "X-Auth.Scopes", "X_Auth_Anything"])
def test_an_identity_header_in_a_spelling_that_a_proxy_may_let_pass_is_refused(behind, family, name):
    headers = signed(behind, "GET", "/things")
    answer = ask(behind, family, "GET", "/things", [*headers, (name, "root")])
    assert (answer.status, answer.one("X-Auth-Error"), answer.body) == (403, "forged_identity", b"")
    assert ask(behind, family, "GET", "/things", [*headers, ("X-Auth-Account", "root"), ("X_Author", "jo")]).status == 200


@pytest.mark.parametrize("target", ["/upper/x", "/UPPER/x", "/strict#x", "/things#"])
def test_a_path_that_readers_read_differently_is_403(behind, target):
    for family in ("forward", "nginx"):
        assert ask(behind, family, "GET", target, signed(behind, "GET", target)).status == 403


def test_a_proxy_that_says_http_is_believed_where_tls_is_required(new_server):
    config = '''
[server]
public_url = "https://api.example.com"
trusted_proxies = ["127.0.0.1"]
[[route]]
path = "/**"
methods = ["api_key"]
require_tls = true
'''
    server = new_server(config, "tls-told")
    key = server.key(server.account("t@example.com"))
    credential = ("Authorization", "Basic " + base64.b64encode(f"{key.public}:{key.private}".encode()).decode())

    def status(scheme):
        told = [("X-Original-Method", "GET"), ("X-Original-URL", f"{scheme}://api.example.com/things")]
        return wire.send(server, "GET", "/authz/nginx", [*told, credential]).status

    assert (status("https"), status("http")) == (200, 403)
    assert wire.send(server, "GET", "/v2/me", [credential, ("X-Forwarded-Proto", "http")]).status == 403
    assert wire.send(server, "GET", "/v2/me", [credential]).status == 200
    assert wire.send(server, "GET", "/v2/me", [credential, ("X-Forwarded-Proto", "wss")]).status == 200


def test_a_tunnel_is_refused(behind):
    assert ask(behind, "nginx", "CONNECT", "/things", signed(behind, "CONNECT", "/things")).status == 403


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_method_override_needs_the_scopes_of_both_methods(behind, name):
    def status(verb, means, target="/strict/x"):
        return ask(behind, "nginx", verb, target, [*signed(behind, verb, target), (name, means)]).status

    assert status("GET", "GET") == 200
    assert status("GET", "DELETE") == 403
    assert status("GET", "delete") == 403
    assert status("POST", "GET") == 403
    assert status("GET", "", "/strict/x?_method=put") == 403
    assert status("GET", "DELETE", "/things") == 200


@pytest.mark.parametrize("family", FAMILIES)
def test_missing_or_doubled_metadata_is_403(behind, family):
    verb, line, headers, body, host = question(family, "GET", "/things", signed(behind, "GET", "/things"))
    wanted = {"forward": 4, "nginx": 2, "envoy": 1}[family]
    for number in range(1, 1 + wanted):
        fewer = headers[:number] + headers[number + 1 :]
        for changed in (fewer, [*headers, headers[number]]):
            answer = wire.send(behind.server, verb, line, changed, body, host)
            assert (answer.status, answer.one("X-Auth-Error")) == (403, "metadata_missing"), changed


@pytest.mark.parametrize(("family", "other"), [("forward", "nginx"), ("nginx", "forward"), ("envoy", "nginx"), ("envoy", "forward")])
def test_another_family_s_metadata_is_not_read(behind, family, other):
    good = signed(behind, "GET", "/things")
    _, _, lies, _, _ = question(other, "DELETE", "/elsewhere", host="evil.example")
    lies = [lie for lie in lies if family != "envoy" or lie[0] != "X-Forwarded-Proto"]
    assert ask(behind, family, "GET", "/things", [*good, *lies]).status == 200


def test_only_a_trusted_proxy_is_answered(new_server):
    server = new_server("", "untrusting")
    for line in ("/authz/forward", "/authz/nginx", "/authz/envoy/things"):
        answer = wire.send(server, "GET", line)
        assert (answer.status, answer.body, answer.one("X-Auth-Error")) == (403, b"", "untrusted_proxy")


def test_a_public_url_is_the_origin_whatever_the_proxy_says(new_server):
    config = '[server]\ntrusted_proxies = ["127.0.0.1"]\n[[route]]\npath = "/**"\nmethods = ["oauth1_two_legged", "session"]\n'
    server = new_server(config, "public", public_url=f"https://{HOST}")
    client = server.client(server.account("p@example.com"))
    for family in FAMILIES:
        for origin, status in ((f"https://{HOST}", 200), ("http://10.0.0.1:81", 401)):
            signed_for = [("Authorization", signer.authorization("GET", f"{origin}/things", client))]
            verb, line, headers, body, host = question(family, "GET", "/things", signed_for, "http", "10.0.0.1:81")
            assert wire.send(server, verb, line, headers, body, host).status == status
    _, line, headers, _, _ = question("forward", "GET", "/things?auth=session", [], "http", "10.0.0.1:81")
    assert wire.send(server, "GET", line, headers).one("Location").startswith(f"https://{HOST}/login?")


@pytest.mark.parametrize("family", ["forward", "envoy"])
def test_a_form_comes_as_the_question_s_own_body(behind, family):
    body = b"a=1&b=x+y"
    good = [*signed(behind, "POST", "/things", form=body.decode()), FORM]
    assert ask(behind, family, "POST", "/things", good, body=body).status == 200
    changed = [*signed(behind, "POST", "/things", form=body.decode()), FORM]
    assert ask(behind, family, "POST", "/things", changed, body=body + b"&c=1").status == 401


def test_a_form_comes_in_a_header(behind):
    body = "a=1&b=x+y"

    def status(header, own=None):
        headers = [*signed(behind, "POST", "/things", form=body), FORM, ("X-Original-Body", header)]
        return ask(behind, "forward", "POST", "/things", headers, body=own).status

    assert status(base64.b64encode(body.encode()).decode()) == 200
    assert status("%%%") == 403
    assert status(base64.b64encode(body.encode()).decode(), own=b"c=2") == 403
    empty = [*signed(behind, "POST", "/things"), FORM, ("X-Original-Body", "")]
    assert ask(behind, "forward", "POST", "/things", empty).status == 200


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH"])
def test_a_form_without_its_body_is_refused_unless_it_was_empty(behind, family, verb):
    headers = [*signed(behind, verb, "/things"), FORM]
    answer = ask(behind, family, verb, "/things", headers)
    assert (answer.status, answer.one("X-Auth-Error")) == (403, "body_unavailable")
    headers = [*signed(behind, verb, "/things"), FORM, ("X-Original-Content-Length", "0")]
    assert ask(behind, family, verb, "/things", headers).status == 200


def test_a_form_that_envoy_cut_off_is_refused(behind):
    body = b"a=1"
    headers = [*signed(behind, "POST", "/things", form="a=1"), FORM, ("X-Forwarded-Proto", "https")]
    headers.append(("x-envoy-auth-partial-body", "true"))
    answer = wire.send(behind.server, "POST", "/authz/envoy/things", headers, body, HOST)
    assert answer.one("X-Auth-Error") == "body_unavailable"
    assert "with_request_body" in behind.server.log_text()


def test_a_hashed_body_of_which_only_a_part_came_is_refused(behind):
    """Whoever stands on the way could make it longer, so that its hash is not looked at."""
    long = b'{"a":"' + b"x" * (1 << 20) + b'"}'
    hashed = lambda: signed(behind, "POST", "/things", oauth_body_hash=signer.body_hash(b"{}"))  # noqa: E731
    json_type = ("Content-Type", "application/json")
    answer = ask(behind, "forward", "POST", "/things", [*hashed(), json_type], body=long)
    assert (answer.status, answer.one("X-Auth-Error")) == (403, "body_too_large")
    partial = [("X-Forwarded-Proto", "https"), ("x-envoy-auth-partial-body", "true")]
    answer = wire.send(behind.server, "POST", "/authz/envoy/things", [*hashed(), json_type, *partial], b"{}", HOST)
    assert (answer.status, answer.one("X-Auth-Error")) == (403, "body_unavailable")
    assert ask(behind, "forward", "POST", "/things", [*signed(behind, "POST", "/things"), json_type], body=long).status == 200


def test_a_form_type_on_get_needs_no_body(behind):
    assert ask(behind, "nginx", "GET", "/things", [*signed(behind, "GET", "/things"), FORM]).status == 200


def test_json_passes_without_its_body(behind):
    headers = [*signed(behind, "POST", "/things"), ("Content-Type", "application/json")]
    for family in FAMILIES:
        headers = [*signed(behind, "POST", "/things"), ("Content-Type", "application/json")]
        assert ask(behind, family, "POST", "/things", headers).status == 200


def test_a_body_hash_is_checked_where_the_body_came_along(behind):
    body = b'{"a":1}'
    made = signed(behind, "POST", "/things", oauth_body_hash=signer.body_hash(body))
    json_type = ("Content-Type", "application/json")
    assert ask(behind, "forward", "POST", "/things", [*made, json_type], body=body).status == 200
    made = signed(behind, "POST", "/things", oauth_body_hash=signer.body_hash(body))
    assert ask(behind, "forward", "POST", "/things", [*made, json_type], body=body + b" ").status == 401
    made = signed(behind, "POST", "/things", oauth_body_hash=signer.body_hash(body))
    assert ask(behind, "nginx", "POST", "/things", [*made, json_type]).status == 200


def test_without_a_session_forward_redirects_and_the_others_say_where(behind):
    target = "/page/x?auth=session&a=1"
    answer = ask(behind, "forward", "GET", target)
    login = f"https://{HOST}/login?next=%2Fpage%2Fx%3Fauth%3Dsession%26a%3D1"
    assert (answer.status, answer.one("Location"), answer.body) == (302, login, b"")
    for family in ("nginx", "envoy"):
        answer = ask(behind, family, "GET", target)
        assert (answer.status, answer.one("X-Auth-Redirect"), answer.body) == (401, login, b"")


def test_a_session_passes(behind):
    browser = Browser(behind.owner)
    answer = browser.open(f"{behind.server.base}/login")
    page = Page(answer.text)
    form = page.form_with("password")
    browser.submit(answer.url, form, [*form.fields, ("username", behind.owner.username), ("password", behind.owner.password)])
    cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.session.cookies)
    answer = ask(behind, "nginx", "GET", "/page/x?auth=session", [("Cookie", cookie)])
    assert (answer.status, answer.one("X-Auth-Credential")) == (200, "session")


def test_a_preflight_needs_no_credential_and_tells_the_api_that_nobody_is_calling(behind):
    preflight = [("Origin", "https://app.example.com"), ("Access-Control-Request-Method", "PUT")]
    answer = ask(behind, "forward", "OPTIONS", "/cors/x", preflight)
    assert (answer.status, answer.one("X-Auth-Account"), answer.one("X-Auth-Credential")) == (200, "", "")
    elsewhere = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "PUT")]
    assert ask(behind, "forward", "OPTIONS", "/cors/x", elsewhere).status == 401
    assert ask(behind, "forward", "OPTIONS", "/things", preflight).status == 401
    assert ask(behind, "forward", "OPTIONS", "/cors/x", preflight[:1]).status == 401


@pytest.mark.parametrize("family", FAMILIES)
def test_a_preflight_that_means_another_method_is_none(behind, family):
    preflight = [("Origin", "https://app.example.com"), ("Access-Control-Request-Method", "DELETE")]
    assert ask(behind, family, "OPTIONS", "/cors/x", preflight).status == 200
    assert ask(behind, family, "OPTIONS", "/cors/x", [*preflight, ("X-HTTP-Method-Override", "DELETE")]).status == 401
    assert ask(behind, family, "OPTIONS", "/cors/x?_method=DELETE", preflight).status == 401


def test_a_preflight_and_another_question_with_its_id_are_two(behind):
    asked = [("Origin", "https://app.example.com"), ("X-Request-Id", "preflight")]
    assert ask(behind, "nginx", "OPTIONS", "/cors/x", [*asked, ("Access-Control-Request-Method", "PUT")]).status == 200
    assert ask(behind, "nginx", "OPTIONS", "/cors/x", asked).status == 401


def test_with_two_request_ids_every_question_is_its_own(behind):
    """One of them may be the client's, in front of the proxy's."""
    headers = [*signed(behind, "GET", "/things"), ("X-Request-Id", "mine")]
    assert ask(behind, "nginx", "GET", "/things", [*headers, ("X-Request-Id", "p1")]).status == 200
    assert ask(behind, "nginx", "GET", "/things", [*headers, ("X-Request-Id", "p2")]).one("X-Auth-Error") == "nonce_used"


def test_one_client_request_gets_one_verdict(behind):
    headers = [*signed(behind, "GET", "/things"), ("X-Request-Id", "one-1")]
    first = ask(behind, "nginx", "GET", "/things", headers)
    again = ask(behind, "nginx", "GET", "/things", headers)
    assert (first.status, again.status) == (200, 200)
    assert again.one("X-Auth-Account") == "owner@example.com"
    another = [*headers[:-1], ("X-Request-Id", "one-2")]
    assert ask(behind, "nginx", "GET", "/things", another).one("X-Auth-Error") == "nonce_used"
    assert ask(behind, "nginx", "GET", "/things?x=1", headers).status == 401
    assert ask(behind, "nginx", "GET", "/things", headers[:-1]).status == 401


def test_of_many_questions_at_once_about_one_request_all_are_answered_alike(behind):
    headers = [*signed(behind, "GET", "/things"), ("X-Request-Id", "many")]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ask(behind, "nginx", "GET", "/things", headers).status, range(32)))
    assert set(answers) == {200}


def test_the_client_s_address_is_the_last_hop_that_is_no_proxy(new_server):
    config = '[server]\ntrusted_proxies = ["127.0.0.1", "10.0.0.0/8"]\n[throttle]\nfailures = 2\n'
    server = new_server(config, "throttled")
    owner = server.account("t@example.com")
    client = server.client(owner)
    wrong = ("Authorization", "Basic " + base64.b64encode(f"{owner.username}:wrong".encode()).decode())
    right = ("Authorization", "Basic " + base64.b64encode(f"{owner.username}:{owner.password}".encode()).decode())

    def answer(credential, hops):
        headers = [credential, ("X-Client-Key", client.key), ("X-Original-Method", "GET")]
        headers += [("X-Original-URL", f"https://{HOST}/things"), ("X-Forwarded-For", hops)]
        return wire.send(server, "GET", "/authz/nginx", headers)

    for forged in ("1.1.1.1", "2.2.2.2", "3.3.3.3"):
        answer(wrong, f"{forged}, 203.0.113.7, 10.0.0.1")
    refused = answer(right, "4.4.4.4, 203.0.113.7, 10.0.0.1")
    assert (refused.status, refused.one("X-Auth-Error")) == (403, "throttled")
    assert int(refused.one("Retry-After")) > 0
    assert answer(right, "203.0.113.8, 10.0.0.1").status == 200


def test_an_assertion_is_signed_bound_to_the_request_and_no_bearer_token(new_server):
    config = '[server]\ntrusted_proxies = ["127.0.0.1"]\n[gateway]\nassertion = true\nassertion_ttl_seconds = 30\n'
    server = new_server(config, "asserting")
    owner = server.account("a@example.com", company="acme")
    key = server.key(owner)
    credential = "Basic " + base64.b64encode(f"{key.public}:{key.private}".encode()).decode()
    headers = [("Authorization", credential), ("X-Forwarded-Method", "PUT"), ("X-Forwarded-Proto", "https")]
    headers += [("X-Forwarded-Host", HOST), ("X-Forwarded-Uri", "/things?x=1")]
    answer = wire.send(server, "GET", "/authz/forward", headers)
    token = answer.one("X-Auth-Assertion")
    keys = wire.send(server, "GET", "/.well-known/jwks.json").json
    public = jwt.PyJWK(keys["keys"][0]).key
    claims = jwt.decode(token, public, algorithms=["ES256"], audience=f"https://{HOST}")
    assert (claims["htm"], claims["htu"]) == ("PUT", f"https://{HOST}/things")
    assert (claims["sub"], claims["username"], claims["company"]) == (owner.id, owner.username, "acme")
    assert claims["credential"] == "api_key" and claims["exp"] - claims["iat"] == 30
    bearer = [("Authorization", f"Bearer {token}"), *headers[1:]]
    assert wire.send(server, "GET", "/authz/forward", bearer).status == 401


def test_questions_keep_their_connection_whatever_the_answer(behind):
    """nginx keeps its connections to us: an answer must not close one."""
    import socket

    with socket.create_connection((behind.server.host, behind.server.port), timeout=30) as connection:
        for expected in (401, 200, 401, 200):
            lines = [*signed(behind, "GET", "/things")] if expected == 200 else []
            _, line, headers, _, _ = question("nginx", "GET", "/things", lines)
            head = "\r\n".join([f"GET {line} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers)])
            connection.sendall(head.encode() + b"\r\n\r\n")
            assert wire.read_answer(connection).status == expected


def test_no_header_of_an_answer_shows_a_secret(behind):
    answer = ask(behind, "nginx", "GET", "/things", signed(behind, "GET", "/other"))
    assert behind.client.secret not in json.dumps(answer.headers) and behind.token.secret not in json.dumps(answer.headers)


def exchanged(world, lines, body=b""):
    made = "\r\n".join(f"{name}: {value}" if name else value for name, value in lines)
    return wire.exchange((world.server.host, world.server.port), made.encode() + b"\r\n\r\n" + body)


def traefik(world, verb, target, headers=(), body=b"", forwards_body=True):
    """The question of Traefik 3 with docs/deploy/traefik-dynamic.yaml: `forward.go` and Go's HTTP client.

    A GET with the client's headers but those of the connection; a body goes chunked, because its length is not told; none
    goes as none.
    """
    lines = [("", "GET /authz/forward HTTP/1.1"), ("Host", world.server.authority), ("User-Agent", "client/1"), *headers]
    lines += [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Host", HOST), ("X-Forwarded-Method", verb), ("X-Forwarded-Port", "443")]
    lines += [("X-Forwarded-Proto", "https"), ("X-Forwarded-Server", "traefik"), ("X-Forwarded-Uri", target), ("X-Real-Ip", "203.0.113.7")]
    lines += [("X-Original-Content-Length", "0"), ("Accept-Encoding", "gzip"), ("Connection", "close")]
    if body and forwards_body:
        lines.append(("Transfer-Encoding", "chunked"))
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    return exchanged(world, lines, body if forwards_body else b"")


def envoy(world, verb, target, headers=(), body=b"", cut="false"):
    """The question of Envoy with docs/deploy/envoy.yaml: `ext_authz_http_impl.cc` keeps the method and counts the body."""
    lines = [("", f"{verb} /authz/envoy{target} HTTP/1.1"), ("host", HOST), ("content-length", str(len(body))), *headers]
    lines += [("x-forwarded-proto", "https"), ("x-forwarded-for", "203.0.113.7"), ("x-original-content-length", "0")]
    lines += [("x-envoy-internal", "true"), ("x-envoy-expected-rq-timeout-ms", "5000"), ("connection", "close")]
    if body:
        lines.append(("x-envoy-auth-partial-body", cut))
    return exchanged(world, lines, body)


@pytest.mark.parametrize("ask_as", [traefik, envoy])
def test_what_traefik_and_envoy_send_is_judged_as_the_clients_request(behind, ask_as):
    target, form = "/things/a%20b;c?x=%2F&y=", b"a=1&b=x+y"
    assert ask_as(behind, "GET", target, signed(behind, "GET", target)).status == 200
    assert ask_as(behind, "DELETE", "/strict/x", signed(behind, "DELETE", "/strict/x")).one("X-Auth-Error") == "additional_authorization_required"
    assert ask_as(behind, "GET", target).status == 401
    good = [*signed(behind, "POST", target, form=form.decode()), FORM]
    answer = ask_as(behind, "POST", target, good, form)
    assert (answer.status, answer.one("X-Auth-Account")) == (200, behind.owner.username)
    assert ask_as(behind, "POST", target, [*signed(behind, "POST", target, form="a=2"), FORM], form).status == 401
    json_type = ("Content-Type", "application/json")
    assert ask_as(behind, "POST", target, [*signed(behind, "POST", target), json_type], b"{}").status == 200


@pytest.mark.parametrize("ask_as", [traefik, envoy])
def test_an_empty_form_through_traefik_and_envoy_passes(behind, ask_as):
    assert ask_as(behind, "POST", "/things", [*signed(behind, "POST", "/things"), FORM]).status == 200
    assert ask_as(behind, "POST", "/things", [*signed(behind, "POST", "/things"), FORM], b"a=1").status == 401, "its body counts"


def test_a_form_that_is_larger_than_envoy_sends_is_refused(behind):
    headers = [*signed(behind, "POST", "/things", form="a=1"), FORM]
    answer = envoy(behind, "POST", "/things", headers, b"a=1", cut="true")
    assert (answer.status, answer.one("X-Auth-Error")) == (403, "body_unavailable")


def test_the_answer_to_forward_says_what_the_api_may_have_of_the_cookies(behind):
    def cookies(family, sent):
        headers = [*signed(behind, "GET", "/things"), *(("Cookie", line) for line in sent)]
        answer = ask(behind, family, "GET", "/things", headers)
        assert answer.status == 200
        return answer.all("Cookie")

    assert cookies("forward", ["a=1; countersign_session=s", "countersign_visitor=v; memberHash=h; b=2"]) == ["a=1; b=2"]
    assert cookies("forward", ["countersign_session=s"]) == [] == cookies("forward", [])
    assert cookies("nginx", ["a=1"]) == [] == cookies("envoy", ["a=1"])


@pytest.mark.parametrize(("proxies", "warned"), [('["0.0.0.0/0"]', True), ('["::/0"]', True), ('["127.0.0.0/8"]', False)])
def test_who_believes_every_proxy_is_warned_at_start(new_server, proxies, warned):
    server = new_server(f"[server]\ntrusted_proxies = {proxies}\n", "believing")
    assert ("believes everybody" in server.log_text()) is warned
    server.stop()


def test_a_request_that_was_signed_for_the_way_it_took_is_told_so(new_server):
    """The server is known by another address."""
    config = '[server]\npublic_url = "https://known.example.com"\ntrusted_proxies = ["127.0.0.1"]\n[oauth]\ndiagnose = "always"\n'
    server = new_server(config, "known")
    client = server.client(server.account("owner@example.com"))
    forwarded = [("X-Forwarded-Host", HOST), ("X-Forwarded-Proto", "https")]
    for origin, more in ((server.base, []), (f"https://{HOST}", forwarded)):
        made = signer.authorization("POST", f"{origin}/oauth/request_token", client, oauth_callback="oob")
        answer = wire.send(server, "POST", "/oauth/request_token", [("Authorization", made), *more])
        assert answer.status == 401 and b"signed%20for%20the%20address%20that%20the%20request%20was%20sent%20to" in answer.body, answer
    server.stop()
