"""The developer console: registering an app, its secrets, its samples, API keys; and My account."""

import os
import shutil
import subprocess
from base64 import b64encode
from urllib.parse import unquote

import dance
import pytest
import wire
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from dance import authorize_url, temporary
from harness import Client, Token, eventually
from selenium.webdriver.common.keys import Keys

LANGUAGES = ["curl", "python", "node", "php", "ruby", "perl", "java", "go", "rust"]


@pytest.fixture
def person(server):
    """A developer with nothing yet."""
    return server.account()


def register(chrome, server, person, name="Printer", callbacks="", **ticked):
    """Fill in and send the form of a new app; the page with its secrets, as a Client and perhaps a Token."""
    chrome.open(f"{server.base}/developer/clients/new")
    chrome.type("name", name)
    chrome.type("callbacks", callbacks)
    for field, value in ticked.items():
        chrome.tick(field, value)
    chrome.press("Create app")
    assert chrome.heading == f"{name} is registered", chrome.text
    client = Client(chrome.content("shown-client-key"), chrome.content("shown-client-secret"), person, callbacks or "oob")
    token = None
    if chrome.has("#shown-token"):
        token = Token(chrome.content("shown-token"), chrome.content("shown-token-secret"), client)
    return client, token


def me(server, client, token):
    return dance.signed(server, "GET", "/v2/me", client, token)


def samples_of(chrome, server, method):
    """The samples of a new app that signs by this method alone, as a person copies them: language → code, file, command."""
    chrome.forget()
    person = server.account()
    chrome.log_in(server.base, person)
    register(chrome, server, person, "Samples", scope="account:read", **({"signature_method": method} if method else {}))
    found = {}
    for language in LANGUAGES:
        summary = chrome.find(f"details:has(#sample-{language}) p").get_property("textContent")
        found[language] = {
            "code": chrome.content(f"sample-{language}"),
            "file": summary.split("Save as ")[1].split(",")[0],
            "run": chrome.content(f"run-{language}"),
        }
    return person, found


