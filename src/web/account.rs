//! My account (`/account`): who I am, my password, my sessions.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::auth::enrolment;
use crate::auth::verdict::Refusal;
use crate::domain::credentials::{CompanyId, Secret, SessionId, Username};
use crate::store::Store;
use crate::store::accounts::StoredPassword;
use crate::web::failed::Failed;
use crate::web::page::{Frame, Moment, Problems, Section, role_name};
use crate::web::reasons;
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

/// The page.
#[derive(Template)]
#[template(path = "account.html", config = "src/web/askama.toml")]
pub struct AccountPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub id: String,
    pub username: String,
    pub name: String,
    pub email: String,
    pub company: Option<String>,
    pub role: &'static str,
    /// How many API keys there are.
    pub keys: usize,
    pub sessions: Vec<SessionRow>,
}

/// One session.
pub struct SessionRow {
    pub id: String,
    pub browser: String,
    pub address: String,
    pub since: Moment,
    pub expires: Moment,
    /// Whether it is the one that asks.
    pub this: bool,
}

/// `GET /account`
pub async fn show(pages: Data<Arc<Pages>>, store: Data<Store>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| page(visit, &store, Problems::default()).await;
    pages.serve(&request, payload, Access::LoggedIn, show).await
}

/// `POST /account/password`
pub async fn change_password(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let change = async |visit: &Visit<'_>| {
        let (problems, retry_after) = check_passwords(visit).await?;
        if problems.any() {
            let mut answer = page(visit, &store, problems).await?;
            if let Some(seconds) = retry_after {
                *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            return Ok(answer);
        }
        let account = visit.account()?;
        let new = Secret::new(visit.field("new_password"));
        let password = enrol(visit, &account.username, account.company.as_ref(), &new).await?;
        let keep = visit.session.as_ref().map(|session| session.id.clone());
        store.accounts.set_password(&account.id, Some(password), keep, &visit.by()).await?;
        Ok(visit.go("/account?done=password"))
    };
    pages.serve(&request, payload, Access::LoggedIn, change).await
}

/// `POST /account/sessions/end`
pub async fn end_session(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let end = async |visit: &Visit<'_>| {
        let id = SessionId::parse(visit.field("session")).map_err(|_| Failed::NotFound)?;
        // Whether it was still there does not matter: now it is not.
        store.sessions.end(&visit.account()?.id, &id, &visit.by()).await?;
        Ok(visit.go("/account?done=ended"))
    };
    pages.serve(&request, payload, Access::LoggedInToTakeAway, end).await
}

/// `POST /account/sessions/end-others`
pub async fn end_other_sessions(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let end = async |visit: &Visit<'_>| {
        let keep = visit.session.as_ref().map(|session| &session.id);
        store.sessions.end_all(&visit.account()?.id, keep, &visit.by()).await?;
        Ok(visit.go("/account?done=ended"))
    };
    pages.serve(&request, payload, Access::LoggedInToTakeAway, end).await
}

/// Hashes a new password, on the hashing threads.
///
/// # Errors
/// The server is too busy, or the password too long.
pub async fn enrol(
    visit: &Visit<'_>,
    username: &Username,
    company: Option<&CompanyId>,
    password: &Secret,
) -> Result<StoredPassword, Failed> {
    let threads = visit.pages.judge.authenticator.basic.passwords();
    Ok(enrolment::password_on(threads, password, username, company, &visit.pages.realm).await?)
}

/// What is wrong with the current password, the new one, and the new one again; and the seconds to wait after too many
/// failures.
async fn check_passwords(visit: &Visit<'_>) -> Result<(Problems, Option<u32>), Failed> {
    let mut problems = Problems::default();
    let mut seconds_to_wait = None;
    let new = visit.field("new_password");
    if let Err(reason) = reasons::password(&new, visit.text) {
        problems.add("new_password", reason);
    } else if new != visit.field("repeated_password") {
        problems.add("repeated_password", visit.text.account.password_differs);
    }
    let Some(session) = &visit.session else { return Err(Failed::LoggedOut) };
    let (name, current) = (session.account.account.username.as_str(), Secret::new(visit.field("current_password")));
    let basic = &visit.pages.judge.authenticator.basic;
    if let Err(rejection) = basic.prove(&visit.received, name, &current, Some(&session.account)).await {
        match &rejection.public {
            Refusal::BadCredentials { .. } => problems.add("current_password", visit.text.account.password_wrong),
            Refusal::Throttled { retry_after } => {
                let seconds = retry_after.seconds();
                problems.add("current_password", reasons::throttled(seconds, visit.text));
                visit.pages.judge.note(Some(&visit.received), &rejection);
                seconds_to_wait = Some(seconds);
            }
            _ => return Err(rejection.into()),
        }
    }
    Ok((problems, seconds_to_wait))
}

async fn page(visit: &Visit<'_>, store: &Store, problems: Problems) -> Result<HttpResponse, Failed> {
    let account = visit.account()?;
    let this = visit.session.as_ref().map(|session| &session.id);
    let sessions = store.sessions.list(&account.id, visit.now()).await?;
    let sessions = sessions.into_iter().map(|session| SessionRow {
        this: this == Some(&session.id),
        id: session.id.to_string(),
        browser: session
            .user_agent
            .as_deref()
            .map_or_else(|| visit.text.words.unknown.to_owned(), |agent| browser_name(agent, visit.text)),
        address: session.address.unwrap_or_default(),
        since: Moment::of(session.created_at, visit.text),
        expires: Moment::of(session.expires_at, visit.text),
    });
    let keys = store.api_keys.count(&account.id).await?;
    let (status, frame) = visit.returned(Section::Account, problems);
    let page = AccountPage {
        frame,
        text: visit.text,
        id: account.id.to_string(),
        username: account.username.to_string(),
        name: account.name.clone(),
        email: account.email.clone().unwrap_or_default(),
        company: account.company.as_ref().map(ToString::to_string),
        role: role_name(account.role, visit.text),
        keys,
        sessions: sessions.collect(),
    };
    Ok(visit.page(status, &page))
}

/// `Firefox on Windows`; a program's own name for itself where it is no known browser.
fn browser_name(user_agent: &str, text: &Texts) -> String {
    // Most browsers name others before themselves, so the order counts.
    const BROWSERS: [(&str, &str); 6] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("HeadlessChrome/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 7] = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let known = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    match (known(&BROWSERS), known(&SYSTEMS)) {
        (Some(browser), Some(system)) => (text.account.browser_on)(browser, system),
        (_, _) => user_agent.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::texts::Language;

    #[test]
    fn a_browser_is_called_as_people_call_it() {
        let text = Language::English.texts();
        let edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36 Edg/130.0";
        assert_eq!(browser_name(edge, text), "Edge on Windows");
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";
        assert_eq!(browser_name(phone, text), "Safari on iPhone");
        assert_eq!(browser_name("curl/8.5.0", text), "curl/8.5.0");
    }
}
