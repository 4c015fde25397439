//! Recoverable secrets at rest: AES-256-GCM under a master key, so that the database alone opens none of them.
//!
//! RFC 5849 §4.5: HMAC needs the shared secrets in plain text, so they can't be hashed; they are sealed instead. The
//! associated data names table, column and row, so that a sealed value can't be moved to another row. A list of keys
//! can open, the first one seals: that is how a master key is changed.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::domain::credentials::Secret;

use super::error::StoreError;

/// The 32 bytes under which everything is sealed.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// Not base64 of 32 bytes.
    #[error("a master key is 32 bytes in base64 (make one with: openssl rand -base64 32)")]
    Malformed,
    /// The file can't be read or made.
    #[error("the master key file {path}: {error}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
}

impl MasterKey {
    /// From base64 with padding, white space around it no matter.
    pub fn from_base64(text: &str) -> Result<Self, MasterKeyError> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| MasterKeyError::Malformed)?);
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| MasterKeyError::Malformed)?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// A new one.
    pub fn generate() -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rand::rng().fill(key.as_mut_slice());
        Self(key)
    }

    fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let text = Zeroizing::new(STANDARD.encode(self.0.as_slice()) + "\n");
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    /// A key of its own for `purpose`, e.g. `csrf`: what leaks there opens nothing here (HKDF-SHA256, RFC 5869).
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        let info = [b"countersign ".as_slice(), purpose.as_bytes()];
        hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
            .extract(self.0.as_slice())
            .expand(&info, hkdf::HKDF_SHA256)
            .and_then(|expanded| expanded.fill(key.as_mut_slice()))
            .unwrap_or_else(|_| unreachable!("HKDF-SHA256 gives 32 bytes for any input"));
        key
    }

    /// Names the key without telling it: what stands in front of everything that it sealed.
    pub fn id(&self) -> u32 {
        let digest = Sha256::digest([b"countersign key id ".as_slice(), self.0.as_slice()].concat());
        digest.iter().take(4).fold(0, |id, byte| (id << 8) | u32::from(*byte))
    }
}

/// The master keys of an installation: the first seals, each of them opens. There is one, but while it is being changed.
#[derive(Clone)]
pub struct MasterKeys {
    active: MasterKey,
    older: Vec<MasterKey>,
}

impl MasterKeys {
    /// From base64 with padding, white space between the keys.
    pub fn from_base64(text: &str) -> Result<Self, MasterKeyError> {
        let mut keys = text.split_ascii_whitespace().map(MasterKey::from_base64);
        let active = keys.next().ok_or(MasterKeyError::Malformed)??;
        Ok(Self { active, older: keys.collect::<Result<_, _>>()? })
    }

    /// A new one alone.
    pub fn generate() -> Self {
        Self { active: MasterKey::generate(), older: Vec::new() }
    }

    /// Reads the keys from `path`, or makes one there that only its owner can read (mode 0600).
    ///
    /// Two processes that start together end up with the same key: the file appears whole or not at all.
    pub fn load_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        let failed = |error| MasterKeyError::File { path: path.display().to_string(), error };
        match read_key(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
            Ok(text) => return Self::from_base64(&text),
        }
        // Written under another name first: a name appears with hard_link only if it isn't there, and then whole.
        let draft = path.with_extension(format!("new{:016x}", rand::random::<u64>()));
        let linked = MasterKey::generate().write(&draft).and_then(|()| std::fs::hard_link(&draft, path));
        // Only the draft's name goes; what is left of a failed removal is one unused key.
        drop(std::fs::remove_file(&draft));
        match linked {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(error)),
            Ok(()) | Err(_) => Self::from_base64(&read_key(path).map_err(failed)?),
        }
    }

    /// The one that seals, and that everything else is derived from.
    pub const fn active(&self) -> &MasterKey {
        &self.active
    }

    /// The vault of these keys.
    pub fn vault(&self) -> Vault {
        Vault::new(&self.active, &self.older)
    }
}

