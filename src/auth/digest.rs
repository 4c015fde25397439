//! `Authorization: Digest`, for passwords with the client key and for API keys (RFC 7616).
//!
//! The response is verified first, then the age of the nonce, and its count last: a stranger can neither burn counts
//! nor learn who exists. Every node can tell whether a nonce is one of theirs; which counts of it were used, a single
//! node keeps in its memory and many keep in the replay store that they share. What was in the memory of a process that
//! is gone is answered with `stale=true`.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use crate::auth::basic::Basic;
use crate::auth::client_key::Beside;
use crate::auth::proved::Proved;
use crate::auth::verdict::{Admission, Credential, Identity, Refusal, Rejection};
use crate::config::{ClientKeyRule, Way};
use crate::protocol::digest::{self, DigestCredentials, DigestHash, DigestRefused, Ha1, Username};
use crate::protocol::digest_nonce::{CountRefused, CountWindows, IssuedBy, NonceMint, NonceRefused, ServerNonce};
use crate::protocol::header::{Challenge, Credentials};
use crate::protocol::request::ReceivedRequest;
use crate::store::digest_users::DigestUser;
use crate::store::directory::{Directory, DirectoryDigest};
use crate::store::replay::{ClaimRefused, NonceClaim, ReplayStore};
use crate::time::{Clock, Lifetime, Timestamp};

/// How long a nonce is taken. A client gets a new one without asking anybody for a password.
const NONCE_LIFETIME: Lifetime = Lifetime::from_seconds(300);

/// Nonces whose counts are remembered in memory: about 16 MB.
const NONCES: usize = 200_000;

/// Parts of that memory, each behind a lock of its own.
const PARTS: usize = 16;

/// What goes with every challenge; it protects nothing and some old clients want it.
const OPAQUE: &str = "countersign";

/// Digest, with its nonces.
pub struct Digest {
    directory: Directory,
    realm: String,
    mint: NonceMint,
    counts: Counts,
    /// Nobody's hashes: an unknown user's response is checked against them, so that it costs what a known one's does.
    nobody: [Ha1; 2],
}

/// Where used counts are remembered.
enum Counts {
    /// In this process, which is the only one, and which no request waits for.
    Here(Vec<Mutex<CountWindows>>),
    /// In the store that all nodes share: each count of each nonce is a nonce of its own there.
    Shared(Arc<ReplayStore>, Clock),
}

impl Digest {
    /// `key`: 32 secret octets that all nodes share; `replay`: where the counts go if other nodes share it.
    pub fn new(directory: Directory, realm: String, key: &[u8; 32], replay: &Arc<ReplayStore>, clock: Clock) -> Self {
        let counts = if replay.is_shared() {
            Counts::Shared(Arc::clone(replay), clock)
        } else {
            let part = || Mutex::new(CountWindows::new(NONCES / PARTS, NONCE_LIFETIME));
            Counts::Here(std::iter::repeat_with(part).take(PARTS).collect())
        };
        let nobody = DigestHash::ALL.map(|hash| Ha1::new(hash, "", &realm, &rand::random::<u128>().to_string()));
        Self { directory, realm, mint: NonceMint::new(key, rand::random()), counts, nobody }
    }

    /// A challenge with a new nonce. `stale`: the credentials were good but for the age of their nonce.
    pub fn challenge(&self, hash: DigestHash, stale: bool, now: Timestamp) -> Challenge {
        digest::challenge(hash, &self.realm, &self.mint.issue(now, rand::random()), OPAQUE, stale)
    }

    /// Who calls with these Digest credentials.
    ///
    /// # Errors
    /// [`Rejection`], the first in the order of judgement.
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
        let name = sent.username.as_sent();
        let user = match &sent.username {
            Username::Plain(name) => DigestUser::Plain(name.to_string()),
            Username::Hashed(hash) => DigestUser::Hashed(sent.hash, hash.clone()),
        };
        let now = request.arrived;
        let found = self.directory.digest(&user, &self.realm, now).await.map_err(Rejection::unavailable)?;
        let beside = basic.client_keys().find(request, admission);
        let is_key = found.as_ref().is_some_and(|found| found.api_key.is_some());
        if !is_key && beside == Beside::Nothing && admission.client_key == ClientKeyRule::Required {
            return Err(Refusal::ClientKeyRequired.into());
        }
        basic.throttle().check(name, request.client_address, now)?;
        let (found, nonce) = self.verify(&sent, request, found.as_deref()).inspect_err(|rejection| {
            if matches!(rejection.public, Refusal::BadCredentials { .. }) {
                basic.failed(request, name, found.as_ref().map(|found| &found.account.account));
            }
        })?;
        self.count(&nonce, &sent, found, now).await?;
        basic.throttle().succeeded(name, request.client_address);

