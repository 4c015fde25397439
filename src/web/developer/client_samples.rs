//! The samples of a client (`/developer/clients/samples`), and the token that lets them run without a dance.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::account::Account;
use crate::domain::client::{Client, SignatureMethods};
use crate::domain::credentials::Secret;
use crate::protocol::signature::SignatureMethod;
use crate::store::Store;
use crate::store::delegations::IssuedToken;
use crate::web::developer::own::{ClientHead, Tab, client_head, own_client};
use crate::web::failed::Failed;
use crate::web::page::{Frame, Section};
use crate::web::samples;
use crate::web::samples::{FilledSample, SampleMethod, SampleValues};
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

/// The samples of a client.
#[derive(Template)]
#[template(path = "developer/samples.html", config = "src/web/askama.toml")]
pub struct SamplesPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub head: ClientHead,
    pub note: &'static str,
    pub samples: Vec<FilledSample>,
}

/// `GET /developer/clients/samples?key=…`
pub async fn show(pages: Data<Arc<Pages>>, store: Data<Store>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let client = own_client(visit, &store).await?.client;
        let page = SamplesPage {
            frame: visit.frame(Section::Developer),
            text: visit.text,
            head: client_head(visit, &client, Tab::Samples),
            note: match SampleMethod::of(client.signature_methods) {
                Some(_) => visit.text.developer.samples_placeholders,
                None => why_none(client.signature_methods, visit.text),
            },
            samples: filled(visit, &client, None, None),
        };
        Ok(visit.page(StatusCode::OK, &page))
    };
    pages.serve(&request, payload, Access::LoggedIn, show).await
}

/// Samples with these secrets; where there is none, with a word to replace. None for a client that may not
/// sign with HMAC.
pub fn filled(
    visit: &Visit<'_>,
    client: &Client,
    secret: Option<&Secret>,
    token: Option<&IssuedToken>,
) -> Vec<FilledSample> {
    let Some(method) = SampleMethod::of(client.signature_methods) else { return Vec::new() };
    samples::fill(&SampleValues {
        client_key: client.client_key.as_str(),
        client_secret: secret.map_or("YOUR_CLIENT_SECRET", Secret::expose),
        token: token.map_or("YOUR_TOKEN", |token| token.token.expose()),
        token_secret: token.map_or("YOUR_TOKEN_SECRET", |token| token.secret.expose()),
        url: &format!("{}/v2/me", visit.origin()),
        method,
    })
}

/// Why there are no samples for a client with these methods, none of which is HMAC.
pub const fn why_none(methods: SignatureMethods, text: &Texts) -> &'static str {
    if methods.admits(SignatureMethod::Plaintext) {
        text.developer.samples_plaintext
    } else {
        text.developer.samples_rsa
    }
}

/// An access token of the owner's own, with all that the client may.
///
/// # Errors
/// As [`crate::store::delegations::Delegations::issue_directly`].
pub async fn own_token(
    visit: &Visit<'_>,
    store: &Store,
    client: &Client,
    owner: &Account,
) -> Result<IssuedToken, Failed> {
    let scopes = owner.scopes.admit(&client.scopes);
    let lifetime = visit.pages.token_lifetime;
    Ok(store.delegations.issue_directly(&client.client_key, &owner.id, scopes, lifetime, &visit.by()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::texts::Language;

    #[test]
    fn an_app_that_may_sign_with_plaintext_is_not_told_that_it_signs_with_rsa_only() {
        let text = Language::English.texts();
        let note = |methods: &[SignatureMethod]| why_none(SignatureMethods::of(methods.iter().copied()), text);
        assert_eq!(note(&[SignatureMethod::RsaSha256]), text.developer.samples_rsa);
        assert_eq!(note(&[SignatureMethod::Plaintext]), text.developer.samples_plaintext);
        assert_eq!(note(&[SignatureMethod::Plaintext, SignatureMethod::RsaSha1]), text.developer.samples_plaintext);
    }
}
