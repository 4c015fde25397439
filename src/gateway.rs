//! In front of the operator's API: the built-in reverse proxy, and the answers to other proxies that ask first.
//!
//! In reading order: what never reaches the upstream (`withheld`), what it is told about the caller (`identity_headers`,
//! `assertion`), the bodies and the connections to it (`upload`, `upstream`, `tunnel`) and the proxy over them; then what other proxies ask
//! (`metadata`), how one client request gets one verdict (`shared_verdicts`), and the endpoints. Who is calling is
//! judged elsewhere; here it is passed on.

pub mod withheld;
pub mod identity_headers;
pub mod assertion;
pub mod upload;
pub mod upstream;
pub mod tunnel;
pub mod proxy;
pub mod metadata;
pub mod shared_verdicts;
pub mod authz;

use std::sync::Arc;

use actix_web::web::{self, Data, ServiceConfig};

use crate::auth::signing_keys::SigningKey;
use crate::config::Configuration;
use crate::gateway::assertion::Assertions;
use crate::gateway::authz::Authz;
use crate::gateway::proxy::Proxy;
use crate::gateway::upstream::UpstreamError;
use crate::time::Lifetime;

/// The gateway of one server.
pub struct Gateway {
    authz: Arc<Authz>,
    proxy: Option<Proxy>,
}

impl Gateway {
    /// From the settings; `key` signs assertions in the name of `issuer`, if there shall be any.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub fn new(configuration: &Configuration, issuer: String, key: &Arc<SigningKey>) -> Result<Self, UpstreamError> {
        let lifetime = Lifetime::from_seconds(configuration.gateway.assertion_ttl_seconds);
        let assertions =
            configuration.gateway.assertion.then(|| Arc::new(Assertions::new(Arc::clone(key), issuer, lifetime)));
        Ok(Self {
            authz: Arc::new(Authz::new(configuration, assertions.clone())),
            proxy: Proxy::new(configuration, assertions)?,
        })
    }

    /// Adds the endpoints that other proxies ask, before anybody else's: they are asked for every request.
    pub fn questions(&self, service: &mut ServiceConfig) {
        service
            .app_data(Data::new(Arc::clone(&self.authz)))
            .service(web::resource("/authz/nginx").to(authz::nginx))
            .service(web::resource("/authz/forward").to(authz::forward))
            .service(web::scope("/authz/envoy").default_service(web::to(authz::envoy)));
    }

    /// Where there is an upstream, every path that nobody else takes is the proxy's; to be called last, on each worker thread.
    pub fn rest(&self, service: &mut ServiceConfig) {
        if let Some(proxy) = &self.proxy {
            service.app_data(Data::new(proxy.for_this_thread())).default_service(web::to(proxy::forward));
        }
    }
}
