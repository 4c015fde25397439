//! The checks: each sends its requests and says in one finding what came of them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::patient::{Asked, Patient, SEEN_WITHIN, random};
use super::wire::{Answer, Echo};
use super::{Finding, Verdict};
use crate::cli::operator::Operator;
use crate::config::Configuration;
use crate::domain::account::Reach;
use crate::policy::Policy;
use crate::protocol::base_string::split_authority;
use crate::store::audit::{AuditFilter, Event};

const ROUTES: &str = "routes can match";
const PATH: &str = "the path arrives byte for byte";
const QUERY: &str = "the query arrives byte for byte";
const METHOD: &str = "a request is judged by its own method";
const FORM: &str = "the body of a form comes along";
const ODD_PATHS: &str = "a path that can be read in two ways is refused";
const CLAIMS: &str = "what clients say in the proxy's name is not believed";
const ADDRESS: &str = "clients do not choose their address";
const ONCE: &str = "a signed request is good for once";
const IDENTITY: &str = "the API hears who is calling, and nobody can forge it";
const OTHER_PATHS: &str = "no header tells the API another path";
const CREDENTIALS: &str = "no credential reaches the API";

/// The line to change where a path changes on its way.
const PATH_CHANGE: &str = "send the path as it came: nginx $request_uri (not $uri), proxy_pass without a path, \
                           merge_slashes off; HAProxy without normalize-uri; Envoy without normalize_path";

const QUERY_CHANGE: &str = "send the query as it came, in its order and with its empty parameters";

/// Where temporary credentials are asked for; `server.reserved_prefix` does not move it.
const INITIATE: &str = "/oauth/request_token";

/// An address of nobody's (RFC 5737).
const FORGED_ADDRESS: &str = "203.0.113.77";

/// Guesses that are tried at most.
const MOST_GUESSES: u32 = 50;

impl Patient {
    /// Everything that can be asked, in the order of the report.
    ///
    /// # Errors
    /// Nobody answers, or the server knows nothing of this database.
    pub async fn examine(&self, operator: &Operator) -> anyhow::Result<Vec<Finding>> {
        self.wait_until_seen().await?;
        let asked = self.asks_at_all().await?;
        let answer = self.signed(self.usual()).await?;
        if asked.result == Verdict::Good && matches!(answer.status, 502..=504) {
            let change =
                "start the API, or let --echo with its address stand in its place; the other checks need one of them";
            let seen = format!("{}: the API behind does not answer", answer.status);
            return Ok(vec![asked, bad("an admitted request is answered", seen, change)]);
        }
        let origin = self.origin_is_right().await?;
        // Where nothing is judged, or nothing is accepted, the rest says nothing.
        let unsigned = self.sender.send("GET", &self.url(&self.path), &[], None).await?;
        let can_tell = !unsigned.passed() && origin.result == Verdict::Good;
        let path = format!("{}/a%7Eb%20c/d;e=1/%c3%a4", self.path);
        let query = format!("{}?b=1&a=%2f%20+&a=&c&=d", self.path);
        let form = when(can_tell, FORM, self.form_comes_along()).await?;
        let forms_come = form.result == Verdict::Good;
        Ok(vec![
            asked,
            origin,
            routes_can_match(&operator.configuration)?,
            when(can_tell, METHOD, self.method_is_its_own(forms_come)).await?,
            when(can_tell, PATH, self.arrives_exactly(PATH, path, PATH_CHANGE)).await?,
            when(can_tell, QUERY, self.arrives_exactly(QUERY, query, QUERY_CHANGE)).await?,
            form,
            when(can_tell, ODD_PATHS, self.odd_paths_are_refused()).await?,
            self.authz_is_closed(&unsigned).await?,
            when(!unsigned.passed(), CLAIMS, self.claims_are_not_believed()).await?,
            when(can_tell, ADDRESS, self.address_is_its_own(operator)).await?,
            when(can_tell, ONCE, self.each_request_is_good_once()).await?,
            when(can_tell, IDENTITY, self.identity_arrives_and_can_not_be_forged(IDENTITY)).await?,
            when(can_tell, OTHER_PATHS, self.no_other_path_arrives(OTHER_PATHS)).await?,
            when(can_tell, CREDENTIALS, self.credentials_stay_behind(CREDENTIALS)).await?,
        ])
    }

