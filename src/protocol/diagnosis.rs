//! Which known client mistake makes the signature that failed: the answer to "signature invalid".
//!
//! It puts the base string (RFC 5849 §3.4.1) and the key (§3.4.2) together as clients do that err in a known way, one
//! way at a time and then two, until one of them makes the signature that was presented. It finds out *how* a client
//! signed and admits nobody: no proof comes from here. It shows no secret, neither one that it was given nor one that
//! the client put into its request by mistake. The cost is bounded; how often it may be asked is decided above.
//!
//! In reading order: the mistakes by name, the ways in which they are made, what each way comes to, the form of the
//! signature, and what may be shown. The search among them is here.

mod mistakes;
mod ways;
mod rebuilding;
mod form;
mod redaction;

use std::collections::HashSet;

use super::body_hash::{self, BodyHash};
use super::oauth::BODY_HASH;
use super::parameters::Parameters;
use super::request::ReceivedRequest;
use super::signature::{SignatureMethod, VerificationKey, reproduces};
use form::{Form, Made};
pub use mistakes::Mistake;
use rebuilding::{Attempt, Evidence};
pub use redaction::without_secrets;
use ways::{Recipe, WAYS, Way, likeliest_pairs};

/// The most signatures that are computed for one question.
pub const MAXIMUM_SIGNATURES: usize = 500;
/// The most octets of base strings that are written for one question.
const MAXIMUM_TEXT: usize = 4 * 1024 * 1024;
/// What putting one together costs beside its own octets, counted in octets.
const COST_OF_A_TEXT: usize = 1024;

/// What was found out about a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is right: there is nothing to explain.
    Right,
    /// These mistakes together make it: of its form, and one or two others. Those of its form are certain, also where
    /// nothing else is known.
    Mistakes(Vec<Mistake>),
    /// None of the known ones makes it: most likely a secret is another one. With RSA the key is the right one.
    Unknown,
    /// None of them does, but there was a body that nobody saw: it may have been signed.
    BodyUnseen,
}

/// What is told of a signature that failed. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// What was found out.
    pub finding: Finding,
    /// The base string that should have been signed; none for PLAINTEXT, which signs none.
    pub expected: Option<String>,
    /// The base string that the client signed, when it was found out.
    pub signed: Option<String>,
    /// The first character, counted from 0, at which the two differ; none when they are equal: then it is the key.
    pub first_difference: Option<usize>,
    /// The fingerprint of the public key that it was checked with; none for the other methods.
    pub rsa_key: Option<String>,
}

impl Diagnosis {
    /// The finding for people.
    pub fn sentence(&self) -> String {
        match &self.finding {
            Finding::Right => "The signature is right.".to_owned(),
            Finding::Mistakes(mistakes) => {
                let mut sentences: Vec<_> = mistakes.iter().map(|mistake| mistake.advice().to_owned()).collect();
                if let Some(fingerprint) = self.rsa_key.as_ref().filter(|_| mistakes.contains(&Mistake::OtherRsaKey)) {
                    sentences.push(format!("The SHA-256 of the registered public key (PKCS#1 DER) is {fingerprint}."));
                }
                sentences.join(" ")
            }
            Finding::BodyUnseen if self.rsa_key.is_some() => {
                "The private key is the right one, but the body was not seen here: leave a body that is no form out of the signature, then compare the base string with your own.".to_owned()
            }
            Finding::BodyUnseen => {
                "None of the known mistakes makes this signature, but the body was not seen here: leave a body that is no form out of the signature, then compare the base string with your own.".to_owned()
            }
            Finding::Unknown if self.rsa_key.is_some() => {
                "The private key is the right one, but none of the known mistakes makes the base string that it signed: compare the base string with your own.".to_owned()
            }
            Finding::Unknown => {
                "None of the known mistakes makes this signature: compare the base string with your own, and check that both secrets are the right ones.".to_owned()
            }
        }
    }
}

/// Finds out how `presented`, the decoded `oauth_signature`, was made.
///
/// `parameters`: all of `request`; `key`: the right one; `secrets`: all that must not be shown, whatever the key is, since
/// a client that signs with RSA or was given a new secret may send any of its secrets by mistake. At most
/// [`MAXIMUM_SIGNATURES`] signatures are computed.
pub fn diagnose(
    request: &ReceivedRequest<'_>,
    parameters: &Parameters<'_>,
    method: SignatureMethod,
    key: VerificationKey<'_>,
    presented: &str,
    secrets: &[&str],
) -> Diagnosis {
    let evidence = Evidence { request, parameters, method, key, presented };
    let right = evidence.rebuild(&Recipe::default());
    let Form { mistakes, made } = Form::of(method, key, &right.key, presented);
    let found = made.and_then(|made| evidence.search(&made, &right, &mut Budget::new()));
    let show = |attempt: &Attempt| match method {
        SignatureMethod::Plaintext => None,
        SignatureMethod::HmacSha1
        | SignatureMethod::HmacSha256
        | SignatureMethod::HmacSha512
        | SignatureMethod::RsaSha1
        | SignatureMethod::RsaSha256
        | SignatureMethod::RsaSha512 => without_secrets(&attempt.text, secrets),
    };
    let (finding, expected, signed) = match found {
        None if !mistakes.is_empty() => (Finding::Mistakes(mistakes), show(&right), None),
        None if request.body.is_none() && request.headers.content_type.is_some() => {
            (Finding::BodyUnseen, show(&right), None)
        }
        None => (Finding::Unknown, show(&right), None),
        Some((found, _)) if found.is_empty() && mistakes.is_empty() && evidence.body_hash() == BodyHash::Wrong => {
            let expected = evidence.rebuild(&Recipe { right_body_hash: true, ..Recipe::default() });
            (Finding::Mistakes(vec![Mistake::BodyHashWrong]), show(&expected), show(&right))
        }
        Some((found, _)) if found.is_empty() && mistakes.is_empty() => (Finding::Right, show(&right), show(&right)),
        Some((found, attempt)) => {
            let more = found.into_iter().filter(|mistake| !mistakes.contains(mistake)).collect::<Vec<_>>();
            (Finding::Mistakes([mistakes, more].concat()), show(&right), show(&attempt))
        }
    };
    let first_difference = expected.as_deref().zip(signed.as_deref()).and_then(|(one, other)| differ_at(one, other));
    let rsa_key = match key {
        VerificationKey::Rsa(key) => Some(key.fingerprint().to_owned()),
        VerificationKey::Shared(_) => None,
    };
    Diagnosis { finding, expected, signed, first_difference, rsa_key }
}

