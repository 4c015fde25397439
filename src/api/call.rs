//! One call: who makes it, whose things are within reach, and what it says.

use std::net::IpAddr;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, LINK};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;

use super::failure::Failed;
use super::fields::Fields;
use super::operations::Operation;
use crate::auth::impersonation::Impersonations;
use crate::auth::verdict::{Credential, Identity, Refusal, Rejection};
use crate::config::Configuration;
use crate::domain::account::{Account, Reach};
use crate::domain::client::SignatureMethods;
use crate::domain::credentials::{AccountId, ClientKey};
use crate::domain::scope::Scope;
use crate::protocol::encoding::encode;
use crate::protocol::parameters::{Parameters, Source};
use crate::protocol::request::{ReceivedRequest, changes_something};
use crate::store::Store;
use crate::store::audit::{Actor, By};
use crate::store::page::{Cursor, Listing, Page};
use crate::time::Timestamp;
use crate::web::judge::Judge;

/// What calls need to know of the configuration.
pub struct Settings {
    /// The realm of Digest hashes.
    pub realm: String,
    /// What a client may sign with unless told.
    pub signature_methods: SignatureMethods,
}

impl Settings {
    /// From the configuration.
    pub fn new(configuration: &Configuration) -> Self {
        Self {
            realm: configuration.http_auth.realm.as_str().to_owned(),
            signature_methods: SignatureMethods::of(configuration.oauth.admitted_methods()),
        }
    }
}

/// What calls are made of.
#[derive(Clone, Copy)]
pub struct House<'a> {
    pub settings: &'a Settings,
    pub judge: &'a Judge,
    pub store: &'a Store,
    pub impersonations: &'a Impersonations,
}

/// A call whose maker is known and may make it.
pub struct Call<'a> {
    pub house: House<'a>,
    pub store: &'a Store,
    /// Who calls.
    pub identity: Identity,
    /// The parameter in the path; empty where there is none.
    pub named: String,
    /// The JSON body.
    pub fields: Fields,
    operation: &'a Operation,
    received: &'a ReceivedRequest<'a>,
    query: Parameters<'a>,
}

/// The caller, and the app in whose hands the caller's name is.
fn acting(identity: &Identity) -> Actor {
    match identity.client() {
        Some(client) => Actor::app(&client.client.client_key, identity.account()),
        None => Actor::account(identity.account()),
    }
}

