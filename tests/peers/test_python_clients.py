"""Python's OAuth 1.0a libraries, unmodified, do the whole dance: requests-oauthlib, oauthlib by itself in its three
placements, Authlib over requests and over httpx.

Every library runs through the same story; a class below says only how that library is spoken to.
"""

import json
from urllib.parse import parse_qsl

import authlib.integrations.httpx_client
import authlib.integrations.requests_client
import oauthlib.oauth1
import pytest
import requests
import requests_oauthlib

SECONDS = 60
ODD_QUERY = "name=caf%C3%A9%20%26%20more&empty=&twice=b&twice=a&sum=1%2B1%3D2"


class RequestsOauthlib:
    """requests-oauthlib's session."""

    def __init__(self, server, key, secret, callback, method, rsa_key):
        self.server = server
        self.session = requests_oauthlib.OAuth1Session(
            key, client_secret=secret, callback_uri=callback, signature_method=method, rsa_key=rsa_key
        )
        self.session.trust_env = False

    def begin(self):
        self.session.fetch_request_token(f"{self.server.base}/oauth/request_token")
        return self.session.authorization_url(f"{self.server.base}/oauth/authorize")

    def returned(self, callback):
        self.session.parse_authorization_response(callback)
        return self.session.fetch_access_token(f"{self.server.base}/oauth/access_token")

    def told(self, verifier):
        return self.session.fetch_access_token(f"{self.server.base}/oauth/access_token", verifier=verifier)

    def with_token(self, token, secret):
        self.session._client.client.resource_owner_key = token
        self.session._client.client.resource_owner_secret = secret

    def get(self, url):
        return self.session.get(url, timeout=SECONDS)

    def post(self, url, fields):
        return self.session.post(url, data=fields, timeout=SECONDS)


class Oauthlib:
    """oauthlib's client, which signs and leaves the sending to the caller."""

    placement = oauthlib.oauth1.SIGNATURE_TYPE_AUTH_HEADER

    def __init__(self, server, key, secret, callback, method, rsa_key):
        self.server = server
        self.client = oauthlib.oauth1.Client(
            key,
            client_secret=secret,
            callback_uri=callback,
            signature_method=method,
            signature_type=self.placement,
            rsa_key=rsa_key,
        )

    def send(self, method, url, fields=None):
        headers = {}
        if fields is not None or self.placement == oauthlib.oauth1.SIGNATURE_TYPE_BODY:
            fields = fields or {}
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        url, headers, body = self.client.sign(url, method, body=fields, headers=headers)
        return requests.request(method, url, headers=headers, data=body, timeout=SECONDS)

    def token(self, answer):
        answer.raise_for_status()
        fields = dict(parse_qsl(answer.text, strict_parsing=True, keep_blank_values=True))
        self.with_token(fields["oauth_token"], fields["oauth_token_secret"])
        return fields

    def begin(self):
        fields = self.token(self.send("POST", f"{self.server.base}/oauth/request_token"))
        self.client.callback_uri = None
        return f"{self.server.base}/oauth/authorize?oauth_token={fields['oauth_token']}"

    def returned(self, callback):
        return self.told(dict(parse_qsl(callback.partition("?")[2]))["oauth_verifier"])

    def told(self, verifier):
        self.client.verifier = verifier
        fields = self.token(self.send("POST", f"{self.server.base}/oauth/access_token"))
        self.client.verifier = None
        return fields

    def with_token(self, token, secret):
        self.client.resource_owner_key = token
        self.client.resource_owner_secret = secret

    def get(self, url):
        if self.placement == oauthlib.oauth1.SIGNATURE_TYPE_BODY:
            return self.send("POST", url)
        return self.send("GET", url)

    def post(self, url, fields):
        return self.send("POST", url, fields)


class OauthlibQuery(Oauthlib):
    """The same, with the protocol parameters in the query."""

    placement = oauthlib.oauth1.SIGNATURE_TYPE_QUERY


class OauthlibBody(Oauthlib):
    """The same, with the protocol parameters in a form body."""

    placement = oauthlib.oauth1.SIGNATURE_TYPE_BODY


class AuthlibRequests:
    """Authlib's session over requests."""

    session_class = staticmethod(authlib.integrations.requests_client.OAuth1Session)

    def __init__(self, server, key, secret, callback, method, rsa_key):
        self.server = server
        self.session = self.session_class(
            key, client_secret=secret, redirect_uri=callback, signature_method=method, rsa_key=rsa_key
        )

    def begin(self):
        self.session.fetch_request_token(f"{self.server.base}/oauth/request_token")
        return self.session.create_authorization_url(f"{self.server.base}/oauth/authorize")

    def returned(self, callback):
        self.session.parse_authorization_response(callback)
        return self.session.fetch_access_token(f"{self.server.base}/oauth/access_token")

    def told(self, verifier):
        return self.session.fetch_access_token(f"{self.server.base}/oauth/access_token", verifier=verifier)

    def with_token(self, token, secret):
        self.session.token = {"oauth_token": token, "oauth_token_secret": secret}

    def get(self, url):
        return self.session.get(url, timeout=SECONDS)

    def post(self, url, fields):
        return self.session.post(url, data=fields, timeout=SECONDS)


