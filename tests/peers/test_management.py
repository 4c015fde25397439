"""The management API as scripts, apps and pages meet it: who may call it, whose things they reach, every field, every refusal."""

import datetime
import json
import urllib.parse
from collections import namedtuple

import pytest
import signer
import wire
from browser import Browser, logged_in
from conftest import PATIENT
from dance import dance, signed
from harness import CommandFailed, eventually
from ways import Digest, basic, bearer, client_key

SECRETS = ("client_secret", "private_key", "password", "oauth_token_secret")
EVERYTHING = ["manage:read", "manage:write", "account:read"]


@pytest.fixture(scope="module")
def house(new_server):
    started = new_server(PATIENT, "management")
    yield started
    started.stop()


People = namedtuple("People", "root boss robot member stranger")


@pytest.fixture(scope="module")
def people(house):
    """An admin of everything; of acme an admin, an integrator and a member; a member of another company."""
    return People(
        house.account("root@example.com", role="admin"),
        house.account("boss@acme.example", company="acme", role="admin"),
        house.account("robot@acme.example", company="acme", role="integrator"),
        house.account("member@acme.example", company="acme"),
        house.account("stranger@other.example", company="other"),
    )


def ask(server, who, verb, path, body=None, *headers):
    """One request under /api/v1. `who`: an account with its password, a header, or None."""
    credential = [basic(who.username, who.password)] if hasattr(who, "password") else [who] if who else []
    if body is not None and not isinstance(body, bytes | str):
        body = json.dumps(body)
    return wire.send(server, verb, f"/api/v1{path}", [*credential, *headers], body)


def good(answer, status=200):
    assert answer.status == status, answer.body
    return answer.json if answer.body else None


def refused(answer, status, code=None):
    assert answer.status == status, answer.body
    said = answer.json
    assert sorted(said) == ["additional", "code", "errors", "message", "reference", "status"]
    assert (said["status"], said["errors"]) == (status, None)
    assert code in (None, said["code"]), said
    return said


def name(text):
    return urllib.parse.quote(text, safe="")


def listed(server, who, path):
    """A whole list, following Link from part to part."""
    items, path = [], f"{path}{'&' if '?' in path else '?'}limit=2"
    for _ in range(100):
        answer = ask(server, who, "GET", path)
        items += good(answer)
        links = answer.all("Link")
        if not links:
            return items
        target, _, rel = links[0].partition(">; ")
        assert rel == 'rel="next"'
        path = target.removeprefix("</api/v1")
    raise AssertionError("a list without an end")


@pytest.fixture(scope="module")
def document(house):
    return wire.send(house, "GET", "/api/openapi.json").json


def operations(document):
    """Every operation of the management API: (method, path, description)."""
    return [
        (verb.upper(), path.removeprefix("/api/v1"), described)
        for path, verbs in document["paths"].items()
        if path.startswith("/api/v1/")
        for verb, described in verbs.items()
    ]


# --- who gets in ---


def ways(server, account):
    """Every admitted way in for one account, as a function that asks."""
    key = server.key(account, scopes=EVERYTHING)
    client = server.client(account, scopes=EVERYTHING)
    token = dance(server, client, Browser(account))
    jwt = wire.send(server, "POST", "/api/auth/jwt", [basic(account.username, account.password)], b"").json["token"]
    key_jwt = wire.send(server, "POST", "/api/auth/jwt", [basic(key.public, key.private)], b"").json["token"]
    browser = logged_in(server, account)
    return {
        "password": lambda path: ask(server, account, "GET", path),
        "api key": lambda path: ask(server, basic(key.public, key.private), "GET", path),
        "account id and private key": lambda path: ask(server, basic(account.id, key.private), "GET", path),
        "jwt of a password": lambda path: ask(server, bearer(jwt), "GET", path),
        "jwt of a key": lambda path: ask(server, bearer(key_jwt), "GET", path),
        "oauth": lambda path: signed(server, "GET", f"/api/v1{path}", client, token),
        "two-legged oauth": lambda path: signed(server, "GET", f"/api/v1{path}", client),
        "session": lambda path: ask(server, browser.cookies, "GET", path),
    }


def test_every_admitted_credential_gets_in_without_a_client_key(house):
    account = house.account()
    for way, attempt in ways(house, account).items():
        found = good(attempt("/accounts"))
        assert [item["username"] for item in found] == [account.username], way


def test_a_client_key_beside_the_credential_is_not_read(house, people):
    foreign = house.client(people.stranger)
    assert ask(house, people.member, "GET", "/accounts", None, client_key(foreign)).status == 200


def test_digest_is_not_admitted_and_not_offered(house, people):
    digest = Digest(house, people.member.username, people.member.password, headers=[client_key(house.client(people.member))])
    answer = digest.send("GET", "/api/v1/accounts")
    refused(answer, 401, "method_not_admitted")
    assert [line.partition(" ")[0] for line in answer.all("WWW-Authenticate")] == ["Basic", "OAuth", "Bearer"]


def test_without_a_credential_it_is_401_with_a_challenge_for_each_admitted_scheme(house):
    for path in ("/accounts", "/keys", "/audit"):
        answer = ask(house, None, "GET", path)
        refused(answer, 401, "credentials_required")
        assert [line.partition(" ")[0] for line in answer.all("WWW-Authenticate")] == ["Basic", "OAuth", "Bearer"]


def test_a_wrong_credential_is_401_and_two_are_400(house, people):
    said = refused(ask(house, basic(people.member.username, "wrong"), "GET", "/keys"), 401, "bad_credentials")
    assert said["message"] == f"Could not authenticate: {people.member.username}"
    refused(ask(house, basic("nobody", "wrong"), "GET", "/keys"), 401, "bad_credentials")
    refused(ask(house, bearer("x.y.z"), "GET", "/keys"), 401, "bad_token")
    refused(ask(house, people.member, "GET", "/keys?oauth_consumer_key=x"), 400, "several_credentials")
    answer = ask(house, ("Authorization", 'OAuth oauth_consumer_key="x"'), "GET", "/keys")
    assert answer.status == 400
    assert answer.problem == "parameter_absent"


@pytest.mark.parametrize("scopes", [[], ["account:read"]])
def test_a_key_has_manage_scopes_only_by_name(scopes, house, people):
    key = house.key(people.root, scopes=scopes)
    said = refused(ask(house, basic(key.public, key.private), "GET", "/accounts"), 403, "scope_missing")
    assert "manage:read" in said["message"]


def test_reading_takes_manage_read_and_every_change_takes_manage_write(house, people, document):
    reader = house.key(people.root, scopes=["manage:read"])
    writer = house.key(people.root, scopes=["manage:write"])
    for verb, path, described in operations(document):
        used, needed = (writer, "manage:read") if verb == "GET" else (reader, "manage:write")
        assert described["description"] == f"Needs the scope {needed}."
        path = path.replace("{", "").replace("}", "")
        said = refused(ask(house, basic(used.public, used.private), verb, path), 403, "scope_missing")
        assert needed in said["message"], (verb, path)


def test_an_apps_token_does_what_its_scopes_say_and_for_its_account(house):
    account, developer = house.account(), house.account()
    reader = house.client(developer, scopes=["manage:read"])
    token = dance(house, reader, Browser(account))
    assert [item["username"] for item in good(signed(house, "GET", "/api/v1/accounts", reader, token))] == [account.username]
    assert signed(house, "DELETE", "/api/v1/keys/x", reader, token).status == 403
    plain = house.client(developer, scopes=["account:read"])
    assert signed(house, "GET", "/api/v1/keys", plain, dance(house, plain, Browser(account))).status == 403


