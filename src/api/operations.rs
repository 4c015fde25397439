//! The table of operations. The routes and the description are made from it, so that neither can tell of what the other
//! does not know.

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Impersonate,
    ListAccounts,
    CreateAccount,
    ShowAccount,
    UpdateAccount,
    DeleteAccount,
    LockAccount,
    DisableAccount,
    EnableAccount,
    SetPassword,
    ListCompanies,
    CreateCompany,
    ShowCompany,
    ListClients,
    CreateClient,
    ShowClient,
    UpdateClient,
    DeleteClient,
    RotateSecret,
    DisableClient,
    EnableClient,
    ListKeys,
    CreateKey,
    ShowKey,
    RegenerateKey,
    DeleteKey,
    ListTokens,
    ShowToken,
    RevokeToken,
    ListGrants,
    ShowGrant,
    RevokeGrant,
    RevokeGrantOf,
    ListAudit,
}

impl Action {
    /// Whether it does nothing but revoke: a locked or disabled account may do it too.
    pub const fn only_takes_away(self) -> bool {
        matches!(
            self,
            Self::RevokeToken | Self::RevokeGrant | Self::RevokeGrantOf | Self::DeleteKey | Self::DisableClient
        )
    }
}

/// What a field of a body holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Text,
    /// `null` takes the text away.
    NullableText,
    Texts,
    /// 0 to 2³² − 1.
    Seconds,
    Switch,
}

/// A field of a body.
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
    pub about: &'static str,
}

impl Field {
    /// A field that may be left out.
    pub const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, required: false, about }
    }

    /// A field that must be there.
    pub const fn needed(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, required: true, about }
    }
}

/// One method of one path.
pub struct Operation {
    pub method: &'static str,
    pub path: &'static str,
    pub action: Action,
    pub summary: &'static str,
    /// Parameters of the query, with what each says.
    pub query: &'static [(&'static str, &'static str)],
    pub fields: &'static [Field],
    /// The status of success.
    pub status: u16,
    /// The name of the shape that is answered; empty where there is none.
    pub answers: &'static str,
    /// Whether it answers an array of them.
    pub many: bool,
}

impl Operation {
    /// Whether its query has a parameter of this name.
    pub fn asks(&self, name: &str) -> bool {
        self.query.iter().any(|(known, _)| *known == name)
    }

    /// Whether `null` in this field says as much as its absence. Where something is changed, `null` takes away.
    pub fn takes_null_as_absent(&self, field: &Field) -> bool {
        self.method == "POST" && !field.required
    }
}

const LIMIT: (&str, &str) = ("limit", "At most so many, 1 to 1000; 100 unless told");
const AFTER: (&str, &str) = ("after", "Where the next part begins, as the Link header says");
const ACCOUNT: (&str, &str) = ("account", "Of this account: username or id");
const USERNAME: (&str, &str) = ("username", "The same, by the name that the answer has");
const CLIENT: (&str, &str) = ("client", "Of this client key");
const CLIENT_KEY: (&str, &str) = ("client_key", USERNAME.1);

const SCOPES: Field = Field::new("scopes", Kind::Texts, "In place of those so far");
const REASON: &[Field] = &[Field::new("reason", Kind::Text, "Told to whoever uses the account's credentials")];
const NAME: Field = Field::new("name", Kind::Text, "For people");
const CALLBACKS: Field = Field::new("callbacks", Kind::Texts, "Where account holders are sent back to, or oob");
const METHODS: Field = Field::new("signature_methods", Kind::Texts, "Such as HMAC-SHA256");
const RSA: Field = Field::new("rsa_public_key", Kind::NullableText, "PEM, from 2048 bits");
const HTTP_AUTH: Field = Field::new("http_auth", Kind::Switch, "Whether the key is good with Basic and Digest");
const PASSWORD: &str = "1 to 1024 characters";

