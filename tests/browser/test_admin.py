"""Administration in a real browser: accounts, lock and unlock, companies, apps, keys for others, the audit log."""

import csv
import io
import json

import dance
import pytest
import requests
from base64 import b64encode
from dance import authorize_url, temporary
from harness import Token, eventually

import wire


@pytest.fixture
def admins_chrome(any_chrome, server, admin):
    any_chrome.log_in(server.base, admin)
    return any_chrome


def open_account(chrome, server, account):
    chrome.open(f"{server.base}/admin/accounts")
    chrome.type("search", account.username)
    chrome.press("Search")
    chrome.find("tbody a").click()
    assert chrome.heading == account.username


def test_a_locked_account_is_refused_and_an_unlocked_one_is_not(admins_chrome, server, client_oob):
    chrome = admins_chrome
    account = server.account()
    token = server_token(server, client_oob, account)
    assert dance.signed(server, "GET", "/v2/me", client_oob, token).status == 200
    open_account(chrome, server, account)
    chrome.type("reason", "Invoice 4711 is open.")
    chrome.press("Lock")
    assert "Changed; it holds from the next request on." in chrome.text and "Invoice 4711 is open." in chrome.text
    refused = dance.signed(server, "GET", "/v2/me", client_oob, token)
    assert refused.status == 403 and refused.json["message"] == "No API Access"
    assert refused.json["additional"] == "Invoice 4711 is open."
    chrome.press("Enable again")
    assert dance.signed(server, "GET", "/v2/me", client_oob, token).status == 200
    chrome.press("Disable")
    assert dance.signed(server, "GET", "/v2/me", client_oob, token).json["message"] == "API Access is disabled"


def server_token(server, client, account):
    """A token of the account by a dance without a browser."""
    from browser import Browser

    request = temporary(server, client)
    verifier = Browser(account).verifier(authorize_url(server, request))
    answer = dance.access_token(server, client, request, verifier)
    return Token(answer.form["oauth_token"], answer.form["oauth_token_secret"], client)


def test_an_account_is_created_with_a_company_and_can_log_in(admins_chrome, chromes, server):
    chrome = admins_chrome
    name = f"new-{chrome.script}@example.com"
    chrome.open(f"{server.base}/admin/accounts/new")
    chrome.type("username", "no:colon")
    chrome.type("company", "acme corp")
    chrome.type("new_password", "short")
    chrome.press("Create account")
    assert chrome.reason("username") == ": can't be used here."
    assert chrome.reason("company") and chrome.reason("new_password")
    assert chrome.value("username") == "no:colon" and chrome.value("company") == "acme corp"
    chrome.type("username", name)
    chrome.type("company", "acme")
    chrome.type("new_password", "correct horse")
    chrome.type("external_id", "4711")
    chrome.press("Create account")
    assert "The account is created." in chrome.text and chrome.heading == name
    shown = server.json("account", "show", name)
    assert (shown["company"], shown["external_id"], shown["role"]) == ("acme", "4711", "member")
    chrome.choose("role", "integrator")
    chrome.type("name", "Jo Doe")
    chrome.press("Save")
    assert server.json("account", "show", name)["role"] == "integrator"
    chrome.open(f"{server.base}/admin/accounts/new")
    chrome.type("username", name)
    chrome.press("Create account")
    assert chrome.reason("username") == "This username is taken or would be mistaken for another one."
    other = chromes(language="de")
    other.forget()
    other.open(f"{server.base}/login")
    other.type("username", name)
    other.type("password", "correct horse")
    other.press("Anmelden")
    assert other.heading == "Verbundene Apps"


def test_an_administrator_makes_a_key_for_somebody_else(admins_chrome, server):
    chrome = admins_chrome
    account = server.account()
    open_account(chrome, server, account)
    chrome.press("New API key")
    assert account.username in chrome.text
    chrome.type("name", "Sync")
    chrome.press("Create key")
    pair = f"{chrome.content('shown-public-key')}:{chrome.content('shown-private-key')}"
    answer = wire.send(server, "GET", "/v2/me", [("Authorization", "Basic " + b64encode(pair.encode()).decode())])
    assert answer.json["account"]["username"] == account.username


def test_an_administrator_can_not_lock_out_itself(admins_chrome, server, admin):
    chrome = admins_chrome
    open_account(chrome, server, admin)
    chrome.press("Lock")
    assert chrome.reason("reason") == "You can't do this to your own account."
    chrome.press("Delete account")
    chrome.press("Delete account", within="details.confirm > div")
    assert "You can't do this to your own account." in chrome.text
    assert server.json("account", "show", admin.username)["status"] == "active"


def test_an_account_is_deleted(admins_chrome, server):
    chrome = admins_chrome
    account = server.account()
    open_account(chrome, server, account)
    chrome.press("Delete account")
    chrome.press("Delete account", within="details.confirm > div")
    assert "The account is deleted." in chrome.text
    assert account.username not in [each["username"] for each in server.json("account", "list")]


def test_an_app_is_suspended_and_enabled(admins_chrome, server):
    chrome = admins_chrome
    owner = server.account()
    client = server.client(owner, callback="oob")
    token = server_token(server, client, owner)
    chrome.open(f"{server.base}/admin/clients")
    row = f"tr:has(input[value='{client.key}'])"
    chrome.press("Suspend", within=row)
    assert dance.signed(server, "GET", "/v2/me", client, token).status == 403
    chrome.press("Enable", within=row)
    assert dance.signed(server, "GET", "/v2/me", client, token).status == 200


