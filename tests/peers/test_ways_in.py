"""HTTP clients that people have, unmodified, get in with Basic, Digest and JWT.

Each reads the challenges of a 401 in its own way, so most are also tried where the server offers every scheme at once.
"""

import asyncio
import json
import subprocess

import httpx
import pytest
import requests
from conftest import PATIENT
from programs import HERE, SECONDS, needs, node_script, not_run, run, succeeds
from requests.auth import HTTPDigestAuth

PASSWORD = "pass:wörd with spaces & more"
ROUTES = {
    "digest-sha256": '["digest"]\nchallenges = ["digest-sha-256"]',
    "digest-md5": '["digest"]\nchallenges = ["digest-md5"]',
    "digest": '["digest"]',
    "digest-and-basic": '["digest", "basic"]',
    "basic": '["basic"]',
}


@pytest.fixture(scope="module")
def offering(new_server):
    """A server that answers /v2/me to all and under further hosts offers only some schemes."""
    routes = "".join(
        f'[[route]]\npath = "/v2/**"\nhosts = ["{name}.localhost"]\nmethods = {methods}\n' for name, methods in ROUTES.items()
    )
    every = '[[route]]\npath = "/v2/**"\nmethods = ["oauth1", "basic", "api_key", "digest", "jwt"]\n'
    started = new_server(PATIENT + routes + every, "offering")
    yield started
    started.stop()


@pytest.fixture(scope="module")
def person(offering):
    return offering.account("jané.doe+test@example.com", PASSWORD)


@pytest.fixture(scope="module")
def own(offering, person):
    return offering.client(person)


@pytest.fixture(scope="module")
def plain(offering):
    """An account in ASCII, for clients that know nothing else."""
    return offering.account("plain.user@example.com", "simple-password")


@pytest.fixture(scope="module")
def plain_own(offering, plain):
    return offering.client(plain)


def identity(text, account, credential):
    said = json.loads(text)
    assert said["account"]["username"] == account.username
    assert said["credential"] == credential


# --- curl ---


def host_header(server, host):
    return {"Host": f"{host}.localhost:{server.port}"} if host else {}


def curl(server, account, client, *options, host=None, target="/v2/me", password=None):
    """curl's answer: (status, body). `host` chooses one of the routes above."""
    authority = f"{host}.localhost:{server.port}" if host else server.authority
    command = [needs("curl", "curl"), "-sS", "-w", "\n%{http_code}", "--resolve", f"{authority}:127.0.0.1", *options]
    command += ["-u", f"{account.username}:{password or account.password}", "-H", f"X-Client-Key: {client.key}"]
    body, _, status = run(command, f"http://{authority}{target}").rpartition("\n")
    return int(status), body


@pytest.mark.parametrize("host", [None, "basic", "digest-and-basic"])
def test_curl_gets_in_with_basic(host, offering, person, own):
    status, body = curl(offering, person, own, "--basic", host=host)
    assert status == 200, body
    identity(body, person, "basic")
    assert curl(offering, person, own, "--basic", host=host, password="wrong")[0] == 401


@pytest.mark.parametrize("host", [None, "digest-sha256", "digest-md5", "digest", "digest-and-basic"])
def test_curl_gets_in_with_digest(host, offering, person, own):
    status, body = curl(offering, person, own, "--digest", host=host, target="/v2/me?a=1&b=%20")
    assert status == 200, body
    identity(body, person, "digest")
    assert curl(offering, person, own, "--digest", host=host, password="wrong")[0] == 401


@pytest.mark.parametrize("host", [None, "digest-and-basic", "basic"])
def test_curl_finds_a_way_by_itself(host, offering, person, own):
    status, body = curl(offering, person, own, "--anyauth", host=host)
    assert status == 200, body


@pytest.mark.parametrize("host", ["digest-sha256", "digest-md5"])
def test_curl_posts_with_digest(host, offering, person, own):
    status, body = curl(offering, person, own, "--digest", "-d", "a=1&b=2", host=host)
    assert status == 200, body


# --- wget ---


