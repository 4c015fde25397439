//! `sign`: what a client does to sign one request (RFC 5849 §3.1–§3.5.1), step by step and on paper. Nothing is sent.
//!
//! It prints the signature base string, then the Authorization header: put side by side with one's own, they show where a signature goes
//! wrong. The one command that takes secrets as arguments.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rand::distr::{Alphanumeric, SampleString};

use super::output;
use super::{Failure, file_text};
use crate::protocol::base_string::{BaseStringUri, SignatureBaseString};
use crate::protocol::encoding;
use crate::protocol::oauth;
use crate::protocol::parameters::{Parameters, ParametersError, Source};
use crate::protocol::request::UriScheme;
use crate::protocol::signature::{RsaSigningKey, SharedSecrets, SignatureMethod, SigningKey, UnsuitableKey, sign};
use crate::time::Timestamp;

#[derive(Args)]
pub struct SignArgs {
    /// The HTTP method, such as GET
    #[arg(value_name = "METHOD")]
    http_method: String,
    /// The whole URL with its query, as it will be sent
    url: String,
    #[arg(long)]
    client_key: String,
    /// Not needed with an RSA method
    #[arg(long, default_value = "")]
    client_secret: String,
    /// The request token or access token
    #[arg(long)]
    token: Option<String>,
    #[arg(long, default_value = "")]
    token_secret: String,
    /// The form-encoded body, such as a=b&c=d; may be repeated
    #[arg(long, value_name = "FORM")]
    data: Vec<String>,
    /// The signature method [default: HMAC-SHA1, or RSA-SHA1 with an RSA key]
    #[arg(long, value_name = "SIGNATURE_METHOD")]
    method: Option<SignatureMethod>,
    /// A PEM file with the client's private key (PKCS#1 or PKCS#8), for the RSA methods
    #[arg(long, value_name = "FILE")]
    rsa_private_key: Option<PathBuf>,
    /// oauth_callback, where a request token is asked for
    #[arg(long)]
    callback: Option<String>,
    /// oauth_verifier, where an access token is asked for
    #[arg(long)]
    verifier: Option<String>,
    /// Put into the header; never signed
    #[arg(long)]
    realm: Option<String>,
    /// oauth_nonce [default: 24 random letters and digits]
    #[arg(long)]
    nonce: Option<String>,
    /// oauth_timestamp in seconds since 1970 [default: now]
    #[arg(long)]
    timestamp: Option<i64>,
    /// Leave oauth_version out
    #[arg(long)]
    no_version: bool,
    /// Print one of the two alone, for scripts: curl -H "$(countersign sign … --only header)" URL
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    BaseString,
    Header,
}

/// Why a request can't be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error("the URL should begin with http:// or https:// and a host, and hold only visible ASCII (other letters as %XX)")]
    Url,
    #[error("the method should be an HTTP method such as GET")]
    Method,
    #[error("the realm can't hold quotes, backslashes or control characters")]
    Realm,
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    #[error(transparent)]
    Key(#[from] UnsuitableKey),
}

/// A request that is not signed yet. Names and values are decoded, the URL and the form are as they will be sent.
pub struct Unsigned<'a> {
    pub http_method: &'a str,
    pub url: &'a str,
    /// The form body, if there is one.
    pub form: &'a str,
    /// The protocol parameters but for the signature, in the order of the header.
    pub protocol: Vec<(&'static str, String)>,
    pub realm: Option<&'a str>,
}

/// What signing gave.
#[derive(Debug, PartialEq, Eq)]
pub struct Signed {
    pub base_string: String,
    /// `oauth_signature` before it is percent-encoded.
    pub signature: String,
    /// The value of the Authorization header.
    pub authorization: String,
}

impl Unsigned<'_> {
    /// Signs: base string (§3.4.1), signature (§3.4.2–3.4.4), header (§3.5.1).
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign(&self, method: SignatureMethod, key: &SigningKey<'_>) -> Result<Signed, SignError> {
        let is_token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
        if self.http_method.is_empty() || !self.http_method.bytes().all(is_token) {
            return Err(SignError::Method);
        }
        if self.realm.is_some_and(|realm| realm.contains(['"', '\\']) || realm.contains(char::is_control)) {
            return Err(SignError::Realm);
        }
        let (uri, query) = split_url(self.url).ok_or(SignError::Url)?;
        // The source of a parameter makes no difference to what is signed (§3.4.1.3.1), only to the error.
        Parameters::of_form(self.form, Source::Body)?;
        let sent = format!("{query}&{}", self.form);
        let mut parameters = Parameters::of_form(&sent, Source::Query)?;
        for (name, value) in &self.protocol {
            parameters.add_decoded(name, value, Source::Header);
        }
        let base_string = SignatureBaseString::new(self.http_method, &uri, &parameters);
        let signature = sign(method, &base_string, key)?;
        let authorization = self.authorization(&signature);
        Ok(Signed { base_string: base_string.to_string(), signature, authorization })
    }

    fn authorization(&self, signature: &str) -> String {
        let realm = self.realm.map(|realm| format!("realm=\"{realm}\""));
        let signed = [(oauth::SIGNATURE, signature)];
        let protocol = self.protocol.iter().map(|(name, value)| (*name, value.as_str())).chain(signed);
        let pairs = protocol.map(|(name, value)| format!("{name}=\"{}\"", encoding::encode(value)));
        format!("OAuth {}", realm.into_iter().chain(pairs).collect::<Vec<_>>().join(", "))
    }
}

