//! Runs cases against a target: what they share, several at a time, within one deadline.

use rand::RngExt;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::case::{Case, Dance, Until};
use crate::line::{Exchange, Line, Network};
use crate::play::{Player, Stop};
use crate::redact::redact;
use crate::target::{How, Target};

/// How a case went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every step came out as it may.
    Passed,
    /// One didn't: the reason.
    Failed(String),
    /// Nothing was learnt: the reason. The honest request was refused too, or a step could not be taken.
    Unclear(String),
    /// Not run: the target doesn't claim or name what it needs.
    Skipped(String),
}

impl Verdict {
    /// One word, for reports.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed(_) => "failed",
            Verdict::Unclear(_) => "unclear",
            Verdict::Skipped(_) => "skipped",
        }
    }

    /// Why, unless it passed.
    pub fn reason(&self) -> &str {
        match self {
            Verdict::Passed => "",
            Verdict::Failed(why) | Verdict::Unclear(why) | Verdict::Skipped(why) => why,
        }
    }

    /// Whether the provider was not shown to do what the case asks for.
    pub fn is_bad(&self) -> bool {
        matches!(self, Verdict::Failed(_) | Verdict::Unclear(_))
    }
}

/// A case with its verdict.
#[derive(Debug, Clone)]
pub struct Result {
    /// The case.
    pub case: Case,
    /// How it went.
    pub verdict: Verdict,
    /// Everything said, redaction still to come.
    pub transcript: Vec<Exchange>,
    /// How long it took.
    pub took: Duration,
}

/// Credentials that a case has got.
#[derive(Debug, Clone, Default)]
pub struct Saved {
    /// Name of the client they were issued to.
    pub client: String,
    /// Token.
    pub token: String,
    /// Its secret.
    pub secret: String,
    /// The verifier, once there is consent.
    pub verifier: String,
    /// The callback asked for.
    pub callback: String,
    /// The address that the browser was sent to.
    pub reached: String,
}

type Token = std::result::Result<Saved, String>;

/// What the cases of one run share.
#[derive(Debug)]
pub struct Run<'a> {
    /// The provider.
    pub target: &'a Target,
    /// The line to it.
    pub network: Network,
    /// Secrets to hide in reports: the target file's, and those that were issued.
    pub secrets: Mutex<BTreeSet<String>>,
    /// When everything has to be over.
    pub deadline: Instant,
    tokens: Mutex<HashMap<String, Token>>,
    controls: Mutex<HashMap<String, Option<String>>>,
}

