//! The format of `cases/*.toml`: what a case is, and the small language in which it is written.
//!
//! A case is data: an id, the rule that it holds a provider against, and steps. A step's strings may hold `${…}` variables, which
//! are filled in just before it is taken, so a step is kept as its table and read twice: once when the file is loaded, so that a
//! mistake is found at once, and once with its variables filled in.

use serde::Deserialize;
use std::collections::BTreeMap;
use toml::{Table, Value};

use crate::signer::Mistake;
use crate::wire::{Style, Tamper, Via};

/// How much a case weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, serde::Serialize)]
pub enum Level {
    /// A rule that the standard demands.
    #[serde(rename = "MUST")]
    Must,
    /// An attack that has to fail, whether or not a sentence of a standard names it.
    #[serde(rename = "attack")]
    Attack,
    /// What a standard recommends.
    #[serde(rename = "SHOULD")]
    Should,
    /// What a standard leaves open and clients are glad of.
    #[serde(rename = "MAY")]
    May,
}

impl Level {
    /// The name as written in the files.
    pub fn name(self) -> &'static str {
        match self {
            Level::Must => "MUST",
            Level::Attack => "attack",
            Level::Should => "SHOULD",
            Level::May => "MAY",
        }
    }
}

/// One case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Unique, `group/what-happens`.
    pub id: String,
    /// One sentence: what a provider does that passes.
    pub title: String,
    /// The section, as in `sections.toml`.
    pub rfc: String,
    /// How much it weighs.
    pub level: Level,
    /// Features that the target must claim.
    #[serde(default)]
    pub needs: Vec<String>,
    /// What the rule says here, when the section's own text is not enough.
    pub says: Option<String>,
    /// Why honest readers of the standard may disagree with this case.
    pub disputed: Option<String>,
    /// Whether nothing else may run at the same time.
    #[serde(default)]
    pub alone: bool,
    /// What is done, in order.
    pub steps: Vec<Table>,
}

/// One step, its variables filled in.
#[derive(Debug, Clone)]
pub enum Step {
    /// A request signed with OAuth.
    Call(Box<Call>),
    /// Bytes sent once more.
    Again(Again),
    /// The way to an access token, or a part of it.
    Dance(Dance),
    /// The account holder's decision, walked as the target says.
    Consent(Consent),
    /// A page opened in a browser's way, with cookies.
    Open(Open),
    /// A form of the page that is open, submitted.
    Submit(Submit),
    /// A request without OAuth.
    Plain(Plain),
    /// A Digest handshake (RFC 7616).
    Digest(Digest),
    /// A token rewritten as an attacker would.
    Forge(Forge),
    /// Bytes as written.
    Raw(Raw),
}

/// A request signed with OAuth. What is left out is what an honest client would send.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Call {
    /// An endpoint's name.
    pub at: String,
    /// The method, the target's usual one when absent.
    pub method: Option<String>,
    /// Text after the endpoint's path, signed with it.
    pub path: String,
    /// Query as sent.
    pub query: String,
    /// Form body as sent.
    pub form: Option<String>,
    /// Another body.
    pub body: Option<String>,
    /// Its content type.
    pub content_type: Option<String>,
    /// More header lines.
    pub headers: Vec<String>,
    /// Whose credentials: `client.NAME`, `token` (an access token of the main client), `token.NAME` or a saved name.
    #[serde(rename = "as")]
    pub credentials: Option<String>,
    /// The signature method's wire name.
    pub signature: Option<String>,
    /// Where the parameters go.
    pub via: Via,
    /// Protocol parameters set before signing.
    pub set: BTreeMap<String, String>,
    /// Protocol parameters added before signing, `name=value`.
    pub add: Vec<String>,
    /// Protocol parameters left out before signing.
    pub drop: Vec<String>,
    /// `oauth_body_hash` over this text, or over the body with `"body"`.
    pub body_hash: Option<String>,
    /// Mistakes in the signature.
    pub mistakes: Vec<Mistake>,
    /// How it is written.
    pub style: Vec<Style>,
    /// What happens after signing.
    pub then: Tamper,
    /// Acceptable outcomes.
    pub expect: OneOrMore,
    /// What must hold for the answer.
    pub check: Vec<String>,
    /// The name under which the credentials in the answer are kept.
    pub save: Option<String>,
    /// The name under which the bytes sent are kept.
    pub keep: Option<String>,
    /// How many of these at the same moment, each with a nonce of its own.
    pub race: usize,
    /// Whether the racing requests are the same bytes, nonce and all.
    pub same_bytes: bool,
    /// The client that signs instead of the one that the credentials were issued to, with its own key and secret.
    pub by: Option<String>,
    /// How many of them may be accepted.
    pub winners: Vec<usize>,
    /// `false` for a refusal that needs no proof that the honest request would have passed.
    pub control: bool,
}

