//! `/login` and `/logout`.
//!
//! The form is bound to the browser by a cookie of its own, so that nobody can log a visitor in to an account that
//! isn't theirs. `next` leads to a path of this server and nowhere else.

use std::sync::Arc;

use actix_web::cookie::{Cookie, SameSite, time::Duration};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Serialize;

use crate::auth::session::{self, NewSession};
use crate::auth::verdict::{Refusal, Rejection};
use crate::domain::credentials::Secret;
use crate::protocol::parameters::{Parameters, Source};
use crate::protocol::request::ReceivedRequest;
use crate::store::audit::{Actor, By};
use crate::web::judge::Judge;

/// The login form; the authorize page shows it too.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Log in</title></head>
<body><main><h1>Log in</h1>
{% if !problem.is_empty() %}<p role="alert">{{ problem }}</p>{% endif %}
<form method="post" action="{{ action }}">
<input type="hidden" name="csrf_token" value="{{ csrf_token }}">
<input type="hidden" name="next" value="{{ next }}">
<p><label for="username">Username</label> <input id="username" name="username" autocomplete="username" required value="{{ username }}"></p>
<p><label for="password">Password</label> <input id="password" name="password" type="password" autocomplete="current-password" required></p>
<p><button>Log in</button></p>
</form></main></body></html>"#
)]
pub struct LoginPage<'a> {
    /// Where the form goes.
    pub action: &'a str,
    /// Of the visitor's cookie.
    pub csrf_token: &'a str,
    /// Where to go afterwards.
    pub next: &'a str,
    /// What was typed before.
    pub username: &'a str,
    /// What was wrong, or nothing.
    pub problem: &'a str,
}

/// Shows the login form and sets the visitor's cookie.
pub fn show(judge: &Judge, received: &ReceivedRequest<'_>, action: &str, next: &str, username: &str, problem: &str) -> HttpResponse {
    let known = received.headers.cookie.and_then(|cookies| session::cookie(cookies, session::VISITOR_COOKIE));
    let visitor = known.map_or_else(session::new_visitor, str::to_owned);
    let csrf_token = session::csrf_token(&visitor);
    let page = LoginPage { action, csrf_token: &csrf_token, next, username, problem };
    let status = if problem.is_empty() { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    let mut answer = judge.answers.page(status, None);
    answer.cookie(cookie(judge, session::VISITOR_COOKIE, visitor, None));
    answer.body(page.render().unwrap_or_default())
}

/// Logs in with the fields of a form.
///
/// # Errors
/// The sentence to show, or the refusal where none helps.
pub async fn log_in(judge: &Judge, received: &ReceivedRequest<'_>, fields: &Parameters<'_>) -> Result<NewSession, Rejection> {
    let visitor = received.headers.cookie.and_then(|cookies| session::cookie(cookies, session::VISITOR_COOKIE));
    let sent = field(fields, "csrf_token");
    if !visitor.is_some_and(|visitor| session::is_csrf_token(&session::csrf_token(visitor), &sent)) {
        return Err(Refusal::CrossSite("The form was open too long, or cookies are off: try again.").into());
    }
    let (username, password) = (field(fields, "username"), Secret::new(field(fields, "password")));
    let authenticator = &judge.authenticator;
    authenticator.sessions.log_in(&authenticator.basic, received, &username, &password).await
}

/// The sentence for a login that failed.
pub fn problem(rejection: &Rejection) -> &'static str {
    match &rejection.public {
        Refusal::BadCredentials { .. } => "Username or password is wrong.",
        Refusal::Throttled { .. } => "Too many failed attempts: wait a minute and try again.",
        Refusal::CrossSite(what) => what,
        _ => "Logging in does not work at the moment: try again.",
    }
}

