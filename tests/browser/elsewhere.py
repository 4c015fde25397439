"""The web server of somebody else, on another origin."""

import http.server
import socket
import threading


class Site:
    """Answers every GET with what `answer(path)` says: a status and a page. `host` may be an IPv6 address."""

    def __init__(self, answer, host="127.0.0.1", content_type="text/html"):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, page = answer(self.path)
                body = page.encode()
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        class Listener(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        self.server = Listener((host, 0), Handler)
        self.base = f"http://{f'[{host}]' if ':' in host else host}:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.server.shutdown()
        self.server.server_close()
