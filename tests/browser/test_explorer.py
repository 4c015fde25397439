"""The API explorer in a real browser: Swagger UI from the binary alone, trying calls by each way in, the operator's own API."""

import json

import pytest
import requests
from chrome import REFUSED
from elsewhere import Site
from harness import eventually
from selenium.webdriver.common.by import By

OPERATION = "#operations-accounts-listAccounts"
CREATE = "#operations-companies-createCompany"

OWN_API = {
    "openapi": "3.1.0",
    "info": {"title": "Photos of the operator", "version": "1"},
    "paths": {"/v2/me": {"get": {"operationId": "whoami", "tags": ["photos"], "responses": {"200": {"description": "ok"}}}}},
}


def is_meant(message):
    """A call of the API that was tried with a wrong credential."""
    return REFUSED in message and "/api/v1/" in message.split(REFUSED)[0]


@pytest.fixture
def chrome(chromes):
    """A browser that has never been anywhere; its console must stay empty, or a page broke its own policy."""
    browser = chromes()
    browser.forget()
    yield browser
    assert [message for message in browser.complaints() if not is_meant(message)] == []


def opened(chrome, url):
    """The explorer, when it has read the description."""
    chrome.open(url)
    assert eventually(lambda: chrome.has(".swagger-ui .opblock")), chrome.text
    return chrome


def authorize(chrome, fields):
    """Fill in the dialog's entry that has these fields, and close it."""
    chrome.find(".swagger-ui .auth-wrapper .authorize").click()
    assert eventually(lambda: chrome.has(".dialog-ux .auth-container"))
    for selector, text in fields.items():
        chrome.find(f".dialog-ux {selector}").send_keys(text)
    form = next(each for each in chrome.all(".dialog-ux .auth-container") if each.find_elements(By.CSS_SELECTOR, next(iter(fields))))
    form.find_element(By.CSS_SELECTOR, "button.authorize").click()
    chrome.find(".dialog-ux .btn-done").click()


def try_out(chrome, operation, body=None):
    """Carry the operation out; its status."""
    block = chrome.find(operation)
    if "is-open" not in block.get_attribute("class"):
        block.find_element(By.CSS_SELECTOR, ".opblock-summary-control").click()
    assert eventually(lambda: chrome.has(f"{operation} .try-out__btn"))
    chrome.find(f"{operation} .try-out__btn").click()
    if body is not None:
        area = chrome.find(f"{operation} textarea")
        area.clear()
        area.send_keys(json.dumps(body))
    chrome.find(f"{operation} .execute").click()
    status = f"{operation} .live-responses-table .response .response-col_status"
    assert eventually(lambda: chrome.has(status)), chrome.find(operation).text
    return int(chrome.find(status).text.split()[0])


def everything_loaded_is_ours(chrome, base):
    names = chrome.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert names and all(name.startswith((base, "data:")) for name in names), names


def test_the_explorer_shows_the_api_and_loads_nothing_from_elsewhere(chrome, server):
    opened(chrome, f"{server.base}/docs")
    assert "Countersign" in chrome.text and "/api/v1/accounts" in chrome.text
    assert eventually(lambda: chrome.has(OPERATION))
    everything_loaded_is_ours(chrome, server.base)
    headers = requests.get(f"{server.base}/docs", timeout=20).headers
    assert "script-src 'self'; style-src 'self'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]


def test_the_dialog_offers_basic_bearer_and_session(chrome, server):
    opened(chrome, f"{server.base}/docs")
    chrome.find(".swagger-ui .auth-wrapper .authorize").click()
    assert eventually(lambda: chrome.has(".dialog-ux .auth-container"))
    offered = [each.text.split()[0] for each in chrome.all(".dialog-ux .auth-container h4")]
    assert offered == ["basic", "bearer", "session"]


def test_calls_are_tried_with_a_password(chrome, server, holder):
    opened(chrome, f"{server.base}/docs")
    assert try_out(chrome, OPERATION) == 401
    opened(chrome, f"{server.base}/docs?again")
    authorize(chrome, {"#auth-basic-username, .auth-container input[name=username]": holder.username, "input[name=password]": holder.password})
    assert try_out(chrome, OPERATION) == 200
    assert holder.username in chrome.find(OPERATION).text


