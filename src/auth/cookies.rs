//! The three-cookie form: `companyName`, `memberId` and `memberHash`.
//!
//! The hash is the secret of a session of its own, which `POST /login?response=json` begins; it lives as long as a
//! login. A browser sends cookies by itself, so a request that changes something must come from our own site.

use std::borrow::Cow;
use std::sync::Arc;

use crate::auth::client_key::Beside;
use crate::auth::verdict::{Credential, Identity, Refusal, Rejection, check_standing};
use crate::domain::account::Account;
use crate::domain::credentials::{Secret, TokenHash};
use crate::protocol::cookies::Cookies;
use crate::protocol::encoding::{Plus, decode_text};
use crate::protocol::request::ReceivedRequest;
use crate::store::directory::{Directory, DirectoryAccount};
use crate::store::sessions::SessionKind;
use crate::time::Timestamp;

/// The cookies' names.
pub const COMPANY_NAME: &str = "companyName";
/// See [`COMPANY_NAME`].
pub const MEMBER_ID: &str = "memberId";
/// See [`COMPANY_NAME`].
pub const MEMBER_HASH: &str = "memberHash";

/// The three cookies as they were sent, decoded.
pub struct MemberCookies<'a> {
    company: Cow<'a, str>,
    member: Cow<'a, str>,
    hash: Secret,
}

impl<'a> MemberCookies<'a> {
    /// All three, or nothing.
    pub fn find(cookies: Cookies<'a>) -> Option<Self> {
        let value = |name| cookies.get(name).and_then(|value| decode_text(value, Plus::IsPlus));
        Some(Self {
            company: value(COMPANY_NAME)?,
            member: value(MEMBER_ID)?,
            hash: Secret::new(value(MEMBER_HASH)?.into_owned()),
        })
    }

    /// Who calls with these cookies.
    ///
    /// # Errors
    /// [`Refusal::BadCredentials`], [`Refusal::CrossSite`], the account's states, [`Refusal::ClientKeyRefused`].
    pub async fn identify(
        &self,
        directory: &Directory,
        request: &ReceivedRequest<'_>,
        beside: &Beside<'_>,
    ) -> Result<Identity, Rejection> {
        let found = holder_of(directory, &self.hash, request.arrived).await?;
        let account = found
            .filter(|found| self.name(&found.account))
            .ok_or_else(|| Refusal::BadCredentials { username: self.member.to_string() })?;
        if (request.may_change_something() || request.headers.websocket) && request.is_from_elsewhere() {
            return Err(Refusal::CrossSite("Cookies of another site's page can not change anything here.").into());
        }
        check_standing(&account.account)?;
        let client = beside.admit(directory, &account.account, request.arrived).await?;
        let scopes = account.account.scopes.own();
        Ok(Identity::new(account, client, Credential::Cookie, scopes))
    }

    fn name(&self, account: &Account) -> bool {
        account.username.as_str() == self.member
            && account.company.as_ref().is_some_and(|company| company.as_str() == self.company)
    }
}

/// The account whose `memberHash` this is, while its session lives.
///
/// # Errors
/// The store does not answer.
pub async fn holder_of(
    directory: &Directory,
    hash: &Secret,
    now: Timestamp,
) -> Result<Option<Arc<DirectoryAccount>>, Rejection> {
    let found = directory.session(&TokenHash::of(hash.expose()), now).await.map_err(Rejection::unavailable)?;
    let found = found.filter(|found| found.session.kind == SessionKind::MemberHash && now < found.session.expires_at);
    Ok(found.map(|found| Arc::clone(&found.account)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Option<MemberCookies<'_>> {
        let mut cookies = Cookies::default();
        cookies.add(line).unwrap();
        MemberCookies::find(cookies)
    }

    #[test]
    fn two_of_three_cookies_are_none() {
        assert!(found("companyName=a; memberId=b; memberHash=c").is_some());
        assert!(found("companyName=a; memberId=b").is_none());
        assert!(MemberCookies::find(Cookies::default()).is_none());
    }

    #[test]
    fn values_may_be_percent_encoded() {
        let cookies = found("companyName=a; memberId=jo%40example.com; memberHash=c").unwrap();
        assert_eq!(cookies.member, "jo@example.com");
    }
}
