//! `oauth_body_hash`: what makes a body that is no form part of the signature (OAuth Request Body Hash 1.0).
//!
//! The parameter itself is signed like any other; here it is only made and compared with the octets that arrived.
//! Whether a route insists on it is decided above.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::request::ReceivedRequest;
use super::signature::SignatureMethod;

/// What the `oauth_body_hash` of a request says about its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyHash {
    /// None was sent.
    Absent,
    /// It is the hash of the octets that arrived.
    Right,
    /// It is the hash of something else.
    Wrong,
    /// The body is a form: its parameters are signed already, and the extension forbids a hash.
    OnForm,
    /// The body was not read, so nothing can be said.
    Unread,
}

/// The base64 of the body's hash: SHA-1, or the hash of the newer methods. No body is an empty one.
///
/// ```
/// use countersign::protocol::{body_hash::body_hash, signature::SignatureMethod};
/// assert_eq!(body_hash(SignatureMethod::HmacSha1, b"Hello World!"), "Lve95gjOVATpfV8EL5X4nxwjKHE=");
/// ```
pub fn body_hash(method: SignatureMethod, body: &[u8]) -> String {
    STANDARD.encode(method.hash_of(body))
}

/// Compares `presented`, the decoded `oauth_body_hash`, with the body of `request`.
///
/// SHA-1 is taken beside every method: the draft knows no other hash, and oauthlib writes it with HMAC-SHA256 too. An
/// empty body is none, whatever its content type.
pub fn check(method: SignatureMethod, presented: Option<&str>, request: &ReceivedRequest<'_>) -> BodyHash {
    let Some(presented) = presented else { return BodyHash::Absent };
    let Some(body) = request.body else { return BodyHash::Unread };
    if request.has_form_type() && !body.is_empty() {
        return BodyHash::OnForm;
    }
    if presented == body_hash(method, body) || presented == body_hash(SignatureMethod::HmacSha1, body) {
        BodyHash::Right
    } else {
        BodyHash::Wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::{FORM_TYPE, Headers, UriScheme};
    use crate::time::Timestamp;

    const SHA1_OF_NOTHING: &str = "2jmj7l5rSw0yVb/vlWAYkK/YBwk=";

    fn checked(method: SignatureMethod, hash: &str, content_type: &str, body: Option<&[u8]>) -> BodyHash {
        let request = ReceivedRequest {
            method: "POST",
            scheme: UriScheme::Https,
            authority: "example.com",
            path: "/",
            query: None,
            headers: Headers { content_type: Some(content_type), ..Headers::default() },
            body,
            client_address: [127, 0, 0, 1].into(),
            arrived: Timestamp::from_unix(0),
        };
        check(method, Some(hash), &request)
    }

    #[test]
    fn the_hash_is_that_of_the_signature_method() {
        for method in SignatureMethod::ALL {
            let hash = body_hash(method, b"{}");
            assert_eq!(checked(method, &hash, "application/json", Some(b"{}")), BodyHash::Right, "{method}");
            assert_eq!(checked(method, &hash, "application/json", Some(b"{} ")), BodyHash::Wrong, "{method}");
        }
        let sha256 = body_hash(SignatureMethod::HmacSha256, b"{}");
        assert_eq!(checked(SignatureMethod::HmacSha1, &sha256, "application/json", Some(b"{}")), BodyHash::Wrong);
    }

    #[test]
    fn sha1_is_taken_beside_the_newer_methods() {
        let sha1 = body_hash(SignatureMethod::HmacSha1, b"{}");
        assert_eq!(checked(SignatureMethod::RsaSha512, &sha1, "application/json", Some(b"{}")), BodyHash::Right);
    }

    #[test]
    fn an_empty_body_has_a_hash_also_under_a_form_content_type() {
        assert_eq!(checked(SignatureMethod::HmacSha1, SHA1_OF_NOTHING, FORM_TYPE, Some(b"")), BodyHash::Right);
        assert_eq!(checked(SignatureMethod::HmacSha1, "", FORM_TYPE, Some(b"")), BodyHash::Wrong);
    }

    #[test]
    fn a_form_carries_no_hash_and_an_unread_body_has_none_to_compare() {
        let hash = body_hash(SignatureMethod::HmacSha1, b"a=1");
        assert_eq!(checked(SignatureMethod::HmacSha1, &hash, FORM_TYPE, Some(b"a=1")), BodyHash::OnForm);
        assert_eq!(checked(SignatureMethod::HmacSha1, &hash, FORM_TYPE, None), BodyHash::Unread);
    }
}
