//! Plays the steps of one case: fills in variables, draws up requests as an honest client would, sends them and judges the answers.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};
use toml::{Table, Value};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::browser::{Browser, Changes, Decision, Prepared};
use crate::case::{Again, Call, Consent, Csrf, Dance, Digest, Forge, Open, Plain, Raw, Step, Submit, Until};
use crate::challenge::{Challenge, challenges};
use crate::encoding::Pair;
use crate::http::{HttpError, Origin, Response};
use crate::judge::{Check, Expectation, Outcome, issued, subject};
use crate::line::{Exchange, Line};
use crate::run::{Run, Saved, random_text};
use crate::signer::{Keys, SignatureMethod};
use crate::target::{Client, How};
use crate::wire::{Draft, Tamper, alter, plain_request, write};
use crate::{consent, digest, forge, variables};

/// Why a case ends before its last step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The provider did something that it must not.
    Failed(String),
    /// Nothing can be learnt.
    Unclear(String),
    /// The target has not what the case needs.
    Skipped(String),
}

impl Stop {
    /// The reason.
    pub fn reason(&self) -> &str {
        match self {
            Stop::Failed(why) | Stop::Unclear(why) | Stop::Skipped(why) => why,
        }
    }
}

impl From<String> for Stop {
    fn from(why: String) -> Stop {
        Stop::Unclear(why)
    }
}

type Played<T = ()> = Result<T, Stop>;
type Answer = Result<Response, HttpError>;

/// One case being played.
#[derive(Debug)]
pub struct Player<'a> {
    run: &'a Run<'a>,
    line: Line<'a>,
    saved: HashMap<String, Saved>,
    kept: HashMap<String, (Origin, Vec<u8>, bool)>,
    browsers: HashMap<String, Browser>,
    challenges: HashMap<String, Challenge>,
    values: HashMap<String, String>,
    /// What `${now}` is: it stands still, so that two steps can name the same moment.
    began: i64,
}

