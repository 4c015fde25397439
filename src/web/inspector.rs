//! The signature inspector: why a signature was refused, for the client's owner.
//!
//! It shows what was signed, never with what: no secret is on the page, and nothing here makes a request pass.

pub mod comparison;

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::auth::inspection::{Report, examine};
use crate::domain::client::Client;
use crate::domain::credentials::TokenHash;
use crate::protocol::diagnosis::{Finding, Mistake};
use crate::protocol::oauth::ProtocolParameters;
use crate::protocol::parameters::Parameters;
use crate::protocol::pasted::{self, Pasted, Unreadable};
use crate::protocol::request::UriScheme;
use crate::protocol::signature::SignatureMethod;
use crate::store::Store;
use crate::store::directory::DirectoryClient;
use crate::web::developer::own::{ClientHead, Tab, client_head, own_client};
use crate::web::failed::Failed;
use crate::web::inspector::comparison::{Comparison, Parts, compare};
use crate::web::page::{Frame, Moment, Problems, Section};
use crate::web::texts::{Advice, Texts};
use crate::web::visit::{Access, Pages, Visit};

/// The longest text that may be pasted.
const LONGEST: usize = 64 * 1024;

/// The inspector of one client.
#[derive(Template)]
#[template(path = "inspector/inspector.html", config = "src/web/askama.toml")]
pub struct InspectorPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub head: ClientHead,
    pub inspection: Option<Inspection>,
    pub refused: Vec<RefusedRow>,
    /// Whether the operator lets signatures be explained.
    pub explains: bool,
    /// What was pasted; it stays. A typed token secret does not: no secret is written into a page.
    pub pasted: String,
}

/// A refused request of the list.
pub struct RefusedRow {
    pub id: String,
    pub when: Moment,
    pub method: String,
    pub path: String,
    pub verdict: String,
}

/// What came of looking at one request.
pub struct Inspection {
    pub when: Option<Moment>,
    pub verdict: String,
    pub remedy: String,
    /// The mistakes by their words.
    pub words: Vec<String>,
    pub comparison: Option<Comparison>,
}

/// `GET /developer/clients/inspector?key=…[&request=…]`
pub async fn show(pages: Data<Arc<Pages>>, store: Data<Store>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let client = own_client(visit, &store).await?.client;
        page(visit, &store, &client, None, Problems::default()).await
    };
    pages.serve(&request, payload, Access::LoggedIn, show).await
}

/// `POST /developer/clients/inspector?key=…`: the pasted request.
pub async fn inspect(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let inspect = async |visit: &Visit<'_>| {
        let client = own_client(visit, &store).await?.client;
        let mut problems = Problems::default();
        let inspection = match look_at(visit, &store, &client).await? {
            Ok(inspection) => Some(inspection),
            Err(reason) => {
                problems.add("request", reason);
                None
            }
        };
        page(visit, &store, &client, inspection, problems).await
    };
    pages.serve(&request, payload, Access::LoggedInToTakeAway, inspect).await
}

async fn page(
    visit: &Visit<'_>,
    store: &Store,
    client: &Client,
    inspection: Option<Inspection>,
    mut problems: Problems,
) -> Result<HttpResponse, Failed> {
    // What was kept before the operator switched it off is not told either.
    let explains = visit.pages.explains;
    let kept = if explains { store.refusals.list(&client.client_key).await? } else { Vec::new() };
    let asked = visit.asked("request");
    let mut inspection = inspection;
    let mut refused = Vec::with_capacity(kept.len());
    for refusal in &kept {
        let Some(report) = Report::parse(&refusal.report) else { continue };
        let when = || Moment::of(refusal.at, visit.text);
        let id = refusal.id.to_string();
        if inspection.is_none() && id == asked {
            inspection = Some(of_report(&report, Some(when()), visit.text));
        }
        let verdict = verdict(&report, visit.text).0;
        refused.push(RefusedRow { id, when: when(), method: report.method, path: report.path, verdict });
    }
    if inspection.is_none() && !asked.is_empty() && !problems.any() {
        problems.add("", visit.text.inspector.gone);
    }
    let (status, frame) = visit.returned(Section::Developer, problems);
    let page = InspectorPage {
        frame,
        text: visit.text,
        head: client_head(visit, client, Tab::Inspector),
        inspection,
        refused,
        explains,
        pasted: visit.field("request"),
    };
    Ok(visit.page(status, &page))
}

