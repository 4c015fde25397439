use base64::prelude::*;
use hmac::{Hmac, KeyInit, Mac};
use std::time::{SystemTime, UNIX_EPOCH};
use {{rust_hash}};

const CLIENT_KEY: &str = {{client_key}};
const CLIENT_SECRET: &str = {{client_secret}};
const TOKEN: &str = {{token}};
const TOKEN_SECRET: &str = {{token_secret}};

fn encode(text: &str) -> String {
    text.bytes()
        .map(|octet| match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(octet).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// The Authorization header of a request. `parameters`: decoded pairs of its query and form body.
fn authorization(method: &str, address: &str, parameters: &[(&str, &str)]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    let mut oauth = vec![
        ("oauth_consumer_key", CLIENT_KEY.to_string()),
        ("oauth_nonce", format!("{:x}{:x}", now.as_nanos(), std::process::id())),
        ("oauth_signature_method", "{{method}}".to_string()),
        ("oauth_timestamp", now.as_secs().to_string()),
        ("oauth_token", TOKEN.to_string()),
    ];
    let mut pairs: Vec<(String, String)> = oauth.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    pairs.extend(parameters.iter().map(|(name, value)| (encode(name), encode(value))));
    pairs.sort();
    let normalized = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let base = format!("{method}&{}&{}", encode(address), encode(&normalized));
    let key = format!("{}&{}", encode(CLIENT_SECRET), encode(TOKEN_SECRET));
    let mut mac = Hmac::<{{rust_type}}>::new_from_slice(key.as_bytes()).expect("any key length will do");
    mac.update(base.as_bytes());
    oauth.push(("oauth_signature", BASE64_STANDARD.encode(mac.finalize().into_bytes())));
    let fields: Vec<String> = oauth.iter().map(|(name, value)| format!("{name}=\"{}\"", encode(value))).collect();
    format!("OAuth {}", fields.join(", "))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = {{url}};
    let mut answer = ureq::get(url).header("Authorization", authorization("GET", url, &[])).call()?;
    println!("{}", answer.body_mut().read_to_string()?);
    Ok(())
}
