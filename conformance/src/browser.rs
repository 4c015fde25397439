//! A browser without a screen: cookies, forms, redirects on one origin. It walks the account holder's part of the dance.
//!
//! Cookies are kept by name only; a provider whose cookies depend on paths or domains is beyond it, and a command can walk instead.

use crate::encoding::{Pair, decode_form, encode_form};
use crate::html::{self, Form};
use crate::http::{Origin, Response};
use crate::line::Line;
use crate::target::{Account, Consent};
use crate::wire::plain_request;

const MOST_STEPS: usize = 8;

/// Where a browser ended, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The callback or a page gave a verifier (empty when the callback has none).
    Granted {
        /// The verifier.
        verifier: String,
        /// The whole address of the callback, empty without one.
        callback: String,
    },
    /// The callback tells of a refusal.
    Denied {
        /// The whole address of the callback, or empty when a page told it.
        callback: String,
    },
    /// The provider refused to go on, with this status.
    Refused(u16),
}

/// One person's browser.
#[derive(Debug, Clone, Default)]
pub struct Browser {
    cookies: Vec<Pair>,
    page: Option<Page>,
}

#[derive(Debug, Clone)]
struct Page {
    origin: Origin,
    target: String,
    response: Response,
}

/// A form post as it is about to be sent.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Where it goes.
    pub origin: Origin,
    /// Path and query.
    pub target: String,
    /// The bytes.
    pub request: Vec<u8>,
}

/// Changes to a form before it is submitted.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Fields set.
    pub set: Vec<Pair>,
    /// Fields left out.
    pub drop: Vec<String>,
    /// Header lines added.
    pub headers: Vec<String>,
    /// Cookies sent instead of this browser's.
    pub cookies: Option<Vec<Pair>>,
    /// Whether the fields go as the query of a GET.
    pub get: bool,
}

impl Browser {
    /// The page that is open, if any.
    pub fn page(&self) -> Option<&Response> {
        self.page.as_ref().map(|p| &p.response)
    }

    /// The cookies, for sending them from elsewhere.
    pub fn cookies(&self) -> &[Pair] {
        &self.cookies
    }

    /// Opens a page, following redirects on its origin.
    pub fn open(
        &mut self,
        line: &mut Line<'_>,
        origin: &Origin,
        target: &str,
        headers: &[String],
    ) -> Result<(), String> {
        let request = plain_request("GET", target, &origin.authority(), self.headers(headers, None), None, &[]);
        self.go(line, "open the page", Prepared { origin: origin.clone(), target: target.to_owned(), request })
    }

    /// Fills in the login form if the open page has one. `Ok(false)` when it has none.
    pub fn log_in(&mut self, line: &mut Line<'_>, settings: &Consent, account: &Account) -> Result<bool, String> {
        let Some(page) = &self.page else { return Ok(false) };
        if !html::forms(&page.response.text()).iter().any(|f| f.has(&settings.password_field)) {
            return Ok(false);
        }
        let changes = Changes {
            set: vec![
                (settings.username_field.clone(), account.username.clone()),
                (settings.password_field.clone(), account.password.clone()),
            ],
            ..Changes::default()
        };
        let prepared = self.prepare(settings, "login", &changes)?;
        self.go(line, "log in", prepared)?;
        Ok(true)
    }

    /// Draws up the submission of a form of the open page: `allow`, `deny` or `login`.
    pub fn prepare(&self, settings: &Consent, press: &str, changes: &Changes) -> Result<Prepared, String> {
        let page = self.page.as_ref().ok_or("no page is open")?;
        let button = match press {
            "allow" => settings.allow.as_str(),
            "deny" => settings.deny.as_str(),
            "login" => "",
            other => return Err(format!("no button is called `{other}`")),
        };
        let (name, value) = button.split_once('=').unwrap_or((button, ""));
        let wanted = if press == "login" { &settings.password_field } else { name };
        let mut form = html::forms(&page.response.text())
            .into_iter()
            .find(|f| {
                f.has(wanted)
                    && (press == "login" || f.fields.iter().chain(&f.buttons).any(|(n, v)| n == name && v == value))
            })
            .ok_or_else(|| {
                format!(
                    "the page (status {}) has no form with `{}`",
                    page.response.status,
                    if press == "login" { wanted } else { button }
                )
            })?;
        if !name.is_empty() {
            form.set(name, value);
        }
        for (name, value) in &changes.set {
            form.set(name, value);
        }
        form.fields.retain(|(n, _)| !changes.drop.contains(n));
        self.request_of(page, &form, changes)
    }

