//! What never reaches the upstream: credentials, and headers that only we may write.
//!
//! A secret that the upstream does not need can't leak from its logs. Everything else stays byte for byte as it was
//! sent. Nothing is judged here: by now the request was admitted.

use std::borrow::Cow;

use crate::auth::cookies::{COMPANY_NAME, MEMBER_HASH, MEMBER_ID};
use crate::auth::session::{COOKIE, CSRF_FIELD, VISITOR_COOKIE};
use crate::config::{ClientKeyRule, HttpAuthSettings, SessionQuery, Way};
use crate::policy::Route;
use crate::protocol::encoding::{Plus, decode};
use crate::protocol::oauth::mentions_oauth;

/// Headers of one connection and not of the message (RFC 9110 §7.6.1), besides those that `Connection` names.
/// The length is made anew.
const OF_THE_CONNECTION: [&str; 10] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers that name another path than the request line: some readers believe them (IIS, Symfony, Zend), and no route has
/// judged that path.
pub const OTHER_PATHS: [&str; 3] = ["x-original-url", "x-original-uri", "x-rewrite-url"];

/// Which parts of a request are credentials, by the configuration.
#[derive(Clone)]
pub struct Withheld {
    client_key_headers: Vec<String>,
    client_key_query: Vec<String>,
    session_query: SessionQuery,
}

/// Which of our credentials the route could have read.
#[derive(Clone, Copy)]
pub struct Reads {
    /// Client keys; a route that ignores them leaves these names to the upstream.
    pub client_key: bool,
    /// The three cookies of a member.
    pub member_cookies: bool,
}

impl Reads {
    /// What this one could have read.
    pub fn of(route: &Route) -> Self {
        let admission = route.admission();
        Self {
            client_key: match admission.client_key {
                ClientKeyRule::Required | ClientKeyRule::Optional => true,
                ClientKeyRule::Ignored => false,
            },
            member_cookies: admission.admits(Way::Cookies),
        }
    }
}

/// The cookies of a member that say who it is; where no route reads them, their names are the upstream's.
const MEMBER_COOKIES: [&str; 2] = [COMPANY_NAME, MEMBER_ID];

impl Withheld {
    /// By these settings.
    pub fn new(settings: &HttpAuthSettings) -> Self {
        Self {
            client_key_headers: settings.lower_client_key_headers(),
            client_key_query: settings.client_key_query.iter().map(|name| name.as_str().to_owned()).collect(),
            session_query: settings.session_query.clone(),
        }
    }

    /// Whether this header is a credential, one that only we may write, or one that talks around the routes. `name`: as it was sent, in any case.
    ///
    /// `_` and every other sign count as `-`, because CGI and its heirs can't tell them apart (RFC 3875 §4.1.18).
    pub fn header(&self, name: &str, reads: Reads) -> bool {
        spells(name, "authorization")
            || spells_start(name, "x-auth-")
            || names_another_path(name)
            || (reads.client_key && self.client_key_headers.iter().any(|known| spells(name, known)))
    }

    /// The query without credentials; `None` when nothing is left of it.
    pub fn query<'a>(&self, query: &'a str, reads: Reads) -> Option<Cow<'a, str>> {
        let left = without(query, '&', |pair| self.is_credential(pair, reads));
        (!left.is_empty() || query.is_empty()).then_some(left)
    }

    /// The `Cookie` header without our cookies; `None` when nothing is left of it.
    pub fn cookies<'a>(&self, cookies: &'a str, reads: Reads) -> Option<Cow<'a, str>> {
        let left = without(cookies, ';', |pair| {
            let name = pair.split('=').next().unwrap_or_default().trim();
            [COOKIE, VISITOR_COOKIE].contains(&name)
                // A secret wherever it is sent: it is good as a password too.
                || name == MEMBER_HASH
                || (reads.member_cookies && MEMBER_COOKIES.contains(&name))
        });
        let left = match left {
            Cow::Borrowed(all) => Cow::Borrowed(all.trim()),
            Cow::Owned(some) => Cow::Owned(some.trim().to_owned()),
        };
        (!left.is_empty()).then_some(left)
    }

    fn is_credential(&self, pair: &str, reads: Reads) -> bool {
        if mentions_oauth(pair) {
            return true;
        }
        let Some((name, value)) = pair.split_once('=') else { return false };
        let is_named = |known: &String| decode(name, Plus::IsSpace).is_ok_and(|name| *name == *known.as_bytes());
        (reads.client_key && self.client_key_query.iter().any(is_named)) || self.session_query.asks(name, value)
    }
}

/// A form body without its protocol parameters (RFC 5849 §3.5.2), and without the proof that a session's form is not forged; borrowed
/// when it has neither.
pub fn form(body: &str, by_session: bool) -> Cow<'_, str> {
    let is_proof = |pair: &str| by_session && pair.split('=').next() == Some(CSRF_FIELD);
    without(body, '&', |pair| mentions_oauth(pair) || is_proof(pair))
}

/// Whether this header belongs to the connection and ends at each hop. `named`: the values of `Connection`.
pub fn ends_here<'a>(name: &str, named: impl Iterator<Item = &'a str>) -> bool {
    OF_THE_CONNECTION.iter().any(|known| spells(name, known))
        || named.flat_map(|list| list.split(',')).any(|option| option.trim().eq_ignore_ascii_case(name))
}

