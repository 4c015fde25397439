//! Signatures that failed: explained by `protocol/diagnosis` and kept for the client's owner. Admits nobody.
//!
//! Only requests of known clients come here, and only so many of each a minute: the explanation costs a few hundred
//! HMACs. What is kept names method, path, the mistakes and both base strings. No secret and no signature is in it, and
//! of the query and body only what the base strings hold.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::config::Diagnose;
use crate::domain::credentials::{ClientKey, Secret};
use crate::protocol::diagnosis::{Diagnosis, Finding, diagnose, without_secrets};
use crate::protocol::oauth::ProtocolParameters;
use crate::protocol::parameters::Parameters;
use crate::protocol::request::ReceivedRequest;
use crate::protocol::signature::{RsaVerificationKey, SharedSecrets, VerificationKey};
use crate::store::directory::DirectoryClient;
use crate::store::refusals::Refusals;
use crate::time::{Lifetime, Timestamp};

/// Failures of one client that are explained in [`WINDOW`].
const EXPLAINED: u32 = 300;

/// Of these, so many are kept.
const KEPT: u32 = 30;
const WINDOW: Lifetime = Lifetime::from_seconds(60);

/// Clients whose failures are counted at a time.
const CLIENTS: usize = 10_000;

/// Octets of body and query that are explained at most.
const LONGEST: usize = 64 * 1024;

/// The longest base string that is kept.
const KEPT_CHARACTERS: usize = 16 * 1024;

/// How much of both base strings is shown from where they differ.
const DIFFERENCE_CHARACTERS: usize = 24;

/// Explains and keeps.
pub struct Inspection {
    refusals: Refusals,
    mode: Diagnose,
    explained: Budget,
    kept: Budget,
}

/// How often something was done for each client of late.
pub struct Budget {
    limit: u32,
    spent: Mutex<HashMap<ClientKey, (Timestamp, u32)>>,
}

impl Budget {
    /// Of explanations that somebody asks for on a page: 30 a minute and client.
    pub fn of_pages() -> Self {
        Self::of(KEPT)
    }

    fn of(limit: u32) -> Self {
        Self { limit, spent: Mutex::default() }
    }

    /// Whether it may be done once more for this client now. It is counted then.
    pub fn allows(&self, key: &ClientKey, now: Timestamp) -> bool {
        let mut explained = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if explained.len() >= CLIENTS && !explained.contains_key(key) {
            explained.retain(|_, (since, _)| *since + WINDOW > now);
            if explained.len() >= CLIENTS {
                return false;
            }
        }
        let entry = explained.entry(key.clone()).or_insert((now, 0));
        if entry.0 + WINDOW <= now {
            *entry = (now, 0);
        }
        entry.1 = entry.1.saturating_add(1);
        entry.1 <= self.limit
    }
}

/// A refused request as it is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// `GET`.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// The mistakes by their words; none: unexplained.
    pub mistakes: Vec<String>,
    /// Whether there was a body that nobody saw, which may explain it.
    #[serde(default)]
    pub body_unseen: bool,
    /// The fingerprint of the public key that an RSA signature was checked with.
    #[serde(default)]
    pub rsa_key: Option<String>,
    /// The base string that should have been signed.
    pub expected: Option<String>,
    /// The one that was, as far as it was found out.
    pub signed: Option<String>,
}

