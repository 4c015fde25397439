//! What the upstream is told about the caller: the `X-Auth-*` headers.
//!
//! All of them are always there, empty when there is nothing to say: a header that is missing could be filled by the
//! client. `X-Auth-Assertion` is made by [`super::assertion`].

use std::borrow::Cow;

use crate::auth::verdict::Identity;
use crate::gateway::withheld;

/// The names, in the order in which the documentation lists them; lower case, as header maps want them.
pub const NAMES: [&str; 7] = [
    "x-auth-account",
    "x-auth-external-id",
    "x-auth-company",
    "x-auth-client",
    "x-auth-scopes",
    "x-auth-credential",
    "x-auth-impersonated-by",
];

/// The name of the signed statement.
pub const ASSERTION: &str = "x-auth-assertion";

/// Whether some reader behind a proxy could take this header of a client for one of ours, or for one that names another path,
/// although it is another name to the proxy (RFC 3875 §4.1.18). `name`: in small letters.
pub fn is_forged(name: &str) -> bool {
    (withheld::spells_start(name, "x-auth-") || withheld::names_another_path(name)) && !is_plain(name)
}

/// Whether a name is spelled with hyphens alone: what a proxy writes, and not what a client hopes to be taken for it.
pub fn is_plain(name: &str) -> bool {
    name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
}

/// The values of [`NAMES`], in their order. Text that is not ASCII is UTF-8.
pub fn values(identity: &Identity) -> [Cow<'_, str>; 7] {
    let account = identity.account();
    [
        Cow::Borrowed(account.username.as_str()),
        Cow::Borrowed(account.external_id.as_deref().unwrap_or_default()),
        Cow::Borrowed(account.company.as_ref().map(|company| company.as_str()).unwrap_or_default()),
        Cow::Borrowed(identity.client().map(|client| client.client.client_key.as_str()).unwrap_or_default()),
        Cow::Owned(identity.scopes().to_string()),
        Cow::Borrowed(identity.credential().as_str()),
        Cow::Borrowed(identity.impersonator().map(|issuer| issuer.as_str()).unwrap_or_default()),
    ]
}
