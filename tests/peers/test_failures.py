"""Failure bodies word for word, challenges in order, account states, the client key's rule and the throttle."""

import itertools
import os
import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import signer
import wire
from browser import Browser
from conftest import PATIENT
from dance import authorize_url, dance, signed, temporary
from harness import eventually
from ways import Digest, basic, bearer, client_key

KEYS = ["status", "code", "message", "additional", "reference", "errors"]
NO_KEY = "Must give an app key via X-Client-Key header or client_key query string parameter"
UNPAID = "The authenticated account is locked due to an unpaid balance."
TERMS = "API access has been disabled for this user due to API terms violation."


@pytest.fixture(scope="module")
def person(server):
    return server.account()


@pytest.fixture(scope="module")
def own(server, person):
    """A client that the person owns."""
    return server.client(person)


def get(server, *headers, target="/v2/me"):
    return wire.send(server, "GET", target, headers)


def failure(answer, status):
    """The error's JSON, which has exactly the contract's fields."""
    assert answer.status == status, answer.body
    assert answer.one("Content-Type").startswith("application/json")
    said = answer.json
    assert sorted(said) == sorted(KEYS)
    assert said["status"] == status
    assert said["errors"] is None
    return said


# --- bad credentials ---


def test_no_credential_is_401(server):
    failure(get(server), 401)


@pytest.mark.parametrize("password", ["wrong", "", "correct horse", "é" * 100])
def test_a_wrong_password_is_told_with_the_username_as_it_was_sent(password, server, person, own):
    said = failure(get(server, basic(person.username, password), client_key(own)), 401)
    assert said["message"] == f"Could not authenticate: {person.username}"


@pytest.mark.parametrize("username", ["nobody", "no+body@example.com", "Ünï@example.com", "a%40b", "acme+nobody", "x y"])
def test_an_unknown_user_gets_the_same_answer(username, server, own):
    said = failure(get(server, basic(username, "wrong"), client_key(own)), 401)
    assert said["message"] == f"Could not authenticate: {username}"


def test_unknown_user_and_wrong_password_are_indistinguishable(server, person, own):
    known = get(server, basic(person.username, "wrong"), client_key(own))
    unknown = get(server, basic("x" * len(person.username), "wrong"), client_key(own))
    assert known.status == unknown.status == 401
    hidden = known.json | {"message": ""}
    assert hidden == unknown.json | {"message": ""}
    varying = ("date", "x-request-id", "www-authenticate")
    others = lambda answer: sorted(pair for pair in answer.headers if pair[0].lower() not in varying)  # noqa: E731
    assert others(known) == others(unknown)


def test_a_good_password_with_the_own_client_key_passes(server, person, own):
    answer = get(server, basic(person.username, person.password), client_key(own))
    assert answer.status == 200
    assert answer.json["credential"] == "basic"
    assert answer.json["client"]["client_key"] == own.key


@pytest.mark.parametrize(
    "username", ["plus+sign@example.com", "ünïcödé@example.com", "name with spaces", "100%25", "日本"]
)
@pytest.mark.parametrize("password", ["with:colons:in:it", "pässwörd with spaces", "%41%3A"])
def test_usernames_and_passwords_of_every_kind_pass(username, password, server, request):
    name = f"{username}.{request.node.callspec.indices['password']}"
    account = server.account(name, password)
    client = server.client(account)
    answer = get(server, basic(name, password), client_key(client))
    assert answer.status == 200, answer.body
    assert answer.json["account"]["username"] == name


def test_a_company_may_stand_before_the_username(server):
    account = server.account("member-of-acme", company="acme")
    client = server.client(account)
    assert get(server, basic("acme+member-of-acme", account.password), client_key(client)).status == 200
    assert get(server, basic("other+member-of-acme", account.password), client_key(client)).status == 401


def test_basic_without_a_space_is_401_and_says_so(server):
    value = basic("a", "b")[1].replace("Basic ", "Basic")
    said = failure(get(server, ("Authorization", value)), 401)
    assert "space" in (said["message"] + said["additional"]).lower()


def hashes(server):
    """How many passwords the server has hashed since its start."""
    found = re.search(r"^countersign_password_hashes_total (\d+)$", get(server, target="/metrics").text, re.MULTILINE)
    return int(found.group(1))


