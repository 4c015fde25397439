//! What a client says in the proxy's name: its origin, its address, the id of its request, the length of its body.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Finding;
use super::checks::{bad, good, other_scheme, unknown};
use super::patient::{Asked, Patient, SEEN_WITHIN, random};
use super::wire::Answer;
use crate::auth::session::{VISITOR_COOKIE, csrf_token};
use crate::cli::operator::Operator;
use crate::config::Way;
use crate::domain::account::Reach;
use crate::protocol::base_string::split_authority;
use crate::store::audit::{AuditFilter, Event};

/// Where temporary credentials are asked for; `server.reserved_prefix` does not move it.
const INITIATE: &str = "/oauth/request_token";

/// An address of nobody's (RFC 5737).
const FORGED_ADDRESS: &str = "203.0.113.77";

/// What says where a client comes from.
const FORGED_ORIGIN: [(&str, &str); 2] = [("X-Forwarded-For", FORGED_ADDRESS), ("X-Real-IP", FORGED_ADDRESS)];

/// Guesses that are tried at most.
const MOST_GUESSES: u32 = 50;

/// As which a spent budget counts guesses.
enum Counted {
    /// As what the client says.
    AsSaid,
    /// As another, which the client does not choose.
    AsItself,
    /// Nothing was written down.
    Nowhere,
}

impl Patient {
    /// What a client writes where only the proxy should: another origin, a body that was empty, an id of its own.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn claims_are_not_believed(&self, check: &'static str, forms_come: bool) -> anyhow::Result<Finding> {
        if let Some(seen) = self.believed_origin(forms_come).await? {
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
        if self.signed(Asked { method: "POST", body: Some("a=1"), more: &empty, ..self.usual() }).await?.passed()? {
            return Ok(bad(
                check,
                "a form passes unsigned, because the client says that it is empty".to_owned(),
                "the proxy must set X-Original-Content-Length and take X-Original-Body away: nginx proxy_set_header, \
                 Caddy request_header -X-Original*, Traefik customRequestHeaders",
            ));
        }
        Ok(good(check))
    }

    /// An origin that is taken for the right one because the client says so. Each part is tried alone, because a proxy
    /// may say the others anew; on the API's path, with a form too, and on Countersign's own, because most proxies have a
    /// place for each.
    async fn believed_origin(&self, forms_come: bool) -> anyhow::Result<Option<String>> {
        let (scheme, authority) = self.scheme_and_authority();
        let elsewhere = "countersign-doctor.invalid";
        let mut claims = vec![(scheme, elsewhere, None), (other_scheme(scheme), authority, None)];
        if split_authority(authority).1.is_none() {
            claims.push((scheme, authority, Some("8444")));
        }
        for (scheme, host, port) in claims {
            let origin = format!("{scheme}://{host}{}", port.map(|port| format!(":{port}")).unwrap_or_default());
            let initiating = Asked { method: "POST", initiates: true, ..self.usual_at(INITIATE) };
            for asked in self.each_usual(forms_come).chain([initiating]) {
                let Asked { method, target, initiates, .. } = asked;
                let asked = Asked { origin: &origin, ..asked };
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
                let accepted = |answer: Answer| if initiates { Ok(answer.status == 200) } else { answer.passed() };
                // Where it is accepted anyway, the proxy itself says it.
                if accepted(self.signed(Asked { more: &claimed, ..asked }).await?)?
                    && !accepted(self.signed(asked).await?)?
                {
                    let seen = format!(
                        "a signature for {url}{} is accepted, because the client says that it came there",
                        asked.with_what()
                    );
                    return Ok(Some(seen));
                }
            }
        }
        Ok(None)
    }

    /// Guesses are counted by address: who could choose theirs could guess for ever. Most proxies have a place of its own
    /// for questions, for questions about forms, and for the pages.
    ///
    /// # Errors
    /// Nobody answers, or the store does not.
    pub async fn address_is_its_own(
        &self,
        check: &'static str,
        operator: &Operator,
        forms_come: bool,
    ) -> anyhow::Result<Finding> {
        if self.login_believes_an_address(operator).await? {
            return Ok(bad(
                check,
                format!("a client that says that it is {FORGED_ADDRESS} is believed at the login page"),
                "the proxy must set X-Forwarded-For to the address that it sees, for Countersign's own paths too: nginx \
                 proxy_set_header X-Forwarded-For $remote_addr, HAProxy set-header X-Forwarded-For %[src]",
            ));
        }
        if !self.admits(Way::Basic) && !self.admits(Way::ApiKey) {
            return Ok(unknown(check, "the route of --path admits neither basic nor api_key: nothing to guess there"));
        }
        if operator.configuration.throttle.failures > MOST_GUESSES {
            return Ok(unknown(check, "throttle.failures is too high to be tried out"));
        }
        for asked in self.each_usual(forms_come) {
            match self.guess(operator, asked).await? {
                Counted::AsItself => {}
                Counted::AsSaid => {
                    return Ok(bad(
                        check,
                        format!("a client{} that says that it is {FORGED_ADDRESS} is believed", asked.with_what()),
                        "the proxy must set X-Forwarded-For to the address that it sees, in each question to \
                         Countersign too: nginx proxy_set_header X-Forwarded-For $remote_addr, HAProxy set-header \
                         X-Forwarded-For %[src]",
                    ));
                }
                Counted::Nowhere => {
                    return Ok(unknown(
                        check,
                        "no guess was counted: are there nodes that the doctor's settings do not fit?",
                    ));
                }
            }
        }
        Ok(good(check))
    }

