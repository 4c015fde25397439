//! The checks that only the API can answer: what it hears of a request that was admitted. They need `--echo`.

use super::Finding;
use super::checks::{bad, good, unknown};
use super::patient::{Asked, EXTERNAL_ID, Patient, Place};
use super::wire::{Arrived, Echo};
use crate::auth::session::{COOKIE, VISITOR_COOKIE};
use crate::config::PlaintextRule;
use crate::gateway::{identity_headers, withheld};
use crate::protocol::oauth::mentions_oauth;
use crate::protocol::signature::SignatureMethod;

/// What a client writes where only others should.
const FORGED: &str = "forged";

impl Patient {
    /// Each identity header is Countersign's, whatever the client sends, in whatever spelling.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn identity_arrives_and_can_not_be_forged(
        &self,
        check: &'static str,
        forms_come: bool,
    ) -> anyhow::Result<Finding> {
        let Some(echo) = &self.echo else { return Ok(unheard(check)) };
        for asked in self.each_usual(forms_come) {
            if let Some(found) = self.identity_is_wrong(check, echo, asked).await? {
                return Ok(found);
            }
        }
        Ok(good(check))
    }

    /// What is wrong with the identity in a request of this kind.
    async fn identity_is_wrong(
        &self,
        check: &'static str,
        echo: &Echo,
        asked: Asked<'_>,
    ) -> anyhow::Result<Option<Finding>> {
        let names = || identity_headers::NAMES.into_iter().chain([identity_headers::ASSERTION]);
        let change = "the proxy must set every X-Auth header from Countersign's answer, also the empty ones, and drop \
                      names with underscores or dots: see docs/deploy (nginx-njs: countersign.js and its js_var for \
                      forms)";
        let what = asked.with_what();
        // Countersign refuses these spellings where the proxy hands them over; what passes must have lost them.
        for sign in ["_", "."] {
            let spelled = |name: &str| [name.replace('-', sign), name.replacen("x-auth-", &format!("x-auth{sign}"), 1)];
            let spelled: Vec<String> = names().flat_map(spelled).collect();
            let headers: Vec<_> = spelled.iter().map(|name| (name.as_str(), FORGED)).collect();
            self.signed(Asked { more: &headers, ..asked }).await?;
            if let Some(found) = echo.take().and_then(|arrived| forged(&arrived)) {
                return Ok(Some(bad(check, format!("{found}{what}"), change)));
            }
        }
        let headers: Vec<_> = names().map(|name| (name, FORGED)).collect();
        self.signed(Asked { more: &headers, ..asked }).await?;
        let Some(arrived) = echo.take() else { return Ok(Some(unreached(check))) };
        if let Some(found) = forged(&arrived) {
            return Ok(Some(bad(check, format!("{found}{what}"), change)));
        }
        if let Some(name) = self.other_identity(&arrived) {
            return Ok(Some(bad(check, format!("{name} is missing or another's{what}"), change)));
        }
        // What Connection names is for one hop (RFC 9110 §7.6.1): a proxy may take it away after it has set it.
        let named = names().collect::<Vec<_>>().join(", ");
        self.signed(Asked { more: &[("Connection", &named)], ..asked }).await?;
        let Some(arrived) = echo.take() else { return Ok(Some(unreached(check))) };
        Ok(self.other_identity(&arrived).map(|name| {
            bad(
                check,
                format!("{name} is lost{what} when the client's Connection names it"),
                "the proxy must set the X-Auth headers where Connection takes nothing away any more: for each a line \
                 header_up in Caddy's reverse_proxy",
            )
        }))
    }

    /// Some APIs take the path from a header, and no route has judged that path.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn no_other_path_arrives(&self, check: &'static str, forms_come: bool) -> anyhow::Result<Finding> {
        let Some(echo) = &self.echo else { return Ok(unheard(check)) };
        for asked in self.each_usual(forms_come) {
            self.signed(Asked { more: &withheld::OTHER_PATHS.map(|name| (name, FORGED)), ..asked }).await?;
            let Some(arrived) = echo.take() else { return Ok(unreached(check)) };
            if let Some(found) = forged(&arrived) {
                return Ok(bad(
                    check,
                    format!("{found}{}", asked.with_what()),
                    "take X-Original-URL, X-Original-URI and X-Rewrite-URL away on the way to the API: nginx \
                     proxy_set_header with \"\", Caddy request_header -X-Original* and -X-Rewrite*, Traefik \
                     customRequestHeaders, Envoy request_headers_to_remove",
                ));
            }
        }
        Ok(good(check))
    }

    /// What follows another protocol's beginning is no request, and nobody is asked about it.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn no_other_protocol_passes(&self, check: &'static str) -> anyhow::Result<Finding> {
        let Some(echo) = &self.echo else { return Ok(unheard(check)) };
        for protocol in ["h2c", "countersign-doctor"] {
            self.signed(Asked { more: &[("Connection", "Upgrade"), ("Upgrade", protocol)], ..self.usual() }).await?;
            if echo.take().is_some_and(|arrived| arrived.header("upgrade").is_some_and(|value| value == protocol)) {
                return Ok(bad(
                    check,
                    format!("the API is offered to switch to {protocol}"),
                    "take Upgrade away unless it is websocket: nginx map $http_upgrade, Caddy request_header -Upgrade, \
                     Traefik customRequestHeaders, Envoy upgrade_configs; see docs/deploy",
                ));
            }
        }
        Ok(good(check))
    }

    /// Nothing by which the API, or who reads its logs, could call in the client's place.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn credentials_stay_behind(&self, check: &'static str, forms_come: bool) -> anyhow::Result<Finding> {
        let Some(echo) = &self.echo else { return Ok(unheard(check)) };
        let cookies = format!("doctor=1; {COOKIE}=doctor; {VISITOR_COOKIE}=doctor");
        let keys = &self.configuration.http_auth.client_key_headers;
        let keys: Vec<_> = keys.iter().map(|name| name.as_str()).filter(|_| self.reads_client_keys()).collect();
        let mut beside: Vec<_> = keys.iter().map(|name| (*name, self.client_key.as_str())).collect();
        beside.push(("Cookie", &cookies));
        for asked in self.each_usual(forms_come) {
            self.signed(Asked { more: &beside, ..asked }).await?;
            let Some(arrived) = echo.take() else { return Ok(unreached(check)) };
            let arrives =
                |name: &&str| arrived.header(&name.to_ascii_lowercase()).is_some_and(|value| !value.is_empty());
            let mut seen: Vec<_> = ["Authorization"].iter().chain(&keys).copied().filter(arrives).collect();
            if arrived
                .header("cookie")
                .is_some_and(|cookies| [COOKIE, VISITOR_COOKIE].iter().any(|ours| cookies.contains(ours)))
            {
                seen.push("the login's cookie");
            }
            if !seen.is_empty() {
                let change = "take Authorization, all of http_auth.client_key_headers (X-Client-Key and X-App-Key unless \
                              set) and the countersign_ cookies away on the way to the API: see docs/deploy";
                return Ok(bad(check, format!("{} arrives{}", seen.join(", "), asked.with_what()), change));
            }
        }
        Ok(good(check))
    }

    /// Protocol parameters and client keys in the query, and protocol parameters in a form (RFC 5849 §3.5.2, §3.5.3).
    ///
    /// What stays there is a signature that was used up and a key that is no secret; but a PLAINTEXT signature is the
    /// secrets themselves (RFC 5849 §3.4.4).
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn parameters_stay_behind(&self, check: &'static str, forms_come: bool) -> anyhow::Result<Finding> {
        let Some(echo) = &self.echo else { return Ok(unheard(check)) };
        let keys = &self.configuration.http_auth.client_key_query;
        let keys: Vec<_> = keys.iter().map(|name| name.as_str()).filter(|_| self.reads_client_keys()).collect();
        let pairs: Vec<_> = keys.iter().map(|name| format!("{name}={}", self.client_key)).collect();
        let target = format!("{}?doctor=1&{}", self.path, pairs.join("&"));
        let query = Asked { place: Place::Query, ..self.usual_at(target.trim_end_matches('&')) };
        let form = Asked { place: Place::Form, ..self.usual_form() };
        for asked in [query].into_iter().chain(forms_come.then_some(form)) {
            self.signed(asked).await?;
            let Some(arrived) = echo.take() else { return Ok(unreached(check)) };
            let (place, text) = match asked.place {
                Place::Form => ("a form", arrived.body.as_str()),
                Place::Query | Place::Header => {
                    ("the query", arrived.target.split_once('?').map_or("", |(_, query)| query))
                }
            };
            let seen: Vec<_> = text
                .split('&')
                .filter(|pair| mentions_oauth(pair) || pairs.iter().any(|ours| ours == pair))
                .filter_map(|pair| pair.split('=').next())
                .collect();
            if seen.is_empty() {
                continue;
            }
            let seen = format!("in {place} the API gets {}", seen.join(", "));
            if self.takes_plaintext() {
                return Ok(bad(
                    check,
                    format!("{seen}: by PLAINTEXT, oauth_signature is the client's secrets themselves"),
                    "oauth.plaintext = \"never\"; or take the oauth_ parameters and http_auth.client_key_query out: \
                     countersign.js beside docs/deploy/nginx-njs.conf does in the query, Countersign as the proxy \
                     itself in forms too",
                ));
            }
            // Of a form there is nothing more to take away: all of it is the API's.
            if asked.place == Place::Query {
                return Ok(unknown(
                    check,
                    &format!(
                        "{seen}: used up and no secret while PLAINTEXT is refused; countersign.js beside \
                         docs/deploy/nginx-njs.conf takes them out, by the names in it"
                    ),
                ));
            }
        }
        Ok(good(check))
    }

    /// Whether a client may sign by PLAINTEXT here.
    fn takes_plaintext(&self) -> bool {
        let settings = &self.configuration.oauth;
        settings.admitted_methods().contains(&SignatureMethod::Plaintext)
            && (settings.plaintext == PlaintextRule::Always || self.scheme_and_authority().0 == "https")
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
