"""What an attacker tries on the pages: forged forms, markup in every field, redirects elsewhere, frames."""

from urllib.parse import quote

import pytest
import requests
from dance import authorize_url, temporary
from elsewhere import Site
from harness import eventually

NASTY = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">'\"&"


def hidden(page, name="csrf_token"):
    """A hidden field of a page."""
    return page.split(f'name="{name}" value="')[1].split('"')[0]


def logged_in(server, account):
    """A logged-in browser without a window: its cookies."""
    browser = requests.Session()
    browser.trust_env = False
    token = hidden(browser.get(f"{server.base}/login", timeout=20).text)
    fields = {"csrf_token": token, "username": account.username, "password": account.password}
    answer = browser.post(f"{server.base}/login", data=fields, allow_redirects=False, timeout=20)
    assert answer.status_code == 303 and answer.headers["Location"] == "/apps"
    return browser


@pytest.fixture
def session(server, holder):
    return logged_in(server, holder)


@pytest.fixture(scope="module")
def admin_session(server, admin):
    return logged_in(server, admin)


@pytest.fixture(scope="module")
def own_token(server, admin_session):
    """The token that the administrator's forms carry."""
    return hidden(admin_session.get(f"{server.base}/admin/companies", timeout=20).text)


@pytest.fixture(scope="module")
def stolen_token(server, developer):
    """A token that is good in somebody else's session."""
    return hidden(logged_in(server, developer).get(f"{server.base}/developer/clients/new", timeout=20).text)


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


# What an administrator can do to an account and its app: the address and the fields of the form.
ADMINISTRATION = {
    "create an account": ("/admin/accounts/new", {"username": "forged@example.com", "role": "member", "scopes": "*"}),
    "change an account": ("/admin/accounts/show?id={id}", {"name": "Forged", "role": "admin", "scopes": "*"}),
    "lock an account": ("/admin/accounts/standing?id={id}", {"standing": "lock", "reason": "Forged"}),
    "disable an account": ("/admin/accounts/standing?id={id}", {"standing": "disable"}),
    "unlock an account": ("/admin/accounts/standing?id={locked}", {"standing": "enable"}),
    "set a password": ("/admin/accounts/password?id={id}", {"new_password": "a forged password"}),
    "make a key for another": ("/admin/accounts/key?id={id}", {"name": "Forged", "scopes": "", "expires_in": ""}),
    "create a company": ("/admin/companies", {"company": "forged", "name": "Forged"}),
    "suspend an app": ("/admin/clients", {"client_key": "{client}", "standing": "disable"}),
    "enable an app": ("/admin/clients", {"client_key": "{suspended}", "standing": "enable"}),
    "delete an account": ("/admin/accounts/delete?id={doomed}", {}),
}


@pytest.fixture(scope="module")
def administered(server):
    """What the forms of administration are about, by the places in their fields."""
    account, locked, doomed = server.account(), server.account(), server.account()
    client, suspended = server.client(account), server.client(account)
    server.command("account", "lock", locked.username)
    server.command("client", "disable", suspended.key)
    return {"id": account.id, "locked": locked.id, "doomed": doomed.id, "client": client.key, "suspended": suspended.key}


@pytest.mark.parametrize("deed", ADMINISTRATION)
def test_a_form_of_administration_changes_something_only_with_its_own_token(deed, server, admin_session, administered, own_token, stolen_token):
    path, fields = ADMINISTRATION[deed]
    url = server.base + path.format(**administered)
    fields = {name: value.format(**administered) for name, value in fields.items()}
    if "once" in (page := admin_session.get(url, timeout=20).text):
        fields["once"] = hidden(page, "once")

    def deeds():
        """How much is in the audit log about accounts, keys, companies and apps, beside who logged in."""
        events = admin_session.get(f"{server.base}/api/v1/audit?limit=20", timeout=20).json()
        return [each for each in events if not each["event"].startswith("login")]

    before = deeds()
    for token in (None, "", "forged", "A" * 43, stolen_token):
        sent = fields | ({} if token is None else {"csrf_token": token})
        answer = admin_session.post(url, data=sent, allow_redirects=False, timeout=20)
        assert answer.status_code == 403 and "This form is no longer good" in answer.text, token
    assert deeds() == before
    answer = admin_session.post(url, data=fields | {"csrf_token": own_token}, allow_redirects=False, timeout=20)
    assert answer.status_code in (200, 303), answer.text
    assert deeds() != before


def test_a_token_of_another_session_is_worth_nothing(server, session, developer, client_oob):
    other = requests.Session()
    other.trust_env = False
    token = hidden(other.get(f"{server.base}/login", timeout=20).text)
    answer = session.post(f"{server.base}/apps/revoke-all", data={"csrf_token": token}, allow_redirects=False, timeout=20)
    assert answer.status_code == 403
    request = temporary(server, client_oob)
    fields = {"csrf_token": token, "decision": "allow", "oauth_token": request.token}
    answer = session.post(f"{server.base}/oauth/authorize", data=fields, allow_redirects=False, timeout=20)
    assert answer.status_code == 403 and "This form is no longer good" in answer.text