impl Default for Call {
    fn default() -> Call {
        Call {
            at: "resource".into(),
            method: None,
            path: String::new(),
            query: String::new(),
            form: None,
            body: None,
            content_type: None,
            headers: vec![],
            credentials: None,
            signature: None,
            via: Via::Header,
            set: BTreeMap::new(),
            add: vec![],
            drop: vec![],
            body_hash: None,
            mistakes: vec![],
            style: vec![],
            then: Tamper::default(),
            expect: OneOrMore::default(),
            check: vec![],
            save: None,
            keep: None,
            race: 1,
            same_bytes: false,
            by: None,
            winners: vec![],
            control: true,
        }
    }
}

/// Bytes that an earlier step kept, sent again.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Again {
    /// The name they were kept under.
    pub of: String,
    /// Acceptable outcomes.
    #[serde(default)]
    pub expect: OneOrMore,
    /// What must hold for the answer.
    #[serde(default)]
    pub check: Vec<String>,
    /// How many at the same moment.
    #[serde(default = "one")]
    pub race: usize,
    /// How many of them may be accepted.
    #[serde(default)]
    pub winners: Vec<usize>,
}

/// The way to an access token.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dance {
    /// The name under which the result is kept.
    pub save: String,
    /// Which client.
    #[serde(default = "main")]
    pub client: String,
    /// Which account decides.
    #[serde(default = "main")]
    pub account: String,
    /// `temporary`, `authorized` or `token`.
    #[serde(default = "to_token")]
    pub until: Until,
    /// The callback, the client's registered one when absent.
    pub callback: Option<String>,
    /// `scope` asked for.
    pub scope: Option<String>,
}

/// How far a dance goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// Temporary credentials only.
    Temporary,
    /// With the account holder's consent, so with a verifier.
    Authorized,
    /// Exchanged for an access token.
    Token,
}

/// The account holder's decision about saved temporary credentials.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// The name of the temporary credentials.
    pub of: String,
    /// Which account decides.
    #[serde(default = "main")]
    pub account: String,
    /// Whether to allow or to deny.
    #[serde(default = "yes")]
    pub allow: bool,
    /// `granted`, `denied` or `refused`; several are acceptable.
    pub expect: OneOrMore,
    /// What must hold for the last answer.
    #[serde(default)]
    pub check: Vec<String>,
}

/// A page opened with cookies, logging in when it is asked to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Name of the cookie jar.
    #[serde(default = "main")]
    pub jar: String,
    /// Endpoint.
    pub at: String,
    /// Query as sent.
    #[serde(default)]
    pub query: String,
    /// More header lines.
    #[serde(default)]
    pub headers: Vec<String>,
    /// The jar whose cookies are taken over first, as from an attacker who planted them.
    pub like: Option<String>,
    /// The account to log in with when a login form comes.
    pub login: Option<String>,
    /// Acceptable outcomes.
    #[serde(default)]
    pub expect: OneOrMore,
    /// What must hold for the answer.
    #[serde(default)]
    pub check: Vec<String>,
}

/// A form of the open page, submitted.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// Name of the cookie jar, and so of the open page.
    #[serde(default = "main")]
    pub jar: String,
    /// `allow`, `deny` or `login`: the button, and the form that has it.
    pub press: String,
    /// Fields with another value than the page gave them.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Fields left out.
    #[serde(default)]
    pub drop: Vec<String>,
    /// What becomes of the hidden field against forged requests.
    #[serde(default)]
    pub csrf: Csrf,
    /// The jar whose cookies are sent instead, `none` for no cookies.
    pub cookies: Option<String>,
    /// More header lines.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Whether to send it as the query of a GET.
    #[serde(default)]
    pub get: bool,
    /// How many at the same moment.
    #[serde(default = "one")]
    pub race: usize,
    /// How many of them may be accepted.
    #[serde(default)]
    pub winners: Vec<usize>,
    /// Acceptable outcomes: of pages, or `granted` and `denied`.
    #[serde(default)]
    pub expect: OneOrMore,
    /// What must hold for the answer.
    #[serde(default)]
    pub check: Vec<String>,
    /// The name of the temporary credentials that get the verifier.
    pub save: Option<String>,
}

