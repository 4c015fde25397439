//! The tool itself, held against what operators do wrong: a clear sentence on standard error and the right exit code, soon.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("conformance-tool-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn target(base: &str) -> String {
    format!(
        "name = 'x'\nbase = '{base}'\ntimeout_seconds = 1\nclaims = ['hmac-sha1']\n[endpoints]\ninitiate = '/i'\nauthorize = '/a'\n\
         token = '/t'\nresource = '/r'\n[client.main]\nkey = 'k'\nsecret = 'sesame-open'\n[token.main]\ntoken = 't'\nsecret = 'hush-token'\n"
    )
}

fn suite(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_countersign-conformance")).args(arguments).output().unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = suite(arguments);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    message
}

fn with_target(name: &str, text: &str) -> String {
    let folder = Folder::new(name);
    refused(&[folder.file("target.toml", text).to_str().unwrap()])
}

/// A server that reads a request and answers with `answer`, then holds the connection open or ends it.
fn server(answer: &'static [u8], hold: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = socket.set_read_timeout(Some(Duration::from_secs(5)));
                let mut piece = [0; 4096];
                let _ = socket.read(&mut piece);
                let _ = socket.write_all(answer);
                while hold && socket.read(&mut piece).is_ok_and(|n| n > 0) {}
            });
        }
    });
    format!("http://{address}")
}

#[test]
fn wrong_usage_is_exit_code_2() {
    refused(&[]);
    refused(&["--no-such-flag"]);
    assert!(refused(&["--list", "--level", "PERHAPS"]).contains("MUST"));
    assert!(refused(&["--list", "--only", "no/such/case"]).contains("--list"));
}

#[test]
fn a_target_file_that_is_missing_or_half_written_is_told() {
    assert!(refused(&["/no/such/target.toml"]).contains("/no/such/target.toml"));
    assert!(with_target("half", "name = 'x'\n").contains("base"));
    assert!(with_target("broken", "name = \n").contains("target file"));
    assert!(with_target("address", &target("localhost")).contains("`base`"));
    assert!(
        with_target("claim", &target("http://127.0.0.1:1").replace("hmac-sha1", "hmac-sha3")).contains("hmac-sha3")
    );
    assert!(
        with_target(
            "key",
            &target("http://127.0.0.1:1").replace("key = 'k'", "key = 'k'\nrsa_private_key = 'none.pem'")
        )
        .contains("none.pem")
    );
    let environment = target("http://127.0.0.1:1").replace("'k'", "'${env:NO_SUCH_VARIABLE_HERE}'");
    assert!(with_target("environment", &environment).contains("NO_SUCH_VARIABLE_HERE"));
}

#[test]
fn a_provider_that_can_not_be_started_is_told() {
    let start = format!("{}\n[start]\ncommand = ['/no/such/program']\n", target("${start.url}"));
    assert!(with_target("start", &start).contains("/no/such/program"));
    let silent = format!("{}\n[start]\ncommand = ['true']\n", target("${start.url}"));
    assert!(with_target("silent", &silent).contains("listening on"));
}

#[test]
fn an_unreachable_target_is_told() {
    assert!(with_target("closed", &target("http://127.0.0.1:1")).contains("no connection"));
    assert!(with_target("name", &target("http://no-such-host.invalid")).contains("no address"));
}

