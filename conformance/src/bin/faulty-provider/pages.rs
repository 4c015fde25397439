//! Login, consent and verifier pages.

use crate::oauth::Provider;
use crate::store::{Session, Stage, random};
use crate::wire::{Reply, Request, escape, html, pairs};

impl Provider {
    pub fn authorize(&self, request: &Request) -> Reply {
        let decides_by_get = self.defect.is("consent-by-get") && request.query.contains("decision=");
        match request.method.as_str() {
            "GET" if !decides_by_get => self.show(request),
            "POST" | "GET" => self.decide(request),
            _ => self.page(405, "<h1>No</h1>"),
        }
    }

    fn show(&self, request: &Request) -> Reply {
        let fields = pairs(&request.query, true, false).unwrap_or_default();
        let get = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap_or_default();
        let token = get("oauth_token");
        let fresh = self.lock().temporary.get(&token).is_some_and(|t| t.stage == Stage::Fresh);
        if !fresh {
            let echo = if self.defect.is("page-injection") { token } else { html(&token) };
            return self.page(400, &format!("<h1>Unknown request</h1><p>{echo}</p>"));
        }
        if self.defect.is("callback-at-authorization")
            && let Some((_, callback)) = fields.iter().find(|(n, _)| n == "oauth_callback")
            && let Some(temporary) = self.lock().temporary.get_mut(&token)
        {
            temporary.callback.clone_from(callback);
        }
        let (id, new) = self.session(request);
        let body = {
            let store = self.lock();
            let session = store.sessions.get(&id);
            let csrf = session.map(|s| s.csrf.clone()).unwrap_or_default();
            let client = store.temporary.get(&token).map(|t| t.client.clone()).unwrap_or_default();
            let hidden = format!(
                "<input type=hidden name=csrf_token value=\"{csrf}\"><input type=hidden name=oauth_token value=\"{token}\">"
            );
            match session.and_then(|s| s.account.clone()) {
                None => format!(
                    "<h1>Sign in</h1><form method=post action=\"/login?next={}\">{hidden}<label>Name <input name=username></label>\
                     <label>Password <input type=password name=password></label><button>Sign in</button></form>",
                    escape(&request.target())
                ),
                Some(account) => format!(
                    "<h1>Allow {client}?</h1><p>{}</p><form method=post action=\"/oauth/authorize\">{hidden}\
                     <label><input type=checkbox name=scope value=\"account:read\" checked>Read</label>\
                     <button name=decision value=allow>Allow</button><button name=decision value=deny>Deny</button></form>",
                    html(&account)
                ),
            }
        };
        let reply = self.page(200, &body);
        if new { self.with_cookie(reply, &id) } else { reply }
    }

    pub fn login(&self, request: &Request) -> Reply {
        let fields = pairs(&String::from_utf8_lossy(&request.body), true, false).unwrap_or_default();
        let get = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap_or_default();
        let (id, _) = self.session(request);
        if !self.csrf_is_good(&id, &get("csrf_token")) {
            return self.page(403, "<h1>Forged</h1>");
        }
        let account = self
            .lock()
            .account(&get("username"))
            .filter(|a| a.password == get("password"))
            .map(|a| a.username.to_owned());
        let Some(account) = account else { return self.page(401, "<h1>Wrong name or password</h1>") };
        let next = pairs(&request.query, true, false).unwrap_or_default();
        let next = next.into_iter().find(|(n, _)| n == "next").map(|(_, v)| v).unwrap_or_default();
        let new = if self.defect.is("session-fixed") { id.clone() } else { random() };
        let mut store = self.lock();
        store.sessions.remove(&id);
        store.sessions.insert(new.clone(), Session { account: Some(account), csrf: random() });
        drop(store);
        let next = if next.starts_with('/') && !next.starts_with("//") { next } else { "/".into() };
        let reply = self.page(303, "").with("Location", next);
        self.with_cookie(reply, &new)
    }

