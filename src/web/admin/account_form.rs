//! What is typed about an account, new (`/admin/accounts/new`) or known: read field by field, with a reason for each that is
//! refused.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::account::{Account, Reach, Role, check_details};
use crate::domain::credentials::{AccountId, CompanyId, InvalidName, Secret, Username};
use crate::domain::scope::{Scope, ScopeLimit};
use crate::protocol::encoding::encode;
use crate::store::Store;
use crate::store::accounts::{AccountError, NewAccount};
use crate::web::account::enrol;
use crate::web::failed::Failed;
use crate::web::page::{Choice, Frame, Problems, Section, role_name};
use crate::web::reasons;
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

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

/// `GET /admin/accounts/new`
pub async fn new(pages: Data<Arc<Pages>>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let own = visit.account()?;
        let most =
            if own.may_give(None, &ScopeLimit::Unlimited) { ScopeLimit::Unlimited } else { own.scopes.own().ceiling() };
        let form =
            AccountForm { role: Role::Member.as_str().to_owned(), scopes: most.to_string(), ..AccountForm::default() };
        Ok(account_form_page(visit, form, Problems::default()))
    };
    pages.serve(&request, payload, Access::Administrators, show).await
}

/// `POST /admin/accounts/new`
pub async fn create(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let create = async |visit: &Visit<'_>| {
        let text = visit.text;
        let (mut problems, typed) = TypedAccount::read(visit, None)?;
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
            let password = Secret::new(password);
            new.password = Some(enrol(visit, &new.username, new.company.as_ref(), &password).await?);
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

fn account_form_page(visit: &Visit<'_>, form: AccountForm, problems: Problems) -> HttpResponse {
    let (status, frame) = visit.returned(Section::Admin, problems);
    visit.page(status, &AccountFormPage { frame, text: visit.text, form, roles: roles(visit.text) })
}

/// The address of an account's page, which says what was done.
pub fn account_path(id: &AccountId, done: &str) -> String {
    format!("/admin/accounts/show?id={}&done={done}", encode(id.as_str()))
}

/// What is common to the forms of new and known accounts, read.
pub struct TypedAccount {
    pub company: Option<CompanyId>,
    pub role: Role,
    pub scopes: ScopeLimit,
    pub name: Option<String>,
    pub email: Option<String>,
    pub external_id: Option<String>,
}

impl TypedAccount {
    /// Reads every field, and says of each that is refused why. `holder`: the account that is changed, or nobody for a new one.
    pub fn read(visit: &Visit<'_>, holder: Option<&Account>) -> Result<(Problems, Self), Failed> {
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
        if !visit.account()?.may_give(holder, &scopes) {
            problems.add("scopes", (text.reasons.scope_not_yours)(&beyond(&visit.account()?.scopes, &scopes)));
        }
        Ok((problems, Self { company, role, scopes, name, email, external_id }))
    }
}

impl AccountForm {
    /// As it was typed.
    pub fn typed(visit: &Visit<'_>) -> Self {
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

    /// As the account is.
    pub fn of(account: &Account) -> Self {
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

/// What of `given` is not within `own`.
fn beyond(own: &ScopeLimit, given: &ScopeLimit) -> String {
    match given {
        ScopeLimit::Unlimited => "*".to_owned(),
        ScopeLimit::Only(given) => {
            let beyond: Vec<&str> = given.iter().map(Scope::as_str).filter(|scope| !own.admits(scope)).collect();
            beyond.join(" ")
        }
    }
}

/// A field that may be left empty.
pub fn optional(visit: &Visit<'_>, field: &str) -> Option<String> {
    Some(visit.field(field).trim().to_owned()).filter(|typed| !typed.is_empty())
}

/// The sentence for what the store refuses about a form.
pub fn refused(error: AccountError, text: &Texts) -> Result<String, Failed> {
    Ok(match &error {
        AccountError::UsernameTaken | AccountError::UsernameShadows(_) => text.admin.username_taken.to_owned(),
        AccountError::CompanyTaken | AccountError::CompanyShadows => text.admin.company_taken.to_owned(),
        AccountError::Invalid(error) => reasons::name(error, text),
        AccountError::NotFound | AccountError::CompanyNotFound | AccountError::Store(_) => return Err(error.into()),
    })
}

/// The field that it is about.
pub const fn field_of(error: &AccountError) -> &'static str {
    match error {
        AccountError::UsernameTaken | AccountError::UsernameShadows(_) => "username",
        AccountError::CompanyTaken | AccountError::CompanyShadows | AccountError::CompanyNotFound => "company",
        AccountError::NotFound | AccountError::Invalid(_) | AccountError::Store(_) => "",
    }
}

pub fn roles(text: &Texts) -> Vec<Choice> {
    [Role::Member, Role::Integrator, Role::Admin]
        .map(|role| Choice { value: role.as_str().to_owned(), label: role_name(role, text).to_owned() })
        .into()
}
