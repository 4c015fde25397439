//! The stylesheet, the script and the icon: part of the binary, and all that the pages load.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const ICON: &str = include_str!("icon.svg");

static VERSION: LazyLock<String> = LazyLock::new(|| version_of(&[STYLE.as_bytes(), SCRIPT.as_bytes()]));

/// Changes with what is loaded; pages put it behind the names.
pub fn version() -> &'static str {
    &VERSION
}

/// 12 hexadecimal digits.
pub fn version_of(files: &[&[u8]]) -> String {
    let digest = files.iter().fold(Sha256::new(), |hash, file| hash.chain_update(file)).finalize();
    digest.iter().take(6).map(|octet| format!("{octet:02x}")).collect()
}

/// `GET /assets/{name}`
pub async fn asset(request: HttpRequest) -> HttpResponse {
    let (content, content_type) = match request.path().rsplit('/').next() {
        Some("style.css") => (STYLE, "text/css; charset=utf-8"),
        Some("script.js") => (SCRIPT, "text/javascript; charset=utf-8"),
        Some("icon.svg") => (ICON, "image/svg+xml"),
        Some(_) | None => return HttpResponse::NotFound().finish(),
    };
    kept(&request, version()).content_type(content_type).body(content)
}

/// The answer with a file that browsers keep: a name with the version behind it is the same for ever; one without, such as
/// the icon's, may be asked for once a day.
pub fn kept(request: &HttpRequest, version: &str) -> HttpResponseBuilder {
    let age = if request.query_string() == version { "max-age=31536000, immutable" } else { "max-age=86400" };
    let mut answer = HttpResponse::Ok();
    answer.insert_header((CACHE_CONTROL, format!("public, {age}"))).insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    answer
}
