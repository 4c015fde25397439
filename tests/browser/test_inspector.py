"""The signature inspector: requests signed wrongly in each of the known ways, and the paste box."""

import base64
import hashlib
import hmac
from urllib.parse import quote_plus, urlsplit

import pytest
import requests
import signer
import wire
from chrome import eventually
from harness import Token
from test_admin import server_token

QUERY = "q=a%20b&size=original"

# What the page says of each, in the beginning.
SENTENCES = {
    "query-parameters-left-out": "Your app left the query parameters out",
    "body-parameters-left-out": "Your app left the form's parameters out",
    "body-wrongly-included": "Your app signed a body that is no form.",
    "double-encoded": "Your app encoded the parameters once too often.",
    "space-as-plus": "Your app signed a space as +",
    "http-scheme": "Your app signed http",
    "port-included": "Your app signed https://api.example.com:443/v2/me, but the request went to https://api.example.com/v2/me.",
    "port-left-out": "Your app signed http://127.0.0.1/v2/me, but the request went to http://127.0.0.1:",
    "host-case": "Your app signed https://API.Example.com/v2/me, but the request went to https://api.example.com/v2/me.",
    "token-secret-missing": "Your app signed without the token secret.",
    "secret-not-encoded": "Your app did not encode the secrets.",
    "secrets-swapped": "Your app swapped the two secrets.",
    "method-lower-case": "Your app signed the method in lower case.",
    "parameters-unsorted": "Your app did not sort the parameters.",
    "parameters-repeated-in-header": "Your app signed parameters twice.",
    "realm-included": "Your app signed the realm.",
    "path-reencoded": "Your app signed https://api.example.com/v2/a~b, but the request went to https://api.example.com/v2/a%7Eb.",
}


class Wrong:
    """A client that makes one mistake. `send` sends the request and gives the server's answer."""

    def __init__(self, server, client, token):
        self.server, self.client, self.token = server, client, token

    def send(self, mistake, verb="GET", target=f"/v2/me?{QUERY}"):
        client, token = self.client, self.token
        method, body, kind, realm, extra = verb, b"", None, None, []
        url = f"http://{self.server.authority}{target}"
        parameters = signer.protocol_parameters(client, token)
        pairs = [(name.encode(), value.encode()) for name, value in parameters]
        query = signer.pairs_of(urlsplit(url).query)
        escape, order = signer.escape, sorted
        secrets = [signer.escape(client.secret), signer.escape(token.secret)]
        if mistake == "query-parameters-left-out":
            query = []
        elif mistake == "body-parameters-left-out":
            method, body, kind = "POST", b"a=1&b=2", "application/x-www-form-urlencoded"
        elif mistake == "body-wrongly-included":
            method, body, kind = "POST", b'{"title": "a b", "size": 3}', "application/json"
            pairs = pairs + [(b"title", b"a b"), (b"size", b"3")]
        elif mistake == "double-encoded":
            escape = lambda value: signer.escape(signer.escape(value))
        elif mistake == "space-as-plus":
            escape = lambda value: quote_plus(value, safe="-._~")
        elif mistake == "http-scheme":
            url = url.replace("http://", "https://")
        elif mistake == "port-left-out":
            url = f"http://{self.server.host}{target}"
        elif mistake == "token-secret-missing":
            secrets[1] = ""
        elif mistake == "secrets-swapped":
            secrets.reverse()
        elif mistake == "method-lower-case":
            method = "get"
        elif mistake == "parameters-unsorted":
            order = list
        elif mistake == "parameters-repeated-in-header":
            extra = [("size", "original")]
        elif mistake == "realm-included":
            realm = "Photos"
            pairs = pairs + [(b"realm", b"Photos")]
        elif mistake == "path-reencoded":
            url = url.replace("%7E", "~")
        uri = self.uri(url, mistake)
        encoded = order([(escape(name), escape(value)) for name, value in pairs + query])
        normalized = "&".join(f"{name}={value}" for name, value in encoded)
        text = "&".join([method, signer.escape(uri), signer.escape(normalized)])
        if mistake == "secret-not-encoded":
            secrets = [client.secret, token.secret]
        made = base64.b64encode(hmac.new("&".join(secrets).encode(), text.encode(), hashlib.sha1).digest()).decode()
        header = signer.header([*parameters, ("oauth_signature", made), *extra], realm)
        headers = [("Authorization", header)] + ([("Content-Type", kind)] if kind else [])
        verb = "POST" if body else verb
        return header, wire.send(self.server, verb, target, headers, body if body else None)

    @staticmethod
    def uri(url, mistake):
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"