impl Report {
    /// Of a diagnosis.
    fn new(request: &ReceivedRequest<'_>, diagnosis: &Diagnosis, secrets: &[&str]) -> Self {
        let mistakes = match &diagnosis.finding {
            Finding::Mistakes(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
            Finding::Right | Finding::Unknown | Finding::BodyUnseen => Vec::new(),
        };
        Self {
            method: request.method.chars().take(20).collect(),
            path: without_secrets(request.path, secrets).unwrap_or_default().chars().take(500).collect(),
            mistakes,
            body_unseen: diagnosis.finding == Finding::BodyUnseen,
            rsa_key: diagnosis.rsa_key.clone(),
            expected: diagnosis.expected.as_deref().map(clip),
            signed: diagnosis.signed.as_deref().map(clip),
        }
    }

    /// As it is stored.
    fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what `to_text` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl Inspection {
    /// Over the store's refusals; `mode`: who is told.
    pub fn new(refusals: Refusals, mode: Diagnose) -> Self {
        Self { refusals, mode, explained: Budget::of(EXPLAINED), kept: Budget::of(KEPT) }
    }

    /// What is added to a refusal that does not say why itself: the same for everybody, whether it was kept or not.
    pub const fn where_it_is_told(&self) -> &'static str {
        match self.mode {
            Diagnose::Owner | Diagnose::Always => {
                "; the client's owner finds the reason in the signature inspector on the client's page of this server"
            }
            Diagnose::Never => "",
        }
    }

    /// Explains the signature that failed and keeps the report. Gives the sentence for the caller, where the
    /// configuration tells callers. A request whose body is still to be read is left for when it is asked about again.
    pub async fn explain(
        &self,
        request: &ReceivedRequest<'_>,
        parameters: &Parameters<'_>,
        protocol: &ProtocolParameters<'_>,
        client: &DirectoryClient,
        token_secret: &str,
    ) -> Option<String> {
        let key = &client.client.client_key;
        // It is tried and read in dozens of ways, by the thread that answers requests.
        let is_long = request.body.map_or(0, <[u8]>::len) + request.query.map_or(0, str::len) > LONGEST;
        if self.mode == Diagnose::Never || request.headers.unread_body || is_long {
            return None;
        }
        if !self.explained.allows(key, request.arrived) {
            return None;
        }
        let (diagnosis, report) = examine(request, parameters, protocol, client, token_secret);
        if diagnosis.finding == Finding::Right {
            // Something else was wrong, which has its own sentence.
            return None;
        }
        if self.kept.allows(key, request.arrived)
            && let Err(error) = self.refusals.keep(key, report.to_text(), request.arrived).await
        {
            tracing::warn!(%error, "a refused request was not kept for the inspector");
        }
        match self.mode {
            Diagnose::Always => Some(advice(&diagnosis)),
            Diagnose::Owner | Diagnose::Never => None,
        }
    }
}

/// What is wrong with a request's signature by this client, and what may be shown of it. After a rotation the previous secret
/// may be the one that was signed with.
pub fn examine(
    request: &ReceivedRequest<'_>,
    parameters: &Parameters<'_>,
    protocol: &ProtocolParameters<'_>,
    client: &DirectoryClient,
    token_secret: &str,
) -> (Diagnosis, Report) {
    let keys = Keys {
        rsa: client.rsa_key.as_ref(),
        secret: client.secret.expose(),
        previous: client.previous_secret(request.arrived).map(Secret::expose),
        token_secret,
    };
    keys.examine(request, parameters, protocol)
}

/// All that a client may sign with.
struct Keys<'a> {
    rsa: Option<&'a RsaVerificationKey>,
    secret: &'a str,
    previous: Option<&'a str>,
    token_secret: &'a str,
}

impl Keys<'_> {
    fn examine(
        &self,
        request: &ReceivedRequest<'_>,
        parameters: &Parameters<'_>,
        protocol: &ProtocolParameters<'_>,
    ) -> (Diagnosis, Report) {
        let method = protocol.signature_method;
        // Each may have been sent by mistake, also one that this signature was not made with.
        let secrets = [self.secret, self.previous.unwrap_or_default(), self.token_secret];
        let with = |key: VerificationKey<'_>| {
            let diagnosis = diagnose(request, parameters, method, key, &protocol.signature, &secrets);
            let report = Report::new(request, &diagnosis, &secrets);
            (diagnosis, report)
        };
        if let Some(rsa) = self.rsa.filter(|_| method.is_rsa()) {
            return with(VerificationKey::Rsa(rsa));
        }
        let shared = |client| with(VerificationKey::Shared(SharedSecrets { client, token: self.token_secret }));
        let found = shared(self.secret);
        match self.previous {
            Some(previous) if !is_explained(&found.0) => {
                let before = shared(previous);
                if is_explained(&before.0) { before } else { found }
            }
            Some(_) | None => found,
        }
    }
}

/// Whether this key makes the signature. What is wrong with its form alone is so with every key.
fn is_explained(diagnosis: &Diagnosis) -> bool {
    match &diagnosis.finding {
        Finding::Right => true,
        Finding::Mistakes(mistakes) => {
            !mistakes.iter().all(|mistake| mistake.is_of_form()) || diagnosis.signed.is_some()
        }
        Finding::Unknown | Finding::BodyUnseen => false,
    }
}

/// The words of the mistakes, the sentence, and the base string to compare with.
fn advice(diagnosis: &Diagnosis) -> String {
    let words = match &diagnosis.finding {
        Finding::Mistakes(mistakes) => {
            mistakes.iter().map(|mistake| mistake.as_str()).collect::<Vec<_>>().join(", ") + ": "
        }
        Finding::Right | Finding::Unknown | Finding::BodyUnseen => String::new(),
    };
    let expected =
        diagnosis.expected.as_deref().map(|text| format!(" The base string here: {text}")).unwrap_or_default();
    let signed = diagnosis.signed.as_deref().map(|text| format!(" Yours: {text}")).unwrap_or_default();
    format!("{words}{}{expected}{signed}{}", diagnosis.sentence(), difference(diagnosis).unwrap_or_default())
}

