//! The settings of the whole program: one struct for each component, composed here and read once at start.
//!
//! Four layers, the later wins: defaults < the TOML file < the environment < flags. The layers are laid over each other as one tree
//! (`tree`) in which every value remembers where it came from; then each component takes its own keys from it (`section`). What
//! nobody took is an unknown key. So a key, its default and its limits stand in one place, and all that is wrong is said at once.
//!
//! Reading order: [`problem`] (what may be wrong), [`values`] (words, names, paths), `origin`, `network`, `stores`, `tree` (the layers),
//! `section` (typed reading), [`settings`] (the components), [`route`] (`[[route]]` and `[[scope]]`),
//! [`alias`] (`[[alias]]`).
//!
//! Deliberately absent: whatever would weaken authentication (there is no key that switches replay protection or signatures off), and
//! reading of `process::env` itself: the environment is handed in, so that tests need none.

pub mod problem;
pub mod values;
mod origin;
mod network;
mod stores;
mod tree;
mod section;
pub mod settings;
pub mod route;
pub mod alias;

use std::ffi::OsString;
use std::path::PathBuf;

pub use alias::{AliasSettings, AliasTarget};
pub use network::Network;
pub use origin::Origin;
pub use problem::{ConfigurationError, Problem};
pub use route::{BodyHashRule, Challenge, ClientKeyRule, MethodName, RouteSettings, ScopeSettings, Way};
pub use settings::{
    DatabaseSettings, Diagnose, DocsSettings, Durability, GatewaySettings, HttpAuthSettings, ImpersonationSettings,
    JwtSettings, MetricsSettings, OAuthSettings, PlaintextRule, RedisSettings, ReplaySettings, ServerSettings,
    SessionSettings, SupportSettings, ThrottleSettings, TlsSettings, UpstreamSettings,
};
pub use stores::{DatabaseUrl, RedisUrl};
pub use values::{SecretText, SessionQuery};

pub use tree::{FILE_VARIABLE, without_line_end};

use section::{Section, Survey};

