//! Passwords: hashed with Argon2id, and checked off the request threads (RFC 9106).
//!
//! Hashing is slow on purpose, so it runs on a few threads of its own with a bounded queue: a flood of guesses gets
//! 503 and does not starve signed traffic. A password that was verified is remembered for a short time under a keyed
//! hash, in memory only; the entry holds nothing that a guess could be checked against without the key, and it dies
//! with the password and with the account's state, because both are part of it. The same name and password asked about
//! many times at once cost one hash, whether they are right, wrong or nobody's: this tells nothing of who exists.

mod argon2id;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use argon2::Block;
use hmac::{Hmac, KeyInit, Mac};
use quick_cache::sync::Cache;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::domain::credentials::{AccountId, Secret};
use crate::time::{Lifetime, Timestamp};
use argon2id::{MAXIMUM_MEMORY_KIB, MAXIMUM_PASSES, hash, matches, parse};

/// Checks that may wait for each hashing thread: a second's worth. Those of one address may fill half of it, so that who
/// thinks up names from there keeps nobody out elsewhere.
const QUEUE_PER_THREAD: usize = 50;

/// Verified passwords that are remembered at most.
const REMEMBERED: usize = 50_000;

/// How long a verified password is remembered.
const REMEMBERED_FOR: Lifetime = Lifetime::from_seconds(300);

/// How much longer it is good while one of those who send it has it checked again.
const RENEWED_WITHIN: Lifetime = Lifetime::from_seconds(5);

/// How long a thread that has nothing to hash keeps the memory for it.
const REST: Duration = Duration::from_secs(5);

/// A hash of nobody's password: checked when the user is unknown, so that this takes as long as a wrong password.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$Y291bnRlcnNpZ25ub2JvZHk$OMKWY4wSAmIbCOFgXgPBxHj1Pd/5x0xfVZ/4Y9ttFoo";

/// Why no answer about a password could be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PasswordError {
    /// More checks wait than the threads can do in a moment.
    #[error("too many password checks at once")]
    Overloaded,
    /// The stored hash is no Argon2id string that this server takes.
    #[error(
        "not an Argon2id hash: give $argon2id$v=19$m=…,t=…,p=…$salt$hash with at most {MAXIMUM_MEMORY_KIB} KiB and {MAXIMUM_PASSES} passes"
    )]
    Unreadable,
}

/// Proof that a password was checked against its stored hash. Nothing but [`Passwords::verify`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordVerified(());

/// What there is to check a password against.
#[derive(Clone, Copy)]
pub struct StoredHash<'a> {
    /// Whose password it is.
    pub account: &'a AccountId,
    /// `active`, `locked` or `disabled`: a change of it is forgotten with what was known before.
    pub status: &'static str,
    /// Argon2id in PHC form.
    pub hash: &'a str,
}

/// The hashing threads and the memory of verified passwords.
pub struct Passwords {
    desk: Arc<Desk>,
    key: [u8; 32],
}

/// What the request threads and the hashing threads share.
struct Desk {
    tray: Mutex<Tray>,
    more: Condvar,
    /// Jobs that may wait.
    room: usize,
    verified: Cache<AccountId, Remembered>,
    hashed: AtomicU64,
}

/// What is to be done. Every job with a question has its entry among those who ask.
#[derive(Default)]
struct Tray {
    jobs: VecDeque<Job>,
    /// How many of them each address waits for.
    waiting: HashMap<IpAddr, usize>,
    asking: HashMap<Question, Vec<oneshot::Sender<Result<bool, PasswordError>>>>,
    closed: bool,
}

/// Name, password and what it is checked against, under the key of this process.
type Question = [u8; 32];

#[derive(Clone, Copy)]
struct Remembered {
    mac: [u8; 32],
    until: Timestamp,
}

impl Remembered {
    fn is(&self, mac: &[u8; 32]) -> bool {
        self.mac.ct_eq(mac).into()
    }
}

/// What a check that succeeds has to remember.
struct Remember {
    account: AccountId,
    mac: [u8; 32],
    asked: Timestamp,
}

enum Job {
    Verify { question: Question, password: Secret, stored: String, remember: Option<Remember>, from: IpAddr },
    Hash { password: Secret, answer: oneshot::Sender<Result<String, PasswordError>> },
}