/// What becomes of the hidden field against forged requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Csrf {
    /// As the page gave it.
    #[default]
    Keep,
    /// Left out.
    Drop,
    /// Another value of the same length.
    Wrong,
}

/// A request without OAuth.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plain {
    /// Endpoint.
    #[serde(default = "resource")]
    pub at: String,
    /// The method, `GET` when absent.
    #[serde(default = "get")]
    pub method: String,
    /// Query as sent.
    #[serde(default)]
    pub query: String,
    /// Body.
    pub body: Option<String>,
    /// Its content type.
    pub content_type: Option<String>,
    /// More header lines.
    #[serde(default)]
    pub headers: Vec<String>,
    /// `user:password` for Basic.
    pub basic: Option<String>,
    /// A bearer token.
    pub bearer: Option<String>,
    /// How it is written.
    #[serde(default)]
    pub style: Vec<Style>,
    /// Acceptable outcomes.
    #[serde(default)]
    pub expect: OneOrMore,
    /// What must hold for the answer.
    #[serde(default)]
    pub check: Vec<String>,
    /// Values of the answer to keep: variable name to subject, as in checks.
    #[serde(default)]
    pub save: BTreeMap<String, String>,
}

/// A Digest handshake: challenge, response, answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Digest {
    /// Endpoint.
    pub at: String,
    /// Method.
    pub method: String,
    /// Query as sent.
    pub query: String,
    /// Body, and its content type.
    pub body: Option<String>,
    /// More header lines.
    pub headers: Vec<String>,
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
    /// The algorithm wanted; the challenge that names it is taken.
    pub algorithm: String,
    /// `auth`, `auth-int` or empty for none.
    pub qop: String,
    /// The name of a challenge kept from an earlier step, or under which this one is kept.
    pub challenge: Option<String>,
    /// Request counter.
    pub nc: u32,
    /// What is wrong.
    pub wrong: Vec<DigestMistake>,
    /// Whether the user name is sent hashed.
    pub userhash: bool,
    /// `false` to draw the request up, keep it and not send it.
    pub send: bool,
    /// Another body sent than the one that was hashed.
    pub sent_body: Option<String>,
    /// Acceptable outcomes.
    pub expect: OneOrMore,
    /// What must hold for the answer.
    pub check: Vec<String>,
    /// The name under which the bytes sent are kept.
    pub keep: Option<String>,
}

impl Default for Digest {
    fn default() -> Digest {
        Digest {
            at: "resource".into(),
            method: "GET".into(),
            query: String::new(),
            body: None,
            headers: vec![],
            user: String::new(),
            password: String::new(),
            algorithm: "SHA-256".into(),
            qop: "auth".into(),
            challenge: None,
            nc: 1,
            wrong: vec![],
            userhash: false,
            send: true,
            sent_body: None,
            expect: OneOrMore::default(),
            check: vec![],
            keep: None,
        }
    }
}

/// A mistake in a Digest response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DigestMistake {
    /// One digit of the response changed.
    Response,
    /// Another path hashed and named than asked for.
    Uri,
    /// The method left out of the hash.
    Method,
    /// A nonce that the server never gave.
    Nonce,
    /// Another realm.
    Realm,
    /// No `cnonce`.
    CnonceLeftOut,
    /// No `nc`.
    NcLeftOut,
    /// No `opaque`.
    OpaqueLeftOut,
    /// A qop that was never offered.
    QopUnknown,
    /// The right response with an empty user name.
    UserEmpty,
    /// An algorithm named that differs from the one computed.
    AlgorithmNamed,
}

/// A JSON Web Token rewritten.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forge {
    /// The variable that holds the token.
    pub of: String,
    /// How.
    pub how: Forgery,
    /// For `claim`: the name of the claim.
    #[serde(default)]
    pub claim: String,
    /// For `claim` and `header`: its new value as JSON.
    #[serde(default)]
    pub value: String,
    /// For `hmac-with-key`: the text that serves as key.
    #[serde(default)]
    pub key: String,
    /// The variable for the result.
    pub save: String,
}