impl<'a> Call<'a> {
    /// Admits a call. The login cookie counts where no other credential was sent, with the CSRF token for changes.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn enter(
        operation: &'a Operation,
        house: House<'a>,
        received: &'a ReceivedRequest<'a>,
        named: String,
    ) -> Result<Self, Failed> {
        let identity = caller(house.judge, received, operation).await?;
        let needed = if changes_something(received.method) { Scope::manage_write() } else { Scope::manage_read() };
        if !identity.scopes().contains(&needed) {
            return Err(Failed::Rejected(identity.lacks(needed.as_str().to_owned()).into()));
        }
        let query = Parameters::of_form(received.query.unwrap_or_default(), Source::Query)
            .map_err(|error| Failed::Invalid(format!("The query can't be read: {error}.")))?;
        if named.contains('\0') {
            return Err(Failed::Invalid("The path holds a NUL.".to_owned()));
        }
        let is_known = |name: &str| {
            // What every list has is no mistake where one comes whole.
            operation.asks(name)
                || (["limit", "after"].contains(&name) && !operation.asks("limit"))
                || (name != "client_key" && house.judge.authenticator.is_credential(name))
        };
        // A filter that was not understood would be a list that is not filtered.
        if operation.many
            && let Some(unknown) = query.iter().find(|parameter| !is_known(&parameter.name))
        {
            let known: Vec<&str> = operation.query.iter().map(|(name, _)| *name).collect();
            return Err(Failed::field(&unknown.name, format!("is no parameter of this list: {}", known.join(", "))));
        }
        if query.iter().any(|parameter| parameter.decoded().is_none_or(|value| value.contains('\0'))) {
            return Err(Failed::Invalid("The query holds octets that are no UTF-8, or a NUL.".to_owned()));
        }
        let fields = Fields::read(received.body.unwrap_or_default(), operation)?;
        Ok(Self { house, store: house.store, identity, named, fields, operation, received, query })
    }

    /// The caller's account.
    pub fn account(&self) -> &Account {
        self.identity.account()
    }

    /// Whether an app calls, in somebody's name or its owner's.
    pub fn is_app(&self) -> bool {
        self.identity.credential() == Credential::OAuth1
    }

    /// When it arrived.
    pub const fn now(&self) -> Timestamp {
        self.received.arrived
    }

    /// Where it comes from.
    pub const fn address(&self) -> IpAddr {
        self.received.client_address
    }

    /// Who acts, for the audit log.
    pub fn by(&self) -> By {
        By::from(acting(&self.identity), self.address(), self.now())
    }

    /// Whose things the caller sees.
    pub fn reach(&self) -> Reach {
        self.account().reach()
    }

    /// Only for whoever administers a company or the server.
    ///
    /// # Errors
    /// [`Failed::Forbidden`].
    pub fn administers(&self) -> Result<(), Failed> {
        match self.reach() {
            Reach::Everything | Reach::Company(_) => Ok(()),
            Reach::Account(_) => Err(Failed::Forbidden("Only an admin may do this.")),
        }
    }

    /// A parameter of the query that is not empty.
    pub fn asked(&self, name: &str) -> Option<String> {
        let found = self.query.iter().find(|parameter| parameter.name == name)?;
        found.decoded().map(|value| value.into_owned()).filter(|value| !value.is_empty())
    }

    /// A whole number in the query.
    ///
    /// # Errors
    /// [`Failed::Invalid`].
    pub fn asked_number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Failed> {
        let parse = |text: String| text.parse().map_err(|_| Failed::field(name, "must be a whole number"));
        self.asked(name).map(parse).transpose()
    }

    /// At most how many items a list has: 100 unless told, 1 to 1000.
    ///
    /// # Errors
    /// [`Failed::Invalid`].
    pub fn limit(&self) -> Result<u16, Failed> {
        let limit: u64 = self.asked_number("limit")?.unwrap_or(100);
        let limit = u16::try_from(limit).ok().filter(|limit| (1..=1000).contains(limit));
        limit.ok_or_else(|| Failed::field("limit", "must be 1 to 1000"))
    }

    /// The part of a list that is asked for.
    ///
    /// # Errors
    /// [`Failed::Invalid`].
    pub fn page(&self) -> Result<Page, Failed> {
        let after = match self.asked("after") {
            Some(text) => {
                Some(Cursor::parse(&text).ok_or_else(|| Failed::field("after", "take it from the Link header"))?)
            }
            None => None,
        };
        Ok(Page { after, limit: self.limit()? })
    }

    /// The account that a name or id means, if it is within reach.
    ///
    /// # Errors
    /// [`Failed::NotFound`].
    pub async fn reached(&self, name: &str) -> Result<Account, Failed> {
        let found = self.store.accounts.by_name_or_id(name).await?;
        found.filter(|account| self.reach().includes(account)).ok_or(Failed::NotFound("account"))
    }

    /// As [`Self::reached`], by id.
    ///
    /// # Errors
    /// [`Failed::NotFound`] of `what` belongs to the account.
    pub async fn owner(&self, id: &AccountId, what: &'static str) -> Result<Account, Failed> {
        let found = self.store.accounts.find(id).await?;
        found.filter(|account| self.reach().includes(account)).ok_or(Failed::NotFound(what))
    }

    /// The account that the body names in this field or in `username`, or the caller's own.
    ///
    /// # Errors
    /// [`Failed::Invalid`], [`Failed::NotFound`].
    pub async fn account_in(&self, field: &str) -> Result<Account, Failed> {
        match same(field, self.fields.text(field), "username", self.fields.text("username"))? {
            Some(name) => self.reached(name).await,
            None => Ok(self.account().clone()),
        }
    }

    /// The account that a list is narrowed to, by this parameter or by `username`.
    ///
    /// # Errors
    /// [`Failed::Invalid`], [`Failed::NotFound`].
    pub async fn account_filter(&self, parameter: &str) -> Result<Option<AccountId>, Failed> {
        match same(parameter, self.asked(parameter), "username", self.asked("username"))? {
            Some(name) => Ok(Some(self.reached(&name).await?.id)),
            None => Ok(None),
        }
    }

    /// The client that a list is narrowed to, by `client` or by `client_key`.
    ///
    /// # Errors
    /// [`Failed::Invalid`].
    pub fn client_filter(&self) -> Result<Option<ClientKey>, Failed> {
        let parse = |key: String| ClientKey::parse(key).map_err(|error| Failed::field("client", error));
        same("client", self.asked("client"), "client_key", self.asked("client_key"))?.map(parse).transpose()
    }

    /// A list, with a `Link` to the next part where there is one (RFC 8288).
    pub fn listed<T, S: Serialize>(&self, listing: &Listing<T>, shape: impl Fn(&T) -> S) -> HttpResponse {
        let mut answer = start(StatusCode::OK);
        if let Some(next) = &listing.next {
            answer.insert_header((LINK, self.next_part("after", &next.to_string())));
        }
        answer.json(listing.items.iter().map(shape).collect::<Vec<_>>())
    }

    /// As [`Self::listed`], for a list whose parts end where `parameter` says.
    pub fn listed_until<T>(&self, parameter: &str, next: Option<&str>, shapes: &[T]) -> HttpResponse
    where
        T: Serialize,
    {
        let mut answer = start(StatusCode::OK);
        if let Some(next) = next {
            answer.insert_header((LINK, self.next_part(parameter, next)));
        }
        answer.json(shapes)
    }

    /// The same question about what follows (RFC 8288), without a credential that stood in the query.
    fn next_part(&self, parameter: &str, value: &str) -> String {
        let others = self.query.iter().filter(|other| other.name != parameter && self.operation.asks(&other.name));
        let query: String = others.map(|other| format!("{}={}&", other.name, other.value)).collect();
        format!("<{}?{query}{parameter}={}>; rel=\"next\"", self.received.path, encode(value))
    }
}