# --- sessions ---


def test_a_session_changes_something_only_with_its_own_csrf_token(house):
    account, other = house.account(), house.account()
    login, others = logged_in(house, account), logged_in(house, other)
    body = {"name": "k"}
    assert ask(house, login.cookies, "GET", "/keys").status == 200
    for headers in ([], [("X-CSRF-Token", "")], [("X-CSRF-Token", "x")], [others.token]):
        refused(ask(house, login.cookies, "POST", "/keys", body, *headers), 403, "cross_site")
        # As a form of another site would send it.
        typed = ("Content-Type", "text/plain")
        refused(ask(house, login.cookies, "POST", "/keys", body, typed, *headers), 403, "cross_site")
    assert good(ask(house, login.cookies, "GET", "/keys")) == []
    made = good(ask(house, login.cookies, "POST", "/keys", body, login.token), 201)
    assert ask(house, login.cookies, "DELETE", f"/keys/{made['public_key']}").status == 403
    assert ask(house, login.cookies, "DELETE", f"/keys/{made['public_key']}", None, login.token).status == 204


def test_the_cookie_of_a_login_that_ended_is_no_credential(house):
    account = house.account()
    login = logged_in(house, account)
    house.command("account", "set-password", account.username, "--password-stdin", stdin="another good one")
    assert eventually(lambda: ask(house, login.cookies, "GET", "/keys").status == 401)


@pytest.mark.parametrize("state", ["lock", "disable"])
def test_a_locked_or_disabled_account_may_log_in_to_see_and_to_revoke_and_no_more(state, house, people):
    account = house.account()
    key, client = house.key(account), house.client(account)
    token = dance(house, client, Browser(account))
    good(ask(house, people.root, "POST", f"/accounts/{name(account.username)}/{state}", {"reason": "late"}))
    said = refused(ask(house, account, "GET", "/keys"), 403, {"lock": "account_locked", "disable": "account_disabled"}[state])
    assert said["additional"] == "late"
    login = logged_in(house, account)
    see = lambda path: good(ask(house, login.cookies, "GET", path))  # noqa: E731
    act = lambda verb, path, body=None: ask(house, login.cookies, verb, path, body, login.token)  # noqa: E731
    assert see(f"/accounts/{name(account.username)}")["reason"] == "late"
    assert [item["public_key"] for item in see("/keys")] == [key.public]
    (grant,) = see("/grants")
    (seen,) = see("/tokens")
    refused(act("POST", "/keys", {"name": "more"}), 403, "forbidden")
    refused(act("POST", f"/keys/{key.public}/regenerate"), 403, "forbidden")
    refused(act("POST", f"/clients/{client.key}/rotate-secret"), 403, "forbidden")
    refused(act("PATCH", f"/accounts/{name(account.username)}", {"name": "x"}), 403, "forbidden")
    assert act("DELETE", f"/tokens/{seen['id']}").status == 204
    assert act("DELETE", f"/grants/{grant['id']}").status == 204
    assert act("DELETE", f"/keys/{key.public}").status == 204
    assert act("POST", f"/clients/{client.key}/disable").status == 200
    assert see("/grants") == see("/keys") == []
    assert signed(house, "GET", "/v2/me", client, token).status in (401, 403)


# --- whose things ---


@pytest.fixture(scope="module")
def belongings(house, people):
    """One of everything for the member and for the stranger."""
    made = {}
    for account in (people.member, people.stranger):
        client = house.client(account, scopes=["account:read"])
        dance(house, client, Browser(account))
        made[account.username] = (client, house.key(account))
    return made


def seen_by(house, who):
    return {
        kind: {item[field] for item in listed(house, who, f"/{kind}")}
        for kind, field in [
            ("accounts", "username"),
            ("companies", "id"),
            ("clients", "owner"),
            ("keys", "username"),
            ("tokens", "username"),
            ("grants", "username"),
        ]
    }


def test_a_member_and_an_integrator_see_their_own_things_only(house, people, belongings):
    seen = seen_by(house, people.member)
    assert seen == {kind: {people.member.username} for kind in seen} | {"companies": {"acme"}}
    seen = seen_by(house, people.robot)
    assert seen["accounts"] == {people.robot.username}
    assert seen["clients"] == seen["tokens"] == seen["grants"] == set()


def test_an_admin_of_a_company_sees_its_companys_things_and_an_admin_without_one_all(house, people, belongings):
    seen = seen_by(house, people.boss)
    assert seen["accounts"] == {who.username for who in (people.boss, people.robot, people.member)}
    assert seen["companies"] == {"acme"}
    for kind in ("clients", "keys", "tokens", "grants"):
        assert people.member.username in seen[kind], kind
        assert people.stranger.username not in seen[kind], kind
    seen = seen_by(house, people.root)
    assert {"acme", "other"} <= seen["companies"]
    for kind in ("accounts", "clients", "keys", "tokens", "grants"):
        assert {people.member.username, people.stranger.username} <= seen[kind], kind


def test_the_audit_log_shows_each_what_is_within_reach(house, people, belongings):
    def about(who):
        return {row["account"] for row in good(ask(house, who, "GET", "/audit?limit=1000"))}

    assert about(people.member) == {people.member.id}
    assert people.stranger.id not in about(people.boss)
    assert {people.member.id, people.boss.id} <= about(people.boss)
    assert {people.member.id, people.stranger.id} <= about(people.root)


def test_what_belongs_to_another_is_not_there_whatever_is_tried(house, people, belongings, document):
    """Every operation of the description on something of the stranger's, by a member, an integrator and a company's admin."""
    client, key = belongings[people.stranger.username]
    (token,) = good(ask(house, people.stranger, "GET", "/tokens"))
    (grant,) = good(ask(house, people.stranger, "GET", "/grants"))
    ids = {"accounts": people.stranger.username, "companies": "other", "clients": client.key, "keys": key.public}
    ids |= {"tokens": token["id"], "grants": grant["id"], "members": people.stranger.username}
    before = {path: good(ask(house, people.root, "GET", path)) for path in (f"/{kind}/{name(ids[kind])}" for kind in list(ids)[:6])}
    tried = 0
    for verb, path, described in operations(document):
        if "{" not in path:
            continue
        kind = path.split("/")[1]
        target = path[: path.index("{")] + name(ids[kind]) + path[path.index("}") + 1 :]
        fields = described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        body = {field: "12345678" for field in fields.get("required", [])} or None
        for who in (people.member, people.robot, people.boss):
            answer = ask(house, who, verb, target, body)
            refused(answer, 403 if kind == "members" else 404)
            tried += 1
    assert tried >= 60
    assert before == {path: good(ask(house, people.root, "GET", path)) for path in before}


def test_the_filters_of_lists_reach_no_further_than_the_caller(house, people, belongings):
    client, _ = belongings[people.stranger.username]
    for path in ("/keys?account=", "/tokens?account=", "/grants?account=", "/audit?account=", "/clients?owner="):
        for who in (people.member, people.boss):
            refused(ask(house, who, "GET", path + name(people.stranger.username)), 404)
            refused(ask(house, who, "GET", path + people.stranger.id), 404)
    for path in ("/tokens?client=", "/grants?client=", "/audit?client="):
        assert good(ask(house, people.member, "GET", path + client.key)) == []
    assert good(ask(house, people.boss, "GET", "/accounts?company=other")) == []


