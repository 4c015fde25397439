"""JWTs: checked by PyJWT through the JWKS, and the attacks of RFC 8725."""

import base64
import hashlib
import hmac
import json
import time

import jwt as pyjwt
import pytest
import wire
from conftest import PATIENT
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from harness import eventually
from ways import basic, bearer, client_key


@pytest.fixture(scope="module")
def person(server):
    return server.account(company="acme")


@pytest.fixture(scope="module")
def key(server, person):
    return server.key(person)


def token_for(server, key):
    answer = wire.send(server, "POST", "/api/auth/jwt", [basic(key.public, key.private)], b"")
    assert answer.status == 200, answer.body
    return answer.json["token"]


@pytest.fixture(scope="module")
def good(server, key):
    return token_for(server, key)


def test_credentials_without_a_space_are_not_repeated_but_the_space_is_named(server, key):
    name, value = basic(key.public, key.private)
    answer = wire.send(server, "POST", "/api/auth/jwt", [(name, value.replace(" ", ""))], b"")
    assert answer.status == 401 and 'a space between "Basic"' in answer.json["message"] + (answer.json["additional"] or "")
    assert value[6:20] not in answer.body.decode()


def me(server, token, *headers):
    return wire.send(server, "GET", "/v2/me", [bearer(token), *headers])


def unpadded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(text):
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def parts(token):
    head, claims, _ = token.split(".")
    return part(head), part(claims)


def assembled(head, claims, sign):
    text = ".".join(unpadded(json.dumps(piece).encode()) for piece in (head, claims))
    return f"{text}.{unpadded(sign(text.encode()))}"


def jwks(server):
    return wire.send(server, "GET", "/.well-known/jwks.json").json


# --- the good ones ---


def test_an_api_key_gets_a_token_that_passes(server, good, person):
    answer = me(server, good)
    assert answer.status == 200
    assert answer.json["credential"] == "jwt"
    assert answer.json["account"]["id"] == person.id


def test_the_answer_says_what_kind_of_token_it_is_and_for_how_long(server, key):
    answer = wire.send(server, "POST", "/api/auth/jwt", [basic(key.public, key.private)], b"").json
    assert sorted(answer) == ["expires_in", "token", "token_type"]
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)


def test_pyjwt_verifies_the_token_through_the_jwks(server, good, person):
    found = pyjwt.PyJWKClient(f"{server.base}/.well-known/jwks.json").get_signing_key_from_jwt(good)
    unverified = pyjwt.decode(good, options={"verify_signature": False})
    claims = pyjwt.decode(good, found.key, algorithms=["ES256"], audience=unverified["aud"], issuer=unverified["iss"])
    assert claims["sub"] == person.id
    assert claims["username"] == person.username
    assert claims["company"] == "acme"
    assert claims["exp"] - claims["iat"] == 3600
    assert abs(claims["iat"] - time.time()) < 300


def test_the_jwks_has_only_public_parts(server):
    for found in jwks(server)["keys"]:
        assert (found["kty"], found["crv"], found["alg"], found["use"]) == ("EC", "P-256", "ES256", "sig")
        assert "d" not in found


@pytest.mark.parametrize("kind", ["password", "key"])
def test_a_token_is_given_for_json_too(kind, server, person, key):
    own = server.client(person)
    names = (person.username, person.password) if kind == "password" else (key.public, key.private)
    body = json.dumps({"username": names[0], "password": names[1]})
    headers = [("Content-Type", "application/json"), client_key(own)]
    answer = wire.send(server, "POST", "/api/auth/jwt", headers, body)
    assert answer.status == 200, answer.body
    assert me(server, answer.json["token"], client_key(own)).status == 200


def test_a_passwords_token_needs_the_client_key_in_the_token_request_or_beside_the_token(server, person):
    own = server.client(person)
    password = basic(person.username, person.password)
    without = wire.send(server, "POST", "/api/auth/jwt", [password], b"")
    if without.status == 200:
        assert me(server, without.json["token"]).status == 400
        assert me(server, without.json["token"], client_key(own)).status == 200
    else:
        assert without.status == 400
    given = wire.send(server, "POST", "/api/auth/jwt", [password, client_key(own)], b"").json["token"]
    assert parts(given)[1]["client"] == own.key
    assert me(server, given).status == 200


def test_wrong_credentials_get_no_token(server, person, key):
    own = server.client(person)
    for credential in (basic(person.username, "wrong"), basic(key.public, "wrong"), basic("nobody", "x")):
        assert wire.send(server, "POST", "/api/auth/jwt", [credential, client_key(own)], b"").status == 401