/// Ways of forging a token (RFC 8725 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forgery {
    /// `alg` none and no signature.
    AlgNone,
    /// `alg` `nOnE` and no signature.
    AlgNoneMixedCase,
    /// The signature removed, the rest as it was.
    Unsigned,
    /// One bit of the signature changed.
    SignatureChanged,
    /// A signature of zeros.
    SignatureZero,
    /// One claim changed, the signature as it was.
    Claim,
    /// One header parameter changed or added, the signature as it was.
    Header,
    /// `alg` HS256, signed with a text that the attacker knows.
    HmacWithKey,
    /// A fourth part added.
    FourParts,
    /// The payload part alone.
    PayloadOnly,
}

/// Bytes as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// The request. Lines end as written.
    pub text: String,
    /// Acceptable outcomes.
    pub expect: OneOrMore,
    /// What must hold for the answer.
    #[serde(default)]
    pub check: Vec<String>,
}

/// One text or a list of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    /// Nothing said.
    #[default]
    None,
    /// One.
    One(String),
    /// Several.
    More(Vec<String>),
}

impl OneOrMore {
    /// As a slice.
    pub fn list(&self) -> &[String] {
        match self {
            OneOrMore::None => &[],
            OneOrMore::One(one) => std::slice::from_ref(one),
            OneOrMore::More(list) => list,
        }
    }
}

impl Step {
    /// Reads a step's table. `do` names its kind, a signed call when absent. `Err` says what is wrong, in words for the author.
    pub fn read(table: &Table) -> Result<Step, String> {
        let mut table = table.clone();
        let kind = match table.remove("do") {
            None => "call".to_owned(),
            Some(Value::String(kind)) => kind,
            Some(other) => return Err(format!("`do` is {other}, not a word")),
        };
        fn typed<T: serde::de::DeserializeOwned>(table: Table) -> Result<T, String> {
            Value::Table(table).try_into().map_err(|e: toml::de::Error| e.message().to_owned())
        }
        Ok(match kind.as_str() {
            "call" => Step::Call(Box::new(typed(table)?)),
            "again" => Step::Again(typed(table)?),
            "dance" => Step::Dance(typed(table)?),
            "consent" => Step::Consent(typed(table)?),
            "open" => Step::Open(typed(table)?),
            "submit" => Step::Submit(typed(table)?),
            "plain" => Step::Plain(typed(table)?),
            "digest" => Step::Digest(typed(table)?),
            "forge" => Step::Forge(typed(table)?),
            "raw" => Step::Raw(typed(table)?),
            other => return Err(format!("no step is called `{other}`")),
        })
    }

    /// The acceptable outcomes and the checks that it names, for reading them early.
    pub fn judged(&self) -> (&[String], &[String]) {
        match self {
            Step::Call(s) => (s.expect.list(), &s.check),
            Step::Again(s) => (s.expect.list(), &s.check),
            Step::Consent(s) => (s.expect.list(), &s.check),
            Step::Open(s) => (s.expect.list(), &s.check),
            Step::Submit(s) => (s.expect.list(), &s.check),
            Step::Plain(s) => (s.expect.list(), &s.check),
            Step::Digest(s) => (s.expect.list(), &s.check),
            Step::Raw(s) => (s.expect.list(), &s.check),
            Step::Dance(_) | Step::Forge(_) => (&[], &[]),
        }
    }
}

fn one() -> usize {
    1
}
fn yes() -> bool {
    true
}
fn main() -> String {
    "main".into()
}
fn resource() -> String {
    "resource".into()
}
fn get() -> String {
    "GET".into()
}
fn to_token() -> Until {
    Until::Token
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Step, String> {
        Step::read(&text.parse().unwrap())
    }

    #[test]
    fn a_step_is_a_signed_call_unless_it_says_otherwise() {
        assert!(
            matches!(read("query = 'a=1'\nexpect = 'accepted'"), Ok(Step::Call(c)) if c.query == "a=1" && c.at == "resource")
        );
        assert!(
            matches!(read("do = 'raw'\ntext = 'x'\nexpect = ['refused', 'closed']"), Ok(Step::Raw(r)) if r.expect.list().len() == 2)
        );
    }

    #[test]
    fn a_misspelt_key_is_told() {
        assert!(read("exepct = 'accepted'").unwrap_err().contains("exepct"));
        assert!(read("do = 'dnace'").unwrap_err().contains("dnace"));
        assert!(read("mistakes = ['unsorted-values']").unwrap_err().contains("unsorted-values"));
    }
}
