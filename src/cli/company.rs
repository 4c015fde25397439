//! `company`: tenants.

use clap::{Args, Subcommand};

use super::operator::Operator;
use super::output::{self, FormatArgs, Shape};
use super::{Failure, SourceArgs};
use crate::domain::credentials::CompanyId;
use crate::shape::CompanyShape;

#[derive(Args)]
pub struct CompanyArgs {
    #[command(flatten)]
    format: FormatArgs,
    #[command(subcommand)]
    command: CompanyCommand,
}

#[derive(Subcommand)]
enum CompanyCommand {
    /// Make a company
    #[command(after_help = "Example:\n  countersign company create acme --name 'Acme Corporation'")]
    Create {
        /// A short id such as acme: letters, digits, `.`, `_` and `-`
        id: CompanyId,
        /// For people [default: the id]
        #[arg(long)]
        name: Option<String>,
    },
    /// List all companies
    List,
}

impl Shape for CompanyShape {
    const COLUMNS: &'static [&'static str] = &["id", "name", "created_at"];
}

/// Carries the command out.
///
/// # Errors
/// [`Failure`].
pub async fn run(args: CompanyArgs, sources: SourceArgs) -> Result<(), Failure> {
    let format = args.format.format();
    let operator = Operator::new(sources).await?;
    match args.command {
        CompanyCommand::Create { id, name } => {
            let company = operator.store.accounts.create_company(id, name, &operator.by).await?;
            output::one(format, &CompanyShape::from(&company))?;
        }
        CompanyCommand::List => {
            let companies = operator.store.accounts.companies().await?;
            output::list(format, &companies.iter().map(CompanyShape::from).collect::<Vec<_>>())?;
        }
    }
    Ok(())
}