impl Passwords {
    /// Starts `threads` hashing threads (1 or more); `key`: 32 random bytes for this process.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(threads: usize, key: [u8; 32]) -> std::io::Result<Self> {
        let threads = threads.max(1);
        let passwords = Self::with_room_for(threads, key);
        passwords.employ(threads)?;
        Ok(passwords)
    }

    fn with_room_for(threads: usize, key: [u8; 32]) -> Self {
        let desk = Desk {
            tray: Mutex::default(),
            more: Condvar::new(),
            room: threads * QUEUE_PER_THREAD,
            verified: Cache::new(REMEMBERED),
            hashed: AtomicU64::new(0),
        };
        Self { desk: Arc::new(desk), key }
    }

    fn employ(&self, threads: usize) -> std::io::Result<()> {
        for number in 0..threads {
            let desk = Arc::clone(&self.desk);
            thread::Builder::new().name(format!("password-{number}")).spawn(move || desk.work_off())?;
        }
        Ok(())
    }

    /// How often Argon2id was computed since the start.
    pub fn hashed(&self) -> u64 {
        self.desk.hashed.load(Ordering::Relaxed)
    }

    /// Checks a password against the stored hash of the account that `name` is one of; with `None` (an unknown user, or
    /// one without a password) it takes as long and says no. `from`: the client's address, IPv6 by its /64.
    ///
    /// # Errors
    /// [`PasswordError::Overloaded`]: nothing was checked.
    pub async fn verify(
        &self,
        name: &str,
        account: Option<StoredHash<'_>>,
        password: &Secret,
        from: IpAddr,
        now: Timestamp,
    ) -> Result<Option<PasswordVerified>, PasswordError> {
        let known = account.map(|stored| (stored.account, self.mac(stored, password)));
        let remembered = known.and_then(|(account, mac)| self.desk.remembered(account, &mac, now));
        if remembered.is_some_and(|entry| entry.until > now) {
            return Ok(Some(PasswordVerified(())));
        }
        if let (Some(_), Some((account, mac))) = (remembered, known) {
            // The others need not wait for this one.
            self.desk.verified.insert(account.clone(), Remembered { mac, until: now + RENEWED_WITHIN });
        }
        let stored = account.map_or(NOBODY, |stored| stored.hash);
        let status = account.map_or("", |stored| stored.status);
        let question = self.keyed_hash([name, status, stored, password.expose()]);
        let remember = known.map(|(account, mac)| Remember { account: account.clone(), mac, asked: now });
        let stored = stored.to_owned();
        let job = Job::Verify { question, password: password.clone(), stored, remember, from };
        match self.desk.ask(question, job).await {
            Ok(true) if account.is_some() => Ok(Some(PasswordVerified(()))),
            Ok(_) => Ok(None),
            // It was good, and a flood of guesses is no reason to turn it away.
            Err(PasswordError::Overloaded) if remembered.is_some() => Ok(Some(PasswordVerified(()))),
            Err(error) => Err(error),
        }
    }

    /// Hashes a new password: a PHC string.
    ///
    /// # Errors
    /// [`PasswordError::Overloaded`].
    pub async fn hash(&self, password: &Secret) -> Result<String, PasswordError> {
        let (answer, outcome) = oneshot::channel();
        self.desk.add(&mut self.desk.tray(), Job::Hash { password: password.clone(), answer })?;
        outcome.await.unwrap_or(Err(PasswordError::Overloaded))
    }

    /// Binds the password to its account, the account's state and the stored hash: when one of them changes, it is
    /// forgotten by itself.
    fn mac(&self, stored: StoredHash<'_>, password: &Secret) -> [u8; 32] {
        self.keyed_hash([stored.account.as_str(), stored.status, stored.hash, password.expose()])
    }

    fn keyed_hash(&self, parts: [&str; 4]) -> [u8; 32] {
        let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.key) else { return [0; 32] };
        for part in parts {
            mac.update(&part.len().to_le_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

impl Drop for Passwords {
    fn drop(&mut self) {
        self.desk.tray().closed = true;
        self.desk.more.notify_all();
    }
}

impl Desk {
    /// Waits for the answer to this question. Who asks what is being asked gets the same answer.
    async fn ask(&self, question: Question, job: Job) -> Result<bool, PasswordError> {
        let (answer, outcome) = oneshot::channel();
        {
            let mut tray = self.tray();
            match tray.asking.entry(question) {
                Entry::Occupied(mut asking) => asking.get_mut().push(answer),
                Entry::Vacant(_) => {
                    // It may have been answered since the caller looked.
                    if let Job::Verify { remember: Some(this), .. } = &job
                        && self.has(this)
                    {
                        return Ok(true);
                    }
                    self.add(&mut tray, job)?;
                    tray.asking.insert(question, vec![answer]);
                }
            }
        }
        outcome.await.unwrap_or(Err(PasswordError::Overloaded))
    }

    fn add(&self, tray: &mut Tray, job: Job) -> Result<(), PasswordError> {
        if tray.jobs.len() >= self.room {
            return Err(PasswordError::Overloaded);
        }
        if let Job::Verify { from, .. } = &job {
            let waiting = tray.waiting.entry(*from).or_default();
            if *waiting >= self.room / 2 {
                return Err(PasswordError::Overloaded);
            }
            *waiting += 1;
        }
        tray.jobs.push_back(job);
        self.more.notify_one();
        Ok(())
    }

    /// What is remembered of just this password; also for a while after its time is up.
    fn remembered(&self, account: &AccountId, mac: &[u8; 32], now: Timestamp) -> Option<Remembered> {
        self.verified.get(account).filter(|entry| entry.is(mac) && now < entry.until + REMEMBERED_FOR)
    }

    /// Whether a check of this password has succeeded since it was asked for.
    fn has(&self, this: &Remember) -> bool {
        self.verified
            .get(&this.account)
            .is_some_and(|entry| entry.is(&this.mac) && entry.until > this.asked + RENEWED_WITHIN)
    }

    /// What a hashing thread does until the end.
    fn work_off(&self) {
        step_back();
        // 19 MiB are taken once for many checks, and given back when no more come.
        let mut memory = Vec::new();
        while let Some(job) = self.next(&mut memory) {
            match job {
                Job::Verify { question, password, stored, remember, .. } => {
                    if self.is_forsaken(&question) {
                        continue;
                    }
                    self.hashed.fetch_add(1, Ordering::Relaxed);
                    // Those who ask wait for this thread: whatever happens, they get an answer.
                    let matched = catch_unwind(AssertUnwindSafe(|| matches(&password, &stored, &mut memory)))
                        .unwrap_or(Err(PasswordError::Unreadable));
                    if let (Ok(true), Some(Remember { account, mac, asked })) = (&matched, remember) {
                        // Before the question is closed: whoever comes later finds it here.
                        self.verified.insert(account, Remembered { mac, until: asked + REMEMBERED_FOR });
                    }
                    let asking = self.tray().asking.remove(&question).unwrap_or_default();
                    for answer in asking {
                        let _ = answer.send(matched);
                    }
                }
                Job::Hash { answer, .. } if answer.is_closed() => {}
                Job::Hash { password, answer } => {
                    self.hashed.fetch_add(1, Ordering::Relaxed);
                    let _ = answer.send(hash(&password, &mut memory));
                }
            }
        }
    }

    /// The next job; none when the end has come. `memory` is given back when it is long in coming.
    fn next(&self, memory: &mut Vec<Block>) -> Option<Job> {
        let waits = |tray: &mut Tray| tray.jobs.is_empty() && !tray.closed;
        let (mut tray, rest) =
            self.more.wait_timeout_while(self.tray(), REST, waits).unwrap_or_else(PoisonError::into_inner);
        if rest.timed_out() {
            drop(tray);
            *memory = Vec::new();
            tray = self.more.wait_while(self.tray(), waits).unwrap_or_else(PoisonError::into_inner);
        }
        let job = tray.jobs.pop_front().filter(|_| !tray.closed);
        if let Some(Job::Verify { from, .. }) = &job
            && let Entry::Occupied(mut waiting) = tray.waiting.entry(*from)
        {
            *waiting.get_mut() -= 1;
            if *waiting.get() == 0 {
                waiting.remove();
            }
        }
        job
    }

    /// Whether all who asked are gone: then nobody is served by the work.
    fn is_forsaken(&self, question: &Question) -> bool {
        let mut tray = self.tray();
        let forsaken = tray.asking.get(question).is_none_or(|asking| asking.iter().all(oneshot::Sender::is_closed));
        if forsaken {
            tray.asking.remove(question);
        }
        forsaken
    }

    fn tray(&self) -> MutexGuard<'_, Tray> {
        // Each change of the tray is whole in itself.
        self.tray.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hashes a password on this thread: for the command line.
///
/// # Errors
/// [`PasswordError::Unreadable`]: the password is longer than Argon2 takes.
pub fn hash_password(password: &Secret) -> Result<String, PasswordError> {
    hash(password, &mut Vec::new())
}

/// Whether a stored hash can be checked here: for imports.
///
/// # Errors
/// [`PasswordError::Unreadable`].
pub fn check_stored(stored: &str) -> Result<(), PasswordError> {
    parse(stored).map(|_| ())
}

/// Gives this thread a tenth of the weight of those that answer requests. Where processors are scarce, checks would otherwise
/// take as much of them as all signed traffic; where they are not, this costs nothing. Linux has this for a single thread.
fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 10) {
        tracing::warn!(%error, "password checks have the priority of requests");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::task::{Context, Poll, Waker};

    const NOW: Timestamp = Timestamp::from_unix(1000);
    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn id() -> AccountId {
        AccountId::parse("a").unwrap()
    }

    /// Whether the password is the one of this active account.
    fn verify(passwords: &Passwords, hash: &str, password: &str, now: Timestamp) -> bool {
        let stored = StoredHash { account: &id(), status: "active", hash };
        block_on(passwords.verify("jo", Some(stored), &Secret::new(password), HERE, now)).unwrap().is_some()
    }

    #[test]
    fn a_hashed_password_is_verified_and_another_is_not() {
        let stored = hash_password(&Secret::new("open sesame")).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let passwords = Passwords::start(1, [7; 32]).unwrap();
        assert!(verify(&passwords, &stored, "open sesame", NOW));
        assert!(!verify(&passwords, &stored, "open sesame!", NOW));
    }

    #[test]
    fn a_first_check_costs_one_hash_and_the_next_ones_none() {
        let passwords = Passwords::start(1, [7; 32]).unwrap();
        let stored = hash_password(&Secret::new("x")).unwrap();
        for _ in 0..5 {
            assert!(verify(&passwords, &stored, "x", NOW));
        }
        assert_eq!(passwords.hashed(), 1);
        assert!(verify(&passwords, &stored, "x", NOW + REMEMBERED_FOR), "checked again when no longer remembered");
        assert_eq!(passwords.hashed(), 2);
    }

    #[test]
    fn a_remembered_password_is_forgotten_with_its_stored_hash_its_accounts_state_and_in_time() {
        let passwords = Passwords::start(1, [7; 32]).unwrap();
        let hash = hash_password(&Secret::new("x")).unwrap();
        assert!(verify(&passwords, &hash, "x", NOW));
        let id = id();
        let stored = StoredHash { account: &id, status: "active", hash: &hash };
        let until = |stored: StoredHash<'_>, password: &str| {
            let mac = passwords.mac(stored, &Secret::new(password));
            passwords.desk.remembered(stored.account, &mac, NOW).map(|entry| entry.until)
        };
        assert_eq!(until(stored, "x"), Some(NOW + REMEMBERED_FOR));
        assert_eq!(until(StoredHash { hash: "another", ..stored }, "x"), None);
        assert_eq!(until(StoredHash { status: "locked", ..stored }, "x"), None);
        assert_eq!(until(stored, "y"), None);
    }

    /// The outcomes of checks that were all asked for before the first thread began to work.
    fn verify_together(
        passwords: &Passwords,
        threads: usize,
        stored: Option<StoredHash<'_>>,
        guesses: &[Secret],
        now: Timestamp,
    ) -> Vec<Result<bool, PasswordError>> {
        let mut checks: Vec<_> =
            guesses.iter().map(|guess| Box::pin(passwords.verify("jo", stored, guess, HERE, now))).collect();
        let mut context = Context::from_waker(Waker::noop());
        let mut early: Vec<_> = checks.iter_mut().map(|check| check.as_mut().poll(&mut context)).collect();
        passwords.employ(threads).unwrap();
        let outcomes = checks.into_iter().zip(&mut early).map(|(check, early)| match early {
            Poll::Ready(outcome) => *outcome,
            Poll::Pending => block_on(check),
        });
        outcomes.map(|outcome| outcome.map(|proof| proof.is_some())).collect()
    }

    const MANY: usize = QUEUE_PER_THREAD * 4;

    #[test]
    fn many_first_checks_of_one_password_cost_one_hash_and_none_is_turned_away() {
        let hash = hash_password(&Secret::new("x")).unwrap();
        let stored = StoredHash { account: &id(), status: "active", hash: &hash };
        let passwords = Passwords::with_room_for(1, [7; 32]);
        let outcomes = verify_together(&passwords, 2, Some(stored), &vec![Secret::new("x"); MANY], NOW);
        assert_eq!(outcomes, vec![Ok(true); MANY]);
        assert_eq!(passwords.hashed(), 1);
    }

    #[test]
    fn one_wrong_guess_many_times_at_once_costs_one_hash_whether_there_is_such_a_user_or_not() {
        let hash = hash_password(&Secret::new("x")).unwrap();
        for stored in [Some(StoredHash { account: &id(), status: "active", hash: &hash }), None] {
            let passwords = Passwords::with_room_for(1, [7; 32]);
            let outcomes = verify_together(&passwords, 2, stored, &vec![Secret::new("y"); MANY], NOW);
            assert_eq!(outcomes, vec![Ok(false); MANY]);
            assert_eq!(passwords.hashed(), 1);
        }
    }

    #[test]
    fn a_check_that_nobody_waits_for_any_more_is_not_made() {
        let passwords = Passwords::with_room_for(1, [7; 32]);
        let guess = Secret::new("x");
        let mut left = Box::pin(passwords.verify("jo", None, &guess, HERE, NOW));
        assert!(left.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(left);
        passwords.employ(1).unwrap();
        assert_eq!(block_on(passwords.verify("al", None, &guess, HERE, NOW)), Ok(None));
        assert_eq!(passwords.hashed(), 1);
        assert!(passwords.desk.tray().asking.is_empty());
    }

    #[test]
    fn when_the_time_of_a_remembered_password_is_up_one_of_many_has_it_checked_and_none_is_turned_away() {
        let passwords = Passwords::start(1, [7; 32]).unwrap();
        let hash = hash_password(&Secret::new("x")).unwrap();
        assert!(verify(&passwords, &hash, "x", NOW));
        let later = NOW + REMEMBERED_FOR;
        let stored = StoredHash { account: &id(), status: "active", hash: &hash };
        let outcomes = verify_together(&passwords, 0, Some(stored), &vec![Secret::new("x"); MANY], later);
        assert_eq!(outcomes, vec![Ok(true); MANY]);
        assert_eq!(passwords.hashed(), 2);
        assert!(verify(&passwords, &hash, "x", later + RENEWED_WITHIN), "remembered for as long as before");
        assert_eq!(passwords.hashed(), 2);
    }

    #[test]
    fn a_wrong_password_and_nobodys_cost_one_hash_each() {
        let passwords = Passwords::start(1, [7; 32]).unwrap();
        let stored = hash_password(&Secret::new("x")).unwrap();
        for (checks, password) in [(1, "y"), (2, "y"), (3, "z")] {
            assert!(!verify(&passwords, &stored, password, NOW));
            assert_eq!(passwords.hashed(), checks);
        }
        assert!(block_on(passwords.verify("al", None, &Secret::new("y"), HERE, NOW)).unwrap().is_none());
        assert_eq!(passwords.hashed(), 4);
    }

    #[test]
    fn one_address_can_fill_half_of_the_queue_and_all_of_them_the_whole() {
        let passwords = Passwords::with_room_for(1, [7; 32]);
        let mut context = Context::from_waker(Waker::noop());
        let half = QUEUE_PER_THREAD / 2;
        // Two more than there is room for: of one address, and of the third.
        let asked = [(1, half + 1), (2, half), (3, 1)];
        let guesses: Vec<_> = asked
            .iter()
            .flat_map(|(host, many)| (0..*many).map(move |number| (*host, Secret::new(format!("{host} {number}")))))
            .collect();
        let mut checks: Vec<_> = guesses
            .iter()
            .map(|(host, guess)| {
                Box::pin(passwords.verify("jo", None, guess, Ipv4Addr::new(192, 0, 2, *host).into(), NOW))
            })
            .collect();
        let refused: Vec<_> = checks
            .iter_mut()
            .enumerate()
            .filter_map(|(number, check)| match check.as_mut().poll(&mut context) {
                Poll::Ready(outcome) => Some((number, outcome)),
                Poll::Pending => None,
            })
            .collect();
        let overloaded = Err(PasswordError::Overloaded);
        assert_eq!(refused, [(half, overloaded), (QUEUE_PER_THREAD + 1, overloaded)]);
        passwords.employ(1).unwrap();
        for (number, check) in checks.into_iter().enumerate() {
            if !refused.iter().any(|(early, _)| *early == number) {
                assert_eq!(block_on(check), Ok(None));
            }
        }
        assert!(passwords.desk.tray().waiting.is_empty());
    }

    #[test]
    fn nobodys_hash_is_checked_like_any_other_and_admits_nothing() {
        assert!(check_stored(NOBODY).is_ok());
        let passwords = Passwords::start(1, [7; 32]).unwrap();
        assert!(block_on(passwords.verify("al", None, &Secret::new(""), HERE, NOW)).unwrap().is_none());
    }
}
