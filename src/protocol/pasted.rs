//! A request as a developer pastes it: raw HTTP, a curl command, or method and address with the Authorization header.
//!
//! Pure text work. Nothing is sent anywhere, and a shell's words are split and never run.

use std::iter::Peekable;
use std::net::IpAddr;
use std::str::Chars;

use super::encoding::encode_into;
use super::request::{FORM_TYPE, Headers, ReceivedRequest, Sent, UriScheme};
use crate::time::Timestamp;

/// What was pasted, taken apart.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pasted {
    pub method: String,
    /// Where the address says it.
    pub scheme: Option<UriScheme>,
    /// Host, and port if one is there.
    pub authority: Option<String>,
    pub path: String,
    pub query: Option<String>,
    pub authorization: Option<String>,
    pub content_type: Option<String>,
    pub body: Option<String>,
}

/// Why nothing could be made of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unreadable {
    /// None of the three forms.
    Form,
    /// No address in it.
    NoAddress,
}

/// The methods by which a request line is known.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// Reads any of the three forms.
///
/// # Errors
/// [`Unreadable`].
pub fn read(text: &str) -> Result<Pasted, Unreadable> {
    let text = text.trim().trim_start_matches("$ ");
    match text.split_whitespace().next() {
        None => Err(Unreadable::Form),
        Some(_) if shows_what_was_sent(text) => read_http(&sent_lines(text)),
        Some("curl" | "curl.exe") if is_of_cmd(text) => read_curl(split_cmd_words(text)),
        Some("curl" | "curl.exe") => read_curl(split_words(text).ok_or(Unreadable::Form)?),
        Some(first) if first.starts_with(':') => read_http2(text),
        Some(_) => read_http(text),
    }
}

/// Whether this is what `curl -v` prints.
fn shows_what_was_sent(text: &str) -> bool {
    let mut methods = text.lines().filter_map(|line| line.strip_prefix("> ")?.split_whitespace().next());
    methods.any(|method| METHODS.contains(&method))
}

