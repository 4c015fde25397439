//! What accounts, clients, keys, tokens and grants look like in JSON: one shape for the command line and the management API.
//!
//! Times are RFC 3339 in UTC. A secret is only there in the answer that makes it.

use serde::{Serialize, Serializer};

use crate::domain::account::{Account, Company};
use crate::domain::api_key::ApiKey;
use crate::domain::client::{Client, ClientStatus, SignatureMethods};
use crate::domain::credentials::{Hint, Secret};
use crate::domain::scope::Scopes;
use crate::store::api_keys::ApiKeySummary;
use crate::store::audit::AuditRow;
use crate::store::clients::{ClientSummary, IssuedClient};
use crate::store::delegations::{GrantSummary, TokenSummary};
use crate::time::Timestamp;

/// A secret on its one way out.
struct Shown(Secret);

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

fn names(scopes: &Scopes) -> Vec<String> {
    scopes.iter().map(|scope| scope.as_str().to_owned()).collect()
}

fn method_names(methods: SignatureMethods) -> Vec<&'static str> {
    methods.iter().map(|method| method.as_str()).collect()
}

fn moment(time: Option<Timestamp>) -> Option<String> {
    time.map(Timestamp::to_rfc3339)
}

/// A company.
#[derive(Serialize)]
pub struct CompanyShape {
    id: String,
    name: String,
    created_at: String,
}

impl From<&Company> for CompanyShape {
    fn from(company: &Company) -> Self {
        Self { id: company.id.to_string(), name: company.name.clone(), created_at: company.created_at.to_rfc3339() }
    }
}

/// An account. `scopes` is `["*"]` where there is no limit.
#[derive(Serialize)]
pub struct AccountShape {
    id: String,
    username: String,
    company: Option<String>,
    role: &'static str,
    scopes: Vec<String>,
    name: String,
    email: Option<String>,
    external_id: Option<String>,
    status: &'static str,
    reason: Option<String>,
    created_at: String,
}

impl From<&Account> for AccountShape {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id.to_string(),
            username: account.username.to_string(),
            company: account.company.as_ref().map(ToString::to_string),
            role: account.role.as_str(),
            scopes: account.scopes.to_list(),
            name: account.name.clone(),
            email: account.email.clone(),
            external_id: account.external_id.clone(),
            status: account.status.as_str(),
            reason: account.status.reason().map(str::to_owned),
            created_at: account.created_at.to_rfc3339(),
        }
    }
}

/// A client. `owner` is a username.
#[derive(Serialize)]
pub struct ClientShape {
    client_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<Shown>,
    owner: String,
    name: String,
    callbacks: Vec<String>,
    scopes: Vec<String>,
    signature_methods: Vec<&'static str>,
    rsa_public_key: Option<String>,
    http_auth: bool,
    status: &'static str,
    /// Only where somebody else than the owner disabled it.
    #[serde(skip_serializing_if = "Option::is_none")]
    suspended: Option<bool>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_secret_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
}

impl ClientShape {
    /// Without a secret; `owner`: the owner's username.
    pub fn new(client: &Client, owner: &str) -> Self {
        Self {
            client_key: client.client_key.to_string(),
            client_secret: None,
            owner: owner.to_owned(),
            name: client.name.clone(),
            callbacks: client.callbacks.iter().map(ToString::to_string).collect(),
            scopes: names(&client.scopes),
            signature_methods: method_names(client.signature_methods),
            rsa_public_key: client.rsa_public_key.as_ref().map(|key| key.pem().to_owned()),
            http_auth: client.http_auth,
            status: if client.status == ClientStatus::Active { "active" } else { "disabled" },
            suspended: client.status.is_suspended().then_some(true),
            created_at: client.created_at.to_rfc3339(),
            previous_secret_until: None,
            active_tokens: None,
            last_used_at: None,
        }
    }

    /// With its new secret.
    pub fn issued(issued: &IssuedClient, owner: &str) -> Self {
        Self {
            client_secret: Some(Shown(issued.secret.clone())),
            previous_secret_until: moment(issued.previous_secret_until),
            ..Self::new(&issued.client, owner)
        }
    }
}

impl From<&ClientSummary> for ClientShape {
    fn from(summary: &ClientSummary) -> Self {
        Self {
            previous_secret_until: moment(summary.previous_secret_until),
            active_tokens: Some(summary.active_tokens),
            last_used_at: moment(summary.last_used_at),
            ..Self::new(&summary.client, summary.owner.as_str())
        }
    }
}

