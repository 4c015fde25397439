//! Routes: which credentials, scopes and conditions a path and method need. The first that matches decides.
//!
//! A path is judged as every reader behind us may read it: decoded, and also without `;parameters` and without regard
//! to case. Where two readings would be decided by different routes, the request is refused instead of guessed at.
//! Who is calling is not decided here.

use std::borrow::Cow;

use crate::auth::verdict::{Admission, Identity, Refusal, Rejection};
use crate::config::route::CorsOrigin;
use crate::config::{Challenge, ClientKeyRule, MethodName, RouteSettings, Way};
use crate::domain::scope::Scopes;
use crate::protocol::base_string::split_authority;
use crate::protocol::encoding::{self, Plus};
use crate::protocol::request::{ReceivedRequest, UriScheme};

/// All routes, in the order of the configuration.
pub struct Policy {
    routes: Vec<Route>,
    management: Route,
    /// Whether a pattern has capitals: then a path in small letters may be another route's to a reader who ignores case.
    has_capitals: bool,
}

/// One `[[route]]`, ready to be asked.
pub struct Route {
    path: PathPattern,
    hosts: Vec<String>,
    admission: Admission,
    scopes: Vec<(String, Scopes)>,
    require_user_agent: bool,
    require_tls: bool,
    raw_paths: bool,
    cors_origins: Vec<CorsOrigin>,
    challenges: Vec<Challenge>,
}

impl Policy {
    /// From the settings; `digest` is `http_auth.digest`.
    pub fn new(settings: &[RouteSettings], digest: bool) -> Self {
        let routes: Vec<_> = settings.iter().map(|settings| Route::new(settings, digest)).collect();
        let has_capitals = routes.iter().any(|route| route.path.exact != route.path.loose);
        Self { routes, management: management(), has_capitals }
    }

    /// What the management API admits, whatever the routes say.
    pub const fn management(&self) -> &Route {
        &self.management
    }

    /// The route that decides about this request, after the checks that need no credential, in this order:
    /// path, route, TLS, User-Agent.
    ///
    /// # Errors
    /// [`Refusal::Target`], [`Refusal::NoRoute`], [`Refusal::TlsRequired`], [`Refusal::UserAgentRequired`].
    pub fn route(&self, request: &ReceivedRequest<'_>) -> Result<&Route, Rejection> {
        if request.method == "CONNECT" {
            return Err(Refusal::Target("CONNECT asks for a tunnel, and there is none here").into());
        }
        let odd = odd_path(request.path);
        let host = split_authority(request.authority).0;
        let found = self.find(host, request.path, Reading::Exact);
        if let Some(oddity) = odd
            && !found.is_some_and(|position| self.routes.get(position).is_some_and(|route| route.raw_paths))
        {
            return Err(Refusal::Target(oddity).into());
        }
        // A route that takes paths as they are speaks for itself, and not for what lies behind its dots.
        if odd.is_some()
            && resolved(request.path).is_some_and(|resolved| self.find(host, &resolved, Reading::Loose) != found)
        {
            return Err(Refusal::Target("dot or empty segments in the path lead to another rule").into());
        }
        let position = found.ok_or(Refusal::NoRoute)?;
        let reads_differ = |octet: u8| octet == b';' || octet == b'%' || octet.is_ascii_uppercase();
        if odd.is_none()
            && (self.has_capitals || request.path.bytes().any(reads_differ))
            && self.find(host, request.path, Reading::Loose) != Some(position)
        {
            return Err(Refusal::Target("parameters or letter case in the path lead to another rule").into());
        }
        let route = self.routes.get(position).ok_or(Refusal::NoRoute)?;
        if route.require_tls && !request.is_by_tls() {
            let reason = match request.scheme {
                UriScheme::Https => {
                    "a trusted proxy says http, though server.public_url is https: let it send X-Forwarded-Proto as the client came"
                }
                UriScheme::Http => "",
            };
            return Err(Rejection::because(Refusal::TlsRequired, reason));
        }
        if route.require_user_agent && request.headers.user_agent.is_none() {
            return Err(Refusal::UserAgentRequired.into());
        }
        Ok(route)
    }

    /// The positions of the routes that no request for this host can reach, whatever its path.
    pub fn closed_to(&self, host: &str) -> Vec<usize> {
        let closed = |(position, route): (usize, &Route)| (!route.admits_host(host)).then_some(position);
        self.routes.iter().enumerate().filter_map(closed).collect()
    }

