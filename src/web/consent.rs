//! `{p}/authorize`: who is asking for what, allow or deny, and the verifier (RFC 5849 §2.2).
//!
//! Nobody logged in: the login form first. What is decided, and by whom, is the provider's and the store's business.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::auth::session::Session;
use crate::auth::verdict::{Refusal, Rejection};
use crate::domain::client::Callback;
use crate::domain::scope::Scopes;
use crate::protocol::oauth;
use crate::protocol::parameters::{Parameters, Source};
use crate::protocol::request::ReceivedRequest;
use crate::provider::{Pending, Provider, redirect_of};
use crate::store::audit::{Actor, By};
use crate::store::delegations::Decided;
use crate::web::judge::Judge;
use crate::web::login;
use crate::web::response::status;

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Allow access?</title></head>
<body><main><h1>Allow {{ client }} to use your account?</h1>
<p>You are logged in as <strong>{{ username }}</strong>.</p>
<form method="post" action="{{ action }}">
<input type="hidden" name="csrf_token" value="{{ csrf_token }}">
<input type="hidden" name="oauth_token" value="{{ token }}">
<fieldset><legend>It may</legend>
{% for scope in scopes %}<p><label><input type="checkbox" name="scope" value="{{ scope }}" checked> {{ scope }}</label></p>
{% endfor %}<p>It will learn who you are.</p></fieldset>
<p>{% if destination.is_empty() %}You will get a code to type into the app.{% else %}You will be sent to {{ destination }}.{% endif %}</p>
<p><button name="decision" value="deny">Deny</button> <button name="decision" value="allow">Allow</button></p>
</form></main></body></html>"#
)]
struct ConsentPage<'a> {
    client: &'a str,
    username: &'a str,
    action: &'a str,
    csrf_token: &'a str,
    token: &'a str,
    scopes: Vec<&'a str>,
    destination: &'a str,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{ title }}</title></head>
<body><main><h1>{{ title }}</h1><p>{{ text }}</p>{% if !verifier.is_empty() %}<p><code id="verifier">{{ verifier }}</code></p>{% endif %}</main></body></html>"#
)]
struct MessagePage<'a> {
    title: &'a str,
    text: &'a str,
    verifier: &'a str,
}

/// `GET {p}/authorize?oauth_token=…`
pub async fn show(judge: Data<Arc<Judge>>, provider: Data<Arc<Provider>>, request: HttpRequest) -> HttpResponse {
    let origin = judge.rim.origin(&request);
    let received = match judge.rim.receive(&request, &origin) {
        Ok(received) => received,
        Err(refusal) => return judge.answers.refuse(None, None, &refusal.into()),
    };
    page(&judge, &provider, &received).await.unwrap_or_else(|rejection| refuse(&judge, &received, &rejection))
}

/// `POST {p}/authorize`: the login form, or the decision.
pub async fn submit(
    judge: Data<Arc<Judge>>,
    provider: Data<Arc<Provider>>,
    request: HttpRequest,
    mut payload: Payload,
) -> HttpResponse {
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
    decide(&judge, &provider, &received).await.unwrap_or_else(|rejection| refuse(&judge, &received, &rejection))
}

async fn page(judge: &Judge, provider: &Provider, received: &ReceivedRequest<'_>) -> Result<HttpResponse, Rejection> {
    let query = Parameters::of_form(received.query.unwrap_or_default(), Source::Query).unwrap_or_default();
    let token = login::field(&query, oauth::TOKEN);
    let pending = provider.pending(&token, received.arrived).await?;
    let Some(session) = judge.authenticator.sessions.current(received.headers.cookie, received.arrived).await? else {
        return Ok(login::show(judge, received, &target(received), "", "", ""));
    };
    if provider.is_remembered(&pending, &session.account.account).await? {
        let scopes = pending.credentials.scopes.clone();
        let decided = provider.authorize(&token, &session.account.account, &scopes, &by(received, &session)).await?;
        return Ok(leave(judge, &token, &decided));
    }
    Ok(consent(judge, received, &token, &pending, &session))
}

