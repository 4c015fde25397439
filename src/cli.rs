//! The command line: one tree of commands, each in a file of its own.
//!
//! Data go to stdout, messages to stderr. A command that can't do what was asked fails as a whole and says why. Exit codes are `main`'s
//! business: [`Failure::is_usage`] tells which.
//!
//! Deliberately absent: secrets as arguments (they would be seen by every user of the machine), with the one exception of `sign`; and
//! questions ("are you sure?"), because scripts have no answers.

mod failure;
mod output;
mod operator;
mod account;
mod company;
mod client;
mod key;
mod token;
mod audit;
mod transfer;
mod reseal;
mod explain;
pub mod sign;
mod doctor;

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::{Configuration, ConfigurationError, Flags, Sources};
use crate::opening::{self, OpeningError};
use crate::time::Clock;

pub use failure::Failure;

/// Who is calling, for which account, with which scopes?
///
/// Countersign stands in front of an HTTP API and answers that question: an OAuth 1.0a provider for third-party apps, with Basic, Digest,
/// API keys, JWT and sessions for everything else.
#[derive(Parser)]
#[command(name = "countersign", version, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    sources: SourceArgs,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Try it:
  countersign demo

Begin:
  countersign serve
  printf 'correct horse' | countersign account create --username jo@example.com --password-stdin
  countersign client create --owner jo@example.com --name 'My app' --callback https://app.example.com/done --scope account:read

Settings come from flags, else the environment (COUNTERSIGN_OAUTH__TIMESTAMP_WINDOW_SECONDS=60), else the file, else the default.
Exit codes: 0 done, 1 refused or failed, 2 wrong usage or settings.";

#[derive(Args, Clone)]
struct SourceArgs {
    /// A TOML file with settings
    #[arg(long, global = true, help_heading = "Settings", value_name = "FILE", env = crate::config::FILE_VARIABLE, hide_env_values = true)]
    config: Option<PathBuf>,
    /// sqlite://relative.db, sqlite:///absolute/path.db, sqlite::memory: or postgres://… [default: sqlite://countersign.db]
    #[arg(long, global = true, help_heading = "Settings", value_name = "URL")]
    database_url: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until the process is ended
    #[command(
        after_help = "Examples:\n  countersign serve\n  countersign serve --config countersign.toml --listen 0.0.0.0:8080 --public-url https://api.example.com"
    )]
    Serve(ServeArgs),
    /// Serve a throw-away database with something in it, walk one OAuth dance, and stay up
    Demo(DemoArgs),
    /// Bring the database to this version
    Migrate,
    /// Tenants that accounts may belong to
    Company(company::CompanyArgs),
    /// People and services that own data
    Account(account::AccountArgs),
    /// Registered apps
    Client(client::ClientArgs),
    /// API keys of accounts
    Key(key::KeyArgs),
    /// Access tokens
    Token(token::TokenArgs),
    /// What accounts have allowed clients to do
    Grant(token::GrantArgs),
    /// Who did what, when and from where
    Audit(audit::AuditArgs),
    /// Sign one request as a client would, and show how; or say what is wrong with a signature
    #[command(
        after_help = "Examples:\n  countersign sign GET 'http://127.0.0.1:8080/v2/me?x=1' --client-key K --client-secret S --token T --token-secret U\n  countersign sign --explain request.txt --client-secret S --token-secret U",
        mut_arg("format", |format| format.help("How to write the answer [default: text; with --explain, table on a terminal, else json]"))
    )]
    Sign(Box<sign::SignArgs>),
    /// Take over companies, accounts, clients, keys and tokens from a file, all or nothing
    #[command(after_help = transfer::IMPORT_HELP)]
    Import(transfer::FileArgs),
    /// Write companies, accounts, clients, keys and tokens into a file, with their secrets
    #[command(after_help = transfer::EXPORT_HELP)]
    Export(transfer::FileArgs),
    /// Change the master key: seal every secret anew under the first of several
    #[command(after_help = reseal::HELP)]
    Reseal,
    /// Check a live deployment behind its proxy from outside, and name what to change
    #[command(
        after_help = "Examples:\n  countersign doctor --config countersign.toml --proxy https://api.example.com\n  countersign doctor --proxy http://127.0.0.1:8000 --echo 127.0.0.1:3000   # the API is stopped"
    )]
    Doctor(doctor::DoctorArgs),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  countersign completions bash > ~/.local/share/bash-completion/completions/countersign"
    )]
    Completions { shell: clap_complete::Shell },
    /// Print the description of the management API (OpenAPI 3.1, JSON)
    Openapi,
}

