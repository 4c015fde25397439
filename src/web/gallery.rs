//! Every page with sample data, for tests: nothing that it shows becomes markup, it has one heading, and its ids are
//! its own.

use askama::Template;

use crate::domain::client::ClientStatus;
use crate::time::Timestamp;
use crate::web::account::{AccountPage, SessionRow};
use crate::web::admin::account::AdministeredAccountPage;
use crate::web::admin::account_form::{AccountForm, AccountFormPage};
use crate::web::admin::accounts::{AccountRow, AccountsPage};
use crate::web::admin::audit::{AuditEntry, AuditForm, AuditPage};
use crate::web::admin::clients::{AdministeredClientRow, AdministeredClientsPage};
use crate::web::admin::companies::{CompaniesPage, CompanyRow};
use crate::web::admin::system::{SealingKeyRow, SystemPage, ThrottledRow};
use crate::web::apps::{AppsPage, ConnectedApp};
use crate::web::consent::{ConsentPage, VerifierPage};
use crate::web::developer::client::{ClientPage, RsaKey, TokenRow};
use crate::web::developer::client_form::{ClientForm, ClientFormPage, MethodChoice};
use crate::web::developer::client_samples::SamplesPage;
use crate::web::developer::clients::{ClientRow, ClientsPage};
use crate::web::developer::key_form::{KeyForm, KeyFormPage, KeyPlace};
use crate::web::developer::keys::{KeyRow, KeysPage};
use crate::web::developer::own::{ClientHead, Tab};
use crate::web::developer::shown_once::{SecretPage, ShownValue};
use crate::web::inspector::comparison::{ComparedRow, Comparison, MarkedText};
use crate::web::inspector::{Inspection, InspectorPage, RefusedRow};
use crate::web::login::{LoginPage, LogoutPage};
use crate::web::message::MessagePage;
use crate::web::page::tests::{NASTY, assert_escaped, frame_in};
use crate::web::page::{Badge, Choice, Frame, Moment, ScopeChoice, Section, Standing, Visitor, text_to_download};
use crate::web::samples::{FilledSample, SampleMethod, SampleValues, fill};
use crate::web::texts::{Language, Texts};

/// The words that the pages show: sensible ones, or the same nasty one everywhere.
struct Words {
    language: Language,
    nasty: bool,
}

impl Words {
    fn text(&self) -> &'static Texts {
        self.language.texts()
    }

    fn say(&self, sensible: &str) -> String {
        if self.nasty { NASTY.to_owned() } else { sensible.to_owned() }
    }

    fn frame(&self, section: Section) -> Frame {
        frame_in(self.language, section)
    }

    fn alone(&self) -> Frame {
        Frame { visitor: None, ..self.frame(Section::None) }
    }

    fn locked(&self) -> Standing {
        let text = &self.text().account;
        let link = Some(self.say("https://billing.example.com"));
        Standing { title: text.locked, reason: self.say(text.locked_why), link }
    }

    fn moment(&self, ago: i64) -> Moment {
        Moment::of(Timestamp::from_unix(1_795_300_000 - ago), self.text())
    }

    fn scopes(&self) -> Vec<ScopeChoice> {
        [
            ("account:read", "Read your account’s data", true),
            ("products:read", "See your products and their sales", true),
            ("reports:write", "reports:write", false),
        ]
        .map(|(name, title, ticked)| ScopeChoice { name: self.say(name), title: self.say(title), ticked })
        .into()
    }

    fn names(&self) -> Vec<String> {
        vec![self.say("account:read"), self.say("products:read")]
    }

    fn good(&self) -> Badge {
        Badge { tone: "good", text: self.text().words.active }
    }

    fn head(&self, tab: Tab) -> ClientHead {
        ClientHead { key: self.say("dpf43f3p2l4k3l03Hk9Qw2Zx"), name: self.say("Printer"), status: self.good(), tab }
    }

    fn samples(&self) -> Vec<FilledSample> {
        fill(&SampleValues {
            client_key: &self.say("dpf43f3p2l4k3l03Hk9Qw2Zx"),
            client_secret: &self.say("kd94hf93k423kf44"),
            token: &self.say("nnch734d00sl2jdk"),
            token_secret: &self.say("pfkkdhi9sl3r4s00"),
            url: &self.say("https://photos.example.net/v2/me"),
            method: SampleMethod::Sha256,
        })
    }

    fn roles(&self) -> Vec<Choice> {
        ["member", "integrator", "admin"].map(|role| Choice { value: role.to_owned(), label: self.say(role) }).into()
    }

    fn account_form(&self) -> AccountForm {
        AccountForm {
            username: self.say("jo@example.com"),
            name: self.say("Jo Doe"),
            email: self.say("jo@example.com"),
            company: self.say("acme"),
            external_id: self.say("4711"),
            role: "member".to_owned(),
            scopes: "*".to_owned(),
            reason: String::new(),
        }
    }

    fn consent(&self) -> ConsentPage {
        ConsentPage {
            text: self.text(),
            frame: self.alone(),
            username: self.say("jane@example.com"),
            standing: None,
            app: self.say("Printer"),
            letter: self.say("P"),
            host: Some(self.say("printer.example.com")),
            registered: self.moment(9_000_000),
            scopes: self.scopes(),
            action: self.say("/oauth/authorize"),
            oauth_token: self.say("hh5s93j4hdidpola"),
            here: self.say("/oauth/authorize?oauth_token=hh5s93j4hdidpola"),
        }
    }
}

