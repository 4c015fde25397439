"""Real proxies with the configurations of docs/deploy, word for word but for addresses and folders."""

import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys

import wire
from harness import REPOSITORY, eventually

DEPLOY = REPOSITORY / "docs" / "deploy"
MODULES = pathlib.Path("/usr/lib/nginx/modules")
# Debian's, and those that PyPI has: Debian has an older Caddy, and neither Traefik nor Envoy.
DEBIANS = {"nginx": "nginx", "nginx-njs": "nginx", "caddy-2.6": "caddy", "haproxy": "haproxy"}
PYPIS = pathlib.Path(sys.executable).parent


def program(kind):
    """Where the proxy's program is, or None."""
    if kind in DEBIANS:
        return shutil.which(DEBIANS[kind], path="/usr/sbin:/usr/bin")
    return shutil.which(kind, path=PYPIS)


class Proxy:
    """One proxy process. `host` and `port` are where it listens; `authority` is what a client puts into Host."""

    host = "127.0.0.1"

    def __init__(self, kind, folder, port, countersign, api, host_name=None):
        self.kind, self.folder, self.port = kind, pathlib.Path(folder), port
        self.program = program(kind)
        self.countersign, self.api = countersign, api
        self.secure = kind == "haproxy"
        self.authority = f"{host_name or self.host}:{port}"
        self.log = self.folder / "log"
        self.process = None

    @property
    def base(self):
        return f"{'https' if self.secure else 'http'}://{self.authority}"

    def start(self):
        command = getattr(self, re.sub("[-.]", "_", self.kind))()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(self.folder)},
            )
        ready = eventually(lambda: self.process.poll() is not None or self.listens(), 20)
        if not ready or self.process.poll() is not None:
            self.stop()
            raise RuntimeError(f"{self.kind} did not start:\n{self.log.read_text()[-3000:]}")
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)

    def listens(self):
        with socket.socket() as probe:
            if probe.connect_ex((self.host, self.port)) != 0:
                return False
        # Traefik listens before it knows any route.
        return self.kind != "traefik" or self.send("GET", "/").status != 404

    def send(self, verb, target, headers=(), body=None, host=None):
        """One request through the proxy, byte for byte."""
        if isinstance(body, str):
            body = body.encode()
        made = wire.request_bytes(verb, target, host or self.authority, headers, body)
        return self.exchange(made, verb)

    def exchange(self, made, verb="GET"):
        if not self.secure:
            return wire.exchange((self.host, self.port), made, verb)
        context = ssl.create_default_context(cafile=self.certificate)
        with socket.create_connection((self.host, self.port), timeout=wire.SECONDS) as plain:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                connection.sendall(made)
                return wire.read_answer(connection, verb)

    @property
    def certificate(self):
        return self.folder / "certificate.pem"

    # --- the configurations ---

    def nginx(self):
        return self._nginx("nginx.conf")

    def nginx_njs(self):
        scripts = self.folder / "njs"
        scripts.mkdir()
        (scripts / "countersign.js").write_text((DEPLOY / "countersign.js").read_text())
        return self._nginx("nginx-njs.conf")

    def _nginx(self, name):
        text = (DEPLOY / name).read_text()
        text = replaced(text, "listen 8000;", f"listen {self.host}:{self.port};")
        text = replaced(text, "server 127.0.0.1:8080;", f"server {self.countersign};")
        text = replaced(text, "server 127.0.0.1:3000;", f"server {self.api};")
        text = text.replace("worker_processes auto;", "worker_processes 1;")
        text = text.replace("load_module modules/", f"load_module {MODULES}/")
        text = text.replace('"/etc/nginx/njs"', f'"{self.folder}/njs"')
        temporary = "".join(
            f"    {kind}_temp_path {self.folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        text = replaced(text, "http {\n", f"http {{\n    access_log off;\n{temporary}")
        text = f"daemon off;\nuser root;\npid {self.folder}/pid;\nerror_log {self.folder}/error.log info;\n" + text
        if "load_module" in text:
            line = re.search(r"load_module .*;\n", text).group()
            text = line + text.replace(line, "")
        configuration = self.folder / "nginx.conf"
        configuration.write_text(text)
        return [self.program, "-p", str(self.folder), "-c", str(configuration), "-e", str(self.folder / "error.log")]

    def caddy(self):
        return self._caddy("Caddyfile")

    def caddy_2_6(self):
        return self._caddy("Caddyfile-2.6")

    def _caddy(self, name):
        text = (DEPLOY / name).read_text()
        text = "{\n\tadmin off\n}\n" + replaced(text, ":8000 {", f"http://{self.host}:{self.port} {{")
        text = replaced(text, "127.0.0.1:8080", self.countersign)
        text = replaced(text, "127.0.0.1:3000", self.api)
        configuration = self.folder / "Caddyfile"
        configuration.write_text(text)
        return [self.program, "run", "--config", str(configuration), "--adapter", "caddyfile"]

    def traefik(self):
        text = replaced((DEPLOY / "traefik-dynamic.yaml").read_text(), "127.0.0.1:8080", self.countersign)
        dynamic = self.folder / "traefik-dynamic.yaml"
        dynamic.write_text(replaced(text, "127.0.0.1:3000", self.api))
        text = replaced((DEPLOY / "traefik.yaml").read_text(), '":8000"', f'"{self.host}:{self.port}"')
        static = self.folder / "traefik.yaml"
        static.write_text(replaced(text, "/etc/traefik/traefik-dynamic.yaml", str(dynamic)))
        return [self.program, f"--configFile={static}"]

    def envoy(self):
        text = (DEPLOY / "envoy.yaml").read_text()
        text = replaced(text, "address: 0.0.0.0, port_value: 8000", f"address: {self.host}, port_value: {self.port}")
        for known, address in (("127.0.0.1:8080", self.countersign), ("127.0.0.1:3000", self.api)):
            text = text.replace(known, address)
            old, new = (f"address: {host}, port_value: {port}" for host, port in (known.split(":"), address.split(":")))
            text = replaced(text, old, new)
        configuration = self.folder / "envoy.yaml"
        configuration.write_text(text)
        return [self.program, "-c", str(configuration), "--use-dynamic-base-id", "--concurrency", "1"]

    def haproxy(self):
        leaf = self.make_certificates()
        text = (DEPLOY / "haproxy.cfg").read_text()
        text = replaced(text, "bind :8443 ssl crt /etc/haproxy/api.pem", f"bind {self.host}:{self.port} ssl crt {leaf}")
        text = replaced(text, "127.0.0.1:8080", self.countersign)
        configuration = self.folder / "haproxy.cfg"
        configuration.write_text(text)
        return [self.program, "-db", "-f", str(configuration)]

    def make_certificates(self):
        """An authority (`certificate`) and a certificate of its with its key, in one file as HAProxy wants them."""
        made = self.folder / "leaf.pem"
        new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        authority = ["-subj", "/CN=Test authority", "-keyout", "authority.key", "-out", str(self.certificate)]
        leaf = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"]
        leaf += ["-CA", str(self.certificate), "-CAkey", "authority.key", "-keyout", "leaf.key", "-out", "leaf.crt"]
        for arguments in (authority, leaf):
            subprocess.run([*new, *arguments], check=True, capture_output=True, cwd=self.folder)
        made.write_text((self.folder / "leaf.crt").read_text() + (self.folder / "leaf.key").read_text())
        return made


def replaced(text, old, new):
    """`text` with `old` replaced; a configuration that lost the line must not pass unchanged."""
    # Port 3000 is not the beginning of port 30009, which a test may have been given.
    text, places = re.subn(re.escape(old) + r"(?!\d)", lambda _: new, text)
    assert places, f"the configuration has no {old!r}"
    return text
