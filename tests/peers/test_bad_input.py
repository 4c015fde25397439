"""Bad input gets a clear error, never a 5xx, never a panic, and nothing is lost by it.

`check` sends raw bytes, and afterwards the server must still be the same process in good health; a panic in its log
fails the run when the server is stopped.
"""

import base64
import random
import socket

import pytest
import signer
import wire
from dance import request_token, signed, temporary

ENDPOINTS = [
    "/v2/me",
    "/oauth/request_token",
    "/oauth/authorize",
    "/oauth/access_token",
    "/oauth/revoke",
    "/login",
    "/api/auth/jwt",
    "/authz/forward",
    "/authz/nginx",
    "/authz/envoy/v2/me",
    "/api/v1/accounts",
]
FORM = "application/x-www-form-urlencoded"


def check(server, request, verb="GET", half_close=False, closes=False):
    """Send bytes; the answer is an error below 500 (or with `closes` the end of the connection), the server lives."""
    answer = wire.exchange((server.host, server.port), request, verb, half_close)
    allowed = range(200, 500)
    assert answer.status in allowed or (closes and answer.status is None), (answer.status, answer.body[:300])
    assert server.process.poll() is None
    alive = wire.send(server, "GET", "/health/live")
    assert alive.status == 200
    return answer


def plain(server, verb, target, headers=(), body=None):
    return wire.request_bytes(verb, target, server.authority, headers, body)


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "X-Client-Key", "X-Odd", "Content-Type"])
def test_a_header_of_one_megabyte_is_refused(name, server):
    request = plain(server, "GET", "/v2/me", [(name, "OAuth " + "x" * 1_000_000)])
    answer = check(server, request, closes=True)
    assert answer.status in (None, 400, 431)


def test_a_request_line_of_one_megabyte_is_refused(server):
    answer = check(server, plain(server, "GET", "/v2/me?a=" + "x" * 1_000_000), closes=True)
    assert answer.status in (None, 400, 414, 431)


def test_ten_thousand_headers_are_refused(server):
    headers = [(f"X-{number}", "1") for number in range(10_000)]
    answer = check(server, plain(server, "GET", "/v2/me", headers), closes=True)
    assert answer.status in (None, 400, 431)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_ten_thousand_parameters_in_the_query_do_no_harm(endpoint, server):
    query = "&".join(f"a{number}=1" for number in range(10_000))
    check(server, plain(server, "GET", f"{endpoint}?{query}"))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_ten_thousand_parameters_in_a_form_body_do_no_harm(endpoint, server):
    body = "&".join(f"a{number}=1" for number in range(10_000)).encode()
    check(server, plain(server, "POST", endpoint, [("Content-Type", FORM)], body))


def test_ten_thousand_signed_parameters_get_a_verdict_and_no_crash(server, client, token):
    form = "&".join(f"a{number}={number}" for number in range(10_000))
    answer = signed(server, "POST", "/v2/me", client, token, headers=[("Content-Type", FORM)], body=form, form=form)
    assert answer.status == 200 or 400 <= answer.status < 500


def test_ten_thousand_oauth_parameters_in_the_header_do_no_harm(server):
    value = "OAuth " + ",".join(f'oauth_x{number}="1"' for number in range(5_000))
    answer = check(server, plain(server, "GET", "/v2/me", [("Authorization", value)]), closes=True)
    assert answer.status in (None, 400, 401, 431)


@pytest.mark.parametrize("size", [1_048_577, 3_000_000])
def test_a_form_body_over_the_limit_is_413(size, server):
    body = b"a=" + b"x" * size
    answer = check(server, plain(server, "POST", "/v2/me", [("Content-Type", FORM)], body), closes=True)
    assert answer.status in (None, 413)


ODD_BYTES = {
    "nul": b"\x00",
    "invalid-utf-8": b"\xff\xfe\xc3\x28",
    "overlong-utf-8": b"\xc0\xaf",
    "surrogate": b"\xed\xa0\x80",
    "controls": b"\x01\x07\x1b\x7f",
    "latin-1": "é".encode("latin-1"),
    "utf-8": "名前".encode(),
    "quotes": b"\"'\\<>{}|^`",
}
ODD_ESCAPES = {
    "no-digits": "%",
    "one-digit": "%1",
    "no-hex": "%zz",
    "no-hex-after-good": "%41%g1",
    "unicode-escape": "%u0041",
    "nul-escaped": "%00",
    "invalid-utf-8-escaped": "%ff%fe",
    "overlong-escaped": "%c0%af",
    "surrogate-escaped": "%ed%a0%80",
    "newlines-escaped": "%0d%0aSet-Cookie:%20a=b",
}