impl<'a> Run<'a> {
    /// A run that ends at `deadline`.
    pub fn new(target: &'a Target, deadline: Instant) -> Run<'a> {
        Run {
            target,
            network: Network::new(Duration::from_secs(target.timeout_seconds), target.certificates.clone()),
            secrets: Mutex::new(target.secrets().into_iter().collect()),
            deadline,
            tokens: Mutex::default(),
            controls: Mutex::default(),
        }
    }

    /// Remembers a secret, so that no report shows it.
    pub fn hide(&self, secret: &str) {
        if secret.len() >= 4 {
            locked(&self.secrets).insert(secret.to_owned());
        }
    }

    /// An access token that every case may use and none may spoil: the target file's, or one got by a dance of its own.
    pub fn shared_token(&self, client: &str) -> Token {
        let mut tokens = locked(&self.tokens);
        if let Some(token) = tokens.get(client) {
            return token.clone();
        }
        let token = match self.target.token.get(client) {
            Some(given) => Ok(Saved {
                client: given.client.clone(),
                token: given.token.clone(),
                secret: given.secret.clone(),
                ..Saved::default()
            }),
            None => {
                let dance = Dance {
                    save: "shared".into(),
                    client: client.to_owned(),
                    account: "main".into(),
                    until: Until::Token,
                    callback: None,
                    scope: None,
                };
                let mut player = Player::new(self);
                player.dance(&dance).map(|()| player.saved("shared").cloned().unwrap_or_default()).map_err(|stop| {
                    // An answer that explains is shown; one that issued something holds secrets and explains nothing.
                    let last =
                        player.transcript().last().and_then(|e| e.answer.as_ref().ok()).filter(|r| r.status >= 400);
                    let said = last.map(|r| r.text().chars().take(200).collect::<String>());
                    let said = said.map(|text| format!(" ({})", redact(&text, &locked(&self.secrets)).trim_end()));
                    format!("{}{}", stop.reason(), said.unwrap_or_default())
                })
            }
        };
        tokens.insert(client.to_owned(), token.clone());
        token
    }

    /// Whether the honest twin of a request passes, asked once for each kind; `Some` says why not.
    pub fn control(&self, kind: &str, ask: impl FnOnce() -> Option<String>) -> Option<String> {
        if let Some(known) = locked(&self.controls).get(kind) {
            return known.clone();
        }
        // The lock is not held while asking: two cases may ask the same at once, which costs a request and nothing else.
        let answer = ask();
        locked(&self.controls).insert(kind.to_owned(), answer.clone());
        answer
    }

    /// Runs the cases, and tells after each one. The results are in the order of the cases.
    pub fn all(&self, cases: &[Case], tell: &(dyn Fn(&Result) + Sync)) -> Vec<Result> {
        let results: Mutex<BTreeMap<usize, Result>> = Mutex::default();
        let (together, alone): (Vec<_>, Vec<_>) = cases.iter().enumerate().partition(|(_, case)| !case.alone);
        let next = AtomicUsize::new(0);
        let one = |index: usize, case: &Case| {
            let result = self.one(case);
            tell(&result);
            locked(&results).insert(index, result);
        };
        let workers = if self.target.consent.how == How::Ask { 1 } else { self.target.parallel };
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some((index, case)) = together.get(next.fetch_add(1, Ordering::Relaxed)) {
                        one(*index, case);
                    }
                });
            }
        });
        for (index, case) in alone {
            one(index, case);
        }
        results.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
    }

    /// Runs one case.
    pub fn one(&self, case: &Case) -> Result {
        let began = Instant::now();
        let mut player = Player::new(self);
        let verdict = if let Some(missing) = case.needs.iter().find(|n| !self.target.claims.contains(*n)) {
            Verdict::Skipped(format!("the target does not claim `{missing}`"))
        } else if began >= self.deadline {
            Verdict::Unclear("the time for the whole run was over".into())
        } else {
            match player.play(&case.steps) {
                Ok(()) => Verdict::Passed,
                Err(Stop::Failed(why)) => Verdict::Failed(why),
                Err(Stop::Unclear(why)) => Verdict::Unclear(why),
                Err(Stop::Skipped(why)) => Verdict::Skipped(why),
            }
        };
        Result { case: case.clone(), verdict, transcript: player.into_transcript(), took: began.elapsed() }
    }

    /// Whether the provider is there and takes the target's credentials at all; `Err` says what is wrong, in words for the operator.
    pub fn preflight(&self) -> std::result::Result<(), String> {
        let (origin, path) = self.target.endpoint("resource").ok_or("the target has no endpoint `resource`")?;
        let mut line = Line::new(&self.network);
        let request =
            crate::wire::plain_request("GET", &path, &origin.authority(), self.target.headers.clone(), None, &[]);
        let answer = line.send("is anybody there", &origin, request);
        let response = answer.map_err(|e| format!("{} does not answer as an HTTP server: {e}", origin.address()))?;
        if response.status >= 500 {
            return Err(format!(
                "{}{path} answers {} to a request without credentials",
                origin.address(),
                response.status
            ));
        }
        self.shared_token("main")
            .map(|_| ())
            .map_err(|why| format!("no access token could be got, so nothing can be tested: {why}"))
    }
}

/// A random text of letters and digits.
pub fn random_text(length: usize) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut random = rand::rng();
    (0..length).map(|_| char::from(*LETTERS.get(random.random_range(0..LETTERS.len())).unwrap_or(&b'x'))).collect()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
