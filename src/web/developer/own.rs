//! What is the visitor's own: the client or key that a request names, or nothing. Somebody else's is as good as absent.

use crate::domain::client::Client;
use crate::domain::credentials::{ClientKey, PublicKey};
use crate::protocol::encoding::encode;
use crate::store::Store;
use crate::store::clients::ClientSummary;
use crate::web::failed::Failed;
use crate::web::page::Badge;
use crate::web::visit::Visit;

/// Clients, keys or tokens that are shown at most.
pub const MOST_ROWS: u16 = 500;

/// What the pages of one client begin with.
pub struct ClientHead {
    pub key: String,
    pub name: String,
    pub status: Badge,
    pub tab: Tab,
}

/// The pages of one client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tab {
    Overview,
    Settings,
    Samples,
    Inspector,
}

/// The client that `key` in the query names, if it is the visitor's.
///
/// # Errors
/// [`Failed::NotFound`], also where it is somebody else's.
pub async fn own_client(visit: &Visit<'_>, store: &Store) -> Result<ClientSummary, Failed> {
    let key = ClientKey::parse(visit.asked("key")).map_err(|_| Failed::NotFound)?;
    let summary = store.clients.show(&key, visit.now()).await?.ok_or(Failed::NotFound)?;
    if summary.client.owner == visit.account()?.id { Ok(summary) } else { Err(Failed::NotFound) }
}

/// The key that `public_key` in the form names, if it is the visitor's.
pub async fn own_key(visit: &Visit<'_>, store: &Store) -> Result<PublicKey, Failed> {
    let public_key = PublicKey::parse(visit.field("public_key")).map_err(|_| Failed::NotFound)?;
    let key = store.api_keys.find(&public_key).await?.ok_or(Failed::NotFound)?;
    if key.account == visit.account()?.id { Ok(public_key) } else { Err(Failed::NotFound) }
}

/// What the pages of this client begin with.
pub fn client_head(visit: &Visit<'_>, client: &Client, tab: Tab) -> ClientHead {
    ClientHead {
        key: client.client_key.to_string(),
        name: client.name.clone(),
        status: Badge::of_client(client.status, visit.text),
        tab,
    }
}

/// The address of one of the client's pages, which says what was done.
pub fn client_path(page: &str, client: &Client, done: &str) -> String {
    format!("/developer/clients/{page}?key={}&done={done}", encode(client.client_key.as_str()))
}
