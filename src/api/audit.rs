//! The audit log: who did what, when and from where.

use actix_web::HttpResponse;

use super::call::Call;
use super::failure::Failed;
use crate::shape::AuditShape;
use crate::store::audit::AuditFilter;
use crate::time::Timestamp;

/// `GET /audit`
pub async fn list(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let filter = AuditFilter {
        event: call.asked("event"),
        account: call.account_filter("account").await?,
        client_key: call.client_filter()?,
        since: moment(call, "since")?,
        until: moment(call, "until")?,
        before: call.asked_number("before")?,
    };
    let limit = call.limit()?;
    let rows = call.store.audit.list(&call.reach(), filter, limit).await?;
    let is_full = rows.len() == usize::from(limit);
    let last = rows.last().filter(|_| is_full).map(|row| row.id.to_string());
    Ok(call.listed_until("before", last.as_deref(), &rows.iter().map(AuditShape::from).collect::<Vec<_>>()))
}

fn moment(call: &Call<'_>, name: &str) -> Result<Option<Timestamp>, Failed> {
    let moment = call.asked(name).map(|text| Timestamp::from_rfc3339(&text)).transpose();
    moment.map_err(|error| Failed::field(name, error.to_string()))
}
