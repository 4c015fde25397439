"""Nobody comes by more than they have: not by pages while their account rests, not by passwords, keys and clients of others, not by
what an app was not given, not by another site's page."""

import hashlib

import pytest
import requests
import signer
import wire
from browser import Browser, Page, logged_in
from conftest import PATIENT
from dance import access_token, authorize_url, dance, temporary
from harness import eventually
from test_management import ask, good, refused
from ways import Digest, basic, client_key

FORM = ("Content-Type", "application/x-www-form-urlencoded")
LIMITED = ["account:read", "manage:read", "manage:write"]
ROUTES = """
[oauth]
remember_consent = true
[[route]]
path = "/v2/**"
methods = ["oauth1", "oauth1_two_legged", "basic", "api_key", "digest"]
"""


@pytest.fixture(scope="module")
def house(new_server):
    started = new_server(PATIENT + ROUTES, "power")
    yield started
    started.stop()


def post(server, login, path, **fields):
    """A form of somebody who is logged in, sent as a browser would."""
    fields["csrf_token"] = login.token[1]
    body = "&".join(f"{name}={requests.utils.quote(value, safe='')}" for name, value in fields.items())
    return wire.send(server, "POST", path, [login.cookies, FORM], body)


@pytest.mark.parametrize("rests", ["lock", "disable"])
def test_who_is_locked_or_disabled_changes_nothing_on_any_page_and_may_still_revoke(house, rests):
    admin, member = house.account(company=f"rests-{rests}", role="admin"), house.account(company=f"rests-{rests}")
    client = house.client(house.account(), callback="oob", scopes=["account:read"])
    login, browser = logged_in(house, admin), Browser(admin)
    token = dance(house, client, browser)
    asked = temporary(house, client)
    good(ask(house, house.account(role="admin"), "POST", f"/accounts/{admin.username}/{rests}"))
    account = house.json("account", "show", member.username)["id"]
    for path, fields in [
        ("/admin/accounts/new", {"username": f"new-{rests}", "role": "admin", "company": f"rests-{rests}"}),
        (f"/admin/accounts/password?id={account}", {"new_password": "another password"}),
        ("/developer/clients/new", {"name": "App", "callbacks": "oob"}),
        ("/developer/keys/new", {"name": "Key"}),
        ("/account/password", {"password": admin.password, "new_password": "another password"}),
    ]:
        answer = post(house, login, path, **fields)
        assert answer.status == 403, f"{path}: {answer.status}"
    page = wire.send(house, "GET", authorize_url(house, asked).removeprefix(house.base), [login.cookies])
    if page.status == 200:
        decided = post(house, login, "/oauth/authorize", oauth_token=asked.token, decision="allow", scope="account:read")
        assert decided.status == 403
    else:
        assert page.status == 403, "nor by itself, because it was allowed before"
    grant = house.json("grant", "list", "--account", admin.username)[0]
    assert post(house, login, "/apps/revoke", grant=grant["id"]).status == 303
    assert not house.json("grant", "list", "--account", admin.username) and token


@pytest.fixture(scope="module")
def limited(house):
    """An admin of a company who may do less than its members."""
    return house.account(company="narrow", role="admin", scopes=LIMITED)


@pytest.fixture(scope="module")
def wide(house):
    return house.account(company="narrow")


@pytest.fixture(scope="module")
def ruler(house):
    """An admin of everything, to whom just the two scopes of management were given by name."""
    return house.account(role="admin", scopes=["manage:read", "manage:write"])


@pytest.fixture(scope="module")
def app(house):
    """What an app may ask with that was given `manage:write` by an admin of everything: (authorization of, client, token)."""
    admin = house.account(role="admin")
    client = house.client(admin, scopes=LIMITED)
    token = dance(house, client, Browser(admin))

    def of(method, path):
        value = signer.authorization(method, f"{house.base}/api/v1{path}", client, token)
        return ("Authorization", value)

    return of


