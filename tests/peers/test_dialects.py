"""The configurations of docs/profiles/, each with a client that was written for the API that it is named after.

A server runs with the profile as its whole configuration; the tests add by environment only what no profile can hold:
the address of the API behind it, a certificate, and a throttle that lets tests fail.
"""

import base64
import datetime
import ipaddress
import json

import jwt as pyjwt
import pytest
import requests
import wire
from browser import Browser
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from harness import REPOSITORY, Server
from programs import SECONDS, converse, node_script, not_run, run
from upstream import Upstream
from ways import basic, bearer, client_key

PROFILES = REPOSITORY / "docs" / "profiles"
TERMS = {"COUNTERSIGN_THROTTLE__FAILURES": "100000"}


@pytest.fixture(scope="module")
def upstream():
    started = Upstream()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost, signed by its own key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


def profile(name):
    path = PROFILES / f"{name}.toml"
    if not path.exists():
        not_run(f"docs/profiles/{name}.toml is not there yet")
    return path.read_text()


@pytest.fixture(scope="module")
def appfigures(new_server, upstream):
    started = new_server(
        profile("appfigures"), "appfigures", environment=TERMS | {"COUNTERSIGN_UPSTREAM__URL": upstream.url}
    )
    yield started
    started.stop()


def test_passport_appfigures_does_the_dance_and_reads_the_profile(appfigures):
    server = appfigures
    holder = server.account("fig@example.com", scopes=["account:read"])
    client = server.client(server.account(), callback="http://127.0.0.1/callback")
    script = node_script("passport.js", "passport-appfigures")
    arguments = [server.base, client.key, client.secret, client.callback]
    said = json.loads(converse(script, arguments, Browser(holder).verifier))
    assert said["token"] is True
    assert said["profile"]["provider"] == "appfigures"
    assert said["profile"]["email"] == "fig@example.com"
    assert said["profile"]["id"] == str(said["profile"]["_json"]["user"]["id"])


def test_appfigures_basic_needs_the_own_client_key(appfigures):
    server = appfigures
    account = server.account("own@example.com")
    own, foreign = server.client(account), server.client(server.account())
    password = basic(account.username, account.password)
    assert wire.send(server, "GET", "/v2/", [password, client_key(own)]).status == 200
    assert wire.send(server, "GET", f"/v2/?client_key={own.key}", [password]).status == 200
    missing = wire.send(server, "GET", "/v2/", [password])
    assert missing.status == 400
    assert missing.json["message"].startswith("Must give an app key via X-Client-Key header or client_key")
    assert wire.send(server, "GET", "/v2/", [password, client_key(foreign)]).status == 403


@pytest.fixture(scope="module")
def itscope(new_server, upstream):
    started = new_server(profile("itscope"), "itscope", environment=TERMS | {"COUNTERSIGN_UPSTREAM__URL": upstream.url})
    yield started
    started.stop()


def test_itscope_takes_account_id_and_api_key_and_wants_a_user_agent(itscope):
    server = itscope
    account = server.account()
    key = server.key(account)
    agent = ("User-Agent", "MyFrame-My-Application-4.0927")
    path = "/2.0/products/exports/1"
    answer = wire.send(server, "GET", path, [basic(account.id, key.private), agent])
    assert answer.status == 200, answer.body
    assert answer.json["target"] == path
    assert not [name for name, _ in answer.json["headers"] if name == "authorization"]
    assert wire.send(server, "GET", path, [basic(account.id, key.private)]).status == 400
    assert wire.send(server, "GET", path, [basic(account.id, "wrong"), agent]).status == 401


def test_itscope_links_with_auth_itscope_lead_to_the_login_page(itscope):
    agent = ("User-Agent", "Mozilla/5.0")
    answer = wire.send(itscope, "GET", "/2.0/products/exports/1?auth=itscope", [agent])
    assert answer.status == 302
    assert "/login" in answer.one("Location")


@pytest.fixture(scope="module")
def iterop(new_server, upstream):
    started = new_server(profile("iterop"), "iterop", environment=TERMS | {"COUNTERSIGN_UPSTREAM__URL": upstream.url})
    yield started
    started.stop()


def test_iterop_takes_access_key_and_secret_key_and_gives_a_jwt_that_its_v2_refuses(iterop):
    server = iterop
    key = server.key(server.account())
    made = wire.send(server, "POST", "/api/auth/jwt", [basic(key.public, key.private)], b"")
    assert made.status == 200, made.body
    token = made.json["token"]
    found = pyjwt.PyJWKClient(f"{server.base}/.well-known/jwks.json").get_signing_key_from_jwt(token)
    assert pyjwt.decode(token, found.key, algorithms=["ES256"], options={"verify_aud": False})["sub"]
    assert wire.send(server, "GET", "/v2/me", [basic(key.public, key.private)]).status == 200
    assert wire.send(server, "GET", "/v2/me", [bearer(token)]).status == 401


