"""Digest by RFC 7616 with a client of our own, so that it can also be wrong on purpose."""

import hashlib

import pytest
import wire
from conftest import PATIENT
from harness import eventually
from ways import Digest, basic, challenges, client_key


@pytest.fixture(scope="module")
def person(server):
    return server.account()


@pytest.fixture(scope="module")
def headers(server, person):
    return [client_key(server.client(person))]


@pytest.fixture
def digest(server, person, headers):
    return Digest(server, person.username, person.password, headers=headers)


ALL = [(algorithm, session, qop) for algorithm in ("SHA-256", "MD5") for session in (False, True) for qop in ("auth", "auth-int")]


@pytest.mark.parametrize(("algorithm", "session", "qop"), ALL)
def test_a_password_passes_with_every_algorithm_and_quality(algorithm, session, qop, server, person, headers):
    digest = Digest(server, person.username, person.password, algorithm, session, qop, headers)
    for body in (None, b"", b"a=1", bytes(range(256))):
        answer = digest.send("POST", "/v2/me?a=1&b=%20", body)
        assert answer.status == 200, answer.body
        assert answer.json["credential"] == "digest"


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
def test_an_api_key_passes_without_a_client_key(algorithm, server, person):
    key = server.key(person)
    answer = Digest(server, key.public, key.private, algorithm).send()
    assert answer.status == 200, answer.body


def test_the_username_may_come_hashed(server, person, headers):
    digest = Digest(server, person.username, person.password, headers=headers)
    assert digest.challenge["userhash"] == "true"
    hashed = hashlib.sha256(f"{person.username}:{digest.challenge['realm']}".encode()).hexdigest()
    answer = digest.send(changes={"username": f'"{hashed}"', "userhash": "true"})
    assert answer.status == 200, answer.body


def test_a_hidden_name_that_was_asked_for_too_early_is_known_as_soon_as_it_has_a_password(server):
    late = server.account(api_only=True)
    digest = Digest(server, late.username, "a late password", headers=[client_key(server.client(late))])
    hashed = hashlib.sha256(f"{late.username}:{digest.challenge['realm']}".encode()).hexdigest()
    send = lambda: digest.send(changes={"username": f'"{hashed}"', "userhash": "true"}).status  # noqa: E731
    assert send() == 401
    server.command("account", "set-password", late.username, "--password-stdin", stdin="a late password")
    assert eventually(lambda: send() == 200, 5)


def test_a_wrong_password_is_refused(server, person, headers):
    answer = Digest(server, person.username, "wrong", headers=headers).send()
    assert answer.status == 401
    assert "stale=true" not in "".join(answer.all("WWW-Authenticate"))


def test_a_password_by_digest_needs_the_client_key(server, person):
    assert Digest(server, person.username, person.password).send().status == 400


def test_counts_may_arrive_out_of_order_but_each_only_once(digest):
    for count in (5, 2, 9, 1, 30, 3):
        assert digest.send(count=count).status == 200, count
    for count in (5, 1, 30):
        assert digest.send(count=count).status == 401, count
    assert digest.send(count=4).status == 200


def test_a_replayed_request_is_refused(digest, server, headers):
    value = digest.header("GET", "/v2/me")
    assert wire.send(server, "GET", "/v2/me", [("Authorization", value), *headers]).status == 200
    assert wire.send(server, "GET", "/v2/me", [("Authorization", value), *headers]).status == 401


@pytest.mark.parametrize("count", [0, 2**32 - 1])
def test_an_extreme_count_does_no_harm(count, digest):
    assert digest.send(count=count).status in (200, 401)
    assert digest.send(count=1).status in (200, 401)


@pytest.mark.parametrize("nonce", ["forged", "A" * 64, "", "0" * 200, "\u00e9"])
def test_a_forged_nonce_is_refused(nonce, digest):
    changes = {} if nonce else {"nonce": '""'}
    assert digest.send(nonce=nonce or None, changes=changes).status in (400, 401)


def test_a_nonce_with_one_character_changed_is_refused(digest):
    good = digest.challenge["nonce"]
    for place in range(0, len(good), 5):
        other = "A" if good[place] != "A" else "B"
        changed = good[:place] + other + good[place + 1 :]
        assert digest.send(nonce=changed).status == 401


def test_a_nonce_of_another_server_is_refused(digest, new_server):
    other = new_server(PATIENT, "digest-other")
    account = other.account()
    own = [client_key(other.client(account))]
    theirs = Digest(other, account.username, account.password, headers=own)
    assert theirs.send().status == 200
    assert theirs.send(nonce=digest.challenge["nonce"]).status == 401
    other.stop()


@pytest.mark.parametrize("sent", ["/v2/me?a=2", "/v2/me", "/v2", "/v2/me?a=1&b=2"])
def test_a_uri_that_is_not_the_requests_is_refused(sent, digest):
    assert digest.send(target="/v2/me?a=1", sent_target=sent).status in (400, 401)


