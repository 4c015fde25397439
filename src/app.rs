//! Composition: settings become components, components become a server. Nothing is decided here about requests.
//!
//! Reading order: [`Components`] are made once for the process, [`routes`] lists every path that is ours, [`start`]
//! listens.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::rt::signal::unix::{Signal, SignalKind, signal};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpServer};
use anyhow::Context as _;

use crate::api::no_such_method;
use crate::auth::Authenticator;
use crate::auth::basic::Basic;
use crate::auth::client_key::ClientKeyNames;
use crate::auth::digest::Digest;
use crate::auth::hashing::Passwords;
use crate::auth::impersonation::Impersonations;
use crate::auth::inspection::Inspection;
use crate::auth::jwt::Tokens;
use crate::auth::oauth::OAuthVerifier;
use crate::auth::session::Sessions;
use crate::auth::signing_keys::SigningKey;
use crate::auth::throttle::Throttle;
use crate::config::{Configuration, Network};
use crate::domain::client::SignatureMethods;
use crate::explorer::Explorer;
use crate::gateway::Gateway;
use crate::policy::Policy;
use crate::provider::{Provider, ProviderSettings};
use crate::store::Store;
use crate::store::delegations::ExchangeLimits;
use crate::store::error::StoreError;
use crate::store::replay::ReplayStore;
use crate::store::watch::Watch;
use crate::time::{Clock, Lifetime, Timestamp};
use crate::web::health::Stopping;
use crate::web::judge::Judge;
use crate::web::metrics::Metrics;
use crate::web::place::Place;
use crate::web::request::Rim;
use crate::web::response::Answers;
use crate::web::tls::{Certificate, LOOK_EVERY};
use crate::web::visit::Pages;
use crate::web::{alias, consent, health, me, oauth, tokens};
use crate::{logging, opening};

/// How long a connection may stay open between two requests.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a connection is kept whose request was answered before it was read to its end.
const LINGER: Duration = Duration::from_secs(1);

/// How long requests that are under way may take to end when the server is told to stop.
const GRACE_SECONDS: u64 = 10;

/// How long a request waits for a database that hangs before it is 503.
const DATABASE_PATIENCE: Duration = Duration::from_secs(8);

/// How long the last of it may take when the server ends.
const LAST_USES: Duration = Duration::from_secs(2);

/// How often what was used is written down, and how often what ended is cleaned up.
const WRITE_USES_EVERY: Duration = Duration::from_secs(10);
const CLEAN_UP_EVERY: Duration = Duration::from_secs(300);

/// How often it is said that log lines were lost.
const CONFESS_EVERY: Duration = Duration::from_secs(5);

/// All that handlers are given, each as actix data of its own.
#[derive(Clone)]
pub struct Components {
    /// The way of every request.
    pub judge: Arc<Judge>,
    /// The dance.
    pub provider: Arc<Provider>,
    /// What people see.
    pub pages: Arc<Pages>,
    /// What tokens and assertions are signed with.
    pub signing_key: Arc<SigningKey>,
    /// The remembered nonces.
    pub replay: Arc<ReplayStore>,
    /// Accounts, clients, keys and what was delegated.
    pub store: Store,
    /// Keys for members of one's company.
    pub impersonations: Arc<Impersonations>,
    /// What stands in front of the operator's API.
    pub gateway: Arc<Gateway>,
    /// What describes the APIs.
    pub explorer: Arc<Explorer>,
    /// What proxies are told before connections end.
    pub stopping: Stopping,
    /// Hears what other processes change; ends with the last clone.
    _watch: Arc<Watch>,
}

/// Serves until the process is told to stop.
///
/// # Errors
/// What keeps the server from starting: settings, database, port.
pub fn serve(configuration: Configuration) -> anyhow::Result<()> {
    // Outside: what is dropped with the system has something to say too.
    let logs = logging::start();
    let mut losses = logs.losses();
    actix_web::rt::System::new().block_on(async move {
        actix_web::rt::spawn(async move {
            loop {
                actix_web::rt::time::sleep(CONFESS_EVERY).await;
                losses.confess();
            }
        });
        if configuration.server.trusted_proxies.iter().any(Network::is_everybody) {
            tracing::warn!(
                "server.trusted_proxies believes everybody: whoever reaches this port without the proxy says by headers who they are and what they ask; list the proxies"
            );
        }
        let components = Components::open(&configuration, Clock::system()).await?;
        if let Some(public) = &configuration.server.public_url {
            for closed in components.judge.policy.closed_to(public.host()) {
                tracing::warn!(
                    route = closed + 1,
                    "this route matches nothing: its hosts leave out that of server.public_url, which counts for every request"
                );
            }
        }
        let (server, address) = start(&configuration, components.clone())?;
        let scheme = if configuration.tls.certificate.is_some() { "https" } else { "http" };
        tracing::info!(%address, "listening");
        // Nobody may be there to read it.
        let _ = writeln!(std::io::stderr(), "countersign listens on {scheme}://{address}");
        server.await.context("the server ended")?;
        components.close().await;
        Ok(())
    })
}

