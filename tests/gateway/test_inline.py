"""Countersign as the reverse proxy itself, over raw connections, and with HAProxy's TLS in front."""

import base64
import gzip
import hashlib
import json
import re
import select
import socket
import subprocess
import threading
import time

import pytest
import signer
import ways
import wire
from browser import logged_in
from harness import eventually
from requests_oauthlib import OAuth1Session

MEGABYTE = b"x" * (1 << 20)


def sign(world, verb, target, host=None, scheme="http", **more):
    url = f"{scheme}://{host or world.server.authority}{target}"
    return ("Authorization", signer.authorization(verb, url, world.client, world.token, **more))


def basic(world):
    return ("Authorization", "Basic " + base64.b64encode(f"{world.key.public}:{world.key.private}".encode()).decode())


def send(world, verb, target, headers=(), body=None, **more):
    return wire.send(world.server, verb, target, headers, body, **more)


def seen(answer):
    assert answer.status == 200, f"{answer.status} {answer.body[:300]!r}"
    received = answer.json
    received["names"] = [name for name, _ in received["headers"]]
    received["headers"] = dict(received["headers"])
    return received


def connect(world):
    return socket.create_connection((world.server.host, world.server.port), timeout=60)


def memory_kib(server):
    for line in open(f"/proc/{server.process.pid}/status", encoding="ascii"):
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")


@pytest.mark.parametrize("verb", ["GET", "PUT", "DELETE", "PATCH", "PROPFIND"])
@pytest.mark.parametrize("target", ["/things/a%20b;c=d/~%2d?x=%2F&x=0&&y=", "/%C3%A4?q=a+b?c/d", "/things?", "/things/", "/a'(b)*!$,:@"])
def test_method_and_target_arrive_byte_for_byte(inline, verb, target):
    received = seen(send(inline, verb, target, [sign(inline, verb, target)]))
    assert (received["method"], received["target"]) == (verb, target)


@pytest.mark.parametrize("query", ['a={"x":[1]}', "a|b^c`d", "a\\b", "a<b>", "ä=ü", "a'b\"c", "%zz", "%", "?", "a[]=1&b[c]=2"])
def test_letters_that_do_not_belong_into_a_query_arrive_as_they_came_or_are_400(inline, query):
    line = f"GET /things?{query} HTTP/1.1\r\nHost: {inline.server.authority}\r\nConnection: close\r\n{': '.join(basic(inline))}\r\n\r\n"
    answer = wire.exchange((inline.server.host, inline.server.port), line.encode())
    if answer.status == 200:
        assert answer.json["target"].encode("latin-1").decode() == f"/things?{query}"
    else:
        assert answer.status == 400, answer


def test_the_api_hears_who_is_calling_from_where(inline):
    received = seen(send(inline, "GET", "/things", [sign(inline, "GET", "/things"), ("X-Custom", "ä")]))
    headers = received["headers"]
    assert headers["x-auth-account"] == "owner@example.com" and headers["x-auth-credential"] == "oauth1"
    for name in ("external-id", "impersonated-by", "assertion"):
        assert headers[f"x-auth-{name}"] == ""
    assert headers["host"] == headers["x-forwarded-host"] == inline.server.authority
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert "x-custom" in headers


def test_no_credential_and_no_forged_identity_arrives(inline):
    forged = ["X-Auth-Account", "x_auth_account", "X-Auth_Company", "X-AUTH-SCOPES", "X-Auth-Token", "X.Auth.Account"]
    headers = [(name, "forged") for name in forged] + [
        ("X-Client-Key", inline.client.key), ("Cookie", "a=1; countersign_session=s; b=2"), ("Proxy-Authorization", "x"),
    ]
    received = seen(send(inline, "GET", "/things", [sign(inline, "GET", "/things"), *headers]))
    assert "forged" not in received["headers"].values()
    assert received["headers"]["cookie"] == "a=1; b=2"
    for name in ("authorization", "x-client-key", "proxy-authorization"):
        assert name not in received["names"]
    assert received["names"].count("x-auth-account") == 1


def test_credentials_in_the_query_stay_behind_and_the_rest_keeps_its_bytes(inline):
    path = f"/things?a=%2F&client_key={inline.client.key}&b=+"
    parameters = signer.sign("GET", f"{inline.server.base}{path}", inline.client, inline.token)
    assert seen(send(inline, "GET", f"{path}&{signer.form_encoded(parameters)}"))["target"] == "/things?a=%2F&b=+"
    parameters = signer.sign("GET", f"{inline.server.base}/things", inline.client, inline.token)
    assert seen(send(inline, "GET", f"/things?{signer.form_encoded(parameters)}"))["target"] == "/things"


def test_a_form_arrives_as_it_was_sent_but_for_protocol_parameters(inline):
    form_type = ("Content-Type", "application/x-www-form-urlencoded")
    body = "a=1&b=x+y&&c=%c3"
    received = seen(send(inline, "POST", "/things", [sign(inline, "POST", "/things", form=body), form_type], body))
    assert (received["body"], received["headers"]["content-length"]) == (body, str(len(body)))
    parameters = signer.sign("POST", f"{inline.server.base}/things", inline.client, inline.token, form="a=1&b=%20")
    received = seen(send(inline, "POST", "/things", [form_type], f"a=1&{signer.form_encoded(parameters)}&b=%20"))
    assert received["body"] == "a=1&b=%20"


