//! The target file: how to reach a provider, what it claims to do, and how to get an account holder's consent.
//!
//! Every text in it may hold `${env:NAME}`, and `${start.url}` once the suite has started the provider itself. A target that is
//! incomplete is refused with the key that is missing; nothing here talks to the provider.

use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

use crate::http::Origin;
use crate::variables;

/// Why a target can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The file can't be read.
    #[error("{0}: {1}")]
    Read(String, String),
    /// The file is no TOML, or holds an unknown or missing key.
    #[error("the target file: {0}")]
    Syntax(String),
    /// A variable can't be filled in.
    #[error("the target file: {0}")]
    Variable(String),
    /// A value makes no sense.
    #[error("the target file: `{0}`: {1}")]
    Value(String, String),
}

/// A provider to hold against the cases.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The name in reports.
    pub name: String,
    /// The origin, perhaps with a path before every endpoint.
    pub base: String,
    /// Optional features, see `conformance/README.md`.
    #[serde(default)]
    pub claims: BTreeSet<String>,
    /// Seconds for one exchange, 1 to 60.
    #[serde(default = "ten")]
    pub timeout_seconds: u64,
    /// Requests at the same time, 1 to 32.
    #[serde(default = "four")]
    pub parallel: usize,
    /// PEM file with the certificates to trust, beside the target file.
    pub certificates: Option<PathBuf>,
    /// The signature method when a case doesn't name one.
    #[serde(default = "hmac_sha1")]
    pub signature: String,
    /// Header lines for every request, such as a mandatory one.
    #[serde(default)]
    pub headers: Vec<String>,
    /// JSON pointer to the caller's account name in the resource's answer.
    pub identity: Option<String>,
    /// Name to path, or to an absolute address on another origin.
    pub endpoints: BTreeMap<String, String>,
    /// Name of an endpoint to its usual method.
    #[serde(default)]
    pub methods: BTreeMap<String, String>,
    /// Registered clients; `main` has to be there.
    pub client: BTreeMap<String, Client>,
    /// Accounts with passwords.
    #[serde(default)]
    pub account: BTreeMap<String, Account>,
    /// API keys, for providers that have them.
    #[serde(default)]
    pub api_key: BTreeMap<String, ApiKey>,
    /// Access tokens of the main client and account, where no dance can be walked.
    #[serde(default)]
    pub token: BTreeMap<String, Token>,
    /// Other texts that cases name as `${value.NAME}`.
    #[serde(default)]
    pub value: BTreeMap<String, String>,
    /// How to get consent.
    #[serde(default)]
    pub consent: Consent,
    /// How to start the provider, when the suite does it.
    pub start: Option<Start>,
    /// Every text of the file by its dotted key, for `${…}` in cases.
    #[serde(skip)]
    pub texts: BTreeMap<String, String>,
    /// The private keys of clients that have one.
    #[serde(skip)]
    pub rsa_keys: BTreeMap<String, RsaPrivateKey>,
}

/// A registered client.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Its key.
    pub key: String,
    /// Its secret; empty for a client with only an RSA key.
    #[serde(default)]
    pub secret: String,
    /// The callback that is registered for it, `oob` if none is.
    #[serde(default = "oob")]
    pub callback: String,
    /// PEM file with its private key, beside the target file.
    pub rsa_private_key: Option<PathBuf>,
}

/// An account with a password.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// As typed into the login form.
    pub username: String,
    /// Its password.
    pub password: String,
}

/// An API key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The public part.
    pub key: String,
    /// The private part.
    pub secret: String,
}

/// An access token that exists already.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The token.
    pub token: String,
    /// Its secret.
    pub secret: String,
    /// The client that it was issued to.
    #[serde(default = "main_name")]
    pub client: String,
}

/// How consent is got.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Consent {
    /// Forms, a command, a person, or not at all.
    pub how: How,
    /// Name of the login form's field for the user name.
    pub username_field: String,
    /// Name of its field for the password.
    pub password_field: String,
    /// `name=value` that the allowing button sends.
    pub allow: String,
    /// `name=value` that the denying button sends.
    pub deny: String,
    /// Name of the hidden field against forged requests.
    pub csrf_field: String,
    /// Id of the element that shows the verifier when there is no callback.
    pub verifier_id: String,
    /// For `command`: program and arguments; `${url}`, `${username}`, `${password}` and `${decision}` are filled in. It prints the
    /// address that the browser was sent to, or the verifier.
    pub command: Vec<String>,
}