def test_unknown_user_and_wrong_password_cost_the_same_work_and_a_verified_password_none(new_server):
    server = new_server(PATIENT, "hashes")
    account, locked, keyed = server.account(), server.account(), server.account(api_only=True)
    own = client_key(server.client(account))
    server.command("account", "lock", locked.username)

    def cost(username, password, status, *headers):
        before = hashes(server)
        assert get(server, basic(username, password), *headers).status == status
        return hashes(server) - before

    assert cost(account.username, account.password, 200, own) == 1
    assert [cost(account.username, account.password, 200, own) for _ in range(3)] == [0, 0, 0]
    for username in (account.username, "nobody", keyed.username, locked.username, "acme+nobody", f"acme+{account.username}"):
        assert [cost(username, "wrong", 401, own) for _ in range(2)] == [1, 1], username
    # What is refused before the password is judged costs nothing, nor does an API key.
    assert cost(account.username, "wrong", 400) == 0
    key = server.key(account)
    assert cost(key.public, key.private, 200) == cost(key.public, "wrong", 401) == 0
    # A first check is one hash however many ask at once, or fewer than they are; and the state is part of what is known.
    server.command("account", "lock", account.username)
    assert eventually(lambda: get(server, basic(account.username, account.password), own).status == 403)
    server.command("account", "enable", account.username)
    assert eventually(lambda: get(server, basic(account.username, account.password), own).status == 200)
    before = hashes(server)
    server.command("account", "set-password", account.username, "--password-stdin", stdin="another good one")
    assert eventually(lambda: get(server, basic(account.username, "another good one"), own).status == 200)
    assert hashes(server) > before
    assert cost(account.username, account.password, 401, own) == 1
    server.stop()


def test_more_passwords_than_can_wait_are_503_and_other_ways_in_go_on(new_server):
    """The queue of the hashing threads is bounded. Nobody's passwords are sent all at once, before any answer is read."""
    server = new_server(PATIENT, "flood")
    account = server.account()
    own, key = client_key(server.client(account)), server.key(account)
    connections = []
    for n in range(100 * (os.cpu_count() or 1)):
        connection = socket.create_connection((server.host, server.port), timeout=wire.SECONDS)
        connections.append(connection)
        headers = [basic(f"nobody{n}", "guess"), own]
        connection.sendall(wire.request_bytes("GET", "/v2/me", server.authority, headers))
    assert get(server, basic(key.public, key.private)).status == 200
    answers = [wire.read_answer(connection) for connection in connections]
    for connection in connections:
        connection.close()
    assert {answer.status for answer in answers} == {401, 503}
    failure(next(answer for answer in answers if answer.status == 503), 503)
    # What was refused was not judged: it is no failure, and the next attempt is.
    assert eventually(lambda: get(server, basic(account.username, account.password), own).status == 200)
    server.stop()


# --- the client key ---


@pytest.mark.parametrize("password", ["right", "wrong"])
def test_a_password_without_a_client_key_is_400_before_it_is_judged(password, server, person):
    used = person.password if password == "right" else "wrong"
    said = failure(get(server, basic(person.username, used)), 400)
    assert said["message"] == NO_KEY


@pytest.mark.parametrize(
    ("header", "target"),
    [("X-Client-Key", "/v2/me"), ("X-App-Key", "/v2/me"), ("x-client-key", "/v2/me"), (None, "/v2/me?client_key=")],
)
def test_the_client_key_comes_by_header_or_query(header, target, server, person, own):
    headers = [basic(person.username, person.password)]
    if header:
        headers.append((header, own.key))
    else:
        target += own.key
    assert get(server, *headers, target=target).status == 200


def test_an_unknown_client_key_is_403(server, person):
    failure(get(server, basic(person.username, person.password), ("X-Client-Key", "nonsense")), 403)


def test_another_accounts_client_key_is_403(server, person, client):
    failure(get(server, basic(person.username, person.password), client_key(client)), 403)


