//! `sign`: signs one request as a client would (RFC 5849 §3.1–§3.5.1) and shows how. Nothing is sent.
//!
//! It prints the signature base string, then the Authorization header: put side by side with one's own, they show where a signature goes
//! wrong; `--format json` puts both into an object. With `--explain` it looks at a signed request and says what is wrong with its signature (`explain`). The one command that takes
//! secrets as arguments; it also takes them from files and from the variables of the `.env` file that the developer console offers.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rand::distr::{Alphanumeric, SampleString};
use serde::Serialize;
use zeroize::Zeroizing;

use super::explain::{self, Question};
use super::output::{self, FormatArgs};
use super::{Failure, SourceArgs, file_text};
use crate::config::Flags;
use crate::protocol::client::{ClientRequest, RequestUrl, SigningError};
use crate::protocol::header::is_token;
use crate::protocol::oauth;
use crate::protocol::signature::{
    RsaKeyError, RsaSigningKey, RsaVerificationKey, SharedSecrets, SignatureMethod, SigningKey,
};
use crate::time::Timestamp;

#[derive(Args)]
pub struct SignArgs {
    /// The HTTP method, such as GET
    #[arg(value_name = "METHOD", value_parser = http_method, required_unless_present = "explain", requires = "url")]
    http_method: Option<String>,
    /// The whole URL with its query, as it will be sent
    #[arg(value_parser = url, required_unless_present = "explain")]
    url: Option<String>,
    /// Say what is wrong with the signature of the request in this file, or - for stdin: raw HTTP, a curl command, or the
    /// Authorization header with METHOD and URL before it. Needs the secrets alone
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-", conflicts_with_all = ["data", "only"])]
    explain: Option<PathBuf>,
    #[arg(long, env = "OAUTH_CLIENT_KEY", required_unless_present = "explain")]
    client_key: Option<String>,
    /// Not needed with an RSA method
    #[arg(long, env = "OAUTH_CLIENT_SECRET", hide_env_values = true, default_value = "", hide_default_value = true)]
    client_secret: String,
    /// Holds the client secret
    #[arg(long, value_name = "FILE", env = "OAUTH_CLIENT_SECRET_FILE")]
    client_secret_file: Option<PathBuf>,
    /// The request token or access token
    #[arg(long, env = "OAUTH_TOKEN", hide_env_values = true)]
    token: Option<String>,
    #[arg(long, env = "OAUTH_TOKEN_SECRET", hide_env_values = true, default_value = "", hide_default_value = true)]
    token_secret: String,
    /// Holds the token secret
    #[arg(long, value_name = "FILE", env = "OAUTH_TOKEN_SECRET_FILE")]
    token_secret_file: Option<PathBuf>,
    /// The form-encoded body, such as a=b&c=d; may be repeated
    #[arg(long, value_name = "FORM")]
    data: Vec<String>,
    /// The signature method [default: HMAC-SHA1, or RSA-SHA1 with an RSA key]
    #[arg(long, value_name = "SIGNATURE_METHOD")]
    method: Option<SignatureMethod>,
    /// A PEM file with the client's private key (PKCS#1 or PKCS#8), for the RSA methods
    #[arg(long, value_name = "FILE")]
    rsa_private_key: Option<PathBuf>,
    /// A PEM file with the client's public key, enough to explain an RSA signature
    #[arg(long, value_name = "FILE", requires = "explain")]
    rsa_public_key: Option<PathBuf>,
    /// The origin by which clients know the server, where it is another than the explained request's [default: server.public_url
    /// of --config]
    #[arg(long, value_name = "URL", env = "COUNTERSIGN_PUBLIC_URL", value_parser = url)]
    public_url: Option<String>,
    /// oauth_callback, where a request token is asked for
    #[arg(long, value_name = "URL")]
    callback: Option<String>,
    /// oauth_verifier, where an access token is asked for
    #[arg(long)]
    verifier: Option<String>,
    /// Put into the header; never signed
    #[arg(long, value_parser = realm)]
    realm: Option<String>,
    /// oauth_nonce [default: 24 random letters and digits]
    #[arg(long)]
    nonce: Option<String>,
    /// oauth_timestamp [default: now]
    #[arg(long, value_name = "SECONDS")]
    timestamp: Option<i64>,
    /// Print one of the two alone, for scripts: curl -H "$(countersign sign … --only header)" URL
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
    #[command(flatten)]
    output: FormatArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    BaseString,
    Header,
}

/// What `--format json` prints; `--only` leaves one of them.
#[derive(Serialize)]
struct Signed {
    #[serde(skip_serializing_if = "Option::is_none")]
    base_string: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<String>,
}

fn http_method(text: &str) -> Result<String, String> {
    match is_token(text) {
        true => Ok(text.to_owned()),
        false => Err("should be an HTTP method such as GET".to_owned()),
    }
}

/// A request line has no room for anything but visible ASCII, so neither has what is signed.
fn url(text: &str) -> Result<String, String> {
    match text.bytes().all(|octet| octet.is_ascii_graphic()) {
        true => RequestUrl::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string()),
        false => {
            Err("write spaces and letters beyond ASCII with escapes, as they will be sent: %20, %C3%A4".to_owned())
        }
    }
}

