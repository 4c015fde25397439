//! Administration (`/admin/…`): accounts, companies, clients, audit, the state of the server.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use chrono::{NaiveDate, NaiveTime};

use crate::domain::account::{Account, AccountStatus, Company, Reach, Role, check_details};
use crate::domain::client::ClientStatus;
use crate::domain::credentials::{AccountId, ClientKey, CompanyId, InvalidName, Secret, Username, check_line};
use crate::domain::scope::ScopeLimit;
use crate::protocol::encoding::encode;
use crate::shape::AuditShape;
use crate::store::Store;
use crate::store::accounts::{AccountError, AccountFilter, AccountUpdate, NewAccount};
use crate::store::audit::{AuditFilter, AuditRow, Event, Page};
use crate::store::clients::ClientSummary;
use crate::store::connection::DatabaseUrl;
use crate::time::{Lifetime, Timestamp};
use crate::web::account::enrol;
use crate::web::developer::{KeyForm, KeyPlace, key_form, make_key};
use crate::web::page::{Badge, Choice, Frame, Moment, Problems, Section, role_name};
use crate::web::reasons;
use crate::web::texts::Texts;
use crate::web::visit::{Access, Failed, Pages, Visit};

/// Rows of a list on one page, and rows of an export.
const ROWS: u16 = 50;
const EXPORTED: u16 = 1000;

/// The pages of the administration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Accounts,
    Companies,
    Clients,
    Audit,
    System,
}

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

/// The form of a new account.
#[derive(Template)]
#[template(path = "admin/account_form.html", config = "src/web/askama.toml")]
pub struct AccountFormPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub form: AccountForm,
    pub roles: Vec<Choice>,
}

/// What is typed about an account.
#[derive(Default)]
pub struct AccountForm {
    pub username: String,
    pub name: String,
    pub email: String,
    pub company: String,
    pub external_id: String,
    pub role: String,
    pub scopes: String,
    pub reason: String,
}

/// One account.
#[derive(Template)]
#[template(path = "admin/account.html", config = "src/web/askama.toml")]
pub struct AdministeredAccountPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub id: String,
    pub username: String,
    pub status: Badge,
    pub active: bool,
    /// Why it is locked or disabled.
    pub reason: Option<String>,
    pub created: Moment,
    pub form: AccountForm,
    pub roles: Vec<Choice>,
    pub keys: usize,
}

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
    pub last_used: Option<Moment>,
}

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

/// `GET /admin/accounts`
pub async fn accounts(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
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

/// `GET /admin/accounts/new`
pub async fn new_account(pages: Data<Arc<Pages>>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let form =
            AccountForm { role: Role::Member.as_str().to_owned(), scopes: "*".to_owned(), ..AccountForm::default() };
        Ok(account_form_page(visit, form, Problems::default()))
    };
    pages.serve(&request, payload, Access::Administrators, show).await
}

/// `POST /admin/accounts/new`
pub async fn create_account(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let create = async |visit: &Visit<'_>| {
        let text = visit.text;
        let (mut problems, typed) = TypedAccount::read(visit)?;
        let username = Username::parse(visit.field("username").trim());
        let password = visit.field("new_password");
        if let Err(error) = &username {
            problems.add("username", reasons::name(error, text));
        }
        if !password.is_empty()
            && let Err(reason) = reasons::password(&password, text)
        {
            problems.add("new_password", reason);
        }
        let (Ok(username), false) = (username, problems.any()) else {
            return Ok(account_form_page(visit, AccountForm::typed(visit), problems));
        };
        let mut new = NewAccount {
            company: typed.company,
            role: typed.role,
            scopes: typed.scopes,
            name: typed.name,
            email: typed.email,
            external_id: typed.external_id,
            ..NewAccount::named(username)
        };
        if !password.is_empty() {
            let (username, company) = (new.username.clone(), new.company.clone());
            new.password = Some(enrol(visit, username, company, Secret::new(password)).await?);
        }
        match store.accounts.create(new, &visit.by()).await {
            Ok(account) => Ok(visit.go(&account_path(&account.id, "account-created"))),
            Err(error) => {
                problems.add(field_of(&error), refused(error, text)?);
                Ok(account_form_page(visit, AccountForm::typed(visit), problems))
            }
        }
    };
    pages.serve(&request, payload, Access::Administrators, create).await
}