def test_a_developer_sees_the_tokens_of_its_app_and_may_revoke_them_but_not_the_holders_other_things(house):
    developer, holder = house.account(), house.account()
    client = house.client(developer)
    dance(house, client, Browser(holder))
    (token,) = good(ask(house, developer, "GET", "/tokens"))
    assert (token["username"], token["client_key"]) == (holder.username, client.key)
    refused(ask(house, developer, "GET", f"/accounts/{name(holder.username)}"), 404)
    assert ask(house, developer, "DELETE", f"/tokens/{token['id']}").status == 204


def test_an_admin_of_a_company_sees_and_revokes_the_tokens_of_its_companys_apps_whoever_holds_them(house, people):
    holder = house.account()
    for owner in (people.boss, people.member):
        client = house.client(owner)
        token = dance(house, client, Browser(holder))
        (seen,) = good(ask(house, people.boss, "GET", f"/tokens?client={client.key}"))
        assert seen["username"] == holder.username
        assert good(ask(house, people.boss, "GET", f"/tokens/{seen['id']}")) == seen
        refused(ask(house, people.stranger, "GET", f"/tokens/{seen['id']}"), 404)
        assert ask(house, people.boss, "DELETE", f"/tokens/{seen['id']}").status == 204
        assert signed(house, "GET", "/v2/me", client, token).problem == "token_revoked"
        assert good(ask(house, people.boss, "GET", f"/grants?client={client.key}")) == []


def test_a_member_makes_and_changes_no_accounts_but_its_own_details(house, people):
    own = f"/accounts/{name(people.member.username)}"
    refused(ask(house, people.member, "POST", "/accounts", {"username": "new"}), 403, "forbidden")
    refused(ask(house, people.member, "POST", "/companies", {"id": "mine"}), 403, "forbidden")
    for change in ({"status": "active"}, {"password": "12345678"}, {"role": "admin"}, {"scopes": ["*"]}, {"company": "other"}, {"company": None}, {"username": "x"}, {"external_id": "1"}):
        refused(ask(house, people.member, "PATCH", own, change), 403, "forbidden")
    for order in ("lock", "disable", "enable"):
        refused(ask(house, people.member, "POST", f"{own}/{order}"), 403, "forbidden")
    refused(ask(house, people.member, "POST", f"{own}/set-password", {"password": "12345678"}), 403, "forbidden")
    refused(ask(house, people.member, "DELETE", own), 403, "forbidden")
    changed = good(ask(house, people.member, "PATCH", own, {"name": "Mem Ber", "email": "m@example.org"}))
    assert (changed["name"], changed["email"], changed["role"]) == ("Mem Ber", "m@example.org", "member")


def test_an_admin_of_a_company_makes_keeps_and_removes_accounts_of_that_company_only(house, people):
    made = good(ask(house, people.boss, "POST", "/accounts", {"username": "hire@acme.example", "password": "correct horse"}), 201)
    assert (made["company"], made["role"]) == ("acme", "member")
    own = f"/accounts/{name(made['username'])}"
    refused(ask(house, people.boss, "POST", "/accounts", {"username": "x1", "company": "other"}), 403, "forbidden")
    refused(ask(house, people.boss, "POST", "/accounts", {"username": "x2", "company": "brand-new"}), 403, "forbidden")
    refused(ask(house, people.boss, "PATCH", own, {"company": "other"}), 403, "forbidden")
    refused(ask(house, people.boss, "PATCH", own, {"company": None}), 403, "forbidden")
    refused(ask(house, people.boss, "POST", "/companies", {"id": "mine"}), 403, "forbidden")
    refused(ask(house, people.boss, "PATCH", f"/accounts/{name(people.root.username)}", {"name": "x"}), 404)
    assert good(ask(house, people.boss, "PATCH", own, {"role": "integrator"}))["role"] == "integrator"
    assert good(ask(house, people.boss, "POST", f"{own}/lock", {"reason": "late"}))["status"] == "locked"
    assert good(ask(house, people.boss, "POST", f"{own}/enable"))["status"] == "active"
    assert ask(house, people.boss, "POST", f"{own}/set-password", {"password": "battery staple"}).status == 204
    client = good(ask(house, people.boss, "POST", "/clients", {"owner": made["username"], "name": "A"}), 201)
    assert client["owner"] == made["username"]
    key = good(ask(house, people.boss, "POST", "/keys", {"account": made["username"], "name": "K"}), 201)
    assert key["username"] == made["username"]
    refused(ask(house, people.boss, "POST", "/keys", {"account": people.stranger.username, "name": "K"}), 404)
    refused(ask(house, people.boss, "POST", "/clients", {"owner": people.stranger.username, "name": "K"}), 404)
    assert ask(house, people.boss, "DELETE", own).status == 204


def test_nobody_demotes_locks_or_deletes_itself_nor_gives_more_than_it_has(house, people):
    own = f"/accounts/{name(people.boss.username)}"
    for change in ({"role": "member"}, {"company": "other"}, {"status": "locked"}, {"password": "12345678"}):
        refused(ask(house, people.boss, "PATCH", own, change), 403, "forbidden")
    refused(ask(house, people.boss, "POST", f"{own}/lock"), 403, "forbidden")
    refused(ask(house, people.boss, "DELETE", own), 403, "forbidden")
    limited = house.account(company="acme", role="admin", scopes=EVERYTHING)
    for scopes in (["*"], ["report:write"]):
        body = {"username": "more@acme.example", "scopes": scopes}
        refused(ask(house, limited, "POST", "/accounts", body), 403, "forbidden")
    body = {"username": "less@acme.example", "scopes": ["account:read"]}
    made = good(ask(house, limited, "POST", "/accounts", body), 201)
    assert made["scopes"] == ["account:read"]
    refused(ask(house, limited, "PATCH", f"/accounts/{made['id']}", {"scopes": ["*"]}), 403, "forbidden")
    refused(ask(house, limited, "POST", "/keys", {"name": "k", "scopes": ["report:write"]}), 400)


# --- every field ---


def test_a_client_that_an_admin_suspended_is_not_enabled_by_its_owner(house, people):
    client = house.client(people.member)
    path = f"/clients/{client.key}"
    assert good(ask(house, people.member, "POST", f"{path}/disable"))["status"] == "disabled"
    assert good(ask(house, people.member, "POST", f"{path}/enable"))["status"] == "active"
    suspended = good(ask(house, people.boss, "POST", f"{path}/disable"))
    assert (suspended["status"], suspended["suspended"]) == ("disabled", True)
    refused(ask(house, people.member, "POST", f"{path}/enable"), 403)
    refused(ask(house, people.member, "PATCH", path, {"status": "active"}), 403)
    assert good(ask(house, people.boss, "POST", f"{path}/enable")).get("suspended") is None