impl<'a> Player<'a> {
    /// A player with nothing in its hands.
    pub fn new(run: &'a Run<'a>) -> Player<'a> {
        Player {
            run,
            line: Line::new(&run.network),
            saved: HashMap::new(),
            kept: HashMap::new(),
            browsers: HashMap::new(),
            challenges: HashMap::new(),
            values: HashMap::new(),
            began: now(),
        }
    }

    /// Credentials saved so far.
    pub fn saved(&self, name: &str) -> Option<&Saved> {
        self.saved.get(name)
    }

    /// What was said so far.
    pub fn transcript(&self) -> &[Exchange] {
        &self.line.transcript
    }

    /// What was said.
    pub fn into_transcript(self) -> Vec<Exchange> {
        self.line.transcript
    }

    /// Plays steps in order, up to the first that stops the case.
    pub fn play(&mut self, steps: &[Table]) -> Played {
        for (number, table) in steps.iter().enumerate() {
            let mut value = Value::Table(table.clone());
            variables::expand_value(&mut value, &|name| self.variable(name))?;
            let Value::Table(table) = value else { continue };
            let step = Step::read(&table).map_err(|why| Stop::Unclear(format!("step {}: {why}", number + 1)))?;
            let played = match step {
                Step::Call(step) => self.call(&step),
                Step::Again(step) => self.again(&step),
                Step::Dance(step) => self.dance(&step),
                Step::Consent(step) => self.consent(&step),
                Step::Open(step) => self.open(&step),
                Step::Submit(step) => self.submit(&step),
                Step::Plain(step) => self.plain(&step),
                Step::Digest(step) => self.digest(&step),
                Step::Forge(step) => self.forge(&step),
                Step::Raw(step) => self.raw(&step),
            };
            played.map_err(|stop| at_step(stop, number + 1, steps.len()))?;
        }
        Ok(())
    }

    // ---- variables ----

    /// The value of `${name}`.
    fn variable(&self, name: &str) -> Played<String> {
        if let Some(value) = self.values.get(name) {
            return Ok(value.clone());
        }
        if let Some(value) = self.run.target.texts.get(name) {
            return Ok(value.clone());
        }
        let (head, rest) = name.split_once('.').unwrap_or((name, ""));
        if let Some(saved) = self.saved.get(head) {
            return Ok(saved_field(saved, rest));
        }
        match head {
            "token" => return Ok(saved_field(&self.token(if rest.contains('.') { rest } else { name })?, rest)),
            "basic" => {
                let account = self.run.target.account.get(rest);
                let account =
                    account.ok_or_else(|| Stop::Skipped(format!("the target file has no account `{rest}`")))?;
                return Ok(STANDARD.encode(format!("{}:{}", account.username, account.password)));
            }
            "nonce" | "random" => return Ok(random_text(24)),
            "host" => return Ok(self.endpoint("resource")?.0.authority()),
            "path" => return Ok(self.endpoint(if rest.is_empty() { "resource" } else { rest })?.1),
            "address" => {
                let (origin, path) = self.endpoint(if rest.is_empty() { "resource" } else { rest })?;
                return Ok(format!("{}{path}", origin.address()));
            }
            _ => {}
        }
        if let Some(offset) = name.strip_prefix("now") {
            let offset: i64 =
                if offset.is_empty() { 0 } else { offset.parse().map_err(|_| format!("`{name}` is no time"))? };
            return Ok((self.began + offset).to_string());
        }
        if let Some((what, times)) = name.strip_prefix("repeat:").and_then(|r| r.split_once(':')) {
            let times: usize = times.parse().map_err(|_| format!("`{name}` is no repetition"))?;
            return Ok(what.repeat(times));
        }
        if ["client.", "account.", "api_key.", "value.", "endpoints."].iter().any(|p| name.starts_with(p)) {
            return Err(Stop::Skipped(format!("the target file has no `{name}`")));
        }
        Err(Stop::Unclear(format!("no variable is called `{name}`")))
    }

    fn token(&self, name: &str) -> Played<Saved> {
        let client = name.strip_prefix("token").and_then(|r| r.strip_prefix('.')).unwrap_or("main");
        let client = if self.run.target.client.contains_key(client) { client } else { "main" };
        let token = self
            .run
            .shared_token(client)
            .map_err(|why| Stop::Unclear(format!("no access token for client `{client}`: {why}")))?;
        self.run.hide(&token.secret);
        Ok(token)
    }

    fn endpoint(&self, name: &str) -> Played<(Origin, String)> {
        self.run.target.endpoint(name).ok_or_else(|| Stop::Skipped(format!("the target has no endpoint `{name}`")))
    }

    /// The credentials that a name stands for. Client credentials have neither token nor secret.
    fn credentials(&self, name: &str) -> Played<Saved> {
        if let Some(saved) = self.saved.get(name) {
            return Ok(saved.clone());
        }
        if name == "token" || name.starts_with("token.") {
            if let Some(client) = name.strip_prefix("token.")
                && !self.run.target.client.contains_key(client)
            {
                return Err(Stop::Skipped(format!("the target file has no client `{client}`")));
            }
            return self.token(name);
        }
        match name.strip_prefix("client.") {
            Some(client) => Ok(Saved { client: client.to_owned(), ..Saved::default() }),
            None => Err(Stop::Unclear(format!("no credentials are called `{name}`"))),
        }
    }

    // ---- signed calls ----

    fn call(&mut self, step: &Call) -> Played {
        let (grants, name) = (matches!(step.at.as_str(), "initiate" | "token"), step.credentials.as_deref());
        let default = match step.at.as_str() {
            "initiate" => "client.main",
            "token" => "temp",
            _ => "token",
        };
        let credentials = self.credentials(name.unwrap_or(default))?;
        let refusal = !step.expect.list().is_empty()
            && step.expect.list().iter().all(|e| Expectation::parse(e).is_ok_and(|e| e.is_refusal()));
        if refusal && step.control && is_unusual(step) && step.at != "token" && step.at != "revoke" {
            self.require_honest_twin(step, &credentials, grants)?;
        }
        let mut requests = Vec::new();
        let mut origin = None;
        for _ in 0..step.race.max(1) {
            let (place, request) = self.draw_up(step, &credentials)?;
            origin = Some(place);
            requests.push(request);
        }
        if step.same_bytes
            && let Some(first) = requests.first().cloned()
        {
            requests.fill(first);
        }
        let origin = origin.ok_or("nothing to send".to_owned())?;
        let note = format!("{} the {} endpoint, signed", if step.race > 1 { "race to" } else { "call" }, step.at);
        if step.race > 1 {
            let answers = self.line.race(&note, &origin, requests);
            return count_winners(&answers, grants, &step.winners);
        }
        let request = requests.pop().unwrap_or_default();
        if let Some(keep) = &step.keep {
            self.kept.insert(keep.clone(), (origin.clone(), request.clone(), grants));
        }
        let answer = self.line.send(&note, &origin, request);
        if let Some(save) = &step.save
            && let Some((token, secret)) = answer.as_ref().ok().and_then(issued)
        {
            self.run.hide(&secret);
            let callback =
                step.set.get("oauth_callback").cloned().unwrap_or_else(|| self.registered(&credentials.client));
            self.saved.insert(
                save.clone(),
                Saved { client: credentials.client, token, secret, callback, ..Saved::default() },
            );
        }
        self.judge(&answer, grants, step.expect.list(), &step.check)
    }

    /// A refusal proves something only if the same request without what is wrong with it is accepted.
    fn require_honest_twin(&mut self, step: &Call, credentials: &Saved, grants: bool) -> Played {
        let twin = Call {
            set: BTreeMap::new(),
            add: vec![],
            drop: vec![],
            mistakes: vec![],
            style: vec![],
            then: Tamper::default(),
            headers: vec![],
            keep: None,
            save: None,
            by: None,
            race: 1,
            same_bytes: false,
            ..step.clone()
        };
        let kind = format!("{} {:?} {twin:?}", credentials.client, credentials.token);
        let run = self.run;
        let refused = run.control(&kind, || match self.draw_up(&twin, credentials) {
            Err(stop) => Some(stop.reason().to_owned()),
            Ok((origin, request)) => {
                let outcome =
                    Outcome::of(&self.line.send("the honest twin of the next request", &origin, request), grants);
                if matches!(outcome, Outcome::Accepted(_)) { None } else { Some(outcome.describe()) }
            }
        });
        match refused {
            None => Ok(()),
            Some(why) => {
                Err(Stop::Unclear(format!("the same request without its fault is not accepted either: {why}")))
            }
        }
    }

    /// What an honest client would send, with the deviations that the step names.
    fn draw_up(&self, step: &Call, credentials: &Saved) -> Played<(Origin, Vec<u8>)> {
        let target = self.run.target;
        let (origin, path) = self.endpoint(&step.at)?;
        let signer = step.by.as_deref().unwrap_or(&credentials.client);
        let client = target
            .client
            .get(signer)
            .ok_or_else(|| Stop::Skipped(format!("the target file has no client `{signer}`")))?;
        let name = step.signature.clone().unwrap_or_else(|| target.signature.clone());
        let default =
            SignatureMethod::parse(&target.signature).unwrap_or(SignatureMethod::Hmac(crate::signer::Hash::Sha1));
        let signature_method = SignatureMethod::parse(&name).unwrap_or(default);
        let rsa = target.rsa_keys.get(signer).cloned();
        if matches!(signature_method, SignatureMethod::Rsa(_)) && rsa.is_none() {
            return Err(Stop::Skipped(format!("the target file has no RSA key for client `{signer}`")));
        }

        let protocol = protocol_parameters(step, credentials, client, name, signature_method);
        let keys = Keys { client_secret: client.secret.clone(), token_secret: credentials.secret.clone(), rsa };
        if signature_method == SignatureMethod::Plaintext {
            for secret in [&keys.client_secret, &keys.token_secret] {
                self.run.hide(secret);
            }
        }
        let draft = Draft {
            method: step.method.clone().unwrap_or_else(|| target.method(&step.at).to_owned()),
            origin: origin.clone(),
            path: format!("{path}{}", step.path),
            query: step.query.clone(),
            form: step.form.clone(),
            body: step.body.clone(),
            content_type: step.content_type.clone(),
            headers: target.headers.iter().chain(&step.headers).cloned().collect(),
            protocol,
            signature_method,
            via: step.via,
            styles: step.style.clone(),
            mistakes: step.mistakes.clone(),
        };
        let request = write(&draft, &keys, &step.then).map_err(Stop::Unclear)?;
        Ok((origin, request))
    }

    fn again(&mut self, step: &Again) -> Played {
        let (origin, request, grants) =
            self.kept.get(&step.of).cloned().ok_or_else(|| format!("no request was kept as `{}`", step.of))?;
        if step.race > 1 {
            let answers = self.line.race("send the same bytes", &origin, vec![request; step.race]);
            return count_winners(&answers, grants, &step.winners);
        }
        let answer = self.line.send("send the same bytes again", &origin, request);
        self.judge(&answer, grants, step.expect.list(), &step.check)
    }

    // ---- the dance ----

    /// The dance, or a part of it. Public for the token that all cases share.
    pub fn dance(&mut self, step: &Dance) -> Played {
        let registered = self.registered(&step.client);
        let callback = step.callback.clone().unwrap_or(registered);
        let set = BTreeMap::from([("oauth_callback".to_owned(), callback.clone())]);
        let form = step.scope.as_ref().map(|s| format!("scope={}", crate::encoding::encode(s)));
        let client = format!("client.{}", step.client);
        let call = Call { at: "initiate".into(), credentials: Some(client), set, form, ..Call::default() };
        let mut saved = self.obtain(&call, "temporary credentials")?;
        saved.callback = callback.clone();
        if step.until != Until::Temporary {
            let target = self.run.target;
            if target.consent.how == How::None {
                return Err(Stop::Skipped("the target file has no way to get consent".into()));
            }
            if target.consent.how == How::Ask && step.save != "shared" {
                return Err(Stop::Skipped("it needs a consent of its own, and a person is asked only once".into()));
            }
            let decision = consent::decide(target, &mut self.line, &saved.token, &callback, &step.account, true);
            match decision.map_err(|why| Stop::Unclear(format!("no consent: {why}")))? {
                Decision::Granted { verifier, callback } => {
                    self.run.hide(&verifier);
                    saved.verifier = verifier;
                    saved.reached = callback;
                }
                other => return Err(Stop::Unclear(format!("no consent: {other:?}"))),
            }
        }
        if step.until == Until::Token {
            self.saved.insert(step.save.clone(), saved.clone());
            let call = Call { at: "token".into(), credentials: Some(step.save.clone()), ..Call::default() };
            saved = self.obtain(&call, "an access token")?;
        }
        self.saved.insert(step.save.clone(), saved);
        Ok(())
    }

    fn obtain(&mut self, call: &Call, what: &str) -> Played<Saved> {
        let credentials = self.credentials(call.credentials.as_deref().unwrap_or_default())?;
        let (origin, request) = self.draw_up(call, &credentials)?;
        let answer = self.line.send(&format!("get {what}"), &origin, request);
        match answer.as_ref().ok().filter(|r| r.status == 200).and_then(issued) {
            Some((token, secret)) => {
                self.run.hide(&secret);
                Ok(Saved { client: credentials.client, token, secret, ..Saved::default() })
            }
            None => Err(Stop::Unclear(format!("{what} were not to be had: {}", Outcome::of(&answer, true).describe()))),
        }
    }

    fn registered(&self, client: &str) -> String {
        self.run.target.client.get(client).map_or_else(|| "oob".into(), |c| c.callback.clone())
    }

    fn consent(&mut self, step: &Consent) -> Played {
        let saved = self.credentials(&step.of)?;
        if !matches!(self.run.target.consent.how, How::Forms | How::Command) {
            return Err(Stop::Skipped("it needs a consent of its own".into()));
        }
        if !self.run.target.account.contains_key(&step.account) {
            return Err(Stop::Skipped(format!("the target file has no account `{}`", step.account)));
        }
        let decision =
            consent::decide(self.run.target, &mut self.line, &saved.token, &saved.callback, &step.account, step.allow)
                .map_err(Stop::Unclear)?;
        self.decided(decision, Some(&step.of), step.expect.list(), &step.check)
    }

    /// Keeps what a decision brought and judges it.
    fn decided(&mut self, decision: Decision, save: Option<&str>, expect: &[String], checks: &[String]) -> Played {
        let outcome = match &decision {
            Decision::Granted { verifier, callback } => {
                self.run.hide(verifier);
                if let Some(saved) = save.and_then(|name| self.saved.get_mut(name)) {
                    saved.verifier.clone_from(verifier);
                    saved.reached.clone_from(callback);
                }
                Outcome::Granted
            }
            Decision::Denied { callback } => {
                if let Some(saved) = save.and_then(|name| self.saved.get_mut(name)) {
                    saved.reached.clone_from(callback);
                }
                Outcome::Denied
            }
            Decision::Refused(status) => Outcome::Refused(*status),
        };
        expected(&outcome, expect)?;
        let last = self.line.transcript.last().and_then(|e| e.answer.clone().ok());
        last.map_or(Ok(()), |response| self.checks(&response, checks))
    }

    // ---- pages ----

    fn open(&mut self, step: &Open) -> Played {
        if self.run.target.consent.how != How::Forms {
            return Err(Stop::Skipped("the target's pages are not walked by the suite".into()));
        }
        let (origin, path) = self.endpoint(&step.at)?;
        let target = if step.query.is_empty() { path } else { format!("{path}?{}", step.query) };
        let account = match &step.login {
            None => None,
            Some(name) => match self.run.target.account.get(name) {
                Some(account) => Some(account),
                None => return Err(Stop::Skipped(format!("the target file has no account `{name}`"))),
            },
        };
        let planted = step.like.as_ref().and_then(|jar| self.browsers.get(jar)).cloned();
        let mut browser = planted.or_else(|| self.browsers.remove(&step.jar)).unwrap_or_default();
        browser.open(&mut self.line, &origin, &target, &step.headers).map_err(Stop::Unclear)?;
        if let Some(account) = account {
            browser.log_in(&mut self.line, &self.run.target.consent, account).map_err(Stop::Unclear)?;
        }
        let page = browser.page().cloned().ok_or("no page came".to_owned())?;
        self.browsers.insert(step.jar.clone(), browser);
        self.judge(&Ok(page), false, step.expect.list(), &step.check)
    }

    fn submit(&mut self, step: &Submit) -> Played {
        let settings = &self.run.target.consent;
        let mut browser =
            self.browsers.get(&step.jar).cloned().ok_or_else(|| format!("no page is open in `{}`", step.jar))?;
        let mut changes = Changes {
            set: step.set.iter().map(|(n, v)| (n.clone(), v.clone())).collect(),
            drop: step.drop.clone(),
            headers: step.headers.clone(),
            cookies: match step.cookies.as_deref() {
                None => None,
                Some("none") => Some(vec![]),
                Some(jar) => Some(
                    self.browsers.get(jar).map(|b| b.cookies().to_vec()).ok_or_else(|| format!("no jar `{jar}`"))?,
                ),
            },
            get: step.get,
        };
        match step.csrf {
            Csrf::Keep => {}
            Csrf::Drop => changes.drop.push(settings.csrf_field.clone()),
            Csrf::Wrong => changes.set.push((settings.csrf_field.clone(), random_text(43))),
        }
        let callback =
            step.save.as_ref().and_then(|name| self.saved.get(name)).map_or("oob".to_owned(), |s| s.callback.clone());
        let prepared = browser.prepare(settings, &step.press, &changes).map_err(Stop::Unclear)?;
        if step.race > 1 {
            let answers = self.line.race("race with the decision", &prepared.origin, vec![prepared.request; step.race]);
            let granted = |answer: &&Answer| {
                let Ok(response) = answer else { return false };
                let mut browser = Browser::default();
                browser.take(
                    &Prepared { origin: prepared.origin.clone(), target: prepared.target.clone(), request: vec![] },
                    response.clone(),
                );
                matches!(browser.decision(settings, &callback), Ok(Decision::Granted { .. }))
            };
            return winners(answers.iter().filter(granted).count(), &step.winners);
        }
        browser.go(&mut self.line, "submit the form", prepared).map_err(Stop::Unclear)?;
        let decides = step.expect.list().iter().any(|e| e.starts_with("granted") || e.starts_with("denied"));
        let page = browser.page().cloned().ok_or("no page came".to_owned())?;
        let decision = browser.decision(settings, &callback);
        self.browsers.insert(step.jar.clone(), browser);
        match decision {
            Ok(decision @ (Decision::Granted { .. } | Decision::Refused(_))) if decides => {
                self.decided(decision, step.save.as_deref(), step.expect.list(), &step.check)
            }
            Ok(decision @ Decision::Denied { .. }) if decides => {
                self.decided(decision, step.save.as_deref(), step.expect.list(), &step.check)
            }
            // A verifier where none may come is the worst that can happen, whatever else the page looks like.
            Ok(Decision::Granted { .. }) if !decides => Err(Stop::Failed("consent was recorded".into())),
            _ => self.judge(&Ok(page), false, step.expect.list(), &step.check),
        }
    }

    // ---- without OAuth ----

    fn plain(&mut self, step: &Plain) -> Played {
        let (origin, path) = self.endpoint(&step.at)?;
        let target = if step.query.is_empty() { path } else { format!("{path}?{}", step.query) };
        let mut headers: Vec<String> = self.run.target.headers.clone();
        if let Some(pair) = &step.basic {
            let encoded = STANDARD.encode(pair);
            self.run.hide(&encoded);
            headers.push(format!("Authorization: Basic {encoded}"));
        }
        if let Some(token) = &step.bearer {
            self.run.hide(token);
            headers.push(format!("Authorization: Bearer {token}"));
        }
        if let Some(content_type) = &step.content_type {
            headers.push(format!("Content-Type: {content_type}"));
        }
        headers.extend(step.headers.iter().cloned());
        let body = step.body.as_deref().map(str::as_bytes);
        let request = plain_request(&step.method, &target, &origin.authority(), headers, body, &step.style);
        let answer = self.line.send(&format!("call the {} endpoint", step.at), &origin, request);
        self.judge(&answer, false, step.expect.list(), &step.check)?;
        if let Ok(response) = &answer {
            for (name, what) in &step.save {
                let value =
                    subject(what, response, None).ok_or_else(|| Stop::Failed(format!("the answer has no `{what}`")))?;
                if what.contains("token") {
                    self.run.hide(&value);
                }
                self.values.insert(name.clone(), value);
            }
        }
        Ok(())
    }

    fn digest(&mut self, step: &Digest) -> Played {
        let (origin, path) = self.endpoint(&step.at)?;
        let target = if step.query.is_empty() { path } else { format!("{path}?{}", step.query) };
        let mut headers: Vec<String> = self.run.target.headers.clone();
        headers.extend(step.headers.iter().cloned());
        let known = step.challenge.as_ref().and_then(|name| self.challenges.get(name).cloned());
        let challenge = match known {
            Some(known) => known,
            None => self.digest_challenge(step, &origin, &target, headers.clone())?,
        };
        if let Some(name) = &step.challenge {
            self.challenges.insert(name.clone(), challenge.clone());
        }
        let value = digest::authorization(step, &challenge, &target, &random_text(16)).map_err(Stop::Failed)?;
        headers.push(format!("Authorization: {value}"));
        let body = step.sent_body.as_ref().or(step.body.as_ref());
        if body.is_some() {
            headers.push("Content-Type: text/plain".into());
        }
        let request =
            plain_request(&step.method, &target, &origin.authority(), headers, body.map(|b| b.as_bytes()), &[]);
        if let Some(keep) = &step.keep {
            self.kept.insert(keep.clone(), (origin.clone(), request.clone(), false));
        }
        if !step.send {
            return Ok(());
        }
        let answer = self.line.send("answer the Digest challenge", &origin, request);
        self.judge(&answer, false, step.expect.list(), &step.check)
    }

    fn digest_challenge(
        &mut self,
        step: &Digest,
        origin: &Origin,
        target: &str,
        headers: Vec<String>,
    ) -> Played<Challenge> {
        let request = plain_request(&step.method, target, &origin.authority(), headers, None, &[]);
        let response = self.line.send("ask for a Digest challenge", origin, request).map_err(|e| e.to_string())?;
        let wanted = step.algorithm.trim_end_matches("-sess");
        let fits = |c: &Challenge| {
            let offered = c.get("algorithm").unwrap_or("MD5");
            c.scheme.eq_ignore_ascii_case("digest") && offered.trim_end_matches("-sess").eq_ignore_ascii_case(wanted)
        };
        challenges(&response).into_iter().find(fits).ok_or_else(|| {
            Stop::Failed(format!("the answer ({}) has no Digest challenge for {wanted}", response.status))
        })
    }

    fn forge(&mut self, step: &Forge) -> Played {
        let token = self.variable(&step.of)?;
        let forged = forge::forge(&token, step).map_err(Stop::Unclear)?;
        self.run.hide(&forged);
        self.values.insert(step.save.clone(), forged);
        Ok(())
    }

    fn raw(&mut self, step: &Raw) -> Played {
        let (origin, _) = self.endpoint("resource")?;
        let answer = self.line.send("send these bytes", &origin, step.text.clone().into_bytes());
        self.judge(&answer, false, step.expect.list(), &step.check)
    }

    // ---- judgement ----

    fn judge(&self, answer: &Answer, grants: bool, expect: &[String], checks: &[String]) -> Played {
        expected(&Outcome::of(answer, grants), expect)?;
        match answer {
            Ok(response) => self.checks(response, checks),
            Err(_) => Ok(()),
        }
    }

    fn checks(&self, response: &Response, checks: &[String]) -> Played {
        for text in checks {
            let check = Check::parse(text).map_err(Stop::Unclear)?;
            if !check.applies(response) || (check.is_about_the_account() && self.run.target.identity.is_none()) {
                continue;
            }
            check.holds(response, self.run.target.identity.as_deref()).map_err(Stop::Failed)?;
        }
        Ok(())
    }
}

