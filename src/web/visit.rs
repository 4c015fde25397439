//! One person's request for a page: received, in a language, logged in or not; and the way back as a page.
//!
//! Every page handler runs inside [`Pages::serve`]. It asks who is there, refuses forms that this site did not send,
//! and turns what went wrong into a page that says so. What the page is about is the handler's business.

use std::sync::Arc;

use actix_web::cookie::{Cookie, SameSite, time::Duration};
use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_LANGUAGE, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use rand::distr::{Alphanumeric, SampleString};

use crate::auth::inspection::Budget;
use crate::auth::session::{self, Session};
use crate::auth::verdict::{Refusal, Rejection, check_standing};
use crate::config::{Configuration, Diagnose, ScopeSettings};
use crate::domain::account::{Account, AccountStatus, Reach};
use crate::protocol::encoding::encode;
use crate::protocol::parameters::{Parameters, Source};
use crate::protocol::request::{ReceivedRequest, UriScheme, changes_something};
use crate::protocol::signature::SignatureMethod;
use crate::store::Store;
use crate::store::audit::{Actor, By};
use crate::store::page::{Cursor, Page};
use crate::time::{Lifetime, Timestamp};
use crate::web::assets;
use crate::web::failed::{Explanation, Failed};
use crate::web::judge::Judge;
use crate::web::message::MessagePage;
use crate::web::page::{Frame, Problems, ScopeChoice, Section, Standing, Visitor};
use crate::web::response::{asks_for_json, cut_off, see_other};
use crate::web::texts::{Language, Texts};

/// The cookie that remembers a language.
const LANGUAGE_COOKIE: &str = "countersign_language";

/// The longest `once` of a form that one of our pages made.
const LONGEST_ONCE: usize = 40;

/// What all pages share.
pub struct Pages {
    pub judge: Arc<Judge>,
    /// What the paths of our pages begin with: empty, or the reserved prefix.
    pub base: String,
    /// The realm of passwords, and what people know this server as.
    pub realm: String,
    /// Where people with a locked account find help, and those with a disabled one.
    pub billing_url: Option<String>,
    pub contact_url: Option<String>,
    /// How long an access token lives that the console makes.
    pub token_lifetime: Option<Lifetime>,
    /// The keys that secrets are sealed with, by their ids; first the one that seals new ones.
    pub sealing_keys: Vec<u32>,
    /// What the inspector's paste box may still be asked.
    pub explanations: Budget,
    /// What clients may sign with here, as far as the configuration admits it.
    pub signature_methods: Vec<SignatureMethod>,
    /// Whether failed signatures are explained to anybody.
    pub explains: bool,
    public_origin: Option<(UriScheme, String)>,
    scopes: Vec<ScopeSettings>,
}

/// Who may open a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Everybody. The handler looks after its own forms.
    Anybody,
    /// Everybody, also in a window that an app opened and watches: its pages are not cut off from their opener.
    Dance,
    /// Whoever is logged in; to see, in whatever state the account is.
    LoggedIn,
    /// The same, and what is sent gives nobody anything: it ends something of the visitor's own, or only looks.
    /// Whoever is locked or disabled may do that too, as at the management API.
    LoggedInToTakeAway,
    /// Whoever administers a company or the server.
    Administrators,
}

/// One request for a page.
pub struct Visit<'a> {
    pub pages: &'a Pages,
    pub received: ReceivedRequest<'a>,
    pub text: &'static Texts,
    pub session: Option<Session>,
    /// The value of the cookie that binds forms to a browser before anybody is logged in.
    pub visitor: String,
    language: Language,
    access: Access,
    query: Parameters<'a>,
    fields: Parameters<'a>,
}

