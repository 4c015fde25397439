//! My account (`/account`): who I am, my password, my sessions.

use askama::Template;

use crate::web::page::{Frame, Moment, Section};
use crate::web::texts::Texts;

/// The page.
#[derive(Template)]
#[template(path = "account.html", config = "src/web/askama.toml")]
pub struct AccountPage {
    pub frame: Frame,
    pub text: &'static Texts,
    /// Why the API refuses the account, if it does.
    pub standing: Option<Standing>,
    pub id: String,
    pub username: String,
    pub name: String,
    pub email: String,
    pub company: Option<String>,
    pub role: &'static str,
    /// How many API keys there are.
    pub keys: usize,
    pub sessions: Vec<SessionRow>,
}

/// A locked or disabled account.
pub struct Standing {
    pub title: &'static str,
    pub reason: String,
    pub link: Option<String>,
}

/// One session.
pub struct SessionRow {
    pub id: String,
    pub browser: String,
    pub address: String,
    pub since: Moment,
    pub expires: Moment,
    /// Whether it is the one that asks.
    pub this: bool,
}