def test_a_disabled_client_key_is_403_and_good_again_when_enabled(server, person):
    mine = server.client(person)
    attempt = lambda: get(server, basic(person.username, person.password), client_key(mine))  # noqa: E731
    assert attempt().status == 200
    server.command("client", "disable", mine.key)
    assert eventually(lambda: attempt().status == 403)
    failure(attempt(), 403)
    server.command("client", "enable", mine.key)
    assert eventually(lambda: attempt().status == 200)


def test_a_published_apps_key_is_no_good_with_a_password(server, person):
    published = server.client(person, more=["--http-auth", "off"])
    failure(get(server, basic(person.username, person.password), client_key(published)), 403)


def test_two_different_client_keys_are_403_after_the_password_was_judged(server, person, own):
    other = server.client(person)
    both = [client_key(own), ("X-App-Key", other.key)]
    failure(get(server, basic(person.username, person.password), *both), 403)
    failure(get(server, basic(person.username, "wrong"), *both), 401)
    failure(get(server, basic(person.username, person.password), client_key(own), target=f"/v2/me?client_key={other.key}"), 403)
    same = get(server, basic(person.username, person.password), client_key(own), target=f"/v2/me?client_key={own.key}")
    assert same.status == 200


@pytest.mark.parametrize("empty", [("X-Client-Key", ""), ("X-Client-Key", "  ")])
def test_an_empty_client_key_is_none(empty, server, person, own):
    said = failure(get(server, basic(person.username, person.password), empty, target="/v2/me?client_key="), 400)
    assert said["message"] == NO_KEY
    assert get(server, basic(person.username, person.password), empty, target=f"/v2/me?client_key={own.key}").status == 200


def test_a_good_client_key_of_another_account_opens_nothing(server, person, own):
    """Somebody with an account, a key and a client key of its own, and with what is known of another's."""
    attacker = server.account()
    theirs, key = server.client(attacker), server.key(attacker)
    token = wire.send(server, "POST", "/api/auth/jwt", [basic(key.public, key.private)], b"").json["token"]
    for name in (person.username, person.id, attacker.username):
        for secret in (key.private, theirs.secret, own.key, ""):
            assert get(server, basic(name, secret), client_key(theirs)).status in (401, 429), (name, secret)
    for credential in (basic(attacker.username, attacker.password), basic(key.public, key.private), bearer(token)):
        failure(get(server, credential, client_key(own)), 403)
    # A token can't be made for another's client key either, nor with the claim of one.
    failure(wire.send(server, "POST", "/api/auth/jwt", [basic(attacker.username, attacker.password), client_key(own)], b""), 403)
    # Whoever names another's client key signs with a secret that is not its own.
    assert signed(server, "GET", "/v2/me", own, secret=theirs.secret).status == 401
    digest = Digest(server, person.username, attacker.password, headers=[client_key(theirs)])
    assert digest.send().status == 401
    mine = Digest(server, attacker.username, attacker.password, headers=[client_key(own)])
    assert mine.send().status == 403


def test_with_oauth_a_client_key_must_equal_the_consumer_key(server, client, token, own):
    assert signed(server, "GET", "/v2/me", client, token, headers=[client_key(client)]).status == 200
    assert signed(server, "GET", "/v2/me", client, token, headers=[client_key(own)]).status == 403


def test_an_api_key_needs_no_client_key_but_a_foreign_one_is_403(server, person, own, client):
    key = server.key(person)
    assert get(server, basic(key.public, key.private)).status == 200
    assert get(server, basic(key.public, key.private), client_key(own)).status == 200
    failure(get(server, basic(key.public, key.private), client_key(client)), 403)


# --- API keys ---


def test_an_api_key_passes_in_its_three_spellings(server):
    account = server.account("keyed@example.com", company="keyed")
    key = server.key(account)
    for username in (key.public, account.id, f"keyed+{key.public}"):
        answer = get(server, basic(username, key.private))
        assert answer.status == 200, answer.body
        assert answer.json["credential"] == "api_key"
        assert answer.json["account"]["username"] == account.username
    own = server.client(account)
    assert get(server, basic(f"other+{key.public}", key.private), client_key(own)).status == 401
    assert get(server, basic(key.public, "wrong"), client_key(own)).status == 401