fn read_key(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(64));
    // A key is 45 bytes, and there are few; a wrong path may be anything.
    std::fs::File::open(path)?.take(4096).read_to_string(&mut text)?;
    Ok(text)
}

/// Where a sealed value belongs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Table and column, `clients.secret`.
    pub column: &'static str,
    /// The row's key.
    pub row: &'a str,
}

impl Place<'_> {
    fn associated_data(&self, key_id: u32) -> Vec<u8> {
        let mut data = key_id.to_be_bytes().to_vec();
        data.extend_from_slice(self.column.as_bytes());
        data.push(0);
        data.extend_from_slice(self.row.as_bytes());
        data
    }
}

/// Seals and opens.
pub struct Vault {
    active: (u32, LessSafeKey),
    older: Vec<(u32, LessSafeKey)>,
}

impl Vault {
    /// Seals under `active`; opens what that or one of the `older` keys sealed.
    pub fn new(active: &MasterKey, older: &[MasterKey]) -> Self {
        Self { active: sealing_key(active), older: older.iter().map(sealing_key).collect() }
    }

    /// Seals `secret` for this place: 4 bytes key id, 12 bytes nonce, ciphertext, 16 bytes tag.
    pub fn seal(&self, secret: &Secret, place: Place<'_>) -> Vec<u8> {
        let (id, key) = &self.active;
        // Random nonces are safe for 2^32 values under one key (NIST SP 800-38D §8.3).
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = id.to_be_bytes().to_vec();
        sealed.extend_from_slice(&nonce);
        let mut text = Zeroizing::new(secret.expose().as_bytes().to_vec());
        let tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.associated_data(*id)),
                &mut text,
            )
            .unwrap_or_else(|_| unreachable!("AES-GCM seals any text below 64 GiB"));
        sealed.extend_from_slice(&text);
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens what was sealed for this place.
    pub fn open(&self, sealed: &[u8], place: Place<'_>) -> Result<Secret, StoreError> {
        self.try_open(sealed, place).ok_or(StoreError::Sealed { what: place.column })
    }

    fn try_open(&self, sealed: &[u8], place: Place<'_>) -> Option<Secret> {
        let (id, rest) = sealed.split_first_chunk::<4>()?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>()?;
        let id = u32::from_be_bytes(*id);
        let (_, key) = std::iter::once(&self.active).chain(&self.older).find(|(known, _)| *known == id)?;
        let mut text = Zeroizing::new(text.to_vec());
        let opened = key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(place.associated_data(id)),
                text.as_mut_slice(),
            )
            .ok()?;
        std::str::from_utf8(opened).ok().map(Secret::new)
    }

    /// Whether the master key is being changed: what is sealed may be so under either.
    pub const fn has_older_keys(&self) -> bool {
        !self.older.is_empty()
    }

    /// Sealed anew under the active key, if an older one sealed it.
    pub fn reseal(&self, sealed: &[u8], place: Place<'_>) -> Result<Option<Vec<u8>>, StoreError> {
        if !self.is_outdated(sealed) {
            return Ok(None);
        }
        self.open(sealed, place).map(|secret| Some(self.seal(&secret, place)))
    }

    /// Whether an older key sealed this, so that it should be sealed anew.
    fn is_outdated(&self, sealed: &[u8]) -> bool {
        sealed.first_chunk::<4>().is_none_or(|id| u32::from_be_bytes(*id) != self.active.0)
    }

    /// The id of the key that seals.
    pub const fn active_key_id(&self) -> u32 {
        self.active.0
    }

    /// The ids of all its keys, first of the one that seals.
    pub fn key_ids(&self) -> Vec<u32> {
        std::iter::once(&self.active).chain(&self.older).map(|(id, _)| *id).collect()
    }
}