impl Components {
    /// Opens the store and makes every component.
    ///
    /// # Errors
    /// What can't be opened, with what to do about it.
    pub async fn open(configuration: &Configuration, clock: Clock) -> anyhow::Result<Self> {
        let opened = opening::open(configuration, Some(DATABASE_PATIENCE)).await?;
        let store = Store::new(opened.database.clone(), Arc::clone(&opened.vault));
        if configuration.http_auth.digest {
            tell_of_lost_hashes(&store, configuration.http_auth.realm.as_str()).await?;
        }
        let watch = Watch::start(&opened.database)?;
        let replay = Arc::new(opening::open_replay(configuration, &store, clock.now()).await?);
        let key = opened.master_key.derive("remembered passwords of one process");

        let http_auth = &configuration.http_auth;
        let passwords = Passwords::start(hashing_threads(), *key)?;
        let throttle = Throttle::new(
            configuration.throttle.failures,
            Lifetime::from_seconds(configuration.throttle.window_seconds),
            rand::random(),
        );
        let basic = Basic::new(
            store.directory.clone(),
            Arc::new(passwords),
            Arc::new(throttle),
            ClientKeyNames::new(http_auth),
            store.audit.clone(),
        );
        let digest_key = opened.master_key.derive("digest nonces");
        let realm = http_auth.realm.as_str().to_owned();
        let digest = Arc::new(Digest::new(store.directory.clone(), realm, &digest_key, &replay, clock.clone()));
        let signing_key = Arc::new(open_signing_key(&store, clock.now()).await?);
        let tokens = Tokens::new(
            store.directory.clone(),
            Arc::clone(&signing_key),
            issuer(configuration),
            configuration.server.public_url.is_some(),
            Lifetime::from_seconds(configuration.jwt.ttl_seconds),
        );
        let sessions = Sessions::new(
            store.directory.clone(),
            store.sessions.clone(),
            Lifetime::from_seconds(configuration.session.ttl_seconds),
        );
        let judge = Judge {
            rim: Rim::new(
                &configuration.server,
                http_auth,
                configuration.tls.certificate.is_some(),
                configuration.gateway.buffer_bytes,
                clock.clone(),
            ),
            policy: Policy::new(&configuration.routes, http_auth.digest),
            authenticator: Authenticator {
                oauth: oauth_verifier(configuration, &store, &replay, clock.clone()),
                basic,
                digest: Arc::clone(&digest),
                tokens,
                sessions,
                directory: store.directory.clone(),
                session_query: http_auth.session_query.clone(),
            },
            answers: Answers::new(configuration, digest, clock),
            metrics: Metrics::new(),
        };
        let impersonations = Impersonations::new(
            store.clone(),
            http_auth.realm.as_str().to_owned(),
            Lifetime::from_seconds(configuration.impersonation.ttl_seconds),
        );
        let gateway = Gateway::new(configuration, issuer(configuration), &signing_key)?;
        let judge = Arc::new(judge);
        let pages = Pages::new(configuration, Arc::clone(&judge), opened.vault.key_ids());
        Ok(Self {
            judge,
            pages: Arc::new(pages),
            provider: Arc::new(provider(configuration, &store)),
            impersonations: Arc::new(impersonations),
            gateway: Arc::new(gateway),
            explorer: Arc::new(Explorer::new(configuration)?),
            signing_key,
            replay,
            store,
            stopping: Stopping::default(),
            _watch: Arc::new(watch),
        })
    }

    /// Writes down what is only in memory. Remembered nonces are on disk already.
    ///
    /// Stores that hang keep no process from ending: with what they and the watch take when they are dropped, it is ten
    /// seconds at most.
    pub async fn close(&self) {
        let written = tokio::time::timeout(LAST_USES, self.store.directory.write_uses()).await;
        let late = |_| Err(StoreError::Unavailable("no answer".to_owned()));
        if let Err(error) = written.unwrap_or_else(late) {
            tracing::warn!(%error, "last uses were not written");
        }
        self.replay.close();
    }
}

