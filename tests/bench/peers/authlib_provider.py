"""The protected resource of Authlib's own provider, in Flask, for comparison: HMAC-SHA1 with a nonce check.

Its one client and token are in memory, so it is faster than it could be with a store; its nonces are where `nonces` says.
"""

import json
import os
from types import SimpleNamespace

import nonces
from authlib.integrations.flask_oauth1 import ResourceProtector
from flask import Flask, Response

KNOWN = json.loads(os.environ["BENCH_CREDENTIALS"])
ANSWER = os.environ["BENCH_ANSWER"]


class Client:
    client_id = KNOWN["consumer_key"]

    def get_client_secret(self):
        return KNOWN["consumer_secret"]

    def get_default_redirect_uri(self):
        return "oob"

    def get_rsa_public_key(self):
        return None


class Token(SimpleNamespace):
    def get_oauth_token(self):
        return KNOWN["token"]

    def get_oauth_token_secret(self):
        return KNOWN["token_secret"]


def query_token(client_id, oauth_token):
    return Token(user_id=1) if oauth_token == KNOWN["token"] else None


def exists_nonce(nonce, timestamp, client_id, oauth_token):
    return not nonces.STORE.remember(client_id, oauth_token, timestamp, nonce)


app = Flask(__name__)
require_oauth = ResourceProtector(
    app, query_client=lambda key: Client() if key == Client.client_id else None, query_token=query_token,
    exists_nonce=exists_nonce,
)


@app.get("/v2/me")
@require_oauth()
def me():
    return Response(ANSWER, content_type="application/json")
