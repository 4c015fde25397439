//! `account`: people and services that own data, their states and passwords.

use clap::{ArgGroup, Args, Subcommand};

use super::operator::{Operator, all, limit, password_from};
use super::output::{self, FormatArgs, Shape, say};
use super::{Failure, SourceArgs};
use crate::auth::enrolment;
use crate::domain::account::{Account, AccountStatus, Reach, Role};
use crate::domain::credentials::{CompanyId, Username};
use crate::shape::AccountShape;
use crate::store::accounts::{AccountFilter, AccountUpdate, NewAccount};

#[derive(Args)]
pub struct AccountArgs {
    #[command(flatten)]
    format: FormatArgs,
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Subcommand)]
enum AccountCommand {
    /// Make an account
    #[command(after_help = CREATE_EXAMPLES)]
    Create(CreateArgs),
    /// List accounts, newest first
    List {
        /// Of this company
        #[arg(long)]
        company: Option<CompanyId>,
        /// In this state
        #[arg(long, value_parser = ["active", "locked", "disabled"])]
        status: Option<String>,
    },
    /// Show one account
    Show {
        /// Username (also company+username) or account id
        account: String,
    },
    /// Change what the flags name
    Update(UpdateArgs),
    /// Lock an account whose balance is unpaid: it may log in, but not use the API
    Lock {
        /// Username or account id
        account: String,
        /// Told to whoever uses the account's credentials
        #[arg(long)]
        reason: Option<String>,
    },
    /// Disable an account that violates the terms: it may log in, but not use the API
    Disable {
        /// Username or account id
        account: String,
        /// Told to whoever uses the account's credentials
        #[arg(long)]
        reason: Option<String>,
    },
    /// Undo lock and disable
    Enable {
        /// Username or account id
        account: String,
    },
    /// Delete an account with its clients, keys and tokens
    Delete {
        /// Username or account id
        account: String,
    },
    /// Set the password and end the account's sessions
    SetPassword {
        /// Username or account id
        account: String,
        /// Read the password from stdin, one line
        #[arg(long, required = true)]
        password_stdin: bool,
    },
}

const CREATE_EXAMPLES: &str = "\
Examples:
  printf 'correct horse' | countersign account create --username jo@example.com --password-stdin
  countersign account create --username billing-export --api-only --company acme --scope invoice:read";

#[derive(Args)]
#[command(group = ArgGroup::new("login").required(true).args(["password_stdin", "api_only"]))]
struct CreateArgs {
    /// What the account logs in with, unique on the server; often an e-mail address
    #[arg(long)]
    username: Username,
    /// Read the password from stdin, one line
    #[arg(long)]
    password_stdin: bool,
    /// No password: the account has keys and clients only
    #[arg(long)]
    api_only: bool,
    /// A company that is new is made
    #[arg(long)]
    company: Option<CompanyId>,
    /// member, integrator (acts for members of its company) or admin
    #[arg(long, default_value = "member", value_parser = role)]
    role: Role,
    /// The most that the account may do; may be repeated [default: *, no limit]
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// For people [default: the username]
    #[arg(long)]
    name: Option<String>,
    /// [default: the username, if it is an address]
    #[arg(long)]
    email: Option<String>,
    /// Your own name for the account
    #[arg(long)]
    external_id: Option<String>,
}

#[derive(Args)]
struct UpdateArgs {
    /// Username or account id
    account: String,
    /// A new username. Digest needs the password to be set again then
    #[arg(long)]
    username: Option<Username>,
    /// A company that is new is made. Digest needs the password to be set again and keys to be regenerated then
    #[arg(long)]
    company: Option<CompanyId>,
    /// Take the account out of its company
    #[arg(long, conflicts_with = "company")]
    no_company: bool,
    /// member, integrator or admin
    #[arg(long, value_parser = role)]
    role: Option<Role>,
    /// In place of the scopes so far; may be repeated; * for no limit
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    #[arg(long)]
    name: Option<String>,
    #[arg(long)]
    email: Option<String>,
    #[arg(long, conflicts_with = "email")]
    no_email: bool,
    #[arg(long)]
    external_id: Option<String>,
    #[arg(long, conflicts_with = "external_id")]
    no_external_id: bool,
}

impl Shape for AccountShape {
    const COLUMNS: &'static [&'static str] = &["username", "id", "company", "role", "scopes", "status", "created_at"];
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "should be member, integrator or admin".to_owned())
}

/// What `--x` and `--no-x` say together.
fn change<T>(given: Option<T>, taken_away: bool) -> Option<Option<T>> {
    if taken_away { Some(None) } else { given.map(Some) }
}

