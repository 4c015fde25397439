"""A person at Chromium: opens pages, types, presses, and looks at what is there.

Debian's chromium and chromedriver by WebDriver. Nothing is fetched, and every window has a profile of its own.
"""

import json
import os
import pathlib
import shutil

from harness import eventually
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

SECONDS = 20

# What Chromium says, after the address, about what was refused. A page may be meant to be a refusal; what a page loads is not.
REFUSED = " - Failed to load resource: the server responded with a status of 4"


def axe_source():
    """axe-core as npm installed it."""
    modules = os.environ.get("PEERS_NODE_MODULES") or pathlib.Path(__file__).parent / "node_modules"
    return (pathlib.Path(modules) / "axe-core" / "axe.min.js").read_text()


class Chrome:
    """One browser. `script`: whether pages may run script."""

    def __init__(self, script=True, language="en"):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", f"--lang={language}"):
            options.add_argument(argument)
        settings = {"intl.accept_languages": language}
        if not script:
            settings["profile.managed_default_content_settings.javascript"] = 2
        options.add_experimental_option("prefs", settings)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        options.add_experimental_option("perfLoggingPrefs", {"enableNetwork": True, "enablePage": False})
        self.script = script
        # What the buttons are called in another language, by their English labels.
        self.words = {}
        # What stood in the console and no test looked at.
        self.passed_over = []
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.driver.set_page_load_timeout(SECONDS)
        self.driver.implicitly_wait(0)
        self.size(1200, 900)

    def quit(self):
        self.driver.quit()

    def forget(self):
        """A browser that has never been anywhere."""
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self.driver.get("about:blank")
        self.passed_over += self.complaints()

    def unheard(self):
        """What no test may pass over of all that stood in the console: a broken policy, a script that failed."""
        grave = ("Content Security Policy", "Uncaught")
        return [said for said in self.passed_over + self.complaints() if any(word in said for word in grave)]

    def complaints(self):
        """What stood in the console since the last look, but for pages that were meant to be refusals."""
        # Advice on what is allowed (autocomplete of Swagger UI's fields) is on the lowest level.
        said = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "DEBUG"]
        pages = self.refused_pages()
        return [message for message in said if REFUSED not in message or message.split(REFUSED)[0] not in pages]

    def refused_pages(self):
        """The addresses of the pages, not of what they load, that were answered with 4xx since the last look."""
        found = set()
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.responseReceived" and event["params"]["type"] == "Document":
                response = event["params"]["response"]
                if 400 <= response["status"] < 500:
                    found.add(response["url"])
        return found

    # --- going somewhere ---

    def open(self, url):
        self.driver.get(url)
        return self

    def back(self):
        self.driver.back()

    @property
    def url(self):
        return self.driver.current_url

    @property
    def text(self):
        """What the page says."""
        return self.driver.find_element(By.TAG_NAME, "body").text

    @property
    def source(self):
        return self.driver.page_source

    @property
    def heading(self):
        headings = self.driver.find_elements(By.TAG_NAME, "h1")
        assert len(headings) == 1, [heading.text for heading in headings]
        return headings[0].text

    # --- what is on the page ---

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def has(self, selector):
        return bool(self.all(selector))

    def content(self, element):
        """The text of the element with this id, exactly, also where it is folded away."""
        return self.find(f"#{element}").get_property("textContent")

    def field(self, name):
        return self.find(f"main [name='{name}']:not([type=hidden])")

    def value(self, name):
        return self.field(name).get_property("value")

    def reason(self, name):
        """What stands beside a field that was refused."""
        return self.find(f"#{name}-reason").text

    # --- doing something ---

    def type(self, name, text):
        field = self.field(name)
        field.clear()
        field.send_keys(text)

    def choose(self, name, value):
        Select(self.field(name)).select_by_value(value)

    def tick(self, name, value=None, on=True):
        box = self.find(f"main [name='{name}']" + (f"[value='{value}']" if value else ""))
        if box.is_selected() != on:
            box.click()

    def press(self, label, within="main"):
        """Press the button or open the fold that says this, and wait for the page that comes of it.

        The first line counts: what follows is for those who hear the page.
        """
        label = self.said(label)
        candidates = [
            element
            for element in self.all(f"{within} button, {within} a.button, {within} summary")
            if element.is_displayed() and element.text.strip().split("\n")[0].removesuffix("…") == label
        ]
        assert candidates, f"nothing to press says {label!r}: {[e.text for e in self.all(within + ' button')]}"
        self.press_element(candidates[0])

    def said(self, text):
        """The English text in the language of this browser."""
        return self.words.get(text, text)

    def press_element(self, element):
        stays = element.tag_name == "summary" or element.get_attribute("type") == "button"
        page = self.find("html")
        element.click()
        if not stays:
            self.wait_until_gone(page)

    def wait_until_gone(self, element):
        """Until the page that held the element has made room for another."""

        def gone():
            try:
                element.is_enabled()
                return False
            except WebDriverException:
                # Stale, or caught in the middle of going.
                return True

        assert eventually(gone), "the page stayed"

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def log_in(self, base, account):
        self.open(f"{base}/login")
        self.sign_in(account)

    def sign_in(self, account):
        """At a login form."""
        self.type("username", account.username)
        self.type("password", account.password)
        self.press("Log in")

    # --- how it looks ---

    def size(self, width, height, phone=False):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone},
        )

    def scheme(self, name):
        """`light` or `dark`. Nothing moves, so that what is looked at stands still."""
        features = [
            {"name": "prefers-color-scheme", "value": name},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def violations(self):
        """What axe-core finds serious or critical on this page."""
        self.driver.execute_script(AXE.source())
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document, {resultTypes: ['violations']}).then(done, (error) => done({error: String(error)}));"
        )
        assert "error" not in found, found
        return [
            f"{violation['id']}: {violation['help']}: {[(node['target'], [check['message'] for check in node['any']]) for node in violation['nodes']][:3]}"
            for violation in found["violations"]
            if violation["impact"] in ("serious", "critical")
        ]


class AXE:
    """Read once."""

    text = None

    @classmethod
    def source(cls):
        if cls.text is None:
            cls.text = axe_source()
        return cls.text
