//! The command line, as a person or a script meets it: the built program on databases of its own.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use countersign::protocol::base_string::{BaseStringUri, SignatureBaseString};
use countersign::protocol::parameters::{Parameters, Source};
use countersign::protocol::request::UriScheme;
use countersign::protocol::signature::{RsaVerificationKey, SignatureMethod, VerificationKey, verify};
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use serde_json::Value;

/// A folder of one's own, in which commands run without any environment.
struct Desk(PathBuf);

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Desk {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("countersign-cli-{:032x}", rand::random::<u128>()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(arguments).env_clear().current_dir(&self.0);
        command
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, "", &[])
    }

    fn run_with(&self, arguments: &[&str], stdin: &str, environment: &[(&str, &str)]) -> Outcome {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read may be gone already.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        Outcome {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The JSON that a command answers, which must succeed.
    fn json(&self, arguments: &[&str]) -> Value {
        self.run(arguments).json()
    }

    /// An account with a password.
    fn account(&self, username: &str, more: &[&str]) -> Value {
        let arguments = [&["account", "create", "--username", username, "--password-stdin"], more].concat();
        self.run_with(&arguments, "correct horse\n", &[]).json()
    }
}

impl Outcome {
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap()
    }

    #[track_caller]
    fn done(&self) -> &Self {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }

    #[track_caller]
    fn fails(&self, code: i32, message: &str) {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert!(self.stderr.contains(message), "{message}\n{}", self.stderr);
        assert_eq!(self.stdout, "", "a failure has no data");
    }
}

#[track_caller]
fn has_keys(value: &Value, keys: &[&str]) {
    let found: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(found, keys.iter().copied().collect());
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key} in {value}"))
}

/// What another provider might hand over: with passwords, secrets and tokens in the clear.
const FROM_ELSEWHERE: &str = r#"{"type":"countersign","version":1}
{"type":"company","id":"acme","name":"Acme Corporation","created_at":"2019-02-03T04:05:06Z"}
{"type":"account","username":"jo@example.com","company":"acme","role":"admin","scopes":["account:read","account:write"],"external_id":"4711","password_hash":"$argon2id$v=19$m=19456,t=2,p=1$Y291bnRlcnNpZ25ub2JvZHk$OMKWY4wSAmIbCOFgXgPBxHj1Pd/5x0xfVZ/4Y9ttFoo"}
{"type":"account","username":"ann","status":"locked","status_reason":"late"}
{"type":"client","client_key":"dpf43f3p2l4k3l03","client_secret":"kd94hf93k423kf44","owner":"jo@example.com","name":"Printer","callbacks":["http://printer.example.com/ready"],"scopes":["account:read"],"created_at":"2020-01-02T03:04:05Z"}
{"type":"key","public_key":"old-public","private_key":"old-private","account":"ann","name":"script","scopes":["account:read"]}
{"type":"token","oauth_token":"nnch734d00sl2jdk","oauth_token_secret":"pfkkdhi9sl3r4s00","client_key":"dpf43f3p2l4k3l03","username":"ann"}
"#;

#[test]
fn every_command_explains_itself() {
    let desk = Desk::new();
    for path in [
        "",
        "serve",
        "demo",
        "migrate",
        "company create",
        "company list",
        "account create",
        "account list",
        "account show",
        "account update",
        "account lock",
        "account disable",
        "account enable",
        "account delete",
        "account set-password",
        "client create",
        "client list",
        "client show",
        "client update",
        "client rotate-secret",
        "client disable",
        "client enable",
        "client delete",
        "key create",
        "key list",
        "key regenerate",
        "key delete",
        "token list",
        "token revoke",
        "grant list",
        "grant revoke",
        "audit list",
        "sign",
        "import",
        "export",
        "reseal",
        "completions",
        "openapi",
    ] {
        let arguments: Vec<&str> = path.split_whitespace().chain(["--help"]).collect();
        let help = desk.run(&arguments);
        assert!(help.done().stdout.contains("Usage: countersign"), "{path}");
        assert!(help.stdout.contains("--database-url"), "{path}");
    }
    assert_eq!(std::fs::read_dir(&desk.0).unwrap().count(), 0, "help makes no file");
}

#[test]
fn a_mistake_in_the_file_is_said_also_by_commands_that_need_nothing_of_it() {
    let desk = Desk::new();
    desk.write("bad.toml", "[server]\nlissten = 1\n");
    let sign = ["sign", "GET", "http://a.example/", "--client-key", "k", "--client-secret", "s"];
    for command in [["openapi"].as_slice(), &["completions", "bash"], &sign] {
        desk.run(&[command, &["--config", "bad.toml"]].concat()).fails(2, "lissten");
    }
}

#[test]
fn an_account_is_made_changed_locked_and_deleted() {
    let desk = Desk::new();
    let made = desk.account("jo@example.com", &["--company", "acme", "--role", "integrator", "--external-id", "4711"]);
    has_keys(
        &made,
        &[
            "id",
            "username",
            "company",
            "role",
            "scopes",
            "name",
            "email",
            "external_id",
            "status",
            "reason",
            "created_at",
        ],
    );
    assert_eq!(text(&made, "email"), "jo@example.com");
    assert_eq!((text(&made, "role"), text(&made, "company"), text(&made, "status")), ("integrator", "acme", "active"));
    assert_eq!(made["scopes"], serde_json::json!(["*"]));
    assert_eq!(text(&made, "created_at").len(), "2026-11-21T23:54:00Z".len());

    let id = text(&made, "id");
    for name in ["jo@example.com", "acme+jo@example.com", id] {
        assert_eq!(desk.json(&["account", "show", name]), made);
    }
    assert_eq!(desk.json(&["account", "list"]), serde_json::json!([made]));
    assert_eq!(desk.json(&["company", "list"])[0]["id"], "acme");

    let changed = desk.json(&[
        "account",
        "update",
        id,
        "--no-company",
        "--no-external-id",
        "--name",
        "Jo",
        "--scope",
        "account:read,account:write",
        "--role",
        "admin",
    ]);
    assert_eq!((&changed["company"], &changed["external_id"]), (&Value::Null, &Value::Null));
    assert_eq!(changed["scopes"], serde_json::json!(["account:read", "account:write"]));
    assert_eq!((text(&changed, "name"), text(&changed, "role")), ("Jo", "admin"));

    let locked = desk.json(&["account", "lock", id, "--reason", "unpaid since May"]);
    assert_eq!((text(&locked, "status"), text(&locked, "reason")), ("locked", "unpaid since May"));
    assert_eq!(desk.json(&["account", "list", "--status", "locked"]).as_array().unwrap().len(), 1);
    assert_eq!(text(&desk.json(&["account", "disable", id]), "status"), "disabled");
    assert_eq!(text(&desk.json(&["account", "enable", id]), "status"), "active");

    let set = desk.run_with(&["account", "set-password", id, "--password-stdin"], "another\r\n", &[]);
    assert_eq!(set.done().stdout, "");
    assert!(desk.run(&["account", "delete", id]).done().stderr.contains("deleted jo@example.com"));
    assert_eq!(desk.json(&["account", "list"]), serde_json::json!([]));
}

