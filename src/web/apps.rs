//! Connected apps (`/apps`): what the account holder has allowed, and taking it back.

use askama::Template;

use crate::web::page::{Frame, Moment, ScopeChoice, Section};
use crate::web::texts::Texts;

/// The list of connected apps.
#[derive(Template)]
#[template(path = "apps.html", config = "src/web/askama.toml")]
pub struct AppsPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub apps: Vec<ConnectedApp>,
}

/// One of them.
pub struct ConnectedApp {
    pub grant: String,
    pub name: String,
    pub scopes: Vec<ScopeChoice>,
    pub granted: Moment,
    pub last_used: Option<Moment>,
}