def test_what_belongs_to_a_connection_ends_at_it(inline):
    headers = [("Keep-Alive", "5"), ("X-Hop", "1"), ("TE", "trailers"), ("Upgrade", "h2c")]
    head = f"GET /things HTTP/1.1\r\nHost: {inline.server.authority}\r\nConnection: close, X-Hop, Upgrade\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in [sign(inline, "GET", "/things"), *headers])
    received = seen(wire.exchange((inline.server.host, inline.server.port), head.encode() + b"\r\n"))
    for name in ("keep-alive", "x-hop", "te", "upgrade", "connection"):
        assert name not in received["names"]


def test_a_client_can_not_make_the_proxy_drop_an_identity_header(inline):
    head = f"GET /things HTTP/1.1\r\nHost: {inline.server.authority}\r\nConnection: close, X-Auth-Account, X-Forwarded-For\r\n"
    name, value = sign(inline, "GET", "/things")
    made = f"{head}{name}: {value}\r\n\r\n".encode()
    headers = seen(wire.exchange((inline.server.host, inline.server.port), made))["headers"]
    assert headers["x-auth-account"] == "owner@example.com" and headers["x-forwarded-for"] == "127.0.0.1"


def test_forwarding_headers_of_a_stranger_are_replaced(new_server, api):
    server = new_server(f'[upstream]\nurl = "{api.url}"\n', "stranger")
    key = server.key(server.account("s@example.com"))
    credential = "Basic " + base64.b64encode(f"{key.public}:{key.private}".encode()).decode()
    forged = [("X-Forwarded-For", "1.2.3.4"), ("X_Forwarded_For", "1.2.3.4"), ("X-Real-IP", "1.2.3.4"), ("Forwarded", "for=1.2.3.4")]
    headers = seen(wire.send(server, "GET", "/things", [("Authorization", credential), *forged]))["headers"]
    assert headers["x-forwarded-for"] == "127.0.0.1" and "1.2.3.4" not in json.dumps(headers)


def test_a_client_key_whose_name_is_escaped_is_read_and_stays_behind(inline):
    path = f"/things?a=1&client%5Fkey={inline.client.key}"
    password = base64.b64encode(f"{inline.owner.username}:{inline.owner.password}".encode()).decode()
    assert seen(send(inline, "GET", path, [("Authorization", f"Basic {password}")]))["target"] == "/things?a=1"


def test_head_and_empty_answers_are_framed_as_they_should(inline):
    answer = send(inline, "HEAD", "/things", [sign(inline, "HEAD", "/things")])
    assert (answer.status, answer.body) == (200, b"") and int(answer.one("Content-Length")) > 0
    answer = send(inline, "GET", "/stream/0", [sign(inline, "GET", "/stream/0")])
    assert (answer.status, answer.body) == (200, b"")


def test_http_1_0_gets_its_answer_without_chunks(inline):
    name, value = sign(inline, "GET", "/stream/100000")
    with connect(inline) as connection:
        connection.sendall(f"GET /stream/100000 HTTP/1.0\r\nHost: {inline.server.authority}\r\n{name}: {value}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower() and len(body) == 100000


def test_connections_to_the_api_are_kept(inline, api):
    seen(send(inline, "GET", "/things", [sign(inline, "GET", "/things")]))
    before = api.connections
    for _ in range(20):
        seen(send(inline, "GET", "/things", [sign(inline, "GET", "/things")]))
    assert api.connections - before <= 2
    for _ in range(5):
        seen(send(inline, "GET", "/close", [sign(inline, "GET", "/close")]))


@pytest.mark.parametrize("form", ["", "a=1"])
def test_a_request_that_a_kept_connection_lost_is_sent_again_with_its_form(inline, api, form):
    left = api.left
    seen(send(inline, "GET", "/leave", [sign(inline, "GET", "/leave")]))
    headers = [sign(inline, "GET", "/things", form=form), ("Content-Type", "application/x-www-form-urlencoded")]
    for _ in range(8):  # as many connections as may have been kept by the tests before
        headers[0] = sign(inline, "GET", "/things", form=form)
        assert seen(send(inline, "GET", "/things", headers, form))["body"] == form
    assert api.left > left, "the request met the connection that was closed on it"


def test_a_body_whose_hash_has_another_spelling_is_still_checked(inline):
    """Names are decoded before they are signed: whoever stands on the way could respell this one."""
    json_type = ("Content-Type", "application/json")

    def status(body, name="oauth_body_hash"):
        header, value = sign(inline, "POST", "/things", oauth_body_hash=signer.body_hash(b'{"a":1}'))
        assert "oauth_body_hash=" in value
        return send(inline, "POST", "/things", [(header, value.replace("oauth_body_hash=", f"{name}=")), json_type], body).status

    for name in ("oauth_body_hash", "oauth%5Fbody%5Fhash", "oauth_body_has%68", "%6Fauth_body_hash"):
        assert (status(b'{"a":1}', name), status(b'{"a":2}', name)) == (200, 401), name


def test_no_header_talks_around_the_routes_or_the_framing(inline):
    names = ["X-Original-URL", "X_Original_Url", "X-Rewrite-URL", "Transfer_Encoding", "Content_Length", "Proxy_Authorization"]
    headers = [(name, "7") for name in names]
    received = seen(send(inline, "GET", "/things", [sign(inline, "GET", "/things"), *headers]))
    assert not {name.lower() for name in names} & set(received["names"])


def test_bodies_of_one_address_that_are_held_have_a_bound_and_keep_nobody_else_out(new_server, api):
    server = new_server(f'[server]\ntrusted_proxies = ["127.0.0.1"]\n[upstream]\nurl = "{api.url}"\n', "held")
    key = server.key(server.account("h@example.com"))
    credential = ("Authorization", "Basic " + base64.b64encode(f"{key.public}:{key.private}".encode()).decode())
    form = ("Content-Type", "application/x-www-form-urlencoded")

    def status(address):
        return wire.send(server, "POST", "/things", [credential, form, ("X-Forwarded-For", address)], "a=" + "x" * 1000).status

    head = ["POST /things HTTP/1.1", f"Host: {server.authority}", "X-Forwarded-For: 192.0.2.1", ": ".join(form), f"Content-Length: {1 << 20}"]

    def held():
        connection = socket.create_connection((server.host, server.port), timeout=60)
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + MEGABYTE[: 1 << 16])
        return connection

    def is_full():
        # A question takes a place of its own for a moment, which one of the slow ones may have missed.
        for answered in select.select(connections, [], [], 0)[0]:
            connections.remove(answered)
            answered.close()
            connections.append(held())
        return status("192.0.2.1") == 503

    connections = [held() for _ in range(256)]  # all of its part
    try:
        assert eventually(is_full, 30)
        assert status("192.0.2.2") == 200
    finally:
        for connection in connections:
            connection.close()
    assert eventually(lambda: status("192.0.2.1") == 200)