#[derive(Args)]
struct ServeArgs {
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The origin by which clients know this server, such as https://api.example.com
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

#[derive(Args)]
struct DemoArgs {
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

/// Carries out what the command line says.
///
/// # Errors
/// [`Failure`].
pub fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { sources, command } = cli;
    if sources.config.is_some() && matches!(command, Command::Openapi | Command::Completions { .. } | Command::Sign(_))
    {
        // They need nothing of it, but a mistake in it is said all the same.
        sources.clone().load(Flags::default())?;
    }
    match command {
        Command::Serve(ServeArgs { listen, public_url }) => {
            Ok(crate::app::serve(sources.load(Flags { listen, public_url, database_url: None })?)?)
        }
        Command::Demo(DemoArgs { listen }) => {
            Ok(crate::demo::run(sources.load(Flags { listen, public_url: None, database_url: None })?)?)
        }
        Command::Openapi => Ok(output::print(&crate::api::openapi_json())?),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "countersign", &mut script);
            Ok(output::print(&String::from_utf8_lossy(&script))?)
        }
        Command::Sign(args) => sign::run(&args, sources, Clock::system().now()),
        Command::Migrate => block_on(migrate(sources.load(Flags::default())?)),
        Command::Reseal => block_on(reseal::run(sources)),
        Command::Company(args) => block_on(company::run(args, sources)),
        Command::Account(args) => block_on(account::run(args, sources)),
        Command::Client(args) => block_on(client::run(args, sources)),
        Command::Key(args) => block_on(key::run(args, sources)),
        Command::Token(args) => block_on(token::run(args, sources)),
        Command::Grant(args) => block_on(token::run_grant(args, sources)),
        Command::Audit(args) => block_on(audit::run(args, sources)),
        Command::Doctor(args) => doctor::run(args, sources),
        Command::Import(args) => block_on(transfer::import(args, sources)),
        Command::Export(args) => block_on(transfer::export(args, sources)),
    }
}

impl SourceArgs {
    /// Reads all settings, these flags among them.
    fn load(self, flags: Flags) -> Result<Configuration, ConfigurationError> {
        Configuration::load(Sources {
            // Composed environments pass empty variables on.
            file: self.config.filter(|path| !path.as_os_str().is_empty()),
            environment: std::env::vars_os().collect(),
            flags: Flags { database_url: self.database_url, ..flags },
        })
    }
}

async fn migrate(configuration: Configuration) -> Result<(), Failure> {
    let database = opening::open_database(&configuration, None).map_err(OpeningError::from)?;
    match database.migrate().await?.as_slice() {
        [] => output::say("the database is at this version"),
        applied => output::say(&format!("migrated: {}", applied.join(", "))),
    }
    Ok(())
}

fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().build()?.block_on(work)
}

/// The text of a file that an argument names.
fn file_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::Refused(format!("cannot read {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_commands_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_have_their_flags_on_every_command() {
        let parsed = Cli::try_parse_from([
            "countersign",
            "account",
            "list",
            "--database-url",
            "sqlite://x.db",
            "--config",
            "x.toml",
        ])
        .unwrap();
        assert_eq!(parsed.sources.database_url.as_deref(), Some("sqlite://x.db"));
        assert_eq!(parsed.sources.config.as_deref(), Some(Path::new("x.toml")));
    }
}
