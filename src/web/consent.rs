//! `{p}/authorize`: who is asking for what, allow or deny, and the verifier (RFC 5849 §2.2).
//!
//! Nobody logged in: the login form first. What is decided, and by whom, is the provider's and the store's business.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::auth::session::Session;
use crate::auth::verdict::{OAuthRefusal, Rejection};
use crate::domain::client::Callback;
use crate::domain::scope::Scopes;
use crate::protocol::encoding::encode;
use crate::protocol::oauth::{self, Problem};
use crate::provider::{Pending, Provider, redirect_of};
use crate::store::Store;
use crate::store::delegations::Decided;
use crate::web::failed::Failed;
use crate::web::login::{self, LoggedIn, Waiting};
use crate::web::message::MessagePage;
use crate::web::page::{Frame, Moment, Problems, ScopeChoice, Section, Standing};
use crate::web::response::see_other;
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

/// The question whether an app may act for the account.
#[derive(Template)]
#[template(path = "consent.html", config = "src/web/askama.toml")]
pub struct ConsentPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub username: String,
    /// Why the account can allow nothing; all that is left is to deny.
    pub standing: Option<Standing>,
    /// The app's name and its first letter.
    pub app: String,
    pub letter: String,
    /// Where the app lives and people are sent to, by its callback; nothing: they get a code.
    pub host: Option<String>,
    pub registered: Moment,
    pub scopes: Vec<ScopeChoice>,
    pub action: String,
    pub oauth_token: String,
    /// This page's own address, to come back to after another login.
    pub here: String,
}

/// The verifier, for apps that can't be called back.
#[derive(Template)]
#[template(path = "verifier.html", config = "src/web/askama.toml")]
pub struct VerifierPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub app: String,
    pub verifier: String,
    pub expires: Moment,
}

/// `GET {p}/authorize?oauth_token=…`
pub async fn show(
    pages: Data<Arc<Pages>>,
    provider: Data<Arc<Provider>>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let show = async |visit: &Visit<'_>| ask(visit, &provider, &visit.asked(oauth::TOKEN)).await;
    pages.serve(&request, payload, Access::Dance, show).await
}

/// `POST {p}/authorize`: the login form, or the decision.
pub async fn submit(
    pages: Data<Arc<Pages>>,
    provider: Data<Arc<Provider>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let answer = async |visit: &Visit<'_>| {
        let token = match visit.field(oauth::TOKEN) {
            token if token.is_empty() => visit.asked(oauth::TOKEN),
            token => token,
        };
        match (&visit.session, visit.field("decision").as_str()) {
            // Neither a decision nor a name: whoever is logged in is asked again.
            (Some(_), "") if visit.field("username").is_empty() => Ok(ask_again(visit, &token)),
            (_, "") => log_in(visit, &provider, &store, &token).await,
            // The session ended while the question was open: log in, and be asked again.
            (None, _) => Ok(ask_again(visit, &token)),
            (Some(session), decision) => decide(visit, &provider, session, &token, decision).await,
        }
    };
    pages.serve(&request, payload, Access::Dance, answer).await
}

/// Sends the browser to the question: by GET, so that a reload asks it again and sends no form.
fn ask_again(visit: &Visit<'_>, token: &str) -> HttpResponse {
    see_other(&question(visit, token))
}

/// Asks whoever is logged in, or asks to log in.
async fn ask(visit: &Visit<'_>, provider: &Provider, token: &str) -> Result<HttpResponse, Failed> {
    let pending = pending(visit, provider, token).await?;
    let Some(session) = &visit.session else {
        return Ok(login::show(visit, waiting(visit, token, &pending), Problems::default(), StatusCode::OK));
    };
    let account = &session.account.account;
    // HEAD only asks (RFC 9110 §9.3.2).
    if visit.received.method == "GET" && provider.is_remembered(&pending, account, visit.now()).await? {
        let decided = provider.authorize(token, account, &pending.credentials.scopes, &visit.by()).await?;
        return Ok(leave(visit, token, &pending, &decided));
    }
    Ok(consent(visit, token, &pending, session))
}

async fn decide(
    visit: &Visit<'_>,
    provider: &Provider,
    session: &Session,
    token: &str,
    decision: &str,
) -> Result<HttpResponse, Failed> {
    if !session.admits(&visit.received) {
        return Err(Failed::Form);
    }
    let pending = pending(visit, provider, token).await?;
    let account = &session.account.account;
    let decided = match decision {
        "allow" => {
            let ticked = Scopes::parse_each(visit.fields("scope")).map_err(|_| Failed::Unreadable)?;
            provider.authorize(token, account, &ticked, &visit.by()).await?
        }
        "deny" => provider.deny(token, account, &visit.by()).await?,
        _ => return Err(Failed::Unreadable),
    };
    Ok(leave(visit, token, &pending, &decided))
}