    async fn asks_at_all(&self) -> anyhow::Result<Finding> {
        let answer = self.sender.send("GET", &self.url(&self.path), &[], None).await?;
        let check = "a request without a credential is refused";
        let change = match (answer.status, answer.header("x-auth-error")) {
            (401, _) => return self.asks_whatever_the_method(check).await,
            (_, Some("untrusted_proxy")) => "server.trusted_proxies: the address from which the proxy connects",
            (_, Some("metadata_missing")) => {
                "the proxy must say about what it asks: nginx X-Original-Method and X-Original-URL; else \
                 X-Forwarded-Method, -Proto, -Host and -Uri"
            }
            (500.., _) => {
                "the proxy reaches Countersign or the API no more: their addresses in its configuration, and whether \
                 they run"
            }
            (_, _) => {
                "the proxy must ask Countersign on this path: nginx auth_request, Caddy forward_auth, Traefik \
                 middlewares, Envoy ext_authz; and a [[route]] must match it"
            }
        };
        let reason = answer.header("x-auth-error").map(|reason| format!(" ({reason})")).unwrap_or_default();
        Ok(bad(check, format!("{} instead of 401{reason}", answer.status), change))
    }

    /// A configuration may ask about some methods and bodies only.
    async fn asks_whatever_the_method(&self, check: &'static str) -> anyhow::Result<Finding> {
        let requests = [
            ("POST", Some("a=1"), "POST with a form"),
            ("POST", None, "POST"),
            ("PUT", None, "PUT"),
            ("PATCH", None, "PATCH"),
            ("DELETE", None, "DELETE"),
            ("HEAD", None, "HEAD"),
            // Without the headers of a preflight it is none.
            ("OPTIONS", None, "OPTIONS"),
        ];
        for (method, form, what) in requests {
            if self.sender.send(method, &self.url(&self.path), &[], form).await?.passed() {
                let change = "the proxy must ask Countersign about every method and every body, also where it hands \
                              forms to a script, and answer no OPTIONS by itself: preflights are for a [[route]]'s \
                              cors_origins";
                return Ok(bad(check, format!("{what} passes"), change));
            }
        }
        Ok(good(check))
    }

    async fn origin_is_right(&self) -> anyhow::Result<Finding> {
        let check = "scheme and host are those that clients use";
        if self.signed(self.usual()).await?.passed() {
            return Ok(good(check));
        }
        let (scheme, authority) = self.scheme_and_authority();
        let (other, without_port) = (other_scheme(scheme), split_authority(authority).0);
        let guesses = [
            (format!("{other}://{authority}"), "the other scheme"),
            (format!("{scheme}://{without_port}"), "the host without its port"),
            (format!("{other}://{without_port}"), "the other scheme and no port"),
        ];
        for (origin, what) in &guesses {
            if self.signed(Asked { origin, ..self.usual() }).await?.passed() {
                return Ok(bad(
                    check,
                    format!("Countersign believes that it is {origin}: {what}"),
                    "set server.public_url; or in the proxy: nginx X-Original-URL $scheme://$http_host$request_uri, \
                     else X-Forwarded-Proto and X-Forwarded-Host as the client used them, and list the proxy in \
                     server.trusted_proxies",
                ));
            }
        }
        Ok(bad(
            check,
            "no signature is accepted, whatever the origin".to_owned(),
            "read the server's log: it says what it saw; metadata_missing and untrusted_proxy are said in X-Auth-Error",
        ))
    }

    /// A DELETE that is judged as GET needs the scopes of GET only. `forms_come`: whether forms are judged at all.
    async fn method_is_its_own(&self, forms_come: bool) -> anyhow::Result<Finding> {
        let check = METHOD;
        let change = "tell Countersign the client's method: nginx X-Original-Method and X-Forwarded-Method \
                      $request_method, where forms are asked about too; and hand it on to the API as it came";
        let requests = [
            ("PUT", None, "PUT"),
            ("DELETE", None, "DELETE"),
            // It may be asked about at another place of the configuration.
            ("DELETE", Some("a=1"), "DELETE with a form"),
        ];
        for (method, form, what) in requests.into_iter().filter(|(_, form, _)| form.is_none() || forms_come) {
            let answer = self.signed(Asked { method, body: form, signed_form: form, ..self.usual() }).await?;
            // 501: the API has no such method (RFC 9110 §15.6.2), so it was asked.
            if !answer.passed() && answer.status != 501 {
                return Ok(bad(check, format!("{} for a signed {what}", answer.status), change));
            }
            if let Some(arrived) = self.echo.as_ref().and_then(Echo::take)
                && arrived.method != method
            {
                return Ok(bad(check, format!("{what} became {} on the way to the API", arrived.method), change));
            }
        }
        Ok(good(check))
    }

