//! The management API, as a script meets it: the built program on a database of its own, asked over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::servers::Folder;

/// A running server with an admin of everything, and of `acme` an integrator and a member.
struct Server {
    child: Child,
    address: String,
    _folder: Folder,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PASSWORD: &str = "correct horse";

impl Server {
    fn start() -> Self {
        let folder = Folder::new("api");
        let program = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
            command.args(arguments).env_clear().current_dir(folder.path());
            command
        };
        for (username, more) in [
            ("root@example.com", &["--role", "admin"][..]),
            ("integrator@acme.example", &["--role", "integrator", "--company", "acme"]),
            ("member@acme.example", &["--company", "acme"]),
            ("stranger@other.example", &["--company", "other"]),
        ] {
            let arguments = [&["account", "create", "--username", username, "--password-stdin"], more].concat();
            let mut made = program(&arguments).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
            made.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
            assert!(made.wait().unwrap().success());
        }
        let mut child = program(&["serve", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with("countersign listens on")).unwrap();
        // A pipe that nobody reads would stop the server.
        std::thread::spawn(move || lines.for_each(drop));
        let address = line.rsplit("//").next().unwrap().to_owned();
        Self { child, address, _folder: folder }
    }

    /// Status and JSON of one request by Basic; `Null` where there is no body.
    fn ask(&self, user: &str, secret: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let credentials = STANDARD.encode(format!("{user}:{secret}"));
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Basic {credentials}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    fn root(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.ask("root@example.com", PASSWORD, method, path, body)
    }

    fn member(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.ask("member@acme.example", PASSWORD, method, path, body)
    }
}

#[test]
fn an_integrator_gets_a_key_for_a_member_of_its_own_company_only() {
    let server = Server::start();
    let ask = |who: &str, member: &str| {
        server.ask(who, PASSWORD, "POST", &format!("/api/v1/members/{member}/tokens"), &Value::Null)
    };
    let (status, key) = ask("integrator@acme.example", "member%40acme.example");
    assert_eq!(status, 201, "{key}");
    assert!(key["expires_at"].is_string());
    let (public_key, private_key) = (key["public_key"].as_str().unwrap(), key["private_key"].as_str().unwrap());
    let (status, identity) = server.ask(public_key, private_key, "GET", "/v2/me", &Value::Null);
    assert_eq!(status, 200, "{identity}");
    assert_eq!(identity["account"]["username"], "member@acme.example");
    assert_eq!(identity["impersonated_by"], "integrator@acme.example");
    // It does not manage.
    let (status, refused) = server.ask(public_key, private_key, "GET", "/api/v1/keys", &Value::Null);
    assert_eq!((status, &refused["code"]), (403, &json!("scope_missing")));
    // Who is in another company and who is nobody get the same answer.
    let refused = ask("integrator@acme.example", "stranger@other.example");
    assert_eq!((refused.0, &refused.1["code"]), (403, &json!("impersonation_refused")));
    assert_eq!(ask("integrator@acme.example", "nobody@acme.example"), refused);
    assert_eq!(ask("integrator@acme.example", "integrator@acme.example").0, 403);
    assert_eq!(ask("member@acme.example", "integrator@acme.example").0, 403);
    let (_, audit) = server.root("GET", "/api/v1/audit?event=impersonation", &Value::Null);
    assert_eq!(audit[0]["actor"], "integrator@acme.example", "{audit}");
}

#[test]
fn a_member_sees_and_changes_its_own_things_only() {
    let server = Server::start();
    let (status, listed) = server.member("GET", "/api/v1/accounts", &Value::Null);
    assert_eq!((status, listed.as_array().map(Vec::len)), (200, Some(1)), "{listed}");
    assert_eq!(server.member("GET", "/api/v1/accounts/root@example.com", &Value::Null).0, 404);
    assert_eq!(server.member("POST", "/api/v1/accounts", &json!({ "username": "new" })).0, 403);
    assert_eq!(server.member("PATCH", "/api/v1/accounts/member@acme.example", &json!({ "role": "admin" })).0, 403);
    let (status, changed) =
        server.member("PATCH", "/api/v1/accounts/member@acme.example", &json!({ "name": "Jo", "email": null }));
    assert_eq!((status, &changed["name"], &changed["email"]), (200, &json!("Jo"), &Value::Null));
    let (status, key) = server.root("POST", "/api/v1/keys", &json!({ "name": "k", "scopes": ["manage:read"] }));
    assert_eq!(status, 201, "{key}");
    let path = format!("/api/v1/keys/{}", key["public_key"].as_str().unwrap());
    assert_eq!(server.member("GET", &path, &Value::Null).0, 404);
    assert_eq!(server.member("DELETE", &path, &Value::Null).0, 404);
    // The key reads, but it does not write.
    let own = |method, path: &str, body| {
        server.ask(key["public_key"].as_str().unwrap(), key["private_key"].as_str().unwrap(), method, path, body)
    };
    assert_eq!(own("GET", &path, &Value::Null).0, 200);
    assert_eq!(own("DELETE", &path, &Value::Null).0, 403);
    assert_eq!(server.root("DELETE", &path, &Value::Null).0, 204);
    assert_eq!(own("GET", &path, &Value::Null).0, 401);
}

#[test]
fn accounts_are_made_changed_locked_and_deleted() {
    let server = Server::start();
    let new = json!({ "username": "new@example.com", "password": "battery staple", "scopes": ["account:read", "manage:read"] });
    let (status, made) = server.root("POST", "/api/v1/accounts", &new);
    assert_eq!((status, &made["role"]), (201, &json!("member")), "{made}");
    assert_eq!(server.root("POST", "/api/v1/accounts", &new).0, 409);
    let (status, refused) = server.root("POST", "/api/v1/accounts", &json!({ "username": "x", "pasword": "y" }));
    assert_eq!(status, 400);
    assert!(refused["message"].as_str().unwrap().contains("pasword"), "{refused}");
    let path = "/api/v1/accounts/new%40example.com";
    assert_eq!(server.ask("new@example.com", "battery staple", "GET", path, &Value::Null).0, 200);
    let (status, locked) = server.root("POST", &format!("{path}/lock"), &json!({ "reason": "late" }));
    assert_eq!((status, &locked["status"], &locked["reason"]), (200, &json!("locked"), &json!("late")));
    assert_eq!(server.root("POST", &format!("{path}/enable"), &Value::Null).0, 200);
    let password = json!({ "password": "another staple" });
    assert_eq!(server.root("POST", &format!("{path}/set-password"), &password).0, 204);
    assert_eq!(server.root("DELETE", path, &Value::Null).0, 204);
    assert_eq!(server.root("GET", path, &Value::Null).0, 404);
    assert_eq!(server.root("DELETE", "/api/v1/accounts/root@example.com", &Value::Null).0, 403);
    assert_eq!(server.root("PUT", "/api/v1/accounts", &Value::Null).0, 405);
}

#[test]
fn a_client_is_registered_and_its_secret_rotated() {
    let server = Server::start();
    let new = json!({ "name": "App", "callbacks": ["https://app.example.com/done"], "scopes": ["account:read"] });
    let (status, client) = server.member("POST", "/api/v1/clients", &new);
    assert_eq!((status, &client["owner"]), (201, &json!("member@acme.example")), "{client}");
    let path = format!("/api/v1/clients/{}", client["client_key"].as_str().unwrap());
    let (status, rotated) = server.member("POST", &format!("{path}/rotate-secret"), &json!({ "grace": 60 }));
    assert_eq!(status, 200);
    assert_ne!(rotated["client_secret"], client["client_secret"]);
    let (status, changed) = server.member("PATCH", &path, &json!({ "http_auth": false, "callbacks": [] }));
    assert_eq!((status, &changed["http_auth"], &changed["callbacks"]), (200, &json!(false), &json!([])));
    assert!(changed.get("client_secret").is_none(), "{changed}");
    assert_eq!(server.ask("stranger@other.example", PASSWORD, "GET", &path, &Value::Null).0, 404);
    assert_eq!(server.member("DELETE", &path, &Value::Null).0, 204);
    assert_eq!(server.member("GET", &path, &Value::Null).0, 404);
}
