//! Scopes: what a client, an account or a key is limited to, and what is left of it for one request.
//!
//! Three shapes: [`Scopes`] is a list of names; [`ScopeLimit`] is an account's ceiling, which may be "no limit";
//! [`GrantedScopes`] is what one credential carries. `manage:*` is never inherited, only named.
//! Which scope a path needs is the policy's business, not decided here.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// The noun of the scopes that rule this server itself; they are never inherited.
const MANAGEMENT: &str = "manage";

/// The most scopes that one set holds.
const MOST: usize = 128;

/// One permission, `noun:verb`, e.g. `account:read`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Scope(String);

/// Why a text is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScope {
    /// Not two parts around a colon.
    #[error("a scope is written noun:verb, not {0:?}")]
    Shape(String),
    /// A character that separates scopes or would need escaping in a header.
    #[error("the scope {scope:?} can't contain {character:?}")]
    Character { scope: String, character: char },
    /// More than 128 bytes.
    #[error("a scope is at most 128 bytes long")]
    TooLong,
    /// More than 128 scopes.
    #[error("at most 128 scopes can be given")]
    TooMany,
}

impl Scope {
    /// `noun:verb` in visible ASCII without comma, quote and backslash, at most 128 bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        if text.len() > 128 {
            return Err(InvalidScope::TooLong);
        }
        if let Some(character) = text.chars().find(|c| !c.is_ascii_graphic() || matches!(c, ',' | '"' | '\\')) {
            return Err(InvalidScope::Character { scope: text.to_owned(), character });
        }
        match text.split_once(':') {
            Some((noun, verb)) if !noun.is_empty() && !verb.is_empty() => Ok(Self(text.to_owned())),
            Some(_) | None => Err(InvalidScope::Shape(text.to_owned())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this scope rules the server itself: `manage:` and anything.
    pub fn is_management(&self) -> bool {
        self.0.split_once(':').is_some_and(|(noun, _)| noun == MANAGEMENT)
    }

    /// `manage:read`
    pub fn manage_read() -> Self {
        Self(format!("{MANAGEMENT}:read"))
    }

    /// `manage:write`
    pub fn manage_write() -> Self {
        Self(format!("{MANAGEMENT}:write"))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Scope {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A set of scopes, sorted by name. Written with one space between. Cloning it copies nothing, because every request
/// carries one.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Scopes(Arc<BTreeSet<Scope>>);

impl Scopes {
    /// No scope: identity only.
    pub fn none() -> Self {
        Self(Arc::default())
    }

    /// Scopes separated by spaces or commas, any number of either; repeats count once.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        text.split([' ', ','])
            .filter(|part| !part.is_empty())
            .map(Scope::parse)
            .collect::<Result<BTreeSet<_>, _>>()
            .and_then(Self::bounded)
    }

    /// From one text for each scope, as in a JSON array or repeated `--scope`; each may itself be a list.
    pub fn parse_each<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, InvalidScope> {
        let mut scopes = BTreeSet::new();
        for text in texts {
            scopes.extend(Self::parse(text.as_ref())?.iter().cloned());
        }
        Self::bounded(scopes)
    }

    fn bounded(scopes: BTreeSet<Scope>) -> Result<Self, InvalidScope> {
        if scopes.len() > MOST {
            return Err(InvalidScope::TooMany);
        }
        Ok(Self(Arc::new(scopes)))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the set holds the scope with this name.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    /// What both sets hold.
    pub fn intersection(&self, other: &Self) -> Self {
        self.0.intersection(&other.0).cloned().collect()
    }

    /// What either set holds.
    pub fn union(&self, other: &Self) -> Self {
        self.0.union(&other.0).cloned().collect()
    }

    /// Whether `other` holds all of these.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// In order of name.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// Those that may be inherited: all but `manage:*`.
    fn without_management(&self) -> Self {
        self.0.iter().filter(|scope| !scope.is_management()).cloned().collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(Arc::new(scopes.into_iter().collect()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

/// What an account is limited to. Written `*` if it isn't.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ScopeLimit {
    /// No limit; also the ceiling for `manage:*` scopes that a key or client names.
    Unlimited,
    /// These scopes and no other.
    Only(Scopes),
}

impl ScopeLimit {
    /// `*`, or scopes separated by spaces or commas.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        if text.trim() == "*" {
            return Ok(Self::Unlimited);
        }
        Scopes::parse(text).map(Self::Only)
    }

    /// From repeated `--scope` or a JSON array. None given, or a lone `*`: unlimited.
    pub fn parse_each<T: AsRef<str>>(texts: &[T]) -> Result<Self, InvalidScope> {
        match texts {
            [] => Ok(Self::Unlimited),
            [only] => Self::parse(only.as_ref()),
            several => Scopes::parse_each(several).map(Self::Only),
        }
    }

    /// What is left of `scopes` under this ceiling.
    pub fn admit(&self, scopes: &Scopes) -> Scopes {
        match self {
            Self::Unlimited => scopes.clone(),
            Self::Only(limit) => scopes.intersection(limit),
        }
    }

    /// Whether whoever is under this ceiling has all that `other` has: nobody gives more than they have.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unlimited, _) => true,
            (Self::Only(_), Self::Unlimited) => false,
            (Self::Only(own), Self::Only(other)) => other.is_subset(own),
        }
    }

    /// Whether the ceiling lets the scope through.
    pub fn admits(&self, scope: &str) -> bool {
        match self {
            Self::Unlimited => true,
            Self::Only(limit) => limit.contains(scope),
        }
    }

    /// What the person itself carries: everything under the ceiling, `manage:*` included.
    pub fn own(&self) -> GrantedScopes {
        match self {
            Self::Unlimited => GrantedScopes {
                everything: true,
                named: [Scope::manage_read(), Scope::manage_write()].into_iter().collect(),
            },
            Self::Only(limit) => GrantedScopes::only(limit.clone()),
        }
    }

    /// What a key without scopes of its own inherits: everything under the ceiling but `manage:*`.
    pub fn inherited(&self) -> GrantedScopes {
        match self {
            Self::Unlimited => GrantedScopes { everything: true, named: Scopes::none() },
            Self::Only(limit) => GrantedScopes::only(limit.without_management()),
        }
    }

    /// As in a JSON array: `["*"]` or the names.
    pub fn to_list(&self) -> Vec<String> {
        match self {
            Self::Unlimited => vec!["*".to_owned()],
            Self::Only(limit) => limit.iter().map(|scope| scope.as_str().to_owned()).collect(),
        }
    }
}

impl fmt::Display for ScopeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("*"),
            Self::Only(limit) => limit.fmt(f),
        }
    }
}

