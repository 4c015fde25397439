//! Why there is no page, and how a page says so: which status and which words.

use actix_web::http::StatusCode;

use crate::auth::hashing::PasswordError;
use crate::auth::verdict::{OAuthRefusal, Refusal, Rejection};
use crate::protocol::oauth::Problem;
use crate::store::accounts::AccountError;
use crate::store::api_keys::ApiKeyError;
use crate::store::clients::ClientError;
use crate::store::delegations::DelegationError;
use crate::store::error::StoreError;
use crate::web::texts::{Notice, Texts};
use crate::web::words::status;

/// Why there is no page; each is a page of its own.
#[derive(Debug)]
pub enum Failed {
    /// Not there, or not theirs.
    NotFound,
    /// Not for this account.
    Forbidden,
    /// The form is not one of ours for this person.
    Form,
    /// The form was sent before.
    SentBefore,
    /// Whoever asks must log in first.
    LoggedOut,
    /// The path is one of ours, the method is not.
    Method,
    /// What was sent makes no sense.
    Unreadable,
    /// The request token, the account, or the store.
    Rejected(Rejection),
}

impl From<Rejection> for Failed {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Rejected(Rejection::unavailable(error))
    }
}

impl From<PasswordError> for Failed {
    fn from(error: PasswordError) -> Self {
        Rejection::unavailable(error).into()
    }
}

impl From<DelegationError> for Failed {
    fn from(error: DelegationError) -> Self {
        match error {
            DelegationError::Store(error) => error.into(),
            DelegationError::TokenNotFound
            | DelegationError::GrantNotFound
            | DelegationError::ClientNotFound
            | DelegationError::AccountNotFound => Self::NotFound,
            DelegationError::Account(_) => Self::Forbidden,
            DelegationError::TokenTaken => Self::Rejected(Rejection::unavailable(error)),
            DelegationError::Refused(refusal) => Self::Rejected(Rejection::unavailable(refusal)),
        }
    }
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Store(error) => error.into(),
            ClientError::NotFound | ClientError::OwnerNotFound => Self::NotFound,
            ClientError::Suspended => Self::Forbidden,
            ClientError::KeyTaken => Self::Rejected(Rejection::unavailable(error)),
            ClientError::TooManyCallbacks | ClientError::Invalid(_) => Self::Unreadable,
        }
    }
}

impl From<ApiKeyError> for Failed {
    fn from(error: ApiKeyError) -> Self {
        match error {
            ApiKeyError::Store(error) => error.into(),
            ApiKeyError::NotFound | ApiKeyError::AccountNotFound => Self::NotFound,
            ApiKeyError::MayNotImpersonate | ApiKeyError::Expired => Self::Forbidden,
            ApiKeyError::KeyTaken => Self::Rejected(Rejection::unavailable(error)),
            ApiKeyError::Invalid(_) => Self::Unreadable,
        }
    }
}

impl From<AccountError> for Failed {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Store(error) => error.into(),
            AccountError::NotFound | AccountError::CompanyNotFound => Self::NotFound,
            AccountError::UsernameTaken
            | AccountError::UsernameShadows(_)
            | AccountError::CompanyTaken
            | AccountError::CompanyShadows
            | AccountError::Invalid(_) => Self::Unreadable,
        }
    }
}

/// What the page about it says.
pub struct Explanation {
    pub status: StatusCode,
    pub notice: Notice,
    /// The word that an app's developer would look for.
    pub word: Option<&'static str>,
}

impl Failed {
    /// In the page's language. Nothing: whoever is not logged in is asked to log in instead.
    pub fn explain(&self, text: &Texts) -> Option<Explanation> {
        let errors = &text.errors;
        let (status, notice) = match self {
            Self::LoggedOut => return None,
            Self::NotFound => (StatusCode::NOT_FOUND, errors.not_found),
            Self::Forbidden => (StatusCode::FORBIDDEN, errors.forbidden),
            Self::Form => (StatusCode::FORBIDDEN, errors.form),
            Self::SentBefore => (StatusCode::CONFLICT, errors.sent_before),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, errors.method),
            Self::Unreadable => (StatusCode::BAD_REQUEST, errors.bad_request),
            Self::Rejected(rejection) => return Some(of_rejection(rejection, text)),
        };
        Some(Explanation { status, notice, word: None })
    }
}

fn of_rejection(rejection: &Rejection, text: &Texts) -> Explanation {
    let errors = &text.errors;
    let notice = match &rejection.public {
        Refusal::OAuth(refusal) => {
            let word = Some(refusal.problem.as_str());
            return Explanation { status: StatusCode::BAD_REQUEST, notice: of_refusal(refusal, text), word };
        }
        Refusal::AccountLocked(_) | Refusal::AccountDisabled(_) => errors.account_rests,
        Refusal::Throttled { .. } => errors.throttled,
        Refusal::BodyTooLarge { .. } => errors.too_large,
        Refusal::CrossSite(_) => errors.form,
        Refusal::Unavailable => errors.unavailable,
        Refusal::NoRoute | Refusal::NoUpstream => errors.not_found,
        _ => errors.bad_request,
    };
    let status = match status(&rejection.public) {
        // A page for people: there is no scheme that a browser could answer with. The login form has a 401 of its own.
        StatusCode::UNAUTHORIZED => StatusCode::FORBIDDEN,
        other => other,
    };
    Explanation { status, notice, word: None }
}

fn of_refusal(refusal: &OAuthRefusal, text: &Texts) -> Notice {
    let errors = &text.errors;
    match refusal.problem {
        Problem::ParameterAbsent => errors.token_missing,
        Problem::TokenExpired => errors.token_expired,
        Problem::TokenUsed | Problem::PermissionDenied => errors.token_decided,
        Problem::ConsumerKeyRefused => errors.client_rests,
        // Of the parameters only the callback is judged again.
        Problem::ParameterRejected => errors.callback_withdrawn,
        _ => errors.token_unknown,
    }
}
