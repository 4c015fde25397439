//! RFC 5849 on the provider's side, written apart from the suite's signer: what was received is verified, not what was meant.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::defects::Defect;
use crate::store::{Access, Stage, Store, Temporary, now, random};
use crate::wire::{Pair, Reply, Request, escape, pairs, unescape};

const WINDOW: i64 = 300;

/// What a token in a request has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Nothing,
    Temporary,
    Access,
}

/// A request that has proved itself.
pub struct Verified {
    pub client: String,
    pub token: String,
    pub parameters: Vec<Pair>,
}

/// A refusal: status, problem word, further fields.
pub struct Refusal(pub u16, pub &'static str, pub String);

pub fn refuse<T>(status: u16, problem: &'static str) -> Result<T, Refusal> {
    Err(Refusal(status, problem, String::new()))
}

pub struct Provider {
    pub store: Mutex<Store>,
    pub defect: Defect,
    pub origin: String,
}

impl Provider {
    pub fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The refusal as an answer: form-encoded at the token endpoints, JSON at the resource.
    pub fn refusal(&self, refusal: Refusal, json: bool) -> Reply {
        let Refusal(mut status, mut problem, extra) = refusal;
        if self.defect.is("errors-are-200") {
            status = 200;
        }
        if self.defect.is("all-errors-are-403") {
            status = 403;
        }
        if self.defect.is("problem-always-signature") {
            problem = "signature_invalid";
        }
        if self.defect.is("problem-missing") {
            problem = "";
        }
        let body = if json {
            format!("{{\"status\":{status},\"code\":\"{problem}\"}}")
        } else {
            format!("oauth_problem={problem}{extra}")
        };
        let kind = if json { "application/json" } else { "application/x-www-form-urlencoded" };
        let reply = Reply::new(status, kind, body).with("Cache-Control", "no-store");
        if self.defect.is("no-challenge") {
            return reply;
        }
        reply.with("WWW-Authenticate", format!("OAuth realm=\"Faulty\", oauth_problem=\"{problem}\""))
    }

    pub fn issue(&self, body: String) -> Reply {
        let reply = Reply::new(200, "application/x-www-form-urlencoded", body);
        if self.defect.is("secrets-cached") {
            reply.with("Cache-Control", "max-age=3600")
        } else {
            reply.with("Cache-Control", "no-store")
        }
    }

    // ---- verification ----

    pub fn verify(&self, request: &Request, wanted: Wanted) -> Result<Verified, Refusal> {
        let defect = self.defect;
        let parameters = self.collect(request)?;
        let get = |name: &str| {
            let mut found = parameters.protocol.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
            if defect.is("protocol-duplicates") { found.next_back() } else { found.next() }
        };
        for (name, _) in &parameters.protocol {
            if parameters.protocol.iter().filter(|(n, _)| n == name).count() > 1
                && !defect.is("protocol-duplicates")
                && !defect.is("two-places")
            {
                return refuse(400, "parameter_rejected");
            }
        }
        let method = get("oauth_signature_method").unwrap_or_default();
        let mut required = vec!["oauth_consumer_key", "oauth_signature_method", "oauth_signature"];
        if method != "PLAINTEXT" {
            required.push("oauth_timestamp");
            if !defect.is("nonce-missing") {
                required.push("oauth_nonce");
            }
        }
        if wanted == Wanted::Temporary {
            required.push("oauth_token");
        }
        let missing: Vec<&str> = required.into_iter().filter(|n| get(n).is_none_or(str::is_empty)).collect();
        let unsigned = defect.is("two-legged-unchecked") && get("oauth_token").is_none();
        if !missing.is_empty() && (!unsigned || missing != ["oauth_signature"]) {
            return Err(Refusal(400, "parameter_absent", format!("&oauth_parameters_absent={}", missing.join("%26"))));
        }
        if get("oauth_version").is_some_and(|v| v != "1.0") && !defect.is("version-unchecked") {
            return refuse(400, "version_rejected");
        }
        let known = ["HMAC-SHA1", "HMAC-SHA256", "HMAC-SHA512", "RSA-SHA1", "RSA-SHA256", "RSA-SHA512", "PLAINTEXT"];
        if !known.contains(&method) && !defect.is("unknown-method-is-hmac") {
            return refuse(400, "signature_method_rejected");
        }
        let nonce = get("oauth_nonce").unwrap_or_default();
        if nonce.chars().count() > 255 {
            return refuse(400, "parameter_rejected");
        }
        let stamp = self.timestamp(get("oauth_timestamp"))?;

        let (key, token) = (get("oauth_consumer_key").unwrap_or_default(), get("oauth_token").unwrap_or_default());
        let (secret, rsa, disabled) = {
            let store = self.lock();
            match store.client(key) {
                Some(client) => (client.secret, client.rsa.clone(), client.disabled),
                None => return refuse(401, "consumer_key_unknown"),
            }
        };
        let token_secret = self.token_secret(key, token, wanted)?;
        let base = self.base_string(request, &parameters);
        let signature = get("oauth_signature").unwrap_or_default();
        if defect.is("nonce-burnt-by-strangers") {
            self.remember(&format!("{key} {token} {stamp} {nonce}"))?;
        }
        let good = self.signature_is_good(method, &base, secret, &token_secret, rsa.as_ref(), signature);
        if !good && !unsigned {
            let extra = if defect.is("secret-in-error") {
                format!("&oauth_problem_advice={}", escape(&format!("key {}", escape(secret))))
            } else {
                String::new()
            };
            return Err(Refusal(401, "signature_invalid", extra));
        }
        self.body_hash(request, &parameters, method)?;
        if disabled && !defect.is("disabled-client-works") {
            return refuse(403, "consumer_key_refused");
        }
        let bare = method == "PLAINTEXT" && nonce.is_empty();
        if !bare && !defect.is("nonce-burnt-by-strangers") {
            let key =
                if defect.is("nonce-alone") { nonce.to_owned() } else { format!("{key} {token} {stamp} {nonce}") };
            self.remember(&key)?;
        }
        let all = parameters.query.into_iter().chain(parameters.form).chain(parameters.protocol.clone()).collect();
        Ok(Verified { client: key.to_owned(), token: token.to_owned(), parameters: all })
    }

    fn timestamp(&self, text: Option<&str>) -> Result<String, Refusal> {
        let Some(text) = text else { return Ok(String::new()) };
        let refused = || {
            Refusal(
                401,
                "timestamp_refused",
                format!("&oauth_acceptable_timestamps={}-{}", now() - WINDOW, now() + WINDOW),
            )
        };
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return if self.defect.is("timestamp-not-a-number") {
                Ok(text.to_owned())
            } else {
                refuse(400, "parameter_rejected")
            };
        }
        let stamp: i64 = text.parse().map_err(|_| refused())?;
        let (early, late) = (stamp < now() - WINDOW, stamp > now() + WINDOW);
        if (early || late)
            && !self.defect.is("timestamp-unchecked")
            && !(late && self.defect.is("timestamp-from-the-future"))
        {
            return Err(refused());
        }
        Ok(text.to_owned())
    }

    fn remember(&self, key: &str) -> Result<(), Refusal> {
        if self.defect.is("nonce-unchecked") {
            return Ok(());
        }
        if self.defect.is("nonce-race") {
            if self.lock().nonces.contains(key) {
                return refuse(401, "nonce_used");
            }
            thread::sleep(Duration::from_millis(30));
            self.lock().nonces.insert(key.to_owned());
            return Ok(());
        }
        if self.lock().nonces.insert(key.to_owned()) { Ok(()) } else { refuse(401, "nonce_used") }
    }

    fn token_secret(&self, client: &str, token: &str, wanted: Wanted) -> Result<String, Refusal> {
        let defect = self.defect;
        let store = self.lock();
        if token.is_empty() || wanted == Wanted::Nothing {
            return Ok(String::new());
        }
        let temporary = store.temporary.get(token);
        let access = store.access.get(token);
        let loose = defect.is("token-of-another-client");
        let found = match wanted {
            Wanted::Temporary => match (temporary, access) {
                (Some(t), _) if t.client == client || defect.is("exchange-by-another-client") => Some(t.secret.clone()),
                (_, Some(a)) if defect.is("access-as-temporary") => Some(a.secret.clone()),
                _ => None,
            },
            _ => match (access, temporary) {
                (Some(a), _) if a.client == client || loose => Some(a.secret.clone()),
                (_, Some(t)) if defect.is("temporary-as-access") => Some(t.secret.clone()),
                _ => None,
            },
        };
        found.map_or_else(|| refuse(401, "token_rejected"), Ok)
    }

    // ---- parameters and base string ----

    fn collect(&self, request: &Request) -> Result<Parameters, Refusal> {
        let defect = self.defect;
        let latin1 = defect.is("latin1");
        let bad = || Refusal(400, "parameter_rejected", String::new());
        let query = pairs(&request.query, !defect.is("plus-not-space"), latin1).ok_or_else(bad)?;
        let mut form = Vec::new();
        if request.is_form() {
            let text = std::str::from_utf8(&request.body).map_err(|_| bad())?;
            form = pairs(text, !defect.is("plus-not-space-in-body"), latin1).ok_or_else(bad)?;
        } else if defect.is("json-body-signed") && !request.body.is_empty() {
            form = vec![(String::from_utf8_lossy(&request.body).into_owned(), String::new())];
        }
        let mut header = Vec::new();
        if request.count("authorization") > 1 {
            return Err(bad());
        }
        let scheme_is_ours = |value: &str| {
            let scheme = value.split(' ').next().unwrap_or_default();
            if defect.is("scheme-case") { scheme == "OAuth" } else { scheme.eq_ignore_ascii_case("oauth") }
        };
        if let Some(value) = request.header("authorization").filter(|v| scheme_is_ours(v)) {
            header = self.header_parameters(value.get(5..).unwrap_or_default()).ok_or_else(bad)?;
        }
        let is_protocol = |name: &String| name.starts_with("oauth_");
        let mut places = vec![header];
        let mut rest = Vec::new();
        for (place, pairs) in [(0, query), (1, form)] {
            if place == 0 && defect.is("query-parameters-refused") {
                rest.push(pairs);
                places.push(vec![]);
                continue;
            }
            let (protocol, own): (Vec<Pair>, Vec<Pair>) = pairs.into_iter().partition(|(n, _)| is_protocol(n));
            places.push(protocol);
            rest.push(own);
        }
        // Several places are let through while no name repeats; the check for duplicates follows.
        let mut protocol: Vec<Pair> = Vec::new();
        for place in places {
            for pair in place {
                if defect.is("two-places") && protocol.iter().any(|(n, _)| *n == pair.0) {
                    continue;
                }
                protocol.push(pair);
            }
        }
        let form = rest.pop().unwrap_or_default();
        let query = rest.pop().unwrap_or_default();
        Ok(Parameters { query, form, protocol })
    }

    fn header_parameters(&self, text: &str) -> Option<Vec<Pair>> {
        let defect = self.defect;
        let mut found = Vec::new();
        for piece in text.split(',') {
            let piece = if defect.is("white-space") { piece.strip_prefix(' ').unwrap_or(piece) } else { piece.trim() };
            if piece.is_empty() {
                continue;
            }
            let (name, value) = piece.split_once('=')?;
            let value = value.strip_prefix('"')?.strip_suffix('"')?;
            if name.eq_ignore_ascii_case("realm") {
                if defect.is("realm-signed") {
                    found.push((name.to_owned(), value.to_owned()));
                }
                continue;
            }
            let plain = if defect.is("header-not-decoded") {
                value.to_owned()
            } else {
                unescape(value, false, defect.is("latin1"))?
            };
            found.push((unescape(name, false, false)?, plain));
        }
        Some(found)
    }

    fn base_string(&self, request: &Request, parameters: &Parameters) -> String {
        let defect = self.defect;
        let mut all: Vec<Pair> = parameters.protocol.iter().filter(|(n, _)| n != "oauth_signature").cloned().collect();
        if !defect.is("query-left-out") {
            all.extend(parameters.query.iter().cloned());
        }
        if !defect.is("body-left-out") {
            all.extend(parameters.form.iter().cloned());
        }
        if defect.is("empty-left-out") {
            all.retain(|(_, v)| !v.is_empty());
        }
        if defect.is("duplicates-dropped") {
            let mut seen = Vec::new();
            all.retain(|(n, _)| {
                let new = !seen.contains(n);
                seen.push(n.clone());
                new
            });
        }
        let enc = |text: &str| if defect.is("tilde-encoded") { escape(text).replace('~', "%7E") } else { escape(text) };
        if defect.is("sorted-before-encoding") {
            all.sort();
        }
        let mut encoded: Vec<Pair> = all.iter().map(|(n, v)| (enc(n), enc(v))).collect();
        if defect.is("values-unsorted") {
            encoded.sort_by(|a, b| a.0.cmp(&b.0));
        } else if !defect.is("sorted-before-encoding") {
            encoded.sort();
        }
        let joined: Vec<String> = encoded.into_iter().map(|(n, v)| format!("{n}={v}")).collect();
        let method = if defect.is("method-not-signed") { "GET" } else { &request.method };
        let mut path = request.path.clone();
        if defect.is("path-decoded") {
            path = unescape(&path, false, false).unwrap_or(path);
        }
        if defect.is("path-lower-case") {
            path = path.to_lowercase();
        }
        let mut host = request.header("host").unwrap_or_default().to_ascii_lowercase();
        if defect.is("port-left-out") {
            host = host.split(':').next().unwrap_or_default().to_owned();
        }
        format!("{}&{}&{}", escape(method), escape(&format!("http://{host}{path}")), escape(&joined.join("&")))
    }

    // ---- signatures ----

    fn signature_is_good(
        &self,
        method: &str,
        base: &str,
        secret: &str,
        token_secret: &str,
        rsa: Option<&RsaPublicKey>,
        given: &str,
    ) -> bool {
        let defect = self.defect;
        if defect.is("signature-unchecked") {
            return true;
        }
        let enc = |text: &str| if defect.is("secrets-not-encoded") { text.to_owned() } else { escape(text) };
        let bare = defect.is("token-secret-ignored")
            || (defect.is("token-secret-ignored-in-plaintext") && method == "PLAINTEXT");
        let key = format!("{}&{}", enc(secret), if bare { String::new() } else { enc(token_secret) });
        let expected = match method {
            "PLAINTEXT" => key,
            "HMAC-SHA256" if defect.is("hmac-sha256-is-sha1") => mac::<Hmac<Sha1>>(&key, base),
            "HMAC-SHA256" => mac::<Hmac<Sha256>>(&key, base),
            "HMAC-SHA512" => mac::<Hmac<Sha512>>(&key, base),
            "RSA-SHA1" | "RSA-SHA256" | "RSA-SHA512" if defect.is("rsa-needs-secret") => {
                mac::<Hmac<Sha1>>("public", base)
            }
            "RSA-SHA1" | "RSA-SHA256" | "RSA-SHA512" => {
                return defect.is("rsa-unchecked") || rsa.is_some_and(|k| rsa_is_good(k, method, base, given));
            }
            _ => mac::<Hmac<Sha1>>(&key, base),
        };
        if defect.is("signature-case-ignored") {
            return expected.eq_ignore_ascii_case(given);
        }
        if defect.is("signature-prefix") {
            return !given.is_empty() && expected.starts_with(given.trim_end_matches('='));
        }
        expected == given
    }

    fn body_hash(&self, request: &Request, parameters: &Parameters, method: &str) -> Result<(), Refusal> {
        let defect = self.defect;
        let Some((_, given)) = parameters.protocol.iter().find(|(n, _)| n == "oauth_body_hash") else { return Ok(()) };
        if request.is_form() && !defect.is("body-hash-with-form") {
            return refuse(400, "parameter_rejected");
        }
        let digest = match method {
            _ if defect.is("body-hash-sha1") => Sha1::digest(&request.body).to_vec(),
            m if m.ends_with("256") => Sha256::digest(&request.body).to_vec(),
            m if m.ends_with("512") => Sha512::digest(&request.body).to_vec(),
            _ => Sha1::digest(&request.body).to_vec(),
        };
        if STANDARD.encode(digest) == *given || defect.is("body-hash-unchecked") {
            Ok(())
        } else {
            refuse(401, "signature_invalid")
        }
    }

    // ---- endpoints ----

    pub fn initiate(&self, request: &Request) -> Reply {
        self.answer(self.try_initiate(request))
    }

    fn answer(&self, result: Result<String, Refusal>) -> Reply {
        match result {
            Ok(body) => self.issue(body),
            Err(refusal) => self.refusal(refusal, false),
        }
    }

    fn try_initiate(&self, request: &Request) -> Result<String, Refusal> {
        let verified = self.verify(request, Wanted::Nothing)?;
        let get = |name: &str| verified.parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let callback = match get("oauth_callback").filter(|c| !c.is_empty()) {
            Some(callback) => callback,
            None if self.defect.is("callback-missing") => "oob".to_owned(),
            None => return Err(Refusal(400, "parameter_absent", "&oauth_parameters_absent=oauth_callback".into())),
        };
        let mut store = self.lock();
        let client = store.client(&verified.client);
        let registered = client.and_then(|c| c.callback);
        if !self.callback_is_good(&callback, registered) {
            return refuse(400, "parameter_rejected");
        }
        let scope = get("scope").unwrap_or_default();
        if scope.split([' ', ',']).any(|s| !s.is_empty() && !client.is_some_and(|c| c.scopes.contains(&s))) {
            return refuse(403, "additional_authorization_required");
        }
        let (token, secret) = (store.new_token(self.defect), random());
        let temporary = Temporary {
            client: verified.client,
            secret: secret.clone(),
            callback,
            scope,
            stage: Stage::Fresh,
            failures: 0,
        };
        store.temporary.insert(token.clone(), temporary);
        let confirmed = if self.defect.is("callback-not-confirmed") { "" } else { "&oauth_callback_confirmed=true" };
        Ok(format!("oauth_token={token}&oauth_token_secret={secret}{confirmed}"))
    }

    fn callback_is_good(&self, callback: &str, registered: Option<&str>) -> bool {
        let defect = self.defect;
        if defect.is("callback-unchecked") || callback == "oob" {
            return callback == "oob" || !callback.starts_with("javascript:");
        }
        if defect.is("callback-javascript") && !callback.starts_with("http") {
            return true;
        }
        let Some(registered) = registered else { return false };
        let host = |url: &str| {
            url.split("://").nth(1).unwrap_or_default().split(['/', '?']).next().unwrap_or_default().to_owned()
        };
        if defect.is("callback-host") {
            return host(callback) == host(registered);
        }
        if defect.is("callback-prefix") {
            return callback.starts_with(registered.split('?').next().unwrap_or_default());
        }
        let without_port = |url: &str| {
            let host = host(url);
            let bare = host.rsplit_once(':').map_or(host.clone(), |(h, _)| h.to_owned());
            let good_port = host.rsplit_once(':').is_none_or(|(_, p)| p.parse::<u16>().is_ok());
            if bare == "127.0.0.1" && good_port { url.replacen(&host, &bare, 1) } else { url.to_owned() }
        };
        without_port(callback) == without_port(registered)
    }

    pub fn exchange(&self, request: &Request) -> Reply {
        self.answer(self.try_exchange(request))
    }

    fn try_exchange(&self, request: &Request) -> Result<String, Refusal> {
        let defect = self.defect;
        let verified = self.verify(request, Wanted::Temporary)?;
        let given = verified.parameters.iter().find(|(n, _)| n == "oauth_verifier").map(|(_, v)| v.clone());
        let mut store = self.lock();
        let Some(temporary) = store.temporary.get(&verified.token).cloned() else {
            let access = store.access.get(&verified.token).cloned();
            return match access {
                Some(access) => Ok(self.new_access(&mut store, &verified.client, &access.account, &access.scope)),
                None => refuse(401, "token_rejected"),
            };
        };
        let account = match &temporary.stage {
            Stage::Approved { account, verifier } => {
                let good = match &given {
                    None => defect.is("verifier-missing"),
                    Some(_) if defect.is("verifier-unchecked") => true,
                    Some(g) if defect.is("verifier-prefix") => !g.is_empty() && verifier.starts_with(g.as_str()),
                    Some(g) if defect.is("verifier-of-another") => store.verifiers.contains(g),
                    Some(g) => g == verifier,
                };
                if given.as_ref().is_none_or(String::is_empty) && !good {
                    return Err(Refusal(400, "parameter_absent", "&oauth_parameters_absent=oauth_verifier".into()));
                }
                if !good {
                    if let Some(kept) = store.temporary.get_mut(&verified.token) {
                        kept.failures += 1;
                        if kept.failures >= 5 {
                            kept.stage = Stage::Used;
                        }
                    }
                    return refuse(401, "verifier_invalid");
                }
                account.clone()
            }
            Stage::Fresh if defect.is("unapproved-exchange") => "ada@example.com".to_owned(),
            Stage::Denied if defect.is("denied-exchange") => "ada@example.com".to_owned(),
            Stage::Used if defect.is("exchange-twice") => "ada@example.com".to_owned(),
            Stage::Used => return refuse(401, "token_used"),
            Stage::Fresh => return refuse(401, "permission_unknown"),
            Stage::Denied => return refuse(401, "permission_denied"),
        };
        if defect.is("exchange-race") {
            drop(store);
            thread::sleep(Duration::from_millis(30));
            store = self.lock();
        }
        if let Some(kept) = store.temporary.get_mut(&verified.token) {
            kept.stage = Stage::Used;
        }
        Ok(self.new_access(&mut store, &verified.client, &account, &temporary.scope))
    }

    fn new_access(&self, store: &mut Store, client: &str, account: &str, scope: &str) -> String {
        let (token, secret) = (store.new_token(self.defect), random());
        let access = Access {
            client: client.into(),
            secret: secret.clone(),
            account: account.into(),
            scope: scope.into(),
            revoked: false,
        };
        store.access.insert(token.clone(), access);
        format!("oauth_token={token}&oauth_token_secret={secret}&scope={}&username={}", escape(scope), escape(account))
    }

    pub fn revoke(&self, request: &Request) -> Reply {
        let verified = self.verify(request, Wanted::Access).and_then(|v| self.live(v));
        match verified {
            Err(refusal) => self.refusal(refusal, false),
            Ok(verified) => {
                if let Some(access) = self.lock().access.get_mut(&verified.token) {
                    access.revoked = true;
                }
                Reply::new(200, "text/plain", "")
            }
        }
    }

    fn live(&self, verified: Verified) -> Result<Verified, Refusal> {
        let revoked = self.lock().access.get(&verified.token).is_some_and(|a| a.revoked);
        if revoked && !self.defect.is("token-revoked-works") { refuse(401, "token_revoked") } else { Ok(verified) }
    }

    /// Account and credential of a signed request at the resource.
    pub fn identify(&self, request: &Request) -> Result<(String, String), Refusal> {
        let verified = self.verify(request, Wanted::Access).and_then(|v| self.live(v))?;
        let store = self.lock();
        let owner = || store.client(&verified.client).map(|c| c.owner.to_owned());
        let account = match store.access.get(&verified.token) {
            Some(access) => Some(access.account.clone()),
            None => owner(),
        };
        Ok((account.unwrap_or_default(), verified.client.clone()))
    }
}

struct Parameters {
    query: Vec<Pair>,
    form: Vec<Pair>,
    protocol: Vec<Pair>,
}

fn mac<M: Mac + KeyInit>(key: &str, text: &str) -> String {
    let made =
        <M as KeyInit>::new_from_slice(key.as_bytes()).map(|m| m.chain_update(text).finalize().into_bytes().to_vec());
    STANDARD.encode(made.unwrap_or_default())
}

fn rsa_is_good(key: &RsaPublicKey, method: &str, base: &str, given: &str) -> bool {
    let Ok(signature) = STANDARD.decode(given) else { return false };
    let (digest, prefix): (Vec<u8>, &[u8]) = match method {
        "RSA-SHA256" => (
            Sha256::digest(base).to_vec(),
            &[0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20],
        ),
        "RSA-SHA512" => (
            Sha512::digest(base).to_vec(),
            &[0x30, 0x51, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3, 5, 0, 4, 0x40],
        ),
        _ => (Sha1::digest(base).to_vec(), &[0x30, 0x21, 0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0, 4, 0x14]),
    };
    let padding = Pkcs1v15Sign { hash_len: Some(digest.len()), prefix: prefix.into() };
    key.verify(padding, &digest, &signature).is_ok()
}
