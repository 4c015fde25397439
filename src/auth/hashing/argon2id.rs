//! Argon2id itself (RFC 9106; parameters of OWASP's first choice). `memory`: blocks that a thread keeps from one hash to the next.

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq;

use super::PasswordError;
use crate::domain::credentials::Secret;

/// Memory in KiB, passes and lanes of every hash that is made here.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Imported hashes may cost more than ours, within reason.
pub(super) const MAXIMUM_MEMORY_KIB: u32 = 256 * 1024;
pub(super) const MAXIMUM_PASSES: u32 = 16;

/// A new hash in the PHC string format.
pub(super) fn hash(password: &Secret, memory: &mut Vec<Block>) -> Result<String, PasswordError> {
    let salt = Salt::new(&rand::random::<[u8; 16]>()).map_err(|_| PasswordError::Unreadable)?;
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(32)).map_err(|_| PasswordError::Unreadable)?;
    let stored = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: (&params).try_into().map_err(|_| PasswordError::Unreadable)?,
        salt: Some(salt),
        hash: Some(derive(password, salt.as_ref(), params, 32, memory)?),
    };
    Ok(stored.to_string())
}

/// Whether this is the password of a stored hash.
pub(super) fn matches(password: &Secret, stored: &str, memory: &mut Vec<Block>) -> Result<bool, PasswordError> {
    let Stored { params, salt, hash } = parse(stored)?;
    let derived = derive(password, salt.as_ref(), params, hash.len(), memory)?;
    Ok(bool::from(derived.as_bytes().ct_eq(hash.as_bytes())))
}

/// A stored hash that can be checked.
pub(super) struct Stored {
    params: Params,
    salt: Salt,
    hash: Output,
}

/// Reads a PHC string.
pub(super) fn parse(stored: &str) -> Result<Stored, PasswordError> {
    let phc = PasswordHash::new(stored).map_err(|_| PasswordError::Unreadable)?;
    let params = Params::try_from(&phc).map_err(|_| PasswordError::Unreadable)?;
    let supported = phc.algorithm == Algorithm::Argon2id.ident()
        && phc.version == Some(Version::V0x13.into())
        && params.m_cost() <= MAXIMUM_MEMORY_KIB
        && params.t_cost() <= MAXIMUM_PASSES;
    match (supported, phc.salt, phc.hash) {
        (true, Some(salt), Some(hash)) => Ok(Stored { params, salt, hash }),
        (_, _, _) => Err(PasswordError::Unreadable),
    }
}

fn derive(
    password: &Secret,
    salt: &[u8],
    params: Params,
    length: usize,
    memory: &mut Vec<Block>,
) -> Result<Output, PasswordError> {
    let blocks = params.block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::default());
    }
    let used = memory.get_mut(..blocks).unwrap_or_default();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let derived = Output::init_with(length, |out| {
        argon2
            .hash_password_into_with_memory(password.expose().as_bytes(), salt, out, used)
            .map_err(|_| argon2::password_hash::phc::Error::ParamNameInvalid)
    });
    // What an imported hash needs beyond our own is not kept.
    memory.truncate(MEMORY_KIB as usize);
    memory.shrink_to_fit();
    derived.map_err(|_| PasswordError::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_or_monstrous_hash_is_refused() {
        for stored in [
            "",
            "plain",
            "$2b$12$x",
            "$argon2i$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
            "$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        ] {
            assert_eq!(parse(stored).map(|_| ()), Err(PasswordError::Unreadable), "{stored}");
        }
    }
}
