"""A small provider made with Authlib and Flask, for holding the suite against somebody else's reading of the RFC.

It listens on a free port and says `listening on ADDRESS`. Authlib's own helpers keep nonces and temporary credentials; everything
is in memory. Authlib compares callbacks with nothing, so the target does not claim that it does.
"""

import logging
import os
import threading
import time

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.flask_oauth1 import (  # noqa: E402
    AuthorizationServer,
    ResourceProtector,
    create_exists_nonce_func,
    register_nonce_hooks,
    register_temporary_credential_hooks,
)
from authlib.oauth1 import ClientMixin, TokenCredentialMixin  # noqa: E402
from authlib.oauth1.errors import OAuth1Error  # noqa: E402
from flask import Flask, jsonify, request  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

import shared  # noqa: E402


class Cache:
    """What Authlib's helpers want of a cache."""

    def __init__(self):
        self.values, self.lock = {}, threading.Lock()

    def get(self, key):
        return self.values.get(key)

    def has(self, key):
        return key in self.values

    def set(self, key, value, timeout=None):
        with self.lock:
            self.values[key] = value

    def delete(self, key):
        self.values.pop(key, None)


class Client(ClientMixin):
    def __init__(self, entry):
        self.entry = entry

    def get_default_redirect_uri(self):
        return self.entry.callback

    def get_client_secret(self):
        return self.entry.secret

    def get_rsa_public_key(self):
        return self.entry.rsa_public_key


class Account:
    def get_user_id(self):
        return shared.ACCOUNT


class Token(TokenCredentialMixin):
    def __init__(self, client_id, token):
        self.client_id, self.token = client_id, token

    def get_oauth_token(self):
        return self.token["oauth_token"]

    def get_oauth_token_secret(self):
        return self.token["oauth_token_secret"]


TOKENS, CACHE = {}, Cache()


def query_client(client_id):
    entry = shared.CLIENTS.get(client_id)
    return Client(entry) if entry else None


def query_token(client_id, oauth_token):
    token = TOKENS.get(oauth_token)
    return token if token and token.client_id == client_id else None


def create_token_credential(token, temporary):
    # A database takes its time here, so what is not decided in one step shows.
    time.sleep(0.02)
    made = TOKENS[token["oauth_token"]] = Token(temporary.get_client_id(), token)
    return made


app = Flask(__name__)
app.config["OAUTH1_SUPPORTED_SIGNATURE_METHODS"] = ["HMAC-SHA1", "RSA-SHA1", "PLAINTEXT"]
server = AuthorizationServer(app, query_client=query_client)
register_nonce_hooks(server, CACHE)
register_temporary_credential_hooks(server, CACHE)
server.register_hook("create_token_credential", create_token_credential)
protect = ResourceProtector(app, query_client, query_token, create_exists_nonce_func(CACHE))


@app.route("/request_token", methods=["GET", "POST"])
def initiate():
    return server.create_temporary_credentials_response()


@app.route("/authorize", methods=["GET", "POST"])
def authorize():
    try:
        asked = server.check_authorization_request()
    except OAuth1Error as error:
        return error.error, 400
    if request.method == "GET":
        return shared.consent_page(asked.token)
    allowed = request.form.get("decision") == "allow"
    response = server.create_authorization_response(request, Account() if allowed else None)
    if response.status_code == 200 or (response.headers.get("Location") or "").startswith("oob"):
        return shared.verifier_page(CACHE.get("temporary_credential:" + asked.token).get("oauth_verifier", ""))
    return response


@app.route("/access_token", methods=["GET", "POST"])
def exchange():
    return server.create_token_response()


@app.route("/me", defaults={"below": ""}, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
@app.route("/me/<path:below>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
@protect
def me(below):
    return jsonify(account={"username": shared.ACCOUNT})


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    listener = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"listening on http://localhost:{listener.port}", flush=True)
    listener.serve_forever()