class AuthlibHttpx(AuthlibRequests):
    """Authlib's client over httpx."""

    session_class = staticmethod(authlib.integrations.httpx_client.OAuth1Client)


HMAC_SHA1, RSA_SHA1 = "HMAC-SHA1", "RSA-SHA1"
LIBRARIES = [
    (RequestsOauthlib, HMAC_SHA1),
    (RequestsOauthlib, "HMAC-SHA256"),
    (RequestsOauthlib, "HMAC-SHA512"),
    (RequestsOauthlib, RSA_SHA1),
    (RequestsOauthlib, "RSA-SHA256"),
    (RequestsOauthlib, "RSA-SHA512"),
    (Oauthlib, HMAC_SHA1),
    (Oauthlib, RSA_SHA1),
    (OauthlibQuery, HMAC_SHA1),
    (OauthlibQuery, RSA_SHA1),
    (OauthlibBody, HMAC_SHA1),
    (OauthlibBody, RSA_SHA1),
    (AuthlibRequests, HMAC_SHA1),
    (AuthlibRequests, RSA_SHA1),
    (AuthlibHttpx, HMAC_SHA1),
    (AuthlibHttpx, RSA_SHA1),
]


def name_of(case):
    return f"{case[0].__name__}-{case[1]}"


def library_of(case, server, client, callback=None, secret=None):
    kind, method = case
    return kind(
        server,
        client.key,
        secret or client.secret,
        callback or client.callback,
        method,
        client.rsa_private_key.read_text() if method.startswith("RSA") else None,
    )


def refused(attempt):
    """Whether the library was told of an invalid signature; most raise, each its own kind of error."""
    try:
        answer = attempt()
    except Exception as error:
        return "401" in str(error) or "signature_invalid" in str(error)
    return getattr(answer, "status_code", None) == 401


@pytest.mark.parametrize("case", LIBRARIES, ids=name_of)
def test_the_whole_dance_ends_at_the_callers_identity(case, server, client, browser, holder):
    library = library_of(case, server, client)
    callback = browser.callback(library.begin())
    assert callback.startswith(client.callback + "?")
    fields = library.returned(callback)
    assert fields["username"] == holder.username
    assert "scope" in fields

    answer = library.get(f"{server.base}/v2/me")
    assert answer.status_code == 200, answer.text
    identity = json.loads(answer.text)
    assert identity["account"] == {"id": holder.id, "username": holder.username}
    assert identity["company"] == "acme"
    assert identity["client"]["client_key"] == client.key
    assert identity["credential"] == "oauth1"

    odd = library.get(f"{server.base}/v2/me?{ODD_QUERY}")
    assert odd.status_code == 200, odd.text
    if case[0] is not OauthlibQuery:  # oauthlib moves a form's fields into the query there
        form = {"note": "a b+c&d=é", "empty": ""}
        posted = library.post(f"{server.base}/v2/me", form)
        assert posted.status_code == 200, posted.text


@pytest.mark.parametrize("case", LIBRARIES, ids=name_of)
def test_the_dance_works_out_of_band_with_the_verifier_from_the_page(case, server, client_oob, browser, holder):
    library = library_of(case, server, client_oob, callback="oob")
    fields = library.told(browser.verifier(library.begin()))
    assert fields["username"] == holder.username
    assert library.get(f"{server.base}/v2/me").status_code == 200


@pytest.mark.parametrize("case", [case for case in LIBRARIES if "HMAC" in case[1]], ids=name_of)
def test_a_wrong_client_secret_is_refused(case, server, client):
    library = library_of(case, server, client, secret="not-the-secret")
    assert refused(library.begin)


@pytest.mark.parametrize("case", [case for case in LIBRARIES if "HMAC" in case[1]], ids=name_of)
def test_a_wrong_token_secret_is_refused(case, server, client, token):
    library = library_of(case, server, client)
    library.with_token(token.token, "not-the-secret")
    if isinstance(library, Oauthlib):
        library.client.callback_uri = None
    assert refused(lambda: library.get(f"{server.base}/v2/me"))
    library.with_token(token.token, token.secret)
    assert library.get(f"{server.base}/v2/me").status_code == 200


@pytest.mark.parametrize("case", [case for case in LIBRARIES if "RSA" in case[1]], ids=name_of)
def test_another_rsa_key_is_refused(case, server, client, other_rsa):
    kind, method = case
    library = kind(server, client.key, client.secret, client.callback, method, other_rsa.private.read_text())
    assert refused(library.begin)