fn realm(text: &str) -> Result<String, String> {
    match text.contains(['"', '\\']) || text.contains(char::is_control) {
        true => Err("can't hold quotes, backslashes and control characters".to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// Carries the command out. `now` is used where no timestamp is given.
///
/// # Errors
/// [`Failure`]: a file can't be read, the request can't be signed, or what should be explained is no request.
pub(super) fn run(args: &SignArgs, sources: SourceArgs, now: Timestamp) -> Result<(), Failure> {
    let secret = |file: &Option<PathBuf>, given: &str| match file {
        Some(path) => file_text(path).map(|text| Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())),
        None => Ok(Zeroizing::new(given.to_owned())),
    };
    let client = secret(&args.client_secret_file, &args.client_secret)?;
    let token = secret(&args.token_secret_file, &args.token_secret)?;
    let secrets = SharedSecrets { client: &client, token: &token };
    let rsa = match &args.rsa_private_key {
        Some(path) => Some(read_key(path, RsaSigningKey::from_pem)?),
        None => None,
    };
    if let Some(file) = &args.explain {
        let public = match (&args.rsa_public_key, &rsa) {
            (Some(path), _) => Some(read_key(path, RsaVerificationKey::from_pem)?),
            (None, Some(private)) => {
                Some(private.verification_key().map_err(|error| Failure::Refused(error.to_string()))?)
            }
            (None, None) => None,
        };
        let line = args.http_method.as_deref().zip(args.url.as_deref());
        let public_url = match (&args.public_url, &sources.config) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(_)) => sources.load(Flags::default())?.server.public_url.map(|url| url.to_string()),
            (None, None) => None,
        };
        let asked = Question { file, line, secrets, rsa: public.as_ref(), public_url: public_url.as_deref() };
        return explain::run(&asked, args.output.format(), now);
    }
    sign(args, secrets, rsa.as_ref(), now)
}

fn sign(
    args: &SignArgs,
    secrets: SharedSecrets<'_>,
    rsa: Option<&RsaSigningKey>,
    now: Timestamp,
) -> Result<(), Failure> {
    // Without --explain the command line has these; see their arguments.
    let (Some(http_method), Some(url), Some(client_key)) = (&args.http_method, &args.url, &args.client_key) else {
        return Err(Failure::Usage("METHOD, URL and --client-key are needed".to_owned()));
    };
    let signature_method = args.method.unwrap_or(match rsa {
        Some(_) => SignatureMethod::RsaSha1,
        None => SignatureMethod::HmacSha1,
    });
    let key = match rsa {
        Some(key) if signature_method.is_rsa() => SigningKey::Rsa(key),
        _ => SigningKey::Shared(secrets),
    };
    if !signature_method.is_rsa() && secrets.client.is_empty() {
        output::say("no client secret was given: this is signed with an empty one, which no server should take");
    }
    let is_json = |data: &String| serde_json::from_str::<serde_json::Value>(data).is_ok_and(|data| !data.is_number());
    if args.data.iter().any(is_json) {
        output::say(
            "--data is signed as a form, and this looks like JSON: leave it out for a JSON body, which is not signed",
        );
    }
    let nonce = args.nonce.clone().unwrap_or_else(|| Alphanumeric.sample_string(&mut rand::rng(), 24));
    let form = args.data.join("&");
    let more = [(oauth::CALLBACK, &args.callback), (oauth::VERIFIER, &args.verifier)];
    let more: Vec<_> = more.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    let request = ClientRequest {
        method: http_method,
        url: RequestUrl::parse(url)?,
        form: Some(form.as_str()),
        client_key,
        token: args.token.as_deref(),
        signature_method,
        timestamp: args.timestamp.map_or(now, Timestamp::from_unix),
        nonce: &nonce,
        more: &more,
    };
    let signed = request.sign(&key)?;
    let authorization = match (&args.realm, signed.authorization.strip_prefix("OAuth ")) {
        (Some(realm), Some(parameters)) => format!("OAuth realm=\"{realm}\", {parameters}"),
        (_, _) => signed.authorization,
    };
    let base_string = (args.only != Some(Part::Header)).then(|| signed.base_string.to_string());
    let authorization = (args.only != Some(Part::BaseString)).then_some(authorization);
    if args.output.wants_json() {
        return Ok(output::json(&Signed { base_string, authorization })?);
    }
    let base_string = base_string.map(|text| text + "\n").unwrap_or_default();
    let header = authorization.map(|value| format!("Authorization: {value}\n")).unwrap_or_default();
    output::print(&(base_string + &header))?;
    Ok(())
}

fn read_key<K>(path: &Path, read: fn(&str) -> Result<K, RsaKeyError>) -> Result<K, Failure> {
    read(&file_text(path)?).map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))
}

impl From<SigningError> for Failure {
    fn from(error: SigningError) -> Self {
        Self::Usage(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_request_line_can_hold_is_refused() {
        for text in
            ["", "photos.example.net/photos", "ftp://a/", "http:///x", "http://u@a/", "http://a/ä", "http://a/ b"]
        {
            assert!(url(text).is_err(), "{text}");
        }
        assert!(url("http://a/%C3%A4?b=c%20d").is_ok());
        assert!(http_method("GE T").is_err() && http_method("").is_err() && http_method("M-SEARCH").is_ok());
        assert!(realm("a\"b").is_err() && realm("a b").is_ok());
    }
}
