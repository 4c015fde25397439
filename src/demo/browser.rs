//! A browser of the smallest kind: it sends requests, keeps cookies, and finds hidden fields.

use std::collections::BTreeMap;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Sends requests and keeps cookies.
pub struct Browser {
    client: Client<HttpConnector, Full<Bytes>>,
    cookies: BTreeMap<String, String>,
}

/// What came back.
pub struct Answer {
    /// E.g. 200.
    pub status: u16,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// The body as text.
    pub body: String,
}

impl Browser {
    /// Without cookies.
    pub fn new() -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), cookies: BTreeMap::new() }
    }

    /// Sends one request; `form`: the body of a POST.
    ///
    /// # Errors
    /// Nobody answered.
    pub async fn send(
        &mut self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        form: Option<String>,
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method).uri(url).header("user-agent", "countersign-demo");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", pairs.join("; "));
        }
        if form.is_some() {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        let request = request.body(Full::new(Bytes::from(form.unwrap_or_default())))?;
        let response = self.client.request(request).await.with_context(|| format!("{method} {url}"))?;
        self.keep_cookies(&response);
        let location = response.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, location, body: String::from_utf8_lossy(&body).into_owned() })
    }

    fn keep_cookies<B>(&mut self, response: &Response<B>) {
        for cookie in response.headers().get_all("set-cookie") {
            let pair = cookie.to_str().ok().and_then(|cookie| cookie.split(';').next()?.split_once('='));
            if let Some((name, value)) = pair {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

impl Answer {
    /// The value of a hidden field on the page.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn hidden_field(&self, name: &str) -> anyhow::Result<String> {
        let tag = self
            .body
            .split('<')
            .find(|tag| tag.starts_with("input") && tag.contains(&format!("name=\"{name}\"")))
            .with_context(|| format!("the page has no field {name}"))?;
        let value = tag.split_once("value=\"").and_then(|(_, rest)| rest.split_once('"')).map(|(value, _)| value);
        Ok(value.unwrap_or_default().to_owned())
    }
}
