-- The first shape of the store. Times are whole seconds since 1970 (UTC), hashes are SHA-256, "sealed" columns are AES-256-GCM.

CREATE TABLE companies (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE accounts (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    username TEXT COLLATE "C" NOT NULL UNIQUE,
    company TEXT COLLATE "C" REFERENCES companies (id),
    role TEXT COLLATE "C" NOT NULL,
    scopes TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    email TEXT COLLATE "C",
    external_id TEXT COLLATE "C",
    status TEXT COLLATE "C" NOT NULL,
    status_reason TEXT COLLATE "C",
    password_hash TEXT COLLATE "C",
    created_at BIGINT NOT NULL
);
CREATE INDEX accounts_by_time ON accounts (created_at, id);
CREATE INDEX accounts_by_company ON accounts (company, created_at, id);
CREATE INDEX accounts_by_external_id ON accounts (external_id);

CREATE TABLE clients (
    client_key TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    owner TEXT COLLATE "C" NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    callbacks TEXT COLLATE "C" NOT NULL,
    scopes TEXT COLLATE "C" NOT NULL,
    signature_methods TEXT COLLATE "C" NOT NULL,
    rsa_public_key TEXT COLLATE "C",
    http_auth BOOLEAN NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    sealed_secret BYTEA NOT NULL,
    sealed_previous_secret BYTEA,
    previous_secret_until BIGINT,
    last_used_at BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX clients_by_time ON clients (created_at, client_key);
CREATE INDEX clients_by_owner ON clients (owner, created_at, client_key);

CREATE TABLE api_keys (
    public_key TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    account TEXT COLLATE "C" NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    scopes TEXT COLLATE "C",
    private_key_hash BYTEA NOT NULL,
    hint TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT,
    impersonator TEXT COLLATE "C" REFERENCES accounts (id) ON DELETE CASCADE,
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
    username TEXT COLLATE "C" NOT NULL,
    realm TEXT COLLATE "C" NOT NULL,
    account TEXT COLLATE "C" NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    public_key TEXT COLLATE "C" REFERENCES api_keys (public_key) ON DELETE CASCADE,
    sealed_hashes BYTEA NOT NULL,
    user_hash_md5 TEXT COLLATE "C" NOT NULL,
    user_hash_sha256 TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (username, realm)
);
CREATE INDEX digest_secrets_by_account ON digest_secrets (account);
CREATE INDEX digest_secrets_by_public_key ON digest_secrets (public_key);
CREATE INDEX digest_secrets_by_md5 ON digest_secrets (user_hash_md5);
CREATE INDEX digest_secrets_by_sha256 ON digest_secrets (user_hash_sha256);

CREATE TABLE temporary_credentials (
    token_hash BYTEA PRIMARY KEY NOT NULL,
    client_key TEXT COLLATE "C" NOT NULL REFERENCES clients (client_key) ON DELETE CASCADE,
    sealed_secret BYTEA NOT NULL,
    callback TEXT COLLATE "C" NOT NULL,
    scopes TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    account TEXT COLLATE "C" REFERENCES accounts (id) ON DELETE CASCADE,
    consented_scopes TEXT COLLATE "C",
    verifier_hash BYTEA,
    wrong_verifiers INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX temporary_credentials_by_end ON temporary_credentials (expires_at);
CREATE INDEX temporary_credentials_by_client ON temporary_credentials (client_key);
CREATE INDEX temporary_credentials_by_account ON temporary_credentials (account);

CREATE TABLE grants (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    account TEXT COLLATE "C" NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    client_key TEXT COLLATE "C" NOT NULL REFERENCES clients (client_key) ON DELETE CASCADE,
    scopes TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (account, client_key)
);
CREATE INDEX grants_by_client ON grants (client_key);
CREATE INDEX grants_by_time ON grants (created_at, id);

-- A revoked token outlives its grant for a while, so that its client hears "revoked" and not "unknown".
CREATE TABLE token_credentials (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    token_hash BYTEA NOT NULL UNIQUE,
    hint TEXT COLLATE "C" NOT NULL,
    client_key TEXT COLLATE "C" NOT NULL REFERENCES clients (client_key) ON DELETE CASCADE,
    account TEXT COLLATE "C" NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    grant_id TEXT COLLATE "C" NOT NULL,
    sealed_secret BYTEA NOT NULL,
    scopes TEXT COLLATE "C" NOT NULL,
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
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    secret_hash BYTEA NOT NULL UNIQUE,
    account TEXT COLLATE "C" NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    kind TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C",
    user_agent TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_account ON sessions (account, created_at);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    event TEXT COLLATE "C" NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    actor_account TEXT COLLATE "C",
    account TEXT COLLATE "C",
    company TEXT COLLATE "C",
    client_key TEXT COLLATE "C",
    subject TEXT COLLATE "C" NOT NULL,
    detail TEXT COLLATE "C",
    address TEXT COLLATE "C"
);
CREATE INDEX audit_by_account ON audit (account, id);
CREATE INDEX audit_by_actor ON audit (actor_account, id);
CREATE INDEX audit_by_company ON audit (company, id);
CREATE INDEX audit_by_client ON audit (client_key, id);
CREATE INDEX audit_by_event ON audit (event, id);
CREATE INDEX audit_by_time ON audit (at);

-- Signed requests of known clients that were refused, with what the server saw: what the inspector shows.
CREATE TABLE refused_requests (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_key TEXT COLLATE "C" NOT NULL REFERENCES clients (client_key) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    report TEXT COLLATE "C" NOT NULL
);
CREATE INDEX refused_requests_by_client ON refused_requests (client_key, id);

-- What the server keeps for itself, e.g. its JWT signing keys.
CREATE TABLE settings (
    name TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    sealed_value BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