/// A cookie of ours: HttpOnly, SameSite=Lax, Secure under https.
pub fn cookie(judge: &Judge, name: &'static str, value: String, lifetime: Option<crate::time::Lifetime>) -> Cookie<'static> {
    let mut cookie = Cookie::build(name, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(judge.answers.https())
        .finish();
    if let Some(lifetime) = lifetime {
        cookie.set_max_age(Duration::seconds(i64::from(lifetime.seconds())));
    }
    cookie
}

/// The cookie of a session that has just begun.
pub fn session_cookie(judge: &Judge, begun: &NewSession) -> Cookie<'static> {
    cookie(judge, session::COOKIE, begun.cookie.expose().to_owned(), Some(begun.lifetime))
}

/// The first field of that name; empty when there is none.
pub fn field(fields: &Parameters<'_>, name: &str) -> String {
    fields.iter().find(|field| field.name == name).and_then(|field| field.decoded()).unwrap_or_default().into_owned()
}

/// `GET /login`.
pub async fn form(judge: Data<Arc<Judge>>, request: HttpRequest) -> HttpResponse {
    let origin = judge.rim.origin(&request);
    let received = match judge.rim.receive(&request, &origin) {
        Ok(received) => received,
        Err(refusal) => return judge.answers.refuse(None, None, &refusal.into()),
    };
    let query = Parameters::of_form(received.query.unwrap_or_default(), Source::Query).unwrap_or_default();
    show(&judge, &received, "/login", &field(&query, "next"), "", "")
}

/// `POST /login`.
pub async fn submit(judge: Data<Arc<Judge>>, request: HttpRequest, mut payload: Payload) -> HttpResponse {
    let origin = judge.rim.origin(&request);
    let mut received = match judge.rim.receive(&request, &origin) {
        Ok(received) => received,
        Err(refusal) => return judge.answers.refuse(None, None, &refusal.into()),
    };
    let body = match judge.rim.read_body(&request, &mut payload).await {
        Ok(body) => body,
        Err(refusal) => return judge.answers.refuse(Some(&received), None, &refusal.into()),
    };
    received.body = Some(&body);
    let fields = Parameters::of_form(received.form().unwrap_or_default(), Source::Body).unwrap_or_default();
    if received.query.is_some_and(|query| query.split('&').any(|pair| pair == "response=json")) {
        return member_hash(&judge, &received, &fields).await;
    }
    let next = field(&fields, "next");
    match log_in(&judge, &received, &fields).await {
        Ok(begun) => HttpResponse::SeeOther()
            .insert_header((LOCATION, local_path(&next)))
            .cookie(session_cookie(&judge, &begun))
            .finish(),
        Err(rejection) => {
            judge.note(Some(&received), &rejection);
            show(&judge, &received, "/login", &next, &field(&fields, "username"), problem(&rejection))
        }
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
async fn member_hash(judge: &Judge, received: &ReceivedRequest<'_>, fields: &Parameters<'_>) -> HttpResponse {
    let (company, username) = (field(fields, "company"), field(fields, "username"));
    let password = Secret::new(field(fields, "password"));
    let authenticator = &judge.authenticator;
    let begun = authenticator.sessions.begin_member(&authenticator.basic, received, &company, &username, &password).await;
    match begun {
        Ok((hash, account)) => HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Member {
            company: &company,
            member: account.account.username.as_str(),
            hash: hash.expose(),
        }),
        Err(rejection) => {
            judge.note(Some(received), &rejection);
            judge.answers.refuse(Some(received), None, &rejection)
        }
    }
}

/// `POST /logout`.
pub async fn logout(judge: Data<Arc<Judge>>, request: HttpRequest, mut payload: Payload) -> HttpResponse {
    let origin = judge.rim.origin(&request);
    let Ok(mut received) = judge.rim.receive(&request, &origin) else { return HttpResponse::BadRequest().finish() };
    let body = judge.rim.read_body(&request, &mut payload).await.unwrap_or_default();
    received.body = Some(&body);
    let sessions = &judge.authenticator.sessions;
    if let Ok(Some(session)) = sessions.current(received.headers.cookie, received.arrived).await
        && session.admits(&received)
    {
        let by = By {
            who: Actor::account(&session.account.account),
            address: Some(received.client_address.to_string()),
            now: received.arrived,
        };
        if let Err(rejection) = sessions.log_out(&session, &by).await {
            return judge.answers.refuse(Some(&received), None, &rejection);
        }
    }
    let mut gone = cookie(&judge, session::COOKIE, String::new(), None);
    gone.make_removal();
    HttpResponse::SeeOther().insert_header((LOCATION, "/login")).cookie(gone).finish()
}

/// `next` if it is a path of this server, else `/`.
pub fn local_path(next: &str) -> &str {
    let local = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && next.bytes().all(|octet| octet.is_ascii_graphic());
    if local { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_leads_nowhere_else() {
        assert_eq!(local_path("/oauth/authorize?oauth_token=x"), "/oauth/authorize?oauth_token=x");
        for next in ["", "https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nb", "/a\tb"] {
            assert_eq!(local_path(next), "/", "{next:?}");
        }
    }
}
