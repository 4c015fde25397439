"""Takes the pictures of docs/screenshots: every page in both colour schemes, and the main ones at the width of a phone.

    python tests/browser/screenshots.py [FOLDER]

Uses the built binary (see `harness.binary`) and Debian's chromium.
"""

import base64
import pathlib
import sys
import tempfile

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1] / "peers")]

from chrome import Chrome
from conftest import CONFIG, App
from harness import REPOSITORY, Server
from pages import PICTURES, Gallery

PHONE = ("login", "consent", "verifier", "apps", "clients", "client", "inspection")


def take(chrome, path, width, phone=False):
    chrome.size(width, 700, phone)
    height = chrome.run("return document.documentElement.scrollHeight")
    chrome.size(width, min(max(height, 500), 2400), phone)
    chrome.run("scrollTo(0, 0); if (document.activeElement) document.activeElement.blur()")
    made = chrome.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "webp", "quality": 85})
    path.write_bytes(base64.b64decode(made["data"]))


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        server, chrome = Server(work, CONFIG).start(), Chrome()
        try:
            gallery = Gallery(chrome, server, App())
            for page in PICTURES:
                chrome.forget()
                chrome.size(1200, 900)
                gallery.show(page)
                for scheme in ("light", "dark"):
                    chrome.scheme(scheme)
                    take(chrome, folder / f"{page}-{scheme}.webp", 1200)
                    if page in PHONE:
                        take(chrome, folder / f"{page}-phone-{scheme}.webp", 390, phone=True)
                print(page)
        finally:
            chrome.quit()
            server.stop()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "docs" / "screenshots")