fn oauth_verifier(
    configuration: &Configuration,
    store: &Store,
    replay: &Arc<ReplayStore>,
    clock: Clock,
) -> OAuthVerifier {
    let settings = &configuration.oauth;
    OAuthVerifier::new(
        store.directory.clone(),
        Arc::clone(replay),
        Lifetime::from_seconds(settings.timestamp_window_seconds),
        SignatureMethods::of(settings.signature_methods.iter().copied()),
        settings.plaintext,
        Inspection::new(store.refusals.clone(), settings.diagnose),
        clock,
    )
}

fn provider(configuration: &Configuration, store: &Store) -> Provider {
    let settings = &configuration.oauth;
    let token_lifetime = Some(settings.access_token_ttl_seconds).filter(|seconds| *seconds > 0);
    Provider::new(
        store.directory.clone(),
        store.delegations.clone(),
        ProviderSettings {
            request_token_lifetime: Lifetime::from_seconds(settings.request_token_ttl_seconds),
            exchange: ExchangeLimits {
                verifier_attempts: settings.verifier_attempts,
                token_lifetime: token_lifetime.map(Lifetime::from_seconds),
            },
            remember_consent: settings.remember_consent,
        },
    )
}

/// Says at start what a new realm has done: nobody could tell from the refusals.
async fn tell_of_lost_hashes(store: &Store, realm: &str) -> anyhow::Result<()> {
    let hashes = store.accounts.digest_secrets_of_other_realms(realm).await?;
    if hashes > 0 {
        tracing::warn!(
            hashes,
            realm,
            "http_auth.realm is new: Digest refuses passwords and keys that were set before; set or regenerate them, or set the old realm"
        );
    }
    Ok(())
}

/// The server's own key: the one that is stored, or a new one, which the first of several nodes decides.
async fn open_signing_key(store: &Store, now: Timestamp) -> anyhow::Result<SigningKey> {
    let stored = store.settings.establish("signing_key", SigningKey::generate()?, now).await?;
    Ok(SigningKey::from_stored(&stored.value)?)
}

/// Who signs: the public origin, or where the server listens.
fn issuer(configuration: &Configuration) -> String {
    let server = &configuration.server;
    server.public_url.as_ref().map_or_else(|| format!("http://{}", server.listen), ToString::to_string)
}

/// One core is left to signed traffic, whatever the passwords cost.
fn hashing_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1)).max(1)
}

/// Every path that is ours. The path of the hot route comes first: actix asks one after the other.
pub fn routes(service: &mut ServiceConfig, configuration: &Configuration) {
    for path in ["/v2/me", "/v2", "/v2/me/", "/v2/"] {
        service.service(web::resource(path).to(me::me));
    }
    for prefix in &configuration.oauth.prefixes {
        let at = |name: &str| format!("{}/{name}", prefix.as_str());
        service
            .service(
                Place::at(at("request_token"))
                    .get_without_head(oauth::request_token)
                    .post(oauth::request_token)
                    .or(no_such_method),
            )
            .service(Place::at(at("authorize")).get(consent::show).post(consent::submit))
            .service(
                Place::at(at("access_token"))
                    .get_without_head(oauth::access_token)
                    .post(oauth::access_token)
                    .or(no_such_method),
            )
            .service(Place::at(at("revoke")).post(oauth::revoke).or(no_such_method));
    }
    let own = |path: &str| configuration.server.own_path(path);
    service
        .service(Place::at(own("/api/auth/jwt")).post(tokens::issue).or(no_such_method))
        .service(Place::at("/.well-known/jwks.json").get(tokens::jwks))
        .service(Place::at(own("/health/live")).get(health::live))
        .service(Place::at(own("/health/ready")).get(health::ready))
        .service(Place::at(own("/metrics")).get(health::metrics))
        .configure(|service| alias::configure(service, &configuration.aliases))
        .configure(|service| crate::web::pages(service, &own("")))
        .configure(|service| crate::api::routes(service, configuration, &own("")))
        .configure(|service| crate::explorer::routes(service, &own("")))
        .default_service(web::to(me::elsewhere));
}

