//! The developer console: clients (`/developer/clients…`) and API keys (`/developer/keys…`).

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::auth::enrolment;
use crate::domain::account::{Account, Reach};
use crate::domain::client::{Callback, Client, ClientStatus, SignatureMethods, check_name};
use crate::domain::credentials::{ClientKey, PublicKey, Secret, TokenId, check_line};
use crate::domain::scope::Scopes;
use crate::protocol::encoding::encode;
use crate::protocol::signature::SignatureMethod;
use crate::store::Store;
use crate::store::api_keys::{ApiKeySummary, NewApiKey};
use crate::store::audit::Page;
use crate::store::clients::{ClientSummary, ClientUpdate, NewClient};
use crate::store::delegations::{IssuedToken, TokenFilter, TokenSummary};
use crate::time::Lifetime;
use crate::web::page::{Badge, Choice, Frame, Moment, Problems, ScopeChoice, Section, text_to_download};
use crate::web::reasons;
use crate::web::samples::{self, FilledSample, SampleMethod, SampleValues};
use crate::web::texts::Texts;
use crate::web::visit::{Access, Failed, Pages, Visit};

/// Clients, keys or tokens that are shown at most.
const MOST: u16 = 500;

/// What a new secret's predecessor may stay good for, in seconds.
const GRACES: [u32; 4] = [0, 3600, 86_400, 604_800];

/// After how many days a key may end.
const EXPIRY_DAYS: [u32; 4] = [7, 30, 90, 365];

const SECONDS_A_DAY: u32 = 86_400;

/// The list of clients.
#[derive(Template)]
#[template(path = "developer/clients.html", config = "src/web/askama.toml")]
pub struct ClientsPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub clients: Vec<ClientRow>,
}

/// One client of the list.
pub struct ClientRow {
    /// The id of the element that a copy button copies.
    pub element: String,
    pub key: String,
    pub name: String,
    pub status: Badge,
    pub scopes: Vec<String>,
    pub callbacks: Vec<String>,
    pub tokens: i64,
    pub last_used: Option<Moment>,
}

/// What the pages of one client begin with.
pub struct ClientHead {
    pub key: String,
    pub name: String,
    pub status: Badge,
    pub tab: Tab,
}

/// The pages of one client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tab {
    Overview,
    Settings,
    Samples,
    Inspector,
}

/// One client.
#[derive(Template)]
#[template(path = "developer/client.html", config = "src/web/askama.toml")]
pub struct ClientPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub head: ClientHead,
    pub active: bool,
    pub scopes: Vec<String>,
    pub callbacks: Vec<String>,
    pub methods: Vec<String>,
    pub rsa: Option<RsaKey>,
    pub http_auth: bool,
    pub created: Moment,
    pub last_used: Option<Moment>,
    pub old_secret_until: Option<Moment>,
    pub tokens: Vec<TokenRow>,
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

/// The samples of a client.
#[derive(Template)]
#[template(path = "developer/samples.html", config = "src/web/askama.toml")]
pub struct SamplesPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub head: ClientHead,
    pub samples: Vec<FilledSample>,
}

/// Secrets, for once.
#[derive(Template)]
#[template(path = "developer/secret.html", config = "src/web/askama.toml")]
pub struct SecretPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub title: String,
    pub values: Vec<ShownValue>,
    /// The name of the file that can be downloaded, and its address.
    pub file: String,
    pub download: String,
    pub old_until: Option<Moment>,
    pub samples: Vec<FilledSample>,
    pub samples_note: &'static str,
    /// Where to go afterwards.
    pub onward: String,
}

/// A value with a label and a copy button.
pub struct ShownValue {
    pub element: &'static str,
    pub label: &'static str,
    pub value: String,
}

/// The list of API keys.
#[derive(Template)]
#[template(path = "developer/keys.html", config = "src/web/askama.toml")]
pub struct KeysPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub keys: Vec<KeyRow>,
    pub once: String,
}

/// One API key.
pub struct KeyRow {
    /// The id of the element that a copy button copies.
    pub element: String,
    pub public_key: String,
    pub name: String,
    /// Nothing: the account's.
    pub scopes: Option<Vec<String>>,
    pub expires: Option<Moment>,
    pub expired: bool,
    pub last_used: Option<Moment>,
    /// Who acts with it in the account's place.
    pub made_by: Option<String>,
}

