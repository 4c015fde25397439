"""The signature inspector: requests signed wrongly in each of the known ways, and the paste box."""

import base64
import hashlib
import hmac
import json
from urllib.parse import quote, quote_plus, urlsplit

import pytest
import requests
import signer
import wire
from harness import Client, Token, eventually
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
    "port-included": "Your app signed http://api.example.com:80/v2/me, but the request went to http://api.example.com/v2/me.",
    "port-left-out": "Your app signed http://127.0.0.1/v2/me, but the request went to http://127.0.0.1:",
    "host-case": "Your app signed http://API.Example.com/v2/me, but the request went to http://api.example.com/v2/me.",
    "token-secret-missing": "Your app signed without the token secret, or without the & before it.",
    "secret-not-encoded": "Your app did not encode the secrets.",
    "secrets-swapped": "Your app swapped the two secrets.",
    "method-lower-case": "Your app signed the method in lower case.",
    "parameters-unsorted": "Your app did not sort the parameters.",
    "parameters-repeated-in-header": "Your app signed parameters twice.",
    "realm-included": "Your app signed the realm.",
    "path-reencoded": "Your app signed http://api.example.com/v2/a~b, but the request went to http://api.example.com/v2/a%7Eb.",
    "parameters-not-encoded": "Your app joined the parameters without encoding each of them first.",
    "signature-not-encoded": "Your app sent the signature with a bare +",
}


# What shows in the key or on the way alone: the base strings are equal.
SAME_TEXT = ("token-secret-missing", "secret-not-encoded", "secrets-swapped", "signature-not-encoded")


class Wrong:
    """A client that makes one mistake. `send` sends the request and gives the server's answer."""

    def __init__(self, server, client, token):
        self.server, self.client, self.token = server, client, token

    def send(self, mistake, verb="GET", target=f"/v2/me?{QUERY}"):
        """Signed anew until the signature has a +, where the mistake is about that."""
        while True:
            headers, target_sent, made, body, host = self.make(mistake, target)
            if mistake != "signature-not-encoded" or "+" in made:
                return wire.send(self.server, "POST" if body else verb, target_sent, headers, body, host)

    def make(self, mistake, target):
        client, token = self.client, self.token
        method, body, kind, realm, host, extra = "GET", None, None, None, None, []
        if mistake in ("port-included", "host-case", "path-reencoded"):
            host = "API.Example.com" if mistake == "host-case" else "api.example.com"
        if mistake == "path-reencoded":
            target = "/v2/a%7Eb"
        url = f"http://{host or self.server.authority}{target}"
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
        elif mistake == "parameters-not-encoded":
            escape = lambda value: value.decode()
        elif mistake == "space-as-plus":
            escape = lambda value: quote_plus(value, safe="-._~")
        elif mistake == "http-scheme":
            url = url.replace("http://", "https://")
        elif mistake == "port-included":
            url = f"http://{host}:80{target}"
        elif mistake == "port-left-out":
            url = f"http://{self.server.host}{target}"
        elif mistake == "token-secret-missing":
            secrets[1] = ""
        elif mistake == "secret-not-encoded":
            secrets = [client.secret, token.secret]
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
        made = base64.b64encode(hmac.new("&".join(secrets).encode(), text.encode(), hashlib.sha1).digest()).decode()
        if mistake == "signature-not-encoded":
            bare = quote(made, safe="+")
            return [], f"{target}&{signer.form_encoded(parameters)}&oauth_signature={bare}", made, None, host
        headers = [("Authorization", signer.header([*parameters, ("oauth_signature", made), *extra], realm))]
        return headers + ([("Content-Type", kind)] if kind else []), target, made, body, host

    @staticmethod
    def uri(url, mistake):
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"


def imported(server, owner, key, secret, token, token_secret):
    """A client and token with these secrets, as another server may have made them."""
    records = [
        {"type": "client", "client_key": key, "client_secret": secret, "owner": owner.username, "name": key, "callbacks": ["oob"]},
        {"type": "token", "oauth_token": token, "oauth_token_secret": token_secret, "client_key": key, "username": owner.username},
    ]
    server.command("import", "-", stdin="".join(json.dumps(record) + "\n" for record in records))
    client = Client(key, secret, owner, "oob")
    return client, Token(token, token_secret, client)


@pytest.fixture(scope="module")
def wrong(server, developer):
    """A client and token whose secrets show the difference that encoding makes, and one mistake at a time."""
    made = imported(server, developer, "inspected", "the+client/s3cret=", "inspected-token", "the=token/s3cret+")
    return Wrong(server, *made)