@pytest.fixture(scope="module")
def wrong(server, developer):
    """A client and token whose secrets show the difference that encoding makes, and one mistake at a time."""
    client = server.client(developer, callback="oob", scopes=("account:read",))
    return Wrong(server, client, server_token(server, client, developer))


# What depends on the address or on secrets with reserved characters is tried in the paste box.
PASTED = ("port-included", "host-case", "secret-not-encoded", "path-reencoded")
REQUESTS = [word for word in SENTENCES if word not in PASTED]


@pytest.mark.parametrize("mistake", REQUESTS)
def test_a_refused_request_is_explained(mistake, chrome, server, wrong, developer):
    _, answer = wrong.send(mistake)
    assert answer.status == 401 and answer.json["code"] == "signature_invalid"
    chrome.log_in(server.base, developer)
    chrome.open(f"{server.base}/developer/clients/inspector?key={wrong.client.key}")
    newest = chrome.find("table tbody tr a")
    assert newest.text.startswith(SENTENCES[mistake]), newest.text
    newest.click()
    assert eventually(lambda: chrome.has(".verdict"))
    assert chrome.find(".verdict strong").text.startswith(SENTENCES[mistake])
    assert mistake in chrome.find(".verdict").text
    if mistake not in ("token-secret-missing", "secrets-swapped"):
        assert chrome.has(".compare tr.differs") or chrome.has("mark")
        assert chrome.has("mark")
    for secret in (wrong.client.secret, wrong.token.secret):
        assert secret not in chrome.source


def test_a_refused_request_is_explained_in_german(chrome, server, wrong, developer):
    wrong.send("http-scheme")
    chrome.log_in(server.base, developer)
    chrome.open(f"{server.base}/developer/clients/inspector?key={wrong.client.key}&ui_locales=de")
    newest = chrome.find("table tbody tr a").text
    assert newest == "Ihre App hat https:// unterschrieben, aber dieser Server wird über http:// erreicht."


@pytest.mark.parametrize("length", [None, 10_000_000])
def test_a_body_that_does_not_come_is_not_waited_for_long(length, server, wrong):
    """A signature that failed is answered also when the announced body stays away, or is too long to be looked at."""
    parameters = signer.protocol_parameters(wrong.client, wrong.token)
    header = signer.header([*parameters, ("oauth_signature", "AAAA")])
    lines = [f"POST /v2/me HTTP/1.1", f"Host: {server.authority}", f"Authorization: {header}", "Content-Type: application/json"]
    lines.append(f"Content-Length: {length or 20}")
    answer = wire.exchange((server.host, server.port), ("\r\n".join(lines) + "\r\n\r\n").encode(), "POST")
    assert answer.status == 401 and answer.json["code"] == "signature_invalid"


@pytest.mark.parametrize("diagnose, told", [("always", True), ("owner", False), ("never", False)])
def test_the_caller_is_told_why_where_the_operator_allows_it(diagnose, told, new_server):
    server = new_server(f'[oauth]\ndiagnose = "{diagnose}"\n', f"diagnose-{diagnose}")
    owner = server.account()
    client = server.client(owner, callback="oob")
    url = f"https://{server.authority}/oauth/request_token"
    header = signer.header(signer.sign("POST", url, client, oauth_callback="oob"))
    answer = wire.send(server, "POST", "/oauth/request_token", [("Authorization", header)])
    assert answer.status == 401 and answer.form["oauth_problem"] == "signature_invalid"
    advice = answer.form["oauth_problem_advice"]
    assert ("http-scheme" in advice and "POST&https" in advice and "POST&http%3A" in advice) == told, advice
    assert client.secret not in answer.body.decode()


