//! Which known client mistake makes the signature that failed: the answer to "signature invalid".
//!
//! It puts the base string (RFC 5849 §3.4.1) and the key (§3.4.2) together as clients do that err in a known way, one
//! way at a time and then two, until one of them makes the signature that was presented. It finds out *how* a client
//! signed and admits nobody: no proof comes from here. It shows no secret, neither one that it was given nor one that
//! the client put into its request by mistake. The cost is bounded; how often it may be asked is decided above.
//!
//! In reading order: the mistakes by name, the ways in which they are made, what each way comes to, and what may be
//! shown of it. The search among them is here.

mod mistakes;
mod ways;
mod rebuilding;
mod redaction;

use std::collections::HashSet;

use super::base_string::SignatureBaseString;
use super::body_hash::{self, BodyHash};
use super::oauth::BODY_HASH;
use super::parameters::Parameters;
use super::request::ReceivedRequest;
use super::signature::{SharedSecrets, SignatureMethod, VerificationKey, reproduces, verify};
pub use mistakes::Mistake;
use rebuilding::{Attempt, Evidence};
pub use redaction::without_secrets;
use ways::{Recipe, WAYS, Way, likeliest_pairs};

/// The most signatures that are computed for one question.
pub const MAXIMUM_SIGNATURES: usize = 400;
/// The most RSA signatures that are checked for one question, each some 20 µs.
pub const MAXIMUM_RSA_SIGNATURES: usize = 100;
/// The most octets of base strings that are written for one question.
const MAXIMUM_TEXT: usize = 4 * 1024 * 1024;

/// What was found out about a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is right: there is nothing to explain.
    Right,
    /// These mistakes together, one or two, make it.
    Mistakes(Vec<Mistake>),
    /// None of the known ones makes it: most likely a secret is another one.
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
}