/// What two names for one thing say: `other_name`, as answers have it, and another.
fn same<T: PartialEq>(name: &str, one: Option<T>, other_name: &str, other: Option<T>) -> Result<Option<T>, Failed> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(Failed::field(other_name, format!("differs from {name}"))),
        (one, other) => Ok(one.or(other)),
    }
}

/// 200 with one thing.
pub fn one(shape: &impl Serialize) -> Result<HttpResponse, Failed> {
    Ok(start(StatusCode::OK).json(shape))
}

/// 201 with what was made.
pub fn made(shape: &impl Serialize) -> Result<HttpResponse, Failed> {
    Ok(start(StatusCode::CREATED).json(shape))
}

/// 204.
pub fn done() -> Result<HttpResponse, Failed> {
    Ok(start(StatusCode::NO_CONTENT).finish())
}

fn start(status: StatusCode) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    answer.insert_header((CACHE_CONTROL, "no-store"));
    answer
}

async fn caller(judge: &Judge, received: &ReceivedRequest<'_>, operation: &Operation) -> Result<Identity, Failed> {
    let admission = judge.policy.management().admission();
    let refused = match judge.authenticator.authenticate(received, admission).await {
        // A browser that remembers a Basic login sends it along with what another site's page makes it send.
        Ok(_) if changes_something(received.method) && received.is_from_elsewhere() => {
            let refused = Refusal::CrossSite("Another site's page can not change anything here.");
            return Err(Rejection::from(refused).into());
        }
        Ok(identity) => return Ok(identity),
        Err(refused) => refused,
    };
    if refused.public != Refusal::NoCredential {
        return Err(refused.into());
    }
    let Some(identity) = judge.authenticator.sessions.holder(received).await? else { return Err(refused.into()) };
    // Whoever is logged in may see and revoke, in whatever state the account is.
    if changes_something(received.method)
        && !operation.action.only_takes_away()
        && identity.account().standing().is_err()
    {
        return Err(Failed::Forbidden("An account that is locked or disabled may only see and revoke."));
    }
    Ok(identity)
}