def newest(chrome, server, client, more=""):
    """The newest refused request on the client's page."""
    chrome.open(f"{server.base}/developer/clients/inspector?key={client.key}{more}")
    return chrome.find("table tbody tr a")


@pytest.fixture(scope="module")
def in_every_way(server, developer):
    """The same for each kind of browser: one client has 30 explanations a minute."""
    secrets = ("the+client/s3cret=", "the=token/s3cret+")
    made = {script: imported(server, developer, f"erring-{script}", secrets[0], f"t-{script}", secrets[1]) for script in (True, False)}
    return {script: Wrong(server, *each) for script, each in made.items()}


@pytest.mark.parametrize("mistake", SENTENCES)
def test_a_refused_request_is_explained(mistake, any_chrome, server, in_every_way, developer):
    chrome, wrong = any_chrome, in_every_way[any_chrome.script]
    answer = wrong.send(mistake)
    assert answer.status == 401 and answer.json["code"] == "signature_invalid"
    chrome.log_in(server.base, developer)
    found = newest(chrome, server, wrong.client)
    assert found.text.startswith(SENTENCES[mistake]), found.text
    found.click()
    assert eventually(lambda: chrome.has(".verdict"))
    assert chrome.find(".verdict strong").text.startswith(SENTENCES[mistake])
    assert [word.text for word in chrome.all(".verdict code")] == [mistake]
    if mistake not in SAME_TEXT:
        assert chrome.has(".compare tr.differs") or chrome.has("mark")
        assert chrome.has("mark")
    for secret in (wrong.client.secret, wrong.token.secret):
        assert secret not in chrome.source


def hashed_wrongly(server, client, token):
    """A JSON request under a good signature, with the hash of another body."""
    hash = signer.body_hash(b"{}")
    url = f"{server.base}/v2/me"
    header = signer.header(signer.sign("POST", url, client, token, oauth_body_hash=hash))
    return [("Authorization", header), ("Content-Type", "application/json")], b'{"a": 1}', hash


def test_the_hash_of_another_body_is_explained_and_kept_once(chrome, server, wrong, developer):
    chrome.log_in(server.base, developer)
    chrome.open(f"{server.base}/developer/clients/inspector?key={wrong.client.key}")
    before = [row.get_attribute("href") for row in chrome.all("table tbody tr a")][:1]
    headers, body, hash = hashed_wrongly(server, wrong.client, wrong.token)
    answer = wire.send(server, "POST", "/v2/me", headers, body)
    assert answer.status == 401 and answer.json["code"] == "signature_invalid"
    found = newest(chrome, server, wrong.client)
    assert found.text == "Your app sent the hash of another body."
    assert [row.get_attribute("href") for row in chrome.all("table tbody tr a")][1:2] == before
    found.click()
    assert eventually(lambda: chrome.has(".verdict"))
    assert chrome.find(".verdict code").text == "body-hash-wrong"
    differing = [row.text for row in chrome.all(".compare tr.differs")]
    assert len(differing) == 1 and hash in differing[0] and signer.body_hash(body) in differing[0]
    assert newest(chrome, server, wrong.client, "&ui_locales=de").text == "Ihre App hat den Hash eines anderen Rumpfes gesendet."


def test_the_hash_of_another_body_is_explained_in_the_paste_box(chrome, server, wrong, developer):
    (authorization, kind), body, _ = hashed_wrongly(server, wrong.client, wrong.token)
    chrome.log_in(server.base, developer)
    head = "\n".join(f"{name}: {value}" for name, value in (("Host", server.authority), authorization, kind))
    paste(chrome, server, wrong.client, f"POST /v2/me HTTP/1.1\n{head}\n\n{body.decode()}")
    assert chrome.find(".verdict strong").text == "Your app sent the hash of another body."


UNSEEN = "The signature is not valid, and the body was not seen here."


