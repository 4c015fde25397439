//! One struct of settings for each component, with its keys, defaults and limits. A component gets its own struct and sees no other.
//!
//! Spans of time are whole seconds. Lists that are not given are the default list, an empty list is empty.

use std::path::PathBuf;

use super::network::Network;
use super::origin::Origin;
use super::section::Section;
use super::stores::{DatabaseUrl, RedisUrl};
use super::values::{FilePath, HeaderName, Link, Listen, PathPrefix, QueryName, Realm, SessionQuery, Words, words};
use crate::protocol::signature::SignatureMethod;

const DAY: u32 = 86_400;
const YEAR: u32 = 366 * DAY;

/// `[server]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerSettings {
    /// `server.listen`: 127.0.0.1:8080.
    pub listen: std::net::SocketAddr,
    /// `server.public_url`: the origin of base strings and links; without one, the Host header's.
    pub public_url: Option<Origin>,
    /// `server.trusted_proxies`: networks whose forwarded metadata is believed.
    pub trusted_proxies: Vec<Network>,
    /// `server.reserved_prefix`: where our own pages go when the upstream has the same paths.
    pub reserved_prefix: Option<PathPrefix>,
    /// `server.workers`: threads that serve; the number of cores.
    pub workers: usize,
    /// `server.drain_seconds`: 0; how long it is not ready and serves all the same when it is told to end.
    pub drain_seconds: u32,
}

impl ServerSettings {
    pub(super) fn read(section: &mut Section<'_>) -> ServerSettings {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        ServerSettings {
            listen: section
                .parsed::<Listen>("listen")
                .map_or_else(|| std::net::SocketAddr::from(([127, 0, 0, 1], 8080)), |listen| listen.0),
            public_url: section.parsed("public_url"),
            trusted_proxies: section.parsed_list("trusted_proxies").unwrap_or_default(),
            reserved_prefix: section.parsed("reserved_prefix"),
            workers: usize::from(section.number("workers", u16::try_from(cores).unwrap_or(1), 1..=1024)),
            drain_seconds: section.number("drain_seconds", 0, 0..=60),
        }
    }

    /// Where one of our own pages is: `/login` → `/_countersign/login` with that reserved prefix.
    pub fn own_path(&self, path: &str) -> String {
        format!("{}{path}", self.reserved_prefix.as_ref().map_or("", |prefix| prefix.as_str()))
    }
}

/// `[database]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DatabaseSettings {
    /// `database.url`: `sqlite://countersign.db`.
    pub url: DatabaseUrl,
    /// `database.connections`: to PostgreSQL, or those that read SQLite beside the one that writes; 4. `sqlite::memory:` has one,
    /// whatever is said here.
    pub connections: usize,
}

impl DatabaseSettings {
    pub(super) fn read(section: &mut Section<'_>) -> DatabaseSettings {
        DatabaseSettings {
            url: section.parsed("url").unwrap_or_else(DatabaseUrl::usual),
            connections: usize::from(section.number("connections", 4u16, 1..=64)),
        }
    }
}

/// `[redis]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedisSettings {
    /// `redis.url`: with it, nonces are remembered there.
    pub url: Option<RedisUrl>,
    /// `redis.wait_replicas`: 0; replicas that must have a nonce before its request is answered (`WAIT`).
    pub wait_replicas: u32,
}

impl RedisSettings {
    pub(super) fn read(section: &mut Section<'_>) -> RedisSettings {
        let has_url = section.has("url");
        let wait_replicas = section.number("wait_replicas", 0, 0..=16);
        if wait_replicas > 0 && !has_url {
            section.refuse(
                "wait_replicas",
                "without redis.url no nonce is remembered in Redis: set that too, or take this out",
            );
        }
        RedisSettings { url: section.parsed("url"), wait_replicas }
    }
}

words! {
    /// `oauth.plaintext`: when PLAINTEXT signatures are admitted (RFC 5849 §3.4.4 wants a secure transport).
    PlaintextRule {
        Tls = "tls",
        Always = "always",
        Never = "never",
    }
}

words! {
    /// `oauth.diagnose`: who is told why a signature failed.
    Diagnose {
        /// The client's owner, in the console.
        Owner = "owner",
        /// The caller too, in `oauth_problem_advice`.
        Always = "always",
        Never = "never",
    }
}

/// `[oauth]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OAuthSettings {
    /// `oauth.prefixes`: `/oauth` is always the first.
    pub prefixes: Vec<PathPrefix>,
    /// `oauth.signature_methods`: all, unless named. PLAINTEXT is subject to `plaintext` besides.
    pub signature_methods: Vec<SignatureMethod>,
    /// `oauth.plaintext`: `tls`.
    pub plaintext: PlaintextRule,
    /// `oauth.timestamp_window_seconds`: 300, to either side.
    pub timestamp_window_seconds: u32,
    /// `oauth.request_token_ttl_seconds`: 600.
    pub request_token_ttl_seconds: u32,
    /// `oauth.verifier_attempts`: 5 wrong verifiers end a request token.
    pub verifier_attempts: u32,
    /// `oauth.diagnose`: `owner`.
    pub diagnose: Diagnose,
    /// `oauth.access_token_ttl_seconds`: 0, which means no end.
    pub access_token_ttl_seconds: u32,
    /// `oauth.remember_consent`: false.
    pub remember_consent: bool,
}