/// What `curl -v` sent: the lines that begin with `>`. Those with `*` are curl's own, those with `<` the answer.
fn sent_lines(text: &str) -> String {
    let sent = text.lines().filter_map(|line| line.strip_prefix('>'));
    // The empty one at the end of the head is the last: the body is not shown.
    sent.map(str::trim).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The head of an HTTP/2 request (RFC 9113 §8.3.1), as browsers and proxies show it: its first lines become those of
/// HTTP/1.1.
fn read_http2(text: &str) -> Result<Pasted, Unreadable> {
    let (mut method, mut scheme, mut authority, mut path) = (None, None, None, None);
    let mut others = Vec::new();
    let text = text.replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    for line in head.lines().map(str::trim) {
        let field = line.strip_prefix(':').and_then(|field| field.split_once(':'));
        match field.map(|(name, value)| (name, value.trim())) {
            Some(("method", value)) => method = Some(value),
            Some(("scheme", value)) => scheme = Some(value),
            Some(("authority", value)) => authority = Some(value),
            Some(("path", value)) => path = Some(value),
            Some(_) => {}
            None => others.push(line),
        }
    }
    let (method, path) = (method.ok_or(Unreadable::Form)?, path.ok_or(Unreadable::NoAddress)?);
    let first = match (scheme, authority) {
        (Some(scheme), Some(authority)) => format!("{method} {scheme}://{authority}{path}"),
        (None, Some(authority)) => format!("{method} {path}\nHost: {authority}"),
        (_, None) => format!("{method} {path}"),
    };
    read_http(&format!("{first}\n{}\n\n{body}", others.join("\n")))
}

/// A request line or an address, then header lines, then perhaps an empty line and a body.
fn read_http(text: &str) -> Result<Pasted, Unreadable> {
    let text = text.replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let words: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let (method, target) = match words.as_slice() {
        [method, target] | [method, target, ..] if METHODS.contains(&method.to_ascii_uppercase().as_str()) => {
            (method.to_ascii_uppercase(), *target)
        }
        [target] if target.contains("://") => ("GET".to_owned(), *target),
        _ => return Err(Unreadable::Form),
    };
    let mut pasted = Pasted { method, body: (!body.is_empty()).then(|| body.to_owned()), ..Pasted::default() };
    pasted.take_address(target)?;
    for line in lines {
        pasted.take_header(line.trim());
    }
    Ok(pasted)
}

/// The words of a curl command. Options that change nothing about the request are passed over.
fn read_curl(words: Vec<String>) -> Result<Pasted, Unreadable> {
    let mut pasted = Pasted::default();
    let (mut method, mut data, mut in_query, mut address) = (None, Vec::new(), false, None);
    let mut words = words.into_iter().skip(1);
    while let Some(word) = words.next() {
        let (option, attached) = match word.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option.to_owned(), Some(value.to_owned())),
            _ => match word.split_at_checked(2) {
                Some((short, rest))
                    if short.starts_with('-')
                        && !short.starts_with("--")
                        && TAKES_VALUE.contains(&short)
                        && !rest.is_empty() =>
                {
                    (short.to_owned(), Some(rest.to_owned()))
                }
                _ => (word.clone(), None),
            },
        };
        let mut value = || attached.clone().or_else(|| words.next()).unwrap_or_default();
        match option.as_str() {
            "-X" | "--request" => method = Some(value()),
            "-H" | "--header" => pasted.take_header(&value()),
            "-d" | "--data" | "--data-raw" | "--data-ascii" | "--data-binary" => data.push(value()),
            "--data-urlencode" => data.push(url_encoded(&value())),
            "--json" => {
                data.push(value());
                let _ = pasted.content_type.get_or_insert_with(|| "application/json".to_owned());
            }
            "-G" | "--get" => in_query = true,
            "-I" | "--head" => method = Some("HEAD".to_owned()),
            "--url" => address = Some(value()),
            option if TAKES_VALUE.contains(&option) => drop(value()),
            option if option.starts_with('-') => {}
            _ => address = Some(word),
        }
    }
    pasted.take_address(&address.ok_or(Unreadable::NoAddress)?)?;
    let data = data.join("&");
    let sends = !data.is_empty() && !in_query;
    pasted.method = method.unwrap_or_else(|| if sends { "POST" } else { "GET" }.to_owned()).to_ascii_uppercase();
    if in_query && !data.is_empty() {
        pasted.query = Some(match pasted.query.take() {
            Some(query) => format!("{query}&{data}"),
            None => data,
        });
    } else if sends {
        let _ = pasted.content_type.get_or_insert_with(|| FORM_TYPE.to_owned());
        pasted.body = Some(data);
    }
    Ok(pasted)
}

/// Options of curl that are followed by a value.
const TAKES_VALUE: [&str; 33] = [
    "-X",
    "-H",
    "-d",
    "-o",
    "-A",
    "-e",
    "-b",
    "-c",
    "-m",
    "-w",
    "-u",
    "-x",
    "-T",
    "-F",
    "--request",
    "--header",
    "--output",
    "--user-agent",
    "--referer",
    "--cookie",
    "--cookie-jar",
    "--max-time",
    "--write-out",
    "--user",
    "--proxy",
    "--cacert",
    "--cert",
    "--key",
    "--resolve",
    "--connect-timeout",
    "--retry",
    "--form",
    "--upload-file",
];

/// `name=value` with the value percent-encoded, as `--data-urlencode` does.
fn url_encoded(text: &str) -> String {
    let (name, value) = text.split_once('=').unwrap_or(("", text));
    let mut encoded = if name.is_empty() { String::new() } else { format!("{name}=") };
    encode_into(&mut encoded, value);
    encoded
}

/// Whether a command is written for `cmd.exe` of Windows, as browsers there copy it: `^` before quotes or at line ends.
fn is_of_cmd(text: &str) -> bool {
    text.contains(" ^\"") || text.lines().any(|line| line.trim_end().ends_with(" ^"))
}

/// The words of a command for `cmd.exe`: it takes `^` off, and the program then takes off quotes and the `\` before
/// them.
fn split_cmd_words(text: &str) -> Vec<String> {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '^' => match letters.next() {
                // A continued line; where quotes are open, the browser writes the end of a line as two.
                Some('\r') => drop(letters.next()),
                Some('\n') | None => {}
                Some(escaped) => plain.push(escaped),
            },
            other => plain.push(other),
        }
    }
    let mut words = Vec::new();
    let (mut word, mut is_quoted): (Option<String>, bool) = (None, false);
    let mut letters = plain.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek() == Some(&'"') => word.get_or_insert_default().extend(letters.next()),
            '"' => {
                is_quoted = !is_quoted;
                let _ = word.get_or_insert_default();
            }
            space if space.is_whitespace() && !is_quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// What a backslash and the letters behind it stand for within `$'…'` of bash. `None` where nothing follows.
