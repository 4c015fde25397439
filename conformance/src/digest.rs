//! The client's half of Digest access authentication (RFC 7616 §3.4), with the mistakes that cases ask for.

use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::case::{Digest, DigestMistake};
use crate::challenge::Challenge;

/// Writes the value of the Authorization header. `target` is the request target; `Err` says what the challenge lacks.
pub fn authorization(step: &Digest, challenge: &Challenge, target: &str, cnonce: &str) -> Result<String, String> {
    let wrong = |mistake| step.wrong.contains(&mistake);
    let get = |name: &str| challenge.get(name).ok_or_else(|| format!("the challenge has no `{name}`"));
    let realm = if wrong(DigestMistake::Realm) { "another realm" } else { get("realm")? };
    let nonce = if wrong(DigestMistake::Nonce) { "bm90IGEgbm9uY2Ugb2YgdGhpcyBzZXJ2ZXI=" } else { get("nonce")? };
    let algorithm = challenge.get("algorithm").unwrap_or("MD5");
    let uri = if wrong(DigestMistake::Uri) { "/some/other/path" } else { target };
    let nc = format!("{:08x}", step.nc);

    let hash = |text: &str| hash(algorithm, text);
    let session = step.algorithm.to_ascii_lowercase().ends_with("-sess");
    let mut secret = hash(&format!("{}:{realm}:{}", step.user, step.password));
    if session {
        secret = hash(&format!("{secret}:{nonce}:{cnonce}"));
    }
    let method = if wrong(DigestMistake::Method) { "" } else { &step.method };
    let mut asked = format!("{method}:{uri}");
    if step.qop == "auth-int" {
        asked = format!("{asked}:{}", hash(step.body.as_deref().unwrap_or_default()));
    }
    let asked = hash(&asked);
    let mut response = if step.qop.is_empty() {
        hash(&format!("{secret}:{nonce}:{asked}"))
    } else {
        hash(&format!("{secret}:{nonce}:{nc}:{cnonce}:{}:{asked}", step.qop))
    };
    if wrong(DigestMistake::Response) {
        let last = response.pop();
        response.push(if last == Some('0') { '1' } else { '0' });
    }

    let user = if wrong(DigestMistake::UserEmpty) {
        String::new()
    } else if step.userhash {
        hash(&format!("{}:{realm}", step.user))
    } else {
        step.user.replace('\\', "\\\\").replace('"', "\\\"")
    };
    let named = match (wrong(DigestMistake::AlgorithmNamed), algorithm) {
        (false, same) => {
            if session {
                &step.algorithm
            } else {
                same
            }
        }
        (true, "MD5") => "SHA-256",
        (true, _) => "MD5",
    };
    let mut parts = vec![
        format!("username=\"{user}\""),
        format!("realm=\"{realm}\""),
        format!("nonce=\"{nonce}\""),
        format!("uri=\"{uri}\""),
        format!("algorithm={named}"),
        format!("response=\"{response}\""),
    ];
    if !step.qop.is_empty() {
        parts.push(format!("qop={}", if wrong(DigestMistake::QopUnknown) { "auth-none" } else { &step.qop }));
        if !wrong(DigestMistake::NcLeftOut) {
            parts.push(format!("nc={nc}"));
        }
    }
    if (!step.qop.is_empty() || session) && !wrong(DigestMistake::CnonceLeftOut) {
        parts.push(format!("cnonce=\"{cnonce}\""));
    }
    if let (Some(opaque), false) = (challenge.get("opaque"), wrong(DigestMistake::OpaqueLeftOut)) {
        parts.push(format!("opaque=\"{opaque}\""));
    }
    if step.userhash {
        parts.push("userhash=true".to_owned());
    }
    Ok(format!("Digest {}", parts.join(", ")))
}

fn hash(algorithm: &str, text: &str) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
    if algorithm.to_ascii_uppercase().starts_with("SHA-256") {
        hex(&Sha256::digest(text))
    } else {
        hex(&Md5::digest(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(algorithm: &str) -> String {
        let challenge = Challenge {
            scheme: "Digest".into(),
            parameters: [
                ("realm", "http-auth@example.org"),
                ("algorithm", algorithm),
                ("nonce", "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"),
                ("opaque", "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"),
            ]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .into(),
        };
        let step = Digest {
            user: "Mufasa".into(),
            password: "Circle of Life".into(),
            algorithm: algorithm.into(),
            ..Digest::default()
        };
        authorization(&step, &challenge, "/dir/index.html", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ").unwrap()
    }

    #[test]
    fn the_examples_of_section_3_9_1_are_answered() {
        assert!(example("MD5").contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""));
        let answer = example("SHA-256");
        assert!(
            answer.contains("response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\""),
            "{answer}"
        );
    }
}
