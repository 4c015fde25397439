//! What the management API refuses once it knows who calls, in the JSON that all failures have.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use crate::auth::hashing::PasswordError;
use crate::auth::verdict::Rejection;
use crate::store::accounts::AccountError;
use crate::store::api_keys::ApiKeyError;
use crate::store::clients::ClientError;
use crate::store::delegations::DelegationError;
use crate::store::error::StoreError;
use crate::web::response::failure;

/// Why nothing was done.
#[derive(Debug)]
pub enum Failed {
    /// The caller is not admitted, or the store fails: answered as on the protected API.
    Rejected(Rejection),
    /// What was sent can't be meant: 400.
    Invalid(String),
    /// The caller may not do this to anything: 403.
    Forbidden(&'static str),
    /// Not there, or not within the caller's reach: 404.
    NotFound(&'static str),
    /// Something else has the name: 409.
    Conflict(String),
}

impl Failed {
    /// The answer, but to a rejection, which needs the request.
    ///
    /// # Errors
    /// The rejection.
    pub fn answer(self) -> Result<HttpResponse, Rejection> {
        Ok(match self {
            Self::Invalid(why) => failure(StatusCode::BAD_REQUEST, "invalid", &why),
            Self::Forbidden(why) => failure(StatusCode::FORBIDDEN, "forbidden", why),
            Self::NotFound(what) => failure(StatusCode::NOT_FOUND, "not_found", &format!("There is no such {what}.")),
            Self::Conflict(why) => failure(StatusCode::CONFLICT, "conflict", &why),
            Self::Rejected(rejection) => return Err(rejection),
        })
    }

    /// A value that a field can't have; `why` as the domain says it.
    pub fn field(name: &str, why: impl std::fmt::Display) -> Self {
        Self::Invalid(format!("{name}: {why}"))
    }
}

impl From<Rejection> for Failed {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Rejection::unavailable(error).into()
    }
}

impl From<PasswordError> for Failed {
    fn from(error: PasswordError) -> Self {
        Rejection::unavailable(error).into()
    }
}

impl From<AccountError> for Failed {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::NotFound => Self::NotFound("account"),
            AccountError::CompanyNotFound => Self::NotFound("company"),
            AccountError::UsernameTaken
            | AccountError::UsernameShadows(_)
            | AccountError::CompanyTaken
            | AccountError::CompanyShadows => Self::Conflict(error.to_string()),
            AccountError::Invalid(error) => Self::Invalid(error.to_string()),
            AccountError::Store(error) => error.into(),
        }
    }
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NotFound => Self::NotFound("client"),
            ClientError::OwnerNotFound => Self::NotFound("account"),
            ClientError::Suspended => {
                Self::Forbidden("An administrator has suspended this client, and has to enable it again.")
            }
            ClientError::KeyTaken => Self::Conflict(error.to_string()),
            ClientError::TooManyCallbacks => Self::Invalid(error.to_string()),
            ClientError::Invalid(error) => Self::Invalid(error.to_string()),
            ClientError::Store(error) => error.into(),
        }
    }
}

impl From<ApiKeyError> for Failed {
    fn from(error: ApiKeyError) -> Self {
        match error {
            ApiKeyError::NotFound => Self::NotFound("API key"),
            ApiKeyError::AccountNotFound => Self::NotFound("account"),
            ApiKeyError::KeyTaken | ApiKeyError::Expired => Self::Conflict(error.to_string()),
            ApiKeyError::MayNotImpersonate => {
                Self::Forbidden("An integrator or admin may act for a member of its own company only.")
            }
            ApiKeyError::Invalid(error) => Self::Invalid(error.to_string()),
            ApiKeyError::Store(error) => error.into(),
        }
    }
}

impl From<DelegationError> for Failed {
    fn from(error: DelegationError) -> Self {
        match error {
            DelegationError::TokenNotFound => Self::NotFound("access token"),
            DelegationError::GrantNotFound => Self::NotFound("grant"),
            DelegationError::ClientNotFound => Self::NotFound("client"),
            DelegationError::AccountNotFound => Self::NotFound("account"),
            DelegationError::TokenTaken => Self::Conflict(error.to_string()),
            DelegationError::Account(refusal) => Self::Conflict(refusal.to_string()),
            DelegationError::Refused(refusal) => Self::Conflict(refusal.to_string()),
            DelegationError::Store(error) => error.into(),
        }
    }
}