    fn find(&self, host: &str, path: &str, reading: Reading) -> Option<usize> {
        let path = Segments::of(path, reading);
        self.routes.iter().position(|route| route.admits_host(host) && route.path.matches(&path.0, reading))
    }
}

impl Route {
    fn new(settings: &RouteSettings, digest: bool) -> Self {
        let ways = settings.ways(digest);
        let named = |(method, scopes): &(MethodName, Scopes)| (method.as_str().to_owned(), scopes.clone());
        Self {
            path: PathPattern::new(&settings.path),
            hosts: settings.hosts.iter().map(|host| host.as_str().to_ascii_lowercase()).collect(),
            scopes: settings.scopes.iter().map(named).collect(),
            require_user_agent: settings.require_user_agent,
            require_tls: settings.require_tls,
            raw_paths: settings.raw_paths,
            cors_origins: settings.cors_origins.clone(),
            challenges: settings.challenges.clone().unwrap_or_else(|| usual_challenges(&ways)),
            admission: Admission { ways, client_key: settings.client_key, body_hash: settings.body_hash },
        }
    }

    /// What `auth` has to know of this route.
    pub const fn admission(&self) -> &Admission {
        &self.admission
    }

    /// The challenges of a 401, in order.
    pub fn challenges(&self) -> &[Challenge] {
        &self.challenges
    }

    /// Whether browsers' scripts of other origins are spoken of at all.
    pub const fn has_cors(&self) -> bool {
        !self.cors_origins.is_empty()
    }

    /// The value of `Access-Control-Allow-Origin` for a browser's script from this origin, if it may call.
    pub fn allows_origin(&self, origin: &str) -> bool {
        self.cors_origins.iter().any(|allowed| match allowed {
            CorsOrigin::Any => true,
            CorsOrigin::Origin(allowed) => allowed.to_string() == origin,
        })
    }

    /// Whether the identity's scopes suffice for this request: the last question of all.
    ///
    /// A request may say that it means another method than it was sent with, and some frameworks believe it: it needs the
    /// scopes of every method that any reader could take it for.
    ///
    /// # Errors
    /// [`Refusal::ScopeMissing`], which names those that are missing.
    pub fn permits_request(&self, identity: &Identity, request: &ReceivedRequest<'_>) -> Result<(), Rejection> {
        self.permits(identity, request.method)?;
        if self.scopes.is_empty() {
            return Ok(());
        }
        if request.is_unreadable_form() {
            // It may mean any of them.
            return self.scopes.iter().try_for_each(|(method, _)| self.permits(identity, method));
        }
        request.meant_methods().iter().try_for_each(|method| self.permits(identity, method))
    }

    /// As [`Self::permits_request`], for one method.
    fn permits(&self, identity: &Identity, method: &str) -> Result<(), Rejection> {
        let needed = match self.scopes_for(method) {
            Some(needed) => needed,
            None => return Ok(()),
        };
        let missing: Vec<_> =
            needed.iter().filter(|scope| !identity.scopes().contains(scope)).map(|scope| scope.as_str()).collect();
        if missing.is_empty() { Ok(()) } else { Err(identity.lacks(missing.join(" ")).into()) }
    }

    /// HEAD counts as GET; `*` is for methods that are not named. Case is ignored, because some readers behind us do it.
    fn scopes_for(&self, method: &str) -> Option<&Scopes> {
        let method = if method.eq_ignore_ascii_case("HEAD") { "GET" } else { method };
        let named = |name: &str| {
            self.scopes.iter().find(|(named, _)| named.eq_ignore_ascii_case(name)).map(|(_, scopes)| scopes)
        };
        named(method).or_else(|| named("*"))
    }

    /// A final dot names the same host (RFC 3986 §3.2.2), and servers of many hosts drop it.
    fn admits_host(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.hosts.is_empty() || self.hosts.iter().any(|pattern| glob(pattern, &host.to_ascii_lowercase()))
    }
}

/// Passwords need no client key here: what manages clients can't wait for one. A login counts too, which `auth=session`
/// or its cookie alone may present.
fn management() -> Route {
    let settings = RouteSettings {
        methods: vec![Way::OAuth1, Way::OAuth1TwoLegged, Way::Basic, Way::ApiKey, Way::Jwt, Way::Session],
        client_key: ClientKeyRule::Ignored,
        ..RouteSettings::for_every_path()
    };
    Route::new(&settings, false)
}

