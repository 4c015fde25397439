//! `audit`: who did what, when and from where.

use clap::{Args, Subcommand};

use super::operator::Operator;
use super::output::{self, FormatArgs, Shape};
use super::{Failure, SourceArgs};
use crate::domain::account::Reach;
use crate::domain::credentials::ClientKey;
use crate::shape::AuditShape;
use crate::store::audit::AuditFilter;
use crate::time::Timestamp;

#[derive(Args)]
pub struct AuditArgs {
    #[command(flatten)]
    format: FormatArgs,
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Subcommand)]
enum AuditCommand {
    /// List what happened, newest first
    #[command(
        after_help = "Example:\n  countersign audit list --account jo@example.com --event login --since 2026-11-01T00:00:00Z"
    )]
    List(ListArgs),
}

#[derive(Args)]
struct ListArgs {
    /// What this account did, or whose business it was: username or account id
    #[arg(long, value_name = "USERNAME")]
    account: Option<String>,
    /// What happened to or through this client
    #[arg(long, value_name = "CLIENT_KEY")]
    client: Option<ClientKey>,
    /// Such as account.created, or its beginning up to the dot: account
    #[arg(long)]
    event: Option<String>,
    /// From this moment on (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = Timestamp::from_rfc3339)]
    since: Option<Timestamp>,
    /// Before this moment (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = Timestamp::from_rfc3339)]
    until: Option<Timestamp>,
    /// Only what has a smaller id: the next page
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    /// At most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

impl Shape for AuditShape {
    const COLUMNS: &'static [&'static str] = &["id", "created_at", "event", "actor", "subject", "address", "detail"];
}

/// Carries the command out.
///
/// # Errors
/// [`Failure`].
pub async fn run(args: AuditArgs, sources: SourceArgs) -> Result<(), Failure> {
    let format = args.format.format();
    let AuditCommand::List(args) = args.command;
    let operator = Operator::new(sources).await?;
    let account = operator.account_if_given(args.account.as_deref()).await?;
    let filter = AuditFilter {
        event: args.event,
        account: account.map(|account| account.id),
        client_key: args.client,
        since: args.since,
        until: args.until,
        before: args.before,
    };
    let rows = operator.store.audit.list(&Reach::Everything, filter, args.limit).await?;
    Ok(output::list(format, &rows.iter().map(AuditShape::from).collect::<Vec<_>>())?)
}
