//! Basic, Digest, API keys and JSON Web Tokens of the faulty provider.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use rsa::pkcs8::{DecodePrivateKey, EncodePublicKey, LineEnding};
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

use crate::oauth::{Provider, Refusal};
use crate::store::{now, random};
use crate::wire::{Pair, Reply, Request, pairs};

const SERVER_KEY: &str = include_str!("test-server-key.pem");
const DIGEST_INFO: [u8; 19] = [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];

fn server_key() -> Option<&'static RsaPrivateKey> {
    static KEY: OnceLock<Option<RsaPrivateKey>> = OnceLock::new();
    KEY.get_or_init(|| RsaPrivateKey::from_pkcs8_pem(SERVER_KEY).ok()).as_ref()
}

impl Provider {
    /// `/v2/me`: who is asking.
    pub fn resource(&self, request: &Request) -> Reply {
        let authorization = request.header("authorization").unwrap_or_default();
        let scheme = authorization.split(' ').next().unwrap_or_default();
        let query = pairs(&request.query, true, false).unwrap_or_default();
        let form = if request.is_form() {
            pairs(&String::from_utf8_lossy(&request.body), true, false).unwrap_or_default()
        } else {
            vec![]
        };
        let signed_elsewhere = query.iter().chain(&form).any(|(n, _)| n == "oauth_consumer_key");
        let is = |name: &str| scheme.eq_ignore_ascii_case(name);
        if request.count("authorization") > 1
            || (signed_elsewhere && !scheme.is_empty() && !is("oauth") && !self.defect.is("two-credentials"))
        {
            return self.challenge(400);
        }
        let basic = if self.defect.is("basic-case") { scheme == "Basic" } else { is("basic") };
        let found = if basic {
            self.basic(request, authorization)
        } else if is("digest") {
            self.digest(request, authorization)
        } else if is("bearer") {
            self.bearer(authorization)
        } else if is("oauth") || signed_elsewhere {
            match self.identify(request) {
                Ok((account, client)) => return self.me(&account, &client, "oauth1"),
                Err(Refusal(status, problem, extra)) => return self.refusal(Refusal(status, problem, extra), true),
            }
        } else {
            Err(401)
        };
        match found {
            Ok((account, credential)) => self.me(&account, "", credential),
            Err(status) => self.challenge(status),
        }
    }

    fn me(&self, account: &str, client: &str, credential: &str) -> Reply {
        let body = json!({ "status": 200, "account": { "username": account }, "client": { "client_key": client }, "credential": credential });
        Reply::new(200, "application/json", body.to_string()).with("Cache-Control", "no-store")
    }

    fn challenge(&self, status: u16) -> Reply {
        let status = if self.defect.is("errors-are-200") { 200 } else { status };
        let status = if self.defect.is("all-errors-are-403") && status != 200 { 403 } else { status };
        let mut reply =
            Reply::new(status, "application/json", json!({ "status": status, "code": "unauthorized" }).to_string());
        if status != 401 || self.defect.is("no-challenge") {
            return reply;
        }
        for algorithm in ["SHA-256", "MD5"] {
            let nonce = random();
            self.lock().digest_nonces.insert(nonce.clone(), Default::default());
            reply = reply.with(
                "WWW-Authenticate",
                format!("Digest realm=\"Faulty\", qop=\"auth,auth-int\", algorithm={algorithm}, nonce=\"{nonce}\", opaque=\"o\", userhash=true"),
            );
        }
        reply
            .with("WWW-Authenticate", "Basic realm=\"Faulty\", charset=\"UTF-8\"")
            .with("WWW-Authenticate", "OAuth realm=\"Faulty\"")
    }

    // ---- Basic ----

