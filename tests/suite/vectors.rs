//! The examples of the standards (`tests/vectors/*.json`, each with its source), one test per file.
//!
//! Every value in them was computed a second time by something that is not this crate. A failure names its vector.

use countersign::protocol::base_string::{BaseStringUri, SignatureBaseString};
use countersign::protocol::body_hash::{self, BodyHash, body_hash};
use countersign::protocol::digest::{DigestCredentials, DigestError, Ha1, Username, user_hash};
use countersign::protocol::encoding::encode;
use countersign::protocol::header::{Challenge, Credentials};
use countersign::protocol::parameters::{Parameter, Parameters, Source};
use countersign::protocol::request::{Headers, ReceivedRequest, Sent, UriScheme};
use countersign::protocol::signature::{
    RsaKeyError, RsaSigningKey, RsaVerificationKey, SharedSecrets, SignatureMethod, SigningKey, VerificationKey, sign,
    verify,
};
use countersign::time::Timestamp;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

#[test]
fn the_examples_of_rfc_5849_hold() {
    hold(include_str!("../vectors/rfc5849.json"), 14);
}

#[test]
fn the_examples_of_oauth_core_1_0a_hold() {
    hold(include_str!("../vectors/oauth-core-1.0a.json"), 11);
}

#[test]
fn the_test_cases_of_the_oauth_community_hold() {
    hold(include_str!("../vectors/oauth-test-cases.json"), 24);
}

#[test]
fn every_signature_method_agrees_with_other_implementations() {
    hold(include_str!("../vectors/signature-methods.json"), 6);
}

#[test]
fn the_examples_of_request_body_hash_hold() {
    hold(include_str!("../vectors/body-hash.json"), 16);
}

#[test]
fn the_examples_of_digest_hold() {
    hold(include_str!("../vectors/digest.json"), 18);
}

#[test]
fn the_examples_of_basic_hold() {
    hold(include_str!("../vectors/basic.json"), 3);
}

/// Checks each vector of a file; `count` keeps one from getting lost.
fn hold(json: &str, count: usize) {
    let file: File = serde_json::from_str(json).expect("a file of vectors");
    assert_eq!(file.vectors.len(), count, "vectors of {}", file.source);
    let failures: Vec<String> = file
        .vectors
        .iter()
        .filter_map(|vector| vector.example.check().err().map(|reason| format!("{}\n    {reason}", vector.name)))
        .collect();
    assert!(failures.is_empty(), "{}:\n  {}", file.source, failures.join("\n  "));
}

#[derive(Deserialize)]
struct File {
    source: String,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    #[serde(flatten)]
    example: Example,
}

/// A request as it travels: what stands in front of the first `?` of `target` is the path.
#[derive(Deserialize)]
struct Travelling {
    method: String,
    scheme: String,
    authority: String,
    target: String,
    authorization: Option<String>,
    content_type: Option<String>,
    #[serde(default)]
    body: String,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Example {
    Encode {
        text: String,
        encoded: String,
    },
    Normalize {
        form: String,
        normalized: String,
    },
    Uri {
        scheme: String,
        authority: String,
        path: String,
        uri: String,
    },
    /// Each parameter that is signed, decoded; and the signature, that is not.
    Parameters {
        #[serde(flatten)]
        request: Travelling,
        parameters: Vec<(String, String)>,
        signature: Option<String>,
    },
    Request {
        #[serde(flatten)]
        request: Travelling,
        base_string: String,
        signature_method: Option<String>,
        secrets: Option<(String, String)>,
        signature: Option<String>,
        /// What the standard prints for the signature by mistake.
        printed_wrong: Option<String>,
    },
    /// A signature over any text: tested in `protocol/signature.rs`, where what is no base string can be signed.
    Mac {},
    Plaintext {
        secrets: (String, String),
        encoded: String,
    },
    RsaSign {
        #[serde(flatten)]
        request: Travelling,
        base_string: String,
        signature_method: String,
        private_key: String,
        signature: String,
    },
    /// A key that is refused for its size.
    RsaKey {
        certificate: String,
        bits: usize,
    },
    Rsa {
        #[serde(flatten)]
        request: Travelling,
        base_string: String,
        signature_method: String,
        private_keys: Vec<String>,
        public_keys: Vec<String>,
        signature: String,
    },
    BodyHash {
        signature_method: String,
        body: String,
        hash: String,
    },
    Digest {
        authorization: String,
        username: String,
        realm: String,
        password: String,
        method: String,
        target: String,
        body: String,
        count: u32,
        userhash: bool,
    },
    DigestRefused {
        authorization: String,
    },
    Basic {
        authorization: String,
        username: String,
        password: String,
    },
    Challenge {
        scheme: String,
        parameters: Vec<(String, String)>,
        text: String,
    },
}

/// `Ok` when both are the same.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: found {found:?}, expected {expected:?}")) }
}