    /// Signed for its target as it was sent; with `--echo` the API must get it so too.
    async fn arrives_exactly(
        &self,
        check: &'static str,
        target: String,
        change: &'static str,
    ) -> anyhow::Result<Finding> {
        if !self.signed(self.usual_at(&target)).await?.passed() {
            return Ok(bad(check, format!("a signature of {target} is not accepted"), change));
        }
        Ok(match self.echo.as_ref().and_then(Echo::take) {
            Some(arrived) if arrived.target != target => {
                bad(check, format!("{target} became {} on the way to the API", arrived.target), change)
            }
            Some(_) | None => good(check),
        })
    }

    async fn form_comes_along(&self) -> anyhow::Result<Finding> {
        let check = FORM;
        let form = "a=1&b=x%20y";
        let signed = Asked { method: "POST", body: Some(form), signed_form: Some(form), ..self.usual() };
        let answer = self.signed(signed).await?;
        if answer.passed() {
            return Ok(match self.echo.as_ref().and_then(Echo::take) {
                Some(arrived) if arrived.header("transfer-encoding").is_none() && arrived.body != form => bad(
                    check,
                    format!("to Countersign, but the API gets {} of {} bytes", arrived.body.len(), form.len()),
                    "whatever hands the form to Countersign must hand it to the API too",
                ),
                Some(_) | None => good(check),
            });
        }
        let change = "nginx: docs/deploy/nginx-njs.conf; Traefik: forwardBody and maxBodySize; Envoy: \
                      with_request_body; Caddy 2.11: X-Original-Body {http.request.body_base64}; or let Countersign be \
                      the proxy";
        if answer.header("x-auth-error") == Some("body_unavailable") {
            return Ok(bad(check, "body_unavailable: clients that send forms are refused".to_owned(), change));
        }
        let lost = self.signed(Asked { signed_form: None, ..signed }).await?.passed();
        let seen = if lost {
            "the form is judged as if it were empty".to_owned()
        } else {
            format!("{} for a signed form", answer.status)
        };
        Ok(bad(check, seen, change))
    }

    /// Refused for what they are. A proxy that mends them changes what was signed: the 401 for that is no such refusal.
    async fn odd_paths_are_refused(&self) -> anyhow::Result<Finding> {
        let check = ODD_PATHS;
        let odd = [
            "/../countersign-doctor",
            "/./countersign-doctor",
            "//countersign-doctor",
            "/%2e%2e/countersign-doctor",
            "/a%2fb",
        ];
        for target in odd.map(|odd| format!("{}{odd}", self.path)) {
            let answer = self.signed(self.usual_at(&target)).await?;
            let (seen, change) = match (answer.status, answer.header("x-auth-error")) {
                // Some proxies know no other refusal than 403, and some refuse by themselves.
                (400, _) | (403, None | Some("bad_request")) => continue,
                (401, _) => (format!("{target} became another path on the way to Countersign"), PATH_CHANGE),
                (_, _) if answer.passed() => (
                    format!("{target} passes"),
                    "a route with raw_paths lets them through: is that meant? Else the proxy does not hand the path \
                     over as it came",
                ),
                (status, _) => (format!("{status} for {target}"), PATH_CHANGE),
            };
            return Ok(bad(check, seen, change));
        }
        Ok(good(check))
    }