    fn request_of(&self, page: &Page, form: &Form, changes: &Changes) -> Result<Prepared, String> {
        let (origin, target) =
            resolve(page, &form.action).ok_or_else(|| format!("the form goes to `{}`", form.action))?;
        let mut headers = self.headers(&changes.headers, changes.cookies.as_deref());
        let fields = encode_form(&form.fields);
        let (method, target, body) = if changes.get || form.method == "get" {
            let path = target.split('?').next().unwrap_or_default();
            ("GET", format!("{path}?{fields}"), None)
        } else {
            headers.push("Content-Type: application/x-www-form-urlencoded".into());
            ("POST", target, Some(fields))
        };
        // What browsers say beside every form post; a case that sends another origin replaces it.
        if !headers.iter().any(|h| h.to_ascii_lowercase().starts_with("origin:")) && method == "POST" {
            headers.push(format!("Origin: {}", page.origin.address()));
        }
        let request =
            plain_request(method, &target, &origin.authority(), headers, body.as_deref().map(str::as_bytes), &[]);
        Ok(Prepared { origin, target, request })
    }

    fn headers(&self, more: &[String], cookies: Option<&[Pair]>) -> Vec<String> {
        let cookies = cookies.unwrap_or(&self.cookies);
        let mut headers = vec!["Accept: text/html".to_owned()];
        if !cookies.is_empty() {
            headers.push(format!(
                "Cookie: {}",
                cookies.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("; ")
            ));
        }
        headers.extend_from_slice(more);
        headers
    }

    /// Sends, keeps the cookies, and follows redirects while they stay on the origin. Ends on a page or on a redirect elsewhere.
    pub fn go(&mut self, line: &mut Line<'_>, note: &str, prepared: Prepared) -> Result<(), String> {
        let (mut next, mut note) = (prepared, note);
        for _ in 0..MOST_STEPS {
            let response = line.send(note, &next.origin, next.request.clone()).map_err(|e| e.to_string())?;
            self.take(&next, response);
            let Some((origin, target)) = self.follow() else { return Ok(()) };
            let request = plain_request("GET", &target, &origin.authority(), self.headers(&[], None), None, &[]);
            next = Prepared { origin, target, request };
            note = "follow the redirect";
        }
        Err(format!("the pages redirect more than {MOST_STEPS} times"))
    }

    /// Keeps an answer as the open page, and its cookies.
    pub fn take(&mut self, sent: &Prepared, response: Response) {
        for cookie in response.headers_named("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
            self.cookies.retain(|(n, _)| *n != name);
            let lower = cookie.to_ascii_lowercase();
            if !value.is_empty() && !lower.contains("max-age=0") {
                self.cookies.push((name, value));
            }
        }
        self.page = Some(Page { origin: sent.origin.clone(), target: sent.target.clone(), response });
    }

    /// Where the open page redirects to, if that is on the same origin and not the callback of a finished dance.
    fn follow(&self) -> Option<(Origin, String)> {
        let page = self.page.as_ref()?;
        if !(300..400).contains(&page.response.status) {
            return None;
        }
        let location = page.response.header("location")?;
        if location.contains("oauth_verifier=") || location.contains("oauth_problem=") {
            return None;
        }
        resolve(page, location).filter(|(origin, _)| *origin == page.origin)
    }

    /// What the open page amounts to, once a decision was sent. `callback` is where the browser should end, or `oob`.
    pub fn decision(&self, settings: &Consent, callback: &str) -> Result<Decision, String> {
        let page = self.page.as_ref().ok_or("no page is open")?;
        let status = page.response.status;
        if (400..500).contains(&status) {
            return Ok(Decision::Refused(status));
        }
        let text = page.response.text();
        let reached = page.response.header("location").map(str::to_owned).filter(|_| (300..400).contains(&status));
        let reached = reached.or_else(|| {
            let leads = |address: &String| callback != "oob" && address.starts_with(without_query(callback));
            html::addresses(&text).into_iter().find(leads)
        });
        if let Some(address) = reached {
            return Ok(read_callback(&address));
        }
        if let Some(verifier) = html::text_of(&text, &settings.verifier_id) {
            // A verifier may be shown in groups.
            let verifier = verifier.split_whitespace().collect();
            return Ok(Decision::Granted { verifier, callback: String::new() });
        }
        if status == 200 && callback == "oob" && !html::forms(&text).iter().any(|f| f.has(&settings.password_field)) {
            return Ok(Decision::Denied { callback: String::new() });
        }
        Err(format!("the pages end with status {status} and lead neither to the callback nor to a verifier"))
    }
}