def test_an_admin_of_everything_does_everything_that_the_command_line_does(house, ruler):
    key = house.key(ruler, scopes=["manage:read", "manage:write"])
    for number, caller in enumerate([ruler, basic(key.public, key.private)]):
        name = f"made-{number}"
        made = good(ask(house, caller, "POST", "/accounts", {"username": name, "password": "a good password"}), 201)
        assert made["scopes"] == ["*"]
        good(ask(house, caller, "POST", f"/accounts/{name}/set-password", {"password": "another password"}), 204)
        good(ask(house, caller, "PATCH", f"/accounts/{name}", {"scopes": ["secret:write"]}))
        good(ask(house, caller, "POST", "/keys", {"account": name, "name": "Key"}), 201)
        client = {"name": "App", "owner": name, "scopes": ["secret:write"]}
        made = good(ask(house, caller, "POST", "/clients", client), 201)
        good(ask(house, caller, "POST", f"/clients/{made['client_key']}/rotate-secret"))


def test_an_admin_of_a_company_acts_for_its_accounts_and_makes_none_that_may_do_more(house, limited, wide):
    made = good(ask(house, limited, "POST", "/accounts", {"username": "as-much"}), 201)
    assert made["scopes"] == ["account:read"]
    for scopes in (["*"], ["secret:write"]):
        refused(ask(house, limited, "POST", "/accounts", {"username": "more", "scopes": scopes}), 403)
        refused(ask(house, limited, "PATCH", "/accounts/as-much", {"scopes": scopes}), 403)
        refused(ask(house, limited, "PATCH", f"/accounts/{limited.username}", {"scopes": scopes}), 403)
    good(ask(house, limited, "PATCH", f"/accounts/{wide.username}", {"scopes": ["*"]}))
    good(ask(house, limited, "POST", f"/accounts/{wide.username}/set-password", {"password": wide.password}), 204)
    theirs = good(ask(house, limited, "POST", "/clients", {"name": "App", "owner": wide.username, "scopes": ["secret:write"]}), 201)
    good(ask(house, limited, "POST", f"/clients/{theirs['client_key']}/rotate-secret"))


def test_mistakes_of_an_admin_who_may_do_less_are_named_as_mistakes(house, limited):
    for fields, word in [({"password": "x" * 1025}, "password"), ({"role": "root"}, "role")]:
        answer = ask(house, limited, "POST", "/accounts", {"username": "mistaken"} | fields)
        assert (answer.status, word in answer.body.decode()) == (400, True), answer.body
    refused(ask(house, limited, "POST", "/accounts", {"username": limited.username}), 409)


def test_a_credential_that_may_do_less_makes_none_for_its_own_account_that_may_do_more(house):
    owner = house.account()
    narrow = house.key(owner, scopes=["manage:read", "manage:write"])
    credential = basic(narrow.public, narrow.private)
    refused(ask(house, credential, "POST", "/keys", {"name": "all of it"}), 403)
    refused(ask(house, credential, "POST", "/keys", {"name": "more", "scopes": ["account:read"]}), 403)
    refused(ask(house, credential, "POST", "/clients", {"name": "more", "scopes": ["account:read"]}), 403)
    good(ask(house, credential, "POST", "/keys", {"name": "as much", "scopes": ["manage:read"]}), 201)
    all_of_it = house.key(owner)
    refused(ask(house, credential, "POST", f"/keys/{all_of_it.public}/regenerate"), 403)


