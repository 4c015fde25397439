//! The list of one's own clients (`/developer/clients`).

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::account::Reach;
use crate::store::Store;
use crate::store::clients::{ClientFilter, ClientSummary};
use crate::store::page::Page;
use crate::web::developer::own::MOST_ROWS;
use crate::web::page::{Badge, Frame, Moment, Section, scope_names};
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

/// The list of clients.
#[derive(Template)]
#[template(path = "developer/clients.html", config = "src/web/askama.toml")]
pub struct ClientsPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub clients: Vec<ClientRow>,
    /// Whether there are older ones, which are not shown.
    pub more: bool,
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

/// `GET /developer/clients`
pub async fn list(pages: Data<Arc<Pages>>, store: Data<Store>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let account = visit.account()?.id.clone();
        let reach = Reach::Account(account);
        let found = store.clients.list(&reach, ClientFilter::default(), visit.now(), Page::first(MOST_ROWS)).await?;
        let clients =
            found.items.iter().enumerate().map(|(number, summary)| client_row(visit, number, summary)).collect();
        let (frame, more) = (visit.frame(Section::Developer), found.next.is_some());
        let page = ClientsPage { frame, text: visit.text, clients, more };
        Ok(visit.page(StatusCode::OK, &page))
    };
    pages.serve(&request, payload, Access::LoggedIn, show).await
}

fn client_row(visit: &Visit<'_>, number: usize, summary: &ClientSummary) -> ClientRow {
    let client = &summary.client;
    ClientRow {
        element: format!("client-{number}"),
        key: client.client_key.to_string(),
        name: client.name.clone(),
        status: Badge::of_client(client.status, visit.text),
        scopes: scope_names(&client.scopes),
        callbacks: client.callbacks.iter().map(ToString::to_string).collect(),
        tokens: summary.active_tokens,
        last_used: summary.last_used_at.map(|at| Moment::of(at, visit.text)),
    }
}