impl Default for Consent {
    fn default() -> Consent {
        Consent {
            how: How::None,
            username_field: "username".into(),
            password_field: "password".into(),
            allow: "decision=allow".into(),
            deny: "decision=deny".into(),
            csrf_field: "csrf_token".into(),
            verifier_id: "verifier".into(),
            command: vec![],
        }
    }
}

/// Ways to consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The suite fills in the HTML forms.
    Forms,
    /// A command of the operator's does it.
    Command,
    /// A person does it in a browser and pastes the result.
    Ask,
    /// There is no way; `[token.main]` has to be given.
    None,
}

/// How to start a provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Program and arguments. `${python}` is the interpreter. It prints `listening on ADDRESS` as a line of its standard output.
    pub command: Vec<String>,
    /// Packages for a temporary virtual environment, as pip reads them; none when the interpreter is given or nothing is needed.
    #[serde(default)]
    pub requirements: Option<PathBuf>,
}

impl Target {
    /// Reads a target file. `start_url` is what `${start.url}` stands for.
    pub fn load(file: &Path, start_url: Option<&str>) -> Result<Target, TargetError> {
        let text = read(file)?;
        let folder = file.parent().unwrap_or(Path::new("."));
        Target::parse(&text, folder, start_url, &|name| std::env::var(name).ok())
    }

    /// Reads only how to start the provider.
    pub fn load_start(file: &Path) -> Result<Option<Start>, TargetError> {
        let table: Table =
            read(file)?.parse().map_err(|e: toml::de::Error| TargetError::Syntax(e.message().to_owned()))?;
        match table.get("start") {
            None => Ok(None),
            Some(start) => {
                let start = start
                    .clone()
                    .try_into()
                    .map_err(|e: toml::de::Error| TargetError::Syntax(format!("`start`: {}", e.message())))?;
                Ok(Some(start))
            }
        }
    }

    /// Reads a target from its text. `folder` is where its files are, `environment` looks up `${env:NAME}`.
    pub fn parse(
        text: &str,
        folder: &Path,
        start_url: Option<&str>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Target, TargetError> {
        let table: Table = text.parse().map_err(|e: toml::de::Error| TargetError::Syntax(e.message().to_owned()))?;
        let mut value = Value::Table(table);
        let lookup = |name: &str| match name.split_once(':') {
            Some(("env", name)) => environment(name).ok_or(format!("the environment has no `{name}`")),
            _ if name == "start.url" => {
                start_url.map(str::to_owned).ok_or("there is no `[start]` to give `${start.url}`".to_owned())
            }
            // The consent and start commands have variables of their own, filled in later.
            _ => Ok(format!("${{{name}}}")),
        };
        variables::expand_value(&mut value, &lookup).map_err(TargetError::Variable)?;
        let mut texts = BTreeMap::new();
        flatten("", &value, &mut texts);
        let mut target: Target =
            value.try_into().map_err(|e: toml::de::Error| TargetError::Syntax(e.to_string().trim().to_owned()))?;
        target.texts = texts;
        target.complete(folder)?;
        Ok(target)
    }

    fn complete(&mut self, folder: &Path) -> Result<(), TargetError> {
        let wrong = |key: &str, why: &str| Err(TargetError::Value(key.to_owned(), why.to_owned()));
        if Origin::parse(&self.base).is_none() {
            return wrong("base", "not an http or https address");
        }
        if !(1..=60).contains(&self.timeout_seconds) {
            return wrong("timeout_seconds", "not between 1 and 60");
        }
        if !(1..=32).contains(&self.parallel) {
            return wrong("parallel", "not between 1 and 32");
        }
        for name in ["initiate", "authorize", "token", "resource"] {
            if !self.endpoints.contains_key(name) {
                return wrong(&format!("endpoints.{name}"), "is missing");
            }
        }
        for (name, place) in &self.endpoints {
            if !place.starts_with('/') && Origin::parse(place).is_none() {
                return wrong(&format!("endpoints.{name}"), "neither a path nor an address");
            }
        }
        if !self.client.contains_key("main") {
            return wrong("client.main", "is missing");
        }
        if self.consent.how == How::None && !self.token.contains_key("main") {
            return wrong("consent.how", "is missing, and there is no `[token.main]` either");
        }
        if self.consent.how == How::Forms && !self.account.contains_key("main") {
            return wrong("account.main", "is missing, and forms need it");
        }
        if self.consent.how == How::Command && self.consent.command.is_empty() {
            return wrong("consent.command", "is missing");
        }
        for (name, client) in &self.client {
            if let Some(file) = &client.rsa_private_key {
                let pem = read(&folder.join(file))?;
                let key = RsaPrivateKey::from_pkcs8_pem(&pem).or_else(|_| RsaPrivateKey::from_pkcs1_pem(&pem));
                let key =
                    key.map_err(|e| TargetError::Value(format!("client.{name}.rsa_private_key"), e.to_string()))?;
                self.rsa_keys.insert(name.clone(), key);
            }
        }
        if let Some(file) = &self.certificates {
            self.certificates = Some(folder.join(file));
        }
        Ok(())
    }

    /// Origin and path of an endpoint; `None` when the target has none of this name. A name that begins with `/` is a path itself.
    pub fn endpoint(&self, name: &str) -> Option<(Origin, String)> {
        let place = if name.starts_with('/') { name } else { self.endpoints.get(name)?.as_str() };
        if let Some(found) = Origin::parse(place) {
            return Some(found);
        }
        let (origin, prefix) = Origin::parse(&self.base)?;
        Some((origin, format!("{}{place}", prefix.trim_end_matches('/'))))
    }

    /// The usual method of an endpoint.
    pub fn method(&self, endpoint: &str) -> &str {
        match self.methods.get(endpoint) {
            Some(method) => method,
            None if matches!(endpoint, "initiate" | "token" | "revoke") => "POST",
            None => "GET",
        }
    }

    /// Every secret in the file, for redaction.
    pub fn secrets(&self) -> Vec<String> {
        let clients = self.client.values().map(|c| c.secret.clone());
        let accounts = self.account.values().map(|a| a.password.clone());
        let keys = self.api_key.values().map(|k| k.secret.clone());
        let tokens = self.token.values().map(|t| t.secret.clone());
        clients.chain(accounts).chain(keys).chain(tokens).filter(|s| s.len() >= 4).collect()
    }
}

fn read(file: &Path) -> Result<String, TargetError> {
    std::fs::read_to_string(file).map_err(|e| TargetError::Read(file.display().to_string(), e.to_string()))
}

/// Every text below `value` by its dotted key.
fn flatten(key: &str, value: &Value, texts: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => {
            for (name, inner) in table {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                flatten(&key, inner, texts);
            }
        }
        Value::String(text) => {
            texts.insert(key.to_owned(), text.clone());
        }
        _ => {}
    }
}

