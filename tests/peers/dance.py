"""The three steps of RFC 5849 section 2 with our own signer, for tests that need a token and not a library."""

import signer
import wire
from harness import Token


def request_token(server, client, callback=None, prefix="/oauth", **more):
    """Section 2.1. The answer as it came."""
    url = f"{server.base}{prefix}/request_token"
    more.setdefault("oauth_callback", callback or client.callback)
    value = signer.authorization("POST", url, client, **more)
    return wire.send(server, "POST", f"{prefix}/request_token", [("Authorization", value)], b"")


def temporary(server, client, **more):
    """Section 2.1, and the answer must be good."""
    answer = request_token(server, client, **more)
    assert answer.status == 200, f"{answer.status}: {answer.body!r}"
    assert answer.form["oauth_callback_confirmed"] == "true"
    return Token(answer.form["oauth_token"], answer.form["oauth_token_secret"], client, answer.form)


def authorize_url(server, request, prefix="/oauth"):
    return f"{server.base}{prefix}/authorize?oauth_token={signer.escape(request.token)}"


def access_token(server, client, request, verifier, prefix="/oauth", **more):
    """Section 2.3. The answer as it came."""
    url = f"{server.base}{prefix}/access_token"
    value = signer.authorization("POST", url, client, request, oauth_verifier=verifier, **more)
    return wire.send(server, "POST", f"{prefix}/access_token", [("Authorization", value)], b"")


def dance(server, client, browser, scopes=None, **more):
    """The whole dance; an access token."""
    request = temporary(server, client, **more)
    verifier = browser.verifier(authorize_url(server, request), scopes=scopes)
    answer = access_token(server, client, request, verifier)
    assert answer.status == 200, f"{answer.status}: {answer.body!r}"
    return Token(answer.form["oauth_token"], answer.form["oauth_token_secret"], client, answer.form)


def signed(server, verb, target, client, token=None, *, headers=(), body=None, host=None, **more):
    """A request signed by the Authorization header, sent with exactly this target."""
    url = f"http://{host or server.authority}{target}"
    value = signer.authorization(verb, url, client, token, **more)
    return wire.send(server, verb, target, [("Authorization", value), *headers], body, host)