const NEW_ACCOUNT: &[Field] = &[
    Field::needed("username", Kind::Text, "Unique on the server; often an e-mail address"),
    Field::new("password", Kind::Text, "1 to 1024 characters; without it the account has keys and clients only"),
    Field::new("company", Kind::Text, "One that is new is made"),
    Field::new("role", Kind::Text, "member, integrator or admin; member unless told"),
    Field::new("scopes", Kind::Texts, "The most that the account may do; * unless told, no limit"),
    NAME,
    Field::new("email", Kind::Text, "The username unless told, if it is an address"),
    Field::new("external_id", Kind::Text, "The operator's own name for the account"),
];
const CHANGED_ACCOUNT: &[Field] = &[
    Field::new("username", Kind::Text, "Digest needs the password to be set again then"),
    Field::new(
        "company",
        Kind::NullableText,
        "Digest needs the password to be set again and keys to be regenerated then",
    ),
    Field::new("role", Kind::Text, "member, integrator or admin"),
    SCOPES,
    NAME,
    Field::new("email", Kind::NullableText, "An address"),
    Field::new("external_id", Kind::NullableText, "The operator's own name for the account"),
    Field::new("status", Kind::Text, "active, locked or disabled"),
    Field::new("reason", Kind::Text, "With a status: told to whoever uses the account's credentials"),
    Field::new("password", Kind::Text, "1 to 1024 characters; ends the account's sessions"),
];
const NEW_CLIENT: &[Field] = &[
    Field::new("owner", Kind::Text, "Username or id; the caller unless told"),
    Field::new("username", Kind::Text, USERNAME.1),
    Field::needed("name", Kind::Text, "For people, on the consent page"),
    CALLBACKS,
    Field::new("scopes", Kind::Texts, "The most that its tokens may do; none unless told"),
    METHODS,
    RSA,
    HTTP_AUTH,
];
const CHANGED_CLIENT: &[Field] =
    &[NAME, CALLBACKS, SCOPES, METHODS, RSA, HTTP_AUTH, Field::new("status", Kind::Text, "active or disabled")];
const NEW_KEY: &[Field] = &[
    Field::new("account", Kind::Text, "Username or id; the caller unless told"),
    Field::new("username", Kind::Text, USERNAME.1),
    Field::needed("name", Kind::Text, "For people"),
    Field::new("scopes", Kind::Texts, "The most that the key may do; what the account may do unless told"),
    Field::new("expires_in", Kind::Seconds, "No end unless told"),
];

const fn see(path: &'static str, action: Action, summary: &'static str, answers: &'static str) -> Operation {
    Operation { method: "GET", path, action, summary, query: &[], fields: &[], status: 200, answers, many: false }
}

const fn list(
    path: &'static str,
    action: Action,
    summary: &'static str,
    answers: &'static str,
    query: &'static [(&'static str, &'static str)],
) -> Operation {
    Operation { query, many: true, ..see(path, action, summary, answers) }
}

const fn make(
    path: &'static str,
    action: Action,
    summary: &'static str,
    answers: &'static str,
    fields: &'static [Field],
) -> Operation {
    Operation { method: "POST", status: 201, fields, ..see(path, action, summary, answers) }
}

const fn order(
    path: &'static str,
    action: Action,
    summary: &'static str,
    answers: &'static str,
    fields: &'static [Field],
) -> Operation {
    Operation { status: if answers.is_empty() { 204 } else { 200 }, ..make(path, action, summary, answers, fields) }
}

const fn change(
    path: &'static str,
    action: Action,
    summary: &'static str,
    answers: &'static str,
    fields: &'static [Field],
) -> Operation {
    Operation { method: "PATCH", ..order(path, action, summary, answers, fields) }
}

const fn remove(path: &'static str, action: Action, summary: &'static str) -> Operation {
    Operation { method: "DELETE", ..order(path, action, summary, "", &[]) }
}

const ACCOUNTS: &str = "/api/v1/accounts";
const AN_ACCOUNT: &str = "/api/v1/accounts/{username}";
const COMPANIES: &str = "/api/v1/companies";
const CLIENTS: &str = "/api/v1/clients";
const A_CLIENT: &str = "/api/v1/clients/{client_key}";
const KEYS: &str = "/api/v1/keys";
const A_KEY: &str = "/api/v1/keys/{public_key}";
const A_TOKEN: &str = "/api/v1/tokens/{id}";
const GRANTS: &str = "/api/v1/grants";
const A_GRANT: &str = "/api/v1/grants/{id}";

