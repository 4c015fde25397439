"""Signs the requests on standard input, a JSON object a line, with oauthlib's functions, and prints a signature a line."""

import json
import os
import sys

from oauthlib.oauth1.rfc5849 import signature
from oauthlib.oauth1.rfc5849.signature import base_string_uri, collect_parameters, normalize_parameters, signature_base_string
import urllib.parse


class Client:
    """What oauthlib's signing functions ask of a client."""

    def __init__(self, request):
        self.client_secret, self.resource_owner_secret = request["client_secret"], request["token_secret"]
        self.rsa_key = os.environ["RSA_KEY"]


SIGN = {
    "HMAC-SHA1": signature.sign_hmac_sha1_with_client,
    "HMAC-SHA256": signature.sign_hmac_sha256_with_client,
    "HMAC-SHA512": signature.sign_hmac_sha512_with_client,
    "PLAINTEXT": signature.sign_plaintext_with_client,
    "RSA-SHA1": signature.sign_rsa_sha1_with_client,
    "RSA-SHA256": signature.sign_rsa_sha256_with_client,
    "RSA-SHA512": signature.sign_rsa_sha512_with_client,
}

for line in sys.stdin:
    request = json.loads(line)
    query = urllib.parse.urlsplit(request["uri"]).query
    parameters = collect_parameters(uri_query=query, body=[tuple(p) for p in request["form"]], headers={}, exclude_oauth_signature=True)
    parameters += [tuple(p) for p in request["protocol"]] + [("oauth_signature_method", request["signature_method"])]
    base = signature_base_string(request["method"], base_string_uri(request["uri"]), normalize_parameters(parameters))
    print(SIGN[request["signature_method"]](base, Client(request)), flush=False)