def runs(language, samples, folder):
    """Save and run the sample as the page says; the API answers who it is."""
    person, found = samples
    sample = found[language]
    for program in {"curl": ["curl", "openssl"], "rust": ["cargo"]}.get(language, [sample["run"].split()[0]]):
        if not shutil.which(program):
            pytest.skip(f"there is no {program} here")
    (folder / sample["file"]).parent.mkdir(parents=True, exist_ok=True)
    (folder / sample["file"]).write_text(sample["code"])
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
    # What cargo has built for this test before, on this machine, it need not build again.
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    environment["CARGO_TARGET_DIR"] = os.path.join(cache, "countersign-tests", "rust-sample")
    for name in [name for name in environment if name.lower().endswith("_proxy") and language != "rust"]:
        del environment[name]
    done = subprocess.run(
        ["bash", "-c", sample["run"]], cwd=folder, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    assert person.username in done.stdout and '"status":200' in done.stdout, done.stdout + done.stderr


@pytest.fixture(scope="module", params=[None, "HMAC-SHA1", "HMAC-SHA512"], ids=["any method", "HMAC-SHA1", "HMAC-SHA512"])
def samples(request, chromes, server):
    return request.param, samples_of(chromes(), server, request.param)


def test_an_app_that_signs_with_rsa_only_is_shown_no_sample_that_can_not_run(chrome, server, tmp_path):
    public = tmp_path / "public.pem"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    public.write_bytes(key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    person = server.account()
    client = server.client(person, methods=["RSA-SHA256"], more=["--rsa-public-key", str(public)])
    chrome.log_in(server.base, person)
    chrome.open(f"{server.base}/developer/clients/samples?key={client.key}")
    assert "signs with RSA only" in chrome.text
    assert not chrome.has("#sample-curl")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sample_runs_as_pasted(language, samples, tmp_path):
    method, found = samples
    assert (method or "HMAC-SHA256") in found[1][language]["code"]
    runs(language, found, tmp_path)


def test_a_sample_that_is_copied_without_script_runs_too(chromes, server, tmp_path):
    runs("curl", samples_of(chromes(script=False), server, None), tmp_path)


def test_a_registered_app_works_and_its_secret_is_shown_once(any_chrome, server, person):
    any_chrome.log_in(server.base, person)
    client, token = register(any_chrome, server, person, scope="account:read")
    answer = me(server, client, token)
    assert answer.status == 200 and answer.json["scopes"] == ["account:read"]
    any_chrome.press("I have saved it")
    assert any_chrome.heading == "Printer" and client.key in any_chrome.text
    assert client.secret not in any_chrome.source and token.secret not in any_chrome.source


def test_the_secret_can_be_downloaded(chrome, server, person):
    chrome.log_in(server.base, person)
    client, token = register(chrome, server, person)
    link = chrome.find("a[download]")
    assert link.get_attribute("download") == "countersign.env"
    text = unquote(link.get_attribute("href").split(",", 1)[1])
    lines = dict(line.split("=", 1) for line in text.splitlines())
    assert lines["OAUTH_CLIENT_KEY"] == f"'{client.key}'" and lines["OAUTH_CLIENT_SECRET"] == f"'{client.secret}'"
    assert lines["OAUTH_TOKEN"] == f"'{token.token}'" and lines["OAUTH_BASE_URL"] == f"'{server.base}'"


def test_sending_the_form_again_registers_nothing_twice(any_chrome, server, person):
    any_chrome.log_in(server.base, person)
    register(any_chrome, server, person)
    any_chrome.driver.refresh()
    assert any_chrome.heading == "This form was sent before"
    any_chrome.open(f"{server.base}/developer/clients")
    assert len(any_chrome.all("tbody tr")) == 1


def test_a_form_with_mistakes_keeps_what_was_typed_and_says_why(any_chrome, server, person):
    any_chrome.log_in(server.base, person)
    any_chrome.open(f"{server.base}/developer/clients/new")
    any_chrome.type("name", "My printer")
    any_chrome.type("callbacks", "javascript:alert(1)")
    any_chrome.type("other_scopes", "nonsense")
    any_chrome.type("rsa_public_key", "-----BEGIN PUBLIC KEY-----\nnone\n-----END PUBLIC KEY-----")
    any_chrome.tick("scope", "account:read")
    any_chrome.tick("http_auth", on=False)
    any_chrome.press("Create app")
    assert any_chrome.reason("callbacks") == "Addresses with javascript: can't be used as callbacks."
    assert any_chrome.reason("other_scopes") == "nonsense is no scope: write noun:verb."
    assert any_chrome.reason("rsa_public_key").startswith("This is no RSA public key")
    assert any_chrome.value("name") == "My printer" and any_chrome.value("callbacks") == "javascript:alert(1)"
    assert any_chrome.find("[name=scope][value='account:read']").is_selected()
    assert not any_chrome.find("[name=http_auth]").is_selected()
    assert any_chrome.run("return document.activeElement.className") == "problems"


def test_callbacks_are_checked_while_they_are_typed(chrome, server, person):
    chrome.log_in(server.base, person)
    chrome.open(f"{server.base}/developer/clients/new")
    chrome.type("callbacks", "https://app.example.com/#done")
    assert eventually(lambda: chrome.find("#callbacks-live").text.startswith("https://app.example.com/#done has a fragment"))
    chrome.type("callbacks", "https://app.example.com/done")
    assert eventually(lambda: chrome.find("#callbacks-live").text == "")


def test_settings_are_changed(any_chrome, server, person):
    any_chrome.log_in(server.base, person)
    client, _ = register(any_chrome, server, person, scope="account:read")
    any_chrome.open(f"{server.base}/developer/clients/edit?key={client.key}")
    any_chrome.type("name", "Better printer")
    any_chrome.type("callbacks", "https://app.example.com/done\noob")
    any_chrome.type("other_scopes", "reports:read")
    any_chrome.tick("signature_method", "HMAC-SHA256")
    any_chrome.press("Save")
    assert any_chrome.heading == "Better printer" and "Saved." in any_chrome.text
    shown = server.json("client", "show", client.key)
    assert shown["callbacks"] == ["https://app.example.com/done", "oob"]
    assert sorted(shown["scopes"]) == ["account:read", "reports:read"]
    assert shown["signature_methods"] == ["HMAC-SHA256"]


def test_an_rsa_key_is_uploaded_and_shown_by_its_fingerprint(any_chrome, server, person, tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    any_chrome.log_in(server.base, person)
    client, _ = register(any_chrome, server, person)
    any_chrome.open(f"{server.base}/developer/clients/edit?key={client.key}")
    if any_chrome.script:
        (tmp_path / "key.pem").write_bytes(pem)
        any_chrome.find("#rsa_file").send_keys(str(tmp_path / "key.pem"))
        assert eventually(lambda: any_chrome.value("rsa_public_key") == pem.decode())
    else:
        any_chrome.type("rsa_public_key", pem.decode())
    any_chrome.press("Save")
    assert "2048 bits" in any_chrome.text
    assert server.json("client", "show", client.key)["rsa_public_key"].strip() == pem.decode().strip()


def test_rotating_with_an_overlap_keeps_the_old_secret_good(any_chrome, server, person):
    any_chrome.log_in(server.base, person)
    client, token = register(any_chrome, server, person)
    any_chrome.open(f"{server.base}/developer/clients/show?key={client.key}")
    any_chrome.press("Rotate secret")
    any_chrome.choose("grace", "3600")
    any_chrome.press("Rotate secret", within="details.confirm > div")
    renewed = Client(client.key, any_chrome.content("shown-client-secret"), person, "oob")
    assert renewed.secret != client.secret and "The old secret is good until" in any_chrome.text
    # What is shown this once is not left by a link that can't come back to it.
    assert not any_chrome.has("footer a[hreflang]")
    assert me(server, renewed, token).status == 200 and me(server, client, token).status == 200
    any_chrome.open(f"{server.base}/developer/clients/show?key={client.key}")
    any_chrome.press("Rotate secret")
    any_chrome.choose("grace", "0")
    any_chrome.press("Rotate secret", within="details.confirm > div")
    newest = Client(client.key, any_chrome.content("shown-client-secret"), person, "oob")
    assert me(server, newest, token).status == 200
    assert me(server, renewed, token).status == 401 and me(server, client, token).status == 401


def test_a_token_of_ones_own_is_made_and_revoked(any_chrome, server, person):
    any_chrome.log_in(server.base, person)
    client, _ = register(any_chrome, server, person)
    any_chrome.open(f"{server.base}/developer/clients/show?key={client.key}")
    any_chrome.press("Make my own access token")
    token = Token(any_chrome.content("shown-token"), any_chrome.content("shown-token-secret"), client)
    assert "YOUR_CLIENT_SECRET" in any_chrome.content("sample-curl")
    assert me(server, client, token).status == 200
    any_chrome.open(f"{server.base}/developer/clients/show?key={client.key}")
    for row in range(2):
        any_chrome.press("Revoke")
        assert "The token is revoked." in any_chrome.text
    assert me(server, client, token).status == 401


def test_an_app_is_disabled_enabled_and_deleted(any_chrome, server, person):
    any_chrome.log_in(server.base, person)
    client, token = register(any_chrome, server, person)
    any_chrome.open(f"{server.base}/developer/clients/show?key={client.key}")
    any_chrome.press("Disable")
    any_chrome.press("Disable", within="details.confirm > div")
    assert me(server, client, token).status == 403
    any_chrome.press("Enable")
    assert me(server, client, token).status == 200
    any_chrome.press("Delete")
    any_chrome.press("Delete app")
    assert "The app is deleted." in any_chrome.text
    assert me(server, client, token).status == 401


def test_somebody_elses_app_is_not_there(any_chrome, server, person, client):
    any_chrome.log_in(server.base, person)
    for page in ("show", "edit", "samples", "inspector"):
        any_chrome.open(f"{server.base}/developer/clients/{page}?key={client.key}")
        assert any_chrome.heading == "Not found"


def test_an_api_key_works_is_regenerated_and_deleted(any_chrome, server, person):
    def status(public, private):
        pair = b64encode(f"{public}:{private}".encode()).decode()
        return wire.send(server, "GET", "/v2/me", [("Authorization", f"Basic {pair}")]).status

    any_chrome.log_in(server.base, person)
    any_chrome.open(f"{server.base}/developer/keys/new")
    any_chrome.type("name", "Nightly")
    any_chrome.type("scopes", "account:read")
    any_chrome.choose("expires_in", "2592000")
    any_chrome.press("Create key")
    public, private = any_chrome.content("shown-public-key"), any_chrome.content("shown-private-key")
    assert status(public, private) == 200
    any_chrome.press("I have saved it")
    assert any_chrome.heading == "API keys" and "Nightly" in any_chrome.text and private not in any_chrome.source
    assert f"…{server.json('key', 'list', '--account', person.username)[0]['hint']}" in any_chrome.text
    any_chrome.press("Regenerate")
    any_chrome.press("Regenerate", within="details.confirm > div")
    assert status(public, private) == 401
    assert status(public, any_chrome.content("shown-private-key")) == 200
    any_chrome.press("I have saved it")
    any_chrome.press("Delete")
    any_chrome.press("Delete", within="details.confirm > div")
    assert "The key is deleted." in any_chrome.text and "No API keys yet" in any_chrome.text


def test_copying_puts_the_key_into_the_clipboard(chrome, server, person):
    chrome.log_in(server.base, person)
    client, _ = register(chrome, server, person)
    chrome.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": server.base}
    )
    # The button on the app's page says what it copies to those who hear the page.
    chrome.open(f"{server.base}/developer/clients/show?key={client.key}")
    button = chrome.find("button[data-copy=client-key]")
    label = button.get_property("innerHTML")
    assert client.key in label and "unseen" in label
    button.click()
    assert eventually(lambda: button.text == "Copied")
    button.click()
    assert eventually(lambda: button.get_property("innerHTML") == label), "it went on saying Copied"
    # No page of ours may read the clipboard: it is pasted by hand.
    chrome.open(f"{server.base}/developer/clients/inspector?key={client.key}")
    chrome.field("request").send_keys(Keys.CONTROL, "v")
    assert chrome.value("request") == client.key


def test_a_password_is_changed_and_other_sessions_end(any_chrome, chromes, server, person):
    other = chromes(language="de")
    other.forget()
    other.open(f"{server.base}/login")
    other.type("username", person.username)
    other.type("password", person.password)
    other.press("Anmelden")
    any_chrome.log_in(server.base, person)
    any_chrome.open(f"{server.base}/account")
    assert person.id in any_chrome.text and len(any_chrome.all("tbody tr")) == 2
    any_chrome.type("current_password", "wrong")
    any_chrome.type("new_password", "a new password")
    any_chrome.type("repeated_password", "another password")
    any_chrome.press("Change password")
    assert any_chrome.reason("current_password") and any_chrome.reason("repeated_password")
    any_chrome.type("current_password", person.password)
    any_chrome.type("new_password", "a new password")
    any_chrome.type("repeated_password", "a new password")
    any_chrome.press("Change password")
    assert "Your password is changed" in any_chrome.text and len(any_chrome.all("tbody tr")) == 1
    other.open(f"{server.base}/account")
    assert other.heading == "Anmelden"


def test_logging_out_ends_the_session(any_chrome, server, person):
    any_chrome.log_in(server.base, person)
    assert any_chrome.heading == "Connected apps"
    any_chrome.press("Log out", within="header")
    assert "You are logged out." in any_chrome.text
    any_chrome.open(f"{server.base}/apps")
    assert any_chrome.heading == "Log in" and "next=" in any_chrome.url
    any_chrome.sign_in(person)
    assert any_chrome.heading == "Connected apps"
    any_chrome.open(f"{server.base}/logout")
    any_chrome.press("Log out")
    assert any_chrome.heading == "Log in"


def test_all_apps_are_revoked_at_once(any_chrome, server, developer, client, client_oob):
    holder = server.account()
    tokens = []
    any_chrome.log_in(server.base, holder)
    for app in (client_oob, server.client(developer, callback="oob")):
        request = temporary(server, app)
        any_chrome.open(authorize_url(server, request))
        any_chrome.press("Allow")
        answer = dance.access_token(server, app, request, any_chrome.content("verifier"))
        tokens.append((app, Token(answer.form["oauth_token"], answer.form["oauth_token_secret"], app)))
    any_chrome.open(f"{server.base}/apps")
    any_chrome.press("Revoke all")
    any_chrome.press("Revoke all", within="details.confirm > div")
    assert "No app has access any more." in any_chrome.text
    assert [me(server, app, token).status for app, token in tokens] == [401, 401]