/// The form of a new API key.
#[derive(Template)]
#[template(path = "developer/key_form.html", config = "src/web/askama.toml")]
pub struct KeyFormPage {
    pub frame: Frame,
    pub text: &'static Texts,
    pub action: String,
    pub back: String,
    pub back_label: &'static str,
    /// Whose key it will be, if not the visitor's own.
    pub for_account: Option<String>,
    pub form: KeyForm,
    pub expiries: Vec<Choice>,
    pub once: String,
}

/// What is typed into it.
#[derive(Default)]
pub struct KeyForm {
    pub name: String,
    pub scopes: String,
    pub expires_in: String,
}

/// `GET /developer/clients`
pub async fn clients(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let account = visit.account()?.id.clone();
        let reach = Reach::Account(account);
        let found = store.clients.list(&reach, None, visit.now(), Page::first(MOST)).await?.items;
        let clients = found.iter().enumerate().map(|(number, summary)| client_row(visit, number, summary)).collect();
        let page = ClientsPage { frame: visit.frame(Section::Developer), text: visit.text, clients };
        Ok(visit.page(StatusCode::OK, &page))
    };
    pages.serve(&request, payload, Access::LoggedIn, show).await
}

/// `GET /developer/clients/new`
pub async fn new_client(pages: Data<Arc<Pages>>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let form = ClientForm {
            scopes: visit.pages.scope_choices(visit.text, |_| false),
            methods: method_choices(|_| false),
            http_auth: true,
            own_token: true,
            ..ClientForm::default()
        };
        Ok(form_page(visit, None, form, Problems::default()))
    };
    pages.serve(&request, payload, Access::LoggedIn, show).await
}

/// `POST /developer/clients/new`
pub async fn create_client(
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
        visit.take_once()?;
        let new = NewClient {
            owner: account.id.clone(),
            name: typed.name,
            callbacks: typed.callbacks,
            scopes: typed.scopes,
            signature_methods: typed.methods,
            rsa_public_key: typed.rsa_public_key,
            http_auth: typed.http_auth,
        };
        let issued = store.clients.create(new, &visit.by()).await?;
        let token = match visit.field("own_token").is_empty() {
            true => None,
            false => Some(own_token(visit, &store, &issued.client, account).await?),
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

/// `GET /developer/clients/show?key=…`
pub async fn show_client(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let summary = own_client(visit, &store).await?;
        let client = &summary.client;
        let filter = TokenFilter {
            client_key: Some(client.client_key.clone()),
            alive_at: Some(visit.now()),
            ..TokenFilter::default()
        };
        let reach = Reach::Account(visit.account()?.id.clone());
        let tokens = store.delegations.tokens(&reach, filter, Page::first(MOST)).await?.items;
        let page = ClientPage {
            frame: visit.frame(Section::Developer),
            text: visit.text,
            head: client_head(visit, client, Tab::Overview),
            active: client.status == ClientStatus::Active,
            scopes: names(&client.scopes),
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
            tokens: tokens.iter().map(|token| token_row(visit, token)).collect(),
            once: visit.once(),
        };
        Ok(visit.page(StatusCode::OK, &page))
    };
    pages.serve(&request, payload, Access::LoggedIn, show).await
}

/// `GET /developer/clients/edit?key=…`
pub async fn edit_client(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let client = own_client(visit, &store).await?.client;
        let head = client_head(visit, &client, Tab::Settings);
        Ok(form_page(visit, Some(head), ClientForm::of(visit, &client), Problems::default()))
    };
    pages.serve(&request, payload, Access::LoggedIn, show).await
}

/// `POST /developer/clients/edit?key=…`
pub async fn update_client(
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
        };
        store.clients.update(&client.client_key, update, &visit.by()).await?;
        Ok(visit.go(&client_path("show", &client, "saved")))
    };
    pages.serve(&request, payload, Access::LoggedIn, update).await
}