/// Whether a call deviates from what an honest client sends.
fn is_unusual(step: &Call) -> bool {
    let Tamper { method, path, query, form, body, content_type, host, set, add, drop, headers } = &step.then;
    let tampered = [method, path, query, form, body, content_type, host].iter().any(|t| t.is_some());
    let parameters = !(set.is_empty() && add.is_empty() && drop.is_empty() && headers.is_empty());
    let before = !(step.set.is_empty() && step.add.is_empty() && step.drop.is_empty() && step.headers.is_empty());
    tampered || parameters || before || step.by.is_some() || !step.mistakes.is_empty() || !step.style.is_empty()
}

/// The protocol parameters that the step asks for, unsigned: what an honest client has, less, other and more.
fn protocol_parameters(
    step: &Call,
    credentials: &Saved,
    client: &Client,
    signature_method_name: String,
    signature_method: SignatureMethod,
) -> Vec<Pair> {
    let mut protocol: Vec<Pair> = vec![
        ("oauth_consumer_key".into(), client.key.clone()),
        ("oauth_signature_method".into(), signature_method_name),
        ("oauth_timestamp".into(), now().to_string()),
        ("oauth_nonce".into(), random_text(24)),
        ("oauth_version".into(), "1.0".into()),
    ];
    if !credentials.token.is_empty() {
        protocol.push(("oauth_token".into(), credentials.token.clone()));
    }
    match step.at.as_str() {
        "initiate" => protocol.push(("oauth_callback".into(), client.callback.clone())),
        "token" => protocol.push(("oauth_verifier".into(), credentials.verifier.clone())),
        _ => {}
    }
    if let Some(over) = &step.body_hash {
        let body = step.form.as_deref().or(step.body.as_deref()).unwrap_or_default();
        let hashed = if over == "body" { body } else { over };
        protocol
            .push(("oauth_body_hash".into(), STANDARD.encode(signature_method.body_hash().digest(hashed.as_bytes()))));
    }
    alter(&mut protocol, &step.drop, &step.set, &step.add);
    protocol
}