/// `GET /admin/accounts/show?id=…`
pub async fn show_account(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let account = reached(visit, &store).await?;
        account_page(visit, &store, &account, AccountForm::of(&account), Problems::default()).await
    };
    pages.serve(&request, payload, Access::Administrators, show).await
}

/// `POST /admin/accounts/show?id=…`
pub async fn update_account(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let update = async |visit: &Visit<'_>| {
        let account = reached(visit, &store).await?;
        let (mut problems, typed) = TypedAccount::read(visit)?;
        if account.id == visit.account()?.id && typed.role != account.role {
            problems.add("role", visit.text.admin.not_yourself);
        }
        if problems.any() {
            return account_page(visit, &store, &account, AccountForm::typed(visit), problems).await;
        }
        let everything = visit.reach()? == Reach::Everything;
        let update = AccountUpdate {
            username: None,
            company: everything.then_some(typed.company),
            role: Some(typed.role),
            scopes: Some(typed.scopes),
            name: Some(typed.name.unwrap_or_else(|| account.username.to_string())),
            email: Some(typed.email),
            external_id: Some(typed.external_id),
        };
        match store.accounts.update(&account.id, update, &visit.by()).await {
            Ok(_) => Ok(visit.go(&account_path(&account.id, "saved"))),
            Err(error) => {
                problems.add(field_of(&error), refused(error, visit.text)?);
                account_page(visit, &store, &account, AccountForm::typed(visit), problems).await
            }
        }
    };
    pages.serve(&request, payload, Access::Administrators, update).await
}

/// `POST /admin/accounts/standing?id=…`: `standing` is `lock`, `disable` or `enable`.
pub async fn set_standing(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let set = async |visit: &Visit<'_>| {
        let account = reached(visit, &store).await?;
        let typed = visit.field("reason").trim().to_owned();
        let mut problems = Problems::default();
        if !typed.is_empty()
            && let Err(error) = check_line("a reason", &typed, 500)
        {
            problems.add("reason", reasons::name(&error, visit.text));
        }
        if account.id == visit.account()?.id {
            problems.add("reason", visit.text.admin.not_yourself);
        }
        let reason = (!typed.is_empty()).then_some(typed);
        let status = match visit.field("standing").as_str() {
            "lock" => AccountStatus::Locked { reason },
            "disable" => AccountStatus::Disabled { reason },
            "enable" => AccountStatus::Active,
            _ => return Err(Failed::Unreadable),
        };
        if problems.any() {
            let form = AccountForm { reason: visit.field("reason"), ..AccountForm::of(&account) };
            return account_page(visit, &store, &account, form, problems).await;
        }
        store.accounts.set_status(&account.id, status, &visit.by()).await?;
        Ok(visit.go(&account_path(&account.id, "standing")))
    };
    pages.serve(&request, payload, Access::Administrators, set).await
}

/// `POST /admin/accounts/password?id=…`
pub async fn set_password(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let set = async |visit: &Visit<'_>| {
        let account = reached(visit, &store).await?;
        let typed = visit.field("new_password");
        if let Err(reason) = reasons::password(&typed, visit.text) {
            let mut problems = Problems::default();
            problems.add("new_password", reason);
            return account_page(visit, &store, &account, AccountForm::of(&account), problems).await;
        }
        let (username, company) = (account.username.clone(), account.company.clone());
        let password = enrol(visit, username, company, Secret::new(typed)).await?;
        let keep = visit.session.as_ref().filter(|_| visit.account().is_ok_and(|own| own.id == account.id));
        let keep = keep.map(|session| session.id.clone());
        store.accounts.set_password(&account.id, Some(password), keep, &visit.by()).await?;
        Ok(visit.go(&account_path(&account.id, "saved")))
    };
    pages.serve(&request, payload, Access::Administrators, set).await
}

/// `POST /admin/accounts/delete?id=…`
pub async fn delete_account(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let delete = async |visit: &Visit<'_>| {
        let account = reached(visit, &store).await?;
        if account.id == visit.account()?.id {
            let mut problems = Problems::default();
            problems.add("", visit.text.admin.not_yourself);
            return account_page(visit, &store, &account, AccountForm::of(&account), problems).await;
        }
        store.accounts.delete(&account.id, &visit.by()).await?;
        Ok(visit.go("/admin/accounts?done=account-deleted"))
    };
    pages.serve(&request, payload, Access::Administrators, delete).await
}

