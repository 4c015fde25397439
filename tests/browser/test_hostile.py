"""What an attacker tries on the pages: forged forms, markup in every field, redirects elsewhere, frames."""

import http.server
import threading
from urllib.parse import quote

import pytest
import requests
from chrome import eventually
from dance import authorize_url, temporary

NASTY = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">'\"&"


@pytest.fixture
def session(server, holder):
    """A logged-in browser without a window: its cookies, and the token of its forms."""
    browser = requests.Session()
    browser.trust_env = False
    page = browser.get(f"{server.base}/login", timeout=20).text
    token = page.split('name="csrf_token" value="')[1].split('"')[0]
    fields = {"csrf_token": token, "username": holder.username, "password": holder.password}
    answer = browser.post(f"{server.base}/login", data=fields, allow_redirects=False, timeout=20)
    assert answer.status_code == 303 and answer.headers["Location"] == "/apps"
    return browser


FORMS = [
    "/logout", "/apps/revoke", "/apps/revoke-all", "/account/password", "/account/sessions/end",
    "/account/sessions/end-others", "/developer/clients/new", "/developer/keys/new", "/developer/keys/delete",
    "/developer/keys/regenerate", "/developer/clients/edit", "/developer/clients/rotate", "/developer/clients/token",
    "/developer/clients/revoke", "/developer/clients/disable", "/developer/clients/enable", "/developer/clients/delete",
    "/developer/clients/inspector",
]


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("token", [None, "", "forged", "A" * 43])
def test_a_form_without_the_token_of_the_session_changes_nothing(path, token, server, session):
    fields = {"name": "x", "once": "y", "new_password": "another password"} | ({} if token is None else {"csrf_token": token})
    answer = session.post(server.base + path, data=fields, allow_redirects=False, timeout=20)
    assert answer.status_code == 403 and "This form is no longer good" in answer.text
    assert session.get(f"{server.base}/account", allow_redirects=False, timeout=20).status_code == 200


def test_a_token_of_another_session_is_worth_nothing(server, session, developer, client_oob):
    other = requests.Session()
    other.trust_env = False
    page = other.get(f"{server.base}/login", timeout=20).text
    token = page.split('name="csrf_token" value="')[1].split('"')[0]
    answer = session.post(f"{server.base}/apps/revoke-all", data={"csrf_token": token}, allow_redirects=False, timeout=20)
    assert answer.status_code == 403
    request = temporary(server, client_oob)
    fields = {"csrf_token": token, "decision": "allow", "oauth_token": request.token}
    answer = session.post(f"{server.base}/oauth/authorize", data=fields, allow_redirects=False, timeout=20)
    assert answer.status_code == 403 and "This form is no longer good" in answer.text


def test_a_login_form_that_another_site_sends_logs_nobody_in(server, holder):
    fields = {"username": holder.username, "password": holder.password}
    answer = requests.post(f"{server.base}/login", data=fields, allow_redirects=False, timeout=20)
    assert answer.status_code == 403 and "countersign_session" not in answer.headers.get("Set-Cookie", "")
    answer = requests.post(f"{server.base}/login", data=fields | {"csrf_token": "x"}, cookies={"countersign_visitor": "y"}, allow_redirects=False, timeout=20)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "next", ["https://evil.example/", "//evil.example/", "/\\evil.example/", "javascript:alert(1)", "\thttps://evil.example", "/\t/evil.example", "http:evil.example"]
)
def test_next_leads_nowhere_else(next, any_chrome, server, holder):
    any_chrome.open(f"{server.base}/login?next={quote(next, safe='')}")
    any_chrome.sign_in(holder)
    assert any_chrome.url == f"{server.base}/apps"
    any_chrome.open(f"{server.base}/login?next={quote(next, safe='')}")
    assert any_chrome.url == f"{server.base}/apps"


def test_markup_in_every_field_stays_text(chrome, server, app):
    admin = server.account(username=NASTY, role="admin")
    chrome.log_in(server.base, admin)
    assert NASTY in chrome.text

    def unharmed():
        assert chrome.driver.title != "owned" and not chrome.all("main img, main script")

    unharmed()
    chrome.open(f"{server.base}/developer/clients/new")
    chrome.type("name", NASTY)
    chrome.type("callbacks", NASTY)
    chrome.type("other_scopes", NASTY)
    chrome.type("rsa_public_key", NASTY)
    chrome.press("Create app")
    unharmed()
    assert chrome.value("name") == NASTY
    chrome.type("callbacks", app.callback)
    chrome.type("other_scopes", "a:'&<b>")
    chrome.type("rsa_public_key", "")
    chrome.press("Create app")
    unharmed()
    key, secret = chrome.content("shown-client-key"), chrome.content("shown-client-secret")
    for page in ("show", "edit", "samples", "inspector"):
        chrome.open(f"{server.base}/developer/clients/{page}?key={key}")
        unharmed()
    chrome.type("request", NASTY)
    chrome.press("Inspect")
    unharmed()
    for path in ("/apps", "/account", "/developer/clients", "/developer/keys"):
        chrome.open(server.base + path)
        unharmed()
    from harness import Client

    client = Client(key, secret, admin, app.callback)
    chrome.open(authorize_url(server, temporary(server, client)))
    assert NASTY in chrome.heading and "a:'&<b>" in chrome.text
    unharmed()
    chrome.open(f"{server.base}/admin/accounts/new")
    for field in ("username", "name", "email", "company", "external_id", "scopes"):
        chrome.type(field, NASTY)
    chrome.press("Create account")
    unharmed()
    assert chrome.value("name") == NASTY
    for path in ("/admin/accounts", f"/admin/accounts/show?id={admin.id}", "/admin/clients", "/admin/companies", "/admin/audit"):
        chrome.open(server.base + path)
        unharmed()
    for query in ("search", "event", "account", "client", "since", "until", "after", "before", "done", "ui_locales"):
        for path in ("/admin/accounts", "/admin/audit", "/login", "/developer/clients/show", "/oauth/authorize"):
            chrome.open(f"{server.base}{path}?{query}={quote(NASTY)}")
            unharmed()
    chrome.open(f"{server.base}/oauth/authorize?oauth_token={quote(NASTY)}")
    unharmed()


