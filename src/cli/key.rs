//! `key`: API keys, a public and a private half, owned by one account.

use clap::{Args, Subcommand};

use super::operator::{Operator, all, limit};
use super::output::{self, FormatArgs, Shape, say};
use super::{Failure, SourceArgs};
use crate::auth::enrolment;
use crate::domain::account::Reach;
use crate::domain::api_key::KeyPair;
use crate::domain::credentials::{PublicKey, Secret};
use crate::domain::scope::ScopeLimit;
use crate::shape::KeyShape;
use crate::store::api_keys::NewApiKey;
use crate::time::Lifetime;

#[derive(Args)]
pub struct KeyArgs {
    #[command(flatten)]
    format: FormatArgs,
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Make an API key; its private key is shown this once
    #[command(
        after_help = "Example:\n  countersign key create --account billing-export --name nightly --scope invoice:read --expires-in 31536000"
    )]
    Create(CreateArgs),
    /// List API keys, newest first
    List {
        /// Of this account
        #[arg(long, value_name = "USERNAME")]
        account: Option<String>,
    },
    /// Make a new private key; the old one is dead at once
    Regenerate { public_key: PublicKey },
    /// Delete an API key
    Delete { public_key: PublicKey },
}

#[derive(Args)]
struct CreateArgs {
    /// The account that the key acts for: username or account id
    #[arg(long, value_name = "USERNAME")]
    account: String,
    /// For people
    #[arg(long)]
    name: String,
    /// The most that the key may do; may be repeated [default: *, what the account may do]
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// [default: no end]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    expires_in: Option<u32>,
}

fn seconds(text: &str) -> Result<u32, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| "should be a number of seconds, such as 31536000 for a year".to_owned())
}

impl Shape for KeyShape {
    const COLUMNS: &'static [&'static str] =
        &["public_key", "name", "username", "scopes", "hint", "status", "expires_at", "created_at"];
}

/// Carries the command out.
///
/// # Errors
/// [`Failure`].
pub async fn run(args: KeyArgs, sources: SourceArgs) -> Result<(), Failure> {
    let format = args.format.format();
    let operator = Operator::new(sources).await?;
    let realm = operator.realm();
    match args.command {
        KeyCommand::Create(args) => {
            let scopes = match limit(&args.scope)? {
                ScopeLimit::Unlimited => None,
                ScopeLimit::Only(scopes) => Some(scopes),
            };
            let account = operator.account(&args.account).await?;
            let KeyPair { public_key, private_key } = KeyPair::generate(&mut rand::rng());
            let new = NewApiKey {
                digest: enrolment::private_key(&private_key, &public_key, &account, realm),
                public_key,
                private_key: private_key.clone(),
                account: account.id.clone(),
                name: args.name,
                scopes,
                expires_at: args.expires_in.map(|seconds| operator.now() + Lifetime::from_seconds(seconds)),
                impersonator: None,
            };
            let key = operator.store.api_keys.create(new, &operator.by).await?;
            say("keep the private key: it is not shown again");
            output::one(format, &KeyShape::issued(&key, &account, private_key, operator.now()))?;
        }
        KeyCommand::List { account } => {
            let account = operator.account_if_given(account.as_deref()).await?.map(|account| account.id);
            let keys = &operator.store.api_keys;
            let listed = all(async |page| keys.list(&Reach::Everything, account.as_ref(), page).await).await?;
            output::list(format, &listed.iter().map(|key| KeyShape::listed(key, operator.now())).collect::<Vec<_>>())?;
        }
        KeyCommand::Regenerate { public_key } => {
            let key = operator.store.api_keys.find(&public_key).await?;
            let key = key.ok_or_else(|| Failure::Refused(format!("there is no API key {public_key}")))?;
            let account = operator.account(key.account.as_str()).await?;
            let private_key = Secret::generate(&mut rand::rng());
            let digest = enrolment::private_key(&private_key, &public_key, &account, realm);
            let key =
                operator.store.api_keys.regenerate(&public_key, private_key.clone(), digest, &operator.by).await?;
            say("the old private key is dead; keep the new one: it is not shown again");
            output::one(format, &KeyShape::issued(&key, &account, private_key, operator.now()))?;
        }
        KeyCommand::Delete { public_key } => {
            operator.store.api_keys.delete(&public_key, &operator.by).await?;
            say(&format!("deleted {public_key}"));
        }
    }
    Ok(())
}