def test_a_login_form_that_another_tab_overtook_leads_on(server, holder, developer, client_oob):
    browser = requests.Session()
    browser.trust_env = False
    request = temporary(server, client_oob)
    forms = {"/login": {"next": "/account"}, "/oauth/authorize": {"oauth_token": request.token}}
    own = hidden(browser.get(f"{server.base}/login", timeout=20).text)

    def sent(path, account, token):
        fields = forms[path] | {"csrf_token": token, "username": account.username, "password": account.password}
        return browser.post(server.base + path, data=fields, allow_redirects=False, timeout=20)

    assert sent("/login", holder, own).status_code == 303
    # Also when somebody else's name was typed: who is logged in stays so, and every page says who that is.
    for path, onward in (("/login", "/account"), ("/oauth/authorize", authorize_url(server, request).removeprefix(server.base))):
        answer = sent(path, developer, own)
        assert (answer.status_code, answer.headers["Location"]) == (303, onward)
        assert "countersign_session" not in answer.headers.get("Set-Cookie", "")
    assert holder.username in browser.get(f"{server.base}/account", timeout=20).text
    # The form of another browser is as bad as ever.
    for token in (None, "", "forged", hidden(requests.get(f"{server.base}/login", timeout=20).text)):
        for path in forms:
            assert sent(path, developer, token).status_code == 403, (path, token)


def test_a_wrong_password_on_the_login_form_is_401_by_a_scheme_that_no_browser_asks_for(server, holder, client_oob):
    for path, more in (("/login", {}), ("/oauth/authorize", {"oauth_token": temporary(server, client_oob).token})):
        browser = requests.Session()
        browser.trust_env = False
        token = hidden(browser.get(f"{server.base}/login", timeout=20).text)
        form = {"csrf_token": token, "username": holder.username, "password": "wrong"} | more
        answer = browser.post(server.base + path, data=form, allow_redirects=False, timeout=20)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Cookie realm="Countersign"')
        assert 'name="password"' in answer.text and "countersign_session" not in answer.headers.get("Set-Cookie", "")


def test_too_many_wrong_passwords_are_told_beside_the_field(new_server):
    server = new_server("[throttle]\nfailures = 2\n", "throttled")
    browser = logged_in(server, server.account())
    page = browser.get(f"{server.base}/account", timeout=20).text
    form = {"csrf_token": hidden(page), "current_password": "wrong", "new_password": "a new password", "repeated_password": "a new password"}
    answers = [browser.post(f"{server.base}/account/password", data=form, timeout=20) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [422, 422, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert 'id="current_password-reason">Too many failed attempts' in answers[-1].text and 'name="new_password"' in answers[-1].text


def test_a_login_form_that_another_site_sends_logs_nobody_in(server, holder):
    fields = {"username": holder.username, "password": holder.password}
    answer = requests.post(f"{server.base}/login", data=fields, allow_redirects=False, timeout=20)
    assert answer.status_code == 403 and "countersign_session" not in answer.headers.get("Set-Cookie", "")
    answer = requests.post(f"{server.base}/login", data=fields | {"csrf_token": "x"}, cookies={"countersign_visitor": "y"}, allow_redirects=False, timeout=20)
    assert answer.status_code == 403


ELSEWHERE = [
    "https://evil.example/", "//evil.example/", "/\\evil.example/", "\\\\evil.example/", "javascript:alert(1)",
    "\thttps://evil.example", "/\t/evil.example", "/\n/evil.example", "http:evil.example", "evil.example", "///evil.example",
    " //evil.example", "https:/evil.example", "@evil.example", "data:text/html,x",
]
# These look like it, and are paths of this server.
HERE = ["/%2F/evil.example", "/%5Cevil.example", "/.//evil.example", "/@evil.example", "/apps?next=//evil.example"]


@pytest.mark.parametrize("next", ELSEWHERE[:7])
def test_next_leads_nowhere_else(next, any_chrome, server, holder):
    any_chrome.open(f"{server.base}/login?next={quote(next, safe='')}")
    any_chrome.sign_in(holder)
    assert any_chrome.url == f"{server.base}/apps"
    any_chrome.open(f"{server.base}/login?next={quote(next, safe='')}")
    assert any_chrome.url == f"{server.base}/apps"


@pytest.mark.parametrize("next", ELSEWHERE + HERE)
def test_next_leads_nowhere_else_after_login_and_logout(next, server, holder):
    browser = requests.Session()
    browser.trust_env = False
    given = {"next": next, "csrf_token": hidden(browser.get(f"{server.base}/login", timeout=20).text)}
    fields = given | {"username": holder.username, "password": holder.password}
    came = browser.post(f"{server.base}/login", data=fields, allow_redirects=False, timeout=20)
    given["csrf_token"] = hidden(browser.get(f"{server.base}/logout", timeout=20).text)
    left = browser.post(f"{server.base}/logout", data=given, allow_redirects=False, timeout=20)
    assert (came.status_code, left.status_code) == (303, 303)
    expected = [next, next] if next in HERE else ["/apps", "/login?done=logged-out"]
    assert [answer.headers["Location"] for answer in (came, left)] == expected


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

    page = "<!doctype html><title>Evil</title>" + "".join(f'<iframe src="{url}"></iframe>' for url in targets)
    with Site(lambda path: (200, page)) as evil:
        chrome.open(evil.base)
        for frame in chrome.all("iframe"):
            chrome.driver.switch_to.frame(frame)
            assert "Connected apps" not in chrome.source and "decision" not in chrome.source
            chrome.driver.switch_to.default_content()
        refused = [message for message in chrome.complaints() if "frame-ancestors" in message]
        assert len(refused) == len(targets)


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
    browser = logged_in(server, server.account())
    page = browser.get(f"{server.base}/developer/clients/new", timeout=20).text
    form = {"csrf_token": hidden(page), "once": hidden(page, "once"), "name": "Once"}
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
