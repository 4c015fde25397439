//! Samples in nine languages that call the API with a client's own keys and run as pasted.
//!
//! Each file under `samples/` is a program with places in double braces. A value goes in as a string literal of its
//! language, so nothing that a key or secret holds can end the string. HMAC only: an RSA key never leaves its owner.

use crate::domain::client::SignatureMethods;
use crate::protocol::signature::SignatureMethod;

/// What a sample is filled with.
pub struct SampleValues<'a> {
    pub client_key: &'a str,
    pub client_secret: &'a str,
    pub token: &'a str,
    pub token_secret: &'a str,
    /// The whole address that it calls, without a query.
    pub url: &'a str,
    pub method: SampleMethod,
}

/// A signature method that the samples can show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SampleMethod {
    Sha1,
    Sha256,
    Sha512,
}

impl SampleMethod {
    /// The best HMAC that the client may use; `None` if it may use none.
    pub fn of(methods: SignatureMethods) -> Option<Self> {
        [
            (SignatureMethod::HmacSha256, Self::Sha256),
            (SignatureMethod::HmacSha512, Self::Sha512),
            (SignatureMethod::HmacSha1, Self::Sha1),
        ]
        .into_iter()
        .find_map(|(method, shown)| methods.admits(method).then_some(shown))
    }

    /// The places that depend on the hash, and what stands there.
    const fn places(self) -> [(&'static str, &'static str); 7] {
        match self {
            Self::Sha1 => [
                ("{{method}}", "HMAC-SHA1"),
                ("{{hash}}", "sha1"),
                ("{{HASH}}", "SHA1"),
                ("{{go_package}}", "sha1"),
                ("{{go_hash}}", "sha1.New"),
                ("{{rust_hash}}", "sha1::Sha1"),
                ("{{rust_type}}", "Sha1"),
            ],
            Self::Sha256 => [
                ("{{method}}", "HMAC-SHA256"),
                ("{{hash}}", "sha256"),
                ("{{HASH}}", "SHA256"),
                ("{{go_package}}", "sha256"),
                ("{{go_hash}}", "sha256.New"),
                ("{{rust_hash}}", "sha2::Sha256"),
                ("{{rust_type}}", "Sha256"),
            ],
            Self::Sha512 => [
                ("{{method}}", "HMAC-SHA512"),
                ("{{hash}}", "sha512"),
                ("{{HASH}}", "SHA512"),
                ("{{go_package}}", "sha512"),
                ("{{go_hash}}", "sha512.New"),
                ("{{rust_hash}}", "sha2::Sha512"),
                ("{{rust_type}}", "Sha512"),
            ],
        }
    }
}

/// A sample, ready to be shown.
pub struct FilledSample {
    pub language: &'static str,
    /// What to save it as.
    pub file: &'static str,
    /// What to type then.
    pub run: &'static str,
    /// Ids of the elements that copy buttons copy.
    pub element: String,
    pub run_element: String,
    pub code: String,
}

struct Sample {
    id: &'static str,
    language: &'static str,
    file: &'static str,
    run: &'static str,
    code: &'static str,
    quoting: Quoting,
}

/// How a language writes a string that means exactly what it says.
#[derive(Clone, Copy)]
enum Quoting {
    /// `'…'`, and `'\''` for the quote.
    Shell,
    /// `'…'` with `\\` and `\'`.
    Single,
    /// `"…"` with `\\`, `\"` and escapes for control characters.
    Double,
}

const SAMPLES: [Sample; 9] = [
    Sample {
        id: "curl",
        language: "curl",
        file: "call.sh",
        run: "bash call.sh",
        code: include_str!("samples/curl.sh"),
        quoting: Quoting::Shell,
    },
    Sample {
        id: "python",
        language: "Python",
        file: "call.py",
        run: "python3 call.py",
        code: include_str!("samples/python.py"),
        quoting: Quoting::Double,
    },
    Sample {
        id: "node",
        language: "Node.js",
        file: "call.mjs",
        run: "node call.mjs",
        code: include_str!("samples/node.mjs"),
        quoting: Quoting::Double,
    },
    Sample {
        id: "php",
        language: "PHP",
        file: "call.php",
        run: "php call.php",
        code: include_str!("samples/php.php"),
        quoting: Quoting::Single,
    },
    Sample {
        id: "ruby",
        language: "Ruby",
        file: "call.rb",
        run: "ruby call.rb",
        code: include_str!("samples/ruby.rb"),
        quoting: Quoting::Single,
    },
    Sample {
        id: "perl",
        language: "Perl",
        file: "call.pl",
        run: "perl call.pl",
        code: include_str!("samples/perl.pl"),
        quoting: Quoting::Single,
    },
    Sample {
        id: "java",
        language: "Java",
        file: "Call.java",
        run: "java Call.java",
        code: include_str!("samples/Call.java"),
        quoting: Quoting::Double,
    },
    Sample {
        id: "go",
        language: "Go",
        file: "call.go",
        run: "go run call.go",
        code: include_str!("samples/go.go"),
        quoting: Quoting::Double,
    },
    Sample {
        id: "rust",
        language: "Rust",
        file: "src/main.rs",
        run: "cargo init --name call && cargo add base64@0.22 hmac@0.13 sha1@0.11 sha2@0.11 ureq@3 && cargo run",
        code: include_str!("samples/rust.rs"),
        quoting: Quoting::Double,
    },
];

