"""Many at once: whatever arrives together, one nonce counts once and one request token becomes one access token."""

import collections

import pytest
import signer
import wire
from dance import access_token, authorize_url, dance, signed, temporary
from harness import at_once

COPIES = 50
FORM = ("Content-Type", "application/x-www-form-urlencoded")


def outcomes(answers):
    return collections.Counter((answer.status, answer.problem) for answer in answers)


@pytest.mark.parametrize("method", ["HMAC-SHA1", "RSA-SHA1"])
def test_fifty_concurrent_copies_of_one_request_give_exactly_one_200(method, server, client, token):
    for _ in range(3):
        value = signer.authorization("GET", f"{server.base}/v2/me?a=1", client, token, method=method)
        send = lambda: wire.send(server, "GET", "/v2/me?a=1", [("Authorization", value)])  # noqa: E731
        assert outcomes(at_once([send] * COPIES)) == {(200, None): 1, (401, "nonce_used"): COPIES - 1}


def test_copies_that_differ_in_placement_share_one_nonce(server, client, token):
    parameters = signer.sign("POST", f"{server.base}/v2/me", client, token)
    header = [("Authorization", signer.header(parameters))]
    form = signer.form_encoded(parameters)
    actions = [
        lambda: wire.send(server, "POST", "/v2/me", header),
        lambda: wire.send(server, "POST", "/v2/me?" + form),
        lambda: wire.send(server, "POST", "/v2/me", [FORM], form),
    ]
    counted = outcomes(at_once(actions * 8))
    assert counted == {(200, None): 1, (401, "nonce_used"): 23}


def test_fifty_different_requests_at_once_all_pass(server, client, token):
    answers = at_once([lambda: signed(server, "GET", "/v2/me", client, token)] * COPIES)
    assert outcomes(answers) == {(200, None): COPIES}


def test_copies_of_one_request_for_a_request_token_give_one_request_token(server, client):
    url = f"{server.base}/oauth/request_token"
    value = signer.authorization("POST", url, client, oauth_callback=client.callback)
    send = lambda: wire.send(server, "POST", "/oauth/request_token", [("Authorization", value)], b"")  # noqa: E731
    answers = at_once([send] * 20)
    assert sum(answer.status == 200 for answer in answers) == 1
    assert {answer.form.get("oauth_problem") for answer in answers if answer.status != 200} == {"nonce_used"}


@pytest.mark.parametrize("threads", [2, 20])
def test_threads_that_exchange_one_request_token_get_one_access_token(threads, server, client, browser):
    request = temporary(server, client)
    verifier = browser.verifier(authorize_url(server, request))
    answers = at_once([lambda: access_token(server, client, request, verifier)] * threads)
    given = [answer for answer in answers if answer.status == 200]
    assert len(given) == 1, [(answer.status, answer.body) for answer in answers]
    refused = {(answer.status, answer.form["oauth_problem"]) for answer in answers if answer.status != 200}
    assert refused == {(401, "token_used")}


def test_an_exchanged_request_token_is_used_up(server, client, browser):
    request = temporary(server, client)
    verifier = browser.verifier(authorize_url(server, request))
    assert access_token(server, client, request, verifier).status == 200
    again = access_token(server, client, request, verifier)
    assert (again.status, again.form["oauth_problem"]) == (401, "token_used")


def test_a_verifier_may_be_guessed_a_few_times_only(server, client, browser):
    request = temporary(server, client)
    verifier = browser.verifier(authorize_url(server, request))
    answers = at_once([lambda: access_token(server, client, request, "wrong")] * 12)
    assert all(answer.status == 401 for answer in answers)
    assert access_token(server, client, request, verifier).status == 401


def test_wrong_guesses_below_the_limit_do_no_harm(server, client, browser):
    request = temporary(server, client)
    verifier = browser.verifier(authorize_url(server, request))
    for guess in ("wrong", "", verifier[:-1]):
        answer = access_token(server, client, request, guess)
        assert answer.status in (400, 401)
    assert access_token(server, client, request, verifier).status == 200


def test_an_access_token_revoked_by_two_threads_is_dead_for_both(server, client, browser):
    token = dance(server, client, browser)
    url = f"{server.base}/oauth/revoke"

    def revoke():
        value = signer.authorization("POST", url, client, token)
        return wire.send(server, "POST", "/oauth/revoke", [("Authorization", value)], b"")

    statuses = sorted(answer.status for answer in at_once([revoke] * 2))
    assert statuses[0] == 200 and statuses[1] in (200, 401)
    answer = signed(server, "GET", "/v2/me", client, token)
    assert (answer.status, answer.problem) == (401, "token_revoked")