fn ansi_c(letters: &mut Peekable<Chars<'_>>) -> Option<char> {
    Some(match letters.next()? {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'x' => character(letters, 2),
        'u' => character(letters, 4),
        'U' => character(letters, 8),
        escaped => escaped,
    })
}

/// The character of at most so many hexadecimal digits.
fn character(letters: &mut Peekable<Chars<'_>>, most: usize) -> char {
    let mut number = 0;
    for _ in 0..most {
        let Some(digit) = letters.peek().and_then(|letter| letter.to_digit(16)) else { break };
        number = number * 16 + digit;
        letters.next();
    }
    char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The words of a shell command: quotes, backslashes and continued lines. `None` where a quote is left open.
fn split_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            // Chrome quotes like this what holds a ! or a letter beyond ASCII.
            '$' if letters.peek() == Some(&'\'') => {
                letters.next();
                let quoted = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '\'' => break,
                        '\\' => quoted.push(ansi_c(&mut letters)?),
                        inner => quoted.push(inner),
                    }
                }
            }
            '\'' => loop {
                match letters.next()? {
                    '\'' => {
                        let _ = word.get_or_insert_default();
                        break;
                    }
                    inner => word.get_or_insert_default().push(inner),
                }
            },
            '"' => loop {
                match letters.next()? {
                    '"' => {
                        let _ = word.get_or_insert_default();
                        break;
                    }
                    '\\' => match letters.next()? {
                        '\n' => {}
                        escaped @ ('"' | '\\' | '$' | '`') => word.get_or_insert_default().push(escaped),
                        other => word.get_or_insert_default().extend(['\\', other]),
                    },
                    inner => word.get_or_insert_default().push(inner),
                }
            },
            '\\' => match letters.next() {
                Some('\n') | None => {}
                // A line end of another system.
                Some('\r') => drop(letters.next()),
                Some(escaped) => word.get_or_insert_default().push(escaped),
            },
            space if space.is_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

impl Pasted {
    /// The origin that it was sent to, as far as it says. `usual`: the scheme where only the host is said.
    pub fn origin(&self, usual: UriScheme) -> Option<(UriScheme, &str)> {
        Some((self.scheme.unwrap_or(usual), self.authority.as_deref()?))
    }

