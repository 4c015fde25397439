//! `[[route]]` and `[[scope]]`. Here a route is data: what is written, checked for form. What it means is said in `policy`.

use std::str::FromStr;

use super::origin::Origin;
use super::section::Section;
use super::values::{InvalidValue, ScopeName, Words, checked_text, words};
use crate::domain::scope::Scopes;

words! {
    /// A way in that a route admits: a word of `methods`.
    Way {
        OAuth1 = "oauth1",
        OAuth1TwoLegged = "oauth1_two_legged",
        Basic = "basic",
        ApiKey = "api_key",
        Digest = "digest",
        Jwt = "jwt",
        Session = "session",
        Cookies = "cookies",
    }
}

impl Way {
    /// What a route admits that names no methods.
    pub const USUAL: [Way; 5] = [Way::OAuth1, Way::Basic, Way::ApiKey, Way::Digest, Way::Jwt];
}

words! {
    /// Whether a password needs the client key beside it.
    ClientKeyRule {
        Required = "required",
        Optional = "optional",
        /// Never read.
        Ignored = "ignored",
    }
}

words! {
    /// What is done about `oauth_body_hash`.
    BodyHashRule {
        Required = "required",
        IfPresent = "if-present",
        Report = "report",
    }
}

words! {
    /// A line of `WWW-Authenticate` in a 401 (RFC 9110 §11.6.1), in the order in which they are sent when the route doesn't say.
    Challenge {
        DigestSha256 = "digest-sha-256",
        DigestMd5 = "digest-md5",
        Basic = "basic",
        OAuth = "oauth",
        Bearer = "bearer",
        Cookie = "cookie",
    }
}

impl Challenge {
    /// Whether one of these ways in answers it.
    pub fn asks_for_any(self, ways: &[Way]) -> bool {
        let answers: &[Way] = match self {
            Challenge::DigestSha256 | Challenge::DigestMd5 => &[Way::Digest],
            Challenge::Basic => &[Way::Basic, Way::ApiKey],
            Challenge::OAuth => &[Way::OAuth1, Way::OAuth1TwoLegged],
            Challenge::Bearer => &[Way::Jwt],
            Challenge::Cookie => &[Way::Session, Way::Cookies],
        };
        answers.iter().any(|way| ways.contains(way))
    }
}

checked_text!(
    /// An HTTP method as it stands in `scopes`: in capitals, or `*` for all that are not named.
    MethodName,
    |text| text == "*" || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-' || byte == b'_')),
    InvalidValue::Method
);

checked_text!(
    /// A host that a route is for: `*` stands for any letters.
    HostPattern,
    |text| {
        let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
        address || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte)))
    },
    InvalidValue::HostPattern
);

/// A path pattern as text, checked for form: `*` is one segment or a part of one, `**` any number of segments, also none.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PathPatternText(String);

impl PathPatternText {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for PathPatternText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl FromStr for PathPatternText {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<PathPatternText, InvalidValue> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(InvalidValue::PathPattern("it must begin with a slash"));
        };
        // A final slash is no segment, and `/` alone has none.
        let segments = match rest {
            "" => None,
            _ => Some(rest.strip_suffix('/').unwrap_or(rest)),
        };
        for segment in segments.into_iter().flat_map(|segments| segments.split('/')) {
            match segment {
                "" => return Err(InvalidValue::PathPattern("it has an empty segment")),
                "." | ".." => return Err(InvalidValue::PathPattern("it has a dot segment, which no request may have")),
                "**" => {}
                other if other.contains("**") => {
                    return Err(InvalidValue::PathPattern("`**` must be a segment of its own"));
                }
                other if other.bytes().any(|byte| byte == b'?' || byte == b'#' || !byte.is_ascii_graphic()) => {
                    return Err(InvalidValue::PathPattern(
                        "it has a query, a fragment, a space or letters that a path writes with escapes",
                    ));
                }
                _ => {}
            }
        }
        Ok(PathPatternText(text.to_owned()))
    }
}

/// `cors_origins`: an origin, or `*`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum CorsOrigin {
    Any,
    Origin(Origin),
}

impl FromStr for CorsOrigin {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<CorsOrigin, InvalidValue> {
        match text {
            "*" => Ok(CorsOrigin::Any),
            _ => text.parse().map(CorsOrigin::Origin).map_err(|_| InvalidValue::CorsOrigin),
        }
    }
}

/// One `[[route]]`. The first that fits a request's path and host decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteSettings {
    pub path: PathPatternText,
    /// Empty: any.
    pub hosts: Vec<HostPattern>,
    pub methods: Vec<Way>,
    pub client_key: ClientKeyRule,
    /// By HTTP method; `*` is for those that are not named, HEAD counts as GET.
    pub scopes: Vec<(MethodName, Scopes)>,
    pub require_user_agent: bool,
    pub require_tls: bool,
    pub body_hash: BodyHashRule,
    /// Browsers' scripts from these origins may call; their preflight needs no credential.
    pub cors_origins: Vec<CorsOrigin>,
    /// Lets odd paths (dot segments, encoded slashes …) pass to the upstream as they are.
    pub raw_paths: bool,
    /// Chooses and orders the challenges of a 401; `None`: one for each admitted scheme, in the usual order.
    pub challenges: Option<Vec<Challenge>>,
}

