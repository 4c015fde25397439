//! The cases and what the standards say, read from `cases/*.toml`, which are part of the program.
//!
//! Everything that can be wrong with a case file is found here, before the first request: unknown keys, words that no judge
//! knows, an id given twice, a section that nobody explains.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::case::{Case, Step};
use crate::judge::{Check, Expectation};

const FILES: &[(&str, &str)] = &[
    ("signatures", include_str!("../cases/signatures.toml")),
    ("parameters", include_str!("../cases/parameters.toml")),
    ("transmissions", include_str!("../cases/transmissions.toml")),
    ("malformed", include_str!("../cases/malformed.toml")),
    ("replay", include_str!("../cases/replay.toml")),
    ("flow", include_str!("../cases/flow.toml")),
    ("callbacks", include_str!("../cases/callbacks.toml")),
    ("verifiers", include_str!("../cases/verifiers.toml")),
    ("tokens", include_str!("../cases/tokens.toml")),
    ("methods", include_str!("../cases/methods.toml")),
    ("body-hash", include_str!("../cases/body-hash.toml")),
    ("problems", include_str!("../cases/problems.toml")),
    ("consent", include_str!("../cases/consent.toml")),
    ("basic", include_str!("../cases/basic.toml")),
    ("digest", include_str!("../cases/digest.toml")),
    ("jwt", include_str!("../cases/jwt.toml")),
    ("races", include_str!("../cases/races.toml")),
];
const SECTIONS: &str = include_str!("../cases/sections.toml");

/// A section of a standard, told in our own words.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// As cases name it: `RFC 5849 §3.2`.
    pub id: String,
    /// Its subject.
    pub title: String,
    /// What it asks for.
    pub says: String,
}

/// Everything the suite can run.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// The cases in the order of their files.
    pub cases: Vec<Case>,
    /// The sections in the order of reports.
    pub sections: Vec<Section>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SectionFile {
    section: Vec<Section>,
}

/// The features that a target may claim, and what each means.
pub const FEATURES: &[(&str, &str)] = &[
    ("named-host", "its address has letters in the host"),
    ("encoded-secrets", "the main client's secret holds characters that have to be encoded"),
    ("colon-password", "the main account's password holds a colon"),
    ("callback-with-query", "the main client's callback has the query `app=1`"),
    ("hmac-sha1", "signs with HMAC-SHA1"),
    ("hmac-sha256", "signs with HMAC-SHA256"),
    ("hmac-sha512", "signs with HMAC-SHA512"),
    ("rsa-sha1", "signs with RSA-SHA1; the main client has an RSA key"),
    ("rsa-sha256", "signs with RSA-SHA256"),
    ("rsa-sha512", "signs with RSA-SHA512"),
    ("plaintext", "takes PLAINTEXT at the target's address"),
    ("plaintext-bare", "takes PLAINTEXT without timestamp and nonce"),
    ("two-legged", "takes requests with client credentials alone at the resource"),
    ("any-method", "answers the resource to every method, with forms and other bodies"),
    ("subpaths", "answers paths below the resource, at `endpoints.below`"),
    ("get-endpoints", "takes GET at the token endpoints"),
    ("oob", "shows the verifier when there is no callback"),
    ("registered-callbacks", "compares callbacks with registered ones"),
    ("loopback-ports", "takes any port on a loopback callback"),
    ("revocation", "has the endpoint `revoke`"),
    ("scopes", "knows scopes: `value.scope` is one that the main client has, `value.scope_beyond` one that it has not"),
    ("body-hash", "checks `oauth_body_hash`"),
    ("problem-reporting", "tells problems in the words of the extension"),
    ("basic", "takes Basic with an account's password"),
    ("client-key", "wants a client key beside a password, in the header that `value.client_key_header` names"),
    ("api-keys", "takes API keys by Basic"),
    ("digest", "takes Digest"),
    ("digest-md5", "takes Digest with MD5"),
    ("digest-auth-int", "takes Digest with the body hashed"),
    ("digest-userhash", "takes hashed user names with Digest"),
    ("jwt", "issues JSON Web Tokens at `endpoints.jwt`"),
    ("jwks", "publishes its keys at `endpoints.jwks`"),
    ("login-pages", "has login and consent pages that the suite can walk"),
];

