//! What an answer amounts to, and whether that is acceptable.
//!
//! An expectation is an outcome's name, perhaps with status codes: `accepted`, `refused 400 401`. A check is a sentence of three
//! words, `SUBJECT VERB [ARGUMENT]`: `form.oauth_callback_confirmed is true`, `problem among nonce_used|token_used`. With
//! `when STATUS: ` before it, it is asked of answers with that status only.

use crate::challenge::challenges;
use crate::encoding::decode_form;
use crate::http::{HttpError, Response};

/// What an exchange amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx, with credentials in the body where credentials were asked for.
    Accepted(u16),
    /// 4xx.
    Refused(u16),
    /// 3xx.
    Redirected(u16),
    /// 5xx: never acceptable, since no request is a server's fault.
    Failed(u16),
    /// 2xx where credentials should have come and none did.
    Empty(u16),
    /// The server ended the connection without an answer.
    Closed,
    /// No answer that could be read, and why.
    Broken(String),
    /// Consent was given, and a verifier or callback came of it.
    Granted,
    /// The callback tells of the account holder's refusal.
    Denied,
}

impl Outcome {
    /// Judges one answer. `grants` says that the endpoint issues credentials.
    pub fn of(result: &Result<Response, HttpError>, grants: bool) -> Outcome {
        match result {
            Err(HttpError::Closed) => Outcome::Closed,
            Err(error) => Outcome::Broken(error.to_string()),
            Ok(response) => match response.status {
                200..300 if grants && issued(response).is_none() => Outcome::Empty(response.status),
                200..300 => Outcome::Accepted(response.status),
                300..400 => Outcome::Redirected(response.status),
                400..500 => Outcome::Refused(response.status),
                _ => Outcome::Failed(response.status),
            },
        }
    }

    /// For reports.
    pub fn describe(&self) -> String {
        match self {
            Outcome::Accepted(s) => format!("accepted ({s})"),
            Outcome::Refused(s) => format!("refused ({s})"),
            Outcome::Redirected(s) => format!("redirected ({s})"),
            Outcome::Failed(s) => format!("the server failed ({s})"),
            Outcome::Empty(s) => format!("{s}, but without credentials"),
            Outcome::Closed => "the connection was closed without an answer".into(),
            Outcome::Broken(why) => why.clone(),
            Outcome::Granted => "granted".into(),
            Outcome::Denied => "denied".into(),
        }
    }

    /// Whether one of the expectations allows this.
    pub fn is_among(&self, expectations: &[String]) -> bool {
        expectations.iter().filter_map(|e| Expectation::parse(e).ok()).any(|e| e.allows(self))
    }
}

/// Token and secret of a form-encoded body that issues credentials.
pub fn issued(response: &Response) -> Option<(String, String)> {
    let fields = decode_form(&response.text());
    let value = |name: &str| fields.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.clone());
    Some((value("oauth_token")?, value("oauth_token_secret")?))
}

/// An acceptable outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    word: Word,
    statuses: Vec<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Accepted,
    Refused,
    Redirected,
    Closed,
    Answered,
    Granted,
    Denied,
}

impl Expectation {
    /// Reads one; `Err` names the word that nobody knows.
    pub fn parse(text: &str) -> Result<Expectation, String> {
        let mut words = text.split_whitespace();
        let word = match words.next().unwrap_or_default() {
            "accepted" => Word::Accepted,
            "refused" => Word::Refused,
            "redirected" => Word::Redirected,
            "closed" => Word::Closed,
            "answered" => Word::Answered,
            "granted" => Word::Granted,
            "denied" => Word::Denied,
            other => return Err(format!("no outcome is called `{other}`")),
        };
        let statuses =
            words.map(|w| w.parse().map_err(|_| format!("`{w}` is no status code"))).collect::<Result<_, _>>()?;
        Ok(Expectation { word, statuses })
    }

    /// Whether it is a refusal.
    pub fn is_refusal(&self) -> bool {
        matches!(self.word, Word::Refused | Word::Closed)
    }

    fn allows(&self, outcome: &Outcome) -> bool {
        let status = |s: &u16| self.statuses.is_empty() || self.statuses.contains(s);
        match (self.word, outcome) {
            (Word::Accepted, Outcome::Accepted(s))
            | (Word::Refused, Outcome::Refused(s))
            | (Word::Redirected, Outcome::Redirected(s)) => status(s),
            (
                Word::Answered,
                Outcome::Accepted(_) | Outcome::Refused(_) | Outcome::Redirected(_) | Outcome::Empty(_),
            ) => true,
            (Word::Closed, Outcome::Closed) | (Word::Granted, Outcome::Granted) | (Word::Denied, Outcome::Denied) => {
                true
            }
            _ => false,
        }
    }
}