/// One challenge for each admitted scheme, strongest first.
fn usual_challenges(ways: &[Way]) -> Vec<Challenge> {
    let only_cookies = !ways.is_empty() && ways.iter().all(|way| matches!(way, Way::Session | Way::Cookies));
    let is_due =
        |challenge: &Challenge| challenge.asks_for_any(ways) && (*challenge != Challenge::Cookie || only_cookies);
    Challenge::ALL.iter().copied().filter(is_due).collect()
}

/// How strictly a path is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Decoded, nothing else.
    Exact,
    /// Decoded, `;parameters` dropped, letter case ignored: as some servers behind us would read it.
    Loose,
}

/// What makes a path one that different readers read differently; `None` for an ordinary one.
fn odd_path(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        return Some("the path does not begin with a slash");
    }
    if path.bytes().any(|octet| octet == b'\\' || octet == 0) {
        return Some("a backslash or NUL in the path");
    }
    // No client sends one (RFC 9112 §3.2), and some readers take it for the path's end.
    if path.contains('#') {
        return Some("a # in the path");
    }
    if path.contains('%') {
        let Ok(decoded) = encoding::decode(path, Plus::IsPlus) else {
            return Some("an invalid percent escape in the path");
        };
        if decoded.iter().filter(|octet| **octet == b'/').count() != path.matches('/').count() {
            return Some("an encoded slash in the path");
        }
        if decoded.contains(&b'\\') {
            return Some("an encoded backslash in the path");
        }
        // Some readers end a path at one: at NUL, or at a line's end.
        if decoded.iter().any(u8::is_ascii_control) {
            return Some("an encoded control character in the path");
        }
        // To some readers they are dots and slashes.
        if decoded.windows(2).any(is_overlong) {
            return Some("an overlong UTF-8 escape in the path");
        }
    }
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let mut segments = inner.split('/').filter(|_| path != "/");
    segments.find_map(|segment| {
        let decoded = encoding::decode(segment, Plus::IsPlus).unwrap_or(Cow::Borrowed(b""));
        // A reader that drops ";parameters" sees a dot segment in "..;x" too.
        let name = decoded.split(|octet| *octet == b';').next().unwrap_or_default();
        match name {
            b"" => Some("an empty segment in the path"),
            b"." | b".." => Some("a dot segment in the path"),
            _ => None,
        }
    })
}

/// Whether two octets begin a character of UTF-8 that has a shorter form (RFC 3629 §10).
fn is_overlong(octets: &[u8]) -> bool {
    matches!(octets, [0xC0 | 0xC1, 0x80..=0xBF] | [0xE0, 0x80..=0x9F] | [0xF0, 0x80..=0x8F])
}

/// The path as readers take it that decode it first, drop `;parameters`, and then resolve dots and empty segments; `None` where there is
/// nothing to resolve.
fn resolved(path: &str) -> Option<String> {
    let decoded = encoding::decode(path, Plus::IsPlus).unwrap_or(Cow::Borrowed(path.as_bytes()));
    let decoded = String::from_utf8_lossy(&decoded);
    let mut segments = Vec::new();
    let mut differs = false;
    for segment in decoded.split(['/', '\\']).skip(1) {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => differs = true,
            ".." => {
                segments.pop();
                differs = true;
            }
            name => segments.push(name),
        }
    }
    // A slash at the end is nothing to resolve, but here it does no harm.
    differs.then(|| format!("/{}", segments.join("/")))
}

/// The decoded segments of a path; a final slash adds none.
struct Segments<'a>(Vec<Cow<'a, str>>);

impl<'a> Segments<'a> {
    fn of(path: &'a str, reading: Reading) -> Self {
        let inner = path.strip_prefix('/').unwrap_or(path);
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        if inner.is_empty() {
            return Self(Vec::new());
        }
        Self(inner.split('/').map(|segment| read_segment(segment, reading)).collect())
    }
}

fn read_segment(segment: &str, reading: Reading) -> Cow<'_, str> {
    let decoded = match encoding::decode(segment, Plus::IsPlus) {
        Ok(Cow::Borrowed(_)) | Err(_) => Cow::Borrowed(segment),
        Ok(Cow::Owned(octets)) => Cow::Owned(String::from_utf8_lossy(&octets).into_owned()),
    };
    match reading {
        Reading::Exact => decoded,
        Reading::Loose => Cow::Owned(fold(decoded.split(';').next().unwrap_or_default())),
    }
}

