//! Time as the protocol sees it: whole seconds since 1970-01-01T00:00:00Z (RFC 5849 §3.3).
//!
//! The clock is read once per request, at the rim, and handed down; nothing on the lower floors asks
//! the machine what time it is.

use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SecondsFormat, Utc};

/// A moment, in whole seconds since 1970, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment that many seconds after (or, negative, before) 1970-01-01T00:00:00Z.
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// What is left until a later time; nothing of one that has passed.
    pub fn until(self, later: Self) -> Lifetime {
        Lifetime::from_seconds(u32::try_from(later.0.saturating_sub(self.0).max(0)).unwrap_or(u32::MAX))
    }

    /// The second of an RFC 3339 time, in any offset.
    ///
    /// # Errors
    /// [`NotATime`].
    ///
    /// ```
    /// use countersign::time::Timestamp;
    /// assert_eq!(Timestamp::from_rfc3339("1974-05-07T06:00:00.9+02:00").unwrap().unix(), 137_131_200);
    /// assert!(Timestamp::from_rfc3339("1974-05-07").is_err());
    /// ```
    pub fn from_rfc3339(text: &str) -> Result<Self, NotATime> {
        DateTime::parse_from_rfc3339(text).map(|moment| Self(moment.timestamp())).map_err(|_| NotATime)
    }

    /// RFC 3339 in UTC, as every JSON answer shows it.
    ///
    /// ```
    /// use countersign::time::Timestamp;
    /// assert_eq!(Timestamp::from_unix(137_131_200).to_rfc3339(), "1974-05-07T04:00:00Z");
    /// ```
    pub fn to_rfc3339(self) -> String {
        DateTime::<Utc>::from_timestamp(self.0, 0)
            .map_or_else(|| self.0.to_string(), |moment| moment.to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

/// What was read is no RFC 3339 time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be a time such as 2026-11-01T00:00:00Z")]
pub struct NotATime;

impl Add<Lifetime> for Timestamp {
    type Output = Self;
    fn add(self, lifetime: Lifetime) -> Self {
        Self(self.0.saturating_add(i64::from(lifetime.0)))
    }
}

impl Sub<Lifetime> for Timestamp {
    type Output = Self;
    fn sub(self, lifetime: Lifetime) -> Self {
        Self(self.0.saturating_sub(i64::from(lifetime.0)))
    }
}

/// How long something lives or may be away, in whole seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Lifetime(u32);

impl Lifetime {
    /// A lifetime of that many seconds.
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds)
    }

    /// The whole seconds of this lifetime.
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

/// Where "now" comes from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at the given seconds until somebody moves it: for tests, so that none has to sleep.
    pub const fn fixed(seconds: Arc<AtomicI64>) -> Self {
        Self(Source::Fixed(seconds))
    }

    /// The moment that this clock shows.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp(Utc::now().timestamp()),
            Source::Fixed(seconds) => Timestamp(seconds.load(Ordering::Relaxed)),
        }
    }
}