/// Explains the pasted request as if it had come in by the public address; or says why it can't be read.
async fn look_at(visit: &Visit<'_>, store: &Store, client: &Client) -> Result<Result<Inspection, String>, Failed> {
    let text = visit.text;
    if !visit.pages.explains {
        return Ok(Err(text.inspector.off.to_owned()));
    }
    let typed = visit.field("request");
    if typed.trim().is_empty() {
        return Ok(Err(text.inspector.request_missing.to_owned()));
    }
    if typed.len() > LONGEST {
        return Ok(Err((text.reasons.too_long)(LONGEST)));
    }
    let pasted = match pasted::read(&typed) {
        Ok(pasted) => pasted,
        Err(Unreadable::Form) => return Ok(Err(text.inspector.request_unreadable.to_owned())),
        Err(Unreadable::NoAddress) => return Ok(Err(text.inspector.url_missing.to_owned())),
    };
    let request = pasted.as_received(origin(visit, &pasted), visit.now());
    let parameters = match Parameters::collect(&request) {
        Ok(parameters) => parameters,
        Err(error) => return Ok(Err((text.inspector.unreadable)(&error.into()))),
    };
    let protocol = match ProtocolParameters::read(&parameters) {
        Ok(protocol) => protocol,
        Err(error) => return Ok(Err((text.inspector.unreadable)(&error))),
    };
    if protocol.client_key != client.client_key.as_str() {
        return Ok(Err((text.inspector.other_client)(&protocol.client_key)));
    }
    if !visit.pages.explanations.allows(&client.client_key, visit.now()) {
        return Ok(Err(text.inspector.busy.to_owned()));
    }
    let found = store.directory.client(&client.client_key, visit.now()).await?.ok_or(Failed::NotFound)?;
    if let Some((verdict, remedy)) = without_key(&found, protocol.signature_method, text) {
        let remedy = remedy.to_owned();
        return Ok(Ok(Inspection { when: None, verdict, remedy, words: Vec::new(), comparison: None }));
    }
    let known = match protocol.token.as_deref() {
        Some(token) => token_secret(visit, store, client, token).await?,
        None => Some(String::new()),
    };
    let typed = visit.field("token_secret");
    let token_secret = known.as_deref().unwrap_or(&typed);
    let (diagnosis, report) = examine(&request, &parameters, &protocol, &found, token_secret);
    let is_right = diagnosis.finding == Finding::Right;
    // Without the secret nothing can be said of the signature, also where an empty one would make it. RSA needs none.
    let needs_secret = known.is_none() && typed.is_empty() && !protocol.signature_method.is_rsa();
    let (report, said) = match known {
        None if needs_secret => {
            (Report { mistakes: Vec::new(), signed: None, ..report }, Some(text.inspector.token_unknown))
        }
        None if is_right => (report, Some(text.inspector.matches_but_token_unknown)),
        Some(_) if is_right => (report, Some((text.inspector.matches, ""))),
        None | Some(_) => (report, None),
    };
    let mut inspection = of_report(&report, None, text);
    if let Some((verdict, remedy)) = said {
        (inspection.verdict, inspection.remedy) = (verdict.to_owned(), remedy.to_owned());
    }
    Ok(Ok(inspection))
}

/// What there is to say of a request whose method this client has no key for, or may not use.
fn without_key(client: &DirectoryClient, method: SignatureMethod, text: &Texts) -> Option<(String, &'static str)> {
    let (said, remedy) = if method.is_rsa() && client.rsa_key.is_none() {
        text.inspector.no_rsa_key
    } else if !method.is_rsa() && client.secret.expose().is_empty() {
        text.inspector.no_secret
    } else if !client.client.signature_methods.admits(method) {
        let (said, remedy) = text.inspector.method_not_chosen;
        return Some((said(method.as_str()), remedy));
    } else {
        return None;
    };
    Some((said.to_owned(), remedy))
}

/// Its origin here: this server's own public one, where it is known, in place of the pasted one.
fn origin<'a>(visit: &'a Visit<'_>, pasted: &'a Pasted) -> (UriScheme, &'a str) {
    let said = || pasted.origin(visit.received.scheme);
    visit.pages.public_origin().or_else(said).unwrap_or((visit.received.scheme, visit.received.authority))
}