fn differ_at(one: &str, other: &str) -> Option<usize> {
    let same = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    (one != other).then_some(same)
}

impl Evidence<'_> {
    /// The mistakes that make the signature, none if it is right, and what they come to.
    fn search(&self, made: &Made, right: &Attempt, budget: &mut Budget) -> Option<(Vec<Mistake>, Attempt)> {
        if budget.allows(right) && made.holds(right) {
            return Some((Vec::new(), right.clone()));
        }
        // Most ways change nothing about a given request, but may do so beside another: the port of `https://h:443` is
        // left out anyway, and is not where http is signed.
        let mut tried: Vec<(Way, bool)> = Vec::with_capacity(WAYS.len());
        for (mistake, spoil) in WAYS {
            if budget.is_spent() {
                return None;
            }
            let attempt = self.rebuild(&Recipe::spoilt(&[*spoil]));
            let changes = budget.allows(&attempt);
            if changes && made.holds(&attempt) {
                return Some((vec![*mistake], attempt));
            }
            tried.push(((*mistake, *spoil), changes));
        }
        for ((first, spoil_first), (second, spoil_second)) in likeliest_pairs(&tried) {
            if budget.is_spent() {
                return None;
            }
            let attempt = self.rebuild(&Recipe::spoilt(&[spoil_first, spoil_second]));
            if budget.allows(&attempt) && made.holds(&attempt) {
                return Some((vec![first, second], attempt));
            }
        }
        None
    }

    fn body_hash(&self) -> BodyHash {
        let presented = self.parameters.iter().find(|parameter| parameter.name == BODY_HASH);
        let presented = presented.and_then(|parameter| parameter.decoded());
        body_hash::check(self.method, presented.as_deref(), self.request)
    }
}

impl Made {
    fn holds(&self, attempt: &Attempt) -> bool {
        match self {
            Self::Plaintext => reproduces(SignatureMethod::Plaintext, "", &attempt.key, &attempt.presented),
            Self::Mac(method, presented) => reproduces(*method, &attempt.text, &attempt.key, presented),
            Self::Hash(method, hash) => method.hash_of(attempt.text.as_bytes()) == *hash,
        }
    }
}

/// What may still be spent on one question.
struct Budget {
    signatures: usize,
    octets: usize,
    tried: HashSet<Attempt>,
}

impl Budget {
    fn new() -> Self {
        Self { signatures: MAXIMUM_SIGNATURES, octets: MAXIMUM_TEXT, tried: HashSet::new() }
    }

    /// Whether this attempt is new and may be paid for; it is paid for then. Writing a text that was tried before has
    /// its price too.
    fn allows(&mut self, attempt: &Attempt) -> bool {
        if self.is_spent() {
            return false;
        }
        self.octets = self.octets.saturating_sub(attempt.text.len() + COST_OF_A_TEXT);
        if !self.tried.insert(attempt.clone()) {
            return false;
        }
        self.signatures -= 1;
        true
    }

    const fn is_spent(&self) -> bool {
        self.signatures == 0 || self.octets == 0
    }
}

#[cfg(test)]
mod tests {
    use super::rebuilding::decode_freely;
    use super::*;
    use crate::protocol::base_string::SignatureBaseString;
    use crate::protocol::encoding::encode;
    use crate::protocol::request::{FORM_TYPE, Headers, Sent, UriScheme};
    use crate::protocol::signature::{RsaSigningKey, RsaVerificationKey, SharedSecrets, SigningKey, sign};
    use crate::time::Timestamp;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use hmac::{Hmac, KeyInit, Mac};
    use proptest::prelude::*;
    use rsa::pkcs8::{EncodePrivateKey, LineEnding};
    use sha1::Sha1;
    use sha2::Sha256;

    const SECRETS: SharedSecrets<'_> = SharedSecrets { client: "cl$ent-s3cret", token: "t0ken&s3cret" };
    const KEY: &str = "cl%24ent-s3cret&t0ken%26s3cret";
    const HEADER: &str = concat!(
        "OAuth realm=\"R s\", oauth_consumer_key=\"k\", oauth_token=\"t\", oauth_signature_method=\"HMAC-SHA1\", ",
        "oauth_timestamp=\"1\", oauth_nonce=\"n1\""
    );
    const OWN: &str =
        "oauth_consumer_key=k&oauth_nonce=n1&oauth_signature_method=HMAC-SHA1&oauth_timestamp=1&oauth_token=t";

