//! The dance's pages: login, consent, verifier (RFC 5849 §2.2).

use askama::Template;

use crate::web::page::{Frame, Moment, ScopeChoice, Section};
use crate::web::texts::Texts;

/// The question whether an app may act for the account.
#[derive(Template)]
#[template(path = "consent.html", config = "src/web/askama.toml")]
pub struct ConsentPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub username: String,
    /// The app's name and its first letter.
    pub app: String,
    pub letter: String,
    /// Where the app lives, by its callback.
    pub website: Option<String>,
    pub registered: Moment,
    pub scopes: Vec<ScopeChoice>,
    pub action: String,
    pub oauth_token: String,
    /// This page's own address, to come back to after another login.
    pub here: String,
    /// The host that people are sent to; nothing: they get a code.
    pub destination: Option<String>,
}

/// The verifier, for apps that can't be called back.
#[derive(Template)]
#[template(path = "verifier.html", config = "src/web/askama.toml")]
pub struct VerifierPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub app: String,
    /// The verifier in pieces that are easy to read; joined without anything between them they are the verifier.
    pub groups: Vec<String>,
    pub expires: Moment,
}

/// A text in groups of four characters.
pub fn in_groups(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(4).map(|group| group.iter().collect()).collect()
}
