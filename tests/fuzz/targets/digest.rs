//! Digest credentials and server nonces: nothing that a stranger sends is taken, and nothing panics.
#![no_main]

use countersign::protocol::digest::{DigestCredentials, DigestHash, Ha1};
use countersign::protocol::digest_nonce::NonceMint;
use countersign::protocol::header::Credentials;
use countersign::time::{Lifetime, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &str| {
    let mint = NonceMint::new(&[7; 32], [1; 8]);
    let now = Timestamp::from_unix(1_000_000);
    assert!(mint.read(header, now, Lifetime::from_seconds(300)).is_err());
    let Ok(credentials) = DigestCredentials::parse(&Credentials::parse(header)) else { return };
    assert!(credentials.count() > 0);
    for hash in DigestHash::ALL {
        let ha1 = Ha1::new(hash, "Mufasa", "http-auth@example.org", "a password that no example has");
        assert!(credentials.verify(&ha1, "GET", Some(b"")).is_err());
    }
});
