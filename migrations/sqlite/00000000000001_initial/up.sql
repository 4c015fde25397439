-- The first shape of the store. Times are whole seconds since 1970 (UTC), hashes are SHA-256, "sealed" columns are AES-256-GCM.

CREATE TABLE companies (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE accounts (
    id TEXT PRIMARY KEY NOT NULL,
    username TEXT NOT NULL UNIQUE,
    company TEXT REFERENCES companies (id),
    role TEXT NOT NULL,
    scopes TEXT NOT NULL,
    name TEXT NOT NULL,
    email TEXT,
    external_id TEXT,
    status TEXT NOT NULL,
    status_reason TEXT,
    password_hash TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX accounts_by_time ON accounts (created_at, id);
CREATE INDEX accounts_by_company ON accounts (company, created_at, id);
CREATE INDEX accounts_by_external_id ON accounts (external_id);

CREATE TABLE clients (
    client_key TEXT PRIMARY KEY NOT NULL,
    owner TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    callbacks TEXT NOT NULL,
    scopes TEXT NOT NULL,
    signature_methods TEXT NOT NULL,
    rsa_public_key TEXT,
    http_auth BOOLEAN NOT NULL,
    status TEXT NOT NULL,
    sealed_secret BLOB NOT NULL,
    sealed_previous_secret BLOB,
    previous_secret_until BIGINT,
    last_used_at BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX clients_by_time ON clients (created_at, client_key);
CREATE INDEX clients_by_owner ON clients (owner, created_at, client_key);

CREATE TABLE api_keys (
    public_key TEXT PRIMARY KEY NOT NULL,
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    scopes TEXT,
    private_key_hash BLOB NOT NULL,
    hint TEXT NOT NULL,
    expires_at BIGINT,
    impersonator TEXT REFERENCES accounts (id) ON DELETE CASCADE,
    last_used_at BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX api_keys_by_time ON api_keys (created_at, public_key);
CREATE INDEX api_keys_by_account ON api_keys (account, created_at, public_key);
CREATE INDEX api_keys_by_impersonator ON api_keys (impersonator);
CREATE INDEX api_keys_by_end ON api_keys (expires_at);
CREATE INDEX api_keys_by_private_key ON api_keys (private_key_hash);

-- What Digest (RFC 7616) needs instead of a password: one row for each spelling of the user name.
CREATE TABLE digest_secrets (
    username TEXT NOT NULL,
    realm TEXT NOT NULL,
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    public_key TEXT REFERENCES api_keys (public_key) ON DELETE CASCADE,
    sealed_hashes BLOB NOT NULL,
    user_hash_md5 TEXT NOT NULL,
    user_hash_sha256 TEXT NOT NULL,
    PRIMARY KEY (username, realm)
);
CREATE INDEX digest_secrets_by_account ON digest_secrets (account);
CREATE INDEX digest_secrets_by_public_key ON digest_secrets (public_key);
CREATE INDEX digest_secrets_by_md5 ON digest_secrets (user_hash_md5);
CREATE INDEX digest_secrets_by_sha256 ON digest_secrets (user_hash_sha256);

CREATE TABLE temporary_credentials (
    token_hash BLOB PRIMARY KEY NOT NULL,
    client_key TEXT NOT NULL REFERENCES clients (client_key) ON DELETE CASCADE,
    sealed_secret BLOB NOT NULL,
    callback TEXT NOT NULL,
    scopes TEXT NOT NULL,
    state TEXT NOT NULL,
    account TEXT REFERENCES accounts (id) ON DELETE CASCADE,
    consented_scopes TEXT,
    verifier_hash BLOB,
    wrong_verifiers INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX temporary_credentials_by_end ON temporary_credentials (expires_at);
CREATE INDEX temporary_credentials_by_client ON temporary_credentials (client_key);
CREATE INDEX temporary_credentials_by_account ON temporary_credentials (account);

CREATE TABLE grants (
    id TEXT PRIMARY KEY NOT NULL,
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    client_key TEXT NOT NULL REFERENCES clients (client_key) ON DELETE CASCADE,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (account, client_key)
);
CREATE INDEX grants_by_client ON grants (client_key);
CREATE INDEX grants_by_time ON grants (created_at, id);

-- A revoked token outlives its grant for a while, so that its client hears "revoked" and not "unknown".
CREATE TABLE token_credentials (
    id TEXT PRIMARY KEY NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    hint TEXT NOT NULL,
    client_key TEXT NOT NULL REFERENCES clients (client_key) ON DELETE CASCADE,
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    grant_id TEXT NOT NULL,
    sealed_secret BLOB NOT NULL,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    last_used_at BIGINT
);
CREATE INDEX token_credentials_by_time ON token_credentials (created_at, id);
CREATE INDEX token_credentials_by_account ON token_credentials (account, created_at, id);
CREATE INDEX token_credentials_by_client ON token_credentials (client_key, created_at, id);
CREATE INDEX token_credentials_by_grant ON token_credentials (grant_id);
CREATE INDEX token_credentials_by_end ON token_credentials (expires_at);
CREATE INDEX token_credentials_by_revocation ON token_credentials (revoked_at);

CREATE TABLE sessions (
    id TEXT PRIMARY KEY NOT NULL,
    secret_hash BLOB NOT NULL UNIQUE,
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    address TEXT,
    user_agent TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_account ON sessions (account, created_at);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at BIGINT NOT NULL,
    event TEXT NOT NULL,
    actor TEXT NOT NULL,
    actor_account TEXT,
    account TEXT,
    company TEXT,
    client_key TEXT,
    subject TEXT NOT NULL,
    detail TEXT,
    address TEXT
);
CREATE INDEX audit_by_account ON audit (account, id);
CREATE INDEX audit_by_actor ON audit (actor_account, id);
CREATE INDEX audit_by_company ON audit (company, id);
CREATE INDEX audit_by_client ON audit (client_key, id);
CREATE INDEX audit_by_event ON audit (event, id);
CREATE INDEX audit_by_time ON audit (at);

-- Signed requests of known clients that were refused, with what the server saw: what the inspector shows.
CREATE TABLE refused_requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    client_key TEXT NOT NULL REFERENCES clients (client_key) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    report TEXT NOT NULL
);
CREATE INDEX refused_requests_by_client ON refused_requests (client_key, id);

-- What the server keeps for itself, e.g. its JWT signing keys.
CREATE TABLE settings (
    name TEXT PRIMARY KEY NOT NULL,
    sealed_value BLOB NOT NULL,
    created_at BIGINT NOT NULL
);

-- What has changed, for other processes on the same file: they poll it. PostgreSQL has NOTIFY for that.
CREATE TABLE changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at BIGINT NOT NULL,
    change TEXT NOT NULL
);
