//! `import` and `export`: companies, accounts, clients, keys and tokens with their secrets, one JSON object a line.
//!
//! The first line names the format and its version; a file from elsewhere may leave it out. An import is one transaction. Passwords come as
//! Argon2id hashes and nothing else: there is no way to turn another hash into one.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use serde::Deserialize;

use super::operator::Operator;
use super::output::say;
use super::{Failure, SourceArgs};
use crate::auth::enrolment;
use crate::auth::hashing::check_stored;
use crate::domain::account::Account;
use crate::domain::credentials::{PublicKey, Secret};
use crate::store::transfer::{Record, TransferError, Transferred};

/// The type of the first line.
const FORMAT: &str = "countersign";

/// The version of the format.
const VERSION: u32 = 1;

/// No record comes near this; a file that is something else altogether may.
const LONGEST_LINE: u64 = 1024 * 1024;

pub const IMPORT_HELP: &str = r#"One JSON object a line; what another line refers to stands before it:
  {"type":"countersign","version":1}
  {"type":"company","id":"acme"}
  {"type":"account","username":"jo@example.com","company":"acme","password_hash":"$argon2id$v=19$m=19456,t=2,p=1$…"}
  {"type":"client","client_key":"k","client_secret":"s","owner":"jo@example.com","name":"My app","callbacks":["oob"],"scopes":["account:read"]}
  {"type":"key","public_key":"p","private_key":"q","account":"jo@example.com","name":"script"}
  {"type":"token","oauth_token":"t","oauth_token_secret":"u","client_key":"k","username":"jo@example.com"}

A client_secret may be empty only where all of the client's signature_methods are RSA. A private_key in the clear is good with Digest in the
realm of the settings that the import is run with.

What comes through a pipe is read to its end first, into a file without a name in TMPDIR (/tmp).

Examples:
  countersign import other-provider.jsonl
  ssh old countersign export - | countersign import -"#;

pub const EXPORT_HELP: &str = "\
The file holds every secret in the clear, and is made with mode 0600. Tokens and private keys stand in it as SHA-256, because that is all
that is kept of them. Impersonation keys, sessions and request tokens are left out: they end by themselves.

Example:
  countersign export backup.jsonl";

#[derive(Args)]
pub struct FileArgs {
    /// The file; `-` for stdin or stdout
    file: PathBuf,
}

/// What the first line is, if it is no record.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "type")]
    kind: String,
    version: Option<u32>,
}

/// Carries `import` out.
///
/// # Errors
/// [`Failure`]: nothing was imported.
pub async fn import(args: FileArgs, sources: SourceArgs) -> Result<(), Failure> {
    let input = match is_standard(&args.file) {
        true => File::from(io::stdin().as_fd().try_clone_to_owned()?),
        false => File::open(&args.file).map_err(|error| unusable(&args.file, &error))?,
    };
    let operator = Operator::new(sources).await?;
    let input = at_hand(input, &std::env::temp_dir())?;
    let realm = operator.realm().to_owned();
    let digest = move |private_key: &Secret, public_key: &PublicKey, account: &Account| {
        enrolment::private_key(private_key, public_key, account, &realm)
    };
    let imported = operator.store.transfer.import(lines(input), digest, &operator.by).await?;
    say(&format!("imported {}", counts(&imported)));
    Ok(())
}

/// Carries `export` out.
///
/// # Errors
/// [`Failure`]: there is no file, or the one that was there before.
pub async fn export(args: FileArgs, sources: SourceArgs) -> Result<(), Failure> {
    let operator = Operator::new(sources).await?;
    let exported = if is_standard(&args.file) {
        write(&operator, io::stdout()).await?
    } else {
        let unfinished = beside(&args.file);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished);
        let file = file.map_err(|error| unusable(&unfinished, &error))?;
        let written = match write(&operator, file).await {
            Ok(exported) => std::fs::rename(&unfinished, &args.file)
                .map(|()| exported)
                .map_err(|error| unusable(&args.file, &error)),
            Err(failure) => Err(failure),
        };
        if written.is_err() {
            // What was half written holds secrets. If it can't be removed, the first failure matters more.
            let _ = std::fs::remove_file(&unfinished);
        }
        written?
    };
    say(&format!("exported {}", counts(&exported)));
    say("the file holds every secret in the clear: keep it as you keep the master key");
    Ok(())
}

async fn write(operator: &Operator, output: impl Write + Send + 'static) -> Result<Transferred, Failure> {
    let output = Arc::new(Mutex::new(BufWriter::new(output)));
    let sink = output.clone();
    let line = move |text: &str| {
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.write_all(text.as_bytes())?;
        sink.write_all(b"\n")
    };
    line(&serde_json::json!({ "type": FORMAT, "version": VERSION }).to_string())?;
    let exported = operator.store.transfer.export(line, &operator.by).await?;
    output.lock().unwrap_or_else(PoisonError::into_inner).flush()?;
    Ok(exported)
}