def test_a_regenerated_api_keys_old_private_key_is_dead(server, person):
    key = server.key(person)
    assert get(server, basic(key.public, key.private)).status == 200
    fresh = server.json("key", "regenerate", key.public)
    assert eventually(lambda: get(server, basic(key.public, key.private)).status == 401)
    assert get(server, basic(fresh["public_key"], fresh["private_key"])).status == 200


def test_a_deleted_api_key_is_dead(server, person, own):
    key = server.key(person)
    assert get(server, basic(key.public, key.private)).status == 200
    server.command("key", "delete", key.public)
    # It is told that it is dead, and not asked for a client key, which would not help.
    assert eventually(lambda: get(server, basic(key.public, key.private)).status == 401)
    assert get(server, basic(key.public, key.private), client_key(own)).status == 401


# --- exactly one credential ---


def test_two_credentials_are_400_and_none_falls_through(server, person, own, client, token):
    good = basic(person.username, person.password)
    oauth = signer.form_encoded(signer.sign("GET", f"{server.base}/v2/me", client, token))
    failure(get(server, good, client_key(own), target=f"/v2/me?{oauth}"), 400)
    failure(get(server, good, good, client_key(own)), 400)
    failure(get(server, good, bearer("x"), client_key(own)), 400)
    failure(get(server, good, client_key(own), target="/v2/me?auth=session"), 400)


# --- account states ---


def states(server):
    """Every way in for one fresh account, as functions that make a request."""
    account = server.account()
    own, key = server.client(account), server.key(account)
    token = dance(server, own, Browser(account))
    made = wire.send(server, "POST", "/api/auth/jwt", [basic(key.public, key.private)], b"")
    jwt = made.json["token"]
    return account, {
        "basic": lambda: get(server, basic(account.username, account.password), client_key(own)),
        "api_key": lambda: get(server, basic(key.public, key.private)),
        "oauth1": lambda: signed(server, "GET", "/v2/me", own, token),
        "jwt": lambda: get(server, bearer(jwt)),
    }


@pytest.mark.parametrize(
    ("command", "message", "default"),
    [("lock", "No API Access", UNPAID), ("disable", "API Access is disabled", TERMS)],
)
@pytest.mark.parametrize("reason", [None, "Call us: 555-0199."])
def test_a_locked_or_disabled_account_is_403_by_every_way_in(command, message, default, reason, server):
    account, ways = states(server)
    for name, attempt in ways.items():
        assert attempt().status == 200, name
    server.command("account", command, account.username, *(["--reason", reason] if reason else []))
    for name, attempt in ways.items():
        assert eventually(lambda: attempt().status == 403), name  # noqa: B023
        if name != "oauth1":  # where the client's owner is locked too, its tokens rest
            said = failure(attempt(), 403)
            assert (said["message"], said["additional"]) == (message, reason or default), name
    server.command("account", "enable", account.username)
    for name, attempt in ways.items():
        assert eventually(lambda: attempt().status == 200), name  # noqa: B023


@pytest.mark.parametrize(
    ("command", "message", "default"),
    [("lock", "No API Access", UNPAID), ("disable", "API Access is disabled", TERMS)],
)
def test_a_locked_or_disabled_holders_tokens_are_403(command, message, default, server, client):
    holder = server.account()
    token = dance(server, client, Browser(holder))
    server.command("account", command, holder.username)
    attempt = lambda: signed(server, "GET", "/v2/me", client, token)  # noqa: E731
    assert eventually(lambda: attempt().status == 403)
    said = failure(attempt(), 403)
    assert (said["message"], said["additional"]) == (message, default)


@pytest.mark.parametrize("who", ["owner-locked", "owner-disabled", "client-disabled"])
def test_the_tokens_of_a_client_that_rests_rest_too(who, server, browser):
    owner = server.account()
    client = server.client(owner)
    token = dance(server, client, browser)
    if who == "client-disabled":
        server.command("client", "disable", client.key)
    else:
        server.command("account", {"owner-locked": "lock", "owner-disabled": "disable"}[who], owner.username)
    attempt = lambda: signed(server, "GET", "/v2/me", client, token)  # noqa: E731
    assert eventually(lambda: attempt().status == 403)
    assert failure(attempt(), 403)["code"] == "consumer_key_refused"
    assert attempt().problem == "consumer_key_refused"


