//! `sign --explain`: what is wrong with the signature of a request that somebody pasted. Nothing is sent, and no server is asked.
//!
//! The same engine as in the signature inspector (`protocol/diagnosis.rs`) answers, in the same words.

use std::io::Read;
use std::path::Path;

use serde::Serialize;

use super::output::{self, Format};
use super::{Failure, file_text};
use crate::protocol::client::RequestUrl;
use crate::protocol::diagnosis::{Diagnosis, Finding, diagnose};
use crate::protocol::oauth::ProtocolParameters;
use crate::protocol::parameters::Parameters;
use crate::protocol::pasted::{self, Pasted, Unreadable};
use crate::protocol::request::UriScheme;
use crate::protocol::signature::{RsaVerificationKey, SharedSecrets, VerificationKey};
use crate::time::Timestamp;

/// What is asked about.
pub struct Question<'a> {
    /// Holds the request; `-` is stdin.
    pub file: &'a Path,
    /// Method and URL, where the file has only what follows them.
    pub line: Option<(&'a str, &'a str)>,
    /// For HMAC and PLAINTEXT.
    pub secrets: SharedSecrets<'a>,
    /// For RSA.
    pub rsa: Option<&'a RsaVerificationKey>,
    /// How clients know the server, if not as the request has it.
    pub public_url: Option<&'a str>,
}

/// The answer, as it is written.
#[derive(Serialize)]
struct Explanation {
    /// `right`, `mistakes`, `unknown` or `body-unseen`.
    finding: &'static str,
    /// By their words; none unless they are the finding.
    mistakes: Vec<&'static str>,
    /// The finding in a sentence.
    verdict: String,
    /// The base string that should have been signed; none for PLAINTEXT.
    expected: Option<String>,
    /// The one that was, as far as it was found out.
    signed: Option<String>,
    /// Characters that both share before they differ.
    first_difference: Option<usize>,
    /// The scheme that was taken for it, where neither the request nor `--public-url` says one.
    assumed_scheme: Option<&'static str>,
    /// What the question may lack, where no mistake was found.
    hint: Option<&'static str>,
}

/// Many a library signs the request for a token with the wrong secret; who asks here may just have left it out.
const NO_TOKEN_SECRET: &str =
    "The request names a token: its secret is part of the key. Give it by --token-secret or OAUTH_TOKEN_SECRET.";

/// Answers.
///
/// # Errors
/// [`Failure`]: the file can't be read or holds no signed request.
pub fn run(asked: &Question<'_>, format: Format, now: Timestamp) -> Result<(), Failure> {
    let text = if asked.file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text
    } else {
        file_text(asked.file)?
    };
    let text = match asked.line {
        Some((method, url)) => format!("{method} {url}\n{}", text.trim_start()),
        None => text,
    };
    let pasted = pasted::read(&text).map_err(|unreadable| {
        Failure::Refused(
            match unreadable {
                Unreadable::Form => {
                    "this is no request: give raw HTTP, a curl command, or METHOD and URL with the Authorization header"
                }
                Unreadable::NoAddress => "the request has no address: give METHOD and URL before --explain",
            }
            .to_owned(),
        )
    })?;
    let Seen { diagnosis, scheme, lacks_token_secret } = look_at(asked, &pasted, now)?;
    let is_assumed = asked.public_url.is_none() && pasted.scheme.is_none();
    let may_be_the_secret = matches!(diagnosis.finding, Finding::Unknown | Finding::Right);
    let hint = (lacks_token_secret && may_be_the_secret).then_some(NO_TOKEN_SECRET);
    let explanation = Explanation { hint, ..Explanation::of(diagnosis, is_assumed.then(|| scheme.as_str())) };
    match format {
        Format::Json => output::json(&explanation)?,
        Format::Table => output::print(&explanation.text())?,
    }
    Ok(())
}

/// What was seen by one origin.
struct Seen {
    diagnosis: Diagnosis,
    scheme: UriScheme,
    /// The request has a token, and nobody gave its secret.
    lacks_token_secret: bool,
}

