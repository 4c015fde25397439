"""The protected resource of oauthlib's own provider, in Flask, for comparison: HMAC-SHA1 with a nonce check.

Its one client and token are in memory, so it is faster than it could be with a store; its nonces are where `nonces` says.
"""

import json
import os

import nonces
from flask import Flask, Response, request
from oauthlib.oauth1 import RequestValidator, ResourceEndpoint

KNOWN = json.loads(os.environ["BENCH_CREDENTIALS"])
ANSWER = os.environ["BENCH_ANSWER"]


class Validator(RequestValidator):
    enforce_ssl = False
    nonce_length = 1, 255
    client_key_length = access_token_length = 1, 255
    dummy_client = dummy_access_token = "dummy"

    # The library's own limit to letters and digits; a provider may widen it.
    def check_client_key(self, client_key):
        return True

    def check_access_token(self, access_token):
        return True

    def check_nonce(self, nonce):
        return True

    def validate_timestamp_and_nonce(self, client_key, timestamp, nonce, request, request_token=None, access_token=None):
        return nonces.STORE.remember(client_key, access_token, timestamp, nonce)

    def validate_client_key(self, client_key, request):
        return client_key == KNOWN["consumer_key"]

    def validate_access_token(self, client_key, token, request):
        return token == KNOWN["token"]

    def validate_realms(self, client_key, token, request, uri=None, realms=None):
        return True

    def get_client_secret(self, client_key, request):
        return KNOWN["consumer_secret"]

    def get_access_token_secret(self, client_key, token, request):
        return KNOWN["token_secret"]


app = Flask(__name__)
endpoint = ResourceEndpoint(Validator())


@app.get("/v2/me")
def me():
    valid, _ = endpoint.validate_protected_resource_request(
        request.url, "GET", request.get_data(), dict(request.headers), []
    )
    return Response(ANSWER if valid else "", 200 if valid else 401, content_type="application/json")