/// `GET /admin/accounts/key?id=…`
pub async fn new_key(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let account = reached(visit, &store).await?;
        let page = key_form(visit, &key_place(visit, &account), KeyForm::default(), Problems::default());
        Ok(visit.page(StatusCode::OK, &page))
    };
    pages.serve(&request, payload, Access::Administrators, show).await
}

/// `POST /admin/accounts/key?id=…`
pub async fn create_key(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let create = async |visit: &Visit<'_>| {
        let account = reached(visit, &store).await?;
        make_key(visit, &store, &account, &key_place(visit, &account)).await
    };
    pages.serve(&request, payload, Access::Administrators, create).await
}

/// `GET /admin/companies`
pub async fn companies(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let show = async |visit: &Visit<'_>| companies_page(visit, &store, Problems::default()).await;
    pages.serve(&request, payload, Access::Administrators, show).await
}

/// `POST /admin/companies`
pub async fn create_company(
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

/// `GET /admin/clients`
pub async fn clients(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let listing = store.clients.list(&visit.reach()?, None, visit.now(), visit.list_page(ROWS)).await?;
        let page = AdministeredClientsPage {
            frame: visit.frame(Section::Admin),
            text: visit.text,
            clients: listing.items.iter().map(|summary| client_row(visit, summary)).collect(),
            next: listing.next.map(|next| visit.path(&format!("/admin/clients?after={}", encode(&next.to_string())))),
        };
        Ok(visit.page(StatusCode::OK, &page))
    };
    pages.serve(&request, payload, Access::Administrators, show).await
}

/// `POST /admin/clients`: `standing` is `disable` or `enable`.
pub async fn set_client_standing(
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
        let status = match visit.field("standing").as_str() {
            "disable" => ClientStatus::Disabled,
            "enable" => ClientStatus::Active,
            _ => return Err(Failed::Unreadable),
        };
        store.clients.set_status(&key, status, &visit.by()).await?;
        Ok(visit.go("/admin/clients?done=saved"))
    };
    pages.serve(&request, payload, Access::Administrators, set).await
}

/// `GET /admin/audit`
pub async fn audit(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
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
        let status = if problems.any() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        // A box for dates can't hold what is none.
        let form = AuditForm {
            since: if problems.has("since") { String::new() } else { form.since },
            until: if problems.has("until") { String::new() } else { form.until },
            ..form
        };
        let mut frame = visit.frame(Section::Admin);
        frame.problems = problems;
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
pub async fn export_audit(
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

/// `GET /admin/system`
pub async fn system(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
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
            sealing: vec![SealingKeyRow {
                id: format!("{:08x}", visit.pages.sealing_key),
                status: Badge { tone: "good", text: text.admin.sealing_active },
            }],
            throttled: throttled.iter().map(|row| throttled_row(visit, row)).collect(),
        };
        Ok(visit.page(StatusCode::OK, &page))
    };
    pages.serve(&request, payload, Access::Administrators, show).await
}

/// The account that `id` in the query names, if the visitor administers it.
async fn reached(visit: &Visit<'_>, store: &Store) -> Result<Account, Failed> {
    let id = AccountId::parse(visit.asked("id")).map_err(|_| Failed::NotFound)?;
    let account = store.accounts.find(&id).await?.ok_or(Failed::NotFound)?;
    if visit.reach()?.includes(&account) { Ok(account) } else { Err(Failed::NotFound) }
}

fn account_path(id: &AccountId, done: &str) -> String {
    format!("/admin/accounts/show?id={}&done={done}", encode(id.as_str()))
}

fn key_place(visit: &Visit<'_>, account: &Account) -> KeyPlace {
    let id = encode(account.id.as_str()).into_owned();
    KeyPlace {
        action: visit.path(&format!("/admin/accounts/key?id={id}")),
        back: visit.path(&format!("/admin/accounts/show?id={id}")),
        back_label: visit.text.admin.accounts,
        for_account: Some(account.username.to_string()),
        section: Section::Admin,
    }
}