/// `GET /developer/clients/samples?key=…`
pub async fn show_samples(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let client = own_client(visit, &store).await?.client;
        let page = SamplesPage {
            frame: visit.frame(Section::Developer),
            text: visit.text,
            head: client_head(visit, &client, Tab::Samples),
            samples: filled(visit, &client, None, None),
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
        visit.take_once()?;
        let grace = Lifetime::from_seconds(grace);
        let issued = store.clients.rotate_secret(&client.client_key, grace, &visit.by()).await?;
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
        visit.take_once()?;
        let token = own_token(visit, &store, &client, visit.account()?).await?;
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
    pages.serve(&request, payload, Access::LoggedIn, revoke).await
}

/// `POST /developer/clients/disable?key=…`
pub async fn disable_client(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    set_status(&pages, &store, &request, payload, ClientStatus::Disabled).await
}

/// `POST /developer/clients/enable?key=…`
pub async fn enable_client(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    set_status(&pages, &store, &request, payload, ClientStatus::Active).await
}

async fn set_status(
    pages: &Pages,
    store: &Store,
    request: &HttpRequest,
    payload: Payload,
    status: ClientStatus,
) -> HttpResponse {
    let set = async |visit: &Visit<'_>| {
        let client = own_client(visit, store).await?.client;
        store.clients.set_status(&client.client_key, status, &visit.by()).await?;
        Ok(visit.go(&client_path("show", &client, "saved")))
    };
    pages.serve(request, payload, Access::LoggedIn, set).await
}

/// `POST /developer/clients/delete?key=…`
pub async fn delete_client(
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
    pages.serve(&request, payload, Access::LoggedIn, delete).await
}

/// `GET /developer/keys`
pub async fn keys(pages: Data<Arc<Pages>>, store: Data<Store>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let reach = Reach::Account(visit.account()?.id.clone());
        let found = store.api_keys.list(&reach, None, Page::first(MOST)).await?.items;
        let keys = found.iter().enumerate().map(|(number, summary)| key_row(visit, number, summary)).collect();
        let page = KeysPage { frame: visit.frame(Section::Developer), text: visit.text, keys, once: visit.once() };
        Ok(visit.page(StatusCode::OK, &page))
    };
    pages.serve(&request, payload, Access::LoggedIn, show).await
}

/// `GET /developer/keys/new`
pub async fn new_key(pages: Data<Arc<Pages>>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let page = key_form(visit, &KeyPlace::own(visit), KeyForm::default(), Problems::default());
        Ok(visit.page(StatusCode::OK, &page))
    };
    pages.serve(&request, payload, Access::LoggedIn, show).await
}

/// `POST /developer/keys/new`
pub async fn create_key(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let create = async |visit: &Visit<'_>| make_key(visit, &store, visit.account()?, &KeyPlace::own(visit)).await;
    pages.serve(&request, payload, Access::LoggedIn, create).await
}

/// `POST /developer/keys/regenerate`
pub async fn regenerate_key(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let regenerate = async |visit: &Visit<'_>| {
        let public_key = own_key(visit, &store).await?;
        visit.take_once()?;
        let private_key = Secret::generate(&mut rand::rng());
        let digest = enrolment::private_key(&private_key, &public_key, visit.account()?, &visit.pages.realm);
        let key = store.api_keys.regenerate(&public_key, private_key.clone(), digest, &visit.by()).await?;
        let title = (visit.text.keys.regenerated)(&key.name);
        Ok(key_page(visit, title, &public_key, &private_key, &visit.path("/developer/keys")))
    };
    pages.serve(&request, payload, Access::LoggedIn, regenerate).await
}

/// `POST /developer/keys/delete`
pub async fn delete_key(
    pages: Data<Arc<Pages>>,
    store: Data<Store>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let delete = async |visit: &Visit<'_>| {
        let public_key = own_key(visit, &store).await?;
        store.api_keys.delete(&public_key, &visit.by()).await?;
        Ok(visit.go("/developer/keys?done=key-deleted"))
    };
    pages.serve(&request, payload, Access::LoggedIn, delete).await
}

/// The client that `key` in the query names, if it is the visitor's.
///
/// # Errors
/// [`Failed::NotFound`], also where it is somebody else's.
pub async fn own_client(visit: &Visit<'_>, store: &Store) -> Result<ClientSummary, Failed> {
    let key = ClientKey::parse(visit.asked("key")).map_err(|_| Failed::NotFound)?;
    let summary = store.clients.show(&key, visit.now()).await?.ok_or(Failed::NotFound)?;
    if summary.client.owner == visit.account()?.id { Ok(summary) } else { Err(Failed::NotFound) }
}

/// What the pages of this client begin with.
pub fn client_head(visit: &Visit<'_>, client: &Client, tab: Tab) -> ClientHead {
    ClientHead {
        key: client.client_key.to_string(),
        name: client.name.clone(),
        status: Badge::of_client(client.status, visit.text),
        tab,
    }
}