/// An API key. `scopes` is `["*"]` where it has none of its own: then it has its account's. `status`: `active` or `expired`.
#[derive(Serialize)]
pub struct KeyShape {
    public_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key: Option<Shown>,
    name: String,
    username: String,
    scopes: Vec<String>,
    hint: String,
    status: &'static str,
    impersonated_by: Option<String>,
    expires_at: Option<String>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
}

impl KeyShape {
    fn new(key: &ApiKey, username: &str, hint: &Hint, now: Timestamp) -> Self {
        Self {
            public_key: key.public_key.to_string(),
            private_key: None,
            name: key.name.clone(),
            username: username.to_owned(),
            scopes: key.scopes.as_ref().map_or_else(|| vec!["*".to_owned()], names),
            hint: hint.to_string(),
            status: if key.is_expired(now) { "expired" } else { "active" },
            impersonated_by: key.impersonator.as_ref().map(|impersonator| impersonator.username.to_string()),
            expires_at: moment(key.expires_at),
            created_at: key.created_at.to_rfc3339(),
            last_used_at: None,
        }
    }

    /// With its new private half.
    pub fn issued(key: &ApiKey, account: &Account, private_key: Secret, now: Timestamp) -> Self {
        let hint = Hint::of(private_key.expose());
        Self { private_key: Some(Shown(private_key)), ..Self::new(key, account.username.as_str(), &hint, now) }
    }

    /// As it stands at `now`. Whether its account rests is shown with that.
    pub fn listed(summary: &ApiKeySummary, now: Timestamp) -> Self {
        Self {
            last_used_at: moment(summary.last_used_at),
            ..Self::new(&summary.key, summary.username.as_str(), &summary.hint, now)
        }
    }
}

/// An access token, by id and hint. `status`: `active`, `revoked` or `expired`.
#[derive(Serialize)]
pub struct TokenShape {
    id: String,
    hint: String,
    username: String,
    client_key: String,
    client_name: String,
    scopes: Vec<String>,
    status: &'static str,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    last_used_at: Option<String>,
}

impl TokenShape {
    /// As it stands at `now`. Whether its client or account rests is shown with those.
    pub fn new(summary: &TokenSummary, now: Timestamp) -> Self {
        let token = &summary.token;
        Self {
            id: token.id.to_string(),
            hint: token.hint.to_string(),
            username: summary.username.to_string(),
            client_key: token.client_key.to_string(),
            client_name: summary.client_name.clone(),
            scopes: names(&token.scopes),
            status: match (token.revoked_at, token.ended(now)) {
                (Some(_), _) => "revoked",
                (None, Err(_)) => "expired",
                (None, Ok(())) => "active",
            },
            created_at: token.created_at.to_rfc3339(),
            expires_at: moment(token.expires_at),
            revoked_at: moment(token.revoked_at),
            last_used_at: moment(summary.last_used_at),
        }
    }
}

/// What an account has allowed a client.
#[derive(Serialize)]
pub struct GrantShape {
    id: String,
    username: String,
    client_key: String,
    client_name: String,
    scopes: Vec<String>,
    active_tokens: i64,
    created_at: String,
    last_used_at: Option<String>,
}

impl From<&GrantSummary> for GrantShape {
    fn from(summary: &GrantSummary) -> Self {
        Self {
            id: summary.grant.id.to_string(),
            username: summary.username.to_string(),
            client_key: summary.grant.client_key.to_string(),
            client_name: summary.client_name.clone(),
            scopes: names(&summary.grant.scopes),
            active_tokens: summary.active_tokens,
            created_at: summary.grant.created_at.to_rfc3339(),
            last_used_at: moment(summary.last_used_at),
        }
    }
}

/// One line of the audit log.
#[derive(Serialize)]
pub struct AuditShape {
    id: i64,
    created_at: String,
    event: String,
    actor: String,
    subject: String,
    account: Option<String>,
    company: Option<String>,
    client_key: Option<String>,
    detail: Option<String>,
    address: Option<String>,
}

impl From<&AuditRow> for AuditShape {
    fn from(row: &AuditRow) -> Self {
        Self {
            id: row.id,
            created_at: row.at().to_rfc3339(),
            event: row.event.clone(),
            actor: row.actor.clone(),
            subject: row.subject.clone(),
            account: row.account.clone(),
            company: row.company.clone(),
            client_key: row.client_key.clone(),
            detail: row.detail.clone(),
            address: row.address.clone(),
        }
    }
}
