"""Odd but legal requests pass, and illegal ones are refused with the right word, over real HTTP.

The signer is signer.py, which shares nothing with the server. Requests go out byte for byte as written here.
"""

import time

import pytest
import signer
import wire
from dance import request_token, signed, temporary

FORM = ("Content-Type", "application/x-www-form-urlencoded")
UNICODE = "%E5%90%8D%E5%89%8D=%E5%B1%B1%E7%94%B0&emoji=%F0%9F%A6%80&caf%C3%A9=cr%C3%A8me"

QUERIES = {
    "nothing-after-the-question-mark": "?",
    "one": "?a=1",
    "duplicate-names": "?a=2&a=1&a=3",
    "duplicate-pairs": "?a=1&a=1",
    "empty-values": "?a=&b=&a=",
    "no-equals-sign": "?a&b",
    "empty-name": "?=x&a=1",
    "only-separators": "?&&",
    "separators-between": "?&a=1&&b=2&",
    "plus-is-a-space": "?q=a+b",
    "percent-20-is-a-space": "?q=a%20b",
    "plus-and-percent-20-side-by-side": "?q=a+b&q=a%20b&q=a%2Bb",
    "plus-in-a-name": "?a+b=c",
    "unicode": f"?{UNICODE}",
    "unicode-with-lower-case-escapes": "?caf%c3%a9=%e5%90%8d",
    "composed-and-decomposed": "?a=%C3%A9&b=e%CC%81",
    "reserved-escaped": "?r=%3A%2F%3F%23%5B%5D%40%21%24%26%27%28%29%2A%2B%2C%3B%3D",
    "reserved-raw": "?r=:/?@!$'()*,;&s=a=b=c",
    "unreserved-escaped": "?r=%41%7E%2D%2E%5F",
    "encoded-twice": "?r=%2525&s=%253D",
    "order-is-by-bytes-after-encoding": "?a=1&a%20=2&a-=3&a.=4&aa=5&A=6&a%C3%A9=7&a0=8",
    "order-of-values": "?a=x!y&a=x%20y&a=x+y&a=x&a=",
    "names-that-begin-with-oauth": "?oauthish=1&oauth=2",
    "the-example-of-the-rfc": "?b5=%3D%253D&a3=a&c%40=&a2=r%20b",
    "a-long-value": "?a=" + "0123456789" * 1000,
    "nine-hundred-parameters": "?" + "&".join(f"p{number}={number % 7}" for number in range(900)),
    "a-newline": "?a=line%0Aline%0D%0A&b=%09",
    "a-nul": "?a=%00",
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_a_query_is_signed_as_it_was_sent(query, server, client, token):
    answer = signed(server, "GET", f"/v2/me{query}", client, token)
    assert answer.status == 200, answer.body
    assert answer.json["credential"] == "oauth1"


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_the_same_text_works_as_a_form_body(query, server, client, token):
    form = query[1:]
    answer = signed(server, "POST", "/v2/me", client, token, headers=[FORM], body=form, form=form)
    assert answer.status == 200, answer.body


@pytest.mark.parametrize(
    ("sent", "changed"),
    [
        ("?a=1", "?a=2"),
        ("?a=1", "?A=1"),
        ("?a=1", "?a=1&a=1"),
        ("?a=1&a=2", "?a=1"),
        ("?a=", ""),
        ("?a=b%20c", "?a=b%2Bc"),
        ("?a=%C3%A9", "?a=e%CC%81"),
        ("", "?a=1"),
        ("", "/"),
    ],
)
def test_a_query_changed_on_the_way_is_refused(sent, changed, server, client, token):
    value = signer.authorization("GET", f"{server.base}/v2/me{sent}", client, token)
    answer = wire.send(server, "GET", f"/v2/me{changed}", [("Authorization", value)])
    assert (answer.status, answer.problem) == (401, "signature_invalid")


def test_plus_and_percent_20_are_the_same_space_but_an_escaped_plus_is_none(server, client, token):
    value = signer.authorization("GET", f"{server.base}/v2/me?q=a+b", client, token)
    assert wire.send(server, "GET", "/v2/me?q=a%20b", [("Authorization", value)]).status == 200
    value = signer.authorization("GET", f"{server.base}/v2/me?q=a+b", client, token)
    assert wire.send(server, "GET", "/v2/me?q=a%2Bb", [("Authorization", value)]).status == 401


def test_query_and_form_body_are_sorted_together(server, client, token):
    form = "c2&a3=2+q"
    target = "/v2/me?b5=%3D%253D&a3=a&c%40=&a2=r%20b"
    answer = signed(server, "POST", target, client, token, headers=[FORM], body=form, form=form)
    assert answer.status == 200, answer.body


# --- methods and bodies ---


@pytest.mark.parametrize("verb", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_every_method_is_signed(verb, server, client, token):
    answer = signed(server, verb, "/v2/me?a=1", client, token)
    assert answer.status == 200
    assert (verb == "HEAD") == (answer.body == b"")


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_another_method_than_the_signed_one_is_refused(verb, server, client, token):
    other = "GET" if verb != "GET" else "POST"
    value = signer.authorization(other, f"{server.base}/v2/me", client, token)
    answer = wire.send(server, verb, "/v2/me", [("Authorization", value)])
    assert (answer.status, answer.problem) == (401, "signature_invalid")


@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_form_body_is_part_of_the_signature_with_every_method(verb, server, client, token):
    form = "a=1&b=c+d"
    assert signed(server, verb, "/v2/me", client, token, headers=[FORM], body=form, form=form).status == 200
    assert signed(server, verb, "/v2/me", client, token, headers=[FORM], body=form).status == 401


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded; charset=UTF-8",
        "application/x-www-form-urlencoded;charset=utf-8",
        "Application/X-WWW-Form-Urlencoded",
    ],
)
def test_a_form_content_type_may_have_parameters_and_any_case(content_type, server, client, token):
    form = "a=caf%C3%A9"
    headers = [("Content-Type", content_type)]
    assert signed(server, "POST", "/v2/me", client, token, headers=headers, body=form, form=form).status == 200