/// What one credential carries on one request: named scopes, and perhaps everything that isn't `manage:*`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrantedScopes {
    everything: bool,
    named: Scopes,
}

impl GrantedScopes {
    /// These and no other.
    pub const fn only(named: Scopes) -> Self {
        Self { everything: false, named }
    }

    /// All of it, as in a JWT's `scope`: `*`, and `manage:*` beside it, which `*` does not hold.
    pub fn to_claim(&self) -> String {
        let all: Vec<&str> =
            self.everything.then_some("*").into_iter().chain(self.named.iter().map(Scope::as_str)).collect();
        all.join(" ")
    }

    /// Reads back what [`Self::to_claim`] wrote.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        let mut everything = false;
        let mut named = BTreeSet::new();
        for part in text.split([' ', ',']).filter(|part| !part.is_empty()) {
            if part == "*" {
                everything = true;
            } else {
                named.insert(Scope::parse(part)?);
            }
        }
        Ok(Self { everything, named: Scopes::bounded(named)? })
    }

    /// Whether the request may do what `scope` names.
    pub fn contains(&self, scope: &Scope) -> bool {
        self.named.contains(scope.as_str()) || (self.everything && !scope.is_management())
    }

    /// Whether whoever carries these has all that is under the ceiling.
    pub fn covers(&self, limit: &ScopeLimit) -> bool {
        match limit {
            ScopeLimit::Unlimited => self.everything,
            ScopeLimit::Only(scopes) => scopes.iter().all(|scope| self.contains(scope)),
        }
    }

    /// The ceiling of an account that may do as much, but rules nothing.
    pub fn ceiling(&self) -> ScopeLimit {
        if self.everything { ScopeLimit::Unlimited } else { ScopeLimit::Only(self.named.without_management()) }
    }

    /// What both carry, e.g. a JWT's claim and the account as it is now.
    pub fn intersection(&self, other: &Self) -> Self {
        let held_by_both = |scope: &&Scope| self.contains(scope) && other.contains(scope);
        Self {
            everything: self.everything && other.everything,
            named: self.named.iter().chain(other.named.iter()).filter(held_by_both).cloned().collect(),
        }
    }

    /// Everything under an account's ceiling.
    pub fn under(&self, limit: &ScopeLimit) -> Self {
        match limit {
            ScopeLimit::Unlimited => self.clone(),
            ScopeLimit::Only(scopes) => {
                Self::only(scopes.iter().filter(|scope| self.contains(scope)).cloned().collect())
            }
        }
    }

    /// For the API behind us, to which `manage:*` is nothing: `*`, or else the names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let named = self.named.iter().filter(|_| !self.everything).map(Scope::as_str);
        self.everything.then_some("*").into_iter().chain(named)
    }
}

