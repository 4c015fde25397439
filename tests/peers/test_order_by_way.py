"""The order of judgement for every other way in than a password by Basic, which test_judgement.py has: pair by pair again."""

import itertools
import json

import pytest
import signer
import wire
from browser import Browser, logged_in
from dance import dance
from upstream import Upstream
from ways import Digest, basic, bearer, client_key

STATUS = {"no-client-key": 400, "throttle": 429, "credential": 401, "state": 403, "owner": 403, "scope": 403}
AFTER = ["credential", "state", "owner", "scope"]
WAYS = {
    "api_key": ["throttle", *AFTER],
    "digest": ["no-client-key", "throttle", *AFTER],
    "digest_of_a_key": ["throttle", *AFTER],
    "jwt_of_a_key": AFTER,
    # That it is a password's is known when it was verified, and not before.
    "jwt_of_a_password": ["credential", "no-client-key", "state", "owner", "scope"],
    "session": AFTER,
    "cookies": AFTER,
    "oauth1": AFTER,
    "oauth1_two_legged": AFTER,
}
PAIRS = [
    (way, *pair)
    for way, faults in WAYS.items()
    for pair in itertools.combinations(faults, 2)
    if set(pair) != {"no-client-key", "owner"}
]
EVERY = '["oauth1", "oauth1_two_legged", "basic", "api_key", "digest", "jwt", "session", "cookies"]'
CONFIG = f"""
[throttle]
failures = 5
window_seconds = 3600
[[route]]
path = "/v2/**"
methods = {EVERY}
[[route]]
path = "/plain/**"
methods = {EVERY}
[[route]]
path = "/scope/**"
methods = {EVERY}
scopes = {{ "*" = ["report:write"] }}
[upstream]
url = "UPSTREAM"
"""


class Person:
    """An account with everything that it can show, in one of four states."""

    def __init__(self, server, throttled, locked):
        self.server = server
        self.account = server.account(company="court", scopes=["account:read"])
        self.client = server.client(self.account, scopes=["account:read"])
        self.key = server.key(self.account)
        self.token = dance(server, self.client, Browser(self.account))
        issue = lambda name, secret: wire.send(server, "POST", "/api/auth/jwt", [basic(name, secret)], b"").json["token"]  # noqa: E731
        self.jwt_of_a_key = issue(self.key.public, self.key.private)
        self.jwt_of_a_password = issue(self.account.username, self.account.password)
        self.login = logged_in(server, self.account)
        form = f"company=court&username={signer.escape(self.account.username)}&password={signer.escape(self.account.password)}"
        typed = ("Content-Type", "application/x-www-form-urlencoded")
        self.cookies = wire.send(server, "POST", "/login?response=json", [typed], form).json
        if throttled:
            for _ in range(6):
                self.digest(self.account.username, "wrong").send()
                wire.send(server, "GET", "/v2/me", [basic(self.key.public, "wrong")])
        if locked:
            server.command("account", "lock", self.account.username)

    def digest(self, name, secret, headers=None):
        return Digest(self.server, name, secret, headers=[client_key(self.client)] if headers is None else headers)


class Court:
    def __init__(self, new_server):
        self.upstream = Upstream()
        self.server = new_server(CONFIG.replace("UPSTREAM", self.upstream.url), "court-by-way")
        self.people = {state: Person(self.server, *state) for state in itertools.product((False, True), repeat=2)}
        self.foreign = self.server.client(self.server.account())

    def send(self, way, faults):
        person = self.people["throttle" in faults, "state" in faults]
        wrong = "credential" in faults
        target = "/scope/x" if "scope" in faults else "/plain/x"
        beside = [] if "no-client-key" in faults or way != "digest" else [client_key(person.client)]
        if way == "jwt_of_a_password" and "no-client-key" not in faults:
            beside = [client_key(person.client)]
        if "owner" in faults:
            beside = [client_key(self.foreign)]
        account, key = person.account, person.key
        get = lambda *headers, target=target: wire.send(self.server, "GET", target, [*headers, *beside])  # noqa: E731
        if way == "api_key":
            return get(basic(key.public, "wrong" if wrong else key.private))
        if way == "digest":
            return person.digest(account.username, "wrong" if wrong else account.password, beside).send(target=target)
        if way == "digest_of_a_key":
            return person.digest(key.public, "wrong" if wrong else key.private, beside).send(target=target)
        if way.startswith("jwt"):
            return get(bearer(getattr(person, way) + ("x" if wrong else "")))
        if way == "session":
            cookies = ("Cookie", "countersign_session=wrong") if wrong else person.login.cookies
            return get(cookies, target=f"{target}?auth=session")
        if way == "cookies":
            cookies = person.cookies | ({"memberHash": "wrong"} if wrong else {})
            return get(("Cookie", "; ".join(f"{name}={signer.escape(value)}" for name, value in cookies.items())))
        token = person.token if way == "oauth1" else None
        changes = {"secret": "wrong"} if wrong else {}
        return get(("Authorization", signer.authorization("GET", f"{self.server.base}{target}", person.client, token, **changes)))

    def verdict(self, way, faults):
        answer = self.send(way, faults)
        if "credential" in faults and "throttle" not in faults:
            # The failure is forgiven when the credential proves itself, so that no test uses up another's budget.
            self.send(way, faults - {"credential"})
        if answer.status == 302:
            return 302, "login"
        said = answer.json
        return answer.status, said["code"]


@pytest.fixture(scope="module")
def court(new_server):
    made = Court(new_server)
    yield made
    made.server.stop()
    made.upstream.stop()


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_leads_to_the_operators_api_and_says_what_it_was(way, court):
    answer = court.send(way, set())
    assert answer.status == 200, answer.body
    headers = dict(answer.json["headers"])
    credential = {"digest_of_a_key": "digest", "cookies": "cookie", "oauth1_two_legged": "oauth1"}.get(way, way).split("_of_")[0]
    assert headers["x-auth-credential"] == credential
    assert headers["x-auth-account"] == court.people[False, False].account.username
    said = json.dumps(answer.json["headers"])
    for secret in (court.people[False, False].key.private, court.people[False, False].cookies["memberHash"]):
        assert secret not in said


@pytest.mark.parametrize(("way", "fault"), [(way, fault) for way in WAYS for fault in WAYS[way]])
def test_every_single_fault_has_its_status(way, fault, court):
    expected = 302 if (way, fault) == ("session", "credential") else STATUS[fault]
    assert court.verdict(way, {fault})[0] == expected


@pytest.mark.parametrize(("way", "first", "second"), PAIRS, ids=[f"{way}-{first}-before-{second}" for way, first, second in PAIRS])
def test_of_two_faults_the_first_in_order_is_told(way, first, second, court):
    expected = court.verdict(way, {first})
    assert court.verdict(way, {first, second}) == expected
    assert court.verdict(way, {second}) != expected
