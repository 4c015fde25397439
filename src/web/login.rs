//! Log in and log out (`/login`, `/logout`).
//!
//! The form is bound to the browser by a cookie of its own, so that nobody can log a visitor in to an account that
//! isn't theirs. A form that another window of the same browser has overtaken leads on and logs nobody in. `next` leads
//! to a path of this server and nowhere else.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Serialize;

use crate::auth::session::{self, NewSession};
use crate::auth::verdict::{Refusal, Rejection};
use crate::domain::credentials::Secret;
use crate::store::Store;
use crate::store::audit::{Entry, Event};
use crate::web::failed::Failed;
use crate::web::page::{Frame, Problems, Section};
use crate::web::reasons;
use crate::web::response::see_other;
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

/// The login form.
#[derive(Template)]
#[template(path = "login.html", config = "src/web/askama.toml")]
pub struct LoginPage {
    pub frame: Frame,
    pub text: &'static Texts,
    /// Where the form goes.
    pub action: String,
    /// Fields that go along.
    pub hidden: Vec<(&'static str, String)>,
    /// What was typed.
    pub username: String,
    /// The app that waits for the login, if one does.
    pub app: Option<String>,
}

/// The question whether to log out.
#[derive(Template)]
#[template(path = "logout.html", config = "src/web/askama.toml")]
pub struct LogoutPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub username: String,
}

/// The login form on another page, which waits for it.
pub struct Waiting {
    /// Where the form goes.
    pub action: String,
    /// Fields that go along.
    pub hidden: Vec<(&'static str, String)>,
    /// The app that waits.
    pub app: Option<String>,
    /// The foreign origin that the form may lead to in the end.
    pub origin: Option<String>,
}

/// What came of a login form.
pub enum LoggedIn {
    Begun(NewSession),
    /// The browser has a session, begun in another window after this one showed its form. The form's name and password
    /// were not looked at.
    Already,
    Refused(RefusedLogin),
}

/// What was wrong with a login form, to be shown beside its fields.
pub struct RefusedLogin {
    problems: Problems,
    status: StatusCode,
    retry_after: Option<u32>,
}

/// `GET /login`
pub async fn form(pages: Data<Arc<Pages>>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let next = visit.asked("next");
        if visit.session.is_some() {
            return Ok(see(visit, &next));
        }
        Ok(show(visit, waiting(visit, next), Problems::default(), StatusCode::OK))
    };
    pages.serve(&request, payload, Access::Anybody, show).await
}

/// `POST /login`
pub async fn submit(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let answer = async |visit: &Visit<'_>| {
        if visit.asked("response") == "json" {
            return Ok(member_hash(visit, &store).await);
        }
        let next = visit.field("next");
        Ok(match log_in(visit, &store).await? {
            LoggedIn::Begun(begun) => {
                let mut answer = see(visit, &next);
                enter(visit, &begun, &mut answer);
                answer
            }
            LoggedIn::Already => see(visit, &next),
            LoggedIn::Refused(refused) => show_refused(visit, waiting(visit, next), refused),
        })
    };
    pages.serve(&request, payload, Access::Anybody, answer).await
}

/// `GET /logout`
pub async fn confirm_logout(pages: Data<Arc<Pages>>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let username = visit.account()?.username.to_string();
        let page = LogoutPage { frame: visit.frame(Section::None), text: visit.text, username };
        Ok(visit.page(StatusCode::OK, &page))
    };
    pages.serve(&request, payload, Access::LoggedIn, show).await
}

/// `POST /logout`
pub async fn logout(pages: Data<Arc<Pages>>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let leave = async |visit: &Visit<'_>| {
        if let Some(session) = &visit.session {
            if !session.admits(&visit.received) {
                return Err(Failed::Form);
            }
            visit.pages.judge.authenticator.sessions.log_out(session, &visit.by()).await?;
        }
        let next = visit.field("next");
        let mut answer = match local_path(&next) {
            Some(next) => see_other(next),
            None => visit.go("/login?done=logged-out"),
        };
        // Another site's form comes without the cookie, and takes it from nobody.
        if visit.received.headers.cookies.get(session::COOKIE).is_some() {
            let mut gone = visit.cookie(session::COOKIE, String::new(), None);
            gone.make_removal();
            let _ = answer.add_cookie(&gone);
        }
        Ok(answer)
    };
    pages.serve(&request, payload, Access::Anybody, leave).await
}

/// Logs in with the fields of the visit's form.
///
/// # Errors
/// The form is not ours, or the server can't tell.
pub async fn log_in(visit: &Visit<'_>, store: &Store) -> Result<LoggedIn, Failed> {
    let cookie = visit.received.headers.cookies.get(session::VISITOR_COOKIE);
    let sent = visit.field(session::CSRF_FIELD);
    let of_visitor = cookie.is_some_and(|cookie| session::is_csrf_token(&session::csrf_token(cookie), &sent));
    match &visit.session {
        Some(session) if session::is_csrf_token(&session.csrf_token, &sent) => {}
        // It changes nothing, least of all who is logged in.
        Some(_) if of_visitor => return Ok(LoggedIn::Already),
        None if of_visitor => {}
        Some(_) | None => return Err(Failed::Form),
    }
    let (username, password) = (visit.field("username"), Secret::new(visit.field("password")));
    let mut problems = Problems::default();
    if username.is_empty() {
        problems.add("username", visit.text.login.username_missing);
    }
    if password.expose().is_empty() {
        problems.add("password", visit.text.login.password_missing);
    }
    if problems.any() {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(LoggedIn::Refused(RefusedLogin { problems, status, retry_after: None }));
    }
    let authenticator = &visit.pages.judge.authenticator;
    let rejection =
        match authenticator.sessions.log_in(&authenticator.basic, &visit.received, &username, &password).await {
            Ok(begun) => return Ok(LoggedIn::Begun(begun)),
            Err(rejection) => rejection,
        };
    let (status, retry_after) = match &rejection.public {
        Refusal::BadCredentials { .. } => {
            problems.add("username", visit.text.login.wrong);
            write_down(visit, store, Event::LoginFailed, &username).await;
            (StatusCode::UNAUTHORIZED, None)
        }
        Refusal::Throttled { retry_after } => {
            let seconds = retry_after.seconds();
            problems.add("username", reasons::throttled(seconds, visit.text));
            (StatusCode::TOO_MANY_REQUESTS, Some(seconds))
        }
        _ => return Err(rejection.into()),
    };
    visit.pages.judge.note(Some(&visit.received), &rejection);
    Ok(LoggedIn::Refused(RefusedLogin { problems, status, retry_after }))
}