    /// What a server sees of it that is reached by this origin.
    pub fn as_received<'a>(
        &'a self,
        (scheme, authority): (UriScheme, &'a str),
        arrived: Timestamp,
    ) -> ReceivedRequest<'a> {
        ReceivedRequest {
            method: &self.method,
            scheme,
            authority,
            path: &self.path,
            query: self.query.as_deref(),
            headers: Headers {
                authorization: self.authorization.as_deref().map_or(Sent::Never, Sent::Once),
                content_type: self.content_type.as_deref(),
                host: self.authority.as_deref(),
                ..Headers::default()
            },
            body: self.body.as_deref().map(str::as_bytes),
            client_address: IpAddr::from([0, 0, 0, 0]),
            arrived,
        }
    }

    fn take_address(&mut self, address: &str) -> Result<(), Unreadable> {
        let address = address.split('#').next().unwrap_or_default();
        let target = match address.split_once("://") {
            Some((scheme, rest)) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (authority, target) = rest.split_at(end);
                let scheme = UriScheme::parse(scheme).filter(|_| !authority.is_empty());
                self.scheme = Some(scheme.ok_or(Unreadable::NoAddress)?);
                self.authority = Some(authority.rsplit('@').next().unwrap_or(authority).to_owned());
                target
            }
            None if address.starts_with('/') => address,
            None => return Err(Unreadable::NoAddress),
        };
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        self.path = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
        self.query = query;
        Ok(())
    }

    fn take_header(&mut self, line: &str) {
        let (name, value) = match line.split_once(':') {
            Some((name, value)) if !name.trim().contains(' ') => (name.trim(), value.trim()),
            // The bare value of the Authorization header.
            _ if line.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("oauth ")) => ("authorization", line),
            _ => return,
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => self.authorization = Some(value.to_owned()),
            "content-type" => self.content_type = Some(value.to_owned()),
            "host" => self.authority = self.authority.take().or_else(|| Some(value.to_owned())),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_http_is_read() {
        let pasted = read("POST /v2/a%20b?x=1&x=2 HTTP/1.1\r\nHost: api.example.com\r\nContent-Type: application/x-www-form-urlencoded\r\nAuthorization: OAuth oauth_nonce=\"n\"\r\n\r\nc2&a3=2+q").unwrap();
        assert_eq!(pasted.method, "POST");
        assert_eq!((pasted.path.as_str(), pasted.query.as_deref()), ("/v2/a%20b", Some("x=1&x=2")));
        assert_eq!(pasted.authority.as_deref(), Some("api.example.com"));
        assert_eq!(pasted.authorization.as_deref(), Some("OAuth oauth_nonce=\"n\""));
        assert_eq!(pasted.body.as_deref(), Some("c2&a3=2+q"));
    }

    #[test]
    fn a_curl_command_is_read_with_its_quotes_and_continued_lines() {
        let pasted = read("curl -s -X PUT \\\n  -H 'Authorization: OAuth oauth_signature=\"a%2Bb\"' \\\n  --data-urlencode \"n=a b\" -d x=1 \"https://user@api.example.com:8443/v2?q=\\\"1\\\"\"").unwrap();
        assert_eq!(pasted.method, "PUT");
        assert_eq!(pasted.scheme, Some(UriScheme::Https));
        assert_eq!(pasted.authority.as_deref(), Some("api.example.com:8443"));
        assert_eq!(pasted.query.as_deref(), Some("q=\"1\""));
        assert_eq!(pasted.authorization.as_deref(), Some("OAuth oauth_signature=\"a%2Bb\""));
        assert_eq!(pasted.body.as_deref(), Some("n=a%20b&x=1"));
        assert_eq!(pasted.content_type.as_deref(), Some("application/x-www-form-urlencoded"));
    }

    #[test]
    fn data_goes_into_the_query_with_get() {
        let pasted = read("curl -G -d a=1 --data b=2 http://h/p?z=0").unwrap();
        assert_eq!((pasted.method.as_str(), pasted.query.as_deref(), pasted.body), ("GET", Some("z=0&a=1&b=2"), None));
    }

    #[test]
    fn method_address_and_header_are_enough() {
        let pasted = read("get https://api.example.com\nOAuth oauth_nonce=\"n:1\"").unwrap();
        assert_eq!((pasted.method.as_str(), pasted.path.as_str()), ("GET", "/"));
        assert_eq!(pasted.authorization.as_deref(), Some("OAuth oauth_nonce=\"n:1\""));
        let pasted = read("https://api.example.com/x\nAuthorization: OAuth a=\"b\"").unwrap();
        assert_eq!((pasted.method.as_str(), pasted.path.as_str()), ("GET", "/x"));
    }

    #[test]
    fn json_of_curl_is_no_form() {
        let pasted = read("curl --json '{\"a\":1}' http://h/p").unwrap();
        assert_eq!((pasted.method.as_str(), pasted.content_type.as_deref()), ("POST", Some("application/json")));
        assert_eq!(pasted.body.as_deref(), Some("{\"a\":1}"));
    }

    #[test]
    fn a_request_is_received_at_the_origin_that_it_names() {
        let pasted = read("GET /p HTTP/1.1\nHost: h:8080\nOAuth oauth_nonce=\"n\"").unwrap();
        assert_eq!(pasted.origin(UriScheme::Https), Some((UriScheme::Https, "h:8080")));
        let received = pasted.as_received((UriScheme::Http, "other"), Timestamp::from_unix(1));
        assert_eq!((received.scheme, received.authority, received.path), (UriScheme::Http, "other", "/p"));
        assert_eq!(received.headers.authorization, Sent::Once("OAuth oauth_nonce=\"n\""));
        assert_eq!(read("GET /p").unwrap().origin(UriScheme::Http), None);
    }

    #[test]
    fn what_curl_shows_of_a_request_is_read_without_its_answer() {
        let pasted = read(concat!(
            "$ curl -v http://h:8080/p?x=1\n*   Trying 127.0.0.1:8080...\n* Connected to h\n> GET /p?x=1 HTTP/1.1\r\n",
            "> Host: h:8080\r\n> Authorization: OAuth oauth_nonce=\"n\"\r\n> \r\n* Request completely sent off\n",
            "< HTTP/1.1 401 Unauthorized\r\n< Content-Type: text/plain\r\n<\r\nno"
        ));
        let pasted = pasted.unwrap();
        assert_eq!((pasted.method.as_str(), pasted.path.as_str(), pasted.query.as_deref()), ("GET", "/p", Some("x=1")));
        assert_eq!((pasted.authority.as_deref(), pasted.scheme), (Some("h:8080"), None));
        assert_eq!(pasted.authorization.as_deref(), Some("OAuth oauth_nonce=\"n\""));
        assert_eq!((pasted.content_type, pasted.body), (None, None));
    }

    #[test]
    fn a_curl_command_for_the_command_prompt_of_windows_is_read() {
        let pasted = read(concat!(
            "curl ^\"https://h/p?a=1^&b=2%^2F^\" ^\r\n",
            "  -H ^\"authorization: OAuth oauth_nonce=^\\^\"n^\\^\"^\" ^\n  --data-raw ^\"c=d^\""
        ));
        let pasted = pasted.unwrap();
        assert_eq!(
            (pasted.method.as_str(), pasted.path.as_str(), pasted.query.as_deref()),
            ("POST", "/p", Some("a=1&b=2%2F"))
        );
        assert_eq!(pasted.authorization.as_deref(), Some("OAuth oauth_nonce=\"n\""));
        assert_eq!(pasted.body.as_deref(), Some("c=d"));
        let old = read("curl \"http://h/p\" ^\n -H \"Authorization: OAuth a=\\\"b\\\"\"").unwrap();
        assert_eq!((old.path.as_str(), old.authorization.as_deref()), ("/p", Some("OAuth a=\"b\"")));
    }

    #[test]
    fn the_quotes_of_bash_for_special_letters_are_read() {
        let pasted = read("curl $'http://h/p?q=\\u0021\\x41' -H $'authorization: OAuth a=\"it\\'s\"' -d 'x'").unwrap();
        assert_eq!((pasted.query.as_deref(), pasted.body.as_deref()), (Some("q=!A"), Some("x")));
        assert_eq!(pasted.authorization.as_deref(), Some("OAuth a=\"it's\""));
        assert_eq!(read("curl $'a"), Err(Unreadable::Form));
    }

    #[test]
    fn the_head_of_http_2_is_read() {
        let pasted = read(
            ":authority: h:8443\n:method: post\n:path: /p?x=1\n:scheme: https\ncontent-type: text/plain\nauthorization: OAuth a=\"b\"\n\nbody",
        );
        let pasted = pasted.unwrap();
        assert_eq!(
            (pasted.method.as_str(), pasted.path.as_str(), pasted.query.as_deref()),
            ("POST", "/p", Some("x=1"))
        );
        assert_eq!((pasted.scheme, pasted.authority.as_deref()), (Some(UriScheme::Https), Some("h:8443")));
        assert_eq!((pasted.authorization.as_deref(), pasted.body.as_deref()), (Some("OAuth a=\"b\""), Some("body")));
        let pasted = read(":method: GET\n:path: /p\n:authority: h").unwrap();
        assert_eq!((pasted.scheme, pasted.authority.as_deref()), (None, Some("h")));
        assert_eq!(read(":path: /p"), Err(Unreadable::Form));
        assert_eq!(read(":method: GET"), Err(Unreadable::NoAddress));
    }

    #[test]
    fn what_is_no_request_is_none() {
        assert_eq!(read(""), Err(Unreadable::Form));
        assert_eq!(read("hello there"), Err(Unreadable::Form));
        assert_eq!(read("curl -H 'a"), Err(Unreadable::Form));
        assert_eq!(read("curl -s"), Err(Unreadable::NoAddress));
        assert_eq!(read("GET ftp://x/"), Err(Unreadable::NoAddress));
        assert_eq!(read("GET *"), Err(Unreadable::NoAddress));
    }
}
