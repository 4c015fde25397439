//! `token` and `grant`: what account holders have allowed clients to do, seen token by token or app by app.

use clap::{ArgGroup, Args, Subcommand};

use super::operator::{Operator, all};
use super::output::{self, FormatArgs, Shape, say};
use super::{Failure, SourceArgs};
use crate::domain::account::Reach;
use crate::domain::credentials::{ClientKey, GrantId};
use crate::shape::{GrantShape, TokenShape};
use crate::store::delegations::{GrantFilter, TokenFilter};

#[derive(Args)]
pub struct TokenArgs {
    #[command(flatten)]
    format: FormatArgs,
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// List access tokens by id and hint, newest first
    List(FilterArgs),
    /// Revoke one access token
    Revoke {
        /// The id that `token list` shows, or the token itself
        #[arg(value_name = "TOKEN|ID")]
        token: String,
    },
}

#[derive(Args)]
pub struct GrantArgs {
    #[command(flatten)]
    format: FormatArgs,
    #[command(subcommand)]
    command: GrantCommand,
}

#[derive(Subcommand)]
enum GrantCommand {
    /// List grants, newest first
    List(FilterArgs),
    /// End a grant and revoke all its tokens
    #[command(
        after_help = "Examples:\n  countersign grant revoke GRANT_ID\n  countersign grant revoke --account jo@example.com --client CLIENT_KEY"
    )]
    Revoke(RevokeArgs),
}

#[derive(Args)]
#[command(group = ArgGroup::new("which").required(true).args(["id", "account"]))]
struct RevokeArgs {
    /// The id that `grant list` shows
    id: Option<GrantId>,
    /// Username or account id
    #[arg(long, value_name = "USERNAME", requires = "client")]
    account: Option<String>,
    #[arg(long, value_name = "CLIENT_KEY", requires = "account")]
    client: Option<ClientKey>,
}

#[derive(Args)]
struct FilterArgs {
    /// Of this account: username or account id
    #[arg(long, value_name = "USERNAME")]
    account: Option<String>,
    /// Of this client
    #[arg(long, value_name = "CLIENT_KEY")]
    client: Option<ClientKey>,
}

impl Shape for TokenShape {
    const COLUMNS: &'static [&'static str] =
        &["id", "hint", "username", "client_name", "scopes", "status", "created_at"];
}

impl Shape for GrantShape {
    const COLUMNS: &'static [&'static str] =
        &["id", "username", "client_name", "scopes", "active_tokens", "created_at"];
}

/// Carries `token` out.
///
/// # Errors
/// [`Failure`].
pub async fn run(args: TokenArgs, sources: SourceArgs) -> Result<(), Failure> {
    let format = args.format.format();
    let operator = Operator::new(sources).await?;
    let delegations = &operator.store.delegations;
    match args.command {
        TokenCommand::List(args) => {
            let account = operator.account_if_given(args.account.as_deref()).await?.map(|account| account.id);
            let filter = TokenFilter { account, client_key: args.client, ..TokenFilter::default() };
            let listed = all(async |page| delegations.tokens(&Reach::Everything, filter.clone(), page).await).await?;
            output::list(
                format,
                &listed.iter().map(|token| TokenShape::new(token, operator.now())).collect::<Vec<_>>(),
            )?;
        }
        TokenCommand::Revoke { token } => {
            let found = delegations.token(&token).await?;
            let token = found.ok_or_else(|| Failure::Refused("there is no such access token".to_owned()))?;
            delegations.revoke_token(&token.id, &operator.by).await?;
            say(&format!("revoked {}", token.id));
        }
    }
    Ok(())
}

/// Carries `grant` out.
///
/// # Errors
/// [`Failure`].
pub async fn run_grant(args: GrantArgs, sources: SourceArgs) -> Result<(), Failure> {
    let format = args.format.format();
    let operator = Operator::new(sources).await?;
    let delegations = &operator.store.delegations;
    match args.command {
        GrantCommand::List(args) => {
            let account = operator.account_if_given(args.account.as_deref()).await?.map(|account| account.id);
            let filter = GrantFilter { account, client_key: args.client };
            let listed =
                all(async |page| delegations.grants(&Reach::Everything, filter.clone(), operator.now(), page).await)
                    .await?;
            output::list(format, &listed.iter().map(GrantShape::from).collect::<Vec<_>>())?;
        }
        GrantCommand::Revoke(args) => {
            let id = match (args.id, args.account, args.client) {
                (Some(id), _, _) => Some(id),
                (None, Some(account), Some(client)) => {
                    let account = operator.account(&account).await?;
                    delegations.grant_of(&account.id, &client).await?.map(|grant| grant.id)
                }
                (None, _, _) => None,
            };
            let id = id.ok_or_else(|| Failure::Refused("there is no such grant".to_owned()))?;
            delegations.revoke_grant(&id, &operator.by).await?;
            say(&format!("revoked {id} and its tokens"));
        }
    }
    Ok(())
}
