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
from browser import Browser, Page, logged_in
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from dance import dance, signed
from harness import REPOSITORY, Server, eventually
from programs import SECONDS, converse, needs, node_script, not_run, run
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


@pytest.fixture
def pyconnectwise(connectwise, certificate, monkeypatch):
    """Makes clients of PyPI's pyconnectwise."""
    from pyconnectwise import ConnectWiseManageAPIClient

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "cert.pem"))

    def api(client, public, private):
        host = f"localhost:{connectwise.port}"
        made = ConnectWiseManageAPIClient("acme", host, client.key, public, private, codebase="v4_6_release")
        made.codebase = "v4_6_release"  # its constructor forgets the one that it was given
        return made

    return api


def test_pyconnectwise_gets_in(pyconnectwise, member):
    from pyconnectwise.exceptions import AuthenticationFailedException

    _, key, client = member
    pyconnectwise(client, key.public, key.private).system.info.get()
    with pytest.raises(AuthenticationFailedException):
        pyconnectwise(client, key.public, "wrong").system.info.get()


def test_pyconnectwise_makes_a_key_for_a_member_and_gets_in_with_it(pyconnectwise, connectwise, member):
    from pyconnectwise.exceptions import AuthenticationFailedException

    integrator = connectwise.account("automaton", company="acme", role="integrator", scopes=["manage:write"])
    own = connectwise.client(integrator)
    made = pyconnectwise(own, integrator.username, integrator.password).system.members.id("jdoe").tokens.post({"a": 1})
    assert made.public_key and made.private_key and made.expiration
    pyconnectwise(member[2], made.public_key, made.private_key).system.info.get()
    with pytest.raises(AuthenticationFailedException):
        pyconnectwise(member[2], made.public_key, made.private_key[::-1]).system.info.get()


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


# --- appfigures, sentence by sentence ---