def chunked(body, size=1000):
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("length, said", [(20, SENTENCES["body-wrongly-included"]), (200_000, UNSEEN)])
def test_a_body_that_comes_in_pieces_is_looked_at_as_far_as_it_is_small(length, said, chrome, server, wrong, developer):
    title = "x" * length
    extra = [(b"title", title.encode())]
    parameters = signer.protocol_parameters(wrong.client, wrong.token)
    pairs = [(name.encode(), value.encode()) for name, value in parameters]
    text = signer.base_string("POST", f"{server.base}/v2/me", pairs + extra)
    made = signer.signature("HMAC-SHA1", text, wrong.client.secret, wrong.token.secret)
    header = signer.header([*parameters, ("oauth_signature", made)])
    lines = ["POST /v2/me HTTP/1.1", f"Host: {server.authority}", f"Authorization: {header}"]
    lines += ["Content-Type: application/json", "Transfer-Encoding: chunked"]
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + chunked(json.dumps({"title": title}).encode())
    answer = wire.exchange((server.host, server.port), request, "POST")
    assert answer.status == 401 and answer.json["code"] == "signature_invalid"
    chrome.log_in(server.base, developer)
    assert newest(chrome, server, wrong.client).text.startswith(said)


def test_a_proxy_that_asks_without_the_body_is_told_that_nobody_saw_it(chrome, new_server):
    server = new_server('[server]\ntrusted_proxies = ["127.0.0.1"]\n', "asked")
    owner = server.account()
    client = server.client(owner, callback="oob")
    header = signer.header(signer.sign("POST", "https://api.example.com/v2/me", client, server_token(server, client, owner), form="title=x"))
    headers = [("Authorization", header), ("Content-Type", "application/json"), ("X-Original-Method", "POST")]
    answer = wire.send(server, "GET", "/authz/nginx", [*headers, ("X-Original-URL", "https://api.example.com/v2/me")])
    assert (answer.status, answer.one("X-Auth-Error")) == (401, "signature_invalid")
    chrome.log_in(server.base, owner)
    assert newest(chrome, server, client).text == UNSEEN
    german = newest(chrome, server, client, "&ui_locales=de").text
    assert german == "Die Signatur stimmt nicht, und der Rumpf war hier nicht zu sehen."


def test_a_refused_request_is_explained_in_german(chrome, server, wrong, developer):
    wrong.send("http-scheme")
    chrome.log_in(server.base, developer)
    chrome.open(f"{server.base}/developer/clients/inspector?key={wrong.client.key}&ui_locales=de")
    found = chrome.find("table tbody tr a").text
    assert found == "Ihre App hat https:// unterschrieben, aber dieser Server wird über http:// erreicht."


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
    # Who is not told here is told where: the same for everybody.
    assert ("signature inspector on the client's page" in advice) == (diagnose == "owner"), advice


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


def paste(chrome, server, client, text, token_secret="", button="Inspect"):
    chrome.open(f"{server.base}/developer/clients/inspector?key={client.key}")
    chrome.run("arguments[0].value = arguments[1]", chrome.field("request"), text) if chrome.script else chrome.type("request", text)
    if token_secret:
        chrome.type("token_secret", token_secret)
    chrome.press(button)


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
        "port-included": ("http://api.example.com/v2/me", "http://api.example.com:80/v2/me"),
        "host-case": ("http://API.Example.com/v2/me", "http://API.Example.com/v2/me"),
        "path-reencoded": ("http://api.example.com/v2/a%7Eb", "http://api.example.com/v2/a~b"),
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


@pytest.mark.parametrize("language, told, good", [
    ("en", "This server doesn't know the token of this request as one of your app.", "The signature is good, but this server doesn't know the token"),
    ("de", "Dieser Server kennt das Token der Anfrage nicht als eines Ihrer App.", "Die Signatur ist gut, aber dieser Server kennt das Token nicht"),
])
def test_a_token_that_is_unknown_here_is_called_so(language, told, good, chrome, server, wrong, developer):
    client = wrong.client
    token = Token("token-of-nobody", "its-secret", client)
    url = f"{server.base}/v2/me"
    button = {"en": "Inspect", "de": "Prüfen"}[language]
    chrome.log_in(server.base, developer)
    chrome.open(f"{server.base}/login?ui_locales={language}")
    header = signer.header(signer.sign("GET", url, client, token))
    paste(chrome, server, client, f"{url}\n{header}", button=button)
    assert chrome.find(".verdict strong").text == told
    # Also where the token secret was left out, which an empty one would take for right.
    bare = signer.header(signer.sign("GET", url, client, Token(token.token, "", client)))
    paste(chrome, server, client, f"{url}\n{bare}", button=button)
    assert chrome.find(".verdict strong").text == told
    paste(chrome, server, client, f"{url}\n{header}", token.secret, button=button)
    assert chrome.find(".verdict strong").text.startswith(good)