/// The secret of the token that the request names, if it is one of this client.
async fn token_secret(
    visit: &Visit<'_>,
    store: &Store,
    client: &Client,
    token: &str,
) -> Result<Option<String>, Failed> {
    let hash = TokenHash::of(token);
    if let Some(found) = store.directory.token(&hash, visit.now()).await?
        && found.credentials.client_key == client.client_key
    {
        return Ok(Some(found.secret.expose().to_owned()));
    }
    if let Some((found, secret)) = store.delegations.temporary(&hash).await?
        && found.client_key == client.client_key
    {
        return Ok(Some(secret.expose().to_owned()));
    }
    Ok(None)
}

fn of_report(report: &Report, when: Option<Moment>, text: &Texts) -> Inspection {
    let (verdict, remedy) = verdict(report, text);
    let comparison = match (&report.signed, &report.expected) {
        (Some(signed), Some(expected)) => Some(compare(signed, expected, text)),
        // Nobody knows what was signed: the right one beside nothing.
        (None, Some(expected)) => Some(compare("", expected, text)),
        (_, None) => None,
    };
    Inspection { when, verdict, remedy, words: report.mistakes.clone(), comparison }
}

/// What happened and what to change, for one mistake or two.
fn verdict(report: &Report, text: &Texts) -> (String, String) {
    let known: Vec<_> = report.mistakes.iter().filter_map(|word| Mistake::of_word(word)).collect();
    if report.body_unseen {
        let (happened, change) = text.inspector.body_unseen;
        // Of RSA the key is known to be the right one, and there are no secrets to check.
        let change = if report.rsa_key.is_some() { text.inspector.unexplained_rsa.1 } else { change };
        return (happened.to_owned(), change.to_owned());
    }
    if known.is_empty() && report.rsa_key.is_some() {
        let (happened, change) = text.inspector.unexplained_rsa;
        return (happened.to_owned(), change.to_owned());
    }
    if known.is_empty() {
        return (text.inspector.unexplained.to_owned(), text.inspector.unexplained_remedy.to_owned());
    }
    let happened: Vec<_> = known
        .iter()
        .map(|mistake| by_name(*mistake, report, text).unwrap_or_else(|| sentences(*mistake, text).0.to_owned()))
        .collect();
    let change: Vec<_> = known.iter().map(|mistake| sentences(*mistake, text).1).collect();
    (happened.join(" "), change.join(" "))
}

/// What happened, with what was signed and what was sent, where an address or a key says it best.
fn by_name(mistake: Mistake, report: &Report, text: &Texts) -> Option<String> {
    if mistake == Mistake::OtherRsaKey {
        let here = (text.mistakes.rsa_key_here)(report.rsa_key.as_deref()?);
        return Some(format!("{} {here}", text.mistakes.other_rsa_key.0));
    }
    let (signed, expected) = (Parts::of(report.signed.as_deref()?)?, Parts::of(report.expected.as_deref()?)?);
    match mistake {
        Mistake::HttpScheme => {
            let (signed, expected) = (signed.uri.split_once("://")?.0, expected.uri.split_once("://")?.0);
            (signed != expected).then(|| (text.mistakes.signed_scheme)(signed, expected))
        }
        Mistake::PortIncluded
        | Mistake::PortLeftOut
        | Mistake::HostCase
        | Mistake::PathReencoded
        | Mistake::PathPrefix
        | Mistake::TrailingSlash
            if report.mistakes.len() == 1 && signed.uri != expected.uri =>
        {
            Some((text.mistakes.signed_address)(&signed.uri, &expected.uri))
        }
        _ => None,
    }
}