BODIES = {
    "json": ("application/json", '{"a":"1","b":["&","="]}'),
    "json-that-looks-like-a-form": ("application/json", "a=1&b=2"),
    "multipart": (
        "multipart/form-data; boundary=x",
        '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
    ),
    "plain": ("text/plain", "a=1&b=2"),
    "xml": ("application/xml", "<a>1</a>"),
    "bytes": ("application/octet-stream", bytes(range(256))),
}


@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(("content_type", "body"), BODIES.values(), ids=BODIES.keys())
def test_any_other_body_is_left_out_of_the_signature(content_type, body, verb, server, client, token):
    headers = [("Content-Type", content_type)]
    answer = signed(server, verb, "/v2/me", client, token, headers=headers, body=body)
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain"])
def test_a_body_that_is_no_form_but_was_signed_as_one_is_refused(content_type, server, client, token):
    headers = [("Content-Type", content_type)]
    answer = signed(server, "POST", "/v2/me", client, token, headers=headers, body="a=1", form="a=1")
    assert (answer.status, answer.problem) == (401, "signature_invalid")


def test_a_body_without_a_content_type_is_left_out_of_the_signature(server, client, token):
    assert signed(server, "POST", "/v2/me", client, token, body="a=1&b=2").status == 200


def test_a_post_without_a_body_and_without_a_length_passes(server, client, token):
    assert signed(server, "POST", "/v2/me", client, token).status == 200


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/json", "text/plain", "x"])
def test_an_empty_post_passes_with_any_content_type(content_type, server, client, token):
    headers = [("Content-Type", content_type)]
    assert signed(server, "POST", "/v2/me", client, token, headers=headers, body="").status == 200


def test_a_form_content_type_on_get_passes(server, client, token):
    assert signed(server, "GET", "/v2/me?a=1", client, token, headers=[FORM]).status == 200


def test_a_chunked_form_body_is_signed_like_any_other(server, client, token):
    form = "a=1&b=2"
    value = signer.authorization("POST", f"{server.base}/v2/me", client, token, form=form)
    headers = [FORM, ("Authorization", value), ("Transfer-Encoding", "chunked")]
    head = wire.request_bytes("POST", "/v2/me", server.authority, headers)
    chunks = "".join(f"{len(piece):x}\r\n{piece}\r\n" for piece in (form[:3], form[3:], ""))
    answer = wire.exchange((server.host, server.port), head + chunks.encode(), "POST")
    assert answer.status == 200, answer.body


