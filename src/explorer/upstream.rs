//! The operator's own description (`docs.upstream_openapi`): a file, or an address that is asked again after a minute.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Uri;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use serde_json::{Value, json};

use crate::gateway::upstream::client_tls;

/// The longest description that is taken, in bytes.
const LONGEST: usize = 16 * 1024 * 1024;

/// How long an address may take to answer, and how long its answer is kept.
const PATIENCE: Duration = Duration::from_secs(10);
const KEPT: Duration = Duration::from_secs(60);

/// Where the description comes from.
pub struct Description {
    source: Source,
    kept: Mutex<Option<(Instant, Bytes)>>,
}

enum Source {
    File(PathBuf),
    Address { uri: Uri, tls: Box<ClientConfig> },
}

impl Description {
    /// Of a file's name or an `http` or `https` address.
    ///
    /// # Errors
    /// There is no such file, or it is no address.
    pub fn named(name: &str) -> anyhow::Result<Self> {
        let source = if name.starts_with("http://") || name.starts_with("https://") {
            let uri: Uri = name.parse().context("docs.upstream_openapi is no address")?;
            Source::Address { uri, tls: Box::new(client_tls(name.starts_with("https://"))?) }
        } else {
            std::fs::metadata(name).with_context(|| format!("docs.upstream_openapi: can't read {name}"))?;
            Source::File(PathBuf::from(name))
        };
        Ok(Self { source, kept: Mutex::default() })
    }

    /// The text and its content type. JSON without ways to log in is given ours: the gateway in front admits them.
    ///
    /// # Errors
    /// It can't be had, or is too long.
    pub async fn read(&self) -> anyhow::Result<(Bytes, &'static str)> {
        let text = match &self.source {
            Source::File(path) => read_file(path).await?,
            Source::Address { uri, tls } => {
                let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
                match kept.filter(|(since, _)| since.elapsed() < KEPT) {
                    Some((_, text)) => text,
                    None => {
                        let text =
                            tokio::time::timeout(PATIENCE, ask(uri, tls)).await.context("no answer in time")??;
                        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) =
                            Some((Instant::now(), text.clone()));
                        text
                    }
                }
            }
        };
        Ok(match with_ways_in(&text) {
            Some(text) => (Bytes::from(text.into_owned()), "application/json"),
            None => (text, "application/yaml"),
        })
    }
}

async fn read_file(path: &Path) -> anyhow::Result<Bytes> {
    let path = path.to_owned();
    let text = actix_web::web::block(move || std::fs::read(path)).await??;
    if text.len() > LONGEST {
        bail!("the description is longer than {LONGEST} bytes");
    }
    Ok(Bytes::from(text))
}

async fn ask(uri: &Uri, tls: &ClientConfig) -> anyhow::Result<Bytes> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1().wrap_connector(tcp);
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let answer = client.get(uri.clone()).await?;
    if !answer.status().is_success() {
        bail!("{uri} answers {}", answer.status());
    }
    let body = Limited::new(answer.into_body(), LONGEST).collect().await;
    Ok(body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes())
}

/// JSON with the ways in that the authorize dialog offers, unless it names its own; `None`: no JSON.
fn with_ways_in(text: &[u8]) -> Option<Cow<'_, str>> {
    let mut document: Value = serde_json::from_slice(text).ok()?;
    let own = document.pointer("/components/securitySchemes").or_else(|| document.get("securityDefinitions"));
    if own.is_some() || document.get("openapi").is_none() {
        return std::str::from_utf8(text).ok().map(Cow::Borrowed);
    }
    let Value::Object(members) = &mut document else { return None };
    let components = members.entry("components").or_insert_with(|| json!({}));
    if let Value::Object(components) = components {
        components.insert("securitySchemes".to_owned(), crate::api::openapi::security_schemes());
    }
    members.entry("security").or_insert_with(|| json!([{ "basic": [] }, { "bearer": [] }, { "session": [] }]));
    Some(Cow::Owned(document.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_without_ways_in_is_given_ours() {
        let text = with_ways_in(br#"{"openapi":"3.1.0","paths":{}}"#).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
        assert_eq!(document["security"][0], json!({ "basic": [] }));
    }

    #[test]
    fn a_description_with_its_own_ways_in_keeps_them_to_the_byte() {
        let text = r#"{"openapi": "3.0.0", "components": {"securitySchemes": {}}}"#;
        assert_eq!(with_ways_in(text.as_bytes()).unwrap(), text);
        assert_eq!(with_ways_in(br#"{"swagger": "2.0"}"#).unwrap(), r#"{"swagger": "2.0"}"#);
        assert!(with_ways_in(b"openapi: 3.1.0\n").is_none());
    }

    #[test]
    fn what_is_not_there_is_said_at_start() {
        assert!(Description::named("/no/such/description.json").is_err());
        assert!(Description::named("http://[").is_err());
        assert!(Description::named("http://127.0.0.1:1/openapi.json").is_ok());
    }
}