def test_a_change_that_is_refused_in_one_field_changes_no_other(house, people):
    client = house.client(people.member)
    path = f"/clients/{client.key}"
    refused(ask(house, people.member, "PATCH", path, {"status": "disabled", "name": ""}), 400)
    assert good(ask(house, people.member, "GET", path))["status"] == "active"
    good(ask(house, people.boss, "POST", f"{path}/disable"))
    refused(ask(house, people.member, "PATCH", path, {"status": "active", "name": "Another"}), 403)
    assert good(ask(house, people.member, "GET", path))["name"] != "Another"
    changed = good(ask(house, people.boss, "PATCH", path, {"status": "active", "name": "Another"}))
    assert (changed["status"], changed["name"]) == ("active", "Another")


def test_what_the_operator_suspended_no_admin_of_a_company_enables(house, people):
    root = house.account(role="admin")
    for suspend in (lambda key: house.command("client", "disable", key), lambda key: good(ask(house, root, "POST", f"/clients/{key}/disable"))):
        client = house.client(people.member)
        suspend(client.key)
        for caller in (people.member, people.boss):
            refused(ask(house, caller, "POST", f"/clients/{client.key}/enable"), 403)
            refused(ask(house, caller, "POST", f"/clients/{client.key}/disable"), 403)
        assert good(ask(house, root, "GET", f"/clients/{client.key}"))["suspended"] is True
        assert good(ask(house, root, "POST", f"/clients/{client.key}/enable"))["status"] == "active"


def test_accounts_have_every_field_and_forget_what_is_taken_away(house, people):
    body = {
        "username": "full+field@example.com",
        "password": "pässwörd: 1",
        "company": "fields",
        "role": "integrator",
        "scopes": ["account:read", "manage:read"],
        "name": "Full Field",
        "email": "field@example.com",
        "external_id": "4711",
    }
    made = good(ask(house, people.root, "POST", "/accounts", body), 201)
    assert {key: made[key] for key in body if key != "password"} == {key: body[key] for key in body if key != "password"}
    assert (made["status"], made["reason"]) == ("active", None)
    assert datetime.datetime.fromisoformat(made["created_at"]).utcoffset() == datetime.timedelta(0)
    assert ask(house, basic(body["username"], body["password"]), "GET", "/accounts").status == 200
    assert "fields" in {company["id"] for company in good(ask(house, people.root, "GET", "/companies"))}
    path = f"/accounts/{made['id']}"
    change = {"username": "other@example.com", "company": None, "role": "member", "scopes": ["*"], "name": "New"}
    changed = good(ask(house, people.root, "PATCH", path, change | {"email": None, "external_id": None}))
    assert {key: changed[key] for key in change} == change
    assert changed["email"] is None
    assert changed["external_id"] is None
    assert good(ask(house, people.root, "GET", "/accounts/other%40example.com")) == changed
    assert ask(house, basic("other@example.com", body["password"]), "GET", "/accounts").status == 200
    assert ask(house, basic(body["username"], body["password"]), "GET", "/accounts").status == 401
    alone = good(ask(house, people.root, "POST", "/accounts", {"username": "alone"}), 201)
    assert alone["scopes"] == ["*"]
    assert ask(house, basic("alone", ""), "GET", "/accounts").status == 401


def test_what_the_api_changes_counts_with_the_next_request(house, people):
    account = house.account()
    own, key = house.client(account), house.key(account)
    path = f"/accounts/{name(account.username)}"
    by_password = lambda password=account.password: wire.send(house, "GET", "/v2/me", [basic(account.username, password), client_key(own)]).status  # noqa: E731
    by_key = lambda private=key.private: wire.send(house, "GET", "/v2/me", [basic(key.public, private)]).status  # noqa: E731
    assert (by_password(), by_key()) == (200, 200)
    good(ask(house, people.root, "POST", f"{path}/lock"))
    assert (by_password(), by_key()) == (403, 403)
    good(ask(house, people.root, "POST", f"{path}/enable"))
    assert (by_password(), by_key()) == (200, 200)
    assert ask(house, people.root, "POST", f"{path}/set-password", {"password": "battery staple"}).status == 204
    assert (by_password(), by_password("battery staple")) == (401, 200)
    good(ask(house, people.root, "POST", f"/clients/{own.key}/disable"))
    assert by_password("battery staple") == 403
    good(ask(house, people.root, "POST", f"/clients/{own.key}/enable"))
    assert by_password("battery staple") == 200
    renewed = good(ask(house, people.root, "POST", f"/keys/{key.public}/regenerate"))
    assert (by_key(), by_key(renewed["private_key"])) == (401, 200)
    assert ask(house, people.root, "DELETE", f"/keys/{key.public}").status == 204
    assert by_key(renewed["private_key"]) == 401
    assert ask(house, people.root, "DELETE", path).status == 204
    assert by_password("battery staple") == 401


def test_status_and_password_may_be_patched_too(house, people):
    account = house.account(company="acme")
    own, client = f"/accounts/{account.id}", house.client(account)
    attempt = lambda password: wire.send(house, "GET", "/v2/me", [basic(account.username, password), client_key(client)])  # noqa: E731
    changed = good(ask(house, people.boss, "PATCH", own, {"status": "disabled", "reason": "spam", "name": "S"}))
    assert (changed["status"], changed["reason"], changed["name"]) == ("disabled", "spam", "S")
    assert attempt(account.password).json["additional"] == "spam"
    changed = good(ask(house, people.boss, "PATCH", own, {"status": "active", "password": "battery staple", "username": "renamed@acme.example"}))
    assert (changed["status"], changed["reason"], changed["username"]) == ("active", None, "renamed@acme.example")
    account.username = changed["username"]
    assert (attempt(account.password).status, attempt("battery staple").status) == (401, 200)
    digest = Digest(house, account.username, "battery staple", headers=[client_key(client)])
    assert digest.send().status == 200
    assert good(ask(house, people.boss, "PATCH", f"/clients/{client.key}", {"status": "disabled"}))["status"] == "disabled"
    assert attempt("battery staple").status == 403
    assert good(ask(house, people.boss, "PATCH", f"/clients/{client.key}", {"status": "active"}))["status"] == "active"
    events = [row["event"] for row in good(ask(house, people.root, "GET", f"/audit?account={account.id}"))]
    assert {"account.disabled", "account.enabled"} <= set(events)


def test_clients_have_every_field(house, people, rsa):
    body = {
        "name": "Full App",
        "callbacks": ["https://app.example.com/done?x=1", "myapp://back", "oob"],
        "scopes": ["account:read", "report:write"],
        "signature_methods": ["HMAC-SHA256", "RSA-SHA256"],
        "rsa_public_key": rsa.public.read_text(),
        "http_auth": False,
    }
    made = good(ask(house, people.member, "POST", "/clients", body), 201)
    assert {key: made[key] for key in body if key != "rsa_public_key"} == {key: body[key] for key in body if key != "rsa_public_key"}
    assert "BEGIN PUBLIC KEY" in made["rsa_public_key"]
    assert (made["owner"], made["status"]) == (people.member.username, "active")
    assert len(made["client_secret"]) >= 32
    path = f"/clients/{made['client_key']}"
    shown = good(ask(house, people.member, "GET", path))
    assert not set(SECRETS) & set(shown)
    change = {"name": "New", "callbacks": [], "scopes": [], "signature_methods": ["HMAC-SHA1"], "rsa_public_key": None, "http_auth": True}
    changed = good(ask(house, people.member, "PATCH", path, change))
    assert {key: changed[key] for key in change} == change
    rotated = good(ask(house, people.member, "POST", f"{path}/rotate-secret", {"grace": 3600}))
    assert rotated["client_secret"] != made["client_secret"]
    assert rotated["previous_secret_until"] == good(ask(house, people.member, "GET", path))["previous_secret_until"]
    until = datetime.datetime.fromisoformat(rotated["previous_secret_until"])
    left = until - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(minutes=50) < left <= datetime.timedelta(hours=1)
    plain = good(ask(house, people.member, "POST", "/clients", {"name": "Plain"}), 201)
    assert (plain["scopes"], plain["callbacks"], plain["http_auth"]) == ([], [], True)
    assert "HMAC-SHA1" in plain["signature_methods"]
    assert ask(house, people.member, "DELETE", path).status == 204
    refused(ask(house, people.member, "GET", path), 404)