def wget(server, account, client, *options, host=None):
    """wget's answer: (exit code, body). It sends a password only when it was challenged."""
    command = [needs("wget", "wget"), "-q", "-O", "-", "--tries=1", f"--header=X-Client-Key: {client.key}"]
    command += [f"--header={name}: {value}" for name, value in host_header(server, host).items()]
    command += [f"--user={account.username}", f"--password={account.password}", *options, f"{server.base}/v2/me"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    return done.returncode, done.stdout


@pytest.mark.parametrize("host", [None, "basic", "digest-md5", "digest", "digest-and-basic"])
def test_wget_gets_in_by_the_challenges(host, offering, plain, plain_own):
    code, body = wget(offering, plain, plain_own, host=host)
    assert code == 0, body
    if host != "digest-and-basic" and host:  # of several it takes the one it likes
        identity(body, plain, "basic" if host == "basic" else "digest")


def test_wget_gets_in_with_basic_unasked(offering, plain, plain_own):
    code, body = wget(offering, plain, plain_own, "--auth-no-challenge")
    assert code == 0, body
    identity(body, plain, "basic")


# --- Python ---


@pytest.mark.parametrize("host", [None, "digest-sha256", "digest-md5", "digest", "digest-and-basic"])
def test_requests_gets_in_with_digest_again_and_again(host, offering, plain, plain_own):
    session = requests.Session()
    session.trust_env = False
    session.auth = HTTPDigestAuth(plain.username, plain.password)
    session.headers["X-Client-Key"] = plain_own.key
    session.headers.update(host_header(offering, host))
    for _ in range(5):
        answer = session.get(f"{offering.base}/v2/me?a=1", timeout=SECONDS)
        assert answer.status_code == 200, answer.text
    identity(answer.text, plain, "digest")
    assert session.post(f"{offering.base}/v2/me", data={"a": "1"}, timeout=SECONDS).status_code == 200


@pytest.mark.parametrize("host", ["digest-sha256", "digest-md5"])
def test_requests_gets_in_with_digest_whose_name_it_writes_in_latin_1(host, offering):
    account = offering.account(f"über-{host}@example.com", PASSWORD)
    session = requests.Session()
    session.trust_env = False
    session.headers.update({"X-Client-Key": offering.client(account).key} | host_header(offering, host))
    for password, status in ((PASSWORD, 200), ("wrong", 401)):
        session.auth = HTTPDigestAuth(account.username, password)
        for verb in ("GET", "POST"):
            answer = session.request(verb, f"{offering.base}/v2/me", timeout=SECONDS)
            assert answer.status_code == status, answer.text
            # What went over the wire was no UTF-8.
            assert 'username="über' in answer.request.headers["Authorization"]
        if status == 200:
            identity(session.get(f"{offering.base}/v2/me", timeout=SECONDS).text, account, "digest")
    assert answer.json()["message"] == f"Could not authenticate: {account.username}"


@pytest.mark.parametrize("host", [None, "digest-sha256", "digest-md5", "digest", "digest-and-basic"])
def test_httpx_gets_in_with_digest_again_and_again(host, offering, plain, plain_own):
    headers = {"X-Client-Key": plain_own.key} | host_header(offering, host)
    auth = httpx.DigestAuth(plain.username, plain.password)
    with httpx.Client(auth=auth, headers=headers, trust_env=False, timeout=SECONDS) as session:
        for _ in range(5):
            answer = session.get(f"{offering.base}/v2/me?a=1")
            assert answer.status_code == 200, answer.text
        identity(answer.text, plain, "digest")


@pytest.mark.parametrize("host", [None, "digest-sha256", "digest-md5", "digest", "digest-and-basic"])
def test_aiohttp_gets_in_with_digest_again_and_again(host, offering, plain, plain_own):
    aiohttp = pytest.importorskip("aiohttp", reason="not run: aiohttp is not installed")
    headers = {"X-Client-Key": plain_own.key} | host_header(offering, host)

    async def visit(password):
        """The statuses of some requests, and the identity of the last GET."""
        digest = aiohttp.DigestAuthMiddleware(plain.username, password)
        async with aiohttp.ClientSession(headers=headers, middlewares=(digest,)) as session:
            statuses, identity = [], None
            for n in range(3):
                async with session.get(f"{offering.base}/v2/me?a=1&n={n}") as answer:
                    statuses.append(answer.status)
                    identity = await answer.text()
            async with session.post(f"{offering.base}/v2/me", data={"a": "1"}) as answer:
                return [*statuses, answer.status], identity

    statuses, said = asyncio.run(visit(plain.password))
    assert statuses == [200] * 4
    identity(said, plain, "digest")
    assert asyncio.run(visit("wrong"))[0] == [401] * 4


def test_aiohttp_gets_in_with_basic(offering, plain, plain_own):
    aiohttp = pytest.importorskip("aiohttp", reason="not run: aiohttp is not installed")

    async def visit():
        headers = {"X-Client-Key": plain_own.key, "Authorization": aiohttp.encode_basic_auth(plain.username, plain.password)}
        async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{offering.base}/v2/me") as answer:
            return await answer.text()

    identity(asyncio.run(visit()), plain, "basic")


def test_requests_and_httpx_get_in_with_basic(offering, plain, plain_own):
    headers = {"X-Client-Key": plain_own.key}
    auth = (plain.username, plain.password)
    assert requests.get(f"{offering.base}/v2/me", auth=auth, headers=headers, timeout=SECONDS).status_code == 200
    assert httpx.get(f"{offering.base}/v2/me", auth=auth, headers=headers, trust_env=False).status_code == 200


# --- Perl ---


@pytest.mark.parametrize(("host", "credential"), [
    (None, "digest"), ("basic", "basic"), ("digest-md5", "digest"), ("digest", "digest"), ("digest-and-basic", "digest"),
])
def test_libwww_perl_gets_in_by_the_challenges(host, credential, offering, plain, plain_own):
    perl = needs("perl", "perl")
    if not succeeds(perl, "-MLWP::UserAgent", "-e", "1"):
        not_run("Perl has no LWP (Debian's package libwww-perl)")
    name = host_header(offering, host).get("Host", offering.authority)
    script = [perl, str(HERE / "perl/http.pl")]
    result = json.loads(run(script, f"{offering.base}/v2/me", plain.username, plain.password, plain_own.key, name))
    assert (result["statuses"], result["wrong"]) == ([200] * 4, 401)
    assert result["identity"]["credential"] == credential


# --- Node and Java ---


@pytest.fixture(scope="module")
def jwt(offering, plain, plain_own):
    auth = (plain.username, plain.password)
    headers = {"X-Client-Key": plain_own.key}
    answer = requests.post(f"{offering.base}/api/auth/jwt", auth=auth, headers=headers, timeout=SECONDS)
    return answer.json()["token"]


def test_axios_undici_and_fetch_get_in_with_basic_and_bearer(offering, plain, plain_own, jwt):
    script = node_script("http.js", "undici")
    result = json.loads(run(script, offering.base, plain.username, plain.password, plain_own.key, jwt))
    assert result.pop("axios_wrong") == 401
    assert set(result.values()) == {200}, result


@pytest.mark.parametrize("host", [None, "basic", "digest-and-basic"])
def test_the_jdks_clients_get_in_by_the_challenges(host, offering, plain, plain_own):
    allowed = ["-Djdk.httpclient.allowRestrictedHeaders=host", "-Dsun.net.http.allowRestrictedHeaders=true"]
    java = [needs("java", "default-jdk-headless"), *allowed, str(HERE / "java/Http.java")]
    name = host_header(offering, host).get("Host", offering.authority)
    result = json.loads(run(java, f"{offering.base}/v2/me", plain.username, plain.password, plain_own.key, name))
    assert (result["new"], result["old"]) == (200, 200), result
    assert result["new_identity"]["credential"] == "basic"


@pytest.mark.parametrize("host", ["digest-md5", "digest"])
def test_the_jdks_older_client_gets_in_with_digest(host, offering, plain, plain_own):
    allowed = ["-Djdk.httpclient.allowRestrictedHeaders=host", "-Dsun.net.http.allowRestrictedHeaders=true"]
    java = [needs("java", "default-jdk-headless"), *allowed, str(HERE / "java/Http.java")]
    name = host_header(offering, host)["Host"]
    result = json.loads(run(java, f"{offering.base}/v2/me", plain.username, plain.password, plain_own.key, name))
    assert result["old"] == 200, result
    assert result["old_identity"]["credential"] == "digest"