# --- where the parameters are ---


@pytest.mark.parametrize("method", signer.METHODS)
@pytest.mark.parametrize("placement", ["header", "query", "body"])
def test_every_signature_method_passes_from_every_place(placement, method, server, client, token):
    verb = "POST" if placement == "body" else "GET"
    parameters = signer.sign(verb, f"{server.base}/v2/me", client, token, method=method)
    target, headers, body = "/v2/me", [], None
    if placement == "header":
        headers = [("Authorization", signer.header(parameters, realm="Photos"))]
    elif placement == "query":
        target += "?" + signer.form_encoded(parameters)
    else:
        headers, body = [FORM], signer.form_encoded(parameters)
    answer = wire.send(server, verb, target, headers, body)
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("method", signer.METHODS)
def test_a_signature_of_another_base_string_is_refused_with_every_method(method, server, client, token):
    value = signer.authorization("GET", f"{server.base}/v2/me?a=1", client, token, method=method)
    answer = wire.send(server, "GET", "/v2/me", [("Authorization", value)])
    assert (answer.status, answer.problem) == (401, "signature_invalid")


def test_oauth_parameters_may_be_split_between_header_and_body(server, client, token):
    parameters = signer.sign("POST", f"{server.base}/v2/me", client, token)
    headers = [("Authorization", signer.header(parameters[:3])), FORM]
    answer = wire.send(server, "POST", "/v2/me", headers, signer.form_encoded(parameters[3:]))
    assert answer.status == 200, answer.body


def test_an_oauth_parameter_in_two_places_is_400(server, client, token):
    parameters = signer.sign("POST", f"{server.base}/v2/me", client, token)
    headers = [("Authorization", signer.header(parameters)), FORM]
    answer = wire.send(server, "POST", "/v2/me", headers, signer.form_encoded(parameters[:1]))
    assert answer.status == 400


@pytest.mark.parametrize("name", ["oauth_consumer_key", "oauth_nonce", "oauth_timestamp", "oauth_signature"])
def test_an_oauth_parameter_twice_in_the_header_is_400(name, server, client, token):
    parameters = signer.sign("GET", f"{server.base}/v2/me", client, token)
    again = [pair for pair in parameters if pair[0] == name]
    answer = wire.send(server, "GET", "/v2/me", [("Authorization", signer.header(parameters + again))])
    assert answer.status == 400
    assert answer.problem == "parameter_rejected"


# --- how the header is written ---


def rewritten(server, client, token, rewrite):
    value = signer.authorization("GET", f"{server.base}/v2/me", client, token)
    return wire.send(server, "GET", "/v2/me", [("Authorization", rewrite(value))])


HEADER_STYLES = {
    "scheme-in-lower-case": lambda value: value.replace("OAuth ", "oauth "),
    "scheme-in-upper-case": lambda value: value.replace("OAuth ", "OAUTH "),
    "no-space-after-commas": lambda value: value.replace(", ", ","),
    "much-space-around-commas": lambda value: value.replace(", ", "   ,\t "),
    "space-around-equals-signs": lambda value: value.replace('="', ' = "'),
    "realm-first": lambda value: value.replace("OAuth ", 'OAuth realm="http://photos.example.net/", '),
    "realm-last": lambda value: value + ', realm="Photos"',
    "realm-in-the-middle": lambda value: value.replace(", oauth_nonce", ', realm="a, b=\\"c\\"", oauth_nonce'),
    "empty-realm": lambda value: value.replace("OAuth ", 'OAuth realm="", '),
    "trailing-comma": lambda value: value + ",",
    "raw-signature": lambda value: value.replace("%2B", "+").replace("%2F", "/").replace("%3D", "="),
    "lower-case-escapes": lambda value: value.replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d"),
}


@pytest.mark.parametrize("style", HEADER_STYLES.values(), ids=HEADER_STYLES.keys())
def test_the_header_may_be_written_in_any_style_that_clients_use(style, server, client, token):
    for _ in range(4):  # signatures differ: some have + and /, some have not
        answer = rewritten(server, client, token, style)
        assert answer.status == 200, answer.body