#[test]
fn a_renamed_account_is_told_that_digest_needs_its_password_again() {
    let desk = Desk::new();
    desk.account("jo", &[]);
    let renamed = desk.run(&["account", "update", "jo", "--username", "joanna"]);
    assert_eq!(text(&renamed.json(), "username"), "joanna");
    assert!(renamed.stderr.contains("Digest works again when the password is set again"));
    assert!(!desk.run(&["account", "update", "joanna", "--name", "J"]).done().stderr.contains("Digest"));
}

#[test]
fn digest_is_spoken_of_where_its_hashes_are_lost_only() {
    let desk = Desk::new();
    let said = |arguments: &[&str]| desk.run(&[&["account", "update"], arguments].concat()).done().stderr.clone();
    desk.run(&["account", "create", "--username", "robot", "--api-only"]).done();
    assert!(!said(&["robot", "--company", "acme"]).contains("Digest"), "neither password nor key");
    desk.json(&["key", "create", "--account", "robot", "--name", "nightly"]);
    assert!(!said(&["robot", "--username", "robbie"]).contains("Digest"), "a key has a name of its own");
    let moved = said(&["robbie", "--company", "other"]);
    assert!(moved.contains("key regenerate") && !moved.contains("password"), "{moved}");
}

#[test]
fn a_client_is_registered_changed_and_deleted_and_its_secret_is_shown_once() {
    let desk = Desk::new();
    desk.account("jo", &[]);
    let made = desk.json(&[
        "client",
        "create",
        "--owner",
        "jo",
        "--name",
        "My app",
        "--callback",
        "https://app.example.com/done",
        "--callback",
        "oob",
        "--scope",
        "account:read",
        "--scope",
        "account:write",
        "--signature-method",
        "HMAC-SHA256",
        "--http-auth",
        "off",
    ]);
    has_keys(
        &made,
        &[
            "client_key",
            "client_secret",
            "owner",
            "name",
            "callbacks",
            "scopes",
            "signature_methods",
            "rsa_public_key",
            "http_auth",
            "status",
            "created_at",
        ],
    );
    assert_eq!(made["callbacks"], serde_json::json!(["https://app.example.com/done", "oob"]));
    assert_eq!(made["signature_methods"], serde_json::json!(["HMAC-SHA256"]));
    assert_eq!((&made["http_auth"], text(&made, "owner")), (&Value::Bool(false), "jo"));
    let key = text(&made, "client_key");
    let secret = text(&made, "client_secret");
    assert!(secret.len() >= 43);

    let shown = desk.json(&["client", "show", key]);
    assert!(shown.get("client_secret").is_none());
    assert_eq!(shown["active_tokens"], 0);
    assert_eq!(desk.json(&["client", "list", "--owner", "jo"]), serde_json::json!([shown]));

    let changed =
        desk.json(&["client", "update", key, "--no-callback", "--no-scope", "--name", "Yours", "--http-auth", "on"]);
    assert_eq!((&changed["callbacks"], &changed["scopes"]), (&serde_json::json!([]), &serde_json::json!([])));
    assert_eq!((text(&changed, "name"), &changed["http_auth"]), ("Yours", &Value::Bool(true)));

    let rotated = desk.run(&["client", "rotate-secret", key, "--grace", "3600"]);
    assert!(rotated.stderr.contains("stays good for 3600 seconds"));
    assert_ne!(text(&rotated.json(), "client_secret"), secret);
    assert!(desk.json(&["client", "show", key])["previous_secret_until"].is_string());

    assert_eq!(text(&desk.json(&["client", "disable", key]), "status"), "disabled");
    assert_eq!(text(&desk.json(&["client", "enable", key]), "status"), "active");
    desk.run(&["client", "delete", key]).done();
    desk.run(&["client", "show", key]).fails(1, "there is no client");
}

#[test]
fn an_api_key_is_made_regenerated_and_deleted_and_its_private_half_is_shown_once() {
    let desk = Desk::new();
    desk.account("jo", &[]);
    let made = desk.json(&[
        "key",
        "create",
        "--account",
        "jo",
        "--name",
        "nightly",
        "--scope",
        "invoice:read",
        "--expires-in",
        "3600",
    ]);
    has_keys(
        &made,
        &[
            "public_key",
            "private_key",
            "name",
            "username",
            "scopes",
            "hint",
            "status",
            "impersonated_by",
            "expires_at",
            "created_at",
        ],
    );
    let public_key = text(&made, "public_key");
    assert!(text(&made, "private_key").ends_with(text(&made, "hint")));
    let listed = desk.json(&["key", "list", "--account", "jo"]);
    assert!(listed[0].get("private_key").is_none());
    assert_eq!(listed[0]["scopes"], serde_json::json!(["invoice:read"]));
    let again = desk.json(&["key", "regenerate", public_key]);
    assert_eq!(text(&again, "public_key"), public_key);
    assert_ne!(text(&again, "private_key"), text(&made, "private_key"));
    for scope in [[].as_slice(), &["--scope", "*"]] {
        let arguments = [&["key", "create", "--account", "jo", "--name", "all"], scope].concat();
        let unlimited = desk.json(&arguments);
        assert_eq!((&unlimited["scopes"], &unlimited["expires_at"]), (&serde_json::json!(["*"]), &Value::Null));
    }
    desk.run(&["key", "delete", public_key]).done();
    assert_eq!(desk.json(&["key", "list"]).as_array().unwrap().len(), 2);
}

#[test]
fn a_key_is_active_until_its_end_and_then_expired() {
    let desk = Desk::new();
    let account = r#"{"type":"countersign","version":1}
{"type":"account","username":"ann"}
"#;
    let key = |name: &str, end: &str| {
        format!(
            r#"{{"type":"key","public_key":"{name}","private_key":"{name}-private","account":"ann","name":"{name}","expires_at":"{end}"}}"#
        )
    };
    let keys = [key("old", "2020-01-02T03:04:05Z"), key("new", "2999-01-02T03:04:05Z")].join("\n");
    desk.write("keys.jsonl", &format!("{account}{keys}\n"));
    desk.run(&["import", "keys.jsonl"]).done();
    let listed = desk.json(&["key", "list"]);
    let mut states: Vec<_> =
        listed.as_array().unwrap().iter().map(|key| (text(key, "name"), text(key, "status"))).collect();
    states.sort_unstable();
    assert_eq!(states, [("new", "active"), ("old", "expired")]);
    let table = desk.run(&["key", "list", "--format", "table"]).done().stdout.clone();
    assert!(table.lines().next().unwrap().contains("  STATUS"), "{table}");
}

