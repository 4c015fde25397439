"""Fixtures: one shared server for each configuration that the tests need, and the people in it.

With pytest-xdist every worker has its own servers, so tests of different workers never meet.
"""

import types

import pytest
from browser import Browser
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa as rsa_keys
from dance import dance
from fixtures import built_binary, new_server  # noqa: F401

# The tests fail on purpose all the time; only the tests of the throttle want to be throttled.
PATIENT = "[throttle]\nfailures = 100000\n"


@pytest.fixture(scope="session")
def server(new_server):
    """The shared server with the default configuration, and a throttle that lets tests fail."""
    started = new_server(PATIENT, "shared")
    yield started
    started.stop()


def rsa_pair(folder):
    """An RSA key of 2048 bits as two PEM files: `public` (SPKI) and `private` (PKCS#8)."""
    key = rsa_keys.generate_private_key(public_exponent=65537, key_size=2048)
    made = types.SimpleNamespace(public=folder / "public.pem", private=folder / "private.pem")
    made.private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    made.public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return made


@pytest.fixture(scope="session")
def rsa(tmp_path_factory):
    """The RSA key that clients register."""
    return rsa_pair(tmp_path_factory.mktemp("rsa"))


@pytest.fixture(scope="session")
def developer(server):
    """Owns the clients of the shared server."""
    return server.account("developer@example.com")


@pytest.fixture(scope="session")
def holder(server):
    """The account holder who lets the developer's apps in."""
    return server.account("holder@example.com", company="acme")


@pytest.fixture(scope="session")
def browser(holder):
    return Browser(holder)


@pytest.fixture(scope="session")
def client(server, developer, rsa):
    """A client of the shared server with a secret and an RSA key, no scopes."""
    return server.client(developer, rsa=rsa)


@pytest.fixture(scope="session")
def token(server, client, browser):
    """An access token of the holder for `client`."""
    return dance(server, client, browser)


@pytest.fixture(scope="session")
def client_oob(server, developer, rsa):
    """A client without a callback of its own."""
    return server.client(developer, callback="oob", rsa=rsa)


@pytest.fixture(scope="session")
def other_rsa(tmp_path_factory):
    """An RSA key that no client has registered."""
    return rsa_pair(tmp_path_factory.mktemp("other-rsa"))
