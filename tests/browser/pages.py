"""Every page with something on it: for the tests of how it can be used, and for its picture."""

import dance
import signer
import wire
from dance import authorize_url, temporary
from harness import Token, eventually

PAGES = [
    "login", "login-refused", "logout", "consent", "consent-code", "verifier", "denied", "error", "apps", "apps-none", "account",
    "clients", "client-new", "client-refused", "client", "client-settings", "client-samples", "client-secret", "inspector",
    "inspection", "keys", "key-new", "key-secret", "admin-accounts", "admin-account-new", "admin-account", "admin-companies",
    "admin-clients", "admin-audit", "admin-system",
]

# Pages that say why something was not done, with their headings; one picture of such a page is enough.
REFUSALS = {
    "not-found": "Not found",
    "not-for-this-account": "Not for this account",
    "form-no-longer-good": "This form is no longer good",
    "expired": "This request has expired",
}

# Those that have a picture: the explorer is Swagger UI's own look, which the tests of ours do not judge.
PICTURES = [*PAGES, "docs"]


class Gallery:
    """Brings any page onto the screen. `impatient`: a server whose request tokens soon expire, if that page is wanted."""

    def __init__(self, chrome, server, app, impatient=None):
        self.chrome, self.server, self.app, self.impatient = chrome, server, app, impatient
        self.jane = server.account("jane@example.com", company="acme", role="member")
        self.boss = server.account("boss@example.com", role="admin")
        self.jo = server.account("jo@example.com", company="acme")
        scopes = ("account:read", "products:read")
        self.printer = self.client("Photo printer", app.callback, scopes)
        self.terminal = self.client("Terminal", "oob", ("account:read",))
        self.token = self.grant(self.printer)
        self.grant(self.terminal)
        self.key = server.key(self.jane, scopes=("account:read",))
        server.command("account", "lock", self.jo.username, "--reason", "Invoice 4711 is open.")
        self.refuse()

    def client(self, name, callback, scopes):
        line = ["client", "create", "--owner", self.jane.username, "--name", name]
        line += [] if callback == "oob" else ["--callback", callback]
        for scope in scopes:
            line += ["--scope", scope]
        from harness import Client

        made = self.server.json(*line)
        return Client(made["client_key"], made["client_secret"], self.jane, callback)

    def grant(self, client):
        from browser import Browser

        request = temporary(self.server, client)
        verifier = Browser(self.jane).verifier(authorize_url(self.server, request))
        answer = dance.access_token(self.server, client, request, verifier)
        token = Token(answer.form["oauth_token"], answer.form["oauth_token_secret"], client)
        assert dance.signed(self.server, "GET", "/v2/me", client, token).status == 200
        return token

    def refuse(self):
        """Two requests whose signatures are wrong."""
        for url in (f"https://{self.server.authority}/v2/me?size=original", f"{self.server.base}/v2/me"):
            header = signer.header(signer.sign("GET", url, self.printer, self.token))
            answer = wire.send(self.server, "GET", "/v2/me?size=original", [("Authorization", header)])
            assert answer.status == 401

    def show(self, page):
        chrome, base = self.chrome, self.server.base
        person = self.boss if page.startswith("admin") else self.jane
        if page not in ("login", "login-refused"):
            chrome.log_in(base, person)
        getattr(self, "show_" + page.replace("-", "_"))(chrome, base)

    def ask(self, client):
        self.chrome.open(authorize_url(self.server, temporary(self.server, client)))

    def show_login(self, chrome, base):
        self.ask(self.printer)

    def show_login_refused(self, chrome, base):
        self.ask(self.printer)
        chrome.type("username", "jane@example.com")
        chrome.type("password", "wrong")
        chrome.press("Log in")

    def show_logout(self, chrome, base):
        chrome.open(f"{base}/logout")

    def show_consent(self, chrome, base):
        self.ask(self.printer)

    def show_consent_code(self, chrome, base):
        self.ask(self.terminal)

    def show_verifier(self, chrome, base):
        self.ask(self.terminal)
        chrome.press("Allow")

    def show_denied(self, chrome, base):
        self.ask(self.terminal)
        chrome.press("Deny")

    def show_error(self, chrome, base):
        chrome.open(f"{base}/oauth/authorize?oauth_token=unknown")

    def show_not_found(self, chrome, base):
        chrome.open(f"{base}/developer/clients/show?key=nobodys")

    def show_not_for_this_account(self, chrome, base):
        chrome.open(f"{base}/admin/system")

    def show_form_no_longer_good(self, chrome, base):
        chrome.open(f"{base}/logout")
        chrome.run("document.querySelector('main [name=csrf_token]').value = 'forged'")
        chrome.press("Log out")

    def show_expired(self, chrome, base):
        client = self.impatient.client(self.impatient.account(), callback="oob")
        url = authorize_url(self.impatient, temporary(self.impatient, client))
        assert eventually(lambda: chrome.open(url).heading == chrome.said("This request has expired"))

    def show_apps(self, chrome, base):
        chrome.open(f"{base}/apps")
        chrome.press("Revoke all")

    def show_apps_none(self, chrome, base):
        chrome.forget()
        chrome.log_in(base, self.boss)
        chrome.open(f"{base}/apps")

    def show_account(self, chrome, base):
        chrome.forget()
        chrome.log_in(base, self.jo)
        chrome.open(f"{base}/account")

    def show_clients(self, chrome, base):
        chrome.open(f"{base}/developer/clients")

    def show_client_new(self, chrome, base):
        chrome.open(f"{base}/developer/clients/new")

    def show_client_refused(self, chrome, base):
        self.show_client_new(chrome, base)
        chrome.type("name", "Photo printer")
        chrome.type("callbacks", "javascript:alert(1)")
        chrome.type("other_scopes", "everything")
        chrome.press("Create app")

    def of_client(self, page):
        self.chrome.open(f"{self.server.base}/developer/clients/{page}?key={self.printer.key}")

    def show_client(self, chrome, base):
        self.of_client("show")

    def show_client_settings(self, chrome, base):
        self.of_client("edit")

    def show_client_samples(self, chrome, base):
        self.of_client("samples")

    def show_client_secret(self, chrome, base):
        self.show_client_new(chrome, base)
        chrome.type("name", "Photo printer")
        chrome.press("Create app")

    def show_inspector(self, chrome, base):
        self.of_client("inspector")

    def show_inspection(self, chrome, base):
        self.show_inspector(chrome, base)
        chrome.press_element(chrome.all("table tbody tr a")[-1])

    def show_keys(self, chrome, base):
        chrome.open(f"{base}/developer/keys")

    def show_key_new(self, chrome, base):
        chrome.open(f"{base}/developer/keys/new")

    def show_key_secret(self, chrome, base):
        self.show_key_new(chrome, base)
        chrome.type("name", "Nightly export")
        chrome.press("Create key")

    def show_docs(self, chrome, base):
        chrome.open(f"{base}/docs")
        assert eventually(lambda: chrome.has(".swagger-ui .opblock"))

    def show_admin_accounts(self, chrome, base):
        chrome.open(f"{base}/admin/accounts")

    def show_admin_account_new(self, chrome, base):
        chrome.open(f"{base}/admin/accounts/new")

    def show_admin_account(self, chrome, base):
        chrome.open(f"{base}/admin/accounts/show?id={self.jo.id}")

    def show_admin_companies(self, chrome, base):
        chrome.open(f"{base}/admin/companies")

    def show_admin_clients(self, chrome, base):
        chrome.open(f"{base}/admin/clients")

    def show_admin_audit(self, chrome, base):
        chrome.open(f"{base}/admin/audit")

    def show_admin_system(self, chrome, base):
        chrome.open(f"{base}/admin/system")