impl Pages {
    /// From the settings. `sealing_keys`: the ids of the master keys, first of the one that seals new secrets.
    pub fn new(configuration: &Configuration, judge: Arc<Judge>, sealing_keys: Vec<u32>) -> Self {
        let lifetime = configuration.oauth.access_token_ttl_seconds;
        Self {
            judge,
            base: configuration.server.own_path(""),
            realm: configuration.http_auth.realm.as_str().to_owned(),
            billing_url: configuration.support.billing_url.as_ref().map(|link| link.as_str().to_owned()),
            contact_url: configuration.support.contact_url.as_ref().map(|link| link.as_str().to_owned()),
            token_lifetime: (lifetime > 0).then(|| Lifetime::from_seconds(lifetime)),
            sealing_keys,
            explanations: Budget::of_pages(),
            signature_methods: configuration.oauth.admitted_methods(),
            explains: configuration.oauth.diagnose != Diagnose::Never,
            public_origin: configuration.server.public_url.as_ref().map(|public| (public.scheme(), public.authority())),
            scopes: configuration.scopes.clone(),
        }
    }

    /// Receives a request, lets `handler` answer it, and turns what goes wrong into a page.
    pub async fn serve(
        &self,
        request: &HttpRequest,
        mut payload: Payload,
        access: Access,
        handler: impl AsyncFnOnce(&Visit<'_>) -> Result<HttpResponse, Failed>,
    ) -> HttpResponse {
        let judge = &*self.judge;
        let origin = judge.rim.origin(request);
        let mut received = match judge.rim.receive(request, &origin) {
            Ok(received) => received,
            Err(refusal) => return judge.refuse(None, None, &refusal.into()),
        };
        let mut failed = None;
        let body;
        if changes_something(received.method) {
            match judge.rim.read_body(request, &mut payload).await {
                Ok(read) => {
                    body = read;
                    received.body = Some(&body);
                }
                Err(refusal) => failed = Some(Failed::Rejected(refusal.into())),
            }
        }
        let session = match judge.authenticator.sessions.current(received.headers.cookies, received.arrived).await {
            Ok(session) => session,
            Err(rejection) => {
                failed = Some(Failed::Rejected(rejection));
                None
            }
        };
        let accept_language = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let visit = Visit::new(self, received, session, access, accept_language);
        let outcome = match failed {
            Some(failed) => Err(failed),
            None => match visit.may_pass() {
                Ok(()) => handler(&visit).await,
                Err(failed) => Err(failed),
            },
        };
        let mut answer = outcome.unwrap_or_else(|failed| visit.fail(&failed));
        visit.remember_language(&mut answer);
        // A page that was not asked for a body has not read it, and one that was has read it up to its limit.
        cut_off(answer, payload)
    }

    /// Scheme and authority of the configured public URL.
    pub fn public_origin(&self) -> Option<(UriScheme, &str)> {
        self.public_origin.as_ref().map(|(scheme, authority)| (*scheme, authority.as_str()))
    }

    /// A scope's sentence, or its name where the configuration has none.
    pub fn scope_title(&self, name: &str, text: &Texts) -> String {
        let Some(settings) = self.scopes.iter().find(|scope| scope.name.as_str() == name) else {
            return name.to_owned();
        };
        let translated = settings.titles.iter().find(|(language, _)| {
            language.split(['-', '_']).next().is_some_and(|primary| primary.eq_ignore_ascii_case(text.code))
        });
        translated
            .map(|(_, title)| title)
            .or(settings.title.as_ref())
            .map_or_else(|| name.to_owned(), |title| title.as_str().to_owned())
    }

    /// The scopes that the configuration names, with those ticked that `ticked` picks.
    pub fn scope_choices(&self, text: &Texts, ticked: impl Fn(&str) -> bool) -> Vec<ScopeChoice> {
        let named = self.scopes.iter().map(|scope| scope.name.as_str());
        named
            .map(|name| ScopeChoice {
                name: name.to_owned(),
                title: self.scope_title(name, text),
                ticked: ticked(name),
            })
            .collect()
    }
}

impl<'a> Visit<'a> {
    fn new(
        pages: &'a Pages,
        received: ReceivedRequest<'a>,
        session: Option<Session>,
        access: Access,
        accept_language: Option<&str>,
    ) -> Self {
        let query = Parameters::of_form(received.query.unwrap_or_default(), Source::Query).unwrap_or_default();
        let fields = Parameters::of_form(received.form().unwrap_or_default(), Source::Body).unwrap_or_default();
        let cookies = received.headers.cookies;
        let language = Language::of_tags(&first(&query, "ui_locales"))
            .or_else(|| Language::of_tags(cookies.get(LANGUAGE_COOKIE)?))
            .or_else(|| Language::of_accept_language(accept_language?))
            .unwrap_or(Language::English);
        let visitor = cookies.get(session::VISITOR_COOKIE).map_or_else(session::new_visitor, str::to_owned);
        Self { pages, text: language.texts(), language, access, session, visitor, query, fields, received }
    }