async fn decide(judge: &Judge, provider: &Provider, received: &ReceivedRequest<'_>) -> Result<HttpResponse, Rejection> {
    let form = received.form().unwrap_or_default();
    let fields = Parameters::of_form(form, Source::Body).unwrap_or_default();
    let session = judge.authenticator.sessions.current(received.headers.cookie, received.arrived).await?;
    let deciding = !login::field(&fields, "decision").is_empty();
    let session = match session {
        Some(session) if deciding => session,
        Some(_) | None => return Ok(log_in(judge, received, &fields).await),
    };
    if !session.admits(received) {
        return Err(Refusal::CrossSite("This form was not made for you, or is too old: go back to the app and begin again.").into());
    }
    let token = login::field(&fields, oauth::TOKEN);
    let (account, by) = (&session.account.account, by(received, &session));
    let decided = if login::field(&fields, "decision") == "allow" {
        let ticked = fields.iter().filter(|field| field.name == "scope").filter_map(|field| field.decoded().map(|it| it.into_owned()));
        let scopes = Scopes::parse_each(ticked).map_err(|_| Refusal::Target("a scope in the form can not be read"))?;
        provider.authorize(&token, account, &scopes, &by).await?
    } else {
        provider.deny(&token, account, &by).await?
    };
    Ok(leave(judge, &token, &decided))
}

/// Logs in and comes back to the same address, where the consent page waits.
async fn log_in(judge: &Judge, received: &ReceivedRequest<'_>, fields: &Parameters<'_>) -> HttpResponse {
    match login::log_in(judge, received, fields).await {
        Ok(begun) => HttpResponse::SeeOther()
            .insert_header((LOCATION, target(received)))
            .cookie(login::session_cookie(judge, &begun))
            .finish(),
        Err(rejection) => {
            judge.note(Some(received), &rejection);
            let username = login::field(fields, "username");
            login::show(judge, received, &target(received), "", &username, login::problem(&rejection))
        }
    }
}

fn consent(judge: &Judge, received: &ReceivedRequest<'_>, token: &str, pending: &Pending, session: &Session) -> HttpResponse {
    let (destination, form_action) = match &pending.credentials.callback {
        Callback::OutOfBand => (String::new(), None),
        Callback::Uri(uri) => (uri.host().unwrap_or(uri.scheme()).to_owned(), Some(uri.origin())),
    };
    let page = ConsentPage {
        client: &pending.client.client.name,
        username: session.account.account.username.as_str(),
        action: received.path,
        csrf_token: &session.csrf_token,
        token,
        scopes: pending.credentials.scopes.iter().map(|scope| scope.as_str()).collect(),
        destination: &destination,
    };
    judge.answers.page(StatusCode::OK, form_action.as_deref()).body(page.render().unwrap_or_default())
}

fn leave(judge: &Judge, token: &str, decided: &Decided) -> HttpResponse {
    if let Some(to) = redirect_of(token, decided) {
        return HttpResponse::SeeOther().insert_header((LOCATION, to.expose())).finish();
    }
    let page = match &decided.verifier {
        Some(verifier) => MessagePage {
            title: "Access allowed",
            text: "Type this code into the app:",
            verifier: verifier.expose(),
        },
        None => MessagePage { title: "Access denied", text: "The app gets no access. You can close this page.", verifier: "" },
    };
    judge.answers.page(StatusCode::OK, None).body(page.render().unwrap_or_default())
}

fn refuse(judge: &Judge, received: &ReceivedRequest<'_>, rejection: &Rejection) -> HttpResponse {
    judge.note(Some(received), rejection);
    let text = match &rejection.public {
        Refusal::OAuth(refusal) => format!("{}.", refusal.advice),
        Refusal::CrossSite(what) => (*what).to_owned(),
        _ => "This can not be done at the moment: try again.".to_owned(),
    };
    let page = MessagePage { title: "Nothing was allowed", text: &text, verifier: "" };
    let status = match status(&rejection.public) {
        // No scheme can be answered here: it is a page for people.
        StatusCode::UNAUTHORIZED => StatusCode::BAD_REQUEST,
        other => other,
    };
    judge.answers.page(status, None).body(page.render().unwrap_or_default())
}

fn by(received: &ReceivedRequest<'_>, session: &Session) -> By {
    By {
        who: Actor::account(&session.account.account),
        address: Some(received.client_address.to_string()),
        now: received.arrived,
    }
}

fn target(received: &ReceivedRequest<'_>) -> String {
    match received.query {
        Some(query) => format!("{}?{query}", received.path),
        None => received.path.to_owned(),
    }
}