/// Where the two base strings part, with what follows there.
fn difference(diagnosis: &Diagnosis) -> Option<String> {
    let at = diagnosis.first_difference?;
    let from = |text: &str| text.chars().skip(at).take(DIFFERENCE_CHARACTERS).collect::<String>();
    let (here, yours) = (from(diagnosis.expected.as_deref()?), from(diagnosis.signed.as_deref()?));
    Some(format!(" They differ first at character {}: {here:?} here, {yours:?} yours.", at.saturating_add(1)))
}

fn clip(text: &str) -> String {
    text.chars().take(KEPT_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::client::RequestUrl;
    use crate::protocol::pasted;

    /// The report on `curl 'https://a.example/…?query'` with this signature method and a signature of nobody's.
    fn reported(method: &str, query: &str, keys: &Keys<'_>) -> String {
        let text = format!(
            "curl 'https://a.example/v2?{query}' -H 'Authorization: OAuth oauth_consumer_key=\"k\", oauth_token=\"t\", \
             oauth_signature_method=\"{method}\", oauth_timestamp=\"1\", oauth_nonce=\"n\", oauth_signature=\"AAAA\"'"
        );
        let pasted = pasted::read(&text).unwrap();
        let url = RequestUrl::parse("https://a.example/").unwrap();
        let request = pasted.as_received((url.scheme, url.authority), Timestamp::from_unix(1));
        let parameters = Parameters::collect(&request).unwrap();
        let protocol = ProtocolParameters::read(&parameters).unwrap();
        let (diagnosis, report) = keys.examine(&request, &parameters, &protocol);
        format!("{} {}", advice(&diagnosis), report.to_text())
    }

    fn rsa_key() -> RsaVerificationKey {
        let file = include_str!("../../tests/vectors/signature-methods.json");
        let file: serde_json::Value = serde_json::from_str(file).unwrap();
        RsaVerificationKey::from_pem(file["vectors"][0]["public_keys"][0].as_str().unwrap()).unwrap()
    }

    const SENT_BY_MISTAKE: &str = "a=new-s3cret&b=old-s3cret&c=token-s3cret&d=else";

    #[test]
    fn a_secret_that_an_rsa_client_sent_by_mistake_is_struck_out() {
        let rsa = rsa_key();
        let keys = Keys { rsa: Some(&rsa), secret: "new-s3cret", previous: None, token_secret: "token-s3cret" };
        let told = reported("RSA-SHA1", SENT_BY_MISTAKE, &keys);
        assert!(told.contains("else") && told.contains("***"), "{told}");
        assert!(!told.contains("new-s3cret") && !told.contains("token-s3cret"), "{told}");
    }

    #[test]
    fn in_a_rotation_both_secrets_are_struck_out() {
        let keys = Keys { rsa: None, secret: "new-s3cret", previous: Some("old-s3cret"), token_secret: "token-s3cret" };
        let told = reported("HMAC-SHA1", SENT_BY_MISTAKE, &keys);
        assert!(told.contains("else") && told.contains("***"), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }

    #[test]
    fn a_report_survives_being_kept() {
        let report = Report {
            method: "GET".to_owned(),
            path: "/v2/me".to_owned(),
            mistakes: vec!["http-scheme".to_owned()],
            body_unseen: false,
            rsa_key: None,
            expected: Some("GET&https%3A%2F%2Fa&".to_owned()),
            signed: None,
        };
        assert_eq!(Report::parse(&report.to_text()), Some(report));
        assert_eq!(Report::parse("no json"), None);
        // As it was kept by a version that did not know of unseen bodies.
        let before = r#"{"method":"GET","path":"/","mistakes":[],"expected":null,"signed":null}"#;
        assert!(Report::parse(before).is_some_and(|report| !report.body_unseen));
    }

    #[test]
    fn a_client_has_so_many_explanations_a_minute() {
        let budget = Budget::of_pages();
        let key = |text: &str| ClientKey::parse(text).unwrap();
        let at = Timestamp::from_unix;
        let allowed = (0..50).filter(|_| budget.allows(&key("one"), at(1000))).count();
        assert_eq!(allowed, 30);
        assert!(budget.allows(&key("another"), at(1000)));
        assert!(!budget.allows(&key("one"), at(1059)) && budget.allows(&key("one"), at(1060)));
    }
}
