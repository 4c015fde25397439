//! The tables, as diesel sees them. The columns' meaning stands beside them in `migrations/`.

diesel::table! {
    companies (id) {
        id -> Text,
        name -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    accounts (id) {
        id -> Text,
        username -> Text,
        company -> Nullable<Text>,
        role -> Text,
        scopes -> Text,
        name -> Text,
        email -> Nullable<Text>,
        external_id -> Nullable<Text>,
        status -> Text,
        status_reason -> Nullable<Text>,
        password_hash -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    clients (client_key) {
        client_key -> Text,
        owner -> Text,
        name -> Text,
        callbacks -> Text,
        scopes -> Text,
        signature_methods -> Text,
        rsa_public_key -> Nullable<Text>,
        http_auth -> Bool,
        status -> Text,
        sealed_secret -> Binary,
        sealed_previous_secret -> Nullable<Binary>,
        previous_secret_until -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
        created_at -> BigInt,
    }
}

diesel::table! {
    api_keys (public_key) {
        public_key -> Text,
        account -> Text,
        name -> Text,
        scopes -> Nullable<Text>,
        private_key_hash -> Binary,
        hint -> Text,
        expires_at -> Nullable<BigInt>,
        impersonator -> Nullable<Text>,
        last_used_at -> Nullable<BigInt>,
        created_at -> BigInt,
    }
}

diesel::table! {
    digest_secrets (username, realm) {
        username -> Text,
        realm -> Text,
        account -> Text,
        public_key -> Nullable<Text>,
        sealed_hashes -> Binary,
        user_hash_md5 -> Text,
        user_hash_sha256 -> Text,
    }
}

diesel::table! {
    temporary_credentials (token_hash) {
        token_hash -> Binary,
        client_key -> Text,
        sealed_secret -> Binary,
        callback -> Text,
        scopes -> Text,
        state -> Text,
        account -> Nullable<Text>,
        consented_scopes -> Nullable<Text>,
        verifier_hash -> Nullable<Binary>,
        wrong_verifiers -> Integer,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    grants (id) {
        id -> Text,
        account -> Text,
        client_key -> Text,
        scopes -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    token_credentials (id) {
        id -> Text,
        token_hash -> Binary,
        hint -> Text,
        client_key -> Text,
        account -> Text,
        grant_id -> Text,
        sealed_secret -> Binary,
        scopes -> Text,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    sessions (id) {
        id -> Text,
        secret_hash -> Binary,
        account -> Text,
        kind -> Text,
        address -> Nullable<Text>,
        user_agent -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    sent_forms (session, form) {
        session -> Text,
        form -> Text,
    }
}

diesel::table! {
    audit (id) {
        id -> BigInt,
        at -> BigInt,
        event -> Text,
        actor -> Text,
        actor_account -> Nullable<Text>,
        account -> Nullable<Text>,
        company -> Nullable<Text>,
        client_key -> Nullable<Text>,
        subject -> Text,
        detail -> Nullable<Text>,
        address -> Nullable<Text>,
    }
}

diesel::table! {
    refused_requests (id) {
        id -> BigInt,
        client_key -> Text,
        at -> BigInt,
        report -> Text,
    }
}

diesel::table! {
    settings (name) {
        name -> Text,
        sealed_value -> Binary,
        created_at -> BigInt,
    }
}

diesel::table! {
    changes (id) {
        id -> BigInt,
        at -> BigInt,
        change -> Text,
    }
}

diesel::joinable!(accounts -> companies (company));
diesel::joinable!(clients -> accounts (owner));
diesel::joinable!(api_keys -> accounts (account));
diesel::joinable!(grants -> accounts (account));
diesel::joinable!(grants -> clients (client_key));
diesel::joinable!(token_credentials -> accounts (account));
diesel::joinable!(token_credentials -> clients (client_key));

diesel::allow_tables_to_appear_in_same_query!(
    companies,
    accounts,
    clients,
    api_keys,
    digest_secrets,
    temporary_credentials,
    grants,
    token_credentials,
    sessions,
);