fn words<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

impl Example {
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Encode { text, encoded } => same("encoded", encode(text).as_ref(), encoded),
            Self::Normalize { form, normalized } => {
                let parameters = Parameters::of_form(form, Source::Query).map_err(words)?;
                let pairs: Vec<_> = parameters.normalized().into_iter().map(pair).collect();
                same("normalized", &pairs.join("&"), normalized)
            }
            Self::Uri { scheme, authority, path, uri } => {
                same("URI", &BaseStringUri::new(uri_scheme(scheme), authority, path).to_string(), uri)
            }
            Self::Parameters { request, parameters, signature } => check_parameters(request, parameters, signature),
            Self::Request { request, base_string, signature_method, secrets, signature, printed_wrong } => {
                let found = request.base_string()?;
                same("base string", found.as_str(), base_string)?;
                if let (Some(method), Some(secrets), Some(signature)) = (signature_method, secrets, signature) {
                    check_shared(method, &found, secrets, signature, printed_wrong.as_deref())?;
                }
                request.check_body_hash(signature_method.as_deref())
            }
            Self::Mac {} => Ok(()),
            Self::Plaintext { secrets, encoded } => {
                let key = SigningKey::Shared(SharedSecrets { client: &secrets.0, token: &secrets.1 });
                let uri = BaseStringUri::new(UriScheme::Https, "example.com", "/");
                let base_string = SignatureBaseString::new("GET", &uri, &Parameters::default());
                let signature = sign(SignatureMethod::Plaintext, &base_string, &key).map_err(words)?;
                same("encoded signature", encode(&signature).as_ref(), encoded)
            }
            Self::RsaSign { request, base_string, signature_method, private_key, signature } => {
                check_rsa_signing(request, base_string, signature_method, private_key, signature)
            }
            Self::RsaKey { certificate, bits } => {
                same("key", RsaVerificationKey::from_pem(certificate).err(), Some(RsaKeyError::Size(*bits)))
            }
            Self::Rsa { request, base_string, signature_method, private_keys, public_keys, signature } => {
                for pem in private_keys {
                    check_rsa_signing(request, base_string, signature_method, pem, signature)?;
                }
                public_keys.iter().try_for_each(|pem| check_rsa(request, signature_method, pem, signature))
            }
            Self::BodyHash { signature_method, body, hash } => {
                let method = signature_method.parse().map_err(words)?;
                same("hash", &body_hash(method, body.as_bytes()), hash)
            }
            Self::Digest { authorization, username, realm, password, method, target, body, count, userhash } => {
                let credentials = DigestCredentials::parse(&Credentials::parse(authorization)).map_err(words)?;
                let expected = if *userhash {
                    Username::Hashed(user_hash(credentials.hash, username, realm))
                } else {
                    Username::Plain(username.into())
                };
                same("username", &credentials.username, &expected)?;
                same("count", credentials.count(), *count)?;
                same("target", credentials.names(&Travelling::to(method, target).received()), true)?;
                let verified = |password: &str| {
                    let ha1 = Ha1::new(credentials.hash, username, realm, password);
                    credentials.verify(&ha1, method, Some(body.as_bytes())).is_ok()
                };
                same("verified", verified(password), true)?;
                same("a wrong password verified", verified("wrong"), false)
            }
            Self::DigestRefused { authorization } => {
                let credentials = DigestCredentials::parse(&Credentials::parse(authorization));
                same("refused", credentials.err(), Some(DigestError::Algorithm))
            }
            Self::Basic { authorization, username, password } => {
                let credentials = Credentials::parse(authorization);
                same("scheme", credentials.is("basic"), true)?;
                let decoded = STANDARD.decode(credentials.rest).map_err(words)?;
                same("credentials", decoded, format!("{username}:{password}").into_bytes())
            }
            Self::Challenge { scheme, parameters, text } => {
                let challenge = parameters
                    .iter()
                    .fold(Challenge::new(scheme), |challenge, (name, value)| challenge.quoted(name, value));
                same("challenge", &challenge.to_string(), text)
            }
        }
    }
}