    fn may_pass(&self) -> Result<(), Failed> {
        match (self.access, &self.session) {
            (Access::Anybody | Access::Dance, _) => Ok(()),
            (_, None) => Err(Failed::LoggedOut),
            (Access::Administrators, Some(session)) if !administers(&session.account.account) => Err(Failed::Forbidden),
            (_, Some(session)) => {
                if changes_something(self.received.method) && !session.admits(&self.received) {
                    return Err(Failed::Form);
                }
                if changes_something(self.received.method) && self.access != Access::LoggedInToTakeAway {
                    check_standing(&session.account.account)?;
                }
                Ok(())
            }
        }
    }

    /// When the request arrived.
    pub const fn now(&self) -> Timestamp {
        self.received.arrived
    }

    /// Who is logged in.
    ///
    /// # Errors
    /// Nobody is.
    pub fn account(&self) -> Result<&Account, Failed> {
        self.session.as_ref().map(|session| &session.account.account).ok_or(Failed::LoggedOut)
    }

    /// Whose things the visitor may administer: nobody's, as a member.
    ///
    /// # Errors
    /// [`Failed::Forbidden`]: the visitor administers nothing.
    pub fn reach(&self) -> Result<Reach, Failed> {
        let account = self.account()?;
        if administers(account) { Ok(account.reach()) } else { Err(Failed::Forbidden) }
    }

    /// For the audit log: the visitor, from here, now.
    pub fn by(&self) -> By {
        let who = self.session.as_ref().map_or(Actor::Stranger, |session| Actor::account(&session.account.account));
        By::from(who, self.received.client_address, self.now())
    }

    /// The first form field of that name; empty when there is none.
    pub fn field(&self, name: &str) -> String {
        first(&self.fields, name)
    }

    /// Every form field of that name.
    pub fn fields(&self, name: &str) -> Vec<String> {
        let named = self.fields.iter().filter(|field| field.name == name);
        named.filter_map(|field| field.decoded()).map(std::borrow::Cow::into_owned).collect()
    }

    /// The first query parameter of that name; empty when there is none.
    pub fn asked(&self, name: &str) -> String {
        first(&self.query, name)
    }

    /// The part of a list that `after` in the query asks for.
    pub fn list_page(&self, limit: u16) -> Page {
        Page { after: Cursor::parse(&self.asked("after")), limit }
    }

    /// Path and query as they were asked for.
    pub fn here(&self) -> String {
        match self.received.query {
            Some(query) => format!("{}?{query}", self.received.path),
            None => self.received.path.to_owned(),
        }
    }

    /// A path of ours.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.pages.base)
    }

    /// The origin that people and apps reach this server by.
    pub fn origin(&self) -> String {
        // With a public URL the request was received as by it.
        format!("{}://{}", self.received.scheme.as_str(), self.received.authority)
    }

    /// A value for the hidden field `once` of a form that must not be carried out twice.
    pub fn once(&self) -> String {
        Alphanumeric.sample_string(&mut rand::rng(), 20)
    }

