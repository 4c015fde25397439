//! A signed request becomes a proof of its client and token (RFC 5849 §3.2), in a fixed order that stops at the first
//! refusal:
//!
//! form of the parameters · timestamp window · client and token, of the right kind and bound to each other · signature ·
//! body hash · only now the states of client, owner, token and account · the nonce, the only write.
//!
//! The nonce comes last, so that a stranger can neither burn nonces nor fill the store. That a key or token is unknown
//! is told to anybody; everything else about it only to who proved to hold its secret.

use std::fmt::Display;
use std::sync::Arc;

use crate::auth::inspection::Inspection;
use crate::auth::verdict::{Admission, Credential, Identity, OAuthRefusal, Refusal, Rejection, refuse_account};
use crate::config::{BodyHashRule, PlaintextRule, Way};
use crate::domain::client::SignatureMethods;
use crate::domain::credentials::{ClientKey, TokenHash};
use crate::domain::delegation::TokenRefusal;
use crate::domain::scope::{GrantedScopes, Scopes};
use crate::protocol::base_string::SignatureBaseString;
use crate::protocol::body_hash::{self, BodyHash};
use crate::protocol::oauth::{self, Freshness, Problem, ProtocolError, ProtocolParameters};
use crate::protocol::parameters::Parameters;
use crate::protocol::request::ReceivedRequest;
use crate::protocol::signature::{SharedSecrets, SignatureMethod, SignatureVerified, VerificationKey, verify};
use crate::store::directory::{Directory, DirectoryClient, DirectoryToken};
use crate::store::replay::{ClaimRefused, Claiming, NonceClaim, NonceRemembered, ReplayStore};
use crate::time::{Clock, Lifetime, Timestamp};

/// Verifies signed requests; see the file's head.
pub struct OAuthVerifier {
    directory: Directory,
    replay: Arc<ReplayStore>,
    window: Lifetime,
    methods: SignatureMethods,
    plaintext: PlaintextRule,
    inspection: Inspection,
    clock: Clock,
}

/// A request whose protocol parameters have the right form and are fresh enough. Proves nothing yet.
pub struct Signed<'a> {
    request: &'a ReceivedRequest<'a>,
    parameters: &'a Parameters<'a>,
    body_hash: BodyHashRule,
    /// The protocol parameters.
    pub protocol: ProtocolParameters<'a>,
}

/// A client that signed its request well, as [`OAuthVerifier::verify_client`] found it.
pub struct VerifiedClient {
    /// The client.
    pub client: Arc<DirectoryClient>,
    _proof: (SignatureVerified, Option<NonceRemembered>),
}

/// A client and token that signed their request well, as [`OAuthVerifier`] found them.
pub struct VerifiedToken {
    /// The token, with its client and account.
    pub token: Arc<DirectoryToken>,
    /// What it may do now.
    pub scopes: Scopes,
    _proof: (SignatureVerified, Option<NonceRemembered>),
}

/// A good signature in good standing, whose nonce is not yet known to be new.
struct ProvenToken<'a> {
    token: Arc<DirectoryToken>,
    scopes: Scopes,
    proof: SignatureVerified,
    nonce: Remembering<'a>,
}

/// A nonce on its way to the store; none where the request has none (PLAINTEXT, RFC 5849 §3.1).
struct Remembering<'a> {
    claiming: Option<Claiming<'a>>,
    now: Timestamp,
}

impl OAuthVerifier {
    /// `window`: how far `oauth_timestamp` may be from our clock, either way. `methods`: what the server admits.
    /// `inspection`: what explains signatures that fail. `clock`: for the claim of a nonce, which may come long after the
    /// request's head.
    pub const fn new(
        directory: Directory,
        replay: Arc<ReplayStore>,
        window: Lifetime,
        methods: SignatureMethods,
        plaintext: PlaintextRule,
        inspection: Inspection,
        clock: Clock,
    ) -> Self {
        Self { directory, replay, window, methods, plaintext, inspection, clock }
    }

