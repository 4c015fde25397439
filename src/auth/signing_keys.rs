//! The server's own ES256 key: what it signs tokens and assertions with, and what everybody may check them by
//! (RFC 7517, RFC 7518 §3.4).
//!
//! The private half lives sealed in the store; all nodes share it, because the first insert decides. It signs nothing
//! by itself: `jwt` and the gateway's assertion say what.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::domain::credentials::Secret;

/// Why there is no key to sign with, or nothing could be signed.
#[derive(Debug, Error)]
pub enum SigningKeyError {
    /// The stored text is no key.
    #[error("the stored signing key can not be read")]
    Unreadable,
    /// The library refused.
    #[error("nothing could be signed: {0}")]
    Library(#[from] jsonwebtoken::errors::Error),
}

/// One ES256 key pair.
pub struct SigningKey {
    /// SHA-256 thumbprint of the public key, shortened: `kid`.
    id: String,
    private: EncodingKey,
    public: DecodingKey,
    jwk: Jwk,
}

/// The public half, as `/.well-known/jwks.json` lists it (RFC 7517 §4).
#[derive(Clone, Debug, Serialize)]
pub struct Jwk {
    kty: &'static str,
    crv: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
    kid: String,
    x: String,
    y: String,
}

/// What kind of statement a signature is over: its `typ`. One kind is never taken for another (RFC 8725 §3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bearer token for the protected API.
    Token,
    /// What the gateway tells the upstream about a request.
    Assertion,
}

impl Kind {
    const fn typ(self) -> &'static str {
        match self {
            Self::Token => "JWT",
            Self::Assertion => "assertion+jwt",
        }
    }
}

impl SigningKey {
    /// Makes a new private key, as text for the store.
    ///
    /// # Errors
    /// [`SigningKeyError::Unreadable`]: the machine gives no randomness.
    pub fn generate() -> Result<Secret, SigningKeyError> {
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map(|document| Secret::new(STANDARD.encode(document.as_ref())))
            .map_err(|_| SigningKeyError::Unreadable)
    }

    /// Reads what [`Self::generate`] made.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn from_stored(stored: &Secret) -> Result<Self, SigningKeyError> {
        let der = STANDARD.decode(stored.expose()).map_err(|_| SigningKeyError::Unreadable)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)
            .map_err(|_| SigningKeyError::Unreadable)?;
        // An uncompressed point: 4, then 32 octets of each coordinate (SEC 1 §2.3.3).
        let point = pair.public_key().as_ref();
        let (Some(x), Some(y)) = (point.get(1..33), point.get(33..65)) else { return Err(SigningKeyError::Unreadable) };
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let thumbprint = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let id: String = URL_SAFE_NO_PAD.encode(Sha256::digest(thumbprint)).chars().take(16).collect();
        Ok(Self {
            private: EncodingKey::from_ec_der(&der),
            public: DecodingKey::from_ec_components(&x, &y)?,
            jwk: Jwk { kty: "EC", crv: "P-256", usage: "sig", alg: "ES256", kid: id.clone(), x, y },
            id,
        })
    }

    /// The public half.
    pub const fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// Signs claims as a compact JWS (RFC 7515 §3.1).
    ///
    /// # Errors
    /// [`SigningKeyError::Library`].
    pub fn sign(&self, kind: Kind, claims: &impl Serialize) -> Result<String, SigningKeyError> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(kind.typ().to_owned());
        header.kid = Some(self.id.clone());
        Ok(jsonwebtoken::encode(&header, claims, &self.private)?)
    }

    /// The claims of a statement that this key signed, of this kind; `None` for anything else. `issuer`: who must have
    /// signed it for itself, where our origin is known.
    ///
    /// The algorithm is fixed here and never taken from the token, and a `kid` can only name this key (RFC 8725 §3.1,
    /// §3.10). When it ends is for the caller, who has the clock.
    pub fn verify<C: DeserializeOwned + Clone>(&self, kind: Kind, issuer: Option<&str>, token: &str) -> Option<C> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let ours = header.typ.as_deref() == Some(kind.typ()) && header.kid.as_deref().is_none_or(|kid| kid == self.id);
        if !ours {
            return None;
        }
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        match issuer {
            Some(issuer) => {
                validation.set_issuer(&[issuer]);
                validation.set_audience(&[issuer]);
            }
            None => validation.validate_aud = false,
        }
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        jsonwebtoken::decode::<C>(token, &self.public, &validation).ok().map(|data| data.claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
    struct Claims {
        iss: String,
        aud: String,
        sub: String,
        exp: i64,
    }

    fn claims() -> Claims {
        Claims { iss: "us".into(), aud: "us".into(), sub: "a".into(), exp: 1 }
    }

    fn key() -> SigningKey {
        SigningKey::from_stored(&SigningKey::generate().unwrap()).unwrap()
    }

    #[test]
    fn what_is_signed_is_read_back_by_the_same_key_alone() {
        let (key, other) = (key(), key());
        let token = key.sign(Kind::Token, &claims()).unwrap();
        assert_eq!(key.verify::<Claims>(Kind::Token, Some("us"), &token), Some(claims()));
        assert_eq!(other.verify::<Claims>(Kind::Token, Some("us"), &token), None);
    }

    #[test]
    fn another_kind_issuer_or_audience_is_not_taken() {
        let key = key();
        let token = key.sign(Kind::Assertion, &claims()).unwrap();
        assert_eq!(key.verify::<Claims>(Kind::Token, Some("us"), &token), None);
        assert_eq!(key.verify::<Claims>(Kind::Assertion, Some("them"), &token), None);
        let foreign = key.sign(Kind::Assertion, &Claims { aud: "web".into(), ..claims() }).unwrap();
        assert_eq!(key.verify::<Claims>(Kind::Assertion, Some("us"), &foreign), None);
        assert!(key.verify::<Claims>(Kind::Assertion, None, &token).is_some());
        assert!(key.verify::<Claims>(Kind::Assertion, Some("us"), &token).is_some());
    }

    #[test]
    fn an_unsigned_token_and_one_signed_with_the_public_key_are_not_taken() {
        let key = key();
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let body = encode(&serde_json::to_string(&claims()).unwrap());
        let none = format!("{}.{body}.", encode(r#"{"alg":"none","typ":"JWT"}"#));
        assert_eq!(key.verify::<Claims>(Kind::Token, Some("us"), &none), None);
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some("JWT".into());
        let public = EncodingKey::from_secret(key.jwk().x.as_bytes());
        let confused = jsonwebtoken::encode(&header, &claims(), &public).unwrap();
        assert_eq!(key.verify::<Claims>(Kind::Token, Some("us"), &confused), None);
    }
}