#[test]
fn tokens_and_grants_are_listed_by_id_and_revoked_by_id_or_as_themselves() {
    let desk = Desk::new();
    desk.write("elsewhere.jsonl", FROM_ELSEWHERE);
    let imported = desk.run(&["import", "elsewhere.jsonl"]);
    assert!(
        imported.done().stderr.contains("imported 1 company, 2 accounts, 1 client, 1 key, 1 token"),
        "{}",
        imported.stderr
    );

    let tokens = desk.run(&["token", "list", "--account", "ann", "--client", "dpf43f3p2l4k3l03"]);
    assert!(!tokens.stdout.contains("nnch734d00sl2jdk") && !tokens.stdout.contains("pfkkdhi9sl3r4s00"));
    let tokens = tokens.json();
    has_keys(
        &tokens[0],
        &[
            "id",
            "hint",
            "username",
            "client_key",
            "client_name",
            "scopes",
            "status",
            "created_at",
            "expires_at",
            "revoked_at",
            "last_used_at",
        ],
    );
    assert_eq!((text(&tokens[0], "hint"), text(&tokens[0], "status")), ("2jdk", "active"));
    assert_eq!(tokens[0]["scopes"], serde_json::json!(["account:read"]));
    desk.run(&["token", "revoke", "nnch734d00sl2jdk"]).done();
    let after = desk.json(&["token", "list"]);
    assert_eq!((text(&after[0], "id"), text(&after[0], "status")), (text(&tokens[0], "id"), "revoked"));

    let grants = desk.json(&["grant", "list"]);
    has_keys(
        &grants[0],
        &["id", "username", "client_key", "client_name", "scopes", "active_tokens", "created_at", "last_used_at"],
    );
    desk.run(&["grant", "revoke", "--account", "ann", "--client", "dpf43f3p2l4k3l03"]).done();
    assert_eq!(desk.json(&["grant", "list"]), serde_json::json!([]));
    desk.run(&["grant", "revoke", text(&grants[0], "id")]).fails(1, "there is no such grant");
}

#[test]
fn what_the_operator_does_is_written_down_without_secrets() {
    let desk = Desk::new();
    desk.account("jo", &[]);
    let client = desk.json(&["client", "create", "--owner", "jo", "--name", "App"]);
    let log = desk.run(&["audit", "list", "--account", "jo"]);
    assert!(!log.stdout.contains(text(&client, "client_secret")) && !log.stdout.contains("correct horse"));
    let log = log.json();
    has_keys(
        &log[0],
        &["id", "created_at", "event", "actor", "subject", "account", "company", "client_key", "detail", "address"],
    );
    let events: Vec<&str> = log.as_array().unwrap().iter().map(|entry| text(entry, "event")).collect();
    assert_eq!(events, ["client.created", "account.created"]);
    assert_eq!(text(&log[0], "actor"), "(operator)");
    assert_eq!(desk.json(&["audit", "list", "--event", "account", "--limit", "1"]).as_array().unwrap().len(), 1);
    assert_eq!(desk.json(&["audit", "list", "--since", "2100-01-01T00:00:00Z"]), serde_json::json!([]));
}

#[test]
fn a_table_is_for_people_and_json_for_programs() {
    let desk = Desk::new();
    desk.account("jo", &["--name", "Jo"]);
    let table = desk.run(&["account", "list", "--format", "table"]);
    assert!(table.done().stdout.starts_with("USERNAME  ID"), "{}", table.stdout);
    assert_eq!(table.stdout.lines().count(), 2);
    let record = desk.run(&["account", "show", "jo", "--format", "table"]);
    assert!(record.done().stdout.contains("username     jo\n"), "{}", record.stdout);
    // One thing alone shows in a table whatever it has in JSON.
    let client = desk.json(&["client", "create", "--owner", "jo", "--name", "App"]);
    let shown = ["client", "show", text(&client, "client_key")];
    let lines = desk.run(&[shown.as_slice(), &["--format", "table"]].concat()).done().stdout.lines().count();
    assert_eq!(lines, desk.json(&shown).as_object().unwrap().len());
    assert_eq!(record.stdout.lines().count(), desk.json(&["account", "show", "jo"]).as_object().unwrap().len());
    assert!(desk.json(&["account", "list"]).is_array(), "not a terminal: JSON");
    assert!(
        desk.run(&["--database-url", "sqlite://countersign.db", "account", "list", "--format", "json"])
            .json()
            .is_array()
    );
}

