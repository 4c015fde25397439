//! Accounts. Whoever administers one company makes and changes accounts of that company; nobody gives more than they
//! have, and nobody locks themselves out.

use actix_web::HttpResponse;

use super::call::{Call, done, made, one};
use super::failure::Failed;
use super::operations::Action;
use crate::auth::enrolment;
use crate::domain::account::{Account, AccountStatus, Reach, Role};
use crate::domain::credentials::{CompanyId, PASSWORD_LENGTH, Secret, Username};
use crate::domain::scope::{ScopeLimit, Scopes};
use crate::shape::{AccountShape, KeyShape};
use crate::store::accounts::{AccountFilter, AccountUpdate, NewAccount, StoredPassword};

/// `GET /accounts`
pub async fn list(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let status = call.asked("status");
    if let Some(status) = status.as_deref().filter(|status| AccountStatus::parse(status, None).is_none()) {
        return Err(Failed::field("status", format!("{status:?} is not active, locked or disabled")));
    }
    let filter = AccountFilter {
        company: call.asked("company").map(|id| company(&id)).transpose()?,
        role: call.asked("role").map(|text| role(&text)).transpose()?,
        status,
        external_id: call.asked("external_id"),
        id: call.account_filter("username").await?,
    };
    let listing = call.store.accounts.list(&call.reach(), filter, call.page()?).await?;
    Ok(call.listed(&listing, |account| AccountShape::from(account)))
}

/// `POST /accounts`
pub async fn create(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    call.administers()?;
    let fields = &call.fields;
    let username = fields.text("username").unwrap_or_default();
    let username = Username::parse(username).map_err(|error| Failed::field("username", error))?;
    let asked = fields.text("company").map(company).transpose()?;
    let company = match call.reach() {
        Reach::Company(own) if asked.as_ref().is_none_or(|asked| *asked == own) => Some(own),
        Reach::Company(_) => return Err(OTHER_COMPANY),
        Reach::Everything | Reach::Account(_) => asked,
    };
    let role = fields.text("role").map_or(Ok(Role::Member), role)?;
    may_appoint(call, role)?;
    let scopes = match scopes(call, None)? {
        Some(given) => given,
        None if may_give(call, None, &ScopeLimit::Unlimited).is_ok() => ScopeLimit::Unlimited,
        // Not told is no limit, which is more than the caller has.
        None => call.identity.scopes().under(&call.account().scopes).ceiling(),
    };
    let password = match fields.text("password") {
        Some(password) => Some(enrol(call, password, &username, company.as_ref()).await?),
        None => None,
    };
    let new = NewAccount {
        company,
        role,
        scopes,
        name: fields.text("name").map(str::to_owned),
        email: fields.text("email").map(str::to_owned),
        external_id: fields.text("external_id").map(str::to_owned),
        password,
        ..NewAccount::named(username)
    };
    made(&AccountShape::from(&call.store.accounts.create(new, &call.by()).await?))
}

/// `GET /accounts/{username}`
pub async fn show(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    one(&AccountShape::from(&call.reached(&call.named).await?))
}

/// `PATCH /accounts/{username}`: a member changes its own name and address, an admin everything.
pub async fn update(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let account = call.reached(&call.named).await?;
    let fields = &call.fields;
    let standing = ["status", "password"].iter().any(|field| fields.given(field));
    if standing || ["username", "company", "role", "scopes", "external_id"].iter().any(|field| fields.given(field)) {
        call.administers()?;
    }
    if standing && account.id == call.account().id {
        return Err(YOURSELF);
    }
    if account.id != call.account().id {
        may_rule_over(call, &account)?;
    }
    if fields.given("password") {
        may_know_password(call, &account)?;
    }
    let status = fields.text("status").map(|status| new_status(status, fields.text("reason"))).transpose()?;
    if status.is_none() && fields.given("reason") {
        return Err(Failed::field("reason", "goes with a status"));
    }
    let text = |value: Option<&str>| value.map(str::to_owned);
    let new_company = match fields.nullable("company") {
        Some(Some(id)) => Some(Some(company(id)?)),
        Some(None) => Some(None),
        None => None,
    };
    let new_role = fields.text("role").map(role).transpose()?;
    if let Some(role) = new_role {
        may_appoint(call, role)?;
    }
    if let Reach::Company(own) = call.reach()
        && new_company.as_ref().is_some_and(|company| company.as_ref() != Some(&own))
    {
        return Err(OTHER_COMPANY);
    }
    if account.id == call.account().id
        && (new_role.is_some_and(|role| role != account.role)
            || new_company.as_ref().is_some_and(|company| *company != account.company))
    {
        return Err(YOURSELF);
    }
    let username = fields.text("username").map(Username::parse).transpose();
    let username = username.map_err(|error| Failed::field("username", error))?;
    let is_another = username.as_ref().is_some_and(|name| *name != account.username)
        || new_company.as_ref().is_some_and(|company| *company != account.company);
    if call.is_app() && is_another {
        // Whoever gives a name away can give it to somebody else, and a company says whose things an admin reaches.
        return Err(Failed::Forbidden("username, company: an app changes neither."));
    }
    let password = match fields.text("password") {
        Some(password) => {
            let company = new_company.as_ref().unwrap_or(&account.company).as_ref();
            Some(enrol(call, password, username.as_ref().unwrap_or(&account.username), company).await?)
        }
        None => None,
    };
    let update = AccountUpdate {
        username,
        company: new_company,
        role: new_role,
        scopes: scopes(call, Some(&account))?,
        name: text(fields.text("name")),
        email: fields.nullable("email").map(text),
        external_id: fields.nullable("external_id").map(text),
    };
    let mut changed = account;
    if ["username", "company", "role", "scopes", "name", "email", "external_id"].iter().any(|field| fields.given(field))
    {
        changed = call.store.accounts.update(&changed.id, update, &call.by()).await?;
    }
    if let Some(status) = status {
        changed = call.store.accounts.set_status(&changed.id, status, &call.by()).await?;
    }
    if password.is_some() {
        call.store.accounts.set_password(&changed.id, password, None, &call.by()).await?;
    }
    one(&AccountShape::from(&changed))
}