def test_calls_are_tried_with_a_token(chrome, server, holder):
    token = requests.post(
        f"{server.base}/api/auth/jwt", json={"username": (key := server.key(holder)).public, "password": key.private}, timeout=20
    ).json()["token"]
    opened(chrome, f"{server.base}/docs")
    authorize(chrome, {"#auth-bearer-value, input[aria-label='auth-bearer-value']": token})
    assert try_out(chrome, OPERATION) in (200, 403)
    assert "401" not in chrome.find(f"{OPERATION} .live-responses-table .response-col_status").text


def test_who_is_logged_in_tries_calls_and_changes_by_the_session(chrome, server, admin):
    chrome.log_in(server.base, admin)
    chrome.open(f"{server.base}/apps")
    assert chrome.find("footer a[href$='/docs']").text == "API documentation"
    opened(chrome, f"{server.base}/docs")
    assert f"as {admin.username}" in chrome.text
    assert try_out(chrome, OPERATION) == 200
    assert try_out(chrome, CREATE, {"id": "by-explorer"}) == 201, chrome.find(CREATE).text
    assert "by-explorer" in [each["id"] for each in server.json("company", "list")]


def test_without_script_the_page_leads_to_the_description(chromes, server):
    chrome = chromes(script=False)
    chrome.forget()
    chrome.open(f"{server.base}/docs")
    assert chrome.heading.endswith("API documentation")
    chrome.find("main a").click()
    assert eventually(lambda: chrome.url == f"{server.base}/api/openapi.json")


@pytest.mark.parametrize("by", ["file", "address"])
def test_the_operators_own_api_is_described_too(by, chrome, new_server, tmp_path):
    (tmp_path / "openapi.json").write_text(json.dumps(OWN_API))
    with Site(lambda path: (200, json.dumps(OWN_API)), content_type="application/json") as api:
        named = str(tmp_path / "openapi.json") if by == "file" else f"{api.base}/openapi.json"
        server = new_server(f'[docs]\nupstream_openapi = "{named}"\n', f"described-{by}")
        holder = server.account()
        opened(chrome, f"{server.base}/docs")
        assert "Photos of the operator" in chrome.text
        key = server.key(holder)
        authorize(chrome, {"#auth-basic-username, .auth-container input[name=username]": key.public, "input[name=password]": key.private})
        assert try_out(chrome, "#operations-photos-whoami") == 200
        everything_loaded_is_ours(chrome, server.base)
        chrome.find("header nav a[href$='of=own']").click()
        assert eventually(lambda: chrome.has(OPERATION))


def test_a_description_that_is_not_there_is_said_at_start(new_server, tmp_path):
    with pytest.raises(Exception, match="upstream_openapi|nothing.json"):
        new_server(f'[docs]\nupstream_openapi = "{tmp_path}/nothing.json"\n', "undescribed")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 390)])
def test_the_explorer_can_be_used_by_everybody(chrome, server, scheme, width):
    chrome.scheme(scheme)
    chrome.size(width, 900, phone=width < 600)
    opened(chrome, f"{server.base}/docs?{scheme}")
    assert chrome.run("return document.documentElement.scrollWidth") <= width
    assert chrome.violations() == []
    chrome.find(".swagger-ui .auth-wrapper .authorize").click()
    assert eventually(lambda: chrome.has(".dialog-ux .auth-container"))
    assert chrome.violations() == []
    chrome.find(".dialog-ux .btn-done").click()
    chrome.run(f"document.querySelector('{CREATE} .opblock-summary-control').click()")
    assert eventually(lambda: chrome.has(f"{CREATE} .try-out__btn"))
    chrome.run(f"document.querySelector('{CREATE} .try-out__btn').click()")
    assert eventually(lambda: chrome.has(f"{CREATE} textarea"))
    assert chrome.violations() == []
    chrome.size(1200, 900)
    chrome.scheme("light")