#[test]
fn a_server_that_hangs_or_answers_garbage_is_told() {
    assert!(with_target("hang", &target(&server(b"", true))).contains("within 1s"));
    assert!(with_target("dribble", &target(&server(b"HTTP/1.1 200 OK\r\nContent-Le", true))).contains("within 1s"));
    assert!(with_target("garbage", &target(&server(b"SSH-2.0-OpenSSH\r\n", false))).contains("not HTTP"));
    assert!(with_target("nothing", &target(&server(b"", false))).contains("closed the connection"));
    assert!(
        with_target("crash", &target(&server(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", false))).contains("500")
    );
}

#[test]
fn wrong_credentials_are_told() {
    let refusing = server(b"HTTP/1.1 401 X\r\nContent-Length: 15\r\n\r\nunknown client!", false);
    let text = target(&refusing).replace(
        "[token.main]\ntoken = 't'\nsecret = 'hush-token'\n",
        "[account.main]\nusername='u'\npassword='pppp'\n[consent]\nhow = 'forms'\n",
    );
    let message = with_target("credentials", &text);
    assert!(message.contains("401") && message.contains("unknown client!"), "{message}");
}

#[test]
fn a_message_shows_no_secret_that_was_issued() {
    let issuing = server(
        b"HTTP/1.1 200 X\r\nContent-Length: 66\r\n\r\noauth_token=t&oauth_token_secret=hush-token&oauth_callback_confirmed=true",
        false,
    );
    let forms = "[account.main]\nusername='u'\npassword='pppp'\n[consent]\nhow = 'forms'\n";
    let text = target(&issuing).replace("[token.main]\ntoken = 't'\nsecret = 'hush-token'\n", forms);
    let message = with_target("issued", &text);
    assert!(message.contains("no consent") && !message.contains("hush-token"), "{message}");
}

#[test]
fn a_consent_command_that_is_missing_or_silent_is_told() {
    let issuing =
        server(b"HTTP/1.1 200 X\r\nContent-Length: 43\r\n\r\noauth_token=t&oauth_token_secret=hush-token", false);
    let with = |command: &str| {
        let consent = format!("[consent]\nhow = 'command'\ncommand = {command}\n");
        target(&issuing).replace("[token.main]\ntoken = 't'\nsecret = 'hush-token'\n", &consent)
    };
    assert!(with_target("no-command", &with("['/no/such/program']")).contains("/no/such/program"));
    assert!(with_target("silent-command", &with("['true']")).contains("neither an address nor a verifier"));
    assert!(with_target("odd-command", &with("['echo', '${nothing}']")).contains("nothing"));
}

#[test]
fn a_server_that_refuses_everything_fails_and_the_reports_say_so_without_secrets() {
    let folder = Folder::new("reports");
    let base = server(b"HTTP/1.1 401 X\r\nContent-Length: 34\r\n\r\n<b>no</b> sesame-open & hush-token", false);
    let file = folder.file("target.toml", &target(&base));
    let [json, junit, html, markdown] =
        ["r.json", "r.xml", "r.html", "r.md"].map(|n| folder.0.join(n).to_str().unwrap().to_owned());
    let arguments =
        [file.to_str().unwrap(), "--json", &json, "--junit", &junit, "--html", &html, "--markdown", &markdown];
    let output = suite(&arguments);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("Not passed") && table.contains("signatures/plain"), "{table}");
    let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(report["failure"], true);
    assert!(report["cases"].as_array().unwrap().iter().any(|c| c["verdict"] == "unclear"));
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.contains("&lt;b&gt;no&lt;/b&gt;") && !page.contains("<b>no</b>"));
    for address in ["src=", "<link", "<script", "@import", "url("] {
        assert!(!page.contains(address), "the page needs something beside itself: {address}");
    }
    for name in [&json, &junit, &html, &markdown] {
        let text = std::fs::read_to_string(name).unwrap();
        assert!(!text.contains("sesame-open") && !text.contains("hush-token"), "{name}");
    }
    assert!(std::fs::read_to_string(&junit).unwrap().starts_with("<?xml"));
}

#[test]
fn a_run_ends_at_its_deadline() {
    let folder = Folder::new("deadline");
    // Answers the first question and then nothing: every case would cost its timeout.
    let base = server(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", true);
    let first = server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true);
    let text = target(&first)
        .replace("initiate = '/i'", &format!("initiate = '{base}/i'"))
        .replace("resource = '/r'", &format!("resource = '{first}/r'"));
    let file = folder.file("target.toml", &text);
    let output = suite(&[file.to_str().unwrap(), "--only", "flow/", "--deadline", "3"]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(table.contains("the time for the whole run was over") || table.contains("no complete answer"), "{table}");
}

#[test]
fn cases_and_features_are_listed() {
    let output = suite(&["--list", "--level", "must", "--only", "replay/"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text.lines().count() > 5 && text.lines().all(|l| l.starts_with("MUST") && l.contains("replay/")), "{text}");
    assert!(String::from_utf8(suite(&["--features"]).stdout).unwrap().contains("hmac-sha1"));
}