    /// Guesses until the budget is spent, which is written down with the address. Where the first guess is one too many
    /// already, it counts as an earlier one does, which did not come from there.
    async fn guess(&self, operator: &Operator, asked: Asked<'_>) -> anyhow::Result<Counted> {
        let guess = format!("Basic {}", STANDARD.encode(format!("{}:{}", self.username, random(16))));
        let mut headers = vec![("Authorization", guess.as_str())];
        headers.extend(FORGED_ORIGIN);
        let (more, target) = self.with_client_key(asked.target);
        headers.extend(more);
        let before = self.written_down(operator, Event::LoginThrottled).await?.len();
        for guesses in 0..=operator.configuration.throttle.failures {
            let answer = self.sender.send(asked.method, &self.url(&target), &headers, asked.body).await?;
            if guesses == 0 && is_throttled(&answer) {
                return Ok(Counted::AsItself);
            }
        }
        let end = tokio::time::Instant::now() + SEEN_WITHIN;
        while tokio::time::Instant::now() < end {
            let addresses = self.written_down(operator, Event::LoginThrottled).await?;
            match addresses.first().filter(|_| addresses.len() > before) {
                Some(address) if address == FORGED_ADDRESS => return Ok(Counted::AsSaid),
                Some(_) => return Ok(Counted::AsItself),
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        Ok(Counted::Nowhere)
    }

    /// Each failure at the login page is written down with its address. The form is bound to the browser by its cookie
    /// alone, so that no page has to be fetched first.
    async fn login_believes_an_address(&self, operator: &Operator) -> anyhow::Result<bool> {
        let visitor = random(32);
        let form = format!("csrf_token={}&username={}&password={}", csrf_token(&visitor), self.username, random(16));
        let cookie = format!("{VISITOR_COOKIE}={visitor}");
        let mut headers = vec![("Cookie", cookie.as_str())];
        headers.extend(FORGED_ORIGIN);
        let login = self.configuration.server.own_path("/login");
        self.sender.send("POST", &self.url(&login), &headers, Some(&form)).await?;
        let addresses = self.written_down(operator, Event::LoginFailed).await?;
        Ok(addresses.iter().any(|address| address == FORGED_ADDRESS))
    }

    /// The addresses that were written down with this event of the account, the newest first.
    async fn written_down(&self, operator: &Operator, event: Event) -> anyhow::Result<Vec<String>> {
        let filter = AuditFilter {
            event: Some(event.as_str().to_owned()),
            account: Some(self.account.clone()),
            ..AuditFilter::default()
        };
        let rows = operator.store.audit.list(&Reach::Everything, filter, 10).await?;
        Ok(rows.into_iter().map(|row| row.address.unwrap_or_default()).collect())
    }

    /// A request that is sent twice is refused the second time, also with the same id.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn each_request_is_good_once(&self, check: &'static str, forms_come: bool) -> anyhow::Result<Finding> {
        let id = random(16);
        let configured = self.configuration.gateway.request_id_header.as_ref();
        let name = configured.map_or("X-Request-Id", |name| name.as_str());
        for asked in self.each_usual(forms_come) {
            let authorization = self.sign(asked)?;
            let headers = [("Authorization", authorization.as_str()), (name, id.as_str())];
            let mut passed = true;
            for _ in 0..2 {
                let answer = self.sender.send(asked.method, &self.url(asked.target), &headers, asked.body).await?;
                passed &= answer.passed()?;
            }
            if passed {
                return Ok(bad(
                    check,
                    format!("the same request{} passes again, because the client chose its {name}", asked.with_what()),
                    "the proxy must make gateway.request_id_header anew for each request, in each question to \
                     Countersign (nginx $request_id, Caddy {http.request.uuid}); where it can't, take the setting out",
                ));
            }
        }
        Ok(good(check))
    }
}

fn is_throttled(answer: &Answer) -> bool {
    answer.status == 429 || answer.reason.as_deref() == Some("throttled")
}