def test_a_rotated_secret_is_good_beside_the_new_one_for_as_long_as_grace_says(house):
    account = house.account()
    client = house.client(account, scopes=["manage:read"])
    ways = lambda secret: signed(house, "GET", "/api/v1/accounts", client, secret=secret).status  # noqa: E731
    first = good(ask(house, account, "POST", f"/clients/{client.key}/rotate-secret", {"grace": 3600}))
    assert (ways(client.secret), ways(first["client_secret"])) == (200, 200)
    second = good(ask(house, account, "POST", f"/clients/{client.key}/rotate-secret"))
    assert ways(first["client_secret"]) == 401
    assert ways(second["client_secret"]) == 200


def test_keys_have_every_field(house, people):
    body = {"name": "Full Key", "scopes": ["account:read", "manage:read"], "expires_in": 3600}
    made = good(ask(house, people.member, "POST", "/keys", body), 201)
    assert (made["name"], made["scopes"], made["username"]) == (body["name"], body["scopes"], people.member.username)
    assert made["impersonated_by"] is None
    left = datetime.datetime.fromisoformat(made["expires_at"]) - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(minutes=50) < left <= datetime.timedelta(hours=1)
    path = f"/keys/{made['public_key']}"
    assert not set(SECRETS) & set(good(ask(house, people.member, "GET", path)))
    answer = wire.send(house, "GET", "/v2/me", [basic(made["public_key"], made["private_key"])])
    assert (answer.status, answer.json["scopes"]) == (200, body["scopes"])
    plain = good(ask(house, people.member, "POST", "/keys", {"name": "Plain"}), 201)
    assert (plain["scopes"], plain["expires_at"]) == (["*"], None)
    renewed = good(ask(house, people.member, "POST", f"{path}/regenerate"))
    assert renewed["public_key"] == made["public_key"]
    assert renewed["private_key"] != made["private_key"]
    assert ask(house, people.member, "DELETE", path).status == 204


def test_a_key_that_has_expired_is_not_made_anew(house, people):
    made = good(ask(house, people.member, "POST", "/keys", {"name": "Short", "expires_in": 1}), 201)
    path = f"/keys/{made['public_key']}"
    assert eventually(lambda: good(ask(house, people.member, "GET", path))["status"] == "expired")
    said = refused(ask(house, people.member, "POST", f"{path}/regenerate"), 409, "conflict")
    assert said["message"] == "the key has expired: make a new one"
    with pytest.raises(CommandFailed) as failed:
        house.command("key", "regenerate", made["public_key"])
    assert failed.value.code == 1 and said["message"] in failed.value.said


def test_what_the_answer_says_of_a_key_or_a_client_makes_another_like_it(house, people):
    key = good(ask(house, people.member, "POST", "/keys", {"name": "Plain", "scopes": ["*"], "expires_in": None}), 201)
    assert (key["scopes"], key["expires_at"], key["status"]) == (["*"], None, "active")
    plain = {field: key[field] for field in ("name", "username", "scopes")}
    assert good(ask(house, people.boss, "POST", "/keys", plain), 201)["scopes"] == ["*"]
    assert good(ask(house, people.member, "POST", "/keys", {"name": "None", "scopes": []}), 201)["scopes"] == []
    assert good(ask(house, people.member, "GET", f"/keys/{key['public_key']}"))["status"] == "active"
    client = good(ask(house, people.member, "POST", "/clients", {"name": "Plain", "callbacks": None, "rsa_public_key": None}), 201)
    again = {field: client[field] for field in ("owner", "name", "callbacks", "scopes", "signature_methods", "rsa_public_key", "http_auth")}
    assert good(ask(house, people.boss, "POST", "/clients", again), 201)["owner"] == people.member.username


def test_null_is_as_good_as_nothing_where_something_is_made(house, people, document):
    for verb, path, described in operations(document):
        fields = described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        if verb != "POST" or not fields or "{" in path:
            continue
        values = {"name": "N", "id": f"null-{path[1:]}", "username": f"null-{path[1:]}"}
        needed = {field: values[field] for field in fields["required"]}
        optional = [field for field in fields["properties"] if field not in needed]
        assert all("null" in fields["properties"][field]["type"] for field in optional)
        good(ask(house, people.root, "POST", path, dict.fromkeys(optional) | needed), 201)
    lock = f"/accounts/{name(house.account().username)}/lock"
    assert good(ask(house, people.root, "POST", lock, {"reason": None}))["reason"] is None


def test_an_account_is_named_by_username_as_well_as_by_the_older_names(house, people):
    account = house.account(company="acme")
    client = good(ask(house, people.boss, "POST", "/clients", {"username": account.username, "name": "A", "scopes": ["account:read"]}), 201)
    assert client["owner"] == account.username
    both = {"username": account.username, "owner": account.username, "name": "B"}
    assert good(ask(house, people.boss, "POST", "/clients", both), 201)["owner"] == account.username
    refused(ask(house, people.boss, "POST", "/clients", {"username": people.stranger.username, "name": "C"}), 404)
    house.key(account)
    dance(house, house.client(people.member), Browser(account))
    for kind, older in (("keys", "account"), ("tokens", "account"), ("grants", "account"), ("clients", "owner")):
        found = good(ask(house, people.root, "GET", f"/{kind}?username={name(account.username)}"))
        assert found, kind
        assert found == good(ask(house, people.root, "GET", f"/{kind}?{older}={account.id}")), kind
        refused(ask(house, people.member, "GET", f"/{kind}?username={name(people.stranger.username)}"), 404)


def test_accounts_and_the_audit_log_are_narrowed_to_a_username_too(house, people):
    found = good(ask(house, people.root, "GET", f"/accounts?username={name(people.boss.username)}"))
    assert [item["username"] for item in found] == [people.boss.username]
    assert good(ask(house, people.root, "GET", f"/accounts?username={people.boss.id}&role=member")) == []
    rows = good(ask(house, people.root, "GET", f"/audit?username={name(people.boss.username)}"))
    assert rows == good(ask(house, people.root, "GET", f"/audit?account={people.boss.id}"))
    for path in ("/accounts?username=", "/audit?username="):
        refused(ask(house, people.member, "GET", path + name(people.stranger.username)), 404)


