//! Accounts and companies: the resource owner (RFC 5849 §1.1) and the tenant that it may belong to.
//!
//! Passwords are not part of an account: who may see the account may not see those.

use super::credentials::{AccountId, CompanyId, InvalidName, Username, check_line};
use super::scope::{Scope, ScopeLimit};
use crate::time::Timestamp;

/// A tenant that accounts may belong to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Company {
    pub id: CompanyId,
    /// For people; the id if none was given.
    pub name: String,
    pub created_at: Timestamp,
}

/// A person or service that owns data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    pub id: AccountId,
    pub username: Username,
    pub company: Option<CompanyId>,
    pub role: Role,
    /// The ceiling of everything that acts for this account.
    pub scopes: ScopeLimit,
    /// For people; the username if none was given.
    pub name: String,
    pub email: Option<String>,
    /// The operator's own name for the account.
    pub external_id: Option<String>,
    pub status: AccountStatus,
    pub created_at: Timestamp,
}

impl Account {
    /// `Ok` if the account may use the API, else why not.
    pub fn standing(&self) -> Result<(), AccountRefusal> {
        match &self.status {
            AccountStatus::Active => Ok(()),
            AccountStatus::Locked { reason } => Err(AccountRefusal::Locked { reason: reason.clone() }),
            AccountStatus::Disabled { reason } => Err(AccountRefusal::Disabled { reason: reason.clone() }),
        }
    }

    /// Whose things this account sees on the management pages and API.
    pub fn reach(&self) -> Reach {
        match (self.role, &self.company) {
            (Role::Admin, None) => Reach::Everything,
            (Role::Admin, Some(company)) => Reach::Company(company.clone()),
            (Role::Member | Role::Integrator, _) => Reach::Account(self.id.clone()),
        }
    }

    /// Whether this account may give `given` to `holder`, who is within its reach, or to a new account: nobody makes more of
    /// an account than they are, but whoever administers an account acts with what it has. The server's own admin does all.
    pub fn may_give(&self, holder: Option<&Self>, given: &ScopeLimit) -> bool {
        self.reach() == Reach::Everything
            || self.scopes.covers(given)
            || holder.is_some_and(|holder| holder.scopes.covers(given))
    }

    /// Whether this account may get a short-lived key for `other`: an integrator or admin that may manage, for a member of its
    /// own company, and nobody for itself.
    pub fn may_impersonate(&self, other: &Self) -> bool {
        let entitled = match self.role {
            Role::Integrator | Role::Admin => true,
            Role::Member => false,
        };
        let may_manage = match &self.scopes {
            ScopeLimit::Unlimited => true,
            ScopeLimit::Only(scopes) => scopes.contains(Scope::manage_write().as_str()),
        };
        entitled
            && may_manage
            && other.role == Role::Member
            && self.company.is_some()
            && self.company == other.company
            && self.id != other.id
    }
}

/// What an account may do for others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Member,
    Integrator,
    Admin,
}

impl Role {
    /// `member`, `integrator` or `admin`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Integrator => "integrator",
            Self::Admin => "admin",
        }
    }

    /// Reads what [`as_str`](Self::as_str) writes.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "member" => Some(Self::Member),
            "integrator" => Some(Self::Integrator),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }
}

/// Whether an account may use the API. Logging in to see and revoke is possible in each state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccountStatus {
    Active,
    /// An unpaid balance, unless the reason says otherwise.
    Locked {
        reason: Option<String>,
    },
    /// A terms violation, unless the reason says otherwise.
    Disabled {
        reason: Option<String>,
    },
}

impl AccountStatus {
    /// `active`, `locked` or `disabled`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Locked { .. } => "locked",
            Self::Disabled { .. } => "disabled",
        }
    }

    /// Reads that, and what reason goes with it; `None`: it is none of the three.
    pub fn parse(text: &str, reason: Option<String>) -> Option<Self> {
        match text {
            "active" => Some(Self::Active),
            "locked" => Some(Self::Locked { reason }),
            "disabled" => Some(Self::Disabled { reason }),
            _ => None,
        }
    }

    /// The reason that was given with the state.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Active => None,
            Self::Locked { reason } | Self::Disabled { reason } => reason.as_deref(),
        }
    }
}

