"""The browser of these tests itself: what it must not pass over."""

import http.server
import threading

import pytest
from chrome import eventually

# Each loads something that is not there.
LOADED = {
    "stylesheet": "<link rel=stylesheet href=/missing>",
    "icon": "<link rel=icon href=/missing>",
    "script": "<script src=/missing></script>",
    "image": "<img src=/missing alt=''>",
    "call": "<script>fetch('/missing')</script>",
}


@pytest.fixture(scope="module")
def site():
    """A site with a page for each of these, and nothing else."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            given = LOADED.get(self.path[1:])
            icon = "" if self.path == "/icon" else "<link rel=icon href=data:,>"
            body = f"<!doctype html><title>Page</title>{icon}{given or ''}".encode()
            self.send_response(200 if given else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()


@pytest.fixture
def visitor(chromes):
    """A browser whose complaints are the subject."""
    browser = chromes()
    browser.forget()
    return browser


def test_a_page_that_is_a_refusal_is_no_complaint(visitor, site):
    visitor.open(f"{site}/missing")
    assert visitor.complaints() == []


@pytest.mark.parametrize("kind", LOADED)
def test_what_a_page_loads_and_does_not_get_is_a_complaint(kind, visitor, site):
    visitor.open(f"{site}/{kind}")
    found = eventually(visitor.complaints)
    assert len(found) == 1 and found[0].startswith(f"{site}/missing "), found