impl Catalogue {
    /// The cases that are part of the program. `Err` names file and mistake.
    pub fn built_in() -> Result<Catalogue, String> {
        Catalogue::read(FILES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    /// The cases of a folder, for those who write their own.
    pub fn from_folder(folder: &Path) -> Result<Catalogue, String> {
        let told = |e: std::io::Error| format!("{}: {e}", folder.display());
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(folder).map_err(told)? {
            let path = entry.map_err(told)?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if path.extension().is_some_and(|e| e == "toml") && name != "sections" {
                files.insert(name, std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?);
            }
        }
        Catalogue::read(files.into_iter().collect())
    }

    fn read(files: Vec<(String, String)>) -> Result<Catalogue, String> {
        let sections: SectionFile = toml::from_str(SECTIONS).map_err(|e| format!("sections: {e}"))?;
        let mut cases = Vec::new();
        for (name, text) in files {
            let file: CaseFile = toml::from_str(&text).map_err(|e| format!("{name}: {e}"))?;
            cases.extend(file.case);
        }
        let catalogue = Catalogue { cases, sections: sections.section };
        catalogue.check()?;
        Ok(catalogue)
    }

    fn check(&self) -> Result<(), String> {
        let sections: BTreeSet<&str> = self.sections.iter().map(|s| s.id.as_str()).collect();
        let mut ids = BTreeSet::new();
        for case in &self.cases {
            let wrong = |why: String| Err(format!("case {}: {why}", case.id));
            if !ids.insert(&case.id) {
                return wrong("there are two of this id".into());
            }
            if !sections.contains(case.rfc.as_str()) {
                return wrong(format!("nobody explains `{}`", case.rfc));
            }
            if let Some(unknown) = case.needs.iter().find(|n| !FEATURES.iter().any(|(f, _)| f == n)) {
                return wrong(format!("no feature is called `{unknown}`"));
            }
            if case.steps.is_empty() {
                return wrong("it has no steps".into());
            }
            let mut judged = false;
            for (number, table) in case.steps.iter().enumerate() {
                let at = |why: String| format!("case {}, step {}: {why}", case.id, number + 1);
                let step = Step::read(table).map_err(at)?;
                let (expectations, checks) = step.judged();
                for expectation in expectations {
                    Expectation::parse(expectation).map_err(at)?;
                }
                for check in checks {
                    Check::parse(check).map_err(at)?;
                }
                judged |= !expectations.is_empty() || !checks.is_empty() || table.contains_key("winners");
            }
            if !judged {
                return wrong("nothing in it can fail".into());
            }
        }
        Ok(())
    }

    /// What the standard asks for in a case, in our own words.
    pub fn says<'a>(&'a self, case: &'a Case) -> &'a str {
        let section = self.sections.iter().find(|s| s.id == case.rfc);
        case.says.as_deref().unwrap_or_else(|| section.map_or("", |s| s.says.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_cases_are_sound_and_at_least_250() {
        let catalogue = Catalogue::built_in().unwrap();
        assert!(catalogue.cases.len() >= 250, "{}", catalogue.cases.len());
    }

    #[test]
    fn no_two_cases_do_the_same() {
        let catalogue = Catalogue::built_in().unwrap();
        let mut seen = BTreeMap::new();
        for case in &catalogue.cases {
            if let Some(twin) = seen.insert(format!("{:?}", case.steps), &case.id) {
                panic!("{} and {twin} are the same", case.id);
            }
        }
    }

    #[test]
    fn every_variable_is_a_filled_in_or_saved_one() {
        let catalogue = Catalogue::built_in().unwrap();
        for case in &catalogue.cases {
            let mut known: BTreeSet<String> = [
                "token",
                "nonce",
                "random",
                "basic",
                "host",
                "path",
                "address",
                "client",
                "account",
                "api_key",
                "value",
                "endpoints",
            ]
            .map(str::to_owned)
            .into();
            for step in &case.steps {
                let text = toml::to_string(step).unwrap();
                for name in crate::variables::names(&text) {
                    let head = name.split(['.', ':', '+', '-']).next().unwrap_or_default();
                    assert!(known.contains(head) || head == "now" || head == "repeat", "case {}: ${{{name}}}", case.id);
                }
                match step.get("save") {
                    Some(toml::Value::String(name)) => drop(known.insert(name.clone())),
                    Some(toml::Value::Table(names)) => known.extend(names.keys().cloned()),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn every_feature_and_section_is_used() {
        let catalogue = Catalogue::built_in().unwrap();
        for (feature, _) in FEATURES {
            assert!(catalogue.cases.iter().any(|c| c.needs.iter().any(|n| n == feature)), "{feature}");
        }
        for section in &catalogue.sections {
            assert!(catalogue.cases.iter().any(|c| c.rfc == section.id), "{}", section.id);
        }
    }

    #[test]
    fn a_case_that_cannot_fail_is_refused() {
        let text =
            |steps: &str| format!("[[case]]\nid='a'\ntitle='t'\nrfc='RFC 5849 §3.2'\nlevel='MUST'\nsteps=[{steps}]");
        let read = |steps: &str| Catalogue::read(vec![("f".into(), text(steps))]).map(|_| ());
        assert!(read("{query='a=1', expect='accepted'}").is_ok());
        assert!(read("{query='a=1'}").unwrap_err().contains("fail"));
        assert!(read("{expect='acepted'}").unwrap_err().contains("acepted"));
        assert!(read("{check=['bdy is x']}").unwrap_err().contains("bdy"));
    }
}
