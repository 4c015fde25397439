//! The explorer (`/docs`): Swagger UI over the description of this server's own API and, where the operator names one, of
//! theirs. Part of the binary: nothing comes from elsewhere, and no script runs but what stands here.
//!
//! Reading order: [`Explorer`] is made once, [`routes`] lists the paths, then the page, its files, the operator's description.

mod archive;
mod upstream;

use std::sync::{Arc, LazyLock};

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::{self, Bytes, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;

use self::upstream::Description;
use crate::config::Configuration;
use crate::web::assets;
use crate::web::page::{Frame, Section};
use crate::web::place::Place;
use crate::web::texts::Texts;
use crate::web::visit::{Access, Pages, Visit};

const SCRIPT: &str = include_str!("explorer/explorer.js");
const STYLE: &str = include_str!("explorer/explorer.css");

/// Of Swagger UI, what the page loads: packed, as the crate that keeps it has it.
static SWAGGER_STYLE: LazyLock<Option<Bytes>> = LazyLock::new(|| swagger("dist/swagger-ui.css"));
static SWAGGER_SCRIPT: LazyLock<Option<Bytes>> = LazyLock::new(|| swagger("dist/swagger-ui-bundle.js"));

/// Of all of them.
static VERSION: LazyLock<String> =
    LazyLock::new(|| assets::version_of(&[STYLE.as_bytes(), SCRIPT.as_bytes(), SWAGGER_UI_VENDORED]));

fn swagger(name: &str) -> Option<Bytes> {
    archive::gzip_of(SWAGGER_UI_VENDORED, name).map(Bytes::from)
}

/// What the explorer shows besides our own API.
pub struct Explorer {
    upstream: Option<Description>,
}

/// The page.
#[derive(Template)]
#[template(path = "docs.html", config = "src/web/askama.toml")]
struct DocsPage {
    frame: Frame,
    text: &'static Texts,
    /// Who is logged in.
    username: Option<String>,
    /// Whether the operator's API is described too, and whether it is the one that is shown.
    has_upstream: bool,
    shows_upstream: bool,
    /// Where the shown description is.
    description: String,
    /// Of the files that it loads.
    version: &'static str,
}

impl Explorer {
    /// From the settings.
    ///
    /// # Errors
    /// `docs.upstream_openapi` can't be read, or is no address.
    pub fn new(configuration: &Configuration) -> anyhow::Result<Self> {
        let named = configuration.docs.upstream_openapi.as_ref();
        Ok(Self { upstream: named.map(|named| Description::named(named.as_str())).transpose()? })
    }
}

/// Registers the page and its files. `base`: what our paths begin with, empty or the reserved prefix.
pub fn routes(service: &mut ServiceConfig, base: &str) {
    service.service(
        web::scope(&format!("{base}/docs"))
            .service(Place::at("").get(show))
            .service(Place::at("/upstream").get(describe_upstream))
            .service(Place::at("/{file}").get(file)),
    );
}

/// `GET /docs[?of=own]`
async fn show(
    pages: Data<Arc<Pages>>,
    explorer: Data<Arc<Explorer>>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let show = async |visit: &Visit<'_>| {
        let has_upstream = explorer.upstream.is_some();
        let shows_upstream = has_upstream && visit.asked("of") != "own";
        let page = DocsPage {
            frame: visit.frame(Section::None),
            text: visit.text,
            username: visit.account().ok().map(|account| account.username.to_string()),
            has_upstream,
            shows_upstream,
            description: visit.path(if shows_upstream { "/docs/upstream" } else { "/api/openapi.json" }),
            version: &VERSION,
        };
        Ok(visit.page(StatusCode::OK, &page))
    };
    pages.serve(&request, payload, Access::Anybody, show).await
}

/// `GET /docs/upstream`: the operator's own description.
async fn describe_upstream(explorer: Data<Arc<Explorer>>) -> HttpResponse {
    let Some(description) = &explorer.upstream else { return HttpResponse::NotFound().finish() };
    let mut answer = match description.read().await {
        Ok((text, content_type)) => {
            let mut answer = HttpResponse::Ok();
            answer.content_type(content_type);
            answer.body(text)
        }
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "docs.upstream_openapi can't be read");
            HttpResponse::BadGateway().content_type("text/plain").body("The description can't be had at the moment.")
        }
    };
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// `GET /docs/{file}`
async fn file(request: HttpRequest) -> HttpResponse {
    let mut answer = assets::kept(&request, &VERSION);
    let (content_type, packed) = match request.match_info().query("file") {
        "explorer.js" => return answer.content_type(JAVASCRIPT).body(SCRIPT),
        "explorer.css" => return answer.content_type(CSS).body(STYLE),
        "swagger-ui.css" => (CSS, SWAGGER_STYLE.clone()),
        "swagger-ui-bundle.js" => (JAVASCRIPT, SWAGGER_SCRIPT.clone()),
        _ => return HttpResponse::NotFound().finish(),
    };
    match packed {
        // Who can't unpack it has no use for it either.
        Some(packed) => answer.insert_header((CONTENT_ENCODING, "gzip")).content_type(content_type).body(packed),
        None => HttpResponse::NotFound().finish(),
    }
}

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swagger_ui_is_in_the_binary() {
        assert!(SWAGGER_STYLE.as_ref().is_some_and(|packed| packed.len() > 10_000));
        assert!(SWAGGER_SCRIPT.as_ref().is_some_and(|packed| packed.len() > 100_000));
    }
}
