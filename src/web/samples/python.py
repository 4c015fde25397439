import base64
import hmac
import secrets
import time
from urllib.parse import parse_qsl, quote
from urllib.request import Request, urlopen

CLIENT_KEY = {{client_key}}
CLIENT_SECRET = {{client_secret}}
TOKEN = {{token}}
TOKEN_SECRET = {{token_secret}}


def encode(text):
    return quote(text, safe="-._~")


def authorization(method, url, form=()):
    """The Authorization header of a request. `form`: the pairs of a form body."""
    address, _, query = url.partition("?")
    oauth = {
        "oauth_consumer_key": CLIENT_KEY,
        "oauth_nonce": secrets.token_hex(16),
        "oauth_signature_method": "{{method}}",
        "oauth_timestamp": str(int(time.time())),
        "oauth_token": TOKEN,
    }
    pairs = [*oauth.items(), *parse_qsl(query, keep_blank_values=True), *form]
    normalized = "&".join(f"{name}={value}" for name, value in sorted((encode(n), encode(v)) for n, v in pairs))
    base = "&".join(encode(part) for part in (method, address, normalized))
    key = f"{encode(CLIENT_SECRET)}&{encode(TOKEN_SECRET)}"
    digest = hmac.digest(key.encode(), base.encode(), "{{hash}}")
    oauth["oauth_signature"] = base64.b64encode(digest).decode()
    return "OAuth " + ", ".join(f'{name}="{encode(value)}"' for name, value in oauth.items())


url = {{url}}
with urlopen(Request(url, headers={"Authorization": authorization("GET", url)})) as answer:
    print(answer.read().decode())
