//! Composition: settings become components, components become a server. Nothing is decided here about requests.
//!
//! Reading order: [`Components`] are made once for the process; [`routes`] lists every path that is ours, and hands the
//! rest to the gateway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpServer};
use anyhow::{Context as _, bail};

use crate::auth::Authenticator;
use crate::auth::basic::Basic;
use crate::auth::client_key::ClientKeyNames;
use crate::auth::hashing::Passwords;
use crate::auth::oauth::OAuthVerifier;
use crate::auth::session::Sessions;
use crate::auth::throttle::Throttle;
use crate::config::{Configuration, Durability, SecretText};
use crate::domain::client::SignatureMethods;
use crate::policy::Policy;
use crate::provider::{Provider, ProviderSettings};
use crate::store::Store;
use crate::store::connection::{Database, DatabaseSettings, DatabaseUrl};
use crate::store::delegations::ExchangeLimits;
use crate::store::replay::{ReplaySettings, ReplayStore};
use crate::store::vault::{MasterKey, Vault};
use crate::time::{Clock, Lifetime};
use crate::web::judge::Judge;
use crate::web::metrics::Metrics;
use crate::web::request::Rim;
use crate::web::response::Answers;
use crate::web::{health, me, oauth};

/// How long a connection may stay open between two requests.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long requests that are under way may take to end when the server is told to stop.
const GRACE_SECONDS: u64 = 10;

/// All that handlers are given, each as actix data of its own.
#[derive(Clone)]
pub struct Components {
    /// The way of every request.
    pub judge: Arc<Judge>,
    /// The dance.
    pub provider: Arc<Provider>,
    /// The remembered nonces.
    pub replay: Arc<ReplayStore>,
    /// Accounts, clients, keys and what was delegated.
    pub store: Store,
}
