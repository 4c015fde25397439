//! What Digest verifies with (RFC 7616): hashes of user name, realm and secret, sealed at rest, for an account's password or
//! for one of its API keys. One row for each spelling of the user name that is admitted.

use diesel::prelude::*;

use crate::domain::credentials::{AccountId, PublicKey, Secret};
use crate::protocol::digest::DigestHash;

use super::changes::Change;
use super::connection::{AnyConnection, MultiBackend, Transaction};
use super::error::StoreError;
use super::schema::digest_secrets;
use super::vault::{Place, Vault};

/// What Digest needs in place of a password (RFC 7616 §3.4.2 and §3.4.4), for one user name in one realm.
#[derive(Clone)]
pub struct DigestSecret {
    /// As the client sends it.
    pub username: String,
    pub realm: String,
    /// `H(username:realm:password)` with MD5, in hex.
    pub md5: Secret,
    /// The same with SHA-256.
    pub sha256: Secret,
    /// `H(username:realm)` with MD5, in hex: what `userhash=true` sends.
    pub user_hash_md5: String,
    /// The same with SHA-256.
    pub user_hash_sha256: String,
}

/// Where the sealed hashes stand.
pub(super) const COLUMN: &str = "digest_secrets.sealed_hashes";

/// Adds Digest secrets of an account, or of one of its keys.
pub(super) fn insert<'a>(
    transaction: &mut Transaction<'_>,
    vault: &Vault,
    account: &AccountId,
    public_key: Option<&PublicKey>,
    secrets: impl IntoIterator<Item = &'a DigestSecret>,
) -> Result<(), StoreError> {
    for secret in secrets {
        let hashes = Secret::new(format!("{} {}", secret.md5.expose(), secret.sha256.expose()));
        let row = row_of(&secret.username, &secret.realm);
        // The same spelling may be left from a key or name that is gone.
        diesel::delete(digest_secrets::table.find((secret.username.as_str(), secret.realm.as_str())))
            .execute(transaction.connection)?;
        diesel::insert_into(digest_secrets::table)
            .values((
                digest_secrets::username.eq(secret.username.as_str()),
                digest_secrets::realm.eq(secret.realm.as_str()),
                digest_secrets::account.eq(account.as_str()),
                digest_secrets::public_key.eq(public_key.map(PublicKey::as_str)),
                digest_secrets::sealed_hashes.eq(vault.seal(&hashes, Place { column: COLUMN, row: &row })),
                digest_secrets::user_hash_md5.eq(secret.user_hash_md5.as_str()),
                digest_secrets::user_hash_sha256.eq(secret.user_hash_sha256.as_str()),
            ))
            .execute(transaction.connection)?;
        transaction.note(Change::Username(secret.username.clone()));
        for (hash, user_hash) in
            [(DigestHash::Md5, &secret.user_hash_md5), (DigestHash::Sha256, &secret.user_hash_sha256)]
        {
            transaction.note(Change::Username(hidden_name(hash, user_hash)));
        }
    }
    Ok(())
}

/// What a name that a client hides (`userhash`) is called in the directory. No username holds a colon.
pub(super) fn hidden_name(hash: DigestHash, user_hash: &str) -> String {
    format!(":{}:{user_hash}", hash.as_str())
}

pub(super) fn row_of(username: &str, realm: &str) -> String {
    // No username holds a colon.
    format!("{username}:{realm}")
}

/// The Digest secrets of an account's password (`public_key` none) or of one of its keys.
pub(super) fn of(
    connection: &mut AnyConnection,
    vault: &Vault,
    account: &AccountId,
    public_key: Option<&PublicKey>,
) -> Result<Vec<DigestSecret>, StoreError> {
    type Row = (String, String, Option<String>, Vec<u8>, String, String);
    let rows: Vec<Row> = digest_secrets::table
        .filter(digest_secrets::account.eq(account.as_str()))
        .order((digest_secrets::username, digest_secrets::realm))
        .select((
            digest_secrets::username,
            digest_secrets::realm,
            digest_secrets::public_key,
            digest_secrets::sealed_hashes,
            digest_secrets::user_hash_md5,
            digest_secrets::user_hash_sha256,
        ))
        .load(connection)?;
    rows.into_iter()
        .filter(|(_, _, owner, ..)| owner.as_deref() == public_key.map(PublicKey::as_str))
        .map(|(username, realm, _, sealed, user_hash_md5, user_hash_sha256)| {
            let (md5, sha256) = open(vault, &sealed, &username, &realm)?;
            Ok(DigestSecret { username, realm, md5, sha256, user_hash_md5, user_hash_sha256 })
        })
        .collect()
}

fn open(vault: &Vault, sealed: &[u8], username: &str, realm: &str) -> Result<(Secret, Secret), StoreError> {
    let hashes = vault.open(sealed, Place { column: COLUMN, row: &row_of(username, realm) })?;
    let (md5, sha256) = hashes.expose().split_once(' ').ok_or(StoreError::Corrupt { what: COLUMN })?;
    Ok((Secret::new(md5), Secret::new(sha256)))
}

/// A Digest secret as it is looked up.
pub struct StoredDigest {
    pub username: String,
    pub account: AccountId,
    /// The API key that this is the secret of; none: the account's password.
    pub public_key: Option<PublicKey>,
    pub md5: Secret,
    pub sha256: Secret,
}

/// How a Digest client names the user.
#[derive(Clone, Debug)]
pub enum DigestUser {
    /// As text.
    Plain(String),
    /// `userhash=true`: hex digits, by the algorithm of the credentials (RFC 7616 §3.4.4).
    Hashed(DigestHash, String),
}

/// The Digest secret for a user name in a realm.
pub(super) fn find(
    connection: &mut AnyConnection,
    vault: &Vault,
    user: &DigestUser,
    realm: &str,
) -> Result<Option<StoredDigest>, StoreError> {
    type Row = (String, String, Option<String>, Vec<u8>);
    let columns =
        (digest_secrets::username, digest_secrets::account, digest_secrets::public_key, digest_secrets::sealed_hashes);
    let query =
        digest_secrets::table.filter(digest_secrets::realm.eq(realm)).select(columns).into_boxed::<MultiBackend>();
    let query = match user {
        DigestUser::Plain(username) => query.filter(digest_secrets::username.eq(username)),
        DigestUser::Hashed(DigestHash::Md5, hash) => query.filter(digest_secrets::user_hash_md5.eq(hash)),
        DigestUser::Hashed(DigestHash::Sha256, hash) => query.filter(digest_secrets::user_hash_sha256.eq(hash)),
    };
    let row: Option<Row> = query.first(connection).optional()?;
    let Some((username, account, public_key, sealed)) = row else { return Ok(None) };
    let corrupt = || StoreError::Corrupt { what: COLUMN };
    let (md5, sha256) = open(vault, &sealed, &username, realm)?;
    Ok(Some(StoredDigest {
        account: AccountId::parse(account).map_err(|_| corrupt())?,
        public_key: public_key.map(PublicKey::parse).transpose().map_err(|_| corrupt())?,
        md5,
        sha256,
        username,
    }))
}