    /// `unsigned`: what a request without a credential is answered on any other path.
    async fn authz_is_closed(&self, unsigned: &Answer) -> anyhow::Result<Finding> {
        let check = "nobody outside can ask /authz";
        let usual = unsigned.header("x-auth-error");
        for path in ["/authz/nginx", "/authz/forward", "/authz/envoy/", "/authz/envoy/%zz"] {
            let answer = self.sender.send("GET", &self.url(path), &[], None).await?;
            // A proxy that asks about everything also tells why it refuses this; one that does not has nothing to tell.
            let is_answered = match (answer.header("x-auth-error"), usual) {
                (Some(_), None) => true,
                (Some(error), Some(usual)) => error == "metadata_missing" && usual != error,
                (None, _) => false,
            };
            if is_answered {
                let change =
                    "the proxy passes /authz on to Countersign: let it pass on only Countersign's pages and /oauth";
                return Ok(bad(check, format!("{path} is answered"), change));
            }
        }
        Ok(good(check))
    }

    /// What a client writes where only the proxy should: another origin, a body that was empty, an id of its own.
    async fn claims_are_not_believed(&self) -> anyhow::Result<Finding> {
        let check = CLAIMS;
        if let Some(seen) = self.believed_origin().await? {
            return Ok(bad(
                check,
                seen,
                "set server.public_url, and in the proxy the headers that say scheme, host and target, for \
                 Countersign's own paths too: nginx proxy_set_header, HAProxy del-header and set-header, Traefik \
                 trustForwardHeader: false, Envoy use_remote_address: true; if there is no proxy, ask from an address \
                 that is not in server.trusted_proxies",
            ));
        }
        let empty = [("X-Original-Content-Length", "0"), ("X-Original-Body", "")];
        if self.signed(Asked { method: "POST", body: Some("a=1"), more: &empty, ..self.usual() }).await?.passed() {
            return Ok(bad(
                check,
                "a form passes unsigned, because the client says that it is empty".to_owned(),
                "the proxy must set X-Original-Content-Length and take X-Original-Body away: nginx proxy_set_header, \
                 Caddy request_header -X-Original-*, Traefik customRequestHeaders",
            ));
        }
        Ok(good(check))
    }

    /// An origin that is taken for the right one because the client says so. Each part is tried alone, because a proxy
    /// may say the others anew; on the API's path and on Countersign's own, because most proxies have a place for each.
    async fn believed_origin(&self) -> anyhow::Result<Option<String>> {
        let (scheme, authority) = self.scheme_and_authority();
        let elsewhere = "countersign-doctor.invalid";
        let mut claims = vec![(scheme, elsewhere, None), (other_scheme(scheme), authority, None)];
        if split_authority(authority).1.is_none() {
            claims.push((scheme, authority, Some("8444")));
        }
        for (scheme, host, port) in claims {
            let origin = format!("{scheme}://{host}{}", port.map(|port| format!(":{port}")).unwrap_or_default());
            for (method, target, initiates) in [("GET", self.path.as_str(), false), ("POST", INITIATE, true)] {
                let url = format!("{origin}{target}");
                let mut claimed = vec![
                    ("X-Forwarded-Proto", scheme),
                    ("X-Forwarded-Scheme", scheme),
                    ("X-Forwarded-Host", host),
                    ("X-Forwarded-Method", method),
                    ("X-Forwarded-Uri", target),
                    ("X-Original-Method", method),
                    ("X-Original-URL", url.as_str()),
                ];
                claimed.extend(port.map(|port| ("X-Forwarded-Port", port)));
                let asked = Asked { method, origin: &origin, initiates, ..self.usual_at(target) };
                let accepted = |answer: Answer| if initiates { answer.status == 200 } else { answer.passed() };
                // Where it is accepted anyway, the proxy itself says it.
                if accepted(self.signed(Asked { more: &claimed, ..asked }).await?)
                    && !accepted(self.signed(asked).await?)
                {
                    let seen = format!("a signature for {url} is accepted, because the client says that it came there");
                    return Ok(Some(seen));
                }
            }
        }
        Ok(None)
    }

    fn scheme_and_authority(&self) -> (&str, &str) {
        self.origin.split_once("://").unwrap_or(("http", &self.origin))
    }

