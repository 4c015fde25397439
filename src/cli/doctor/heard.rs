//! The checks that only the API can answer: what it hears of a request that was admitted. They need `--echo`.

use super::Finding;
use super::checks::{bad, good, unknown};
use super::patient::{Asked, EXTERNAL_ID, Patient};
use super::wire::Arrived;
use crate::auth::session::COOKIE;
use crate::gateway::{identity_headers, withheld};

/// What a client writes where only others should.
const FORGED: &str = "forged";

impl Patient {
    /// Each identity header is Countersign's, whatever the client sends, in whatever spelling.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn identity_arrives_and_can_not_be_forged(&self, check: &'static str) -> anyhow::Result<Finding> {
        let Some(echo) = &self.echo else { return Ok(unheard(check)) };
        let names = || identity_headers::NAMES.into_iter().chain([identity_headers::ASSERTION]);
        let change = "the proxy must set every X-Auth header from Countersign's answer, also the empty ones, and drop \
                      names with underscores or dots: see docs/deploy";
        // Countersign refuses these spellings where the proxy hands them over; what passes must have lost them.
        for sign in ["_", "."] {
            let spelled = |name: &str| [name.replace('-', sign), name.replacen("x-auth-", &format!("x-auth{sign}"), 1)];
            let spelled: Vec<String> = names().flat_map(spelled).collect();
            let headers: Vec<_> = spelled.iter().map(|name| (name.as_str(), FORGED)).collect();
            self.signed(Asked { more: &headers, ..self.usual() }).await?;
            if let Some(found) = echo.take().and_then(|arrived| forged(&arrived)) {
                return Ok(bad(check, found, change));
            }
        }
        let headers: Vec<_> = names().map(|name| (name, FORGED)).collect();
        self.signed(Asked { more: &headers, ..self.usual() }).await?;
        let Some(arrived) = echo.take() else { return Ok(unreached(check)) };
        if let Some(found) = forged(&arrived) {
            return Ok(bad(check, found, change));
        }
        if let Some(name) = self.other_identity(&arrived) {
            return Ok(bad(check, format!("{name} is missing or another's"), change));
        }
        // What Connection names is for one hop (RFC 9110 §7.6.1): a proxy may take it away after it has set it.
        let named = names().collect::<Vec<_>>().join(", ");
        self.signed(Asked { more: &[("Connection", &named)], ..self.usual() }).await?;
        let Some(arrived) = echo.take() else { return Ok(unreached(check)) };
        Ok(match self.other_identity(&arrived) {
            Some(name) => bad(
                check,
                format!("{name} is lost when the client's Connection names it"),
                "the proxy must set the X-Auth headers where Connection takes nothing away any more: for each a line \
                 header_up in Caddy's reverse_proxy",
            ),
            None => good(check),
        })
    }

    /// Some APIs take the path from a header, and no route has judged that path.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn no_other_path_arrives(&self, check: &'static str) -> anyhow::Result<Finding> {
        let Some(echo) = &self.echo else { return Ok(unheard(check)) };
        self.signed(Asked { more: &withheld::OTHER_PATHS.map(|name| (name, FORGED)), ..self.usual() }).await?;
        let Some(arrived) = echo.take() else { return Ok(unreached(check)) };
        Ok(match forged(&arrived) {
            Some(found) => bad(
                check,
                found,
                "take X-Original-URL, X-Original-URI and X-Rewrite-URL away on the way to the API: nginx \
                 proxy_set_header with \"\", Caddy request_header -X-Original-* and -X-Rewrite-URL, Traefik \
                 customRequestHeaders, Envoy request_headers_to_remove",
            ),
            None => good(check),
        })
    }

    /// Nothing by which the API, or who reads its logs, could call in the client's place.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn credentials_stay_behind(&self, check: &'static str) -> anyhow::Result<Finding> {
        let Some(echo) = &self.echo else { return Ok(unheard(check)) };
        let cookie = format!("doctor=1; {COOKIE}=doctor");
        let beside = [("X-Client-Key", self.client_key.as_str()), ("Cookie", cookie.as_str())];
        self.signed(Asked { more: &beside, ..self.usual() }).await?;
        let change = "take Authorization, X-Client-Key, X-App-Key and the countersign_ cookies away on the way to the \
                      API: see docs/deploy";
        let Some(arrived) = echo.take() else { return Ok(unreached(check)) };
        let arrives = |name: &str| arrived.header(name).is_some_and(|value| !value.is_empty());
        let mut seen: Vec<_> =
            ["Authorization", "X-Client-Key"].into_iter().filter(|name| arrives(&name.to_ascii_lowercase())).collect();
        if arrived.header("cookie").is_some_and(|cookies| cookies.contains(COOKIE)) {
            seen.push("the login's cookie");
        }
        Ok(if seen.is_empty() { good(check) } else { bad(check, format!("{} arrives", seen.join(", ")), change) })
    }

    /// The first identity header that does not say who is calling.
    fn other_identity(&self, arrived: &Arrived) -> Option<&'static str> {
        let expected = [
            ("x-auth-account", self.username.as_str()),
            ("x-auth-external-id", EXTERNAL_ID),
            ("x-auth-client", self.client_key.as_str()),
            ("x-auth-scopes", self.scopes.as_str()),
            ("x-auth-credential", "oauth1"),
        ];
        // A proxy may leave an empty header out.
        let other = |(name, value): &(&str, &str)| arrived.header(name).unwrap_or_default() != *value;
        expected.into_iter().find(other).map(|(name, _)| name)
    }
}

/// What a client wrote where only others should, and the API got.
fn forged(arrived: &Arrived) -> Option<String> {
    let names: Vec<_> =
        arrived.headers.iter().filter(|(_, value)| value == FORGED).map(|(name, _)| name.as_str()).collect();
    (!names.is_empty()).then(|| format!("forged headers arrive: {}", names.join(", ")))
}

fn unheard(check: &'static str) -> Finding {
    unknown(check, "only the API can tell: stop it and use --echo with its address")
}

fn unreached(check: &'static str) -> Finding {
    bad(check, "the request did not reach the API".to_owned(), "the proxy must pass requests on to --echo's address")
}
