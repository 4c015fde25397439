//! What the faulty provider remembers, in memory and under one lock.

use rand::RngExt;
use rsa::RsaPublicKey;
use rsa::pkcs8::DecodePublicKey;
use std::collections::{HashMap, HashSet};

use crate::defects::Defect;

const CLIENT_PUBLIC_KEY: &str = include_str!("../../../targets/test-client-public.pem");

pub struct Client {
    pub key: &'static str,
    pub secret: &'static str,
    pub callback: Option<&'static str>,
    pub owner: &'static str,
    pub rsa: Option<RsaPublicKey>,
    pub disabled: bool,
    pub scopes: &'static [&'static str],
}

pub struct Account {
    pub username: &'static str,
    pub password: &'static str,
    pub disabled: bool,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Stage {
    Fresh,
    Approved { account: String, verifier: String },
    Denied,
    Used,
}

#[derive(Clone)]
pub struct Temporary {
    pub client: String,
    pub secret: String,
    pub callback: String,
    pub scope: String,
    pub stage: Stage,
    pub failures: u32,
}

#[derive(Clone)]
pub struct Access {
    pub client: String,
    pub secret: String,
    pub account: String,
    pub scope: String,
    pub revoked: bool,
}

pub struct Session {
    pub account: Option<String>,
    pub csrf: String,
}

pub struct Store {
    pub clients: Vec<Client>,
    pub accounts: Vec<Account>,
    pub api_keys: Vec<(&'static str, &'static str, &'static str)>,
    pub temporary: HashMap<String, Temporary>,
    pub access: HashMap<String, Access>,
    pub nonces: HashSet<String>,
    pub verifiers: HashSet<String>,
    pub sessions: HashMap<String, Session>,
    pub digest_nonces: HashMap<String, HashSet<u32>>,
    counter: u64,
}

impl Store {
    pub fn new() -> Store {
        let client = |key, secret, callback, owner| Client {
            key,
            secret,
            callback,
            owner,
            rsa: None,
            disabled: false,
            scopes: &["account:read", "products:read"],
        };
        let ada = "ada@example.com";
        let mut main = client("main-client", "main&secret/+% ~ä", Some("https://client.example.com/ready?app=1"), ada);
        main.rsa = RsaPublicKey::from_public_key_pem(CLIENT_PUBLIC_KEY).ok();
        let mut disabled = client("disabled-client", "disabled-secret", Some("https://disabled.example.com/cb"), ada);
        disabled.disabled = true;
        let account = |username, password| Account { username, password, disabled: false };
        let mut gone = account("gone@example.com", "gone password");
        gone.disabled = true;
        Store {
            clients: vec![
                main,
                client("other-client", "other-secret", Some("https://other.example.org/back"), "bob+x@example.com"),
                client("oob-client", "oob-secret", None, ada),
                client("loopback-client", "loopback-secret", Some("http://127.0.0.1:8910/cb"), ada),
                disabled,
            ],
            accounts: vec![
                account(ada, "correct: horse ~ stäple"),
                account("bob+x@example.com", "another password"),
                gone,
            ],
            api_keys: vec![("ada-key", "ada-private-key", ada)],
            temporary: HashMap::new(),
            access: HashMap::new(),
            nonces: HashSet::new(),
            verifiers: HashSet::new(),
            sessions: HashMap::new(),
            digest_nonces: HashMap::new(),
            counter: 1000,
        }
    }

    pub fn client(&self, key: &str) -> Option<&Client> {
        self.clients.iter().find(|c| c.key == key)
    }

    pub fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|a| a.username == name)
    }

    pub fn new_token(&mut self, defect: Defect) -> String {
        self.counter += 1;
        if defect.is("tokens-counted") { self.counter.to_string() } else { random() }
    }
}

/// 32 random letters and digits.
pub fn random() -> String {
    let mut generator = rand::rng();
    (0..32).map(|_| char::from_digit(generator.random_range(0..36), 36).unwrap_or('0')).collect()
}

pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(0))
}
