"""What the two small providers share: their clients, their one account, and a bare consent page.

The page is no model of one: it asks nobody to log in and has no hidden field. What the suite learns here is about the libraries.
"""

import html
import pathlib

TARGETS = pathlib.Path(__file__).resolve().parent.parent / "targets"
ACCOUNT = "ada@example.com"


class Client:
    """A registered client."""

    def __init__(self, key, secret, callback, rsa_public_key=None):
        self.key, self.secret, self.callback, self.rsa_public_key = key, secret, callback, rsa_public_key


CLIENTS = {
    client.key: client
    for client in [
        Client(
            "mainClientOfTheSuite1234",
            "main&secret/+% of the suite",
            "https://client.example.com/ready?app=1",
            (TARGETS / "test-client-public.pem").read_text(),
        ),
        Client("otherClientOfTheSuite123", "otherSecretOfTheSuite", "https://other.example.org/back"),
        Client("oobClientOfTheSuite12345", "oobSecretOfTheSuite", None),
    ]
}


def callback_is_registered(client, callback):
    """Whether a client may name this callback; one without a callback may say `oob` only."""
    return callback == "oob" or (client is not None and client.callback == callback)


def consent_page(token):
    """The page that asks."""
    return (
        "<!doctype html><html lang=en><title>Allow?</title><h1>Allow?</h1><form method=post action=/authorize>"
        f'<input type=hidden name=oauth_token value="{html.escape(token)}">'
        "<button name=decision value=allow>Allow</button><button name=decision value=deny>Deny</button></form>"
    )


def verifier_page(verifier):
    """The page that shows a verifier to somebody whose client has no callback."""
    return f"<!doctype html><html lang=en><title>Your code</title><h1>Your code</h1><p id=verifier>{html.escape(verifier)}</p>"