/// A sentence about an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check<'a> {
    when: Option<u16>,
    subject: &'a str,
    verb: Verb,
    argument: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Is,
    IsNot,
    Contains,
    Lacks,
    Starts,
    StartsNot,
    Exists,
    Absent,
    Longer,
    Among,
    Number,
}

impl<'a> Check<'a> {
    /// Reads one; `Err` says what is wrong with it.
    pub fn parse(text: &'a str) -> Result<Check<'a>, String> {
        let (when, text) = match text.strip_prefix("when ").and_then(|rest| rest.split_once(": ")) {
            None => (None, text),
            Some((status, rest)) => (Some(status.parse().map_err(|_| format!("`{status}` is no status code"))?), rest),
        };
        let mut words = text.splitn(3, ' ');
        let subject = words.next().unwrap_or_default();
        let known = ["status", "body", "problem", "account", "location", "text"].contains(&subject)
            || ["header.", "headers.", "form.", "json.", "location.", "challenge.", "var."]
                .iter()
                .any(|p| subject.starts_with(p));
        if !known {
            return Err(format!("no subject of a check is called `{subject}`"));
        }
        let verb = match words.next().unwrap_or_default() {
            "is" => Verb::Is,
            "is-not" => Verb::IsNot,
            "contains" => Verb::Contains,
            "lacks" => Verb::Lacks,
            "starts" => Verb::Starts,
            "starts-not" => Verb::StartsNot,
            "exists" => Verb::Exists,
            "absent" => Verb::Absent,
            "longer" => Verb::Longer,
            "among" => Verb::Among,
            "number" => Verb::Number,
            other => return Err(format!("no verb of a check is called `{other}`")),
        };
        let argument = words.next().unwrap_or_default();
        if argument.is_empty() != matches!(verb, Verb::Exists | Verb::Absent | Verb::Number) {
            return Err(format!("`{text}`: the verb takes {} argument", if argument.is_empty() { "an" } else { "no" }));
        }
        Ok(Check { when, subject, verb, argument })
    }

    /// Whether it is asked of this answer at all.
    pub fn applies(&self, response: &Response) -> bool {
        self.when.is_none_or(|status| status == response.status)
    }

    /// Whether it needs to know where the answer names the account.
    pub fn is_about_the_account(&self) -> bool {
        self.subject == "account"
    }

    /// Whether it holds; `Err` says what was found instead.
    pub fn holds(&self, response: &Response, identity: Option<&str>) -> Result<(), String> {
        let found = subject(self.subject, response, identity);
        let text = found.clone().unwrap_or_default();
        let good = match self.verb {
            Verb::Is => found.as_deref() == Some(self.argument),
            Verb::IsNot => found.as_deref() != Some(self.argument),
            Verb::Contains => text.to_ascii_lowercase().contains(&self.argument.to_ascii_lowercase()),
            Verb::Lacks => !text.contains(self.argument),
            Verb::Starts => text.starts_with(self.argument),
            Verb::StartsNot => !text.starts_with(self.argument),
            Verb::Exists => found.is_some(),
            Verb::Absent => found.is_none(),
            Verb::Longer => text.chars().count() > self.argument.parse().unwrap_or(usize::MAX),
            Verb::Among => found.is_some() && self.argument.split('|').any(|a| a == text),
            Verb::Number => !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()),
        };
        if good {
            return Ok(());
        }
        let said = match found {
            None => "there is none".to_owned(),
            Some(_) if self.subject == "body" => "the body differs".to_owned(),
            Some(text) => format!("it is {:?}", text.chars().take(200).collect::<String>()),
        };
        Err(format!("`{} {} {}` does not hold: {said}", self.subject, self.verb_name(), self.argument)
            .replace(" `", "`"))
    }

    fn verb_name(&self) -> &'static str {
        match self.verb {
            Verb::Is => "is",
            Verb::IsNot => "is-not",
            Verb::Contains => "contains",
            Verb::Lacks => "lacks",
            Verb::Starts => "starts",
            Verb::StartsNot => "starts-not",
            Verb::Exists => "exists",
            Verb::Absent => "absent",
            Verb::Longer => "longer",
            Verb::Among => "among",
            Verb::Number => "number",
        }
    }
}

