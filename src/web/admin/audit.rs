//! The audit log (`/admin/audit`): filtered, page by page, and as a file.

use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use chrono::{NaiveDate, NaiveTime};

use crate::domain::credentials::ClientKey;
use crate::protocol::encoding::encode;
use crate::shape::AuditShape;
use crate::store::Store;
use crate::store::audit::{AuditFilter, AuditRow, Event};
use crate::time::{Lifetime, Timestamp};
use crate::web::admin::part::{Part, ROWS};
use crate::web::failed::Failed;
use crate::web::page::{Frame, Moment, Problems, Section};
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

const EXPORTED: u16 = 1000;

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

/// `GET /admin/audit`
pub async fn show(pages: Data<Arc<Pages>>, store: Data<Store>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let mut problems = Problems::default();
        let form = AuditForm::asked(visit);
        let rows = match filter_of(visit, &store, &form, &mut problems).await? {
            Some(filter) => store.audit.list(&visit.reach()?, filter, ROWS).await?,
            None => Vec::new(),
        };
        let kept = form.query();
        let full = rows.len() >= usize::from(ROWS);
        let next =
            rows.last().filter(|_| full).map(|row| visit.path(&format!("/admin/audit?{kept}&before={}", row.id)));
        // A box for dates can't hold what is none.
        let form = AuditForm {
            since: if problems.has("since") { String::new() } else { form.since },
            until: if problems.has("until") { String::new() } else { form.until },
            ..form
        };
        let (status, frame) = visit.returned(Section::Admin, problems);
        let page = AuditPage {
            frame,
            text: visit.text,
            events: Event::ALL.into_iter().map(Event::as_str).collect(),
            filter: form,
            rows: rows.iter().map(|row| audit_entry(visit, row)).collect(),
            export: visit.path(&format!("/admin/audit/export?{kept}")),
            next,
        };
        Ok(visit.page(status, &page))
    };
    pages.serve(&request, payload, Access::Administrators, show).await
}

/// `GET /admin/audit/export?as=csv|json`: what the filter finds, the newest thousand at most.
pub async fn export(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let export = async |visit: &Visit<'_>| {
        let mut problems = Problems::default();
        let filter = filter_of(visit, &store, &AuditForm::asked(visit), &mut problems).await?;
        let rows = store.audit.list(&visit.reach()?, filter.ok_or(Failed::Unreadable)?, EXPORTED).await?;
        let mut answer = HttpResponse::Ok();
        answer.insert_header((CACHE_CONTROL, "no-store")).insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
        Ok(match visit.asked("as").as_str() {
            "json" => answer
                .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"audit.json\""))
                .json(rows.iter().map(AuditShape::from).collect::<Vec<_>>()),
            "csv" => answer
                .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"audit.csv\""))
                .content_type("text/csv; charset=utf-8")
                .body(csv(&rows)),
            _ => return Err(Failed::Unreadable),
        })
    };
    pages.serve(&request, payload, Access::Administrators, export).await
}

fn audit_entry(visit: &Visit<'_>, row: &AuditRow) -> AuditEntry {
    AuditEntry {
        when: Moment::of(row.at(), visit.text),
        event: row.event.clone(),
        actor: row.actor.clone(),
        subject: row.subject.clone(),
        detail: row.detail.clone().unwrap_or_default(),
        address: row.address.clone().unwrap_or_default(),
    }
}

impl AuditForm {
    fn asked(visit: &Visit<'_>) -> Self {
        let asked = |name| visit.asked(name).trim().to_owned();
        Self {
            event: asked("event"),
            account: asked("account"),
            client: asked("client"),
            since: asked("since"),
            until: asked("until"),
        }
    }

    /// As a query.
    fn query(&self) -> String {
        let fields = [
            ("event", &self.event),
            ("account", &self.account),
            ("client", &self.client),
            ("since", &self.since),
            ("until", &self.until),
        ];
        fields.map(|(name, value)| format!("{name}={}", encode(value))).join("&")
    }
}

/// The filter that was typed; `None` if it can't find anything.
async fn filter_of(
    visit: &Visit<'_>,
    store: &Store,
    form: &AuditForm,
    problems: &mut Problems,
) -> Result<Option<AuditFilter>, Failed> {
    let mut filter = AuditFilter {
        event: Some(form.event.clone()).filter(|event| !event.is_empty()),
        since: moment(&form.since, "since", problems, visit.text),
        // The day that is named is part of it.
        until: moment(&form.until, "until", problems, visit.text).map(|day| day + Lifetime::from_seconds(86_400)),
        before: visit.asked("before").parse().ok(),
        ..AuditFilter::default()
    };
    if !form.account.is_empty() {
        match store.accounts.by_name_or_id(&form.account).await? {
            Some(account) => filter.account = Some(account.id),
            None => return Ok(None),
        }
    }
    if !form.client.is_empty() {
        match ClientKey::parse(form.client.as_str()) {
            Ok(key) => filter.client_key = Some(key),
            Err(_) => return Ok(None),
        }
    }
    Ok((!problems.any()).then_some(filter))
}

/// The beginning of a day, as `2026-01-31`.
fn moment(typed: &str, field: &'static str, problems: &mut Problems, text: &Texts) -> Option<Timestamp> {
    if typed.is_empty() {
        return None;
    }
    match NaiveDate::parse_from_str(typed, "%Y-%m-%d") {
        Ok(day) => Some(Timestamp::from_unix(day.and_time(NaiveTime::MIN).and_utc().timestamp())),
        Err(_) => {
            problems.add(field, text.reasons.moment);
            None
        }
    }
}

/// RFC 4180, with the names of the JSON. A cell that a spreadsheet would run as a formula is written as text.
fn csv(rows: &[AuditRow]) -> String {
    let mut text = String::from("id,created_at,event,actor,account,company,client_key,subject,detail,address\r\n");
    for row in rows {
        let cells = [
            row.id.to_string(),
            row.at().to_rfc3339(),
            row.event.clone(),
            row.actor.clone(),
            row.account.clone().unwrap_or_default(),
            row.company.clone().unwrap_or_default(),
            row.client_key.clone().unwrap_or_default(),
            row.subject.clone(),
            row.detail.clone().unwrap_or_default(),
            row.address.clone().unwrap_or_default(),
        ];
        text.push_str(&cells.map(|cell| csv_cell(&cell)).join(","));
        text.push_str("\r\n");
    }
    text
}

fn csv_cell(cell: &str) -> String {
    let formula = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{formula}{}\"", cell.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::texts::Language;

    #[test]
    fn no_cell_is_a_formula() {
        assert_eq!(csv_cell("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        assert_eq!(csv_cell("a,b"), "\"a,b\"");
    }

    #[test]
    fn a_day_is_its_first_second() {
        let mut problems = Problems::default();
        let text = Language::English.texts();
        assert_eq!(moment("1970-01-02", "since", &mut problems, text), Some(Timestamp::from_unix(86_400)));
        assert!(moment("", "since", &mut problems, text).is_none() && !problems.any());
        assert!(moment("tomorrow", "since", &mut problems, text).is_none() && problems.has("since"));
    }
}
