//! Log in and log out (`/login`, `/logout`).

use askama::Template;

use crate::web::page::{Frame, Section};
use crate::web::texts::Texts;

/// The login form.
#[derive(Template)]
#[template(path = "login.html", config = "src/web/askama.toml")]
pub struct LoginPage {
    pub frame: Frame,
    pub text: &'static Texts,
    /// Where the form goes.
    pub action: String,
    /// Fields that go along.
    pub hidden: Vec<(&'static str, String)>,
    /// What was typed.
    pub username: String,
    /// The app that waits for the login, if one does.
    pub app: Option<String>,
}

/// The question whether to log out.
#[derive(Template)]
#[template(path = "logout.html", config = "src/web/askama.toml")]
pub struct LogoutPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub username: String,
}