fn look_at(asked: &Question<'_>, pasted: &Pasted, now: Timestamp) -> Result<Seen, Failure> {
    let public = match asked.public_url {
        Some(url) => Some(RequestUrl::parse(url)?),
        None => None,
    };
    let origins: Vec<(UriScheme, &str)> = match &public {
        Some(public) => vec![(public.scheme, public.authority)],
        // A raw request does not say its scheme: the one by which the least is wrong.
        None => [UriScheme::Https, UriScheme::Http].into_iter().filter_map(|usual| pasted.origin(usual)).collect(),
    };
    let mut found = Vec::with_capacity(origins.len());
    for origin in origins {
        found.push(see(asked, pasted, origin, now)?);
    }
    // Of two that are equal the first, which is https.
    let best = found.into_iter().min_by_key(|seen| match &seen.diagnosis.finding {
        Finding::Right => 0,
        // Of a signature's form alone: the rest is not found out.
        Finding::Mistakes(_) if seen.diagnosis.signed.is_none() && seen.diagnosis.expected.is_some() => usize::MAX - 1,
        Finding::Mistakes(mistakes) => mistakes.len(),
        Finding::Unknown | Finding::BodyUnseen => usize::MAX,
    });
    best.ok_or_else(|| Failure::Refused("the request names no host: add its Host header, or --public-url".to_owned()))
}

fn see(asked: &Question<'_>, pasted: &Pasted, origin: (UriScheme, &str), now: Timestamp) -> Result<Seen, Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::Refused(error.to_string());
    let request = pasted.as_received(origin, now);
    let parameters = Parameters::collect(&request).map_err(|error| refused(&error))?;
    let protocol = ProtocolParameters::read(&parameters).map_err(|error| refused(&error))?;
    let method = protocol.signature_method;
    let key = match (method.is_rsa(), asked.rsa) {
        (true, Some(key)) => VerificationKey::Rsa(key),
        (true, None) => {
            return Err(Failure::Usage(format!("{method} needs --rsa-public-key or --rsa-private-key")));
        }
        (false, _) if asked.secrets.client.is_empty() => {
            return Err(Failure::Usage(format!(
                "{method} needs --client-secret, --client-secret-file or OAUTH_CLIENT_SECRET"
            )));
        }
        (false, _) => VerificationKey::Shared(asked.secrets),
    };
    let secrets = [asked.secrets.client, asked.secrets.token];
    let lacks_token_secret = !method.is_rsa() && protocol.token.is_some() && asked.secrets.token.is_empty();
    let diagnosis = diagnose(&request, &parameters, method, key, &protocol.signature, &secrets);
    Ok(Seen { diagnosis, scheme: origin.0, lacks_token_secret })
}

impl Explanation {
    fn of(diagnosis: Diagnosis, assumed_scheme: Option<&'static str>) -> Self {
        let verdict = diagnosis.sentence();
        let Diagnosis { finding, expected, signed, first_difference, rsa_key: _ } = diagnosis;
        let (finding, mistakes) = match finding {
            Finding::Right => ("right", Vec::new()),
            Finding::Mistakes(mistakes) => ("mistakes", mistakes.iter().map(|mistake| mistake.as_str()).collect()),
            Finding::Unknown => ("unknown", Vec::new()),
            Finding::BodyUnseen => ("body-unseen", Vec::new()),
        };
        Self { finding, mistakes, verdict, expected, signed, first_difference, assumed_scheme, hint: None }
    }

    /// For people: the verdict, then both base strings one under the other, with a mark where they part.
    fn text(&self) -> String {
        let mut text = format!("{}\n", self.verdict);
        if !self.mistakes.is_empty() {
            text += &format!("({})\n", self.mistakes.join(", "));
        }
        if let Some(hint) = self.hint {
            text += &format!("{hint}\n");
        }
        if let Some(scheme) = self.assumed_scheme {
            text += &format!("The request does not say its scheme: {scheme} was taken. --public-url says another.\n");
        }
        if let Some(expected) = &self.expected {
            text += &format!("\nexpected  {expected}\n");
        }
        if let Some(signed) = &self.signed {
            text += &format!("signed    {signed}\n");
        }
        match (self.first_difference, &self.signed) {
            (Some(same), _) => {
                text += &format!("{}^ the first difference, character {}\n", " ".repeat(10 + same), same + 1)
            }
            (None, Some(_)) if self.finding == "mistakes" => {
                text += "The base strings are equal: it is the key or the signature itself.\n"
            }
            (None, _) => {}
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_under_the_first_difference() {
        let explanation = Explanation {
            finding: "mistakes",
            mistakes: vec!["http-scheme"],
            verdict: "Another scheme was signed.".to_owned(),
            expected: Some("GET&https%3A".to_owned()),
            signed: Some("GET&http%3A".to_owned()),
            first_difference: Some(8),
            assumed_scheme: None,
            hint: None,
        };
        assert_eq!(
            explanation.text(),
            "Another scheme was signed.\n(http-scheme)\n\nexpected  GET&https%3A\nsigned    GET&http%3A\n\
             ____________________^ the first difference, character 9\n"
                .replace("____________________", &" ".repeat(18))
        );
    }
}