fn page(template: impl Template) -> String {
    template.render().expect("a page can always be written")
}

fn pages(words: &Words) -> Vec<(&'static str, String)> {
    let text = words.text();
    let mut wrong = words.alone();
    wrong.problems.add("username", words.say(text.login.wrong));
    let mut revoked = words.frame(Section::Apps);
    revoked.notice = Some(words.say("Printer has no access any more."));
    let mut locked = words.frame(Section::Account);
    locked.visitor = locked.visitor.map(|visitor| Visitor { standing: Some(words.locked()), ..visitor });
    let mut refused = words.frame(Section::Developer);
    refused.problems.add("name", words.say(text.reasons.empty));
    refused.problems.add("callbacks", words.say("Addresses with javascript: can't be used as callbacks."));
    vec![
        ("login", page(LoginPage { text, frame: words.alone(), action: words.say("/login"), hidden: vec![("next", words.say("/apps"))], username: String::new(), app: Some(words.say("Printer")) })),
        ("login-wrong", page(LoginPage { text, frame: wrong, action: words.say("/login"), hidden: Vec::new(), username: words.say("jane@example.com"), app: None })),
        ("logout", page(LogoutPage { text, frame: words.alone(), username: words.say("jane@example.com") })),
        ("consent", page(words.consent())),
        ("consent-code", page(ConsentPage { host: None, scopes: Vec::new(), ..words.consent() })),
        ("consent-locked", page(ConsentPage {
            standing: Some(words.locked()),
            ..words.consent()
        })),
        ("verifier", page(VerifierPage { text, frame: words.alone(), app: words.say("Printer"), verifier: words.say("hfdp7dh39dks9884Xr2vQm7a"), expires: words.moment(-600) })),
        ("error", page(MessagePage {
            word: Some("token_expired"),
            onward: Some((words.say("/apps"), text.errors.to_apps)),
            what: words.say(text.errors.token_expired.1),
            ..MessagePage::new(words.alone(), text.errors.token_expired)
        })),
        ("apps", page(AppsPage { text, frame: revoked, apps: vec![
            ConnectedApp { grant: words.say("g1"), name: words.say("Reporting for Spreadsheets"), scopes: words.scopes(), granted: words.moment(900_000), last_used: Some(words.moment(60)) },
            ConnectedApp { grant: words.say("g2"), name: words.say("Mobile companion"), scopes: Vec::new(), granted: words.moment(5_000_000), last_used: None },
        ] })),
        ("apps-none", page(AppsPage { text, frame: words.frame(Section::Apps), apps: Vec::new() })),
        ("account", page(AccountPage {
            text,
            frame: locked,
            id: words.say("k3Jd82kdLs92jdK1mN4p"),
            username: words.say("jane@example.com"),
            name: words.say("Jane Doe"),
            email: words.say("jane@example.com"),
            company: Some(words.say("acme")),
            role: text.words.admin,
            keys: 2,
            sessions: vec![
                SessionRow { id: words.say("s1"), browser: words.say("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"), address: words.say("192.0.2.7"), since: words.moment(3000), expires: words.moment(-40_000), this: true },
                SessionRow { id: words.say("s2"), browser: words.say("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X)"), address: words.say("2001:db8::7"), since: words.moment(30_000), expires: words.moment(-10_000), this: false },
            ],
        })),
        ("clients", page(ClientsPage { text, frame: words.frame(Section::Developer), more: true, clients: vec![
            ClientRow { element: "client-1".to_owned(), key: words.say("dpf43f3p2l4k3l03Hk9Qw2Zx"), name: words.say("Printer"), status: words.good(), scopes: words.names(), callbacks: vec![words.say("https://printer.example.com/ready"), words.say("http://127.0.0.1/callback")], tokens: 128, last_used: Some(words.moment(10)) },
            ClientRow { element: "client-2".to_owned(), key: words.say("Zk2mP0aVb7Nq4RtY8sLw1XcE"), name: words.say("Command line tool"), status: Badge { tone: "bad", text: text.words.disabled }, scopes: Vec::new(), callbacks: Vec::new(), tokens: 0, last_used: None },
        ] })),
        ("client-form", page(ClientFormPage { text, frame: refused, head: None, once: "once".to_owned(), form: ClientForm {
            name: words.say(""),
            callbacks: words.say("javascript:alert(1)"),
            scopes: words.scopes(),
            other_scopes: words.say(""),
            methods: vec![MethodChoice { name: "HMAC-SHA1", ticked: false }, MethodChoice { name: "HMAC-SHA256", ticked: true }, MethodChoice { name: "HMAC-SHA512", ticked: false }, MethodChoice { name: "RSA-SHA1", ticked: false }, MethodChoice { name: "RSA-SHA256", ticked: false }, MethodChoice { name: "RSA-SHA512", ticked: false }, MethodChoice { name: "PLAINTEXT", ticked: false }],
            rsa_public_key: words.say(""),
            http_auth: true,
            own_token: true,
        } })),
        ("client", page(ClientPage { more: false,
            text,
            frame: words.frame(Section::Developer),
            head: words.head(Tab::Overview),
            status: ClientStatus::Active,
            scopes: words.names(),
            callbacks: vec![words.say("https://printer.example.com/ready")],
            methods: vec![words.say("HMAC-SHA256"), words.say("RSA-SHA256")],
            rsa: Some(RsaKey { bits: 2048, fingerprint: words.say("SHA256:4Xb1uGm0zv7Jk2m9Qh3eRtYwLs5Nd8Pc6Fa0Vi1Oz2x") }),
            http_auth: false,
            created: words.moment(9_000_000),
            last_used: Some(words.moment(10)),
            old_secret_until: Some(words.moment(-80_000)),
            tokens: vec![
                TokenRow { id: words.say("t1"), hint: words.say("2jdk"), account: words.say("jane@example.com"), scopes: words.names(), created: words.moment(100_000), last_used: Some(words.moment(20)) },
                TokenRow { id: words.say("t2"), hint: words.say("9XkA"), account: words.say("jo@example.com"), scopes: Vec::new(), created: words.moment(200_000), last_used: None },
            ],
            once: "once".to_owned(),
        })),
        ("samples", page(SamplesPage { text, frame: words.frame(Section::Developer), head: words.head(Tab::Samples), note: text.developer.samples_placeholders, samples: words.samples() })),
        ("secret", page(SecretPage {
            text,
            frame: words.frame(Section::Developer),
            title: words.say("Printer is registered"),
            values: vec![
                ShownValue { element: "shown-client-key", label: text.developer.client_key, value: words.say("dpf43f3p2l4k3l03Hk9Qw2Zx") },
                ShownValue { element: "shown-client-secret", label: text.developer.client_secret, value: words.say("kd94hf93k423kf44Pq8Lm2Vz7Rw1Xs5Tb9Nc3Ya6Ud0Q") },
                ShownValue { element: "shown-token", label: text.developer.token, value: words.say("nnch734d00sl2jdkA8x2Lq9Zw3Ep5Rt7") },
                ShownValue { element: "shown-token-secret", label: text.developer.token_secret, value: words.say("pfkkdhi9sl3r4s00Jd8Ks2Lp4Qw6Er8Ty0Ui2Op4As6") },
            ],
            file: words.say("Printer.env"),
            download: text_to_download(&words.say("OAUTH_CLIENT_KEY='dpf43f3p2l4k3l03'\n")),
            old_until: Some(words.moment(-80_000)),
            samples: words.samples(),
            samples_note: text.developer.samples_filled,
            onward: words.say("/developer/clients"),
        })),
        ("inspector", page(InspectorPage {
            text,
            frame: words.frame(Section::Developer),
            head: words.head(Tab::Inspector),
            inspection: Some(Inspection {
                when: Some(words.moment(60)),
                verdict: words.say(text.mistakes.http_scheme.0),
                remedy: words.say(text.mistakes.http_scheme.1),
                words: vec![words.say("http-scheme")],
                comparison: Some(Comparison {
                    rows: vec![
                        ComparedRow { name: words.say(text.inspector.method), client: Some(words.say("GET")), server: Some(words.say("GET")), differs: false },
                        ComparedRow { name: words.say(text.inspector.uri), client: Some(words.say("http://photos.example.net/v2/me")), server: Some(words.say("https://photos.example.net/v2/me")), differs: true },
                        ComparedRow { name: words.say("oauth_nonce"), client: Some(words.say("kllo9940pd9333jh")), server: Some(words.say("kllo9940pd9333jh")), differs: false },
                        ComparedRow { name: words.say("size"), client: None, server: Some(words.say("original")), differs: true },
                    ],
                    client: MarkedText { before: words.say("GET&http"), differing: words.say("%"), after: words.say("3A%2F%2Fphotos.example.net%2Fv2%2Fme&oauth_consumer_key%3Ddpf43f3p2l4k3l03%26oauth_nonce%3Dkllo9940pd9333jh") },
                    server: MarkedText { before: words.say("GET&http"), differing: words.say("s"), after: words.say("%3A%2F%2Fphotos.example.net%2Fv2%2Fme&oauth_consumer_key%3Ddpf43f3p2l4k3l03%26oauth_nonce%3Dkllo9940pd9333jh") },
                }),
            }),
            refused: vec![
                RefusedRow { id: words.say("7"), when: words.moment(60), method: words.say("GET"), path: words.say("/v2/me"), verdict: words.say(text.mistakes.http_scheme.0) },
                RefusedRow { id: words.say("6"), when: words.moment(600), method: words.say("POST"), path: words.say("/v2/products"), verdict: words.say(text.mistakes.double_encoded.0) },
            ],
            explains: true, pasted: words.say("GET /v2/me HTTP/1.1\nHost: photos.example.net\nAuthorization: OAuth oauth_consumer_key=\"dpf43f3p2l4k3l03\", …"),
        })),
        ("keys", page(KeysPage { text, frame: words.frame(Section::Developer), once: "once".to_owned(), more: false, keys: vec![
            KeyRow { hint: words.say("x7Kq"), element: "key-1".to_owned(), public_key: words.say("Ab3dEf6hIj9kLm2nOp5qRs8t"), name: words.say("Nightly export"), scopes: Some(words.names()), expires: Some(words.moment(-8_000_000)), expired: false, last_used: Some(words.moment(4000)), made_by: None },
            KeyRow { hint: words.say("p3Lm"), element: "key-2".to_owned(), public_key: words.say("Uv1wXy4zAb7cDe0fGh3iJk6l"), name: words.say("Support session"), scopes: None, expires: Some(words.moment(100)), expired: true, last_used: None, made_by: Some(words.say("integrator@acme.example")) },
        ] })),
        ("key-form", page(KeyFormPage { text, frame: words.frame(Section::Developer), place: KeyPlace { action: words.say("/developer/keys/new"), back: words.say("/developer/keys"), back_label: text.developer.keys, for_account: Some(words.say("jo@example.com")), section: Section::Developer }, form: KeyForm { name: words.say("Nightly export"), scopes: words.say("account:read"), expires_in: "7776000".to_owned() }, expiries: vec![Choice { value: String::new(), label: words.say(text.words.never) }, Choice { value: "7776000".to_owned(), label: words.say("in 90 days") }], once: "once".to_owned() })),
        ("admin-accounts", page(AccountsPage { text, frame: words.frame(Section::Admin), search: words.say(""), next: Some(words.say("/admin/accounts?after=1")), accounts: vec![
            AccountRow { id: words.say("k3Jd82kdLs92jdK1mN4p"), username: words.say("jo@example.com"), name: words.say("Jo Doe"), company: Some(words.say("acme")), role: text.words.member, status: words.good(), created: words.moment(9_000_000) },
            AccountRow { id: words.say("p3Jd82kdLs92jdK1mN4q"), username: words.say("max@example.com"), name: words.say("max@example.com"), company: None, role: text.words.admin, status: Badge { tone: "warn", text: text.words.locked }, created: words.moment(8_000_000) },
        ] })),
        ("admin-account-form", page(AccountFormPage { text, frame: words.frame(Section::Admin), form: words.account_form(), roles: words.roles() })),
        ("admin-account", page(AdministeredAccountPage { text, frame: words.frame(Section::Admin), id: words.say("k3Jd82kdLs92jdK1mN4p"), username: words.say("jo@example.com"), status: Badge { tone: "warn", text: text.words.locked }, active: true, reason: Some(words.say("Invoice 4711 is open.")), created: words.moment(9_000_000), form: words.account_form(), roles: words.roles(), keys: 1 })),
        ("admin-companies", page(CompaniesPage { text, frame: words.frame(Section::Admin), companies: vec![CompanyRow { id: words.say("acme"), name: words.say("Acme Corporation"), created: words.moment(9_000_000) }], form_id: words.say(""), form_name: words.say("") })),
        ("admin-clients", page(AdministeredClientsPage { text, frame: words.frame(Section::Admin), next: None, clients: vec![
            AdministeredClientRow { key: words.say("dpf43f3p2l4k3l03Hk9Qw2Zx"), name: words.say("Printer"), owner: words.say("jane@example.com"), owner_id: words.say("k3"), status: words.good(), active: true, barred: false, last_used: Some(words.moment(10)) },
        ] })),
        ("admin-audit", page(AuditPage { text, frame: words.frame(Section::Admin), events: vec!["login", "login.failed", "client.created"], filter: AuditForm { account: words.say(""), ..AuditForm::default() }, export: words.say("/admin/audit/export?event="), next: Some(words.say("/admin/audit?before=3")), rows: vec![
            AuditEntry { when: words.moment(10), event: words.say("client.secret_rotated"), actor: words.say("jane@example.com"), subject: words.say("dpf43f3p2l4k3l03Hk9Qw2Zx"), detail: words.say("Printer"), address: words.say("192.0.2.7") },
            AuditEntry { when: words.moment(100), event: words.say("login.failed"), actor: words.say("(stranger)"), subject: words.say("jo@example.com"), detail: words.say(""), address: words.say("2001:db8::7") },
        ] })),
        ("admin-system", page(SystemPage { text, frame: words.frame(Section::Admin), version: "0.1.0", database: "SQLite", pending: Vec::new(), sealing: vec![SealingKeyRow { id: words.say("3f2a9c01"), status: Badge { tone: "good", text: text.admin.sealing_active } }, SealingKeyRow { id: words.say("81d0c47e"), status: Badge { tone: "warn", text: text.admin.sealing_older } }], throttled: vec![ThrottledRow { address: words.say("198.51.100.9"), username: words.say("jo@example.com"), when: words.moment(300) }] })),
    ]
}

#[test]
fn whatever_a_page_shows_stays_text() {
    for language in Language::ALL {
        for (name, page) in pages(&Words { language, nasty: true }) {
            eprintln!("{name}");
            if name != "apps-none" {
                assert_escaped(&page);
            }
        }
    }
}

#[test]
fn every_page_has_one_heading_and_ids_of_its_own() {
    for language in Language::ALL {
        for (name, page) in pages(&Words { language, nasty: false }) {
            assert_eq!(page.matches("<h1").count(), 1, "{name}");
            assert!(page.contains(&format!("<html lang=\"{}\">", language.code())), "{name}");
            let mut ids: Vec<&str> = page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
            let count = ids.len();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), count, "{name} has an id twice");
            // The content security policy would drop them.
            assert!(!page.contains(" style=") && !page.contains(" onclick=") && !page.contains("<style"), "{name}");
        }
    }
}

#[test]
fn every_form_that_changes_something_carries_the_csrf_token() {
    for (name, page) in pages(&Words { language: Language::English, nasty: false }) {
        for form in page.split("<form method=\"post\"").skip(1) {
            let form = form.split("</form>").next().unwrap();
            assert!(form.contains("name=\"csrf_token\" value=\"csrf\""), "{name}: {form}");
        }
    }
}
