//! One account (`/admin/accounts/show`), and what an administrator does with it.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::account::{Account, AccountStatus, Reach};
use crate::domain::credentials::{AccountId, Secret, check_line};
use crate::protocol::encoding::encode;
use crate::store::Store;
use crate::store::accounts::AccountUpdate;
use crate::web::account::enrol;
use crate::web::admin::account_form::{AccountForm, TypedAccount, account_path, field_of, refused, roles};
use crate::web::developer::key_form::{KeyForm, KeyPlace, key_form, make_key};
use crate::web::failed::Failed;
use crate::web::page::{Badge, Choice, Frame, Moment, Problems, Section};
use crate::web::reasons;
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

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

/// `GET /admin/accounts/show?id=…`
pub async fn show(pages: Data<Arc<Pages>>, store: Data<Store>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let account = reached(visit, &store).await?;
        account_page(visit, &store, &account, AccountForm::of(&account), Problems::default()).await
    };
    pages.serve(&request, payload, Access::Administrators, show).await
}

/// `POST /admin/accounts/show?id=…`
pub async fn update(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let update = async |visit: &Visit<'_>| {
        let account = reached(visit, &store).await?;
        let (mut problems, typed) = TypedAccount::read(visit, Some(&account))?;
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
        // One's own is changed on the account page, which asks for the old one.
        if account.id == visit.account()?.id {
            return Err(Failed::Forbidden);
        }
        let typed = visit.field("new_password");
        if let Err(reason) = reasons::password(&typed, visit.text) {
            let mut problems = Problems::default();
            problems.add("new_password", reason);
            return account_page(visit, &store, &account, AccountForm::of(&account), problems).await;
        }
        let password = enrol(visit, &account.username, account.company.as_ref(), &Secret::new(typed)).await?;
        store.accounts.set_password(&account.id, Some(password), None, &visit.by()).await?;
        Ok(visit.go(&account_path(&account.id, "saved")))
    };
    pages.serve(&request, payload, Access::Administrators, set).await
}

/// `POST /admin/accounts/delete?id=…`
pub async fn delete(
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
        let page = key_form(visit, key_place(visit, &account), KeyForm::default(), Problems::default());
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
        make_key(visit, &store, &account, key_place(visit, &account)).await
    };
    pages.serve(&request, payload, Access::Administrators, create).await
}

/// The account that `id` in the query names, if the visitor administers it.
async fn reached(visit: &Visit<'_>, store: &Store) -> Result<Account, Failed> {
    let id = AccountId::parse(visit.asked("id")).map_err(|_| Failed::NotFound)?;
    let account = store.accounts.find(&id).await?.ok_or(Failed::NotFound)?;
    if visit.reach()?.includes(&account) { Ok(account) } else { Err(Failed::NotFound) }
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

async fn account_page(
    visit: &Visit<'_>,
    store: &Store,
    account: &Account,
    form: AccountForm,
    problems: Problems,
) -> Result<HttpResponse, Failed> {
    let keys = store.api_keys.count(&account.id).await?;
    let (status, mut frame) = visit.returned(Section::Admin, problems);
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
