//! The deployment under examination, what was made there for the time of it, and the signed requests that go there.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::time::Duration;

use rand::distr::{Alphanumeric, SampleString};

use super::DoctorArgs;
use super::wire::{Answer, Echo, Sender};
use crate::auth::verdict::Admission;
use crate::cli::Failure;
use crate::cli::operator::Operator;
use crate::config::{BodyHashRule, ClientKeyRule, Configuration, Way};
use crate::domain::credentials::{AccountId, ClientKey, Secret, Username};
use crate::domain::scope::Scopes;
use crate::policy::Policy;
use crate::protocol::body_hash::body_hash;
use crate::protocol::client::{ClientRequest, RequestUrl};
use crate::protocol::oauth;
use crate::protocol::request::{Headers, ReceivedRequest, UriScheme};
use crate::protocol::signature::{SharedSecrets, SignatureMethod, SigningKey};
use crate::store::accounts::NewAccount;
use crate::store::clients::{IssuedClient, NewClient};
use crate::store::delegations::IssuedToken;
use crate::time::{Clock, Lifetime};

/// How long a running server may take to see what was made here.
pub const SEEN_WITHIN: Duration = Duration::from_secs(3);

/// Longer than any examination; a token that nobody takes away ends by itself.
const TOKEN_LIFETIME: Lifetime = Lifetime::from_seconds(3600);

/// A scope that the token has whatever the routes want: the API must hear of it.
const SCOPE: &str = "countersign:doctor";

/// The usual form.
const FORM: &str = "a=1&b=x%20y";

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
    /// What the server runs with, if it has the same settings.
    pub configuration: Configuration,
    /// What the route of `--path` admits; `None` where no route takes it.
    pub admission: Option<Admission>,
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
    /// Where the protocol parameters are sent (RFC 5849 §3.5).
    pub place: Place,
    /// Headers that are sent besides.
    pub more: &'a [(&'a str, &'a str)],
    /// Signed by the client alone and with a callback: it asks for temporary credentials (RFC 5849 §2.1).
    pub initiates: bool,
}

/// Where a client may put its protocol parameters (RFC 5849 §3.5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Header,
    Form,
    Query,
}