/// Without letter case: in capitals first, because `ſ` is an `S` there.
fn fold(text: &str) -> String {
    text.to_uppercase().to_lowercase()
}

/// `*` is any text within one segment, `**` any number of segments, also none.
struct PathPattern {
    exact: Vec<String>,
    loose: Vec<String>,
}

impl PathPattern {
    fn new(text: &str) -> Self {
        let exact = Segments::of(text, Reading::Exact).0.into_iter().map(Cow::into_owned).collect::<Vec<_>>();
        Self { loose: exact.iter().map(|segment| fold(segment)).collect(), exact }
    }

    fn matches(&self, path: &[Cow<'_, str>], reading: Reading) -> bool {
        match reading {
            Reading::Exact => matches_segments(&self.exact, path),
            Reading::Loose => matches_segments(&self.loose, path),
        }
    }
}

fn matches_segments(pattern: &[String], path: &[Cow<'_, str>]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((any, rest)), _) if any == "**" => {
            rest.is_empty() || (0..=path.len()).any(|skip| matches_segments(rest, path.get(skip..).unwrap_or_default()))
        }
        (Some(_), None) => false,
        (Some((first, rest)), Some((segment, behind))) => glob(first, segment) && matches_segments(rest, behind),
    }
}

/// Whether `text` is `pattern`, in which each `*` stands for any characters, also none.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            if after.is_empty() {
                return true;
            }
            rest.char_indices()
                .map(|(position, _)| position)
                .chain([rest.len()])
                .any(|position| rest.get(position..).is_some_and(|rest| glob(after, rest)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern_matches(pattern: &str, path: &str) -> bool {
        PathPattern::new(pattern).matches(&Segments::of(path, Reading::Exact).0, Reading::Exact)
    }

    #[test]
    fn one_star_is_one_segment_and_two_are_any_number_also_none() {
        assert!(pattern_matches("/v2/**", "/v2"));
        assert!(pattern_matches("/v2/**", "/v2/"));
        assert!(pattern_matches("/v2/**", "/v2/a/b"));
        assert!(!pattern_matches("/v2/**", "/v20"));
        assert!(pattern_matches("/a/*/c", "/a/b/c"));
        assert!(!pattern_matches("/a/*/c", "/a/c"));
        assert!(!pattern_matches("/a/*", "/a/b/c"));
        assert!(pattern_matches("/**/c", "/a/b/c"));
        assert!(pattern_matches("/**", "/"));
        assert!(pattern_matches("/a/x-*", "/a/x-1"));
    }

    #[test]
    fn an_escaped_letter_is_matched_as_the_letter() {
        assert!(pattern_matches("/admin/**", "/%61dmin/x"));
    }

    #[test]
    fn odd_paths_are_named_and_ordinary_ones_are_not() {
        for path in ["/", "/a", "/a/", "/a/b.c", "/a;x=1/b", "/%C3%A4", "/...", "/a%20b"] {
            assert_eq!(odd_path(path), None, "{path}");
        }
        for path in
            ["/a//b", "//", "/.", "/a/..", "/%2e%2E/x", "/a/..;x/b", "/a%2fb", "/a\\b", "/a%5cb", "/a%00", "/%zz", "*"]
        {
            assert!(odd_path(path).is_some(), "{path}");
        }
    }

    #[test]
    fn a_route_is_closed_to_the_hosts_that_it_does_not_name() {
        let hosts = |patterns: &[&str]| RouteSettings {
            hosts: patterns.iter().map(|pattern| pattern.parse().unwrap()).collect(),
            ..RouteSettings::for_every_path()
        };
        let routes = [hosts(&["a.example", "b.example"]), hosts(&["B.*"]), hosts(&[])];
        let policy = Policy::new(&routes, false);
        assert_eq!(policy.closed_to("a.example"), [1]);
        assert_eq!(policy.closed_to("b.example"), [0; 0]);
        assert_eq!(policy.closed_to("c.example"), [0, 1]);
    }

    #[test]
    fn a_host_pattern_holds_stars_anywhere() {
        assert!(glob("api-*.example.com", "api-eu.example.com"));
        assert!(!glob("api-*.example.com", "api-eu.example.org"));
        assert!(glob("*", ""));
        assert!(!glob("a*b*c", "acb"));
    }
}
