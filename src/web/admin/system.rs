//! The state of the server (`/admin/system`).

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::config::DatabaseUrl;
use crate::domain::account::Reach;
use crate::store::Store;
use crate::store::audit::{AuditFilter, AuditRow, Event};
use crate::time::Lifetime;
use crate::web::admin::part::Part;
use crate::web::failed::Failed;
use crate::web::page::{Badge, Frame, Moment, Section};
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

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
}

/// A login that was held up.
pub struct ThrottledRow {
    pub address: String,
    pub username: String,
    pub when: Moment,
}

/// `GET /admin/system`
pub async fn show(pages: Data<Arc<Pages>>, store: Data<Store>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        if visit.reach()? != Reach::Everything {
            return Err(Failed::Forbidden);
        }
        let text = visit.text;
        let filter = AuditFilter {
            event: Some(Event::LoginThrottled.as_str().to_owned()),
            since: Some(visit.now() - Lifetime::from_seconds(86_400)),
            ..AuditFilter::default()
        };
        let throttled = store.audit.list(&Reach::Everything, filter, 100).await?;
        let page = SystemPage {
            frame: visit.frame(Section::Admin),
            text,
            version: env!("CARGO_PKG_VERSION"),
            database: match store.database.url() {
                DatabaseUrl::Memory | DatabaseUrl::File(_) => "SQLite",
                DatabaseUrl::Postgres(_) => "PostgreSQL",
            },
            pending: store.database.pending_migrations().await?,
            sealing: sealing_rows(&visit.pages.sealing_keys, text),
            throttled: throttled.iter().map(|row| throttled_row(visit, row)).collect(),
        };
        Ok(visit.page(StatusCode::OK, &page))
    };
    pages.serve(&request, payload, Access::Administrators, show).await
}

fn sealing_rows(ids: &[u32], text: &'static Texts) -> Vec<SealingKeyRow> {
    let active = Badge { tone: "good", text: text.admin.sealing_active };
    // An older one is there only while the master key is being changed.
    let older = Badge { tone: "warn", text: text.admin.sealing_older };
    let statuses = std::iter::once(active).chain(std::iter::repeat(older));
    ids.iter().zip(statuses).map(|(id, status)| SealingKeyRow { id: format!("{id:08x}"), status }).collect()
}

fn throttled_row(visit: &Visit<'_>, row: &AuditRow) -> ThrottledRow {
    ThrottledRow {
        address: row.address.clone().unwrap_or_default(),
        username: row.subject.clone(),
        when: Moment::of(row.at(), visit.text),
    }
}