    fn basic(&self, request: &Request, authorization: &str) -> Result<(String, &'static str), u16> {
        let encoded = authorization.split_once(' ').map_or("", |(_, v)| v.trim());
        let decoded = STANDARD.decode(encoded).ok().and_then(|b| String::from_utf8(b).ok()).ok_or(401_u16)?;
        let parted =
            if self.defect.is("basic-last-colon") { decoded.rsplit_once(':') } else { decoded.split_once(':') };
        let (user, password) = parted.ok_or(401_u16)?;
        let store = self.lock();
        if let Some((_, secret, owner)) = store.api_keys.iter().find(|(key, _, _)| *key == user) {
            let good = password == *secret || self.defect.is("api-key-unchecked");
            return if good { Ok(((*owner).to_owned(), "api_key")) } else { Err(401) };
        }
        let given = request.header("x-client-key").map(str::to_owned);
        if given.is_none() && !self.defect.is("client-key-ignored") {
            return Err(400);
        }
        let Some(account) = store.account(user) else {
            return Err(if self.defect.is("basic-tells-users") { 404 } else { 401 });
        };
        let good = password == account.password
            || (self.defect.is("basic-prefix") && password.len() > 3 && account.password.starts_with(password));
        if !good {
            return Err(401);
        }
        if account.disabled {
            return Err(403);
        }
        let owned = given.and_then(|key| store.client(&key).map(|c| c.owner == account.username && !c.disabled));
        if owned != Some(true) && !self.defect.is("client-key-ignored") {
            return Err(403);
        }
        Ok((account.username.to_owned(), "basic"))
    }

    // ---- Digest ----