impl Diagnosis {
    /// The finding for people.
    pub fn sentence(&self) -> String {
        match &self.finding {
            Finding::Right => "The signature is right.".to_owned(),
            Finding::Mistakes(mistakes) => mistakes.iter().map(|mistake| mistake.advice()).collect::<Vec<_>>().join(" "),
            Finding::BodyUnseen => {
                "None of the known mistakes makes this signature, but the body was not seen here: leave a body that is no form out of the signature, then compare the base string with your own.".to_owned()
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
/// a client that signs with RSA or was given a new secret may send any of its secrets by mistake. At most [`MAXIMUM_SIGNATURES`] signatures are computed
/// (RSA: [`MAXIMUM_RSA_SIGNATURES`] checked).
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
    let found = match key {
        // With the empty secret of a client that has none, anybody's signature would seem right.
        VerificationKey::Shared(SharedSecrets { client: "", token: _ }) => None,
        VerificationKey::Shared(_) | VerificationKey::Rsa(_) => evidence.search(&right, &mut Budget::new(method)),
    };
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
        None if request.body.is_none() && request.headers.content_type.is_some() => {
            (Finding::BodyUnseen, show(&right), None)
        }
        None => (Finding::Unknown, show(&right), None),
        Some((mistakes, _)) if mistakes.is_empty() && evidence.body_hash() == BodyHash::Wrong => {
            let expected = evidence.rebuild(&Recipe { right_body_hash: true, ..Recipe::default() });
            (Finding::Mistakes(vec![Mistake::BodyHashWrong]), show(&expected), show(&right))
        }
        Some((mistakes, _)) if mistakes.is_empty() => (Finding::Right, show(&right), show(&right)),
        Some((mistakes, attempt)) => (Finding::Mistakes(mistakes), show(&right), show(&attempt)),
    };
    let first_difference = expected.as_deref().zip(signed.as_deref()).and_then(|(one, other)| differ_at(one, other));
    Diagnosis { finding, expected, signed, first_difference }
}

fn differ_at(one: &str, other: &str) -> Option<usize> {
    let same = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    (one != other).then_some(same)
}

impl Evidence<'_> {
    /// The mistakes that make the signature, none if it is right, and what they come to.
    fn search(&self, right: &Attempt, budget: &mut Budget) -> Option<(Vec<Mistake>, Attempt)> {
        if budget.allows(right) && self.holds(right) {
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
            if changes && self.holds(&attempt) {
                return Some((vec![*mistake], attempt));
            }
            tried.push(((*mistake, *spoil), changes));
        }
        for ((first, spoil_first), (second, spoil_second)) in likeliest_pairs(&tried) {
            if budget.is_spent() {
                return None;
            }
            let attempt = self.rebuild(&Recipe::spoilt(&[spoil_first, spoil_second]));
            if budget.allows(&attempt) && self.holds(&attempt) {
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

    fn holds(&self, attempt: &Attempt) -> bool {
        match self.key {
            VerificationKey::Shared(_) => reproduces(self.method, &attempt.text, &attempt.key, &attempt.presented),
            VerificationKey::Rsa(_) => {
                let text = SignatureBaseString::of_text(attempt.text.clone());
                verify(self.method, &text, self.key, &attempt.presented).is_ok()
            }
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
    fn new(method: SignatureMethod) -> Self {
        let signatures = if method.is_rsa() { MAXIMUM_RSA_SIGNATURES } else { MAXIMUM_SIGNATURES };
        Self { signatures, octets: MAXIMUM_TEXT, tried: HashSet::new() }
    }

    /// Whether this attempt is new and may be paid for; it is paid for then. Writing a text that was tried before has
    /// its price too.
    fn allows(&mut self, attempt: &Attempt) -> bool {
        if self.is_spent() {
            return false;
        }
        self.octets = self.octets.saturating_sub(attempt.text.len());
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
    use crate::protocol::encoding::encode;
    use crate::protocol::request::{Headers, Sent, UriScheme};
    use crate::protocol::signature::{RsaSigningKey, RsaVerificationKey, SigningKey, sign};
    use crate::time::Timestamp;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use hmac::{Hmac, KeyInit, Mac};
    use proptest::prelude::*;
    use sha1::Sha1;

    const SECRETS: SharedSecrets<'_> = SharedSecrets { client: "cl$ent-s3cret", token: "t0ken&s3cret" };
    const KEY: &str = "cl%24ent-s3cret&t0ken%26s3cret";
    const HEADER: &str = concat!(
        "OAuth realm=\"R s\", oauth_consumer_key=\"k\", oauth_token=\"t\", oauth_signature_method=\"HMAC-SHA1\", ",
        "oauth_timestamp=\"1\", oauth_nonce=\"n1\""
    );
    const OWN: &str =
        "oauth_consumer_key=k&oauth_nonce=n1&oauth_signature_method=HMAC-SHA1&oauth_timestamp=1&oauth_token=t";
    const FORM: &str = "application/x-www-form-urlencoded";

    /// `POST https://API.example.com:8443/a%2fb/~x%20y?z=1&q=a%20b`, with the form `n=v+w&f=1`.
    fn request() -> ReceivedRequest<'static> {
        ReceivedRequest {
            method: "POST",
            scheme: UriScheme::Https,
            authority: "API.example.com:8443",
            path: "/a%2fb/~x%20y",
            query: Some("z=1&q=a%20b"),
            headers: Headers { authorization: Sent::Once(HEADER), content_type: Some(FORM), ..Headers::default() },
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
        ] {
            let diagnosis = diagnosed(&request(), SignatureMethod::HmacSha1, &mac(key, &text));
            assert_eq!(diagnosis.finding, Finding::Mistakes(vec![mistake]), "{key}");
            assert_eq!((diagnosis.expected, diagnosis.first_difference), (diagnosis.signed, None));
        }
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
        let of =
            |headers| diagnosed(&ReceivedRequest { headers, ..request }, SignatureMethod::HmacSha1, "AAAA").finding;
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
            let silent = Diagnosis { finding, expected: None, signed: None, first_difference: None };
            assert_eq!(diagnosis, silent, "{presented}");
        }
    }

    #[test]
    fn a_client_without_a_secret_is_never_called_right() {
        let secrets = SharedSecrets { client: "", token: "" };
        let parameters = Parameters::collect(&request()).unwrap();
        let presented = mac("&", &base("POST", URI, &list()));
        let key = VerificationKey::Shared(secrets);
        let diagnosis = diagnose(&request(), &parameters, SignatureMethod::HmacSha1, key, &presented, &[]);
        assert_eq!(diagnosis.finding, Finding::Unknown);
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
    fn no_more_is_computed_than_the_budget_allows() {
        // So much can go wrong here that not every pair can be tried.
        let header = format!("{HEADER}, q=\"a%20b\", oauth_callback=\"http%3A%2F%2Fh%2F\"");
        let headers = Headers { authorization: Sent::Once(&header), ..request().headers };
        let request = ReceivedRequest { headers, query: Some("z=1&q=a%20b&q=~&Q=*&q%21=%2a"), ..request() };
        let parameters = Parameters::collect(&request).unwrap();
        let (method, key, presented) = (SignatureMethod::HmacSha1, VerificationKey::Shared(SECRETS), "A%41 AA");
        let evidence = Evidence { request: &request, parameters: &parameters, method, key, presented };
        let right = evidence.rebuild(&Recipe::default());
        let mut budget = Budget::new(method);
        assert!(evidence.search(&right, &mut budget).is_none());
        assert_eq!((budget.signatures, budget.tried.len()), (0, MAXIMUM_SIGNATURES));
        // The text that is written has its price too, also when it was tried before.
        let mut budget = Budget { octets: 3 * right.text.len(), ..Budget::new(method) };
        assert!(budget.allows(&right) && !budget.allows(&right));
        assert!(evidence.search(&right, &mut budget).is_none());
        assert!(budget.is_spent() && budget.tried.len() <= 3);
    }

    #[test]
    fn every_word_has_its_own_advice() {
        let words: HashSet<_> = Mistake::ALL.map(Mistake::as_str).into_iter().collect();
        let advice: HashSet<_> = Mistake::ALL.map(Mistake::advice).into_iter().collect();
        assert_eq!((words.len(), advice.len()), (20, 20));
        let tried: HashSet<_> = WAYS.iter().map(|(mistake, _)| *mistake).collect();
        let untried: Vec<_> = Mistake::ALL.into_iter().filter(|mistake| !tried.contains(mistake)).collect();
        assert_eq!(untried, [Mistake::BodyHashWrong], "which is looked at, and not tried");
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
