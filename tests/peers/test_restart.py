"""What was answered before a server ends is still so after it starts again, however it ended."""

import threading

import databases
import pytest
import signer
import wire
from browser import Browser
from conftest import PATIENT
from dance import access_token, authorize_url, dance, signed, temporary


@pytest.fixture(scope="module")
def world(new_server):
    """A server of this file's own, since its tests end it, with a client and a token."""
    server = new_server(PATIENT, "restart")
    client = server.client(server.account())
    browser = Browser(server.account())
    yield server, client, browser, dance(server, client, browser)
    server.stop()


def restart(server, ending):
    getattr(server, ending)()
    server.start()


@pytest.mark.parametrize("ending", ["terminate", "kill"])
def test_a_used_nonce_is_refused_after_a_restart(ending, world):
    server, client, _, token = world
    values = [signer.authorization("GET", f"{server.base}/v2/me?n={n}", client, token) for n in range(20)]
    for number, value in enumerate(values):
        assert wire.send(server, "GET", f"/v2/me?n={number}", [("Authorization", value)]).status == 200
    restart(server, ending)
    for number, value in enumerate(values):
        answer = wire.send(server, "GET", f"/v2/me?n={number}", [("Authorization", value)])
        assert (answer.status, answer.problem) == (401, "nonce_used")


@pytest.mark.parametrize("ending", ["terminate", "kill"])
def test_a_nonce_used_at_the_token_endpoint_is_refused_after_a_restart(ending, world):
    server, client, _, _ = world
    url = f"{server.base}/oauth/request_token"
    headers = [("Authorization", signer.authorization("POST", url, client, oauth_callback=client.callback))]
    assert wire.send(server, "POST", "/oauth/request_token", headers, b"").status == 200
    restart(server, ending)
    answer = wire.send(server, "POST", "/oauth/request_token", headers, b"")
    assert (answer.status, answer.form["oauth_problem"]) == (401, "nonce_used")


def test_a_server_killed_under_load_has_forgotten_no_nonce_that_it_answered(world):
    server, client, _, token = world
    accepted, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            value = signer.authorization("GET", f"{server.base}/v2/me", client, token)
            try:
                answer = wire.send(server, "GET", "/v2/me", [("Authorization", value)])
            except OSError:
                return
            if answer.status == 200:
                accepted.append(value)
                if len(accepted) > 300:
                    enough.set()

    enough = threading.Event()
    threads = [threading.Thread(target=load) for _ in range(16)]
    for thread in threads:
        thread.start()
    assert enough.wait(60)
    server.kill()
    stop.set()
    for thread in threads:
        thread.join()
    server.start()
    assert len(accepted) > 300
    for value in accepted:
        answer = wire.send(server, "GET", "/v2/me", [("Authorization", value)])
        assert (answer.status, answer.problem) == (401, "nonce_used")
    assert signed(server, "GET", "/v2/me", client, token).status == 200


@pytest.mark.parametrize("ending", ["terminate", "kill"])
def test_a_dance_goes_on_over_a_restart(ending, world):
    server, client, browser, _ = world
    request = temporary(server, client)
    restart(server, ending)
    verifier = browser.verifier(authorize_url(server, request))
    restart(server, ending)
    answer = access_token(server, client, request, verifier)
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("ending", ["terminate", "kill"])
def test_an_access_token_is_good_after_a_restart_and_a_revoked_one_stays_revoked(ending, world):
    server, client, browser, token = world
    revoked = dance(server, client, browser)
    value = signer.authorization("POST", f"{server.base}/oauth/revoke", client, revoked)
    assert wire.send(server, "POST", "/oauth/revoke", [("Authorization", value)], b"").status == 200
    restart(server, ending)
    assert signed(server, "GET", "/v2/me", client, token).status == 200
    answer = signed(server, "GET", "/v2/me", client, revoked)
    assert (answer.status, answer.problem) == (401, "token_revoked")


def replays(server, values):
    return {wire.send(server, "GET", "/v2/me", [("Authorization", value)]).status for value in values}


@pytest.mark.parametrize("loss", ["another store", "renamed", "lost"])
def test_nonces_of_a_store_that_is_not_used_any_more_are_not_accepted_again(loss, new_server, tmp_path):
    server = new_server(PATIENT, "elsewhere", database=f"sqlite://{tmp_path}/a.db")
    client = server.client(server.account())
    token = dance(server, client, Browser(server.account()))
    values = [signer.authorization("GET", f"{server.base}/v2/me", client, token) for _ in range(5)]
    redis = databases.Redis(tmp_path) if loss == "another store" else None
    assert replays(server, values) == {200}
    server.kill()
    if redis:
        server.environment["COUNTERSIGN_REDIS_URL"] = redis.url
    elif loss == "renamed":
        for name in ("", "-wal", "-shm", ".key"):
            if (tmp_path / f"a.db{name}").exists():
                (tmp_path / f"a.db{name}").rename(tmp_path / f"b.db{name}")
        server.database = f"sqlite://{tmp_path}/b.db"
    elif loss == "lost":
        for file in tmp_path.glob("a.db.nonces*"):
            file.unlink()
    server.start()
    assert replays(server, values) == {401}
    assert "older timestamps are refused" in server.log_text()
    server.stop()
    if redis:
        redis.stop()


def test_sigterm_lets_the_server_end_with_code_0(world):
    server, *_ = world
    server.terminate()
    assert server.process.returncode == 0
    server.start()
