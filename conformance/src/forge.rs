//! Rewrites a JSON Web Token as attackers do (RFC 8725 §2). It never makes a token that an honest server should take.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::case::{Forge, Forgery};

/// The forged token; `Err` says why the given one can't be taken apart.
pub fn forge(token: &str, step: &Forge) -> Result<String, String> {
    let parts: Vec<&str> = token.split('.').collect();
    let [head, claims, signature] = parts.as_slice() else {
        return Err(format!("the token has {} parts and not three", parts.len()));
    };
    let open = |part: &str| -> Result<Map<String, Value>, String> {
        let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|e| format!("the token is no base64url: {e}"))?;
        serde_json::from_slice(&bytes).map_err(|e| format!("the token holds no JSON object: {e}"))
    };
    let close = |map: Map<String, Value>| URL_SAFE_NO_PAD.encode(Value::Object(map).to_string());
    let value = || serde_json::from_str::<Value>(&step.value).map_err(|e| format!("`value` is no JSON: {e}"));
    let with_algorithm = |name: &str| -> Result<String, String> {
        let mut map = open(head)?;
        map.insert("alg".into(), json!(name));
        Ok(close(map))
    };
    let bytes = || URL_SAFE_NO_PAD.decode(signature).map_err(|e| format!("the signature is no base64url: {e}"));
    Ok(match step.how {
        Forgery::AlgNone => format!("{}.{claims}.", with_algorithm("none")?),
        Forgery::AlgNoneMixedCase => format!("{}.{claims}.", with_algorithm("nOnE")?),
        Forgery::Unsigned => format!("{head}.{claims}."),
        Forgery::SignatureChanged => {
            let mut bytes = bytes()?;
            if let Some(first) = bytes.first_mut() {
                *first ^= 1;
            }
            format!("{head}.{claims}.{}", URL_SAFE_NO_PAD.encode(bytes))
        }
        Forgery::SignatureZero => format!("{head}.{claims}.{}", URL_SAFE_NO_PAD.encode(vec![0; bytes()?.len()])),
        Forgery::Claim => {
            let mut map = open(claims)?;
            map.insert(step.claim.clone(), value()?);
            format!("{head}.{}.{signature}", close(map))
        }
        Forgery::Header => {
            let mut map = open(head)?;
            map.insert(step.claim.clone(), value()?);
            format!("{}.{claims}.{signature}", close(map))
        }
        Forgery::HmacWithKey => {
            let signed = format!("{}.{claims}", with_algorithm("HS256")?);
            let mac = Hmac::<Sha256>::new_from_slice(step.key.as_bytes()).map_err(|e| e.to_string())?;
            let tag = mac.chain_update(&signed).finalize().into_bytes();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
        }
        Forgery::FourParts => format!("{token}.{signature}"),
        Forgery::PayloadOnly => (*claims).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(how: Forgery) -> Forge {
        Forge {
            of: String::new(),
            how,
            claim: "sub".into(),
            value: "\"x\"".into(),
            key: "k".into(),
            save: String::new(),
        }
    }

    #[test]
    fn every_forgery_differs_from_the_token() {
        let token = format!(
            "{}.{}.AAAA",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#),
            URL_SAFE_NO_PAD.encode(r#"{"sub":"a"}"#)
        );
        for how in [
            Forgery::AlgNone,
            Forgery::AlgNoneMixedCase,
            Forgery::Unsigned,
            Forgery::SignatureChanged,
            Forgery::Claim,
            Forgery::Header,
            Forgery::HmacWithKey,
            Forgery::FourParts,
            Forgery::PayloadOnly,
        ] {
            assert_ne!(forge(&token, &step(how)).unwrap(), token, "{how:?}");
        }
    }

    #[test]
    fn what_is_no_token_is_told() {
        for token in ["", "a.b", "!.!.!", "AAAA.AAAA.AAAA"] {
            assert!(forge(token, &step(Forgery::AlgNone)).is_err(), "{token}");
        }
    }
}
