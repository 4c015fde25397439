"""HTTP by hand: bytes out, one answer in. For requests that no library would send, and for headers as they came.

A connection carries one request. `Answer.status` is None when the server closed the connection without an answer.
"""

import http.client
import json as json_format
import re
import socket
import urllib.parse
from dataclasses import dataclass, field

SECONDS = 60


@dataclass
class Answer:
    status: int | None
    headers: list = field(default_factory=list)
    body: bytes = b""

    def all(self, name):
        """Every line of a header, in the order sent."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name):
        values = self.all(name)
        assert len(values) == 1, f"{name}: {values}"
        return values[0]

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json_format.loads(self.body)

    @property
    def form(self):
        return dict(urllib.parse.parse_qsl(self.text, keep_blank_values=True))

    @property
    def problem(self):
        """The problem word in the OAuth challenge, or None."""
        for challenge in self.all("WWW-Authenticate"):
            found = re.search(r'^OAuth .*\boauth_problem="?([a-z_]+)', challenge)
            if found:
                return found.group(1)
        return None


def exchange(address, request, verb="GET", half_close=False):
    """Send these bytes and read one answer. `address` is (host, port)."""
    with socket.create_connection(address, timeout=SECONDS) as connection:
        try:
            connection.sendall(request)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server has answered and closed before it read everything
        return read_answer(connection, verb)


def read_answer(connection, verb="GET"):
    response = http.client.HTTPResponse(connection, method=verb)
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, ConnectionError):
        return Answer(None)
    return Answer(response.status, response.getheaders(), body)


def request_bytes(verb, target, host, headers=(), body=None):
    """A request as bytes. No header is added but Host, `Connection: close` and, with a body, Content-Length."""
    lines = [f"{verb} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def send(server, verb, target, headers=(), body=None, host=None):
    """One request to a server. `target` is sent as it is; `headers` are pairs; `host` replaces the Host header."""
    if isinstance(headers, dict):
        headers = headers.items()
    if isinstance(body, str):
        body = body.encode()
    made = request_bytes(verb, target, host or server.authority, headers, body)
    return exchange((server.host, server.port), made, verb)