#[test]
fn what_can_not_be_done_is_refused_with_1_and_wrong_usage_with_2() {
    let desk = Desk::new();
    desk.account("jo", &["--company", "acme"]);
    desk.write("no-key.pem", "this is no key");
    let create = ["account", "create", "--username"];
    for (arguments, code, message) in [
        (vec!["frobnicate"], 2, "frobnicate"),
        (vec!["account"], 2, "Usage"),
        (vec!["account", "create", "--username", "a"], 2, "--password-stdin|--api-only"),
        ([create.as_slice(), &["a", "--password-stdin", "--api-only"]].concat(), 2, "cannot be used with"),
        ([create.as_slice(), &["a", "--password", "secret"]].concat(), 2, "--password"),
        ([create.as_slice(), &["a:b", "--api-only"]].concat(), 2, "a username can't contain ':'"),
        ([create.as_slice(), &["a", "--api-only", "--scope", "everything"]].concat(), 2, "noun:verb"),
        ([create.as_slice(), &["a", "--api-only", "--role", "king"]].concat(), 2, "member, integrator or admin"),
        ([create.as_slice(), &["jo", "--api-only"]].concat(), 1, "this username is taken"),
        ([create.as_slice(), &["acme+x", "--api-only"]].concat(), 1, "could be mistaken for a member of a company"),
        ([create.as_slice(), &["a", "--password-stdin"]].concat(), 1, "there is no password on stdin"),
        (vec!["account", "show", "nobody"], 1, "there is no account nobody"),
        (vec!["account", "lock", "nobody"], 1, "there is no account nobody"),
        (vec!["account", "set-password", "jo"], 2, "--password-stdin"),
        (vec!["company", "create", "acme"], 1, "this company id is taken"),
        (vec!["company", "create", "a b"], 2, "a company id can't contain ' '"),
        (vec!["client", "create", "--owner", "nobody", "--name", "x"], 1, "there is no account nobody"),
        (
            vec!["client", "create", "--owner", "jo", "--name", "x", "--callback", "javascript:alert(1)"],
            2,
            "javascript",
        ),
        (vec!["client", "create", "--owner", "jo", "--name", "x", "--signature-method", "MD5"], 2, "HMAC-SHA1"),
        (vec!["client", "create", "--owner", "jo", "--name", "x", "--rsa-public-key", "no-key.pem"], 1, "no-key.pem"),
        (
            vec!["client", "create", "--owner", "jo", "--name", "x", "--rsa-public-key", "missing.pem"],
            1,
            "cannot read missing.pem",
        ),
        (vec!["client", "rotate-secret", "k"], 1, "there is no such client"),
        (vec!["client", "disable", "k"], 1, "there is no such client"),
        (vec!["client", "delete", "k"], 1, "there is no such client"),
        (vec!["client", "update", "k", "--name", "x"], 1, "there is no such client"),
        (vec!["key", "create", "--account", "nobody", "--name", "x"], 1, "there is no account nobody"),
        (vec!["key", "create", "--account", "jo", "--name", "x", "--expires-in", "0"], 2, "--expires-in"),
        (vec!["key", "create", "--account", "jo", "--name", "x", "--scope", "account"], 2, "--scope"),
        (vec!["key", "regenerate", "p"], 1, "there is no API key p"),
        (vec!["key", "delete", "p"], 1, "there is no such API key"),
        (vec!["token", "revoke", "t"], 1, "there is no such access token"),
        (vec!["grant", "revoke"], 2, "Usage"),
        (vec!["grant", "revoke", "g"], 1, "there is no such grant"),
        (vec!["audit", "list", "--since", "yesterday"], 2, "2026-11-01T00:00:00Z"),
        (vec!["sign", "GET", "example.com", "--client-key", "k"], 2, "http://host/path"),
        (vec!["sign", "GET", "http://a/?x=%zz", "--client-key", "k"], 2, "invalid percent escape"),
        (vec!["sign", "GET", "http://a/", "--client-key", "k", "--method", "RSA-SHA1"], 2, "needs an RSA private key"),
        (vec!["sign", "GET", "http://a/", "--client-key", "k", "--rsa-private-key", "no-key.pem"], 1, "no-key.pem"),
        (vec!["import", "missing.jsonl"], 1, "missing.jsonl"),
        (vec!["export", "no/such/folder/file"], 1, "no/such/folder/file"),
        (vec!["completions", "klingon"], 2, "klingon"),
        (vec!["serve", "--listen", "nonsense"], 2, "127.0.0.1:8080"),
        (vec!["serve", "--public-url", "api.example.com"], 2, "https://"),
        (vec!["account", "list", "--database-url", "mysql://x"], 2, "sqlite://relative.db"),
        (vec!["account", "list", "--database-url", "sqlite:///no/such/folder/x.db"], 1, "can't open the database"),
        (vec!["account", "list", "--config", "missing.toml"], 2, "cannot read missing.toml"),
        (vec!["account", "list", "--format", "xml"], 2, "xml"),
    ] {
        let outcome = desk.run(&arguments);
        assert_eq!(outcome.code, code, "{arguments:?}\n{}", outcome.stderr);
        assert!(outcome.stderr.contains(message), "{arguments:?}: {message}\n{}", outcome.stderr);
        assert_eq!(outcome.stdout, "", "{arguments:?}");
    }
}

#[test]
fn a_realm_outside_ascii_is_told_so() {
    let desk = Desk::new();
    let outcome = desk.run_with(&["account", "list"], "", &[("COUNTERSIGN_HTTP_AUTH__REALM", "Müller")]);
    outcome.fails(2, "must be visible ASCII and spaces");
}

#[test]
fn a_password_is_one_line() {
    let desk = Desk::new();
    let create = ["account", "create", "--username", "jo", "--password-stdin"];
    desk.run_with(&create, "one\ntwo\n", &[]).fails(1, "a password is one line");
    desk.run_with(&create, &"é".repeat(1025), &[]).fails(1, "at most 1024 characters");
    desk.run_with(&create, "o\0ne", &[]).fails(1, "can't hold a NUL");
    desk.run_with(&create, "one\r\n", &[]).done();
}

#[test]
fn the_database_of_a_flag_wins_over_the_environments_over_the_files() {
    let desk = Desk::new();
    desk.write("settings.toml", "[database]\nurl = \"sqlite://file.db\"\n");
    let list = ["account", "list", "--config", "settings.toml"];
    let environment = [("COUNTERSIGN_DATABASE_URL", "sqlite://environment.db")];
    let databases = |outcome: Outcome| {
        outcome.done();
        ["file.db", "environment.db", "flag.db"].map(|name| desk.path(name).exists())
    };
    let flagged = [list.as_slice(), &["--database-url", "sqlite://flag.db"]].concat();
    assert_eq!(databases(desk.run_with(&flagged, "", &environment)), [false, false, true]);
    assert_eq!(databases(desk.run_with(&list, "", &environment)), [false, true, true]);
    assert_eq!(databases(desk.run(&list)), [true, true, true]);
    assert_eq!(
        databases(desk.run_with(&["account", "list"], "", &[("COUNTERSIGN_CONFIG", "settings.toml")])),
        [true, true, true]
    );
}

#[test]
fn everything_that_is_wrong_with_the_settings_is_named_at_once() {
    let desk = Desk::new();
    desk.write("settings.toml", "[oauth]\ntimestamp_window = 5\nverifier_attempts = 'many'\n");
    let outcome = desk.run_with(&["serve", "--config", "settings.toml"], "", &[("COUNTERSIGN_REALM", "x")]);
    outcome.fails(
        2,
        "settings.toml, line 2: unknown key `oauth.timestamp_window`; did you mean `oauth.timestamp_window_seconds`?",
    );
    outcome.fails(2, "settings.toml, line 3: `oauth.verifier_attempts`: should be a whole number");
    outcome.fails(
        2,
        "environment variable COUNTERSIGN_REALM: unknown key `realm`; did you mean `COUNTERSIGN_HTTP_AUTH__REALM`?",
    );
}

