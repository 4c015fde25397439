//! `POST /api/auth/jwt` and `/.well-known/jwks.json`: tokens of our own, and what anybody may check them by.

use std::sync::Arc;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};

use crate::auth::signing_keys::SigningKey;
use crate::auth::verdict::{Admission, Identity, Refusal, Rejection};
use crate::config::{BodyHashRule, ClientKeyRule, Way};
use crate::domain::credentials::Secret;
use crate::protocol::request::ReceivedRequest;
use crate::web::judge::Judge;

/// The JSON form of a token request.
#[derive(Deserialize)]
struct Asked {
    username: String,
    password: String,
}

/// The answer.
#[derive(Serialize)]
struct Issued {
    token: String,
    token_type: &'static str,
    expires_in: u32,
}

/// `POST /api/auth/jwt`: by Basic, or by JSON with `username` and `password`; a password or an API key.
pub async fn issue(judge: Data<Arc<Judge>>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let issue = async |received: &ReceivedRequest<'_>| {
        let issued = make(&judge, received).await?;
        Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(issued))
    };
    judge.receive_whole(&request, payload, issue, |received, rejection| judge.refuse(received, None, rejection)).await
}

async fn make(judge: &Judge, received: &ReceivedRequest<'_>) -> Result<Issued, Rejection> {
    let identity = prove(judge, received).await?;
    if identity.is_by_login() {
        return Err(Refusal::MethodNotAdmitted { sent: "A login's secret".to_owned() }.into());
    }
    let issued = judge.authenticator.tokens.issue(&identity, received.arrived);
    let issued = issued.map_err(|error| Rejection::because(Refusal::Unavailable, error.to_string()))?;
    Ok(Issued { token: issued.token, token_type: "Bearer", expires_in: issued.expires_in })
}

async fn prove(judge: &Judge, received: &ReceivedRequest<'_>) -> Result<Identity, Rejection> {
    // A password's client key may come here, or later beside the token.
    let admission = Admission {
        ways: vec![Way::Basic, Way::ApiKey],
        client_key: ClientKeyRule::Optional,
        body_hash: BodyHashRule::Report,
    };
    let body = received.body.unwrap_or_default();
    if let Ok(Asked { username, password }) = serde_json::from_slice(body) {
        return judge.authenticator.authenticate_as(received, &admission, &username, Secret::new(password)).await;
    }
    let outcome = judge.authenticator.authenticate(received, &admission).await;
    outcome.map_err(|rejection| match rejection.public {
        Refusal::NoCredential if !body.is_empty() => {
            Refusal::Target("the body must be JSON with the texts username and password").into()
        }
        _ => rejection,
    })
}

/// `/.well-known/jwks.json` (RFC 7517 §5).
pub async fn jwks(key: Data<Arc<SigningKey>>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .content_type("application/jwk-set+json")
        .json(serde_json::json!({ "keys": [key.jwk()] }))
}