@pytest.mark.parametrize("length", [1, 2, 255])
def test_a_nonce_may_have_1_to_255_characters(length, server, client, token):
    letters = (signer.nonce() * 20)[-length:] if length > 2 else "~!"[:length]
    answer = signed(server, "GET", "/v2/me", client, token, oauth_nonce=letters)
    assert answer.status == 200, answer.body


def test_a_nonce_may_hold_every_printable_character(server, client, token):
    printable = "".join(chr(code) for code in range(0x21, 0x7F))
    assert signed(server, "GET", "/v2/me", client, token, oauth_nonce=printable).status == 200


@pytest.mark.parametrize("nonce", ["", "x" * 256], ids=["empty", "256-characters"])
def test_any_other_nonce_is_400(nonce, server, client, token):
    answer = signed(server, "GET", "/v2/me", client, token, oauth_nonce=nonce)
    assert answer.status == 400


def test_the_version_may_be_absent(server, client, token):
    assert signed(server, "GET", "/v2/me", client, token, oauth_version=None).status == 200


@pytest.mark.parametrize("version", ["2.0", "1.1", "1", ""])
def test_another_version_is_rejected(version, server, client, token):
    answer = signed(server, "GET", "/v2/me", client, token, oauth_version=version)
    assert (answer.status, answer.problem) == (400, "version_rejected")


@pytest.mark.parametrize("method", ["HMAC-MD5", "hmac-sha1", "NONE"])
def test_another_signature_method_is_rejected(method, server, client, token):
    parameters = signer.sign("GET", f"{server.base}/v2/me", client, token)
    changed = [(name, method if name == "oauth_signature_method" else value) for name, value in parameters]
    answer = wire.send(server, "GET", "/v2/me", [("Authorization", signer.header(changed))])
    assert (answer.status, answer.problem) == (400, "signature_method_rejected")


def test_plaintext_without_tls_is_rejected(server, client, token):
    answer = signed(server, "GET", "/v2/me", client, token, method="PLAINTEXT")
    assert (answer.status, answer.problem) == (400, "signature_method_rejected")


@pytest.mark.parametrize(
    "name", ["oauth_consumer_key", "oauth_signature_method", "oauth_timestamp", "oauth_nonce", "oauth_signature"]
)
def test_a_missing_parameter_is_400_and_named(name, server, client, token):
    parameters = signer.sign("GET", f"{server.base}/v2/me", client, token)
    left = [pair for pair in parameters if pair[0] != name]
    answer = wire.send(server, "GET", "/v2/me", [("Authorization", signer.header(left))])
    assert (answer.status, answer.problem) == (400, "parameter_absent")
    assert name in answer.text
    parameters = signer.sign("POST", f"{server.base}/oauth/request_token", client, oauth_callback=client.callback)
    left = [pair for pair in parameters if pair[0] != name]
    answer = wire.send(server, "POST", "/oauth/request_token", [("Authorization", signer.header(left))], b"")
    assert (answer.status, answer.form["oauth_problem"]) == (400, "parameter_absent")
    assert answer.form["oauth_parameters_absent"] == name


# --- hosts and ports ---


@pytest.mark.parametrize(
    "host",
    [
        "[::1]",
        "[::1]:8080",
        "[2001:db8::1]:80",
        "example.com",
        "example.com:80",
        "example.com:8080",
        "EXAMPLE.com:8080",
        "xn--bcher-kva.example",
        "127.0.0.1:1",
    ],
)
def test_without_a_public_url_the_host_header_is_what_was_signed(host, server, client, token):
    answer = signed(server, "GET", "/v2/me?a=1", client, token, host=host)
    assert answer.status == 200, answer.body


@pytest.mark.parametrize(
    ("signed_host", "sent_host"),
    [("example.com:8080", "example.com"), ("example.com", "example.com:8080"), ("[::1]:8080", "[::1]:8081")],
)
def test_another_port_than_the_signed_one_is_refused(signed_host, sent_host, server, client, token):
    value = signer.authorization("GET", f"http://{signed_host}/v2/me", client, token)
    answer = wire.send(server, "GET", "/v2/me", [("Authorization", value)], host=sent_host)
    assert (answer.status, answer.problem) == (401, "signature_invalid")


def test_a_server_that_listens_on_an_ipv6_address_verifies_the_same(ipv6_server):
    server = ipv6_server
    owner = server.account()
    client = server.client(owner)
    answer = request_token(server, client)
    assert answer.status == 200, answer.body