/// A field that may be left empty.
fn optional(visit: &Visit<'_>, field: &str) -> Option<String> {
    Some(visit.field(field).trim().to_owned()).filter(|typed| !typed.is_empty())
}

/// What is common to the forms of new and known accounts, read.
struct TypedAccount {
    company: Option<CompanyId>,
    role: Role,
    scopes: ScopeLimit,
    name: Option<String>,
    email: Option<String>,
    external_id: Option<String>,
}

impl TypedAccount {
    /// Reads every field, and says of each that is refused why.
    fn read(visit: &Visit<'_>) -> Result<(Problems, Self), Failed> {
        let text = visit.text;
        let mut problems = Problems::default();
        let (name, email, external_id) =
            (optional(visit, "name"), optional(visit, "email"), optional(visit, "external_id"));
        let checks: [(&'static str, Result<(), InvalidName>); 3] = [
            ("name", check_details(name.as_deref(), None, None)),
            ("email", check_details(None, email.as_deref(), None)),
            ("external_id", check_details(None, None, external_id.as_deref())),
        ];
        for (field, check) in checks {
            if let Err(error) = check {
                problems.add(field, reasons::name(&error, text));
            }
        }
        let company = match (visit.reach()?, optional(visit, "company")) {
            // Whoever administers one company makes accounts of that company.
            (Reach::Company(own), _) => Some(own),
            (Reach::Everything, None) => None,
            (Reach::Everything, Some(typed)) => match CompanyId::parse(typed) {
                Ok(id) => Some(id),
                Err(error) => {
                    problems.add("company", reasons::name(&error, text));
                    None
                }
            },
            (Reach::Account(_), _) => return Err(Failed::Forbidden),
        };
        let role = Role::parse(&visit.field("role")).unwrap_or_else(|| {
            problems.add("role", text.reasons.choice);
            Role::Member
        });
        let typed = visit.field("scopes");
        let scopes = if typed.trim().is_empty() { Ok(ScopeLimit::Unlimited) } else { ScopeLimit::parse(&typed) };
        let scopes = scopes.unwrap_or_else(|error| {
            problems.add("scopes", reasons::scope(&error, text));
            ScopeLimit::Unlimited
        });
        // Nobody gives more than they have.
        let own = &visit.account()?.scopes;
        let beyond = match (own, &scopes) {
            (ScopeLimit::Unlimited, _) => None,
            (ScopeLimit::Only(_), ScopeLimit::Unlimited) => Some("*".to_owned()),
            (ScopeLimit::Only(own), ScopeLimit::Only(given)) => {
                given.iter().find(|scope| !own.contains(scope.as_str())).map(ToString::to_string)
            }
        };
        if let Some(beyond) = beyond {
            problems.add("scopes", (text.reasons.scope_not_yours)(&beyond));
        }
        Ok((problems, Self { company, role, scopes, name, email, external_id }))
    }
}

impl AccountForm {
    fn typed(visit: &Visit<'_>) -> Self {
        Self {
            username: visit.field("username"),
            name: visit.field("name"),
            email: visit.field("email"),
            company: visit.field("company"),
            external_id: visit.field("external_id"),
            role: visit.field("role"),
            scopes: visit.field("scopes"),
            reason: visit.field("reason"),
        }
    }

    fn of(account: &Account) -> Self {
        Self {
            username: account.username.to_string(),
            name: account.name.clone(),
            email: account.email.clone().unwrap_or_default(),
            company: account.company.as_ref().map(ToString::to_string).unwrap_or_default(),
            external_id: account.external_id.clone().unwrap_or_default(),
            role: account.role.as_str().to_owned(),
            scopes: account.scopes.to_string(),
            reason: String::new(),
        }
    }
}

/// The sentence for what the store refuses about a form.
fn refused(error: AccountError, text: &Texts) -> Result<String, Failed> {
    Ok(match &error {
        AccountError::UsernameTaken | AccountError::UsernameShadows(_) => text.admin.username_taken.to_owned(),
        AccountError::CompanyTaken | AccountError::CompanyShadows => text.admin.company_taken.to_owned(),
        AccountError::Invalid(error) => reasons::name(error, text),
        AccountError::NotFound | AccountError::CompanyNotFound | AccountError::Store(_) => return Err(error.into()),
    })
}

/// The field that it is about.
const fn field_of(error: &AccountError) -> &'static str {
    match error {
        AccountError::UsernameTaken | AccountError::UsernameShadows(_) => "username",
        AccountError::CompanyTaken | AccountError::CompanyShadows | AccountError::CompanyNotFound => "company",
        AccountError::NotFound | AccountError::Invalid(_) | AccountError::Store(_) => "",
    }
}