/// Headers of clients, which no proxy makes anew for each request.
const NO_REQUEST_IDS: [&str; 12] = [
    "Authorization",
    "Cookie",
    "User-Agent",
    "Host",
    "Origin",
    "Referer",
    "Accept",
    "Content-Type",
    "Content-Length",
    "X-Client-Key",
    "X-App-Key",
    "X-CSRF-Token",
];

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
    /// `[[alias]]`: other paths for endpoints of ours.
    pub aliases: Vec<AliasSettings>,
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
            aliases: root.tables("alias", AliasSettings::read),
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
        if let Some(path) = alias::repeated(&self.aliases) {
            survey.conflict(&format!("the path `{path}` has two [[alias]] entries: keep one"));
        }
        for conflict in self.routes.iter().filter_map(|route| route.conflict(self.http_auth.digest)) {
            survey.conflict(&conflict);
        }
        let everything = |route: &RouteSettings| route.path.as_str() == "/**" && route.hosts.is_empty();
        if let Some(route) = self.routes.iter().skip_while(|route| !everything(route)).nth(1) {
            survey.conflict(&format!(
                "no request reaches the route `{}`: the first that matches decides, and `/**` before it takes all; put `/**` last",
                route.path.as_str()
            ));
        }
        if let Some(header) = &self.gateway.request_id_header
            && NO_REQUEST_IDS.iter().any(|name| name.eq_ignore_ascii_case(header.as_str()))
        {
            survey.conflict(&format!(
                "`gateway.request_id_header` is `{header}`, which clients write: whoever chooses the id can send a request twice; name a \
                 header that the proxy makes anew, such as X-Request-Id"
            ));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::signature::SignatureMethod;
    use tempfile::NamedTempFile;

    /// A file of the test's own, gone when dropped.
    fn file_with(text: &str) -> NamedTempFile {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn the_handbook_has_every_key_and_its_examples_hold_and_show_the_defaults() {
        let handbook = include_str!("../docs/SETTINGS.md");
        let mut survey = Survey::new(Vec::new());
        Configuration::read(&mut Section::root(tree::empty(), &mut survey));
        let known = survey.known().filter(|key| key.contains('.'));
        let missing: Vec<_> = known.filter(|key| !handbook.contains(&format!("`{key}`"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let examples: Vec<&str> = handbook.lines().filter_map(|line| line.strip_prefix("    ")).collect();
        let configuration = load(&examples.join("\n"), &[]).unwrap();
        assert_eq!(configuration.routes, [RouteSettings::for_every_path()]);
        assert_eq!((configuration.scopes.len(), configuration.aliases.len()), (1, 1));
    }

    #[test]
    fn what_would_protect_less_than_it_seems_is_refused_and_says_what_to_do() {
        for (text, said) in [
            ("[[route]]\npath = \"/**\"\n[[route]]\npath = \"/admin/**\"\n", "put `/**` last"),
            ("[[route]]\npath = \"/**\"\nscopes = { HEAD = [\"a:b\"] }\n", "name the scopes of GET"),
            ("[gateway]\nrequest_id_header = \"authorization\"\n", "such as X-Request-Id"),
            ("[redis]\nwait_replicas = 1\n", "without redis.url"),
        ] {
            let error = load(text, &[]).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        assert!(load("[[route]]\npath = \"/**\"\nhosts = [\"a.example\"]\n[[route]]\npath = \"/**\"\n", &[]).is_ok());
    }

    fn load(file: &str, pairs: &[(&str, &str)]) -> Result<Configuration, String> {
        let file = file_with(file);
        let sources =
            Sources { file: Some(file.path().to_owned()), environment: environment(pairs), flags: Flags::default() };
        Configuration::load(sources).map_err(|error| error.to_string())
    }

    #[test]
    fn without_any_source_everything_has_its_default() {
        let configuration = Configuration::load(Sources::default()).unwrap();
        assert_eq!(configuration.server.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(configuration.server.public_url, None);
        assert!(configuration.server.trusted_proxies.is_empty());
        assert!(configuration.server.workers >= 1);
        assert_eq!(configuration.database.url.to_string(), "sqlite://countersign.db");
        assert_eq!(configuration.redis.url, None);
        assert!(configuration.master_key.is_none());
        let oauth = &configuration.oauth;
        assert_eq!(oauth.prefixes.iter().map(|prefix| prefix.as_str()).collect::<Vec<_>>(), ["/oauth"]);
        assert_eq!(oauth.signature_methods, SignatureMethod::ALL);
        assert_eq!((oauth.plaintext, oauth.diagnose), (PlaintextRule::Tls, Diagnose::Owner));
        assert_eq!(
            (oauth.timestamp_window_seconds, oauth.request_token_ttl_seconds, oauth.verifier_attempts),
            (300, 600, 5)
        );
        assert_eq!((oauth.access_token_ttl_seconds, oauth.remember_consent), (0, false));
        let http_auth = &configuration.http_auth;
        assert_eq!((http_auth.realm.as_str(), http_auth.digest), ("Countersign", true));
        assert_eq!(
            http_auth.client_key_headers.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
            ["X-Client-Key", "X-App-Key"]
        );
        assert_eq!(http_auth.client_key_query.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["client_key"]);
        assert_eq!(http_auth.session_query, "auth=session".parse().unwrap());
        assert_eq!(
            (configuration.jwt.ttl_seconds, configuration.impersonation.ttl_seconds, configuration.session.ttl_seconds),
            (3600, 14_400, 43_200)
        );
        let gateway = &configuration.gateway;
        assert_eq!((gateway.assertion, gateway.assertion_ttl_seconds, gateway.buffer_bytes), (false, 60, 1_048_576));
        assert_eq!(gateway.request_id_header, None);
        assert_eq!((configuration.throttle.failures, configuration.throttle.window_seconds), (10, 60));
        assert_eq!(
            (configuration.replay.durability, configuration.replay.commit_delay_microseconds),
            (Durability::Power, 0)
        );
        assert_eq!(configuration.routes, [RouteSettings::for_every_path()]);
        assert!(!configuration.is_https());
    }

    #[test]
    fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
        let file = file_with(
            "[server]\nlisten = '127.0.0.1:1'\npublic_url = 'http://file.example'\n[database]\nurl = 'sqlite://file.db'\n[jwt]\nttl_seconds = 7",
        );
        let sources = Sources {
            file: Some(file.path().to_owned()),
            environment: environment(&[
                ("COUNTERSIGN_PUBLIC_URL", "http://environment.example"),
                ("COUNTERSIGN_LISTEN", "127.0.0.1:2"),
            ]),
            flags: Flags { listen: Some("127.0.0.1:3".into()), ..Flags::default() },
        };
        let configuration = Configuration::load(sources).unwrap();
        assert_eq!(configuration.server.listen.port(), 3);
        assert_eq!(configuration.server.public_url.unwrap().to_string(), "http://environment.example");
        assert_eq!(configuration.database.url.to_string(), "sqlite://file.db");
        assert_eq!(configuration.jwt.ttl_seconds, 7);
        assert_eq!(configuration.session.ttl_seconds, 43_200);
    }

    #[test]
    fn a_variable_sets_any_key_by_its_path() {
        let configuration = load(
            "",
            &[
                ("COUNTERSIGN_OAUTH__TIMESTAMP_WINDOW_SECONDS", "60"),
                ("COUNTERSIGN_OAUTH__PREFIXES", "/a,/v2/oauth"),
                ("COUNTERSIGN_OAUTH__SIGNATURE_METHODS", r#"["HMAC-SHA256"]"#),
                ("COUNTERSIGN_OAUTH__REMEMBER_CONSENT", "true"),
                ("COUNTERSIGN_ROUTE", r#"[{path = "/v3/**", methods = ["basic"], scopes = {GET = ["a:b"]}}]"#),
                ("UNRELATED", "1"),
            ],
        )
        .unwrap();
        assert_eq!(configuration.oauth.timestamp_window_seconds, 60);
        assert_eq!(
            configuration.oauth.prefixes.iter().map(|prefix| prefix.as_str()).collect::<Vec<_>>(),
            ["/oauth", "/a", "/v2/oauth"]
        );
        assert_eq!(configuration.oauth.signature_methods, [SignatureMethod::HmacSha256]);
        assert!(configuration.oauth.remember_consent);
        assert_eq!(configuration.routes.len(), 1);
        assert_eq!(configuration.routes[0].methods, [Way::Basic]);
        assert_eq!(configuration.routes[0].scopes[0].0.as_str(), "GET");
    }

    #[test]
    fn a_secret_comes_from_a_file_without_its_line_end() {
        let secret = file_with("postgres://u:p@h/d\n");
        let key = file_with("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
        let configuration = load(
            "",
            &[
                ("COUNTERSIGN_DATABASE_URL_FILE", secret.path().to_str().unwrap()),
                ("COUNTERSIGN_MASTER_KEY_FILE", key.path().to_str().unwrap()),
            ],
        )
        .unwrap();
        assert!(configuration.database.url == DatabaseUrl::Postgres("postgres://u:p@h/d".to_owned()));
        assert_eq!(configuration.master_key.unwrap().expose(), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_known() {
        let error = load("[server]\nlisten = '127.0.0.1:1'\n\n[oauth]\ntimestamp_window = 5\n", &[]).unwrap_err();
        assert!(
            error.contains(
                "line 5: unknown key `oauth.timestamp_window`; did you mean `oauth.timestamp_window_seconds`?"
            ),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_section_is_named_once() {
        let error = load("[oauht]\nprefixes = []\nplaintext = 'tls'\n", &[]).unwrap_err();
        assert!(error.ends_with("line 1: unknown key `oauht`; did you mean `oauth`?"), "{error}");
    }

    #[test]
    fn an_unknown_variable_is_named_with_the_nearest_known() {
        let error = load("", &[("COUNTERSIGN_JWT__TTL", "5")]).unwrap_err();
        assert_eq!(
            error,
            "environment variable COUNTERSIGN_JWT__TTL: unknown key `jwt.ttl`; did you mean `COUNTERSIGN_JWT__TTL_SECONDS`?"
        );
        let error = load("", &[("COUNTERSIGN_LISTN", "127.0.0.1:1")]).unwrap_err();
        assert!(error.contains("COUNTERSIGN_LISTN"), "{error}");
    }

    #[test]
    fn an_alias_is_read_with_the_names_of_its_answer() {
        let configuration = load(
            "[[alias]]\npath = '/m/{username}/tokens'\nto = '/api/v1/members/{username}/tokens'\nfields = { publicKey = 'public_key' }",
            &[],
        )
        .unwrap();
        let [alias] = configuration.aliases.as_slice() else { panic!("one alias") };
        assert_eq!((alias.path.as_str(), alias.to), ("/m/{username}/tokens", AliasTarget::MemberTokens));
        assert_eq!(
            alias.fields.iter().map(|(name, ours)| (name.as_str(), ours.as_str())).collect::<Vec<_>>(),
            [("publicKey", "public_key")]
        );
    }

    #[test]
    fn an_alias_that_leads_nowhere_or_stands_twice_is_refused() {
        for (file, complaint) in [
            ("[[alias]]\npath = '/me'\n", "such as to = "),
            ("[[alias]]\nto = '/v2/me'\n", "needs the path"),
            ("[[alias]]\npath = '/me'\nto = '/login'\n", "should be one of"),
            ("[[alias]]\npath = '/m'\nto = '/api/v1/members/{username}/tokens'\n", "both hold {username}"),
            ("[[alias]]\npath = '/m'\nto = '/v2/me'\nshape = 'x'\n", "unknown key `alias.shape`"),
            ("[[alias]]\npath = '/m'\nto = '/v2/me'\n[[alias]]\npath = '/m'\nto = '/v2/me'\n", "two [[alias]] entries"),
        ] {
            let error = load(file, &[]).unwrap_err();
            assert!(error.contains(complaint), "{file}: {error}");
        }
    }

    #[test]
    fn a_route_that_nobody_can_find_a_way_into_is_refused() {
        let route = "[[route]]\npath = '/**'\n";
        for (file, complaint) in [
            (format!("[http_auth]\ndigest = false\n{route}methods = ['digest']\n"), "`/**` admits Digest alone"),
            (
                format!("[http_auth]\ndigest = false\n{route}challenges = ['basic', 'digest-md5']\n"),
                "the challenge `digest-md5`",
            ),
            (format!("{route}methods = ['jwt']\nchallenges = ['basic']\n"), "the challenge `basic`"),
        ] {
            let error = load(&file, &[]).unwrap_err();
            assert!(error.contains(complaint), "{file}: {error}");
        }
        let file = format!("[http_auth]\ndigest = false\n{route}methods = ['digest', 'basic']\n");
        assert!(load(&file, &[]).is_ok());
    }

    #[test]
    fn every_profile_is_a_configuration_as_it_stands() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/profiles");
        for name in ["appfigures", "itscope", "iterop", "connectwise"] {
            let file = folder.join(name).with_extension("toml");
            let loaded = Configuration::load(Sources { file: Some(file), ..Sources::default() });
            assert_eq!(
                loaded.map(|configuration| configuration.routes.is_empty()).map_err(|error| error.to_string()),
                Ok(false),
                "{name}"
            );
        }
    }

    #[test]
    fn an_empty_variable_and_what_kubernetes_injects_count_as_not_set() {
        let configuration = load(
            "",
            &[
                ("COUNTERSIGN_PUBLIC_URL", ""),
                ("COUNTERSIGN_SERVICE_HOST", "10.0.0.1"),
                ("COUNTERSIGN_PORT", "tcp://10.0.0.1:80"),
            ],
        );
        assert_eq!(configuration.unwrap().server.public_url, None);
    }

    #[test]
    fn a_setting_in_two_variables_is_refused() {
        let error = load("", &[("COUNTERSIGN_LISTEN", "127.0.0.1:1"), ("COUNTERSIGN_SERVER__LISTEN", "127.0.0.1:2")])
            .unwrap_err();
        assert_eq!(
            error,
            "environment variables COUNTERSIGN_LISTEN and COUNTERSIGN_SERVER__LISTEN set the same thing: keep one"
        );
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let error = load(
            "[jwt]\nttl_seconds = 'long'\n[replay]\ndurability = 'none'\n[oauth]\nverifier_attempts = 0\nremember_consent = 'yes'\n[tls]\ncertificate = 'a.pem'\n[[route]]\nmethods = ['basik']\n",
            &[("COUNTERSIGN_SESSION__TTL_SECONDS", "soon")],
        )
        .unwrap_err();
        for part in [
            "line 2: `jwt.ttl_seconds`: should be a whole number from 1 to 2592000, not text",
            "line 4: `replay.durability`: should be one of `power`, `process`",
            "line 6: `oauth.verifier_attempts`: should be a whole number from 1 to 100, not the number 0",
            "line 7: `oauth.remember_consent`: should be true or false, not text",
            "`tls.certificate` and `tls.private_key` go together",
            "line 10: `route.path` is missing",
            "line 11: `route.methods`: should be one of `oauth1`",
            "environment variable COUNTERSIGN_SESSION__TTL_SECONDS: `session.ttl_seconds`: should be a whole number",
            "the configuration has 8 problems:",
        ] {
            assert!(error.contains(part), "{part}\n{error}");
        }
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line() {
        let error = load("[server]\nlisten = \n", &[]).unwrap_err();
        assert!(error.contains("line 2: this is not TOML"), "{error}");
        let error = load("[server]\nlisten = '127.0.0.1:1'\nlisten = '127.0.0.1:2'\n", &[]).unwrap_err();
        assert!(error.contains("line 3"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let sources = Sources { file: Some("/nonexistent/countersign.toml".into()), ..Sources::default() };
        assert!(Configuration::load(sources).unwrap_err().to_string().contains("/nonexistent/countersign.toml"));
    }

    #[test]
    fn a_route_reads_as_the_documentation_writes_it() {
        let text = r#"
            [[route]]
            path = "/v2/**"
            hosts = ["api-*.example.com"]
            methods = ["oauth1", "basic", "api_key", "digest", "jwt", "session", "cookies", "oauth1_two_legged"]
            client_key = "optional"
            scopes = { GET = ["account:read"], "*" = ["account:write"] }
            require_user_agent = true
            require_tls = true
            body_hash = "report"
            cors_origins = ["https://app.example.com", "*"]
            raw_paths = true
            challenges = ["basic", "digest-md5"]
            [[scope]]
            name = "account:read"
            title = "See your account"
            titles = { de = "Ihr Konto sehen" }
        "#;
        let configuration = load(text, &[]).unwrap();
        let [route] = configuration.routes.as_slice() else { panic!("one route") };
        assert_eq!(route.path.as_str(), "/v2/**");
        assert_eq!(route.methods.len(), Way::ALL.len());
        assert_eq!((route.client_key, route.body_hash), (ClientKeyRule::Optional, BodyHashRule::Report));
        assert!(route.require_user_agent && route.require_tls && route.raw_paths);
        assert_eq!(route.challenges.as_deref(), Some([Challenge::Basic, Challenge::DigestMd5].as_slice()));
        let [scope] = configuration.scopes.as_slice() else { panic!("one scope") };
        assert_eq!((scope.name.as_str(), scope.titles[0].0.as_str()), ("account:read", "de"));
    }

    #[test]
    fn what_is_no_scope_is_named_with_its_line_and_key() {
        let error = load("[[route]]\npath = '/'\n[route.scopes]\nGET = ['a:b', 'account']\n", &[]).unwrap_err();
        assert!(error.contains("line 4: `route.scopes.GET`: should be a scope, noun:verb"), "{error}");
        let many: Vec<String> = (0..129).map(|number| format!("'a:{number}'")).collect();
        let error = load(&format!("[[route]]\npath = '/'\nscopes = {{ GET = [{}] }}\n", many.join(",")), &[]);
        assert!(error.unwrap_err().contains("`route.scopes.GET`: at most 128 scopes"));
        let error = load("[[scope]]\nname = 'account'\n", &[]).unwrap_err();
        assert!(error.contains("line 2: `scope.name`: should be a scope"), "{error}");
    }

    #[test]
    fn spans_and_sizes_may_be_as_small_as_one() {
        let configuration = load("[session]\nttl_seconds = 1\n[gateway]\nbuffer_bytes = 1\n", &[]).unwrap();
        assert_eq!((configuration.session.ttl_seconds, configuration.gateway.buffer_bytes), (1, 1));
        assert!(load("[session]\nttl_seconds = 0\n", &[]).unwrap_err().contains("from 1 to"));
        assert!(load("[gateway]\nbuffer_bytes = 0\n", &[]).unwrap_err().contains("from 1 to"));
    }

    #[test]
    fn an_unknown_key_in_a_route_is_named_as_the_file_writes_it() {
        let error = load("[[route]]\npath = '/'\nclient_keys = 'required'\n", &[]).unwrap_err();
        assert!(error.contains("line 3: unknown key `route.client_keys`; did you mean `route.client_key`?"), "{error}");
    }

    #[test]
    fn postgres_wants_a_master_key_and_a_master_key_stays_out_of_the_file() {
        let error = load("master_key = 'x'\n[database]\nurl = 'postgres://u:hunter2@h/d'\n", &[]).unwrap_err();
        assert!(
            error.contains("COUNTERSIGN_MASTER_KEY_FILE")
                && error.contains("line 1: `master_key`: it does not belong in the file"),
            "{error}"
        );
        assert!(!error.contains("hunter2"));
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let configuration = load(
            "[database]\nurl = 'postgres://u:hunter2@h/d'\n[redis]\nurl = 'redis://:hunter3@h'\n",
            &[("COUNTERSIGN_MASTER_KEY", "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=")],
        )
        .unwrap();
        let text = format!("{configuration:?}");
        assert!(!text.contains("hunter2") && !text.contains("hunter3") && !text.contains("QUFB"), "{text}");
    }
}
