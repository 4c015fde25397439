//! The lines of an export, field by field.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::credentials::Secret;

/// One line. `{"type":"account","username":"jo"}`
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Record {
    Company(CompanyRecord),
    Account(AccountRecord),
    Client(ClientRecord),
    Key(KeyRecord),
    Token(TokenRecord),
}

/// A company.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompanyRecord {
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub created_at: Option<String>,
}

/// An account. Only `username` must be there.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountRecord {
    pub username: String,
    /// Made if absent.
    #[serde(default)]
    pub id: Option<String>,
    /// One that is new is made.
    #[serde(default)]
    pub company: Option<String>,
    #[serde(default)]
    pub role: Option<String>,
    /// `["*"]` or absent: no limit. `[]`: nothing but identity.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default)]
    pub external_id: Option<String>,
    /// `active`, `locked` or `disabled`.
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub status_reason: Option<String>,
    /// Argon2id in PHC form.
    #[serde(default)]
    pub password_hash: Option<ExposedSecret>,
    #[serde(default)]
    pub digest: Vec<DigestRecord>,
    /// RFC 3339; now if absent.
    #[serde(default)]
    pub created_at: Option<String>,
}

/// What Digest needs in place of a password, for one spelling of the user name.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestRecord {
    pub username: String,
    pub realm: String,
    pub md5: ExposedSecret,
    pub sha256: ExposedSecret,
    pub user_hash_md5: String,
    pub user_hash_sha256: String,
}

/// A client. Its owner stands in an earlier line or is there already.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientRecord {
    pub client_key: String,
    /// Empty only where all signature methods are RSA.
    pub client_secret: ExposedSecret,
    /// The secret before, with the moment (RFC 3339) until which it stays good: both or neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret: Option<ExposedSecret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret_until: Option<String>,
    /// The owner's username.
    pub owner: String,
    pub name: String,
    #[serde(default)]
    pub callbacks: Vec<String>,
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Absent: any.
    #[serde(default)]
    pub signature_methods: Vec<String>,
    #[serde(default)]
    pub rsa_public_key: Option<String>,
    /// Absent: on.
    #[serde(default)]
    pub http_auth: Option<bool>,
    /// `active` or `disabled`.
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub created_at: Option<String>,
}

/// An API key: `private_key`, or its SHA-256 where that is all that is known.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    pub public_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<ExposedSecret>,
    /// 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_sha256: Option<String>,
    #[serde(default)]
    pub hint: Option<String>,
    /// The account's username.
    pub account: String,
    pub name: String,
    /// Absent: the account's.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    #[serde(default)]
    pub expires_at: Option<String>,
    #[serde(default)]
    pub digest: Vec<DigestRecord>,
    #[serde(default)]
    pub created_at: Option<String>,
}

/// An access token: `oauth_token`, or its SHA-256 where that is all that is known.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth_token: Option<ExposedSecret>,
    /// 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth_token_sha256: Option<String>,
    pub oauth_token_secret: ExposedSecret,
    #[serde(default)]
    pub hint: Option<String>,
    #[serde(default)]
    pub id: Option<String>,
    pub client_key: String,
    /// The account's username.
    pub username: String,
    /// Absent: the client's.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    #[serde(default)]
    pub expires_at: Option<String>,
    #[serde(default)]
    pub created_at: Option<String>,
}

/// A secret that may be written to a file: here and nowhere else.
#[derive(Clone)]
pub struct ExposedSecret(pub Secret);

impl Serialize for ExposedSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for ExposedSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}