impl Asked<'_> {
    /// For a finding: behind what was asked.
    pub const fn with_what(&self) -> &'static str {
        if self.body.is_some() { " with a form" } else { "" }
    }
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
        let configuration = operator.configuration.clone();
        let admission = admission(&configuration, &url, &args.path)?;
        let realm = configuration.http_auth.realm.as_str();
        let sender = Sender::new(url.scheme == UriScheme::Https, realm, args.echo.is_some())?;
        let echo = match &args.echo {
            Some(address) => Some(Echo::start(address).await?),
            None => None,
        };
        let wanted = configuration.routes.iter().flat_map(|route| &route.scopes).flat_map(|(_, scopes)| scopes.iter());
        let scopes = Scopes::parse_each(wanted.map(|scope| scope.as_str()).chain([SCOPE]));
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
            configuration,
            admission,
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
            let mut said = challenges.chain(answer.reason.as_deref());
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
            place: Place::Header,
            more: &[],
            initiates: false,
        }
    }

    /// A POST of a form to `--path`, signed as it is sent.
    pub fn usual_form(&self) -> Asked<'_> {
        Asked { method: "POST", body: Some(FORM), signed_form: Some(FORM), ..self.usual() }
    }

    /// The usual requests: a proxy may have a place of its own for forms. `forms_come`: whether forms are judged at all.
    pub fn each_usual(&self, forms_come: bool) -> impl Iterator<Item = Asked<'_>> {
        [self.usual()].into_iter().chain(forms_come.then(|| self.usual_form()))
    }

    /// Signs and sends.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn signed(&self, asked: Asked<'_>) -> anyhow::Result<Answer> {
        let authorization = self.sign(asked)?;
        let (mut target, mut body) = (Cow::Borrowed(asked.target), asked.body.map(Cow::Borrowed));
        let mut headers = asked.more.to_vec();
        match asked.place {
            Place::Header => headers.push(("Authorization", authorization.as_str())),
            Place::Form => body = Some(joined(body.as_deref().unwrap_or_default(), '&', &authorization).into()),
            Place::Query => {
                target = joined(&target, if target.contains('?') { '&' } else { '?' }, &authorization).into();
            }
        }
        // What the API heard before, it did not hear of this one.
        self.echo.as_ref().and_then(Echo::take);
        self.sender.send(asked.method, &self.url(&target), &headers, body.as_deref()).await
    }

    /// The `Authorization` header, with a nonce that was not used yet.
    ///
    /// # Errors
    /// What was to be signed is no URL or no form.
    pub fn sign(&self, asked: Asked<'_>) -> anyhow::Result<String> {
        let url = format!("{}{}", asked.origin, asked.signed_target);
        let token = Some(&self.token).filter(|_| !asked.initiates);
        let hash = body_hash(SignatureMethod::HmacSha256, b"");
        let hashed = [(oauth::BODY_HASH, hash.as_str())];
        let request = ClientRequest {
            method: asked.method,
            url: RequestUrl::parse(&url)?,
            form: asked.signed_form,
            client_key: self.client_key.as_str(),
            token: token.map(|token| token.token.expose()),
            signature_method: SignatureMethod::HmacSha256,
            timestamp: Clock::system().now(),
            nonce: &random(24),
            more: match (asked.initiates, asked.body) {
                (true, _) => &[(oauth::CALLBACK, "oob")],
                // A form has none: its parameters are signed.
                (false, None) if self.hashes_bodies() => &hashed,
                (false, _) => &[],
            },
        };
        let secrets = SharedSecrets {
            client: self.client_secret.expose(),
            token: token.map(|token| token.secret.expose()).unwrap_or_default(),
        };
        Ok(request.sign(&SigningKey::Shared(secrets))?.authorization)
    }

    /// Whether the route of `--path` admits this; where it is not known, the requests tell.
    pub fn admits(&self, way: Way) -> bool {
        self.admission.as_ref().is_none_or(|admission| admission.admits(way))
    }

    /// Whether the route of `--path` reads client keys at all.
    pub fn reads_client_keys(&self) -> bool {
        self.admission.as_ref().is_none_or(|admission| admission.client_key != ClientKeyRule::Ignored)
    }

    /// The headers and the target by which the client key goes along with a password.
    pub fn with_client_key<'a>(&'a self, target: &'a str) -> (Vec<(&'a str, &'a str)>, Cow<'a, str>) {
        let settings = &self.configuration.http_auth;
        match (settings.client_key_headers.first(), settings.client_key_query.first()) {
            (Some(header), _) => (vec![(header.as_str(), self.client_key.as_str())], target.into()),
            (None, Some(name)) => (Vec::new(), format!("{target}?{}={}", name.as_str(), self.client_key).into()),
            (None, None) => (Vec::new(), target.into()),
        }
    }

    fn hashes_bodies(&self) -> bool {
        self.admission.as_ref().is_some_and(|admission| admission.body_hash == BodyHashRule::Required)
    }

    /// A target at the proxy.
    pub fn url(&self, target: &str) -> String {
        format!("{}{target}", self.origin)
    }
}

/// What the route of this path admits, as the server finds it.
fn admission(configuration: &Configuration, url: &RequestUrl<'_>, path: &str) -> Result<Option<Admission>, Failure> {
    let policy = Policy::new(&configuration.routes, configuration.http_auth.digest);
    let public = configuration.server.public_url.as_ref().map(ToString::to_string);
    let public = public.as_deref().and_then(|public| RequestUrl::parse(public).ok());
    let RequestUrl { scheme, authority, .. } = public.unwrap_or_else(|| url.clone());
    let request = ReceivedRequest {
        method: "GET",
        scheme,
        authority,
        path,
        query: None,
        headers: Headers { user_agent: Some("countersign-doctor"), ..Headers::default() },
        body: None,
        client_address: Ipv4Addr::LOCALHOST.into(),
        arrived: Clock::system().now(),
    };
    Ok(policy.route(&request).ok().map(|route| route.admission().clone()))
}

/// What `Authorization` would have said, behind a query or a form.
fn joined(before: &str, sign: char, authorization: &str) -> String {
    let parameters = authorization.trim_start_matches("OAuth ").replace(", ", "&").replace('"', "");
    format!("{before}{sign}{parameters}")
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