/// All nine, filled in.
pub fn fill(values: &SampleValues<'_>) -> Vec<FilledSample> {
    SAMPLES.iter().map(|sample| sample.filled(values)).collect()
}

impl Sample {
    fn filled(&self, values: &SampleValues<'_>) -> FilledSample {
        let literals = [
            ("{{client_key}}", values.client_key),
            ("{{client_secret}}", values.client_secret),
            ("{{token}}", values.token),
            ("{{token_secret}}", values.token_secret),
            ("{{url}}", values.url),
        ];
        let literals = literals.map(|(place, value)| (place, self.quoting.literal(value)));
        let hashes = values.method.places();
        let mut code = String::with_capacity(self.code.len() + 256);
        let mut rest = self.code;
        // One pass from left to right, so that a value that looks like a place is left alone.
        while let Some(start) = rest.find("{{") {
            let (before, from) = rest.split_at(start);
            let found = literals.iter().map(|(place, value)| (*place, value.as_str())).chain(hashes);
            let (place, value) = found.into_iter().find(|(place, _)| from.starts_with(place)).unwrap_or(("{{", "{{"));
            code.push_str(before);
            code.push_str(value);
            rest = from.strip_prefix(place).unwrap_or_default();
        }
        code.push_str(rest);
        FilledSample {
            language: self.language,
            file: self.file,
            run: self.run,
            element: format!("sample-{}", self.id),
            run_element: format!("run-{}", self.id),
            code,
        }
    }
}

impl Quoting {
    fn literal(self, value: &str) -> String {
        match self {
            Self::Shell => format!("'{}'", value.replace('\'', r"'\''")),
            Self::Single => format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'")),
            Self::Double => {
                let mut literal = String::from('"');
                for letter in value.chars() {
                    match letter {
                        '"' | '\\' => literal.extend(['\\', letter]),
                        '\n' => literal.push_str("\\n"),
                        '\r' => literal.push_str("\\r"),
                        '\t' => literal.push_str("\\t"),
                        other => literal.push(other),
                    }
                }
                literal.push('"');
                literal
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(client_secret: &str) -> Vec<FilledSample> {
        fill(&SampleValues {
            client_key: "dpf43f3p2l4k3l03",
            client_secret,
            token: "nnch734d00sl2jdk",
            token_secret: "pfkkdhi9sl3r4s00",
            url: "https://photos.example.net/v2/me",
            method: SampleMethod::Sha256,
        })
    }

    #[test]
    fn every_sample_has_every_value_and_no_place_is_left() {
        for sample in filled("kd94hf93k423kf44") {
            for value in
                ["dpf43f3p2l4k3l03", "kd94hf93k423kf44", "nnch734d00sl2jdk", "pfkkdhi9sl3r4s00", "photos.example.net"]
            {
                assert!(sample.code.contains(value), "{} lacks {value}", sample.language);
            }
            assert!(!sample.code.contains("{{") || sample.language == "Go", "{}", sample.language);
        }
    }

    #[test]
    fn a_value_can_not_end_its_string() {
        let nasty = r#"a'b"c\d{{url}}$(id)#{1}"#;
        for sample in filled(nasty) {
            let expected = match sample.language {
                "curl" => r#"'a'\''b"c\d{{url}}$(id)#{1}'"#,
                "PHP" | "Ruby" | "Perl" => r#"'a\'b"c\\d{{url}}$(id)#{1}'"#,
                _ => r#""a'b\"c\\d{{url}}$(id)#{1}""#,
            };
            assert!(sample.code.contains(expected), "{}: {}", sample.language, sample.code);
        }
    }

    #[test]
    fn the_method_is_one_that_the_client_may_use() {
        assert_eq!(SampleMethod::of(SignatureMethods::ANY), Some(SampleMethod::Sha256));
        assert_eq!(SampleMethod::of(SignatureMethods::of([SignatureMethod::HmacSha1])), Some(SampleMethod::Sha1));
        assert_eq!(SampleMethod::of(SignatureMethods::of([SignatureMethod::RsaSha1])), None);
    }
}
