"""Rules of RFC 5849 and of its extensions that no other test asks for; `docs/PROTOCOL.md` names each."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
import signer
import wire
from browser import Browser
from conftest import PATIENT
from dance import access_token, authorize_url, dance, request_token, signed, temporary
from harness import CommandFailed, Server
from ways import basic, client_key

WORDS = {
    "version_rejected", "parameter_absent", "parameter_rejected", "timestamp_refused", "nonce_used",
    "signature_method_rejected", "signature_invalid", "consumer_key_unknown", "consumer_key_refused", "token_used",
    "token_expired", "token_revoked", "token_rejected", "verifier_invalid", "permission_denied",
    "additional_authorization_required",
}
JSON = ("Content-Type", "application/json")


# --- RFC 5849, section 2 ---


@pytest.mark.parametrize("prefix", ["/v2/oauth?oauth_a=b", "/oauth?", "/oauth#x"])
def test_an_endpoint_can_not_be_given_a_query_of_its_own(prefix, tmp_path):
    database = f"sqlite://{tmp_path}/x.db"
    stranger = Server(tmp_path / "server", f'[oauth]\nprefixes = ["{prefix}"]\n', database=database)
    with pytest.raises(CommandFailed) as failed:
        stranger.command("account", "list")
    assert "oauth.prefixes" in failed.value.said


def test_the_authorize_page_leads_on_with_the_apps_own_parameters_and_no_others(server, client, browser):
    request = temporary(server, client)
    url = authorize_url(server, request)
    query = parse_qs(urlsplit(browser.callback(url)).query)
    assert sorted(query) == ["oauth_token", "oauth_verifier"] and query["oauth_token"] == [request.token]


def test_without_a_verifier_there_is_no_token_and_the_absent_parameter_is_named(server, client, browser):
    request = temporary(server, client)
    verifier = browser.verifier(authorize_url(server, request))
    url = f"{server.base}/oauth/access_token"
    for more in ({}, {"oauth_verifier": ""}):
        value = signer.authorization("POST", url, client, request, **more)
        answer = wire.send(server, "POST", "/oauth/access_token", [("Authorization", value)], b"")
        assert answer.status in (400, 401) and "oauth_token_secret" not in answer.form, answer.body
        if not more:
            assert (answer.status, answer.form["oauth_problem"]) == (400, "parameter_absent")
            assert answer.form["oauth_parameters_absent"] == "oauth_verifier"
    assert access_token(server, client, request, verifier).status == 200


def test_credentials_on_their_way_to_the_client_are_kept_by_no_cache(server, client, browser):
    given = request_token(server, client)
    request = temporary(server, client)
    exchanged = access_token(server, client, request, browser.verifier(authorize_url(server, request)))
    for answer in (given, exchanged):
        assert answer.status == 200 and answer.one("Cache-Control") == "no-store"


# --- section 3.2: the statuses ---


@pytest.mark.parametrize(("changes", "word"), [
    ({"oauth_version": "2.0"}, "version_rejected"),
    ({"oauth_signature_method": "HMAC-MD5"}, "signature_method_rejected"),
    ({"oauth_consumer_key": None}, "parameter_absent"),
    ({"oauth_signature_method": None}, "parameter_absent"),
    ({"oauth_timestamp": None}, "parameter_absent"),
    ({"oauth_nonce": None}, "parameter_absent"),
    ({"oauth_timestamp": "soon"}, "parameter_rejected"),
    ({"oauth_nonce": ""}, "parameter_rejected"),
])
def test_what_is_missing_or_unsupported_is_400(changes, word, server, client, token):
    changes = {"oauth_version": "1.0"} | changes
    method = changes.pop("oauth_signature_method", "HMAC-SHA1")
    parameters = dict(signer.sign("GET", f"{server.base}/v2/me", client, token, **changes))
    if method is None:
        del parameters["oauth_signature_method"]
    else:
        parameters["oauth_signature_method"] = method
    answer = wire.send(server, "GET", "/v2/me", [("Authorization", signer.header(parameters.items()))])
    assert (answer.status, answer.problem) == (400, word), answer.body


def test_a_repeated_parameter_is_400(server, client, token):
    parameters = signer.sign("GET", f"{server.base}/v2/me", client, token)
    for doubled in parameters:
        answer = wire.send(server, "GET", "/v2/me", [("Authorization", signer.header([*parameters, doubled]))])
        assert (answer.status, answer.problem) == (400, "parameter_rejected"), doubled


# --- section 4 ---


def test_a_second_dance_asks_the_holder_again(server, client, browser):
    dance(server, client, browser)
    answer, form = browser.consent_page(authorize_url(server, temporary(server, client)))
    assert answer.status_code == 200 and "decision" in form.names


def test_a_decision_is_remembered_for_the_same_or_fewer_scopes_where_the_operator_wants_it(new_server):
    server = new_server(PATIENT + "[oauth]\nremember_consent = true\n", "remembering")
    holder = server.account()
    client = server.client(holder, scopes=["thing:read", "thing:write"])
    browser = Browser(holder)
    token = dance(server, client, browser, scopes=["thing:read"], scope="thing:read")
    again = browser.open(authorize_url(server, temporary(server, client, scope="thing:read")))
    assert again.status_code in (302, 303) and "oauth_verifier=" in again.headers["Location"]
    url = authorize_url(server, temporary(server, client, scope="thing:read"))
    assert browser.session.head(url, allow_redirects=False, timeout=60).status_code == 200, "HEAD decides nothing"
    assert browser.open(url).status_code in (302, 303)
    _, form = browser.consent_page(authorize_url(server, temporary(server, client)))
    assert "decision" in form.names, "more scopes than were allowed are asked for"
    server.command("token", "revoke", token.token)
    _, form = browser.consent_page(authorize_url(server, temporary(server, client, scope="thing:read")))
    assert "decision" in form.names, "what was taken back is asked for again"


# --- the extensions ---


def test_a_body_hash_is_taken_and_checked_where_it_need_not_be(new_server, server, client):
    right, wrong = signer.body_hash(b""), signer.body_hash(b"x")
    assert request_token(server, client, oauth_body_hash=right).status == 200
    assert request_token(server, client, oauth_body_hash=wrong).status == 401
    plain = new_server(PATIENT + '[oauth]\nplaintext = "always"\n', "plaintext")
    holder = plain.account()
    app = plain.client(holder)
    token = dance(plain, app, Browser(holder))
    send = lambda value: signed(plain, "POST", "/v2/me", app, token, headers=[JSON], body=b"{}", method="PLAINTEXT", oauth_body_hash=value)  # noqa: E731
    assert send(signer.body_hash(b"{}")).status == 200
    assert send(wrong).status == 401


def test_a_route_may_insist_on_a_body_hash(new_server):
    server = new_server(PATIENT + '[[route]]\npath = "/**"\nmethods = ["oauth1", "basic"]\nbody_hash = "required"\n', "insisting")
    holder = server.account()
    client = server.client(holder)
    token = dance(server, client, Browser(holder))
    body, form = b'{"a":1}', ("Content-Type", "application/x-www-form-urlencoded")
    without = signed(server, "POST", "/v2/me", client, token, headers=[JSON], body=body)
    assert (without.status, without.problem) == (400, "parameter_absent") and b"oauth_body_hash" in without.body
    assert signed(server, "POST", "/v2/me", client, token, headers=[JSON], body=body, oauth_body_hash=signer.body_hash(body)).status == 200
    assert signed(server, "POST", "/v2/me", client, token, headers=[JSON], body=body, oauth_body_hash=signer.body_hash(b"")).status == 401
    assert signed(server, "POST", "/v2/me", client, token, headers=[form], body="a=1", form="a=1").status == 200, "a form is signed itself"
    own = [basic(holder.username, holder.password), client_key(client), JSON]
    assert wire.send(server, "POST", "/v2/me", own, body).status == 200, "other credentials sign no body"


def test_a_problem_is_always_one_of_the_words_in_challenge_and_body(server, client, token, browser):
    request = temporary(server, client)
    used = dict(signer.sign("GET", f"{server.base}/v2/me", client, token))
    wire.send(server, "GET", "/v2/me", [("Authorization", signer.header(used.items()))])
    protected = [
        {"oauth_consumer_key": "nobody"}, {"oauth_token": "nothing"}, {"oauth_timestamp": "1"}, {"oauth_version": "3"},
        {"oauth_signature": "x"}, {"oauth_signature": "%"}, {"oauth_nonce": "\x07"}, {"oauth_signature_method": "NONE"}, {},
    ]
    answers = []
    for changes in protected:
        changed = (dict(signer.sign("GET", f"{server.base}/v2/me", client, token)) if changes else used) | changes
        answer = wire.send(server, "GET", "/v2/me", [("Authorization", signer.header(changed.items()))])
        assert answer.json["code"] == answer.problem
        answers.append(answer)
    for answer in (
        request_token(server, client, callback="http://elsewhere.example/"),
        request_token(server, client, scope="more:than"),
        access_token(server, client, request, "wrong"),
        access_token(server, client, token, "wrong"),
    ):
        assert re.search(r"^oauth_problem=(\w+)", answer.text).group(1) == answer.problem
        answers.append(answer)
    assert all(answer.status >= 400 for answer in answers)
    assert {answer.problem for answer in answers} <= WORDS and len({answer.problem for answer in answers}) > 8


# --- RFC 9110 ---


@pytest.mark.parametrize(
    "path",
    ["/login", "/docs", "/health/live", "/health/ready", "/api/openapi.json", "/.well-known/jwks.json", "/assets/style.css", "/oauth/authorize?oauth_token=x", "/api/v1/accounts"],
)
def test_head_is_answered_as_get_without_the_content(path, server):
    root = server.account(role="admin")
    headers = [basic(root.username, root.password)] if path.startswith("/api/v1") else []
    seen, told = (wire.send(server, verb, path, headers) for verb in ("GET", "HEAD"))
    assert (told.status, told.body) == (seen.status, b"")
    assert told.one("Content-Type") == seen.one("Content-Type")


@pytest.mark.parametrize(
    ("verb", "path", "allowed"),
    [
        ("PUT", "/login", "HEAD, GET, POST"),
        ("POST", "/apps", "HEAD, GET"),
        ("DELETE", "/oauth/authorize", "HEAD, GET, POST"),
        ("DELETE", "/api/v1/companies/x", None),
        ("PATCH", "/api/v1/accounts", "HEAD, GET, POST"),
        ("POST", "/api/openapi.json", "HEAD, GET"),
        ("POST", "/health/live", "HEAD, GET"),
        ("DELETE", "/health/ready", "HEAD, GET"),
        ("POST", "/metrics", "HEAD, GET"),
    ],
)
def test_a_method_that_a_path_has_not_hears_which_it_has(verb, path, allowed, server):
    answer = wire.send(server, verb, path, [], b"")
    assert answer.status == 405
    assert answer.one("Allow") and answer.one("Allow") == (allowed or answer.one("Allow"))


@pytest.mark.parametrize(
    ("verb", "path", "allowed"),
    [
        ("GET", "/api/auth/jwt", "POST"),
        ("PUT", "/oauth/request_token", "GET, POST"),
        ("DELETE", "/oauth/access_token", "GET, POST"),
        ("GET", "/oauth/revoke", "POST"),
        ("PATCH", "/api/v1/accounts", "HEAD, GET, POST"),
    ],
)
def test_a_program_that_uses_another_method_is_told_in_json(verb, path, allowed, server):
    answer = wire.send(server, verb, path, [], b"")
    assert (answer.status, answer.json["code"], answer.one("Allow")) == (405, "method_not_allowed", allowed)
    told = wire.send(server, "HEAD", path)
    assert (told.status, told.body) == (401 if "HEAD" in allowed else 405, b"")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "application/json"),
        ("Application/JSON", "application/json"),
        ("text/html, application/json;q=0.5", "application/json"),
        ("application/json;q=0", "application/x-www-form-urlencoded"),
        ("application/x-www-form-urlencoded, application/json;q=0.1", "application/x-www-form-urlencoded"),
        ("*/*", "application/x-www-form-urlencoded"),
        ("application/json, */*", "application/json"),
        ("application/json;q=0.1, */*", "application/x-www-form-urlencoded"),
    ],
)
def test_a_refusal_at_the_endpoints_is_json_where_it_is_asked_for(accept, kind, server):
    answer = wire.send(server, "POST", "/oauth/request_token", [("Accept", accept)], b"")
    assert (answer.status, answer.one("Content-Type")) == (400, kind)


# --- what is nobody's credential, or is one twice ---


def test_an_empty_authorization_header_is_no_credential(server):
    assert wire.send(server, "GET", "/v2/me", [("Authorization", "")]).json["code"] == "credentials_required"


def test_more_cookie_lines_than_anybody_needs_are_400(server):
    lines = [("Cookie", f"a{number}=1") for number in range(9)]
    assert wire.send(server, "GET", "/v2/me", lines[1:]).status == 401
    assert wire.send(server, "GET", "/v2/me", lines).status == 400


def test_the_scope_parameter_of_the_operators_own_api_is_the_operators(server, client, token):
    for query in ("scope=all%20%21%21", "scope=a&scope=b", "scope=%FF"):
        assert signed(server, "GET", f"/v2/me?{query}", client, token).status == 200, query


def test_a_signed_request_that_lacks_a_scope_is_told_so_in_oauths_words(new_server):
    server = new_server(
        PATIENT + '[[route]]\npath = "/v2/**"\nmethods = ["oauth1", "basic"]\nclient_key = "ignored"\nscopes = { GET = ["thing:read"] }\n',
        "rules-scope",
    )
    holder = server.account(scopes=["account:read"])
    client = server.client(holder, scopes=["account:read"])
    answer = signed(server, "GET", "/v2/me", client, dance(server, client, Browser(holder)))
    assert (answer.status, answer.json["code"]) == (403, "additional_authorization_required")
    assert "thing:read" in answer.json["message"]
    assert answer.all("WWW-Authenticate") == ['OAuth realm="Countersign", oauth_problem="additional_authorization_required"']
    plain = wire.send(server, "GET", "/v2/me", [basic(holder.username, holder.password)])
    assert (plain.status, plain.json["code"], plain.all("WWW-Authenticate")) == (403, "scope_missing", [])
    server.stop()


# --- what a client signs with ---


def test_a_new_client_signs_with_all_that_the_server_admits(new_server):
    server = new_server('[oauth]\nsignature_methods = ["HMAC-SHA256", "PLAINTEXT"]\nplaintext = "never"\n' + PATIENT, "rules-methods")
    root = server.account(role="admin")
    made = server.json("client", "create", "--owner", root.username, "--name", "App", "--callback", "oob")
    assert made["signature_methods"] == ["HMAC-SHA256"]
    body = '{"name": "App"}'
    answer = wire.send(server, "POST", "/api/v1/clients", [basic(root.username, root.password), JSON], body)
    assert (answer.status, answer.json["signature_methods"]) == (201, ["HMAC-SHA256"])
    server.stop()