/// Reads the callback's address as a client would.
pub fn read_callback(address: &str) -> Decision {
    let query = address.split_once('?').map_or("", |(_, q)| q.split('#').next().unwrap_or_default());
    let fields = decode_form(query);
    let verifier = fields.iter().find(|(n, _)| n == "oauth_verifier").map(|(_, v)| v.clone());
    match verifier {
        Some(verifier) => Decision::Granted { verifier, callback: address.to_owned() },
        None => Decision::Denied { callback: address.to_owned() },
    }
}

fn without_query(address: &str) -> &str {
    address.split(['?', '#']).next().unwrap_or(address)
}

fn resolve(page: &Page, address: &str) -> Option<(Origin, String)> {
    let address = address.split('#').next().unwrap_or_default();
    if address.is_empty() {
        return Some((page.origin.clone(), page.target.clone()));
    }
    if address.contains("://") {
        return Origin::parse(address);
    }
    let path = page.target.split('?').next().unwrap_or("/");
    let target = if address.starts_with('/') {
        address.to_owned()
    } else if address.starts_with('?') {
        format!("{path}{address}")
    } else {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{address}")
    };
    Some((page.origin.clone(), target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(target: &str, status: u16, headers: &[(&str, &str)], body: &str) -> Browser {
        let origin = Origin { secure: false, host: "h".into(), port: 80 };
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let response = Response { status, headers, body: body.as_bytes().to_vec(), head: String::new() };
        let mut browser = Browser::default();
        browser.take(&Prepared { origin, target: target.into(), request: vec![] }, response);
        browser
    }

    #[test]
    fn the_callback_is_read_from_a_redirect_or_a_link() {
        let granted = |b: &Browser| b.decision(&Consent::default(), "http://c/p").unwrap();
        let expected = Decision::Granted { verifier: "v".into(), callback: "http://c/p?oauth_verifier=v".into() };
        assert_eq!(granted(&at("/", 302, &[("Location", "http://c/p?oauth_verifier=v")], "")), expected);
        assert_eq!(granted(&at("/", 200, &[], "<a href='http://c/p?oauth_verifier=v'>on</a>")), expected);
        let denied = Decision::Denied { callback: "http://c/p?oauth_problem=permission_denied".into() };
        assert_eq!(granted(&at("/", 302, &[("Location", "http://c/p?oauth_problem=permission_denied")], "")), denied);
    }

    #[test]
    fn a_verifier_is_read_from_its_element() {
        let page = at("/", 200, &[], "<p id=verifier>12 34</p>");
        let expected = Decision::Granted { verifier: "1234".into(), callback: String::new() };
        assert_eq!(page.decision(&Consent::default(), "oob").unwrap(), expected);
    }

    #[test]
    fn a_form_is_sent_with_its_button_and_the_cookies() {
        let page =
            "<form method=post action=?x><input type=hidden name=csrf_token value=t><button name=decision value=allow>";
        let browser = at("/a?b=c", 200, &[("Set-Cookie", "s=1; HttpOnly"), ("Set-Cookie", "gone=; Max-Age=0")], page);
        let request = browser.prepare(&Consent::default(), "allow", &Changes::default()).unwrap().request;
        let text = String::from_utf8(request).unwrap();
        assert!(
            text.starts_with("POST /a?x HTTP/1.1\r\n") && text.ends_with("\r\n\r\ncsrf_token=t&decision=allow"),
            "{text}"
        );
        assert!(text.contains("Cookie: s=1\r\n") && text.contains("Origin: http://h\r\n"), "{text}");
        assert!(browser.prepare(&Consent::default(), "deny", &Changes::default()).is_err());
    }
}