@pytest.mark.parametrize("diagnose, told", [("always", True), (None, False), ("never", False)])
def test_the_caller_of_the_protected_api_is_told_too(diagnose, told, new_server):
    server = new_server(f'[oauth]\ndiagnose = "{diagnose}"\n' if diagnose else "", f"diagnose-{diagnose}")
    owner = server.account()
    client = server.client(owner, callback="oob")
    token = server_token(server, client, owner)
    header = signer.header(signer.sign("GET", f"https://{server.authority}/v2/me?{QUERY}", client, token))
    answer = wire.send(server, "GET", f"/v2/me?{QUERY}", [("Authorization", header)])
    assert answer.status == 401 and answer.json["code"] == "signature_invalid"
    advice = answer.json["additional"]
    assert [word in advice for word in ("http-scheme", "GET&https%3A", "GET&http%3A")] == [told] * 3, advice
    assert client.secret not in answer.text and token.secret not in answer.text


def paste(chrome, server, client, text, token_secret=""):
    chrome.open(f"{server.base}/developer/clients/inspector?key={client.key}")
    chrome.run("arguments[0].value = arguments[1]", chrome.field("request"), text) if chrome.script else chrome.type("request", text)
    if token_secret:
        chrome.type("token_secret", token_secret)
    chrome.press("Inspect")


def test_a_good_request_is_found_good_in_each_form(any_chrome, server, wrong, developer):
    any_chrome.log_in(server.base, developer)
    url = f"{server.base}/v2/me?{QUERY}"
    header = signer.header(signer.sign("GET", url, wrong.client, wrong.token))
    for text in (
        f"GET /v2/me?{QUERY} HTTP/1.1\nHost: {server.authority}\nAuthorization: {header}\n",
        f"curl -H 'Authorization: {header}' '{url}'",
        f"{url}\n{header}",
    ):
        paste(any_chrome, server, wrong.client, text)
        assert any_chrome.find(".verdict strong").text == "The signature is good.", any_chrome.text
    # And it was not carried out: the nonce is still good.
    answer = wire.send(server, "GET", f"/v2/me?{QUERY}", [("Authorization", header)])
    assert answer.status == 200


@pytest.mark.parametrize("mistake", ["port-included", "host-case", "path-reencoded"])
def test_what_was_signed_of_the_address_is_found_in_the_paste_box(mistake, chrome, server, wrong, developer):
    chrome.log_in(server.base, developer)
    sent, signed = {
        "port-included": ("https://api.example.com/v2/me", "https://api.example.com:443/v2/me"),
        "host-case": ("https://API.Example.com/v2/me", "https://API.Example.com/v2/me"),
        "path-reencoded": ("https://api.example.com/v2/a%7Eb", "https://api.example.com/v2/a~b"),
    }[mistake]
    parameters = signer.protocol_parameters(wrong.client, wrong.token)
    encoded = sorted((signer.escape(name), signer.escape(value)) for name, value in parameters)
    normalized = "&".join(f"{name}={value}" for name, value in encoded)
    text = "&".join(["GET", signer.escape(signed), signer.escape(normalized)])
    made = signer.signature("HMAC-SHA1", text, wrong.client.secret, wrong.token.secret)
    header = signer.header([*parameters, ("oauth_signature", made)])
    paste(chrome, server, wrong.client, f"GET {sent}\nAuthorization: {header}")
    assert chrome.find(".verdict strong").text.startswith(SENTENCES[mistake]), chrome.text


def test_a_body_that_is_no_form_is_found_in_the_paste_box(chrome, server, wrong, developer):
    url = f"{server.base}/v2/me"
    header = signer.header(signer.sign("POST", url, wrong.client, wrong.token, form="a=1&b=2"))
    chrome.log_in(server.base, developer)
    paste(chrome, server, wrong.client, f"curl -H 'Content-Type: text/plain' -H 'Authorization: {header}' -d 'a=1&b=2' {url}")
    assert chrome.find(".verdict strong").text.startswith(SENTENCES["body-wrongly-included"]), chrome.text


def test_secrets_with_reserved_characters_must_be_encoded(chrome, server, developer):
    client = server.client(developer, callback="oob")
    token = Token("unknown-token-of-another-server", "a&b/c=d+e", client)
    parameters = signer.protocol_parameters(client, token)
    url = "https://api.example.com/v2/me"
    text = signer.base_string("GET", url, [(name.encode(), value.encode()) for name, value in parameters])
    key = f"{client.secret}&{token.secret}"
    made = base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha1).digest()).decode()
    header = signer.header([*parameters, ("oauth_signature", made)])
    chrome.log_in(server.base, developer)
    paste(chrome, server, client, f"GET {url}\n{header}", token.secret)
    assert chrome.find(".verdict strong").text.startswith(SENTENCES["secret-not-encoded"]), chrome.text


