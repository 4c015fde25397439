"""What a credential is worth beside another one, after its end, and while its account is locked or disabled.

Some of it comes with time: the servers of those tests have a clock that a test can put forward.
"""

import base64
import hashlib
import itertools
import json
import random
import socket
import subprocess

import pytest
import signer
import wire
from browser import Browser, logged_in
from conftest import PATIENT
from dance import dance
from harness import eventually
from programs import HERE, SECONDS, needs
from test_races import at_once
from ways import Digest, basic, bearer, challenges, client_key

EVERY = '["oauth1", "basic", "api_key", "digest", "jwt", "session", "cookies"]'
BILLING, CONTACT = "https://pay.example.com/", "https://help.example.com/terms"
ROUTES = {
    "v2": EVERY,
    "cookies": '["cookies"]',
    "session": '["session"]',
    "both": '["session", "cookies"]',
    "cookies-and-basic": '["cookies", "basic"]',
    "basic": '["basic"]',
}
CONFIG = PATIENT + f'[support]\nbilling_url = "{BILLING}"\ncontact_url = "{CONTACT}"\n'
CONFIG += "".join(f'[[route]]\npath = "/{name}/**"\nmethods = {methods}\n' for name, methods in ROUTES.items())
FORM = ("Content-Type", "application/x-www-form-urlencoded")


@pytest.fixture(scope="module")
def admitting(new_server):
    """A server that admits every way in at /v2, and only some elsewhere."""
    started = new_server(CONFIG, "admitting")
    yield started
    started.stop()


def three_cookies(member):
    """The value of the Cookie header for what `/login?response=json` answered."""
    return "; ".join(f"{name}={signer.escape(value)}" for name, value in member.items())


class Person:
    """An account of a company with everything that it can show."""

    def __init__(self, server):
        self.server = server
        self.account = server.account(company="acme")
        self.own, self.key = server.client(self.account), server.key(self.account)
        developer = server.account()
        self.client = server.client(developer)
        self.token = dance(server, self.client, Browser(self.account))
        made = wire.send(server, "POST", "/api/auth/jwt", [basic(self.key.public, self.key.private)], b"")
        self.jwt = made.json["token"]
        self.login = logged_in(server, self.account)
        escaped = [signer.escape(text) for text in (self.account.username, self.account.password)]
        form = "company=acme&username={}&password={}".format(*escaped)
        self.member = wire.send(server, "POST", "/login?response=json", [FORM], form).json
        self.password = Digest(server, self.account.username, self.account.password, headers=[client_key(self.own)])
        self.digest_of_key = Digest(server, self.key.public, self.key.private)

    def credential(self, way, verb="POST", path="/v2/me"):
        """What of a request is this credential: the Authorization header, the query, the Cookie header and the form."""
        parameters = lambda: signer.sign(verb, f"{self.server.base}{path}", self.client, self.token)  # noqa: E731
        if way == "basic":
            return {"authorization": basic(self.account.username, self.account.password)[1]}
        if way == "api_key":
            return {"authorization": basic(self.key.public, self.key.private)[1]}
        if way == "digest":
            return {"authorization": self.password.header(verb, path)}
        if way == "digest_of_key":
            return {"authorization": self.digest_of_key.header(verb, path)}
        if way == "jwt":
            return {"authorization": bearer(self.jwt)[1]}
        if way == "oauth_header":
            return {"authorization": signer.header(parameters())}
        if way == "oauth_query":
            return {"query": signer.form_encoded(parameters())}
        if way == "oauth_form":
            return {"form": signer.form_encoded(parameters())}
        if way == "session":
            return {"query": "auth=session", "cookie": self.login.cookies[1]}
        return {"cookie": three_cookies(self.member)}

    def send(self, *ways, verb="POST", path="/v2/me"):
        """A request with these credentials, and the client key where a password needs it."""
        parts = [self.credential(way, verb, path) for way in ways]
        all_of = lambda name: [part[name] for part in parts if name in part]  # noqa: E731
        headers = [("Authorization", value) for value in all_of("authorization")]
        headers += [("Cookie", "; ".join(all_of("cookie")))] if all_of("cookie") else []
        headers += [client_key(self.own)] if {"basic", "digest"} & set(ways) else []
        headers += [self.login.token] if "session" in ways else []
        headers += [FORM] if all_of("form") else []
        query = "&".join(all_of("query"))
        return wire.send(self.server, verb, f"{path}?{query}" if query else path, headers, "&".join(all_of("form")))


