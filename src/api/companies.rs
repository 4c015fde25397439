//! Companies: all for whoever administers the server, one's own for others.

use actix_web::HttpResponse;

use super::call::{Call, made, one};
use super::failure::Failed;
use crate::domain::account::{Company, Reach};
use crate::domain::credentials::CompanyId;
use crate::shape::CompanyShape;
use crate::store::page::Listing;

/// `GET /companies`
pub async fn list(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let mut items = call.store.accounts.companies().await?;
    items.retain(|company| sees(call, company));
    Ok(call.listed(&Listing { items, next: None }, |company| CompanyShape::from(company)))
}

/// `POST /companies`
pub async fn create(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    if call.reach() != Reach::Everything {
        return Err(Failed::Forbidden("Only an admin without a company makes companies."));
    }
    let id = CompanyId::parse(call.fields.text("id").unwrap_or_default());
    let id = id.map_err(|error| Failed::field("id", error))?;
    let name = call.fields.text("name").map(str::to_owned);
    made(&CompanyShape::from(&call.store.accounts.create_company(id, name, &call.by()).await?))
}

/// `GET /companies/{id}`
pub async fn show(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let id = CompanyId::parse(call.named.as_str()).map_err(|_| Failed::NotFound("company"))?;
    let found = call.store.accounts.company(&id).await?.filter(|company| sees(call, company));
    one(&CompanyShape::from(&found.ok_or(Failed::NotFound("company"))?))
}

fn sees(call: &Call<'_>, company: &Company) -> bool {
    call.reach() == Reach::Everything || call.account().company.as_ref() == Some(&company.id)
}