    fn digest(&self, request: &Request, authorization: &str) -> Result<(String, &'static str), u16> {
        let defect = self.defect;
        let fields = fields(authorization.get(6..).unwrap_or_default());
        let get = |name: &str| fields.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str());
        let algorithm = if get("algorithm").is_empty() { "MD5" } else { get("algorithm") };
        let sha = match algorithm.trim_end_matches("-sess") {
            "SHA-256" => true,
            "MD5" => false,
            _ => return Err(401),
        };
        let hash = |text: &[u8]| if sha { hex(&Sha256::digest(text)) } else { hex(&Md5::digest(text)) };
        let qop = get("qop");
        let downgraded = qop.is_empty() && defect.is("digest-downgrade");
        if !(matches!(qop, "auth" | "auth-int") || downgraded) || get("realm") != "Faulty" || get("opaque") != "o" {
            return Err(401);
        }
        if get("uri") != request.target() && !defect.is("digest-uri") {
            return Err(400);
        }
        let mut store = self.lock();
        let known = store.digest_nonces.contains_key(get("nonce"));
        if !known && !defect.is("digest-nonce") {
            return Err(401);
        }
        let hashed = get("userhash") == "true";
        let account = store.accounts.iter().find(|a| {
            if hashed {
                hash(format!("{}:Faulty", a.username).as_bytes()) == get("username")
            } else {
                a.username == get("username")
            }
        });
        let mut key = None;
        let (user, password) = match account {
            Some(account) => (account.username, account.password),
            None => {
                key = store.api_keys.iter().find(|(public, _, _)| *public == get("username"));
                key.map(|(public, private, _)| (*public, *private)).ok_or(401_u16)?
            }
        };
        let owner = key.map_or(user, |(_, _, owner)| owner).to_owned();
        if key.is_none() && request.header("x-client-key").is_none() {
            return Err(400);
        }
        let mut secret = hash(format!("{user}:Faulty:{password}").as_bytes());
        if algorithm.ends_with("-sess") {
            secret = hash(format!("{secret}:{}:{}", get("nonce"), get("cnonce")).as_bytes());
        }
        let mut asked = format!("{}:{}", request.method, get("uri"));
        if qop == "auth-int" && !defect.is("digest-body") {
            asked = format!("{asked}:{}", hash(&request.body));
        } else if qop == "auth-int" {
            // The defect: whatever body was hashed is believed.
            asked = format!("{asked}:{}", hash(request.header("x-hashed-body").unwrap_or_default().as_bytes()));
        }
        let asked = hash(asked.as_bytes());
        let expected = if qop.is_empty() {
            hash(format!("{secret}:{}:{asked}", get("nonce")).as_bytes())
        } else {
            if get("cnonce").is_empty() {
                return Err(401);
            }
            hash(format!("{secret}:{}:{}:{}:{qop}:{asked}", get("nonce"), get("nc"), get("cnonce")).as_bytes())
        };
        let believed = qop == "auth-int" && defect.is("digest-body");
        if expected != get("response") && !believed {
            return Err(401);
        }
        if !qop.is_empty() {
            let counter = u32::from_str_radix(get("nc"), 16).map_err(|_| 401_u16)?;
            let used = store.digest_nonces.entry(get("nonce").to_owned()).or_default();
            if !used.insert(counter) && !defect.is("digest-counter") {
                return Err(401);
            }
        }
        Ok((owner, "digest"))
    }

    // ---- JSON Web Tokens ----

    pub fn issue_jwt(&self, request: &Request) -> Reply {
        let authorization = request.header("authorization").unwrap_or_default();
        match self.basic(request, authorization) {
            Err(status) => self.challenge(status),
            Ok((account, _)) => {
                let head = json!({ "alg": "RS256", "typ": "JWT", "kid": "1" });
                let claims = json!({ "iss": "faulty", "sub": account, "iat": now(), "exp": now() + 3600 });
                let signed = format!(
                    "{}.{}",
                    URL_SAFE_NO_PAD.encode(head.to_string()),
                    URL_SAFE_NO_PAD.encode(claims.to_string())
                );
                let padding = || Pkcs1v15Sign { hash_len: Some(32), prefix: DIGEST_INFO.into() };
                let signature =
                    server_key().and_then(|k| k.sign(padding(), &Sha256::digest(&signed)).ok()).unwrap_or_default();
                let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
                let body = json!({ "token": token, "token_type": "Bearer", "expires_in": 3600 }).to_string();
                let reply = Reply::new(200, "application/json", body);
                if self.defect.is("secrets-cached") { reply } else { reply.with("Cache-Control", "no-store") }
            }
        }
    }

    pub fn jwks(&self) -> Reply {
        let Some(key) = server_key() else { return Reply::new(500, "text/plain", "") };
        let mut jwk = json!({
            "kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig",
            "n": URL_SAFE_NO_PAD.encode(key.n().to_bytes_be()), "e": URL_SAFE_NO_PAD.encode(key.e().to_bytes_be()),
        });
        if self.defect.is("jwks-private") {
            jwk["d"] = json!(URL_SAFE_NO_PAD.encode(key.d().to_bytes_be()));
        }
        Reply::new(200, "application/json", json!({ "keys": [jwk] }).to_string())
    }

    fn bearer(&self, authorization: &str) -> Result<(String, &'static str), u16> {
        let defect = self.defect;
        let token = authorization.split_once(' ').map_or("", |(_, t)| t.trim());
        let parts: Vec<&str> = token.split('.').collect();
        let [head, claims, signature] = parts.as_slice() else { return Err(401) };
        let open = |part: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok() };
        let (head_value, claims_value) = (open(head).ok_or(401_u16)?, open(claims).ok_or(401_u16)?);
        let signed = format!("{head}.{claims}");
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| 401_u16)?;
        let good = match head_value.get("alg").and_then(Value::as_str).unwrap_or_default() {
            _ if defect.is("jwt-unverified") => true,
            "RS256" => {
                let padding = Pkcs1v15Sign { hash_len: Some(32), prefix: DIGEST_INFO.into() };
                server_key()
                    .is_some_and(|k| k.to_public_key().verify(padding, &Sha256::digest(&signed), &signature).is_ok())
            }
            "HS256" if defect.is("jwt-confused") => {
                let jwks = self.jwks().body;
                let pem = server_key()
                    .and_then(|k| k.to_public_key().to_public_key_pem(LineEnding::LF).ok())
                    .unwrap_or_default();
                [jwks, pem].iter().any(|key| hmac_is(key, &signed, &signature))
            }
            "none" if defect.is("jwt-none") => signature.is_empty(),
            _ => false,
        };
        let live = claims_value.get("exp").and_then(Value::as_i64).is_some_and(|exp| exp > now());
        let account = claims_value.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
        if good && live { Ok((account, "jwt")) } else { Err(401) }
    }
}

fn hmac_is(key: &str, text: &str, signature: &[u8]) -> bool {
    Hmac::<Sha256>::new_from_slice(key.as_bytes())
        .is_ok_and(|m| m.chain_update(text).finalize().into_bytes()[..] == *signature)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// `name=value` and `name="value"`, commas outside of quotes between them.
fn fields(text: &str) -> Vec<Pair> {
    let mut pieces = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        if c == '"' {
            quoted = !quoted;
        } else if c == ',' && !quoted {
            pieces.push(String::new());
        } else if let Some(last) = pieces.last_mut() {
            last.push(c);
        }
    }
    pieces.iter().filter_map(|p| p.trim().split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}