    /// Who calls the protected API with a signed request.
    ///
    /// # Errors
    /// [`Refusal::OAuth`], or [`Refusal::MethodNotAdmitted`] where the route takes no request of this kind.
    pub async fn identify(
        &self,
        request: &ReceivedRequest<'_>,
        parameters: Parameters<'_>,
        admission: &Admission,
    ) -> Result<Identity, Rejection> {
        let proven = {
            let signed = self.read(request, &parameters, admission.body_hash)?;
            if signed.protocol.token.is_none() {
                return self.identify_client(&signed, admission).await;
            }
            if !admission.admits(Way::OAuth1) {
                return Err(Refusal::MethodNotAdmitted { sent: "OAuth with an access token".to_owned() }.into());
            }
            self.prove_token(&signed).await?
        };
        // Hundreds of requests wait for a commit at a time: what they don't need any more does not wait with them.
        drop(parameters);
        let VerifiedToken { token, scopes, .. } = proven.remembered().await?;
        self.directory.note_token_use(&token, request.arrived);
        let account = Arc::clone(&token.account);
        let client = Some(Arc::clone(&token.client));
        Ok(Identity::new(account, client, Credential::OAuth1, GrantedScopes::only(scopes)))
    }

    async fn identify_client(&self, signed: &Signed<'_>, admission: &Admission) -> Result<Identity, Rejection> {
        if !admission.admits(Way::OAuth1TwoLegged) {
            return Err(Refusal::MethodNotAdmitted { sent: "OAuth without an access token".to_owned() }.into());
        }
        let VerifiedClient { client, .. } = self.verify_client(signed).await?;
        self.directory.note_client_use(&client, signed.request.arrived);
        let scopes = GrantedScopes::only(client.owner.account.scopes.admit(&client.client.scopes));
        Ok(Identity::new(Arc::clone(&client.owner), Some(client), Credential::OAuth1, scopes))
    }