@pytest.mark.parametrize("bad", ODD_BYTES.values(), ids=ODD_BYTES.keys())
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_odd_bytes_in_query_header_and_body_do_no_harm(endpoint, bad, server):
    host = server.authority.encode()
    head = b"Host: " + host + b"\r\nConnection: close\r\n"
    path = endpoint.encode()
    check(server, b"GET " + path + b"?a=" + bad + b"&oauth_token=" + bad + b" HTTP/1.1\r\n" + head + b"\r\n", closes=True)
    for name in (b"Authorization: OAuth oauth_consumer_key=\"", b"Authorization: Basic ", b"X-Client-Key: ", b"Cookie: a="):
        request = b"GET " + path + b" HTTP/1.1\r\n" + head + name + bad + b'"\r\n\r\n'
        check(server, request, closes=True)
    for kind in (FORM.encode(), b"application/json"):
        body = b"username=" + bad + b"&password=" + bad + b"&oauth_token=" + bad
        length = str(len(body)).encode()
        request = b"POST " + path + b" HTTP/1.1\r\n" + head + b"Content-Type: " + kind
        check(server, request + b"\r\nContent-Length: " + length + b"\r\n\r\n" + body, "POST", closes=True)


@pytest.mark.parametrize("bad", ODD_ESCAPES.values(), ids=ODD_ESCAPES.keys())
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_odd_escapes_in_query_header_and_body_do_no_harm(endpoint, bad, server):
    check(server, plain(server, "GET", f"{endpoint}?a={bad}&oauth_token={bad}&oauth_consumer_key={bad}"))
    header = f'OAuth oauth_consumer_key="{bad}", oauth_token="{bad}", oauth_signature="{bad}", {bad}="1"'
    check(server, plain(server, "GET", endpoint, [("Authorization", header)]))
    body = f"username={bad}&password={bad}&oauth_token={bad}&oauth_consumer_key={bad}&{bad}=1".encode()
    check(server, plain(server, "POST", endpoint, [("Content-Type", FORM)], body))


@pytest.mark.parametrize("bad", ODD_ESCAPES.values(), ids=ODD_ESCAPES.keys())
def test_odd_escapes_in_the_path_do_no_harm(bad, server, client, token):
    check(server, plain(server, "GET", f"/v2/{bad}"))
    check(server, plain(server, "GET", f"/{bad}/v2/me"))
    check(server, plain(server, "GET", f"/v2/me{bad}", [("Authorization", "OAuth x")]))


@pytest.mark.parametrize(
    "path", ["/v2//me", "/v2/./me", "/v2/../v2/me", "/v2/%2e%2e/me", "/v2/%2F/me", "/v2/a%5Cb", "/v2/%00", "//v2/me"]
)
def test_a_path_that_could_be_read_in_two_ways_is_400(path, server, client, token):
    answer = signed(server, "GET", path, client, token)
    assert answer.status == 400, answer.body


@pytest.mark.parametrize(
    "length",
    ["-1", "99999999999999999999999", "18446744073709551615", "9223372036854775808", "abc", "", "1e3", "+5", "0x10", "5, 6"],
)
def test_an_absurd_content_length_does_no_harm(length, server):
    head = f"POST /v2/me HTTP/1.1\r\nHost: {server.authority}\r\nContent-Type: {FORM}\r\n"
    check(server, f"{head}Content-Length: {length}\r\n\r\na=1".encode(), "POST", half_close=True, closes=True)


