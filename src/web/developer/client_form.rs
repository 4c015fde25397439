//! The form of a new client (`/developer/clients/new`) and of the settings of one (`…/edit`): what is typed stays, and why
//! it is refused stands beside it.

use std::sync::Arc;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::account::Account;
use crate::domain::client::{Callback, Client, SignatureMethods, check_name};
use crate::domain::scope::Scopes;
use crate::protocol::signature::SignatureMethod;
use crate::store::Store;
use crate::store::clients::{ClientUpdate, NewClient};
use crate::web::developer::client_samples::own_token;
use crate::web::developer::own::{ClientHead, Tab, client_head, client_path, own_client};
use crate::web::developer::shown_once::secret_page;
use crate::web::page::{Frame, Problems, ScopeChoice, Section};
use crate::web::reasons;
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

/// The form of a new client, or of the settings of one.
#[derive(Template)]
#[template(path = "developer/form.html", config = "src/web/askama.toml")]
pub struct ClientFormPage {
    pub frame: Frame,
    pub text: &'static Texts,
    /// The client whose settings these are; nothing: a new one.
    pub head: Option<ClientHead>,
    pub form: ClientForm,
    pub once: String,
}

/// What is typed into it.
#[derive(Default)]
pub struct ClientForm {
    pub name: String,
    /// One a line.
    pub callbacks: String,
    /// Those that the configuration names.
    pub scopes: Vec<ScopeChoice>,
    pub other_scopes: String,
    pub methods: Vec<MethodChoice>,
    pub rsa_public_key: String,
    pub http_auth: bool,
    pub own_token: bool,
}

/// A signature method with a box to tick.
pub struct MethodChoice {
    pub name: &'static str,
    pub ticked: bool,
}

/// `GET /developer/clients/new`
pub async fn new(pages: Data<Arc<Pages>>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let form = ClientForm {
            scopes: visit.pages.scope_choices(visit.text, |_| false),
            methods: method_choices(&visit.pages.signature_methods, |_| false),
            http_auth: true,
            own_token: true,
            ..ClientForm::default()
        };
        Ok(form_page(visit, None, form, Problems::default()))
    };
    pages.serve(&request, payload, Access::LoggedIn, show).await
}

/// `POST /developer/clients/new`
pub async fn create(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let create = async |visit: &Visit<'_>| {
        let account = visit.account()?;
        let typed = match TypedClient::read(visit, account) {
            Ok(typed) => typed,
            Err(problems) => return Ok(form_page(visit, None, ClientForm::typed(visit), problems)),
        };
        let new = NewClient {
            owner: account.id.clone(),
            name: typed.name,
            callbacks: typed.callbacks,
            scopes: typed.scopes,
            signature_methods: typed.methods,
            rsa_public_key: typed.rsa_public_key,
            http_auth: typed.http_auth,
        };
        let issued = visit.carry_out(&store, store.clients.create(new, &visit.by())).await?;
        let token = match visit.field("own_token").is_empty() {
            true => None,
            // The secret is shown now or never: a token can be made later.
            false => own_token(visit, &store, &issued.client, account)
                .await
                .inspect_err(|error| tracing::warn!(?error, "a new client got no token of its owner's"))
                .ok(),
        };
        let title = (visit.text.developer.created)(&issued.client.name);
        Ok(secret_page(visit, title, &issued.client, Some(&issued.secret), token.as_ref(), None))
    };
    pages.serve(&request, payload, Access::LoggedIn, create).await
}

/// `GET /developer/clients/callbacks`: what is wrong with callbacks while they are typed; nothing if nothing is.
pub async fn check_callbacks(pages: Data<Arc<Pages>>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let check = async |visit: &Visit<'_>| {
        let reason = reasons::callbacks(&visit.asked("callbacks"), visit.text).err().unwrap_or_default();
        Ok(HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "no-store"))
            .content_type("text/plain; charset=utf-8")
            .body(reason))
    };
    pages.serve(&request, payload, Access::LoggedIn, check).await
}

/// `GET /developer/clients/edit?key=…`
pub async fn edit(pages: Data<Arc<Pages>>, store: Data<Store>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let client = own_client(visit, &store).await?.client;
        let head = client_head(visit, &client, Tab::Settings);
        Ok(form_page(visit, Some(head), ClientForm::of(visit, &client), Problems::default()))
    };
    pages.serve(&request, payload, Access::LoggedIn, show).await
}

/// `POST /developer/clients/edit?key=…`
pub async fn update(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let update = async |visit: &Visit<'_>| {
        let client = own_client(visit, &store).await?.client;
        let typed = match TypedClient::read(visit, visit.account()?) {
            Ok(typed) => typed,
            Err(problems) => {
                let head = client_head(visit, &client, Tab::Settings);
                return Ok(form_page(visit, Some(head), ClientForm::typed(visit), problems));
            }
        };
        let update = ClientUpdate {
            name: Some(typed.name),
            callbacks: Some(typed.callbacks),
            scopes: Some(typed.scopes),
            signature_methods: Some(typed.methods),
            rsa_public_key: Some(typed.rsa_public_key),
            http_auth: Some(typed.http_auth),
            enabled: None,
        };
        store.clients.update(&client.client_key, update, &visit.by()).await?;
        Ok(visit.go(&client_path("show", &client, "saved")))
    };
    pages.serve(&request, payload, Access::LoggedIn, update).await
}