def test_two_mistakes_at_once_are_both_named(chrome, server, wrong, developer):
    chrome.log_in(server.base, developer)
    url = f"https://api.example.com/v2/me?{QUERY}"
    parameters = signer.protocol_parameters(wrong.client, wrong.token)
    text = signer.base_string("GET", "http://api.example.com/v2/me", [(n.encode(), v.encode()) for n, v in parameters])
    made = signer.signature("HMAC-SHA1", text, wrong.client.secret, wrong.token.secret)
    paste(chrome, server, wrong.client, f"GET {url}\n{signer.header([*parameters, ('oauth_signature', made)])}")
    verdict = chrome.find(".verdict").text
    assert "http-scheme" in verdict and "query-parameters-left-out" in verdict


def test_a_secret_that_is_being_replaced_is_still_known(chrome, server, developer):
    client = server.client(developer, callback="oob")
    server.command("client", "rotate-secret", client.key, "--grace", "3600")
    chrome.log_in(server.base, developer)
    url = f"{server.base}/v2/me"
    for asked, verdict in ((url, "The signature is good."), (url.replace("http:", "https:"), SENTENCES["http-scheme"])):
        header = signer.header(signer.sign("GET", asked, client))
        paste(chrome, server, client, f"{url}\n{header}")
        assert chrome.find(".verdict strong").text.startswith(verdict), chrome.text


def test_a_secret_in_the_path_is_not_kept(chrome, server, wrong, developer):
    client = wrong.client
    path = f"/v2/things/{client.secret}"
    header = signer.header(signer.sign("GET", f"https://{server.authority}{path}", client, wrong.token))
    assert wire.send(server, "GET", path, [("Authorization", header)]).json["code"] == "signature_invalid"
    chrome.log_in(server.base, developer)
    chrome.open(f"{server.base}/developer/clients/inspector?key={client.key}")
    chrome.find("table tbody tr a").click()
    assert eventually(lambda: chrome.has(".verdict"))
    assert "/v2/things/" in chrome.source and client.secret not in chrome.source


def test_a_wrong_secret_is_told_without_guessing(chrome, server, wrong, developer):
    url = f"{server.base}/v2/me"
    header = signer.header(signer.sign("GET", url, wrong.client, wrong.token, secret="not the secret"))
    chrome.log_in(server.base, developer)
    paste(chrome, server, wrong.client, f"{url}\n{header}")
    assert "none of the known mistakes explains it" in chrome.find(".verdict").text


def test_the_paste_box_answers_so_many_questions_a_minute(server, developer):
    client = server.client(developer, callback="oob")
    browser = requests.Session()
    browser.trust_env = False
    field = lambda page: page.split('name="csrf_token" value="')[1].split('"')[0]
    login = field(browser.get(f"{server.base}/login", timeout=20).text)
    browser.post(f"{server.base}/login", data={"csrf_token": login, "username": developer.username, "password": developer.password}, timeout=20)
    url = f"{server.base}/developer/clients/inspector?key={client.key}"
    header = signer.header(signer.sign("GET", f"{server.base}/v2/me", client, secret="not the secret"))
    form = {"csrf_token": field(browser.get(url, timeout=20).text), "request": f"{server.base}/v2/me\n{header}"}
    answers = [browser.post(url, data=form, timeout=20) for _ in range(31)]
    assert [answer.status_code for answer in answers] == [200] * 30 + [422]
    assert "Too many questions at once" in answers[-1].text


def test_what_is_no_request_stays_in_the_box_with_the_reason(any_chrome, server, wrong, developer, client_oob):
    any_chrome.log_in(server.base, developer)
    paste(any_chrome, server, wrong.client, "hello <b>there</b>")
    assert any_chrome.reason("request").startswith("This is neither a raw request")
    assert any_chrome.value("request") == "hello <b>there</b>"
    header = signer.header(signer.sign("GET", f"{server.base}/v2/me", client_oob))
    paste(any_chrome, server, wrong.client, f"{server.base}/v2/me\n{header}")
    assert client_oob.key in any_chrome.reason("request")
