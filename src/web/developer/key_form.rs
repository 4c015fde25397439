//! The form of a new API key: one's own (`/developer/keys/new`), or one for an account of the administration.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::auth::enrolment;
use crate::domain::account::Account;
use crate::domain::api_key::KeyPair;
use crate::domain::credentials::check_line;
use crate::domain::scope::Scopes;
use crate::store::Store;
use crate::store::api_keys::NewApiKey;
use crate::time::Lifetime;
use crate::web::developer::shown_once::key_page;
use crate::web::failed::Failed;
use crate::web::page::{Choice, Frame, Problems, Section};
use crate::web::reasons;
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

/// After how many days a key may end.
const EXPIRY_DAYS: [u32; 4] = [7, 30, 90, 365];

const SECONDS_A_DAY: u32 = 86_400;

/// The form of a new API key.
#[derive(Template)]
#[template(path = "developer/key_form.html", config = "src/web/askama.toml")]
pub struct KeyFormPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub place: KeyPlace,
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

/// Where a key's form stands: in the developer's own list, or with an account of the administration.
pub struct KeyPlace {
    pub action: String,
    pub back: String,
    pub back_label: &'static str,
    /// Whose key it will be, if not the visitor's own.
    pub for_account: Option<String>,
    pub section: Section,
}

/// `GET /developer/keys/new`
pub async fn new(pages: Data<Arc<Pages>>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let page = key_form(visit, KeyPlace::own(visit), KeyForm::default(), Problems::default());
        Ok(visit.page(StatusCode::OK, &page))
    };
    pages.serve(&request, payload, Access::LoggedIn, show).await
}

/// `POST /developer/keys/new`
pub async fn create(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let create = async |visit: &Visit<'_>| make_key(visit, &store, visit.account()?, KeyPlace::own(visit)).await;
    pages.serve(&request, payload, Access::LoggedIn, create).await
}

impl KeyPlace {
    fn own(visit: &Visit<'_>) -> Self {
        Self {
            action: visit.path("/developer/keys/new"),
            back: visit.path("/developer/keys"),
            back_label: visit.text.developer.keys,
            for_account: None,
            section: Section::Developer,
        }
    }
}

/// The form of a new key.
pub fn key_form(visit: &Visit<'_>, place: KeyPlace, form: KeyForm, problems: Problems) -> KeyFormPage {
    let text = visit.text;
    let never = Choice { value: String::new(), label: text.words.never.to_owned() };
    let days = EXPIRY_DAYS.into_iter().map(|days| Choice {
        value: (days * SECONDS_A_DAY).to_string(),
        label: (text.keys.days)(usize::try_from(days).unwrap_or_default()),
    });
    let frame = Frame { problems, ..visit.frame(place.section) };
    KeyFormPage { frame, text, place, form, expiries: std::iter::once(never).chain(days).collect(), once: visit.once() }
}

/// Makes a key for `account` by the visit's form, and shows it for once.
///
/// # Errors
/// As [`crate::store::api_keys::ApiKeys::create`].
pub async fn make_key(
    visit: &Visit<'_>,
    store: &Store,
    account: &Account,
    place: KeyPlace,
) -> Result<HttpResponse, Failed> {
    let text = visit.text;
    let form =
        KeyForm { name: visit.field("name"), scopes: visit.field("scopes"), expires_in: visit.field("expires_in") };
    let mut problems = Problems::default();
    let name = form.name.trim().to_owned();
    if let Err(error) = check_line("a key's name", &name, 200) {
        problems.add("name", reasons::name(&error, text));
    }
    let scopes: Scopes = reasons::scopes(&form.scopes, text).unwrap_or_else(|reason| problems.skip("scopes", reason));
    if let Some(beyond) = scopes.iter().find(|scope| !account.scopes.admits(scope.as_str())) {
        problems.add("scopes", (text.reasons.scope_not_yours)(beyond.as_str()));
    }
    let expires_in = match form.expires_in.as_str() {
        "" => None,
        typed => {
            match typed.parse().ok().filter(|seconds| EXPIRY_DAYS.iter().any(|days| days * SECONDS_A_DAY == *seconds)) {
                Some(seconds) => Some(Lifetime::from_seconds(seconds)),
                None => problems.skip("expires_in", text.reasons.choice.to_owned()),
            }
        }
    };
    if problems.any() {
        return Ok(visit.page(StatusCode::UNPROCESSABLE_ENTITY, &key_form(visit, place, form, problems)));
    }
    let KeyPair { public_key, private_key } = KeyPair::generate(&mut rand::rng());
    let new = NewApiKey {
        digest: enrolment::private_key(&private_key, &public_key, account, &visit.pages.realm),
        public_key: public_key.clone(),
        private_key: private_key.clone(),
        account: account.id.clone(),
        name: name.clone(),
        scopes: Some(scopes).filter(|scopes| !scopes.is_empty()),
        expires_at: expires_in.map(|lifetime| visit.now() + lifetime),
        impersonator: None,
    };
    visit.carry_out(store, store.api_keys.create(new, &visit.by())).await?;
    Ok(key_page(visit, (text.keys.created)(&name), &public_key, &private_key, &place.back))
}