fn form_page(visit: &Visit<'_>, head: Option<ClientHead>, form: ClientForm, problems: Problems) -> HttpResponse {
    let (status, frame) = visit.returned(Section::Developer, problems);
    visit.page(status, &ClientFormPage { frame, text: visit.text, head, form, once: visit.once() })
}

/// A client's form, read and found good.
struct TypedClient {
    name: String,
    callbacks: Vec<Callback>,
    scopes: Scopes,
    methods: SignatureMethods,
    rsa_public_key: Option<crate::domain::client::RsaPublicKey>,
    http_auth: bool,
}

impl TypedClient {
    fn read(visit: &Visit<'_>, owner: &Account) -> Result<Self, Problems> {
        let text = visit.text;
        let mut problems = Problems::default();
        let name = visit.field("name").trim().to_owned();
        if let Err(error) = check_name(&name) {
            problems.add("name", reasons::name(&error, text));
        }
        let callbacks = reasons::callbacks(&visit.field("callbacks"), text)
            .unwrap_or_else(|reason| problems.skip("callbacks", reason));
        let scopes = typed_scopes(visit, owner).unwrap_or_else(|reason| problems.skip("other_scopes", reason));
        let methods = SignatureMethods::from_names(visit.fields("signature_method")).unwrap_or_else(|_| {
            problems.add("", text.reasons.choice);
            SignatureMethods::ANY
        });
        let rsa_public_key = reasons::rsa_key(&visit.field("rsa_public_key"), text)
            .unwrap_or_else(|reason| problems.skip("rsa_public_key", reason));
        if rsa_public_key.is_none() && !problems.has("rsa_public_key") && methods.iter().all(SignatureMethod::is_rsa) {
            problems.add("rsa_public_key", text.reasons.rsa_missing);
        }
        if problems.any() {
            return Err(problems);
        }
        let http_auth = !visit.field("http_auth").is_empty();
        Ok(Self { name, callbacks, scopes, methods, rsa_public_key, http_auth })
    }
}

/// The ticked scopes and the typed ones. What rules the server itself is only given by those who hold it.
fn typed_scopes(visit: &Visit<'_>, owner: &Account) -> Result<Scopes, String> {
    let typed = [visit.fields("scope"), vec![visit.field("other_scopes")]].concat();
    let scopes = Scopes::parse_each(typed).map_err(|error| reasons::scope(&error, visit.text))?;
    let beyond = scopes.iter().find(|scope| scope.is_management() && !owner.scopes.admits(scope.as_str()));
    if let Some(scope) = beyond {
        return Err((visit.text.reasons.scope_not_yours)(scope.as_str()));
    }
    Ok(scopes)
}

impl ClientForm {
    /// As it was typed.
    fn typed(visit: &Visit<'_>) -> Self {
        let (scopes, methods) = (visit.fields("scope"), visit.fields("signature_method"));
        Self {
            name: visit.field("name"),
            callbacks: visit.field("callbacks"),
            scopes: visit.pages.scope_choices(visit.text, |name| scopes.iter().any(|ticked| ticked == name)),
            other_scopes: visit.field("other_scopes"),
            methods: method_choices(&visit.pages.signature_methods, |method| {
                methods.iter().any(|ticked| ticked == method.as_str())
            }),
            rsa_public_key: visit.field("rsa_public_key"),
            http_auth: !visit.field("http_auth").is_empty(),
            own_token: !visit.field("own_token").is_empty(),
        }
    }

    /// As the client is.
    fn of(visit: &Visit<'_>, client: &Client) -> Self {
        let choices = visit.pages.scope_choices(visit.text, |name| client.scopes.contains(name));
        let others = client.scopes.iter().filter(|scope| choices.iter().all(|choice| choice.name != scope.as_str()));
        let any = client.signature_methods == SignatureMethods::ANY;
        Self {
            name: client.name.clone(),
            callbacks: client.callbacks.iter().map(Callback::as_str).collect::<Vec<_>>().join("\n"),
            other_scopes: others.map(|scope| scope.as_str()).collect::<Vec<_>>().join(" "),
            scopes: choices,
            methods: method_choices(&visit.pages.signature_methods, |method| {
                !any && client.signature_methods.admits(method)
            }),
            rsa_public_key: client.rsa_public_key.as_ref().map(|key| key.pem().to_owned()).unwrap_or_default(),
            http_auth: client.http_auth,
            own_token: false,
        }
    }
}

/// Those that the server admits. One that it does not stays where it is ticked: without it, none might be left, which
/// means all.
fn method_choices(admitted: &[SignatureMethod], ticked: impl Fn(SignatureMethod) -> bool) -> Vec<MethodChoice> {
    let all = SignatureMethod::ALL.into_iter();
    let choices = all.map(|method| (admitted.contains(&method), method.as_str(), ticked(method)));
    choices
        .filter(|(admitted, _, ticked)| *admitted || *ticked)
        .map(|(_, name, ticked)| MethodChoice { name, ticked })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_the_server_refuses_is_offered_only_to_be_taken_away() {
        let names = |ticked: Option<SignatureMethod>| {
            let admitted = [SignatureMethod::HmacSha256, SignatureMethod::RsaSha256];
            method_choices(&admitted, |method| Some(method) == ticked)
                .iter()
                .map(|choice| (choice.name, choice.ticked))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(None), [("HMAC-SHA256", false), ("RSA-SHA256", false)]);
        let ticked = names(Some(SignatureMethod::Plaintext));
        assert_eq!(ticked, [("HMAC-SHA256", false), ("RSA-SHA256", false), ("PLAINTEXT", true)]);
    }
}