/// Listens, and returns the running server with the address that it got.
///
/// # Errors
/// The port is taken, or the certificate can't be read.
pub fn start(configuration: &Configuration, components: Components) -> anyhow::Result<(Server, SocketAddr)> {
    keep_house(&components);
    // A file that may not grow any more is an error like a full disk, and not the end: heard once, it does nothing more.
    let _heard = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
    if let Some(listen) = configuration.metrics.listen {
        start_metrics(listen, &components)?;
    }
    let settings = configuration.clone();
    let stopping = components.stopping.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(Data::new(Arc::clone(&components.judge)))
            .app_data(Data::new(Arc::clone(&components.provider)))
            .app_data(Data::new(Arc::clone(&components.pages)))
            .app_data(Data::new(Arc::clone(&components.explorer)))
            .app_data(Data::new(Arc::clone(&components.impersonations)))
            .app_data(Data::new(Arc::clone(&components.replay)))
            .app_data(Data::new(Arc::clone(&components.signing_key)))
            .app_data(Data::new(components.store.clone()))
            .app_data(Data::new(components.stopping.clone()))
            .configure(|service| components.gateway.questions(service))
            .configure(|service| routes(service, &settings))
            .configure(|service| components.gateway.rest(service))
    })
    .workers(configuration.server.workers)
    // A client that hangs up must be noticed while the upstream still works for it.
    .h1_allow_half_closed(configuration.upstream.url.is_none())
    // A client whose upload was refused has this long to read why.
    .client_disconnect_timeout(LINGER)
    .keep_alive(KEEP_ALIVE)
    .disable_signals()
    .shutdown_timeout(GRACE_SECONDS);
    let listen = configuration.server.listen;
    let server = match (&configuration.tls.certificate, &configuration.tls.private_key) {
        (Some(chain), Some(private_key)) => {
            let certificate = Certificate::open(chain, private_key)?;
            let tls = certificate.server_config()?;
            actix_web::rt::spawn(async move {
                loop {
                    actix_web::rt::time::sleep(LOOK_EVERY).await;
                    certificate.refresh();
                }
            });
            server.bind_rustls_0_23(listen, tls)
        }
        (Some(_) | None, _) => server.bind(listen),
    };
    let server = server.with_context(|| format!("can't listen on {listen} (server.listen, --listen)"))?;
    let address = server.addrs().first().copied().unwrap_or(listen);
    let server = server.run();
    let drain = Duration::from_secs(configuration.server.drain_seconds.into());
    actix_web::rt::spawn(Signals::heard()?.obey(server.handle(), stopping, drain));
    Ok((server, address))
}

/// The signals that end the server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

/// How the server ends: it answers what is under way, or not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Orderly,
    AtOnce,
}

impl Signals {
    fn heard() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    async fn next(&mut self) -> Ending {
        tokio::select! {
            _ = self.terminate.recv() => Ending::Orderly,
            _ = self.interrupt.recv() => Ending::AtOnce,
            _ = self.quit.recv() => Ending::AtOnce,
        }
    }

    /// Stops the server when it is told to: if in good order, after `drain`, in which proxies learn that it is not
    /// ready any more and send their requests elsewhere. Another signal ends the wait.
    async fn obey(mut self, server: ServerHandle, stopping: Stopping, drain: Duration) {
        let mut ending = self.next().await;
        if ending == Ending::Orderly && !drain.is_zero() {
            tracing::info!(seconds = drain.as_secs(), "not ready any more, and serving until the proxies know");
            stopping.begin();
            ending = tokio::time::timeout(drain, self.next()).await.unwrap_or(ending);
        }
        server.stop(ending == Ending::Orderly).await;
    }
}

/// Counters on a listener of their own, for whoever reaches it.
fn start_metrics(listen: SocketAddr, components: &Components) -> anyhow::Result<()> {
    let (judge, replay) = (Arc::clone(&components.judge), Arc::clone(&components.replay));
    let server = HttpServer::new(move || {
        let (judge, replay) = (Arc::clone(&judge), Arc::clone(&replay));
        App::new().route("/metrics", web::get().to(move || std::future::ready(health::exposition(&judge, &replay))))
    });
    let server = server.workers(1).disable_signals().bind(listen);
    let server = server.with_context(|| format!("metrics.listen: can't listen on {listen}"))?;
    actix_web::rt::spawn(server.run());
    Ok(())
}

/// The work that no request waits for.
fn keep_house(components: &Components) {
    let (store, replay) = (components.store.clone(), Arc::clone(&components.replay));
    let clock = components.judge.rim.clock().clone();
    actix_web::rt::spawn(async move {
        let mut cleaned = std::time::Instant::now();
        loop {
            actix_web::rt::time::sleep(WRITE_USES_EVERY).await;
            report(store.directory.write_uses().await.map(|_| ()));
            replay.expire(clock.now());
            if cleaned.elapsed() >= CLEAN_UP_EVERY {
                cleaned = std::time::Instant::now();
                report(store.clean_up(clock.now()).await);
            }
        }
    });
}

fn report(outcome: Result<(), StoreError>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "housekeeping failed and will be tried again");
    }
}