def test_another_method_than_the_signed_one_is_refused(digest, server, headers):
    value = digest.header("GET", "/v2/me")
    assert wire.send(server, "POST", "/v2/me", [("Authorization", value), *headers]).status == 401


def test_a_body_changed_on_the_way_is_refused_with_auth_int(server, person, headers):
    digest = Digest(server, person.username, person.password, qop="auth-int", headers=headers)
    assert digest.send("POST", body=b"a=1", sent_body=b"a=2").status == 401
    assert digest.send("POST", body=b"a=1").status == 200


def test_auth_int_covers_the_body_where_the_name_is_in_latin_1_too(server):
    person = server.account("größe@example.com")
    digest = Digest(server, person.username, person.password, qop="auth-int", headers=[client_key(server.client(person))])

    def sent(body):
        header = ("Authorization", digest.header("POST", "/v2/me", body=b"a"))
        made = wire.request_bytes("POST", "/v2/me", server.authority, [header, *digest.headers], body)
        latin1 = made.replace(person.username.encode(), person.username.encode("latin-1"))
        return wire.exchange((server.host, server.port), latin1, "POST").status

    assert (sent(b"a"), sent(b"b")) == (200, 401)


def test_auth_int_in_capitals_is_auth_int(server, person, headers):
    digest = Digest(server, person.username, person.password, qop="auth-int", headers=headers)
    assert digest.send("POST", body=b"a=1", changes={"qop": "AUTH-INT"}).status == 401, "the text sent is part of the hash"

    def in_capitals(verb, uri, nc, body, nonce):
        secret = digest.hash(digest.username, digest.challenge["realm"], digest.password)
        request = digest.hash(verb, uri, digest.hash(body.decode()))
        return digest.hash(secret, nonce, nc, digest.cnonce, "AUTH-INT", request)

    digest.response = in_capitals
    assert digest.send("POST", body=b"a=1", changes={"qop": "AUTH-INT"}).status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"qop": "auth-int"},
        {"cnonce": '"other"'},
        {"nc": "00000fff"},
        {"algorithm": "MD5"},
        {"algorithm": "SHA-512-256"},
        {"response": '""'},
        {"response": '"' + "0" * 64 + '"'},
        {"username": '"somebody"'},
        {"qop": None, "nc": None, "cnonce": None},
    ],
    ids=str,
)
def test_a_header_changed_after_it_was_made_is_refused(changes, digest):
    assert digest.send(changes=changes).status in (400, 401)


@pytest.mark.parametrize("name", ["username", "realm", "nonce", "uri", "response", "nc", "cnonce"])
def test_a_missing_field_is_refused(name, digest):
    assert digest.send(changes={name: None}).status in (400, 401)


def test_a_nonce_from_before_a_restart_is_stale_or_goes_on_and_a_fresh_one_passes(new_server):
    server = new_server(PATIENT, "digest-restart")
    account = server.account()
    own = [client_key(server.client(account))]
    digest = Digest(server, account.username, account.password, headers=own)
    assert digest.send().status == 200
    server.terminate()
    server.start()
    answer = digest.send()
    if server.database.startswith("sqlite:"):
        assert answer.status == 401
        assert all(found.get("stale", "").lower() == "true" for found in challenges(answer).values())
        digest.challenge = challenges(answer)["SHA-256"]
        assert digest.send().status == 200
    else:
        # Counts are kept where nonces are: the next one is good, whoever was restarted.
        assert answer.status == 200
    server.stop()


def test_a_new_realm_is_said_at_start_to_make_the_stored_hashes_useless(new_server):
    server = new_server(PATIENT, "digest-realm")
    account = server.account()
    own = [client_key(server.client(account))]
    said = lambda: "http_auth.realm is new" in server.log_text()  # noqa: E731
    assert not said()
    server.terminate()
    server.config.write_text(PATIENT + '[http_auth]\nrealm = "Another"\n')
    server.start()
    assert said()
    digest = Digest(server, account.username, account.password, headers=own)
    assert digest.challenge["realm"] == "Another"
    assert digest.send().status == 401
    # Basic does not depend on it, even right after a failure by Digest; a password set anew has a hash of the new realm.
    assert wire.send(server, "GET", "/v2/me", [basic(account.username, account.password), *own]).status == 200
    server.command("account", "set-password", account.username, "--password-stdin", stdin="another good one")
    digest.password = "another good one"
    assert eventually(lambda: digest.send().status == 200)
    server.stop()


def test_unknown_user_and_wrong_password_get_the_same_challenge(server, person, headers):
    answers = [Digest(server, name, "wrong", headers=headers).send() for name in (person.username, "nobody")]
    shapes = [[sorted(found) for found in challenges(answer).values()] for answer in answers]
    assert answers[0].status == answers[1].status == 401
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("nonce", ["dcd98b7102dd2f0e8b11d0f600bfb0c093", "A" * 59])
def test_who_proves_the_password_with_a_nonce_of_nobodys_is_sent_a_new_one(nonce, digest):
    answer = digest.send(nonce=nonce)
    assert answer.status == 401
    assert any("stale=true" in challenge for challenge in answer.all("WWW-Authenticate"))