impl fmt::Display for GrantedScopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.everything { f.write_str("*") } else { self.named.fmt(f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> Scopes {
        Scopes::parse(text).expect("test scopes are well-formed")
    }

    #[test]
    fn scopes_are_separated_by_spaces_or_commas_and_count_once() {
        assert_eq!(scopes("b:write, a:read,,a:read").to_string(), "a:read b:write");
        assert!(scopes(" , ").is_empty());
    }

    #[test]
    fn what_is_no_noun_and_verb_is_refused() {
        for text in ["account", ":read", "account:", "*"] {
            assert!(matches!(Scopes::parse(text), Err(InvalidScope::Shape(_))), "{text}");
        }
        for text in ["a:\"b", "a:b\\", "ä:b", "a:\tb"] {
            assert!(matches!(Scopes::parse(text), Err(InvalidScope::Character { .. })), "{text}");
        }
        assert_eq!(Scope::parse(&format!("a:{}", "b".repeat(128))), Err(InvalidScope::TooLong));
        let many: Vec<String> = (0..129).map(|number| format!("a:{number}")).collect();
        assert_eq!(Scopes::parse_each(&many), Err(InvalidScope::TooMany));
    }

    #[test]
    fn an_account_without_a_limit_admits_what_is_named_even_management() {
        let named = scopes("a:read manage:write");
        assert_eq!(ScopeLimit::Unlimited.admit(&named), named);
        assert_eq!(ScopeLimit::Only(scopes("a:read b:read")).admit(&named), scopes("a:read"));
    }

    #[test]
    fn management_is_never_inherited() {
        let inherited = ScopeLimit::Unlimited.inherited();
        assert!(inherited.contains(&Scope::parse("a:read").expect("well-formed")));
        assert!(!inherited.contains(&Scope::manage_read()));
        let limited = ScopeLimit::Only(scopes("a:read manage:read"));
        assert_eq!(limited.inherited().to_string(), "a:read");
        assert_eq!(limited.own().to_string(), "a:read manage:read");
        assert_eq!(ScopeLimit::Unlimited.own().to_claim(), "* manage:read manage:write");
        assert_eq!(ScopeLimit::Unlimited.own().to_string(), "*");
    }

    #[test]
    fn what_is_granted_shrinks_with_the_account() {
        let granted = ScopeLimit::Unlimited.inherited();
        let now = ScopeLimit::Only(scopes("a:read manage:read"));
        assert_eq!(granted.under(&now).to_string(), "a:read");
        assert_eq!(granted.intersection(&now.own()).to_string(), "a:read");
        assert_eq!(granted.under(&ScopeLimit::Unlimited), granted);
    }

    #[test]
    fn granted_scopes_survive_being_written() {
        for text in ["", "*", "a:read", "* manage:read"] {
            let granted = GrantedScopes::parse(text).expect("well-formed");
            assert_eq!(granted.to_claim(), text);
        }
    }

    #[test]
    fn no_scope_on_an_account_means_no_limit() {
        assert_eq!(ScopeLimit::parse_each::<&str>(&[]), Ok(ScopeLimit::Unlimited));
        assert_eq!(ScopeLimit::parse_each(&["*"]), Ok(ScopeLimit::Unlimited));
        assert_eq!(ScopeLimit::parse_each(&["a:read", "b:read"]), Ok(ScopeLimit::Only(scopes("a:read b:read"))));
        assert!(ScopeLimit::parse_each(&["a:read", "*"]).is_err());
    }
}