WAYS = {
    "basic": "basic", "api_key": "api_key", "digest": "digest", "digest_of_key": "digest", "jwt": "jwt", "oauth_header": "oauth1",
    "oauth_query": "oauth1", "oauth_form": "oauth1", "session": "session", "cookies": "cookie",
}
# The parameters of one signature may be in several places, so two places are no two credentials.
PAIRS = [pair for pair in itertools.combinations(WAYS, 2) if not all(way.startswith("oauth") for way in pair)]


@pytest.fixture(scope="module")
def person(admitting):
    return Person(admitting)


# --- exactly one ---


@pytest.mark.parametrize("way", WAYS)
def test_each_way_alone_gets_in(way, person):
    answer = person.send(way)
    assert answer.status == 200 and answer.json["credential"] == WAYS[way], answer.body


@pytest.mark.parametrize(("first", "second"), PAIRS, ids="-and-".join)
def test_two_good_credentials_are_400(first, second, person):
    answer = person.send(first, second)
    assert answer.status == 400 and answer.json["message"] == "More than one credential was sent", answer.body


def test_a_login_cookie_alone_is_no_credential(person):
    login = person.login.cookies
    assert wire.send(person.server, "GET", "/v2/me", [login]).status == 401
    beside = [login, client_key(person.own), basic(person.account.username, person.account.password)]
    answer = wire.send(person.server, "GET", "/v2/me", beside)
    assert answer.status == 200 and answer.json["credential"] == "basic"


def test_cookies_are_no_credential_where_the_route_does_not_admit_them(new_server):
    server = new_server(PATIENT, "no-cookies")
    account = server.account(company="acme")
    cookies = ("Cookie", three_cookies({"companyName": "acme", "memberId": account.username, "memberHash": "x" * 43}))
    assert wire.send(server, "GET", "/v2/me", [cookies]).status == 401
    beside = [cookies, client_key(server.client(account)), basic(account.username, account.password)]
    assert wire.send(server, "GET", "/v2/me", beside).status == 200
    server.stop()


def test_two_of_the_three_cookies_are_no_credential(person):
    two = ("Cookie", "; ".join(three_cookies(person.member).split("; ")[:2]))
    beside = [two, client_key(person.own), basic(person.account.username, person.account.password)]
    answer = wire.send(person.server, "GET", "/v2/me", beside)
    assert answer.status == 200 and answer.json["credential"] == "basic"


# --- challenges ---


@pytest.mark.parametrize(
    ("route", "schemes"),
    [("cookies", ["Cookie"]), ("session", ["Cookie"]), ("both", ["Cookie"]), ("cookies-and-basic", ["Basic"]), ("basic", ["Basic"])],
)
@pytest.mark.parametrize("cookies", [None, "companyName=acme; memberId=x; memberHash=y"])
def test_a_cookie_is_asked_for_where_nothing_else_helps(cookies, route, schemes, admitting):
    answer = wire.send(admitting, "GET", f"/{route}/x", [("Cookie", cookies)] if cookies else [])
    assert answer.status == 401
    assert [line.partition(" ")[0] for line in answer.all("WWW-Authenticate")] == schemes


# --- states ---


@pytest.mark.parametrize(
    ("command", "message", "reference"), [("lock", "No API Access", BILLING), ("disable", "API Access is disabled", CONTACT)]
)
def test_every_way_in_of_an_account_that_rests_is_403_and_says_where_to_turn(command, message, reference, admitting):
    person = Person(admitting)
    admitting.command("account", command, person.account.username, "--reason", "Call us.")
    assert eventually(lambda: person.send("api_key").status == 403)
    said = {way: person.send(way) for way in WAYS}
    assert {way: answer.status for way, answer in said.items()} == dict.fromkeys(WAYS, 403)
    told = {way: [answer.json[name] for name in ("message", "additional", "reference")] for way, answer in said.items()}
    assert told == dict.fromkeys(WAYS, [message, "Call us.", reference])
    admitting.command("account", "enable", person.account.username)
    assert eventually(lambda: person.send("api_key").status == 200)
    assert {way: person.send(way).status for way in WAYS} == dict.fromkeys(WAYS, 200)


def test_no_other_refusal_says_where_to_turn(admitting, person):
    wrong = [client_key(person.own), basic(person.account.username, "wrong")]
    for answer in (wire.send(admitting, "GET", "/v2/me", wrong), wire.send(admitting, "GET", "/nowhere"), wire.send(admitting, "GET", "/v2/me")):
        assert answer.status >= 400 and not answer.json["reference"]