    /// Reads the protocol parameters and judges all that needs no look-up.
    ///
    /// # Errors
    /// [`Refusal::OAuth`]: form, method or timestamp.
    pub fn read<'a>(
        &self,
        request: &'a ReceivedRequest<'a>,
        parameters: &'a Parameters<'a>,
        body_hash: BodyHashRule,
    ) -> Result<Signed<'a>, Rejection> {
        let protocol = ProtocolParameters::read(parameters)?;
        if request.is_unreadable_form() {
            let advice = "the body is said to be a form, and is no UTF-8, compressed, or in a charset unlike ASCII: its parameters can't be signed";
            return Err(OAuthRefusal::new(Problem::ParameterRejected, advice).into());
        }
        self.check_method(protocol.signature_method, request.is_by_tls())?;
        if let Some(fresh) = &protocol.freshness {
            let acceptable = (request.arrived - self.window, request.arrived + self.window);
            if fresh.timestamp < acceptable.0 || acceptable.1 < fresh.timestamp {
                return Err(OAuthRefusal::timestamp_sent(fresh.timestamp, acceptable, request.arrived).into());
            }
        }
        Ok(Signed { request, parameters, body_hash, protocol })
    }

    /// Verifies a request signed with client credentials alone (RFC 5849 §2.1, and two-legged ones).
    ///
    /// # Errors
    /// [`Refusal::OAuth`], [`Refusal::Unavailable`].
    pub async fn verify_client(&self, signed: &Signed<'_>) -> Result<VerifiedClient, Rejection> {
        self.verify_with(signed, self.client(signed).await?, "").await
    }

    /// Verifies a request that this client signed, and `token_secret` with it: that of temporary credentials, which the caller looked
    /// up (RFC 5849 §2.3), or none.
    ///
    /// # Errors
    /// [`Refusal::OAuth`], [`Refusal::Unavailable`].
    pub async fn verify_with(
        &self,
        signed: &Signed<'_>,
        client: Arc<DirectoryClient>,
        token_secret: &str,
    ) -> Result<VerifiedClient, Rejection> {
        let named = |rejection: Rejection| rejection.of_client(&client);
        let proof = self.signature(signed, &client, token_secret).await.map_err(named)?;
        check_client(&client).map_err(named)?;
        let remembered = self.remember(signed).done().await.map_err(named)?;
        Ok(VerifiedClient { client, _proof: (proof, remembered) })
    }

    /// Verifies a request signed with token credentials (RFC 5849 §3) that ends the token: whoever is locked or disabled may
    /// still do that.
    ///
    /// # Errors
    /// [`Refusal::OAuth`], [`Refusal::Unavailable`].
    pub async fn verify_last(&self, signed: &Signed<'_>) -> Result<VerifiedToken, Rejection> {
        let (token, proof) = self.signed_token(signed).await?;
        let scopes = match token.standing(signed.request.arrived) {
            Ok(scopes) => scopes.clone(),
            Err(TokenRefusal::Account(_)) => Scopes::none(),
            Err(refusal) => return Err(refuse_token(refusal).of_client(&token.client)),
        };
        ProvenToken { token, scopes, proof, nonce: self.remember(signed) }.remembered().await
    }

    /// Verifies a request signed with token credentials (RFC 5849 §3), all but the wait for the nonce's commit.
    async fn prove_token(&self, signed: &Signed<'_>) -> Result<ProvenToken<'_>, Rejection> {
        let (token, proof) = self.signed_token(signed).await?;
        let refuse = |refusal| refuse_token(refusal).of_client(&token.client);
        let scopes = token.standing(signed.request.arrived).map_err(refuse)?.clone();
        Ok(ProvenToken { token, scopes, proof, nonce: self.remember(signed) })
    }

    async fn signed_token(&self, signed: &Signed<'_>) -> Result<(Arc<DirectoryToken>, SignatureVerified), Rejection> {
        let client = self.client(signed).await?;
        let named = |rejection: Rejection| rejection.of_client(&client);
        let token = self.token(signed, &client).await.map_err(named)?;
        let proof = self.signature(signed, &client, token.secret.expose()).await.map_err(named)?;
        Ok((token, proof))
    }

    /// The client that the request names.
    ///
    /// # Errors
    /// `consumer_key_unknown`.
    pub async fn client(&self, signed: &Signed<'_>) -> Result<Arc<DirectoryClient>, Rejection> {
        let found = match ClientKey::parse(signed.protocol.client_key.as_ref()) {
            Ok(key) => self.directory.client(&key, signed.request.arrived).await.map_err(Rejection::unavailable)?,
            Err(_) => None,
        };
        found.ok_or_else(|| {
            let advice = "oauth_consumer_key names no client of this server: copy the client key again";
            OAuthRefusal::new(Problem::ConsumerKeyUnknown, advice).into()
        })
    }

    async fn token(&self, signed: &Signed<'_>, client: &DirectoryClient) -> Result<Arc<DirectoryToken>, Rejection> {
        let presented = signed.protocol.token.as_deref().unwrap_or_default();
        let found = self
            .directory
            .token(&TokenHash::of(presented), signed.request.arrived)
            .await
            .map_err(Rejection::unavailable)?;
        found.filter(|token| token.credentials.client_key == client.client.client_key).ok_or_else(|| {
            OAuthRefusal::new(
                Problem::TokenRejected,
                "oauth_token is no access token of this client: request tokens must be exchanged first",
            )
            .into()
        })
    }

    fn check_method(&self, method: SignatureMethod, by_tls: bool) -> Result<(), Rejection> {
        if !self.methods.admits(method) {
            return Err(OAuthRefusal::new(
                Problem::SignatureMethodRejected,
                format!("{method} is not admitted by this server"),
            )
            .into());
        }
        let admitted = match (method, self.plaintext) {
            (SignatureMethod::Plaintext, PlaintextRule::Never) => false,
            (SignatureMethod::Plaintext, PlaintextRule::Tls) => by_tls,
            (_, PlaintextRule::Never | PlaintextRule::Tls | PlaintextRule::Always) => true,
        };
        if admitted {
            return Ok(());
        }
        let advice = "PLAINTEXT sends the secrets themselves: it is admitted over https only, if at all";
        Err(OAuthRefusal::new(Problem::SignatureMethodRejected, advice).into())
    }

    /// Checks the signature; one that fails is explained to those who may know.
    async fn signature(
        &self,
        signed: &Signed<'_>,
        client: &DirectoryClient,
        token_secret: &str,
    ) -> Result<SignatureVerified, Rejection> {
        let mut rejection = match self.check_signature(signed, client, token_secret) {
            Ok(proof) => return Ok(proof),
            Err(rejection) => rejection,
        };
        if let Refusal::OAuth(refusal) = &mut rejection.public
            && refusal.problem == Problem::SignatureInvalid
        {
            let Signed { request, parameters, protocol, .. } = signed;
            let told = Box::pin(self.inspection.explain(request, parameters, protocol, client, token_secret)).await;
            let untold = || format!("{}{}", refusal.advice, self.inspection.where_it_is_told());
            refusal.advice = told.unwrap_or_else(untold);
        }
        Err(rejection)
    }

    fn check_signature(
        &self,
        signed: &Signed<'_>,
        client: &DirectoryClient,
        token_secret: &str,
    ) -> Result<SignatureVerified, Rejection> {
        let method = signed.protocol.signature_method;
        if !client.client.signature_methods.admits(method) {
            return Err(OAuthRefusal::new(
                Problem::SignatureMethodRejected,
                format!("this client may not use {method}: its owner chose others"),
            )
            .into());
        }
        let base_string = SignatureBaseString::of(signed.request, signed.parameters);
        let presented = &signed.protocol.signature;
        let verified = if method.is_rsa() {
            let Some(key) = &client.rsa_key else {
                let advice = "this client has no RSA public key here: its owner must upload one";
                return Err(OAuthRefusal::new(Problem::SignatureMethodRejected, advice).into());
            };
            verify(method, &base_string, VerificationKey::Rsa(key), presented)
        } else {
            let with = |client: &str| {
                let secrets = SharedSecrets { client, token: token_secret };
                verify(method, &base_string, VerificationKey::Shared(secrets), presented)
            };
            with(client.secret.expose()).or_else(|mismatch| {
                // After a rotation the previous secret is good for as long as its owner said.
                let previous = client.previous_secret(signed.request.arrived).ok_or(mismatch)?;
                with(previous.expose())
            })
        };
        let proof = verified.map_err(|_| {
            let refusal = OAuthRefusal::new(
                Problem::SignatureInvalid,
                "the signature does not match what this server received: check secrets, URL and parameters",
            );
            Rejection::from(refusal)
        })?;
        check_body_hash(signed, signed.body_hash)?;
        Ok(proof)
    }

    /// Begins to remember the nonce, durably, or to refuse the request: the last step and the only write.
    fn remember(&self, signed: &Signed<'_>) -> Remembering<'_> {
        // Not when the request arrived: its body may have come slowly, and what the store has forgotten since must be refused.
        let now = self.clock.now();
        let claim = |fresh: &Freshness<'_>| {
            let claim = NonceClaim {
                client_key: &signed.protocol.client_key,
                token: signed.protocol.token.as_deref().unwrap_or_default(),
                timestamp: fresh.timestamp,
                nonce: fresh.nonce.as_bytes(),
            };
            self.replay.claim(claim, now)
        };
        Remembering { claiming: signed.protocol.freshness.as_ref().map(claim), now }
    }
}