def test_large_bodies_that_come_slowly_wait_outside_of_memory_and_arrive_whole(new_server, api):
    route = '[[route]]\npath = "/**"\nmethods = ["oauth1_two_legged"]\n'
    server = new_server(f'[upstream]\nurl = "{api.url}"\n{route}', "spooled")
    account = server.account("s@example.com")
    client = server.client(account)
    body = bytes(range(256)) * 4000
    hashed = signer.authorization("PUT", f"{server.base}/things", client, oauth_body_hash=signer.body_hash(body))
    head = ["PUT /things HTTP/1.1", f"Host: {server.authority}", "Content-Type: application/octet-stream", "Connection: close",
            f"Authorization: {hashed}", f"Content-Length: {len(body)}"]
    wire.send(server, "GET", "/things")
    before = memory_kib(server)
    connections = []
    try:
        for _ in range(100):
            connections.append(socket.create_connection((server.host, server.port), timeout=60))
            connections[-1].sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body[:-1])
        assert memory_kib(server) - before < 64 * 1024, "100 MB have come"
        connections[50].sendall(body[-1:])
        received = seen(wire.read_answer(connections[50]))
        assert (received["size"], received["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
        connections[51].sendall(b"?")
        assert wire.read_answer(connections[51]).status == 401
    finally:
        for connection in connections:
            connection.close()


def test_a_file_that_may_not_grow_is_503_for_what_must_be_read_and_nothing_for_the_rest(new_server, api):
    config = f'[server]\ntrusted_proxies = ["127.0.0.1"]\n[gateway]\nbuffer_bytes = 33554432\n[upstream]\nurl = "{api.url}"\n'
    server = new_server(config, "limited", launcher=("prlimit", "--fsize=8388608"))
    key = server.key(server.account("l@example.com"))
    credential = ("Authorization", "Basic " + base64.b64encode(f"{key.public}:{key.private}".encode()).decode())
    large, form = "a=" + "x" * (16 << 20), ("Content-Type", "application/x-www-form-urlencoded")
    assert wire.send(server, "POST", "/things", [credential, form], large).status == 503
    asked = [("X-Forwarded-Method", "POST"), ("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", server.authority), ("X-Forwarded-Uri", "/things")]
    assert wire.send(server, "POST", "/authz/forward", [credential, form, *asked], large).status == 503
    assert wire.send(server, "POST", "/authz/forward", [credential, ("Content-Type", "application/json"), *asked], large).status == 200


def test_a_form_that_can_not_be_read_is_not_taken_for_one_that_was_not_signed(inline):
    """A reader behind might read it: what nobody signed would reach it with a good signature."""
    form = ("Content-Type", "application/x-www-form-urlencoded")

    def answer(body, *headers):
        return send(inline, "POST", "/things", [sign(inline, "POST", "/things"), form, *headers], body)

    assert answer(b"").status == 200
    for body, *headers in ([b"amount=1&x=\xff"], [gzip.compress(b"amount=1"), ("Content-Encoding", "gzip")], ["amount=1".encode("utf-16")]):
        refused = answer(body, *headers)
        assert (refused.status, refused.json["code"]) == (400, "parameter_rejected"), body
    assert send(inline, "POST", "/things", [basic(inline), form], b"amount=1&x=\xff").status == 200, "a password signs nothing"


def test_an_upload_and_a_download_of_a_gigabyte_take_no_memory(inline):
    size = 1 << 30
    before = memory_kib(inline.server)
    with connect(inline) as connection:
        name, value = basic(inline)
        head = f"PUT /things HTTP/1.1\r\nHost: {inline.server.authority}\r\n{name}: {value}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        digest = hashlib.sha256()
        for _ in range(size // len(MEGABYTE)):
            connection.sendall(MEGABYTE)
            digest.update(MEGABYTE)
        received = seen(wire.read_answer(connection))
    assert (received["size"], received["sha256"]) == (size, digest.hexdigest())
    with connect(inline) as connection:
        connection.sendall(f"GET /stream/{size} HTTP/1.1\r\nHost: {inline.server.authority}\r\n{name}: {value}\r\nConnection: close\r\n\r\n".encode())
        total = 0
        while piece := connection.recv(1 << 20):
            total += len(piece)
    assert total > size
    assert memory_kib(inline.server) - before < 64 * 1024


def test_a_chunked_upload_streams(inline):
    name, value = basic(inline)
    with connect(inline) as connection:
        connection.sendall(f"POST /things HTTP/1.1\r\nHost: {inline.server.authority}\r\n{name}: {value}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode())
        for _ in range(50):
            connection.sendall(b"%x\r\n%s\r\n" % (len(MEGABYTE), MEGABYTE))
        connection.sendall(b"0\r\n\r\n")
        received = seen(wire.read_answer(connection))
    assert received["size"] == 50 << 20 and received["headers"]["transfer-encoding"] == "chunked"


@pytest.mark.parametrize("framing", ["Content-Length: 1099511627776", "Transfer-Encoding: chunked"])
def test_an_upload_that_is_refused_is_cut_off(inline, framing):
    end = time.monotonic() + 20
    with connect(inline) as connection:
        connection.sendall(f"PUT /things HTTP/1.1\r\nHost: {inline.server.authority}\r\n{framing}\r\n\r\n".encode())
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while time.monotonic() < end:
                connection.sendall(b"100000\r\n" + MEGABYTE + b"\r\n" if "chunked" in framing else MEGABYTE)


def test_a_large_form_is_413(inline):
    body = "a=" + "x" * (1 << 20)
    answer = send(inline, "POST", "/things", [basic(inline), ("Content-Type", "application/x-www-form-urlencoded")], body)
    assert (answer.status, answer.json["code"]) == (413, "body_too_large")


def test_an_api_that_answers_early_is_heard(inline):
    name, value = basic(inline)
    with connect(inline) as connection:
        connection.sendall(f"PUT /early HTTP/1.1\r\nHost: {inline.server.authority}\r\n{name}: {value}\r\nContent-Length: 100000000\r\n\r\n".encode())
        assert wire.read_answer(connection).status in (413, 502)


def test_an_api_that_breaks_off_is_502_and_a_slow_one_504(inline):
    answer = send(inline, "GET", "/broken", [sign(inline, "GET", "/broken")])
    assert (answer.status, answer.json["code"]) == (502, "upstream_unreachable")
    answer = send(inline, "GET", "/slow", [sign(inline, "GET", "/slow")])
    assert (answer.status, answer.json["code"]) == (504, "upstream_slow")


def test_a_client_that_stops_its_upload_hears_that_it_was_the_client(inline):
    with connect(inline) as connection:
        head = ["PUT /things HTTP/1.1", f"Host: {inline.server.authority}", ": ".join(basic(inline)), "Content-Length: 10"]
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\nhello")
        answer = wire.read_answer(connection)
    assert (answer.status, answer.json["code"]) == (408, "request_timeout")


def test_an_api_that_is_down_is_502_and_a_stranger_does_not_hear_of_it(new_server):
    from harness import free_port

    server = new_server(f'[upstream]\nurl = "http://127.0.0.1:{free_port()}"\n', "down")
    key = server.key(server.account("d@example.com"))
    credential = "Basic " + base64.b64encode(f"{key.public}:{key.private}".encode()).decode()
    assert wire.send(server, "GET", "/things", [("Authorization", credential)]).status == 502
    assert wire.send(server, "GET", "/things").status == 401


@pytest.mark.parametrize("path", ["/slow", "/drip"])
def test_when_the_client_is_gone_the_api_is_left_alone(inline, api, path):
    api.left_alone.clear()
    name, value = basic(inline)
    with connect(inline) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {inline.server.authority}\r\n{name}: {value}\r\n\r\n".encode())
        if path == "/drip":
            assert connection.recv(10)
        else:
            threading.Event().wait(0.2)
    assert api.left_alone.wait(1.5)


def test_when_the_client_goes_in_the_middle_of_an_upload_the_api_sees_no_whole_body(inline, api):
    api.left_alone.clear()
    name, value = basic(inline)
    with connect(inline) as connection:
        connection.sendall(f"POST /things HTTP/1.1\r\nHost: {inline.server.authority}\r\n{name}: {value}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".encode())
        threading.Event().wait(0.2)
    assert api.left_alone.wait(5)


def test_a_web_socket_is_passed_through_after_its_credential_was_judged(inline):
    def upgrade(credential):
        lines = ["GET /ws HTTP/1.1", f"Host: {inline.server.authority}", "Connection: Upgrade", "Upgrade: websocket", *credential]
        connection = connect(inline)
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1) or pytest.fail("closed")
        return connection, head.decode()

    connection, head = upgrade([])
    assert head.startswith("HTTP/1.1 401")
    connection.close()
    name, value = sign(inline, "GET", "/ws")
    connection, head = upgrade([f"{name}: {value}"])
    assert head.startswith("HTTP/1.1 101") and "sec-websocket-accept: x" in head.lower()
    with connection:
        for _ in range(3):
            connection.sendall(b"\x81\x05hello")
            assert connection.recv(100) == b"\x81\x05hello"


def test_a_login_opens_no_web_socket_for_another_sites_page(inline):
    """A browser sends the cookie from a page of a sibling host too, and lets that page read what comes."""
    login = logged_in(inline.server, inline.owner)
    own, other = ("Origin", inline.server.base), ("Origin", "http://evil.example")

    def status(*headers):
        upgrade = [("Host", inline.server.authority), ("Connection", "Upgrade"), ("Upgrade", "websocket"), login.cookies]
        lines = ["GET /page/ws/bye?auth=session HTTP/1.1", *(": ".join(header) for header in [*upgrade, *headers])]
        with connect(inline) as connection:
            connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
            return int(connection.recv(12)[9:])

    assert (status(own), status(own, ("Sec-Fetch-Site", "same-origin"))) == (101, 101)
    assert (status(other), status(other, ("Sec-Fetch-Site", "same-site"))) == (403, 403)
    assert send(inline, "GET", "/page/x?auth=session", [login.cookies, other]).status == 200, "what is no WebSocket can't be read there"


def test_a_web_socket_ends_when_its_client_does(inline, api):
    api.left_alone.clear()
    name, value = sign(inline, "GET", "/ws")
    with connect(inline) as connection:
        connection.sendall(f"GET /ws HTTP/1.1\r\nHost: {inline.server.authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{name}: {value}\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 101"
    assert api.left_alone.wait(5)


@pytest.mark.parametrize("framing", [
    "Content-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length: 5\r\nContent-Length: 6", "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: xchunked", "Content-Length: +5", "Content-Length: 5, 5", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding:\x0bchunked", "Content-Length : 5",
])
def test_framing_that_two_readers_read_differently_is_refused(inline, framing):
    name, value = basic(inline)
    made = f"POST /things HTTP/1.1\r\nHost: {inline.server.authority}\r\n{name}: {value}\r\n{framing}\r\n\r\n0\r\n\r\n"
    answer = wire.exchange((inline.server.host, inline.server.port), made.encode())
    assert answer.status in (400, None), answer


def test_a_smuggled_request_does_not_reach_the_api(inline):
    """What follows a body is another request to us, judged by itself, and never part of one to the API."""
    name, value = basic(inline)
    inner = "GET /admin HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Auth-Account: root\r\n\r\n"
    made = f"POST /things HTTP/1.1\r\nHost: {inline.server.authority}\r\n{name}: {value}\r\nContent-Length: 0\r\n\r\n{inner}"
    with connect(inline) as connection:
        connection.sendall(made.encode())
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+) \w+\r\n", answers) == [b"200", b"401"]


def test_cors_is_the_route_s_affair(inline):
    origin = ("Origin", "https://app.example.com")
    asked = [origin, ("Access-Control-Request-Method", "PUT"), ("Access-Control-Request-Headers", "authorization")]
    answer = send(inline, "OPTIONS", "/cors/x", asked)
    assert (answer.status, answer.one("Access-Control-Allow-Origin")) == (204, origin[1])
    assert (answer.one("Access-Control-Allow-Methods"), answer.one("Access-Control-Allow-Headers")) == ("PUT", "authorization")
    answer = send(inline, "GET", "/cors/x", [sign(inline, "GET", "/cors/x"), origin])
    assert (answer.status, answer.one("Access-Control-Allow-Origin")) == (200, origin[1])
    assert send(inline, "GET", "/cors/x", [origin]).one("Access-Control-Allow-Origin") == origin[1]
    evil = [("Origin", "https://evil.example"), *asked[1:]]
    answer = send(inline, "OPTIONS", "/cors/x", evil)
    assert answer.status == 401 and not answer.all("Access-Control-Allow-Origin")


def test_requests_oauthlib_and_curl_through_haproxy_s_tls(inline, haproxy, tmp_path):
    with OAuth1Session(inline.client.key, inline.client.secret, inline.token.token, inline.token.secret) as session:
        session.trust_env, session.verify = False, str(haproxy.certificate)
        answer = session.post(f"{haproxy.base}/things?ü=a b", data={"a": "1", "ä": "x y"})
        assert answer.status_code == 200
        headers = dict(answer.json()["headers"])
        assert headers["x-forwarded-proto"] == "https" and headers["x-forwarded-for"] == "127.0.0.1, 127.0.0.1"
    url, owner = f"{haproxy.base}/things", f"{inline.owner.username}:{inline.owner.password}"
    client = ["-H", f"X-Client-Key: {inline.client.key}", "--cacert", str(haproxy.certificate)]
    for how in (["--digest"], ["--basic"], ["--basic", "--http2"]):
        line = ["curl", "-sS", "--max-time", "30", "-o", "/dev/null", "-w", "%{http_code}", *how, "-u", owner, *client, url]
        assert subprocess.run(line, capture_output=True, text=True, check=True).stdout == "200"


@pytest.mark.parametrize("name", ["X_Forwarded_For", "X-Forwarded_Proto", "x.forwarded.host", "X-Real-IP", "X_Real_IP"])
def test_no_spelling_of_a_forwarding_header_comes_through_a_trusted_proxy(inline, haproxy, name):
    target = "/things"
    headers = [sign(inline, "GET", target, host=haproxy.authority, scheme="https"), (name, "6.6.6.6")]
    assert "6.6.6.6" not in json.dumps(seen(haproxy.send("GET", target, headers))["headers"])


def test_haproxy_does_not_let_a_client_say_where_it_comes_from(inline, haproxy):
    target = "/things"
    value = signer.authorization("GET", f"{haproxy.base}{target}", inline.client, inline.token)
    forged = [("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "evil"), ("X-Forwarded-For", "1.2.3.4")]
    received = seen(haproxy.send("GET", target, [("Authorization", value), *forged]))
    assert "1.2.3.4" not in json.dumps(received["headers"])


def test_an_https_upstream_is_checked_and_spoken_to_by_its_own_name(new_server, new_proxy, api, inline, tmp_path):
    """The upstream is HAProxy with TLS and HTTP/2; its certificate is found by SSL_CERT_FILE."""
    tls = new_proxy("haproxy", api.authority, api.authority)
    config = f'[upstream]\nurl = "{tls.base}"\n'
    for environment, status in (({"SSL_CERT_FILE": str(tls.certificate)}, 200), ({}, 502)):
        server = new_server(config, f"tls-{status}", environment=environment)
        key = server.key(server.account("u@example.com"))
        credential = ("Authorization", "Basic " + base64.b64encode(f"{key.public}:{key.private}".encode()).decode())
        answer = wire.send(server, "POST", "/things?a=%2f", [credential, ("Content-Type", "text/plain")], b"hello")
        assert answer.status == status
        if status == 200:
            received = seen(answer)
            assert (received["target"], received["body"]) == ("/things?a=%2f", "hello")
            assert received["headers"]["host"] == tls.authority
            assert received["headers"]["x-auth-account"] == "u@example.com"
            with socket.create_connection((server.host, server.port), timeout=30) as connection:
                lines = [f"Host: {server.authority}", "Connection: Upgrade", "Upgrade: websocket", ": ".join(credential), "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
                connection.sendall(("GET /ws HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode())
                assert connection.recv(12) == b"HTTP/1.1 101", "HTTP/2 has no upgrade: it takes a connection of HTTP/1.1"


@pytest.mark.parametrize(("path", "clients"), [("/things/stream/104857600", 6), ("/things/drip", 104)])
def test_nobody_waits_for_others_answers_over_http_2(new_server, new_proxy, api, path, clients):
    """Six that read nothing, or more endless answers than one connection takes."""
    tls = new_proxy("haproxy", api.authority, api.authority)
    config = f'[server]\nworkers = 1\n[upstream]\nurl = "{tls.base}"\ntimeout_seconds = 5\n'
    server = new_server(config, "shared-http-2", environment={"SSL_CERT_FILE": str(tls.certificate)})
    key = server.key(server.account("u@example.com"))
    credential = ("Authorization", "Basic " + base64.b64encode(f"{key.public}:{key.private}".encode()).decode())
    held = []
    try:
        for _ in range(clients):
            connection = socket.create_connection((server.host, server.port), timeout=30)
            held.append(connection)
            lines = [f"GET {path} HTTP/1.1", f"Host: {server.authority}", ": ".join(credential)]
            connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
        assert wire.send(server, "GET", "/things", [credential]).status == 200
    finally:
        for connection in held:
            connection.close()


def test_an_answer_with_many_headers_arrives_but_sets_no_cookie_of_ours(inline):
    lines = ["GET /things/cookies HTTP/1.1", f"Host: {inline.server.authority}", "Connection: close", ": ".join(basic(inline))]
    with connect(inline) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        head = connection.makefile("rb").read().partition(b"\r\n\r\n")[0].decode()
    assert head.startswith("HTTP/1.1 200")
    assert head.count("set-cookie: c") == 150 and "forged" not in head


def test_the_proof_of_a_session_s_form_stays_behind(inline):
    login = logged_in(inline.server, inline.owner)
    token = login.token[1]
    headers = [login.cookies, ("Content-Type", "application/x-www-form-urlencoded"), ("Origin", inline.server.base)]
    answer = send(inline, "POST", "/page/x?auth=session", headers, f"a=1&csrf_token={token}&b=2")
    assert seen(answer)["body"] == "a=1&b=2"


# --- attackers and odd clients ---


def raw(world, *lines, body=b"", verb="GET"):
    made = "\r\n".join(line if isinstance(line, str) else ": ".join(line) for line in lines).encode()
    return wire.exchange((world.server.host, world.server.port), made + b"\r\n\r\n" + body, verb)


def test_a_form_beside_an_offer_of_http_2_is_read_and_judged(inline):
    """Java's HttpClient offers h2c with every request over http."""
    form = b"a=1&b=2"
    offer = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"]
    head = ["POST /things HTTP/1.1", f"Host: {inline.server.authority}", *offer, "Content-Type: application/x-www-form-urlencoded"]
    answer = raw(inline, *head, sign(inline, "POST", "/things", form=form.decode()), f"Content-Length: {len(form)}", body=form)
    assert seen(answer)["body"] == form.decode()
    answer = raw(inline, *head, sign(inline, "POST", "/things"), f"Content-Length: {len(form)}", body=form)
    assert answer.status == 401, "a form can't be hidden behind the offer"


def test_nothing_is_smuggled_behind_a_web_socket_that_is_chunked(inline):
    with connect(inline) as connection:
        head = ["GET /ws HTTP/1.1", f"Host: {inline.server.authority}", ": ".join(basic(inline)), "Connection: Upgrade",
                "Upgrade: websocket", "Transfer-Encoding: chunked"]
        hidden = f"GET /metrics HTTP/1.1\r\nHost: {inline.server.authority}\r\n\r\n"
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + hidden.encode())
        assert wire.read_answer(connection).status == 400, "a proxy in front makes a tunnel of a 101"


@pytest.mark.parametrize("framing", ["Content-Length: 7", "Transfer-Encoding: chunked"])
def test_a_form_can_not_be_hidden_behind_a_web_socket(inline, api, framing):
    form = b"a=1&b=2" if "Length" in framing else b"7\r\na=1&b=2\r\n0\r\n\r\n"
    for connection in ("close", "Upgrade"):
        head = ["POST /things HTTP/1.1", f"Host: {inline.server.authority}", f"Connection: {connection}", "Upgrade: websocket"]
        answer = raw(inline, *head, "Content-Type: application/x-www-form-urlencoded", sign(inline, "POST", "/things"), framing, body=form)
        assert answer.status != 200 or (answer.json["body"], answer.json["size"]) == ("", 0), "what was not judged does not arrive"


def test_nothing_that_follows_a_false_web_socket_is_another_s_answer(inline):
    """A proxy in front might send the next client's request behind it on the same connection."""
    head = ["POST /things HTTP/1.1", f"Host: {inline.server.authority}", "Upgrade: websocket", basic(inline), "Content-Length: 2"]
    next_request = ["GET /things HTTP/1.1", f"Host: {inline.server.authority}", "X-Next: 1", basic(inline)]
    made = "\r\n".join(line if isinstance(line, str) else ": ".join(line) for line in head).encode() + b"\r\n\r\n{}"
    made += "\r\n".join(line if isinstance(line, str) else ": ".join(line) for line in next_request).encode() + b"\r\n\r\n"
    with connect(inline) as connection:
        connection.sendall(made)
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    bodies = re.findall(rb'\{"method": "(\w+)".*?"size": (\d+)', answers)
    assert bodies in ([(b"POST", b"2")], [(b"POST", b"2"), (b"GET", b"0")], []), answers


@pytest.mark.parametrize("target", ["/things", "/login", "/oauth/request_token", "/api/auth/jwt", "/api/v1/accounts"])
def test_a_body_without_end_that_must_be_read_is_refused_and_cut_off(inline, target):
    end = time.monotonic() + 30
    with connect(inline) as connection:
        head = f"POST {target} HTTP/1.1\r\nHost: {inline.server.authority}\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while time.monotonic() < end:
                connection.sendall(b"%x\r\n%s\r\n" % (len(MEGABYTE), MEGABYTE))


def test_an_answer_to_a_credential_beside_the_authorization_header_stays_out_of_shared_caches(inline):
    parameters = signer.sign("GET", f"{inline.server.base}/things", inline.client, inline.token)
    answer = send(inline, "GET", f"/things?{signer.form_encoded(parameters)}")
    assert (answer.status, answer.all("Cache-Control")) == (200, ["private"])
    assert send(inline, "GET", "/things", [sign(inline, "GET", "/things")]).all("Cache-Control") == []


def test_metrics_are_not_told_to_whom_a_proxy_on_this_machine_speaks_for(inline, haproxy):
    assert send(inline, "GET", "/metrics").status == 200
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        assert send(inline, "GET", "/metrics", [(name, "127.0.0.1")]).status == 403
    assert haproxy.send("GET", "/metrics").status == 403


@pytest.mark.parametrize(
    "path",
    ["/authz/nginx", "/authz/forward", "/authz/envoy/things", "/%61uthz/nginx", "/authz%2fnginx", "/authz/envoy/raw/%zz", "/%61uthz/envoy/raw/%", "/authz/envoy/%a"],
)
def test_haproxy_hands_no_question_of_a_client_on(inline, haproxy, path):
    metadata = [("X-Original-Method", "GET"), ("X-Original-URL", f"{haproxy.base}/things"), ("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/things")]
    answer = haproxy.send("GET", path, metadata)
    assert answer.status in (400, 404) and not answer.all("X-Auth-Error"), answer


def test_a_web_socket_ends_for_the_client_when_the_api_ends_it(inline):
    name, value = sign(inline, "GET", "/ws/bye")
    with connect(inline) as connection:
        connection.sendall(f"GET /ws/bye HTTP/1.1\r\nHost: {inline.server.authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{name}: {value}\r\n\r\n".encode())
        connection.settimeout(30)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 101") and answer.endswith(b"bye")


def test_a_request_needs_the_scopes_of_every_method_that_a_reader_could_take_it_for(inline):
    """The client may read below /strict and write nothing."""
    form = ("Content-Type", "application/x-www-form-urlencoded")

    def status(verb, *headers, target="/strict/x", body=None):
        return send(inline, verb, target, [sign(inline, verb, target, form=body if isinstance(body, str) else ""), *headers], body).status

    assert status("GET") == 200
    assert status("get") == 200 and status("delete") == 403, "Django reads methods in any case"
    assert status("GET", ("X-HTTP-Method-Override", "DELETE"), ("X-HTTP-Method-Override", "GET")) == 403, "one of two"
    assert status("GET", ("X-HTTP-Method-Override", "GET"), ("X-HTTP-Method-Override", "DELETE")) == 403
    assert status("GET", ("X-HTTP-Method-Override", "DELETE, GET")) == 403, "Express takes the first between commas"
    assert status("GET", ("X_HTTP_METHOD_OVERRIDE", "DELETE")) == 403, "CGI's heirs"
    assert status("GET", ("X-HTTP-Method-Override", "GET")) == 200
    assert status("GET", form, body="_method=DELETE") == 403
    for field in (".method=DELETE", "[method=DELETE", "+_method=DELETE", "%20_method=DELETE", "_method%00x=DELETE"):
        assert status("GET", form, body=field) == 403, f"PHP: {field}"
    assert status("GET", form, body="_METHOD=DELETE") == 403, "Slim"
    assert status("GET", form, body="X-HTTP-Method-Override=DELETE") == 403, "ASP.NET"
    assert status("GET", target="/strict/x?X-HTTP-Method-Override=DELETE") == 403
    for field in ("a=1;_method=DELETE", "a=1&+_method=DELETE"):
        assert status("GET", form, body=field) == 403, f"Rack: {field}"
    assert status("GET", target="/strict/x?a=1;_method=DELETE") == 403
    assert status("GET", form, body="a_method=DELETE&method=DELETE") == 200
    assert status("GET", form, ("Content-Type", "text/plain"), body="_method=DELETE") == 400
    assert status("GET", form, body=b"_method=DELETE&x=\xff") == 400


@pytest.mark.parametrize("target", [
    "/raw/../strict/x", "/raw/%2e%2e/strict/x", "/raw/..;/strict/x", "/raw//../../strict/x", "/raw/..%2fstrict/x", "/raw/..%5cstrict/x",
])
def test_a_raw_path_does_not_lead_to_another_route(inline, target):
    assert send(inline, "DELETE", target, [basic(inline)]).status == 400
    assert send(inline, "DELETE", target.replace("strict", "raw"), [basic(inline)]).status == 200, "its own"


@pytest.mark.parametrize("target", ["/strict%0a", "/x%0d", "/x/%c0%ae%c0%ae/strict/x", "/x/..%c0%afstrict/x", "/%C5%BFtrict/x"])
def test_a_path_that_some_readers_read_as_another_is_refused(inline, target):
    assert send(inline, "GET", target, [basic(inline)]).status == 400


def test_cookies_in_several_lines_are_one_header_without_those_of_ours(inline):
    lines = [("Cookie", "a=1; countersign_session=s"), ("Cookie", "memberHash=h"), ("Cookie", "memberId=m")]
    names = [f"{name}: {value}" for name, value in seen(send(inline, "GET", "/things", [basic(inline), *lines]))["headers"].items() if name == "cookie"]
    assert "countersign" not in str(names) and "memberHash" not in str(names) and "memberId=m" in str(names)


def test_a_form_that_can_not_be_read_may_mean_any_method(inline):
    """By a password, which proves nothing of the form; the client may read below /strict and write nothing."""
    client = [ways.basic(inline.owner.username, inline.owner.password), ("X-Client-Key", inline.client.key)]
    form = "application/x-www-form-urlencoded"

    def status(body, content_type=form, more=(), target="/strict/x"):
        return send(inline, "GET", target, [*client, ("Content-Type", content_type), *more], body).status

    assert status(b"a=1") == 200
    for body, content_type, more in [
        (gzip.compress(b"_method=DELETE"), form, [("Content-Encoding", "gzip")]),
        ("_method=DELETE".encode("utf-16"), f"{form}; charset=utf-16", ()),
        ("_method=DELETE".encode("cp037"), f"{form}; charset=ibm037", ()),
    ]:
        assert status(body, content_type, more) == 403, content_type
        assert status(body, content_type, more, "/things") == 200, "where methods need no scopes it does not matter"


def test_a_final_dot_does_not_make_another_host(new_server, api):
    config = f'''
[upstream]
url = "{api.url}"
[[route]]
path = "/**"
hosts = ["admin.example.com"]
methods = ["session"]
[[route]]
path = "/**"
methods = ["api_key"]
'''
    server = new_server(config, "hosts")
    key = server.key(server.account("h@example.com"))
    credential = ("Authorization", "Basic " + base64.b64encode(f"{key.public}:{key.private}".encode()).decode())
    for host, status in (("other.example.com", 200), ("admin.example.com", 401), ("ADMIN.example.com.", 401), ("admin.example.com.:80", 401)):
        assert wire.send(server, "GET", "/things", [credential], host=host).status == status, host


@pytest.mark.parametrize(("sent", "arrives"), [
    ("a=1; b=\u00fc; countersign_session=s", b"a=1; b=\xc3\xbc"),
    (b"a=1; b=\xfc", b"a=1; b=\xfc"),
    (b"a=1; b=\xfc; countersign_session=s", None),
])
def test_a_cookie_beyond_ascii_does_not_carry_the_login_s_cookie_along(inline, sent, arrives):
    head = "\r\n".join(["GET /things HTTP/1.1", f"Host: {inline.server.authority}", "Connection: close", ": ".join(sign(inline, "GET", "/things"))])
    cookie = sent.encode() if isinstance(sent, str) else sent
    answer = wire.exchange((inline.server.host, inline.server.port), head.encode() + b"\r\nCookie: " + cookie + b"\r\n\r\n")
    found = seen(answer)["headers"].get("cookie")
    assert (found.encode("latin-1") if found is not None else None) == arrives


@pytest.mark.parametrize("verb", ["GET", "POST", "OPTIONS", "DELETE"])
def test_a_body_without_a_length_arrives_whatever_the_method(inline, verb):
    name, value = sign(inline, verb, "/things")
    head = f"{verb} /things HTTP/1.1\r\nHost: {inline.server.authority}\r\n{name}: {value}\r\nTransfer-Encoding: chunked\r\n\r\n"
    address = (inline.server.host, inline.server.port)
    assert seen(wire.exchange(address, head.encode() + b"3\r\nabc\r\n0\r\n\r\n", verb))["body"] == "abc"


@pytest.mark.parametrize("verb", ["POST", "PUT"])
def test_a_request_that_says_that_it_is_empty_still_says_so(inline, verb):
    answer = send(inline, verb, "/things", [sign(inline, verb, "/things"), ("Content-Length", "0")])
    assert seen(answer)["headers"]["content-length"] == "0"