    /// Carries out what the form asks for, unless a form with this `once` was carried out before: on this node or
    /// another. If the work fails, the form may be sent again.
    ///
    /// # Errors
    /// [`Failed::SentBefore`], [`Failed::Form`] where none of our pages made the `once`, or what the work fails with.
    pub async fn carry_out<T, E: Into<Failed>>(
        &self,
        store: &Store,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failed> {
        let session = &self.session.as_ref().ok_or(Failed::LoggedOut)?.id;
        let once = self.field("once");
        if once.is_empty() || once.len() > LONGEST_ONCE {
            return Err(Failed::Form);
        }
        if !store.sent_forms.take(session, &once).await? {
            return Err(Failed::SentBefore);
        }
        let outcome = work.await;
        if outcome.is_err()
            && let Err(error) = store.sent_forms.give_back(session, &once).await
        {
            tracing::warn!(%error, "a form whose work failed can't be sent again");
        }
        outcome.map_err(Into::into)
    }

    /// The frame of a page in this part of the navigation.
    pub fn frame(&self, section: Section) -> Frame {
        let account = self.session.as_ref().map(|session| &session.account.account);
        let visitor = account.filter(|_| section != Section::None).map(|account| Visitor {
            username: account.username.to_string(),
            administers: administers(account),
            everything: account.reach() == Reach::Everything,
            standing: self.standing(account),
        });
        let csrf_token = match &self.session {
            Some(session) => session.csrf_token.clone(),
            None => session::csrf_token(&self.visitor),
        };
        Frame {
            text: self.text,
            base: self.pages.base.clone(),
            service: self.pages.realm.clone(),
            version: assets::version(),
            // What answers a form can't be asked for again.
            here: if changes_something(self.received.method) { String::new() } else { self.here() },
            visitor,
            csrf_token,
            section,
            notice: self.notice().map(str::to_owned),
            problems: Problems::default(),
        }
    }

    /// What to tell a locked or disabled account; nothing to any other.
    pub fn standing(&self, account: &Account) -> Option<Standing> {
        let text = &self.text.account;
        let (title, usual, link) = match &account.status {
            AccountStatus::Active => return None,
            AccountStatus::Locked { .. } => (text.locked, text.locked_why, &self.pages.billing_url),
            AccountStatus::Disabled { .. } => (text.disabled, text.disabled_why, &self.pages.contact_url),
        };
        let reason = account.status.reason().unwrap_or(usual).to_owned();
        Some(Standing { title, reason, link: link.clone() })
    }

    /// The frame and status of a page whose form came back with these problems, or with none.
    pub fn returned(&self, section: Section, problems: Problems) -> (StatusCode, Frame) {
        let status = if problems.any() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        (status, Frame { problems, ..self.frame(section) })
    }

    /// What was done before the redirect that led here, by the word in the query. A word and not a sentence, so that
    /// nobody can make our pages say theirs.
    fn notice(&self) -> Option<&'static str> {
        let text = self.text;
        match self.asked("done").as_str() {
            "saved" => Some(text.words.saved),
            "logged-out" => Some(text.login.logged_out),
            "revoked" => Some(text.apps.revoked),
            "all-revoked" => Some(text.apps.all_revoked),
            "already-revoked" => Some(text.apps.already_revoked),
            "password" => Some(text.account.password_changed),
            "ended" => Some(text.account.ended),
            "token-revoked" => Some(text.developer.token_revoked),
            "client-deleted" => Some(text.developer.deleted),
            "key-deleted" => Some(text.keys.deleted),
            "account-created" => Some(text.admin.account_created),
            "account-deleted" => Some(text.admin.account_deleted),
            "standing" => Some(text.admin.standing_changed),
            "company" => Some(text.admin.company_created),
            _ => None,
        }
    }

    /// A finished page.
    pub fn page(&self, status: StatusCode, page: &impl Template) -> HttpResponse {
        self.page_leading_to(status, page, None)
    }

    /// A page whose form may be answered by a redirect to this foreign origin.
    pub fn page_leading_to(&self, status: StatusCode, page: &impl Template, origin: Option<&str>) -> HttpResponse {
        let mut answer = self.pages.judge.answers.page(status, origin);
        if self.access != Access::Dance {
            answer.insert_header((HeaderName::from_static("cross-origin-opener-policy"), "same-origin"));
        }
        if self.session.is_none() {
            answer.cookie(self.cookie(session::VISITOR_COOKIE, self.visitor.clone(), None));
        }
        match page.render() {
            Ok(text) => answer.body(text),
            Err(error) => {
                tracing::error!(%error, "a page could not be written");
                HttpResponse::InternalServerError().finish()
            }
        }
    }

