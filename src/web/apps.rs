//! Connected apps (`/apps`): what the account holder has allowed, and taking it back.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::account::Reach;
use crate::domain::credentials::GrantId;
use crate::store::Store;
use crate::store::delegations::{DelegationError, GrantFilter, GrantSummary};
use crate::store::page::Page;
use crate::web::failed::Failed;
use crate::web::page::{Frame, Moment, ScopeChoice, Section};
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

/// Apps that are shown at most.
const MOST: u16 = 500;

/// The list of connected apps.
#[derive(Template)]
#[template(path = "apps.html", config = "src/web/askama.toml")]
pub struct AppsPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub apps: Vec<ConnectedApp>,
}

/// One of them.
pub struct ConnectedApp {
    pub grant: String,
    pub name: String,
    pub scopes: Vec<ScopeChoice>,
    pub granted: Moment,
    pub last_used: Option<Moment>,
}

/// `GET /apps`
pub async fn show(pages: Data<Arc<Pages>>, store: Data<Store>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let account = visit.account()?.id.clone();
        let filter = GrantFilter { account: Some(account.clone()), client_key: None };
        let reach = Reach::Account(account);
        let grants = store.delegations.grants(&reach, filter, visit.now(), Page::first(MOST)).await?.items;
        let apps = grants.iter().filter(|grant| grant.active_tokens > 0).map(|grant| connected(visit, grant)).collect();
        Ok(visit.page(StatusCode::OK, &AppsPage { frame: visit.frame(Section::Apps), text: visit.text, apps }))
    };
    pages.serve(&request, payload, Access::LoggedIn, show).await
}

/// `POST /apps/revoke`
pub async fn revoke(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let revoke = async |visit: &Visit<'_>| {
        let account = &visit.account()?.id;
        let id = GrantId::parse(visit.field("grant")).map_err(|_| Failed::NotFound)?;
        let done = match store.delegations.grant(&id).await? {
            Some(grant) if grant.account == *account => match store.delegations.revoke_grant(&id, &visit.by()).await {
                Ok(()) => "revoked",
                // Somebody was faster, perhaps with a second press.
                Err(DelegationError::GrantNotFound) => "already-revoked",
                Err(error) => return Err(error.into()),
            },
            Some(_) => return Err(Failed::NotFound),
            None => "already-revoked",
        };
        Ok(visit.go(&format!("/apps?done={done}")))
    };
    pages.serve(&request, payload, Access::LoggedInToTakeAway, revoke).await
}

/// `POST /apps/revoke-all`
pub async fn revoke_all(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let revoke = async |visit: &Visit<'_>| {
        store.delegations.revoke_all_of_account(&visit.account()?.id, &visit.by()).await?;
        Ok(visit.go("/apps?done=all-revoked"))
    };
    pages.serve(&request, payload, Access::LoggedInToTakeAway, revoke).await
}

fn connected(visit: &Visit<'_>, summary: &GrantSummary) -> ConnectedApp {
    let scopes = summary.grant.scopes.iter().map(|scope| ScopeChoice {
        name: scope.as_str().to_owned(),
        title: visit.pages.scope_title(scope.as_str(), visit.text),
        ticked: true,
    });
    ConnectedApp {
        grant: summary.grant.id.to_string(),
        name: summary.client_name.clone(),
        scopes: scopes.collect(),
        granted: Moment::of(summary.grant.created_at, visit.text),
        last_used: summary.last_used_at.map(|at| Moment::of(at, visit.text)),
    }
}