def test_a_token_request_has_one_credential(server, person, key):
    asked = json.dumps({"username": key.public, "password": key.private})
    header = basic(key.public, key.private)
    for target, headers, body in [
        ("/api/auth/jwt", [header], asked),
        ("/api/auth/jwt?auth=session", [header], b""),
        ("/api/auth/jwt?auth=session", [], asked),
        ("/api/auth/jwt?oauth_consumer_key=a&oauth_signature=b", [], asked),
        ("/api/auth/jwt", [header, header], b""),
    ]:
        answer = wire.send(server, "POST", target, headers, body)
        assert answer.status == 400 and answer.json["code"] == "several_credentials", (target, headers, answer.body)
    # Some clients send an empty object with every POST.
    assert wire.send(server, "POST", "/api/auth/jwt", [header], b"{}").status == 200
    assert wire.send(server, "POST", "/api/auth/jwt", [], b"{}").status == 400


def test_a_token_is_no_way_to_another_token(server, good):
    assert wire.send(server, "POST", "/api/auth/jwt", [bearer(good)], b"").status in (400, 401)


# --- the bad ones ---


def test_alg_none_is_refused(server, good):
    head, claims = parts(good)
    for name in ("none", "None", "NONE", "nOnE", ""):
        for signature in (b"", b"x" * 64):
            assert me(server, assembled(head | {"alg": name}, claims, lambda _: signature)).status == 401  # noqa: B023
    assert me(server, good.rpartition(".")[0] + ".").status == 401
    assert me(server, good.rpartition(".")[0]).status in (400, 401)


@pytest.mark.parametrize(("name", "digest"), [("HS256", hashlib.sha256), ("HS384", hashlib.sha384), ("HS512", hashlib.sha512)])
def test_a_mac_keyed_with_the_public_key_is_refused(name, digest, server, good):
    head, claims = parts(good)
    found = jwks(server)["keys"][0]
    public = pyjwt.PyJWK(found).key
    point = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    texts = [
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        point,
        json.dumps(found).encode(),
        found["x"].encode(),
        b"",
    ]
    for secret in texts:
        forged = assembled(head | {"alg": name}, claims, lambda text: hmac.new(secret, text, digest).digest())  # noqa: B023
        assert me(server, forged).status == 401


def forged_with(own, head, claims):
    return pyjwt.encode(claims, own, algorithm="ES256", headers=head)


@pytest.fixture(scope="module")
def own_key():
    return ec.generate_private_key(ec.SECP256R1())


def test_another_key_under_the_servers_kid_is_refused(server, good, own_key):
    head, claims = parts(good)
    assert me(server, forged_with(own_key, head, claims)).status == 401


@pytest.mark.parametrize(
    "kid", ["", "0", "../../../../dev/null", "/dev/null", "' OR 1=1 --", "http://127.0.0.1:1/jwks.json", "x" * 10_000, "\u0000"]
)
def test_kid_tricks_are_refused(kid, server, good, own_key):
    head, claims = parts(good)
    assert me(server, forged_with(own_key, head | {"kid": kid}, claims)).status == 401