@pytest.fixture
def ipv6_server(new_server):
    try:
        started = new_server(name="ipv6", host="::1")
    except OSError:
        pytest.skip("not run: this machine has no ::1")
    yield started
    started.stop()


def test_with_a_public_url_its_origin_is_what_must_be_signed(new_server):
    server = new_server(name="public", public_url="https://api.example.com")
    client = server.client(server.account())
    path = "/oauth/request_token"
    for origin, status in (("https://api.example.com", 200), (server.base, 401), ("http://api.example.com", 401)):
        value = signer.authorization("POST", f"{origin}{path}", client, oauth_callback=client.callback)
        assert wire.send(server, "POST", path, [("Authorization", value)], b"").status == status
    server.stop()


# --- time ---


@pytest.mark.parametrize("seconds", [-280, -60, 60, 280])
def test_a_timestamp_inside_the_window_passes(seconds, server, client, token):
    moment = str(int(time.time()) + seconds)
    assert signed(server, "GET", "/v2/me", client, token, oauth_timestamp=moment).status == 200


@pytest.mark.parametrize("seconds", [-86400 * 365, -3600, -320, 320, 3600, 86400 * 365 * 50])
def test_a_stale_or_future_timestamp_is_refused_and_the_window_told(seconds, server, client, token):
    moment = str(int(time.time()) + seconds)
    answer = signed(server, "GET", "/v2/me", client, token, oauth_timestamp=moment)
    assert (answer.status, answer.problem) == (401, "timestamp_refused")
    answer = request_token(server, client, oauth_timestamp=moment)
    assert (answer.status, answer.form["oauth_problem"]) == (401, "timestamp_refused")
    first, last = (int(edge) for edge in answer.form["oauth_acceptable_timestamps"].split("-"))
    assert first < time.time() < last
    assert not first <= int(moment) <= last


def test_a_timestamp_in_milliseconds_is_called_so(server, client):
    answer = request_token(server, client, oauth_timestamp=str(int(time.time() * 1000)))
    assert (answer.status, answer.form["oauth_problem"]) == (401, "timestamp_refused")
    advice = answer.form["oauth_problem_advice"]
    assert "is in milliseconds" in advice and "clock" not in advice
    advice = request_token(server, client, oauth_timestamp="1000000000").form["oauth_problem_advice"]
    assert "set the client's clock" in advice and "milliseconds" not in advice


@pytest.mark.parametrize("moment", ["", "0", "-1", "now", "1.5", "1e9", "9" * 19, "9" * 40, " 1", "٣"])
def test_a_timestamp_that_is_no_positive_integer_is_refused(moment, server, client, token):
    answer = signed(server, "GET", "/v2/me", client, token, oauth_timestamp=moment)
    assert answer.status in (400, 401)
    assert answer.problem in ("timestamp_refused", "parameter_rejected", "parameter_absent")


def test_a_refused_timestamp_does_not_use_up_the_nonce(server, client, token):
    nonce = signer.nonce()
    stale = str(int(time.time()) - 4000)
    assert signed(server, "GET", "/v2/me", client, token, oauth_nonce=nonce, oauth_timestamp=stale).status == 401
    assert signed(server, "GET", "/v2/me", client, token, oauth_nonce=nonce).status == 200


# --- nonces ---


def test_a_used_nonce_is_refused(server, client, token):
    value = signer.authorization("GET", f"{server.base}/v2/me", client, token)
    first = wire.send(server, "GET", "/v2/me", [("Authorization", value)])
    second = wire.send(server, "GET", "/v2/me", [("Authorization", value)])
    assert first.status == 200
    assert (second.status, second.problem) == (401, "nonce_used")


def test_a_bad_signature_does_not_use_up_the_nonce(server, client, token):
    again = {"oauth_nonce": signer.nonce(), "oauth_timestamp": str(int(time.time()))}
    assert signed(server, "GET", "/v2/me", client, token, token_secret="wrong", **again).status == 401
    assert signed(server, "GET", "/v2/me", client, token, **again).status == 200