fn saved_field(saved: &Saved, field: &str) -> String {
    match field.rsplit('.').next().unwrap_or_default() {
        "secret" => saved.secret.clone(),
        "verifier" => saved.verifier.clone(),
        "callback" => saved.callback.clone(),
        "reached" => saved.reached.clone(),
        _ => saved.token.clone(),
    }
}

fn expected(outcome: &Outcome, expect: &[String]) -> Played {
    if expect.is_empty() || outcome.is_among(expect) {
        return Ok(());
    }
    Err(Stop::Failed(format!("expected: {}; found: {}", expect.join(" or "), outcome.describe())))
}

fn count_winners(answers: &[Answer], grants: bool, allowed: &[usize]) -> Played {
    let outcomes: Vec<Outcome> = answers.iter().map(|a| Outcome::of(a, grants)).collect();
    if let Some(bad) = outcomes.iter().find(|o| matches!(o, Outcome::Failed(_) | Outcome::Broken(_))) {
        return Err(Stop::Failed(format!("in the race, {}", bad.describe())));
    }
    winners(outcomes.iter().filter(|o| matches!(o, Outcome::Accepted(_))).count(), allowed)
}

fn winners(found: usize, allowed: &[usize]) -> Played {
    if allowed.contains(&found) {
        return Ok(());
    }
    let allowed: Vec<String> = allowed.iter().map(usize::to_string).collect();
    Err(Stop::Failed(format!("{found} of the racing requests were accepted, where {} may be", allowed.join(" or "))))
}

fn at_step(stop: Stop, number: usize, of: usize) -> Stop {
    if of == 1 {
        return stop;
    }
    let say = |why: String| format!("step {number} of {of}: {why}");
    match stop {
        Stop::Failed(why) => Stop::Failed(say(why)),
        Stop::Unclear(why) => Stop::Unclear(say(why)),
        Stop::Skipped(why) => Stop::Skipped(why),
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}