def test_appfigures_own_example_of_basic_is_taken_octet_by_octet(appfigures):
    """GET /v2 with "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", for the user 'Aladdin' and the password 'open sesame'."""
    account = appfigures.account("Aladdin", "open sesame")
    own = client_key(appfigures.client(account))
    example = ("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
    answer = wire.send(appfigures, "GET", "/v2", [own, example])
    assert (answer.status, answer.json["account"]["username"]) == (200, "Aladdin")
    command = [needs("curl", "curl"), "-sS", "-w", "%{http_code}", "-o", "/dev/null", "-H", f"X-Client-Key: {own[1]}"]
    assert run([*command, "--digest", "-u", "Aladdin:open sesame", f"{appfigures.base}/v2/"]) == "200"
    assert run([*command[:-2], "-u", "Aladdin:open sesame", f"{appfigures.base}/v2/?client_key={own[1]}"]) == "200"


def test_appfigures_takes_an_api_key_by_digest_without_a_client_key_and_not_by_basic(appfigures):
    key = appfigures.key(appfigures.account())
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-u", f"{key.public}:{key.private}"]
    assert run([*command, "--digest", f"{appfigures.base}/v2/"]) == "200"
    assert run([*command, "--basic", f"{appfigures.base}/v2/"]) == "401"


def test_appfigures_takes_the_app_key_header_and_hands_on_neither_password_nor_client_key(appfigures):
    account = appfigures.account()
    own = appfigures.client(account)
    password = basic(account.username, account.password)
    answer = wire.send(appfigures, "GET", f"/v2/products?client_key={own.key}&a=1", [password, ("X-App-Key", own.key)])
    assert (answer.status, answer.json["target"]) == (200, "/v2/products?a=1")
    names = {name for name, _ in answer.json["headers"]}
    assert not names & {"authorization", "x-app-key", "x-client-key"}
    assert wire.send(appfigures, "GET", "/v3/products", [password, client_key(own)]).status == 404


def test_appfigures_says_its_own_words_of_every_authentication_error(appfigures):
    server, account = appfigures, appfigures.account()
    own, password = client_key(server.client(account)), basic(account.username, account.password)
    said = lambda *headers: wire.send(server, "GET", "/v2/", headers).json  # noqa: E731
    words = lambda answer: tuple(answer.get(name) for name in ("status", "message", "additional"))  # noqa: E731
    assert words(said(basic(account.username, "x"), own)) == (401, f"Could not authenticate: {account.username}", "")
    message = "Must give an app key via X-Client-Key header or client_key query string parameter"
    assert words(said(password)) == (400, message, "")
    server.command("account", "lock", account.username)
    locked = (403, "No API Access", "The authenticated account is locked due to an unpaid balance.")
    assert eventually(lambda: words(said(password, own)) == locked)
    server.command("account", "disable", account.username)
    terms = "API access has been disabled for this user due to API terms violation."
    assert eventually(lambda: words(said(password, own)) == (403, "API Access is disabled", terms))


def test_appfigures_apps_that_are_published_must_use_oauth(appfigures):
    account = appfigures.account(scopes=["account:read"])
    published = appfigures.client(account, scopes=["account:read"], more=["--http-auth", "off"])
    password = basic(account.username, account.password)
    assert wire.send(appfigures, "GET", "/v2/", [password, client_key(published)]).status == 403
    token = dance(appfigures, published, Browser(account), prefix="/v2/oauth")
    answer = signed(appfigures, "GET", "/v2/", published, token)
    # Without a scope the token inherits those that were given when the client key was created.
    assert (answer.status, answer.json["scopes"]) == (200, ["account:read"])


def test_appfigures_admits_no_key_pair_and_no_token(appfigures):
    key = appfigures.key(appfigures.account())
    assert wire.send(appfigures, "GET", "/v2/", [basic(key.public, key.private)]).status == 401
    assert wire.send(appfigures, "GET", "/v2/", [bearer("x")]).status == 401


# --- ITscope ---

EXPORT = "/2.0/products/exports/1"
AGENT = ("User-Agent", "MyFrame-My-Application-4.0927")


def test_itscope_takes_the_credentials_in_the_url_as_curl_and_wget_send_them(itscope):
    account = itscope.account()
    key = itscope.key(account)
    url = f"http://{account.id}:{key.private}@{itscope.authority}{EXPORT}"
    assert run([needs("curl", "curl"), "-sS", "-w", "%{http_code}", "-o", "/dev/null", url]) == "200"
    assert EXPORT in run([needs("wget", "wget"), "-q", "-O", "-", "--tries=1", url])
    answer = wire.send(itscope, "GET", EXPORT, [AGENT])
    assert answer.all("WWW-Authenticate") == ['Basic realm="Countersign", charset="UTF-8"']


def test_itscopes_samples_without_a_space_are_401_and_told_why(itscope):
    account = itscope.account()
    key = itscope.key(account)
    value = basic(account.id, key.private)[1].replace("Basic ", "Basic")
    answer = wire.send(itscope, "GET", EXPORT, [("Authorization", value), AGENT])
    assert answer.status == 401
    assert "space" in answer.json["message"]


def test_itscopes_new_api_key_invalidates_the_old_one(itscope):
    account = itscope.account()
    key = itscope.key(account)
    attempt = lambda private: wire.send(itscope, "GET", EXPORT, [basic(account.id, private), AGENT]).status  # noqa: E731
    assert attempt(key.private) == 200
    fresh = itscope.json("key", "regenerate", key.public)["private_key"]
    assert eventually(lambda: attempt(key.private) == 401)
    assert attempt(fresh) == 200


def test_itscopes_deep_links_use_the_login_of_the_browser_and_change_nothing(itscope):
    account = itscope.account()
    login = logged_in(itscope, account)
    link = f"{EXPORT}?auth=itscope&x=1"
    answer = wire.send(itscope, "GET", link, [login.cookies, AGENT])
    assert (answer.status, answer.json["target"]) == (200, f"{EXPORT}?x=1")
    assert "cookie" not in {name for name, _ in answer.json["headers"]}
    assert wire.send(itscope, "GET", EXPORT, [login.cookies, AGENT]).status == 401
    assert wire.send(itscope, "GET", f"{EXPORT}?auth=session", [login.cookies, AGENT]).status == 401
    assert wire.send(itscope, "POST", link, [login.cookies, AGENT], b"").status == 403
    assert wire.send(itscope, "POST", link, [login.cookies, AGENT, login.token], b"").status == 200
    # What is behind us may believe that another method is meant.
    for meant in (("X-HTTP-Method-Override", "DELETE"), ("X-Method-Override", "get, put")):
        assert wire.send(itscope, "GET", link, [login.cookies, AGENT, meant]).status == 403
    assert wire.send(itscope, "GET", f"{link}&_method=DELETE", [login.cookies, AGENT]).status == 403
    assert wire.send(itscope, "GET", f"{link}&_method=DELETE", [login.cookies, AGENT, login.token]).status == 200


def test_an_itscope_link_leads_through_the_login_and_back(itscope):
    account = itscope.account()
    browser = Browser(account)
    page = browser.open(f"{itscope.base}{EXPORT}?auth=itscope")
    form = Page(page.text).form_with("password")
    fields = [*form.fields, ("username", account.username), ("password", account.password)]
    assert browser.submit(page.url, form, fields).json()["target"] == EXPORT


# --- Iterop ---


def test_iterops_two_ways_in_and_no_token_on_either_v2_path(iterop):
    server = iterop
    key = server.key(server.account())
    pair = basic(key.public, key.private)
    body = json.dumps({"username": key.public, "password": key.private})
    made = wire.send(server, "POST", "/api/auth/jwt", [("Content-Type", "application/json")], body).json
    assert made["expires_in"] == 3600
    for path, by_token in (("/api/processes", 200), ("/anything", 200), ("/api/v2/processes", 401), ("/v2/processes", 401)):
        assert wire.send(server, "GET", path, [pair]).status == 200, path
        assert wire.send(server, "GET", path, [bearer(made["token"])]).status == by_token, path
    server.command("key", "regenerate", key.public)
    assert eventually(lambda: wire.send(server, "GET", "/anything", [pair]).status == 401)
    assert wire.send(server, "GET", "/anything", [bearer(made["token"])]).status == 401


def test_iterops_people_do_not_get_in_with_their_passwords(iterop):
    account = iterop.account()
    password = basic(account.username, account.password)
    assert wire.send(iterop, "GET", "/anything", [password]).status == 401
    made = wire.send(iterop, "POST", "/api/auth/jwt", [password], b"").json["token"]
    answer = wire.send(iterop, "GET", "/anything", [bearer(made)])
    assert answer.status == 400 and "send an API key" in answer.json["additional"]


def test_iterops_right_of_a_key_is_its_scopes(iterop):
    account = iterop.account()
    key = iterop.key(account, scopes=["process:read"])
    answer = wire.send(iterop, "GET", "/v2", [basic(key.public, key.private)])
    assert answer.json["scopes"] == ["process:read"]
    iterop.command("key", "delete", key.public)
    assert eventually(lambda: wire.send(iterop, "GET", "/v2", [basic(key.public, key.private)]).status == 401)


# --- ConnectWise ---

INFO = "/v4_6_release/apis/3.0/system/info"


def words(name, secret):
    return {"Authorization": basic(name, secret)[1]}


def test_connectwises_three_cookies_and_member_hash(connectwise):
    account = connectwise.account("cookie.member", company="acme")
    form = {"company": "acme", "username": account.username, "password": account.password}
    cookies = connectwise.ask("POST", "/login?response=json", data=form).json()
    assert set(cookies) == {"companyName", "memberId", "memberHash"}
    assert (cookies["companyName"], cookies["memberId"]) == ("acme", account.username)
    answer = connectwise.ask("GET", INFO, cookies=cookies)
    assert answer.status_code == 200
    names = dict(answer.json()["headers"])
    assert (names["x-auth-account"], names["x-auth-credential"]) == (account.username, "cookie")
    assert cookies["memberHash"] not in answer.text
    # "This method uses 3 cookie headers": each in a line of its own, too.
    line = [needs("curl", "curl"), "-sk", f"https://{connectwise.authority}{INFO}", "-H", "Host: api-na.myconnectwise.net", *(part for name, value in cookies.items() for part in ("-H", f"Cookie: {name}={value}"))]
    assert dict(json.loads(run(line))["headers"])["x-auth-credential"] == "cookie"
    answer = connectwise.ask("GET", INFO, headers=words(f"acme+{account.username}", cookies["memberHash"]))
    assert dict(answer.json()["headers"])["x-auth-credential"] == "basic"
    # A token could outlive the login.
    own = words(f"acme+{account.username}", cookies["memberHash"])
    assert connectwise.ask("POST", "/api/auth/jwt", headers=own).status_code == 401
    assert connectwise.ask("POST", f"{INFO}?_method=DELETE", cookies=cookies, headers={"Origin": "https://evil.example"}).status_code == 403
    assert connectwise.ask("GET", f"{INFO}?_method=DELETE", cookies=cookies, headers={"Origin": "https://evil.example"}).status_code == 403
    for wrong in ({"companyName": "other"}, {"memberId": "jdoe"}, {"memberHash": "x" * 43}):
        assert connectwise.ask("GET", INFO, cookies=cookies | wrong).status_code == 401, wrong
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    assert connectwise.ask("POST", INFO, cookies=cookies, headers=elsewhere).status_code == 403
    assert connectwise.ask("POST", INFO, cookies=cookies, headers={"Origin": "https://evil.example"}).status_code == 403
    assert connectwise.ask("POST", INFO, cookies=cookies).status_code == 200
    stranger = connectwise.client(connectwise.account())
    assert connectwise.ask("GET", INFO, cookies=cookies, headers={"clientId": stranger.key}).status_code == 403


def test_connectwise_is_there_under_its_api_hosts_only_and_takes_a_final_slash(connectwise, member):
    _, key, _ = member
    pair = words(f"acme+{key.public}", key.private)
    for host, status in (("api-na.myconnectwise.net", 200), ("api-staging.connectwise.dev.com", 200), ("na.myconnectwise.net", 404)):
        assert connectwise.ask("GET", INFO, headers=pair | {"Host": host}).status_code == status, host
    assert connectwise.ask("GET", f"{INFO}/", headers=pair).json()["target"] == f"{INFO}/"
    assert connectwise.ask("GET", INFO, headers=words(f"other+{key.public}", key.private)).status_code == 401


def test_connectwise_members_make_no_keys_for_others_and_integrators_for_no_other_company(connectwise, member):
    account, key, _ = member
    path = "/v4_6_release/apis/3.0/system/members/{}/tokens"
    refused = connectwise.ask("POST", path.format("jdoe"), headers=words(f"acme+{account.username}", account.password))
    assert (refused.status_code, refused.json()["code"]) == (403, "impersonation_refused")
    assert connectwise.ask("POST", path.format("jdoe"), headers=words(f"acme+{key.public}", key.private)).status_code == 403
    robot = connectwise.account("robot2", company="acme", role="integrator", scopes=["manage:write"])
    stranger = connectwise.account("stranger", company="umbrella")
    answers = [
        connectwise.ask("POST", path.format(name), headers=words("acme+robot2", robot.password))
        for name in (stranger.username, "nobody", "robot2")
    ]
    assert [answer.status_code for answer in answers] == [403] * 3
    assert len({answer.text for answer in answers}) == 1
    by_key = connectwise.key(robot, scopes=["manage:write"])
    made = connectwise.ask("POST", path.format("jdoe") + "/", headers=words(f"acme+{by_key.public}", by_key.private))
    assert made.status_code == 201
    assert set(made.json()) == {"publicKey", "privateKey", "expiration"}
