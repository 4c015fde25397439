//! Floor 4, the rim towards browsers and apps: the way in, the way out, and our own pages and endpoints.

pub mod room;
pub mod request;
pub mod response;
pub mod metrics;
pub mod judge;
pub mod tls;
pub mod health;
pub mod me;
pub mod alias;
pub mod oauth;
pub mod tokens;
pub mod texts;
pub mod page;
pub mod reasons;
pub mod samples;
pub mod assets;
pub mod errors;
pub mod failed;
pub mod visit;
pub mod login;
pub mod consent;
pub mod apps;
pub mod account;
pub mod developer;
pub mod inspector;
pub mod admin;

#[cfg(test)]
mod gallery;

use actix_web::web::{self, ServiceConfig};

/// Our pages, and what they load. `base`: what their paths begin with, empty or the reserved prefix.
pub fn pages(service: &mut ServiceConfig, base: &str) {
    let at = |path: &str| web::resource(format!("{base}{path}")).default_service(web::to(visit::not_a_page));
    service
        .service(web::scope(&format!("{base}/assets")).service(
            web::resource("/{name}").route(web::get().to(assets::asset)).default_service(web::to(visit::not_a_page)),
        ))
        .service(at("/login").route(web::get().to(login::form)).route(web::post().to(login::submit)))
        .service(at("/logout").route(web::get().to(login::confirm_logout)).route(web::post().to(login::logout)))
        .service(at("/apps").route(web::get().to(apps::show)))
        .service(at("/apps/revoke").route(web::post().to(apps::revoke)))
        .service(at("/apps/revoke-all").route(web::post().to(apps::revoke_all)))
        .service(at("/account").route(web::get().to(account::show)))
        .service(at("/account/password").route(web::post().to(account::change_password)))
        .service(at("/account/sessions/end").route(web::post().to(account::end_session)))
        .service(at("/account/sessions/end-others").route(web::post().to(account::end_other_sessions)));
    service
        .service(at("/developer/clients").route(web::get().to(developer::clients::list)))
        .service(
            at("/developer/clients/new")
                .route(web::get().to(developer::client_form::new))
                .route(web::post().to(developer::client_form::create)),
        )
        .service(at("/developer/clients/callbacks").route(web::get().to(developer::client_form::check_callbacks)))
        .service(at("/developer/clients/show").route(web::get().to(developer::client::show)))
        .service(
            at("/developer/clients/edit")
                .route(web::get().to(developer::client_form::edit))
                .route(web::post().to(developer::client_form::update)),
        )
        .service(at("/developer/clients/samples").route(web::get().to(developer::client_samples::show)))
        .service(
            at("/developer/clients/inspector")
                .route(web::get().to(inspector::show))
                .route(web::post().to(inspector::inspect)),
        )
        .service(at("/developer/clients/rotate").route(web::post().to(developer::client::rotate_secret)))
        .service(at("/developer/clients/token").route(web::post().to(developer::client::make_own_token)))
        .service(at("/developer/clients/revoke").route(web::post().to(developer::client::revoke_token)))
        .service(at("/developer/clients/disable").route(web::post().to(developer::client::disable)))
        .service(at("/developer/clients/enable").route(web::post().to(developer::client::enable)))
        .service(at("/developer/clients/delete").route(web::post().to(developer::client::delete)))
        .service(at("/developer/keys").route(web::get().to(developer::keys::list)))
        .service(
            at("/developer/keys/new")
                .route(web::get().to(developer::key_form::new))
                .route(web::post().to(developer::key_form::create)),
        )
        .service(at("/developer/keys/regenerate").route(web::post().to(developer::keys::regenerate)))
        .service(at("/developer/keys/delete").route(web::post().to(developer::keys::delete)));
    service
        .service(at("/admin/accounts").route(web::get().to(admin::accounts::list)))
        .service(
            at("/admin/accounts/new")
                .route(web::get().to(admin::account_form::new))
                .route(web::post().to(admin::account_form::create)),
        )
        .service(
            at("/admin/accounts/show")
                .route(web::get().to(admin::account::show))
                .route(web::post().to(admin::account::update)),
        )
        .service(at("/admin/accounts/standing").route(web::post().to(admin::account::set_standing)))
        .service(at("/admin/accounts/password").route(web::post().to(admin::account::set_password)))
        .service(at("/admin/accounts/delete").route(web::post().to(admin::account::delete)))
        .service(
            at("/admin/accounts/key")
                .route(web::get().to(admin::account::new_key))
                .route(web::post().to(admin::account::create_key)),
        )
        .service(
            at("/admin/companies")
                .route(web::get().to(admin::companies::list))
                .route(web::post().to(admin::companies::create)),
        )
        .service(
            at("/admin/clients")
                .route(web::get().to(admin::clients::list))
                .route(web::post().to(admin::clients::set_standing)),
        )
        .service(at("/admin/audit").route(web::get().to(admin::audit::show)))
        .service(at("/admin/audit/export").route(web::get().to(admin::audit::export)))
        .service(at("/admin/system").route(web::get().to(admin::system::show)));
}