    /// `POST https://API.example.com:8443/a%2fb/~x%20y?z=1&q=a%20b`, with the form `n=v+w&f=1`.
    fn request() -> ReceivedRequest<'static> {
        ReceivedRequest {
            method: "POST",
            scheme: UriScheme::Https,
            authority: "API.example.com:8443",
            path: "/a%2fb/~x%20y",
            query: Some("z=1&q=a%20b"),
            headers: Headers { authorization: Sent::Once(HEADER), content_type: Some(FORM_TYPE), ..Headers::default() },
            body: Some(b"n=v+w&f=1"),
            client_address: [127, 0, 0, 1].into(),
            arrived: Timestamp::from_unix(0),
        }
    }

    const URI: &str = "https://api.example.com:8443/a%2fb/~x%20y";

    fn list() -> String {
        format!("f=1&n=v%20w&{OWN}&q=a%20b&z=1")
    }

    fn base(method: &str, uri: &str, list: &str) -> String {
        format!("{method}&{}&{}", encode(uri), encode(list))
    }

    fn mac(key: &str, text: &str) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }

    fn mac256(key: &str, text: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }

    fn diagnosed(request: &ReceivedRequest<'_>, method: SignatureMethod, presented: &str) -> Diagnosis {
        let parameters = Parameters::collect(request).unwrap();
        let key = VerificationKey::Shared(SECRETS);
        diagnose(request, &parameters, method, key, presented, &[SECRETS.client, SECRETS.token])
    }

    /// The words for a request that was signed with this base string and key.
    fn found(request: &ReceivedRequest<'_>, text: &str, key: &str) -> Vec<Mistake> {
        let diagnosis = diagnosed(request, SignatureMethod::HmacSha1, &mac(key, text));
        match &diagnosis.finding {
            Finding::Mistakes(mistakes) => {
                assert_eq!(diagnosis.signed.as_deref(), Some(text));
                mistakes.clone()
            }
            Finding::Right | Finding::Unknown | Finding::BodyUnseen => Vec::new(),
        }
    }

    #[test]
    fn a_right_signature_is_called_right_and_a_strange_one_unknown() {
        let text = base("POST", URI, &list());
        let right = diagnosed(&request(), SignatureMethod::HmacSha1, &mac(KEY, &text));
        assert_eq!((right.finding, right.expected.as_deref()), (Finding::Right, Some(text.as_str())));
        let unknown = diagnosed(&request(), SignatureMethod::HmacSha1, &mac("other&secret", &text));
        assert_eq!((unknown.finding, unknown.signed), (Finding::Unknown, None));
    }

    #[test]
    fn each_mistake_in_the_base_string_is_recognized() {
        use Mistake::*;
        let list = list();
        for (mistake, method, uri, list) in [
            (QueryParametersLeftOut, "POST", URI, format!("f=1&n=v%20w&{OWN}")),
            (QueryParametersLeftOut, "POST", "https://api.example.com:8443/a%2fb/~x%20y?z=1&q=a%20b", format!("f=1&n=v%20w&{OWN}")),
            (BodyParametersLeftOut, "POST", URI, format!("{OWN}&q=a%20b&z=1")),
            (DoubleEncoded, "POST", URI, list.replace('%', "%25")),
            (DoubleEncoded, "POST", URI, encode(&list).into_owned()),
            (SpaceAsPlus, "POST", URI, list.replace("%20", "+")),
            (SpaceAsPlus, "POST", URI, list.replace("%20", "%2B")),
            (HttpScheme, "POST", "http://api.example.com:8443/a%2fb/~x%20y", list.clone()),
            (PortLeftOut, "POST", "https://api.example.com/a%2fb/~x%20y", list.clone()),
            (HostCase, "POST", "https://API.example.com:8443/a%2fb/~x%20y", list.clone()),
            (MethodLowerCase, "post", URI, list.clone()),
            (MethodLowerCase, "Post", URI, list.clone()),
            (ParametersUnsorted, "POST", URI, "oauth_consumer_key=k&oauth_token=t&oauth_signature_method=HMAC-SHA1&oauth_timestamp=1&oauth_nonce=n1&z=1&q=a%20b&n=v%20w&f=1".to_owned()),
            (ParametersUnsorted, "POST", URI, "n=v%20w&f=1&z=1&q=a%20b&oauth_consumer_key=k&oauth_token=t&oauth_signature_method=HMAC-SHA1&oauth_timestamp=1&oauth_nonce=n1".to_owned()),
            (RealmIncluded, "POST", URI, list.replace("&z=1", "&realm=R%20s&z=1")),
            (PathReencoded, "POST", "https://api.example.com:8443/a%2Fb/~x%20y", list.clone()),
            (PathReencoded, "POST", "https://api.example.com:8443/a/b/~x y", list.clone()),
            (PathReencoded, "POST", "https://api.example.com:8443/a%252fb/~x%2520y", list.clone()),
            (ParametersNotEncoded, "POST", URI, list.replace("%20", " ")),
            (OtherMethod, "GET", URI, list.clone()),
            (OtherMethod, "PATCH", URI, list.clone()),
            (TrailingSlash, "POST", "https://api.example.com:8443/a%2fb/~x%20y/", list.clone()),
            (PathPrefix, "POST", "https://api.example.com:8443/~x%20y", list.clone()),
            (PathPrefix, "POST", "https://api.example.com:8443/api/a%2fb/~x%20y", list.clone()),
            (ProtocolParametersDiffer, "POST", URI, list.replace("&oauth_token=t", "")),
            (ProtocolParametersDiffer, "POST", URI, list.replace("oauth_nonce=n1&", "")),
            (ProtocolParametersDiffer, "POST", URI, list.replace("=t&q", "=t&oauth_version=1.0&q")),
        ] {
            assert_eq!(found(&request(), &base(method, uri, &list), KEY), [mistake], "{method} {uri} {list}");
        }
    }

    #[test]
    fn each_mistake_in_the_key_is_recognized_and_the_base_strings_agree() {
        let text = base("POST", URI, &list());
        for (mistake, key) in [
            (Mistake::TokenSecretMissing, "cl%24ent-s3cret&"),
            (Mistake::TokenSecretMissing, "cl%24ent-s3cret"),
            (Mistake::SecretNotEncoded, "cl$ent-s3cret&t0ken&s3cret"),
            (Mistake::SecretsSwapped, "t0ken%26s3cret&cl%24ent-s3cret"),
            (Mistake::AmpersandMissing, "cl%24ent-s3crett0ken%26s3cret"),
            (Mistake::SecretNotTrimmed, "cl%24ent-s3cret%0A&t0ken%26s3cret"),
            (Mistake::SecretNotTrimmed, "cl%24ent-s3cret&t0ken%26s3cret%20"),
            (Mistake::SecretNotTrimmed, "%22cl%24ent-s3cret%22&%22t0ken%26s3cret%22"),
        ] {
            let diagnosis = diagnosed(&request(), SignatureMethod::HmacSha1, &mac(key, &text));
            assert_eq!(diagnosis.finding, Finding::Mistakes(vec![mistake]), "{key}");
            assert_eq!((diagnosis.expected, diagnosis.first_difference), (diagnosis.signed, None));
        }
    }

    #[test]
    fn what_an_encoder_does_otherwise_is_recognized() {
        use Mistake::*;
        let request =
            ReceivedRequest { query: Some("q=~%2A%21%28&u=a%3Ab%C3%A4"), path: "/p", body: None, ..request() };
        let list = |query: &str| format!("{OWN}&{query}");
        let uri = "https://api.example.com:8443/p";
        let right = base("POST", uri, &list("q=~%2A%21%28&u=a%3Ab%C3%A4"));
        let of = |query: &str| base("POST", uri, &list(query));
        for (mistake, text) in [
            (CharactersWronglyEncoded, of("q=%7E%2A%21%28&u=a%3Ab%C3%A4")),
            (CharactersWronglyEncoded, of("q=~*!(&u=a%3Ab%C3%A4")),
            (CharactersWronglyEncoded, of("q=~*!(&u=a%3Ab%C3%A4").replace("%2A%21%28", "*!(")),
            (CharactersWronglyEncoded, of("q=%7E*%21%28&u=a%3Ab%C3%A4").replace("%2A", "*")),
            (EscapesLowerCase, of("q=~%2a%21%28&u=a%3ab%c3%a4")),
            (EscapesLowerCase, right.replace("%3A", "%3a").replace("%3D", "%3d").replace("%2F", "%2f")),
            (
                EscapesLowerCase,
                of("q=~%2a%21%28&u=a%3ab%c3%a4").replace("%3A", "%3a").replace("%3D", "%3d").replace("%2F", "%2f"),
            ),
            (NotUtf8, of("q=~%2A%21%28&u=a%3Ab%E4")),
            (NotUtf8, of("q=~%2A%21%28&u=a%3Ab%C3%83%C2%A4")),
            (BaseStringNotEncoded, format!("POST&{uri}&{}", list("q=~%2A%21%28&u=a%3Ab%C3%A4"))),
            (BaseStringNotEncoded, format!("POST&{uri}&{}", encode(&list("q=~%2A%21%28&u=a%3Ab%C3%A4")))),
            (BaseStringNotEncoded, format!("POST&{}&{}", encode(uri), list("q=~%2A%21%28&u=a%3Ab%C3%A4"))),
        ] {
            assert_eq!(found(&request, &text, KEY), [mistake], "{text}");
        }
        let latin1 = ReceivedRequest { query: Some("q=%E4"), ..request };
        assert_eq!(found(&latin1, &of("q=%C3%A4"), KEY), [NotUtf8]);
        // Where there is no space, none was signed as a plus.
        let tilde = ReceivedRequest { query: Some("q=~"), ..request };
        assert_eq!(found(&tilde, &of("q=%7E"), KEY), [CharactersWronglyEncoded]);
        let both = ReceivedRequest { query: Some("q=~%20%3A"), ..request };
        assert_eq!(found(&both, &of("q=%7E+%3A"), KEY), [SpaceAsPlus]);
        assert_eq!(found(&both, &of("q=~+%3a"), KEY), [SpaceAsPlus, EscapesLowerCase]);
    }

    #[test]
    fn parameters_that_repeat_or_are_empty_are_signed_too() {
        use Mistake::*;
        let request = ReceivedRequest { query: Some("q=2&e=&q=1&f"), body: None, ..request() };
        for (mistake, list) in [
            (RepeatedParametersMerged, format!("e=&f=&{OWN}&q=1")),
            (RepeatedParametersMerged, format!("e=&f=&{OWN}&q=2")),
            (RepeatedParametersMerged, format!("e=&f=&{OWN}&q=2%2C1")),
            (EmptyParametersLeftOut, format!("{OWN}&q=1&q=2")),
            (EmptyParametersLeftOut, format!("e&f&{OWN}&q=1&q=2")),
        ] {
            assert_eq!(found(&request, &base("POST", URI, &list), KEY), [mistake], "{list}");
        }
    }

    #[test]
    fn a_slash_that_was_sent_and_a_path_of_one_segment_are_recognized() {
        let of = |path: &'static str| ReceivedRequest { path, authority: "h", ..request() };
        for (path, signed, mistake) in [
            ("/p/", "/p", Mistake::TrailingSlash),
            ("/", "", Mistake::TrailingSlash),
            ("/api/p", "/p", Mistake::PathPrefix),
            ("/api", "/", Mistake::PathPrefix),
        ] {
            let text = base("POST", &format!("https://h{signed}"), &list());
            assert_eq!(found(&of(path), &text, KEY), [mistake], "{path}");
        }
    }

    #[test]
    fn the_address_that_a_request_was_sent_to_is_recognized_where_the_server_is_known_by_another() {
        let headers = Headers { host: Some("LocalHost:8080"), ..request().headers };
        let request = ReceivedRequest { path: "/p", headers, ..request() };
        for scheme in ["http", "https"] {
            let text = base("POST", &format!("{scheme}://localhost:8080/p"), &list());
            assert_eq!(found(&request, &text, KEY), [Mistake::OtherOrigin], "{scheme}");
        }
    }

    #[test]
    fn a_signature_in_another_form_is_explained_as_if_it_were_in_the_right_one() {
        use Mistake::*;
        let right = base("POST", URI, &list());
        let hex =
            |mac: &str| STANDARD.decode(mac).unwrap().iter().map(|octet| format!("{octet:02x}")).collect::<String>();
        let of = |presented: &str| diagnosed(&request(), SignatureMethod::HmacSha1, presented);
        let signature = mac(KEY, &right);
        for (presented, mistake) in [
            (hex(&signature), SignatureInHex),
            (STANDARD.encode(hex(&signature)), SignatureInHex),
            (signature.trim_end_matches('=').to_owned(), SignatureNotBase64),
            ("PLAINTEXT".to_owned(), SignatureLengthWrong),
            ("no base64!".to_owned(), SignatureNotBase64),
            (signature[..20].to_owned(), SignatureLengthWrong),
            (signature[..21].to_owned(), SignatureLengthWrong),
            (signature[..23].to_owned(), SignatureLengthWrong),
            (String::new(), SignatureLengthWrong),
            (KEY.to_owned(), OtherSignatureMethod),
            (STANDARD.encode([0; 256]), OtherSignatureMethod),
            (mac256(KEY, &right), OtherSignatureMethod),
            (mac256("other&secret", &right), OtherSignatureMethod),
        ] {
            let told = of(&presented).finding;
            let Finding::Mistakes(mistakes) = told else { panic!("{presented}: {told:?}") };
            assert!(mistakes.last() == Some(&mistake), "{presented}: {mistakes:?}");
        }
        // And what else is wrong is found behind it.
        let text = right.replace("https", "http");
        assert_eq!(of(&hex(&mac(KEY, &text))).finding, Finding::Mistakes(vec![SignatureInHex, HttpScheme]));
        let told = of(&mac256(KEY, &text));
        assert_eq!(told.finding, Finding::Mistakes(vec![OtherSignatureMethod, HttpScheme]));
        assert_eq!(told.signed, Some(text));
        // In the alphabet of addresses: one with both letters in it.
        let url = |number: i32| mac(KEY, &format!("POST&{number}"));
        let presented = (0..).map(url).find(|made| made.contains('+') && made.contains('/')).unwrap();
        let presented = presented.replace('+', "-").replace('/', "_");
        assert_eq!(of(&presented).finding, Finding::Mistakes(vec![SignatureNotBase64]));
    }

    #[test]
    fn the_beginning_of_a_right_signature_is_told_nothing_but_its_length() {
        let signature = mac(KEY, &base("POST", URI, &list()));
        let octets = STANDARD.decode(&signature).unwrap();
        let of = |octets: &[u8]| diagnosed(&request(), SignatureMethod::HmacSha1, &STANDARD.encode(octets));
        assert_eq!(of(&octets[..19]), of(&[7; 19]));
        assert_eq!(of(&octets[..1]), of(&[octets[0] ^ 1]));
    }

    #[test]
    fn the_default_port_must_not_be_signed() {
        let request = ReceivedRequest { authority: "api.example.com", ..request() };
        let text = base("POST", "https://api.example.com:443/a%2fb/~x%20y", &list());
        assert_eq!(found(&request, &text, KEY), [Mistake::PortIncluded]);
    }

    #[test]
    fn a_body_that_is_no_form_must_not_be_signed() {
        let of = |content_type: &'static str, body: &'static str| ReceivedRequest {
            headers: Headers { content_type: Some(content_type), ..request().headers },
            body: Some(body.as_bytes()),
            ..request()
        };
        let json = r#"{"name":"a b","count":3,"on":true}"#;
        let multipart = "--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\na b\r\n--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n...\r\n--x--\r\n";
        for (content_type, body, list) in [
            ("text/plain", "name=a+b", format!("name=a%20b&{OWN}&q=a%20b&z=1")),
            ("application/json", json, format!("count=3&name=a%20b&{OWN}&on=true&q=a%20b&z=1")),
            ("application/json", json, format!("{}=&{OWN}&q=a%20b&z=1", encode(json))),
            ("multipart/form-data; boundary=x", multipart, format!("name=a%20b&{OWN}&q=a%20b&z=1")),
        ] {
            let text = base("POST", URI, &list);
            assert_eq!(found(&of(content_type, body), &text, KEY), [Mistake::BodyWronglyIncluded], "{list}");
        }
    }

    #[test]
    fn parameters_that_stand_in_the_header_as_well_are_signed_twice() {
        let header = format!("{HEADER}, q=\"a%20b\"");
        let request = ReceivedRequest {
            headers: Headers { authorization: Sent::Once(&header), ..request().headers },
            ..request()
        };
        let text = base("POST", URI, &list());
        assert_eq!(found(&request, &text, KEY), [Mistake::ParametersRepeatedInHeader]);
    }

    #[test]
    fn a_signature_that_was_spoilt_on_its_way_is_recognized() {
        let text = base("POST", URI, &list());
        // One with + and / in it: the nonce of the request stays, so the path is varied.
        let (request, signature) = ('a'..='z')
            .map(|letter| format!("{URI}/{letter}"))
            .map(|uri| {
                (
                    uri.strip_prefix("https://api.example.com:8443").unwrap().to_owned(),
                    text.replace(&*encode(URI), &encode(&uri)),
                )
            })
            .map(|(path, text)| (path, mac(KEY, &text)))
            .find(|(_, signature)| signature.contains('+'))
            .unwrap();
        let request = ReceivedRequest { path: &request, ..self::request() };
        let of = |presented: &str| diagnosed(&request, SignatureMethod::HmacSha1, presented).finding;
        assert_eq!(of(&signature), Finding::Right);
        assert_eq!(of(&encode(&signature)), Finding::Mistakes(vec![Mistake::DoubleEncoded]));
        assert_eq!(of(&signature.replace('+', " ")), Finding::Mistakes(vec![Mistake::SignatureNotEncoded]));
    }

    #[test]
    fn two_mistakes_at_once_are_recognized() {
        use Mistake::*;
        let text = base("POST", "http://api.example.com/a%2fb/~x%20y", &list());
        assert_eq!(found(&request(), &text, KEY), [HttpScheme, PortLeftOut]);
        let text = base("POST", URI, &format!("{OWN}&q=a%20b&z=1"));
        assert_eq!(found(&request(), &text, "cl%24ent-s3cret&"), [TokenSecretMissing, BodyParametersLeftOut]);
        let text = base("POST", URI, &format!("f=1&n=v+w&{OWN}"));
        assert_eq!(found(&request(), &text, KEY), [QueryParametersLeftOut, SpaceAsPlus]);
    }

    #[test]
    fn two_mistakes_in_the_key_at_once_are_recognized() {
        use Mistake::*;
        let text = base("POST", URI, &list());
        for (key, mistakes) in [
            ("cl$ent-s3cret", [TokenSecretMissing, SecretNotEncoded]),
            ("cl$ent-s3cret&", [TokenSecretMissing, SecretNotEncoded]),
            ("t0ken&s3cret&cl$ent-s3cret", [SecretNotEncoded, SecretsSwapped]),
            ("&cl%24ent-s3cret", [TokenSecretMissing, SecretsSwapped]),
        ] {
            assert_eq!(found(&request(), &text, key), mistakes, "{key}");
        }
    }

    #[test]
    fn two_mistakes_in_the_spelling_at_once_are_recognized() {
        use Mistake::*;
        let request = ReceivedRequest { query: Some("q=a%20b%2Fc"), ..request() };
        for (query, mistakes) in
            [("q=a+b/c", [SpaceAsPlus, ParametersNotEncoded]), ("q=a%2Bb%252Fc", [DoubleEncoded, SpaceAsPlus])]
        {
            let form = if mistakes[0] == DoubleEncoded { "v%2Bw" } else { "v+w" };
            let text = base("POST", URI, &format!("f=1&n={form}&{OWN}&{query}"));
            assert_eq!(found(&request, &text, KEY), mistakes, "{query}");
        }
    }

    #[test]
    fn a_body_that_must_not_be_signed_is_spelled_in_every_way() {
        use Mistake::*;
        let json = r#"{"name":"a b","sum":"1+1"}"#;
        let multipart = "--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\na b\r\n--x--\r\n";
        for (content_type, body, list, mistake) in [
            ("application/json", json, format!("name=a+b&{OWN}&q=a+b&sum=1%2B1&z=1"), SpaceAsPlus),
            ("application/json", json, format!("name=a b&{OWN}&q=a b&sum=1+1&z=1"), ParametersNotEncoded),
            ("multipart/form-data; boundary=x", multipart, format!("name=a+b&{OWN}&q=a+b&z=1"), SpaceAsPlus),
            ("text/plain", "name=a+b", format!("name=a+b&{OWN}&q=a+b&z=1"), SpaceAsPlus),
            ("text/plain", "name=a%2Bb", format!("name=a+b&{OWN}&q=a b&z=1"), ParametersNotEncoded),
            ("text/plain", "name=a%2Bb", format!("name=a%252Bb&{OWN}&q=a%2520b&z=1"), DoubleEncoded),
        ] {
            let request = ReceivedRequest {
                headers: Headers { content_type: Some(content_type), ..request().headers },
                body: Some(body.as_bytes()),
                ..request()
            };
            let text = base("POST", URI, &list);
            assert_eq!(found(&request, &text, KEY), [BodyWronglyIncluded, mistake], "{list}");
        }
    }

    #[test]
    fn a_mistake_that_shows_only_beside_another_is_recognized() {
        use Mistake::*;
        let request = ReceivedRequest { authority: "api.example.com:443", ..request() };
        let text = base("POST", "http://api.example.com/a%2fb/~x%20y", &list());
        assert_eq!(found(&request, &text, KEY), [HttpScheme, PortLeftOut]);
        let request = ReceivedRequest { authority: "api.example.com:80", ..request };
        let text = base("POST", "http://api.example.com:80/a%2fb/~x%20y", &list());
        assert_eq!(found(&request, &text, KEY), [HttpScheme, PortIncluded]);
        // The realm is the only thing here with a space in it.
        let request = ReceivedRequest { query: None, body: None, ..request };
        let text = base("POST", "https://api.example.com:80/a%2fb/~x%20y", &format!("{OWN}&realm=R+s"));
        assert_eq!(found(&request, &text, KEY), [SpaceAsPlus, RealmIncluded]);
    }

    #[test]
    fn a_body_hash_of_another_body_is_recognized_under_a_good_signature() {
        let json = |body: Option<&'static str>| ReceivedRequest {
            headers: Headers {
                authorization: Sent::Once(concat!(
                    "OAuth oauth_consumer_key=\"k\", oauth_token=\"t\", oauth_signature_method=\"HMAC-SHA1\", ",
                    "oauth_timestamp=\"1\", oauth_nonce=\"n1\", oauth_body_hash=\"Lve95gjOVATpfV8EL5X4nxwjKHE%3D\""
                )),
                content_type: Some("text/plain"),
                ..request().headers
            },
            body: body.map(str::as_bytes),
            ..request()
        };
        let list = |hash: &str| format!("oauth_body_hash={}&{OWN}&q=a%20b&z=1", encode(hash));
        let text = base("POST", URI, &list("Lve95gjOVATpfV8EL5X4nxwjKHE="));
        let of = |body| diagnosed(&json(body), SignatureMethod::HmacSha1, &mac(KEY, &text));
        assert_eq!((of(Some("Hello World!")).finding, of(None).finding), (Finding::Right, Finding::Right));
        let wrong = of(Some(""));
        assert_eq!(wrong.finding, Finding::Mistakes(vec![Mistake::BodyHashWrong]));
        assert_eq!(wrong.expected, Some(base("POST", URI, &list("2jmj7l5rSw0yVb/vlWAYkK/YBwk="))));
        assert_eq!((wrong.signed.as_ref(), wrong.first_difference.is_some()), (Some(&text), true));
    }

    #[test]
    fn a_body_that_nobody_saw_is_not_taken_for_a_wrong_secret() {
        let request = ReceivedRequest { body: None, ..request() };
        let json = Headers { content_type: Some("application/json"), ..request.headers };
        let of = |headers| {
            diagnosed(&ReceivedRequest { headers, ..request }, SignatureMethod::HmacSha1, &mac("other&secret", ""))
                .finding
        };
        assert_eq!(of(json), Finding::BodyUnseen);
        assert_eq!(of(Headers { content_type: None, ..json }), Finding::Unknown);
    }

    #[test]
    fn both_base_strings_and_the_first_difference_are_told() {
        let text = base("POST", "http://api.example.com:8443/a%2fb/~x%20y", &list());
        let diagnosis = diagnosed(&request(), SignatureMethod::HmacSha1, &mac(KEY, &text));
        assert_eq!(diagnosis.first_difference, Some("POST&http".len()));
        assert_eq!(diagnosis.expected, Some(base("POST", URI, &list())));
        assert_eq!(diagnosis.signed, Some(text));
        assert_eq!(diagnosis.sentence(), Mistake::HttpScheme.advice());
    }

    #[test]
    fn plaintext_shows_no_base_string() {
        for (presented, finding) in [
            (KEY, Finding::Right),
            ("cl%24ent-s3cret&", Finding::Mistakes(vec![Mistake::TokenSecretMissing])),
            ("cl$ent-s3cret&t0ken&s3cret", Finding::Mistakes(vec![Mistake::SecretNotEncoded])),
            ("t0ken%26s3cret&cl%24ent-s3cret", Finding::Mistakes(vec![Mistake::SecretsSwapped])),
            ("cl%2524ent-s3cret%26t0ken%2526s3cret", Finding::Mistakes(vec![Mistake::DoubleEncoded])),
            ("wrong&wrong", Finding::Unknown),
        ] {
            let diagnosis = diagnosed(&request(), SignatureMethod::Plaintext, presented);
            let silent = Diagnosis { finding, expected: None, signed: None, first_difference: None, rsa_key: None };
            assert_eq!(diagnosis, silent, "{presented}");
        }
    }

    #[test]
    fn a_client_without_a_secret_is_never_called_right() {
        let secrets = SharedSecrets { client: "", token: "" };
        let parameters = Parameters::collect(&request()).unwrap();
        let presented = mac("&", &base("POST", URI, &list()));
        let key = VerificationKey::Shared(secrets);
        for (method, presented) in [(SignatureMethod::HmacSha1, presented.as_str()), (SignatureMethod::Plaintext, "&")]
        {
            let diagnosis = diagnose(&request(), &parameters, method, key, presented, &[]);
            assert_eq!(diagnosis.finding, Finding::Unknown, "{method}");
        }
    }

    #[test]
    fn an_rsa_signature_is_explained_by_verifying() {
        let file = include_str!("../../tests/vectors/signature-methods.json");
        let file: serde_json::Value = serde_json::from_str(file).unwrap();
        let pem = |name: &str| file["vectors"][0][name][0].as_str().unwrap().to_owned();
        let private = RsaSigningKey::from_pem(&pem("private_keys")).unwrap();
        let public = RsaVerificationKey::from_pem(&pem("public_keys")).unwrap();
        let text = base("POST", "https://api.example.com/a%2fb/~x%20y", &format!("{OWN}&q=a%20b&z=1"));
        let signed = SignatureBaseString::of_text(text.clone());
        let presented = sign(SignatureMethod::RsaSha256, &signed, &SigningKey::Rsa(&private)).unwrap();
        let parameters = Parameters::collect(&request()).unwrap();
        let key = VerificationKey::Rsa(&public);
        let diagnosis = diagnose(&request(), &parameters, SignatureMethod::RsaSha256, key, &presented, &[]);
        assert_eq!(diagnosis.signed, Some(text));
        assert_eq!(diagnosis.finding, Finding::Mistakes(vec![Mistake::BodyParametersLeftOut, Mistake::PortLeftOut]));
    }

    #[test]
    fn an_rsa_signature_tells_by_which_key_and_hash_it_was_made() {
        let private = RsaSigningKey::from_pem(
            &rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap().to_pkcs8_pem(LineEnding::LF).unwrap(),
        )
        .unwrap();
        let other = RsaSigningKey::from_pem(
            &rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap().to_pkcs8_pem(LineEnding::LF).unwrap(),
        )
        .unwrap();
        let public = private.verification_key().unwrap();
        let right = base("POST", URI, &list());
        let made = |method, text: &str, private| {
            sign(method, &SignatureBaseString::of_text(text.to_owned()), &SigningKey::Rsa(private)).unwrap()
        };
        let told = |presented: &str| {
            let parameters = Parameters::collect(&request()).unwrap();
            diagnose(&request(), &parameters, SignatureMethod::RsaSha1, VerificationKey::Rsa(&public), presented, &[])
        };
        let of = |presented: &str| told(presented).finding;
        let signature = made(SignatureMethod::RsaSha1, &right, &private);
        assert_eq!(of(&signature), Finding::Right);
        let strange = told(&made(SignatureMethod::RsaSha1, "GET&else&where", &private));
        assert_eq!(strange.finding, Finding::Unknown);
        assert!(strange.sentence().starts_with("The private key is the right one"), "{}", strange.sentence());
        let other_key = told(&made(SignatureMethod::RsaSha1, &right, &other));
        assert_eq!(other_key.finding, Finding::Mistakes(vec![Mistake::OtherRsaKey]));
        assert!(other_key.sentence().contains(public.fingerprint()) && !other_key.sentence().contains("secret"));
        for method in [SignatureMethod::RsaSha256, SignatureMethod::RsaSha512] {
            let presented = made(method, &right, &private);
            assert_eq!(of(&presented), Finding::Mistakes(vec![Mistake::OtherSignatureMethod]), "{method}");
        }
        let text = right.replace("https", "http");
        assert_eq!(
            of(&made(SignatureMethod::RsaSha256, &text, &private)),
            Finding::Mistakes(vec![Mistake::OtherSignatureMethod, Mistake::HttpScheme])
        );
        for (presented, mistake) in [
            (signature[..300].to_owned(), Mistake::SignatureLengthWrong),
            (mac(KEY, &right), Mistake::OtherSignatureMethod),
            (STANDARD.encode([1; 512]), Mistake::OtherRsaKey),
            (signature.trim_end_matches('=').to_owned(), Mistake::SignatureNotBase64),
        ] {
            assert_eq!(of(&presented), Finding::Mistakes(vec![mistake]), "{presented}");
        }
    }

    #[test]
    fn a_secret_that_was_sent_as_a_parameter_is_struck_out() {
        let query = "client_secret=cl%24ent-s3cret&double=t0ken%2526s3cret&plus=x";
        let request = ReceivedRequest { query: Some(query), ..request() };
        let shown = diagnosed(&request, SignatureMethod::HmacSha1, "").expected.unwrap();
        assert!(shown.contains("client_secret%3D***%26double%3D***%26"), "{shown}");
    }

    #[test]
    fn of_two_secrets_of_which_one_is_a_part_of_the_other_nothing_stays() {
        let shown = without_secrets("long=one-and-more&short=one", &["one", "one-and-more"]);
        assert_eq!(shown.as_deref(), Some("long=***&short=***"));
    }

    #[test]
    fn a_secret_that_could_still_be_read_keeps_the_base_string_back() {
        // Needlessly escaped inside a value: no spelling of the secret, but it decodes to it.
        let query = "x=cl%2524ent%252Ds3cret";
        let request = ReceivedRequest { query: Some(query), ..request() };
        assert_eq!(diagnosed(&request, SignatureMethod::HmacSha1, "").expected, None);
        let lower = ReceivedRequest { query: Some("x=t0ken%2526s3%2563ret"), ..request };
        assert_eq!(diagnosed(&lower, SignatureMethod::HmacSha1, "").expected, None);
    }

    #[test]
    fn a_secret_in_another_character_set_is_no_less_one() {
        let client = "gehe\u{ef}m\u{e4}s";
        for query in ["x=gehe%EFm%E4s", "x=gehe%C3%AFm%C3%A4s", "x=gehe%C3%83%C2%AFm%C3%83%C2%A4s"] {
            let request = ReceivedRequest { query: Some(query), body: None, ..request() };
            let parameters = Parameters::collect(&request).unwrap();
            for charset in [ways::Charset::AsSent, ways::Charset::Other, ways::Charset::Twice] {
                let key = VerificationKey::Shared(SharedSecrets { client, token: "" });
                let (method, presented) = (SignatureMethod::HmacSha1, "");
                let evidence = Evidence { request: &request, parameters: &parameters, method, key, presented };
                let text = evidence.rebuild(&Recipe { charset, ..Recipe::default() }).text;
                let shown = without_secrets(&text, &[client]);
                assert!(shown.is_none_or(|text| text.contains("***")), "{text}");
            }
        }
    }

    #[test]
    fn no_more_is_computed_than_the_budget_allows() {
        // So much can go wrong here that not every pair can be tried.
        let header = format!("{HEADER}, q=\"a%20b\", oauth_callback=\"http%3A%2F%2Fh%2F\"");
        let headers = Headers { authorization: Sent::Once(&header), ..request().headers };
        let request = ReceivedRequest { headers, query: Some("z=1&q=a%20b&q=~&Q=*&q%21=%2a"), ..request() };
        let parameters = Parameters::collect(&request).unwrap();
        let (method, key, presented) = (SignatureMethod::HmacSha1, VerificationKey::Shared(SECRETS), "");
        let evidence = Evidence { request: &request, parameters: &parameters, method, key, presented };
        let right = evidence.rebuild(&Recipe::default());
        let made = Made::Mac(method, mac("other&secret", ""));
        let mut budget = Budget::new();
        assert!(evidence.search(&made, &right, &mut budget).is_none());
        assert_eq!((budget.signatures, budget.tried.len()), (0, MAXIMUM_SIGNATURES));
        // The text that is written has its price too, also when it was tried before.
        let mut budget = Budget { octets: 3 * (right.text.len() + COST_OF_A_TEXT), ..Budget::new() };
        assert!(budget.allows(&right) && !budget.allows(&right));
        assert!(evidence.search(&made, &right, &mut budget).is_none());
        assert!(budget.is_spent() && budget.tried.len() <= 3);
    }

    #[test]
    fn each_two_of_the_commonest_mistakes_are_recognized_in_a_request_where_much_can_go_wrong() {
        use Mistake::*;
        let request = request();
        let parameters = Parameters::collect(&request).unwrap();
        let (method, key) = (SignatureMethod::HmacSha1, VerificationKey::Shared(SECRETS));
        let evidence = Evidence { request: &request, parameters: &parameters, method, key, presented: "" };
        let common = [
            TokenSecretMissing,
            SecretNotEncoded,
            SecretsSwapped,
            QueryParametersLeftOut,
            BodyParametersLeftOut,
            HttpScheme,
            PortLeftOut,
            DoubleEncoded,
            SpaceAsPlus,
            MethodLowerCase,
            EscapesLowerCase,
            TrailingSlash,
            ParametersNotEncoded,
            OtherMethod,
            HostCase,
        ];
        let way = |wanted: Mistake| WAYS.iter().find(|(mistake, _)| *mistake == wanted).unwrap().1;
        for (position, one) in common.into_iter().enumerate() {
            for other in common.into_iter().skip(position + 1) {
                let attempt = evidence.rebuild(&Recipe::spoilt(&[way(one), way(other)]));
                let told = diagnosed(&request, method, &mac(&attempt.key, &attempt.text));
                assert!(matches!(&told.finding, Finding::Mistakes(_)), "{one} and {other}: {:?}", told.finding);
            }
        }
    }

    #[test]
    fn every_word_has_its_own_advice() {
        let words: HashSet<_> = Mistake::ALL.map(Mistake::as_str).into_iter().collect();
        let advice: HashSet<_> = Mistake::ALL.map(Mistake::advice).into_iter().collect();
        assert_eq!((words.len(), advice.len()), (38, 38));
        let tried: HashSet<_> = WAYS.iter().map(|(mistake, _)| *mistake).collect();
        let untried: Vec<_> = Mistake::ALL.into_iter().filter(|mistake| !tried.contains(mistake)).collect();
        let seen = [
            Mistake::BodyHashWrong,
            Mistake::SignatureInHex,
            Mistake::SignatureNotBase64,
            Mistake::SignatureLengthWrong,
            Mistake::OtherSignatureMethod,
            Mistake::OtherRsaKey,
        ];
        assert_eq!(untried, seen, "which are looked at, and not tried");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_request_makes_it_panic_or_tell_a_secret(
            method in "[A-Za-z]{0,6}", authority in "\\PC{0,12}", path in "\\PC{0,20}", query in "\\PC{0,30}",
            body: Vec<u8>, header in "\\PC{0,30}", presented in "\\PC{0,40}", client in "[a-z$ +%]{1,3}",
        ) {
            let header = format!("OAuth {header}");
            let request = ReceivedRequest {
                method: &method, authority: &authority, path: &path, query: Some(&query), body: Some(&body),
                headers: Headers { authorization: Sent::Once(&header), ..request().headers },
                ..request()
            };
            if let Ok(parameters) = Parameters::collect(&request) {
                let key = VerificationKey::Shared(SharedSecrets { client: &client, token: "" });
                let diagnosis = diagnose(&request, &parameters, SignatureMethod::HmacSha1, key, &presented, &[&client]);
                for text in diagnosis.expected.iter().chain(&diagnosis.signed) {
                    prop_assert!(!text.contains(&client) && !decode_freely(text).contains(&client), "{}", text);
                }
            }
        }
    }
}