fn ten() -> u64 {
    10
}
fn four() -> usize {
    4
}
fn hmac_sha1() -> String {
    "HMAC-SHA1".into()
}
fn oob() -> String {
    "oob".into()
}
fn main_name() -> String {
    "main".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
        name = "Example"
        base = "${start.url}/api"
        [endpoints]
        initiate = "/i"
        authorize = "https://login.example.com/a"
        token = "/t"
        resource = "/r"
        [client.main]
        key = "k"
        secret = "${env:SECRET}"
        [token.main]
        token = "t"
        secret = "s"
    "#;

    fn parse(text: &str) -> Result<Target, TargetError> {
        let environment = |name: &str| (name == "SECRET").then(|| "hidden".to_owned());
        Target::parse(text, Path::new("."), Some("http://127.0.0.1:1"), &environment)
    }

    #[test]
    fn variables_and_endpoints_are_filled_in() {
        let target = parse(WHOLE).unwrap();
        assert_eq!(target.client["main"].secret, "hidden");
        assert_eq!(target.endpoint("initiate").unwrap().1, "/api/i");
        assert_eq!(target.endpoint("authorize").unwrap().0.host, "login.example.com");
        assert_eq!(target.texts["client.main.key"], "k");
        assert_eq!(target.endpoint("revoke"), None);
    }

    #[test]
    fn half_a_target_names_what_is_missing() {
        let without = |line: &str| parse(&WHOLE.replace(line, "")).unwrap_err().to_string();
        assert!(without("name = \"Example\"").contains("name"));
        assert!(without("token = \"/t\"").contains("endpoints.token"));
        assert!(without("[token.main]\n        token = \"t\"\n        secret = \"s\"").contains("consent.how"));
        assert!(parse(&WHOLE.replace("SECRET", "OTHER")).unwrap_err().to_string().contains("OTHER"));
        assert!(parse(&WHOLE.replace("${start.url}", "ftp://x")).unwrap_err().to_string().contains("base"));
        assert!(parse(&format!("{WHOLE}\n[typo]\nx = 1")).unwrap_err().to_string().contains("typo"));
        assert!(parse("name = ").is_err());
    }
}
