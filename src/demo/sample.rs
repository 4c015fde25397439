//! The small API behind the demonstration's proxy: it knows nothing of OAuth and reads the headers that it is given.

use std::net::SocketAddr;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

/// Serves on a free loopback port, for as long as the process runs.
///
/// # Errors
/// No port.
pub fn start() -> anyhow::Result<SocketAddr> {
    let server = HttpServer::new(|| App::new().route("/photos", web::get().to(photos))).workers(1).disable_signals();
    let server = server.bind(("127.0.0.1", 0))?;
    let address = server.addrs().first().copied().ok_or_else(|| anyhow::anyhow!("the sample API got no address"))?;
    actix_web::rt::spawn(server.run());
    Ok(address)
}

async fn photos(request: HttpRequest) -> HttpResponse {
    let header = |name: &str| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    HttpResponse::Ok().json(serde_json::json!({
        "photos_of": header("X-Auth-Account"),
        "asked_by_app": header("X-Auth-Client"),
        "with_scopes": header("X-Auth-Scopes"),
        "photos": ["vacation.jpg", "garden.jpg"],
    }))
}