fn sealing_key(master: &MasterKey) -> (u32, LessSafeKey) {
    let key = UnboundKey::new(&AES_256_GCM, master.derive("seal").as_slice())
        .unwrap_or_else(|_| unreachable!("the derived key has 32 bytes"));
    (master.id(), LessSafeKey::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place { column: "clients.secret", row: "k1" };

    #[test]
    fn what_is_sealed_opens_again_and_looks_different_each_time() {
        let vault = Vault::new(&MasterKey::generate(), &[]);
        let secret = Secret::new("kd94hf93k423kf44");
        let (first, second) = (vault.seal(&secret, PLACE), vault.seal(&secret, PLACE));
        assert_ne!(first, second);
        assert!(vault.open(&first, PLACE).is_ok_and(|opened| opened.matches(b"kd94hf93k423kf44")));
        assert!(!first.windows(4).any(|window| window == b"kd94"));
    }

    #[test]
    fn a_sealed_value_opens_in_its_own_place_only() {
        let vault = Vault::new(&MasterKey::generate(), &[]);
        let sealed = vault.seal(&Secret::new("s"), PLACE);
        assert!(vault.open(&sealed, Place { row: "k2", ..PLACE }).is_err());
        assert!(vault.open(&sealed, Place { column: "tokens.secret", ..PLACE }).is_err());
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(vault.open(&changed, PLACE).is_err(), "byte {index}");
            assert!(vault.open(&sealed[..index], PLACE).is_err(), "cut at {index}");
        }
    }

    #[test]
    fn an_older_key_opens_but_does_not_seal() {
        let (old, new) = (MasterKey::generate(), MasterKey::generate());
        let sealed = Vault::new(&old, &[]).seal(&Secret::new("s"), PLACE);
        let vault = Vault::new(&new, std::slice::from_ref(&old));
        assert!(vault.open(&sealed, PLACE).is_ok());
        assert!(vault.is_outdated(&sealed));
        assert!(!vault.is_outdated(&vault.seal(&Secret::new("s"), PLACE)));
        let again = vault.reseal(&sealed, PLACE).expect("opens").expect("is outdated");
        assert!(vault.reseal(&again, PLACE).expect("opens").is_none());
        let alone = Vault::new(&new, &[]);
        assert!(alone.open(&again, PLACE).is_ok());
        assert!(alone.open(&sealed, PLACE).is_err() && alone.reseal(&sealed, PLACE).is_err());
    }

    #[test]
    fn a_master_key_file_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("master.key");
        let ids: Vec<u32> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| MasterKeys::load_or_create(&path).expect("a key").active().id()))
                .collect();
            starts.into_iter().map(|start| start.join().expect("no panic")).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).expect("the file is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder is there").count(), 1, "no draft is left");
    }

    #[test]
    fn a_malformed_master_key_is_refused() {
        assert!(MasterKey::from_base64("AAAA").is_err());
        assert!(MasterKey::from_base64("not base64!").is_err());
        assert!(MasterKey::from_base64(&format!(" {}\n", STANDARD.encode([7; 32]))).is_ok());
    }

    #[test]
    fn of_several_master_keys_the_first_seals_and_each_opens() {
        let text = |byte: u8| STANDARD.encode([byte; 32]);
        let old = MasterKeys::from_base64(&text(1)).expect("a key");
        let both = MasterKeys::from_base64(&format!("{}\n{}\n", text(2), text(1))).expect("two keys");
        let new = MasterKeys::from_base64(&text(2)).expect("a key");
        let sealed = old.vault().seal(&Secret::new("s"), PLACE);
        assert!(both.vault().open(&sealed, PLACE).is_ok());
        assert!(new.vault().open(&both.vault().seal(&Secret::new("s"), PLACE), PLACE).is_ok());
        assert_eq!(both.active().id(), new.active().id());
        for wrong in [String::new(), " \n".to_owned(), format!("{} short", text(1))] {
            assert!(MasterKeys::from_base64(&wrong).is_err());
        }
    }

    #[test]
    fn each_purpose_has_its_own_key() {
        let key = MasterKey::generate();
        assert_ne!(key.derive("csrf"), key.derive("seal"));
        assert_eq!(key.derive("csrf"), key.derive("csrf"));
    }
}
