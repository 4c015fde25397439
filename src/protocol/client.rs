//! The client's half: which parameters a signed request carries, and its `Authorization` header (RFC 5849 §3.1, §3.5.1).
//!
//! The server never signs; the command line, the demonstration and the tests do. Nonce and time are handed in.

use thiserror::Error;

use super::base_string::{BaseStringUri, SignatureBaseString};
use super::encoding::encode;
use super::oauth;
use super::parameters::{Parameters, ParametersError, Source};
use super::request::UriScheme;
use super::signature::{SignatureMethod, SigningKey, UnsuitableKey, sign};
use crate::time::Timestamp;

/// An absolute `http` or `https` URL, cut where a signer needs it. Nothing is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestUrl<'a> {
    /// `http` or `https`.
    pub scheme: UriScheme,
    /// Host and port as written.
    pub authority: &'a str,
    /// Path as written; `/` when there is none.
    pub path: &'a str,
    /// Behind the first `?`.
    pub query: Option<&'a str>,
}

/// Why a request can't be signed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SigningError {
    /// Not an absolute URL.
    #[error("not a URL that can be signed: give http://host/path or https://host/path")]
    Url,
    /// Query or body hold what is no form text.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// The key does not fit the method.
    #[error(transparent)]
    Key(#[from] UnsuitableKey),
}

impl<'a> RequestUrl<'a> {
    /// Cuts a URL; a fragment is dropped.
    ///
    /// # Errors
    /// [`SigningError::Url`].
    pub fn parse(url: &'a str) -> Result<Self, SigningError> {
        let url = url.split('#').next().unwrap_or_default();
        let (scheme, rest) = url.split_once("://").ok_or(SigningError::Url)?;
        let scheme = UriScheme::parse(scheme).ok_or(SigningError::Url)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, behind) = rest.split_at(end);
        if authority.is_empty() || authority.contains(['@', ' ']) {
            return Err(SigningError::Url);
        }
        let (path, query) = match behind.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (behind, None),
        };
        Ok(Self { scheme, authority, path: if path.is_empty() { "/" } else { path }, query })
    }
}

/// What a client puts into one signed request.
pub struct ClientRequest<'a> {
    /// E.g. `GET`.
    pub method: &'a str,
    /// Where it goes.
    pub url: RequestUrl<'a>,
    /// The body, if it is a form.
    pub form: Option<&'a str>,
    /// `oauth_consumer_key`.
    pub client_key: &'a str,
    /// `oauth_token`, if there is one.
    pub token: Option<&'a str>,
    /// `oauth_signature_method`.
    pub signature_method: SignatureMethod,
    /// `oauth_timestamp`.
    pub timestamp: Timestamp,
    /// `oauth_nonce`.
    pub nonce: &'a str,
    /// Further protocol parameters by name and value, e.g. `oauth_callback`.
    pub more: &'a [(&'a str, &'a str)],
}

/// A request that was signed.
pub struct SignedRequest {
    /// What was signed.
    pub base_string: SignatureBaseString,
    /// The value of the `Authorization` header.
    pub authorization: String,
}

impl ClientRequest<'_> {
    /// Signs the request.
    ///
    /// # Errors
    /// [`SigningError`].
    pub fn sign(&self, key: &SigningKey<'_>) -> Result<SignedRequest, SigningError> {
        let timestamp = self.timestamp.unix().to_string();
        let mut header = vec![
            (oauth::CONSUMER_KEY, self.client_key),
            (oauth::NONCE, self.nonce),
            (oauth::SIGNATURE_METHOD, self.signature_method.as_str()),
            (oauth::TIMESTAMP, timestamp.as_str()),
            (oauth::VERSION, "1.0"),
        ];
        header.extend(self.token.map(|token| (oauth::TOKEN, token)));
        header.extend_from_slice(self.more);

        let mut parameters = Parameters::of_form(self.url.query.unwrap_or_default(), Source::Query)?;
        let form = Parameters::of_form(self.form.unwrap_or_default(), Source::Body)?;
        parameters.extend(form);
        for (name, value) in &header {
            parameters.add_decoded(name, value, Source::Header);
        }
        let uri = BaseStringUri::new(self.url.scheme, self.url.authority, self.url.path);
        let base_string = SignatureBaseString::new(self.method, &uri, &parameters);
        let signature = sign(self.signature_method, &base_string, key)?;
        header.push((oauth::SIGNATURE, &signature));
        let header: Vec<_> = header.iter().map(|(name, value)| format!("{name}=\"{}\"", encode(value))).collect();
        Ok(SignedRequest { base_string, authorization: format!("OAuth {}", header.join(", ")) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::signature::SharedSecrets;

    #[test]
    fn the_photo_request_of_section_1_2_is_signed_as_the_rfc_shows_it() {
        let request = ClientRequest {
            method: "GET",
            url: RequestUrl::parse("http://photos.example.net/photos?file=vacation.jpg&size=original").unwrap(),
            form: None,
            client_key: "dpf43f3p2l4k3l03",
            token: Some("nnch734d00sl2jdk"),
            signature_method: SignatureMethod::HmacSha1,
            timestamp: Timestamp::from_unix(137_131_202),
            nonce: "chapoH",
            more: &[],
        };
        let secrets = SharedSecrets { client: "kd94hf93k423kf44", token: "pfkkdhi9sl3r4s00" };
        let signed = request.sign(&SigningKey::Shared(secrets)).unwrap();
        // The RFC's request has no oauth_version; the base string differs by it and nothing else.
        assert!(signed.base_string.as_str().starts_with(
            "GET&http%3A%2F%2Fphotos.example.net%2Fphotos&file%3Dvacation.jpg%26oauth_consumer_key%3Ddpf43f3p2l4k3l03"
        ));
        assert!(
            signed.authorization.starts_with("OAuth oauth_consumer_key=\"dpf43f3p2l4k3l03\", oauth_nonce=\"chapoH\"")
        );
    }

    #[test]
    fn a_url_is_cut_without_being_decoded() {
        let url = RequestUrl::parse("HTTPS://h:1/a%2Fb?c=%41#d").unwrap();
        assert_eq!(
            (url.scheme, url.authority, url.path, url.query),
            (UriScheme::Https, "h:1", "/a%2Fb", Some("c=%41"))
        );
        assert_eq!(RequestUrl::parse("http://h?x").unwrap().path, "/");
        for text in ["h/x", "ftp://h/", "http:///x", "http://u@h/"] {
            assert_eq!(RequestUrl::parse(text), Err(SigningError::Url), "{text}");
        }
    }
}
