//! `[[alias]]`: endpoints of ours at other paths, with other names in the answer.
//!
//! An alias lies under a route like every path of the operator's API: that route says by which credentials, with which
//! scopes, hosts and TLS. Methods that the endpoint has not, go on to the API behind us.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{self, Data, Path, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, guard};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::auth::impersonation::{Impersonation, Impersonations};
use crate::auth::verdict::Rejection;
use crate::config::alias::{AliasSettings, AliasTarget};
use crate::shape::KeyShape;
use crate::web::cors::readable;
use crate::web::judge::{Judge, Judged};
use crate::web::me::Body;

/// The names that an answer has at this path.
#[derive(Clone)]
struct Names(Arc<[(String, String)]>);

/// Adds every alias, at its path with and without a final slash.
pub fn configure(service: &mut ServiceConfig, aliases: &[AliasSettings]) {
    for alias in aliases {
        let fields = alias.fields.iter().map(|(name, ours)| (name.clone(), ours.as_str().to_owned()));
        let names = Data::new(Names(fields.collect()));
        for path in [alias.path.as_str().to_owned(), format!("{}/", alias.path.as_str())] {
            let resource = web::resource(path).app_data(names.clone());
            match alias.to {
                AliasTarget::Identity => service.service(resource.to(identity)),
                AliasTarget::MemberTokens => service.service(resource.guard(guard::Post()).to(member_tokens)),
            };
        }
    }
}

async fn identity(judge: Data<Arc<Judge>>, names: Data<Names>, request: HttpRequest, payload: Payload) -> HttpResponse {
    match judge.admit(&request, payload).await {
        Ok(Judged { identity, route, .. }) => {
            readable(names.answer(StatusCode::OK, &Body::of(&identity)), route, &request)
        }
        Err(refused) => refused,
    }
}

/// Impersonation. A body is not looked at: the path names the member.
async fn member_tokens(
    judge: Data<Arc<Judge>>,
    impersonations: Data<Arc<Impersonations>>,
    names: Data<Names>,
    member: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let judged = match judge.admit(&request, payload).await {
        Ok(judged) => judged,
        Err(refused) => return refused,
    };
    match make(&impersonations, &judged, &member, judge.rim.client_address(&request)).await {
        Ok(Impersonation { key, member, private_key }) => {
            let made = KeyShape::issued(&key, &member, private_key, judged.arrived);
            let answer = names.answer(StatusCode::CREATED, &made);
            readable(answer, judged.route, &request)
        }
        Err(rejection) => {
            judge.note(None, &rejection);
            readable(judge.answers.refuse(None, Some(judged.route), &rejection), judged.route, &request)
        }
    }
}

async fn make(
    impersonations: &Impersonations,
    judged: &Judged<'_>,
    member: &str,
    address: IpAddr,
) -> Result<Impersonation, Rejection> {
    impersonations.impersonate(&judged.identity, member, address, judged.arrived).await
}

impl Names {
    /// The answer under these names: only the named fields, or all under ours where none is named.
    fn answer(&self, status: StatusCode, body: &impl Serialize) -> HttpResponse {
        let mut answer = HttpResponse::build(status);
        answer.insert_header((CACHE_CONTROL, "no-store"));
        if self.0.is_empty() {
            return answer.json(body);
        }
        match serde_json::to_value(body) {
            Ok(body) => answer.json(self.rename(&body)),
            Err(_) => HttpResponse::InternalServerError().finish(),
        }
    }

    /// What our answer does not have is null.
    fn rename(&self, body: &Value) -> Map<String, Value> {
        self.0.iter().map(|(name, ours)| (name.clone(), body.get(ours).cloned().unwrap_or(Value::Null))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(pairs: &[(&str, &str)]) -> Names {
        Names(pairs.iter().map(|(name, ours)| ((*name).to_owned(), (*ours).to_owned())).collect())
    }

    #[test]
    fn only_the_named_fields_are_answered_under_their_names() {
        let body = json!({ "public_key": "p", "private_key": "s", "hint": "x" });
        let renamed = names(&[("publicKey", "public_key"), ("expiration", "expires_at")]).rename(&body);
        assert_eq!(Value::Object(renamed), json!({ "publicKey": "p", "expiration": null }));
    }

    #[actix_web::test]
    async fn without_names_the_answer_is_as_it_is() {
        let answer = names(&[]).answer(StatusCode::CREATED, &json!({ "public_key": "p" }));
        assert_eq!(answer.status(), StatusCode::CREATED);
        let body = actix_web::body::to_bytes(answer.into_body()).await.unwrap();
        assert_eq!(body, r#"{"public_key":"p"}"#);
    }
}