# --- the name of the client key ---


def test_a_client_key_comes_in_the_query_by_the_names_of_the_configuration_alone(new_server):
    server = new_server(PATIENT + '[http_auth]\nclient_key_query = ["app", "clientId"]\n', "renamed")
    account = server.account()
    own, password = server.client(account), basic(account.username, account.password)
    status = lambda name: wire.send(server, "GET", f"/v2/me?{name}={own.key}", [password]).status  # noqa: E731
    assert [status(name) for name in ("app", "clientId", "client_key", "APP", "clientid")] == [200, 200, 400, 400, 400]
    assert wire.send(server, "GET", "/v2/me", [password, client_key(own)]).status == 200
    server.stop()


# --- time ---


class Clock:
    """The wall clock of a server, which a test puts forward."""

    def __init__(self, folder):
        compiler = needs("cc", "build-essential")
        library = folder / "clock.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, HERE / "c/clock.c", "-ldl"], check=True, timeout=SECONDS)
        self.file = folder / "ahead"
        self.environment = {"LD_PRELOAD": str(library), "TEST_CLOCK": str(self.file)}
        self.ahead = 0
        self.forward(0)

    def forward(self, seconds):
        self.ahead += seconds
        # Renamed, so that nobody reads half of it.
        written = self.file.with_suffix(".new")
        written.write_text(str(self.ahead))
        written.rename(self.file)


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    return Clock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def ageing(new_server, clock, tmp_path_factory):
    """A server whose clock can be put forward. With SQLite: a shared store serves nobody with another clock than its own."""
    database = f"sqlite://{tmp_path_factory.mktemp('ageing')}/x.db"
    started = new_server(PATIENT, "ageing", environment=clock.environment, database=database)
    yield started
    started.stop()


def exchanged(server, key, json=False):
    """The answer to a request for a JWT."""
    if json:
        body = f'{{"username":"{key.public}","password":"{key.private}"}}'
        return wire.send(server, "POST", "/api/auth/jwt", [("Content-Type", "application/json")], body)
    return wire.send(server, "POST", "/api/auth/jwt", [basic(key.public, key.private)], b"")


def test_a_token_ends_with_the_key_that_it_was_made_with(server):
    """Also for those who know it by its signature alone."""
    key = server.key(server.account(), more=("--expires-in", "60"))
    made = exchanged(server, key).json
    claims = json.loads(base64.urlsafe_b64decode(made["token"].split(".")[1] + "=="))
    assert 0 < made["expires_in"] <= 60 and claims["exp"] - claims["iat"] == made["expires_in"]


def test_a_body_that_comes_slowly_brings_no_timestamp_past_its_window(ageing, clock):
    """Who captured a request could send its head at once, and the rest when its nonce is forgotten."""
    account = ageing.account()
    client = ageing.client(account, callback="oob")
    token = dance(ageing, client, Browser(account))
    body = b"a=1&b=2"
    value = signer.authorization("POST", f"{ageing.base}/v2/me", client, token, form=body.decode())
    head = ["POST /v2/me HTTP/1.1", f"Host: {ageing.authority}", ": ".join(FORM), f"Authorization: {value}", f"Content-Length: {len(body)}"]
    with socket.create_connection((ageing.host, ageing.port), timeout=SECONDS) as connection:
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body[:3])
        # The head has been read when another request that came after it is answered.
        assert wire.send(ageing, "GET", "/health/live").status == 200
        clock.forward(700)
        connection.sendall(body[3:])
        answer = wire.read_answer(connection)
    assert (answer.status, answer.json["code"]) == (401, "timestamp_refused")


def test_an_expired_api_key_is_refused_by_every_way_that_it_had(ageing, clock):
    key = ageing.key(ageing.account(), more=["--expires-in", "600"])
    jwt = exchanged(ageing, key).json["token"]
    ways = {
        "basic": lambda: wire.send(ageing, "GET", "/v2/me", [basic(key.public, key.private)]),
        "digest": lambda: Digest(ageing, key.public, key.private).send(),
        "digest MD5": lambda: Digest(ageing, key.public, key.private, "MD5").send(),
        "exchanged by Basic": lambda: exchanged(ageing, key),
        "exchanged by JSON": lambda: exchanged(ageing, key, json=True),
        "JWT made before": lambda: wire.send(ageing, "GET", "/v2/me", [bearer(jwt)]),
    }
    clock.forward(590)
    assert {name: attempt().status for name, attempt in ways.items()} == dict.fromkeys(ways, 200)
    clock.forward(20)
    refused = {name: attempt() for name, attempt in ways.items()}
    assert {name: answer.status for name, answer in refused.items()} == dict.fromkeys(ways, 401)
    for name, answer in refused.items():
        ended = "It has expired: get a new one." if name == "JWT made before" else "The API key has expired: make a new one."
        assert answer.json["additional"] == ended, name
        assert "token" not in answer.json and "stale=true" not in "".join(answer.all("WWW-Authenticate")), name
    # Who does not have the private key is not told so.
    guessed = wire.send(ageing, "GET", "/v2/me", [basic(key.public, "guessed")])
    assert guessed.status == 401 and guessed.json["message"] == f"Could not authenticate: {key.public}"
    assert "expired" not in guessed.text


