//! A small OAuth 1.0a provider for the suite's own tests: right by default, wrong in one named way with `--defect NAME`.
//!
//! It shares no code with the suite, so that a mistake of one is not hidden by the other. Everything is in memory, its secrets are
//! in its source: it is good for nothing else.

mod defects;
mod http_auth;
mod oauth;
mod pages;
mod store;
mod wire;

use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread;

use defects::{DEFECTS, Defect};
use oauth::Provider;
use wire::{Reply, Request};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let defect = match words.as_slice() {
        [] => Defect(None),
        ["--list"] => {
            for (name, what) in DEFECTS {
                println!("{name}\t{what}");
            }
            return ExitCode::SUCCESS;
        }
        ["--defect", name] => match Defect::named(name) {
            Some(defect) => defect,
            None => {
                eprintln!("no defect is called `{name}`; --list shows them");
                return ExitCode::from(2);
            }
        },
        _ => {
            eprintln!("usage: faulty-provider [--list | --defect NAME]");
            return ExitCode::from(2);
        }
    };
    let listener = match TcpListener::bind("127.0.0.1:0") {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(1);
        }
    };
    let origin = listener.local_addr().map(|a| format!("http://localhost:{}", a.port())).unwrap_or_default();
    println!("listening on {origin}");
    let provider = Arc::new(Provider { store: Mutex::new(store::Store::new()), defect, origin });
    for stream in listener.incoming().flatten() {
        let provider = provider.clone();
        thread::spawn(move || serve(&provider, stream));
    }
    ExitCode::SUCCESS
}

fn serve(provider: &Provider, mut stream: TcpStream) {
    let (reply, head_only) = match wire::read(&mut stream, provider.defect) {
        Ok(None) => return,
        Ok(Some(request)) => (route(provider, &request), request.method == "HEAD"),
        Err(reply) => (reply, false),
    };
    wire::write(&mut stream, &reply, head_only);
}

fn route(provider: &Provider, request: &Request) -> Reply {
    let token_method = matches!(request.method.as_str(), "GET" | "POST");
    match request.path.as_str() {
        "/oauth/request_token" if token_method => provider.initiate(request),
        "/oauth/access_token" if token_method => provider.exchange(request),
        "/oauth/revoke" if request.method == "POST" => provider.revoke(request),
        "/oauth/authorize" => provider.authorize(request),
        "/login" if request.method == "POST" => provider.login(request),
        "/api/auth/jwt" if request.method == "POST" => provider.issue_jwt(request),
        "/.well-known/jwks.json" => provider.jwks(),
        path if path.starts_with("/v2/me") => provider.resource(request),
        _ => Reply::new(404, "text/plain", format!("nothing at {}", provider.origin)),
    }
}