def test_an_app_is_held_to_what_it_was_given_in_all_that_it_makes(house, app):
    member = house.account()
    theirs = house.client(member, scopes=["secret:write"])
    for path, fields in [
        (f"/accounts/{member.username}/set-password", {"password": "the app's password"}),
        ("/keys", {"name": "Key", "account": member.username}),
        ("/clients", {"name": "App", "owner": member.username, "scopes": ["secret:write"]}),
        (f"/clients/{theirs.key}/rotate-secret", {}),
    ]:
        refused(ask(house, app("POST", path), "POST", path, fields), 403)
    admin = house.account(role="admin", scopes=["manage:read", "manage:write"])
    for verb, path, fields in [
        ("POST", "/accounts", {"username": "ruler", "password": "the app's password", "role": "admin", "scopes": LIMITED}),
        ("POST", "/accounts", {"username": "ruler", "role": "integrator", "scopes": LIMITED}),
        ("PATCH", f"/accounts/{member.username}", {"role": "admin"}),
        ("PATCH", f"/accounts/{admin.username}", {"password": "the app's password"}),
        ("POST", f"/accounts/{admin.username}/set-password", {"password": "the app's password"}),
        ("POST", "/keys", {"name": "Ruler", "scopes": ["manage:write"]}),
    ]:
        refused(ask(house, app(verb, path), verb, path, fields), 403)
    made = good(ask(house, app("POST", "/keys"), "POST", "/keys", {"name": "Key", "account": admin.username}), 201)
    assert made["scopes"] == []
    made = good(ask(house, app("POST", "/accounts"), "POST", "/accounts", {"username": "of-an-app"}), 201)
    assert made["scopes"] == ["account:read"]


def test_an_app_comes_by_no_client_that_manages(house, app):
    member = house.account()
    managing = house.client(member, scopes=["manage:read", "manage:write"])
    plain = house.client(member, scopes=["account:read"])
    for verb, path, fields in [
        ("POST", "/clients", {"name": "Stays", "callbacks": ["oob"], "scopes": ["manage:read", "manage:write"]}),
        ("PATCH", f"/clients/{plain.key}", {"scopes": ["manage:read"]}),
        ("PATCH", f"/clients/{managing.key}", {"callbacks": ["https://evil.example/"]}),
        ("POST", f"/clients/{managing.key}/rotate-secret", {}),
    ]:
        refused(ask(house, app(verb, path), verb, path, fields), 403)
    good(ask(house, app("PATCH", f"/clients/{plain.key}"), "PATCH", f"/clients/{plain.key}", {"name": "Renamed"}))
    good(ask(house, app("PATCH", f"/clients/{managing.key}"), "PATCH", f"/clients/{managing.key}", {"status": "disabled"}))


def test_an_app_does_not_rule_over_admins_and_gives_no_names_away(house, app):
    admin, robot = (house.account(company="ruled", role=role) for role in ("admin", "integrator"))
    member = house.account(company="ruled")
    for verb, path, fields in [
        ("PATCH", f"/accounts/{admin.username}", {"company": None}),
        ("PATCH", f"/accounts/{robot.username}", {"company": "elsewhere"}),
        ("PATCH", f"/accounts/{admin.username}", {"role": "member"}),
        ("PATCH", f"/accounts/{admin.username}", {"name": "Somebody"}),
        ("PATCH", f"/accounts/{member.username}", {"username": "given-away"}),
        ("POST", f"/accounts/{admin.username}/disable", {}),
        ("DELETE", f"/accounts/{robot.username}", None),
    ]:
        refused(ask(house, app(verb, path), verb, path, fields), 403)
    good(ask(house, app("POST", f"/accounts/{member.username}/lock"), "POST", f"/accounts/{member.username}/lock", {}))
    unchanged = {"username": member.username, "company": "ruled", "name": "Renamed"}
    good(ask(house, app("PATCH", f"/accounts/{member.username}"), "PATCH", f"/accounts/{member.username}", unchanged))


def test_a_script_that_signs_as_its_own_client_rotates_its_secret(house):
    admin = house.account(role="admin")
    own = house.client(admin, scopes=["manage:read", "manage:write"])
    path = f"/clients/{own.key}/rotate-secret"
    signed_by_itself = ("Authorization", signer.authorization("POST", f"{house.base}/api/v1{path}", own))
    assert good(ask(house, signed_by_itself, "POST", path, {}))["client_secret"] != own.secret