/// Scheme, authority and path as a base string has them, and the query. A fragment is never sent.
fn split_url(url: &str) -> Option<(BaseStringUri<'_>, &str)> {
    if !url.bytes().all(|octet| octet.is_ascii_graphic()) {
        return None;
    }
    let url = url.split('#').next()?;
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => UriScheme::Http,
        "https" => UriScheme::Https,
        _ => return None,
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.is_empty() || authority.contains('@') {
        return None;
    }
    Some((BaseStringUri::new(scheme, authority, path), query))
}

/// Carries the command out. `now` is used where no timestamp is given.
///
/// # Errors
/// [`Failure`]: a file can't be read, or the request can't be signed.
pub fn run(args: &SignArgs, now: Timestamp) -> Result<(), Failure> {
    let method = args.method.unwrap_or(match args.rsa_private_key {
        Some(_) => SignatureMethod::RsaSha1,
        None => SignatureMethod::HmacSha1,
    });
    let rsa = match &args.rsa_private_key {
        Some(path) => {
            let key = RsaSigningKey::from_pem(&file_text(path)?);
            Some(key.map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))?)
        }
        None => None,
    };
    let key = match &rsa {
        Some(key) => SigningKey::Rsa(key),
        None => SigningKey::Shared(SharedSecrets { client: &args.client_secret, token: &args.token_secret }),
    };
    let nonce = || Alphanumeric.sample_string(&mut rand::rng(), 24);
    let mut protocol = vec![(oauth::CONSUMER_KEY, args.client_key.clone())];
    let given = [(oauth::TOKEN, &args.token), (oauth::CALLBACK, &args.callback), (oauth::VERIFIER, &args.verifier)];
    protocol.extend(given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    protocol.push((oauth::SIGNATURE_METHOD, method.to_string()));
    protocol.push((oauth::TIMESTAMP, args.timestamp.unwrap_or(now.unix()).to_string()));
    protocol.push((oauth::NONCE, args.nonce.clone().unwrap_or_else(nonce)));
    if !args.no_version {
        protocol.push((oauth::VERSION, "1.0".to_owned()));
    }
    let request = Unsigned { http_method: &args.http_method, url: &args.url, form: &args.data.join("&"), protocol, realm: args.realm.as_deref() };
    let signed = request.sign(method, &key).map_err(|error| Failure::Refused(error.to_string()))?;
    let base_string = format!("{}\n", signed.base_string);
    let header = format!("Authorization: {}\n", signed.authorization);
    output::print(&match args.only {
        None => base_string + &header,
        Some(Part::BaseString) => base_string,
        Some(Part::Header) => header,
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared<'a>(client: &'a str, token: &'a str) -> SigningKey<'a> {
        SigningKey::Shared(SharedSecrets { client, token })
    }

    /// The photos of OAuth Core 1.0a, appendix A.5.
    fn photos() -> Unsigned<'static> {
        let protocol = [
            ("oauth_consumer_key", "dpf43f3p2l4k3l03"),
            ("oauth_token", "nnch734d00sl2jdk"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", "1191242096"),
            ("oauth_nonce", "kllo9940pd9333jh"),
            ("oauth_version", "1.0"),
        ];
        Unsigned {
            http_method: "GET",
            url: "http://photos.example.net/photos?file=vacation.jpg&size=original",
            form: "",
            protocol: protocol.map(|(name, value)| (name, value.to_owned())).into(),
            realm: Some("http://photos.example.net/"),
        }
    }

    #[test]
    fn the_photos_of_oauth_core_are_signed_as_it_says() {
        let signed = photos().sign(SignatureMethod::HmacSha1, &shared("kd94hf93k423kf44", "pfkkdhi9sl3r4s00")).unwrap();
        assert_eq!(signed.signature, "tR3+Ty81lMeYAr/Fid0kMTYa/WM=");
        assert!(signed.base_string.starts_with("GET&http%3A%2F%2Fphotos.example.net%2Fphotos&file%3Dvacation.jpg%26oauth_consumer_key%3D"));
        assert!(signed.authorization.starts_with("OAuth realm=\"http://photos.example.net/\", oauth_consumer_key=\"dpf43f3p2l4k3l03\""));
        assert!(signed.authorization.ends_with("oauth_signature=\"tR3%2BTy81lMeYAr%2FFid0kMTYa%2FWM%3D\""));
    }

    #[test]
    fn the_base_string_of_rfc_5849_section_3_4_1_1_is_made() {
        let protocol = [
            ("oauth_consumer_key", "9djdj82h48djs9d2"),
            ("oauth_token", "kkk9d7dh3k39sjv7"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", "137131201"),
            ("oauth_nonce", "7d8f3e4a"),
        ];
        let request = Unsigned {
            http_method: "POST",
            url: "http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b",
            form: "c2&a3=2+q",
            protocol: protocol.map(|(name, value)| (name, value.to_owned())).into(),
            realm: Some("Example"),
        };
        let signed = request.sign(SignatureMethod::HmacSha1, &shared("j49sk3j29djd", "dh893hdasih9")).unwrap();
        assert_eq!(
            signed.base_string,
            "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26\
             oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26\
             oauth_token%3Dkkk9d7dh3k39sjv7"
        );
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in ["", "photos.example.net/photos", "ftp://a/", "http:///x", "http://u@a/", "http://a/ä", "http://a/ b"] {
            assert!(split_url(url).is_none(), "{url}");
        }
        assert_eq!(split_url("HTTPS://A:443?x=1#y").map(|(uri, query)| (uri.to_string(), query)), Some(("https://a/".into(), "x=1")));
    }

    #[test]
    fn an_rsa_method_needs_an_rsa_key() {
        assert!(matches!(photos().sign(SignatureMethod::RsaSha1, &shared("a", "b")), Err(SignError::Key(_))));
    }
}