    /// To another page of ours, after something was done.
    pub fn go(&self, path: &str) -> HttpResponse {
        see_other(&self.path(path))
    }

    /// A cookie of ours: HttpOnly, SameSite=Lax, Secure under https.
    pub fn cookie(&self, name: &'static str, value: String, lifetime: Option<Lifetime>) -> Cookie<'static> {
        let mut cookie = Cookie::build(name, value)
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.pages.judge.answers.https())
            .finish();
        if let Some(lifetime) = lifetime {
            cookie.set_max_age(Duration::seconds(i64::from(lifetime.seconds())));
        }
        cookie
    }

    fn remember_language(&self, answer: &mut HttpResponse) {
        const A_YEAR: Lifetime = Lifetime::from_seconds(365 * 24 * 60 * 60);
        if Language::of_tags(&self.asked("ui_locales")).is_some() {
            let cookie = self.cookie(LANGUAGE_COOKIE, self.language.code().to_owned(), Some(A_YEAR));
            // A cookie that can't be added is one that is not remembered.
            let _ = answer.add_cookie(&cookie);
        }
    }

    /// The page about what went wrong.
    fn fail(&self, failed: &Failed) -> HttpResponse {
        let errors = &self.text.errors;
        let Some(Explanation { status, notice, word }) = failed.explain(self.text) else {
            return self.ask_to_log_in();
        };
        let of_the_dance = match failed {
            Failed::Rejected(rejection) => {
                self.pages.judge.note(Some(&self.received), rejection);
                Some(rejection)
                    .filter(|rejection| self.access == Access::Dance && matches!(rejection.public, Refusal::OAuth(_)))
            }
            _ => None,
        };
        let answers = &self.pages.judge.answers;
        if let Some(rejection) = of_the_dance
            && self.received.headers.accept.is_some_and(asks_for_json)
        {
            let mut answer = answers.refuse_oauth(Some(&self.received), rejection);
            *answer.status_mut() = status;
            return answer;
        }
        let onward = match &self.session {
            Some(_) => (self.path("/apps"), errors.to_apps),
            None => (self.path("/login"), errors.to_login),
        };
        let frame = self.frame(Section::None);
        let page = MessagePage { word, onward: Some(onward), ..MessagePage::new(frame, notice) };
        let mut answer = self.page(status, &page);
        if let Some(rejection) = of_the_dance {
            answers.add_oauth_challenge(&mut answer, &rejection.public);
        }
        if let Failed::Rejected(Rejection { public: Refusal::Throttled { retry_after }, .. }) = failed {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after.seconds()));
        }
        answer
    }

    /// To the login page, and back to where the visitor wanted to go. Whose form came too late is told so first: what
    /// was typed is not shown again, since nobody knows by then who sent it, and from where.
    fn ask_to_log_in(&self) -> HttpResponse {
        let login = format!("/login?next={}", encode(&self.here()));
        if !changes_something(self.received.method) {
            return self.go(&login);
        }
        let errors = &self.text.errors;
        let onward = Some((self.path(&login), errors.to_login));
        let page = MessagePage { onward, ..MessagePage::new(self.frame(Section::None), errors.logged_out) };
        self.page(StatusCode::FORBIDDEN, &page)
    }
}

/// Whether the account administers more than itself.
pub fn administers(account: &Account) -> bool {
    match account.reach() {
        Reach::Everything | Reach::Company(_) => true,
        Reach::Account(_) => false,
    }
}

fn first(parameters: &Parameters<'_>, name: &str) -> String {
    let named = parameters.iter().find(|parameter| parameter.name == name);
    // No field of ours holds a NUL, and PostgreSQL takes none.
    let value = named.and_then(|parameter| parameter.decoded()).filter(|value| !value.contains('\0'));
    value.unwrap_or_default().into_owned()
}