def test_the_log_says_which_app_did_it_in_whose_name(house, app):
    made = good(ask(house, app("POST", "/keys"), "POST", "/keys", {"name": "By an app", "scopes": ["account:read"]}), 201)
    written = house.json("audit", "list", "--event", "key.created", "--limit", "1")[0]
    assert (written["subject"], written["actor"]) == (made["public_key"], made["username"]) and written["client_key"]


def test_what_was_allowed_and_not_yet_exchanged_is_revoked_too(house):
    holder = house.account()
    client = house.client(house.account(), callback="oob", scopes=["account:read", "invoice:read"])
    browser, login = Browser(holder), logged_in(house, holder)

    def refused_after(revoke):
        asked = temporary(house, client)
        verifier = browser.verifier(authorize_url(house, asked))
        revoke()
        answer = access_token(house, client, asked, verifier)
        assert (answer.status, answer.form["oauth_problem"]) == (403, "permission_denied"), answer

    refused_after(lambda: post(house, login, "/apps/revoke-all"))
    dance(house, client, browser, scopes=["account:read"])
    grant = house.json("grant", "list", "--account", holder.username)[0]["id"]
    refused_after(lambda: house.command("grant", "revoke", grant))


@pytest.mark.parametrize("end", ["password", "revoke", "key"])
def test_an_impersonation_ends_with_what_it_was_begun_with(house, end):
    robot, member = house.account(company=f"ends-{end}", role="integrator"), house.account(company=f"ends-{end}")
    own = house.key(robot, scopes=["manage:read", "manage:write"])
    client = house.client(house.account(), callback="oob", scopes=["manage:write"])
    dance(house, client, Browser(robot))
    made = good(ask(house, basic(own.public, own.private), "POST", f"/members/{member.username}/tokens"), 201)
    credential = basic(made["public_key"], made["private_key"])
    assert wire.send(house, "GET", "/v2/me", [credential]).status == 200
    if end == "password":
        house.command("account", "set-password", robot.username, "--password-stdin", stdin="another password")
    elif end == "revoke":
        house.command("grant", "revoke", house.json("grant", "list", "--account", robot.username)[0]["id"])
    else:
        house.command("key", "delete", own.public)
    assert eventually(lambda: wire.send(house, "GET", "/v2/me", [credential]).status == 401)


def test_whoever_impersonates_ends_it(house):
    robot, member = house.account(company="ended", role="integrator"), house.account(company="ended")
    made = good(ask(house, robot, "POST", f"/members/{member.username}/tokens"), 201)
    other = house.account(company="ended", role="integrator")
    refused(ask(house, other, "DELETE", f"/keys/{made['public_key']}"), 404)
    good(ask(house, robot, "DELETE", f"/keys/{made['public_key']}"), 204)
    assert wire.send(house, "GET", "/v2/me", [basic(made["public_key"], made["private_key"])]).status == 401


def test_a_key_is_made_by_the_name_that_its_answer_has(house, ruler):
    member = house.account()
    made = good(ask(house, ruler, "POST", "/keys", {"name": "Key", "username": member.username}), 201)
    assert made["username"] == member.username


def test_no_scopes_are_none_and_not_all(house):
    root = house.account(role="admin")
    member = house.account(scopes=["account:read"])
    made = good(ask(house, root, "PATCH", f"/accounts/{member.username}", {"scopes": []}))
    assert made["scopes"] == []
    assert good(ask(house, root, "PATCH", f"/accounts/{member.username}", {"scopes": ["*"]}))["scopes"] == ["*"]


def test_an_admin_changes_its_own_password_only_where_the_old_one_is_asked_for(house):
    admin = house.account(role="admin")
    own = house.json("account", "show", admin.username)["id"]
    assert post(house, logged_in(house, admin), f"/admin/accounts/password?id={own}", new_password="a stolen session's").status == 403


def test_a_member_gets_no_private_half_of_a_key_with_which_another_acts_for_it(house):
    robot, member = house.account(company="robots", role="integrator"), house.account(company="robots")
    made = good(ask(house, robot, "POST", f"/members/{member.username}/tokens"), 201)
    answer = post(house, logged_in(house, member), "/developer/keys/regenerate", public_key=made["public_key"])
    assert answer.status == 403


