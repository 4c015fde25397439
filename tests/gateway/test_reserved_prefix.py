"""With `server.reserved_prefix` all that is ours but `/oauth`, `/v2`, `/authz` and `/.well-known` moves; the upstream has the rest."""

import json
import re
from html.parser import HTMLParser
from urllib.parse import urljoin

import pytest
import ways
import wire
from browser import Browser, Page
from dance import authorize_url, dance, temporary

PREFIX = "/_countersign"
CONFIG = f"""
[server]
reserved_prefix = "{PREFIX}"
trusted_proxies = ["127.0.0.1"]
[[route]]
path = "/page/**"
methods = ["session", "api_key"]
[[route]]
path = "/**"
methods = ["oauth1", "basic", "api_key"]
"""
# What may stay where it is.
ELSEWHERE = ("/oauth/", "/.well-known/")


class Links(HTMLParser):
    """Every address that a page names, but those of its forms."""

    ATTRIBUTES = {"href", "src", "data-check", "poster", "srcset"}

    def __init__(self, text):
        super().__init__()
        self.found = set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in self.ATTRIBUTES and value is not None and not value.startswith(("#", "data:", "http:", "https:", "mailto:")):
                self.found.add(value)


@pytest.fixture(scope="module")
def server(new_server, api):
    started = new_server(CONFIG + f'[upstream]\nurl = "{api.url}"\n', "prefixed", health=f"{PREFIX}/health/ready")
    yield started
    started.stop()


@pytest.fixture(scope="module")
def admin(server):
    return server.account("admin@example.com", role="admin", scopes=["thing:read"])


def log_in(server, account):
    browser = Browser(account)
    answer = browser.open(f"{server.base}{PREFIX}/login")
    form = Page(answer.text).form_with("password")
    browser.submit(answer.url, form, [*form.fields, ("username", account.username), ("password", account.password)])
    return browser


def test_every_link_and_form_of_every_page_stays_below_the_prefix_and_leads_somewhere(server, admin):
    client = server.client(admin, scopes=["thing:read"])
    browser = log_in(server, admin)
    dance(server, client, browser)
    start = [f"{PREFIX}{path}" for path in ("/apps", "/account", "/developer/clients", "/developer/keys", "/admin/accounts", "/logout")]
    start.append(authorize_url(server, temporary(server, client)).removeprefix(server.base))
    start.append("/oauth/authorize?oauth_token=nobody")
    waiting, seen, actions = list(start), set(), set()
    while waiting:
        target = waiting.pop()
        path = target.partition("#")[0]
        if path.partition("?")[0] in seen:
            continue
        seen.add(path.partition("?")[0])
        answer = browser.session.get(server.base + path, allow_redirects=False, timeout=60)
        assert answer.status_code < 400 or "nobody" in path, f"{path}: {answer.status_code}"
        if "Location" in answer.headers:
            assert answer.headers["Location"].startswith((PREFIX, *ELSEWHERE)), f"{path} leads to {answer.headers['Location']}"
        if "text/html" in answer.headers.get("Content-Type", ""):
            for link in Links(answer.text).found:
                whole = urljoin(path, link)
                assert whole.startswith((PREFIX + "/", *ELSEWHERE)), f"{path} names {link}"
                waiting.append(whole)
            for form in Page(answer.text).forms:
                action = urljoin(path, form.action)
                assert action.startswith((PREFIX + "/", *ELSEWHERE)), f"{path} has a form for {form.action}"
                actions.add(action) if form.method == "post" else waiting.append(action)
            assert not re.search(r"""["'(](/(?:apps|login|logout|account|developer|admin|assets|api)\b)""", answer.text), path
    assert len(seen) > 15 and actions
    for action in actions:
        # A form that is not ours is refused by the page that it goes to, and by nobody else.
        answer = browser.session.post(server.base + action, data={"csrf_token": "forged"}, allow_redirects=False, timeout=60)
        assert answer.status_code in (400, 403), f"{action}: {answer.status_code}"


def test_nothing_of_ours_is_left_where_the_upstream_has_its_paths(server, admin):
    key = server.key(admin)
    for path in ("/login", "/apps", "/account", "/developer/clients", "/admin/accounts", "/assets/style.css", "/api/v1/accounts",
                 "/api/openapi.json", "/api/auth/jwt", "/docs", "/health/live", "/health/ready", "/metrics"):
        answer = wire.send(server, "GET", path, [ways.basic(key.public, key.private)])
        assert (answer.status, answer.json["target"]) == (200, path)
        assert wire.send(server, "GET", path).status == 401


def test_probes_metrics_and_the_management_api_are_below_the_prefix(server, admin):
    assert wire.send(server, "GET", f"{PREFIX}/health/live").status == 200
    assert wire.send(server, "GET", f"{PREFIX}/metrics").status == 200
    described = wire.send(server, "GET", f"{PREFIX}/api/openapi.json").json
    ours = [path for path in described["paths"] if not path.startswith(("/oauth/", "/v2"))]
    assert ours and all(path.startswith(f"{PREFIX}/api/") for path in ours)
    assert not re.search(r"(?<!_countersign)/api/", json.dumps(described)), "no text names a path that is not there"
    key = server.key(admin)
    token = wire.send(server, "POST", f"{PREFIX}/api/auth/jwt", [ways.basic(key.public, key.private)], b"")
    assert token.status == 200 and token.json["token"]


def test_a_session_that_is_missing_leads_to_the_login_and_back(server, admin):
    login = f"{PREFIX}/login?next=%2Fpage%2Fx%3Fauth%3Dsession"
    answer = wire.send(server, "GET", "/page/x?auth=session")
    assert (answer.status, answer.one("Location")) == (302, login)
    browser = Browser(admin)
    page = browser.open(f"{server.base}/page/x?auth=session")
    form = Page(page.text).form_with("password")
    back = browser.submit(page.url, form, [*form.fields, ("username", admin.username), ("password", admin.password)])
    assert back.status_code == 200 and back.json()["target"] == "/page/x"
    assert dict(back.json()["headers"])["x-auth-account"] == admin.username


def test_a_proxy_that_asks_hears_of_the_login_below_the_prefix(server):
    login = f"https://api.example.com{PREFIX}/login?next=%2Fpage%2Fx%3Fauth%3Dsession"
    metadata = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "api.example.com")]
    answer = wire.send(server, "GET", "/authz/forward", [*metadata, ("X-Forwarded-Uri", "/page/x?auth=session")])
    assert (answer.status, answer.one("Location")) == (302, login)
    nginx = [("X-Original-Method", "GET"), ("X-Original-URL", "https://api.example.com/page/x?auth=session")]
    answer = wire.send(server, "GET", "/authz/nginx", nginx)
    assert (answer.status, answer.one("X-Auth-Redirect")) == (401, login)


def test_cookies_are_good_for_the_pages_and_for_the_upstreams_paths(server, admin):
    answer = wire.send(server, "GET", f"{PREFIX}/login")
    cookies = answer.all("Set-Cookie")
    assert cookies and all("Path=/;" in cookie + ";" and "HttpOnly" in cookie for cookie in cookies)
