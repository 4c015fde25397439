//! The management API: what the command line does, as REST under `/api/v1`, and its description at `/api/openapi.json`.
//!
//! In reading order: one table of [`operations`], from which routes and description are both made; how a [`call`] comes
//! in, with who makes it and what it says; then one file for each kind of thing.
//!
//! Deliberately absent: import and export, which hold every secret and stay with whoever has the machine; and deleting
//! companies, which the command line can't do either.

pub mod operations;
pub mod failure;
pub mod fields;
pub mod call;
pub mod accounts;
pub mod companies;
pub mod clients;
pub mod keys;
pub mod delegations;
pub mod audit;
pub mod openapi;

use std::sync::Arc;

use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use self::call::{Call, House, Settings};
use self::failure::Failed;
use self::operations::{Action, OPERATIONS, Operation};
use crate::auth::impersonation::Impersonations;
use crate::config::Configuration;
use crate::protocol::request::ReceivedRequest;
use crate::store::Store;
use crate::web::judge::Judge;
use crate::web::place::{Place, with_allow};
use crate::web::response::failure;

/// What the path of every operation begins with.
const BASE: &str = "/api/v1";

/// Registers every operation of the table. `base`: what our paths begin with, empty or the reserved prefix.
pub fn routes(service: &mut ServiceConfig, configuration: &Configuration, base: &str) {
    let settings = Arc::new(Settings::new(configuration));
    let mut paths: Vec<&str> = OPERATIONS.iter().map(|operation| operation.path).collect();
    paths.dedup();
    // Patterns with a name in them are slow to match: only what begins like them is held against them.
    let mut scope = web::scope(&format!("{base}{BASE}"));
    for path in paths {
        let mut place = Place::at(path.strip_prefix(BASE).unwrap_or(path));
        for operation in OPERATIONS.iter().filter(|operation| operation.path == path) {
            let settings = Arc::clone(&settings);
            let handler = move |judge, store, impersonations, request, payload| {
                serve(operation, Arc::clone(&settings), judge, store, impersonations, request, payload)
            };
            place = place.on(method(operation), handler);
        }
        scope = scope.service(place.or(no_such_method));
    }
    service.service(scope);
    let prefixes: Vec<&str> = configuration.oauth.prefixes.iter().map(|prefix| prefix.as_str()).collect();
    let description = web::Bytes::from(openapi::description(base, &prefixes));
    let describe = move || {
        let description = description.clone();
        async move { HttpResponse::Ok().content_type("application/json").body(description) }
    };
    service.service(Place::at(format!("{base}/api/openapi.json")).get(describe).or(no_such_method));
}

/// The description of a server with default settings, as `countersign openapi` prints it.
pub fn openapi_json() -> String {
    openapi::description("", &["/oauth"])
}

/// What answers a method that a path for programs has not.
pub async fn no_such_method(request: HttpRequest) -> HttpResponse {
    let answer = failure(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This path has no such method.");
    with_allow(answer, &request)
}

fn method(operation: &Operation) -> Method {
    Method::from_bytes(operation.method.as_bytes()).unwrap_or(Method::GET)
}

async fn serve(
    operation: &'static Operation,
    settings: Arc<Settings>,
    judge: Data<Arc<Judge>>,
    store: Data<Store>,
    impersonations: Data<Arc<Impersonations>>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let work = async |received: &ReceivedRequest<'_>| {
        // The one parameter that a path has, decoded.
        let named = request.match_info().load::<String>().unwrap_or_default();
        let house = House { settings: &settings, judge: &judge, store: &store, impersonations: &impersonations };
        let answer = match Call::enter(operation, house, received, named).await {
            Ok(call) => run(operation.action, &call).await,
            Err(failed) => Err(failed),
        };
        answer.or_else(Failed::answer)
    };
    let management = Some(judge.policy.management());
    judge
        .receive_whole(&request, payload, work, |received, rejection| judge.refuse(received, management, rejection))
        .await
}

async fn run(action: Action, call: &Call<'_>) -> Result<HttpResponse, Failed> {
    match action {
        Action::Impersonate => accounts::impersonate(call).await,
        Action::ListAccounts => accounts::list(call).await,
        Action::CreateAccount => accounts::create(call).await,
        Action::ShowAccount => accounts::show(call).await,
        Action::UpdateAccount => accounts::update(call).await,
        Action::DeleteAccount => accounts::delete(call).await,
        Action::LockAccount | Action::DisableAccount | Action::EnableAccount => accounts::stand(call, action).await,
        Action::SetPassword => accounts::set_password(call).await,
        Action::ListCompanies => companies::list(call).await,
        Action::CreateCompany => companies::create(call).await,
        Action::ShowCompany => companies::show(call).await,
        Action::ListClients => clients::list(call).await,
        Action::CreateClient => clients::create(call).await,
        Action::ShowClient => clients::show(call).await,
        Action::UpdateClient => clients::update(call).await,
        Action::DeleteClient => clients::delete(call).await,
        Action::RotateSecret => clients::rotate_secret(call).await,
        Action::DisableClient | Action::EnableClient => clients::stand(call, action).await,
        Action::ListKeys => keys::list(call).await,
        Action::CreateKey => keys::create(call).await,
        Action::ShowKey => keys::show(call).await,
        Action::RegenerateKey => keys::regenerate(call).await,
        Action::DeleteKey => keys::delete(call).await,
        Action::ListTokens => delegations::tokens(call).await,
        Action::ShowToken => delegations::token(call).await,
        Action::RevokeToken => delegations::revoke_token(call).await,
        Action::ListGrants => delegations::grants(call).await,
        Action::ShowGrant => delegations::grant(call).await,
        Action::RevokeGrant => delegations::revoke_grant(call).await,
        Action::RevokeGrantOf => delegations::revoke_grant_of(call).await,
        Action::ListAudit => audit::list(call).await,
    }
}