def test_another_sites_page_changes_nothing_by_a_login_that_the_browser_remembers(house):
    root = house.account(role="admin")
    for elsewhere in [("Sec-Fetch-Site", "cross-site")], [("Origin", "https://evil.example")]:
        body = '{"username": "evil", "role": "admin", "name": "x=y"}'
        refused(ask(house, root, "POST", "/accounts", body, ("Content-Type", "text/plain"), *elsewhere), 403)
    own = ("Sec-Fetch-Site", "same-origin")
    good(ask(house, root, "POST", "/accounts", {"username": "by-the-explorer"}, own), 201)


def test_another_sites_form_logs_nobody_out(house):
    answer = wire.send(house, "POST", "/logout", [FORM, ("Origin", "https://evil.example")], "")
    assert not [line for line in answer.all("Set-Cookie") if line.startswith("countersign_session=")]
    login = logged_in(house, house.account())
    answer = post(house, login, "/logout")
    assert [line for line in answer.all("Set-Cookie") if line.startswith("countersign_session=;")]


@pytest.mark.parametrize("path", ["/accounts/%00", "/tokens/%00", "/members/%00/tokens", "/audit?event=%00", "/clients?owner=%FF", "/keys?account=%00"])
def test_octets_that_no_name_holds_are_a_mistake_of_the_caller(house, path):
    verb = "POST" if path.startswith("/members") else "GET" if path != "/tokens/%00" else "DELETE"
    answer = ask(house, house.account(role="admin"), verb, path)
    assert answer.status in (400, 404, 405), answer


def test_a_field_with_a_nul_is_refused_by_name(house):
    said = refused(ask(house, house.account(), "POST", "/keys", {"name": "a\0b"}), 400)
    assert "name" in said["message"] + said["additional"]


def test_no_token_stands_in_the_log(house):
    owner = house.account()
    token = dance(house, house.client(owner, callback="oob", scopes=["account:read"]), Browser(owner))
    narrow = house.key(owner, scopes=["manage:read"])
    assert ask(house, basic(narrow.public, narrow.private), "DELETE", f"/tokens/{token.token}").status == 403
    assert token.token not in house.log_text()


def test_a_name_with_a_colon_is_not_taken_for_the_hash_of_one(house):
    owner = house.account()
    own = house.client(owner)
    hashed = hashlib.sha256(f"{owner.username}:Countersign".encode()).hexdigest()
    stranger = f'Digest username=":SHA-256:{hashed}", realm="Countersign", nonce="x", uri="/v2/me", response="x", algorithm=SHA-256'
    for _ in range(3):
        assert wire.send(house, "GET", "/v2/me", [("Authorization", stranger), client_key(own)]).status in (400, 401)
    digest = Digest(house, owner.username, owner.password, headers=[client_key(own)])
    header = digest.header("GET", "/v2/me").replace(f'username="{owner.username}"', f'username="{hashed}", userhash=true')
    assert "userhash=true" in header
    assert wire.send(house, "GET", "/v2/me", [("Authorization", header), client_key(own)]).status == 200


def test_an_allowance_that_was_taken_back_is_not_remembered(house):
    holder, developer = house.account(), house.account()
    client = house.client(developer, callback="http://127.0.0.1:1/callback", scopes=["a:read", "b:write"])
    browser = Browser(holder)
    token = dance(house, client, browser)
    login = logged_in(house, holder)
    again = lambda: wire.send(house, "GET", authorize_url(house, temporary(house, client)).removeprefix(house.base), [login.cookies])  # noqa: E731
    assert again().status in (302, 303), "remembered while the token lives"
    grant = house.json("grant", "list", "--account", holder.username)[0]["id"]
    # Another token with less keeps the grant, which has seen more.
    asked = temporary(house, client)
    page = again()
    assert page.status in (302, 303) and grant and asked
    house.command("token", "revoke", token.token)
    page = again()
    assert page.status == 200 and Page(page.text).forms
