"""The dance in a real browser: login, consent, the way back to the app's origin, the code, deny, and what goes wrong."""

import dance
import harness
import pytest
import requests
from dance import authorize_url, temporary
from harness import eventually
from selenium.webdriver.common.keys import Keys


def me(server, client, token):
    return dance.signed(server, "GET", "/v2/me", client, token)


def exchange(server, client, request, verifier):
    answer = dance.access_token(server, client, request, verifier)
    assert answer.status == 200, answer.body
    return dance.Token(answer.form["oauth_token"], answer.form["oauth_token_secret"], client, answer.form)


def test_allowing_leads_back_to_the_app_with_a_verifier(any_chrome, server, client, holder, app):
    request = temporary(server, client)
    any_chrome.open(authorize_url(server, request))
    assert any_chrome.heading == "Log in"
    any_chrome.sign_in(holder)
    assert any_chrome.heading.startswith("Allow App")
    assert "Read your account's data" in any_chrome.text and holder.username in any_chrome.text
    assert "You will be sent to 127.0.0.1." in any_chrome.text
    any_chrome.press("Allow")
    assert any_chrome.url.startswith(app.callback), any_chrome.source
    assert app.query()["oauth_token"] == request.token
    token = exchange(server, client, request, app.query()["oauth_verifier"])
    assert sorted(token.fields["scope"].split()) == ["account:read", "products:read"]
    assert me(server, client, token).json["account"]["username"] == holder.username


def test_denying_leads_back_to_the_app_without_one(any_chrome, server, client, holder, app):
    request = temporary(server, client)
    any_chrome.open(authorize_url(server, request))
    any_chrome.sign_in(holder)
    any_chrome.press("Deny")
    assert any_chrome.url.startswith(app.callback)
    assert app.query()["oauth_problem"] == "permission_denied" and "oauth_verifier" not in app.query()
    assert dance.access_token(server, client, request, "x").status >= 400


@pytest.mark.parametrize("decision", ["Allow", "Deny"])
def test_an_app_at_an_ipv6_address_is_reached(decision, any_chrome, server, developer, holder, ipv6_app):
    """The content security policy names the app's address with its brackets, or else Chromium goes nowhere."""
    client = server.client(developer, callback=ipv6_app.callback)
    request = temporary(server, client)
    any_chrome.open(authorize_url(server, request))
    any_chrome.sign_in(holder)
    any_chrome.press(decision)
    assert any_chrome.url.startswith(f"{ipv6_app.callback}?"), any_chrome.source
    assert ipv6_app.query()["oauth_token"] == request.token
    assert ("oauth_verifier" in ipv6_app.query()) == (decision == "Allow")


def test_what_is_unticked_is_not_allowed(any_chrome, server, client, holder, app):
    request = temporary(server, client)
    any_chrome.open(authorize_url(server, request))
    any_chrome.sign_in(holder)
    any_chrome.tick("scope", "products:read", on=False)
    any_chrome.press("Allow")
    token = exchange(server, client, request, app.query()["oauth_verifier"])
    assert token.fields["scope"] == "account:read"


def test_an_app_without_a_callback_gets_its_code_from_the_page(any_chrome, server, client_oob, holder):
    request = temporary(server, client_oob)
    any_chrome.open(authorize_url(server, request))
    any_chrome.sign_in(holder)
    assert "You will get a code" in any_chrome.text
    any_chrome.press("Allow")
    assert any_chrome.heading == "Your code"
    exchange(server, client_oob, request, any_chrome.content("verifier"))


def test_neither_choice_is_nearer_than_the_other(chrome, server, client, holder):
    chrome.open(authorize_url(server, temporary(server, client)))
    chrome.sign_in(holder)
    allow, deny = chrome.all("main button[name=decision]")
    assert chrome.run("return document.activeElement.tagName") == "BODY"
    assert allow.size == deny.size
    for look in ("background-color", "color", "border-color", "font-weight"):
        assert allow.value_of_css_property(look) == deny.value_of_css_property(look)


def test_enter_on_a_box_decides_nothing(any_chrome, server, client, holder, app):
    request = temporary(server, client)
    any_chrome.open(authorize_url(server, request))
    any_chrome.sign_in(holder)
    any_chrome.find("input[value='products:read']").send_keys(Keys.ENTER)
    assert any_chrome.heading.startswith("Allow App"), any_chrome.url
    any_chrome.press("Deny")
    assert any_chrome.url.startswith(app.callback)


