"""Fixtures: one server with some people in it, one Chromium with script and one without, and an app's own web server."""

import shutil
from urllib.parse import parse_qs, urlsplit

import pytest
from chrome import Chrome
from elsewhere import Site
from fixtures import built_binary, new_server  # noqa: F401

# Scopes have sentences, and tests may fail to log in as often as they like.
CONFIG = """
[throttle]
failures = 100000

[[scope]]
name = "account:read"
title = "Read your account's data"
titles = { de = "Die Daten Ihres Kontos lesen" }

[[scope]]
name = "products:read"
title = "See your products"
"""


def pytest_collection_modifyitems(items):
    """Without a browser nothing is pretended."""
    missing = [program for program in ("chromium", "chromedriver") if not shutil.which(program)]
    for item in items if missing else []:
        item.add_marker(pytest.mark.skip(reason=f"there is no {' and no '.join(missing)} here"))


@pytest.fixture(scope="session")
def server(new_server):
    return new_server(CONFIG, "shared")


@pytest.fixture(scope="session")
def developer(server):
    return server.account("developer@example.com")


@pytest.fixture(scope="session")
def holder(server):
    return server.account("holder@example.com")


@pytest.fixture(scope="session")
def admin(server):
    return server.account("admin@example.com", role="admin")


class App(Site):
    """An app's own site: remembers where people came back to."""

    def __init__(self, host="127.0.0.1"):
        self.calls = []
        super().__init__(self.welcome, host)
        self.callback = f"{self.base}/callback"

    def welcome(self, path):
        if path != "/favicon.ico":
            self.calls.append(path)
        return 200, "<!doctype html><html lang=en><title>App</title><link rel=icon href=data:,><h1>Welcome back</h1>"

    def query(self):
        """What the last visit brought."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.calls[-1]).query).items()}


@pytest.fixture(scope="session")
def app():
    with App() as made:
        yield made


@pytest.fixture(scope="module")
def ipv6_app():
    """The same at an address in brackets."""
    try:
        made = App("::1")
    except OSError as error:
        pytest.skip(f"there is no IPv6 loopback here: {error}")
    with made:
        yield made


@pytest.fixture(scope="session")
def client(server, developer, app):
    """An app that people are sent back to."""
    return server.client(developer, callback=app.callback, scopes=("account:read", "products:read"))


@pytest.fixture(scope="session")
def client_oob(server, developer):
    """An app that shows a code."""
    return server.client(developer, callback="oob", scopes=("account:read",))


@pytest.fixture(scope="session")
def chromes():
    """Browsers by what they can do, made when they are first needed. In the end nobody's console may hold a complaint that
    no test has looked at."""
    made = {}

    def get(**kind):
        key = tuple(sorted(kind.items()))
        if key not in made:
            made[key] = Chrome(**kind)
        return made[key]

    yield get
    unheard = {key: chrome.unheard() for key, chrome in made.items()}
    for chrome in made.values():
        chrome.quit()
    assert not any(unheard.values()), unheard


@pytest.fixture
def chrome(chromes):
    """A browser that has never been anywhere. Whatever stands in its console at the end is a failure: a page broke its
    own content security policy, or its script failed."""
    browser = chromes()
    browser.forget()
    yield browser
    assert browser.complaints() == []


@pytest.fixture(params=[True, False], ids=["with script", "without script"])
def any_chrome(request, chromes):
    """The same with and without script."""
    browser = chromes(script=request.param)
    browser.forget()
    yield browser
    assert browser.complaints() == []