def test_the_form_of_a_signature_is_told_with_what_else_is_wrong(chrome, server, wrong, developer):
    chrome.log_in(server.base, developer)
    url = f"{server.base}/v2/me?{QUERY}"
    parameters = signer.protocol_parameters(wrong.client, wrong.token)
    text = signer.base_string("GET", f"{server.base}/v2/me", [(n.encode(), v.encode()) for n, v in parameters])
    made = base64.b64decode(signer.signature("HMAC-SHA1", text, wrong.client.secret, wrong.token.secret)).hex()
    paste(chrome, server, wrong.client, f"GET {url}\n{signer.header([*parameters, ('oauth_signature', made)])}")
    assert [word.text for word in chrome.all(".verdict code")] == ["signature-in-hex", "query-parameters-left-out"]
    assert chrome.find(".verdict strong").text.startswith("Your app sent the signature in hexadecimal digits")


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


@pytest.mark.parametrize("language, reason", [
    ("en", "missing: oauth_nonce"),
    ("de", "Es fehlt: oauth_nonce"),
])
def test_what_can_not_be_read_is_said_in_the_language_of_the_page(language, reason, any_chrome, server, wrong, developer):
    any_chrome.log_in(server.base, developer)
    any_chrome.open(f"{server.base}/login?ui_locales={language}")
    header = signer.header(signer.sign("GET", f"{server.base}/v2/me", wrong.client, oauth_nonce=None))
    paste(any_chrome, server, wrong.client, f"{server.base}/v2/me\n{header}", button={"en": "Inspect", "de": "Prüfen"}[language])
    assert any_chrome.reason("request") == reason


def test_a_typed_token_secret_is_not_written_into_the_page(any_chrome, server, wrong, developer):
    any_chrome.log_in(server.base, developer)
    paste(any_chrome, server, wrong.client, "no request", "a secret of mine")
    assert any_chrome.value("request") == "no request" and any_chrome.value("token_secret") == ""
    assert "a secret of mine" not in any_chrome.source


def test_a_form_that_came_too_late_is_told_so_and_leads_back(any_chrome, server, wrong, developer):
    any_chrome.log_in(server.base, developer)
    any_chrome.open(f"{server.base}/developer/clients/inspector?key={wrong.client.key}")
    any_chrome.type("request", "what I typed")
    any_chrome.driver.delete_all_cookies()
    any_chrome.press("Inspect")
    assert any_chrome.heading == "You are not logged in any more"
    assert "Nothing was changed" in any_chrome.text and "what I typed" not in any_chrome.source
    any_chrome.press("Log in")
    any_chrome.sign_in(developer)
    assert any_chrome.url == f"{server.base}/developer/clients/inspector?key={wrong.client.key}"


def test_a_method_that_the_app_has_no_key_for_is_told_so(chrome, server, wrong, developer):
    chrome.log_in(server.base, developer)
    url = f"{server.base}/v2/me"

    def verdict(client, method, language="en"):
        chrome.open(f"{server.base}/login?ui_locales={language}")
        parameters = signer.protocol_parameters(client, method=method)
        header = signer.header([*parameters, ("oauth_signature", "AAAA")])
        paste(chrome, server, client, f"{url}\n{header}", button={"en": "Inspect", "de": "Prüfen"}[language])
        return chrome.find(".verdict strong").text

    assert verdict(wrong.client, "RSA-SHA256") == "This app has no RSA key here, so no RSA signature can be checked."
    assert verdict(wrong.client, "RSA-SHA1", "de") == "Diese App hat hier keinen RSA-Schlüssel, darum ist keine RSA-Signatur zu prüfen."
    choosy = server.client(developer, callback="oob", methods=("HMAC-SHA256",))
    assert verdict(choosy, "HMAC-SHA1") == "This app may not sign with HMAC-SHA1."


def test_nobody_is_told_anything_where_the_operator_forbids_it(chrome, new_server):
    server = new_server('[oauth]\ndiagnose = "never"\nplaintext = "never"\n', "silent")
    person = server.account()
    client = server.client(person)
    chrome.log_in(server.base, person)
    chrome.open(f"{server.base}/developer/clients/inspector?key={client.key}")
    assert "This server explains no signatures" in chrome.text and not chrome.has("[name=request]")
    # Nor is a method offered that this server refuses, or one that has no key.
    chrome.open(f"{server.base}/developer/clients/new")
    assert not chrome.has("[name=signature_method][value=PLAINTEXT]")
    chrome.type("name", "Without a key")
    chrome.tick("signature_method", "RSA-SHA256")
    chrome.press("Create app")
    assert "need a public key" in chrome.reason("rsa_public_key")