@pytest.mark.parametrize("name", ["W" * 100, "Warenwirtschaftsschnittstellenadministrationswerkzeug"])
def test_a_name_without_a_space_fits_a_phone(name, chrome, server, developer, holder):
    made = server.json("client", "create", "--owner", developer.username, "--name", name)
    client = harness.Client(made["client_key"], made["client_secret"], developer, "oob")
    chrome.forget()
    chrome.size(320, 900, phone=True)

    def fits():
        return chrome.run("return document.documentElement.scrollWidth") <= 320

    request = temporary(server, client)
    chrome.open(authorize_url(server, request))
    chrome.sign_in(holder)
    assert name in chrome.heading and fits()
    chrome.press("Allow")
    assert chrome.heading == "Your code" and fits()
    exchange(server, client, request, chrome.content("verifier"))
    chrome.open(f"{server.base}/apps")
    assert name in chrome.text and fits()
    chrome.forget()
    chrome.log_in(server.base, developer)
    chrome.open(f"{server.base}/developer/clients/show?key={client.key}")
    assert chrome.heading == name and fits()
    chrome.open(f"{server.base}/developer/clients")
    assert name in chrome.text and fits()
    chrome.size(1200, 900)
    chrome.forget()


def test_not_you_logs_out_and_comes_back_to_the_question(any_chrome, server, client, holder, developer):
    url = authorize_url(server, temporary(server, client))
    any_chrome.open(url)
    any_chrome.sign_in(holder)
    any_chrome.press("Not you?")
    assert any_chrome.heading == "Log in" and any_chrome.url == url
    any_chrome.sign_in(developer)
    assert developer.username in any_chrome.text


def test_a_wrong_password_is_said_beside_the_field_and_the_name_stays(any_chrome, server, client, holder):
    any_chrome.open(authorize_url(server, temporary(server, client)))
    any_chrome.type("username", holder.username)
    any_chrome.type("password", "wrong")
    any_chrome.press("Log in")
    assert any_chrome.reason("username") == "Username or password is wrong."
    assert any_chrome.value("username") == holder.username and any_chrome.value("password") == ""
    assert any_chrome.run("return document.activeElement.className") == "problems"
    any_chrome.type("password", holder.password)
    any_chrome.press("Log in")
    assert any_chrome.heading.startswith("Allow App")


def test_a_decision_counts_once_also_with_the_back_button(any_chrome, server, client_oob, holder):
    request = temporary(server, client_oob)
    any_chrome.open(authorize_url(server, request))
    any_chrome.sign_in(holder)
    any_chrome.press("Allow")
    verifier = any_chrome.content("verifier")
    any_chrome.back()
    if any_chrome.has("button[name=decision]"):
        # The browser had kept the page; what it sends is refused.
        any_chrome.press("Deny")
    assert any_chrome.heading == "This request was decided before"
    any_chrome.open(authorize_url(server, request))
    assert any_chrome.heading == "This request was decided before"
    assert verifier not in any_chrome.source
    exchange(server, client_oob, request, verifier)


def test_two_open_questions_are_answered_once(any_chrome, server, client_oob, holder):
    request = temporary(server, client_oob)
    any_chrome.open(authorize_url(server, request))
    any_chrome.sign_in(holder)
    first = any_chrome.driver.current_window_handle
    any_chrome.driver.switch_to.new_window("tab")
    any_chrome.open(authorize_url(server, request))
    any_chrome.press("Allow")
    assert any_chrome.has("#verifier")
    any_chrome.driver.close()
    any_chrome.driver.switch_to.window(first)
    any_chrome.press("Deny")
    assert any_chrome.heading == "This request was decided before"


def test_a_second_account_can_not_decide_again(any_chrome, server, client, holder, developer):
    request = temporary(server, client)
    any_chrome.open(authorize_url(server, request))
    any_chrome.sign_in(holder)
    any_chrome.press("Allow")
    any_chrome.forget()
    any_chrome.log_in(server.base, developer)
    any_chrome.open(authorize_url(server, request))
    assert any_chrome.heading == "This request was decided before"