/// Logs in and comes back to the question.
async fn log_in(visit: &Visit<'_>, provider: &Provider, store: &Store, token: &str) -> Result<HttpResponse, Failed> {
    let pending = pending(visit, provider, token).await?;
    match login::log_in(visit, store).await? {
        LoggedIn::Begun(begun) => {
            let mut answer = ask_again(visit, token);
            login::enter(visit, &begun, &mut answer);
            Ok(answer)
        }
        LoggedIn::Already => Ok(ask_again(visit, token)),
        LoggedIn::Refused(refused) => Ok(login::show_refused(visit, waiting(visit, token, &pending), refused)),
    }
}

async fn pending(visit: &Visit<'_>, provider: &Provider, token: &str) -> Result<Pending, Failed> {
    if token.is_empty() {
        let absent = OAuthRefusal::new(Problem::ParameterAbsent, "oauth_token is missing");
        return Err(Rejection::from(absent).into());
    }
    Ok(provider.pending(token, visit.now()).await?)
}

fn waiting(visit: &Visit<'_>, token: &str, pending: &Pending) -> Waiting {
    Waiting {
        action: visit.received.path.to_owned(),
        hidden: vec![(oauth::TOKEN, token.to_owned())],
        app: Some(pending.client.client.name.clone()),
        // A remembered consent leads from the login straight to the app.
        origin: origin_of(&pending.credentials.callback),
    }
}

fn consent(visit: &Visit<'_>, token: &str, pending: &Pending, session: &Session) -> HttpResponse {
    let client = &pending.client.client;
    let scopes = pending.credentials.scopes.iter().map(|scope| ScopeChoice {
        name: scope.as_str().to_owned(),
        title: visit.pages.scope_title(scope.as_str(), visit.text),
        ticked: true,
    });
    let page = ConsentPage {
        frame: Frame { visitor: None, ..visit.frame(Section::None) },
        text: visit.text,
        username: session.account.account.username.to_string(),
        standing: visit.standing(&session.account.account),
        app: client.name.clone(),
        letter: client.name.chars().next().map(|letter| letter.to_uppercase().collect()).unwrap_or_default(),
        host: host_of(&pending.credentials.callback),
        registered: Moment::day_of(client.created_at, visit.text),
        scopes: scopes.collect(),
        action: visit.received.path.to_owned(),
        oauth_token: token.to_owned(),
        here: question(visit, token),
    };
    let origin = origin_of(&pending.credentials.callback);
    visit.page_leading_to(StatusCode::OK, &page, origin.as_deref())
}

/// Back to the app, or the page with the code for it.
fn leave(visit: &Visit<'_>, token: &str, pending: &Pending, decided: &Decided) -> HttpResponse {
    if let Some(to) = redirect_of(token, decided) {
        return see_other(to.expose());
    }
    let frame = visit.frame(Section::None);
    let app = &pending.client.client.name;
    match &decided.verifier {
        Some(verifier) => visit.page(
            StatusCode::OK,
            &VerifierPage {
                frame,
                text: visit.text,
                app: app.clone(),
                verifier: verifier.expose().to_owned(),
                expires: Moment::of(decided.credentials.expires_at, visit.text),
            },
        ),
        None => {
            let denied = (visit.text.consent.denied)(app);
            let page = MessagePage::new(frame, (visit.text.consent.denied_title, &denied, ""));
            visit.page(StatusCode::OK, &page)
        }
    }
}

/// The address of the question.
fn question(visit: &Visit<'_>, token: &str) -> String {
    format!("{}?{}={}", visit.received.path, oauth::TOKEN, encode(token))
}

/// What `form-action` must admit besides ourselves: Chrome applies it to the redirect after a form, too.
fn origin_of(callback: &Callback) -> Option<String> {
    match callback {
        Callback::OutOfBand => None,
        Callback::Uri(uri) => Some(uri.origin()),
    }
}

/// Where people are sent to, in the words that they know: a host, or the scheme of an app on their device, whose own idea of
/// a host is nobody's name.
fn host_of(callback: &Callback) -> Option<String> {
    match callback {
        Callback::OutOfBand => None,
        Callback::Uri(uri) => {
            let host = uri.host().filter(|_| matches!(uri.scheme(), "http" | "https"));
            Some(host.map_or_else(|| format!("{}:", uri.scheme()), str::to_owned))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_of_a_web_address_is_a_name_that_people_know() {
        let shown = |callback| host_of(&Callback::parse(callback).unwrap());
        assert_eq!(shown("https://photos.example.net/cb").as_deref(), Some("photos.example.net"));
        assert_eq!(shown("com.evil.app://accounts.example.com/cb").as_deref(), Some("com.evil.app:"));
    }
}