/// Every operation; those of one path stand together.
pub const OPERATIONS: &[Operation] = &[
    make(
        "/api/v1/members/{username}/tokens",
        Action::Impersonate,
        "Get a short-lived API key for a member of one's own company",
        "Key",
        &[],
    ),
    list(
        ACCOUNTS,
        Action::ListAccounts,
        "List accounts, newest first",
        "Account",
        &[
            ("company", "Of this company"),
            ("status", "active, locked or disabled"),
            ("role", "member, integrator or admin"),
            ("external_id", "With this external id"),
            ("username", "Only this one: username or id"),
            LIMIT,
            AFTER,
        ],
    ),
    make(ACCOUNTS, Action::CreateAccount, "Make an account", "Account", NEW_ACCOUNT),
    see(AN_ACCOUNT, Action::ShowAccount, "Show an account, by username or id", "Account"),
    change(AN_ACCOUNT, Action::UpdateAccount, "Change what the fields name", "Account", CHANGED_ACCOUNT),
    remove(AN_ACCOUNT, Action::DeleteAccount, "Delete an account with its clients, keys and tokens"),
    order(
        "/api/v1/accounts/{username}/lock",
        Action::LockAccount,
        "Lock an account whose balance is unpaid",
        "Account",
        REASON,
    ),
    order(
        "/api/v1/accounts/{username}/disable",
        Action::DisableAccount,
        "Disable an account that violates the terms",
        "Account",
        REASON,
    ),
    order("/api/v1/accounts/{username}/enable", Action::EnableAccount, "Undo lock and disable", "Account", &[]),
    order(
        "/api/v1/accounts/{username}/set-password",
        Action::SetPassword,
        "Set the password and end the account's sessions",
        "",
        &[Field::needed("password", Kind::Text, PASSWORD)],
    ),
    list(COMPANIES, Action::ListCompanies, "List companies", "Company", &[]),
    make(
        COMPANIES,
        Action::CreateCompany,
        "Make a company",
        "Company",
        &[Field::needed("id", Kind::Text, "A short id such as acme"), NAME],
    ),
    see("/api/v1/companies/{id}", Action::ShowCompany, "Show a company", "Company"),
    list(
        CLIENTS,
        Action::ListClients,
        "List clients, newest first",
        "Client",
        &[("owner", ACCOUNT.1), USERNAME, CLIENT, CLIENT_KEY, LIMIT, AFTER],
    ),
    make(CLIENTS, Action::CreateClient, "Register an app; its client secret is shown this once", "Client", NEW_CLIENT),
    see(A_CLIENT, Action::ShowClient, "Show a client", "Client"),
    change(A_CLIENT, Action::UpdateClient, "Change what the fields name", "Client", CHANGED_CLIENT),
    remove(A_CLIENT, Action::DeleteClient, "Delete a client with its tokens"),
    order(
        "/api/v1/clients/{client_key}/rotate-secret",
        Action::RotateSecret,
        "Make a new client secret; it is shown this once",
        "Client",
        &[Field::new("grace", Kind::Seconds, "How long the old secret stays good beside the new one; 0 unless told")],
    ),
    order(
        "/api/v1/clients/{client_key}/disable",
        Action::DisableClient,
        "Let a client and its tokens rest",
        "Client",
        &[],
    ),
    order("/api/v1/clients/{client_key}/enable", Action::EnableClient, "Undo disable", "Client", &[]),
    list(KEYS, Action::ListKeys, "List API keys, newest first", "Key", &[ACCOUNT, USERNAME, LIMIT, AFTER]),
    make(KEYS, Action::CreateKey, "Make an API key; its private key is shown this once", "Key", NEW_KEY),
    see(A_KEY, Action::ShowKey, "Show an API key", "Key"),
    remove(A_KEY, Action::DeleteKey, "Delete an API key"),
    order(
        "/api/v1/keys/{public_key}/regenerate",
        Action::RegenerateKey,
        "Make a new private key; the old one is dead at once. A key that has expired gets none",
        "Key",
        &[],
    ),
    list(
        "/api/v1/tokens",
        Action::ListTokens,
        "List access tokens, newest first",
        "Token",
        &[ACCOUNT, USERNAME, CLIENT, CLIENT_KEY, LIMIT, AFTER],
    ),
    see(A_TOKEN, Action::ShowToken, "Show an access token", "Token"),
    remove(A_TOKEN, Action::RevokeToken, "Revoke an access token, by id or by itself"),
    list(
        GRANTS,
        Action::ListGrants,
        "List grants, newest first",
        "Grant",
        &[ACCOUNT, USERNAME, CLIENT, CLIENT_KEY, LIMIT, AFTER],
    ),
    Operation {
        query: &[("username", "Whose: username or id"), ("client_key", "Of this client")],
        ..remove(GRANTS, Action::RevokeGrantOf, "End the grant of an account and a client and revoke all its tokens")
    },
    see(A_GRANT, Action::ShowGrant, "Show a grant", "Grant"),
    remove(A_GRANT, Action::RevokeGrant, "End a grant and revoke all its tokens"),
    list(
        "/api/v1/audit",
        Action::ListAudit,
        "List what happened, newest first",
        "Audit",
        &[
            ("event", "Such as account.created, or its beginning up to the dot"),
            ACCOUNT,
            USERNAME,
            CLIENT,
            CLIENT_KEY,
            ("since", "From this moment on (RFC 3339)"),
            ("until", "Before this moment (RFC 3339)"),
            ("before", "Only what has a smaller id: the next page"),
            LIMIT,
        ],
    ),
];
