"""The operator's own API: answers every request with what it received, as JSON, and does odd things on demand.

It reads HTTP by hand, so that it sees the target and the framing as they came. By path: `/…/slow` never answers,
`/…/early` answers before it reads the body, `/…/stream/N` sends N bytes in chunks, `/…/drip` sends until it is left
alone, `/…/broken` closes without a word, `/…/ws` switches protocols and echoes, `/…/ws/bye` switches,
says bye and closes, `/…/close` says Connection: close, `/…/cookies` sets 150 cookies and two of Countersign's, `/…/leave` closes on the request that follows it on its connection.
"""

import hashlib
import json
import re
import socket
import threading
import time

CHUNK = b"x" * 65536


class Api:
    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.socket.getsockname()[1]
        self.authority = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.authority}"
        self.connections = 0
        self.left_alone = threading.Event()
        self.left = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def stop(self):
        self.socket.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            try:
                reader = connection.makefile("rb", buffering=1 << 16)
                while self.one(connection, reader):
                    pass
            except OSError:
                self.left_alone.set()

    def one(self, connection, reader):
        """Answers one request; whether another may follow."""
        line = reader.readline().decode("latin-1")
        if not line:
            return False
        method, target, version = line.rstrip("\r\n").split(" ", 2)
        headers = []
        while (line := reader.readline().decode("latin-1").rstrip("\r\n")):
            name, _, value = line.partition(":")
            headers.append([name.lower(), value.strip()])
        path = target.partition("?")[0]
        if path.endswith("/broken"):
            return False
        if path.endswith("/slow"):
            connection.recv(1)
            self.left_alone.set()
            return False
        if path.endswith("/ws/bye"):
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nbye")
            return False
        if path.endswith("/ws"):
            return self.switch(connection, reader, headers)
        if path.endswith("/early"):
            connection.sendall(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        size, digest, first = self.body(reader, dict(headers))
        if path.endswith("/drip"):
            return self.drip(connection)
        if match := re.search(r"/stream/(\d+)$", path):
            return self.stream(connection, int(match.group(1)), method)
        received = {
            "method": method, "target": target, "version": version, "headers": headers,
            "body": first.decode("latin-1"), "size": size, "sha256": digest,
        }
        body = json.dumps(received).encode()
        extra = b"Connection: close\r\n" if path.endswith("/close") else b""
        if path.endswith("/cookies"):
            ours = b"Set-Cookie: countersign_session=forged\r\nSet-Cookie:countersign_visitor=forged; Path=/\r\n"
            extra += ours + b"".join(b"Set-Cookie: c%d=1\r\n" % number for number in range(150))
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Hop: 1\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(head.encode() + extra + b"\r\n" + (b"" if method == "HEAD" else body))
        if path.endswith("/leave"):
            self.left += bool(reader.readline())
            return False
        return not path.endswith("/close")

    def body(self, reader, headers):
        """How much came, its SHA-256, and its first bytes."""
        digest, size, first = hashlib.sha256(), 0, b""

        def take(wanted):
            nonlocal size, first
            while wanted:
                piece = reader.read(min(wanted, 1 << 16))
                if not piece:
                    raise OSError("the body broke off")
                digest.update(piece)
                size += len(piece)
                wanted -= len(piece)
                if len(first) < 65536:
                    first += piece

        if headers.get("transfer-encoding", "").lower() == "chunked":
            while True:
                line = reader.readline()
                if not line:
                    raise OSError("the body broke off")
                length = int(line.split(b";")[0], 16)
                if length == 0:
                    while reader.readline().strip():
                        pass
                    break
                take(length)
                reader.readline()
        else:
            take(int(headers.get("content-length", 0)))
        return size, digest.hexdigest(), first

    def stream(self, connection, size, method):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while size and method != "HEAD":
            piece = CHUNK[: min(size, len(CHUNK))]
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            size -= len(piece)
        connection.sendall(b"0\r\n\r\n")
        return True

    def drip(self, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"5\r\ndrip\n\r\n")
            time.sleep(0.05)

    def switch(self, connection, reader, headers):
        if dict(headers).get("upgrade", "").lower() != "websocket":
            connection.sendall(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
            return True
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n")
        while True:
            piece = reader.read1(65536)
            if not piece:
                self.left_alone.set()
                return False
            connection.sendall(piece)
