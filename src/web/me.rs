//! `/v2` and `/v2/me`: the caller's identity, with any method.
//!
//! The one page of the protected API that is ours. It goes the way that every request under a route goes.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::web::{Data, Payload};
use serde::Serialize;

use crate::auth::verdict::{Identity, Refusal};
use crate::web::cors::readable;
use crate::web::judge::{Judge, Judged};

/// The identity as JSON; clients are written against these names and their order.
#[derive(Serialize)]
pub struct Body<'a> {
    status: u16,
    account: Owner<'a>,
    user: User<'a>,
    external_id: Option<&'a str>,
    company: Option<&'a str>,
    client: Option<App<'a>>,
    credential: &'static str,
    scopes: Vec<&'a str>,
    impersonated_by: Option<&'a str>,
}

#[derive(Serialize)]
struct Owner<'a> {
    id: &'a str,
    username: &'a str,
}

#[derive(Serialize)]
struct User<'a> {
    id: &'a str,
    name: &'a str,
    email: Option<&'a str>,
    /// Countersign keeps no pictures.
    avatar_url: Option<&'a str>,
}

#[derive(Serialize)]
struct App<'a> {
    client_key: &'a str,
    name: &'a str,
}

/// Answers the caller's identity.
pub async fn me(judge: Data<Arc<Judge>>, request: HttpRequest, payload: Payload) -> HttpResponse {
    match judge.admit(&request, payload).await {
        Ok(Judged { identity, route, .. }) => readable(answer(&Body::of(&identity)), route, &request),
        Err(refused) => refused,
    }
}

/// As `HttpResponse::json` does, but with room for the whole text from the beginning.
fn answer(body: &Body<'_>) -> HttpResponse {
    let mut text = Vec::with_capacity(512);
    match serde_json::to_writer(&mut text, body) {
        // Also where no Authorization header tells caches that it is somebody's own (RFC 9111 §3.5).
        Ok(()) => {
            HttpResponse::Ok().content_type(ContentType::json()).insert_header((CACHE_CONTROL, "no-store")).body(text)
        }
        Err(error) => HttpResponse::from_error(error),
    }
}

/// A path under a route, with nothing of ours behind it: the caller is judged all the same.
pub async fn elsewhere(judge: Data<Arc<Judge>>, request: HttpRequest, payload: Payload) -> HttpResponse {
    match judge.admit(&request, payload).await {
        Ok(Judged { route, .. }) => {
            let nothing = judge.answers.refuse(None, Some(route), &Refusal::NoUpstream.into());
            readable(nothing, route, &request)
        }
        Err(refused) => refused,
    }
}

impl<'a> Body<'a> {
    /// Who that is.
    pub fn of(identity: &'a Identity) -> Self {
        let account = identity.account();
        Self {
            status: 200,
            account: Owner { id: account.id.as_str(), username: account.username.as_str() },
            user: User {
                id: account.id.as_str(),
                name: &account.name,
                email: account.email.as_deref(),
                avatar_url: None,
            },
            external_id: account.external_id.as_deref(),
            company: account.company.as_ref().map(|company| company.as_str()),
            client: identity
                .client()
                .map(|client| App { client_key: client.client.client_key.as_str(), name: &client.client.name }),
            credential: identity.credential().as_str(),
            scopes: identity.scopes().names().collect(),
            impersonated_by: identity.impersonator().map(|issuer| issuer.as_str()),
        }
    }
}