impl RouteSettings {
    /// The ways in of this route; `digest` is `http_auth.digest`.
    pub fn ways(&self, digest: bool) -> Vec<Way> {
        self.methods.iter().copied().filter(|way| digest || *way != Way::Digest).collect()
    }

    /// What keeps anybody from getting in, or the way in from being found; `digest` is `http_auth.digest`.
    pub(super) fn conflict(&self, digest: bool) -> Option<String> {
        let path = self.path.as_str();
        let ways = self.ways(digest);
        if ways.is_empty() {
            return Some(format!(
                "the route `{path}` admits Digest alone, and `http_auth.digest` is false: name another way in, or set it to true"
            ));
        }
        let idle = self.challenges.iter().flatten().find(|challenge| !challenge.asks_for_any(&ways))?;
        Some(format!(
            "the route `{path}` has the challenge `{}`, but nothing that it admits answers it: take it out of `challenges`, or add a way in to `methods`",
            idle.as_str()
        ))
    }

    /// The route that there is when the file has none: every path, the usual methods, client key required, no scopes.
    pub fn for_every_path() -> RouteSettings {
        RouteSettings {
            path: PathPatternText("/**".into()),
            hosts: Vec::new(),
            methods: Way::USUAL.into(),
            client_key: ClientKeyRule::Required,
            scopes: Vec::new(),
            require_user_agent: false,
            require_tls: false,
            body_hash: BodyHashRule::IfPresent,
            cors_origins: Vec::new(),
            raw_paths: false,
            challenges: None,
        }
    }

    pub(super) fn read(section: &mut Section<'_>) -> Option<RouteSettings> {
        let usual = RouteSettings::for_every_path();
        let has_path = section.has("path");
        let path = section.parsed("path");
        if !has_path {
            section.missing("path", "a route needs the path that it is for, such as path = \"/v2/**\"");
        }
        let methods = section.parsed_list("methods");
        if methods.as_ref().is_some_and(Vec::is_empty) {
            section.refuse(
                "methods",
                "it admits nobody: name at least one way in, or leave the key out for the usual ones",
            );
        }
        let challenges = section.parsed_list("challenges");
        if challenges.as_ref().is_some_and(Vec::is_empty) {
            section.refuse(
                "challenges",
                "it is empty, but a 401 must carry one (RFC 9110 §11.6.1): name some, or leave the key out",
            );
        }
        let scopes = section.named("scopes", |scopes, method| {
            let list: Vec<ScopeName> = scopes.parsed_list(method)?;
            if method == "HEAD" {
                scopes.refuse(method, "HEAD counts as GET: name the scopes of GET");
                return None;
            }
            let named = method.parse::<MethodName>().map_err(|error| error.to_string());
            let needed = Scopes::parse_each(list.iter().map(|scope| scope.as_str())).map_err(|error| error.to_string());
            named.and_then(|named| Ok((named, needed?))).map_err(|reason| scopes.refuse(method, reason)).ok()
        });
        let route = RouteSettings {
            path: path.unwrap_or(usual.path),
            hosts: section.parsed_list("hosts").unwrap_or_default(),
            methods: methods.unwrap_or(usual.methods),
            client_key: section.parsed("client_key").unwrap_or(usual.client_key),
            scopes: scopes.into_iter().map(|(_, entry)| entry).collect(),
            require_user_agent: section.boolean("require_user_agent", false),
            require_tls: section.boolean("require_tls", false),
            body_hash: section.parsed("body_hash").unwrap_or(usual.body_hash),
            cors_origins: section.parsed_list("cors_origins").unwrap_or_default(),
            raw_paths: section.boolean("raw_paths", false),
            challenges,
        };
        has_path.then_some(route)
    }
}

/// One `[[scope]]`: its sentence for the consent page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScopeSettings {
    pub name: ScopeName,
    /// The sentence where no translation fits.
    pub title: Option<Words>,
    /// Language tag → sentence.
    pub titles: Vec<(String, Words)>,
}

impl ScopeSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Option<ScopeSettings> {
        let has_name = section.has("name");
        let name = section.parsed("name");
        if !has_name {
            section.missing("name", "say which scope the sentence is for, such as name = \"account:read\"");
        }
        let title = section.parsed("title");
        let titles = section.named("titles", |titles, language| titles.parsed(language));
        name.map(|name| ScopeSettings { name, title, titles })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_pattern_has_a_form() {
        for text in ["/", "/**", "/v2/**", "/v2/", "/a/*/b", "/a/x-*/b", "/a/**/b"] {
            assert!(text.parse::<PathPatternText>().is_ok(), "{text}");
        }
        for text in ["", "v2", "/a//b", "/a/../b", "/a**", "/a?b", "/ä", "/a b", "//"] {
            assert!(text.parse::<PathPatternText>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_word_reads_back_as_itself() {
        assert!(Way::ALL.iter().all(|word| word.as_str().parse() == Ok(*word)));
        assert!(Challenge::ALL.iter().all(|word| word.as_str().parse() == Ok(*word)));
        assert!(BodyHashRule::ALL.iter().all(|word| word.as_str().parse() == Ok(*word)));
        assert!(ClientKeyRule::ALL.iter().all(|word| word.as_str().parse() == Ok(*word)));
        assert_eq!("OAuth1".parse::<Way>().unwrap_err().to_string().matches('`').count(), 2 * Way::ALL.len());
    }
}