/// What is imported as a file that is there from beginning to end. Everybody else's writes wait for an import, and must not
/// wait for whoever fills a pipe.
fn at_hand(input: File, folder: &Path) -> Result<File, Failure> {
    if input.metadata()?.is_file() {
        return Ok(input);
    }
    set_aside(input, folder)
        .map_err(|error| Failure::Refused(format!("can't copy the input into a file in {}: {error}", folder.display())))
}

/// Copies all of it into a file without a name, because it holds secrets, and for its owner alone, which `tempfile_in` leaves
/// to the umask.
fn set_aside(mut input: impl Read, folder: &Path) -> io::Result<File> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?.into_file();
    io::copy(&mut input, &mut file)?;
    file.rewind()?;
    Ok(file)
}

/// The lines of a file without its header, each judged as far as the store can't.
fn lines(input: impl Read + Send) -> impl Iterator<Item = io::Result<String>> + Send {
    let mut input = BufReader::new(input);
    let mut number = 0;
    std::iter::from_fn(move || {
        number += 1;
        let mut line = String::new();
        match input.by_ref().take(LONGEST_LINE).read_line(&mut line) {
            Ok(0) if number == 1 => {
                Some(Err(io::Error::other("there is nothing in the file: not even what an empty server exports")))
            }
            Ok(0) => None,
            Ok(_) if number == 1 && is_header(&line) => Some(check_version(&line).map(|()| String::new())),
            Ok(_) => Some(
                judge(&line).map(|()| line).map_err(|reason| io::Error::other(format!("record {number}: {reason}"))),
            ),
            Err(error) => Some(Err(error)),
        }
    })
}

fn is_header(line: &str) -> bool {
    serde_json::from_str(line).is_ok_and(|header: Header| header.kind == FORMAT)
}

fn check_version(line: &str) -> io::Result<()> {
    match serde_json::from_str::<Header>(line)?.version {
        Some(VERSION) => Ok(()),
        Some(other) => Err(io::Error::other(format!(
            "the file has version {other} of the format; this program reads version {VERSION}"
        ))),
        None => Err(io::Error::other("record 1: the version of the format is missing")),
    }
}

/// A password hash that could never be verified is refused before it is stored. What is no record, the store refuses.
fn judge(line: &str) -> Result<(), String> {
    if line.len() as u64 >= LONGEST_LINE {
        return Err("a line of more than a mebibyte is no record".to_owned());
    }
    match serde_json::from_str(line) {
        Ok(Record::Account(account)) => match account.password_hash {
            Some(hash) => check_stored(hash.0.expose()).map_err(|error| format!("password_hash: {error}")),
            None => Ok(()),
        },
        Ok(Record::Company(_) | Record::Client(_) | Record::Key(_) | Record::Token(_)) | Err(_) => Ok(()),
    }
}

fn counts(counted: &Transferred) -> String {
    let named = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    [
        named(counted.companies, "company", "companies"),
        named(counted.accounts, "account", "accounts"),
        named(counted.clients, "client", "clients"),
        named(counted.keys, "key", "keys"),
        named(counted.tokens, "token", "tokens"),
    ]
    .join(", ")
}

fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".unfinished");
    name.into()
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::Refused(format!("{}: {error}", path.display()))
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        Self::Refused(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> io::Result<Vec<String>> {
        lines(io::Cursor::new(text.to_owned())).collect()
    }

    #[test]
    fn the_header_is_checked_and_may_be_missing() {
        assert_eq!(read("{\"type\":\"countersign\",\"version\":1}\n{}\n").unwrap(), ["", "{}\n"]);
        assert_eq!(read("{}").unwrap(), ["{}"]);
        assert!(read("").is_err(), "a pipe from a command that failed");
        let error = read("{\"type\":\"countersign\",\"version\":2}\n").unwrap_err().to_string();
        assert!(error.contains("version 2"), "{error}");
        assert!(read("{\"type\":\"countersign\"}\n").is_err());
        assert!(read("{\"type\":\"company\",\"id\":\"countersign\"}\n").is_ok());
    }

    #[test]
    fn a_hash_that_is_no_argon2id_is_refused_with_its_line() {
        let error = read("\n{\"type\":\"account\",\"username\":\"jo\",\"password_hash\":\"$2b$12$abc\"}\n")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("record 2: password_hash: not an Argon2id hash"), "{error}");
        assert!(!error.contains("abc"));
    }

    #[test]
    fn what_is_set_aside_is_whole_has_no_name_and_is_for_its_owner() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let text = "a line\n".repeat(100_000);
        let mut file = set_aside(text.as_bytes(), folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let metadata = file.metadata().unwrap();
        assert_eq!((metadata.nlink(), metadata.mode() & 0o777), (0, 0o600));
        let mut read = String::new();
        file.read_to_string(&mut read).unwrap();
        assert!(read == text);
        assert!(set_aside(text.as_bytes(), &folder.path().join("nowhere")).is_err());
    }

    #[test]
    fn counts_read_as_a_sentence() {
        let counted = Transferred { companies: 1, accounts: 2, ..Transferred::default() };
        assert_eq!(counts(&counted), "1 company, 2 accounts, 0 clients, 0 keys, 0 tokens");
    }
}