SMUGGLED = {
    "two-lengths": "Content-Length: 3\r\nContent-Length: 30\r\n\r\na=1",
    "length-and-chunked": "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=1\r\n0\r\n\r\n",
    "unknown-transfer-coding": "Transfer-Encoding: gzip, nonsense\r\n\r\na=1",
    "bad-chunk-size": "Transfer-Encoding: chunked\r\n\r\nzz\r\na=1\r\n0\r\n\r\n",
    "huge-chunk-size": "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\na=1",
    "negative-chunk-size": "Transfer-Encoding: chunked\r\n\r\n-1\r\na=1",
    "body-shorter-than-its-length": "Content-Length: 1000\r\n\r\na=1",
    "chunks-without-an-end": "Transfer-Encoding: chunked\r\n\r\n3\r\na=1\r\n",
    "expect-of-another-kind": "Expect: the-unexpected\r\nContent-Length: 3\r\n\r\na=1",
    "gzip-that-is-none": "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\na=1",
    "content-type-that-is-none": "Content-Type: ;;;/\r\nContent-Length: 3\r\n\r\na=1",
    "folded-header": "X-Folded: a\r\n b\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("rest", SMUGGLED.values(), ids=SMUGGLED.keys())
@pytest.mark.parametrize("endpoint", ["/v2/me", "/oauth/request_token", "/login"])
def test_a_body_whose_length_is_in_doubt_does_no_harm(endpoint, rest, server):
    head = f"POST {endpoint} HTTP/1.1\r\nHost: {server.authority}\r\nContent-Type: {FORM}\r\n"
    check(server, (head + rest).encode(), "POST", half_close=True, closes=True)


BROKEN = {
    "nothing": b"",
    "only-newlines": b"\r\n\r\n\r\n",
    "no-version": b"GET /v2/me\r\n\r\n",
    "unknown-version": b"GET /v2/me HTTP/9.9\r\nHost: a\r\n\r\n",
    "no-host": b"GET /v2/me HTTP/1.1\r\nConnection: close\r\n\r\n",
    "empty-host": b"GET /v2/me HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n",
    "two-hosts": b"GET /v2/me HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
    "odd-host": b"GET /v2/me HTTP/1.1\r\nHost: [::1:80\r\nConnection: close\r\n\r\n",
    "host-with-user": b"GET /v2/me HTTP/1.1\r\nHost: a@b:99999\r\nConnection: close\r\n\r\n",
    "host-not-ascii": "GET /v2/me HTTP/1.1\r\nHost: bücher\r\nConnection: close\r\n\r\n".encode(),
    "http-1.0": b"GET /v2/me HTTP/1.0\r\n\r\n",
    "absolute-form": b"GET http://example.com/v2/me HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "asterisk-form": b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "authority-form": b"CONNECT example.com:80 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "unknown-method": b"BREW /v2/me HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "long-method": b"X" * 5000 + b" /v2/me HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "space-before-colon": b"GET /v2/me HTTP/1.1\r\nHost : a\r\nConnection: close\r\n\r\n",
    "header-without-a-name": b"GET /v2/me HTTP/1.1\r\nHost: a\r\n: b\r\nConnection: close\r\n\r\n",
    "bare-newlines": b"GET /v2/me HTTP/1.1\nHost: a\nConnection: close\n\n",
    "tls-hello": bytes.fromhex("16030100a5010000a10303") + b"\x00" * 100,
    "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "random": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("request_bytes", BROKEN.values(), ids=BROKEN.keys())
def test_broken_syntax_does_no_harm(request_bytes, server):
    check(server, request_bytes, half_close=True, closes=True)


CREDENTIALS = [
    "OAuth",
    "OAuth ",
    "OAuth ,,,,",
    "OAuth =",
    'OAuth oauth_consumer_key="',
    'OAuth oauth_consumer_key="a',
    "OAuth oauth_consumer_key=a, oauth_consumer_key=b",
    'OAuth "oauth_consumer_key"="a"',
    "OAuth a" * 1000,
    'OAuth oauth_signature_method="RSA-SHA1", oauth_signature="%ff"',
    "Basic",
    "Basic ",
    "Basic !!!!",
    "Basic " + base64.b64encode(b"no colon").decode(),
    "Basic " + base64.b64encode(b":").decode(),
    "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
    "Basic " + base64.b64encode(b"a\x00b:c\x00d").decode(),
    "Basic " + base64.b64encode(b"u" * 50_000 + b":" + b"p" * 20_000).decode(),
    "Basic YTpi YTpi",
    "Basic YTpi, Basic YTpi",
    "Digest",
    "Digest username",
    'Digest username="a", realm="b", nonce="c", uri="/v2/me", response="d"',
    'Digest username="a", realm="Countersign", nonce="", uri="", response="", algorithm=SHA-256, nc=, cnonce="", qop=',
    'Digest username="a", nc=ffffffffffffffffff, nonce="x", response="y", uri="/", realm="z", qop=auth, cnonce="c"',
    "Digest username*=UTF-8''%ff%fe, userhash=true",
    "Digest " + 'a="b",' * 5000,
    "Bearer",
    "Bearer ",
    "Bearer ...",
    "Bearer a.b.c",
    "Bearer " + ".".join([base64.b64encode(b"{}").decode()] * 3),
    "Bearer " + "a" * 100_000,
    "Bearer e30.e30.",
    "Negotiate abc",
    "😀",
    "\t",
    ",",
    "BasicYTpi",
]


@pytest.mark.parametrize("value", ["QWxhZGRpbjpvcGVu", "kd94hf93k423kf44", "a.b.c"])
def test_a_credential_without_a_scheme_is_not_repeated(value, server):
    answer = wire.send(server, "GET", "/v2/me", [("Authorization", value)])
    assert answer.status == 401 and value not in answer.text
    assert "needs a scheme" in answer.json["message"]


@pytest.mark.parametrize("value", CREDENTIALS, ids=lambda value: value[:24].strip() or "blank")
def test_garbage_in_the_authorization_header_is_400_or_401(value, server):
    for target in ("/v2/me", "/v2/me?client_key=x", "/api/auth/jwt"):
        answer = check(server, plain(server, "GET", target, [("Authorization", value)]))
        if target.startswith("/v2") and value.strip():
            assert answer.status in (400, 401), answer.body


JSON_BODIES = {
    "nothing": b"",
    "no-json": b"{",
    "number": b"1",
    "null": b"null",
    "array": b"[]",
    "wrong-types": b'{"username":1,"password":[]}',
    "nul": b'{"username":"a\\u0000b","password":"c"}',
    "lone-surrogate": b'{"username":"\\ud800","password":"c"}',
    "deep": b"[" * 50_000 + b"]" * 50_000,
    "deep-object": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "long-username": b'{"username":"' + b"u" * 500_000 + b'","password":"p"}',
    "long-password": b'{"username":"u","password":"' + b"p" * 500_000 + b'"}',
    "duplicate-keys": b'{"username":"a","username":"b","password":"c"}',
}


@pytest.mark.parametrize("body", JSON_BODIES.values(), ids=JSON_BODIES.keys())
def test_odd_json_at_the_token_endpoint_does_no_harm(body, server):
    answer = check(server, plain(server, "POST", "/api/auth/jwt", [("Content-Type", "application/json")], body), "POST")
    assert 400 <= answer.status < 500


def test_odd_cookies_do_no_harm(server):
    for value in ("", "=", ";;;", "session=" + "x" * 10_000, "companyName=a; memberId=b", 'a="', "\x01=b"):
        check(server, plain(server, "GET", "/v2/me?auth=session", [("Cookie", value)]), closes=True)
        check(server, plain(server, "GET", "/apps", [("Cookie", value)]), closes=True)


@pytest.mark.parametrize(
    "callback",
    [
        "http://",
        "http://[",
        "http://:80",
        "http://a:99999/",
        "http://a b/",
        "http://a/%zz",
        "http://a/\r\nSet-Cookie: b=c",
        "\x00",
        "x" * 60_000,
        "://",
        "http:\\\\evil.example\\",
        "http://127.0.0.1\\@evil.example/callback",
        "\u202ehttp://a",
    ],
    ids=range(13),
)
def test_an_absurd_callback_is_refused(callback, server, client):
    answer = request_token(server, client, oauth_callback=callback)
    assert 400 <= answer.status < 500
    assert server.process.poll() is None


@pytest.mark.parametrize("token", ["", "x", "%00", "x" * 50_000, "%ff", "a&oauth_token=b", "<script>alert(1)</script>"])
def test_an_absurd_request_token_at_the_authorize_page_does_no_harm(token, server):
    answer = check(server, plain(server, "GET", f"/oauth/authorize?oauth_token={token}"))
    assert 200 <= answer.status < 500
    assert b"<script>alert(1)" not in answer.body


def test_a_name_and_a_value_of_the_clients_never_become_markup_or_headers(server, client):
    request = temporary(server, client)
    odd = "%0d%0aX-Injected:%20yes%3Cscript%3Ealert(1)%3C/script%3E"
    answer = check(server, plain(server, "GET", f"/oauth/authorize?oauth_token={request.token}&state={odd}"))
    assert not answer.all("X-Injected")
    assert b"<script>alert(1)" not in answer.body


def mutated(generator, text):
    """Some bytes of a text replaced, removed, repeated or inserted."""
    made = bytearray(text)
    for _ in range(generator.randint(1, 8)):
        place = generator.randrange(len(made))
        what = generator.randrange(4)
        if what == 0:
            made[place] = generator.randrange(256)
        elif what == 1:
            del made[place]
        elif what == 2:
            made[place:place] = bytes([generator.choice(b"\x00\r\n %&=+,\";:\xff\\")])
        else:
            made[place:place] = made[place : place + generator.randint(1, 40)]
    return bytes(made)


@pytest.mark.parametrize("seed", range(8))
def test_requests_with_random_faults_never_harm_the_server(seed, server, client, token):
    generator = random.Random(seed)
    form = "a=1&b=caf%C3%A9"
    value = signer.authorization("POST", f"{server.base}/v2/me?x=1", client, token, form=form)
    headers = [("Authorization", value), ("Content-Type", FORM), ("X-Client-Key", client.key)]
    good = plain(server, "POST", "/v2/me?x=1", headers, form.encode())
    for _ in range(60):
        answer = wire.exchange((server.host, server.port), mutated(generator, good), "POST", half_close=True)
        assert answer.status is None or answer.status < 500, answer.body
    assert server.process.poll() is None
    assert signed(server, "GET", "/v2/me", client, token).status == 200


def test_a_client_that_sends_a_byte_and_leaves_does_no_harm(server, client, token):
    for piece in (b"G", b"GET /v2/me HTT", b"POST /v2/me HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"):
        for _ in range(20):
            with socket.create_connection((server.host, server.port), timeout=10) as connection:
                connection.sendall(piece)
    assert signed(server, "GET", "/v2/me", client, token).status == 200
