"""The order of judgement, pair by pair.

A request with two faults must get exactly the answer of the fault that is judged first. Every pair of faults that one
request can have is built and sent; the answers to single faults are checked by themselves first.
"""

import itertools

import pytest
import wire
from upstream import Upstream
from ways import basic, client_key

# In the order of judgement, with the status of each.
FAULTS = {
    "path": 400,
    "route": 404,
    "tls": 403,
    "user-agent": 400,
    "two": 400,
    "none": 401,
    "no-client-key": 400,
    "throttle": 429,
    "credential": 401,
    "state": 403,
    "owner": 403,
    "scope": 403,
}
# Of these a request has at most one: they are different states of the credential or of the route.
EXCLUSIVE = [
    {"route", "tls"},
    {"route", "user-agent"},
    {"route", "scope"},
    {"none", "two"},
    {"none", "no-client-key"},
    {"none", "throttle"},
    {"none", "credential"},
    {"none", "state"},
    {"no-client-key", "owner"},
]
PAIRS = [
    pair for pair in itertools.combinations(FAULTS, 2) if not any(both <= set(pair) for both in EXCLUSIVE)
]


def route(name):
    tls, agent, scope = (part in name for part in ("tls", "agent", "scope"))
    return f"""
[[route]]
path = "/r/{name}/**"
methods = ["basic", "oauth1", "session"]
client_key = "required"
require_tls = {str(tls).lower()}
require_user_agent = {str(agent).lower()}
{'scopes = { "*" = ["report:write"] }' if scope else ""}
"""


ROUTES = ["-".join(names) for n in range(4) for names in itertools.combinations(("tls", "agent", "scope"), n)]


class Court:
    """A server with a route for every set of conditions, and accounts in every state."""

    def __init__(self, new_server):
        self.upstream = Upstream()
        config = f'[upstream]\nurl = "{self.upstream.url}"\n[throttle]\nfailures = 5\nwindow_seconds = 3600\n'
        self.server = new_server(config + "".join(route(name or "plain") for name in ROUTES), "court")
        self.people, self.clients = {}, {}
        for throttled, locked in itertools.product((False, True), repeat=2):
            account = self.server.account(scopes=["account:read"])
            self.people[throttled, locked] = account
            self.clients[throttled, locked] = self.server.client(account, scopes=["account:read"])
        self.foreign = self.server.client(self.server.account())
        for (throttled, locked), account in self.people.items():
            if throttled:
                self.exhaust(account)
            if locked:
                self.server.command("account", "lock", account.username)
        # Wrong passwords must not use up the budgets that the tests live on, so each test has few of them.

    def exhaust(self, account):
        for _ in range(6):
            wire.send(
                self.server,
                "GET",
                "/r/plain/x",
                [("User-Agent", "test"), basic(account.username, "wrong"), client_key(self.clients_of(account))],
            )

    def clients_of(self, account):
        return next(self.clients[state] for state, person in self.people.items() if person is account)

    def send(self, faults, fresh=None):
        """The answer to a request with these faults. `fresh`: an account for wrong passwords, never used before."""
        state = ("throttle" in faults, "state" in faults)
        account, client = self.people[state], self.clients[state]
        if fresh:
            account, client = fresh
        conditions = [part for part, fault in (("tls", "tls"), ("agent", "user-agent"), ("scope", "scope")) if fault in faults]
        path = f"/r/{'-'.join(conditions) or 'plain'}/x"
        if "route" in faults:
            path = "/nowhere"
        if "path" in faults:
            path += "//y"
        headers = [] if "user-agent" in faults else [("User-Agent", "test")]
        if "none" not in faults:
            headers.append(basic(account.username, "wrong" if "credential" in faults else account.password))
        if "two" in faults:
            path += "?oauth_consumer_key=a&oauth_signature=b"
        if "owner" in faults:
            headers.append(client_key(self.foreign))
        elif "no-client-key" not in faults:
            headers.append(client_key(client))
        answer = wire.send(self.server, "GET", path, headers)
        return answer, account

    def verdict(self, faults):
        """Status, code and message, with the username taken out, since faults need different accounts."""
        fresh = None
        if "credential" in faults and "throttle" not in faults:
            account = self.server.account(scopes=["account:read"])
            fresh = account, self.server.client(account, scopes=["account:read"])
            if "state" in faults:
                self.server.command("account", "lock", account.username)
        answer, account = self.send(faults, fresh)
        said = answer.json
        return answer.status, said["code"], said["message"].replace(account.username, "USERNAME"), said["additional"]


@pytest.fixture(scope="module")
def court(new_server):
    made = Court(new_server)
    yield made
    made.server.stop()
    made.upstream.stop()


def test_a_request_without_a_fault_reaches_the_operators_api(court):
    answer, _ = court.send(set())
    assert answer.status == 200
    assert answer.json["target"] == "/r/plain/x"


@pytest.mark.parametrize("fault", FAULTS)
def test_every_single_fault_has_its_status(fault, court):
    assert court.verdict({fault})[0] == FAULTS[fault]


def test_every_single_fault_has_an_answer_of_its_own(court):
    verdicts = {fault: court.verdict({fault})[:3] for fault in FAULTS}
    assert len(set(verdicts.values())) == len(FAULTS), verdicts


@pytest.mark.parametrize(
    ("target", "status"),
    [("/nowhere", 404), ("/r/tls/x", 403), ("/r/agent/x", 400), ("/r/plain/x?oauth_signature=b", 401), ("/r/plain/x", 401)],
)
def test_a_header_that_is_no_text_is_judged_like_any_other_credential(target, status, court):
    answer = unreadable(court.server, "GET", target)
    assert answer.status == status
    if status == 401:
        assert "not valid UTF-8" in answer.json["message"] and answer.all("WWW-Authenticate")[0].startswith("Basic ")


def test_a_client_key_that_is_no_text_is_nobodys(court):
    person, target = court.people[False, False], "/r/plain/x"
    headers = [("User-Agent", "test"), basic(person.username, person.password)]
    assert unreadable(court.server, "GET", target, headers, "X-Client-Key: ").status == 403


def unreadable(server, verb, target, headers=(), name="Authorization: Basic "):
    """The answer to a request with a header that is no UTF-8."""
    made = wire.request_bytes(verb, target, server.authority, headers)
    made = made[:-2] + name.encode() + b"\xff\xfe\r\n\r\n"
    return wire.exchange((server.host, server.port), made, verb)


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[f"{first}-before-{second}" for first, second in PAIRS])
def test_of_two_faults_the_first_in_order_is_told(first, second, court):
    expected = court.verdict({first})
    assert court.verdict({first, second}) == expected
    assert court.verdict({second}) != expected