fn roles(text: &Texts) -> Vec<Choice> {
    [Role::Member, Role::Integrator, Role::Admin]
        .map(|role| Choice { value: role.as_str().to_owned(), label: role_name(role, text).to_owned() })
        .into()
}

fn account_form_page(visit: &Visit<'_>, form: AccountForm, problems: Problems) -> HttpResponse {
    let status = if problems.any() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let mut frame = visit.frame(Section::Admin);
    frame.problems = problems;
    visit.page(status, &AccountFormPage { frame, text: visit.text, form, roles: roles(visit.text) })
}

async fn account_page(
    visit: &Visit<'_>,
    store: &Store,
    account: &Account,
    form: AccountForm,
    problems: Problems,
) -> Result<HttpResponse, Failed> {
    let keys = store.api_keys.list(&visit.reach()?, Some(&account.id), Page::first(1000)).await?.items.len();
    let status = if problems.any() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let mut frame = visit.frame(Section::Admin);
    frame.problems = problems;
    // A form that came back with a mistake is about this page too.
    frame.here = visit.path(&format!("/admin/accounts/show?id={}", encode(account.id.as_str())));
    let page = AdministeredAccountPage {
        frame,
        text: visit.text,
        id: account.id.to_string(),
        username: account.username.to_string(),
        status: Badge::of_account(&account.status, visit.text),
        active: account.status == AccountStatus::Active,
        reason: account.status.reason().map(str::to_owned),
        created: Moment::of(account.created_at, visit.text),
        form,
        roles: roles(visit.text),
        keys,
    };
    Ok(visit.page(status, &page))
}

async fn companies_page(visit: &Visit<'_>, store: &Store, problems: Problems) -> Result<HttpResponse, Failed> {
    let reach = visit.reach()?;
    let all = store.accounts.companies().await?;
    let within = all.iter().filter(|company| match &reach {
        Reach::Everything => true,
        Reach::Company(own) => company.id == *own,
        Reach::Account(_) => false,
    });
    let status = if problems.any() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let mut frame = visit.frame(Section::Admin);
    frame.problems = problems;
    let page = CompaniesPage {
        frame,
        text: visit.text,
        companies: within.map(|company| company_row(visit, company)).collect(),
        form_id: visit.field("company"),
        form_name: visit.field("name"),
    };
    Ok(visit.page(status, &page))
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

fn company_row(visit: &Visit<'_>, company: &Company) -> CompanyRow {
    CompanyRow {
        id: company.id.to_string(),
        name: company.name.clone(),
        created: Moment::of(company.created_at, visit.text),
    }
}

fn client_row(visit: &Visit<'_>, summary: &ClientSummary) -> AdministeredClientRow {
    let client = &summary.client;
    AdministeredClientRow {
        key: client.client_key.to_string(),
        name: client.name.clone(),
        owner: summary.owner.to_string(),
        owner_id: client.owner.to_string(),
        status: Badge::of_client(client.status, visit.text),
        active: client.status == ClientStatus::Active,
        last_used: summary.last_used_at.map(|at| Moment::of(at, visit.text)),
    }
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

fn throttled_row(visit: &Visit<'_>, row: &AuditRow) -> ThrottledRow {
    ThrottledRow {
        address: row.address.clone().unwrap_or_default(),
        username: row.subject.clone(),
        when: Moment::of(row.at(), visit.text),
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

/// RFC 4180. A cell that a spreadsheet would run as a formula is written as text.
fn csv(rows: &[AuditRow]) -> String {
    let mut text = String::from("id,at,event,actor,subject,detail,address\r\n");
    for row in rows {
        let cells = [
            row.id.to_string(),
            row.at().to_rfc3339(),
            row.event.clone(),
            row.actor.clone(),
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
