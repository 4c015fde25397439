//! Companies (`/admin/companies`).

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::account::{Company, Reach};
use crate::domain::credentials::{CompanyId, check_line};
use crate::store::Store;
use crate::web::admin::account_form::{optional, refused};
use crate::web::admin::part::Part;
use crate::web::failed::Failed;
use crate::web::page::{Frame, Moment, Problems, Section};
use crate::web::reasons;
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

/// Companies.
#[derive(Template)]
#[template(path = "admin/companies.html", config = "src/web/askama.toml")]
pub struct CompaniesPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub companies: Vec<CompanyRow>,
    pub form_id: String,
    pub form_name: String,
}

/// One company.
pub struct CompanyRow {
    pub id: String,
    pub name: String,
    pub created: Moment,
}

/// `GET /admin/companies`
pub async fn list(pages: Data<Arc<Pages>>, store: Data<Store>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| companies_page(visit, &store, Problems::default()).await;
    pages.serve(&request, payload, Access::Administrators, show).await
}

/// `POST /admin/companies`
pub async fn create(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let create = async |visit: &Visit<'_>| {
        if visit.reach()? != Reach::Everything {
            return Err(Failed::Forbidden);
        }
        let mut problems = Problems::default();
        let name = optional(visit, "name");
        if let Some(Err(error)) = name.as_deref().map(|name| check_line("a name", name, 200)) {
            problems.add("name", reasons::name(&error, visit.text));
        }
        match CompanyId::parse(visit.field("company").trim()) {
            Err(error) => problems.add("company", reasons::name(&error, visit.text)),
            Ok(id) if !problems.any() => match store.accounts.create_company(id, name, &visit.by()).await {
                Ok(_) => return Ok(visit.go("/admin/companies?done=company")),
                Err(error) => problems.add("company", refused(error, visit.text)?),
            },
            Ok(_) => {}
        }
        companies_page(visit, &store, problems).await
    };
    pages.serve(&request, payload, Access::Administrators, create).await
}

async fn companies_page(visit: &Visit<'_>, store: &Store, problems: Problems) -> Result<HttpResponse, Failed> {
    let reach = visit.reach()?;
    let all = store.accounts.companies().await?;
    let within = all.iter().filter(|company| match &reach {
        Reach::Everything => true,
        Reach::Company(own) => company.id == *own,
        Reach::Account(_) => false,
    });
    let (status, frame) = visit.returned(Section::Admin, problems);
    let page = CompaniesPage {
        frame,
        text: visit.text,
        companies: within.map(|company| company_row(visit, company)).collect(),
        form_id: visit.field("company"),
        form_name: visit.field("name"),
    };
    Ok(visit.page(status, &page))
}

fn company_row(visit: &Visit<'_>, company: &Company) -> CompanyRow {
    CompanyRow {
        id: company.id.to_string(),
        name: company.name.clone(),
        created: Moment::of(company.created_at, visit.text),
    }
}
