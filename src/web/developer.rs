//! The developer console: clients (`/developer/clients…`) and API keys (`/developer/keys…`).

use askama::Template;

use crate::web::page::{Badge, Choice, Frame, Moment, ScopeChoice, Section};
use crate::web::samples::FilledSample;
use crate::web::texts::Texts;

/// The list of clients.
#[derive(Template)]
#[template(path = "developer/clients.html", config = "src/web/askama.toml")]
pub struct ClientsPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub clients: Vec<ClientRow>,
}

/// One client of the list.
pub struct ClientRow {
    /// The id of the element that a copy button copies.
    pub element: String,
    pub key: String,
    pub name: String,
    pub status: Badge,
    pub scopes: Vec<String>,
    pub callbacks: Vec<String>,
    pub tokens: i64,
    pub last_used: Option<Moment>,
}

/// What the pages of one client begin with.
pub struct ClientHead {
    pub key: String,
    pub name: String,
    pub status: Badge,
    pub tab: Tab,
}

/// The pages of one client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tab {
    Overview,
    Settings,
    Samples,
    Inspector,
}

/// One client.
#[derive(Template)]
#[template(path = "developer/client.html", config = "src/web/askama.toml")]
pub struct ClientPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub head: ClientHead,
    pub active: bool,
    pub scopes: Vec<String>,
    pub callbacks: Vec<String>,
    pub methods: Vec<String>,
    pub rsa: Option<RsaKey>,
    pub http_auth: bool,
    pub created: Moment,
    pub last_used: Option<Moment>,
    pub old_secret_until: Option<Moment>,
    pub tokens: Vec<TokenRow>,
    pub once: String,
}

/// What people compare RSA keys by.
pub struct RsaKey {
    pub bits: usize,
    pub fingerprint: String,
}

/// An access token of a client.
pub struct TokenRow {
    pub id: String,
    pub hint: String,
    pub account: String,
    pub scopes: Vec<String>,
    pub created: Moment,
    pub last_used: Option<Moment>,
}

/// The form of a new client, or of the settings of one.
#[derive(Template)]
#[template(path = "developer/form.html", config = "src/web/askama.toml")]
pub struct ClientFormPage {
    pub frame: Frame,
    pub text: &'static Texts,
    /// The client whose settings these are; nothing: a new one.
    pub head: Option<ClientHead>,
    pub form: ClientForm,
    pub once: String,
}

/// What is typed into it.
#[derive(Default)]
pub struct ClientForm {
    pub name: String,
    /// One a line.
    pub callbacks: String,
    /// Those that the configuration names.
    pub scopes: Vec<ScopeChoice>,
    pub other_scopes: String,
    pub methods: Vec<MethodChoice>,
    pub rsa_public_key: String,
    pub http_auth: bool,
    pub own_token: bool,
}

/// A signature method with a box to tick.
pub struct MethodChoice {
    pub name: &'static str,
    pub ticked: bool,
}

/// The samples of a client.
#[derive(Template)]
#[template(path = "developer/samples.html", config = "src/web/askama.toml")]
pub struct SamplesPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub head: ClientHead,
    pub samples: Vec<FilledSample>,
}

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

/// The list of API keys.
#[derive(Template)]
#[template(path = "developer/keys.html", config = "src/web/askama.toml")]
pub struct KeysPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub keys: Vec<KeyRow>,
    pub once: String,
}

/// One API key.
pub struct KeyRow {
    /// The id of the element that a copy button copies.
    pub element: String,
    pub public_key: String,
    pub name: String,
    /// Nothing: the account's.
    pub scopes: Option<Vec<String>>,
    pub expires: Option<Moment>,
    pub expired: bool,
    pub last_used: Option<Moment>,
    /// Who acts with it in the account's place.
    pub made_by: Option<String>,
}

/// The form of a new API key.
#[derive(Template)]
#[template(path = "developer/key_form.html", config = "src/web/askama.toml")]
pub struct KeyFormPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub action: String,
    pub back: String,
    pub back_label: &'static str,
    /// Whose key it will be, if not the visitor's own.
    pub for_account: Option<String>,
    pub form: KeyForm,
    pub expiries: Vec<Choice>,
    pub once: String,
}

/// What is typed into it.
#[derive(Default)]
pub struct KeyForm {
    pub name: String,
    pub scopes: String,
    pub expires_in: String,
}
