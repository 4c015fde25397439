//! What is kept of a password or private key when it is set: an Argon2id hash, and for Digest the hashes that RFC 7616 §3.4.2 and §3.4.4
//! name. Checking is done elsewhere.
//!
//! Digest needs one set of hashes for each spelling of the user name that a client may send, and for the realm: a renamed account or another
//! realm makes them useless. They are as good as the password for Digest, so the store seals them.

use super::hashing::{PasswordError, Passwords, hash_password};
use crate::domain::account::Account;
use crate::domain::credentials::{CompanyId, PublicKey, Secret, Username};
use crate::protocol::digest::{DigestHash, Ha1, user_hash};
use crate::store::accounts::StoredPassword;
use crate::store::digest_users::DigestSecret;

/// Hashes a password for an account of this name and company. Takes about 20 ms, on this thread.
///
/// # Errors
/// [`PasswordError::Unreadable`]: the password is longer than Argon2 takes.
pub fn password(
    password: &Secret,
    username: &Username,
    company: Option<&CompanyId>,
    realm: &str,
) -> Result<StoredPassword, PasswordError> {
    Ok(StoredPassword {
        hash: Secret::new(hash_password(password)?),
        digest: digest_secrets(username.as_str(), company, realm, password),
    })
}

/// As [`password`], on the hashing threads.
///
/// # Errors
/// [`PasswordError`]: too many wait, or the password is longer than Argon2 takes.
pub async fn password_on(
    threads: &Passwords,
    password: &Secret,
    username: &Username,
    company: Option<&CompanyId>,
    realm: &str,
) -> Result<StoredPassword, PasswordError> {
    Ok(StoredPassword {
        hash: Secret::new(threads.hash(password).await?),
        digest: digest_secrets(username.as_str(), company, realm, password),
    })
}

/// Digest's hashes of an API key's private half. It is 256 random bits, so the store needs no slow hash of it.
pub fn private_key(private_key: &Secret, public_key: &PublicKey, account: &Account, realm: &str) -> Vec<DigestSecret> {
    digest_secrets(public_key.as_str(), account.company.as_ref(), realm, private_key)
}

/// For `name`, and for `company+name` where there is a company.
fn digest_secrets(name: &str, company: Option<&CompanyId>, realm: &str, secret: &Secret) -> Vec<DigestSecret> {
    let with_company = company.map(|company| format!("{company}+{name}"));
    std::iter::once(name.to_owned()).chain(with_company).map(|name| digest_secret(name, realm, secret)).collect()
}

fn digest_secret(username: String, realm: &str, secret: &Secret) -> DigestSecret {
    let ha1 = |hash| Secret::new(Ha1::new(hash, &username, realm, secret.expose()).as_hex());
    DigestSecret {
        md5: ha1(DigestHash::Md5),
        sha256: ha1(DigestHash::Sha256),
        user_hash_md5: user_hash(DigestHash::Md5, &username, realm),
        user_hash_sha256: user_hash(DigestHash::Sha256, &username, realm),
        realm: realm.to_owned(),
        username,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_of_rfc_7616_section_3_9_1_are_made() {
        let secret = digest_secret("Mufasa".into(), "http-auth@example.org", &Secret::new("Circle of Life"));
        assert_eq!(secret.md5.expose(), "3d78807defe7de2157e2b0b6573a855f");
        assert_eq!(secret.sha256.expose(), "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232");
    }

    #[test]
    fn a_member_of_a_company_has_two_spellings() {
        let account = crate::domain::account::tests::account("m", Some("acme"), crate::domain::account::Role::Member);
        let made = private_key(&Secret::new("s"), &PublicKey::parse("pk").unwrap(), &account, "r");
        assert_eq!(made.iter().map(|secret| secret.username.as_str()).collect::<Vec<_>>(), ["pk", "acme+pk"]);
    }
}