def test_the_state_of_an_account_is_told_to_nobody_without_a_good_password(server):
    account = server.account()
    own = server.client(account)
    server.command("account", "disable", account.username)
    assert eventually(
        lambda: get(server, basic(account.username, account.password), client_key(own)).status == 403
    )
    said = failure(get(server, basic(account.username, "wrong"), client_key(own)), 401)
    assert said["message"] == f"Could not authenticate: {account.username}"


def test_a_changed_password_is_good_at_once_and_the_old_one_dead(server):
    account = server.account()
    own = server.client(account)
    attempt = lambda password: get(server, basic(account.username, password), client_key(own)).status  # noqa: E731
    assert attempt(account.password) == 200
    server.command("account", "set-password", account.username, "--password-stdin", stdin="another good one")
    assert eventually(lambda: attempt("another good one") == 200)
    assert attempt(account.password) == 401


# --- OAuth failures on the protected API ---


def test_an_oauth_failure_on_the_protected_api_is_the_json_error_with_the_problem_word(server, client, token):
    answer = signed(server, "GET", "/v2/me", client, token, token_secret="wrong")
    said = failure(answer, 401)
    assert said["code"] == "signature_invalid"
    assert answer.problem == "signature_invalid"


def test_an_oauth_failure_at_the_endpoints_is_form_encoded_or_json_by_accept(server, client):
    url = f"{server.base}/oauth/request_token"
    for accept in (None, "application/json"):
        value = signer.authorization("POST", url, client, secret="wrong", oauth_callback=client.callback)
        headers = [("Authorization", value)] + ([("Accept", accept)] if accept else [])
        answer = wire.send(server, "POST", "/oauth/request_token", headers, b"")
        assert answer.status == 401
        assert answer.problem == "signature_invalid"
        if accept:
            assert answer.one("Content-Type").startswith("application/json")
            assert "signature_invalid" in answer.json.values()
        else:
            assert answer.one("Content-Type").startswith("application/x-www-form-urlencoded")
            assert answer.form["oauth_problem"] == "signature_invalid"