def test_a_key_brought_along_in_the_header_is_refused(server, good, own_key):
    head, claims = parts(good)
    public = json.loads(pyjwt.algorithms.ECAlgorithm.to_jwk(own_key.public_key()))
    tricks = [
        {"jwk": public},
        {"jku": "http://127.0.0.1:1/jwks.json"},
        {"x5u": "http://127.0.0.1:1/cert.pem"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
        {"b64": False, "crit": ["b64"]},
    ]
    for trick in tricks:
        assert me(server, forged_with(own_key, head | trick, claims)).status == 401
        without_kid = {name: value for name, value in head.items() if name != "kid"}
        assert me(server, forged_with(own_key, without_kid | trick, claims)).status == 401


@pytest.mark.parametrize(
    "change",
    [
        {"sub": "somebody"},
        {"username": "admin"},
        {"scope": "manage:write"},
        {"company": "other"},
        {"exp": 9999999999},
        {"aud": "other"},
        {"iss": "other"},
        {"client": "x"},
    ],
    ids=str,
)
def test_a_changed_claim_is_refused(change, server, good):
    head, claims, signature = good.split(".")
    changed = unpadded(json.dumps(part(claims) | change).encode())
    assert me(server, f"{head}.{changed}.{signature}").status == 401


def test_a_changed_signature_is_refused(server, good):
    text, _, signature = good.rpartition(".")
    for place in range(0, len(signature) - 2, 9):
        other = "A" if signature[place] != "A" else "B"
        assert me(server, f"{text}.{signature[:place]}{other}{signature[place + 1 :]}").status == 401
    for bad in (signature + "AAAA", signature[:-4], "A" * len(signature), ""):
        assert me(server, f"{text}.{bad}").status in (400, 401)


def test_the_same_token_in_another_encoding_is_refused(server, good):
    for changed in (good + "=", good + "==", good.replace(".", ". "), f"{good}.x"):
        assert me(server, changed).status in (400, 401)


def test_a_token_of_another_server_is_refused(server, new_server):
    other = new_server(PATIENT, "jwt-other")
    foreign = token_for(other, other.key(other.account()))
    assert me(other, foreign).status == 200
    assert me(server, foreign).status == 401
    other.stop()


def test_a_token_for_another_audience_is_refused(new_server):
    """The same database and keys under another public address: the same signature, another audience."""
    server = new_server(PATIENT, "jwt-audience", public_url="http://one.example.com")
    key = server.key(server.account())
    token = token_for(server, key)
    assert me(server, token).status == 200
    server.terminate()
    server.public_url = "http://two.example.com"
    server.start()
    assert me(server, token).status == 401
    assert me(server, token_for(server, key)).status == 200
    server.stop()


def test_a_token_is_good_after_a_restart(new_server):
    server = new_server(PATIENT, "jwt-restart")
    token = token_for(server, server.key(server.account()))
    server.kill()
    server.start()
    assert me(server, token).status == 200
    server.stop()


def test_a_token_ends_with_its_lifetime(new_server):
    server = new_server(PATIENT + "[jwt]\nttl_seconds = 1\n", "jwt-short")
    token = token_for(server, server.key(server.account()))
    assert eventually(lambda: me(server, token).status == 401, 30)
    server.stop()


@pytest.mark.parametrize("change", ["disable", "lock", "delete"])
def test_a_disabled_locked_or_deleted_accounts_tokens_stop(change, server):
    account = server.account()
    token = token_for(server, server.key(account))
    assert me(server, token).status == 200
    server.command("account", change, account.username)
    assert eventually(lambda: me(server, token).status in (401, 403))


def test_a_regenerated_keys_and_a_changed_passwords_tokens_stop(server):
    account = server.account()
    own, key = server.client(account), server.key(account)
    of_key = token_for(server, key)
    password = [basic(account.username, account.password), client_key(own)]
    of_password = wire.send(server, "POST", "/api/auth/jwt", password, b"").json["token"]
    assert (me(server, of_key).status, me(server, of_password).status) == (200, 200)
    server.command("key", "regenerate", key.public)
    assert eventually(lambda: me(server, of_key).status == 401)
    assert me(server, of_password).status == 200
    server.command("account", "set-password", account.username, "--password-stdin", stdin="another good one")
    assert eventually(lambda: me(server, of_password).status == 401)


@pytest.mark.parametrize("change", ["key-deleted", "client-disabled", "client-deleted", "scopes"])
def test_a_token_is_worth_no_more_than_what_it_was_made_with_is_now(change, server):
    account = server.account(scopes=["account:read", "report:write"])
    own, key = server.client(account, scopes=["account:read", "report:write"]), server.key(account)
    of_key = token_for(server, key)
    of_password = wire.send(server, "POST", "/api/auth/jwt", [basic(account.username, account.password), client_key(own)], b"")
    of_password = of_password.json["token"]
    if change == "key-deleted":
        server.command("key", "delete", key.public)
        assert eventually(lambda: me(server, of_key).status == 401)
    elif change == "scopes":
        server.command("account", "update", account.username, "--scope", "account:read")
        for token in (of_key, of_password):
            assert eventually(lambda: me(server, token).json["scopes"] == ["account:read"])  # noqa: B023
        server.command("account", "update", account.username, "--scope", "account:read", "--scope", "other:read")
        assert eventually(lambda: server.json("account", "show", account.username)["scopes"] == ["account:read", "other:read"])
        assert me(server, of_key).json["scopes"] == ["account:read"]
    else:
        server.command("client", change.removeprefix("client-").rstrip("d"), own.key)
        assert eventually(lambda: me(server, of_password).status == 403)
        assert me(server, of_key).status == 200


def test_an_assertion_for_the_upstream_is_never_accepted_as_a_token(new_server):
    config = PATIENT + '[gateway]\nassertion = true\n[server]\ntrusted_proxies = ["127.0.0.1/32"]\n'
    server = new_server(config, "jwt-assertion")
    key = server.key(server.account())
    forwarded = [
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", server.authority),
        ("X-Forwarded-Uri", "/v2/me"),
    ]
    answer = wire.send(server, "GET", "/authz/forward", [basic(key.public, key.private), *forwarded])
    assert answer.status == 200
    assertion = answer.one("X-Auth-Assertion")
    assert assertion.count(".") == 2
    assert me(server, assertion).status == 401
    assert wire.send(server, "GET", "/v2/me", [("X-Auth-Assertion", assertion)]).status == 401
    server.stop()


def test_without_a_public_url_a_token_is_good_at_every_node(new_server):
    one = new_server(PATIENT, "jwt-one")
    other = new_server(PATIENT, "jwt-other")
    other.stop()
    other.database, other.environment = one.database, one.environment
    one.stop()
    other.start()
    token = token_for(other, other.key(other.account()))
    other.stop()
    one.start()
    assert me(one, token).status == 200
    one.stop()