def test_a_nonce_that_is_too_old_is_stale_and_the_new_one_is_good(ageing, clock):
    key = ageing.key(ageing.account())
    digest = Digest(ageing, key.public, key.private)
    assert digest.send().status == 200
    clock.forward(299)
    assert digest.send().status == 200
    clock.forward(3)
    answer = digest.send()
    assert answer.status == 401
    given = challenges(answer)
    assert {name: found.get("stale", "").lower() for name, found in given.items()} == {"SHA-256": "true", "MD5": "true"}
    assert given["SHA-256"]["nonce"] != digest.challenge["nonce"]
    # A wrong password is wrong, whatever the age of the nonce: a client must not try again with it.
    digest.password = "wrong"
    assert "stale=true" not in "".join(digest.send().all("WWW-Authenticate"))
    digest.password, digest.challenge, digest.count = key.private, given["SHA-256"], 0
    assert digest.send().status == 200


# --- Digest's counts and hashes ---


def test_of_counts_that_arrive_together_and_out_of_order_each_is_good_once(server):
    account = server.account()
    own = client_key(server.client(account))
    digest = Digest(server, account.username, account.password, headers=[own])
    values = [digest.header("GET", "/v2/me", count=count) for count in range(1, 26)] * 2
    random.Random(1).shuffle(values)
    send = lambda value: lambda: wire.send(server, "GET", "/v2/me", [("Authorization", value), own]).status  # noqa: E731
    statuses = at_once([send(value) for value in values])
    of_each = {}
    for value, status in zip(values, statuses, strict=True):
        of_each.setdefault(value, []).append(status)
    assert [sorted(pair) for pair in of_each.values()] == [[200, 401]] * 25


def test_a_count_too_far_behind_to_be_remembered_is_stale_and_never_taken_unseen(server):
    if not server.database.startswith("sqlite:"):
        pytest.skip("counts that many nodes share are all remembered")
    key = server.key(server.account())
    digest = Digest(server, key.public, key.private)
    assert [digest.send(count=count).status for count in (1, 1000, 900)] == [200, 200, 200]
    for count in (1, 2):
        answer = digest.send(count=count)
        assert answer.status == 401
        assert all(found.get("stale", "").lower() == "true" for found in challenges(answer).values())


def test_what_digest_is_verified_with_is_sealed_at_rest(server):
    account = server.account()
    own, key = client_key(server.client(account)), server.key(account)
    pairs = [(account.username, account.password, [own]), (key.public, key.private, [])]
    sought = [account.username.encode()]
    for name, secret, headers in pairs:
        assert Digest(server, name, secret, headers=headers).send().status == 200
        for algorithm in (hashlib.md5, hashlib.sha256):
            made = algorithm(f"{name}:Countersign:{secret}".encode())
            raw, text = made.digest(), made.hexdigest()
            sought += [raw, text.encode(), text.upper().encode(), base64.b64encode(raw).rstrip(b"="), base64.urlsafe_b64encode(raw).rstrip(b"=")]
    at_rest = [*server.at_rest(), server.log.read_bytes()]
    # What is no secret is found, so that a secret would be.
    assert [any(wanted in content for content in at_rest) for wanted in sought] == [True] + [False] * 20


def test_a_wrong_password_for_a_member_hash_is_written_down(admitting):
    account = admitting.account(company="acme")
    form = f"company=acme&username={signer.escape(account.username)}&password=wrong"
    assert wire.send(admitting, "POST", "/login?response=json", [FORM], form).status == 401
    written = admitting.json("audit", "list", "--event", "login.failed", "--limit", "1")[0]
    assert (written["subject"], written["address"]) == (account.username, "127.0.0.1")
