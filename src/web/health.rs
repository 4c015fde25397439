//! Probes and metrics: `/health/live`, `/health/ready`, `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use crate::store::Store;
use crate::store::replay::ReplayStore;
use crate::web::judge::Judge;
use crate::web::request::{is_forwarded, peer_of};

/// Whether the server was told to end and waits until proxies have seen it.
#[derive(Clone, Default)]
pub struct Stopping(Arc<AtomicBool>);

impl Stopping {
    /// From now on it is not ready.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

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

/// The process can decide about requests, and will be there to do so: its database answers, nonces can be remembered,
/// and nobody told it to end.
pub async fn ready(store: Data<Store>, replay: Data<Arc<ReplayStore>>, stopping: Data<Stopping>) -> HttpResponse {
    let database = store.database.ping().await.is_ok();
    let replay = replay.is_ready();
    let word = |good| if good { "ready" } else { "unavailable" };
    let status = if stopping.has_begun() { "stopping" } else { word(database && replay) };
    let health = Health { status, database: word(database), replay: word(replay) };
    if status == "ready" { HttpResponse::Ok().json(health) } else { HttpResponse::ServiceUnavailable().json(health) }
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
