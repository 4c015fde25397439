//! One's own API keys (`/developer/keys`).

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::auth::enrolment;
use crate::domain::account::Reach;
use crate::domain::credentials::Secret;
use crate::store::Store;
use crate::store::api_keys::ApiKeySummary;
use crate::store::page::Page;
use crate::web::developer::own::{MOST_ROWS, own_key};
use crate::web::developer::shown_once::key_page;
use crate::web::failed::Failed;
use crate::web::page::{Frame, Moment, Section, scope_names};
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

/// The list of API keys.
#[derive(Template)]
#[template(path = "developer/keys.html", config = "src/web/askama.toml")]
pub struct KeysPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub keys: Vec<KeyRow>,
    /// Whether there are older ones, which are not shown.
    pub more: bool,
    pub once: String,
}

/// One API key.
pub struct KeyRow {
    /// The id of the element that a copy button copies.
    pub element: String,
    pub public_key: String,
    /// How the private key ends.
    pub hint: String,
    pub name: String,
    /// Nothing: the account's.
    pub scopes: Option<Vec<String>>,
    pub expires: Option<Moment>,
    pub expired: bool,
    pub last_used: Option<Moment>,
    /// Who acts with it in the account's place.
    pub made_by: Option<String>,
}

/// `GET /developer/keys`
pub async fn list(pages: Data<Arc<Pages>>, store: Data<Store>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let reach = Reach::Account(visit.account()?.id.clone());
        let found = store.api_keys.list(&reach, None, Page::first(MOST_ROWS)).await?;
        let keys = found.items.iter().enumerate().map(|(number, summary)| key_row(visit, number, summary)).collect();
        let (frame, more) = (visit.frame(Section::Developer), found.next.is_some());
        let page = KeysPage { frame, text: visit.text, keys, more, once: visit.once() };
        Ok(visit.page(StatusCode::OK, &page))
    };
    pages.serve(&request, payload, Access::LoggedIn, show).await
}

/// `POST /developer/keys/regenerate`
pub async fn regenerate(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let regenerate = async |visit: &Visit<'_>| {
        let public_key = own_key(visit, &store).await?;
        let key = store.api_keys.find(&public_key).await?.ok_or(Failed::NotFound)?;
        if key.impersonator.is_some() {
            // Its private half is known to who acts for the account, and to nobody else.
            return Err(Failed::Forbidden);
        }
        let private_key = Secret::generate(&mut rand::rng());
        let digest = enrolment::private_key(&private_key, &public_key, visit.account()?, &visit.pages.realm);
        let by = visit.by();
        let regenerated = store.api_keys.regenerate(&public_key, private_key.clone(), digest, &by);
        let key = visit.carry_out(&store, regenerated).await?;
        let title = (visit.text.keys.regenerated)(&key.name);
        Ok(key_page(visit, title, &public_key, &private_key, &visit.path("/developer/keys")))
    };
    pages.serve(&request, payload, Access::LoggedIn, regenerate).await
}

/// `POST /developer/keys/delete`
pub async fn delete(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let delete = async |visit: &Visit<'_>| {
        let public_key = own_key(visit, &store).await?;
        store.api_keys.delete(&public_key, &visit.by()).await?;
        Ok(visit.go("/developer/keys?done=key-deleted"))
    };
    pages.serve(&request, payload, Access::LoggedInToTakeAway, delete).await
}

fn key_row(visit: &Visit<'_>, number: usize, summary: &ApiKeySummary) -> KeyRow {
    let key = &summary.key;
    KeyRow {
        element: format!("key-{number}"),
        public_key: key.public_key.to_string(),
        hint: summary.hint.to_string(),
        name: key.name.clone(),
        scopes: key.scopes.as_ref().map(scope_names),
        expires: key.expires_at.map(|at| Moment::of(at, visit.text)),
        expired: key.is_expired(visit.now()),
        last_used: summary.last_used_at.map(|at| Moment::of(at, visit.text)),
        made_by: key.impersonator.as_ref().map(|by| by.username.to_string()),
    }
}