/// Gives the browser its new session.
pub fn enter(visit: &Visit<'_>, begun: &NewSession, answer: &mut HttpResponse) {
    let cookie = visit.cookie(session::COOKIE, begun.cookie.expose().to_owned(), Some(begun.lifetime));
    // The only cookie that can't be added is one that is malformed, and this one is letters and digits.
    let _ = answer.add_cookie(&cookie);
}

/// The login form.
pub fn show(visit: &Visit<'_>, waiting: Waiting, problems: Problems, status: StatusCode) -> HttpResponse {
    let mut frame = visit.frame(Section::None);
    frame.problems = problems;
    let page = LoginPage {
        frame,
        text: visit.text,
        action: waiting.action,
        hidden: waiting.hidden,
        username: visit.field("username"),
        app: waiting.app,
    };
    visit.page_leading_to(status, &page, waiting.origin.as_deref())
}

/// The login form with what was wrong with it.
pub fn show_refused(visit: &Visit<'_>, waiting: Waiting, refused: RefusedLogin) -> HttpResponse {
    let RefusedLogin { problems, status, retry_after } = refused;
    let mut answer = show(visit, waiting, problems, status);
    if status == StatusCode::UNAUTHORIZED {
        let challenge = visit.pages.judge.answers.cookie_challenge();
        if let Ok(challenge) = HeaderValue::try_from(challenge.to_string()) {
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
    }
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

fn waiting(visit: &Visit<'_>, next: String) -> Waiting {
    Waiting { action: visit.path("/login"), hidden: vec![("next", next)], app: None, origin: None }
}

async fn write_down(visit: &Visit<'_>, store: &Store, event: Event, username: &str) {
    // What was typed may be a password by mistake: only a name that somebody has is written down.
    let known = store.accounts.by_login_name(username).await;
    if !visit.pages.judge.authenticator.basic.throttle().may_note_failure(matches!(known, Ok(Some(_))), visit.now()) {
        return;
    }
    let entry = match &known {
        Ok(Some(account)) => Entry::new(event, account.username.as_str()).of(account),
        Ok(None) | Err(_) => Entry::new(event, "(unknown)"),
    };
    if let Err(error) = store.audit.append(entry, &visit.by()).await {
        tracing::warn!(%error, "a failed login was not written down");
    }
}

/// To `next`, if it is a path of this server, else to the connected apps.
fn see(visit: &Visit<'_>, next: &str) -> HttpResponse {
    match local_path(next) {
        Some(next) => see_other(next),
        None => visit.go("/apps"),
    }
}

/// The answer to `POST /login?response=json`.
#[derive(Serialize)]
struct Member<'a> {
    #[serde(rename = "companyName")]
    company: &'a str,
    #[serde(rename = "memberId")]
    member: &'a str,
    #[serde(rename = "memberHash")]
    hash: &'a str,
}

/// The member hash for `company`, `username` and `password`: what a script's three cookies hold. It needs no CSRF
/// token, because it sets no cookie.
async fn member_hash(visit: &Visit<'_>, store: &Store) -> HttpResponse {
    let (company, username) = (visit.field("company"), visit.field("username"));
    let password = Secret::new(visit.field("password"));
    let judge = &visit.pages.judge;
    let sessions = &judge.authenticator.sessions;
    let begun =
        sessions.begin_member(&judge.authenticator.basic, &visit.received, &company, &username, &password).await;
    match begun {
        Ok((hash, account)) => HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Member {
            company: &company,
            member: account.account.username.as_str(),
            hash: hash.expose(),
        }),
        Err(rejection) => {
            if matches!(rejection.public, Refusal::BadCredentials { .. }) {
                write_down(visit, store, Event::LoginFailed, &username).await;
            }
            refuse_script(visit, &rejection)
        }
    }
}

fn refuse_script(visit: &Visit<'_>, rejection: &Rejection) -> HttpResponse {
    visit.pages.judge.note(Some(&visit.received), rejection);
    visit.pages.judge.answers.refuse(Some(&visit.received), None, rejection)
}

/// `next`, if it is a path of this server.
fn local_path(next: &str) -> Option<&str> {
    let local = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && next.bytes().all(|octet| octet.is_ascii_graphic());
    local.then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_leads_nowhere_else() {
        let authorize = "/oauth/authorize?oauth_token=x";
        assert_eq!(local_path(authorize), Some(authorize));
        for next in [
            "",
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "javascript:alert(1)",
            "/a\r\nb",
            "/a\tb",
        ] {
            assert_eq!(local_path(next), None, "{next:?}");
        }
    }
}