def test_a_client_is_named_by_client_key_as_well_as_by_the_older_name(house, people):
    client, other = house.client(people.member), house.client(people.member)
    dance(house, client, Browser(people.member))
    dance(house, other, Browser(people.member))
    for kind in ("tokens", "grants", "clients", "audit"):
        found = good(ask(house, people.member, "GET", f"/{kind}?client_key={client.key}"))
        assert {item["client_key"] for item in found} == {client.key}, kind
        assert found == good(ask(house, people.member, "GET", f"/{kind}?client={client.key}&client_key={client.key}"))
        said = refused(ask(house, people.member, "GET", f"/{kind}?client={client.key}&client_key={other.key}"), 400, "invalid")
        assert said["message"] == "client_key: differs from client"
    for kind in ("accounts", "companies", "keys"):
        assert "client_key" in refused(ask(house, people.member, "GET", f"/{kind}?client_key={client.key}"), 400, "invalid")["message"]
    foreign = house.client(people.stranger)
    for kind in ("tokens", "grants", "clients", "audit"):
        assert good(ask(house, people.member, "GET", f"/{kind}?client_key={foreign.key}")) == []


def test_the_link_to_the_next_part_repeats_the_filters_and_no_credential(house):
    account = house.account()
    client = house.client(account, scopes=["manage:read"])
    for _ in range(2):
        house.key(account)
    path = f"/keys?limit=1&username={name(account.username)}"
    parameters = signer.sign("GET", f"{house.base}/api/v1{path}", client)
    answer = ask(house, None, "GET", f"{path}&{signer.form_encoded(parameters)}")
    assert len(good(answer)) == 1
    (link,) = answer.all("Link")
    names = [pair.partition("=")[0] for pair in link.partition(">")[0].partition("?")[2].split("&")]
    assert names == ["limit", "username", "after"]


def test_a_grant_is_ended_by_its_account_and_client(house, people):
    holder, developer = house.account(), house.account()
    client, kept = house.client(developer), house.client(developer)
    tokens = [dance(house, app, Browser(holder)) for app in (client, kept)]
    own = f"username={name(holder.username)}"
    for query, field in ((own, "client_key"), (f"client_key={client.key}", "username"), (f"{own}&client_key=", "client_key"), ("", "username")):
        assert field in refused(ask(house, holder, "DELETE", f"/grants?{query}"), 400, "invalid")["message"]
    path = f"/grants?{own}&client_key={client.key}"
    for stranger in (people.stranger, people.boss, developer):
        refused(ask(house, stranger, "DELETE", path), 404)
    assert signed(house, "GET", "/v2/me", client, tokens[0]).status == 200
    # Another account's app: here it is no client key beside the password.
    assert ask(house, holder, "DELETE", path).status == 204
    assert [signed(house, "GET", "/v2/me", app, token).status for app, token in zip((client, kept), tokens)] == [401, 200]
    refused(ask(house, holder, "DELETE", path), 404, "not_found")
    good(ask(house, people.root, "POST", f"/accounts/{holder.id}/lock"))
    login = logged_in(house, holder)
    assert ask(house, login.cookies, "DELETE", f"/grants?{own}&client_key={kept.key}", None, login.token).status == 204
    assert good(ask(house, login.cookies, "GET", "/grants")) == []


def test_tokens_and_grants_are_seen_by_hint_and_revoked_by_id_or_by_the_token_itself(house):
    holder, developer = house.account(), house.account()
    client = house.client(developer, scopes=["account:read"])
    tokens = [dance(house, client, Browser(holder)) for _ in range(3)]
    seen = good(ask(house, holder, "GET", "/tokens"))
    assert len(seen) == 3
    assert {item["status"] for item in seen} == {"active"}
    assert {item["hint"] for item in seen} == {token.token[-4:] for token in tokens}
    assert not any(token.token in json.dumps(seen) for token in tokens)
    (grant,) = good(ask(house, holder, "GET", f"/grants?client={client.key}"))
    assert (grant["active_tokens"], grant["scopes"], grant["client_name"]) == (3, ["account:read"], seen[0]["client_name"])
    assert good(ask(house, holder, "GET", f"/grants/{grant['id']}")) == grant
    attempt = lambda token: signed(house, "GET", "/v2/me", client, token)  # noqa: E731
    assert [attempt(token).status for token in tokens] == [200] * 3
    assert ask(house, holder, "DELETE", f"/tokens/{tokens[0].token}").status == 204
    by_id = next(item["id"] for item in seen if item["hint"] == tokens[1].token[-4:])
    assert ask(house, holder, "DELETE", f"/tokens/{by_id}").status == 204
    assert good(ask(house, holder, "GET", f"/tokens/{by_id}"))["status"] == "revoked"
    assert [attempt(token).status for token in tokens] == [401, 401, 200]
    assert attempt(tokens[0]).problem == "token_revoked"
    assert ask(house, holder, "DELETE", f"/grants/{grant['id']}").status == 204
    assert attempt(tokens[2]).status == 401
    refused(ask(house, holder, "GET", f"/grants/{grant['id']}"), 404)


def test_no_list_and_no_thing_shows_a_secret(house, people, belongings):
    said = "".join(
        ask(house, people.root, "GET", f"/{kind}?limit=1000").text
        for kind in ("accounts", "clients", "keys", "tokens", "grants", "audit")
    )
    for who in people:
        assert who.password not in said
    for client, key in belongings.values():
        assert client.secret not in said
        assert key.private not in said
    assert not [secret for secret in SECRETS if f'"{secret}"' in said]


# --- refusals ---


def wrong_fields():
    """(method, path, body, the field that the refusal names)"""
    account, client, key = ("POST", "/accounts"), ("POST", "/clients"), ("POST", "/keys")
    base = {"username": "wrong@example.com"}
    app, named = {"name": "A"}, {"name": "K"}
    return [
        (*account, {}, "username"),
        (*account, {"username": ""}, "username"),
        (*account, {"username": "a:b"}, "username"),
        (*account, {"username": "x" * 300}, "username"),
        (*account, {"username": 1}, "username"),
        (*account, base | {"password": ""}, "password"),
        (*account, base | {"password": "x" * 2000}, "password"),
        (*account, base | {"company": "a b"}, "company"),
        (*account, base | {"role": "king"}, "role"),
        (*account, base | {"scopes": "account:read"}, "scopes"),
        (*account, base | {"scopes": ["account"]}, "scopes"),
        (*account, base | {"scopes": [1]}, "scopes"),
        (*account, base | {"name": "a\nb"}, "name"),
        (*account, base | {"name": ""}, "name"),
        (*account, base | {"email": "nobody"}, "email"),
        (*account, base | {"external_id": "x" * 300}, "external_id"),
        (*account, base | {"pasword": "12345678"}, "pasword"),
        ("PATCH", "/accounts/{member}", {"email": "nobody"}, "email"),
        ("PATCH", "/accounts/{member}", {"username": "a:b"}, "username"),
        ("PATCH", "/accounts/{member}", {"status": "dead"}, "status"),
        ("PATCH", "/accounts/{member}", {"reason": "late"}, "reason"),
        ("PATCH", "/accounts/{member}", {"password": ""}, "password"),
        ("PATCH", "/accounts/{member}", {"created_at": "2026-01-01T00:00:00Z"}, "created_at"),
        ("PATCH", "/clients/{client}", {"status": "dead"}, "status"),
        ("POST", "/accounts/{member}/lock", {"reason": "a\u0000b"}, "reason"),
        ("POST", "/accounts/{member}/set-password", {}, "password"),
        ("POST", "/accounts/{member}/set-password", {"password": ""}, "password"),
        ("POST", "/companies", {}, "id"),
        ("POST", "/companies", {"id": "a b"}, "id"),
        ("POST", "/companies", {"id": "ok", "name": ""}, "name"),
        (*client, {}, "name"),
        (*client, {"name": ""}, "name"),
        (*client, app | {"callbacks": ["javascript:alert(1)"]}, "callbacks"),
        (*client, app | {"callbacks": ["nonsense"]}, "callbacks"),
        (*client, app | {"callbacks": "https://a.example"}, "callbacks"),
        (*client, app | {"scopes": ["x"]}, "scopes"),
        (*client, app | {"signature_methods": ["HMAC-MD5"]}, "signature_methods"),
        (*client, app | {"signature_methods": []}, "signature_methods"),
        (*client, app | {"rsa_public_key": "PEM"}, "rsa_public_key"),
        (*client, app | {"http_auth": "yes"}, "http_auth"),
        (*client, app | {"client_secret": "mine"}, "client_secret"),
        ("POST", "/clients/{client}/rotate-secret", {"grace": -1}, "grace"),
        ("POST", "/clients/{client}/rotate-secret", {"grace": "1h"}, "grace"),
        (*key, {}, "name"),
        (*key, {"name": None}, "name"),
        (*key, named | {"username": "member@acme.example", "account": "boss@acme.example"}, "username"),
        (*client, app | {"username": "member@acme.example", "owner": "boss@acme.example"}, "username"),
        ("PATCH", "/clients/{client}", {"callbacks": None}, "callbacks"),
        (*key, named | {"scopes": ["x"]}, "scopes"),
        (*key, named | {"expires_in": 0}, "expires_in"),
        (*key, named | {"expires_in": 2**40}, "expires_in"),
        (*key, named | {"private_key": "mine"}, "private_key"),
        ("POST", "/keys/{key}/regenerate", {"private_key": "mine"}, "private_key"),
        ("POST", "/members/{member}/tokens", {"ttl": 1}, "ttl"),
    ]