    /// Guesses are counted by address: who could choose theirs could guess for ever. A spent budget is written down
    /// with the address.
    async fn address_is_its_own(&self, operator: &Operator) -> anyhow::Result<Finding> {
        let check = ADDRESS;
        let budget = operator.configuration.throttle.failures;
        if budget > MOST_GUESSES {
            return Ok(unknown(check, "throttle.failures is too high to be tried out"));
        }
        let guess = format!("Basic {}", STANDARD.encode(format!("{}:{}", self.username, random(16))));
        let headers = [
            ("Authorization", guess.as_str()),
            ("X-Client-Key", self.client_key.as_str()),
            ("X-Forwarded-For", FORGED_ADDRESS),
            ("X-Real-IP", FORGED_ADDRESS),
        ];
        for _ in 0..=budget {
            self.sender.send("GET", &self.url(&self.path), &headers, None).await?;
        }
        let end = tokio::time::Instant::now() + SEEN_WITHIN;
        while tokio::time::Instant::now() < end {
            let filter = AuditFilter {
                event: Some(Event::LoginThrottled.as_str().to_owned()),
                account: Some(self.account.clone()),
                ..AuditFilter::default()
            };
            let rows = operator.store.audit.list(&Reach::Everything, filter, 1).await?;
            match rows.first().map(|row| row.address.as_deref() == Some(FORGED_ADDRESS)) {
                Some(true) => {
                    return Ok(bad(
                        check,
                        format!("a client that says that it is {FORGED_ADDRESS} is believed"),
                        "the proxy must set X-Forwarded-For to the address that it sees, in the question to \
                         Countersign too: nginx proxy_set_header X-Forwarded-For $remote_addr, HAProxy set-header \
                         X-Forwarded-For %[src]",
                    ));
                }
                Some(false) => return Ok(good(check)),
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        Ok(unknown(check, "no guess was counted: does the route of --path admit basic?"))
    }

    /// A request that is sent twice is refused the second time, also with the same id.
    async fn each_request_is_good_once(&self) -> anyhow::Result<Finding> {
        let check = ONCE;
        let id = random(16);
        let name = self.request_id_header.as_deref().unwrap_or("X-Request-Id");
        let authorization = self.sign(self.usual())?;
        let headers = [("Authorization", authorization.as_str()), (name, id.as_str())];
        let mut passed = 0;
        for _ in 0..2 {
            passed += usize::from(self.sender.send("GET", &self.url(&self.path), &headers, None).await?.passed());
        }
        Ok(match passed {
            2 => bad(
                check,
                format!("the same request passes again, because the client chose its {name}"),
                "the proxy must make gateway.request_id_header anew for each request (nginx $request_id, Caddy \
                 {http.request.uuid}); where it can't, take the setting out",
            ),
            _ => good(check),
        })
    }
}

/// Where `server.public_url` is set, every request is for its host, whatever it says.
fn routes_can_match(configuration: &Configuration) -> anyhow::Result<Finding> {
    let Some(public) = &configuration.server.public_url else { return Ok(good(ROUTES)) };
    let closed = Policy::new(&configuration.routes, configuration.http_auth.digest).closed_to(public.host());
    let paths: Vec<_> = closed
        .into_iter()
        .filter_map(|position| configuration.routes.get(position))
        .map(|route| route.path.as_str())
        .collect();
    if paths.is_empty() {
        return Ok(good(ROUTES));
    }
    Ok(bad(
        ROUTES,
        format!("no request reaches {}: its hosts are others than {}", paths.join(", "), public.host()),
        "hosts of that [[route]]; or take server.public_url out, as a gateway for many hosts has to",
    ))
}

fn other_scheme(scheme: &str) -> &'static str {
    if scheme == "https" { "http" } else { "https" }
}

/// All is well.
pub const fn good(check: &'static str) -> Finding {
    Finding { check, result: Verdict::Good, seen: String::new(), change: "" }
}

/// Something is to be changed.
pub const fn bad(check: &'static str, seen: String, change: &'static str) -> Finding {
    Finding { check, result: Verdict::Bad, seen, change }
}

/// Nothing can be said.
pub fn unknown(check: &'static str, why: &str) -> Finding {
    Finding { check, result: Verdict::Unknown, seen: why.to_owned(), change: "" }
}

/// A finding that only means something where what comes before it is right.
async fn when(
    can_tell: bool,
    check: &'static str,
    examine: impl Future<Output = anyhow::Result<Finding>>,
) -> anyhow::Result<Finding> {
    if can_tell { examine.await } else { Ok(unknown(check, "mend what is wrong above, then ask again")) }
}