fn client_path(page: &str, client: &Client, done: &str) -> String {
    format!("/developer/clients/{page}?key={}&done={done}", encode(client.client_key.as_str()))
}

async fn own_token(visit: &Visit<'_>, store: &Store, client: &Client, owner: &Account) -> Result<IssuedToken, Failed> {
    let scopes = owner.scopes.admit(&client.scopes);
    let lifetime = visit.pages.token_lifetime;
    Ok(store.delegations.issue_directly(&client.client_key, &owner.id, scopes, lifetime, &visit.by()).await?)
}

/// The key that `public_key` in the form names, if it is the visitor's.
async fn own_key(visit: &Visit<'_>, store: &Store) -> Result<PublicKey, Failed> {
    let public_key = PublicKey::parse(visit.field("public_key")).map_err(|_| Failed::NotFound)?;
    let key = store.api_keys.find(&public_key).await?.ok_or(Failed::NotFound)?;
    if key.account == visit.account()?.id { Ok(public_key) } else { Err(Failed::NotFound) }
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
            .unwrap_or_else(|reason| note(&mut problems, "callbacks", reason));
        let scopes = typed_scopes(visit, owner).unwrap_or_else(|reason| note(&mut problems, "other_scopes", reason));
        let methods = SignatureMethods::from_names(visit.fields("signature_method"))
            .unwrap_or_else(|_| note_methods(&mut problems, text));
        let rsa_public_key = reasons::rsa_key(&visit.field("rsa_public_key"), text)
            .unwrap_or_else(|reason| note(&mut problems, "rsa_public_key", reason));
        if problems.any() {
            return Err(problems);
        }
        let http_auth = !visit.field("http_auth").is_empty();
        Ok(Self { name, callbacks, scopes, methods, rsa_public_key, http_auth })
    }
}

/// Writes the reason down and goes on with nothing, so that every field is looked at.
fn note<T: Default>(problems: &mut Problems, field: &'static str, reason: String) -> T {
    problems.add(field, reason);
    T::default()
}

fn note_methods(problems: &mut Problems, text: &Texts) -> SignatureMethods {
    problems.add("", text.reasons.choice);
    SignatureMethods::ANY
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
            methods: method_choices(|method| methods.iter().any(|ticked| ticked == method.as_str())),
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
            methods: method_choices(|method| !any && client.signature_methods.admits(method)),
            rsa_public_key: client.rsa_public_key.as_ref().map(|key| key.pem().to_owned()).unwrap_or_default(),
            http_auth: client.http_auth,
            own_token: false,
        }
    }
}

fn method_choices(ticked: impl Fn(SignatureMethod) -> bool) -> Vec<MethodChoice> {
    let all = SignatureMethod::ALL.into_iter();
    all.map(|method| MethodChoice { name: method.as_str(), ticked: ticked(method) }).collect()
}

fn form_page(visit: &Visit<'_>, head: Option<ClientHead>, form: ClientForm, problems: Problems) -> HttpResponse {
    let status = if problems.any() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let mut frame = visit.frame(Section::Developer);
    frame.problems = problems;
    visit.page(status, &ClientFormPage { frame, text: visit.text, head, form, once: visit.once() })
}

/// Samples with these secrets; where there is none, with a word to replace.
fn filled(
    visit: &Visit<'_>,
    client: &Client,
    secret: Option<&Secret>,
    token: Option<&IssuedToken>,
) -> Vec<FilledSample> {
    samples::fill(&SampleValues {
        client_key: client.client_key.as_str(),
        client_secret: secret.map_or("YOUR_CLIENT_SECRET", Secret::expose),
        token: token.map_or("YOUR_TOKEN", |token| token.token.expose()),
        token_secret: token.map_or("YOUR_TOKEN_SECRET", |token| token.secret.expose()),
        url: &format!("{}/v2/me", visit.origin()),
        method: SampleMethod::of(client.signature_methods).unwrap_or(SampleMethod::Sha256),
    })
}