@pytest.mark.parametrize(("verb", "path", "body", "field"), wrong_fields(), ids=str)
def test_a_field_that_can_not_be_meant_is_400_and_named(verb, path, body, field, house, people, belongings):
    client, key = belongings[people.member.username]
    path = path.format(member=name(people.member.username), client=client.key, key=key.public)
    said = refused(ask(house, people.root, verb, path, body), 400, "invalid")
    assert field in said["message"], said


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("/accounts?limit=0", "limit"),
        ("/accounts?limit=1001", "limit"),
        ("/keys?limit=many", "limit"),
        ("/keys?after=nonsense", "after"),
        ("/accounts?status=dead", "status"),
        ("/accounts?role=king", "role"),
        ("/accounts?company=a%20b", "company"),
        ("/keys?account=root%40example.com&username=boss%40acme.example", "username"),
        ("/audit?since=yesterday", "since"),
        ("/audit?until=2026", "until"),
        ("/audit?before=x", "before"),
    ],
)
def test_a_parameter_that_can_not_be_meant_is_400_and_named(query, field, house, people):
    said = refused(ask(house, people.root, "GET", query), 400, "invalid")
    assert field in said["message"], said


@pytest.mark.parametrize("body", ["{", "[]", '"a"', "1", "null", "username=a", b"\xff\xfe", '{"name":"a"}x'])
def test_a_body_that_is_no_json_object_is_400(body, house, people):
    refused(ask(house, people.root, "POST", "/keys", body), 400, "invalid")


def test_a_name_that_is_taken_is_409(house, people, belongings):
    _, key = belongings[people.member.username]
    for username in (people.member.username, key.public, people.member.id, "acme+anybody"):
        refused(ask(house, people.root, "POST", "/accounts", {"username": username}), 409, "conflict")
    refused(ask(house, people.root, "POST", "/companies", {"id": "acme"}), 409, "conflict")


@pytest.mark.parametrize("path", ["/accounts/nobody", "/clients/none", "/keys/none", "/tokens/none", "/grants/none", "/companies/none"])
def test_what_is_not_there_is_404(path, house, people):
    refused(ask(house, people.root, "GET", path), 404, "not_found")


def test_another_method_is_405(house, people):
    for path in ("/accounts", "/keys/x", "/members/x/tokens"):
        refused(ask(house, people.root, "PUT", path), 405, "method_not_allowed")


# --- lists ---


def test_a_list_comes_in_parts_each_thing_once_newest_first(house, people):
    account = house.account()
    made = [good(ask(house, account, "POST", "/keys", {"name": f"k{n}"}), 201)["public_key"] for n in range(7)]
    seen = [item["public_key"] for item in listed(house, account, "/keys")]
    assert sorted(seen) == sorted(made)
    assert [item["created_at"] for item in listed(house, account, "/keys")] == sorted(
        (item["created_at"] for item in listed(house, account, "/keys")), reverse=True
    )
    assert len(good(ask(house, account, "GET", "/keys?limit=3"))) == 3
    # The filter stays on the way.
    assert {item["username"] for item in listed(house, people.root, f"/keys?account={account.id}")} == {account.username}


def test_lists_are_narrowed_by_their_filters(house, people):
    holder = house.account("filtered@example.com", company="narrow", role="integrator")
    house.command("account", "update", holder.username, "--external-id", "ext-1")
    client, other = house.client(holder), house.client(holder)
    for app in (client, other):
        dance(house, app, Browser(holder))
    house.key(holder)
    get = lambda path: good(ask(house, people.root, "GET", path))  # noqa: E731
    names = lambda path: [item["username"] for item in get(path)]  # noqa: E731
    assert names("/accounts?company=narrow") == [holder.username]
    assert names("/accounts?external_id=ext-1") == [holder.username]
    assert holder.username in names("/accounts?role=integrator&limit=1000")
    assert holder.username not in names("/accounts?role=member&limit=1000")
    assert names("/accounts?company=narrow&status=locked") == []
    good(ask(house, people.root, "POST", f"/accounts/{holder.id}/lock"))
    assert names("/accounts?company=narrow&status=locked") == [holder.username]
    assert {item["client_key"] for item in get(f"/clients?owner={holder.id}")} == {client.key, other.key}
    assert {item["client_key"] for item in get(f"/clients?owner={name(holder.username)}")} == {client.key, other.key}
    assert len(get(f"/keys?account={holder.id}")) == 1
    assert len(get(f"/tokens?account={holder.id}")) == 2
    assert [item["client_key"] for item in get(f"/tokens?account={holder.id}&client={client.key}")] == [client.key]
    assert [item["client_key"] for item in get(f"/grants?client={other.key}")] == [other.key]


def test_the_audit_log_says_who_did_what_when_and_from_where(house, people):
    account = house.account()
    began = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
    key = good(ask(house, account, "POST", "/keys", {"name": "seen"}), 201)["public_key"]
    good(ask(house, people.root, "POST", f"/accounts/{account.id}/lock", {"reason": "late"}))
    rows = good(ask(house, people.root, "GET", f"/audit?account={account.id}"))
    locked, made = rows[0], rows[1]
    assert (locked["event"], locked["actor"], locked["subject"]) == ("account.locked", people.root.username, account.username)
    assert locked["detail"] == "late"
    assert (made["event"], made["actor"], made["subject"], made["address"]) == ("key.created", account.username, key, "127.0.0.1")
    get = lambda query: good(ask(house, people.root, "GET", f"/audit?account={account.id}&{query}"))  # noqa: E731
    assert [row["event"] for row in get("event=key")] == ["key.created"]
    assert [row["event"] for row in get("event=key.created")] == ["key.created"]
    moment = lambda when: urllib.parse.quote(when.isoformat())  # noqa: E731
    assert {"account.locked", "key.created"} <= {row["event"] for row in get(f"since={moment(began)}")}
    assert get(f"since={moment(began + datetime.timedelta(days=1))}") == []
    assert "account.locked" not in {row["event"] for row in get(f"until={moment(began)}")}
    assert [row["id"] for row in get(f"before={locked['id']}&limit=1")] == [made["id"]]


