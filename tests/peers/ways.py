"""The ways in beside OAuth, written out: headers for Basic and Bearer, and a Digest client by RFC 7616."""

import base64
import hashlib
import os
import re

import wire

ALGORITHMS = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


def basic(username, password):
    return ("Authorization", "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode())


def bearer(token):
    return ("Authorization", f"Bearer {token}")


def client_key(client):
    return ("X-Client-Key", client.key)


def fields(challenge):
    """The parameters of a Digest challenge, unquoted."""
    found = re.findall(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))', challenge.partition(" ")[2])
    return {name.lower(): quoted or token for name, quoted, token in found}


def challenges(answer):
    """The Digest challenges of a 401 by algorithm."""
    lines = [line for line in answer.all("WWW-Authenticate") if line.startswith("Digest ")]
    return {fields(line)["algorithm"]: fields(line) for line in lines}


class Digest:
    """One nonce of the server's, used for as many requests as the test likes.

    `changes` replace fields of the header after the response was computed; with `None` a field is left out.
    """

    def __init__(self, server, username, password, algorithm="SHA-256", session=False, qop="auth", headers=()):
        self.server, self.username, self.password = server, username, password
        self.algorithm, self.session, self.qop = algorithm, session, qop
        self.headers = list(headers)
        self.cnonce = os.urandom(8).hex()
        self.count = 0
        self.challenge = self.fresh()

    def fresh(self):
        """A new challenge, from a request without a credential."""
        answer = wire.send(self.server, "GET", "/v2/me", self.headers)
        assert answer.status == 401
        return challenges(answer)[self.algorithm]

    def hash(self, *parts):
        made = ALGORITHMS[self.algorithm]()
        made.update(":".join(parts).encode())
        return made.hexdigest()

    def response(self, verb, uri, nc, body, nonce):
        secret = self.hash(self.username, self.challenge["realm"], self.password)
        if self.session:
            secret = self.hash(secret, nonce, self.cnonce)
        request = [verb, uri]
        if self.qop == "auth-int":
            request.append(ALGORITHMS[self.algorithm](body).hexdigest())
        return self.hash(secret, nonce, nc, self.cnonce, self.qop, self.hash(*request))

    def header(self, verb, uri, count=None, body=b"", nonce=None, changes=()):
        self.count += 1
        nc = f"{self.count if count is None else count:08x}"
        nonce = nonce or self.challenge["nonce"]
        values = {
            "username": f'"{self.username}"',
            "realm": f'"{self.challenge["realm"]}"',
            "nonce": f'"{nonce}"',
            "uri": f'"{uri}"',
            "response": f'"{self.response(verb, uri, nc, body, nonce)}"',
            "algorithm": self.algorithm + ("-sess" if self.session else ""),
            "qop": self.qop,
            "nc": nc,
            "cnonce": f'"{self.cnonce}"',
        }
        if "opaque" in self.challenge:
            values["opaque"] = f'"{self.challenge["opaque"]}"'
        values |= dict(changes)
        return "Digest " + ", ".join(f"{name}={value}" for name, value in values.items() if value is not None)

    def send(self, verb="GET", target="/v2/me", body=None, sent_target=None, sent_body=None, **more):
        """Sign for `target` and `body`; send `sent_target` and `sent_body` where given."""
        value = self.header(verb, target, body=body or b"", **more)
        return wire.send(
            self.server,
            verb,
            sent_target or target,
            [("Authorization", value), *self.headers],
            body if sent_body is None else sent_body,
        )