impl ProvenToken<'_> {
    /// Waits until the nonce is remembered.
    async fn remembered(self) -> Result<VerifiedToken, Rejection> {
        let Self { token, scopes, proof, nonce } = self;
        let remembered = nonce.done().await.map_err(|rejection| rejection.of_client(&token.client))?;
        Ok(VerifiedToken { token, scopes, _proof: (proof, remembered) })
    }
}

impl Remembering<'_> {
    async fn done(self) -> Result<Option<NonceRemembered>, Rejection> {
        let Some(claiming) = self.claiming else { return Ok(None) };
        match claiming.await {
            Ok(remembered) => Ok(Some(remembered)),
            Err(ClaimRefused::Used) => Err(OAuthRefusal::new(
                Problem::NonceUsed,
                "this oauth_nonce came with this oauth_timestamp before: make a new one for every request, also when it is sent again",
            )
            .into()),
            Err(ClaimRefused::TimestampRefused { from, until }) => {
                Err(OAuthRefusal::timestamp((from, until), self.now).into())
            }
            Err(refused @ (ClaimRefused::ClientShareExhausted | ClaimRefused::Full | ClaimRefused::Unavailable)) => {
                Err(Rejection::unavailable(refused))
            }
        }
    }
}

/// Request Body Hash: what was received must be what was hashed.
fn check_body_hash(signed: &Signed<'_>, rule: BodyHashRule) -> Result<(), Rejection> {
    let presented = signed.protocol.body_hash.as_deref();
    let refuse = |problem, advice: &str| Err(OAuthRefusal::new(problem, advice).into());
    match (body_hash::check(signed.protocol.signature_method, presented, signed.request), rule) {
        (BodyHash::Absent, BodyHashRule::Required) if !signed.request.has_form_type() => {
            Err(ProtocolError::Absent(vec![oauth::BODY_HASH]).into())
        }
        (BodyHash::Absent | BodyHash::Right, _) => Ok(()),
        (BodyHash::Wrong, BodyHashRule::Report) => {
            tracing::warn!(client_key = %signed.protocol.client_key, "oauth_body_hash does not match the body");
            Ok(())
        }
        (BodyHash::Wrong, BodyHashRule::Required | BodyHashRule::IfPresent) => {
            refuse(Problem::SignatureInvalid, "oauth_body_hash is not the hash of the body that arrived")
        }
        (BodyHash::OnForm, _) => {
            refuse(Problem::ParameterRejected, "oauth_body_hash must not come with a form: its parameters are signed")
        }
        (BodyHash::Unread, BodyHashRule::Required) => Err(Refusal::BodyUnavailable.into()),
        (BodyHash::Unread, BodyHashRule::IfPresent | BodyHashRule::Report) => Ok(()),
    }
}

/// Disabled clients, and those of a locked or disabled owner, are told so.
///
/// # Errors
/// `consumer_key_refused`.
pub fn check_client(client: &DirectoryClient) -> Result<(), Rejection> {
    client.standing.clone().map_err(refuse_client)
}

/// `consumer_key_refused`, and why for the log.
pub fn refuse_client(why: impl Display) -> Rejection {
    let advice = "the client is disabled, or its owner's account is: ask the owner";
    Rejection::because(Refusal::OAuth(OAuthRefusal::new(Problem::ConsumerKeyRefused, advice)), why.to_string())
}

fn refuse_token(refusal: TokenRefusal) -> Rejection {
    match refusal {
        TokenRefusal::Revoked => {
            OAuthRefusal::new(Problem::TokenRevoked, "the access was revoked: ask the account holder again").into()
        }
        TokenRefusal::Expired => {
            OAuthRefusal::new(Problem::TokenExpired, "the access token is past its end: do the dance again").into()
        }
        TokenRefusal::Client(refusal) => refuse_client(refusal),
        TokenRefusal::Account(refusal) => refuse_account(refusal),
    }
}