/// What was made, for once.
fn secret_page(
    visit: &Visit<'_>,
    title: String,
    client: &Client,
    secret: Option<&Secret>,
    token: Option<&IssuedToken>,
    old_until: Option<Moment>,
) -> HttpResponse {
    let text = visit.text;
    let words = &text.developer;
    let key = client.client_key.as_str();
    let mut values = vec![ShownValue::new("shown-client-key", words.client_key, key)];
    let mut lines = vec![("OAUTH_CLIENT_KEY", key)];
    if let Some(secret) = secret {
        values.push(ShownValue::new("shown-client-secret", words.client_secret, secret.expose()));
        lines.push(("OAUTH_CLIENT_SECRET", secret.expose()));
    }
    if let Some(token) = token {
        values.push(ShownValue::new("shown-token", words.token, token.token.expose()));
        values.push(ShownValue::new("shown-token-secret", words.token_secret, token.secret.expose()));
        lines.extend([("OAUTH_TOKEN", token.token.expose()), ("OAUTH_TOKEN_SECRET", token.secret.expose())]);
    }
    let origin = visit.origin();
    lines.push(("OAUTH_BASE_URL", &origin));
    let samples_note = match (SampleMethod::of(client.signature_methods), secret, token) {
        (None, _, _) => words.samples_rsa,
        (Some(_), Some(_), Some(_)) => words.samples_filled,
        (Some(_), None, Some(_)) => words.samples_secret_missing,
        (Some(_), _, None) => words.samples_placeholders,
    };
    let page = SecretPage {
        frame: visit.frame(Section::Developer),
        text,
        title,
        values,
        file: ENVIRONMENT_FILE.to_owned(),
        download: text_to_download(&environment(&lines)),
        old_until,
        samples: filled(visit, client, secret, token),
        samples_note,
        onward: visit.path(&format!("/developer/clients/show?key={}", encode(key))),
    };
    visit.page(StatusCode::OK, &page)
}

impl ShownValue {
    fn new(element: &'static str, label: &'static str, value: &str) -> Self {
        Self { element, label, value: value.to_owned() }
    }
}

const ENVIRONMENT_FILE: &str = "countersign.env";

/// Lines of a `.env` file, quoted so that shells and libraries read the same.
fn environment(lines: &[(&str, &str)]) -> String {
    lines.iter().map(|(name, value)| format!("{name}='{}'\n", value.replace('\'', r"'\''"))).collect()
}

fn client_row(visit: &Visit<'_>, number: usize, summary: &ClientSummary) -> ClientRow {
    let client = &summary.client;
    ClientRow {
        element: format!("client-{number}"),
        key: client.client_key.to_string(),
        name: client.name.clone(),
        status: Badge::of_client(client.status, visit.text),
        scopes: names(&client.scopes),
        callbacks: client.callbacks.iter().map(ToString::to_string).collect(),
        tokens: summary.active_tokens,
        last_used: summary.last_used_at.map(|at| Moment::of(at, visit.text)),
    }
}

fn token_row(visit: &Visit<'_>, summary: &TokenSummary) -> TokenRow {
    let token = &summary.token;
    TokenRow {
        id: token.id.to_string(),
        hint: token.hint.to_string(),
        account: summary.username.to_string(),
        scopes: names(&token.scopes),
        created: Moment::of(token.created_at, visit.text),
        last_used: summary.last_used_at.map(|at| Moment::of(at, visit.text)),
    }
}

fn key_row(visit: &Visit<'_>, number: usize, summary: &ApiKeySummary) -> KeyRow {
    let key = &summary.key;
    KeyRow {
        element: format!("key-{number}"),
        public_key: key.public_key.to_string(),
        name: key.name.clone(),
        scopes: key.scopes.as_ref().map(names),
        expires: key.expires_at.map(|at| Moment::of(at, visit.text)),
        expired: key.is_expired(visit.now()),
        last_used: summary.last_used_at.map(|at| Moment::of(at, visit.text)),
        made_by: key.impersonator.as_ref().map(|by| by.username.to_string()),
    }
}

fn names(scopes: &Scopes) -> Vec<String> {
    scopes.iter().map(|scope| scope.as_str().to_owned()).collect()
}

/// Where a key's form stands: in the developer's own list, or with an account of the administration.
pub struct KeyPlace {
    pub action: String,
    pub back: String,
    pub back_label: &'static str,
    pub for_account: Option<String>,
    pub section: Section,
}

impl KeyPlace {
    fn own(visit: &Visit<'_>) -> Self {
        Self {
            action: visit.path("/developer/keys/new"),
            back: visit.path("/developer/keys"),
            back_label: visit.text.developer.keys,
            for_account: None,
            section: Section::Developer,
        }
    }
}