        let proved = found.api_key.as_ref().map_or(Proved::Password(&found.account), Proved::Key);
        let ended = |why| Refusal::KeyEnded { username: name.to_owned(), why };
        proved.admit(&self.directory, &beside, Credential::Digest, now, ended).await
    }

    /// Checks the response, then the nonce.
    fn verify<'a>(
        &self,
        sent: &DigestCredentials<'_>,
        request: &ReceivedRequest<'_>,
        found: Option<&'a DirectoryDigest>,
    ) -> Result<(&'a DirectoryDigest, ServerNonce), Rejection> {
        let bad = |reason| {
            let username = sent.username.as_sent().to_owned();
            Rejection::because(Refusal::BadCredentials { username }, reason)
        };
        if sent.realm != self.realm {
            return Err(bad("another realm"));
        }
        let known = found.and_then(|found| found.ha1(sent.hash));
        let nobody = self.nobody.iter().find(|nobody| nobody.hash() == sent.hash);
        let ha1 = known.or(nobody).ok_or_else(|| bad("no such hash"))?;
        let verified = sent.verify(ha1, request.method, request.body);
        let found = match (verified, found, known) {
            (Ok(_proof), Some(found), Some(_)) => found,
            (Ok(_) | Err(DigestRefused::Mismatch), Some(_), _) => return Err(bad("digest mismatch")),
            (Ok(_) | Err(DigestRefused::Mismatch), None, _) => return Err(bad("no such user in this realm")),
            (Err(DigestRefused::BodyUnread), _, _) => return Err(Refusal::BodyUnavailable.into()),
        };
        let nonce = self.mint.read(&sent.nonce, request.arrived, NONCE_LIFETIME);
        match (nonce, &self.counts) {
            (Ok(nonce), Counts::Shared(..)) => Ok((found, nonce)),
            (Ok(nonce), Counts::Here(_)) if nonce.origin == IssuedBy::Us => Ok((found, nonce)),
            // The password was proved: whatever is wrong with the nonce, a new one helps (RFC 7616 §3.3, stale).
            (Ok(_), Counts::Here(_)) | (Err(NonceRefused::Stale | NonceRefused::Forged), _) => {
                Err(Refusal::StaleNonce.into())
            }
        }
    }

    /// Uses the count up: the last step, so that nobody else can.
    async fn count(
        &self,
        nonce: &ServerNonce,
        sent: &DigestCredentials<'_>,
        found: &DirectoryDigest,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let repeated = || {
            let username = sent.username.as_sent().to_owned();
            Rejection::because(Refusal::BadCredentials { username }, "this Digest count was used before")
        };
        match &self.counts {
            Counts::Here(parts) => {
                let [first, ..] = nonce.randomness;
                let part = parts.get(usize::from(first) % PARTS).ok_or(Refusal::Unavailable)?;
                let mut counts = part.lock().unwrap_or_else(PoisonError::into_inner);
                match counts.take(nonce, sent.count(), now) {
                    Ok(()) => Ok(()),
                    Err(CountRefused::Forgotten) => Err(Refusal::StaleNonce.into()),
                    Err(CountRefused::Repeated) => Err(repeated()),
                }
            }
            Counts::Shared(replay, clock) => {
                // The request's body may have come slowly since its head arrived.
                let now = clock.now();
                // No client key holds a NUL, so no OAuth nonce can be taken for a count. The name as it is stored: the
                // response does not cover the one that was sent, which may as well be its hash.
                let user = format!("\0digest\0{}", found.username);
                let count = sent.count().to_be_bytes();
                let claim =
                    NonceClaim { client_key: &user, token: &sent.nonce, timestamp: nonce.issued, nonce: &count };
                match replay.claim(claim, now).await {
                    Ok(_remembered) => Ok(()),
                    Err(ClaimRefused::Used) => Err(repeated()),
                    // Too old for the store's window; unless nothing is taken just now, not even a new nonce.
                    Err(ClaimRefused::TimestampRefused { from, .. }) if from <= now => Err(Refusal::StaleNonce.into()),
                    Err(refused) => Err(Rejection::unavailable(refused)),
                }
            }
        }
    }
}
