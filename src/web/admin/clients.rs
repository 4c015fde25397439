//! Everybody's clients (`/admin/clients`): to see and to suspend.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::account::Reach;
use crate::domain::client::ClientStatus;
use crate::domain::credentials::ClientKey;
use crate::protocol::encoding::encode;
use crate::store::Store;
use crate::store::clients::{ClientFilter, ClientSummary};
use crate::web::admin::part::{Part, ROWS};
use crate::web::failed::Failed;
use crate::web::page::{Badge, Frame, Moment, Section};
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

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
    /// By who administers the server, which the visitor does not.
    pub barred: bool,
    pub last_used: Option<Moment>,
}

/// `GET /admin/clients`
pub async fn list(pages: Data<Arc<Pages>>, store: Data<Store>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let reach = visit.reach()?;
        let listing = store.clients.list(&reach, ClientFilter::default(), visit.now(), visit.list_page(ROWS)).await?;
        let page = AdministeredClientsPage {
            frame: visit.frame(Section::Admin),
            text: visit.text,
            clients: listing.items.iter().map(|summary| client_row(visit, summary, &reach)).collect(),
            next: listing.next.map(|next| visit.path(&format!("/admin/clients?after={}", encode(&next.to_string())))),
        };
        Ok(visit.page(StatusCode::OK, &page))
    };
    pages.serve(&request, payload, Access::Administrators, show).await
}

/// `POST /admin/clients`: `standing` is `disable` or `enable`.
pub async fn set_standing(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let set = async |visit: &Visit<'_>| {
        let key = ClientKey::parse(visit.field("client_key")).map_err(|_| Failed::NotFound)?;
        let client = store.clients.find(&key).await?.ok_or(Failed::NotFound)?;
        let owner = store.accounts.find(&client.owner).await?.ok_or(Failed::NotFound)?;
        if !visit.reach()?.includes(&owner) {
            return Err(Failed::NotFound);
        }
        let enabled = match visit.field("standing").as_str() {
            "disable" => false,
            "enable" => true,
            _ => return Err(Failed::Unreadable),
        };
        store.clients.set_enabled(&key, enabled, &visit.by()).await?;
        Ok(visit.go("/admin/clients?done=saved"))
    };
    pages.serve(&request, payload, Access::Administrators, set).await
}

fn client_row(visit: &Visit<'_>, summary: &ClientSummary, reach: &Reach) -> AdministeredClientRow {
    let client = &summary.client;
    AdministeredClientRow {
        key: client.client_key.to_string(),
        name: client.name.clone(),
        owner: summary.owner.to_string(),
        owner_id: client.owner.to_string(),
        status: Badge::of_client(client.status, visit.text),
        active: client.status == ClientStatus::Active,
        barred: client.status == ClientStatus::Barred && *reach != Reach::Everything,
        last_used: summary.last_used_at.map(|at| Moment::of(at, visit.text)),
    }
}
