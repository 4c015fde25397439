//! Counters in Prometheus' text form. What every request touches is looked up once, at start.

use metrics::{Counter, Gauge, counter, gauge, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use crate::auth::verdict::{Credential, Refusal};
use crate::store::replay::ReplayStatistics;

/// All counters of this process.
pub struct Metrics {
    recorder: PrometheusRecorder,
    oauth1: Counter,
    basic: Counter,
    digest: Counter,
    api_key: Counter,
    jwt: Counter,
    session: Counter,
    cookie: Counter,
    nonces_live: Gauge,
    nonces_capacity: Gauge,
    nonces_waiting: Gauge,
    replay_commits: Counter,
    replay_failures: Counter,
    password_hashes: Counter,
    ready: Gauge,
}

impl Metrics {
    /// Registers the counters.
    pub fn new() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let admitted = |credential: Credential| {
            with_local_recorder(
                &recorder,
                || counter!("countersign_requests_admitted_total", "credential" => credential.as_str()),
            )
        };
        let gauge = |name| with_local_recorder(&recorder, || gauge!(name));
        let counter = |name| with_local_recorder(&recorder, || counter!(name));
        Self {
            oauth1: admitted(Credential::OAuth1),
            basic: admitted(Credential::Basic),
            digest: admitted(Credential::Digest),
            api_key: admitted(Credential::ApiKey),
            jwt: admitted(Credential::Jwt),
            session: admitted(Credential::Session),
            cookie: admitted(Credential::Cookie),
            nonces_live: gauge("countersign_replay_nonces_live"),
            nonces_capacity: gauge("countersign_replay_nonces_capacity"),
            nonces_waiting: gauge("countersign_replay_nonces_waiting"),
            replay_commits: counter("countersign_replay_commits_total"),
            replay_failures: counter("countersign_replay_commit_failures_total"),
            password_hashes: counter("countersign_password_hashes_total"),
            ready: gauge("countersign_replay_ready"),
            recorder,
        }
    }

    /// Counts a request that was let through.
    pub fn admitted(&self, credential: Credential) {
        match credential {
            Credential::OAuth1 => &self.oauth1,
            Credential::Basic => &self.basic,
            Credential::Digest => &self.digest,
            Credential::ApiKey => &self.api_key,
            Credential::Jwt => &self.jwt,
            Credential::Session => &self.session,
            Credential::Cookie => &self.cookie,
        }
        .increment(1);
    }

    /// Counts a refusal by its code: refusals are rare enough to be looked up by name.
    pub fn refused(&self, refusal: &Refusal) {
        with_local_recorder(&self.recorder, || {
            counter!("countersign_requests_refused_total", "code" => refusal.code()).increment(1);
        });
    }

    /// All of it, as `/metrics` answers. `password_hashes`: how often Argon2id was computed.
    pub fn render(&self, replay: &ReplayStatistics, password_hashes: u64) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; the counts stay far below 2^52")]
        let as_gauge = |count: u64| count as f64;
        self.nonces_live.set(as_gauge(replay.live));
        self.nonces_capacity.set(as_gauge(replay.capacity));
        self.nonces_waiting.set(as_gauge(u64::try_from(replay.waiting).unwrap_or(u64::MAX)));
        self.replay_commits.absolute(replay.commits);
        self.replay_failures.absolute(replay.failures);
        self.password_hashes.absolute(password_hashes);
        self.ready.set(if replay.ready { 1.0 } else { 0.0 });
        self.recorder.handle().render()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
