//! The deployment under examination, what was made there for the time of it, and the signed requests that go there.

use std::time::Duration;

use rand::distr::{Alphanumeric, SampleString};

use super::DoctorArgs;
use super::wire::{Answer, Echo, Sender};
use crate::cli::Failure;
use crate::cli::operator::Operator;
use crate::domain::credentials::{AccountId, ClientKey, Secret, Username};
use crate::domain::scope::Scopes;
use crate::protocol::client::{ClientRequest, RequestUrl};
use crate::protocol::oauth;
use crate::protocol::request::UriScheme;
use crate::protocol::signature::{SharedSecrets, SignatureMethod, SigningKey};
use crate::store::accounts::NewAccount;
use crate::store::clients::{IssuedClient, NewClient};
use crate::store::delegations::IssuedToken;
use crate::time::{Clock, Lifetime};

/// How long a running server may take to see what was made here.
pub const SEEN_WITHIN: Duration = Duration::from_secs(3);

/// Longer than any examination; a token that nobody takes away ends by itself.
const TOKEN_LIFETIME: Lifetime = Lifetime::from_seconds(3600);

/// The operator's own name for the account that is made here.
pub const EXTERNAL_ID: &str = "countersign-doctor";

/// The deployment under examination, and the credentials that were made for it.
pub struct Patient {
    /// Without a final slash.
    pub origin: String,
    /// `--path`.
    pub path: String,
    /// The client.
    pub sender: Sender,
    /// In the API's place, if it was asked for.
    pub echo: Option<Echo>,
    /// Of the account.
    pub username: Username,
    /// The account that owns all that was made.
    pub account: AccountId,
    /// Of the client.
    pub client_key: ClientKey,
    /// Of the token, as `X-Auth-Scopes` has them.
    pub scopes: String,
    /// `gateway.request_id_header`.
    pub request_id_header: Option<String>,
    client_secret: Secret,
    token: IssuedToken,
}

/// One request. What is sent and what is signed differ on purpose: what is accepted tells what the server saw.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Sent and signed.
    pub method: &'a str,
    /// Sent.
    pub target: &'a str,
    /// Signed; it is always sent to the proxy.
    pub origin: &'a str,
    /// Signed.
    pub signed_target: &'a str,
    /// Sent, as a form.
    pub body: Option<&'a str>,
    /// Signed.
    pub signed_form: Option<&'a str>,
    /// Headers that are sent besides.
    pub more: &'a [(&'a str, &'a str)],
    /// Signed by the client alone and with a callback: it asks for temporary credentials (RFC 5849 §2.1).
    pub initiates: bool,
}

impl Patient {
    /// Makes what is needed.
    ///
    /// # Errors
    /// [`Failure`]: no such origin or path, `--echo`'s address is taken, or the store refuses.
    pub async fn admit(args: &DoctorArgs, operator: &Operator) -> Result<Self, Failure> {
        let origin = args.proxy.trim_end_matches('/').to_owned();
        let url = RequestUrl::parse(&origin).map_err(|error| Failure::Usage(format!("--proxy: {error}")))?;
        if url.path != "/" || url.query.is_some() || !args.path.starts_with('/') {
            return Err(Failure::Usage("--proxy is an origin, --path a path such as /v2/doctor".to_owned()));
        }
        let sender = Sender::new(url.scheme == UriScheme::Https)?;
        let echo = match &args.echo {
            Some(address) => Some(Echo::start(address).await?),
            None => None,
        };
        let configuration = &operator.configuration;
        let wanted = configuration.routes.iter().flat_map(|route| &route.scopes).flat_map(|(_, scopes)| scopes);
        let scopes = Scopes::parse_each(wanted.map(|scope| scope.as_str()));
        let scopes = scopes.map_err(|error| Failure::Refused(error.to_string()))?;
        let username = format!("countersign-doctor-{}", random(8));
        let username = Username::parse(&username).map_err(|error| Failure::Refused(error.to_string()))?;
        let mut account = NewAccount::named(username.clone());
        account.external_id = Some(EXTERNAL_ID.to_owned());
        let account = operator.store.accounts.create(account, &operator.by).await?.id;
        let (issued, token) = match equip(operator, &account, scopes.clone()).await {
            Ok(equipment) => equipment,
            Err(failure) => {
                // What kept the rest from being made is what the operator has to hear.
                return Err(match take_away(operator, &account).await {
                    Ok(()) => failure,
                    Err(left) => Failure::Refused(format!("{failure}; the account {username} is still there: {left}")),
                });
            }
        };
        Ok(Self {
            origin,
            path: args.path.clone(),
            sender,
            echo,
            username,
            account,
            client_key: issued.client.client_key,
            scopes: scopes.to_string(),
            request_id_header: configuration.gateway.request_id_header.as_ref().map(|name| name.as_str().to_owned()),
            client_secret: issued.secret,
            token,
        })
    }