    fn decide(&self, request: &Request) -> Reply {
        let text = if request.method == "GET" {
            request.query.clone()
        } else {
            String::from_utf8_lossy(&request.body).into_owned()
        };
        let fields = pairs(&text, true, false).unwrap_or_default();
        let get = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap_or_default();
        let id = request.cookie("session").unwrap_or_default().to_owned();
        let account = self.lock().sessions.get(&id).and_then(|s| s.account.clone());
        let account = match account {
            Some(account) => account,
            None if self.defect.is("consent-without-login") => "ada@example.com".to_owned(),
            None => return self.page(403, "<h1>Sign in first</h1>"),
        };
        let stranger = self.defect.is("consent-without-login") && id.is_empty();
        if !stranger && !self.csrf_is_good(&id, &get("csrf_token")) {
            return self.page(403, "<h1>Forged</h1>");
        }
        let verifier = if self.defect.is("verifier-constant") { "0123456789abcdef".to_owned() } else { random() };
        let mut store = self.lock();
        let again = self.defect.is("decision-twice");
        let Some(temporary) = store.temporary.get_mut(&get("oauth_token")) else {
            return self.page(400, "<h1>Unknown request</h1>");
        };
        let open = temporary.stage == Stage::Fresh || (again && matches!(temporary.stage, Stage::Approved { .. }));
        if !open {
            return self.page(400, "<h1>Already decided</h1>");
        }
        let allowed = match get("decision").as_str() {
            "allow" => true,
            "deny" => self.defect.is("deny-grants"),
            _ => return self.page(400, "<h1>Decide</h1>"),
        };
        let callback = temporary.callback.clone();
        temporary.stage = if allowed { Stage::Approved { account, verifier: verifier.clone() } } else { Stage::Denied };
        store.verifiers.insert(verifier.clone());
        drop(store);
        let answer =
            if allowed { format!("oauth_verifier={verifier}") } else { "oauth_problem=permission_denied".into() };
        if callback == "oob" {
            let body = if allowed {
                format!("<h1>Your code</h1><p id=verifier>{verifier}</p>")
            } else {
                "<h1>Denied</h1>".into()
            };
            return self.page(200, &body);
        }
        let callback = if self.defect.is("callback-query-lost") {
            callback.split('?').next().unwrap_or_default().to_owned()
        } else {
            callback
        };
        let join = if callback.contains('?') { '&' } else { '?' };
        self.page(302, "")
            .with("Location", format!("{callback}{join}oauth_token={}&{answer}", escape(&get("oauth_token"))))
    }

    fn csrf_is_good(&self, session: &str, given: &str) -> bool {
        if self.defect.is("csrf-unchecked") {
            return true;
        }
        let store = self.lock();
        if self.defect.is("csrf-shared") {
            return store.sessions.values().any(|s| s.csrf == given);
        }
        store.sessions.get(session).is_some_and(|s| s.csrf == given)
    }

    /// The session's id, and whether it is new.
    fn session(&self, request: &Request) -> (String, bool) {
        let mut store = self.lock();
        if let Some(id) = request.cookie("session").filter(|id| store.sessions.contains_key(*id)) {
            return (id.to_owned(), false);
        }
        let id = random();
        store.sessions.insert(id.clone(), Session { account: None, csrf: random() });
        (id, true)
    }

    fn with_cookie(&self, reply: Reply, id: &str) -> Reply {
        let readable = if self.defect.is("cookie-readable") { "" } else { "; HttpOnly" };
        reply.with("Set-Cookie", format!("session={id}; Path=/; SameSite=Lax{readable}"))
    }

    fn page(&self, status: u16, body: &str) -> Reply {
        let mut reply = Reply::new(
            status,
            "text/html; charset=utf-8",
            format!("<!doctype html><html lang=en><body>{body}</body></html>"),
        )
        .with("X-Content-Type-Options", "nosniff")
        .with("Referrer-Policy", "no-referrer");
        if !self.defect.is("pages-cached") {
            reply = reply.with("Cache-Control", "no-store");
        }
        if !self.defect.is("frames-allowed") {
            reply = reply
                .with("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
                .with("X-Frame-Options", "DENY");
        }
        reply
    }
}