@pytest.fixture(scope="module")
def connectwise(tmp_path_factory, upstream, certificate):
    """With TLS, which the dialect requires; so the readiness is asked over TLS too."""
    environment = TERMS | {
        "COUNTERSIGN_UPSTREAM__URL": upstream.url,
        "COUNTERSIGN_TLS__CERTIFICATE": str(certificate / "cert.pem"),
        "COUNTERSIGN_TLS__PRIVATE_KEY": str(certificate / "key.pem"),
    }

    class Secure(Server):
        def is_ready(self):
            try:
                return self.ask("GET", "/health/ready").status_code == 200
            except requests.RequestException:
                return False

        def ask(self, verb, target, **more):
            url = f"https://localhost:{self.port}{target}"
            return requests.request(verb, url, verify=str(certificate / "cert.pem"), timeout=SECONDS, **more)

    server = Secure(tmp_path_factory.mktemp("connectwise"), profile("connectwise"), environment)
    yield server.start()
    server.stop()


@pytest.fixture(scope="module")
def member(connectwise):
    account = connectwise.account("jdoe", company="acme", role="member")
    return account, connectwise.key(account), connectwise.client(account)


def test_connectwise_rest_gets_in(connectwise, member, certificate):
    _, key, client = member
    script = node_script("connectwise.js", "connectwise-rest")
    program, file = script
    command = ["env", f"NODE_EXTRA_CA_CERTS={certificate / 'cert.pem'}", program, file]
    said = json.loads(run(command, f"localhost:{connectwise.port}", "acme", key.public, key.private, client.key))
    assert said["received"]["target"].startswith("/v4_6_release/apis/3.0/system/members?")
    names = dict(said["received"]["headers"])
    assert "authorization" not in names
    assert names["x-auth-account"] == "jdoe"
    assert said["wrong"] == 401


def test_pyconnectwise_gets_in(connectwise, member, certificate, monkeypatch):
    from pyconnectwise import ConnectWiseManageAPIClient
    from pyconnectwise.exceptions import AuthenticationFailedException

    _, key, client = member
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "cert.pem"))

    def api(private):
        host = f"localhost:{connectwise.port}"
        made = ConnectWiseManageAPIClient("acme", host, client.key, key.public, private, codebase="v4_6_release")
        made.codebase = "v4_6_release"  # its constructor forgets the one that it was given
        return made

    url = f"{api(key.private)._get_url()}/system/info"
    answer = api(key.private)._make_request("GET", url)
    assert answer.status_code == 200
    assert answer.json()["target"] == "/v4_6_release/apis/3.0/system/info"
    with pytest.raises(AuthenticationFailedException):
        api("wrong")._make_request("GET", url)


def test_connectwise_over_plain_http_is_denied_with_the_dialects_words(new_server, upstream):
    server = new_server(
        profile("connectwise"), "connectwise-plain", environment=TERMS | {"COUNTERSIGN_UPSTREAM__URL": upstream.url}
    )
    answer = wire.send(server, "GET", "/v4_6_release/apis/3.0/system/info", [("Authorization", "Basic YTpi")])
    assert answer.status == 403
    assert (answer.json["code"], answer.json["message"], answer.json["errors"]) == ("Security", "SSL is required.", None)
    server.stop()


def test_connectwise_integrators_make_keys_for_members(connectwise, member):
    integrator = connectwise.account("robot", company="acme", role="integrator", scopes=["manage:write"])
    client = connectwise.client(integrator)
    words = base64.b64encode(f"acme+robot:{integrator.password}".encode()).decode()
    headers = {"Authorization": f"Basic {words}", "x-cw-usertype": "integrator", "clientId": client.key}
    path = "/v4_6_release/apis/3.0/system/members/jdoe/tokens"
    made = connectwise.ask("POST", path, headers=headers, json={"memberIdentifier": "jdoe"})
    assert made.status_code == 201, made.text
    said = made.json()
    assert {"publicKey", "privateKey", "expiration"} <= set(said)
    words = base64.b64encode(f"acme+{said['publicKey']}:{said['privateKey']}".encode()).decode()
    used = {"Authorization": f"Basic {words}", "clientId": member[2].key}
    answer = connectwise.ask("GET", "/v4_6_release/apis/3.0/system/info/", headers=used)
    assert answer.status_code == 200, answer.text
    names = dict(answer.json()["headers"])
    assert names["x-auth-account"] == "jdoe"
    assert names["x-auth-impersonated-by"] == "robot"
