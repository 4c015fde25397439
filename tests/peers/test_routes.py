"""Routes: which host, path and method lead where, and what browsers' scripts of other origins may do (Fetch, CORS)."""

import pytest
import wire
from conftest import PATIENT
from ways import basic, client_key

APP = "https://app.example.com"
CONFIG = """
[[route]]
path = "/v2/**"
hosts = ["api-*.example.com", "API.Example.org"]
methods = ["basic", "api_key"]
cors_origins = ["https://app.example.com", "http://localhost:3000"]

[[route]]
path = "/v2/**"
hosts = ["*.internal"]
methods = ["jwt"]

[[route]]
path = "/v2/**"
hosts = ["strict.example.com"]
methods = ["basic"]
require_tls = true
require_user_agent = true
cors_origins = ["https://app.example.com"]

[[route]]
path = "/v2/**"
hosts = ["scoped.example.com"]
methods = ["api_key"]
scopes = { GET = ["account:read"], PUT = [], "*" = ["account:write"] }
cors_origins = ["*"]
"""
HOST = "api-eu.example.com"


@pytest.fixture(scope="module")
def routed(new_server):
    started = new_server(PATIENT + CONFIG, "routes")
    yield started
    started.stop()


@pytest.fixture(scope="module")
def person(routed):
    account = routed.account()
    return [basic(account.username, account.password), client_key(routed.client(account))]


def send(server, *headers, verb="GET", host=HOST, target="/v2/me"):
    return wire.send(server, verb, target, headers, host=host)


def preflight(server, origin, *more, host=HOST):
    asked = [("Origin", origin), ("Access-Control-Request-Method", "PUT"), *more]
    return send(server, *asked, verb="OPTIONS", host=host)


# --- hosts ---


@pytest.mark.parametrize("host", ["api-eu.example.com", "API-EU.EXAMPLE.COM", "api-eu.example.com:8080", "api-.example.com", "api.example.org"])
def test_a_host_that_a_route_names_leads_to_it_in_any_case_and_at_any_port(host, routed, person):
    assert send(routed, *person, host=host).status == 200


@pytest.mark.parametrize(
    "host", ["example.com", "api.example.com", "xapi-eu.example.com", "api-eu.example.com.evil.example", "api-eu.example.org"]
)
def test_a_host_that_no_route_names_is_404(host, routed, person):
    answer = send(routed, *person, host=host)
    assert (answer.status, answer.json["message"]) == (404, "No route matches this path.")


def test_the_same_path_under_another_host_has_another_rule(routed, person):
    answer = send(routed, *person, host="a.internal")
    assert answer.status == 401
    assert [line.partition(" ")[0] for line in answer.all("WWW-Authenticate")] == ["Bearer"]


# --- scopes by method ---


def test_head_counts_as_get_and_a_star_is_for_the_methods_that_are_not_named(routed):
    account = routed.account()
    key = routed.key(account, scopes=["account:read"])
    status = lambda verb, *more: send(routed, basic(key.public, key.private), *more, verb=verb, host="scoped.example.com").status  # noqa: E731
    assert [status(verb) for verb in ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PROPFIND")] == [200, 200, 200, 403, 403, 403, 403]
    # What some frameworks would take for another method needs that one's scopes too.
    assert status("GET", ("X-HTTP-Method-Override", "DELETE")) == 403


# --- CORS ---


def test_a_preflight_from_an_admitted_origin_needs_no_credential(routed):
    answer = preflight(routed, APP, ("Access-Control-Request-Headers", "authorization, x-client-key"))
    assert answer.status == 204
    assert answer.one("Access-Control-Allow-Origin") == APP
    assert answer.one("Access-Control-Allow-Methods") == "PUT"
    assert answer.one("Access-Control-Allow-Headers") == "authorization, x-client-key"
    assert answer.one("Vary") == "Origin"
    assert int(answer.one("Access-Control-Max-Age")) > 0
    assert not answer.all("WWW-Authenticate")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://app.example.com", "https://app.example.com.evil.example", "https://app.example.com:444", "null"]
)
def test_another_origin_is_judged_like_everybody_and_its_script_reads_nothing(origin, routed, person):
    answer = preflight(routed, origin)
    assert answer.status == 401
    assert not answer.all("Access-Control-Allow-Origin")
    answer = send(routed, *person, ("Origin", origin))
    assert answer.status == 200
    assert not answer.all("Access-Control-Allow-Origin")
    assert answer.one("Vary") == "Origin"


def test_an_options_request_that_is_no_preflight_needs_a_credential(routed, person):
    assert send(routed, ("Origin", APP), verb="OPTIONS").status == 401
    assert send(routed, ("Access-Control-Request-Method", "GET"), verb="OPTIONS").status == 401
    assert send(routed, ("Origin", APP), ("Access-Control-Request-Method", "GET")).status == 401
    assert send(routed, *person, verb="OPTIONS").status == 200


@pytest.mark.parametrize("origin", [APP, "http://localhost:3000"])
def test_an_admitted_origins_script_reads_good_answers_and_refusals_alike(origin, routed, person):
    sent = ("Origin", origin)
    wrong = basic("nobody", "wrong")
    answers = [
        (send(routed, *person, sent), 200),
        (send(routed, sent), 401),
        (send(routed, wrong, person[1], sent), 401),
        (send(routed, person[0], sent), 400),
        (send(routed, person[0], ("X-Client-Key", "x"), sent), 403),
        (send(routed, *person, sent, target="/v2/nothing-behind-it"), 404),
    ]
    for answer, status in answers:
        assert answer.status == status
        assert answer.one("Access-Control-Allow-Origin") == origin
        assert "WWW-Authenticate" in answer.one("Access-Control-Expose-Headers")
        # Browsers never add cookies of ours to it by themselves.
        assert not answer.all("Access-Control-Allow-Credentials")


def test_a_route_without_origins_speaks_to_no_script(routed):
    answer = preflight(routed, APP, host="a.internal")
    assert answer.status == 401
    assert not [name for name, _ in answer.headers if name.lower().startswith("access-control") or name.lower() == "vary"]


def test_every_origin_is_admitted_only_where_the_route_says_so(routed):
    assert preflight(routed, "https://anybody.example", host="scoped.example.com").one("Access-Control-Allow-Origin") == "https://anybody.example"


def test_tls_and_user_agent_come_before_a_preflight_is_answered(routed):
    answer = preflight(routed, APP, host="strict.example.com")
    assert (answer.status, answer.json["code"]) == (403, "Security")


# --- caches ---


@pytest.mark.parametrize("target", ["/v2/me", "/v2", "/api/v1/accounts", "/api/auth/jwt", "/oauth/request_token", "/login", "/nowhere"])
def test_no_answer_of_ours_may_be_kept_by_a_cache(target, routed, person):
    for headers in ([], person):
        verb = "POST" if target in ("/api/auth/jwt", "/oauth/request_token") else "GET"
        answer = send(routed, *headers, verb=verb, target=target)
        assert answer.one("Cache-Control") == "no-store", answer
