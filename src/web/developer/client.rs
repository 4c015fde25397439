//! One client (`/developer/clients/show`), and what its buttons do: rotate the secret, make and revoke tokens, pause, end.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::account::Reach;
use crate::domain::client::ClientStatus;
use crate::domain::credentials::TokenId;
use crate::store::Store;
use crate::store::delegations::{TokenFilter, TokenSummary};
use crate::store::page::Page;
use crate::time::Lifetime;
use crate::web::developer::client_samples::own_token;
use crate::web::developer::own::{ClientHead, MOST_ROWS, Tab, client_head, client_path, own_client};
use crate::web::developer::shown_once::secret_page;
use crate::web::failed::Failed;
use crate::web::page::{Frame, Moment, Section, scope_names};
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

/// What a new secret's predecessor may stay good for, in seconds.
const GRACES: [u32; 4] = [0, 3600, 86_400, 604_800];

/// One client.
#[derive(Template)]
#[template(path = "developer/client.html", config = "src/web/askama.toml")]
pub struct ClientPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub head: ClientHead,
    pub status: ClientStatus,
    pub scopes: Vec<String>,
    pub callbacks: Vec<String>,
    pub methods: Vec<String>,
    pub rsa: Option<RsaKey>,
    pub http_auth: bool,
    pub created: Moment,
    pub last_used: Option<Moment>,
    pub old_secret_until: Option<Moment>,
    pub tokens: Vec<TokenRow>,
    /// Whether there are older ones, which are not shown.
    pub more: bool,
    pub once: String,
}

/// What people compare RSA keys by.
pub struct RsaKey {
    pub bits: usize,
    pub fingerprint: String,
}

/// An access token of a client.
pub struct TokenRow {
    pub id: String,
    pub hint: String,
    pub account: String,
    pub scopes: Vec<String>,
    pub created: Moment,
    pub last_used: Option<Moment>,
}

/// `GET /developer/clients/show?key=…`
pub async fn show(pages: Data<Arc<Pages>>, store: Data<Store>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let summary = own_client(visit, &store).await?;
        let client = &summary.client;
        let filter = TokenFilter {
            client_key: Some(client.client_key.clone()),
            alive_at: Some(visit.now()),
            ..TokenFilter::default()
        };
        let reach = Reach::Account(visit.account()?.id.clone());
        let tokens = store.delegations.tokens(&reach, filter, Page::first(MOST_ROWS)).await?;
        let page = ClientPage {
            frame: visit.frame(Section::Developer),
            text: visit.text,
            head: client_head(visit, client, Tab::Overview),
            status: client.status,
            scopes: scope_names(&client.scopes),
            callbacks: client.callbacks.iter().map(ToString::to_string).collect(),
            methods: client.signature_methods.iter().map(|method| method.as_str().to_owned()).collect(),
            rsa: client
                .rsa_public_key
                .as_ref()
                .map(|key| RsaKey { bits: key.bits(), fingerprint: key.fingerprint().to_owned() }),
            http_auth: client.http_auth,
            created: Moment::of(client.created_at, visit.text),
            last_used: summary.last_used_at.map(|at| Moment::of(at, visit.text)),
            old_secret_until: summary.previous_secret_until.map(|at| Moment::of(at, visit.text)),
            more: tokens.next.is_some(),
            tokens: tokens.items.iter().map(|token| token_row(visit, token)).collect(),
            once: visit.once(),
        };
        Ok(visit.page(StatusCode::OK, &page))
    };
    pages.serve(&request, payload, Access::LoggedIn, show).await
}

/// `POST /developer/clients/rotate?key=…`
pub async fn rotate_secret(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let rotate = async |visit: &Visit<'_>| {
        let client = own_client(visit, &store).await?.client;
        let grace: u32 = visit.field("grace").parse().map_err(|_| Failed::Unreadable)?;
        if !GRACES.contains(&grace) {
            return Err(Failed::Unreadable);
        }
        let grace = Lifetime::from_seconds(grace);
        let by = visit.by();
        let rotated = store.clients.rotate_secret(&client.client_key, grace, &by);
        let issued = visit.carry_out(&store, rotated).await?;
        let old_until = (grace.seconds() > 0).then(|| Moment::of(visit.now() + grace, visit.text));
        let title = visit.text.developer.rotated.to_owned();
        Ok(secret_page(visit, title, &issued.client, Some(&issued.secret), None, old_until))
    };
    pages.serve(&request, payload, Access::LoggedIn, rotate).await
}

/// `POST /developer/clients/token?key=…`: an access token of the owner's own, without a dance.
pub async fn make_own_token(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let make = async |visit: &Visit<'_>| {
        let client = own_client(visit, &store).await?.client;
        let token = visit.carry_out(&store, own_token(visit, &store, &client, visit.account()?)).await?;
        let title = visit.text.developer.own_access_token.to_owned();
        Ok(secret_page(visit, title, &client, None, Some(&token), None))
    };
    pages.serve(&request, payload, Access::LoggedIn, make).await
}

/// `POST /developer/clients/revoke?key=…`: ends one token of the client.
pub async fn revoke_token(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let revoke = async |visit: &Visit<'_>| {
        let client = own_client(visit, &store).await?.client;
        let id = TokenId::parse(visit.field("token")).map_err(|_| Failed::NotFound)?;
        let token = store.delegations.token(id.as_str()).await?.ok_or(Failed::NotFound)?;
        if token.client_key != client.client_key {
            return Err(Failed::NotFound);
        }
        store.delegations.revoke_token(&id, &visit.by()).await?;
        Ok(visit.go(&client_path("show", &client, "token-revoked")))
    };
    pages.serve(&request, payload, Access::LoggedInToTakeAway, revoke).await
}

/// `POST /developer/clients/disable?key=…`
pub async fn disable(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    set_enabled(&pages, &store, &request, payload, false).await
}

/// `POST /developer/clients/enable?key=…`
pub async fn enable(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    set_enabled(&pages, &store, &request, payload, true).await
}

async fn set_enabled(
    pages: &Pages,
    store: &Store,
    request: &HttpRequest,
    payload: Payload,
    enabled: bool,
) -> HttpResponse {
    let set = async |visit: &Visit<'_>| {
        let client = own_client(visit, store).await?.client;
        store.clients.set_enabled(&client.client_key, enabled, &visit.by()).await?;
        Ok(visit.go(&client_path("show", &client, "saved")))
    };
    let access = if enabled { Access::LoggedIn } else { Access::LoggedInToTakeAway };
    pages.serve(request, payload, access, set).await
}

/// `POST /developer/clients/delete?key=…`
pub async fn delete(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let delete = async |visit: &Visit<'_>| {
        let client = own_client(visit, &store).await?.client;
        store.clients.delete(&client.client_key, &visit.by()).await?;
        Ok(visit.go("/developer/clients?done=client-deleted"))
    };
    pages.serve(&request, payload, Access::LoggedInToTakeAway, delete).await
}

fn token_row(visit: &Visit<'_>, summary: &TokenSummary) -> TokenRow {
    let token = &summary.token;
    TokenRow {
        id: token.id.to_string(),
        hint: token.hint.to_string(),
        account: summary.username.to_string(),
        scopes: scope_names(&token.scopes),
        created: Moment::of(token.created_at, visit.text),
        last_used: summary.last_used_at.map(|at| Moment::of(at, visit.text)),
    }
}
