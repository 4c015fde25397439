//! Secrets on the one page that ever shows them, with a file to download.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use crate::domain::client::Client;
use crate::domain::credentials::{PublicKey, Secret};
use crate::protocol::encoding::encode;
use crate::store::delegations::IssuedToken;
use crate::web::developer::client_samples::{filled, why_none};
use crate::web::page::{Frame, Moment, Section, text_to_download};
use crate::web::samples::{FilledSample, SampleMethod};
use crate::web::texts::Texts;
use crate::web::visit::Visit;

/// Secrets, for once.
#[derive(Template)]
#[template(path = "developer/secret.html", config = "src/web/askama.toml")]
pub struct SecretPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub title: String,
    pub values: Vec<ShownValue>,
    /// The name of the file that can be downloaded, and its address.
    pub file: String,
    pub download: String,
    pub old_until: Option<Moment>,
    pub samples: Vec<FilledSample>,
    pub samples_note: &'static str,
    /// Where to go afterwards.
    pub onward: String,
}

/// A value with a label and a copy button.
pub struct ShownValue {
    pub element: &'static str,
    pub label: &'static str,
    pub value: String,
}

/// What was made, for once.
pub fn secret_page(
    visit: &Visit<'_>,
    title: String,
    client: &Client,
    secret: Option<&Secret>,
    token: Option<&IssuedToken>,
    old_until: Option<Moment>,
) -> HttpResponse {
    let text = visit.text;
    let words = &text.developer;
    let key = client.client_key.as_str();
    let mut values = vec![ShownValue::new("shown-client-key", words.client_key, key)];
    let mut lines = vec![("OAUTH_CLIENT_KEY", key)];
    if let Some(secret) = secret {
        values.push(ShownValue::new("shown-client-secret", words.client_secret, secret.expose()));
        lines.push(("OAUTH_CLIENT_SECRET", secret.expose()));
    }
    if let Some(token) = token {
        values.push(ShownValue::new("shown-token", words.token, token.token.expose()));
        values.push(ShownValue::new("shown-token-secret", words.token_secret, token.secret.expose()));
        lines.extend([("OAUTH_TOKEN", token.token.expose()), ("OAUTH_TOKEN_SECRET", token.secret.expose())]);
    }
    let origin = visit.origin();
    lines.push(("OAUTH_BASE_URL", &origin));
    let samples_note = match (SampleMethod::of(client.signature_methods), secret, token) {
        (None, _, _) => why_none(client.signature_methods, text),
        (Some(_), Some(_), Some(_)) => words.samples_filled,
        (Some(_), None, Some(_)) => words.samples_secret_missing,
        (Some(_), _, None) => words.samples_placeholders,
    };
    let page = SecretPage {
        frame: visit.frame(Section::Developer),
        text,
        title,
        values,
        file: ENVIRONMENT_FILE.to_owned(),
        download: text_to_download(&environment(&lines)),
        old_until,
        samples: filled(visit, client, secret, token),
        samples_note,
        onward: visit.path(&format!("/developer/clients/show?key={}", encode(key))),
    };
    visit.page(StatusCode::OK, &page)
}

/// An API key's two halves, for once.
pub fn key_page(
    visit: &Visit<'_>,
    title: String,
    public_key: &PublicKey,
    private_key: &Secret,
    onward: &str,
) -> HttpResponse {
    let words = &visit.text.keys;
    let lines = [("API_PUBLIC_KEY", public_key.as_str()), ("API_PRIVATE_KEY", private_key.expose())];
    let page = SecretPage {
        frame: visit.frame(Section::Developer),
        text: visit.text,
        title,
        values: vec![
            ShownValue::new("shown-public-key", words.public_key, public_key.as_str()),
            ShownValue::new("shown-private-key", words.private_key, private_key.expose()),
        ],
        file: ENVIRONMENT_FILE.to_owned(),
        download: text_to_download(&environment(&lines)),
        old_until: None,
        samples: Vec::new(),
        samples_note: "",
        onward: onward.to_owned(),
    };
    visit.page(StatusCode::OK, &page)
}

impl ShownValue {
    fn new(element: &'static str, label: &'static str, value: &str) -> Self {
        Self { element, label, value: value.to_owned() }
    }
}

const ENVIRONMENT_FILE: &str = "countersign.env";

/// Lines of a `.env` file, quoted so that shells and libraries read the same.
fn environment(lines: &[(&str, &str)]) -> String {
    lines.iter().map(|(name, value)| format!("{name}='{}'\n", value.replace('\'', r"'\''"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_file_says_exactly_what_the_value_is() {
        assert_eq!(environment(&[("A", "x y"), ("B", "it's")]), "A='x y'\nB='it'\\''s'\n");
    }
}