def test_a_failure_at_the_consent_page_is_a_page_and_json_for_who_asks_for_it(server):
    target = "/oauth/authorize?oauth_token=nobodys"
    page = wire.send(server, "GET", target, [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")])
    said = wire.send(server, "GET", target, [("Accept", "application/json")])
    assert page.one("Content-Type").startswith("text/html") and said.json["oauth_problem"] == "token_rejected"
    assert page.problem == said.problem == "token_rejected" and page.status == said.status


@pytest.mark.parametrize("other", ["Basic Ym9iOndyb25n", "Bearer x"])
def test_another_credential_beside_a_signature_is_refused_at_the_endpoints_too(server, client, other):
    url = f"{server.base}/oauth/request_token"
    query = signer.form_encoded(signer.sign("POST", url, client, oauth_callback=client.callback))
    answer = wire.send(server, "POST", f"/oauth/request_token?{query}", [("Authorization", other)], b"")
    assert (answer.status, answer.problem) == (400, "parameter_rejected")
    assert wire.send(server, "POST", f"/oauth/request_token?{query}", [], b"").status == 200, "and the nonce is not used up"


def test_deny_returns_to_the_callback_with_permission_denied(server, client, browser):
    request = temporary(server, client)
    callback = browser.callback(authorize_url(server, request), decision="deny")
    assert callback.startswith(client.callback)
    assert "oauth_problem=permission_denied" in callback
    assert "oauth_verifier" not in callback


# --- challenges ---


def schemes(answer):
    return [line.partition(" ")[0] for line in answer.all("WWW-Authenticate")]


def test_a_401_carries_one_challenge_line_for_each_scheme_in_the_contracts_order(server):
    lines = get(server).all("WWW-Authenticate")
    assert [line.partition(" ")[0] for line in lines] == ["Digest", "Digest", "Basic", "OAuth", "Bearer"]
    assert "algorithm=SHA-256" in lines[0].replace('"', "")
    assert "algorithm=MD5" in lines[1].replace('"', "")
    for line in lines[:2]:
        assert 'qop="auth,auth-int"' in line
        assert 'realm="Countersign"' in line
    assert lines[2] == 'Basic realm="Countersign", charset="UTF-8"'
    assert lines[3].startswith('OAuth realm="')
    assert lines[4].startswith("Bearer")


CHALLENGED = {
    "oauth1": ["OAuth"],
    "basic": ["Basic"],
    "api_key": ["Basic"],
    "digest": ["Digest", "Digest"],
    "jwt": ["Bearer"],
    "session": ["Cookie"],
}
ORDER = ["digest", "basic", "oauth1", "jwt"]
ADMITTED = [(name,) for name in CHALLENGED]
ADMITTED += [names for n in (2, 3, 4) for names in itertools.combinations(ORDER, n)]


@pytest.fixture(scope="module")
def routed(new_server):
    routes = [
        f'[[route]]\npath = "/{"-".join(names)}/**"\nmethods = {list(names)}\nclient_key = "optional"\n' for names in ADMITTED
    ]
    started = new_server(PATIENT + "".join(routes).replace("'", '"'), "routed")
    yield started
    started.stop()


@pytest.mark.parametrize("names", ADMITTED, ids="-".join)
def test_a_route_challenges_for_exactly_what_it_admits(names, routed):
    answer = get(routed, target=f"/{'-'.join(names)}/x")
    assert answer.status == 401
    expected = [scheme for name in ORDER if name in names for scheme in CHALLENGED[name]]
    if names == ("api_key",):
        expected = ["Basic"]
    if names == ("session",):
        expected = ["Cookie"]
    assert schemes(answer) == expected


def test_a_method_that_the_route_does_not_admit_is_401(routed):
    account = routed.account()
    failure(get(routed, basic(account.username, account.password), target="/oauth1/x"), 401)
    failure(get(routed, bearer("x"), target="/basic/x"), 401)


def test_a_path_without_a_route_is_404(routed):
    failure(get(routed, target="/elsewhere"), 404)


# --- the throttle ---


def test_too_many_failures_are_429_for_that_account_and_address_only(new_server):
    server = new_server(name="throttle")
    guessed, other = server.account(), server.account()
    own, others = server.client(guessed), server.client(other)
    statuses = [get(server, basic(guessed.username, f"guess {n}"), client_key(own)).status for n in range(14)]
    assert statuses[:9] == [401] * 9
    assert statuses[-1] == 429
    answer = get(server, basic(guessed.username, guessed.password), client_key(own))
    failure(answer, 429)
    assert 1 <= int(answer.one("Retry-After")) <= 60
    assert get(server, basic(other.username, other.password), client_key(others)).status == 200
    server.stop()


def test_guesses_that_are_sent_together_have_no_more_tries(new_server):
    server = new_server("[server]\nworkers = 1\n", "throttle-together")
    account = server.account()
    own = server.client(account)

    def guess(number):
        return get(server, basic(account.username, f"guess {number}"), client_key(own)).status

    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(guess, range(20)))
    assert sorted(statuses) == [401] * 10 + [429] * 10
    server.stop()


def test_guessing_from_one_address_never_locks_the_owner_out_elsewhere(new_server):
    server = new_server('[server]\ntrusted_proxies = ["127.0.0.1/32"]\n', "throttle-address")
    account = server.account()
    own = server.client(account)

    def attempt(password, address):
        forwarded = ("X-Forwarded-For", address)
        return get(server, basic(account.username, password), client_key(own), forwarded).status

    assert [attempt("guess", "203.0.113.7") for _ in range(12)][-1] == 429
    assert attempt(account.password, "203.0.113.7") == 429
    assert attempt(account.password, "198.51.100.9") == 200
    assert [attempt("guess", f"2001:db8::{n}") for n in range(12)][-1] == 429
    assert attempt(account.password, "2001:db8:0:1::1") == 200
    server.stop()


def test_an_unknown_account_is_throttled_like_a_known_one(new_server):
    server = new_server(name="throttle-unknown")
    own = server.client(server.account())
    statuses = [get(server, basic("nobody", "guess"), client_key(own)).status for _ in range(14)]
    assert statuses[:9] == [401] * 9
    assert statuses[-1] == 429
    server.stop()