fn check_shared(
    method: &str,
    base_string: &SignatureBaseString,
    secrets: &(String, String),
    signature: &str,
    printed_wrong: Option<&str>,
) -> Result<(), String> {
    let method: SignatureMethod = method.parse().map_err(words)?;
    let secrets = SharedSecrets { client: &secrets.0, token: &secrets.1 };
    let made = sign(method, base_string, &SigningKey::Shared(secrets)).map_err(words)?;
    same("signature", made.as_str(), signature)?;
    let good = |presented: &str| verify(method, base_string, VerificationKey::Shared(secrets), presented).is_ok();
    same("verified", good(signature), true)?;
    same("what is printed by mistake verified", printed_wrong.is_some_and(good), false)
}

fn check_rsa_signing(
    request: &Travelling,
    base_string: &str,
    method: &str,
    private_key: &str,
    signature: &str,
) -> Result<(), String> {
    let found = request.base_string()?;
    same("base string", found.as_str(), base_string)?;
    let key = RsaSigningKey::from_pem(private_key).map_err(words)?;
    let made = sign(method.parse().map_err(words)?, &found, &SigningKey::Rsa(&key)).map_err(words)?;
    same("signature", made.as_str(), signature)
}

/// The signature is good with its own method, and with no other.
fn check_rsa(request: &Travelling, method: &str, public_key: &str, signature: &str) -> Result<(), String> {
    let base_string = request.base_string()?;
    let key = RsaVerificationKey::from_pem(public_key).map_err(words)?;
    SignatureMethod::ALL.into_iter().try_for_each(|other| {
        let verified = verify(other, &base_string, VerificationKey::Rsa(&key), signature).is_ok();
        same(other.as_str(), verified, other.as_str() == method)
    })
}

fn check_parameters(
    request: &Travelling,
    expected: &[(String, String)],
    signature: &Option<String>,
) -> Result<(), String> {
    let parameters = Parameters::collect(&request.received()).map_err(words)?;
    let mut found: Vec<_> = parameters.normalized().into_iter().map(decoded).collect();
    let mut expected = expected.to_vec();
    // The standard lists them in the order sent, which means nothing.
    found.sort();
    expected.sort();
    same("parameters", found, expected)?;
    let unsigned = parameters.iter().find(|parameter| parameter.name == "oauth_signature").map(decoded);
    match signature {
        Some(_) => same("signature", &unsigned.map(|(_, value)| value), signature),
        None => Ok(()),
    }
}

fn pair(parameter: &Parameter<'_>) -> String {
    format!("{}={}", parameter.name, parameter.value)
}

fn decoded(parameter: &Parameter<'_>) -> (String, String) {
    let name = Parameter { value: parameter.name.clone(), ..parameter.clone() };
    let meaning = |parameter: &Parameter<'_>| parameter.decoded().expect("text").into_owned();
    (meaning(&name), meaning(parameter))
}

fn uri_scheme(name: &str) -> UriScheme {
    if name == "https" { UriScheme::Https } else { UriScheme::Http }
}

impl Travelling {
    fn to(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            scheme: "http".to_owned(),
            authority: "example.org".to_owned(),
            target: target.to_owned(),
            authorization: None,
            content_type: None,
            body: String::new(),
        }
    }

    fn received(&self) -> ReceivedRequest<'_> {
        let (path, query) =
            self.target.split_once('?').map_or((self.target.as_str(), None), |(path, query)| (path, Some(query)));
        ReceivedRequest {
            method: &self.method,
            scheme: uri_scheme(&self.scheme),
            authority: &self.authority,
            path,
            query,
            headers: Headers {
                authorization: self.authorization.as_deref().map_or(Sent::Never, Sent::Once),
                content_type: self.content_type.as_deref(),
                ..Headers::default()
            },
            body: Some(self.body.as_bytes()),
            client_address: [127, 0, 0, 1].into(),
            arrived: Timestamp::from_unix(0),
        }
    }

    fn base_string(&self) -> Result<SignatureBaseString, String> {
        let request = self.received();
        let parameters = Parameters::collect(&request).map_err(words)?;
        Ok(SignatureBaseString::of(&request, &parameters))
    }

    /// Where the request carries an `oauth_body_hash`, it is that of the body.
    fn check_body_hash(&self, method: Option<&str>) -> Result<(), String> {
        let request = self.received();
        let parameters = Parameters::collect(&request).map_err(words)?;
        let sent = parameters.iter().find(|parameter| parameter.name == "oauth_body_hash").map(decoded);
        let (Some((_, hash)), Some(method)) = (sent, method) else { return Ok(()) };
        let method = method.parse().map_err(words)?;
        same("body hash", body_hash::check(method, Some(&hash), &request), BodyHash::Right)
    }
}
