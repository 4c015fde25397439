-- Used nonces (RFC 5849 §3.3), shared by all nodes. The primary key decides which node was first.
-- Partitions of ten minutes are attached on demand and dropped whole by the server: see src/store/replay/postgres.rs.
CREATE TABLE replay_nonces (
    bucket BIGINT NOT NULL,
    fingerprint BIGINT NOT NULL,
    PRIMARY KEY (bucket, fingerprint)
) PARTITION BY RANGE (bucket);

CREATE TABLE replay_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- The key of the fingerprints: 128 random bits.
    hash_key BYTEA NOT NULL CHECK (octet_length(hash_key) = 16),
    -- Nonces of minutes below it may have been forgotten, so all of them are refused.
    horizon BIGINT NOT NULL,
    -- Which database cluster this was written in, and on which timeline: another one is a restored backup or a failover.
    cluster TEXT NOT NULL
);
