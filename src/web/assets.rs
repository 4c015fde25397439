//! The stylesheet, the script and the icon: part of the binary, and all that the pages load.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const ICON: &str = include_str!("icon.svg");

/// Changes with what is loaded; pages put it behind the names.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::new().chain_update(STYLE).chain_update(SCRIPT).finalize();
    digest.iter().take(6).map(|octet| format!("{octet:02x}")).collect()
});

/// 12 hexadecimal digits.
pub fn version() -> &'static str {
    &VERSION
}

/// `GET /assets/{name}`
pub async fn asset(request: HttpRequest) -> HttpResponse {
    let (content, content_type) = match request.path().rsplit('/').next() {
        Some("style.css") => (STYLE, "text/css; charset=utf-8"),
        Some("script.js") => (SCRIPT, "text/javascript; charset=utf-8"),
        Some("icon.svg") => (ICON, "image/svg+xml"),
        Some(_) | None => return HttpResponse::NotFound().finish(),
    };
    // A name with the version in it is the same for ever; the icon has none and may be asked for once a day.
    let age = if request.query_string() == version() { "max-age=31536000, immutable" } else { "max-age=86400" };
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, format!("public, {age}")))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .content_type(content_type)
        .body(content)
}