/// Carries the command out.
///
/// # Errors
/// [`Failure`].
pub async fn run(args: AccountArgs, sources: SourceArgs) -> Result<(), Failure> {
    let format = args.format.format();
    match args.command {
        AccountCommand::Create(args) => {
            let scopes = limit(&args.scope)?;
            let password = if args.password_stdin { Some(password_from(std::io::stdin())?) } else { None };
            let operator = Operator::new(sources).await?;
            let realm = operator.realm();
            let password = match password {
                Some(password) => Some(enrolment::password(&password, &args.username, args.company.as_ref(), realm)?),
                None => None,
            };
            let new = NewAccount {
                username: args.username,
                company: args.company,
                role: args.role,
                scopes,
                name: args.name,
                email: args.email,
                external_id: args.external_id,
                password,
            };
            let account = operator.store.accounts.create(new, &operator.by).await?;
            output::one(format, &AccountShape::from(&account))?;
        }
        AccountCommand::List { company, status } => {
            let operator = Operator::new(sources).await?;
            let filter = AccountFilter { company, status, ..AccountFilter::default() };
            let accounts = &operator.store.accounts;
            let listed = all(async |page| accounts.list(&Reach::Everything, filter.clone(), page).await).await?;
            output::list(format, &listed.iter().map(AccountShape::from).collect::<Vec<_>>())?;
        }
        AccountCommand::Show { account } => {
            let operator = Operator::new(sources).await?;
            output::one(format, &AccountShape::from(&operator.account(&account).await?))?;
        }
        AccountCommand::Update(args) => {
            let scopes = if args.scope.is_empty() { None } else { Some(limit(&args.scope)?) };
            let operator = Operator::new(sources).await?;
            let before = operator.account(&args.account).await?;
            let update = AccountUpdate {
                username: args.username,
                company: change(args.company, args.no_company),
                role: args.role,
                scopes,
                name: args.name,
                email: change(args.email, args.no_email),
                external_id: change(args.external_id, args.no_external_id),
            };
            let after = operator.store.accounts.update(&before.id, update, &operator.by).await?;
            if operator.configuration.http_auth.digest {
                tell_of_lost_hashes(&operator, &before, &after).await?;
            }
            output::one(format, &AccountShape::from(&after))?;
        }
        AccountCommand::Lock { account, reason } => {
            set_status(sources, format, &account, AccountStatus::Locked { reason }).await?;
        }
        AccountCommand::Disable { account, reason } => {
            set_status(sources, format, &account, AccountStatus::Disabled { reason }).await?;
        }
        AccountCommand::Enable { account } => set_status(sources, format, &account, AccountStatus::Active).await?,
        AccountCommand::Delete { account } => {
            let operator = Operator::new(sources).await?;
            let account = operator.account(&account).await?;
            operator.store.accounts.delete(&account.id, &operator.by).await?;
            say(&format!("deleted {}", account.username));
        }
        AccountCommand::SetPassword { account, password_stdin: _ } => {
            let password = password_from(std::io::stdin())?;
            let operator = Operator::new(sources).await?;
            let account = operator.account(&account).await?;
            let realm = operator.realm();
            let password = enrolment::password(&password, &account.username, account.company.as_ref(), realm)?;
            operator.store.accounts.set_password(&account.id, Some(password), None, &operator.by).await?;
            say(&format!("set the password of {} and ended its sessions", account.username));
        }
    }
    Ok(())
}

/// Says what Digest needs after a change of name: its hashes hold the names that they were made for.
async fn tell_of_lost_hashes(operator: &Operator, before: &Account, after: &Account) -> Result<(), Failure> {
    let moved = after.company != before.company;
    if moved || after.username != before.username {
        let found = operator.store.directory.account(&after.id, operator.now()).await?;
        if found.is_some_and(|found| found.password.is_some()) {
            say("Digest works again when the password is set again: its stored hashes held the old name");
        }
    }
    if moved && operator.store.api_keys.count(&after.id).await? > 0 {
        say("Digest knows the API keys by the old company until each is made anew: key regenerate");
    }
    Ok(())
}

async fn set_status(
    sources: SourceArgs,
    format: output::Format,
    name: &str,
    status: AccountStatus,
) -> Result<(), Failure> {
    let operator = Operator::new(sources).await?;
    let account = operator.account(name).await?;
    let account = operator.store.accounts.set_status(&account.id, status, &operator.by).await?;
    Ok(output::one(format, &AccountShape::from(&account))?)
}
