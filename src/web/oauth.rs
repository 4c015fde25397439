//! The endpoints that apps call: `request_token`, `access_token`, `revoke` (RFC 5849 §2.1, §2.3).
//!
//! Answers are form-encoded; JSON where `Accept` asks for it is a matter of refusals alone. The pages of the dance are
//! in `consent`.

use std::sync::Arc;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::auth::Authenticator;
use crate::auth::verdict::Rejection;
use crate::protocol::encoding::encode;
use crate::protocol::oauth;
use crate::protocol::request::{FORM_TYPE, ReceivedRequest};
use crate::provider::Provider;
use crate::web::judge::Judge;

/// A step of the dance that an app takes by itself.
#[derive(Clone, Copy)]
enum Step {
    Initiate,
    Exchange,
    Revoke,
}

/// `{p}/request_token`: temporary credentials.
pub async fn request_token(
    judge: Data<Arc<Judge>>,
    provider: Data<Arc<Provider>>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    answer(Step::Initiate, &judge, &provider, &request, payload).await
}

/// `{p}/access_token`: token credentials.
pub async fn access_token(
    judge: Data<Arc<Judge>>,
    provider: Data<Arc<Provider>>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    answer(Step::Exchange, &judge, &provider, &request, payload).await
}

/// `{p}/revoke`: ends the token that signs the request.
pub async fn revoke(
    judge: Data<Arc<Judge>>,
    provider: Data<Arc<Provider>>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    answer(Step::Revoke, &judge, &provider, &request, payload).await
}

async fn answer(
    step: Step,
    judge: &Judge,
    provider: &Provider,
    request: &HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let work = async |received: &ReceivedRequest<'_>| {
        let form = take(step, judge, provider, received).await?;
        let mut answer = HttpResponse::Ok();
        answer.insert_header((CACHE_CONTROL, "no-store")).content_type(FORM_TYPE);
        Ok(answer.body(form))
    };
    // These endpoints have no other use for a body than its parameters and its hash: it is always read.
    judge.receive_whole(request, payload, work, |received, rejection| refuse(judge, received, rejection)).await
}

async fn take(
    step: Step,
    judge: &Judge,
    provider: &Provider,
    received: &ReceivedRequest<'_>,
) -> Result<String, Rejection> {
    Authenticator::check_alone(received)?;
    let verifier = &judge.authenticator.oauth;
    match step {
        Step::Initiate => {
            let issued = provider.initiate(verifier, received).await?;
            Ok(form(&[
                (oauth::TOKEN, issued.token.expose()),
                (oauth::TOKEN_SECRET, issued.secret.expose()),
                (oauth::CALLBACK_CONFIRMED, "true"),
            ]))
        }
        Step::Exchange => {
            let issued = provider.exchange(verifier, received).await?;
            Ok(form(&[
                (oauth::TOKEN, issued.token.expose()),
                (oauth::TOKEN_SECRET, issued.secret.expose()),
                (oauth::SCOPE, &issued.live.to_string()),
                ("username", issued.username.as_str()),
            ]))
        }
        Step::Revoke => {
            provider.revoke(verifier, received).await?;
            Ok(String::new())
        }
    }
}

fn refuse(judge: &Judge, received: Option<&ReceivedRequest<'_>>, rejection: &Rejection) -> HttpResponse {
    judge.note(received, rejection);
    judge.answers.refuse_oauth(received, rejection)
}

fn form(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    pairs.join("&")
}
