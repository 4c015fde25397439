//! A whole request to its base string: three parts, each in the one spelling of RFC 5849 §3.6.
#![no_main]

use countersign::protocol::base_string::SignatureBaseString;
use countersign::protocol::encoding::is_unreserved;
use countersign::protocol::parameters::Parameters;
use countersign::protocol::request::{Headers, ReceivedRequest, Sent, UriScheme};
use countersign::time::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut pieces = data.splitn(6, |octet| *octet == b'\n');
    let mut text = || String::from_utf8_lossy(pieces.next().unwrap_or_default()).into_owned();
    let (method, authority, path, query, header, body) = (text(), text(), text(), text(), text(), text());
    let request = ReceivedRequest {
        method: &method,
        scheme: UriScheme::Https,
        authority: &authority,
        path: &path,
        query: Some(&query),
        headers: Headers {
            authorization: Sent::Once(&header),
            content_type: Some("application/x-www-form-urlencoded"),
            ..Headers::default()
        },
        body: Some(body.as_bytes()),
        client_address: [127, 0, 0, 1].into(),
        arrived: Timestamp::from_unix(0),
    };
    let Ok(parameters) = Parameters::collect(&request) else { return };
    let base_string = SignatureBaseString::of(&request, &parameters);
    let parts: Vec<&str> = base_string.as_str().split('&').collect();
    assert_eq!(parts.len(), 3);
    assert!(parts.iter().all(|part| part.bytes().all(|octet| is_unreserved(octet) || octet == b'%')));
});
