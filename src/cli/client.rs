//! `client`: registered apps.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::operator::{Operator, all, scopes, union};
use super::output::{self, Format, FormatArgs, Shape, say};
use super::{Failure, SourceArgs, file_text};
use crate::domain::account::Reach;
use crate::domain::client::{Callback, Client, RsaPublicKey, SignatureMethods};
use crate::domain::credentials::ClientKey;
use crate::domain::scope::Scopes;
use crate::protocol::signature::SignatureMethod;
use crate::shape::ClientShape;
use crate::store::clients::{ClientFilter, ClientUpdate, NewClient};
use crate::time::Lifetime;

#[derive(Args)]
pub struct ClientArgs {
    #[command(flatten)]
    format: FormatArgs,
    #[command(subcommand)]
    command: ClientCommand,
}

#[derive(Subcommand)]
enum ClientCommand {
    /// Register an app; its client secret is shown this once
    #[command(after_help = CREATE_EXAMPLES)]
    Create(CreateArgs),
    /// List clients, newest first
    List {
        /// Of this account
        #[arg(long, value_name = "USERNAME")]
        owner: Option<String>,
    },
    /// Show one client
    Show { client_key: ClientKey },
    /// Change what the flags name
    Update(UpdateArgs),
    /// Make a new client secret; it is shown this once
    RotateSecret {
        client_key: ClientKey,
        /// How long the old secret stays good beside the new one
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        grace: u32,
    },
    /// Let the client and its tokens rest
    Disable { client_key: ClientKey },
    /// Undo disable
    Enable { client_key: ClientKey },
    /// Delete a client with its tokens
    Delete { client_key: ClientKey },
}

const CREATE_EXAMPLES: &str = "\
Examples:
  countersign client create --owner jo@example.com --name 'My app' --callback https://app.example.com/done --scope account:read
  countersign client create --owner jo@example.com --name 'Desktop app' --callback http://127.0.0.1/done --callback oob --http-auth off
  countersign client create --owner jo@example.com --name Signer --rsa-public-key public.pem --signature-method RSA-SHA256";

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Args)]
struct CreateArgs {
    /// The account that the app belongs to: username or account id
    #[arg(long, value_name = "USERNAME")]
    owner: String,
    /// For people, on the consent page
    #[arg(long)]
    name: String,
    /// Where account holders are sent back to, or oob; may be repeated. Without one: oob only
    #[arg(long, value_name = "URL", value_parser = Callback::parse)]
    callback: Vec<Callback>,
    /// The most that its tokens may do; may be repeated [default: none, identity only]
    #[arg(long, value_name = "SCOPE", value_parser = scopes)]
    scope: Vec<Scopes>,
    /// A PEM file (PKCS#1, SPKI or certificate, from 2048 bits) for the RSA methods
    #[arg(long, value_name = "FILE")]
    rsa_public_key: Option<PathBuf>,
    /// May be repeated [default: all that the server admits]
    #[arg(long, value_name = "METHOD")]
    signature_method: Vec<SignatureMethod>,
    /// Whether the key is good with Basic and Digest; turn it off for apps that are published
    #[arg(long, value_enum, default_value = "on")]
    http_auth: Switch,
}

#[derive(Args)]
struct UpdateArgs {
    client_key: ClientKey,
    #[arg(long)]
    name: Option<String>,
    /// In place of the callbacks so far; may be repeated
    #[arg(long, value_name = "URL", value_parser = Callback::parse)]
    callback: Vec<Callback>,
    /// No callback: oob only
    #[arg(long, conflicts_with = "callback")]
    no_callback: bool,
    /// In place of the scopes so far; may be repeated
    #[arg(long, value_name = "SCOPE", value_parser = scopes)]
    scope: Vec<Scopes>,
    /// No scope: identity only
    #[arg(long, conflicts_with = "scope")]
    no_scope: bool,
    #[arg(long, value_name = "FILE")]
    rsa_public_key: Option<PathBuf>,
    #[arg(long, conflicts_with = "rsa_public_key")]
    no_rsa_public_key: bool,
    /// In place of the methods so far; may be repeated
    #[arg(long, value_name = "METHOD")]
    signature_method: Vec<SignatureMethod>,
    #[arg(long, value_enum)]
    http_auth: Option<Switch>,
}

impl Shape for ClientShape {
    const COLUMNS: &'static [&'static str] =
        &["client_key", "name", "owner", "scopes", "status", "active_tokens", "created_at"];
}

fn rsa_public_key(path: Option<&Path>) -> Result<Option<RsaPublicKey>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let key = RsaPublicKey::parse(&file_text(path)?);
    key.map(Some).map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))
}

