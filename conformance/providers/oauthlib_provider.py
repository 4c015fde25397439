"""A small provider made with oauthlib, for holding the suite against somebody else's reading of the RFC.

It listens on a free port and says `listening on ADDRESS`. oauthlib's limits on the length and letters of keys and nonces are its
defaults, not the RFC's, and are widened; everything else is as the library has it. Everything is in memory.
"""

import http.server
import json
import string
import threading
import time
import urllib.parse

from oauthlib.oauth1 import (
    SIGNATURE_HMAC_SHA1,
    SIGNATURE_HMAC_SHA256,
    SIGNATURE_HMAC_SHA512,
    SIGNATURE_PLAINTEXT,
    SIGNATURE_RSA_SHA1,
    SIGNATURE_RSA_SHA256,
    SIGNATURE_RSA_SHA512,
    RequestValidator,
    WebApplicationServer,
)
from oauthlib.oauth1.rfc5849.errors import OAuth1Error

import shared


class Validator(RequestValidator):
    """What oauthlib asks its user for, over dictionaries and one lock."""

    enforce_ssl = False
    nonce_length = 1, 255
    client_key_length = request_token_length = access_token_length = verifier_length = 1, 255
    safe_characters = set(string.printable) - set("\r\n\x0b\x0c\t")
    dummy_client = "dummyClientOfTheSuite123"
    dummy_request_token = dummy_access_token = "dummy"
    allowed_signature_methods = (
        SIGNATURE_HMAC_SHA1,
        SIGNATURE_HMAC_SHA256,
        SIGNATURE_HMAC_SHA512,
        SIGNATURE_RSA_SHA1,
        SIGNATURE_RSA_SHA256,
        SIGNATURE_RSA_SHA512,
        SIGNATURE_PLAINTEXT,
    )

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()
        self.requests, self.accesses, self.nonces = {}, {}, set()

    def get_client_secret(self, client_key, request):
        client = shared.CLIENTS.get(client_key)
        return client.secret if client else "dummy secret"

    def get_rsa_key(self, client_key, request):
        client = shared.CLIENTS.get(client_key)
        known = client.rsa_public_key if client else None
        return known or next(c.rsa_public_key for c in shared.CLIENTS.values() if c.rsa_public_key)

    def validate_client_key(self, client_key, request):
        client = shared.CLIENTS.get(client_key)
        # A client without an RSA key may not use the RSA methods.
        return client is not None and (client.rsa_public_key is not None or not (request.signature_method or "").startswith("RSA"))

    def get_request_token_secret(self, client_key, token, request):
        return self.requests.get(token, {}).get("secret", "dummy")

    def get_access_token_secret(self, client_key, token, request):
        return self.accesses.get(token, {}).get("secret", "dummy")

    def validate_request_token(self, client_key, token, request):
        return self.requests.get(token, {}).get("client") == client_key

    def validate_access_token(self, client_key, token, request):
        return self.accesses.get(token, {}).get("client") == client_key

    def validate_timestamp_and_nonce(self, client_key, timestamp, nonce, request, request_token=None, access_token=None):
        used = (client_key, timestamp, nonce, request_token or access_token)
        with self.lock:
            if used in self.nonces:
                return False
            self.nonces.add(used)
            return True

    def validate_redirect_uri(self, client_key, redirect_uri, request):
        return shared.callback_is_registered(shared.CLIENTS.get(client_key), redirect_uri)

    def get_redirect_uri(self, token, request):
        return self.requests[token]["callback"]

    def validate_verifier(self, client_key, token, verifier, request):
        return bool(verifier) and self.requests.get(token, {}).get("verifier") == verifier

    def verify_request_token(self, token, request):
        return token in self.requests and not self.requests[token].get("denied")

    def invalidate_request_token(self, client_key, request_token, request):
        self.requests.pop(request_token, None)

    def save_request_token(self, token, request):
        self.requests[token["oauth_token"]] = {
            "secret": token["oauth_token_secret"],
            "client": request.client_key,
            "callback": request.redirect_uri,
        }

    def save_access_token(self, token, request):
        # A database takes its time here, so what is not decided in one step shows.
        time.sleep(0.02)
        self.accesses[token["oauth_token"]] = {"secret": token["oauth_token_secret"], "client": request.client_key}

    def save_verifier(self, token, verifier, request):
        self.requests[token]["verifier"] = verifier["oauth_verifier"]

    def get_default_realms(self, client_key, request):
        return []

    def get_realms(self, token, request):
        return []

    def validate_requested_realms(self, client_key, realms, request):
        return True

    def validate_realms(self, client_key, token, request, uri=None, realms=None):
        return True

    def verify_realms(self, token, realms, request):
        return True


VALIDATOR = Validator()
SERVER = WebApplicationServer(VALIDATOR)


class Handler(http.server.BaseHTTPRequestHandler):
    """Hands requests on to oauthlib as they came."""

    def handle_request(self):
        length = self.headers.get("Content-Length")
        body = self.rfile.read(int(length)).decode("utf-8", "replace") if length and length.isdigit() else ""
        uri = f"http://{self.headers.get('Host', 'localhost')}{self.path}"
        arguments = uri, self.command, body, dict(self.headers)
        path = urllib.parse.urlsplit(self.path).path
        try:
            if path == "/request_token":
                self.reply(*SERVER.create_request_token_response(*arguments))
            elif path == "/access_token":
                self.reply(*SERVER.create_access_token_response(*arguments))
            elif path == "/authorize":
                self.authorize(uri, body)
            elif path.startswith("/me"):
                valid, _ = SERVER.validate_protected_resource_request(*arguments)
                if valid:
                    self.reply({"Content-Type": "application/json"}, json.dumps({"account": {"username": shared.ACCOUNT}}), 200)
                else:
                    self.reply({"WWW-Authenticate": 'OAuth realm="oauthlib"'}, "", 401)
            else:
                self.reply({}, "", 404)
        except OAuth1Error as error:
            self.reply({"Content-Type": "application/x-www-form-urlencoded"}, error.urlencoded, error.status_code)
        except ValueError as error:
            # oauthlib raises this for queries and forms that it can't read.
            self.reply({}, str(error), 400)

    def authorize(self, uri, body):
        fields = dict(urllib.parse.parse_qsl(body or urllib.parse.urlsplit(uri).query))
        token = fields.get("oauth_token", "")
        if self.command != "POST":
            known = VALIDATOR.verify_request_token(token, None)
            self.reply({"Content-Type": "text/html"}, shared.consent_page(token) if known else "unknown", 200 if known else 400)
            return
        if fields.get("decision") != "allow":
            if token in VALIDATOR.requests:
                VALIDATOR.requests[token]["denied"] = True
            self.reply({"Location": VALIDATOR.requests.get(token, {}).get("callback") or "/"}, "", 302)
            return
        headers, text, status = SERVER.create_authorization_response(uri.split("?")[0] + "?" + urllib.parse.urlencode({"oauth_token": token}))
        if status == 200:
            headers, text = {"Content-Type": "text/html"}, shared.verifier_page(dict(urllib.parse.parse_qsl(text))["oauth_verifier"])
        self.reply(headers, text, status)

    def reply(self, headers, body, status):
        data = (body or "").encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request

    def log_message(self, *_):
        pass


class Listener(http.server.ThreadingHTTPServer):
    # Races open more connections at once than the five that may wait by default.
    request_queue_size = 128


if __name__ == "__main__":
    listener = Listener(("127.0.0.1", 0), Handler)
    print(f"listening on http://localhost:{listener.server_port}", flush=True)
    listener.serve_forever()
