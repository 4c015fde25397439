"""A signer of our own for RFC 5849, kept apart from the server and from every library that the tests try.

It works on text as it is sent: the raw query and the raw form body are split and decoded here, so that a test can send
what a library would never write. It judges nothing and repairs nothing.
"""

import base64
import hashlib
import hmac
import itertools
import os
import time
from urllib.parse import quote, unquote_to_bytes, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

HASHES = {
    "SHA1": (hashlib.sha1, hashes.SHA1),
    "SHA256": (hashlib.sha256, hashes.SHA256),
    "SHA512": (hashlib.sha512, hashes.SHA512),
}
METHODS = [f"{kind}-{name}" for kind in ("HMAC", "RSA") for name in HASHES]
COUNTER = itertools.count()


def escape(text):
    """Percent-encoding of section 3.6: everything but letters, digits and `-._~`."""
    return quote(text, safe="-._~")


def nonce():
    """A nonce that no other request of this run has."""
    return f"n{os.getpid()}x{next(COUNTER)}x{os.urandom(6).hex()}"


def pairs_of(form):
    """The decoded pairs of a query or form body (section 3.4.1.3.1), as bytes, in the order sent."""
    pairs = []
    for piece in form.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            pairs.append(tuple(unquote_to_bytes(part.replace("+", " ")) for part in (name, value)))
    return pairs


def base_string_uri(url):
    """Section 3.4.1.2: scheme and host in lower case, the default port left out, no query."""
    parts = urlsplit(url)
    scheme, authority = parts.scheme.lower(), parts.netloc.lower()
    default = {"http": ":80", "https": ":443"}[scheme]
    if authority.endswith(default):
        authority = authority[: -len(default)]
    return f"{scheme}://{authority}{parts.path or '/'}"


def base_string(method, url, parameters):
    """Section 3.4.1.1. `parameters` are decoded pairs of bytes from all three sources, without realm and signature."""
    encoded = sorted((escape(name), escape(value)) for name, value in parameters)
    normalized = "&".join(f"{name}={value}" for name, value in encoded)
    return "&".join(escape(part) for part in (method.upper(), base_string_uri(url), normalized))


def signature(method, text, secret="", token_secret="", rsa_private_key=None):
    """The signature of a base string. `rsa_private_key` is the path of a PEM file."""
    if method == "PLAINTEXT":
        return f"{escape(secret)}&{escape(token_secret)}"
    kind, _, name = method.partition("-")
    if kind == "HMAC":
        key = f"{escape(secret)}&{escape(token_secret)}".encode()
        return base64.b64encode(hmac.new(key, text.encode(), HASHES[name][0]).digest()).decode()
    with open(rsa_private_key, "rb") as file:
        private = serialization.load_pem_private_key(file.read(), None)
    return base64.b64encode(private.sign(text.encode(), padding.PKCS1v15(), HASHES[name][1]())).decode()


def protocol_parameters(client, token=None, method="HMAC-SHA1", **changes):
    """The `oauth_` parameters but the signature. A change to None leaves the parameter out."""
    parameters = {
        "oauth_consumer_key": client.key,
        "oauth_token": token.token if token else None,
        "oauth_signature_method": method,
        "oauth_timestamp": str(int(time.time())),
        "oauth_nonce": nonce(),
        "oauth_version": "1.0",
    }
    parameters |= changes
    return [(name, value) for name, value in parameters.items() if value is not None]


def sign(verb, url, client, token=None, *, form="", method="HMAC-SHA1", secret=None, token_secret=None, **changes):
    """All `oauth_` parameters of a signed request, the signature last.

    `form` is the form body as sent (empty for any other body). `secret` and `token_secret` replace the true ones.
    """
    parameters = protocol_parameters(client, token, method, **changes)
    encoded = [(name.encode(), value.encode()) for name, value in parameters]
    text = base_string(verb, url, encoded + pairs_of(urlsplit(url).query) + pairs_of(form))
    made = signature(
        method,
        text,
        client.secret if secret is None else secret,
        (token.secret if token else "") if token_secret is None else token_secret,
        client.rsa_private_key,
    )
    return [*parameters, ("oauth_signature", made)]


def header(parameters, realm=None):
    """The value of the Authorization header for these parameters (section 3.5.1)."""
    pieces = [f'{escape(name)}="{escape(value)}"' for name, value in parameters]
    if realm is not None:
        pieces.insert(0, f'realm="{realm}"')
    return "OAuth " + ", ".join(pieces)


def form_encoded(parameters):
    """The parameters as a query or form body (sections 3.5.2 and 3.5.3)."""
    return "&".join(f"{escape(name)}={escape(value)}" for name, value in parameters)


def authorization(verb, url, client, token=None, **more):
    """Sign and give the Authorization header's value, in one step."""
    return header(sign(verb, url, client, token, **more))


def body_hash(body, method="HMAC-SHA1"):
    """`oauth_body_hash` of the body extension for these bytes."""
    name = method.partition("-")[2] or "SHA1"
    return base64.b64encode(HASHES[name][0](body).digest()).decode()