impl OAuthSettings {
    /// What the server admits at all: what a client may sign with unless told.
    pub fn admitted_methods(&self) -> Vec<SignatureMethod> {
        let admitted = |method: &&SignatureMethod| {
            **method != SignatureMethod::Plaintext || self.plaintext != PlaintextRule::Never
        };
        self.signature_methods.iter().filter(admitted).copied().collect()
    }

    pub(super) fn read(section: &mut Section<'_>) -> OAuthSettings {
        let methods = section.parsed_list("signature_methods");
        if methods.as_ref().is_some_and(Vec::is_empty) {
            section.refuse(
                "signature_methods",
                "it admits no client: name at least one method, or leave the key out for all",
            );
        }
        OAuthSettings {
            prefixes: with_usual_prefix(section.parsed_list("prefixes").unwrap_or_default()),
            signature_methods: methods.unwrap_or_else(|| SignatureMethod::ALL.into()),
            plaintext: section.parsed("plaintext").unwrap_or(PlaintextRule::Tls),
            timestamp_window_seconds: section.number("timestamp_window_seconds", 300, 1..=DAY),
            request_token_ttl_seconds: section.number("request_token_ttl_seconds", 600, 1..=DAY),
            verifier_attempts: section.number("verifier_attempts", 5, 1..=100),
            diagnose: section.parsed("diagnose").unwrap_or(Diagnose::Owner),
            access_token_ttl_seconds: section.number("access_token_ttl_seconds", 0, 0..=100 * YEAR / 2),
            remember_consent: section.boolean("remember_consent", false),
        }
    }
}

fn with_usual_prefix(more: Vec<PathPrefix>) -> Vec<PathPrefix> {
    let mut prefixes = vec![PathPrefix::oauth()];
    for prefix in more {
        if !prefixes.contains(&prefix) {
            prefixes.push(prefix);
        }
    }
    prefixes
}

/// `[http_auth]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpAuthSettings {
    /// `http_auth.realm`: Countersign. Part of every stored Digest hash.
    pub realm: Realm,
    /// `http_auth.digest`: true.
    pub digest: bool,
    /// `http_auth.client_key_headers`: X-Client-Key, X-App-Key.
    pub client_key_headers: Vec<HeaderName>,
    /// `http_auth.client_key_query`: client_key.
    pub client_key_query: Vec<QueryName>,
    /// `http_auth.session_query`: auth=session.
    pub session_query: SessionQuery,
}

impl HttpAuthSettings {
    /// The headers that carry a client key, in small letters: names are compared without regard to case (RFC 9110 §5.1).
    pub fn lower_client_key_headers(&self) -> Vec<String> {
        self.client_key_headers.iter().map(|name| name.as_str().to_ascii_lowercase()).collect()
    }

    pub(super) fn read(section: &mut Section<'_>) -> HttpAuthSettings {
        HttpAuthSettings {
            realm: section.parsed("realm").unwrap_or_else(Realm::usual),
            digest: section.boolean("digest", true),
            client_key_headers: section.parsed_list("client_key_headers").unwrap_or_else(HeaderName::of_client_keys),
            client_key_query: section.parsed_list("client_key_query").unwrap_or_else(QueryName::of_client_keys),
            session_query: section.parsed("session_query").unwrap_or_else(SessionQuery::usual),
        }
    }
}

/// `[jwt]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JwtSettings {
    /// `jwt.ttl_seconds`: 3600.
    pub ttl_seconds: u32,
}

impl JwtSettings {
    pub(super) fn read(section: &mut Section<'_>) -> JwtSettings {
        JwtSettings { ttl_seconds: section.number("ttl_seconds", 3600, 1..=30 * DAY) }
    }
}

/// `[impersonation]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImpersonationSettings {
    /// `impersonation.ttl_seconds`: 14400.
    pub ttl_seconds: u32,
}

impl ImpersonationSettings {
    pub(super) fn read(section: &mut Section<'_>) -> ImpersonationSettings {
        ImpersonationSettings { ttl_seconds: section.number("ttl_seconds", 14_400, 1..=30 * DAY) }
    }
}

/// `[session]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionSettings {
    /// `session.ttl_seconds`: 43200.
    pub ttl_seconds: u32,
}

impl SessionSettings {
    pub(super) fn read(section: &mut Section<'_>) -> SessionSettings {
        SessionSettings { ttl_seconds: section.number("ttl_seconds", 43_200, 1..=YEAR) }
    }
}

