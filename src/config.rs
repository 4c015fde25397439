//! The settings of the whole program: one struct for each component, composed here and read once at start.
//!
//! Four layers, the later wins: defaults < the TOML file < the environment < flags. The layers are laid over each other as one tree
//! ([`tree`]) in which every value remembers where it came from; then each component takes its own keys from it ([`section`]). What
//! nobody took is an unknown key. So a key, its default and its limits stand in one place, and all that is wrong is said at once.
//!
//! Reading order: [`problem`] (what may be wrong), [`values`] (words, origins, networks, database addresses), [`tree`] (the layers),
//! [`section`] (typed reading), [`settings`] (the components), [`route`] (`[[route]]` and `[[scope]]`).
//!
//! Deliberately absent: whatever would weaken authentication (there is no key that switches replay protection or signatures off), and
//! reading of `process::env` itself: the environment is handed in, so that tests need none.

pub mod problem;
pub mod route;
mod section;
pub mod settings;
mod tree;
pub mod values;

use std::ffi::OsString;
use std::path::PathBuf;

pub use problem::{ConfigurationError, Problem};
pub use route::{BodyHashRule, Challenge, ClientKeyRule, RouteSettings, ScopeSettings, Way};
pub use settings::{
    DatabaseSettings, Diagnose, DocsSettings, Durability, GatewaySettings, HttpAuthSettings, ImpersonationSettings, JwtSettings,
    MetricsSettings, OAuthSettings, PlaintextRule, RedisSettings, ReplaySettings, ServerSettings, SessionSettings, SupportSettings,
    ThrottleSettings, TlsSettings, UpstreamSettings,
};
pub use values::{DatabaseUrl, Network, Origin, RedisUrl, SecretText, SessionQuery};

use section::{Section, Survey};

/// Every setting of the program. Built by [`Configuration::load`], or with all defaults by [`Configuration::default`].
///
/// `Debug` shows no secret: the passwords inside addresses and the master key are left out.
#[derive(Clone, Debug)]
pub struct Configuration {
    pub server: ServerSettings,
    pub database: DatabaseSettings,
    pub redis: RedisSettings,
    /// The key that seals secrets at rest: base64 of 32 bytes. From the environment only; without one, a key file is made beside a
    /// SQLite database, and PostgreSQL refuses to start.
    pub master_key: Option<SecretText>,
    pub oauth: OAuthSettings,
    pub http_auth: HttpAuthSettings,
    pub jwt: JwtSettings,
    pub impersonation: ImpersonationSettings,
    pub session: SessionSettings,
    pub gateway: GatewaySettings,
    pub support: SupportSettings,
    pub docs: DocsSettings,
    pub metrics: MetricsSettings,
    pub replay: ReplaySettings,
    pub throttle: ThrottleSettings,
    pub upstream: UpstreamSettings,
    pub tls: TlsSettings,
    /// `[[scope]]`: sentences for the consent page.
    pub scopes: Vec<ScopeSettings>,
    /// `[[route]]`, first match wins. Never empty: without any in the file there is one for every path.
    pub routes: Vec<RouteSettings>,
}

/// Where settings come from. All parts may be empty.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The TOML file. Without one nothing is read; no file is looked for.
    pub file: Option<PathBuf>,
    /// The environment, usually `std::env::vars_os()`. Names that do not begin with `COUNTERSIGN_` are passed over.
    pub environment: Vec<(OsString, OsString)>,
    pub flags: Flags,
}

/// The settings that have a flag of their own, as they were typed.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub listen: Option<String>,
    pub public_url: Option<String>,
    pub database_url: Option<String>,
}

impl Configuration {
    /// Reads all layers. `Err` holds every problem that was found, each with its place and what to do.
    pub fn load(sources: Sources) -> Result<Configuration, ConfigurationError> {
        let mut problems = Vec::new();
        let tree = tree::assemble(sources, &mut problems);
        let mut survey = Survey::new(problems);
        let configuration = Configuration::read(&mut Section::root(tree, &mut survey));
        configuration.judge(&mut survey);
        survey.finish().map(|()| configuration)
    }

    fn read(root: &mut Section<'_>) -> Configuration {
        Configuration {
            server: root.component("server", ServerSettings::read),
            database: root.component("database", DatabaseSettings::read),
            redis: root.component("redis", RedisSettings::read),
            master_key: root.parsed(tree::MASTER_KEY),
            oauth: root.component("oauth", OAuthSettings::read),
            http_auth: root.component("http_auth", HttpAuthSettings::read),
            jwt: root.component("jwt", JwtSettings::read),
            impersonation: root.component("impersonation", ImpersonationSettings::read),
            session: root.component("session", SessionSettings::read),
            gateway: root.component("gateway", GatewaySettings::read),
            support: root.component("support", SupportSettings::read),
            docs: root.component("docs", DocsSettings::read),
            metrics: root.component("metrics", MetricsSettings::read),
            replay: root.component("replay", ReplaySettings::read),
            throttle: root.component("throttle", ThrottleSettings::read),
            upstream: root.component("upstream", UpstreamSettings::read),
            tls: root.component("tls", TlsSettings::read),
            scopes: root.tables("scope", ScopeSettings::read),
            routes: match root.tables("route", RouteSettings::read) {
                routes if routes.is_empty() => vec![RouteSettings::for_every_path()],
                routes => routes,
            },
        }
    }

    /// The rules that concern more than one key.
    fn judge(&self, survey: &mut Survey) {
        if self.tls.certificate.is_some() != self.tls.private_key.is_some() {
            survey.conflict("`tls.certificate` and `tls.private_key` go together: give both, or neither");
        }
        if self.database.url.is_postgres() && self.master_key.is_none() {
            survey.conflict(
                "a PostgreSQL database needs a master key: set COUNTERSIGN_MASTER_KEY or COUNTERSIGN_MASTER_KEY_FILE (32 random bytes in base64, \
                 for instance from `head -c 32 /dev/urandom | base64`), the same on every node",
            );
        }
        let mut named = std::collections::BTreeSet::new();
        for scope in &self.scopes {
            if !named.insert(&scope.name) {
                survey.conflict(&format!("the scope `{}` has two [[scope]] entries: keep one", scope.name));
            }
        }
    }

    /// Whether connections to this process are TLS, or the public address is (a front proxy has it then).
    pub fn is_https(&self) -> bool {
        self.tls.certificate.is_some() || self.server.public_url.as_ref().is_some_and(Origin::is_https)
    }
}

impl Default for Configuration {
    fn default() -> Configuration {
        let mut survey = Survey::new(Vec::new());
        Configuration::read(&mut Section::root(tree::empty(), &mut survey))
    }
}