    /// Takes everything away again.
    ///
    /// # Errors
    /// [`Failure`]: the store refuses.
    pub async fn discharge(&self, operator: &Operator) -> Result<(), Failure> {
        take_away(operator, &self.account).await
    }

    /// A server that runs already sees what the command line made within a second.
    ///
    /// # Errors
    /// Nobody answers, or the server does not see it.
    pub async fn wait_until_seen(&self) -> anyhow::Result<()> {
        let end = tokio::time::Instant::now() + SEEN_WITHIN;
        while tokio::time::Instant::now() < end {
            let answer = self.signed(self.usual()).await?;
            let challenges = answer.headers.get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok());
            // Some proxies pass on one challenge alone, and the reason beside it.
            let mut said = challenges.chain(answer.header("x-auth-error"));
            if !said.any(|said| said.contains("consumer_key_unknown")) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!(
            "the server behind {} does not know a client of this database: is it another database?",
            self.origin
        )
    }

    /// A GET of `--path`, signed as it is sent.
    pub fn usual(&self) -> Asked<'_> {
        self.usual_at(&self.path)
    }

    /// The same of another target.
    pub fn usual_at<'a>(&'a self, target: &'a str) -> Asked<'a> {
        Asked {
            method: "GET",
            target,
            origin: &self.origin,
            signed_target: target,
            body: None,
            signed_form: None,
            more: &[],
            initiates: false,
        }
    }

    /// Signs and sends.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn signed(&self, asked: Asked<'_>) -> anyhow::Result<Answer> {
        let authorization = self.sign(asked)?;
        let mut headers = vec![("Authorization", authorization.as_str())];
        headers.extend_from_slice(asked.more);
        // What the API heard before, it did not hear of this one.
        self.echo.as_ref().and_then(Echo::take);
        self.sender.send(asked.method, &self.url(asked.target), &headers, asked.body).await
    }

    /// The `Authorization` header, with a nonce that was not used yet.
    ///
    /// # Errors
    /// What was to be signed is no URL or no form.
    pub fn sign(&self, asked: Asked<'_>) -> anyhow::Result<String> {
        let url = format!("{}{}", asked.origin, asked.signed_target);
        let token = Some(&self.token).filter(|_| !asked.initiates);
        let request = ClientRequest {
            method: asked.method,
            url: RequestUrl::parse(&url)?,
            form: asked.signed_form,
            client_key: self.client_key.as_str(),
            token: token.map(|token| token.token.expose()),
            signature_method: SignatureMethod::HmacSha256,
            timestamp: Clock::system().now(),
            nonce: &random(24),
            more: if asked.initiates { &[(oauth::CALLBACK, "oob")] } else { &[] },
        };
        let secrets = SharedSecrets {
            client: self.client_secret.expose(),
            token: token.map(|token| token.secret.expose()).unwrap_or_default(),
        };
        Ok(request.sign(&SigningKey::Shared(secrets))?.authorization)
    }

    /// A target at the proxy.
    pub fn url(&self, target: &str) -> String {
        format!("{}{target}", self.origin)
    }
}

/// A client and a token of its account's.
async fn equip(
    operator: &Operator,
    account: &AccountId,
    scopes: Scopes,
) -> Result<(IssuedClient, IssuedToken), Failure> {
    let (store, by) = (&operator.store, &operator.by);
    let mut client = NewClient::named(account.clone(), "countersign doctor");
    client.scopes = scopes.clone();
    let issued = store.clients.create(client, by).await?;
    let token =
        store.delegations.issue_directly(&issued.client.client_key, account, scopes, Some(TOKEN_LIFETIME), by).await?;
    Ok((issued, token))
}

/// Everything that was made goes with its account.
async fn take_away(operator: &Operator, account: &AccountId) -> Result<(), Failure> {
    Ok(operator.store.accounts.delete(account, &operator.by).await?)
}

/// Letters and digits that nobody can foretell.
pub fn random(length: usize) -> String {
    Alphanumeric.sample_string(&mut rand::rng(), length).to_lowercase()
}
