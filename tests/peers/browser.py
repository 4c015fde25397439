"""The account holder at a browser: logs in, reads the consent page, decides.

It knows the names that the contract fixes (`username`, `password`, `decision`, `scope`, `csrf_token`, the element
`verifier`) and finds everything else in the page, as a person does.
"""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

REDIRECTS = (301, 302, 303, 307, 308)
SECONDS = 60


@dataclass
class Form:
    action: str
    method: str
    fields: list = field(default_factory=list)
    names: set = field(default_factory=set)
    checkboxes: list = field(default_factory=list)


class Page(HTMLParser):
    """The forms of a page and the texts of its elements with an id."""

    def __init__(self, text):
        super().__init__()
        self.forms, self.texts, self.open, self.headings = [], {}, [], 0
        self.in_form = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form":
            self.forms.append(Form(given.get("action") or "", (given.get("method") or "get").lower()))
            self.in_form = True
        if tag == "h1":
            self.headings += 1
        if self.in_form and given.get("name") and tag in ("input", "button", "select", "textarea"):
            form, name, kind = self.forms[-1], given["name"], given.get("type", "text")
            form.names.add(name)
            if kind == "checkbox":
                form.checkboxes.append((name, given.get("value") or "on", "checked" in given))
            elif kind == "hidden":
                form.fields.append((name, given.get("value") or ""))
        if given.get("id"):
            self.texts.setdefault(given["id"], given.get("value") or "")
        if tag not in ("input", "meta", "link", "br", "img", "hr"):
            self.open.append((tag, given.get("id")))

    def handle_endtag(self, tag):
        if tag == "form":
            self.in_form = False
        while self.open:
            if self.open.pop()[0] == tag:
                break

    def handle_data(self, data):
        for _, name in self.open:
            if name:
                self.texts[name] += data

    def form_with(self, name):
        found = [form for form in self.forms if name in form.names]
        assert len(found) == 1, f"expected one form with the field {name}, found {len(found)}"
        return found[0]


class Browser:
    """A person with a browser. Cookies are kept from page to page; redirects are followed up to the app's callback."""

    def __init__(self, account):
        self.account = account
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["User-Agent"] = "Mozilla/5.0 (test)"

    def open(self, url):
        """The page behind a URL after its redirects, or the callback that it leads to."""
        return self.follow(self.session.get(url, allow_redirects=False, timeout=SECONDS), url)

    def submit(self, url, form, fields):
        target = urljoin(url, form.action) if form.action else url
        assert form.method == "post", "a form that changes something is sent by POST"
        headers = {"Origin": f"{urlsplit(target).scheme}://{urlsplit(target).netloc}", "Referer": url}
        answer = self.session.post(target, data=fields, headers=headers, allow_redirects=False, timeout=SECONDS)
        return self.follow(answer, target)

    def follow(self, answer, url):
        home = urlsplit(url).netloc
        for _ in range(10):
            if answer.status_code not in REDIRECTS:
                return answer
            target = urljoin(answer.url, answer.headers["Location"])
            if urlsplit(target).netloc != home:
                return answer
            answer = self.session.get(target, allow_redirects=False, timeout=SECONDS)
        raise AssertionError("more than ten redirects")

    def consent_page(self, url):
        """Open an authorize URL, log in if asked to, and return the consent page (answer, form)."""
        answer = self.open(url)
        page = Page(answer.text)
        if any("password" in form.names for form in page.forms):
            form = page.form_with("password")
            fields = [*form.fields, ("username", self.account.username), ("password", self.account.password)]
            answer = self.submit(answer.url, form, fields)
            page = Page(answer.text)
        assert answer.status_code == 200, f"{answer.status_code}: {answer.text[:500]}"
        return answer, page.form_with("decision")

    def decide(self, url, decision="allow", scopes=None):
        """Log in, decide, and return what comes of it: a redirect to the callback or the page with the verifier.

        `scopes`: those to leave ticked; None leaves the page as it came with every box ticked.
        """
        answer, form = self.consent_page(url)
        assert any(name == "csrf_token" for name, _ in form.fields), "the consent form carries a csrf_token"
        ticked = [
            (name, value)
            for name, value, _ in form.checkboxes
            if name == "scope" and (scopes is None or value in scopes)
        ]
        return self.submit(answer.url, form, [*form.fields, *ticked, ("decision", decision)])

    def callback(self, url, decision="allow", scopes=None):
        """Decide and return the callback's whole URL."""
        answer = self.decide(url, decision, scopes)
        assert answer.status_code in REDIRECTS, f"{answer.status_code}: {answer.text[:500]}"
        return answer.headers["Location"]

    def verifier(self, url, scopes=None):
        """Allow, and return the verifier, from the callback or (for `oob`) from the page."""
        answer = self.decide(url, scopes=scopes)
        if answer.status_code in REDIRECTS:
            return parse_qs(urlsplit(answer.headers["Location"]).query)["oauth_verifier"][0]
        verifier = Page(answer.text).texts["verifier"].strip()
        assert verifier, "the page has the verifier in the element with the id verifier"
        return verifier


class Login:
    """Somebody logged in: the cookie header and the CSRF token of the pages."""

    def __init__(self, cookies, token):
        self.cookies, self.token = cookies, token


def logged_in(server, account):
    browser = Browser(account)
    page = browser.open(f"{server.base}/login")
    form = Page(page.text).form_with("password")
    fields = [*form.fields, ("username", account.username), ("password", account.password)]
    page = browser.submit(page.url, form, fields)
    assert page.status_code == 200, page.status_code
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.session.cookies)
    page = browser.open(f"{server.base}/apps")
    tokens = [value for form in Page(page.text).forms for field, value in form.fields if field == "csrf_token"]
    assert tokens, "a page of somebody who is logged in has a form"
    return Login(("Cookie", cookies), ("X-CSRF-Token", tokens[0]))