#[test]
fn the_master_key_is_made_beside_the_database_for_its_owner_alone_and_needed_again() {
    let desk = Desk::new();
    desk.account("jo", &[]);
    let key = desk.path("countersign.db.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    desk.json(&["client", "create", "--owner", "jo", "--name", "App"]);
    std::fs::remove_file(&key).unwrap();
    desk.run(&["export", "all.jsonl"]).fails(1, "or put countersign.db.key back");
    assert!(!desk.path("all.jsonl").exists() && !desk.path("all.jsonl.unfinished").exists());
    assert!(!key.exists(), "a new one would open nothing");
}

#[test]
fn nothing_is_sealed_under_another_master_key_than_the_databases() {
    let desk = Desk::new();
    let given = [("COUNTERSIGN_MASTER_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")];
    desk.run_with(&["company", "create", "acme"], "", &given).done();
    let create = ["account", "create", "--username", "jo", "--password-stdin"];
    for environment in [vec![], vec![("COUNTERSIGN_MASTER_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")]] {
        desk.run_with(&create, "a password", &environment).fails(1, "sealed with another master key");
    }
    assert!(!desk.path("countersign.db.key").exists());
    desk.run_with(&create, "a password", &given).done();
}

#[test]
fn a_given_master_key_is_used_and_no_file_is_made() {
    let desk = Desk::new();
    desk.write("key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    let environment = [("COUNTERSIGN_MASTER_KEY_FILE", "key")];
    desk.run_with(&["company", "create", "acme"], "", &environment).done();
    assert!(!desk.path("countersign.db.key").exists());
    desk.run_with(&["account", "list"], "", &[("COUNTERSIGN_MASTER_KEY", "too short")])
        .fails(2, "base64 of exactly 32 bytes");
}

#[test]
fn after_a_new_master_key_and_reseal_the_old_one_is_not_needed_any_more() {
    let desk = Desk::new();
    desk.write("elsewhere.jsonl", FROM_ELSEWHERE);
    desk.run(&["import", "elsewhere.jsonl"]).done();
    let key = desk.path("countersign.db.key");
    let old = std::fs::read_to_string(&key).unwrap();
    let new = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

    // The new key alone opens nothing, and a failed attempt changes nothing.
    std::fs::write(&key, new).unwrap();
    desk.run(&["reseal"]).fails(1, "sealed with another master key");
    std::fs::write(&key, &old).unwrap();
    desk.run(&["export", "before.jsonl"]).done();

    std::fs::write(&key, format!("{new}{old}")).unwrap();
    // The secrets of the client and of the token, the hashes of the API key, and the value that proves the key.
    assert!(desk.run(&["reseal"]).done().stderr.contains("4 secrets were sealed anew"));
    assert!(desk.run(&["reseal"]).done().stderr.contains("already"));
    std::fs::write(&key, new).unwrap();
    desk.run(&["export", "after.jsonl"]).done();
    let read = |name: &str| std::fs::read_to_string(desk.path(name)).unwrap();
    assert_eq!(read("before.jsonl"), read("after.jsonl"));
    let written = desk.json(&["audit", "list", "--event", "setting.changed", "--format", "json"]);
    assert!(text(&written[1], "detail").starts_with("4 secrets sealed anew under key "), "{written}");

    std::fs::write(&key, &old).unwrap();
    desk.run(&["export", "old.jsonl"]).fails(1, "sealed with another master key");
}

#[test]
fn every_file_that_a_server_makes_is_for_its_owner_alone_whatever_the_umask() {
    let desk = Desk::new();
    let mut command = Command::new("sh");
    command.args(["-c", "umask 000; exec \"$0\" serve --listen 127.0.0.1:0", env!("CARGO_BIN_EXE_countersign")]);
    let mut server = command.env_clear().current_dir(&desk.0).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(server.stderr.take().unwrap()));
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("countersign listens on"))));
    let names: BTreeSet<String> = std::fs::read_dir(&desk.0)
        .unwrap()
        .map(|entry| entry.unwrap())
        .inspect(|entry| {
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    server.kill().unwrap();
    server.wait().unwrap();
    let expected = ["", "-shm", "-wal", ".key", ".nonces", ".nonces-floor", ".nonces-wal"];
    assert_eq!(names, expected.map(|end| format!("countersign.db{end}")).into());
}

#[test]
fn what_was_exported_is_imported_unchanged() {
    let desk = Desk::new();
    desk.write("elsewhere.jsonl", FROM_ELSEWHERE);
    desk.run(&["import", "elsewhere.jsonl", "--database-url", "sqlite://one.db"]).done();
    let exported = desk.run(&["export", "one.jsonl", "--database-url", "sqlite://one.db"]);
    assert!(exported.done().stderr.contains("holds every secret in the clear"));
    let mode = std::fs::metadata(desk.path("one.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    desk.run(&["import", "one.jsonl", "--database-url", "sqlite://two.db"]).done();
    desk.run(&["export", "two.jsonl", "--database-url", "sqlite://two.db"]).done();
    let read = |name: &str| std::fs::read_to_string(desk.path(name)).unwrap();
    assert_eq!(read("one.jsonl"), read("two.jsonl"));

    let text = read("one.jsonl");
    for kept in [
        "kd94hf93k423kf44",
        "pfkkdhi9sl3r4s00",
        "$argon2id$v=19$m=19456,t=2,p=1$",
        "2020-01-02T03:04:05Z",
        "2019-02-03T04:05:06Z",
        "\"late\"",
        "\"4711\"",
    ] {
        assert!(text.contains(kept), "{kept}");
    }
    for hashed in ["nnch734d00sl2jdk", "old-private"] {
        assert!(!text.contains(hashed), "{hashed} is kept as a hash only");
    }
    // The token is found by its text in the new database, so its client carries on.
    desk.run(&["token", "revoke", "nnch734d00sl2jdk", "--database-url", "sqlite://two.db"]).done();
}

#[test]
fn export_and_import_speak_through_a_pipe_too() {
    let desk = Desk::new();
    let imported = desk.run_with(&["import", "-", "--database-url", "sqlite://one.db"], FROM_ELSEWHERE, &[]);
    assert!(imported.done().stderr.contains("2 accounts"));
    let exported = desk.run(&["export", "-", "--database-url", "sqlite://one.db"]);
    assert_eq!(exported.done().stdout.lines().count(), 7);
    assert!(exported.stdout.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[test]
fn an_import_that_waits_for_its_pipe_keeps_nobody_waiting() {
    let desk = Desk::new();
    desk.account("first", &[]);
    let mut import = desk.command(&["import", "-"]);
    let mut import = import.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = import.stdin.take().unwrap();
    // More than a pipe and a buffer hold: when it is written, most of it was read.
    for number in 0..10_000 {
        writeln!(pipe, "{{\"type\":\"account\",\"username\":\"person{number}\"}}").unwrap();
    }
    desk.account("second", &[]);
    writeln!(pipe, "{{\"type\":\"account\",\"username\":\"second\"}}").unwrap();
    drop(pipe);
    let output = import.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("record 10001: this username is taken"), "{said}");
    assert_eq!(desk.json(&["account", "list"]).as_array().unwrap().len(), 2);
}

#[test]
fn an_import_that_fails_anywhere_changes_nothing_and_names_the_record() {
    let desk = Desk::new();
    desk.account("first", &[]);
    for (last, message) in [
        (
            r#"{"type":"token","oauth_token":"t","oauth_token_secret":"s","client_key":"unknown","username":"ann"}"#,
            "no such client: unknown",
        ),
        (r#"{"type":"account","username":"first"}"#, "this username is taken"),
        (
            r#"{"type":"account","username":"x","password_hash":"$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW"}"#,
            "not an Argon2id hash",
        ),
        (r#"{"type":"account","username":"x","passwrd":"y"}"#, "passwrd"),
        (r#"{"type":"robot"}"#, "robot"),
        ("not JSON", "expected"),
    ] {
        desk.write("bad.jsonl", &format!("{FROM_ELSEWHERE}{last}\n"));
        let outcome = desk.run(&["import", "bad.jsonl"]);
        outcome.fails(1, "record 8: ");
        outcome.fails(1, message);
        assert_eq!(desk.json(&["account", "list"]).as_array().unwrap().len(), 1, "{last}");
        assert_eq!(desk.json(&["company", "list"]), serde_json::json!([]), "{last}");
    }
    desk.write("newer.jsonl", "{\"type\":\"countersign\",\"version\":2}\n");
    desk.run(&["import", "newer.jsonl"]).fails(1, "version 2");
}

#[test]
fn migrate_brings_a_database_to_this_version_once() {
    let desk = Desk::new();
    assert!(desk.run(&["migrate"]).done().stderr.contains("migrated: "));
    assert!(desk.run(&["migrate"]).done().stderr.contains("the database is at this version"));
}

/// The arguments for the photos of OAuth Core 1.0a, appendix A.5.1.
const PHOTOS: [&str; 15] = [
    "sign",
    "GET",
    "http://photos.example.net/photos?file=vacation.jpg&size=original",
    "--client-key",
    "dpf43f3p2l4k3l03",
    "--client-secret",
    "kd94hf93k423kf44",
    "--token",
    "nnch734d00sl2jdk",
    "--token-secret",
    "pfkkdhi9sl3r4s00",
    "--timestamp",
    "1191242096",
    "--nonce",
    "kllo9940pd9333jh",
];

#[test]
fn sign_gives_what_oauth_core_gives_for_its_photos() {
    let desk = Desk::new();
    let signed = desk.run(&PHOTOS);
    let (base_string, header) = signed.done().stdout.split_once('\n').unwrap();
    assert_eq!(
        base_string,
        "GET&http%3A%2F%2Fphotos.example.net%2Fphotos&file%3Dvacation.jpg%26oauth_consumer_key%3Ddpf43f3p2l4k3l03%26\
         oauth_nonce%3Dkllo9940pd9333jh%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D1191242096%26\
         oauth_token%3Dnnch734d00sl2jdk%26oauth_version%3D1.0%26size%3Doriginal"
    );
    assert!(header.starts_with("Authorization: OAuth "), "{header}");
    assert!(header.contains("oauth_signature=\"tR3%2BTy81lMeYAr%2FFid0kMTYa%2FWM%3D\""), "{header}");
    assert_eq!(signed.stdout.lines().count(), 2);
    let alone = desk.run(&[PHOTOS.as_slice(), &["--only", "header", "--realm", "Photos"]].concat());
    assert!(alone.done().stdout.starts_with("Authorization: OAuth realm=\"Photos\", oauth_consumer_key="));
    assert_eq!(alone.stdout.lines().count(), 1);
    assert!(std::fs::read_dir(&desk.0).unwrap().next().is_none(), "no database is touched");
}

#[test]
fn sign_puts_what_it_prints_into_json_where_that_is_asked_for() {
    let desk = Desk::new();
    let told = |more: &[&str]| desk.run(&[PHOTOS.as_slice(), more].concat()).done().stdout.clone();
    let json = |more: &[&str]| desk.json(&[PHOTOS.as_slice(), &["--format", "json"], more].concat());
    let both = json(&[]);
    has_keys(&both, &["base_string", "authorization"]);
    let lines = format!("{}\nAuthorization: {}\n", text(&both, "base_string"), text(&both, "authorization"));
    assert_eq!(lines, told(&[]));
    assert_eq!(lines, told(&["--format", "table"]));
    assert_eq!(json(&["--only", "header"]), serde_json::json!({ "authorization": both["authorization"] }));
    assert_eq!(json(&["--only", "base-string"]), serde_json::json!({ "base_string": both["base_string"] }));
}

#[test]
fn sign_makes_the_base_string_of_rfc_5849_section_3_4_1_1() {
    let arguments = [
        "sign",
        "POST",
        "http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b",
        "--data",
        "c2&a3=2+q",
        "--client-key",
        "9djdj82h48djs9d2",
        "--client-secret",
        "j49sk3j29djd",
        "--token",
        "kkk9d7dh3k39sjv7",
        "--token-secret",
        "dh893hdasih9",
        "--timestamp",
        "137131201",
        "--nonce",
        "7d8f3e4a",
        "--only",
        "base-string",
    ];
    // The RFC's client leaves oauth_version out, which is its right; ours sends it.
    let made = Desk::new().run(&arguments).done().stdout.replace("%26oauth_version%3D1.0", "");
    assert_eq!(
        made.trim_end(),
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26\
         oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26\
         oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
    );
}

/// The header of the photos, signed by us, with the line that it was sent with.
fn signed_photos(desk: &Desk) -> String {
    let header = desk.run(&[PHOTOS.as_slice(), &["--only", "header"]].concat()).done().stdout.clone();
    format!("GET {}\n{header}", PHOTOS[2])
}

const PHOTO_SECRETS: [&str; 4] = ["--client-secret", "kd94hf93k423kf44", "--token-secret", "pfkkdhi9sl3r4s00"];

#[test]
fn explain_names_the_mistake_with_both_base_strings_and_the_first_difference() {
    let desk = Desk::new();
    desk.write("request.txt", &signed_photos(&desk));
    let arguments =
        [["sign", "--explain", "request.txt", "--public-url", "https://photos.example.net"].as_slice(), &PHOTO_SECRETS]
            .concat();
    let told = desk.run(&[arguments.as_slice(), &["--format", "json"]].concat()).json();
    has_keys(
        &told,
        &["finding", "mistakes", "verdict", "expected", "signed", "first_difference", "assumed_scheme", "hint"],
    );
    assert_eq!((text(&told, "finding"), &told["mistakes"]), ("mistakes", &serde_json::json!(["http-scheme"])));
    assert!(text(&told, "verdict").starts_with("Another scheme was signed"));
    assert!(text(&told, "expected").starts_with("GET&https%3A%2F%2Fphotos.example.net%2Fphotos&file%3Dvacation.jpg"));
    assert!(text(&told, "signed").starts_with("GET&http%3A%2F%2Fphotos.example.net%2Fphotos&file%3Dvacation.jpg"));
    assert_eq!(told["first_difference"], "GET&http".len());
    let table = desk.run(&[arguments.as_slice(), &["--format", "table"]].concat()).done().stdout.clone();
    assert!(table.contains("(http-scheme)") && table.contains("^ the first difference, character 9"), "{table}");
    assert!(!table.contains("kd94hf93k423kf44") && !table.contains("pfkkdhi9sl3r4s00"));
}

#[test]
fn explain_takes_the_scheme_by_which_the_least_is_wrong_and_says_which() {
    let desk = Desk::new();
    let photos = signed_photos(&desk);
    let header = photos.lines().nth(1).unwrap();
    // One parameter that was not signed; and, by https, the scheme as well.
    let raw = format!("GET /photos?file=vacation.jpg&size=original&x= HTTP/1.1\nHost: photos.example.net\n{header}\n");
    let explain =
        |more: &[&str]| desk.run_with(&[["sign", "--explain"].as_slice(), &PHOTO_SECRETS, more].concat(), &raw, &[]);
    let told = explain(&[]).json();
    assert_eq!(
        (&told["mistakes"], &told["assumed_scheme"]),
        (&serde_json::json!(["empty-parameters-left-out"]), &serde_json::json!("http"))
    );
    let table = explain(&["--format", "table"]).done().stdout.clone();
    assert!(table.contains("http was taken") && table.contains("--public-url"), "{table}");
    let told = explain(&["--public-url", "https://photos.example.net"]).json();
    assert_eq!(told["mistakes"], serde_json::json!(["http-scheme", "empty-parameters-left-out"]));
    assert_eq!(told["assumed_scheme"], Value::Null);
    // Where neither explains it, it is https.
    let told = desk.run_with(&["sign", "--explain", "--client-secret", "another"], &raw, &[]).json();
    assert_eq!((text(&told, "finding"), text(&told, "assumed_scheme")), ("unknown", "https"));
    assert!(text(&told, "hint").contains("--token-secret"), "the request has a token, and nobody gave its secret");
}

#[test]
fn explain_knows_the_public_url_of_the_configuration_and_what_was_signed_instead() {
    let desk = Desk::new();
    let photos = signed_photos(&desk);
    desk.write("countersign.toml", "[server]\npublic_url = \"https://known.example.net\"\n");
    let explain = [["sign", "--explain", "--config", "countersign.toml"].as_slice(), &PHOTO_SECRETS].concat();
    let told = desk.run_with(&explain, &photos, &[]).json();
    assert_eq!(told["mistakes"], serde_json::json!(["other-origin"]));
    assert!(text(&told, "expected").starts_with("GET&https%3A%2F%2Fknown.example.net%2Fphotos&"), "{told}");
    assert!(text(&told, "signed").starts_with("GET&http%3A%2F%2Fphotos.example.net%2Fphotos&"), "{told}");
    let given = [explain.as_slice(), &["--public-url", "http://photos.example.net"]].concat();
    assert_eq!(text(&desk.run_with(&given, &photos, &[]).json(), "finding"), "right");
}

#[test]
fn explain_says_that_a_signature_is_right_without_a_token_secret_that_may_be_missing() {
    let desk = Desk::new();
    let sign =
        ["sign", "GET", "http://h/p", "--client-key", "k", "--client-secret", "s", "--token", "t", "--only", "header"];
    let header = desk.run(&sign).done().stdout.clone();
    let explain = ["sign", "GET", "http://h/p", "--explain", "-", "--client-secret", "s"];
    let told = desk.run_with(&explain, &header, &[]).json();
    assert_eq!(text(&told, "finding"), "right");
    assert!(text(&told, "hint").contains("--token-secret"), "{told}");
}

#[test]
fn sign_says_what_it_takes_for_granted() {
    let desk = Desk::new();
    let run = |more: &[&str]| desk.run(&[["sign", "POST", "http://a/", "--client-key", "k"].as_slice(), more].concat());
    let empty = run(&[]);
    assert!(empty.done().stderr.contains("signed with an empty one"), "{}", empty.stderr);
    let data = run(&["--client-secret", "s", "--data", "{\"a\":1}"]);
    assert!(data.done().stderr.contains("--data is signed as a form"), "{}", data.stderr);
    let quiet = run(&["--client-secret", "s", "--data", "a=1&b", "--data", "2"]);
    assert_eq!(quiet.done().stderr, "");
    desk.write("no.pem", "nothing");
    run(&["--rsa-private-key", "no.pem"]).fails(1, "not an RSA private key");
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    desk.write("public.pem", &key.to_public_key().to_public_key_pem(LineEnding::LF).unwrap());
    run(&["--rsa-private-key", "public.pem"]).fails(1, "this is a public key");
}

#[test]
fn explain_reads_each_form_of_request_and_finds_a_good_one_good() {
    let desk = Desk::new();
    let photos = signed_photos(&desk);
    let header = photos.lines().nth(1).unwrap();
    let raw =
        format!("GET /photos?file=vacation.jpg&size=original HTTP/1.1\r\nHost: photos.example.net\r\n{header}\r\n\r\n");
    for request in [photos.clone(), raw, format!("curl -s -H '{header}' '{}'", PHOTOS[2])] {
        let told = desk.run_with(&[["sign", "--explain"].as_slice(), &PHOTO_SECRETS].concat(), &request, &[]).json();
        assert_eq!((text(&told, "finding"), &told["first_difference"]), ("right", &Value::Null), "{request}");
    }
    // The header alone, with method and address on the command line.
    let line = [["sign", "GET", PHOTOS[2], "--explain", "-"].as_slice(), &PHOTO_SECRETS].concat();
    assert_eq!(text(&desk.run_with(&line, header, &[]).json(), "finding"), "right");
}

#[test]
fn explain_takes_secrets_from_files_and_from_the_environment() {
    let desk = Desk::new();
    let photos = signed_photos(&desk);
    desk.write("client-secret", "kd94hf93k423kf44\n");
    let by_file = ["sign", "--explain", "-", "--client-secret-file", "client-secret"];
    let told = desk.run_with(&by_file, &photos, &[("OAUTH_TOKEN_SECRET", "pfkkdhi9sl3r4s00")]).json();
    assert_eq!(text(&told, "finding"), "right");
    let told = desk.run_with(&by_file, &photos, &[]).json();
    assert_eq!(text(&told, "finding"), "unknown");
    // What the developer console offers as a file is what `sign` reads.
    let environment =
        [("OAUTH_CLIENT_KEY", "k"), ("OAUTH_CLIENT_SECRET", "s"), ("OAUTH_TOKEN", "t"), ("OAUTH_TOKEN_SECRET", "u")];
    let signed = desk.run_with(&["sign", "GET", "http://a/"], "", &environment).done().stdout.clone();
    assert!(signed.contains("oauth_consumer_key=\"k\"") && signed.contains("oauth_token=\"t\""), "{signed}");
}

#[test]
fn explain_finds_a_signed_json_body_and_an_rsa_signature() {
    let desk = Desk::new();
    let private_key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    desk.write("private.pem", &private_key.to_pkcs8_pem(LineEnding::LF).unwrap());
    desk.write("public.pem", &private_key.to_public_key().to_public_key_pem(LineEnding::LF).unwrap());
    let sign = [
        "sign",
        "POST",
        "https://a.example/x",
        "--client-key",
        "k",
        "--rsa-private-key",
        "private.pem",
        "--data",
        "name=a",
    ];
    let header = desk.run(&[sign.as_slice(), &["--only", "header"]].concat()).done().stdout.clone();
    let json = format!("curl --json '{{\"name\":\"a\"}}' -H '{}' https://a.example/x", header.trim_end());
    for key in [["--rsa-public-key", "public.pem"], ["--rsa-private-key", "private.pem"]] {
        let told = desk.run_with(&[["sign", "--explain"].as_slice(), &key].concat(), &json, &[]).json();
        assert_eq!(told["mistakes"], serde_json::json!(["body-wrongly-included"]));
    }
    desk.run_with(&["sign", "--explain"], &json, &[]).fails(2, "--rsa-public-key");
}

#[test]
fn explain_says_what_it_can_not_read() {
    let desk = Desk::new();
    let photos = signed_photos(&desk);
    let explain = |stdin: &str| desk.run_with(&[["sign", "--explain"].as_slice(), &PHOTO_SECRETS].concat(), stdin, &[]);
    explain("hello there").fails(1, "this is no request");
    explain("GET /photos\nOAuth a=\"b\"").fails(1, "names no host");
    explain("GET http://a/\n").fails(1, "oauth_");
    desk.run_with(&["sign", "--explain"], &photos, &[]).fails(2, "--client-secret");
    desk.run(&["sign", "--explain", "missing.txt", "--client-secret", "s"]).fails(1, "missing.txt");
    desk.run(&["sign", "GET", "http://a/"]).fails(2, "--client-key");
    desk.run(&["sign"]).fails(2, "METHOD");
}

#[test]
fn sign_with_plaintext_shows_the_secrets_as_the_signature() {
    let arguments = [
        "sign",
        "GET",
        "https://a/",
        "--client-key",
        "k",
        "--client-secret",
        "a&b",
        "--token-secret",
        "c",
        "--method",
        "PLAINTEXT",
    ];
    let header = Desk::new().run(&arguments).done().stdout.clone();
    assert!(header.contains("oauth_signature=\"a%2526b%26c\""), "{header}");
}

#[test]
fn sign_with_an_rsa_key_is_verified_by_its_public_half() {
    let desk = Desk::new();
    let private_key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    desk.write("private.pem", &private_key.to_pkcs8_pem(LineEnding::LF).unwrap());
    let public_pem = private_key.to_public_key().to_public_key_pem(LineEnding::LF).unwrap();
    let arguments = [
        "sign",
        "GET",
        "https://a.example/x?y=1",
        "--client-key",
        "k",
        "--rsa-private-key",
        "private.pem",
        "--method",
        "RSA-SHA256",
    ];
    let signed = desk.run(&arguments);
    let (base_string, header) = signed.done().stdout.split_once("\nAuthorization: OAuth ").unwrap();
    let parameters: Vec<(String, String)> = header
        .trim_end()
        .split(", ")
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| {
            (
                name.to_owned(),
                percent_encoding::percent_decode_str(value.trim_matches('"')).decode_utf8().unwrap().into_owned(),
            )
        })
        .collect();
    let mut collected = Parameters::of_form("y=1", Source::Query).unwrap();
    for (name, value) in &parameters {
        collected.add_decoded(name, value, Source::Header);
    }
    let again = SignatureBaseString::new("GET", &BaseStringUri::new(UriScheme::Https, "a.example", "/x"), &collected);
    assert_eq!(again.as_str(), base_string);
    let signature = &parameters.iter().find(|(name, _)| name == "oauth_signature").unwrap().1;
    let key = RsaVerificationKey::from_pem(&public_pem).unwrap();
    assert!(verify(SignatureMethod::RsaSha256, &again, VerificationKey::Rsa(&key), signature).is_ok());

    // The public half is what a client is registered with.
    desk.write("public.pem", &public_pem);
    desk.account("jo", &[]);
    let client =
        desk.json(&["client", "create", "--owner", "jo", "--name", "Signer", "--rsa-public-key", "public.pem"]);
    assert_eq!(text(&client, "rsa_public_key"), public_pem.trim());
    desk.write("chain.pem", &format!("{public_pem}{public_pem}and whoever wrote it\n"));
    let chain = ["client", "create", "--owner", "jo", "--name", "Chain", "--rsa-public-key", "chain.pem"];
    assert!(text(&desk.json(&chain), "rsa_public_key").starts_with(public_pem.trim()));
    let without = desk.json(&["client", "update", text(&client, "client_key"), "--no-rsa-public-key"]);
    assert_eq!(without["rsa_public_key"], Value::Null);
}

#[test]
fn completions_are_there_for_every_shell() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = desk.run(&["completions", shell]);
        assert!(script.done().stdout.contains("rotate-secret"), "{shell}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let desk = Desk::new();
    let mut child =
        desk.command(&["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Two commands at once on one database each have their say.
#[test]
fn commands_at_the_same_time_do_not_lose_each_others_work() {
    let desk = Desk::new();
    desk.run(&["migrate"]).done();
    let path: &Path = &desk.0;
    let children: Vec<_> = (0..8)
        .map(|number| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
            command.args(["account", "create", "--api-only", "--username", &format!("user-{number}")]);
            command.env_clear().current_dir(path).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(desk.json(&["account", "list"]).as_array().unwrap().len(), 8);
}