/// `[gateway]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GatewaySettings {
    /// `gateway.assertion`: false.
    pub assertion: bool,
    /// `gateway.assertion_ttl_seconds`: 60, which is also the most.
    pub assertion_ttl_seconds: u32,
    /// `gateway.request_id_header`: a header that the proxy itself makes.
    pub request_id_header: Option<HeaderName>,
    /// `gateway.buffer_bytes`: 1048576; the most of a body that is held to judge it.
    pub buffer_bytes: usize,
}

impl GatewaySettings {
    pub(super) fn read(section: &mut Section<'_>) -> GatewaySettings {
        GatewaySettings {
            assertion: section.boolean("assertion", false),
            assertion_ttl_seconds: section.number("assertion_ttl_seconds", 60, 1..=60),
            request_id_header: section.parsed("request_id_header"),
            buffer_bytes: section.number("buffer_bytes", 1_048_576, 1..=1_073_741_824),
        }
    }
}

/// `[support]`: what the answers to locked and disabled accounts refer to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SupportSettings {
    /// `support.billing_url`: for locked accounts.
    pub billing_url: Option<Link>,
    /// `support.contact_url`: for disabled accounts.
    pub contact_url: Option<Link>,
}

impl SupportSettings {
    pub(super) fn read(section: &mut Section<'_>) -> SupportSettings {
        SupportSettings { billing_url: section.parsed("billing_url"), contact_url: section.parsed("contact_url") }
    }
}

/// `[docs]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DocsSettings {
    /// `docs.upstream_openapi`: a file or an address with the description of the operator's own API.
    pub upstream_openapi: Option<Words>,
}

impl DocsSettings {
    pub(super) fn read(section: &mut Section<'_>) -> DocsSettings {
        DocsSettings { upstream_openapi: section.parsed("upstream_openapi") }
    }
}

/// `[metrics]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetricsSettings {
    /// `metrics.listen`: an address of its own; without it `/metrics` answers loopback only.
    pub listen: Option<std::net::SocketAddr>,
}

impl MetricsSettings {
    pub(super) fn read(section: &mut Section<'_>) -> MetricsSettings {
        MetricsSettings { listen: section.parsed::<Listen>("listen").map(|listen| listen.0) }
    }
}

words! {
    /// `replay.durability`: what a remembered nonce survives. There is no level without protection.
    Durability {
        /// Loss of power: the journal is synchronized before the answer.
        Power = "power",
        /// The end of the process, also by SIGKILL; a power cut may lose the last moments.
        Process = "process",
    }
}

/// `[replay]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplaySettings {
    /// `replay.durability`: `power`.
    pub durability: Durability,
    /// `replay.capacity`: 33554432; nonces remembered at once, some 16 bytes each. Beyond it signed requests are 503.
    pub capacity: u64,
    /// `replay.commit_delay_microseconds`: 0. Makes every commit slower; only benchmarks want that.
    pub commit_delay_microseconds: u32,
}

impl ReplaySettings {
    pub(super) fn read(section: &mut Section<'_>) -> ReplaySettings {
        ReplaySettings {
            durability: section.parsed("durability").unwrap_or(Durability::Power),
            capacity: section.number("capacity", 1 << 25, 1000..=1 << 34),
            commit_delay_microseconds: section.number("commit_delay_microseconds", 0, 0..=1_000_000),
        }
    }
}

/// `[throttle]`: per account and address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ThrottleSettings {
    /// `throttle.failures`: 10.
    pub failures: u32,
    /// `throttle.window_seconds`: 60.
    pub window_seconds: u32,
}

impl ThrottleSettings {
    pub(super) fn read(section: &mut Section<'_>) -> ThrottleSettings {
        ThrottleSettings {
            failures: section.number("failures", 10, 1..=1_000_000),
            window_seconds: section.number("window_seconds", 60, 1..=DAY),
        }
    }
}

/// `[upstream]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpstreamSettings {
    /// `upstream.url`: the API behind the built-in reverse proxy; an origin, because paths are passed on byte for byte.
    pub url: Option<Origin>,
    /// `upstream.timeout_seconds`: 60; how long the upstream may think before its answer begins.
    pub timeout_seconds: u32,
}

impl UpstreamSettings {
    pub(super) fn read(section: &mut Section<'_>) -> UpstreamSettings {
        UpstreamSettings {
            url: section.parsed("url"),
            timeout_seconds: section.number("timeout_seconds", 60, 1..=3600),
        }
    }
}

/// `[tls]`: both or neither.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsSettings {
    /// `tls.certificate`: a PEM file with the chain.
    pub certificate: Option<PathBuf>,
    /// `tls.private_key`: a PEM file.
    pub private_key: Option<PathBuf>,
}

impl TlsSettings {
    pub(super) fn read(section: &mut Section<'_>) -> TlsSettings {
        TlsSettings {
            certificate: section.parsed::<FilePath>("certificate").map(|path| path.0),
            private_key: section.parsed::<FilePath>("private_key").map(|path| path.0),
        }
    }
}
