//! The diagnosis of any request: bounded, and no secret in what it says.
#![no_main]

use countersign::protocol::diagnosis::diagnose;
use countersign::protocol::parameters::Parameters;
use countersign::protocol::request::{Headers, ReceivedRequest, Sent, UriScheme};
use countersign::protocol::signature::{SharedSecrets, SignatureMethod, VerificationKey};
use countersign::time::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut pieces = data.splitn(8, |octet| *octet == b'\n');
    let mut text = || String::from_utf8_lossy(pieces.next().unwrap_or_default()).into_owned();
    let (method, authority, path, query) = (text(), text(), text(), text());
    let (header, content_type, secret, body) = (text(), text(), text(), text());
    let request = ReceivedRequest {
        method: &method,
        scheme: UriScheme::Http,
        authority: &authority,
        path: &path,
        query: Some(&query),
        headers: Headers {
            authorization: Sent::Once(&header),
            content_type: Some(&content_type),
            ..Headers::default()
        },
        body: Some(body.as_bytes()),
        client_address: [127, 0, 0, 1].into(),
        arrived: Timestamp::from_unix(0),
    };
    let Ok(parameters) = Parameters::collect(&request) else { return };
    let key = VerificationKey::Shared(SharedSecrets { client: &secret, token: "" });
    let diagnosis = diagnose(&request, &parameters, SignatureMethod::HmacSha256, key, "AAAA", &[&secret]);
    if !secret.is_empty() {
        assert!(diagnosis.expected.is_none_or(|text| !text.contains(&secret)));
    }
});