def test_a_company_is_created_once(admins_chrome, server):
    chrome = admins_chrome
    chrome.open(f"{server.base}/admin/companies")
    name = f"initech-{chrome.script}".lower()
    chrome.type("company", name)
    chrome.type("name", "Initech")
    chrome.press("Create company")
    assert "The company is created." in chrome.text and name in chrome.text
    chrome.type("company", name)
    chrome.press("Create company")
    assert chrome.reason("company") == "There is a company with this id."


def test_the_audit_log_is_filtered_and_exported(admins_chrome, server):
    chrome = admins_chrome
    account = server.account()
    server.command("account", "lock", account.username)
    chrome.open(f"{server.base}/admin/audit")
    chrome.choose("event", "account.locked")
    chrome.type("account", account.username)
    chrome.press("Filter")
    assert len(chrome.all("tbody tr")) == 1 and account.username in chrome.find("tbody").text
    cookies = {each["name"]: each["value"] for each in chrome.driver.get_cookies()}
    links = [link.get_attribute("href") for link in chrome.all("a[download]")]
    rows, objects = (requests.get(link, cookies=cookies, timeout=20).text for link in links)
    (row,), (told,) = csv.DictReader(io.StringIO(rows)), json.loads(objects)
    assert row["event"] == "account.locked"
    assert row == {name: "" if value is None else str(value) for name, value in told.items()}


def test_the_state_of_the_server_and_throttled_addresses_are_shown(chrome, new_server):
    server = new_server("[throttle]\nfailures = 2\n", "strict")
    admin = server.account(role="admin")
    victim = server.account()
    for _ in range(4):
        chrome.open(f"{server.base}/login")
        chrome.type("username", victim.username)
        chrome.type("password", "wrong")
        chrome.press("Log in")
    assert chrome.reason("username").startswith("Too many failed attempts.")
    chrome.log_in(server.base, admin)
    chrome.open(f"{server.base}/admin/system")
    database = "SQLite" if server.database.startswith("sqlite:") else "PostgreSQL"
    assert "up to date" in chrome.text and database in chrome.text and "seals new secrets" in chrome.text
    assert victim.username in chrome.text and "127.0.0.1" in chrome.text


def test_guesses_at_the_api_are_shown_once_as_held_up_whatever_they_guess_at(chrome, new_server):
    server = new_server("[throttle]\nfailures = 2\n", "guessed")
    admin, by_key, by_password = server.account(role="admin"), server.account(), server.account()
    key = server.key(by_key)
    client = server.client(by_password, callback="oob")

    def guess(name):
        credentials = b64encode(f"{name}:wrong".encode()).decode()
        headers = [("Authorization", f"Basic {credentials}"), ("X-Client-Key", client.key)]
        return wire.send(server, "GET", "/v2/me", headers).status

    assert [guess(key.public) for _ in range(5)] == [401, 401, 429, 429, 429]
    assert [guess(by_password.username) for _ in range(5)] == [401, 401, 429, 429, 429]
    for number in range(25):
        assert [guess(f"nobody{number}") for _ in range(2)] == [401, 401]
    chrome.log_in(server.base, admin)
    rows = lambda: [row.text for row in chrome.open(f"{server.base}/admin/system").all("main > .card tbody tr")]
    assert eventually(lambda: len(rows()) == 22), rows()
    for name in (by_key.username, by_password.username):
        assert sum(name in row and "127.0.0.1" in row for row in rows()) == 1
    assert sum("(unknown)" in row for row in rows()) == 20 and "nobody" not in chrome.text


def test_while_the_master_key_is_being_changed_both_keys_are_shown(chrome, new_server):
    new, old = (b64encode(bytes([octet]) * 32).decode() for octet in (1, 2))
    server = new_server("", "changing", environment={"COUNTERSIGN_MASTER_KEY": f"{new} {old}"})
    chrome.log_in(server.base, server.account(role="admin"))
    chrome.open(f"{server.base}/admin/system")
    first, second = (row.text for row in chrome.all("main .card:nth-of-type(2) tbody tr"))
    assert "seals new secrets" in first and "until `countersign reseal` has run" in second


def test_an_administrator_of_a_company_sees_that_company_alone(any_chrome, server):
    boss = server.account(company="umbrella", role="admin")
    colleague = server.account(company="umbrella")
    stranger = server.account(company="globex")
    any_chrome.log_in(server.base, boss)
    any_chrome.open(f"{server.base}/admin/accounts")
    assert colleague.username in any_chrome.text and stranger.username not in any_chrome.text
    for path in (f"/admin/accounts/show?id={stranger.id}", f"/admin/accounts/key?id={stranger.id}"):
        any_chrome.open(server.base + path)
        assert any_chrome.heading == "Not found"
    any_chrome.open(f"{server.base}/admin/system")
    assert any_chrome.heading == "Not for this account"


def test_a_member_sees_no_administration(any_chrome, server, holder):
    any_chrome.log_in(server.base, holder)
    assert "Administration" not in any_chrome.text
    for page in ("accounts", "companies", "clients", "audit", "system"):
        any_chrome.open(f"{server.base}/admin/{page}")
        assert any_chrome.heading == "Not for this account"


def test_a_locked_account_can_log_in_and_revoke(any_chrome, server, client_oob):
    account = server.account()
    token = server_token(server, client_oob, account)
    server.command("account", "lock", account.username, "--reason", "Invoice 4711 is open.")
    any_chrome.log_in(server.base, account)
    any_chrome.press("Revoke")
    any_chrome.open(f"{server.base}/account")
    for page in ("account", "apps", "developer/clients", "developer/keys/new"):
        any_chrome.open(f"{server.base}/{page}")
        assert "Your account is locked" in any_chrome.text and "Invoice 4711 is open." in any_chrome.text, page
    server.command("account", "enable", account.username)
    assert dance.signed(server, "GET", "/v2/me", client_oob, token).status == 401