/// What a subject is in an answer; `None` when the answer has no such thing. `identity` is a JSON pointer to the account's name.
pub fn subject(name: &str, response: &Response, identity: Option<&str>) -> Option<String> {
    let json = || serde_json::from_slice::<serde_json::Value>(&response.body).ok();
    let (kind, rest) = name.split_once('.').unwrap_or((name, ""));
    match (kind, rest) {
        ("status", _) => Some(response.status.to_string()),
        ("body", _) => Some(response.text()),
        ("text", _) => Some(format!("{}\n\n{}", response.head, response.text())),
        ("location", "") => response.header("location").map(str::to_owned),
        ("location", parameter) => field(response.header("location")?.split_once('?')?.1.split('#').next()?, parameter),
        ("header", name) => response.header(name).map(str::to_owned),
        ("headers", name) => {
            let all: Vec<&str> = response.headers_named(name).collect();
            if all.is_empty() { None } else { Some(all.join("\n")) }
        }
        ("form", name) => field(&response.text(), name),
        ("json", path) => json()?.pointer(&format!("/{}", path.replace('.', "/"))).map(plain),
        ("account", _) => json()?.pointer(identity?).map(plain),
        ("problem", _) => problem(response),
        ("challenge", path) => {
            let (scheme, parameter) = path.split_once('.').unwrap_or((path, ""));
            let found = challenges(response).into_iter().find(|c| c.scheme.eq_ignore_ascii_case(scheme))?;
            if parameter.is_empty() { Some(found.scheme) } else { found.get(parameter).map(str::to_owned) }
        }
        _ => None,
    }
}

/// The word of the Problem Reporting extension, wherever the answer puts it.
fn problem(response: &Response) -> Option<String> {
    let told = challenges(response).into_iter().find_map(|c| c.get("oauth_problem").map(str::to_owned));
    told.or_else(|| field(&response.text(), "oauth_problem")).or_else(|| {
        let json = serde_json::from_slice::<serde_json::Value>(&response.body).ok()?;
        json.get("oauth_problem").or_else(|| json.get("code")).map(plain)
    })
}

fn field(form: &str, name: &str) -> Option<String> {
    decode_form(form.trim()).into_iter().find(|(n, _)| n == name).map(|(_, v)| v)
}

fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        Response {
            status,
            headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            body: body.as_bytes().to_vec(),
            head: String::new(),
        }
    }

    #[test]
    fn a_grant_without_credentials_is_not_accepted() {
        let empty = Ok(response(200, &[], "oauth_problem=x"));
        assert_eq!(Outcome::of(&empty, true), Outcome::Empty(200));
        assert_eq!(Outcome::of(&empty, false), Outcome::Accepted(200));
        let whole = Ok(response(200, &[], "oauth_token=a&oauth_token_secret=b"));
        assert_eq!(Outcome::of(&whole, true), Outcome::Accepted(200));
    }

    #[test]
    fn a_failing_server_is_never_acceptable() {
        let failed = Outcome::of(&Ok(response(500, &[], "")), false);
        assert!(!failed.is_among(&["refused".into(), "answered".into(), "accepted".into(), "closed".into()]));
        assert!(Outcome::Refused(401).is_among(&["refused 400".into(), "refused 401".into()]));
        assert!(!Outcome::Refused(403).is_among(&["refused 400 401".into()]));
    }

    #[test]
    fn subjects_are_found_wherever_they_stand() {
        let challenge = response(401, &[("WWW-Authenticate", "OAuth realm=\"r\", oauth_problem=\"nonce_used\"")], "");
        assert_eq!(subject("problem", &challenge, None).as_deref(), Some("nonce_used"));
        assert_eq!(subject("challenge.oauth.realm", &challenge, None).as_deref(), Some("r"));
        let form = response(401, &[], "oauth_problem=token_used\n");
        assert_eq!(subject("problem", &form, None).as_deref(), Some("token_used"));
        let json = response(200, &[], r#"{"code":"x","account":{"username":"u"}}"#);
        assert_eq!(subject("account", &json, Some("/account/username")).as_deref(), Some("u"));
        let moved = response(302, &[("Location", "http://c/?a=b%20c#f")], "");
        assert_eq!(subject("location.a", &moved, None).as_deref(), Some("b c"));
    }

    #[test]
    fn a_check_says_what_it_found() {
        let answer = response(200, &[("X", "y")], "abc");
        let says = |text: &str| Check::parse(text).unwrap().holds(&answer, None);
        assert!(says("header.x is y").is_ok());
        assert!(says("header.x is z").unwrap_err().contains("\"y\""));
        assert!(says("body longer 2").is_ok() && says("body longer 3").is_err());
        assert!(says("header.z exists").unwrap_err().contains("none"));
        let conditional = Check::parse("when 401: header.x is z").unwrap();
        assert!(!conditional.applies(&answer) && conditional.applies(&response(401, &[], "")));
        assert!(
            Check::parse("hdr.x is y").is_err()
                && Check::parse("body equals y").is_err()
                && Check::parse("body is").is_err()
        );
        assert!(Expectation::parse("refuse").is_err() && Expectation::parse("refused x").is_err());
    }
}