/// `DELETE /accounts/{username}`
pub async fn delete(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let account = another(call).await?;
    call.store.accounts.delete(&account.id, &call.by()).await?;
    done()
}

/// `POST /accounts/{username}/lock`, `/disable`, `/enable`
pub async fn stand(call: &Call<'_>, action: Action) -> Result<HttpResponse, Failed> {
    let account = another(call).await?;
    let reason = call.fields.text("reason").map(str::to_owned);
    let status = match action {
        Action::LockAccount => AccountStatus::Locked { reason },
        Action::DisableAccount => AccountStatus::Disabled { reason },
        _ => AccountStatus::Active,
    };
    one(&AccountShape::from(&call.store.accounts.set_status(&account.id, status, &call.by()).await?))
}

/// `POST /accounts/{username}/set-password`: for admins. One's own is changed on the account page, which asks for the
/// old one: an app with `manage:write` must not take an account over.
pub async fn set_password(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let account = another(call).await?;
    may_know_password(call, &account)?;
    let password = call.fields.text("password").unwrap_or_default();
    let password = enrol(call, password, &account.username, account.company.as_ref()).await?;
    call.store.accounts.set_password(&account.id, Some(password), None, &call.by()).await?;
    done()
}

/// `POST /members/{username}/tokens`: an integrator or admin gets a short-lived key for a member of its company.
pub async fn impersonate(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let impersonations = call.house.impersonations;
    let made_key = impersonations.impersonate(&call.identity, &call.named, call.address(), call.now()).await?;
    made(&KeyShape::issued(&made_key.key, &made_key.member, made_key.private_key, call.now()))
}

const OTHER_COMPANY: Failed = Failed::Forbidden("An admin of a company makes and keeps accounts of that company only.");
const YOURSELF: Failed = Failed::Forbidden("Nobody does this to their own account.");

/// The account that the path names, which an admin reaches and is not itself.
async fn another(call: &Call<'_>) -> Result<Account, Failed> {
    let account = call.reached(&call.named).await?;
    call.administers()?;
    if account.id == call.account().id {
        return Err(YOURSELF);
    }
    may_rule_over(call, &account)?;
    Ok(account)
}

fn new_status(text: &str, reason: Option<&str>) -> Result<AccountStatus, Failed> {
    let status = AccountStatus::parse(text, reason.map(str::to_owned));
    status.ok_or_else(|| Failed::field("status", format!("{text:?} is not active, locked or disabled")))
}

fn company(id: &str) -> Result<CompanyId, Failed> {
    CompanyId::parse(id).map_err(|error| Failed::field("company", error))
}

fn role(text: &str) -> Result<Role, Failed> {
    Role::parse(text).ok_or_else(|| Failed::field("role", "must be member, integrator or admin"))
}

fn scopes(call: &Call<'_>, holder: Option<&Account>) -> Result<Option<ScopeLimit>, Failed> {
    let Some(given) = call.fields.texts("scopes") else { return Ok(None) };
    let limit = match given.as_slice() {
        // As everywhere in JSON an empty list is none; everything is `["*"]`.
        [] => ScopeLimit::Only(Scopes::default()),
        given => ScopeLimit::parse_each(given).map_err(|error| Failed::field("scopes", error))?,
    };
    may_give(call, holder, &limit)?;
    Ok(Some(limit))
}

/// Nobody gives more than they have. An app is held to what it was given in everything that it does, any other credential in what it
/// makes for its own account. `holder`: whose the thing is that is made, or nobody for a new account.
pub(super) fn may_give(call: &Call<'_>, holder: Option<&Account>, given: &ScopeLimit) -> Result<(), Failed> {
    let is_own = holder.is_some_and(|holder| holder.id == call.account().id);
    let is_bound = is_own || call.is_app();
    if call.account().may_give(holder, given) && (!is_bound || call.identity.scopes().covers(given)) {
        Ok(())
    } else {
        Err(Failed::Forbidden("scopes: nobody gives more than they have."))
    }
}

/// Whoever knows the password is the account, with the power of its role.
fn may_know_password(call: &Call<'_>, account: &Account) -> Result<(), Failed> {
    may_appoint(call, account.role)?;
    may_give(call, Some(account), &account.scopes)
}

/// No app makes an admin, and so itself one by a password that it knows.
fn may_appoint(call: &Call<'_>, role: Role) -> Result<(), Failed> {
    if role == Role::Member || !call.is_app() {
        return Ok(());
    }
    Err(Failed::Forbidden("role: an app makes members only."))
}

/// Nor does it take anything from one.
fn may_rule_over(call: &Call<'_>, account: &Account) -> Result<(), Failed> {
    may_appoint(call, account.role)
        .map_err(|_| Failed::Forbidden("An app changes nothing of integrators and admins: a person or a key does."))
}

async fn enrol(
    call: &Call<'_>,
    password: &str,
    username: &Username,
    company: Option<&CompanyId>,
) -> Result<StoredPassword, Failed> {
    // As the command line: people who choose their own on a page need more characters.
    if password.is_empty() || password.chars().count() > *PASSWORD_LENGTH.end() {
        return Err(Failed::field("password", "must have 1 to 1024 characters"));
    }
    let threads = call.house.judge.authenticator.basic.passwords();
    let password = Secret::new(password);
    Ok(enrolment::password_on(threads, &password, username, company, &call.house.settings.realm).await?)
}