/// Whether this header says where a request came from: only proxies that we trust may write it.
pub fn is_forwarding(name: &str) -> bool {
    spells_start(name, "x-forwarded-") || spells(name, "forwarded") || spells(name, "x-real-ip")
}

/// Whether some readers take the path from this header instead of the request line.
pub(super) fn names_another_path(name: &str) -> bool {
    OTHER_PATHS.iter().any(|known| spells(name, known))
}

/// Whether CGI and its heirs would read `name` as `known`, which is in small letters with hyphens.
fn spells(name: &str, known: &str) -> bool {
    name.len() == known.len() && spells_start(name, known)
}

pub(super) fn spells_start(name: &str, known: &str) -> bool {
    name.len() >= known.len()
        && name.bytes().zip(known.bytes()).all(|(sent, known)| {
            let read = if sent.is_ascii_alphanumeric() { sent.to_ascii_lowercase() } else { b'-' };
            let known = if known.is_ascii_alphanumeric() { known } else { b'-' };
            read == known
        })
}

/// `list` without the elements that are `unwanted`; what stays keeps its bytes.
fn without(list: &str, separator: char, unwanted: impl Fn(&str) -> bool) -> Cow<'_, str> {
    if !list.split(separator).any(&unwanted) {
        return Cow::Borrowed(list);
    }
    let mut left = String::with_capacity(list.len());
    for (place, element) in list.split(separator).filter(|element| !unwanted(element)).enumerate() {
        if place > 0 {
            left.push(separator);
        }
        left.push_str(element);
    }
    Cow::Owned(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Configuration;

    const ALL: Reads = Reads { client_key: true, member_cookies: true };
    const NOTHING: Reads = Reads { client_key: false, member_cookies: false };

    fn withheld() -> Withheld {
        Withheld::new(&Configuration::default().http_auth)
    }

    #[test]
    fn identity_headers_are_withheld_in_any_spelling() {
        for name in
            ["X-Auth-Account", "x_auth_account", "X-AUTH_Account", "x.auth-scopes", "X-Auth-Anything", "Authorization"]
        {
            assert!(withheld().header(name, NOTHING), "{name}");
        }
        for name in ["X-Author", "X-Authentication", "Accept", "X-Client-Key"] {
            assert!(!withheld().header(name, NOTHING), "{name}");
        }
        assert!(withheld().header("X_Client-Key", ALL));
    }

    #[test]
    fn a_query_without_credentials_stays_byte_for_byte() {
        for query in ["", "a", "a=%2f&&b=+&=", "auth=other", "xoauth_token=1", "%zz"] {
            assert_eq!(withheld().query(query, ALL).as_deref(), Some(query));
        }
    }

    #[test]
    fn credentials_in_the_query_are_taken_out_and_the_rest_keeps_its_bytes() {
        let query = "a=%2F&oauth_token=t&client_key=k&b=+&auth=session&oauth%5Fnonce=n";
        assert_eq!(withheld().query(query, ALL).as_deref(), Some("a=%2F&b=+"));
        assert_eq!(withheld().query("oauth_token=t&oauth_signature=s", ALL), None);
        assert_eq!(withheld().query("&a=1&&client_key=&b=&&", ALL).as_deref(), Some("&a=1&&b=&&"));
        assert_eq!(withheld().query("client_key=k", NOTHING).as_deref(), Some("client_key=k"));
    }

    #[test]
    fn our_cookies_are_taken_out_of_the_header() {
        let take = |cookies, reads| withheld().cookies(cookies, reads).map(Cow::into_owned);
        assert_eq!(take("a=1; countersign_session=s; b=2", ALL).as_deref(), Some("a=1; b=2"));
        assert_eq!(take("countersign_session=s", ALL), None);
        assert_eq!(take("memberHash=h; a=1", ALL).as_deref(), Some("a=1"));
        assert_eq!(take("memberHash=h; memberId=m; a=1", ALL).as_deref(), Some("a=1"));
        assert_eq!(take("memberHash=h; memberId=m; a=1", NOTHING).as_deref(), Some("memberId=m; a=1"));
    }

    #[test]
    fn a_form_loses_its_protocol_parameters_alone() {
        assert_eq!(form("a=1&oauth_token=t&b=%20", false), "a=1&b=%20");
        assert!(matches!(form("a=1&b=2", true), Cow::Borrowed("a=1&b=2")));
        assert_eq!(form("a=1&csrf_token=t", true), "a=1");
        assert_eq!(form("a=1&csrf_token=t", false), "a=1&csrf_token=t");
    }

    #[test]
    fn headers_that_connection_names_end_here() {
        assert!(ends_here("X-Hop", ["close, x-hop"].into_iter()));
        assert!(ends_here("TE", std::iter::empty()));
        assert!(!ends_here("X-Other", ["close, x-hop"].into_iter()));
    }

    #[test]
    fn forwarding_headers_are_known_in_any_spelling() {
        assert!(is_forwarding("X_Forwarded-For") && is_forwarding("Forwarded") && is_forwarding("x-real_ip"));
        assert!(!is_forwarding("X-Forward"));
    }
}
