//! Probes and metrics: `/health/live`, `/health/ready`, `/metrics`.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use crate::store::Store;
use crate::store::replay::ReplayStore;
use crate::web::judge::Judge;
use crate::web::request::{is_forwarded, peer_of};

#[derive(Serialize)]
struct Health {
    status: &'static str,
    database: &'static str,
    replay: &'static str,
}

/// The process runs and answers.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "live" }))
}

/// The process can decide about requests: its database answers and nonces can be remembered.
pub async fn ready(store: Data<Store>, replay: Data<Arc<ReplayStore>>) -> HttpResponse {
    let database = store.database.ping().await.is_ok();
    let replay = replay.is_ready();
    let word = |good| if good { "ready" } else { "unavailable" };
    let health = Health { status: word(database && replay), database: word(database), replay: word(replay) };
    if database && replay { HttpResponse::Ok().json(health) } else { HttpResponse::ServiceUnavailable().json(health) }
}

/// Counters, for loopback only: who else may see them gets a listener of its own (`metrics.listen`). A proxy on this
/// machine is loopback too, but speaks for others.
pub async fn metrics(request: HttpRequest, judge: Data<Arc<Judge>>, replay: Data<Arc<ReplayStore>>) -> HttpResponse {
    if is_forwarded(&request) || !peer_of(&request).is_loopback() {
        return HttpResponse::Forbidden().body("metrics are for loopback: set metrics.listen\n");
    }
    exposition(&judge, &replay)
}

/// The text of all counters.
pub fn exposition(judge: &Judge, replay: &ReplayStore) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(judge.metrics.render(&replay.statistics(), judge.authenticator.basic.passwords().hashed()))
}
