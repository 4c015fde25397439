//! `Authorization: Digest`, for passwords with the client key and for API keys (RFC 7616).
//!
//! The response is verified first, then the age of the nonce, and its count last: a stranger can neither burn counts
//! nor learn who exists. A nonce of another node or of before a restart is answered with `stale=true`, because this
//! process can't know which of its counts were used.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use crate::auth::basic::{Basic, check_standing, refuse_key};
use crate::auth::client_key;
use crate::auth::oauth::unavailable;
use crate::auth::verdict::{Admission, Credential, Identity, Refusal, Rejection};
use crate::config::{ClientKeyRule, Way};
use crate::domain::scope::GrantedScopes;
use crate::protocol::digest::{self, DigestCredentials, DigestHash, DigestRefused, Ha1, Username};
use crate::protocol::digest_nonce::{CountRefused, CountWindows, NonceMint, NonceRefused, Origin, ServerNonce};
use crate::protocol::header::{Challenge, Credentials};
use crate::protocol::request::ReceivedRequest;
use crate::store::accounts::DigestUser;
use crate::store::directory::{Directory, DirectoryDigest};
use crate::time::{Lifetime, Timestamp};

/// How long a nonce is taken. A client gets a new one without asking anybody for a password.
const NONCE_LIFETIME: Lifetime = Lifetime::from_seconds(300);

/// Nonces whose counts are remembered: about 16 MB.
const NONCES: usize = 200_000;

/// What goes with every challenge; it protects nothing and some old clients want it.
const OPAQUE: &str = "countersign";

/// Digest, with the nonces of this process.
pub struct Digest {
    directory: Directory,
    realm: String,
    mint: NonceMint,
    counts: Mutex<CountWindows>,
}

impl Digest {
    /// `key`: 32 secret octets that all nodes share.
    pub fn new(directory: Directory, realm: String, key: &[u8; 32]) -> Self {
        Self {
            directory,
            realm,
            mint: NonceMint::new(key, rand::random()),
            counts: Mutex::new(CountWindows::new(NONCES, NONCE_LIFETIME)),
        }
    }

    /// A challenge with a new nonce. `stale`: the credentials were good but for the age of their nonce.
    pub fn challenge(&self, hash: DigestHash, stale: bool, now: Timestamp) -> Challenge {
        digest::challenge(hash, &self.realm, &self.mint.issue(now, rand::random()), OPAQUE, stale)
    }

    /// Who calls with these Digest credentials.
    ///
    /// # Errors
    /// [`Rejection`], in the contract's order of judgement.
    pub async fn identify(
        &self,
        basic: &Basic,
        request: &ReceivedRequest<'_>,
        admission: &Admission,
        header: &Credentials<'_>,
    ) -> Result<Identity, Rejection> {
        if !admission.admits(Way::Digest) {
            return Err(Refusal::MethodNotAdmitted { sent: "Digest".to_owned() }.into());
        }
        let sent = DigestCredentials::parse(header)
            .map_err(|error| Refusal::MalformedCredentials(Cow::Owned(format!("Digest: {error}."))))?;
        if !sent.names(request) {
            // RFC 7616 §3.4.6: the response is for something else.
            return Err(Refusal::Target("the uri of the Digest credentials is not the one that was asked for").into());
        }
        let (user, name) = match &sent.username {
            Username::Plain(name) => (DigestUser::Plain(name.to_string()), name.to_string()),
            Username::Hashed(hash) => (DigestUser::Hashed(hash.clone()), hash.clone()),
        };
        let now = request.arrived;
        let found = self.directory.digest(&user, &self.realm, now).await.map_err(unavailable)?;
        let client_key = basic.client_keys().find(request, admission)?;
        let is_key = found.as_ref().is_some_and(|found| found.api_key.is_some());
        if !is_key && client_key.is_none() && admission.client_key == ClientKeyRule::Required {
            return Err(Refusal::ClientKeyRequired.into());
        }
        basic.throttle().check(&name, request.client_address, now)?;
        let (found, nonce) = self.verify(&sent, request, found.as_deref()).inspect_err(|rejection| {
            if matches!(rejection.public, Refusal::BadCredentials { .. }) {
                basic.throttle().failed(&name, request.client_address, now);
            }
        })?;
        basic.throttle().succeeded(&name, request.client_address);
        self.count(&nonce, &sent, &name, now)?;

        let account = &found.account;
        let (scopes, impersonator) = match &found.api_key {
            Some(key) => {
                let scopes = key.standing(now).map_err(refuse_key)?.clone();
                self.directory.note_api_key_use(key, now);
                (Some(scopes), key.impersonator.as_ref().map(|actor| actor.account.username.clone()))
            }
            None => {
                check_standing(&account.account)?;
                (None, None)
            }
        };
        let client = match client_key {
            Some(key) => Some(client_key::admit(&self.directory, &key, &account.account, now).await?),
            None => None,
        };
        let scopes = match (scopes, &client) {
            (Some(scopes), _) => scopes,
            (None, Some(client)) => GrantedScopes::only(account.account.scopes.admit(&client.client.scopes)),
            (None, None) => account.account.scopes.own(),
        };
        Ok(Identity::new(account.clone(), client, Credential::Digest, scopes).impersonated_by(impersonator))
    }

    /// Checks the response, then the nonce.
    fn verify<'a>(
        &self,
        sent: &DigestCredentials<'_>,
        request: &ReceivedRequest<'_>,
        found: Option<&'a DirectoryDigest>,
    ) -> Result<(&'a DirectoryDigest, ServerNonce), Rejection> {
        let name = match &sent.username {
            Username::Plain(name) => name.to_string(),
            Username::Hashed(hash) => hash.clone(),
        };
        let bad = |reason| Rejection::because(Refusal::BadCredentials { username: name.clone() }, reason);
        if sent.realm != self.realm {
            return Err(bad("another realm"));
        }
        let found = found.ok_or_else(|| bad("no such user in this realm"))?;
        let stored = match sent.hash {
            DigestHash::Md5 => &found.md5,
            DigestHash::Sha256 => &found.sha256,
        };
        let ha1 = Ha1::from_hex(sent.hash, stored.expose()).ok_or_else(|| bad("unreadable stored hash"))?;
        match sent.verify(&ha1, request.method, request.body) {
            Ok(_proof) => {}
            Err(DigestRefused::Mismatch) => return Err(bad("digest mismatch")),
            Err(DigestRefused::BodyUnread) => return Err(Refusal::BodyUnavailable.into()),
        }
        match self.mint.read(&sent.nonce, request.arrived, NONCE_LIFETIME) {
            Ok(nonce) if nonce.origin == Origin::Here => Ok((found, nonce)),
            Ok(_) | Err(NonceRefused::Stale) => Err(Refusal::StaleNonce.into()),
            Err(NonceRefused::Forged) => Err(bad("forged nonce")),
        }
    }

    /// Uses the count up: the last step, so that nobody else can.
    fn count(
        &self,
        nonce: &ServerNonce,
        sent: &DigestCredentials<'_>,
        name: &str,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.take(nonce, sent.count(), now) {
            Ok(()) => Ok(()),
            Err(CountRefused::Forgotten) => Err(Refusal::StaleNonce.into()),
            Err(CountRefused::Repeated) => {
                let refusal = Refusal::BadCredentials { username: name.to_owned() };
                Err(Rejection::because(refusal, "this Digest count was used before"))
            }
        }
    }
}
