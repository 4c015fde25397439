//! Administration (`/admin/…`): accounts, companies, clients, audit, the state of the server.

use askama::Template;

use crate::web::page::{Badge, Choice, Frame, Moment, Section};
use crate::web::texts::Texts;

/// The pages of the administration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Accounts,
    Companies,
    Clients,
    Audit,
    System,
}

/// The list of accounts.
#[derive(Template)]
#[template(path = "admin/accounts.html", config = "src/web/askama.toml")]
pub struct AccountsPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub search: String,
    pub accounts: Vec<AccountRow>,
    pub next: Option<String>,
}

/// One account of the list.
pub struct AccountRow {
    pub id: String,
    pub username: String,
    pub name: String,
    pub company: Option<String>,
    pub role: &'static str,
    pub status: Badge,
    pub created: Moment,
}

/// The form of a new account.
#[derive(Template)]
#[template(path = "admin/account_form.html", config = "src/web/askama.toml")]
pub struct AccountFormPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub form: AccountForm,
    pub roles: Vec<Choice>,
}

/// What is typed about an account.
#[derive(Default)]
pub struct AccountForm {
    pub username: String,
    pub name: String,
    pub email: String,
    pub company: String,
    pub external_id: String,
    pub role: String,
    pub scopes: String,
    pub reason: String,
}

/// One account.
#[derive(Template)]
#[template(path = "admin/account.html", config = "src/web/askama.toml")]
pub struct AdministeredAccountPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub id: String,
    pub username: String,
    pub status: Badge,
    pub active: bool,
    /// Why it is locked or disabled.
    pub reason: Option<String>,
    pub created: Moment,
    pub form: AccountForm,
    pub roles: Vec<Choice>,
    pub keys: usize,
}

/// Companies.
#[derive(Template)]
#[template(path = "admin/companies.html", config = "src/web/askama.toml")]
pub struct CompaniesPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub companies: Vec<CompanyRow>,
    pub form_id: String,
    pub form_name: String,
}

/// One company.
pub struct CompanyRow {
    pub id: String,
    pub name: String,
    pub created: Moment,
}

/// Everybody's clients.
#[derive(Template)]
#[template(path = "admin/clients.html", config = "src/web/askama.toml")]
pub struct AdministeredClientsPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub clients: Vec<AdministeredClientRow>,
    pub next: Option<String>,
}

/// One of them.
pub struct AdministeredClientRow {
    pub key: String,
    pub name: String,
    pub owner: String,
    pub owner_id: String,
    pub status: Badge,
    pub active: bool,
    pub last_used: Option<Moment>,
}

/// The audit log.
#[derive(Template)]
#[template(path = "admin/audit.html", config = "src/web/askama.toml")]
pub struct AuditPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub events: Vec<&'static str>,
    pub filter: AuditForm,
    pub rows: Vec<AuditEntry>,
    /// The address of the export, up to its format.
    pub export: String,
    pub next: Option<String>,
}

/// What the log is filtered by, as it was typed.
#[derive(Default)]
pub struct AuditForm {
    pub event: String,
    pub account: String,
    pub client: String,
    pub since: String,
    pub until: String,
}

/// One event.
pub struct AuditEntry {
    pub when: Moment,
    pub event: String,
    pub actor: String,
    pub subject: String,
    pub detail: String,
    pub address: String,
}

/// The state of the server.
#[derive(Template)]
#[template(path = "admin/system.html", config = "src/web/askama.toml")]
pub struct SystemPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub version: &'static str,
    pub database: &'static str,
    /// Migrations that are still to be run.
    pub pending: Vec<String>,
    pub sealing: Vec<SealingKeyRow>,
    pub throttled: Vec<ThrottledRow>,
}

/// A key that secrets are sealed with.
pub struct SealingKeyRow {
    pub id: String,
    pub status: Badge,
    pub secrets: i64,
}

/// A login that was held up.
pub struct ThrottledRow {
    pub address: String,
    pub username: String,
    pub when: Moment,
}
