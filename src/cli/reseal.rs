//! `reseal`: the last step of changing the master key, while the servers run.
//!
//! The keys themselves are the operator's: a new one is put before the old one where the old one stands. This command makes no key, and
//! can't know which keys a running server has; its help says the order.

use super::operator::Operator;
use super::output::say;
use super::{Failure, SourceArgs};
use crate::store::reseal::reseal_all;

pub const HELP: &str = "\
A master key file (beside the SQLite file, or COUNTERSIGN_MASTER_KEY_FILE) may hold several keys, one a line: the first seals, all open.
  1. Put a new key into the file as its first line, the old one below, and restart the server.
     Several nodes: first as the second line and restart all, then as the first line and restart all.
  2. countersign reseal
  3. Take the old key out of the file. Keep it as long as there are backups that need it.

A new key:
  head -c 32 /dev/urandom | base64";

/// Carries `reseal` out.
///
/// # Errors
/// [`Failure`]: a secret that none of the keys opens, or a server that still seals under an older one. What is sealed anew by then stays so.
pub async fn run(sources: SourceArgs) -> Result<(), Failure> {
    let operator = Operator::new(sources).await?;
    let resealed = reseal_all(&operator.store.database, operator.vault.clone(), &operator.by).await?;
    match resealed {
        0 => say("every secret was sealed under the first master key already"),
        1 => say("1 secret was sealed anew"),
        many => say(&format!("{many} secrets were sealed anew")),
    }
    say("the database needs no other master key any more");
    if resealed > 0 {
        say("a server that was not restarted with that key before this can't open them: restart it");
    }
    Ok(())
}