# --- impersonation ---


def impersonate(house, who, member):
    return ask(house, who, "POST", f"/members/{name(member)}/tokens")


def test_an_impersonation_is_short_visible_and_no_more_than_the_member(house, people):
    member = house.account(company="acme", scopes=["account:read", "manage:write"])
    for actor in (people.robot, people.boss):
        made = good(impersonate(house, actor, member.username), 201)
        left = datetime.datetime.fromisoformat(made["expires_at"]) - datetime.datetime.now(datetime.UTC)
        assert datetime.timedelta(hours=3, minutes=50) < left <= datetime.timedelta(hours=4)
        credential = basic(made["public_key"], made["private_key"])
        said = wire.send(house, "GET", "/v2/me", [credential]).json
        assert (said["account"]["username"], said["impersonated_by"]) == (member.username, actor.username)
        assert said["scopes"] == ["account:read"]
        refused(ask(house, credential, "GET", "/keys"), 403, "scope_missing")
        jwt = wire.send(house, "POST", "/api/auth/jwt", [credential], b"").json["token"]
        assert wire.send(house, "GET", "/v2/me", [bearer(jwt)]).json["impersonated_by"] == actor.username
        rows = good(ask(house, people.root, "GET", f"/audit?account={member.id}&event=impersonation"))
        assert (rows[0]["actor"], rows[0]["subject"]) == (actor.username, made["public_key"])
    assert made["public_key"] in {item["public_key"] for item in listed(house, people.boss, f"/keys?account={member.id}")}


def test_a_key_of_an_impersonation_gets_no_new_private_half(house, people):
    made = good(impersonate(house, people.robot, people.member.username), 201)
    refused(ask(house, people.member, "POST", f"/keys/{made['public_key']}/regenerate"), 403, "forbidden")
    assert ask(house, people.member, "DELETE", f"/keys/{made['public_key']}").status == 204


def test_who_may_not_impersonate_whom_gets_one_and_the_same_answer(house, people):
    admin = house.account(company="acme", role="admin")
    lone = house.account(role="integrator")
    loner = house.account()
    pairs = [
        (people.member, people.robot.username),
        (people.member, people.member.username),
        (people.robot, people.robot.username),
        (people.robot, people.boss.username),
        (people.boss, admin.username),
        (people.robot, people.stranger.username),
        (people.robot, people.stranger.id),
        (people.robot, "nobody@acme.example"),
        (people.root, people.member.username),
        (lone, loner.username),
        (lone, people.member.username),
    ]
    answers = {json.dumps(refused(impersonate(house, *pair), 403, "impersonation_refused")) for pair in pairs}
    assert len(answers) == 1


def test_impersonation_takes_the_scope_by_name(house, people):
    path = people.member.username
    for scopes in ([], ["manage:read"], ["account:read"]):
        key = house.key(people.robot, scopes=scopes)
        refused(impersonate(house, basic(key.public, key.private), path), 403, "scope_missing")
    key = house.key(people.robot, scopes=["manage:write"])
    good(impersonate(house, basic(key.public, key.private), path), 201)
    limited = house.account(company="acme", role="integrator", scopes=["account:read"])
    refused(impersonate(house, limited, path), 403, "scope_missing")


@pytest.mark.parametrize("end", ["locked", "demoted", "moved", "deleted", "member-moved", "member-promoted"])
def test_an_impersonation_ends_with_the_right_to_it(end, house, people):
    company = f"ends-{end}"
    actor = house.account(company=company, role="integrator")
    member = house.account(company=company)
    made = good(impersonate(house, actor, member.username), 201)
    attempt = lambda: wire.send(house, "GET", "/v2/me", [basic(made["public_key"], made["private_key"])]).status  # noqa: E731
    assert attempt() == 200
    path, members = f"/accounts/{actor.id}", f"/accounts/{member.id}"
    answer = {
        "locked": lambda: ask(house, people.root, "POST", f"{path}/lock"),
        "demoted": lambda: ask(house, people.root, "PATCH", path, {"role": "member"}),
        "moved": lambda: ask(house, people.root, "PATCH", path, {"company": "elsewhere"}),
        "deleted": lambda: ask(house, people.root, "DELETE", path),
        "member-moved": lambda: ask(house, people.root, "PATCH", members, {"company": "elsewhere"}),
        "member-promoted": lambda: ask(house, people.root, "PATCH", members, {"role": "admin"}),
    }[end]()
    assert answer.status in (200, 204), answer.body
    assert attempt() in (401, 403)


# --- the description ---


def test_every_described_operation_is_there_and_nothing_is_open(house, document):
    assert document["openapi"].startswith("3.1")
    found = operations(document)
    assert len(found) >= 33
    for verb, path, _ in found:
        answer = ask(house, None, verb, path.replace("{", "").replace("}", ""))
        refused(answer, 401, "credentials_required")


def test_what_is_answered_has_exactly_the_described_fields(house, people, belongings, document):
    shapes = document["components"]["schemas"]
    kinds = {"accounts": "Account", "companies": "Company", "clients": "Client", "keys": "Key", "tokens": "Token"}
    for kind, shape in (kinds | {"grants": "Grant", "audit": "Audit"}).items():
        for item in good(ask(house, people.root, "GET", f"/{kind}")):
            unknown = set(item) - set(shapes[shape]["properties"])
            assert not unknown, (kind, unknown)
            missing = set(shapes[shape]["properties"]) - set(item)
            optional = {field for field, said in shapes[shape]["properties"].items() if "null" in said["type"]}
            assert missing <= optional, (kind, missing)
    assert set(refused(ask(house, None, "GET", "/keys"), 401)) == set(shapes["Failure"]["properties"])


def test_the_command_line_prints_the_same_description(house, document):
    assert json.loads(house.command("openapi")) == document


def test_the_audit_log_is_followed_by_its_links(house):
    root = house.account(role="admin")
    for _ in range(5):
        house.account()
    whole = [row["id"] for row in good(ask(house, root, "GET", "/audit?limit=1000"))]
    ids, path = [], "/audit?limit=2&event=account.created"
    while path and len(ids) < 6:
        answer = ask(house, root, "GET", path)
        ids += [row["id"] for row in good(answer)]
        link = answer.all("Link")
        path = link[0].partition(">")[0].removeprefix("</api/v1") if link else None
    assert len(ids) == 6 == len(set(ids)) and set(ids) <= set(whole)


def test_a_filter_that_a_list_does_not_know_is_400_and_named(house):
    root = house.account(role="admin")
    refused(ask(house, root, "GET", "/audit?after=123"), 400)
    said = refused(ask(house, root, "GET", "/accounts?compny=acme"), 400)
    assert "compny" in said["message"] and "company" in said["message"]