/// What happened, and what to change.
const fn sentences(mistake: Mistake, text: &Texts) -> Advice {
    let mistakes = &text.mistakes;
    match mistake {
        Mistake::QueryParametersLeftOut => mistakes.query_parameters_left_out,
        Mistake::BodyParametersLeftOut => mistakes.body_parameters_left_out,
        Mistake::BodyWronglyIncluded => mistakes.body_wrongly_included,
        Mistake::DoubleEncoded => mistakes.double_encoded,
        Mistake::SpaceAsPlus => mistakes.space_as_plus,
        Mistake::HttpScheme => mistakes.http_scheme,
        Mistake::PortIncluded => mistakes.port_included,
        Mistake::PortLeftOut => mistakes.port_left_out,
        Mistake::HostCase => mistakes.host_case,
        Mistake::TokenSecretMissing => mistakes.token_secret_missing,
        Mistake::SecretNotEncoded => mistakes.secret_not_encoded,
        Mistake::SecretsSwapped => mistakes.secrets_swapped,
        Mistake::MethodLowerCase => mistakes.method_lower_case,
        Mistake::ParametersUnsorted => mistakes.parameters_unsorted,
        Mistake::ParametersRepeatedInHeader => mistakes.parameters_repeated_in_header,
        Mistake::RealmIncluded => mistakes.realm_included,
        Mistake::PathReencoded => mistakes.path_reencoded,
        Mistake::ParametersNotEncoded => mistakes.parameters_not_encoded,
        Mistake::SignatureNotEncoded => mistakes.signature_not_encoded,
        Mistake::BodyHashWrong => mistakes.body_hash_wrong,
        Mistake::CharactersWronglyEncoded => mistakes.characters_wrongly_encoded,
        Mistake::EscapesLowerCase => mistakes.escapes_lower_case,
        Mistake::NotUtf8 => mistakes.not_utf_8,
        Mistake::RepeatedParametersMerged => mistakes.repeated_parameters_merged,
        Mistake::EmptyParametersLeftOut => mistakes.empty_parameters_left_out,
        Mistake::ProtocolParametersDiffer => mistakes.protocol_parameters_differ,
        Mistake::BaseStringNotEncoded => mistakes.base_string_not_encoded,
        Mistake::OtherMethod => mistakes.other_method,
        Mistake::TrailingSlash => mistakes.trailing_slash,
        Mistake::PathPrefix => mistakes.path_prefix,
        Mistake::OtherOrigin => mistakes.other_origin,
        Mistake::SecretNotTrimmed => mistakes.secret_not_trimmed,
        Mistake::AmpersandMissing => mistakes.ampersand_missing,
        Mistake::SignatureInHex => mistakes.signature_in_hex,
        Mistake::SignatureNotBase64 => mistakes.signature_not_base64,
        Mistake::SignatureLengthWrong => mistakes.signature_length_wrong,
        Mistake::OtherSignatureMethod => mistakes.other_signature_method,
        Mistake::OtherRsaKey => mistakes.other_rsa_key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::texts::Language;

    const SERVER: &str = "GET&https%3A%2F%2Fa.example%2Fv2&a%3D1%26b%3Dx%2520y";

    #[test]
    fn two_mistakes_are_told_one_after_the_other() {
        let report = |words: &[&str]| Report {
            method: "GET".to_owned(),
            path: "/v2".to_owned(),
            mistakes: words.iter().map(|word| (*word).to_owned()).collect(),
            body_unseen: words.is_empty(),
            rsa_key: None,
            expected: Some(SERVER.to_owned()),
            signed: Some(SERVER.replace("https", "http")),
        };
        let text = Language::English.texts();
        let (happened, change) = verdict(&report(&["http-scheme", "space-as-plus"]), text);
        assert!(happened.starts_with("Your app signed http://, but this server is reached by https://."), "{happened}");
        assert!(happened.ends_with(text.mistakes.space_as_plus.0) && change.ends_with(text.mistakes.space_as_plus.1));
        assert_eq!(
            verdict(&report(&["port-left-out"]), text).0,
            "Your app signed http://a.example/v2, but the request went to https://a.example/v2."
        );
        let unseen = report(&[]);
        assert_eq!(verdict(&unseen, text).0, text.inspector.body_unseen.0);
        let unexplained = Report { body_unseen: false, ..unseen };
        assert_eq!(verdict(&unexplained, text).0, text.inspector.unexplained);
        // Where there is a key pair, no secret is spoken of.
        let rsa = Report { rsa_key: Some("Zm9v".to_owned()), ..unexplained };
        assert_eq!(verdict(&rsa, text).0, text.inspector.unexplained_rsa.0);
        let unseen = Report { body_unseen: true, ..rsa };
        assert!(!verdict(&unseen, text).1.contains("secret"));
        let other_key = Report { mistakes: vec!["other-rsa-key".to_owned()], body_unseen: false, ..unseen };
        assert!(verdict(&other_key, text).0.ends_with("Its fingerprint is Zm9v."));
    }
}
