"""What the account holder and the app see of the dance: login, consent, scopes, deny, revoke."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import signer
import wire
from browser import Browser, Page
from dance import access_token, authorize_url, dance, request_token, signed, temporary
from harness import Token, eventually

SCOPES = ["account:read", "product:read", "product:write"]


@pytest.fixture(scope="module")
def app(server, developer):
    """A client with three scopes."""
    return server.client(developer, scopes=SCOPES)


def scopes_of(server, client, token):
    answer = signed(server, "GET", "/v2/me", client, token)
    assert answer.status == 200, answer.body
    return sorted(answer.json["scopes"])


def test_a_token_inherits_the_scopes_given_when_the_client_was_created(server, app, browser):
    token = dance(server, app, browser)
    assert sorted(token.fields["scope"].replace(",", " ").split()) == SCOPES
    assert scopes_of(server, app, token) == SCOPES


@pytest.mark.parametrize("asked", ["account:read", "account:read product:read", "account:read,product:read"])
@pytest.mark.parametrize("by", ["parameter", "header"])
def test_an_app_may_ask_for_fewer(by, asked, server, app, browser):
    url = f"{server.base}/oauth/request_token"
    more = {"scope": asked} if by == "parameter" else {}
    parameters = signer.sign("POST", url, app, oauth_callback=app.callback, **more)
    form = signer.form_encoded([pair for pair in parameters if pair[0] == "scope"])
    header = signer.header([pair for pair in parameters if pair[0] != "scope"])
    headers = [("Authorization", header), ("Content-Type", "application/x-www-form-urlencoded")]
    if by == "header":
        headers.append(("X-OAuth-Scope", asked))
    answer = wire.send(server, "POST", "/oauth/request_token", headers, form)
    assert answer.status == 200, answer.body
    request = Token(answer.form["oauth_token"], answer.form["oauth_token_secret"], app)
    verifier = browser.verifier(authorize_url(server, request))
    given = access_token(server, app, request, verifier).form
    token = Token(given["oauth_token"], given["oauth_token_secret"], app)
    assert scopes_of(server, app, token) == sorted(asked.replace(",", " ").split())


def test_asking_for_more_than_the_client_has_is_403(server, app):
    answer = request_token(server, app, scope="account:read account:delete")
    assert answer.status == 403
    assert answer.form["oauth_problem"] == "additional_authorization_required"


def test_the_holder_may_untick_scopes(server, app, browser):
    assert scopes_of(server, app, dance(server, app, browser, scopes=["product:read"])) == ["product:read"]
    assert scopes_of(server, app, dance(server, app, browser, scopes=[])) == []


def test_the_consent_page_has_a_box_for_each_scope_and_names_the_app(server, app, browser):
    answer, form = browser.consent_page(authorize_url(server, temporary(server, app)))
    assert sorted(value for name, value, _ in form.checkboxes if name == "scope") == SCOPES
    assert "frame-ancestors" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in answer.headers["Cache-Control"]
    assert Page(answer.text).headings == 1


def test_what_the_client_has_lost_since_it_asked_is_neither_offered_nor_given(server, developer, browser):
    client = server.client(developer, scopes=["thing:read", "thing:write", "thing:delete"])
    request = temporary(server, client)
    url = authorize_url(server, request)
    server.command("client", "update", client.key, "--scope", "thing:read", "--scope", "thing:write")
    offered = lambda: sorted(value for _, value, _ in browser.consent_page(url)[1].checkboxes)  # noqa: E731
    assert eventually(lambda: offered() == ["thing:read", "thing:write"]), offered()
    verifier = browser.verifier(url)
    server.command("client", "update", client.key, "--scope", "thing:read")
    assert access_token(server, client, request, verifier).form["scope"] == "thing:read"


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_callback_that_was_withdrawn_is_sent_nobody(decision, server, developer, browser):
    client = server.client(developer, callback="http://127.0.0.1/withdrawn")
    url = authorize_url(server, temporary(server, client))
    page, form = browser.consent_page(url)
    server.command("client", "update", client.key, "--callback", "http://127.0.0.1/other")
    assert eventually(lambda: browser.open(url).status_code == 400)
    for answer in (browser.open(url), browser.submit(page.url, form, [*form.fields, ("decision", decision)])):
        assert answer.status_code == 400 and "withdrawn" not in answer.text
        assert "is not registered for it any more" in answer.text
        assert answer.headers.get("Location") is None


@pytest.mark.parametrize(("state", "language", "said"), [
    ("lock", "en", "Your account is locked"), ("disable", "de", "Ihr Konto ist gesperrt"),
])
def test_who_may_allow_nothing_is_told_why_and_may_deny(state, language, said, server, app):
    holder = server.account()
    server.command("account", state, holder.username, "--reason", "Invoice 4711 is open.")
    url = f"{authorize_url(server, temporary(server, app))}&ui_locales={language}"
    browser = Browser(holder)
    page, form = browser.consent_page(url)
    assert said in page.text and "Invoice 4711 is open." in page.text
    assert 'value="allow"' not in page.text and form.checkboxes == []
    answer = browser.submit(page.url, form, [*form.fields, ("decision", "deny")])
    assert "oauth_problem=permission_denied" in answer.headers["Location"]


def test_a_form_without_a_decision_is_asked_again(server, app, browser):
    page, form = browser.consent_page(authorize_url(server, temporary(server, app)))
    again = browser.submit(page.url, form, form.fields)
    assert again.status_code == 200 and "decision" in Page(again.text).form_with("decision").names


def test_a_scope_that_was_not_on_the_page_can_not_be_smuggled_in(server, app, browser):
    request = temporary(server, app, scope="account:read")
    answer, form = browser.consent_page(authorize_url(server, request))
    fields = [*form.fields, ("scope", "account:read"), ("scope", "product:write"), ("scope", "manage:write"), ("decision", "allow")]
    done = browser.submit(answer.url, form, fields)
    if done.status_code in (302, 303):
        verifier = parse_qs(urlsplit(done.headers["Location"]).query)["oauth_verifier"][0]
        given = access_token(server, app, request, verifier).form
        assert scopes_of(server, app, Token(given["oauth_token"], given["oauth_token_secret"], app)) == ["account:read"]
    else:
        assert done.status_code in (400, 403)


def test_deny_gives_the_app_nothing(server, app, browser):
    request = temporary(server, app)
    callback = browser.callback(authorize_url(server, request), decision="deny")
    assert "oauth_problem=permission_denied" in callback
    answer = access_token(server, app, request, "anything")
    assert (answer.status, answer.form["oauth_problem"]) == (403, "permission_denied")


def test_the_consent_form_without_its_csrf_token_changes_nothing(server, app, browser):
    request = temporary(server, app)
    answer, form = browser.consent_page(authorize_url(server, request))
    fields = [pair for pair in form.fields if pair[0] != "csrf_token"]
    for forged in ([], [("csrf_token", "")], [("csrf_token", "x" * 43)]):
        done = browser.submit(answer.url, form, [*fields, *forged, ("decision", "allow")])
        assert done.status_code in (400, 403)
    assert access_token(server, app, request, "anything").status == 401


def test_a_wrong_password_shows_the_login_page_again_and_no_consent(server, app, holder):
    guest = Browser(type(holder)(holder.id, holder.username, "wrong"))
    url = authorize_url(server, temporary(server, app))
    page = guest.open(url)
    form = Page(page.text).form_with("password")
    assert {"username", "password", "csrf_token"} <= form.names
    answer = guest.submit(page.url, form, [*form.fields, ("username", holder.username), ("password", "wrong")])
    shown = Page(answer.text)
    assert shown.form_with("password")
    assert not any("decision" in found.names for found in shown.forms)


def test_the_login_cookie_is_out_of_reach_for_scripts_and_other_sites(server, app, holder):
    guest = Browser(holder)
    guest.consent_page(authorize_url(server, temporary(server, app)))
    page = requests.get(authorize_url(server, temporary(server, app)), timeout=60)
    lines = page.raw.headers.getlist("Set-Cookie") if page.raw else []
    assert guest.session.cookies
    for cookie in guest.session.cookies:
        assert cookie.has_nonstandard_attr("HttpOnly"), cookie.name
    for line in lines:
        assert "httponly" in line.lower() and "samesite=lax" in line.lower()


def test_a_request_token_of_nobody_is_an_error_page_and_no_redirect(server, browser):
    answer = browser.session.get(f"{server.base}/oauth/authorize?oauth_token=nothing", allow_redirects=False, timeout=60)
    assert 400 <= answer.status_code < 500


def test_a_denied_or_used_request_token_can_not_be_allowed_again(server, app, browser):
    request = temporary(server, app)
    verifier = browser.verifier(authorize_url(server, request))
    assert access_token(server, app, request, verifier).status == 200
    answer = browser.open(authorize_url(server, request))
    assert not any("decision" in form.names for form in Page(answer.text).forms)


@pytest.mark.parametrize("by", ["the-app", "the-command-line"])
def test_a_revoked_token_is_dead_within_a_second_or_so(by, server, app, browser):
    token = dance(server, app, browser)
    assert signed(server, "GET", "/v2/me", app, token).status == 200
    if by == "the-app":
        answer = signed(server, "POST", "/oauth/revoke", app, token, body=b"")
        assert answer.status == 200
        assert signed(server, "GET", "/v2/me", app, token).problem == "token_revoked"
    else:
        server.command("token", "revoke", token.token)
        assert eventually(lambda: signed(server, "GET", "/v2/me", app, token).problem == "token_revoked", 3)


def test_the_command_line_lists_tokens_without_showing_them(server, app, browser, holder):
    token = dance(server, app, browser)
    listed = server.command("token", "list", "--account", holder.username, "--format", "json")
    assert token.token not in listed
    assert token.secret not in listed


def test_secrets_and_tokens_are_in_neither_the_log_nor_the_database(server, app, browser, token):
    dance(server, app, browser)
    secrets = [app.secret, token.secret, token.token, browser.account.password]
    at_rest = server.at_rest()
    # What is no secret is found, so that a secret would be.
    assert any(app.key.encode() in content for content in at_rest)
    for content in [server.log.read_bytes(), *at_rest]:
        for secret in secrets:
            assert secret.encode() not in content


def test_a_rotated_secret_is_good_and_the_old_one_dead_after_the_grace(server, developer):
    client = server.client(developer)
    assert request_token(server, client).status == 200
    fresh = server.json("client", "rotate-secret", client.key)["client_secret"]
    assert eventually(lambda: request_token(server, client, secret=fresh).status == 200)
    assert eventually(lambda: request_token(server, client).status == 401)


def test_a_client_limited_to_some_signature_methods_may_use_no_other(server, developer, rsa):
    client = server.client(developer, rsa=rsa, methods=["RSA-SHA256"])
    assert request_token(server, client, method="RSA-SHA256").status == 200
    for method in ("HMAC-SHA1", "HMAC-SHA256", "RSA-SHA1"):
        answer = request_token(server, client, method=method)
        assert (answer.status, answer.form["oauth_problem"]) == (400, "signature_method_rejected")


def test_sign_on_the_command_line_makes_a_header_that_passes(server, client, token):
    said = server.command(
        "sign",
        "GET",
        f"{server.base}/v2/me?a=1",
        "--client-key",
        client.key,
        "--client-secret",
        client.secret,
        "--token",
        token.token,
        "--token-secret",
        token.secret,
    )
    value = re.search(r"OAuth [^\n]*oauth_signature=[^\n]*", said).group(0)
    assert "GET&" in said
    assert wire.send(server, "GET", "/v2/me?a=1", [("Authorization", value.strip())]).status == 200


@pytest.mark.parametrize("second", ["account:delete", "account:read"])
def test_a_scope_that_is_asked_for_twice_is_400(second, server, app):
    url = f"{server.base}/oauth/request_token?scope=account%3Aread&scope={second.replace(':', '%3A')}"
    value = signer.authorization("POST", url, app, oauth_callback=app.callback)
    target = url.removeprefix(server.base)
    answer = wire.send(server, "POST", target, [("Authorization", value)], b"")
    assert (answer.status, answer.form["oauth_parameters_rejected"]) == (400, "scope")


def test_an_empty_verifier_is_none_and_costs_no_try(server, app, browser):
    request = temporary(server, app)
    verifier = browser.verifier(authorize_url(server, request))
    for _ in range(7):
        answer = access_token(server, app, request, "")
        assert (answer.status, answer.form["oauth_parameters_absent"]) == (400, "oauth_verifier")
    assert access_token(server, app, request, verifier).status == 200


def test_who_was_disabled_after_the_decision_gets_no_token_until_enabled(server, app):
    holder = server.account()
    request = temporary(server, app)
    verifier = Browser(holder).verifier(authorize_url(server, request))
    server.command("account", "disable", holder.username)
    refused = access_token(server, app, request, verifier)
    assert (refused.status, refused.form["oauth_problem"]) == (403, "permission_denied")
    server.command("account", "enable", holder.username)
    assert access_token(server, app, request, verifier).status == 200


def test_the_answer_names_the_scopes_that_the_account_has(server, app):
    holder = server.account(scopes=["account:read"])
    assert dance(server, app, Browser(holder)).fields["scope"] == "account:read"


@pytest.mark.parametrize("rests", ["lock", "disable"])
def test_who_is_locked_or_disabled_may_have_its_token_revoked(rests, server, app):
    holder = server.account()
    token = dance(server, app, Browser(holder))
    server.command("account", rests, holder.username)
    assert eventually(lambda: signed(server, "GET", "/v2/me", app, token).status == 403)
    assert signed(server, "POST", "/oauth/revoke", app, token).status == 200
    assert server.json("token", "list", "--account", holder.username)[0]["status"] == "revoked"


def test_every_refusal_at_the_endpoints_speaks_of_a_problem(server, app):
    twice = [("Content-Type", "text/plain"), ("Content-Type", "application/json")]
    answer = signed(server, "POST", "/oauth/request_token", app, headers=twice, body=b"x", oauth_callback=app.callback)
    assert (answer.status, answer.form["oauth_problem"]) == (400, "parameter_rejected")
    assert "oauth_problem" in answer.one("WWW-Authenticate")


def test_the_code_stands_in_one_piece_in_its_element(server, developer, browser):
    client = server.client(developer, callback="oob")
    answer = browser.decide(authorize_url(server, temporary(server, client)))
    verifier = re.search(r'id="verifier"[^>]*>([^<]+)<', answer.text).group(1)
    assert len(verifier) >= 20 and verifier == verifier.strip()


def test_the_first_form_of_the_consent_page_is_the_decision(server, app, browser):
    answer, _ = browser.consent_page(authorize_url(server, temporary(server, app)))
    first = answer.text[answer.text.index("<form") :].partition("</form>")[0]
    assert 'name="decision"' in first and 'name="csrf_token"' in first