def test_a_form_of_the_account_before_decides_nothing(any_chrome, server, client_oob, holder, developer):
    request = temporary(server, client_oob)
    any_chrome.open(authorize_url(server, request))
    any_chrome.sign_in(holder)
    first = any_chrome.driver.current_window_handle
    any_chrome.driver.switch_to.new_window("tab")
    any_chrome.open(authorize_url(server, request))
    any_chrome.press("Not you?")
    any_chrome.sign_in(developer)
    any_chrome.driver.close()
    any_chrome.driver.switch_to.window(first)
    any_chrome.press("Allow")
    assert any_chrome.heading == "This form is no longer good"
    assert dance.access_token(server, client_oob, request, "x").form["oauth_problem"] == "token_rejected"


@pytest.fixture(scope="module")
def impatient(new_server, app):
    """A server whose request tokens live for two seconds: long enough for a page, and an app of somebody's there."""
    server = new_server("[oauth]\nrequest_token_ttl_seconds = 2\n", "impatient")
    owner = server.account()
    return server, owner, server.client(owner, callback=app.callback), server.client(owner, callback="oob")


def has_expired(chrome, url):
    """Asks beside the browser, so that its page stays as it is."""
    cookies = {each["name"]: each["value"] for each in chrome.driver.get_cookies()}
    return "This request has expired" in requests.get(url, cookies=cookies, timeout=20).text


def test_an_expired_request_token_grants_nothing(any_chrome, impatient):
    server, owner, client, _ = impatient
    any_chrome.log_in(server.base, owner)
    url = authorize_url(server, temporary(server, client))
    assert eventually(lambda: has_expired(any_chrome, url))
    any_chrome.open(url)
    assert any_chrome.heading == "This request has expired" and "Nothing was allowed" in any_chrome.text


@pytest.mark.parametrize("way_back", ["callback", "code"])
def test_a_request_that_expires_while_the_question_stands_grants_nothing(way_back, any_chrome, impatient, app):
    server, owner, *clients = impatient
    client = clients[way_back == "code"]
    any_chrome.log_in(server.base, owner)
    url, request = None, None

    def is_asked():
        # A slow machine may need a second request until the question comes in time.
        nonlocal url, request
        request = temporary(server, client)
        url = authorize_url(server, request)
        any_chrome.open(url)
        return any_chrome.heading.startswith("Allow App")

    assert eventually(is_asked)
    calls = len(app.calls)
    assert eventually(lambda: has_expired(any_chrome, url))
    any_chrome.press("Allow")
    assert any_chrome.heading == "This request has expired" and "Nothing was allowed" in any_chrome.text
    assert not any_chrome.has("#verifier") and len(app.calls) == calls
    assert server.json("grant", "list", "--account", owner.username) == []
    assert dance.access_token(server, client, request, "x").status >= 400


def test_a_request_token_that_nobody_issued_is_a_clear_page(any_chrome, server):
    any_chrome.open(f"{server.base}/oauth/authorize?oauth_token=nonsense")
    assert any_chrome.heading == "This request is unknown"
    any_chrome.open(f"{server.base}/oauth/authorize")
    assert any_chrome.heading == "Something is missing"


def test_revoking_in_connected_apps_ends_the_token(any_chrome, server, developer, app):
    holder = server.account()
    client = server.client(developer, callback=app.callback, scopes=("account:read",))
    request = temporary(server, client)
    any_chrome.open(authorize_url(server, request))
    any_chrome.sign_in(holder)
    any_chrome.press("Allow")
    token = exchange(server, client, request, app.query()["oauth_verifier"])
    assert me(server, client, token).status == 200
    any_chrome.open(f"{server.base}/apps")
    assert "Read your account's data" in any_chrome.text
    any_chrome.press("Revoke")
    assert "The app has no access any more." in any_chrome.text and "No connected apps" in any_chrome.text
    assert me(server, client, token).status == 401


def test_the_page_speaks_the_language_that_the_app_asks_for(chrome, server, client, holder):
    url = authorize_url(server, temporary(server, client))
    chrome.open(url + "&ui_locales=fr%20de")
    assert chrome.run("return document.documentElement.lang") == "de"
    chrome.type("username", holder.username)
    chrome.type("password", holder.password)
    chrome.press("Anmelden")
    assert "Die Daten Ihres Kontos lesen" in chrome.text
    chrome.open(f"{server.base}/apps")
    assert chrome.heading == "Verbundene Apps"
    chrome.find("footer a[lang=en]").click()
    assert eventually(lambda: chrome.heading == "Connected apps")


def test_the_browsers_own_language_is_spoken(chromes, server):
    german = chromes(language="de")
    german.forget()
    german.open(f"{server.base}/login")
    assert german.heading == "Anmelden"
