//! The list of accounts (`/admin/accounts`).

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::account::Account;
use crate::protocol::encoding::encode;
use crate::store::Store;
use crate::store::accounts::AccountFilter;
use crate::web::admin::part::{Part, ROWS};
use crate::web::page::{Badge, Frame, Moment, Section, role_name};
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

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

/// `GET /admin/accounts`
pub async fn list(pages: Data<Arc<Pages>>, store: Data<Store>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let reach = visit.reach()?;
        let search = visit.asked("search");
        let (found, next) = if search.is_empty() {
            let listing = store.accounts.list(&reach, AccountFilter::default(), visit.list_page(ROWS)).await?;
            (listing.items, listing.next)
        } else {
            let found = store.accounts.by_name_or_id(search.trim()).await?;
            (found.into_iter().filter(|account| reach.includes(account)).collect(), None)
        };
        let page = AccountsPage {
            frame: visit.frame(Section::Admin),
            text: visit.text,
            search,
            accounts: found.iter().map(|account| account_row(visit, account)).collect(),
            next: next.map(|next| visit.path(&format!("/admin/accounts?after={}", encode(&next.to_string())))),
        };
        Ok(visit.page(StatusCode::OK, &page))
    };
    pages.serve(&request, payload, Access::Administrators, show).await
}

fn account_row(visit: &Visit<'_>, account: &Account) -> AccountRow {
    AccountRow {
        id: account.id.to_string(),
        username: account.username.to_string(),
        name: account.name.clone(),
        company: account.company.as_ref().map(ToString::to_string),
        role: role_name(account.role, visit.text),
        status: Badge::of_account(&account.status, visit.text),
        created: Moment::of(account.created_at, visit.text),
    }
}