def test_a_nonce_is_unique_for_client_token_and_timestamp_only(server, client, token, client_oob, browser):
    nonce, now = signer.nonce(), int(time.time())
    same = {"oauth_nonce": nonce, "oauth_timestamp": str(now)}
    assert signed(server, "GET", "/v2/me", client, token, **same).status == 200
    assert signed(server, "GET", "/v2/me", client, token, **same | {"oauth_timestamp": str(now + 1)}).status == 200
    assert request_token(server, client, **same).status == 200
    assert request_token(server, client_oob, **same).status == 200
    assert request_token(server, client, **same).status == 401


# --- oauth_body_hash ---


@pytest.mark.parametrize("method", ["HMAC-SHA1", "HMAC-SHA256", "RSA-SHA1", "RSA-SHA512"])
def test_a_body_hash_of_the_received_bytes_passes(method, server, client, token):
    body = '{"a":"é"}'.encode()
    answer = signed(
        server,
        "POST",
        "/v2/me",
        client,
        token,
        method=method,
        headers=[("Content-Type", "application/json")],
        body=body,
        oauth_body_hash=signer.body_hash(body, method),
    )
    assert answer.status == 200, answer.body


def test_the_hash_of_the_empty_body_passes_without_a_body(server, client, token):
    empty = signer.body_hash(b"")
    assert signed(server, "GET", "/v2/me", client, token, oauth_body_hash=empty).status == 200


@pytest.mark.parametrize("body", [b'{"a":2}', b"", b'{"a":1} '])
def test_a_body_changed_on_the_way_is_refused(body, server, client, token):
    answer = signed(
        server,
        "POST",
        "/v2/me",
        client,
        token,
        headers=[("Content-Type", "application/json")],
        body=body,
        oauth_body_hash=signer.body_hash(b'{"a":1}'),
    )
    assert answer.status in (400, 401)


# --- keys, tokens and secrets ---


def test_an_unknown_client_key_is_told(server, client, token):
    answer = signed(server, "GET", "/v2/me", client, token, oauth_consumer_key="nobody")
    assert (answer.status, answer.problem) == (401, "consumer_key_unknown")


def test_an_unknown_token_is_told(server, client, token):
    answer = signed(server, "GET", "/v2/me", client, token, oauth_token="nothing")
    assert (answer.status, answer.problem) == (401, "token_rejected")


def test_a_token_of_another_client_is_refused(server, client_oob, token):
    answer = signed(server, "GET", "/v2/me", client_oob, token)
    assert answer.status == 401


def test_a_request_token_is_no_access_token(server, client):
    request = temporary(server, client)
    answer = signed(server, "GET", "/v2/me", client, request)
    assert answer.status == 401


@pytest.mark.parametrize("empty", [None, ""])
def test_client_credentials_alone_are_no_good_where_the_route_does_not_admit_them(empty, server, client):
    answer = signed(server, "GET", "/v2/me", client, oauth_token=empty)
    assert answer.status in (400, 401)


def test_a_request_token_without_a_callback_is_400(server, client):
    answer = request_token(server, client, oauth_callback=None)
    assert answer.status == 400
    assert answer.form["oauth_problem"] == "parameter_absent"


@pytest.mark.parametrize(
    "callback",
    [
        "http://127.0.0.1/other",
        "http://evil.example/callback",
        "https://127.0.0.1/callback",
        "http://127.0.0.1/callback?more=1",
        "http://127.0.0.1.evil.example/callback",
        "http://user@127.0.0.1/callback",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "not a url",
        "",
        "oob",
    ],
)
def test_a_callback_that_is_not_registered_is_rejected(callback, server, client):
    answer = request_token(server, client, oauth_callback=callback)
    assert answer.status in (400, 401, 403)
    assert answer.form["oauth_problem"] in ("parameter_rejected", "parameter_absent")


def test_a_loopback_callback_may_have_any_port(server, client):
    assert request_token(server, client, callback="http://127.0.0.1:49152/callback").status == 200


@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_the_token_endpoints_take_get_and_post(verb, server, client):
    url = f"{server.base}/oauth/request_token"
    value = signer.authorization(verb, url, client, oauth_callback=client.callback)
    answer = wire.send(server, verb, "/oauth/request_token", [("Authorization", value)])
    assert answer.status == 200
    assert answer.one("Content-Type").startswith("application/x-www-form-urlencoded")
    assert sorted(answer.form) == ["oauth_callback_confirmed", "oauth_token", "oauth_token_secret"]
