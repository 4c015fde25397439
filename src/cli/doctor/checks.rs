//! The checks: each sends its requests and says in one finding what came of them.

use super::patient::{Asked, Patient};
use super::wire::{Answer, Echo, Unclear};
use super::{Finding, Verdict};
use crate::cli::operator::Operator;
use crate::config::{Configuration, Way};
use crate::policy::Policy;
use crate::protocol::base_string::split_authority;
use crate::protocol::request::MEANT_METHODS;

const ASKED: &str = "a request without a credential is refused";
const ORIGIN: &str = "scheme and host are those that clients use";
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
const UPGRADES: &str = "no other protocol gets past the question";
const CREDENTIALS: &str = "no credential reaches the API";
const PARAMETERS: &str = "no credential stays in the query or in a form";

/// The line to change where a path changes on its way.
const PATH_CHANGE: &str = "send the path as it came: nginx $request_uri (not $uri), proxy_pass without a path, \
                           merge_slashes off; HAProxy without normalize-uri; Envoy without normalize_path; Traefik with \
                           sanitizePath: false (it still writes %7E and the case of hex digits anew)";

const QUERY_CHANGE: &str = "send the query as it came, in its order and with its empty parameters";

/// Why nothing is said where what comes before is wrong.
const MEND_FIRST: &str = "mend what is wrong above, then ask again";

impl Patient {
    /// Everything that can be asked, in the order of the report.
    ///
    /// # Errors
    /// Nobody answers, or the server knows nothing of this database.
    pub async fn examine(&self, operator: &Operator) -> anyhow::Result<Vec<Finding>> {
        self.wait_until_seen().await?;
        let unsigned = self.sender.send("GET", &self.url(&self.path), &[], None).await?;
        if let Some(finding) = self.is_sent_to_tls(&unsigned) {
            return Ok(vec![finding]);
        }
        let asked = when(None, ASKED, self.asks_at_all(&unsigned)).await?;
        if asked.result != Verdict::Bad
            && let Some(finding) = no_word_of_the_api(&self.signed(self.usual()).await?)
        {
            return Ok(vec![asked, finding]);
        }
        let without_oauth1 = (!self.admits(Way::OAuth1))
            .then_some("the route of --path does not admit oauth1: choose a --path whose route does");
        let origin = when(without_oauth1, ORIGIN, self.origin_is_right(&operator.configuration)).await?;
        // Where nothing is judged, or nothing is accepted, the rest says nothing.
        let unjudged = matches!(unsigned.passed(), Ok(true)).then_some(MEND_FIRST);
        let unsignable = without_oauth1.or(unjudged).or((origin.result != Verdict::Good).then_some(MEND_FIRST));
        let unguessable = if without_oauth1.is_some() { unjudged } else { unsignable };
        let path = format!("{}/a%7Eb%20c/d;e=1/%c3%a4", self.path);
        let query = format!("{}?b=1&a=%2f%20+&a=&c&=d", self.path);
        let form = when(unsignable, FORM, self.form_comes_along()).await?;
        let forms_come = form.result == Verdict::Good;
        Ok(vec![
            asked,
            origin,
            routes_can_match(&operator.configuration)?,
            when(unsignable, METHOD, self.method_is_its_own(forms_come)).await?,
            when(unsignable, PATH, self.arrives_exactly(PATH, path, PATH_CHANGE)).await?,
            when(unsignable, QUERY, self.arrives_exactly(QUERY, query, QUERY_CHANGE)).await?,
            form,
            when(unsignable, ODD_PATHS, self.odd_paths_are_refused()).await?,
            self.authz_is_closed(&unsigned).await?,
            when(unjudged, CLAIMS, self.claims_are_not_believed(CLAIMS, forms_come)).await?,
            when(unguessable, ADDRESS, self.address_is_its_own(ADDRESS, operator, forms_come)).await?,
            when(unsignable, ONCE, self.each_request_is_good_once(ONCE, forms_come)).await?,
            when(unsignable, IDENTITY, self.identity_arrives_and_can_not_be_forged(IDENTITY, forms_come)).await?,
            when(unsignable, OTHER_PATHS, self.no_other_path_arrives(OTHER_PATHS, forms_come)).await?,
            when(unsignable, UPGRADES, self.no_other_protocol_passes(UPGRADES)).await?,
            when(unsignable, CREDENTIALS, self.credentials_stay_behind(CREDENTIALS, forms_come)).await?,
            when(unsignable, PARAMETERS, self.parameters_stay_behind(PARAMETERS, forms_come)).await?,
        ])
    }

    /// Clients never get further than to hear where to ask instead.
    fn is_sent_to_tls(&self, unsigned: &Answer) -> Option<Finding> {
        let to = unsigned.header("location").filter(|_| (300..400).contains(&unsigned.status))?;
        let elsewhere = self.scheme_and_authority().0 == "http" && to.starts_with("https://");
        elsewhere.then(|| bad(ASKED, format!("{} to {to}", unsigned.status), "--proxy: use the https URL"))
    }

