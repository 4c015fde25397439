//! The measure of all ratios: actix-web answering `/v2/me` with a fixed JSON body, of the size that the real answer has.
//!
//! It reads no header, checks nothing and logs nothing, so it is what HTTP itself costs on this machine. It also is the
//! API behind the proxies that are measured (`/things`), and what a proxy could ask at the least (`/bare`: 204).

use actix_web::web::{self, Bytes};
use actix_web::{App, HttpResponse, HttpServer};

#[actix_web::main]
pub async fn serve(address: &str, workers: usize, body: String) -> std::io::Result<()> {
    let body = Bytes::from(body);
    HttpServer::new(move || {
        let answer = {
            let body = body.clone();
            move || {
                let body = body.clone();
                async move { HttpResponse::Ok().content_type("application/json").body(body) }
            }
        };
        App::new()
            .route("/v2/me", web::get().to(answer.clone()))
            .route("/things", web::get().to(answer))
            .route("/bare", web::get().to(|| async { HttpResponse::NoContent().finish() }))
    })
    .workers(workers)
    .backlog(4096)
    .bind(address)?
    .run()
    .await
}