/// Why an account may not use the API.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AccountRefusal {
    #[error("the account is locked")]
    Locked { reason: Option<String> },
    #[error("the account is disabled")]
    Disabled { reason: Option<String> },
}

/// Whose things an administrator or member sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reach {
    Everything,
    Company(CompanyId),
    Account(AccountId),
}

impl Reach {
    /// Whether the things of this account are within reach.
    pub fn includes(&self, account: &Account) -> bool {
        match self {
            Self::Everything => true,
            Self::Company(company) => account.company.as_ref() == Some(company),
            Self::Account(id) => *id == account.id,
        }
    }
}

/// Checks what people type about an account: one line each, an e-mail address with an `@` inside.
pub fn check_details(name: Option<&str>, email: Option<&str>, external_id: Option<&str>) -> Result<(), InvalidName> {
    if let Some(name) = name {
        check_line("a name", name, 200)?;
    }
    if let Some(email) = email {
        check_email(email)?;
    }
    if let Some(external_id) = external_id {
        check_line("an external id", external_id, 255)?;
    }
    Ok(())
}

/// The e-mail address that a username stands for when none is given: itself, if it looks like one.
pub fn default_email(username: &Username) -> Option<String> {
    check_email(username.as_str()).is_ok().then(|| username.as_str().to_owned())
}

fn check_email(email: &str) -> Result<(), InvalidName> {
    let what = "an e-mail address";
    check_line(what, email, 254)?;
    if let Some(character) = email.chars().find(|c| c.is_whitespace()) {
        return Err(InvalidName::Character { what, character });
    }
    match email.rsplit_once('@') {
        Some((local, host)) if !local.is_empty() && !host.is_empty() => Ok(()),
        Some(_) | None => Err(InvalidName::Shape { what, shape: "name@host" }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An active member without limits, for tests on every floor.
    pub(crate) fn account(id: &str, company: Option<&str>, role: Role) -> Account {
        Account {
            id: AccountId::parse(id).expect("test id"),
            username: Username::parse(id).expect("test username"),
            company: company.map(|c| CompanyId::parse(c).expect("test company")),
            role,
            scopes: ScopeLimit::Unlimited,
            name: id.to_owned(),
            email: None,
            external_id: None,
            status: AccountStatus::Active,
            created_at: Timestamp::from_unix(0),
        }
    }

    #[test]
    fn only_a_member_of_the_same_company_can_be_impersonated() {
        let integrator = account("i", Some("acme"), Role::Integrator);
        let member = account("m", Some("acme"), Role::Member);
        assert!(integrator.may_impersonate(&member));
        assert!(!member.may_impersonate(&account("n", Some("acme"), Role::Member)));
        assert!(!integrator.may_impersonate(&account("a", Some("acme"), Role::Admin)));
        assert!(!integrator.may_impersonate(&account("m", Some("other"), Role::Member)));
        let alone = account("a", None, Role::Admin);
        assert!(!alone.may_impersonate(&account("m", None, Role::Member)));
    }

    #[test]
    fn an_admin_reaches_its_company_or_all_and_others_themselves() {
        let member = account("m", Some("acme"), Role::Member);
        let stranger = account("s", Some("other"), Role::Member);
        assert!(account("a", None, Role::Admin).reach().includes(&stranger));
        let admin = account("a", Some("acme"), Role::Admin).reach();
        assert!(admin.includes(&member) && !admin.includes(&stranger));
        assert!(!account("i", Some("acme"), Role::Integrator).reach().includes(&member));
        assert!(member.reach().includes(&member));
    }

    #[test]
    fn a_username_with_an_at_sign_is_an_address() {
        let email = |text| default_email(&Username::parse(text).expect("test username"));
        assert_eq!(email("jo@example.com").as_deref(), Some("jo@example.com"));
        assert_eq!(email("jo"), None);
        assert_eq!(email("jo@"), None);
        assert_eq!(email("j o@example.com"), None);
    }

    #[test]
    fn a_locked_account_says_why() {
        let mut locked = account("m", None, Role::Member);
        locked.status = AccountStatus::Locked { reason: Some("late".to_owned()) };
        assert_eq!(locked.standing(), Err(AccountRefusal::Locked { reason: Some("late".to_owned()) }));
    }
}