    /// `unsigned`: what a request without a credential is answered.
    async fn asks_at_all(&self, unsigned: &Answer) -> anyhow::Result<Finding> {
        let change = match (unsigned.status, unsigned.reason.as_deref()) {
            (401, _) if unsigned.is_refused() => return self.asks_whatever_the_method().await,
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
        let reason = unsigned.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let seen = match unsigned.status {
            401 => "401 that is not Countersign's: no X-Auth-Error and no challenge of its realm".to_owned(),
            status => format!("{status} instead of 401{reason}"),
        };
        Ok(bad(ASKED, seen, change))
    }

    /// A configuration may ask about some methods and bodies only.
    async fn asks_whatever_the_method(&self) -> anyhow::Result<Finding> {
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
            if self.sender.send(method, &self.url(&self.path), &[], form).await?.passed()? {
                let change = "the proxy must ask Countersign about every method and every body, also where it hands \
                              forms to a script, and answer no OPTIONS by itself: preflights are for a [[route]]'s \
                              cors_origins";
                return Ok(bad(ASKED, format!("{what} passes"), change));
            }
        }
        Ok(good(ASKED))
    }

    async fn origin_is_right(&self, configuration: &Configuration) -> anyhow::Result<Finding> {
        let check = ORIGIN;
        let answer = self.signed(self.usual()).await?;
        if answer.passed()? {
            return Ok(good(check));
        }
        let (scheme, authority) = self.scheme_and_authority();
        let (other, without_port) = (other_scheme(scheme), split_authority(authority).0);
        let guesses = [
            (format!("{other}://{authority}"), "the other scheme"),
            (format!("{scheme}://{without_port}"), "the host without its port"),
            (format!("{other}://{without_port}"), "the other scheme and no port"),
        ];
        if let Some(public) = configuration.server.public_url.as_ref().map(ToString::to_string)
            && self.signed(Asked { origin: &public, ..self.usual() }).await?.passed()?
        {
            return Ok(bad(
                check,
                format!("Countersign is known by {public} (server.public_url): clients have to sign that address"),
                "use that address for --proxy if clients do; else set server.public_url to the one that they use, or leave it out",
            ));
        }
        for (origin, what) in &guesses {
            if self.signed(Asked { origin, ..self.usual() }).await?.passed()? {
                return Ok(bad(
                    check,
                    format!("Countersign believes that it is {origin}: {what}"),
                    "set server.public_url; or in the proxy: nginx X-Original-URL $scheme://$http_host$request_uri, \
                     else X-Forwarded-Proto and X-Forwarded-Host as the client used them, and list the proxy in \
                     server.trusted_proxies",
                ));
            }
        }
        let change = match answer.reason.as_deref() {
            Some("body_unavailable") => {
                "body_hash of the route of --path: the proxy must also say that a request has no body \
                 (X-Original-Content-Length: 0, as docs/deploy/nginx.conf does)"
            }
            _ => {
                "read the server's log: it says what it saw; metadata_missing and untrusted_proxy are said in X-Auth-Error"
            }
        };
        Ok(bad(check, format!("no signature is accepted, whatever the origin: {}", answer.seen()), change))
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
            if !answer.passed()? {
                return Ok(bad(check, format!("{} for a signed {what}", answer.status), change));
            }
            if let Some(arrived) = self.echo.as_ref().and_then(Echo::take)
                && arrived.method != method
            {
                return Ok(bad(check, format!("{what} became {} on the way to the API", arrived.method), change));
            }
        }
        self.other_methods_are_heard(check, forms_come).await
    }

    /// What reaches the API and could make another method of the request must reach Countersign too. It refuses what it can't read
    /// there, and more than it reads: proxies mend the one or join the other.
    async fn other_methods_are_heard(&self, check: &'static str, forms_come: bool) -> anyhow::Result<Finding> {
        let Some(echo) = &self.echo else { return Ok(good(check)) };
        let names = ["x-http-method-override", "x-http-method", "x-method-override"];
        let mut claims = names.map(|name| (name, "DELETE\u{ff}")).repeat(MEANT_METHODS);
        claims.extend(["x.method-override", "x.http-method"].map(|name| (name, "DELETE")));
        for asked in self.each_usual(forms_come) {
            let answer = self.signed(Asked { more: &claims, ..asked }).await?;
            let arrived = echo.take().filter(|_| answer.status == 200).unwrap_or_default();
            if let Some(name) = names.iter().find(|name| arrived.header(name).is_some()) {
                return Ok(bad(
                    check,
                    format!("the API hears {name}{}, and Countersign does not", asked.with_what()),
                    "hand X-HTTP-Method-Override, X-HTTP-Method and X-Method-Override to Countersign too (Envoy \
                     allowed_headers), or take them away",
                ));
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
        if !self.signed(self.usual_at(&target)).await?.passed()? {
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
        let signed = self.usual_form();
        let answer = self.signed(signed).await?;
        if answer.passed()? {
            let sent = signed.body.unwrap_or_default();
            return Ok(match self.echo.as_ref().and_then(Echo::take) {
                Some(arrived) if arrived.header("transfer-encoding").is_none() && arrived.body != sent => bad(
                    check,
                    format!("to Countersign, but the API gets {} of {} bytes", arrived.body.len(), sent.len()),
                    "whatever hands the form to Countersign must hand it to the API too",
                ),
                Some(_) | None => good(check),
            });
        }
        if answer.reason.as_deref() == Some("metadata_missing") {
            return self.question_about_a_form_lacks(&answer).await;
        }
        let change = "nginx: docs/deploy/nginx-njs.conf; Traefik: forwardBody and maxBodySize; Envoy: \
                      with_request_body; Caddy 2.11: X-Original-Body {http.request.body_base64}; or let Countersign be \
                      the proxy";
        if answer.reason.as_deref() == Some("body_unavailable") {
            return Ok(bad(check, "body_unavailable: clients that send forms are refused".to_owned(), change));
        }
        let lost = self.signed(Asked { signed_form: None, ..signed }).await?.passed()?;
        let seen = if lost {
            "the form is judged as if it were empty".to_owned()
        } else {
            format!("{} for a signed form", answer.seen())
        };
        Ok(bad(check, seen, change))
    }

    /// What the proxy does not say of a form is taken from the client: what helps when it says it is what is missing.
    async fn question_about_a_form_lacks(&self, answer: &Answer) -> anyhow::Result<Finding> {
        let (scheme, authority) = self.scheme_and_authority();
        let candidates = [
            (
                "X-Forwarded-Method",
                "POST",
                "where the proxy asks about forms: nginx proxy_set_header X-Forwarded-Method $request_method",
            ),
            (
                "X-Forwarded-Proto",
                scheme,
                "where the proxy asks about forms: nginx proxy_set_header X-Forwarded-Proto $scheme",
            ),
            (
                "X-Forwarded-Host",
                authority,
                "where the proxy asks about forms: nginx proxy_set_header X-Forwarded-Host $http_host",
            ),
            (
                "X-Forwarded-Uri",
                &self.path,
                "where the proxy asks about forms: nginx proxy_set_header X-Forwarded-Uri $request_uri",
            ),
        ];
        for (name, value, change) in candidates {
            if self.signed(Asked { more: &[(name, value)], ..self.usual_form() }).await?.passed()? {
                let seen = format!("{} for a signed form: the question about it has no {name}", answer.seen());
                return Ok(bad(FORM, seen, change));
            }
        }
        let change = "where the proxy asks about forms, it must say X-Forwarded-Method, -Proto, -Host and -Uri";
        Ok(bad(FORM, format!("{} for a signed form", answer.seen()), change))
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
            let (seen, change) = match (answer.status, answer.reason.as_deref()) {
                // Some proxies know no other refusal than 403, and some refuse by themselves.
                (400, _) | (403, None | Some("bad_request")) => continue,
                (401, _) if answer.is_refused() => {
                    (format!("{target} became another path on the way to Countersign"), PATH_CHANGE)
                }
                (_, _) if answer.passed()? => (
                    format!("{target} passes"),
                    "a route with raw_paths lets them through: is that meant? Else the proxy does not hand the path \
                     over as it came",
                ),
                (_, _) => (format!("{} for {target}", answer.seen()), PATH_CHANGE),
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
                // It hears nobody from here, so there is nothing to close.
                (Some("untrusted_proxy"), _) => false,
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

    /// Of the proxy, as clients use them.
    pub fn scheme_and_authority(&self) -> (&str, &str) {
        self.origin.split_once("://").unwrap_or(("http", &self.origin))
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

/// What an admitted request is answered says nothing of the gateway where no API answers, or where its answer can not be
/// told from a refusal.
fn no_word_of_the_api(answer: &Answer) -> Option<Finding> {
    let check = "an admitted request is answered";
    if matches!(answer.status, 502..=504) && answer.reason.as_deref() != Some("unavailable") {
        let change =
            "start the API, or let --echo with its address stand in its place; the other checks need one of them";
        return Some(bad(check, format!("{}: the API behind does not answer", answer.status), change));
    }
    let unclear = answer.passed().err()?;
    Some(bad(
        check,
        unclear.to_string(),
        "--path: one that the API does not refuse; the other checks need it, or --echo",
    ))
}

/// `https` for `http`, and the other way round.
pub fn other_scheme(scheme: &str) -> &'static str {
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

/// A finding that only means something where what comes before it is right; `why_not`: what it would not be good for.
async fn when(
    why_not: Option<&str>,
    check: &'static str,
    examine: impl Future<Output = anyhow::Result<Finding>>,
) -> anyhow::Result<Finding> {
    if let Some(why) = why_not {
        return Ok(unknown(check, why));
    }
    examine.await.or_else(|error| Ok(unknown(check, &error.downcast::<Unclear>()?.to_string())))
}