/// Carries the command out.
///
/// # Errors
/// [`Failure`].
pub async fn run(args: ClientArgs, sources: SourceArgs) -> Result<(), Failure> {
    let format = args.format.format();
    match args.command {
        ClientCommand::Create(args) => {
            let rsa_public_key = rsa_public_key(args.rsa_public_key.as_deref())?;
            let operator = Operator::new(sources).await?;
            let owner = operator.account(&args.owner).await?;
            let new = NewClient {
                owner: owner.id,
                name: args.name,
                callbacks: args.callback,
                scopes: union(&args.scope),
                signature_methods: match args.signature_method.as_slice() {
                    [] => SignatureMethods::of(operator.configuration.oauth.admitted_methods()),
                    named => SignatureMethods::of(named.iter().copied()),
                },
                rsa_public_key,
                http_auth: args.http_auth == Switch::On,
            };
            let issued = operator.store.clients.create(new, &operator.by).await?;
            say("keep the client secret: it is not shown again");
            output::one(format, &ClientShape::issued(&issued, owner.username.as_str()))?;
        }
        ClientCommand::List { owner } => {
            let operator = Operator::new(sources).await?;
            let owner = operator.account_if_given(owner.as_deref()).await?.map(|account| account.id);
            let (clients, filter) = (&operator.store.clients, ClientFilter { owner, client_key: None });
            let listed =
                all(async |page| clients.list(&Reach::Everything, filter.clone(), operator.now(), page).await).await?;
            output::list(format, &listed.iter().map(ClientShape::from).collect::<Vec<_>>())?;
        }
        ClientCommand::Show { client_key } => show(&Operator::new(sources).await?, format, &client_key).await?,
        ClientCommand::Update(args) => {
            let rsa_public_key = rsa_public_key(args.rsa_public_key.as_deref())?;
            let operator = Operator::new(sources).await?;
            let update = ClientUpdate {
                name: args.name,
                callbacks: (args.no_callback || !args.callback.is_empty()).then_some(args.callback),
                scopes: (args.no_scope || !args.scope.is_empty()).then(|| union(&args.scope)),
                signature_methods: (!args.signature_method.is_empty())
                    .then(|| SignatureMethods::of(args.signature_method)),
                rsa_public_key: if args.no_rsa_public_key { Some(None) } else { rsa_public_key.map(Some) },
                http_auth: args.http_auth.map(|switch| switch == Switch::On),
                enabled: None,
            };
            operator.store.clients.update(&args.client_key, update, &operator.by).await?;
            show(&operator, format, &args.client_key).await?;
        }
        ClientCommand::RotateSecret { client_key, grace } => {
            let operator = Operator::new(sources).await?;
            let issued =
                operator.store.clients.rotate_secret(&client_key, Lifetime::from_seconds(grace), &operator.by).await?;
            match grace {
                0 => say("the old secret is dead; keep the new one: it is not shown again"),
                _ => say(&format!(
                    "the old secret stays good for {grace} seconds; keep the new one: it is not shown again"
                )),
            }
            let owner = owner_name(&operator, &issued.client).await?;
            output::one(format, &ClientShape::issued(&issued, &owner))?;
        }
        ClientCommand::Disable { client_key } => set_enabled(sources, format, &client_key, false).await?,
        ClientCommand::Enable { client_key } => set_enabled(sources, format, &client_key, true).await?,
        ClientCommand::Delete { client_key } => {
            let operator = Operator::new(sources).await?;
            operator.store.clients.delete(&client_key, &operator.by).await?;
            say(&format!("deleted {client_key}"));
        }
    }
    Ok(())
}

async fn show(operator: &Operator, format: Format, client_key: &ClientKey) -> Result<(), Failure> {
    let found = operator.store.clients.show(client_key, operator.now()).await?;
    let summary = found.ok_or_else(|| Failure::Refused(format!("there is no client {client_key}")))?;
    Ok(output::one(format, &ClientShape::from(&summary))?)
}

async fn set_enabled(
    sources: SourceArgs,
    format: Format,
    client_key: &ClientKey,
    enabled: bool,
) -> Result<(), Failure> {
    let operator = Operator::new(sources).await?;
    operator.store.clients.set_enabled(client_key, enabled, &operator.by).await?;
    show(&operator, format, client_key).await
}

async fn owner_name(operator: &Operator, client: &Client) -> Result<String, Failure> {
    let owner = operator.store.accounts.find(&client.owner).await?;
    Ok(owner.map_or_else(|| client.owner.to_string(), |owner| owner.username.to_string()))
}