def test_no_page_can_be_framed(chromes, server, holder, client_oob):
    chrome = chromes()
    chrome.forget()
    chrome.log_in(server.base, holder)
    targets = [f"{server.base}/apps", authorize_url(server, temporary(server, client_oob))]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = ("<!doctype html><title>Evil</title>" + "".join(f'<iframe src="{url}"></iframe>' for url in targets)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    evil = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=evil.serve_forever, daemon=True).start()
    try:
        chrome.open(f"http://127.0.0.1:{evil.server_port}/")
        for frame in chrome.all("iframe"):
            chrome.driver.switch_to.frame(frame)
            assert "Connected apps" not in chrome.source and "decision" not in chrome.source
            chrome.driver.switch_to.default_content()
        refused = [message for message in chrome.complaints() if "frame-ancestors" in message]
        assert len(refused) == len(targets)
    finally:
        evil.shutdown()


def test_every_page_says_what_browsers_may_do_with_it(server, session):
    good = ("/apps", "/account", "/developer/clients", "/developer/keys", "/docs")
    bad = ("/admin/accounts", "/developer/clients/show?key=none", "/developer/clients/revoke")
    permitted = set()
    for path in (*good, *bad):
        answer = session.get(server.base + path, allow_redirects=False, timeout=20)
        assert (answer.status_code == 200) == (path in good), path
        headers = answer.headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin" and headers["Cache-Control"] == "no-store"
        permitted.add(headers["Permissions-Policy"])
    (policy,) = permitted
    features = policy.split(", ")
    assert len(features) >= 30 and all(feature.endswith("=()") for feature in features) and "camera=()" in features


def test_the_consent_page_admits_the_one_callback_and_keeps_its_opener(server, session, client, app):
    headers = session.get(authorize_url(server, temporary(server, client)), timeout=20).headers
    assert f"form-action 'self' {app.base};" in headers["Content-Security-Policy"]
    assert "Cross-Origin-Opener-Policy" not in headers
    # Nor does what went wrong on the way cut a popup off from the app that opened it.
    failed = session.get(f"{server.base}/oauth/authorize?oauth_token=unknown", timeout=20)
    assert failed.status_code == 400 and "Cross-Origin-Opener-Policy" not in failed.headers


def test_cookies_are_kept_from_script_and_from_other_sites(server):
    cookies = requests.get(f"{server.base}/login", timeout=20).headers["Set-Cookie"]
    assert "HttpOnly" in cookies and "SameSite=Lax" in cookies and "Path=/" in cookies


def test_a_double_press_sends_one_form(chrome, server):
    person = server.account()
    chrome.log_in(server.base, person)
    chrome.open(f"{server.base}/developer/clients/new")
    chrome.type("name", "Once")
    chrome.run("const b = [...document.querySelectorAll('main button.main')][0]; b.click(); b.click();")
    assert eventually(lambda: chrome.heading == "Once is registered")
    chrome.open(f"{server.base}/developer/clients")
    assert len(chrome.all("tbody tr")) == 1


def test_a_form_counts_once_also_after_a_restart(new_server):
    """What decides is in the database, so that it holds for every node and for the next process."""
    server = new_server("", "restarted")
    person = server.account()
    browser = requests.Session()
    browser.trust_env = False
    field = lambda page, name: page.split(f'name="{name}" value="')[1].split('"')[0]
    login = browser.get(f"{server.base}/login", timeout=20).text
    fields = {"csrf_token": field(login, "csrf_token"), "username": person.username, "password": person.password}
    browser.post(f"{server.base}/login", data=fields, timeout=20)
    page = browser.get(f"{server.base}/developer/clients/new", timeout=20).text
    form = {"csrf_token": field(page, "csrf_token"), "once": field(page, "once"), "name": "Once"}
    assert browser.post(f"{server.base}/developer/clients/new", data=form, timeout=20).status_code == 200
    server.terminate()
    server.start()
    again = browser.post(f"{server.base}/developer/clients/new", data=form, timeout=20)
    assert again.status_code == 409 and "This form was sent before" in again.text
    assert len(server.json("client", "list")) == 1
    # A form that none of our pages made is none.
    for once in ("", "x" * 41):
        assert browser.post(f"{server.base}/developer/clients/new", data=form | {"once": once}, timeout=20).status_code == 403
    assert len(server.json("client", "list")) == 1


def test_bodies_that_are_no_form_are_clear_pages(server, session):
    for body, kind in ((b"\xff\xfe%%%", "application/x-www-form-urlencoded"), (b"{}", "application/json"), (b"a=b&" * 5000, "application/x-www-form-urlencoded")):
        answer = session.post(f"{server.base}/apps/revoke", data=body, headers={"Content-Type": kind}, timeout=20)
        assert answer.status_code in (400, 403) and "<h1>" in answer.text
    answer = session.post(f"{server.base}/apps/revoke", data=b"a" * 2_000_000, headers={"Content-Type": "application/x-www-form-urlencoded"}, timeout=20)
    assert answer.status_code == 413 and "Too much was sent" in answer.text