/// The form of a new key.
pub fn key_form(visit: &Visit<'_>, place: &KeyPlace, form: KeyForm, problems: Problems) -> KeyFormPage {
    let text = visit.text;
    let never = Choice { value: String::new(), label: text.words.never.to_owned() };
    let days = EXPIRY_DAYS.into_iter().map(|days| Choice {
        value: (days * SECONDS_A_DAY).to_string(),
        label: (text.keys.days)(usize::try_from(days).unwrap_or_default()),
    });
    let mut frame = visit.frame(place.section);
    frame.problems = problems;
    KeyFormPage {
        frame,
        text,
        action: place.action.clone(),
        back: place.back.clone(),
        back_label: place.back_label,
        for_account: place.for_account.clone(),
        form,
        expiries: std::iter::once(never).chain(days).collect(),
        once: visit.once(),
    }
}

/// Makes a key for `account` by the visit's form, and shows it for once.
///
/// # Errors
/// As [`crate::store::api_keys::ApiKeys::create`].
pub async fn make_key(
    visit: &Visit<'_>,
    store: &Store,
    account: &Account,
    place: &KeyPlace,
) -> Result<HttpResponse, Failed> {
    let text = visit.text;
    let form =
        KeyForm { name: visit.field("name"), scopes: visit.field("scopes"), expires_in: visit.field("expires_in") };
    let mut problems = Problems::default();
    let name = form.name.trim().to_owned();
    if let Err(error) = check_line("a key's name", &name, 200) {
        problems.add("name", reasons::name(&error, text));
    }
    let scopes: Scopes =
        reasons::scopes(&form.scopes, text).unwrap_or_else(|reason| note(&mut problems, "scopes", reason));
    if let Some(beyond) = scopes.iter().find(|scope| !account.scopes.admits(scope.as_str())) {
        problems.add("scopes", (text.reasons.scope_not_yours)(beyond.as_str()));
    }
    let expires_in = match form.expires_in.as_str() {
        "" => None,
        typed => {
            match typed.parse().ok().filter(|seconds| EXPIRY_DAYS.iter().any(|days| days * SECONDS_A_DAY == *seconds)) {
                Some(seconds) => Some(Lifetime::from_seconds(seconds)),
                None => note(&mut problems, "expires_in", text.reasons.choice.to_owned()),
            }
        }
    };
    if problems.any() {
        return Ok(visit.page(StatusCode::UNPROCESSABLE_ENTITY, &key_form(visit, place, form, problems)));
    }
    visit.take_once()?;
    let (public_key, private_key) = {
        let mut rng = rand::rng();
        (PublicKey::generate(&mut rng), Secret::generate(&mut rng))
    };
    let new = NewApiKey {
        digest: enrolment::private_key(&private_key, &public_key, account, &visit.pages.realm),
        public_key: public_key.clone(),
        private_key: private_key.clone(),
        account: account.id.clone(),
        name: name.clone(),
        scopes: Some(scopes).filter(|scopes| !scopes.is_empty()),
        expires_at: expires_in.map(|lifetime| visit.now() + lifetime),
        impersonator: None,
    };
    store.api_keys.create(new, &visit.by()).await?;
    Ok(key_page(visit, (text.keys.created)(&name), &public_key, &private_key, &place.back))
}

fn key_page(
    visit: &Visit<'_>,
    title: String,
    public_key: &PublicKey,
    private_key: &Secret,
    onward: &str,
) -> HttpResponse {
    let words = &visit.text.keys;
    let lines = [("API_PUBLIC_KEY", public_key.as_str()), ("API_PRIVATE_KEY", private_key.expose())];
    let page = SecretPage {
        frame: visit.frame(Section::Developer),
        text: visit.text,
        title,
        values: vec![
            ShownValue::new("shown-public-key", words.public_key, public_key.as_str()),
            ShownValue::new("shown-private-key", words.private_key, private_key.expose()),
        ],
        file: ENVIRONMENT_FILE.to_owned(),
        download: text_to_download(&environment(&lines)),
        old_until: None,
        samples: Vec::new(),
        samples_note: "",
        onward: onward.to_owned(),
    };
    visit.page(StatusCode::OK, &page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_file_says_exactly_what_the_value_is() {
        assert_eq!(environment(&[("A", "x y"), ("B", "it's")]), "A='x y'\nB='it'\\''s'\n");
    }
}
